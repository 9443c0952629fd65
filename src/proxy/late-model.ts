/** The requests of one model that are bound late, and the rows that they may go to, as the room knows them: by number. */
import { assert } from "../base/assert.ts";
import type { PromptPrefix, SessionHome } from "../flow/fair-order.ts";
import { keyOf } from "../base/key.ts";
import type { DeskFigures } from "../flow/desk-words.ts";
import { type Home, LateRoom, type LateTargets, type LateWaiter } from "../flow/late-room.ts";
import type { LateConfig } from "../flow/late-settings.ts";
import type { Computing } from "../flow/target-pace.ts";
import { BLOCK_ROWS, BLOCK_WORD, BLOCK_WORDS, COLUMN, MODELS_WORD, rowWord } from "../score/layout.ts";
import type { PrefixHome } from "../score/prefix-lookup.ts";
import type { ScoreTable } from "../score/table.ts";
import type { LateAsk } from "./late-news.ts";
import { LateRow } from "./late-row.ts";

/** Of a request that waits at another router. */
const GUEST = -1;

/** One that waits, and then one that is bound: a worker's, or another router's. */
export class Held implements LateWaiter {
  /** Below 0: another router's. */
  readonly worker: number;
  readonly id: number;
  readonly model: number;
  readonly promptTokens: number;
  readonly priority: number;
  readonly cameMs: number;
  readonly wantedMs: number;
  /** By a key (base/key.ts), which is the same at all routers; "" for none. */
  readonly tenant: string;
  readonly weight: number;
  readonly isSilent: boolean;
  readonly prefix: LateAsk["prefix"];
  readonly session: SessionHome | null;
  /** Rows that have most of its prompt cached, as another router says where it is that one's. */
  told: readonly PrefixHome[] = [];
  homes: readonly Home[] = [];
  homesMs = 0;
  leastTokens = 0;
  slackMs = 0;
  /** Where it is bound to; null: it waits. */
  at: { readonly row: LateRow; readonly prompt: Computing } | null = null;

  private constructor(
    of: Pick<Held, "worker" | "id" | "model" | "tenant" | "prefix" | "session">,
    figures: Figures,
    nowMs: number,
  ) {
    this.worker = of.worker;
    this.id = of.id;
    this.model = of.model;
    this.tenant = of.tenant;
    this.prefix = of.prefix;
    this.session = of.session;
    this.promptTokens = figures.tokens;
    this.priority = figures.priority;
    this.cameMs = nowMs - figures.ageMs;
    this.wantedMs = nowMs + figures.wantedInMs;
    this.weight = figures.weight;
    this.isSilent = figures.isSilent;
  }

  static of(worker: number, ask: LateAsk, ageMs: number, nowMs: number): Held {
    const { id, model, prefix, session } = ask;
    const tenant = ask.tenant === "" ? "" : String(keyOf(ask.tenant));
    return new Held({ worker, id, model, tenant, prefix, session }, { ...ask, ageMs }, nowMs);
  }

  /** `session`: by this router's rows. */
  static guest(model: number, figures: DeskFigures, session: SessionHome | null, nowMs: number): Held {
    const tenant = figures.tenant === 0 ? "" : String(figures.tenant);
    return new Held({ worker: GUEST, id: 0, model, tenant, prefix: null, session }, figures, nowMs);
  }

  get isGuest(): boolean {
    return this.worker === GUEST;
  }
}

type Figures = Omit<DeskFigures, "tenant" | "homes" | "session">;

const NO_HOMES: readonly Home[] = [];

/** Rows where guests can't go. */
export interface RowLimits {
  isPicky(held: Held): boolean;
  mayGo(held: Held, row: number, nowMs: number): boolean;
}

/** The rows that have most of a prompt cached now. */
export type LookUp = (prefix: PromptPrefix) => readonly PrefixHome[];

/** The requests and targets of one model. */
export class ModelRoom implements LateTargets {
  readonly room: LateRoom<Held>;
  readonly #config: LateConfig;
  readonly #table: ScoreTable;
  readonly #model: number;
  readonly #known = new Map<number, LateRow>();
  /** While somebody waits each stays in its place, by which the room knows it. */
  #rows: LateRow[] = [];
  readonly #placeOf = new Map<number, number>();
  /** All that are left are ejected: one of them is better than none. */
  #areEjected = false;

