/** A runtime's log: nothing is lost over its files, old ones go, and a disk that is full stops nobody. */
import { afterEach, describe, expect, spyOn, test } from "bun:test";
import {
  mkdtempSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  rmSync,
  symlinkSync,
  unlinkSync,
  writeFileSync,
  writeSync,
} from "node:fs";
import { type FileHandle, open as openFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { zstdDecompressSync } from "node:zlib";
import fc from "fast-check";
import { LastLines, linesOf } from "../../src/keeper/last-lines.ts";
import { LogTail } from "../../src/keeper/log-tail.ts";
import { logFiles, LogWriter } from "../../src/keeper/log-writer.ts";
import { until } from "../process/harness.ts";

const made: string[] = [];
afterEach(() => {
  for (const one of made.splice(0)) rmSync(one, { recursive: true, force: true });
});

function folder(): string {
  const path = mkdtempSync(join(tmpdir(), "infermesh-keeper-log-"));
  made.push(path);
  return path;
}

/** What all files that are open have in common. */
async function openFiles(): Promise<FileHandle> {
  const file = await openFile("/dev/null", "r");
  await file.close();
  return Object.getPrototypeOf(file) as FileHandle;
}

function writer(directory: string, sizeBytesMax = 4096, filesMax = 1000) {
  const losses: string[] = [];
  return { log: new LogWriter(directory, { sizeBytesMax, filesMax }, (loss) => losses.push(loss)), losses };
}

const bytes = (text: string): Uint8Array => new TextEncoder().encode(text);

/** All that the files hold, in order. */
function whole(directory: string): string {
  const files = logFiles(directory).toSorted((a, b) => a.number - b.number);
  return files
    .map(({ name, kind }) => {
      const content = readFileSync(join(directory, name));
      return (kind === ".zst" ? zstdDecompressSync(content) : content).toString("utf8");
    })
    .join("");
}

describe("a log", () => {
  test("holds all that was written, over files that are limited and compressed", async () => {
    const directory = folder();
    const { log, losses } = writer(directory);
    const lines = Array.from({ length: 3000 }, (_, at) => `line ${at} ${"x".repeat(at % 50)}\n`);
    for (const line of lines) {
      log.push(bytes(line));
      if (lines.indexOf(line) % 500 === 0) await Bun.sleep(1);
    }
    await log.end();
    expect(losses).toEqual([]);
    expect(whole(directory)).toBe(lines.join(""));
    const files = logFiles(directory).toSorted((a, b) => a.number - b.number);
    expect(files.length).toBeGreaterThan(10);
    expect(files.slice(0, -1).every(({ kind }) => kind === ".zst")).toBe(true);
    expect(readlinkSync(join(directory, "runtime.log"))).toBe(files.at(-1)!.name);
    // No line is cut by the end of a file.
    for (const { name } of files.slice(0, -1)) {
      const content = zstdDecompressSync(readFileSync(join(directory, name))).toString("utf8");
      expect(content.endsWith("\n")).toBe(true);
      expect(content.length).toBeGreaterThanOrEqual(4096);
      expect(content.length).toBeLessThan(4096 + 100);
    }
  });

  test("loses nothing however its text comes in pieces, and whatever it is", async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(fc.uint8Array({ maxLength: 9000 }), { maxLength: 12 }), async (chunks) => {
        const directory = folder();
        const { log } = writer(directory);
        for (const chunk of chunks) log.push(chunk);
        await log.end();
        const files = logFiles(directory).toSorted((a, b) => a.number - b.number);
        const kept = files.map(({ name, kind }) => {
          const content = readFileSync(join(directory, name));
          return kind === ".zst" ? zstdDecompressSync(content) : content;
        });
        expect(Buffer.concat(kept).equals(Buffer.concat(chunks))).toBe(true);
      }),
      { numRuns: 30 },
    );
  });

  test("cuts a line that has no end", async () => {
    const directory = folder();
    const { log } = writer(directory);
    log.push(bytes("x".repeat(1_000_000)));
    await log.end();
    expect(whole(directory)).toBe("x".repeat(1_000_000));
    expect(logFiles(directory).length).toBeGreaterThan(10);
  });

  test("goes on where the one before ended, and finishes what that one had begun", async () => {
    const directory = folder();
    const first = writer(directory);
    first.log.push(bytes("one\n".repeat(1100)));
    first.log.push(bytes("two\n"));
    await first.log.end();
    writeFileSync(join(directory, "runtime-000001.log.zst.part"), "half");
    const second = writer(directory);
    second.log.push(bytes("three\n"));
    await second.log.end();
    expect(whole(directory)).toBe(`${"one\n".repeat(1100)}two\nthree\n`);
    expect(readdirSync(directory).sort()).toEqual(["runtime-000001.log.zst", "runtime-000002.log", "runtime.log"]);
    // One that was compressed, with none after it, is not written to.
    unlinkSync(join(directory, "runtime-000002.log"));
    const third = writer(directory);
    third.log.push(bytes("four\n"));
    await third.log.end();
    expect(readdirSync(directory).sort()).toEqual(["runtime-000001.log.zst", "runtime-000002.log", "runtime.log"]);
  });

  test("keeps no more files than it may", async () => {
    const directory = folder();
    const { log } = writer(directory, 4096, 3);
    for (let at = 0; at < 20; at += 1) log.push(bytes(`${"y".repeat(99)}\n`.repeat(41)));
    log.push(bytes("end\n"));
    await log.end();
    expect(logFiles(directory).length).toBe(3);
    expect(whole(directory).endsWith("end\n")).toBe(true);
  });

  test("is not stopped by a full disk, counts what is missing, and says so when there is room again", async () => {
    const directory = folder();
    const file = join(directory, "runtime-000001.log");
    symlinkSync("/dev/full", file);
    const { log, losses } = writer(directory);
    log.push(bytes("lost\n"));
    log.push(bytes("also lost\n"));
    await log.end();
    expect(losses).toEqual(["the disk was full"]);
    expect(log.lines.all()).toEqual(["lost", "also lost"]);
    unlinkSync(file);
    log.push(bytes("kept\n"));
    await log.end();
    const [note, kept] = readFileSync(file, "utf8").split("\n");
    expect(note).toMatch(/^\[infermesh .*: 15 bytes of output are missing here: the disk was full\]$/);
    expect(kept).toBe("kept");
    expect(losses).toHaveLength(1);
  });

  test("counts what is missing also where a disk takes but a part of the line that says so", async () => {
    const { log } = writer(folder());
    const rooms = [0, 40, 0, Infinity];
    const written: string[] = [];
    let room = rooms.shift()!;
    async function filling(this: FileHandle, buffer: Uint8Array, from: number, length: number) {
      const bytesWritten = Math.min(room, length);
      if (bytesWritten === 0) {
        room = rooms.shift() ?? Infinity;
        throw Object.assign(new Error("ENOSPC: write"), { code: "ENOSPC" });
      }
      room -= bytesWritten;
      written.push(new TextDecoder().decode(buffer.subarray(from, from + bytesWritten)));
      return { bytesWritten, buffer };
    }
    const write = spyOn(await openFiles(), "write").mockImplementation(filling as never);
    try {
      for (const line of ["12345\n", "1\n", "12\n", "kept\n"]) {
        log.push(bytes(line));
        await log.end();
      }
    } finally {
      write.mockRestore();
    }
    expect(written.join("")).toMatch(
      /\n\[infermesh \S+: 11 bytes of output are missing here: the disk was full\]\nkept\n$/,
    );
  });

  test("goes on in the next file when one can't be closed", async () => {
    const directory = folder();
    const { log, losses } = writer(directory);
    let failures = 0;
    // As a network's file system tells of a quota: the descriptor is gone all the same.
    const files = await openFiles();
    const closing = Reflect.get<FileHandle, "close">(files, "close");
    const close = spyOn(files, "close").mockImplementation(async function failing(this: FileHandle) {
      await closing.call(this);
      failures += 1;
      throw Object.assign(new Error("EDQUOT: close"), { code: "EDQUOT" });
    });
    try {
      log.push(bytes(`${"a".repeat(99)}\n`.repeat(41)));
      await until(() => failures === 1);
      log.push(bytes("after\n"));
      await until(() => whole(directory).includes("after\n"));
    } finally {
      close.mockRestore();
    }
    log.push(bytes("and on\n"));
    await log.end();
    expect(whole(directory)).toMatch(
      /a\n\[infermesh \S+: the end of runtime-000001\.log may be missing: the quota of the disk was used up\]\nafter\nand on\n$/,
    );
    expect(losses).toEqual(["the quota of the disk was used up"]);
    expect(new Set(logFiles(directory).map(({ number }) => number))).toEqual(new Set([1, 2]));
  });

  test("goes on after a file that can be written to no more", async () => {
    const directory = folder();
    const { log, losses } = writer(directory);
    const stale: FileHandle[] = [];
    async function failing(this: FileHandle, buffer: Uint8Array, from: number, length: number) {
      // The first file that is written to stays stale.
      if (stale.length === 0) stale.push(this);
      if (stale.includes(this)) throw Object.assign(new Error("ESTALE: write"), { code: "ESTALE" });
      return { bytesWritten: writeSync(this.fd, buffer, from, length), buffer };
    }
    const write = spyOn(await openFiles(), "write").mockImplementation(failing as never);
    try {
      log.push(bytes("lost\n"));
      await until(() => losses.length === 1);
      log.push(bytes("kept\n"));
      await log.end();
    } finally {
      write.mockRestore();
    }
    expect(whole(directory)).toMatch(/^\[infermesh \S+: 5 bytes of output are missing here: ESTALE: write\]\nkept\n$/);
  });

  test("lets go of what a slow disk does not take, and of no more", async () => {
    const directory = folder();
    const { log, losses } = writer(directory, 1024 * 1024 * 1024);
    // All at once: nothing is written before the next turn.
    for (let at = 0; at < 20; at += 1) log.push(bytes("z".repeat(1024 * 1024 - 1) + "\n"));
    await log.end();
    expect(losses).toEqual(["the disk was too slow"]);
    log.push(bytes("after\n"));
    await log.end();
    const text = readFileSync(join(directory, "runtime-000001.log"), "utf8");
    const [, missing] = /: (\d+) bytes of output are missing here: the disk was too slow\]/.exec(text) ?? [];
    expect(text.split("z").length - 1 + Number(missing)).toBeGreaterThanOrEqual(20 * (1024 * 1024 - 1));
    expect(text.endsWith("after\n")).toBe(true);
  });

  test("has notes on lines of their own", async () => {
    const directory = folder();
    const { log } = writer(directory);
    log.push(bytes("half a line"));
    log.note("process 7 ended");
    await log.end();
    expect(whole(directory)).toMatch(/^half a line\n\[infermesh \S+: process 7 ended\]\n$/);
    expect(log.lines.all()).toEqual(["half a line"]);
  });
});

