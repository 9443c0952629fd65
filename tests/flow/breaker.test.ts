import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { defaultsOf, parseSection } from "../../src/base/settings-reading.ts";
import { Breaker, type Outcome } from "../../src/flow/breaker.ts";
import { type BreakerConfig, flowSettings } from "../../src/flow/settings.ts";

const config: BreakerConfig = {
  ...defaultsOf(flowSettings).breaker,
  failuresInRow: 3,
  requestsMin: 10,
  windowMs: 1000,
  openMs: 100,
  openMsMax: 1000,
  probeMs: 500,
};

/** Sends one request at `atMs` whose outcome is known at once. */
function send(breaker: Breaker, outcome: Outcome, atMs: number) {
  expect(breaker.allow(atMs)).toBe(true);
  return breaker.observe(outcome, atMs, atMs);
}

function opened(atMs = 0, settings = config): Breaker {
  const breaker = new Breaker(settings);
  for (let count = 1; count < settings.failuresInRow; count++) expect(send(breaker, "failure", atMs)).toBeNull();
  expect(send(breaker, "failure", atMs)).toBe("opened");
  return breaker;
}

describe("closed", () => {
  test("opens on failures in a row, and says until when", () => {
    const breaker = opened(50);
    expect([breaker.state, breaker.openUntilMs]).toEqual(["open", 150]);
    expect([breaker.allow(50), breaker.allow(149.9), breaker.allow(150)]).toEqual([false, false, true]);
  });

  test("a success between them starts the row anew; what tells nothing does not", () => {
    const breaker = new Breaker(config);
    for (const outcome of ["failure", "failure", "success", "failure", "failure", "unknown"] as const)
      expect(send(breaker, outcome, 0)).toBeNull();
    expect(send(breaker, "failure", 0)).toBe("opened");
  });

  test("opens on the share of failures, only from enough requests on", () => {
    const breaker = new Breaker(config);
    for (let pair = 0; pair < 4; pair++) {
      expect(send(breaker, "failure", pair * 10)).toBeNull();
      expect(send(breaker, "success", pair * 10)).toBeNull();
    }
    expect(send(breaker, "failure", 50)).toBeNull();
    expect(send(breaker, "failure", 50)).toBe("opened");
  });

  test("failures that are older than the window count no more", () => {
    const breaker = new Breaker(config);
    for (let at = 0; at < 9; at++) send(breaker, at % 2 === 0 ? "failure" : "success", at);
    // Two windows later a fifth of the outcomes are failures.
    for (let at = 0; at < 20; at++)
      expect(send(breaker, at % 5 === 4 ? "failure" : "success", 2500 + at * 10)).toBeNull();
    expect(breaker.state).toBe("closed");
  });

  test("of the window before counts the part that is still within reach", () => {
    const at = (failureMs: number) => {
      const breaker = new Breaker({ ...config, failuresInRow: 100 });
      for (let count = 0; count < 20; count++) send(breaker, "success", 0);
      for (let count = 0; count < 10; count++) send(breaker, "failure", 1000);
      return send(breaker, "failure", failureMs);
    };
    expect([at(1000), at(1400), at(1500), at(1700)]).toEqual([null, null, "opened", "opened"]);
  });
});

describe("half open", () => {
  test("lets one request through at a time, and closes after successes", () => {
    const breaker = opened();
    expect([breaker.allow(100), breaker.state]).toEqual([true, "half-open"]);
    expect(breaker.allow(101)).toBe(false);
    expect(breaker.observe("success", 100, 110)).toBeNull();
    expect([breaker.allow(111), breaker.allow(112)]).toEqual([true, false]);
    expect(breaker.observe("success", 111, 120)).toBe("closed");
    expect([breaker.allow(120), breaker.allow(120), breaker.state]).toEqual([true, true, "closed"]);
    expect(breaker.openUntilMs).toBe(-Infinity);
  });

  test("a failure opens it again for twice as long, up to the longest time", () => {
    const breaker = opened();
    const lengths: number[] = [];
    for (let round = 0, at = 100; round < 6; round++) {
      expect(send(breaker, "failure", at)).toBe("opened");
      lengths.push(breaker.openUntilMs - at);
      at = breaker.openUntilMs;
    }
    expect(lengths).toEqual([200, 400, 800, 1000, 1000, 1000]);
  });

  test("the doubling is forgotten after the longest time without an opening, not before", () => {
    for (const [pauseMs, nextMs] of [
      [999, 200],
      [1000, 100],
    ] as const) {
      const breaker = opened();
      send(breaker, "success", 100);
      expect(send(breaker, "success", 100)).toBe("closed");
      const at = 100 + pauseMs;
      for (let count = 0; count < 3; count++) send(breaker, "failure", at);
      expect([breaker.state, breaker.openUntilMs - at]).toEqual(["open", nextMs]);
    }
  });

  test("what was sent before counts neither as a failure nor as a success, nor does it free a probe's place", () => {
    const breaker = opened();
    expect(breaker.observe("failure", 0, 50)).toBeNull();
    expect(breaker.observe("success", 0, 50)).toBeNull();
    expect(breaker.openUntilMs).toBe(100);
    breaker.allow(100);
    expect(breaker.observe("failure", 90, 101)).toBeNull();
    expect([breaker.state, breaker.allow(102)]).toEqual(["half-open", false]);
  });

  test("a probe that tells nothing gives its place back", () => {
    const breaker = opened();
    breaker.allow(100);
    expect(breaker.observe("unknown", 100, 105)).toBeNull();
    expect([breaker.allow(106), breaker.state]).toEqual([true, "half-open"]);
  });

  test("a probe that is never heard of keeps others back for a time only", () => {
    const breaker = opened();
    expect([breaker.allow(100), breaker.allow(599), breaker.allow(600), breaker.allow(601)]).toEqual([
      true,
      false,
      true,
      false,
    ]);
  });

  test("several probes, where the settings say so", () => {
    const breaker = opened(0, { ...config, probesMax: 3 });
    expect([100, 100, 100, 100].map((at) => breaker.allow(at))).toEqual([true, true, true, false]);
  });
});

