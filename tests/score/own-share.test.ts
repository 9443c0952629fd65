import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { ownShare } from "../../src/score/own-share.ts";

const keys = fc.uniqueArray(fc.nat({ max: 2 ** 48 - 1 }), { maxLength: 100 });

describe("shares of targets", () => {
  test("are each one router's, and as large as each other, but for one", () => {
    fc.assert(
      fc.property(keys, fc.integer({ min: 1, max: 20 }), (all, routers) => {
        const shares = Array.from({ length: routers }, (_, router) => ownShare(all, router, routers));
        expect(shares.flatMap((share) => [...share]).toSorted((a, b) => a - b)).toEqual(all.toSorted((a, b) => a - b));
        const sizes = shares.map(({ size }) => size);
        expect(Math.max(...sizes) - Math.min(...sizes)).toBeLessThanOrEqual(1);
      }),
    );
  });

  test("do not depend on the order in which targets are known", () => {
    fc.assert(
      fc.property(keys, fc.integer({ min: 1, max: 20 }), (all, routers) => {
        expect(ownShare(all.toReversed(), 0, routers)).toEqual(ownShare(all, 0, routers));
      }),
    );
  });
});
