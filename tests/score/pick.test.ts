import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { Prng } from "../../src/base/prng.ts";
import { BLOCK_WORD, BLOCK_WORDS, MODELS_WORD } from "../../src/score/layout.ts";
import { ALL_EJECTED, ALL_FULL, NEVER_EJECTED, NO_TARGET, PickRequest, type Picker } from "../../src/score/pick.ts";
import { TypeScriptPicker } from "../../src/score/scan.ts";
import type { RowValues } from "../../src/score/table-writer.ts";
import { ScoreTable } from "../../src/score/table.ts";
import { cPicker } from "./c-library.ts";
import { PLAIN, anyRow, bedOf } from "./rows.ts";

const bed = (rows: readonly RowValues[]) => bedOf(rows, 1000);

/** Written from the formula alone, in double precision. */
function seconds(values: RowValues, requests: number, tokens: number, promptTokens: number): number {
  const active = Math.max(0, values.activeOffset + requests);
  const queued = Math.max(0, values.tokenOffset + tokens) + promptTokens;
  const excess = Math.max(0, values.kvOffset + queued * values.kvPerToken);
  return (
    queued * values.secondsPerPrefillToken +
    active * values.secondsPerActive +
    Math.max(0, active + 1 - values.slots) * values.secondsPerQueuedRequest +
    excess ** 2 +
    values.penaltySeconds
  );
}

const PICKERS: readonly [string, (table: ScoreTable) => Picker][] = [
  ["TypeScript", (table) => new TypeScriptPicker(table)],
  // Where there is no C compiler this is TypeScript again.
  ["C", cPicker],
];

describe("PickRequest", () => {
  test("keeps what it is given, and prompt tokens within reason", () => {
    const request = new PickRequest();
    request.seed = 0xffff_ffff;
    request.nowDeciseconds = 77;
    expect([request.seed, request.nowDeciseconds, request.buffer.byteLength]).toEqual([0xffff_ffff, 77, 96]);
    for (const [given, kept] of [
      [12, 12],
      [-5, 0],
      [Number.NaN, 0],
      [Infinity, 1e9],
    ] as const) {
      request.promptTokens = given;
      expect(request.promptTokens).toBe(kept);
    }
    for (let row = 0; row < 8; row += 1) expect(request.exclude(row)).toBe(true);
    expect(request.exclude(8)).toBe(false);
    expect(request.excludedRow(7)).toBe(7);
    request.clearExcluded();
    expect(request.excludedCount).toBe(0);
  });
});

