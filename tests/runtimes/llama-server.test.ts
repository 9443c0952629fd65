/** llama.cpp's own server with the tiny model: what the adapter and the router are tested against is itself sound. */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import OpenAI from "openai";
import { LLAMA_ROUTER, LLAMA_SERVER, MODEL, MODELS, startLlamaRouter, startLlamaServer } from "./llama-server.ts";
import type { LlamaServer } from "./llama-server.ts";
import { ask, figures } from "./figures.ts";

const TIMEOUT_MS = 60_000;
const EOS = 2;
const messages = [{ role: "user" as const, content: "Tell me a story, please." }];
const client = ({ url }: LlamaServer) =>
  new OpenAI({
    baseURL: `${url}/v1`,
    apiKey: "none",
    maxRetries: 0,
    fetch: (asked, init) => fetch(asked, { ...init, keepalive: false }),
  });
const json = async (url: string) => (await ask(url)).json();

async function until(holds: () => Promise<boolean>, what: string): Promise<void> {
  for (let tries = 0; tries < 1000; tries += 1) {
    if (await holds()) return;
    await Bun.sleep(20);
  }
  throw new Error(`never came true: ${what}`);
}

describe.skipIf(LLAMA_SERVER === null)("a real llama-server", () => {
  let server: LlamaServer;
  beforeAll(async () => {
    server = await startLlamaServer({ slots: 2, lora: true });
  }, TIMEOUT_MS);
  afterAll(() => server.runtime.stop());

  test("tells its health, its model and its slots", async () => {
    expect(await json(`${server.url}/health`)).toEqual({ status: "ok" });
    const listed = [];
    for await (const one of client(server).models.list()) listed.push(one.id);
    expect(listed).toEqual([MODEL]);
    expect(await json(`${server.url}/props`)).toMatchObject({ total_slots: 2, model_alias: MODEL });
    expect(await json(`${server.url}/slots`)).toMatchObject([
      { id: 0, n_ctx: 4096, is_processing: false },
      { id: 1, n_ctx: 4096, is_processing: false },
    ]);
  });

  test("streams as many tokens as are asked for, in valid text, and counts them in its metrics", async () => {
    const before = await figures(`${server.url}/metrics`);
    const stream = await client(server).chat.completions.create({
      model: MODEL,
      messages,
      temperature: 0,
      max_tokens: 48,
      stream: true,
      stream_options: { include_usage: true },
    });
    let text = "";
    let pieces = 0;
    const reasons = new Set<string>();
    let counted: OpenAI.CompletionUsage | undefined;
    for await (const { choices, usage } of stream) {
      const piece = choices[0]?.delta.content ?? "";
      text += piece;
      if (piece !== "") pieces += 1;
      if (choices[0]?.finish_reason) reasons.add(choices[0].finish_reason);
      counted = usage ?? counted;
    }
    expect([...reasons]).toEqual(["length"]);
    expect(counted?.completion_tokens).toBe(48);
    // Each token of the tiny model is text of its own, so each comes by itself.
    expect(pieces).toBe(48);
    expect(text).not.toContain("\uFFFD");
    const after = await figures(`${server.url}/metrics`);
    const grown = (name: string): number => after.get(name)! - before.get(name)!;
    expect(grown("llamacpp:tokens_predicted_total")).toBe(48);
    expect(grown("llamacpp:prompt_tokens_total") + grown("llamacpp:prompt_tokens_cached_total")).toBe(
      counted!.prompt_tokens,
    );
  });

  test("ends by itself where the end is made likely", async () => {
    const { choices } = await client(server).chat.completions.create({
      model: MODEL,
      messages,
      max_tokens: 48,
      logit_bias: { [EOS]: 100 },
    });
    expect(choices[0]!.finish_reason).toBe("stop");
  });

  test("says something else without its adapter", async () => {
    const answer = async (): Promise<string> => {
      const asked = { model: MODEL, messages, temperature: 0, max_tokens: 32 };
      return (await client(server).chat.completions.create(asked)).choices[0]!.message.content!;
    };
    const scaled = (scale: number) =>
      ask(`${server.url}/lora-adapters`, { method: "POST", body: JSON.stringify([{ id: 0, scale }]) });
    const adapted = await answer();
    expect((await scaled(0)).status).toBe(200);
    const plain = await answer();
    expect((await scaled(1)).status).toBe(200);
    expect(plain).not.toBe(adapted);
    expect(await json(`${server.url}/lora-adapters`)).toMatchObject([{ id: 0, scale: 1 }]);
  });

  test("lets requests wait where all slots are taken, and tells so", async () => {
    const closing = new AbortController();
    const asked = Array.from({ length: 4 }, (_, i) =>
      ask(`${server.url}/completion`, {
        method: "POST",
        body: JSON.stringify({ prompt: `${i} and on`, n_predict: -1, stream: true }),
        signal: closing.signal,
      }).catch(() => null),
    );
    const tells = (processing: number, deferred: number) => async (): Promise<boolean> => {
      const now = await figures(`${server.url}/metrics`);
      return (
        now.get("llamacpp:requests_processing") === processing && now.get("llamacpp:requests_deferred") === deferred
      );
    };
    await until(tells(2, 2), "two at work, two waiting");
    closing.abort();
    await Promise.all(asked);
    await until(tells(0, 0), "nothing at work any more");
  }, 60_000);
});

