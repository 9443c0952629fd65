/**
 * `infermesh dev`: a whole mesh on this machine. One router and some mock agents, each a process of its own (so that
 * one can be killed to see what happens), a live line for each node, and on request a trickle of sample traffic.
 *
 * Children are told by a pipe on their standard input when this process is gone, however it went: none is left behind.
 */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Subprocess } from "bun";
import { MeshError } from "./base/errors.ts";
import { dialable } from "./base/units.ts";
import type { DevConfig } from "./config.ts";
import { showStatus } from "./ctl/live-status.ts";
import { createLog } from "./obs/log.ts";
import type { Log } from "./obs/log.ts";
import { selfCommand, untilStopped } from "./process.ts";

interface Child {
  readonly name: string;
  readonly process: Subprocess<"pipe", "pipe", "inherit">;
  readonly ready: Promise<Record<string, unknown>>;
}

const READY_MS = 15_000;
/** How often the router polls the nodes: the status lines should be fresh. */
const POLL_MS = 1000;
/** What still streams at the end is cut off after this, as well when dev itself was killed: nobody waits longer. */
const DRAIN_MS = 2000;
const KILL_AFTER_MS = 5000;
const PROMPTS = [
  "Explain gossip protocols to a network engineer in three sentences.",
  "Write a haiku about a GPU that is never idle.",
  "Which is faster for a small batch, prefill or decode, and why?",
  "Summarise the plot of a film about a lost satellite.",
];

export async function runDev(config: DevConfig): Promise<void> {
  const log = createLog(config.log);
  const stopped = untilStopped();
  const children: Child[] = [];
  // What is tried here is not for the next time.
  const controlDir = mkdtempSync(join(tmpdir(), "infermesh-dev-"));
  const start = (name: string, args: readonly string[]): Child => {
    const child = spawnChild(name, args, log);
    children.push(child);
    return child;
  };
  let failed: Error | null = null;
  try {
    const router = start("router", [
      "router",
      `--listen=${config.listen.host}:${config.listen.port}`,
      `--api=${config.api.host}:${config.api.port}`,
      `--metrics=${config.metrics.host}:${config.metrics.port}`,
      "--gossip=127.0.0.1:0",
      "--swim-profile=local",
      `--drain-timeout=${DRAIN_MS}ms`,
      "--control=off",
      `--control-dir=${controlDir}`,
      ...(config.workers > 0 ? [`--workers=${config.workers}`] : []),
      `--fleet-poll-interval=${POLL_MS}ms`,
    ]);
    const routerReady = await router.ready;
    const api = `http://${dialable(String(routerReady["api"]))}`;
    const base = `http://${dialable(String(routerReady["listen"]))}`;
    const agents = Array.from({ length: config.nodes }, (_, index) =>
      start(`node${index + 1}`, [
        "agent",
        "--mock",
        `--id=node${index + 1}`,
        "--serve=127.0.0.1:0",
        "--api=127.0.0.1:0",
        "--metrics=127.0.0.1:0",
        "--gossip=127.0.0.1:0",
        "--swim-profile=local",
        `--drain-timeout=${DRAIN_MS}ms`,
        `--join=${dialable(String(routerReady["gossip"]))}`,
        `--control=${index === 0 ? "bootstrap" : "auto"}`,
        "--control-listen=127.0.0.1:0",
        `--control-dir=${controlDir}`,
        `--mock-profile=${config.mock.profile}`,
        `--mock-speed=${config.mock.speed}`,
        `--mock-seed=${config.mock.seed + index}`,
        ...(config.mock.models.length > 0 ? [`--mock-models=${config.mock.models.join(",")}`] : []),
      ]),
    );
    const agentsReady = await Promise.all(agents.map(({ ready }) => ready));
    await routed(base, stopped);
    const models = agentsReady[0]?.["models"];
    const model = Array.isArray(models) ? String(models[0]) : "";
    console.log(welcome(base, api, model, agentsReady, String(routerReady["metrics"])));
    // People have read it all above; programs get it in one line.
    const { format } = config.log;
    if (format === "json" || (format === "auto" && !process.stdout.isTTY))
      log.info("ready", {
        role: "dev",
        listen: routerReady["listen"],
        api: routerReady["api"],
        nodes: config.nodes,
        model,
        agents: agentsReady,
      });
    void router.process.exited.then((code) =>
      stopped.fail(new MeshError("internal", `the router ended with code ${code}`)),
    );
    const stopStatus = showStatus(
      api,
      agents.map((child) => ({ id: child.name, end: () => endOf(child) })),
    );
    const stopTraffic = config.traffic > 0 ? sendTraffic(base, model, config.traffic) : () => {};
    try {
      await stopped.promise;
    } finally {
      stopTraffic();
      stopStatus();
    }
  } catch (error) {
    failed = error instanceof Error ? error : new Error(String(error));
  }
  await stopAll(children);
  rmSync(controlDir, { recursive: true, force: true });
  if (failed !== null) {
    log.error(failed.message);
    process.exit(1);
  }
  process.exit(0);
}

