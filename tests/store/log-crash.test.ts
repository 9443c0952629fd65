/**
 * A log whose process was killed, whose machine lost its power, or whose disk rotted, at every place: what a crash leaves
 * is taken from what was written, byte by byte.
 */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { writeFileSync } from "node:fs";
import { Prng } from "../../src/base/prng.ts";
import type { LogContents, LogFiles } from "../../src/store/log-archive.ts";
import type { LogBatch } from "../../src/store/log.ts";
import { readWal } from "../../src/store/log-wal.ts";
import {
  Bed,
  entry,
  FRAME,
  held,
  heldBySqlite,
  Model,
  removeAll,
  snapshotAt,
  somewhere,
  WAL_HEADER,
} from "./log-bed.ts";

/** What a log holds after so many acknowledged batches, and its files at that moment. */
interface Moment {
  readonly contents: ReturnType<Model["copy"]>;
  readonly files: LogFiles;
}

/** From one place to the next that is looked at, where looking at each would take too long: no divisor of a page. */
const STRIDE = 1213;

/** Batches of every kind, from an empty log on: the moment after each of them. */
function lived(): Moment[] {
  const bed = new Bed();
  const model = new Model();
  const moments: Moment[] = [{ contents: model.copy(), files: bed.files() }];
  const write = (batch: Omit<LogBatch, "number">): void => {
    const numbered = { number: moments.length, ...batch };
    model.write(numbered);
    bed.write(numbered);
    moments.push({ contents: model.copy(), files: bed.files() });
  };
  const compact = (index: number, keepFrom: number): void => {
    model.compact({ snapshot: snapshotAt(index), keepFrom });
    bed.compact(snapshotAt(index), keepFrom);
    moments.push({ contents: model.copy(), files: bed.files() });
  };
  write({ entries: [entry(1, 1, 0, "noop")], hardState: { term: 1, votedFor: 77, commitIndex: 0 } });
  for (let index = 2; index <= 6; index += 1) write({ entries: [entry(index, 1, 256)] });
  write({ entries: Array.from({ length: 30 }, (_, at) => entry(7 + at, 1, 400)) });
  write({ entries: [entry(37, 1, 12_000)], hardState: { term: 1, votedFor: 77, commitIndex: 30 } });
  write({ entries: [entry(35, 2), entry(36, 2)], hardState: { term: 2, votedFor: 78, commitIndex: 30 } });
  compact(30, 25);
  for (let index = 37; index <= 41; index += 1) write({ entries: [entry(index, 2, 256)] });
  write({ snapshot: snapshotAt(60, 2, 9000), entries: [entry(61, 2)] });
  write({ entries: [entry(62, 2)], hardState: { term: 3, votedFor: 0, commitIndex: 61 } });
  bed.keeper.close();
  return moments;
}

let moments: Moment[] = [];
beforeAll(() => {
  moments = lived();
});
afterAll(removeAll);

/** Which of the moments these contents are those of; -1: of none. */
function momentOf(contents: LogContents | null): number {
  return moments.findIndex((moment) => Bun.deepEquals(moment.contents, contents && Model.of(contents).copy()));
}

const changed = (bytes: Uint8Array | undefined, change: (copy: Uint8Array) => void): Uint8Array => {
  const copy = new Uint8Array(bytes!);
  change(copy);
  return copy;
};

/** `refused`, or the moment that is left. */
function outcome(files: LogFiles): number | "refused" {
  try {
    return momentOf(held(files));
  } catch (error) {
    expect((error as { code?: string }).code).toBe("store_damaged");
    return "refused";
  }
}

