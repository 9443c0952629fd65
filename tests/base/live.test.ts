import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { liveCopy, overwrite } from "../../src/base/live.ts";

describe("a live copy", () => {
  test("is read anew by whoever holds it or a part of it", () => {
    const config = Object.freeze({ a: 1, inner: Object.freeze({ b: "x", list: [1] }) });
    const live = liveCopy<{ a: number; inner: { b: string; list: readonly number[] } }>(config);
    const { inner } = live;
    expect(live).toEqual(config);
    overwrite(live, { a: 2, inner: { b: "y", list: [1, 2] } });
    expect(live.a).toBe(2);
    expect(inner).toEqual({ b: "y", list: [1, 2] });
    expect(config).toEqual({ a: 1, inner: { b: "x", list: [1] } });
  });

  test("loses names that the next config lacks, such as those of a map", () => {
    const live = liveCopy<{ labels: Record<string, string> }>({ labels: { rack: "r1", tier: "gold" } });
    const { labels } = live;
    overwrite(live, { labels: { rack: "r2" } });
    expect(labels).toEqual({ rack: "r2" });
  });

  test("equals what it was overwritten with, and never changes that", () => {
    const trees = fc.dictionary(
      fc.string({ minLength: 1, maxLength: 3 }).filter((name) => name !== "__proto__"),
      fc.letrec((tie) => ({
        node: fc.oneof(
          fc.integer(),
          fc.array(fc.integer(), { maxLength: 2 }),
          fc.dictionary(fc.constantFrom("x", "y"), tie("node")),
        ),
      })).node,
      { maxKeys: 4 },
    );
    fc.assert(
      fc.property(trees, trees, trees, (first, second, third) => {
        const live = liveCopy(first);
        const before = JSON.stringify(second);
        overwrite(live, second);
        expect(live).toEqual(second);
        overwrite(live, third);
        expect(live).toEqual(third);
        expect(JSON.stringify(second)).toBe(before);
      }),
      { seed: 20_261_127, numRuns: 200 },
    );
  });
});
