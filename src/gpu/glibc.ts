/**
 * Vendors' libraries in the static executable, which has musl for a C library: they are built for glibc. A library of
 * ours has what they ask of glibc and musl does not have (native/glibc/DESIGN.md). The static build alone embeds it; in
 * any other executable an empty file is in its place, and nothing of this happens.
 *
 * Bun binds functions when they are called, and one that nobody has would end the process then. So a library is opened
 * here before, by the loader itself, which binds all of them at once, or says what is missing.
 *
 * Ours is put into a file in memory, which is opened by its name in /proc: a container's root may be read-only and have no
 * /tmp, or one that nothing may be run from. Where there is no such file, one in a folder for temporary files is tried.
 */
import { dlopen } from "bun:ffi";
import { closeSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { basename, join } from "node:path";
import ownPath from "../../dist/native/libglibc.so" with { type: "file" };

const LOADER = {
  dlopen: { args: ["ptr", "i32"], returns: "ptr" },
  dlerror: { args: [], returns: "cstring" },
  memfd_create: { args: ["ptr", "u32"], returns: "i32" },
} as const;
type Loader = ReturnType<typeof dlopen<typeof LOADER>>["symbols"];

const RTLD_NOW = 2;
const RTLD_GLOBAL = 0x100;
const MFD_CLOEXEC = 1;
/** Kernels from 6.3 on want to be told whether such a file is a program; it is mapped, never started. */
const MFD_NOEXEC_SEAL = 8;
const MESSAGE_CHARS_MAX = 300;

/** NVIDIA's GPUs have another way; who opens AMD's library names that of theirs. */
const remedyFor = (path: string): string => {
  const other = basename(path).startsWith("librocm") ? "" : ", or read the GPUs by dcgm-exporter (--gpu dcgm=URL)";
  return `use the executable for glibc (npm run build)${other}`;
};

/** Once ours is open, the loader; before, nothing; a reason where it can't be opened. */
let opened: Loader | string | undefined;

/** Whether this executable brings its own C library, and ours with it. */
export function isStatic(own: string = ownPath): boolean {
  return Bun.file(own).size > 0;
}

/** Opens a library for good, with all that it needs; "" for done, else why it can't be, in one line. */
export function loadFault(path: string, own: string = ownPath): string {
  if (!isStatic(own)) return "";
  opened ??= openOwn(own);
  if (typeof opened === "string") return opened;
  return opened.dlopen(terminated(path), RTLD_NOW) === null ? wordsOf(path, lastError(opened)) : "";
}

function openOwn(own: string): Loader | string {
  // The name of musl's own, for which no file is opened.
  const loader = dlopen("libc.so", LOADER).symbols;
  const bytes = readFileSync(own);
  const faults: string[] = [];
  for (const place of [inMemory, ...temporaryFolders().map((folder) => inFolder(folder))]) {
    try {
      const fault = place(loader, bytes);
      if (fault === "") return loader;
      faults.push(fault);
    } catch (error) {
      faults.push((error as Error).message);
    }
  }
  const tried = faults.join("; ").slice(0, MESSAGE_CHARS_MAX);
  return `libraries built for glibc can't be opened here (${tried}); mount /proc, or a /tmp without noexec`;
}

function openGlobally(loader: Loader, path: string): string {
  const handle = loader.dlopen(terminated(path), RTLD_NOW | RTLD_GLOBAL);
  return handle === null ? lastError(loader) : "";
}

function inMemory(loader: Loader, bytes: Uint8Array): string {
  const name = terminated("infermesh-libglibc");
  let fd = loader.memfd_create(name, MFD_CLOEXEC | MFD_NOEXEC_SEAL);
  if (fd < 0) fd = loader.memfd_create(name, MFD_CLOEXEC);
  if (fd < 0) return "the kernel makes no file in memory (memfd_create)";
  try {
    writeFileSync(fd, bytes);
    return openGlobally(loader, `/proc/self/fd/${fd}`);
  } finally {
    closeSync(fd);
  }
}

function temporaryFolders(): string[] {
  const { BUN_TMPDIR, TMPDIR } = process.env;
  return [...new Set([BUN_TMPDIR, TMPDIR, "/tmp", "/dev/shm"])].filter((folder) => folder !== undefined);
}

/** It is gone as soon as it is mapped. */
const inFolder =
  (parent: string) =>
  (loader: Loader, bytes: Uint8Array): string => {
    const folder = mkdtempSync(join(parent, "infermesh-glibc-"));
    try {
      const path = join(folder, "libglibc.so");
      writeFileSync(path, bytes);
      return openGlobally(loader, path);
    } finally {
      rmSync(folder, { recursive: true, force: true });
    }
  };

const terminated = (text: string): Uint8Array => new TextEncoder().encode(`${text}\0`);

const lastError = (loader: Loader): string => (loader.dlerror() ?? "no reason given").replaceAll(/\s+/g, " ").trim();

/** What musl's loader says, for people. */
export function wordsOf(path: string, error: string): string {
  const remedy = remedyFor(path);
  const [, asker = "", symbol = "", what = ""] = /^Error relocating (.*): (.*): ([^:]*)$/.exec(error) ?? [];
  const whose = asker === path ? "it" : `its ${basename(asker)}`;
  // The symbol's name is none in this case.
  if (what.startsWith("initial-exec TLS")) {
    return `${whose} has thread-local storage that must be there from the start (initial-exec); ${remedy}`;
  }
  if (what === "symbol not found") {
    return `${whose} needs ${symbol}, which this static executable does not have; ${remedy}`;
  }
  const [, library] = /^Error loading shared library (\S+): .*\(needed by .*\)$/.exec(error) ?? [];
  if (library !== undefined) {
    return `it needs ${library}, which is in none of the folders of LD_LIBRARY_PATH; mount it there too, or ${remedy}`;
  }
  return error.slice(0, MESSAGE_CHARS_MAX);
}
