/** A compiled router with runtimes of Kubernetes, while the router, its configuration and who knows the pods change. */
import { afterAll, expect, test } from "bun:test";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { podOf, sliceOf } from "../kube/model-api.ts";
import { Bench, nodes, until } from "./harness.ts";
import { ask, ids, KubeBed, logged } from "./kube-bed.ts";

const bench = new Bench();
const bed = new KubeBed(bench);
const successors: number[] = [];

// Each has a cluster and a router of its own, and waits for them most of the time.

afterAll(async () => {
  for (const pid of successors) if (isAlive(pid)) process.kill(pid, "SIGKILL");
  await bed.end();
});

function isAlive(pid: number): boolean {
  try {
    return process.kill(pid, 0);
  } catch {
    return false;
  }
}

test.concurrent("an upgrade hands on what was found, also while the API server is away", async () => {
  const server = await bed.kubernetes();
  const mock = bed.vllm("llama");
  server.put("endpointslices", sliceOf("s", [{ pod: "a", address: "127.0.0.1" }], { port: mock.port }));
  const router = await bed.router(server, "--discover", "k8s://default?selector=app=vllm");
  // Whoever is ready knows what there is, and what it serves.
  expect(await ask(router, "llama")).toEqual({ status: 200, node: "a.default" });
  await server.close();
  const url = `http://${router.address("api")}/upgrade`;
  const response = await fetch(url, { method: "POST", body: "{}", keepalive: false });
  const { pid = 0 } = (await response.json()) as { pid?: number };
  successors.push(pid);
  expect(response.status).toBe(200);
  expect(await ask(router, "llama")).toEqual({ status: 200, node: "a.default" });
  await until(() => !isAlive(router.process.pid), 20_000);
  expect(await ids(router)).toEqual(["a.default"]);
  server.put("endpointslices", sliceOf("t", [{ pod: "b", address: "127.0.0.1" }], { port: bed.vllm("qwen").port }));
  await server.open();
  await until(async () => (await ask(router, "qwen")).node === "b.default", 40_000);
  expect(await ask(router, "llama")).toEqual({ status: 200, node: "a.default" });
  process.kill(pid, "SIGTERM");
  await until(() => !isAlive(pid), 20_000);
});

test.concurrent("sources come and go with the configuration", async () => {
  const server = await bed.kubernetes();
  const [llama, qwen] = [bed.vllm("llama"), bed.vllm("qwen")];
  server.put("pods", podOf("llama-0", "127.0.0.1", { port: llama.port, labels: { app: "llama" } }));
  server.put("pods", podOf("qwen-0", "127.0.0.1", { port: qwen.port, labels: { app: "qwen" } }));
  const file = join(bench.dataDir, "router.yaml");
  const write = (...apps: string[]): void =>
    writeFileSync(
      file,
      `discover: { sources: [${apps.map((app) => `"k8s://default?pods=app=${app}"`).join(", ")}] }\n`,
    );
  write("llama");
  const router = await bed.router(server, "--config", file);
  expect(await ids(router)).toEqual(["llama-0.default"]);
  write("llama", "qwen");
  await until(async () => (await ask(router, "qwen")).status === 200);
  const asked = server.requests.filter(({ path }) => path.includes("llama")).length;
  write("qwen");
  await until(async () => (await ids(router)).join() === "qwen-0.default");
  expect(server.requests.filter(({ path }) => path.includes("llama")).length).toBe(asked);
  await until(async () => (await ask(router, "llama")).status !== 200);
  await until(() => server.watching === 1);
  expect(await router.stop()).toBe(0);
});

test.concurrent("a pod that has an agent is the agent's for as long", async () => {
  const server = await bed.kubernetes();
  const mock = bed.vllm("llama");
  server.put("pods", podOf("a", "127.0.0.1", { port: mock.port }));
  const router = await bed.router(server, "--discover", "k8s://default?pods=app=vllm");
  expect(await ids(router)).toEqual(["a.default"]);
  const ports = ["--api", "--metrics", "--gossip"].flatMap((name) => [name, "127.0.0.1:0"]);
  const own = ["--id", "gpu-1", "--data-dir", bench.dataDir, "--register", "none"];
  const told = ["--runtime", `vllm=http://127.0.0.1:${mock.port}`, "--join", String(router.ready["gossip"])];
  const agent = await bench.start("agent", ...own, ...ports, ...told);
  await until(async () => (await ids(router)).join() === "gpu-1");
  await until(async () => (await ask(router, "llama")).node === "gpu-1");
  expect(logged(router, "somebody announces itself at its place")).toMatchObject({ target: "a.default" });
  expect(await agent.stop()).toBe(0);
  await until(async () => (await ask(router, "llama")).node === "a.default");
  expect(await ids(router)).toEqual(["a.default"]);
  expect(await router.stop()).toBe(0);
});

test.concurrent("several ports of a pod are endpoints of one node; a pod that dies gets nothing at once", async () => {
  const server = await bed.kubernetes();
  const [one, other] = [bed.vllm("llama"), bed.vllm("llama")];
  const source = `k8s://default?pods=app=vllm&port=${one.port},${other.port}&runtime=vllm`;
  server.put("pods", podOf("dp", "127.0.0.1"));
  const router = await bed.router(server, "--strategy", "round-robin", "--discover", source);
  const expected = [`dp.default/${one.port}`, `dp.default/${other.port}`].toSorted();
  expect(await ids(router)).toEqual(expected);
  expect(new Set((await nodes(router)).map((target) => (target as unknown as { node: string }).node))).toEqual(
    new Set(["dp.default"]),
  );
  const seen = new Set<string | null>();
  await until(async () => seen.add((await ask(router, "llama")).node).size === 2);
  await other.stop();
  // Kubernetes has it as ready still.
  await until(
    async () =>
      ((await nodes(router)) as unknown as { routable: boolean }[]).filter(({ routable }) => routable).length === 1,
  );
  for (let count = 0; count < 10; count += 1) expect((await ask(router, "llama")).node).toBe(`dp.default/${one.port}`);
  expect(await router.stop()).toBe(0);
});

test.concurrent("a router starts while the API server is away, and a server that is not asked serves what is said of it", async () => {
  const server = await bed.kubernetes();
  const mock = bed.vllm("llama");
  server.put("pods", podOf("a", "127.0.0.1", { port: mock.port }));
  await server.close();
  const router = await bed.router(server, "--discover", "k8s://default?pods=app=vllm&runtime=none&model=llama,alias");
  expect(await ids(router)).toEqual([]);
  await server.open();
  await until(async () => (await ids(router)).length === 1, 20_000);
  await until(async () => (await ask(router, "llama")).node === "a.default");
  const [node] = await nodes(router);
  expect(node?.models).toEqual(["llama", "alias"]);
  expect(node?.sample).toBe(null);
  const stats = (await (await fetch(`http://${router.address("api")}/stats`)).json()) as { discovery: object[] };
  expect(stats.discovery).toMatchObject([{ isHeard: true, failure: "", objects: 1, targets: { ready: 1 } }]);
  expect(await router.stop()).toBe(0);
});
