/** The queue of events beside the heap of `base/`, with many equal moments. */
import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { Heap, type HeapItem } from "../../src/base/heap.ts";
import { EventQueue } from "../../src/sim/event-queue.ts";

interface Entry extends HeapItem {
  readonly kind: number;
  readonly entry: number;
}

const moment = fc.oneof(fc.nat(8), fc.constant(Infinity), fc.double({ min: 0, max: 8, noNaN: true }));
const move = fc.oneof(
  { weight: 3, arbitrary: fc.record({ atMs: moment, kind: fc.nat(255) }) },
  fc.constant("take" as const),
  fc.nat(2 ** 30),
);

describe("the queue of events", () => {
  test("gives what the heap gives, in the same order, equal moments included", () => {
    fc.assert(
      fc.property(fc.array(move, { maxLength: 1500 }), (moves) => {
        const queue = new EventQueue<Entry>();
        const heap = new Heap<Entry>();
        const inside: Entry[] = [];
        for (const one of moves) {
          if (typeof one === "object") {
            const item = { heapKey: one.atMs, heapIndex: -1, kind: one.kind, entry: -1 };
            const entry = { ...item, entry: queue.push(one.atMs, one.kind, item) };
            heap.push(entry);
            inside.push(entry);
          } else if (inside.length > 0) {
            const first = heap.peek()!;
            expect(queue.nextMs).toBe(first.heapKey);
            const out = one === "take" ? first : inside[one % inside.length]!;
            heap.remove(out);
            inside.splice(inside.indexOf(out), 1);
            if (one === "take") {
              queue.take();
              expect([queue.kind, queue.whom!.heapKey]).toEqual([out.kind, out.heapKey]);
            } else queue.remove(out.entry);
          } else expect(queue.nextMs).toBe(Infinity);
        }
        for (let left = heap.pop(); left !== undefined; left = heap.pop()) {
          queue.take();
          expect([queue.kind, queue.whom!.heapKey]).toEqual([left.kind, left.heapKey]);
        }
        expect(() => queue.take()).toThrow("something to take");
      }),
    );
  });

  test("an entry leaves it once", () => {
    const queue = new EventQueue<string>();
    const entry = queue.push(1, 0, "a");
    queue.push(2, 0, "b");
    queue.remove(entry);
    expect(() => queue.remove(entry)).toThrow("not in the queue");
    queue.take();
    expect(queue.whom).toBe("b");
  });
});
