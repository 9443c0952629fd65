/**
 * What a node tells routers of the blocks that its engines hold; each message is one payload of the transport, on the
 * channel of the states, where nothing else begins with these bytes: who does not know them lets them be.
 *
 *     update     0x41, slot, life (4 bytes), number, flags, gone: how many and their keys, runs
 *     snapshot   0x42, slot, life (4 bytes), number, flags, part, parts, runtime, engine, runs
 *     ask        0x43, slot, what is held, life (4 bytes), number, part      over TCP, with an answer
 *     standing   0x44, from slot, to slot, then until the end: slot, life (4 bytes), number
 *     follow     0x45                                        of a router: "tell me what changes", for a while
 *     answer     0x46, slot, known, life (4 bytes), number, more, then until the end: length, message
 *
 *     runs       until the end: parent (key), depth, tokens, media (1 byte), how many, their keys
 *     key        7 bytes, little-endian: 53 bits (block-key.ts)
 *
 * An engine has a slot at its node. A life is one history of updates, numbered from 1; it ends when the index starts
 * anew. An update tells what changed in all since the one before: keys that are held nowhere any more, then runs of
 * blocks, each behind the one before it, with the media where they lie now. A snapshot is all that was held after the
 * update of its number, in parts. Bit 0 of the flags: the engine may hold more than is told. Bit 1, in the first update
 * of a life: before it nothing was held. Bit 2: the engine is not heard at the moment, and what is told may be out of date.
 * A standing is which engines there are of a range of slots, and the number of the
 * newest update of each; an answer begins with the same, and `more` says that another ask gets more.
 *
 * A block costs 7 bytes, and a run some 12.
 */
import { ByteReader, ByteWriter } from "../base/bytes.ts";
import { BLOCK_TOKENS_MAX, type Block, DEPTH_MAX } from "./block-index.ts";
import { MEDIA_ALL } from "./event.ts";

export const MESSAGE = {
  update: 0x41,
  snapshot: 0x42,
  ask: 0x43,
  standing: 0x44,
  follow: 0x45,
  answer: 0x46,
} as const;
export const FOLLOW = Uint8Array.of(MESSAGE.follow);
/** Of one message, `RUN_BYTES_MAX` more with the last run. */
export const MESSAGE_BYTES = 32 * 1024;
export const SLOTS_MAX = 256;
export const PARTS_MAX = 65_536;
const KEY_BYTES = 7;
const NAME_BYTES_MAX = 1024;
const PARTIAL = 1;
const FRESH = 2;
const UNHEARD = 4;
const FLAGS_MAX = PARTIAL | FRESH | UNHEARD;
/** Of an update, with how many keys are gone. */
const HEAD_BYTES_MAX = 1 + 1 + 4 + 5 + 1 + 5;
/** A run's head at its longest, and one key. */
export const RUN_BYTES_MAX = KEY_BYTES + 5 + 5 + 1 + 5 + KEY_BYTES;

export interface Head {
  readonly slot: number;
  readonly life: number;
  readonly number: number;
  readonly isPartial: boolean;
  /** The node hears the engine. */
  readonly isHeard: boolean;
  /** Nothing was held before this update, the first of its life. */
  readonly isFresh: boolean;
}

export interface Parts {
  readonly part: number;
  readonly parts: number;
  /** Whose engine: a runtime's name at its node. */
  readonly runtime: string;
  /** Which one of the node's: an address, a rank. */
  readonly engine: string;
}

/** Is told of each block of the runs that are read. */
export type BlockSink = (key: number, parent: number, depth: number, tokens: number, media: number) => void;

const writer = new ByteWriter(MESSAGE_BYTES + 1024, true);
const reader = new ByteReader();

function writeKey(key: number): void {
  writer.fixed32(key >>> 0);
  const high = Math.floor(key / 2 ** 32);
  writer.byte(high);
  writer.byte(high >>> 8);
  writer.byte(high >>> 16);
}

function readKey(): number {
  const low = reader.fixed32();
  const high = reader.byte() + reader.byte() * 256 + reader.byte() * 65_536;
  return high > 0x1fffff ? reader.fail() : high * 2 ** 32 + low;
}

function begin(kind: number, { slot, life, number, isPartial, isHeard, isFresh }: Head): void {
  writer.at = 0;
  writer.byte(kind);
  writer.byte(slot);
  writer.fixed32(life);
  writer.varint(number);
  writer.byte((isPartial ? PARTIAL : 0) | (isFresh ? FRESH : 0) | (isHeard ? 0 : UNHEARD));
}

