/**
 * `npm run bench -- static [rounds] [seconds]`: what the static executable must reach, against the usual one for glibc.
 *
 * `npm run build:static` comes first: its .xz takes minutes. Sizes and what the file asks of a system are read from it. `--version` is timed in turns of both. A mesh of a router and two mock agents, which join by
 * gossip, is timed from the spawn of its router to the end of the first streamed answer, with a try every 5 ms: of both
 * executables on the host, and of the static one in the root of a container (empty, read-only, unprivileged), where the
 * making of three roots is part of it. Agents start when the router is ready, as they must be told where it is. Each
 * mesh is weighed 2 s after its answer. Throughput is that of one router with one worker under wrk (see
 * bench/proxy/wrk.ts), pinned to a core, in turns; it is told by requests a second and by CPU for each. All figures are
 * medians, and what compares two is the median of the ratios within each round.
 */
import { existsSync, readFileSync, rmSync, statSync } from "node:fs";
import { join, resolve } from "node:path";
import { ElfFile } from "../../scripts/elf/file.ts";
import { neededLibraries } from "../../scripts/elf/tables.ts";
import { SEGMENT } from "../../scripts/elf/constants.ts";
import { addMountPoints, emptyRoot, inEmptyRoot, inRoot, rootFault, writeCommand } from "../../scripts/static/root.ts";
import { standsAloneFault } from "../../scripts/static/staticize.ts";
import { Bench, EXECUTABLE, type Started, nodes } from "../../tests/process/harness.ts";
import { memory } from "../../tests/process/proc.ts";
import { prompt, send } from "../../tests/process/trace.ts";
import { LOAD_CORE, PROXY_CORE, Stage, compileC, cpuSeconds, freePort, infermesh } from "../proxy/peers.ts";
import { Rounds, inTurn, median, rounded } from "../proxy/rounds.ts";
import { load, writeScript } from "../proxy/wrk.ts";
import { report } from "../report.ts";

const ROOT = resolve(import.meta.dir, "..", "..");
const STATIC = join(ROOT, "dist", `infermesh-linux-${process.arch}`);
const MESH_ROUNDS = Number(process.argv[2] ?? 5);
const LOAD_SECONDS = Number(process.argv[3] ?? 4);
const LOAD_ROUNDS = MESH_ROUNDS + 1;
const VERSION_ROUNDS = 4 * MESH_ROUNDS;
const CONNECTIONS = 64;
const WARM_SECONDS = 3;
const TRY_EVERY_MS = 5;
const MESH_LIMIT_MS = 30_000;
const SETTLE_MS = 2000;
const PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
/** Of the usual executable's figure. */
const RATIO_MAX = 1.03;
const MODEL = "bench-model";
/** Where only /tmp can be written. */
const CONTAINER = "container";

const rows: Record<string, number | string | boolean>[] = [];

/** `target` is the most that it may be, unless it is said to be the least. */
function record(what: string, measured: number, unit: string, target?: number, isLeast = false): void {
  const shown = rounded(measured);
  const isMet = target !== undefined && (isLeast ? measured >= target : measured <= target);
  rows.push({ what, measured: shown, unit, ...(target === undefined ? {} : { target, met: isMet }) });
}

/** What is measured by its name, and how it is started. */
type Commands = Readonly<Record<string, (...args: string[]) => string[]>>;

/** Throws where there is no static executable of what is measured against. */
function checkBuild(): void {
  const said = (path: string): string => Bun.spawnSync([path, "--version"]).stdout.toString();
  const wanted = `run npm run build:static -- ${process.arch} first`;
  if (!existsSync(STATIC)) throw new Error(`${STATIC} is missing: ${wanted}`);
  if (said(STATIC) !== said(EXECUTABLE)) throw new Error(`${STATIC} is of another build (${said(STATIC)}): ${wanted}`);
}

function readFile(): void {
  const file = new ElfFile(STATIC, new Uint8Array(readFileSync(STATIC)));
  record("size", statSync(STATIC).size / 1e6, "MB", 110);
  if (existsSync(`${STATIC}.xz`)) record("size as .xz", statSync(`${STATIC}.xz`).size / 1e6, "MB", 40);
  else console.log("not measured: there is no .xz (npm run build:static without --no-xz)");
  const loaders = file.segments().filter(({ type }) => type === SEGMENT.interpreter).length;
  record("loaders named (PT_INTERP)", loaders, "", 0);
  const fault = standsAloneFault(file);
  record("libraries needed besides musl's own name", fault === "" ? 0 : neededLibraries(file).length, "", 0);
  if (fault !== "") console.log(`it does not stand alone: ${fault}`);
}

