/**
 * Run where /sys is a tree of files: writes garbage into files of a card, round by round, and reads it by the real library
 * after each. Ends with 0 when it has lived through all of them.
 */
import { readFileSync, readdirSync, realpathSync, statSync, writeFileSync } from "node:fs";
import { Prng } from "../../src/base/prng.ts";
import { openRocm } from "../../src/gpu/rocm.ts";
import { GPU_GROUPS } from "../../src/health/reading.ts";
import { takeUpdate } from "../../src/health/shape.ts";

const [library = "", card = "", seed = "1"] = process.argv.slice(2);
const ROUNDS = 150;
/** Longer than what is refused is not asked for. */
const STEP_MS = 61_000;
const GARBAGE = [
  "",
  "\n",
  "-1\n",
  "nan",
  "18446744073709551615\n",
  "99999999999999999999999\n",
  "x y z\n1 2\n",
  "\0\0",
  "1: 2Mhz *\n1:\n",
  "ue: x\nce: 1\n",
  "ue: 1\nce: 1\nde: 1\n",
  "S: 1Mhz\n",
  "a".repeat(5000),
];

function filesIn(folder: string): string[] {
  return readdirSync(folder).flatMap((name) => {
    const path = `${folder}/${name}`;
    if (name === "driver" || name === "drm") return [];
    return statSync(path).isDirectory() ? filesIn(path) : [path];
  });
}

const prng = new Prng(Number(seed));
const below = (count: number): number => Math.floor(prng.next() * count);
const whole = new Map(filesIn(realpathSync(`/sys/class/drm/${card}/device`)).map((path) => [path, readFileSync(path)]));
const paths = [...whole.keys()];
const backend = openRocm({ libraryPath: library });
for (let round = 1; round <= ROUNDS; round += 1) {
  const touched = Array.from({ length: 1 + below(4) }, () => paths[below(paths.length)] as string);
  for (const path of touched) writeFileSync(path, GARBAGE[below(GARBAGE.length)] as string);
  process.stdout.write(`${touched.join(" ")}\n`);
  for (const update of backend.read(new Set(GPU_GROUPS), round * STEP_MS)) {
    if (takeUpdate(update)?.uuid !== update.uuid) throw new Error(`no uuid in round ${round}`);
  }
  for (const path of touched) writeFileSync(path, whole.get(path) as Buffer);
}
backend.close();
