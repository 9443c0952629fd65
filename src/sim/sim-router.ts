/** One router of a simulated mesh: what it knows of the nodes, and how it sends what comes to it. */
import { keyOf } from "../base/key.ts";
import type { LateConfig } from "../flow/late-settings.ts";
import { ownShare } from "../score/own-share.ts";
import { type Strategy, TargetView } from "../score/view.ts";
import type { Arrival } from "./arrival.ts";
import type { BatchingConfig } from "./batching.ts";
import { Held } from "./held.ts";
import type { Network } from "./network.ts";
import type { NodeSamples } from "./node-samples.ts";
import type { KnownPrefixes } from "./prefixes.ts";
import { RouterRates } from "./router-rates.ts";
import { isLateConfig, type RouterSpec } from "./router-spec.ts";
import { type Asked, Sent } from "./sent.ts";
import { SimHedges } from "./sim-hedges.ts";
import { MeshFigures, NodeFigures } from "./sim-figures.ts";
import { SimLate } from "./sim-late.ts";

/** What a router had at the nodes when they were looked at. */
export interface Mark {
  readonly atMs: number;
  readonly active: Float64Array;
  readonly queuedTokens: Float64Array;
}

export class SimRouter {
  readonly #view: TargetView;
  readonly #figures: MeshFigures;
  readonly #patienceMs: number;
  readonly #gapMs: number;
  readonly #strategy: Strategy | null;
  /** Of a strategy that sends twice what is late. */
  readonly #hedges: SimHedges | null;
  /** Null where it chooses as requests come. */
  readonly #late: SimLate | null;
  /** One way to each of the targets. */
  readonly #waysMs: Float64Array;
  /** Null where nobody asks for them. */
  readonly #prefixes: KnownPrefixes | null;
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
  /** Null where nobody goes by them. */
  readonly #rates: RouterRates | null;

  /** `prefixes`: what is known of caches; null where nobody asks for that. */
  constructor(
    strategy: Strategy | LateConfig,
    spec: Omit<RouterSpec, "strategy">,
    nodes: readonly BatchingConfig[],
    waysMs: Float64Array,
    prefixes: KnownPrefixes | null,
    network: Network,
  ) {
    const count = nodes.length;
    this.#waysMs = waysMs;
    this.#network = network;
    this.#view = new TargetView(count);
    const rates = nodes.map(({ prefillTokensPerSecond }) => prefillTokensPerSecond * (spec.assumedRate ?? 1));
    const areOthers = otherShares(count, network.place, spec.routers ?? 1);
    const figures = nodes.map((config, target) => {
      const weight = spec.weights?.[target] ?? 1;
      return new NodeFigures(config, rates[target]!, 2 * waysMs[target]!, weight, areOthers[target]!);
    });
    const isLate = isLateConfig(strategy);
    this.#figures = new MeshFigures(this.#view, figures);
    if (spec.prices !== undefined) this.#view.pricePerHour.set(spec.prices);
    this.#patienceMs = spec.patienceMs ?? Infinity;
    this.#gapMs = spec.gapMs ?? Infinity;
    this.#prefixes = prefixes;
    this.#active = new Float64Array(count);
    this.#queuedTokens = new Float64Array(count);
    this.#othersActive = new Float64Array(count);
    this.#othersTokens = new Float64Array(count);
    this.#othersMs = new Float64Array(count);
    this.#failedMs = new Float64Array(count).fill(-Infinity);
    this.#strategy = isLate ? null : strategy;
    this.#hedges =
      isLate || strategy.isHedging !== true
        ? null
        : new SimHedges({
            later: (atMs, happens) => network.later(atMs, happens),
            again: (sent, nowMs) => this.#again(sent, nowMs),
            drop: (sent, nowMs) => this.#drop(sent, nowMs),
          });
    this.#late = isLate ? this.#lateOf(strategy, rates, areOthers, spec.toldMs ?? 0) : null;
    const priors = rates.map((rate, target) => {
      return { secondsPerPrefillToken: 1 / rate, secondsPerActive: this.#view.secondsPerActive[target]! };
    });
    this.#rates = isLate || strategy.needsFigures ? new RouterRates(priors, spec.learns ?? true) : null;
  }

  #lateOf(config: LateConfig, rates: readonly number[], areOthers: readonly boolean[], toldMs: number): SimLate {
    const knows = {
      view: this.#view,
      waysMs: this.#waysMs,
      othersTokens: this.#othersTokens,
      othersMs: this.#othersMs,
      prefixes: this.#prefixes!,
      network: this.#network,
      rates,
      areOthers,
      toldMs,
    };
    return new SimLate(config, knows, (held, target, freshTokens, nowMs) => {
      this.#bind(held, target, freshTokens, nowMs);
    });
  }

  wayMs(target: number): number {
    return this.#waysMs[target]!;
  }

  /** Requests that wait here, its own and those that it decides about for others. */
  get waiting(): number {
    return this.#late?.waiting ?? 0;
  }

  /** When to call `serve` though nothing came. */
  get wakeAtMs(): number {
    return this.#late?.wakeAtMs ?? Infinity;
  }

  /** Another router has said something. */
  heard(router: number, packet: Uint8Array, nowMs: number): void {
    this.#late?.heard(router, packet, nowMs);
  }

  take(id: number, arrival: Arrival, nowMs: number, isRetry = false): void {
    if (this.#late !== null) {
      this.#late.take(new Held(id, arrival, isRetry), nowMs);
      return;
    }
    const sent = this.#choose({ id, arrival, isRetry }, nowMs);
    if (sent === null) this.#network.lost();
    else if (!isRetry) this.#hedges?.plan(sent, nowMs);
  }

