/** Reads GGUF files as ggml's docs/gguf.md has them, by numbers of its own; throws where one breaks the format. */

export interface ReadTensor {
  readonly shape: readonly number[];
  readonly type: number;
  readonly offset: number;
}

export interface ReadModel {
  readonly version: number;
  readonly metadata: ReadonlyMap<string, unknown>;
  readonly tensors: ReadonlyMap<string, ReadTensor>;
  /** Where the tensors' data begins. */
  readonly start: number;
}

const ALIGNMENT = 32;
const STRING = 8;
const ARRAY = 9;

export function readGguf(file: Uint8Array): ReadModel {
  const reader = new Reader(file);
  if (reader.text(4) !== "GGUF") throw new Error("no magic");
  const version = reader.u32();
  const tensorCount = reader.u64();
  const metadataCount = reader.u64();
  const metadata = new Map<string, unknown>();
  for (let i = 0; i < metadataCount; i += 1) {
    const key = reader.string();
    if (!/^[a-z0-9_]+(\.[a-z0-9_]+)*$/.test(key) || metadata.has(key)) throw new Error(`key ${key}`);
    metadata.set(key, reader.value(reader.u32()));
  }
  const tensors = new Map<string, ReadTensor>();
  for (let i = 0; i < tensorCount; i += 1) {
    const name = reader.string();
    if (tensors.has(name) || name.length > 64) throw new Error(`tensor ${name}`);
    const dimensions = reader.u32();
    if (dimensions < 1 || dimensions > 4) throw new Error(`tensor ${name} of ${dimensions} dimensions`);
    const shape = Array.from({ length: dimensions }, () => reader.u64());
    tensors.set(name, { shape, type: reader.u32(), offset: reader.u64() });
  }
  return { version, metadata, tensors, start: Math.ceil(reader.at / ALIGNMENT) * ALIGNMENT };
}

class Reader {
  readonly #view: DataView;
  at = 0;

  constructor(file: Uint8Array) {
    this.#view = new DataView(file.buffer, file.byteOffset, file.byteLength);
  }

  u32(): number {
    this.at += 4;
    return this.#view.getUint32(this.at - 4, true);
  }

  u64(): number {
    this.at += 8;
    const value = this.#view.getBigUint64(this.at - 8, true);
    if (value > 2n ** 40n) throw new Error(`${value} at ${this.at - 8}`);
    return Number(value);
  }

  text(length: number): string {
    const bytes = new Uint8Array(this.#view.buffer, this.#view.byteOffset + this.at, length);
    this.at += length;
    return new TextDecoder("utf-8", { fatal: true }).decode(bytes);
  }

  string(): string {
    return this.text(this.u64());
  }

  value(type: number): unknown {
    if (type === STRING) return this.string();
    if (type === ARRAY) {
      const of = this.u32();
      return Array.from({ length: this.u64() }, () => this.value(of));
    }
    const { size, read } = this.#scalar(type);
    this.at += size;
    return read(this.at - size);
  }

  #scalar(type: number): { size: number; read: (at: number) => unknown } {
    const view = this.#view;
    switch (type) {
      case 4:
        return { size: 4, read: (at) => view.getUint32(at, true) };
      case 5:
        return { size: 4, read: (at) => view.getInt32(at, true) };
      case 6:
        return { size: 4, read: (at) => view.getFloat32(at, true) };
      case 7:
        return { size: 1, read: (at) => view.getInt8(at) === 1 };
      default:
        throw new Error(`value of type ${type}`);
    }
  }
}
