import { afterEach, describe, expect, test } from "bun:test";
import { ROOT } from "../../src/kv/block-key.ts";
import { chainTokens } from "../../src/proxy/token-chain.ts";
import { seedChain } from "../../src/score/prefix-hash.ts";
import { PrefixIndex } from "../../src/score/prefix-index.ts";
import { until } from "../process/harness.ts";
import { Relay, by } from "./harness.ts";

const servers: { stop(force: boolean): unknown }[] = [];
const relays: Relay[] = [];

afterEach(() => {
  for (const relay of relays.splice(0)) relay.stop();
  for (const server of servers.splice(0)) server.stop(true);
});

/** Targets that tell how much was cached, and a router that draws requests to them. */
function bed(targets: number, cached = 0, isOn = true) {
  const ports = Array.from({ length: targets }, () => {
    const server = Bun.serve({
      port: 0,
      hostname: "127.0.0.1",
      fetch: async (request) => {
        await request.text();
        const usage = { prompt_tokens: 1000, completion_tokens: 1, prompt_tokens_details: { cached_tokens: cached } };
        return Response.json({ choices: [], usage });
      },
    });
    servers.push(server);
    return server.port ?? 0;
  });
  const index = PrefixIndex.create(1 << 20, 256);
  const sizes = new Int32Array(new SharedArrayBuffer(256));
  const relay = new Relay(
    ports.map((port) => by("http", port)),
    isOn ? { prefixes: { index: index.buffer, sizes: sizes.buffer, missWeight: 2 } } : {},
  );
  relays.push(relay);
  for (const row of relay.rows) index.reset(row, 1e6, 4);
  const ask = async (body: object): Promise<string> => {
    const response = await fetch(`http://127.0.0.1:${relay.port}/v1/chat/completions`, {
      method: "POST",
      headers: { "content-type": "application/json" },
      body: JSON.stringify(body),
    });
    expect(response.status).toBe(200);
    await response.text();
    return response.headers.get("x-infermesh-node") ?? "";
  };
  return { index, sizes, relay, ask };
}

const words = (seed: number, count: number): string =>
  Array.from({ length: count }, (_, at) => `w${(seed * 7919 + at * 104_729) % 99_991}`).join(" ");

const chat = (...contents: readonly string[]) => ({
  model: "m",
  messages: contents.map((content, at) => ({ role: at % 2 === 0 ? "user" : "assistant", content })),
});

