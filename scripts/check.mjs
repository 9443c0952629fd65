/**
 * npm run check: types, lint, format, unused code, the house rules. Every step runs, so that one call shows all.
 * `npm run format` (--write) repairs what can be repaired.
 */

import { readFileSync } from "node:fs";
import { join } from "node:path";
import { missingOptionals } from "./complete-lock.mjs";
import { ROOT, exec, prepare, runAsScript, say, step } from "./toolchain.mjs";

const tool = (name, path) => join(ROOT, "node_modules", name, path);

/** What would make `npm ci` fail elsewhere: platform packages left out, or a registry written down. */
function lockFaults() {
  const lock = JSON.parse(readFileSync(join(ROOT, "package-lock.json"), "utf8"));
  const located = Object.keys(lock.packages).filter((path) => "resolved" in lock.packages[path]);
  return [
    ...missingOptionals(lock).map(([, name]) => `${name} is missing: run \`npm run lock\``),
    ...located.map((path) => `${path} names a registry: run \`npm run lock\``),
  ];
}

/** The names of the steps that failed. */
export async function check(bun) {
  const steps = {
    types: [process.execPath, [tool("typescript", "bin/tsc"), "-p", "tsconfig.json"]],
    lint: [process.execPath, [tool("oxlint", "bin/oxlint"), "--type-aware", "--deny-warnings"]],
    format: [process.execPath, [tool("oxfmt", "bin/oxfmt"), "--check", "."]],
    "unused code": [bun, [tool("knip", "bin/knip.js"), "--no-progress"]],
    "house rules": [bun, ["test", "tests/house.test.ts", "--only-failures"]],
  };
  const failed = [];
  const faults = lockFaults();
  for (const fault of faults) console.error(`package-lock.json: ${fault}`);
  if (faults.length > 0) failed.push("lock file");
  for (const [name, [command, args]] of Object.entries(steps)) {
    const code = await step(`check ${name}`, () => exec(command, args));
    if (code !== 0) {
      failed.push(name);
      say(`check ${name}: FAILED`);
    }
  }
  return failed;
}

async function write() {
  await exec(process.execPath, [tool("oxlint", "bin/oxlint"), "--type-aware", "--fix"]);
  return exec(process.execPath, [tool("oxfmt", "bin/oxfmt"), "."]);
}

await runAsScript(import.meta.url, async (args) => {
  const bun = await prepare();
  if (args.includes("--write")) return write();
  const failed = await check(bun);
  say(failed.length === 0 ? "check: all clean" : `check: failed: ${failed.join(", ")}`);
  return failed.length === 0 ? 0 : 1;
});
