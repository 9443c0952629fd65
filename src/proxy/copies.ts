/** Copies of requests for revisions in the shadow, as the rest of a worker knows them; shadows.ts makes them. */
import type { ApiShape } from "../wire/api-shapes.ts";
import type { Reshaped } from "./reshape.ts";

/** A request that has been sent. */
export interface Copied {
  readonly model: number;
  readonly held: Buffer;
  readonly heldEnd: number;
  readonly isComplete: boolean;
  readonly isUpgrade: boolean;
  readonly isHead: boolean;
  readonly shape: ApiShape;
}

export interface Copies {
  /** In flight. */
  readonly size: number;
  /** Sends a copy where the model's policy says so, of a request of so many prompt tokens. */
  copy(request: Copied, shaped: Reshaped | null, tokens: number): void;
  /** Gives up those that take too long; call it now and then. */
  expire(nowMs: number): void;
}
