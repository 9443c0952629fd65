/** What --gpu may say, and what is found on a machine when it says auto. */
import { afterAll, describe, expect, test } from "bun:test";
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import fc from "fast-check";
import { redacted } from "../../src/admin/router-api.ts";
import { formatFault } from "../../src/base/field.ts";
import { changesBetween } from "../../src/base/settings-changes.ts";
import { defaultsOf, parseSection, writeSection } from "../../src/base/settings-reading.ts";
import { agentSettings, resolveAgent } from "../../src/config.ts";
import { detectProbes } from "../../src/gpu/detect.ts";
import { driverMark } from "../../src/gpu/driver-mark.ts";
import { gpuChoice, gpuSettings } from "../../src/gpu/settings.ts";
import type { GpuSource } from "../../src/gpu/source.ts";
import { GpuSources } from "../../src/gpu/sources.ts";

const made: string[] = [];
afterAll(() => made.forEach((path) => rmSync(path, { recursive: true })));

function machine(files: Readonly<Record<string, string>>): string {
  const root = mkdtempSync(join(tmpdir(), "infermesh-root-"));
  made.push(root);
  for (const [path, text] of Object.entries(files)) {
    mkdirSync(join(root, path, ".."), { recursive: true });
    writeFileSync(join(root, path), text);
  }
  return root;
}

describe("--gpu", () => {
  test("takes its words and a dcgm-exporter's URL, and refuses the rest", () => {
    for (const kind of ["auto", "nvml", "rocm", "sysfs", "mock", "none"] as const) {
      expect(gpuChoice(kind)).toEqual({ kind });
    }
    const url = "http://10.0.0.7:9400/metrics";
    expect(gpuChoice(`dcgm=${url}`)).toEqual({ kind: "dcgm", url });
    for (const wrong of ["", "cuda", "dcgm", "dcgm=", "dcgm=host:9400", "dcgm=ftp://h/x", "NVML", "nvml "]) {
      expect(gpuChoice(wrong)).toBeUndefined();
    }
    fc.assert(fc.property(fc.string(), (text) => void gpuChoice(`dcgm=${text}`)));
    const refused = parseSection(gpuSettings, { source: "cuda", nvmlLibrary: "libnvidia-ml.so.1", root: "here" });
    expect(refused.faults?.map(({ path }) => path)).toEqual(["source", "nvmlLibrary", "root"]);
    const crossed = parseSection(gpuSettings, { restartPauseMin: "1m", restartPauseMax: "1s" });
    expect(crossed.faults?.[0]).toMatchObject({ path: "restartPauseMax", expected: "at least restartPauseMin" });
  });

  test("is shown without the exporter's password, in force, changed or refused", () => {
    const of = (source: string) => parseSection(agentSettings, { gpu: { source } });
    const before = of("dcgm=http://ada:se%20cret@host:9400/metrics").value!;
    const after = of("dcgm=http://tokencret@host/metrics").value!;
    // An unescaped one is a right URL too: the last @ counts.
    const odd = of("dcgm=http://ada:se@cret@host/metrics").value!;
    expect(odd.gpu.source).toEndWith("se@cret@host/metrics");
    const shown = JSON.stringify(redacted(writeSection(agentSettings, odd)));
    expect(shown).toContain("dcgm=http://ada:***@host/metrics");
    const changes = [changesBetween(agentSettings, before, after), changesBetween(agentSettings, before, odd)];
    expect(changes).toEqual([
      [{ path: "gpu.source", from: '"dcgm=http://ada:***@host:9400/metrics"', to: '"dcgm=http://***@host/metrics"' }],
      [
        {
          path: "gpu.source",
          from: '"dcgm=http://ada:***@host:9400/metrics"',
          to: '"dcgm=http://ada:***@host/metrics"',
        },
      ],
    ]);
    // Refused for its port, for its length, and under a name with a slip in it.
    const refused = [
      of("dcgm=http://ada:se/cret@host:9400/metrics"),
      of(`dcgm=http://ada:secret${"x".repeat(600)}@host/metrics`),
      parseSection(agentSettings, { gpu: { sorce: "dcgm=http://ada:secret@host/metrics" } }),
    ];
    const faults = refused.flatMap((parsed) => (parsed.faults ?? []).map(formatFault));
    expect(faults).toHaveLength(3);
    for (const text of [shown, JSON.stringify(changes), ...faults]) expect(text).not.toContain("cret");
    for (const fault of faults) expect(fault).toContain("dcgm=http://ada:***@host");
  });

  test("is mock beside the mock, else auto; what is given stays", () => {
    const config = defaultsOf(agentSettings);
    const sourceOf = (enabled: boolean, source: string): string =>
      resolveAgent({ ...config, mock: { ...config.mock, enabled }, gpu: { ...config.gpu, source } }).gpu.source;
    expect([sourceOf(true, ""), sourceOf(false, ""), sourceOf(true, "nvml")]).toEqual(["mock", "auto", "nvml"]);
  });
});

describe("a machine", () => {
  test("has a probe for each vendor whose driver is loaded", () => {
    expect(detectProbes(machine({}))).toEqual([]);
    const mixed = machine({
      "proc/driver/nvidia/version": "550",
      "sys/module/amdgpu/version": "6",
      "sys/module/xe/srcversion": "x",
    });
    expect(detectProbes(mixed)).toEqual([
      { vendors: ["nvidia"], backends: ["nvml"] },
      { vendors: ["amd"], backends: ["rocm", "sysfs"] },
      { vendors: ["intel"], backends: ["sysfs"] },
    ]);
  });

  test("tells one loaded driver from another", () => {
    const old = machine({ "sys/module/nvidia/version": "550.1\n", "sys/module/nvidia/srcversion": "ABC\n" });
    expect(driverMark(old, ["nvidia"])).toBe("nvidia 550.1, nvidia ABC");
    expect(driverMark(old, ["amd", "intel"])).toBe("");
    writeFileSync(join(old, "sys/module/nvidia/version"), "575.1\n");
    expect(driverMark(old, ["nvidia"])).toBe("nvidia 575.1, nvidia ABC");
  });

  test("without a driver says so; with one it has a source, which ends", async () => {
    const open = (root: string, source: string) => {
      const opened: GpuSource[] = [];
      const config = { ...defaultsOf(gpuSettings), root };
      const command = [process.execPath, join(import.meta.dir, "probe-child.ts"), "well"];
      const sources = new GpuSources({
        config,
        choice: gpuChoice(source)!,
        probeCommand: command,
        opened: (one) => opened.push(one),
      });
      return { sources, opened };
    };
    const bare = open(machine({}), "auto");
    expect(bare.opened).toEqual([]);
    expect(bare.sources.states).toMatchObject([{ state: "absent", message: expect.stringContaining("no driver") }]);
    await bare.sources.stop();
    const none = open("/", "none");
    expect(none.sources.states[0]?.message).toBe("the settings say none: no GPU is read");
    await none.sources.stop();
    const one = open(machine({ "proc/driver/nvidia/version": "550" }), "auto");
    expect(one.opened).toHaveLength(1);
    expect(one.sources.states).toMatchObject([{ state: "starting" }]);
    const endMs = performance.now() + 20_000;
    while (one.sources.states[0]?.state !== "ok" && performance.now() < endMs) await Bun.sleep(10);
    expect(one.sources.states).toMatchObject([{ state: "ok" }]);
    await one.sources.stop();
  });
});
