/** `infermesh agent bench-gpu`: has the machine's GPUs measured, shows the figures and keeps them for the agent. */
import { printable } from "./base/printable.ts";
import { stateDirectory } from "./mesh/host.ts";
import type { Command } from "./ctl/command.ts";
import { type Column, figureColumn, renderRows, textColumn } from "./ctl/render.ts";
import type { Terminal } from "./ctl/terminal.ts";
import { type BenchRecord, benchPath, keepBenchRecords } from "./gpu/bench-file.ts";
import { type BenchOutcome, type BenchRun, runBench } from "./gpu/bench-run.ts";
import { type BenchConfig, benchHelp, benchSettings } from "./gpu/bench-settings.ts";
import { selfCommand } from "./process.ts";

const EXIT = { ok: 0, failed: 1, usage: 2, absent: 3, busy: 4 } as const;

const tera = (figure: number): string => `${(figure / 1e12).toFixed(figure < 1e13 ? 2 : 1)} TFLOP/s`;
const bandwidth = (figure: number): string => `${(figure / 1e9).toFixed(0)} GB/s`;

const COLUMNS: readonly Column<BenchOutcome>[] = [
  figureColumn("GPU", ({ index }) => index),
  textColumn("UUID", ({ uuid }) => uuid),
  textColumn("NAME", ({ name }) => name),
  figureColumn("MEMORY", ({ figures }) => figures?.memoryBytesPerSecond, bandwidth),
  figureColumn("FP16 MATRIX", ({ figures }) => figures?.tensorFlops, tera),
  figureColumn("FP32", ({ figures }) => figures?.fp32Flops, tera),
  textColumn("STATE", ({ state, message }) => (state === "measured" && message !== "" ? "measured, in use" : state)),
];

export const benchGpuCommand: Command<typeof benchSettings> = {
  help: benchHelp,
  settings: benchSettings,
  run: benchGpu,
};

async function benchGpu(config: BenchConfig, terminal: Terminal): Promise<number> {
  const { gpu, force, limitMs, output } = config;
  const { only, nvmlLibrary, cudaLibrary, root } = gpu;
  const run = await runBench({ command: selfCommand(), only, nvmlLibrary, cudaLibrary, root, force, limitMs });
  const say = (text: string): void => terminal.err(`infermesh agent bench-gpu: ${printable(text)}\n`);
  if (run.type === "none") {
    say(run.message);
    return { absent: EXIT.absent, unknown: EXIT.usage, broken: EXIT.failed }[run.why];
  }
  const { gpus, driverVersion, note } = run;
  const whole = { driverVersion, gpus };
  terminal.out(renderRows(output, gpus, COLUMNS, whole));
  for (const one of gpus) if (one.message !== "") say(wordsOf(one));
  if (note !== "") say(note);
  const measured = gpus.filter(({ state }) => state === "measured");
  if (measured.length > 0) await keep(config, run, say);
  if (note !== "" || gpus.some(({ state }) => state === "failed")) return EXIT.failed;
  return measured.length === gpus.length ? EXIT.ok : EXIT.busy;
}

function wordsOf({ index, state, message }: BenchOutcome): string {
  if (state === "measured") return `GPU ${index} was in use (${message}): it can do more than was measured`;
  if (state === "failed") return `GPU ${index} was not measured: ${message}`;
  return `GPU ${index} is in use: ${message}; wait until it is idle, or measure it all the same by --force`;
}

async function keep(
  { dataDir, output }: BenchConfig,
  { gpus, driverVersion }: Extract<BenchRun, { type: "run" }>,
  say: (text: string) => void,
): Promise<void> {
  const measuredAt = new Date().toISOString();
  const records = gpus.flatMap(({ uuid, name, figures, message }): (readonly [string, BenchRecord])[] => {
    const inUse = message === "" ? {} : { inUse: message };
    return figures === undefined ? [] : [[uuid, { ...figures, name, driverVersion, measuredAt, ...inUse }]];
  });
  const where = dataDir === "" ? stateDirectory() : dataDir;
  const { stayed, aside } = await keepBenchRecords(where, new Map(records));
  if (aside !== undefined) say(`${aside.fault}; it is now ${aside.path}, and a new file takes its place`);
  for (const { index, uuid } of gpus) {
    const since = stayed.get(uuid);
    if (since !== undefined)
      say(`GPU ${index} keeps the figures of ${since}, when it was idle; measure it when it is idle again`);
  }
  if (stayed.size === records.length) return;
  if (output === "table") say(`kept in ${benchPath(where)}; an agent reads it when it starts`);
}
