import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import OpenAI from "openai";
import type { MockRuntime } from "../../src/telemetry/mock-runtime.ts";
import { HELLO, MODEL, idle, start, stopAll, until } from "./mock-server.ts";

let runtime: MockRuntime;
let base: string;
let client: OpenAI;

beforeAll(() => {
  ({ runtime, base, client } = start());
});

afterAll(stopAll);

function post(path: string, body: unknown, init: RequestInit = {}): Promise<Response> {
  const text = typeof body === "string" ? body : JSON.stringify(body);
  return fetch(`${base}${path}`, { method: "POST", body: text, ...init });
}

describe("bad input", () => {
  const chat = { model: MODEL, messages: HELLO };
  const cases: [name: string, path: string, body: unknown, status: number, param: string | null][] = [
    ["broken JSON", "/v1/chat/completions", "{", 400, null],
    ["no object", "/v1/chat/completions", "[1]", 400, null],
    ["an empty body", "/v1/chat/completions", "", 400, null],
    ["no model", "/v1/chat/completions", { messages: HELLO }, 400, "model"],
    ["a model that is no string", "/v1/chat/completions", { ...chat, model: 7 }, 400, "model"],
    ["an unknown model", "/v1/chat/completions", { ...chat, model: "nope" }, 404, "model"],
    ["no messages", "/v1/chat/completions", { model: MODEL }, 400, "messages"],
    ["messages of a wrong type", "/v1/chat/completions", { ...chat, messages: "hi" }, 400, "messages"],
    ["empty messages", "/v1/chat/completions", { ...chat, messages: [] }, 400, "messages"],
    ["a message that is no object", "/v1/chat/completions", { ...chat, messages: [1] }, 400, "messages[0]"],
    [
      "an unknown role",
      "/v1/chat/completions",
      { ...chat, messages: [{ role: "me", content: "" }] },
      400,
      "messages[0].role",
    ],
    ["no content", "/v1/chat/completions", { ...chat, messages: [{ role: "user" }] }, 400, "messages[0].content"],
    [
      "an unknown part",
      "/v1/chat/completions",
      { ...chat, messages: [{ role: "user", content: [{ type: "smell" }] }] },
      400,
      "messages[0].content[0]",
    ],
    ["max_tokens of 0", "/v1/chat/completions", { ...chat, max_tokens: 0 }, 400, "max_tokens"],
    ["max_tokens as text", "/v1/chat/completions", { ...chat, max_tokens: "5" }, 400, "max_tokens"],
    ["n of 0", "/v1/chat/completions", { ...chat, n: 0 }, 400, "n"],
    ["too large an n", "/v1/chat/completions", { ...chat, n: 1_000 }, 400, "n"],
    ["a temperature out of range", "/v1/chat/completions", { ...chat, temperature: 3 }, 400, "temperature"],
    ["top_p as text", "/v1/chat/completions", { ...chat, top_p: "1" }, 400, "top_p"],
    ["stream as text", "/v1/chat/completions", { ...chat, stream: "yes" }, 400, "stream"],
    ["stop of a wrong type", "/v1/chat/completions", { ...chat, stop: [1] }, 400, "stop"],
    ["an empty stop", "/v1/chat/completions", { ...chat, stop: "" }, 400, "stop"],
    ["too many stops", "/v1/chat/completions", { ...chat, stop: Array.from({ length: 17 }, () => "x") }, 400, "stop"],
    ["stream_options without stream", "/v1/chat/completions", { ...chat, stream_options: {} }, 400, "stream_options"],
    [
      "stream_options as text",
      "/v1/chat/completions",
      { ...chat, stream: true, stream_options: 1 },
      400,
      "stream_options",
    ],
    ["an answer beyond the context", "/v1/chat/completions", { ...chat, max_tokens: 131_072 }, 400, "max_tokens"],
    ["a prompt beyond the context", "/v1/completions", { model: MODEL, prompt: "a ".repeat(140_000) }, 400, "prompt"],
    ["an endless prompt", "/v1/completions", { model: MODEL, prompt: "a".repeat(2_000_000) }, 400, "prompt"],
    ["no prompt", "/v1/completions", { model: MODEL }, 400, "prompt"],
    ["an empty prompt", "/v1/completions", { model: MODEL, prompt: "" }, 400, "prompt"],
    ["a prompt of a wrong type", "/v1/completions", { model: MODEL, prompt: {} }, 400, "prompt"],
    ["mixed prompts", "/v1/completions", { model: MODEL, prompt: ["a", 1] }, 400, "prompt"],
    ["negative token ids", "/v1/completions", { model: MODEL, prompt: [1, -1] }, 400, "prompt"],
    ["too many choices", "/v1/completions", { model: MODEL, prompt: Array(100).fill("x"), n: 100 }, 400, "n"],
    ["an inference without a prompt", "/v1/inference", { model: MODEL }, 400, "prompt"],
    ["an inference with a list", "/v1/inference", { model: MODEL, prompt: ["a"] }, 400, "prompt"],
    ["an inference of an unknown model", "/v1/inference", { model: "nope", prompt: "a" }, 404, "model"],
    ["no input", "/v1/embeddings", { model: MODEL }, 400, "input"],
    [
      "an unknown encoding",
      "/v1/embeddings",
      { model: MODEL, input: "a", encoding_format: "hex" },
      400,
      "encoding_format",
    ],
    ["too many dimensions", "/v1/embeddings", { model: MODEL, input: "a", dimensions: 1e6 }, 400, "dimensions"],
    ["an input beyond the context", "/v1/embeddings", { model: MODEL, input: "a ".repeat(140_000) }, 400, "input"],
    ["sound as JSON", "/v1/audio/transcriptions", { model: MODEL }, 400, "file"],
    ["an unknown path", "/v1/nothing", {}, 404, null],
  ];
  test.each(cases)("%s", async (_name, path, body, status, param) => {
    const response = await post(path, body);
    expect(response.status).toBe(status);
    const { error } = (await response.json()) as { error: { message: string; type: string; param: string | null } };
    expect(error.param).toBe(param);
    expect(error.type).toBe("invalid_request_error");
    expect(error.message.length).toBeGreaterThan(5);
  });

  test("multipart without its fields", async () => {
    const send = (fields: Record<string, string | Blob>) => {
      const form = new FormData();
      for (const [name, value] of Object.entries(fields)) form.append(name, value);
      return fetch(`${base}/v1/audio/transcriptions`, { method: "POST", body: form });
    };
    const file = new Blob(["sound"]);
    expect((await send({ file })).status).toBe(400);
    expect((await send({ model: MODEL })).status).toBe(400);
    expect((await send({ model: "nope", file })).status).toBe(404);
    expect((await send({ model: MODEL, file, response_format: "vtt" })).status).toBe(400);
    const headers = { "content-type": "multipart/form-data; boundary=x" };
    expect((await post("/v1/audio/transcriptions", "no parts", { headers })).status).toBe(400);
  });

  test("wrong methods say which is right", async () => {
    const got = await fetch(`${base}/v1/chat/completions`);
    expect([got.status, got.headers.get("allow")]).toEqual([405, "POST"]);
    expect((await post("/v1/models", {})).status).toBe(405);
    expect((await post("/v1/models/x", {})).status).toBe(405);
    expect((await fetch(`${base}/v1/models/%zz`)).status).toBe(404);
  });

  test("the client turns them into its own errors", async () => {
    const ask = (model: string, messages: typeof HELLO) =>
      client.chat.completions.create({ model, messages }).catch((error: unknown) => error);
    expect(await ask("nope", HELLO)).toBeInstanceOf(OpenAI.NotFoundError);
    expect(await ask(MODEL, [])).toBeInstanceOf(OpenAI.BadRequestError);
    await until(idle(runtime), "nothing is left of the bad requests");
  });
});
