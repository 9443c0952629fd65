/** Requests that two targets compute, over real sockets; and what becomes of them when one of these fails. */
import { afterEach, beforeEach, describe, expect, setDefaultTimeout, test } from "bun:test";
import { parseSection } from "../../src/base/settings-reading.ts";
import type { Infer, Section } from "../../src/base/settings.ts";
import { parseRole } from "../../src/fleet/role.ts";
import { aliasSettings } from "../../src/flow/aliases.ts";
import { rewriteSettings } from "../../src/wire/rewrite-settings.ts";
import { by, FLOW, Relay, type RelayConfig } from "./harness.ts";
import {
  type HalfServer,
  sglangDecode,
  sglangPrefill,
  Transfers,
  vllmDecode,
  vllmPrefill,
  wholeServer,
} from "./pair-servers.ts";

setDefaultTimeout(30_000);

let transfers: Transfers;
const servers: HalfServer[] = [];
let relay: Relay | null = null;

beforeEach(() => {
  transfers = new Transfers();
});
afterEach(() => {
  for (const server of servers.splice(0)) server.stop();
  relay?.stop();
  relay = null;
});

function kept(server: HalfServer): HalfServer {
  servers.push(server);
  return server;
}

/** A role, or "both", for each server. */
function relayOf(targets: readonly (readonly [HalfServer, string])[], config: RelayConfig = {}): Relay {
  relay = new Relay(
    targets.map(([{ port }, text]) => {
      const role = parseRole(text);
      return { ...by("http", port), ...(role === null || role === undefined ? {} : { role }) };
    }),
    config,
  );
  return relay;
}

const MESSAGES = [{ role: "user", content: "what is a KV cache, and whose?" }];

function read<S extends Section>(settings: S, tree: object): Infer<S> {
  const { value, faults } = parseSection(settings, tree);
  if (value === undefined) throw new Error(JSON.stringify(faults));
  return value;
}

async function ask(to: Relay, body: object = {}, path = "/v1/chat/completions", headers: Record<string, string> = {}) {
  const response = await fetch(`http://127.0.0.1:${to.port}${path}`, {
    method: "POST",
    headers: { "content-type": "application/json", ...headers },
    body: JSON.stringify({ model: "m", messages: MESSAGES, max_tokens: 50, ...body }),
  });
  const text = await response.text();
  return { status: response.status, text, node: response.headers.get("x-infermesh-node") };
}

/** Claims are given back, and so is what is held. */
async function settled(to: Relay): Promise<void> {
  const deadline = Date.now() + 5000;
  while ((to.inFlight !== 0 || to.context.heldBytes !== 0) && Date.now() < deadline) await Bun.sleep(5);
  expect({ inFlight: to.inFlight, heldBytes: to.context.heldBytes }).toEqual({ inFlight: 0, heldBytes: 0 });
}

