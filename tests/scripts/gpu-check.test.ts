/** scripts/gpu-check.ts against the doubles of the driver's libraries, and a nvidia-smi that reads the same scenario. */
import { afterAll, describe, expect, setDefaultTimeout, test } from "bun:test";
import { chmodSync, existsSync, readFileSync, writeFileSync } from "node:fs";
import { join, resolve } from "node:path";
import fc from "fast-check";
import { compare } from "../../scripts/gpu-compare.ts";
import { smiFigures } from "../../scripts/smi-figures.ts";
import { elementsAt, readXml } from "../../scripts/smi-xml.ts";
import { Double, HAS_COMPILER, removeDoubles } from "../gpu/double.ts";

afterAll(removeDoubles);
setDefaultTimeout(120_000);

const SCRIPT = resolve(import.meta.dir, "../../scripts/gpu-check.ts");
const STUB = resolve(import.meta.dir, "smi-stub.ts");

async function check(double: Double, smiScenario = double.scenarioPath) {
  const smi = join(double.folder, "nvidia-smi");
  writeFileSync(smi, `#!/bin/sh\nexec "${process.execPath}" "${STUB}" "${smiScenario}" "$@"\n`);
  chmodSync(smi, 0o755);
  const out = join(double.folder, "report.md");
  const places = ["--nvml", double.path, "--cuda", double.cudaPath, "--root", double.root, "--smi", smi, "--out", out];
  const short = ["--looks", "3000", "--timed", "20", "--burn-ms", "700", "--foreign-pids"];
  const child = Bun.spawn([process.execPath, SCRIPT, ...places, ...short], { stdout: "pipe", stderr: "pipe" });
  const [err, code] = await Promise.all([child.stderr.text(), child.exited]);
  return { code, err, report: code === 3 ? "" : readFileSync(out, "utf8") };
}

