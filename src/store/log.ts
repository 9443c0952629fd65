/**
 * The durable log of a member: entries, hard state and snapshot of the consensus, in SQLite, written by a thread of its
 * own. DESIGN.md says what is promised and why.
 *
 * Batches are durable in the order in which they were written, and `onDurable` tells up to which one. While `failure` is
 * set nothing more becomes durable; what was written waits, unless the failure is a lasting one.
 */
import { MeshError } from "../base/errors.ts";
import type { Snapshot } from "../raft/entry.ts";
import type { Ready } from "../raft/ready.ts";
import type { LogContents } from "./log-archive.ts";
import { type Batch, type FromLog, packBatch, packEntries, type Told, type ToLog } from "./log-message.ts";
import type { Identity } from "./log-schema.ts";

/** A batch up to that long is cloned, which is cheaper; longer ones change hands. */
const CLONED_BYTES_MAX = 16 * 1024;

/** What one call of `write` makes durable, whole. */
export type LogBatch = Pick<Ready, "number" | "entries" | "snapshot" | "hardState">;

/** Of all snapshots: SQLite's limit on a value is not far. */
const SNAPSHOT_BYTES_MAX = 512 * 2 ** 20;

/**
 * Opens the log at `path`, or makes an empty one for that identity; without one null where there is none. `entry` is the
 * URL of log-worker.ts, made by a file of src/ itself. Rejects with a MeshError: `conflict` when another process has it,
 * `store_damaged`, `config_invalid` when it is someone else's, `store_full`.
 */
export function openLog(path: string, identity: Identity | undefined, entry: URL): Promise<DurableLog | null> {
  const worker = new Worker(entry.href, { smol: true });
  return new Promise((resolve, reject) => {
    const refuse = (error: MeshError): void => {
      worker.terminate();
      reject(error);
    };
    worker.onerror = (event) => {
      event.preventDefault();
      refuse(new MeshError("internal", `the log's thread could not start: ${event.message}`));
    };
    worker.onmessage = ({ data }: MessageEvent<FromLog>) => {
      if (data.kind === "refused") refuse(new MeshError(data.error.code, data.error.message));
      if (data.kind !== "opened") return;
      if (data.contents === null) worker.terminate();
      resolve(data.contents && new DurableLog(worker, data.contents));
    };
    tell(worker, { kind: "open", path, identity });
  });
}

export class DurableLog {
  readonly contents: LogContents;
  /** Every batch up to that number is durable. */
  onDurable: (number: number) => void = () => {};
  /** The snapshot of that compaction is durable, and what it sums up is gone but for what was to be kept. */
  onCompacted: (index: number) => void = () => {};
  onFailure: (error: MeshError) => void = () => {};
  /** It goes on: what waited is durable. */
  onRecovered: () => void = () => {};
  #failure: MeshError | null = null;
  #ended = false;
  readonly #worker: Worker;
  readonly #closed = Promise.withResolvers<void>();

  constructor(worker: Worker, contents: LogContents) {
    this.contents = contents;
    this.#worker = worker;
    worker.onmessage = ({ data }: MessageEvent<FromLog>) => this.#received(data);
    worker.onerror = (event) => {
      event.preventDefault();
      this.#end({ code: "internal", message: `the log's thread has ended: ${event.message}; restart the process` });
    };
    worker.addEventListener("close", () => {
      this.#end({ code: "internal", message: "the log's thread has ended; restart the process" });
      this.#closed.resolve();
    });
  }

  /** Why nothing becomes durable at the moment. */
  get failure(): MeshError | null {
    return this.#failure;
  }

  write({ number, entries, snapshot, hardState }: LogBatch): void {
    if (this.#ended) return;
    if (snapshot === undefined) {
      const packed = packBatch(number, entries, hardState);
      return tell(this.#worker, packed, packed.length > CLONED_BYTES_MAX ? [packed.buffer] : []);
    }
    checkSize(snapshot);
    const { heads, data } = packEntries(entries);
    const batch: Batch = {
      kind: "write",
      number,
      heads,
      data,
      snapshot: detached(snapshot),
      ...(hardState === undefined ? {} : { hardState }),
    };
    tell(this.#worker, batch, [heads.buffer, data.buffer]);
  }

  /** Stores a snapshot of this log's own, in the place of the entries before `keepFrom`, at most the one after it. */
  compact(snapshot: Snapshot, keepFrom: number): void {
    if (this.#ended) return;
    checkSize(snapshot);
    tell(this.#worker, { kind: "compact", snapshot: detached(snapshot), keepFrom });
  }

  /** What was written before is durable then, if it can be; resolves when the log is free for others. */
  close(): Promise<void> {
    if (!this.#ended) tell(this.#worker, { kind: "close" });
    return this.#closed.promise;
  }

  #received(message: FromLog): void {
    switch (message.kind) {
      case "durable":
        this.onDurable(message.number);
        break;
      case "compacted":
        this.onCompacted(message.index);
        break;
      case "failing":
        this.#failure = new MeshError(message.error.code, message.error.message);
        this.onFailure(this.#failure);
        break;
      case "recovered":
        this.#failure = null;
        this.onRecovered();
        break;
      case "closed":
        this.#ended = true;
        this.#worker.terminate();
        break;
      case "opened":
      case "refused":
        throw new MeshError("internal", "a log is opened once");
    }
  }

  #end({ code, message }: Told): void {
    if (this.#ended) return;
    this.#ended = true;
    this.#failure = new MeshError(code, message);
    this.onFailure(this.#failure);
  }
}

function tell(worker: Worker, message: ToLog, transfer: ArrayBuffer[] = []): void {
  worker.postMessage(message, transfer);
}

/** Its data may be a part of a larger buffer, which would be cloned with it. */
function detached(snapshot: Snapshot): Snapshot {
  // A Buffer's slice would be no copy.
  return { ...snapshot, data: new Uint8Array(snapshot.data) };
}

function checkSize({ data }: Snapshot): void {
  if (data.length <= SNAPSHOT_BYTES_MAX) return;
  throw new MeshError(
    "payload_too_large",
    `a snapshot of ${data.length} bytes; at most ${SNAPSHOT_BYTES_MAX} are kept`,
  );
}
