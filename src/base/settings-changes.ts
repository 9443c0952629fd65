/**
 * What differs between two configurations of one section, by the names that people write; and the configuration that
 * takes some of the differences and leaves the others.
 */
import { type Setting, settingsOf } from "./settings-reading.ts";
import { type Infer, type Section, isSection } from "./settings.ts";
import { shown } from "./shown.ts";

/** One setting that differs. */
export interface Change {
  /** As people write it: `fleet.pollInterval`. */
  readonly path: string;
  /** As a file would hold it, as JSON and cut short; "(hidden)" for a secret, "***" for a URL's password. */
  readonly from: string;
  readonly to: string;
}

const HIDDEN = "(hidden)";

/** Every setting whose value differs, in the order of the sample file. */
export function changesBetween<S extends Section>(of: S, before: Infer<S>, after: Infer<S>): Change[] {
  return settingsOf(of).flatMap((setting): Change[] => {
    const from = written(setting, before);
    const to = written(setting, after);
    if (JSON.stringify(from) === JSON.stringify(to)) return [];
    const { path, field } = setting;
    return [field.secret ? { path, from: HIDDEN, to: HIDDEN } : { path, from: shown(from), to: shown(to) }];
  });
}

/** `after` where `takes` says so of a setting's path, `before` elsewhere; frozen like both. */
export function mergedBy<S extends Section>(
  of: S,
  before: Infer<S>,
  after: Infer<S>,
  takes: (path: string) => boolean,
): Infer<S> {
  const paths = new Map(settingsOf(of).map(({ keys, path }) => [keys.join("\0"), path]));
  const merge = (section: Section, old: object, fresh: object, keys: readonly string[]): object => {
    // What is no setting (a default that the machine decided) stays as it was.
    const merged: Record<string, unknown> = { ...old };
    for (const [key, field] of Object.entries(section.fields)) {
      const own = [...keys, key];
      const [was, is] = [valueAt(old, key), valueAt(fresh, key)];
      if (isSection(field)) merged[key] = merge(field, was as object, is as object, own);
      else merged[key] = takes(paths.get(own.join("\0")) ?? "") ? is : was;
    }
    return Object.freeze(merged);
  };
  return merge(of, before, after, []) as Infer<S>;
}

function written({ keys, field }: Setting, config: unknown): unknown {
  let value = config;
  for (const key of keys) value = valueAt(value, key);
  return field.write(value);
}

function valueAt(of: unknown, key: string): unknown {
  return (of as Readonly<Record<string, unknown>>)[key];
}
