/** SGLang: pages of three generations come to the same figures; ranks, stages and adapters. */
import { describe, expect, test } from "bun:test";
import { SGLANG } from "../../src/runtimes/sglang.ts";
import { asked, faultOf, fixture, json, provenBy, Replay, twoPages } from "./replay.ts";

const BASE = "meta-llama/Llama-3.1-8B-Instruct";

describe("metrics", () => {
  test.each(["0.4", "0.5", "2026"])("of %s", (version) => {
    const { first, figures } = twoPages(SGLANG, "/metrics", `sglang-${version}`);
    expect(first).toMatchObject({ runningRequests: 24, waitingRequests: 3, kvUsage: 0.28 });
    expect(first.decodeTokensPerSecond).toBeUndefined();
    expect(figures).toMatchObject({ runningRequests: 24, waitingRequests: 3, kvUsage: 0.28, cacheHitRate: 0.25 });
    expect(figures.decodeTokensPerSecond).toBe(1234.5);
    // 10 of 40 first tokens within 0.1 s, 20 more within 0.2 s.
    expect(figures.timeToFirstToken?.p50).toBeCloseTo(0.15);
    expect(figures.interTokenLatency?.p50).toBeCloseTo(0.01);
  });

  test.each(["0.5", "2026"])("of %s, and what 0.4 did not tell", (version) => {
    const { figures } = twoPages(SGLANG, "/metrics", `sglang-${version}`);
    expect(figures).toMatchObject({
      kvCapacityTokens: 442_353,
      // 45,000 tokens in 4.5 s of the GPU.
      prefillTokensPerSecond: 10_000,
      preemptionsPerSecond: 0.5,
      requestsPerSecond: 4,
      failedResponses: 7,
    });
    expect(figures.queueTime?.p50).toBeCloseTo(0.1);
  });

  test("without seconds of the GPU its prefill speed is the best rate that was seen", () => {
    const { figures } = twoPages(SGLANG, "/metrics", "sglang-0.4");
    expect(figures.prefillTokensPerSecond).toBe(6000);
    expect(figures.queueTime).toBeUndefined();
  });

  test("of two ranks add up, and stages of a pipeline do not", () => {
    const { figures } = new Replay(SGLANG).tell({ "/metrics": fixture("sglang-ranks.metrics.txt") }).reading;
    expect(figures).toMatchObject({ runningRequests: 24, waitingRequests: 6, kvCapacityTokens: 200_000 });
    expect(figures.kvUsage).toBeCloseTo(0.4);
  });

  test("are missing without --enable-metrics", () => {
    const read = new Replay(SGLANG).read("/metrics", json({ detail: "Not Found" }, 404));
    expect(read).toMatchObject({ kind: "not_supported", message: expect.stringContaining("--enable-metrics") });
  });
});

describe("other answers", () => {
  test.each([
    ["/model_info", "/server_info"],
    ["/get_model_info", "/get_server_info"],
  ])("by %s and %s", (modelInfo, serverInfo) => {
    const replay = new Replay(SGLANG).tell({
      [modelInfo]: fixture("sglang-0.5.model-info.json"),
      [serverInfo]: fixture("sglang-0.5.server-info.json"),
      "/v1/models": fixture("sglang-0.5.models.json"),
    });
    const { version, models, figures } = replay.reading;
    expect(version).toBe("0.5.6");
    expect(models.map(({ model, parent, contextTokensMax }) => [model, parent, contextTokensMax])).toEqual([
      [BASE, undefined, 131_072],
      ["sql", BASE, 131_072],
    ]);
    expect(models[0]?.capabilities).toEqual(["chat", "completions"]);
    expect(figures).toMatchObject({ slots: 2048, kvCapacityTokens: 884_706 });
  });

  test("its health is never asked where that would make a token", () => {
    expect(SGLANG.looks.map(({ ask }) => ask.path)).not.toContain("/health");
  });

  test("the spelling that it does not have is left alone, and another server is foreign", () => {
    const replay = new Replay(SGLANG);
    expect(replay.read("/model_info", json({ detail: "Not Found" }, 404))).toMatchObject({ kind: "not_supported" });
    expect(replay.read("/model_info", json({ version: "0.9" }))).toMatchObject({ kind: "foreign" });
    const vllm = json({ object: "list", data: [{ id: "m", owned_by: "vllm" }] });
    expect(replay.read("/v1/models", vllm)).toMatchObject({
      kind: "foreign",
      message: expect.stringContaining("vllm"),
    });
    replay.tell({
      "/get_model_info": json({ model_path: "e5", is_generation: false }),
      "/v1/models": fixture("sglang-0.5.models.json"),
    });
    expect(replay.reading.models[0]?.capabilities).toEqual(["embeddings"]);
  });
});

describe("adapters", () => {
  const replay = new Replay(SGLANG).tell({ "/v1/models": fixture("sglang-0.5.models.json") });

  test("are loaded from where they are, and let go by name", () => {
    const load = replay.load("sql", { source: "/adapters/sql", parent: BASE });
    expect(asked(load)).toEqual(['POST api /load_lora_adapter {"lora_name":"sql","lora_path":"/adapters/sql"}']);
    expect(faultOf(load, json({ success: true, loaded_adapters: { sql: "/adapters/sql" } }))).toBe("");
    expect(load.settled(replay.reading)).toBe(true);
    const unload = replay.unload("sql");
    expect(asked(unload)).toEqual(['POST api /unload_lora_adapter {"lora_name":"sql"}']);
    expect(unload.settled(replay.reading)).toBe(false);
    expect(provenBy(replay, unload, json({ success: true }))).toEqual({ [BASE]: "loaded" });
    expect(provenBy(replay, replay.load("poems", { source: "/p" }), json({ success: true }))).toMatchObject({
      poems: "loaded",
    });
    // Before it told whether it had been done it might answer anything.
    expect(provenBy(replay, load, json({}))).toBeUndefined();
  });

  test("refusals say what to do, and what is so already is none", () => {
    const load = replay.load("sql", { source: "/adapters/sql" });
    const failed = (error_message: string, status = 400) => json({ success: false, error_message }, status);
    expect(faultOf(load, failed("LoRA adapter sql is already loaded."))).toBe("");
    expect(faultOf(load, failed("LoRA is not enabled. Please set `--enable-lora` to enable LoRA."))).toContain(
      "start it with --enable-lora",
    );
    // Older versions say so with 200.
    expect(faultOf(load, failed("no such folder", 200))).toContain("no such folder");
    expect(faultOf(load, json({ detail: "Not Found" }, 404))).toContain("0.5");
    expect(faultOf(replay.unload("x"), failed("LoRA adapter x does not exist"))).toBe("");
    const whole = replay.load("another-model");
    expect(whole.asks).toEqual([]);
    expect(faultOf(whole, json({}))).toContain("--enable-lora");
  });
});
