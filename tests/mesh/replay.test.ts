import { expect, test } from "bun:test";
import { Prng } from "../../src/base/prng.ts";
import { ReplayTable } from "../../src/mesh/replay.ts";

const SEED = Number(Bun.env["SEED"] ?? 20_261_201);
const WINDOW = 300;
const NOW = 1_800_000_000;

/** Takes a packet in if it is new. */
function take(table: ReplayTable, session: number, counter: number, told = NOW, now = NOW): boolean {
  const isNew = table.isNew(session, 7, counter, told);
  if (isNew) table.mark(session, 7, counter, told, now);
  return isNew;
}

test("each counter once, in any order within the window", () => {
  const table = new ReplayTable({ windowSeconds: WINDOW, sessionsMax: 4 });
  for (const counter of [5, 1, 3, 2, 4, 900, 899, 6]) expect(take(table, 1, counter)).toBe(true);
  for (const counter of [5, 1, 3, 2, 4, 900, 899, 6]) expect(take(table, 1, counter)).toBe(false);
  // A jump over everything; then the window's far end, and one beyond it.
  expect(take(table, 1, 4_000_000_000)).toBe(true);
  expect(take(table, 1, 4_000_000_000 - 991)).toBe(true);
  expect(take(table, 1, 4_000_000_000 - 992)).toBe(false);
  expect(take(table, 1, 901)).toBe(false);
  expect(take(table, 1, 0xffff_ffff)).toBe(true);
  expect(take(table, 1, 0xffff_ffff)).toBe(false);
  // Another session counts by itself.
  expect(take(table, 2, 5)).toBe(true);
});

test("agrees with a plain set, at random", () => {
  console.log(`replay seed ${SEED}`);
  const prng = new Prng(SEED);
  for (let round = 0; round < 20; round++) {
    const table = new ReplayTable({ windowSeconds: WINDOW, sessionsMax: 4 });
    const seen = new Set<number>();
    let top = 0;
    for (let step = 0; step < 5000; step++) {
      const spread = prng.int(8) === 0 ? 2000 : 40;
      const counter = Math.max(1, top + prng.int(spread) - (spread >> 1));
      // The oldest word of the window may be gone in part, never brought back.
      const surelyOld = seen.has(counter) || counter + 1024 <= top;
      const surelyNew = !seen.has(counter) && counter + 992 > top;
      const taken = take(table, 1, counter);
      if (surelyOld) expect(taken).toBe(false);
      if (surelyNew) expect(taken).toBe(true);
      if (taken) seen.add(counter);
      top = Math.max(top, taken ? counter : 0);
    }
  }
});

test("sessions that are over make place, without a door for their packets", () => {
  const table = new ReplayTable({ windowSeconds: WINDOW, sessionsMax: 100 });
  for (let session = 1; session <= 100; session++) expect(take(table, session, 1, NOW, NOW)).toBe(true);
  const later = NOW + WINDOW + 1;
  for (let session = 101; session <= 200; session++) expect(take(table, session, 1, later, later)).toBe(true);
  expect(table.size).toBe(100);
  for (let session = 101; session <= 200; session++) expect(take(table, session, 1, later, later)).toBe(false);
});

test("a full table lets the most silent session go, and none of its packets in again", () => {
  const table = new ReplayTable({ windowSeconds: WINDOW, sessionsMax: 64 });
  const told = (n: number): number => NOW + Math.floor(n / 10);
  for (let n = 0; n < 1000; n++) expect(take(table, n + 1, 1, told(n), told(n))).toBe(true);
  expect(table.size).toBe(64);
  for (let n = 0; n < 1000; n++) expect(take(table, n + 1, 1, told(n), NOW + 100)).toBe(false);
  expect(table.size).toBe(64);
});

test("two sessions that share 53 bits: the second is not let in", () => {
  const table = new ReplayTable({ windowSeconds: WINDOW, sessionsMax: 64 });
  expect(take(table, 0x0000_0001, 1)).toBe(true);
  expect(take(table, 0x8000_0001, 2)).toBe(false);
});