describe.skipIf(LLAMA_SERVER === null)("a real llama-server's process", () => {
  test("serves the same answer after kill -9 and a start on the same port; ends with 0 when asked to", async () => {
    const server = await startLlamaServer();
    await using runtime = server.runtime;
    const answer = async (): Promise<string | null> => {
      const asked = { model: MODEL, messages, temperature: 0, max_tokens: 32 };
      return (await client(server).chat.completions.create(asked)).choices[0]!.message.content;
    };
    const first = await answer();
    await runtime.kill();
    expect(await ask(`${server.url}/health`).catch(() => "gone")).toBe("gone");
    await runtime.restart();
    expect(await answer()).toBe(first);
    expect(await runtime.end()).toBe(0);
  }, 120_000);

  test("asks for the key that it was given", async () => {
    const { runtime, url } = await startLlamaServer({ flags: ["--api-key", "secret"] });
    await using _ = runtime;
    expect((await ask(`${url}/metrics`)).status).toBe(401);
    expect((await ask(`${url}/metrics`, { headers: { authorization: "Bearer secret" } })).status).toBe(200);
    // Only its health is told to anyone.
    expect((await ask(`${url}/v1/models`)).status).toBe(401);
  }, 60_000);

  test("a start that fails tells what the server said", async () => {
    let failed = "";
    await startLlamaServer({ flags: ["--model", "/nonexistent.gguf"] }).catch((error: Error) => {
      failed = error.message;
    });
    expect(failed).toContain("does not serve at http://127.0.0.1:");
    expect(failed).toContain("nonexistent.gguf");
  }, 60_000);
});

describe.skipIf(LLAMA_ROUTER === null)("a real llama-server in router mode", () => {
  test("loads and lets go the models that it is told to, and says how each is", async () => {
    const { runtime, url } = await startLlamaRouter();
    await using _ = runtime;
    const states = async (): Promise<Record<string, string>> => {
      const { data } = (await (await ask(`${url}/models`)).json()) as {
        data: { id: string; status: { value: string } }[];
      };
      return Object.fromEntries(data.map(({ id, status }) => [id, status.value]));
    };
    const say = (what: string, model: string) =>
      ask(`${url}/models/${what}`, { method: "POST", body: JSON.stringify({ model }) });
    const [one, two] = MODELS;
    expect(await states()).toEqual({ [one]: "unloaded", [two]: "unloaded" });
    expect((await say("load", one)).status).toBe(200);
    await until(async () => (await states())[one] === "loaded", "the first is loaded");
    const { choices } = await client({ runtime, url }).chat.completions.create({ model: one, messages, max_tokens: 4 });
    expect(choices[0]!.finish_reason).toBe("length");
    // Only one fits, so the other takes its place.
    expect((await say("load", two)).status).toBe(200);
    await until(async () => (await states())[two] === "loaded", "the second is loaded");
    expect(await states()).toEqual({ [one]: "unloaded", [two]: "loaded" });
    expect((await say("unload", two)).status).toBe(200);
    await until(async () => (await states())[two] === "unloaded", "none is loaded");
  }, 120_000);
});
