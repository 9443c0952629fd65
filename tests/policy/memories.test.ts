/** The keys that are remembered, against a list that does what is promised in the plainest way. */
import { expect, test } from "bun:test";
import fc from "fast-check";
import { KEY_MS_MAX, KEYS_MAX, Memories } from "../../src/policy/memories.ts";
import type { Memory } from "../../src/policy/snapshot.ts";

const memory = (key: string, atMs: number): Memory => ({
  key,
  atMs,
  fingerprint: 1,
  outcome: { ok: true, revision: 1, changed: true },
});

test("are kept for their time, up to their number, the oldest going first", () => {
  const step = fc.oneof(
    { weight: 8, arbitrary: fc.record({ add: fc.integer({ min: 1, max: 3000 }) }) },
    { weight: 2, arbitrary: fc.record({ later: fc.integer({ min: 1, max: KEY_MS_MAX }) }) },
    { weight: 1, arbitrary: fc.record({ restore: fc.nat(2000) }) },
  );
  const run = (steps: readonly { add?: number; later?: number; restore?: number }[]): void => {
    const memories = new Memories();
    let model: Memory[] = [];
    let nowMs = 0;
    let next = 0;
    for (const { add = 0, later = 0, restore } of steps) {
      nowMs += later;
      memories.forget(nowMs);
      model = model.filter(({ atMs }) => nowMs - atMs < KEY_MS_MAX);
      for (let left = add; left > 0; left -= 1) {
        const one = memory(`key-${next++}`, nowMs);
        memories.add(one);
        model.push(one);
      }
      model = model.slice(-KEYS_MAX);
      if (restore !== undefined) {
        model = model.slice(0, restore);
        memories.replace(model);
      }
      expect(memories.all()).toEqual(model);
      // Known by name exactly those, at both ends of what is kept.
      const kept = new Set(model.map(({ key }) => key));
      for (const at of [0, next - model.length - 1, next - model.length, next - 1]) {
        expect(memories.get(`key-${at}`)?.key).toBe(kept.has(`key-${at}`) ? `key-${at}` : undefined);
      }
    }
  };
  fc.assert(fc.property(fc.array(step, { minLength: 1, maxLength: 12 }), run), { numRuns: 20 });
});

test("that are restored with one key twice are one", () => {
  const memories = new Memories();
  memories.replace([memory("a", 1), memory("b", 2), memory("a", 3)]);
  expect(memories.all().map(({ key, atMs }) => [key, atMs])).toEqual([
    ["a", 3],
    ["b", 2],
  ]);
});
