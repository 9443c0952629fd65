/**
 * The GPU plane with live processes: agents that read the double of libnvidia-ml in probes of their own, and a router that
 * stops choosing a node whose GPU failed. And a driver that hangs, while the agent goes on.
 */
import { afterAll, afterEach, describe, expect, setDefaultTimeout, test } from "bun:test";
import { mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Double, HAS_COMPILER } from "../gpu/double.ts";
import { json, sourceOf } from "./gpu-source.ts";
import { Bench, nodes, rawChat, type Started, until } from "./harness.ts";
import { commandLine, descendants, isAlive } from "./proc.ts";

setDefaultTimeout(120_000);
const bench = new Bench();
const root = mkdtempSync(join(tmpdir(), "infermesh-gpu-"));
mkdirSync(join(root, "proc/driver/nvidia"), { recursive: true });
writeFileSync(join(root, "proc/driver/nvidia/version"), "NVRM version: a double\n");
afterEach(() => bench.clear());
afterAll(async () => {
  await bench.end();
  rmSync(root, { recursive: true, force: true });
});

const FAST = [
  "--gpu-silent-max",
  "2s",
  "--gpu-restart-pause-min",
  "100ms",
  "--gpu-identity-interval",
  "1s",
  "--gpu-traffic-interval",
  "500ms",
];
/** The scenario's GPUs have some wear; these have none. */
const WELL = ["gpu*.ecc_uncorrected = 0", "gpu*.reasons = 0"];

function agent(id: string, double: Double, seed: string): Promise<Started> {
  const gpu = ["--gpu", "nvml", "--gpu-nvml-library", double.path, "--gpu-root", root, ...FAST];
  return bench.agent(id, null, "--join", seed, "--swim-profile", "local", ...gpu);
}

interface Shown {
  readonly id: string;
  readonly routable: boolean;
  readonly sample: { readonly gpus: readonly Record<string, unknown>[] } | null;
}

async function shown(router: Started, id: string): Promise<Shown | undefined> {
  const node = await json(router, `/nodes/${id}`);
  return node["id"] === id ? (node as unknown as Shown) : undefined;
}

const probesOf = (one: Started) =>
  descendants(one.process.pid).filter((child) => commandLine(child).includes("gpu-probe"));

/** Who answers so many requests. */
async function answerers(router: Started, count: number): Promise<Set<string>> {
  const model = (await nodes(router))[0]?.models[0];
  const messages = [{ role: "user", content: "hi" }];
  const found = new Set<string>();
  for (let at = 0; at < count; at += 1) {
    const body = JSON.stringify({ model, messages, max_tokens: 1 });
    const response = await fetch(`http://${router.address("listen")}/v1/chat/completions`, { method: "POST", body });
    await response.text();
    expect(response.status).toBe(200);
    found.add(response.headers.get("x-infermesh-node") ?? "");
  }
  return found;
}

