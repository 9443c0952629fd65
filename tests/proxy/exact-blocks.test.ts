/** What engines tell of their caches, found by prompts of token ids in the prefix index. */
import { describe, expect, test } from "bun:test";
import { Prng } from "../../src/base/prng.ts";
import { defaultsOf } from "../../src/base/settings-reading.ts";
import type { Target } from "../../src/fleet/target.ts";
import { blockKey, rootKey, ROOT } from "../../src/kv/block-key.ts";
import { IndexFeed } from "../../src/kv/index-feed.ts";
import { IndexReceiver, RECEIVER_LIMITS } from "../../src/kv/index-receiver.ts";
import type { PlaceInUse } from "../../src/proxy/places.ts";
import { PrefixRows } from "../../src/proxy/prefix-rows.ts";
import { ADAPTER, chainTokens, isEntry, strideOf, tokensMax } from "../../src/proxy/token-chain.ts";
import { seedChain } from "../../src/score/prefix-hash.ts";
import { PREFIX_BLOCKS_MAX } from "../../src/score/prefix-layout.ts";
import { PrefixLookup } from "../../src/score/prefix-lookup.ts";
import { prefixSettings } from "../../src/score/prefix-settings.ts";
import { openPrefixWork } from "../../src/native.ts";
import { RemoteIndexes } from "../../src/remote-indexes.ts";
import { modelSample, nodeSample, targetOf } from "../fleet/samples.ts";
import { removedEvent, storedEvent } from "../kv/engine.ts";
import { until } from "../process/harness.ts";

const SIZE = 16;
/** Tokens of an entry. */
const STEP = 256;

const tokensOf = (count: number, seed = 0): Uint32Array =>
  Uint32Array.from({ length: count }, (_, at) => (at * 7919 + seed) % 100_000);

function chainOf(model: string, tokens: Uint32Array, size: number, root = ROOT) {
  const chain = new Int32Array((PREFIX_BLOCKS_MAX + 1) * 2);
  seedChain(chain, new TextEncoder().encode(model));
  return { chain, blocks: chainTokens(tokens, tokens.length, size, root, chain) };
}

class Bed {
  readonly rows = PrefixRows.create(
    { ...defaultsOf(prefixSettings), indexBytes: 1 << 22 },
    { rowsMax: 64, modelsMax: 8 },
    () => 4,
  )!;
  readonly receiver = new IndexReceiver(RECEIVER_LIMITS, this.rows.exact);
  readonly sizes = new Int32Array(this.rows.exact.sizes);
  readonly #counts = this.rows.with({ resetModel() {}, resetRow() {} });
  readonly #work = openPrefixWork(new PrefixLookup(this.rows.index));
  targets: Target[] = [];
  places: PlaceInUse[] = [];
  /** The last one is a pool of the first, where nobody has a place. */
  readonly models = [
    { id: 1, name: "m" },
    { id: 2, name: "sql" },
    { id: 5, name: "m" },
  ];
  readonly indexes = new RemoteIndexes({
    targets: () => this.targets,
    engines: (node) => this.receiver.engines(node),
  });

  constructor() {
    this.rows.exact.begin((target) => this.indexes.of(target));
  }

  target(id: string, models: readonly string[] = ["m"], more: Partial<Target> = {}): void {
    this.targets.push(targetOf(id, { models: [...models], ...more }));
    for (const model of models) this.place(id, model, this.places.length + 1);
  }

  place(target: string, model: string, row: number): void {
    const modelId = model === "m" ? 1 : 2;
    this.#counts.resetRow(row, row);
    this.places.push({ target, model, row, modelId, loadSeconds: 0, weight: 1, revision: "", isRouted: true });
  }

  refresh(): void {
    this.rows.refresh(this.places, (id) => this.targets.find((target) => target.id === id), this.models);
  }

  feed(node: string, slot = 0): IndexFeed {
    const feed = new IndexFeed({ slot, runtime: "vllm", engine: `${node} ${slot}` }, new Prng(slot + 1));
    feed.index.restart(true);
    feed.isHeard = true;
    feed.take();
    this.snapshot(node, feed);
    return feed;
  }

  snapshot(node: string, feed: IndexFeed): void {
    for (const message of feed.snapshot()) this.receiver.receive(node, message, 0);
  }

  tell(node: string, feed: IndexFeed): void {
    for (const message of feed.take()) this.receiver.receive(node, message, 0);
  }

