import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { Prng } from "../../src/base/prng.ts";
import { defaultsOf } from "../../src/base/settings-reading.ts";
import { learningSettings } from "../../src/score/learning-settings.ts";
import { RowRates } from "../../src/score/row-rates.ts";

const CONFIG = defaultsOf(learningSettings);
const PRIORS = { secondsPerPrefillToken: 1e-4, secondsPerActive: 2e-4 };
const MS_PER_TOKEN = 0.05;
const seeds = fc.integer({ min: 0, max: 1e9 });

/** A target that computes prompts one after another, and its router's view of it. */
function target(rates: RowRates) {
  let sentTokens = 0;
  let freeMs = 0;
  return {
    /** Sends a prompt; answers what tells of it when it is computed. */
    send: (tokens: number, sentMs: number, { decodeMs = 0, isWhole = false, othersTokens = 0 } = {}) => {
      sentTokens += tokens;
      freeMs = Math.max(freeMs, sentMs) + (tokens + othersTokens) * MS_PER_TOKEN;
      return { tokens, sentTokens, othersTokens, sentMs, firstMs: freeMs + decodeMs, isWhole };
    },
    hear: (first: Parameters<RowRates["firstToken"]>[0]) => rates.firstToken(first),
  };
}

function played(seed: number, everyMs: number, wholeShare: number, count = 400): RowRates {
  const prng = new Prng(seed);
  const rates = new RowRates(PRIORS, CONFIG);
  const { send, hear } = target(rates);
  let atMs = 0;
  const events = Array.from({ length: count }, () => {
    atMs += prng.exponential(everyMs);
    const isWhole = prng.next() < wholeShare;
    return send(200 + prng.int(3000), atMs, { isWhole, decodeMs: isWhole ? 1000 + prng.int(2000) : 0 });
  });
  for (const event of events.toSorted((a, b) => a.firstMs - b.firstMs)) hear(event);
  rates.settle(Infinity);
  return rates;
}

