/**
 * Slow start in a simulated router, by the same code as in a real one (flow/slow-start.ts; proxy/warmth.ts): a node that
 * is back is dearer by a part of what their load costs the warm ones, or all that comes would go where nothing is
 * cached. The mesh ran before the simulation begins: nodes are warm at first. A simulated node computes at its full pace
 * at once, so slow start spares it only what others have cached.
 */
import { defaultsOf } from "../base/settings-reading.ts";
import { flowSettings } from "../flow/settings.ts";
import { coldSeconds, shareOf } from "../flow/slow-start.ts";
import type { TargetView } from "../score/view.ts";

const CONFIG = defaultsOf(flowSettings).slowStart;

export class SimWarmth {
  /** By node, what is to be added to its cost. */
  readonly coldSeconds: Float64Array;
  /** Since when each is in use; Infinity: it isn't. */
  readonly #sinceMs: Float64Array;
  #isAllWarm = true;

  constructor(count: number) {
    this.coldSeconds = new Float64Array(count);
    this.#sinceMs = new Float64Array(count).fill(-Infinity);
  }

  get isAllWarm(): boolean {
    return this.#isAllWarm;
  }

  /** Nothing is sent there any more. */
  left(node: number): void {
    this.#sinceMs[node] = Infinity;
    this.#isAllWarm = false;
  }

  /** It may be sent to. */
  came(node: number, nowMs: number): void {
    if (this.#sinceMs[node] === Infinity) this.#sinceMs[node] = nowMs;
  }

  /** Weighs anew what is to be added, by the figures that the view has of all. */
  look(view: TargetView, nowMs: number): void {
    let sum = 0;
    let warm = 0;
    for (let node = 0; node < view.count; node += 1) {
      if (this.#shareOf(node, nowMs) < 1) continue;
      sum += loadSeconds(view, node);
      warm += 1;
    }
    const mean = warm === 0 ? 0 : sum / warm;
    for (let node = 0; node < view.count; node += 1) {
      this.coldSeconds[node] = coldSeconds(this.#shareOf(node, nowMs), mean);
    }
    this.#isAllWarm = warm === view.count;
  }

  #shareOf(node: number, nowMs: number): number {
    return shareOf(this.#sinceMs[node]!, nowMs, CONFIG);
  }
}

/** What a node's load costs a request that comes to it: score/load.ts, over a view. */
function loadSeconds(view: TargetView, node: number): number {
  const active = view.active[node]!;
  return (
    view.queuedTokens[node]! * view.secondsPerPrefillToken[node]! +
    active * view.secondsPerActive[node]! +
    Math.max(0, active + 1 - view.slots[node]!) * view.secondsPerQueuedRequest[node]!
  );
}
