/** Which places are in other routers' shares (score/own-share.ts), as far as this router knows who is there. */
import { ownShare } from "../score/own-share.ts";
import type { Place } from "./places.ts";

/** Of its route, the number that its targets are under: those of a part (prefill, decode, a revision) are shared by themselves. */
type Placed = Pick<Place, "key"> & { readonly route: Pick<Place["route"], "model"> };

export class TargetShares {
  readonly #places: () => Iterable<Placed>;
  /** All routers by their names in order, and which this one is. */
  #routers: readonly string[] = [];
  #self = 0;
  /** By that number; undefined: they are to be worked out. */
  #own: Map<number, Set<number>> | undefined;

  /** `places`: all that there are now. */
  constructor(places: () => Iterable<Placed>) {
    this.#places = places;
  }

  /** Who is there besides `self`, perhaps the same as before. */
  setRouters(self: string, others: Iterable<string>): void {
    const routers = [...new Set([...others, self])].toSorted();
    if (self === this.#routers[this.#self] && routers.join("\n") === this.#routers.join("\n")) return;
    this.#routers = routers;
    this.#self = routers.indexOf(self);
    this.#own = undefined;
  }

  /** There are other places. */
  changed(): void {
    this.#own = undefined;
  }

  /** Whether another router prefers it. */
  isOthers({ key, route }: Placed): boolean {
    if (this.#routers.length < 2) return false;
    this.#own ??= this.#shares();
    return this.#own.get(route.model)?.has(key) === false;
  }

  #shares(): Map<number, Set<number>> {
    const models = Map.groupBy(this.#places(), ({ route }) => route.model);
    const own = new Map<number, Set<number>>();
    for (const [model, places] of models) {
      const keys = places.map(({ key }) => key);
      own.set(model, ownShare(keys, this.#self, this.#routers.length));
    }
    return own;
  }
}