  /** Sends it where the strategy says; null: nowhere. */
  #choose(asked: Asked, nowMs: number): Sent | null {
    const { arrival } = asked;
    const view = this.#view;
    const strategy = this.#strategy!;
    if (strategy.needsPrefixes) this.#prefixes!.fill(arrival.hashes, view.matchedTokens, view.cachedBlocks);
    const { promptTokens, atMs } = arrival;
    const leftMs = atMs + this.#patienceMs - nowMs;
    const target = strategy.choose(view, { promptTokens, leftMs, gapMs: this.#gapMs }, nowMs);
    if (target < 0) return null;
    const matched = strategy.needsPrefixes ? view.matchedTokens[target]! : 0;
    return this.#bind(asked, target, Math.max(1, arrival.promptTokens - matched), nowMs);
  }

  /** Sends it to another node as well; null: there is none. */
  #again({ arrival, target }: Sent, nowMs: number): Sent | null {
    const { routable } = this.#view;
    const before = routable[target]!;
    routable[target] = 0;
    const twin = this.#choose({ id: this.#network.copyId(), arrival, isRetry: true }, nowMs);
    routable[target] = before;
    return twin;
  }

  /** Another node has answered it. */
  #drop(sent: Sent, nowMs: number): void {
    this.#computed(sent);
    this.#left(sent);
    this.#network.cancel(sent, nowMs);
  }

  /** Sends what may be sent now of what is held. */
  serve(nowMs: number): void {
    this.#late?.serve(nowMs);
  }

  #bind(asked: Asked, target: number, freshTokens: number, nowMs: number): Sent {
    const { promptTokens, hashes } = asked.arrival;
    const computing = this.#late?.sent(target, freshTokens, nowMs) ?? null;
    this.#active[target]! += 1;
    this.#queuedTokens[target]! += freshTokens;
    this.#view.contextTokens[target]! += promptTokens;
    this.#prefixes?.routed(target, hashes);
    this.#renew(target);
    const sent = new Sent(asked, this.#network.place, target, nowMs, freshTokens, computing);
    this.#rates?.sent(sent, this.#othersActive[target]! > 0 ? this.#othersTokens[target]! : 0);
    this.#network.send(sent, nowMs);
    return sent;
  }

  firstToken(sent: Sent, nowMs: number): void {
    sent.firstSeenMs = nowMs;
    this.#computed(sent);
    this.#rates?.firstToken(sent, nowMs);
    this.#strategy?.observe?.(sent.target, nowMs - sent.sentMs, nowMs);
    this.#hedges?.answered(sent, nowMs);
    this.#late?.firstToken(sent, nowMs);
  }

  /** Its prompt is no work any more. */
  #computed(sent: Sent): void {
    sent.isDecoding = true;
    this.#queuedTokens[sent.target]! -= sent.freshTokens;
    this.#prefixes?.computed(sent.target, sent.arrival.hashes);
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
    this.#figures.left(sent.target);
    const hasToken = sent.isDecoding;
    if (!hasToken) {
      this.#computed(sent);
      this.#late?.failed(sent, nowMs);
    }
    this.#left(sent);
    if (this.#hedges?.isElsewhere(sent) === true) return;
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

  /** Those that are marked in `lost` never came. */
  sampled(samples: NodeSamples, lost: Uint8Array | null, mark: Mark, nowMs: number): void {
    const { isDown, running, waiting, queuedTokens, kvUsage } = samples;
    const view = this.#view;
    this.#rates?.renew(nowMs);
    for (let target = 0; target < view.count; target += 1) {
      if (isDown[target] === 1 || lost?.[target] === 1) continue;
      if (mark.atMs >= this.#failedMs[target]!) {
        view.routable[target] = 1;
        this.#figures.came(target, nowMs);
      }
      this.#othersActive[target] = Math.max(0, running[target]! + waiting[target]! - mark.active[target]!);
      this.#othersTokens[target] = Math.max(0, queuedTokens[target]! - mark.queuedTokens[target]!);
      this.#othersMs[target] = mark.atMs;
      view.waiting[target] = waiting[target]!;
      view.kvUsage[target] = kvUsage[target]!;
      this.#judge(target, samples, nowMs);
      this.#renew(target);
    }
    if (this.#strategy?.needsFigures === true) this.#figures.look(nowMs);
    this.serve(nowMs);
  }

  /** By what a prompt token is found to take there. */
  #judge(target: number, samples: NodeSamples, nowMs: number): void {
    if (this.#rates === null) return;
    const seconds = this.#rates.seconds[target]!;
    if (this.#late !== null) {
      this.#late.assume(target, seconds * 1000, nowMs);
      return;
    }
    this.#figures.told(target, samples, seconds);
  }

  #renew(target: number): void {
    this.#view.active[target] = this.#active[target]! + this.#othersActive[target]!;
    this.#view.queuedTokens[target] = this.#queuedTokens[target]! + this.#othersTokens[target]!;
  }
}

/** By target, whether another router prefers it, as real ones share them. */
function otherShares(count: number, place: number, routers: number): boolean[] {
  if (routers < 2) return Array.from({ length: count }, () => false);
  const keys = Array.from({ length: count }, (_, target) => keyOf(`node ${target}`));
  const own = ownShare(keys, place, routers);
  return keys.map((key) => !own.has(key));
}
