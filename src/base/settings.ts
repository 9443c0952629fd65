/**
 * Settings: what a room lets people configure, declared once. From one declaration come the type of the parsed
 * config, the keys of the file, the flags, the environment names, the help text, the commented sample file and the
 * report of what is wrong.
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

import { assert } from "./assert.ts";
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

export type { Address } from "./units.ts";

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
  /** What an empty or zero default stands for: `the host's name`. */
  readonly emptyMeans: string;
  /** Its value is never shown. */
  readonly secret: boolean;
  /** A flag may be given several times, and its values are put together. */
  readonly repeatable: boolean;
  /** The value, or undefined after a fault was reported. */
  read(raw: unknown, at: Reading): T | undefined;
  /** The value as a file holds it: text, number, boolean, list or map. */
  write(value: T): unknown;
}

/** Settings that belong together, in the order in which help and the sample file show them. */
export interface Section<S extends Shape = Shape> {
  readonly kind: "section";
  readonly fields: S;
  readonly doc: string;
  /** What must hold between settings, looked at when each of them is right by itself. */
  readonly check: ((value: never) => readonly Complaint[]) | undefined;
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

export type Parsed<T> =
  | { readonly value: T; readonly faults?: never }
  | { readonly value?: never; readonly faults: readonly Fault[] };

/** A section of settings. */
export function section<const S extends Shape>(
  fields: S,
  options: { readonly doc?: string; readonly check?: (value: Infer<Section<S>>) => readonly Complaint[] } = {},
): Section<S> {
  for (const [key, field] of Object.entries(fields)) {
    if (isSection(field)) continue;
    assert(field.doc !== "", `the setting ${key} has no doc`);
    assert(field.default !== undefined, `the setting ${key} has no default, or a wrong one`);
  }
  const check = options.check as ((value: never) => readonly Complaint[]) | undefined;
  return { kind: "section", fields, doc: options.doc ?? "", check };
}

export function isSection(field: Field<unknown> | Section): field is Section {
  return field.kind === "section";
}

// ---- fields ---------------------------------------------------------------------------------------------------------

/** What every field may be told. */
export interface CommonOptions {
  readonly doc?: string;
  readonly flag?: string;
  readonly placeholder?: string;
  readonly emptyMeans?: string;
  readonly secret?: boolean;
}

interface Making<T> {
  readonly kind: string;
  readonly placeholder: string;
  readonly expected: string;
  readonly repeatable?: boolean;
  read(raw: unknown, at: Reading): T | undefined;
  write(value: T): unknown;
}

function make<T>(making: Making<T>, defaultRaw: unknown, options: CommonOptions): Field<T> {
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
    emptyMeans: options.emptyMeans ?? "",
    secret: options.secret ?? false,
    repeatable: making.repeatable ?? false,
  };
}

/** Reports that `raw` is not what was expected; the value of a failed `read`. */
export function refuse(raw: unknown, at: Reading, expected: string, hint = ""): undefined {
  at.faults.push({ path: at.path, source: at.source, found: shown(raw), expected, hint });
  return undefined;
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
      if (typeof raw === "number") value = raw;
      else if (typeof raw === "string" && (at.fromText || how.textInFile)) value = how.parse(raw.trim());
      if (value === undefined || !how.accepts(value) || value < min || value > max) return refuse(raw, at, expected);
      return value;
    },
  };
}

export interface MeasureOptions<T> extends CommonOptions {
  readonly default?: T;
  readonly min?: T;
  readonly max?: T;
}

/** A time span, kept in milliseconds; its key ends in Ms. Written `500ms`, `5s`, `1m30s`, or as a number of ms. */
export function duration(options: MeasureOptions<string | number>): Field<number> {
  const limits = { min: limit(options.min, parseDuration, 0), max: limit(options.max, parseDuration, Infinity) };
  const how = { parse: parseDuration, write: formatDuration, textInFile: true, accepts: Number.isFinite };
  return make(measure("duration", "DURATION", "a duration", limits, how), options.default, options);
}

/** A size, kept in bytes; its key ends in Bytes. Written `32MiB`, `64k`, or as a number of bytes. */
export function bytes(options: MeasureOptions<string | number>): Field<number> {
  const limits = { min: limit(options.min, parseBytes, 0), max: limit(options.max, parseBytes, Infinity) };
  const how = { parse: parseBytes, write: formatBytes, textInFile: true, accepts: Number.isSafeInteger };
  return make(measure("bytes", "SIZE", "a size", limits, how), options.default, options);
}

