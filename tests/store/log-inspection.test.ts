import { afterEach, describe, expect, test } from "bun:test";
import { readdirSync, readFileSync, writeFileSync } from "node:fs";
import { dirname } from "node:path";
import { entryLine, inspectLog } from "../../src/store/log-inspection.ts";
import { Bed, entry, FRAME, IDENTITY, removeAll, snapshotAt, somewhere, WAL_HEADER } from "./log-bed.ts";

afterEach(removeAll);

function written(): Bed {
  const bed = new Bed();
  const entries = [1, 2, 3, 4, 5].map((index) => entry(index, 2, 10 * index));
  bed.write({ number: 1, entries, hardState: { term: 2, votedFor: 77, commitIndex: 4 } });
  bed.compact(snapshotAt(3, 2), 3);
  bed.write({ number: 2, entries: [entry(6, 3)] });
  return bed;
}

describe("inspect-store", () => {
  test("shows a log that is in use, and changes nothing", async () => {
    const { path, keeper } = written();
    const bytes = (): Buffer[] => ["", "-wal", "-mark"].map((suffix) => readFileSync(path + suffix));
    const before = bytes();
    const { summary, entries, fault } = await inspectLog(path);
    expect(fault).toBeNull();
    expect(summary).toMatchObject({
      path,
      state: `in use by process ${process.pid}`,
      health: "ok",
      format: 1,
      ...IDENTITY,
      hardState: { term: 2, votedFor: 77, commitIndex: 4 },
      snapshot: { index: 3, term: 2, bytes: 100, configuration: { voters: [77, 78], learners: [79] } },
      entries: { first: 3, last: 6, lastTerm: 3, count: 4, bytes: 30 + 40 + 50 + 40 },
      records: { first: 3, last: 8 },
      acknowledged: { upTo: 8 },
      unfinished: null,
    });
    expect(entries.map(({ index }) => index)).toEqual([3, 4, 5, 6]);
    expect(bytes()).toEqual(before);
    expect(readdirSync(dirname(path))).toHaveLength(3);
    keeper.close();
    expect((await inspectLog(path)).summary).toMatchObject({ state: "closed", health: "ok" });
  });

  test("says what is wrong, and shows what comes before it", async () => {
    const bed = new Bed();
    for (let number = 1; number <= 4; number += 1) bed.write({ number, entries: [entry(number)] });
    const { database, wal, mark } = bed.files();
    bed.keeper.close();
    const path = somewhere();
    const rotten = new Uint8Array(wal!);
    rotten[WAL_HEADER + 3 * FRAME + 2000]! ^= 1;
    writeFileSync(path, database!);
    writeFileSync(`${path}-wal`, rotten);
    writeFileSync(
      `${path}-mark`,
      mark!.map((byte, at) => (at < 1024 ? byte : 0)),
    );
    const { summary, entries, fault } = await inspectLog(path);
    expect(summary).toMatchObject({ health: "damaged", member: 77 });
    expect(fault?.code).toBe("store_damaged");
    expect(entries.length).toBeLessThan(4);
    writeFileSync(path, new Uint8Array(5000).fill(7));
    expect((await inspectLog(path)).summary).toMatchObject({ health: "damaged" });
  });

  test("shows one moment of a log that is written, and that nobody has it any more", async () => {
    const path = somewhere();
    const writer = new URL("log-writer.ts", import.meta.url).pathname;
    const child = Bun.spawn([process.execPath, writer, path, "1", "1000000"], { stdout: "pipe" });
    const reader = child.stdout.getReader();
    // It writes from here on.
    await reader.read();
    const drained = (async () => {
      while (!(await reader.read()).done);
    })();
    let last = 0;
    for (let look = 0; look < 12; look += 1) {
      const { summary, fault } = await inspectLog(path);
      expect(fault).toBeNull();
      expect(summary["state"]).toBe(`in use by process ${child.pid}`);
      const { upTo } = summary["acknowledged"] as { upTo: number };
      expect(upTo).toBeGreaterThanOrEqual(last);
      last = upTo;
    }
    child.kill("SIGKILL");
    await Promise.all([child.exited, drained]);
    expect((await inspectLog(path)).summary).toMatchObject({ state: "closed", health: "ok" });
  });

  test("there is none", async () => {
    expect(inspectLog(somewhere())).rejects.toThrow("there is no log");
  });

  test("entries are text where they are", () => {
    expect(entryLine(entry(1, 1, 5))).toEqual({ index: 1, term: 1, kind: "command", bytes: 5, text: "entry" });
    const data = new Uint8Array([255, 1]);
    expect(entryLine({ ...entry(1), data })).toMatchObject({ bytes: 2, base64: "/wE=" });
  });
});
