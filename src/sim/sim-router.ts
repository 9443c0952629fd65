/** One router of a simulated mesh: what it knows of the nodes, and how it sends what comes to it. */
import { type Home, LateRoom, type LateWaiter } from "../flow/late-room.ts";
import type { LateConfig } from "../flow/late-settings.ts";
import { type Computing, TargetPace } from "../flow/target-pace.ts";
import { KV_USAGE_MAX } from "../score/cost.ts";
import { type Strategy, TargetView } from "../score/view.ts";
import type { Arrival } from "./arrival.ts";
import type { Batcher, BatchingStats } from "./batching.ts";
import { CachePrefixes } from "./prefixes.ts";

export interface RouterSpec {
  /** Chooses as a request comes; a configuration holds it back and binds it late. */
  readonly strategy: ((targets: number, seed: number) => Strategy) | LateConfig;
  /** What it takes the nodes' prefill rate for at first, as a multiple of what that is; 1. */
  readonly assumedRate?: number;
}

/** A request on its way or at its node. */
export interface Sent {
  readonly id: number;
  readonly arrival: Arrival;
  readonly router: SimRouter;
  readonly target: number;
  readonly sentMs: number;
  /** Prompt tokens that the node is expected to compute. */
  readonly freshTokens: number;
  isDecoding: boolean;
  /** When its first token was here. */
  firstSeenMs: number;
  hasFailed: boolean;
  /** Sent before, to a node that failed. */
  readonly isRetry: boolean;
  /** Where requests are bound late: what its target's pace counts. */
  readonly computing: Computing | null;
}

/** A request that is held in the router. */
class Held implements LateWaiter {
  readonly id: number;
  readonly arrival: Arrival;
  readonly isRetry: boolean;
  readonly priority = 0;
  readonly wantedMs = Infinity;
  homes: readonly Home[] = [];
  homesMs = 0;
  leastTokens = 0;

  constructor(id: number, arrival: Arrival, isRetry: boolean) {
    this.id = id;
    this.arrival = arrival;
    this.isRetry = isRetry;
  }

  get promptTokens(): number {
    return this.arrival.promptTokens;
  }

  get cameMs(): number {
    return this.arrival.atMs;
  }
}

/** Where requests go that a router sends, and those that it can't. */
export interface Network {
  send(sent: Sent, nowMs: number): void;
  lost(): void;
}

/** What a router had at the nodes when they were looked at. */
export interface Mark {
  readonly atMs: number;
  readonly active: Float64Array;
  readonly queuedTokens: Float64Array;
}

export class SimRouter {
  readonly #view: TargetView;
  readonly #strategy: Strategy | null;
  readonly #room: LateRoom<Held> | null;
  readonly #paces: TargetPace[];
  /** One way to each of the targets. */
  readonly #waysMs: Float64Array;
  readonly #prefixes: CachePrefixes;
  readonly #network: Network;
  /** Its own, beside which others may have requests there. */
  readonly #active: Float64Array;
  readonly #queuedTokens: Float64Array;
  readonly #othersActive: Float64Array;
  readonly #othersTokens: Float64Array;
  /** When that was so. */
  readonly #othersMs: Float64Array;
  /** When it was last heard that a request had failed there. */
  readonly #failedMs: Float64Array;

  constructor(spec: RouterSpec, engines: readonly Batcher[], waysMs: Float64Array, seed: number, network: Network) {
    const count = engines.length;
    this.#waysMs = waysMs;
    this.#network = network;
    this.#view = new TargetView(count);
    const rates = engines.map(({ config }) => config.prefillTokensPerSecond * (spec.assumedRate ?? 1));
    for (const [target, rate] of rates.entries()) {
      this.#view.secondsPerPrefillToken[target] = 1 / rate;
      this.#view.rttSeconds[target] = (2 * waysMs[target]!) / 1000;
    }
    this.#prefixes = new CachePrefixes(engines);
    this.#paces = rates.map((rate) => new TargetPace(1000 / rate));
    const { strategy } = spec;
    this.#strategy = typeof strategy === "function" ? strategy(count, seed) : null;
    this.#room =
      typeof strategy === "function"
        ? null
        : new LateRoom(
            strategy,
            {
              count,
              pace: (target) => this.#paces[target]!,
              hasRoom: (target) => this.#view.routable[target] === 1 && this.#view.kvUsage[target]! < KV_USAGE_MAX,
              networkMs: (target) => waysMs[target]!,
              active: (target) => this.#view.active[target]!,
              othersTokens: (target) => this.#othersTokens[target]!,
              othersMs: (target) => this.#othersMs[target]!,
            },
            ({ arrival }) => this.#prefixes.homes(arrival.hashes),
          );
    this.#active = new Float64Array(count);
    this.#queuedTokens = new Float64Array(count);
    this.#othersActive = new Float64Array(count);
    this.#othersTokens = new Float64Array(count);
    this.#othersMs = new Float64Array(count);
    this.#failedMs = new Float64Array(count).fill(-Infinity);
  }

  wayMs(target: number): number {
    return this.#waysMs[target]!;
  }

  /** Requests that it holds. */
  get waiting(): number {
    return this.#room?.waiting ?? 0;
  }

