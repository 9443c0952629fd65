/**
 * What one router knows of the targets of a model at a decision, a column a figure: what every strategy decides by,
 * whoever fills it in (a router from its table, a simulation from its nodes). Unknown figures are filled with guesses
 * before: a strategy sees numbers only.
 */

export class TargetView {
  readonly count: number;
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
  readonly secondsPerPrefillToken: Float64Array;
  readonly rttSeconds: Float64Array;
  /** 0: no request may be sent there. */
  readonly routable: Uint8Array;

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
    this.secondsPerPrefillToken = column();
    this.rttSeconds = column();
    this.routable = new Uint8Array(count).fill(1);
  }
}

/** Of a request, what decides. */
export interface Wanted {
  readonly promptTokens: number;
}

/** Chooses a target as the request comes. */
export interface Strategy {
  readonly name: string;
  /** Whether `matchedTokens` must be filled in. */
  readonly needsPrefixes: boolean;
  /** The target's number, or -1 where none is routable. */
  choose(view: TargetView, wanted: Wanted, nowMs: number): number;
  /** A first token came. */
  observe?(target: number, ttftMs: number, nowMs: number): void;
}
