import { describe, expect, test } from "bun:test";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { gpuSample } from "../fleet/samples.ts";
import { startMockRuntime } from "../../src/telemetry/mock-runtime.ts";
import { createSampler } from "../../src/telemetry/sampler.ts";
import { Vitals, parseCpuTimes, parseMemoryUsage } from "../../src/telemetry/vitals.ts";

describe("vitals", () => {
  test("read what Linux tells", () => {
    expect(parseCpuTimes("cpu  10 0 20 60 10 0 0 0 5 0\ncpu0 1 2 3\n")).toEqual({ busy: 30, total: 100 });
    expect(parseMemoryUsage("MemTotal:       1000 kB\nMemFree: 1 kB\nMemAvailable:    250 kB\n")).toBe(0.75);
    for (const odd of ["", "cpu", "intr 1 2 3 4", "cpu a b c d e"]) expect(parseCpuTimes(odd)).toBeUndefined();
    for (const odd of ["", "MemTotal: 5 kB", "MemTotal: 0 kB\nMemAvailable: 0 kB"]) {
      expect(parseMemoryUsage(odd)).toBeUndefined();
    }
  });

  test("the CPU's share is of the time since the call before", () => {
    const directory = mkdtempSync(join(tmpdir(), "vitals-"));
    const write = (user: number, idle: number) => writeFileSync(join(directory, "stat"), `cpu ${user} 0 0 ${idle} 0\n`);
    write(100, 100);
    const vitals = new Vitals(directory);
    write(130, 110);
    expect(vitals.cpuUsage()).toBe(0.75);
    expect(vitals.cpuUsage()).toBe(0.75);
    write(130, 210);
    expect(vitals.cpuUsage()).toBe(0);
    rmSync(directory, { recursive: true });
  });

  test("work on this machine, with and without /proc", () => {
    for (const vitals of [new Vitals(), new Vitals("/nowhere")]) {
      for (const usage of [vitals.cpuUsage(), vitals.memoryUsage()]) expect(usage >= 0 && usage <= 1).toBe(true);
    }
  });
});

test("a model's rates may be known from elsewhere, by the GPUs of the moment", async () => {
  const runtime = startMockRuntime({ models: ["m", "n"] });
  const gpus = [gpuSample({ index: 0 })];
  const sampler = createSampler({
    runtime,
    gpus: () => gpus,
    rated: (model, on) => ({ ...model, decodeTokensPerSecond: model.model === "n" && on === gpus ? 77 : undefined }),
    version: "",
    startedAtMs: 0,
  });
  expect(sampler.sample(1).models.map((model) => model.decodeTokensPerSecond)).toEqual([undefined, 77]);
  await runtime.stop();
});

test("a node's sample holds the runtime's, the machine's and the agent's part", async () => {
  const runtime = startMockRuntime({ models: ["m"] });
  const gpus = [0.5, undefined, 1].map((utilization, index) => gpuSample({ index, utilization }));
  const sampler = createSampler({
    runtime,
    gpus: () => gpus,
    version: "1.2.3",
    startedAtMs: 1_000,
    connectedPeers: () => 4,
  });
  const sample = sampler.sample(3_500);
  expect(sample).toMatchObject({
    ready: true,
    draining: false,
    requestsInProgress: 0,
    failedResponses: 0,
    connectedPeers: 4,
    backoffRequests: 0,
    uptimeSeconds: 2.5,
    version: "1.2.3",
    gpuUsage: 0.75,
    gpus,
  });
  expect(sample.models[0]).toMatchObject({ model: "m", runningRequests: 0, decodeTokensPerSecond: undefined });
  expect(sample.models[0]!.prefillTokensPerSecond).toBeGreaterThan(1_000);
  await runtime.stop();
  const stopped = createSampler({
    runtime,
    version: "",
    startedAtMs: 0,
    backoffRequests: () => 2,
  });
  expect(stopped.sample(0)).toMatchObject({
    ready: false,
    draining: true,
    gpus: [],
    gpuUsage: undefined,
    backoffRequests: 2,
  });
});