  readonly #lookUp: LookUp;

  constructor(config: LateConfig, table: ScoreTable, model: number, lookUp: LookUp, limits: RowLimits) {
    this.#lookUp = lookUp;
    this.#config = config;
    this.#table = table;
    this.#model = model;
    this.room = new LateRoom<Held>(config, this, (held) => this.#homesOf(held), {
      isPicky: (held) => limits.isPicky(held),
      mayGo: (held, target, nowMs) => limits.mayGo(held, this.at(target).row, nowMs),
    });
  }

  get count(): number {
    return this.#rows.length;
  }

  all(): readonly LateRow[] {
    return this.#rows;
  }

  at(target: number): LateRow {
    const row = this.#rows[target];
    assert(row !== undefined, "the target is one of the model's");
    return row;
  }

  pace(target: number): LateRow {
    return this.at(target);
  }

  hasRoom(target: number): boolean {
    const row = this.at(target);
    return row.hasRoom && (this.#areEjected || !row.isEjected);
  }

  othersTokens(target: number): number {
    return this.at(target).othersTokens;
  }

  othersMs(target: number): number {
    return this.at(target).othersMs;
  }

  delayMs(target: number): number {
    return this.at(target).delayMs;
  }

  active(target: number): number {
    return this.at(target).active;
  }

  networkMs(): number {
    return 0;
  }

  /** The model's rows as the table has them now. */
  look(nowMs: number, nowDeciseconds: number): void {
    if (this.room.waiting === 0) {
      this.#rows = [];
      this.#placeOf.clear();
    }
    for (const row of this.#rows) row.hasRoom = false;
    this.#areEjected = true;
    for (const number of rowsOf(this.#table, this.#model)) {
      const row = this.known(number);
      row.look(nowMs, nowDeciseconds);
      if (row.hasRoom && !row.isEjected) this.#areEjected = false;
      const place = this.#placeOf.get(number) ?? this.#rows.length;
      this.#placeOf.set(number, place);
      this.#rows[place] = row;
    }
  }

  /** The row of that number, as it was looked at last. */
  known(number: number): LateRow {
    let row = this.#known.get(number);
    if (row === undefined || row.generation !== this.#table.generation(number)) {
      row = new LateRow(this.#config, this.#table, number);
      this.#known.set(number, row);
    }
    return row;
  }

  /** Rows that have most of its prompt cached, now. */
  cached({ prefix, told }: Held): readonly PrefixHome[] {
    return prefix === null ? told : this.#lookUp(prefix);
  }

  #homesOf(held: Held): readonly Home[] {
    const { promptTokens, session } = held;
    const cached = this.cached(held);
    if (cached.length === 0 && session === null) return NO_HOMES;
    const homes: Home[] = [];
    for (const { row, tokens } of cached) {
      const target = this.#placeOf.get(row);
      if (target !== undefined) homes.push({ target, tokens: Math.min(promptTokens - 1, Math.trunc(tokens)) });
    }
    return session === null ? homes : this.#withSession(homes, session);
  }

  #withSession(homes: Home[], { row, slackMs }: SessionHome): Home[] {
    const target = this.#placeOf.get(row);
    if (target === undefined) return homes;
    const tokens = homes.find((home) => home.target === target)?.tokens ?? 0;
    return [...homes.filter((home) => home.target !== target), { target, tokens, slackMs }];
  }
}

/** Rows of the model that requests may be given to. */
function* rowsOf(table: ScoreTable, model: number): Iterable<number> {
  const { words, floats, blocksWord } = table;
  const blocksMax = table.rowsMax / BLOCK_ROWS;
  let link = Atomics.load(words, MODELS_WORD + model);
  for (let steps = 0; link !== 0 && steps < blocksMax; steps += 1) {
    const base = blocksWord + (link - 1) * BLOCK_WORDS;
    const used = Atomics.load(words, base + BLOCK_WORD.used);
    for (let lane = 0; lane < used; lane += 1) {
      const row = (link - 1) * BLOCK_ROWS + lane;
      if ((floats[blocksWord + rowWord(row) + COLUMN.capacity] ?? 0) > 0) yield row;
    }
    link = Atomics.load(words, base + BLOCK_WORD.next);
  }
}
