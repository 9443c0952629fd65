/**
 * What one router knows of the targets of a model at a decision, a column a figure: what every strategy decides by,
 * whoever fills it in (a router from its table by row-view.ts, a simulation from its nodes). Unknown figures are filled
 * with guesses before: a strategy sees numbers only.
 */

export class TargetView {
  /** How many there are; at most what there is room for. */
  count: number;
  /** Requests that are there: this router's own, and what is known of others'. */
  readonly active: Float64Array;
  /** Of these, such as wait for a place in the batch, as the newest sample tells. */
  readonly waiting: Float64Array;
  /** Prompt tokens sent there that are not computed yet, less what the cache had of them. */
  readonly queuedTokens: Float64Array;
  /** Tokens of context of all requests that are there. */
  readonly contextTokens: Float64Array;
  readonly kvUsage: Float64Array;
  /** Tokens of this request's prompt that the target's cache holds. */
  readonly matchedTokens: Float64Array;
  /** Blocks that it is known to hold. */
  readonly cachedBlocks: Float64Array;
  /** Between two tokens of each answer, as the newest sample tells; 0: not known. */
  readonly stepSeconds: Float64Array;
  /** Requests that ran then. */
  readonly running: Float64Array;
  /** Relative capacity, 1 is usual. Draws and turns go by it, and loads count for it. */
  readonly weight: Float64Array;
  /** By the hour, in whatever money; 0: nobody has said. */
  readonly pricePerHour: Float64Array;

  // What time to a first token is made of: cost.ts tells where each comes from. Weights are in them.
  readonly secondsPerPrefillToken: Float64Array;
  readonly secondsPerActive: Float64Array;
  readonly slots: Float64Array;
  readonly secondsPerQueuedRequest: Float64Array;
  readonly kvOffset: Float64Array;
  readonly kvPerToken: Float64Array;
  /** The way to it, doubt about it, loading the model. */
  readonly penaltySeconds: Float64Array;
  /** 0: no request may be sent there. */
  readonly routable: Uint8Array;
  /** Scratch of the strategy that is asked: what it takes each for, and which of them it means. */
  readonly costs: Float64Array;
  readonly marks: Uint8Array;

  constructor(count: number) {
    const column = (): Float64Array => new Float64Array(count);
    this.count = count;
    this.active = column();
    this.waiting = column();
    this.queuedTokens = column();
    this.contextTokens = column();
    this.kvUsage = column();
    this.matchedTokens = column();
    this.cachedBlocks = column();
    this.stepSeconds = column();
    this.running = column();
    this.weight = column().fill(1);
    this.pricePerHour = column();
    this.secondsPerPrefillToken = column();
    this.secondsPerActive = column();
    this.slots = column().fill(Infinity);
    this.secondsPerQueuedRequest = column();
    this.kvOffset = column();
    this.kvPerToken = column();
    this.penaltySeconds = column();
    this.routable = new Uint8Array(count).fill(1);
    this.costs = column();
    this.marks = new Uint8Array(count);
  }
}

/** Of a request, what decides. */
export interface Wanted {
  readonly promptTokens: number;
  /** How many times dearer its own tokens get where a second of work waits, less one; MISS_WEIGHT where it is not said. */
  readonly missWeight?: number;
  /** 0 is the first of four; 1 where it is not said. */
  readonly priority?: number;
  /** Until its first token is wanted; Infinity where nobody says. */
  readonly leftMs?: number;
  /** Longest time between two tokens that is wanted; Infinity where nobody says. */
  readonly gapMs?: number;
}

/** Chooses a target as the request comes. */
export interface Strategy {
  readonly name: string;
  /** Whether `matchedTokens` and `cachedBlocks` must be filled in. */
  readonly needsPrefixes: boolean;
  /** Whether what time to a first token is made of must be, beside the rate of prefill. */
  readonly needsFigures: boolean;
  /** Whether `contextTokens` must be counted. */
  readonly needsContexts?: boolean;
  /** Whether a request whose first token is late goes out a second time (flow/hedge.ts). */
  readonly isHedging?: boolean;
  /** The target's number, or -1 where none is routable. */
  choose(view: TargetView, wanted: Wanted, nowMs: number): number;
  /** A first token came. */
  observe?(target: number, ttftMs: number, nowMs: number): void;
  /** The number means another target from now on. */
  forget?(target: number): void;
}