/** A whole number; at least 0 unless `min` says otherwise. */
export function integer(options: MeasureOptions<number>): Field<number> {
  const limits = { min: options.min ?? 0, max: options.max ?? Number.MAX_SAFE_INTEGER };
  const parse = (digits: string) => (/^[+-]?\d{1,16}$/.test(digits) ? Number(digits) : undefined);
  const how = { parse, write: (value: number) => value, textInFile: false, accepts: Number.isSafeInteger };
  return make(measure("integer", "N", "a whole number", limits, how), options.default, options);
}

/** A number; at least 0 unless `min` says otherwise. */
export function number(options: MeasureOptions<number>): Field<number> {
  const limits = { min: options.min ?? 0, max: options.max ?? Infinity };
  const parse = (digits: string) =>
    digits.length < 40 && /^[+-]?(\d+(\.\d*)?|\.\d+)(e[+-]?\d+)?$/i.test(digits) ? Number(digits) : undefined;
  const how = { parse, write: (value: number) => value, textInFile: false, accepts: Number.isFinite };
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
      if (typeof raw !== "string" || raw.length > lengthMax || UNPRINTABLE.test(raw)) return refuse(raw, at, expected);
      if (raw !== options.default && pattern?.test(raw) === false) return refuse(raw, at, expected);
      return raw;
    },
  };
  return make(making, options.default, options);
}

// eslint-disable-next-line no-control-regex
const UNPRINTABLE = /[\u0000-\u001f\u007f-\u009f\u2028\u2029]/;
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
  return make(making, options.default, options);
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

export interface ListOptions extends CommonOptions {
  readonly default?: readonly unknown[];
  readonly lengthMax?: number;
  /** What stands between items in one flag or variable; a flag may also be given several times. */
  readonly separator?: "," | " ";
}

/** Items of one kind, in order. */
export function list<T>(of: Field<T>, options: ListOptions): Field<readonly T[]> {
  const { lengthMax = 1024, separator = "," } = options;
  const expected = `a list of at most ${lengthMax} items, each ${of.expected}`;
  const making: Making<readonly T[]> = {
    kind: "list",
    placeholder: of.placeholder,
    expected,
    repeatable: true,
    write: (values) => values.map((value) => of.write(value)),
    read(raw, at) {
      const items = at.fromText ? textItems(raw, separator) : raw;
      if (!Array.isArray(items) || items.length > lengthMax) return refuse(raw, at, expected);
      const before = at.faults.length;
      const values: T[] = [];
      items.forEach((item: unknown, index) => {
        // On a command line nobody counts items: what stood there says which one it is.
        const path = at.fromText ? at.path : `${at.path}[${index}]`;
        const value = of.read(item, { ...at, path });
        if (value !== undefined) values.push(value);
      });
      return at.faults.length > before ? undefined : Object.freeze(values);
    },
  };
  return make(making, options.default, options);
}

export interface MapOptions extends CommonOptions {
  readonly default?: Readonly<Record<string, unknown>>;
  readonly lengthMax?: number;
}

const NAME = /^[A-Za-z_][A-Za-z0-9_.-]{0,63}$/;

/** Values of one kind by name; `name=value` in flags and variables. */
export function map<T>(of: Field<T>, options: MapOptions): Field<Readonly<Record<string, T>>> {
  const { lengthMax = 64 } = options;
  const expected = `at most ${lengthMax} names with values, each ${of.expected}`;
  const making: Making<Readonly<Record<string, T>>> = {
    kind: "map",
    placeholder: "NAME=VALUE",
    expected,
    repeatable: true,
    write: (values) => Object.fromEntries(Object.entries(values).map(([name, value]) => [name, of.write(value)])),
    read(raw, at) {
      const before = at.faults.length;
      const entries = at.fromText ? textEntries(raw, at) : isRecord(raw) ? Object.entries(raw) : undefined;
      if (entries === undefined || entries.length > lengthMax) return refuse(raw, at, expected);
      const values: [string, T][] = [];
      for (const [name, item] of entries) {
        const path = `${at.path}.${name.slice(0, 64)}`;
        // The name comes from outside: one that reads as a property of every object must not become one.
        if (!NAME.test(name) || name === "__proto__") {
          refuse(name, at, "a name of at most 64 letters, digits, _, . or -, starting with a letter or _");
          continue;
        }
        const value = of.read(item, { ...at, path });
        if (value !== undefined) values.push([name, value]);
      }
      return at.faults.length > before ? undefined : Object.freeze(Object.fromEntries(values));
    },
  };
  return make(making, options.default, options);
}

