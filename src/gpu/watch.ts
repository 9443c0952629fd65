/**
 * The GPUs of a node: what their sources read, what the rules of health make of it, and which runtimes are on them. All that
 * others want to know of GPUs is asked here.
 *
 * A quarantined GPU takes out of routing what runs on it: the runtimes that use it, and those of which it is not known which
 * ones they use. A GPU that only others use is quarantined, and the node serves on.
 */
import { GpuHealth } from "../health/gpu-health.ts";
import type { GpuFault, GpuReading } from "../health/reading.ts";
import type { HealthConfig } from "../health/settings.ts";
import type { SourceState } from "../health/source-state.ts";
import type { HealthReason, Verdict } from "../health/verdict.ts";
import { type GpuSample, quarantineWords } from "../score/sample.ts";
import { gpuSamples, type HealthWords, healthWords } from "./sample.ts";
import type { GpuSource } from "./source.ts";
import { type RuntimeProcesses, type Tie, tiesOf } from "./ties.ts";
import { XidCounts, type XidTally } from "./xid-counts.ts";

const WORDS_MAX = 256;

export interface WatchOptions {
  readonly health: HealthConfig;
  readonly runtimes: () => readonly WatchedTie[];
  /** A GPU's health is another one, or its reasons are. */
  readonly changed: () => void;
  /** Readings or verdicts may be others than before. */
  readonly moved?: () => void;
  readonly faulted?: (faults: readonly GpuFault[]) => void;
}

/** One of the node's runtimes, as far as GPUs are concerned. */
export interface WatchedTie {
  readonly name: string;
  /** What it serves. */
  readonly models: readonly string[];
  /** Undefined where they are not known. */
  readonly processes: RuntimeProcesses | undefined;
}

/** All that is known of one GPU. */
export interface WatchedReading {
  readonly reading: GpuReading;
  readonly verdict: Verdict;
  readonly words: HealthWords;
  readonly source: SourceState;
  /** The figures are of now. */
  readonly isFresh: boolean;
  /** The names of those that are on it, or may be. */
  readonly runtimes: readonly string[];
  /** What these serve. */
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
        readonly runtimes: readonly WatchedTie[];
        readonly ties: ReadonlyMap<string, Tie>;
      }
    | undefined;
  #shown: { readonly all: readonly WatchedReading[]; readonly samples: readonly GpuSample[] } | undefined;
  #judged: { readonly all: readonly WatchedReading[]; readonly ill: ReadonlyMap<string, Quarantine> } | undefined;

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
    const runtimes = this.#options.runtimes();
    const seen = this.#seen;
    // Asked several times a second, of what changes once.
    if (seen !== undefined && isSame(runtimes, seen.runtimes)) return seen.all;
    const ties = tiesOf(
      runtimes.map(({ processes }) => processes),
      this.#readings(),
    );
    const byName = new Map(runtimes.flatMap(({ name }, at) => (ties[at] === undefined ? [] : [[name, ties[at]]])));
    const all = this.#see(runtimes, byName);
    this.#seen = { all, runtimes, ties: byName };
    return all;
  }

  samples(): readonly GpuSample[] {
    const { all } = this;
    if (this.#shown?.all !== all) {
      const samples = all.flatMap(({ reading, isFresh, words, ...on }) => gpuSamples(reading, isFresh, words, on));
      this.#shown = { all, samples };
    }
    return this.#shown.samples;
  }

  #see(runtimes: readonly WatchedTie[], ties: ReadonlyMap<string, Tie>): readonly WatchedReading[] {
    const on = (uuid: string): Pick<WatchedReading, "runtimes" | "models"> => {
      const there = runtimes.filter(({ name }) => ties.get(name)?.uuids.has(uuid));
      const models = new Set(there.flatMap((runtime) => runtime.models));
      return { runtimes: there.map(({ name }) => name), models: [...models] };
    };
    return this.#watched.flatMap(({ source, health }) => {
      const isFresh = source.state.state === "ok";
      const one = (reading: GpuReading, isThere: boolean): WatchedReading => ({
        reading,
        verdict: health.verdict(reading.uuid),
        words: this.#wordsOf(health, reading.uuid),
        source: source.state,
        isFresh: isFresh && isThere,
        ...on(reading.uuid),
        xids: this.#xids.of(reading.uuid),
      });
      return [
        ...source.readings.map((reading) => one(reading, true)),
        ...lostOf({ source, health }).map((reading) => one(reading, false)),
      ];
    });
  }

  /** Whether it is known which GPUs a runtime is on ("": the node's only one); else its models are told of all that it may be on. */
  isTied(runtime: string): boolean {
    const { length } = this.all;
    const ties = this.#seen?.ties ?? new Map<string, Tie>();
    const meant = runtime === "" ? [...ties.values()] : [ties.get(runtime)];
    return length > 0 && meant.length > 0 && meant.every((tie) => tie?.isKnown === true);
  }

  /** Why a runtime is to get no requests, by name: those that may get some are not there. */
  get quarantines(): ReadonlyMap<string, Quarantine> {
    const { all } = this;
    if (this.#judged?.all !== all) this.#judged = { all, ill: quarantinesOf(all) };
    return this.#judged.ill;
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
    else this.#options.moved?.();
  }
}

function quarantinesOf(all: readonly WatchedReading[]): Map<string, Quarantine> {
  const ill = all.filter(({ verdict }) => verdict.health === "quarantined");
  const names = new Set(ill.flatMap(({ runtimes }) => runtimes));
  return new Map(
    [...names].map((name) => {
      const own = ill.filter(({ runtimes }) => runtimes.includes(name));
      const reason = own
        .map(({ reading: { identity, uuid }, words: { healthReason } }) =>
          quarantineWords({ index: identity.index, uuid, healthReason }),
        )
        .join("; ");
      return [name, { uuids: own.map(({ reading }) => reading.uuid), reason }];
    }),
  );
}

function isSame(some: readonly WatchedTie[], others: readonly WatchedTie[]): boolean {
  if (some.length !== others.length) return false;
  return some.every(({ name, models, processes }, at) => {
    const other = others[at];
    if (name !== other?.name || processes !== other.processes) return false;
    return models.length === other.models.length && models.every((model, place) => model === other.models[place]);
  });
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
