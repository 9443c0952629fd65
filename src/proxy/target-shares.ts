/** Which places are in other routers' shares (score/own-share.ts), as far as this router knows who is there. */
import { ownShare } from "../score/own-share.ts";
import type { Place } from "./places.ts";

type Placed = Pick<Place, "key" | "model">;

export class TargetShares {
  readonly #places: () => Iterable<Placed>;
  /** All routers by their names in order, and which this one is. */
  #routers: readonly string[] = [];
  #self = 0;
  /** By model; undefined: they are to be worked out. */
  #own: Map<string, Set<number>> | undefined;

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
  isOthers({ key, model }: Placed): boolean {
    if (this.#routers.length < 2) return false;
    this.#own ??= this.#shares();
    return this.#own.get(model)?.has(key) === false;
  }

  #shares(): Map<string, Set<number>> {
    const models = Map.groupBy(this.#places(), ({ model }) => model);
    const own = new Map<string, Set<number>>();
    for (const [model, places] of models) {
      const keys = places.map(({ key }) => key);
      own.set(model, ownShare(keys, this.#self, this.#routers.length));
    }
    return own;
  }
}
