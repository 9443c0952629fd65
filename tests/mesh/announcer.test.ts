import { afterEach, describe, expect, test } from "bun:test";
import { serveApi, type Front } from "../../src/admin/front.ts";
import { routerApi } from "../../src/admin/router-api.ts";
import { Prng } from "../../src/base/prng.ts";
import { Fleet } from "../../src/fleet/fleet.ts";
import { type AnnouncedPlace, Announcer, localAddress, type AnnouncerOptions } from "../../src/mesh/announcer.ts";
import { Poller } from "../../src/mesh/poller.ts";
import { eventually } from "../admin/raw-client.ts";
import { withHttpProxy } from "../net/http-proxy.ts";

const config = {
  pollIntervalMs: 50,
  pollTimeoutMs: 500,
  unhealthyAfter: 3,
  removeAfter: 10,
  readyWaitMs: 10_000,
  targetsMax: 10,
};
const PLACE: AnnouncedPlace = {
  id: "gpu-1",
  metricsPort: 9090,
  models: ["m"],
  incarnation: 1,
  host: "10.0.0.1",
  port: 8000,
};
const stops: (() => Promise<void>)[] = [];

afterEach(async () => {
  for (const stop of stops.splice(0)) await stop();
});

/** A router's admin API over a fleet, on a free port or a given one. */
function startRouter(port = 0): { front: Front; fleet: Fleet; calls: string[] } {
  const fleet = new Fleet(config, new Prng(1));
  const calls: string[] = [];
  const app = routerApi({
    nowMs: () => performance.now(),
    targets: () => fleet.targets(),
    target: (id) => fleet.target(id),
    load: () => ({ inFlight: 0, inFlightTokens: 0, othersInFlight: 0 }),
    register(registration) {
      calls.push("register");
      return fleet.register(registration, performance.now());
    },
    deregister(id) {
      calls.push("deregister");
      return fleet.deregister(id, performance.now());
    },
    stats: () => {
      throw new Error("not asked for here");
    },
    metricsText: async () => "",
    config: () => ({}),
  });
  const front = serveApi({ hostname: "127.0.0.1", port, app });
  stops.push(() => front.stop(0));
  return { front, fleet, calls };
}

function startAnnouncer(ports: number[], overrides: Partial<AnnouncerOptions> = {}) {
  const lines: string[] = [];
  const log = {
    info: (message: string) => void lines.push(`info ${message}`),
    warn: (message: string) => void lines.push(`warn ${message}`),
  };
  const announcer = new Announcer({
    urls: ports.map((port) => `http://127.0.0.1:${port}/`),
    places: () => [PLACE],
    log,
    intervalMs: 100,
    backoffMinMs: 5,
    backoffMaxMs: 20,
    ...overrides,
  });
  announcer.start();
  stops.push(() => announcer.stop());
  return { announcer, lines };
}

test("registers at every router, again and again, and deregisters at the end", async () => {
  const routers = [startRouter(), startRouter()];
  const { announcer, lines } = startAnnouncer(routers.map(({ front }) => front.port));
  await eventually(() => routers.every(({ calls }) => calls.length >= 3));
  for (const { fleet } of routers) {
    expect(fleet.targets()).toHaveLength(1);
    expect(fleet.target("gpu-1")).toMatchObject({ host: "10.0.0.1", port: 8000, metricsPort: 9090, models: ["m"] });
  }
  expect(announcer.registeredAt).toHaveLength(2);
  expect(lines).toEqual(["info registered at router", "info registered at router"]);
  await announcer.stop();
  for (const { fleet, calls } of routers) {
    expect(fleet.targets()).toEqual([]);
    expect(calls.at(-1)).toBe("deregister");
  }
});

test("registers at the router itself, whatever proxy the environment names", async () => {
  const router = startRouter();
  const asked = await withHttpProxy(async () => {
    const { announcer } = startAnnouncer([router.front.port]);
    await eventually(() => router.calls.includes("register"));
    await announcer.stop();
  });
  expect(asked).toEqual([]);
});

test("finds a router that starts later, and again after it is lost, with one line each", async () => {
  const first = startRouter();
  const { port } = first.front;
  await first.front.stop(0);
  const { announcer, lines } = startAnnouncer([port]);
  await eventually(() => lines.length === 1);
  await Bun.sleep(100);
  expect(lines).toEqual(["info no router there yet; trying on"]);
  const second = startRouter(port);
  await eventually(() => second.fleet.target("gpu-1") !== undefined);
  await second.front.stop(0);
  await eventually(() => lines.length === 3);
  expect(announcer.registeredAt).toEqual([]);
  const third = startRouter(port);
  await eventually(() => third.fleet.target("gpu-1") !== undefined);
  await eventually(() => lines.length === 4);
  expect(lines.slice(1)).toEqual([
    "info registered at router",
    "warn router lost; trying on",
    "info registered at router",
  ]);
});