describe("a request is drawn to the target that has the beginning of its prompt", () => {
  test("conversations stay where they began, and others spread", async () => {
    const { ask, relay, index } = bed(6);
    const seen = new Set<string>();
    for (let talk = 0; talk < 24; talk += 1) {
      const first = await ask(chat(words(talk, 900)));
      seen.add(first);
      expect(await ask(chat(words(talk, 900), "yes", words(talk + 100, 300)))).toBe(first);
      expect(await ask(chat(words(talk, 900), "yes", words(talk + 100, 300), "no", "go on"))).toBe(first);
    }
    expect(seen.size).toBeGreaterThan(2);
    expect(index.entries).toBeGreaterThan(24 * 5);
    const { stats } = relay;
    expect(stats.count("prefixExpected")).toBeGreaterThan(stats.count("prefixPrompt") / 3);
    expect(stats.count("prefixExpected")).toBeLessThan(stats.count("prefixPrompt"));
    // Nothing is left claimed, though less was claimed than prompts had.
    for (const row of relay.rows) expect([relay.table.inFlight(row), relay.table.inFlightTokens(row)]).toEqual([0, 0]);
  });

  test("tools that stand behind the messages come first, as templates have them", async () => {
    const { ask } = bed(6);
    const tools = [{ type: "function", function: { name: "f", description: words(1, 800) } }];
    const first = await ask({ ...chat(words(2, 400)), tools });
    for (let other = 3; other < 9; other += 1) expect(await ask({ tools, ...chat(words(other, 400)) })).toBe(first);
  });

  test("prompts of token ids and of text alike", async () => {
    const { ask } = bed(6);
    const ids = Array.from({ length: 900 }, (_, at) => (at * 7919) % 128_000);
    const first = await ask({ model: "m", prompt: ids });
    expect(await ask({ model: "m", prompt: [...ids, 1, 2, 3] })).toBe(first);
    const text = await ask({ model: "m", prompt: words(4, 600) });
    expect(await ask({ model: "m", prompt: `${words(4, 600)} and more` })).toBe(text);
  });

  test("prompts of token ids as engines cut them, where those tell of their caches", async () => {
    const { ask, relay, index, sizes } = bed(6);
    const ids = Array.from({ length: 1300 }, (_, at) => (at * 7919) % 128_000);
    sizes.fill(16);
    const chain = new Int32Array(200);
    seedChain(chain, Buffer.from("m"));
    const blocks = chainTokens(Uint32Array.from(ids), 1024, 16, ROOT, chain);
    expect(blocks).toBe(4);
    // Told by an engine; and noted nowhere else.
    for (const row of relay.rows.slice(2, 3)) {
      for (let block = 1; block <= blocks; block += 1) index.put(9, row, chain[block * 2]!, chain[block * 2 + 1]!);
    }
    const home = relay.context.routes.target(relay.rows[2]!)?.node;
    for (const prompt of [ids, [ids], ids.slice(0, 1100)]) expect(await ask({ model: "m", prompt })).toBe(home!);
    expect(await ask({ model: "m", prompt: JSON.stringify(ids) })).not.toBe("");
    const { stats } = relay;
    expect(stats.count("prefixExpected")).toBeGreaterThan(3 * 1000);
    // Ids in other fields are a prompt as well.
    expect(await ask({ model: "m", input_ids: ids })).toBe(home!);
    expect(await ask({ model: "m", prompt_token_ids: ids })).toBe(home!);
  });

  test("ids that no engine tells of are drawn to where they were sent", async () => {
    const { ask, sizes } = bed(6);
    sizes.fill(16);
    const ids = Array.from({ length: 1300 }, (_, at) => (at * 7919) % 128_000);
    const first = await ask({ model: "m", prompt: ids });
    expect(await ask({ model: "m", prompt: [...ids, 1, 2, 3] })).toBe(first);
    // Too few for a block, and several prompts, which are text.
    await ask({ model: "m", prompt: ids.slice(0, 200).map((id) => id + 100_000) });
    const several = [ids.slice(0, 400), ids.slice(400)];
    const other = await ask({ model: "m", prompt: several });
    expect(await ask({ model: "m", prompt: several })).toBe(other);
  });

  test("what was believed is held against what targets tell", async () => {
    const { ask, relay } = bed(3, 700);
    await ask(chat(words(1, 900)));
    await ask(chat(words(1, 900), "yes"));
    const { stats } = relay;
    expect([stats.count("prefixToldPrompt"), stats.count("prefixToldCached")]).toEqual([2000, 1400]);
    expect(stats.count("prefixToldExpected")).toBeGreaterThan(500);
    expect(stats.count("prefixToldExpected")).toBe(stats.count("prefixExpected"));
  });

  test("what is new at a target is noted for other routers, where there are such", async () => {
    const { ask, relay, index } = bed(3);
    await ask(chat(words(1, 900)));
    index.peers = 1;
    const home = await ask(chat(words(1, 900), "yes", words(2, 900)));
    await ask(chat(words(1, 900), "yes", words(2, 900)));
    await until(() => relay.notes.length > 0);
    const [note, ...others] = relay.notes;
    expect(others).toEqual([]);
    const row = relay.rows.find((each) => relay.context.routes.target(each)?.node === home)!;
    expect(note).toMatchObject({ row, life: index.life(row) });
    const blocks = note!.hashes.length / 2;
    expect(blocks).toBeGreaterThan(9);
    expect(note!.fresh).toBeGreaterThan(3);
    expect(note!.fresh).toBeLessThan(blocks);
  });

  test("an explanation can tell what each place was believed to have", async () => {
    const { ask, relay } = bed(3);
    const node = await ask(chat(words(1, 900)));
    const body = JSON.stringify(chat(words(1, 900), "yes"));
    await fetch(`http://127.0.0.1:${relay.port}/v1/chat/completions`, {
      method: "POST",
      headers: { "content-type": "application/json", "x-request-id": "asked" },
      body,
    }).then((response) => response.text());
    const { decisions, routes } = relay.context;
    const decision = decisions.find(
      "asked",
      (row) => routes.target(row)?.node ?? "",
      () => "m",
    );
    const known = decision?.places.map((place) => [place.node === node, place.cachedTokens > 1000]);
    expect(known).toEqual([0, 1, 2].map((at) => (decision?.places[at]?.node === node ? [true, true] : [false, false])));
    expect(decision?.places.map(({ missWeight }) => missWeight)).toEqual([2, 2, 2]);
  });

  test("a short prompt has no beginning that counts, nor has any where it is off", async () => {
    const short = bed(3);
    await short.ask(chat("hello"));
    expect([short.index.entries, short.relay.stats.count("prefixPrompt")]).toEqual([0, 0]);
    const off = bed(3, 0, false);
    await off.ask(chat(words(1, 900)));
    expect([off.index.entries, off.relay.stats.count("prefixPrompt")]).toEqual([0, 0]);
    expect(off.relay.context.prefixes).toBeNull();
  });
});
