import { describe, expect, test } from "bun:test";
import { openPrefixWork } from "../../src/native.ts";
import { hashBlocks, seedChain } from "../../src/score/prefix-hash.ts";
import { PrefixIndex } from "../../src/score/prefix-index.ts";
import { FURTHER_MAX, HOLDERS, SET } from "../../src/score/prefix-layout.ts";
import { PrefixLookup } from "../../src/score/prefix-lookup.ts";
import { type PrefixWork, TypeScriptPrefixWork } from "../../src/score/prefix-work.ts";
import { HAS_COMPILER, libraryWith } from "./c-library.ts";

const BLOCK = 1024;
const TOKENS = 256;

interface Prompt {
  readonly chain: Int32Array;
  readonly blocks: number;
}

/** A prompt of these blocks, each told by a number. */
function prompt(...blocks: readonly number[]): Prompt {
  const chain = new Int32Array((blocks.length + 1) * 2);
  seedChain(chain, Buffer.from("m"));
  for (const [at, block] of blocks.entries()) {
    hashBlocks(new Uint8Array(BLOCK).fill(block), 0, BLOCK, chain, at, blocks.length, false);
  }
  return { chain, blocks: blocks.length };
}

function range(start: number, count: number): number[] {
  return Array.from({ length: count }, (_, at) => start + at);
}

describe("hashes", () => {
  const hashes = (text: string): number[] => {
    const chain = new Int32Array(100);
    seedChain(chain, Buffer.from("m"));
    const bytes = Buffer.from(text);
    return [...chain.subarray(2, 2 + 2 * hashBlocks(bytes, 0, bytes.length, chain, 0, 49, false))];
  };
  const text = Array.from({ length: 900 }, (_, at) => `word ${at} `).join("");

  test("are the same as far as prompts are, and others from there on", () => {
    const [ours, theirs] = [hashes(text), hashes(`${text.slice(0, 3000)}!${text.slice(3001)}`)];
    expect(ours.length).toBe(Math.floor(text.length / BLOCK) * 2);
    expect(theirs.slice(0, 4)).toEqual(ours.slice(0, 4));
    for (let at = 4; at < ours.length; at += 1) expect(theirs[at]).not.toBe(ours[at]);
  });

  test("have a sign bit in their upper half, which makes them no claim and no gap", () => {
    for (let at = 1; at < hashes(text).length; at += 2) expect(hashes(text)[at]).toBeLessThan(0);
  });

  test("are others for another model", () => {
    const chains = ["m", "n"].map((name) => {
      const chain = new Int32Array(4);
      seedChain(chain, Buffer.from(name));
      hashBlocks(new Uint8Array(BLOCK), 0, BLOCK, chain, 0, 1, false);
      return [...chain];
    });
    expect(chains[0]).not.toEqual(chains[1]);
  });
});

const WAYS = HAS_COMPILER ? (["c", "typescript"] as const) : (["typescript"] as const);

