/**
 * WebAssembly modules for tests, put together by hand: there is no assembler among the project's packages.
 *
 * The strategy of docs/strategies.md, in the text format:
 *
 *   (module
 *     (memory (export "memory") 1)
 *     (func (export "infermesh_abi") (result i32) (i32.const 1))
 *     (func (export "reserve") (param i32) (result i32) (i32.const 1024))
 *     ;; The last of those that may be sent to.
 *     (func (export "choose") (param $n i32) (param f64 f64) (param i32) (param f64) (result i32)
 *       (loop $next
 *         (local.set $n (i32.sub (local.get $n) (i32.const 1)))
 *         (if (i32.lt_s (local.get $n) (i32.const 0)) (then (return (i32.const -1))))
 *         (br_if $next (f64.eq (f64.const 0)
 *           (f64.load offset=1024 (i32.mul (local.get $n) (i32.const 8))))))
 *       (local.get $n)))
 */

const MAGIC = [0, 0x61, 0x73, 0x6d, 1, 0, 0, 0];
const I32 = 0x7f;
const F64 = 0x7c;

/** A number in LEB128. */
function leb(value: number): number[] {
  const bytes: number[] = [];
  for (let left = value; ; left >>>= 7) {
    bytes.push(left > 127 ? (left & 127) | 128 : left);
    if (left <= 127) return bytes;
  }
}

const signed = (value: number): number[] => {
  const bytes: number[] = [];
  for (let left = value; ;) {
    const byte = left & 127;
    left >>= 7;
    const isLast = (left === 0 && (byte & 64) === 0) || (left === -1 && (byte & 64) !== 0);
    bytes.push(isLast ? byte : byte | 128);
    if (isLast) return bytes;
  }
};
const vector = (items: readonly (readonly number[])[]): number[] => [...leb(items.length), ...items.flat()];
const text = (word: string): number[] => [...leb(word.length), ...Buffer.from(word)];
const section = (id: number, body: readonly number[]): number[] => [id, ...leb(body.length), ...body];
const code = (...body: readonly number[]): number[] => {
  const whole = [0, ...body, 0x0b];
  return [...leb(whole.length), ...whole];
};
const constant = (value: number): number[] => [0x41, ...signed(value)];

/** Bodies of `choose`. */
export const CHOOSES = {
  /** As above. */
  last: [
    [0x03, 0x40], // loop
    [0x20, 0, ...constant(1), 0x6b, 0x21, 0], // n = n - 1
    [0x20, 0, ...constant(0), 0x48, 0x04, 0x40, ...constant(-1), 0x0f, 0x0b], // if n < 0 return -1
    [0x44, 0, 0, 0, 0, 0, 0, 0, 0], // f64 0
    [0x20, 0, ...constant(8), 0x6c, 0x2b, 3, ...leb(1024)], // f64.load offset=1024 (n * 8)
    [0x61, 0x0d, 0, 0x0b], // f64.eq, br_if; the end of the loop
    [0x20, 0],
  ].flat(),
  /** Always the first. */
  first: constant(0),
  /** Leaves it to others. */
  nobody: constant(-1),
  /** One that there is not. */
  stranger: constant(77),
  /** Traps. */
  trap: [0x00],
} as const;

export function wasm(
  choose: readonly number[],
  {
    abi = 1,
    at = 1024,
    imports = false,
    isWhole = true,
  }: { abi?: number; at?: number; imports?: boolean; isWhole?: boolean } = {},
): Uint8Array {
  const types = vector([
    [0x60, ...vector([]), ...vector([[I32]])],
    [0x60, ...vector([[I32]]), ...vector([[I32]])],
    [0x60, ...vector([[I32], [F64], [F64], [I32], [F64]]), ...vector([[I32]])],
  ]);
  const first = imports ? 1 : 0;
  const functions = ["infermesh_abi", "reserve", ...(isWhole ? ["choose"] : [])];
  const exported = [[...text("memory"), 0x02, 0], ...functions.map((name, at_) => [...text(name), 0x00, first + at_])];
  return Uint8Array.from([
    ...MAGIC,
    ...section(1, types),
    ...(imports ? section(2, vector([[...text("env"), ...text("now"), 0x00, 0]])) : []),
    ...section(3, vector([[0], [1], [2]])),
    ...section(5, vector([[0, 1]])),
    ...section(7, vector(exported)),
    ...section(10, vector([code(...constant(abi)), code(...constant(at)), code(...choose)])),
  ]);
}
