/** A report laid over a sample: what it tells is news, what it does not tell stays. */
import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { defaultsOf } from "../../src/base/settings-reading.ts";
import { costSettings, rowValues, UNROUTABLE } from "../../src/score/cost.ts";
import { type Baseline, type ReportedFigures, withReport } from "../../src/score/load-report.ts";
import type { ModelSample } from "../../src/score/sample.ts";
import { modelSample } from "../fleet/samples.ts";

const SLOTS = 64;
const NONE: ReportedFigures = {
  runningRequests: undefined,
  waitingRequests: undefined,
  queuedPrefillTokens: undefined,
  kvUsage: undefined,
  kvCapacityTokens: undefined,
  utilization: undefined,
};
const at = (count: number, tokens = 0): Baseline => ({ requests: count, tokens });

function over(sample: ModelSample | null, then: Baseline, figures: Partial<ReportedFigures>, now: Baseline) {
  return withReport("m", sample, then, { figures: { ...NONE, ...figures }, baseline: now, atMs: 0 }, SLOTS);
}

/** What runs and waits of others, as the row will have it. */
function requests(
  sample: ModelSample | null,
  then: Baseline,
  figures: Partial<ReportedFigures>,
  now: Baseline,
): [running: number, waiting: number] {
  const { runningRequests, waitingRequests } = over(sample, then, figures, now).sample;
  return [runningRequests, waitingRequests];
}

describe("requests", () => {
  const idle = modelSample();
  const full = modelSample({ runningRequests: 32, waitingRequests: 10, slots: 32 });

  test("told whole, they are what is told, and count from the routers' load of that moment", () => {
    const { sample, baseline } = over(full, at(5), { runningRequests: 20, waitingRequests: 2 }, at(9, 700));
    expect([sample.runningRequests, sample.waitingRequests]).toEqual([20, 2]);
    expect(baseline).toEqual({ requests: 9, tokens: 700 });
  });

  test("only those that wait: as many run as ran while some waited", () => {
    expect(requests(full, at(0), { waitingRequests: 4 }, at(0))).toEqual([32, 4]);
    expect(requests(full, at(0), { waitingRequests: 0 }, at(0))).toEqual([32, 0]);
    // Ours came since: they run, unless they are among those that wait.
    expect(requests(modelSample({ runningRequests: 10 }), at(4), { waitingRequests: 0 }, at(24))).toEqual([30, 0]);
    expect(requests(modelSample({ runningRequests: 10 }), at(4), { waitingRequests: 8 }, at(24))).toEqual([22, 8]);
    // A queue that nobody told of before.
    expect(requests(idle, at(0), { waitingRequests: 50 }, at(0))).toEqual([0, 50]);
    // No more than fit into a batch run.
    expect(requests(idle, at(0), { waitingRequests: 0 }, at(500))).toEqual([SLOTS, 0]);
  });

  test("only those that run: what of ours does not run waits", () => {
    expect(requests(idle, at(0), { runningRequests: 30 }, at(40))).toEqual([30, 10]);
    expect(requests(idle, at(0), { runningRequests: 30 }, at(12))).toEqual([30, 0]);
  });

  test("only a utilisation: that part of the slots, and what is beyond them waits", () => {
    expect(requests(null, at(0), { utilization: 0.5 }, at(3))).toEqual([32, 0]);
    expect(requests(null, at(0), { utilization: 1.5 }, at(3))).toEqual([64, 32]);
    expect(requests(full, at(0), { utilization: 0.25 }, at(3))).toEqual([8, 0]);
  });

  test("not told, they stay as they were, and so does the moment from which they count", () => {
    const { sample, baseline } = over(full, at(5, 50), { kvUsage: 0.9 }, at(9, 90));
    expect(sample).toEqual({ ...full, kvUsage: 0.9 });
    expect(baseline).toEqual({ requests: 5, tokens: 50 });
  });
});

describe("tokens that wait", () => {
  const sample = modelSample({ runningRequests: 8, waitingRequests: 3, queuedPrefillTokens: 5000 });

  test("stay as told while as many requests wait, and are unknown when others do", () => {
    const same = over(sample, at(2, 400), { waitingRequests: 3 }, at(6, 900));
    expect([same.sample.queuedPrefillTokens, same.baseline.tokens]).toEqual([5000, 400]);
    const other = over(sample, at(2, 400), { waitingRequests: 9 }, at(6, 900));
    expect([other.sample.queuedPrefillTokens, other.baseline.tokens]).toEqual([undefined, 900]);
  });

  test("are news where they are told", () => {
    const { sample: next, baseline } = over(sample, at(2, 400), { queuedPrefillTokens: 100 }, at(6, 900));
    expect([next.queuedPrefillTokens, baseline]).toEqual([100, { requests: 2, tokens: 900 }]);
  });
});

test("of a target without samples nothing but what it told is known", () => {
  const { sample } = over(null, at(0), { kvUsage: 0.5, kvCapacityTokens: 1000, waitingRequests: 1 }, at(0));
  expect(sample).toEqual({ ...modelSample(), model: "m", kvUsage: 0.5, kvCapacityTokens: 1000, waitingRequests: 1 });
});

test("whatever is told makes a row that is in range, and whole requests of nobody", () => {
  const config = defaultsOf(costSettings);
  const count = fc.option(fc.double({ min: 0, max: 1e300, noNaN: true }), { nil: undefined });
  const fraction = fc.option(fc.double({ min: 0, max: 1, noNaN: true }), { nil: undefined });
  const figures = fc.record({
    runningRequests: count,
    waitingRequests: count,
    queuedPrefillTokens: count,
    kvUsage: fraction,
    kvCapacityTokens: count,
    utilization: count,
  });
  const baseline = fc.record({ requests: fc.nat(1e6), tokens: fc.nat(1e9) });
  const sample = fc.option(
    fc.record({ running: fc.nat(1000), waiting: fc.nat(1000), slots: fc.option(fc.nat(512), { nil: undefined }) }),
  );
  fc.assert(
    fc.property(sample, baseline, figures, baseline, (given, then, told, now) => {
      const before =
        given === null
          ? null
          : modelSample({ runningRequests: given.running, waitingRequests: given.waiting, slots: given.slots });
      const { sample: next, baseline: base } = over(before, then, told, now);
      expect(next.runningRequests).toBeGreaterThanOrEqual(0);
      expect(next.waitingRequests).toBeGreaterThanOrEqual(0);
      const row = rowValues(
        next,
        { ...UNROUTABLE, ready: true, baselineRequests: base.requests, baselineTokens: base.tokens },
        config,
      );
      for (const value of Object.values(row)) expect(Math.abs(value)).toBeLessThanOrEqual(1e9);
      if (told.waitingRequests !== undefined) expect(next.waitingRequests).toBe(told.waitingRequests);
      if (told.runningRequests !== undefined) expect(next.runningRequests).toBe(told.runningRequests);
    }),
  );
});
