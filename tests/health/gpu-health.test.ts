import { describe, expect, test } from "bun:test";
import { GpuHealth } from "../../src/health/gpu-health.ts";
import type { SourceState } from "../../src/health/source-state.ts";
import { DEFAULTS, UUID, Ward, gpu } from "./gpu-bed.ts";

const OTHER = "GPU-other";

function state(ward: Ward, name: SourceState["state"], more: Partial<SourceState> = {}): void {
  ward.health.source({ state: name, message: "", sinceMs: 0, ...more }, ward.nowMs);
}

describe("a GPU's health", () => {
  test("changes at the time that it names though nothing is read, and is told once", () => {
    const health = new GpuHealth(DEFAULTS);
    health.look([gpu({ load: { temperatureCelsius: 92 } })], 0);
    expect(health.take()).toEqual({ changes: [], wakeAtMs: 10_000 });
    health.wake(10_000);
    const reason = {
      rule: "temperature",
      text: "the GPU is at 92 °C; it slows down at 92 °C",
      severity: "degraded",
      sinceMs: 0,
      recovery: "auto",
    } as const;
    const after = { health: "degraded", sinceMs: 10_000, reasons: [reason] } as const;
    const before = { health: "healthy", sinceMs: 0, reasons: [] } as const;
    expect(health.take()).toEqual({ changes: [{ uuid: UUID, before, after }], wakeAtMs: Infinity });
    // Another figure is no news.
    health.look([gpu({ load: { temperatureCelsius: 92.5 } })], 11_000);
    expect(health.take().changes).toEqual([]);
    expect(health.verdict(UUID).reasons[0]?.text).toStartWith("the GPU is at 92.5 °C");
  });

  test("that has several reasons is as the worst of them, which stands first", () => {
    const ward = new Ward();
    ward.stay(60_000, { wear: { remapPending: true } });
    ward.health.take();
    ward.stay(0, { wear: { remapPending: true, recoveryAction: "reset" } });
    expect(ward.reasons()).toEqual(["recovery_action quarantined", "remap_pending degraded"]);
    expect(ward.health.verdict(UUID)).toMatchObject({ health: "quarantined", sinceMs: 60_000 });
    expect(ward.health.take().changes).toHaveLength(1);
    // A reason less is news though the health is the same, and that since when it was.
    ward.stay(5_000, { wear: { recoveryAction: "reset" } });
    const { changes } = ward.health.take();
    expect(changes.map(({ after }) => [after.reasons.length, after.sinceMs])).toEqual([[1, 60_000]]);
  });

  test("by what ends by itself is not changed by hand", () => {
    const ward = new Ward();
    ward.stay(10_000, { load: { memoryCelsius: 95 } });
    expect(ward.health.clear(undefined, ward.nowMs)).toEqual([]);
    expect(ward.reasons()).toEqual(["memory_temperature degraded"]);
  });

  test("of one that nobody knows is no worse than healthy", () => {
    expect(new GpuHealth(DEFAULTS).verdict("GPU-none").health).toBe("healthy");
    expect(new GpuHealth(DEFAULTS).take()).toEqual({ changes: [], wakeAtMs: Infinity });
  });
});

