/** Mocks that compute a part of requests: the KV cache goes from one to the other, over a real connection, once. */
import { afterAll, describe, expect, test } from "bun:test";
import { parseRole } from "../../src/fleet/role.ts";
import { MODEL, start, stopAll, until } from "./mock-server.ts";

afterAll(stopAll);

const MESSAGES = [{ role: "user", content: "tell me of the sea ".repeat(60) }];
const REMOTE_DECODE = { do_remote_decode: true, do_remote_prefill: false };

function mock(role: string) {
  return start({ role: parseRole(role) ?? null }).base;
}

async function ask(base: string, more: object, signal?: AbortSignal) {
  const response = await fetch(`${base}/v1/chat/completions`, {
    method: "POST",
    body: JSON.stringify({ model: MODEL, messages: MESSAGES, max_tokens: 8, ...more }),
    ...(signal === undefined ? {} : { signal }),
  });
  const body = (await response.json()) as {
    readonly error?: { readonly message: string };
    readonly kv_transfer_params?: Record<string, unknown>;
    readonly usage?: { prompt_tokens: number; prompt_tokens_details: { cached_tokens: number } };
  };
  const { prompt_tokens: prompt = 0, prompt_tokens_details: details } = body.usage ?? {};
  return { status: response.status, prompt, cached: details?.cached_tokens ?? -1, body };
}

/** All but what is computed to begin with. */
const nearly = (prompt: number): number => Math.floor((prompt - 1) / 16) * 16;

describe("vLLM's", () => {
  test("prefill says where its blocks are, and decode finds the whole prompt cached, once", async () => {
    const [prefill, decode] = [mock("vllm.prefill"), mock("vllm.decode")];
    const first = await ask(prefill, { max_tokens: 1, kv_transfer_params: REMOTE_DECODE });
    const { kv_transfer_params: params } = first.body;
    expect(params).toMatchObject({ do_remote_prefill: true, remote_host: "127.0.0.1", remote_block_ids: [[1]] });
    const second = await ask(decode, { kv_transfer_params: params });
    expect(second).toMatchObject({ status: 200, cached: nearly(first.prompt), prompt: first.prompt });
    const third = await ask(decode, { kv_transfer_params: params });
    expect(third.status).toBe(500);
    expect(third.body.error?.message).toContain("has no KV cache");
  });

  test("streams too", async () => {
    const [prefill, decode] = [mock("vllm.prefill"), mock("vllm.decode")];
    const { body } = await ask(prefill, { max_tokens: 1, kv_transfer_params: REMOTE_DECODE });
    const response = await fetch(`${decode}/v1/chat/completions`, {
      method: "POST",
      body: JSON.stringify({
        model: MODEL,
        messages: MESSAGES,
        max_tokens: 8,
        stream: true,
        stream_options: { include_usage: true },
        kv_transfer_params: body.kv_transfer_params,
      }),
    });
    const cached = /"cached_tokens":(\d+)/.exec(await response.text())?.[1];
    expect(Number(cached)).toBeGreaterThan(100);
  });

  test("compute what they are not told of, and a mock without a role knows nothing of transfers", async () => {
    const plain = await ask(mock("vllm.decode"), {});
    expect(plain).toMatchObject({ status: 200, cached: 0 });
    const whole = await ask(start().base, { kv_transfer_params: REMOTE_DECODE });
    expect(whole.body.kv_transfer_params).toBeUndefined();
    // Less than a block has nothing to pass on.
    const short = { model: MODEL, prompt: [1, 2, 3], kv_transfer_params: REMOTE_DECODE };
    const url = `${mock("vllm.prefill")}/v1/completions`;
    const answer = await fetch(url, { method: "POST", body: JSON.stringify(short) });
    expect(((await answer.json()) as { kv_transfer_params?: object }).kv_transfer_params).toBeUndefined();
  });

  test.each([
    [{ remote_engine_id: 1, remote_block_ids: [[1]] }, 400],
    [{ remote_engine_id: "e", remote_block_ids: [] }, 400],
    [{ remote_engine_id: "e", remote_block_ids: [[1]], remote_host: "a/b", remote_port: 1 }, 400],
    [{ remote_engine_id: "e", remote_block_ids: [[1]], remote_host: "h", remote_port: 0 }, 400],
    [{ remote_engine_id: "e", remote_block_ids: [[1]], remote_host: "127.0.0.1", remote_port: 1 }, 500],
  ])("refuse %j", async (params, status) => {
    expect(
      (await ask(mock("vllm.decode"), { kv_transfer_params: { do_remote_prefill: true, ...params } })).status,
    ).toBe(status);
  });
});

describe("SGLang's", () => {
  test("meet in a room, whoever comes first, and prefill answers once its blocks were fetched", async () => {
    const [prefill, decode] = [mock("sglang.prefill"), mock("sglang.decode")];
    const { port } = new URL(prefill);
    const room = (bootstrap_room: number) => ({
      bootstrap_host: "127.0.0.1",
      bootstrap_port: Number(port),
      bootstrap_room,
    });
    for (const order of [
      [prefill, decode],
      [decode, prefill],
    ]) {
      const number = order[0] === prefill ? 5 : 6;
      const answers = await Promise.all(order.map((base) => ask(base, { ...room(number), stream: false })));
      expect(answers.map(({ status }) => status)).toEqual([200, 200]);
      expect(answers[order.indexOf(decode)]?.cached).toBe(nearly(answers[0]!.prompt));
    }
  });

  test("decode needs a room; prefill that nobody comes to is called off with its client", async () => {
    const none = await ask(mock("sglang.decode"), {});
    expect(none.status).toBe(400);
    expect(none.body.error?.message).toContain("bootstrap_room");
    const { base, runtime } = start({ role: parseRole("sglang.prefill") ?? null });
    const gone = new AbortController();
    const asked = ask(base, { bootstrap_room: 1 }, gone.signal).catch(() => "gone");
    await until(() => runtime.stats().promptTokens > 0 && runtime.stats().running === 0, "the prompt is computed");
    expect(runtime.sample().requestsInProgress).toBe(1);
    gone.abort();
    expect(await asked).toBe("gone");
    await until(() => runtime.sample().requestsInProgress === 0, "the request is over");
  });
});
