/**
 * An agent's runtimes: the inference servers that it looks after, be they real ones or the mock, as one. What they serve,
 * where, and how they are is asked here; loading and unloading goes to the one that is meant.
 */
import { MeshError } from "./base/errors.ts";
import type { AgentConfig } from "./config.ts";
import type { LocalRuntime } from "./model-calls.ts";
import { placesOf, sampleOf, type ServedPlace } from "./served-places.ts";
import { type MockRuntime, startMockRuntime } from "./telemetry/mock-runtime.ts";
import type { Runtime } from "./telemetry/runtime.ts";
import type { RuntimeSample } from "./telemetry/sampler.ts";

export interface RuntimePlaneOptions {
  readonly config: Pick<AgentConfig, "id" | "mock" | "serve">;
  /** Whether one is ready, or what it serves, is other than before. */
  readonly changed: () => void;
}

export interface RuntimePlane extends LocalRuntime {
  /** In the order in which they are named; those that are found by themselves come last. */
  readonly all: readonly Runtime[];
  readonly mock: MockRuntime | null;
  /** What they serve, all together. */
  readonly models: readonly string[];
  /** Where routers send requests. */
  readonly places: readonly ServedPlace[];
  /** One of them takes requests. */
  readonly isReady: boolean;
  sample(): RuntimeSample;
  stop(drainMs: number): Promise<void>;
}

/** Throws a MeshError for what can't be started. */
export function openRuntimePlane({ config, changed }: RuntimePlaneOptions): RuntimePlane {
  const mock = config.mock.enabled ? startMock(config) : null;
  const all: Runtime[] = mock === null ? [] : [mock];
  for (const runtime of all) runtime.watch(changed);
  const places = (): readonly ServedPlace[] => placesOf(all);
  const having = (model: string): Runtime => {
    const [only, ...others] = all;
    if (only !== undefined && others.length === 0) return only;
    const found = all.find(({ models }) => models.includes(model)) ?? all.find((runtime) => knows(runtime, model));
    if (found !== undefined) return found;
    const names = all.map(({ name }) => name).join(", ");
    const why = names === "" ? "this node has no runtime" : `none of this node's runtimes (${names}) knows ${model}`;
    throw new MeshError("not_found", why, { param: "model" });
  };
  return {
    all,
    mock,
    get models() {
      return [...new Set(all.flatMap(({ models }) => models))];
    },
    get places() {
      return places();
    },
    get isReady() {
      return all.some((runtime) => runtime.sample().ready);
    },
    sample: () => sampleOf(all, places()),
    load: async (model, signal) => having(model).load(model, signal),
    unload: async (model, drainMs, signal) => having(model).unload(model, drainMs, signal),
    stop: async (drainMs) => void (await Promise.all(all.map((runtime) => runtime.stop(drainMs)))),
  };
}

function knows({ reading }: Runtime, model: string): boolean {
  return reading?.models.some((one) => one.model === model) ?? false;
}

function startMock({ id, mock, serve }: RuntimePlaneOptions["config"]): MockRuntime {
  return startMockRuntime({
    hostname: serve.host === "" ? "::" : serve.host,
    port: serve.port,
    profile: mock.profile,
    models: mock.models,
    seed: mock.seed,
    machine: id,
    speed: mock.speed,
    gpus: mock.gpus,
    onCrash: () => process.exit(137),
  });
}
