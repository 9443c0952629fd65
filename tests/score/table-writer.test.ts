import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { BLOCK_WORD, BLOCK_WORDS, MODELS_WORD } from "../../src/score/layout.ts";
import { PickRequest } from "../../src/score/pick.ts";
import { isKvFull, isPaced } from "../../src/score/row-marks.ts";
import { TypeScriptPicker } from "../../src/score/scan.ts";
import { TableWriter } from "../../src/score/table-writer.ts";
import { ScoreTable } from "../../src/score/table.ts";
import { PLAIN } from "./rows.ts";

function fresh(targetsMax = 192, modelsMax = 3) {
  const table = ScoreTable.create({ targetsMax, modelsMax, workersMax: 2 });
  return { table, writer: new TableWriter(table) };
}

/** The rows of a model as a reader of the table finds them: every lane below `used` of every block of the list. */
function blocksInTable(table: ScoreTable, model: number): { block: number; used: number }[] {
  const found: { block: number; used: number }[] = [];
  let link = table.words[MODELS_WORD + model] ?? 0;
  while (link !== 0) {
    const base = table.blocksWord + (link - 1) * BLOCK_WORDS;
    expect(table.words[base + BLOCK_WORD.model]).toBe(model + 1);
    expect((table.words[base + BLOCK_WORD.sequence] ?? 1) % 2).toBe(0);
    found.push({ block: link - 1, used: table.words[base + BLOCK_WORD.used] ?? -1 });
    expect(found.length).toBeLessThan(1000);
    link = table.words[base + BLOCK_WORD.next] ?? 0;
  }
  return found;
}

