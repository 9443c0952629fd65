/** The seam between what reads GPUs and the probe process that asks it to. */
import type { GpuFault, GpuGroup, GpuStack, GpuUpdate } from "../health/reading.ts";

/**
 * Why a backend can't serve:
 *   absent    there is no such driver, library or card: nothing is wrong with the machine
 *   denied    it is there and may not be read by us
 *   broken    it is there and fails: a driver that does not answer to its library, a foreign or garbled library
 *   lost      a GPU fell off the bus, or needs a reset; open it anew, with pauses
 */
export const BACKEND_TROUBLES = ["absent", "denied", "broken", "lost"] as const;
export type BackendTrouble = (typeof BACKEND_TROUBLES)[number];

/** `message` says what happened, where, and what to do next, in one line. */
export class BackendError extends Error {
  readonly trouble: BackendTrouble;
  /** The library in this process is of another driver than the one that runs: only a new process can open it. */
  readonly isStale: boolean;

  constructor(trouble: BackendTrouble, message: string, options: { readonly isStale?: boolean } = {}) {
    super(message);
    this.name = "BackendError";
    this.trouble = trouble;
    this.isStale = options.isStale ?? false;
  }
}

/** The end of the advice for a machine without GPUs: for agents, and for nobody who asked for GPUs. */
export const OR_NONE = ", or set --gpu none";

/**
 * An opened backend. Its constructor or opening function throws a BackendError where it can't serve; so does `read` where
 * all of it must be opened anew. What only one GPU or one figure fails at is left out of the result.
 * All of it blocks, and may hang or crash: it is for the probe process alone.
 */
export interface GpuBackend {
  readonly stack: GpuStack;
  /**
   * One look at the groups of all GPUs. With "identity" among them every GPU that there is stands in the result;
   * `nowMs` is a monotonic clock, for figures that are rates.
   */
  read(groups: ReadonlySet<GpuGroup>, nowMs: number): GpuUpdate[];
  /** A GPU is lost, or came, since the last look at identities: the next look should be one. */
  readonly isRollDue?: boolean;
  /** Of the last look at identities: which GPUs there are that can't be read, and why, in one line; "" for none. */
  readonly note?: string;
  /** Faults since the last call; does not wait. */
  faults(): GpuFault[];
  close(): void;
}
