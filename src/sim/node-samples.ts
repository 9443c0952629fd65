/**
 * What samples tell of the nodes, a column a figure. Kept up to date as nodes change, so that a sample of all of them is a
 * copy, however many there are.
 */
import type { SimNode } from "./sim-node.ts";

export class NodeSamples {
  readonly isDown: Uint8Array;
  readonly running: Float64Array;
  readonly waiting: Float64Array;
  readonly queuedTokens: Float64Array;
  readonly kvUsage: Float64Array;
  /** Tokens a second of the whole batch, as measured; NaN before any. */
  readonly decodeRate: Float64Array;

  constructor(count: number) {
    this.isDown = new Uint8Array(count);
    this.running = new Float64Array(count);
    this.waiting = new Float64Array(count);
    this.queuedTokens = new Float64Array(count);
    this.kvUsage = new Float64Array(count);
    this.decodeRate = new Float64Array(count).fill(NaN);
  }

  note({ place, engine, isDown }: SimNode): void {
    this.isDown[place] = isDown ? 1 : 0;
    this.running[place] = engine.running;
    this.waiting[place] = engine.waiting;
    this.queuedTokens[place] = engine.queuedPrefillTokens;
    this.kvUsage[place] = engine.cache.used / engine.cache.blocksMax;
    this.decodeRate[place] = engine.decodeTokensPerSecond ?? NaN;
  }

  /** Takes over what others tell, of as many. */
  set(from: NodeSamples): this {
    this.isDown.set(from.isDown);
    this.running.set(from.running);
    this.waiting.set(from.waiting);
    this.queuedTokens.set(from.queuedTokens);
    this.kvUsage.set(from.kvUsage);
    this.decodeRate.set(from.decodeRate);
    return this;
  }
}
