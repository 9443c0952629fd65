/**
 * What engines tell of their KV caches (kv/), in the prefix index: so that a worker finds it by the lookup that it makes
 * anyway, where a prompt comes as token ids. A block that an engine holds is held by the rows of its target; one that it
 * drops is not any more, whoever believed so; an engine that begins anew takes what was believed of its rows with it, for
 * prompts of text too.
 *
 * What is told of is beside what is noted: a partial index, one that is behind, and blocks that are being computed leave
 * what routers believe. And what is held is told of once, while the index believes a holder as long as its cache's worth
 * was sent there: so all that an engine holds is put there again whenever half of that was; but not what may be out of
 * date, since something of it is missing or its node does not hear the engine. That expires as what is believed does.
 *
 * An engine is copied some blocks at a time. Limits: `ROWS_MAX` models of a target; of a model the size of blocks that most
 * of its rows have.
 */
import type { Target } from "../fleet/target.ts";
import type { BlockWatcher, RemoteIndex } from "../kv/remote-index.ts";
import { seedChain } from "../score/prefix-hash.ts";
import type { PrefixIndex } from "../score/prefix-index.ts";
import { CAPACITY_STEPS, STAMP_MASK } from "../score/prefix-layout.ts";
import type { PlaceInUse } from "./places.ts";
import type { RouteModel } from "./protocol.ts";
import { sampleOf } from "./row-sample.ts";
import { ADAPTER, isEntry, lowerOf, strideOf, upperOf } from "./token-chain.ts";

/** Claims entries in the main thread's name: no worker has that number. */
export const MAIN = 65_535;
const ROWS_MAX = 8;
/** Blocks that are copied in one go, and the pause after it. */
const COPIED = 4096;
const PAUSE_MS = 5;

interface ToldRow {
  readonly row: number;
  readonly model: number;
  readonly isAdapter: boolean;
  readonly life: number;
  /** Of its model's name. */
  readonly lower: number;
  readonly upper: number;
}

interface Followed {
  index: RemoteIndex;
  rows: readonly ToldRow[];
  /** Of one target, itself among them: ranks of its runtime. */
  kin: readonly Followed[];
  /** Tokens of its blocks, 0 before the first; it stays while the engine is empty. */
  size: number;
  stride: number;
  /** Of its first row when it was copied last. */
  step: number;
  copying: Iterator<readonly [key: number, depth: number]> | null;
  /** It is to be copied as soon as it can be trusted. */
  isDue: boolean;
}

type EnginesOf = (target: Target) => readonly RemoteIndex[];

const encoder = new TextEncoder();

export class ExactBlocks implements BlockWatcher {
  /** By model, how many tokens a block has by which its prompts of token ids are looked up, int32; 0: as text is. */
  readonly sizes: SharedArrayBuffer;
  readonly #sizes: Int32Array;
  readonly #index: PrefixIndex;
  /** What a row held is lost. */
  readonly #lost: (row: number) => void;
  #enginesOf: EnginesOf = () => [];
  readonly #followed = new Map<RemoteIndex, Followed>();
  readonly #copies = new Set<Followed>();
  readonly #seeds = new Map<string, Int32Array>();
  #timer: ReturnType<typeof setTimeout> | undefined;

  constructor(index: PrefixIndex, modelsMax: number, lost: (row: number) => void) {
    this.sizes = new SharedArrayBuffer(modelsMax * 4);
    this.#sizes = new Int32Array(this.sizes);
    this.#index = index;
    this.#lost = lost;
  }

  /** Engines whose blocks are in the index. */
  get engines(): number {
    return this.#followed.size;
  }

  /** Engines that are being copied. */
  get copies(): number {
    return this.#copies.size;
  }

  /** Something is told of these from now on. */
  begin(enginesOf: EnginesOf): void {
    this.#enginesOf = enginesOf;
  }

  held(index: RemoteIndex, key: number, depth: number): void {
    const one = this.#followed.get(index);
    if (one !== undefined) this.#put(one, key, depth);
  }

  gone(index: RemoteIndex, key: number, depth: number): void {
    const one = this.#followed.get(index);
    if (one !== undefined) this.#drop(one, key, depth);
  }

  replaced(before: RemoteIndex, index: RemoteIndex): void {
    const one = this.#followed.get(before);
    if (one === undefined) return;
    this.#followed.delete(before);
    this.#followed.set(index, one);
    one.index = index;
    for (const [key, depth] of before.blocks()) if (!index.has(key)) this.#drop(one, key, depth);
    this.#copy(one);
  }

  /** Where other ranks hold something, nobody knows which of what was believed is gone. */
  emptied(index: RemoteIndex): void {
    const one = this.#followed.get(index);
    if (one?.kin.every((other) => other === one || other.index.size === 0) !== true) return;
    // The next look finds rows of another life, and copies what comes until then.
    for (const { row } of one.rows) this.#lost(row);
  }

  ended(index: RemoteIndex): void {
    const one = this.#followed.get(index);
    if (one !== undefined) this.#copies.delete(one);
    this.#followed.delete(index);
  }

