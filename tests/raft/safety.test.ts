/**
 * The consensus in the seeded world: what must always hold is checked at each step of each run, and after each run the
 * members have to recover. `npm run bench -- safety` runs a hundred thousand seeds; SEED=n runs that one here.
 */
import { describe, expect, test } from "bun:test";
import { type Outcome, simulate } from "./world.ts";

const SEED = process.env["SEED"];
const FIRST = Number(SEED ?? 1);
const SEEDS = SEED === undefined ? 250 : 1;

describe("the simulated members", () => {
  test(`keep what they acknowledged, and recover (seeds ${FIRST} to ${FIRST + SEEDS - 1})`, () => {
    const outcomes: Outcome[] = [];
    for (let seed = FIRST; seed < FIRST + SEEDS; seed += 1) outcomes.push(simulate(seed));
    if (SEED !== undefined) return;
    // A world in which nothing happens proves nothing.
    const sum = (of: (outcome: Outcome) => number): number => outcomes.reduce((total, one) => total + of(one), 0);
    expect(sum(({ terms }) => terms)).toBeGreaterThan(2 * SEEDS);
    expect(sum(({ acknowledged }) => acknowledged)).toBeGreaterThan(20 * SEEDS);
    expect(sum(({ reads }) => reads)).toBeGreaterThan(10 * SEEDS);
  });

  test("do the same with the same seed, and something else with another", () => {
    const run = (seed: number): Outcome => simulate(seed);
    expect(run(FIRST)).toEqual(run(FIRST));
    expect(run(FIRST)).not.toEqual(run(FIRST + 1));
  });
});
