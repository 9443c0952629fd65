/**
 * How long models take to load on this machine: what it took the last times, else what their sizes come to at the speed
 * of the loads that were seen, else the settings' guesses. Kept as long as the agent lives.
 */
import { duration, bytes, section, type Infer } from "../base/settings.ts";

export const loadTimeSettings = section({
  loadTimeMs: duration({
    default: "20s",
    min: "1ms",
    max: "1h",
    doc: "Time that loading a model is assumed to take where its runtime tells no size and none was loaded yet.",
  }),
  loadBytesPerSecond: bytes({
    default: "1GB",
    min: "1MB",
    max: "1TB",
    doc: "Speed at which models are assumed to be loaded until a load was seen; with their sizes it says how long each takes.",
  }),
});

export type LoadTimeConfig = Infer<typeof loadTimeSettings>;

/** Of one runtime; what was learnt the longest ago is forgotten first. */
const MODELS_MAX = 1024;
/** How much a new time counts against those of before. */
const NEW_SHARE = 0.5;
/** Starting a process and the like, beside what reading the file takes. */
const STARTING_SECONDS = 0.5;
/** A shorter load says nothing of the speed: the file lay in memory. */
const TELLING_SECONDS = 1;
/** Of one that failed last: others are tried first. */
const FAILED_FACTOR = 4;
/** A load that takes longer than it should goes on for a while: for this share of what it took so far. */
const OVERDUE_SHARE = 0.1;

interface Loadable {
  readonly model: string;
  readonly sizeBytes: number | undefined;
}

export class LoadTimes {
  readonly #config: LoadTimeConfig;
  /** Seconds, in the order in which they were learnt. */
  readonly #seconds = new Map<string, number>();
  readonly #beganAtMs = new Map<string, number>();
  #bytesPerSecond: number | undefined;

  constructor(config: LoadTimeConfig) {
    this.#config = config;
  }

  /** It is being loaded from now on; told again while it is, nothing changes. */
  began({ model }: Loadable, nowMs: number): void {
    if (!this.#beganAtMs.has(model)) this.#beganAtMs.set(model, nowMs);
  }

  /** It is loaded. */
  ended({ model, sizeBytes }: Loadable, nowMs: number): void {
    const beganAtMs = this.#beganAtMs.get(model);
    if (beganAtMs === undefined) return;
    this.#beganAtMs.delete(model);
    const took = Math.max(0, nowMs - beganAtMs) / 1000;
    const before = this.#seconds.get(model);
    this.#seconds.delete(model);
    this.#seconds.set(model, mixed(before, took));
    const [oldest] = this.#seconds.size > MODELS_MAX ? this.#seconds.keys() : [];
    if (oldest !== undefined) this.#seconds.delete(oldest);
    if (sizeBytes !== undefined && sizeBytes > 0 && took >= TELLING_SECONDS) {
      this.#bytesPerSecond = mixed(this.#bytesPerSecond, sizeBytes / took);
    }
  }

  /** It came to nothing. */
  abandoned(model: string): void {
    this.#beganAtMs.delete(model);
  }

  /** Seconds from the request for it on. */
  expected({ model, sizeBytes }: Loadable): number {
    const learnt = this.#seconds.get(model);
    if (learnt !== undefined) return learnt;
    if (sizeBytes === undefined) return this.#config.loadTimeMs / 1000;
    return STARTING_SECONDS + sizeBytes / (this.#bytesPerSecond ?? this.#config.loadBytesPerSecond);
  }

  /** The same of one that failed. */
  afterFailure(model: Loadable): number {
    return FAILED_FACTOR * this.expected(model);
  }

  /** Seconds until one is loaded that is being loaded now. */
  left(model: Loadable, nowMs: number): number {
    const took = Math.max(0, nowMs - (this.#beganAtMs.get(model.model) ?? nowMs)) / 1000;
    return Math.max(this.expected(model) - took, took * OVERDUE_SHARE);
  }
}

function mixed(before: number | undefined, now: number): number {
  return before === undefined ? now : before + NEW_SHARE * (now - before);
}
