/**
 * Reading settings: from a file's tree, from flags and from variables, into a draft that becomes a frozen config or
 * the list of all faults. Reading never throws, whatever it is given.
 */

import { assert } from "./assert.ts";
import { type Fault, type Field, type Reading, isRecord, refuse } from "./field.ts";
import { didYouMean } from "./nearest.ts";
import { type Infer, type Section, isSection } from "./settings.ts";
import { shown } from "./shown.ts";

export type Parsed<T> =
  | { readonly value: T; readonly faults?: never }
  | { readonly value?: never; readonly faults: readonly Fault[] };

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
  /** Its default under each word of a choice that brings another one: `["wan", 5000]`. */
  readonly presets: readonly (readonly [word: string, value: unknown])[];
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
    const here = within(path, outer);
    if (isSection(field)) return settingsOf(field, [...keys, key], here);
    const name = field.flag ?? kebab(here);
    const variable = `INFERMESH_${name.replaceAll("-", "_").toUpperCase()}`;
    return [{ keys: [...keys, key], path: here, flag: name, variable, field, presets: presetsOf(of, key) }];
  });
}

function presetsOf({ presets }: Section, key: string): Setting["presets"] {
  return Object.entries(presets?.defaults ?? {}).flatMap(([word, values]) =>
    Object.hasOwn(values, key) ? [[word, values[key]] as const] : [],
  );
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
    const here = within(path, name);
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
  const preset = chosenPreset(of, draft, path);
  for (const [key, field] of Object.entries(of.fields)) {
    const here = within(path, outerKey(key, field));
    if (isSection(field)) value[key] = build(field, draft, here);
    else if (draft.values.has(here)) value[key] = draft.values.get(here);
    else value[key] = Object.hasOwn(preset, key) ? preset[key] : field.default;
  }
  Object.freeze(value);
  // Between settings only when each is right by itself: a check never sees a value that was refused.
  if (draft.faults.length === 0 && before === 0 && of.check !== undefined) {
    for (const complaint of of.check(value as never)) {
      const at = within(path, complaint.path);
      const source = draft.sources.get(at) ?? "";
      draft.faults.push({ path: at, source, found: shown(complaint.found), expected: complaint.expected, hint: "" });
    }
  }
  return value;
}

/** The defaults that the section's choice brings, as it stands in the draft or by its own default. */
function chosenPreset({ fields, presets }: Section, draft: Draft, path: string): Readonly<Record<string, unknown>> {
  const choice = presets === undefined ? undefined : fields[presets.key];
  if (presets === undefined || choice === undefined || isSection(choice)) return {};
  const word = draft.values.get(within(path, outerKey(presets.key, choice))) ?? choice.default;
  return presets.defaults[String(word)] ?? {};
}

function within(path: string, key: string): string {
  return path === "" ? key : `${path}.${key}`;
}

function reading(path: string, draft: Draft, sourceOf: (path: string) => string): Reading {
  return { path, source: sourceOf(path), fromText: false, faults: draft.faults };
}

function keep(draft: Draft, path: string, value: unknown, source: string): void {
  draft.values.set(path, value);
  draft.sources.set(path, source);
}
