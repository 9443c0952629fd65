/**
 * The last choices of a worker, for who asks later why a request went where it went: a ring of numbers. A choice costs
 * some loads and stores, a dozen for each place of its model, and makes no object; what it means is worked out when
 * somebody asks.
 *
 * Limits: 1,024 choices, of each the first 16 places of the model. A choice is found by its request's id as long as the
 * ring has it; a request that was tried again has several, of which the last counts.
 */
import { BINDING_KINDS } from "../flow/late-room.ts";
import { BLOCK_ROWS, BLOCK_WORD, BLOCK_WORDS, COLUMN, MODELS_WORD } from "../score/layout.ts";
import type { PickRequest } from "../score/pick.ts";
import type { PrefixLookup } from "../score/prefix-lookup.ts";
import type { ScoreTable } from "../score/table.ts";
import { type Cached, FIGURES } from "../score/terms.ts";
import { copyBytes } from "../wire/octets.ts";
import type { HeldFor } from "./late-news.ts";
import { ID_BYTES_MAX } from "./request-id.ts";

/** A place as a choice saw it. */
export interface SeenPlace extends Cached {
  readonly row: number;
  /** Whom the row leads to now; "" when it leads nowhere any more. */
  readonly node: string;
  /** In the order of FIGURES (score/terms.ts), as the bits that the table holds. */
  readonly figures: readonly number[];
}

export interface Decision {
  readonly requestId: string;
  readonly model: string;
  readonly promptTokens: number;
  readonly atMs: number;
  readonly nowDeciseconds: number;
  readonly row: number;
  readonly node: string;
  readonly isRetry: boolean;
  /** Whose target computed the prompt for that one; "": it does all of it. */
  readonly prefill: string;
  /** For how long the desk had held it, and why it bound it there; null: it did not. */
  readonly held: HeldFor | null;
  readonly places: readonly SeenPlace[];
  /** The model had more places than are kept. */
  readonly isCut: boolean;
}

export const DECISIONS_MAX = 1024;
export const PLACES_MAX = 16;
const COLUMNS: readonly number[] = FIGURES.map((figure) => COLUMN[figure]);
const PLACE_WORDS = COLUMNS.length;
/** The kind, four figures, and whose desk it was. */
const HELD_WORDS = 6;
/** Routers whose names are kept beside the numbers that stand for them; those of more have none. */
const DESKS_MAX = 256;

export class Decisions {
  readonly #table: ScoreTable;
  readonly #rows = new Int32Array(DECISIONS_MAX);
  readonly #models = new Int32Array(DECISIONS_MAX);
  readonly #tokens = new Int32Array(DECISIONS_MAX);
  readonly #retries = new Uint8Array(DECISIONS_MAX);
  /** Those that compute the prompt for the others; below 0: they do it themselves. */
  readonly #prefills = new Int32Array(DECISIONS_MAX);
  readonly #times = new Float64Array(DECISIONS_MAX);
  /** The first row of the block that the figures are of, and how many of its rows. */
  readonly #firsts = new Int32Array(DECISIONS_MAX);
  readonly #used = new Int32Array(DECISIONS_MAX);
  readonly #idLengths = new Uint8Array(DECISIONS_MAX);
  readonly #ids = new Uint8Array(DECISIONS_MAX * ID_BYTES_MAX);
  /** A kind, below 0: it was not held. */
  readonly #held = new Float32Array(DECISIONS_MAX * HELD_WORDS);
  /** "": this router's own. */
  readonly #desks: string[] = [""];
  readonly #missWeights = new Float32Array(DECISIONS_MAX);
  readonly #cached = new Float32Array(DECISIONS_MAX * PLACES_MAX);
  readonly #figures = new Int32Array(DECISIONS_MAX * PLACES_MAX * PLACE_WORDS);
  #count = 0;

  constructor(table: ScoreTable) {
    this.#table = table;
  }

  /** A row was chosen and claimed; the id of its request has to be given at once. Answers where it is to be written. */
  record(
    model: number,
    row: number,
    tokens: number,
    isRetry: boolean,
    unixMs: number,
    pick: PickRequest,
    held: HeldFor | null,
    prefix?: PrefixLookup,
    prefillRow = -1,
  ): number {
    const { words, blocksWord } = this.#table;
    const at = this.#count++ % DECISIONS_MAX;
    this.#rows[at] = row;
    this.#models[at] = model;
    this.#tokens[at] = tokens;
    this.#retries[at] = isRetry ? 1 : 0;
    this.#prefills[at] = prefillRow;
    this.#times[at] = unixMs;
    this.#idLengths[at] = 0;
    this.#missWeights[at] = pick.missWeight;
    this.#recordHeld(at * HELD_WORDS, held);
    const block = (words[MODELS_WORD + model] ?? 0) - 1;
    if (block < 0) {
      this.#used[at] = 0;
      return at;
    }
    const base = blocksWord + block * BLOCK_WORDS;
    const used = words[base + BLOCK_WORD.used] ?? 0;
    this.#firsts[at] = block * BLOCK_ROWS;
    this.#used[at] = used;
    const kept = used < PLACES_MAX ? used : PLACES_MAX;
    const figures = this.#figures;
    let to = at * PLACES_MAX * PLACE_WORDS;
    for (let column = 0; column < PLACE_WORDS; column++) {
      // A column's values lie side by side, in the table and here.
      const from = base + COLUMNS[column]!;
      for (let lane = 0; lane < kept; lane++) figures[to + lane] = words[from + lane]!;
      to += PLACES_MAX;
    }
    this.#recordCached(at, block * BLOCK_ROWS, kept, prefix);
    // Where the desk looked it up, it was not looked up here.
    const lane = row - block * BLOCK_ROWS;
    if (held !== null && lane >= 0 && lane < kept) this.#cached[at * PLACES_MAX + lane] = pick.cachedTokens;
    return at;
  }

