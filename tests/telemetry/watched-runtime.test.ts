import { afterAll, describe, expect, test } from "bun:test";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { defaultsOf } from "../../src/base/settings-reading.ts";
import { openRuntime } from "../../src/telemetry/open-runtime.ts";
import { runtimeSettings, type RuntimeConfig } from "../../src/telemetry/runtime-settings.ts";
import { AUTO, type RuntimeSpec } from "../../src/telemetry/runtime-spec.ts";
import { kindOfRuntime } from "../../src/telemetry/runtime-tables.ts";
import type { RuntimeUrl } from "../../src/telemetry/runtime-url.ts";
import type { RuntimeEvent, WatchedRuntime } from "../../src/telemetry/watched-runtime.ts";
import { endFakes, type FakeRuntime, startFake } from "./fake-runtime.ts";
import { scriptedServer, type ScriptedServer } from "./scripted-server.ts";

const folder = mkdtempSync(join(tmpdir(), "infermesh-runtime-"));
const CONFIG: RuntimeConfig = defaultsOf(runtimeSettings);
/** Where it is waited for that somebody gives up. Where nobody may, a busy machine needs longer. */
const QUICK: Partial<RuntimeConfig> = { timeoutMs: 300, unresponsiveMs: 900 };
const PATIENT: Partial<RuntimeConfig> = { timeoutMs: 10_000, unresponsiveMs: 30_000 };
const runtimes: WatchedRuntime[] = [];
const servers: ScriptedServer[] = [];

afterAll(async () => {
  await Promise.all(runtimes.map((runtime) => runtime.stop(0)));
  await Promise.all(servers.map((server) => server.stop()));
  await endFakes();
  rmSync(folder, { recursive: true });
});

function at(port: number): RuntimeUrl {
  return { protocol: "http", host: "127.0.0.1", port, tls: false, base: "" };
}

/** A watched vLLM, with what is told of it. */
function watched(port: number, spec: Partial<RuntimeSpec> = {}, config: Partial<RuntimeConfig> = {}) {
  const told: RuntimeEvent[] = [];
  const runtime = openRuntime(
    { ...AUTO, kind: "vllm", url: at(port), ...spec },
    {
      name: "vllm",
      ...kindOfRuntime("vllm"),
      config: { ...CONFIG, ...PATIENT, ...config },
      endsWithAgent: false,
      tell: (event) => told.push(event),
    },
  );
  runtimes.push(runtime);
  runtime.begin();
  /** Waits for a state; the message that goes with it. */
  const state = (wanted: string): Promise<string> =>
    until(
      () => (runtime.status.state === wanted ? runtime.status.message || "-" : ""),
      `state ${wanted}`,
      () => JSON.stringify(runtime.status),
    );
  const states = (): string[] => told.filter(({ about }) => about === "runtime").map(({ kind }) => kind);
  return { runtime, told, state, states };
}

async function until(holds: () => string | boolean, what: string, seen: () => string = () => ""): Promise<string> {
  for (let tries = 0; tries < 800; tries += 1) {
    const found = holds();
    if (found !== false && found !== "") return String(found);
    await Bun.sleep(10);
  }
  throw new Error(`never came true: ${what}; ${seen()}`);
}

async function asksOf(fake: FakeRuntime, path: string): Promise<number> {
  return (await fake.set({})).filter((ask) => ask === `GET ${path}`).length;
}

const refusalOf = (work: Promise<unknown>): Promise<string> =>
  work.then(
    () => "none",
    (error: Error) => error.message,
  );