  /** Tokens that the row is found to hold. */
  held(row: number, { chain, blocks }: { chain: Int32Array; blocks: number }, perBlock = STEP): number {
    const { lookup } = this.#work;
    lookup.ask(chain, blocks, perBlock, 0);
    this.#work.match();
    return lookup.tokensOf(row);
  }

  /** A target whose engine holds so many tokens, as the prompt of them finds in its first row. */
  async holding(tokens: number, more: Partial<Target> = {}) {
    this.target("a", ["m"], more);
    const feed = this.feed("a");
    feed.index.apply(stored(tokensOf(tokens)));
    this.tell("a", feed);
    this.refresh();
    const prompt = chainOf("m", tokensOf(1024), SIZE);
    await until(() => this.held(1, prompt) === tokens);
    return { feed, prompt };
  }

  note(row: number, { chain, blocks }: { chain: Int32Array; blocks: number }): void {
    this.#work.note(0, row, chain, blocks);
  }
}

const hashesOf = (blocks: number): string[] => Array.from({ length: blocks }, (_, at) => `${at}`);
const stored = (tokens: Uint32Array, size = SIZE) =>
  storedEvent({ hashes: hashesOf(tokens.length / size), tokens, blockTokens: size });

describe("prompts of token ids", () => {
  test("find what engines told before rows were there, and what they tell later", async () => {
    const bed = new Bed();
    const feed = bed.feed("a");
    const tokens = tokensOf(2048);
    feed.index.apply(stored(tokens.slice(0, 1024)));
    bed.tell("a", feed);
    bed.target("a");
    bed.target("b");
    expect(bed.sizes[1]).toBe(0);
    bed.refresh();
    expect([...bed.sizes]).toEqual([0, SIZE, 0, 0, 0, SIZE, 0, 0]);
    expect(bed.rows.exact.engines).toBe(1);
    const prompt = chainOf("m", tokensOf(2048), SIZE);
    await until(() => bed.held(1, prompt) === 1024);
    expect(bed.held(2, prompt)).toBe(0);
    feed.index.apply(
      storedEvent({
        hashes: ["64", "65", "66"].concat(hashesOf(128).slice(67)),
        parent: "63",
        tokens: tokens.slice(1024),
        blockTokens: SIZE,
      }),
    );
    bed.tell("a", feed);
    expect(bed.held(1, prompt)).toBe(2048);
    // Another prompt of the same length, and another model.
    expect(bed.held(1, chainOf("m", tokensOf(2048, 1), SIZE))).toBe(0);
    expect(bed.held(1, chainOf("n", tokens, SIZE))).toBe(0);
  });

  test("are looked up by the size of an engine's blocks as soon as it has one, before anybody looks again", () => {
    const bed = new Bed();
    const sample = nodeSample({ models: [modelSample({ model: "m" }), modelSample({ model: "sql", parent: "m" })] });
    bed.target("a", ["m", "sql"], { lastSample: sample });
    const feed = bed.feed("a");
    bed.refresh();
    expect(bed.rows.exact.engines).toBe(1);
    expect([bed.sizes[1], bed.sizes[2]]).toEqual([0, 0]);
    feed.index.apply(stored(tokensOf(1024)));
    bed.tell("a", feed);
    expect([bed.sizes[1], bed.sizes[2]]).toEqual([SIZE, SIZE | ADAPTER]);
    expect(bed.held(1, chainOf("m", tokensOf(1024), SIZE))).toBe(1024);
    bed.refresh();
    expect([...bed.sizes]).toEqual([0, SIZE, SIZE | ADAPTER, 0, 0, SIZE, 0, 0]);
    expect(bed.held(1, chainOf("m", tokensOf(1024), SIZE))).toBe(1024);
  });

  test("don't find what is dropped, even if it was sent there", async () => {
    const bed = new Bed();
    const { feed, prompt } = await bed.holding(1024);
    bed.note(1, prompt);
    feed.index.apply(removedEvent(["63", "62", "61", "60"]));
    bed.tell("a", feed);
    expect(bed.held(1, prompt)).toBe(768);
    // What is being computed is believed, as ever.
    bed.note(1, prompt);
    expect(bed.held(1, prompt)).toBe(1024);
  });

  test("of an adapter are those of its name's root", async () => {
    const bed = new Bed();
    const sample = nodeSample({ models: [modelSample({ model: "m" }), modelSample({ model: "sql", parent: "m" })] });
    bed.target("a", ["m", "sql"], { lastSample: sample });
    const feed = bed.feed("a");
    feed.index.apply(storedEvent({ ...stored(tokensOf(512)), adapter: "sql" }));
    bed.tell("a", feed);
    bed.refresh();
    expect([bed.sizes[1], bed.sizes[2]]).toEqual([SIZE, SIZE | ADAPTER]);
    await until(() => bed.held(2, chainOf("sql", tokensOf(512), SIZE, rootKey("sql"))) === 512);
    expect(bed.held(1, chainOf("m", tokensOf(512), SIZE))).toBe(0);
  });

  test("of a prompt longer than a chain find its beginning", () => {
    const { blocks } = chainOf("m", tokensOf(tokensMax(SIZE) + 5000), SIZE);
    expect(blocks).toBe(PREFIX_BLOCKS_MAX);
    expect([strideOf(16), strideOf(1), strideOf(256), strideOf(1000)]).toEqual([16, 256, 1, 1]);
    expect([isEntry(14, 16), isEntry(15, 16), isEntry(0, 1)]).toEqual([false, true, true]);
  });
});

