/**
 * npm test: install, build, check, every test with coverage, the coverage floor of each core. All of it runs even if
 * one part fails; the last line gives the tests' counts and the exit code is 0 only if everything passed.
 * Arguments go to `bun test` (`npm test -- tests/wire`), and then only the tests run, one after the other.
 *
 * Files of tests run beside one another, each in a process of its own, since for nearly half of their time they wait: for
 * processes, deadlines, pauses. Those below ALONE need the machine for themselves, and come last.
 */

import { mkdirSync, readFileSync, rmSync } from "node:fs";
import { availableParallelism } from "node:os";
import { dirname, join } from "node:path";
import { build } from "./build.mjs";
import { check } from "./check.mjs";
import { ROOT, ScriptError, exec, prepare, runAsScript, say, step } from "./toolchain.mjs";

/** The counts that `bun test` prints at its end, or undefined if it never got there. */
function counts(output) {
  const of = (word) => Number(output.match(new RegExp(`^ *(\\d+) ${word}`, "m"))?.[1] ?? 0);
  if (!/^Ran \d+ tests? across/m.test(output)) return undefined;
  return { passed: of("pass"), failed: of("fail"), skipped: of("skip") + of("todo") };
}

/** Lines that stand before a failed test's name: its error, the source around it and its stack. */
const LINES_OF_A_FAILURE = 40;
const MOST_FAILURES = 10;
/** Before the name of a file whose process has ended. */
const CRASHED = "✗ ";

/**
 * The lines that say what failed, each failure with what was printed before it. They are printed again at the end: the
 * table of coverage is longer than what a terminal, or a record of a run, keeps.
 */
function failuresIn(output) {
  // After this line the names come again, without what belongs to them.
  const [first] = output.split(/^\d+ tests? failed:$/m, 1);
  const lines = first.split("\n");
  const isEnd = (line) => /^\((?:pass|skip|todo|fail)\)/.test(line);
  return lines
    .flatMap((line, at) => (line.startsWith("(fail)") || line.startsWith(CRASHED) ? [at] : []))
    .slice(0, MOST_FAILURES)
    .map((at) => {
      const before = lines.slice(Math.max(0, at - LINES_OF_A_FAILURE), at);
      return [...before.slice(before.findLastIndex(isEnd) + 1), lines[at]].join("\n");
    });
}

/**
 * Ends a test that hangs, also on a machine many times slower than ours, for all tests alike: Bun's own 5 s would time
 * those that need much computing. bunfig.toml has no key for it.
 */
const TEST_MS_MAX = 120_000;

const ALONE = "tests/process/alone";
/** Two more than what computes keep the cores busy, for files wait for half of their time; more than a few only take memory. */
const WORKERS = Math.min(8, availableParallelism() + 2);
/** What each file took last time, by which the longest begin first: else the last one runs on when all others are done. */
const TIMINGS = join(ROOT, "dist", "test-timings.json");

/** Those that were cut short, or are of another Bun, are none. */
function timingsKept() {
  try {
    JSON.parse(readFileSync(TIMINGS, "utf8"));
  } catch {
    rmSync(TIMINGS, { force: true });
    mkdirSync(dirname(TIMINGS), { recursive: true });
  }
  return [`--timings=${TIMINGS}`, "--update-timings"];
}

/** All of the tests, with coverage: of those that are alone too little runs in this process to be counted. */
async function runAll(bun) {
  const coverage = ["--coverage", "--coverage-reporter=text", "--coverage-reporter=lcov", "--coverage-dir=coverage"];
  const beside = [`--parallel=${WORKERS}`, `--path-ignore-patterns=${ALONE}/**`, ...timingsKept()];
  const most = await runTests(bun, [...coverage, ...beside]);
  const alone = await runTests(bun, [ALONE]);
  const sum = (name) => most.counts[name] + alone.counts[name];
  const isWhole = most.counts !== undefined && alone.counts !== undefined;
  return {
    code: most.code || alone.code,
    counts: isWhole ? { passed: sum("passed"), failed: sum("failed"), skipped: sum("skipped") } : undefined,
    failures: [...most.failures, ...alone.failures].slice(0, MOST_FAILURES),
  };
}

async function runTests(bun, args) {
  const parts = [];
  const code = await exec(bun, ["test", "--timeout", String(TEST_MS_MAX), ...args], {
    onOutput: (bytes) => parts.push(bytes),
  });
  const coloured = Buffer.concat(parts).toString();
  // oxlint-disable-next-line no-control-regex -- colours, when the terminal has them
  const output = coloured.replaceAll(/\x1b\[[\d;]*m/g, "");
  return { code, counts: counts(output.slice(-20_000)), failures: failuresIn(output) };
}

await runAsScript(import.meta.url, async (args) => {
  const started = performance.now();
  const failed = [];
  const part = async (name, action) => {
    try {
      await action();
    } catch (error) {
      if (!(error instanceof ScriptError)) throw error;
      console.error(`error: ${error.message}`);
      failed.push(name);
    }
  };
  let bun = "";
  await part("install", async () => {
    bun = await prepare();
  });
  if (bun === "") {
    console.log("0 passed, 1 failed");
    return 1;
  }
  await part("build", () => build(bun));
  const some = args.length > 0;
  if (!some) await part("check", async () => failed.push(...(await check(bun)).map((name) => `check ${name}`)));

  rmSync(join(ROOT, "coverage"), { recursive: true, force: true });
  const result = await step("tests", () => (some ? runTests(bun, args) : runAll(bun)));
  if (result.code !== 0) failed.push("tests");
  if (!some) {
    await part("coverage", async () => {
      if ((await step("coverage of the cores", () => exec(bun, ["scripts/coverage.ts"]))) !== 0)
        failed.push("coverage");
    });
  }

  if (!some) for (const failure of result.failures) console.error(failure);
  say(`all of it took ${((performance.now() - started) / 1000).toFixed(0)} s`);
  if (failed.length > 0) say(`FAILED: ${failed.join(", ")}`);
  const { passed = 0, failed: failures = 1, skipped = 0 } = result.counts ?? {};
  if (result.counts === undefined) console.error("error: bun test ended before its summary");
  console.log(`${passed} passed, ${failures} failed${skipped > 0 ? `, ${skipped} skipped` : ""}`);
  return failed.length === 0 && failures === 0 ? 0 : 1;
});
