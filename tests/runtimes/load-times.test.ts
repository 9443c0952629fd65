/** How long loads are expected to take, by those that were seen. */
import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { defaultsOf } from "../../src/base/settings-reading.ts";
import { LoadTimes, loadTimeSettings } from "../../src/runtimes/load-times.ts";

const config = defaultsOf(loadTimeSettings);
const SMALL = { model: "small", sizeBytes: 2e9 };
const LARGE = { model: "large", sizeBytes: 40e9 };
const UNTOLD = { model: "untold", sizeBytes: undefined };

/** Times after loads: of which model, how many seconds each took. */
function after(...loads: (readonly [model: typeof SMALL | typeof UNTOLD, seconds: number])[]): LoadTimes {
  const times = new LoadTimes(config);
  let nowMs = 1000;
  for (const [model, seconds] of loads) {
    times.began(model, nowMs);
    nowMs += seconds * 1000;
    times.ended(model, nowMs);
  }
  return times;
}

describe("the time that a load takes", () => {
  test("is a guess by size, or without one, before any was seen", () => {
    const times = after();
    expect(times.expected(SMALL)).toBeCloseTo(2.5, 9);
    expect(times.expected(LARGE)).toBeCloseTo(40.5, 9);
    expect(times.expected(UNTOLD)).toBe(20);
  });

  test("is what it took the last times, the last one the most", () => {
    expect(after([UNTOLD, 8]).expected(UNTOLD)).toBe(8);
    expect(after([UNTOLD, 8], [UNTOLD, 4]).expected(UNTOLD)).toBe(6);
  });

  test("of others goes by the speed that was seen, but not by that of a file in memory", () => {
    expect(after([SMALL, 4]).expected(LARGE)).toBeCloseTo(0.5 + 80, 9);
    expect(after([SMALL, 0.01]).expected(LARGE)).toBeCloseTo(40.5, 9);
    expect(after([SMALL, 4]).expected(UNTOLD)).toBe(20);
  });

  test("is not learnt of loads that came to nothing, nor of an end without a beginning", () => {
    const times = after();
    times.began(UNTOLD, 0);
    times.abandoned(UNTOLD.model);
    times.ended(UNTOLD, 5000);
    expect(times.expected(UNTOLD)).toBe(20);
  });

  test("runs out as it goes on, and a load that is overdue has a tenth of its time left", () => {
    const times = after([UNTOLD, 10]);
    times.began(UNTOLD, 100_000);
    times.began(UNTOLD, 103_000);
    expect(times.left(UNTOLD, 100_000)).toBe(10);
    expect(times.left(UNTOLD, 104_000)).toBe(6);
    expect(times.left(UNTOLD, 130_000)).toBe(3);
  });

  test("is more after a failure, so that others are tried first", () => {
    expect(after([UNTOLD, 10]).afterFailure(UNTOLD)).toBe(40);
  });

  test("is a number in seconds whatever happens, of no more models than are kept", () => {
    const step = fc.tuple(
      fc.constantFrom("began", "ended", "abandoned"),
      fc.nat(5),
      fc.integer({ min: -1e6, max: 1e9 }),
    );
    fc.assert(
      fc.property(
        fc.array(step, { maxLength: 40 }),
        fc.option(fc.maxSafeNat(), { nil: undefined }),
        (steps, sizeBytes) => {
          const times = new LoadTimes(config);
          for (const [what, number, nowMs] of steps) {
            const model = { model: `m${number}`, sizeBytes };
            if (what === "abandoned") times.abandoned(model.model);
            else times[what](model, nowMs);
            for (const seconds of [times.expected(model), times.left(model, nowMs), times.afterFailure(model)]) {
              expect(seconds).toBeGreaterThanOrEqual(0);
              expect(seconds).toBeLessThan(Infinity);
            }
          }
        },
      ),
    );
    const times = after();
    for (let number = 0; number <= 1024; number++) {
      times.began({ model: `m${number}`, sizeBytes: undefined }, 0);
      times.ended({ model: `m${number}`, sizeBytes: undefined }, 1000);
    }
    expect([0, 1, 1024].map((number) => times.expected({ model: `m${number}`, sizeBytes: undefined }))).toEqual([
      20, 1, 1,
    ]);
  });
});
