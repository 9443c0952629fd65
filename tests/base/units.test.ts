import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import {
  formatAddress,
  formatBytes,
  formatDuration,
  parseAddress,
  parseBytes,
  parseDuration,
} from "../../src/base/units.ts";

describe("durations", () => {
  test.each([
    ["500ms", 500],
    ["5s", 5000],
    ["1m30s", 90_000],
    ["1.5h", 5_400_000],
    ["2d", 172_800_000],
    ["0", 0],
    ["0s", 0],
    ["0.5ms", 0.5],
  ])("%s", (written, ms) => {
    expect(parseDuration(written)).toBe(ms);
  });

  test.each([
    "",
    "s",
    "-5s",
    "5 s",
    "5S",
    "30s1m",
    "5s5s",
    "1e3",
    "5sec",
    "∞",
    "9".repeat(400),
    "1..5s",
    " 5s",
    "30",
    "1.5",
  ])("refuses %p", (written) => {
    expect(parseDuration(written)).toBeUndefined();
  });

  test("read back as they were written", () => {
    fc.assert(fc.property(fc.nat(2 ** 31), (ms) => expect(parseDuration(formatDuration(ms))).toBe(ms)));
    fc.assert(
      fc.property(fc.double({ min: 0, max: 1e9, noNaN: true, minExcluded: true }), (ms) => {
        const back = parseDuration(formatDuration(ms));
        // Below a nanosecond numbers are written with an exponent, which durations don't have.
        if (ms >= 1e-6) expect(back).toBe(ms);
      }),
    );
    expect([90_061_001, 1.5, 0].map(formatDuration)).toEqual(["1d1h1m1s1ms", "1.5ms", "0s"]);
  });
});

describe("sizes", () => {
  test.each([
    ["32MiB", 32 * 2 ** 20],
    ["64k", 65_536],
    ["1.5GiB", 1.5 * 2 ** 30],
    ["10MB", 10_000_000],
    ["1kB", 1000],
    ["7 B", 7],
    ["12", 12],
    ["1T", 2 ** 40],
  ])("%s", (written, size) => {
    expect(parseBytes(written)).toBe(size);
  });

  test.each(["", "k", "-1", "1.5", "1XB", "1e3", "99999999TiB", "0x10"])("refuses %p", (written) => {
    expect(parseBytes(written)).toBeUndefined();
  });

  test("read back as they were written", () => {
    fc.assert(fc.property(fc.maxSafeNat(), (size) => expect(parseBytes(formatBytes(size))).toBe(size)));
    expect([2 ** 20, 1536, 1000].map(formatBytes)).toEqual(["1MiB", "1536", "1000"]);
  });
});

describe("addresses", () => {
  test.each([
    ["127.0.0.1:8080", "127.0.0.1", 8080],
    [":8080", "", 8080],
    ["[::1]:80", "::1", 80],
    ["[fe80::1%eth0]:80", "fe80::1%eth0", 80],
    ["node-1.rack.local:0", "node-1.rack.local", 0],
  ])("%s", (written, host, port) => {
    expect(parseAddress(written)).toEqual({ host, port });
    expect(formatAddress({ host, port })).toBe(written);
  });

  test.each([
    "",
    "8080",
    "host",
    "host:",
    "host:65536",
    "host:-1",
    "::1:80",
    "[::1]",
    "[x]:80",
    "a b:80",
    "http://a:80",
    "a:80/",
    "-a:1",
    "a:1:2",
  ])("refuses %p", (written) => {
    expect(parseAddress(written)).toBeUndefined();
  });
});

test("no text throws", () => {
  fc.assert(
    fc.property(
      fc.oneof(fc.string(), fc.string({ unit: fc.constantFrom(..."0123456789.:[]smhdkMGiB-e ".split("")) })),
      (written) => {
        for (const value of [parseDuration(written), parseBytes(written)]) {
          if (value !== undefined) expect(value).toBeGreaterThanOrEqual(0);
        }
        const address = parseAddress(written);
        if (address !== undefined) expect(parseAddress(formatAddress(address))).toEqual(address);
      },
    ),
  );
});
