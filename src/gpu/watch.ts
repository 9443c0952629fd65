/**
 * The GPUs of a node: what their sources read, what the rules of health make of it, and which models are on them. All that
 * others want to know of GPUs is asked here.
 *
 * A quarantined GPU takes out of routing what runs on it. An agent looks after one runtime, so that is the whole node
 * where the runtime uses the GPU, or where it is not known which ones it uses; a GPU that only others use is quarantined
 * and the node serves on.
 */
import { GpuHealth } from "../health/gpu-health.ts";
import type { GpuFault, GpuReading } from "../health/reading.ts";
import type { HealthConfig } from "../health/settings.ts";
import type { SourceState } from "../health/source-state.ts";
import type { HealthReason, Verdict } from "../health/verdict.ts";
import type { GpuSample } from "../score/sample.ts";
import { gpuSamples, type HealthWords, healthWords } from "./sample.ts";
import type { GpuSource } from "./source.ts";
import { gpusOf, type RuntimeProcesses } from "./ties.ts";
import { XidCounts, type XidTally } from "./xid-counts.ts";

const WORDS_MAX = 256;

export interface WatchOptions {
  readonly health: HealthConfig;
  /** What the runtime serves. */
  readonly models: () => readonly string[];
  /** The runtime's processes; undefined where they are not known. */
  readonly runtime: () => RuntimeProcesses | undefined;
  /** A GPU's health is another one, or its reasons are. */
  readonly changed: () => void;
  readonly faulted?: (faults: readonly GpuFault[]) => void;
}

/** All that is known of one GPU. */
export interface WatchedReading {
  readonly reading: GpuReading;
  readonly verdict: Verdict;
  readonly words: HealthWords;
  readonly source: SourceState;
  /** The figures are of now. */
  readonly isFresh: boolean;
  readonly models: readonly string[];
  readonly xids: XidTally;
}

export interface Quarantine {
  readonly uuids: readonly string[];
  /** Which GPUs, and why, in one line. */
  readonly reason: string;
}

interface Watched {
  readonly source: GpuSource;
  readonly health: GpuHealth;
  /** As the rules were told last. */
  state: SourceState | undefined;
  timer: ReturnType<typeof setTimeout> | undefined;
}

export class GpuWatch {
  readonly #options: WatchOptions;
  readonly #watched: Watched[] = [];
  readonly #xids = new XidCounts();
  readonly #words = new Map<string, HealthWords>();
  /** What is so until a source or a rule has news. */
  #seen:
    | {
        readonly all: readonly WatchedReading[];
        readonly models: readonly string[];
        readonly runtime: RuntimeProcesses | undefined;
      }
    | undefined;
  #shown: { readonly all: readonly WatchedReading[]; readonly samples: readonly GpuSample[] } | undefined;
  #judged: { readonly all: readonly WatchedReading[]; readonly quarantine: Quarantine | undefined } | undefined;

  constructor(options: WatchOptions) {
    this.#options = options;
  }

