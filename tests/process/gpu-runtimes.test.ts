/**
 * One node with two runtimes on a GPU each, which serve a model of the same name: an XID on the GPU of one takes that one out
 * of routing and leaves the other, and `ctl uncordon --gpu` brings it back. The GPUs are the double of libnvidia-ml, the
 * runtimes processes of their own.
 */
import { afterAll, beforeAll, describe, expect, setDefaultTimeout, test } from "bun:test";
import { mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Subprocess } from "bun";
import { Double, HAS_COMPILER } from "../gpu/double.ts";
import { type Started, until } from "./harness.ts";
import { RuntimeMesh } from "./runtime-mesh.ts";

setDefaultTimeout(120_000);
const PATIENCE_MS = 30_000;
const WELL = ["gpu*.ecc_uncorrected = 0", "gpu*.reasons = 0"];
const FAST = ["--gpu-identity-interval", "1s", "--gpu-traffic-interval", "500ms"];
const root = mkdtempSync(join(tmpdir(), "infermesh-gpu-runtimes-"));
const peers: Subprocess<"pipe", "pipe", "inherit">[] = [];
let mesh: RuntimeMesh;
let agent: Started;
let double: Double;
/** Of the scenario, which process is on which GPU. */
let own: string[];

/** A runtime that can be seen in the folder in which the agent looks for processes. */
async function peer(model: string): Promise<{ pid: number; port: number }> {
  const command = [process.execPath, join(import.meta.dir, "vllm-peer.ts"), model];
  const child = Bun.spawn(command, { stdin: "pipe", stdout: "pipe", stderr: "inherit" });
  peers.push(child);
  const { value } = await child.stdout.getReader().read();
  symlinkSync(`/proc/${child.pid}`, join(root, `proc/${child.pid}`));
  return { pid: child.pid, port: Number(new TextDecoder().decode(value)) };
}

beforeAll(async () => {
  if (!HAS_COMPILER) return;
  mkdirSync(join(root, "proc/driver/nvidia"), { recursive: true });
  writeFileSync(join(root, "proc/driver/nvidia/version"), "NVRM version: a double\n");
  symlinkSync("/proc/net", join(root, "proc/net"));
  // As where numbers of processes are the machine's own: those that the double tells are believed.
  mkdirSync(join(root, "proc/self/ns"), { recursive: true });
  symlinkSync("pid:[4026531836]", join(root, "proc/self/ns/pid"));
  const [one, two] = [await peer("llama"), await peer("llama")];
  own = [`gpu0.process0.pid = ${one.pid}`, `gpu1.process0.pid = ${two.pid}`];
  double = new Double();
  double.play("h100", ...WELL, ...own);
  mesh = await RuntimeMesh.start();
  const runtimes = [`one:vllm=http://127.0.0.1:${one.port}`, `two:vllm=http://127.0.0.1:${two.port}`];
  const gpu = ["--gpu", "nvml", "--gpu-nvml-library", double.path, "--gpu-root", root, ...FAST];
  agent = await mesh.agent("g1", runtimes, ...gpu);
});

afterAll(async () => {
  for (const one of peers) one.kill("SIGKILL");
  await mesh?.end();
  rmSync(root, { recursive: true, force: true });
});

interface Gpu {
  readonly health: string;
  readonly models: readonly string[];
  readonly runtimes?: readonly string[];
}

/** As the router has it of one of the node's targets. */
async function seen(id: string) {
  const found = (await mesh.targets("g1")).find((target) => target.id === id);
  const sample = found?.sample as unknown as { ready: boolean; gpus: readonly Gpu[] } | undefined;
  return { isRoutable: found?.routable, runtime: found?.sample?.runtimes[0], gpus: sample?.gpus ?? [] };
}

const routable = async (): Promise<string[]> =>
  (await mesh.targets("g1")).filter((target) => target.routable).map(({ id }) => id);

/** Who answers so many requests that come at once; each must be answered. */
async function answerers(count: number): Promise<string[]> {
  const asked = Array.from({ length: count }, async (_, at) => {
    const response = await fetch(`http://${mesh.router.address("listen")}/v1/chat/completions`, {
      method: "POST",
      body: JSON.stringify({ model: "llama", max_tokens: 8, messages: [{ role: "user", content: `hello ${at}` }] }),
    });
    await response.text();
    expect(response.status).toBe(200);
    return response.headers.get("x-infermesh-node") ?? "";
  });
  return [...new Set(await Promise.all(asked))].sort();
}

describe.skipIf(!HAS_COMPILER)("two runtimes on a GPU each", () => {
  test("are tied to their own", async () => {
    await until(async () => (await routable()).length === 2, PATIENCE_MS);
    const ties = async () => (await seen("g1/one")).gpus.map(({ runtimes }) => runtimes);
    await until(async () => Bun.deepEquals(await ties(), [["one"], ["two"]]), PATIENCE_MS);
    const { gpus } = (await (await fetch(`http://${agent.address("api")}/gpus`)).json()) as { gpus: Gpu[] };
    expect(gpus).toMatchObject([
      { runtimes: ["one"], models: ["llama"] },
      { runtimes: ["two"], models: ["llama"] },
    ]);
  });

  test("go alone when their GPU fails, and come back by hand", async () => {
    double.play("h100", ...WELL, ...own, "xid = 1 1 79");
    await until(async () => Bun.deepEquals(await routable(), ["g1/one"]), PATIENCE_MS);
    expect(await answerers(32)).toEqual(["g1/one"]);
    const two = await seen("g1/two");
    expect(two.gpus.map(({ health }) => health)).toEqual(["healthy", "quarantined"]);
    expect(two.runtime).toMatchObject({ name: "two", ready: false, state: "ready" });
    expect(two.runtime?.message).toMatch(/^GPU 1 \(GPU-.*\) is quarantined: XID 79/);
    expect((await seen("g1/one")).runtime).toMatchObject({ name: "one", ready: true, message: "" });
    const health = await (await fetch(`http://${agent.address("api")}/health`)).json();
    expect(health).toMatchObject({ status: "ok", ready: true });
    const shown = await mesh.ctl(["describe-node", "g1"]);
    expect(shown.out).toContain("is quarantined: XID 79");
    // The fault is over; what it did to the GPU is for people to say.
    double.play("h100", ...WELL, ...own);
    const cleared = await mesh.ctl(["uncordon", "g1", "--gpu", "1"]);
    expect(cleared).toMatchObject({ code: 0 });
    await until(async () => (await routable()).length === 2, PATIENCE_MS);
    expect((await seen("g1/two")).runtime).toMatchObject({ ready: true, message: "" });
    await until(async () => (await answerers(32)).length === 2, PATIENCE_MS);
  });

  test("go both when both GPUs fail: then the node is not ready", async () => {
    double.play("h100", ...WELL, ...own, "xid = 2 0 79", "xid = 3 1 79");
    await until(async () => (await routable()).length === 0, PATIENCE_MS);
    const health = (await (await fetch(`http://${agent.address("api")}/health`)).json()) as Record<string, unknown>;
    expect(health).toMatchObject({ status: "degraded", ready: false });
    expect(health["reason"]).toMatch(/^GPU 0 .*XID 79/);
    double.play("h100", ...WELL, ...own);
    expect(await mesh.ctl(["uncordon", "g1", "--gpu", "0"])).toMatchObject({ code: 0 });
    await until(async () => Bun.deepEquals(await routable(), ["g1/one"]), PATIENCE_MS);
  });
});
