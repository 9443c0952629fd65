import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { drawLength, parseLengths } from "../../src/load/lengths.ts";
import { ClosedPlan, type Plan, RatePlan, TracePlan } from "../../src/load/plan.ts";
import { parseRate, RateCurve } from "../../src/load/rate.ts";
import { Prng } from "../../src/base/prng.ts";
import { readTrace } from "../../src/sim/traces.ts";

const SHAPES = { prompt: parseLengths("10")!, output: parseLengths("5")! };

function curve(text: string, overMs: number): RateCurve {
  return new RateCurve(parseRate(text)!, overMs);
}

/** When requests are due, as long as they are due before `untilMs`. */
function dueTimes(plan: Plan, untilMs: number): number[] {
  const times: number[] = [];
  for (let next = plan.next(); next !== null && next.dueMs < untilMs; next = plan.next()) times.push(next.dueMs);
  return times;
}

describe("rates", () => {
  test("are read as they are written, and nothing else is", () => {
    expect(parseRate("50")).toMatchObject({ kind: "steps", rates: [50] });
    expect(parseRate("10..200")).toMatchObject({ kind: "ramp", rates: [10, 200] });
    expect(parseRate("0..5.5")).toMatchObject({ kind: "ramp", rates: [0, 5.5] });
    expect(parseRate("10,0,30")).toMatchObject({ kind: "steps", rates: [10, 0, 30] });
    for (const text of ["", "0", "0..0", "-1", "1..2..3", "1,,2", "1e3", "1000001", "x", "..", "5/s", " 5"])
      expect(parseRate(text)).toBeUndefined();
    fc.assert(fc.property(fc.string(), (text) => void parseRate(text)));
  });

  test("a ramp's integral is that of a straight line, and it stays at its end", () => {
    const ramp = curve("10..200", 60_000);
    expect(ramp.due(60_000)).toBeCloseTo(((10 + 200) / 2) * 60, 6);
    expect(ramp.due(30_000)).toBeCloseTo(10 * 30 + (190 * 30) / 4, 6);
    expect(ramp.due(70_000)).toBeCloseTo(6300 + 2000, 6);
    const down = curve("100..0", 10_000);
    expect(down.due(10_000)).toBeCloseTo(500, 6);
    expect(down.due(20_000)).toBeCloseTo(500, 6);
    expect(down.timeOf(501)).toBe(Number.POSITIVE_INFINITY);
  });

  test("steps share their time", () => {
    const steps = curve("10,20,0,40", 40_000);
    expect(steps.due(10_000)).toBeCloseTo(100, 6);
    expect(steps.due(20_000)).toBeCloseTo(300, 6);
    expect(steps.due(30_000)).toBeCloseTo(300, 6);
    expect(steps.due(40_000)).toBeCloseTo(700, 6);
    expect(steps.timeOf(301)).toBeCloseTo(30_025, 6);
  });

  test("the time of a count is the inverse of the count at a time", () => {
    const rate = fc.integer({ min: 0, max: 1000 });
    const rates = fc.oneof(
      fc.tuple(rate, rate).map(([from, to]) => `${from}..${to}`),
      fc.array(rate, { minLength: 1, maxLength: 5 }).map((all) => all.join(",")),
    );
    fc.assert(
      fc.property(
        rates,
        fc.integer({ min: 1, max: 100_000 }),
        fc.double({ min: 0, max: 5000, noNaN: true }),
        (text, overMs, count) => {
          const spec = parseRate(text);
          if (spec === undefined) return;
          const made = new RateCurve(spec, overMs);
          const atMs = made.timeOf(count);
          if (Number.isFinite(atMs)) expect(made.due(atMs)).toBeCloseTo(count, 4);
          else expect(made.due(1e12)).toBeLessThanOrEqual(count + 1e-6);
        },
      ),
    );
  });
});

