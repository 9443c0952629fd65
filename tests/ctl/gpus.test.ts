/** list-gpus, describe-gpu and uncordon of GPUs: what is asked for, and what is shown of the answers. */
import { afterAll, beforeEach, describe, expect, test } from "bun:test";
import fc from "fast-check";
import { isPrintable } from "../../src/base/printable.ts";
import { gpuSections } from "../../src/ctl/gpu-facts.ts";
import { ControlBed, ctl, type Json, refusal } from "./control-bed.ts";
import { FULL, gpuState, node, SINCE_MS } from "./gpu-bed.ts";

const bed = new ControlBed();
afterAll(() => bed.stop());
beforeEach(() => {
  bed.calls.length = 0;
  bed.answers.clear();
  bed.paths.clear();
});

const run = (...words: string[]) => ctl(bed.endpoint, words);
const nodesAre = (...nodes: Json[]): void => void bed.answers.set("ListNodes", () => ({ nodes }));
const linesOf = (text: string): string[] => text.split("\n").slice(0, -1);

describe("list-gpus", () => {
  test("shows a line for each GPU of each node, in order", async () => {
    const held = {
      health: "GPU_HEALTH_DEGRADED",
      healthReason: "XID 63",
      throttleReasons: ["hw_thermal", "hw_slowdown"],
    };
    nodesAre(node("gpu-2", [gpuState(1, held), gpuState(0)]), node("gpu-1", [gpuState(0)]), node("r", undefined));
    const { code, out, err } = await run("list-gpus");
    expect([code, err]).toEqual([0, ""]);
    expect(linesOf(out)).toEqual([
      "NODE   GPU  NAME         HEALTH    BUSY   MEMORY       OF  POWER  TEMP  MODELS",
      "gpu-1    0  NVIDIA H100  healthy    87%  64.0GiB  80.0GiB   512W   61C  llama +1",
      "gpu-2    0  NVIDIA H100  healthy    87%  64.0GiB  80.0GiB   512W   61C  llama +1",
      "gpu-2    1  NVIDIA H100  degraded   87%  64.0GiB  80.0GiB   512W   61C  llama +1",
    ]);
    expect(bed.bodies("ListNodes")).toEqual([{ withState: true }]);
    const wide = linesOf((await run("list-gpus", "-o", "wide")).out);
    expect(wide[0]).toEndWith("MODELS    UUID   MIG  THROTTLED BY            SINCE                WHY");
    expect(wide[3]).toContain("GPU-1  -    hw_thermal,hw_slowdown  2026-01-0");
    expect(wide[3]).toEndWith("XID 63");
    const text = linesOf((await run("list-gpus", "-o", "text")).out);
    expect(text[2]?.split("\t")).toEqual([
      "gpu-2",
      "1",
      "NVIDIA H100",
      "degraded",
      "0.874",
      String(64 * 2 ** 30),
      String(80 * 2 ** 30),
      "512.3",
      "61",
      "llama,mistral",
      "GPU-1",
      "-",
      "hw_thermal,hw_slowdown",
      String(SINCE_MS),
      "XID 63",
    ]);
  });

  test("shows a MIG slice below its GPU, and as JSON whatever is known", async () => {
    const slice = { utilization: undefined, powerWatts: undefined, temperatureCelsius: undefined };
    nodesAre(node("gpu-1", [gpuState(0), gpuState(0, slice, { gpuUuid: "MIG-7", migProfile: "1g.10gb" })]));
    expect(linesOf((await run("list-gpus")).out)[2]).toMatch(
      /^gpu-1 +0 {2}NVIDIA H100 1g\.10gb {2}healthy +- {2}64\.0GiB/,
    );
    const { gpus } = JSON.parse((await run("list-gpus", "-o", "json")).out) as { gpus: Json[] };
    expect(gpus[1]).toEqual({
      index: 0,
      uuid: "MIG-7",
      name: "NVIDIA H100",
      migProfile: "1g.10gb",
      health: "healthy",
      healthSinceMs: SINCE_MS,
      memoryUsedBytes: 64 * 2 ** 30,
      memoryTotalBytes: 80 * 2 ** 30,
      powerLimitWatts: 700,
      throttleReasons: [],
      models: ["llama", "mistral"],
      node: "gpu-1",
      isHeard: true,
      sampledAgoMs: 120,
    });
    expect(Bun.YAML.parse((await run("list-gpus", "-o", "yaml")).out)).toEqual({ gpus });
  });

  test("shows what is not known as such, and no old figures as those of now", async () => {
    const bare = { labels: { gpuUuid: "" }, index: 0, name: "", health: "GPU_HEALTH_UNSPECIFIED", models: [] };
    const zero = gpuState(0, { utilization: 0, memoryUsedBytes: "0", powerWatts: 0, temperatureCelsius: 0 });
    const old = { target: { state: "unhealthy", sampledAgoMs: 30_001 } };
    nodesAre(
      node("a", [bare]),
      node("b", [zero]),
      node("c", [gpuState(0)], { status: "failed" }),
      node("d", [gpuState(0)], old),
    );
    const { out } = await run("list-gpus");
    expect(linesOf(out).slice(1)).toEqual([
      "a       0  -            -           -       -        -      -     -  -",
      "b       0  NVIDIA H100  healthy    0%  0.0GiB  80.0GiB     0W    0C  llama +1",
      "c       0  NVIDIA H100  unheard     -       -  80.0GiB      -     -  llama +1",
      "d       0  NVIDIA H100  unheard     -       -  80.0GiB      -     -  llama +1",
    ]);
  });

  test("colours what is not well, on a terminal alone", async () => {
    nodesAre(node("gpu-1", [gpuState(0, { health: "GPU_HEALTH_QUARANTINED" })]));
    expect((await ctl(bed.endpoint, ["list-gpus"], { color: true })).out).toContain("\u001b[31mquarantined\u001b[0m");
    expect((await run("list-gpus")).out).not.toContain("\u001b");
  });

  test("of one node asks for that one, and says why there are none", async () => {
    bed.answers.set("GetNode", ({ id }) => ({ node: node(String(id), id === "gpu-1" ? [gpuState(5)] : undefined) }));
    expect(linesOf((await run("list-gpus", "--node", "gpu-1")).out)[1]).toStartWith("gpu-1    5  NVIDIA");
    expect(bed.bodies("GetNode")).toEqual([{ id: "gpu-1" }]);
    const none = await run("list-gpus", "--node", "gpu-2");
    expect([none.code, none.out]).toEqual([0, ""]);
    expect(none.err).toBe(
      "no GPUs\ninfermesh ctl: ENDPOINT has no state of gpu-2, or that node tells of no GPUs; a router knows those of all nodes\n",
    );
    bed.answers.set("GetNode", () =>
      refusal("not_found", 404, 'there is no node "gpu-3" here; did you mean gpu-1?', { code: "not_found" }),
    );
    const missing = await run("list-gpus", "--node", "gpu-3");
    expect(missing.code).toBe(1);
    expect(missing.err).toContain("did you mean gpu-1?");
    expect(missing.err).toContain("`infermesh ctl list-nodes` shows the nodes");
  });

  test("of an agent tells that it knows its own, and why it has none", async () => {
    nodesAre(node("gpu-1", [gpuState(0)], { self: true }), node("gpu-2", undefined), node("gpu-3", undefined));
    expect((await run("list-gpus")).err).toBe(
      "infermesh ctl: ENDPOINT is an agent, which knows its own GPUs alone; a router knows those of 2 other nodes too\n",
    );
    nodesAre(node("gpu-1", [], { self: true }));
    bed.paths.set("/gpus", () => ({
      sources: [{ message: "no driver is loaded\u001b[2J" }, { message: 7 }],
      gpus: [],
    }));
    const none = await run("list-gpus");
    expect([none.code, none.out]).toEqual([0, ""]);
    expect(none.err).toBe("no GPUs\ninfermesh ctl: gpu-1: no driver is loaded\\u001b[2J\n");
    expect(JSON.parse((await run("list-gpus", "-o", "json")).out)).toEqual({ gpus: [] });
  });

  test("refuses what is no answer", async () => {
    bed.answers.set("ListNodes", () => ({ nodes: "many" }));
    const { code, err } = await run("list-gpus");
    expect([code, err]).toEqual([1, "infermesh ctl: the answer holds no nodes; is this an infermesh --api port?\n"]);
    expect((await ctl("http://127.0.0.1:1", ["list-gpus"])).code).toBe(3);
    expect((await run("list-gpus", "--nod", "x")).code).toBe(2);
  });

  test("shows nothing that steers a terminal, whatever nodes call their things", async () => {
    const hostile = "\u001b[2J\u202e\n\tx";
    const odd = {
      name: hostile,
      models: [hostile, 7],
      healthReason: hostile,
      throttleReasons: [hostile],
      health: hostile,
    };
    nodesAre(node(hostile, [gpuState(0, odd, { gpuUuid: hostile, migProfile: hostile })]));
    for (const format of ["table", "wide", "text", "json", "yaml"]) {
      const { out } = await run("list-gpus", "-o", format);
      for (const line of linesOf(out)) expect(isPrintable(line.replaceAll("\t", ""))).toBe(true);
    }
  });

  test("takes any JSON for a node without breaking", async () => {
    const anything = fc.jsonValue() as fc.Arbitrary<Json[string]>;
    const gpu = fc.dictionary(fc.constantFrom(...Object.keys(gpuState(0))), anything);
    await fc.assert(
      fc.asyncProperty(fc.array(gpu, { maxLength: 3 }), anything, async (gpus, target) => {
        nodesAre(node("n", gpus, { target }));
        for (const format of ["wide", "text", "json"]) {
          const { code, out } = await run("list-gpus", "-o", format);
          expect(code).toBe(0);
          for (const line of linesOf(out)) expect(isPrintable(line.replaceAll("\t", ""))).toBe(true);
        }
      }),
      { numRuns: 40 },
    );
  });
});

