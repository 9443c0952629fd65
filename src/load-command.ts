/** `infermesh load`: sends requests to a server when they are due, and tells what came of them. */
import { appendFileSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { MeshError } from "./base/errors.ts";
import { printable } from "./base/printable.ts";
import { driveTogether } from "./client/crew.ts";
import { keyHeader } from "./client/credentials.ts";
import { Drive, type DriveCounts, type DrivePart } from "./client/drive.ts";
import { onlyModel } from "./client/model-name.ts";
import type { Command } from "./ctl/command.ts";
import { loadPage } from "./lab/load-page.ts";
import { renderWhole } from "./ctl/render.ts";
import type { Terminal } from "./ctl/terminal.ts";
import { untilEnded } from "./ctl/until-ended.ts";
import { type LoadReport, reportOf } from "./load/report.ts";
import { loadContradiction, type LoadConfig, loadSettings } from "./load/settings.ts";
import { csvLines, jsonLines, loadTable } from "./load/table.ts";
import { parseTarget, TARGET_EXPECTED } from "./load/target.ts";
import { Tally } from "./load/tally.ts";
import { sharedArrivals, workloadWords } from "./load/workload.ts";
import { clientOptions } from "./net/tls-settings.ts";
import type { Arrival } from "./sim/arrival.ts";
import { readTrace } from "./sim/traces.ts";

const EXIT = { ok: 0, failed: 1, usage: 2 } as const;
const PROGRESS_MS = 500;
const PART_LINES = 4096;

export const loadCommand: Command<typeof loadSettings> = {
  help: {
    command: "infermesh load",
    summary: "send requests to an OpenAI-compatible server when they are due, and tell what came of them",
    usage: ["URL [flags]", "compare REPORT REPORT... [flags]"],
    operands: [
      { name: "URL", doc: "Whom to ask: http://127.0.0.1:8080, https://api.example.com/v1, grpc://10.0.0.7:8033." },
    ],
    examples: [
      ["infermesh load http://127.0.0.1:8080 --rate 50 --duration 1m", "Poisson arrivals, 50 a second."],
      ["infermesh load http://127.0.0.1:8080 --rate 10..200 --over 60s --duration 90s", "A ramp, and its end held."],
      ["infermesh load http://127.0.0.1:8080 --trace mooncake.jsonl --speed 2", "What was recorded, twice as fast."],
    ],
    notes: [
      [
        "How it measures",
        "Latencies count from the moment at which a request was due, so that a server that stalls is charged for all that it kept waiting. Requests that could not be sent in time are told as behind schedule.",
      ],
      ["Ctrl-C", "Ends the run; what was done so far is reported. A second one ends the process."],
      [
        "Exit codes",
        "0 requests were answered\n1 none was, or the target can't be asked\n2 wrong command line or file",
      ],
    ],
  },
  settings: loadSettings,
  operands: [{ name: "URL", expected: TARGET_EXPECTED }],
  run: load,
};

async function load(config: LoadConfig, terminal: Terminal, [url = ""]: readonly string[]): Promise<number> {
  const target = parseTarget(url);
  if (target === undefined) return refused(terminal, `URL: found ${printable(url)}; expected ${TARGET_EXPECTED}`);
  const contradiction = loadContradiction(config);
  if (contradiction !== "") return refused(terminal, contradiction);
  if (target.protocol === "grpc" && config.model === "") return refused(terminal, "over gRPC a --model must be named");
  const arrivals = config.trace === "" ? null : arrivalsOf(config.trace);
  const headers = [...config.header, ...keyHeader(config, process.env)];
  const tls = clientOptions(
    { ca: config.tlsCa, cert: "", key: "", verify: config.tlsVerify },
    { ca: "--tls-ca", cert: "", key: "" },
  );
  const model = config.model === "" ? await onlyModel(target, headers, tls) : config.model;
  // Before the work, not after it.
  if (config.out !== "") writing(() => mkdirSync(config.out, { recursive: true }));
  const tally = new Tally();
  const startedAtMs = Date.now();
  const isStopped = await untilEnded(terminal, (ended) =>
    driven({ config, target, headers, tls, model }, arrivals, tally, terminal, ended),
  );
  const slo = { ttftMs: config.sloTtftMs, itlMs: config.sloItlMs, endMs: config.sloEndMs };
  const about = { url, model, workload: workloadWords(config), seed: config.seed, startedAtMs, isStopped };
  const report = reportOf(tally, slo, about);
  told(config, terminal, report, tally);
  if (config.out !== "") keep(config.out, report, tally, terminal);
  return tally.okCount > 0 ? EXIT.ok : EXIT.failed;
}

function refused(terminal: Terminal, why: string): number {
  terminal.err(`infermesh load: ${why}\nsee infermesh load --help\n`);
  return EXIT.usage;
}

function arrivalsOf(path: string): readonly Arrival[] {
  let text: string;
  try {
    text = readFileSync(path, "utf8");
  } catch (error) {
    throw new MeshError("config_invalid", `--trace: ${path} can't be read: ${(error as Error).message}`);
  }
  const { arrivals, fault } = readTrace(text);
  if (fault !== null) throw new MeshError("config_invalid", `--trace: ${path}: ${fault}`);
  return arrivals;
}

/** Sends all that is planned, and waits for its ends. Answers whether it was stopped before. */
async function driven(
  part: Omit<DrivePart, "arrivals" | "share">,
  arrivals: readonly Arrival[] | null,
  tally: Tally,
  terminal: Terminal,
  ended: AbortSignal,
): Promise<boolean> {
  const { workers, warmupMs: warmUpMs } = part.config;
  const shares = Array.from({ length: workers }, (_, index) => ({ index, of: workers }));
  const parts = shares.map((share): DrivePart => ({
    ...part,
    share,
    arrivals: arrivals === null ? null : sharedArrivals(arrivals, share),
  }));
  const counts = new Map<number, DriveCounts>();
  let drive: Drive | null = null;
  const shown = progress(terminal, () => (drive === null ? [...counts.values()] : [drive.counts]));
  try {
    if (workers > 1) {
      const workerEntry = new URL("./client/worker.ts", import.meta.url);
      const note = (index: number, its: DriveCounts): void => void counts.set(index, its);
      return await driveTogether({ parts, workerEntry, tally, warmUpMs, ended }, note);
    }
    const { promise, resolve } = Promise.withResolvers<boolean>();
    drive = new Drive(parts[0]!, tally, resolve);
    ended.addEventListener("abort", () => drive?.stop());
    drive.start(performance.now());
    return await promise;
  } finally {
    clearInterval(shown);
    terminal.progress?.("");
  }
}

function progress(terminal: Terminal, all: () => readonly DriveCounts[]): ReturnType<typeof setInterval> | undefined {
  if (terminal.progress === undefined) return undefined;
  const startMs = performance.now();
  let [lastMs, lastOk] = [startMs, 0];
  return setInterval(() => {
    const nowMs = performance.now();
    const sum = (of: keyof DriveCounts) => all().reduce((whole, counts) => whole + counts[of], 0);
    const [ok, failed, waiting] = [sum("ok"), sum("failed"), sum("waiting")];
    const perSecond = ((ok - lastOk) * 1000) / (nowMs - lastMs);
    [lastMs, lastOk] = [nowMs, ok];
    const parts = [
      `${Math.floor((nowMs - startMs) / 1000)} s`,
      `${sum("sent")} sent`,
      `${sum("inFlight")} under way`,
      ...(waiting > 0 ? [`${waiting} behind schedule`] : []),
      `${ok} ok (${Math.round(perSecond)}/s)`,
      ...(failed > 0 ? [`${failed} failed`] : []),
    ];
    terminal.progress?.(parts.join(", "));
  }, PROGRESS_MS);
}

function told({ format }: LoadConfig, terminal: Terminal, report: LoadReport, tally: Tally): void {
  if (format === "json") terminal.out(renderWhole("json", report));
  else if (format === "table") terminal.out(`${loadTable(report).map(printable).join("\n")}\n`);
  else for (const lines of linesTogether(csvLines(tally))) terminal.out(lines);
}

function keep(folder: string, report: LoadReport, tally: Tally, terminal: Terminal): void {
  const page = join(folder, "report.html");
  writing(() => {
    writeFileSync(join(folder, "report.json"), renderWhole("json", report));
    writeFileSync(page, loadPage([{ name: "run", report }]));
    written(join(folder, "requests.csv"), csvLines(tally));
    written(join(folder, "requests.jsonl"), jsonLines(tally));
  });
  terminal.err(`infermesh load: the report is ${page}\n`);
}

function writing(write: () => void): void {
  try {
    write();
  } catch (error) {
    throw new MeshError("internal", `--out: the report can't be written: ${(error as Error).message}`);
  }
}

function written(path: string, all: Iterable<string>): void {
  writeFileSync(path, "");
  for (const part of linesTogether(all)) appendFileSync(path, part);
}

/** Many lines at a time, and never all of them. */
function* linesTogether(all: Iterable<string>): Generator<string> {
  let lines: string[] = [];
  for (const line of all) {
    lines.push(`${line}\n`);
    if (lines.length < PART_LINES) continue;
    yield lines.join("");
    lines = [];
  }
  yield lines.join("");
}
