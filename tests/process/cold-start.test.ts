/** Nodes whose runtimes load what they are asked for: where the first request goes, and what is told of the choice. */
import { afterAll, afterEach, expect, test } from "bun:test";
import { type FakeOllama, startFakeOllama } from "../telemetry/fake-ollama.ts";
import { Bench, EXECUTABLE, ownEnvironment, type Started, until } from "./harness.ts";

const MODEL = "small:1b";
const bench = new Bench();
const fakes: FakeOllama[] = [];
let serial = 0;
afterEach(async () => {
  await Promise.all(fakes.splice(0).map((fake) => fake.stop()));
});
afterEach(() => bench.clear());
afterAll(() => bench.end());

async function node(id: string, router: Started, options: Parameters<typeof startFakeOllama>[0]): Promise<FakeOllama> {
  const fake = startFakeOllama(options);
  fakes.push(fake);
  const free = "127.0.0.1:0";
  const ports = ["--api", free, "--metrics", free, "--gossip", free, "--data-dir", `${bench.dataDir}/${serial++}`];
  const runtime = `ollama=http://127.0.0.1:${fake.port}`;
  await bench.start(
    "agent",
    "--id",
    id,
    ...ports,
    "--register",
    `http://${router.address("api")}`,
    "--runtime",
    runtime,
  );
  return fake;
}

async function ask(router: Started): Promise<number> {
  const body = JSON.stringify({ model: MODEL, messages: [{ role: "user", content: "hello" }] });
  const answer = await fetch(`http://${router.address("listen")}/v1/chat/completions`, { method: "POST", body });
  await answer.text();
  return answer.status;
}

async function explain(router: Started): Promise<string> {
  const command = [EXECUTABLE, "ctl", "explain", "--model", MODEL, "--endpoint", `http://${router.address("api")}`];
  const child = Bun.spawn(command, { env: ownEnvironment(), stdout: "pipe", stderr: "pipe" });
  const said = await new Response(child.stdout).text();
  await child.exited;
  return said;
}

const router = (): Promise<Started> => bench.router("--fleet-poll-interval", "200ms", "--workers", "2");
/** All of them can be chosen, by what they tell. */
const known = (of: Started, ids: readonly string[]): Promise<void> =>
  until(async () => {
    const said = await explain(of);
    return ids.every((id) => new RegExp(`${id} .*[0-9]  -$`, "m").test(said));
  }, 30_000);

test("a request goes to the node that has the model loaded", async () => {
  const of = await router();
  const cold = await node("node1", of, { models: [MODEL] });
  const warm = await node("node2", of, { models: [MODEL], loaded: [MODEL] });
  await known(of, ["node1", "node2"]);
  expect(await explain(of)).toMatch(
    /would go to node2: .* less than node1; it is ahead by 15\d\d\.\d\d ms in the term load/,
  );
  for (let count = 0; count < 6; count++) expect(await ask(of)).toBe(200);
  expect([cold.chats, warm.chats]).toEqual([0, 6]);
  expect([...cold.loaded]).toEqual([]);
}, 60_000);

test("where none has it, a burst has it loaded by one node, which serves from then on", async () => {
  const of = await router();
  const nodes = [
    await node("node1", of, { models: [MODEL], loadMs: 2500 }),
    await node("node2", of, { models: [MODEL], loadMs: 2500 }),
    await node("node3", of, { models: [MODEL], loadMs: 2500 }),
  ];
  await known(of, ["node1", "node2", "node3"]);
  // Two of them cost twice their time, so that one is loaded first.
  expect((await explain(of)).match(/ 3\.00s /g)).toHaveLength(2);
  const burst = Array.from({ length: 12 }, () => ask(of));
  await until(() => nodes.some(({ loaded }) => loaded.size > 0));
  expect(await Promise.all(burst)).toEqual(Array.from({ length: 12 }, () => 200));
  expect(nodes.filter(({ loaded }) => loaded.size === 1)).toHaveLength(1);
  expect(nodes.filter(({ loaded }) => loaded.size === 0)).toHaveLength(2);
  const woken = nodes.find(({ loaded }) => loaded.size === 1);
  expect(woken?.chats).toBe(12);
  await until(async () => / is expected to take \S+ ms, .* in the term load/.test(await explain(of)));
  expect(await ask(of)).toBe(200);
  expect(woken?.chats).toBe(13);
}, 60_000);
