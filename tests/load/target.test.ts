import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import type { Fault } from "../../src/base/field.ts";
import { loadContradiction, type LoadConfig, loadSettings } from "../../src/load/settings.ts";
import { parseTarget } from "../../src/load/target.ts";
import { parseRate } from "../../src/load/rate.ts";

describe("targets", () => {
  test("are URLs", () => {
    expect(parseTarget("http://127.0.0.1:8080")).toEqual({
      protocol: "http",
      tls: false,
      host: "127.0.0.1",
      port: 8080,
      path: "/v1",
      authority: "127.0.0.1:8080",
    });
    expect(parseTarget("https://api.example.com/openai/v1/")).toMatchObject({
      tls: true,
      port: 443,
      path: "/openai/v1",
      authority: "api.example.com",
    });
    expect(parseTarget("grpcs://10.0.0.7:8033")).toMatchObject({ protocol: "grpc", tls: true, port: 8033 });
    expect(parseTarget("http://[::1]:80/")).toMatchObject({ host: "::1", authority: "[::1]", path: "/v1" });
    for (const text of [
      "",
      "x",
      "ftp://x",
      "http://",
      "http://a:0",
      "http://a:70000",
      "http://u:p@a",
      "http://a/?q",
      "http://a b",
    ])
      expect(parseTarget(text)).toBeUndefined();
    fc.assert(fc.property(fc.string(), (text) => void parseTarget(`http://${text}`)));
  });
});

describe("settings", () => {
  const { header } = loadSettings.fields;
  const read = (raw: unknown) => {
    const faults: Fault[] = [];
    return { value: header.read(raw, { path: "header", source: "", fromText: true, faults }), faults };
  };

  test("headers may hold commas and colons, and are not shown", () => {
    expect(read(["X-A: b, c: d", "accept=text/plain"]).value).toEqual([
      { name: "x-a", value: "b, c: d" },
      { name: "accept", value: "text/plain" },
    ]);
    for (const wrong of [["no"], ["Host: x"], ["a: b\r\nc: d"], ["content-length: 5"], [": x"]]) {
      const { value, faults } = read(wrong);
      expect(value).toBeUndefined();
      expect(faults).toHaveLength(1);
      expect(faults[0]?.found).toBe('"a header"');
    }
    expect(JSON.stringify(header.write([{ name: "x", value: "secret" }]))).not.toContain("secret");
  });

  test("what can't both hold is refused with what to do", () => {
    const defaults = Object.fromEntries(
      Object.entries(loadSettings.fields).map(([key, field]) => [key, field.default]),
    ) as unknown as LoadConfig;
    const said = (more: Partial<LoadConfig>) => loadContradiction({ ...defaults, ...more });
    expect(said({})).toBe("");
    expect(said({ rate: parseRate("5")!, trace: "x" })).toContain("--rate and --trace");
    expect(said({ concurrency: 2, rate: parseRate("5")! })).toContain("--rate and --concurrency");
    expect(said({ apiKeyFile: "a", apiKeyEnv: "B" })).toContain("--api-key-file");
    expect(said({ overMs: 5, rate: parseRate("5")! })).toContain("--over");
    expect(said({ overMs: 5, rate: parseRate("5..6")! })).toBe("");
    expect(said({ warmupMs: 30_000 })).toContain("--warmup");
    expect(said({ warmupMs: 30_000, trace: "x" })).toBe("");
  });
});
