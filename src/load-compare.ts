/** `infermesh load compare`: reports of several runs side by side, as a table and as one page for a browser. */
import { mkdirSync, readFileSync, statSync, writeFileSync } from "node:fs";
import { basename, dirname, join, resolve } from "node:path";
import { MeshError } from "./base/errors.ts";
import { printable } from "./base/printable.ts";
import { choice, section, text } from "./base/settings.ts";
import type { Command } from "./ctl/command.ts";
import { whyNoFile } from "./ctl/parsed-text.ts";
import { type Column, figureColumn, formatPercent, renderRows, textColumn } from "./ctl/render.ts";
import { loadPage, type NamedRun, RUNS_MAX } from "./lab/load-page.ts";
import { readReport } from "./load/report-file.ts";
import { lagWords } from "./load/table.ts";

const FILE_BYTES_MAX = 67_108_864;
const REPORT = "report.json";

const settings = section({
  format: choice(["table", "json", "text"], {
    default: "table",
    doc: "table is for people, text the same with tabs and exact figures, json all of the reports.",
  }),
  out: text({
    default: "",
    lengthMax: 4096,
    placeholder: "DIR",
    emptyMeans: "nothing is written",
    doc: "A folder for report.html, a page with all runs; made where it isn't there.",
  }),
});

export const loadCompareCommand: Command<typeof settings> = {
  help: {
    command: "infermesh load compare",
    summary: "lay the reports of several runs beside one another",
    usage: ["REPORT REPORT... [flags]"],
    operands: [{ name: "REPORT", doc: `A report.json of --out, or the folder that it is in; at most ${RUNS_MAX}.` }],
    examples: [["infermesh load compare before after --out both", "What two runs with --out wrote, as one page."]],
    notes: [["Exit codes", "0 well\n1 the page can't be written\n2 wrong command line or report"]],
  },
  settings,
  operands: [{ name: "REPORT", expected: "a report.json of infermesh load --out", many: true, completes: "file" }],
  run({ format, out }, terminal, paths) {
    if (paths.length > RUNS_MAX) {
      throw new MeshError("config_invalid", `there are ${paths.length} reports; at most ${RUNS_MAX} can be told apart`);
    }
    const runs = named(paths).map(({ name, path }): NamedRun => ({ name, report: opened(path) }));
    terminal.out(renderRows(format, runs, COLUMNS, { runs }));
    if (format === "table") {
      for (const { name, report } of runs) {
        if (report.isLagging) terminal.out(`\n${printable(`${name}: ${lagWords(report)}`)}\n`);
      }
    }
    if (out === "") return;
    const file = join(out, "report.html");
    try {
      mkdirSync(out, { recursive: true });
      writeFileSync(file, loadPage(runs));
    } catch (error) {
      throw new MeshError("internal", `--out ${out}: ${whyNoFile(error)}`);
    }
    terminal.err(`infermesh load compare: the report is ${file}\n`);
  },
};

/** A run is called by its folder, where that tells them apart, else by all of its path. */
function named(paths: readonly string[]): { readonly name: string; readonly path: string }[] {
  const files = paths.map((path) => (isFolder(path) ? join(path, REPORT) : path));
  const short = files.map((file) => (basename(file) === REPORT ? basename(dirname(resolve(file))) : basename(file)));
  return files.map((path, at) => {
    const name = short[at]!;
    const isTold = name !== "" && short.filter((other) => other === name).length === 1;
    return { name: isTold ? name : path, path };
  });
}

function isFolder(path: string): boolean {
  return statSync(path, { throwIfNoEntry: false })?.isDirectory() === true;
}

function opened(path: string) {
  let content: string;
  try {
    if (statSync(path).size > FILE_BYTES_MAX) throw new Error("it has more than 64 MiB");
    content = readFileSync(path, "utf8");
  } catch (error) {
    throw new MeshError("config_invalid", `${path} can't be read: ${whyNoFile(error)}`);
  }
  const report = readReport(content);
  if (typeof report === "string") throw new MeshError("config_invalid", `${path} ${report}`);
  return report;
}

const ms = (figure: number): string => (figure < 9.95 ? figure.toFixed(1) : figure.toFixed(0));
const rate = (figure: number): string => (figure < 99.5 ? figure.toFixed(1) : figure.toFixed(0));
const COLUMNS: readonly Column<NamedRun>[] = [
  textColumn("RUN", ({ name }) => name),
  figureColumn("REQUESTS", ({ report }) => report.requests),
  figureColumn("FAILED", ({ report }) => report.failed),
  figureColumn("DUE/S", ({ report }) => report.duePerSecond, rate),
  figureColumn("OK/S", ({ report }) => report.okPerSecond, rate),
  figureColumn("GOOD", ({ report }) => report.goodput, formatPercent),
  figureColumn("TTFT P50", ({ report }) => report.ttftMs.p50, ms),
  figureColumn("P95", ({ report }) => report.ttftMs.p95, ms),
  figureColumn("P99", ({ report }) => report.ttftMs.p99, ms),
  figureColumn("ITL P50", ({ report }) => report.itlMs.p50, ms),
  figureColumn("P95", ({ report }) => report.itlMs.p95, ms),
  figureColumn("E2E P50", ({ report }) => report.endMs.p50, ms),
  figureColumn("P95", ({ report }) => report.endMs.p95, ms),
  figureColumn("TOKENS/S", ({ report }) => report.outputTokensPerSecond, rate),
  figureColumn("LAG P99", ({ report }) => report.lagMs.p99, ms),
];
