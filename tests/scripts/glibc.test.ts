/** native/glibc/ as it is built for each processor, and whether musl and it have what NVIDIA's libraries ask for. */
import { afterAll, describe, expect, test } from "bun:test";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { SEGMENT } from "../../scripts/elf/constants.ts";
import { compileGlibc, symbolsOf } from "../../scripts/static/glibc.ts";
import { MACHINES } from "../../scripts/static/machine.ts";
import { NotHere, musl } from "../../scripts/static/pins.ts";
import { compilerFor } from "../../scripts/static/shim.ts";
import { DRIVER_IMPORTS, MAY_BE_ABSENT } from "./driver-imports.ts";

const folder = mkdtempSync(join(tmpdir(), "infermesh-glibc-"));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

describe.each(Object.values(MACHINES))("for $name", (machine) => {
  const missing = (() => {
    try {
      compilerFor(machine);
      musl(machine);
      return "";
    } catch (error) {
      if (!(error instanceof NotHere)) throw error;
      return error.message;
    }
  })();
  if (missing !== "") console.log(`left out: ${missing}`);

  test.skipIf(missing !== "")("it needs no library, and has thread-local storage nowhere", () => {
    const library = compileGlibc(machine, musl(machine).library, join(folder, machine.name, "libglibc.so"));
    expect(library.machine).toBe(machine.number);
    expect(library.segments().filter(({ type }) => type === SEGMENT.threadLocal)).toEqual([]);
    expect(library.bytes.length).toBeLessThan(128 * 1024);
  });

  test.skipIf(missing !== "")("with musl it has all that NVIDIA's libraries import", () => {
    const { library: libc } = musl(machine);
    const ours = symbolsOf(compileGlibc(machine, libc, join(folder, machine.name, "libglibc.so"))).exports;
    const theirs = symbolsOf(libc).exports;
    // musl's loader takes open64 for open.
    const has = (name: string): boolean => theirs.has(name) || ours.has(name) || theirs.has(name.replace(/64$/, ""));
    const lacking = DRIVER_IMPORTS[machine.name].filter((name) => !has(name) && !MAY_BE_ABSENT.includes(name));
    expect(lacking).toEqual([]);
    // Without ours there would be some.
    expect(DRIVER_IMPORTS[machine.name].filter((name) => ours.has(name)).length).toBeGreaterThan(5);
  });

  test.skipIf(missing !== "")("what musl lacks, and what musl has too, stops the build", () => {
    const small = compileGlibc(machine, musl(machine).library, join(folder, machine.name, "libglibc.so"));
    const out = join(folder, machine.name, "again.so");
    // In the place of musl it lacks all that is wanted, and offers the same.
    expect(() => compileGlibc(machine, small, out)).toThrow(/musl does not have .*malloc/);
  });
});
