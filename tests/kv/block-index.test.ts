import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { blockKey, bytesKey, ROOT, rootKey } from "../../src/kv/block-key.ts";
import { BLOCK_TOKENS_MAX, BlockIndex } from "../../src/kv/block-index.ts";
import { MEDIUM } from "../../src/kv/event.ts";
import { BLOCK_TOKENS, Engine, removedEvent, storedEvent } from "./engine.ts";

/** The keys of the blocks of tokens 0, 1, 2, ... as `storedEvent` stores them. */
function keysOf(blocks: number, root = ROOT): number[] {
  const tokens = Array.from({ length: blocks * BLOCK_TOKENS }, (_, at) => at);
  const keys: number[] = [];
  let parent = root;
  for (let at = 0; at < blocks; at += 1)
    keys.push((parent = blockKey(parent, tokens, at * BLOCK_TOKENS, (at + 1) * BLOCK_TOKENS)));
  return keys;
}

/** Made once; whoever changes them changes the protocol. */
const KNOWN = {
  plain: 4919881155184071,
  second: 4985301503098938,
  extra: 5264071872839708,
  adapter: 975768342198163,
  bytes: 8819875922593156,
};

describe("keys of blocks", () => {
  test("are the same in every version: nodes and routers compare them", () => {
    expect(blockKey(ROOT, [1, 2, 3, 4], 0, 4)).toBe(KNOWN.plain);
    expect(blockKey(KNOWN.plain, [5, 6, 128_000, 4_294_967_295], 0, 4)).toBe(KNOWN.second);
    expect(blockKey(ROOT, [1, 2, 3, 4], 0, 4, 77)).toBe(KNOWN.extra);
    expect(rootKey("sql")).toBe(KNOWN.adapter);
    expect(bytesKey(Uint8Array.of(1, 2, 3), 0, 3)).toBe(KNOWN.bytes);
    expect(rootKey("")).toBe(ROOT);
  });

  test("differ where anything does: a token, their order, their number, what precedes them, what else goes in", () => {
    const keys = [
      blockKey(0, [1, 2], 0, 2),
      blockKey(0, [2, 1], 0, 2),
      blockKey(0, [1, 2, 0], 0, 3),
      blockKey(0, [1, 2, 0], 0, 2, 1),
      blockKey(1, [1, 2], 0, 2),
      blockKey(2 ** 32, [1, 2], 0, 2),
      blockKey(0, [1, 2], 0, 1),
      blockKey(0, [], 0, 0),
    ];
    expect(new Set(keys).size).toBe(keys.length);
    expect(blockKey(0, [9, 1, 2, 9], 1, 3)).toBe(keys[0]!);
  });

  test("200,000 blocks of like tokens have 200,000 keys of 53 bits, each bit of them in use", () => {
    const keys = new Set<number>();
    const ones = Array<number>(53).fill(0);
    for (let at = 0; at < 200_000; at += 1) {
      const key = blockKey(at & 1, [at >> 1, 0, 0], 0, 3);
      expect(Number.isSafeInteger(key) && key > 0).toBe(true);
      keys.add(key);
      if (at < 4096) for (let bit = 0; bit < 53; bit += 1) ones[bit]! += Math.floor(key / 2 ** bit) % 2;
    }
    expect(keys.size).toBe(200_000);
    // 4,096 throws of a coin: 2,048, with a deviation of 32.
    for (const count of ones) expect(Math.abs(count - 2048)).toBeLessThan(192);
  });
});