function textItems(raw: unknown, separator: "," | " "): string[] | undefined {
  const texts = typeof raw === "string" ? [raw] : raw;
  if (!Array.isArray(texts)) return undefined;
  return texts
    .flatMap((one: unknown) => String(one).split(separator === " " ? /\s+/ : separator))
    .map((item) => item.trim())
    .filter((item) => item !== "");
}

function textEntries(raw: unknown, at: Reading): [string, string][] | undefined {
  return textItems(raw, ",")?.flatMap((item): [string, string][] => {
    const equals = item.indexOf("=");
    if (equals > 0) return [[item.slice(0, equals).trim(), item.slice(equals + 1).trim()]];
    refuse(item, at, "NAME=VALUE");
    return [];
  });
}

// ---- names ----------------------------------------------------------------------------------------------------------

/** One setting and everything it is called. */
export interface Setting {
  /** Keys in the code: `["fleet", "pollIntervalMs"]`. */
  readonly keys: readonly string[];
  /** As people write it: `fleet.pollInterval`. */
  readonly path: string;
  /** Without dashes in front: `fleet-poll-interval`. */
  readonly flag: string;
  /** `INFERMESH_FLEET_POLL_INTERVAL`. */
  readonly variable: string;
  readonly field: Field<unknown>;
}

/** A key as people write it: the unit is dropped where the value carries it. */
export function outerKey(key: string, field: Field<unknown> | Section): string {
  if (field.kind === "duration") return key.replace(/Ms(?=(Max|Min)?$)/, "");
  if (field.kind === "bytes") return key.replace(/Bytes(?=(Max|Min)?$)/, "");
  return key;
}

/** Every setting in a section and the sections in it, in order. */
export function settingsOf(of: Section, keys: readonly string[] = [], path = ""): Setting[] {
  return Object.entries(of.fields).flatMap(([key, field]): Setting[] => {
    const outer = outerKey(key, field);
    const here = path === "" ? outer : `${path}.${outer}`;
    if (isSection(field)) return settingsOf(field, [...keys, key], here);
    const name = field.flag ?? kebab(here);
    const variable = `INFERMESH_${name.replaceAll("-", "_").toUpperCase()}`;
    return [{ keys: [...keys, key], path: here, flag: name, variable, field }];
  });
}

