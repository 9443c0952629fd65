/**
 * The stand-in for libnvidia-ml (native/testing/), built into dist/ when its sources have changed, each variant with the
 * symbols that it hides. A Double is a copy of it in a folder of its own, which the loader takes for another library: it has its
 * own state, and plays the scenario that lies beside it.
 */
import { dlopen } from "bun:ffi";
import {
  copyFileSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  readdirSync,
  renameSync,
  rmSync,
  writeFileSync,
} from "node:fs";
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
process.on("exit", removeDoubles);
let count = 0;

const names = readdirSync(SOURCES).filter((name) => /\.[ch]$/.test(name));
const texts = names.sort().map((name) => readFileSync(join(SOURCES, name), "utf8"));
const inputs = [...names, ...texts, ...COMPILER, ...FLAGS, ...LINK, process.arch].join("\0");
const BUILT = join(resolve(import.meta.dir, "../../dist/double"), hashOf(inputs));

function hashOf(text: string): string {
  return new Bun.CryptoHasher("sha256").update(text).digest("hex").slice(0, 16);
}

function compile(...parts: readonly string[]): void {
  const done = Bun.spawnSync([...COMPILER, ...FLAGS, ...parts], { stdout: "ignore", stderr: "pipe" });
  if (done.exitCode !== 0) throw new Error(`${COMPILER.join(" ")} failed:\n${done.stderr.toString()}`);
}

/** What is built under this name; made beside it and put in place whole, since several tests may build it at once. */
function once(key: string, build: (out: string) => void): string {
  const path = join(BUILT, hashOf(key));
  if (existsSync(path)) return path;
  if (!existsSync(BUILT)) {
    rmSync(resolve(BUILT, ".."), { recursive: true, force: true });
    mkdirSync(BUILT, { recursive: true });
  }
  mkdirSync(folder, { recursive: true });
  const fresh = join(folder, `built-${(count += 1)}`);
  build(fresh);
  const beside = `${path}.${process.pid}`;
  copyFileSync(fresh, beside);
  renameSync(beside, path);
  return path;
}

/** All of it in one object, from which variants are linked. */
function object(): string {
  return once("object", (out) => {
    const sources = names.filter((name) => /^nvml-.*\.c$/.test(name));
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
  mkdirSync(own, { recursive: true });
  copyFileSync(from, join(own, NAME));
  return join(own, NAME);
}

// Before any test begins, whose time is bounded.
if (HAS_COMPILER) library([]);

/** For `afterAll` of each test file: the test runner tells nobody of its exit. */
export function removeDoubles(): void {
  rmSync(folder, { recursive: true, force: true });
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

  /** A folder with the signs by which a loaded driver is known. */
  get root(): string {
    const root = join(this.folder, "root");
    mkdirSync(join(root, "proc/driver/nvidia"), { recursive: true });
    writeFileSync(join(root, "proc/driver/nvidia/version"), "NVRM version: a double\n");
    return root;
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
