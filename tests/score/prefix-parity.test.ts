import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { Prng } from "../../src/base/prng.ts";
import { openPrefixWork } from "../../src/native.ts";
import { PickRequest } from "../../src/score/pick.ts";
import { TypeScriptPicker } from "../../src/score/scan.ts";
import { hashBlocks, seedChain } from "../../src/score/prefix-hash.ts";
import { PrefixIndex } from "../../src/score/prefix-index.ts";
import { PREFIX_BLOCKS_MAX } from "../../src/score/prefix-layout.ts";
import { PrefixLookup } from "../../src/score/prefix-lookup.ts";
import { type PrefixWork, TypeScriptPrefixWork } from "../../src/score/prefix-work.ts";
import { TableWriter } from "../../src/score/table-writer.ts";
import { ScoreTable } from "../../src/score/table.ts";
import { HAS_COMPILER, cPicker, libraryWith } from "./c-library.ts";
import { anyRow } from "./rows.ts";

const ROWS = 256;

/** Two indexes that get the same work, one by C. */
function pair(bytes: number): { ours: PrefixWork; theirs: PrefixWork } {
  const [a, b] = [PrefixIndex.create(bytes, ROWS), PrefixIndex.create(bytes, ROWS)];
  for (const index of [a, b]) for (let row = 0; row < ROWS; row += 1) index.reset(row, 4000 + row * 100, 4);
  return {
    ours: openPrefixWork(new PrefixLookup(a), libraryWith()),
    theirs: new TypeScriptPrefixWork(new PrefixLookup(b)),
  };
}

/** A chain of blocks out of few families of prompts, so that many begin alike. */
function anyChain(prng: Prng, families: number): { chain: Int32Array; blocks: number } {
  const blocks = 1 + prng.int(60);
  const chain = new Int32Array((blocks + 1) * 2);
  seedChain(chain, new TextEncoder().encode(`family ${prng.int(families)}`));
  const shared = 1 + prng.int(blocks);
  const other = prng.nextU32();
  const bytes = new Uint8Array(1024);
  for (let block = 0; block < blocks; block += 1) {
    new DataView(bytes.buffer).setUint32(0, block < shared ? block : other + block);
    hashBlocks(bytes, 0, bytes.length, chain, block, blocks, false);
  }
  return { chain, blocks };
}

