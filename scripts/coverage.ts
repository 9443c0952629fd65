/**
 * Reads coverage/lcov.info and holds every core to its floor: 90 % of lines, counted per room. A file of a core that
 * no test loads is not in the report, so it counts here with all of its lines missed; one without code (types only)
 * counts for nothing. The shells are printed too, without a floor: much of them runs in the executable only, where
 * nobody counts.
 */

import { existsSync, readdirSync, readFileSync, statSync } from "node:fs";
import { join, resolve } from "node:path";

const ROOT = resolve(import.meta.dir, "..");
const FLOOR = 0.9;
const CORES = [
  "base",
  "swim",
  "raft",
  "policy",
  "score",
  "wire",
  "flow",
  "fleet",
  "sim",
  "health",
  "signal",
  "kv",
  "kube",
  "exec",
  "runtimes",
  "load",
  "diagnosis",
];

interface Lines {
  found: number;
  hit: number;
}

function readLcov(text: string): Map<string, Lines> {
  const files = new Map<string, Lines>();
  let lines: Lines = { found: 0, hit: 0 };
  for (const line of text.split("\n")) {
    if (line.startsWith("SF:")) {
      lines = { found: 0, hit: 0 };
      files.set(line.slice(3).replace(`${ROOT}/`, ""), lines);
    } else if (line.startsWith("DA:")) {
      lines.found += 1;
      if (Number(line.slice(3).split(",")[1]) > 0) lines.hit += 1;
    }
  }
  return files;
}

/** How many lines of code a file has that no test loaded. */
function codeLines(path: string): number {
  const code = new Bun.Transpiler({ loader: "ts" }).transformSync(readFileSync(path, "utf8"));
  return code.split("\n").filter((line) => /[\w]/.test(line) && !/^(?:import|export) .*from /.test(line)).length;
}

function sources(folder: string): string[] {
  return readdirSync(join(ROOT, folder), { recursive: true, encoding: "utf8" })
    .filter((name) => name.endsWith(".ts") && !name.endsWith(".d.ts"))
    .map((name) => join(folder, name));
}

function main(): number {
  const lcovPath = join(ROOT, "coverage", "lcov.info");
  if (!existsSync(lcovPath)) {
    console.error("no coverage/lcov.info: the tests did not end");
    return 1;
  }
  const covered = readLcov(readFileSync(lcovPath, "utf8"));
  const rooms = readdirSync(join(ROOT, "src")).filter((name) => statSync(join(ROOT, "src", name)).isDirectory());
  const order = [...CORES.filter((core) => rooms.includes(core)), ...rooms.filter((room) => !CORES.includes(room))];
  let below = 0;
  console.log(
    `${"room".padEnd(12)}${"lines".padStart(8)}${"hit".padStart(8)}${"percent".padStart(10)}${"floor".padStart(8)}`,
  );
  for (const room of order.filter((name) => name !== "gen")) {
    const total: Lines = { found: 0, hit: 0 };
    const notes: string[] = [];
    for (const file of sources(join("src", room))) {
      const lines = covered.get(file) ?? { found: codeLines(join(ROOT, file)), hit: 0 };
      total.found += lines.found;
      total.hit += lines.hit;
      if (lines.hit < lines.found * FLOOR) notes.push(`${file} ${((100 * lines.hit) / lines.found).toFixed(0)} %`);
    }
    const share = total.found === 0 ? 1 : total.hit / total.found;
    const isCore = CORES.includes(room);
    const fails = isCore && share < FLOOR;
    if (fails) below += 1;
    const columns = [total.found, total.hit].map((value) => String(value).padStart(8)).join("");
    const floor = isCore ? `${FLOOR * 100}` : "-";
    const percent = (100 * share).toFixed(1);
    console.log(`${room.padEnd(12)}${columns}${percent.padStart(10)}${floor.padStart(8)}${fails ? "  BELOW" : ""}`);
    if (fails) for (const note of notes) console.log(`    ${note}`);
  }
  return below > 0 ? 1 : 0;
}

process.exit(main());
