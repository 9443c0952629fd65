/**
 * The messages of the state channel; each is one payload of the transport.
 *
 *     state     1, layout (4 bytes), seq, back, age (ms), figures; in a keyframe the place
 *     snapshot  2, layout (4 bytes), description, then a state's seq to place with back 0: the newest keyframe
 *     ask       3                                          "send me a snapshot"
 *     flights   4, life (4 bytes), seq, then until the end: key (6 bytes), requests, tokens
 *     long      5                                          "ask me over TCP: this one is too long for a datagram"
 *
 * A state is a keyframe (back 0: the code of every figure) or tells what differs from the keyframe `back` states
 * before it: a bit for each figure, then the codes of those whose bit is set. So a state needs its keyframe and no
 * other state: one that is lost costs nothing but its own news. `layout` stands for the description that the sender
 * gave in its last snapshot, and is drawn at random at its start. `age` is how long ago the figures were read. `place` is
 * the sender's network coordinate: how many numbers (1 byte), then as many float32.
 */
import { ByteReader, ByteWriter } from "../base/bytes.ts";
import { type Description, figureCount, readDescription, writeDescription } from "./description.ts";
import type { Codes } from "./state.ts";

export const MESSAGE = { state: 1, snapshot: 2, ask: 3, flights: 4, long: 5 } as const;
export const ASK = Uint8Array.of(MESSAGE.ask);
export const LONG = Uint8Array.of(MESSAGE.long);

const AGE_MS_MAX = 3_600_000;
const PLACE_FLOATS_MAX = 16;
const BUNDLE_MAX = 4;

export interface StateHead {
  readonly layout: number;
  readonly seq: number;
  /** How many states before this one its keyframe came; 0: it is one. */
  readonly back: number;
  readonly ageMs: number;
}

const writer = new ByteWriter(4096, true);

/** A keyframe: every figure, and where the sender is. */
export function writeKeyframe(head: Omit<StateHead, "back">, codes: Codes, place: ArrayLike<number>): Uint8Array {
  begin(MESSAGE.state, head.layout);
  writeAll(head, codes, place);
  return writer.bytes();
}

/** A state behind a keyframe: the figures of which `isTold` says so. */
export function writeState(head: StateHead, codes: Codes, isTold: (at: number) => boolean): Uint8Array {
  begin(MESSAGE.state, head.layout);
  writeHead(head, codes.length);
  const bitsAt = writer.at;
  for (let at = 0; at < codes.length; at += 8) writer.byte(0);
  for (let at = 0; at < codes.length; at += 1) {
    if (!isTold(at)) continue;
    const byteAt = bitsAt + (at >>> 3);
    writer.buffer[byteAt] = writer.buffer[byteAt]! | (1 << (at & 7));
    writer.varint(codes[at]!);
  }
  return writer.bytes();
}

/** A keyframe with the description that its figures need. */
export function writeSnapshot(
  head: Omit<StateHead, "back">,
  description: Description,
  codes: Codes,
  place: ArrayLike<number>,
): Uint8Array {
  begin(MESSAGE.snapshot, head.layout);
  writeDescription(writer, description);
  writeAll(head, codes, place);
  return writer.bytes();
}

function begin(kind: number, layout: number): void {
  writer.at = 0;
  writer.byte(kind);
  writer.fixed32(layout);
}

function writeHead(head: StateHead, figures: number): void {
  writer.reserve(32 + figures * 6 + PLACE_FLOATS_MAX * 4);
  writer.varint(head.seq);
  writer.varint(head.back);
  writer.varint(Math.min(AGE_MS_MAX, Math.max(0, Math.round(head.ageMs))));
}

function writeAll(head: Omit<StateHead, "back">, codes: Codes, place: ArrayLike<number>): void {
  writeHead({ ...head, back: 0 }, codes.length);
  for (const code of codes) writer.varint(code);
  const count = Math.min(PLACE_FLOATS_MAX, place.length);
  writer.byte(count);
  for (let at = 0; at < count; at += 1) writer.float(place[at]!);
}

const reader = new ByteReader();

/** Several messages in one, for TCP: each with its length before it. */
export function bundle(messages: readonly Uint8Array[]): Uint8Array {
  const bytes = new ByteWriter(messages.reduce((sum, { length }) => sum + length + 5, 0));
  for (const message of messages) bytes.blob(message);
  return bytes.bytes();
}

/** The messages of a bundle; none when it is no bundle. */
export function unbundle(bytes: Uint8Array): Uint8Array[] {
  const bundled = new ByteReader();
  bundled.read(bytes);
  const messages: Uint8Array[] = [];
  while (!bundled.bad && bundled.at < bundled.end && messages.length < BUNDLE_MAX) {
    bundled.blob(bytes.length);
    if (!bundled.bad) messages.push(bytes.subarray(bundled.start, bundled.stop));
  }
  return bundled.bad ? [] : messages;
}

/** The kind and layout of a message; undefined for what is none. */
export function open(packet: Uint8Array): { readonly kind: number; readonly layout: number } | undefined {
  reader.read(packet);
  const kind = reader.byte();
  if (kind === MESSAGE.ask || kind === MESSAGE.long) return packet.length === 1 ? { kind, layout: 0 } : undefined;
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

/** The codes behind the head of a keyframe that was just read, and the place behind them. */
export function readKeyframe(description: Description): { codes: Codes; place: Float32Array } | undefined {
  const codes = new Uint32Array(figureCount(description));
  for (let at = 0; at < codes.length && !reader.bad; at += 1) codes[at] = reader.varint();
  const count = reader.byte();
  if (count > PLACE_FLOATS_MAX) return undefined;
  const place = new Float32Array(count);
  for (let at = 0; at < count; at += 1) place[at] = reader.float();
  return isRead() ? { codes, place } : undefined;
}

/** The codes behind the head of a state that was just read, over a copy of the keyframe's. */
export function readCodes(keyframe: Codes): Codes | undefined {
  const codes = keyframe.slice();
  const bitsAt = reader.at;
  reader.span((codes.length + 7) >>> 3, 0, codes.length);
  for (let at = 0; at < codes.length && !reader.bad; at += 1) {
    if (((reader.buffer[bitsAt + (at >>> 3)]! >>> (at & 7)) & 1) === 1) codes[at] = reader.varint();
  }
  return isRead() ? codes : undefined;
}

/** All of it was right, and nothing is left. */
function isRead(): boolean {
  return !reader.bad && reader.at === reader.end;
}
