/** What faults of the mock come to under the rules of health: its readings are real, the rules' clock is the test's. */
import { afterAll, describe, expect, test } from "bun:test";
import { GpuHealth } from "../../src/health/gpu-health.ts";
import { takeUpdate } from "../../src/health/shape.ts";
import { DEFAULTS } from "../health/gpu-bed.ts";
import { start, stopAll, until } from "./mock-server.ts";

afterAll(stopAll);

/** Two simulated GPUs under the rules. */
class Bed {
  readonly runtime = start({ gpus: 2, profile: "h100-8b" }).runtime;
  readonly health = new GpuHealth(DEFAULTS);
  readonly uuids = this.runtime.gpus.readings.map(({ uuid }) => uuid);
  nowMs = 0;
  changes = 0;

  constructor() {
    this.runtime.gpus.watch({
      changed: () => {
        this.changes += 1;
        this.look();
      },
      faulted: (faults) => this.health.faults(faults, this.nowMs),
    });
    this.look();
  }

  look(): void {
    this.health.source(this.runtime.gpus.state, this.nowMs);
    this.health.look(this.runtime.gpus.readings, this.nowMs);
  }

  set(json: object): void {
    const result = this.runtime.faults.set(json);
    if ("error" in result) throw result.error;
  }

  pass(ms: number): void {
    for (let gone = 0; gone < ms; gone += 1_000) {
      this.nowMs += 1_000;
      this.look();
    }
  }

  reasons(gpu = 0): string[] {
    return this.health.verdict(this.uuids[gpu] ?? "").reasons.map(({ rule, severity }) => `${rule} ${severity}`);
  }
}

describe("simulated GPUs", () => {
  test("are read as real ones are, and are well", () => {
    const bed = new Bed();
    const { readings, state } = bed.runtime.gpus;
    expect(state).toMatchObject({ state: "ok", message: "", stack: { backend: "mock" } });
    expect(readings.map(({ identity }) => identity.index)).toEqual([0, 1]);
    for (const reading of readings) {
      // All of it is within what a reading may hold.
      expect(takeUpdate(reading)).toEqual({ ...reading });
      expect(reading.load?.throttleReasons).toEqual(["idle"]);
      expect(reading.traffic?.links).toHaveLength(18);
    }
    bed.pass(3_600_000);
    expect([bed.reasons(0), bed.reasons(1)]).toEqual([[], []]);
  });

  test("of AMD's have no XIDs, and no words of NVIDIA's about their wear", () => {
    const { runtime } = start({ profile: "mi300x-8b" });
    const [reading] = runtime.gpus.readings;
    expect(reading?.identity.vendor).toBe("amd");
    expect(reading?.wear).toEqual({ eccCorrected: 0, eccUncorrected: 0 });
    expect("error" in runtime.faults.set({ xid: 79 })).toBe(true);
  });

  test("are told of once a second, and no more after a stop", async () => {
    const bed = new Bed();
    await until(() => bed.changes > 0, "a reading is told of");
    await bed.runtime.stop();
    const before = bed.changes;
    bed.set({ gpu: 0, temperature: 99 });
    expect(bed.changes).toBe(before);
  });
});

/** [the fault, after how long it must show, as what] */
const LASTING: readonly (readonly [object, number, string])[] = [
  [{ temperature: 88 }, 10_000, "temperature degraded"],
  [{ temperature: 94 }, 2_000, "overheating quarantined"],
  [{ memoryTemperature: 95 }, 10_000, "memory_temperature degraded"],
  [{ throttle: "hw_thermal" }, 5_000, "throttle degraded"],
  [{ throttle: ["power_brake"] }, 5_000, "power_brake degraded"],
  [{ memoryUsed: 0.985 }, 60_000, "vram degraded"],
  [{ linksDown: 1 }, 15_000, "nvlink_down degraded"],
  [{ remap: "pending" }, 0, "remap_pending degraded"],
  [{ remap: "failed" }, 0, "remap_failed quarantined"],
  [{ recoveryAction: "reboot" }, 0, "recovery_action quarantined"],
  [{ lost: true }, 2_000, "gpu_lost quarantined"],
];

