/**
 * `fmaas.GenerationService` of vLLM's gRPC adapter and of TGIS: `Generate`, which answers at once, and `GenerateStream`.
 * Both requests have one form on the wire, since the one that may hold several texts holds one.
 *
 *     request:  1 model_id, 3 { 2 text }, 10 { 3 { 1 max_new_tokens, 2 min_new_tokens } }
 *     response: 2 generated_token_count, 4 text, 6 input_token_count; in 1 of Generate's
 *
 * Answers come as bytes, split anywhere. Nothing throws: `fault` says what was malformed. Limits: 4 MiB of a message;
 * compressed ones can't be read.
 */
import type { TokenCounts } from "./answer.ts";

export const SERVICE = "fmaas.GenerationService";
const MESSAGE_BYTES_MAX = 4_194_304;
const HEAD_BYTES = 5;
const VARINT_BYTES_MAX = 10;
const encoder = new TextEncoder();

/** A framed request. `exactly`: no fewer tokens than so many, either. */
export function generateRequest(model: string, prompt: string, tokens: number, exactly: boolean): Uint8Array {
  const stopping = [...field(1, tokens), ...(exactly ? field(2, tokens) : [])];
  const parameters = joined(10, joined(3, Uint8Array.from(stopping)));
  const text = joined(3, joined(2, encoder.encode(prompt)));
  const name = joined(1, encoder.encode(model));
  const length = name.length + text.length + parameters.length;
  const out = new Uint8Array(HEAD_BYTES + length);
  new DataView(out.buffer).setUint32(1, length);
  out.set(name, HEAD_BYTES);
  out.set(text, HEAD_BYTES + name.length);
  out.set(parameters, HEAD_BYTES + name.length + text.length);
  return out;
}

function field(number: number, value: number): number[] {
  return [number << 3, ...varint(value)];
}

function varint(value: number): number[] {
  const bytes: number[] = [];
  let left = value;
  for (; left > 127; left = Math.floor(left / 128)) bytes.push((left % 128) | 128);
  return [...bytes, left];
}

function joined(number: number, bytes: Uint8Array): Uint8Array {
  const head = [(number << 3) | 2, ...varint(bytes.length)];
  const out = new Uint8Array(head.length + bytes.length);
  out.set(head);
  out.set(bytes, head.length);
  return out;
}

export class GenerateAnswer implements TokenCounts {
  readonly #isStreamed: boolean;
  #kept = new Uint8Array(0);
  texts = 0;
  messages = 0;
  promptTokens = -1;
  outputTokens = -1;
  readonly cachedTokens = -1;
  fault = "";

  constructor(isStreamed: boolean) {
    this.#isStreamed = isStreamed;
  }

  /** Whether all messages that began are whole. */
  get isWhole(): boolean {
    return this.#kept.length === 0 && this.messages > 0;
  }

  /** Answers how many messages with text were in it. */
  push(bytes: Uint8Array): number {
    if (this.fault !== "") return 0;
    const before = this.texts;
    const all = new Uint8Array(this.#kept.length + bytes.length);
    all.set(this.#kept);
    all.set(bytes, this.#kept.length);
    const view = new DataView(all.buffer);
    let at = 0;
    while (at + HEAD_BYTES <= all.length && this.fault === "") {
      const length = view.getUint32(at + 1);
      if (all[at] !== 0) this.fault = "a compressed message";
      else if (length > MESSAGE_BYTES_MAX) this.fault = "a message of more than 4 MiB";
      else if (at + HEAD_BYTES + length > all.length) break;
      else this.#message(all.subarray(at + HEAD_BYTES, at + HEAD_BYTES + length));
      at += HEAD_BYTES + length;
    }
    this.#kept = this.fault === "" ? all.slice(at) : new Uint8Array(0);
    return this.texts - before;
  }

  #message(bytes: Uint8Array): void {
    this.messages += 1;
    const isRead = this.#isStreamed
      ? this.#response(bytes)
      : fields(bytes, (number, _, nested) => {
          if (number === 1 && nested !== null && !this.#response(nested)) this.fault = "a message that is no protobuf";
        });
    if (!isRead) this.fault = "a message that is no protobuf";
  }

  #response(bytes: Uint8Array): boolean {
    return fields(bytes, (number, value, nested) => {
      if (number === 2 && nested === null) this.outputTokens = value;
      else if (number === 6 && nested === null && value > 0) this.promptTokens = value;
      else if (number === 4 && nested !== null && nested.length > 0) this.texts += 1;
    });
  }
}

/** Calls for each field that is a varint or bytes; false: it is no protobuf. */
function fields(bytes: Uint8Array, take: (number: number, value: number, nested: Uint8Array | null) => void): boolean {
  let at = 0;
  const next = (): number => {
    let [value, scale] = [0, 1];
    for (let count = 0; count < VARINT_BYTES_MAX && at < bytes.length; count += 1) {
      const byte = bytes[at]!;
      at += 1;
      value += (byte & 127) * scale;
      if (byte < 128) return value;
      scale *= 128;
    }
    return -1;
  };
  while (at < bytes.length) {
    const tag = next();
    const [number, type] = [Math.floor(tag / 8), tag % 8];
    if (tag < 8) return false;
    if (type === 1) at += 8;
    else if (type === 5) at += 4;
    else if (type === 0 || type === 2) {
      const value = next();
      if (value < 0) return false;
      if (type === 0) take(number, value, null);
      else {
        if (value > bytes.length - at) return false;
        take(number, value, bytes.subarray(at, at + value));
        at += value;
      }
    } else return false;
  }
  return at === bytes.length;
}
