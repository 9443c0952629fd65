/**
 * The keys by which routers' desks speak of models and places (base/key.ts), and what this router has under them, by the
 * routes of now. Rows have other numbers at each router; a target's place for a model is the same at all.
 */
import { keyOf } from "../base/key.ts";
import { placeKey } from "../signal/flights.ts";
import type { RouteSnapshot } from "./protocol.ts";

interface Place {
  readonly row: number;
  /** Of its model, in its pool. */
  readonly model: number;
}

const DIGESTS = 2 ** 48;

export class PlaceKeys {
  #routes: Pick<RouteSnapshot, "models" | "rows">;
  #isRead = false;
  readonly #modelKeys = new Map<number, number>();
  readonly #models = new Map<number, number>();
  readonly #digests = new Map<number, number>();
  readonly #keys = new Map<number, number>();
  readonly #rows = new Map<number, Place>();

  constructor(routes: Pick<RouteSnapshot, "models" | "rows">) {
    this.#routes = routes;
  }

  /** There are others. */
  set routes(routes: Pick<RouteSnapshot, "models" | "rows">) {
    this.#routes = routes;
    this.#isRead = false;
  }

  /** Of the model of that number; -1: there is none. */
  modelKey(model: number): number {
    this.#read();
    return this.#modelKeys.get(model) ?? -1;
  }

  /** The model of that key; -1: there is none. */
  model(key: number): number {
    this.#read();
    return this.#models.get(key) ?? -1;
  }

  /** Of all places of the model: the sum of their keys; -1: it has none. */
  digest(model: number): number {
    this.#read();
    return this.#digests.get(model) ?? -1;
  }

  /** Of the place that the row leads to; -1: it leads nowhere. */
  key(row: number): number {
    this.#read();
    return this.#keys.get(row) ?? -1;
  }

  /** The row that leads to the place, for the model; -1: there is none. */
  row(model: number, key: number): number {
    this.#read();
    const place = this.#rows.get(key);
    return place?.model === model ? place.row : -1;
  }

  #read(): void {
    if (this.#isRead) return;
    this.#isRead = true;
    for (const map of [this.#modelKeys, this.#models, this.#digests, this.#keys, this.#rows]) map.clear();
    const names = new Map<number, string>();
    for (const { id, name, protocol, pool = "" } of this.#routes.models) {
      const key = keyOf(`${protocol}\n${pool}\n${name}`);
      names.set(id, name);
      this.#modelKeys.set(id, key);
      this.#models.set(key, id);
    }
    for (const { row, model, node } of this.#routes.rows) {
      const key = placeKey(node, names.get(model) ?? "");
      this.#keys.set(row, key);
      this.#rows.set(key, { row, model });
      this.#digests.set(model, ((this.#digests.get(model) ?? 0) + key) % DIGESTS);
    }
  }
}
