/** The executable, a router and three mock nodes, driven by the official openai client. */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import OpenAI from "openai";
import { Bench, inFlight, nodes, until } from "./harness.ts";
import type { Started } from "./harness.ts";

const bench = new Bench();
let router: Started;
let client: OpenAI;
let model: string;

beforeAll(async () => {
  ({ router } = await bench.mesh(3, [], ["--mock-speed", "10"]));
  client = new OpenAI({ baseURL: `http://${router.address("listen")}/v1`, apiKey: "none", maxRetries: 0 });
  model = (await nodes(router))[0]?.models[0] ?? "";
});

afterAll(() => bench.end());

describe("the openai client through the router", () => {
  test("lists the models of all nodes once", async () => {
    const listed = [];
    for await (const one of client.models.list()) listed.push(one.id);
    expect(listed).toEqual([model]);
    expect((await client.models.retrieve(model)).id).toBe(model);
  });

  test("chats", async () => {
    const answer = await client.chat.completions.create({
      model,
      messages: [{ role: "user", content: "Say something." }],
      max_tokens: 12,
    });
    expect(answer.choices[0]?.message.content?.length).toBeGreaterThan(0);
    expect(answer.usage?.completion_tokens).toBeLessThanOrEqual(12);
  });

  test("streams a chat, with usage at its end", async () => {
    const stream = await client.chat.completions.create({
      model,
      messages: [{ role: "user", content: "Count to ten." }],
      max_tokens: 20,
      stream: true,
      stream_options: { include_usage: true },
    });
    let text = "";
    let usage: OpenAI.CompletionUsage | null | undefined;
    for await (const chunk of stream) {
      text += chunk.choices[0]?.delta.content ?? "";
      usage = chunk.usage ?? usage;
    }
    expect(text.length).toBeGreaterThan(0);
    expect(usage?.completion_tokens).toBeGreaterThan(0);
  });

  test("the same request gives the same text on every node", async () => {
    const ask = async (): Promise<string> => {
      const answer = await client.chat.completions.create({
        model,
        messages: [{ role: "user", content: "Be deterministic." }],
        max_tokens: 16,
        seed: 7,
      });
      return answer.choices[0]?.message.content ?? "";
    };
    const texts = new Set(await Promise.all(Array.from({ length: 6 }, ask)));
    expect(texts.size).toBe(1);
  });

  test("completes, with n and stop", async () => {
    const answer = await client.completions.create({ model, prompt: "Once upon a time", max_tokens: 8, n: 2 });
    expect(answer.choices).toHaveLength(2);
  });

  test("embeds", async () => {
    const answer = await client.embeddings.create({ model, input: ["one", "two"] });
    expect(answer.data).toHaveLength(2);
    expect(answer.data[0]?.embedding.length).toBeGreaterThan(0);
  });

  test("transcribes a multipart body", async () => {
    const file = new File([new Uint8Array(100_000)], "speech.wav");
    const answer = await client.audio.transcriptions.create({ model, file });
    expect(answer.text.length).toBeGreaterThan(0);
  });

  test("an unknown model is 404, in OpenAI's form", async () => {
    const failure = await client.chat.completions
      .create({ model: "nobody", messages: [{ role: "user", content: "?" }] })
      .catch((error: unknown) => error);
    expect(failure).toBeInstanceOf(OpenAI.NotFoundError);
    const error = failure as InstanceType<typeof OpenAI.APIError>;
    expect(error.code).toBe("model_not_found");
    expect(error.param).toBe("model");
    expect(error.requestID).toMatch(/^[0-9a-f]{16}$/);
  });

  test("an aborted stream frees its node at once", async () => {
    const stream = await client.chat.completions.create({
      model,
      messages: [{ role: "user", content: "Talk for long." }],
      max_tokens: 4000,
      stream: true,
    });
    for await (const _chunk of stream) {
      stream.controller.abort();
      break;
    }
    await until(async () => (await inFlight(router)) === 0);
    await until(async () => {
      const metrics = await fetch(`http://${router.address("metrics")}/telemetry`).then((response) => response.text());
      return /code="499"[^\n]* [1-9]/.test(metrics);
    });
  });
});

describe("headers", () => {
  const chat = (headers: Record<string, string> = {}): Promise<Response> =>
    fetch(`http://${router.address("listen")}/v1/chat/completions`, {
      method: "POST",
      headers: { "content-type": "application/json", ...headers },
      body: JSON.stringify({ model, messages: [{ role: "user", content: "hi" }], max_tokens: 2 }),
    });

  test("x-request-id is made, or taken over from the client", async () => {
    expect((await chat()).headers.get("x-request-id")).toMatch(/^[0-9a-f]{16}$/);
    expect((await chat({ "x-request-id": "mine-1" })).headers.get("x-request-id")).toBe("mine-1");
  });

  test("x-infermesh-node names the node that served", async () => {
    expect((await chat()).headers.get("x-infermesh-node")).toMatch(/^node[123]$/);
  });
});