function kebab(path: string): string {
  return path.replaceAll(".", "-").replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`);
}

// ---- reading --------------------------------------------------------------------------------------------------------

/** A value from a flag or a variable, for one setting. */
export interface TextValue {
  readonly setting: Setting;
  /** Several for a repeatable setting. */
  readonly raw: string | readonly string[];
  /** `flag --poll-interval`, `environment INFERMESH_POLL_INTERVAL`. */
  readonly source: string;
}

/** What has been read so far, by path as people write it; later values win. */
export interface Draft {
  readonly values: Map<string, unknown>;
  readonly faults: Fault[];
  /** Where each value came from, for faults between settings. */
  readonly sources: Map<string, string>;
}

export function newDraft(): Draft {
  return { values: new Map(), faults: [], sources: new Map() };
}

/** Reads the tree of a file into the draft. `sourceOf` says where a path stands, for the report. */
export function readTree(
  of: Section,
  raw: unknown,
  draft: Draft,
  sourceOf: (path: string) => string = () => "",
  path = "",
): void {
  // An empty file, or a section whose keys are all commented out.
  if (raw === undefined || raw === null) return;
  if (!isRecord(raw)) {
    refuse(raw, reading(path === "" ? "(top level)" : path, draft, sourceOf), "keys and values");
    return;
  }
  const byName = new Map(Object.entries(of.fields).map(([key, field]) => [outerKey(key, field), field]));
  for (const [name, value] of Object.entries(raw)) {
    const here = path === "" ? name : `${path}.${name}`;
    const field = byName.get(name);
    if (field === undefined) {
      const at = reading(here.slice(0, 200), draft, sourceOf);
      refuse(value, at, "no such key", didYouMean(name, [...byName.keys()]));
    } else if (isSection(field)) {
      readTree(field, value, draft, sourceOf, here);
    } else {
      const at = reading(here, draft, sourceOf);
      const read = field.read(value, at);
      if (read !== undefined) keep(draft, here, read, at.source);
    }
  }
}

/** Reads one value from a flag or a variable into the draft. */
export function readText({ setting, raw, source }: TextValue, draft: Draft): void {
  const { path, field } = setting;
  const single = Array.isArray(raw) && !field.repeatable ? raw.at(-1) : raw;
  const read = field.read(single, { path, source, fromText: true, faults: draft.faults });
  if (read !== undefined) keep(draft, path, read, source);
}

/** The config that the draft makes, with defaults for what was not said; or every fault. */
export function finishDraft<S extends Section>(of: S, draft: Draft): Parsed<Infer<S>> {
  const value = build(of, draft, "") as Infer<S>;
  return draft.faults.length > 0 ? { faults: draft.faults } : { value };
}

/** Reads a section from one tree: the config, or every fault. `path` is put before the paths in faults. */
export function parseSection<S extends Section>(of: S, raw: unknown, path = ""): Parsed<Infer<S>> {
  const draft = newDraft();
  readTree(of, raw, draft);
  const parsed = finishDraft(of, draft);
  if (parsed.faults === undefined || path === "") return parsed;
  return { faults: parsed.faults.map((fault) => ({ ...fault, path: `${path}.${fault.path}` })) };
}

/** The config of nothing said. */
export function defaultsOf<S extends Section>(of: S): Infer<S> {
  const parsed = parseSection(of, {});
  assert(parsed.value !== undefined, "the defaults of a section don't fit its own check");
  return parsed.value;
}

/** The config as a file would hold it; secrets are hidden. */
export function writeSection<S extends Section>(of: S, value: Infer<S>): Record<string, unknown> {
  return Object.fromEntries(
    Object.entries(of.fields).map(([key, field]) => {
      const own = (value as Readonly<Record<string, unknown>>)[key];
      if (isSection(field)) return [key, writeSection(field, own as Infer<Section>)];
      return [outerKey(key, field), field.secret ? "(hidden)" : field.write(own)];
    }),
  );
}

function build(of: Section, draft: Draft, path: string): Readonly<Record<string, unknown>> {
  const before = draft.faults.length;
  const value: Record<string, unknown> = {};
  for (const [key, field] of Object.entries(of.fields)) {
    const outer = outerKey(key, field);
    const here = path === "" ? outer : `${path}.${outer}`;
    if (isSection(field)) value[key] = build(field, draft, here);
    else value[key] = draft.values.has(here) ? draft.values.get(here) : field.default;
  }
  Object.freeze(value);
  // Between settings only when each is right by itself: a check never sees a value that was refused.
  if (draft.faults.length === 0 && before === 0 && of.check !== undefined) {
    for (const complaint of of.check(value as never)) {
      const at = path === "" ? complaint.path : `${path}.${complaint.path}`;
      const source = draft.sources.get(at) ?? "";
      draft.faults.push({ path: at, source, found: shown(complaint.found), expected: complaint.expected, hint: "" });
    }
  }
  return value;
}

function reading(path: string, draft: Draft, sourceOf: (path: string) => string): Reading {
  return { path, source: sourceOf(path), fromText: false, faults: draft.faults };
}

function keep(draft: Draft, path: string, value: unknown, source: string): void {
  draft.values.set(path, value);
  draft.sources.set(path, source);
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

// ---- reports --------------------------------------------------------------------------------------------------------

/** One fault on one line. */
export function formatFault({ path, source, found, expected, hint }: Fault): string {
  const where = source === "" ? "" : ` (${source})`;
  const wanted = expected.startsWith("no such ") ? expected : `expected ${expected}`;
  return `${path}: found ${found}${where}; ${wanted}${hint === "" ? "" : `; ${hint}`}`;
}

const SHOWN_LENGTH_MAX = 80;

/** A value as JSON, cut short. Bounded in work too: a small YAML file can stand for an endless tree. */
export function shown(value: unknown): string {
  const full = sketch(value, 3);
  return full.length <= SHOWN_LENGTH_MAX ? full : `${full.slice(0, SHOWN_LENGTH_MAX - 3)}...`;
}

function sketch(value: unknown, depth: number): string {
  if (value === undefined) return "nothing";
  if (typeof value === "string") return JSON.stringify(value.slice(0, SHOWN_LENGTH_MAX + 1));
  if (typeof value === "bigint" || typeof value === "number") return String(value);
  if (typeof value === "symbol" || typeof value === "function") return typeof value;
  if (typeof value !== "object" || value === null) return JSON.stringify(value);
  if (depth === 0) return Array.isArray(value) ? "[...]" : "{...}";
  if (Array.isArray(value)) return `[${few(value.length, (i) => sketch(value[i], depth - 1))}]`;
  const keys = Object.keys(value);
  const inside = value as Record<string, unknown>;
  return `{${few(keys.length, (i) => `${sketch(keys[i], 1)}:${sketch(inside[keys[i] ?? ""], depth - 1)}`)}}`;
}

function few(length: number, item: (index: number) => string): string {
  const parts = Array.from({ length: Math.min(length, 8) }, (_, index) => item(index));
  return (length > 8 ? [...parts, "..."] : parts).join(",");
}
