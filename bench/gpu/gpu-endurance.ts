/** What is left behind by starting and ending probes again and again, and by reading for long: memory and descriptors of the reader. */
import { readdirSync } from "node:fs";
import { defaultsOf } from "../../src/base/settings-reading.ts";
import { openNvml } from "../../src/gpu/nvml.ts";
import { runProbe } from "../../src/gpu/probe.ts";
import { ProbeOutput } from "../../src/gpu/probe-output.ts";
import { probeSpec } from "../../src/gpu/probe-spec.ts";
import { decodeProbeMessage } from "../../src/gpu/probe-wire.ts";
import { Prober } from "../../src/gpu/prober.ts";
import { gpuSettings } from "../../src/gpu/settings.ts";
import { GpuHealth } from "../../src/health/gpu-health.ts";
import { GpuReadings } from "../../src/health/readings.ts";
import { healthSettings } from "../../src/health/settings.ts";
import type { Double } from "../../tests/gpu/double.ts";
import { EXECUTABLE } from "../../tests/process/harness.ts";

const READY_MS = 30_000;
const WARM_SHARE = 0.1;
const GPUS = 8;

interface Held {
  readonly residentMb: number;
  readonly descriptors: number;
}

export interface Endured {
  readonly before: Held;
  readonly after: Held;
  readonly seconds: number;
}

function held(): Held {
  Bun.gc(true);
  return { residentMb: process.memoryUsage.rss() / 1e6, descriptors: readdirSync("/proc/self/fd").length };
}

/** `step` after a tenth of it that warms up. */
async function endure(count: number, step: (many: number) => Promise<void> | void): Promise<Endured> {
  const warm = Math.max(1, Math.floor(count * WARM_SHARE));
  await step(warm);
  const fromMs = performance.now();
  const before = held();
  await step(count);
  return { before, after: held(), seconds: (performance.now() - fromMs) / 1000 };
}

const configOf = (double: Double) => ({ ...defaultsOf(gpuSettings), nvmlLibrary: double.path, root: double.root });

/** A probe process of the executable is started, heard until it has read all GPUs, and ended. */
export async function cycles(double: Double, count: number): Promise<Endured> {
  const config = configOf(double);
  const spec = JSON.stringify(probeSpec(config, { backends: ["nvml"], vendors: ["nvidia"] }));
  const cycle = async (): Promise<void> => {
    const read = Promise.withResolvers<void>();
    const timer = setTimeout(() => read.reject(new Error(`no reading within ${READY_MS} ms`)), READY_MS);
    const prober = new Prober({ command: [EXECUTABLE, "gpu-probe", spec], config });
    const look = (): void => {
      if (prober.state.state === "ok" && prober.readings.length === GPUS) read.resolve();
    };
    prober.watch({ changed: look, faulted: () => {} });
    await read.promise;
    clearTimeout(timer);
    await prober.stop();
  };
  return endure(count, async (many) => {
    for (let done = 0; done < many; done += 1) await cycle();
  });
}

/**
 * Samples of GPUs, the whole way but for the pipe: the probe's loop reads the library and writes lines, which are read as
 * an agent does, and looked at by the rules. Its clock goes as fast as it works.
 */
export async function samples(double: Double, count: number): Promise<Endured> {
  const spec = probeSpec(configOf(double), { backends: ["nvml"], vendors: ["nvidia"] });
  const readings = new GpuReadings();
  const health = new GpuHealth(defaultsOf(healthSettings));
  let taken = 0;
  let nowMs = 0;
  const take = (line: string): void => {
    const message = decodeProbeMessage(line);
    if (message === undefined) throw new Error(`no message: ${line.slice(0, 100)}`);
    if (message.type === "faults") health.faults(message.faults, nowMs);
    if (message.type !== "reading") return;
    readings.take(message.gpus, message.isRoll);
    health.look(readings.all, nowMs);
    health.take();
    taken += message.gpus.filter(({ load }) => load !== undefined).length;
  };
  const decoder = new TextDecoder();
  return endure(count, async (many) => {
    const end = taken + many;
    const code = await runProbe(spec, {
      output: new ProbeOutput((bytes) => {
        for (const line of decoder.decode(bytes).split("\n")) if (line !== "") take(line);
        return bytes.length;
      }),
      openers: { nvml: () => openNvml({ libraryPath: double.path, root: double.root }) },
      driverMark: () => "",
      nowMs: () => nowMs,
      sleep(ms) {
        nowMs += Math.max(1, ms);
        return Promise.resolve();
      },
      isEnding: () => taken >= end,
    });
    if (code !== 0) throw new Error(`the probe ended with ${code}`);
  });
}
