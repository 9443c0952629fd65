/**
 * Archives whose bytes depend on nothing but names, contents and one time: tar (ustar) with sorted names, owned by root,
 * readable by all, under gzip without a name and a time.
 */
import { gzipSync } from "node:zlib";

export interface ArchiveEntry {
  /** With slashes, and no leading one. */
  readonly name: string;
  readonly bytes: Uint8Array;
  readonly isExecutable: boolean;
}

const BLOCK = 512;
const NAME_BYTES_MAX = 100;
const PREFIX_BYTES_MAX = 155;
const OCTAL_SIZE_MAX = 8 ** 11;
const encoder = new TextEncoder();

/** A name's two parts, as ustar has room for them. */
function split(name: string): readonly [prefix: string, rest: string] {
  if (encoder.encode(name).length <= NAME_BYTES_MAX) return ["", name];
  for (let at = name.indexOf("/"); at >= 0; at = name.indexOf("/", at + 1)) {
    const parts = [name.slice(0, at), name.slice(at + 1)] as const;
    const fits =
      encoder.encode(parts[0]).length <= PREFIX_BYTES_MAX && encoder.encode(parts[1]).length <= NAME_BYTES_MAX;
    if (fits) return parts;
  }
  throw new Error(`${name} is too long a name for a tar archive`);
}

function header({ name, bytes, isExecutable }: ArchiveEntry, timeSeconds: number): Uint8Array {
  if (bytes.length >= OCTAL_SIZE_MAX) throw new Error(`${name} is too large for a tar archive`);
  const block = new Uint8Array(BLOCK);
  const put = (text: string, at: number): void => block.set(encoder.encode(text), at);
  const octal = (value: number, digits: number, at: number): void => put(value.toString(8).padStart(digits, "0"), at);
  const [prefix, rest] = split(name);
  put(rest, 0);
  octal(isExecutable ? 0o755 : 0o644, 7, 100);
  octal(0, 7, 108);
  octal(0, 7, 116);
  octal(bytes.length, 11, 124);
  octal(timeSeconds, 11, 136);
  put(" ".repeat(8), 148);
  put("0", 156);
  put("ustar\0", 257);
  put("00", 263);
  put("root", 265);
  put("root", 297);
  put(prefix, 345);
  octal(
    block.reduce((sum, byte) => sum + byte, 0),
    6,
    148,
  );
  block[154] = 0;
  return block;
}

export function tar(entries: readonly ArchiveEntry[], timeSeconds: number): Uint8Array {
  const sorted = entries.toSorted((a, b) => (a.name < b.name ? -1 : 1));
  for (const [at, { name }] of sorted.entries()) {
    if (name === sorted[at - 1]?.name) throw new Error(`${name} is in the archive twice`);
    if (/^\/|(?:^|\/)\.\.?(?:\/|$)|\0/.test(name) || name === "") throw new Error(`${name} is no name for an archive`);
  }
  const parts = sorted.flatMap((entry) => [
    header(entry, timeSeconds),
    entry.bytes,
    new Uint8Array((BLOCK - (entry.bytes.length % BLOCK)) % BLOCK),
  ]);
  return new Uint8Array(Buffer.concat([...parts, new Uint8Array(2 * BLOCK)]));
}

/** A .tar.gz, the same wherever it is made. */
export function tarball(entries: readonly ArchiveEntry[], timeSeconds: number): Uint8Array {
  const bytes = new Uint8Array(gzipSync(tar(entries, timeSeconds), { level: 9 }));
  // Its header tells which system made it: "unknown" everywhere.
  bytes[9] = 255;
  return bytes;
}
