/**
 * Which rows are believed to hold which blocks of prompts in their KV cache: a hash table in a SharedArrayBuffer that
 * all workers read and write, beside the score table.
 *
 * Believed, since nobody tells: a block counts as held by the row that a prompt with it was sent to, until the row was
 * sent as many other blocks as its cache holds. So a row has a volume, the blocks that it had to compute so far; a
 * holder keeps the volume of when it last had the block, in steps of a sixteenth of the capacity, and is believed for
 * 16 steps: what an engine that drops the least recently used would keep. One word a holder, so that forgetting a row is
 * one store: its next life is another one, and what was kept of the former is believed no more.
 *
 * Every word is read and written by Atomics, and a holder is one word: there is no lock that a worker could die with. An
 * entry that is given to another block is claimed by the worker's number, filled, then shown; a claim that stays behind
 * is as old as what it took, and is the next to be taken. What two workers do at a time can lose a note or leave a
 * holder under another block: an expectation that is wrong once, never more.
 *
 * Sets of four entries; where all are taken the one that was noted longest ago goes. The blocks of a prompt are noted
 * together, so those in front are never older than those behind: what is left are whole prefixes.
 *
 * Limits: 65,536 rows; of a block up to 85 holders; 16 lives until a row's number means what it did before.
 * native/prefix.h has the twin of `note` and of the search (prefix-lookup.ts), which leaves the same words.
 */
import { assert } from "../base/assert.ts";
import { layoutWord } from "./layout.ts";
import {
  CAPACITY_STEPS,
  FURTHER_MAX,
  FURTHER_STEP,
  HOLDERS,
  LIFE_SHIFT,
  LIVES,
  PREFIX_BLOCK_BYTES,
  PREFIX_HEADER,
  PREFIX_ROW,
  PREFIX_ROWS_WORD,
  PREFIX_ROW_WORDS,
  ROW_SHIFT,
  SET,
  SET_WORDS,
  STAMP_MASK,
  WAYS,
} from "./prefix-layout.ts";

const LIFE_MASK = 15;

export class PrefixIndex {
  readonly buffer: SharedArrayBuffer;
  readonly words: Int32Array;
  readonly rowsMax: number;
  readonly sets: number;
  readonly #setsWord: number;

  private constructor(buffer: SharedArrayBuffer) {
    this.buffer = buffer;
    this.words = new Int32Array(buffer);
    assert(Atomics.load(this.words, PREFIX_HEADER.layout) === layoutWord(), "the buffer holds no prefix index");
    this.rowsMax = Atomics.load(this.words, PREFIX_HEADER.rowsMax);
    this.sets = Atomics.load(this.words, PREFIX_HEADER.sets);
    this.#setsWord = Atomics.load(this.words, PREFIX_HEADER.setsWord);
  }

  /** Of at most so many bytes of entries, rounded down to a power of two. What is not used costs address space only. */
  static create(bytes: number, rowsMax: number): PrefixIndex {
    const sets = 2 ** Math.floor(Math.log2(bytes / (SET_WORDS * 4)));
    assert(sets >= 1, "a prefix index has room for a set at least");
    const setsWord = Math.ceil((PREFIX_ROWS_WORD + rowsMax * PREFIX_ROW_WORDS) / SET_WORDS) * SET_WORDS;
    const buffer = new SharedArrayBuffer((setsWord + sets * SET_WORDS) * 4);
    const words = new Int32Array(buffer);
    words[PREFIX_HEADER.sets] = sets;
    words[PREFIX_HEADER.rowsMax] = rowsMax;
    words[PREFIX_HEADER.setsWord] = setsWord;
    Atomics.store(words, PREFIX_HEADER.layout, layoutWord());
    return new PrefixIndex(buffer);
  }

  static attach(buffer: SharedArrayBuffer): PrefixIndex {
    return new PrefixIndex(buffer);
  }

  // ---- main thread

  /** The row leads to another target, or its cache was lost; the new one holds so many tokens of `bytesPerToken`. */
  reset(row: number, capacityTokens: number, bytesPerToken: number): void {
    const at = this.#row(row);
    const life = Atomics.load(this.words, at + PREFIX_ROW.life);
    Atomics.store(this.words, at + PREFIX_ROW.unit, unitOf(capacityTokens, bytesPerToken));
    Atomics.store(this.words, at + PREFIX_ROW.volume, 0);
    Atomics.store(this.words, at + PREFIX_ROW.stamp, 0);
    Atomics.store(this.words, at + PREFIX_ROW.life, (life % LIVES) + 1);
  }