test("a pardon closes it, and the next opening is longer", () => {
  const breaker = opened();
  breaker.pardon(10);
  expect([breaker.state, breaker.allow(10)]).toEqual(["closed", true]);
  for (let count = 0; count < 3; count++) send(breaker, "failure", 20);
  expect(breaker.openUntilMs).toBe(220);
  const closed = new Breaker(config);
  send(closed, "failure", 0);
  closed.pardon(1);
  send(closed, "failure", 2);
  expect(send(closed, "failure", 3)).toBe("opened");
});

test("the longest time is not shorter than the first", () => {
  const parsed = parseSection(flowSettings, { breaker: { open: "2m", openMax: "1m" } });
  expect(parsed.faults?.map(({ path }) => path)).toEqual(["breaker.openMax"]);
});

describe("any course of events", () => {
  const steps = fc.array(
    fc.record({
      afterMs: fc.nat(300),
      // Which of the requests in flight ends, if any, and how.
      ends: fc.option(fc.nat(5), { nil: undefined }),
      outcome: fc.constantFrom<Outcome>("success", "failure", "unknown"),
    }),
    { maxLength: 200 },
  );

  test("nothing passes while it is open, few while it is half open, and it always comes back", () => {
    fc.assert(
      fc.property(steps, fc.integer({ min: 1, max: 3 }), (course, probesMax) => {
        const settings = { ...config, probesMax, probeMs: 1e9 };
        const breaker = new Breaker(settings);
        const flying: number[] = [];
        let [now, halfOpenMs] = [0, 0];
        for (const { afterMs, ends, outcome } of course) {
          now += afterMs;
          const open = breaker.state === "open";
          const allowed = breaker.allow(now);
          if (open) expect(allowed).toBe(now >= breaker.openUntilMs);
          if (open && allowed) halfOpenMs = now;
          if (breaker.state === "closed") expect(allowed).toBe(true);
          if (allowed) flying.push(now);
          if (breaker.state === "half-open")
            expect(flying.filter((sentMs) => sentMs >= halfOpenMs).length).toBeLessThanOrEqual(probesMax);
          if (ends !== undefined && flying.length > 0) {
            const [sentMs = 0] = flying.splice(ends % flying.length, 1);
            const before = breaker.state;
            const change = breaker.observe(outcome, sentMs, now);
            if (change === "opened") {
              expect([breaker.state, outcome]).toEqual(["open", "failure"]);
              expect(breaker.openUntilMs - now).toBeGreaterThanOrEqual(config.openMs);
              expect(breaker.openUntilMs - now).toBeLessThanOrEqual(config.openMsMax);
            } else if (change === "closed") {
              expect([before, breaker.state, outcome]).toEqual(["half-open", "closed", "success"]);
            } else expect(breaker.state).toBe(before);
          }
        }
        // Whatever happened, a target that is well from now on is used again.
        for (let round = 0; round < 10 && breaker.state !== "closed"; round++) {
          now += settings.probeMs;
          if (breaker.allow(now)) breaker.observe("success", now, now);
        }
        expect(breaker.state).toBe("closed");
      }),
      { seed: 4, numRuns: 500 },
    );
  });

  test("successes alone never open it", () => {
    fc.assert(
      fc.property(fc.array(fc.nat(2000)), (pauses) => {
        const breaker = new Breaker(config);
        let now = 0;
        for (const pause of pauses) expect(send(breaker, "success", (now += pause))).toBeNull();
        expect(breaker.state).toBe("closed");
      }),
      { seed: 4 },
    );
  });

  test("fewer failures than the share in every stretch of the window never open it, unless in a row", () => {
    fc.assert(
      fc.property(fc.array(fc.nat(100), { maxLength: 300 }), (pauses) => {
        const breaker = new Breaker({ ...config, failureShare: 0.4, requestsMin: 20 });
        let now = 0;
        // One of four, evenly: the estimate of the older window can't make two of five of it.
        for (const [index, pause] of pauses.entries())
          expect(send(breaker, index % 4 === 3 ? "failure" : "success", (now += pause))).toBeNull();
      }),
      { seed: 4 },
    );
  });
});
