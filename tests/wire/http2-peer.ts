/** The other side of an HTTP/2 connection, frame by frame, and an owner of streams that writes down what it is told. */
import type { HeaderBlock } from "../../src/wire/header-block.ts";
import { Http2Connection, type Http2Options } from "../../src/wire/http2-connection.ts";
import { FLAG, FRAME, PREFACE } from "../../src/wire/http2-frames.ts";
import type { Http2Stream, StreamOwner } from "../../src/wire/http2-stream.ts";
import { HpackDecoder } from "../../src/wire/hpack.ts";
import { HpackWriter, type Pair } from "./hpack-writer.ts";

export const OPTIONS: Http2Options = {
  streamsMax: 8,
  streamWindowBytes: 65_536,
  connectionWindowBytes: 262_144,
  listBytesMax: 32_768,
  outputBytesMax: 262_144,
};

export interface Frame {
  readonly type: number;
  readonly flags: number;
  readonly id: number;
  readonly payload: Buffer;
}

export function frame(type: number, flags: number, id: number, payload: Uint8Array | readonly number[] = []): Buffer {
  const head = Buffer.alloc(9);
  head.writeUIntBE(payload.length, 0, 3);
  head[3] = type;
  head[4] = flags;
  head.writeUInt32BE(id, 5);
  return Buffer.concat([head, Buffer.from(payload)]);
}

export function word(value: number): number[] {
  return [(value >>> 24) & 255, (value >>> 16) & 255, (value >>> 8) & 255, value & 255];
}

export function settings(...pairs: readonly (readonly [number, number])[]): Buffer {
  return frame(
    FRAME.settings,
    0,
    0,
    pairs.flatMap(([which, value]) => [which >> 8, which & 255, ...word(value)]),
  );
}

export const windowUpdate = (id: number, bytes: number): Buffer => frame(FRAME.windowUpdate, 0, id, word(bytes));
export const rst = (id: number, code: number): Buffer => frame(FRAME.resetStream, 0, id, word(code));
export const data = (id: number, payload: string | Uint8Array, ended = false): Buffer =>
  frame(FRAME.data, ended ? FLAG.endStream : 0, id, Buffer.from(payload));
export const goAway = (last: number, code: number): Buffer => frame(FRAME.goAway, 0, 0, [...word(last), ...word(code)]);

export const POST: readonly Pair[] = [
  [":method", "POST"],
  [":scheme", "http"],
  [":path", "/a"],
  [":authority", "x"],
];

/** HEADERS with plain literals: no state. */
export function headers(id: number, fields: readonly Pair[] = POST, ended = false, extra = 0): Buffer {
  const flags = FLAG.endHeaders | (ended ? FLAG.endStream : 0) | extra;
  return frame(FRAME.headers, flags, id, new HpackWriter().block(fields));
}

/** Whole frames at the front of these bytes. */
export function framesOf(bytes: Uint8Array): Frame[] {
  const buffer = Buffer.from(bytes);
  const frames: Frame[] = [];
  let at = 0;
  while (at + 9 <= buffer.length) {
    const length = buffer.readUIntBE(at, 3);
    frames.push({
      type: buffer[at + 3]!,
      flags: buffer[at + 4]!,
      id: buffer.readUInt32BE(at + 5),
      payload: buffer.subarray(at + 9, at + 9 + length),
    });
    at += 9 + length;
  }
  if (at !== buffer.length) throw new Error("a frame is cut off");
  return frames;
}

const NAMES = new Map<number, string>(Object.entries(FRAME).map(([name, type]) => [type, name]));

/** A frame in a few words. */
export function shown({ type, flags, id, payload }: Frame): string {
  const name = NAMES.get(type) ?? String(type);
  switch (type) {
    case FRAME.resetStream:
      return `${name} ${id} ${payload.readUInt32BE(0)}`;
    case FRAME.goAway:
      return `${name} ${payload.readUInt32BE(0)} ${payload.readUInt32BE(4)}`;
    case FRAME.windowUpdate:
      return `${name} ${id} ${payload.readUInt32BE(0)}`;
    case FRAME.data:
      return `${name} ${id} ${payload.length}${(flags & 1) === 1 ? " end" : ""}`;
    case FRAME.headers:
      return `${name} ${id}${(flags & 1) === 1 ? " end" : ""}`;
    case FRAME.ping:
      return `${name}${(flags & 1) === 1 ? " ack" : ""} ${payload.toString("hex")}`;
    default:
      return `${name}${(flags & 1) === 1 ? " ack" : ""}`;
  }
}

