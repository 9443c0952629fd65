import { expect, test } from "bun:test";
import fc from "fast-check";
import { Outliers } from "../../src/flow/outliers.ts";

const config = { maxEjectedShare: 0.5 };

test("up to the share of the targets are ejected, the next is spared", () => {
  const outliers = new Outliers(config);
  expect(outliers.judge(1, 100, 4, 0, 0)).toBe("eject");
  expect(outliers.judge(2, 100, 4, 1, 0)).toBe("eject");
  expect(outliers.judge(3, 100, 4, 2, 0)).toBe("spare");
});

test("of two targets one is ejected even by a small share, the only one never", () => {
  expect(new Outliers({ maxEjectedShare: 0.01 }).judge(1, 100, 2, 0, 0)).toBe("eject");
  expect(new Outliers({ maxEjectedShare: 1 }).judge(1, 100, 1, 0, 0)).toBe("spare");
  expect(new Outliers({ maxEjectedShare: 0 }).judge(1, 100, 9, 0, 0)).toBe("spare");
});

test("one is left in use even where all may be ejected", () => {
  expect(new Outliers({ maxEjectedShare: 1 }).judge(1, 100, 3, 2, 0)).toBe("spare");
});

test("when every target has failed, all are pardoned, and it begins anew", () => {
  const outliers = new Outliers(config);
  const verdicts = [1, 2, 3, 4].map((row, index) => outliers.judge(row, 100, 4, Math.min(2, index), 0));
  expect(verdicts).toEqual(["eject", "eject", "spare", "pardon"]);
  expect(outliers.judge(4, 100, 4, 0, 0)).toBe("eject");
});

test("failures of long ago, of rows that are well again, and of one row twice do not add up", () => {
  const outliers = new Outliers(config);
  outliers.judge(1, 100, 3, 0, 0);
  outliers.judge(2, 200, 3, 1, 0);
  expect(outliers.judge(2, 200, 3, 1, 50)).toBe("spare");
  expect(outliers.judge(3, 300, 3, 1, 100)).toBe("spare");
  outliers.forget(2);
  expect(outliers.judge(1, 300, 3, 0, 150)).toBe("eject");
  expect(outliers.judge(2, 300, 3, 1, 150)).toBe("pardon");
});

test("never more than the share are out, never all, and a pardon only when all have failed", () => {
  const failures = fc.array(
    fc.record({ row: fc.nat(9), forMs: fc.integer({ min: 1, max: 300 }), afterMs: fc.nat(50) }),
  );
  fc.assert(
    fc.property(
      failures,
      fc.integer({ min: 1, max: 10 }),
      fc.double({ min: 0, max: 1, noNaN: true }),
      (all, n, share) => {
        const outliers = new Outliers({ maxEjectedShare: share });
        const out = new Map<number, number>();
        const failed = new Map<number, number>();
        let now = 0;
        for (const { row: any, forMs, afterMs } of all) {
          now += afterMs;
          for (const marks of [out, failed]) for (const [row, until] of marks) if (until <= now) marks.delete(row);
          const row = any % n;
          failed.set(row, now + forMs);
          const others = [...out.keys()].filter((other) => other !== row).length;
          const verdict = outliers.judge(row, now + forMs, n, others, now);
          if (verdict === "eject") out.set(row, now + forMs);
          if (verdict === "pardon") {
            expect(failed.size).toBe(n);
            out.clear();
            failed.clear();
          } else expect(n === 1 || failed.size < n).toBe(true);
          expect(out.size).toBeLessThanOrEqual(Math.min(n - 1, Math.max(1, Math.floor(n * share))));
        }
      },
    ),
    { seed: 4, numRuns: 500 },
  );
});
