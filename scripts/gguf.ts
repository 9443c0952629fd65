/**
 * Writes GGUF, the file format in which llama.cpp keeps models: version 3, little-endian. After a head (magic, version,
 * numbers of tensors and of metadata) come the metadata as typed keys, a table of the tensors, and their data, each at a
 * multiple of ALIGNMENT from where the data begins. Format: ggml's docs/gguf.md.
 *
 * Only what a model of 32-bit floats needs: no other type of tensor, and of arrays those of strings, floats and integers.
 */

const MAGIC = 0x46554747; // "GGUF"
const VERSION = 3;
/** What readers take where general.alignment is not given. */
export const ALIGNMENT = 32;
const TENSOR_F32 = 0;

/** Numbers of the types of values, as the format has them. */
export const TYPES = { u32: 4, i32: 5, f32: 6, bool: 7, string: 8, array: 9 } as const;
type Scalar =
  | { readonly u32: number }
  | { readonly f32: number }
  | { readonly bool: boolean }
  | { readonly string: string };
type Numbers = { readonly i32s: readonly number[] } | { readonly f32s: readonly number[] };
export type Value = Scalar | Numbers | { readonly strings: readonly string[] };

export interface Tensor {
  readonly name: string;
  /** Innermost first, as the format has it: a matrix of 3 rows of 5 is [5, 3]. */
  readonly shape: readonly number[];
  readonly data: Float32Array;
}

export interface Model {
  readonly metadata: Readonly<Record<string, Value>>;
  readonly tensors: readonly Tensor[];
}

/** The file. Throws a RangeError that names the tensor whose data is not of its shape. */
export function gguf({ metadata, tensors }: Model): Uint8Array {
  const head = new Writer();
  head.u32(MAGIC);
  head.u32(VERSION);
  head.u64(tensors.length);
  const entries = Object.entries(metadata);
  head.u64(entries.length);
  for (const [key, value] of entries) {
    head.string(key);
    head.value(value);
  }
  let offset = 0;
  for (const { name, shape, data } of tensors) {
    const length = shape.reduce((product, size) => product * size, 1);
    if (length !== data.length) {
      throw new RangeError(`tensor ${name}: ${data.length} values for a shape of ${shape.join(" x ")}; give ${length}`);
    }
    head.string(name);
    head.u32(shape.length);
    for (const size of shape) head.u64(size);
    head.u32(TENSOR_F32);
    head.u64(offset);
    offset = aligned(offset + data.byteLength);
  }
  const start = aligned(head.length);
  const file = new Uint8Array(start + offset);
  file.set(head.bytes());
  let at = start;
  for (const { data } of tensors) {
    file.set(littleEndian(data), at);
    at = aligned(at + data.byteLength);
  }
  return file;
}

const aligned = (offset: number): number => Math.ceil(offset / ALIGNMENT) * ALIGNMENT;

function littleEndian(data: Float32Array): Uint8Array {
  const bytes = new Uint8Array(data.byteLength);
  const view = new DataView(bytes.buffer);
  for (const [i, value] of data.entries()) view.setFloat32(i * 4, value, true);
  return bytes;
}

const encoder = new TextEncoder();

class Writer {
  #view = new DataView(new ArrayBuffer(4096));
  length = 0;

  bytes(): Uint8Array {
    return new Uint8Array(this.#view.buffer, 0, this.length);
  }

  u32(value: number): void {
    const at = this.#take(4);
    this.#view.setUint32(at, value, true);
  }

  u64(value: number): void {
    const at = this.#take(8);
    this.#view.setBigUint64(at, BigInt(value), true);
  }

  string(value: string): void {
    const bytes = encoder.encode(value);
    this.u64(bytes.length);
    const at = this.#take(bytes.length);
    new Uint8Array(this.#view.buffer).set(bytes, at);
  }

  value(value: Value): void {
    if ("u32" in value) {
      this.u32(TYPES.u32);
      this.u32(value.u32);
    } else if ("f32" in value) {
      this.u32(TYPES.f32);
      this.#f32(value.f32);
    } else if ("bool" in value) {
      this.u32(TYPES.bool);
      const at = this.#take(1);
      this.#view.setUint8(at, value.bool ? 1 : 0);
    } else if ("string" in value) {
      this.u32(TYPES.string);
      this.string(value.string);
    } else {
      this.u32(TYPES.array);
      this.#array(value);
    }
  }

  #array(value: Numbers | { readonly strings: readonly string[] }): void {
    if ("strings" in value) {
      this.#open(TYPES.string, value.strings.length);
      for (const each of value.strings) this.string(each);
    } else if ("f32s" in value) {
      this.#open(TYPES.f32, value.f32s.length);
      for (const each of value.f32s) this.#f32(each);
    } else {
      this.#open(TYPES.i32, value.i32s.length);
      for (const each of value.i32s) {
        const at = this.#take(4);
        this.#view.setInt32(at, each, true);
      }
    }
  }

  #open(type: number, length: number): void {
    this.u32(type);
    this.u64(length);
  }

  #f32(value: number): void {
    const at = this.#take(4);
    this.#view.setFloat32(at, value, true);
  }

  /** Room for so many bytes more; answers where they begin. The buffer may be another one after it. */
  #take(count: number): number {
    const at = this.length;
    this.length += count;
    if (this.length > this.#view.byteLength) {
      const grown = new Uint8Array(Math.max(this.length, this.#view.byteLength * 2));
      grown.set(new Uint8Array(this.#view.buffer, 0, at));
      this.#view = new DataView(grown.buffer);
    }
    return at;
  }
}