/** A connection, what it told, and what it sends. */
export class Peer implements StreamOwner {
  readonly connection: Http2Connection;
  readonly events: string[] = [];
  readonly streams = new Map<number, Http2Stream>();
  readonly bodies = new Map<number, string>();
  readonly #decoder = new HpackDecoder(1 << 20);
  /** What is received is consumed at once. */
  consumes = true;
  onRequest: ((stream: Http2Stream, ended: boolean) => void) | null = null;

  constructor(isServer: boolean, options: Partial<Http2Options> = {}, greeted = true) {
    this.connection = new Http2Connection(
      isServer,
      { ...OPTIONS, ...options },
      {
        requested: (stream, block, ended) => {
          this.#note(`request ${stream.id} ${block.path?.text ?? "?"}${ended ? " end" : ""}`);
          stream.owner = this;
          this.streams.set(stream.id, stream);
          this.onRequest?.(stream, ended);
        },
        goingAway: () => this.#note("going away"),
        settled: () => {},
        failed: (code) => this.#note(`failed ${code}`),
      },
    );
    if (!greeted) return;
    this.take();
    this.give(...(isServer ? [PREFACE] : []), settings());
    this.take();
  }

  /** Bytes come from the other side. */
  give(...pieces: readonly Uint8Array[]): this {
    const bytes = Buffer.concat(pieces);
    this.connection.receive(bytes, 0, bytes.length, 0);
    // The buffer is its owner's: nothing of it may have been kept.
    bytes.fill(0xee);
    return this;
  }

  /** The same, each byte by itself. */
  giveBytes(...pieces: readonly Uint8Array[]): this {
    for (const byte of Buffer.concat(pieces)) this.connection.receive(Uint8Array.of(255, byte, 255), 1, 2, 0);
    return this;
  }

  /** All that waits to be sent. */
  takeBytes(): Buffer {
    const { output } = this.connection;
    const bytes = Buffer.from(output.bytes.subarray(output.start, output.end));
    output.sent(bytes.length);
    this.connection.drained();
    return bytes;
  }

  take(): Frame[] {
    const bytes = this.takeBytes();
    return framesOf(bytes.subarray(0, 3).toString() === "PRI" ? bytes.subarray(PREFACE.length) : bytes);
  }

  /** What is sent, in words, as long as something is. */
  sent(): string[] {
    return this.take().map(shown);
  }

  fields(payload: Uint8Array): Pair[] {
    const block = this.#decoder.decode(payload, 0, payload.length);
    return (block?.fields ?? []).map((field) => [Buffer.from(field.name.bytes).toString(), field.text]);
  }

  answered(stream: Http2Stream, block: HeaderBlock, ended: boolean): void {
    this.#note(`answer ${stream.id} ${block.status}${ended ? " end" : ""}`);
  }

  body(stream: Http2Stream, bytes: Uint8Array, start: number, end: number, ended: boolean): void {
    const before = this.bodies.get(stream.id) ?? "";
    this.bodies.set(stream.id, before + Buffer.from(bytes.subarray(start, end)).toString("latin1"));
    if (ended) this.#note(`body ${stream.id} end`);
    if (this.consumes) this.connection.consume(stream, end - start);
  }

  trailers(stream: Http2Stream, block: HeaderBlock): void {
    this.#note(`trailers ${stream.id} ${block.fields.length}`);
  }

  writable(stream: Http2Stream): void {
    this.#note(`writable ${stream.id}`);
  }

  lost(stream: Http2Stream, code: number, untouched: boolean): void {
    this.#note(`lost ${stream.id} ${code}${untouched ? " untouched" : ""}`);
  }

  #note(event: string): void {
    this.events.push(event);
  }
}