  /** Looks which engines and rows there are now. `models`: with those of pools, which are of the same name. */
  refresh(
    places: Iterable<PlaceInUse>,
    target: (id: string) => Target | undefined,
    models: Iterable<Pick<RouteModel, "id" | "name">>,
  ): void {
    const byTarget = Map.groupBy(places, (place) => place.target);
    const sizes = new Map<string, number[]>();
    const seen = new Set<RemoteIndex>();
    for (const [id, all] of byTarget) {
      const of = target(id);
      const engines = of === undefined ? [] : this.#enginesOf(of);
      if (of === undefined || engines.length === 0) continue;
      const isAdapter = ({ model }: PlaceInUse): boolean => sampleOf(of, model)?.parent !== undefined;
      const told = [...all.filter((place) => !isAdapter(place)), ...all.filter(isAdapter)].slice(0, ROWS_MAX);
      const size = this.#follow(engines, told, isAdapter);
      for (const engine of engines) seen.add(engine);
      for (const place of size === 0 ? [] : told) {
        const marked = markedSize(size, isAdapter(place));
        const others = sizes.get(place.model);
        if (others === undefined) sizes.set(place.model, [marked]);
        else others.push(marked);
      }
    }
    for (const index of this.#followed.keys()) if (!seen.has(index)) this.ended(index);
    const names = new Map(Array.from(models, ({ id, name }) => [id, name]));
    for (let model = 0; model < this.#sizes.length; model += 1) {
      Atomics.store(this.#sizes, model, usual(sizes.get(names.get(model) ?? "") ?? []));
    }
  }

  /** The engines of a target and its rows, by which they are copied where either has changed; answers their blocks' size. */
  #follow(
    engines: readonly RemoteIndex[],
    places: readonly PlaceInUse[],
    isAdapter: (place: PlaceInUse) => boolean,
  ): number {
    const kin: Followed[] = [];
    const rows = places.map((place) => {
      const { row, model, modelId } = place;
      const [lower = 0, upper = 0] = this.#seedOf(model);
      return { row, model: modelId, isAdapter: isAdapter(place), life: this.#index.life(row), lower, upper };
    });
    for (const index of engines) {
      const one = this.#followed.get(index) ?? {
        index,
        rows: [],
        kin,
        size: 0,
        stride: 0,
        step: 0,
        copying: null,
        isDue: false,
      };
      this.#followed.set(index, one);
      kin.push(one);
      if (index.blockTokens > 0) one.size = index.blockTokens;
      const stride = one.size === 0 ? 0 : strideOf(one.size);
      const isSame = one.stride === stride && Bun.deepEquals(one.rows, rows);
      one.rows = rows;
      one.kin = kin;
      one.stride = stride;
      if (!isSame || this.#sinceCopy(one) >= CAPACITY_STEPS / 2) one.isDue = true;
      if (one.isDue && index.isCurrent && index.isHeard) this.#copy(one);
    }
    return Math.max(...kin.map(({ size }) => size));
  }

  #sinceCopy({ rows, step }: Followed): number {
    const [first] = rows;
    return first === undefined ? 0 : (this.#index.step(first.row) - step) & STAMP_MASK;
  }

  #copy(one: Followed): void {
    const [first] = one.rows;
    one.step = first === undefined ? 0 : this.#index.step(first.row);
    one.copying = one.index.blocks();
    one.isDue = false;
    this.#copies.add(one);
    if (this.#timer === undefined) this.#timer = setTimeout(() => this.#copyOn(), PAUSE_MS);
  }

  #copyOn(): void {
    this.#timer = undefined;
    let left = COPIED;
    for (const one of this.#copies) {
      for (; left > 0; left -= 1) {
        const next = one.copying?.next();
        if (next === undefined || next.done === true) break;
        this.#put(one, ...next.value);
      }
      if (left === 0) break;
      one.copying = null;
      this.#copies.delete(one);
    }
    if (this.#copies.size > 0) this.#timer = setTimeout(() => this.#copyOn(), PAUSE_MS);
  }

  #put(one: Followed, key: number, depth: number): void {
    if (one.stride === 0) this.#sized(one);
    if (!isEntry(depth, one.stride)) return;
    for (const { row, life, lower, upper } of one.rows) {
      // Another target's meanwhile, or emptied: the next look finds that.
      if (this.#index.life(row) !== life) continue;
      this.#index.put(MAIN, row, lowerOf(key, lower), upperOf(key, upper));
    }
  }

  /** The first block of an engine tells how long they are; until the next look it is alone in that. */
  #sized(one: Followed): void {
    one.size = one.index.blockTokens;
    one.stride = strideOf(one.size);
    for (const { model, isAdapter } of one.rows) {
      Atomics.compareExchange(this.#sizes, model, 0, markedSize(one.size, isAdapter));
    }
  }

  #drop({ rows, kin, stride }: Followed, key: number, depth: number): void {
    if (stride === 0 || !isEntry(depth, stride) || kin.some(({ index }) => index.has(key))) return;
    for (const { row, lower, upper } of rows) this.#index.drop(row, lowerOf(key, lower), upperOf(key, upper));
  }

  #seedOf(model: string): Int32Array {
    let seed = this.#seeds.get(model);
    if (seed === undefined) {
      seed = new Int32Array(4);
      seedChain(seed, encoder.encode(model));
      if (this.#seeds.size >= this.#sizes.length) this.#seeds.clear();
      this.#seeds.set(model, seed);
    }
    return seed;
  }
}

function markedSize(size: number, isAdapter: boolean): number {
  return isAdapter ? size | ADAPTER : size;
}

/** What most have; 0 of none. */
function usual(sizes: readonly number[]): number {
  let best = 0;
  let most = 0;
  for (const [size, all] of Map.groupBy(sizes, (each) => each)) {
    if (all.length <= most) continue;
    best = size;
    most = all.length;
  }
  return best;
}
