/**
 * When to compare everything with another member (push/pull): at an interval that grows with the mesh, and sooner when
 * there is reason to think that we miss something – after a start, when a stranger speaks, when those whom we probe
 * hold other tables than ours though no news is on its way, while two comparisons in a row show differences (each time
 * later, so that a busy mesh does not do nothing else).
 */
import type { Prng } from "../base/prng.ts";
import type { SwimConfig } from "./settings.ts";

/** Above this many members the interval grows, by one interval for each doubling. */
const CALM_MEMBERS = 32;
/** Probe intervals that a comparison out of turn may wait for the end of news. */
const PATIENCE = 4;
/** One that differs from us may miss something itself, and will find out; when all differ, it is we. */
const DIFFERING = 2;

export class Comparison {
  dueAtMs: number;
  readonly #config: SwimConfig;
  readonly #prng: Prng;
  /** Until the next one, if the one under way shows a difference. */
  #pauseMs = Infinity;
  #strangeAtMs = -Infinity;
  /** Until then one that is made out of turn may wait. */
  #patienceAtMs = -Infinity;
  /** Members in a row whose tables differed from ours. */
  #differing = 0;

  constructor(config: SwimConfig, prng: Prng, nowMs: number) {
    this.#config = config;
    this.#prng = prng;
    this.dueAtMs = nowMs + prng.next() * config.pushPullIntervalMs;
  }

  /**
   * One that is made out of turn waits for the end of the news that is on its way: while members pour in, all tables
   * differ, and to send them to each other would cost more than the news.
   */
  waits(isBusy: boolean, nowMs: number): boolean {
    if (!isBusy || nowMs >= this.#patienceAtMs) return false;
    this.dueAtMs = nowMs + this.#config.probeIntervalMs * (0.5 + this.#prng.next());
    return true;
  }

  /** One begins; the next is due in the usual time. */
  begin(nowMs: number, size: number): void {
    this.#patienceAtMs = -Infinity;
    const factor = size > CALM_MEMBERS ? Math.ceil(Math.log2(size / CALM_MEMBERS)) + 1 : 1;
    this.dueAtMs = nowMs + this.#config.pushPullIntervalMs * factor * (0.9 + 0.2 * this.#prng.next());
  }

  by(atMs: number): void {
    this.dueAtMs = Math.min(this.dueAtMs, atMs);
  }

  soon(nowMs: number): void {
    if (this.#patienceAtMs === -Infinity) this.#patienceAtMs = nowMs + this.#config.probeIntervalMs * PATIENCE;
    this.#pauseMs = this.#config.probeIntervalMs * 2;
    this.by(nowMs + this.#config.probeIntervalMs * (0.5 + this.#prng.next()));
  }

  agreed(): void {
    this.#pauseMs = Infinity;
  }

  differed(nowMs: number): void {
    this.by(nowMs + this.#pauseMs * (0.5 + this.#prng.next()));
    this.#pauseMs *= 2;
  }

  /** A member that we probed told its digest, while we had no news to spread. */
  probed(isSame: boolean, nowMs: number): void {
    this.#differing = isSame ? 0 : this.#differing + 1;
    if (this.#differing >= DIFFERING) this.stranger(nowMs);
  }

  /** Someone spoke who is no member, as far as we know: it is not believed, but we may have missed a newcomer. */
  stranger(nowMs: number): void {
    if (nowMs < this.#strangeAtMs + this.#config.probeIntervalMs * 2) return;
    this.#strangeAtMs = nowMs;
    this.soon(nowMs);
  }
}
