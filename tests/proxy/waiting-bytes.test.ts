/** Bytes that wait for somebody who reads more slowly than they come. */
import { expect, test } from "bun:test";
import fc from "fast-check";
import { WaitingBytes } from "../../src/proxy/waiting-bytes.ts";

test("all of them come out, in order, however they came and are taken", () => {
  const piece = fc.uint8Array({ maxLength: 3000 });
  const step = fc.oneof(piece, fc.integer({ min: 1, max: 5000 }));
  fc.assert(
    fc.property(fc.array(step, { maxLength: 40 }), (steps) => {
      const waiting = new WaitingBytes();
      let expected = Buffer.alloc(0);
      for (const one of steps) {
        if (typeof one === "number") {
          const taken = waiting.take(one);
          expect(taken.equals(expected.subarray(0, one))).toBe(true);
          expected = expected.subarray(taken.length);
        } else {
          waiting.keep(Buffer.from(one));
          expected = Buffer.concat([expected, one]);
        }
        expect(waiting.isEmpty).toBe(expected.length === 0);
      }
      waiting.clear();
      expect([waiting.isEmpty, waiting.take(1).length]).toEqual([true, 0]);
    }),
    { seed: 9113, numRuns: 300 },
  );
});

test("what was taken stays as it is until more is kept", () => {
  const waiting = new WaitingBytes();
  for (const letter of "abcdef") waiting.keep(Buffer.from(letter));
  const taken = waiting.take(4);
  expect(taken.toString()).toBe("abcd");
  expect(waiting.take(4).toString()).toBe("ef");
  waiting.keep(Buffer.from("gh"));
  expect(taken.toString()).toBe("abcd");
});
