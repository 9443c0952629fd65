import { describe, expect, test } from "bun:test";
import { Prng } from "../../src/base/prng.ts";
import { defaultsOf } from "../../src/base/settings-reading.ts";
import { learningSettings } from "../../src/score/learning-settings.ts";
import { LearntRates } from "../../src/score/learnt-rates.ts";

const CONFIG = defaultsOf(learningSettings);
const PRIORS = { secondsPerPrefillToken: 5e-5, secondsPerActive: 2e-4 };

/** Rows of a model, each of which takes so many times what is thought of it. */
function mesh(times: readonly number[], config = CONFIG) {
  const learnt = new LearntRates(config);
  const prng = new Prng(1);
  const sent = times.map(() => 0);
  let nowMs = 0;
  for (const row of times.keys()) learnt.of(row, PRIORS);
  return {
    learnt,
    used: (row: number) => learnt.used(row)!,
    pass: (ms: number) => learnt.renew((nowMs += ms)),
    skip: (ms: number) => void (nowMs += ms),
    serve: (row: number, count: number): void => {
      for (let done = 0; done < count; done += 1) {
        const tokens = 100 + prng.int(6000);
        sent[row]! += tokens;
        const ms = (tokens * 0.05 * times[row]! + 4) * (0.9 + 0.2 * prng.next());
        const one = { tokens, sentTokens: sent[row]!, othersTokens: 0, isWhole: false };
        learnt.of(row, PRIORS).firstToken({ ...one, sentMs: nowMs, firstMs: nowMs + ms });
        nowMs += ms + 10;
      }
      learnt.renew(nowMs + 10);
    },
  };
}

describe("learnt rates of a model", () => {
  test("are the priors while nothing is known", () => {
    const { learnt, used } = mesh([1]);
    expect(learnt.used(7)).toBeUndefined();
    learnt.renew(0);
    expect(used(0)).toEqual({
      used: 5e-5,
      prior: 5e-5,
      learnt: 5e-5,
      samples: 0,
      seenMs: -Infinity,
      confidence: 0,
      typical: 1,
    });
  });

  test("are the same however often they are renewed while nothing comes, and by settings that change", () => {
    for (let minutes = 0.01; minutes < 400; minutes *= 1.4) {
      const config = { ...CONFIG };
      const [often, once] = [mesh([1.1, 0.95], config), mesh([1.1, 0.95], config)];
      for (const { serve } of [often, once]) for (const row of [0, 1]) serve(row, 30);
      for (let times = 0; times < 50; times += 1) often.pass((minutes * 60_000) / 50);
      once.pass((minutes * 60_000) / 50);
      for (let times = 1; times < 50; times += 1) once.skip((minutes * 60_000) / 50);
      once.pass(0);
      for (const row of [0, 1]) expect(often.used(row)).toEqual(once.used(row));
      config.samplesMin = 1000;
      for (const { pass } of [often, once]) pass(0);
      for (const row of [0, 1]) expect(often.used(row)).toEqual(once.used(row));
      expect(often.used(0).confidence).toBeLessThan(0.1);
    }
  });

  test("weigh by their confidence, and fade when nothing is heard for long", () => {
    const { used, serve, pass } = mesh([3]);
    let before = used(0).used;
    for (let round = 0; round < 12; round += 1) {
      serve(0, 3);
      expect(used(0).used).toBeGreaterThan(before * 0.9);
      before = used(0).used;
    }
    serve(0, 100);
    expect(used(0).used / 5e-5).toBeWithin(2.6, 3.4);
    expect(used(0).confidence).toBeGreaterThan(0.9);
    pass(CONFIG.halfLifeMs * 2);
    expect(used(0).used / 5e-5).toBeGreaterThan(2);
    pass(CONFIG.halfLifeMs * 10);
    expect(used(0).used / 5e-5).toBeWithin(1, 1.05);
  });

  test("rows that can't be told apart have the same figure, to the bit", () => {
    const { used, serve } = mesh([2, 2, 2, 2, 2]);
    for (let round = 0; round < 40; round += 1) for (const row of [0, 1, 2, 3, 4]) serve(row, 3);
    const all = new Set([0, 1, 2, 3, 4].map((row) => used(row).used));
    expect(all.size).toBe(1);
    expect(used(0).used / 5e-5).toBeWithin(1.8, 2.2);
    expect(used(0).learnt).not.toBe(used(1).learnt);
  });

  test("one that is slower has its own, and one that is new begins with what is typical", () => {
    const { used, serve } = mesh([2, 2, 2, 6, 2]);
    for (let round = 0; round < 40; round += 1) for (const row of [0, 1, 2, 3]) serve(row, 3);
    expect(used(3).used / 5e-5).toBeWithin(5, 7);
    expect(used(4).samples).toBe(0);
    expect(used(4).used).toBe(used(0).used);
    expect(used(4).used / 5e-5).toBeWithin(1.8, 2.2);
  });

  test("are told and not used where that is off", () => {
    const { used, serve } = mesh([3], { ...CONFIG, enabled: false });
    serve(0, 100);
    expect([used(0).used, used(0).learnt > 1e-4]).toEqual([5e-5, true]);
  });

  test("a row that leads elsewhere is thought of as a new one", () => {
    const { learnt, used, serve } = mesh([3]);
    serve(0, 100);
    learnt.drop(0);
    expect([learnt.used(0), learnt.secondsOf(0), learnt.size, learnt.find(0)]).toEqual([
      undefined,
      undefined,
      0,
      undefined,
    ]);
    learnt.of(0, PRIORS);
    learnt.renew(0);
    expect([used(0).used, used(0).samples]).toEqual([5e-5, 0]);
  });
});
