/**
 * Names by which models are asked for that are not their own: aliases, and names of models that nobody serves while one
 * that stands in for them is served. Made anew with each snapshot of the routes, so that a request costs a look-up in a
 * map, and nothing where none is configured.
 */
import type { Aliases } from "../flow/aliases.ts";
import { hashOf } from "./model-names.ts";

export interface OtherName {
  /** The model that serves it; -1 when none does: an alias hides a model of the same name all the same. */
  readonly id: number;
  readonly name: string;
  readonly bytes: Buffer;
  /** The model that is meant: the one that serves it, unless that one stands in. */
  readonly meant: string;
}

export class OtherNames {
  readonly #byName = new Map<string, OtherName>();
  readonly #byHash = new Map<number, OtherName[]>();

  /** `served` is the number of a model by its own name, or -1. */
  constructor(aliases: Aliases, served: (model: string) => number) {
    const add = (name: string, meant: string): void => {
      const model = [meant, ...aliases.fallbacks(meant)].find((one) => served(one) >= 0);
      this.#add({ id: model === undefined ? -1 : served(model), name, bytes: Buffer.from(name), meant });
    };
    for (const [alias, model] of aliases.models) add(alias, model);
    for (const model of aliases.withFallbacks) {
      if (served(model) < 0 && !this.#byName.has(model)) add(model, model);
    }
  }

  #add(other: OtherName): void {
    this.#byName.set(other.name, other);
    const hash = hashOf(other.bytes, 0, other.bytes.length);
    const bucket = this.#byHash.get(hash);
    if (bucket === undefined) this.#byHash.set(hash, [other]);
    else bucket.push(other);
  }

  get isEmpty(): boolean {
    return this.#byName.size === 0;
  }

  find(name: string): OtherName | null {
    return this.#byName.get(name) ?? null;
  }

  /** The one named by bytes [0, length) whose FNV-1a is `hash`. */
  findBytes(bytes: Uint8Array, length: number, hash: number): OtherName | null {
    for (const other of this.#byHash.get(hash) ?? []) {
      if (other.bytes.length === length && other.bytes.compare(bytes, 0, length) === 0) return other;
    }
    return null;
  }
}
