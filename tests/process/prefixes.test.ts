/** A router draws requests to the servers that have the beginning of their prompt, in all of its workers, and tells so. */
import { afterAll, expect, test } from "bun:test";
import { Bench, EXECUTABLE, nodes, ownEnvironment, type Started, until } from "./harness.ts";

const MODEL = "m";
const TALKS = 12;
let slowMs = 0;
const bench = new Bench();
const servers = Array.from({ length: 4 }, () =>
  Bun.serve({
    port: 0,
    hostname: "127.0.0.1",
    fetch: async (request) => {
      await request.text();
      await Bun.sleep(slowMs);
      const usage = { prompt_tokens: 1000, completion_tokens: 1, prompt_tokens_details: { cached_tokens: 10 } };
      return Response.json({ choices: [], usage });
    },
  }),
);
afterAll(async () => {
  await bench.end();
  await Promise.all(servers.map((server) => server.stop(true)));
});

const upstreams = servers.flatMap(({ port }) => ["--upstream", `${MODEL}=http://127.0.0.1:${port}`]);

const words = (seed: number, count: number): string =>
  Array.from({ length: count }, (_, at) => `w${(seed * 7919 + at * 104_729) % 99_991}`).join(" ");

/** Sends the first turns of a talk, long ones, so that no round trip outweighs them, over a connection of its own, so to any worker; answers which node served it. */
async function say(router: Started, talk: number, turns: number, requestId = "", model = MODEL): Promise<string> {
  const messages = Array.from({ length: turns }, (_, turn) => ({
    role: "user",
    content: words(talk * 50 + turn, 6000),
  }));
  const response = await fetch(`http://${router.address("listen")}/v1/chat/completions`, {
    method: "POST",
    keepalive: false,
    headers: { "content-type": "application/json", ...(requestId === "" ? {} : { "x-request-id": requestId }) },
    body: JSON.stringify({ model, messages }),
  });
  expect(response.status).toBe(200);
  await response.text();
  return response.headers.get("x-infermesh-node") ?? "";
}

async function metric(router: Started, name: string): Promise<number> {
  const text = await fetch(`http://${router.address("metrics")}/telemetry`).then((response) => response.text());
  const line = text.split("\n").find((one) => one.startsWith(`${name} `));
  return line === undefined ? Number.NaN : Number(line.slice(name.length + 1));
}

const serves = (router: Started): Promise<void> =>
  until(async () => {
    const list = await fetch(`http://${router.address("listen")}/v1/models`).then((response) => response.text());
    return list.includes(`"${MODEL}"`);
  });

test("talks stay where they began, whichever worker takes them, and the router tells why", async () => {
  // Servers that answer at once teach that prompts cost next to nothing, and then a round trip outweighs them.
  const router = await bench.router("--workers", "3", "--no-rates-enabled", ...upstreams);
  await serves(router);
  // At a time, since a mesh that is idle sends all to the nearest.
  slowMs = 500;
  const first = await Promise.all(Array.from({ length: TALKS }, (_, talk) => say(router, talk, 1)));
  slowMs = 0;
  expect(new Set(first).size).toBeGreaterThan(1);
  for (let turns = 2; turns < 5; turns += 1) {
    for (let talk = 0; talk < TALKS; talk += 1) expect(await say(router, talk, turns)).toBe(first[talk] ?? "");
  }
  expect(await metric(router, "infermesh_prefix_index_blocks")).toBeGreaterThan(TALKS * 5);
  const prompt = await metric(router, "infermesh_prefix_prompt_tokens_total");
  const expected = await metric(router, "infermesh_prefix_expected_tokens_total");
  expect(expected).toBeGreaterThan(prompt / 3);
  expect(expected).toBeLessThan(prompt);
  expect(await metric(router, 'infermesh_prefix_told_tokens_total{what="cached"}')).toBe(TALKS * 4 * 10);

  const node = await say(router, 0, 4, "why");
  const command = [EXECUTABLE, "ctl", "explain", "why", "-o", "json", "--endpoint", `http://${router.address("api")}`];
  const child = Bun.spawn(command, { env: ownEnvironment(), stdout: "pipe", stderr: "pipe" });
  const said = await new Response(child.stdout).text();
  expect(await child.exited).toBe(0);
  const believed = [...said.matchAll(/"detail":\s*"[^"]*, (\d+) of which it is believed to have cached/g)];
  expect(believed.length).toBe(1);
  expect(Number(believed[0]?.[1])).toBeGreaterThan(1000);
  expect(JSON.stringify(said)).toContain(node);
});

