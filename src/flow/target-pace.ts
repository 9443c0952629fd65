/**
 * How soon a target will have computed the prompts that it has: the window by which requests are held back and bound
 * late (`late-room.ts`). Nothing is asked of the target: it follows from what was sent there, and from first tokens.
 *
 * Runtimes compute prompts in the order in which they come, so the first token of one is the moment at which all before
 * it are done. Between two first tokens of a target that was at work all the time lies the time for the second prompt;
 * divided by its uncached tokens, that is what a token costs there now: steps of decoding in between, and all. The mean
 * of it weighs by tokens, since a short prompt's time is mostly other things, and is bounded to a factor of ten of what
 * the target is thought to be able to, so that one stall doesn't close it for long.
 *
 * Prompts of one step are answered together, and the network may change the order in which they come or are answered. So
 * what comes within two milliseconds is one lesson, learnt anew with each of them.
 *
 * That is how the target fares now, by its last few prompts; what it is thought to be able to is what it usually does, as
 * is learnt of it over many requests and without being led by single ones (score/learnt-rates.ts). After a while in which
 * nothing was learnt here, that counts alone.
 *
 * Answers that come whole have no first token to be seen. Such prompts are silent: they count as computed when their time
 * has passed, or when one that was sent behind them is; and the end of the answer teaches only that a token costs less
 * than was thought. What a target is said to be able to may be what little was asked of it so far, and nothing of a whole
 * answer would ever tell: so such prompts are not thought to take longer than on a usual GPU.
 *
 * A prompt may never get there whole: its client sends it slowly, or stopped. It is lost when one that was sent after it
 * is answered, and far more time has passed than all that it could have waited for takes: it keeps no other away any more.
 */
import { assert } from "../base/assert.ts";

/** Tokens after which what was learnt before weighs 1/e. */
const MEMORY_TOKENS = 20_000;
/** Prompts of fewer tokens teach nothing. */
const LESSON_TOKENS_MIN = 256;
/** First tokens that are closer together may be of one step: what lies between them tells of the network alone. */
const STEP_MS_MIN = 2;
/** What a token of a silent prompt is thought to take at most: an 8B model on a large GPU. */
const SILENT_MS_PER_TOKEN_MAX = 0.05;
/** How much longer than thought a prompt may take that others have overtaken: so many times as long, and as much more. */
const LOST_AFTER = 4;
const LOST_AFTER_MS = 1000;
/** How many times faster or slower than assumed a target may come to be thought. */
export const PACE_BOUND = 10;

/** After which the last few prompts say nothing of now. */
const LESSON_MS_MAX = 10_000;

/** A prompt that is on its way to a target or waits there. */
export interface Computing {
  readonly tokens: number;
  readonly sentMs: number;
  /** Nothing tells of its first token. */
  readonly isSilent?: boolean;
  /** That others had there, as far as was known, and that are computed before it; 0. */
  readonly othersTokens?: number;
}

export class TargetPace {
  /** When all that was sent will be computed, as far as is known. */
  busyUntilMs = 0;
  msPerToken: number;
  #assumedMsPerToken: number;
  #learntMs = -Infinity;
  readonly #computing: Computing[] = [];
  /** Of each of these, until when it was to be computed as it was sent. */
  readonly #dueMs: number[] = [];
  /** Such as were lost: what becomes of them says nothing any more. */
  readonly #lost = new WeakSet<Computing>();
  /** The last to be sent, of those that were answered. */
  #overtookMs = -Infinity;
  #tokens = 0;
  /** Of these, such as nothing tells of. */
  #silentTokens = 0;
  #lastFirstMs = 0;
  /** What the last first tokens teach, and what a token was thought to take before. */
  #lesson = { beganMs: 0, tokens: 0, msPerToken: 0 };

  constructor(msPerToken: number) {
    assert(msPerToken > 0, "a token takes time");
    this.msPerToken = msPerToken;
    this.#assumedMsPerToken = msPerToken;
  }

