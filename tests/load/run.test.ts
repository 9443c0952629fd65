import { describe, expect, test } from "bun:test";
import { FAILURE, type Flight } from "../../src/load/flight.ts";
import { parseLengths } from "../../src/load/lengths.ts";
import { ClosedPlan, type Plan, RatePlan } from "../../src/load/plan.ts";
import { parseRate, RateCurve } from "../../src/load/rate.ts";
import { reportOf } from "../../src/load/report.ts";
import { Run, type RunLimits } from "../../src/load/run.ts";
import { Tally } from "../../src/load/tally.ts";

const SHAPES = { prompt: parseLengths("10")!, output: parseLengths("5")! };
const SLO = { ttftMs: 100, itlMs: 50, endMs: 0 };
const ABOUT = { url: "", model: "", workload: "", seed: 1, startedAtMs: 0, isStopped: false };
const LIMITS: RunLimits = {
  flightsMax: 1000,
  timeoutMs: 60_000,
  requestsMax: Number.POSITIVE_INFINITY,
  durationMs: 10_000,
  warmUpMs: 0,
  numberFirst: 0,
  numberStep: 1,
};

const even = (rate: string): Plan => new RatePlan(new RateCurve(parseRate(rate)!, 10_000), false, SHAPES, 1);

/** A run on a virtual clock against a server that is a function: when it answers what is sent at a time. */
function simulate(plan: Plan, limits: Partial<RunLimits>, answersAt: (flight: Flight, nowMs: number) => number) {
  const tally = new Tally();
  const run = new Run(plan, { ...LIMITS, ...limits }, tally);
  const pending: { readonly flight: Flight; readonly atMs: number }[] = [];
  const sent: Flight[] = [];
  let [nowMs, underWayMax] = [5000, 0];
  run.start(nowMs);
  for (let step = 0; step < 100_000; step += 1) {
    run.wake(nowMs);
    for (const flight of run.expired())
      pending.splice(
        pending.findIndex((one) => one.flight === flight),
        1,
      );
    for (let flight = run.next(nowMs); flight !== null; flight = run.next(nowMs)) {
      sent.push(flight);
      pending.push({ flight, atMs: answersAt(flight, nowMs) });
    }
    underWayMax = Math.max(underWayMax, run.inFlight);
    if (run.isOver) break;
    pending.sort((a, b) => a.atMs - b.atMs);
    nowMs = Math.max(nowMs, Math.min(run.wakeAtMs, pending[0]?.atMs ?? Number.POSITIVE_INFINITY));
    while (pending[0] !== undefined && pending[0].atMs <= nowMs) {
      const { flight } = pending.shift()!;
      run.came(flight, 1, nowMs);
      run.ended(flight, "", nowMs);
    }
  }
  expect(run.isOver).toBe(true);
  return { report: reportOf(tally, SLO, ABOUT), tally, sent, underWayMax };
}

