/** Costs in their terms against the scorer's: the same sums, and the same rows that may not be chosen. */
import { expect, test } from "bun:test";
import fc from "fast-check";
import { Prng } from "../../src/base/prng.ts";
import { PickRequest } from "../../src/score/pick.ts";
import { TypeScriptPicker } from "../../src/score/scan.ts";
import { TableWriter } from "../../src/score/table-writer.ts";
import { ScoreTable } from "../../src/score/table.ts";
import { costOf, figuresOf, TERM_NAMES, termDetail } from "../../src/score/terms.ts";
import { anyRow } from "./rows.ts";

test("are what the scorer goes by", () => {
  fc.assert(
    fc.property(
      fc.array(fc.record({ seed: fc.nat(), begun: fc.nat(6), ejected: fc.boolean() }), { minLength: 1, maxLength: 8 }),
      fc.nat(20_000),
      (rows, promptTokens) => {
        const table = ScoreTable.create({ targetsMax: 64, modelsMax: 2, workersMax: 1 });
        const writer = new TableWriter(table);
        const model = writer.addModel();
        const ids = rows.map(({ seed, begun, ejected }) => {
          const row = writer.addRow(model);
          writer.write(row, anyRow(new Prng(seed + 1), false));
          for (let count = 0; count < begun; count++) table.tryBegin(0, row, 100);
          if (ejected) table.eject(row, 500);
          return row;
        });
        const request = new PickRequest();
        request.model = model;
        request.promptTokens = promptTokens;
        request.nowDeciseconds = 100;
        const costs = ids.map((row) => costOf(figuresOf(table, row), promptTokens, 100));
        const able = costs.filter(({ obstacle }) => obstacle === "");
        const picked = new TypeScriptPicker(table).pick(request);
        expect(picked >= 0).toBe(able.length > 0);
        if (picked < 0) return;
        const best = Math.min(...able.map(({ seconds }) => seconds));
        expect(Math.abs(request.cost - best)).toBeLessThanOrEqual(1e-3 * Math.max(1e-3, best));
        const chosen = costs[ids.indexOf(picked)];
        expect(chosen?.seconds).toBeCloseTo(best, 2 - Math.ceil(Math.log10(Math.max(1, best))));
      },
    ),
    { numRuns: 200 },
  );
});

test("each has words", () => {
  const figures = {
    capacity: 4,
    activeRequests: 3,
    queuedTokens: 100,
    ejectedUntil: 0,
    secondsPerPrefillToken: 0.001,
    secondsPerActive: 0.1,
    slots: 2,
    secondsPerQueuedRequest: 1,
    kvOffset: 1,
    kvPerToken: 0,
    penaltySeconds: 0.75,
  };
  expect(costOf(figures, 50, 0, 0.25)).toEqual({
    obstacle: "",
    seconds: 0.15 + 0.1 * 3 + 2 + 1 + 0.25 + 0.5,
    terms: { prefill: 0.15, active: 0.1 * 3, queue: 2, kv: 1, load: 0.25, penalty: 0.5 },
    activeRequests: 3,
    queuedTokens: 100,
  });
  expect(TERM_NAMES.map((name) => termDetail(name, figures, 50))).toEqual([
    "100 tokens wait and 50 come with the request, 1000 tokens a second",
    "3 requests are in its batch",
    "2 requests wait for one of 2 slots",
    "its KV cache is fuller than is good for it",
    "the model must be loaded there first, where it is not",
    "the way to it, doubt about it, its being in another router's share, the age of what is known of it, its being new, and a load of the model that is not told apart",
  ]);
  expect(costOf({ ...figures, capacity: 3 }, 0, 0).obstacle).toBe("full");
  expect(costOf({ ...figures, ejectedUntil: 9 }, 0, 8).obstacle).toBe("ejected");
  expect(costOf({ ...figures, capacity: 0 }, 0, 0).obstacle).toBe("unroutable");
});
