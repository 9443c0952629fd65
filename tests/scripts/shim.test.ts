/**
 * The shim's functions in the place of libstdc++'s: a program that uses them much (shim-program.cpp) is run with either.
 * Without a compiler for C++ it is left out, and says so.
 */
import { afterAll, describe, expect, test } from "bun:test";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { basename, join } from "node:path";
import { compileScorer } from "../../scripts/build-native.ts";
import { BINDING, SEGMENT } from "../../scripts/elf/constants.ts";
import { ElfFile } from "../../scripts/elf/file.ts";
import { dynamicSymbols, linkerSymbols, neededLibraries } from "../../scripts/elf/tables.ts";
import { MACHINES } from "../../scripts/static/machine.ts";
import { NotHere } from "../../scripts/static/pins.ts";
import { FLAGS, compileShim, compilerFor, shimSources } from "../../scripts/static/shim.ts";

const folder = mkdtempSync(join(tmpdir(), "infermesh-shim-"));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

const HAS_CXX = Bun.which("c++") !== null && Bun.which("cc") !== null && process.platform === "linux";
if (!HAS_CXX) console.log("left out: there is no C++ compiler to compare the shim with libstdc++");

function must(...command: string[]): void {
  const done = Bun.spawnSync(command, { stderr: "pipe" });
  if (done.exitCode !== 0) throw new Error(`${command[0]}: ${done.stderr.toString()}`);
}

describe.each(Object.values(MACHINES))("compiled for $name", (machine) => {
  const missing = (() => {
    try {
      compilerFor(machine);
      return "";
    } catch (error) {
      if (!(error instanceof NotHere)) throw error;
      return error.message;
    }
  })();
  if (missing !== "") console.log(`left out: ${missing}`);

  test.skipIf(missing !== "")("imports nothing, and lies where it was told to", () => {
    const shim = compileShim(machine, join(folder, machine.name));
    expect(shim.machine).toBe(machine.number);
    const symbols = linkerSymbols(shim);
    expect(symbols.filter(({ section, name }) => section === 0 && name !== "")).toEqual([]);
    const config = symbols.find(({ name }) => name === "config");
    expect(config).toMatchObject({ value: machine.shimBase, size: 13 * 8 });
    expect(shim.segments().filter(({ type }) => type === SEGMENT.load)).toHaveLength(2);
  });

  test.skipIf(missing !== "")("the scorer can be linked, and needs no library", () => {
    const out = join(folder, `scorer-${machine.name}`);
    expect(compileScorer(compilerFor(machine).join(" "), out, machine.name)).toBe("");
    const scorer = new ElfFile("libscorer.so", new Uint8Array(readFileSync(join(out, "libscorer.so"))));
    expect(scorer.machine).toBe(machine.number);
    expect(neededLibraries(scorer)).toEqual([]);
  });
});

describe.skipIf(!HAS_CXX)("in a program", () => {
  const program = join(folder, "program");
  const library = join(folder, "libshim.so");
  const data = import.meta.dir;
  const flags = "-std=gnu11 -Os -fPIC -ffreestanding -fno-stack-protector -fno-tree-loop-distribute-patterns".split(
    " ",
  );

  const build = (): void => {
    // The entry is for a process that starts in the shim, not for a library.
    const sources = shimSources().filter((path) => basename(path) !== "entry.c");
    const host = join(data, "shim-host.c");
    const shared = ["-shared", "-Wl,-Bsymbolic,--hash-style=both", "-fno-strict-aliasing", "-o", library];
    must("cc", ...flags, ...sources, host, ...shared, "-lstdc++");
    must("c++", "-std=c++20", "-O1", "-fno-exceptions", "-pthread", "-o", program, join(data, "shim-program.cpp"));
  };

  const run = (env: Record<string, string>): { said: string; errors: string } => {
    const done = Bun.spawnSync([program], { env, stdout: "pipe", stderr: "pipe", timeout: 60_000 });
    return { said: done.stdout.toString(), errors: `${done.stderr.toString()}${done.signalCode ?? done.exitCode}` };
  };

  test("containers, casts, statics and threads do as with libstdc++", () => {
    build();
    expect(run({})).toEqual({ said: "functions from libstdc++\nall as expected\n", errors: "0" });
    expect(run({ LD_PRELOAD: library })).toEqual({ said: "functions from the shim\nall as expected\n", errors: "0" });
  });

  test("memory is copied, filled and compared as C says, and nothing beside it is touched", () => {
    const memory = join(folder, "memory");
    const own = ["memcpy", "memmove", "memset", "memcmp", "bcmp"].map((name) => `--redefine-sym=${name}=shim_${name}`);
    const object = join(folder, "memory.o");
    const source = shimSources().find((path) => basename(path) === "memory.c");
    must("cc", ...FLAGS.filter((flag) => !flag.startsWith("-Wl")), "-c", "-o", object, source ?? "memory.c");
    must("objcopy", ...own, object);
    must("cc", "-std=gnu11", "-O1", "-Wall", "-Werror", "-o", memory, join(data, "shim-memory.c"), object, "-no-pie");
    const done = Bun.spawnSync([memory], { stdout: "pipe", stderr: "pipe", timeout: 60_000 });
    expect(`${done.stdout.toString()}${done.stderr.toString()}`).toBe("all as expected\n");
  });

  test("every function of the shim is one that C++ programs look for", () => {
    const file = new ElfFile("libshim.so", new Uint8Array(readFileSync(library)));
    const offered = dynamicSymbols(file).filter(({ binding, section }) => binding === BINDING.global && section !== 0);
    const foreign = offered.filter(
      ({ name }) => !/^(_ZN?K?S|__cxa_|__dynamic_cast$|config$|mem(cpy|move|set|cmp)$|bcmp$)/.test(name),
    );
    expect(foreign.map(({ name }) => name)).toEqual([]);
  });
});
