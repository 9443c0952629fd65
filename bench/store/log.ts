/**
 * What it costs to make entries durable: `npm run bench -- log [short]`. Commits one after the other, and many in
 * flight, through the log's thread; beside them the same transaction in this thread, and a bare write and fdatasync of a
 * frame. All take turns in rounds, on one disk, so that its moods are shared.
 */
import { closeSync, fdatasyncSync, mkdtempSync, openSync, rmSync, writeSync } from "node:fs";
import { join, resolve } from "node:path";
import { type DurableLog, type LogBatch, openLog } from "../../src/store/log.ts";
import { createLog } from "../../src/store/log-database.ts";
import { LogFile } from "../../src/store/log-file.ts";
import { packEntries } from "../../src/store/log-message.ts";
import { report } from "../report.ts";

const SHORT = process.argv.includes("short");
const ROUNDS = SHORT ? 3 : 20;
const COMMITS = SHORT ? 100 : 500;
const VALUE_BYTES = 256;
const FRAME_BYTES = 4120;
const IDENTITY = { clusterId: "0".repeat(32), member: 1 };
const THREAD = new URL("../../src/store/log-worker.ts", import.meta.url);

const folder = mkdtempSync(join(resolve(import.meta.dir, "..", "..", "dist"), "bench-log-"));
const data = crypto.getRandomValues(new Uint8Array(VALUE_BYTES));

/** What a leader stores for a write: the entry, and the commit index as it then is. */
function batch(number: number): LogBatch {
  return {
    number,
    entries: [{ index: number, term: 1, kind: "command", data }],
    hardState: { term: 1, votedFor: 1, commitIndex: number - 1 },
  };
}

/** Times of commits in microseconds, and how many a second there were. */
class Times {
  readonly #us: number[] = [];
  #ns = 0;

  add(startNs: number, endNs: number): void {
    this.#us.push((endNs - startNs) / 1e3);
  }

  took(ns: number): void {
    this.#ns += ns;
  }

  get row(): { p50Us: number; p99Us: number; perSecond: number } {
    const sorted = this.#us.toSorted((a, b) => a - b);
    const at = (share: number): number => Math.round(sorted[Math.floor(share * (sorted.length - 1))] ?? 0);
    return { p50Us: at(0.5), p99Us: at(0.99), perSecond: Math.round(sorted.length / (this.#ns / 1e9)) };
  }
}

/** Writes and synchronises frames, over and over in a file that has its blocks. */
class Bare {
  readonly #fd = openSync(join(folder, "bare"), "w");
  readonly #frame = new Uint8Array(FRAME_BYTES).fill(1);
  #at = 0;

  constructor() {
    for (let at = 0; at < 1000; at += 1) writeSync(this.#fd, this.#frame, 0, FRAME_BYTES, at * FRAME_BYTES);
    fdatasyncSync(this.#fd);
  }

  commit(): void {
    writeSync(this.#fd, this.#frame, 0, FRAME_BYTES, this.#at * FRAME_BYTES);
    fdatasyncSync(this.#fd);
    this.#at = (this.#at + 1) % 1000;
  }

  close(): void {
    closeSync(this.#fd);
  }
}

/** A log with so many batches in flight. */
class Pipelined {
  readonly #log: DurableLog;
  readonly #started: number[] = [];
  #written = 0;
  #durable = 0;

  constructor(log: DurableLog) {
    this.#log = log;
  }

  run(depth: number, count: number, times: Times): Promise<void> {
    const { promise, resolve: done, reject } = Promise.withResolvers<void>();
    const last = this.#written + count;
    const pump = (): void => {
      while (this.#written - this.#durable < depth && this.#written < last) {
        this.#written += 1;
        this.#started[this.#written] = Bun.nanoseconds();
        this.#log.write(batch(this.#written));
      }
    };
    this.#log.onFailure = reject;
    this.#log.onDurable = (number) => {
      const nowNs = Bun.nanoseconds();
      while (this.#durable < number) times.add(this.#started[++this.#durable] ?? 0, nowNs);
      if (number === last) done();
      else pump();
    };
    const startNs = Bun.nanoseconds();
    pump();
    return promise.then(() => times.took(Bun.nanoseconds() - startNs));
  }
}

const bare = new Bare();
createLog(join(folder, "inside"), "0".repeat(32), IDENTITY);
const inside = new LogFile(join(folder, "inside"));
const log = (await openLog(join(folder, "log"), IDENTITY, THREAD))!;
const pipelined = new Pipelined(log);
const times = {
  "write and fdatasync of a frame": new Times(),
  "the transaction, in this thread": new Times(),
  "the log, one after the other": new Times(),
  "the log, 32 in flight": new Times(),
  "the log, 256 in flight": new Times(),
};

function repeat(into: Times, commit: () => void): void {
  const beginNs = Bun.nanoseconds();
  for (let at = 0; at < COMMITS; at += 1) {
    const startNs = Bun.nanoseconds();
    commit();
    into.add(startNs, Bun.nanoseconds());
  }
  into.took(Bun.nanoseconds() - beginNs);
}

let number = 0;
for (let round = -1; round < ROUNDS; round += 1) {
  // The first round warms up, and counts for nothing.
  const into = round < 0 ? Object.values(times).map(() => new Times()) : Object.values(times);
  const [frame, transaction, single, some, many] = into as [Times, Times, Times, Times, Times];
  repeat(frame, () => bare.commit());
  repeat(transaction, () => {
    const { entries, hardState } = batch(++number);
    inside.write([{ kind: "write", number, ...packEntries(entries), ...(hardState && { hardState }) }]);
    inside.tidy();
  });
  await pipelined.run(1, COMMITS, single);
  await pipelined.run(32, COMMITS * 16, some);
  await pipelined.run(256, COMMITS * 16, many);
}
await log.close();
const startMs = performance.now();
const again = (await openLog(join(folder, "log"), IDENTITY, THREAD))!;
const openedMs = Math.round(performance.now() - startMs);
const entries = again.contents.entries.length;
await again.close();
inside.close();
bare.close();
rmSync(folder, { recursive: true, force: true });

await report("log", {
  valueBytes: VALUE_BYTES,
  rounds: ROUNDS,
  commits: Object.fromEntries(Object.entries(times).map(([name, of]) => [name, of.row])),
  opening: { entries, ms: openedMs },
});
process.exit(0);
