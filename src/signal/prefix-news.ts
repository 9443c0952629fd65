/**
 * What routers tell each other of the beginnings of prompts: which blocks they sent where, so that the next turn of a
 * conversation finds its home through any of them (score/DESIGN.md has why). A message of its own on the channel of the
 * states, which nothing else begins like: who does not know it lets it be.
 *
 *     prefixes  0x61, scheme (1 byte), then until the end: key of a place (6 bytes, flights.ts), how many blocks (varint),
 *               their hashes (8 bytes each, lower half first)
 *
 * Each entry stands for itself, so a message that is lost is less known and nothing else; nobody asks for it again. The
 * scheme is how prompts are cut and hashed: routers of two schemes don't understand each other, and let it be.
 *
 * Whole prompts are told while half of what may be told in a second is left: whoever has joined since, or lost something,
 * has it then. Else only the blocks that the place was not believed to hold; what is beyond that is left out.
 *
 * Limits: `packetBytesMax` a message, `bytesPerSecond` to each router, `PREFIX_BLOCKS_MAX` blocks an entry.
 */
import { ByteReader, ByteWriter } from "../base/bytes.ts";
import { PREFIX_BLOCKS_MAX } from "../score/prefix-layout.ts";

export const PREFIXES = 0x61;
/** Blocks of 1 KiB, each hashed with all before it, behind the model's name (score/prefix-hash.ts). */
const SCHEME = 1;
const HEAD_BYTES = 2;
const KEY_BYTES = 6;
const HASH_BYTES = 8;
const ENTRY_BYTES = KEY_BYTES + 2;

export interface PrefixTellerLimits {
  readonly packetBytesMax: number;
  readonly bytesPerSecond: number;
}

export class PrefixTeller {
  /** Of what there was no room for. */
  droppedBlocks = 0;
  toldBlocks = 0;
  readonly #writer: ByteWriter;
  readonly #limits: PrefixTellerLimits;
  #packets: Uint8Array[] = [];
  /** Bytes that may be told now. */
  #left: number;
  #atMs = -Infinity;

  constructor(limits: PrefixTellerLimits) {
    this.#limits = limits;
    this.#writer = new ByteWriter(limits.packetBytesMax);
    this.#left = limits.bytesPerSecond;
  }

  /** A prompt went there: its hashes, two words each, of which the last `fresh` are new to the place. */
  offer(key: number, hashes: Int32Array, fresh: number, nowMs: number): void {
    const { bytesPerSecond } = this.#limits;
    if (this.#atMs !== -Infinity) {
      this.#left = Math.min(bytesPerSecond, this.#left + ((nowMs - this.#atMs) / 1000) * bytesPerSecond);
    }
    this.#atMs = nowMs;
    const blocks = hashes.length / 2;
    const from = this.#left >= bytesPerSecond / 2 ? 0 : blocks - fresh;
    const fit = Math.floor((this.#left - HEAD_BYTES - ENTRY_BYTES) / HASH_BYTES);
    const told = Math.max(0, Math.min(blocks - from, fit));
    this.droppedBlocks += blocks - from - told;
    for (let at = from; at < from + told;) at += this.#write(key, hashes, at, from + told);
  }

  /** The messages for each of the other routers. */
  take(): readonly Uint8Array[] {
    this.#close();
    const packets = this.#packets;
    this.#packets = [];
    return packets;
  }

  /** As many of these blocks as the message has room for; answers how many. */
  #write(key: number, hashes: Int32Array, from: number, to: number): number {
    const writer = this.#writer;
    const { packetBytesMax } = this.#limits;
    if (writer.at + ENTRY_BYTES + HASH_BYTES > packetBytesMax) this.#close();
    const before = writer.at;
    if (writer.at === 0) {
      writer.byte(PREFIXES);
      writer.byte(SCHEME);
    }
    const room = Math.floor((packetBytesMax - writer.at - ENTRY_BYTES) / HASH_BYTES);
    const blocks = Math.min(to - from, room, PREFIX_BLOCKS_MAX);
    writer.fixed48(key);
    writer.varint(blocks);
    for (let word = from * 2; word < (from + blocks) * 2; word += 1) writer.fixed32(hashes[word]!);
    this.toldBlocks += blocks;
    this.#left -= writer.at - before;
    return blocks;
  }

  #close(): void {
    if (this.#writer.at > 0) this.#packets.push(this.#writer.bytes());
    this.#writer.at = 0;
  }
}

/** Blocks that went to a place, as a chain of the prefix index: two words that mean nothing, then two a block. */
export interface HeardPrefix {
  readonly key: number;
  readonly chain: Int32Array;
  readonly blocks: number;
}

const reader = new ByteReader();

/** A whole message; undefined when any of it is not right, empty when it is of another scheme. */
export function readPrefixes(packet: Uint8Array): HeardPrefix[] | undefined {
  reader.read(packet);
  if (reader.byte() !== PREFIXES) return undefined;
  const scheme = reader.byte();
  if (reader.bad) return undefined;
  const heard: HeardPrefix[] = [];
  if (scheme !== SCHEME) return heard;
  while (!reader.bad && reader.at < reader.end) {
    const key = reader.fixed48();
    const blocks = reader.varint();
    if (blocks > PREFIX_BLOCKS_MAX || reader.at + blocks * HASH_BYTES > reader.end) return undefined;
    const chain = new Int32Array((blocks + 1) * 2);
    for (let word = 2; word < chain.length; word += 1) chain[word] = reader.fixed32();
    // In the index an upper half without its sign bit is no hash.
    for (let block = 1; block <= blocks; block += 1) if (chain[block * 2 + 1]! >= 0) return undefined;
    heard.push({ key, chain, blocks });
  }
  return reader.bad ? undefined : heard;
}
