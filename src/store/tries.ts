/**
 * Tries: what only the leader can do is asked of it, wherever it is, and asked again while there is none. What is tried
 * again has one key, so it is done once; and once it may have been done, no later failure says that it was not.
 */
import { type ErrorCode, MeshError, toMeshError } from "../base/errors.ts";
import type { Member } from "../raft/entry.ts";
import { type RaftNode, stopping } from "./raft-node.ts";

/** Between two tries while nobody leads. */
const RETRY_MS = 25;

/** What another try may mend; draining: who was asked is stopping. */
const PASSING = new Set<ErrorCode>(["not_leader", "upstream_failed", "request_timeout", "draining"]);

export interface TriesOptions {
  readonly node: RaftNode;
  readonly self: Member;
  /** Where a member is reached now; undefined while nobody knows. */
  readonly addressOf: (member: Member) => string | undefined;
  readonly ask: (address: string, method: string, body: unknown, timeoutMs: number) => Promise<unknown>;
}

export class Tries {
  readonly #options: TriesOptions;
  #stopped = false;

  constructor(options: TriesOptions) {
    this.#options = options;
  }

  /** No try is begun any more. */
  stop(): void {
    this.#stopped = true;
  }

  /** At the leader, here or elsewhere. */
  async atLeader<A>(
    method: string,
    body: object,
    timeoutMs: number,
    here: (leftMs: number) => Promise<A>,
  ): Promise<unknown> {
    return this.until(performance.now() + timeoutMs, async (leftMs) => {
      const { leader } = this.#options.node.raft.status();
      if (leader === this.#options.self) return here(leftMs);
      const address = this.#options.addressOf(leader);
      if (address === undefined) throw new MeshError("not_leader", "no leader is known");
      const asked = this.#options.ask(address, method, { ...body, timeoutMs: Math.ceil(leftMs) }, leftMs);
      return this.#whileLed(leader, asked);
    });
  }

  /** What a leader is asked, unless another one takes its place: it may be cut off, and never answer. */
  #whileLed(leader: Member, asked: Promise<unknown>): Promise<unknown> {
    const { promise, reject } = Promise.withResolvers<never>();
    const timer = setInterval(() => {
      if (this.#options.node.raft.status().leader === leader) return;
      reject(
        new MeshError("request_timeout", "the leader changed; what it was asked may have been done", {
          retryable: true,
        }),
      );
    }, RETRY_MS);
    asked.catch(() => {});
    return Promise.race([asked, promise]).finally(() => clearInterval(timer));
  }

  /** Again while the leader is being looked for, until the time is over. */
  async until<A>(untilMs: number, attempt: (leftMs: number) => Promise<A>): Promise<A> {
    let failure: MeshError | null = null;
    for (;;) {
      const leftMs = untilMs - performance.now();
      if (leftMs <= 0) throw failure ?? noQuorum();
      if (this.#stopped) throw failure ?? stopping();
      try {
        return await attempt(leftMs);
      } catch (thrown) {
        const error = toMeshError(thrown);
        // Once it may have been done, that is what must be told.
        if (!PASSING.has(error.code)) throw failure ?? error;
        if (error.code === "request_timeout") failure = error;
        if (this.#stopped) throw failure ?? stopping();
        await Bun.sleep(Math.max(0, Math.min(RETRY_MS, untilMs - performance.now())));
      }
    }
  }
}

export function noQuorum(): MeshError {
  return new MeshError(
    "no_quorum",
    "no majority of the control nodes can be reached, so nothing can be changed now; what is in force stays so. Try again, and see `infermesh ctl control status`",
  );
}
