/** A compiled router that finds its runtimes in Kubernetes, as an API server on loopback tells of them. */
import { afterAll, beforeAll, expect, test } from "bun:test";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import type { KubeServer } from "../kube/kube-server.ts";
import { podOf, sliceOf } from "../kube/model-api.ts";
import { Transfers, vllmDecode, vllmPrefill } from "../proxy/pair-servers.ts";
import { Bench, nodes, ownEnvironment, type Started, until } from "./harness.ts";
import { ask, ids, KubeBed, logged, metric } from "./kube-bed.ts";

const bench = new Bench();
const bed = new KubeBed(bench);

let server: KubeServer;
let one: Started;
let first: ReturnType<KubeBed["vllm"]>;
let second: ReturnType<KubeBed["vllm"]>;

beforeAll(async () => {
  server = await bed.kubernetes();
  [first, second] = [bed.vllm("llama"), bed.vllm("llama")];
  server.put(
    "endpointslices",
    sliceOf("vllm-1", [{ pod: "vllm-a", address: "127.0.0.1", zone: "eu-1a" }], { port: first.port }),
  );
  // By turns, whichever of them is nearer: who may serve is what is asked here.
  one = await bed.router(server, "--strategy", "round-robin", "--discover", "k8s://default?selector=app=vllm");
});

afterAll(() => bed.end());

test("a pod that is there is a target, with the models that it tells of, its zone and its machine", async () => {
  await until(async () => (await ask(one, "llama")).status === 200);
  expect(await ask(one, "llama")).toEqual({ status: 200, node: "vllm-a.default" });
  await until(async () => (await nodes(one))[0]?.state === "healthy");
  const [node] = (await nodes(one)) as unknown as Record<string, unknown>[];
  expect(node).toMatchObject({
    id: "vllm-a.default",
    source: "k8s",
    address: `127.0.0.1:${first.port}`,
    models: ["llama"],
    zone: "eu-1a",
    labels: { "k8s.namespace": "default", "k8s.pod": "vllm-a", "k8s.node": "machine-1", "k8s.service": "vllm" },
  });
  // Its figures are its own: there is no agent.
  expect(node?.["sample"]).toMatchObject({
    ready: true,
    runtimes: [{ kind: "vllm", version: "0.11.0", state: "ready" }],
  });
});

test("pods come, drain and go; those that drain get no new requests", async () => {
  const slice = (terminating: boolean) =>
    sliceOf("vllm-2", [{ pod: "vllm-b", address: "127.0.0.1", ready: !terminating, serving: true, terminating }], {
      port: second.port,
    });
  server.put("endpointslices", slice(false));
  await until(async () => {
    const asked = await Promise.all(Array.from({ length: 8 }, () => ask(one, "llama")));
    return new Set(asked.map(({ node }) => node)).size === 2;
  });
  server.put("endpointslices", slice(true));
  await until(async () => (await nodes(one)).find(({ id }) => id === "vllm-b.default")?.state === "draining");
  for (let count = 0; count < 10; count += 1) expect((await ask(one, "llama")).node).toBe("vllm-a.default");
  const drained = (await nodes(one)).find(({ id }) => id === "vllm-b.default") as unknown as Record<string, unknown>;
  expect(drained["routable"]).toBe(false);
  expect(drained["sample"]).toMatchObject({ runtimes: [{ name: "vllm", message: "Kubernetes has its pod end" }] });
  server.delete("endpointslices", "default", "vllm-2");
  await until(async () => (await ids(one)).length === 1);
  expect(logged(one, "it is no longer in Kubernetes")).toMatchObject({ target: "vllm-b.default" });
});

test("a watch that breaks within a line, ends, or is of a forgotten version, goes on", async () => {
  const put = (): void =>
    server.put("endpointslices", sliceOf("vllm-2", [{ pod: "vllm-b", address: "127.0.0.1" }], { port: second.port }));
  server.cutWithinLine();
  put();
  await until(async () => (await ids(one)).length === 2);
  await until(() => server.watching === 1);
  server.endWatches();
  server.delete("endpointslices", "default", "vllm-2");
  await until(async () => (await ids(one)).length === 1);
  await until(() => server.watching === 1);
  await server.close();
  put();
  server.compact();
  await server.open();
  await until(async () => (await ids(one)).length === 2);
  server.delete("endpointslices", "default", "vllm-2");
  await until(async () => (await ids(one)).length === 1);
});

test("while the API server is away what was found stays and serves, and that it is away is told", async () => {
  await server.close();
  await until(async () => (await metric(one, "infermesh_discovery_watched")) === 0);
  expect(await ask(one, "llama")).toEqual({ status: 200, node: "vllm-a.default" });
  await until(() => logged(one, "connection refused") !== undefined);
  expect(logged(one, "connection refused")).toMatchObject({ level: "warn", source: "k8s://default?selector=app=vllm" });
  await server.open();
  await until(async () => (await metric(one, "infermesh_discovery_watched")) === 1);
});

