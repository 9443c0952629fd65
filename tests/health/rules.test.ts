import { describe, expect, test } from "bun:test";
import type { GpuWear } from "../../src/health/reading.ts";
import { DEFAULTS, LINKS, type Other, type RuleKey, Ward, only } from "./gpu-bed.ts";

interface Case {
  readonly key: RuleKey;
  readonly reason: string;
  readonly text: string;
  /** Just beyond the threshold; just short of it; between the thresholds; good again. */
  readonly bad: Other;
  readonly short: Other;
  readonly between?: Other;
  readonly unknown: Other;
}

const CASES: readonly Case[] = [
  {
    key: "temperature",
    reason: "temperature degraded",
    text: "the GPU is at 92 °C; it slows down at 92 °C",
    bad: { load: { temperatureCelsius: 92 } },
    short: { load: { temperatureCelsius: 91.9 } },
    between: { load: { temperatureCelsius: 89.1 } },
    unknown: { load: { temperatureCelsius: undefined } },
  },
  {
    key: "memoryTemperature",
    reason: "memory_temperature degraded",
    text: "its memory is at 95.5 °C; it may be at 95 °C",
    bad: { load: { memoryCelsius: 95.5 } },
    short: { load: { memoryCelsius: 94 } },
    between: { load: { memoryCelsius: 93 } },
    unknown: { load: { memoryCelsius: undefined } },
  },
  {
    key: "throttle",
    reason: "throttle degraded",
    text: "its clocks are held down: hw_slowdown, hw_thermal",
    bad: { load: { throttleReasons: ["idle", "hw_slowdown", "hw_thermal"] } },
    short: { load: { throttleReasons: ["idle", "app_clocks", "sw_power_cap", "sw_thermal", "sync_boost"] } },
    unknown: { load: { throttleReasons: undefined } },
  },
  {
    key: "powerBrake",
    reason: "power_brake degraded",
    text: "power supply or rack hold its clocks down: power_brake",
    bad: { load: { throttleReasons: ["power_brake"] } },
    short: { load: { throttleReasons: [] } },
    unknown: { load: { throttleReasons: undefined } },
  },
  {
    key: "retiredPages",
    reason: "retired_pages degraded",
    text: "memory pages wait for a reset to be taken out of use",
    bad: { wear: { retiredPagesPending: true } },
    short: { wear: { retiredPagesPending: false } },
    unknown: { wear: { retiredPagesPending: undefined } },
  },
  {
    key: "remapPending",
    reason: "remap_pending degraded",
    text: "memory rows wait for a reset to be replaced",
    bad: { wear: { remapPending: true } },
    short: { wear: { remapPending: false } },
    unknown: { wear: { remapPending: undefined } },
  },
  {
    key: "remapFailed",
    reason: "remap_failed quarantined",
    text: "memory rows could not be replaced: the card's spare ones are used up",
    bad: { wear: { remapFailed: true } },
    short: { wear: { remapFailed: false } },
    unknown: { wear: { remapFailed: undefined } },
  },
  {
    key: "recoveryAction",
    reason: "recovery_action quarantined",
    text: "the driver asks for a reset of the GPU",
    bad: { wear: { recoveryAction: "reset" } },
    short: { wear: { recoveryAction: "none" } },
    unknown: { wear: { recoveryAction: undefined } },
  },
  {
    key: "vram",
    reason: "vram degraded",
    text: "98 % of its memory is used; the limit is 98 %",
    bad: { load: { memoryUsedBytes: 98 } },
    short: { load: { memoryUsedBytes: 97 } },
    between: { load: { memoryUsedBytes: 97 } },
    unknown: { load: { memoryUsedBytes: undefined } },
  },
  {
    key: "nvlinkDown",
    reason: "nvlink_down degraded",
    text: "17 of its links to GPUs are up, 18 were before; down: 3",
    bad: { traffic: { links: LINKS.map((link) => ({ ...link, isActive: link.index !== 3 })) } },
    short: { traffic: { links: LINKS } },
    unknown: { traffic: { links: undefined } },
  },
  {
    key: "pcieDowngrade",
    reason: "pcie_downgrade degraded",
    text: "its PCIe link runs at generation 4 of 5 and 8 of 16 lanes",
    bad: { traffic: { pcieGeneration: 4, pcieWidth: 8 } },
    short: { traffic: { pcieGeneration: 5, pcieWidth: 16 } },
    between: { traffic: { pcieGeneration: 1 }, load: { utilization: 0.05 } },
    unknown: { traffic: { pcieGeneration: undefined, pcieWidth: undefined } },
  },
];