  /** How much the row's cache holds. Its volume becomes as many of the new steps: what was noted so long ago still was. */
  setCapacity(row: number, capacityTokens: number, bytesPerToken: number): void {
    const at = this.#row(row);
    const unit = unitOf(capacityTokens, bytesPerToken);
    if (Atomics.load(this.words, at + PREFIX_ROW.unit) === unit) return;
    const volume = Atomics.load(this.words, at + PREFIX_ROW.stamp) * unit;
    if (volume >= 2 ** 32) return this.reset(row, capacityTokens, bytesPerToken);
    Atomics.store(this.words, at + PREFIX_ROW.volume, volume | 0);
    Atomics.store(this.words, at + PREFIX_ROW.unit, unit);
  }

  /** Blocks that the row is believed to hold: as many as were sent there, until its cache is full. */
  blocksOf(row: number): number {
    const at = this.#row(row);
    const sent = Atomics.load(this.words, at + PREFIX_ROW.volume) >>> 0;
    return Math.min(sent, Atomics.load(this.words, at + PREFIX_ROW.unit) * CAPACITY_STEPS);
  }

  /** Others to tell of what workers note. */
  set peers(count: number) {
    Atomics.store(this.words, PREFIX_HEADER.peers, count);
  }

  get peers(): number {
    return Atomics.load(this.words, PREFIX_HEADER.peers);
  }

