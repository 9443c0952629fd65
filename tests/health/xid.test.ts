import { describe, expect, test } from "bun:test";
import { parseSection } from "../../src/base/settings-reading.ts";
import type { GpuFault } from "../../src/health/reading.ts";
import { healthSettings } from "../../src/health/settings.ts";
import { XIDS, xidOf } from "../../src/health/xid.ts";
import { DEFAULTS, UUID, Ward } from "./gpu-bed.ts";

function fail(ward: Ward, xid: number, more: Partial<GpuFault> = {}): void {
  ward.health.faults([{ uuid: UUID, xid, ...more }], ward.nowMs);
}

describe("the table of XIDs", () => {
  test("has each code once, in order, with a meaning and an end that fits what it does", () => {
    const codes = XIDS.map(({ code }) => code);
    expect(codes).toEqual([...new Set(codes)].sort((a, b) => a - b));
    for (const { code, meaning, effect, recovery, source } of XIDS) {
      expect(xidOf(code).code).toBe(code);
      expect(meaning).not.toBe("");
      expect(source).not.toBe("none");
      expect(recovery === "none").toBe(effect === "event");
      if (effect === "quarantined") expect(recovery).not.toBe("auto");
    }
  });

  test("knows those up to the Blackwell generation", () => {
    const asked = [
      13, 31, 32, 38, 43, 45, 48, 61, 62, 63, 64, 68, 69, 74, 79, 92, 94, 95, 109, 110, 119, 120, 121, 122, 123, 124,
      136, 140, 143, 144, 145, 146, 147, 148, 149, 150, 151, 154, 155, 156, 157, 158, 159, 160,
    ];
    expect(asked.filter((code) => xidOf(code).source === "none")).toEqual([]);
  });

  test("follows the advice of the catalogue", () => {
    for (const { code, advice, effect, recovery } of XIDS) {
      if (advice === "RESTART_BM") expect([code, effect, recovery]).toEqual([code, "quarantined", "manual"]);
      // A reset that can wait (rows and links that were retired or taken down) leaves the GPU in use.
      // One comes to healthy GPUs as well, whose links go to sleep.
      if (advice === "RESET_GPU") expect([code, recovery]).toEqual([code, code === 155 ? "none" : "reset"]);
      if (advice === "IGNORE") expect(effect).not.toBe("quarantined");
      if (advice === "RESTART_APP") expect(effect).not.toBe("quarantined");
    }
  });
});