  /** When to call `serve` though nothing came. */
  get wakeAtMs(): number {
    return this.#room?.wakeAtMs ?? Infinity;
  }

  take(id: number, arrival: Arrival, nowMs: number, isRetry = false): void {
    if (this.#room !== null) {
      this.#room.offer(new Held(id, arrival, isRetry), nowMs);
      this.serve(nowMs);
      return;
    }
    const view = this.#view;
    const strategy = this.#strategy!;
    if (strategy.needsPrefixes) this.#prefixes.fill(arrival.hashes, view.matchedTokens, view.cachedBlocks);
    const { promptTokens } = arrival;
    const target = strategy.choose(view, { promptTokens }, nowMs);
    if (target < 0) {
      this.#network.lost();
      return;
    }
    const matched = strategy.needsPrefixes ? view.matchedTokens[target]! : 0;
    this.#bind(id, arrival, isRetry, target, Math.max(1, promptTokens - matched), nowMs);
  }

  /** Sends what may be sent now of what is held. */
  serve(nowMs: number): void {
    if (this.#room === null) return;
    for (let bound = this.#room.next(nowMs); bound !== null; bound = this.#room.next(nowMs)) {
      const { waiter, target, freshTokens } = bound;
      this.#bind(waiter.id, waiter.arrival, waiter.isRetry, target, freshTokens, nowMs);
    }
  }

  #bind(id: number, arrival: Arrival, isRetry: boolean, target: number, freshTokens: number, nowMs: number): void {
    const sentMs = nowMs + this.#waysMs[target]!;
    const othersTokens = this.#othersTokens[target]!;
    const computing = this.#room === null ? null : { tokens: freshTokens, sentMs, othersTokens };
    if (computing !== null) this.#paces[target]!.sent(computing);
    this.#active[target]! += 1;
    this.#queuedTokens[target]! += freshTokens;
    this.#view.contextTokens[target]! += arrival.promptTokens;
    this.#prefixes.routed(target, arrival.hashes);
    this.#renew(target);
    const ahead = { freshTokens, isDecoding: false, firstSeenMs: NaN, hasFailed: false, isRetry, computing };
    this.#network.send({ id, arrival, router: this, target, sentMs: nowMs, ...ahead }, nowMs);
  }

  firstToken(sent: Sent, nowMs: number): void {
    sent.firstSeenMs = nowMs;
    this.#computed(sent);
    this.#strategy?.observe?.(sent.target, nowMs - sent.sentMs, nowMs);
    if (sent.computing === null) return;
    this.#paces[sent.target]!.answered(sent.computing, nowMs - this.#waysMs[sent.target]!);
    this.serve(nowMs);
  }

  /** Its prompt is no work any more. */
  #computed(sent: Sent): void {
    sent.isDecoding = true;
    this.#queuedTokens[sent.target]! -= sent.freshTokens;
    this.#prefixes.computed(sent.target, sent.arrival.hashes);
    this.#renew(sent.target);
  }

  ended(sent: Sent, nowMs: number): void {
    // One that could not be served has no first token.
    if (!sent.isDecoding) this.firstToken(sent, nowMs);
    this.#left(sent);
    this.serve(nowMs);
  }

  /** Its node went down, or was down when it came there. */
  failed(sent: Sent, nowMs: number): void {
    sent.hasFailed = true;
    this.#failedMs[sent.target] = nowMs;
    this.#view.routable[sent.target] = 0;
    const hasToken = sent.isDecoding;
    if (!hasToken) {
      this.#computed(sent);
      if (sent.computing !== null) this.#paces[sent.target]!.dropped(sent.computing, nowMs);
    }
    this.#left(sent);
    if (hasToken || sent.isRetry) this.#network.lost();
    else this.take(sent.id, sent.arrival, nowMs, true);
    this.serve(nowMs);
  }

  #left(sent: Sent): void {
    this.#active[sent.target]! -= 1;
    this.#view.contextTokens[sent.target]! -= sent.arrival.promptTokens;
    this.#renew(sent.target);
  }

  /** Its own load as it is when a sample is taken. */
  mark(atMs: number): Mark {
    return { atMs, active: this.#active.slice(), queuedTokens: this.#queuedTokens.slice() };
  }

  sampled(samples: readonly (BatchingStats | null)[], mark: Mark, nowMs: number): void {
    for (const [target, sample] of samples.entries()) {
      if (sample === null) continue;
      if (mark.atMs >= this.#failedMs[target]!) this.#view.routable[target] = 1;
      const active = sample.running + sample.waiting;
      this.#othersActive[target] = Math.max(0, active - mark.active[target]!);
      this.#othersTokens[target] = Math.max(0, sample.queuedPrefillTokens - mark.queuedTokens[target]!);
      this.#othersMs[target] = mark.atMs;
      this.#view.waiting[target] = sample.waiting;
      this.#view.kvUsage[target] = sample.kvBlocksUsed / sample.kvBlocks;
      this.#renew(target);
    }
    this.serve(nowMs);
  }

  #renew(target: number): void {
    this.#view.active[target] = this.#active[target]! + this.#othersActive[target]!;
    this.#view.queuedTokens[target] = this.#queuedTokens[target]! + this.#othersTokens[target]!;
  }
}