test("tells changed models at once", async () => {
  const { front, fleet } = startRouter();
  let models = ["m"];
  const { announcer } = startAnnouncer([front.port], {
    places: () => [{ ...PLACE, models }],
    intervalMs: 60_000,
  });
  await eventually(() => fleet.target("gpu-1") !== undefined);
  models = ["m", "n"];
  announcer.announceNow();
  announcer.announceNow();
  await eventually(() => fleet.target("gpu-1")?.models.length === 2);
});

test("says once that it is refused", async () => {
  const { front, fleet, calls } = startRouter();
  fleet.register({ id: "gpu-1", address: "10.0.0.9:8000", metricsPort: 1, models: [], incarnation: 9 }, 0);
  const { lines } = startAnnouncer([front.port], { intervalMs: 10 });
  await eventually(() => calls.length >= 3);
  expect(lines).toEqual(["warn router refuses the registration"]);
  expect(fleet.target("gpu-1")?.host).toBe("10.0.0.9");
});

test("a node that serves every address tells the one that reaches the router", async () => {
  const { front, fleet } = startRouter();
  startAnnouncer([front.port], { places: () => [{ ...PLACE, host: "0.0.0.0" }] });
  await eventually(() => fleet.target("gpu-1") !== undefined);
  expect(fleet.target("gpu-1")).toMatchObject({ host: "127.0.0.1", port: 8000 });
  expect(localAddress(`http://127.0.0.1:1`, 500)).rejects.toThrow();
});

test("a node that serves nowhere yet is announced when it does", async () => {
  const { front, fleet, calls } = startRouter();
  const places: AnnouncedPlace[] = [];
  const { announcer, lines } = startAnnouncer([front.port], { places: () => places });
  await Bun.sleep(30);
  expect([calls.length, lines]).toEqual([0, []]);
  places.push({ ...PLACE, port: 8001 });
  announcer.announceNow();
  await eventually(() => fleet.target("gpu-1") !== undefined);
  expect(fleet.target("gpu-1")).toMatchObject({ port: 8001 });
});

test("each of several places is registered, and one that is no more is taken off", async () => {
  const { front, fleet } = startRouter();
  const of = (endpoint: string, port: number): AnnouncedPlace => {
    return { ...PLACE, id: `gpu-1/${endpoint}`, node: "gpu-1", endpoint, port };
  };
  const ids = (): string =>
    fleet
      .targets()
      .map(({ id }) => id)
      .toSorted()
      .join();
  let places = [of("vllm", 8000), { ...of("grpc", 8001), protocol: "grpc" as const, tls: true }];
  const { announcer } = startAnnouncer([front.port], { places: () => places });
  await eventually(() => ids() === "gpu-1/grpc,gpu-1/vllm");
  expect(fleet.target("gpu-1/grpc")).toMatchObject({ node: "gpu-1", protocol: "grpc", tls: true, port: 8001 });
  places = [{ ...PLACE, port: 8000 }];
  announcer.announceNow();
  await eventually(() => ids() === "gpu-1");
  places = [];
  announcer.announceNow();
  await eventually(() => ids() === "");
});