/** Runs of `blocks` from `from` on, as many as fit; answers where the next message begins. */
function writeRuns(blocks: readonly Block[], from: number, bytesMax: number): number {
  let at = from;
  while (at < blocks.length && writer.at < bytesMax) {
    const first = blocks[at]!;
    writer.reserve(RUN_BYTES_MAX);
    const most = Math.max(1, Math.floor((bytesMax - writer.at - RUN_BYTES_MAX) / KEY_BYTES));
    let end = at + 1;
    while (end < blocks.length && end - at < most && isNext(blocks[end - 1]!, blocks[end]!)) end += 1;
    writeKey(first.parent);
    writer.varint(first.depth);
    writer.varint(first.tokens);
    writer.byte(first.media);
    writer.varint(end - at);
    writer.reserve((end - at) * KEY_BYTES);
    for (; at < end; at += 1) writeKey(blocks[at]!.key);
  }
  return at;
}

function isNext(before: Block, block: Block): boolean {
  return block.parent === before.key && block.tokens === before.tokens && block.media === before.media;
}

/** As few messages as hold all of it, each with a number of its own; `head.number` is that of the first. */
export function writeUpdates(
  head: Head,
  gone: readonly number[],
  blocks: readonly Block[],
  bytesMax = MESSAGE_BYTES,
): Uint8Array[] {
  const messages: Uint8Array[] = [];
  const goneMax = Math.max(1, Math.floor((bytesMax - HEAD_BYTES_MAX) / KEY_BYTES));
  let goneAt = 0;
  let at = 0;
  do {
    const isFresh = head.isFresh && messages.length === 0;
    begin(MESSAGE.update, { ...head, number: head.number + messages.length, isFresh });
    const goneEnd = Math.min(gone.length, goneAt + goneMax);
    writer.varint(goneEnd - goneAt);
    writer.reserve((goneEnd - goneAt) * KEY_BYTES);
    for (; goneAt < goneEnd; goneAt += 1) writeKey(gone[goneAt]!);
    if (goneAt === gone.length) at = writeRuns(blocks, at, bytesMax);
    messages.push(writer.bytes());
  } while (goneAt < gone.length || at < blocks.length);
  return messages;
}

export function writeSnapshot(head: Head, runtime: string, engine: string, blocks: readonly Block[]): Uint8Array[] {
  const bodies: Uint8Array[] = [];
  let at = 0;
  do {
    writer.at = 0;
    at = writeRuns(blocks, at, MESSAGE_BYTES);
    bodies.push(writer.bytes());
  } while (at < blocks.length);
  return bodies.map((body, part) => {
    begin(MESSAGE.snapshot, head);
    writer.varint(part);
    writer.varint(bodies.length);
    writer.text(runtime);
    writer.text(engine);
    writer.reserve(body.length);
    writer.copy(body);
    return writer.bytes();
  });
}

/** Begins to read a message; its slot and life, or undefined when it is malformed or of another kind. */
export function open(message: Uint8Array): { kind: number; slot: number; life: number } | undefined {
  reader.read(message);
  const kind = reader.byte();
  const slot = reader.byte();
  const life = reader.fixed32();
  const isKnown = kind === MESSAGE.update || kind === MESSAGE.snapshot;
  return reader.bad || !isKnown ? undefined : { kind, slot, life };
}

/** Number and flags, behind `open`. */
export function readNumber(): Omit<Head, "slot" | "life"> | undefined {
  const number = reader.varint();
  const flags = reader.byte();
  const isFresh = (flags & FRESH) !== 0;
  if (reader.bad || flags > FLAGS_MAX || (isFresh && number !== 1)) return undefined;
  return { number, isPartial: (flags & PARTIAL) !== 0, isHeard: (flags & UNHEARD) === 0, isFresh };
}

/** The keys that are gone, behind the number of an update. */
export function readGone(gone: (key: number) => void): void {
  const count = reader.varint();
  if (count * KEY_BYTES > reader.end - reader.at) reader.fail();
  for (let left = count; left > 0 && !reader.bad; left -= 1) {
    const key = readKey();
    if (!reader.bad) gone(key);
  }
}

/** What stands before a snapshot's runs, behind its number. */
export function readParts(): Parts | undefined {
  const part = reader.varint();
  const parts = reader.varint();
  const runtime = reader.text(NAME_BYTES_MAX);
  const engine = reader.text(NAME_BYTES_MAX);
  return reader.bad || part >= parts || parts > PARTS_MAX ? undefined : { part, parts, runtime, engine };
}

/** The runs until the end; false when they are malformed: what was told before is then half of something. */
export function readRuns(sink: BlockSink): boolean {
  while (!reader.bad && reader.at < reader.end) {
    let parent = readKey();
    let depth = reader.varint();
    const tokens = reader.varint();
    const media = reader.byte();
    const count = reader.varint();
    if (media === 0 || media > MEDIA_ALL || count === 0 || count * KEY_BYTES > reader.end - reader.at) reader.fail();
    if (tokens > BLOCK_TOKENS_MAX || depth + count - 1 > DEPTH_MAX) reader.fail();
    for (let left = count; left > 0 && !reader.bad; left -= 1, depth += 1) {
      const key = readKey();
      if (reader.bad) break;
      sink(key, parent, depth, tokens, media);
      parent = key;
    }
  }
  return !reader.bad;
}
