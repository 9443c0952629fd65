/** The watch of servers whose questions depend on their answers, on a virtual clock. */
import { describe, expect, test } from "bun:test";
import { LLAMACPP } from "../../src/runtimes/llamacpp.ts";
import { OLLAMA } from "../../src/runtimes/ollama.ts";
import { TFSERVING } from "../../src/runtimes/tfserving.ts";
import { TORCHSERVE } from "../../src/runtimes/torchserve.ts";
import { PlayedServer } from "./played-server.ts";
import { fixture, json, recorded, text } from "./replay.ts";

test("a router's processes are looked at while they are loaded, and are no condition of its being ready", () => {
  const R = "llamacpp-router-b11434";
  const page = "/metrics?model=tiny-one&autoload=false";
  const router = new PlayedServer(LLAMACPP, {
    "/props": recorded(`${R}.props.json`),
    "/health": recorded(`${R}.health.json`),
    "/v1/models": recorded(`${R}.unloaded.models.json`),
    "/metrics": recorded(`${R}.metrics-without-model.json`, 400),
    [page]: recorded(`${R}.loaded.metrics.txt`),
  }).pass(20_000);
  expect(router.watch.status.state).toBe("ready");
  expect(router.models).toEqual({ "tiny-one": "available", "tiny-two": "available" });
  expect(router.since(1000)).not.toContain("/metrics");
  router.paths["/v1/models"] = recorded(`${R}.loaded.v1-models.json`);
  const loadedAtMs = router.nowMs;
  router.pass(30_000);
  expect(router.models["tiny-one"]).toBe("loaded");
  expect(router.since(loadedAtMs).filter((path) => path === page).length).toBeGreaterThan(10);
  // No more than one a second, in the mean.
  expect(router.since(loadedAtMs).length).toBeLessThanOrEqual(31);
  router.paths["/v1/models"] = recorded(`${R}.unloaded.models.json`);
  router.pass(30_000);
  const unloadedAtMs = router.nowMs;
  router.pass(30_000);
  expect(router.since(unloadedAtMs)).not.toContain(page);
  expect([...router.states]).toEqual(["connecting", "starting", "ready"]);
});

describe("a router that tells of its models by itself", () => {
  const R = "llamacpp-router-b11434";
  const FEED = "/models/sse";
  const PAGE = "/metrics?model=tiny-one&autoload=false";
  const LIST = "/v1/models";
  const unloaded = recorded(`${R}.unloaded.models.json`);
  const loaded = recorded(`${R}.loaded.v1-models.json`);

  function routerOf(hasFeed: boolean): PlayedServer {
    const router = new PlayedServer(LLAMACPP, {
      "/props": recorded(`${R}.props.json`),
      "/health": recorded(`${R}.health.json`),
      [LIST]: unloaded,
      "/metrics": recorded(`${R}.metrics-without-model.json`, 400),
      [PAGE]: recorded(`${R}.loaded.metrics.txt`),
    });
    router.hasFeed = hasFeed;
    router.pass(30_000);
    expect(router.watch.status.state).toBe("ready");
    return router;
  }
  const tell = (router: PlayedServer, data: unknown) =>
    router.watch.fed(router.adapter.feed!.read(JSON.stringify(data))!, router.nowMs);
  const status = (word: string) => ({ model: "tiny-one", event: "status_change", data: { status: word } });

  test("is asked for that once, and its events are known as they come", () => {
    const router = routerOf(true);
    expect(router.since(0).filter((path) => path === FEED)).toHaveLength(1);
    const asked = router.asked.length;
    tell(router, status("loading"));
    expect(router.models["tiny-one"]).toBe("loading");
    router.paths[LIST] = loaded;
    tell(router, status("loaded"));
    expect(router.models["tiny-one"]).toBe("loaded");
    expect(router.watch.take().changed).toBe(true);
    expect(router.asked).toHaveLength(asked);
    // Its page is looked at from then on, since the list says so too.
    router.pass(5000);
    expect(router.since(router.nowMs - 2500)).toContain(PAGE);
    // What is known is no news.
    tell(router, status("loaded"));
    expect(router.watch.take().changed).toBe(false);
    router.pass(600_000);
    expect(router.since(0).filter((path) => path === FEED)).toHaveLength(1);
    expect(Math.min(...router.pauses(LIST, 60_000))).toBeGreaterThan(25_000);
  });

  test("is asked for its list once it tells: what happened before is not among its events", () => {
    const router = routerOf(true);
    const feedAtMs = router.asked.find(({ path }) => path === FEED)!.atMs;
    expect(router.since(feedAtMs + 1).slice(0, 3)).toContain(LIST);
    router.pass(600_000);
    router.watch.feedEnded(false, router.nowMs);
    const endedMs = router.nowMs;
    router.pass(15_000);
    const again = router.asked.find(({ path, atMs }) => path === FEED && atMs >= endedMs)!.atMs;
    expect(router.since(again + 1)).toContain(LIST);
  });

  test("that has read its folder anew is asked for its list", () => {
    const router = routerOf(true);
    router.pass(60_000, () => router.since(router.nowMs - 3000).includes(LIST)).pass(3000);
    const atMs = router.nowMs;
    tell(router, { model: "*", event: "models_reload" });
    router.pass(1150);
    expect(router.since(atMs)).toContain(LIST);
  });

  test("need not be looked at again and again while it loads", () => {
    const router = routerOf(true);
    router.paths[LIST] = loaded;
    router.pass(60_000);
    const fromMs = router.nowMs;
    expect(router.watch.hasLookedAtModels(fromMs)).toBe(true);
    for (let second = 0; second < 60; second++) {
      router.watch.hurry(router.nowMs);
      router.pass(1000);
    }
    expect(Math.max(...router.pauses(PAGE, fromMs))).toBeLessThanOrEqual(1200);
    expect(router.since(fromMs).filter((path) => path === LIST).length).toBeLessThan(10);
    router.expectBudget();
  });

  test("is asked again when that ends, and less often where it does not last", () => {
    const router = routerOf(true);
    const asks = () => router.since(0).filter((path) => path === FEED).length;
    router.pass(120_000).watch.feedEnded(false, router.nowMs);
    router.pass(20_000);
    expect(asks()).toBe(2);
    for (let end = 0; end < 10; end++) {
      router.watch.feedEnded(false, router.nowMs);
      router.pass(320_000);
    }
    expect(asks()).toBe(12);
    expect(Math.max(...router.pauses(FEED, 300_000))).toBeLessThanOrEqual(640_000);
    const fromMs = router.nowMs;
    for (let end = 0; end < 40; end++) {
      router.watch.feedEnded(false, router.nowMs);
      router.pass(10_000);
    }
    expect(router.since(fromMs).filter((path) => path === FEED).length).toBeLessThan(10);
    router.expectBudget();
  });

  test("without it is asked for it every five minutes, and for its list as ever", () => {
    const router = routerOf(false);
    router.pass(620_000);
    expect(router.since(0).filter((path) => path === FEED).length).toBeWithin(2, 4);
    expect(Math.min(...router.pauses(LIST, 60_000))).toBeLessThan(13_000);
  });
});