// They wait for the clock most of the time, and do so together.
describe.concurrent("a runtime", () => {
  test("tells its version, its models and how busy it is", async () => {
    const fake = await startFake({ running: 3, waiting: 2, adapters: { "my-lora": "base-model" } });
    const { runtime, state } = watched(fake.port);
    await state("ready");
    await until(() => runtime.models.length === 2 && runtime.reading.figures.runningRequests === 3, "all is read");
    expect(runtime.version).toBe("0.11.0");
    expect(runtime.models).toEqual(["base-model", "my-lora"]);
    expect(runtime.endpoints).toEqual([
      { name: "http", host: "127.0.0.1", port: fake.port, protocol: "http", tls: false },
    ]);
    const { ready, models, requestsInProgress } = runtime.sample();
    expect([ready, requestsInProgress]).toEqual([true, 5]);
    expect(
      models.map(({ model, parent, contextTokensMax, kvUsage, runningRequests }) => [
        model,
        parent,
        contextTokensMax,
        kvUsage,
        runningRequests,
      ]),
    ).toEqual([
      ["base-model", undefined, 8192, 0.25, 3],
      ["my-lora", "base-model", 8192, 0.25, 3],
    ]);
  });

  test("tells how old its load is, until it is read again", async () => {
    const fake = await startFake({ running: 1 });
    const { runtime, state } = watched(fake.port);
    await state("ready");
    const ages = (): number[] => runtime.sample().models.map(({ figuresAgeMs }) => figuresAgeMs ?? -1);
    await until(() => (ages()[0] ?? -1) >= 0, "its metrics are read");
    for (let round = 0; round < 2; round++) {
      let oldest = 0;
      await until(() => {
        const [age = 0] = ages();
        const isRead = age < oldest;
        oldest = Math.max(oldest, age);
        return isRead;
      }, "they are read again");
      expect(oldest).toBeGreaterThan(100);
    }
    // Metrics that can't be had make nothing fresh.
    await fake.set({ metrics: "missing" });
    await until(() => (ages()[0] ?? 0) > 2000, "they grow old");
  }, 20_000);

  test("that is killed is down, and ready when another one is there, whatever its version", async () => {
    const fake = await startFake();
    const { runtime, state, states } = watched(fake.port);
    await state("ready");
    await until(() => runtime.models.length === 1, "its models are read");
    await fake.kill();
    expect(await state("down")).toMatch(/refused/);
    expect(runtime.sample().ready).toBe(false);
    // Who asks for them is told that nobody serves them now, not that there are none.
    expect(runtime.models).toEqual(["base-model"]);
    await startFake({ version: "0.12.0", models: ["next-model"] }, fake.port);
    await state("ready");
    await until(() => runtime.version === "0.12.0" && runtime.models[0] === "next-model", "all is read anew");
    expect(states()).toContain("down");
    expect(states().at(-1)).toBe("ready");
  }, 20_000);

  test("that is stopped hangs, stalls nobody, and is ready when it goes on", async () => {
    const [frozen, other] = [await startFake(), await startFake()];
    const { runtime, state } = watched(frozen.port, {}, QUICK);
    const beside = watched(other.port);
    await state("ready");
    await beside.state("ready");
    frozen.freeze();
    await state("unresponsive");
    expect(runtime.sample().ready).toBe(false);
    const before = await asksOf(other, "/metrics");
    await until(
      () => beside.runtime.asks.failures.size === 0 && beside.runtime.status.state === "ready",
      "the other one is well",
    );
    while ((await asksOf(other, "/metrics")) === before) await Bun.sleep(20);
    frozen.thaw();
    await state("ready");
    expect(beside.states()).not.toContain("unresponsive");
  }, 20_000);

  test.each(["slow", "trickle"] as const)(
    "whose metrics are %s serves on, and is well when they are",
    async (metrics) => {
      const fake = await startFake({ running: 1 });
      const { runtime, state, states } = watched(
        fake.port,
        {},
        { timeoutMs: QUICK.timeoutMs!, unresponsiveMs: 30_000 },
      );
      await state("ready");
      await until(() => runtime.reading.figures.runningRequests === 1, "its metrics are read");
      await fake.set({ metrics });
      await state("slow");
      expect(runtime.sample().ready).toBe(true);
      expect(runtime.asks.failures.get("timeout")).toBeGreaterThan(0);
      await fake.set({ metrics: "well" });
      await state("ready");
      expect(states()).not.toContain("unresponsive");
    },
    20_000,
  );

  test.each(["garbage", "huge-head", "missing"] as const)(
    "whose metrics are %s serves without figures",
    async (metrics) => {
      const fake = await startFake({ metrics });
      const { runtime, states } = watched(fake.port);
      await until(() => runtime.sample().ready && runtime.models.length === 1, "it serves");
      while ((await asksOf(fake, "/metrics")) === 0) await Bun.sleep(20);
      // One that has none has nothing wrong with it.
      const isCounted = (): boolean => metrics === "missing" || runtime.asks.failures.size > 0;
      await until(() => isCounted(), "they are asked for");
      expect(runtime.sample().ready).toBe(true);
      expect(runtime.reading.figures.kvUsage).toBeUndefined();
      expect(states()).not.toContain("down");
    },
    20_000,
  );

  test("whose metrics are five megabytes is read", async () => {
    const fake = await startFake({ metrics: "large", running: 4 });
    const { runtime, state } = watched(fake.port);
    await state("ready");
    await until(() => runtime.reading.figures.runningRequests === 4, "they are read");
    expect(runtime.asks.metricsBytes).toBeGreaterThan(5 * 1024 ** 2);
  }, 20_000);

  test("whose metrics are longer than the limit serves without figures", async () => {
    const fake = await startFake({ metrics: "large" });
    const { runtime } = watched(fake.port, {}, { answerBytesMax: 65_536 });
    await until(() => runtime.sample().ready && (runtime.asks.failures.get("too_large") ?? 0) > 0, "it serves");
  }, 20_000);

  test("that closes each connection after its answer does not look as if it crashed", async () => {
    const fake = await startFake({ closes: true });
    const { state, states } = watched(fake.port);
    await state("ready");
    const before = await asksOf(fake, "/metrics");
    while ((await asksOf(fake, "/metrics")) < before + 2) await Bun.sleep(50);
    expect(states().filter((each) => each !== "connecting" && each !== "starting")).toEqual(["ready"]);
    await fake.kill();
    await state("down");
  }, 20_000);

  test("that ends kept connections now and then does not look so either", async () => {
    const fake = await startFake();
    const { state, states } = watched(fake.port);
    await state("ready");
    // A proxy in front would do it like this: the next request is answered on a new connection.
    await fake.set({ closes: true });
    const before = await asksOf(fake, "/metrics");
    while ((await asksOf(fake, "/metrics")) < before + 2) await Bun.sleep(50);
    expect(states()).not.toContain("down");
  }, 20_000);

  test("that still loads its model starts", async () => {
    const fake = await startFake({ health: 503 });
    const { runtime, state } = watched(fake.port);
    await state("starting");
    expect(runtime.sample().ready).toBe(false);
    await fake.set({ health: 200 });
    await state("ready");
  }, 20_000);

  test("in whose place something else answers is foreign, and no requests are sent there", async () => {
    const page = "<html>Grafana</html>";
    const server = await scriptedServer((_, socket) =>
      socket.write(`HTTP/1.1 200 OK\r\ncontent-type: text/html\r\ncontent-length: ${page.length}\r\n\r\n${page}`),
    );
    servers.push(server);
    const { runtime, state } = watched(server.port);
    expect(await state("foreign")).not.toBe("-");
    expect(runtime.sample().ready).toBe(false);
  }, 20_000);

  test("that wants a key is denied, and ready once the key's file is right", async () => {
    const fake = await startFake({ authorization: "Bearer right" });
    const path = join(folder, "key");
    writeFileSync(path, "wrong\n");
    const { state, runtime } = watched(fake.port, { apiKey: { kind: "file", text: path } });
    const message = await state("denied");
    expect(message).not.toContain("wrong");
    writeFileSync(path, "right, and longer\n");
    await fake.set({ authorization: "Bearer right, and longer" });
    await state("ready");
    expect(JSON.stringify([runtime.status, runtime.reading])).not.toContain("right");
  }, 20_000);

  test("whose key's file is away says so", async () => {
    const fake = await startFake();
    const { runtime } = watched(fake.port, { bearer: { kind: "file", text: join(folder, "none") } });
    await until(() => (runtime.asks.failures.get("secret") ?? 0) > 0, "the failure is counted");
    expect(runtime.sample().ready).toBe(false);
    await until(
      () => runtime.status.message.includes("can't be read: ENOENT"),
      "it says why",
      () => runtime.status.message,
    );
  }, 20_000);
});

