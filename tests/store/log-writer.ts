/**
 * A process that writes to a log until it is killed: `bun log-writer.ts PATH FIRST COUNT`. It says on standard output
 * which batch is durable. Each batch holds one to three entries; a snapshot takes the place of old ones now and then.
 */
import { writeSync } from "node:fs";
import { openLog } from "../../src/store/log.ts";
import { entry, IDENTITY, LOG_THREAD, snapshotAt } from "./log-bed.ts";

/** The entries of a batch, the same in every process. */
export function batchOf(number: number): { first: number; count: number } {
  // Batches of 1, 2, 3, 1, 2, 3, ... entries.
  const whole = Math.floor((number - 1) / 3);
  const rest = (number - 1) % 3;
  return { first: whole * 6 + [1, 2, 4][rest]!, count: rest + 1 };
}

const IN_FLIGHT = 4;
const COMPACT_EVERY = 40;

async function main(path: string, first: number, count: number): Promise<void> {
  const log = (await openLog(path, IDENTITY, LOG_THREAD))!;
  log.onFailure = (error) => {
    throw error;
  };
  let next = first;
  const write = (): void => {
    const { first: start, count: entries } = batchOf(next);
    const commitIndex = Math.max(0, start - 1);
    log.write({
      number: next,
      entries: Array.from({ length: entries }, (_, at) => entry(start + at, 1, 60 + ((start + at) % 7) * 100)),
      hardState: { term: 1, votedFor: IDENTITY.member, commitIndex },
    });
    if (next % COMPACT_EVERY === 0) log.compact(snapshotAt(commitIndex, 1, 3000), commitIndex - 20);
    next += 1;
  };
  const done = new Promise<void>((resolve) => {
    log.onDurable = (number) => {
      writeSync(1, `${number}\n`);
      while (next < first + count && next - number <= IN_FLIGHT) write();
      if (number === first + count - 1) resolve();
    };
  });
  for (let at = 0; at < IN_FLIGHT && at < count; at += 1) write();
  await done;
  await log.close();
}

if (import.meta.main) {
  const [path = "", first, count] = process.argv.slice(2);
  await main(path, Number(first), Number(count));
}
