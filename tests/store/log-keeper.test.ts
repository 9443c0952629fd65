import { afterEach, describe, expect, test } from "bun:test";
import { statSync, writeFileSync } from "node:fs";
import fc from "fast-check";
import type { HardState, Snapshot } from "../../src/raft/entry.ts";
import { readArchive } from "../../src/store/log-archive.ts";
import { LogFile } from "../../src/store/log-file.ts";
import { LogKeeper } from "../../src/store/log-keeper.ts";
import { Bed, entry, held, IDENTITY, Model, packed, removeAll, snapshotAt, somewhere } from "./log-bed.ts";

afterEach(removeAll);

describe("what was written is there again", () => {
  interface Step {
    readonly what: "append" | "overwrite" | "compact" | "install" | "state" | "reopen";
    readonly count: number;
    readonly share: number;
    readonly size: number;
  }
  const step = fc.record<Step>({
    what: fc.constantFrom("append", "append", "append", "overwrite", "compact", "install", "state", "reopen"),
    count: fc.integer({ min: 1, max: 20 }),
    share: fc.double({ min: 0, max: 1, noNaN: true }),
    size: fc.constantFrom(0, 30, 300, 5000),
  });

  test("whatever was done", () => {
    const run = (steps: readonly Step[], deadMax: number): void => {
      const bed = new Bed();
      const model = new Model();
      let term = 1;
      let number = 0;
      // The writer by itself, so that writing anew comes early.
      bed.keeper.close();
      let file = new LogFile(bed.path, deadMax);
      const apply = (batch: Parameters<Model["write"]>[0]): void => {
        model.write(batch);
        file.write([packed(batch)]);
      };
      for (const { what, count, share, size } of steps) {
        number += 1;
        // Of what may change: entries after the snapshot.
        const committed = model.snapshot?.index ?? 0;
        const span = model.next - 1 - committed;
        const hardState: HardState = { term, votedFor: 77, commitIndex: committed };
        if (what === "append" || what === "overwrite") {
          if (what === "overwrite") term += 1;
          const start = what === "append" ? model.next : committed + 1 + Math.floor(share * span);
          const entries = Array.from({ length: count }, (_, place) => entry(start + place, term, size));
          apply(share < 0.5 ? { number, entries } : { number, entries, hardState });
        } else if (what === "state") {
          apply({ number, entries: [], hardState });
        } else if (what === "compact") {
          const index = committed + Math.floor(share * span);
          const at = model.entries.find((found) => found.index === index);
          if (at === undefined) continue;
          const keepFrom = Math.max(model.first, index + 1 - count);
          const snapshot = snapshotAt(index, at.term, size);
          model.compact({ snapshot, keepFrom });
          file.write([{ kind: "compact", snapshot, keepFrom }]);
        } else if (what === "install") {
          const snapshot: Snapshot = snapshotAt(model.next + count, term, size);
          apply({ number, snapshot, entries: [entry(snapshot.index + 1, term, size)] });
        } else {
          file.close();
          file = new LogFile(bed.path, deadMax);
        }
      }
      file.recall();
      file.close();
      const found = held(bed.files())!;
      // Writing anew gives up the tail before the snapshot.
      const lost = model.entries.findIndex(({ index }) => index === found.entries[0]?.index);
      expect(lost <= 0 || (model.entries[lost - 1]?.index ?? 0) <= (model.snapshot?.index ?? 0)).toBe(true);
      if (deadMax > 1000) expect(lost).toBeLessThanOrEqual(0);
      expect(found).toMatchObject({ ...model.copy(), entries: model.entries.slice(Math.max(0, lost)) });
    };
    fc.assert(fc.property(fc.array(step, { minLength: 1, maxLength: 25 }), fc.constantFrom(4, 1e6), run), {
      numRuns: 60,
    });
  });
});

describe("a log's file", () => {
  test("does not grow for ever", () => {
    const bed = new Bed();
    let index = 0;
    let largest = 0;
    for (let round = 1; round <= 40; round += 1) {
      for (let batch = 0; batch < 20; batch += 1) {
        const entries = Array.from({ length: 10 }, () => entry(++index, 1, 256));
        bed.write({ number: index, entries, hardState: { term: 1, votedFor: 77, commitIndex: index } });
      }
      bed.compact(snapshotAt(index, 1, 20_000), index - 50);
      if (round === 10) largest = statSync(bed.path).size;
    }
    expect(bed.told.at(-1)).toEqual({ kind: "compacted", index });
    const { snapshot, entries } = bed.reopen();
    expect(snapshot?.index).toBe(index);
    expect(entries.map((kept) => kept.index)).toEqual(Array.from({ length: 51 }, (_, at) => index - 50 + at));
    expect(statSync(bed.path).size).toBeLessThanOrEqual(largest + 200_000);
    bed.keeper.close();
  });

  test("nor by records that count no more", () => {
    const bed = new Bed();
    bed.write({ number: 1, entries: [entry(1), entry(2)] });
    bed.keeper.close();
    const file = new LogFile(bed.path, 10);
    for (let term = 2; term <= 100; term += 1) {
      const hardState = { term, votedFor: 77, commitIndex: 1 };
      file.write([packed({ number: term, entries: [], hardState })]);
    }
    file.close();
    const found = readArchive("log", bed.files())!;
    expect(found.end.sequence - found.base.sequence).toBeLessThan(15);
    expect(found).toMatchObject({ entries: [entry(1), entry(2)], hardState: { term: 100 } });
  });

  test("one transaction for all that waits, and the last number is told", () => {
    const bed = new Bed();
    const before = bed.files().wal!.length;
    for (let number = 1; number <= 5; number += 1) bed.keeper.put(packed({ number, entries: [entry(number)] }));
    expect(bed.files().wal!.length).toBe(before);
    bed.keeper.flush();
    expect(bed.told).toEqual([{ kind: "durable", number: 5 }]);
    expect(bed.reopen().entries).toHaveLength(5);
    bed.keeper.close();
  });
});

describe("a log that can't be gone on with", () => {
  const opening = (path: string, identity = IDENTITY) => LogKeeper.open(path, identity, () => {});

  test("another member's", () => {
    const bed = new Bed();
    bed.keeper.close();
    expect(() => opening(bed.path, { ...IDENTITY, member: 78 })).toThrow("is that of member 77");
  });

  test("none at all, though something of the name is there", () => {
    const path = somewhere();
    writeFileSync(path, "not a database ".repeat(1000));
    expect(() => opening(path)).toThrow("SQLite can't read it");
    expect(LogKeeper.open(somewhere(), undefined, () => {})).toBeNull();
  });

  test("a batch that leaves a gap is a bug, and is not acknowledged", () => {
    const bed = new Bed();
    bed.write({ number: 1, entries: [entry(1)] });
    expect(() => bed.write({ number: 2, entries: [entry(3)] })).toThrow("does not fit into the log");
    expect(bed.told).toEqual([{ kind: "durable", number: 1 }]);
  });
});
