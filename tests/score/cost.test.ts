import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { defaultsOf } from "../../src/base/settings-reading.ts";
import { type RowContext, costSettings, priorPrefillRate, rowValues, UNROUTABLE } from "../../src/score/cost.ts";
import { PickRequest } from "../../src/score/pick.ts";
import { TypeScriptPicker } from "../../src/score/scan.ts";
import type { ModelSample } from "../../src/score/sample.ts";
import { modelSample } from "../fleet/samples.ts";
import { type RowValues, TableWriter } from "../../src/score/table-writer.ts";
import { ScoreTable, tableSettings } from "../../src/score/table.ts";

const config = defaultsOf(costSettings);
const CONTEXT: RowContext = { ...UNROUTABLE, ready: true };
const SAMPLE = modelSample({
  queuedPrefillTokens: 0,
  kvUsage: 0,
  kvCapacityTokens: 100_000,
  prefillTokensPerSecond: 10_000,
  decodeTokensPerSecond: 1000,
  slots: 64,
});

/** What a pick would say of a single such row. */
function costOf(values: RowValues, promptTokens = 1000): number {
  const table = ScoreTable.create({ targetsMax: 64, modelsMax: 1, workersMax: 1 });
  const writer = new TableWriter(table);
  writer.write(writer.addRow(writer.addModel()), { ...values, capacity: 1e9 });
  const request = new PickRequest();
  request.promptTokens = promptTokens;
  expect(new TypeScriptPicker(table).pick(request)).toBe(0);
  return request.cost;
}

const row = (sample: Partial<ModelSample> | null, context: Partial<RowContext> = {}) =>
  rowValues(sample === null ? null : { ...SAMPLE, ...sample }, { ...CONTEXT, ...context }, config);