function spawnChild(name: string, args: readonly string[], log: Log): Child {
  const child = Bun.spawn([...selfCommand(), ...args, "--log-format=json"], {
    stdin: "pipe",
    stdout: "pipe",
    stderr: "inherit",
    // What the shell says of other meshes is not for this one.
    env: { ...withoutSettings(process.env), INFERMESH_SUPERVISED: "1" },
  });
  const { promise, resolve, reject } = Promise.withResolvers<Record<string, unknown>>();
  promise.catch(() => {});
  const timer = setTimeout(
    () => reject(new MeshError("internal", `${name} was not ready within ${READY_MS} ms`)),
    READY_MS,
  );
  const problems: string[] = [];
  void readLines(child.stdout, (line) => {
    const entry = parseLine(line);
    if (entry["msg"] === "ready") resolve(entry);
    const level = entry["level"];
    if (level !== "warn" && level !== "error") return;
    const { msg, time: _time, level: _level, ...fields } = entry;
    problems.push(String(msg));
    log[level](`${name}: ${String(msg)}`, fields);
  });
  void child.exited.then((code) => {
    clearTimeout(timer);
    reject(
      new MeshError(
        "internal",
        `${name} ended with code ${code} before it was ready${problems.length > 0 ? `: ${problems.join("; ")}` : ""}`,
      ),
    );
  });
  void promise.then(
    () => clearTimeout(timer),
    () => {},
  );
  return { name, process: child, ready: promise };
}

async function readLines(stream: ReadableStream<Uint8Array>, take: (line: string) => void): Promise<void> {
  const decoder = new TextDecoder();
  let rest = "";
  for await (const chunk of stream) {
    rest += decoder.decode(chunk, { stream: true });
    const lines = rest.split("\n");
    rest = lines.pop() ?? "";
    for (const line of lines) if (line !== "") take(line);
  }
}

function parseLine(line: string): Record<string, unknown> {
  try {
    const entry: unknown = JSON.parse(line);
    if (typeof entry === "object" && entry !== null) return entry as Record<string, unknown>;
  } catch {
    // Not a log line: whatever it is, it is shown.
  }
  return { level: "warn", msg: line };
}

/** Waits until the router lists a model: from then on a request finds a node. */
async function routed(base: string, stopped: { promise: Promise<string> }): Promise<void> {
  let over = false;
  void stopped.promise.then(
    () => (over = true),
    () => (over = true),
  );
  for (let tries = 0; tries < READY_MS / 20 && !over; tries++) {
    const listing = (await fetch(`${base}/v1/models`, { proxy: false })
      .then((response) => response.json())
      .catch(() => null)) as { data?: unknown[] } | null;
    if ((listing?.data?.length ?? 0) > 0) return;
    await Bun.sleep(20);
  }
  if (!over) throw new MeshError("internal", `the router lists no model ${READY_MS} ms after its nodes were ready`);
}

function welcome(
  base: string,
  api: string,
  model: string,
  agents: readonly Record<string, unknown>[],
  metrics: string,
): string {
  const body = JSON.stringify({ model, messages: [{ role: "user", content: "Hello!" }], stream: true });
  return [
    "",
    `  infermesh dev: ${agents.length} mock GPU node${agents.length === 1 ? "" : "s"} behind one router`,
    "",
    `  OpenAI API   ${base}/v1    (model: ${model}; any API key)`,
    `  control      ${api}/nodes`,
    `  metrics      http://${dialable(metrics)}/telemetry`,
    ...agents.map(
      (agent) =>
        `  ${String(agent["id"]).padEnd(12)} http://${String(agent["serve"])}    faults: http://${String(agent["api"])}/mock/faults`,
    ),
    "",
    "  Try:",
    `  curl -N ${base}/v1/chat/completions -H 'content-type: application/json' -d '${body}'`,
    "",
    "  Ctrl-C ends all of it.",
    "",
  ].join("\n");
}

/** A steady trickle of streamed chats, `perSecond` of them; what fails is told once a minute at most. */
function sendTraffic(base: string, model: string, perSecond: number): () => void {
  let sent = 0;
  let failures = 0;
  let toldAt = Number.NEGATIVE_INFINITY;
  const one = async (): Promise<void> => {
    const content = `${PROMPTS[sent % PROMPTS.length] ?? ""} (${++sent})`;
    const body = JSON.stringify({ model, messages: [{ role: "user", content }], stream: true, max_tokens: 64 });
    try {
      const response = await fetch(`${base}/v1/chat/completions`, {
        method: "POST",
        body,
        proxy: false,
        headers: { "content-type": "application/json" },
      });
      await response.text();
      if (!response.ok) throw new Error(`status ${response.status}`);
    } catch (error) {
      failures++;
      if (performance.now() - toldAt < 60_000) return;
      toldAt = performance.now();
      console.error(`  sample traffic: ${failures} of ${sent} requests failed so far, the last: ${String(error)}`);
    }
  };
  const timer = setInterval(() => void one(), 1000 / perSecond);
  return () => clearInterval(timer);
}

/** How a child ended, in words; null while it runs. */
function endOf({ process: child }: Child): string | null {
  if (child.exitCode === null && child.signalCode === null) return null;
  return child.signalCode === null ? `code ${child.exitCode}` : String(child.signalCode);
}

async function stopAll(children: readonly Child[]): Promise<void> {
  for (const { process: child } of children) child.kill("SIGTERM");
  const all = Promise.all(children.map(({ process: child }) => child.exited));
  const timer = setTimeout(() => {
    for (const { process: child } of children) child.kill("SIGKILL");
  }, KILL_AFTER_MS);
  await all;
  clearTimeout(timer);
}

function withoutSettings(env: NodeJS.ProcessEnv): Record<string, string | undefined> {
  return Object.fromEntries(Object.entries(env).filter(([name]) => !name.startsWith("INFERMESH_")));
}
