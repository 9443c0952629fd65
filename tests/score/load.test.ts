import { expect, test } from "bun:test";
import fc from "fast-check";
import { loadSeconds } from "../../src/score/load.ts";
import { PickRequest } from "../../src/score/pick.ts";
import { TypeScriptPicker } from "../../src/score/scan.ts";
import { TableWriter } from "../../src/score/table-writer.ts";
import { ScoreTable } from "../../src/score/table.ts";
import { PLAIN } from "./rows.ts";

test("is what a pick without tokens of its own costs, but for what the target itself adds", () => {
  const loads = fc.record({ requests: fc.nat(40), tokens: fc.nat(1000), slots: fc.integer({ min: 1, max: 20 }) });
  fc.assert(
    fc.property(loads, ({ requests, tokens, slots }) => {
      const table = ScoreTable.create({ targetsMax: 64, modelsMax: 1, workersMax: 1 });
      const writer = new TableWriter(table);
      const row = writer.addRow(writer.addModel());
      const rates = { secondsPerPrefillToken: 0.001, secondsPerActive: 0.01, secondsPerQueuedRequest: 0.3 };
      writer.write(row, { ...PLAIN, ...rates, slots, kvOffset: -1, kvPerToken: 0, penaltySeconds: 5, capacity: 100 });
      for (let count = 0; count < requests; count++) table.tryBegin(0, row, tokens);
      const pick = new PickRequest();
      expect(new TypeScriptPicker(table).pick(pick)).toBe(row);
      expect(loadSeconds(table, row)).toBeCloseTo(pick.cost - 5, 3);
    }),
    { seed: 4 },
  );
});
