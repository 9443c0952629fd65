/**
 * What one worker knows of its models' and rows' fortunes, beside the score table: breakers, retry budgets, hedges and
 * waiting rooms (cores of flow/), made when they are first needed.
 *
 * A row without failures has no breaker, and costs a request nothing. A queue is served when a place in this worker is
 * given back, and every QUEUE_MS, since other workers give places back too. One timer looks after queues and hedges.
 *
 * Requests that are bound late wait here as well, by the same bounds and deadlines; which of them goes where is the
 * desk's to say (late-desk.ts).
 */
import { Heap } from "../base/heap.ts";
import type { HeapItem } from "../base/heap.ts";
import { Breaker } from "../flow/breaker.ts";
import type { Outcome } from "../flow/breaker.ts";
import type { Waiter } from "../flow/fair-order.ts";
import { Hedge } from "../flow/hedge.ts";
import { Outliers } from "../flow/outliers.ts";
import { Queue } from "../flow/queue.ts";
import { RetryBudget } from "../flow/retry-budget.ts";
import type { FlowConfig } from "../flow/settings.ts";
import type { ScoreTable } from "../score/table.ts";
import { nowMs, tick, unixMs } from "./clock.ts";
import type { LateLine } from "./late-line.ts";
import type { LateBound } from "./late-news.ts";

/** How often a queue is looked at while somebody waits. */
const QUEUE_MS = 10;

/** Whoever waits in a queue. */
export interface Waiting {
  /** Tries to bind it, and says that it is `taken`; false: it waits on. A place that is claimed is used, or given back. */
  tryAgain(flow: ModelFlow, place: LateBound | null): boolean;
  /** Whether access rules let it wait on; if not, it is refused. */
  mayStill(flow: ModelFlow): boolean;
  /** Its wait is over in vain, or it was pushed out. */
  waitOver(retryAfterSeconds: number, isPushedOut: boolean): void;
}

/** Whoever may be sent a second time at a moment; `heapKey` says when. */
export interface Hedged extends HeapItem {
  hedgeDue(): void;
}

export class ModelFlow {
  readonly model: number;
  readonly queue: Queue<Waiting>;
  readonly retry: RetryBudget;
  readonly hedge: Hedge;
  readonly outliers: Outliers;
  /** Somebody asked for hedging: first tokens are worth observing. */
  isHedging = false;

  constructor(model: number, config: FlowConfig, now: number) {
    this.model = model;
    this.queue = new Queue(config.queue);
    this.retry = new RetryBudget(config.retry, now);
    this.hedge = new Hedge(config.hedge, now);
    this.outliers = new Outliers(config.outlier);
  }
}

interface RowBreaker {
  readonly generation: number;
  readonly breaker: Breaker;
}

/** Rows of a model, as the routes know them. */
type RowsOf = (model: number) => readonly number[];

/** What is counted of it; a worker's counters do so for the metrics. */
export interface FlowCounts {
  waiting(delta: number): void;
  turnedAway(why: "refused" | "pushedOut" | "expired"): void;
  breakerOpened(): void;
}

export class Dispatch {
  readonly #config: FlowConfig;
  readonly #table: ScoreTable;
  readonly #rowsOf: RowsOf;
  /** Called with the moment at which the timer is due, so that a transport wakes for it. */
  readonly #wakeAt: (atMs: number) => void;
  readonly #counts: FlowCounts;
  /** To the desk that binds late; null: there is none. */
  readonly #late: LateLine<ModelFlow> | null;
  #flows: (ModelFlow | undefined)[] = [];
  /** By row; only of those that failed. */
  readonly #breakers = new Map<number, RowBreaker>();
  readonly #hedged = new Heap<Hedged>();
  #timer: ReturnType<typeof setTimeout> | undefined;
  #timerAtMs = Infinity;
  #waiting = 0;
  #isServing = false;

  constructor(
    config: FlowConfig,
    table: ScoreTable,
    rowsOf: RowsOf,
    wakeAt: (atMs: number) => void,
    counts: FlowCounts,
    late: LateLine<ModelFlow> | null = null,
  ) {
    this.#config = config;
    this.#late = late;
    this.#counts = counts;
    this.#table = table;
    this.#rowsOf = rowsOf;
    this.#wakeAt = wakeAt;
  }

  /** Requests that wait for a place. */
  get waiting(): number {
    return this.#waiting;
  }

