/** Triton: its own metrics and those of its backends for language models; the repository's states; loading. */
import { describe, expect, test } from "bun:test";
import { TRITON } from "../../src/runtimes/triton.ts";
import { asked, faultOf, fixture, json, provenBy, recorded, Replay, text, twoPages } from "./replay.ts";

const INDEX = fixture("triton-2.71.index.json");

describe("metrics", () => {
  test("are each model's own", () => {
    const { replay, figures } = twoPages(TRITON, "/metrics", "triton-2.71");
    expect(figures).toMatchObject({ waitingRequests: 13, requestsPerSecond: 6, failedResponses: 9 });
    expect(figures.runningRequests).toBeUndefined();
    replay.tell({ index: INDEX });
    const own = Object.fromEntries(replay.reading.models.map((model) => [model.model, model.figures]));
    expect(own["bert"]).toMatchObject({ waitingRequests: 9, requestsPerSecond: 2, failedResponses: 3 });
    expect(own["resnet"]).toMatchObject({ waitingRequests: 4, requestsPerSecond: 4, failedResponses: 6 });
    expect(own["coming"]).toBeUndefined();
    // 10 of 20 within 100 ms, 10 more within 500 ms.
    expect(own["bert"]?.timeToFirstToken?.p50).toBeCloseTo(0.1);
    expect(own["bert"]?.timeToFirstToken?.p95).toBeCloseTo(0.46);
    expect(own["bert"]?.queueTime?.p50).toBeCloseTo(55e-6, 9);
    expect(own["bert"]?.queueTime?.p99).toBeCloseTo(101e-6, 9);
  });

  test.each(["0.7", "1.0"])("of TensorRT-LLM %s are shared by all models, since ensembles go through it", (version) => {
    const { replay, figures } = twoPages(TRITON, "/metrics", `triton-trtllm-${version}`);
    expect(figures).toMatchObject({ runningRequests: 6, waitingRequests: 2, slots: 512, kvCapacityTokens: 6239 * 64 });
    expect(figures.kvUsage).toBeCloseTo(0.4875, 2);
    replay.tell({
      index: json([
        { name: "ensemble", version: "1", state: "READY" },
        { name: "tensorrt_llm", version: "1", state: "READY" },
      ]),
    });
    expect(replay.reading.models.map((model) => model.figures)).toEqual([undefined, undefined]);
  });

  test("have a port of their own", () => {
    expect(TRITON.looks.find(({ role }) => role === "metrics")?.ask.port).toBe("metrics");
    expect(TRITON.ports).toEqual({ api: 8000, grpc: 8001, metrics: 8002 });
  });
});

test("models are as the best of their versions", () => {
  expect(new Replay(TRITON).tell({ index: INDEX }).states).toEqual({
    bert: "loaded",
    resnet: "loaded",
    coming: "loading",
    going: "unloading",
    broken: "failed: Internal: failed to stat file /models/broken/1/model.onnx",
    "let-go": "available",
    "never-asked-for": "available",
  });
});

test("it is known by its name, and lives when it says so", () => {
  const replay = new Replay(TRITON).tell({ "/v2": fixture("triton-2.71.server.json"), "/v2/health/live": text("") });
  expect(replay.reading.version).toBe("2.71.0");
  expect(replay.read("/v2/health/live", text("", 400))).toMatchObject({ kind: "not_ready" });
  expect(replay.read("/v2", json({ name: "mlserver", version: "1" }))).toMatchObject({
    kind: "foreign",
    message: expect.stringContaining("mlserver"),
  });
  expect(replay.read("/v2", text("", 404))).toMatchObject({ kind: "foreign" });
  expect(replay.read("index", json({}))).toMatchObject({ kind: "unreadable" });
});

describe("loading", () => {
  const replay = new Replay(TRITON).tell({ index: INDEX });

  test("is a question to the repository, whatever the name", () => {
    const load = replay.load("org/never asked");
    expect(asked(load)).toEqual(["POST api /v2/repository/models/org%2Fnever%20asked/load {}"]);
    expect(faultOf(load, text(""))).toBe("");
    expect(replay.load("bert").settled(replay.reading)).toBe(true);
    expect(replay.load("coming").settled(replay.reading)).toBe(false);
    expect(asked(replay.unload("bert"))).toEqual(["POST api /v2/repository/models/bert/unload {}"]);
    expect(replay.unload("bert").settled(replay.reading)).toBe(false);
    expect(replay.unload("going").settled(replay.reading)).toBe(false);
    expect(replay.unload("let-go").settled(replay.reading)).toBe(true);
    expect(provenBy(replay, load, text(""))).toMatchObject({ bert: "loaded", "org/never asked": "loaded" });
    // Its requests may go on.
    expect(provenBy(replay, replay.unload("bert"), text(""))).toBeUndefined();
  });

  test("wants explicit control, and a folder in the repository", () => {
    const load = replay.load("bert");
    expect(faultOf(load, fixture("triton-2.71.not-explicit.json", 503))).toContain("--model-control-mode=explicit");
    expect(
      faultOf(load, json({ error: "failed to load 'bert', failed to poll from model repository" }, 400)),
    ).toContain("--model-repository");
    expect(faultOf(load, json({ error: "out of memory" }, 400))).toBe("Triton did not load bert: out of memory");
  });
});

test("a server that runs is read as it was recorded", () => {
  const T = "triton-2.51.0";
  const replay = new Replay(TRITON).tell({
    "/v2": recorded(`${T}.server.json`),
    index: recorded(`${T}.index.json`),
    "/metrics": recorded(`${T}.unused.metrics.txt`),
  });
  expect(replay.reading.version).toBe("2.51.0");
  expect(replay.states).toEqual({ echo: "loaded", idle: "available", words: "loaded" });
  // Quantiles of nothing are not numbers.
  expect(replay.reading.figures.queueTime).toBeUndefined();
  replay.after(10_000).tell({ "/metrics": recorded(`${T}.used.metrics.txt`) });
  const own = Object.fromEntries(replay.reading.models.map((model) => [model.model, model.figures]));
  expect(own["echo"]).toMatchObject({ waitingRequests: 0, requestsPerSecond: 0.2, failedResponses: 0 });
  expect(own["echo"]?.queueTime?.p50).toBeCloseTo(12e-6, 9);
  expect(own["words"]?.queueTime).toBeUndefined();
  replay.tell({ index: recorded(`${T}.unloading.index.json`) });
  expect(replay.states).toEqual({ echo: "unloading", idle: "available", words: "loaded" });
  expect(faultOf(replay.load("nothing"), recorded(`${T}.load-unknown.json`, 400))).toContain("--model-repository");
});
