/** Results as CSV: a line a strategy, nested figures as `ttftMs.p95`. */
import type { Figures } from "../sim/figures.ts";

export function csvOf(all: readonly Figures[], groups: readonly string[]): string {
  const rows = all.map((figures) => flat(figures, groups));
  const heads = rows[0]?.map(([name]) => name) ?? [];
  return [heads, ...rows.map((row) => row.map(([, value]) => value))]
    .map((line) => `${line.map(quoted).join(",")}\n`)
    .join("");
}

function flat(figures: Figures, groups: readonly string[]): [string, string][] {
  return Object.entries(figures).flatMap(([name, value]): [string, string][] => {
    if (name === "utilisationByGroup") {
      return groups.map((group, at) => [`utilisation.${group}`, String(figures.utilisationByGroup[at])]);
    }
    if (typeof value === "object" && value !== null) {
      return Object.entries(value as object).map(([inner, of]): [string, string] => [`${name}.${inner}`, String(of)]);
    }
    return [[name, value === null ? "" : String(value)]];
  });
}

function quoted(value: string): string {
  return /[",\r\n]/.test(value) ? `"${value.replaceAll('"', '""')}"` : value;
}