describe("a fault that lasts", () => {
  test.each(LASTING)("%p shows by the rules of health and ends with its end", (fault, afterMs, reason) => {
    const bed = new Bed();
    bed.set({ gpu: 0, ...fault });
    bed.pass(afterMs);
    expect(bed.reasons(0)).toContain(reason);
    expect(bed.reasons(1)).toEqual([]);
    expect(bed.runtime.faults.get().gpus).toHaveProperty("0");
    bed.runtime.faults.clear();
    bed.set({ temperature: 40 });
    bed.pass(300_000);
    expect([bed.reasons(0), bed.reasons(1)]).toEqual([[], []]);
  });

  test("of the driver makes the readings stand still, and the GPUs as the rules say", () => {
    const bed = new Bed();
    const before = bed.runtime.gpus.readings;
    bed.set({ driver: "unresponsive", gpu: 0, temperature: 99 });
    expect(bed.runtime.gpus.state.state).toBe("unresponsive");
    expect(bed.runtime.gpus.readings.map(({ identity }) => identity)).toEqual(before.map(({ identity }) => identity));
    expect(bed.runtime.gpus.readings[0]?.load?.temperatureCelsius).toBeLessThan(50);
    bed.pass(60_000);
    expect([bed.reasons(0), bed.reasons(1)]).toEqual([["driver degraded"], ["driver degraded"]]);
    bed.set({ driver: "lost" });
    bed.pass(2_000);
    expect(bed.reasons(1)).toContain("gpu_lost quarantined");
    bed.runtime.faults.clear();
    bed.set({ temperature: 40 });
    bed.pass(60_000);
    expect(bed.reasons(0)).toEqual([]);
  });
});

describe("a fault that happens once", () => {
  test("shows by the rules, and stays when faults are cleared: it has happened", () => {
    const bed = new Bed();
    bed.set({ gpu: 0, xid: 79 });
    bed.set({ gpu: 1, ecc: { uncorrected: 1 } });
    expect([bed.reasons(0), bed.reasons(1)]).toEqual([["xid quarantined"], ["ecc_uncorrected quarantined"]]);
    expect(bed.runtime.faults.clear().gpus).toEqual({});
    bed.pass(3_600_000);
    expect([bed.reasons(0), bed.reasons(1)]).toEqual([["xid quarantined"], ["ecc_uncorrected quarantined"]]);
    // By hand both end.
    expect(bed.health.clear(undefined, bed.nowMs).sort()).toEqual([...bed.uuids].sort());
    bed.pass(60_000);
    expect([bed.reasons(0), bed.reasons(1)]).toEqual([[], []]);
  });

  test("ends by a reset where the rule says so", async () => {
    const bed = new Bed();
    // Some energy must have been used for its count to begin anew.
    await until(() => (bed.runtime.gpus.readings[0]?.load?.energyJoules ?? 0) > 0, "energy is used");
    bed.look();
    bed.set({ gpu: 0, xid: 95 });
    bed.set({ gpu: 1, xid: 79 });
    bed.set({ ecc: { uncorrected: 2 } });
    expect(bed.reasons(0)).toEqual(["ecc_uncorrected quarantined", "xid quarantined"]);
    bed.set({ reset: true });
    expect([bed.reasons(0), bed.reasons(1)]).toEqual([[], ["xid quarantined"]]);
  });

  test("counts by its rate where the rule says so", () => {
    const bed = new Bed();
    bed.set({ gpu: 0, ecc: { corrected: 999 }, pcieReplays: 79, linkErrors: 99 });
    expect(bed.reasons(0)).toEqual([]);
    bed.set({ gpu: 0, ecc: { corrected: 1 }, pcieReplays: 1, linkErrors: 1 });
    expect(bed.reasons(0).sort()).toEqual([
      "ecc_corrected degraded",
      "nvlink_errors degraded",
      "pcie_replays degraded",
    ]);
    bed.pass(2 * 3_600_000);
    expect(bed.reasons(0)).toEqual([]);
  });
});
