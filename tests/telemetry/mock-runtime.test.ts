import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import OpenAI from "openai";
import { NO_FAULTS } from "../../src/sim/faults.ts";
import { PROFILES } from "../../src/sim/profile.ts";
import type { Profile } from "../../src/sim/profile.ts";
import { startMockRuntime } from "../../src/telemetry/mock-runtime.ts";
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

describe("chat", () => {
  test("answers with text, usage and the reason to end", async () => {
    const answer = await client.chat.completions.create({ model: MODEL, messages: HELLO, max_tokens: 12 });
    expect(answer.object).toBe("chat.completion");
    expect(answer.model).toBe(MODEL);
    expect(answer.choices).toHaveLength(1);
    expect(answer.choices[0]!.message.role).toBe("assistant");
    expect(answer.choices[0]!.message.content!.length).toBeGreaterThan(20);
    expect(answer.choices[0]!.finish_reason).toBe("length");
    const usage = answer.usage!;
    expect(usage.completion_tokens).toBe(12);
    expect(usage.total_tokens).toBe(usage.prompt_tokens + 12);
  });

  test("the same request gives the same text, and finds its prompt in the cache", async () => {
    const ask = () => client.chat.completions.create({ model: MODEL, messages: [...HELLO, ...HELLO], max_tokens: 30 });
    const [first, second] = [await ask(), await ask()];
    expect(second.choices[0]!.message.content).toBe(first.choices[0]!.message.content);
    const { prompt_tokens, prompt_tokens_details } = second.usage!;
    expect(prompt_tokens_details!.cached_tokens).toBe(Math.floor((prompt_tokens - 1) / 16) * 16);
    const other = await client.chat.completions.create({ model: "second-model", messages: HELLO, max_tokens: 30 });
    expect(other.choices[0]!.message.content).not.toBe(first.choices[0]!.message.content);
    expect(other.usage!.prompt_tokens_details!.cached_tokens).toBe(0);
  });

  test("the next turn of a conversation finds the answer before it in the cache", async () => {
    const messages: OpenAI.ChatCompletionMessageParam[] = [
      { role: "user", content: "Begin a long story, turn by turn." },
    ];
    const first = await client.chat.completions.create({ model: MODEL, messages, max_tokens: 200 });
    messages.push(
      { role: "assistant", content: first.choices[0]!.message.content },
      { role: "user", content: "Go on." },
    );
    const second = await client.chat.completions.create({ model: MODEL, messages, max_tokens: 1 });
    expect(second.usage!.prompt_tokens_details!.cached_tokens).toBeGreaterThan(first.usage!.total_tokens - 17);
  });

  test("ends of itself when no length is asked for", async () => {
    const answer = await client.chat.completions.create({ model: MODEL, messages: HELLO });
    expect(answer.choices[0]!.finish_reason).toBe("stop");
    expect(answer.usage!.completion_tokens).toBeGreaterThanOrEqual(16);
    expect(answer.usage!.completion_tokens).toBeLessThanOrEqual(256);
    const cut = { model: MODEL, messages: HELLO, max_tokens: 100_000, ignore_eos: false };
    expect((await client.chat.completions.create(cut)).usage!.completion_tokens).toBe(answer.usage!.completion_tokens);
  });

  test("streams the same text token by token, with the usage when asked for", async () => {
    const whole = await client.chat.completions.create({ model: MODEL, messages: HELLO, max_tokens: 25 });
    const stream = await client.chat.completions.create({
      model: MODEL,
      messages: HELLO,
      max_completion_tokens: 25,
      stream: true,
      stream_options: { include_usage: true },
    });
    const chunks: OpenAI.ChatCompletionChunk[] = [];
    for await (const chunk of stream) chunks.push(chunk);
    expect(chunks[0]!.choices[0]!.delta).toMatchObject({ role: "assistant", content: "" });
    const contents = chunks.flatMap((chunk) => chunk.choices.map((choice) => choice.delta.content ?? ""));
    expect(contents.filter((text) => text !== "")).toHaveLength(25);
    expect(contents.join("")).toBe(whole.choices[0]!.message.content!);
    expect(chunks.at(-2)!.choices[0]).toMatchObject({ delta: {}, finish_reason: "length" });
    expect(chunks.at(-1)!.choices).toEqual([]);
    expect(chunks.at(-1)!.usage!.completion_tokens).toBe(25);
    expect(chunks[0]!.usage).toBeNull();
    expect(new Set(chunks.map(({ id }) => id)).size).toBe(1);
    expect(chunks[0]!.object).toBe("chat.completion.chunk");
  });

  test("ends a stream with [DONE], each event on its own", async () => {
    const response = await post("/v1/chat/completions", { model: MODEL, messages: HELLO, max_tokens: 3, stream: true });
    expect(response.headers.get("content-type")).toStartWith("text/event-stream");
    const events = (await response.text()).split("\n\n");
    expect(events.splice(-2)).toEqual(["data: [DONE]", ""]);
    expect(events).toHaveLength(1 + 3 + 1);
    for (const event of events) expect(JSON.parse(event.slice("data: ".length)).usage).toBeUndefined();
  });

  test("gives n different choices that share the prompt", async () => {
    const params = {
      model: MODEL,
      messages: [{ role: "user" as const, content: "n ".repeat(200) }],
      n: 3,
      max_tokens: 20,
    };
    const answer = await client.chat.completions.create(params);
    expect(answer.choices.map(({ index }) => index)).toEqual([0, 1, 2]);
    expect(new Set(answer.choices.map(({ message }) => message.content)).size).toBe(3);
    expect(answer.usage!.completion_tokens).toBe(60);
    const texts = ["", "", ""];
    for await (const chunk of await client.chat.completions.create({ ...params, stream: true })) {
      for (const { index, delta } of chunk.choices) texts[index] += delta.content ?? "";
    }
    expect(texts).toEqual(answer.choices.map(({ message }) => message.content!));
  });

  test("a stop sequence cuts the text, across token borders too", async () => {
    const ask = (stop?: string[]) =>
      client.chat.completions.create({ model: MODEL, messages: HELLO, max_tokens: 60, ...(stop ? { stop } : {}) });
    const text = (await ask()).choices[0]!.message.content!;
    for (const [from, length] of [
      [20, 1],
      [31, 7],
      [90, 13],
    ] as const) {
      const stop = text.slice(from, from + length);
      const answer = await ask(["never to be found", stop]);
      expect(answer.choices[0]!.message.content).toBe(text.slice(0, text.indexOf(stop)));
      expect(answer.choices[0]!.finish_reason).toBe("stop");
      expect(answer.usage!.completion_tokens).toBeLessThan(60);
      const stream = await client.chat.completions.create({
        model: MODEL,
        messages: HELLO,
        stop,
        max_tokens: 60,
        stream: true,
      });
      let streamed = "";
      for await (const chunk of stream) streamed += chunk.choices[0]!.delta.content ?? "";
      expect(streamed).toBe(text.slice(0, text.indexOf(stop)));
    }
  });

  test("takes content in parts and assistants that said nothing", async () => {
    const answer = await client.chat.completions.create({
      model: MODEL,
      max_tokens: 1,
      messages: [
        {
          role: "user",
          content: [
            { type: "text", text: "What is this?" },
            { type: "image_url", image_url: { url: "x" } },
          ],
        },
        { role: "assistant", content: null, tool_calls: [] },
        { role: "tool", tool_call_id: "1", content: "42" },
      ],
    });
    expect(answer.usage!.prompt_tokens).toBeGreaterThan(500);
  });
});

