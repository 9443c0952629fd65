import { expect, test } from "bun:test";
import fc from "fast-check";
import { coldSeconds, shareOf } from "../../src/flow/slow-start.ts";

const config = { windowMs: 10_000, shareMin: 0.1 };

test("the share grows evenly to the whole within the window", () => {
  const shares = [40_000, 50_000, 55_000, 59_999, 60_000, 1e9].map((nowMs) => shareOf(50_000, nowMs, config));
  expect(shares.map((share) => Math.round(share * 100) / 100)).toEqual([0.1, 0.1, 0.55, 1, 1, 1]);
});

test("without a window the share is whole at once", () => {
  expect(shareOf(5, 5, { ...config, windowMs: 0 })).toBe(1);
});

test("the share never shrinks, and lies between the least one and the whole", () => {
  const settings = fc.record({ windowMs: fc.nat(100_000), shareMin: fc.double({ min: 0.01, max: 1, noNaN: true }) });
  fc.assert(
    fc.property(settings, fc.nat(1e6), fc.array(fc.nat(10_000)), (chosen, sinceMs, pauses) => {
      let [nowMs, before] = [sinceMs - 5, 0];
      for (const pause of pauses) {
        const share = shareOf(sinceMs, (nowMs += pause), chosen);
        expect(share).toBeGreaterThanOrEqual(Math.max(before, chosen.shareMin));
        expect(share).toBeLessThanOrEqual(1);
        before = share;
      }
    }),
    { seed: 4 },
  );
});

test("at its share of the others' load a cold target is as dear as they", () => {
  fc.assert(
    fc.property(fc.double({ min: 0.1, max: 1 }), fc.double({ min: 0, max: 1e6 }), (share, loadSeconds) => {
      fc.pre(!Number.isNaN(share) && !Number.isNaN(loadSeconds));
      expect(share * loadSeconds + coldSeconds(share, loadSeconds)).toBeCloseTo(loadSeconds, 6);
    }),
    { seed: 4 },
  );
});
