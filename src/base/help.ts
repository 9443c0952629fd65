/** Help texts, from the same declarations that are read: usage, flags in groups, defaults, examples. */

import type { ExtraFlag } from "./flags.ts";
import type { Field } from "./field.ts";
import { type Section, isSection } from "./settings.ts";
import { type Setting, settingsOf } from "./settings-reading.ts";

interface Entry {
  readonly name: string;
  readonly doc: string;
}

export interface Help {
  /** `infermesh router`. */
  readonly command: string;
  /** What it does, in a sentence. */
  readonly summary: string;
  /** After the command's name, one line each: `[start] [flags]`. */
  readonly usage: readonly string[];
  readonly commands?: readonly Entry[];
  /** What follows the command besides flags. */
  readonly operands?: readonly Entry[];
  readonly settings?: Section | undefined;
  readonly extras?: readonly ExtraFlag[];
  /** Command lines, each with what it does. */
  readonly examples?: readonly (readonly [command: string, doc: string])[];
  /** Paragraphs with a title: exit codes, files. */
  readonly notes?: readonly (readonly [title: string, text: string])[];
}

const WIDTH_MAX = 110;
const NAME_WIDTH = 34;

/** The help text, folded to `columns`. */
export function renderHelp(help: Help, columns = 100): string {
  const width = Math.max(60, Math.min(columns, WIDTH_MAX));
  const parts: string[] = [
    ...fold(`${help.command}: ${help.summary}`, width, ""),
    "",
    ...help.usage.map((line, index) => `${index === 0 ? "Usage: " : "       "}${help.command} ${line}`.trimEnd()),
  ];
  const group = (title: string, entries: readonly Entry[]) => {
    if (entries.length > 0) parts.push("", `${title}:`, ...entries.flatMap((entry) => twoColumns(entry, width)));
  };
  group(
    "Commands",
    (help.commands ?? []).map(({ name, doc }) => ({ name, doc })),
  );
  group("Arguments", help.operands ?? []);
  const { settings } = help;
  if (settings !== undefined) {
    const all = settingsOf(settings);
    group("Flags", all.filter(({ keys }) => keys.length === 1).map(flagEntry));
    for (const [key, field] of Object.entries(settings.fields)) {
      if (!isSection(field)) continue;
      const title = field.doc === "" ? key : field.doc.replace(/\.$/, "");
      group(title, all.filter(({ keys }) => keys.length > 1 && keys[0] === key).map(flagEntry));
    }
  }
  group("Other", (help.extras ?? []).map(extraEntry));
  const { examples = [], notes = [] } = help;
  if (examples.length > 0) parts.push("", "Examples:");
  for (const [command, doc] of examples) parts.push(...fold(`# ${doc}`, width, "  "), `  ${command}`);
  for (const [title, text] of notes) {
    parts.push("", `${title}:`, ...text.split("\n").flatMap((line) => fold(line, width, "  ")));
  }
  return `${parts.join("\n")}\n`;
}

function flagEntry({ flag, field, presets }: Setting): Entry {
  // Too many words for the place of the value.
  const words = field.kind === "choice" && field.placeholder === "NAME" ? `${capitalised(field.expected)}.` : "";
  const value =
    field.placeholder === "" ? "" : field.bare === undefined ? ` ${field.placeholder}` : ` [${field.placeholder}]`;
  return {
    name: `${field.short === undefined ? "" : `-${field.short}, `}--${flag}${value}`,
    doc: [firstSentence(field.doc), words, defaultNote(field, presets)].filter((part) => part !== "").join(" "),
  };
}

function extraEntry({ name, short, placeholder, doc }: ExtraFlag): Entry {
  return {
    name: `${short === undefined ? "" : `-${short}, `}--${name}${placeholder === "" ? "" : ` ${placeholder}`}`,
    doc,
  };
}

/** `(default 5s; wan: 10s)`; nothing for a switch that is off or a value that is empty for no stated reason. */
export function defaultNote(field: Field<unknown>, presets: Setting["presets"]): string {
  if (field.emptyMeans !== "") return `(default: ${field.emptyMeans})`;
  const value = field.write(field.default);
  if (value === false || value === "" || value === undefined) return "";
  if (Array.isArray(value)) return value.length === 0 ? "" : `(default ${value.join(",")})`;
  if (typeof value === "object") return "";
  const others = presets.map(([word, of]) => `; ${word}: ${String(field.write(of))}`).join("");
  return `(default ${typeof value === "string" ? value : JSON.stringify(value)}${others})`;
}

/** Help is for finding a flag; the sample file has the whole doc. */
function firstSentence(doc: string): string {
  return /^.*?[.](?=\s|$)/s.exec(doc)?.[0] ?? doc;
}

function capitalised(text: string): string {
  return text.slice(0, 1).toUpperCase() + text.slice(1);
}

function twoColumns({ name, doc }: Entry, width: number): string[] {
  const lines = fold(doc, width, " ".repeat(NAME_WIDTH));
  const label = `  ${name}`;
  if (lines.length === 0) return [label];
  if (label.length > NAME_WIDTH - 2) return [label, ...lines];
  const [first = "", ...rest] = lines;
  return [label.padEnd(NAME_WIDTH) + first.trimStart(), ...rest];
}

/** Words laid out in lines of at most `width` characters, each after `indent`. */
export function fold(text: string, width: number, indent: string): string[] {
  const lines: string[] = [];
  let line = "";
  for (const word of text.split(/\s+/).filter((part) => part !== "")) {
    if (line !== "" && indent.length + line.length + 1 + word.length > width) {
      lines.push(indent + line);
      line = word;
    } else {
      line = line === "" ? word : `${line} ${word}`;
    }
  }
  return line === "" ? lines : [...lines, indent + line];
}
