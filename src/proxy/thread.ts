/**
 * The main thread's handle on one worker thread, from its start to its end. It tells of what the worker says, and of its
 * end, once; what to do about them is the crew's business.
 */
import { isLibraryProven } from "../native.ts";
import type { FromWorker, ToWorker, WorkerStart } from "./protocol.ts";

/** What a worker says once it runs. */
export type Told = Exclude<FromWorker, { kind: "ready" | "failed" }>;

/** What a worker begins with, but for what its thread adds. */
export type ThreadStart = Omit<WorkerStart, "isScorerProven">;

export interface ThreadEvents {
  /** It serves, or waits to be told to accept. */
  started(thread: WorkerThread): void;
  /** It can't start; the thread is still there. */
  failed(thread: WorkerThread, message: string): void;
  received(thread: WorkerThread, message: Told): void;
  /** It has ended: nothing of it runs any more. */
  ended(thread: WorkerThread, why: string): void;
}

/** For a thread to end by itself when it is told to. */
const END_MS = 2000;
const MESSAGE_LENGTH_MAX = 2000;

export class WorkerThread {
  /** Its place in the score table and in the statistics. */
  readonly index: number;
  /** The name by which it holds shares of quotas. */
  readonly holder: string;
  readonly startedMs = performance.now();
  /** The newest routes that it is known to use. */
  routed = -1;
  /** It has nothing in flight and no connection left. */
  drained = false;
  scorer = "";
  scorerReason = "";
  /** What carries its streams, and why not the epoll lane. */
  transport = "";
  transportReason = "";
  readonly #worker: Worker;
  #deadline: ReturnType<typeof setTimeout> | undefined;

  constructor(entry: URL, start: ThreadStart, events: ThreadEvents) {
    this.index = start.index;
    this.holder = start.holder;
    this.#worker = new Worker(entry.href);
    let why = "the thread ended";
    this.#worker.onmessage = ({ data }: MessageEvent<FromWorker>) => {
      if (data.kind === "ready") {
        this.scorer = data.scorer;
        this.scorerReason = data.reason;
        this.transport = data.transport;
        this.transportReason = data.transportReason;
        events.started(this);
      } else if (data.kind === "failed") {
        events.failed(this, data.message);
      } else {
        events.received(this, data);
      }
    };
    this.#worker.addEventListener("error", (event) => {
      why = withoutFrame(event.message);
      event.preventDefault();
    });
    this.#worker.addEventListener("close", () => {
      clearTimeout(this.#deadline);
      events.ended(this, why);
    });
    // While the thread loads its code.
    this.send({ ...start, isScorerProven: isLibraryProven() });
  }

  send(message: ToWorker): void {
    this.#worker.postMessage(message);
  }

  /** Lets it finish what it has, for a successor serves its sockets; after `timeoutMs` it is ended. */
  retire(quietMs: number, timeoutMs: number): void {
    this.send({ kind: "drain", quietMs, refuses: false });
    this.#deadline = setTimeout(() => this.end(), timeoutMs);
  }

  /**
   * Ends it, whatever it has in flight; `ended` tells when that is done. It is told to end by itself first: what it holds
   * may be descriptors of the process, which are closed by nobody else.
   */
  end(): void {
    clearTimeout(this.#deadline);
    this.send({ kind: "end" });
    this.#deadline = setTimeout(() => this.#worker.terminate(), END_MS);
  }
}

/** Bun puts lines of (minified) source before an error's name: what tells something is what comes after. */
function withoutFrame(message: string): string {
  const at = message.search(/^[A-Za-z]*(?:Error|error): /m);
  return message.slice(Math.max(0, at)).slice(0, MESSAGE_LENGTH_MAX);
}
