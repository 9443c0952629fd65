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
 * In a mesh one router's desk decides for a model (late-mesh.ts). What waits for one that another decides for waits in its
 * room here as well, where nobody binds it until that router does, or no longer decides: nothing has to be brought back.
 * Guests, of other routers, wait in the room of a model that this one decides for; what they are given is lent, not claimed.
 *
 * What it holds is bounded by what workers hold: each lets so many wait (flow/queue.ts), and so many are in flight; and of
 * others by flow/mesh-desk.ts.
 */
import { assert } from "../base/assert.ts";
import type { LateConfig } from "../flow/late-settings.ts";
import type { LateFigures } from "../obs/late-metrics.ts";
import type { PrefixHome } from "../score/prefix-lookup.ts";
import type { ScoreTable } from "../score/table.ts";
import type { LateMesh, LendingDesk } from "./late-mesh.ts";
import { Held, type LookUp, ModelRoom } from "./late-model.ts";
import type { HeldFor, LateAsk, LateBound, LateNews } from "./late-news.ts";
import type { LateRow } from "./late-row.ts";

const TICK_MS = 10;

export class LateDesk implements LendingDesk {
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
  /** Null: this router decides alone. */
  #mesh: LateMesh | null = null;
  /** Models whose rooms are to be looked at. */
  readonly #touched = new Set<number>();
  /** What workers are to be told. */
  readonly #bound = new Map<number, LateBound[]>();
  /** Guests that wait, by model. */
  readonly #guests = new Map<number, number>();
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

