/**
 * The real probe process, with the real NVML backend, reading the double of libnvidia-ml under a real prober: what a
 * driver does to the process, and what the agent knows of it.
 */
import { afterAll, afterEach, describe, expect, setDefaultTimeout, test } from "bun:test";
import { readFileSync } from "node:fs";
import { join, resolve } from "node:path";
import { Double, type DoubleReport, HAS_COMPILER, removeDoubles } from "./double.ts";
import { defaultsOf } from "../../src/base/settings-reading.ts";
import { probeSpec } from "../../src/gpu/probe-spec.ts";
import { Prober } from "../../src/gpu/prober.ts";
import { gpuSettings } from "../../src/gpu/settings.ts";
import type { GpuFault, GpuReading } from "../../src/health/reading.ts";

afterAll(removeDoubles);

const MAIN = resolve(import.meta.dir, "../../src/main.ts");
const FIRST = "GPU-6a0f1c2e-0000-4000-8000-000000000000";
const SECOND = "GPU-6a0f1c2e-0000-4000-8000-000000000001";
const WAIT_MS = 60_000;
setDefaultTimeout(120_000);

const open: Prober[] = [];
afterEach(async () => {
  await Promise.all(open.splice(0).map((prober) => prober.stop()));
});

class Watched {
  readonly double = new Double();
  readonly faults: GpuFault[] = [];
  readonly states: string[] = [];
  prober!: Prober;

  get reportPath(): string {
    return join(this.double.folder, "report");
  }

  play(scenario: string, ...lines: readonly string[]): void {
    this.double.play(scenario, `report = "${this.reportPath}"`, ...lines);
  }

  start(settings: Partial<ReturnType<typeof defaultsOf<typeof gpuSettings>>> = {}): void {
    const config = {
      ...defaultsOf(gpuSettings),
      identityIntervalMs: 300,
      loadIntervalMs: 100,
      trafficIntervalMs: 100,
      wearIntervalMs: 100,
      faultIntervalMs: 20,
      // Where it is not waited for, nobody may be silent for too long for a busy machine.
      silentMaxMs: 30_000,
      restartPauseMinMs: 20,
      restartPauseMaxMs: 100,
      nvmlLibrary: this.double.path,
      root: this.double.root,
      ...settings,
    };
    const spec = JSON.stringify(probeSpec(config, { backends: ["nvml"], vendors: ["nvidia"] }));
    this.prober = new Prober({ command: [process.execPath, MAIN, "gpu-probe", spec], config });
    open.push(this.prober);
    // What it says first may come together with its first readings.
    this.states.push(this.prober.state.state);
    this.prober.watch({
      changed: () => {
        const { state } = this.prober.state;
        if (this.states.at(-1) !== state) this.states.push(state);
      },
      faulted: (faults) => this.faults.push(...faults),
    });
  }

  reading(uuid: string): GpuReading | undefined {
    return this.prober.readings.find((reading) => reading.uuid === uuid);
  }

  celsius(uuid: string): number | undefined {
    return this.reading(uuid)?.load?.temperatureCelsius;
  }

  async until(condition: () => boolean, what: string): Promise<void> {
    const endMs = performance.now() + WAIT_MS;
    while (!condition()) {
      if (performance.now() > endMs) {
        throw new Error(`waited in vain until ${what}: ${JSON.stringify(this.prober.state)}`);
      }
      await Bun.sleep(5);
    }
  }

  isOk = (): boolean => this.prober.state.state === "ok";

  /** Ends the process, and answers what its library counted. */
  async report(): Promise<DoubleReport> {
    await this.prober.stop();
    return JSON.parse(readFileSync(this.reportPath, "utf8")) as DoubleReport;
  }
}

function watched(scenario: string, ...lines: readonly string[]): Watched {
  return begun({}, scenario, ...lines);
}

/** One that is missed soon when it hangs. */
function impatient(scenario: string, ...lines: readonly string[]): Watched {
  return begun({ silentMaxMs: 2000 }, scenario, ...lines);
}

function begun(settings: Parameters<Watched["start"]>[0], scenario: string, ...lines: readonly string[]): Watched {
  const it = new Watched();
  it.play(scenario, ...lines);
  it.start(settings);
  return it;
}

