/** The executable's nodes find and watch each other by gossip alone: no registration. */
import { afterAll, afterEach, expect, test } from "bun:test";
import { expositionFaults } from "../obs/exposition-text.ts";
import { Bench, EXECUTABLE, inFlight, nodes, until } from "./harness.ts";
import type { Started } from "./harness.ts";

const bench = new Bench();
afterEach(() => bench.clear());
afterAll(() => bench.end());

const FAST = ["--swim-probe-interval", "200ms", "--swim-probe-timeout", "100ms", "--swim-gossip-interval", "40ms"];

function agent(id: string, seed: string, ...args: string[]): Promise<Started> {
  return bench.agent(id, null, "--join", seed, "--mock-speed", "10", ...FAST, ...args);
}

async function meshOf(count: number, ...args: readonly string[]): Promise<{ router: Started; agents: Started[] }> {
  const router = await bench.router("--workers", "1", "--fleet-poll-interval", "200ms", ...FAST, ...args);
  const seed = String(router.ready["gossip"]);
  const agents = await Promise.all(Array.from({ length: count }, (_, i) => agent(`node${i + 1}`, seed)));
  await until(async () => (await nodes(router)).filter(({ state }) => state === "healthy").length === count);
  return { router, agents };
}

function chat(router: Started, model: string, signal?: AbortSignal): Promise<Response> {
  return fetch(`http://${router.address("listen")}/v1/chat/completions`, {
    ...(signal === undefined ? {} : { signal }),
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify({ model, messages: [{ role: "user", content: "hi" }], max_tokens: 4 }),
  });
}

test("a router routes to nodes that it knows by gossip, and loses one that is killed without losing a request", async () => {
  const { router, agents } = await meshOf(3);
  const known = await nodes(router);
  expect(new Set(known.map(({ source }) => source))).toEqual(new Set(["gossip"]));
  const model = known[0]?.models[0] ?? "";
  await agents[0]?.kill();
  for (let i = 0; i < 30; i++) expect((await chat(router, model)).status).toBe(200);
  await until(async () => !(await nodes(router)).some(({ id }) => id === "node1"), 15_000);
  expect(await inFlight(router)).toBe(0);
});

test("kill -9 under load: after the first failed connection next to nothing is sent to it, and no request is lost", async () => {
  // By turns: on a busy machine one node may look slower for longer than this waits.
  const { router, agents } = await meshOf(3, "--strategy", "round-robin");
  const model = (await nodes(router))[0]?.models[0] ?? "";
  const outcomes: { status: number; node: string | null }[] = [];
  let done = false;
  const loop = async (): Promise<void> => {
    while (!done) {
      const response = await chat(router, model);
      await response.arrayBuffer();
      outcomes.push({ status: response.status, node: response.headers.get("x-infermesh-node") });
      await Bun.sleep(2);
    }
  };
  const loops = Array.from({ length: 8 }, () => loop());
  await until(() => outcomes.some(({ node }) => node === "node2"));
  await agents[1]?.kill();
  await until(async () => !(await nodes(router)).some(({ id }) => id === "node2"), 15_000);
  const before = outcomes.length;
  await until(() => outcomes.length > before + 50);
  done = true;
  await Promise.all(loops);
  expect(outcomes.filter(({ status }) => status !== 200)).toEqual([]);
  const stats = (await (await fetch(`http://${router.address("api")}/stats`)).json()) as { retriesTotal: number };
  // What was on its way when it died; then one now and then, when its ejection ends before the mesh has it dead.
  expect(stats.retriesTotal).toBeLessThanOrEqual(8 + 24);
});

test("states come by themselves: without polls the router knows a node's load within a second", async () => {
  const router = await bench.router("--workers", "1", "--fleet-poll-interval", "10m", ...FAST);
  const gpu = await agent("gpu", String(router.ready["gossip"]), "--mock-speed", "1");
  type View = {
    streamed: boolean;
    sampledAgoMs: number | null;
    sample: { models: { runningRequests: number; waitingRequests: number }[] };
  };
  const view = async (): Promise<View> =>
    (await (await fetch(`http://${router.address("api")}/nodes/gpu`)).json()) as View;
  await until(async () => (await view()).streamed);
  const model = (await nodes(router))[0]?.models[0] ?? "";
  await fetch(`http://${gpu.address("api")}/mock/faults`, { method: "POST", body: JSON.stringify({ stall: true }) });
  const stop = new AbortController();
  const asked = Array.from({ length: 6 }, () => chat(router, model, stop.signal).catch(() => null));
  await until(async () => (await inFlight(router)) > 0);
  await until(async () => {
    const { sample, sampledAgoMs } = await view();
    const seen = sample.models[0];
    return (seen?.runningRequests ?? 0) + (seen?.waitingRequests ?? 0) === 6 && (sampledAgoMs ?? 1e9) < 3000;
  }, 5000);
  stop.abort();
  await Promise.all(asked);
});

