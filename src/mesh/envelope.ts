/**
 * What every packet of the mesh travels in, datagrams and frames of streams alike. DESIGN.md says why it is as it is.
 *
 *     0  magic     1
 *     1  version   1
 *     2  flags     1    bits 0-1 kind, bit 2 sealed, bit 3 compressed, bits 4-5 channel, the others 0
 *     3  key       1    first byte of the key's fingerprint; 0 when plain
 *     4  cluster   4    of a hash of the cluster's name
 *     8  session   8    random, drawn at the sender's start          \
 *    16  counter   4    of this session, from 1                       | only when sealed
 *    20  time      4    the sender's, in seconds since 1970           |
 *    24  ...            payload under AES-256-GCM, then its tag (16)  /
 *
 * Session and counter are the nonce. Header, cluster name and, for a response, the request's nonce are authenticated
 * with the payload. Numbers are little-endian.
 *
 * Limits: what `open` is given is bounded by its caller; decompression by `bytesMax`. Nothing here throws on bad
 * input: a packet that can't be opened has a reason, and the first fault found is the one told.
 */
import { createCipheriv, createDecipheriv, createHash, randomFillSync } from "node:crypto";
import { constants, zstdCompressSync, zstdDecompressSync } from "node:zlib";
import type { Key, Keyring } from "./keyring.ts";
import type { ReplayTable } from "./replay.ts";

/** A datagram can't be passed off as a request, nor one question's answer as another's. */
export const KIND = { datagram: 0, request: 1, response: 2 } as const;
export type Kind = (typeof KIND)[keyof typeof KIND];

/** Whom a payload is for: membership, the streams of states, keys, or calls of the API. A response has its request's. */
export const CHANNEL = { membership: 0, state: 1, control: 2, call: 3 } as const;
export type Channel = (typeof CHANNEL)[keyof typeof CHANNEL];

export const PLAIN_HEADER_BYTES = 8;
const SEALED_HEADER_BYTES = 24;
const NONCE_START = 8;
const NONCE_END = 20;
const TIME_START = 20;
const NONCE_BYTES = NONCE_END - NONCE_START;
const TAG_BYTES = 16;
export const SEALED_BYTES = SEALED_HEADER_BYTES + TAG_BYTES;

const MAGIC = 0xe1;
export const PACKET_VERSION = 1;
const KIND_MASK = 3;
const SEALED = 4;
const COMPRESSED = 8;
const CHANNEL_SHIFT = 4;
const FLAGS_MAX = (CHANNEL.call << CHANNEL_SHIFT) | 15;
const CIPHER = "aes-256-gcm";
const CIPHER_OPTIONS = { authTagLength: TAG_BYTES };

/** Streams are compressed from this size on, and only if they shrink by an eighth. */
const COMPRESS_BYTES_MIN = 1024;
const ZSTD = { params: { [constants.ZSTD_c_compressionLevel]: 1 } };
/** The memory that a frame may make the decoder take: level 1 never asks for more than half of it. */
const UNZSTD = { [constants.ZSTD_d_windowLogMax]: 20 };

/** Why a packet was dropped. */
export const DROP_REASONS = [
  "truncated",
  "oversized",
  "magic",
  "version",
  "flags",
  "cluster",
  /** Plain where packets must be sealed, or sealed where no key is set. */
  "plain",
  "sealed",
  /** Sealed with a key that is not in the keyring. */
  "key",
  "forged",
  /** Its time is too far from ours: an old recording, or a clock that is wrong. */
  "clock",
  "replayed",
  "compression",
] as const;
export type DropReason = (typeof DROP_REASONS)[number];

export interface EnvelopeOptions {
  readonly cluster: string;
  readonly keyring: Keyring;
  readonly replays: ReplayTable;
  /** How far a sender's clock may be from ours. */
  readonly windowSeconds: number;
  /** Longest payload that a compressed one may become. */
  readonly bytesMax: number;
  /** Since 1970. */
  readonly nowSeconds: () => number;
}

/** One count of packets: the nonces of one process and purpose. */
class Session {
  readonly id = new Uint8Array(8);
  #counter = 0;

  constructor() {
    randomFillSync(this.id);
  }

  /** The next counter; a count that is used up starts over under a new name. */
  next(): number {
    if (this.#counter === 0xffff_ffff) {
      randomFillSync(this.id);
      this.#counter = 0;
    }
    return ++this.#counter;
  }
}

export class Envelope {
  readonly #options: EnvelopeOptions;
  readonly #cluster: Uint8Array;
  /** Header, the request's nonce or zeros, the cluster's name. */
  readonly #authenticated: Uint8Array;
  // Requests wait in streams while datagrams fly past: in one count they would fall out of the replay window.
  readonly #datagrams = new Session();
  readonly #streams = new Session();
  /** Of requests: who has only that key can read no answer that is sealed with another. */
  readonly #openedWith = new WeakMap<Uint8Array, Key>();

