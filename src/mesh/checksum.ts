/** The checksum of the membership's frames, from Bun's native code. */

/**
 * MurmurHash3 of bytes[start, end), as murmur3 of swim/wire.ts. Once compiled, that one is as fast; but a process that
 * has just started interprets it, which takes 40 us for a full packet, and 1 us here. When hundreds of members start on
 * few cores, all of them interpret.
 */
export function nativeChecksum(bytes: Uint8Array, start: number, end: number, seed: number): number {
  return Bun.hash.murmur32v3(bytes.subarray(start, end), seed >>> 0) | 0;
}
