/** llama.cpp: recorded pages of a server that runs, those of an old one, and router mode. */
import { describe, expect, test } from "bun:test";
import type { Proof } from "../../src/runtimes/adapter.ts";
import { LLAMACPP } from "../../src/runtimes/llamacpp.ts";
import { SseData } from "../../src/wire/sse-data.ts";
import { asked, faultOf, fixture, json, numberOn, Replay, recorded, twoPages } from "./replay.ts";

const B = "llamacpp-b11549";
const PAGE = "/metrics";

describe("one model", () => {
  test("is read as a server that runs tells it", () => {
    const replay = new Replay(LLAMACPP).tell({
      "/props": recorded(`${B}.props.json`),
      "/health": recorded(`${B}.health.json`),
      "/v1/models": recorded(`${B}.models.json`),
      [PAGE]: recorded(`${B}.idle.metrics.txt`),
    });
    const { version, models, figures } = replay.reading;
    expect(version).toBe("b0-unknown");
    expect(models).toEqual([
      {
        model: "tiny",
        state: "loaded",
        reason: "",
        parent: undefined,
        contextTokensMax: 4096,
        capabilities: ["chat", "completions"],
        loadsOnDemand: false,
        sizeBytes: undefined,
        figures: undefined,
      },
    ]);
    expect(figures).toMatchObject({ runningRequests: 0, waitingRequests: 0, slots: 2 });
    expect(figures.decodeTokensPerSecond).toBeUndefined();
  });

  test("has the speeds of what ended, and the use of the cache that its slots tell", () => {
    const replay = new Replay(LLAMACPP).tell({ [PAGE]: recorded(`${B}.idle.metrics.txt`) });
    replay.after(10_000).tell({ [PAGE]: recorded(`${B}.busy.metrics.txt`) });
    replay.tell({ "slots in use": recorded(`${B}.busy.slots.json`) });
    const { figures } = replay.reading;
    const told = (name: string) => numberOn(recorded(`${B}.busy.metrics.txt`), `llamacpp:${name}`);
    expect(figures.runningRequests).toBe(told("requests_processing"));
    expect(figures.waitingRequests).toBe(told("requests_deferred"));
    expect(figures.slots).toBe(2);
    expect(figures.prefillTokensPerSecond).toBeCloseTo(told("prompt_tokens_total") / told("prompt_seconds_total"));
    // Seconds are those of each slot: the batch is as many times as fast as slots are busy.
    const speed =
      (told("tokens_predicted_total") / told("tokens_predicted_seconds_total")) * told("n_busy_slots_per_decode");
    expect(figures.decodeTokensPerSecond).toBeCloseTo(speed);
    const cached = told("prompt_tokens_cached_total");
    expect(figures.cacheHitRate).toBeCloseTo(cached / (cached + told("prompt_tokens_total")));
    const slots = JSON.parse(new TextDecoder().decode(recorded(`${B}.busy.slots.json`).body)) as {
      n_prompt_tokens: number;
    }[];
    expect(figures.kvUsage).toBeCloseTo(slots.reduce((sum, slot) => sum + slot.n_prompt_tokens, 0) / 8192);
    // While nothing ends it stays as fast as it was.
    replay.after(10_000).tell({ [PAGE]: recorded(`${B}.busy.metrics.txt`) });
    expect(replay.reading.figures.decodeTokensPerSecond).toBeCloseTo(speed);
  });

  test("is not kept awake: its slots are asked only while it works, or where there are no metrics", () => {
    const replay = new Replay(LLAMACPP).tell({ [PAGE]: recorded(`${B}.busy.metrics.txt`) });
    // Seldom, so that it does not halve the looks at the metrics.
    expect(replay.adapter.looks.at(-1)).toMatchObject({ name: "slots in use", role: "detail", everyMs: 10_000 });
    replay.tell({ "slots in use": recorded(`${B}.busy.slots.json`) });
    expect(replay.reading.figures.kvUsage).toBeGreaterThan(0);
    replay.after(1000).tell({ [PAGE]: recorded(`${B}.idle.metrics.txt`) });
    expect(replay.names.join()).not.toContain("slots");
    expect(replay.reading.figures.runningRequests).toBe(0);
    expect(replay.reading.figures.kvUsage ?? 0).toBe(0);
    const without = new Replay(LLAMACPP);
    expect(without.read(PAGE, fixture("llamacpp.no-metrics.json", 501))).toMatchObject({
      ok: false,
      kind: "not_supported",
      message: expect.stringContaining("--metrics"),
    });
    without.tell({ "/v1/models": recorded(`${B}.models.json`), slots: recorded(`${B}.busy.slots.json`) });
    expect(without.reading.figures.runningRequests).toBe(2);
  });

  test("of an old version has the cache's use as a metric, and slots whose state is a number", () => {
    const { figures, replay } = twoPages(LLAMACPP, PAGE, "llamacpp-b2000");
    expect(figures).toMatchObject({ runningRequests: 1, waitingRequests: 0, kvUsage: 0.42 });
    expect(figures).toMatchObject({ prefillTokensPerSecond: 500, decodeTokensPerSecond: 40 });
    replay.tell({ "slots in use": fixture("llamacpp-b2000.slots.json") });
    expect(replay.reading.figures).toMatchObject({ slots: 2, kvUsage: 0.42 });
  });

  test("that loads still is not ready, and one that is no llama.cpp is foreign", () => {
    const replay = new Replay(LLAMACPP);
    expect(replay.read("/health", fixture("llamacpp.loading.json", 503))).toMatchObject({
      ok: false,
      kind: "not_ready",
    });
    expect(replay.read("/props", json({ detail: "Not Found" }, 404))).toMatchObject({ ok: false, kind: "foreign" });
    expect(replay.read("/props", json({ version: "1" }))).toMatchObject({ ok: false, kind: "foreign" });
    expect(replay.read("/props", json({ error: { message: "Invalid API Key" } }, 401))).toMatchObject({
      kind: "denied",
    });
  });

  test("says how to load others", () => {
    const replay = new Replay(LLAMACPP).tell({ "/props": recorded(`${B}.props.json`) });
    expect(faultOf(replay.load("other"), json({ error: { message: "File Not Found" } }, 404))).toContain(
      "--models-dir",
    );
  });
});

