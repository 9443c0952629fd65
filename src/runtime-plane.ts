/**
 * An agent's runtimes: the inference servers that it looks after, be they real ones or the mock, as one. What they serve,
 * where, and how they are is asked here; loading and unloading goes to the one that is meant. Those that are found by
 * themselves come and go.
 */
import { BlockPlane, type ToldRuntime } from "./block-plane.ts";
import { MeshError } from "./base/errors.ts";
import type { AgentConfig } from "./config.ts";
import { parseAddress } from "./base/units.ts";
import type { MeshNode } from "./mesh/node-membership.ts";
import type { LocalRuntime } from "./model-calls.ts";
import type { Tell } from "./news.ts";
import type { Log } from "./obs/log.ts";
import { RuntimeForward } from "./runtime-forward.ts";
import { crowdTeller, runtimeTeller } from "./runtime-news.ts";
import { isServing } from "./runtimes/state.ts";
import { roleOf } from "./fleet/role.ts";
import { placesOf, sampleOf, type ServedPlace } from "./served-places.ts";
import { type MockRuntime, startMockRuntime } from "./telemetry/mock-runtime.ts";
import { openRuntime } from "./telemetry/open-runtime.ts";
import { RuntimeFinder } from "./telemetry/runtime-finder.ts";
import { runtimeMapIn } from "./telemetry/runtime-map-file.ts";
import { AUTO, type RuntimeSpec } from "./telemetry/runtime-spec.ts";
import { kindOfRuntime } from "./telemetry/runtime-tables.ts";
import type { Runtime } from "./telemetry/runtime.ts";
import type { RuntimeSample } from "./telemetry/sampler.ts";
import type { WatchedRuntime } from "./telemetry/watched-runtime.ts";

export interface RuntimePlaneOptions {
  readonly config: Pick<
    AgentConfig,
    "id" | "mock" | "serve" | "runtimes" | "runtimeMap" | "runtime" | "exec" | "kv" | "labels"
  >;
  readonly tell: Tell;
  /** Whether one is ready, or what it serves, is other than before. */
  readonly changed: () => void;
  /** Figures of one may be others than before. */
  readonly moved: () => void;
  /** The mesh, once the agent is in it. */
  readonly node: () => MeshNode | null;
  readonly log: Log;
}

export interface RuntimePlane extends LocalRuntime {
  /** In the order in which they are named; those that are found by themselves come last. */
  readonly all: readonly Runtime[];
  readonly mock: MockRuntime | null;
  /** What they serve, all together. */
  readonly models: readonly string[];
  /** Where routers send requests. */
  readonly places: readonly ServedPlace[];
  /** Runtimes that listen on this machine alone, and how others reach them. */
  readonly forwards: RuntimeForward["summary"];
  sample(): RuntimeSample;
  /** What those tell of their KV caches that are said to. */
  readonly blocks: BlockPlane;
  /** Of the process that the agent runs: "" where its runtime serves, else why not. Undefined where none is named. */
  readonly askReady: (() => Promise<string>) | undefined;
  /** The name of the runtime whose process the agent runs: the first that is named. Undefined where none is. */
  readonly started: string | undefined;
  /** Looks for others from now on, where that is wanted. */
  begin(): Promise<void>;
  stop(drainMs: number): Promise<void>;
}

/** One that was found, and is gone for so long, is forgotten. */
const FORGET_MS = 60_000;
const FORGET_LOOK_MS = 5000;

/** Throws a MeshError for what can't be started, or can't be read. */
export function openRuntimePlane(given: RuntimePlaneOptions): RuntimePlane {
  const { config } = given;
  const mock = config.mock.enabled ? startMock(config) : null;
  const all: Runtime[] = mock === null ? [] : [mock];
  const forward = forwardOf(given, all);
  const changed = (): void => {
    given.changed();
    void forward.look();
  };
  const options = { ...given, changed };
  mock?.watch(changed);
  mock?.watchFigures(given.moved);
  const named = config.runtimes.filter(({ kind }) => kind !== "auto");
  const telling: ToldRuntime[] = [];
  for (const spec of named) {
    const runtime = openNamed(spec, options, all);
    all.push(runtime);
    if (spec.kvEvents !== undefined) telling.push({ name: runtime.name, kvEvents: spec.kvEvents });
  }
  const { tell, log } = options;
  const blocks = new BlockPlane({ node: config.id, runtimes: telling, config: config.kv, tell, log });
  const first = all.find((runtime) => runtime !== mock);
  const found = config.runtimes.length > named.length ? new FoundRuntimes(options, all) : null;
  const places = (): readonly ServedPlace[] => placesOf(all, (endpoint) => forward.wayTo(endpoint));
  return {
    all,
    mock,
    blocks,
    get models() {
      return [...new Set(all.flatMap(({ models }) => models))];
    },
    get places() {
      return places();
    },
    get forwards() {
      return forward.summary;
    },
    sample: () => sampleOf(all, places()),
    load: async (model, signal, { runtime, ...how }) => holderOf(all, model, runtime).load(model, signal, how),
    unload: async (model, drainMs, signal, runtime) => holderOf(all, model, runtime).unload(model, drainMs, signal),
    started: config.exec.command === "" ? undefined : first?.name,
    askReady: first === undefined ? undefined : async () => whyNotReady(first),
    async begin() {
      blocks.watch(() => all);
      await found?.begin();
    },
    async stop(drainMs) {
      found?.stop();
      blocks.stop();
      await Promise.all(all.map((runtime) => runtime.stop(drainMs)));
      forward.stop();
    },
  };
}

