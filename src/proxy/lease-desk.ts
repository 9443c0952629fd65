/**
 * The main thread's side of quotas: puts together what all workers want of shares, asks the store in one call, and hands
 * its answer back. One call is under way at a time, the next one a moment later at the earliest; a want that is told
 * again meanwhile takes the former's place. While nobody wants anything nothing is asked.
 *
 * A call that fails is not repeated: workers ask anew by themselves, and go on with the shares that they have until
 * somebody answers (policy/share-spender.ts).
 */
import { toMeshError } from "../base/errors.ts";
import type { Log } from "../obs/log.ts";
import { type Grant, type Want, WANTS_MAX } from "../policy/want.ts";

/** Between calls: workers renew their shares once a second, each at its own moment. */
const GAP_MS = 250;
/** Workers that ask in one turn are asked for together. */
const GATHER_MS = 20;
/** Of the wants of one call as JSON: a command has at most 1 MiB, and names may be long. */
const CALL_BYTES_MAX = 768 * 1024;
/** A share lasts two seconds: an answer that is later is none. */
const TIMEOUT_MS = 1500;

/** The part of a policy store that hands out shares. */
export interface Lender {
  lease(wants: readonly Want[], options?: { readonly timeoutMs?: number }): Promise<readonly Grant[]>;
}

export interface LeaseFigures {
  readonly answered: number;
  readonly failed: number;
  /** Shares that were granted, renewals included. */
  readonly grants: number;
  /** When the store last answered, by performance.now(); undefined: never yet. */
  readonly answeredAtMs: number | undefined;
}

export class LeaseDesk {
  readonly #onGrants: (grants: readonly Grant[]) => void;
  readonly #log: Log;
  #lender: Lender | null = null;
  /** The newest of each holder and quota. */
  readonly #wants = new Map<string, Want>();
  #timer: ReturnType<typeof setTimeout> | undefined;
  #isAsking = false;
  #askedMs = -Infinity;
  #answered = 0;
  #failed = 0;
  #grants = 0;
  #answeredAtMs: number | undefined;
  #isFailing = false;

  constructor(log: Log, onGrants: (grants: readonly Grant[]) => void) {
    this.#log = log;
    this.#onGrants = onGrants;
  }

  get figures(): LeaseFigures {
    const { answered, failed } = { answered: this.#answered, failed: this.#failed };
    return { answered, failed, grants: this.#grants, answeredAtMs: this.#answeredAtMs };
  }

  /** Null: nobody can be asked. */
  set lender(lender: Lender | null) {
    this.#lender = lender;
    this.#schedule();
  }

  want(wants: readonly Want[]): void {
    for (const want of wants) this.#wants.set(`${want.holder} ${want.quota}`, want);
    this.#schedule();
  }

  stop(): void {
    this.#lender = null;
    this.#wants.clear();
    clearTimeout(this.#timer);
  }

  #schedule(): void {
    if (this.#lender === null || this.#isAsking || this.#timer !== undefined || this.#wants.size === 0) return;
    const waitMs = Math.max(GATHER_MS, this.#askedMs + GAP_MS - performance.now());
    this.#timer = setTimeout(() => {
      this.#timer = undefined;
      void this.#ask();
    }, waitMs);
  }

  async #ask(): Promise<void> {
    const lender = this.#lender;
    const wants = asMany([...this.#wants.values()]);
    if (lender === null || wants.length === 0) return;
    for (const { holder, quota } of wants) this.#wants.delete(`${holder} ${quota}`);
    this.#isAsking = true;
    this.#askedMs = performance.now();
    try {
      const grants = await lender.lease(wants, { timeoutMs: TIMEOUT_MS });
      this.#answered++;
      this.#grants += grants.length;
      this.#answeredAtMs = performance.now();
      if (this.#isFailing) this.#log.info("shares of quotas are renewed again");
      this.#isFailing = false;
      this.#onGrants(grants);
    } catch (thrown) {
      this.#failed++;
      const error = toMeshError(thrown);
      if (!this.#isFailing) {
        this.#log.warn("shares of quotas can't be renewed; workers go on with those that they have", {
          error: error.message,
        });
      }
      this.#isFailing = true;
    } finally {
      this.#isAsking = false;
    }
    this.#schedule();
  }
}

/** The first ones, as many as go into one call. */
function asMany(wants: readonly Want[]): readonly Want[] {
  let bytes = 0;
  const last = wants.findIndex((want) => (bytes += Buffer.byteLength(JSON.stringify(want)) + 1) > CALL_BYTES_MAX);
  return wants.slice(0, Math.min(WANTS_MAX, last < 0 ? wants.length : Math.max(1, last)));
}
