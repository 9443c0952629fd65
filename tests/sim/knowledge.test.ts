/** Routers that know of caches what they sent there, and what others tell. */
import { expect, test } from "bun:test";
import type { Arrival } from "../../src/sim/arrival.ts";
import { ownerOf } from "../../src/sim/knowledge.ts";
import { PROFILES } from "../../src/sim/profile.ts";
import { RoutedPrefixes } from "../../src/sim/routed-prefixes.ts";
import { arrivalStrategy } from "../../src/score/strategies.ts";
import { World } from "../../src/sim/world.ts";
import type { WorldSpec } from "../../src/sim/world-spec.ts";

const NODE = { ...PROFILES["h200-8b"], blockTokens: 512, kvBlocks: 40 };
const NODES = [NODE, NODE, NODE];
const chat = (number: number, turns: number): number[] =>
  Array.from({ length: turns }, (_, block) => number * 1000 + block);

function matched(prefixes: RoutedPrefixes, hashes: readonly number[]): number[] {
  const tokens = new Float64Array(NODES.length);
  prefixes.fill(hashes, tokens, new Float64Array(NODES.length));
  return [...tokens];
}

test("what was sent to a target is believed to be there, as deep as the prompts agree", () => {
  const prefixes = new RoutedPrefixes(NODES, false);
  expect(matched(prefixes, chat(1, 4))).toEqual([0, 0, 0]);
  prefixes.routed(1, chat(1, 4));
  prefixes.routed(2, chat(1, 2));
  expect(matched(prefixes, chat(1, 6))).toEqual([0, 4 * 512, 2 * 512]);
  expect(prefixes.homes(chat(1, 6))).toEqual([
    { target: 1, tokens: 4 * 512 },
    { target: 2, tokens: 2 * 512 },
  ]);
  expect(matched(prefixes, chat(2, 6))).toEqual([0, 0, 0]);
  expect(prefixes.homes([])).toEqual([]);
});

test("what a cache has no room for any more is not believed to be there", () => {
  const prefixes = new RoutedPrefixes(NODES, false);
  prefixes.routed(0, chat(1, 4));
  for (let other = 2; other < 20; other += 1) prefixes.routed(0, chat(other, 4));
  expect(matched(prefixes, chat(1, 4))).toEqual([0, 0, 0]);
  expect(matched(prefixes, chat(19, 4))).toEqual([4 * 512, 0, 0]);
});

test("others hear of what is new, or of all of a prompt, once", () => {
  for (const tellsWhole of [false, true]) {
    const teller = new RoutedPrefixes(NODES, tellsWhole);
    const other = new RoutedPrefixes(NODES, tellsWhole);
    teller.routed(1, chat(1, 3));
    other.heard(teller.takeNews());
    expect(matched(other, chat(1, 5))).toEqual([0, 3 * 512, 0]);
    teller.routed(1, chat(1, 5));
    teller.routed(1, chat(1, 5));
    const news = teller.takeNews();
    expect(news.map(({ from }) => from)).toEqual([tellsWhole ? 0 : 3]);
    other.heard(news);
    expect(matched(other, chat(1, 5))).toEqual([0, 5 * 512, 0]);
    expect(other.takeNews()).toEqual([]);
    expect(teller.takeNews()).toEqual([]);
  }
});

/** Chats whose turns come by another router each time. */
function chats(): Arrival[] {
  return Array.from({ length: 400 }, (_, at) => {
    const turns = 2 + Math.floor(at / 25);
    return { atMs: at * 400, promptTokens: turns * 512, outputTokens: 20, hashes: chat(at % 25, turns) };
  });
}

function hits(over: Partial<WorldSpec>, knows: "caches" | "routed"): number {
  return new World({
    arrivals: chats(),
    nodes: Array.from({ length: 8 }, () => ({ ...NODE, kvBlocks: 400 })),
    routers: 4,
    router: { strategy: (seed) => arrivalStrategy("ttft", seed), knows },
    seed: 7,
    networkMs: 0.5,
    sampleEveryMs: 100,
    sampleDelayMs: 5,
    ttftMs: 2000,
    itlMs: 50,
    ...over,
  }).run().hitRate;
}

test("routers that tell each other of what they sent hit as they do that know all; alone they don't", () => {
  const told = hits({ prefixNews: { everyMs: 100, delayMs: 1, isWhole: false } }, "routed");
  const known = hits({}, "caches");
  expect(known).toBeGreaterThan(0.7);
  expect(told).toBeGreaterThan(known - 0.05);
  expect(hits({}, "routed")).toBeLessThan(known - 0.1);
  // News that comes behind the next turn is none.
  expect(hits({ prefixNews: { everyMs: 100, delayMs: 1e9, isWhole: false } }, "routed")).toBeLessThan(known - 0.1);
});

test("a router owns the prompts that begin alike", () => {
  const owned = hits({ deskMs: 1, ownerBlock: 0 }, "routed");
  expect(owned).toBeGreaterThan(0.7);
  const owners = Array.from({ length: 1000 }, (_, hash) => ownerOf([hash, 7], { routers: 4, ownerBlock: 0 }));
  expect(ownerOf([7], { routers: 4, ownerBlock: 3 })).toBe(ownerOf([7], { routers: 4, ownerBlock: 0 }));
  expect(ownerOf([], { routers: 4, ownerBlock: 0 })).toBe(0);
  for (const owner of [0, 1, 2, 3]) {
    expect(Math.abs(owners.filter((each) => each === owner).length - 250)).toBeLessThan(75);
  }
});
