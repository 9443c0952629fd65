/**
 * A strategy that is a WebAssembly module. It gets figures of the targets in its own memory, and nothing else: a module
 * that imports anything is refused. What it exports:
 *
 *   memory                                                        its memory
 *   infermesh_abi() -> i32                                        1
 *   reserve(targets: i32) -> i32                                  where so many targets' figures are to be written
 *   choose(targets: i32, promptTokens: f64, leftMs: f64, priority: i32, nowMs: f64) -> i32
 *                                                                 the target's number; below 0: somebody else is to say
 *   observe(target: i32, ttftMs: f64, nowMs: f64)                 a first token came; may be left out
 *   forget(target: i32)                                           the number means another target; may be left out
 *
 * Figures are columns of float64, one behind the other in the order of WASM_COLUMNS, each as long as there are targets.
 * `reserve` is called when there are more than before; what it answered stays valid until it is called again.
 */
import { expectedSeconds } from "./expected-seconds.ts";
import type { Strategy, TargetView, Wanted } from "./view.ts";

export const WASM_ABI = 1;

/** In this order. `routable` is 1 where a request may be sent; `expectedSeconds` is what `ttft` goes by. */
export const WASM_COLUMNS = [
  "routable",
  "active",
  "waiting",
  "queuedTokens",
  "contextTokens",
  "kvUsage",
  "matchedTokens",
  "cachedBlocks",
  "secondsPerPrefillToken",
  "penaltySeconds",
  "weight",
  "pricePerHour",
  "stepSeconds",
  "slots",
  "expectedSeconds",
] as const;

interface Exports {
  readonly memory: { readonly buffer: ArrayBuffer };
  infermesh_abi(): number;
  reserve(targets: number): number;
  choose(targets: number, promptTokens: number, leftMs: number, priority: number, nowMs: number): number;
  observe?(target: number, ttftMs: number, nowMs: number): void;
  forget?(target: number): void;
}

const FUNCTIONS = ["infermesh_abi", "reserve", "choose"] as const;
const GROWTH = 16;

/** Makes strategies of the module; throws where it is none, in words for whoever wrote it. */
export function wasmStrategies(bytes: Uint8Array, name: string): () => Strategy {
  const module = new WebAssembly.Module(bytes);
  const [first] = WebAssembly.Module.imports(module);
  if (first !== undefined) {
    throw new Error(`it imports ${first.module}.${first.name}; a strategy imports nothing`);
  }
  const make = (): Strategy => new WasmStrategy(exportsOf(new WebAssembly.Instance(module).exports), name);
  make();
  return make;
}

function exportsOf(given: Readonly<Record<string, unknown>>): Exports {
  for (const one of FUNCTIONS) {
    if (typeof given[one] !== "function") throw new Error(`it exports no function ${one}`);
  }
  if (!(given["memory"] instanceof WebAssembly.Memory)) throw new Error("it exports no memory");
  const exported = given as unknown as Exports;
  const abi = exported.infermesh_abi();
  if (abi !== WASM_ABI) throw new Error(`its infermesh_abi is ${abi}; this version knows ${WASM_ABI}`);
  return exported;
}

class WasmStrategy implements Strategy {
  readonly name: string;
  readonly needsPrefixes = true;
  readonly needsFigures = true;
  readonly needsContexts = true;
  readonly #exports: Exports;
  #reserved = 0;
  #at = 0;

  constructor(exported: Exports, name: string) {
    this.#exports = exported;
    this.name = name;
  }

  choose(view: TargetView, wanted: Wanted, nowMs: number): number {
    const { count } = view;
    this.#write(view, wanted, count);
    const { promptTokens, leftMs = Infinity, priority = 1 } = wanted;
    return this.#exports.choose(count, promptTokens, leftMs, priority, nowMs);
  }

  observe(target: number, ttftMs: number, nowMs: number): void {
    this.#exports.observe?.(target, ttftMs, nowMs);
  }

  forget(target: number): void {
    this.#exports.forget?.(target);
  }

  #write(view: TargetView, wanted: Wanted, count: number): void {
    if (count > this.#reserved) {
      this.#reserved = Math.ceil(count / GROWTH) * GROWTH;
      this.#at = this.#exports.reserve(this.#reserved) >>> 0;
    }
    const bytes = count * WASM_COLUMNS.length * 8;
    // Its memory may have grown since, and its old buffer be none any more.
    const { buffer } = this.#exports.memory;
    if (this.#at % 8 !== 0 || this.#at + bytes > buffer.byteLength) {
      throw new Error(`reserve answered ${this.#at}, where ${bytes} bytes of its memory do not lie at a multiple of 8`);
    }
    const figures = new Float64Array(buffer, this.#at, count * WASM_COLUMNS.length);
    for (const [column, name] of WASM_COLUMNS.entries()) {
      const from = column * count;
      if (name === "expectedSeconds") {
        for (let target = 0; target < count; target += 1) {
          figures[from + target] = view.routable[target] === 1 ? expectedSeconds(view, target, wanted) : Infinity;
        }
      } else {
        const values = view[name];
        for (let target = 0; target < count; target += 1) figures[from + target] = values[target]!;
      }
    }
  }
}
