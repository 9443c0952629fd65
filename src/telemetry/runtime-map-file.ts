/** The file that says what the metrics of a server mean that has no adapter of its own: `--runtime generic --runtime-map FILE`. */
import { readFileSync, statSync } from "node:fs";
import { basename } from "node:path";
import { MeshError } from "../base/errors.ts";
import { formatFault } from "../base/field.ts";
import { readRuntimeMap } from "../runtimes/runtime-map.ts";
import type { AdapterTable } from "../runtimes/table.ts";

const BYTES_MAX = 1024 ** 2;

/** Throws a MeshError with every fault, each with its path and what was expected. */
export function runtimeMapIn(path: string): AdapterTable {
  if (path === "") throw invalid("--runtime generic needs a map of its metrics: --runtime-map FILE");
  const parsed = readRuntimeMap(treeIn(path), basename(path));
  if (parsed.faults === undefined) return parsed.value;
  const faults = parsed.faults.map((fault) => `  ${formatFault(fault)}`);
  throw invalid(`the runtime map ${path} is wrong:\n${faults.join("\n")}`);
}

function treeIn(path: string): unknown {
  try {
    const { size } = statSync(path);
    if (size > BYTES_MAX) throw new Error(`it has ${size} bytes; expected at most ${BYTES_MAX}`);
    const text = readFileSync(path, "utf8");
    return path.endsWith(".json") ? JSON.parse(text) : Bun.YAML.parse(text);
  } catch (error) {
    const why = error instanceof Error ? error.message : String(error);
    throw invalid(`the runtime map ${path} can't be read: ${why}`);
  }
}

function invalid(message: string): MeshError {
  return new MeshError("config_invalid", message);
}