describe("TableWriter", () => {
  test("gives each model blocks of its own, until there are none", () => {
    const { writer } = fresh(128, 3);
    const [a, b, c] = [writer.addModel(), writer.addModel(), writer.addModel()];
    expect(new Set([a, b, c]).size).toBe(3);
    expect(writer.addModel()).toBe(-1);
    const first = writer.addRow(a);
    const second = writer.addRow(b);
    expect(first >> 6).not.toBe(second >> 6);
    expect(writer.addRow(c)).toBe(-1);
    for (let count = 1; count < 64; count += 1) expect(writer.addRow(a) >> 6).toBe(first >> 6);
    expect(writer.addRow(a)).toBe(-1);
    expect(writer.rowsOf(a).length).toBe(64);
  });

  test("marks each row by itself, and none of a row that is free", () => {
    const { writer, table } = fresh();
    const model = writer.addModel();
    const rows = Array.from({ length: 64 }, () => writer.addRow(model));
    const marked = (): readonly number[][] => [isPaced, isKvFull].map((is) => rows.filter((row) => is(table, row)));
    for (const row of rows) writer.write(row, { ...PLAIN, isPaced: row % 3 === 0, isKvFull: row % 5 === 0 });
    expect(marked()).toEqual([3, 5].map((by) => rows.filter((row) => row % by === 0)));
    for (const row of rows) if (row % 2 === 0) writer.write(row, PLAIN);
    expect(marked()).toEqual([3, 5].map((by) => rows.filter((row) => row % by === 0 && row % 2 > 0)));
    for (const row of rows) writer.removeRow(row);
    expect(marked()).toEqual([[], []]);
  });

  test("refuses unknown models, rows that are not in use, and figures that are not finite or too large", () => {
    const { writer } = fresh();
    const model = writer.addModel();
    const row = writer.addRow(model);
    expect(() => writer.addRow(2)).toThrow("no model 2");
    expect(() => writer.rowsOf(-1)).toThrow("no model -1");
    expect(() => writer.write(row + 1, PLAIN)).toThrow("not in use");
    expect(() => writer.removeRow(row + 1)).toThrow("not in use");
    for (const wrong of [Number.NaN, Infinity, 1e10]) {
      expect(() => writer.write(row, { ...PLAIN, penaltySeconds: wrong })).toThrow("penaltySeconds");
      expect(() => writer.write(row, { ...PLAIN, tokenOffset: wrong })).toThrow("tokenOffset");
    }
    writer.removeRow(row);
    expect(() => writer.write(row, PLAIN)).toThrow("not in use");
  });

  test("a new row is not routable before it is written, nor after it is removed", () => {
    const { table, writer } = fresh();
    const model = writer.addModel();
    const row = writer.addRow(model);
    expect(table.tryBegin(0, row, 1)).toBe(false);
    const born = table.generation(row);
    writer.write(row, PLAIN);
    expect(table.generation(row)).toBe(born);
    expect(table.tryBegin(0, row, 1)).toBe(true);
    writer.removeRow(row);
    expect(table.tryBegin(0, row, 1)).toBe(false);
    expect(table.generation(row)).not.toBe(born);
  });

  test("a removed row is parked until nothing is in flight at it", () => {
    const { table, writer } = fresh();
    const model = writer.addModel();
    const row = writer.addRow(model);
    writer.write(row, { ...PLAIN, activeOffset: 3, tokenOffset: -50 });
    table.eject(row, 99);
    expect(table.tryBegin(1, row, 10)).toBe(true);
    writer.removeRow(row);
    expect(writer.rowsOf(model)).toEqual([]);
    expect(writer.parked()).toBe(1);
    expect(writer.addRow(model)).not.toBe(row);
    table.endPrefill(1, row, 10);
    expect(writer.parked()).toBe(1);
    table.end(1, row);
    expect(writer.parked()).toBe(0);
    expect(writer.addRow(model)).toBe(row);
    expect([table.inFlight(row), table.inFlightTokens(row)]).toEqual([0, 0]);
    writer.write(row, PLAIN);
    const request = new PickRequest();
    request.model = model;
    expect(new TypeScriptPicker(table).pick(request)).toBe(row);
  });

  test("a removed model is gone at once, and its blocks serve others when they are drained", () => {
    const { table, writer } = fresh(64, 1);
    const model = writer.addModel();
    const [quiet, busy] = [writer.addRow(model), writer.addRow(model)];
    for (const row of [quiet, busy]) writer.write(row, PLAIN);
    expect(table.tryBegin(0, busy, 1)).toBe(true);
    writer.removeModel(model);
    expect(() => writer.rowsOf(model)).toThrow("no model");
    const next = writer.addModel();
    expect(next).toBe(model);
    expect(blocksInTable(table, next)).toEqual([]);
    expect(writer.addRow(next)).toBe(-1);
    table.endPrefill(0, busy, 1);
    table.end(0, busy);
    expect(writer.addRow(next)).toBeGreaterThanOrEqual(0);
    writer.removeModel(next);
    expect(writer.parked()).toBe(0);
  });

  test("the figures arrive with the sequence even and moved on", () => {
    const { table, writer } = fresh();
    const model = writer.addModel();
    const row = writer.addRow(model);
    const sequence = () => table.words[table.blocksWord + (row >> 6) * BLOCK_WORDS + BLOCK_WORD.sequence] ?? 0;
    const before = sequence();
    writer.write(row, PLAIN);
    expect(sequence()).toBe(before + 2);
  });

  type Step = { kind: "add" | "remove" | "begin" | "end"; pick: number };
  const step: fc.Arbitrary<Step> = fc.record({
    kind: fc.constantFrom("add" as const, "add" as const, "remove" as const, "begin" as const, "end" as const),
    pick: fc.nat(10_000),
  });

  test("lists and books agree under any order of changes, and no busy row is handed out", () => {
    fc.assert(
      fc.property(fc.array(step, { maxLength: 400 }), (steps) => {
        const { table, writer } = fresh(256, 2);
        const models = [writer.addModel(), writer.addModel()];
        const live: { row: number; model: number }[] = [];
        const open: number[] = [];
        for (const { kind, pick } of steps) {
          const chosen = live[pick % Math.max(1, live.length)];
          if (kind === "add") {
            // Runs of rows, so that blocks fill up and empty again.
            for (let count = 0; count < 1 + (pick % 40); count += 1) {
              const model = models[pick % 2] ?? -1;
              const row = writer.addRow(model);
              if (row < 0) break;
              expect(table.inFlight(row)).toBe(0);
              expect(live.some((other) => other.row === row)).toBe(false);
              writer.write(row, { ...PLAIN, capacity: 1000 });
              live.push({ row, model });
            }
          } else if (kind === "remove") {
            for (const gone of live.splice(pick % Math.max(1, live.length), 1 + (pick % 50)))
              writer.removeRow(gone.row);
          } else if (kind === "begin" && chosen !== undefined) {
            expect(table.tryBegin(0, chosen.row, 5)).toBe(true);
            open.push(chosen.row);
          } else if (kind === "end" && open.length > 0) {
            const [row = -1] = open.splice(pick % open.length, 1);
            table.endPrefill(0, row, 5);
            table.end(0, row);
          }
        }
        for (const model of models) {
          const rows = live.filter((each) => each.model === model).map((each) => each.row);
          const listed = blocksInTable(table, model);
          expect(writer.rowsOf(model).sort((a, b) => a - b)).toEqual(rows.sort((a, b) => a - b));
          for (const row of rows) {
            expect(listed.some(({ block, used }) => block === row >> 6 && (row & 63) < used)).toBe(true);
          }
        }
        for (const row of open) {
          table.endPrefill(0, row, 5);
          table.end(0, row);
        }
        for (const { row } of live) writer.removeRow(row);
        expect(writer.parked()).toBe(0);
        expect(models.flatMap((model) => blocksInTable(table, model))).toEqual([]);
      }),
      { numRuns: 60 },
    );
  });
});
