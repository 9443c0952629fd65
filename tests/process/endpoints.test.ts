/** A node with several runtimes and endpoints behind the compiled router: one target each, and only the lost one goes. */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { encodeNodeState } from "../../src/mesh/node-state.ts";
import { NodeState } from "../../src/gen/state.js";
import type { NodeRuntime } from "../../src/score/sample.ts";
import { modelSample, nodeRuntime, nodeSample } from "../fleet/samples.ts";
import { Bench, EXECUTABLE, nodes, type Started, until } from "./harness.ts";

/** More than the slots that a router assumes of a target which does not tell its own. */
const ASKED_MAX = 300;
const bench = new Bench();
const servers: { stop(force?: boolean): unknown }[] = [];
const asked = { vllm: 0, triton: 0, grpc: 0 };
/** What answers wait for; undefined for nothing. */
let held: Promise<void> | undefined;
let router: Started;
/** What the node says of its runtimes. */
let runtimes: NodeRuntime[] = [];
let tritonHttp: ReturnType<typeof serve>;

function serve(name: "vllm" | "triton") {
  const server = Bun.serve({
    hostname: "127.0.0.1",
    port: 0,
    async fetch(request) {
      if (request.method !== "POST") return new Response("ok");
      asked[name] += 1;
      await held;
      return Response.json({ from: name });
    },
  });
  servers.push(server);
  return server;
}

/** The agent's vitals port. */
function vitals() {
  const identity = { id: "gpu-1", incarnation: 1, role: "", zone: "", labels: {} };
  const addresses = { serve: "", api: "", metrics: "", gossip: "" };
  const server = Bun.serve({
    hostname: "127.0.0.1",
    port: 0,
    fetch() {
      const models = [
        modelSample({ model: "llama", runtime: "vllm" }),
        modelSample({ model: "shared", runtime: "vllm" }),
        modelSample({ model: "bert", runtime: "triton" }),
        modelSample({ model: "shared", runtime: "triton" }),
      ];
      const state = encodeNodeState(nodeSample({ runtimes, models }), { ...identity, addresses }, Date.now());
      const bytes = NodeState.encode(state).finish();
      return new Response(Buffer.from(bytes), { headers: { "content-type": "application/x-protobuf" } });
    },
  });
  servers.push(server);
  return server;
}

beforeAll(async () => {
  const vllm = serve("vllm");
  tritonHttp = serve("triton");
  // Whoever speaks HTTP/1.1 to it is wrong there.
  const grpc = Bun.listen({
    hostname: "127.0.0.1",
    port: 0,
    socket: {
      data(socket, bytes) {
        if (bytes.toString("latin1").startsWith("POST ")) asked.grpc += 1;
        socket.end();
      },
    },
  });
  servers.push(grpc);
  const place = (name: string, port: number, protocol: "http" | "grpc" = "http") =>
    ({ name, host: "", port, protocol, tls: false }) as const;
  runtimes = [
    nodeRuntime({ endpoints: [place("vllm", vllm.port ?? 0)] }),
    nodeRuntime({
      name: "triton",
      kind: "triton",
      endpoints: [place("triton-http", tritonHttp.port ?? 0), place("triton-grpc", grpc.port, "grpc")],
    }),
  ];
  router = await bench.router("--workers", "1", "--fleet-poll-interval", "100ms", "--fleet-unhealthy-after", "3");
  const metrics_port = vitals().port;
  for (const { name, endpoints } of runtimes) {
    for (const { name: endpoint, port, protocol } of endpoints) {
      const models = [name === "vllm" ? "llama" : "bert", "shared"];
      const id = `gpu-1/${endpoint}`;
      const body = { id, node: "gpu-1", endpoint, address: `127.0.0.1:${port}`, protocol, models, metrics_port };
      const answer = await fetch(`http://${router.address("api")}/register`, {
        method: "POST",
        body: JSON.stringify(body),
      });
      expect([answer.status, await answer.text()][0]).toBe(201);
    }
  }
  await until(async () => (await nodes(router)).filter(({ state }) => state === "healthy").length >= 2);
});