/** From the spawn of a command to its end. */
function commandMs(command: readonly string[]): number {
  const startMs = performance.now();
  const { exitCode } = Bun.spawnSync([...command], { stdout: "ignore", stderr: "inherit", env: { PATH } });
  if (exitCode !== 0) throw new Error(`${command.join(" ")} ended with ${exitCode}`);
  return performance.now() - startMs;
}

function timeVersion(commands: Commands, bare: string): void {
  const rounds = new Rounds<number>();
  for (let round = 0; round < VERSION_ROUNDS; round++) {
    for (const [name, command] of inTurn(Object.entries(commands), round))
      rounds.add(name, commandMs(command("--version")));
  }
  const ms = (name: string): number => rounds.median(name, (value) => value);
  record("--version, glibc", ms("glibc"), "ms");
  record("--version, static", ms("static"), "ms", 25);
  if (bare === "") return;
  const times = Array.from({ length: VERSION_ROUNDS }, () => commandMs(inEmptyRoot(bare, "--version")));
  record("--version, static, in a root without /proc", median(times), "ms");
}

interface MeshFigures {
  readonly routerReadyMs: number;
  readonly agentsReadyMs: number;
  readonly healthyMs: number;
  readonly answeredMs: number;
  readonly routerBytes: number;
  readonly agentBytes: number;
}

const PORTS = ["--api", "127.0.0.1:0", "--metrics", "127.0.0.1:0", "--gossip", "127.0.0.1:0"];

/** A mesh of three nodes from the first spawn to the first answer, weighed a moment later. */
async function mesh(bench: Bench, command: readonly string[], stateFolder: string): Promise<MeshFigures> {
  const executable = join(bench.dataDir, "command");
  writeCommand(executable, command);
  const how = { executable, env: { PATH, XDG_STATE_HOME: stateFolder } };
  const startMs = performance.now();
  const sinceMs = (): number => performance.now() - startMs;
  const start = (...args: string[]): Promise<Started> => bench.launch([...args, ...PORTS], how);
  const router = await start("router", "--listen", "127.0.0.1:0", "--workers", "2");
  const routerReadyMs = sinceMs();
  const seed = String(router.ready["gossip"]);
  const agent = (id: string): Promise<Started> =>
    start("agent", "--mock", "--mock-models", MODEL, "--id", id, "--serve", "127.0.0.1:0", "--join", seed);
  const agents = await Promise.all([agent("one"), agent("two")]);
  const agentsReadyMs = sinceMs();
  await untilSo(async () => (await nodes(router)).filter((node) => node.state === "healthy").length === 2);
  const healthyMs = sinceMs();
  const body = JSON.stringify({
    model: MODEL,
    messages: [{ role: "user", content: prompt(20, 1) }],
    max_tokens: 4,
    stream: true,
  });
  await untilSo(async () => (await send(`http://${router.address("listen")}`, body)).error === "");
  const answeredMs = sinceMs();
  await Bun.sleep(SETTLE_MS);
  const resident = ({ process: child }: Started): number => memory(child.pid).resident;
  const figures = { routerBytes: resident(router), agentBytes: median(agents.map(resident)) };
  await Promise.all([router, ...agents].map((started) => started.kill()));
  return { routerReadyMs, agentsReadyMs, healthyMs, answeredMs, ...figures };
}

async function untilSo(isSo: () => Promise<boolean>): Promise<void> {
  const endMs = performance.now() + MESH_LIMIT_MS;
  while (!(await isSo())) {
    if (performance.now() > endMs) throw new Error(`a mesh does not serve within ${MESH_LIMIT_MS} ms`);
    await Bun.sleep(TRY_EVERY_MS);
  }
}

