import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { RateEwma } from "../../src/base/ewma.ts";
import { Heap } from "../../src/base/heap.ts";
import type { HeapItem } from "../../src/base/heap.ts";
import { Histogram } from "../../src/base/histogram.ts";

describe("heap", () => {
  test("gives the smallest first under any pushes, pops and removals", () => {
    const move = fc.oneof(
      fc.record({ kind: fc.constant("push" as const), key: fc.integer({ min: 0, max: 50 }) }),
      fc.record({ kind: fc.constant("pop" as const), key: fc.constant(0) }),
      fc.record({ kind: fc.constant("remove" as const), key: fc.nat(30) }),
    );
    fc.assert(
      fc.property(fc.array(move, { maxLength: 120 }), (moves) => {
        const heap = new Heap<HeapItem>();
        const model = new Set<HeapItem>();
        for (const { kind, key } of moves) {
          if (kind === "push") {
            const item = { heapIndex: -1, heapKey: key };
            heap.push(item);
            model.add(item);
          } else if (kind === "pop") {
            const item = heap.pop();
            expect(item?.heapKey).toBe(
              model.size === 0 ? undefined : Math.min(...[...model].map((each) => each.heapKey)),
            );
            if (item !== undefined) model.delete(item);
          } else {
            const item = [...model][key % Math.max(1, model.size)];
            if (item === undefined) continue;
            expect(heap.remove(item)).toBe(true);
            expect(heap.remove(item)).toBe(false);
            model.delete(item);
          }
          expect(heap.size).toBe(model.size);
          expect(heap.peek()?.heapKey ?? Infinity).toBe(Math.min(...[...model].map((each) => each.heapKey)));
        }
      }),
    );
  });
});

describe("rate", () => {
  test("is amount over time, and forgets", () => {
    const rate = new RateEwma(1_000);
    expect(rate.perSecond).toBeUndefined();
    rate.observe(5, 0);
    expect(rate.perSecond).toBeUndefined();
    for (let index = 0; index < 50; index += 1) rate.observe(index % 2 === 0 ? 1 : 3, 10);
    expect(rate.perSecond).toBeCloseTo(200, -1);
    for (let index = 0; index < 800; index += 1) rate.observe(1, 10);
    expect(rate.perSecond).toBeCloseTo(100, 0);
  });
});

describe("histogram", () => {
  test("counts at or below each bound", () => {
    const histogram = new Histogram([1, 2, 5]);
    for (const value of [0.5, 1, 1.5, 5, 6]) histogram.observe(value);
    histogram.observe(2, 3);
    expect(histogram.cumulative()).toEqual([2, 6, 7, 8]);
    expect([histogram.count, histogram.sum]).toEqual([8, 20]);
  });
});