describe("arrivals", () => {
  test("evenly spaced ones are", () => {
    const plan = new RatePlan(curve("4", 0), false, SHAPES, 1);
    expect(dueTimes(plan, 1100)).toEqual([0, 250, 500, 750, 1000]);
  });

  test("Poisson ones have the mean and the spread of a Poisson process", () => {
    const seconds = 2000;
    const times = dueTimes(new RatePlan(curve("50", 0), true, SHAPES, 7), seconds * 1000);
    const counts = new Float64Array(seconds);
    for (const atMs of times) counts[Math.floor(atMs / 1000)]! += 1;
    const mean = times.length / seconds;
    let squares = 0;
    for (const count of counts) squares += (count - mean) ** 2;
    // Five deviations of each estimate: sqrt(50 / 2000) and sqrt(2 / 2000) of the dispersion.
    expect(Math.abs(mean - 50)).toBeLessThan(5 * Math.sqrt(50 / seconds));
    expect(Math.abs(squares / seconds / mean - 1)).toBeLessThan(5 * Math.sqrt(2 / seconds));
  });

  test("a Poisson ramp has its rate everywhere", () => {
    const sums = new Float64Array(10);
    const runs = 40;
    for (let seed = 0; seed < runs; seed += 1) {
      const times = dueTimes(new RatePlan(curve("0..100", 10_000), true, SHAPES, seed), 10_000);
      for (const atMs of times) sums[Math.floor(atMs / 1000)]! += 1;
    }
    for (const [second, sum] of sums.entries()) {
      const expected = (second * 10 + 5) * runs;
      expect(Math.abs(sum - expected)).toBeLessThan(5 * Math.sqrt(expected));
    }
  });

  test("the same seed plans the same, another one something else; lengths don't hang on how requests come", () => {
    const shapes = { prompt: parseLengths("1..100000")!, output: parseLengths("lognormal:100:1")! };
    const first = (isPoisson: boolean, seed: number) => new RatePlan(curve("9", 0), isPoisson, shapes, seed).next();
    expect(first(true, 3)).toEqual(first(true, 3));
    expect(first(true, 3)).not.toEqual(first(true, 4));
    expect(first(true, 3)?.promptTokens).toBe(first(false, 3)!.promptTokens);
    expect(new ClosedPlan(shapes, 3).next()).toEqual({ ...first(true, 3)!, dueMs: Number.NaN });
  });

  test("a trace keeps its times, its lengths and what it shares, as far as prompts are not cut", () => {
    const lines = [
      { timestamp: 100, input_length: 1100, output_length: 7, hash_ids: [5, 6, 7] },
      { timestamp: 300, input_length: 600, output_length: 900, hash_ids: [5, 9] },
    ];
    const { arrivals } = readTrace(lines.map((line) => JSON.stringify(line)).join("\n"));
    const plan = new TracePlan(arrivals!, { speed: 2, promptTokensMax: 1000, outputTokensMax: 100 }, 512);
    expect(plan.next()).toEqual({ dueMs: 0, promptTokens: 1000, outputTokens: 7, hashes: [5] });
    expect(plan.next()).toEqual({ dueMs: 100, promptTokens: 600, outputTokens: 100, hashes: [5] });
    expect(plan.next()).toBeNull();
  });
});

describe("lengths", () => {
  test("are read as they are written, and nothing else is", () => {
    expect(parseLengths("512")).toMatchObject({ kind: "uniform", from: 512, to: 512 });
    expect(parseLengths("1..9")).toMatchObject({ kind: "uniform", from: 1, to: 9 });
    expect(parseLengths("lognormal:512:0.8")).toMatchObject({ kind: "lognormal", median: 512, sigma: 0.8 });
    for (const text of ["", "0", "9..1", "1..2..3", "lognormal:5", "lognormal:5:9", "lognormal:0:1", "1.5", "1000001"])
      expect(parseLengths(text)).toBeUndefined();
    fc.assert(fc.property(fc.string(), (text) => void parseLengths(text)));
  });

  test("are spread as they say", () => {
    const prng = new Prng(5);
    const draw = (text: string, count: number) =>
      Array.from({ length: count }, () => drawLength(parseLengths(text)!, prng)).toSorted((a, b) => a - b);
    const uniform = draw("100..199", 10_000);
    expect([uniform[0], uniform.at(-1)]).toEqual([100, 199]);
    expect(uniform.reduce((sum, each) => sum + each, 0) / 10_000).toBeCloseTo(149.5, -0.5);
    const lognormal = draw("lognormal:500:0.5", 10_000);
    expect(Math.log(lognormal[5000]! / 500)).toBeCloseTo(0, 1);
    // One deviation above the median: 84.1 % of them.
    expect(Math.log(lognormal[8413]! / 500)).toBeCloseTo(0.5, 1);
  });
});