  /** This is thought of the target now: it counts while nothing is learnt here, and bounds that. */
  assume(msPerToken: number, nowMs: number): void {
    assert(msPerToken > 0, "a token takes time");
    this.#assumedMsPerToken = msPerToken;
    this.msPerToken = nowMs - this.#learntMs < LESSON_MS_MAX ? this.#bounded(this.msPerToken) : msPerToken;
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
    if (prompt.isSilent === true) this.#silentTokens += prompt.tokens;
    const workMs = prompt.tokens * (prompt.isSilent === true ? this.#silentMsPerToken : this.msPerToken);
    this.busyUntilMs = Math.max(this.busyUntilMs, prompt.sentMs) + workMs;
    this.#dueMs.push(this.busyUntilMs);
  }

  /** Its first token came. */
  answered(prompt: Computing, nowMs: number): void {
    this.#overtookMs = Math.max(this.#overtookMs, prompt.sentMs);
    if (this.#lost.has(prompt)) return;
    // What was computed before it and said nothing took its part of the time.
    const [first = prompt] = this.#computing;
    const sentMs = first.isSilent === true ? first.sentMs : prompt.sentMs;
    const tokens = this.#passBefore(prompt) + prompt.tokens + (prompt.othersTokens ?? 0);
    const isOfSameStep = nowMs - this.#lastFirstMs < STEP_MS_MIN && this.#lesson.tokens > 0;
    if (isOfSameStep) this.#lesson.tokens += tokens;
    else this.#lesson = { beganMs: Math.max(this.#lastFirstMs, sentMs), tokens, msPerToken: this.msPerToken };
    if (this.#left(prompt)) {
      if (isOfSameStep) this.msPerToken = this.#lesson.msPerToken;
      this.#learn(this.#lesson.tokens, nowMs - this.#lesson.beganMs, nowMs);
    }
    this.#lastFirstMs = nowMs;
    this.#reckon(nowMs);
  }

  /** The answer to a silent prompt came, all of it: the prompt's part took no longer than that. */
  ended(prompt: Computing, nowMs: number): void {
    if (!this.#computing.includes(prompt)) return;
    this.#overtookMs = Math.max(this.#overtookMs, prompt.sentMs);
    this.#passBefore(prompt);
    const tookMs = nowMs - Math.max(this.#lastFirstMs, prompt.sentMs);
    if (this.#left(prompt) && tookMs < prompt.tokens * this.msPerToken) this.#learn(prompt.tokens, tookMs, nowMs);
    this.#reckon(nowMs);
  }

  /** It failed, or its client went away, before that. */
  dropped(prompt: Computing, nowMs: number): void {
    if (this.#lost.has(prompt) || (prompt.isSilent === true && !this.#computing.includes(prompt))) return;
    this.#left(prompt);
    this.#reckon(nowMs);
  }

  /** Time passes: silent prompts whose turn is over are taken to be computed, and such as are lost are given up. */
  pass(nowMs: number): void {
    this.#giveUpLost(nowMs);
    for (let first = this.#computing[0]; first?.isSilent === true; first = this.#computing[0]) {
      const doneMs = Math.max(this.#lastFirstMs, first.sentMs) + first.tokens * this.#silentMsPerToken;
      if (doneMs > nowMs) return;
      this.#left(first);
      this.#lastFirstMs = doneMs;
    }
  }

  #giveUpLost(nowMs: number): void {
    for (let first = this.#computing[0]; first !== undefined && first.isSilent !== true; first = this.#computing[0]) {
      const thoughtMs = this.#dueMs[0]! - first.sentMs;
      if (first.sentMs >= this.#overtookMs || nowMs - first.sentMs < thoughtMs * LOST_AFTER + LOST_AFTER_MS) return;
      this.#left(first);
      this.#lost.add(first);
      this.#reckon(nowMs);
    }
  }

  /** Silent prompts that were sent before this one are computed; answers their tokens. */
  #passBefore(prompt: Computing): number {
    let tokens = 0;
    for (let first = this.#computing[0]; first?.isSilent === true && first !== prompt; first = this.#computing[0]) {
      this.#left(first);
      tokens += first.tokens;
    }
    return tokens;
  }

  /** True when it was the one whose turn it was. */
  #left(prompt: Computing): boolean {
    const at = this.#computing.indexOf(prompt);
    assert(at >= 0, "the prompt was not sent there, or was answered before");
    this.#computing.splice(at, 1);
    this.#dueMs.splice(at, 1);
    this.#tokens -= prompt.tokens;
    if (prompt.isSilent === true) this.#silentTokens -= prompt.tokens;
    return at === 0;
  }

  #learn(tokens: number, tookMs: number, nowMs: number): void {
    if (tokens < LESSON_TOKENS_MIN || !(tookMs > 0)) return;
    const weight = 1 - Math.exp(-tokens / MEMORY_TOKENS);
    this.msPerToken += (this.#bounded(tookMs / tokens) - this.msPerToken) * weight;
    this.#learntMs = nowMs;
  }

  get #silentMsPerToken(): number {
    return Math.min(this.msPerToken, SILENT_MS_PER_TOKEN_MAX);
  }

  #bounded(msPerToken: number): number {
    return Math.min(this.#assumedMsPerToken * PACE_BOUND, Math.max(this.#assumedMsPerToken / PACE_BOUND, msPerToken));
  }

  #reckon(nowMs: number): void {
    const seenTokens = this.#tokens - this.#silentTokens;
    this.busyUntilMs = nowMs + seenTokens * this.msPerToken + this.#silentTokens * this.#silentMsPerToken;
  }
}
