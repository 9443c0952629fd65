/**
 * A row of the score table as the late desk sees it: whether it can take one more request, and when it will have computed
 * what it was given.
 *
 * Of what this router has there the desk knows the prompts that it bound itself; their first tokens come by message
 * (flow/target-pace.ts). The rest (requests that workers bound at once, retries, hedges) shows in the table alone, as
 * tokens in flight: more of them take so much longer, fewer take no longer than what is left. What others have there,
 * and what else makes the target slow, is a time that is added, by the row's own figures. Of others' prompts it knows those
 * that it bound for them (flow/lent-load.ts).
 */
import type { Pace } from "../flow/late-room.ts";
import type { LateConfig } from "../flow/late-settings.ts";
import { LentLoad } from "../flow/lent-load.ts";
import { type Computing, TargetPace } from "../flow/target-pace.ts";
import { COLUMN, rowWord } from "../score/layout.ts";
import { isKvFull, isPaced } from "../score/row-marks.ts";
import { RowSides } from "../score/row-sides.ts";
import type { ScoreTable } from "../score/table.ts";

/** Between a prompt's tokens and the time for them something must lie, whatever a row says. */
const MS_PER_TOKEN_MIN = 1e-6;
/** How long a row is passed over that a worker had no way to: as long as waiting requests are tried again after. */
const UNREACHED_MS = 10;
/** So many that reached it in a row, and it is as open as any. */
const REACHED_MAX = 64;
/** Others tell what they have each `flightIntervalMs` (signal/settings.ts), which is 200 ms and hardly ever more. */
const TOLD_MS = 300;

export class LateRow implements Pace {
  readonly row: number;
  readonly generation: number;
  /** One more may go there: it is routable, has room in its batch, and is not ejected. */
  hasRoom = false;
  isEjected = false;
  /** Requests there, of all routers. */
  active = 0;
  /** Tokens of others, and since when they are known to be there. */
  othersTokens = 0;
  othersMs = 0;
  delayMs = 0;
  busyUntilMs = 0;
  readonly #config: LateConfig;
  readonly #table: ScoreTable;
  readonly #sides: RowSides;
  readonly #pace: TargetPace;
  readonly #lent = new LentLoad(TOLD_MS);
  /** Of the prompts that the desk bound, and whose claims are still in the table. */
  #boundTokens = 0;
  #foreignTokens = 0;
  #otherTokens = 0;
  #otherUntilMs = 0;
  /** Until then it is passed over: a worker could not reach it. */
  #closedUntilMs = 0;
  /**
   * How many may be bound in UNREACHED_MS, and have been: one after a worker had no way there, and twice as many with
   * each that has. Were it all that wait, all would come back at once, time and again, and their order be lost.
   */
  #allowance = Infinity;
  #tried = 0;

  /** `config` may change in place. */
  constructor(config: LateConfig, table: ScoreTable, row: number) {
    this.#config = config;
    this.#table = table;
    this.#sides = new RowSides(table);
    this.row = row;
    this.generation = table.generation(row);
    this.#pace = new TargetPace(this.#assumedMs());
  }

  get msPerToken(): number {
    return this.#pace.msPerToken;
  }

