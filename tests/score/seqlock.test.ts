/**
 * A thread writes one of two sets of figures, over and over; each set alone gives a cost of exactly 10 or 1,000 seconds,
 * and a mixture gives another. A pick that saw a mixture must say so.
 */
import { describe, expect, test } from "bun:test";
import { PickRequest, type Picker } from "../../src/score/pick.ts";
import { TypeScriptPicker } from "../../src/score/scan.ts";
import { TableWriter } from "../../src/score/table-writer.ts";
import { ScoreTable } from "../../src/score/table.ts";
import { HAS_COMPILER, cPicker } from "./c-library.ts";
import { SEQLOCK_PROMPT, seqlockRow } from "./seqlock-rows.ts";

const PICKERS: readonly [string, (table: ScoreTable) => Picker][] = [
  ["TypeScript", (table) => new TypeScriptPicker(table)],
  ...(HAS_COMPILER ? [["C", cPicker] as [string, (table: ScoreTable) => Picker]] : []),
];
const PICKS = 60_000;
const TIME_MAX_MS = 3000;

describe.each(PICKERS)("a writer beside the %s picker", (_, open) => {
  test("is never seen half done", async () => {
    const table = ScoreTable.create({ targetsMax: 64, modelsMax: 1, workersMax: 1 });
    const worker = new Worker(new URL("./seqlock-writer.ts", import.meta.url).href);
    try {
      const ready = new Promise<void>((resolve, reject) => {
        worker.addEventListener("message", () => resolve(), { once: true });
        worker.addEventListener("error", (event) => reject(new Error(event.message)), { once: true });
      });
      worker.postMessage(table.buffer);
      await ready;
      const picker = open(table);
      const request = new PickRequest();
      request.model = 0;
      request.promptTokens = SEQLOCK_PROMPT;
      const seen = new Map<number, number>();
      let torn = 0;
      const started = performance.now();
      for (let count = 0; count < PICKS && performance.now() - started < TIME_MAX_MS; count += 1) {
        expect(picker.pick(request)).toBe(0);
        if (request.torn > 0) torn += 1;
        else seen.set(request.cost, (seen.get(request.cost) ?? 0) + 1);
      }
      expect([...seen.keys()].sort((a, b) => a - b)).toEqual([10, 1000]);
      // The writer rests between changes, so a block is readable nearly always.
      expect(torn).toBeLessThan(PICKS / 2);
    } finally {
      worker.terminate();
    }
  });
});

describe("the two sets of figures", () => {
  test("cost 10 and 1,000 seconds, and nothing in between mixes to either", () => {
    const table = ScoreTable.create({ targetsMax: 64, modelsMax: 1, workersMax: 1 });
    const writer = new TableWriter(table);
    const row = writer.addRow(writer.addModel());
    const request = new PickRequest();
    request.promptTokens = SEQLOCK_PROMPT;
    const cost = (values: ReturnType<typeof seqlockRow>) => {
      writer.write(row, values);
      expect(new TypeScriptPicker(table).pick(request)).toBe(row);
      return request.cost;
    };
    expect([cost(seqlockRow(false)), cost(seqlockRow(true))]).toEqual([10, 1000]);
    const [a, b] = [seqlockRow(false), seqlockRow(true)];
    for (const name of ["secondsPerPrefillToken", "secondsPerActive", "kvOffset", "penaltySeconds"] as const) {
      expect([10, 1000]).not.toContain(cost({ ...a, [name]: b[name] }));
      expect([10, 1000]).not.toContain(cost({ ...b, [name]: a[name] }));
    }
  });
});
