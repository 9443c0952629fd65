/**
 * The main thread's side of the prefix index: what a row held is forgotten when it is given to another target, how much
 * its target's cache holds is taken from what it tells, and what other routers sent there is noted as what workers do.
 */
import type { Target } from "../fleet/target.ts";
import { openPrefixWork } from "../native.ts";
import { PrefixIndex } from "../score/prefix-index.ts";
import { PrefixLookup } from "../score/prefix-lookup.ts";
import type { PrefixConfig } from "../score/prefix-settings.ts";
import type { PrefixWork } from "../score/prefix-work.ts";
import type { HeardPrefix } from "../signal/prefix-news.ts";
import { ExactBlocks, MAIN } from "./exact-blocks.ts";
import type { PlaceInUse } from "./places.ts";
import { unpackNotes } from "./prefix-notes.ts";
import type { PrefixStart } from "./prefixes.ts";
import type { RouteModel } from "./protocol.ts";
import { sampleOf } from "./row-sample.ts";
import type { NumberedCounts } from "./served-models.ts";

/** A prompt went to the place of that key: its hashes, of which the last `fresh` are new there. */
export type TellPrefix = (key: number, hashes: Int32Array, fresh: number) => void;

/** As the score table has. */
export interface PrefixSizes {
  readonly rowsMax: number;
  readonly modelsMax: number;
}

export class PrefixRows {
  readonly index: PrefixIndex;
  /** As the workers need it. */
  readonly missWeight: number;
  readonly #capacityTokens: number;
  readonly #bytesPerToken: () => number;
  readonly #work: PrefixWork;
  /** By row, the key by which routers speak of its place; and the way back. */
  readonly #keys = new Map<number, number>();
  readonly #capacities = new Map<number, number>();
  readonly #rows = new Map<number, number>();
  #tell: TellPrefix | null = null;
  /** What engines tell of their caches, in the index. */
  readonly exact: ExactBlocks;

  private constructor(config: PrefixConfig, { rowsMax, modelsMax }: PrefixSizes, bytesPerToken: () => number) {
    this.index = PrefixIndex.create(config.indexBytes, rowsMax);
    this.missWeight = config.missWeight;
    this.#capacityTokens = config.capacityTokens;
    this.#bytesPerToken = bytesPerToken;
    this.#work = openPrefixWork(new PrefixLookup(this.index));
    this.exact = new ExactBlocks(this.index, modelsMax, (row) => this.#reset(row));
  }

  /** Null where it is turned off. */
  static create(config: PrefixConfig, sizes: PrefixSizes, bytesPerToken: () => number): PrefixRows | null {
    return config.enabled ? new PrefixRows(config, sizes, bytesPerToken) : null;
  }

  // ---- for metrics

  get entries(): number {
    return this.index.entries;
  }

  get entriesMax(): number {
    return this.index.entriesMax;
  }

  get evictions(): number {
    return this.index.evictions;
  }

  get followed(): number {
    return this.exact.engines;
  }

  /** What a worker needs of it. */
  start(): PrefixStart {
    return { index: this.index.buffer, sizes: this.exact.sizes, missWeight: this.missWeight };
  }

  /** Counts that begin anew with a row, and with them what it holds. */
  with(counts: NumberedCounts): NumberedCounts {
    return {
      resetModel: (model) => counts.resetModel(model),
      resetRow: (row, key) => {
        counts.resetRow(row, key);
        this.#name(row, key);
        this.#capacities.delete(row);
        this.#reset(row);
      },
    };
  }

  /** Takes capacities from the newest samples. */
  refresh(
    all: Iterable<PlaceInUse>,
    target: (id: string) => Target | undefined,
    models: Iterable<Pick<RouteModel, "id" | "name">>,
  ): void {
    const places = [...all];
    for (const place of places) {
      const of = target(place.target);
      const told = of === undefined ? undefined : sampleOf(of, place.model)?.kvCapacityTokens;
      const tokens = told !== undefined && told > 0 ? told : this.#capacityTokens;
      this.#capacities.set(place.row, tokens);
      this.index.setCapacity(place.row, tokens, this.#bytesPerToken());
    }
    this.exact.refresh(places, target, models);
  }

  /** What the row held is forgotten. */
  #reset(row: number): void {
    this.index.reset(row, this.#capacities.get(row) ?? this.#capacityTokens, this.#bytesPerToken());
  }

  /** What workers note goes there too, while `index.peers` says that somebody hears it. */
  share(tell: TellPrefix): void {
    this.#tell = tell;
  }

  /** Notes of a worker (prefix-notes.ts). */
  noted(packed: Int32Array): void {
    for (const { row, life, fresh, hashes } of unpackNotes(packed)) {
      const key = this.#keys.get(row);
      // What the row leads to now may be another target, or its cache was lost.
      if (key !== undefined && this.index.life(row) === life) this.#tell?.(key, hashes, fresh);
    }
  }

  /** Another router sent a prompt there. */
  heard({ key, chain, blocks }: HeardPrefix): void {
    const row = this.#rows.get(key);
    if (row !== undefined) this.#work.note(MAIN, row, chain, blocks);
  }

  #name(row: number, key: number): void {
    const before = this.#keys.get(row);
    if (before !== undefined && this.#rows.get(before) === row) this.#rows.delete(before);
    this.#keys.set(row, key);
    this.#rows.set(key, row);
  }
}
