/** Sources, rules and ties together: what is told of GPUs, and what a quarantine takes out. */
import { describe, expect, test } from "bun:test";
import { defaultsOf } from "../../src/base/settings-reading.ts";
import type { GpuListener, GpuSource } from "../../src/gpu/source.ts";
import { gpuSamples, healthWords } from "../../src/gpu/sample.ts";
import type { RuntimeProcesses } from "../../src/gpu/ties.ts";
import { GpuWatch } from "../../src/gpu/watch.ts";
import type { GpuReading } from "../../src/health/reading.ts";
import { healthSettings } from "../../src/health/settings.ts";
import type { SourceState } from "../../src/health/source-state.ts";
import { fakeGpu } from "./fake-gpu.ts";

const HEALTH = defaultsOf(healthSettings);
const MODELS = ["llama", "adapter"];

class Source implements GpuSource {
  state: SourceState = { state: "starting", message: "", sinceMs: 0 };
  readings: readonly GpuReading[] = [];
  listener: GpuListener | undefined;

  watch(listener: GpuListener): void {
    this.listener = listener;
  }

  read(...readings: readonly GpuReading[]): void {
    this.state = { state: "ok", message: "", sinceMs: 0 };
    this.readings = readings;
    this.listener?.changed();
  }

  fail(uuid: string, xid: number): void {
    this.listener?.faulted([{ uuid, xid }]);
  }

  async stop(): Promise<void> {}
}

function watched(runtime?: RuntimeProcesses) {
  const source = new Source();
  let changes = 0;
  const watch = new GpuWatch({
    health: HEALTH,
    runtimes: () => [{ name: "vllm", models: MODELS, processes: runtime }],
    changed: () => void (changes += 1),
  });
  watch.add(source);
  return { watch, source, changes: () => changes };
}

const used = (index: number, pid: number): GpuReading =>
  fakeGpu(index, { traffic: { processes: [{ pid, command: "vllm" }] } });

describe("what is told of a GPU", () => {
  const { uuid, identity } = fakeGpu(0);
  const words = { health: "healthy", healthReason: undefined, healthSinceMs: 5, key: "" } as const;

  test("is what was read now, and of what is old only what it is", () => {
    const reading = {
      uuid,
      identity: { ...identity, powerLimitWattsMax: 700 },
      load: { utilization: 0, powerWattsMean: 90, temperatureCelsius: 40, throttleReasons: ["idle", "sw_thermal"] },
    };
    const [fresh] = gpuSamples(reading, true, words, { models: ["m"], runtimes: ["vllm"] });
    expect(fresh).toMatchObject({
      uuid,
      utilization: 0,
      powerWatts: 90,
      powerLimitWatts: 700,
      temperatureCelsius: 40,
      throttleReasons: ["sw_thermal"],
      health: "healthy",
      healthSinceMs: 5,
      models: ["m"],
      migProfile: undefined,
    });
    const [old] = gpuSamples(reading, false, words, { models: ["m"], runtimes: ["vllm"] });
    expect(old).toMatchObject({
      utilization: undefined,
      powerWatts: undefined,
      throttleReasons: [],
      health: "healthy",
    });
    expect(gpuSamples({ uuid, identity }, true, words, { models: [] })[0]).toMatchObject({
      utilization: undefined,
      models: [],
    });
  });

  test("has its MIG slices behind it, as well as it is", () => {
    const slices = [
      { uuid: "MIG-1", profile: "1g.10gb", gpuInstance: 3, memoryTotalBytes: 10, activity: { sm: 0.25 } },
      { uuid: "MIG-2", profile: "2g.20gb", gpuInstance: 4, memoryUsedBytes: 5 },
    ];
    const told = gpuSamples({ uuid, identity, load: { activity: { graphics: 0.5 }, slices } }, true, words, {
      models: ["m"],
      runtimes: ["vllm"],
    });
    expect(told).toMatchObject([
      { uuid, utilization: 0.5, migProfile: undefined },
      {
        uuid: "MIG-1",
        migProfile: "1g.10gb",
        utilization: 0.25,
        memoryTotalBytes: 10,
        health: "healthy",
        models: ["m"],
      },
      { uuid: "MIG-2", migProfile: "2g.20gb", memoryUsedBytes: 5 },
    ]);
  });

  test("keeps the words of a reason while it lasts", () => {
    const reason = { rule: "temperature", severity: "degraded", sinceMs: 100, recovery: "auto" } as const;
    const verdict = (text: string, sinceMs = 100) =>
      ({ health: "degraded", sinceMs: 100, reasons: [{ ...reason, text, sinceMs }] }) as const;
    const first = healthWords(verdict("93 degrees"), undefined, (atMs) => atMs + 1000);
    expect(first).toMatchObject({ health: "degraded", healthReason: "93 degrees", healthSinceMs: 1100 });
    expect(healthWords(verdict("94 degrees"), first, (atMs) => atMs + 1003)).toBe(first);
    expect(healthWords(verdict("95 degrees", 200), first, (atMs) => atMs + 1000).healthReason).toBe("95 degrees");
  });
});

