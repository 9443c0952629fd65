/**
 * What members ask each other about their keys, on the control channel: one order, one answer.
 *
 *     order    version 1, op 1, then: nothing for list; the key's 32 bytes for add; a fingerprint for use and remove
 *     answer   version 1, outcome 1, then: fingerprints, the primary's first; or for an error its words in UTF-8
 *
 * A fingerprint is 8 bytes. Orders are only taken from packets that were sealed, so whoever has a key of the mesh may
 * give them, and a key that travels in one is as safe as the key that seals it. Decoding never throws: what is not
 * exactly of this form is undefined.
 */
import { KEY_BYTES, KEYS_MAX } from "./keyring.ts";

export type KeyOrder =
  | { readonly op: "list" }
  | { readonly op: "add"; readonly key: Uint8Array }
  | { readonly op: "use" | "remove"; readonly fingerprint: string };

export type KeyAnswer =
  | {
      /** The member's keys by now, the primary first. */
      readonly fingerprints: readonly string[];
      /** Whether they outlast a restart. */
      readonly kept: boolean;
    }
  | { readonly error: string };

const VERSION = 1;
const HEAD_BYTES = 2;
const FINGERPRINT_BYTES = 8;
const OPS = ["list", "add", "use", "remove"] as const;
const OUTCOMES = ["error", "until restart", "kept"] as const;
const ERROR_CHARACTERS_MAX = 512;
/** A UTF-16 code unit takes three bytes at most. */
const ERROR_BYTES_MAX = 3 * ERROR_CHARACTERS_MAX;
// eslint-disable-next-line no-control-regex
const UNPRINTABLE = /[\u0000-\u001f\u007f-\u009f\u2028\u2029]/g;

const words = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });

export function encodeOrder(order: KeyOrder): Uint8Array {
  const rest = order.op === "list" ? [] : order.op === "add" ? order.key : Buffer.from(order.fingerprint, "hex");
  return Uint8Array.of(VERSION, OPS.indexOf(order.op), ...rest);
}

export function decodeOrder(bytes: Uint8Array): KeyOrder | undefined {
  const op = bytes[0] === VERSION ? OPS[bytes[1] ?? OPS.length] : undefined;
  const rest = bytes.subarray(HEAD_BYTES);
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
    const text = answer.error.slice(0, ERROR_CHARACTERS_MAX).replace(UNPRINTABLE, "?");
    return Buffer.concat([Uint8Array.of(VERSION, OUTCOMES.indexOf("error")), Buffer.from(text)]);
  }
  const outcome = OUTCOMES.indexOf(answer.kept ? "kept" : "until restart");
  return Uint8Array.of(VERSION, outcome, ...Buffer.from(answer.fingerprints.join(""), "hex"));
}

export function decodeAnswer(bytes: Uint8Array): KeyAnswer | undefined {
  const outcome = bytes[0] === VERSION ? OUTCOMES[bytes[1] ?? OUTCOMES.length] : undefined;
  const rest = bytes.subarray(HEAD_BYTES);
  if (outcome === undefined) return undefined;
  if (outcome === "error") {
    const error = rest.length <= ERROR_BYTES_MAX ? decoded(rest) : undefined;
    return error === undefined ? undefined : { error };
  }
  const count = rest.length / FINGERPRINT_BYTES;
  if (!Number.isInteger(count) || count < 1 || count > KEYS_MAX) return undefined;
  const fingerprints = Array.from({ length: count }, (_, index) =>
    hex(rest.subarray(index * FINGERPRINT_BYTES, (index + 1) * FINGERPRINT_BYTES)),
  );
  return new Set(fingerprints).size === count ? { fingerprints, kept: outcome === "kept" } : undefined;
}

/** The words of an error, which end up on a terminal; undefined where they are none. */
function decoded(bytes: Uint8Array): string | undefined {
  try {
    const text = words.decode(bytes);
    return text.length <= ERROR_CHARACTERS_MAX && text.search(UNPRINTABLE) < 0 ? text : undefined;
  } catch {
    return undefined;
  }
}

function hex(bytes: Uint8Array): string {
  return Buffer.from(bytes).toString("hex");
}
