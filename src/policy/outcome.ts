/**
 * How a command ended: the same on every member, since it follows from the log alone.
 */
import type { Item } from "./item.ts";

/**
 * `conflict`: the item is not at the revision that was expected. `invalid`: nobody should have proposed it.
 * `not_found`: there is nothing to delete. `limit`: the store is as full as it may get.
 */
export type RefusalCode = "conflict" | "invalid" | "not_found" | "limit";

export interface Refusal {
  readonly ok: false;
  readonly code: RefusalCode;
  readonly message: string;
  /** Which of the writes it was; -1 where it was none of them. */
  readonly at: number;
  /** Of a conflict: the item as it is, null if there is none. */
  readonly current?: Item | null;
}

export interface Done {
  readonly ok: true;
  /** The revision that the command made; where it changed nothing, the newest then. */
  readonly revision: number;
  /** What each write left: null for a deleted item. Of a repeated command what is there now, which may be newer. */
  readonly items: readonly (Item | null)[];
  /** Whether anything is other than before. A put of what is there already changes nothing. */
  readonly changed: boolean;
  /** The idempotency key was known: this is the outcome of the first time. */
  readonly repeated: boolean;
}

export type Outcome = Done | Refusal;