async function measureMeshes(commands: Commands): Promise<void> {
  const rounds = new Rounds<MeshFigures>();
  const bench = new Bench();
  try {
    for (let round = 0; round < MESH_ROUNDS; round++) {
      for (const [name, command] of inTurn(Object.entries(commands), round)) {
        const figures = await mesh(bench, command(), name === CONTAINER ? "/tmp" : bench.dataDir);
        rounds.add(name, figures);
        console.log(`round ${round + 1}/${MESH_ROUNDS} ${name}: served after ${figures.answeredMs.toFixed(0)} ms`);
      }
    }
  } finally {
    await bench.end();
  }
  const steps = [
    ["router ready", "routerReadyMs"],
    ["agents ready", "agentsReadyMs"],
    ["both healthy", "healthyMs"],
    ["first answer", "answeredMs"],
  ] as const;
  for (const name of Object.keys(commands)) {
    for (const [step, key] of steps) {
      const isTarget = name === CONTAINER && key === "answeredMs";
      record(
        `mesh, ${name}: ${step}`,
        rounds.median(name, (figures) => figures[key]),
        "ms",
        isTarget ? 2000 : undefined,
      );
    }
  }
  for (const [role, key] of [
    ["router", "routerBytes"],
    ["agent", "agentBytes"],
  ] as const) {
    for (const name of ["glibc", "static"])
      record(`idle ${role}, ${name}`, rounds.median(name, (figures) => figures[key]) / 1e6, "MB");
    const ratio = rounds.against("static", "glibc", (figures) => figures[key]) ?? Number.NaN;
    record(`idle ${role}, static to glibc`, ratio, "", RATIO_MAX);
  }
}

interface LoadFigures {
  readonly perSecond: number;
  readonly cpuUs: number;
}

async function measureThroughput(commands: Commands): Promise<void> {
  const stage = new Stage();
  const rounds = new Rounds<LoadFigures>();
  try {
    const script = writeScript(stage.folder);
    const upstream = freePort();
    await stage.start(LOAD_CORE, [compileC("upstream.c", stage.folder), String(upstream)], "upstream", upstream);
    const routers = [];
    for (const [name, command] of Object.entries(commands)) {
      const { port, command: usual } = infermesh(upstream);
      const { pid } = await stage.start(PROXY_CORE, command(...usual.slice(1)), name, port);
      load(port, CONNECTIONS, WARM_SECONDS, script);
      routers.push({ name, port, pid });
    }
    for (let round = 0; round < LOAD_ROUNDS; round++) {
      for (const { name, port, pid } of inTurn(routers, round)) {
        const before = cpuSeconds(pid);
        const { requests, us, errors } = load(port, CONNECTIONS, LOAD_SECONDS, script);
        if (errors > 0) throw new Error(`${name}: ${errors} of ${requests} requests failed`);
        const cpuUs = ((cpuSeconds(pid) - before) * 1e6) / requests;
        rounds.add(name, { perSecond: (requests * 1e6) / us, cpuUs });
        console.log(`round ${round + 1}/${LOAD_ROUNDS} ${name}: ${cpuUs.toFixed(2)} us of CPU a request`);
      }
    }
  } finally {
    await stage.end();
  }
  for (const name of Object.keys(commands)) {
    record(
      `throughput, ${name}`,
      rounds.median(name, ({ perSecond }) => perSecond),
      "requests/s",
    );
    record(
      `CPU for a request, ${name}`,
      rounds.median(name, ({ cpuUs }) => cpuUs),
      "us",
    );
  }
  const faster = rounds.against("static", "glibc", ({ perSecond }) => perSecond) ?? Number.NaN;
  record("throughput, static to glibc", faster, "", rounded(1 / RATIO_MAX), true);
  record(
    "CPU for a request, static to glibc",
    rounds.against("static", "glibc", ({ cpuUs }) => cpuUs) ?? Number.NaN,
    "",
  );
}

const scratch = new Bench();
const [bare, container] = ["bare", "container"].map((name) => join(scratch.dataDir, name)) as [string, string];
const withoutRoot = rootFault();
const onHost: Commands = { glibc: (...args) => [EXECUTABLE, ...args], static: (...args) => [STATIC, ...args] };
try {
  checkBuild();
  readFile();
  if (withoutRoot === "") {
    for (const folder of [bare, container]) emptyRoot(folder, STATIC);
    addMountPoints(container);
  } else {
    console.log(`not measured in roots: ${withoutRoot}`);
  }
  timeVersion(onHost, withoutRoot === "" ? bare : "");
  const inContainer: Commands = {
    [CONTAINER]: (...args) => inRoot({ machine: "host", privileges: "none" }, container, "/infermesh", ...args),
  };
  await measureMeshes(withoutRoot === "" ? { ...onHost, ...inContainer } : onHost);
  await measureThroughput(onHost);
} finally {
  await scratch.end();
  rmSync(scratch.dataDir, { recursive: true, force: true });
}
await report("static", { meshRounds: MESH_ROUNDS, loadRounds: LOAD_ROUNDS, loadSeconds: LOAD_SECONDS, rows });