function forwardOf({ config, node, changed, log }: RuntimePlaneOptions, all: readonly Runtime[]): RuntimeForward {
  const hostOf = (address: string): string => parseAddress(address)?.host ?? "";
  return new RuntimeForward({
    mode: config.runtime.forward,
    host: () => hostOf(node()?.membership.address ?? ""),
    // The mock listens where --serve says.
    endpoints: () => all.flatMap(({ kind, endpoints }) => (kind === "mock" ? [] : endpoints)),
    isRouter: (address) =>
      node()
        ?.roster.routers()
        .some((one) => hostOf(one) === address) ?? false,
    changed,
    log,
  });
}

function whyNotReady({ name, status, models }: Runtime): string {
  const { state, message } = status;
  if (!isServing(state)) return `${name} is ${state}${message === "" ? "" : `: ${message}`}`;
  return models.length === 0 ? `${name} serves no model yet` : "";
}

/** The one that is named, or that has a model, or knows it; the only one whatever it knows. */
function holderOf(all: readonly Runtime[], model: string, wanted: string): Runtime {
  const [only, ...others] = all;
  if (only === undefined) throw new MeshError("not_supported", "this node has no runtime");
  const names = all.map(({ name }) => name).join(", ");
  if (wanted !== "") {
    const named = all.find(({ name }) => name === wanted);
    if (named !== undefined) return named;
    throw new MeshError("not_found", `this node has no such runtime; it has ${names}`, { param: "runtime" });
  }
  if (others.length === 0) return only;
  const found =
    all.find(({ models }) => models.includes(model)) ??
    all.find(({ modelStates }) => modelStates.some((one) => one.model === model));
  if (found !== undefined) return found;
  const why = `none of this node's runtimes (${names}) knows ${model}; name the one that shall load it (runtime)`;
  throw new MeshError("not_found", why, { param: "model" });
}

function openNamed(spec: RuntimeSpec, options: RuntimePlaneOptions, all: readonly Runtime[]): WatchedRuntime {
  const { config, tell, log, changed, moved } = options;
  const { kind } = spec;
  if (kind === "auto" || kind === "none") throw new Error(`${kind} is no runtime`);
  const taken = [...all, ...config.runtimes].map((one) => one.name);
  const name = spec.name || freeName(kind, taken);
  const runtime = openRuntime(spec, {
    name,
    ...kindOfRuntime(kind, kind === "generic" ? runtimeMapIn(spec.map || config.runtimeMap) : undefined, spec.models),
    config: config.runtime,
    endsWithAgent: config.exec.command !== "" && !config.exec.detach,
    tell: runtimeTeller(config.id, name, tell, log),
  });
  runtime.watch(changed);
  runtime.watchFigures(moved);
  runtime.watch(crowdTeller(runtime, log));
  return runtime.begin();
}

/** The first of a kind is called so, the second is KIND-2. */
function freeName(kind: string, taken: readonly string[]): string {
  for (let number = 1; ; number += 1) {
    const name = number === 1 ? kind : `${kind}-${number}`;
    if (!taken.includes(name)) return name;
  }
}

/** Those that are found by themselves: they come when somebody listens, and go when nobody has for a while. */
class FoundRuntimes {
  readonly #options: RuntimePlaneOptions;
  readonly #all: Runtime[];
  readonly #found = new Set<WatchedRuntime>();
  readonly #finder: RuntimeFinder;
  #timer: ReturnType<typeof setInterval> | undefined;

  constructor(options: RuntimePlaneOptions, all: Runtime[]) {
    this.#options = options;
    this.#all = all;
    const { config, log } = options;
    this.#finder = new RuntimeFinder({
      intervalMs: config.runtime.findIntervalMs,
      timeoutMs: config.runtime.timeoutMs,
      hasMap: config.runtimeMap !== "",
      isKnown: (port) => this.#all.some(({ endpoints }) => endpoints.some((endpoint) => endpoint.port === port)),
      found: ({ kind }, url) => this.#add({ ...AUTO, kind: kind === "mock" ? "generic" : kind, url }),
      unknown: (port, why) =>
        log.info("somebody listens at a usual port, but is no runtime that is known", { port, why }),
    });
  }

  async begin(): Promise<void> {
    const { log } = this.#options;
    await this.#finder.start();
    const found = [...this.#found].map(({ name, endpoints }) => `${name} at port ${endpoints[0]?.port}`);
    if (found.length > 0) log.info("found runtimes on this machine", { found });
    else log.info("found no runtime on this machine yet, and goes on looking; say where it is by --runtime KIND=URL");
    this.#timer = setInterval(() => this.#forget(), FORGET_LOOK_MS);
  }

  stop(): void {
    clearInterval(this.#timer);
    this.#finder.stop();
  }

  #add(spec: RuntimeSpec): void {
    const runtime = openNamed(spec, this.#options, this.#all);
    this.#found.add(runtime);
    this.#all.push(runtime);
    this.#options.changed();
  }

  #forget(): void {
    const { log, changed } = this.#options;
    for (const runtime of this.#found) {
      const { state, sinceMs } = runtime.status;
      const isGone = state === "down" || state === "foreign";
      if (!isGone || performance.now() - sinceMs < FORGET_MS) continue;
      log.info(`runtime ${runtime.name} is gone, and looked for anew`, { was: state });
      this.#found.delete(runtime);
      this.#all.splice(this.#all.indexOf(runtime), 1);
      void runtime.stop(0);
      changed();
    }
  }
}

function startMock({ id, mock, serve, labels }: RuntimePlaneOptions["config"]): MockRuntime {
  return startMockRuntime({
    hostname: serve.host === "" ? "::" : serve.host,
    port: serve.port,
    profile: mock.profile,
    models: mock.models,
    seed: mock.seed,
    machine: id,
    speed: mock.speed,
    gpus: mock.gpus,
    role: roleOf({ labels, endpoint: "mock", protocol: "http" }),
    onCrash: () => process.exit(137),
  });
}