test("routers tell each other what they have in flight, and one that joins routes at once", async () => {
  const one = await bench.router("--workers", "1", "--fleet-poll-interval", "10m", ...FAST);
  const seed = String(one.ready["gossip"]);
  const gpu = await agent("gpu", seed, "--mock-speed", "1");
  await until(async () => (await nodes(one)).length === 1);
  const two = await bench.router("--workers", "1", "--fleet-poll-interval", "10m", "--join", seed, ...FAST);
  await until(async () => (await nodes(two)).length === 1);
  const model = (await nodes(two))[0]?.models[0] ?? "";
  await until(async () => (await chat(two, model)).status === 200);
  await fetch(`http://${gpu.address("api")}/mock/faults`, { method: "POST", body: JSON.stringify({ stall: true }) });
  const stop = new AbortController();
  const asked = Array.from({ length: 5 }, () => chat(one, model, stop.signal).catch(() => null));
  const others = async (router: Started): Promise<number | undefined> =>
    ((await nodes(router))[0] as { othersInFlight?: number } | undefined)?.othersInFlight;
  await until(async () => (await others(two)) === 5);
  expect(await others(one)).toBe(0);
  stop.abort();
  await Promise.all(asked);
  await until(async () => (await others(two)) === 0);
});

test("a gossip port in use ends a role with a clear error", async () => {
  const router = await bench.router("--workers", "1");
  const taken = String(router.ready["gossip"]);
  for (const role of ["agent", "router"]) {
    const ports = ["--api", "127.0.0.1:0", "--metrics", "127.0.0.1:0", "--gossip", taken];
    const more =
      role === "agent"
        ? ["--mock", "--serve", "127.0.0.1:0", "--data-dir", bench.dataDir]
        : ["--listen", "127.0.0.1:0"];
    const child = Bun.spawn([EXECUTABLE, role, ...ports, ...more], { stdout: "ignore", stderr: "pipe" });
    expect(await child.exited).toBe(2);
    expect(await new Response(child.stderr).text()).toContain("the port is in use; choose another address");
  }
});

test("a node that freezes is lost, and returns by itself when it wakes", async () => {
  const { router, agents } = await meshOf(2);
  agents[1]?.process.kill("SIGSTOP");
  await until(async () => (await nodes(router)).length === 1, 15_000);
  agents[1]?.process.kill("SIGCONT");
  await until(async () => (await nodes(router)).length === 2, 15_000);
});

test("a node that stops in order leaves at once", async () => {
  const { router, agents } = await meshOf(2);
  expect(await agents[0]?.stop()).toBe(0);
  await until(async () => (await nodes(router)).length === 1, 5000);
  expect(router.lines.some(({ msg, member }) => msg === "member left" && member === "node1")).toBe(true);
});

test("ctl members shows the mesh, from a router and from an agent alike", async () => {
  const { router, agents } = await meshOf(2);
  for (const one of [router, agents[0] as Started]) {
    const child = Bun.spawn([EXECUTABLE, "ctl", "members", "--endpoint", `http://${one.address("api")}`]);
    const text = await new Response(child.stdout).text();
    expect(await child.exited).toBe(0);
    expect(text).toMatch(/^ID +STATUS +ROLE/);
    expect(text).toMatch(/node1 +alive +agent/);
    expect(text).toMatch(/alive +router/);
  }
});

test("GET /telemetry tells of the mesh in Prometheus' text format, from a router and from an agent alike", async () => {
  const { router, agents } = await meshOf(2);
  for (const one of [router, agents[0] as Started]) {
    const scrape = () => fetch(`http://${one.address("metrics")}/telemetry`).then((response) => response.text());
    await until(async () => /members\{status="alive"\} 3[^]*\ninfermesh_mesh_rtt_median_seconds /.test(await scrape()));
    const text = await scrape();
    expect(expositionFaults(text)).toEqual([]);
    expect(text).toContain('infermesh_mesh_members{status="alive"} 3\n');
    expect(text).toMatch(/^infermesh_mesh_events_total\{kind="joined"\} 2$/m);
    expect(text).toMatch(/^infermesh_gossip_received_packets_total [1-9]/m);
    expect(text).toContain('infermesh_gossip_dropped_total{reason="forged"} 0\n');
  }
});

test("two keys, two meshes", async () => {
  const key = Buffer.alloc(32, 1).toString("base64");
  const other = Buffer.alloc(32, 2).toString("base64");
  const router = await bench.router("--workers", "1", "--gossip-key", key, ...FAST);
  const seed = String(router.ready["gossip"]);
  await agent("friend", seed, "--gossip-key", key);
  const stranger = await agent("stranger", seed, "--gossip-key", other);
  await until(async () => (await nodes(router)).length === 1);
  await until(() => stranger.lines.some(({ msg }) => String(msg).includes("no member of the mesh answers")));
  expect((await nodes(router)).map(({ id }) => id)).toEqual(["friend"]);
});
