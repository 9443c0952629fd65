import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { defaultsOf } from "../../src/base/settings-reading.ts";
import {
  FORWARDING,
  forwardedSettings,
  forwardingBit,
  forwardingLines,
  keepsForwarding,
} from "../../src/wire/forwarded.ts";
import type { ForwardedConfig } from "../../src/wire/forwarded.ts";
import { HEAD_LIMITS, PARSE_DONE, RequestHead } from "../../src/wire/http1.ts";
import { securityHeaders, securitySettings } from "../../src/wire/security-headers.ts";

const config = (changes: Partial<ForwardedConfig> = {}): ForwardedConfig => ({
  ...defaultsOf(forwardedSettings),
  ...changes,
});
const client = { address: "192.0.2.60", scheme: "http", host: "example.com" } as const;

function bitOf(name: string): number {
  return forwardingBit(Buffer.from(`x${name}y`), 1, 1 + name.length);
}

describe("lines", () => {
  test.each([
    ["for", "x-forwarded-for: 192.0.2.60\r\n"],
    ["x-forwarded", "x-forwarded-for: 192.0.2.60\r\nx-forwarded-proto: http\r\nx-forwarded-host: example.com\r\n"],
    ["forwarded", "forwarded: for=192.0.2.60;host=example.com;proto=http\r\n"],
    [
      "both",
      "x-forwarded-for: 192.0.2.60\r\nx-forwarded-proto: http\r\nx-forwarded-host: example.com\r\n" +
        "forwarded: for=192.0.2.60;host=example.com;proto=http\r\n",
    ],
    ["none", ""],
  ] as const)("%s", (form, lines) => {
    expect(forwardingLines(config({ form }), client, FORWARDING.none)).toBe(lines);
  });

  test("the first proxy's word on scheme and host stands, unless nobody's is believed", () => {
    const given = FORWARDING.for | FORWARDING.proto | FORWARDING.host;
    expect(forwardingLines(config({ form: "x-forwarded" }), client, given)).toBe("x-forwarded-for: 192.0.2.60\r\n");
    expect(forwardingLines(config({ form: "x-forwarded", trust: "replace" }), client, given)).toContain("-host: ex");
  });

  test.each([
    ["2001:db8::1", "2001:db8::1", '"[2001:db8::1]"'],
    ["::1", "::1", '"[::1]"'],
    ["::ffff:10.1.2.3", "10.1.2.3", "10.1.2.3"],
    ["::FFFF:10.1.2.3", "10.1.2.3", "10.1.2.3"],
    ["fe80::1%eth0", "fe80::1", '"[fe80::1]"'],
    ["", "unknown", "unknown"],
    ["/run/x.sock", "unknown", "unknown"],
    ["1.2.3.4\r\nx: y", "unknown", "unknown"],
    ["::1\r\nx: y", "unknown", "unknown"],
    ["example.com", "unknown", "unknown"],
  ])("the address %j", (address, plain, node) => {
    const lines = forwardingLines(config({ form: "both" }), { ...client, address, host: "" }, FORWARDING.none);
    expect(lines).toBe(`x-forwarded-for: ${plain}\r\nx-forwarded-proto: http\r\nforwarded: for=${node};proto=http\r\n`);
  });

  test.each([
    ["example.com:8443", 'host="example.com:8443";'],
    ["[::1]:80", 'host="[::1]:80";'],
    ["a_b", "host=a_b;"],
    ['a"b', ""],
    ["a\r\nb", ""],
    ["h\u00e9", ""],
    ["\u4e2d", ""],
  ])("the host %j", (host, part) => {
    const lines = forwardingLines(config({ form: "both" }), { ...client, scheme: "https", host }, FORWARDING.none);
    expect(lines).toContain(`forwarded: for=192.0.2.60;${part}proto=https\r\n`);
    expect(lines.includes("x-forwarded-host")).toBe(part !== "");
  });

  test("whatever is given, a head with the lines in it is still one well-formed head", () => {
    const text = fc.oneof(fc.string(), fc.string({ unit: "binary" }), fc.constantFrom("::1", "a.b:1", "10.0.0.1"));
    fc.assert(
      fc.property(text, text, fc.constantFrom("http" as const, "https" as const), (address, host, scheme) => {
        const lines = forwardingLines(config({ form: "both" }), { address, host, scheme }, FORWARDING.none);
        const bytes = Buffer.from(`GET / HTTP/1.1\r\nhost: x\r\n${lines}\r\n`);
        const head = new RequestHead(HEAD_LIMITS);
        expect(head.parse(bytes, 0, bytes.length)).toBe(PARSE_DONE);
        expect([head.headEnd, head.lineCount]).toEqual([bytes.length, 1 + lines.split("\r\n").length - 1]);
      }),
      { numRuns: 1000, seed: 2 },
    );
  });
});

describe("names", () => {
  test.each([
    ["Forwarded", FORWARDING.forwarded],
    ["X-Forwarded-For", FORWARDING.for],
    ["x-forwarded-proto", FORWARDING.proto],
    ["X-FORWARDED-HOST", FORWARDING.host],
    ["x-real-ip", FORWARDING.other],
    ["True-Client-IP", FORWARDING.other],
    ["x-cluster-client-ip", FORWARDING.other],
    ["forwarder", FORWARDING.none],
    ["X_Forwarded-For", FORWARDING.for],
    ["x_real_ip", FORWARDING.other],
    ["x\rforwarded-for", FORWARDING.none],
    ["accept", FORWARDING.none],
    ["authorization", FORWARDING.none],
    ["x-infermesh-model", FORWARDING.none],
    ["x-forwarded-for-and-more", FORWARDING.none],
  ])("%j", (name, bit) => {
    expect(bitOf(name)).toBe(bit);
  });

  test("what is replaced does not go on", () => {
    for (const bit of Object.values(FORWARDING)) {
      expect(keepsForwarding(bit, config())).toBe(true);
      expect(keepsForwarding(bit, config({ trust: "replace" }))).toBe(bit === FORWARDING.none);
    }
  });
});

describe("security headers", () => {
  const defaults = defaultsOf(securitySettings);
  const lines = (changes: object, tls = false) =>
    Buffer.from(securityHeaders({ ...defaults, ...changes }, tls)?.lines ?? []).toString();

  test("off is nothing at all", () => {
    expect(securityHeaders(defaults, true)).toBeNull();
  });

  test("minimal and strict", () => {
    expect(lines({ headers: "minimal" })).toBe("x-content-type-options: nosniff\r\n");
    expect(lines({ headers: "strict" })).toContain("frame-ancestors 'none'\r\n");
    expect(lines({ headers: "strict" }).split("\r\n").length).toBe(6);
  });

  test("HSTS over TLS only", () => {
    expect(lines({ hstsMs: 86_400_000 }, true)).toBe("strict-transport-security: max-age=86400\r\n");
    expect(securityHeaders({ ...defaults, hstsMs: 86_400_000 }, false)).toBeNull();
  });

  test("take the place of the target's", () => {
    const rewrite = securityHeaders({ ...defaults, headers: "minimal", hideServer: true }, false);
    const drops = (name: string) => rewrite?.drops(Buffer.from(name), 0, name.length);
    expect(["X-Content-Type-Options", "Server", "x-powered-by", "date"].map(drops)).toEqual([true, true, true, false]);
  });
});
