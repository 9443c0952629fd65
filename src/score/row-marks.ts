/**
 * What is either so or not of a table's rows: a bit for each, in two words of their block for each mark. The main thread
 * writes them, any thread reads them; each stands for itself, so nothing must be seen together.
 */
import { BLOCK_ROWS, BLOCK_WORD, rowWord } from "./layout.ts";
import type { ScoreTable } from "./table.ts";

/** Whether the row's target tells how fast it computes prompts. */
export function isPaced(table: ScoreTable, row: number): boolean {
  return isMarked(table, row, BLOCK_WORD.paced);
}

/** Whether its KV cache is full: what begins to compute there may be preempted. */
export function isKvFull(table: ScoreTable, row: number): boolean {
  return isMarked(table, row, BLOCK_WORD.kvFull);
}

/** `word` is that of the row's block, `which` one of BLOCK_WORD's marks. */
export function mark(words: Int32Array, word: number, lane: number, which: number, isSet: boolean): void {
  const bit = 1 << (lane & 31);
  const at = word + which + (lane >>> 5);
  if (isSet) Atomics.or(words, at, bit);
  else Atomics.and(words, at, ~bit);
}

function isMarked({ words, blocksWord }: ScoreTable, row: number, which: number): boolean {
  const lane = row % BLOCK_ROWS;
  const at = blocksWord + rowWord(row) - lane + which + (lane >>> 5);
  return (words[at]! & (1 << (lane & 31))) !== 0;
}
