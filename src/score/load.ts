/** What a target's load costs a request that comes to it now: the part of the cost (pick.ts) that other requests make. */
import { COLUMN, rowWord } from "./layout.ts";
import type { ScoreTable } from "./table.ts";

/** In seconds. For the main thread, which alone writes figures; what workers claim meanwhile may be seen in part. */
export function loadSeconds(table: ScoreTable, row: number): number {
  const { words, floats } = table;
  const word = table.blocksWord + rowWord(row);
  const figure = (column: number): number => floats[word + column] ?? 0;
  const active = Math.max(0, Atomics.load(words, word + COLUMN.activeRequests));
  const queued = Math.max(0, Atomics.load(words, word + COLUMN.queuedTokens));
  return (
    queued * figure(COLUMN.secondsPerPrefillToken) +
    active * figure(COLUMN.secondsPerActive) +
    Math.max(0, active + 1 - figure(COLUMN.slots)) * figure(COLUMN.secondsPerQueuedRequest)
  );
}