  flow(model: number): ModelFlow {
    return (this.#flows[model] ??= new ModelFlow(model, this.#config, nowMs()));
  }

  /** Whether the model's number still means what it did when this was made. */
  knows(flow: ModelFlow): boolean {
    return this.#flows[flow.model] === flow;
  }

  /** The model's number may mean another from now on; whoever still waits for the old one is refused. */
  forget(model: number): void {
    const flow = this.#flows[model];
    this.#flows[model] = undefined;
    if (flow === undefined) return;
    for (let waiter = flow.queue.next(); waiter !== null; waiter = flow.queue.next()) {
      this.#leave(flow, waiter);
      waiter.owner.waitOver(1, false);
    }
  }

  // ---- breakers

  /** Whether the row may be sent to now, as far as this worker's own breaker goes. */
  allows(row: number): boolean {
    if (this.#breakers.size === 0) return true;
    return this.#breakerOf(row)?.allow(nowMs()) ?? true;
  }

  /** How a request ended that was sent to the row at `sentMs`. */
  observe(model: number, row: number, outcome: Outcome, sentMs: number): void {
    let breaker = this.#breakers.size === 0 ? undefined : this.#breakerOf(row);
    if (breaker === undefined) {
      if (outcome !== "failure") return;
      breaker = new Breaker(this.#config.breaker);
      this.#breakers.set(row, { generation: this.#table.generation(row), breaker });
    }
    const change = breaker.observe(outcome, sentMs, nowMs());
    if (change === "closed") this.flow(model).outliers.forget(row);
    else if (change === "opened") this.#opened(model, row, breaker);
  }

  #breakerOf(row: number): Breaker | undefined {
    const entry = this.#breakers.get(row);
    if (entry === undefined) return undefined;
    if (entry.generation === this.#table.generation(row)) return entry.breaker;
    // The row leads to another target now.
    this.#breakers.delete(row);
    return undefined;
  }

  #opened(model: number, row: number, breaker: Breaker): void {
    const table = this.#table;
    const now = nowMs();
    const decisecond = table.nowDeciseconds(unixMs());
    const rows = this.#rowsOf(model);
    this.#counts.breakerOpened();
    const ejected = rows.filter((other) => other !== row && table.isEjected(other, decisecond)).length;
    switch (this.flow(model).outliers.judge(row, breaker.openUntilMs, rows.length, ejected, now)) {
      case "eject":
        table.eject(row, table.nowDeciseconds(unixMs() + breaker.openUntilMs - now));
        break;
      case "spare":
        breaker.pardon(now);
        break;
      default:
        for (const each of rows) {
          table.clearEject(each);
          this.#breakerOf(each)?.pardon(now);
        }
    }
  }

  // ---- the waiting rooms

  /** Lets the waiter wait, for the desk if `isLate`; or answers after how many seconds its client may come again. */
  wait(flow: ModelFlow, waiter: Waiter<Waiting>, isLate = false): number {
    const { refusal, retryAfterSeconds, pushedOut } = flow.queue.offer(waiter, nowMs());
    if (refusal === null) {
      this.#count(1);
      if (isLate) this.#late?.ask(flow, waiter);
      this.#schedule(nowMs() + QUEUE_MS);
    }
    if (pushedOut.length > 0) {
      // The answer to an offer is overwritten by the next one, which whoever is told may make.
      for (const out of pushedOut.slice()) {
        this.#late?.left(out);
        this.#count(-1);
        this.#counts.turnedAway("pushedOut");
        out.owner.waitOver(retryAfterSeconds, true);
      }
    }
    if (refusal === null) return 0;
    this.#counts.turnedAway("refused");
    return retryAfterSeconds;
  }

  /** The waiter's client went away. */
  leave(flow: ModelFlow, waiter: Waiter<Waiting>): void {
    if (waiter.waiting) this.#leave(flow, waiter);
  }

  #leave(flow: ModelFlow, waiter: Waiter<Waiting>): void {
    flow.queue.remove(waiter, nowMs());
    this.#late?.left(waiter);
    this.#count(-1);
  }

  /** A place at a target of the model has become free. */
  freed(model: number): void {
    this.#late?.freed(model);
    if (this.#waiting === 0) return;
    const flow = this.#flows[model];
    if (flow !== undefined) this.#serve(flow);
  }

  /** A waiter has been given to a target: it calls this before anything is sent. */
  taken(flow: ModelFlow, waiter: Waiter<Waiting>): void {
    flow.queue.take(waiter, nowMs());
    this.#late?.left(waiter);
    this.#count(-1);
  }

  #count(delta: 1 | -1): void {
    this.#waiting += delta;
    this.#counts.waiting(delta);
  }

  #serve(flow: ModelFlow): void {
    // What is bound may fail at once, and give its place back within this very loop.
    if (this.#isServing) return;
    this.#isServing = true;
    const now = nowMs();
    this.#late?.listen(now);
    for (let late = flow.queue.expire(now); late !== null; late = flow.queue.expire(now)) {
      this.#late?.left(late);
      this.#count(-1);
      this.#counts.turnedAway("expired");
      late.owner.waitOver(flow.queue.retryAfterSeconds(late, now), false);
    }
    for (let next = flow.queue.next(); next !== null; next = flow.queue.next()) {
      const isDesks = next.lateId !== 0 && this.#late?.isSilent !== true;
      if (isDesks || !next.owner.tryAgain(flow, null)) break;
    }
    this.#isServing = false;
  }

  // ---- hedges

  hedgeAt(hedged: Hedged, atMs: number): void {
    hedged.heapKey = atMs;
    this.#hedged.push(hedged);
    this.#schedule(atMs);
  }

  unhedge(hedged: Hedged): void {
    if (hedged.heapIndex >= 0) this.#hedged.remove(hedged);
  }

  // ---- the timer

  #schedule(atMs: number): void {
    if (atMs >= this.#timerAtMs) return;
    clearTimeout(this.#timer);
    this.#timerAtMs = atMs;
    this.#wakeAt(atMs);
    this.#timer = setTimeout(this.#wake, Math.max(0, atMs - performance.now()));
  }

  readonly #wake = (): void => {
    const now = tick();
    this.#timerAtMs = Infinity;
    this.#timer = undefined;
    for (let due = this.#hedged.peek(); due !== undefined && due.heapKey <= now; due = this.#hedged.peek()) {
      this.#hedged.pop();
      due.hedgeDue();
    }
    if (this.#waiting > 0) {
      for (const flow of this.#flows) if (flow !== undefined && flow.queue.requests > 0) this.#serve(flow);
    }
    const next = this.#hedged.peek();
    if (next !== undefined) this.#schedule(next.heapKey);
    if (this.#waiting > 0) this.#schedule(now + QUEUE_MS);
    if (this.#timerAtMs === Infinity) this.#wakeAt(Infinity);
  };
}
