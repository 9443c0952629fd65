/**
 * Strategies that users write: WebAssembly (score/wasm-strategy.ts says what it exports), or a module of TypeScript or
 * JavaScript whose default export makes one: `(seed: number) => { choose(view, wanted, nowMs): number, ... }`, with
 * `observe` and `forget` where it wants to hear (score/view.ts says of what).
 */
import { readFile } from "node:fs/promises";
import { basename, resolve } from "node:path";
import { pathToFileURL } from "node:url";
import { MeshError } from "../base/errors.ts";
import type { ProxyConfig } from "./settings.ts";
import type { Strategy } from "../score/view.ts";
import { wasmStrategies } from "../score/wasm-strategy.ts";

export type MakeStrategy = (seed: number) => Strategy;

const MODULE = /\.(?:wasm|ts|mts|js|mjs)$/;

/** Whether it is the path of a module rather than a strategy's name. */
export function isModule(strategy: string): boolean {
  return MODULE.test(strategy);
}

/** Throws `config_invalid` where a strategy that the settings name can't be used. */
export async function checkStrategies({ strategy, strategyShadow }: Pick<ProxyConfig, "strategy" | "strategyShadow">) {
  for (const path of [strategy, strategyShadow]) if (isModule(path)) await loadStrategy(path);
}

/** Throws `config_invalid` where it can't be used. */
export async function loadStrategy(path: string): Promise<MakeStrategy> {
  try {
    return path.endsWith(".wasm")
      ? wasmStrategies(new Uint8Array(await readFile(path)), basename(path))
      : await scriptStrategies(path);
  } catch (error) {
    const why = error instanceof Error ? error.message : String(error);
    throw new MeshError("config_invalid", `the strategy ${path} can't be used: ${why}`);
  }
}

async function scriptStrategies(path: string): Promise<MakeStrategy> {
  const module = (await import(pathToFileURL(resolve(path)).href)) as { readonly default?: unknown };
  const make = module.default;
  if (typeof make !== "function") throw new Error("its default export is no function that makes a strategy");
  const made = (seed: number): Strategy => named((make as (seed: number) => unknown)(seed), basename(path));
  made(0);
  return made;
}

function named(given: unknown, name: string): Strategy {
  const user = given as Partial<Strategy> | null | undefined;
  if (typeof user?.choose !== "function") throw new Error("what its default export makes has no function choose");
  return {
    name,
    needsPrefixes: true,
    needsFigures: true,
    needsContexts: true,
    choose: (view, wanted, nowMs) => user.choose!(view, wanted, nowMs),
    observe: (target, ttftMs, nowMs) => user.observe?.(target, ttftMs, nowMs),
    forget: (target) => user.forget?.(target),
  };
}
