import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { Prng } from "../../src/base/prng.ts";
import { ALL_EJECTED, ALL_FULL, NEVER_EJECTED, NO_TARGET, PickRequest } from "../../src/score/pick.ts";
import { TypeScriptPicker } from "../../src/score/scan.ts";
import { type Strategy, StrategyPicker } from "../../src/score/strategy.ts";
import { type RowValues, TableWriter } from "../../src/score/table-writer.ts";
import { ScoreTable } from "../../src/score/table.ts";
import { PLAIN, anyRow } from "./rows.ts";

const STRATEGIES: readonly Strategy[] = ["least-loaded", "two-choices", "random", "round-robin"];

function bed(rows: readonly RowValues[]) {
  const table = ScoreTable.create({ targetsMax: 512, modelsMax: 4, workersMax: 2 });
  const writer = new TableWriter(table);
  const model = writer.addModel();
  const ids = rows.map((values) => {
    const row = writer.addRow(model);
    writer.write(row, values);
    return row;
  });
  const request = new PickRequest();
  request.model = model;
  return { table, rows: ids, request, picker: new StrategyPicker(table) };
}

const even = (): number => 1;

/** How often each place was picked in so many picks, claiming nothing. */
function shares(strategy: Strategy, weights: readonly number[], picks: number, seed = 7): number[] {
  const { rows, request, picker } = bed(weights.map(() => PLAIN));
  const prng = new Prng(seed);
  const counts = weights.map(() => 0);
  for (let i = 0; i < picks; i++) {
    request.seed = prng.int(0xffff_ffff);
    const place = rows.indexOf(picker.pick(request, strategy, rows, (row) => weights[rows.indexOf(row)]!));
    counts[place]! += 1;
  }
  return counts;
}

describe("a strategy", () => {
  test("answers as the scorer does where nobody may be picked, and picks only whom that one may pick", () => {
    const prng = new Prng(11);
    for (let round = 0; round < 300; round++) {
      const count = prng.int(5);
      const { table, rows, request, picker } = bed(Array.from({ length: count }, () => anyRow(prng, round % 2 === 0)));
      for (const row of rows) {
        for (let i = prng.int(4); i > 0; i--) table.tryBegin(0, row, 10);
        if (prng.int(3) === 0) table.eject(row, 50);
        if (prng.int(4) === 0) request.exclude(row);
      }
      request.nowDeciseconds = [0, 50, NEVER_EJECTED][prng.int(3)]!;
      request.seed = prng.int(0xffff_ffff);
      const scored = new TypeScriptPicker(table).pick(request);
      for (const strategy of STRATEGIES) {
        const row = picker.pick(request, strategy, rows, even);
        if (scored < 0) expect(row).toBe(scored);
        else expect(rows).toContain(row);
        if (row < 0) continue;
        // With all others excluded the scorer takes this very one.
        const alone = new PickRequest();
        alone.model = request.model;
        alone.nowDeciseconds = request.nowDeciseconds;
        for (const other of rows) if (other !== row) alone.exclude(other);
        expect(new TypeScriptPicker(table).pick(alone)).toBe(row);
        for (let i = 0; i < request.excludedCount; i++) expect(request.excludedRow(i)).not.toBe(row);
      }
    }
  });

  test("tells why nobody may be picked", () => {
    const { table, rows, request, picker } = bed([PLAIN]);
    const row = rows[0]!;
    for (const strategy of STRATEGIES) expect(picker.pick(request, strategy, [], even)).toBe(NO_TARGET);
    table.eject(row, 10);
    for (const strategy of STRATEGIES) expect(picker.pick(request, strategy, rows, even)).toBe(ALL_EJECTED);
    while (table.tryBegin(0, row, 1));
    for (const strategy of STRATEGIES) expect(picker.pick(request, strategy, rows, even)).toBe(ALL_FULL);
    expect(request.ties).toBe(0);
  });
});

describe("round-robin", () => {
  test("gives each row its turns, by weight, and spreads those of a heavy one", () => {
    expect(shares("round-robin", [1, 1, 1], 300)).toEqual([100, 100, 100]);
    expect(shares("round-robin", [5, 1, 1], 700)).toEqual([500, 100, 100]);
  });

  test("never strays from anybody's due by more than a turn or two, whatever the weights", () => {
    const weight = fc.double({ min: 0.1, max: 20, noNaN: true });
    const anything = fc.array(weight, { minLength: 1, maxLength: 8 });
    fc.assert(
      fc.property(anything, fc.integer({ min: 1, max: 400 }), fc.integer({ min: 1 }), (weights, picks, seed) => {
        const total = weights.reduce((sum, each) => sum + each, 0);
        for (const [place, count] of shares("round-robin", weights, picks, seed).entries()) {
          expect(Math.abs(count - (picks * weights[place]!) / total)).toBeLessThan(2.01);
        }
      }),
      { numRuns: 60 },
    );
  });

  test("starts anywhere", () => {
    const first = new Set(
      Array.from({ length: 40 }, (_, seed) => shares("round-robin", [1, 1, 1], 1, seed + 1).indexOf(1)),
    );
    expect(first).toEqual(new Set([0, 1, 2]));
  });
});

describe("draws", () => {
  test("are by weight", () => {
    const [light = 0, heavy = 0] = shares("random", [1, 3], 4000);
    expect(heavy / light).toBeGreaterThan(2.6);
    expect(heavy / light).toBeLessThan(3.5);
  });

  test("of two take the less loaded one", () => {
    const { table, rows, request, picker } = bed([PLAIN, PLAIN]);
    table.tryBegin(0, rows[0]!, 1);
    for (let seed = 1; seed < 200; seed++) {
      request.seed = (seed * 21_474_836) >>> 0;
      expect(picker.pick(request, "two-choices", rows, even)).toBe(rows[1]!);
    }
    // Two requests at a row of weight 4 weigh less than one at a row of weight 1.
    table.tryBegin(0, rows[1]!, 1);
    table.tryBegin(0, rows[1]!, 1);
    expect(picker.pick(request, "two-choices", rows, (row) => (row === rows[1] ? 4 : 1))).toBe(rows[1]!);
  });
});

test("least-loaded goes by requests for their weight, and shares among equals", () => {
  const { table, rows, request, picker } = bed([PLAIN, PLAIN, { ...PLAIN, activeOffset: 5 }]);
  const seen = new Set<number>();
  for (let seed = 0; seed < 10; seed++) {
    request.seed = seed;
    seen.add(picker.pick(request, "least-loaded", rows, even));
  }
  expect(seen).toEqual(new Set([rows[0]!, rows[1]!]));
  expect(request.ties).toBe(2);
  table.tryBegin(0, rows[0]!, 1);
  expect(picker.pick(request, "least-loaded", rows, even)).toBe(rows[1]!);
  expect(request.cost).toBe(1);
  expect(picker.pick(request, "least-loaded", rows, (row) => (row === rows[2] ? 100 : 1))).toBe(rows[2]!);
});
