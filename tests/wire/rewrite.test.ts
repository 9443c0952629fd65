import { describe, expect, test } from "bun:test";
import { formatFault } from "../../src/base/field.ts";
import {
  defaultsOf,
  finishDraft,
  newDraft,
  parseSection,
  readText,
  settingsOf,
  writeSection,
} from "../../src/base/settings-reading.ts";
import { sampleFile } from "../../src/base/sample-file.ts";
import { ApiPath } from "../../src/wire/api-path.ts";
import type { ApiShape } from "../../src/wire/api-shapes.ts";
import { METHOD } from "../../src/wire/http1.ts";
import { Rewrites } from "../../src/wire/rewrite.ts";
import type { HeaderRewrite, Rewrite } from "../../src/wire/rewrite.ts";
import { rewriteSettings } from "../../src/wire/rewrite-settings.ts";

function shapeOf(path: string): ApiShape {
  const bytes = Buffer.from(path);
  return new ApiPath().read(bytes, 0, bytes.length, METHOD.POST);
}

const CHAT = shapeOf("/v1/chat/completions");
const MESSAGES = shapeOf("/v1/messages");
const EMBEDDINGS = shapeOf("/v1/embeddings");

function rewritesOf(...rules: object[]): Rewrites {
  const { value, faults } = parseSection(rewriteSettings, { rules });
  if (value === undefined) throw new Error(faults.map(formatFault).join("\n"));
  expect(parseSection(rewriteSettings, writeSection(rewriteSettings, value)).value).toEqual(value);
  return new Rewrites(value);
}

function faultsOf(...rules: unknown[]): string {
  return (parseSection(rewriteSettings, { rules }).faults ?? []).map(formatFault).join("\n");
}

function bodyOf(rewrite: Rewrite | null, text: string): string {
  const body = Buffer.from(text);
  const editor = rewrite?.body ?? null;
  if (editor === null) return "no edits";
  const result = editor.edit(body, 0, body.length);
  return result === "edited" ? Buffer.from(editor.take()).toString() : result;
}

const linesOf = (headers: HeaderRewrite | null | undefined) => Buffer.from(headers?.lines ?? []).toString("latin1");

function drops(headers: HeaderRewrite | null | undefined, name: string): boolean | undefined {
  return headers?.drops(Buffer.from(`x${name}y`), 1, 1 + name.length);
}

describe("which rules fit", () => {
  test("none cost nothing", () => {
    const rewrites = new Rewrites(defaultsOf(rewriteSettings));
    expect([rewrites.isEmpty, rewrites.find(CHAT, "m")]).toEqual([true, null]);
  });

  test("by model, by API and by family", () => {
    const rewrites = rewritesOf(
      { models: ["a"], fields: { x: 1 } },
      { apis: ["openai.chat"], fields: { y: 2 } },
      { apis: ["anthropic", "ollama"], models: ["b"], fields: { z: 3 } },
    );
    expect(rewrites.isEmpty).toBe(false);
    expect(bodyOf(rewrites.find(CHAT, "a"), "{}")).toBe('{"x":1,"y":2}');
    expect(bodyOf(rewrites.find(CHAT, "b"), "{}")).toBe('{"y":2}');
    expect(bodyOf(rewrites.find(MESSAGES, "b"), "{}")).toBe('{"z":3}');
    expect(rewrites.find(EMBEDDINGS, "b")).toBeNull();
    expect(rewrites.find(EMBEDDINGS, "b")).toBeNull();
    expect(rewrites.find(CHAT, "a")).toBe(rewrites.find(CHAT, "a"));
  });

  test("names from outside don't fill memory", () => {
    const rewrites = rewritesOf({ fields: { x: 1 } });
    const first = rewrites.find(CHAT, "m");
    for (let i = 0; i < 8192; i++) rewrites.find(EMBEDDINGS, `m${i}`);
    expect(rewrites.find(CHAT, "m")).not.toBe(first);
    expect(bodyOf(rewrites.find(CHAT, "m"), "{}")).toBe('{"x":1}');
  });
});

