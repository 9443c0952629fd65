import { afterAll, describe, expect, test } from "bun:test";
import { mkdtempSync, rmSync, utimesSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import fc from "fast-check";
import { BunTransport } from "../../src/net/bun-streams.ts";
import { RuntimeCredentials, RuntimeDialers } from "../../src/telemetry/runtime-credentials.ts";
import { parseSecret, type Secret, SecretReader, shownSecret } from "../../src/telemetry/runtime-secret.ts";
import { AUTO } from "../../src/telemetry/runtime-spec.ts";

const folder = mkdtempSync(join(tmpdir(), "infermesh-secrets-"));
afterAll(() => rmSync(folder, { recursive: true }));

let seconds = 1_700_000_000;
function file(name: string, text: string): string {
  const path = join(folder, name);
  writeFileSync(path, text);
  // Two writes within a tick of the file system's clock.
  utimesSync(path, ++seconds, seconds);
  return path;
}

const secret = (written: string): Secret => parseSecret(written) as Secret;

describe("a secret", () => {
  test("is itself, a file or a variable, and shown without what it is", () => {
    expect(secret("abc")).toEqual({ kind: "value", text: "abc" });
    expect(secret("value:env:x")).toEqual({ kind: "value", text: "env:x" });
    expect(shownSecret(secret("abc"))).toBe("(hidden)");
    expect(shownSecret(secret("file:/run/key"))).toBe("file:/run/key");
    expect(shownSecret(secret("env:KEY"))).toBe("env:KEY");
    for (const wrong of ["", "value:", "file:key", "env:1A", "env:", "two\nlines", " x", "x\0"]) {
      expect(parseSecret(wrong)).toBeUndefined();
    }
  });

  test("of any text is sent as it stands, or refused", async () => {
    const texts = fc.uint8Array({ maxLength: 20 }).map((bytes) => Buffer.from(bytes).toString("latin1"));
    await fc.assert(
      fc.asyncProperty(texts, async (text) => {
        const parsed = parseSecret(`value:${text}`);
        if (parsed === undefined) return;
        const head = await new RuntimeCredentials({ ...AUTO, headers: { "x-key": parsed } }).headers();
        expect(head).toMatchObject({ lines: `x-key: ${text}\r\n` });
        expect(/[\r\n\0]/.test(text)).toBe(false);
      }),
    );
  });

  test("in a file is read again when that is another one", async () => {
    const path = file("key", "one\n");
    const reader = new SecretReader(secret(`file:${path}`));
    expect(await reader.text()).toEqual({ text: "one" });
    file("key", "two");
    expect(await reader.text()).toEqual({ text: "two" });
    rmSync(path);
    expect(await reader.text()).toEqual({ fault: `${path} can't be read: ENOENT` });
    file("key", "three");
    expect(await reader.text()).toEqual({ text: "three" });
  });

  test.each([
    ["", "is empty"],
    ["one\ntwo", "more than one line"],
    ["x".repeat(20_000), "it has 20000 bytes"],
  ])("in a file that is none is told of without what stands there", async (text, why) => {
    const { fault = "" } = (await new SecretReader(secret(`file:${file("bad", text)}`)).text()) as { fault?: string };
    expect(fault).toContain(why);
    expect(fault).not.toContain("two");
  });

  test("in a variable is read at each use", async () => {
    const env: Record<string, string> = {};
    const reader = new SecretReader(secret("env:KEY"), env);
    expect(await reader.text()).toEqual({ fault: "the variable KEY is not set, or empty" });
    env["KEY"] = "k";
    expect(await reader.text()).toEqual({ text: "k" });
    env["KEY"] = "k\r\nhost: x";
    expect(await reader.text()).toEqual({ fault: "the variable KEY holds what can't be sent in a header" });
  });
});

describe("credentials", () => {
  test.each([
    ["an API key", { apiKey: secret("k") }, "authorization: Bearer k\r\n"],
    ["an API key in a header", { apiKey: secret("k"), apiKeyHeader: "x-api-key" }, "x-api-key: k\r\n"],
    ["a token", { bearer: secret("t") }, "authorization: Bearer t\r\n"],
    ["user and password", { basic: secret("me:pass") }, "authorization: Basic bWU6cGFzcw==\r\n"],
    ["headers", { headers: { "x-a": secret("1"), "x-b": secret("2") } }, "x-a: 1\r\nx-b: 2\r\n"],
    ["nothing", {}, ""],
  ])("of %s are headers", async (_what, given, lines) => {
    expect(await new RuntimeCredentials({ ...AUTO, ...given }).headers()).toMatchObject({ lines });
  });

  test("of one port are shown there in place of the others, beside the headers", async () => {
    const given = { apiKey: secret("a"), metricsKey: secret("m"), headers: { "x-a": secret("1") } };
    const credentials = new RuntimeCredentials({ ...AUTO, ...given });
    expect(await credentials.headers("metrics")).toMatchObject({ lines: "x-a: 1\r\nauthorization: Bearer m\r\n" });
    for (const port of ["api", "management"] as const) {
      expect(await credentials.headers(port)).toMatchObject({ lines: "x-a: 1\r\nauthorization: Bearer a\r\n" });
    }
    const alone = new RuntimeCredentials({ ...AUTO, managementKey: secret("g"), apiKeyHeader: "x-key" });
    expect(await alone.headers("management")).toMatchObject({ lines: "x-key: g\r\n" });
    expect(await alone.headers()).toMatchObject({ lines: "" });
    expect(alone.areNone).toBe(false);
    const missing = new RuntimeCredentials({ ...AUTO, managementKey: secret("file:/nowhere/token") });
    expect(await missing.headers("management")).toEqual({
      fault: "the key of its management port: /nowhere/token can't be read: ENOENT",
    });
  });

  test("that can't be had say which, and not what", async () => {
    const missing = new RuntimeCredentials({ ...AUTO, bearer: secret("file:/nowhere/token") });
    expect(await missing.headers()).toEqual({ fault: "the bearer token: /nowhere/token can't be read: ENOENT" });
    const wrong = new RuntimeCredentials({ ...AUTO, basic: secret("password-alone") });
    expect(await wrong.headers()).toEqual({ fault: "user and password: it is not USER:PASSWORD" });
  });
});

test("certificates that are no certificates name their file", () => {
  const ca = file("ca.pem", "nothing");
  expect(() => new RuntimeDialers(new BunTransport(), { ...AUTO, ca }, "vllm")).toThrow(/ca of vllm: .*ca\.pem/);
});