describe("router mode", () => {
  const GEMMA = "ggml-org/gemma-3-4b-it-GGUF:Q4_K_M";
  const router = () =>
    new Replay(LLAMACPP).tell({
      "/props": fixture("llamacpp-router.props.json"),
      "/v1/models": fixture("llamacpp-router.models.json"),
    });

  test("has models in all states, by all their names", () => {
    const replay = router();
    expect(replay.reading.version).toBe("b10380-0b1bad14f");
    expect(replay.states).toEqual({
      [GEMMA]: "loaded",
      gemma: "loaded",
      // It wakes up by the next request.
      qwen3: "loaded",
      "phi-4": "loading",
      broken: "failed: its process ended with exit code 1",
      idle: "available",
      coming: "loading",
    });
    expect(replay.reading.models[0]?.contextTokensMax).toBe(8192);
  });

  test("loads what it is asked for, unless it is told not to", () => {
    const onDemand = (replay: Replay) => new Set(replay.reading.models.map(({ loadsOnDemand }) => loadsOnDemand));
    expect(onDemand(router())).toEqual(new Set([true]));
    // Recorded with --no-models-autoload.
    expect(onDemand(router().tell({ "/props": recorded("llamacpp-router-b11434.props.json") }))).toEqual(
      new Set([false]),
    );
  });

  test("asks each loaded model for its metrics, and wakes or loads none", () => {
    const replay = router();
    const pages = replay.adapter.looks.filter(({ role }) => role === "metrics");
    expect(pages.map(({ ask }) => ask.path)).toEqual([
      "/metrics?model=ggml-org%2Fgemma-3-4b-it-GGUF%3AQ4_K_M&autoload=false",
      "/metrics?model=qwen3&autoload=false",
    ]);
  });

  test("has figures of each process, and their sum", () => {
    const replay = router();
    const [gemma, qwen] = [`metrics of ${GEMMA}`, "metrics of qwen3"] as const;
    replay.tell({ [gemma]: recorded(`${B}.idle.metrics.txt`), [qwen]: recorded(`${B}.idle.metrics.txt`) });
    replay
      .after(10_000)
      .tell({ [gemma]: recorded(`${B}.busy.metrics.txt`), [qwen]: recorded(`${B}.busy.metrics.txt`) });
    const figures = Object.fromEntries(replay.reading.models.map((model) => [model.model, model.figures]));
    expect(figures[GEMMA]?.runningRequests).toBe(2);
    expect(figures["gemma"]).toEqual(figures[GEMMA]);
    expect(figures["phi-4"]).toBeUndefined();
    const waiting = numberOn(recorded(`${B}.busy.metrics.txt`), "llamacpp:requests_deferred");
    expect(replay.reading.figures).toMatchObject({ runningRequests: 4, waitingRequests: 2 * waiting });
    expect(replay.reading.figuresAtMs).toBe(replay.nowMs);
  });

  test("forgets the figures of a process that is gone", () => {
    const replay = router();
    replay.tell({ "metrics of qwen3": recorded(`${B}.busy.metrics.txt`) });
    replay.tell({ "/v1/models": json({ object: "list", data: [{ id: "qwen3", status: { value: "unloaded" } }] }) });
    expect(replay.states).toEqual({ qwen3: "available" });
    expect(replay.reading.figures.runningRequests).toBeUndefined();
  });

  test("loads and unloads by name; what is so already is no fault", () => {
    const replay = router();
    const load = replay.load("idle");
    expect(asked(load)).toEqual(['POST api /models/load {"model":"idle"}']);
    expect(faultOf(load, json({ success: true }))).toBe("");
    expect(faultOf(load, json({ error: { code: 400, message: "model is already running" } }, 400))).toBe("");
    expect(faultOf(load, json({ error: { code: 404, message: "model is not found" } }, 404))).toContain(
      "model is not found",
    );
    expect(load.settled(replay.reading)).toBe(false);
    expect(replay.load("gemma").settled(replay.reading)).toBe(true);
    const unload = replay.unload("qwen3");
    expect(asked(unload)).toEqual(['POST api /models/unload {"model":"qwen3"}']);
    expect(faultOf(unload, json({ error: { message: "model is not running" } }, 400))).toBe("");
    expect(unload.settled(replay.reading)).toBe(false);
    expect(replay.unload("idle").settled(replay.reading)).toBe(true);
  });
});

