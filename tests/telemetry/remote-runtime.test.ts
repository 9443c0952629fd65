import { afterAll, expect, test } from "bun:test";
import { defaultsOf } from "../../src/base/settings-reading.ts";
import { RemoteRuntime, type RemoteRuntimeOptions } from "../../src/telemetry/remote-runtime.ts";
import { runtimeSettings } from "../../src/telemetry/runtime-settings.ts";
import { startVllmMock } from "../process/vllm-mock.ts";
import { freePort } from "../ports.ts";

const ended: (() => unknown)[] = [];
// They wait for the clock most of the time, and do so together.
afterAll(async () => {
  for (const end of ended.splice(0)) await end();
});

interface Seen {
  readonly runtime: RemoteRuntime;
  readonly strange: string[];
  readonly states: string[];
}

function watched(port: number, change: Partial<RemoteRuntimeOptions> = {}): Seen {
  const strange: string[] = [];
  const states: string[] = [];
  const runtime = new RemoteRuntime({
    name: "runtime",
    url: { protocol: "http", host: "127.0.0.1", port, tls: false, base: "" },
    kind: "auto",
    models: [],
    shown: {},
    config: defaultsOf(runtimeSettings),
    tell: (kind, event) => states.push(`${kind} ${event.kind}`),
    strange: (why) => strange.push(why),
    changed() {},
    ...change,
  }).begin();
  ended.push(() => runtime.stop());
  return { runtime, strange, states };
}

async function until(condition: () => boolean): Promise<void> {
  const end = performance.now() + 20_000;
  while (!condition()) {
    if (performance.now() > end) throw new Error(`not so in time: ${condition.toString()}`);
    await Bun.sleep(20);
  }
}

/** Answers by path; what has no answer is not found. */
function serve(answers: Readonly<Record<string, unknown>>, port = 0, key = "") {
  const server = Bun.serve({
    hostname: "127.0.0.1",
    port,
    fetch(request) {
      if (key !== "" && request.headers.get("authorization") !== key) return new Response("no", { status: 401 });
      const answer = answers[new URL(request.url).pathname];
      return answer === undefined ? new Response("", { status: 404 }) : Response.json(answer);
    },
  });
  ended.push(() => server.stop(true));
  return server;
}

const models = (owner: string, ...ids: string[]) => ({
  object: "list",
  data: ids.map((id) => ({ id, object: "model", owned_by: owner })),
});

test.concurrent("a server is asked who it is, what it serves and how busy it is", async () => {
  const mock = startVllmMock("llama");
  ended.push(() => mock.stop());
  const { runtime, strange, states } = watched(mock.port);
  expect(runtime.isKnown).toBe(false);
  await until(() => runtime.models.length > 0);
  expect(runtime.models).toEqual(["llama"]);
  expect(runtime.isKnown).toBe(true);
  expect(runtime.watched?.version).toBe("0.11.0");
  expect(runtime.watched?.sample()).toMatchObject({ ready: true, models: [{ model: "llama", runningRequests: 0 }] });
  expect(states.at(-1)).toBe("vllm ready");
  expect(strange).toEqual([]);
});

test.concurrent("one that is not there yet is found when it is", async () => {
  const port = freePort();
  const { runtime, strange } = watched(port);
  await Bun.sleep(100);
  expect(runtime.watched).toBe(null);
  serve({ "/v1/models": models("vllm", "late"), "/version": { version: "0.11.0" }, "/health": {} }, port);
  await until(() => runtime.models.includes("late"));
  expect(strange).toEqual([]);
});

test.concurrent("one that nobody knows is told of once, and known when it says more", async () => {
  const answers: Record<string, unknown> = {};
  const { runtime, strange } = watched(serve(answers).port ?? 0);
  await until(() => strange.length > 0);
  expect(strange).toEqual(["it is no server that is known"]);
  expect(runtime.isKnown).toBe(true);
  answers["/v1/models"] = models("somebody", "phi");
  await until(() => runtime.models.includes("phi"));
  // Of OpenAI's API alone: its models are known, and no figures.
  expect(runtime.watched?.kind).toBe("generic");
  expect(runtime.watched?.sample()).toMatchObject({ ready: true, models: [{ model: "phi", kvUsage: undefined }] });
  expect(strange.length).toBe(1);
});

test.concurrent("a router of a mesh is no runtime", async () => {
  const { runtime, strange } = watched(serve({ "/v1/models": models("infermesh", "llama") }).port ?? 0);
  await until(() => strange.length > 0);
  expect(strange).toEqual(["it is a mock of a mesh"]);
  expect(runtime.models).toEqual([]);
});

test.concurrent("one that wants a key is shown it", async () => {
  const { port = 0 } = serve(
    { "/v1/models": models("vllm", "llama"), "/health": {}, "/version": { version: "1" } },
    0,
    "Bearer secret",
  );
  const without = watched(port);
  await until(() => without.strange.length > 0);
  expect(without.strange).toEqual(["it wants a key"]);
  const { runtime } = watched(port, { shown: { bearer: { kind: "value", text: "secret" } } });
  await until(() => runtime.models.includes("llama"));
});

test.concurrent("another server at the same place is asked anew who it is", async () => {
  const first = serve({ "/v1/models": models("vllm", "llama"), "/health": {}, "/version": { version: "0.11.0" } });
  const { port = 0 } = first;
  const { runtime } = watched(port);
  await until(() => runtime.watched?.status.state === "ready");
  await first.stop(true);
  await until(() => runtime.watched?.status.state === "down");
  const info = { model_path: "m", is_generation: true };
  serve(
    {
      "/v1/models": models("sglang", "qwen"),
      "/get_model_info": info,
      "/health": {},
      "/get_server_info": { version: "0.5" },
    },
    port,
  );
  await until(() => runtime.watched?.kind === "sglang");
  await until(() => runtime.models.includes("qwen"));
});
