/**
 * What samples tell of the nodes, a column a figure. Kept up to date as nodes change, so that a sample of all of them is a
 * copy, however many there are.
 */
import type { SimNode } from "./sim-node.ts";

export class NodeSamples {
  readonly isDown: Uint8Array;
  /** Requests that are there, and such of them as wait. */
  readonly active: Float64Array;
  readonly waiting: Float64Array;
  readonly queuedTokens: Float64Array;
  readonly kvUsage: Float64Array;

  constructor(count: number) {
    this.isDown = new Uint8Array(count);
    this.active = new Float64Array(count);
    this.waiting = new Float64Array(count);
    this.queuedTokens = new Float64Array(count);
    this.kvUsage = new Float64Array(count);
  }

  note({ place, engine, isDown }: SimNode): void {
    this.isDown[place] = isDown ? 1 : 0;
    this.active[place] = engine.running + engine.waiting;
    this.waiting[place] = engine.waiting;
    this.queuedTokens[place] = engine.queuedPrefillTokens;
    this.kvUsage[place] = engine.cache.used / engine.cache.blocksMax;
  }

  copy(): NodeSamples {
    const copy = new NodeSamples(this.isDown.length);
    copy.isDown.set(this.isDown);
    copy.active.set(this.active);
    copy.waiting.set(this.waiting);
    copy.queuedTokens.set(this.queuedTokens);
    copy.kvUsage.set(this.kvUsage);
    return copy;
  }
}
