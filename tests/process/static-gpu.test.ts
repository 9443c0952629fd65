/**
 * The static executable with GPUs: libraries built for glibc in a root that has no glibc, as NVIDIA's container toolkit
 * mounts them. Left out, with a reason, where the executable, a compiler or Linux's namespaces are missing.
 */
import { afterAll, beforeAll, describe, expect, setDefaultTimeout, test } from "bun:test";
import { chmodSync, copyFileSync, cpSync, existsSync, mkdirSync, renameSync, writeFileSync } from "node:fs";
import { dirname, join, resolve } from "node:path";
import { addMountPoints, emptyRoot, inRoot, rootFault } from "../../scripts/static/root.ts";
import { Double, HAS_COMPILER, removeDoubles } from "../gpu/double.ts";
import { json, sourceOf } from "./gpu-source.ts";
import { Bench, EXECUTABLE, type Started, until } from "./harness.ts";

setDefaultTimeout(120_000);
const STATIC = join(dirname(EXECUTABLE), `infermesh-linux-${process.arch}`);
const SCENARIOS = resolve(import.meta.dir, "../../native/testing/scenarios");
const PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

const reason = existsSync(STATIC) ? rootFault() : `${STATIC} is missing: run npm run build:static`;
if (reason !== "") console.log(`left out: ${reason}`);
const isLeftOut = reason !== "" || !HAS_COMPILER;

const bench = new Bench();
const root = join(bench.dataDir, "root");
/** Where the toolkit puts them in an image that is not Debian's. */
const folder = join(root, "usr", "lib64");
/** A command without arguments of its own that runs the executable there. */
const inside = join(bench.dataDir, "inside");
afterAll(async () => {
  await bench.end();
  removeDoubles();
});

function play(...lines: readonly string[]): void {
  const next = join(folder, "scenario.next");
  writeFileSync(next, `include = "/scenarios/h100.scenario"\n${lines.join("\n")}\n`);
  renameSync(next, join(folder, "scenario"));
}

/** A driver is loaded, as far as the root shows. */
beforeAll(() => {
  if (isLeftOut) return;
  const quoted = inRoot({ machine: "host", privileges: "none" }, root, "/infermesh").map(
    (word) => `'${word.replaceAll("'", `'\\''`)}'`,
  );
  writeFileSync(inside, `#!/bin/sh\nexec ${quoted.join(" ")} "$@"\n`);
  chmodSync(inside, 0o755);
  emptyRoot(root, STATIC);
  addMountPoints(root);
  mkdirSync(folder, { recursive: true });
  cpSync(SCENARIOS, join(root, "scenarios"), { recursive: true });
  mkdirSync(join(root, "driver/proc/driver/nvidia"), { recursive: true });
  writeFileSync(join(root, "driver/proc/driver/nvidia/version"), "NVRM version: a double\n");
  const double = new Double();
  copyFileSync(double.path, join(folder, "libnvidia-ml.so.1"));
  copyFileSync(double.cudaPath, join(folder, "libcuda.so.1"));
  play();
});

const FAST = ["--gpu-identity-interval", "1s", "--gpu-traffic-interval", "500ms", "--gpu-restart-pause-min", "100ms"];
const PORTS = ["--api", "127.0.0.1:0", "--metrics", "127.0.0.1:0", "--gossip", "127.0.0.1:0", "--serve", "127.0.0.1:0"];

function agent(...args: readonly string[]): Promise<Started> {
  const gpu = ["--gpu", "nvml", "--gpu-root", "/driver", ...FAST];
  return bench.launch(["agent", "--mock", "--id", "n1", ...PORTS, ...gpu, ...args], {
    executable: inside,
    env: { PATH },
  });
}

/** A library of this machine's C library, put where the root's libraries are. */
function compile(name: string, text: string, ...more: readonly string[]): void {
  const written = join(bench.dataDir, "written.c");
  writeFileSync(written, `${text}\n`);
  const command = ["cc", "-shared", "-fPIC", "-o", join(folder, name), written, ...more];
  expect(Bun.spawnSync(command, { stderr: "pipe" }).stderr.toString()).toBe("");
}

const gpusOf = async (one: Started) => (await json(one, "/gpus"))["gpus"] as Record<string, unknown>[];

/** The scenario's GPUs have some wear; these have none. */
const WELL = ["gpu*.ecc_uncorrected = 0", "gpu*.reasons = 0"];
const IDLE = ["gpu*.util = 0", "gpu*.memory_used = 600 MiB", "gpu*.process0.pid = none", "gpu*.process1.pid = none"];

describe.skipIf(isLeftOut)("in an empty, read-only root", () => {
  test("an agent finds the library that is mounted there, and reads GPUs and their errors", async () => {
    play(...WELL);
    const one = await agent();
    await until(async () => (await sourceOf(one)).state === "ok", 30_000);
    const stack = { backend: "nvml", source: "/usr/lib64/libnvidia-ml.so.1" };
    expect(await sourceOf(one)).toMatchObject({ message: "", stack });
    const names = (await gpusOf(one)).map(({ name }) => name);
    expect(names).toEqual(["NVIDIA H100 80GB HBM3", "NVIDIA H100 80GB HBM3"]);

    play(...WELL, "xid = 1 1 79");
    const health = async () => (await gpusOf(one)).map((gpu) => gpu["health"]);
    await until(async () => (await health()).includes("quarantined"), 30_000);
    expect(await health()).toEqual(["healthy", "quarantined"]);
    expect(JSON.stringify((await gpusOf(one))[1]!["reasons"])).toContain("XID 79");
    expect(await one.stop()).toBe(0);
  });

  test("a library that needs what nobody has is told of by that name, and the agent goes on", async () => {
    // The other one that it needs is found beside it, by its name alone.
    compile("libbeside.so.1", "int beside(void) { return 0; }", "-Wl,-soname,libbeside.so.1");
    const text = "int nobodyHas(void); int beside(void); int nvmlInit_v2(void) { return nobodyHas() + beside(); }";
    compile("lacking.so", text, join(folder, "libbeside.so.1"));
    const one = await agent("--gpu-nvml-library", "/usr/lib64/lacking.so");
    await until(async () => (await sourceOf(one)).state === "broken", 30_000);
    const { message } = await sourceOf(one);
    expect(message).toContain("/usr/lib64/lacking.so: it needs nobodyHas, which this static executable does not");
    expect(message).toContain("--gpu dcgm=URL");
    expect(await one.stop()).toBe(0);
  });

  test("a library that crashes costs its probe, and is tried again", async () => {
    play(...WELL, "call.nvmlInit_v2.crash = segv");
    const one = await agent();
    await until(async () => (await sourceOf(one)).state === "broken", 30_000);
    expect((await sourceOf(one)).message).toMatch(/SIGSEGV|Segmentation fault/);
    play(...WELL);
    await until(async () => (await sourceOf(one)).state === "ok", 30_000);
    expect(await gpusOf(one)).toHaveLength(2);
    expect(await one.stop()).toBe(0);
  });

  test("GPUs are measured by the libcuda that is mounted there", () => {
    play(...IDLE, "gpus = 1");
    const command = [inside, "agent", "bench-gpu", "--gpu-root", "/driver", "--data-dir", "/tmp"];
    const { stdout, stderr, exitCode } = Bun.spawnSync(command, { env: { PATH }, stdout: "pipe", stderr: "pipe" });
    expect([stderr.toString(), exitCode]).toEqual([expect.stringContaining("kept in"), 0]);
    expect(stdout.toString()).toContain("NVIDIA H100 80GB HBM3");
    play();
  });
});