describe.each(CASES)("the rule $key", ({ key, reason, text, bad, short, between, unknown }) => {
  const { holdMs, clearMs } = DEFAULTS[key];

  test("counts when it has been so for its hold, and not before", () => {
    const ward = new Ward(only(key));
    ward.stay(Math.max(0, holdMs - 1), bad);
    expect(ward.reasons()).toEqual(holdMs === 0 ? [reason] : []);
    ward.stay(1, bad);
    expect(ward.reasons()).toEqual([reason]);
    expect(ward.texts()).toEqual([text]);
    expect(ward.health.verdict("GPU-a").reasons[0]?.sinceMs).toBe(0);
  });

  test("counts no more when it has been over for its time", () => {
    const ward = new Ward(only(key));
    ward.stay(holdMs, bad);
    ward.stay(60_000, between ?? bad);
    expect(ward.reasons()).toEqual([reason]);
    ward.nowMs += 1;
    ward.stay(Math.max(0, clearMs - 1), {});
    expect(ward.reasons()).toEqual(clearMs === 0 ? [] : [reason]);
    ward.stay(1, {});
    expect(ward.reasons()).toEqual([]);
  });

  test("never counts short of its threshold", () => {
    const ward = new Ward(only(key));
    ward.stay(600_000, short);
    expect(ward.reasons()).toEqual([]);
  });

  test("stays as it is while its figure is not known, and is forgotten after that", () => {
    const ward = new Ward(only(key));
    ward.stay(holdMs, bad);
    ward.stay(DEFAULTS.forgetMs - 1, unknown);
    expect(ward.reasons()).toEqual([reason]);
    ward.stay(1, unknown);
    expect(ward.reasons()).toEqual([]);
    ward.stay(600_000, unknown);
    expect(ward.reasons()).toEqual([]);
  });

  test("can be turned off", () => {
    const config = only(key);
    const ward = new Ward({ ...config, [key]: { ...config[key], enabled: false } });
    ward.stay(600_000, bad);
    expect(ward.reasons()).toEqual([]);
  });
});

describe("heat", () => {
  test("near the point where the card turns itself off quarantines", () => {
    const ward = new Ward();
    ward.stay(2_000, { load: { temperatureCelsius: 93 } });
    expect(ward.texts()).toEqual(["the GPU is at 93 °C; it turns itself off at 95 °C"]);
    ward.stay(8_000, { load: { temperatureCelsius: 93 } });
    expect(ward.reasons()).toEqual(["overheating quarantined", "temperature degraded"]);
  });

  test("is judged by the settings where the card tells no limits", () => {
    const identity = { slowdownCelsius: undefined, shutdownCelsius: undefined, memoryCelsiusMax: undefined };
    const ward = new Ward();
    ward.stay(60_000, { identity, load: { temperatureCelsius: 89, memoryCelsius: 99 } });
    expect(ward.reasons()).toEqual([]);
    ward.stay(10_000, { identity, load: { temperatureCelsius: 90, memoryCelsius: 100 } });
    expect(ward.texts()).toEqual([
      "its memory is at 100 °C; the limit is 100 °C",
      "the GPU is at 90 °C; the limit is 90 °C",
    ]);
  });
});

describe("uncorrectable memory errors", () => {
  const errors = (eccUncorrected: number): Other => ({ wear: { eccUncorrected } });

  test("quarantine until the count begins anew", () => {
    const ward = new Ward();
    ward.stay(0, errors(2));
    expect(ward.texts()).toEqual(["2 uncorrectable memory errors since the driver was loaded"]);
    expect(ward.health.verdict("GPU-a").reasons[0]?.recovery).toBe("manual");
    ward.stay(2 * 3_600_000, errors(2));
    expect(ward.reasons()).toEqual(["ecc_uncorrected quarantined"]);
    ward.stay(0, errors(0));
    expect(ward.reasons()).toEqual([]);
  });

  test("are taken as known by hand, and quarantine again when there are more", () => {
    const ward = new Ward();
    ward.stay(0, errors(2));
    expect(ward.health.clear("GPU-a", ward.nowMs)).toEqual(["GPU-a"]);
    ward.stay(60_000, errors(2));
    expect(ward.reasons()).toEqual([]);
    ward.stay(0, errors(3));
    expect(ward.texts()).toEqual(["3 uncorrectable memory errors since the driver was loaded, 2 of them known before"]);
    // After a reset one error is one too many again.
    ward.stay(0, errors(0));
    ward.stay(0, errors(1));
    expect(ward.texts()).toEqual(["1 uncorrectable memory error since the driver was loaded"]);
    ward.stay(0, errors(0));
    ward.stay(0, errors(1));
    expect(ward.reasons()).toEqual(["ecc_uncorrected quarantined"]);
  });
});

