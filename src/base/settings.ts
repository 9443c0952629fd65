/**
 * Settings: what a room lets people configure, declared once. From one declaration come the type of the parsed config,
 * the file's keys, flags, environment names, help, the commented sample file and the report of what is wrong.
 *
 *     export const fleetSettings = section({
 *       pollIntervalMs: duration({ default: "5s", min: "50ms", max: "10m", doc: "Time between two polls." }),
 *     });
 *     export type FleetConfig = Infer<typeof fleetSettings>; // { readonly pollIntervalMs: number }
 *
 * Names: the code's key carries its unit (`pollIntervalMs`, `bufferBytesMax`); outside, where the value carries it,
 * the key does not (`pollInterval: 5s`, `bufferMax: 32MiB`). Under a section `fleet` the flag is
 * `--fleet-poll-interval` and the variable `INFERMESH_FLEET_POLL_INTERVAL`.
 *
 * Reading never throws, whatever it is given, and reports every fault rather than the first one. Values from files
 * keep their types (an integer is a number, not "3"); values from flags and variables are text, read by the same
 * fields.
 */

import { isPrintable } from "./printable.ts";
import { assert } from "./assert.ts";
import { type CommonOptions, type Field, type Making, make, refuse } from "./field.ts";
import { didYouMean } from "./nearest.ts";
import {
  type Address,
  formatAddress,
  formatBytes,
  formatDuration,
  parseAddress,
  parseBytes,
  parseDuration,
} from "./units.ts";

/** Settings that belong together, in the order in which help and the sample file show them. */
export interface Section<S extends Shape = Shape> {
  readonly kind: "section";
  readonly fields: S;
  readonly doc: string;
  /** What must hold between settings, looked at when each of them is right by itself. */
  readonly check: ((value: never) => readonly Complaint[]) | undefined;
  readonly presets: Presets | undefined;
}

/** A choice among the settings of a section whose words bring other defaults for the rest; what is given still wins. */
export interface Presets<V = Readonly<Record<string, unknown>>> {
  readonly key: keyof V & string;
  /** By word, then by key in the code. */
  readonly defaults: Readonly<Record<string, V>>;
}

export interface Shape {
  readonly [key: string]: Field<unknown> | Section;
}

/** What a section's `check` says; `path` is the key as people write it. */
export interface Complaint {
  readonly path: string;
  readonly found: unknown;
  readonly expected: string;
}

/** The frozen config that a section parses to. */
export type Infer<S> = S extends Section<infer F> ? { readonly [K in keyof F]: InferField<F[K]> } : never;
type InferField<F> = F extends Section ? Infer<F> : F extends Field<infer T> ? T : never;

/** A section of settings. */
export function section<const S extends Shape>(
  fields: S,
  options: {
    readonly doc?: string;
    readonly check?: (value: Infer<Section<S>>) => readonly Complaint[];
    readonly presets?: Presets<Partial<Infer<Section<S>>>>;
  } = {},
): Section<S> {
  for (const [key, field] of Object.entries(fields)) {
    if (isSection(field)) continue;
    assert(field.doc !== "", `the setting ${key} has no doc`);
    assert(field.default !== undefined, `the setting ${key} has no default, or a wrong one`);
  }
  const check = options.check as ((value: never) => readonly Complaint[]) | undefined;
  return { kind: "section", fields, doc: options.doc ?? "", check, presets: options.presets };
}

export function isSection(field: Field<unknown> | Section): field is Section {
  return field.kind === "section";
}

const range = (min: string, max: string) => (max === "" ? `of at least ${min}` : `from ${min} to ${max}`);

/** Whole or broken numbers in a range; the kinds below differ only in how their text is read. */
function measure(
  kind: string,
  placeholder: string,
  noun: string,
  limits: { readonly min: number; readonly max: number },
  how: {
    readonly parse: (written: string) => number | undefined;
    readonly write: (value: number) => unknown;
    readonly textInFile: boolean;
    /** A number without a unit is understood. */
    readonly bareNumbers: boolean;
    readonly accepts: (value: number) => boolean;
  },
): Making<number> {
  const { min, max } = limits;
  const expected = `${noun} ${range(String(how.write(min)), Number.isFinite(max) && max < Number.MAX_SAFE_INTEGER ? String(how.write(max)) : "")}`;
  return {
    kind,
    placeholder,
    expected,
    write: how.write,
    read(raw, at) {
      let value: number | undefined;
      if (typeof raw === "number") value = how.bareNumbers || raw === 0 ? raw : undefined;
      else if (typeof raw === "string" && (at.fromText || how.textInFile)) value = how.parse(raw.trim());
      if (value === undefined || !how.accepts(value) || value < min || value > max) {
        const isBare =
          (typeof raw === "number" && raw >= 0) || (typeof raw === "string" && /^ *\d+(\.\d+)? *$/.test(raw));
        return refuse(raw, at, expected, isBare && !how.bareNumbers ? "give it a unit, such as 30s or 500ms" : "");
      }
      return value;
    },
  };
}

export interface MeasureOptions<T> extends CommonOptions {
  readonly default?: T;
  readonly min?: T;
  readonly max?: T;
}

/** A time span, kept in milliseconds; its key ends in Ms. Written `500ms`, `5s`, `1m30s`; a number without a unit is refused. */
export function duration(options: MeasureOptions<string | number>): Field<number> {
  const limits = { min: limit(options.min, parseDuration, 0), max: limit(options.max, parseDuration, Infinity) };
  const how = {
    parse: parseDuration,
    write: formatDuration,
    textInFile: true,
    bareNumbers: false,
    accepts: Number.isFinite,
  };
  return make(measure("duration", "DURATION", "a duration", limits, how), options.default, options);
}