describe("rowValues", () => {
  test("the defaults stand in the settings", () => {
    expect(defaultsOf(tableSettings)).toEqual({ targetsMax: 4096, modelsMax: 256, workersMax: 64 });
    expect(config.kvKnee).toBe(0.85);
  });

  test("an idle target costs its prompt's prefill", () => {
    expect(costOf(row({}), 2000)).toBeCloseTo(0.2, 6);
  });

  test("queued tokens are waited for, at the target's own rate", () => {
    expect(costOf(row({ queuedPrefillTokens: 30_000 }), 1000)).toBeCloseTo(3.1, 5);
    expect(costOf(row({ queuedPrefillTokens: 30_000, prefillTokensPerSecond: 1000 }), 1000)).toBeCloseTo(31, 4);
  });

  test("our own load of the time of the sample is not counted twice", () => {
    const values = row(
      { runningRequests: 5, waitingRequests: 3, queuedPrefillTokens: 9000 },
      { baselineRequests: 6, baselineTokens: 4000 },
    );
    expect([values.activeOffset, values.tokenOffset]).toEqual([2, 5000]);
  });

  test("the load of other routers counts like our own, from when they tell of it, and once", () => {
    const sample = { runningRequests: 5, waitingRequests: 3, queuedPrefillTokens: 9000 };
    const baseline = { baselineRequests: 6, baselineTokens: 4000 };
    const values = row(sample, { ...baseline, othersRequests: 4, othersTokens: 1500 });
    expect([values.activeOffset, values.tokenOffset]).toEqual([2 + 4, 5000 + 1500]);
    expect(row(null, { othersRequests: 4, othersTokens: 1500 })).toMatchObject({ activeOffset: 4, tokenOffset: 1500 });
    const old = row(sample, { ...baseline, othersRequests: 4, othersTokens: 1500, ageMs: 1e7 });
    expect([old.activeOffset, old.tokenOffset]).toEqual([4, 1500]);
    expect(row({}, { othersRequests: NaN, othersTokens: Infinity }).tokenOffset).toBeLessThanOrEqual(1e9);
  });

  test("a streamed sample is stale sooner than a polled one", () => {
    const at = (streamed: boolean, ageMs: number): number => row({}, { streamed, ageMs }).penaltySeconds;
    expect([at(true, 3000), at(false, 11_000)]).toEqual([0, 0]);
    expect(at(true, 5000)).toBeCloseTo(2 * config.driftPerSecond, 9);
    expect(at(false, 5000)).toBe(0);
  });

  test("a runtime that tells no queued tokens has ours, and usual ones for each waiting request of others", () => {
    const values = row(
      { queuedPrefillTokens: undefined, waitingRequests: 9 },
      { baselineRequests: 7, baselineTokens: 123_456 },
    );
    expect(values.tokenOffset).toBe(2 * config.promptTokensMean);
    expect(row({ queuedPrefillTokens: undefined, waitingRequests: 1 }, { baselineRequests: 7 }).tokenOffset).toBe(0);
  });

  test("without a sample only our own load and the guesses count", () => {
    const values = row(null, { baselineRequests: 9, baselineTokens: 9, ageMs: 1e9, rttMs: 20 });
    expect([values.activeOffset, values.tokenOffset, values.kvPerToken]).toEqual([0, 0, 0]);
    expect(values.penaltySeconds).toBeCloseTo(0.02, 9);
    expect(costOf(values, 2000)).toBeCloseTo(2000 / config.prefillTokensPerSecond + 0.02, 6);
  });

  test("what was learnt of a prompt token outranks what the runtime tells, and the guess", () => {
    expect(row(null, { learntSecondsPerPrefillToken: 1 / 500 }).secondsPerPrefillToken).toBe(1 / 500);
    expect(row({}, { learntSecondsPerPrefillToken: 1 / 500 }).secondsPerPrefillToken).toBe(1 / 500);
    expect(row({}, { learntSecondsPerPrefillToken: undefined }).secondsPerPrefillToken).toBe(1 / 10_000);
    expect(priorPrefillRate(modelSample({ prefillTokensPerSecond: 700 }), config)).toBe(700);
    expect(priorPrefillRate(null, config)).toBe(config.prefillTokensPerSecond);
  });

  test("weight divides the work, and only the work", () => {
    const [one, two] = [row({}, { rttMs: 5 }), row({}, { rttMs: 5, weight: 2 })];
    expect(two.secondsPerPrefillToken).toBeCloseTo(one.secondsPerPrefillToken / 2, 12);
    expect(two.secondsPerActive).toBeCloseTo(one.secondsPerActive / 2, 12);
    expect(two.secondsPerQueuedRequest).toBeCloseTo(one.secondsPerQueuedRequest / 2, 12);
    expect(two.penaltySeconds).toBe(one.penaltySeconds);
  });

  test("a new target is dearer by what is said, with a sample or without, and by nothing that is no number", () => {
    for (const sample of [{}, null]) {
      const plain = row(sample).penaltySeconds;
      expect(row(sample, { coldSeconds: 0.25 }).penaltySeconds - plain).toBeCloseTo(0.25, 9);
      for (const wrong of [Number.NaN, -1]) expect(row(sample, { coldSeconds: wrong }).penaltySeconds).toBe(plain);
      expect(row(sample, { coldSeconds: Infinity }).penaltySeconds).toBeLessThan(1e7);
    }
  });

  test("a target in another router's share is dearer by what is said", () => {
    for (const sample of [{}, null]) {
      const [own, others] = [row(sample), row(sample, { isOtherShare: true })];
      expect(others.penaltySeconds - own.penaltySeconds).toBeCloseTo(0.02, 9);
    }
  });

  test("a model that must be loaded first costs that time", () => {
    const plain = row({}).penaltySeconds;
    const cold = row({}, { loadSeconds: 12, coldSeconds: 0.25 });
    expect(cold.penaltySeconds - plain).toBeCloseTo(12.25, 9);
    for (const wrong of [Number.NaN, -1]) {
      expect(row({}, { loadSeconds: wrong }).penaltySeconds).toBe(plain);
    }
    expect(row({}, { loadSeconds: Infinity }).penaltySeconds).toBeLessThan(1e7);
  });

  test("the KV cache costs nothing up to the knee, and its penalty when full", () => {
    const at = (kvUsage: number, promptTokens = 0) => costOf(row({ kvUsage, kvCapacityTokens: 100_000 }), promptTokens);
    expect(at(0.85)).toBeCloseTo(0, 6);
    expect(at(1)).toBeCloseTo(config.kvPenaltySeconds, 4);
    expect(at(0.925)).toBeCloseTo(config.kvPenaltySeconds / 4, 4);
    // 15,000 tokens of prompt fill what is left, and take 1.5 s.
    expect(at(0.85, 15_000)).toBeCloseTo(config.kvPenaltySeconds + 1.5, 4);
    expect(row({ kvCapacityTokens: undefined }).kvPerToken).toBe(0);
  });

  test("a running request adds its share of a step and a half, within what can be", () => {
    const steps = 1.5;
    expect(row({ decodeTokensPerSecond: undefined }).secondsPerActive).toBeCloseTo(
      steps * config.stepSecondsPerActive,
      9,
    );
    expect(row({ decodeTokensPerSecond: 8000 }).secondsPerActive).toBeCloseTo(steps / 8000, 9);
    expect(row({ decodeTokensPerSecond: 100 }).secondsPerActive).toBeCloseTo(steps * config.stepSecondsPerActive, 9);
    expect(row({ decodeTokensPerSecond: 1e6 }).secondsPerActive).toBeCloseTo(steps / 10_000, 9);
  });

  test("a request beyond the slots waits for an output to end", () => {
    const busy = { decodeTokensPerSecond: 500, slots: 64, runningRequests: 64 };
    expect(row(busy).secondsPerQueuedRequest).toBeCloseTo(config.outputTokensMean / 500, 9);
    // A small batch cannot tell what a full one would do.
    expect(row({ ...busy, runningRequests: 2 }).secondsPerQueuedRequest).toBeCloseTo(config.outputTokensMean / 2000, 9);
    expect(row({ ...busy, runningRequests: 2, decodeTokensPerSecond: 5000 }).secondsPerQueuedRequest).toBeCloseTo(
      config.outputTokensMean / 5000,
      9,
    );
  });

  test("capacity is the slots and the queue; nothing where the target is not ready", () => {
    expect(row({ slots: 64 }).capacity).toBe(128);
    expect(row({ slots: undefined }).capacity).toBe(512);
    expect(row({ slots: 64 }, { ready: false }).capacity).toBe(0);
    expect(row(null, { ready: false }).capacity).toBe(0);
    expect(rowValues(null, CONTEXT, { ...config, slots: 1_000_000, queuePerSlot: 1000 }).capacity).toBe(16_000);
  });

  test("marks who tells how fast it computes, and whose cache is full", () => {
    expect([row({}).isPaced, row({ prefillTokensPerSecond: undefined }).isPaced, row(null).isPaced]).toEqual([
      true,
      false,
      false,
    ]);
    expect([0.97, 0.98, 1, undefined].map((kvUsage) => row({ kvUsage }).isKvFull)).toEqual([false, true, true, false]);
    // What is old is not believed so much any more.
    expect(row({ kvUsage: 0.98 }, { ageMs: config.staleAfterMs + 1000 }).isKvFull).toBe(false);
  });

  test("doubt adds its penalty", () => {
    expect(row({}, { degraded: true }).penaltySeconds - row({}).penaltySeconds).toBeCloseTo(config.degradedSeconds, 9);
  });
});

