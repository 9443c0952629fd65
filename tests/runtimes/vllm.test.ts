/** vLLM: pages of both generations come to the same figures; its other answers, sleep and adapters. */
import { describe, expect, test } from "bun:test";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import type { Answer, Look } from "../../src/runtimes/adapter.ts";
import { TableAdapter } from "../../src/runtimes/table-adapter.ts";
import { VLLM } from "../../src/runtimes/vllm.ts";

const encoder = new TextEncoder();
const MODEL = "meta-llama/Llama-3.1-8B-Instruct";

function page(name: string): Answer {
  const body = readFileSync(join(import.meta.dir, "fixtures", `${name}.txt`));
  return { status: 200, contentType: "text/plain; version=0.0.4; charset=utf-8", body };
}

function json(value: unknown, status = 200): Answer {
  return { status, contentType: "application/json", body: encoder.encode(JSON.stringify(value)) };
}

function look(name: string): Look {
  const found = VLLM.looks.find((each) => each.name.startsWith(name));
  if (found === undefined) throw new Error(`no look ${name}`);
  return found;
}

const MODELS = json({
  object: "list",
  data: [
    { id: MODEL, object: "model", owned_by: "vllm", root: MODEL, parent: null, max_model_len: 131_072 },
    { id: "sql", object: "model", owned_by: "vllm", root: "/adapters/sql", parent: MODEL, max_model_len: null },
  ],
});

/** After two pages, ten seconds apart. */
function figuresOf(name: string) {
  const adapter = new TableAdapter(VLLM);
  expect(adapter.answered(look("/metrics"), page(name), 1000)).toEqual({ ok: true });
  const first = adapter.reading(1000).figures;
  expect(adapter.answered(look("/metrics"), page(`${name}-later`), 11_000)).toEqual({ ok: true });
  return { first, figures: adapter.reading(11_000).figures };
}

describe("a metrics page", () => {
  const { first, figures } = figuresOf("vllm-v1");

  test("of the first read has loads and sizes, and no rates yet", () => {
    expect(first.runningRequests).toBe(2);
    expect(first.waitingRequests).toBe(0);
    expect(first.kvUsage).toBe(0.1);
    expect(first.kvCapacityTokens).toBe(27_408 * 16);
    expect(first.cacheHitRate).toBeUndefined();
    expect(first.timeToFirstToken).toBeUndefined();
    expect(first.requestsPerSecond).toBeUndefined();
    expect(first.decodeTokensPerSecond).toBeUndefined();
  });

  test("of the next one has all that vLLM tells", () => {
    expect(figures).toMatchObject({
      runningRequests: 6,
      waitingRequests: 2,
      kvUsage: 0.4,
      kvCapacityTokens: 438_528,
      cacheHitRate: 0.25,
      // 18,000 tokens in 2 s; 6 requests with a token each 20 ms.
      prefillTokensPerSecond: 9000,
      preemptionsPerSecond: 0.2,
      requestsPerSecond: 2,
      failedResponses: 2,
    });
    expect(figures.decodeTokensPerSecond).toBeCloseTo(300);
    // Twenty first tokens: 2 below 20 ms, 10 more below 40 ms, so the tenth lies at 8 tenths of that bucket.
    expect(figures.timeToFirstToken?.p50).toBeCloseTo(0.036);
    expect(figures.timeToFirstToken?.p95).toBeCloseTo(0.375);
    expect(figures.interTokenLatency?.p50).toBeCloseTo(0.01 + (0.015 * 3600) / 7000);
    expect(figures.queueTime?.p99).toBeCloseTo(0.3 + 0.2 * 0.9);
    expect(figures.slots).toBeUndefined();
  });

  test("of two data-parallel engines comes to the same, and works on two prompts at once", () => {
    const two = figuresOf("vllm-v1-dp2").figures;
    expect(two).toEqual({ ...figures, prefillTokensPerSecond: 18_000 });
  });

  test("of the V0 engine comes to the same, as far as it told it", () => {
    const old = figuresOf("vllm-v0").figures;
    // It did not tell which prompt tokens were cached, nor requests that failed.
    expect(old).toEqual({ ...figures, prefillTokensPerSecond: 12_000, failedResponses: undefined });
  });
});

