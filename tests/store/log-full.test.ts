/** A disk that is full, and one that has space again: a file system of a few MiB, and a limit on a file's size. */
import { afterAll, afterEach, describe, expect, test } from "bun:test";
import { mkdirSync, rmSync, statfsSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import type { MeshError } from "../../src/base/errors.ts";
import { type DurableLog, openLog } from "../../src/store/log.ts";
import { Bed, entry, held, IDENTITY, LOG_THREAD, removeAll, somewhere } from "./log-bed.ts";

const DISK = join(dirname(somewhere()), "disk");
mkdirSync(DISK);
const mounted = Bun.spawnSync(["mount", "-t", "tmpfs", "-o", "size=24m", "tmpfs", DISK], { stderr: "ignore" }).success;
const PRLIMIT = Bun.which("prlimit");

afterEach(() => {
  if (mounted) for (const suffix of ["", "-wal", "-mark"]) rmSync(join(DISK, `log${suffix}`), { force: true });
});
afterAll(() => {
  if (mounted) Bun.spawnSync(["umount", "-l", DISK]);
  removeAll();
});

/** Writes entries of 64 KiB, one after the other, until that many are durable or it fails. */
class Writer {
  durable = 0;
  written = 0;
  readonly #log: DurableLog;
  failed = Promise.withResolvers<MeshError>();
  recovered = Promise.withResolvers<void>();

  constructor(log: DurableLog) {
    this.#log = log;
    log.onFailure = (error) => this.failed.resolve(error);
    log.onRecovered = () => this.recovered.resolve();
  }

  async upTo(count: number): Promise<void> {
    const done = Promise.withResolvers<void>();
    this.#log.onDurable = (number) => {
      expect(number).toBeGreaterThan(this.durable);
      this.durable = number;
      if (number >= count) done.resolve();
      else this.next();
    };
    this.next();
    await Promise.race([done.promise, this.failed.promise]);
  }

  next(): void {
    const number = ++this.written;
    this.#log.write({ number, entries: [entry(number, 1, 65_536)] });
  }
}

