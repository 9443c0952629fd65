/** The frame of a report for a browser, and the tables in it: all in one file, nothing from elsewhere. Pure. */
import { escapeHtml } from "./plots.ts";
import { STYLE } from "./report-style.ts";

export function htmlPage(title: string, body: readonly string[]): string {
  const head = `<meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1"><title>${escapeHtml(title)}</title><style>${STYLE}</style>`;
  return `<!doctype html>\n<html lang="en"><head>${head}</head><body><main>\n${body.join("\n")}\n</main></body></html>\n`;
}

/** What stands for which of `--c0` and on. */
export function legend(items: readonly (readonly [name: string, color: number])[]): string {
  const each = items.map(([name, color]) => `<li><i style="background:var(--c${color})"></i>${escapeHtml(name)}</li>`);
  return `<ul class="legend">${each.join("")}</ul>`;
}

export interface FigureColumn<T> {
  readonly title: string;
  readonly value: (row: T) => number;
  readonly write: (value: number) => string;
  /** 1: more is better, -1: less is; 0: neither. */
  readonly better: -1 | 0 | 1;
}

/** A row each, with the best of each column in bold. */
export function figuresTable<T>(
  head: string,
  rows: readonly T[],
  name: (row: T) => string,
  columns: readonly FigureColumn<T>[],
): string {
  const best = columns.map(({ value, better }) => {
    const known = rows.map(value).filter(Number.isFinite);
    if (better === 0 || new Set(known).size < 2) return NaN;
    return better === 1 ? Math.max(...known) : Math.min(...known);
  });
  const lines = rows.map((row) => {
    const cells = columns.map(({ value, write }, at) => {
      const of = value(row);
      const text = escapeHtml(write(of));
      return `<td>${of === best[at] ? `<b>${text}</b>` : text}</td>`;
    });
    return `<tr><th scope="row">${escapeHtml(name(row))}</th>${cells.join("")}</tr>`;
  });
  const titles = columns.map(({ title }) => `<th scope="col">${escapeHtml(title)}</th>`).join("");
  return framed(`<th scope="col">${escapeHtml(head)}</th>${titles}`, lines);
}

/** `isProse`: of texts that may be long. */
export function textTable(heads: readonly string[], rows: readonly (readonly string[])[], isProse = false): string {
  const lines = rows.map(([first = "", ...rest]) => {
    return `<tr><th scope="row">${escapeHtml(first)}</th>${rest.map((text) => `<td>${escapeHtml(text)}</td>`).join("")}</tr>`;
  });
  return framed(heads.map((text) => `<th scope="col">${escapeHtml(text)}</th>`).join(""), lines, isProse);
}

function framed(head: string, lines: readonly string[], isProse = false): string {
  return `<div class="wide"><table${isProse ? ' class="text"' : ""}><thead><tr>${head}</tr></thead><tbody>${lines.join("")}</tbody></table></div>`;
}

/** As an axis has it. */
export const short = (value: number): string => Number(value.toPrecision(6)).toLocaleString("en");
export const percent = (part: number): string => (Number.isFinite(part) ? `${(part * 100).toFixed(1)} %` : "-");
export const ms = (value: number): string => (Number.isFinite(value) ? value.toFixed(value < 99.5 ? 1 : 0) : "-");
export const count = (value: number): string => (Number.isFinite(value) ? value.toLocaleString("en") : "-");
