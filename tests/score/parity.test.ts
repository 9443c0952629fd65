import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { Prng } from "../../src/base/prng.ts";
import { PickRequest } from "../../src/score/pick.ts";
import { TypeScriptPicker } from "../../src/score/scan.ts";
import { TableWriter } from "../../src/score/table-writer.ts";
import { ScoreTable } from "../../src/score/table.ts";
import { HAS_COMPILER, cPicker } from "./c-library.ts";
import { anyRow } from "./rows.ts";

/** The bits of a float, so that nothing counts as equal that is not the same. */
const bits = (request: PickRequest) => new Int32Array(request.buffer)[16];

/** The variants of the library: as this machine runs it, without AVX2, and with no x86 instruction at all. */
const VARIANTS: readonly (readonly [string, readonly string[]])[] = [
  ["at its widest", []],
  ["at its base", ["-DSCORER_PLAIN"]],
  ["in plain C", ["-DSCORER_PLAIN", "-U__SSE2__"]],
];

describe.skipIf(!HAS_COMPILER).each(VARIANTS)("C %s", (_, defines) => {
  test("picks the same row at the same cost as TypeScript, bit for bit", () => {
    let picks = 0;
    let tied = 0;
    let none = 0;
    fc.assert(
      fc.property(fc.nat(), fc.integer({ min: 1, max: 400 }), fc.boolean(), (seed, size, coarse) => {
        const prng = new Prng(seed);
        const table = ScoreTable.create({ targetsMax: 512, modelsMax: 2, workersMax: 1 });
        const writer = new TableWriter(table);
        const models = [writer.addModel(), writer.addModel()];
        const rows: number[] = [];
        for (let count = 0; count < size; count += 1) {
          const row = writer.addRow(models[prng.int(2)] ?? -1);
          if (row < 0) continue;
          rows.push(row);
          writer.write(row, anyRow(prng, coarse));
          if (!coarse) table.tryBegin(0, row, prng.int(50_000));
          if (prng.int(8) === 0) table.eject(row, prng.int(100));
        }
        // Gaps, so that blocks have free lanes between used ones.
        for (const row of rows) if (prng.int(10) === 0) writer.removeRow(row);
        const c = cPicker(table, ...defines);
        const twin = new TypeScriptPicker(table);
        const ours = new PickRequest();
        const theirs = new PickRequest();
        for (let round = 0; round < 20; round += 1) {
          const model = prng.int(3) - 1;
          const prompt = prng.next() * 10 ** prng.int(7);
          const now = prng.int(100);
          const tieSeed = prng.nextU32();
          const excluded = Array.from({ length: prng.int(9) }, () => rows[prng.int(rows.length)] ?? 0);
          for (const request of [ours, theirs]) {
            request.model = model;
            request.promptTokens = prompt;
            request.nowDeciseconds = now;
            request.seed = tieSeed;
            request.clearExcluded();
            for (const row of excluded) request.exclude(row);
          }
          const row = c.pick(ours);
          expect(row).toBe(twin.pick(theirs));
          expect([bits(ours), ours.ties, ours.torn]).toEqual([bits(theirs), theirs.ties, theirs.torn]);
          picks += 1;
          if (ours.ties > 1) tied += 1;
          if (row < 0) none += 1;
        }
      }),
      { numRuns: 150 },
    );
    // The property is worth nothing if it never meets these.
    expect(tied).toBeGreaterThan(picks / 50);
    expect(none).toBeGreaterThan(0);
    expect(none).toBeLessThan(picks / 2);
  });

  test("agrees at the ends of what a row and a request may hold", () => {
    const table = ScoreTable.create({ targetsMax: 64, modelsMax: 1, workersMax: 1 });
    const writer = new TableWriter(table);
    const model = writer.addModel();
    const prng = new Prng(3);
    const ends = [0, -0, 1e9, -1e9, 1e-45, -1e-45, 1e-38, 0.1, 16_777_217];
    const end = () => ends[prng.int(ends.length)] ?? 0;
    const row = writer.addRow(model);
    const c = cPicker(table, ...defines);
    const twin = new TypeScriptPicker(table);
    const ours = new PickRequest();
    const theirs = new PickRequest();
    for (let round = 0; round < 2000; round += 1) {
      writer.write(row, {
        tokenOffset: end(),
        activeOffset: end(),
        secondsPerPrefillToken: end(),
        secondsPerActive: end(),
        slots: end(),
        secondsPerQueuedRequest: end(),
        kvOffset: end(),
        kvPerToken: end(),
        penaltySeconds: end(),
        capacity: 1e9,
      });
      const prompt = end();
      for (const request of [ours, theirs]) {
        request.model = model;
        request.promptTokens = prompt;
      }
      expect(c.pick(ours)).toBe(twin.pick(theirs));
      expect(bits(ours)).toBe(bits(theirs));
      expect(Number.isFinite(ours.cost)).toBe(true);
    }
  });

  test("agrees over 4,096 rows of one model, all of them tied", () => {
    const table = ScoreTable.create({ targetsMax: 4096, modelsMax: 1, workersMax: 1 });
    const writer = new TableWriter(table);
    const model = writer.addModel();
    for (let count = 0; count < 4096; count += 1)
      writer.write(writer.addRow(model), { ...anyRow(new Prng(1), true), capacity: 1 });
    const c = cPicker(table, ...defines);
    const twin = new TypeScriptPicker(table);
    const request = new PickRequest();
    request.model = model;
    const seen = new Set<number>();
    for (let seed = 0; seed < 8192; seed += 63) {
      request.seed = seed;
      const row = c.pick(request);
      expect(request.ties).toBe(4096);
      expect(row).toBe(twin.pick(request));
      seen.add(row);
    }
    expect(seen.size).toBeGreaterThan(120);
  });
});
