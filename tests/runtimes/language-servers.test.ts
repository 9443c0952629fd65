/** TGI and LMDeploy: pages of two generations each come to the same figures. */
import { describe, expect, test } from "bun:test";
import { LMDEPLOY } from "../../src/runtimes/lmdeploy.ts";
import { TGI } from "../../src/runtimes/tgi.ts";
import { fixture, json, Replay, text, twoPages } from "./replay.ts";

describe("TGI", () => {
  test.each(["1.4", "3.3"])("%s", (version) => {
    const { figures, replay } = twoPages(TGI, "/metrics", `tgi-${version}`);
    expect(figures).toMatchObject({
      runningRequests: 12,
      waitingRequests: 6,
      // 10,000 tokens in 4 s of prefill, 4,000 in 8 s of decoding.
      prefillTokensPerSecond: 2500,
      decodeTokensPerSecond: 500,
      requestsPerSecond: 2,
      failedResponses: 7,
    });
    expect(figures.timeToFirstToken).toBeUndefined();
    expect(figures.interTokenLatency?.p50).toBeGreaterThan(0.01);
    expect(figures.interTokenLatency?.p99).toBeLessThan(0.03);
    expect(figures.queueTime?.p50).toBeLessThan(0.013);
    expect(figures.queueTime?.p99).toBeGreaterThan(0.05);
    replay.tell({
      info: fixture(`tgi-${version}.info.json`),
      model: fixture(`tgi-${version}.info.json`),
      "/health": text(""),
    });
    expect(replay.reading.figures.kvCapacityTokens).toBe(96_000);
  });

  test("takes of its budget what its batch may come to", () => {
    expect(twoPages(TGI, "/metrics", "tgi-3.3").figures.kvUsage).toBe(0.25);
    expect(twoPages(TGI, "/metrics", "tgi-1.4").figures.kvUsage).toBeUndefined();
  });

  test("has one model, with its limits", () => {
    const replay = new Replay(TGI).tell({ info: fixture("tgi-3.3.info.json"), model: fixture("tgi-3.3.info.json") });
    expect(replay.reading.version).toBe("3.3.7");
    expect(replay.reading.models).toMatchObject([
      {
        model: "meta-llama/Llama-3.1-8B-Instruct",
        state: "loaded",
        contextTokensMax: 8192,
        capabilities: ["chat", "completions"],
      },
    ]);
    expect(replay.adapter.load("x", { source: "", parent: "" }, replay.reading)).toBeUndefined();
  });

  test("is not taken for the server for embeddings, and is not ready while it is unhealthy", () => {
    const replay = new Replay(TGI);
    expect(replay.read("info", fixture("tei.info.json"))).toMatchObject({ kind: "foreign" });
    expect(replay.read("/health", json({ error: "unhealthy", error_type: "healthcheck" }, 503))).toMatchObject({
      kind: "not_ready",
    });
  });
});

describe("LMDeploy", () => {
  test.each(["0.9", "0.16"])("%s", (version) => {
    const { figures } = twoPages(LMDEPLOY, "/metrics/", `lmdeploy-${version}`);
    expect(figures).toMatchObject({
      runningRequests: 7,
      kvUsage: 0.35,
      // 10,000 tokens in 2 s of prefill.
      prefillTokensPerSecond: 5000,
      requestsPerSecond: 1,
    });
    expect(figures.timeToFirstToken?.p50).toBeCloseTo(0.09);
    expect(figures.queueTime?.p50).toBeCloseTo(0.15);
  });

  test("has more to tell by now", () => {
    const { figures: old } = twoPages(LMDEPLOY, "/metrics/", "lmdeploy-0.9");
    const { figures: newer } = twoPages(LMDEPLOY, "/metrics/", "lmdeploy-0.16");
    expect([old.waitingRequests, newer.waitingRequests]).toEqual([2, 7]);
    expect([old.failedResponses, newer.failedResponses]).toEqual([undefined, 4]);
    expect([old.cacheHitRate, newer.cacheHitRate]).toEqual([undefined, 0.2]);
    // 7 requests with a token each 7 ms; before, by the mean time of a token, 20 ms.
    expect(newer.decodeTokensPerSecond).toBeCloseTo(1000);
    expect(old.decodeTokensPerSecond).toBeCloseTo(350);
  });

  test("is known by who owns its models", () => {
    const replay = new Replay(LMDEPLOY).tell({
      owner: fixture("lmdeploy.models.json"),
      "/v1/models": fixture("lmdeploy.models.json"),
    });
    expect(replay.states).toEqual({ "Qwen/Qwen2.5-7B-Instruct": "loaded" });
    const stranger = json({ object: "list", data: [{ id: "m", owned_by: "vllm" }] });
    expect(replay.read("owner", stranger)).toMatchObject({ kind: "foreign", message: expect.stringContaining("vllm") });
    expect(replay.read("/metrics/", text("Not Found", 404))).toMatchObject({
      kind: "not_supported",
      message: expect.stringContaining("--disable-metrics"),
    });
  });
});