describe.each(WAYS)("the prefix index by %s", (kind) => {
  function bed(bytes = 1 << 20, rows = 128) {
    const index = PrefixIndex.create(bytes, rows);
    const lookup = new PrefixLookup(index);
    const work: PrefixWork = kind === "c" ? openPrefixWork(lookup, libraryWith()) : new TypeScriptPrefixWork(lookup);
    expect(work.kind).toBe(kind);
    const note = (row: number, { chain, blocks }: Prompt): number => work.note(0, row, chain, blocks);
    const homes = ({ chain, blocks }: Prompt) => {
      lookup.ask(chain, blocks, TOKENS, 0);
      work.match();
      return lookup.homes();
    };
    return { index, note, homes, lookup };
  }

  test("tells who was sent how much of a prompt", () => {
    const { index, note, homes } = bed();
    for (const row of [3, 4]) index.reset(row, 100_000, 4);
    expect(note(3, prompt(1, 2, 3))).toBe(3);
    expect(note(4, prompt(1, 9))).toBe(2);
    expect(homes(prompt(1, 2, 3, 4, 5))).toEqual([
      { row: 3, tokens: 3 * TOKENS },
      { row: 4, tokens: TOKENS },
    ]);
    expect(homes(prompt(2, 3))).toEqual([]);
    // What it holds already is no work.
    expect(note(4, prompt(1, 2))).toBe(1);
    expect(index.entries).toBe(4);
  });

  test("knows nothing of a row that was never given to a target", () => {
    const { note, homes } = bed();
    expect(note(3, prompt(1, 2))).toBe(0);
    expect(homes(prompt(1, 2))).toEqual([]);
  });

  test("forgets a row that is given to another target, and knows what that is sent", () => {
    const { index, note, homes } = bed();
    index.reset(3, 100_000, 4);
    note(3, prompt(1, 2));
    index.reset(3, 100_000, 4);
    expect(homes(prompt(1, 2))).toEqual([]);
    note(3, prompt(1));
    expect(homes(prompt(1, 2))).toEqual([{ row: 3, tokens: TOKENS }]);
  });

  test("believes as much of a row as its cache holds, what was used last first", () => {
    const { index, note, homes } = bed();
    // 64 blocks.
    index.reset(3, 64 * TOKENS, 4);
    note(3, prompt(1, 2));
    for (let other = 0; other < 30; other += 1) note(3, prompt(100 + other));
    expect(homes(prompt(1, 2))).toEqual([{ row: 3, tokens: 2 * TOKENS }]);
    note(3, prompt(1, 2));
    for (let other = 0; other < 30; other += 1) note(3, prompt(150 + other));
    expect(homes(prompt(1, 2)).length).toBe(1);
    expect(homes(prompt(100))).toEqual([]);
    for (let other = 0; other < 10; other += 1) note(3, prompt(200 + other));
    expect(homes(prompt(1, 2))).toEqual([]);
  });

  test("what a row is told to hold is found until it is told otherwise, and takes none of its volume", () => {
    const { index, note, homes } = bed();
    index.reset(3, 64_000, 4);
    index.put(9, 40, 1, -1);
    const { chain, blocks } = prompt(1, 2, 3);
    const each = (act: (lo: number, hi: number) => void, from = 1): void => {
      for (let block = from; block <= blocks; block += 1) act(chain[block * 2]!, chain[block * 2 + 1]!);
    };
    each((lo, hi) => index.put(9, 3, lo, hi));
    expect(homes({ chain, blocks })).toEqual([{ row: 3, tokens: 3 * TOKENS }]);
    expect(index.blocksOf(3)).toBe(0);
    each((lo, hi) => index.drop(3, lo, hi), 3);
    expect(homes({ chain, blocks })).toEqual([{ row: 3, tokens: 2 * TOKENS }]);
    index.drop(4, chain[2]!, chain[3]!);
    index.drop(3, 77, -77);
    note(3, { chain, blocks });
    expect(homes({ chain, blocks })).toEqual([{ row: 3, tokens: 3 * TOKENS }]);
    each((lo, hi) => index.drop(3, lo, hi));
    expect(homes({ chain, blocks })).toEqual([]);
  });

  test("a row is dropped of a block that many hold, and nobody else is", () => {
    const { index, homes, lookup } = bed();
    const { chain, blocks } = prompt(1);
    for (let row = 0; row < 30; row += 1) {
      index.reset(row, 64_000, 4);
      index.put(9, row, chain[2]!, chain[3]!);
    }
    const rows = (): number[] => {
      homes({ chain, blocks });
      return range(0, 30).filter((row) => lookup.tokensOf(row) > 0);
    };
    const before = rows();
    expect(before.length).toBeGreaterThan(20);
    for (const row of [2, 7, 19]) index.drop(row, chain[2]!, chain[3]!);
    expect(rows()).toEqual(before.filter((row) => ![2, 7, 19].includes(row)));
  });

  test("another capacity forgets nothing, and counts from then on", () => {
    const { index, note, homes } = bed();
    index.reset(3, 16 * TOKENS, 4);
    note(3, prompt(1));
    for (let other = 0; other < 4; other += 1) note(3, prompt(100 + other));
    // What is noted takes two blocks of volume: of 16, ten are used.
    index.setCapacity(3, 16 * TOKENS, 4);
    expect(homes(prompt(1)).length).toBe(1);
    index.setCapacity(3, 160 * TOKENS, 4);
    expect(homes(prompt(1)).length).toBe(1);
    for (let other = 0; other < 20; other += 1) note(3, prompt(200 + other));
    expect(homes(prompt(1)).length).toBe(1);
    for (let other = 0; other < 60; other += 1) note(3, prompt(300 + other));
    expect(homes(prompt(1))).toEqual([]);
    index.setCapacity(3, 16 * TOKENS, 4);
    expect(homes(prompt(359)).length).toBe(1);
    for (let other = 0; other < 12; other += 1) note(3, prompt(400 + other));
    expect(homes(prompt(359))).toEqual([]);
  });

  test("steps that are more than can be counted in the new size begin anew", () => {
    const { index, note, homes } = bed();
    index.reset(3, TOKENS, 4);
    note(3, prompt(1));
    note(3, prompt(2));
    index.setCapacity(3, 2 ** 31 * TOKENS * 16, 4);
    expect(homes(prompt(1))).toEqual([]);
    note(3, prompt(1));
    expect(homes(prompt(1)).length).toBe(1);
  });

  test("finds the rest of a prompt behind a few blocks that made room", () => {
    const { index, note, homes } = bed();
    index.reset(3, 1e6, 4);
    const long = prompt(...range(0, 20));
    note(3, long);
    const drop = (block: number): void => {
      const at = index.find(long.chain[block * 2 + 2]!, long.chain[block * 2 + 3]!);
      index.words[at + SET.hi] = 0;
    };
    for (const block of [5, 6, 7]) drop(block);
    expect(homes(long)).toEqual([{ row: 3, tokens: 20 * TOKENS }]);
    for (const block of [8, 9, 10, 11, 12]) drop(block);
    expect(homes(long)).toEqual([{ row: 3, tokens: 5 * TOKENS }]);
  });

  test("tells of all that hold a hot prefix, up to the stated number", () => {
    const { index, note, homes, lookup } = bed();
    const most = (FURTHER_MAX + 1) * HOLDERS;
    const shared = range(0, 8);
    for (let row = 0; row < 128; row += 1) {
      index.reset(row, 1e6, 4);
      if (row < most) note(row, prompt(...shared, 100 + row));
    }
    homes(prompt(...shared, 100));
    expect(lookup.touchedCount).toBe(most);
    for (let row = 1; row < most; row += 1) expect(lookup.tokensOf(row)).toBe(8 * TOKENS);
    expect(homes(prompt(...shared, 100))[0]).toEqual({ row: 0, tokens: 9 * TOKENS });
    expect(homes(prompt(...shared, 100)).length).toBe(8);
    for (let row = most; row < 128; row += 1) note(row, prompt(...shared));
    homes(prompt(...shared));
    expect(lookup.touchedCount).toBeLessThanOrEqual(most);
    expect(lookup.tokensOf(127)).toBe(8 * TOKENS);
  });

  test("makes room in the order in which blocks were noted", () => {
    const { index, note, homes } = bed(1024 * 128);
    index.reset(3, 1e9, 4);
    const prompts = range(0, 600).map((seed) => prompt(seed, seed >> 8, 1, 2, 3, 4, 5, 6));
    for (const one of prompts) note(3, one);
    expect(index.evictions).toBeGreaterThan(0);
    expect(index.entries).toBeLessThanOrEqual(index.entriesMax);
    const known = (from: number, to: number): number =>
      prompts.slice(from, to).filter((one) => homes(one).some(({ tokens }) => tokens === 8 * TOKENS)).length;
    expect(known(500, 600)).toBeGreaterThan(known(0, 100));
    expect(known(590, 600)).toBe(10);
  });

  test("a worker that died in the middle of an entry keeps nobody from it", () => {
    const { index, note, homes } = bed(128);
    index.reset(3, 1e9, 4);
    // One set of four, each begun by a worker that is no more.
    const first = index.words.length - 32;
    for (let way = 0; way < 4; way += 1) index.words[first + SET.hi + way] = 7;
    expect(homes(prompt(1))).toEqual([]);
    note(3, prompt(1));
    expect(homes(prompt(1))).toEqual([{ row: 3, tokens: TOKENS }]);
    expect([index.entries, index.evictions]).toEqual([0, 0]);
  });
});
