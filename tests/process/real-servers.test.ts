/**
 * Other real servers behind agent and router: those of KServe's protocol by HTTP and gRPC, each request at the port that
 * speaks its protocol; models that come and go by ctl.
 */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { call, events, infer, post, repository } from "../runtimes/kserve.ts";
import { LLAMA_ROUTER, type LlamaServer, MODELS, startLlamaRouter } from "../runtimes/llama-server.ts";
import { MLSERVER, MODEL as ECHO, type MlServer, startMlServer } from "../runtimes/mlserver.ts";
import { MODEL as OLLAMA_MODEL, OLLAMA, type Ollama, startOllama } from "../runtimes/ollama.ts";
import { IDLE, startTriton, type Triton, TRITON, WORDS } from "../runtimes/triton.ts";
import type { Started } from "./harness.ts";
import { eventsOf, eventually, RuntimeMesh } from "./runtime-mesh.ts";

const TIMEOUT_MS = 180_000;
const NODE = "gpu-1";
const TRUE = Buffer.from([0x08, 0x01]);
const nameOf = (model: string): Uint8Array => Buffer.from([0x0a, model.length, ...Buffer.from(model)]);
const specOf = (kind: string, { url, grpc, metrics }: { url: string; grpc: string; metrics: string }): string =>
  `${kind}=${url},grpc-url=grpc://${grpc},metrics-url=${new URL(metrics).origin}`;

/** Loads a model of the node, or lets it go. */
async function byCtl(mesh: RuntimeMesh, command: "load-model" | "unload-model", model: string): Promise<void> {
  const { code, out } = await mesh.ctl([command, model, "--nodes", NODE]);
  expect([code, out]).toEqual([0, expect.stringContaining(model)]);
}

/** What both speak: inference by HTTP, readiness of a model by gRPC, through the router's one port. */
async function speaksBoth(mesh: RuntimeMesh, kind: string, model: string): Promise<void> {
  await eventually(async () => (await mesh.targets(NODE)).filter(({ routable }) => routable).length === 2);
  const at = mesh.router.address("listen");
  let node: string | null = null;
  await eventually(async () => {
    const answer = await infer(`http://${at}`, model, "one two");
    node = answer.headers.get("x-infermesh-node");
    return answer.status === 200 && (await answer.text()).includes("one two");
  });
  expect(node!).toBe(`${NODE}/${kind}-http`);
  expect(await call(at, "ModelReady", nameOf(model))).toEqual(TRUE);
}

describe.skipIf(MLSERVER === null)("a real MLServer behind the mesh", () => {
  let server: MlServer;
  let mesh: RuntimeMesh;

  beforeAll(async () => {
    [server, mesh] = await Promise.all([startMlServer(), RuntimeMesh.start()]);
    await mesh.agent(NODE, [specOf("kserve", server)]);
  }, TIMEOUT_MS);
  afterAll(async () => {
    await mesh?.end();
    await server?.runtime.stop();
  });

  test(
    "answers by HTTP and gRPC through the router, and streams",
    async () => {
      expect((await mesh.known(NODE, "ready")).version).toMatch(/^\d+\.\d+/);
      await speaksBoth(mesh, "kserve", ECHO);
      const inputs = [{ name: "text", shape: [1], datatype: "BYTES", data: ["one two three"] }];
      const streamed = await post(`http://${mesh.router.address("listen")}/v2/models/${ECHO}/infer_stream`, { inputs });
      expect(await events(streamed)).toHaveLength(3);
    },
    TIMEOUT_MS,
  );

  test(
    "whose model goes by itself, serves nothing; by ctl it comes again",
    async () => {
      expect((await repository(server.url, ECHO, "unload")).status).toBe(200);
      await eventually(async () => (await mesh.targets(NODE)).every(({ models }) => models.length === 0));
      await byCtl(mesh, "load-model", ECHO);
      await speaksBoth(mesh, "kserve", ECHO);
    },
    TIMEOUT_MS,
  );

  test(
    "killed, both of its endpoints are down; started again, both serve",
    async () => {
      await server.runtime.kill();
      await mesh.known(NODE, "down");
      await eventually(async () => (await mesh.targets(NODE)).every(({ routable }) => !routable));
      await server.runtime.restart();
      await mesh.known(NODE, "ready");
      await speaksBoth(mesh, "kserve", ECHO);
    },
    TIMEOUT_MS,
  );
});

