/** What workers note and other routers tell, joined in the main thread. */
import { expect, test } from "bun:test";
import { defaultsOf } from "../../src/base/settings-reading.ts";
import { PrefixNotes, unpackNotes, type PrefixNote } from "../../src/proxy/prefix-notes.ts";
import { PrefixRows } from "../../src/proxy/prefix-rows.ts";
import { PREFIX_BLOCKS_MAX } from "../../src/score/prefix-layout.ts";
import { PrefixLookup } from "../../src/score/prefix-lookup.ts";
import { prefixSettings } from "../../src/score/prefix-settings.ts";
import { placeKey } from "../../src/signal/flights.ts";
import { until } from "../process/harness.ts";

const KEYS = [0, 1, 2].map((row) => placeKey(`gpu-${row}`, "m"));

function chainOf(blocks: number, seed: number): Int32Array {
  return Int32Array.from(
    { length: (blocks + 1) * 2 },
    (_, at) => Math.imul(at + seed * 1000, 0x9e3779b1) | ((at % 2) << 31),
  );
}

function bed() {
  const rows = PrefixRows.create(
    { ...defaultsOf(prefixSettings), indexBytes: 1 << 20 },
    { rowsMax: 64, modelsMax: 8 },
    () => 4,
  )!;
  const counts = rows.with({ resetModel() {}, resetRow() {} });
  for (const [row, key] of KEYS.entries()) counts.resetRow(row, key);
  const lookup = new PrefixLookup(rows.index);
  const held = (chain: Int32Array, blocks: number): number[] => {
    lookup.ask(chain, blocks, 256, 0);
    lookup.match();
    lookup.clear();
    return KEYS.map((_, row) => lookup.tokensOf(row));
  };
  return { rows, counts, held };
}

/** As a worker packs them. */
async function packed(
  ...notes: readonly [row: number, life: number, fresh: number, chain: Int32Array, blocks: number][]
) {
  const sent: Int32Array[] = [];
  const worker = new PrefixNotes(
    () => {},
    (message) => sent.push(message),
  );
  for (const note of notes) worker.add(...note);
  await until(() => sent.length > 0);
  return sent;
}

test("what another router sent to a target is believed to be there", () => {
  const { rows, held } = bed();
  const chain = chainOf(12, 1);
  rows.heard({ key: KEYS[1]!, chain, blocks: 12 });
  expect(held(chain, 12)).toEqual([0, 12 * 256, 0]);
  rows.heard({ key: placeKey("gpu-9", "m"), chain, blocks: 12 });
  expect(held(chain, 12)).toEqual([0, 12 * 256, 0]);
});

test("it is forgotten with the row's target, and what comes for that goes nowhere", () => {
  const { rows, counts, held } = bed();
  const chain = chainOf(12, 1);
  rows.heard({ key: KEYS[1]!, chain, blocks: 12 });
  const other = placeKey("gpu-7", "m");
  counts.resetRow(1, other);
  expect(held(chain, 12)).toEqual([0, 0, 0]);
  rows.heard({ key: KEYS[1]!, chain, blocks: 12 });
  expect(held(chain, 12)).toEqual([0, 0, 0]);
  rows.heard({ key: other, chain, blocks: 12 });
  expect(held(chain, 12)).toEqual([0, 12 * 256, 0]);
});

test("what a worker notes is told by the place's key, unless the row is another target's meanwhile", async () => {
  const { rows, counts } = bed();
  const told: [key: number, hashes: number[], fresh: number][] = [];
  rows.share((key, hashes, fresh) => told.push([key, [...hashes], fresh]));
  const chain = chainOf(5, 2);
  const life = rows.index.life(2);
  for (const message of await packed([2, life, 3, chain, 5], [0, rows.index.life(0) + 1, 3, chain, 5])) {
    rows.noted(message);
  }
  expect(told).toEqual([[KEYS[2]!, [...chain.subarray(2)], 3]]);
  counts.resetRow(2, KEYS[2]!);
  for (const message of await packed([2, life, 3, chain, 5])) rows.noted(message);
  expect(told.length).toBe(1);
});

test("notes go together, and at once where they fill a message", async () => {
  const chain = chainOf(PREFIX_BLOCKS_MAX, 3);
  const notes: PrefixNote[] = [];
  let messages = 0;
  let alarms = 0;
  const worker = new PrefixNotes(
    () => (alarms += 1),
    (message) => {
      messages += 1;
      notes.push(...unpackNotes(message));
    },
  );
  for (let row = 0; row < 40; row += 1) worker.add(row, 1, row, chain, PREFIX_BLOCKS_MAX);
  expect(messages).toBe(2);
  await until(() => notes.length === 40);
  expect(messages).toBe(3);
  expect(alarms).toBeGreaterThan(1);
  for (const [row, note] of notes.entries()) {
    expect(note).toEqual({ row, life: 1, fresh: row, hashes: chain.subarray(2) });
  }
});
