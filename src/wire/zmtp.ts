/**
 * The connecting side of ZeroMQ's wire protocol, ZMTP 3.0 and 3.1 (rfc.zeromq.org/spec/23 and 37), with the NULL
 * mechanism: a SUB socket that hears a publisher, or a DEALER that asks a ROUTER.
 *
 *     const peer = new ZmtpClient({ socket: "SUB", topics: [topic] }, nowMs);
 *     peer.push(buffer, start, end, nowMs);     // bytes came
 *     peer.send(frames);                        // a message, once it is ready
 *     peer.wake(nowMs);                         // at or after wakeAtMs
 *     const { bytes, messages, fault, wakeAtMs } = peer.take();
 *
 * Subscriptions go out as commands to 3.1, as messages that begin with 1 to 3.0 (spec/29). A peer of 3.1 that was
 * silent for `PING_AFTER_MS` is pinged, and one that stays so for `SILENT_MS` is given up; 3.0 knows no heartbeats, so
 * that a silent peer may be an idle one. A handshake has `HANDSHAKE_MS`.
 *
 * A fault ends the connection: whoever owns it closes, and may connect anew. Limits: those of zmtp-frames.ts,
 * `FRAMES_MAX` frames and `MESSAGE_BYTES_MAX` bytes a message, `PROPERTIES_MAX` properties of a peer.
 */
import { commandBytes, FrameReader, messageBytes } from "./zmtp-frames.ts";

export interface ZmtpOptions {
  readonly socket: "SUB" | "DEALER";
  /** What a SUB hears: topics that begin with one of these. The empty one: all. */
  readonly topics?: readonly Uint8Array[];
}

export interface ZmtpTaken {
  /** To be sent, in order. */
  readonly bytes: readonly Uint8Array[];
  readonly messages: readonly (readonly Uint8Array[])[];
  /** Why this connection can't go on. */
  readonly fault: string | undefined;
  readonly wakeAtMs: number;
}

export const GREETING_BYTES = 64;
export const FRAMES_MAX = 16;
export const MESSAGE_BYTES_MAX = 32 * 1024 * 1024;
export const PING_AFTER_MS = 10_000;
export const SILENT_MS = 30_000;
export const HANDSHAKE_MS = 10_000;
const PROPERTIES_MAX = 64;
const PING_CONTEXT_BYTES_MAX = 16;
/** In tenths of a second: how long the peer may do without a sign of ours. */
const PING_TTL = SILENT_MS / 100;

const PEERS = { SUB: ["PUB", "XPUB"], DEALER: ["ROUTER"] } as const;
const decoder = new TextDecoder("latin1");
const encoder = new TextEncoder();

