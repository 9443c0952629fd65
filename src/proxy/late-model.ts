/** The requests of one model that are bound late, and the rows that they may go to, as the room knows them: by number. */
import { assert } from "../base/assert.ts";
import type { PromptPrefix } from "../flow/fair-order.ts";
import { type Home, LateRoom, type LateTargets, type LateWaiter } from "../flow/late-room.ts";
import type { LateConfig } from "../flow/late-settings.ts";
import type { Computing } from "../flow/target-pace.ts";
import { BLOCK_ROWS, BLOCK_WORD, BLOCK_WORDS, COLUMN, MODELS_WORD, rowWord } from "../score/layout.ts";
import type { PrefixHome } from "../score/prefix-lookup.ts";
import type { ScoreTable } from "../score/table.ts";
import type { LateAsk } from "./late-news.ts";
import { LateRow } from "./late-row.ts";

/** One that waits, and then one that is bound. */
export class Held implements LateWaiter {
  readonly worker: number;
  readonly id: number;
  readonly model: number;
  readonly promptTokens: number;
  readonly priority: number;
  readonly cameMs: number;
  readonly wantedMs: number;
  readonly tenant: string;
  readonly weight: number;
  readonly isSilent: boolean;
  readonly prefix: LateAsk["prefix"];
  homes: readonly Home[] = [];
  homesMs = 0;
  leastTokens = 0;
  /** Where it is bound to; null: it waits. */
  at: { readonly row: LateRow; readonly prompt: Computing } | null = null;

  constructor(worker: number, ask: LateAsk, cameMs: number, nowMs: number) {
    this.worker = worker;
    this.id = ask.id;
    this.model = ask.model;
    this.promptTokens = ask.tokens;
    this.priority = ask.priority;
    this.cameMs = cameMs;
    this.wantedMs = nowMs + ask.wantedInMs;
    this.tenant = ask.tenant;
    this.weight = ask.weight;
    this.isSilent = ask.isSilent;
    this.prefix = ask.prefix;
  }
}

const NO_HOMES: readonly Home[] = [];

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

  constructor(config: LateConfig, table: ScoreTable, model: number, lookUp: LookUp) {
    this.#lookUp = lookUp;
    this.#config = config;
    this.#table = table;
    this.#model = model;
    this.room = new LateRoom<Held>(config, this, (held) => this.#homesOf(held));
  }

  get count(): number {
    return this.#rows.length;
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
      let row = this.#known.get(number);
      if (row === undefined || row.generation !== this.#table.generation(number)) {
        row = new LateRow(this.#config, this.#table, number);
        this.#known.set(number, row);
      }
      row.look(nowMs, nowDeciseconds);
      if (row.hasRoom && !row.isEjected) this.#areEjected = false;
      const place = this.#placeOf.get(number) ?? this.#rows.length;
      this.#placeOf.set(number, place);
      this.#rows[place] = row;
    }
  }

  #homesOf({ prefix, promptTokens }: Held): readonly Home[] {
    if (prefix === null) return NO_HOMES;
    return this.#lookUp(prefix).flatMap(({ row, tokens }) => {
      const target = this.#placeOf.get(row);
      return target === undefined ? [] : [{ target, tokens: Math.min(promptTokens - 1, Math.trunc(tokens)) }];
    });
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
