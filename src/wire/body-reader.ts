/**
 * What a reader of request bodies tells, whatever the body's format: the model by which a request is routed, and what
 * the cost model wants to know. The name is kept as bytes with their hash, so that a lookup makes no string.
 *
 * Limit: 512 bytes of model, well-formed UTF-8 without control characters, since it ends up in logs and metrics.
 */
import { FNV_BASIS, FNV_PRIME, isUtf8 } from "./octets.ts";

export const MODEL_BYTES_MAX = 512;

/** All is well so far; the end was seen; the body can't be used (see `reason`). */
export type BodyResult = "more" | "done" | "bad";

const decoder = new TextDecoder();

export abstract class BodyReader {
  hasModel = false;
  /** The model is named more than once; the first one is the one that is told. */
  duplicateModel = false;
  /** FNV-1a, 32 bits unsigned, of the model's decoded UTF-8 bytes. */
  modelHash = FNV_BASIS;
  /** The model's decoded UTF-8 bytes are modelBytes[0, modelLength). */
  readonly modelBytes: Uint8Array = new Uint8Array(MODEL_BYTES_MAX);
  modelLength = 0;
  /** Where the model lay in the pushed buffer, if it came whole in one push and without escapes; else -1. */
  modelStart = -1;
  modelEnd = -1;
  /** An answer in pieces is asked for. */
  stream = false;
  /** No model was found, or not where every reader looks: some may find another one. */
  isUnclear = false;
  /** Bytes of the prompt as it stands in the body. */
  promptBytes = 0;
  /** Why the body is bad, for its sender. */
  reason = "";
  #model = "";

  /** The model's name, "" when there is none (yet). */
  get model(): string {
    if (this.#model === "" && this.hasModel)
      this.#model = decoder.decode(this.modelBytes.subarray(0, this.modelLength));
    return this.#model;
  }

  reset(): void {
    this.hasModel = false;
    this.duplicateModel = false;
    this.modelHash = FNV_BASIS;
    this.modelLength = 0;
    this.modelStart = -1;
    this.modelEnd = -1;
    this.stream = false;
    this.isUnclear = false;
    this.promptBytes = 0;
    this.reason = "";
    this.#model = "";
  }

  /** Takes the bytes [start, end) of the body. */
  abstract push(buffer: Uint8Array, start: number, end: number): BodyResult;

  /** Says that the body has ended. */
  abstract finish(): BodyResult;

  /** Makes modelBytes[0, length) the model; answers why it can't be, or "". */
  protected takeModel(length: number): string {
    const bytes = this.modelBytes;
    let hash = FNV_BASIS;
    let seen = 0;
    let control = false;
    for (let i = 0; i < length; i++) {
      const byte = bytes[i]!;
      seen |= byte;
      if (byte < 32 || byte === 127) control = true;
      hash = Math.imul(hash ^ byte, FNV_PRIME);
    }
    if (length === 0) return "model must not be empty";
    if (control) return "model has a control character in it";
    if (seen > 127 && !isUtf8(bytes, length)) return "model is not well-formed UTF-8";
    this.modelHash = hash >>> 0;
    this.modelLength = length;
    this.hasModel = true;
    return "";
  }
}
