/** A router draws requests to the servers that have the beginning of their prompt, in all of its workers, and tells so. */
import { afterAll, afterEach, expect, test } from "bun:test";
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
afterEach(() => bench.clear());
afterAll(async () => {
  await bench.end();
  await Promise.all(servers.map((server) => server.stop(true)));
});

/**
 * Targets are thought to be so slow that no round trip outweighs a prompt, and not to have learnt otherwise: servers that
 * answer at once teach that prompts cost next to nothing.
 */
const SLOW = ["--no-rates-enabled", "--score-prefill-tokens-per-second", "500"];
const upstreams = servers.flatMap(({ port }) => ["--upstream", `${MODEL}=http://127.0.0.1:${port}`]);

const words = (seed: number, count: number): string =>
  Array.from({ length: count }, (_, at) => `w${(seed * 7919 + at * 104_729) % 99_991}`).join(" ");

/** Sends the first turns of a talk, over a connection of its own, so to any worker; answers which node served it. */
async function say(router: Started, talk: number, turns: number, requestId = ""): Promise<string> {
  const messages = Array.from({ length: turns }, (_, turn) => ({
    role: "user",
    content: words(talk * 50 + turn, 6000),
  }));
  const response = await fetch(`http://${router.address("listen")}/v1/chat/completions`, {
    method: "POST",
    keepalive: false,
    headers: { "content-type": "application/json", ...(requestId === "" ? {} : { "x-request-id": requestId }) },
    body: JSON.stringify({ model: MODEL, messages }),
  });
  expect(response.status).toBe(200);
  await response.text();
  return response.headers.get("x-infermesh-node") ?? "";
}

/** The first turns of so many talks, at a time: a mesh that is idle sends all to the nearest. */
async function begin(router: Started, talks: number): Promise<string[]> {
  slowMs = 500;
  const homes = await Promise.all(Array.from({ length: talks }, (_, talk) => say(router, talk, 1)));
  slowMs = 0;
  expect(new Set(homes).size).toBeGreaterThan(1);
  return homes;
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
  const router = await bench.router("--workers", "3", ...SLOW, ...upstreams);
  await serves(router);
  const first = await begin(router, TALKS);
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

/** Two routers of one mesh, which both send to these servers. */
async function twoRouters(...args: string[]): Promise<readonly [Started, Started]> {
  const how = ["--workers", "1", ...SLOW, ...upstreams, ...args];
  const first = await bench.router(...how);
  const second = await bench.router("--join", String(first.ready["gossip"]), ...how);
  for (const router of [first, second]) {
    await serves(router);
    await until(async () => {
      const { members } = await fetch(`http://${router.address("api")}/members`).then(
        (response) => response.json() as Promise<{ members: { status: string }[] }>,
      );
      return members.filter(({ status }) => status === "alive").length === 2;
    });
  }
  return [first, second];
}

const blocks = (router: Started, way: "told" | "heard"): Promise<number> =>
  metric(router, `infermesh_prefix_shared_blocks_total{way="${way}"}`);

/** Until it tells: for a moment after it knows the other router it doesn't yet, and what is sent by then is not told. */
async function untilTelling(router: Started): Promise<void> {
  let talk = 1000;
  await until(async () => {
    await say(router, talk++, 1);
    return (await blocks(router, "told")) > 0;
  });
}

/** So many turns, of some 40 blocks each, beside what was told before. */
async function untilTold(from: Started, to: Started, before: number, turns: number): Promise<void> {
  await until(async () => (await blocks(from, "told")) >= before + turns * 35);
  const told = await blocks(from, "told");
  await until(async () => (await blocks(to, "heard")) >= told);
  // What the other one had in flight there would make a home dearer than any.
  type View = { readonly inFlight: number; readonly othersInFlight: number };
  await until(async () =>
    ((await nodes(to)) as unknown as View[]).every((node) => node.inFlight + node.othersInFlight === 0),
  );
}

/** Says the next turn of every talk; answers where each went. */
async function goOn(router: Started, turns: number): Promise<string[]> {
  const went: string[] = [];
  for (let talk = 0; talk < FEW_TALKS; talk += 1) went.push(await say(router, talk, turns));
  return went;
}

test("a conversation's next turn finds its home through another router, which was told of it", async () => {
  const [first, second] = await twoRouters();
  for (const router of [first, second]) await untilTelling(router);
  const before = await Promise.all([first, second].map((router) => blocks(router, "told")));
  const homes = await begin(first, FEW_TALKS);
  await untilTold(first, second, before[0]!, FEW_TALKS);
  expect(await goOn(second, 2)).toEqual(homes);
  const expected = await metric(second, "infermesh_prefix_expected_tokens_total");
  expect(expected).toBeGreaterThan((await metric(second, "infermesh_prefix_prompt_tokens_total")) / 4);
  // And the turn after that through the first one again.
  await untilTold(second, first, before[1]!, FEW_TALKS);
  expect(await goOn(first, 3)).toEqual(homes);
});

test("routers that don't share know of their own only", async () => {
  const [first, second] = await twoRouters("--prefix-share=false");
  for (let talk = 0; talk < 4; talk += 1) await say(first, talk, 1);
  for (let talk = 0; talk < 4; talk += 1) await say(second, talk, 1);
  expect(await metric(second, "infermesh_prefix_expected_tokens_total")).toBe(0);
  expect(await metric(first, 'infermesh_prefix_shared_blocks_total{way="told"}')).toBeNaN();
});
