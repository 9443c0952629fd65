/**
 * The router's door to native/: opens the C scorer where it can (native-library.ts), and the TypeScript one where it cannot.
 *
 * None of this may keep a router from working, so every fault ends in the TypeScript scorer, with one line that says why. A
 * library that opens is trusted only when it was built for this layout and answers a few picks as TypeScript does. That
 * takes some 20 ms of CPU, so it is tried once a process: threads that come later are told that it is proven.
 */

import { type Pointer, ptr } from "bun:ffi";
import { faultOf, type Opened, openSymbols } from "./native-library.ts";
import libraryPath from "../dist/native/libscorer.so" with { type: "file" };
import { assert } from "./base/assert.ts";
import { Prng } from "./base/prng.ts";
import { REQUEST, layoutWord } from "./score/layout.ts";
import { LOOKUP } from "./score/prefix-layout.ts";
import { type Picker, PickRequest } from "./score/pick.ts";
import { TypeScriptPicker } from "./score/scan.ts";
import { type PrefixWork, TypeScriptPrefixWork } from "./score/prefix-work.ts";
import { PrefixIndex } from "./score/prefix-index.ts";
import { PrefixLookup } from "./score/prefix-lookup.ts";
import { TableWriter } from "./score/table-writer.ts";
import { ScoreTable } from "./score/table.ts";

const SYMBOLS = {
  infermesh_layout: { args: [], returns: "i32" },
  infermesh_wide: { args: [], returns: "i32" },
  infermesh_pick: { args: ["ptr"], returns: "i32" },
  infermesh_hash: { args: ["ptr", "i32", "ptr", "i32", "i32", "i32"], returns: "i32" },
  infermesh_note: { args: ["ptr", "i32", "i32", "ptr", "i32"], returns: "i32" },
  infermesh_match: { args: ["ptr"], returns: "void" },
} as const;

type Library = Opened<typeof SYMBOLS>["symbols"];

class CPicker implements Picker {
  readonly kind = "c";
  readonly #call: Library["infermesh_pick"];
  /** Held for as long as C may read through its address. */
  readonly #words: Int32Array;
  readonly #address: Pointer;

  constructor(library: Library, table: ScoreTable) {
    this.#call = library.infermesh_pick;
    this.#words = table.words;
    this.#address = ptr(this.#words);
  }

  pick(request: PickRequest): number {
    if (request.owner !== this) this.#adopt(request);
    return this.#call(request.address as Pointer);
  }

  #adopt(request: PickRequest): void {
    const view = new DataView(request.buffer);
    const { prefix } = request;
    if (prefix !== null) address(prefix);
    view.setBigUint64(REQUEST.table, BigInt(this.#address), true);
    view.setBigUint64(REQUEST.prefix, prefix === null ? 0n : BigInt(ptr(prefix.buffer)), true);
    request.address = ptr(request.buffer);
    request.owner = this;
  }
}

/** Hashes, notes and questions in C; what C reads by addresses is held by the lookup. */
class CPrefixWork implements PrefixWork {
  readonly kind = "c";
  readonly lookup: PrefixLookup;
  readonly #library: Library;
  readonly #words: Pointer;
  readonly #question: Pointer;

  constructor(library: Library, lookup: PrefixLookup) {
    this.lookup = lookup;
    this.#library = library;
    this.#words = ptr(lookup.index.words);
    this.#question = ptr(lookup.buffer);
    address(lookup);
  }

  hash(...[bytes, start, end, chain, blocks, blocksMax, withRest]: Parameters<PrefixWork["hash"]>): number {
    if (end <= start) return blocks;
    const rest = withRest ? 1 : 0;
    return this.#library.infermesh_hash(ptr(bytes, start), end - start, ptr(chain), blocks, blocksMax, rest);
  }

  note(worker: number, row: number, chain: Int32Array, blocks: number): number {
    assert(row >= 0 && row < this.lookup.index.rowsMax, "the index has the row");
    return this.#library.infermesh_note(this.#words, worker, row, ptr(chain), blocks);
  }

