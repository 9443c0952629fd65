/** Prompts of token ids are read and chained alike by C and by TypeScript, and by TypeScript where there is no C. */
import { afterAll, describe, expect, test } from "bun:test";
import fc from "fast-check";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { ROOT, rootKey } from "../src/kv/block-key.ts";
import { type ChainIds, openTokenChains } from "../src/native-tokens.ts";
import { blocksOf, TokenChains, tokensMax } from "../src/proxy/token-chain.ts";
import { PREFIX_BLOCKS_MAX } from "../src/score/prefix-layout.ts";
import { HAS_COMPILER, libraryWith } from "./score/c-library.ts";

const folder = mkdtempSync(join(tmpdir(), "infermesh-tokens-"));
afterAll(() => rmSync(folder, { recursive: true, force: true }));
const encoder = new TextEncoder();
const twin = new TokenChains().chain;

test("a library that is none is done without", () => {
  const text = join(folder, "text.so");
  writeFileSync(text, "hello");
  for (const path of [text, join(folder, "nothing.so"), "libscorer.so"]) {
    expect(openTokenChains(twin, path)).toEqual({ kind: "typescript", chain: twin });
  }
});

test.skipIf(!HAS_COMPILER)("one that chains otherwise than TypeScript is done without", () => {
  const path = join(folder, "other.so");
  const source = join(folder, "other.c");
  writeFileSync(source, "int infermesh_chain_ids(void){return 600;}");
  const done = Bun.spawnSync(["cc", "-shared", "-fPIC", "-nostdlib", "-o", path, source]);
  expect(done.exitCode).toBe(0);
  expect(openTokenChains(twin, path).kind).toBe("typescript");
  expect(openTokenChains(twin, libraryWith()).kind).toBe("c");
});

/** How many ids the bytes have, and the words of their chain. */
function chained(way: ChainIds, bytes: Uint8Array, from: number, blockTokens: number, root: number) {
  const words = new Int32Array((PREFIX_BLOCKS_MAX + 1) * 2).fill(0x5eed_1234, 0, 2);
  const count = way(bytes, from, bytes.length, blockTokens, root, words);
  return { count, words: count < 0 ? [] : [...words.subarray(0, (blocksOf(count, blockTokens) + 1) * 2)] };
}

const size = fc.constantFrom(1, 2, 7, 16, 48, 128, 256, 784);
const root = fc.constantFrom(ROOT, rootKey("sql"), 2 ** 53 - 1);
/** Of each number of digits alike, and with noughts before them now and then. */
const id = fc.oneof(
  { weight: 50, arbitrary: fc.nat(128_000).map(String) },
  {
    weight: 50,
    arbitrary: fc
      .integer({ min: 1, max: 10 })
      .chain((digits) => fc.nat(Math.min(10 ** digits - 1, 0xffff_ffff)).map(String)),
  },
  { weight: 8, arbitrary: fc.constantFrom("4294967295", "00000000000000000017") },
  { weight: 1, arbitrary: fc.constantFrom("4294967296", "99999999999999999999999") },
);
const gap = fc.constantFrom(",", ", ", ",\n    ", " ,", ",  ", "\t,\r\n");

describe.skipIf(!HAS_COMPILER).each([
  ["with SSE2, where the processor has it", []],
  ["in plain C", ["-U__SSE2__"]],
])("C %s", (_way, defines) => {
  const same = (bytes: Uint8Array, from: number, blockTokens: number, on: number): number => {
    const ours = chained(openTokenChains(twin, libraryWith(...defines)).chain, bytes, from, blockTokens, on);
    expect(ours).toEqual(chained(twin, bytes, from, blockTokens, on));
    return ours.count;
  };

  test("makes the chains that TypeScript makes, however the ids are written", () => {
    let read = 0;
    let blocks = 0;
    fc.assert(
      fc.property(
        fc.array(id, { minLength: 1, maxLength: 40 }),
        fc.array(gap, { minLength: 1, maxLength: 3 }),
        fc.integer({ min: 1, max: 300 }),
        fc.integer({ min: 0, max: 70 }),
        size,
        root,
        fc.boolean(),
        (ids, gaps, times, shift, blockTokens, on, isNested) => {
          let list = "";
          for (let at = 0; at < ids.length * times; at += 1) {
            // One way for long, and another in between now and then.
            const between = at === 0 ? "" : gaps[at % 97 === 0 ? at % gaps.length : 0]!;
            list += between + ids[at % ids.length]!;
          }
          const bytes = encoder.encode(`${"x".repeat(shift)}${isNested ? `[[${list}] ]` : `[${list}]`} `);
          const count = same(bytes, shift, blockTokens, on);
          if (count > 0) read += 1;
          blocks += blocksOf(Math.max(0, count), blockTokens);
        },
      ),
      { numRuns: 400 },
    );
    // The property is worth nothing where nothing is read.
    expect(read).toBeGreaterThan(200);
    expect(blocks).toBeGreaterThan(100);
  });

  test("takes for ids what TypeScript does, whatever a byte is changed to, and wherever the text ends", () => {
    let refused = 0;
    const ids = Array.from({ length: 60 }, (_, at) => (at * 2_654_435_761) % 200_000);
    const bad = fc.oneof(fc.constantFrom(...encoder.encode('0,[] \t\n-.e"}/:;')), fc.nat(255));
    fc.assert(
      fc.property(fc.constantFrom(",", ", "), fc.nat(), bad, fc.nat(9), (between, place, byte, less) => {
        const bytes = encoder.encode(`[${ids.join(between)}]`);
        bytes[place % bytes.length] = byte;
        if (same(bytes, 0, 1, ROOT) < 0) refused += 1;
        same(bytes.slice(0, (place % bytes.length) + less), 0, 1, ROOT);
      }),
      { numRuns: 1500 },
    );
    expect(refused).toBeGreaterThan(300);
    const piece = fc.constantFrom("[", "]", ",", "1", "0", "23", " ", '"', "-", ".", "4294967296");
    fc.assert(
      fc.property(fc.array(piece, { maxLength: 30 }), (pieces) => {
        same(encoder.encode(`[1,${pieces.join("")}`), 0, 1, ROOT);
      }),
      { numRuns: 2000 },
    );
  });

  test("counts all ids of a prompt that is longer than a chain", () => {
    const count = tokensMax(16) + 1000;
    const bytes = encoder.encode(JSON.stringify(Array.from({ length: count }, (_, at) => at % 1000)));
    expect(same(bytes, 0, 16, ROOT)).toBe(count);
  });

  test("writes no more words than there is room for", () => {
    const bytes = encoder.encode(JSON.stringify(Array.from({ length: 2000 }, (_, at) => at)));
    const words = new Int32Array(12);
    const { chain } = openTokenChains(twin, libraryWith(...defines));
    expect(chain(bytes, 0, bytes.length, 16, ROOT, words.subarray(0, 8))).toBe(2000);
    expect([...words.subarray(8)]).toEqual([0, 0, 0, 0]);
    expect(words.subarray(2, 8).every((word) => word !== 0)).toBe(true);
  });

  test("nothing is no prompt", () => {
    const { chain } = openTokenChains(twin, libraryWith(...defines));
    expect(chain(new Uint8Array(0), 0, 0, 16, ROOT, new Int32Array(4))).toBe(-1);
  });
});
