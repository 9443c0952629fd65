import { expect, test } from "bun:test";
import fc from "fast-check";
import { Growth } from "../../src/health/growth.ts";

test("growth is what came within the window, to a tenth of it, whatever was before", () => {
  const steps = fc.array(fc.tuple(fc.nat(50), fc.nat(700)), { maxLength: 60 });
  fc.assert(
    fc.property(steps, (events) => {
      const growth = new Growth(1_000);
      const all: [count: number, part: number][] = [];
      let nowMs = 0;
      for (const [count, ms] of events) {
        nowMs += ms;
        growth.add(count, nowMs);
        const part = Math.floor(nowMs / 100);
        all.push([count, part]);
        const within = all.filter(([, at]) => part - at < 10).reduce((sum, [one]) => sum + one, 0);
        expect(growth.total(nowMs)).toBe(within);
        expect(growth.wakeAtMs).toBeGreaterThan(nowMs);
        expect(growth.wakeAtMs === Infinity).toBe(within === 0);
      }
    }),
    { numRuns: 300 },
  );
});
