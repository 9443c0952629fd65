import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { readFileSync } from "node:fs";
import {
  cgroupIn,
  coresIn,
  holdersIn,
  limitIn,
  memoryIn,
  namesLoader,
  numberIn,
} from "../../src/diagnosis/proc-text.ts";

const LIMITS = `Limit                     Soft Limit           Hard Limit           Units     
Max core file size        0                    unlimited            bytes     
Max open files            1024                 524288               files     
Max locked memory         8388608              8388608              bytes     
`;

const TCP = `  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode                                                     
   0: 0100007F:1F90 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 4711 1 0000000000000000 100 0 0 10 0
   1: 0100007F:1F90 0100007F:C350 01 00000000:00000000 00:00000000 00000000     0        0 4712 1 0000000000000000 20 4 30 10 -1
   2: 00000000000000000000000000000000:1F91 00000000000000000000000000000000:0000 0A 00000000:00000000 00:00000000 00000000  1000        0 4713 1 0 100 0 0 10 0
   3: 0100007F:1F90 0100007F:C351 06 00000000:00000000 03:00000B3E 00000000     0        0 0 3 0000000000000000
`;

test("limits of the process", () => {
  expect(limitIn(LIMITS, "Max open files")).toEqual({ soft: 1024, hard: 524_288 });
  expect(limitIn(LIMITS, "Max core file size")).toEqual({ soft: 0, hard: Infinity });
  expect(limitIn(LIMITS, "Max nothing")).toBeUndefined();
  expect(limitIn(LIMITS.replace("1024 ", "many "), "Max open files")).toBeUndefined();
  expect(limitIn("", "Max open files")).toBeUndefined();
});

test("this machine's own files", () => {
  const limit = limitIn(readFileSync("/proc/self/limits", "utf8"), "Max open files");
  expect(limit?.soft).toBeGreaterThan(0);
  expect(memoryIn(readFileSync("/proc/meminfo", "utf8"), "MemTotal")).toBeGreaterThan(2 ** 20);
  expect(namesLoader(new Uint8Array(readFileSync(process.execPath).subarray(0, 4096)))).toBe(true);
});

test("cgroups", () => {
  expect(cgroupIn("0::/system.slice/infermesh.service\n")).toBe("/system.slice/infermesh.service");
  expect(cgroupIn("12:memory:/docker/abc\n1:name=systemd:/x\n")).toBeUndefined();
  expect(coresIn("150000 100000\n")).toBe(1.5);
  expect(coresIn("max 100000\n")).toBe(Infinity);
  for (const wrong of ["", "max", "1 0", "-1 100", "100000 100000 1"])
    expect([wrong, coresIn(wrong)]).toEqual([wrong, undefined]);
  expect(numberIn("268435456\n")).toBe(268_435_456);
  expect(numberIn("max\n")).toBe(Infinity);
  for (const wrong of ["", "-1", "1 2", "0x10"]) expect([wrong, numberIn(wrong)]).toEqual([wrong, undefined]);
});

test("a line of meminfo", () => {
  expect(memoryIn("MemTotal:       16384 kB\nMemFree: 1 kB\n", "MemTotal")).toBe(16_777_216);
  expect(memoryIn("MemTotal: much\n", "MemTotal")).toBeUndefined();
});

test("who holds a port: of TCP those that listen, of UDP all, and no socket that is nobody's any more", () => {
  expect(holdersIn(TCP, 8080, "tcp")).toEqual(["4711"]);
  expect(holdersIn(TCP, 8081, "tcp")).toEqual(["4713"]);
  expect(holdersIn(TCP, 8080, "udp")).toEqual(["4711", "4712"]);
  expect(holdersIn(TCP, 80, "tcp")).toEqual([]);
});

describe("an executable's loader", () => {
  const header = (types: readonly number[], change: (view: DataView) => void = () => {}): Uint8Array => {
    const bytes = new Uint8Array(64 + 56 * types.length);
    bytes.set([0x7f, 0x45, 0x4c, 0x46, 2, 1]);
    const view = new DataView(bytes.buffer);
    view.setBigUint64(32, 64n, true);
    view.setUint16(54, 56, true);
    view.setUint16(56, types.length, true);
    types.forEach((type, at) => view.setUint32(64 + 56 * at, type, true));
    change(view);
    return bytes;
  };

  test("is one of its program headers", () => {
    expect(namesLoader(header([6, 3, 1]))).toBe(true);
    expect(namesLoader(header([6, 1, 1]))).toBe(false);
    expect(namesLoader(header([]))).toBe(false);
  });

  test("is not told of what is cut short or none", () => {
    expect(namesLoader(header([3]).subarray(0, 100))).toBeUndefined();
    expect(namesLoader(header([3], (view) => view.setUint8(0, 0)))).toBeUndefined();
    expect(namesLoader(header([3], (view) => view.setUint8(4, 1)))).toBeUndefined();
    expect(namesLoader(header([3], (view) => view.setBigUint64(32, 2n ** 63n, true)))).toBeUndefined();
    expect(namesLoader(header([3], (view) => view.setUint16(56, 65_535, true)))).toBeUndefined();
    expect(namesLoader(new Uint8Array(0))).toBeUndefined();
  });
});

test("whatever the files hold, nothing is thrown and no figure is false", () => {
  const piece = fc.constantFrom(
    "Max open files",
    "0::/",
    "max",
    " ",
    "\n",
    ":1F90",
    "0A",
    "MemTotal:",
    "99999999999999999999999",
    "kB",
  );
  const text = fc.array(fc.oneof(piece, fc.string())).map((parts) => parts.join(""));
  fc.assert(
    fc.property(text, (written) => {
      const limit = limitIn(written, "Max open files");
      for (const value of [
        limit?.soft,
        limit?.hard,
        coresIn(written),
        numberIn(written),
        memoryIn(written, "MemTotal"),
      ]) {
        if (value !== undefined) expect(value).toBeGreaterThanOrEqual(0);
      }
      expect(cgroupIn(written) ?? "/").toStartWith("/");
      for (const inode of holdersIn(written, 8080, "udp")) expect(inode).toMatch(/^[1-9]\d*$/);
    }),
    { numRuns: 2000 },
  );
  const bytes = fc.tuple(fc.uint8Array({ maxLength: 200 }), fc.boolean());
  fc.assert(
    fc.property(bytes, ([tail, isElf]) => {
      namesLoader(new Uint8Array([...(isElf ? [0x7f, 0x45, 0x4c, 0x46, 2, 1] : []), ...tail]));
    }),
    { numRuns: 2000 },
  );
});
