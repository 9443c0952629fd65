import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { FirstTokens } from "../../src/score/first-tokens.ts";
import { ScoreTable } from "../../src/score/table.ts";
import { TableWriter } from "../../src/score/table-writer.ts";
import { rowValues, UNROUTABLE, costSettings } from "../../src/score/cost.ts";
import { defaultsOf } from "../../src/base/settings-reading.ts";

const ROOM = 512;

function made(workersMax = 3) {
  const table = ScoreTable.create({ targetsMax: 64, modelsMax: 1, workersMax });
  return { table, all: FirstTokens.create(table) };
}

describe("notes of first tokens", () => {
  test("are taken whole, in the order in which they happened, whoever noted them, and once", () => {
    const { table, all } = made();
    const [a, b] = [FirstTokens.attach(all.buffer, table), FirstTokens.attach(all.buffer, table)];
    a.first(0, 5, 100, a.sent(5, 100), 10, 30, false);
    b.ended(1, 5, 0.02, 3.5, 40);
    b.first(1, 6, 200, b.sent(6, 200), 5, 20, true);
    expect(all.take()).toEqual([
      {
        kind: "first",
        row: 6,
        generation: 0,
        tokens: 200,
        sentTokens: 200,
        othersTokens: 0,
        sentMs: 5,
        firstMs: 20,
        isWhole: true,
      },
      {
        kind: "first",
        row: 5,
        generation: 0,
        tokens: 100,
        sentTokens: 100,
        othersTokens: 0,
        sentMs: 10,
        firstMs: 30,
        isWhole: false,
      },
      { kind: "end", row: 5, generation: 0, secondsPerToken: 0.02, requests: 3.5, atMs: 40 },
    ]);
    expect(all.take()).toEqual([]);
  });

  test("know the row's generation, and others' tokens where others have requests", () => {
    const { table, all } = made();
    const writer = new TableWriter(table);
    const row = writer.addRow(writer.addModel());
    const values = rowValues(null, { ...UNROUTABLE, ready: true }, defaultsOf(costSettings));
    const note = (others: { readonly activeOffset: number; readonly tokenOffset: number }) => {
      writer.write(row, { ...values, ...others });
      all.first(0, row, 100, all.sent(row, 100), 0, 1, false);
      return all.take()[0];
    };
    const generation = table.generation(row);
    expect(note({ activeOffset: 2, tokenOffset: 700 })).toMatchObject({ generation, othersTokens: 700 });
    expect(note({ activeOffset: 0, tokenOffset: 700 })).toMatchObject({ generation, othersTokens: 0 });
  });

  test("that find no room are counted, and disturb nothing", () => {
    const { all } = made();
    for (let count = 0; count < ROOM + 7; count += 1) all.first(2, 1, 10, count, 0, count, false);
    expect(all.lost).toBe(7);
    expect(all.take().map((note) => (note.kind === "first" ? note.sentTokens : -1))).toEqual(
      Array.from({ length: ROOM }, (_, count) => count),
    );
    all.first(2, 1, 10, 99, 0, 0, false);
    expect([all.take().length, all.lost]).toEqual([1, 7]);
  });

  test("count what was sent to each row, over all workers, and wrap", () => {
    const { table, all } = made();
    const other = FirstTokens.attach(all.buffer, table);
    expect([all.sent(3, 0x7fff_ffff), other.sent(3, 2), all.sent(4, 1)]).toEqual([0x7fff_ffff, -0x7fff_ffff, 1]);
  });

  test("are what a queue would hold, whatever is noted and taken when", () => {
    const steps = fc.array(fc.oneof(fc.constant("take" as const), fc.integer({ min: 0, max: 2 })), { maxLength: 3000 });
    fc.assert(
      fc.property(steps, (all) => {
        const { all: notes } = made();
        const held: number[][] = [[], [], []];
        let [count, lost] = [0, 0];
        for (const step of all) {
          if (step === "take") {
            const taken = notes.take().map((note) => (note.kind === "first" ? note.firstMs : -1));
            expect(taken).toEqual(held.flat().toSorted((a, b) => a - b));
            for (const one of held) one.length = 0;
            continue;
          }
          notes.first(step, 0, 1, 0, 0, ++count, false);
          if (held[step]!.length < ROOM) held[step]!.push(count);
          else lost += 1;
        }
        expect(notes.lost).toBe(lost);
      }),
      { numRuns: 30 },
    );
  });

  test("another table's are refused", () => {
    const { all } = made(3);
    expect(() => FirstTokens.attach(all.buffer, made(4).table)).toThrow("holds no first tokens of that table");
  });
});
