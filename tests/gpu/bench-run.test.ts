/** The benchmark as it runs: its processes, against the doubles of libnvidia-ml and libcuda. */
import { afterAll, describe, expect, setDefaultTimeout, test } from "bun:test";
import { readFileSync, writeFileSync } from "node:fs";
import { join, resolve } from "node:path";
import type { BenchOptions, BenchOutcome, BenchRun } from "../../src/gpu/bench-run.ts";
import { runBench } from "../../src/gpu/bench-run.ts";
import { type CudaReport, Double, HAS_COMPILER, removeDoubles } from "./double.ts";

afterAll(removeDoubles);
setDefaultTimeout(120_000);

const MAIN = resolve(import.meta.dir, "../../src/main.ts");
const FIRST = "GPU-6a0f1c2e-0000-4000-8000-000000000000";
const SECOND = "GPU-6a0f1c2e-0000-4000-8000-000000000001";
const IDLE = ["gpu*.util = 0", "gpu*.memory_used = 600 MiB", "gpu*.process0.pid = none", "gpu*.process1.pid = none"];

async function run(double: Double, options: Partial<BenchOptions> = {}): Promise<BenchRun> {
  return runBench({
    command: [process.execPath, MAIN],
    only: "",
    force: false,
    limitMs: 60_000,
    nvmlLibrary: double.path,
    cudaLibrary: double.cudaPath,
    root: double.root,
    ...options,
  });
}

function playing(scenario: string, ...lines: readonly string[]): Double {
  const double = new Double();
  double.play(scenario, ...lines);
  return double;
}

async function gpusOf(double: Double, options: Partial<BenchOptions> = {}): Promise<readonly BenchOutcome[]> {
  const done = await run(double, options);
  if (done.type === "none") throw new Error(done.message);
  return done.gpus;
}

