/**
 * Messages of one call that come compressed by gzip. What a message inflates to is bounded like a message that comes as
 * it is: a bomb ends its call with RESOURCE_EXHAUSTED, and no more of it than the limit was ever in memory.
 *
 * A kilobyte may become a megabyte, so what was inflated counts in the port's budget until the next message or the end
 * of the call.
 */
import { gunzip } from "node:zlib";
import { MeshError } from "../base/errors.ts";
import { type ByteBudget, overBudget } from "./byte-budget.ts";

/** What is read beside messages as they are. */
export const GZIP = "gzip";
export const ENCODINGS = "identity,gzip";

/** No more comes out of a byte of deflate; and what its head and tail are good for. */
const RATIO_MAX = 1032;
const SLACK_BYTES = 1024;

export class Inflation {
  readonly #budget: ByteBudget;
  readonly #bytesMax: number;
  #held = 0;

  constructor(budget: ByteBudget, bytesMax: number) {
    this.#budget = budget;
    this.#bytesMax = bytesMax;
  }

  /** Throws a MeshError for what is no gzip, or too long. The message before counts no more. */
  async inflate(bytes: Uint8Array): Promise<Uint8Array> {
    this.end();
    // As gRPC's own implementations have it: nothing, whatever it is said to be.
    if (bytes.length === 0) return bytes;
    const room = Math.min(this.#bytesMax, bytes.length * RATIO_MAX + SLACK_BYTES);
    if (!this.#budget.has(room)) throw overBudget();
    this.#hold(room);
    try {
      const inflated = await gunzipped(bytes, this.#bytesMax);
      this.#hold(inflated.length - room);
      return inflated;
    } catch (error) {
      this.end();
      throw error;
    }
  }

  /** The call is over, or its message was read. */
  end(): void {
    this.#hold(-this.#held);
  }

  #hold(change: number): void {
    this.#held += change;
    this.#budget.add(change);
  }
}

async function gunzipped(bytes: Uint8Array, bytesMax: number): Promise<Uint8Array> {
  const { promise, resolve, reject } = Promise.withResolvers<Uint8Array>();
  gunzip(bytes, { maxOutputLength: bytesMax }, (error, inflated) => {
    if (error === null) resolve(inflated);
    else if ((error as { code?: string }).code === "ERR_BUFFER_TOO_LARGE") {
      reject(new MeshError("payload_too_large", `a message inflates to more than ${bytesMax} bytes, the most taken`));
    } else {
      reject(new MeshError("bad_request", `the message is said to be gzip, and is not: ${error.message}`));
    }
  });
  return promise;
}