describe("bodies", () => {
  test("defaults, forced values, limits, stripped fields and a prompt in one pass", () => {
    const rewrites = rewritesOf({
      defaults: { max_tokens: 4096, top_p: 0.9 },
      fields: { seed: 7, stop: ["\n"] },
      atMost: { max_tokens: 1024, n: 4 },
      atLeast: { temperature: 0.1 },
      fieldsRemoved: ["user", "logit_bias"],
      systemPrompt: "Be kind.\nBe brief.",
    });
    const body = '{"model":"m","user":"u","n":9,"temperature":0,"seed":1,"messages":[{"role":"user","content":"hi"}]}';
    expect(JSON.parse(bodyOf(rewrites.find(CHAT, "m"), body))).toEqual({
      model: "m",
      n: 4,
      temperature: 0.1,
      seed: 7,
      stop: ["\n"],
      max_tokens: 1024,
      top_p: 0.9,
      messages: [
        { role: "system", content: "Be kind.\nBe brief." },
        { role: "user", content: "hi" },
      ],
    });
  });

  test("the prompt stands where the API has it, and nowhere else", () => {
    const rewrites = rewritesOf({ systemPrompt: "S", systemPromptWhen: "absent" });
    expect(bodyOf(rewrites.find(MESSAGES, "m"), '{"messages":[]}')).toBe('{"messages":[],"system":"S"}');
    expect(bodyOf(rewrites.find(MESSAGES, "m"), '{"system":"x"}')).toBe("same");
    expect(bodyOf(rewrites.find(shapeOf("/v1/responses"), "m"), "{}")).toBe('{"instructions":"S"}');
    expect(bodyOf(rewrites.find(shapeOf("/api/generate"), "m"), "{}")).toBe('{"system":"S"}');
    expect(rewrites.find(EMBEDDINGS, "m")).toBeNull();
  });

  test("the model's name goes the same way", () => {
    const editor = rewritesOf({ fields: { x: 1 } }).find(CHAT, "m")?.body;
    const body = Buffer.from('{"model":"alias"}');
    expect(editor?.edit(body, 0, body.length, Buffer.from('"m"'))).toBe("edited");
    expect(Buffer.from(editor?.take() ?? []).toString()).toBe('{"model":"m","x":1}');
  });

  test("limits of several rules narrow, later values win", () => {
    const rewrites = rewritesOf(
      { atMost: { n: 5 }, fields: { x: 1 } },
      { atMost: { n: 3 }, fields: { x: 2 } },
      { atLeast: { n: 4 } },
    );
    expect(bodyOf(rewrites.find(CHAT, "m"), '{"n":9}')).toBe('{"n":3,"x":2}');
  });
});

describe("headers", () => {
  test("come in place of others, besides them, or not at all", () => {
    const rewrite = rewritesOf(
      {
        requestHeaders: { "X-Tenant": "a b", Authorization: "Bearer t" },
        requestHeadersAdded: { via: "1.1 mesh" },
        requestHeadersRemoved: ["Cookie"],
        responseHeadersRemoved: ["server"],
      },
      { requestHeaders: { "x-tenant": "c" }, responseHeaders: { "cache-control": "no-store" } },
    ).find(EMBEDDINGS, "m");
    expect(linesOf(rewrite?.request)).toBe("authorization: Bearer t\r\nvia: 1.1 mesh\r\nx-tenant: c\r\n");
    for (const name of ["x-tenant", "X-TENANT", "cookie", "AUTHORIZATION"])
      expect(drops(rewrite?.request, name)).toBe(true);
    for (const name of ["via", "x-tenan", "x-tenants", "x\rtenant"]) expect(drops(rewrite?.request, name)).toBe(false);
    expect(linesOf(rewrite?.response)).toBe("cache-control: no-store\r\n");
    expect([drops(rewrite?.response, "Server"), drops(rewrite?.response, "cookie")]).toEqual([true, false]);
    expect(rewrite?.body).toBeNull();
  });

  test("a later rule takes away what an earlier one added", () => {
    const rewrite = rewritesOf(
      { requestHeadersAdded: { "x-a": "1", x_b: "2" } },
      { requestHeadersRemoved: ["X-A"] },
    ).find(CHAT, "m");
    expect(linesOf(rewrite?.request)).toBe("x_b: 2\r\n");
    expect([drops(rewrite?.request, "x-a"), rewrite?.response]).toEqual([true, null]);
  });
});

