/** The executable tells whoever balances load when to begin and when to end, and ends without a lost request. */
import { afterAll, afterEach, expect, test } from "bun:test";
import { Bench, nodes, rawChat, type Started, until } from "./harness.ts";
import { RawLoad } from "./raw-load.ts";

const bench = new Bench();
afterEach(() => bench.clear());
afterAll(() => bench.end());

interface Probe {
  readonly status: number;
  readonly reason: string;
}

async function probe(one: Started, path: "/livez" | "/readyz", port: "api" | "metrics" = "metrics"): Promise<Probe> {
  const response = await fetch(`http://${one.address(port)}${path}`, { keepalive: false });
  const { reason = "" } = (await response.json()) as { reason?: string };
  return { status: response.status, reason };
}

const portOf = (router: Started): number => Number(router.address("listen").split(":").pop());

test("a router is ready when it knows a node that can be asked, and stays so without one", async () => {
  const router = await bench.router("--workers", "1", "--fleet-ready-wait", "1h");
  const unready = { status: 503, reason: "no target is known yet that can be asked" };
  expect(await probe(router, "/readyz")).toEqual(unready);
  expect(await probe(router, "/readyz", "api")).toEqual(unready);
  expect(await probe(router, "/livez")).toEqual({ status: 200, reason: "" });
  const agent = await bench.agent("late", router);
  await until(async () => (await probe(router, "/readyz")).status === 200);
  expect(await probe(agent, "/readyz")).toEqual({ status: 200, reason: "" });
  expect(await agent.stop()).toBe(0);
  await until(async () => (await nodes(router)).length === 0);
  expect((await probe(router, "/readyz")).status).toBe(200);
  expect(await router.stop()).toBe(0);
});

test("a router that finds nobody is ready after a while all the same", async () => {
  const router = await bench.router("--workers", "1", "--fleet-ready-wait", "0s");
  expect(await probe(router, "/readyz")).toEqual({ status: 200, reason: "" });
});

test("SIGTERM turns readiness off first, and no request fails: streams, short and kept connections", async () => {
  const { router } = await bench.mesh(1, ["--drain-delay", "4s"], ["--mock-speed", "1"]);
  const request = await rawChat(router, { max_tokens: 2 });
  const body = { model: (await nodes(router))[0]?.models[0], messages: [{ role: "user", content: "hi" }] };
  const ask = (more: object): Promise<Response> =>
    fetch(`http://${router.address("listen")}/v1/chat/completions`, {
      method: "POST",
      body: JSON.stringify({ ...body, ...more }),
      keepalive: false,
    });
  const loads = [true, false].map((isShort) => {
    const line = isShort ? "connection: close\r\n" : "";
    return new RawLoad({ port: portOf(router), clients: 2, request: request.replace("\r\n", `\r\n${line}`), isShort });
  });
  for (const load of loads) await load.goOn(10);
  // Begun before the signal, and longer than the delay.
  const early = await ask({ max_tokens: 600, stream: true });
  router.process.kill("SIGTERM");
  await until(async () => (await probe(router, "/readyz")).status === 503);
  expect((await probe(router, "/readyz")).reason).toBe("it is stopping");
  expect((await probe(router, "/livez")).status).toBe(200);
  // A balancer has not looked yet.
  for (const load of loads) await load.goOn(10);
  const late = await ask({ max_tokens: 600, stream: true });
  expect(late.status).toBe(200);
  for (const load of loads) expect(await load.end()).toEqual([]);
  for (const stream of [early, late]) expect(await stream.text()).toEndWith("data: [DONE]\n\n");
  expect(await router.process.exited).toBe(0);
  expect(router.lines.filter(({ level }) => level === "error" || level === "warn")).toEqual([]);
});
