/**
 * Runtimes that a router finds in Kubernetes: its sources are watched, what they have found becomes targets, and each of
 * these is asked what it serves and how busy it is, as an agent beside it would (pod-runtimes.ts). Wiring only.
 *
 * While the API server is away, what was found last stays: whether it answers is for polls to say.
 */
import type { RouterConfig } from "./config.ts";
import { type Discovered, isDiscovered } from "./fleet/discovered.ts";
import { adviceFor, emptyHint } from "./kube/advice.ts";
import { type KubePlace, placesOf } from "./kube/places.ts";
import type { KubeSource } from "./kube/source.ts";
import type { KubeNews } from "./kube/watch.ts";
import { KubeAccess } from "./mesh/kube-access.ts";
import { KubeClient } from "./mesh/kube-client.ts";
import { KubeWatcher } from "./mesh/kube-watcher.ts";
import type { Tell } from "./news.ts";
import type { DiscoveryFigures } from "./obs/discovery-metrics.ts";
import type { Log } from "./obs/log.ts";
import { PodRuntimes } from "./pod-runtimes.ts";
import { Prng } from "./base/prng.ts";
import type { Targets } from "./targets.ts";

/** Between news of a source and new targets: a rollout tells of many pods at once. */
const PLACE_DELAY_MS = 50;
/** Targets may have changed hands. */
const KEEP_EVERY_MS = 1000;
/** Things that are wrong with what was found and were told of; beyond that they are told again. */
const TOLD_MAX = 1000;

export interface KubePlaneOptions {
  readonly config: Pick<RouterConfig, "discover" | "runtime" | "upstreamAuth" | "upstreamTls">;
  readonly targets: Targets;
  readonly tell: Tell;
  readonly log: Log;
}

export class KubePlane {
  readonly #options: KubePlaneOptions;
  readonly #runtimes: PodRuntimes;
  readonly #prng = new Prng(crypto.getRandomValues(new Uint32Array(1))[0] ?? 1);
  /** In the order in which they are named. */
  #watchers: KubeWatcher[] = [];
  #access: KubeAccess | null = null;
  #places: readonly KubePlace[] = [];
  /** Of a predecessor: they count until each source has said what there is. */
  #inherited: readonly Discovered[] = [];
  #timer: ReturnType<typeof setTimeout> | undefined;
  readonly #keeping: ReturnType<typeof setInterval>;
  readonly #told = new Set<string>();
  #waiting: (() => void)[] = [];
  /** All that each source has said is in place, with what it serves. */
  #isCaughtUp = false;
  #isStopped = false;

  /** Throws a MeshError where it can't be known how the API server is reached. */
  constructor(options: KubePlaneOptions) {
    this.#options = options;
    const { targets, tell, log } = options;
    this.#runtimes = new PodRuntimes({ ...options, targets, tell, log, changed: () => this.#later() });
    this.#keeping = setInterval(() => this.#keep(), KEEP_EVERY_MS);
    if (options.config.discover.sources.length > 0) this.#access = new KubeAccess(options.config.discover);
    this.configure(options.config);
  }