describe.skipIf(!HAS_COMPILER)("GPUs of a mesh", () => {
  test("that fail take their node out of routing at once, and the other one serves on", async () => {
    const router = await bench.router("--workers", "1", "--swim-profile", "local");
    const seed = String(router.ready["gossip"]);
    const [first, second] = [new Double(), new Double()];
    first.play("h100", ...WELL);
    second.play("h100", ...WELL);
    const [one] = await Promise.all([agent("n1", first, seed), agent("n2", second, seed)]);
    const isKnown = async (id: string) => {
      const node = await shown(router, id);
      return node?.routable === true && node.sample?.gpus.length === 2;
    };
    await until(async () => (await isKnown("n1")) && (await isKnown("n2")), 30_000);
    expect(await sourceOf(one)).toMatchObject({ state: "ok", message: "", stack: { backend: "nvml" } });
    const [gpu] = (await shown(router, "n1"))!.sample!.gpus;
    expect(gpu).toMatchObject({ name: "NVIDIA H100 80GB HBM3", health: "healthy", models: one.ready["models"] });
    await rawChat(router);

    first.play("h100", ...WELL, "xid = 1 1 79");
    await until(async () => (await shown(router, "n1"))?.routable === false, 30_000);
    expect(await answerers(router, 12)).toEqual(new Set(["n2"]));
    const ill = (await shown(router, "n1"))!.sample!.gpus;
    expect(ill.map(({ health }) => health)).toEqual(["healthy", "quarantined"]);
    expect(ill[1]!["healthReason"]).toContain("XID 79");
    expect(Math.abs(Number(ill[1]!["healthSinceMs"]) - Date.now())).toBeLessThan(60_000);
    const health = await json(one, "/health");
    expect(health).toMatchObject({ status: "degraded", ready: false });
    expect(health["reason"]).toContain("XID 79");
    for (const teller of [one, router]) {
      const { events } = (await json(teller, "/events?type=gpu.quarantined")) as { events: Record<string, unknown>[] };
      expect(events).toHaveLength(1);
      expect(events[0]).toMatchObject({ type: "gpu.quarantined", id: ill[1]!["uuid"], labels: { node: "n1" } });
      expect(events[0]!["cause"]).toContain("XID 79");
    }
    expect((await shown(router, "n2"))?.routable).toBe(true);
  });

  test("that only others use may fail: the node serves on", async () => {
    symlinkSync("/proc/net", join(root, "proc/net"));
    // As where numbers of processes are the machine's own: those that the double tells are believed.
    mkdirSync(join(root, "proc/self/ns"), { recursive: true });
    symlinkSync("pid:[4026531836]", join(root, "proc/self/ns/pid"));
    const double = new Double();
    double.play("h100", ...WELL);
    const one = await agent("n5", double, "127.0.0.1:1");
    // The runtime is in the agent's process; the other GPU's process is somebody else's.
    const { pid } = one.process;
    symlinkSync(`/proc/${pid}`, join(root, `proc/${pid}`));
    const own = [`gpu0.process0.pid = ${pid}`, "gpu1.process0.pid = 4242", "gpu1.process1.pid = 4343"];
    double.play("h100", ...WELL, ...own);
    const models = async () => {
      const { gpus } = (await json(one, "/state")) as { gpus: { models?: string[]; health: string }[] };
      return gpus.map((gpu) => gpu.models ?? []);
    };
    const served = one.ready["models"] as string[];
    await until(async () => Bun.deepEquals(await models(), [served, []]), 60_000);
    double.play("h100", ...WELL, ...own, "xid = 1 1 79");
    const isQuarantined = async (index: number) => {
      const { gpus } = (await json(one, "/state")) as { gpus: { health: string }[] };
      return gpus[index]?.health === "GPU_HEALTH_QUARANTINED";
    };
    await until(() => isQuarantined(1), 30_000);
    expect(await json(one, "/health")).toMatchObject({ status: "ok", ready: true });
    double.play("h100", ...WELL, ...own, "xid = 1 1 79", "xid = 2 0 79");
    await until(() => isQuarantined(0), 30_000);
    expect(await json(one, "/health")).toMatchObject({ status: "degraded", ready: false });
  });

  test("whose driver hangs are told as such, while the agent answers; then they are read again", async () => {
    const double = new Double();
    double.play("h100", ...WELL);
    const one = await agent("n3", double, "127.0.0.1:1");
    await until(async () => (await sourceOf(one)).state === "ok", 30_000);
    const [probe] = probesOf(one);
    expect(isAlive(probe!)).toBe(true);
    double.play("h100", ...WELL, "call.*.hang = forever");
    let answers = 0;
    await until(async () => {
      // The agent's own API answers all the while.
      expect((await json(one, "/health"))["uptime_seconds"]).toBeNumber();
      answers += 1;
      return (await sourceOf(one)).state === "unresponsive";
    }, 60_000);
    expect(answers).toBeGreaterThan(5);
    expect((await sourceOf(one)).message).toMatch(/^driver unresponsive since 20\d\d-.*told nothing for 2 s/);
    await until(() => !isAlive(probe!), 30_000);
    const { gpus } = (await json(one, "/state")) as { gpus: Record<string, unknown>[] };
    // What is not known is not shown as what was.
    expect(gpus).toHaveLength(2);
    expect(gpus[0]).not.toHaveProperty("utilization");
    double.play("h100", ...WELL);
    await until(async () => (await sourceOf(one)).state === "ok", 60_000);
    expect(probesOf(one)).toHaveLength(1);
    const [last] = probesOf(one);
    expect(await one.stop()).toBe(0);
    expect(isAlive(last!)).toBe(false);
  });

  test("leave no probe behind when their agent is killed, and a crash of it is told", async () => {
    const double = new Double();
    double.play("h100", ...WELL);
    const one = await agent("n4", double, "127.0.0.1:1");
    await until(async () => (await sourceOf(one)).state === "ok", 30_000);
    double.play("h100", ...WELL, "call.nvmlDeviceGetUtilizationRates.crash = segv");
    await until(async () => (await sourceOf(one)).message.includes("SIGSEGV"), 30_000);
    double.play("h100", ...WELL);
    await until(async () => (await sourceOf(one)).state === "ok", 30_000);
    const probes = probesOf(one);
    expect(probes).toHaveLength(1);
    await one.kill();
    await until(() => probes.every((probe) => !isAlive(probe)));
  });
});
