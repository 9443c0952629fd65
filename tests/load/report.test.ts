import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { Flight } from "../../src/load/flight.ts";
import { type LoadReport, reportOf } from "../../src/load/report.ts";
import { LogHistogram, spreadOf } from "../../src/load/spread.ts";
import { CSV_HEAD, csvLines, jsonLines, loadTable } from "../../src/load/table.ts";
import { OTHERS, Tally } from "../../src/load/tally.ts";

const SLO = { ttftMs: 100, itlMs: 10, endMs: 0 };
const ABOUT = { url: "http://x", model: "m", workload: "w", seed: 1, startedAtMs: 0, isStopped: false };

interface Ending {
  readonly dueMs: number;
  readonly firstMs?: number;
  readonly lastMs?: number;
  readonly endMs: number;
  readonly events?: number;
  readonly failure?: string;
  readonly words?: string;
  readonly node?: string;
  readonly cached?: number;
  readonly lagMs?: number;
}

function tallied(endings: readonly Ending[]): Tally {
  const tally = new Tally();
  tally.start(1000, 0);
  for (const [number, ending] of endings.entries()) {
    const planned = { dueMs: ending.dueMs, promptTokens: 100, outputTokens: 5, hashes: [] };
    const flight = new Flight(number, planned, 1000 + ending.dueMs, false);
    flight.sentMs = flight.dueMs + 1;
    flight.firstMs = 1000 + (ending.firstMs ?? Number.NaN);
    flight.lastMs = 1000 + (ending.lastMs ?? Number.NaN);
    flight.endMs = 1000 + ending.endMs;
    flight.events = ending.events ?? 0;
    flight.node = ending.node ?? "";
    flight.status = 200;
    flight.cachedTokens = ending.cached ?? -1;
    flight.lagMs = ending.lagMs ?? Number.NaN;
    flight.failure = ending.failure ?? "";
    flight.words = ending.words ?? "";
    tally.ended(flight);
  }
  return tally;
}

const report = (endings: readonly Ending[], slo = SLO): LoadReport => reportOf(tallied(endings), slo, ABOUT);

