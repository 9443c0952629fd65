/**
 * What is kept of one family of a page: its series as they were on the last page, and what they make together, for the
 * runtime and for each of its models.
 *
 * Counters and histograms are sums of growth: each series' own growth is taken and added up, so that a series that comes,
 * goes or begins anew harms none of the others. What fell has begun anew, from 0. A series that was not there on the page
 * before began at 0 since then; on the first page nothing is known of before. A histogram is a vector: its sum, its count,
 * then its buckets in the order in which they were first seen; one that is new counts from there on.
 *
 * Limits: 4,096 series of a family, 128 buckets of a histogram; those beyond are not counted.
 */
import { FNV_BASIS, FNV_PRIME } from "../wire/octets.ts";
import type { LabelSet } from "../wire/prometheus-labels.ts";
import type { Suffix } from "../wire/prometheus-families.ts";
import { Cell } from "./metric-cell.ts";

export const SERIES_MAX = 4096;
export const BUCKETS_MAX = 128;
/** A series that is on none of so many pages is forgotten. */
const PAGES_MAX = 64;

/** Places in a histogram's vector. A counter has the first one alone. */
export const SUM = 0;
export const COUNT = 1;
const BUCKETS = 2;

export interface SlotSpec {
  /** `value` also for what is counted but read as it stands; `text` for a label of which only a change matters. */
  readonly kind: "value" | "label" | "text" | "counter" | "histogram";
  readonly family: string;
  /** What a sample's name has behind the family's; of histograms any of theirs. */
  readonly suffix: Suffix;
  /** Of kinds `label` and `text`: which. */
  readonly label: string;
  readonly where: readonly (readonly [label: string, value: string])[];
}

/** One counter or histogram as a page has it. */
interface Series {
  /** Of its model; undefined where it names none, or where models share. */
  readonly cell: Cell | undefined;
  page: number;
  isNew: boolean;
  /** NaN where nothing was told. */
  last: Float64Array;
  current: Float64Array;
}

/** What was made of a sample: the same can be made of another value without a look at its labels. */
export interface Kept {
  /** Of a counter or histogram. */
  readonly series: Series | undefined;
  readonly place: number;
  /** Of a value or label. */
  readonly whole: Cell | undefined;
  readonly own: Cell | undefined;
  /** Of a label: what counts in the place of the value. */
  readonly number: number | undefined;
}

/** Makes of a value what was made of the one before. */
export function takeAgain({ series, place, whole, own, number }: Kept, value: number, page: number): void {
  if (series !== undefined) {
    if (Number.isFinite(value) && value >= 0) set(series, place, value, page);
    return;
  }
  const counted = number ?? value;
  if (!Number.isFinite(counted)) return;
  whole?.add(counted, page);
  own?.add(counted, page);
}

function set(series: Series, place: number, value: number, page: number): void {
  if (series.page !== page) {
    series.page = page;
    series.current.fill(NaN);
  }
  series.current[place] = value;
}

export class Slot {
  readonly spec: SlotSpec;
  /** Of the runtime as a whole. */
  readonly whole = new Cell();
  /** Upper bounds of the buckets, ascending, and at which place of the vector each is. */
  bounds: number[] = [];
  places: number[] = [];
  /** Samples that were beyond a limit. */
  ignored = 0;
  readonly #series = new Map<number, Series>();
  /** By the text of `le`, as the page writes it. */
  readonly #placeOf = new Map<string, number>();

  constructor(spec: SlotSpec) {
    this.spec = spec;
  }

  clear(): void {
    this.#series.clear();
    this.#placeOf.clear();
    this.bounds = [];
    this.places = [];
    this.ignored = 0;
  }