  /** Looks in these places from now on; what goes on to be looked at is not asked anew. */
  configure(config: KubePlaneOptions["config"]): void {
    const { sources } = config.discover;
    this.#runtimes.configure(config);
    try {
      // The first source may come while the router runs.
      if (sources.length > 0) this.#access ??= new KubeAccess(this.#options.config.discover);
    } catch (error) {
      this.#options.log.error("nothing is looked for in Kubernetes", { error: (error as Error).message });
      return;
    }
    const known = new Map(this.#watchers.map((watcher) => [watcher.source.text, watcher]));
    const wanted = new Map(sources.map((source) => [source.text, source]));
    for (const [text, watcher] of known) if (!wanted.has(text)) watcher.stop();
    this.#watchers = [...wanted.values()].map((source) => known.get(source.text) ?? this.#watch(source));
    this.#later();
  }

  /** What a predecessor says that it had found; one of an older version had nothing to say. */
  inherit(told: unknown): void {
    if (this.#watchers.length === 0 || this.#hasAll() || !Array.isArray(told)) return;
    this.#inherited = told.filter(isDiscovered);
    this.#runtimes.remember(this.#inherited);
    this.#options.targets.discovered(this.#inherited);
  }

  /** Each source has said what there is, and what was found has said what it serves; or that takes longer. */
  async caughtUp(limitMs: number): Promise<void> {
    if (this.#watchers.length === 0 || this.#isCaughtUp) return;
    const { promise, resolve } = Promise.withResolvers<void>();
    const timer = setTimeout(resolve, limitMs);
    this.#waiting.push(resolve);
    await promise;
    clearTimeout(timer);
  }

  figures(): readonly DiscoveryFigures[] {
    return this.#watchers.map((watcher) => {
      const { source, objects, counts, ageMs, hasSynced, failure } = watcher;
      const targets = { ready: 0, unready: 0, draining: 0 };
      for (const place of this.#places) if (place.source.text === source.text) targets[place.condition] += 1;
      const isHeard = hasSynced && failure === "";
      return { source: source.text, isHeard, failure, objects, targets, ageSeconds: ageMs / 1000, ...counts };
    });
  }

  stop(): void {
    this.#isStopped = true;
    clearTimeout(this.#timer);
    clearInterval(this.#keeping);
    for (const watcher of this.#watchers) watcher.stop();
    this.#runtimes.stop();
    for (const resolve of this.#waiting.splice(0)) resolve();
  }

  #watch(source: KubeSource): KubeWatcher {
    const access = this.#access!;
    return new KubeWatcher({
      source,
      client: new KubeClient({ access }),
      prng: this.#prng,
      changed: () => this.#later(),
      say: (news) => this.#say(source, news),
    }).begin();
  }

  #hasAll(): boolean {
    return this.#watchers.every(({ hasSynced }) => hasSynced);
  }

  #later(): void {
    if (!this.#isStopped) this.#timer ??= setTimeout(() => this.#place(), PLACE_DELAY_MS);
  }

  #place(): void {
    this.#timer = undefined;
    if (this.#isStopped || (this.#inherited.length > 0 && !this.#hasAll())) return;
    this.#inherited = [];
    const { targets } = this.#options;
    const found = this.#watchers.map((watcher) => ({ source: watcher.source, endpoints: watcher.endpoints() }));
    const { places, faults } = placesOf(found);
    this.#places = places;
    targets.discovered(places.map((place) => this.#runtimes.discovered(place)));
    this.#keep();
    this.#complain(faults);
    this.#isCaughtUp = this.#hasAll() && this.#runtimes.haveBeenAsked;
    if (!this.#isCaughtUp) return;
    for (const resolve of this.#waiting.splice(0)) resolve();
  }

  /** Where somebody else announces a pod, that one is asked by whoever does. */
  #keep(): void {
    const { targets } = this.#options;
    this.#runtimes.keep(this.#places.filter(({ id }) => targets.get(id)?.source === "k8s"));
  }

  /** Says once what keeps something from being a target. */
  #complain(faults: readonly string[]): void {
    const { log } = this.#options;
    const all = [...faults];
    for (const watcher of this.#watchers) {
      for (const [object, fault] of watcher.faults()) all.push(`${watcher.source.text}: ${object}: ${fault}`);
    }
    if (this.#told.size > TOLD_MAX) this.#told.clear();
    for (const fault of all) {
      if (this.#told.has(fault)) continue;
      this.#told.add(fault);
      log.warn("something in Kubernetes is no target", { why: fault });
    }
  }

  #say(source: KubeSource, news: KubeNews): void {
    const { tell, log } = this.#options;
    const { text } = source;
    if (news.kind === "odd") log.warn("Kubernetes", { source: text, why: news.why });
    else if (news.kind === "failed") {
      const advice = adviceFor(news.status, source);
      const fields = { source: text, server: this.#access?.server, error: news.why };
      log.warn("the API server of Kubernetes does not tell what there is; what was found before stays", {
        ...fields,
        ...(advice === "" ? {} : { hint: advice }),
      });
      const cause = advice === "" ? news.why : `${news.why}; ${advice}`;
      tell({ type: "routing.discovery-failed", id: text, cause });
    } else {
      const { objects, failedForMs } = news;
      const isEmpty = objects === 0 ? { hint: emptyHint(source) } : {};
      log.info("watching Kubernetes", { source: text, [source.resource]: objects, ...isEmpty });
      const after = failedForMs > 0 ? `, after ${Math.round(failedForMs / 1000)} s` : "";
      tell({ type: "routing.discovery-synced", id: text, cause: `${objects} ${source.resource} match${after}` });
    }
  }
}
