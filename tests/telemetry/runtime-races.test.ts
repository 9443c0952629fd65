/** What happens at the same time: runtimes that end, come again or are told to load while something else is under way. */
import { afterEach, describe, expect, test } from "bun:test";
import { defaultsOf } from "../../src/base/settings-reading.ts";
import { readRuntimeMap } from "../../src/runtimes/runtime-map.ts";
import { openRuntime } from "../../src/telemetry/open-runtime.ts";
import { type RuntimeConfig, runtimeSettings } from "../../src/telemetry/runtime-settings.ts";
import { AUTO, type RuntimeSpec } from "../../src/telemetry/runtime-spec.ts";
import { kindOfRuntime } from "../../src/telemetry/runtime-tables.ts";
import type { RuntimeUrl } from "../../src/telemetry/runtime-url.ts";
import type { WatchedRuntime } from "../../src/telemetry/watched-runtime.ts";
import { freePort } from "../ports.ts";
import { until } from "./mock-server.ts";
import { answerOf, type Script, scriptedServer, type ScriptedServer } from "./scripted-server.ts";

const CONFIG: RuntimeConfig = { ...defaultsOf(runtimeSettings), timeoutMs: 20_000 };
const runtimes: WatchedRuntime[] = [];
const servers: ScriptedServer[] = [];

afterEach(async () => {
  await Promise.all(runtimes.splice(0).map((runtime) => runtime.stop(0)));
  await Promise.all(servers.splice(0).map((server) => server.stop()));
});

async function serving(script: Script, port = 0): Promise<ScriptedServer> {
  const server = await scriptedServer(script, { port });
  servers.push(server);
  return server;
}

function at(port: number): RuntimeUrl {
  return { protocol: "http", host: "127.0.0.1", port, tls: false, base: "" };
}

/** Known by its list of models alone. */
function watched(map: object, spec: Partial<RuntimeSpec>): WatchedRuntime {
  const parsed = readRuntimeMap(map, "map.yaml");
  if (parsed.faults !== undefined) throw new Error(JSON.stringify(parsed.faults));
  const runtime = openRuntime(
    { ...AUTO, kind: "generic", ...spec },
    {
      name: "acme",
      ...kindOfRuntime("generic", parsed.value),
      config: CONFIG,
      endsWithAgent: false,
      tell: () => {},
    },
  );
  runtimes.push(runtime);
  return runtime.begin();
}

describe("a runtime that comes again", () => {
  test("is asked anew although a question of before is unanswered still", async () => {
    const list: Script = (_, socket) => socket.write(answerOf('{"data":[{"id":"m"}]}'));
    const api = await serving(list, freePort());
    const metrics = await serving(() => {});
    const runtime = watched(
      {
        models: { path: "/v1/models", list: "data" },
        metrics: { path: "/metrics", figures: { runningRequests: "acme_running" } },
      },
      { url: at(api.port), metricsUrl: at(metrics.port) },
    );
    await until(() => metrics.requests.length === 1, "its metrics are asked for");
    expect(runtime.status.state).toBe("ready");
    await api.stop();
    await until(() => runtime.status.state === "down", "it is down");
    const again = await serving(list, api.port);
    await until(() => runtime.status.state === "ready", "it is ready again");
    await until(() => metrics.requests.length === 2, "its metrics are asked for again");
    expect([again.accepted(), runtime.status.state, runtime.models]).toEqual([1, "ready", ["m"]]);
  });
});
