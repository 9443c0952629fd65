import { afterEach, expect, test } from "bun:test";
import { RuntimeFinder } from "../../src/telemetry/runtime-finder.ts";
import { freePort } from "../ports.ts";
import { endFakes, startFake } from "./fake-runtime.ts";
import { until } from "./mock-server.ts";
import { answerOf, scriptedServer, type ScriptedServer, type Script } from "./scripted-server.ts";

const finders: RuntimeFinder[] = [];
const servers: ScriptedServer[] = [];
afterEach(async () => {
  for (const finder of finders.splice(0)) finder.stop();
  await Promise.all(servers.splice(0).map((server) => server.stop()));
  await endFakes();
});

function finding(ports: readonly number[], known: readonly number[] = [], hasMap = false) {
  const found: string[] = [];
  const unknown: string[] = [];
  const taken = new Set(known);
  const finder = new RuntimeFinder({
    intervalMs: 20,
    timeoutMs: 2000,
    ports,
    hasMap,
    isKnown: (port) => taken.has(port),
    found: ({ kind }, { port }) => {
      taken.add(port);
      found.push(`${kind} ${port}`);
    },
    unknown: (port, why) => unknown.push(`${port} ${why}`),
  });
  finders.push(finder);
  return { finder, found, unknown, taken };
}

async function serving(script: Script): Promise<ScriptedServer> {
  const server = await scriptedServer(script);
  servers.push(server);
  return server;
}

test("a server is found by the first look, and one that comes later when it is there", async () => {
  const first = await startFake();
  const gap = freePort();
  const { finder, found, taken } = finding([first.port, gap]);
  await finder.start();
  expect(found).toEqual([`vllm ${first.port}`]);
  await startFake({}, gap);
  await until(() => found.length === 2, "the second is found");
  expect(found[1]).toBe(`vllm ${gap}`);
  // One that was forgotten is found again.
  taken.delete(gap);
  await until(() => found.length === 3, "it is found again");
}, 20_000);

test("one that can't be looked after is told of, and found again when it can", async () => {
  const fake = await startFake();
  const unknown: string[] = [];
  const found: string[] = [];
  let isMapRight = false;
  const finder = new RuntimeFinder({
    intervalMs: 20,
    timeoutMs: 2000,
    ports: [fake.port],
    hasMap: true,
    isKnown: () => found.length > 0,
    found({ kind }) {
      if (!isMapRight) throw new Error("the map is wrong");
      found.push(kind);
    },
    unknown: (_, why) => unknown.push(why),
  });
  finders.push(finder);
  await finder.start();
  expect([unknown, found]).toEqual([["it is vllm, but can't be looked after: the map is wrong"], []]);
  isMapRight = true;
  await until(() => found.length > 0, "it is found");
  expect(found).toEqual(["vllm"]);
});

test("somebody unknown is told of once, and asked ever more seldom", async () => {
  const server = await serving((_, socket) => socket.write(answerOf("<html>hello</html>")));
  const { finder, found, unknown } = finding([server.port]);
  await finder.start();
  const once = server.requests.length;
  await until(() => server.requests.length >= 3 * once, "it is asked again");
  expect(unknown).toEqual([`${server.port} it is no server that is known`]);
  expect(found).toEqual([]);
  // Each look asks the same few questions, on one connection.
  expect(server.accepted()).toBeLessThanOrEqual(Math.ceil(server.requests.length / once) + 1);
  expect(once).toBeGreaterThan(1);
});

test("a router of the mesh is passed over, and so is a port that somebody looks after", async () => {
  const router = await serving((_, socket) => socket.write(answerOf("{}", "x-infermesh-node: gpu-1\r\n")));
  const own = await serving((_, socket) => socket.write(answerOf("{}")));
  const { finder, found, unknown } = finding([router.port, own.port], [own.port]);
  await finder.start();
  expect([found, unknown, own.requests.length, router.requests.length]).toEqual([[], [], 0, 1]);
});

test("what takes connections and says nothing holds nobody up", async () => {
  const silent = await serving(() => {});
  const fake = await startFake();
  const { finder, found, unknown } = finding([silent.port, fake.port]);
  await finder.start();
  expect(found).toEqual([`vllm ${fake.port}`]);
  expect(unknown).toEqual([`${silent.port} no answer within 2000 ms`]);
}, 20_000);

test("a server of OpenAI's API that nobody knows is found where there is a map for it", async () => {
  const list = JSON.stringify({ object: "list", data: [{ id: "m", object: "model", owned_by: "acme" }] });
  const server = await serving((request, socket) => {
    const isList = request.startsWith("GET /v1/models ");
    socket.write(isList ? answerOf(list) : "HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\n\r\n");
  });
  const [without, with_] = [finding([server.port]), finding([server.port], [], true)];
  await Promise.all([without.finder.start(), with_.finder.start()]);
  expect([without.found, with_.found]).toEqual([[], [`generic ${server.port}`]]);
  expect(without.unknown.join()).toContain("--runtime-map");
});
