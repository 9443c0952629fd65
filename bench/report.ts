/**
 * What every benchmark writes its figures with: bench/results/NAME.json, with all that is needed to judge them later
 * (the commit, Bun's version, the machine), and a table on the terminal. Figures are compared within one run only;
 * the machine is recorded so that nobody compares across two.
 */

import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { cpus, release, totalmem } from "node:os";
import { join, resolve } from "node:path";

const ROOT = resolve(import.meta.dir, "..");
const RESULTS = join(ROOT, "bench", "results");

type Figure = number | string | boolean | null | readonly Figure[] | { readonly [name: string]: Figure };

export interface Circumstances {
  readonly name: string;
  readonly date: string;
  readonly commit: string;
  /** The working tree differed from the commit. */
  readonly dirty: boolean;
  readonly bun: string;
  readonly cpu: string;
  readonly cores: number;
  readonly memoryGiB: number;
  readonly kernel: string;
}

function git(...args: string[]): string {
  const done = Bun.spawnSync(["git", ...args], { cwd: ROOT, stderr: "ignore" });
  return done.exitCode === 0 ? done.stdout.toString().trim() : "";
}

function cpuModel(): string {
  try {
    const named = /^model name\s*:\s*(.+)$/m.exec(readFileSync("/proc/cpuinfo", "utf8"))?.[1];
    if (named !== undefined) return named;
  } catch {
    // No /proc here: the library's word has to do.
  }
  return cpus()[0]?.model ?? "unknown";
}

function circumstances(name: string): Circumstances {
  const changed = git("status", "--porcelain", "--", ".", ":!bench/results");
  return {
    name,
    date: new Date().toISOString(),
    commit: git("rev-parse", "--short=12", "HEAD") || "unknown",
    dirty: changed !== "",
    bun: Bun.version,
    cpu: cpuModel(),
    cores: cpus().length,
    memoryGiB: Math.round(totalmem() / 2 ** 30),
    kernel: release(),
  };
}

const isRow = (value: unknown): value is Record<string, unknown> =>
  typeof value === "object" && value !== null && !Array.isArray(value);

function cell(value: unknown): string {
  if (typeof value === "number" && !Number.isInteger(value)) return String(Number(value.toPrecision(4)));
  return typeof value === "object" && value !== null ? JSON.stringify(value) : String(value);
}

function printTable(rows: readonly Record<string, unknown>[]): void {
  const columns = [...new Set(rows.flatMap((row) => Object.keys(row)))];
  const lines = [columns, ...rows.map((row) => columns.map((column) => (column in row ? cell(row[column]) : "")))];
  const widths = columns.map((_, index) => Math.max(...lines.map((line) => line[index]?.length ?? 0)));
  for (const line of lines) {
    // Names to the left, figures to the right.
    const padded = line.map((text, i) => (i === 0 ? text.padEnd(widths[i] ?? 0) : text.padStart(widths[i] ?? 0)));
    console.log(`  ${padded.join("  ").trimEnd()}`);
  }
}

function print(figures: Record<string, unknown>): void {
  for (const [name, value] of Object.entries(figures)) {
    const rows = Array.isArray(value) ? value : isRow(value) ? Object.entries(value) : [];
    if (Array.isArray(value) && rows.length > 0 && rows.every(isRow)) {
      console.log(`${name}:`);
      printTable(rows);
    } else if (isRow(value) && rows.length > 0 && Object.values(value).every(isRow)) {
      console.log(`${name}:`);
      printTable(Object.entries(value).map(([key, row]) => ({ "": key, ...(isRow(row) ? row : {}) })));
    } else {
      console.log(`${name}: ${cell(value)}`);
    }
  }
}

/** Writes bench/results/NAME.json and prints the figures; a list of objects becomes a table. */
export async function report(name: string, figures: { readonly [name: string]: Figure }): Promise<void> {
  const run = circumstances(name);
  mkdirSync(RESULTS, { recursive: true });
  writeFileSync(join(RESULTS, `${name}.json`), `${JSON.stringify({ ...run, figures }, null, 2)}\n`);
  const state = run.dirty ? `${run.commit} with changes` : run.commit;
  console.log(`\n${name} at ${state}, Bun ${run.bun}, ${run.cpu}, ${run.cores} cores, Linux ${run.kernel}`.trimEnd());
  print(figures);
  console.log(`written to bench/results/${name}.json`);
}