describe.skipIf(!HAS_COMPILER).concurrent("the benchmark", () => {
  test("measures what the cards do, each in a process of its own, and leaves nothing in them", async () => {
    const report = (double: Double): string => join(double.folder, "cuda-report");
    const double = new Double();
    double.play("h100", ...IDLE, "gpu1.bandwidth = 2e12", `cuda_report = "${report(double)}"`);
    const done = await run(double);
    expect(done).toMatchObject({ type: "run", driverVersion: "570.124.06" });
    const gpus = done.type === "run" ? done.gpus : [];
    expect(gpus.map(({ uuid, state, message }) => [uuid, state, message])).toEqual([
      [FIRST, "measured", ""],
      [SECOND, "measured", ""],
    ]);
    const near = (figure: number | undefined, rate: number): void => {
      // A launch takes 3 microseconds besides.
      expect((figure ?? 0) / rate).toBeWithin(0.97, 1);
    };
    const [first, second] = gpus.map(({ figures }) => figures);
    near(first?.memoryBytesPerSecond, 3e12);
    near(first?.copyBytesPerSecond, 3e12);
    near(second?.memoryBytesPerSecond, 2e12);
    near(first?.tensorFlops, 800e12);
    near(first?.fp32Flops, 60e12);
    expect(first).toMatchObject({ productSize: 8192, arrayBytes: 2 ** 30, cudaVersion: "12.8" });
    const counts = JSON.parse(readFileSync(report(double), "utf8")) as CudaReport;
    expect(counts).toMatchObject({ memories: 0, misuses: 0 });
  });

  test("leaves a GPU alone that is in use, and says who uses it; unless it is forced to", async () => {
    const double = playing("h100", ...IDLE.map((line) => line.replace("gpu*", "gpu1")));
    const [first, second] = await gpusOf(double);
    expect(first?.state).toBe("busy");
    expect(first?.message).toMatch(
      /^87 % busy; 41\.0 GiB in use; .*\(pid 4242, 39\.1 GiB\), .*\(pid 4343, 2\.0 GiB\)$/,
    );
    expect(first?.figures).toBeUndefined();
    expect(second?.state).toBe("measured");
    const [forced] = await gpusOf(double, { force: true, only: "0" });
    expect(forced).toMatchObject({ state: "measured", uuid: FIRST });
    expect(forced?.message).toContain("87 % busy");
  });

  test("notices a card that computes wrong results, and reports no figures of it", async () => {
    const [first, second] = await gpusOf(playing("h100", ...IDLE, "gpu0.computes = no"));
    expect(first).toMatchObject({ state: "failed", figures: undefined });
    expect(first?.message).toMatch(/the kernel copy computes wrong results \(\d+ of 16384 numbers are wrong/);
    expect(second?.state).toBe("measured");
  });

  test("measures an older card without its tensor cores, and one with little memory with smaller matrices", async () => {
    const [old] = await gpusOf(playing("t4", ...IDLE));
    expect(old?.figures).toMatchObject({ tensorFlops: undefined, productSize: 0 });
    expect(old?.figures?.fp32Flops).toBeGreaterThan(50e12);
    const [small] = await gpusOf(playing("h100", ...IDLE, "gpu*.memory_total = 1700 MiB"), { only: "0" });
    expect(small?.figures?.productSize).toBe(4096);
    const [tiny] = await gpusOf(playing("h100", ...IDLE, "gpu*.memory_total = 1400 MiB"), { only: "0" });
    expect(tiny?.message).toMatch(/MiB of the GPU's memory are free, and \d+ MiB are needed/);
  });

  test("tells each failure of the driver, and goes on with the other cards", async () => {
    const cases = [
      [
        "call.cuMemAlloc_v2.error = 2",
        /cuMemAlloc_v2 answered 2, CUDA_ERROR_OUT_OF_MEMORY \(out of memory\); end what/,
      ],
      ["call.cuInit.error = 803", /cuInit answered 803, CUDA_ERROR_SYSTEM_DRIVER_MISMATCH/],
      ["call.cuEventSynchronize.error = 719", /cuEventSynchronize answered 719.*dmesg/],
      ["ptx_max = 40", /cuModuleLoadDataEx answered 222/],
      ["call.cuLaunchKernel.crash = segv", /was ended by SIG\w+: Segmentation fault.*dmesg/],
      ["call.cuEventElapsedTime.silent = yes", /took no time|computes wrong/],
    ] as const;
    for (const [line, words] of cases) {
      const gpus = await gpusOf(playing("h100", ...IDLE, line), { only: "0" });
      expect(gpus.map(({ state }) => state)).toEqual(["failed"]);
      expect(gpus[0]?.message).toMatch(words);
      expect(gpus[0]?.message).not.toContain("http");
    }
  });

  test("ends what does not answer within the limit", async () => {
    const double = playing("h100", ...IDLE, "call.cuCtxSetCurrent.hang = forever");
    const [hung] = await gpusOf(double, { only: "1", limitMs: 8000 });
    expect(hung).toMatchObject({ state: "failed", uuid: SECOND });
    expect(hung?.message).toMatch(/did not answer within 8000 ms; look at dmesg/);
  });

  test("says that there is no driver, no such GPU, no library, or that all of it hangs", async () => {
    const double = playing("h100", ...IDLE);
    const none = await run(double, { root: join(double.folder, "nowhere") });
    expect(none).toMatchObject({ type: "none", why: "absent" });
    // What an agent may be told is no advice to who asks for GPUs.
    expect(JSON.stringify(none)).not.toContain("--gpu none");
    expect(JSON.stringify(await run(playing("h100", "gpus = 0")))).toMatch(/look at lspci and dmesg"/);
    const unknown = await run(double, { only: "7" });
    expect(unknown).toMatchObject({ type: "none", why: "unknown" });
    expect(unknown.type === "none" ? unknown.message : "").toBe(
      `there is no GPU 7; there are 0 (${FIRST}), 1 (${SECOND})`,
    );
    const [noCuda] = await gpusOf(double, { only: FIRST, cudaLibrary: "/nowhere/libcuda.so.1" });
    expect(noCuda?.message).toMatch(/none of \/nowhere\/libcuda.so.1 is there; install/);
    const [foreign] = await gpusOf(double, { only: FIRST, cudaLibrary: double.path });
    expect(foreign?.message).toMatch(/libcuda can't be opened: .*cuInit/);
    const hung = playing("h100", ...IDLE, "call.nvmlInit_v2.hang = forever");
    expect(await run(hung, { limitMs: 3000 })).toMatchObject({ type: "none", why: "broken" });
  });

  test("measures the others where one GPU does not tell what it is doing", async () => {
    const double = playing("h100", ...IDLE);
    // A probe as there is one, of which the second GPU's load and processes never come.
    const program = join(double.folder, "half-a-probe.ts");
    const wire = resolve(import.meta.dir, "../../src/gpu/probe-wire.ts");
    const identity = (index: number) => ({ index, vendor: "nvidia", name: "H100" });
    const gpus = [
      { uuid: FIRST, identity: identity(0), load: { utilization: 0 }, traffic: { processes: [] } },
      { uuid: SECOND, identity: identity(1) },
    ];
    writeFileSync(
      program,
      `import { encodeProbeMessage } from ${JSON.stringify(wire)};
       if (process.argv.includes("gpu-probe")) {
         const say = (message) => process.stdout.write(encodeProbeMessage(message));
         say({ type: "open", stack: { backend: "nvml", source: "here", driverVersion: "570" } });
         say({ type: "reading", isRoll: true, tookMs: 1, gpus: ${JSON.stringify(gpus)} });
         setInterval(() => say({ type: "alive" }), 200);
         process.stdin.on("end", () => process.exit(0)).resume();
       } else {
         const child = Bun.spawnSync([process.execPath, ${JSON.stringify(MAIN)}, ...process.argv.slice(2)]);
         process.stdout.write(child.stdout);
       }`,
    );
    const told = await gpusOf(double, { command: [process.execPath, program], limitMs: 12_000 });
    expect(told.map(({ state, message }) => [state, message])).toEqual([
      ["measured", ""],
      ["busy", "its driver does not tell what uses it"],
    ]);
  });

  test("does not measure a GPU that is cut into MIG devices", async () => {
    const [cut, whole] = await gpusOf(playing("mig", ...IDLE));
    expect(cut).toMatchObject({ state: "failed" });
    expect(cut?.message).toContain("MIG");
    expect(whole?.state).toBe("measured");
  });
});
