/**
 * How soon a target will have computed the prompts that it has: the window by which requests are held back and bound
 * late (`late-room.ts`). Nothing is asked of the target: it follows from what was sent there, and from first tokens.
 *
 * Runtimes compute prompts in the order in which they come, so the first token of one is the moment at which all before
 * it are done. Between two first tokens of a target that was at work all the time lies the time for the second prompt;
 * divided by its uncached tokens, that is what a token costs there now: steps of decoding in between, and all. The mean
 * of it weighs by tokens, since a short prompt's time is mostly other things, and is bounded to a factor of ten of what
 * the target is thought to be able to, so that one stall doesn't close it for long.
 */
import { assert } from "../base/assert.ts";

/** Tokens after which what was learnt before weighs 1/e. */
const MEMORY_TOKENS = 20_000;
/** Prompts of fewer tokens teach nothing. */
const LESSON_TOKENS_MIN = 256;
const BOUND = 10;

/** A prompt that is on its way to a target or waits there. */
export interface Computing {
  readonly tokens: number;
  readonly sentMs: number;
  /** That others had there, as far as was known, and that are computed before it; 0. */
  readonly othersTokens?: number;
}

export class TargetPace {
  /** When all that was sent will be computed, as far as is known. */
  busyUntilMs = 0;
  msPerToken: number;
  readonly #assumedMsPerToken: number;
  readonly #computing: Computing[] = [];
  #tokens = 0;
  #lastFirstMs = 0;

  constructor(msPerToken: number) {
    assert(msPerToken > 0, "a token takes time");
    this.msPerToken = msPerToken;
    this.#assumedMsPerToken = msPerToken;
  }

  /** Prompts without a first token. */
  get count(): number {
    return this.#computing.length;
  }

  /** Their tokens. */
  get tokens(): number {
    return this.#tokens;
  }

  sent(prompt: Computing): void {
    this.#computing.push(prompt);
    this.#tokens += prompt.tokens;
    this.busyUntilMs = Math.max(this.busyUntilMs, prompt.sentMs) + prompt.tokens * this.msPerToken;
  }

  /** Its first token came. */
  answered(prompt: Computing, nowMs: number): void {
    const beganMs = Math.max(this.#lastFirstMs, prompt.sentMs);
    if (this.#left(prompt)) this.#learn(prompt.tokens + (prompt.othersTokens ?? 0), nowMs - beganMs);
    this.#lastFirstMs = nowMs;
    this.#reckon(nowMs);
  }

  /** It failed, or its client went away, before that. */
  dropped(prompt: Computing, nowMs: number): void {
    this.#left(prompt);
    this.#reckon(nowMs);
  }

  /** True when it was the one whose turn it was. */
  #left(prompt: Computing): boolean {
    const at = this.#computing.indexOf(prompt);
    assert(at >= 0, "the prompt was not sent there, or was answered before");
    this.#computing.splice(at, 1);
    this.#tokens -= prompt.tokens;
    return at === 0;
  }

  #learn(tokens: number, tookMs: number): void {
    if (tokens < LESSON_TOKENS_MIN || !(tookMs > 0)) return;
    const weight = 1 - Math.exp(-tokens / MEMORY_TOKENS);
    const told = Math.min(this.#assumedMsPerToken * BOUND, Math.max(this.#assumedMsPerToken / BOUND, tookMs / tokens));
    this.msPerToken += (told - this.msPerToken) * weight;
  }

  #reckon(nowMs: number): void {
    this.busyUntilMs = nowMs + this.#tokens * this.msPerToken;
  }
}
