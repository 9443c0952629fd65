/**
 * The runtimes of pods that were found in Kubernetes, each asked by this router what it serves and how busy it is: there is
 * no agent beside them that would tell. What they tell goes to the fleet as an agent's states do.
 */
import type { RouterConfig } from "./config.ts";
import { defaultsOf } from "./base/settings-reading.ts";
import type { Discovered } from "./fleet/discovered.ts";
import { registrableModels } from "./fleet/registration.ts";
import { ROLE_LABEL } from "./fleet/role.ts";
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

/** Why one that is well gets no requests. */
const WORDS = { ready: "", unready: "Kubernetes has its pod as not ready", draining: "Kubernetes has its pod end" };
const KEY_HINT = "a key for it is named by --upstream-auth, such as bearer:file:/run/secrets/vllm";
const UNKNOWN_HINT = "say by runtime= what it is, or by runtime=none and model= what it serves";
/** Of targets that never came back. */
const REMEMBERED_MAX = 8192;

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
  /** How it is asked: one that is to be asked otherwise is another one. */
  readonly how: string;
}

export class PodRuntimes {
  readonly #options: PodRuntimesOptions;
  #config: Config;
  readonly #pods = new Map<string, Pod>();
  /** What targets served when they were asked last, by somebody who asks no more. */
  readonly #remembered = new Map<string, readonly string[]>();
  readonly #timer: ReturnType<typeof setInterval>;

  constructor(options: PodRuntimesOptions) {
    this.#options = options;
    this.#config = options.config;
    this.#timer = setInterval(() => {
      for (const pod of this.#pods.values()) this.#sample(pod);
    }, SAMPLE_MS);
  }

  /** So they are asked from the next `keep` on. */
  configure(config: Config): void {
    this.#config = config;
  }

  /** What targets are known to serve, until they have been asked. */
  remember(targets: readonly Pick<Discovered, "id" | "models">[]): void {
    for (const { id, models } of targets) this.#remembered.set(id, models);
  }

  /** The place as a target, with the models that it is known to serve. */
  discovered(place: KubePlace): Discovered {
    const { source, labels, ...rest } = place;
    const runtime = this.#pods.get(keyOf(place))?.runtime;
    if (runtime?.isKnown === true) this.#remembered.delete(place.id);
    const told = this.#remembered.get(place.id) ?? runtime?.models ?? [];
    const role = source.role === "" ? {} : { [ROLE_LABEL]: source.role };
    return { ...rest, labels: { ...labels, ...role }, models: registrableModels([...source.models, ...told]) };
  }

  /** These and no others are asked. */
  keep(places: readonly KubePlace[]): void {
    const wanted = new Map(places.filter(isAsked).map((place) => [keyOf(place), place]));
    const how = JSON.stringify([this.#config.runtime, this.#config.upstreamAuth, this.#config.upstreamTls]);
    for (const [key, pod] of this.#pods) {
      if (wanted.has(key) && pod.how === how) continue;
      if (wanted.has(key)) this.remember([{ id: pod.place.id, models: pod.runtime.models }]);
      pod.runtime.stop();
      this.#pods.delete(key);
    }
    for (const [key, place] of wanted) {
      const known = this.#pods.get(key);
      if (known === undefined) {
        this.#pods.set(key, this.#open(place, how));
        continue;
      }
      const isOther = known.place.condition !== place.condition;
      known.place = place;
      if (isOther) this.#sample(known);
    }
    if (this.#remembered.size > REMEMBERED_MAX) this.#remembered.clear();
  }

  /** Each that is ready, as Kubernetes has it, was asked, and has answered or is known not to. */
  get haveBeenAsked(): boolean {
    return [...this.#pods.values()].every(({ place, runtime }) => place.condition !== "ready" || runtime.isKnown);
  }

  stop(): void {
    clearInterval(this.#timer);
    for (const { runtime } of this.#pods.values()) runtime.stop();
    this.#pods.clear();
  }

  #open(place: KubePlace, how: string): Pod {
    const { tell, log, changed } = this.#options;
    const { id, host, port, tls, source } = place;
    const runtime = new RemoteRuntime({
      name: id,
      url: { protocol: "http", host, port, tls, base: "" },
      kind: source.runtime as RemoteRuntimeOptions["kind"],
      models: source.models,
      shown: this.#shownTo(place),
      config: { ...defaultsOf(runtimeSettings), ...this.#config.runtime },
      tell: (kind, event) => runtimeTeller(id, kind, tell, log.with({ target: id }))(event),
      strange: (why) => {
        const hint = why.includes("key") ? KEY_HINT : UNKNOWN_HINT;
        log.warn("a pod's runtime is none that is known", { target: id, why, hint });
      },
      changed: () => {
        changed();
        tellCrowd();
        const pod = this.#pods.get(keyOf(place));
        if (pod !== undefined) this.#sample(pod);
      },
    });
    const tellCrowd = crowdTeller(
      {
        name: id,
        get models() {
          return runtime.models;
        },
      },
      log,
    );
    runtime.begin();
    return { place, runtime, how };
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

/** What the pod's runtime tells, as far as Kubernetes agrees; undefined while it has told nothing. */
function sampleOfPod({ condition }: KubePlace, { watched }: RemoteRuntime): NodeSample | undefined {
  if (watched === null || watched.status.state === "connecting") return undefined;
  const { runtimes = [], ...sample } = sampleOf([watched], placesOf([watched]));
  const [isReady, isDraining] = [condition === "ready", condition === "draining"];
  return {
    ...sample,
    ready: sample.ready && isReady,
    draining: sample.draining || isDraining,
    runtimes: runtimes.map((one) =>
      isReady ? one : { ...one, ready: false, message: one.message || WORDS[condition] },
    ),
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
