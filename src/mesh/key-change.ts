/** What an operator wants done with the mesh's keys, read from JSON. Nothing that was given is repeated in a fault. */
import { MeshError } from "../base/errors.ts";
import { isRecord } from "../base/field.ts";
import { parseKey } from "./keyring.ts";

export type KeyChange = { readonly op: "add"; readonly key: Uint8Array } | KeyChoice;

export interface KeyChoice {
  readonly op: "use" | "remove";
  /** 6 to 16 hex digits: a fingerprint, or its beginning. */
  readonly fingerprint: string;
  /** Go on without members that have failed, can't be reached, or don't tell their keys. */
  readonly force: boolean;
}

const KEY = "32 bytes in base64 (44 characters), as `infermesh ctl keyring generate` makes them";
const FINGERPRINT = "6 to 16 hex digits of a key's fingerprint, as `infermesh ctl keyring list` shows it";

/** Throws `bad_request` with the first fault. */
export function parseKeyChange(json: unknown): KeyChange {
  if (!isRecord(json)) throw fault("", 'a JSON object such as {"op": "use", "fingerprint": "3f2a9c"}');
  const { op, key, fingerprint, force = false } = json;
  if (op === "add") {
    const bytes = typeof key === "string" ? parseKey(key.trim()) : undefined;
    if (bytes === undefined) throw fault("key", KEY);
    return { op, key: bytes };
  }
  if (op !== "use" && op !== "remove") throw fault("op", "add, use or remove");
  if (typeof fingerprint !== "string" || !/^[0-9a-f]{6,16}$/i.test(fingerprint))
    throw fault("fingerprint", FINGERPRINT);
  if (typeof force !== "boolean") throw fault("force", "true or false");
  return { op, fingerprint: fingerprint.toLowerCase(), force };
}

function fault(param: string, expected: string): MeshError {
  const what = param === "" ? "the body" : param;
  return new MeshError(
    "bad_request",
    `${what} is missing or wrong; expected ${expected}`,
    param === "" ? {} : { param },
  );
}
