import { describe, expect, test } from "bun:test";
import { DEFAULTS, LINKS, type Other, type RuleKey, Ward, only } from "./gpu-bed.ts";

const COUNTERS: readonly (readonly [string, RuleKey, (count: number) => Other])[] = [
  ["ecc_corrected", "eccCorrected", (count) => ({ wear: { eccCorrected: 5 + count } })],
  ["pcie_replays", "pcieReplays", (count) => ({ traffic: { pcieReplays: 7 + count } })],
  [
    "nvlink_errors",
    "nvlinkErrors",
    (count) => ({ traffic: { links: LINKS.map((link) => ({ ...link, crcErrors: link.index === 5 ? count : 0 })) } }),
  ],
];

describe.each(COUNTERS)("the growing counter of %s", (name, key, at) => {
  const { countMax, windowMs, clearMs } = DEFAULTS[key as "eccCorrected"];

  test("degrades when it grows by its limit within the window, and not by what it stood at before", () => {
    const ward = new Ward(only(key));
    ward.stay(windowMs, {});
    ward.stay(0, at(countMax - 1));
    expect(ward.reasons()).toEqual([]);
    ward.stay(0, at(countMax));
    expect(ward.reasons()).toEqual([`${name} degraded`]);
    expect(ward.texts()[0]).toStartWith(`${countMax} `);
    // It is over when the window has gone by, and has been for its time.
    ward.stay(windowMs / 2, at(countMax));
    expect(ward.reasons()).toEqual([`${name} degraded`]);
    ward.stay(windowMs / 2 + windowMs / 10 + clearMs, at(countMax));
    expect(ward.reasons()).toEqual([]);
  });

  test("never degrades when it grows slowly", () => {
    const ward = new Ward(only(key));
    for (let count = 0; count < 4 * countMax; count += 1) {
      ward.nowMs += Math.ceil((windowMs * 1.2) / countMax);
      ward.read(at(count));
    }
    expect(ward.reasons()).toEqual([]);
  });

  test("begins at what it stands at when it is first read", () => {
    const ward = new Ward(only(key));
    ward.stay(10_000, {}, { uuid: "GPU-b", ...at(1_000_000) });
    expect(ward.reasons("GPU-b")).toEqual([]);
  });

  test("counts nothing when it goes backwards, however far", () => {
    const ward = new Ward(only(key));
    ward.stay(1_000, at(countMax / 2 - 1));
    ward.stay(1_000, at(0));
    ward.stay(1_000, at(countMax / 2));
    expect(ward.reasons()).toEqual([]);
  });
});

test("a link that is read anew hides no errors of the others", () => {
  const ward = new Ward(only("nvlinkErrors"));
  const read = (first: number, second: number): void => {
    const links = LINKS.map((link) => ({ ...link, replayErrors: [first, second][link.index] ?? 0 }));
    ward.read({ uuid: "GPU-b", traffic: { links } });
  };
  read(0, 5_000);
  read(99, 5_000);
  expect(ward.reasons("GPU-b")).toEqual([]);
  read(100, 0);
  expect(ward.reasons("GPU-b")).toEqual(["nvlink_errors degraded"]);
});
