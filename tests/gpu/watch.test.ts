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
    models: () => MODELS,
    runtime: () => runtime,
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
    const [fresh] = gpuSamples(reading, true, words, ["m"]);
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
    const [old] = gpuSamples(reading, false, words, ["m"]);
    expect(old).toMatchObject({
      utilization: undefined,
      powerWatts: undefined,
      throttleReasons: [],
      health: "healthy",
    });
    expect(gpuSamples({ uuid, identity }, true, words, [])[0]).toMatchObject({ utilization: undefined, models: [] });
  });

  test("has its MIG slices behind it, as well as it is", () => {
    const slices = [
      { uuid: "MIG-1", profile: "1g.10gb", gpuInstance: 3, memoryTotalBytes: 10, activity: { sm: 0.25 } },
      { uuid: "MIG-2", profile: "2g.20gb", gpuInstance: 4, memoryUsedBytes: 5 },
    ];
    const told = gpuSamples({ uuid, identity, load: { activity: { graphics: 0.5 }, slices } }, true, words, ["m"]);
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
    expect(watch.quarantine).toBeUndefined();
    expect(watch.samples().map(({ models }) => models)).toEqual([MODELS, MODELS]);
    const before = changes();
    source.fail("GPU-1", 79);
    expect(changes()).toBe(before + 1);
    expect(watch.quarantine).toMatchObject({ uuids: ["GPU-1"] });
    expect(watch.quarantine?.reason).toMatch(/^GPU 1 \(GPU-1\): .*XID 79/);
    expect(watch.samples().map(({ health }) => health)).toEqual(["healthy", "quarantined"]);
    source.read(fakeGpu(0), fakeGpu(1));
    expect(watch.quarantine).toBeDefined();
    expect(watch.clear("GPU-0")).toEqual([]);
    expect(watch.clear("GPU-1")).toEqual(["GPU-1"]);
    expect(watch.quarantine).toBeUndefined();
    expect(changes()).toBe(before + 2);
    watch.stop();
  });

  test("of a GPU that only others use takes out nothing", () => {
    const { watch, source } = watched({ listener: 20, pids: new Set([20]), containers: new Set() });
    source.read(used(0, 20), used(1, 30));
    expect(watch.samples().map(({ models }) => models)).toEqual([MODELS, []]);
    source.fail("GPU-1", 79);
    expect(watch.samples()[1]).toMatchObject({ health: "quarantined", models: [] });
    expect(watch.quarantine).toBeUndefined();
    source.fail("GPU-0", 79);
    expect(watch.quarantine).toMatchObject({ uuids: ["GPU-0"] });
    expect(watch.clear()).toHaveLength(2);
    watch.stop();
  });

  test("of a GPU that only others use takes out nothing, also where another's processes are not known", () => {
    const { watch, source } = watched({ listener: 20, pids: new Set([20]), containers: new Set() });
    source.read(used(0, 20), used(1, 30), fakeGpu(2, { traffic: {} }));
    expect(watch.samples().map(({ models }) => models)).toEqual([MODELS, [], MODELS]);
    source.fail("GPU-1", 79);
    expect(watch.quarantine).toBeUndefined();
    // That one may be the runtime's.
    source.fail("GPU-2", 79);
    expect(watch.quarantine).toMatchObject({ uuids: ["GPU-2"] });
    watch.stop();
  });

  test("of a GPU that is gone lasts as long as it is gone, and the GPU stays in sight", async () => {
    const { watch, source } = watched();
    source.read(fakeGpu(0), fakeGpu(1));
    source.read(fakeGpu(0));
    const endMs = performance.now() + 20_000;
    while (watch.quarantine === undefined && performance.now() < endMs) await Bun.sleep(10);
    expect(watch.quarantine).toMatchObject({ uuids: ["GPU-1"] });
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

describe("which GPUs the runtime is on", () => {
  test("is known by its processes, or where there is one GPU only", () => {
    const runtime: RuntimeProcesses = { listener: 7, pids: new Set([7]), containers: new Set() };
    const known = watched(runtime);
    known.source.read(used(0, 7), used(1, 8));
    expect(known.watch.isTied).toBe(true);
    const others = watched(runtime);
    others.source.read(used(0, 8), used(1, 8));
    expect(others.watch.isTied).toBe(false);
    const partly = watched(runtime);
    partly.source.read(used(0, 7), fakeGpu(1, { traffic: {} }));
    expect(partly.watch.isTied).toBe(false);
    const nobody = watched();
    nobody.source.read(used(0, 7), used(1, 8));
    expect(nobody.watch.isTied).toBe(false);
    const alone = watched();
    alone.source.read(used(0, 7));
    expect(alone.watch.isTied).toBe(true);
  });
});
