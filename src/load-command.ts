/** `infermesh load`: sends requests to a server when they are due, and tells what came of them. */
import { appendFileSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { MeshError } from "./base/errors.ts";
import { printable } from "./base/printable.ts";
import { keyHeader } from "./client/credentials.ts";
import { GrpcSender } from "./client/grpc-sender.ts";
import { HttpSender } from "./client/http-sender.ts";
import { RequestWriter } from "./client/http-head.ts";
import { Lane } from "./client/lane.ts";
import { onlyModel } from "./client/model-name.ts";
import type { Sender } from "./client/sender.ts";
import type { Command } from "./ctl/command.ts";
import { loadPage } from "./lab/load-page.ts";
import { renderWhole } from "./ctl/render.ts";
import type { Terminal } from "./ctl/terminal.ts";
import { untilEnded } from "./ctl/until-ended.ts";
import { generateRequest, SERVICE } from "./load/fmaas.ts";
import type { Flight } from "./load/flight.ts";
import { ClosedPlan, type Plan, RatePlan, TracePlan } from "./load/plan.ts";
import { PromptWriter } from "./load/prompt.ts";
import { parseRate, RateCurve } from "./load/rate.ts";
import { type LoadReport, reportOf } from "./load/report.ts";
import { BodyWriter } from "./load/request.ts";
import { Run } from "./load/run.ts";
import { durationOf, loadContradiction, type Header, type LoadConfig, loadSettings } from "./load/settings.ts";
import { csvLines, jsonLines, loadTable } from "./load/table.ts";
import { type LoadTarget, parseTarget, TARGET_EXPECTED } from "./load/target.ts";
import { Tally } from "./load/tally.ts";
import { Dialer } from "./net/dialer.ts";
import { clientOptions } from "./net/tls-settings.ts";
import type { TlsClientOptions } from "./net/tls-streams.ts";
import { MOONCAKE_BLOCK_TOKENS, readTrace } from "./sim/traces.ts";

const EXIT = { ok: 0, failed: 1, usage: 2 } as const;
const PROGRESS_MS = 500;
/** Requests that are begun before the answers that came meanwhile are looked at. */
const BURST = 64;
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
  const { plan, workload } = planOf(config);
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
    driven({ config, target, headers, tls, model, plan, tally, terminal, ended }),
  );
  const slo = { ttftMs: config.sloTtftMs, itlMs: config.sloItlMs, endMs: config.sloEndMs };
  const about = { url, model, workload, seed: config.seed, startedAtMs, isStopped };
  const report = reportOf(tally, slo, about);
  told(config, terminal, report, tally);
  if (config.out !== "") keep(config.out, report, tally, terminal);
  return tally.okCount > 0 ? EXIT.ok : EXIT.failed;
}

function refused(terminal: Terminal, why: string): number {
  terminal.err(`infermesh load: ${why}\nsee infermesh load --help\n`);
  return EXIT.usage;
}

/** What is to be sent, and that in words. */
function planOf(config: LoadConfig): { readonly plan: Plan; readonly workload: string } {
  const { seed, trace, concurrency, arrivals } = config;
  if (trace !== "") {
    const { speed, promptTokensMax, outputTokensMax } = config;
    const change = { speed, promptTokensMax, outputTokensMax };
    const recorded = arrivalsOf(trace);
    const cuts = [
      ...(promptTokensMax > 0 ? [`prompts cut at ${promptTokensMax}`] : []),
      ...(outputTokensMax > 0 ? [`answers cut at ${outputTokensMax}`] : []),
    ];
    const workload = [`trace ${trace}`, `speed ${speed}`, ...cuts].join(", ");
    return { plan: new TracePlan(recorded, change, MOONCAKE_BLOCK_TOKENS), workload };
  }
  const shapes = { prompt: config.promptTokens, output: config.outputTokens };
  const tokens = `prompts of ${shapes.prompt.text} tokens, answers of ${shapes.output.text}`;
  if (concurrency > 0) return { plan: new ClosedPlan(shapes, seed), workload: `${concurrency} at once, ${tokens}` };
  const rate = config.rate.rates.length > 0 ? config.rate : parseRate("10")!;
  const overMs = config.overMs > 0 ? config.overMs : finite(durationOf(config));
  const plan = new RatePlan(new RateCurve(rate, overMs), arrivals === "poisson", shapes, seed);
  const over = rate.rates.length > 1 ? ` over ${overMs / 1000} s` : "";
  return { plan, workload: `${arrivals} arrivals, ${rate.text}/s${over}, ${tokens}` };
}

/** A ramp that ends by a number of requests has no time of its own. */
function finite(ms: number): number {
  return Number.isFinite(ms) ? ms : 30_000;
}

