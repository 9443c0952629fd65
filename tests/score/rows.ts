/** Rows to fill tables with. */
import type { Prng } from "../../src/base/prng.ts";
import { PickRequest } from "../../src/score/pick.ts";
import { type RowValues, TableWriter } from "../../src/score/table-writer.ts";
import { ScoreTable } from "../../src/score/table.ts";

/** A row that costs nothing but its prompt, a millisecond a token, until it has ten requests. */
export const PLAIN: RowValues = {
  tokenOffset: 0,
  activeOffset: 0,
  secondsPerPrefillToken: 0.001,
  secondsPerActive: 0,
  slots: 10,
  secondsPerQueuedRequest: 0,
  kvOffset: -1,
  kvPerToken: 0,
  penaltySeconds: 0,
  capacity: 10,
};

/** A table of one model with these rows, and a request for it. */
export function bedOf(rows: readonly RowValues[], promptTokens: number) {
  const table = ScoreTable.create({ targetsMax: 512, modelsMax: 4, workersMax: 2 });
  const writer = new TableWriter(table);
  const model = writer.addModel();
  const ids = rows.map((values) => {
    const row = writer.addRow(model);
    writer.write(row, values);
    return row;
  });
  const request = new PickRequest();
  request.model = model;
  request.promptTokens = promptTokens;
  return { table, writer, model, rows: ids, request };
}

/** Any row, with every term at work now and then; coarse figures make ties likely. */
export function anyRow(prng: Prng, coarse: boolean): RowValues {
  const some = (scale: number) => (coarse ? prng.int(3) : prng.next()) * scale;
  return {
    tokenOffset: coarse ? 0 : prng.int(20_000) - 5000,
    activeOffset: coarse ? 0 : prng.int(64) - 16,
    secondsPerPrefillToken: some(1e-4),
    secondsPerActive: some(1e-3),
    slots: 1 + prng.int(coarse ? 1 : 32),
    secondsPerQueuedRequest: some(0.2),
    kvOffset: some(3) - 2,
    kvPerToken: some(1e-4),
    penaltySeconds: some(1),
    capacity: prng.int(5) === 0 ? 0 : coarse ? 10 : prng.int(80),
  };
}