describe.skipIf(!HAS_COMPILER)("a probe of libnvidia-ml", () => {
  test("tells all groups and what changes in them, and XIDs at once; and ends in order", async () => {
    const it = watched("mig");
    await it.until(() => it.reading(FIRST)?.load?.slices?.[0]?.activity?.sm !== undefined, "all is read");
    expect(it.prober.state.stack).toMatchObject({ backend: "nvml", driverVersion: "570.124.06", cudaVersion: "12.8" });
    const reading = it.reading(FIRST);
    expect(reading?.identity).toMatchObject({ name: "NVIDIA H100 80GB HBM3", migMode: true });
    expect(reading?.load?.slices?.map(({ profile }) => profile)).toEqual(["3g.40gb", "1g.10gb", "1g.10gb"]);
    expect(reading?.wear).toMatchObject({ eccUncorrected: 2 });
    expect(reading?.traffic?.links?.length).toBe(18);
    it.play("mig", "gpu1.celsius = 83", "xid = 1 1 79", "xid = 2 0 13 9 0");
    await it.until(() => it.faults.length >= 2 && it.celsius(SECOND) === 83, "the change is told");
    expect(it.faults).toEqual([
      { uuid: SECOND, xid: 79 },
      { uuid: FIRST, xid: 13, gpuInstance: 9, computeInstance: 0 },
    ]);
    const report = await it.report();
    expect(report).toMatchObject({ references: 0, inits: 1, misuses: 0, eventSetsLeaked: 0, gpmSamplesLeaked: 0 });
    expect(it.states).toEqual(["starting", "ok"]);
  });

  test("that hangs in a call is told as unresponsive, ended, and followed by one that reads", async () => {
    const it = impatient("h100");
    await it.until(it.isOk, "it reads");
    const { pid } = it.prober;
    it.play("h100", "gpu1.call.nvmlDeviceGetUtilizationRates.hang = forever");
    await it.until(() => it.prober.state.state === "unresponsive", "it is silent");
    expect(it.prober.state.message).toContain(`process ${pid}`);
    expect(it.prober.readings.length).toBe(2);
    it.play("h100", "gpu1.celsius = 44");
    await it.until(() => it.isOk() && it.celsius(SECOND) === 44, "the next one reads");
    expect(it.prober.pid).not.toBe(pid);
    expect(it.states).toEqual(["starting", "ok", "unresponsive", "ok"]);
  });

  test("whose opening hangs, and which hears no signal meanwhile, is ended as well", async () => {
    const it = impatient("h100", "call.nvmlInit_v2.hang = forever");
    await it.until(() => it.prober.state.state === "unresponsive", "it is silent");
    expect(it.prober.readings).toEqual([]);
    it.play("h100");
    await it.until(it.isOk, "the next one reads");
  });

  for (const how of ["segv", "abort"]) {
    test(`that crashes (${how}) takes nothing with it, and is followed by one that reads`, async () => {
      const it = watched("h100");
      await it.until(it.isOk, "it reads");
      it.play("h100", `call.nvmlDeviceGetClockInfo.crash = ${how}`);
      await it.until(() => it.prober.state.state === "broken", "it crashed");
      const { message } = it.prober.state;
      expect(message).toMatch(how === "segv" ? /ended by SIGSEGV: Segmentation fault/ : /ended by SIGABRT/);
      // What the runtime prints of a crash is for its makers, and the fault is none of theirs.
      expect(message).not.toContain("http");
      it.play("h100", "gpu0.celsius = 50");
      await it.until(() => it.isOk() && it.celsius(FIRST) === 50, "the next one reads");
    });
  }

  test("goes on with the others when a GPU is lost, and tells the XID by which it went", async () => {
    const it = watched("h100");
    await it.until(() => it.isOk() && it.prober.readings.length === 2, "it reads two");
    it.play("h100", "gpu1.state = lost", "gpu0.celsius = 66", "xid = 1 1 79");
    await it.until(() => it.prober.readings.length === 1 && it.celsius(FIRST) === 66, "one is left");
    expect(it.faults).toEqual([{ uuid: SECOND, xid: 79 }]);
    expect(it.states).toEqual(["starting", "ok"]);
    it.play("h100", "gpu*.state = lost");
    await it.until(() => it.prober.state.state === "lost", "none is left");
    expect(it.prober.state.message).toContain("dmesg");
    const report = await it.report();
    expect(report).toMatchObject({ references: 0, misuses: 0, eventSetsLeaked: 0, gpmSamplesLeaked: 0 });
  });

  test("is followed by another process when the driver was upgraded under its library", async () => {
    const it = watched("h100");
    await it.until(it.isOk, "it reads");
    const { pid } = it.prober;
    it.play("h100", 'driver = "580.65.06"', "gpu0.celsius = 51");
    await it.until(() => it.isOk() && it.celsius(FIRST) === 51, "the new library reads");
    expect(it.prober.pid).not.toBe(pid);
    expect(it.prober.state.stack?.driverVersion).toBe("580.65.06");
  });

  test("tells a refusal with what to do, and nothing false of GPUs", async () => {
    const cases = [
      ["init = error 4", "denied", "/dev/nvidia"],
      ["init = error 18", "broken", "different versions"],
      ["init = error 9", "absent", "modprobe"],
    ] as const;
    for (const [line, state, words] of cases) {
      const it = watched("h100", line);
      await it.until(() => it.prober.state.state === state, `it is ${state}`);
      expect(it.prober.state.message).toContain(words);
      expect(it.prober.readings).toEqual([]);
      await it.prober.stop();
    }
  });

  test("tells no more than its share of a storm of XIDs, and reads on", async () => {
    const it = watched("h100");
    await it.until(it.isOk, "it reads");
    it.play("h100", "xid = 1-5000 0 31", "gpu0.celsius = 52");
    await it.until(() => it.celsius(FIRST) === 52 && it.faults.length >= 5000, "all are told");
    expect(new Set(it.faults.map(({ xid }) => xid))).toEqual(new Set([31]));
    expect(it.faults.length).toBe(5000);
    expect(it.states).toEqual(["starting", "ok"]);
  });
});
