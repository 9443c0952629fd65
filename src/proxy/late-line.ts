/**
 * A worker's line to the late desk (late-desk.ts): says whether a request may be bound at once, tells the desk of those
 * that wait, and takes what it answers.
 *
 * Bound at once, without a message, is what meets an open target while nobody waits for its model: that costs a few loads
 * from shared memory. What is told goes out once a turn of the loop, of all requests together.
 *
 * The desk shows that it is at work by a count in shared memory. When that stands still for `silenceMs` while somebody
 * waits, the worker binds by itself, in its queue's order: to the row that the scorer picks, if that is open. The desk is
 * told of it as of any request that left; what it may still claim for one is given back.
 */
import type { Waiter } from "../flow/fair-order.ts";
import type { LateConfig } from "../flow/late-settings.ts";
import type { Transport } from "../net/stream.ts";
import { COLUMN, rowWord } from "../score/layout.ts";
import type { ScoreTable } from "../score/table.ts";
import type { LateAsk, LateBound, LateNews } from "./late-news.ts";
import { isOpen } from "./late-state.ts";
import { nowMs } from "./clock.ts";

/** Whose request it is; `F` is what is known of its model. */
export interface LateOwner<F> {
  /** Goes to the place that was claimed for it, or gives it back; false: it waits on. */
  tryAgain(flow: F, place: LateBound): boolean;
  /** Whether it may still wait; if not, it does no more. */
  mayStill(flow: F): boolean;
}

interface Asked<F> {
  readonly flow: F;
  readonly waiter: Waiter<LateOwner<F>>;
  readonly before: number;
}

/** What is counted of it; a worker's counters do so for the metrics. */
export interface LateCounts {
  lateBound(waitedMs: number): void;
  lateMessage(): void;
}

export class LateLine<F extends { readonly model: number }> {
  readonly #config: LateConfig;
  readonly #table: ScoreTable;
  readonly #index: number;
  /** How many wait at the desk, by model, of all workers; and last a count that goes on as long as it is at work. */
  readonly #waiting: Int32Array;
  readonly #transport: Pick<Transport, "later">;
  readonly #send: (news: LateNews) => void;
  readonly #counts: LateCounts;
  readonly #asked = new Map<number, Asked<F>>();
  /** Of these, such as the desk has not been told of. */
  readonly #asks = new Map<number, Asked<F>>();
  #answered: { id: number; agoMs: number }[] = [];
  #over: number[] = [];
  #unreached: number[] = [];
  readonly #freed = new Set<number>();
  #lastId = 0;
  #isDue = false;
  #beat = 0;
  /** When that had changed last, or the first of those that wait was told of. */
  #heardMs = 0;
  #isSilent = false;

  /** `config` may change in place. */
  constructor(
    config: LateConfig,
    table: ScoreTable,
    index: number,
    waiting: SharedArrayBuffer,
    transport: Pick<Transport, "later">,
    counts: LateCounts,
    send: (news: LateNews) => void,
  ) {
    this.#config = config;
    this.#counts = counts;
    this.#table = table;
    this.#index = index;
    this.#waiting = new Int32Array(waiting);
    this.#transport = transport;
    this.#send = send;
  }

  /** Whether models are bound late that no policy says otherwise of. */
  get isDefault(): boolean {
    return this.#config.enabled;
  }

  isCrowded(model: number): boolean {
    return this.#waiting[model]! > 0;
  }

  isOpen(row: number): boolean {
    return isOpen(this.#config, this.#table, row);
  }

  /** The desk gives no sign: the thread that it is in is held up by something. Whoever waits is bound here. */
  get isSilent(): boolean {
    return this.#isSilent && this.#beat === this.#beatNow();
  }

  /** Looks for a sign of the desk; call it now and then while somebody waits. */
  listen(now: number): void {
    const beat = this.#beatNow();
    if (beat !== this.#beat) {
      this.#beat = beat;
      this.#heardMs = now;
      this.#isSilent = false;
    } else if (this.#asked.size > 0 && now - this.#heardMs > this.#config.silenceMs) {
      this.#isSilent = true;
    }
  }

  #beatNow(): number {
    return this.#waiting[this.#waiting.length - 1]!;
  }

  // ---- what the desk is told