  /** What comes on the page that is being read is of another process. */
  renew(): void {
    for (const series of this.#series.values()) series.isNew = true;
  }

  accepts(suffix: Suffix, labels: LabelSet): boolean {
    const { spec } = this;
    const isPart =
      spec.kind === "histogram"
        ? suffix === "_bucket" || suffix === "_sum" || suffix === "_count"
        : suffix === spec.suffix;
    if (!isPart) return false;
    for (const [label, value] of spec.where) if ((labels.get(label) ?? "") !== value) return false;
    return true;
  }

  /**
   * Takes a sample of a page that is being read. `cellOf` is asked for the model's cell when the series is a new one. Tells
   * what was made of it; undefined where nothing was.
   */
  take(
    suffix: Suffix,
    labels: LabelSet,
    value: number,
    page: number,
    cellOf: () => Cell | undefined,
  ): Kept | undefined {
    const { kind, label } = this.spec;
    if (kind === "counter" || kind === "histogram") {
      return Number.isFinite(value) && value >= 0 ? this.#count(suffix, labels, value, page, cellOf) : undefined;
    }
    const text = kind === "value" ? "" : (labels.get(label) ?? "");
    const number = kind === "value" ? value : kind === "label" ? numberOf(text) : textHash(text);
    if (!Number.isFinite(number)) return undefined;
    const own = cellOf();
    this.whole.add(number, page);
    own?.add(number, page);
    return { series: undefined, place: 0, whole: this.whole, own, number: kind === "value" ? undefined : number };
  }

  /**
   * The page was whole: what its counters grew counts. `hasBefore`: a page of the same process was read before. Whether a
   * series was forgotten.
   */
  commit(page: number, hasBefore: boolean): boolean {
    let isForgotten = false;
    for (const [key, series] of this.#series) {
      if (series.page === page) this.#settle(series, page, hasBefore);
      else if (page - series.page > PAGES_MAX) isForgotten = this.#series.delete(key) || isForgotten;
    }
    return isForgotten;
  }

  #count(
    suffix: Suffix,
    labels: LabelSet,
    value: number,
    page: number,
    cellOf: () => Cell | undefined,
  ): Kept | undefined {
    const at = suffix === "_bucket" ? this.#bucket(labels.get("le") ?? "") : suffix === "_count" ? COUNT : SUM;
    if (at < 0) return undefined;
    const place = this.spec.kind === "counter" ? SUM : at;
    const key = labels.key("le");
    let series = this.#series.get(key);
    if (series === undefined) {
      if (this.#series.size >= SERIES_MAX) {
        this.ignored++;
        return undefined;
      }
      const width = this.spec.kind === "counter" ? 1 : BUCKETS + Math.max(16, this.bounds.length);
      const nothing = new Float64Array(width).fill(NaN);
      series = { cell: cellOf(), page: 0, isNew: true, last: nothing, current: nothing.slice() };
      this.#series.set(key, series);
    }
    if (place >= series.current.length) {
      series.current = widened(series.current, place + 1);
      series.last = widened(series.last, place + 1);
    }
    set(series, place, value, page);
    return { series, place, whole: undefined, own: undefined, number: undefined };
  }

  /** The place of the bucket with this bound; -1 for one that is no number, or one too many. */
  #bucket(le: string): number {
    const known = this.#placeOf.get(le);
    if (known !== undefined) return known;
    const bound = boundOf(le);
    let place = -1;
    if (!Number.isNaN(bound)) {
      const same = this.bounds.indexOf(bound);
      if (same >= 0) place = this.places[same]!;
      else if (this.bounds.length < BUCKETS_MAX) place = this.#addBound(bound);
    }
    if (place < 0) this.ignored++;
    else if (this.#placeOf.size < BUCKETS_MAX * 2) this.#placeOf.set(le, place);
    return place;
  }

  #addBound(bound: number): number {
    const place = BUCKETS + this.bounds.length;
    let at = this.bounds.findIndex((other) => other > bound);
    if (at < 0) at = this.bounds.length;
    this.bounds.splice(at, 0, bound);
    this.places.splice(at, 0, place);
    return place;
  }

  #settle(series: Series, page: number, hasBefore: boolean): void {
    const { current, last, cell, isNew } = series;
    const isFresh = !isNew && hasFallen(current, last);
    this.whole.page = page;
    if (cell !== undefined) cell.page = page;
    for (let place = 0; place < current.length; place++) {
      const value = current[place]!;
      if (Number.isNaN(value)) continue;
      const unknown = isNew ? !hasBefore : !isFresh && Number.isNaN(last[place]!);
      const growth = unknown ? 0 : Math.max(0, value - (isNew || isFresh ? 0 : last[place]!));
      this.whole.grow(place, growth);
      cell?.grow(place, growth);
      last[place] = value;
    }
    series.isNew = false;
  }
}

/** Whether it has begun anew. The sum may fall by itself where what is observed may be negative, so counts decide. */
function hasFallen(current: Float64Array, last: Float64Array): boolean {
  for (let place = current.length === 1 ? SUM : COUNT; place < current.length; place++) {
    if (current[place]! < last[place]!) return true;
  }
  return false;
}

function widened(vector: Float64Array, width: number): Float64Array {
  const wider = new Float64Array(Math.max(width, vector.length * 2)).fill(NaN);
  wider.set(vector);
  return wider;
}

/** Of labels such as num_gpu_blocks; NaN for what is no number, "None" among them. */
function numberOf(text: string): number {
  return /^[+-]?\d+(\.\d*)?([eE][+-]?\d+)?$/.test(text) ? Number(text) : NaN;
}

function boundOf(le: string): number {
  return /^\+?inf$/i.test(le) ? Infinity : numberOf(le);
}

function textHash(text: string): number {
  let hash = FNV_BASIS;
  for (let i = 0; i < text.length; i++) hash = Math.imul(hash ^ text.charCodeAt(i), FNV_PRIME);
  return hash >>> 0;
}
