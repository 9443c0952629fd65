import { describe, expect, test } from "bun:test";
import { NO_FAULTS } from "../../src/sim/faults.ts";
import { GpuModel } from "../../src/sim/gpu.ts";
import { SimNode } from "../../src/sim/node.ts";
import { PROFILES, PROFILE_NAMES, profileNamed } from "../../src/sim/profile.ts";

describe("profiles", () => {
  test("are within what is reported for such machines", () => {
    const h100 = PROFILES["h100-8b"];
    expect(h100.prefillTokensPerSecond > 20_000 && h100.prefillTokensPerSecond < 35_000).toBe(true);
    expect(h100.stepBaseMs > 5 && h100.stepBaseMs < 9).toBe(true);
    const tokens = h100.kvBlocks * h100.blockTokens;
    expect(tokens > 350_000 && tokens < 500_000).toBe(true);
    expect(PROFILES["h100-70b"]).toMatchObject({ gpuCount: 4, kvBytesPerToken: 327_680 });
    for (const name of PROFILE_NAMES) {
      const profile = profileNamed(name)!;
      expect(profile.name).toBe(name);
      expect(profile.kvBlocks * profile.blockTokens).toBeGreaterThan(profile.contextTokensMax);
      const held = profile.weightBytes + profile.kvBlocks * profile.blockTokens * profile.kvBytesPerToken;
      expect(held).toBeLessThan(profile.gpuCount * profile.gpu.memoryBytes);
    }
    expect(PROFILES["l40s-8b"].stepBaseMs).toBeGreaterThan(PROFILES["a100-8b"].stepBaseMs);
    expect(profileNamed("toString")).toBeUndefined();
  });
});

describe("GPUs", () => {
  const profile = PROFILES["h100-8b"].gpu;

  test("warm up slowly under load and cool down slowly after it", () => {
    const model = new GpuModel(profile, 1, 1, 1, 0);
    const gpu = model.gpus[0]!;
    const cold = gpu.temperatureCelsius;
    model.advance(1_000, 1);
    expect(gpu.utilization).toBeCloseTo(1 - Math.exp(-1), 6);
    expect(gpu.temperatureCelsius - cold).toBeLessThan(3);
    for (let ms = 2_000; ms <= 300_000; ms += 1_000) model.advance(ms, 1);
    expect(gpu.temperatureCelsius > 65 && gpu.temperatureCelsius < 80).toBe(true);
    expect(gpu.powerWatts).toBeCloseTo(profile.powerLimitWatts, 0);
    expect(gpu.throttled).toBe(false);
    model.advance(305_000, 0);
    expect(gpu.temperatureCelsius).toBeGreaterThan(60);
    model.advance(900_000, 0);
    expect(gpu.temperatureCelsius).toBeCloseTo(cold, 1);
    expect(gpu.powerWatts).toBeCloseTo(profile.powerIdleWatts, 1);
  });

  test("one long stretch ends where many short ones do", () => {
    const [long, short] = [new GpuModel(profile, 2, 1, 3, 0), new GpuModel(profile, 2, 1, 3, 0)];
    long.advance(20_000, 0.4);
    for (let ms = 100; ms <= 20_000; ms += 100) short.advance(ms, 0.4);
    expect(long.gpus[0]!.temperatureCelsius).toBeCloseTo(short.gpus[0]!.temperatureCelsius, 6);
    expect(long.gpus[1]!.utilization).toBe(0);
  });

  test("throttle above the threshold, and only let go well below it", () => {
    const model = new GpuModel(profile, 1, 1, 1, 0);
    model.setAmbient(70);
    let ms = 0;
    const run = (share: number, enough: () => boolean) => {
      for (let tries = 0; tries < 1_000 && !enough(); tries += 1) model.advance((ms += 500), share);
      expect(enough()).toBe(true);
    };
    run(1, () => model.pace > 1);
    expect(model.gpus[0]!.temperatureCelsius).toBeGreaterThanOrEqual(profile.throttleAtCelsius);
    model.setAmbient(30);
    run(0, () => model.gpus[0]!.temperatureCelsius < profile.throttleAtCelsius - 2);
    expect(model.pace).toBeGreaterThan(1);
    run(0, () => model.pace === 1);
    expect(model.gpus[0]!.temperatureCelsius).toBeLessThanOrEqual(profile.throttleUntilCelsius);
  });
});