  #recordHeld(at: number, held: HeldFor | null): void {
    const figures = this.#held;
    figures[at] = held === null ? -1 : BINDING_KINDS.indexOf(held.kind);
    if (held === null) return;
    figures[at + 1] = held.waitedMs;
    figures[at + 2] = held.waiting;
    figures[at + 3] = held.aheadMs;
    figures[at + 4] = held.workMs;
    figures[at + 5] = this.#deskNumber(held.desk);
  }

  #deskNumber(desk: string): number {
    const known = this.#desks.indexOf(desk);
    if (known >= 0) return known;
    return this.#desks.length < DESKS_MAX ? this.#desks.push(desk) - 1 : 0;
  }

  #readHeld(at: number): HeldFor | null {
    const [which = -1, waitedMs = 0, waiting = 0, aheadMs = 0, workMs = 0, number = 0] = this.#held.subarray(
      at,
      at + HELD_WORDS,
    );
    const kind = BINDING_KINDS[which];
    return kind === undefined ? null : { kind, waitedMs, waiting, aheadMs, workMs, desk: this.#desks[number] ?? "" };
  }

  #recordCached(at: number, first: number, kept: number, prefix: PrefixLookup | undefined): void {
    const start = at * PLACES_MAX;
    this.#cached.fill(0, start, start + PLACES_MAX);
    if (prefix === undefined) return;
    for (let place = 0; place < prefix.touchedCount; place++) {
      const lane = prefix.touchedRow(place) - first;
      if (lane >= 0 && lane < kept) this.#cached[start + lane] = prefix.touchedTokens(place);
    }
  }

  /** The id of the request of a record: bytes [start, end). */
  name(at: number, bytes: Uint8Array, start: number, end: number): void {
    const stop = Math.min(end, start + ID_BYTES_MAX);
    copyBytes(bytes, start, stop, this.#ids, at * ID_BYTES_MAX);
    this.#idLengths[at] = stop - start;
  }

  /** The last choice for the request of this id, or null. */
  find(requestId: string, nodeOf: (row: number) => string, modelOf: (model: number) => string): Decision | null {
    const wanted = Buffer.from(requestId, "latin1");
    const oldest = Math.max(0, this.#count - DECISIONS_MAX);
    for (let index = this.#count - 1; index >= oldest; index--) {
      const at = index % DECISIONS_MAX;
      const start = at * ID_BYTES_MAX;
      if (this.#idLengths[at] !== wanted.length) continue;
      if (wanted.compare(this.#ids, start, start + wanted.length) === 0)
        return this.#read(at, requestId, nodeOf, modelOf);
    }
    return null;
  }

  #read(at: number, requestId: string, nodeOf: (row: number) => string, modelOf: (model: number) => string): Decision {
    const used = this.#used[at] ?? 0;
    const first = this.#firsts[at] ?? 0;
    const row = this.#rows[at] ?? 0;
    const atMs = this.#times[at] ?? 0;
    const prefill = this.#prefills[at] ?? -1;
    const places = Array.from({ length: Math.min(used, PLACES_MAX) }, (_, lane): SeenPlace => {
      const from = at * PLACES_MAX * PLACE_WORDS + lane;
      const figures = COLUMNS.map((__, column) => this.#figures[from + column * PLACES_MAX] ?? 0);
      const cachedTokens = this.#cached[at * PLACES_MAX + lane] ?? 0;
      return {
        row: first + lane,
        node: nodeOf(first + lane),
        figures,
        cachedTokens,
        missWeight: this.#missWeights[at] ?? 0,
      };
    });
    return {
      requestId,
      model: modelOf(this.#models[at] ?? 0),
      promptTokens: this.#tokens[at] ?? 0,
      atMs,
      nowDeciseconds: this.#table.nowDeciseconds(atMs),
      row,
      node: nodeOf(row),
      isRetry: this.#retries[at] === 1,
      prefill: prefill < 0 ? "" : nodeOf(prefill),
      held: this.#readHeld(at * HELD_WORDS),
      places,
      isCut: used > PLACES_MAX || (prefill < 0 && (row < first || row >= first + BLOCK_ROWS)),
    };
  }
}