  /** Reads the table anew. */
  look(nowMs: number, nowDeciseconds: number): void {
    const table = this.#table;
    const pace = this.#pace;
    pace.assume(this.#assumedMs(), nowMs);
    pace.pass(nowMs);
    const inFlight = table.inFlight(this.row);
    this.active = Math.max(0, this.#int(COLUMN.activeRequests)) + this.#lent.untold(nowMs);
    this.isEjected = table.isEjected(this.row, nowDeciseconds);
    const isKnown = this.#config.untold || isPaced(table, this.row);
    // Others may keep it full all the time: one of ours goes there all the same.
    const isOurs = inFlight > 0 || this.#lent.prompts > 0;
    const isFull = isKnown && isOurs && (this.active >= this.#float(COLUMN.slots) || isKvFull(table, this.row));
    this.hasRoom = this.#float(COLUMN.capacity) > this.active && !isFull && this.#closedUntilMs <= nowMs;
    this.#lookAtOthers(nowMs);
    const ownMs = Math.max(0, pace.busyUntilMs - nowMs) + Math.max(0, this.#otherUntilMs - nowMs);
    this.busyUntilMs = nowMs + ownMs;
    this.#lookAtForeign(nowMs, isKnown);
    if (isKnown) return;
    // It is open whatever it has, which only makes it dearer: others that are about to be free may be sooner.
    this.delayMs += ownMs + this.othersTokens * pace.msPerToken;
    this.busyUntilMs = nowMs;
    this.othersTokens = 0;
  }

  /** What others have there closes it for us while we have a prompt there too, and never else: each gets a part of it. */
  #lookAtForeign(nowMs: number, isKnown: boolean): void {
    const tokens = this.#lent.unknown(Math.max(0, this.#int(COLUMN.tokenOffset)), nowMs);
    if (tokens !== this.#foreignTokens) this.othersMs = nowMs;
    this.#foreignTokens = tokens;
    const isOurs = this.#table.inFlightTokens(this.row) > 0 || this.#lent.prompts > 0;
    this.othersTokens = isOurs ? tokens : 0;
    this.delayMs = (isOurs ? 0 : tokens * this.#pace.msPerToken) + this.#penaltyMs(isKnown);
  }

  /**
   * A row whose first tokens are told gets no more than it computes, however new it is: a slow start already. Were it
   * dearer as well, it would stay idle while others have more than they can do. Nor does it matter whose share it is in:
   * one desk decides for all.
   */
  #penaltyMs(isKnown: boolean): number {
    const atOnceSeconds = isKnown ? this.#sides.atOnceSeconds(this.row) : 0;
    return Math.max(0, this.#float(COLUMN.penaltySeconds) - atOnceSeconds) * 1000;
  }

  /** Tokens in flight that the desk knows nothing of. */
  #lookAtOthers(nowMs: number): void {
    const tokens = Math.max(0, this.#table.inFlightTokens(this.row) - this.#boundTokens);
    const leftMs = tokens * this.#pace.msPerToken;
    if (tokens > this.#otherTokens) {
      const moreMs = (tokens - this.#otherTokens) * this.#pace.msPerToken;
      this.#otherUntilMs = Math.max(this.#otherUntilMs, nowMs) + moreMs;
    } else if (tokens < this.#otherTokens) {
      this.#otherUntilMs = Math.min(this.#otherUntilMs, nowMs + leftMs);
    }
    this.#otherTokens = tokens;
  }

  /** A prompt was bound here: claimed, or `isLent` to another router. */
  bound(prompt: Computing, isLent = false): void {
    if (isLent) this.#lent.bound(prompt.tokens, prompt.sentMs);
    else this.#boundTokens += prompt.tokens;
    this.#pace.sent(prompt);
    this.#tried += 1;
    if (this.#tried >= this.#allowance) this.#close(prompt.sentMs);
  }

  /** A worker has no way there. */
  unreached(nowMs: number): void {
    this.#allowance = 1;
    this.#close(nowMs);
  }

  #close(nowMs: number): void {
    this.#closedUntilMs = nowMs + UNREACHED_MS;
    this.#tried = 0;
  }

  /** Its first token came, or all of its answer where that is silent. */
  answered(prompt: Computing, nowMs: number, isLent = false): void {
    this.#ended(prompt, nowMs, isLent);
    this.#allowance = this.#allowance < REACHED_MAX ? this.#allowance * 2 : Infinity;
    if (prompt.isSilent === true) this.#pace.ended(prompt, nowMs);
    else this.#pace.answered(prompt, nowMs);
  }

  /** It ended before that. */
  dropped(prompt: Computing, nowMs: number, isLent = false): void {
    this.#ended(prompt, nowMs, isLent);
    this.#pace.dropped(prompt, nowMs);
  }

  #ended({ tokens }: Computing, nowMs: number, isLent: boolean): void {
    if (isLent) this.#lent.done(tokens, nowMs);
    else this.#boundTokens -= tokens;
  }

  #assumedMs(): number {
    return Math.max(MS_PER_TOKEN_MIN, this.#float(COLUMN.secondsPerPrefillToken) * 1000);
  }

  #float(column: number): number {
    return this.#table.floats[this.#table.blocksWord + rowWord(this.row) + column] ?? 0;
  }

  #int(column: number): number {
    return Atomics.load(this.#table.words, this.#table.blocksWord + rowWord(this.row) + column);
  }
}
