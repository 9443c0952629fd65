/** Secrets and headers of a runtime, as people write them: what is refused is shown without them. */
import { isRecord, type Reading, refuse } from "../base/field.ts";
import { parseSecret, type Secret, SECRET_EXPECTED } from "./runtime-secret.ts";

export const TOKEN = /^[A-Za-z0-9!#$%&'*+.^_`|~-]{1,64}$/;
/** What says how a message is framed, or where it goes. */
const NOT_HEADERS = ["host", "connection", "content-length", "transfer-encoding", "te", "upgrade", "expect", "trailer"];
const HEADERS_MAX = 16;
const HIDDEN = "(hidden)";

export function secretOf(value: unknown, at: Reading): Secret | undefined {
  if (value === undefined) return undefined;
  const secret = typeof value === "string" ? parseSecret(value) : undefined;
  return secret ?? refuse(HIDDEN, at, SECRET_EXPECTED);
}

export function headersOf(value: unknown, at: Reading): Readonly<Record<string, Secret>> {
  if (value === undefined) return {};
  const entries = isRecord(value) ? Object.entries(value) : [];
  if (!isRecord(value) || entries.length > HEADERS_MAX) {
    refuse(HIDDEN, at, `at most ${HEADERS_MAX} headers by their names`);
    return {};
  }
  const secrets: [string, Secret][] = [];
  for (const [name, item] of entries) {
    if (!TOKEN.test(name) || NOT_HEADERS.includes(name.toLowerCase())) {
      refuse(name.slice(0, 64), at, "the name of a header that is about neither framing nor where a request goes");
      continue;
    }
    const secret = secretOf(item, within(at, name));
    if (secret !== undefined) secrets.push([name, secret]);
  }
  return Object.freeze(Object.fromEntries(secrets));
}

export function within(at: Reading, key: string): Reading {
  return { ...at, path: `${at.path}.${key}` };
}