describe("completions and inference", () => {
  test("take a string, strings, token ids and lists of them", async () => {
    const ask = (prompt: string | string[] | number[] | number[][]) =>
      client.completions.create({ model: MODEL, prompt, max_tokens: 5 });
    const one = await ask("The river");
    expect(one.object).toBe("text_completion");
    expect(one.choices[0]).toMatchObject({ index: 0, finish_reason: "length" });
    expect((await ask(["The river", "The bridge"])).choices).toHaveLength(2);
    const ids = await ask([1, 2, 3]);
    expect(ids.usage!.prompt_tokens).toBe(3);
    expect((await ask([[1, 2, 3], [4]])).choices[0]!.text).toBe(ids.choices[0]!.text);
    expect((await client.completions.create({ model: MODEL, prompt: "x" })).usage!.completion_tokens).toBe(16);
  });

  test("echo the prompt, and stream", async () => {
    const params = { model: MODEL, prompt: "The river", max_tokens: 6, echo: true };
    const { text } = (await client.completions.create(params)).choices[0]!;
    expect(text).toStartWith("The river");
    let streamed = "";
    let reason: string | null = null;
    for await (const chunk of await client.completions.create({ ...params, stream: true })) {
      streamed += chunk.choices[0]!.text;
      reason = chunk.choices[0]!.finish_reason ?? reason;
    }
    expect([streamed, reason]).toEqual([text, "length"]);
  });

  test("/v1/inference answers a prompt plainly", async () => {
    const response = await post("/v1/inference", { model: MODEL, prompt: "Say something" });
    const answer = (await response.json()) as {
      output: string;
      finish_reason: string;
      usage: { completion_tokens: number };
    };
    expect(answer.finish_reason).toBe("stop");
    expect(answer.output.length).toBeGreaterThan(30);
    expect(answer.usage.completion_tokens).toBeGreaterThanOrEqual(16);
  });
});