describe("vLLM", () => {
  test("the prompt goes to one, and what it says of its blocks to the other, whose answer the client gets", async () => {
    const [prefill, decode] = [kept(vllmPrefill(transfers, "e1")), kept(vllmDecode(transfers))];
    const to = relayOf([
      [prefill, "vllm.prefill"],
      [decode, "vllm.decode"],
    ]);
    const whole = await ask(to, { min_tokens: 5, max_completion_tokens: 60 });
    expect(whole).toMatchObject({ status: 200, node: "up2" });
    expect(JSON.parse(whole.text)).toMatchObject({ choices: [{ message: { content: "a b c" } }] });
    const streamed = await ask(to, { stream: true, stream_options: { include_usage: true } });
    expect(streamed.text.match(/"content":"[abc]"/g)).toHaveLength(3);
    expect(streamed.text).toEndWith("data: [DONE]\n\n");
    expect(prefill.seen.map(({ body }) => body)).toEqual([
      expect.objectContaining({ max_tokens: 1, max_completion_tokens: 1, min_tokens: 1, messages: MESSAGES }),
      expect.objectContaining({ max_tokens: 1, stream: false }),
    ]);
    expect(prefill.seen[1]?.body["stream_options"]).toBeUndefined();
    expect(decode.seen[1]?.body).toMatchObject({
      max_tokens: 50,
      stream: true,
      stream_options: { include_usage: true },
      kv_transfer_params: { remote_engine_id: "e1", remote_block_ids: [[2, 3]], remote_port: 5600 },
    });
    const ids = [prefill, decode].map(({ seen }) => seen[0]?.headers.get("x-request-id"));
    expect(ids[0]).toBe(ids[1]);
    expect(transfers.taken).toBe(2);
    for (const row of to.rows) expect([...to.stats.picks(row)]).toEqual([["best", 2]]);
    await settled(to);
  });

  test("what the client says of transfers is of no account", async () => {
    const [prefill, decode] = [kept(vllmPrefill(transfers, "e1")), kept(vllmDecode(transfers))];
    const to = relayOf([
      [prefill, "vllm.prefill"],
      [decode, "vllm.decode"],
    ]);
    const evil = { do_remote_prefill: true, remote_engine_id: "other", remote_block_ids: [[1]], remote_host: "evil" };
    expect((await ask(to, { kv_transfer_params: evil })).status).toBe(200);
    expect(JSON.stringify([prefill.seen, decode.seen])).not.toContain("evil");
    prefill.manner = "refuse";
    await ask(to, { kv_transfer_params: evil });
    expect(decode.seen[1]?.body["kv_transfer_params"]).toBeUndefined();
  });

  test("of many requests none gets another's blocks", async () => {
    const halves = ["e1", "e2", "e3"].map((engine) => kept(vllmPrefill(transfers, engine)));
    const decodes = [0, 1].map(() => kept(vllmDecode(transfers)));
    const to = relayOf([
      ...halves.map((half) => [half, "vllm.prefill"] as const),
      ...decodes.map((half) => [half, "vllm.decode"] as const),
    ]);
    const answers = await Promise.all(Array.from({ length: 60 }, () => ask(to, { stream: true })));
    expect(answers.map(({ status }) => status)).toEqual(answers.map(() => 200));
    expect(transfers.taken).toBe(60);
    for (const half of halves) expect(half.seen.length).toBeGreaterThan(5);
    await settled(to);
  });

  test.each(["full", "broken", "unparsed", "dead"] as const)(
    "a prefill target that is %s makes way",
    async (manner) => {
      const [bad, good] = [kept(vllmPrefill(transfers, "bad")), kept(vllmPrefill(transfers, "good"))];
      const decode = kept(vllmDecode(transfers));
      if (manner === "dead") bad.stop();
      else bad.manner = manner;
      const to = relayOf([
        [bad, "vllm.prefill"],
        [good, "vllm.prefill"],
        [decode, "vllm.decode"],
      ]);
      for (let at = 0; at < 6; at += 1) expect((await ask(to)).text).toContain("a b c");
      expect(decode.seen).toHaveLength(6);
      await settled(to);
    },
  );

  test("a decode target that fails makes way, with another prompt", async () => {
    const [prefill, bad, good] = [
      kept(vllmPrefill(transfers, "e")),
      kept(vllmDecode(transfers)),
      kept(vllmDecode(transfers)),
    ];
    bad.manner = "broken";
    const to = relayOf([
      [prefill, "vllm.prefill"],
      [bad, "vllm.decode"],
      [good, "vllm.decode"],
    ]);
    for (let at = 0; at < 6; at += 1) expect((await ask(to)).text).toContain("a b c");
    expect(good.seen).toHaveLength(6);
    expect(prefill.seen.length).toBe(6 + bad.seen.length);
    await settled(to);
  });

  test("where no pair is left those that do all of it serve; then nobody, and the answer says why", async () => {
    const [prefill, decode, whole] = [
      kept(vllmPrefill(transfers, "e")),
      kept(vllmDecode(transfers)),
      kept(wholeServer()),
    ];
    prefill.stop();
    const both = relayOf([
      [prefill, "vllm.prefill"],
      [decode, "vllm.decode"],
      [whole, "both"],
    ]);
    for (let at = 0; at < 3; at += 1) expect((await ask(both)).text).toContain("whole");
    await settled(both);
    both.stop();
    const none = relayOf([
      [prefill, "vllm.prefill"],
      [decode, "vllm.decode"],
    ]);
    const failed = await ask(none);
    expect(failed.status).toBe(502);
    expect(failed.text).toContain("up1, which was to compute the prompt, failed");
    await settled(none);
    none.stop();
    const half = relayOf([[decode, "vllm.decode"]]);
    const alone = await ask(half);
    expect(alone.status).toBe(503);
    expect(alone.text).toContain("nor a pair of one for prompts and one for what follows");
    // Its name is known all the same.
    const listed = await fetch(`http://127.0.0.1:${half.port}/v1/models`);
    expect(((await listed.json()) as { data: { id: string }[] }).data.map(({ id }) => id)).toEqual(["m"]);
    expect(decode.seen).toHaveLength(0);
  });

  test("where every pair is full a request waits for one", async () => {
    const [prefill, decode] = [kept(vllmPrefill(transfers, "e")), kept(vllmDecode(transfers))];
    const targets = [
      [prefill, "vllm.prefill"],
      [decode, "vllm.decode"],
    ] as const;
    // One connection to each is all that there is.
    const to = relayOf(targets, { upstreamConnectionsMax: 1 });
    const answers = await Promise.all(Array.from({ length: 12 }, () => ask(to)));
    expect(answers.map(({ status }) => status)).toEqual(answers.map(() => 200));
    expect(transfers.taken).toBe(12);
    await settled(to);
  });

  test("requests that pairs know nothing of go to those that do all of it", async () => {
    const [prefill, decode, whole] = [
      kept(vllmPrefill(transfers, "e")),
      kept(vllmDecode(transfers)),
      kept(wholeServer()),
    ];
    const to = relayOf([
      [prefill, "vllm.prefill"],
      [decode, "vllm.decode"],
      [whole, "both"],
    ]);
    for (const [body, path] of [
      [{ n: 2 }, "/v1/chat/completions"],
      [{ prompt: ["a", "b"] }, "/v1/completions"],
      [{ prompt: [[1, 2], [3]] }, "/v1/completions"],
      [{ prompt: "a", best_of: 3 }, "/v1/completions"],
      [{ input: "a" }, "/v1/embeddings"],
    ] as const) {
      expect((await ask(to, body, path)).text).toContain("whole");
    }
    expect([prefill.seen.length, decode.seen.length]).toEqual([0, 0]);
  });

  test("aliases, rules and chunks are what both halves see; another model stands in where no pair is left", async () => {
    const [prefill, decode, other] = [
      kept(vllmPrefill(transfers, "e")),
      kept(vllmDecode(transfers)),
      kept(wholeServer()),
    ];
    const content = {
      aliases: read(aliasSettings, { aliases: ["gpt=m"], fallbacks: ["m=other"] }),
      rewrite: read(rewriteSettings, {
        rules: [{ atMost: { temperature: 0 }, requestHeadersAdded: { "x-rule": "1" } }],
      }),
    };
    relay = new Relay(
      [
        { ...by("http", prefill.port), role: parseRole("vllm.prefill")! },
        { ...by("http", decode.port), role: parseRole("vllm.decode")! },
        by("http", other.port, "other"),
      ],
      { content },
    );
    const text = JSON.stringify({ model: "gpt", messages: MESSAGES, temperature: 1 });
    const halves = [text.slice(0, 20), text.slice(20)].map((part) => new TextEncoder().encode(part));
    const chunked = await fetch(`http://127.0.0.1:${relay.port}/v1/chat/completions`, {
      method: "POST",
      headers: { "content-type": "application/json" },
      body: new ReadableStream({
        pull(controller) {
          const next = halves.shift();
          if (next === undefined) controller.close();
          else controller.enqueue(next);
        },
      }),
    });
    expect(await chunked.text()).toContain("a b c");
    expect(chunked.headers.get("x-infermesh-model")).toBe("m");
    for (const { seen } of [prefill, decode]) {
      expect(seen[0]?.body).toMatchObject({ model: "m", temperature: 0, messages: MESSAGES });
      expect(seen[0]?.headers.get("x-rule")).toBe("1");
    }
    prefill.stop();
    const stood = await ask(relay);
    expect(stood.text).toContain("whole");
    expect(other.seen[0]?.body).toMatchObject({ model: "other" });
    await settled(relay);
  });

  test("a late first token is overtaken by another pair's", async () => {
    const [prefill, slow, fast] = [
      kept(vllmPrefill(transfers, "e")),
      kept(vllmDecode(transfers)),
      kept(vllmDecode(transfers)),
    ];
    const hedge = { ...FLOW.hedge, share: 0.5, samplesMin: 4, delayMsMin: 30, burst: 10 };
    const targets = [
      [prefill, "vllm.prefill"],
      [slow, "vllm.decode"],
      [fast, "vllm.decode"],
    ] as const;
    const to = relayOf(targets, { flow: { hedge } });
    const urgent = { "x-infermesh-slo": "latency" };
    for (let at = 0; at < 16; at += 1) expect((await ask(to, { stream: true }, undefined, urgent)).status).toBe(200);
    slow.manner = "silent";
    const before = slow.seen.length;
    for (let at = 0; at < 20 && slow.seen.length === before; at += 1) {
      expect((await ask(to, { stream: true }, undefined, urgent)).text).toContain('"content":"c"');
    }
    expect(slow.seen.length).toBe(before + 1);
    expect(to.stats.hedges()).toBeGreaterThan(0);
    await settled(to);
  });

  test("a client that goes away calls both off", async () => {
    const [prefill, decode] = [kept(vllmPrefill(transfers, "e")), kept(vllmDecode(transfers))];
    prefill.manner = "silent";
    const to = relayOf([
      [prefill, "vllm.prefill"],
      [decode, "vllm.decode"],
    ]);
    const gone = new AbortController();
    const asked = fetch(`http://127.0.0.1:${to.port}/v1/chat/completions`, {
      method: "POST",
      body: JSON.stringify({ model: "m", messages: MESSAGES }),
      signal: gone.signal,
    }).catch(() => "gone");
    while (prefill.seen.length === 0) await Bun.sleep(5);
    gone.abort();
    expect(await asked).toBe("gone");
    while (prefill.aborted === 0) await Bun.sleep(5);
    expect(decode.seen).toHaveLength(0);
    await settled(to);
  });

  test("a prefill target that says nothing is given up in time", async () => {
    const [silent, good] = [kept(vllmPrefill(transfers, "s")), kept(vllmPrefill(transfers, "g"))];
    const decode = kept(vllmDecode(transfers));
    silent.manner = "silent";
    const targets = [
      [silent, "vllm.prefill"],
      [good, "vllm.prefill"],
      [decode, "vllm.decode"],
    ] as const;
    const to = relayOf(targets, { firstByteTimeoutMs: 200 });
    for (let at = 0; at < 4; at += 1) expect((await ask(to)).text).toContain("a b c");
    await settled(to);
  });
});

