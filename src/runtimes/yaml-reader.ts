/**
 * Reads a value that came of YAML or JSON, part by part, each with its path, and collects every fault rather than the
 * first. What is wrong reads as undefined; nothing throws, whatever the value is.
 *
 * Limits: 16 levels, 256 items of a list or members of a record, 512 characters of a text.
 */
import { type Fault, isRecord, refuse } from "../base/field.ts";
import { didYouMean } from "../base/nearest.ts";
import { isPrintable } from "../base/printable.ts";
import { formatDuration, parseDuration } from "../base/units.ts";

const DEPTH_MAX = 16;
const ITEMS_MAX = 256;
const LENGTH_MAX = 512;

export class YamlValue {
  readonly raw: unknown;
  readonly path: string;
  readonly #faults: Fault[];
  readonly #source: string;
  readonly #depth: number;

  constructor(raw: unknown, path: string, source: string, faults: Fault[], depth = 0) {
    this.raw = raw;
    this.path = path;
    this.#source = source;
    this.#faults = faults;
    this.#depth = depth;
  }

  get isText(): boolean {
    return typeof this.raw === "string";
  }

  get isList(): boolean {
    return Array.isArray(this.raw);
  }

  refuse(expected: string, hint = ""): undefined {
    const path = this.path === "" ? "(top level)" : this.path;
    return refuse(this.raw, { path, source: this.#source, fromText: false, faults: this.#faults }, expected, hint);
  }

  /** A record with these keys and no others; its members by key. */
  record<K extends string>(required: readonly K[], optional: readonly K[]): { readonly [key in K]?: YamlValue } {
    const members: { [key in K]?: YamlValue } = {};
    if (!isRecord(this.raw)) {
      this.refuse(`keys and values: ${[...required, ...optional].join(", ")}`);
      return members;
    }
    if (!this.#fits(Object.keys(this.raw).length)) return members;
    const allowed: readonly string[] = [...required, ...optional];
    for (const [key, value] of Object.entries(this.raw)) {
      const member = this.#member(value, this.path === "" ? key : `${this.path}.${key}`);
      if (allowed.includes(key)) members[key as K] = member;
      else member.refuse("no such key", didYouMean(key, allowed));
    }
    for (const key of required) if (!(key in members)) this.#missing(key);
    return members;
  }

  /** A record whose keys are names of the user's own. */
  entries(): (readonly [key: string, value: YamlValue])[] {
    if (!isRecord(this.raw)) return this.refuse("keys and values") ?? [];
    if (!this.#fits(Object.keys(this.raw).length)) return [];
    return Object.entries(this.raw).map(([key, value]) => [key, this.#member(value, `${this.path}.${key}`)]);
  }

  list(): YamlValue[] {
    if (!Array.isArray(this.raw)) return this.refuse("a list") ?? [];
    if (this.raw.length === 0) return this.refuse("a list of at least one") ?? [];
    if (!this.#fits(this.raw.length)) return [];
    return this.raw.map((item: unknown, i) => this.#member(item, `${this.path}[${i}]`));
  }

  /** One of them alone, or a list of some. */
  oneOrMore(): YamlValue[] {
    return this.isList ? this.list() : [this];
  }

  text(expected: string, pattern = /./): string | undefined {
    const { raw } = this;
    const isGood = typeof raw === "string" && raw.length <= LENGTH_MAX && isPrintable(raw) && pattern.test(raw);
    return isGood ? raw : this.refuse(expected);
  }

  number(expected: string, min: number, max: number): number | undefined {
    const { raw } = this;
    return typeof raw === "number" && raw >= min && raw <= max ? raw : this.refuse(expected);
  }

  choice<W extends string>(words: readonly W[]): W | undefined {
    const found = words.find((word) => word === this.raw);
    if (found !== undefined) return found;
    return this.refuse(`one of ${words.join(", ")}`, typeof this.raw === "string" ? didYouMean(this.raw, words) : "");
  }

  durationMs(minMs: number, maxMs: number): number | undefined {
    const ms = typeof this.raw === "string" ? parseDuration(this.raw) : undefined;
    if (ms !== undefined && ms >= minMs && ms <= maxMs) return ms;
    return this.refuse(`a duration from ${formatDuration(minMs)} to ${formatDuration(maxMs)}`);
  }

  #member(raw: unknown, path: string): YamlValue {
    return new YamlValue(raw, path.slice(0, LENGTH_MAX), this.#source, this.#faults, this.#depth + 1);
  }

  #missing(key: string): void {
    this.#member(undefined, this.path === "" ? key : `${this.path}.${key}`).refuse("a value: it is needed");
  }

  #fits(items: number): boolean {
    if (items > ITEMS_MAX) this.refuse(`at most ${ITEMS_MAX} of them`);
    else if (this.#depth >= DEPTH_MAX) this.refuse(`at most ${DEPTH_MAX} levels`);
    else return true;
    return false;
  }
}
