/** Whether what reads the GPUs does read them. */
import type { GpuStack } from "./reading.ts";

/**
 *   starting       nothing is known yet
 *   ok             it reads
 *   absent         there is no such driver, library or card
 *   denied         it is there and may not be read by us
 *   broken         it is there and fails
 *   lost           a GPU fell off the bus, or needs a reset, and nothing can be read until that is over
 *   unresponsive   a call into the driver does not come back
 */
export const SOURCE_STATES = ["starting", "ok", "absent", "denied", "broken", "lost", "unresponsive"] as const;

export interface SourceState {
  readonly state: (typeof SOURCE_STATES)[number];
  /** What happened, where, and what to do next, in one line; "" when nothing did. Of ok: which GPUs can't be read. */
  readonly message: string;
  /** Unix time. */
  readonly sinceMs: number;
  readonly stack?: GpuStack | undefined;
  /** Names that more than one GPU has. */
  readonly ambiguous?: readonly string[] | undefined;
}
