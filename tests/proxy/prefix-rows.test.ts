import { expect, test } from "bun:test";
import { defaultsOf } from "../../src/base/settings-reading.ts";
import type { Target } from "../../src/fleet/target.ts";
import type { PlaceInUse } from "../../src/proxy/places.ts";
import { PrefixRows } from "../../src/proxy/prefix-rows.ts";
import { seedChain } from "../../src/score/prefix-hash.ts";
import { PrefixLookup } from "../../src/score/prefix-lookup.ts";
import { prefixSettings } from "../../src/score/prefix-settings.ts";
import { TypeScriptPrefixWork } from "../../src/score/prefix-work.ts";

const ROW = 3;

function bed() {
  const rows = PrefixRows.create(
    { ...defaultsOf(prefixSettings), capacityTokens: 1024 },
    { rowsMax: 64, modelsMax: 8 },
    () => 4,
  );
  if (rows === null) throw new Error("it is on by default");
  const lookup = new PrefixLookup(rows.index);
  const work = new TypeScriptPrefixWork(lookup);
  const chain = new Int32Array(20);
  seedChain(chain, Buffer.from("m"));
  const blocks = work.hash(new Uint8Array(3000), 0, 3000, chain, 0, 9, false);
  const holds = (): number => {
    lookup.ask(chain, blocks, 256, 0);
    work.match();
    return lookup.tokensOf(ROW);
  };
  const target = { lastSample: { models: [{ model: "m" }] } } as unknown as Target;
  const refresh = (kvCapacityTokens: number | undefined): void => {
    Object.assign(target.lastSample?.models[0] ?? {}, { kvCapacityTokens });
    rows.refresh([{ target: "a", model: "m", row: ROW } as PlaceInUse], (id) => (id === "a" ? target : undefined), []);
  };
  return { rows, holds, refresh, work, note: () => work.note(0, ROW, chain, blocks) };
}

test("a row that is given to another target holds nothing, and its counts begin anew", () => {
  const { rows, holds, note } = bed();
  const reset: string[] = [];
  const counts = rows.with({
    resetRow: (row) => void reset.push(`row ${row}`),
    resetModel: (model) => void reset.push(`model ${model}`),
  });
  counts.resetRow(ROW, 7);
  note();
  expect(holds()).toBe(512);
  counts.resetModel(1);
  expect(holds()).toBe(512);
  counts.resetRow(ROW, 7);
  expect(holds()).toBe(0);
  expect(reset).toEqual([`row ${ROW}`, "model 1", `row ${ROW}`]);
});

test("a cache holds what its target tells, else what is configured", () => {
  const { rows, holds, refresh, note, work } = bed();
  rows.with({ resetRow: () => {}, resetModel: () => {} }).resetRow(ROW, 7);
  note();
  refresh(undefined);
  refresh(0);
  expect(holds()).toBe(512);
  refresh(1_000_000);
  expect(holds()).toBe(512);
  const spend = (notes: number): void => {
    for (let other = 1; other <= notes; other += 1) work.note(0, ROW, Int32Array.of(0, 0, other, -other), 1);
  };
  // As many others as would fit four times into what is configured.
  spend(16);
  expect(holds()).toBe(512);
  note();
  refresh(1024);
  spend(40);
  expect(holds()).toBe(0);
});

test("it can be turned off", () => {
  expect(
    PrefixRows.create({ ...defaultsOf(prefixSettings), enabled: false }, { rowsMax: 64, modelsMax: 8 }, () => 4),
  ).toBeNull();
});
