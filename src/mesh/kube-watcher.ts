/** One source of runtimes in Kubernetes, watched: the shell of kube/watch.ts. */
import type { Prng } from "../base/prng.ts";
import type { KubeEndpoint, ObjectRead } from "../kube/endpoint.ts";
import { readPod } from "../kube/pods.ts";
import { readSlice } from "../kube/slices.ts";
import type { KubeSource } from "../kube/source.ts";
import { type KubeCounts, type KubeNews, KubeWatch } from "../kube/watch.ts";
import type { KubeClient } from "./kube-client.ts";

export interface KubeWatcherOptions {
  readonly source: KubeSource;
  readonly client: KubeClient;
  readonly prng: Prng;
  /** What is there may be other than before. */
  readonly changed: () => void;
  readonly say: (news: KubeNews) => void;
}

export class KubeWatcher {
  readonly source: KubeSource;
  readonly #options: KubeWatcherOptions;
  readonly #watch: KubeWatch<ObjectRead>;
  #abort = new AbortController();
  #timer: ReturnType<typeof setTimeout> | undefined;
  #isStopped = false;

  constructor(options: KubeWatcherOptions) {
    const { source, prng } = options;
    this.source = source;
    this.#options = options;
    const read = source.resource === "pods" ? readPod : readSlice;
    this.#watch = new KubeWatch(source, (object) => read(object, source), prng, performance.now());
  }

  begin(): this {
    this.#step();
    return this;
  }

  get hasSynced(): boolean {
    return this.#watch.hasSynced;
  }

  get failure(): string {
    return this.#watch.failure;
  }

  get objects(): number {
    return this.#watch.objects.size;
  }

  get counts(): Readonly<KubeCounts> {
    return this.#watch.counts;
  }

  /** Since it was known that nothing is missing. */
  get ageMs(): number {
    this.#watch.wake(performance.now());
    return performance.now() - this.#watch.heardAtMs;
  }

  *endpoints(): Iterable<KubeEndpoint> {
    for (const { endpoints } of this.#watch.objects.values()) yield* endpoints;
  }

  /** What is wrong with an object, by its name. */
  *faults(): Iterable<readonly [object: string, fault: string]> {
    for (const [name, { fault }] of this.#watch.objects) if (fault !== "") yield [name, fault];
  }

  stop(): void {
    this.#isStopped = true;
    clearTimeout(this.#timer);
    this.#abort.abort();
  }

  #step(): void {
    if (this.#isStopped) return;
    this.#watch.wake(performance.now());
    const { request, cancel, changed, news, wakeAtMs } = this.#watch.take();
    if (cancel) {
      this.#abort.abort();
      this.#abort = new AbortController();
    }
    if (request !== undefined) void this.#options.client.send(request, this.#abort.signal, this.#inputs);
    for (const one of news) this.#options.say(one);
    if (changed) this.#options.changed();
    clearTimeout(this.#timer);
    const waitMs = Math.max(1, Math.ceil(wakeAtMs - performance.now()));
    if (!this.#isStopped) this.#timer = setTimeout(() => this.#step(), waitMs);
  }

  /** Each is followed by what it leads to. */
  readonly #inputs: Parameters<KubeClient["send"]>[2] = {
    answered: (id, answer, nowMs) => {
      this.#watch.answered(id, answer, nowMs);
      this.#step();
    },
    opened: (id, nowMs) => {
      this.#watch.opened(id, nowMs);
      this.#step();
    },
    event: (id, event, nowMs) => {
      this.#watch.event(id, event, nowMs);
      this.#step();
    },
    ended: (id, why, nowMs) => {
      this.#watch.ended(id, why, nowMs);
      this.#step();
    },
  };
}