afterAll(async () => {
  for (const server of servers) await server.stop(true);
  await bench.end();
});

async function ask(model: string): Promise<{ status: number; from: unknown; node: string | null }> {
  const response = await fetch(`http://${router.address("listen")}/v1/chat/completions`, {
    method: "POST",
    body: JSON.stringify({ model, messages: [] }),
  });
  const body = (await response.json()) as { from?: unknown };
  return { status: response.status, from: body.from, node: response.headers.get("x-infermesh-node") };
}

function ctl(...args: string[]): string {
  const { stdout } = Bun.spawnSync([EXECUTABLE, "ctl", ...args, "--endpoint", `http://${router.address("api")}`], {
    env: { ...process.env, NO_COLOR: "1" },
  });
  return stdout.toString();
}

describe("a node with two runtimes", () => {
  test("is sent what each of them serves, by the endpoint that speaks the request's protocol", async () => {
    await until(async () => (await ask("bert")).status === 200);
    expect(await ask("llama")).toEqual({ status: 200, from: "vllm", node: "gpu-1/vllm" });
    expect(await ask("bert")).toEqual({ status: 200, from: "triton", node: "gpu-1/triton-http" });
    expect(await askBoth()).toEqual(new Set(["gpu-1/vllm", "gpu-1/triton-http"]));
    expect(asked.grpc).toBe(0);
  });

  /** Asks for what both serve, unanswered, until the one that is dearer gets a request too: a full one gets no more. */
  async function askBoth(): Promise<Set<string | null>> {
    const { promise, resolve } = Promise.withResolvers<void>();
    held = promise;
    const before = { ...asked };
    const answers: ReturnType<typeof ask>[] = [];
    while ((asked.vllm === before.vllm || asked.triton === before.triton) && answers.length < ASKED_MAX) {
      answers.push(ask("shared"));
      await until(async () => asked.vllm + asked.triton === before.vllm + before.triton + answers.length);
    }
    held = undefined;
    resolve();
    return new Set((await Promise.all(answers)).map(({ node }) => node));
  }

  test("is shown as a node with its endpoints and runtimes", () => {
    const list = ctl("list-nodes");
    for (const id of ["gpu-1/vllm", "gpu-1/triton-http", "gpu-1/triton-grpc"]) expect(list).toContain(id);
    const described = ctl("describe-node", "gpu-1");
    expect(described).toContain("Target gpu-1/triton-grpc");
    expect(described).toMatch(/triton-http \(http \d+\), triton-grpc \(grpc \d+\)/);
    expect(ctl("list-models")).toMatch(/bert\s+1\s+1/);
    expect(ctl("explain", "--model", "bert")).toContain("would go to gpu-1/triton-http");
  });

  test("of which one is down is sent what the other serves", async () => {
    runtimes = [runtimes[0]!, { ...runtimes[1]!, ready: false, state: "down", message: "connection refused" }];
    await until(async () => (await ask("bert")).status === 503);
    for (let count = 0; count < 10; count += 1) expect((await ask("shared")).node).toBe("gpu-1/vllm");
    expect((await ask("llama")).status).toBe(200);
    expect(ctl("describe-node", "gpu-1")).toContain("connection refused");
    runtimes = [runtimes[0]!, { ...runtimes[1]!, ready: true, state: "ready", message: "" }];
    await until(async () => (await ask("bert")).status === 200);
  });

  test("whose one runtime is killed loses that target alone, though the node still tells of it", async () => {
    await tritonHttp.stop(true);
    await until(async () => (await ask("bert")).status >= 500);
    for (let count = 0; count < 10; count += 1) expect((await ask("llama")).status).toBe(200);
  });

  test("takes leave as a whole", async () => {
    const left = await fetch(`http://${router.address("api")}/deregister`, {
      method: "POST",
      body: JSON.stringify({ id: "gpu-1" }),
    });
    expect(left.status).toBe(200);
    expect(await nodes(router)).toEqual([]);
  });
});
