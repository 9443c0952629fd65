/**
 * How many bytes of requests a port holds for all of its clients together. Every body has a limit of its own; but a
 * thousand connections times a hundred calls times that limit is more than any machine has.
 */
import { MeshError } from "../base/errors.ts";

export class ByteBudget {
  readonly #bytesMax: () => number;
  #held = 0;

  constructor(bytesMax: () => number) {
    this.#bytesMax = bytesMax;
  }

  get held(): number {
    return this.#held;
  }

  /** Whether so many bytes more may be held. */
  has(bytes: number): boolean {
    return this.#held + bytes <= this.#bytesMax();
  }

  /** So many bytes more are held, or fewer. */
  add(change: number): void {
    this.#held += change;
  }
}

export function overBudget(): MeshError {
  return new MeshError("over_capacity", "this port holds more requests than it may; try again in a moment", {
    retryAfterSeconds: 1,
  });
}