describe.each(PICKERS)("the %s picker", (_, open) => {
  test("finds the row with the least seconds", () => {
    fc.assert(
      fc.property(
        fc.nat(),
        fc.integer({ min: 1, max: 300 }),
        fc.integer({ min: 1, max: 100_000 }),
        (seed, size, prompt) => {
          const prng = new Prng(seed);
          const values = Array.from({ length: size }, () => anyRow(prng, false));
          const { table, rows, request } = bed(values);
          request.promptTokens = prompt;
          request.seed = prng.nextU32();
          const costs = values.map((value, index) => {
            const tokens = prng.int(3000);
            const began = table.tryBegin(0, rows[index] ?? -1, tokens);
            const active = Math.max(0, value.activeOffset + (began ? 1 : 0));
            return active < value.capacity ? seconds(value, began ? 1 : 0, began ? tokens : 0, prompt) : Infinity;
          });
          const best = Math.min(...costs);
          const row = open(table).pick(request);
          if (best === Infinity) {
            expect(row).toBeLessThan(0);
            return;
          }
          const cost = costs[rows.indexOf(row)] ?? Infinity;
          // Doubles tell apart what floats may not.
          expect(cost).toBeLessThanOrEqual(best * (1 + 1e-5));
          expect(Math.abs(request.cost - cost)).toBeLessThanOrEqual(cost * 1e-5);
        },
      ),
      { numRuns: 60 },
    );
  });

  test("says why there is no row", () => {
    const { table, writer, rows, request, model } = bed([PLAIN, PLAIN, PLAIN]);
    const picker = open(table);
    const [a = -1, b = -1, c = -1] = rows;
    for (const wrong of [-1, 3, 4, 1_000_000]) {
      request.model = wrong;
      expect(picker.pick(request)).toBe(NO_TARGET);
    }
    request.model = model;
    for (const row of rows) expect(request.exclude(row)).toBe(true);
    expect(picker.pick(request)).toBe(NO_TARGET);
    expect([request.cost, request.ties, request.torn]).toEqual([0, 0, 0]);
    request.clearExcluded();
    writer.write(a, { ...PLAIN, capacity: 0 });
    table.eject(b, 100);
    table.eject(c, 100);
    request.nowDeciseconds = 99;
    expect(picker.pick(request)).toBe(ALL_EJECTED);
    writer.write(b, { ...PLAIN, activeOffset: 10 });
    expect(picker.pick(request)).toBe(ALL_EJECTED);
    request.nowDeciseconds = NEVER_EJECTED;
    expect(picker.pick(request)).toBe(c);
    request.nowDeciseconds = 100;
    expect(picker.pick(request)).toBe(c);
    writer.write(c, { ...PLAIN, activeOffset: 10 });
    expect(picker.pick(request)).toBe(ALL_FULL);
    request.exclude(b);
    request.exclude(c);
    expect(picker.pick(request)).toBe(NO_TARGET);
  });

  test("passes over excluded rows, in whatever block they are", () => {
    const { table, rows, request } = bed(
      Array.from({ length: 130 }, (_value, index) => ({ ...PLAIN, penaltySeconds: index })),
    );
    const picker = open(table);
    request.exclude(-1);
    request.exclude(1_000_000);
    for (let index = 0; index < 6; index += 1) {
      expect(picker.pick(request)).toBe(rows[index] ?? -1);
      request.exclude(rows[index] ?? -1);
    }
    expect(picker.pick(request)).toBe(rows[6] ?? -1);
  });

  test("the seed names one of those tied, each as often as the others", () => {
    const { table, rows, request } = bed(
      Array.from({ length: 150 }, (_value, index) => ({ ...PLAIN, penaltySeconds: index % 3 })),
    );
    const picker = open(table);
    const tied = rows.filter((_row, index) => index % 3 === 0);
    for (let seed = 0; seed < 120; seed += 1) {
      request.seed = seed;
      expect(picker.pick(request)).toBe(tied[seed % tied.length] ?? -1);
      expect(request.ties).toBe(50);
    }
    request.seed = 0xffff_ffff;
    expect(picker.pick(request)).toBe(tied[0xffff_ffff % 50] ?? -1);
  });

  test("sees at once what another worker began", () => {
    const { table, rows, request } = bed([PLAIN, { ...PLAIN, penaltySeconds: 0.5 }]);
    const picker = open(table);
    const [a = -1, b = -1] = rows;
    expect(picker.pick(request)).toBe(a);
    ScoreTable.attach(table.buffer).tryBegin(1, a, 600);
    expect(picker.pick(request)).toBe(b);
  });

  test("takes a block as it is when its writer died, and tells", () => {
    const { table, rows, request } = bed([PLAIN]);
    const picker = open(table);
    Atomics.add(table.words, table.blocksWord + BLOCK_WORD.sequence, 1);
    expect(picker.pick(request)).toBe(rows[0] ?? -1);
    expect(request.torn).toBe(1);
    Atomics.add(table.words, table.blocksWord + BLOCK_WORD.sequence, 1);
    expect(picker.pick(request)).toBe(rows[0] ?? -1);
    expect(request.torn).toBe(0);
  });

  test("is not led astray by a list that leads to another model's block, or in a circle", () => {
    const { table, writer, rows, request } = bed([PLAIN]);
    const picker = open(table);
    const other = writer.addModel();
    const foreign = writer.addRow(other);
    writer.write(foreign, { ...PLAIN, penaltySeconds: -1 });
    const own = table.blocksWord + ((rows[0] ?? 0) >> 6) * BLOCK_WORDS;
    table.words[own + BLOCK_WORD.next] = (foreign >> 6) + 1;
    expect(picker.pick(request)).toBe(rows[0] ?? -1);
    Atomics.add(table.words, table.blocksWord + (foreign >> 6) * BLOCK_WORDS + BLOCK_WORD.sequence, 1);
    expect(picker.pick(request)).toBe(rows[0] ?? -1);
    table.words[own + BLOCK_WORD.next] = ((rows[0] ?? 0) >> 6) + 1;
    expect(picker.pick(request)).toBe(rows[0] ?? -1);
    table.words[MODELS_WORD + request.model] = (foreign >> 6) + 1;
    Atomics.add(table.words, table.blocksWord + (foreign >> 6) * BLOCK_WORDS + BLOCK_WORD.sequence, 1);
    expect(picker.pick(request)).toBeLessThan(0);
  });

  test("more prompt, more load and more penalty never make a row cheaper", () => {
    fc.assert(
      fc.property(fc.nat(), (seed) => {
        const prng = new Prng(seed);
        const values = { ...anyRow(prng, false), capacity: 1000 };
        const { table, writer, rows, request } = bed([values]);
        const picker = open(table);
        const cost = () => (picker.pick(request), request.cost);
        let last = cost();
        for (const change of [
          () => (request.promptTokens = 1000 + prng.int(100_000)),
          () => table.tryBegin(0, rows[0] ?? -1, prng.int(10_000)),
          () => writer.write(rows[0] ?? -1, { ...values, penaltySeconds: values.penaltySeconds + prng.next() }),
        ]) {
          change();
          const now = cost();
          expect(now).toBeGreaterThanOrEqual(last);
          last = now;
        }
      }),
      { numRuns: 100 },
    );
  });
});
