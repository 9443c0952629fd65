import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { Prng } from "../../src/base/prng.ts";
import { defaultsOf } from "../../src/base/settings-reading.ts";
import { learningSettings } from "../../src/score/learning-settings.ts";
import { BOUND, LearntLine } from "../../src/score/learnt-line.ts";

const CONFIG = defaultsOf(learningSettings);
const SLOPE = 5e-5;
const seeds = fc.integer({ min: 0, max: 1e9 });
const near = (slope: number, wanted: number): number => Math.abs(Math.log(slope / wanted));

/** A line of which it is thought that it is `wrong` times what it is, and whoever measures it. */
function measured(seed: number, wrong: number, noise = 0.1) {
  const prng = new Prng(seed);
  const line = new LearntLine({ offset: 0.005, offsetDeviation: 0.02, slope: SLOPE * wrong }, CONFIG);
  let nowMs = 0;
  return {
    line,
    at: () => line.at(nowMs),
    pass: (ms: number) => (nowMs += ms),
    /** So many prompts, each of which takes `times` what is usual, and `stalled` of them ten times that. */
    observe: (count: number, times = 1, stalled = 0): void => {
      for (let done = 0; done < count; done += 1) {
        const amount = 100 + prng.int(8000);
        const off = prng.next() + prng.next() + prng.next() - 1.5;
        const stall = prng.next() < stalled ? 10 : 1;
        nowMs += 50;
        line.observe(amount, (0.004 + SLOPE * times * amount) * Math.exp(2 * noise * off) * stall, nowMs);
      }
    },
  };
}

describe("a learnt line", () => {
  test("is the prior before anything is observed, and again once that is forgotten", () => {
    const { line, observe, at } = measured(1, 2);
    expect(at()).toMatchObject({ slope: 2 * SLOPE, offset: 0.005, samples: 0 });
    expect(line.seenMs).toBe(-Infinity);
    observe(50);
    expect([at().slope < 1.2 * SLOPE, at().samples > 30, line.seenMs]).toEqual([true, true, 2500]);
    line.forget();
    expect(at().slope).toBeCloseTo(2 * SLOPE, 12);
    expect([at().samples, line.seenMs]).toEqual([0, -Infinity]);
  });

  test("converges, whatever it began with", () => {
    fc.assert(
      fc.property(seeds, fc.constantFrom(0.25, 0.5, 1, 2, 4), (seed, wrong) => {
        const { at, observe } = measured(seed, wrong);
        observe(200);
        expect(near(at().slope, SLOPE)).toBeLessThan(0.1);
        expect(at().offset).toBeLessThan(0.03);
        expect(at().error).toBeLessThan(0.1);
        expect(at().samples).toBeWithin(50, 65);
      }),
    );
  });

  test("tells the offset from the slope", () => {
    const line = new LearntLine({ offset: 0, offsetDeviation: 0.02, slope: SLOPE }, CONFIG);
    for (let count = 0; count < 100; count += 1) {
      const amount = count % 2 === 0 ? 100 : 4000;
      line.observe(amount, 0.015 + 2 * SLOPE * amount, count * 50);
    }
    expect(line.at(5000).offset).toBeCloseTo(0.015, 3);
    expect(near(line.at(5000).slope, 2 * SLOPE)).toBeLessThan(0.02);
  });

  test("is moved by little where one of a hundred takes ten times as long", () => {
    fc.assert(
      fc.property(seeds, (seed) => {
        const [plain, stalled] = [measured(seed, 1), measured(seed, 1)];
        plain.observe(500);
        stalled.observe(500, 1, 0.01);
        expect(near(stalled.at().slope, SLOPE)).toBeLessThan(0.15);
      }),
    );
  });

  test("no single observation moves it far, however long it takes", () => {
    fc.assert(
      fc.property(seeds, fc.double({ min: 1, max: 1e6, noNaN: true }), (seed, times) => {
        const { at, observe } = measured(seed, 1);
        observe(200);
        const before = at().slope;
        observe(1, times);
        expect(near(at().slope, before)).toBeLessThan(0.15);
      }),
    );
  });

  test("follows a change within some tens of observations, both ways", () => {
    fc.assert(
      fc.property(seeds, (seed) => {
        const { at, observe } = measured(seed, 1);
        observe(300);
        observe(40, 3);
        expect(at().slope / SLOPE).toBeWithin(2, 3.6);
        observe(200, 3);
        expect(near(at().slope, 3 * SLOPE)).toBeLessThan(0.15);
        observe(40, 1);
        expect(near(at().slope, SLOPE)).toBeLessThan(0.3);
      }),
    );
  });

  test("stays within ten times what was thought, and takes no nonsense", () => {
    const anything = fc.oneof(fc.double(), fc.constantFrom(0, -1, NaN, Infinity, 1e-300, 1e300));
    fc.assert(
      fc.property(fc.array(fc.tuple(anything, anything, anything, anything)), (all) => {
        const line = new LearntLine({ offset: 0.005, offsetDeviation: 0.02, slope: SLOPE }, CONFIG);
        for (const [amount, seconds, nowMs, weight] of all) line.observe(amount, seconds, nowMs, weight);
        const { slope, offset, samples, error } = line.at(0);
        expect(slope).toBeWithin((SLOPE / BOUND) * 0.999, SLOPE * BOUND * 1.001);
        expect(offset).toBeWithin(0, 10.001);
        expect([samples >= 0, samples < Infinity, error > 0]).toEqual([true, true, true]);
      }),
    );
  });

  test("counts half after each half-life of silence", () => {
    const { at, observe, pass, line } = measured(3, 1);
    observe(100);
    const { samples } = at();
    pass(CONFIG.halfLifeMs);
    expect(at().samples).toBeCloseTo(samples / 2, 6);
    pass(CONFIG.halfLifeMs * 9);
    expect(at().samples).toBeCloseTo(samples / 1024, 6);
    // A clock that goes back brings nothing back.
    expect(line.at(0).samples).toBeCloseTo(samples, 6);
  });

  test("keeps what was observed when another prior is told", () => {
    const { line, at, observe } = measured(4, 1);
    observe(200);
    const before = at().slope;
    line.assume({ offset: 0.005, offsetDeviation: 0.02, slope: 3 * SLOPE });
    expect(near(at().slope, before)).toBeLessThan(0.02);
    line.assume({ offset: 0.005, offsetDeviation: 0.02, slope: 100 * SLOPE });
    expect(at().slope).toBeCloseTo(10 * SLOPE, 9);
  });
});
