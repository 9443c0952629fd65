/** Settings of several values: lists, and maps from names. In flags and variables they are `a,b` and `name=value`. */

import {
  type CommonOptions,
  type Fault,
  type Field,
  type Making,
  type Reading,
  isRecord,
  make,
  refuse,
} from "./field.ts";

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
  /** A flag or variable holds one entry, so that its value may have commas. */
  readonly isWhole?: boolean;
}

/** Stands in faults for what might be most of a key. */
const HIDDEN = "(hidden)";
const NAME = /^[A-Za-z_][A-Za-z0-9_.-]{0,63}$/;

/** Values of one kind by name; `name=value` in flags and variables. */
export function map<T>(of: Field<T>, options: MapOptions): Field<Readonly<Record<string, T>>> {
  const { lengthMax = 64, secret = false, isWhole = false } = options;
  const expected = `at most ${lengthMax} names with values, each ${of.expected}`;
  const making: Making<Readonly<Record<string, T>>> = {
    kind: "map",
    placeholder: "NAME=VALUE",
    expected,
    repeatable: true,
    write: (values) => Object.fromEntries(Object.entries(values).map(([name, value]) => [name, of.write(value)])),
    read(raw, at) {
      const before = at.faults.length;
      const entries = at.fromText
        ? textEntries(raw, at, secret, isWhole)
        : isRecord(raw)
          ? Object.entries(raw)
          : undefined;
      if (entries === undefined || entries.length > lengthMax) return refuse(secret ? HIDDEN : raw, at, expected);
      const values: [string, T][] = [];
      for (const [name, item] of entries) {
        const path = `${at.path}.${name.slice(0, 64)}`;
        // The name comes from outside: one that reads as a property of every object must not become one.
        if (!NAME.test(name) || name === "__proto__") {
          refuse(name, at, "a name of at most 64 letters, digits, _, . or -, starting with a letter or _");
          continue;
        }
        const faults: Fault[] = [];
        const value = of.read(item, { ...at, path, faults });
        at.faults.push(...faults.map((fault) => (secret ? { ...fault, found: HIDDEN } : fault)));
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

function wholeTexts(raw: unknown): string[] | undefined {
  const texts = typeof raw === "string" ? [raw] : raw;
  return Array.isArray(texts) ? texts.map(String).filter((item) => item !== "") : undefined;
}

function textEntries(raw: unknown, at: Reading, secret: boolean, isWhole: boolean): [string, string][] | undefined {
  const items = isWhole ? wholeTexts(raw) : textItems(raw, ",");
  return items?.flatMap((item): [string, string][] => {
    const equals = item.indexOf("=");
    if (equals > 0 && isWhole) return [[item.slice(0, equals).trim(), item.slice(equals + 1)]];
    if (equals > 0) return [[item.slice(0, equals).trim(), item.slice(equals + 1).trim()]];
    refuse(secret ? HIDDEN : item, at, "NAME=VALUE");
    return [];
  });
}
