/**
 * Opens the library of native/, for those that have a door to it: native.ts for picks, native-pages.ts for pages of metrics.
 *
 * The library is embedded in the executable. Bun writes it to $BUN_TMPDIR, $TMPDIR or /tmp when it is first opened (one
 * file a version and user; a file there that belongs to another user is not taken), which fails where nothing can be
 * written or run from there, as in a container with a read-only root. Then it is opened from a file in memory, by its
 * name in /proc. Without that too, or with an empty file in its place, since no C compiler was there at build time, whoever
 * opens it goes without.
 *
 * It is never closed: a call after that would crash. One `dlopen` asks for all symbols that a door needs, since all are our
 * own and a missing one is as bad as a wrong layout.
 */

import { dlopen, type FFIFunction } from "bun:ffi";
import { closeSync, readFileSync, writeSync } from "node:fs";

type Symbols = Readonly<Record<string, FFIFunction>>;

export interface Opened<S extends Symbols> {
  readonly symbols: ReturnType<typeof dlopen<S>>["symbols"];
  /** By which way, in words, where that is not the usual one. */
  readonly way: string;
}

/** Where Bun shows what is embedded in an executable. */
const EMBEDDED = "/$bunfs/";
const MFD_CLOEXEC = 1;
const MFD_NOEXEC_SEAL = 8;

/** The library by its path, else by a file in memory. Throws why not (`faultOf`). */
export function openSymbols<S extends Symbols>(path: string, symbols: S): Opened<S> {
  // A bare name would be looked for in the working directory too.
  if (!path.startsWith("/")) throw new Error(`its path is not absolute: ${path}`);
  if (Bun.file(path).size === 0) throw new Error("there was no C compiler when it was built");
  try {
    return { symbols: dlopen(path, symbols).symbols, way: "" };
  } catch (error) {
    const why = faultOf(error);
    if (!path.startsWith(EMBEDDED)) throw error;
    try {
      const way = `, from memory, since it can't be opened from a folder: ${why}`;
      return { symbols: openFromMemory(path, symbols), way };
    } catch (fault) {
      throw new Error(`${why}; nor from memory: ${faultOf(fault)}`, { cause: fault });
    }
  }
}

/** How often this thread has done so. */
let mappings = 0;

/**
 * Opens what the path holds by a file that has no place in any file system. The loader maps it and needs it no more, so
 * its descriptor is closed at once.
 */
export function openFromMemory<S extends Symbols>(path: string, symbols: S): Opened<S>["symbols"] {
  const bytes = readFileSync(path);
  const fd = memoryFile();
  try {
    for (let at = 0; at < bytes.length;) at += writeSync(fd, bytes, at);
    // glibc takes a name that it has opened before for the same library, and numbers of descriptors come again.
    mappings += 1;
    return dlopen(`/proc/self/${"./".repeat(mappings)}fd/${fd}`, symbols).symbols;
  } finally {
    closeSync(fd);
  }
}

/**
 * A new one's descriptor. Kernels from 6.3 on want to be told whether it is a program, and some allow none; it is mapped,
 * never started.
 */
function memoryFile(): number {
  let why: unknown;
  for (const name of ["libc.so.6", "libc.so"]) {
    try {
      const { memfd_create: create } = dlopen(name, {
        memfd_create: { args: ["ptr", "u32"], returns: "i32" },
      }).symbols;
      const named = new Uint8Array(new ArrayBuffer(16));
      named.set(new TextEncoder().encode("libscorer.so"));
      for (const flags of [MFD_CLOEXEC | MFD_NOEXEC_SEAL, MFD_CLOEXEC]) {
        const fd = create(named, flags);
        if (fd >= 0) return fd;
      }
      throw new Error("the kernel gives no file in memory");
    } catch (error) {
      why = error;
    }
  }
  throw why;
}

/** Why it can't be opened, in a line. */
export function faultOf(error: unknown): string {
  const message = error instanceof Error ? error.message : String(error);
  // Bun's words name the library twice.
  return message.replace(/^Failed to open library "[^"]*": /, "").split("\n", 1)[0] ?? "";
}
