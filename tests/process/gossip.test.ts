/** The executable's nodes find and watch each other by gossip alone: no registration. */
import { afterAll, expect, test } from "bun:test";
import { expositionFaults } from "../obs/exposition-text.ts";
import { Bench, EXECUTABLE, inFlight, nodes, until } from "./harness.ts";
import type { Started } from "./harness.ts";

const bench = new Bench();
afterAll(() => bench.end());

const FAST = ["--swim-probe-interval", "200ms", "--swim-probe-timeout", "100ms", "--swim-gossip-interval", "40ms"];

function agent(id: string, seed: string, ...args: string[]): Promise<Started> {
  return bench.agent(id, null, "--join", seed, "--mock-speed", "10", ...FAST, ...args);
}

async function meshOf(count: number): Promise<{ router: Started; agents: Started[] }> {
  const router = await bench.router("--workers", "1", "--fleet-poll-interval", "200ms", ...FAST);
  const seed = String(router.ready["gossip"]);
  const agents = await Promise.all(Array.from({ length: count }, (_, i) => agent(`node${i + 1}`, seed)));
  await until(async () => (await nodes(router)).filter(({ state }) => state === "healthy").length === count);
  return { router, agents };
}

function chat(router: Started, model: string): Promise<Response> {
  return fetch(`http://${router.address("listen")}/v1/chat/completions`, {
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
}, 40_000);

test("a node that freezes is lost, and returns by itself when it wakes", async () => {
  const { router, agents } = await meshOf(2);
  agents[1]?.process.kill("SIGSTOP");
  await until(async () => (await nodes(router)).length === 1, 15_000);
  agents[1]?.process.kill("SIGCONT");
  await until(async () => (await nodes(router)).length === 2, 15_000);
}, 40_000);

test("a node that stops in order leaves at once", async () => {
  const { router, agents } = await meshOf(2);
  expect(await agents[0]?.stop()).toBe(0);
  await until(async () => (await nodes(router)).length === 1, 5000);
  expect(router.lines.some(({ msg, member }) => msg === "member left" && member === "node1")).toBe(true);
}, 30_000);

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
}, 30_000);

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
}, 30_000);

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
}, 30_000);