describe("embeddings and transcriptions", () => {
  test("vectors have length 1 and are the same by either encoding", async () => {
    const byClient = await client.embeddings.create({ model: MODEL, input: ["a", "b"], dimensions: 64 });
    expect(byClient.data.map(({ index }) => index)).toEqual([0, 1]);
    const first = byClient.data[0]!.embedding;
    expect(first).toHaveLength(64);
    expect(first.reduce((sum, value) => sum + value * value, 0)).toBeCloseTo(1, 4);
    expect(byClient.data[1]!.embedding).not.toEqual(first);
    const plain = await client.embeddings.create({
      model: MODEL,
      input: "a",
      dimensions: 64,
      encoding_format: "float",
    });
    expect(plain.data[0]!.embedding).toEqual(first);
    expect(plain.usage).toEqual({ prompt_tokens: 1, total_tokens: 1 });
    expect((await client.embeddings.create({ model: MODEL, input: [1, 2] })).data[0]!.embedding).toHaveLength(1_024);
  });

  test("sound becomes text in each format", async () => {
    const file = new File([new Uint8Array(100_000)], "speech.wav");
    const answer = await client.audio.transcriptions.create({ model: MODEL, file });
    expect(answer.text.length).toBeGreaterThan(10);
    const text = await client.audio.transcriptions.create({ model: MODEL, file, response_format: "text" });
    expect(text.trim()).toBe(answer.text);
    const verbose = await client.audio.transcriptions.create({ model: MODEL, file, response_format: "verbose_json" });
    expect(verbose.duration).toBe(4);
  });
});

describe("models, health and headers", () => {
  test("lists its models and describes one", async () => {
    const models = await client.models.list();
    expect(models.data.map(({ id }) => id)).toEqual([MODEL, "second-model"]);
    expect((await client.models.retrieve(MODEL)).object).toBe("model");
  });

  test("health, request ids and HEAD", async () => {
    const healthy = await fetch(`${base}/health`, { headers: { "x-request-id": "mine-1" } });
    expect([healthy.status, healthy.headers.get("x-request-id")]).toEqual([200, "mine-1"]);
    expect((await fetch(`${base}/health`, { method: "HEAD" })).status).toBe(200);
    const made = await post("/v1/completions", { model: MODEL, prompt: "x", max_tokens: 1 });
    expect(made.headers.get("x-request-id")!.length).toBeGreaterThan(10);
    const failed = await post("/v1/completions", "{", { headers: { "x-request-id": "mine-2" } });
    expect(failed.headers.get("x-request-id")).toBe("mine-2");
  });

  test("metrics carry vLLM's names and labels, and count", async () => {
    await client.chat.completions.create({ model: MODEL, messages: HELLO, max_tokens: 3 });
    const response = await fetch(`${base}/metrics`);
    expect(response.headers.get("content-type")).toStartWith("text/plain; version=0.0.4");
    const text = await response.text();
    const labels = `model_name="${MODEL}",engine="0"`;
    for (const name of [
      "num_requests_running",
      "num_requests_waiting",
      "kv_cache_usage_perc",
      "num_preemptions_total",
    ]) {
      expect(text).toContain(`vllm:${name}{${labels}} 0\n`);
    }
    const value = (prefix: string) =>
      Number(
        text
          .split("\n")
          .find((line) => line.startsWith(prefix))
          ?.split(" ")
          .at(-1),
      );
    expect(value("vllm:prompt_tokens_total")).toBeGreaterThan(0);
    expect(value("vllm:prefix_cache_queries_total")).toBeGreaterThanOrEqual(value("vllm:prefix_cache_hits_total"));
    expect(value(`vllm:request_success_total{finished_reason="length"`)).toBeGreaterThan(0);
    expect(text).toContain(`vllm:cache_config_info{block_size="16",num_gpu_blocks="${PROFILES["h100-8b"].kvBlocks}"`);
    for (const name of ["time_to_first_token_seconds", "inter_token_latency_seconds", "e2e_request_latency_seconds"]) {
      const count = value(`vllm:${name}_count`);
      expect(count).toBeGreaterThan(0);
      expect(value(`vllm:${name}_bucket{le="+Inf"`)).toBe(count);
    }
    expect(text).toContain(`vllm:time_to_first_token_seconds_bucket{le="1.0",`);
  });
});

