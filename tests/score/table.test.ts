import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { COLUMN, layoutConstants, layoutWord, rowWord } from "../../src/score/layout.ts";
import { TableWriter } from "../../src/score/table-writer.ts";
import { ScoreTable } from "../../src/score/table.ts";
import { PLAIN } from "./rows.ts";

const SHAPE = { targetsMax: 64, modelsMax: 4, workersMax: 3 };

function tableWith(rows: number, capacity = 10) {
  const table = ScoreTable.create(SHAPE);
  const writer = new TableWriter(table);
  const model = writer.addModel();
  const ids = Array.from({ length: rows }, () => writer.addRow(model));
  for (const row of ids) writer.write(row, { ...PLAIN, capacity });
  return { table, writer, model, rows: ids };
}

const word = (table: ScoreTable, row: number, column: number) => table.blocksWord + rowWord(row) + column;

describe("ScoreTable", () => {
  test("rounds rows up to whole blocks, and is seen alike by who attaches", () => {
    const table = ScoreTable.create({ targetsMax: 65, modelsMax: 7, workersMax: 2 });
    const other = ScoreTable.attach(table.buffer);
    expect([other.rowsMax, other.modelsMax, other.workersMax, other.blocksWord]).toEqual([128, 7, 2, table.blocksWord]);
    new TableWriter(table).addModel();
    expect(() => new TableWriter(other)).toThrow("one writer");
  });

  test("refuses what is no table, and sizes that cannot be", () => {
    expect(() => ScoreTable.attach(new SharedArrayBuffer(16))).toThrow("too short");
    expect(() => ScoreTable.attach(new SharedArrayBuffer(8192))).toThrow("no score table");
    const table = ScoreTable.create(SHAPE);
    const short = new SharedArrayBuffer(table.buffer.byteLength - 4);
    new Uint8Array(short).set(new Uint8Array(table.buffer, 0, short.byteLength));
    expect(() => ScoreTable.attach(short)).toThrow("cut short");
    for (const wrong of [{ targetsMax: 0 }, { targetsMax: 65_537 }, { modelsMax: 0 }, { workersMax: 0 }]) {
      expect(() => ScoreTable.create({ ...SHAPE, ...wrong })).toThrow("a score table has");
    }
  });

  test("refuses rows and workers that are not there", () => {
    const { table } = tableWith(1);
    expect(() => table.inFlight(64)).toThrow("no row 64");
    expect(() => table.inFlight(-1)).toThrow("no row");
    expect(() => table.inFlight(Number.NaN)).toThrow("no row");
    expect(() => table.tryBegin(3, 0, 1)).toThrow("no worker 3");
  });

  test("claims up to the capacity, others' requests included, and not one more", () => {
    const { table, writer, rows } = tableWith(1, 4);
    const row = rows[0] ?? -1;
    writer.write(row, { ...PLAIN, capacity: 4, activeOffset: 2 });
    expect([0, 1, 2].map((worker) => table.tryBegin(worker, row, 100))).toEqual([true, true, false]);
    expect([table.inFlight(row), table.inFlightTokens(row)]).toEqual([2, 200]);
    table.endPrefill(0, row, 100);
    table.end(0, row);
    expect([table.inFlight(row), table.inFlightTokens(row)]).toEqual([1, 100]);
    expect(table.tryBegin(2, row, 7)).toBe(true);
  });

  test("a sample that saw fewer than we have does not make room beyond the capacity", () => {
    const { table, writer, rows } = tableWith(1, 2);
    const row = rows[0] ?? -1;
    writer.write(row, { ...PLAIN, capacity: 0.5, activeOffset: -5 });
    expect(table.tryBegin(0, row, 1)).toBe(true);
    writer.write(row, { ...PLAIN, capacity: 0, activeOffset: -5 });
    expect(table.tryBegin(0, row, 1)).toBe(false);
  });

  test("giving back what was not claimed is a bug", () => {
    const { table, rows } = tableWith(1);
    const row = rows[0] ?? -1;
    expect(() => table.end(0, row)).toThrow("not claimed");
    expect(() => table.endPrefill(0, row, 1)).toThrow("not claimed");
  });

  test("a target is asked once in a while, whichever worker asks", () => {
    const { table, rows } = tableWith(1);
    const row = rows[0] ?? -1;
    const other = ScoreTable.attach(table.buffer);
    expect(table.tryAsk(row, 0, 5)).toBe(true);
    expect(other.tryAsk(row, 5, 5)).toBe(false);
    expect(other.tryAsk(row, 6, 5)).toBe(true);
    expect(table.tryAsk(row, 10, 5)).toBe(false);
    expect(table.tryAsk(row, 11, 5)).toBe(true);
  });

  test("an ejection lasts until the later of its moments, unless it is cleared", () => {
    const { table, rows } = tableWith(1);
    const row = rows[0] ?? -1;
    const until = () => table.words[word(table, row, COLUMN.ejectedUntil)];
    table.eject(row, 50.7);
    table.eject(row, 20);
    expect(until()).toBe(50);
    expect([49, 50].map((now) => table.isEjected(row, now))).toEqual([true, false]);
    table.eject(row, Infinity);
    expect(until()).toBe(0x7fff_fffe);
    table.clearEject(row);
    expect(until()).toBe(0);
  });

  test("all threads count deciseconds from the first call", () => {
    const table = ScoreTable.create(SHAPE);
    const other = ScoreTable.attach(table.buffer);
    const start = 1_795_000_000_400;
    expect(table.nowDeciseconds(start)).toBe(4);
    expect(other.nowDeciseconds(start + 60_000)).toBe(604);
    expect(other.nowDeciseconds(start - 60_000)).toBe(0);
    expect(table.nowDeciseconds(start + 1e12)).toBe(0x7fff_fffe);
    const late = ScoreTable.create(SHAPE);
    expect(late.nowDeciseconds(3_000_000_000_000) + ScoreTable.attach(late.buffer).nowDeciseconds(3e12 + 100)).toBe(1);
  });

  test("takes a crashed worker's share out", () => {
    const { table, rows } = tableWith(2);
    const [a = -1, b = -1] = rows;
    for (const [worker, row, tokens] of [
      [0, a, 5],
      [1, a, 7],
      [1, b, 9],
      [1, b, 11],
    ] as const) {
      expect(table.tryBegin(worker, row, tokens)).toBe(true);
    }
    table.clearWorker(1);
    expect([table.inFlight(a), table.inFlightTokens(a), table.inFlight(b), table.inFlightTokens(b)]).toEqual([
      1, 5, 0, 0,
    ]);
    expect(table.reconcile()).toBe(0);
    table.clearWorker(2);
  });

  test("repairs a total that stays wrong, and only then", () => {
    const { table, rows } = tableWith(2);
    const row = rows[1] ?? -1;
    expect(table.tryBegin(2, row, 30)).toBe(true);
    Atomics.add(table.words, word(table, row, COLUMN.activeRequests), 3);
    Atomics.sub(table.words, word(table, row, COLUMN.queuedTokens), 8);
    expect(table.reconcile()).toBe(0);
    Atomics.add(table.words, word(table, row, COLUMN.activeRequests), 1);
    expect(table.reconcile()).toBe(1);
    expect(table.reconcile()).toBe(1);
    expect([table.inFlight(row), table.inFlightTokens(row)]).toEqual([1, 30]);
    expect(table.reconcile()).toBe(0);
  });
});