describe("killed", () => {
  test("at every frame and many bytes of every transaction: all that was acknowledged is there", () => {
    for (let at = 1; at < moments.length; at += 1) {
      const before = moments[at - 1]!.files;
      const after = moments[at]!.files.wal!;
      const start = before.wal!.length;
      const cuts: number[] = [];
      for (let cut = start; cut < after.length; cut += STRIDE) cuts.push(cut);
      for (let frame = Math.max(start, WAL_HEADER); frame < after.length; frame += FRAME) {
        cuts.push(...[0, 1, 23, 24, 25, FRAME - 1].map((more) => frame + more));
      }
      for (const cut of cuts) {
        expect([at, cut, outcome({ ...before, wal: after.subarray(0, cut) })]).toEqual([at, cut, at - 1]);
      }
      // Whole, and the process was killed before it wrote the mark or told anybody.
      expect(outcome({ ...before, wal: after })).toBe(at);
    }
  });

  test("SQLite itself finds the same, and the log is gone on with", () => {
    for (let at = 1; at < moments.length; at += 1) {
      const before = moments[at - 1]!.files;
      const after = moments[at]!.files.wal!;
      for (const cut of [before.wal!.length + 1000, after.length - 1]) {
        const contents = heldBySqlite({ ...before, wal: after.subarray(0, cut) }, 100_000);
        expect(momentOf(contents)).toBe(at - 1);
        expect(contents.repaired?.frames ?? 0).toBeGreaterThan(0);
      }
      expect(momentOf(heldBySqlite({ ...before, wal: after }))).toBe(at);
    }
  });

  test("while pages go from the write-ahead log into the database, in any order", () => {
    const { files } = moments.at(-1)!;
    const scan = readWal(files.wal!);
    const prng = new Prng(5);
    for (let round = 0; round < 40; round += 1) {
      const database = new Uint8Array(scan.databasePages * scan.pageBytes);
      database.set(files.database!.subarray(0, database.length));
      for (const [page, from] of scan.pages) {
        if (page > scan.databasePages || prng.int(2) === 0) continue;
        database.set(files.wal!.subarray(from, from + scan.pageBytes), (page - 1) * scan.pageBytes);
      }
      expect(outcome({ ...files, database })).toBe(moments.length - 1);
    }
  });

  test("while the mark is written, at every byte", () => {
    const before = moments.at(-2)!.files;
    const after = moments.at(-1)!.files;
    const differing = after.mark!.findIndex((byte, at) => byte !== before.mark![at]);
    for (let cut = differing; cut < differing + 128; cut += 1) {
      const mark = changed(after.mark, (copy) => copy.set(before.mark!.subarray(cut, 512 * 2), cut));
      expect(outcome({ ...after, mark })).toBe(moments.length - 1);
    }
  });

  test("while the log is made: it is made anew", () => {
    const { files } = moments[0]!;
    const blank = new Uint8Array(files.mark!.length);
    for (const left of [
      { mark: undefined, database: undefined, wal: undefined },
      { mark: blank, database: undefined, wal: undefined },
      { mark: blank, database: files.database, wal: undefined },
      // Somebody has removed the other two.
      { mark: undefined, database: undefined, wal: moments[5]!.files.wal },
    ]) {
      expect(momentOf(heldBySqlite(left))).toBe(0);
    }
  });
});

describe("the power failed", () => {
  test("and any sectors of the last transaction did not get to the disk: all that was acknowledged is there", () => {
    const prng = new Prng(11);
    for (let round = 0; round < 400; round += 1) {
      const at = 1 + prng.int(moments.length - 1);
      const before = moments[at - 1]!.files;
      const after = moments[at]!.files.wal!;
      const wal = changed(after, (copy) => {
        const first = Math.floor(before.wal!.length / 512) * 512;
        for (let sector = first; sector < copy.length; sector += 512) {
          if (prng.int(3) !== 0) continue;
          const end = Math.min(sector + 512, copy.length);
          // What had been durable in the same sector is not torn with it.
          // The header is synchronised before anything follows on it.
          copy.fill(0, Math.max(sector, before.wal!.length, WAL_HEADER), end);
        }
      });
      // The mark may be an earlier one: it is synchronised later.
      const { mark } = moments[prng.int(at)]!.files;
      const found = outcome({ ...before, wal, mark });
      expect([round, at - 1, at]).toContain(found === "refused" ? -1 : found);
    }
  });
});

