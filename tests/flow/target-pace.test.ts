import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { TargetPace } from "../../src/flow/target-pace.ts";

describe("the pace of a target", () => {
  test("is the assumed one until first tokens come", () => {
    const pace = new TargetPace(0.05);
    const first = { tokens: 1000, sentMs: 100 };
    pace.sent(first);
    expect(pace.busyUntilMs).toBe(150);
    pace.sent({ tokens: 2000, sentMs: 120 });
    expect([pace.busyUntilMs, pace.count, pace.tokens]).toEqual([250, 2, 3000]);
    pace.answered(first, 150);
    expect([pace.busyUntilMs, pace.count, pace.tokens]).toEqual([250, 1, 2000]);
  });

  test("an idle target is busy from when a prompt comes there", () => {
    const pace = new TargetPace(0.05);
    pace.sent({ tokens: 10, sentMs: 1000 });
    expect(pace.busyUntilMs).toBe(1000.5);
  });

  test("follows what first tokens tell, and no single stall by more than a factor of ten", () => {
    const pace = new TargetPace(0.05);
    let nowMs = 0;
    const serve = (tokens: number, msPerToken: number): void => {
      const prompt = { tokens, sentMs: nowMs };
      pace.sent(prompt);
      nowMs += tokens * msPerToken;
      pace.answered(prompt, nowMs);
    };
    for (let count = 0; count < 100; count += 1) serve(2000, 0.1);
    expect(pace.msPerToken).toBeCloseTo(0.1, 3);
    serve(1000, 1000);
    expect(pace.msPerToken).toBeLessThan(0.13);
    for (let count = 0; count < 100; count += 1) serve(2000, 0.02);
    expect(pace.msPerToken).toBeCloseTo(0.02, 3);
  });

  test("learns that others' prompts were computed before its own", () => {
    const pace = new TargetPace(0.05);
    let nowMs = 0;
    for (let count = 0; count < 100; count += 1) {
      const prompt = { tokens: 2000, sentMs: nowMs, othersTokens: 3000 };
      pace.sent(prompt);
      nowMs += 500;
      pace.answered(prompt, nowMs);
    }
    expect(pace.msPerToken).toBeCloseTo(0.1, 3);
  });

  test("learns the same of prompts of one step, in whatever order the network tells of them", () => {
    for (const isTurned of [false, true]) {
      const pace = new TargetPace(0.05);
      const [short, long] = [500, 28_000].map((tokens) => ({ tokens, sentMs: 0 }));
      for (const prompt of [short!, long!]) pace.sent(prompt);
      const [first, last] = isTurned ? [long!, short!] : [short!, long!];
      pace.answered(first, 1425);
      pace.answered(last, 1425.1);
      expect(pace.msPerToken).toBeCloseTo(0.05, 5);
    }
  });

  test("learns nothing of short prompts, nor of such as overtook others", () => {
    const pace = new TargetPace(0.05);
    const [long, short, next] = [5000, 100, 3000].map((tokens) => ({ tokens, sentMs: 0 }));
    for (const prompt of [long!, short!, next!]) pace.sent(prompt);
    pace.answered(next!, 1);
    pace.dropped(long!, 2);
    pace.answered(short!, 2000);
    expect([pace.msPerToken, pace.count, pace.tokens]).toEqual([0.05, 0, 0]);
  });

  test("an answer of what was not sent is a bug", () => {
    const pace = new TargetPace(1);
    expect(() => pace.answered({ tokens: 1, sentMs: 0 }, 1)).toThrow("not sent there");
  });

  test("counts what is there, and stays within its bounds, whatever comes", () => {
    fc.assert(
      fc.property(
        fc.array(fc.tuple(fc.constantFrom("sent", "answered", "dropped"), fc.nat(30_000), fc.nat(5000))),
        (steps) => {
          const pace = new TargetPace(0.05);
          const there: { tokens: number; sentMs: number }[] = [];
          let nowMs = 0;
          for (const [step, tokens, ms] of steps) {
            nowMs += ms;
            if (step === "sent") {
              there.push({ tokens: tokens + 1, sentMs: nowMs });
              pace.sent(there.at(-1)!);
            } else if (there.length > 0) {
              const [prompt] = there.splice(tokens % there.length, 1);
              pace[step](prompt!, nowMs);
            }
            expect(pace.count).toBe(there.length);
            expect(pace.tokens).toBe(there.reduce((sum, each) => sum + each.tokens, 0));
            expect(pace.msPerToken).toBeWithin(0.004_999, 0.500_001);
            if (there.length === 0) expect(pace.busyUntilMs).toBeLessThanOrEqual(nowMs);
          }
        },
      ),
    );
  });
});

