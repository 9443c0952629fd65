/** What several threads saw of one run comes to what one would have seen. */
import { expect, test } from "bun:test";
import fc from "fast-check";
import { Flight } from "../../src/load/flight.ts";
import { reportOf } from "../../src/load/report.ts";
import { Tally } from "../../src/load/tally.ts";

const SLO = { ttftMs: 500, itlMs: 50, endMs: 0 };
const ABOUT = { url: "", model: "", workload: "", seed: 1, startedAtMs: 0, isStopped: false };

interface Ending {
  readonly dueMs: number;
  readonly tookMs: number;
  readonly gapsMs: readonly number[];
  readonly node: string;
  readonly failure: string;
  readonly thread: number;
}

const ending = fc.record<Ending>({
  dueMs: fc.integer({ min: 0, max: 60_000 }),
  tookMs: fc.integer({ min: 0, max: 3000 }),
  gapsMs: fc.array(fc.integer({ min: 0, max: 200 }), { maxLength: 4 }),
  node: fc.constantFrom("", "a", "b", "c"),
  failure: fc.constantFrom("", "", "timeout", "status 503", "unfinished"),
  thread: fc.integer({ min: 0, max: 3 }),
});

function note(tally: Tally, number: number, { dueMs, tookMs, gapsMs, node, failure }: Ending): void {
  const flight = new Flight(number, { dueMs, promptTokens: 7, outputTokens: 1, hashes: [] }, dueMs, dueMs < 1000);
  tally.due(flight);
  tally.sent(flight);
  for (const gap of gapsMs) tally.gap(flight, gap);
  flight.sentMs = dueMs;
  flight.lagMs = number % 5;
  flight.endMs = dueMs + tookMs;
  flight.events = gapsMs.length;
  flight.node = node;
  flight.failure = failure;
  flight.words = failure === "" ? "" : `words of ${failure}`;
  tally.ended(flight);
}

test("added up it is the same, whoever saw what", () => {
  fc.assert(
    fc.property(fc.array(ending, { maxLength: 80 }), (endings) => {
      const alone = new Tally();
      const threads = Array.from({ length: 4 }, () => new Tally());
      const together = new Tally();
      for (const tally of [alone, together, ...threads]) tally.start(0, 1000);
      for (const [number, one] of endings.entries()) {
        note(alone, number, one);
        note(threads[one.thread]!, number, one);
      }
      for (const thread of threads) together.absorb(structuredClone(thread.state()));
      expect(together).toMatchObject({
        rows: alone.rows,
        dueCount: alone.dueCount,
        sentCount: alone.sentCount,
        okCount: alone.okCount,
        failedCount: alone.failedCount,
        events: alone.events,
      });
      const [found, wanted] = [reportOf(together, SLO, ABOUT), reportOf(alone, SLO, ABOUT)];
      const errors = (report: typeof found) => report.errors.toSorted((a, b) => (a.kind < b.kind ? -1 : 1));
      expect(errors(found)).toEqual(errors(wanted));
      expect({ ...found, errors: [] }).toEqual({ ...wanted, errors: [] });
    }),
  );
});

test("beyond one block of rows too", () => {
  const [one, all] = [new Tally(), new Tally()];
  const each = { tookMs: 1, gapsMs: [], node: "n", failure: "", thread: 0 };
  for (let number = 0; number < 20_000; number += 1) note(one, number, { ...each, dueMs: number });
  for (let times = 0; times < 2; times += 1) all.absorb(one.state());
  expect(all.rows).toBe(40_000);
  expect(all.row(39_999)).toEqual(one.row(19_999));
  expect(all.row(20_000)).toEqual(one.row(0));
});
