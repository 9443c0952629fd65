/** A runtime that tells of its models by itself: what the agent knows of it though no list can be read. */
import { afterAll, expect, test } from "bun:test";
import { defaultsOf } from "../../src/base/settings-reading.ts";
import type { Ask } from "../../src/runtimes/adapter.ts";
import { ModelFeed } from "../../src/telemetry/model-feed.ts";
import { openRuntime } from "../../src/telemetry/open-runtime.ts";
import type { Asked, RuntimeClient } from "../../src/telemetry/runtime-client.ts";
import { runtimeSettings } from "../../src/telemetry/runtime-settings.ts";
import { AUTO } from "../../src/telemetry/runtime-spec.ts";
import { kindOfRuntime } from "../../src/telemetry/runtime-tables.ts";
import type { WatchedRuntime } from "../../src/telemetry/watched-runtime.ts";
import { type FakeLlamaRouter, type FakeLlamaRouterOptions, startFakeLlamaRouter } from "./fake-llama-router.ts";

const MODELS = ["one", "two"];
const FEED = "GET /models/sse";
// They wait for the clock most of the time, and do so together.
const fakes: FakeLlamaRouter[] = [];
const runtimes: WatchedRuntime[] = [];

afterAll(async () => {
  await Promise.all(runtimes.map((runtime) => runtime.stop(0)));
  await Promise.all(fakes.map((fake) => fake.stop()));
});

async function until(holds: () => boolean, what: string): Promise<void> {
  for (let tries = 0; tries < 2000; tries += 1) {
    if (holds()) return;
    await Bun.sleep(10);
  }
  throw new Error(`never came true: ${what}`);
}

async function watched(options: Partial<FakeLlamaRouterOptions> = {}) {
  const router = startFakeLlamaRouter({ models: MODELS, ...options });
  fakes.push(router);
  const one = openRuntime(
    {
      ...AUTO,
      kind: "llamacpp",
      url: { protocol: "http", host: "127.0.0.1", port: router.port, tls: false, base: "" },
    },
    {
      name: "llamacpp",
      ...kindOfRuntime("llamacpp"),
      config: defaultsOf(runtimeSettings),
      endsWithAgent: false,
      tell: () => {},
    },
  ).begin();
  runtimes.push(one);
  await until(() => one.status.state === "ready" && one.modelStates.length === MODELS.length, "it is ready");
  return { router, one };
}

test.concurrent("what somebody else loads or lets go is known as it happens, by that alone", async () => {
  const { router, one } = await watched();
  await until(() => router.readers === 1, "its feed is read");
  router.list = 500;
  router.load("one");
  await until(() => one.models.join() === "one", "the first is served");
  router.load("two");
  await until(() => one.models.join() === "one,two", "both are served");
  router.unload("one");
  await until(() => one.models.join() === "two", "one is gone");
  expect(one.modelStates.map(({ state }) => state)).toEqual(["available", "loaded"]);
}, 30_000);

test.concurrent("what is loaded for the agent is done when the feed says so, and looked at no more often meanwhile", async () => {
  const { router, one } = await watched({ loadMs: 3000 });
  await until(() => router.readers === 1, "its feed is read");
  // It is believed to be there when it has lasted a while.
  await Bun.sleep(1100);
  const before = router.asked.length;
  const signal = AbortSignal.timeout(20_000);
  expect(await one.load("two", signal)).toEqual({ changed: true, models: ["two"] });
  expect(router.asked.slice(before).filter((ask) => ask === "GET /v1/models").length).toBeLessThanOrEqual(4);
  router.list = 500;
  expect(await one.unload("two", 10, signal)).toEqual({ changed: true, models: [] });
}, 30_000);

test.concurrent("a server that has none is asked for its list instead", async () => {
  const { router, one } = await watched({ hasFeed: false });
  await until(() => router.asked.includes(FEED), "it is asked for");
  expect(await one.load("one", AbortSignal.timeout(20_000))).toEqual({ changed: true, models: ["one"] });
  expect(router.asked.filter((ask) => ask === FEED)).toHaveLength(1);
}, 30_000);

test.concurrent("one that hangs up is asked again", async () => {
  const { router } = await watched();
  await until(() => router.readers === 1, "its feed is read");
  router.hangUp();
  await until(() => router.readers === 1, "it is read again");
}, 30_000);

test.concurrent("who stops reads no more of it", async () => {
  const { router, one } = await watched();
  await until(() => router.readers === 1, "its feed is read");
  await one.stop(0);
  await until(() => router.readers === 0, "the connection is gone");
  expect(router.asked.filter((ask) => ask === FEED)).toHaveLength(1);
}, 30_000);

test.concurrent("an answer of another kind is no feed, one that breaks off was one", async () => {
  const answered = (status: number, contentType: string): Asked => ({
    ok: true,
    isFromMesh: false,
    answer: { status, contentType, body: new Uint8Array() },
  });
  const endOf = async (asked: Asked, piece = ""): Promise<unknown[]> => {
    const told: unknown[] = [];
    const ask: RuntimeClient["askApart"] = async (_, limits) => {
      limits.piece?.(Buffer.from(piece));
      return asked;
    };
    const feed = new ModelFeed({ ask, told: (news) => told.push(news), ended: (isAbsent) => told.push(isAbsent) });
    const path: Ask = { method: "GET", port: "api", path: "/feed" };
    await feed.read({ ask: path, read: (data) => (data === "new" ? "other" : undefined) });
    return told;
  };
  expect(await endOf(answered(404, "application/json"))).toEqual([true]);
  expect(await endOf(answered(200, "text/html"), "data: <html>\n\n")).toEqual([true]);
  expect(await endOf(answered(200, "text/event-stream; charset=utf-8"), "data: new\n\ndata: x\n\n")).toEqual([
    "other",
    false,
  ]);
  expect(await endOf({ ok: false, kind: "broken", message: "" })).toEqual([false]);
});
