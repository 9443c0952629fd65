/**
 * An agent that reads the double of libnvidia-ml and serves dcgm-exporter's metrics, and another one that takes it for a
 * dcgm-exporter: what one knows the other one reads, in metrics and in GET /gpus, and an error passes from one to the other.
 */
import { afterAll, describe, expect, setDefaultTimeout, test } from "bun:test";
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Double, HAS_COMPILER } from "../gpu/double.ts";
import { expositionFaults } from "../obs/exposition-text.ts";
import { Bench, type Started, until } from "./harness.ts";

setDefaultTimeout(120_000);
const bench = new Bench();
const root = mkdtempSync(join(tmpdir(), "infermesh-gpu-metrics-"));
mkdirSync(join(root, "proc/driver/nvidia"), { recursive: true });
writeFileSync(join(root, "proc/driver/nvidia/version"), "NVRM version: a double\n");
afterAll(async () => {
  await bench.end();
  rmSync(root, { recursive: true, force: true });
});

interface Gpu {
  readonly uuid: string;
  readonly index: number;
  readonly name: string;
  readonly health: string;
  readonly reasons: readonly { readonly rule: string; readonly text: string }[];
  readonly isFresh: boolean;
  readonly models: readonly string[];
  readonly source: { readonly state: string; readonly stack?: { readonly backend: string } };
  readonly identity: Readonly<Record<string, unknown>>;
  readonly load: Readonly<Record<string, number>>;
}

async function get(one: Started, path: string, accept = "application/json"): Promise<Response> {
  const url = `http://${one.address("metrics")}${path}`;
  return fetch(url, { headers: { accept }, signal: AbortSignal.timeout(10_000) });
}

const gpusOf = async (one: Started): Promise<Gpu[]> =>
  ((await (await get(one, "/gpus")).json()) as { gpus: Gpu[] }).gpus;

/** Of the lines of one metric: labels and value. */
function linesOf(text: string, metric: string): string[] {
  return text.split("\n").filter((line) => line.startsWith(`${metric}{`));
}

describe.skipIf(!HAS_COMPILER)("GPUs in metrics", () => {
  test("pass from one agent to the next by dcgm-exporter's names", async () => {
    const double = new Double();
    const well = ["gpu*.ecc_uncorrected = 0", "gpu*.reasons = 0"];
    double.play("h100", ...well);
    const nvml = ["--gpu", "nvml", "--gpu-nvml-library", double.path, "--gpu-root", root, "--dcgm-compat"];
    const first = await bench.agent("first", null, "--join", "127.0.0.1:1", ...nvml);
    await until(async () => (await gpusOf(first)).length === 2, 30_000);
    const url = `http://127.0.0.1:${first.address("metrics").split(":").at(-1)}/metrics`;
    const second = await bench.agent("second", null, "--join", "127.0.0.1:1", "--gpu", `dcgm=${url}`);
    await until(async () => (await gpusOf(second)).length === 2, 30_000);

    const [source] = await gpusOf(first);
    const [copy] = await gpusOf(second);
    expect(copy).toMatchObject({
      uuid: source!.uuid,
      index: 0,
      name: source!.name,
      isFresh: true,
      health: "healthy",
      models: second.ready["models"],
      source: { state: "ok", stack: { backend: "dcgm", source: url } },
    });
    expect(copy!.identity["pciAddress"]).toBe(source!.identity["pciAddress"]);
    expect(copy!.load["memoryUsedBytes"]).toBeGreaterThan(0);
    expect((await get(first, `/gpus/${source!.uuid}`)).status).toBe(200);
    expect((await get(first, "/gpus/GPU-of-nobody")).status).toBe(404);

    const own = await (await get(first, "/metrics", "text/plain")).text();
    const others = await (await get(second, "/metrics", "text/plain")).text();
    expect([expositionFaults(own), expositionFaults(others)]).toEqual([[], []]);
    expect(linesOf(own, "infermesh_gpu_info")).toHaveLength(2);
    expect(linesOf(own, "DCGM_FI_DEV_GPU_TEMP")).toHaveLength(2);
    expect(linesOf(others, "infermesh_gpu_temperature_celsius")).toHaveLength(2);
    // It is served where it is asked for alone.
    expect(others).not.toContain("DCGM_FI_");
    expect(others).toContain('infermesh_gpu_source_state{node="second",source="dcgm",state="ok"} 1\n');

    double.play("h100", ...well, "xid = 1 1 79");
    await until(async () => (await gpusOf(second))[1]?.health === "quarantined", 30_000);
    const [, ill] = await gpusOf(second);
    expect(ill!.reasons.map(({ rule }) => rule)).toContain("xid");
    expect(ill!.reasons[0]!.text).toContain("XID 79");
    for (const [node, one] of [
      ["first", first],
      ["second", second],
    ] as const) {
      const counted = linesOf(await (await get(one, "/telemetry")).text(), "infermesh_gpu_xid_errors_total");
      expect(counted).toEqual([
        expect.stringContaining(`node="${node}",gpu_uuid="${ill!.uuid}",index="1",mig_profile=""`),
      ]);
      expect(counted[0]).toEndWith(',xid="79"} 1');
    }
  });
});
