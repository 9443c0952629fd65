/**
 * What routers have in flight at places: this one by the score table, the others as they tell of it.
 *
 * Figures that an agent reads of its runtime now and then are up to a second old when they come, and count what was in
 * flight then, not now. So for the places of such targets it is noted again and again, and a sample's load is held
 * against that of its own moment: else a burst that was worked off since would look like somebody else's.
 */
import type { Target } from "../fleet/target.ts";
import type { ScoreTable } from "../score/table.ts";
import { type Load, NO_LOAD } from "../signal/flights.ts";
import type { Place } from "./places.ts";
import { loadAtMs, sampleOf } from "./row-sample.ts";

/** What the other routers have in flight at a place, by its key. */
export type Others = (key: number) => Load;

/** What a target had in flight from all routers, as far as it was known here, when its sample was taken. */
export type LoadMark = ReadonlyMap<string, Load>;

type Placed = Pick<Place, "row" | "key">;

export const LOADS_NOTED_EVERY_MS = 100;
/** Older figures than that are stale in any case. */
const NOTES = 32;

export class PlaceLoads {
  readonly #table: ScoreTable;
  readonly #others: Others;
  /** When the notes were made, the newest over the oldest. */
  readonly #notedMs = new Float64Array(NOTES).fill(-Infinity);
  #next = 0;

  constructor(table: ScoreTable, others: Others) {
    this.#table = table;
    this.#others = others;
  }

  own({ row }: Placed): Load {
    return { requests: this.#table.inFlight(row), tokens: this.#table.inFlightTokens(row) };
  }

  others({ key }: Placed): Load {
    return this.#others(key);
  }

  /** Of all routers now; or of this one at another moment, `own`, which was a moment ago. */
  all(place: Placed, own: Load = this.own(place)): Load {
    return plus(own, this.others(place));
  }

  /** Notes what is in flight now at those of these places of which it may be asked. */
  note(places: Iterable<Place>, nowMs: number): void {
    const at = this.#next;
    this.#next = (at + 1) % NOTES;
    this.#notedMs[at] = nowMs;
    for (const place of places) {
      if (place.past === null) continue;
      const { requests, tokens } = this.all(place);
      place.past[at * 2] = requests;
      place.past[at * 2 + 1] = tokens;
    }
  }

  /** What the newest sample of a place's target counts, as nearly as that was noted; `now` is what is in flight. */
  baseline(place: Place, target: Target, now: Load, nowMs: number): Load {
    const sample = sampleOf(target, place.model);
    const atMs = loadAtMs(target, sample);
    return sample?.figuresAgeMs === undefined || atMs === undefined ? now : this.#at(place, atMs, now, nowMs);
  }

  /** From the first call on a place is noted. */
  #at(place: Place, atMs: number, now: Load, nowMs: number): Load {
    const past = (place.past ??= new Float64Array(NOTES * 2).fill(Number.NaN));
    let nearest = -1;
    let distanceMs = Math.abs(nowMs - atMs);
    for (let note = 0; note < NOTES; note++) {
      const apartMs = Math.abs((this.#notedMs[note] ?? 0) - atMs);
      if (apartMs >= distanceMs || Number.isNaN(past[note * 2])) continue;
      nearest = note;
      distanceMs = apartMs;
    }
    if (nearest < 0) return now;
    return { requests: past[nearest * 2] ?? 0, tokens: past[nearest * 2 + 1] ?? 0 };
  }

  /** By the models of these places, which are all of one target. */
  mark(places: Iterable<Place>): LoadMark {
    const marks = new Map<string, Load>();
    for (const place of places) marks.set(place.model, this.all(place));
    return marks;
  }

  /** Of this router, over all these places. */
  sumOfOwn(places: Iterable<Placed>): Load {
    let sum = NO_LOAD;
    for (const place of places) sum = plus(sum, this.own(place));
    return sum;
  }

  sumOfOthers(places: Iterable<Placed>): Load {
    let sum = NO_LOAD;
    for (const place of places) sum = plus(sum, this.others(place));
    return sum;
  }
}

function plus(a: Load, b: Load): Load {
  return { requests: a.requests + b.requests, tokens: a.tokens + b.tokens };
}
