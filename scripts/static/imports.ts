/**
 * What Bun imports from libstdc++, taken over: each such relocation is bound to the shim or to musl, or needs nobody any
 * more. What Bun imports from musl stays as it is, for musl's loader, but for some functions that the shim does faster.
 *
 * A new version of Bun may import what nobody here provides, or no longer what was seen when this was written; both are
 * faults that name it, since then somebody has to look.
 */

import { BINDING } from "../elf/constants.ts";
import type { ElfFile } from "../elf/file.ts";
import {
  type ElfSymbol,
  type Relocation,
  dynamicSymbols,
  hideSymbol,
  linkerSymbols,
  relocations,
  setRelocation,
} from "../elf/tables.ts";
import { type Machine } from "./machine.ts";

/** C++ functions with the arguments of one of musl's, which does for them. */
const MUSL_TWINS: ReadonlyMap<string, string> = new Map([
  ["_ZNSt18condition_variable10notify_oneEv", "pthread_cond_signal"],
  ["_ZNSt18condition_variable10notify_allEv", "pthread_cond_broadcast"],
  ["_ZNSt18condition_variableD1Ev", "pthread_cond_destroy"],
]);

/** std::call_once's thread-local variables, and where they lie in the room that is made for them. */
const CALL_ONCE: ReadonlyMap<string, number> = new Map([
  ["_ZSt15__once_callable", 0],
  ["_ZSt11__once_call", 8],
]);

/**
 * The vtables of std::type_info, which a program has copied to itself. They are never called through, as there are no
 * exceptions: their addresses tell the kinds of types apart.
 */
const VTABLES: ReadonlyMap<string, keyof VtableAddresses> = new Map([
  ["_ZTVN10__cxxabiv117__class_type_infoE", "classVtable"],
  ["_ZTVN10__cxxabiv120__si_class_type_infoE", "singleVtable"],
  ["_ZTVN10__cxxabiv121__vmi_class_type_infoE", "manyVtable"],
]);

/** Weak references that nobody provides on Alpine either; Bun looks whether they are there. */
const MAY_BE_ABSENT: ReadonlySet<string> = new Set([
  "_ITM_deregisterTMCloneTable",
  "_ITM_registerTMCloneTable",
  "__deregister_frame_info",
  "__register_frame_info",
  "__cxa_thread_atexit_impl",
  "ZSTD_trace_compress_begin",
  "ZSTD_trace_compress_end",
  "ZSTD_trace_decompress_begin",
  "ZSTD_trace_decompress_end",
]);

/** Those of the shim take the place of musl's (memory.c says why). */
const FASTER: ReadonlySet<string> = new Set(["memcpy", "memmove", "memset", "memcmp", "bcmp"]);

/** Functions of musl that the shim calls through Bun's own slots. */
const SLOTS = {
  condWaitSlot: "pthread_cond_wait",
  abortSlot: "abort",
  clockSlot: "clock_gettime",
} as const;

interface VtableAddresses {
  readonly classVtable: number;
  readonly singleVtable: number;
  readonly manyVtable: number;
}

/** Addresses that the shim is told. */
export interface ShimAddresses extends VtableAddresses {
  readonly condWaitSlot: number;
  readonly abortSlot: number;
  readonly clockSlot: number;
  readonly onceCallSlot: number;
}

/** How many relocations were bound in which way; of the faster functions, how many there are. */
export interface ImportCounts {
  readonly shim: number;
  readonly faster: number;
  readonly twins: number;
  readonly callOnce: number;
  readonly vtables: number;
}

/** As seen in Bun 1.4.0 and 1.4.5, on both processors. */
export const BUN_IMPORTS: ImportCounts = { shim: 30, faster: 5, twins: 3, callOnce: 2, vtables: 3 };

export interface Rebound {
  readonly counts: ImportCounts;
  readonly addresses: ShimAddresses;
}

/** Binds one relocation after the other, and keeps what was found. */
class Rebinding {
  readonly #counts = { shim: 0, twins: 0, callOnce: 0, vtables: 0 };
  readonly #faster = new Set<string>();
  readonly found: Partial<Record<keyof ShimAddresses, number>> = {};
  readonly orphans: string[] = [];
  readonly #bun: ElfFile;
  readonly #machine: Machine;
  readonly #symbols: readonly ElfSymbol[];
  readonly #byName: ReadonlyMap<string, ElfSymbol>;
  readonly #shim: ReadonlyMap<string, ElfSymbol>;
  readonly #musl: ReadonlySet<string>;
  readonly #roomAt: number;