describe("last lines", () => {
  test("are plain text, few and short", () => {
    const lines = new LastLines();
    lines.push(bytes(`\u001b[31mred\u001b[0m\r\n\n 10%\r100%\nx\u0007y\u202e\n${"w".repeat(400)}`));
    expect(lines.all()).toEqual(["red", "100%", "x y", `${"w".repeat(297)}...`]);
    expect(lines.endsLine).toBe(false);
    for (let at = 0; at < 1000; at += 1) lines.push(bytes(`${at}\n`));
    expect(lines.all()).toHaveLength(20);
    expect(lines.all().at(-1)).toBe("999");
  });

  test("are those of the whole, in whatever pieces it comes", () => {
    fc.assert(
      fc.property(fc.array(fc.uint8Array({ maxLength: 3000 }), { maxLength: 80 }), (chunks) => {
        const lines = new LastLines();
        for (const chunk of chunks) lines.push(chunk);
        expect(lines.all()).toEqual(linesOf(Buffer.concat(chunks).subarray(-16 * 1024)));
      }),
      { numRuns: 50 },
    );
  });

  test("of a log are read from its newest file, and again when something was added", async () => {
    const directory = folder();
    const tail = new LogTail(directory);
    expect(tail.lines).toEqual([]);
    const { log } = writer(directory);
    log.push(bytes("a\nb\n"));
    await log.end();
    expect(tail.lines).toEqual(["a", "b"]);
    expect(tail.lines).toBe(tail.lines);
    log.push(bytes("c\n"));
    await log.end();
    expect(tail.lines).toEqual(["a", "b", "c"]);
  });
});