describe("its other answers", () => {
  test("tell version, models, adapters and context lengths", () => {
    const adapter = new TableAdapter(VLLM);
    expect(adapter.answered(look("/version"), json({ version: "0.11.0" }), 0).ok).toBe(true);
    expect(adapter.answered(look("/health"), json(""), 0).ok).toBe(true);
    expect(adapter.answered(look("/v1/models"), MODELS, 0).ok).toBe(true);
    const { version, models } = adapter.reading(0);
    expect(version).toBe("0.11.0");
    expect(
      models.map(({ model, state, parent, contextTokensMax }) => [model, state, parent, contextTokensMax]),
    ).toEqual([
      [MODEL, "loaded", undefined, 131_072],
      ["sql", "loaded", MODEL, 131_072],
    ]);
    expect(models.every((model) => model.figures === undefined)).toBe(true);
  });

  test("tell how many sequences are batched, in development mode", () => {
    const adapter = new TableAdapter(VLLM);
    const config = { scheduler_config: { max_num_seqs: 128 }, parallel_config: { data_parallel_size: 2 } };
    adapter.answered(look("/server_info"), json({ vllm_config: config }), 0);
    expect(adapter.reading(0).figures.slots).toBe(256);
    adapter.answered(look("/server_info"), json({ vllm_config: "model='x', ..." }), 1);
    expect(adapter.reading(1).figures.slots).toBeUndefined();
  });

  test("tell that something else is there, that a key is missing, that the engine is dead", () => {
    const adapter = new TableAdapter(VLLM);
    const kindOf = (name: string, answer: Answer) => {
      const read = adapter.answered(look(name), answer, 0);
      return read.ok ? "" : `${read.kind}: ${read.message}`;
    };
    expect(kindOf("/version", json({ detail: "Not Found" }, 404))).toBe(
      'foreign: it does not answer as vLLM does: /version answers 404: "Not Found"',
    );
    expect(kindOf("/version", { ...json(""), status: 302, body: encoder.encode("<html>moved</html>") })).toBe(
      "unreadable: /version answers 302; it is not followed elsewhere",
    );
    expect(kindOf("/version", json({ version: 3 }))).toMatch(/^foreign/);
    expect(kindOf("/v1/models", json({ error: "Unauthorized" }, 401))).toMatch(/^denied: .*Unauthorized/);
    expect(kindOf("/health", json("", 503))).toMatch(/^not_ready/);
    expect(kindOf("/is_sleeping", json({ detail: "Not Found" }, 404))).toMatch(/^not_supported/);
    expect(kindOf("/v1/models", json([]))).toMatch(/^unreadable: .*"data"/);
    expect(kindOf("/metrics", { ...json(""), body: encoder.encode("<html>") })).toMatch(
      /^unreadable: .*no text of metrics/,
    );
  });
});

