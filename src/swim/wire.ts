/**
 * What packets and state blobs are made of. A frame is
 *
 *     magic, version, cluster (2 bytes), checksum (4 bytes), body
 *
 * where `cluster` is a hash of the cluster's name, and `checksum` is Murmur3 of the body, seeded with the name and the
 * version: a frame of another mesh, of another version, cut short or with a bit flipped is dropped whole, before
 * anything in it is looked at. That is protection against accidents; against forgery the shell encrypts frames.
 *
 * Body of a datagram: messages, one after the other, until its end. Numbers are varints (LEB128, below 2^32) unless
 * said otherwise. A name is `length << 1` and its bytes, or `index << 1 | 1` for the index-th name spelt out in this
 * frame (the first 32 of them), so that a name costs its length once a packet.
 *
 *     ping     seq, hash of the target's id (4 bytes)
 *     ack      seq, flags; with flag 1 a coordinate (11 float32) and the digest of the sender's table (4 bytes)
 *     nack     seq
 *     askPing  seq, target                       "probe it for me, answer with this seq"
 *     witness  name, incarnation                 "I suspect it; see for yourself"
 *     alive    name, incarnation, identity (4 bytes), versions (2 bytes), address, metadata
 *     again    name, incarnation, profile        alive as before; its profile (the rest) is that of `profile`
 *     suspect  name, incarnation, count, accusers
 *     dead     name, incarnation, count, accusers
 *     left     name, incarnation
 *
 * Limits: ids and addresses are printable ASCII without spaces, 1..128 and 1..262 bytes; metadata up to 512 bytes;
 * 8 accusers; 256 messages a packet; incarnations below 2^32 - 2^16.
 */
import { hashBytes } from "./lexicon.ts";

export const PROTOCOL_VERSION = 1;
/** The oldest version that this one understands. */
export const PROTOCOL_VERSION_MIN = 1;

/** As members announce them: oldest << 8 | newest. */
export const OUR_VERSIONS = (PROTOCOL_VERSION_MIN << 8) | PROTOCOL_VERSION;

/** Whether one that announces these versions and we have one in common. */
export function speaks(versions: number): boolean {
  return versions >>> 8 <= PROTOCOL_VERSION && (versions & 255) >= PROTOCOL_VERSION_MIN;
}

export const FRAME = { datagram: 0xb7, stream: 0xb8 } as const;
export const HEADER_BYTES = 8;
export const ID_BYTES_MAX = 128;
export const ADDRESS_BYTES_MAX = 262;
export const META_BYTES_MAX = 512;
export const ACCUSERS_MAX = 8;
export const MESSAGES_MAX = 256;
/** The room above is kept for refuting the highest claim. */
export const INCARNATION_MAX = 0xffff_0000;
export const SHARED_NAMES_MAX = 32;
/** 8 dimensions, height, error, adjustment. */
export const COORDINATE_FLOATS = 11;

export const MESSAGE = {
  ping: 1,
  ack: 2,
  nack: 3,
  askPing: 4,
  witness: 5,
  alive: 6,
  again: 7,
  suspect: 8,
  dead: 9,
  left: 10,
} as const;

/** MurmurHash3 of bytes[start, end), 32 bits, signed. */
export type Checksum = (bytes: Uint8Array, start: number, end: number, seed: number) => number;

/** What a cluster's name stands for in frames. */
export interface ClusterMark {
  readonly tag: number;
  readonly seed: number;
  readonly checksum: Checksum;
}

export function clusterMark(name: string, checksum: Checksum = murmur3): ClusterMark {
  const bytes = new TextEncoder().encode(`infermesh\0${name}`);
  const hash = hashBytes(bytes, 0, bytes.length);
  return { tag: (hash ^ (hash >>> 16)) & 0xffff, seed: murmur3(bytes, 0, bytes.length, PROTOCOL_VERSION), checksum };
}

/** MurmurHash3, 32 bits (Austin Appleby, public domain), signed. */
export function murmur3(buffer: Uint8Array, start: number, end: number, seed: number): number {
  let hash = seed | 0;
  let at = start;
  for (; at + 4 <= end; at += 4) {
    const word = buffer[at]! | (buffer[at + 1]! << 8) | (buffer[at + 2]! << 16) | (buffer[at + 3]! << 24);
    let mixed = Math.imul(word, 0xcc9e2d51);
    mixed = Math.imul((mixed << 15) | (mixed >>> 17), 0x1b873593);
    hash ^= mixed;
    hash = (Math.imul((hash << 13) | (hash >>> 19), 5) + 0xe6546b64) | 0;
  }
  if (at < end) {
    let word = 0;
    for (let index = end - 1; index >= at; index -= 1) word = (word << 8) | buffer[index]!;
    word = Math.imul(word, 0xcc9e2d51);
    hash ^= Math.imul((word << 15) | (word >>> 17), 0x1b873593);
  }
  hash ^= end - start;
  hash = Math.imul(hash ^ (hash >>> 16), 0x85ebca6b);
  hash = Math.imul(hash ^ (hash >>> 13), 0xc2b2ae35);
  return hash ^ (hash >>> 16);
}

/** Why a frame was not taken. */
export type FrameFault = "malformed" | "other cluster" | "other version";
