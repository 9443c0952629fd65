/** What a node and a router say to each other besides the blocks themselves (wire.ts): where they stand, asks, answers. */
import { ByteReader, ByteWriter } from "../base/bytes.ts";
import { MESSAGE, PARTS_MAX } from "./wire.ts";

/** The newest update of an engine. */
export interface Stand {
  readonly slot: number;
  readonly life: number;
  readonly number: number;
}

/** What a router holds of an engine: nothing, all up to an update, or the parts of a snapshot up to `part`. */
export const HELD = { nothing: 0, update: 1, parts: 2 } as const;
export type Held = (typeof HELD)[keyof typeof HELD];

export interface Ask extends Stand {
  readonly held: Held;
  readonly part: number;
}

export interface Answer extends Stand {
  /** There is such an engine. */
  readonly isKnown: boolean;
  /** One who asks again gets more. */
  readonly more: boolean;
  readonly messages: readonly Uint8Array[];
}

/** Kind and range of a standing. */
const STANDING_BYTES = 3;
const STAND_BYTES_MAX = 1 + 4 + 5;
/** In front of an answer's messages, and of each of them. */
export const ANSWER_BYTES = 13;
export const LENGTH_BYTES = 5;

const writer = new ByteWriter(256, true);
const reader = new ByteReader();

/** Every slot from 0 to `slotsMax` - 1 in one of the messages: those of `stands`, in order, and those where nothing is. */
export function writeStandings(stands: readonly Stand[], slotsMax: number, bytesMax: number): Uint8Array[] {
  const most = Math.max(1, Math.floor((bytesMax - STANDING_BYTES) / STAND_BYTES_MAX));
  const messages: Uint8Array[] = [];
  let fromSlot = 0;
  for (let at = 0; at === 0 || at < stands.length; at += most) {
    const some = stands.slice(at, at + most);
    const next = stands[at + most];
    const toSlot = next === undefined ? slotsMax - 1 : next.slot - 1;
    writer.at = 0;
    writer.reserve(STANDING_BYTES + some.length * STAND_BYTES_MAX);
    writer.byte(MESSAGE.standing);
    writer.byte(fromSlot);
    writer.byte(toSlot);
    for (const { slot, life, number } of some) {
      writer.byte(slot);
      writer.fixed32(life);
      writer.varint(number);
    }
    messages.push(writer.bytes());
    fromSlot = toSlot + 1;
  }
  return messages;
}

/** Undefined where it is malformed. */
export function readStanding(
  message: Uint8Array,
): { readonly fromSlot: number; readonly toSlot: number; readonly stands: readonly Stand[] } | undefined {
  reader.read(message);
  const kind = reader.byte();
  const fromSlot = reader.byte();
  const toSlot = reader.byte();
  const stands: Stand[] = [];
  let before = fromSlot - 1;
  while (!reader.bad && reader.at < reader.end) {
    const stand = { slot: reader.byte(), life: reader.fixed32(), number: reader.varint() };
    if (stand.slot <= before || stand.slot > toSlot) reader.fail();
    before = stand.slot;
    stands.push(stand);
  }
  return reader.bad || kind !== MESSAGE.standing || fromSlot > toSlot ? undefined : { fromSlot, toSlot, stands };
}

export function writeAsk({ slot, held, life, number, part }: Ask): Uint8Array {
  writer.at = 0;
  writer.byte(MESSAGE.ask);
  writer.byte(slot);
  writer.byte(held);
  writer.fixed32(life);
  writer.varint(number);
  writer.varint(part);
  return writer.bytes();
}

export function readAsk(message: Uint8Array): Ask | undefined {
  reader.read(message);
  const kind = reader.byte();
  const slot = reader.byte();
  const held = reader.byte();
  const life = reader.fixed32();
  const number = reader.varint();
  const part = reader.varint();
  if (reader.bad || reader.at !== reader.end || kind !== MESSAGE.ask || part > PARTS_MAX || held > HELD.parts) {
    return undefined;
  }
  return { slot, held: held as Held, life, number, part };
}

export function writeAnswer({ slot, isKnown, life, number, more, messages }: Answer): Uint8Array {
  const out = new ByteWriter(messages.reduce((sum, { length }) => sum + length + LENGTH_BYTES, ANSWER_BYTES));
  out.byte(MESSAGE.answer);
  out.byte(slot);
  out.byte(isKnown ? 1 : 0);
  out.fixed32(life);
  out.varint(number);
  out.byte(more ? 1 : 0);
  for (const message of messages) out.blob(message);
  return out.bytes();
}

/** Undefined where it is malformed; its messages are yet to be read. */
export function readAnswer(bytes: Uint8Array): Answer | undefined {
  reader.read(bytes);
  const kind = reader.byte();
  const slot = reader.byte();
  const known = reader.byte();
  const life = reader.fixed32();
  const number = reader.varint();
  const more = reader.byte();
  const messages: Uint8Array[] = [];
  while (!reader.bad && reader.at < reader.end) {
    reader.blob(bytes.length);
    if (!reader.bad) messages.push(bytes.subarray(reader.start, reader.stop));
  }
  if (reader.bad || kind !== MESSAGE.answer || known > 1 || more > 1) return undefined;
  return { slot, isKnown: known === 1, life, number, more: more === 1, messages };
}