describe("an XID", () => {
  test("of a link that may only sleep, or have many bit errors, leaves no mark for good", () => {
    const ward = new Ward();
    fail(ward, 155);
    expect(ward.reasons()).toEqual([]);
    fail(ward, 149);
    expect(ward.reasons()).toEqual(["xid degraded"]);
    ward.stay(DEFAULTS.xid.autoMs, {});
    expect(ward.reasons()).toEqual([]);
  });

  test("that a program causes is nothing but an event", () => {
    const ward = new Ward();
    for (const code of [13, 31, 43, 45, 63, 69, 121]) fail(ward, code);
    expect(ward.reasons()).toEqual([]);
  });

  test("that a program causes degrades when it comes in a storm", () => {
    const ward = new Ward();
    const { countMax, windowMs, clearMs } = DEFAULTS.xidRepeats;
    for (let count = 1; count < countMax; count += 1) fail(ward, count % 2 === 0 ? 13 : 31);
    expect(ward.reasons()).toEqual([]);
    fail(ward, 13);
    expect(ward.texts()).toEqual(["20 XIDs that programs cause, in 10 min"]);
    ward.stay(windowMs + windowMs / 10 + clearMs, {});
    expect(ward.reasons()).toEqual([]);
    // Those that are no program's count for nothing.
    for (let count = 0; count < 2 * countMax; count += 1) fail(ward, 63);
    expect(ward.reasons()).toEqual([]);
  });

  test("that nobody knows degrades for a time, and says so", () => {
    const ward = new Ward();
    fail(ward, 4_711);
    expect(ward.texts()).toEqual(["XID 4711: unknown: it is in no list of NVIDIA's that this version knows"]);
    ward.stay(DEFAULTS.xid.autoMs - 1, {});
    expect(ward.reasons()).toEqual(["xid degraded"]);
    ward.stay(1, {});
    expect(ward.reasons()).toEqual([]);
  });

  test("that degrades for a time does so after the last of its kind, and tells how often it came", () => {
    const ward = new Ward();
    fail(ward, 92);
    ward.stay(300_000, {});
    fail(ward, 92, { gpuInstance: 3 });
    // It ends by itself, not by hand.
    expect(ward.health.clear(UUID, ward.nowMs)).toEqual([]);
    expect(ward.texts()).toEqual(["XID 92 (MIG instance 3): corrected memory errors at a high rate; 2 times"]);
    ward.stay(DEFAULTS.xid.autoMs - 1, {});
    expect(ward.reasons()).toEqual(["xid degraded"]);
    expect(ward.health.verdict(UUID).reasons[0]?.sinceMs).toBe(0);
    expect(ward.health.take().wakeAtMs).toBe(ward.nowMs + 1);
    ward.health.wake(ward.nowMs + 1);
    expect(ward.reasons()).toEqual([]);
  });

  test("that is fatal quarantines at once, until it is ended by hand", () => {
    const ward = new Ward();
    ward.health.take();
    fail(ward, 79);
    const { changes } = ward.health.take();
    expect(changes.map(({ uuid, before, after }) => [uuid, before.health, after.health])).toEqual([
      [UUID, "healthy", "quarantined"],
    ]);
    expect(changes[0]?.after.reasons).toEqual([
      {
        rule: "xid",
        text: "XID 79: the GPU has fallen off the bus",
        severity: "quarantined",
        sinceMs: 0,
        recovery: "manual",
      },
    ]);
    ward.stay(2 * 3_600_000, {});
    expect(ward.reasons()).toEqual(["xid quarantined"]);
    expect(ward.health.clear(UUID, ward.nowMs)).toEqual([UUID]);
    expect(ward.reasons()).toEqual([]);
    expect(ward.health.clear(UUID, ward.nowMs)).toEqual([]);
  });

  test.each<[string, (ward: Ward) => void]>([
    ["its energy counts from the beginning", (ward) => ward.read({ load: { energyJoules: 3 } })],
    ["its memory errors count from the beginning", (ward) => ward.read({ wear: { eccCorrected: 0 } })],
    [
      "another driver runs",
      (ward) => {
        for (const driverVersion of ["570.1", "575.2"]) {
          const stack = { backend: "nvml", source: "libnvidia-ml.so.1", driverVersion };
          ward.health.source({ state: "ok", message: "", sinceMs: 0, stack }, ward.nowMs);
        }
      },
    ],
    [
      "it was away and is back",
      (ward) => {
        ward.stay(5_000, { uuid: "GPU-other" });
        ward.stay(60_000, { uuid: UUID }, { uuid: "GPU-other" });
      },
    ],
  ])("that wants a reset ends when %s", (_name, reset) => {
    const ward = new Ward();
    fail(ward, 95);
    fail(ward, 79);
    ward.stay(60_000, {});
    expect(ward.texts().some((text) => text.startsWith("XID 95"))).toBe(true);
    reset(ward);
    expect(ward.texts()).toEqual(["XID 79: the GPU has fallen off the bus"]);
  });

  test("that wants a reset stays when the GPU was only not told of for a moment", () => {
    const ward = new Ward();
    fail(ward, 95);
    ward.health.look([], 100);
    ward.nowMs = 600;
    ward.stay(60_000, {});
    expect(ward.reasons()).toEqual(["xid quarantined"]);
  });

  test("does what the settings say instead of the table", () => {
    const xid = { ...DEFAULTS.xid, eventCodes: [79], degradedCodes: [95], quarantinedCodes: [13] };
    const ward = new Ward({ ...DEFAULTS, xid });
    fail(ward, 79);
    expect(ward.reasons()).toEqual([]);
    fail(ward, 95);
    expect(ward.reasons()).toEqual(["xid degraded"]);
    fail(ward, 13);
    expect(ward.reasons()).toEqual(["xid quarantined", "xid degraded"]);
    ward.stay(DEFAULTS.xid.autoMs, {});
    expect(ward.reasons()).toEqual(["xid quarantined"]);
    const off = new Ward({ ...DEFAULTS, xid: { ...DEFAULTS.xid, enabled: false } });
    fail(off, 79);
    expect(off.reasons()).toEqual([]);
  });

  test("can't be wished to be two things", () => {
    const raw = { xid: { eventCodes: [13, 31], quarantinedCodes: [31] } };
    expect(parseSection(healthSettings, raw).faults?.map(({ path, expected }) => [path, expected])).toEqual([
      ["xid.eventCodes", "codes that are in no other list"],
      ["xid.quarantinedCodes", "codes that are in no other list"],
    ]);
    expect(parseSection(healthSettings, { xid: { eventCodes: [13], quarantinedCodes: [31] } }).faults).toBeUndefined();
  });

  test("of a GPU that nobody has told of yet is remembered", () => {
    const ward = new Ward();
    ward.health.faults([{ uuid: "GPU-new", xid: 48 }], 0);
    ward.stay(60_000, {}, { uuid: "GPU-new" });
    expect(ward.reasons("GPU-new")).toEqual(["xid quarantined"]);
  });

  test("in a storm costs no memory and tells one change", () => {
    const ward = new Ward();
    ward.health.take();
    for (let count = 0; count < 100_000; count += 1) fail(ward, 79);
    expect(ward.health.take().changes).toHaveLength(1);
    expect(ward.texts()).toEqual(["XID 79: the GPU has fallen off the bus; 100000 times"]);
    // Of unknown codes there are 65,000; those that matter stay.
    for (let code = 1_000; code < 3_000; code += 1) {
      ward.nowMs += 1;
      fail(ward, code);
      fail(ward, 1_000);
    }
    expect(ward.reasons()).toHaveLength(64);
    // Of those that may go the one that was silent longest does.
    for (const code of [1_000, 2_938]) expect(ward.texts().some((text) => text.startsWith(`XID ${code}:`))).toBe(true);
    expect(ward.texts().some((text) => text.startsWith("XID 2937:"))).toBe(false);
    expect(ward.reasons()[0]).toBe("xid quarantined");
    expect(ward.texts().some((text) => text.startsWith("XID 2999"))).toBe(true);
  });
});
