import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { OneCounter, Rate } from "../../src/gpu/rate.ts";

function rates(...looks: readonly (readonly [number | undefined, number])[]): (number | undefined)[] {
  const rate = new Rate();
  return looks.map(([value, atMs]) => rate.take(value, atMs));
}

describe("the rate of a counter", () => {
  test("is per second, from the second look on", () => {
    expect(rates([100, 1000], [600, 1500], [600, 6500], [1600, 7500])).toEqual([undefined, 1000, 0, 1000]);
  });

  test("goes over the end of 32 bits", () => {
    expect(rates([2 ** 32 - 500, 0], [500, 1000])).toEqual([undefined, 1000]);
  });

  test("is not known once where the counter began anew", () => {
    expect(rates([1000, 0], [10, 1000], [510, 2000])).toEqual([undefined, undefined, 500]);
    expect(rates([2 ** 40, 0], [10, 1000], [510, 2000])).toEqual([undefined, undefined, 500]);
  });

  test("is not known across a look without the counter", () => {
    expect(rates([100, 0], [undefined, 1000], [5000, 2000], [6000, 3000])).toEqual([
      undefined,
      undefined,
      undefined,
      1000,
    ]);
  });

  test("two looks in one moment, or a clock that goes back, are one", () => {
    expect(rates([100, 1000], [200, 1000], [300, 900], [1100, 2000])).toEqual([undefined, undefined, undefined, 1000]);
  });

  test("of whatever counters and clocks, it is a figure of at least zero or none", () => {
    fc.assert(
      fc.property(
        fc.array(fc.tuple(fc.option(fc.nat(2 ** 50), { nil: undefined }), fc.nat(10_000)), { maxLength: 30 }),
        (looks) => {
          for (const rate of rates(...looks))
            expect(rate === undefined || (rate >= 0 && Number.isFinite(rate))).toBe(true);
        },
      ),
    );
  });

  test("of a counter of 32 bits it is right whenever less than half of them were counted", () => {
    fc.assert(
      fc.property(fc.nat(2 ** 32 - 1), fc.nat(2 ** 31 - 1), (begin, grown) => {
        expect(rates([begin, 0], [(begin + grown) % 2 ** 32, 1000])[1]).toBe(grown);
      }),
    );
  });
});

describe("one counter of several", () => {
  test("is the first that answers, for good: another one stands elsewhere", () => {
    const replays = new OneCounter();
    expect(replays.take(undefined, undefined)).toBeUndefined();
    expect(replays.take(undefined, 900)).toBe(900);
    expect(replays.take(7, 901)).toBe(901);
    expect(replays.take(7, undefined)).toBeUndefined();
    expect(new OneCounter().take(0, 900)).toBe(0);
  });
});
