/** Questions of the main thread to all workers at once, about the choice for one request: the newest answer counts. */
import type { Decision } from "./decisions.ts";
import type { ToWorker } from "./protocol.ts";

/** A worker that answers later than this is passed over. */
const WAIT_MS = 1000;

interface Inquiry {
  left: number;
  newest: Decision | null;
  readonly end: () => void;
}

export class Inquiries {
  readonly #open = new Map<number, Inquiry>();
  #last = 0;

  /** Resolves when all of them have answered, or after a while. */
  async ask(workers: Iterable<{ send(message: ToWorker): void }>, requestId: string): Promise<Decision | null> {
    const ask = ++this.#last;
    const { promise, resolve } = Promise.withResolvers<void>();
    const inquiry: Inquiry = { left: 0, newest: null, end: resolve };
    this.#open.set(ask, inquiry);
    for (const worker of workers) {
      inquiry.left += 1;
      worker.send({ kind: "explain", ask, requestId });
    }
    if (inquiry.left === 0) resolve();
    const timer = setTimeout(resolve, WAIT_MS);
    await promise;
    clearTimeout(timer);
    this.#open.delete(ask);
    return inquiry.newest;
  }

  answered(ask: number, decision: Decision | null): void {
    const inquiry = this.#open.get(ask);
    if (inquiry === undefined) return;
    if (decision !== null && decision.atMs >= (inquiry.newest?.atMs ?? 0)) inquiry.newest = decision;
    inquiry.left -= 1;
    if (inquiry.left === 0) inquiry.end();
  }
}