describe("a router's feed", () => {
  const R = "llamacpp-router-b11434";
  const statesAfter = (replay: Replay, proof: Proof) =>
    proof.models(replay.reading.models).map(({ model, state, reason }) => [model, state, reason]);
  const feedOf = (replay: Replay) => {
    const { feed } = replay.adapter;
    if (feed === undefined) throw new Error("it has no feed");
    return feed;
  };
  const newRouter = () =>
    new Replay(LLAMACPP).tell({
      "/props": recorded(`${R}.props.json`),
      "/v1/models": recorded(`${R}.unloaded.models.json`),
    });

  test("tells of all that is done to models, as it was recorded", () => {
    const replay = newRouter();
    const feed = feedOf(replay);
    expect(feed.ask).toMatchObject({ method: "GET", path: "/models/sse" });
    const told: string[] = [];
    const events = new SseData();
    events.push(recorded(`${R}.events.sse`).body, (data) => {
      const news = feed.read(data);
      if (news === undefined || news === "other") told.push(String(news));
      else told.push(`${news.model} ${statesAfter(replay, news.proof).find(([name]) => name === news.model)?.[1]}`);
    });
    expect(told.filter((each, at) => each !== told[at - 1])).toEqual([
      "tiny-one loading",
      "tiny-one loaded",
      "tiny-one available",
      "tiny-two loading",
      "tiny-two loaded",
      "other",
      "tiny-two available",
    ]);
  });

  test("tells how a process ended, and of aliases where it names them", () => {
    const replay = newRouter();
    const read = (event: unknown) => feedOf(replay).read(JSON.stringify(event));
    const status = (data: unknown) => {
      const news = read({ model: "tiny-one", event: "status_change", data });
      return news === undefined || news === "other" ? news : statesAfter(replay, news.proof);
    };
    expect(status({ status: "unloaded", exit_code: 9 })?.[0]).toEqual([
      "tiny-one",
      "failed",
      "its process ended with exit code 9",
    ]);
    expect(status({ status: "loaded", info: { aliases: ["tiny-two"] } })).toEqual([
      ["tiny-one", "loaded", ""],
      ["tiny-two", "loaded", ""],
    ]);
    for (const event of [
      "",
      null,
      { model: "tiny-one", event: "download_progress", data: { status: "downloading" } },
      { model: "tiny-one", event: "status_change" },
      { model: 5, event: "status_change", data: { status: "loaded" } },
    ]) {
      expect(read(event)).toBeUndefined();
    }
    expect(feedOf(replay).read("{")).toBeUndefined();
  });

  test("is that of a router alone", () => {
    const one = new Replay(LLAMACPP).tell({ "/props": recorded("llamacpp-b11434.props.json") });
    expect(one.adapter.feed).toBeUndefined();
    const replay = newRouter();
    replay.adapter.restarted();
    expect(replay.adapter.feed).toBeUndefined();
  });
});

test("a router that runs is read as it was recorded", () => {
  const R = "llamacpp-router-b11434";
  const replay = new Replay(LLAMACPP).tell({
    "/health": recorded(`${R}.health.json`),
    "/props": recorded(`${R}.props.json`),
    "/v1/models": recorded(`${R}.unloaded.models.json`),
  });
  expect(replay.states).toEqual({ "tiny-one": "available", "tiny-two": "available" });
  expect(replay.adapter.looks.filter(({ role }) => role === "metrics")).toEqual([]);
  const load = replay.load("tiny-one");
  expect(faultOf(load, recorded(`${R}.load.json`))).toBe("");
  expect(faultOf(load, recorded(`${R}.load-again.json`, 400))).toBe("");
  expect(faultOf(load, recorded(`${R}.load-unknown.json`, 404))).toContain("File Not Found");
  replay.tell({ "/v1/models": recorded(`${R}.loading.models.json`) });
  expect(replay.states["tiny-one"]).toBe("loading");
  expect(load.settled(replay.reading)).toBe(false);
  replay.tell({ "/v1/models": recorded(`${R}.loaded.v1-models.json`) });
  expect(load.settled(replay.reading)).toBe(true);
  expect(replay.reading.models[0]?.contextTokensMax).toBe(4096);
  expect(replay.read("metrics of tiny-one", recorded(`${R}.loaded.metrics.txt`))).toEqual({ ok: true });
  expect(replay.reading.models[0]?.figures?.runningRequests).toBe(0);
  expect(replay.read("metrics of tiny-one", recorded(`${R}.unloaded.metrics.json`, 400))).toMatchObject({ ok: false });
});