describe.concurrent("models of a runtime", () => {
  test("are loaded and unloaded by it, and named while they are served", async () => {
    const fake = await startFake({ loadMs: 50 });
    const { runtime, told, state } = watched(fake.port);
    await state("ready");
    await until(() => runtime.models.length === 1, "its models are read");
    const signal = AbortSignal.timeout(15_000);
    const how = { source: "/adapters/a", parent: "base-model" };
    const loading = runtime.load("a", signal, how);
    expect(await refusalOf(runtime.load("a", signal, how))).toMatch(/loading already/);
    expect(await loading).toEqual({ changed: true, models: ["base-model", "a"] });
    expect(runtime.models).toEqual(["base-model", "a"]);
    expect(await runtime.load("a", signal, how)).toMatchObject({ changed: false });
    const unloading = runtime.unload("a", 10, signal);
    expect(runtime.models).toEqual(["base-model"]);
    expect(await unloading).toEqual({ changed: true, models: ["base-model"] });
    expect(await runtime.unload("a", 10, signal)).toMatchObject({ changed: false });
    const events = told.filter(({ about }) => about === "model").map(({ kind }) => kind);
    expect(events).toEqual(["loading", "unloading"]);
    expect(await refusalOf(runtime.load("bad name", signal))).toMatch(/printable/);
    expect(await refusalOf(runtime.load("b", signal))).toMatch(/can't be told to load b/);
  }, 30_000);

  test("are served by the answer to the load alone, where the list can't be read", async () => {
    const fake = await startFake();
    const { runtime, state } = watched(fake.port);
    await state("ready");
    await until(() => runtime.models.length === 1, "its models are read");
    await fake.set({ list: 500 });
    const signal = AbortSignal.timeout(15_000);
    const load = (name: string) => runtime.load(name, signal, { source: `/adapters/${name}`, parent: "base-model" });
    for (const name of ["a", "b"]) expect(await load(name)).toMatchObject({ changed: true });
    expect(runtime.models).toEqual(["base-model", "a", "b"]);
    expect(runtime.sample().models.find(({ model }) => model === "b")).toMatchObject({
      parent: "base-model",
      contextTokensMax: 8192,
    });
    expect(await runtime.unload("a", 10, signal)).toEqual({ changed: true, models: ["base-model", "b"] });
  }, 30_000);

  test("that somebody else has loaded or let go meanwhile are looked at before nothing is done", async () => {
    const fake = await startFake();
    const { runtime, state } = watched(fake.port);
    await state("ready");
    await until(() => runtime.models.length === 1, "its models are read");
    const signal = AbortSignal.timeout(20_000);
    const how = { source: "/adapters/a", parent: "base-model" };
    await fake.set({ adapters: { a: "base-model" } });
    expect(await runtime.unload("a", 10, signal)).toEqual({ changed: true, models: ["base-model"] });
    expect(await runtime.load("a", signal, how)).toMatchObject({ changed: true });
    await fake.set({ adapters: {} });
    expect(await runtime.load("a", signal, how)).toEqual({ changed: true, models: ["base-model", "a"] });
  }, 30_000);

  test("that somebody else loads are served as soon as the metrics tell that something was loaded", async () => {
    const fake = await startFake();
    const { runtime, state } = watched(fake.port, {}, { modelsIntervalMs: 3_600_000 });
    await state("ready");
    for (const name of ["a", "b"]) {
      await fake.loadAdapter(name);
      await until(() => runtime.models.includes(name), `${name} is served`);
    }
  });

  test("that the runtime refuses to load are refused with its words", async () => {
    const fake = await startFake();
    const { runtime, state } = watched(fake.port);
    await state("ready");
    await fake.kill();
    await state("down");
    expect(await refusalOf(runtime.load("a", AbortSignal.timeout(5000), { source: "/a" }))).toMatch(
      /serves nothing now: it is down/,
    );
  }, 20_000);

  test("are served when they have answered a first request, where that is wanted", async () => {
    const fake = await startFake({ chat: 500 });
    const { runtime, state, told } = watched(fake.port, {}, { warmup: true });
    await state("ready");
    await until(
      () => runtime.modelStates[0]?.state === "warming" && runtime.modelStates[0].reason.includes("status 500"),
      "it is warmed up",
    );
    expect(runtime.models).toEqual([]);
    expect(runtime.sample().models).toMatchObject([{ model: "base-model", state: "warming" }]);
    await fake.set({ chat: 200 });
    await until(() => runtime.models.length === 1, "it is served");
    expect(runtime.sample().models).toMatchObject([{ model: "base-model", state: "loaded" }]);
    expect(told.filter(({ about }) => about === "model").map(({ kind }) => kind)).toEqual(["warming", "failed"]);
  }, 20_000);
});