describe("the blocks of an engine", () => {
  test("are found by their keys as far as they are held", () => {
    const index = new BlockIndex();
    index.apply(storedEvent({ hashes: ["a", "b", "c"] }));
    const keys = keysOf(4);
    expect(index.matched(keys)).toEqual({ blocks: 3, tokens: 12 });
    index.apply(removedEvent(["b"]));
    expect(index.matched(keys)).toEqual({ blocks: 1, tokens: 4 });
    expect(index.size).toBe(2);
    expect(index.matched(keysOf(3, rootKey("sql")))).toEqual({ blocks: 0, tokens: 0 });
  });

  test("the last block of a request may be short", () => {
    const index = new BlockIndex();
    index.apply(storedEvent({ hashes: ["a", "b"], tokens: Uint32Array.of(0, 1, 2, 3, 4, 5) }));
    const [first] = keysOf(1);
    expect(index.matched([first!, blockKey(first!, [4, 5], 0, 2)])).toEqual({ blocks: 2, tokens: 6 });
  });

  test("a block lies at several places until it lies nowhere", () => {
    const index = new BlockIndex();
    const [key] = keysOf(1);
    index.apply(storedEvent({ hashes: ["a"] }));
    index.apply(storedEvent({ hashes: ["a"], tokens: new Uint32Array(0), blockTokens: 0, medium: MEDIUM.cpu }));
    index.apply(removedEvent(["a"]));
    expect(index.get(key!)?.media).toBe(MEDIUM.cpu);
    expect(index.matched([key!], MEDIUM.gpu).blocks).toBe(0);
    expect(index.matched([key!], MEDIUM.gpu | MEDIUM.cpu).blocks).toBe(1);
    index.apply(removedEvent(["a"], MEDIUM.disk));
    expect(index.size).toBe(1);
    index.apply(removedEvent(["a"], MEDIUM.cpu));
    expect(index.size).toBe(0);
  });

  test("one whose parent nobody knows is left out, and makes the index partial", () => {
    const index = new BlockIndex();
    index.restart(true);
    expect(index.isPartial).toBe(false);
    index.apply(storedEvent({ hashes: ["x", "y"], parent: "unheard" }));
    expect(index).toMatchObject({ size: 0, isPartial: true });
    expect(index.stats.unrooted).toBe(2);
    index.apply({ kind: "cleared" });
    expect(index.isPartial).toBe(false);
  });

  test("tokens that do not go with the hashes are of no use", () => {
    const index = new BlockIndex();
    index.restart(true);
    index.apply(storedEvent({ hashes: ["a"], tokens: new Uint32Array(8) }));
    index.apply(storedEvent({ hashes: ["a"], blockTokens: 0 }));
    const wide = BLOCK_TOKENS_MAX + 1;
    index.apply(storedEvent({ hashes: ["a"], tokens: new Uint32Array(wide), blockTokens: wide }));
    expect(index).toMatchObject({ size: 0, isPartial: true });
    expect(index.stats.unusable).toBe(3);
  });

  test("of several caches the first with whole prefixes is followed", () => {
    const index = new BlockIndex();
    index.restart(true);
    index.apply(storedEvent({ hashes: ["w"], group: 0, isWhole: false }));
    index.apply(storedEvent({ hashes: ["a"], group: 1 }));
    index.apply(storedEvent({ hashes: ["b"], group: 2, adapter: "other" }));
    index.apply({ kind: "removed", hashes: ["a"], medium: MEDIUM.gpu, group: 0 });
    expect(index).toMatchObject({ size: 1, isPartial: false });
    expect(index.stats.otherGroups).toBe(3);
    index.apply({ kind: "removed", hashes: ["a"], medium: MEDIUM.gpu, group: 1 });
    expect(index.size).toBe(0);
  });

  test("two hashes of one key: the later one stands for the block", () => {
    const index = new BlockIndex();
    index.apply(storedEvent({ hashes: ["a"] }));
    index.apply(storedEvent({ hashes: ["A"], medium: MEDIUM.cpu }));
    expect(index.size).toBe(1);
    index.apply(removedEvent(["a"], 15));
    expect(index.size).toBe(1);
    index.apply(removedEvent(["A"], 15));
    expect(index.size).toBe(0);
  });

  test("are those that a plain map of them has, whatever happens", () => {
    fc.assert(
      fc.property(fc.nat(), fc.integer({ min: 1, max: 400 }), (seed, events) => {
        const engine = new Engine(seed);
        const index = new BlockIndex();
        index.restart(true);
        for (let left = events; left > 0; left -= 1) index.apply(engine.next());
        const known = Array.from(
          index.blocks(),
          ({ hash, key, parent, depth, media }) => [hash, { key, parent, depth, media }] as const,
        );
        expect(new Map(known)).toEqual(engine.held);
        expect(index.stats.unrooted).toBe(0);
        expect(index.isPartial).toBe(false);
      }),
      { numRuns: 150 },
    );
  });

  test("are never more than the limit, and still whole prefixes of what the engine holds", () => {
    fc.assert(
      fc.property(fc.nat(), fc.integer({ min: 16, max: 80 }), (seed, blocksMax) => {
        const engine = new Engine(seed);
        const index = new BlockIndex(blocksMax);
        index.restart(true);
        let evicted = 0;
        for (let left = 300; left > 0; left -= 1) {
          const event = engine.next();
          if (event.kind === "removed") continue;
          index.apply(event);
          expect(index.size).toBeLessThanOrEqual(blocksMax);
          if (event.kind === "cleared") expect(index).toMatchObject({ size: 0, isPartial: false });
          else if (index.stats.evicted > evicted) expect(index.isPartial).toBe(true);
          evicted = index.stats.evicted;
          for (const { hash, parent, depth } of index.blocks()) {
            if (depth > 0) expect(index.get(parent)).toBeDefined();
            expect(hash.length).toBeGreaterThan(0);
          }
        }
      }),
      { numRuns: 30 },
    );
  });

  test("the deepest leave first, among equals the oldest", () => {
    const index = new BlockIndex(32);
    index.apply(storedEvent({ hashes: Array.from({ length: 8 }, (_, at) => `deep${at}`) }));
    for (let at = 0; at < 24; at += 1)
      index.apply(storedEvent({ hashes: [`r${at}`], tokens: new Uint32Array(4).fill(1000 + at) }));
    expect(index.size).toBe(32);
    index.apply(storedEvent({ hashes: ["last"], tokens: new Uint32Array(4).fill(7) }));
    // One too many, and a sixteenth of the limit.
    expect(index.size).toBe(30);
    expect(index.matched(keysOf(8)).blocks).toBe(5);
    const wide = new BlockIndex(32);
    for (let at = 0; at <= 32; at += 1)
      wide.apply(storedEvent({ hashes: [`r${at}`], tokens: new Uint32Array(4).fill(1000 + at) }));
    expect([...wide.blocks()].map(({ hash }) => hash)).toEqual(Array.from({ length: 30 }, (_, at) => `r${at + 3}`));
    expect(wide.stats.evicted).toBe(3);
  });
});
