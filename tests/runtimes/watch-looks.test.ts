/** The watch of servers whose questions depend on their answers, on a virtual clock. */
import { expect, test } from "bun:test";
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