describe("a node", () => {
  const request = (id: number) => ({ id, promptTokens: 500, outputTokens: 400, hashes: [], stream: false });
  const drive = (node: SimNode, untilMs: number) => {
    while (node.wakeAtMs <= untilMs) node.wake(node.wakeAtMs);
    node.wake(untilMs);
  };

  test("shows its work in its GPUs and its memory", () => {
    const node = new SimNode({ profile: PROFILES["h100-8b"], seed: 1, gpus: 2 }, 0);
    const empty = node.gpuMemoryUsedBytes(0);
    node.submit(request(1), 0);
    drive(node, 1_000);
    expect(node.gpuMemoryUsedBytes(0)).toBeGreaterThan(empty);
    expect(node.gpuMemoryUsedBytes(1)).toBe(0);
    expect(node.gpus(1_000)[0]!.utilization).toBeGreaterThan(0.5);
    drive(node, 20_000);
    expect(node.take().finished).toHaveLength(1);
    expect(node.gpus(20_000)[0]!.utilization).toBeLessThan(0.01);
  });

  test("is slowed by its faults and by its own heat", () => {
    const endOf = (faults: Partial<typeof NO_FAULTS>) => {
      const node = new SimNode({ profile: PROFILES["h100-8b"], seed: 1 }, 0);
      node.setFaults({ ...NO_FAULTS, ...faults }, 0);
      let endedAtMs = 0;
      for (let id = 1; id <= 60; id += 1) {
        node.submit(request(id), endedAtMs);
        while (node.wakeAtMs < Infinity) node.wake(node.wakeAtMs);
        endedAtMs = node.take().finished[0]!.endedAtMs;
      }
      return endedAtMs;
    };
    const normal = endOf({});
    expect(endOf({ slow: 3 })).toBeCloseTo(3 * normal, 3);
    const hot = endOf({ ambient: 70 });
    expect(hot > 1.1 * normal && hot < 1.6 * normal).toBe(true);
  });

  test("is slowed by clocks that a fault holds down, and heated by one, until they end", () => {
    const node = new SimNode({ profile: PROFILES["h100-8b"], seed: 1, gpus: 2 }, 0);
    const hot = { ...NO_FAULTS, gpus: { 0: { temperature: 91 }, 1: { throttle: ["power_brake"] } } };
    node.setFaults(hot, 0);
    expect(node.gpus(1)[0]).toMatchObject({ temperatureCelsius: 91, throttled: true });
    drive(node, 60_000);
    expect(node.gpus(60_000)[0]!.temperatureCelsius).toBe(91);
    node.setFaults(NO_FAULTS, 60_000);
    drive(node, 61_000);
    expect(node.gpus(61_000)[0]!.temperatureCelsius).toBeGreaterThan(85);
    drive(node, 300_000);
    expect(node.gpus(300_000)[0]).toMatchObject({ throttled: false });
    const braked = new SimNode({ profile: PROFILES["h100-8b"], seed: 1 }, 0);
    braked.setFaults({ ...NO_FAULTS, gpus: { 0: { throttle: ["hw_slowdown"] } } }, 0);
    const capped = new SimNode({ profile: PROFILES["h100-8b"], seed: 1 }, 0);
    capped.setFaults({ ...NO_FAULTS, gpus: { 0: { throttle: ["sw_power_cap"] } } }, 0);
    const ends = [braked, capped].map((one) => {
      one.submit(request(1), 0);
      drive(one, 60_000);
      return one.take().finished[0]!.endedAtMs;
    });
    expect(ends[0]).toBeCloseTo(1.6 * ends[1]!, 3);
  });

  test("uses energy as its power says, however often it is looked at, and counts what happens until a reset", () => {
    const [seldom, often] = [0, 1].map(() => new SimNode({ profile: PROFILES["h100-8b"], seed: 1 }, 0)) as [
      SimNode,
      SimNode,
    ];
    for (let ms = 100; ms <= 30_000; ms += 100) often.gpus(ms);
    const energy = often.gpus(30_000)[0]!.energyJoules;
    expect(energy).toBeCloseTo(seldom.gpus(30_000)[0]!.energyJoules, 6);
    expect(energy).toBeCloseTo(30 * PROFILES["h100-8b"].gpu.powerIdleWatts, 6);
    often.happen({ gpu: 0, ecc: { corrected: 5, uncorrected: 1 }, pcieReplays: 3 }, 30_000);
    often.happen({ gpu: 0, ecc: { corrected: 2 }, linkErrors: 4 }, 30_000);
    // Of a GPU that it has not got: nothing.
    often.happen({ gpu: 9, pcieReplays: 3 }, 30_000);
    const counters = { eccCorrected: 7, eccUncorrected: 1, pcieReplays: 3, linkErrors: 4 };
    expect(often.gpus(30_000)[0]!.counters).toEqual(counters);
    often.happen({ gpu: 0, reset: true }, 30_000);
    const fresh = { eccCorrected: 0, eccUncorrected: 0, pcieReplays: 0, linkErrors: 0 };
    expect(often.gpus(30_000)[0]).toMatchObject({ energyJoules: 0, counters: fresh });
  });

  test("stalls, and draws errors by its seed", () => {
    const node = new SimNode({ profile: PROFILES["h100-8b"], seed: 9 }, 0);
    node.setFaults({ ...NO_FAULTS, stall: true, errorRate: 0.3 }, 0);
    node.submit(request(1), 1);
    drive(node, 60_000);
    expect(node.take().finished).toEqual([]);
    expect(node.cancel(1, 60_000)).toBe(true);
    expect(node.stats(60_000)).toMatchObject({ running: 0, waiting: 0 });
    const drawn = Array.from({ length: 1_000 }, () => node.drawError()).filter(Boolean).length;
    expect(Math.abs(drawn - 300)).toBeLessThan(60);
    node.setFaults(NO_FAULTS, 60_001);
    expect(node.drawError()).toBe(false);
    expect(node.faults).toEqual(NO_FAULTS);
  });
});
