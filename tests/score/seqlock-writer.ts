/** The thread of seqlock.test.ts that writes one row, without end, with a rest after every few changes. */
import { TableWriter } from "../../src/score/table-writer.ts";
import { ScoreTable } from "../../src/score/table.ts";
import { seqlockRow } from "./seqlock-rows.ts";

declare const self: Worker;

self.addEventListener("message", (event: MessageEvent<SharedArrayBuffer>) => {
  const writer = new TableWriter(ScoreTable.attach(event.data));
  const row = writer.addRow(writer.addModel());
  const asleep = new Int32Array(new SharedArrayBuffer(4));
  writer.write(row, seqlockRow(false));
  postMessage("ready");
  for (let count = 0; ; count += 1) {
    writer.write(row, seqlockRow(count % 2 === 0));
    if (count % 7 === 0) Atomics.wait(asleep, 0, 0, 0.02);
  }
});