describe("a router from before nodes had several endpoints", () => {
  const of = (endpoint: string, port: number, more: Partial<AnnouncedPlace> = {}): AnnouncedPlace => {
    return { ...PLACE, id: `gpu-1/${endpoint}`, node: "gpu-1", endpoint, port, ...more };
  };
  const NAMES = `1 to 128 letters, digits, ".", "_", ":", "@" or "-", starting with a letter or digit`;

  /** Such a router, as it answered; what it was told, by id. */
  function startOlder() {
    const told = new Map<string, Record<string, unknown>>();
    let newer: Front | undefined;
    const server = Bun.serve({
      hostname: "127.0.0.1",
      port: 0,
      async fetch(request) {
        if (newer !== undefined) {
          const to = `http://127.0.0.1:${newer.port}${new URL(request.url).pathname}`;
          return fetch(to, { method: "POST", body: await request.text() });
        }
        const { id, ...rest } = (await request.json()) as { id: string };
        if (id.includes("/") && request.url.endsWith("/register")) {
          const message = `id is "${id}"; expected ${NAMES}`;
          return Response.json({ error: { message } }, { status: 400 });
        }
        if (request.url.endsWith("/register")) told.set(id, rest);
        else told.delete(id);
        return Response.json({});
      },
    });
    stops.push(() => server.stop(true));
    return { port: server.port ?? 0, told, upgradeTo: (front: Front) => void (newer = front) };
  }

  test("is told of the first that is ready in plain HTTP, as the node, and of all when it is upgraded", async () => {
    const older = startOlder();
    const places = [
      of("grpc", 8001, { protocol: "grpc" }),
      of("vllm", 8000, { models: ["v"], ready: false }),
      of("ollama", 8002, { models: ["o"], ready: true }),
    ];
    const { announcer, lines } = startAnnouncer([older.port], { places: () => places, intervalMs: 20 });
    await eventually(() => older.told.size > 0);
    expect([...older.told.keys()]).toEqual(["gpu-1"]);
    expect(older.told.get("gpu-1")).toMatchObject({ address: "10.0.0.1:8002", models: ["o"] });
    expect(Object.keys(older.told.get("gpu-1")!)).not.toContain("endpoint");
    await eventually(() => announcer.registeredAt.length === 1);
    expect(lines).toEqual(["warn registered at router with one endpoint alone"]);

    const { front, fleet } = startRouter();
    fleet.register({ id: "gpu-1", address: "10.0.0.1:8002", metricsPort: 1, models: ["o"], incarnation: 1 }, 0);
    older.upgradeTo(front);
    const ids = (): string[] => fleet.targets().map(({ id }) => id);
    await eventually(() => ids().toSorted().join() === "gpu-1/grpc,gpu-1/ollama,gpu-1/vllm");
    await eventually(() => lines.length === 2);
    expect(lines[1]).toBe("info registered at router");
  });

  test("is told of nothing where nothing is in plain HTTP, and why is said", async () => {
    const older = startOlder();
    const places = [of("a", 8001, { protocol: "grpc" }), of("b", 8000, { tls: true })];
    const { lines } = startAnnouncer([older.port], { places: () => places, intervalMs: 20 });
    await eventually(() => lines.length > 0);
    expect([lines, older.told.size]).toEqual([["warn router refuses the registration"], 0]);
  });

  test("is not what a router is that knows them and refuses a name", async () => {
    const { front, fleet } = startRouter();
    const { lines } = startAnnouncer([front.port], { places: () => [of("a b", 8001), of("c", 8000)], intervalMs: 20 });
    await eventually(() => lines.length > 0);
    expect([lines, fleet.targets()]).toEqual([["warn router refuses the registration"], []]);
  });
});

test("stop is quick when nobody answers", async () => {
  const silent = Bun.listen({ hostname: "127.0.0.1", port: 0, socket: { data() {} } });
  const { announcer } = startAnnouncer([silent.port], { timeoutMs: 60_000 });
  await Bun.sleep(20);
  const startedAtMs = performance.now();
  await announcer.stop();
  expect(performance.now() - startedAtMs).toBeLessThan(4000);
  silent.stop(true);
});

test("node and router together: announced, polled, lost, found again", async () => {
  const { front, fleet } = startRouter();
  let alive = true;
  const node = Bun.serve({
    hostname: "127.0.0.1",
    port: 0,
    fetch: () => (alive ? Response.json({ ready: true, requests_in_progress: 2 }) : new Response("", { status: 500 })),
  });
  stops.push(() => node.stop(true));
  const poller = new Poller({ timeoutMs: config.pollTimeoutMs });
  const kinds: string[] = [];
  const pump = setInterval(() => {
    fleet.wake(performance.now());
    const output = fleet.take();
    kinds.push(...output.events.map((event) => event.kind));
    for (const poll of output.polls) {
      void poller.poll(poll).then((result) => fleet.polled(poll.id, result, performance.now()));
    }
  }, 5);
  stops.push(async () => clearInterval(pump));
  startAnnouncer([front.port], {
    places: () => [{ ...PLACE, host: "127.0.0.1", metricsPort: node.port! }],
  });
  await eventually(() => fleet.target("gpu-1")?.lastSample?.models[0]?.runningRequests === 2);
  alive = false;
  await eventually(() => fleet.target("gpu-1")?.state === "unhealthy");
  alive = true;
  await eventually(() => fleet.target("gpu-1")?.state === "healthy");
  await eventually(() => kinds.length >= 3);
  expect(kinds).toEqual(["joined", "unhealthy", "healthy"]);
});