describe("clients that go", () => {
  const long = { model: MODEL, messages: HELLO, max_tokens: 100_000 };

  test("free their place at once, plain and streamed", async () => {
    const slow = start({ speed: 1 });
    const plain = new AbortController();
    const streamed = new AbortController();
    const waiting = slow.client.chat.completions
      .create(long, { signal: plain.signal })
      .catch((error: unknown) => error);
    const stream = await slow.client.chat.completions.create({ ...long, stream: true }, { signal: streamed.signal });
    const reader = stream[Symbol.asyncIterator]();
    await reader.next();
    await until(() => slow.runtime.stats().running === 2, "both run");
    expect(slow.runtime.sample().requestsInProgress).toBe(2);
    streamed.abort();
    await until(() => slow.runtime.stats().running === 1, "the streamed one is gone");
    plain.abort();
    await until(idle(slow.runtime), "both are gone");
    expect(await waiting).toBeInstanceOf(OpenAI.APIUserAbortError);
    expect(slow.runtime.sample().failedResponses).toBe(0);
    expect(await (await fetch(`${slow.base}/metrics`)).text()).toContain(
      'finished_reason="abort",model_name="tiny-model",engine="0"} 2',
    );
  });

  test("free their place in the queue, too", async () => {
    const profile: Profile = { ...PROFILES["h100-8b"], runningMax: 1 };
    const narrow = start({ speed: 1, profile });
    const controllers = [new AbortController(), new AbortController()];
    const asked = controllers.map(({ signal }) =>
      narrow.client.chat.completions.create(long, { signal }).catch(() => 0),
    );
    await until(() => narrow.runtime.stats().waiting === 1, "one waits");
    for (const controller of controllers.toReversed()) controller.abort();
    await Promise.all(asked);
    await until(idle(narrow.runtime), "both are gone");
  });
});

describe("faults", () => {
  test("are checked before they are applied", () => {
    const { faults } = start().runtime;
    const errors = [
      null,
      [],
      3,
      { slow: 0 },
      { slow: "3" },
      { stall: 1 },
      { errorRate: 2 },
      { crash: "yes" },
      { fire: 1 },
    ];
    for (const wrong of errors) {
      const result = faults.set(wrong);
      expect("error" in result && result.error.message.length > 10).toBe(true);
    }
    expect(faults.get()).toEqual(NO_FAULTS);
    expect(faults.set({ slow: 3, errorRate: 0.5 })).toEqual({
      faults: { ...NO_FAULTS, slow: 3, errorRate: 0.5 },
    });
    expect(faults.clear()).toEqual(NO_FAULTS);
  });

  test("an error rate answers seeded 500s and counts them", async () => {
    const broken = start({ seed: 5 });
    broken.runtime.faults.set({ errorRate: 0.5 });
    const statuses: number[] = [];
    for (let index = 0; index < 20; index += 1) {
      const ask = broken.client.completions.create({ model: MODEL, prompt: "x", max_tokens: 1 });
      statuses.push(
        await ask.then(() => 200).catch((error: InstanceType<typeof OpenAI.APIError>) => error.status as number),
      );
    }
    const failed = statuses.filter((status) => status === 500).length;
    expect(failed > 3 && failed < 17 && statuses.every((status) => status === 200 || status === 500)).toBe(true);
    expect(broken.runtime.sample().failedResponses).toBe(failed);
  });

  test("a stall freezes what runs, health goes on, and clearing lets all end", async () => {
    const frozen = start();
    const stream = await frozen.client.chat.completions.create({
      model: MODEL,
      messages: HELLO,
      max_tokens: 3_000,
      stream: true,
    });
    const reader = stream[Symbol.asyncIterator]();
    await reader.next();
    frozen.runtime.faults.set({ stall: true });
    const late = frozen.client.completions.create({ model: MODEL, prompt: "x", max_tokens: 1 });
    await until(() => frozen.runtime.stats().waiting === 1, "the late one waits");
    const before = frozen.runtime.stats().generationTokens;
    expect((await fetch(`${frozen.base}/health`)).status).toBe(200);
    await Bun.sleep(30);
    expect(frozen.runtime.stats().generationTokens).toBe(before);
    frozen.runtime.faults.clear();
    expect((await late).choices).toHaveLength(1);
    while (!(await reader.next()).done);
    await until(idle(frozen.runtime), "all have ended");
  });

  test("slow shows in the measured prefill rate; a crash calls back", async () => {
    let crashes = 0;
    const one = start({ onCrash: () => (crashes += 1) });
    const rate = () => one.runtime.sample().models[0]!.prefillTokensPerSecond!;
    const ask = () => {
      asked += 1;
      return one.client.completions.create({
        model: MODEL,
        prompt: `${asked} ${"word ".repeat(3_000)}`,
        max_tokens: 1,
      });
    };
    let asked = 0;
    await ask();
    const normal = rate();
    expect(normal).toBeCloseTo(200 * PROFILES["h100-8b"].prefillTokensPerSecond, -3);
    one.runtime.faults.set({ slow: 10 });
    for (let index = 0; index < 8; index += 1) await ask();
    expect(rate()).toBeLessThan(normal / 2);
    one.runtime.faults.set({ crash: true });
    expect(crashes).toBe(1);
  });
});

