import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { Prng } from "../../src/base/prng.ts";
import { expectedSeconds } from "../../src/score/expected-seconds.ts";
import { ModelStrategy } from "../../src/score/model-strategy.ts";
import { ALL_EJECTED, ALL_FULL, NEVER_EJECTED, NO_TARGET, PickRequest } from "../../src/score/pick.ts";
import { PREFIX_BLOCK_BYTES } from "../../src/score/prefix-layout.ts";
import { hashBlocks, seedChain } from "../../src/score/prefix-hash.ts";
import { PrefixIndex } from "../../src/score/prefix-index.ts";
import { PrefixLookup } from "../../src/score/prefix-lookup.ts";
import { NO_SIDES, RowSides } from "../../src/score/row-sides.ts";
import { RowView } from "../../src/score/row-view.ts";
import { TypeScriptPicker } from "../../src/score/scan.ts";
import { ARRIVAL_STRATEGIES, type ArrivalStrategy, arrivalStrategy } from "../../src/score/strategies.ts";
import type { RowValues } from "../../src/score/table-writer.ts";
import type { Strategy } from "../../src/score/view.ts";
import { anyRow, bedOf, PLAIN } from "./rows.ts";

function bed(rows: readonly RowValues[]) {
  const { table, writer, model, rows: ids, request } = bedOf(rows, 100);
  const weights = new Map<number, number>();
  const weightOf = (row: number): number => weights.get(row) ?? 1;
  const choosing = (now: readonly number[] = ids, match: () => void = () => {}) => ({
    rows: now,
    weightOf,
    match,
    patienceMs: 2000,
    gapMs: 50,
  });
  const own = (name: ArrivalStrategy, seed = 1): ModelStrategy => new ModelStrategy(arrivalStrategy(name, seed), table);
  return { table, writer, model, rows: ids, request, weights, choosing, own };
}

/** How often each place was picked in so many picks, claiming nothing. */
function shares(name: ArrivalStrategy, weights: readonly number[], picks: number, seed = 7): number[] {
  const { rows, request, weights: of, choosing, own } = bed(weights.map(() => PLAIN));
  for (const [place, weight] of weights.entries()) of.set(rows[place]!, weight);
  const strategy = own(name, seed);
  const among = choosing();
  const counts = weights.map(() => 0);
  for (let count = 0; count < picks; count += 1) counts[rows.indexOf(strategy.pick(request, among, count))]! += 1;
  return counts;
}

describe.each([...ARRIVAL_STRATEGIES])("%s, among rows", (name) => {
  test("answers as the scorer does where nobody may be picked, and picks only whom that one may pick", () => {
    const prng = new Prng(11);
    for (let round = 0; round < 60; round += 1) {
      const { table, rows, request, choosing, own } = bed(
        Array.from({ length: prng.int(5) }, () => anyRow(prng, round % 2 === 0)),
      );
      for (const row of rows) {
        for (let count = prng.int(4); count > 0; count -= 1) table.tryBegin(0, row, 10);
        if (prng.int(3) === 0) table.eject(row, 50);
        if (prng.int(4) === 0) request.exclude(row);
      }
      request.nowDeciseconds = [0, 50, NEVER_EJECTED][prng.int(3)]!;
      const scored = new TypeScriptPicker(table).pick(request);
      const row = own(name, round).pick(request, choosing(), round);
      if (scored < 0) expect(row).toBe(scored);
      else expect(rows).toContain(row);
      if (row < 0) continue;
      // With all others excluded the scorer takes this very one, at this cost.
      const alone = new PickRequest();
      alone.model = request.model;
      alone.promptTokens = request.promptTokens;
      alone.nowDeciseconds = request.nowDeciseconds;
      for (const other of rows) if (other !== row) alone.exclude(other);
      expect(new TypeScriptPicker(table).pick(alone)).toBe(row);
      expect(request.cost).toBeCloseTo(alone.cost, 4);
      for (let count = 0; count < request.excludedCount; count += 1) expect(request.excludedRow(count)).not.toBe(row);
    }
  });

  test("tells why nobody may be picked", () => {
    const { table, rows, request, choosing, own } = bed([PLAIN]);
    const strategy = own(name);
    expect(strategy.pick(request, choosing([]), 0)).toBe(NO_TARGET);
    table.eject(rows[0]!, 10);
    expect(strategy.pick(request, choosing(), 0)).toBe(ALL_EJECTED);
    while (table.tryBegin(0, rows[0]!, 1));
    expect(strategy.pick(request, choosing(), 0)).toBe(ALL_FULL);
    expect(request.ties).toBe(0);
  });
});

