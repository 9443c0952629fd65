import { afterEach, describe, expect, test } from "bun:test";
import { mkdtempSync, readdirSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Entry } from "../../src/raft/entry.ts";
import { type DurableLog, openLog } from "../../src/store/log.ts";

const ENTRY = new URL("../../src/store/log-worker.ts", import.meta.url);
const IDENTITY = { clusterId: "0123456789abcdef0123456789abcdef", member: 77 };
const folders: string[] = [];
const open: DurableLog[] = [];

function somewhere(): string {
  const folder = mkdtempSync(join(tmpdir(), "log-"));
  folders.push(folder);
  return join(folder, "control.sqlite");
}

async function opened(path: string): Promise<DurableLog> {
  const log = await openLog(path, IDENTITY, ENTRY);
  expect(log).not.toBeNull();
  open.push(log!);
  return log!;
}

afterEach(async () => {
  for (const log of open.splice(0)) await log.close();
  for (const folder of folders.splice(0)) rmSync(folder, { recursive: true, force: true });
});

const bytes = (text: string): Uint8Array => new TextEncoder().encode(text);
const entry = (index: number, term = 1, text = `entry ${index}`): Entry => ({
  index,
  term,
  kind: "command",
  data: bytes(text),
});

const durable = (log: DurableLog, number: number): Promise<void> =>
  new Promise((resolve, reject) => {
    log.onDurable = (upTo) => upTo >= number && resolve();
    log.onFailure = reject;
  });

describe("a durable log", () => {
  test("holds after a restart what was written", async () => {
    const path = somewhere();
    expect(await openLog(path, undefined, ENTRY)).toBeNull();
    const log = await opened(path);
    expect(log.contents).toMatchObject({ identity: IDENTITY, entries: [], snapshot: null, repaired: null });
    const done = durable(log, 2);
    log.write({ number: 1, entries: [entry(1), entry(2)], hardState: { term: 1, votedFor: 77, commitIndex: 0 } });
    log.write({ number: 2, entries: [entry(3)], hardState: { term: 1, votedFor: 77, commitIndex: 2 } });
    await done;
    await log.close();
    expect(readdirSync(join(path, "..")).sort()).toEqual(["control.sqlite", "control.sqlite-mark"]);
    const again = await openLog(path, undefined, ENTRY);
    open.push(again!);
    expect(again!.contents.entries).toEqual([entry(1), entry(2), entry(3)]);
    expect(again!.contents.hardState).toEqual({ term: 1, votedFor: 77, commitIndex: 2 });
  });

  test("is one process's, and says whose", async () => {
    const path = somewhere();
    await opened(path);
    expect(openLog(path, IDENTITY, ENTRY)).rejects.toThrow(`in use by process ${process.pid}`);
  });
});