  add(source: GpuSource): void {
    const health = new GpuHealth(this.#options.health);
    const watched: Watched = { source, health, state: undefined, timer: undefined };
    this.#watched.push(watched);
    source.watch({
      changed: () => this.#look(watched),
      faulted: (faults) => {
        this.#xids.add(faults);
        watched.health.faults(faults, performance.now());
        this.#options.faulted?.(faults);
        this.#step(watched);
      },
    });
    this.#look(watched);
  }

  /** Every GPU that is there, and those that were and are lost, in the order of their sources and indices. */
  get all(): readonly WatchedReading[] {
    const models = this.#options.models();
    const runtime = this.#options.runtime();
    const seen = this.#seen;
    // Asked ten times a second, of what changes once.
    if (seen !== undefined && runtime === seen.runtime && models.join("\n") === seen.models.join("\n")) return seen.all;
    const all = this.#see(models, runtime);
    this.#seen = { all, models, runtime };
    return all;
  }

  samples(): readonly GpuSample[] {
    const { all } = this;
    if (this.#shown?.all !== all) {
      const samples = all.flatMap(({ reading, isFresh, words, models }) => gpuSamples(reading, isFresh, words, models));
      this.#shown = { all, samples };
    }
    return this.#shown.samples;
  }

  #see(models: readonly string[], runtime: RuntimeProcesses | undefined): readonly WatchedReading[] {
    const ours = gpusOf(runtime, this.#readings());
    return this.#watched.flatMap(({ source, health }) => {
      const isFresh = source.state.state === "ok";
      const one = (reading: GpuReading, isThere: boolean): WatchedReading => ({
        reading,
        verdict: health.verdict(reading.uuid),
        words: this.#wordsOf(health, reading.uuid),
        source: source.state,
        isFresh: isFresh && isThere,
        models: ours === undefined || ours.has(reading.uuid) ? models : [],
        xids: this.#xids.of(reading.uuid),
      });
      return [
        ...source.readings.map((reading) => one(reading, true)),
        ...lostOf({ source, health }).map((reading) => one(reading, false)),
      ];
    });
  }

  /** Whether it is known which GPUs the runtime is on; else its models are told of all of them. */
  get isTied(): boolean {
    const { length } = this.all;
    const readings = this.#readings();
    const isKnown = readings.every(({ traffic }) => traffic?.processes !== undefined);
    return length === 1 || (isKnown && gpusOf(this.#seen?.runtime, readings) !== undefined);
  }

  /** Why the node's runtime is to get no requests; undefined while it may. */
  get quarantine(): Quarantine | undefined {
    const { all } = this;
    if (this.#judged?.all !== all) this.#judged = { all, quarantine: quarantineOf(all) };
    return this.#judged.quarantine;
  }

  /** Ends by hand what only ends by hand, for one GPU or all; answers for which. */
  clear(uuid?: string): string[] {
    const nowMs = performance.now();
    return this.#watched.flatMap((watched) => {
      const cleared = watched.health.clear(uuid, nowMs);
      if (cleared.length > 0) this.#step(watched);
      return cleared;
    });
  }

  /** What `clear` would leave of the reasons of one GPU; undefined where it would be told of no more. */
  foresee(uuid: string): { readonly reasons: readonly HealthReason[] } | undefined {
    for (const { source, health } of this.#watched) {
      const left = health.foresee(uuid);
      if (left === undefined) continue;
      const isTold = left !== "forgotten" || source.readings.some((reading) => reading.uuid === uuid);
      return isTold ? { reasons: left === "forgotten" ? [] : left } : undefined;
    }
    return { reasons: [] };
  }

  stop(): void {
    for (const { timer } of this.#watched) clearTimeout(timer);
  }

  #readings(): readonly GpuReading[] {
    return this.#watched.flatMap((watched) => [...watched.source.readings, ...lostOf(watched)]);
  }

  #wordsOf(health: GpuHealth, uuid: string): HealthWords {
    const words = healthWords(health.verdict(uuid), this.#words.get(uuid), unixOf);
    // Names that a driver makes up anew each time.
    if (this.#words.size >= WORDS_MAX) this.#words.clear();
    this.#words.set(uuid, words);
    return words;
  }

  #look(watched: Watched): void {
    const { source, health } = watched;
    const nowMs = performance.now();
    const { state, readings } = source;
    // Each of the two judges every GPU, and a source is the same from one look to the next.
    if (state !== watched.state) health.source(state, nowMs);
    if (state.state === "ok") health.look(readings, nowMs);
    watched.state = state;
    this.#step(watched);
  }

  #step(watched: Watched): void {
    clearTimeout(watched.timer);
    this.#seen = undefined;
    const { changes, wakeAtMs } = watched.health.take();
    if (wakeAtMs !== Infinity) {
      const wake = (): void => {
        watched.health.wake(performance.now());
        this.#step(watched);
      };
      watched.timer = setTimeout(wake, Math.max(1, Math.min(2 ** 30, Math.ceil(wakeAtMs - performance.now()))));
      watched.timer.unref();
    }
    if (changes.length > 0) this.#options.changed();
  }
}

function quarantineOf(all: readonly WatchedReading[]): Quarantine | undefined {
  const ill = all.filter(({ verdict, models }) => verdict.health === "quarantined" && models.length > 0);
  if (ill.length === 0) return undefined;
  const reason = ill
    .map(({ reading, words }) => `GPU ${reading.identity.index} (${reading.uuid}): ${words.healthReason ?? ""}`)
    .join("; ");
  return { uuids: ill.map(({ reading }) => reading.uuid), reason };
}

/** Those that the source does not list any more. */
function lostOf({ source, health }: Pick<Watched, "source" | "health">): readonly GpuReading[] {
  const { lost } = health;
  if (lost.length === 0) return lost;
  const there = new Set(source.readings.map(({ uuid }) => uuid));
  return lost.filter(({ uuid }) => !there.has(uuid));
}

function unixOf(atMs: number): number {
  return Date.now() - (performance.now() - atMs);
}
