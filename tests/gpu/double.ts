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
import { basename, join, resolve } from "node:path";

const SOURCES = resolve(import.meta.dir, "../../native/testing");
const SCENARIOS = join(SOURCES, "scenarios");
const COMPILER = (process.env["CC"]?.trim() || "cc").split(/\s+/);
const FLAGS = "-std=c11 -O1 -Wall -Wextra -Werror -fvisibility=hidden -fPIC".split(" ");
const LINK = ["-shared", "-Wl,-z,defs"];
const LIBRARIES = ["-lm", "-lpthread", "-ldl"];
/** By the beginnings of their sources' names; those that begin with "double" are of both. */
const SONAMES = { nvml: "libnvidia-ml.so.1", cuda: "libcuda.so.1" } as const;
type Vendor = keyof typeof SONAMES;

/** Without a C compiler these tests are left out. */
export const HAS_COMPILER = process.platform === "linux" && Bun.which(COMPILER[0] ?? "cc") !== null;
if (!HAS_COMPILER) console.warn("the tests against the double of libnvidia-ml are left out: there is no C compiler");

/** Made when something is put into it. */
let folder = "";
let count = 0;
process.on("exit", removeDoubles);

function fresh(): string {
  if (folder === "") folder = mkdtempSync(join(tmpdir(), "infermesh-double-"));
  return join(folder, String((count += 1)));
}

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
    mkdirSync(BUILT, { recursive: true });
    const all = resolve(BUILT, "..");
    // Of other sources; what another process has built of these stays.
    for (const name of readdirSync(all)) {
      if (name !== basename(BUILT)) rmSync(join(all, name), { recursive: true, force: true });
    }
  }
  const own = fresh();
  build(own);
  const beside = `${path}.${process.pid}`;
  copyFileSync(own, beside);
  renameSync(beside, path);
  return path;
}

/** All of it in one object, from which variants are linked. */
function object(vendor: Vendor): string {
  return once(`object ${vendor}`, (out) => {
    const sources = names.filter(
      (name) => name.endsWith(".c") && [vendor, "double"].includes(name.split("-", 1)[0] ?? ""),
    );
    compile("-r", "-nostdlib", "-o", out, ...sources.map((name) => join(SOURCES, name)));
  });
}

function library(vendor: Vendor, hidden: readonly string[] = []): string {
  return once(`library ${vendor} ${hidden.join(" ")}`, (out) => {
    const script = `${out}.map`;
    const locals = hidden.map((name) => `${name};`).join(" ");
    writeFileSync(
      script,
      hidden.length === 0 ? "{ global: *; };\n" : `{ global: infermeshDoubleReport; local: ${locals} };\n`,
    );
    const name = `-Wl,-soname,${SONAMES[vendor]}`;
    compile(...LINK, name, `-Wl,--version-script=${script}`, "-o", out, "-x", "none", object(vendor), ...LIBRARIES);
  });
}

/** Another library with some of the names: its nvmlInit answers `init`. */
export function foreignLibrary(init: number): string {
  const built = once(`foreign ${init}`, (out) => {
    compile(...LINK, `-DFOREIGN_INIT=${init}`, "-o", out, join(SOURCES, "foreign-nvml.c"));
  });
  return placed(newFolder(), built, "nvml");
}

function newFolder(): string {
  const own = fresh();
  mkdirSync(own);
  return own;
}

function placed(into: string, from: string, vendor: Vendor): string {
  const path = join(into, SONAMES[vendor]);
  copyFileSync(from, path);
  return path;
}

// Before any test begins, whose time is bounded.
if (HAS_COMPILER) library("nvml");

/** For `afterAll` of each test file: the test runner tells nobody of its exit. */
export function removeDoubles(): void {
  if (folder !== "") rmSync(folder, { recursive: true, force: true });
  folder = "";
}

/** What a library of R535 does not have. */
export const LACKED_BY_R535 = [
  "nvmlDeviceGetProcessesUtilizationInfo",
  "nvmlDeviceGetGpuFabricInfoV",
  "nvmlDeviceGetTemperatureV",
  "nvmlDeviceGetMarginTemperature",
] as const;

/** And one of R470, whose only list of processes goes by an older name. */
export const LACKED_BY_R470 = [
  ...LACKED_BY_R535,
  "nvmlDeviceGetMemoryInfo_v2",
  "nvmlDeviceGetComputeRunningProcesses_v3",
  "nvmlDeviceGetGraphicsRunningProcesses_v3",
  "nvmlDeviceGetMPSComputeRunningProcesses_v3",
  "nvmlDeviceGetCurrentClocksEventReasons",
  "nvmlDeviceGetGpuInstanceProfileInfoV",
  "nvmlDeviceGetJpgUtilization",
  "nvmlDeviceGetOfaUtilization",
  "nvmlGpmQueryDeviceSupport",
  "nvmlGpmSampleAlloc",
  "nvmlGpmSampleFree",
  "nvmlGpmSampleGet",
  "nvmlGpmMigSampleGet",
  "nvmlGpmMetricsGet",
] as const;

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

/** What the stand-in for libcuda counted. */
export interface CudaReport {
  readonly contexts: number;
  readonly memories: number;
  readonly modules: number;
  readonly events: number;
  readonly streams: number;
  readonly launches: number;
  readonly misuses: number;
  readonly calls: Readonly<Record<string, number>>;
}

export class Double {
  /** Of libnvidia-ml.so.1. */
  readonly path: string;
  #cudaPath = "";

  /** `hidden`: symbols that this library does not have. */
  constructor(options: { readonly hidden?: readonly string[] } = {}) {
    this.path = placed(newFolder(), library("nvml", options.hidden), "nvml");
  }

  /** Of a libcuda.so.1 that plays the same scenario. */
  get cudaPath(): string {
    if (this.#cudaPath === "") this.#cudaPath = placed(this.folder, library("cuda"), "cuda");
    return this.#cudaPath;
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
    const next = `${this.scenarioPath}.next`;
    writeFileSync(next, text);
    renameSync(next, this.scenarioPath);
  }

  /** Of the library as it is in this process. */
  report(): DoubleReport {
    return reportOf(this.path) as DoubleReport;
  }

  cudaReport(): CudaReport {
    return reportOf(this.cudaPath) as CudaReport;
  }
}

function reportOf(path: string): unknown {
  const { symbols } = dlopen(path, { infermeshDoubleReport: { args: [], returns: "cstring" } });
  return JSON.parse(String(symbols.infermeshDoubleReport()));
}
