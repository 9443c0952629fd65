/** `infermesh agent bench-gpu`, as people call it: what it prints, keeps and ends with. */
import { afterAll, describe, expect, setDefaultTimeout, test } from "bun:test";
import { readFileSync, writeFileSync } from "node:fs";
import { join, resolve } from "node:path";
import { Double, HAS_COMPILER, removeDoubles } from "./double.ts";

afterAll(removeDoubles);
setDefaultTimeout(120_000);

const MAIN = resolve(import.meta.dir, "../../src/main.ts");
const FIRST = "GPU-6a0f1c2e-0000-4000-8000-000000000000";
const SECOND = "GPU-6a0f1c2e-0000-4000-8000-000000000001";
const IDLE = ["util = 0", "memory_used = 600 MiB", "process0.pid = none", "process1.pid = none"];
const idle = (gpu: string): string[] => IDLE.map((line) => `${gpu}.${line}`);

interface Kept {
  readonly gpus: Readonly<
    Record<
      string,
      { readonly name: string; readonly tensorFlops: number; readonly inUse?: string; readonly measuredAt: string }
    >
  >;
}

async function bench(double: Double, args: readonly string[], env: Readonly<Record<string, string>> = {}) {
  const places = ["--gpu-nvml-library", double.path, "--gpu-cuda-library", double.cudaPath, "--gpu-root", double.root];
  const command = [process.execPath, MAIN, "agent", "bench-gpu", ...places, "--data-dir", double.folder, ...args];
  const child = Bun.spawn(command, {
    stdout: "pipe",
    stderr: "pipe",
    stdin: "ignore",
    env: { ...process.env, ...env },
  });
  const [out, err, code] = await Promise.all([child.stdout.text(), child.stderr.text(), child.exited]);
  return { out, err, code };
}

function kept(double: Double): Kept {
  return JSON.parse(readFileSync(join(double.folder, "gpu-bench.json"), "utf8")) as Kept;
}

describe.skipIf(!HAS_COMPILER)("infermesh agent bench-gpu", () => {
  test("prints a table and keeps the figures for the agent", async () => {
    const double = new Double();
    double.play("h100", ...idle("gpu*"));
    // Which agents use as the source of their figures.
    const { out, err, code } = await bench(double, [], { INFERMESH_GPU: "nvml" });
    expect([code, err]).toEqual([
      0,
      `infermesh agent bench-gpu: kept in ${double.folder}/gpu-bench.json; an agent reads it when it starts\n`,
    ]);
    const [head, first, second, ...others] = out.trimEnd().split("\n");
    expect(head).toMatch(/^GPU +UUID +NAME +MEMORY +FP16 MATRIX +FP32 +STATE$/);
    expect(first).toMatch(/^ *0 +GPU-.* H100 .* (?:29|30)\d\d GB\/s +7\d\d\.\d TFLOP\/s +5\d\.\d TFLOP\/s +measured$/);
    expect(second).toContain(SECOND);
    expect(others).toEqual([]);
    expect(Object.keys(kept(double).gpus).length).toBe(2);
    expect(kept(double).gpus[SECOND]).toMatchObject({ name: "NVIDIA H100 80GB HBM3", driverVersion: "570.124.06" });
  });

  test("ends with 4 where one is in use, says by whom, and measures it by --force; json and yaml hold all", async () => {
    const double = new Double();
    double.play("h100", ...idle("gpu1"));
    const busy = await bench(double, ["-o", "json"]);
    expect(busy.code).toBe(4);
    expect(busy.err).toMatch(
      /GPU 0 is in use: 87 % busy; .*pid 4242.*; wait until it is idle, or measure it .*--force\n$/,
    );
    const told = JSON.parse(busy.out) as { driverVersion: string; gpus: { state: string }[] };
    expect(told.driverVersion).toBe("570.124.06");
    expect(told.gpus.map(({ state }) => state)).toEqual(["busy", "measured"]);
    expect(Object.keys(kept(double).gpus)).toEqual([SECOND]);
    const forced = await bench(double, ["--force", "--gpu", "0", "-o", "yaml"]);
    expect(forced.code).toBe(0);
    expect(forced.err).toMatch(/GPU 0 was in use \(87 % busy; .*\): it can do more than was measured\n$/);
    expect(forced.out).toMatch(/state: measured/);
    expect(Object.keys(kept(double).gpus).length).toBe(2);
    expect(kept(double).gpus[FIRST]?.inUse).toMatch(/^87 % busy; /);
    expect(kept(double).gpus[SECOND]?.inUse).toBeUndefined();
    // Once it was idle those figures stay, whatever is measured by force later.
    double.play("h100", ...idle("gpu*"));
    expect((await bench(double, ["--gpu", "0"])).code).toBe(0);
    const good = kept(double).gpus[FIRST]!;
    expect(good.inUse).toBeUndefined();
    double.play("h100", ...idle("gpu1"));
    const again = await bench(double, ["--force", "--gpu", "0"]);
    expect(again.code).toBe(0);
    expect(again.err).toContain(`GPU 0 keeps the figures of ${good.measuredAt}, when it was idle`);
    expect(again.err).not.toContain("kept in");
    expect(kept(double).gpus[FIRST]).toEqual(good);
  });

  test("says which GPUs can't be read, and measures the others; puts a file aside that it can't read", async () => {
    const double = new Double();
    double.play("h100", ...idle("gpu*"), "gpu1.state = lost");
    writeFileSync(join(double.folder, "gpu-bench.json"), '{"version":2}');
    const { out, err, code } = await bench(double, []);
    expect(code).toBe(1);
    expect(out).toMatch(/measured\n$/);
    expect(err).toMatch(/1 of 2 GPUs can't be read \(GPU 1: .* the GPU is lost/);
    expect(err).toMatch(/gpu-bench\.json is not of version 1; it is now .*gpu-bench\.unread-.*\.json, and a new file/);
    expect(Object.keys(kept(double).gpus)).toEqual([FIRST]);
    const lost = await bench(double, ["--gpu", "1"]);
    expect(lost.code).toBe(2);
    expect(lost.err).toMatch(/there is no GPU 1; there are 0 .*; 1 of 2 GPUs can't be read/);
    // What was asked for is measured.
    expect((await bench(double, ["--gpu", "0"])).code).toBe(0);
  });

  test("ends with 1, 2 or 3 where a card fails, there is no such one, or none at all; and keeps nothing of it", async () => {
    const double = new Double();
    double.play("h100", ...idle("gpu*"), "gpu*.computes = no");
    const failed = await bench(double, []);
    expect(failed.code).toBe(1);
    expect(failed.err).toContain("GPU 1 was not measured: the kernel copy computes wrong results");
    expect(failed.out).toMatch(/H100 .* - +- +- +failed\n$/);
    expect(() => kept(double)).toThrow();
    expect((await bench(double, ["--gpu", "5"])).code).toBe(2);
    expect((await bench(double, ["--gpu", "mock"])).code).toBe(2);
    const none = await bench(double, ["--gpu-root", join(double.folder, "nowhere")]);
    expect([none.code, none.out]).toEqual([3, ""]);
    expect(none.err).toMatch(/no NVIDIA driver is loaded.*; load the kernel module nvidia\n$/);
  });
});