describe("the ledger", () => {
  type Step =
    | { kind: "begin"; worker: number; row: number; tokens: number }
    | { kind: "advance"; worker: number }
    | { kind: "crash"; worker: number }
    | { kind: "sample"; row: number; requests: number; tokens: number };
  const worker = fc.nat({ max: 2 });
  const row = fc.nat({ max: 3 });
  const step: fc.Arbitrary<Step> = fc.oneof(
    { weight: 6, arbitrary: fc.record({ kind: fc.constant("begin" as const), worker, row, tokens: fc.nat(5000) }) },
    { weight: 6, arbitrary: fc.record({ kind: fc.constant("advance" as const), worker }) },
    { weight: 1, arbitrary: fc.record({ kind: fc.constant("crash" as const), worker }) },
    {
      weight: 2,
      arbitrary: fc.record({
        kind: fc.constant("sample" as const),
        row,
        requests: fc.integer({ min: -9, max: 9 }),
        tokens: fc.integer({ min: -9000, max: 9000 }),
      }),
    },
  );

  test("in flight is what began and did not end, whatever samples and crashes come between", () => {
    fc.assert(
      fc.property(fc.array(step, { maxLength: 120 }), (steps) => {
        const { table, writer, rows } = tableWith(4, 6);
        const open: { worker: number; row: number; tokens: number; prefill: boolean }[] = [];
        const offsets = new Map<number, number>();
        for (const each of steps) {
          if (each.kind === "begin") {
            const id = rows[each.row] ?? -1;
            const active = Math.max(0, table.inFlight(id) + (offsets.get(id) ?? 0));
            const began = table.tryBegin(each.worker, id, each.tokens);
            expect(began).toBe(active < 6);
            if (began) open.push({ worker: each.worker, row: id, tokens: each.tokens, prefill: true });
          } else if (each.kind === "advance") {
            const at = open.findIndex((request) => request.worker === each.worker);
            const request = open[at];
            if (request?.prefill === true) {
              table.endPrefill(request.worker, request.row, request.tokens);
              request.prefill = false;
            } else if (request !== undefined) {
              table.end(request.worker, request.row);
              open.splice(at, 1);
            }
          } else if (each.kind === "crash") {
            table.clearWorker(each.worker);
            for (let at = open.length - 1; at >= 0; at -= 1) if (open[at]?.worker === each.worker) open.splice(at, 1);
          } else {
            const id = rows[each.row] ?? -1;
            offsets.set(id, each.requests);
            writer.write(id, { ...PLAIN, capacity: 6, activeOffset: each.requests, tokenOffset: each.tokens });
          }
          for (const id of rows) {
            const here = open.filter((request) => request.row === id);
            expect(table.inFlight(id)).toBe(here.length);
            expect(table.inFlightTokens(id)).toBe(
              here.reduce((sum, request) => sum + (request.prefill ? request.tokens : 0), 0),
            );
          }
        }
        expect(table.reconcile() + table.reconcile()).toBe(0);
      }),
      { numRuns: 150 },
    );
  });
});

describe("the layout", () => {
  test("columns do not overlap, and the word tells one layout from another", () => {
    const words = Object.values(COLUMN);
    expect(new Set(words).size).toBe(words.length);
    expect(words.every((first) => first % 64 === 0 && first < 960)).toBe(true);
    expect(layoutWord()).toBe(layoutWord());
    expect(layoutConstants().get("COLUMN_SECONDS_PER_PREFILL_TOKEN")).toBe(0);
    expect([...layoutConstants().keys()].every((name) => /^[A-Z_]+$/.test(name))).toBe(true);
  });
});
