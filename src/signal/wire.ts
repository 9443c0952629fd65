/**
 * The messages of the state channel; each is one payload of the transport.
 *
 *     state     1, layout (4 bytes), seq, back, age (ms), figures
 *     snapshot  2, layout (4 bytes), description, then a state's seq to figures with back 0: the newest keyframe
 *     ask       3                                          "send me a snapshot"
 *     flights   4, then until the end: key (6 bytes), requests, tokens
 *
 * A state is a keyframe (back 0: the code of every figure) or tells what differs from the keyframe `back` states
 * before it: a bit for each figure, then the codes of those whose bit is set. So a state needs its keyframe and no
 * other state: one that is lost costs nothing but its own news. `layout` stands for the description that the sender
 * gave in its last snapshot, and is drawn at random at its start. `age` is how long ago the figures were read.
 */
import { ByteReader, ByteWriter } from "../base/bytes.ts";
import { type Description, figureCount, readDescription, writeDescription } from "./description.ts";
import type { Codes } from "./state.ts";

export const MESSAGE = { state: 1, snapshot: 2, ask: 3, flights: 4 } as const;
export const ASK = Uint8Array.of(MESSAGE.ask);

const AGE_MS_MAX = 3_600_000;

export interface StateHead {
  readonly layout: number;
  readonly seq: number;
  /** How many states before this one its keyframe came; 0: it is one. */
  readonly back: number;
  readonly ageMs: number;
}

const writer = new ByteWriter(4096, true);

/** A state: of `codes`, those of which `isTold` says so; all of them where it is undefined, in a keyframe. */
export function writeState(head: StateHead, codes: Codes, told?: (at: number) => boolean): Uint8Array {
  writer.at = 0;
  writer.byte(MESSAGE.state);
  writer.fixed32(head.layout);
  writeFigures(head, codes, told);
  return writer.bytes();
}

export function writeSnapshot(head: StateHead, description: Description, codes: Codes): Uint8Array {
  writer.at = 0;
  writer.byte(MESSAGE.snapshot);
  writer.fixed32(head.layout);
  writeDescription(writer, description);
  writeFigures({ ...head, back: 0 }, codes, undefined);
  return writer.bytes();
}

function writeFigures(head: StateHead, codes: Codes, told: ((at: number) => boolean) | undefined): void {
  writer.reserve(32 + codes.length * 6);
  writer.varint(head.seq);
  writer.varint(head.back);
  writer.varint(Math.min(AGE_MS_MAX, Math.max(0, Math.round(head.ageMs))));
  if (told === undefined) {
    for (const code of codes) writer.varint(code);
    return;
  }
  const bitsAt = writer.at;
  for (let at = 0; at < codes.length; at += 8) writer.byte(0);
  for (let at = 0; at < codes.length; at += 1) {
    if (!told(at)) continue;
    const byteAt = bitsAt + (at >>> 3);
    writer.buffer[byteAt] = writer.buffer[byteAt]! | (1 << (at & 7));
    writer.varint(codes[at]!);
  }
}

const reader = new ByteReader();

/** The kind and layout of a message; undefined for what is none. */
export function open(packet: Uint8Array): { readonly kind: number; readonly layout: number } | undefined {
  reader.read(packet);
  const kind = reader.byte();
  if (kind === MESSAGE.ask) return packet.length === 1 ? { kind, layout: 0 } : undefined;
  if (kind === MESSAGE.flights) return { kind, layout: 0 };
  if (kind !== MESSAGE.state && kind !== MESSAGE.snapshot) return undefined;
  const layout = reader.fixed32();
  return reader.bad ? undefined : { kind, layout };
}

/** The description of the snapshot that was just opened. */
export function readSnapshot(): Description | undefined {
  return readDescription(reader);
}

/** Seq, back and age of what was just opened, or of the rest of a snapshot; its layout is left to the caller. */
export function readHead(): Omit<StateHead, "layout"> | undefined {
  const seq = reader.varint();
  const back = reader.varint();
  const ageMs = reader.varint();
  return reader.bad || back > seq || ageMs > AGE_MS_MAX ? undefined : { seq, back, ageMs };
}

/** The codes behind a head that was just read: over a copy of the keyframe's, or all of them. */
export function readCodes(description: Description, keyframe: Codes | undefined): Codes | undefined {
  const count = figureCount(description);
  const codes = keyframe === undefined ? new Uint32Array(count) : keyframe.slice();
  const bitsAt = reader.at;
  if (keyframe !== undefined) reader.span((count + 7) >>> 3, 0, count);
  for (let at = 0; at < count && !reader.bad; at += 1) {
    if (keyframe !== undefined && ((reader.buffer[bitsAt + (at >>> 3)]! >>> (at & 7)) & 1) === 0) continue;
    codes[at] = reader.varint();
  }
  return reader.bad || reader.at !== reader.end ? undefined : codes;
}
