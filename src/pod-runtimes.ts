/**
 * The runtimes of pods that were found in Kubernetes, each asked by this router what it serves and how busy it is: there is
 * no agent beside them that would tell. What they tell goes to the fleet as an agent's states do.
 */
import type { RouterConfig } from "./config.ts";
import { defaultsOf } from "./base/settings-reading.ts";
import type { Discovered } from "./fleet/discovered.ts";
import { registrableModels } from "./fleet/registration.ts";
import type { KubePlace } from "./kube/places.ts";
import type { Tell } from "./news.ts";
import type { Log } from "./obs/log.ts";
import { crowdTeller, runtimeTeller } from "./runtime-news.ts";
import type { NodeSample } from "./score/sample.ts";
import { placesOf, sampleOf } from "./served-places.ts";
import type { Targets } from "./targets.ts";
import { RemoteRuntime, type RemoteRuntimeOptions } from "./telemetry/remote-runtime.ts";
import type { Secret } from "./telemetry/runtime-secret.ts";
import { runtimeSettings } from "./telemetry/runtime-settings.ts";
import type { RuntimeSpec } from "./telemetry/runtime-spec.ts";
import { keyRule } from "./wire/upstream-keys.ts";

/** Their figures change all the time; they are read about once a second. */
const SAMPLE_MS = 500;

type Config = Pick<RouterConfig, "runtime" | "upstreamAuth" | "upstreamTls">;

export interface PodRuntimesOptions {
  readonly config: Config;
  readonly targets: Targets;
  readonly tell: Tell;
  readonly log: Log;
  /** What one serves is other than before. */
  readonly changed: () => void;
}

interface Pod {
  place: KubePlace;
  readonly runtime: RemoteRuntime;
}

export class PodRuntimes {
  readonly #options: PodRuntimesOptions;
  #config: Config;
  readonly #pods = new Map<string, Pod>();
  readonly #timer: ReturnType<typeof setInterval>;

  constructor(options: PodRuntimesOptions) {
    this.#options = options;
    this.#config = options.config;
    this.#timer = setInterval(() => {
      for (const pod of this.#pods.values()) this.#sample(pod);
    }, SAMPLE_MS);
  }

  /** Those that are found from now on are asked so. */
  configure(config: Config): void {
    this.#config = config;
  }

  /** The place as a target, with the models that it is known to serve. */
  discovered(place: KubePlace): Discovered {
    const { source, ...rest } = place;
    const told = this.#pods.get(keyOf(place))?.runtime.models ?? [];
    return { ...rest, models: registrableModels([...source.models, ...told]) };
  }

  /** These and no others are asked. */
  keep(places: readonly KubePlace[]): void {
    const wanted = new Map(places.filter(isAsked).map((place) => [keyOf(place), place]));
    for (const [key, { runtime }] of this.#pods) {
      if (wanted.has(key)) continue;
      runtime.stop();
      this.#pods.delete(key);
    }
    for (const [key, place] of wanted) {
      const known = this.#pods.get(key);
      if (known === undefined) this.#pods.set(key, this.#open(place));
      else if (known.place.condition !== place.condition) {
        known.place = place;
        this.#sample(known);
      } else known.place = place;
    }
  }

  stop(): void {
    clearInterval(this.#timer);
    for (const { runtime } of this.#pods.values()) runtime.stop();
    this.#pods.clear();
  }

  #open(place: KubePlace): Pod {
    const { tell, log, changed } = this.#options;
    const { id, host, port, tls, source } = place;
    const name = source.runtime === "auto" ? "runtime" : source.runtime;
    const runtime = new RemoteRuntime({
      name,
      url: { protocol: "http", host, port, tls, base: "" },
      kind: source.runtime as RemoteRuntimeOptions["kind"],
      models: source.models,
      shown: this.#shownTo(place),
      config: { ...defaultsOf(runtimeSettings), ...this.#config.runtime },
      tell: (kind, event) => runtimeTeller(id, kind, tell, log.with({ target: id }))(event),
      strange: (why) => {
        const hint = "say by runtime= what it is, or by runtime=none and model= what it serves";
        log.warn("a pod's runtime is none that is known", { target: id, why, hint });
      },
      changed: () => {
        changed();
        const pod = this.#pods.get(keyOf(place));
        if (pod !== undefined) this.#sample(pod);
      },
    });
    const pod: Pod = { place, runtime };
    crowdTeller(
      {
        name: id,
        get models() {
          return runtime.models;
        },
      },
      log,
    );
    runtime.begin();
    return pod;
  }

  /** As requests of clients are shown: by keys that are for every model, or for one that the source names. */
  #shownTo({ source }: KubePlace): Partial<RuntimeSpec> {
    const { upstreamAuth, upstreamTls } = this.#config;
    const rules = upstreamAuth.rules.map(keyRule);
    const own = rules.filter(({ model }) => source.models.includes(model));
    const headers: Record<string, Secret> = {};
    const shown: { -readonly [K in "bearer" | "basic"]?: RuntimeSpec[K] } = {};
    for (const { how, from, where } of own.length > 0 ? own : rules.filter(({ model }) => model === "")) {
      const secret: Secret = { kind: from, text: where };
      const word = how.toLowerCase();
      if (word === "bearer" || word === "basic") shown[word] = secret;
      else headers[word] = secret;
    }
    return { ...upstreamTls, ...shown, headers };
  }

  #sample({ place, runtime }: Pod): void {
    const sample = sampleOfPod(place, runtime);
    if (sample !== undefined) this.#options.targets.watched(place.id, sample);
  }
}

/** One that serves gRPC is polled, and not asked. */
function isAsked({ source }: KubePlace): boolean {
  return source.runtime !== "none";
}

/** Another runtime may be at the place of one that is gone. */
function keyOf({ id, host, port, tls, source }: KubePlace): string {
  return JSON.stringify([id, host, port, tls, source.runtime, source.models]);
}

/** What the pod's runtime tells, as far as Kubernetes agrees; undefined while it is not known who it is. */
function sampleOfPod({ condition }: KubePlace, { watched }: RemoteRuntime): NodeSample | undefined {
  if (watched === null) return undefined;
  const sample = sampleOf([watched], placesOf([watched]));
  return {
    ...sample,
    ready: sample.ready && condition === "ready",
    draining: sample.draining || condition === "draining",
    runtimes: sample.runtimes ?? [],
    gpus: [],
    connectedPeers: 0,
    backoffRequests: 0,
    cpuUsage: undefined,
    memoryUsage: undefined,
    gpuUsage: undefined,
    uptimeSeconds: 0,
    version: "",
  };
}