  /** The request waits; again, if it was told of as `before` and bound in vain. */
  ask(flow: F, waiter: Waiter<LateOwner<F>>, before = 0): void {
    const id = ++this.#lastId;
    waiter.lateId = id;
    if (this.#asked.size === 0) this.#heardMs = nowMs();
    const asked = { flow, waiter, before };
    this.#asked.set(id, asked);
    this.#asks.set(id, asked);
    this.#due();
  }

  /** It waits no more, and was not bound. */
  left(waiter: Waiter<LateOwner<F>>): void {
    const id = waiter.lateId;
    if (id === 0) return;
    waiter.lateId = 0;
    this.#asked.delete(id);
    if (this.#asks.delete(id)) return;
    this.over(id);
  }

  /** A bound one's first token came, or all of its answer. */
  answered(id: number): void {
    this.#answered.push({ id, agoMs: nowMs() });
    this.#due();
  }

  /** It ended without. */
  over(id: number): void {
    this.#over.push(id);
    this.#due();
  }

  /** There is no way to where it was bound; its claim is given back. */
  unreached(id: number): void {
    this.#unreached.push(id);
    this.#due();
  }

  /** A place at a target of the model was given back. */
  freed(model: number): void {
    if (!this.isCrowded(model)) return;
    this.#freed.add(model);
    this.#due();
  }

  #due(): void {
    if (this.#isDue) return;
    this.#isDue = true;
    this.#transport.later(this.#flush);
  }

  readonly #flush = (): void => {
    this.#isDue = false;
    const now = performance.now();
    const answered = this.#answered.map(({ id, agoMs }) => ({ id, agoMs: Math.max(0, now - agoMs) }));
    const asks = [...this.#asks].map(([id, asked]) => askOf(id, asked, now));
    const news = {
      asks,
      answered,
      over: this.#over,
      unreached: this.#unreached,
      freed: [...this.#freed],
    };
    this.#asks.clear();
    this.#answered = [];
    this.#over = [];
    this.#unreached = [];
    this.#freed.clear();
    this.#counts.lateMessage();
    this.#send(news);
  };

  /** Prompt tokens that these rows are thought to compute in a second, together. */
  tokensPerSecond(rows: readonly number[]): number {
    const { floats, blocksWord } = this.#table;
    let sum = 0;
    for (const row of rows) {
      const word = blocksWord + rowWord(row);
      const seconds = floats[word + COLUMN.secondsPerPrefillToken] ?? 0;
      if (seconds > 0 && (floats[word + COLUMN.capacity] ?? 0) > 0) sum += 1 / seconds;
    }
    return sum;
  }

  // ---- what it answers

  /** Gives these requests to the rows that were claimed for them. */
  bound(all: readonly LateBound[]): void {
    for (const place of all) {
      const { id, row, tokens } = place;
      const asked = this.#asked.get(id);
      this.#asked.delete(id);
      if (asked === undefined) {
        // It went away meanwhile, as the desk has been told, or is about to be.
        this.giveBack(row, tokens);
        continue;
      }
      const { flow, waiter } = asked;
      const { cameMs } = waiter;
      waiter.lateId = 0;
      if (waiter.owner.tryAgain(flow, place)) this.#counts.lateBound(nowMs() - cameMs);
      else this.ask(flow, waiter, id);
    }
  }

  /** Access rules have changed: who may not wait any more leaves. */
  review(): void {
    for (const { flow, waiter } of this.#asked.values()) if (waiter.lateId !== 0) waiter.owner.mayStill(flow);
  }

  /** The request is not to go anywhere any more. */
  refuse({ id, row, tokens }: LateBound): void {
    this.giveBack(row, tokens);
    this.over(id);
  }

  /** A claim that the desk made and nobody uses. */
  giveBack(row: number, tokens: number): void {
    this.#table.endPrefill(this.#index, row, tokens);
    this.#table.end(this.#index, row);
  }
}

function askOf<F extends { readonly model: number }>(
  id: number,
  { flow, waiter, before }: Asked<F>,
  now: number,
): LateAsk {
  const { tokens, priority, tenant, weight, isSilent, prefix, session, cameMs, wantedMs } = waiter;
  const { model } = flow;
  const [ageMs, wantedInMs] = [Math.max(0, now - cameMs), wantedMs - now];
  return { id, before, model, tokens, priority, ageMs, wantedInMs, tenant, weight, isSilent, prefix, session };
}