describe("sleep", () => {
  const awake = page("vllm-v1");
  const asleep = {
    ...awake,
    body: encoder.encode(
      new TextDecoder().decode(awake.body).replace('sleep_state="awake"} 1.0', 'sleep_state="awake"} 0.0'),
    ),
  };

  test("is known by the metrics, or where they don't tell it by /is_sleeping", () => {
    const adapter = new TableAdapter(VLLM);
    const states = (nowMs: number) => adapter.reading(nowMs).models.map(({ state }) => state);
    adapter.answered(look("/v1/models"), MODELS, 0);
    adapter.answered(look("/is_sleeping"), json({ is_sleeping: true }), 0);
    expect(states(0)).toEqual(["available", "available"]);
    adapter.answered(look("/metrics"), awake, 1);
    expect(states(1)).toEqual(["loaded", "loaded"]);
    adapter.answered(look("/metrics"), asleep, 2);
    expect(states(2)).toEqual(["available", "available"]);
  });

  test("is what unloading a base model comes to, and waking what loading it does", () => {
    const adapter = new TableAdapter(VLLM);
    adapter.answered(look("/v1/models"), MODELS, 0);
    const down = adapter.unload(MODEL, adapter.reading(0));
    expect(down?.asks).toEqual([{ method: "POST", port: "api", path: "/sleep?level=1" }]);
    expect(down?.settled(adapter.reading(0))).toBe(false);
    expect(down?.fault(json({ detail: "Not Found" }, 404), 0)).toContain("VLLM_SERVER_DEV_MODE=1");
    adapter.answered(look("/metrics"), asleep, 1);
    expect(down?.settled(adapter.reading(1))).toBe(true);
    const up = adapter.load(MODEL, { source: "", parent: "" }, adapter.reading(1));
    expect(up?.asks.map(({ path }) => path)).toEqual(["/wake_up"]);
    expect(up?.settled(adapter.reading(1))).toBe(false);
    adapter.answered(look("/metrics"), awake, 2);
    expect(up?.settled(adapter.reading(2))).toBe(true);
    expect(adapter.load(MODEL, { source: "", parent: "" }, adapter.reading(2))?.asks).toEqual([]);
    // Its server answers when the engine sleeps, or is awake: it tells so by its metrics or by a path of its own.
    const proofs = [down, up].map((call) => call?.proves?.(json("")));
    expect(proofs.map((proof) => proof?.models(adapter.reading(2).models).map(({ state }) => state))).toEqual([
      ["available", "available"],
      ["loaded", "loaded"],
    ]);
    expect(proofs[0]?.toldBy).toEqual(["/metrics", "/is_sleeping"]);
    expect(down?.proves?.(json("", 500))).toBeUndefined();
  });
});

describe("adapters", () => {
  test("are loaded from where they are, and let go by name", () => {
    const adapter = new TableAdapter(VLLM);
    adapter.answered(look("/v1/models"), MODELS, 0);
    const load = adapter.load("poems", { source: "/adapters/poems", parent: MODEL }, adapter.reading(0));
    expect(load?.asks.map(({ path, body }) => [path, JSON.parse(body ?? "")])).toEqual([
      ["/v1/load_lora_adapter", { lora_name: "poems", lora_path: "/adapters/poems" }],
    ]);
    expect(load?.fault(json({}), 0)).toBe("");
    expect(load?.fault(json({ error: { message: "No adapter found for /adapters/poems" } }, 404), 0)).toBe(
      "No adapter found for /adapters/poems",
    );
    expect(load?.fault(json({ detail: "Not Found" }, 404), 0)).toContain("VLLM_ALLOW_RUNTIME_LORA_UPDATING=True");
    expect(load?.fault(json("", 500), 0)).toContain("500");
    expect(load?.settled(adapter.reading(0))).toBe(false);
    const unload = adapter.unload("sql", adapter.reading(0));
    expect(unload?.asks[0]?.path).toBe("/v1/unload_lora_adapter");
    expect(unload?.settled(adapter.reading(0))).toBe(false);
    expect(adapter.load("poems", { source: "", parent: "" }, adapter.reading(0))).toBeUndefined();
    expect(adapter.unload("poems", adapter.reading(0))).toBeUndefined();
    const { models } = adapter.reading(0);
    const base = models.find((each) => each.model === MODEL)!;
    expect(load?.proves?.(json(""))?.models(models)).toEqual([
      ...models,
      { ...base, model: "poems", parent: MODEL, figures: undefined },
    ]);
    expect(unload?.proves?.(json(""))?.models(models)).toEqual(models.filter(({ model }) => model !== "sql"));
  });
});

test("docs/runtimes.md has every name that is asked for", () => {
  const docs = readFileSync(join(import.meta.dir, "../../docs/runtimes.md"), "utf8");
  const section = docs.slice(docs.indexOf("## vLLM"), docs.indexOf("## SGLang"));
  const names = JSON.stringify(VLLM.metrics).match(/vllm:\w+/g) ?? [];
  expect(names.length).toBeGreaterThan(15);
  for (const name of names) if (name !== "vllm:lora_requests_info") expect(section).toContain(name);
  for (const { ask } of VLLM.looks) if (ask.path !== "/metrics") expect(section).toContain(ask.path);
});