  constructor(bun: ElfFile, musl: ElfFile, shim: ElfFile, machine: Machine, roomAt: number) {
    this.#bun = bun;
    this.#machine = machine;
    this.#roomAt = roomAt;
    this.#symbols = dynamicSymbols(bun);
    this.#byName = new Map(this.#symbols.map((symbol) => [symbol.name, symbol]));
    const isOffered = ({ binding, section }: ElfSymbol): boolean => binding !== BINDING.local && section !== 0;
    this.#musl = new Set(
      dynamicSymbols(musl)
        .filter(isOffered)
        .map(({ name }) => name),
    );
    this.#shim = new Map(
      linkerSymbols(shim)
        .filter(isOffered)
        .map((symbol) => [symbol.name, symbol]),
    );
  }

  get counts(): ImportCounts {
    return { ...this.#counts, faster: this.#faster.size };
  }

  rebindAll(): void {
    for (const relocation of relocations(this.#bun)) this.#rebind(relocation);
  }

  #rebind(relocation: Relocation): void {
    const { relocation: types } = this.#machine;
    const { type, address } = relocation;
    if (type === 0 || type === types.relative) return;
    const symbol = this.#symbols[relocation.symbol];
    if (symbol === undefined)
      throw this.#bun.fault(`a relocation names symbol ${relocation.symbol}, which isn't there`);
    if (!Object.values(types).includes(type)) {
      throw this.#bun.fault(`the relocation of ${symbol.name} is of type ${type}, which is not known here`);
    }
    if (type === types.jump) this.#noteSlot(symbol.name, address);
    if (this.#musl.has(symbol.name) && !FASTER.has(symbol.name)) return;
    // Copies are defined by the file itself, all the same they come from a library.
    if (type === types.copy) this.#dropVtable(relocation, symbol);
    else if (symbol.section === 0) this.#bind(relocation, symbol);
  }

  #noteSlot(name: string, address: number): void {
    for (const [slot, wanted] of Object.entries(SLOTS)) {
      if (wanted === name) this.found[slot as keyof typeof SLOTS] = address;
    }
  }

  #dropVtable(relocation: Relocation, symbol: ElfSymbol): void {
    const kind = VTABLES.get(symbol.name);
    if (kind === undefined) {
      this.orphans.push(`${symbol.name} (a copy)`);
      return;
    }
    this.found[kind] = symbol.value;
    setRelocation(this.#bun, { at: relocation.at, type: 0, symbol: 0, addend: 0 });
    // A library that is loaded later and brings libstdc++ must find the real one.
    hideSymbol(this.#bun, symbol);
    this.#counts.vtables += 1;
  }

  #bind(relocation: Relocation, { name, binding, value }: ElfSymbol): void {
    const { at, type, addend, address } = relocation;
    const { relocation: types } = this.#machine;
    const ours = this.#shim.get(name);
    const twin = MUSL_TWINS.get(name);
    if (type === types.threadLocal) {
      const place = CALL_ONCE.get(name);
      if (place === undefined) {
        this.orphans.push(`${name} (thread-local)`);
        return;
      }
      if (name === "_ZSt11__once_call") this.found.onceCallSlot = address;
      setRelocation(this.#bun, { at, type, symbol: 0, addend: this.#roomAt + place });
      this.#counts.callOnce += 1;
    } else if (ours !== undefined) {
      // With a value, an undefined symbol stands for the file's own PLT entry, which leads there in the end.
      if (value !== 0 && type !== types.jump) return;
      const target = ours.value + (type === types.absolute ? addend : 0);
      setRelocation(this.#bun, { at, type: types.relative, symbol: 0, addend: target });
      if (FASTER.has(name)) this.#faster.add(name);
      else this.#counts.shim += 1;
    } else if (twin !== undefined) {
      const symbol = this.#byName.get(twin);
      if (symbol === undefined || !this.#musl.has(twin)) throw this.#bun.fault(`does not import ${twin} from musl`);
      setRelocation(this.#bun, { at, type, symbol: symbol.index, addend });
      this.#counts.twins += 1;
    } else if (binding !== BINDING.weak || !MAY_BE_ABSENT.has(name)) {
      this.orphans.push(name);
    }
  }
}

/** `roomAt` is where the room for call_once begins, in the file's thread-local storage. */
export function rebindImports(
  files: { readonly bun: ElfFile; readonly musl: ElfFile; readonly shim: ElfFile },
  machine: Machine,
  roomAt: number,
  expected: ImportCounts,
): Rebound {
  const { bun, musl, shim } = files;
  const rebinding = new Rebinding(bun, musl, shim, machine, roomAt);
  rebinding.rebindAll();
  const { counts, found, orphans } = rebinding;
  if (orphans.length > 0) {
    throw bun.fault(
      `it imports what neither musl nor the shim has: ${[...new Set(orphans)].join(", ")}. Write it in native/static/, ` +
        "or go back to the version of Bun before.",
    );
  }
  const { condWaitSlot, abortSlot, clockSlot, onceCallSlot, classVtable, singleVtable, manyVtable } = found;
  for (const [slot, name] of Object.entries(SLOTS)) {
    if (found[slot as keyof typeof SLOTS] === undefined)
      throw bun.fault(`it does not call ${name}, as the shim has to`);
  }
  const addresses = { condWaitSlot, abortSlot, clockSlot, onceCallSlot, classVtable, singleVtable, manyVtable };
  const missing = Object.entries(addresses).flatMap(([name, value]) => (value === undefined ? [name] : []));
  if (missing.length > 0) throw bun.fault(`it has no relocation that would tell ${missing.join(", ")}`);
  for (const kind of Object.keys(expected) as (keyof ImportCounts)[]) {
    if (counts[kind] === expected[kind]) continue;
    throw bun.fault(
      `${counts[kind]} of its relocations were bound as ${kind}, ${expected[kind]} were expected: look at what changed ` +
        "in its imports (readelf -rW), then correct BUN_IMPORTS in scripts/static/imports.ts.",
    );
  }
  return { counts, addresses: addresses as ShimAddresses };
}
