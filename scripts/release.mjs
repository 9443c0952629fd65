/**
 * npm run release, or scripts/release: everything that a release consists of, into one folder (scripts/make-release.ts).
 *
 *   scripts/release                      both processors, into dist/release
 *   scripts/release --out DIR            into a folder that is empty or not there yet
 *   scripts/release --only x64           for one processor, where there is no compiler for the other
 *   scripts/release --against FILE       and compares it with the release.json of another build of the same commit
 */

import { exec, prepare, runAsScript } from "./toolchain.mjs";

await runAsScript(import.meta.url, async (args) => {
  const bun = await prepare();
  // Manual pages and completions are told by the sources, which bring native libraries along.
  return (await exec(bun, ["scripts/build-native.ts"])) || exec(bun, ["scripts/make-release.ts", ...args]);
});
