/** Routers of one mesh that let one of them decide for a model, as they are run: with agents that are saturated, and when that router is killed. */
import { afterAll, expect, test } from "bun:test";
import { Bench, EXECUTABLE, inFlight, nodes, ownEnvironment, type Started, until } from "./harness.ts";

const MODEL = "m";
const AGENTS = 2;
/** On a busy machine a router is silent for longer than usual, and must not be thought to be gone for that. */
const SILENCE = "3s";
const bench = new Bench();
afterAll(() => bench.end());

/** Routers that know each other, and mock agents that all of them send to. */
async function mesh(count: number, ...last: readonly string[]): Promise<Started[]> {
  const fast = ["--workers", "1", "--fleet-poll-interval", "200ms", "--flow-late-silence", SILENCE];
  const first = await bench.router("--id", "router1", ...fast);
  const seed = ["--join", String(first.ready["gossip"])];
  const others = await Promise.all(
    Array.from({ length: count - 1 }, (_, at) => {
      const own = at === count - 2 ? last : [];
      return bench.router("--id", `router${at + 2}`, ...fast, ...seed, ...own);
    }),
  );
  const routers = [first, ...others];
  await Promise.all(
    Array.from({ length: AGENTS }, (_, at) => bench.agent(`node${at}`, null, ...seed, "--mock-models", MODEL)),
  );
  for (const router of routers) {
    await until(async () => (await nodes(router)).filter(({ state }) => state === "healthy").length === AGENTS, 20_000);
    await until(async () =>
      (await (await fetch(`http://${router.address("listen")}/v1/models`)).text()).includes(MODEL),
    );
  }
  return routers;
}

async function metric(router: Started, name: string): Promise<number> {
  const text = await fetch(`http://${router.address("metrics")}/telemetry`).then((answer) => answer.text());
  const line = text.split("\n").find((one) => one.startsWith(`${name} `));
  return line === undefined ? 0 : Number(line.slice(name.length + 1));
}

const others = (router: Started): Promise<number> => metric(router, "infermesh_router_desk_routers");
const boundThere = (router: Started): Promise<number> =>
  metric(router, 'infermesh_router_desk_bound_total{where="there"}');
const boundHere = (router: Started): Promise<number> =>
  metric(router, 'infermesh_router_desk_bound_total{where="here"}');

/** A prompt that nothing else begins like; answers the status, 0 where the router is gone. */
async function ask(router: Started, name: string, tokens: number, stream: boolean): Promise<number> {
  const content = `${name} ${"x".repeat(tokens * 4)}`;
  try {
    const answer = await fetch(`http://${router.address("listen")}/v1/chat/completions`, {
      method: "POST",
      keepalive: false,
      headers: { "content-type": "application/json", "x-request-id": name },
      body: JSON.stringify({ model: MODEL, stream, max_tokens: 2, messages: [{ role: "user", content }] }),
    });
    const text = await answer.text();
    if (answer.status === 200) expect(text).toContain(stream ? "[DONE]" : '"choices"');
    return answer.status;
  } catch {
    return 0;
  }
}

async function explained(router: Started, id: string): Promise<string> {
  const command = [EXECUTABLE, "ctl", "explain", id, "--endpoint", `http://${router.address("api")}`];
  const child = Bun.spawn(command, { env: ownEnvironment(), stdout: "pipe", stderr: "pipe" });
  const said = await new Response(child.stdout).text();
  expect(await child.exited).toBe(0);
  return said;
}

test("one of three decides; when it is killed all that wait at the others are answered all the same", async () => {
  const routers = await mesh(3);
  await until(async () => (await Promise.all(routers.map(others))).every((count) => count === 2));
  // At light load nobody is asked.
  for (const [at, router] of routers.entries()) expect(await ask(router, `light${at}`, 20, true)).toBe(200);
  for (const router of routers) {
    expect(await metric(router, "infermesh_router_late_messages_total")).toBe(0);
    expect(await boundThere(router)).toBe(0);
  }

  const wave = (name: string, each: number, tokens: number): Promise<number>[][] =>
    routers.map((router, at) =>
      Array.from({ length: each }, (_, count) => ask(router, `${name}-${at}-${count}`, tokens, count % 3 > 0)),
    );
  const first = wave("first", 8, 8000);
  await until(async () => (await Promise.all(routers.map(boundHere))).some((count) => count > 0), 20_000);
  const counts = await Promise.all(routers.map(boundHere));
  const at = counts.findIndex((count) => count > 0);
  const desk = routers[at]!;
  const left = routers.filter((router) => router !== desk);
  for (const statuses of first) for (const status of await Promise.all(statuses)) expect(status).toBe(200);
  // One of them decided for all.
  expect(await boundThere(desk)).toBe(0);
  for (const router of left) {
    expect(await boundHere(router)).toBe(0);
    expect(await boundThere(router)).toBeGreaterThan(0);
  }
  const asked = routers.indexOf(left[0]!);
  const words = await Promise.all(
    Array.from({ length: 8 }, (_, count) => explained(left[0]!, `first-${asked}-${count}`)),
  );
  expect(words.some((said) => said.includes(`by the word of router${at + 1}, which decides for the model`))).toBe(true);
  await until(async () => (await Promise.all(routers.map(inFlight))).every((count) => count === 0));

  const second = wave("second", 8, 24_000);
  await until(async () => {
    const own = await Promise.all(left.map((one) => metric(one, 'infermesh_router_desk_requests{whose="own"}')));
    return own.every((count) => count > 0);
  }, 20_000);
  await desk.kill();
  for (const router of left) {
    for (const status of await Promise.all(second[routers.indexOf(router)]!)) expect(status).toBe(200);
  }
  // Its own clients try again elsewhere.
  const again = (await Promise.all(second[at]!)).filter((status) => status !== 200);
  expect(new Set(again)).toEqual(new Set([0]));
  const elsewhere = again.map((_, count) => ask(left[count % 2]!, `again-${count}`, 2000, true));
  for (const status of await Promise.all(elsewhere)) expect(status).toBe(200);
  for (const router of left) {
    await until(async () => (await others(router)) === 1);
    await until(async () => (await inFlight(router)) === 0);
    expect(await metric(router, 'infermesh_router_desk_requests{whose="own"}')).toBe(0);
    expect(await metric(router, 'infermesh_router_late_waiting{model="m"}')).toBe(0);
    expect(await metric(router, 'infermesh_router_desk_troubles_total{what="malformed"}')).toBe(0);
  }
}, 120_000);

test("a router that is to decide alone does, and one that leaves hands over", async () => {
  const [first, second, alone] = await mesh(3, "--flow-late-shared=false");
  await until(async () => (await others(first!)) === 1 && (await others(second!)) === 1);
  expect(await others(alone!)).toBe(0);
  const all = [first, second, alone].map((router, at) =>
    Array.from({ length: 8 }, (_, count) => ask(router!, `third-${at}-${count}`, 8000, true)),
  );
  await until(async () => (await boundHere(first!)) + (await boundHere(second!)) > 0, 20_000);
  const desk = (await boundHere(first!)) > 0 ? first! : second!;
  const other = desk === first ? second! : first!;
  // What is in flight there ends first.
  expect(await desk.stop()).toBe(0);
  for (const statuses of all) for (const status of await Promise.all(statuses)) expect(status).toBe(200);
  expect(await metric(other, 'infermesh_router_desk_troubles_total{what="silent"}')).toBe(0);
  for (const router of [alone!, other]) await until(async () => (await inFlight(router)) === 0);
  expect(await boundThere(alone!)).toBe(0);
}, 120_000);
