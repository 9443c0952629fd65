/** `infermesh sim`: scenarios are made, checked, played and compared. */
import { mkdirSync, writeFileSync } from "node:fs";
import { basename, dirname, join } from "node:path";
import { MeshError } from "./base/errors.ts";
import type { Fault } from "./base/field.ts";
import { list } from "./base/settings-collections.ts";
import { choice, type Infer, integer, section, text } from "./base/settings.ts";
import type { Command } from "./ctl/command.ts";
import { type ConfigFile, faultReport, loadConfig, openConfig } from "./ctl/load-config.ts";
import { whyNoFile } from "./ctl/parsed-text.ts";
import { type Column, figureColumn, formatPercent, renderRows, renderWhole, textColumn } from "./ctl/render.ts";
import type { Terminal } from "./ctl/terminal.ts";
import { playAll } from "./lab/crew.ts";
import { csvOf } from "./lab/csv.ts";
import { reportOf } from "./lab/report.ts";
import { openTraces } from "./lab/trace-file.ts";
import { type Figures, resultOf, type Result } from "./sim/figures.ts";
import { groupName, type Scenario, scenarioSettings, STRATEGIES, type StrategyName } from "./sim/scenario.ts";
import { SIZE_NAMES, type SizeName, sizedScenario } from "./sim/sizes.ts";

const EXIT = { ok: 0, failed: 1, usage: 2 } as const;
const FILE_OPERAND = {
  name: "FILE",
  expected: "a scenario, such as one of infermesh sim generate small",
  completes: "file",
} as const;
const EXIT_NOTE = ["Exit codes", "0 well\n1 failed\n2 wrong command line or scenario"] as const;

const shared = {
  seed: integer({ default: 0, emptyMeans: "the scenario's", doc: "Another one plays the same by other chance." }),
  format: choice(["table", "json", "csv"], { default: "table", doc: "Of what is printed." }),
  out: text({
    default: "",
    lengthMax: 4096,
    placeholder: "DIR",
    emptyMeans: "nothing is written",
    doc: "A folder for report.html, results.json and results.csv; made where it isn't there.",
  }),
};
const runSettings = section({
  strategy: choice(["scenario", ...STRATEGIES], {
    default: "scenario",
    doc: "How routers choose; scenario: as that says.",
  }),
  ...shared,
});
const compareSettings = section({
  strategies: list(choice(STRATEGIES, {}), { default: [...STRATEGIES], doc: "Which ones." }),
  ...shared,
});

const none = section({});

const generateCommand: Command<typeof none> = {
  help: {
    command: "infermesh sim generate",
    summary: "print a scenario to begin with, with comments",
    usage: [`${SIZE_NAMES.join("|")} > FILE`],
    notes: [["Sizes", "small: 512 nodes\nmedium: 8,192 in cells of 1,024\nlarge: 131,072 in cells of 1,024"]],
  },
  settings: none,
  operands: [{ name: "SIZE", expected: `one of ${SIZE_NAMES.join(", ")}` }],
  run(_config, terminal, [size = ""]) {
    if (!SIZE_NAMES.includes(size as SizeName)) {
      throw new MeshError(
        "config_invalid",
        `there is no size ${JSON.stringify(size)}; there are ${SIZE_NAMES.join(", ")}`,
      );
    }
    terminal.out(sizedScenario(size as SizeName));
  },
};

const validateCommand: Command<typeof none> = {
  help: {
    command: "infermesh sim validate",
    summary: "check a scenario and the traces that it names, and report every fault",
    usage: ["FILE"],
    notes: [["Exit codes", "0 valid\n2 not"]],
  },
  settings: none,
  operands: [FILE_OPERAND],
  run(_config, terminal, [path = ""]) {
    const scenario = load("infermesh sim validate", path, terminal);
    if (scenario === null) return EXIT.usage;
    terminal.out("valid\n");
    return EXIT.ok;
  },
};

const runCommand: Command<typeof runSettings> = {
  help: {
    command: "infermesh sim run",
    summary: "play a scenario by one strategy",
    usage: ["FILE [flags]"],
    examples: [["infermesh sim run small.yaml --strategy p2c --format json", "By another one than the scenario's."]],
    notes: [EXIT_NOTE],
  },
  settings: runSettings,
  operands: [FILE_OPERAND],
  run(config, terminal, [path = ""]) {
    const scenario = load("infermesh sim run", path, terminal);
    if (scenario === null) return EXIT.usage;
    const strategy = config.strategy === "scenario" ? scenario.strategy : config.strategy;
    return play("infermesh sim run", scenario, [strategy], path, config, terminal);
  },
};

const compareCommand: Command<typeof compareSettings> = {
  help: {
    command: "infermesh sim compare",
    summary: "play a scenario by several strategies, beside one another",
    usage: ["FILE [flags]"],
    examples: [["infermesh sim compare small.yaml --out results", "All of them, with a report for a browser."]],
    notes: [EXIT_NOTE],
  },
  settings: compareSettings,
  operands: [FILE_OPERAND],
  run(config, terminal, [path = ""]) {
    const scenario = load("infermesh sim compare", path, terminal);
    if (scenario === null) return EXIT.usage;
    const strategies = STRATEGIES.filter((name) => config.strategies.includes(name));
    if (strategies.length === 0) throw new MeshError("config_invalid", "there is no strategy to compare");
    return play("infermesh sim compare", scenario, strategies, path, config, terminal);
  },
};

export const SIM_COMMANDS = {
  generate: generateCommand,
  validate: validateCommand,
  run: runCommand,
  compare: compareCommand,
};

