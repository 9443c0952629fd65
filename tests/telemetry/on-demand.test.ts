/** A runtime that loads what it is asked for: what the agent tells of models that are not loaded. */
import { afterAll, expect, test } from "bun:test";
import { defaultsOf } from "../../src/base/settings-reading.ts";
import { openRuntime } from "../../src/telemetry/open-runtime.ts";
import { runtimeSettings } from "../../src/telemetry/runtime-settings.ts";
import { AUTO } from "../../src/telemetry/runtime-spec.ts";
import { kindOfRuntime } from "../../src/telemetry/runtime-tables.ts";
import type { RuntimeEvent, WatchedRuntime } from "../../src/telemetry/watched-runtime.ts";
import { type FakeOllama, startFakeOllama } from "./fake-ollama.ts";

const MODEL = "small:1b";
const never = new AbortController().signal;
// They wait for the clock most of the time, and do so together.
const fakes: FakeOllama[] = [];
const runtimes: WatchedRuntime[] = [];

afterAll(async () => {
  await Promise.all(runtimes.map((runtime) => runtime.stop(0)));
  await Promise.all(fakes.map((fake) => fake.stop()));
}, 30_000);

async function until(holds: () => boolean): Promise<void> {
  for (let tries = 0; tries < 1500; tries += 1) {
    if (holds()) return;
    await Bun.sleep(10);
  }
  throw new Error("never came true");
}

function watched(
  options: Parameters<typeof startFakeOllama>[0],
  warmup = false,
): { fake: FakeOllama; one: WatchedRuntime; told: RuntimeEvent[] } {
  const fake = startFakeOllama(options);
  fakes.push(fake);
  const told: RuntimeEvent[] = [];
  const one = openRuntime(
    { ...AUTO, kind: "ollama", url: { protocol: "http", host: "127.0.0.1", port: fake.port, tls: false, base: "" } },
    {
      name: "ollama",
      ...kindOfRuntime("ollama"),
      config: { ...defaultsOf(runtimeSettings), warmup },
      endsWithAgent: false,
      tell: (event) => told.push(event),
    },
  ).begin();
  runtimes.push(one);
  return { fake, one, told };
}

const toldOf = (one: WatchedRuntime) =>
  one.sample().models.map(({ model, state, loadSeconds }) => [model, state, loadSeconds] as const);

test.concurrent("those that it could load are served, and say how long that takes by their size", async () => {
  const { one } = watched({ models: [MODEL, "other:7b"], loaded: ["other:7b"], sizeBytes: 4e9 });
  await until(() => one.status.state === "ready" && one.sample().models.length === 2);
  expect(one.models).toEqual([MODEL, "other:7b"]);
  // What is loaded comes first, since only so many are told of.
  expect(toldOf(one)).toEqual([
    ["other:7b", "loaded", undefined],
    [MODEL, "available", 4.5],
  ]);
}, 30_000);

test.concurrent("one that somebody loads is loaded when it is seen, and cold again when it was let go", async () => {
  const { fake, one } = watched({ models: [MODEL] });
  await until(() => toldOf(one)[0]?.[1] === "available");
  const say = (keepAlive: number) =>
    fetch(`http://127.0.0.1:${fake.port}/api/generate`, {
      method: "POST",
      body: JSON.stringify({ model: MODEL, keep_alive: keepAlive }),
    });
  await say(-1);
  await until(() => toldOf(one)[0]?.[1] === "loaded");
  expect(toldOf(one)).toEqual([[MODEL, "loaded", undefined]]);
  await say(0);
  await until(() => toldOf(one)[0]?.[1] === "available");
  expect(one.models).toEqual([MODEL]);
}, 30_000);

test.concurrent("while the agent has one loaded it is served still, and afterwards it is known how long that took", async () => {
  const { one, told } = watched({ models: [MODEL], loadMs: 2000, sizeBytes: 1e9 });
  await until(() => one.status.state === "ready" && toldOf(one)[0]?.[1] === "available");
  const loading = one.load(MODEL, never);
  expect(toldOf(one)[0]?.[1]).toBe("loading");
  expect(toldOf(one)[0]?.[2]).toBeLessThanOrEqual(1.5);
  expect(one.models).toEqual([MODEL]);
  await loading;
  expect(told.filter(({ about }) => about === "model").map(({ kind }) => kind)).toEqual(["loading"]);
  expect(toldOf(one)).toEqual([[MODEL, "loaded", undefined]]);
  await one.unload(MODEL, 0, never);
  const [[, state, loadSeconds = 0] = []] = toldOf(one);
  expect(state).toBe("available");
  expect(loadSeconds).toBeGreaterThanOrEqual(2);
}, 30_000);

test.concurrent("one that is warmed up goes on being served, since a request would have had it loaded as well", async () => {
  const { fake, one } = watched({ models: [MODEL], loaded: [MODEL] }, true);
  await until(() => fake.chats === 1 && toldOf(one)[0]?.[1] === "loaded");
  expect(one.models).toEqual([MODEL]);
}, 30_000);