/** A size, kept in bytes; its key ends in Bytes. Written `32MiB`, `64k`, or as a number of bytes. */
export function bytes(options: MeasureOptions<string | number>): Field<number> {
  const limits = { min: limit(options.min, parseBytes, 0), max: limit(options.max, parseBytes, Infinity) };
  const how = {
    parse: parseBytes,
    write: formatBytes,
    textInFile: true,
    bareNumbers: true,
    accepts: Number.isSafeInteger,
  };
  return make(measure("bytes", "SIZE", "a size", limits, how), options.default, options);
}

/** A whole number; at least 0 unless `min` says otherwise. */
export function integer(options: MeasureOptions<number>): Field<number> {
  const limits = { min: options.min ?? 0, max: options.max ?? Number.MAX_SAFE_INTEGER };
  const parse = (digits: string) => (/^[+-]?\d{1,16}$/.test(digits) ? Number(digits) : undefined);
  const how = {
    parse,
    write: (value: number) => value,
    textInFile: false,
    bareNumbers: true,
    accepts: Number.isSafeInteger,
  };
  return make(measure("integer", "N", "a whole number", limits, how), options.default, options);
}

/** A number; at least 0 unless `min` says otherwise. */
export function number(options: MeasureOptions<number>): Field<number> {
  const limits = { min: options.min ?? 0, max: options.max ?? Infinity };
  const parse = (digits: string) =>
    digits.length < 40 && /^[+-]?(\d+(\.\d*)?|\.\d+)(e[+-]?\d+)?$/i.test(digits) ? Number(digits) : undefined;
  const how = {
    parse,
    write: (value: number) => value,
    textInFile: false,
    bareNumbers: true,
    accepts: Number.isFinite,
  };
  return make(measure("number", "NUMBER", "a number", limits, how), options.default, options);
}

function limit(
  given: string | number | undefined,
  parse: (written: string) => number | undefined,
  absent: number,
): number {
  if (given === undefined) return absent;
  const value = typeof given === "number" ? given : parse(given);
  assert(value !== undefined, `a limit is wrong: ${given}`);
  return value;
}

export interface TextOptions extends CommonOptions {
  readonly default?: string;
  /** What the text must match, unless it is the default. */
  readonly pattern?: RegExp;
  /** Says what `pattern` asks for, as a noun. */
  readonly expected?: string;
  readonly lengthMax?: number;
}

/** One line of text. */
export function text(options: TextOptions): Field<string> {
  const { pattern, lengthMax = 1024 } = options;
  const expected = options.expected ?? `text of at most ${lengthMax} characters on one line`;
  const making: Making<string> = {
    kind: "text",
    placeholder: "TEXT",
    expected,
    write: (value) => value,
    read(raw, at) {
      if (typeof raw !== "string" || raw.length > lengthMax || !isPrintable(raw)) return refuse(raw, at, expected);
      if (raw !== options.default && pattern?.test(raw) === false) return refuse(raw, at, expected);
      return raw;
    },
  };
  return make(making, options.default, options);
}

const TRUE = ["true", "1", "yes", "on"];
const FALSE = ["false", "0", "no", "off"];

/** On or off. */
export function flag(options: CommonOptions & { readonly default?: boolean }): Field<boolean> {
  const making: Making<boolean> = {
    kind: "flag",
    placeholder: "",
    expected: "true or false",
    write: (value) => value,
    read(raw, at) {
      if (typeof raw === "boolean") return raw;
      const word = at.fromText && typeof raw === "string" ? raw.trim().toLowerCase() : "";
      if (TRUE.includes(word)) return true;
      if (FALSE.includes(word)) return false;
      return refuse(raw, at, "true or false");
    },
  };
  return make(making, options.default, { bare: "true", ...options });
}

/** One of a few words. */
export function choice<const W extends string>(
  words: readonly W[],
  options: CommonOptions & { readonly default?: NoInfer<W> },
): Field<W> {
  const expected = `one of ${words.join(", ")}`;
  const making: Making<W> = {
    kind: "choice",
    placeholder: words.length <= 5 ? words.join("|") : "NAME",
    expected,
    write: (value) => value,
    read(raw, at) {
      const found = words.find((word) => word === raw);
      return found ?? refuse(raw, at, expected, typeof raw === "string" ? didYouMean(raw, words) : "");
    },
  };
  return make(making, options.default, options);
}

/** `host:port`, `:port` for every interface, `[::1]:port`; port 0 means any free one. */
export function address(options: CommonOptions & { readonly default?: string }): Field<Address> {
  const expected = "an address such as 127.0.0.1:8080, :8080 or [::1]:8080";
  const making: Making<Address> = {
    kind: "address",
    placeholder: "HOST:PORT",
    expected,
    write: formatAddress,
    read(raw, at) {
      const value = typeof raw === "string" ? parseAddress(raw.trim()) : undefined;
      return value ?? refuse(raw, at, expected);
    },
  };
  return make(making, options.default, options);
}

/** A kind of its own: `parse` reads text or a typed value, and answers undefined for a wrong one. */
export function custom<T>(
  options: CommonOptions & {
    readonly kind: string;
    readonly placeholder: string;
    readonly expected: string;
    readonly default?: unknown;
    readonly parse: (raw: unknown) => T | undefined;
    readonly write: (value: T) => unknown;
  },
): Field<T> {
  const { kind, placeholder, expected, parse, write } = options;
  const making: Making<T> = {
    kind,
    placeholder,
    expected,
    write,
    read: (raw, at) => parse(raw) ?? refuse(raw, at, expected),
  };
  return make(making, options.default, options);
}
