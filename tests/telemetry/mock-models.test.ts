/** Models of a mock runtime that come and go while requests are under way. */
import { afterEach, expect, test } from "bun:test";
import { type MockRuntime, type MockRuntimeOptions, startMockRuntime } from "../../src/telemetry/mock-runtime.ts";

const runtimes: MockRuntime[] = [];
afterEach(async () => {
  await Promise.all(runtimes.splice(0).map((runtime) => runtime.stop()));
});

function start(options: MockRuntimeOptions = {}): MockRuntime {
  const runtime = startMockRuntime({ models: ["a"], speed: 100, goodbyeMs: 5, ...options });
  runtimes.push(runtime);
  return runtime;
}

const never = new AbortController().signal;

async function ask(runtime: MockRuntime, model: string, tokens = 4): Promise<number> {
  const body = JSON.stringify({ model, messages: [{ role: "user", content: "hi" }], max_tokens: tokens });
  const response = await fetch(`http://${runtime.hostname}:${runtime.port}/v1/chat/completions`, {
    method: "POST",
    body,
  });
  await response.text();
  return response.status;
}

test("a model is refused before it is loaded, served then, and refused again when it was unloaded", async () => {
  const runtime = start();
  const told: (readonly string[])[] = [];
  runtime.watch(() => told.push(runtime.models));
  expect(await ask(runtime, "b")).toBe(404);
  expect(await runtime.load("b", never)).toEqual({ changed: true, models: ["a", "b"] });
  expect(await runtime.load("b", never)).toEqual({ changed: false, models: ["a", "b"] });
  expect(await ask(runtime, "b")).toBe(200);
  expect(runtime.sample().models.map(({ model }) => model)).toEqual(["a", "b"]);
  expect(await runtime.unload("a", 1000, never)).toEqual({ changed: true, models: ["b"] });
  expect(await runtime.unload("a", 1000, never)).toEqual({ changed: false, models: ["b"] });
  expect([await ask(runtime, "a"), await ask(runtime, "b")]).toEqual([404, 200]);
  expect(told).toEqual([["a", "b"], ["b"]]);
  await runtime.unload("b", 0, never);
  expect([runtime.models, await ask(runtime, "b")]).toEqual([[], 404]);
});

test("unloading waits for requests, or calls them off when their time is over", async () => {
  const runtime = start({ models: ["a", "b"], speed: 1 });
  const patient = ask(runtime, "a", 20);
  const doomed = ask(runtime, "b", 10_000);
  while (runtime.sample().requestsInProgress < 2) await Bun.sleep(1);
  await runtime.unload("a", 60_000, never);
  expect(await patient).toBe(200);
  expect(runtime.sample().requestsInProgress).toBe(1);
  await runtime.unload("b", 0, never);
  expect(await doomed).toBe(503);
});

test("two changes of one model at a time are refused; one that is called off changes nothing", async () => {
  const runtime = start({ speed: 1, goodbyeMs: 60_000 });
  const end = new AbortController();
  const loading = runtime.load("b", end.signal).catch((error: unknown) => error);
  expect(await runtime.load("b", never).catch((error: unknown) => error)).toMatchObject({ code: "conflict" });
  end.abort(new Error("enough"));
  expect(await loading).toMatchObject({ message: "enough" });
  const stop = new AbortController();
  const unloading = runtime.unload("a", 60_000, stop.signal).catch((error: unknown) => error);
  expect([runtime.models, await ask(runtime, "a", 1)]).toEqual([[], 200]);
  stop.abort(new Error("enough"));
  expect(await unloading).toMatchObject({ message: "enough" });
  expect(runtime.models).toEqual(["a"]);
  expect(await runtime.load("has space", never).catch((error: unknown) => error)).toMatchObject({
    code: "bad_request",
  });
});