describe("the driver's recovery action", () => {
  test.each<[GpuWear["recoveryAction"], string]>([
    ["reset", "quarantined"],
    ["reboot", "quarantined"],
    ["drain_p2p", "degraded"],
    ["drain_reset", "degraded"],
    ["other", "degraded"],
  ])("%s: %s", (recoveryAction, severity) => {
    const ward = new Ward();
    ward.stay(0, { wear: { recoveryAction } });
    expect(ward.reasons()).toEqual([`recovery_action ${severity}`]);
  });
});

describe("links", () => {
  test("of a GPU that is cut into slices are not judged", () => {
    const ward = new Ward();
    const links = LINKS.map((link) => ({ ...link, isActive: false }));
    ward.stay(600_000, { identity: { migMode: true }, traffic: { links } });
    expect(ward.reasons()).toEqual([]);
  });

  test("that went down when it was cut into slices are no fault, and those that stay down afterwards are one", () => {
    const down = { links: LINKS.map((link) => ({ ...link, isActive: false })) };
    const ward = new Ward(only("nvlinkDown"));
    // The links are read more often than whether it is cut.
    ward.stay(20_000, { traffic: down });
    expect(ward.reasons()).toEqual(["nvlink_down degraded"]);
    ward.stay(DEFAULTS.nvlinkDown.clearMs, { identity: { migMode: true }, traffic: down });
    expect(ward.reasons()).toEqual([]);
    ward.stay(600_000, { load: { slices: [] }, traffic: down });
    expect(ward.reasons()).toEqual([]);
    ward.stay(DEFAULTS.nvlinkDown.holdMs, { traffic: down });
    expect(ward.reasons()).toEqual(["nvlink_down degraded"]);
  });

  test("that never were up are none that are down", () => {
    const links = LINKS.map((link) => ({ ...link, isActive: link.index < 4 }));
    const ward = new Ward();
    ward.read({ uuid: "GPU-b" });
    ward.stay(600_000, { uuid: "GPU-c", traffic: { links } });
    expect(ward.reasons("GPU-c")).toEqual([]);
  });

  test("that are gone from the list are down, and by hand that is how it should be", () => {
    const ward = new Ward(only("nvlinkDown"));
    const links = LINKS.slice(0, 12);
    ward.stay(15_000, { traffic: { links } });
    expect(ward.texts()).toEqual(["12 of its links to GPUs are up, 18 were before"]);
    ward.health.clear(undefined, ward.nowMs);
    ward.stay(30_000, { traffic: { links } });
    expect(ward.reasons()).toEqual([]);
  });
});

describe("PCIe", () => {
  const asleep = { traffic: { pcieGeneration: 1 } };

  test("of a slot that has no more lanes is how it should be, by hand, and no worse than that", () => {
    const ward = new Ward(only("pcieDowngrade"));
    const narrow = { traffic: { pcieWidth: 8 } };
    ward.stay(60_000, narrow);
    expect(ward.texts()).toEqual(["its PCIe link runs at 8 of 16 lanes"]);
    // At rest it is slower, which is not what is meant.
    ward.stay(60_000, { load: { utilization: 0 }, traffic: { pcieWidth: 8, pcieGeneration: 1 } });
    ward.health.clear(undefined, ward.nowMs);
    ward.stay(DEFAULTS.pcieDowngrade.clearMs, narrow);
    expect(ward.reasons()).toEqual([]);
    ward.stay(60_000, { traffic: { pcieWidth: 8, pcieGeneration: 1 } });
    expect(ward.texts()).toEqual(["its PCIe link runs at generation 1 of 5"]);
    ward.stay(60_000, { traffic: { pcieWidth: 4 } });
    expect(ward.texts()).toEqual(["its PCIe link runs at 4 of 8 lanes"]);
    // It has more after all.
    ward.stay(60_000, {});
    ward.stay(60_000, narrow);
    expect(ward.texts()).toEqual(["its PCIe link runs at 8 of 16 lanes"]);
  });

  test("that was asleep when a request began is no downgrade, however often that is so", () => {
    const ward = new Ward(only("pcieDowngrade"));
    for (let request = 0; request < 100; request += 1) {
      // The load is read once a second, the link every five: it is that of before for a moment.
      ward.stay(3_000, asleep);
      ward.nowMs += 1_000;
      ward.stay(40_000, { load: { utilization: 0 }, ...asleep });
      ward.nowMs += 1_000;
    }
    expect(ward.reasons()).toEqual([]);
  });
});