export class ZmtpClient {
  readonly #options: ZmtpOptions;
  readonly #greeting = new Uint8Array(GREETING_BYTES);
  #greeted = 0;
  /** Of the peer: 3.0 or later. */
  #minor = 0;
  #isReady = false;
  #bytes: Uint8Array[];
  #messages: Uint8Array[][] = [];
  #frames: Uint8Array[] = [];
  #frameBytes = 0;
  #fault: string | undefined;
  readonly #startedAtMs: number;
  #heardAtMs: number;
  #pingedAtMs = -Infinity;
  readonly #reader = new FrameReader({
    frame: (body, isLast) => this.#frame(body, isLast),
    command: (body) => this.#command(body),
    fault: (reason) => this.#fail(reason),
  });

  constructor(options: ZmtpOptions, nowMs: number) {
    this.#options = options;
    this.#startedAtMs = nowMs;
    this.#heardAtMs = nowMs;
    this.#bytes = [greeting()];
  }

  /** The handshake is done: messages may go both ways. */
  get isReady(): boolean {
    return this.#isReady && this.#fault === undefined;
  }

  /** The version that is spoken: the peer's, at most ours. */
  get version(): string {
    return this.#minor === 0 ? "3.0" : "3.1";
  }

  push(buffer: Uint8Array, start: number, end: number, nowMs: number): void {
    if (this.#fault !== undefined || start >= end) return;
    this.#heardAtMs = nowMs;
    let at = start;
    while (at < end && this.#greeted < GREETING_BYTES && this.#fault === undefined) {
      this.#greeting[this.#greeted++] = buffer[at++]!;
      this.#greet();
    }
    if (this.#fault === undefined) this.#reader.push(buffer, at, end);
  }

  /** A message; nothing is sent before the handshake is done. */
  send(frames: readonly Uint8Array[]): boolean {
    if (!this.isReady) return false;
    this.#bytes.push(messageBytes(frames));
    return true;
  }

  wake(nowMs: number): void {
    if (this.#fault !== undefined) return;
    if (!this.#isReady) {
      if (nowMs >= this.#startedAtMs + HANDSHAKE_MS) this.#fail(`no handshake within ${HANDSHAKE_MS / 1000} s`);
      return;
    }
    if (this.#minor === 0) return;
    if (nowMs >= this.#heardAtMs + SILENT_MS) {
      this.#fail(`silent for ${SILENT_MS / 1000} s, pings included`);
    } else if (nowMs >= Math.max(this.#heardAtMs, this.#pingedAtMs) + PING_AFTER_MS) {
      this.#pingedAtMs = nowMs;
      this.#bytes.push(commandBytes("PING", Uint8Array.of(PING_TTL >> 8, PING_TTL & 255)));
    }
  }

  take(): ZmtpTaken {
    const taken = {
      bytes: this.#bytes,
      messages: this.#messages,
      fault: this.#fault,
      wakeAtMs: this.#wakeAtMs(),
    };
    if (this.#bytes.length > 0) this.#bytes = [];
    if (this.#messages.length > 0) this.#messages = [];
    return taken;
  }

  #wakeAtMs(): number {
    if (this.#fault !== undefined) return Infinity;
    if (!this.#isReady) return this.#startedAtMs + HANDSHAKE_MS;
    if (this.#minor === 0) return Infinity;
    return Math.min(this.#heardAtMs + SILENT_MS, Math.max(this.#heardAtMs, this.#pingedAtMs) + PING_AFTER_MS);
  }

  /** One more byte of the greeting is here: what can be told from it is told at once, since a stranger may send no more. */
  #greet(): void {
    const bytes = this.#greeting;
    const have = this.#greeted;
    if (have === 1 && bytes[0] !== 0xff) this.#fail("no ZeroMQ peer: the greeting does not begin with 0xff");
    if (have === 10 && bytes[9] !== 0x7f)
      this.#fail("no ZeroMQ peer of version 3: the signature does not end with 0x7f");
    if (have === 11 && bytes[10]! < 3) this.#fail(`ZMTP ${bytes[10]!} is not spoken; 3.0 is the oldest that is`);
    if (have < GREETING_BYTES) return;
    this.#minor = bytes[10]! > 3 ? 1 : Math.min(1, bytes[11]!);
    const mechanism = decoder.decode(bytes.subarray(12, 32)).replace(/\0+$/, "");
    if (mechanism !== "NULL") {
      this.#fail(`the peer wants the mechanism ${shown(mechanism)}; only NULL is spoken`);
      return;
    }
    this.#bytes.push(commandBytes("READY", readyData(this.#options.socket)));
  }

  #frame(body: Uint8Array, isLast: boolean): void {
    if (!this.#isReady) return this.#fail("a message before the handshake was done");
    this.#frames.push(body);
    this.#frameBytes += body.length;
    if (this.#frames.length > FRAMES_MAX) return this.#fail(`a message of more than ${FRAMES_MAX} frames`);
    if (this.#frameBytes > MESSAGE_BYTES_MAX) return this.#fail(`a message of more than ${MESSAGE_BYTES_MAX} bytes`);
    if (!isLast) return;
    this.#messages.push(this.#frames);
    this.#frames = [];
    this.#frameBytes = 0;
  }

  #command(body: Uint8Array): void {
    const nameEnd = 1 + (body[0] ?? 0);
    if (nameEnd === 1 || nameEnd > body.length) return this.#fail("a command without a name");
    const name = decoder.decode(body.subarray(1, nameEnd));
    if (name === "ERROR") return this.#fail(`the peer refuses: ${errorReason(body, nameEnd)}`);
    if (!this.#isReady) {
      if (name === "READY") this.#ready(body, nameEnd);
      else this.#fail(`the command ${shown(name)} before the handshake was done`);
      return;
    }
    if (name === "PING") this.#pong(body, nameEnd);
    else if (name === "READY") this.#fail("a second READY");
    // PONG is a sign of life as any byte is; others are of later versions, or for sockets that publish.
  }

  #ready(body: Uint8Array, from: number): void {
    const type = socketType(body, from);
    const { socket, topics = [] } = this.#options;
    const peers: readonly string[] = PEERS[socket];
    if (type === undefined) return this.#fail("the properties of the peer are malformed");
    if (!peers.includes(type)) {
      const wanted = peers.join(" or ");
      return this.#fail(
        `the peer is a ${type === "" ? "socket without a type" : `${shown(type)} socket`}; ${wanted} is wanted`,
      );
    }
    this.#isReady = true;
    if (socket === "SUB") for (const topic of topics) this.#subscribe(topic);
  }

  #subscribe(topic: Uint8Array): void {
    if (this.#minor === 0) this.#bytes.push(messageBytes([Uint8Array.of(1, ...topic)]));
    else this.#bytes.push(commandBytes("SUBSCRIBE", topic));
  }

  #pong(body: Uint8Array, from: number): void {
    const contextBytes = body.length - from - 2;
    if (contextBytes < 0 || contextBytes > PING_CONTEXT_BYTES_MAX) return this.#fail("a malformed PING");
    this.#bytes.push(commandBytes("PONG", body.slice(from + 2)));
  }

  #fail(reason: string): void {
    if (this.#fault !== undefined) return;
    this.#fault = reason;
    this.#frames = [];
    this.#reader.stop();
  }
}

/** 3.1, NULL, and what a server of a mechanism with roles would tell left empty. */
function greeting(): Uint8Array {
  const bytes = new Uint8Array(GREETING_BYTES);
  bytes[0] = 0xff;
  bytes[9] = 0x7f;
  bytes[10] = 3;
  bytes[11] = 1;
  bytes.set(encoder.encode("NULL"), 12);
  return bytes;
}

/** A property is a name with its length in a byte, and a value with its length in four. */
function readyData(socket: string): Uint8Array {
  const pairs = [["Socket-Type", socket], ...(socket === "DEALER" ? [["Identity", ""]] : [])];
  const bytes: number[] = [];
  for (const [name = "", value = ""] of pairs) {
    bytes.push(name.length, ...encoder.encode(name), 0, 0, 0, value.length, ...encoder.encode(value));
  }
  return Uint8Array.from(bytes);
}

/** The peer's Socket-Type, "" where it tells none; undefined when its properties are malformed. */
function socketType(body: Uint8Array, from: number): string | undefined {
  let at = from;
  let type = "";
  for (let count = 0; at < body.length; count += 1) {
    const nameEnd = at + 1 + body[at]!;
    if (count === PROPERTIES_MAX || nameEnd === at + 1 || nameEnd + 4 > body.length) return undefined;
    const view = new DataView(body.buffer, body.byteOffset, body.length);
    const end = nameEnd + 4 + view.getUint32(nameEnd);
    if (end > body.length) return undefined;
    const name = decoder.decode(body.subarray(at + 1, nameEnd)).toLowerCase();
    if (name === "socket-type") type = decoder.decode(body.subarray(nameEnd + 4, end));
    at = end;
  }
  return type;
}

function errorReason(body: Uint8Array, from: number): string {
  const end = from + 1 + (body[from] ?? 0);
  return from < body.length && end <= body.length
    ? shown(decoder.decode(body.subarray(from + 1, end)))
    : "no reason given";
}

/** A peer's words, as far as they can be shown. */
function shown(text: string): string {
  return JSON.stringify(text.slice(0, 64).replace(/[^ -~]/g, "?"));
}