describe("samples and stop", () => {
  test("the sample tells load, rates and GPUs", async () => {
    const busy = start({ speed: 1, gpus: 2, profile: "h100-8b" });
    const controller = new AbortController();
    const ask = { model: MODEL, messages: HELLO, max_tokens: 50_000 };
    const running = busy.client.chat.completions.create(ask, { signal: controller.signal }).catch(() => undefined);
    await until(() => (busy.runtime.gpus.readings[0]!.load?.utilization ?? 0) > 0.02, "the GPU is at work");
    const sample = busy.runtime.sample();
    expect(sample).toMatchObject({ ready: true, draining: false, requestsInProgress: 1, failedResponses: 0 });
    expect(sample.models.map(({ model }) => model)).toEqual([MODEL, "second-model"]);
    expect(sample.models[0]).toMatchObject({
      runningRequests: 1,
      waitingRequests: 0,
      queuedPrefillTokens: 0,
      slots: 1_024,
    });
    expect(sample.models[0]!.kvUsage).toBeGreaterThan(0);
    expect(sample.models[0]!.kvCapacityTokens).toBe(PROFILES["h100-8b"].kvBlocks * 16);
    const [first, second] = busy.runtime.gpus.readings;
    expect(first!.load!.powerWatts!).toBeGreaterThan(second!.load!.powerWatts!);
    expect(first!.load!.memoryUsedBytes!).toBeGreaterThan(16e9);
    expect(second!.load).toMatchObject({ utilization: 0, memoryUsedBytes: 0, throttleReasons: ["idle"] });
    expect(first!.uuid).not.toBe(second!.uuid);
    const uuidAt = (machine: string) => start({ machine }).runtime.gpus.readings[0]?.uuid;
    expect(uuidAt("node1")).toBe(uuidAt("node1"));
    expect(uuidAt("node1")).not.toBe(uuidAt("node2"));
    expect(first!.uuid).toMatch(/^GPU-[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/);
    controller.abort();
    await running;
  });

  test("stop lets what runs finish, refuses what is new, then closes", async () => {
    const ending = start({ speed: 20 });
    const running = ending.client.chat.completions.create({ model: MODEL, messages: HELLO, max_tokens: 300 });
    await until(() => ending.runtime.stats().running === 1, "it runs");
    const stopped = ending.runtime.stop(10_000);
    const refused = await fetch(`${ending.base}/v1/completions`, { method: "POST", body: "{}" });
    expect(refused.status).toBe(503);
    expect((await fetch(`${ending.base}/health`)).status).toBe(503);
    expect((await running).usage!.completion_tokens).toBe(300);
    await stopped;
    expect(fetch(`${ending.base}/health`)).rejects.toThrow();
  });

  test("stop without patience breaks off what runs", async () => {
    const ending = start({ speed: 1 });
    const stream = await ending.client.chat.completions.create({
      model: MODEL,
      messages: HELLO,
      max_tokens: 9_000,
      stream: true,
    });
    const reading = (async () => {
      for await (const chunk of stream) void chunk;
    })().catch((error: unknown) => error);
    await until(() => ending.runtime.stats().running === 1, "it runs");
    await ending.runtime.stop();
    expect(await reading).toBeInstanceOf(Error);
  });

  test("a port that is taken is refused", () => {
    expect(() => startMockRuntime({ port: runtime.port })).toThrow();
  });
});