describe("prompts whose first token is not seen", () => {
  test("count as computed when their time has passed, one after the other", () => {
    const pace = new TargetPace(0.05);
    for (let count = 0; count < 3; count += 1) pace.sent({ tokens: 1000, sentMs: 0, isSilent: true });
    pace.pass(49);
    expect(pace.count).toBe(3);
    pace.pass(100);
    expect([pace.count, pace.busyUntilMs]).toEqual([1, 150]);
    pace.pass(1000);
    expect([pace.count, pace.tokens]).toEqual([0, 0]);
  });

  test("are not thought to take longer than on a usual GPU, whatever is said of the target", () => {
    // 500 tokens a second: as many as were asked of it.
    const pace = new TargetPace(2);
    const whole = { tokens: 2000, sentMs: 0, isSilent: true };
    pace.sent(whole);
    expect(pace.busyUntilMs).toBe(100);
    const seen = { tokens: 100, sentMs: 10 };
    pace.sent(seen);
    expect(pace.busyUntilMs).toBe(300);
    pace.dropped(seen, 20);
    expect(pace.busyUntilMs).toBe(120);
    pace.pass(100);
    expect(pace.count).toBe(0);
  });

  test("hide nothing of those that are seen", () => {
    const pace = new TargetPace(0.05);
    const seen = { tokens: 1000, sentMs: 0 };
    pace.sent(seen);
    pace.sent({ tokens: 1000, sentMs: 0, isSilent: true });
    pace.pass(1000);
    expect(pace.count).toBe(2);
    pace.answered(seen, 1000);
    expect(pace.count).toBe(1);
  });

  test("are done when one behind them is, and took a part of its time", () => {
    const pace = new TargetPace(0.05);
    pace.sent({ tokens: 3000, sentMs: 0, isSilent: true });
    const seen = { tokens: 1000, sentMs: 0 };
    pace.sent(seen);
    pace.answered(seen, 200);
    expect([pace.count, pace.msPerToken]).toEqual([0, 0.05]);
  });

  test("teach with the end of their answer only that a token costs less", () => {
    const pace = new TargetPace(0.05);
    const slow = { tokens: 1000, sentMs: 0, isSilent: true };
    pace.sent(slow);
    pace.ended(slow, 5000);
    expect([pace.msPerToken, pace.count]).toEqual([0.05, 0]);
    const fast = { tokens: 10_000, sentMs: 5000, isSilent: true };
    pace.sent(fast);
    pace.ended(fast, 5100);
    expect(pace.msPerToken).toBeLessThan(0.05);
    // Those that have passed already may end, or break, as they like.
    pace.ended(fast, 5200);
    pace.dropped(slow, 5200);
    expect(pace.count).toBe(0);
  });

  test("one that never comes whole is given up when others were computed long after it", () => {
    const pace = new TargetPace(0.05);
    // 5 s of work, of which nothing is heard.
    const stuck = { tokens: 100_000, sentMs: 0 };
    pace.sent(stuck);
    pace.pass(60_000);
    expect(pace.count).toBe(1);
    const before = { tokens: 1000, sentMs: 6000 };
    pace.sent(before);
    pace.answered(before, 6100);
    // It is as likely to be computed still, since the target may do several at a time.
    pace.pass(20_000);
    expect([pace.count, pace.busyUntilMs]).toEqual([1, 6100 + 100_000 * pace.msPerToken]);
    pace.pass(21_000);
    expect([pace.count, pace.tokens, pace.busyUntilMs]).toEqual([0, 0, 21_000]);
    // Whatever becomes of it teaches nothing, and gives nothing back twice.
    const { msPerToken } = pace;
    pace.answered(stuck, 30_000);
    pace.dropped(stuck, 30_000);
    expect([pace.msPerToken, pace.count]).toEqual([msPerToken, 0]);
    const next = { tokens: 1000, sentMs: 30_000 };
    pace.sent(next);
    expect(() => pace.answered({ tokens: 1000, sentMs: 30_000 }, 30_050)).toThrow("was not sent there");
  });

  test("what is assumed counts until something was learnt, and bounds that", () => {
    const pace = new TargetPace(0.05);
    pace.assume(0.02, 0);
    expect(pace.msPerToken).toBe(0.02);
    const prompt = { tokens: 100_000, sentMs: 0 };
    pace.sent(prompt);
    pace.answered(prompt, 10_000);
    expect(pace.msPerToken).toBeCloseTo(0.1, 2);
    pace.assume(0.05, 10_000);
    expect(pace.msPerToken).toBeCloseTo(0.1, 2);
    pace.assume(0.001, 10_000);
    expect(pace.msPerToken).toBe(0.01);
    // After a while the last few prompts say nothing of now.
    pace.assume(0.05, 19_999);
    expect(pace.msPerToken).toBe(0.01);
    pace.assume(0.05, 20_000);
    expect(pace.msPerToken).toBe(0.05);
  });
});
