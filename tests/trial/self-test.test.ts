/** The self-test as a command, from the sources: its parts, those that are asked for, and what it says where it fails. */
import { expect, test } from "bun:test";
import { mkdtempSync, readFileSync, readdirSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { PARTS } from "../../src/trial/parts.ts";

const MAIN = resolve(import.meta.dir, "..", "..", "src", "main.ts");

function run(args: string[], env: Record<string, string> = {}) {
  const { stdout, stderr, exitCode } = Bun.spawnSync([process.execPath, MAIN, ...args], {
    env: { ...process.env, ...env },
    stdout: "pipe",
    stderr: "pipe",
    timeout: 50_000,
  });
  return { lines: stdout.toString().trimEnd().split("\n"), errors: stderr.toString(), exitCode };
}

test("README says how many parts there are", () => {
  const readme = readFileSync(resolve(import.meta.dir, "..", "..", "README.md"), "utf8");
  expect(readme).toContain(`a self-test of ${PARTS.length} parts`);
});

test("names of parts are words that stand once", () => {
  const names = PARTS.map(({ name }) => name);
  expect(new Set(names).size).toBe(names.length);
  for (const name of names) expect(name).toMatch(/^[a-z0-9]+$/);
});

test("tries every part, and leaves no folder behind", () => {
  const folder = mkdtempSync(join(tmpdir(), "infermesh-test-"));
  const { lines, errors, exitCode } = run(["self-test"], { TMPDIR: folder });
  expect(lines.filter((line) => line.startsWith("failed"))).toEqual([]);
  expect([errors, exitCode]).toEqual(["", 0]);
  expect(lines.slice(0, -1).map((line) => line.split(/ {2,}/)[1])).toEqual(PARTS.map(({ name }) => name));
  expect(lines.at(-1)).toMatch(/^\d+ parts work, 0 failed, [012] left out$/);
  // Bun keeps files of its own there; the self-test's are gone.
  expect(readdirSync(folder).filter((name) => name.startsWith("infermesh"))).toEqual([]);
  rmSync(folder, { recursive: true });
});

test("tries the parts that are asked for alone, and fails where one does", () => {
  const env = { TMPDIR: "/nonexistent", BUN_TMPDIR: "/nonexistent" };
  const { lines, exitCode } = run(["self-test", "sqlite", "ciphers"], env);
  expect(lines[0]).toMatch(/^ok +ciphers /);
  expect(lines[1]).toMatch(/^failed +sqlite +\d+ ms {2}no file can be written: \S/);
  expect(lines.slice(2)).toEqual(["1 parts work, 1 failed, 0 left out"]);
  expect(exitCode).toBe(1);
});

test("says which parts there are to who asks for another", () => {
  const { errors, exitCode } = run(["self-test", "telepathy"]);
  expect(errors).toStartWith("infermesh self-test: there is no part telepathy; there are timers, zstd, ");
  expect(exitCode).toBe(2);
});

test("its child tells who is curious", () => {
  for (const args of [["self-test-child"], ["self-test-child", "constructor"]]) {
    const { errors, exitCode } = run(args);
    expect([errors, exitCode]).toEqual(["infermesh self-test-child: the self-test starts it by itself\n", 2]);
  }
});