describe("a quarantine", () => {
  test("takes out the node where it is not known on which GPUs its runtime is, until it is ended by hand", () => {
    const { watch, source, changes } = watched();
    source.read(fakeGpu(0), fakeGpu(1));
    expect(watch.quarantines.get("vllm")).toBeUndefined();
    expect(watch.samples().map(({ models }) => models)).toEqual([MODELS, MODELS]);
    const before = changes();
    source.fail("GPU-1", 79);
    expect(changes()).toBe(before + 1);
    expect(watch.quarantines.get("vllm")).toMatchObject({ uuids: ["GPU-1"] });
    expect(watch.quarantines.get("vllm")?.reason).toMatch(/^GPU 1 \(GPU-1\) is quarantined: XID 79/);
    expect(watch.samples().map(({ health }) => health)).toEqual(["healthy", "quarantined"]);
    source.read(fakeGpu(0), fakeGpu(1));
    expect(watch.quarantines.get("vllm")).toBeDefined();
    expect(watch.clear("GPU-0")).toEqual([]);
    expect(watch.clear("GPU-1")).toEqual(["GPU-1"]);
    expect(watch.quarantines.get("vllm")).toBeUndefined();
    expect(changes()).toBe(before + 2);
    watch.stop();
  });

  test("of a GPU that only others use takes out nothing", () => {
    const { watch, source } = watched({ listener: 20, pids: new Set([20]), containers: new Set() });
    source.read(used(0, 20), used(1, 30));
    expect(watch.samples().map(({ models }) => models)).toEqual([MODELS, []]);
    source.fail("GPU-1", 79);
    expect(watch.samples()[1]).toMatchObject({ health: "quarantined", models: [] });
    expect(watch.quarantines.get("vllm")).toBeUndefined();
    source.fail("GPU-0", 79);
    expect(watch.quarantines.get("vllm")).toMatchObject({ uuids: ["GPU-0"] });
    expect(watch.clear()).toHaveLength(2);
    watch.stop();
  });

  test("of a GPU that only others use takes out nothing, also where another's processes are not known", () => {
    const { watch, source } = watched({ listener: 20, pids: new Set([20]), containers: new Set() });
    source.read(used(0, 20), used(1, 30), fakeGpu(2, { traffic: {} }));
    expect(watch.samples().map(({ models }) => models)).toEqual([MODELS, [], MODELS]);
    source.fail("GPU-1", 79);
    expect(watch.quarantines.get("vllm")).toBeUndefined();
    // That one may be the runtime's.
    source.fail("GPU-2", 79);
    expect(watch.quarantines.get("vllm")).toMatchObject({ uuids: ["GPU-2"] });
    watch.stop();
  });

  test("of a GPU that is gone lasts as long as it is gone, and the GPU stays in sight", async () => {
    const { watch, source } = watched();
    source.read(fakeGpu(0), fakeGpu(1));
    source.read(fakeGpu(0));
    const endMs = performance.now() + 20_000;
    while (watch.quarantines.get("vllm") === undefined && performance.now() < endMs) await Bun.sleep(10);
    expect(watch.quarantines.get("vllm")).toMatchObject({ uuids: ["GPU-1"] });
    expect(watch.samples()).toMatchObject([
      { uuid: "GPU-0", utilization: 0.5 },
      { uuid: "GPU-1", health: "quarantined", utilization: undefined },
    ]);
    watch.stop();
  });

  test("of one source says nothing of another's GPUs, and figures of a source that fails are not told", () => {
    const { watch, source } = watched();
    const other = new Source();
    watch.add(other);
    source.read(fakeGpu(0));
    other.read(fakeGpu(5));
    source.state = { state: "denied", message: "no permission", sinceMs: 0 };
    source.listener?.changed();
    expect(watch.samples()).toMatchObject([
      { uuid: "GPU-0", utilization: undefined },
      { uuid: "GPU-5", utilization: 0.5, health: "healthy" },
    ]);
    expect(watch.all.map(({ source: { state } }) => state)).toEqual(["denied", "ok"]);
    watch.stop();
  });
});

