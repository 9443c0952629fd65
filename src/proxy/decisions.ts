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

// What a record holds, in words of 4 bytes. It lies in one piece and what is used of it at its beginning, so that a choice
// touches few lines of the cache: some for the record, and one for five places of the model.
const TIME = 0;
const ROW = 2;
const MODEL = 3;
const TOKENS = 4;
const IS_RETRY = 5;
/** The row that computes the prompt for the other; below 0: that does it itself. */
const PREFILL = 6;
/** The first row of the block that the figures are of, and how many of its rows. */
const FIRST = 7;
const USED = 8;
const MISS_WEIGHT = 9;
/** A kind and whose desk it was, below 0: it was not held; then four figures. */
const HELD = 10;
const ID_LENGTH = 15;
const ID = 16;
/** Of each kept place the tokens that it had, then column by column its figures. */
const PLACES = ID + ID_BYTES_MAX / 4;
/** An even number: times are doubles. */
const WORDS = PLACES + PLACES_MAX * (1 + PLACE_WORDS);

/** Routers whose names are kept beside the numbers that stand for them; those of more have none. */
const DESKS_MAX = 256;
const KINDS = BINDING_KINDS.length;

export class Decisions {
  readonly #table: ScoreTable;
  /** Of routers whose desks have decided; "": this one's own. */
  readonly #desks: string[] = [""];
  readonly #words = new Int32Array(DECISIONS_MAX * WORDS);
  readonly #floats = new Float32Array(this.#words.buffer);
  readonly #doubles = new Float64Array(this.#words.buffer);
  readonly #bytes = new Uint8Array(this.#words.buffer);
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
    const at = (this.#count++ % DECISIONS_MAX) * WORDS;
    const record = this.#words;
    this.#doubles[(at + TIME) / 2] = unixMs;
    record[at + ROW] = row;
    record[at + MODEL] = model;
    record[at + TOKENS] = tokens;
    record[at + IS_RETRY] = isRetry ? 1 : 0;
    record[at + PREFILL] = prefillRow;
    record[at + ID_LENGTH] = 0;
    this.#floats[at + MISS_WEIGHT] = pick.missWeight;
    this.#recordHeld(at + HELD, held);
    const block = (words[MODELS_WORD + model] ?? 0) - 1;
    if (block < 0) {
      record[at + USED] = 0;
      return at;
    }
    const base = blocksWord + block * BLOCK_WORDS;
    const used = words[base + BLOCK_WORD.used] ?? 0;
    record[at + FIRST] = block * BLOCK_ROWS;
    record[at + USED] = used;
    const kept = used < PLACES_MAX ? used : PLACES_MAX;
    let to = at + PLACES + kept;
    for (let column = 0; column < PLACE_WORDS; column++) {
      // A column's values lie side by side, in the table and here.
      const from = base + COLUMNS[column]!;
      for (let lane = 0; lane < kept; lane++) record[to + lane] = words[from + lane]!;
      to += kept;
    }
    this.#recordCached(at + PLACES, block * BLOCK_ROWS, kept, prefix);
    // Where the desk looked it up, it was not looked up here.
    const lane = row - block * BLOCK_ROWS;
    if (held !== null && lane >= 0 && lane < kept) this.#floats[at + PLACES + lane] = pick.cachedTokens;
    return at;
  }

  #recordHeld(at: number, held: HeldFor | null): void {
    const figures = this.#floats;
    figures[at] = held === null ? -1 : BINDING_KINDS.indexOf(held.kind) + KINDS * this.#deskNumber(held.desk);
    if (held === null) return;
    figures[at + 1] = held.waitedMs;
    figures[at + 2] = held.waiting;
    figures[at + 3] = held.aheadMs;
    figures[at + 4] = held.workMs;
  }

  #deskNumber(desk: string): number {
    if (desk === "") return 0;
    const known = this.#desks.indexOf(desk);
    if (known >= 0) return known;
    return this.#desks.length < DESKS_MAX ? this.#desks.push(desk) - 1 : 0;
  }

  #readHeld(at: number): HeldFor | null {
    const [which = -1, waitedMs = 0, waiting = 0, aheadMs = 0, workMs = 0] = this.#floats.subarray(at, at + 5);
    const kind = BINDING_KINDS[which % KINDS];
    const desk = this.#desks[Math.trunc(which / KINDS)] ?? "";
    return kind === undefined ? null : { desk, kind, waitedMs, waiting, aheadMs, workMs };
  }

  #recordCached(at: number, first: number, kept: number, prefix: PrefixLookup | undefined): void {
    for (let lane = 0; lane < kept; lane++) this.#floats[at + lane] = 0;
    if (prefix === undefined) return;
    for (let place = 0; place < prefix.touchedCount; place++) {
      const lane = prefix.touchedRow(place) - first;
      if (lane >= 0 && lane < kept) this.#floats[at + lane] = prefix.touchedTokens(place);
    }
  }

  /** The id of the request of a record: bytes [start, end). */
  name(at: number, bytes: Uint8Array, start: number, end: number): void {
    const stop = Math.min(end, start + ID_BYTES_MAX);
    copyBytes(bytes, start, stop, this.#bytes, (at + ID) * 4);
    this.#words[at + ID_LENGTH] = stop - start;
  }

  /** The last choice for the request of this id, or null. */
  find(requestId: string, nodeOf: (row: number) => string, modelOf: (model: number) => string): Decision | null {
    const wanted = Buffer.from(requestId, "latin1");
    const oldest = Math.max(0, this.#count - DECISIONS_MAX);
    for (let index = this.#count - 1; index >= oldest; index--) {
      const at = (index % DECISIONS_MAX) * WORDS;
      const start = (at + ID) * 4;
      if (this.#words[at + ID_LENGTH] !== wanted.length) continue;
      if (wanted.compare(this.#bytes, start, start + wanted.length) === 0)
        return this.#read(at, requestId, nodeOf, modelOf);
    }
    return null;
  }

  #read(at: number, requestId: string, nodeOf: (row: number) => string, modelOf: (model: number) => string): Decision {
    const record = this.#words;
    const word = (place: number): number => record[at + place] ?? 0;
    const [used, first, row, prefill] = [word(USED), word(FIRST), word(ROW), word(PREFILL)];
    const atMs = this.#doubles[(at + TIME) / 2] ?? 0;
    const missWeight = this.#floats[at + MISS_WEIGHT] ?? 0;
    const kept = Math.min(used, PLACES_MAX);
    const places = Array.from({ length: kept }, (_, lane): SeenPlace => {
      const from = at + PLACES + lane;
      const figures = COLUMNS.map((__, column) => record[from + (column + 1) * kept] ?? 0);
      const cachedTokens = this.#floats[from] ?? 0;
      return { row: first + lane, node: nodeOf(first + lane), figures, cachedTokens, missWeight };
    });
    return {
      requestId,
      model: modelOf(word(MODEL)),
      promptTokens: word(TOKENS),
      atMs,
      nowDeciseconds: this.#table.nowDeciseconds(atMs),
      row,
      node: nodeOf(row),
      isRetry: word(IS_RETRY) === 1,
      prefill: prefill < 0 ? "" : nodeOf(prefill),
      held: this.#readHeld(at + HELD),
      places,
      isCut: used > PLACES_MAX || (prefill < 0 && (row < first || row >= first + BLOCK_ROWS)),
    };
  }
}
