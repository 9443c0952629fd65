/**
 * Where a node's keys come from: one key by itself (--gossip-key, or its variable), or a file with one key a line, the
 * first of them the primary. Empty lines and lines that begin with # are skipped. A file that others can read is
 * refused, and so is one of another user (root's aside), as ssh refuses them: a key that leaked is as good as none, and
 * nobody would notice.
 *
 * A keyring from a file writes its changes back, whole or not at all: another file beside it takes its place. Comments
 * and empty lines belong to the key below them: they move with it and go with it. Several processes may share a file.
 * Keys that somebody put into it meanwhile are not lost: the change is refused. What a crash left beside it half written
 * is removed, at the next start or change that is more than a minute later.
 */
import { randomBytes } from "node:crypto";
import {
  closeSync,
  fstatSync,
  fsyncSync,
  lstatSync,
  openSync,
  readdirSync,
  readSync,
  realpathSync,
  renameSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { basename, dirname, join } from "node:path";
import { MeshError } from "../base/errors.ts";
import { type Key, Keyring, KEYS_MAX, keyText, makeKey, parseKey } from "./keyring.ts";

/** More than eight keys with a comment for each. */
const FILE_BYTES_MAX = 16_384;
const OTHERS = 0o077;
const SUFFIX_BYTES = 6;
/** Another process that shares the file takes no longer to write it. */
const LEFTOVER_MS = 60_000;

/** A key of a file, and the lines above it that are none. */
interface Entry {
  readonly above: readonly string[];
  readonly bytes: Uint8Array;
  /** From 1. */
  readonly line: number;
}

interface KeyFile {
  readonly entries: readonly Entry[];
  /** The lines after the last key. */
  readonly below: readonly string[];
}

/** The keyring of a configuration; an empty one where no key is set. Throws a MeshError that says what to do. */
export function openKeyring(config: { readonly key: string; readonly keyFile: string }): Keyring {
  const { keyFile } = config;
  if (keyFile !== "") {
    if (parseKey(keyFile.trim()) !== undefined) {
      throw invalid(
        "--gossip-key-file was given a key, not a file; write it into a file of mode 0600 and give that file's name",
      );
    }
    const keys = readKeyFile(keyFile).entries.map(({ bytes }) => bytes);
    removeLeftovers(realpathSync(keyFile));
    return new Keyring(keys, (ring, gone) => rewriteKeyFile(keyFile, ring, gone));
  }
  if (config.key === "") return new Keyring();
  const key = parseKey(config.key);
  if (key === undefined) throw invalid("the gossip key is not 32 bytes in base64; `openssl rand -base64 32` makes one");
  return new Keyring([key]);
}

function readKeyFile(path: string): KeyFile {
  const entries: Entry[] = [];
  let above: string[] = [];
  readPrivate(path)
    .split(/\r?\n/)
    .forEach((line, index) => {
      const text = line.trim();
      if (text === "" || text.startsWith("#")) {
        above.push(line);
        return;
      }
      const bytes = parseKey(text);
      // The line is not shown: it may be a key with a slip in it.
      if (bytes === undefined) throw invalid(`${path}, line ${index + 1}: not 32 bytes in base64 (44 characters)`);
      entries.push({ above, bytes, line: index + 1 });
      above = [];
    });
  if (entries.length === 0) throw invalid(`${path} holds no key; \`openssl rand -base64 32\` makes one`);
  if (entries.length > KEYS_MAX) throw invalid(`${path} holds ${entries.length} keys, at most ${KEYS_MAX}`);
  return { entries, below: above };
}

/** Makes the file hold these keys in this order. Throws a MeshError, and then the file is as it was. */
function rewriteKeyFile(path: string, keys: readonly Key[], gone: string): void {
  const { entries, below } = readKeyFile(path);
  const written = new Map<string, Entry>();
  for (const entry of entries) {
    const { fingerprint } = makeKey(entry.bytes);
    if (!written.has(fingerprint)) written.set(fingerprint, entry);
    if (fingerprint === gone || keys.some((key) => key.fingerprint === fingerprint)) continue;
    throw invalid(
      `${path}, line ${entry.line}: a key that this process does not use, so the file was changed since it was read; take the line out, or restart the process`,
    );
  }
  if ([...written.keys()].join() === keys.map(({ fingerprint }) => fingerprint).join()) return;
  const lines = keys.flatMap((key) => [...(written.get(key.fingerprint)?.above ?? []), keyText(key)]);
  const text = `${[...lines, ...below].join("\n").replace(/\n*$/, "")}\n`;
  if (text.length > FILE_BYTES_MAX) throw invalid(`${path} would have ${text.length} bytes; shorten its comments`);
  try {
    // A link stays a link: the file that it leads to is replaced.
    const target = realpathSync(path);
    removeLeftovers(target);
    replaceFile(target, Buffer.from(text, "latin1"));
  } catch (cause) {
    throw invalid(`can't write the gossip key file: ${cause instanceof Error ? cause.message : String(cause)}`, cause);
  }
}

/** Another file with the new content takes the place of the old one, so that no crash leaves half of it. */
function replaceFile(path: string, content: Uint8Array): void {
  const fresh = join(dirname(path), `.${basename(path)}.${randomBytes(SUFFIX_BYTES).toString("hex")}`);
  const fd = openSync(fresh, "wx", 0o600);
  try {
    try {
      writeFileSync(fd, content);
      fsyncSync(fd);
    } finally {
      closeSync(fd);
    }
    renameSync(fresh, path);
  } catch (error) {
    rmSync(fresh, { force: true });
    throw error;
  }
  syncDirectory(dirname(path));
}

/** Keys lie in them, so they don't stay. What can't be removed is left to the next time. */
function removeLeftovers(path: string): void {
  const beginning = `.${basename(path)}.`;
  try {
    for (const name of readdirSync(dirname(path))) {
      const suffix = name.startsWith(beginning) ? name.slice(beginning.length) : "";
      if (suffix.length !== 2 * SUFFIX_BYTES || !/^[0-9a-f]+$/.test(suffix)) continue;
      const leftover = join(dirname(path), name);
      const stat = lstatSync(leftover);
      if (stat.isFile() && isOurs(stat.uid) && Date.now() - stat.mtimeMs > LEFTOVER_MS) rmSync(leftover);
    }
  } catch {
    // Nothing depends on it.
  }
}

/** Whether a file of that user's is to be trusted: nobody but root may do what we may. */
function isOurs(uid: number): boolean {
  return uid === 0 || uid === process.geteuid?.();
}

/** Makes a rename outlast a power failure, where the file system can. */
function syncDirectory(path: string): void {
  try {
    const fd = openSync(path, "r");
    try {
      fsyncSync(fd);
    } finally {
      closeSync(fd);
    }
  } catch {
    // Not every file system syncs directories; the file itself is complete under its name.
  }
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
    const { mode, size, uid } = stat;
    if (!stat.isFile()) throw invalid(`${path} is no file`);
    if (!isOurs(uid)) {
      const own = process.geteuid?.() ?? 0;
      throw invalid(`${path} belongs to another user (${uid}), who can change it; run: chown ${own} ${path}`);
    }
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
