/**
 * One setting: what it is called for people, what a right value is, how it is read and written. The kinds are made in
 * settings.ts and settings-collections.ts by `make`.
 */

import { assert } from "./assert.ts";
import { shown } from "./shown.ts";

/** One thing that is wrong with what was configured. */
export interface Fault {
  /** The key as people write it: `fleet.pollInterval`, `upstreams[2]`. */
  readonly path: string;
  /** Where the value came from: `router.yaml, line 12`, `flag --poll-interval`; "" when there is only one place. */
  readonly source: string;
  /** What stood there, as JSON, shortened. */
  readonly found: string;
  readonly expected: string;
  /** A near miss: `did you mean pollInterval?`; "" when there is none. */
  readonly hint: string;
}

/** Where a value is being read, and how to complain about it. */
export interface Reading {
  readonly path: string;
  readonly source: string;
  /** The value is text from a flag or a variable rather than a typed value from a file. */
  readonly fromText: boolean;
  readonly faults: Fault[];
}

/** One setting. `default` and `doc` may be left out only for the items of a list or map. */
export interface Field<T> {
  readonly kind: string;
  readonly default: T | undefined;
  /** What it is for, why one would change it, and the reason for its default. */
  readonly doc: string;
  /** What a right value is, as a noun: `a duration from 50ms to 10m`. */
  readonly expected: string;
  /** Stands for the value in help: `DURATION`. "" for a flag that takes none. */
  readonly placeholder: string;
  /** The flag's name where it isn't the one that the key gives. */
  readonly flag: string | undefined;
  /** One letter that stands for the flag as well: `f` for `-f`. */
  readonly short: string | undefined;
  /** What an empty or zero default stands for: `the host's name`. */
  readonly emptyMeans: string;
  /** Its value is never shown. */
  readonly secret: boolean;
  /** What the flag means when it is given without a value; undefined where it must have one. */
  readonly bare: string | undefined;
  /** A flag may be given several times, and its values are put together. */
  readonly repeatable: boolean;
  /** The value, or undefined after a fault was reported. */
  read(raw: unknown, at: Reading): T | undefined;
  /** The value as a file holds it: text, number, boolean, list or map. */
  write(value: T): unknown;
}

/** What every field may be told. */
export interface CommonOptions {
  readonly doc?: string;
  readonly flag?: string;
  readonly short?: string;
  readonly placeholder?: string;
  readonly emptyMeans?: string;
  readonly bare?: string;
  readonly secret?: boolean;
}

/** A kind of field before a default and a doc make it a setting. */
export interface Making<T> {
  readonly kind: string;
  readonly placeholder: string;
  readonly expected: string;
  readonly repeatable?: boolean;
  read(raw: unknown, at: Reading): T | undefined;
  write(value: T): unknown;
}

/** The setting of a kind; a wrong default is a bug and asserts. */
export function make<T>(making: Making<T>, defaultRaw: unknown, options: CommonOptions): Field<T> {
  let value: T | undefined;
  if (defaultRaw !== undefined) {
    const faults: Fault[] = [];
    value = making.read(defaultRaw, { path: "default", source: "", fromText: false, faults });
    assert(faults.length === 0, `a default is wrong: ${faults.map(formatFault).join("; ")}`);
  }
  return {
    ...making,
    default: value,
    doc: options.doc ?? "",
    placeholder: options.placeholder ?? making.placeholder,
    flag: options.flag,
    short: options.short,
    emptyMeans: options.emptyMeans ?? "",
    bare: options.bare,
    secret: options.secret ?? false,
    repeatable: making.repeatable ?? false,
  };
}

/** Reports that `raw` is not what was expected; the value of a failed `read`. */
export function refuse(raw: unknown, at: Reading, expected: string, hint = ""): undefined {
  at.faults.push({ path: at.path, source: at.source, found: shown(raw), expected, hint });
  return undefined;
}

/** One fault on one line. */
export function formatFault({ path, source, found, expected, hint }: Fault): string {
  const where = source === "" ? "" : ` (${source})`;
  const wanted = expected.startsWith("no such ") ? expected : `expected ${expected}`;
  return `${path}: found ${found}${where}; ${wanted}${hint === "" ? "" : `; ${hint}`}`;
}

export function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}