describe.skipIf(!mounted)("a full disk (skipped where nothing may be mounted)", () => {
  test("nothing is acknowledged that is not durable, and it goes on when there is space", async () => {
    const path = join(DISK, "log");
    const log = (await openLog(path, IDENTITY, LOG_THREAD))!;
    const writer = new Writer(log);
    await writer.upTo(3);
    const ballast = join(DISK, "ballast");
    const { bavail, bsize } = statfsSync(DISK);
    writeFileSync(ballast, new Uint8Array(bavail * bsize));
    await writer.upTo(1000);
    const error = await writer.failed.promise;
    expect(error.code).toBe("store_full");
    expect(error.message).toContain("free some space");
    expect(log.failure).toBe(error);
    const before = writer.durable;
    // What comes meanwhile waits in its place.
    writer.next();
    expect(writer.durable).toBe(before);
    rmSync(ballast);
    await writer.recovered.promise;
    writer.failed = Promise.withResolvers();
    await writer.upTo(before + 10);
    expect(log.failure).toBeNull();
    await log.close();
    const again = (await openLog(path, IDENTITY, LOG_THREAD))!;
    expect(again.contents.entries.length).toBe(writer.written);
    expect(again.contents.repaired).toBeNull();
    await again.close();
  });

  test("a transaction that finds no space half way is whole when there is some", () => {
    const bed = new Bed(join(DISK, "log"));
    bed.write({ number: 1, entries: [entry(1)] });
    const ballast = join(DISK, "ballast");
    const { bavail, bsize } = statfsSync(DISK);
    writeFileSync(ballast, new Uint8Array(bavail * bsize));
    // More than what is allocated for SQLite's write-ahead log.
    const entries = Array.from({ length: 100 }, (_, at) => entry(2 + at, 1, 65_536));
    bed.write({ number: 2, entries, hardState: { term: 1, votedFor: 77, commitIndex: 1 } });
    bed.write({ number: 3, entries: [entry(102)] });
    expect(bed.told).toMatchObject([{ number: 1 }, { kind: "failing", error: { code: "store_full" } }]);
    rmSync(ballast);
    bed.keeper.close();
    expect(bed.told.slice(2)).toEqual([{ kind: "recovered" }, { kind: "durable", number: 3 }]);
    const { entries: found, hardState, repaired } = held(bed.files())!;
    expect(found).toHaveLength(102);
    expect(hardState.commitIndex).toBe(1);
    expect(repaired).toBeNull();
  });

  test("it is full until the write-ahead log fits into the database", () => {
    const bed = new Bed(join(DISK, "log"));
    const ballast = join(DISK, "ballast");
    const { bavail, bsize } = statfsSync(DISK);
    writeFileSync(ballast, new Uint8Array(bavail * bsize));
    let index = 0;
    while (bed.told.at(-1)?.kind !== "failing" && index < 200) {
      index += 1;
      bed.write({ number: index, entries: [entry(index, 1, 65_536)] });
    }
    // The last attempt, at closing, finds no space either.
    bed.keeper.close();
    expect(bed.told.at(-1)).toMatchObject({ kind: "failing", error: { code: "store_full" } });
    const durable = bed.told.findLast((message) => message.kind === "durable")!;
    expect(held(bed.files())?.entries).toHaveLength(durable.number);
    rmSync(ballast);
    const again = bed.open();
    expect(again.contents.entries).toHaveLength(durable.number);
    again.close();
  });

  test("a log on it is read at its start, and written when there is space", async () => {
    const path = join(DISK, "log");
    const log = (await openLog(path, IDENTITY, LOG_THREAD))!;
    await new Writer(log).upTo(20);
    await log.close();
    const ballast = join(DISK, "ballast");
    const { bavail, bsize } = statfsSync(DISK);
    writeFileSync(ballast, new Uint8Array(bavail * bsize));
    const full = (await openLog(path, IDENTITY, LOG_THREAD))!;
    expect(full.contents.entries).toHaveLength(20);
    const writer = new Writer(full);
    writer.durable = 20;
    writer.written = 20;
    await writer.upTo(21);
    expect((await writer.failed.promise).code).toBe("store_full");
    rmSync(ballast);
    await writer.recovered.promise;
    await full.close();
  });

  test("a log can't be made on it", async () => {
    const ballast = join(DISK, "ballast");
    const { bavail, bsize } = statfsSync(DISK);
    writeFileSync(ballast, new Uint8Array(bavail * bsize));
    try {
      await openLog(join(DISK, "log"), IDENTITY, LOG_THREAD);
      expect.unreachable();
    } catch (error) {
      expect((error as MeshError).code).toBe("store_full");
    } finally {
      rmSync(ballast);
    }
  });
});

describe.skipIf(PRLIMIT === null)("a file that may not grow (skipped where there is no prlimit)", () => {
  test("is a full disk, until it may", async () => {
    const path = somewhere();
    const writer = new URL("log-limited.ts", import.meta.url).pathname;
    // 512-byte blocks: a little more than what is allocated at the start.
    const command = `trap '' XFSZ; ulimit -S -f 11000; exec "$0" "$@"`;
    const child = Bun.spawn(["sh", "-c", command, process.execPath, writer, path], { stdout: "pipe" });
    let told = "";
    let limited = true;
    const decoder = new TextDecoder();
    for await (const chunk of child.stdout) {
      told += decoder.decode(chunk);
      if (!limited || !told.includes("store_full")) continue;
      limited = false;
      Bun.spawnSync([PRLIMIT!, "--pid", String(child.pid), "--fsize=unlimited"]);
    }
    expect(await child.exited).toBe(0);
    const lines = told.trimEnd().split("\n");
    expect(lines.filter((line) => line.startsWith("store_full"))).toHaveLength(1);
    expect(lines).toContain("recovered");
    expect(lines.at(-1)).toBe("durable 150");
    const again = (await openLog(path, IDENTITY, LOG_THREAD))!;
    expect(again.contents.entries).toHaveLength(150);
    await again.close();
  });
});