test("where it is turned off, nothing is known and nothing is told of it", async () => {
  const router = await bench.router("--prefix-enabled=false", "--workers", "1", ...upstreams);
  await serves(router);
  for (let talk = 0; talk < 3; talk += 1) await say(router, talk, 2);
  expect(await metric(router, "infermesh_prefix_index_blocks")).toBeNaN();
});

const FEW_TALKS = 6;
const WORDS_MODEL = "llama-3.1-8b";

/** Two routers of one mesh, and mock agents that both send to. */
async function twoRouters(...args: string[]): Promise<readonly [Started, Started]> {
  const first = await bench.router("--workers", "1", "--fleet-poll-interval", "100ms", ...args);
  const seed = ["--join", String(first.ready["gossip"])];
  const second = await bench.router("--workers", "1", "--fleet-poll-interval", "100ms", ...seed, ...args);
  const mock = ["--mock-models", WORDS_MODEL, "--mock-speed", "2"];
  await Promise.all([1, 2, 3, 4].map((at) => bench.agent(`node${at}`, null, ...seed, ...mock)));
  for (const router of [first, second]) {
    await until(async () => (await nodes(router)).filter(({ state }) => state === "healthy").length === 4);
  }
  return [first, second];
}

/** So many turns, of some 40 blocks each. */
async function untilTold(from: Started, to: Started, turns: number): Promise<void> {
  const blocks = (router: Started, way: string): Promise<number> =>
    metric(router, `infermesh_prefix_shared_blocks_total{way="${way}"}`);
  await until(async () => (await blocks(from, "told")) >= turns * 35);
  const told = await blocks(from, "told");
  await until(async () => (await blocks(to, "heard")) >= told);
}

/** Says the next turn of every talk; answers where each went, and how many of them home: a busy machine is far at times. */
async function goOn(router: Started, turns: number, homes: readonly string[]) {
  const went: string[] = [];
  for (const talk of homes.keys()) went.push(await say(router, talk, turns, `${talk}/${turns}`, WORDS_MODEL));
  return { went, home: went.filter((node, talk) => node === homes[talk]).length };
}

test("a conversation's next turn finds its home through another router, which was told of it", async () => {
  const [first, second] = await twoRouters();
  const homes = await Promise.all(Array.from({ length: FEW_TALKS }, (_, talk) => say(first, talk, 1, "", WORDS_MODEL)));
  expect(new Set(homes).size).toBeGreaterThan(1);
  await untilTold(first, second, FEW_TALKS);
  const next = await goOn(second, 2, homes);
  expect(next.home).toBeGreaterThanOrEqual(FEW_TALKS - 2);
  const expected = await metric(second, "infermesh_prefix_expected_tokens_total");
  expect(expected).toBeGreaterThan((await metric(second, "infermesh_prefix_prompt_tokens_total")) / 4);
  // And the turn after that through the first one again.
  await untilTold(second, first, FEW_TALKS);
  const last = await goOn(first, 3, next.went);
  expect(last.home).toBeGreaterThanOrEqual(FEW_TALKS - 2);
});

test("routers that don't share know of their own only", async () => {
  const [first, second] = await twoRouters("--prefix-share=false");
  for (let talk = 0; talk < 4; talk += 1) await say(first, talk, 1, "", WORDS_MODEL);
  for (let talk = 0; talk < 4; talk += 1) await say(second, talk, 1, "", WORDS_MODEL);
  expect(await metric(second, "infermesh_prefix_expected_tokens_total")).toBe(0);
  expect(await metric(first, 'infermesh_prefix_shared_blocks_total{way="told"}')).toBeNaN();
});