describe("several runtimes", () => {
  const processes = (pid: number): RuntimeProcesses => ({
    listener: pid,
    pids: new Set([pid]),
    containers: new Set<string>(),
  });

  function node(...runtimes: readonly (readonly [string, readonly string[], number | undefined])[]) {
    const source = new Source();
    const ties = runtimes.map(([name, models, pid]) => ({
      name,
      models,
      processes: pid === undefined ? undefined : processes(pid),
    }));
    const watch = new GpuWatch({ health: HEALTH, runtimes: () => ties, changed: () => {} });
    watch.add(source);
    return { source, watch, out: () => [...watch.quarantines.keys()] };
  }

  test("go each by itself, also with models of the same name, and come back by hand", () => {
    const { source, watch, out } = node(
      ["one", ["llama"], 10],
      ["two", ["llama", "adapter"], 20],
      ["three", ["qwen"], 30],
    );
    source.read(used(0, 10), used(1, 20), used(2, 30), used(3, 99));
    expect(watch.samples().map(({ runtimes, models }) => [runtimes, models])).toEqual([
      [["one"], ["llama"]],
      [["two"], ["llama", "adapter"]],
      [["three"], ["qwen"]],
      [[], []],
    ]);
    source.fail("GPU-3", 79);
    expect(out()).toEqual([]);
    source.fail("GPU-1", 79);
    expect(out()).toEqual(["two"]);
    expect(watch.quarantines.get("two")).toEqual({
      uuids: ["GPU-1"],
      reason: "GPU 1 (GPU-1) is quarantined: XID 79: the GPU has fallen off the bus",
    });
    source.fail("GPU-2", 79);
    expect(out()).toEqual(["two", "three"]);
    watch.clear("GPU-1");
    expect(out()).toEqual(["three"]);
    watch.stop();
  });

  test("on one GPU go together, and one on several goes with any of them", () => {
    const { source, watch, out } = node(["one", ["a"], 10], ["two", ["b"], 20], ["wide", ["c"], 30]);
    const both = { traffic: { processes: [10, 20].map((pid) => ({ pid, command: "vllm" })) } };
    source.read(fakeGpu(0, both), used(1, 30), used(2, 30));
    expect(watch.samples()[0]).toMatchObject({ runtimes: ["one", "two"], models: ["a", "b"] });
    source.fail("GPU-0", 79);
    expect(out()).toEqual(["one", "two"]);
    source.fail("GPU-2", 79);
    expect(out()).toEqual(["one", "two", "wide"]);
    watch.stop();
  });

  test("of which one is not known: that may be on all GPUs but those that only the others use", () => {
    const { source, watch, out } = node(["one", ["a"], 10], ["hidden", ["b"], undefined]);
    source.read(used(0, 10), used(1, 99), fakeGpu(2));
    expect(watch.samples().map(({ runtimes }) => runtimes)).toEqual([["one"], ["hidden"], ["hidden"]]);
    expect([watch.isTied("one"), watch.isTied("hidden"), watch.isTied("")]).toEqual([true, false, false]);
    source.fail("GPU-0", 79);
    expect(out()).toEqual(["one"]);
    source.fail("GPU-2", 79);
    expect(out()).toEqual(["one", "hidden"]);
    watch.stop();
  });

  test("of which none is known go all", () => {
    const { source, watch, out } = node(["one", ["a"], undefined], ["two", ["b"], undefined]);
    source.read(used(0, 10), used(1, 20));
    source.fail("GPU-1", 79);
    expect(out()).toEqual(["one", "two"]);
    watch.stop();
  });

  test("that come and go are heeded at once", () => {
    const runtimes = [{ name: "one", models: ["a"], processes: processes(10) }];
    const source = new Source();
    const watch = new GpuWatch({ health: HEALTH, runtimes: () => [...runtimes], changed: () => {} });
    watch.add(source);
    source.read(used(0, 10), used(1, 20));
    source.fail("GPU-1", 79);
    expect([...watch.quarantines.keys()]).toEqual([]);
    const before = watch.all;
    expect(watch.all).toBe(before);
    runtimes.push({ name: "two", models: ["b"], processes: processes(20) });
    expect([...watch.quarantines.keys()]).toEqual(["two"]);
    runtimes[1] = { name: "two", models: ["b", "c"], processes: processes(20) };
    expect(watch.samples()[1]?.models).toEqual(["b", "c"]);
    watch.stop();
  });
});

describe("which GPUs the runtime is on", () => {
  test("is known by its processes, or where there is one GPU only", () => {
    const runtime: RuntimeProcesses = { listener: 7, pids: new Set([7]), containers: new Set() };
    const known = watched(runtime);
    known.source.read(used(0, 7), used(1, 8));
    expect(known.watch.isTied("")).toBe(true);
    const others = watched(runtime);
    others.source.read(used(0, 8), used(1, 8));
    expect(others.watch.isTied("")).toBe(false);
    const partly = watched(runtime);
    partly.source.read(used(0, 7), fakeGpu(1, { traffic: {} }));
    expect(partly.watch.isTied("")).toBe(false);
    const nobody = watched();
    nobody.source.read(used(0, 7), used(1, 8));
    expect(nobody.watch.isTied("")).toBe(false);
    const alone = watched();
    alone.source.read(used(0, 7));
    expect(alone.watch.isTied("")).toBe(true);
  });
});
