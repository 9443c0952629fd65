import { afterEach, describe, expect, test } from "bun:test";
import { readdirSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type DurableLog, openLog } from "../../src/store/log.ts";
import { entry, IDENTITY, LOG_THREAD, removeAll, snapshotAt, somewhere } from "./log-bed.ts";

const open: DurableLog[] = [];

async function opened(path: string): Promise<DurableLog> {
  const log = await openLog(path, IDENTITY, LOG_THREAD);
  expect(log).not.toBeNull();
  open.push(log!);
  return log!;
}

afterEach(async () => {
  for (const log of open.splice(0)) await log.close();
  removeAll();
});

const durable = (log: DurableLog, number: number): Promise<void> =>
  new Promise((resolve, reject) => {
    log.onDurable = (upTo) => upTo >= number && resolve();
    log.onFailure = reject;
  });

describe("a durable log", () => {
  test("holds after a restart what was written", async () => {
    const path = somewhere(tmpdir());
    expect(await openLog(path, undefined, LOG_THREAD)).toBeNull();
    const log = await opened(path);
    expect(log.contents).toMatchObject({ identity: IDENTITY, entries: [], snapshot: null, repaired: null });
    const done = durable(log, 2);
    log.write({ number: 1, entries: [entry(1), entry(2)], hardState: { term: 1, votedFor: 77, commitIndex: 0 } });
    log.write({ number: 2, entries: [entry(3)], hardState: { term: 1, votedFor: 77, commitIndex: 2 } });
    await done;
    await log.close();
    expect(readdirSync(join(path, "..")).sort()).toEqual(["control.sqlite", "control.sqlite-mark"]);
    const again = await openLog(path, undefined, LOG_THREAD);
    open.push(again!);
    expect(again!.contents.entries).toEqual([entry(1), entry(2), entry(3)]);
    expect(again!.contents.hardState).toEqual({ term: 1, votedFor: 77, commitIndex: 2 });
  });

  test("is one process's, and says whose", async () => {
    const path = somewhere(tmpdir());
    await opened(path);
    expect(openLog(path, IDENTITY, LOG_THREAD)).rejects.toThrow(`in use by process ${process.pid}`);
  });

  test("takes data that are parts of larger buffers, and empty ones", async () => {
    const path = somewhere();
    const log = await opened(path);
    const done = durable(log, 1);
    const large = new Uint8Array(1000).fill(1).fill(2, 500);
    const entries = [
      { ...entry(1), data: large.subarray(499, 502) },
      { ...entry(2), kind: "noop" as const, data: new Uint8Array(0) },
      { ...entry(3), data: Buffer.from("buffer") },
    ];
    log.write({ number: 1, snapshot: { ...snapshotAt(0), data: large.subarray(600, 601) }, entries });
    await done;
    await log.close();
    const { contents } = await opened(path);
    expect(contents.entries.map(({ kind, data }) => [kind, ...data])).toEqual([
      ["command", 1, 2, 2],
      ["noop"],
      ["command", ...Buffer.from("buffer")],
    ]);
    expect(contents.snapshot?.data).toEqual(new Uint8Array([2]));
  });

  test("writes what waits before it is closed", async () => {
    const path = somewhere();
    const log = await opened(path);
    for (let number = 1; number <= 100; number += 1) log.write({ number, entries: [entry(number)] });
    await log.close();
    expect((await opened(path)).contents.entries).toHaveLength(100);
  });

  test("tells when its thread has ended, and acknowledges nothing from then on", async () => {
    const log = await opened(somewhere());
    const numbers: number[] = [];
    log.onDurable = (number) => void numbers.push(number);
    const failure = new Promise<Error>((resolve) => (log.onFailure = resolve));
    log.write({ number: 1, entries: [entry(1)] });
    // A gap is a bug of the writer.
    log.write({ number: 2, entries: [entry(7)] });
    log.write({ number: 3, entries: [entry(2)] });
    expect((await failure).message).toContain("restart the process");
    log.write({ number: 4, entries: [entry(2)] });
    expect(log.failure?.code).toBe("internal");
    expect(numbers.filter((number) => number > 1)).toEqual([]);
  });
});
