/** The models of one protocol by their names, as text or as the bytes that stand in a request. */
import type { HeaderField } from "../wire/header-field.ts";

interface Model {
  readonly id: number;
  readonly bytes: Buffer;
}

export class ModelNames {
  readonly #byHash = new Map<number, Model[]>();
  readonly #byName = new Map<string, number>();

  add(id: number, name: string): void {
    const model = { id, bytes: Buffer.from(name) };
    const hash = hashOf(model.bytes, 0, model.bytes.length);
    const bucket = this.#byHash.get(hash);
    if (bucket === undefined) this.#byHash.set(hash, [model]);
    else bucket.push(model);
    this.#byName.set(name, id);
  }

  clear(): void {
    this.#byHash.clear();
    this.#byName.clear();
  }

  /** The one model that there is, or -1. */
  get only(): number {
    if (this.#byName.size !== 1) return -1;
    for (const id of this.#byName.values()) return id;
    return -1;
  }

  /** The id of a model by its name, or -1. */
  find(name: string): number {
    return this.#byName.get(name) ?? -1;
  }

  /** The model named by bytes [start, end), or -1. Allocates nothing; `hash` is their FNV-1a where it is known. */
  findBytes(bytes: Uint8Array, start: number, end: number, hash = hashOf(bytes, start, end)): number {
    const bucket = this.#byHash.get(hash);
    if (bucket === undefined) return -1;
    for (const model of bucket) {
      if (model.bytes.length === end - start && model.bytes.compare(bytes, start, end) === 0) return model.id;
    }
    return -1;
  }

  /** The model named by a field's value, or -1. */
  findField(field: HeaderField): number {
    return this.findBytes(field.source, field.valueStart, field.source.length);
  }
}

/** FNV-1a: the hash that wire/ computes while it reads a name in a body. */
export function hashOf(bytes: Uint8Array, start: number, end: number): number {
  let hash = 0x811c9dc5;
  for (let i = start; i < end; i++) hash = Math.imul(hash ^ bytes[i]!, 0x01000193);
  return hash >>> 0;
}
