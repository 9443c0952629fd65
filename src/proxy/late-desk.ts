/**
 * The desk at which requests wait that are bound late, in the router's main thread: one room for each model, over the
 * workers of the router, so that there is one order among all that wait (flow/late-room.ts says which).
 *
 * A worker keeps its clients' connections and tells only figures; the desk answers with a row, where it has claimed the
 * place in the worker's name: nobody can take it meanwhile, and who doesn't want it any more gives it back as any other
 * claim. How many wait for a model stands in shared memory: while somebody does, workers bind nothing by themselves.
 *
 * It is looked at when something is told, at the moment at which a target opens, and every TICK_MS while somebody waits:
 * places that are given back silently, samples and ejections show in the table only.
 *
 * What it holds is bounded by what workers hold: each lets so many wait (flow/queue.ts), and so many are in flight.
 */
import { assert } from "../base/assert.ts";
import type { LateConfig } from "../flow/late-settings.ts";
import type { LateFigures } from "../obs/late-metrics.ts";
import type { ScoreTable } from "../score/table.ts";
import { Held, type LookUp, ModelRoom } from "./late-model.ts";
import type { LateAsk, LateBound, LateNews } from "./late-news.ts";
import type { LateRow } from "./late-row.ts";

const TICK_MS = 10;

export class LateDesk {
  readonly #config: LateConfig;
  readonly #table: ScoreTable;
  /** How many wait, by model; and last a count that goes on as long as the desk is at work. */
  readonly #waiting: Int32Array;
  readonly #tell: (worker: number, bound: readonly LateBound[]) => void;
  readonly #rooms = new Map<number, ModelRoom>();
  /** All that wait or are bound and unanswered, by worker and number. */
  readonly #held = new Map<number, Map<number, Held>>();
  readonly #unixMs: () => number;
  readonly #lookUp: LookUp;
  /** When to call `wake`, though nothing was told. */
  wakeAtMs = Infinity;

  /** `config` may change in place. */
  constructor(
    config: LateConfig,
    table: ScoreTable,
    waiting: Int32Array,
    unixMs: () => number,
    lookUp: LookUp,
    tell: (worker: number, bound: readonly LateBound[]) => void,
  ) {
    this.#config = config;
    this.#table = table;
    this.#waiting = waiting;
    this.#unixMs = unixMs;
    this.#lookUp = lookUp;
    this.#tell = tell;
  }

  /** Requests that wait, of all models. */
  get waiting(): number {
    return this.#rooms.values().reduce((sum, { room }) => sum + room.waiting, 0);
  }

  /** Where and when prompts are expected to be computed, of a model's rows that the desk knows: for people. */
  rows(model: number): readonly LateRow[] {
    const room = this.#rooms.get(model);
    return room === undefined ? [] : Array.from({ length: room.count }, (_, target) => room.at(target));
  }

