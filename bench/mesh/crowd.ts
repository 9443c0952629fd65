/**
 * Membership with real processes, beside Serf: `npm run bench -- crowd [short | TURNS]`; a turn takes some six minutes.
 *
 * Each crowd lives in a network and PID namespace of its own, made here: its loopback's counters are its traffic,
 * headers included, and nothing outlives it. Crowds of both kinds take turns; the medians of the turns are compared.
 * Needs root (or user namespaces) and util-linux's unshare; without Debian's `serf`, infermesh is measured alone.
 */
import { mkdtempSync, rmSync } from "node:fs";
import { loadavg, tmpdir } from "node:os";
import { join } from "node:path";
import { EXECUTABLE } from "../../tests/process/harness.ts";
import { report } from "../report.ts";
import type { Measured, Order } from "./crowd-inside.ts";

const SHORT = process.argv.includes("short");
const TURNS = SHORT ? 1 : Number(process.argv[2] ?? 2);
const SERF = Bun.which("serf", { PATH: `${process.env["PATH"]}:/usr/sbin:/sbin` });
const UNSHARE = Bun.which("unshare");
const KINDS: readonly Order["kind"][] = SERF === null ? ["infermesh"] : ["infermesh", "serf"];
const INSIDE = join(import.meta.dir, "crowd-inside.ts");
/** Beyond what the order itself takes. */
const SLACK_MS = 240_000;

const IDLE = {
  members: SHORT ? 30 : 100,
  startMs: 5000,
  limitMs: 60_000,
  settleMs: 15_000,
  measureMs: SHORT ? 15_000 : 60_000,
};
const STORM = { members: SHORT ? 60 : 300, startMs: 10_000, limitMs: 60_000, settleMs: 0, measureMs: 0 };

const folder = mkdtempSync(join(tmpdir(), "infermesh-crowd-"));
process.on("SIGINT", () => process.exit(130));
process.on("exit", () => rmSync(folder, { recursive: true, force: true }));

let crowds = 0;
async function crowd(kind: Order["kind"], shape: typeof IDLE): Promise<Measured> {
  const executable = kind === "serf" ? SERF! : EXECUTABLE;
  const order: Order = { ...shape, kind, executable, folder: join(folder, String(crowds++)) };
  const options = ["--net", "--pid", "--fork", "--kill-child", "--mount-proc"];
  const child = Bun.spawn([UNSHARE!, ...options, process.execPath, INSIDE, JSON.stringify(order)], {
    stdout: "pipe",
    stderr: "inherit",
  });
  const limitMs = shape.startMs + shape.limitMs + shape.settleMs + shape.measureMs + SLACK_MS;
  const late = setTimeout(() => child.kill("SIGKILL"), limitMs);
  const text = await child.stdout.text();
  const code = await child.exited;
  clearTimeout(late);
  if (code !== 0) throw new Error(`the crowd of ${kind} ended with ${code}`);
  return JSON.parse(text.trim().split("\n").at(-1) ?? "") as Measured;
}

const median = (values: readonly number[]): number =>
  values.toSorted((a, b) => a - b)[values.length >> 1] ?? Number.NaN;
const round = (value: number, digits: number): number => Number(value.toFixed(digits));

async function turns(name: string, shape: typeof IDLE): Promise<Map<Order["kind"], Measured[]>> {
  const runs = new Map<Order["kind"], Measured[]>(KINDS.map((kind) => [kind, []]));
  for (let turn = 0; turn < TURNS; turn++) {
    for (const kind of KINDS) {
      const run = await crowd(kind, shape);
      runs.get(kind)!.push(run);
      console.log(`${name}, ${kind}: ${JSON.stringify(run)}`);
    }
  }
  return runs;
}

if (UNSHARE === null || Bun.spawnSync([UNSHARE, "--net", "true"]).exitCode !== 0) {
  console.log("skipped: network namespaces can't be made here (root and util-linux's unshare are needed)");
  process.exit(0);
}
if (SERF === null) console.log("serf is not installed: infermesh is measured alone");

const loadBefore = loadavg()[0] ?? 0;
const idle = await turns("idle", IDLE);
const storm = await turns("start", STORM);
const rows = KINDS.map((kind) => {
  const runs = idle.get(kind)!;
  const of = (figure: (run: Measured) => number): number => median(runs.map(figure));
  return {
    "": `${kind}, ${IDLE.members} idle`,
    "bytes/s a node": Math.round(of((run) => run.bytes)),
    "packets/s a node": round(
      of((run) => run.packets),
      2,
    ),
    "cores a node": round(
      of((run) => run.cores),
      5,
    ),
    "PSS MB": round(
      of((run) => run.pssMb),
      1,
    ),
    "RSS MB": round(
      of((run) => run.rssMb),
      1,
    ),
  };
});
const starts = KINDS.map((kind) => {
  const runs = storm.get(kind)!;
  const seconds = (figure: (run: Measured) => number | null): string =>
    runs.map((run) => (figure(run) === null ? "never" : String(round((figure(run) ?? 0) / 1000, 1)))).join(", ");
  return {
    "": `${kind}, ${STORM.members} started in ${STORM.startMs / 1000} s`,
    "converged s after the last start": seconds(({ convergedMs }) => convergedMs),
    "no suspicion s after it": kind === "serf" ? "not told" : seconds(({ settledMs }) => settledMs),
    "fewest seen": Math.min(...runs.map(({ presentMin }) => presentMin)),
    "false deaths": runs.reduce((sum, { falseDeaths }) => sum + falseDeaths, 0),
    suspicions: runs.reduce((sum, { suspicions }) => sum + suspicions, 0),
    "CPU s a node": round(median(runs.map(({ startCpuSeconds }) => startCpuSeconds / STORM.members)), 2),
    "kB a node": round(median(runs.map(({ startBytes }) => startBytes / STORM.members / 1000)), 1),
  };
});
const name = SHORT ? "crowd-short" : "crowd";
await report(name, { turns: TURNS, "load before": round(loadBefore, 1), idle: rows, start: starts });
