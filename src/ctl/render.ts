/** Answers as people and scripts want them: aligned tables, JSON, YAML, tab-separated text. Pure. */
import { escaped, isPrintable, printable } from "../base/printable.ts";
import { formatDuration } from "../base/units.ts";

export type Format = "table" | "json" | "yaml" | "text" | "wide";

/** For programs, and with all that there is. */
export function isWhole(format: Format): format is "json" | "yaml" {
  return format === "json" || format === "yaml";
}

export interface Column<T> {
  readonly title: string;
  /** For people. */
  readonly cell: (row: T) => string;
  /** For scripts: exact, without units. */
  readonly raw: (row: T) => string;
  readonly right?: boolean;
  /** Shown in wide tables and in text only; such columns come last, so that scripts can count. */
  readonly wide?: boolean;
  /** ANSI colour of a cell, by its row. */
  readonly color?: (row: T) => number | undefined;
}

/** A list of things: rows and columns, or all of `whole` as JSON or YAML. */
export function renderRows<T>(
  format: Format,
  rows: readonly T[],
  all: readonly Column<T>[],
  whole: unknown,
  color = false,
): string {
  if (isWhole(format)) return renderWhole(format, whole);
  if (format === "text") {
    return rows.map((row) => renderTabs(row, all)).join("");
  }
  const columns = columnsOf(format, all);
  const cells = rows.map((row) => columns.map((column) => printable(column.cell(row))));
  const widths = columns.map(({ title }, at) => Math.max(title.length, ...cells.map((line) => line[at]?.length ?? 0)));
  const head = columns.map(({ title }, at) => padded(title, widths[at], columns[at]?.right));
  const lines = rows.map((row) => renderRow(row, columns, widths, color));
  return `${head.join("  ").trimEnd()}\n${lines.join("")}`;
}

/** The columns that a table has. */
export function columnsOf<T>(format: Format, columns: readonly Column<T>[]): readonly Column<T>[] {
  return format === "wide" ? columns : columns.filter(({ wide = false }) => !wide);
}

/** One line of a table; cells that are wider than theirs push the others on. */
export function renderRow<T>(row: T, columns: readonly Column<T>[], widths: readonly number[], color = false): string {
  const cells = columns.map((column, at) => padded(printable(column.cell(row)), widths[at], column.right));
  const last = cells.length - 1;
  cells[last] = cells[last]?.trimEnd() ?? "";
  const painted = cells.map((text, at) => paint(text, color ? columns[at]?.color?.(row) : undefined));
  return `${painted.join("  ").trimEnd()}\n`;
}

/** The same line with tabs between, exact, for scripts. */
export function renderTabs<T>(row: T, columns: readonly Column<T>[]): string {
  return `${columns.map((column) => printable(column.raw(row))).join("\t")}\n`;
}

export function textColumn<T>(title: string, value: (row: T) => string, right = false): Column<T> {
  // An answer from elsewhere may hold something else than was declared.
  const text = (row: T): string => {
    const found: unknown = value(row);
    return typeof found === "string" ? found : JSON.stringify(found);
  };
  return { title, cell: text, raw: text, right };
}

/** A figure that may be missing: `cell` writes it for people. */
export function figureColumn<T>(
  title: string,
  figure: (row: T) => number | null | undefined,
  cell: (figure: number) => string = String,
): Column<T> {
  const written = (row: T, write: (known: number) => string): string => {
    const known = figure(row);
    return typeof known === "number" && Number.isFinite(known) ? write(known) : "-";
  };
  return { title, cell: (row) => written(row, cell), raw: (row) => written(row, String), right: true };
}

/** Names and values under a title, for people. */
export interface Facts {
  readonly title: string;
  readonly facts: readonly (readonly [name: string, value: string])[];
}

/** Paragraphs of facts, their values below one another. */
export function renderFacts({ title, facts }: Facts): string {
  const width = Math.max(0, ...facts.map(([name]) => name.length));
  const lines = facts.map(([name, value]) => `  ${name.padEnd(width)}  ${printable(value)}`.trimEnd());
  return `${[title, ...lines].join("\n")}\n`;
}

/** One thing: its figures by name, nested ones as `outer.inner`. */
export function renderFigures(format: Format, whole: unknown): string {
  if (isWhole(format)) return renderWhole(format, whole);
  const figures = flatten(format === "text" ? whole : rounded(whole), "");
  if (format === "text") return figures.map(([name, value]) => `${name}\t${value}\n`).join("");
  const width = Math.max(0, ...figures.map(([name]) => name.length));
  return figures.map(([name, value]) => `${name.padEnd(width)}  ${value}`.trimEnd() + "\n").join("");
}

/** For people: nobody reads the twelfth digit of a share. */
function rounded(value: unknown): unknown {
  if (typeof value === "number" && !Number.isInteger(value)) return Number(value.toPrecision(6));
  if (Array.isArray(value)) return value.map(rounded);
  if (typeof value !== "object" || value === null) return value;
  return Object.fromEntries(Object.entries(value).map(([key, item]) => [key, rounded(item)]));
}

export function renderWhole(format: "json" | "yaml", whole: unknown): string {
  const json = JSON.stringify(whole, null, 2).split("\n").map(escaped).join("\n");
  if (format === "json") return `${json}\n`;
  const yaml = Bun.YAML.stringify(whole, null, 2).trimEnd();
  // Bun's YAML leaves some of what can't be printed as it is; JSON is YAML too, and has it escaped.
  return `${yaml.split("\n").every(isPrintable) ? yaml : json}\n`;
}

/** A value in one word: `a,b` for a list, JSON for what else is not text. */
export function wordOf(value: unknown): string {
  if (Array.isArray(value)) return value.map(wordOf).join(",");
  return typeof value === "string" ? value : (JSON.stringify(value) ?? "-");
}

/** On one line. */
export function renderJsonLine(whole: unknown): string {
  return `${escaped(JSON.stringify(whole))}\n`;
}

function flatten(value: unknown, name: string): [string, string][] {
  const inner = (key: string) => (name === "" ? key : `${name}.${key}`);
  if (Array.isArray(value)) {
    if (value.some((item) => typeof item === "object" && item !== null)) {
      return value.flatMap((item: unknown, index) => flatten(item, inner(String(index))));
    }
    return [[name, printable(value.join(","))]];
  }
  if (typeof value === "object" && value !== null) {
    return Object.entries(value).flatMap(([key, item]) => flatten(item, inner(printable(key))));
  }
  if (value === null || value === undefined) return [[name, "-"]];
  return [[name, printable(typeof value === "string" ? value : JSON.stringify(value))]];
}

function padded(text: string, width = 0, right = false): string {
  return right ? text.padStart(width) : text.padEnd(width);
}

function paint(text: string, code: number | undefined): string {
  return code === undefined ? text : `\x1b[${code}m${text}\x1b[0m`;
}

/** An age for people: whole seconds from one second on. */
export function formatAge(ms: number | null | undefined): string {
  if (ms === null || ms === undefined || !(ms >= 0)) return "-";
  return ms < 1000 ? `${Math.round(ms)}ms` : formatDuration(Math.floor(ms / 1000) * 1000);
}

/** A round trip. */
export function formatMs(ms: number): string {
  return `${ms.toFixed(1)}ms`;
}

/** A fraction as a percentage. */
export function formatPercent(fraction: number | null | undefined): string {
  return fraction === null || fraction === undefined || !Number.isFinite(fraction)
    ? "-"
    : `${Math.round(fraction * 100)}%`;
}
