/**
 * What servers say in JSON, read without trust: a member that is not what it should be counts as not told. Names, versions
 * and reasons go on to logs, terminals and other nodes, so texts are short and printable, numbers are finite, and of
 * lists only so many items are looked at.
 *
 * Limits: 4 MiB of JSON, 1,024 items of a list or members of an object, 512 characters of a name, 256 of words.
 */
import { isRecord } from "../base/field.ts";
import { isPrintable, printable } from "../base/printable.ts";
import type { Answer } from "./adapter.ts";

export const JSON_BYTES_MAX = 4 * 2 ** 20;
export const ITEMS_MAX = 1024;
export const NAME_CHARS_MAX = 512;
export const WORDS_CHARS_MAX = 256;

type Path = readonly (string | number)[];

const decoder = new TextDecoder();

/** Undefined for what is no JSON, or more of it than anybody should answer. */
export function jsonOf({ body }: Pick<Answer, "body">): unknown {
  if (body.length > JSON_BYTES_MAX) return undefined;
  return jsonIn(decoder.decode(body));
}

export function jsonIn(text: string): unknown {
  try {
    return JSON.parse(text) as unknown;
  } catch {
    return undefined;
  }
}

/** What lies at a path of members; a whole number is a place in a list. Undefined where nothing does. */
export function memberAt(value: unknown, ...path: Path): unknown {
  let at = value;
  for (const part of path) {
    if (typeof part === "number") at = Array.isArray(at) ? (at as unknown[])[part] : undefined;
    else at = isRecord(at) && Object.hasOwn(at, part) ? at[part] : undefined;
  }
  return at;
}

/** "" where there is no text. */
export function textAt(value: unknown, ...path: Path): string {
  const at = memberAt(value, ...path);
  return typeof at === "string" ? at : "";
}

/** Names of a path's own, which lead somewhere else. */
const PATHS: readonly string[] = [".", ".."];

/** A name as it must be repeated to the server: whole and printable, or not at all. */
export function nameAt(value: unknown, ...path: Path): string | undefined {
  const at = memberAt(value, ...path);
  return typeof at === "string" && isName(at) ? at : undefined;
}

export function isName(text: string): boolean {
  return (
    text.length > 0 &&
    text.length <= NAME_CHARS_MAX &&
    text.trim() === text &&
    isPrintable(text) &&
    !PATHS.includes(text) &&
    // Half a surrogate pair can't be put in a path, and would not come back as it was.
    text.isWellFormed()
  );
}

/** Words for people: printable, on one line, cut short; "" where there are none. */
export function wordsAt(value: unknown, ...path: Path): string {
  return words(textAt(value, ...path));
}

export function words(text: string): string {
  const line = printable(
    text
      .slice(0, 4 * WORDS_CHARS_MAX)
      .toWellFormed()
      .replaceAll(/\s+/g, " ")
      .trim(),
  );
  return line.length <= WORDS_CHARS_MAX ? line : `${line.slice(0, WORDS_CHARS_MAX - 3)}...`;
}

/** A number from 0 on. */
export function numberAt(value: unknown, ...path: Path): number | undefined {
  const at = memberAt(value, ...path);
  return typeof at === "number" && at >= 0 && Number.isFinite(at) ? at : undefined;
}

/** A whole number from 1 on, of tokens, slots or workers; 0 stands for "not told" with most servers. */
export function countAt(value: unknown, ...path: Path): number | undefined {
  const at = memberAt(value, ...path);
  return typeof at === "number" && at >= 1 && Number.isSafeInteger(at) ? at : undefined;
}

export function flagAt(value: unknown, ...path: Path): boolean | undefined {
  const at = memberAt(value, ...path);
  return typeof at === "boolean" ? at : undefined;
}

/** Empty where there is no list. */
export function listAt(value: unknown, ...path: Path): readonly unknown[] {
  return itemsAt(value, ...path) ?? [];
}

/** Undefined where there is no list. */
export function itemsAt(value: unknown, ...path: Path): readonly unknown[] | undefined {
  const at = memberAt(value, ...path);
  return Array.isArray(at) ? (at as unknown[]).slice(0, ITEMS_MAX) : undefined;
}

/** Undefined where there is no object. */
export function membersAt(value: unknown, ...path: Path): readonly (readonly [string, unknown])[] | undefined {
  const at = memberAt(value, ...path);
  return isRecord(at) && !Array.isArray(at) ? Object.entries(at).slice(0, ITEMS_MAX) : undefined;
}

/** The start of a body as text, whatever it is. */
export function startOf({ body }: Pick<Answer, "body">, charsMax: number): string {
  return decoder.decode(body.subarray(0, charsMax * 4)).slice(0, charsMax);
}

/** Where servers put what went wrong, the more telling first. */
const COMPLAINTS: readonly Path[] = [
  ["error", "message"],
  ["error"],
  ["error_message"],
  ["message"],
  ["detail"],
  ["reason"],
];

/** What a refusal says; the status alone where it says nothing. */
export function complaint(answer: Answer): string {
  const json = jsonOf(answer);
  for (const path of COMPLAINTS) {
    const said = wordsAt(json, ...path);
    if (said !== "") return said;
  }
  const said = json === undefined ? words(startOf(answer, WORDS_CHARS_MAX)) : "";
  return said === "" || said.startsWith("<") ? `status ${answer.status}` : said;
}
