/** The C scorer for tests: built from the sources of this checkout, each variant once a process. */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { compileScorer } from "../../scripts/build-native.ts";
import { openFollower } from "../../src/native-pages.ts";
import { openPicker } from "../../src/native.ts";
import type { Picker } from "../../src/score/pick.ts";
import type { ScoreTable } from "../../src/score/table.ts";
import type { FollowLines } from "../../src/wire/prometheus-lines.ts";

/** With a C compiler the C tests must run; without one they are left out. */
export const HAS_COMPILER = Bun.which(process.env["CC"] ?? "cc") !== null;

const folder = mkdtempSync(join(tmpdir(), "infermesh-score-"));
process.on("exit", () => rmSync(folder, { recursive: true, force: true }));
const built = new Map<string, string>();

/** The path of a library built with these defines. */
export function libraryWith(...defines: string[]): string {
  const name = defines.join("_");
  let path = built.get(name);
  if (path === undefined) {
    const into = join(folder, `variant-${built.size}`);
    const fault = compileScorer(process.env["CC"] ?? "cc", into, process.arch, defines);
    if (fault !== "") throw new Error(fault);
    path = join(into, "libscorer.so");
    built.set(name, path);
  }
  return path;
}

/** C over the table; it throws where C should have opened and did not. */
export function cPicker(table: ScoreTable, ...defines: string[]): Picker {
  if (!HAS_COMPILER) return openPicker(table).picker;
  const { picker, reason } = openPicker(table, { path: libraryWith(...defines) });
  if (picker.kind !== "c") throw new Error(reason);
  return picker;
}

/** C along lines; it throws where C should have opened and did not. */
export function cFollower(): FollowLines {
  const { follow, kind } = openFollower(HAS_COMPILER ? libraryWith() : undefined);
  if (HAS_COMPILER && kind !== "c") throw new Error("C should have opened");
  return follow;
}
