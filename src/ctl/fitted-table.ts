/** Tables and lines that are never wider than they may be, in columns of a terminal, where some characters take two. Pure. */
import { printable } from "../base/printable.ts";

export interface Column<T> {
  readonly title: string;
  readonly width: number;
  readonly right?: boolean;
  cell(row: T): string;
  color?(row: T): number | undefined;
}

/** Titles and rows; `color` paints what has one. */
export function table<T>(rows: readonly T[], all: readonly Column<T>[], width: number, color: boolean): string[] {
  const columns = all.filter((column) => column.width > 0);
  const between = " ".repeat(gap(width));
  const cellOf = (column: Column<T>, value: string): string => fit(value, column.width, column.right);
  const head = columns.map((column) => cellOf(column, column.title)).join(between);
  const lines = rows.map((row) => {
    const cells = columns.map((column) => {
      const value = cellOf(column, column.cell(row));
      const code = color ? column.color?.(row) : undefined;
      return code === undefined ? value : `\u001b[${code}m${value}\u001b[0m`;
    });
    return cells.join(between).trimEnd();
  });
  // The narrowest screens have no room for all that was to be shown.
  const isWide = sum(columns, (column) => column.width) + gap(width) * (columns.length - 1) > width;
  const cut = (line: string): string => (isWide ? fit(plain(line), width).trimEnd() : line);
  return [cut(head.trimEnd()), ...lines.map(cut)];
}

/** Parts beside one another, on as many lines as they need. */
export function flowing(parts: readonly string[], width: number): string[] {
  const lines: string[] = [];
  for (const part of parts) {
    const last = lines.at(-1);
    if (last !== undefined && last.length + 2 + part.length <= width) lines[lines.length - 1] = `${last}  ${part}`;
    else lines.push(fit(part, width).trimEnd());
  }
  return lines;
}

/** Exactly so wide: what is longer is cut, and ends with "~". Measured in columns, since some characters take two. */
export function fit(value: string, width: number, right = false): string {
  const text = printable(value);
  const wide = Bun.stringWidth(text);
  if (wide <= width) return right ? " ".repeat(width - wide) + text : text + " ".repeat(width - wide);
  if (width <= 0) return "";
  let [cut, used] = ["", 0];
  for (const { segment } of GRAPHEMES.segment(text.slice(0, 8 * width))) {
    const more = Bun.stringWidth(segment);
    if (used + more > width - 1) break;
    cut += segment;
    used += more;
  }
  return `${cut}~${" ".repeat(width - 1 - used)}`;
}

const GRAPHEMES = new Intl.Segmenter(undefined, { granularity: "grapheme" });

function plain(line: string): string {
  // oxlint-disable-next-line no-control-regex
  return line.replaceAll(/\u001b\[[0-9;]*m/g, "");
}

/** Between two cells. */
export function gap(width: number): number {
  return width < 80 ? 1 : 2;
}

/** The widest of the words, within limits. */
export function widest<T>(rows: readonly T[], word: (row: T) => string, least: number, most: number): number {
  let width = least;
  for (const row of rows) width = Math.max(width, Math.min(most, Bun.stringWidth(word(row))));
  return width;
}

export function sum<T>(rows: readonly T[], figure: (row: T) => number): number {
  let all = 0;
  for (const row of rows) all += figure(row);
  return all;
}