/** Null after its faults were told. */
function load(command: string, path: string, terminal: Terminal): Scenario | null {
  const opened = openConfig(path);
  const { value, faults } =
    "text" in opened ? parse(opened) : { value: undefined, faults: [{ ...opened, path: "FILE" }] };
  const found: readonly Fault[] = value === undefined ? (faults ?? []) : openTraces(value, dirname(path)).faults;
  if (value !== undefined && found.length === 0) return value;
  terminal.err(faultReport(command, found));
  return null;
}

function parse(file: ConfigFile) {
  return loadConfig(scenarioSettings, { file, env: {}, flags: [], variables: new Set() });
}

async function play(
  command: string,
  of: Scenario,
  strategies: readonly StrategyName[],
  path: string,
  { seed, format, out }: Pick<Infer<typeof runSettings>, "seed" | "format" | "out">,
  terminal: Terminal,
): Promise<number> {
  const scenario = seed === 0 ? of : { ...of, seed };
  // Before the work, not after it.
  if (out !== "") writing(out, () => mkdirSync(out, { recursive: true }));
  const results: Result[] = [];
  const began = performance.now();
  const names = `${strategies.length} ${strategies.length === 1 ? "strategy" : "strategies"}`;
  await playAll(
    scenario,
    strategies,
    dirname(path),
    new URL("./lab/worker.ts", import.meta.url),
    ({ strategy, cells, cpuMs }) => results.push(resultOf(scenario, strategy, cells, cpuMs)),
    (part) => terminal.progress?.(progressLine(part, performance.now() - began, names)),
  );
  terminal.progress?.("");
  results.sort((a, b) => strategies.indexOf(a.figures.strategy) - strategies.indexOf(b.figures.strategy));
  const all = results.map(({ figures }) => figures);
  const groups = scenario.nodes.map(groupName);
  const whole = { scenario: { file: path, seed: scenario.seed, groups }, results: all };
  if (format === "json") terminal.out(renderWhole("json", whole));
  else if (format === "csv") terminal.out(csvOf(all, groups));
  else terminal.out(renderRows("table", all, COLUMNS, whole) + speedLine(results, performance.now() - began));
  if (out !== "") {
    writing(out, () => {
      writeFileSync(join(out, "results.json"), renderWhole("json", whole));
      writeFileSync(join(out, "results.csv"), csvOf(all, groups));
      writeFileSync(join(out, "report.html"), reportOf(basename(path), scenario, results));
    });
    terminal.err(`${command}: the report is ${join(out, "report.html")}\n`);
  }
  return EXIT.ok;
}

function writing(out: string, write: () => void): void {
  try {
    write();
  } catch (error) {
    throw new MeshError("config_invalid", `--out ${out}: ${whyNoFile(error)}`);
  }
}

function progressLine(part: number, tookMs: number, names: string): string {
  const width = 30;
  const filled = Math.floor(part * width);
  const bar = `${"#".repeat(filled)}${"-".repeat(width - filled)}`;
  const leftMs = part > 0.02 ? (tookMs / part) * (1 - part) : NaN;
  const left = Number.isNaN(leftMs) ? "" : `, ${Math.ceil(leftMs / 1000)} s left`;
  return `[${bar}] ${Math.floor(part * 100)} % of ${names}${left}`;
}

function speedLine(results: readonly Result[], tookMs: number): string {
  const events = results.reduce((all, { figures }) => all + figures.events, 0);
  const cpuMs = results.reduce((all, result) => all + result.cpuMs, 0);
  const rate = Math.round(events / (cpuMs / 1000)).toLocaleString("en");
  return `${events.toLocaleString("en")} events in ${(tookMs / 1000).toFixed(1)} s, ${rate} for each second of a processor\n`;
}

const ms = (figure: number): string => (figure < 9.95 ? figure.toFixed(1) : figure.toFixed(0));
const COLUMNS: readonly Column<Figures>[] = [
  textColumn("STRATEGY", ({ strategy }) => strategy),
  figureColumn("REQUESTS", ({ requests }) => requests),
  figureColumn(
    "GOOD %",
    ({ goodput }) => goodput * 100,
    (percent) => percent.toFixed(2),
  ),
  figureColumn("REFUSED", ({ refused }) => refused),
  figureColumn("LOST", ({ lost }) => lost),
  figureColumn("TTFT P50", ({ ttftMs }) => ttftMs.p50, ms),
  figureColumn("P95", ({ ttftMs }) => ttftMs.p95, ms),
  figureColumn("P99", ({ ttftMs }) => ttftMs.p99, ms),
  figureColumn("ITL P50", ({ itlMs }) => itlMs.p50, ms),
  figureColumn("P95", ({ itlMs }) => itlMs.p95, ms),
  figureColumn("E2E P50", ({ endToEndMs }) => endToEndMs.p50, ms),
  figureColumn("P95", ({ endToEndMs }) => endToEndMs.p95, ms),
  figureColumn("HITS", ({ cacheHitRate }) => cacheHitRate, formatPercent),
  figureColumn("BUSY", ({ utilisation }) => utilisation, formatPercent),
  figureColumn("SPREAD", ({ utilisationSpread }) => utilisationSpread, formatPercent),
  figureColumn(
    "COST/1K",
    ({ costBusy }) => costBusy,
    (cost) => cost.toFixed(6),
  ),
  figureColumn(
    "PROVISIONED",
    ({ costProvisioned }) => costProvisioned,
    (cost) => cost.toFixed(6),
  ),
];
