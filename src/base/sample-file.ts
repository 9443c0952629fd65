/**
 * The configuration file that `generate-config` prints: every key with its default, what it is for, what values it
 * takes and what else sets it. It reads back as the defaults, so a copy can be changed one line at a time: a setting
 * whose default depends on another one stands in a comment, or the other would change nothing in the copy.
 */

import type { Field } from "./field.ts";
import { fold } from "./help.ts";
import { type Section, isSection } from "./settings.ts";
import { type Setting, outerKey, settingsOf } from "./settings-reading.ts";

const WIDTH = 100;

/** A YAML document for the section; `title` stands above it as a comment. */
export function sampleFile(settings: Section, title: string): string {
  const byPath = new Map(settingsOf(settings).map((setting) => [setting.path, setting]));
  return `${[...comment(title, ""), ...lines(settings, byPath, "", "")].join("\n")}\n`;
}

function lines(of: Section, byPath: ReadonlyMap<string, Setting>, path: string, indent: string): string[] {
  return Object.entries(of.fields).flatMap(([key, field]): string[] => {
    const name = outerKey(key, field);
    const here = path === "" ? name : `${path}.${name}`;
    if (isSection(field)) {
      const inside = lines(field, byPath, here, `${indent}  `);
      return ["", ...comment(field.doc, indent), `${indent}${name}:`, ...inside];
    }
    const setting = byPath.get(here);
    const { presets = [] } = setting ?? {};
    const other = setting === undefined ? "" : `Flag --${setting.flag}, environment ${setting.variable}.`;
    return [
      "",
      ...comment(field.doc, indent),
      ...comment(valueNote(field, presets), indent),
      ...comment(other, indent),
      ...value(name, field.write(field.default), presets.length === 0 ? indent : `${indent}# `),
    ];
  });
}

/** `A duration from 50ms to 10m; default 5s (wan: 10s).` */
function valueNote(field: Field<unknown>, presets: Setting["presets"]): string {
  const { expected, emptyMeans } = field;
  const shown = field.write(field.default);
  const told =
    emptyMeans !== ""
      ? `default: ${emptyMeans}`
      : `default ${typeof shown === "object" ? JSON.stringify(shown) : scalar(shown)}`;
  const others = presets.map(([word, of]) => `${word}: ${String(field.write(of))}`);
  const other = others.length === 0 ? "" : ` (${others.join(", ")})`;
  return `${expected.slice(0, 1).toUpperCase()}${expected.slice(1)}; ${told}${other}.`;
}

function comment(text: string, indent: string): string[] {
  return text.split("\n").flatMap((line) => (line === "" ? [] : fold(line, WIDTH, `${indent}# `)));
}

function value(name: string, of: unknown, indent: string): string[] {
  if (Array.isArray(of) && of.length > 0) {
    return [`${indent}${name}:`, ...of.map((item: unknown) => `${indent}  - ${scalar(item)}`)];
  }
  return [`${indent}${name}: ${scalar(of)}`];
}

/** A value on one line. Text is quoted unless no reader of YAML, old or new, could take it for anything else. */
function scalar(of: unknown): string {
  if (typeof of === "string") {
    const plain = /^[A-Za-z0-9][A-Za-z0-9._/-]*$/.test(of) && /[A-Za-z]/.test(of);
    const other = /^(true|false|null|yes|no|on|off|y|n|inf|nan|[\d.]+e[\d.]+|0[xob].*)$/i.test(of);
    return plain && !other ? of : JSON.stringify(of);
  }
  // JSON is YAML, so whatever else there is stands as JSON.
  return JSON.stringify(of);
}
