/**
 * The datagram's decoder: checks and reads a whole packet before anything of it takes effect. A packet with one fault
 * is dropped whole. Nothing is allocated for a packet; the inbox is read before the next one is opened.
 */
import type { Announcement } from "./announcement.ts";
import type { Lexicon } from "./lexicon.ts";
import { ACCUSERS_MAX, COORDINATE_FLOATS, FRAME, META_BYTES_MAX, MESSAGE, MESSAGES_MAX } from "./wire.ts";
import { Reader } from "./reader.ts";
import type { ClusterMark, FrameFault } from "./wire.ts";

export class Inbox {
  count = 0;
  /** A MESSAGE for each. */
  readonly kind = new Uint8Array(MESSAGES_MAX);
  /** Sequence number or incarnation. */
  readonly number = new Float64Array(MESSAGES_MAX);
  /** The target's hash (ping), identity (alive), profile (again). */
  readonly second = new Float64Array(MESSAGES_MAX);
  /** Handle of the id that the message is about, or -1 for one that is not known. */
  readonly id = new Int32Array(MESSAGES_MAX);
  readonly idStart = new Int32Array(MESSAGES_MAX);
  readonly idEnd = new Int32Array(MESSAGES_MAX);
  readonly addressStart = new Int32Array(MESSAGES_MAX);
  readonly addressEnd = new Int32Array(MESSAGES_MAX);
  readonly metaStart = new Int32Array(MESSAGES_MAX);
  readonly metaEnd = new Int32Array(MESSAGES_MAX);
  /** Oldest and newest version that it speaks: oldest << 8 | newest. */
  readonly versions = new Uint16Array(MESSAGES_MAX);
  /** Accusers of a suspect or dead message, ACCUSERS_MAX places each; -1 for unknown ones. */
  readonly accusers = new Int32Array(MESSAGES_MAX * ACCUSERS_MAX);
  readonly accuserCount = new Uint8Array(MESSAGES_MAX);
  /** An ack brought a coordinate and a digest, in `coordinate` and `digest`; a packet has one such ack at most. */
  readonly hasCoordinate = new Uint8Array(MESSAGES_MAX);
  readonly coordinate = new Float64Array(COORDINATE_FLOATS);
  digest = 0;
  buffer: Uint8Array = new Uint8Array(0);
  readonly #reader = new Reader();

  /** Reads a packet; undefined when all of it is right. */
  read(packet: Uint8Array, mark: ClusterMark, ids: Lexicon): FrameFault | undefined {
    const reader = this.#reader;
    this.count = 0;
    const fault = reader.open(packet, FRAME.datagram, mark);
    if (fault !== undefined) return fault;
    this.buffer = packet;
    while (reader.at < reader.end) {
      if (this.count >= MESSAGES_MAX || !this.#message(reader, this.count, ids)) {
        this.count = 0;
        return "malformed";
      }
      this.count += 1;
    }
    return undefined;
  }

  /** Message `at`, an alive one, as an announcement. */
  announcement(at: number, into: Announcement): void {
    into.buffer = this.buffer;
    into.id = this.id[at]!;
    into.idStart = this.idStart[at]!;
    into.idEnd = this.idEnd[at]!;
    into.incarnation = this.number[at]!;
    into.profile = this.number[at]!;
    into.identity = this.second[at]!;
    into.versions = this.versions[at]!;
    into.addressStart = this.addressStart[at]!;
    into.addressEnd = this.addressEnd[at]!;
    into.metaStart = this.metaStart[at]!;
    into.metaEnd = this.metaEnd[at]!;
  }

  #message(reader: Reader, at: number, ids: Lexicon): boolean {
    const kind = reader.byte();
    this.kind[at] = kind;
    if (kind <= MESSAGE.nack) {
      this.number[at] = reader.varint();
      this.id[at] = -1;
      if (kind === MESSAGE.ping) this.second[at] = reader.fixed32();
      else if (kind === MESSAGE.ack) this.#ack(reader, at);
      else if (kind !== MESSAGE.nack) return false;
      return !reader.bad;
    }
    if (kind === MESSAGE.askPing) {
      this.number[at] = reader.varint();
      this.#name(reader, at, ids);
      return !reader.bad;
    }
    if (kind > MESSAGE.left) return false;
    this.#name(reader, at, ids);
    const incarnation = reader.incarnation();
    this.number[at] = incarnation;
    if (kind === MESSAGE.suspect || kind === MESSAGE.dead) return this.#accusers(reader, at, ids);
    if (kind === MESSAGE.again) {
      const profile = reader.incarnation();
      this.second[at] = profile;
      return !reader.bad && profile <= incarnation;
    }
    if (kind === MESSAGE.alive) {
      this.second[at] = reader.fixed32();
      const oldest = reader.byte();
      const newest = reader.byte();
      this.versions[at] = (oldest << 8) | newest;
      reader.address();
      this.addressStart[at] = reader.start;
      this.addressEnd[at] = reader.stop;
      reader.blob(META_BYTES_MAX);
      this.metaStart[at] = reader.start;
      this.metaEnd[at] = reader.stop;
      return !reader.bad && oldest <= newest;
    }
    return !reader.bad;
  }

  #name(reader: Reader, at: number, ids: Lexicon): void {
    reader.name();
    this.idStart[at] = reader.start;
    this.idEnd[at] = reader.stop;
    this.id[at] = reader.bad ? -1 : ids.find(reader.buffer, reader.start, reader.stop);
  }

  #ack(reader: Reader, at: number): void {
    const flags = reader.byte();
    this.hasCoordinate[at] = flags;
    if (flags === 0) return;
    if (flags !== 1) {
      reader.bad = true;
      return;
    }
    for (let index = 0; index < COORDINATE_FLOATS; index += 1) {
      const value = reader.float();
      // A coordinate is milliseconds; what is not a number or beyond an hour would spoil everybody's.
      if (!(Math.abs(value) < 3_600_000)) reader.bad = true;
      this.coordinate[index] = value;
    }
    this.digest = reader.fixed32();
  }

  #accusers(reader: Reader, at: number, ids: Lexicon): boolean {
    const count = reader.byte();
    if (count < 1 || count > ACCUSERS_MAX) return false;
    this.accuserCount[at] = count;
    for (let index = 0; index < count; index += 1) {
      reader.name();
      const known = reader.bad ? -1 : ids.find(reader.buffer, reader.start, reader.stop);
      this.accusers[at * ACCUSERS_MAX + index] = known;
    }
    return !reader.bad;
  }
}