describe.skipIf(!HAS_COMPILER)("the check of a real GPU", () => {
  test("finds that all fits where it does, and reports what it measured", async () => {
    const double = new Double();
    double.play("h100");
    const { code, err, report } = await check(double);
    expect([code, err.split("\n").at(-2)]).toEqual([0, `gpu-check: all fits; written to ${double.folder}/report.md`]);
    expect(report).toMatch(/\| +driver +\| 570\.124\.06 \(NVML 12\.570\.124\.06, CUDA 12\.8\) +\|/);
    expect(Number(/figures compared +\| (\d+)/.exec(report)?.[1])).toBeGreaterThan(90);
    expect(report).toMatch(/## What does not fit\n\nNothing\./);
    expect(report).toMatch(/\| load +\| 20 +\| \d+ +\| \d+ +\|/);
    expect(report).toMatch(/3000 looks at the load in \d+ s: resident memory grew by -?\d/);
    expect(report).toMatch(/\| 0 +\| measured \| 29\d\d\.\d +\| \d+\.\d +\| 7\d\d\.\d +\| 5\d\.\d +\|/);
    expect(report).toMatch(/SM activity 76 %, tensor activity 62 %/);
  });

  test("of an older card, without what that has not", async () => {
    const double = new Double();
    double.play("t4");
    const { code, report } = await check(double);
    expect(report).toMatch(/## What does not fit\n\nNothing\./);
    expect(report).toMatch(/tensor activity not told/);
    expect(code).toBe(0);
  });

  test("tells each figure that does not fit, and ends with 1", async () => {
    const double = new Double();
    double.play("h100", "gpu1.gpm.5 = 3", "gpu1.computes = no");
    const other = new Double();
    other.play(
      "h100",
      "gpu0.celsius = 80",
      "gpu0.remapped_uncorrected = 9",
      "gpu1.mig = 1",
      "gpu1.process1.pid = 7",
      'driver = "550.1"',
    );
    const { code, err, report } = await check(double, other.scenarioPath);
    expect(code).toBe(1);
    const [first, second] = ["GPU-6a0f1c2e-0000-4000-8000-000000000000", "GPU-6a0f1c2e-0000-4000-8000-000000000001"];
    for (const line of [
      `${first}: load.temperatureCelsius: 61, expected 80`,
      `${first}: wear.remappedRowsUncorrected: 1, expected 9`,
      `${second}: identity.migMode: false, expected true`,
      `${second}: traffic.processes: 4242,4343, expected 4242,7`,
      `${second}: traffic.processes.7: no value, expected 2097152000`,
      "all: driver: 570.124.06, expected 550.1",
      `${second}: tensor activity at work: 0.03, expected >= 0.15`,
      `${second}: benchmark: the kernel copy computes wrong results`,
    ]) {
      expect(err).toContain(line);
    }
    expect(report).toMatch(/do not fit +\| 9 +\|/);
  });

  test("ends with 3 where there is no driver", async () => {
    const double = new Double();
    double.play("h100");
    const child = Bun.spawn([process.execPath, SCRIPT, "--root", join(double.folder, "nowhere")], { stderr: "pipe" });
    expect([await child.exited, await child.stderr.text()]).toEqual([
      3,
      expect.stringContaining("no NVIDIA driver is loaded"),
    ]);
  });
});

describe.skipIf(!HAS_COMPILER)("the check without nvidia-smi", () => {
  test("says so and writes nothing", async () => {
    const double = new Double();
    double.play("h100");
    const out = join(double.folder, "report.md");
    const args = ["--nvml", double.path, "--root", double.root, "--smi", "/nowhere/nvidia-smi", "--out", out];
    const child = Bun.spawn([process.execPath, SCRIPT, ...args], { stderr: "pipe" });
    expect(await child.exited).toBe(1);
    expect(await child.stderr.text()).toMatch(/nowhere\/nvidia-smi.*; nothing was written\n$/);
    expect(existsSync(out)).toBeFalse();
  });
});

describe("what nvidia-smi writes", () => {
  test("is read with comments, empty elements, attributes, entities, and what stands before it", () => {
    const root = readXml(
      'Unable to determine the device handle\n<?xml version="1.0" ?>\n<!DOCTYPE a SYSTEM "b">\n<!-- <c> -->\n<a>\n <gpu id="0:&#66;"><b>1 &lt; 2 &amp;amp;</b><c/></gpu>\n</a>\n',
    );
    const [gpu] = elementsAt(root, "gpu");
    expect(gpu).toMatchObject({
      id: "0:B",
      children: [
        { name: "b", text: "1 < 2 &amp;" },
        { name: "c", text: "" },
      ],
    });
  });

  test("is refused where it is no XML", () => {
    for (const text of [
      "",
      "No devices were found",
      "<a><b></a></b>",
      "<a>",
      "</a>",
      "<a/><b/>",
      "<a>&</a",
      "<a><".padEnd(20),
    ]) {
      expect(() => readXml(text)).toThrow();
    }
    expect(() => readXml("<a>".repeat(100))).toThrow(/deep/);
    fc.assert(
      fc.property(fc.stringMatching(/^[<>/a&;"= !?-]*$/), (text) => {
        try {
          expect(readXml(text).name).toBeString();
        } catch (error) {
          expect(error).toBeInstanceOf(Error);
        }
      }),
    );
  });

  test("has names that differ by the driver's age, and no value in many words", () => {
    const figures = (inner: string) =>
      Object.fromEntries(smiFigures(readXml(`<gpu id="00000000:3B:00.0">${inner}</gpu>`)));
    expect(
      figures(
        "<power_readings><power_draw>61.20 W</power_draw><power_limit>70.00 W</power_limit></power_readings><clocks_throttle_reasons><clocks_throttle_reason_hw_slowdown>Active</clocks_throttle_reason_hw_slowdown></clocks_throttle_reasons><ecc_errors><volatile><double_bit><total>3</total></double_bit></volatile></ecc_errors>",
      ),
    ).toEqual({
      "identity.pciAddress": "0000:3b:00.0",
      "load.powerWatts": 61.2,
      "load.powerLimitWatts": 70,
      "load.throttleReasons": ["hw_slowdown"],
      "wear.eccUncorrected": 3,
    });
    for (const word of [
      "N/A",
      "[N/A]",
      "Unknown Error",
      "Not Supported",
      "Requested functionality has been deprecated",
      "",
    ]) {
      expect(figures(`<utilization><gpu_util>${word}</gpu_util></utilization><serial>${word}</serial>`)).toEqual({
        "identity.pciAddress": "0000:3b:00.0",
      });
    }
  });

  test("fits what moves between two looks, and not what is beyond them", () => {
    const at = (utilization: number) => ({
      uuid: "x",
      identity: { index: 0, vendor: "nvidia" as const, name: "x" },
      load: { utilization },
    });
    const faults = (percent: number) =>
      compare("x", [at(0.2), at(0.5)], new Map([["load.utilization", percent / 100]])).mismatches.length;
    expect([20, 35, 64, 6].map(faults)).toEqual([0, 0, 0, 0]);
    expect([0, 70].map(faults)).toEqual([1, 1]);
    expect(compare("x", [at(0.2)], new Map([["load.memoryUtilization", 0.1]])).mismatches).toMatchObject([
      { ours: "no value" },
    ]);
  });
});