  figures(nowMs: number): LateFigures {
    const rooms = [...this.#rooms];
    return {
      waiting: new Map(rooms.map(([model, { room }]) => [model, room.waiting])),
      rows: rooms.flatMap(([model]) =>
        this.rows(model).map(({ row, msPerToken, busyUntilMs }) => {
          return { row, msPerToken, busyMs: Math.max(0, busyUntilMs - nowMs) };
        }),
      ),
    };
  }

  heard(worker: number, { asks, answered, over, unreached, freed }: LateNews, nowMs: number): void {
    const touched = new Set(freed);
    for (const ask of asks) {
      this.#ask(worker, ask, nowMs);
      touched.add(ask.model);
    }
    const own = this.#held.get(worker);
    for (const { id, agoMs } of answered) {
      const held = own?.get(id);
      if (held === undefined || held.at === null) continue;
      held.at.row.answered(held.at.prompt, nowMs - agoMs);
      own?.delete(id);
      touched.add(held.model);
    }
    for (const id of unreached) {
      const held = own?.get(id);
      if (held === undefined || held.at === null) continue;
      held.at.row.unreached(nowMs);
      this.#roomOf(held.model).room.returned(held, held.at.prompt.tokens);
    }
    for (const id of [...over, ...unreached]) {
      const held = own?.get(id);
      if (held === undefined) continue;
      this.#drop(held, nowMs);
      own?.delete(id);
      touched.add(held.model);
    }
    this.#serve(touched, nowMs);
  }

  /** The worker is gone, with all that it held; its claims were given back. */
  gone(worker: number, nowMs: number): void {
    const own = this.#held.get(worker) ?? new Map<number, Held>();
    this.#held.delete(worker);
    for (const held of own.values()) this.#drop(held, nowMs);
    this.#serve(new Set(own.values().map(({ model }) => model)), nowMs);
  }

  wake(nowMs: number): void {
    this.#serve(this.#rooms.keys(), nowMs);
  }

  #ask(worker: number, ask: LateAsk, nowMs: number): void {
    let own = this.#held.get(worker);
    if (own === undefined) this.#held.set(worker, (own = new Map()));
    assert(!own.has(ask.id), "a request is told of once");
    const held = new Held(worker, ask, own.get(ask.before)?.cameMs ?? nowMs - ask.ageMs, nowMs);
    own.set(ask.id, held);
    const model = this.#roomOf(ask.model);
    // Its homes are known by their places among the rows.
    if (model.room.waiting === 0) model.look(nowMs, this.#table.nowDeciseconds(this.#unixMs()));
    model.room.offer(held, nowMs);
  }

  #drop(held: Held, nowMs: number): void {
    if (held.at === null) this.#roomOf(held.model).room.remove(held);
    else held.at.row.dropped(held.at.prompt, nowMs);
  }

  #roomOf(model: number): ModelRoom {
    let room = this.#rooms.get(model);
    if (room === undefined)
      this.#rooms.set(model, (room = new ModelRoom(this.#config, this.#table, model, this.#lookUp)));
    return room;
  }

  #serve(models: Iterable<number>, nowMs: number): void {
    Atomics.add(this.#waiting, this.#waiting.length - 1, 1);
    const bound = new Map<number, LateBound[]>();
    const nowDeciseconds = this.#table.nowDeciseconds(this.#unixMs());
    for (const model of models) {
      const room = this.#rooms.get(model);
      if (room !== undefined) this.#bind(room, model, nowMs, nowDeciseconds, bound);
    }
    this.wakeAtMs = Infinity;
    for (const { room } of this.#rooms.values()) {
      if (room.waiting > 0) this.wakeAtMs = Math.min(this.wakeAtMs, room.wakeAtMs, nowMs + TICK_MS);
    }
    for (const [worker, all] of bound) this.#tell(worker, all);
  }

  #bind(model: ModelRoom, id: number, nowMs: number, nowDeciseconds: number, bound: Map<number, LateBound[]>): void {
    const { room } = model;
    if (room.waiting > 0) model.look(nowMs, nowDeciseconds);
    for (let next = room.waiting > 0 ? room.next(nowMs) : null; next !== null; next = room.next(nowMs)) {
      const { waiter, target, freshTokens: tokens, aheadMs, workMs, kind } = next;
      const row = model.at(target);
      if (!this.#table.tryBegin(waiter.worker, row.row, tokens)) {
        // A worker took the last place by itself, for a retry or a hedge.
        row.hasRoom = false;
        room.returned(waiter, tokens);
        room.offer(waiter, nowMs);
        continue;
      }
      const prompt = { tokens, sentMs: nowMs, isSilent: waiter.isSilent, othersTokens: row.othersTokens };
      row.bound(prompt);
      waiter.at = { row, prompt };
      row.look(nowMs, nowDeciseconds);
      const own = bound.get(waiter.worker);
      const why = { waitedMs: nowMs - waiter.cameMs, waiting: room.waiting + 1, aheadMs, workMs, kind };
      const one = { id: waiter.id, row: row.row, tokens, why };
      if (own === undefined) bound.set(waiter.worker, [one]);
      else own.push(one);
    }
    Atomics.store(this.#waiting, id, room.waiting);
  }
}