describe("weights", () => {
  test("give turns, and spread those of a heavy one", () => {
    expect(shares("round-robin", [1, 1, 1], 300)).toEqual([100, 100, 100]);
    expect(shares("round-robin", [5, 1, 1], 700)).toEqual([500, 100, 100]);
  });

  test("nobody strays from its due by more than a turn or two, whatever they are", () => {
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

  test("turns start anywhere", () => {
    const first = Array.from({ length: 40 }, (_, seed) => shares("round-robin", [1, 1, 1], 1, seed + 1).indexOf(1));
    expect(new Set(first)).toEqual(new Set([0, 1, 2]));
  });

  test("decide draws", () => {
    const [light = 0, heavy = 0] = shares("random", [1, 3], 4000);
    expect(heavy / light).toBeGreaterThan(2.6);
    expect(heavy / light).toBeLessThan(3.5);
  });

  test.each(["p2c", "least-request", "peak-ewma"] as const)("%s counts load for them", (name) => {
    const { table, rows, request, weights, choosing, own } = bed([PLAIN, PLAIN]);
    const strategy = own(name);
    table.tryBegin(0, rows[0]!, 1);
    for (let count = 0; count < 100; count += 1) expect(strategy.pick(request, choosing(), 1)).toBe(rows[1]!);
    // Two requests at a row of weight 4 weigh less than one at a row of weight 1.
    table.tryBegin(0, rows[1]!, 1);
    table.tryBegin(0, rows[1]!, 1);
    weights.set(rows[1]!, 4);
    for (let count = 0; count < 100; count += 1) expect(strategy.pick(request, choosing(), 1)).toBe(rows[1]!);
  });
});

test("ttft's formula is the scan's: the same cost of every row, and the same choice", () => {
  const seeds = fc.integer();
  fc.assert(
    fc.property(seeds, fc.nat(40_000), fc.constantFrom(0, 2, 5), (seed, promptTokens, missWeight) => {
      const prng = new Prng(seed);
      const { table, rows, request, choosing, own } = bed(Array.from({ length: 6 }, () => anyRow(prng, false)));
      request.promptTokens = promptTokens;
      request.missWeight = missWeight;
      const view = new RowView(table);
      view.sync(rows, () => {});
      view.fill(request, () => 1);
      const costs = rows.map((row) => {
        const alone = new PickRequest();
        alone.model = request.model;
        alone.promptTokens = promptTokens;
        alone.missWeight = missWeight;
        for (const other of rows) if (other !== row) alone.exclude(other);
        if (new TypeScriptPicker(table).pick(alone) < 0) return Infinity;
        const seconds = expectedSeconds(view.view, view.targetOf(row), { promptTokens, missWeight });
        expect(Math.abs(seconds - alone.cost)).toBeLessThan(1e-5 * (1 + alone.cost));
        return seconds;
      });
      const picked = new TypeScriptPicker(table).pick(request);
      const row = own("ttft").pick(request, choosing(), 0);
      const of = (each: number): number => (each < 0 ? Infinity : costs[rows.indexOf(each)]!);
      if (picked >= 0) expect(of(row) - of(picked)).toBeLessThan(1e-5 * (1 + of(picked)));
      else expect(row).toBe(picked);
    }),
    { numRuns: 200 },
  );
});

describe("what rows have cached", () => {
  test("is looked up for those that go by it, and told with the answer", () => {
    const { table, rows, request, choosing, own } = bed([PLAIN, PLAIN, PLAIN]);
    const index = PrefixIndex.create(1 << 16, table.rowsMax);
    for (const row of rows) index.reset(row, 1_000_000, 4);
    const lookup = new PrefixLookup(index);
    const chain = new Int32Array(64);
    seedChain(chain, new TextEncoder().encode("m"));
    const blocks = hashBlocks(
      new Uint8Array(8 * PREFIX_BLOCK_BYTES).fill(7),
      0,
      8 * PREFIX_BLOCK_BYTES,
      chain,
      0,
      8,
      true,
    );
    index.note(0, rows[1]!, chain, blocks);
    request.prefix = lookup;
    request.promptTokens = 2100;
    const match = (): void => {
      lookup.match();
      lookup.clear();
    };
    for (const name of ["cache-aware", "epp-blend", "epp-default", "kv-cost", "ttft"] as const) {
      lookup.ask(chain, blocks, PREFIX_BLOCK_BYTES / 4, 0);
      expect(own(name).pick(request, choosing(rows, match), 0)).toBe(rows[1]!);
      expect(request.cachedTokens).toBe(2048);
    }
    lookup.askNothing();
    expect(index.blocksOf(rows[1]!)).toBeGreaterThanOrEqual(blocks);
    // With nothing asked, cache-aware goes to the smallest cache.
    expect(own("cache-aware").pick(request, choosing(rows, match), 0)).not.toBe(rows[1]!);
    expect(request.cachedTokens).toBe(0);
  });
});

describe("figures beside the scan's", () => {
  test("decide: requests that wait, use of the KV cache, contexts", () => {
    const { table, writer, rows, request, choosing, own } = bed([PLAIN, PLAIN]);
    writer.write(rows[0]!, PLAIN, { ...NO_SIDES, waiting: 3 });
    for (let count = 0; count < 20; count += 1) expect(own("epp-blend").pick(request, choosing(), 0)).toBe(rows[1]!);
    writer.write(rows[0]!, PLAIN, { ...NO_SIDES, kvUsage: 0.2 });
    writer.write(rows[1]!, PLAIN, { ...NO_SIDES, kvUsage: 0.9 });
    expect(own("epp-blend").pick(request, choosing(), 0)).toBe(rows[0]!);
    const sides = new RowSides(table);
    sides.addContext(0, rows[0]!, 5000);
    expect(own("kv-cost").pick(request, choosing(), 0)).toBe(rows[1]!);
    sides.addContext(1, rows[1]!, 7000);
    expect(own("kv-cost").pick(request, choosing(), 0)).toBe(rows[0]!);
    // What a worker had that died is given back; what others have stays.
    sides.clearWorker(1);
    expect([sides.contextTokens(rows[0]!), sides.contextTokens(rows[1]!)]).toEqual([5000, 0]);
    sides.addContext(0, rows[0]!, -5000);
    expect(sides.contextTokens(rows[0]!)).toBe(0);
    expect(sides.of(rows[1]!)).toMatchObject({ waiting: 0, pricePerHour: 0, contextTokens: 0 });
  });
});

describe("rows in other zones", () => {
  test.each([...ARRIVAL_STRATEGIES])(
    "%s leaves them out while one in its own has room, or lets the cost decide",
    (name) => {
      const { table, writer, rows, request, choosing, own } = bed([PLAIN, PLAIN]);
      const away = { ...NO_SIDES, isAway: 1 };
      // As placement writes it: what it costs is in the row too.
      writer.write(rows[0]!, { ...PLAIN, slots: 2, penaltySeconds: 0.1 }, away);
      writer.write(rows[1]!, { ...PLAIN, slots: 2 });
      const strategy = own(name);
      for (let count = 0; count < 40; count += 1) expect(strategy.pick(request, choosing(), count)).toBe(rows[1]!);
      for (let count = 0; count < 2; count += 1) table.tryBegin(0, rows[1]!, 500);
      const picked = Array.from({ length: 60 }, (_, count) => strategy.pick(request, choosing(), count));
      expect(picked).toContain(rows[0]!);
      table.eject(rows[1]!, 50);
      expect(strategy.pick(request, choosing(), 0)).toBe(rows[0]!);
    },
  );
});

describe("rows that come and go", () => {
  /** Notes what it is told, and takes the first that it may. */
  function noting() {
    const forgotten: number[] = [];
    const seen: number[] = [];
    const strategy: Strategy = {
      name: "noting",
      needsPrefixes: false,
      needsFigures: false,
      choose: ({ routable }) => routable.indexOf(1),
      observe: (target) => seen.push(target),
      forget: (target) => forgotten.push(target),
    };
    return { strategy, forgotten, seen };
  }

  test("a number stays with its target, is forgotten with it, and serves another one", () => {
    const { table, writer, model, rows, request, choosing } = bed([PLAIN, PLAIN, PLAIN]);
    const { strategy, forgotten, seen } = noting();
    const own = new ModelStrategy(strategy, table);
    expect(own.pick(request, choosing(), 0)).toBe(rows[0]!);
    own.observe(rows[2]!, 5, 1);
    // The first leaves, and its row is given to another target.
    writer.removeRow(rows[0]!);
    own.observe(rows[0]!, 5, 1);
    expect(seen).toEqual([2]);
    const row = writer.addRow(model);
    expect(row).toBe(rows[0]!);
    writer.write(row, PLAIN);
    expect(own.pick(request, choosing([rows[1]!, rows[2]!, row]), 0)).toBe(row);
    expect(forgotten).toEqual([0]);
    own.observe(row, 5, 1);
    expect(seen).toEqual([2, 0]);
  });

  test("behind the last one nothing may be sent to", () => {
    const { table, rows, request, choosing } = bed([PLAIN, PLAIN]);
    const last = new ModelStrategy({ ...noting().strategy, choose: ({ routable }) => routable.lastIndexOf(1) }, table);
    expect(last.pick(request, choosing(), 0)).toBe(rows[1]!);
    expect(last.pick(request, choosing([rows[0]!]), 0)).toBe(rows[0]!);
  });

  test("there are never more numbers than rows at a time, and all rows are reached", () => {
    const { table, writer, model, request, choosing } = bed([]);
    const { strategy, forgotten } = noting();
    const own = new ModelStrategy(strategy, table);
    const prng = new Prng(3);
    let rows: number[] = [];
    for (let round = 0; round < 200; round += 1) {
      const [gone] = rows.length > 0 && prng.int(2) === 0 ? rows.splice(prng.int(rows.length), 1) : [];
      if (gone !== undefined) writer.removeRow(gone);
      else if (rows.length < 40) {
        const row = writer.addRow(model);
        writer.write(row, PLAIN);
        rows.push(row);
      }
      rows = [...rows];
      if (rows.length > 0) expect(rows).toContain(own.pick(request, choosing(rows), round));
      const turns = new ModelStrategy(arrivalStrategy("round-robin", round), table);
      const all = new Set(rows.map(() => turns.pick(request, choosing(rows), round)));
      if (rows.length > 0) expect(all).toEqual(new Set(rows));
    }
    for (const target of forgotten) expect(target).toBeLessThan(40);
  });
});