describe("the disk rotted: nothing is lost without a word", () => {
  const last = (): Moment => moments.at(-1)!;
  const whole = (): number => moments.length - 1;

  test("in the write-ahead log", () => {
    const { files } = last();
    const counts = new Map<number | "refused", number>();
    for (let at = 0; at < files.wal!.length; at += at < WAL_HEADER ? 1 : STRIDE) {
      const wal = changed(files.wal, (copy) => (copy[at]! ^= 1 << (at % 8)));
      const found = outcome({ ...files, wal });
      counts.set(found, (counts.get(found) ?? 0) + 1);
      expect([at, found === "refused" || found === whole()]).toEqual([at, true]);
    }
    expect(counts.get("refused")).toBeGreaterThan(100);
  });

  test("in the write-ahead log, whose mark is an early one: all but the last batch is sure", () => {
    const { files } = last();
    const { mark } = moments[0]!.files;
    const start = moments.at(-2)!.files.wal!.length;
    for (let at = 0; at < files.wal!.length; at += at < WAL_HEADER ? 1 : STRIDE) {
      const wal = changed(files.wal, (copy) => (copy[at]! ^= 0x10));
      const found = outcome({ ...files, wal, mark });
      const fine = found === "refused" || found === whole() || (at >= start && found === whole() - 1);
      expect([at, fine]).toEqual([at, true]);
    }
  });

  test("in the database", () => {
    const bed = new Bed(somewhere());
    const model = new Model();
    for (let number = 1; number <= 30; number += 1) {
      const batch = { number, entries: [entry(number, 1, 600)] };
      model.write(batch);
      bed.write(batch);
    }
    model.compact({ snapshot: snapshotAt(20, 1, 6000), keepFrom: 10 });
    bed.compact(snapshotAt(20, 1, 6000), 10);
    bed.keeper.close();
    const files = bed.files();
    expect(files.wal).toBeUndefined();
    let refused = 0;
    for (let at = 0; at < files.database!.length; at += 97) {
      const database = changed(files.database, (copy) => (copy[at]! ^= 1 << (at % 8)));
      try {
        expect(Model.of(held({ ...files, database })!).copy()).toEqual(model.copy());
      } catch (error) {
        expect(["store_damaged", "config_invalid"]).toContain((error as { code: string }).code);
        refused += 1;
      }
    }
    expect(refused).toBeGreaterThan(100);
  });

  test("in the mark", () => {
    const { files } = last();
    for (let at = 0; at < 1024; at += 3) {
      const mark = changed(files.mark, (copy) => (copy[at]! ^= 4));
      expect([at, outcome({ ...files, mark })]).toEqual([at, whole()]);
    }
    expect(outcome({ ...files, mark: new Uint8Array(files.mark!.length).fill(0x41) })).toBe("refused");
  });

  test("a file is gone, cut off, or another log's", () => {
    const { files } = last();
    const other = new Bed();
    other.keeper.close();
    for (const left of [
      { ...files, database: undefined },
      { ...files, mark: undefined },
      { ...files, wal: undefined },
      { ...files, wal: files.wal!.subarray(0, files.wal!.length - FRAME) },
      { ...files, wal: moments[3]!.files.wal },
      { ...files, mark: other.files().mark },
    ]) {
      expect(outcome(left)).toBe("refused");
    }
  });

  test("another history than the one that was acknowledged", () => {
    const bed = new Bed();
    bed.write({ number: 1, entries: [entry(1)] });
    bed.keeper.close();
    const before = bed.files();
    const lives = [2, 3].map((term) => {
      const path = somewhere();
      writeFileSync(path, before.database!);
      writeFileSync(`${path}-mark`, before.mark!);
      const life = new Bed(path);
      life.write({ number: 1, entries: [entry(2, term)] });
      const { mark } = life.files();
      life.write({ number: 2, entries: [entry(3, term)] });
      life.keeper.close();
      return { ...life.files(), mark };
    });
    const [one, other] = lives as [LogFiles, LogFiles];
    expect(held(one)?.entries).toHaveLength(3);
    expect(outcome({ ...one, mark: other.mark })).toBe("refused");
  });

  test("what is refused is left as it was", () => {
    const { files } = last();
    const wal = changed(files.wal, (copy) => (copy[WAL_HEADER + 3 * FRAME + 1000]! ^= 1));
    const bed = new Bed();
    bed.keeper.close();
    const { path } = bed;
    for (const [suffix, bytes] of [
      ["", files.database],
      ["-wal", wal],
      ["-mark", files.mark],
    ] as const) {
      writeFileSync(path + suffix, bytes!);
    }
    expect(() => bed.open()).toThrow("What to do");
    expect(bed.files().wal).toEqual(wal);
    expect(bed.files().database).toEqual(files.database);
  });
});
