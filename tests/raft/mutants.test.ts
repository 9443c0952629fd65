/** The simulator notices faults in the core; `npm run bench -- mutants` tells for every one of them after how many seeds. */
import { describe, expect, test } from "bun:test";
import { hunt, MUTANTS, mutated, plant } from "./mutants.ts";
import { simulate } from "./world.ts";

/** Those that show within a few seeds, of different kinds. */
const QUICK = [
  "a vote leaves before it is durable",
  "a leader counts itself before its entries are durable",
  "votes are granted to logs that lack entries",
  "half of the members are a majority",
  "entries that differ are left in place",
  "pieces of a snapshot are put together in the order in which they come",
];
const SEEDS_MAX = 60;

describe("mutants of the core", () => {
  test("are at least 20, each with a name of its own, and apply to the core as it is", () => {
    expect(MUTANTS.length).toBeGreaterThanOrEqual(20);
    expect(new Set(MUTANTS.map(({ name }) => name)).size).toBe(MUTANTS.length);
    for (const mutant of MUTANTS) expect(mutated(mutant)).not.toContain(`${mutant.original}${mutant.original}`);
  });

  test("that no longer apply fail loudly", () => {
    const [first] = MUTANTS;
    expect(() => mutated({ ...first!, original: "no such text" })).toThrow("does not apply");
    expect(() => mutated({ ...first!, original: "this" })).toThrow(/occurs \d+ times/);
  });

  for (const name of QUICK) {
    test(`are caught: ${name}`, async () => {
      const mutant = MUTANTS.find((one) => one.name === name);
      const core = await plant(mutant!);
      const { seed } = hunt(core, 1, SEEDS_MAX);
      expect(seed).toBeDefined();
      expect(() => simulate(seed!, core)).toThrow(`SEED=${seed} `);
    });
  }
});