  match(): void {
    this.#library.infermesh_match(this.#question);
  }
}

/** Fills a question's addresses in: of memory that lives as long as it. */
function address(lookup: PrefixLookup): void {
  const view = new DataView(lookup.buffer);
  const parts = { index: lookup.index.words, chain: lookup.chain, cached: lookup.cached, touched: lookup.touched };
  for (const [name, array] of Object.entries(parts)) {
    view.setBigUint64(LOOKUP[name as keyof typeof parts], BigInt(ptr(array)), true);
  }
}

/** Work on the index of the lookup: by the same library, else in TypeScript. */
export function openPrefixWork(lookup: PrefixLookup, path: string = libraryPath): PrefixWork {
  const { library } = libraryOf(path, false);
  return library === undefined ? new TypeScriptPrefixWork(lookup) : new CPrefixWork(library, lookup);
}

/** The library of this thread; it is opened and tested once. */
let opened: { library: Library | undefined; reason: string } | undefined;

/** Whether the library opens and passes, for threads of this process. */
export function isLibraryProven(): boolean {
  opened ??= openLibrary(libraryPath, false);
  return opened.library !== undefined;
}

/**
 * A scorer over the table: C where the library opens and passes, else TypeScript; `reason` tells in a line. `isProven`:
 * another thread of this process has found that it passes.
 */
export function openPicker(
  table: ScoreTable,
  { path = libraryPath, isProven = false }: { readonly path?: string; readonly isProven?: boolean } = {},
): { picker: Picker; reason: string } {
  const { library, reason } = libraryOf(path, isProven);
  return { picker: library === undefined ? new TypeScriptPicker(table) : new CPicker(library, table), reason };
}

function libraryOf(path: string, isProven: boolean): { library: Library | undefined; reason: string } {
  const own = path === libraryPath;
  const result = (own ? opened : undefined) ?? openLibrary(path, isProven);
  if (own) opened = result;
  return result;
}

function openLibrary(path: string, isProven: boolean): { library: Library | undefined; reason: string } {
  try {
    const { symbols: library, way } = openSymbols(path, SYMBOLS);
    if (library.infermesh_layout() !== layoutWord()) return refused("it was built for another table layout");
    const fault = isProven ? "" : selfTest(library);
    if (fault !== "") return refused(fault);
    return { library, reason: `${library.infermesh_wide() === 1 ? "C scorer with AVX2" : "C scorer"}${way}` };
  } catch (error) {
    return refused(faultOf(error));
  }
}

function refused(why: string): { library: undefined; reason: string } {
  return { library: undefined, reason: `TypeScript scorer, since the C scorer cannot be used: ${why}` };
}

function tried(rows: number): PrefixIndex {
  const index = PrefixIndex.create(65_536, rows);
  for (let row = 0; row < rows; row += 1) index.reset(row, 1e6, 4);
  return index;
}

/** Picks on a small table and index of its own, against TypeScript; "" when all agree. */
function selfTest(library: Library): string {
  const table = ScoreTable.create({ targetsMax: 192, modelsMax: 2, workersMax: 1 });
  const writer = new TableWriter(table);
  const prng = new Prng(1);
  const model = writer.addModel();
  for (let count = 0; count < 70; count += 1) {
    const row = writer.addRow(model);
    writer.write(row, {
      tokenOffset: prng.int(5000) - 1000,
      activeOffset: prng.int(20) - 5,
      secondsPerPrefillToken: prng.next() * 1e-4,
      secondsPerActive: prng.next() * 1e-3,
      slots: 1 + prng.int(16),
      secondsPerQueuedRequest: prng.next(),
      kvOffset: prng.next() * 3 - 2,
      kvPerToken: prng.next() * 1e-5,
      penaltySeconds: prng.next(),
      capacity: prng.int(30),
    });
    table.tryBegin(0, row, prng.int(4000));
  }
  const c = new CPicker(library, table);
  const twin = new TypeScriptPicker(table);
  const ours = new PickRequest();
  const theirs = new PickRequest();
  const lookups = [ours, theirs].map((request) => (request.prefix = new PrefixLookup(tried(table.rowsMax))));
  const works = lookups.map((one, at) => (at === 0 ? new CPrefixWork(library, one) : new TypeScriptPrefixWork(one)));
  const prompt = Uint8Array.from({ length: 6000 }, () => prng.int(256));
  for (let count = 0; count < 24; count += 1) {
    for (const work of works) {
      const { chain } = work.lookup;
      const blocks = work.hash(prompt, count % 3, 900 + count * 200, chain, 0, 8, count % 2 === 0);
      work.note(0, (count * 5) % 70, chain, blocks);
      work.lookup.ask(chain, blocks, 64, 0);
    }
    for (const request of [ours, theirs]) {
      request.model = model;
      request.promptTokens = 50 << (count % 12);
      request.seed = count * 2_654_435_761;
    }
    const row = c.pick(ours);
    const isSame = row === twin.pick(theirs) && ours.cost === theirs.cost && ours.ties === theirs.ties;
    const [chain = "", other] = lookups.map((one) => one.chain.join());
    if (!isSame || ours.cachedTokens !== theirs.cachedTokens || chain !== other) {
      return "it does not answer as the TypeScript scorer does";
    }
    const excluded = ours.exclude(row) && theirs.exclude(row);
    if (!excluded) for (const request of [ours, theirs]) request.clearExcluded();
  }
  return "";
}