describe.skipIf(TRITON === null)("a real Triton behind the mesh", () => {
  let server: Triton;
  let mesh: RuntimeMesh;
  let agent: Started;

  beforeAll(async () => {
    [server, mesh] = await Promise.all([startTriton(), RuntimeMesh.start()]);
    agent = await mesh.agent(NODE, [specOf("triton", server)]);
  }, TIMEOUT_MS);
  afterAll(async () => {
    await mesh?.end();
    await server?.runtime.stop();
  });

  test(
    "answers by HTTP and gRPC through the router, and streams",
    async () => {
      await mesh.known(NODE, "ready");
      await speaksBoth(mesh, "triton", ECHO);
      const path = `http://${mesh.router.address("listen")}/v2/models/${WORDS}/generate_stream`;
      expect(await events(await post(path, { text: "one two three" }))).toMatchObject(
        ["one", "two", "three"].map((word) => ({ model_name: WORDS, text: word })),
      );
    },
    TIMEOUT_MS,
  );

  test(
    "loads a model of its repository by ctl, which tells how it goes, and lets it go",
    async () => {
      const at = `http://${mesh.router.address("listen")}`;
      expect((await infer(at, IDLE, "one")).status).not.toBe(200);
      await byCtl(mesh, "load-model", IDLE);
      await eventually(async () => (await infer(at, IDLE, "one")).status === 200);
      expect(await call(mesh.router.address("listen"), "ModelReady", nameOf(IDLE))).toEqual(TRUE);
      const told = (await eventsOf(agent, "model")).filter(({ text }) => text.includes(IDLE)).map(({ type }) => type);
      expect(told).toEqual(["model.loading", "model.loaded"]);
      await byCtl(mesh, "unload-model", IDLE);
      await eventually(async () => (await infer(at, IDLE, "one")).status !== 200);
      const never = await mesh.ctl(["load-model", "nothing", "--nodes", NODE]);
      expect(never.code).toBe(1);
      expect(never.out).toContain("nothing");
    },
    TIMEOUT_MS,
  );
});

describe.skipIf(OLLAMA === null)("a real Ollama behind the mesh", () => {
  let server: Ollama;
  let mesh: RuntimeMesh;

  beforeAll(async () => {
    [server, mesh] = await Promise.all([startOllama(), RuntimeMesh.start()]);
    await mesh.agent(NODE, [`ollama=${server.url}`]);
  }, TIMEOUT_MS);
  afterAll(async () => {
    await mesh?.end();
    await server?.runtime.stop();
  });

  test(
    "serves what it has, loaded or not, and loads and lets go by ctl",
    async () => {
      await mesh.known(NODE, "ready");
      await mesh.answers(OLLAMA_MODEL, 200);
      expect(await mesh.models()).toContain(OLLAMA_MODEL);
      const loadedNow = async (): Promise<number> => {
        const { models } = (await (await fetch(`${server.url}/api/ps`)).json()) as { models: unknown[] };
        return models.length;
      };
      expect(await loadedNow()).toBe(1);
      await byCtl(mesh, "unload-model", OLLAMA_MODEL);
      expect(await loadedNow()).toBe(0);
      await byCtl(mesh, "load-model", OLLAMA_MODEL);
      expect(await loadedNow()).toBe(1);
      await mesh.answers(OLLAMA_MODEL, 200);
    },
    TIMEOUT_MS,
  );
});

describe.skipIf(LLAMA_ROUTER === null)("a real llama-server in router mode behind the mesh", () => {
  let server: LlamaServer;
  let mesh: RuntimeMesh;

  beforeAll(async () => {
    [server, mesh] = await Promise.all([startLlamaRouter(), RuntimeMesh.start()]);
    await mesh.agent(NODE, [`llamacpp=${server.url}`]);
  }, TIMEOUT_MS);
  afterAll(async () => {
    await mesh?.end();
    await server?.runtime.stop();
  });

  test(
    "serves what somebody else has loaded",
    async () => {
      const [one, two] = MODELS;
      await mesh.known(NODE, "ready");
      for (const model of [one, two]) {
        expect((await post(`${server.url}/models/load`, { model })).status).toBe(200);
        await mesh.answers(model, 200);
      }
      expect((await post(`${server.url}/models/unload`, { model: two })).status).toBe(200);
      await eventually(async () => (await mesh.targets(NODE))[0]?.models.length === 0);
    },
    TIMEOUT_MS,
  );

  test(
    "serves the model that was loaded by ctl, and then the other in its place",
    async () => {
      const [one, two] = MODELS;
      await mesh.known(NODE, "ready");
      expect(await mesh.ask(one)).not.toBe(200);
      for (const [model, other] of [
        [one, two],
        [two, one],
      ] as const) {
        await byCtl(mesh, "load-model", model);
        await mesh.answers(model, 200);
        // The router knows that there is such a model, and that nobody serves it now.
        await eventually(async () => (await mesh.targets(NODE))[0]?.models.includes(other) === false);
        expect(await mesh.ask(other)).not.toBe(200);
        expect(await mesh.model(NODE, model)).toMatchObject({ state: "loaded", runningRequests: expect.any(Number) });
      }
    },
    TIMEOUT_MS,
  );
});