describe("what is refused", () => {
  test.each<[unknown, string]>([
    ["x", 'rules[0]: found "x"; expected a rule'],
    [{ model: "m" }, 'rules[0].model: found "m"; no such key; did you mean models?'],
    [{ apis: ["openai.chats"] }, "did you mean openai.chat?"],
    [{ apis: ["/v1/x"] }, "rules[0].apis[0]"],
    [{ requestHeaders: { "transfer-encoding": "x" } }, 'rules[0].requestHeaders: found "transfer-encoding"'],
    [{ requestHeaders: { Content_Length: "5" } }, "not the router's own"],
    [{ requestHeadersAdded: { HOST: "x" } }, "not the router's own"],
    [{ requestHeadersRemoved: ["Content-Length"] }, "rules[0].requestHeadersRemoved"],
    [{ responseHeaders: { "x-infermesh-node": "x" } }, "not the router's own"],
    [{ responseHeadersRemoved: ["x-request-id"] }, "not the router's own"],
    [{ responseHeadersAdded: { connection: "close" } }, "not the router's own"],
    [{ requestHeaders: { a: "x\r\nb: c" } }, "a header's value"],
    [{ requestHeaders: { a: " x" } }, "a header's value"],
    [{ requestHeaders: { "a b": "x" } }, "a name of at most 64"],
    [{ requestHeadersRemoved: ["a:b"] }, "a header's name"],
    [{ fields: { model: "m" } }, "routes and frames nothing"],
    [{ fieldsRemoved: ["stream"] }, "routes and frames nothing"],
    [{ atMost: { n: "5" } }, "rules[0].atMost.n"],
    [{ atMost: { n: 1 }, atLeast: { n: 2 } }, "rules[0].atLeast.n: found 2; expected at most 1"],
    [{ defaults: { x: Number.NaN } }, "a JSON value"],
    [{ defaults: { x: Infinity } }, "a JSON value"],
    [{ defaults: { x: Array.from({ length: 1001 }, () => 0) } }, "a JSON value"],
    [{ defaults: { x: "x".repeat(20_000) } }, "a JSON value"],
    [{ defaults: { x: undefined } }, "a JSON value"],
    [{ systemPrompt: 5 }, "text of at most"],
    [{ systemPrompt: "x".repeat(16_385) }, "text of at most"],
    [{ systemPromptWhen: "never" }, "always, absent"],
  ])("%j", (rule, why) => {
    expect(faultsOf(rule)).toContain(why);
  });

  test("every fault of every rule is told", () => {
    expect(faultsOf({ models: [""] }, 5, { apis: ["x"] }).split("\n").length).toBe(3);
    expect(parseSection(rewriteSettings, { rules: {} }).faults?.length).toBe(1);
    expect(parseSection(rewriteSettings, { rules: Array.from({ length: 257 }, () => ({})) }).faults?.length).toBe(1);
  });

  test("more header lines than heads have room for", () => {
    const long = Object.fromEntries(Array.from({ length: 9 }, (_, i) => [`x-${i}`, "v".repeat(1000)]));
    expect(faultsOf({ requestHeaders: long }, { requestHeadersAdded: long })).toContain("bytes of request headers");
    expect(faultsOf({ responseHeaders: long, responseHeadersAdded: long })).toContain("bytes of response headers");
    expect(parseSection(rewriteSettings, { rules: [{ requestHeaders: long, responseHeaders: long }] }).faults).toBe(
      undefined,
    );
  });

  test("a tree without end", () => {
    const endless: unknown[] = [];
    endless.push(endless, endless);
    expect(faultsOf({ defaults: { x: endless } })).toContain("a JSON value");
  });
});

describe("in the settings", () => {
  const setting = settingsOf(rewriteSettings)[0];
  if (setting === undefined) throw new Error("no setting");

  test("as JSON in a flag", () => {
    const read = (raw: string) => {
      const draft = newDraft();
      readText({ setting, raw, source: "flag --rewrite-rules" }, draft);
      return finishDraft(rewriteSettings, draft);
    };
    expect(read('[{"fields":{"x":null}}]').value?.rules[0]?.fields).toEqual({ x: "null" });
    expect(read("[{").faults?.map(formatFault).join()).toContain("flag --rewrite-rules");
    expect(read('[{"apis":["x"]}]').faults?.map(formatFault).join()).toContain("(flag --rewrite-rules)");
  });

  test("the sample file tells a rule's keys", () => {
    const sample = sampleFile(rewriteSettings, "sample").replaceAll("\n# ", " ");
    expect(sample).toContain("systemPromptWhen");
    expect(sample).toContain("rules: []");
  });
});
