/**
 * Manual pages in man(7)'s macros, from the same declarations that help texts are made of: nothing is said twice. Help is
 * for finding a flag; a page has all that is said of it.
 */
import { defaultNote, type Help } from "./help.ts";
import { isSection } from "./settings.ts";
import { type Setting, settingsOf } from "./settings-reading.ts";

/** A command with those below it. */
export interface Chapter {
  readonly help: Help;
  /** Without flags of their own where they take those of the page's command. */
  readonly below: readonly Chapter[];
}

export interface Page {
  /** `infermesh-router`. */
  readonly name: string;
  readonly version: string;
  readonly chapter: Chapter;
  /** Beside what its chapter says: environment, files. */
  readonly sections: readonly (readonly [title: string, text: string])[];
  readonly seeAlso: readonly string[];
}

/** The page, whole. */
export function manualPage({ name, version, chapter, sections, seeAlso }: Page): string {
  const { help, below } = chapter;
  const lines = [
    `.TH ${quoted(name.toUpperCase())} 1 "" ${quoted(`infermesh ${version}`)} "User Commands"`,
    ".nh",
    ".ad l",
    ".SH NAME",
    `${plain(name)} \\- ${plain(help.summary)}`,
    ".SH SYNOPSIS",
    ...synopsis(help),
    ".SH DESCRIPTION",
    ...paragraph(sentence(help.summary)),
  ];
  const commands = help.commands ?? [];
  if (commands.length > 0) lines.push(".SH COMMANDS", ...commands.flatMap((one) => item(bold(one.name), one.doc)));
  if (help.operands !== undefined && help.operands.length > 0)
    lines.push(".SH ARGUMENTS", ...help.operands.flatMap((one) => item(italic(one.name), one.doc)));
  lines.push(...options(help, ".SH", ".SS", "OPTIONS"));
  if (below.length > 0) lines.push(".SH SUBCOMMANDS", ...below.flatMap(subcommand));
  if (help.examples !== undefined && help.examples.length > 0)
    lines.push(".SH EXAMPLES", ...help.examples.flatMap(example));
  for (const [title, text] of [...(help.notes ?? []), ...sections]) {
    lines.push(`.SH ${quoted(title.toUpperCase())}`, ...text.split("\n").flatMap(paragraph));
  }
  if (seeAlso.length > 0) {
    lines.push(
      ".SH SEE ALSO",
      ...seeAlso.map((other, index) => `.BR ${plain(other)} (1)${index < seeAlso.length - 1 ? "," : ""}`),
    );
  }
  // A heading begins a paragraph by itself.
  const kept = lines.filter((line, index) => line !== ".PP" || !/^\.S[HS]/.test(lines[index - 1] ?? ""));
  return `${kept.join("\n")}\n`;
}

function subcommand({ help, below }: Chapter): string[] {
  const operands = (help.operands ?? []).flatMap((one) => item(italic(one.name), one.doc));
  const own = [
    `.SS ${quoted(help.command)}`,
    ...synopsis(help),
    ...paragraph(sentence(help.summary)),
    ...operands,
    ...options(help, ".PP", ".PP", ""),
    ...(help.examples ?? []).flatMap(example),
    ...(help.notes ?? []).flatMap(([title, text]) => item(plain(title), text)),
  ];
  return [...own, ...below.flatMap(subcommand)];
}

function synopsis({ command, usage }: Help): string[] {
  const lines = usage.length === 0 ? [""] : usage;
  return lines.flatMap((line, index) => [...(index === 0 ? [] : [".br"]), `${bold(command)} ${plain(line)}`.trimEnd()]);
}

/** All flags: those without a group first, then each group under its title. */
function options({ settings, extras = [] }: Help, macro: string, groupMacro: string, title: string): string[] {
  const all = settings === undefined ? [] : settingsOf(settings);
  // What has a configuration file is configured by variables too; clients have profiles.
  const isConfigured = extras.some(({ name }) => name === "config");
  const flag = (setting: Setting): string[] => flagItem(setting, isConfigured);
  const own = all.filter(({ keys }) => keys.length === 1).flatMap(flag);
  const others = extras.flatMap(({ name, short, placeholder, doc }) => {
    const letter = short === undefined ? "" : `${bold(`-${short}`)}, `;
    return item(`${letter}${bold(`--${name}`)}${placeholder === "" ? "" : ` ${italic(placeholder)}`}`, doc);
  });
  const lines =
    own.length + others.length === 0 ? [] : [...(title === "" ? [] : [`${macro} ${title}`]), ...own, ...others];
  for (const [key, field] of Object.entries(settings?.fields ?? {})) {
    if (!isSection(field)) continue;
    const group = all.filter(({ keys }) => keys.length > 1 && keys[0] === key).flatMap(flag);
    const heading = field.doc === "" ? key : field.doc.replace(/\.$/, "");
    if (group.length > 0)
      lines.push(...(groupMacro === ".SS" ? [`.SS ${quoted(heading)}`] : [".PP", `${plain(heading)}:`]), ...group);
  }
  return lines;
}

function flagItem({ flag: name, field, path, variable, presets }: Setting, isConfigured: boolean): string[] {
  const letter = field.short === undefined ? "" : `${bold(`-${field.short}`)}, `;
  const value =
    field.placeholder === ""
      ? ""
      : ` ${italic(field.bare === undefined ? field.placeholder : `[${field.placeholder}]`)}`;
  const kind = [field.placeholder === "" ? "" : field.expected, defaultNote(field, presets)].filter(
    (part) => part !== "",
  );
  const told = [
    field.doc,
    kind.length === 0 ? "" : sentence(kind.join(" ")),
    isConfigured ? `In a file ${path}, in the environment ${variable}.` : "",
  ];
  return item(`${letter}${bold(`--${name}`)}${value}`, told.filter((part) => part !== "").join(" "));
}

function item(term: string, text: string): string[] {
  const [first = "", ...rest] = text.split("\n");
  const lines = rest.flatMap((line) => [".br", ...paragraph(line).slice(1)]);
  return [".TP", term, ...paragraph(first).slice(1), ...lines];
}

function example([command, doc]: readonly [string, string]): string[] {
  return [...paragraph(doc), ".PP", ".RS 4", ".nf", plain(command), ".fi", ".RE"];
}

/** One sentence a line, as roff likes it. */
function paragraph(text: string): string[] {
  const sentences = text.split(/(?<=[.!?])\s+(?=[A-Z])/).filter((part) => part.trim() !== "");
  return sentences.length === 0 ? [] : [".PP", ...sentences.map((part) => plain(part.trim()))];
}

function sentence(text: string): string {
  const capital = text.slice(0, 1).toUpperCase() + text.slice(1);
  return /[.!?]$/.test(capital) ? capital : `${capital}.`;
}

const bold = (text: string): string => `\\fB${plain(text)}\\fR`;
const italic = (text: string): string => `\\fI${plain(text)}\\fR`;
const quoted = (text: string): string => `"${plain(text).replaceAll('"', "\\(dq")}"`;

/** Text as it is: no character of it means anything to roff. */
export function plain(text: string): string {
  const escaped = text
    .replaceAll("\\", "\\(rs")
    .replaceAll("-", "\\-")
    .replaceAll("'", "\\(aq")
    .replaceAll("`", "\\(ga")
    .replaceAll("^", "\\(ha")
    .replaceAll("~", "\\(ti")
    // oxlint-disable-next-line no-control-regex
    .replace(/[\u0000-\u001f\u007f]/g, " ");
  return escaped.startsWith(".") ? `\\&${escaped}` : escaped;
}