describe("an engine", () => {
  test("that begins anew takes what was believed of its rows with it, of text too", async () => {
    const bed = new Bed();
    bed.target("a");
    bed.target("b");
    const [feed, other] = [bed.feed("a"), bed.feed("b")];
    for (const [node, each] of [
      ["a", feed],
      ["b", other],
    ] as const) {
      each.index.apply(stored(tokensOf(1024)));
      bed.tell(node, each);
    }
    bed.refresh();
    const text = chainOf("m", tokensOf(512, 5), 4);
    for (const row of [1, 2]) bed.note(row, text);
    const prompt = chainOf("m", tokensOf(1024), SIZE);
    await until(() => bed.held(1, prompt) === 1024 && bed.held(2, prompt) === 1024);
    feed.index.apply({ kind: "cleared" });
    bed.tell("a", feed);
    expect(bed.held(1, prompt)).toBe(0);
    expect(bed.held(1, text)).toBe(0);
    expect([bed.held(2, text), bed.held(2, prompt)]).toEqual([512, 1024]);
    // What it tells then is found when the row was looked at.
    feed.index.apply(stored(tokensOf(512)));
    bed.tell("a", feed);
    bed.refresh();
    await until(() => bed.held(1, prompt) === 512);
  });

  test("whose other rank holds a block is not without it", async () => {
    const bed = new Bed();
    bed.target("a");
    const [one, two] = [bed.feed("a", 0), bed.feed("a", 1)];
    for (const each of [one, two]) {
      each.index.apply(stored(tokensOf(512)));
      bed.tell("a", each);
    }
    bed.refresh();
    const prompt = chainOf("m", tokensOf(512), SIZE);
    await until(() => bed.held(1, prompt) === 512);
    one.index.restart(true);
    bed.tell("a", one);
    expect(bed.held(1, prompt)).toBe(512);
    two.index.apply(removedEvent(hashesOf(32).slice(16)));
    bed.tell("a", two);
    expect(bed.held(1, prompt)).toBe(256);
  });

  test("of which a snapshot tells less than was known has less", async () => {
    const bed = new Bed();
    const { prompt } = await bed.holding(1024);
    const later = new IndexFeed({ slot: 0, runtime: "vllm", engine: "a 0" }, new Prng(99));
    later.index.apply(stored(tokensOf(512)));
    later.pass();
    bed.snapshot("a", later);
    expect(bed.held(1, prompt)).toBe(512);
    bed.receiver.forget("a");
    expect(bed.rows.exact.engines).toBe(0);
    bed.refresh();
    expect(bed.sizes[1]).toBe(0);
  });

  test("is not put at a row that another target has", async () => {
    const bed = new Bed();
    const { feed, prompt } = await bed.holding(512);
    bed.place("b", "m", 1);
    feed.index.apply(storedEvent({ ...stored(tokensOf(512, 3)) }));
    feed.index.apply(
      storedEvent({
        hashes: hashesOf(64).slice(32),
        parent: "31",
        tokens: tokensOf(1024).slice(512),
        blockTokens: SIZE,
      }),
    );
    bed.tell("a", feed);
    expect(bed.held(1, prompt)).toBe(0);
  });

  test("is put again when half of what its cache holds was sent there", async () => {
    const bed = new Bed();
    const sample = nodeSample({ models: [modelSample({ model: "m", kvCapacityTokens: 160 * STEP })] });
    const { feed, prompt } = await bed.holding(1024, { lastSample: sample });
    for (let round = 0; round < 6; round += 1) {
      for (let other = 0; other < 45; other += 1)
        bed.note(1, chainOf("m", tokensOf(256, 1 + round * 45 + other), SIZE));
      bed.refresh();
      await until(() => bed.rows.exact.copies === 0);
    }
    expect(bed.held(1, prompt)).toBe(1024);
    // Its node does not hear it: what it may have dropped is not put there again, until it is heard.
    feed.isHeard = false;
    bed.tell("a", feed);
    for (let other = 0; other < 200; other += 1) bed.note(1, chainOf("m", tokensOf(256, 500 + other), SIZE));
    bed.refresh();
    expect([bed.rows.exact.copies, bed.held(1, prompt)]).toEqual([0, 0]);
    feed.isHeard = true;
    bed.tell("a", feed);
    bed.refresh();
    await until(() => bed.held(1, prompt) === 1024);
    // Its engine is gone: what is not told is forgotten by and by.
    bed.receiver.forget("a");
    for (let other = 0; other < 200; other += 1) bed.note(1, chainOf("m", tokensOf(256, 900 + other), SIZE));
    bed.refresh();
    expect(bed.held(1, prompt)).toBe(0);
  });
});