describe("a run", () => {
  test("sends when requests are due, however long answers take", () => {
    const { report, sent } = simulate(even("10"), {}, (_, nowMs) => nowMs + 3000);
    expect(sent.map(({ sentMs }) => sentMs - 5000)).toEqual(Array.from({ length: 100 }, (_, at) => at * 100));
    expect(report).toMatchObject({ requests: 100, ok: 100, late: 0 });
    expect(report.ttftMs.p50).toBe(3000);
  });

  test("latencies count from when a request was due: a server that stalls is charged for all that it kept waiting", () => {
    // One connection, 10 ms for each of 10 requests a second, but from 2 s to 7 s the server stands still.
    const answersAt = (_: Flight, nowMs: number) => {
      const at = nowMs - 5000;
      return at >= 2000 && at < 7000 ? 12_000 + 10 : nowMs + 10;
    };
    const { report } = simulate(even("10"), { flightsMax: 1 }, answersAt);
    // Requests due from 2.0 to 6.9 s: 50 of 100, which waited for 2.5 s on average. By times of sending, one was slow.
    expect(report.requests).toBe(100);
    expect(report.ttftMs.p50!).toBeGreaterThan(10);
    expect(report.ttftMs.p90!).toBeGreaterThan(3900);
    expect(report.ttftMs.p90!).toBeLessThan(4200);
    expect(report.ttftMs.max).toBe(5010);
    expect(report.late).toBeGreaterThan(48);
    expect(report.goodput!).toBeLessThan(0.52);
  });

  test("has no more under way than it may, and tells who was sent late", () => {
    const { report, underWayMax, sent } = simulate(even("10"), { flightsMax: 3 }, (_, nowMs) => nowMs + 500);
    expect(underWayMax).toBe(3);
    expect(sent).toHaveLength(100);
    expect(report.behindMs.max!).toBeGreaterThan(5000);
    expect(report.endMs.max!).toBeCloseTo(report.behindMs.max! + 500, 6);
  });

  test("gives up what has waited too long since it was due, sent or not", () => {
    const { report, sent } = simulate(even("10"), { flightsMax: 1, timeoutMs: 1000, durationMs: 2000 }, () => 1e9);
    expect(report).toMatchObject({ requests: 20, ok: 0, failed: 20, errors: [{ kind: FAILURE.timeout, count: 20 }] });
    // Each was sent as the one before it was given up, a tenth of a second before its own time was over.
    expect(sent).toHaveLength(20);
    expect(report.behindMs.max).toBe(900);
    expect(report.goodput).toBe(0);
    expect(report.durationMs).toBe(2900);
  });

  test("what was never sent is given up too", () => {
    const three = [0, 0, 0].map((dueMs) => ({ dueMs, promptTokens: 1, outputTokens: 1, hashes: [] }));
    const plan: Plan = { next: () => three.shift() ?? null };
    const { report, sent } = simulate(plan, { flightsMax: 1, timeoutMs: 1000 }, () => 1e9);
    expect(sent).toHaveLength(1);
    expect(report).toMatchObject({ requests: 3, failed: 3, late: 2, unfinished: 0 });
  });

  test("the warm-up is sent and not counted", () => {
    const { report, tally } = simulate(even("10"), { warmUpMs: 4000 }, (_, nowMs) => nowMs + 10);
    expect(report).toMatchObject({ requests: 60, warmUpRequests: 40, ok: 60 });
    expect(report.duePerSecond!).toBeCloseTo(60 / 5.91, 6);
    expect(tally.okCount).toBe(100);
  });

  test("ends after so many", () => {
    const { sent } = simulate(even("10"), { requestsMax: 7 }, (_, nowMs) => nowMs + 1);
    expect(sent).toHaveLength(7);
  });

  test("so many at once, each as soon as another has ended", () => {
    const closed = new ClosedPlan(SHAPES, 1);
    const { report, sent, underWayMax } = simulate(closed, { flightsMax: 4 }, (_, nowMs) => nowMs + 250);
    expect(underWayMax).toBe(4);
    expect(sent).toHaveLength(160);
    expect(report.behindMs.max).toBe(0);
    expect(report.ttftMs.max).toBe(250);
    expect(simulate(closed, { flightsMax: 4, requestsMax: 10 }, (_, nowMs) => nowMs + 250).sent).toHaveLength(10);
  });

  test("stopped, it names what is under way, and every request has ended in one way", () => {
    const tally = new Tally();
    const run = new Run(even("10"), { ...LIMITS, flightsMax: 2 }, tally);
    run.start(0);
    run.wake(1000);
    const [first, second] = [run.next(1000)!, run.next(1000)!];
    expect(run.next(1000)).toBeNull();
    run.ended(first, "status 500", 1100);
    run.ended(first, "", 1200);
    expect(run.stop(1300)).toEqual([second]);
    expect(run.isOver).toBe(true);
    expect(run.next(1400)).toBeNull();
    run.wake(9000);
    run.ended(second, "", 9000);
    expect(reportOf(tally, SLO, ABOUT)).toMatchObject({ requests: 1, ok: 0, failed: 1, unfinished: 10 });
    expect(tally.rows).toBe(11);
  });
});

describe("the generator's own lag", () => {
  const lags = (tally: Tally) => Array.from({ length: tally.rows }, (_, at) => tally.row(at).lagMs);

  test("is nothing of a server's, nor of connections that are too few", () => {
    const { report } = simulate(even("10"), { flightsMax: 1 }, (_, nowMs) => nowMs + 1000);
    expect(report.behindMs.max!).toBeGreaterThan(5000);
    expect(report.lagMs).toMatchObject({ count: 100, max: 0 });
    expect(report.isLagging).toBe(false);
  });

  test("is the time for which a request was due, had room, and was not sent", () => {
    const tally = new Tally();
    const run = new Run(even("10"), { ...LIMITS, flightsMax: 2, requestsMax: 4, timeoutMs: 1000 }, tally);
    run.start(0);
    // Due at 0, 100, 200 and 300; looked after at 250.
    run.wake(250);
    const [first, second] = [run.next(250)!, run.next(250)!];
    expect([first.lagMs, second.lagMs]).toEqual([250, 150]);
    expect(run.next(260)).toBeNull();
    run.ended(first, "", 400);
    run.wake(430);
    // It waited for room from 200 to 400, which is not this side's fault, and for this side until 430.
    const third = run.next(430)!;
    expect(third.lagMs).toBe(30);
    expect(run.next(440)).toBeNull();
    run.ended(second, "", 500);
    run.ended(third, "", 500);
    // Nobody looked: what was never sent is late by all the time since there was room.
    run.wake(5000);
    expect(lags(tally)).toEqual([250, 150, 30, 4500]);
  });
});

describe("gaps between tokens", () => {
  test("are counted each, and as the mean of a request", () => {
    const tally = new Tally();
    const run = new Run(even("1"), { ...LIMITS, requestsMax: 1 }, tally);
    run.start(0);
    run.wake(0);
    const flight = run.next(0)!;
    run.came(flight, 1, 40);
    run.came(flight, 0, 45);
    run.came(flight, 1, 50);
    run.came(flight, 2, 80);
    flight.outputTokens = 5;
    run.ended(flight, "", 90);
    const report = reportOf(tally, SLO, ABOUT);
    expect(report.ttftMs.p50).toBe(40);
    // Four events, but the server tells of five tokens: four gaps.
    expect(report.itlMs.p50).toBe(10);
    expect(report.gapMs.count).toBe(3);
    expect(report.gapMs.max).toBe(30);
    expect(report.gapMs.mean!).toBeCloseTo(40 / 3, 9);
    expect(report.outputTokens).toBe(5);
  });
});