test("models are described as soon as they are listed, and one that can't be disturbs nobody", () => {
  const T = "torchserve-0.12";
  const server = new PlayedServer(TORCHSERVE, {
    "/api-description": fixture(`${T}.api-description.json`),
    "/ping": json({ status: "Healthy" }),
    "/metrics": fixture(`${T}.metrics.1.txt`),
    "/models?limit=1000": fixture(`${T}.models.json`),
    "/models/resnet18": fixture(`${T}.resnet18.json`),
    "/models/starting": fixture(`${T}.starting.json`),
  }).pass(10_000);
  expect(server.watch.status.state).toBe("ready");
  expect(server.models).toEqual({ noop: "available", resnet18: "loaded", starting: "loading" });
  expect(server.watch.reading(server.nowMs).figures.waitingRequests).toBe(7);
  expect(server.asked.length).toBeLessThan(20);
});

test("what Ollama has in memory is looked at each interval, what it could load more seldom", () => {
  const server = new PlayedServer(OLLAMA, {
    "/api/version": json({ version: "0.33.0" }),
    "/": text("Ollama is running"),
    "/api/tags": fixture("ollama-0.33.tags.json"),
    "/api/ps": json({ models: [] }),
  }).pass(60_000);
  expect(server.models["qwen3:8b"]).toBe("available");
  server.pass(600_000);
  expect(Math.max(...server.pauses("/api/ps", 60_000))).toBeLessThanOrEqual(1200);
  expect(Math.max(...server.pauses("/api/tags", 60_000))).toBeLessThanOrEqual(22_000);
  server.paths["/api/ps"] = fixture("ollama-0.33.ps.json");
  server.pass(1200);
  expect(server.models["qwen3:8b"]).toBe("loaded");
});

test("names on a page are asked about, and those that are not known are not served", () => {
  const T = "tfserving-2.19";
  const server = new PlayedServer(TFSERVING, {
    "/v1/models": fixture(`${T}.malformed.json`, 400),
    "/monitoring/prometheus/metrics": fixture(`${T}.metrics.1.txt`),
    "/v1/models/half_plus_two": fixture(`${T}.status.json`),
    "/v1/models/gone": fixture(`${T}.unknown.json`, 404),
  }).pass(15_000);
  expect(server.watch.status.state).toBe("ready");
  expect(server.models).toEqual({ half_plus_two: "loaded" });
});
