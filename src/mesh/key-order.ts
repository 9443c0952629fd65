/**
 * What members ask each other about their keys, on the control channel: one order, one answer.
 *
 *     order    version 1, op 1, time 4, receiver, sender, then: nothing for list; the key's 32 bytes for add; a
 *              fingerprint for use and remove
 *     answer   version 1, outcome 1, then: for an error its words; else a count 1, as many fingerprints, the primary's
 *              first, and the words of what the last change failed of
 *
 * A fingerprint is 8 bytes, an id its length (1) and UTF-8, words are UTF-8. Orders are only taken from packets that
 * were sealed, so whoever has a key of the mesh may give them, and a key that travels in one is as safe as the key that
 * seals it. Receiver and time are sealed with the rest: a recorded order is good for nobody else, and for no process
 * that started after it was given. Decoding never throws: what is not exactly of this form is undefined.
 */
import { isPrintable, printable } from "../base/printable.ts";
import { ID_BYTES_MAX } from "../swim/wire.ts";
import { KEY_BYTES, KEYS_MAX } from "./keyring.ts";

export type KeyOrder =
  | { readonly op: "list" }
  | { readonly op: "add"; readonly key: Uint8Array }
  | { readonly op: "use" | "remove"; readonly fingerprint: string };

/** An order on its way. */
export interface SentOrder {
  readonly order: KeyOrder;
  /** Ids of the members. */
  readonly to: string;
  readonly from: string;
  /** When it was given, since 1970. */
  readonly seconds: number;
}

export type KeyAnswer =
  | {
      /** The member's keys by now, the primary first. */
      readonly fingerprints: readonly string[];
      /** Whether they outlast a restart. */
      readonly kept: boolean;
      /** Why the last change failed there; "" if it did not. */
      readonly fault: string;
    }
  | { readonly error: string };

const VERSION = 2;
const HEAD_BYTES = 2;
const TIME_BYTES = 4;
const FINGERPRINT_BYTES = 8;
const OPS = ["list", "add", "use", "remove"] as const;
const OUTCOMES = ["error", "until restart", "kept"] as const;
const ERROR_CHARACTERS_MAX = 512;
/** A UTF-16 code unit takes three bytes at most. */
const ERROR_BYTES_MAX = 3 * ERROR_CHARACTERS_MAX;

const words = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });

export function encodeOrder({ order, to, from, seconds }: SentOrder): Uint8Array {
  const rest = order.op === "list" ? [] : order.op === "add" ? order.key : Buffer.from(order.fingerprint, "hex");
  const time = Buffer.alloc(TIME_BYTES);
  time.writeUInt32LE(seconds);
  return Uint8Array.of(VERSION, OPS.indexOf(order.op), ...time, ...idBytes(to), ...idBytes(from), ...rest);
}

export function decodeOrder(bytes: Uint8Array): SentOrder | undefined {
  if (bytes.length < HEAD_BYTES + TIME_BYTES || bytes[0] !== VERSION) return undefined;
  const seconds = new DataView(bytes.buffer, bytes.byteOffset).getUint32(HEAD_BYTES, true);
  const receiver = idAt(bytes, HEAD_BYTES + TIME_BYTES);
  const sender = receiver === undefined ? undefined : idAt(bytes, receiver.end);
  if (receiver === undefined || sender === undefined) return undefined;
  const order = orderOf(OPS[bytes[1]!], bytes.subarray(sender.end));
  return order === undefined ? undefined : { order, to: receiver.id, from: sender.id, seconds };
}

function orderOf(op: KeyOrder["op"] | undefined, rest: Uint8Array): KeyOrder | undefined {
  switch (op) {
    case "list":
      return rest.length === 0 ? { op } : undefined;
    case "add":
      return rest.length === KEY_BYTES ? { op, key: rest.slice() } : undefined;
    case "use":
    case "remove":
      return rest.length === FINGERPRINT_BYTES ? { op, fingerprint: hex(rest) } : undefined;
    case undefined:
      return undefined;
  }
}

export function encodeAnswer(answer: KeyAnswer): Uint8Array {
  if ("error" in answer) {
    return Uint8Array.of(VERSION, OUTCOMES.indexOf("error"), ...wordBytes(answer.error));
  }
  const { fingerprints, kept, fault } = answer;
  const outcome = OUTCOMES.indexOf(kept ? "kept" : "until restart");
  const listed = Buffer.from(fingerprints.join(""), "hex");
  return Uint8Array.of(VERSION, outcome, fingerprints.length, ...listed, ...wordBytes(fault));
}

export function decodeAnswer(bytes: Uint8Array): KeyAnswer | undefined {
  const outcome = bytes[0] === VERSION ? OUTCOMES[bytes[1] ?? OUTCOMES.length] : undefined;
  const rest = bytes.subarray(HEAD_BYTES);
  if (outcome === undefined) return undefined;
  if (outcome === "error") {
    const error = decoded(rest);
    return error === undefined ? undefined : { error };
  }
  const count = rest[0] ?? 0;
  const end = 1 + count * FINGERPRINT_BYTES;
  if (count < 1 || count > KEYS_MAX || rest.length < end) return undefined;
  const fingerprints = Array.from({ length: count }, (_, index) => {
    const start = 1 + index * FINGERPRINT_BYTES;
    return hex(rest.subarray(start, start + FINGERPRINT_BYTES));
  });
  const fault = decoded(rest.subarray(end));
  if (fault === undefined || new Set(fingerprints).size !== count) return undefined;
  return { fingerprints, kept: outcome === "kept", fault };
}

function idBytes(id: string): Uint8Array {
  const bytes = Buffer.from(id);
  return Uint8Array.of(bytes.length, ...bytes);
}

function idAt(bytes: Uint8Array, start: number): { readonly id: string; readonly end: number } | undefined {
  const length = bytes[start] ?? 0;
  const end = start + 1 + length;
  if (length === 0 || length > ID_BYTES_MAX || end > bytes.length) return undefined;
  const id = decoded(bytes.subarray(start + 1, end));
  return id === undefined ? undefined : { id, end };
}

function wordBytes(text: string): Uint8Array {
  return Buffer.from(printable(text.slice(0, ERROR_CHARACTERS_MAX)));
}

/** Words that end up on a terminal; undefined where they are none. */
function decoded(bytes: Uint8Array): string | undefined {
  if (bytes.length > ERROR_BYTES_MAX) return undefined;
  try {
    const text = words.decode(bytes);
    return text.length <= ERROR_CHARACTERS_MAX && isPrintable(text) ? text : undefined;
  } catch {
    return undefined;
  }
}

function hex(bytes: Uint8Array): string {
  return Buffer.from(bytes).toString("hex");
}
