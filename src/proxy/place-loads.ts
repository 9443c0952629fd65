/** What routers have in flight at places: this one by the score table, the others as they tell of it. */
import type { ScoreTable } from "../score/table.ts";
import { type Load, NO_LOAD } from "../signal/flights.ts";
import type { Place } from "./places.ts";

/** What the other routers have in flight at a place, by its key. */
export type Others = (key: number) => Load;

/** What a target had in flight from all routers, as far as it was known here, when its sample was taken. */
export type LoadMark = ReadonlyMap<string, Load>;

type Placed = Pick<Place, "row" | "key">;

export class PlaceLoads {
  readonly #table: ScoreTable;
  readonly #others: Others;

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
