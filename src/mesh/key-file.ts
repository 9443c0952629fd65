/**
 * Where a node's keys come from: one key by itself (--gossip-key, or its variable), or a file with one key a line, the
 * first of them the primary. Empty lines and lines that begin with # are skipped. A file that others can read is
 * refused, as ssh refuses one: a key that leaked is as good as none, and nobody would notice.
 */
import { closeSync, fstatSync, openSync, readSync } from "node:fs";
import { MeshError } from "../base/errors.ts";
import { Keyring, KEYS_MAX, parseKey } from "./keyring.ts";

/** More than eight keys with a comment for each. */
const FILE_BYTES_MAX = 16_384;
const OTHERS = 0o077;

/** The keyring of a configuration; an empty one where no key is set. Throws a MeshError that says what to do. */
export function openKeyring(config: { readonly key: string; readonly keyFile: string }): Keyring {
  if (config.keyFile !== "") return new Keyring(readKeyFile(config.keyFile));
  if (config.key === "") return new Keyring();
  const key = parseKey(config.key);
  if (key === undefined) throw invalid("the gossip key is not 32 bytes in base64; `openssl rand -base64 32` makes one");
  return new Keyring([key]);
}

function readKeyFile(path: string): Uint8Array[] {
  const keys: Uint8Array[] = [];
  readPrivate(path)
    .split(/\r?\n/)
    .forEach((line, index) => {
      const text = line.trim();
      if (text === "" || text.startsWith("#")) return;
      const key = parseKey(text);
      // The line is not shown: it may be a key with a slip in it.
      if (key === undefined) throw invalid(`${path}, line ${index + 1}: not 32 bytes in base64 (44 characters)`);
      keys.push(key);
    });
  if (keys.length === 0) throw invalid(`${path} holds no key; \`openssl rand -base64 32\` makes one`);
  if (keys.length > KEYS_MAX) throw invalid(`${path} holds ${keys.length} keys, at most ${KEYS_MAX}`);
  return keys;
}

/** The file's text. The mode is that of what was opened, so nothing can be put in its place between look and read. */
function readPrivate(path: string): string {
  let fd: number;
  try {
    fd = openSync(path, "r");
  } catch (cause) {
    throw invalid(`can't read the gossip key file: ${cause instanceof Error ? cause.message : String(cause)}`, cause);
  }
  try {
    const stat = fstatSync(fd);
    const { mode, size } = stat;
    if (!stat.isFile()) throw invalid(`${path} is no file`);
    if ((mode & OTHERS) !== 0) {
      const octal = (mode & 0o777).toString(8).padStart(4, "0");
      throw invalid(`${path} is open to others than its owner (mode ${octal}); run: chmod 600 ${path}`);
    }
    if (size > FILE_BYTES_MAX) throw invalid(`${path} has ${size} bytes: that is no key file`);
    const buffer = Buffer.alloc(FILE_BYTES_MAX);
    let length = 0;
    for (let read = -1; read !== 0 && length < buffer.length; length += read) {
      read = readSync(fd, buffer, length, buffer.length - length, null);
    }
    return buffer.toString("latin1", 0, length);
  } finally {
    closeSync(fd);
  }
}

function invalid(message: string, cause?: unknown): MeshError {
  return new MeshError("config_invalid", message, { cause });
}
