/** Keys for targets: what is written in the settings, where secrets come from, and what becomes of a head. */
import { afterAll, describe, expect, test } from "bun:test";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import fc from "fast-check";
import { MeshError } from "../../src/base/errors.ts";
import { parseSection } from "../../src/base/settings-reading.ts";
import { upstreamKeys } from "../../src/net/upstream-secrets.ts";
import { ALL_SHAPES } from "../../src/wire/api-shapes.ts";
import { Rewrites } from "../../src/wire/rewrite.ts";
import { keyRule, upstreamAuthSettings, UpstreamKeys } from "../../src/wire/upstream-keys.ts";

const folder = mkdtempSync(join(tmpdir(), "infermesh-keys-"));
afterAll(() => rmSync(folder, { recursive: true, force: true }));
const file = (name: string, text: string): string => {
  const path = join(folder, name);
  writeFileSync(path, text);
  return path;
};

const faultsOf = (rules: readonly string[]): readonly unknown[] =>
  parseSection(upstreamAuthSettings, { rules }).faults ?? [];

describe("a rule", () => {
  test.each([
    ["bearer:env:KEY", { model: "", how: "bearer", from: "env", where: "KEY" }],
    ["llama3:8b=bearer:file:/run/a=b", { model: "llama3:8b", how: "bearer", from: "file", where: "/run/a=b" }],
    ["org/m=x-api-key:env:K_1", { model: "org/m", how: "x-api-key", from: "env", where: "K_1" }],
  ] as const)("%s is read", (written, rule) => {
    expect(faultsOf([written])).toEqual([]);
    expect(keyRule(written)).toEqual(rule);
  });

  test.each(["bearer:hunter2", "bearer:env:", "bearer:file:relative", "m=basic", "host:env:A", "x-request-id:env:A"])(
    "%s is refused",
    (written) => expect(faultsOf([written])).toHaveLength(1),
  );

  test("of any text is refused or says where its secret is", () => {
    fc.assert(
      fc.property(fc.string(), (written) => {
        if (faultsOf([written]).length === 0) expect(keyRule(written).where).not.toBe("");
      }),
    );
  });
});

describe("a secret", () => {
  test("comes out of the environment or a file, without the line's end", () => {
    const rules = [
      "bearer:env:KEY",
      `m=basic:file:${file("basic", "admin:pass word\n")}`,
      `n=x-api-key:file:${file("key", "abc\r\n")}`,
    ];
    expect(upstreamKeys({ rules }, { KEY: "s3cret" })).toEqual([
      { model: "", header: "authorization", value: "Bearer s3cret" },
      { model: "m", header: "authorization", value: `Basic ${btoa("admin:pass word")}` },
      { model: "n", header: "x-api-key", value: "abc" },
    ]);
  });

  test.each<[string, string, string]>([
    ["is not there", "bearer:env:NONE", "not set, or empty"],
    ["has no file", "bearer:file:/nowhere/at/all", "can't be read: ENOENT"],
    ["is of two lines", `bearer:file:${file("lines", "hush-1\nhush-2")}`, "several lines"],
    ["has no name", `basic:file:${file("nameless", "hush-password")}`, "no colon"],
    ["is too long", `bearer:file:${file("long", "hush".repeat(4000))}`, "at most 8192"],
  ])("that %s is told of without telling it", (_, rule, told) => {
    let thrown: unknown;
    try {
      upstreamKeys({ rules: [rule] }, {});
    } catch (error) {
      thrown = error;
    }
    expect(thrown).toBeInstanceOf(MeshError);
    const { message } = thrown as MeshError;
    expect(message).toContain(told);
    expect(message).not.toContain("hush");
  });
});

test("secrets of one model that are too long together are refused", () => {
  const rules = ["x-a", "x-b", "x-c"].map((header) => `${header}:env:LONG`);
  const env = { LONG: "k".repeat(8000) };
  expect(() => upstreamKeys({ rules: rules.map((rule, at) => `m${at}=${rule}`) }, env)).not.toThrow();
  expect(() => upstreamKeys({ rules }, env)).toThrow(/more than 16384 bytes together/);
});

describe("keys", () => {
  const keys = new UpstreamKeys([
    { model: "", header: "authorization", value: "Bearer all" },
    { model: "m", header: "x-key", value: "one" },
    { model: "m", header: "x-key", value: "two" },
  ]);

  test("of a model take the place of those for every model, and clients' own stay here", () => {
    expect(keys.of("other")?.lines).toEqual([["authorization", "Bearer all"]]);
    expect(keys.of("m")?.lines).toEqual([["x-key", "two"]]);
    expect([...(keys.of("m")?.dropped ?? [])]).toEqual(["authorization", "x-api-key", "x-key"]);
    expect(new UpstreamKeys([]).of("m")).toBeNull();
    expect(new UpstreamKeys([{ model: "m", header: "a", value: "b" }]).of("n")).toBeNull();
  });

  test("come behind every rule of headers", () => {
    const parsed = { models: [], apis: [], requestHeaders: { authorization: "mine" }, requestHeadersAdded: {} };
    const rest = {
      requestHeadersRemoved: [],
      responseHeaders: {},
      responseHeadersAdded: {},
      responseHeadersRemoved: [],
    };
    const body = { defaults: {}, fields: {}, atMost: {}, atLeast: {}, fieldsRemoved: [], systemPrompt: "" };
    const rule = { ...parsed, ...rest, ...body, systemPromptWhen: "always" as const };
    const shape = ALL_SHAPES.find(({ name }) => name === "openai.chat");
    const rewrites = new Rewrites({ rules: [rule] }, keys);
    const lines = rewrites.find(shape!, "other")?.request?.lines;
    expect(Buffer.from(lines ?? []).toString()).toBe("authorization: Bearer all\r\n");
  });
});
