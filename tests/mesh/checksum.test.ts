/** The native checksum is the core's. */
import { expect, test } from "bun:test";
import { Prng } from "../../src/base/prng.ts";
import { nativeChecksum } from "../../src/mesh/checksum.ts";
import { murmur3 } from "../../src/swim/wire.ts";

test("the native checksum is the core's, for any bytes, any part of them and any seed", () => {
  const prng = new Prng(20261124);
  const bytes = new Uint8Array(1500).map(() => prng.int(256));
  for (let round = 0; round < 20_000; round += 1) {
    const start = prng.int(100);
    const end = start + prng.int(bytes.length - start + 1);
    const seed = prng.nextU32() | 0;
    const told = { start, end, seed, sum: murmur3(bytes, start, end, seed) };
    expect({ ...told, sum: nativeChecksum(bytes, start, end, seed) }).toEqual(told);
  }
});