describe("describe-gpu", () => {
  const isTold = (gpu: unknown, more: Json = {}): void =>
    void bed.answers.set("GetGpu", () => ({ node: "gpu-1", gpu: JSON.stringify(gpu), ...more }));

  test("shows all that is known", async () => {
    isTold(FULL);
    const { code, out, err } = await run("describe-gpu", "3@gpu-1");
    expect([code, err]).toEqual([0, ""]);
    expect(bed.bodies("GetGpu")).toEqual([{ gpu: "3@gpu-1" }]);
    for (const line of [
      "GPU 3 of gpu-1: NVIDIA H100 80GB HBM3",
      "  PCI address   0000:3b:00.0",
      "  modes         persistence on, ECC on, MIG on",
      "by hand: uncordon gpu-1 --gpu 3  XID 79: the GPU has fallen off the bus",
      "by itself                        the GPU is at 93 C",
      "  busy           87%, its memory 40%",
      "  codecs         encoder 1%, decoder 2%, JPEG 3%, OFA 4%",
      "  memory         64.0GiB of 80.0GiB",
      "  slows down at  87C, turns itself off at 92C",
      "  power          512W, mean 500W, limit 700W",
      "  power limits   200W to 700W",
      "  energy         2.0 kWh",
      "  clock          1,755 MHz of 1,980 MHz",
      "  throttled by   sw_power_cap, hw_thermal",
      "  state          P0",
      "  fans           30%, 35%",
      "  SMs           80%, occupancy 50%",
      "  pipes         FP64 0%, FP32 10%, FP16 20%",
      "  MIG-77  1g.10gb         7        0   16  5.0GiB  10.0GiB       50%  40%   30%",
      "  PCIe          generation 4 x8, at most 5 x16",
      "  traffic       2.5 GB/s sent, 1.5 MB/s received",
      "     1  down           -        -           -",
      "  ECC              5 corrected, 1 not",
      "  remapped rows    6 for corrected errors, 8 for others; pending: yes, failed: no",
      "  driver asks for  drain_reset",
      "  4711  vllm     60.0GiB   80%             7  0123456789ab",
      "     1  -              -     -             -  -",
      "  read by   nvml, /usr/lib/libnvidia-ml.so.1",
      "  versions  driver 570.86, library 12.570, CUDA 12.8",
    ]) {
      expect(out).toContain(line);
    }
    expect(out).toMatch(/ {2}is {2}quarantined since 2026-01-0\d \d\d:04:05 \(for /);
  });

  test("shows what is not known as such", async () => {
    isTold({ uuid: "GPU-1", node: "n", index: 0, isFresh: false });
    const { out } = await run("describe-gpu", "0", "--node", "n");
    expect(bed.bodies("GetGpu")).toEqual([{ gpu: "0", node: "n" }]);
    expect(out).toContain("the last that came: they are not of now");
    // Neither a zero nor a "no" for what nobody knows.
    expect(out.replace(/^GPU 0.*$/m, "")).not.toMatch(/\b0\b|\bno\b|(?<!itself )\boff\b|none/);
    expect(out).toContain("MIG slices\n  -\n");
  });

  test("as JSON, YAML and text tells it as it came", async () => {
    isTold(FULL);
    expect(JSON.parse((await run("describe-gpu", "3@gpu-1", "-o", "json")).out)).toEqual(FULL);
    expect(Bun.YAML.parse((await run("describe-gpu", "3@gpu-1", "-o", "yaml")).out)).toEqual(FULL);
    expect((await run("describe-gpu", "3@gpu-1", "-o", "text")).out).toContain("load.utilization\t0.87\n");
  });

  test("warns where its agent does not answer, and says what to do where there is none", async () => {
    isTold(FULL, { partial: "only what r1 knows of it: \u001b[2J" });
    expect((await run("describe-gpu", "3")).err).toBe("infermesh ctl: warning: only what r1 knows of it: \\u001b[2J\n");
    bed.answers.set("GetGpu", () => refusal("not_found", 404, 'there is no GPU "9" here', { code: "not_found" }));
    const { code, err } = await run("describe-gpu", "9");
    expect(code).toBe(1);
    expect(linesOf(err)[1]).toBe("infermesh ctl: `infermesh ctl list-gpus` shows the GPUs");
    bed.answers.set("GetGpu", () => ({ gpu: "{" }));
    expect((await run("describe-gpu", "9")).err).toContain("the answer holds no GPU");
    expect((await run("describe-gpu")).code).toBe(2);
  });

  test("takes any JSON for a GPU without breaking", () => {
    const anything = fc.jsonValue();
    const groups = ["identity", "load", "traffic", "wear", "source"];
    const group = (name: string) =>
      fc.oneof(anything, fc.dictionary(fc.constantFrom("x", ...Object.keys(FULL[name] as Json)), anything));
    const gpu = fc.record(
      {
        ...Object.fromEntries(groups.map((name) => [name, group(name)])),
        reasons: anything,
        models: anything,
        index: anything,
        healthSinceMs: fc.oneof(anything, fc.double()),
      },
      { requiredKeys: [] },
    );
    fc.assert(
      fc.property(gpu, fc.boolean(), (of, color) => {
        const shown = gpuSections(of, SINCE_MS, color);
        // oxlint-disable-next-line no-control-regex
        for (const line of linesOf(shown)) expect(isPrintable(line.replaceAll(/\u001b\[\d+m/g, ""))).toBe(true);
      }),
    );
  });
});

describe("uncordon", () => {
  const XID = { uuid: "GPU-a", index: 1, name: "H100", ended: ["XID 79: gone"], health: "healthy", remaining: [] };
  const HOT = { uuid: "GPU-b", index: 2, ended: [], health: "quarantined", remaining: ["at 93 C", "remap failed"] };
  const clears = (...gpus: Json[]): void =>
    void bed.answers.set("ClearGpu", ({ dryRun = false }) => ({
      node: "n",
      gpus,
      changed: true,
      dryRun: Boolean(dryRun),
    }));

  test("ends a node's quarantines too, and tells what stays", async () => {
    clears(XID, HOT);
    const { code, out } = await run("uncordon", "n", "--allow-unknown");
    expect([code, linesOf(out)]).toEqual([
      1,
      [
        expect.stringMatching(/^node n uncordoned, revision \d+$/),
        "GPU 1 of n (GPU-a) cleared: XID 79: gone",
        "GPU 2 of n (GPU-b) stays quarantined: at 93 C; remap failed",
      ],
    ]);
    expect(bed.bodies("ClearGpu")).toEqual([{ node: "n" }]);
    const dry = await run("uncordon", "n", "--dry-run");
    expect([dry.code, linesOf(dry.out).slice(1)]).toEqual([
      0,
      [
        "GPU 1 of n (GPU-a) would be cleared (dry run): XID 79: gone",
        "GPU 2 of n (GPU-b) would stay quarantined: at 93 C; remap failed",
      ],
    ]);
    expect(bed.bodies("ClearGpu")[1]).toEqual({ node: "n", dryRun: true });
    const json = JSON.parse((await run("uncordon", "n", "-o", "json")).out) as Json;
    expect(json).toMatchObject({ policies: [{ kind: "node", name: "n" }], gpus: [XID, HOT] });
    expect(linesOf((await run("uncordon", "n", "-o", "text")).out).slice(1)).toEqual([
      "gpu/GPU-a\tn\t1\tcleared\thealthy\tXID 79: gone\t-",
      "gpu/GPU-b\tn\t2\tunchanged\tquarantined\t-\tat 93 C; remap failed",
    ]);
  });

  test("with --gpu leaves the node's policy alone", async () => {
    clears(XID);
    expect(await run("uncordon", "n", "--gpu", "1")).toMatchObject({
      code: 0,
      out: "GPU 1 of n (GPU-a) cleared: XID 79: gone\n",
    });
    expect(bed.calls.map(({ method, body }) => [method, body])).toEqual([["ClearGpu", { node: "n", gpu: "1" }]]);
    expect(JSON.parse((await run("uncordon", "n", "--gpu", "all", "-o", "json")).out)).toMatchObject({ gpus: [XID] });
    expect(bed.bodies("ClearGpu")[1]).toEqual({ node: "n" });
    clears();
    expect((await run("uncordon", "n", "--gpu", "all")).out).toBe("each GPU of n is healthy: nothing to clear\n");
    expect((await run("uncordon", "n", "--gpu", "0")).out).toBe("GPU 0 of n is healthy: nothing to clear\n");
    expect((await run("uncordon", "n", "--gpu", "\u001b[2J")).code).toBe(2);
    clears({ ...XID, ended: [], forgotten: true });
    expect((await run("uncordon", "n", "--gpu", "1")).out).toBe(
      "GPU 1 of n (GPU-a) forgotten: it was lost, and is not looked for any more\n",
    );
    bed.answers.set("ClearGpu", () =>
      refusal("not_found", 404, 'there is no GPU "9" at n; there are 0 (x)', { code: "not_found" }),
    );
    const missing = await run("uncordon", "n", "--gpu", "9");
    expect([missing.code, linesOf(missing.err)[1]]).toEqual([
      1,
      "infermesh ctl: `infermesh ctl list-gpus` shows the GPUs",
    ]);
  });

  test("refuses what contradicts itself", async () => {
    expect(await run("uncordon", "n", "m", "--gpu", "1")).toMatchObject({
      code: 2,
      err: "infermesh ctl uncordon: --gpu is of one node; name one\n",
    });
    expect((await run("uncordon", "n", "--gpu", "1", "--if-revision", "3")).err).toContain("leave one of them out");
    // As of a script's variable that is empty.
    for (const nothing of ["", " "]) {
      const { code, err } = await run("uncordon", "n", "--gpu", nothing);
      expect(code).toBe(2);
      expect(err).toContain("expected a GPU's index, its UUID or the beginning of that, or all");
    }
    expect(bed.calls).toEqual([]);
  });

  test("is well where nobody knows of GPUs, and not where the GPUs can't be asked", async () => {
    // The bed's own answer: no such method.
    const old = await run("uncordon", "n", "m");
    expect([old.code, old.err, linesOf(old.out).length]).toEqual([0, "", 2]);
    bed.answers.set("ClearGpu", () => refusal("unavailable", 503, "n does not answer", { code: "upstream_failed" }));
    const failed = await run("uncordon", "n");
    expect([failed.code, failed.err]).toEqual([
      1,
      "infermesh ctl uncordon: the GPUs of n can't be asked: n does not answer; its GPUs' quarantines are as they were; try again\n",
    ]);
  });

  test("without control nodes says how a GPU's quarantine is ended all the same", async () => {
    bed.answers.set("UncordonNode", () =>
      refusal("unavailable", 503, "no control node", { code: "no_quorum", retryable: false }),
    );
    const { code, err } = await run("uncordon", "n", "--timeout", "300ms");
    expect([code, bed.bodies("ClearGpu")]).toEqual([1, []]);
    expect(err).toContain("needs no control nodes to be ended: --gpu all");
  });
});
