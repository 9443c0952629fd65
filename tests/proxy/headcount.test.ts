import { expect, test } from "bun:test";
import { Headcount } from "../../src/proxy/headcount.ts";

test("workers that come count at once, those that are not seen any more for ten minutes", () => {
  const headcount = new Headcount();
  const seen: readonly (readonly [count: number, nowMs: number])[] = [
    [2, 0],
    [20, 1_000],
    [2, 2_000],
    [19, 3_000],
    [20, 400_000],
    [2, 999_999],
    [2, 1_000_000],
    [3, 1_000_001],
    [1, 1_600_000],
    [1, 1_600_001],
  ];
  expect(seen.map(([count, nowMs]) => headcount.seen(count, nowMs))).toEqual([2, 20, 20, 20, 20, 20, 2, 3, 3, 1]);
});
