/**
 * Every mutant of the consensus (tests/raft/mutants.ts) in the seeded world, until a seed shows that something is wrong:
 * `npm run bench -- mutants [most seeds]`.
 */
import { hunt, MUTANTS, plant } from "../../tests/raft/mutants.ts";
import { report } from "../report.ts";

const seedsMax = Number(process.argv[2] ?? 10_000);
const rows = [];
let missed = 0;
for (const mutant of MUTANTS) {
  const { seed, words } = hunt(await plant(mutant), 1, seedsMax);
  if (seed === undefined) missed += 1;
  rows.push({ mutant: mutant.name, "caught by seed": seed ?? "MISSED", shows: words.slice(0, 80) });
  console.log(`${seed ?? "MISSED"}\t${mutant.name}`);
}
await report("mutants", { mutants: rows.length, missed, seedsMax, rows });
process.exitCode = missed > 0 ? 1 : 0;