test("a token that is renewed is used with the next request", async () => {
  server.token = "second-token";
  server.mountToken();
  server.endWatches();
  await until(() => server.watching === 1 && server.requests.at(-1)?.token === "Bearer second-token");
  // And one that is too old by then is told of, until the new one is there.
  server.token = "third-token";
  server.endWatches();
  await until(() => logged(one, "does not know who asks") !== undefined);
  server.mountToken();
  await until(async () => (await metric(one, "infermesh_discovery_watched")) === 1, 20_000);
  expect((await ask(one, "llama")).status).toBe(200);
});

test("what may not be listed is told of, with the rights that are missing", async () => {
  const closed = await bed.kubernetes();
  const message = 'pods is forbidden: User "system:serviceaccount:mesh:router" cannot list resource "pods"';
  closed.faults.set("pods list", { status: 403, message });
  const started = await bed.router(closed, "--discover", "k8s://mesh?pods=app=vllm");
  await until(() => logged(started, "does not tell what there is") !== undefined);
  expect(logged(started, "does not tell what there is")).toMatchObject({
    level: "warn",
    error: message,
    hint: 'allow the service account to list and watch pods (apiGroups: [""]) in the namespace mesh, by a Role (docs/kubernetes.md)',
  });
  const mock = bed.vllm("qwen");
  closed.put("pods", podOf("qwen-0", "127.0.0.1", { namespace: "mesh", port: mock.port }));
  closed.faults.clear();
  await until(async () => (await ask(started, "qwen")).node === "qwen-0.mesh", 20_000);
  const events = (await (await fetch(`http://${started.address("api")}/events`)).json()) as {
    events: { type: string }[];
  };
  const types = events.events.map(({ type }) => type);
  expect(types).toContain("routing.discovery-failed");
  expect(types).toContain("routing.discovery-synced");
  expect(await started.stop()).toBe(0);
});

test("a kubeconfig file, several sources, and pages", async () => {
  const cluster = await bed.kubernetes();
  cluster.pageMax = 2;
  const mock = bed.vllm("phi");
  ["a", "b", "c", "d"].forEach((name, index) => {
    cluster.put("pods", podOf(name, `127.0.0.${index + 9}`, { ready: false, port: 9 }));
  });
  cluster.put("pods", podOf("z", "127.0.0.1", { port: mock.port }));
  cluster.put("endpointslices", sliceOf("s", [{ pod: "z", address: "127.0.0.1" }], { port: mock.port }));
  const file = join(bench.dataDir, "kubeconfig");
  const cert = Buffer.from(cluster.ca).toString("base64");
  writeFileSync(
    file,
    `current-context: here
contexts: [{ name: here, context: { cluster: c, user: u } }]
clusters: [{ name: c, cluster: { server: "https://127.0.0.1:${cluster.port}", certificate-authority-data: ${cert} } }]
users: [{ name: u, user: { token: first-token } }]
`,
  );
  const sources = ["--discover", "k8s://*?pods=app=vllm", "--discover", "k8s://default?service=vllm"];
  const started = await bench.router("--workers", "1", ...sources, "--discover-kubeconfig", file);
  await until(async () => (await ids(started)).length === 5);
  await until(async () => (await ask(started, "phi")).status === 200);
  expect((await nodes(started)).filter(({ state }) => state === "healthy").map(({ id }) => id)).toEqual(["z.default"]);
  expect(cluster.requests.filter(({ path }) => path.includes("continue=")).length).toBe(2);
  expect(await started.stop()).toBe(0);
});

test("pods for prompts and pods for what follows have their roles by what they were found", async () => {
  const cluster = await bed.kubernetes();
  const transfers = new Transfers();
  const [prefill, decode] = [vllmPrefill(transfers, "e1"), vllmDecode(transfers)];
  const put = (name: string, port: number): void =>
    cluster.put("pods", podOf(name, "127.0.0.1", { port, labels: { app: "vllm", "llm-d.ai/role": name } }));
  put("prefill", prefill.port);
  put("decode", decode.port);
  const sources = ["prefill", "decode"].flatMap((role) => [
    "--discover",
    `k8s://default?pods=app=vllm,llm-d.ai/role=${role}&role=vllm.${role}`,
  ]);
  const started = await bed.router(cluster, ...sources);
  await until(async () => (await ask(started, "m")).status === 200);
  expect(await ask(started, "m")).toEqual({ status: 200, node: "decode.default" });
  expect(prefill.seen.every(({ body }) => body["max_tokens"] === 1)).toBe(true);
  // Nobody was to do all of it.
  expect(decode.seen.every(({ body }) => body["kv_transfer_params"] !== undefined)).toBe(true);
  expect(await started.stop()).toBe(0);
  for (const half of [prefill, decode]) half.stop();
});

test("outside of Kubernetes it is said what is missing, and nothing starts", async () => {
  const started = bench.launch(["router", "--discover", "k8s://default?selector=app=vllm"], {
    env: { ...ownEnvironment(), XDG_STATE_HOME: bench.dataDir, KUBERNETES_SERVICE_HOST: undefined },
  });
  expect(started).rejects.toThrow("name a kubeconfig file by --discover-kubeconfig");
  const wrong = bench.launch(["router", "--discover", "k8s://default?selektor=app=vllm"]);
  expect(wrong).rejects.toThrow("did you mean selector?");
});
