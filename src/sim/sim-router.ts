/** One router of a simulated mesh: what it knows of the nodes, and how it sends what comes to it. */
import { type Home, LateRoom, type LateWaiter } from "../flow/late-room.ts";
import type { LateConfig } from "../flow/late-settings.ts";
import { type Computing, TargetPace } from "../flow/target-pace.ts";
import { type Strategy, TargetView } from "../score/view.ts";
import type { Arrival } from "./arrival.ts";
import type { Batcher, BatchingStats } from "./batching.ts";
import { CachePrefixes } from "./prefixes.ts";

/** What begins to compute at a fuller cache may be preempted. */
const KV_USAGE_MAX = 0.98;

export interface RouterSpec {
  /** Chooses as a request comes; a configuration holds it back and binds it late. */
  readonly strategy: ((targets: number, seed: number) => Strategy) | LateConfig;
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
  /** Where requests are bound late: what its target's pace counts. */
  readonly computing: Computing | null;
}

/** A request that is held in the router. */
class Held implements LateWaiter {
  readonly id: number;
  readonly arrival: Arrival;
  readonly priority = 0;
  readonly wantedMs = Infinity;
  homes: readonly Home[] = [];
  homesMs = 0;

  constructor(id: number, arrival: Arrival) {
    this.id = id;
    this.arrival = arrival;
  }

  get promptTokens(): number {
    return this.arrival.promptTokens;
  }

  get cameMs(): number {
    return this.arrival.atMs;
  }
}

export interface Mark {
  readonly active: Float64Array;
  readonly queuedTokens: Float64Array;
}

export class SimRouter {
  readonly #view: TargetView;
  readonly #strategy: Strategy | null;
  readonly #room: LateRoom<Held> | null;
  readonly #paces: TargetPace[];
  readonly #networkMs: number;
  readonly #prefixes: CachePrefixes;
  readonly #send: (sent: Sent, nowMs: number) => void;
  /** Its own, beside which others may have requests there. */
  readonly #active: Float64Array;
  readonly #queuedTokens: Float64Array;
  readonly #othersActive: Float64Array;
  readonly #othersTokens: Float64Array;

  constructor(
    spec: RouterSpec,
    engines: readonly Batcher[],
    networkMs: number,
    seed: number,
    send: (sent: Sent, nowMs: number) => void,
  ) {
    const count = engines.length;
    this.#networkMs = networkMs;
    this.#send = send;
    this.#view = new TargetView(count);
    for (const [target, { config }] of engines.entries()) {
      this.#view.secondsPerPrefillToken[target] = 1 / config.prefillTokensPerSecond;
    }
    this.#prefixes = new CachePrefixes(engines);
    this.#paces = engines.map(({ config }) => new TargetPace(1000 / config.prefillTokensPerSecond));
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
              hasRoom: (target) => this.#view.kvUsage[target]! < KV_USAGE_MAX,
              networkMs: () => networkMs,
            },
            ({ arrival }) => this.#prefixes.homes(arrival.hashes),
          );
    this.#active = new Float64Array(count);
    this.#queuedTokens = new Float64Array(count);
    this.#othersActive = new Float64Array(count);
    this.#othersTokens = new Float64Array(count);
  }

  /** When to call `serve` though nothing came. */
  get wakeAtMs(): number {
    return this.#room?.wakeAtMs ?? Infinity;
  }

  take(id: number, arrival: Arrival, nowMs: number): void {
    if (this.#room !== null) {
      this.#room.offer(new Held(id, arrival), nowMs);
      this.serve(nowMs);
      return;
    }
    const view = this.#view;
    const strategy = this.#strategy!;
    if (strategy.needsPrefixes) this.#prefixes.fill(arrival.hashes, view.matchedTokens, view.cachedBlocks);
    const { promptTokens } = arrival;
    const target = strategy.choose(view, { promptTokens }, nowMs);
    const matched = strategy.needsPrefixes ? view.matchedTokens[target]! : 0;
    this.#bind(id, arrival, target, Math.max(1, promptTokens - matched), nowMs);
  }

  /** Sends what may be sent now of what is held. */
  serve(nowMs: number): void {
    if (this.#room === null) return;
    for (let bound = this.#room.next(nowMs); bound !== null; bound = this.#room.next(nowMs)) {
      const { waiter, target, freshTokens } = bound;
      this.#bind(waiter.id, waiter.arrival, target, freshTokens, nowMs);
    }
  }

  #bind(id: number, arrival: Arrival, target: number, freshTokens: number, nowMs: number): void {
    const computing = this.#room === null ? null : { tokens: freshTokens, sentMs: nowMs + this.#networkMs };
    if (computing !== null) this.#paces[target]!.sent(computing);
    this.#active[target]! += 1;
    this.#queuedTokens[target]! += freshTokens;
    this.#view.contextTokens[target]! += arrival.promptTokens;
    this.#prefixes.routed(target, arrival.hashes);
    this.#renew(target);
    this.#send({ id, arrival, router: this, target, sentMs: nowMs, freshTokens, isDecoding: false, computing }, nowMs);
  }

  firstToken(sent: Sent, nowMs: number): void {
    sent.isDecoding = true;
    this.#queuedTokens[sent.target]! -= sent.freshTokens;
    this.#prefixes.computed(sent.target, sent.arrival.hashes);
    this.#renew(sent.target);
    this.#strategy?.observe?.(sent.target, nowMs - sent.sentMs, nowMs);
    if (sent.computing === null) return;
    this.#paces[sent.target]!.answered(sent.computing, nowMs - this.#networkMs);
    this.serve(nowMs);
  }

  ended(sent: Sent, nowMs: number): void {
    // One that could not be served has no first token.
    if (!sent.isDecoding) this.firstToken(sent, nowMs);
    this.#active[sent.target]! -= 1;
    this.#view.contextTokens[sent.target]! -= sent.arrival.promptTokens;
    this.#renew(sent.target);
    this.serve(nowMs);
  }

  /** Its own load as it is when a sample is taken. */
  mark(): Mark {
    return { active: this.#active.slice(), queuedTokens: this.#queuedTokens.slice() };
  }

  sampled(samples: readonly BatchingStats[], mark: Mark, nowMs: number): void {
    for (const [target, sample] of samples.entries()) {
      const active = sample.running + sample.waiting;
      this.#othersActive[target] = Math.max(0, active - mark.active[target]!);
      this.#othersTokens[target] = Math.max(0, sample.queuedPrefillTokens - mark.queuedTokens[target]!);
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
