/**
 * How a runtime is, as its watch (watch.ts) sees it:
 *
 *   connecting     nothing was heard of it yet
 *   starting       it answers, but loads its model still
 *   ready          it serves
 *   slow           it serves, but its metrics do not come in time: requests go on, its figures age
 *   unresponsive   nothing at all is answered: it hangs, is stopped (SIGSTOP), or its packets are dropped
 *   down           it can't be connected to: it crashed, was ended, was not started yet, or TLS or its name is wrong
 *   foreign        something else answers at that port
 *   denied         it wants a key that we do not have
 *
 * Each is left by itself as soon as what was asked is answered otherwise.
 */
import type { RuntimeState } from "../base/runtime-terms.ts";

export interface RuntimeStatus {
  readonly state: RuntimeState;
  /** For people: why it is so, and what to do about it where something can be done; "" where there is nothing to say. */
  readonly message: string;
  /** Since when, on the clock of nowMs. */
  readonly sinceMs: number;
}

/** Whether requests may be sent to it. */
export function isServing(state: RuntimeState): boolean {
  return state === "ready" || state === "slow";
}
