import { afterEach, expect, test } from "bun:test";
import { agentApi } from "../../src/admin/agent-api.ts";
import type { Poll } from "../../src/fleet/event.ts";
import { encodeNodeState } from "../../src/mesh/node-state.ts";
import { Poller } from "../../src/mesh/poller.ts";
import { modelSample, nodeSample } from "../fleet/samples.ts";
import { withHttpProxy } from "../net/http-proxy.ts";

const servers: Bun.Server<undefined>[] = [];

afterEach(async () => {
  for (const server of servers.splice(0)) await server.stop(true);
});

function serve(fetch: (request: Request) => Response | Promise<Response>): number {
  const server = Bun.serve({ hostname: "127.0.0.1", port: 0, fetch });
  servers.push(server);
  return server.port!;
}

function poll(port: number, kind: Poll["kind"] = "vitals"): Poll {
  return { id: "a", host: "127.0.0.1", port, tls: false, protocol: "http", kind, models: ["m"] };
}

const poller = new Poller({ timeoutMs: 2000, maxBodyBytes: 10_000 });

async function errorOf(port: number, kind: Poll["kind"] = "vitals", by = poller): Promise<string> {
  const result = await by.poll(poll(port, kind));
  return result.ok ? "ok" : result.error;
}

test("reads an agent's NodeState", async () => {
  const sample = nodeSample({ models: [modelSample({ waitingRequests: 2 })], cpuUsage: 0.25 });
  const addresses = { serve: "", api: "", metrics: "", gossip: "" };
  const identity = { id: "a", incarnation: 1, role: "", zone: "", labels: {}, addresses };
  const asked: (string | null)[] = [];
  const app = agentApi({
    sample: () => sample,
    state: (each) => encodeNodeState(each, identity, 0),
    metricsText: async () => "",
    status: () => ({}),
  });
  const port = serve((request) => {
    asked.push(request.headers.get("accept"));
    return app.fetch(request);
  });
  const result = await poller.poll(poll(port));
  expect(result).toMatchObject({ ok: true, sample });
  expect(result.ok && result.rttMs).toBeGreaterThan(0);
  expect(asked[0]).toStartWith("application/x-protobuf");
});

test("reads plain JSON vitals", async () => {
  const port = serve(() => Response.json({ ready: true, requests_in_progress: 4 }));
  const result = await poller.poll(poll(port));
  expect(result).toMatchObject({ ok: true, sample: { models: [{ model: "m", runningRequests: 4 }] } });
});

test("asks the node itself, whatever proxy the environment names", async () => {
  const port = serve(() => Response.json({ ready: true, requests_in_progress: 4 }));
  const asked = await withHttpProxy(async () => {
    expect(await poller.poll(poll(port))).toMatchObject({ ok: true });
  });
  expect(asked).toEqual([]);
});

test("takes any answer to a health poll but a server's failure", async () => {
  for (const [status, outcome] of [
    [200, "ok"],
    [301, "ok"],
    // It lives, and wants a key.
    [401, "ok"],
    [403, "ok"],
    [404, "ok"],
    [429, "ok"],
    [500, "answered 500"],
    [503, "answered 503"],
  ] as const) {
    const paths: string[] = [];
    const port = serve((request) => {
      paths.push(new URL(request.url).pathname);
      return new Response("", { status, headers: { location: "/elsewhere" } });
    });
    expect(await errorOf(port, "health")).toBe(outcome);
    expect(paths).toEqual(["/health"]);
  }
});

test("says why a poll failed", async () => {
  expect(await errorOf(serve(() => new Response("", { status: 500 })))).toBe("answered 500");
  expect(await errorOf(serve(() => new Response("# HELP up\n")))).toBe("answered with something other than vitals");
  expect(await errorOf(serve(() => Response.json([])))).toBe("answered with something other than vitals");
  expect(await errorOf(serve(() => new Response("x".repeat(10_001))))).toBe("answered with more than 10000 bytes");
  const garbage = new Response(new Uint8Array([255, 255, 255]), {
    headers: { "content-type": "application/x-protobuf" },
  });
  expect(await errorOf(serve(() => garbage))).toBe("answered with something other than vitals");
  const gone = serve(() => new Response(""));
  await servers.pop()!.stop(true);
  expect(await errorOf(gone)).toBe("connection refused");
});

test("gives up in time on servers that don't answer, or never end", async () => {
  const brief = new Poller({ timeoutMs: 50 });
  const silent = serve(() => new Promise<Response>(() => {}));
  const endless = serve(
    () =>
      new Response(
        new ReadableStream({
          start: (controller) => controller.enqueue(Buffer.from("{")),
        }),
      ),
  );
  const startedAtMs = performance.now();
  expect(await Promise.all([silent, endless].map((port) => errorOf(port, "vitals", brief)))).toEqual([
    "no answer within 50 ms",
    "no answer within 50 ms",
  ]);
  expect(performance.now() - startedAtMs).toBeLessThan(5000);
});

test("stop ends what is under way", async () => {
  const stopped = new Poller({ timeoutMs: 60_000 });
  const result = stopped.poll(poll(serve(() => new Promise<Response>(() => {}))));
  await Bun.sleep(10);
  stopped.stop();
  expect((await result).ok).toBe(false);
});
