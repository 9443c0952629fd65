/**
 * Reading what people put into a policy: plain JSON in, a value in its one canonical form or faults out. Each fault names
 * the field, what was expected and what was found. Canonical: fields in the order of their declaration, maps by key,
 * nothing that was not said, so that equal policies are equal as text.
 */
import { type Fault, type Reading, formatFault, isRecord, refuse } from "../base/field.ts";
import { didYouMean } from "../base/nearest.ts";
import { escaped, isPrintable } from "../base/printable.ts";

/** The value, or undefined after a fault was reported. */
export type Reader<T> = (raw: unknown, at: Reading) => T | undefined;

const FAULTS_SHOWN_MAX = 8;

/** Where reading starts. */
export function readingAt(path: string, faults: Fault[]): Reading {
  return { path, source: "", fromText: false, faults };
}

/** A part of what is being read. Its path is put together when a fault asks for it, which is hardly ever. */
class Inner implements Reading {
  readonly source: string;
  readonly fromText: boolean;
  readonly faults: Fault[];
  readonly #outer: Reading;
  readonly #part: string;

  constructor(outer: Reading, part: string) {
    this.source = outer.source;
    this.fromText = outer.fromText;
    this.faults = outer.faults;
    this.#outer = outer;
    this.#part = part;
  }

  get path(): string {
    const { path } = this.#outer;
    const dot = path === "" || this.#part.startsWith("[") ? "" : ".";
    return `${path}${dot}${this.#part}`;
  }
}

/** Something within what is being read: `writes[2]`, `spec.nodes`. */
export function inside(at: Reading, part: string): Reading {
  return new Inner(at, part);
}

/** A field that someone else named. */
export function within(at: Reading, field: string): Reading {
  return inside(at, escaped(field.slice(0, 100)));
}

/** The faults in one line, or undefined when there are none. */
export function faultsText(faults: readonly Fault[]): string | undefined {
  if (faults.length === 0) return undefined;
  const more = faults.length - FAULTS_SHOWN_MAX;
  const shown = faults.slice(0, FAULTS_SHOWN_MAX).map(formatFault).join("; ");
  return more > 0 ? `${shown}; and ${more} more` : shown;
}

export function whole(min: number, max: number, what = ""): Reader<number> {
  const expected = `a whole number from ${min} to ${max}${what}`;
  return (raw, at) => {
    if (typeof raw !== "number" || !Number.isInteger(raw) || raw < min || raw > max) return refuse(raw, at, expected);
    // -0 is written as 0, and must be read as what is written.
    return raw + 0;
  };
}

/** A number from `min`, which is above 0, to `max`. */
export function positive(min: number, max: number): Reader<number> {
  const expected = `a number above 0, from ${min} to ${max}`;
  return (raw, at) => (typeof raw === "number" && raw >= min && raw <= max ? raw : refuse(raw, at, expected));
}

export const truth: Reader<boolean> = (raw, at) => (typeof raw === "boolean" ? raw : refuse(raw, at, "true or false"));

/** Text for people: spaces are welcome, what steers a terminal is not. */
export function text(charactersMax: number): Reader<string> {
  const expected = `text of at most ${charactersMax} printable characters`;
  return (raw, at) =>
    typeof raw === "string" && raw.length <= charactersMax && isPrintable(raw) && raw.isWellFormed()
      ? raw
      : refuse(raw, at, expected);
}

/** Whether it can be a name, or a part of one: printable, without white space, not empty. */
export function isName(raw: unknown, charactersMax: number): raw is string {
  if (typeof raw !== "string" || raw === "" || raw.length > charactersMax) return false;
  return !/\s/u.test(raw) && isPrintable(raw) && raw.isWellFormed();
}

export function name(charactersMax: number, what: string): Reader<string> {
  const expected = `${what} of 1 to ${charactersMax} printable characters without spaces`;
  return (raw, at) => (isName(raw, charactersMax) ? raw : refuse(raw, at, expected));
}

export function oneOf<const T extends string>(words: readonly T[]): Reader<T> {
  const expected = words.join(" or ");
  return (raw, at) => {
    const word = words.find((each) => each === raw);
    return word ?? refuse(raw, at, expected, typeof raw === "string" ? didYouMean(raw, words) : "");
  };
}

/** A list of 1 to `max` different names. */
export function namesOf(item: Reader<string>, max: number, what: string): Reader<readonly string[]> {
  return (raw, at) => {
    if (!Array.isArray(raw) || raw.length === 0 || raw.length > max) {
      return refuse(raw, at, `a list of 1 to ${max} ${what}`);
    }
    const seen = new Set<string>();
    const before = at.faults.length;
    for (const [index, each] of raw.entries()) {
      const here = inside(at, `[${index}]`);
      const read = item(each, here);
      if (read === undefined) continue;
      if (seen.has(read)) refuse(each, here, `each of the ${what} once`);
      seen.add(read);
    }
    return at.faults.length === before ? [...seen] : undefined;
  };
}

/** A map of 1 to `max` entries, by key. */
export function mapOf<T>(key: Reader<string>, value: Reader<T>, max: number): Reader<Readonly<Record<string, T>>> {
  return (raw, at) => {
    const entries = isRecord(raw) ? Object.entries(raw) : [];
    if (entries.length === 0 || entries.length > max) return refuse(raw, at, `1 to ${max} keys with their values`);
    const before = at.faults.length;
    const read: [string, T][] = [];
    for (const [word, each] of entries) {
      const here = within(at, word);
      const known = key(word, here);
      const found = value(each, here);
      if (known !== undefined && found !== undefined) read.push([known, found]);
    }
    // fromEntries, since `__proto__` is a name like any other.
    return at.faults.length === before ? Object.fromEntries(read.toSorted(([a], [b]) => (a < b ? -1 : 1))) : undefined;
  };
}

/** The readers of an object's fields. */
export type Fields<T> = { readonly [K in keyof Required<T>]: Reader<Required<T>[K]> };

/** An object of these fields; unknown ones are refused. `check` looks at the whole once every field is right. */
export function objectOf<T extends object>(
  fields: Fields<T>,
  required: readonly (keyof T & string)[],
  check?: (value: T, at: Reading) => void,
): Reader<T> {
  const names = Object.keys(fields) as (keyof T & string)[];
  const known: ReadonlySet<string> = new Set(names);
  return (raw, at) => {
    if (!isRecord(raw)) return refuse(raw, at, `an object of ${names.join(", ")}`);
    const before = at.faults.length;
    for (const word of Object.keys(raw)) {
      if (known.has(word)) continue;
      refuse(raw[word], within(at, word), "no such field", didYouMean(word, names));
    }
    const read: Partial<Record<keyof T & string, unknown>> = {};
    for (const field of names) {
      const found = Object.hasOwn(raw, field) ? raw[field] : undefined;
      if (found !== undefined) read[field] = fields[field](found, inside(at, field));
      else if (required.includes(field)) refuse(found, inside(at, field), "a value, since it must be said");
    }
    if (at.faults.length > before) return undefined;
    const value = read as T;
    check?.(value, at);
    return at.faults.length === before ? value : undefined;
  };
}

/** For `objectOf`: at least one of the fields is there. */
export function saysSomething(fields: readonly string[]): (value: object, at: Reading) => void {
  return (value, at) => {
    if (Object.keys(value).length === 0) refuse(value, at, `at least one of ${fields.join(", ")}`);
  };
}