describe("a report", () => {
  test("counts as good what is within the objective, of all that was asked", () => {
    const good = { dueMs: 0, firstMs: 100, lastMs: 140, endMs: 141, events: 5 };
    const endings: Ending[] = [
      good,
      { ...good, firstMs: 101 },
      { ...good, lastMs: 141 },
      { dueMs: 0, endMs: 90 },
      { dueMs: 0, endMs: 150 },
      { dueMs: 0, endMs: 50, failure: "status 503", words: "full" },
    ];
    expect(report(endings)).toMatchObject({ requests: 6, ok: 5, failed: 1, goodput: 2 / 6 });
    expect(report(endings, { ...SLO, endMs: 100 }).goodput).toBe(1 / 6);
    expect(report(endings).errors).toEqual([{ kind: "status 503", count: 1, words: "full" }]);
  });

  test("sums nodes, tokens, caches and seconds", () => {
    const of = (node: string, dueMs: number, cached: number): Ending => ({
      dueMs,
      firstMs: dueMs + 10,
      lastMs: dueMs + 50,
      endMs: dueMs + 50,
      events: 5,
      node,
      ...(cached >= 0 ? { cached } : {}),
    });
    const made = report([of("b", 0, 50), of("a", 1000, 30), of("b", 1990, -1)]);
    expect(made.nodes).toEqual([
      { node: "a", requests: 1, outputTokens: 5 },
      { node: "b", requests: 2, outputTokens: 10 },
    ]);
    expect(made).toMatchObject({
      cachedTokens: 80,
      hitRate: 0.4,
      promptTokens: 300,
      outputTokens: 15,
      durationMs: 2040,
    });
    const { sliceMs, slices } = made.course;
    expect(sliceMs).toBe(1000);
    expect(slices.map(({ due, good, ok, failed }) => [due, good, ok, failed])).toEqual([
      [1, 1, 1, 0],
      [2, 2, 1, 0],
      [0, 0, 1, 0],
    ]);
    expect(slices.map(({ fromMs, ttftP95Ms, itlP50Ms }) => [fromMs, ttftP95Ms, itlP50Ms])).toEqual([
      [0, 10, 10],
      [1000, 10, 10],
      [2000, null, null],
    ]);
    expect(made.ttftCdfMs).toHaveLength(201);
    expect([made.itlCdfMs[0], made.endCdfMs[200]]).toEqual([10, 50]);
  });

  test("says when its own generator could not keep up", () => {
    const late = (lagMs: number, ttftMs: number): Ending[] =>
      Array.from({ length: 50 }, (_, at) => ({ dueMs: at, firstMs: at + ttftMs, endMs: at + ttftMs, lagMs }));
    expect(report(late(4, 10)).isLagging).toBe(false);
    expect(report(late(20, 100))).toMatchObject({ isLagging: true, lagMs: { count: 50, p99: 20 } });
    expect(report(late(20, 1000)).isLagging).toBe(false);
    expect(loadTable(report(late(20, 100))).join("\n")).toContain("late by p99 20 ms: it could not keep up");
    // One late request in a hundred is no reason.
    expect(report([...late(1, 100), ...late(1, 100), { ...late(900, 100)[0]! }]).isLagging).toBe(false);
  });

  test("of nothing says nothing", () => {
    const made = report([]);
    expect(made).toMatchObject({ requests: 0, goodput: null, duePerSecond: null, hitRate: null, ttftCdfMs: [] });
    expect(made.ttftMs).toMatchObject({ count: 0, mean: null, p99: null });
    expect(loadTable(made).join("\n")).toContain("0 ok, 0 failed");
    expect(JSON.parse(JSON.stringify(made))).toEqual(made as never);
  });

  test("failures of endlessly many kinds don't fill the memory", () => {
    const endings = Array.from({ length: 5000 }, (_, at) => ({ dueMs: 0, endMs: 1, failure: `kind ${at}` }));
    const { errors } = report(endings);
    expect(errors.length).toBeLessThan(4200);
    expect(errors[0]).toMatchObject({ kind: OTHERS });
    expect(errors.reduce((sum, { count }) => sum + count, 0)).toBe(5000);
  });

  test("as CSV has a line for each request", () => {
    const lines = [
      ...csvLines(
        tallied([
          { dueMs: 0, endMs: 2, failure: 'odd, "x"' },
          { dueMs: 5, firstMs: 6, endMs: 9, node: "n" },
        ]),
      ),
    ];
    expect(lines[0]).toBe(CSV_HEAD);
    expect(lines[1]).toBe('0,0.000,1.000,,2.000,,100,,,200,,"odd, ""x""",0,');
    expect(lines[2]).toBe("1,5.000,6.000,6.000,9.000,,100,,,200,n,ok,0,");
    expect(lines).toHaveLength(3);
  });

  test("as lines of JSON says the same", () => {
    const lines = [...jsonLines(tallied([{ dueMs: 5, firstMs: 6, endMs: 9, node: "n", cached: 3, lagMs: 0.5 }]))];
    expect(lines.map((line) => JSON.parse(line) as unknown)).toEqual([
      {
        number: 0,
        dueMs: 5,
        sentMs: 6,
        firstMs: 6,
        endMs: 9,
        itlMs: null,
        lagMs: 0.5,
        promptTokens: 100,
        outputTokens: null,
        cachedTokens: 3,
        status: 200,
        node: "n",
        isWarmUp: false,
        outcome: "ok",
      },
    ]);
  });
});

describe("spreads", () => {
  test("by the nearest rank", () => {
    const values = Float64Array.from({ length: 1000 }, (_, at) => at + 1);
    expect(spreadOf(values)).toEqual({
      count: 1000,
      mean: 500.5,
      p50: 500,
      p90: 900,
      p95: 950,
      p99: 990,
      p999: 999,
      max: 1000,
    });
  });

  test("a histogram's quantiles are within a hundredth of the true ones", () => {
    const values = fc.array(fc.double({ min: 0.002, max: 1e6, noNaN: true }), { minLength: 1, maxLength: 200 });
    fc.assert(
      fc.property(values, (all) => {
        const histogram = new LogHistogram();
        for (const value of all) histogram.add(value);
        const [found, truth] = [histogram.spread(), spreadOf(Float64Array.from(all).sort())];
        for (const rank of ["p50", "p90", "p99", "max"] as const)
          expect(Math.abs(found[rank]! / truth[rank]! - 1)).toBeLessThan(0.01);
        expect(found.mean!).toBeCloseTo(truth.mean!, 3);
      }),
    );
  });
});