describe("SGLang", () => {
  test("both are asked at once, and meet in a room of the prefill target's", async () => {
    const [prefill, decode] = [kept(sglangPrefill(transfers)), kept(sglangDecode(transfers))];
    const to = relayOf([
      [prefill, "sglang.prefill.9000"],
      [decode, "sglang.decode"],
    ]);
    const answers = await Promise.all(Array.from({ length: 20 }, () => ask(to, { stream: true })));
    for (const { status, text, node } of answers) {
      expect({ status, node }).toEqual({ status: 200, node: "up2" });
      expect(text.match(/"content":"[abc]"/g)).toHaveLength(3);
    }
    const rooms = new Set(prefill.seen.map(({ body }) => body["bootstrap_room"]));
    expect(rooms.size).toBe(20);
    expect(decode.seen[0]?.body).toMatchObject({ bootstrap_host: "127.0.0.1", bootstrap_port: 9000, max_tokens: 50 });
    await settled(to);
  });

  test.each(["prefill", "decode"] as const)(
    "a %s target that fails makes way, and its mate is called off",
    async (part) => {
      const [prefill, decode] = [kept(sglangPrefill(transfers)), kept(sglangDecode(transfers))];
      const bad = kept(part === "prefill" ? sglangPrefill(transfers) : sglangDecode(transfers));
      bad.manner = "broken";
      const to = relayOf([
        [bad, `sglang.${part}`],
        [prefill, "sglang.prefill"],
        [decode, "sglang.decode"],
      ]);
      for (let at = 0; at < 6; at += 1) expect((await ask(to, { stream: true })).text).toContain('"content":"c"');
      await settled(to);
    },
  );

  test("pairs of two kinds don't mix", async () => {
    const [prefill, decode] = [kept(vllmPrefill(transfers, "e")), kept(sglangDecode(transfers))];
    const to = relayOf([
      [prefill, "vllm.prefill"],
      [decode, "sglang.decode"],
    ]);
    expect((await ask(to)).status).toBe(503);
    expect([prefill.seen.length, decode.seen.length]).toEqual([0, 0]);
  });
});