  /** From now on others may decide, and be decided for; null: nobody any more, and what they had asked has left. */
  share(mesh: LateMesh | null): void {
    this.#mesh = mesh;
    for (const model of this.#rooms.keys()) this.#touched.add(model);
  }

  /** The router whose desk decides for the model; "": this one. */
  deciderOf(model: number, nowMs: number): string {
    return this.#mesh?.deciderOf(model, nowMs) ?? "";
  }

  /** Requests that wait, of all models. */
  get waiting(): number {
    return this.#rooms.values().reduce((sum, { room }) => sum + room.waiting, 0);
  }

  /** Where and when prompts are expected to be computed, of a model's rows that the desk knows: for people. */
  rows(model: number): readonly LateRow[] {
    return this.#rooms.get(model)?.all() ?? [];
  }

  figures(nowMs: number): LateFigures {
    const rooms = [...this.#rooms];
    return {
      waiting: new Map(rooms.map(([model, { room }]) => [model, room.waiting - (this.#guests.get(model) ?? 0)])),
      shared: this.#mesh?.figuresNow() ?? null,
      rows: rooms.flatMap(([model]) =>
        this.rows(model).map(({ row, msPerToken, busyUntilMs }) => {
          return { row, msPerToken, busyMs: Math.max(0, busyUntilMs - nowMs) };
        }),
      ),
    };
  }

  heard(worker: number, { asks, answered, over, unreached, freed }: LateNews, nowMs: number): void {
    for (const model of freed) this.#touched.add(model);
    for (const ask of asks) this.#ask(worker, ask, nowMs);
    const own = this.#held.get(worker);
    for (const { id, agoMs } of answered) {
      const held = own?.get(id);
      if (held === undefined || held.at === null) continue;
      held.at.row.answered(held.at.prompt, nowMs - agoMs);
      this.#mesh?.mesh.answered(held, agoMs);
      own?.delete(id);
      this.#touched.add(held.model);
    }
    for (const id of unreached) {
      const held = own?.get(id);
      if (held === undefined || held.at === null) continue;
      held.at.row.unreached(nowMs);
      // Who was bound by another's word was charged there.
      if (this.#mesh?.mesh.isAsked(held) === true) this.#mesh.mesh.unreached(held);
      else this.#roomOf(held.model).room.returned(held, held.at.prompt.tokens);
    }
    for (const id of [...over, ...unreached]) {
      const held = own?.get(id);
      if (held === undefined) continue;
      this.#drop(held, nowMs);
      own?.delete(id);
      this.#touched.add(held.model);
    }
    this.serve(nowMs);
  }

  /** The worker is gone, with all that it held; its claims were given back. */
  gone(worker: number, nowMs: number): void {
    const own = this.#held.get(worker) ?? new Map<number, Held>();
    this.#held.delete(worker);
    for (const held of own.values()) {
      this.#drop(held, nowMs);
      this.#touched.add(held.model);
    }
    this.serve(nowMs);
  }

  wake(nowMs: number): void {
    for (const model of this.#rooms.keys()) this.#touched.add(model);
    this.serve(nowMs);
  }

  #ask(worker: number, ask: LateAsk, nowMs: number): void {
    let own = this.#held.get(worker);
    if (own === undefined) this.#held.set(worker, (own = new Map()));
    assert(!own.has(ask.id), "a request is told of once");
    const before = own.get(ask.before);
    const held = Held.of(worker, ask, before === undefined ? ask.ageMs : nowMs - before.cameMs, nowMs);
    own.set(ask.id, held);
    this.offer(held, nowMs);
    this.#mesh?.asks(held, nowMs);
  }

  #drop(held: Held, nowMs: number): void {
    this.#mesh?.mesh.over(held);
    if (held.at === null) this.#roomOf(held.model).room.remove(held);
    else held.at.row.dropped(held.at.prompt, nowMs);
  }

  // ---- what others have to do with it

  *waiters(model: number): Iterable<Held> {
    for (const own of this.#held.values()) {
      for (const held of own.values()) if (held.at === null && held.model === model) yield held;
    }
  }

  cached(held: Held): readonly PrefixHome[] {
    return this.#roomOf(held.model).cached(held);
  }

  offer(held: Held, nowMs: number): void {
    const model = this.#roomOf(held.model);
    // Its homes are known by their places among the rows.
    if (model.room.waiting === 0) model.look(nowMs, this.#table.nowDeciseconds(this.#unixMs()));
    model.room.offer(held, nowMs);
    if (held.isGuest) this.#countGuest(held.model, 1);
    this.#touched.add(held.model);
  }

  #countGuest(model: number, delta: 1 | -1): void {
    this.#guests.set(model, (this.#guests.get(model) ?? 0) + delta);
  }

  granted(held: Held, number: number, tokens: number, why: HeldFor, nowMs: number): boolean {
    if (!this.#table.tryBegin(held.worker, number, tokens)) return false;
    const model = this.#roomOf(held.model);
    model.room.remove(held);
    const row = model.known(number);
    row.look(nowMs, this.#table.nowDeciseconds(this.#unixMs()));
    this.#give(held, row, tokens, why, nowMs);
    return true;
  }

  rehomed(guest: Held, told: readonly PrefixHome[], nowMs: number): void {
    guest.told = told;
    // It is looked up anew as what is old is.
    guest.homesMs = nowMs - this.#config.refreshMs - 1;
    this.#touched.add(guest.model);
  }

  left(guest: Held, nowMs: number): void {
    if (guest.at !== null) guest.at.row.dropped(guest.at.prompt, nowMs, true);
    else if (this.#roomOf(guest.model).room.remove(guest)) this.#countGuest(guest.model, -1);
    this.#touched.add(guest.model);
  }

  answered(guest: Held, atMs: number): void {
    guest.at?.row.answered(guest.at.prompt, atMs, true);
  }

  unreached(guest: Held, nowMs: number): void {
    if (guest.at !== null) this.#roomOf(guest.model).room.returned(guest, guest.at.prompt.tokens);
    this.left(guest, nowMs);
  }

  touched(model: number): void {
    this.#touched.add(model);
  }

  #roomOf(model: number): ModelRoom {
    let room = this.#rooms.get(model);
    if (room !== undefined) return room;
    room = new ModelRoom(this.#config, this.#table, model, this.#lookUp, {
      isPicky: (held) => held.isGuest && this.#mesh?.mesh.isPicky(held) === true,
      mayGo: (held, row, nowMs) => this.#mesh?.mayGo(held, row, nowMs) !== false,
    });
    this.#rooms.set(model, room);
    return room;
  }

  /** Binds what may go now in the rooms that something has happened in. */
  serve(nowMs: number): void {
    Atomics.add(this.#waiting, this.#waiting.length - 1, 1);
    const nowDeciseconds = this.#table.nowDeciseconds(this.#unixMs());
    for (const model of this.#touched) this.#look(model, nowMs, nowDeciseconds);
    this.#touched.clear();
    this.wakeAtMs = Infinity;
    for (const [model, { room }] of this.#rooms) {
      if (room.waiting === 0) continue;
      const opensMs = this.#mesh?.isElsewhere(model) === true ? Infinity : room.wakeAtMs;
      this.wakeAtMs = Math.min(this.wakeAtMs, opensMs, nowMs + TICK_MS);
    }
    for (const [worker, all] of this.#bound) this.#tell(worker, all);
    this.#bound.clear();
  }

  #look(model: number, nowMs: number, nowDeciseconds: number): void {
    const room = this.#rooms.get(model);
    const isElsewhere = this.#mesh?.isElsewhere(model) === true;
    if (room !== undefined && !isElsewhere) this.#bind(room, nowMs, nowDeciseconds);
    const waiting = room?.room.waiting ?? 0;
    this.#mesh?.crowd(model, waiting > 0 && !isElsewhere);
    // Where somebody waits at the router that decides, whoever comes here is behind them.
    const isCrowded = waiting > 0 || this.#mesh?.isCrowdedElsewhere(model, nowMs) === true;
    Atomics.store(this.#waiting, model, isCrowded ? Math.max(1, waiting) : 0);
  }

  #bind(model: ModelRoom, nowMs: number, nowDeciseconds: number): void {
    const { room } = model;
    if (room.waiting > 0) model.look(nowMs, nowDeciseconds);
    for (let next = room.waiting > 0 ? room.next(nowMs) : null; next !== null; next = room.next(nowMs)) {
      const { waiter, target, freshTokens: tokens, aheadMs, workMs, kind } = next;
      const row = model.at(target);
      if (!waiter.isGuest && !this.#table.tryBegin(waiter.worker, row.row, tokens)) {
        // A worker took the last place by itself, for a retry or a hedge.
        row.hasRoom = false;
        room.returned(waiter, tokens);
        room.offer(waiter, nowMs);
        continue;
      }
      const [waitedMs, waiting] = [nowMs - waiter.cameMs, room.waiting + 1];
      this.#give(waiter, row, tokens, { desk: "", waitedMs, waiting, aheadMs, workMs, kind }, nowMs);
      row.look(nowMs, nowDeciseconds);
    }
  }

  /** It goes there: its worker, or its router, is told. */
  #give(held: Held, row: LateRow, tokens: number, why: HeldFor, nowMs: number): void {
    const { worker, id, isGuest, isSilent } = held;
    held.at = { row, prompt: { tokens, sentMs: nowMs, isSilent, othersTokens: row.othersTokens } };
    row.bound(held.at.prompt, isGuest);
    if (isGuest) {
      this.#countGuest(held.model, -1);
      this.#mesh?.grant(held, row.row, tokens, why);
      return;
    }
    const one = { id, row: row.row, tokens, why };
    const own = this.#bound.get(worker);
    if (own === undefined) this.#bound.set(worker, [one]);
    else own.push(one);
  }
}