describe("a GPU that was there and is gone", () => {
  test("is quarantined as lost, and is well again some time after it is back", () => {
    const ward = new Ward();
    ward.stay(1_000, {}, { uuid: OTHER });
    ward.stay(2_000, { uuid: OTHER });
    expect(ward.texts()).toEqual(["the GPU was there and is not any more"]);
    expect(ward.health.verdict(UUID).health).toBe("quarantined");
    expect(ward.health.lost.map(({ uuid }) => uuid)).toEqual([UUID]);
    expect(ward.reasons(OTHER)).toEqual([]);
    // However long: what is not known of it does not end that.
    ward.stay(DEFAULTS.forgetMs * 3, { uuid: OTHER });
    expect(ward.reasons()).toEqual(["gpu_lost quarantined"]);
    ward.stay(DEFAULTS.gpuLost.clearMs, {}, { uuid: OTHER });
    expect(ward.reasons()).toEqual([]);
    expect(ward.health.lost).toEqual([]);
  });

  test("is judged no more by what was read of it last", () => {
    const ward = new Ward();
    ward.stay(20_000, { load: { memoryCelsius: 95 } }, { uuid: OTHER });
    expect(ward.reasons()).toEqual(["memory_temperature degraded"]);
    ward.stay(DEFAULTS.forgetMs + 1_000, { uuid: OTHER });
    expect(ward.reasons()).toEqual(["gpu_lost quarantined"]);
  });

  test("is not lost when it never was there: only a fault told of it", () => {
    const ward = new Ward();
    ward.health.faults([{ uuid: OTHER, xid: 92 }], 0);
    ward.stay(60_000, {});
    expect(ward.reasons(OTHER)).toEqual(["xid degraded"]);
  });

  test("is forgotten by hand only when the source can tell that it is gone", () => {
    const ward = new Ward();
    ward.stay(60_000, { uuid: OTHER });
    state(ward, "denied");
    ward.nowMs += 3_600_000;
    ward.health.wake(ward.nowMs);
    expect(ward.reasons()).toEqual(["gpu_lost quarantined"]);
    expect(ward.health.clear(undefined, ward.nowMs)).toEqual([UUID]);
    expect(ward.reasons()).toEqual([]);
    state(ward, "ok");
    ward.stay(DEFAULTS.gpuLost.holdMs, { uuid: OTHER });
    expect(ward.reasons()).toEqual(["gpu_lost quarantined"]);
  });

  test("is forgotten by hand when its driver was unloaded for good", () => {
    const ward = new Ward();
    state(ward, "absent");
    ward.health.wake(60_000);
    expect(ward.reasons()).toEqual(["gpu_lost quarantined"]);
    expect(ward.health.clear(undefined, 60_000)).toEqual([UUID]);
    expect(ward.reasons()).toEqual([]);
    ward.nowMs = 120_000;
    state(ward, "ok");
    ward.stay(60_000, { load: { temperatureCelsius: 94 } });
    expect(ward.reasons()).toEqual(["overheating quarantined", "temperature degraded"]);
  });

  test("is lost though the last of all is", () => {
    const ward = new Ward();
    ward.health.look([], 1_000);
    ward.health.wake(1_000 + DEFAULTS.gpuLost.holdMs);
    expect(ward.reasons()).toEqual(["gpu_lost quarantined"]);
  });

  test("is forgotten by hand: somebody took it out", () => {
    const ward = new Ward();
    ward.stay(60_000, { uuid: OTHER });
    ward.health.take();
    expect(ward.health.clear(undefined, ward.nowMs)).toEqual([UUID]);
    expect(ward.health.verdict(UUID).health).toBe("healthy");
    expect(ward.health.lost).toEqual([]);
    expect(ward.health.take().changes.map(({ uuid, after }) => [uuid, after.health])).toEqual([[UUID, "healthy"]]);
  });

  test("makes room for others: there is no end to names, and one to memory", () => {
    const ward = new Ward();
    for (let at = 0; at < 300; at += 1) {
      ward.nowMs += 10_000;
      ward.read({ uuid: `GPU-${at}` });
      ward.health.faults([{ uuid: `GPU-unheard-${at}`, xid: 79 }], ward.nowMs);
    }
    ward.stay(10_000, { uuid: "GPU-299" });
    expect(ward.health.lost.length).toBeLessThan(128);
    expect(ward.reasons("GPU-299")).toEqual([]);
    // Those that are there are never pushed out.
    const many = Array.from({ length: 64 }, (_, at) => ({ uuid: `GPU-there-${at}` }));
    ward.stay(0, ...many);
    ward.health.faults([{ uuid: "GPU-there-9", xid: 79 }], ward.nowMs);
    for (let at = 0; at < 500; at += 1) ward.health.faults([{ uuid: `GPU-more-${at}`, xid: 79 }], ward.nowMs);
    ward.stay(60_000, ...many);
    expect(ward.health.lost.some(({ uuid }) => uuid.startsWith("GPU-there"))).toBe(false);
    expect(ward.reasons("GPU-there-9")).toEqual(["xid quarantined"]);
  });
});

