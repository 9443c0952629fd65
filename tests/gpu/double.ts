/**
 * The stand-in for libnvidia-ml (native/testing/), built from this checkout once a test run, each variant with the symbols
 * that it hides. A Double is a copy of it in a folder of its own, which the loader takes for another library: it has its
 * own state, and plays the scenario that lies beside it.
 */
import { dlopen } from "bun:ffi";
import { copyFileSync, mkdirSync, mkdtempSync, readdirSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";

const SOURCES = resolve(import.meta.dir, "../../native/testing");
const SCENARIOS = join(SOURCES, "scenarios");
const COMPILER = (process.env["CC"]?.trim() || "cc").split(/\s+/);
const FLAGS = "-std=c11 -O1 -Wall -Wextra -Werror -fvisibility=hidden -fPIC".split(" ");
const LINK = ["-shared", "-Wl,-z,defs", "-Wl,-soname,libnvidia-ml.so.1"];
const LIBRARIES = ["-lm", "-lpthread", "-ldl"];
const NAME = "libnvidia-ml.so.1";

/** Without a C compiler these tests are left out. */
export const HAS_COMPILER = process.platform === "linux" && Bun.which(COMPILER[0] ?? "cc") !== null;
if (!HAS_COMPILER) console.warn("the tests against the double of libnvidia-ml are left out: there is no C compiler");

const folder = mkdtempSync(join(tmpdir(), "infermesh-double-"));
process.on("exit", () => rmSync(folder, { recursive: true, force: true }));
const built = new Map<string, string>();
let count = 0;

function compile(...parts: readonly string[]): void {
  const done = Bun.spawnSync([...COMPILER, ...FLAGS, ...parts], { stdout: "ignore", stderr: "pipe" });
  if (done.exitCode !== 0) throw new Error(`${COMPILER.join(" ")} failed:\n${done.stderr.toString()}`);
}

function once(key: string, build: (out: string) => void): string {
  let path = built.get(key);
  if (path === undefined) {
    path = join(folder, `built-${(count += 1)}`);
    build(path);
    built.set(key, path);
  }
  return path;
}

/** All of it in one object, from which variants are linked. */
function object(): string {
  return once("object", (out) => {
    const sources = readdirSync(SOURCES).filter((name) => /^nvml-.*\.c$/.test(name));
    compile("-r", "-nostdlib", "-o", out, ...sources.map((name) => join(SOURCES, name)));
  });
}

function library(hidden: readonly string[]): string {
  return once(`library ${hidden.join(" ")}`, (out) => {
    const script = `${out}.map`;
    const locals = hidden.map((name) => `${name};`).join(" ");
    writeFileSync(
      script,
      hidden.length === 0 ? "{ global: *; };\n" : `{ global: infermeshDoubleReport; local: ${locals} };\n`,
    );
    compile(...LINK, `-Wl,--version-script=${script}`, "-o", out, "-x", "none", object(), ...LIBRARIES);
  });
}

/** Another library with some of the names: its nvmlInit answers `init`. */
export function foreignLibrary(init: number): string {
  return placed(
    once(`foreign ${init}`, (out) => {
      compile(...LINK, `-DFOREIGN_INIT=${init}`, "-o", out, join(SOURCES, "foreign-nvml.c"));
    }),
  );
}

function placed(from: string): string {
  const own = join(folder, `double-${(count += 1)}`);
  mkdirSync(own);
  copyFileSync(from, join(own, NAME));
  return join(own, NAME);
}

/** What the library counted. */
export interface DoubleReport {
  readonly references: number;
  readonly inits: number;
  readonly eventSets: number;
  readonly gpmSamples: number;
  readonly eventSetsLeaked: number;
  readonly gpmSamplesLeaked: number;
  readonly eventsDropped: number;
  readonly misuses: number;
  readonly lastMisuse: string;
  readonly calls: Readonly<Record<string, number>>;
}

export class Double {
  /** Of the library. */
  readonly path: string;

  /** `hidden`: symbols that this library does not have. */
  constructor(options: { readonly hidden?: readonly string[] } = {}) {
    this.path = placed(library(options.hidden ?? []));
  }

  /** Beside the library: a place for what belongs to it. */
  get folder(): string {
    return resolve(this.path, "..");
  }

  get scenarioPath(): string {
    return join(this.folder, "scenario");
  }

  /** The scenario from now on: one of native/testing/scenarios/, and lines that change it. */
  play(scenario: string, ...lines: readonly string[]): void {
    this.write(`include = "${join(SCENARIOS, `${scenario}.scenario`)}"\n${lines.join("\n")}\n`);
  }

  write(text: string): void {
    const fresh = `${this.scenarioPath}.fresh`;
    writeFileSync(fresh, text);
    renameSync(fresh, this.scenarioPath);
  }

  /** Of the library as it is in this process. */
  report(): DoubleReport {
    const { symbols } = dlopen(this.path, { infermeshDoubleReport: { args: [], returns: "cstring" } });
    return JSON.parse(String(symbols.infermeshDoubleReport())) as DoubleReport;
  }
}
