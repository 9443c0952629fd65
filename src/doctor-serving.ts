/** What serves models on the machine: GPUs and who reads them, inference servers. */
import { existsSync } from "node:fs";
import type { Finding } from "./diagnosis/finding.ts";
import { judgeCuda, judgeGpus } from "./diagnosis/gpu-checks.ts";
import { judgeRuntimes, type RuntimeFacts } from "./diagnosis/network-checks.ts";
import type { Subject } from "./doctor-subject.ts";
import { hasNvidiaDriver, nvidiaPaths } from "./gpu/nvidia.ts";
import { gpuChoice, type GpuConfig } from "./gpu/settings.ts";
import type { GpuSource } from "./gpu/source.ts";
import { GpuSources } from "./gpu/sources.ts";
import { formatAddress } from "./base/units.ts";
import { toMeshError } from "./base/errors.ts";
import { probeEnvironment, selfCommand } from "./process.ts";
import { TABLES } from "./runtimes/tables.ts";
import { USUAL_PORTS } from "./runtimes/identify.ts";
import { portsOf } from "./telemetry/open-runtime.ts";
import { RuntimeClient, transport } from "./telemetry/runtime-client.ts";
import { RuntimeCredentials, RuntimeDialers } from "./telemetry/runtime-credentials.ts";
import { RuntimeFinder } from "./telemetry/runtime-finder.ts";
import type { RuntimeSpec } from "./telemetry/runtime-spec.ts";

const ROOT = "/";
const GENERIC = { title: "a server of OpenAI's API", ports: {} };

/** Reads the GPUs once as an agent would, by processes of their own: a driver that hangs holds up nobody. */
export async function gpuFindings(config: GpuConfig, limitMs: number): Promise<Finding[]> {
  const choice = gpuChoice(config.source || "auto") ?? { kind: "none" };
  const opened: GpuSource[] = [];
  const changed = Promise.withResolvers<void>();
  const look = (): void => {
    if (opened.every(({ state }) => state.state !== "starting")) changed.resolve();
  };
  const sources = new GpuSources({
    config,
    choice,
    probeCommand: [...selfCommand(), "gpu-probe"],
    probeEnvironment: probeEnvironment(process.env),
    opened(source) {
      opened.push(source);
      source.watch({ changed: look, faulted() {} });
    },
  });
  look();
  await Promise.race([changed.promise, Bun.sleep(limitMs)]);
  const wasRead = sources.all.map(({ readings }) => readings.length);
  const facts = sources.states.map(({ state, message, stack }, at) => ({
    state: state === "starting" ? "unresponsive" : state,
    message: state === "starting" ? `nothing was read within ${Math.round(limitMs / 1000)} s` : message,
    backend: stack === undefined ? "" : `${stack.backend} of ${stack.source}`,
    driver: stack?.driverVersion ?? "",
    library: stack?.libraryVersion ?? "",
    gpus: wasRead[at] ?? 0,
  }));
  void sources.stop();
  const root = config.root === ROOT ? "" : config.root;
  const cuda = nvidiaPaths("libcuda.so.1").find((path) => existsSync(path));
  const isNamed = choice.kind !== "auto" && choice.kind !== "none" && choice.kind !== "mock";
  return [...judgeGpus(facts, isNamed), ...(hasNvidiaDriver(root) ? [judgeCuda(cuda)] : [])];
}

/** Asks those that are named whether they listen, and looks for others where the agent would. */
export async function runtimeFindings({ runtimes, ports }: Subject, timeoutMs: number): Promise<Finding[]> {
  const looks = runtimes.some(({ kind }) => kind === "auto");
  const own = new Set(ports.map(({ port }) => port));
  const [named, found] = await Promise.all([
    Promise.all(runtimes.filter(({ kind }) => kind !== "auto").map((spec) => connect(spec, timeoutMs))),
    looks ? find(own, timeoutMs) : [],
  ]);
  return judgeRuntimes([...named, ...found], looks ? USUAL_PORTS.map(({ port }) => port) : undefined);
}

async function connect(spec: RuntimeSpec, timeoutMs: number): Promise<RuntimeFacts> {
  const name = spec.name || spec.kind;
  const { kind } = spec;
  const table = kind === "generic" || kind === "auto" || kind === "none" ? GENERIC : TABLES[kind];
  let place = "";
  try {
    const urls = portsOf(spec, table);
    const { api } = urls;
    place = api === undefined ? "" : formatAddress(api);
    const credentials = new RuntimeCredentials(spec);
    const client = new RuntimeClient({ urls, credentials, dialers: new RuntimeDialers(transport, spec, name) });
    const fault = await client.connect("api", timeoutMs);
    client.stop();
    return { name, place, kind: "", fault };
  } catch (error) {
    return { name, place, kind: "", fault: toMeshError(error).message };
  }
}

async function find(own: ReadonlySet<number>, timeoutMs: number): Promise<RuntimeFacts[]> {
  const facts: RuntimeFacts[] = [];
  const finder = new RuntimeFinder({
    intervalMs: timeoutMs,
    timeoutMs,
    isKnown: (port) => own.has(port),
    hasMap: true,
    found: ({ kind, version }, { host, port }) => {
      const place = formatAddress({ host, port });
      facts.push({ name: "a server", place, kind: version === "" ? kind : `${kind} ${version}`, fault: "" });
    },
    unknown: (port, why) => void facts.push({ name: "a server", place: `port ${port}`, kind: "", fault: why }),
  });
  await finder.start();
  finder.stop();
  return facts;
}