function arrivalsOf(path: string) {
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

interface Drive {
  readonly config: LoadConfig;
  readonly target: LoadTarget;
  readonly headers: readonly Header[];
  readonly tls: TlsClientOptions;
  readonly model: string;
  readonly plan: Plan;
  readonly tally: Tally;
  readonly terminal: Terminal;
  readonly ended: AbortSignal;
}

/** Sends all that is planned, and waits for its ends. Answers whether it was stopped before. */
async function driven(drive: Drive): Promise<boolean> {
  const { config, plan, tally, terminal, ended } = drive;
  const { promise, resolve } = Promise.withResolvers<boolean>();
  const run = new Run(
    plan,
    {
      flightsMax: config.concurrency > 0 ? Math.min(config.concurrency, config.connections) : config.connections,
      timeoutMs: config.timeoutMs,
      requestsMax: config.maxRequests > 0 ? config.maxRequests : Number.POSITIVE_INFINITY,
      durationMs: durationOf(config),
      warmUpMs: config.warmupMs,
    },
    tally,
  );
  let isPumping = false;
  const pump = (): void => {
    // Ends that come of sending are seen to by the one that sends.
    if (isPumping) return;
    isPumping = true;
    let sent = 0;
    run.wake(performance.now());
    for (const flight of run.expired()) sender.cancel(flight);
    for (; sent < BURST; sent += 1) {
      const flight = run.next(performance.now());
      if (flight === null) break;
      sender.send(flight);
    }
    isPumping = false;
    lane.wakeAt(sent === BURST ? performance.now() : run.wakeAtMs);
    if (run.isOver) resolve(false);
  };
  const lane = new Lane(pump);
  const sender = senderOf(drive, lane, {
    came: (flight, texts, nowMs) => run.came(flight, texts, nowMs),
    ended(flight, failure, nowMs) {
      run.ended(flight, failure, nowMs);
      if (run.waiting > 0 || config.concurrency > 0 || run.isOver) pump();
    },
  });
  const shown = progress(terminal, run, tally);
  ended.addEventListener("abort", () => {
    for (const flight of run.stop(performance.now())) sender.cancel(flight);
    resolve(true);
  });
  run.start(performance.now());
  pump();
  const isStopped = await promise;
  clearInterval(shown);
  terminal.progress?.("");
  sender.close();
  lane.close();
  return isStopped;
}

function senderOf(drive: Drive, lane: Lane, events: ConstructorParameters<typeof HttpSender>[1]): Sender {
  const { config, target, headers, tls, model } = drive;
  const prompts = new PromptWriter(config.seed, MOONCAKE_BLOCK_TOKENS);
  const { api, stream: isStreamed, usage: asksUsage, ignoreEos: ignoresEnd } = config;
  const { host, port, tls: isTls } = target;
  const [dialer, place] = [new Dialer(lane.transport, tls), { host, port, tls: isTls }];
  const promptOf = ({ planned, number }: Flight): string => prompts.text(planned.hashes, planned.promptTokens, number);
  if (target.protocol === "grpc") {
    const path = `/${SERVICE}/${isStreamed ? "GenerateStream" : "Generate"}`;
    const bytesOf = (flight: Flight): Uint8Array =>
      generateRequest(model, promptOf(flight), flight.planned.outputTokens, ignoresEnd);
    const { timeoutMs } = config;
    const { authority } = target;
    return new GrpcSender({ dialer, place, authority, path, isStreamed, headers, timeoutMs, bytesOf }, events);
  }
  const bodies = new BodyWriter({ api, model, isStreamed, asksUsage, ignoresEnd });
  const path = `${target.path}${api === "chat" ? "/chat/completions" : "/completions"}`;
  const writer = new RequestWriter("POST", path, target.authority, headers);
  const bytesOf = (flight: Flight): Uint8Array =>
    writer.bytes(bodies.body(promptOf(flight), flight.planned.outputTokens));
  return new HttpSender({ dialer, place, bytesOf }, events);
}

function progress(terminal: Terminal, run: Run, tally: Tally): ReturnType<typeof setInterval> | undefined {
  if (terminal.progress === undefined) return undefined;
  let [lastMs, lastOk] = [performance.now(), 0];
  return setInterval(() => {
    const nowMs = performance.now();
    const perSecond = ((tally.okCount - lastOk) * 1000) / (nowMs - lastMs);
    [lastMs, lastOk] = [nowMs, tally.okCount];
    const parts = [
      `${Math.floor((nowMs - tally.startMs) / 1000)} s`,
      `${tally.sentCount} sent`,
      `${run.inFlight} under way`,
      ...(run.waiting > 0 ? [`${run.waiting} behind schedule`] : []),
      `${tally.okCount} ok (${Math.round(perSecond)}/s)`,
      ...(tally.failedCount > 0 ? [`${tally.failedCount} failed`] : []),
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
