/**
 * Frames of streams (TCP, one question and one answer each): the fallback probe, and push/pull of all members.
 *
 *     ping     hash of the target's id (4 bytes)      -> pong
 *     digest   digest (4 bytes), count                -> same | state
 *     state    purpose, digest (4 bytes), count, records, the sender's first   -> state | done | refused
 *     refused  code, words
 *
 * A record is status, incarnation, profile, identity (4 bytes), versions (2 bytes), id, address, metadata. A frame
 * with one fault is refused whole, before any record takes effect.
 */
import type { Members } from "./members.ts";
import { Announcement } from "./announcement.ts";
import type { Reader } from "./reader.ts";
import { META_BYTES_MAX } from "./wire.ts";
import type { Writer } from "./writer.ts";

export const STREAM = { ping: 1, pong: 2, digest: 3, same: 4, state: 5, done: 6, refused: 7 } as const;
/** Why a state is sent: to join, to compare (and be answered), or as the answer. */
export const PURPOSE = { join: 1, sync: 2, answer: 3, push: 4 } as const;
export const REFUSAL = { conflict: 1, version: 2, full: 3 } as const;
const WORDS_BYTES_MAX = 512;
const RECORD_BYTES_MIN = 14;

export function writeRecord(writer: Writer, members: Members, id: number): void {
  const { names } = members;
  const idBytes = names.ids.bytes(id);
  const address = names.addresses.bytes(members.address[id]!);
  const meta = names.metas.bytes(members.meta[id]!);
  writer.reserve(32 + idBytes.length + address.length + meta.length);
  writer.byte(members.status[id]!);
  writer.varint(members.incarnation[id]!);
  writer.varint(members.profile[id]!);
  writer.fixed32(members.identity[id]!);
  const versions = members.versions[id]!;
  writer.byte(versions >>> 8);
  writer.byte(versions & 255);
  writer.blob(idBytes);
  writer.blob(address);
  writer.blob(meta);
}

/** Reads the records of a state one by one. */
export class Records extends Announcement {
  readonly #reader: Reader;
  readonly #start: number;
  readonly count: number;
  status = 0;
  /** The reader stands at the count. */
  constructor(reader: Reader) {
    super();
    this.buffer = reader.buffer;
    this.#reader = reader;
    this.count = reader.varint();
    this.#start = reader.at;
  }

  /** Whether all records are right, up to the frame's end; leaves the reader at the first. */
  check(): boolean {
    const reader = this.#reader;
    // A count that the bytes cannot hold is not worth a loop.
    if (this.count < 1 || this.count * RECORD_BYTES_MIN > reader.end - reader.at) return false;
    for (let index = 0; index < this.count; index += 1) if (!this.next()) return false;
    if (reader.at !== reader.end) return false;
    reader.at = this.#start;
    return true;
  }

  next(): boolean {
    const reader = this.#reader;
    this.status = reader.byte();
    this.incarnation = reader.incarnation();
    this.profile = reader.incarnation();
    this.identity = reader.fixed32();
    const oldest = reader.byte();
    const newest = reader.byte();
    this.versions = (oldest << 8) | newest;
    // Spelt as a name would be, but never shared: a state is not limited to 32.
    reader.id();
    this.idStart = reader.start;
    this.idEnd = reader.stop;
    reader.address();
    this.addressStart = reader.start;
    this.addressEnd = reader.stop;
    reader.blob(META_BYTES_MAX);
    this.metaStart = reader.start;
    this.metaEnd = reader.stop;
    return !reader.bad && this.status >= 1 && this.status <= 4 && this.profile <= this.incarnation && oldest <= newest;
  }
}

/** The words of a refusal. */
export function readRefusal(reader: Reader): string {
  reader.byte();
  reader.blob(WORDS_BYTES_MAX);
  return reader.bad ? "refused" : new TextDecoder().decode(reader.buffer.subarray(reader.start, reader.stop));
}
