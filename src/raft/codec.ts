/**
 * Messages as bytes, and back. A message is
 *
 *     version, kind, from (6 bytes), to (6 bytes), term, body
 *
 * Numbers are varints (LEB128, below 2^53, one spelling each) unless said otherwise; members are 48 bits, little-endian.
 *
 *     vote            flags (1 pre, 2 transfer), last
 *     vote-reply      flags (1 pre, 2 granted)
 *     append          previous, commit index, round, count, entries
 *     append-reply    flags (1 has a hint), round, index, [hint]
 *     snapshot        at, configuration (length and JSON), total bytes, offset, length and bytes
 *     snapshot-reply  at, received
 *     transfer        nothing
 *     read            id
 *     read-reply      flags (1 has an index), id, [index]
 *
 * A position is its index and its term; an entry is kind (1 byte), term, length and data: its index is the previous
 * one's plus one. The decoder trusts nothing and answers undefined for bytes that are no message. There is no checksum
 * and no length here: the frames of the link between two members have both.
 */
import { ByteReader, ByteWriter } from "../base/bytes.ts";
import { unreachable } from "../base/assert.ts";
import {
  type Configuration,
  decodeConfiguration,
  EMPTY_CONFIGURATION,
  encodeConfiguration,
  type Entry,
  ENTRY_KINDS,
  isMember,
  type Position,
} from "./entry.ts";
import type { Message } from "./message.ts";

const VERSION = 1;

/** Of an entry's data. */
export const ENTRY_BYTES_MAX = 1024 * 1024;
/** Of all entries' data in one message, and of a piece of a snapshot; a whole message is at most 64 KiB longer. */
export const PAYLOAD_BYTES_MAX = 2 * ENTRY_BYTES_MAX;
export const MESSAGE_BYTES_MAX = PAYLOAD_BYTES_MAX + 64 * 1024;
export const ENTRIES_MAX = 4096;
export const SNAPSHOT_BYTES_MAX = 1024 * 1024 * 1024;
const CONFIGURATION_BYTES_MAX = 8 * 1024;

const KINDS = [
  "vote",
  "vote-reply",
  "append",
  "append-reply",
  "snapshot",
  "snapshot-reply",
  "transfer",
  "read",
  "read-reply",
] as const;

/** Version, kind, two members, and no more numbers than any kind has, each at its longest. */
const HEAD_BYTES = 2 + 12 + 8 * 8;
const ENTRY_HEAD_BYTES = 1 + 8 + 5;

const flag = (bit: number, set: boolean): number => (set ? bit : 0);

class Writer extends ByteWriter {
  member(value: number): void {
    this.fixed32(value % 2 ** 32);
    const high = Math.floor(value / 2 ** 32);
    this.byte(high);
    this.byte(high >>> 8);
  }

  position({ index, term }: Position): void {
    this.varint(index);
    this.varint(term);
  }
}

function variableBytes(message: Message, configuration: Uint8Array): number {
  if (message.type === "snapshot") return configuration.length + message.bytes.length;
  if (message.type !== "append") return 0;
  return message.entries.reduce((bytes, { data }) => bytes + data.length + ENTRY_HEAD_BYTES, 0);
}

export function encodeMessage(message: Message): Uint8Array {
  const configuration = message.type === "snapshot" ? encodeConfiguration(message.configuration) : new Uint8Array(0);
  const writer = new Writer(HEAD_BYTES + variableBytes(message, configuration));
  writer.byte(VERSION);
  writer.byte(KINDS.indexOf(message.type));
  writer.member(message.from);
  writer.member(message.to);
  writer.varint(message.term);
  switch (message.type) {
    case "vote":
      writer.byte(flag(1, message.pre) | flag(2, message.transfer));
      writer.position(message.last);
      break;
    case "vote-reply":
      writer.byte(flag(1, message.pre) | flag(2, message.granted));
      break;
    case "append":
      writer.position(message.previous);
      writer.varint(message.commitIndex);
      writer.varint(message.round);
      writer.varint(message.entries.length);
      for (const { kind, term, data } of message.entries) {
        writer.byte(ENTRY_KINDS.indexOf(kind));
        writer.varint(term);
        writer.blob(data);
      }
      break;
    case "append-reply":
      writer.byte(flag(1, message.hint !== undefined));
      writer.varint(message.round);
      writer.varint(message.index);
      if (message.hint !== undefined) writer.position(message.hint);
      break;
    case "snapshot":
      writer.position(message.at);
      writer.blob(configuration);
      writer.varint(message.totalBytes);
      writer.varint(message.offset);
      writer.blob(message.bytes);
      break;
    case "snapshot-reply":
      writer.position(message.at);
      writer.varint(message.received);
      break;
    case "transfer":
      break;
    case "read":
      writer.varint(message.id);
      break;
    case "read-reply":
      writer.byte(flag(1, message.index !== undefined));
      writer.varint(message.id);
      if (message.index !== undefined) writer.varint(message.index);
      break;
    default:
      unreachable(message);
  }
  return writer.buffer.subarray(0, writer.at);
}