describe("a sample that ages", () => {
  const busy = { queuedPrefillTokens: 50_000, runningRequests: 30, kvUsage: 0.99 };
  const at = (sample: Partial<ModelSample>, seconds: number) => costOf(row(sample, { ageMs: seconds * 1000 }));

  test("is taken at its word at first", () => {
    expect(at(busy, 11)).toBe(at(busy, 0));
    expect(at({}, 11)).toBe(at({}, 0));
  });

  test("silence never makes an idle target cheaper, at any age", () => {
    fc.assert(
      fc.property(fc.nat(200), fc.nat(200), (a, b) => {
        expect(at({}, Math.max(a, b))).toBeGreaterThanOrEqual(at({}, Math.min(a, b)));
      }),
    );
    expect(at({}, 20)).toBeGreaterThan(at({}, 0));
  });

  test("in the end idle and busy are the same unknown, dearer than idle", () => {
    const [idle, loaded] = [at({}, 3600), at(busy, 3600)];
    expect(loaded).toBeCloseTo(idle, 5);
    expect(idle).toBeCloseTo(at({}, 0) + config.staleSecondsMax, 5);
    expect(at(busy, 40)).toBeLessThan(at(busy, 0));
    expect(at(busy, 40)).toBeGreaterThan(at({}, 40));
  });

  test("no age is endless age", () => {
    expect(at(busy, Number.NaN)).toBe(at(busy, 1e9));
    expect(at(busy, Infinity)).toBe(at(busy, 1e9));
  });
});

