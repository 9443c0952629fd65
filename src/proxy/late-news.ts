/** What workers tell the late desk, and what it answers: numbers of requests are each worker's own. */

import type { PromptPrefix, SessionHome } from "../flow/fair-order.ts";
import type { BindingKind } from "../flow/late-room.ts";

/** A request that is held. Times are relative, since clocks of threads begin at different moments. */
export interface LateAsk {
  readonly id: number;
  /** By which it was told of before, if it was bound in vain: it has waited since then. 0: it is new. */
  readonly before: number;
  readonly model: number;
  readonly tokens: number;
  /** 0 goes first. */
  readonly priority: number;
  /** Since it came. */
  readonly ageMs: number;
  /** Until its first token is wanted; Infinity: no matter. */
  readonly wantedInMs: number;
  readonly tenant: string;
  readonly weight: number;
  /** Its answer comes whole, so that its first token is not seen. */
  readonly isSilent: boolean;
  /** By which the desk looks up, as long as it waits, who has its prompt cached. */
  readonly prefix: PromptPrefix | null;
  readonly session: SessionHome | null;
}

/** What happened in a worker in one turn of its loop, of all its requests. */
export interface LateNews {
  readonly asks: readonly LateAsk[];
  /** Bound ones whose first token came so long ago, or all of the answer. */
  readonly answered: readonly { readonly id: number; readonly agoMs: number }[];
  /** They wait no more, or ended without a first token. */
  readonly over: readonly number[];
  /** The worker has no way to where they were bound. */
  readonly unreached: readonly number[];
  /** Models that others wait for, at whose targets places were given back. */
  readonly freed: readonly number[];
}

/** A place is claimed for the request, in the worker's name: it goes there, or gives the claim back. */
export interface LateBound {
  readonly id: number;
  readonly row: number;
  /** Claimed, of its prompt: those that the target is not believed to have cached. */
  readonly tokens: number;
  readonly why: HeldFor;
}

/** For how long a request was held, and why it was bound then and there. */
export interface HeldFor {
  /** The router whose desk bound it; "": this one. */
  readonly desk: string;
  readonly waitedMs: number;
  /** Requests that waited for the model, itself among them. */
  readonly waiting: number;
  /** Until the target has computed what it has, and what this one takes. */
  readonly aheadMs: number;
  readonly workMs: number;
  readonly kind: BindingKind;
}
