import { afterEach, expect, test } from "bun:test";
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
