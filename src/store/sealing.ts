/**
 * Sealing what goes between control nodes, with keys made of the mesh's gossip key.
 *
 * Each connection has keys of its own: HKDF-SHA-256 over the gossip key, salted with a random nonce of either side, named
 * after the cluster and the direction. Frames are sealed by AES-256-GCM under a counter, so that none can be repeated,
 * left out, or moved to another connection or direction without the next one failing to open.
 *
 * A connection seals with the primary key of who opened it; the other side finds that key by its fingerprint among all
 * that it holds, so keys are changed here as in gossip. Mutual TLS would take this file's place.
 */
import { createCipheriv, createDecipheriv, hkdfSync, type KeyObject } from "node:crypto";
import { putWhole32, whole32 } from "./frames.ts";

export const NONCE_BYTES = 32;
const KEY_BYTES = 32;
const IV_BYTES = 12;
const TAG_BYTES = 16;

/** A gossip key, as the keyring has it. */
export interface SealKey {
  readonly cipher: KeyObject;
  /** 16 hex digits. */
  readonly fingerprint: string;
}

/** The keys of the mesh, the primary first; none where gossip is plain. Looked at for each connection. */
export type SealKeys = () => readonly SealKey[];

/** One direction of one connection. */
class Direction {
  readonly #key: Buffer;
  readonly #iv = Buffer.alloc(IV_BYTES);
  #count = 0;

  constructor(key: Buffer) {
    this.#key = key;
  }

  seal(plain: readonly Uint8Array[]): readonly Uint8Array[] {
    const cipher = createCipheriv("aes-256-gcm", this.#key, this.#next());
    return [...plain.map((part) => cipher.update(part)), cipher.final(), cipher.getAuthTag()];
  }

  /** Undefined for what the other side did not send as its next frame. */
  open(sealed: Uint8Array): Uint8Array | undefined {
    if (sealed.length < TAG_BYTES) return undefined;
    const decipher = createDecipheriv("aes-256-gcm", this.#key, this.#next());
    decipher.setAuthTag(sealed.subarray(sealed.length - TAG_BYTES));
    try {
      return Buffer.concat([decipher.update(sealed.subarray(0, sealed.length - TAG_BYTES)), decipher.final()]);
    } catch {
      return undefined;
    }
  }

  #next(): Buffer {
    // 2^53 frames are more than any connection lives for.
    this.#iv.writeUInt32BE(Math.floor(this.#count / 2 ** 32), 4);
    this.#iv.writeUInt32BE(this.#count % 2 ** 32, 8);
    this.#count += 1;
    return this.#iv;
  }
}

export interface Sealer {
  /** The parts of what is sent, of the parts of what it says: they are put together once, in their frame. */
  seal(plain: readonly Uint8Array[]): readonly Uint8Array[];
  open(sealed: Uint8Array): Uint8Array | undefined;
}

const SUM_BYTES = 4;

/** Where there is no key: a CRC-32 behind each frame, which seals nothing and shows damage. */
export const CHECKED: Sealer = {
  seal(plain) {
    const sum = new Uint8Array(SUM_BYTES);
    // The sum of one part goes on from that of the part before.
    putWhole32(
      sum,
      0,
      plain.reduce((before, part) => Bun.hash.crc32(part, before), 0),
    );
    return [...plain, sum];
  },
  open(checked) {
    const end = checked.length - SUM_BYTES;
    if (end < 0) return undefined;
    const plain = checked.subarray(0, end);
    return whole32(checked, end) === Bun.hash.crc32(plain) ? plain : undefined;
  },
};

export function sealerOf(options: {
  readonly key: SealKey;
  readonly cluster: string;
  /** Of who opened the connection, and of who accepted it. */
  readonly nonces: readonly [Uint8Array, Uint8Array];
  readonly side: "opener" | "acceptor";
}): Sealer {
  const salt = Buffer.concat(options.nonces);
  const keyFor = (direction: string): Buffer => {
    const name = `infermesh control\0${options.cluster}\0${direction}`;
    return Buffer.from(hkdfSync("sha256", options.key.cipher, salt, name, KEY_BYTES));
  };
  const [forth, back] = [new Direction(keyFor("forth")), new Direction(keyFor("back"))];
  const [out, into] = options.side === "opener" ? [forth, back] : [back, forth];
  return { seal: (plain) => out.seal(plain), open: (sealed) => into.open(sealed) };
}
