import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { Condition, type Judgement } from "../../src/health/condition.ts";

const TIMES = { holdMs: 10, clearMs: 20, forgetMs: 100 };

const steps = (judgements: readonly Judgement[]) =>
  fc.array(fc.tuple(fc.constantFrom(...judgements), fc.integer({ min: 0, max: 60 })), { maxLength: 60 });

describe("a condition", () => {
  test("turns at the time that it names, by looking again alone", () => {
    const condition = new Condition(TIMES);
    condition.see("bad", 5);
    expect(condition.wakeAtMs).toBe(15);
    condition.see("bad", 15);
    expect([condition.isOn, condition.sinceMs, condition.wakeAtMs]).toEqual([true, 5, Infinity]);
    condition.see("good", 16);
    expect(condition.wakeAtMs).toBe(36);
    condition.see("good", 36);
    expect([condition.isOn, condition.wakeAtMs]).toEqual([false, Infinity]);
  });

  test("goes on with a run when what was not known is known again", () => {
    const condition = new Condition(TIMES);
    condition.see("bad", 0);
    condition.see("unknown", 5);
    condition.see("unknown", 50);
    expect(condition.isOn).toBe(false);
    condition.see("bad", 51);
    expect(condition.isOn).toBe(true);
  });

  test("takes no run for one of which nothing was seen for long", () => {
    const condition = new Condition(TIMES);
    condition.see("bad", 0);
    for (let ms = 1; ms < 200; ms += 1) condition.see("unjudged", ms);
    condition.see("bad", 200);
    expect(condition.isOn).toBe(false);
  });

  test("takes two bad moments with a rest between for no run, and a rest for no end", () => {
    const condition = new Condition(TIMES);
    condition.see("bad", 0);
    condition.see("unjudged", 5);
    condition.see("bad", 50);
    expect(condition.isOn).toBe(false);
    condition.see("bad", 60);
    expect([condition.isOn, condition.sinceMs]).toEqual([true, 50]);
    // Off is turned by what is good in the busy moments alone.
    condition.see("good", 61);
    condition.see("unjudged", 70);
    condition.see("good", 81);
    expect(condition.isOn).toBe(false);
  });

  test("changes nothing by noise between its thresholds, whatever comes between", () => {
    fc.assert(
      fc.property(fc.boolean(), steps(["between", "unjudged"]), (isOn, noise) => {
        const condition = new Condition(TIMES);
        condition.see(isOn ? "bad" : "good", 0);
        condition.see(isOn ? "bad" : "good", 30);
        let nowMs = 30;
        for (const [judgement, ms] of noise) {
          nowMs += ms;
          condition.see(judgement, nowMs);
          expect(condition.isOn).toBe(isOn);
          expect(condition.wakeAtMs).toBe(Infinity);
        }
      }),
    );
  });

  test("is on only after a hold of bad, off only after as long a time of good or of nothing known", () => {
    fc.assert(
      fc.property(steps(["bad", "between", "good", "unjudged", "unknown"]), (found) => {
        const condition = new Condition(TIMES);
        const seen: [Judgement, number][] = [];
        let nowMs = 0;
        for (const [judgement, ms] of found) {
          const was = condition.isOn;
          nowMs += ms;
          condition.see(judgement, nowMs);
          seen.push([judgement, nowMs]);
          expect(condition.wakeAtMs).toBeGreaterThan(nowMs);
          if (condition.isOn === was) continue;
          if (judgement === "unknown") {
            const known = seen.findLast(([one]) => one !== "unknown");
            expect(nowMs - (known?.[1] ?? 0)).toBeGreaterThanOrEqual(TIMES.forgetMs);
            continue;
          }
          expect(judgement).toBe(condition.isOn ? "bad" : "good");
          const wants = condition.isOn ? TIMES.holdMs : TIMES.clearMs;
          const other = seen.findLastIndex(([one]) => !["unjudged", "unknown", judgement].includes(one));
          const first = seen.slice(other + 1).find(([one]) => one === judgement);
          expect(nowMs - (first?.[1] ?? nowMs)).toBeGreaterThanOrEqual(wants);
        }
      }),
      { numRuns: 1_000 },
    );
  });
});
