import { expect, test } from "bun:test";
import fc from "fast-check";
import { Spending } from "../../src/policy/spending.ts";

test("so much may be spent in a period, at once or bit by bit, and then waits until it has slid out", () => {
  const spending = new Spending(1000);
  expect(spending.waitMs(1, 10, 5_000)).toBe(0);
  spending.add(10, 10, 5_000);
  expect([spending.spent(10, 5_000), spending.waitMs(1, 10, 5_000)]).toEqual([10, 1050]);
  expect([spending.waitMs(1, 10, 6_049), spending.waitMs(1, 10, 6_050)]).toEqual([1, 0]);
  spending.add(4, 10, 6_050);
  spending.add(5, 10, 6_500);
  expect([spending.waitMs(1, 10, 6_500), spending.waitMs(3, 10, 6_500), spending.waitMs(6, 10, 6_500)]).toEqual([
    0, 600, 1050,
  ]);
});

test("what is larger than the limit goes first or not at all, and is waited off", () => {
  const spending = new Spending(1000);
  spending.add(1, 10, 0);
  expect(spending.waitMs(35, 10, 0)).toBe(1050);
  expect(spending.waitMs(35, 10, 1050)).toBe(0);
  spending.add(35, 10, 1050);
  expect(spending.spent(10, 1050)).toBe(10);
  let free = 1050;
  while (spending.waitMs(10, 10, free) > 0) free += 10;
  // 35 are three and a half periods of 10.
  expect(free).toBeGreaterThanOrEqual(1050 + 3500);
  expect(free).toBeLessThanOrEqual(1050 + 4 * 1050 + 10);
});

test("what was not needed comes back, debt first", () => {
  const spending = new Spending(1000);
  spending.add(30, 10, 0);
  spending.add(-25, 10, 0);
  expect([spending.spent(10, 0), spending.waitMs(5, 10, 0)]).toEqual([5, 0]);
  spending.add(-100, 10, 0);
  expect(spending.spent(10, 0)).toBe(0);
});

test("without a limit above 0 nothing may be spent, and time that steps back changes nothing", () => {
  const spending = new Spending(1000);
  expect(spending.waitMs(1, 0, 0)).toBe(Infinity);
  spending.add(10, 10, 5_000);
  expect([spending.spent(10, 1_000), spending.waitMs(1, 10, 5_000)]).toEqual([10, 1050]);
});

test("within no period is more spent than the limit, however it is asked for", () => {
  const asks = fc.array(fc.tuple(fc.nat(400), fc.integer({ min: 1, max: 10 })), { maxLength: 60 });
  fc.assert(
    fc.property(fc.integer({ min: 10, max: 30 }), asks, (limit, steps) => {
      const spending = new Spending(1000);
      const spent: [number, number][] = [];
      let nowMs = 12_345;
      for (const [laterMs, amount] of steps) {
        nowMs += laterMs;
        const waitMs = spending.waitMs(amount, limit, nowMs);
        if (waitMs > 0) {
          // And what it says is true.
          expect(waitMs).toBeLessThanOrEqual(1050);
          continue;
        }
        spending.add(amount, limit, nowMs);
        spent.push([nowMs, amount]);
        const sum = spent.reduce((total, [atMs, each]) => (atMs > nowMs - 1000 ? total + each : total), 0);
        expect(sum).toBeLessThanOrEqual(limit);
      }
    }),
  );
});

test("another period knows what was spent within the one before", () => {
  const long = new Spending(10_000);
  long.add(4, 5, 20_000);
  long.add(9, 5, 21_000);
  const short = long.withPeriod(1000);
  expect([short.spent(5, 21_000), short.waitMs(1, 5, 21_000)]).toEqual([5, 2000]);
  let free = 21_000;
  while (short.waitMs(1, 5, free) > 0) free += 10;
  // 13 of 5 a second, the first of which are counted as spent now.
  expect([free >= 23_000, free <= 24_200]).toEqual([true, true]);
  expect(new Spending(1000).withPeriod(2000).waitMs(5, 5, 0)).toBe(0);
});
