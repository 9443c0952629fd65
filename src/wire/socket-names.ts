/**
 * Reads the models that a client names in the messages of a WebSocket: the top-level "model" of each that is JSON, whole
 * or in fragments, whatever frames they come in and wherever those are cut. A message names its model before its last byte
 * is here, so whoever asks with each piece can keep the server from having the whole of it.
 *
 * What is no JSON object (speech, plain text) names none. What some parser may read and this one can't is told
 * (`isUnreadable`): packed messages, JSON that is not exact, a model that is named twice or not where every parser looks.
 * Payloads are unmasked piece by piece into a buffer that all of a thread's sockets share.
 */
import { BodyFields } from "./json-field.ts";
import { FrameScanner, type FrameSink, OPCODE } from "./websocket.ts";

const OPEN = 123;
/** The first byte of a mark that some parsers pass over. */
const MARK = 0xef;
const SCRATCH_BYTES = 16_384;
const scratch = new Uint8Array(SCRATCH_BYTES);

export class SocketNames implements FrameSink {
  /** A message can't be read here, and may be at the server. */
  isUnreadable = false;
  readonly #frames = new FrameScanner(this);
  readonly #fields = new BodyFields();
  /** The message is read; else it is no JSON, or nobody's but the two ends'. */
  #isReading = false;
  #isData = false;
  /** The first byte of the message that is no blank; -1 before it came. */
  #first = -1;
  #mask: Uint8Array | null = null;
  #maskAt = 0;
  #named = "";
  #found: string[] = [];

  /** Takes bytes [start, end) of what the client says; answers the names in them, each message's once. */
  push(bytes: Uint8Array, start: number, end: number): readonly string[] {
    this.#found = [];
    this.#frames.push(bytes, start, end);
    return this.#found;
  }

  frameBegins(opcode: number, isPacked: boolean, mask: Uint8Array | null): void {
    this.#isData = opcode <= OPCODE.binary;
    if (!this.#isData) return;
    this.#mask = mask;
    this.#maskAt = 0;
    if (opcode !== OPCODE.continuation) {
      this.#fields.reset();
      this.#isReading = true;
      this.#first = -1;
      this.#named = "";
    }
    if (isPacked) this.isUnreadable = true;
  }

  payload(bytes: Uint8Array, start: number, end: number): void {
    if (!this.#isData || !this.#isReading) return;
    for (let from = start; from < end; from += SCRATCH_BYTES)
      this.#read(bytes, from, Math.min(end, from + SCRATCH_BYTES));
  }

  #read(bytes: Uint8Array, start: number, end: number): void {
    const fields = this.#fields;
    const mask = this.#mask;
    for (let i = start; i < end; i++) {
      const byte = mask === null ? bytes[i]! : bytes[i]! ^ mask[this.#maskAt++ & 3]!;
      scratch[i - start] = byte;
      if (this.#first < 0 && !isBlank(byte)) this.#first = byte;
    }
    const isBad = fields.push(scratch, 0, end - start) === "bad";
    if (isBad) this.#isReading = false;
    const isJson = this.#first === OPEN || this.#first === MARK;
    if (isJson && (isBad || fields.duplicateModel || fields.isUnclear)) this.isUnreadable = true;
    if (!fields.hasModel || fields.model === this.#named) return;
    this.#named = fields.model;
    this.#found.push(this.#named);
  }
}

function isBlank(byte: number): boolean {
  return byte === 32 || byte === 9 || byte === 10 || byte === 13;
}