class Reader extends ByteReader {
  member(): number {
    const low = this.fixed32();
    const value = low + (this.byte() + this.byte() * 256) * 2 ** 32;
    return isMember(value) ? value : this.fail();
  }

  /** A varint below 2^53. */
  whole(): number {
    let value = 0;
    for (let scale = 1; scale <= 2 ** 49; scale *= 128) {
      const byte = this.byte();
      if (this.bad) return 0;
      value += (byte & 127) * scale;
      if (byte < 128) return (byte === 0 && scale > 1) || value > Number.MAX_SAFE_INTEGER ? this.fail() : value;
    }
    return this.fail();
  }

  position(): Position {
    return { index: this.whole(), term: this.whole() };
  }

  flags(known: number): number {
    const value = this.byte();
    return (value & ~known) === 0 ? value : this.fail();
  }

  /** A copy, so that what is kept for long does not keep the packet that it came in. */
  data(max: number): Uint8Array {
    this.blob(max);
    return this.buffer.slice(this.start, this.stop);
  }

  configuration(): Configuration {
    const configuration = decodeConfiguration(this.data(CONFIGURATION_BYTES_MAX));
    if (configuration === undefined) this.fail();
    return configuration ?? EMPTY_CONFIGURATION;
  }

  entries(previous: Position): Entry[] {
    const count = this.whole();
    const entries: Entry[] = [];
    let payload = 0;
    if (count > ENTRIES_MAX || previous.index + count > Number.MAX_SAFE_INTEGER) this.fail();
    let { term: termBefore } = previous;
    for (let at = 1; at <= count && !this.bad; at += 1) {
      const kind = ENTRY_KINDS[this.byte()];
      const term = this.whole();
      const data = this.data(ENTRY_BYTES_MAX);
      payload += data.length;
      // Terms never fall along a log.
      if (kind === undefined || term < termBefore || payload > PAYLOAD_BYTES_MAX) this.fail();
      else if (kind === "configuration" && decodeConfiguration(data) === undefined) this.fail();
      else entries.push({ index: previous.index + at, term, kind, data });
      termBefore = term;
    }
    return entries;
  }

  message(): Message | undefined {
    if (this.byte() !== VERSION) return undefined;
    const type = KINDS[this.byte()];
    const head = { from: this.member(), to: this.member(), term: this.whole() };
    switch (type) {
      case "vote": {
        const flags = this.flags(3);
        return { type, ...head, pre: (flags & 1) > 0, transfer: (flags & 2) > 0, last: this.position() };
      }
      case "vote-reply": {
        const flags = this.flags(3);
        return { type, ...head, pre: (flags & 1) > 0, granted: (flags & 2) > 0 };
      }
      case "append": {
        const previous = this.position();
        const commitIndex = this.whole();
        const round = this.whole();
        return { type, ...head, previous, commitIndex, round, entries: this.entries(previous) };
      }
      case "append-reply": {
        const hinted = this.flags(1) > 0;
        const reply = { type, ...head, round: this.whole(), index: this.whole() };
        return hinted ? { ...reply, hint: this.position() } : reply;
      }
      case "snapshot": {
        const at = this.position();
        const configuration = this.configuration();
        const totalBytes = this.whole();
        const offset = this.whole();
        const bytes = this.data(PAYLOAD_BYTES_MAX);
        if (totalBytes > SNAPSHOT_BYTES_MAX || offset + bytes.length > totalBytes) return undefined;
        return { type, ...head, at, configuration, totalBytes, offset, bytes };
      }
      case "snapshot-reply":
        return { type, ...head, at: this.position(), received: this.whole() };
      case "transfer":
        return { type, ...head };
      case "read":
        return { type, ...head, id: this.whole() };
      case "read-reply": {
        const answered = this.flags(1) > 0;
        const reply = { type, ...head, id: this.whole() };
        return answered ? { ...reply, index: this.whole() } : reply;
      }
      case undefined:
        return undefined;
      default:
        return unreachable(type);
    }
  }
}

/** Undefined for bytes that are no message, or more than one. */
export function decodeMessage(bytes: Uint8Array): Message | undefined {
  if (bytes.length > MESSAGE_BYTES_MAX) return undefined;
  const reader = new Reader();
  reader.read(bytes);
  const message = reader.message();
  return reader.bad || reader.at !== bytes.length ? undefined : message;
}
