/**
 * The keys that the mesh's packets are sealed with: up to eight, one of them the primary, which seals; all of them
 * open. So a key is changed without a packet lost, in three steps, each done at every member before the next: `add`
 * the new key, `use` it, `remove` the old one.
 *
 * A key is known by its fingerprint, a hash that says nothing about its bytes; the bytes never leave this file but
 * into the cipher, and by `keyText` into the file that keeps them. A ring without keys means plain packets; it stays
 * empty for life, since a member that started to seal by itself would be cut off from all the others.
 */
import { createHash, createSecretKey, type KeyObject } from "node:crypto";
import { MeshError } from "../base/errors.ts";

export const KEYS_MAX = 8;
export const KEY_BYTES = 32;

export interface Key {
  readonly cipher: KeyObject;
  /** 16 hex digits. */
  readonly fingerprint: string;
  /** The fingerprint's first byte: stands in packets, so that a receiver with several keys knows which to try. */
  readonly hint: number;
}

export interface ListedKey {
  readonly fingerprint: string;
  readonly primary: boolean;
}

/** The 32 bytes that a text in base64 stands for; undefined for anything else. */
export function parseKey(text: string): Uint8Array | undefined {
  if (!/^[A-Za-z0-9+/]{43}=$/.test(text)) return undefined;
  const bytes = Buffer.from(text, "base64");
  // The last digit carries two bits too many: only one spelling of a key is right.
  return bytes.length === KEY_BYTES && bytes.toString("base64") === text ? bytes : undefined;
}

/** A key as its file holds it, in base64: for that file only. */
export function keyText(key: Key): string {
  return key.cipher.export().toString("base64");
}

export function makeKey(bytes: Uint8Array): Key {
  const hash = createHash("sha256").update("infermesh gossip key\0").update(bytes).digest();
  return { cipher: createSecretKey(bytes), fingerprint: hash.toString("hex", 0, 8), hint: hash[0]! };
}

/**
 * Writes a ring down before it is in force, the primary first; `gone` is the fingerprint that is taken out, "" for none.
 * What it throws ends the change, and the ring stays as it was.
 */
export type Keep = (keys: readonly Key[], gone: string) => void;

export class Keyring {
  /** The primary first. */
  #keys: Key[] = [];
  readonly #keep: Keep | undefined;

  /** The first key is the primary; none at all for plain packets. Keys given twice count once. */
  constructor(keys: readonly Uint8Array[] = [], keep?: Keep) {
    this.#keep = keep;
    for (const bytes of keys) {
      const key = makeKey(bytes);
      if (this.#find(key.fingerprint) === undefined) this.#keys.push(key);
    }
    if (this.#keys.length > KEYS_MAX) throw new MeshError("config_invalid", tooMany());
  }

  /** Seals; undefined when packets are plain. */
  get primary(): Key | undefined {
    return this.#keys[0];
  }

  /** All of them open, the primary first. */
  get keys(): readonly Key[] {
    return this.#keys;
  }

  /** Whether changes outlast a restart. */
  get kept(): boolean {
    return this.#keep !== undefined;
  }

  list(): ListedKey[] {
    return this.#keys.map(({ fingerprint }, index) => ({ fingerprint, primary: index === 0 }));
  }

  /** Takes a key in, in base64, that opens from now on; answers its fingerprint. One that is there already stays. */
  add(text: string): string {
    const bytes = parseKey(text);
    if (bytes === undefined)
      throw new MeshError("bad_request", `a key is ${KEY_BYTES} bytes in base64 (44 characters)`);
    if (this.#keys.length === 0) throw notEncrypted();
    const key = makeKey(bytes);
    const known = this.#find(key.fingerprint) !== undefined;
    if (!known && this.#keys.length >= KEYS_MAX) throw new MeshError("conflict", tooMany());
    this.#become(known ? this.#keys : [...this.#keys, key]);
    return key.fingerprint;
  }

  /** Makes a key the primary. Every member must have it by now, or it can't read what this one sends. */
  use(fingerprint: string): void {
    const key = this.#get(fingerprint);
    this.#become([key, ...this.#keys.filter((other) => other !== key)]);
  }

  /**
   * Takes a key out; one that is not there is gone already. No member may seal with it any more, or this one can't read
   * what it sends.
   */
  remove(fingerprint: string): void {
    if (fingerprint === this.primary?.fingerprint) {
      throw new MeshError("conflict", `the key ${fingerprint} is the primary: use another one before removing it`);
    }
    this.#become(
      this.#keys.filter((key) => key.fingerprint !== fingerprint),
      fingerprint,
    );
  }

  /** Written down also where nothing changes: the file may lack what an earlier change could not write. */
  #become(keys: Key[], gone = ""): void {
    this.#keep?.(keys, gone);
    this.#keys = keys;
  }

  #find(fingerprint: string): Key | undefined {
    return this.#keys.find((key) => key.fingerprint === fingerprint);
  }

  #get(fingerprint: string): Key {
    const key = this.#find(fingerprint);
    if (key !== undefined) return key;
    // What was given may be a key by mistake, so it is not repeated.
    throw new MeshError("not_found", "no key of that fingerprint is in the keyring; `keyring list` shows them");
  }
}

export function notEncrypted(): MeshError {
  return new MeshError(
    "conflict",
    "this mesh is not encrypted: give every member a key at its start (--gossip-key or --gossip-key-file)",
  );
}

function tooMany(): string {
  return `a keyring holds at most ${KEYS_MAX} keys: remove one that is not in use any more`;
}