describe("any sample", () => {
  const figure = fc.oneof(
    fc.double(),
    fc.constantFrom(0, -1, 1, 1e300, -1e300, 5e-324, Infinity, -Infinity, Number.NaN),
    fc.integer({ min: 0, max: 100_000 }),
  );
  const perhaps = fc.option(figure, { nil: undefined });
  const figures = fc.record({
    runningRequests: figure,
    waitingRequests: figure,
    queuedPrefillTokens: perhaps,
    kvUsage: perhaps,
    kvCapacityTokens: perhaps,
    prefillTokensPerSecond: perhaps,
    decodeTokensPerSecond: perhaps,
    slots: perhaps,
  });
  const samples: fc.Arbitrary<ModelSample> = figures.map(modelSample);
  const contexts: fc.Arbitrary<RowContext> = fc.record({
    weight: figure,
    coldSeconds: figure,
    rttMs: figure,
    ready: fc.boolean(),
    degraded: fc.boolean(),
    ageMs: figure,
    baselineRequests: figure,
    baselineTokens: figure,
    learntSecondsPerPrefillToken: perhaps,
  });

  const configs = fc.constantFrom(
    config,
    {
      ...config,
      kvKnee: 0.99,
      kvPenaltySeconds: 3600,
      promptTokensMean: 1e7,
      outputTokensMean: 1e7,
      queuePerSlot: 1000,
    },
    { ...config, prefillTokensPerSecond: 1, decodeTokensPerSecond: 1, slots: 1_000_000, stepSecondsPerActive: 10 },
    { ...config, kvKnee: 0, kvPenaltySeconds: 0, staleAfterMs: 10, staleHalfLifeMs: 10, driftPerSecond: 100 },
  );

  test("makes a row that the table takes, with a finite cost that is not negative", () => {
    fc.assert(
      fc.property(samples, contexts, configs, fc.nat(1_000_000), (sample, context, settings, promptTokens) => {
        const cost = costOf(rowValues(sample, context, settings), promptTokens);
        expect(Number.isFinite(cost)).toBe(true);
        expect(cost).toBeGreaterThanOrEqual(0);
      }),
      { numRuns: 2000 },
    );
  });

  test("with more queued, more running or a fuller cache never costs less", () => {
    const amounts = fc.record({
      queuedPrefillTokens: fc.nat(100_000),
      runningRequests: fc.nat(200),
      waitingRequests: fc.nat(200),
      kvUsage: fc.double({ min: 0, max: 1, noNaN: true }),
    });
    fc.assert(
      fc.property(amounts, amounts, fc.nat(60_000), (a, b, ageMs) => {
        const more = {
          queuedPrefillTokens: Math.max(a.queuedPrefillTokens, b.queuedPrefillTokens),
          waitingRequests: Math.max(a.waitingRequests, b.waitingRequests),
          kvUsage: Math.max(a.kvUsage, b.kvUsage),
        };
        const base = { ...a, runningRequests: 10 };
        expect(costOf(row({ ...base, ...more }, { ageMs }))).toBeGreaterThanOrEqual(costOf(row(base, { ageMs })));
      }),
    );
  });
});