  /** Another one, when what the row holds was forgotten meanwhile. */
  life(row: number): number {
    return Atomics.load(this.words, this.#row(row) + PREFIX_ROW.life);
  }

  /** Blocks that are kept now. */
  get entries(): number {
    return Atomics.load(this.words, PREFIX_HEADER.entries);
  }

  /** Blocks that made room for others so far. */
  get evictions(): number {
    return Atomics.load(this.words, PREFIX_HEADER.evictions) >>> 0;
  }

  get entriesMax(): number {
    return this.sets * WAYS;
  }

  // ---- any thread

  /** The row gets a prompt of these blocks; answers how many of them it was not believed to hold. */
  note(worker: number, row: number, chain: Int32Array, blocks: number): number {
    const { words } = this;
    const at = this.#row(row);
    const life = Atomics.load(words, at + PREFIX_ROW.life);
    if (life === 0) return 0;
    const holder = (row << ROW_SHIFT) | (life << LIFE_SHIFT) | Atomics.load(words, at + PREFIX_ROW.stamp);
    const tick = (Atomics.add(words, PREFIX_HEADER.tick, 1) + 1) | 0;
    let fresh = 0;
    for (let block = 1; block <= blocks; block += 1) {
      fresh += this.#noteBlock(worker, chain[block * 2]!, chain[block * 2 + 1]!, holder, tick);
    }
    // What is behind the last whole block takes room too.
    const volume = (Atomics.add(words, at + PREFIX_ROW.volume, fresh + 1) + fresh + 1) >>> 0;
    const unit = Math.max(1, Atomics.load(words, at + PREFIX_ROW.unit));
    Atomics.store(words, at + PREFIX_ROW.stamp, Math.floor(volume / unit) & STAMP_MASK);
    return fresh;
  }

  /** The row is told to hold the block, which takes none of its volume: it was noted when it was computed. */
  put(worker: number, row: number, lo: number, hi: number): void {
    const { words } = this;
    const at = this.#row(row);
    const life = Atomics.load(words, at + PREFIX_ROW.life);
    if (life === 0) return;
    const holder = (row << ROW_SHIFT) | (life << LIFE_SHIFT) | Atomics.load(words, at + PREFIX_ROW.stamp);
    this.#noteBlock(worker, lo, hi, holder, Atomics.load(words, PREFIX_HEADER.tick));
  }

  /** The row is told not to hold the block any more. */
  drop(row: number, lo: number, hi: number): void {
    for (const further of [0, 1 + (row % FURTHER_MAX)]) {
      const at = this.find(furtherLo(lo, further), hi);
      for (let place = 0; at >= 0 && place < HOLDERS; place += 1) {
        const word = this.holderWord(at, place);
        const kept = Atomics.load(this.words, word);
        if (kept === 0 || kept >>> ROW_SHIFT !== row) continue;
        // Of no life, and not 0: behind that there may be others. Who noted it meanwhile knows better.
        Atomics.compareExchange(this.words, word, kept, kept & ~(LIFE_MASK << LIFE_SHIFT));
        return;
      }
    }
  }

  /** In which step the row is: 16 of them are what its cache holds. */
  step(row: number): number {
    return Atomics.load(this.words, this.#row(row) + PREFIX_ROW.stamp);
  }

  /** Where the entry of a hash begins: the word of its `hi`; -1 where there is none. */
  find(lo: number, hi: number): number {
    const base = this.#set(lo);
    for (let way = 0; way < WAYS; way += 1) {
      if (Atomics.load(this.words, base + SET.hi + way) !== hi) continue;
      if (Atomics.load(this.words, base + SET.lo + way) === lo) return base + way;
    }
    return -1;
  }

  /** Whether a holder's word is still believed. */
  isHeld(holder: number): boolean {
    const row = holder >>> ROW_SHIFT;
    if (holder === 0 || row >= this.rowsMax) return false;
    const at = PREFIX_ROWS_WORD + row * PREFIX_ROW_WORDS;
    if (Atomics.load(this.words, at + PREFIX_ROW.life) !== ((holder >>> LIFE_SHIFT) & 15)) return false;
    const stamp = Atomics.load(this.words, at + PREFIX_ROW.stamp);
    return ((stamp - holder) & STAMP_MASK) <= CAPACITY_STEPS;
  }

  /** The word of holder `place` of the entry at `at`. */
  holderWord(at: number, place: number): number {
    const way = (at - this.#setsWord) % SET_WORDS;
    return at - way + SET.holders + way * HOLDERS + place;
  }

  #noteBlock(worker: number, lo: number, hi: number, holder: number, tick: number): number {
    const { words } = this;
    const own = 1 + ((holder >>> ROW_SHIFT) % FURTHER_MAX);
    for (const further of [0, own]) {
      const low = furtherLo(lo, further);
      const at = this.find(low, hi);
      if (at < 0) {
        this.#claim(worker, low, hi, holder, tick);
        return 1;
      }
      Atomics.store(words, at + SET.stamp, tick);
      const seen = this.#renew(at, holder);
      if (seen >= 0) return seen;
    }
    // All are taken: one of them goes, by chance.
    const at = this.find(furtherLo(lo, own), hi);
    if (at >= 0) Atomics.store(words, this.holderWord(at, (tick >>> 0) % HOLDERS), holder);
    return 1;
  }

  /** 0: the row holds it already; 1: now it does; -1: there is no room here. */
  #renew(at: number, holder: number): number {
    const { words } = this;
    let free = -1;
    for (let place = 0; place < HOLDERS; place += 1) {
      const word = this.holderWord(at, place);
      const kept = Atomics.load(words, word);
      if (kept !== 0 && kept >>> ROW_SHIFT === holder >>> ROW_SHIFT) {
        const isHeld = this.isHeld(kept);
        if (kept !== holder) Atomics.store(words, word, holder);
        return isHeld ? 0 : 1;
      }
      if (free < 0 && !this.isHeld(kept)) free = word;
    }
    if (free < 0) return -1;
    Atomics.store(words, free, holder);
    return 1;
  }

  #claim(worker: number, lo: number, hi: number, holder: number, tick: number): void {
    const { words } = this;
    const base = this.#set(lo);
    let way = 0;
    let oldest = -1;
    for (let each = 0; each < WAYS; each += 1) {
      const isEmpty = Atomics.load(words, base + SET.hi + each) === 0;
      const age = isEmpty ? 0x1_0000_0000 : (tick - Atomics.load(words, base + SET.stamp + each)) >>> 0;
      if (age <= oldest) continue;
      oldest = age;
      way = each;
    }
    const at = base + way;
    const before = Atomics.load(words, at + SET.hi);
    const claim = worker + 1;
    // Another one was faster: the block is noted with the next request.
    if (Atomics.compareExchange(words, at + SET.hi, before, claim) !== before) return;
    if (before < 0) Atomics.add(words, PREFIX_HEADER.evictions, 1);
    else if (before === 0) Atomics.add(words, PREFIX_HEADER.entries, 1);
    Atomics.store(words, at + SET.lo, lo);
    Atomics.store(words, at + SET.stamp, tick);
    for (let place = 0; place < HOLDERS; place += 1) {
      Atomics.store(words, this.holderWord(at, place), place === 0 ? holder : 0);
    }
    Atomics.compareExchange(words, at + SET.hi, claim, hi);
  }

  #row(row: number): number {
    if (!(row >= 0 && row < this.rowsMax)) assert(false, `there is no row ${row}`);
    return PREFIX_ROWS_WORD + row * PREFIX_ROW_WORDS;
  }

  #set(lo: number): number {
    return this.#setsWord + (lo & (this.sets - 1)) * SET_WORDS;
  }
}

/** By which lower half further holders of a block are found. */
export function furtherLo(lo: number, further: number): number {
  return (lo + Math.imul(further, FURTHER_STEP)) | 0;
}

function unitOf(capacityTokens: number, bytesPerToken: number): number {
  const blocks = (capacityTokens * bytesPerToken) / PREFIX_BLOCK_BYTES;
  return Math.max(1, Math.min(0x7fff_ffff, Math.ceil(blocks / CAPACITY_STEPS)));
}
