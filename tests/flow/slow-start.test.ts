import { expect, test } from "bun:test";
import fc from "fast-check";
import { NOT_IN_USE, SlowStart } from "../../src/flow/slow-start.ts";

const config = { windowMs: 10_000, shareMin: 0.1 };

test("the share grows evenly to the whole within the window", () => {
  const slow = new SlowStart(config, 0);
  const since = slow.since(NOT_IN_USE, true, 50_000);
  expect(since).toBe(50_000);
  const shares = [50_000, 55_000, 59_999, 60_000, 1e9].map((now) => slow.share(since, now));
  expect(shares.map((share) => Math.round(share * 100) / 100)).toEqual([0.1, 0.55, 1, 1, 1]);
});

test("one that stays in use does not begin anew, one that comes back does", () => {
  const slow = new SlowStart(config, 0);
  expect(slow.since(50_000, true, 70_000)).toBe(50_000);
  expect(slow.since(50_000, false, 70_000)).toBe(NOT_IN_USE);
  expect(slow.since(NOT_IN_USE, true, 80_000)).toBe(80_000);
});

test("what a new router finds is not new", () => {
  const slow = new SlowStart(config, 1000);
  const since = slow.since(NOT_IN_USE, true, 10_999);
  expect(slow.share(since, 10_999)).toBe(1);
  expect(slow.share(slow.since(NOT_IN_USE, true, 11_000), 11_000)).toBe(0.1);
});

test("without a window the share is whole at once", () => {
  const slow = new SlowStart({ ...config, windowMs: 0 }, 0);
  expect(slow.share(slow.since(NOT_IN_USE, true, 5), 5)).toBe(1);
});

test("the share never shrinks, and lies between the least one and the whole", () => {
  const settings = fc.record({ windowMs: fc.nat(100_000), shareMin: fc.double({ min: 0.01, max: 1, noNaN: true }) });
  fc.assert(
    fc.property(settings, fc.nat(1e6), fc.array(fc.nat(10_000)), (chosen, sinceMs, pauses) => {
      const slow = new SlowStart(chosen, 0);
      let [now, before] = [sinceMs - 5, 0];
      for (const pause of pauses) {
        const share = slow.share(sinceMs, (now += pause));
        expect(share).toBeGreaterThanOrEqual(Math.max(before, chosen.shareMin));
        expect(share).toBeLessThanOrEqual(1);
        before = share;
      }
    }),
    { seed: 4 },
  );
});