/** Prompts of a tree, three ways at each block, stored and dropped from their ends as engines do. */
class Tree {
  readonly #prng: Prng;
  readonly #leaves = new Map<string, string | undefined>();

  constructor(seed: number) {
    this.#prng = new Prng(seed);
  }

  static tokens(path: string): Uint32Array {
    const tokens = new Uint32Array(path.length * STEP);
    for (const [at, branch] of path.split("").entries()) tokens.set(tokensOf(STEP, Number(branch) + 1), at * STEP);
    return tokens;
  }

  path(): string {
    return Array.from({ length: 1 + this.#prng.int(6) }, () => this.#prng.int(3)).join("");
  }

  change(feed: IndexFeed): void {
    const isParent = (path: string): boolean => [...this.#leaves.values()].includes(path);
    const ends = [...this.#leaves.keys()].filter((path) => !isParent(path));
    if (this.#prng.int(100) === 0) {
      this.#leaves.clear();
      feed.index.apply({ kind: "cleared" });
    } else if (ends.length > 0 && this.#prng.int(2) === 0) {
      const path = ends[this.#prng.int(ends.length)]!;
      this.#leaves.delete(path);
      feed.index.apply(removedEvent([path]));
    } else {
      const path = this.path();
      for (let length = 1; length <= path.length; length += 1) {
        const own = path.slice(0, length);
        if (this.#leaves.has(own)) continue;
        const parent = length === 1 ? undefined : path.slice(0, length - 1);
        this.#leaves.set(own, parent);
        const tokens = Tree.tokens(own).slice(-STEP);
        feed.index.apply(storedEvent({ hashes: [own], parent, tokens, blockTokens: STEP }));
      }
    }
  }
}

test("whatever engines do, what is found of a prompt is what is known of it", async () => {
  const seed = Number(Bun.env["SEED"] ?? 3);
  const bed = new Bed();
  const nodes = ["a", "b", "c"];
  for (const node of nodes) bed.target(node);
  const trees = nodes.map((_, at) => new Tree(seed * 10 + at));
  const feeds = nodes.map((node) => bed.feed(node));
  let found = 0;
  for (let round = 0; round < 60; round += 1) {
    for (const [at, node] of nodes.entries()) {
      for (let left = 6; left > 0; left -= 1) trees[at]!.change(feeds[at]!);
      bed.tell(node, feeds[at]!);
    }
    bed.refresh();
    await until(() => bed.rows.exact.copies === 0);
    for (let prompt = 0; prompt < 10; prompt += 1) {
      const tokens = Tree.tokens(trees[0]!.path());
      const keys = keysOf(tokens);
      const known = bed.indexes.match("m", () => keys).map(({ exact }) => exact?.tokens ?? 0);
      const chain = chainOf("m", tokens, STEP);
      expect(nodes.map((_, at) => bed.held(at + 1, chain))).toEqual(known);
      found += Math.max(...known);
    }
  }
  expect(found).toBeGreaterThan(100 * STEP);
});

function keysOf(tokens: Uint32Array): number[] {
  const keys: number[] = [];
  for (let from = 0; from < tokens.length; from += STEP) {
    keys.push(blockKey(keys.at(-1) ?? ROOT, tokens, from, from + STEP));
  }
  return keys;
}
