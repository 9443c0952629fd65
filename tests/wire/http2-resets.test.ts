import { expect, test } from "bun:test";
import fc from "fast-check";
import { ResetWindow } from "../../src/wire/http2-resets.ts";

test("nobody who counts by a window of that length, whenever it begins, has counted more", () => {
  const steps = fc.array(fc.nat(40), { maxLength: 60 });
  fc.assert(
    fc.property(fc.integer({ min: 1, max: 8 }), fc.integer({ min: 1, max: 100 }), steps, (max, windowMs, pauses) => {
      const window = new ResetWindow(max, windowMs);
      const times: number[] = [];
      let nowMs = 0;
      for (const pause of pauses) {
        nowMs += pause;
        const isFull = times.filter((time) => nowMs - time < windowMs).length >= max;
        expect(window.isFull(nowMs)).toBe(isFull);
        window.note(nowMs);
        times.push(nowMs);
      }
    }),
  );
});