  constructor(options: EnvelopeOptions) {
    this.#options = options;
    const name = new TextEncoder().encode(options.cluster);
    this.#cluster = createHash("sha256").update("infermesh cluster\0").update(name).digest().subarray(0, 4);
    this.#authenticated = new Uint8Array(SEALED_HEADER_BYTES + NONCE_BYTES + name.length);
    this.#authenticated.set(name, SEALED_HEADER_BYTES + NONCE_BYTES);
  }

  /** Bytes that a packet is longer than its payload. */
  get overhead(): number {
    return this.#options.keyring.primary === undefined ? PLAIN_HEADER_BYTES : SEALED_BYTES;
  }

  /**
   * The packet for a payload, in memory of its own. A response needs the request's packet, and is sealed with the key
   * that opened it.
   */
  seal(
    kind: Kind,
    payload: Uint8Array,
    request?: Uint8Array,
    channel: Channel = request === undefined ? CHANNEL.membership : channelOf(request),
  ): Uint8Array {
    const small = kind === KIND.datagram ? undefined : compressed(payload);
    const body = small ?? payload;
    const { primary } = this.#options.keyring;
    const key = request === undefined ? primary : (this.#openedWith.get(request) ?? primary);
    const packet = Buffer.allocUnsafe(body.length + this.overhead);
    packet[0] = MAGIC;
    packet[1] = PACKET_VERSION;
    packet[2] =
      kind | (key === undefined ? 0 : SEALED) | (small === undefined ? 0 : COMPRESSED) | (channel << CHANNEL_SHIFT);
    packet[3] = key === undefined ? 0 : key.hint;
    packet.set(this.#cluster, 4);
    if (key === undefined) {
      packet.set(body, PLAIN_HEADER_BYTES);
      return packet;
    }
    const session = kind === KIND.datagram ? this.#datagrams : this.#streams;
    // The counter first: when it starts over, the session's name changes.
    packet.writeUInt32LE(session.next(), 16);
    packet.set(session.id, NONCE_START);
    packet.writeUInt32LE(this.#options.nowSeconds() >>> 0, TIME_START);
    const cipher = createCipheriv(CIPHER, key.cipher, packet.subarray(NONCE_START, NONCE_END), CIPHER_OPTIONS);
    cipher.setAAD(this.#bind(packet, request));
    packet.set(cipher.update(body), SEALED_HEADER_BYTES);
    cipher.final();
    packet.set(cipher.getAuthTag(), packet.length - TAG_BYTES);
    return packet;
  }

  /** The payload of a packet, or why it is dropped. It may share the packet's memory. */
  open(kind: Kind, packet: Uint8Array, request?: Uint8Array): Uint8Array | DropReason {
    const fault = this.faultOf(kind, packet);
    if (fault !== "") return fault;
    if (request !== undefined && channelOf(packet) !== channelOf(request)) return "flags";
    const flags = packet[2]!;
    const body = (flags & SEALED) === 0 ? packet.subarray(PLAIN_HEADER_BYTES) : this.#unseal(kind, packet, request);
    if (typeof body === "string" || (flags & COMPRESSED) === 0) return body;
    return decompressed(body, this.#options.bytesMax) ?? "compression";
  }

  /** By how much the sender's clock is ahead of ours, of a packet dropped for that; undefined when it is forged. */
  secondsAhead(kind: Kind, packet: Uint8Array): number | undefined {
    if (this.faultOf(kind, packet) !== "clock" || this.#decipher(packet, undefined) === undefined) return undefined;
    return wordAt(packet, TIME_START) - this.#options.nowSeconds();
  }

  /** What is wrong with a packet's header, as far as it is there; "" for nothing. */
  faultOf(kind: Kind, packet: Uint8Array): DropReason | "" {
    if (packet.length < PLAIN_HEADER_BYTES) return "truncated";
    if (packet[0] !== MAGIC) return "magic";
    if (packet[1] !== PACKET_VERSION) return "version";
    const flags = packet[2]!;
    if ((flags & KIND_MASK) !== kind || flags > FLAGS_MAX || (kind === KIND.datagram && (flags & COMPRESSED) !== 0)) {
      return "flags";
    }
    const cluster = this.#cluster;
    if (packet[4] !== cluster[0] || packet[5] !== cluster[1] || packet[6] !== cluster[2] || packet[7] !== cluster[3]) {
      return "cluster";
    }
    const { keyring, windowSeconds } = this.#options;
    if ((flags & SEALED) === 0) return keyring.primary === undefined ? "" : "plain";
    if (keyring.primary === undefined) return "sealed";
    if (!keyring.keys.some(({ hint }) => hint === packet[3])) return "key";
    if (packet.length < SEALED_BYTES) return "truncated";
    // A response can't be an old one: it is bound to a request that was just made.
    if (kind === KIND.response) return "";
    return Math.abs(wordAt(packet, TIME_START) - this.#options.nowSeconds()) > windowSeconds ? "clock" : "";
  }

  #unseal(kind: Kind, packet: Uint8Array, request: Uint8Array | undefined): Uint8Array | DropReason {
    const { replays } = this.#options;
    const low = wordAt(packet, 8);
    const high = wordAt(packet, 12);
    const counter = wordAt(packet, 16);
    const told = wordAt(packet, TIME_START);
    // Before the cipher: a flood of recorded packets costs next to nothing.
    if (kind !== KIND.response && !replays.isNew(high, low, counter, told)) return "replayed";
    const payload = this.#decipher(packet, request);
    if (payload === undefined) return "forged";
    if (kind !== KIND.response) replays.mark(high, low, counter, told, this.#options.nowSeconds());
    return payload;
  }

  /** Tries each key that the header may mean. */
  #decipher(packet: Uint8Array, request: Uint8Array | undefined): Uint8Array | undefined {
    const authenticated = this.#bind(packet, request);
    for (const key of this.#options.keyring.keys) {
      const payload = key.hint === packet[3] ? decipher(key, packet, authenticated) : undefined;
      if (payload === undefined) continue;
      if (request === undefined && (packet[2]! & KIND_MASK) === KIND.request) this.#openedWith.set(packet, key);
      return payload;
    }
    return undefined;
  }

  #bind(packet: Uint8Array, request: Uint8Array | undefined): Uint8Array {
    const authenticated = this.#authenticated;
    authenticated.set(packet.subarray(0, SEALED_HEADER_BYTES));
    if (request === undefined) authenticated.fill(0, SEALED_HEADER_BYTES, SEALED_HEADER_BYTES + NONCE_BYTES);
    else authenticated.set(request.subarray(NONCE_START, NONCE_END), SEALED_HEADER_BYTES);
    return authenticated;
  }
}

/** Of a packet whose header is right. */
export function channelOf(packet: Uint8Array): Channel {
  return (packet[2]! >>> CHANNEL_SHIFT) as Channel;
}

/** The sender's clock, of a sealed packet that was opened; undefined of a plain one. */
export function sentAtSeconds(packet: Uint8Array): number | undefined {
  return (packet[2]! & SEALED) === 0 ? undefined : wordAt(packet, TIME_START);
}

function decipher(key: Key, packet: Uint8Array, authenticated: Uint8Array): Uint8Array | undefined {
  const end = packet.length - TAG_BYTES;
  const cipher = createDecipheriv(CIPHER, key.cipher, packet.subarray(NONCE_START, NONCE_END), CIPHER_OPTIONS);
  cipher.setAAD(authenticated);
  cipher.setAuthTag(packet.subarray(end));
  const payload = cipher.update(packet.subarray(SEALED_HEADER_BYTES, end));
  try {
    // Throws when the tag does not fit: what `update` gave is not to be looked at then.
    cipher.final();
    return payload;
  } catch {
    return undefined;
  }
}

/** The length of what went in (4 bytes), and zstd of it; undefined where that doesn't pay. */
function compressed(payload: Uint8Array): Uint8Array | undefined {
  if (payload.length < COMPRESS_BYTES_MIN) return undefined;
  const packed = zstdCompressSync(payload, ZSTD);
  if (packed.length + 4 > payload.length - (payload.length >>> 3)) return undefined;
  const body = Buffer.allocUnsafe(4 + packed.length);
  body.writeUInt32LE(payload.length, 0);
  body.set(packed, 4);
  return body;
}

function decompressed(body: Uint8Array, bytesMax: number): Uint8Array | undefined {
  const length = body.length < 4 ? 0 : wordAt(body, 0);
  if (length === 0 || length > bytesMax) return undefined;
  try {
    const payload = zstdDecompressSync(body.subarray(4), { maxOutputLength: length, params: UNZSTD });
    // One that was cut short decompresses to its beginning without a complaint.
    return payload.length === length ? payload : undefined;
  } catch {
    return undefined;
  }
}

function wordAt(bytes: Uint8Array, at: number): number {
  return (bytes[at]! | (bytes[at + 1]! << 8) | (bytes[at + 2]! << 16) | (bytes[at + 3]! << 24)) >>> 0;
}
