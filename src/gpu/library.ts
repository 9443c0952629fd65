/**
 * Opening a vendor's shared library.
 *
 * By absolute path only: a bare name would also be looked for in the working directory, and whoever can write there
 * would run code in the probe. Which paths those are the backend says; one of the configuration takes their place.
 *
 * Symbol by symbol: one that is missing makes the whole of an open fail, and which there are differs by the age of the
 * driver. So each is asked for by itself (8 us), and one that is missing costs only what needs it; the library is the
 * wrong one where one of `needs` is missing. It is never closed, since a call after that would crash; opening it once more
 * in the same process gives the same, also where the file is another one by now: the loader goes by the path.
 */
import { type FFIFunction, dlopen } from "bun:ffi";
import { statSync } from "node:fs";
import { isAbsolute } from "node:path";
import { loadFault } from "./glibc.ts";

export type Symbols = Readonly<Record<string, FFIFunction>>;
type Calls<S extends Symbols> = ReturnType<typeof dlopen<S>>["symbols"];

export interface OpenLibrary<S extends Symbols> {
  readonly path: string;
  readonly calls: Partial<Calls<S>>;
  /** Symbols that it does not have. */
  readonly missing: readonly string[];
}

export interface NoLibrary {
  /** `absent`: there is no such file; `broken`: there is one that can't be used. */
  readonly trouble: "absent" | "broken";
  /** What was tried and why it failed, in one line. */
  readonly message: string;
}

/** What stays open until the process ends: by path, of which symbols, and what holds it so that no collector closes it. */
const kept = new Map<string, Kept>();

interface Kept {
  readonly symbols: Symbols;
  readonly opened: OpenLibrary<Symbols>;
  readonly handles: unknown[];
}

/** The first of `paths` that can be used. What is there and can't be used is told before what is not there. */
export function openLibrary<const S extends Symbols>(
  paths: readonly string[],
  symbols: S,
  needs: readonly (keyof S & string)[],
): OpenLibrary<S> | NoLibrary {
  const faults: string[] = [];
  for (const path of paths) {
    const fault = unusable(path);
    if (fault === undefined) {
      const opened = openAt(path, symbols, needs);
      if (typeof opened !== "string") return opened;
      faults.push(`${path}: ${opened}`);
    } else if (fault !== "") {
      faults.push(`${path}: ${fault}`);
    }
  }
  if (faults.length > 0) return { trouble: "broken", message: faults.join("; ") };
  return { trouble: "absent", message: `none of ${paths.join(", ")} is there` };
}

/** "" for what is not there, a reason for what can't be a library, undefined for what may be one. */
function unusable(path: string): string | undefined {
  if (!isAbsolute(path)) return "the path is not absolute";
  try {
    return statSync(path).isFile() ? undefined : "it is not a file";
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    return code === "ENOENT" || code === "ENOTDIR" ? "" : `it can't be looked at (${code ?? "no reason given"})`;
  }
}

function openAt<const S extends Symbols>(
  path: string,
  symbols: S,
  needs: readonly (keyof S & string)[],
): OpenLibrary<S> | string {
  const known = kept.get(path);
  if (known?.symbols === symbols && needs.every((name) => !known.opened.missing.includes(name))) {
    return known.opened as OpenLibrary<S>;
  }
  const fault = loadFault(path);
  if (fault !== "") return fault;
  const calls: Record<string, unknown> = {};
  const missing: string[] = [];
  const handles = [...(known?.handles ?? [])];
  // What is needed comes first: a foreign library is left after one symbol.
  const names = [...needs, ...Object.keys(symbols).filter((name) => !needs.includes(name))];
  for (const name of names) {
    try {
      const library = dlopen(path, { [name]: symbols[name] as FFIFunction });
      handles.push(library);
      calls[name] = library.symbols[name];
    } catch (error) {
      if (needs.includes(name)) return oneLine(error);
      missing.push(name);
    }
  }
  const opened = { path, calls: calls as Partial<Calls<S>>, missing };
  kept.set(path, { symbols, opened, handles });
  return opened;
}

function oneLine(error: unknown): string {
  const message = error instanceof Error ? error.message : String(error);
  return message.replaceAll(/\s+/g, " ").trim().slice(0, 300);
}