describe.skipIf(!HAS_COMPILER)("C", () => {
  test("opens", () => {
    const { ours } = pair(65_536);
    expect(ours.kind).toBe("c");
  });

  test("hashes the same bits as TypeScript, at any place and of any length", () => {
    const { ours } = pair(4096);
    fc.assert(
      fc.property(
        fc.uint8Array({ maxLength: 5000 }),
        fc.nat(40),
        fc.nat(4),
        fc.boolean(),
        (bytes, start, blocks, rest) => {
          const begin = Math.min(start, bytes.length);
          const chains = [new Int32Array(32), new Int32Array(32)] as const;
          for (const chain of chains) {
            seedChain(chain, bytes.subarray(0, 7));
            for (let word = 2; word <= blocks * 2 + 1; word += 1) chain[word] = word * 0x1234567;
          }
          const of = (work: PrefixWork["hash"], chain: Int32Array): number =>
            work(bytes, begin, bytes.length, chain, blocks, 7, rest);
          expect(of((...all) => ours.hash(...all), chains[0])).toBe(of(hashBlocks, chains[1]));
          expect(chains[0]).toEqual(chains[1]);
        },
      ),
      { numRuns: 500 },
    );
  });

  test("notes and finds the same as TypeScript, and leaves the same words", () => {
    let found = 0;
    let crowds = 0;
    let evictions = 0;
    fc.assert(
      fc.property(
        fc.nat(),
        fc.constantFrom(512, 8192, 1 << 20),
        fc.integer({ min: 1, max: 6 }),
        (seed, size, families) => {
          const prng = new Prng(seed);
          const { ours, theirs } = pair(size);
          for (let step = 0; step < 120; step += 1) {
            const { chain, blocks } = anyChain(prng, families);
            const row = prng.int(ROWS);
            const worker = prng.int(8);
            if (prng.int(20) === 0) for (const { lookup } of [ours, theirs]) lookup.index.reset(row, 9000, 4);
            expect(ours.note(worker, row, chain, blocks)).toBe(theirs.note(worker, row, chain, blocks));
            const asked = anyChain(prng, families);
            for (const { lookup } of [ours, theirs]) lookup.ask(asked.chain, asked.blocks, 256.5, 100.25);
            ours.match();
            theirs.match();
            expect(ours.lookup.touchedCount).toBe(theirs.lookup.touchedCount);
            expect(ours.lookup.homes()).toEqual(theirs.lookup.homes());
            if (ours.lookup.touchedCount > 0) found += 1;
            if (ours.lookup.touchedCount > 5) crowds += 1;
          }
          expect(Buffer.from(ours.lookup.index.buffer).equals(Buffer.from(theirs.lookup.index.buffer))).toBe(true);
          expect(ours.lookup.touched).toEqual(theirs.lookup.touched);
          expect(ours.lookup.cached.every((tokens) => tokens === 0)).toBe(true);
          evictions += ours.lookup.index.evictions;
        },
      ),
      { numRuns: 40 },
    );
    // The property is worth nothing if it never meets these.
    expect(found).toBeGreaterThan(1000);
    expect(crowds).toBeGreaterThan(300);
    expect(evictions).toBeGreaterThan(1000);
  });

  test("picks the same row at the same bits of cost with what rows have cached, whatever a miss costs", () => {
    let moved = 0;
    fc.assert(
      fc.property(fc.nat(), (seed) => {
        const prng = new Prng(seed);
        const table = ScoreTable.create({ targetsMax: ROWS, modelsMax: 1, workersMax: 1 });
        const writer = new TableWriter(table);
        const model = writer.addModel();
        for (let count = 0; count < ROWS; count += 1) {
          const row = writer.addRow(model);
          writer.write(row, anyRow(prng, false));
          table.tryBegin(0, row, prng.int(20_000));
        }
        const { ours, theirs } = pair(1 << 18);
        const c = cPicker(table);
        const twin = new TypeScriptPicker(table);
        const [a, b, plain] = [new PickRequest(), new PickRequest(), new PickRequest()];
        a.prefix = ours.lookup;
        b.prefix = theirs.lookup;
        for (let step = 0; step < 40; step += 1) {
          const { chain, blocks } = anyChain(prng, 3);
          const rows = Array.from({ length: 30 }, () => prng.int(ROWS));
          for (const work of [ours, theirs]) {
            for (const row of rows) work.note(0, row, chain, blocks);
            work.lookup.ask(chain, blocks, 256, 0);
          }
          const prompt = blocks * 256 * prng.next() * 2;
          const [miss, tieSeed] = [prng.int(3), prng.nextU32()];
          for (const request of [a, b, plain]) {
            request.model = model;
            request.promptTokens = prompt;
            request.missWeight = miss;
            request.seed = tieSeed;
          }
          const picked = c.pick(a);
          expect(picked).toBe(twin.pick(b));
          expect([a.cost, a.ties, a.torn, a.cachedTokens]).toEqual([b.cost, b.ties, b.torn, b.cachedTokens]);
          expect(a.cachedTokens).toBe(ours.lookup.tokensOf(picked));
          if (c.pick(plain) !== picked) moved += 1;
        }
      }),
      { numRuns: 30 },
    );
    expect(moved).toBeGreaterThan(30);
  });

  test("goes by no more blocks than a chain may have", () => {
    const { ours, theirs } = pair(1 << 20);
    const bytes = new Uint8Array((PREFIX_BLOCKS_MAX + 3) * 1024).fill(65);
    for (const work of [ours, theirs]) {
      work.lookup.index.reset(255, 1e6, 4);
      const chain = new Int32Array((PREFIX_BLOCKS_MAX + 1) * 2);
      expect(work.hash(bytes, 0, bytes.length, chain, 0, PREFIX_BLOCKS_MAX, true)).toBe(PREFIX_BLOCKS_MAX);
      work.note(0, 255, chain, PREFIX_BLOCKS_MAX);
      work.lookup.ask(chain, PREFIX_BLOCKS_MAX, 256, 0);
      work.match();
      expect(work.lookup.homes()).toEqual([{ row: 255, tokens: PREFIX_BLOCKS_MAX * 256 }]);
    }
  });
});