describe("the rates of a row", () => {
  test("are learnt from first tokens, of an idle target and of one with a queue", () => {
    fc.assert(
      fc.property(seeds, fc.constantFrom(1000, 100, 40), (seed, everyMs) => {
        const { slope, samples } = played(seed, everyMs, 0).prefill(0);
        expect(slope * 1000).toBeWithin(MS_PER_TOKEN * 0.9, MS_PER_TOKEN * 1.1);
        expect(samples).toBeGreaterThan(30);
      }),
      { numRuns: 30 },
    );
  });

  test("are learnt where a third of the answers come whole, and nobody sees when those prompts are computed", () => {
    fc.assert(
      fc.property(seeds, fc.constantFrom(1000, 100, 40), (seed, everyMs) => {
        const { slope } = played(seed, everyMs, 0.33, 800).prefill(0);
        expect(slope * 1000).toBeWithin(MS_PER_TOKEN * 0.6, MS_PER_TOKEN * 1.5);
      }),
      { numRuns: 30 },
    );
  });

  test("take first tokens of one step together", () => {
    const rates = new RowRates(PRIORS, CONFIG);
    let sentTokens = 0;
    for (let step = 1; step <= 100; step += 1) {
      for (let prompt = 0; prompt < 4; prompt += 1) {
        sentTokens += 500;
        rates.firstToken({
          tokens: 500,
          sentTokens,
          othersTokens: 0,
          sentMs: step * 100 - 90,
          firstMs: step * 100 + prompt * 0.1,
          isWhole: false,
        });
      }
    }
    rates.settle(Infinity);
    const { slope, offset } = rates.prefill(0);
    expect(slope * 2000 + offset).toBeCloseTo(0.09, 2);
  });

  test("short prompts, or rests of cached ones, crowd out nothing of what long ones taught", () => {
    const rates = new RowRates(PRIORS, CONFIG);
    let [sentTokens, nowMs] = [0, 0];
    const serve = (tokens: number): void => {
      sentTokens += tokens;
      const firstMs = nowMs + tokens * MS_PER_TOKEN + 8;
      rates.firstToken({ tokens, sentTokens, othersTokens: 0, sentMs: nowMs, firstMs, isWhole: false });
      nowMs = firstMs + 5;
    };
    for (let count = 0; count < 60; count += 1) serve(1000 + ((count * 997) % 5000));
    rates.settle(Infinity);
    const before = rates.prefill(nowMs);
    for (let count = 0; count < 300; count += 1) serve(1 + (count % 16));
    rates.settle(Infinity);
    const after = rates.prefill(nowMs);
    expect(after.slope / before.slope).toBeWithin(0.95, 1.05);
    expect(after.error).toBeLessThan(Math.max(0.05, 2 * before.error));
    // Of the offset they tell much.
    expect(after.offset).toBeCloseTo(0.008, 2);
  });

  test("a whole answer teaches only that a token takes less", () => {
    const slow = new RowRates(PRIORS, CONFIG);
    const fast = new RowRates(PRIORS, CONFIG);
    for (let count = 1; count <= 50; count += 1) {
      const one = { tokens: 2000, sentTokens: count * 2000, othersTokens: 0, sentMs: count * 10_000 };
      // What came first is what to count from.
      const isWhole = count > 1;
      slow.firstToken({ ...one, firstMs: one.sentMs + (isWhole ? 5000 : 205), isWhole });
      fast.firstToken({ ...one, firstMs: one.sentMs + 50, isWhole });
    }
    slow.settle(Infinity);
    expect(slow.prefill(0).samples).toBeLessThan(2);
    expect(fast.prefill(0).slope).toBeLessThan(0.5 * PRIORS.secondsPerPrefillToken);
  });

  test("others' prompts that may have been before it make it less sure, and teach only beyond doubt", () => {
    const rates = new RowRates(PRIORS, CONFIG);
    const { send, hear } = target(rates);
    for (let count = 0; count < 50; count += 1) hear(send(1000, count * 1000, { othersTokens: 1400 }));
    rates.settle(Infinity);
    // 120 ms for something between 1,000 and 2,400 tokens may well be 0.1 ms a token, as is thought.
    expect(rates.prefill(0).samples).toBe(0);
    for (let count = 50; count < 100; count += 1) hear(send(1000, count * 1000, { othersTokens: 100 }));
    expect(rates.prefill(0).slope).toBeLessThan(0.75 * PRIORS.secondsPerPrefillToken);
  });

  test("one that was overtaken puts nothing out of step", () => {
    const rates = new RowRates(PRIORS, CONFIG);
    let sentTokens = 0;
    for (let round = 0; round < 60; round += 1) {
      const atMs = round * 1000;
      const first = { tokens: 2000, sentTokens: sentTokens + 2000, othersTokens: 0, sentMs: atMs, isWhole: false };
      const second = { tokens: 200, sentTokens: sentTokens + 2200, othersTokens: 0, sentMs: atMs, isWhole: false };
      sentTokens += 2200;
      // In two of three rounds in turn; else what took the time is not sure.
      if (round % 3 > 0) rates.firstToken({ ...first, firstMs: atMs + 100 });
      rates.firstToken({ ...second, firstMs: atMs + 110 });
      if (round % 3 === 0) rates.firstToken({ ...first, firstMs: atMs + 110 });
    }
    rates.settle(Infinity);
    expect(rates.prefill(0).slope * 1000).toBeWithin(0.045, 0.056);
  });

  test("counts of tokens may wrap", () => {
    const rates = new RowRates(PRIORS, CONFIG);
    let sentTokens = 0x7fff_f000;
    for (let count = 0; count < 40; count += 1) {
      sentTokens = (sentTokens + 2000) | 0;
      const sentMs = count * 1000;
      rates.firstToken({ tokens: 2000, sentTokens, othersTokens: 0, sentMs, firstMs: sentMs + 100, isWhole: false });
    }
    rates.settle(Infinity);
    expect(rates.prefill(0).slope * 2000 + rates.prefill(0).offset).toBeCloseTo(0.1, 2);
  });

  test("what was not told of is not counted from", () => {
    const rates = new RowRates(PRIORS, CONFIG);
    const { send, hear } = target(rates);
    hear(send(1000, 0));
    send(1_000_000, 100);
    rates.lost();
    hear(send(1000, 200));
    rates.settle(Infinity);
    expect(rates.prefill(0).samples).toBe(0);
  });

  test("steps are learnt from streams: what one takes, and what a request adds to it", () => {
    fc.assert(
      fc.property(seeds, (seed) => {
        const prng = new Prng(seed);
        const rates = new RowRates(PRIORS, CONFIG);
        for (let count = 1; count <= 300; count += 1) {
          const requests = 1 + prng.int(64);
          const secondsPerToken = (0.012 + 0.0005 * requests) * (0.9 + 0.2 * prng.next());
          rates.streamEnded({ secondsPerToken, requests, atMs: count });
        }
        const { slope, offset } = rates.step(300);
        expect([slope, offset]).toEqual([expect.closeTo(0.0005, 4), expect.closeTo(0.012, 2)]);
      }),
      { numRuns: 20 },
    );
  });

  test("are forgotten when they are told to be, and take no nonsense", () => {
    const rates = played(1, 100, 0);
    rates.forget();
    expect([rates.prefill(0).slope, rates.prefill(0).samples, rates.seenMs]).toEqual([
      expect.closeTo(PRIORS.secondsPerPrefillToken, 12),
      0,
      -Infinity,
    ]);
    const anything = fc.oneof(fc.integer(), fc.double(), fc.constantFrom(0, NaN, Infinity, -Infinity));
    const first = fc.record({
      tokens: anything,
      sentTokens: anything,
      othersTokens: anything,
      sentMs: anything,
      firstMs: anything,
      isWhole: fc.boolean(),
    });
    fc.assert(
      fc.property(fc.array(first), (all) => {
        const any = new RowRates(PRIORS, CONFIG);
        for (const one of all) any.firstToken(one);
        any.settle(Infinity);
        const { slope, samples } = any.prefill(0);
        expect(slope).toBeWithin(0.99e-5, 1.01e-3);
        expect(samples).toBeGreaterThanOrEqual(0);
      }),
    );
  });
});