describe("while the source does not read", () => {
  test("a driver that does not answer degrades, or quarantines where it is set so", () => {
    for (const severity of ["degraded", "quarantined"] as const) {
      const ward = new Ward({ ...DEFAULTS, driver: { ...DEFAULTS.driver, severity } });
      state(ward, "unresponsive", { message: "no answer to nvmlDeviceGetTemperature for 10 s" });
      expect(ward.reasons()).toEqual([`driver ${severity}`]);
      expect(ward.texts()).toEqual(["the driver does not answer: no answer to nvmlDeviceGetTemperature for 10 s"]);
      // The probe is started anew, and hangs again.
      ward.nowMs += 60_000;
      state(ward, "starting");
      ward.nowMs += 60_000;
      state(ward, "unresponsive");
      expect(ward.reasons()).toEqual([`driver ${severity}`]);
      state(ward, "ok");
      ward.stay(DEFAULTS.driver.clearMs, {});
      expect(ward.reasons()).toEqual([]);
    }
  });

  test("figures that were read before start and end nothing", () => {
    const ward = new Ward();
    ward.stay(10_000, { load: { temperatureCelsius: 92 } });
    expect(ward.reasons()).toEqual(["temperature degraded"]);
    state(ward, "broken");
    ward.nowMs += DEFAULTS.forgetMs - 1;
    // What a source says that is not ok is not believed.
    ward.read({});
    expect(ward.reasons()).toEqual(["temperature degraded", "driver degraded"]);
    ward.health.wake(ward.nowMs + 1);
    expect(ward.reasons()).toEqual(["driver degraded"]);
  });

  test("a GPU that was quarantined stays so, until it answers and is well, or by hand", () => {
    for (const end of ["answer", "hand"] as const) {
      const ward = new Ward();
      ward.stay(9_000, { load: { temperatureCelsius: 95 } });
      state(ward, "unresponsive");
      ward.nowMs += 24 * 3_600_000;
      ward.health.wake(ward.nowMs);
      expect(ward.reasons()).toEqual(["overheating quarantined", "driver degraded"]);
      if (end === "hand") {
        expect(ward.health.clear(undefined, ward.nowMs)).toEqual([UUID]);
        expect(ward.reasons()).toEqual(["driver degraded"]);
      }
      state(ward, "ok");
      ward.stay(1_000, {});
      expect(ward.reasons()).toEqual(
        end === "hand" ? ["driver degraded"] : ["overheating quarantined", "driver degraded"],
      );
      ward.stay(DEFAULTS.overheating.clearMs, {});
      expect(ward.reasons()).toEqual([]);
    }
  });

  test("all of its GPUs are lost when it says so, or when the driver is gone", () => {
    for (const name of ["lost", "absent"] as const) {
      const ward = new Ward();
      state(ward, name, { message: "fell off" });
      ward.health.wake(DEFAULTS.gpuLost.holdMs);
      expect(ward.texts()).toEqual(["no GPU can be reached: fell off"]);
    }
  });

  test("that it may not read, or just starts, is no fault of the GPUs", () => {
    for (const name of ["denied", "starting"] as const) {
      const ward = new Ward();
      state(ward, name);
      ward.health.wake(3_600_000);
      expect(ward.reasons()).toEqual([]);
    }
  });

  test("GPUs are not lost for a list that is empty", () => {
    const ward = new Ward();
    state(ward, "starting");
    ward.health.look([], 1_000);
    ward.health.wake(60_000);
    ward.nowMs = 60_000;
    state(ward, "ok");
    ward.health.wake(70_000);
    expect(ward.reasons()).toEqual([]);
    ward.nowMs = 70_000;
    ward.stay(60_000, {});
    expect(ward.reasons()).toEqual([]);
  });
});

describe("GPUs under one name", () => {
  test("are degraded, by the source's word or by what is read", () => {
    const told = new Ward();
    state(told, "ok", { ambiguous: [UUID] });
    expect(told.texts()).toEqual(["several GPUs have its name and can't be told apart"]);
    state(told, "ok");
    expect(told.reasons()).toEqual([]);
    const seen = new Ward();
    seen.read({}, {});
    expect(seen.reasons()).toEqual(["duplicate_uuid degraded"]);
    seen.read({});
    expect(seen.reasons()).toEqual([]);
  });
});
