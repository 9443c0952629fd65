/** Real processes, killed by SIGKILL while they write: at random moments, and at every system call that writes. */
import { afterEach, describe, expect, test } from "bun:test";
import { tmpdir } from "node:os";
import { Prng } from "../../src/base/prng.ts";
import { LogKeeper } from "../../src/store/log-keeper.ts";
import { entry, removeAll, somewhere } from "./log-bed.ts";
import { batchOf } from "./log-writer.ts";

afterEach(removeAll);

const WRITER = new URL("log-writer.ts", import.meta.url).pathname;
/** Walks all of the calls, which takes half a minute. */
const EVERY_CALL = process.env["INFERMESH_EVERY_CALL"] === "1";
/** By which a log is made. */
const CREATION_CALLS = 30;
const STRACE = Bun.which("strace");
/** Calls of the log's thread by which a file changes or becomes durable. */
const WRITES = "pwrite64,write,fdatasync,fsync,ftruncate,rename,unlink,openat";

/** The batches that are in the log, by number; throws when it does not hold exactly the first so many of them. */
function batchesIn(path: string): number {
  const keeper = LogKeeper.open(path, undefined, () => {});
  if (keeper === null) return 0;
  keeper.close();
  const { snapshot, entries, hardState } = keeper.contents;
  let number = 0;
  const last = entries.at(-1)?.index ?? snapshot?.index ?? 0;
  while (batchOf(number + 1).first <= last) number += 1;
  const { first, count } = batchOf(Math.max(1, number));
  expect(last).toBe(number === 0 ? 0 : first + count - 1);
  expect(hardState.commitIndex).toBe(number === 0 ? 0 : first - 1);
  for (const [at, found] of entries.entries()) {
    const index = (entries[0]?.index ?? 0) + at;
    expect(found).toEqual(entry(index, 1, 60 + (index % 7) * 100));
  }
  return number;
}

const lastNumber = (told: string): number => Number(told.slice(0, told.lastIndexOf("\n")).split("\n").at(-1) ?? 0);

describe("a process that is killed", () => {
  test("at random moments leaves all that it acknowledged, again and again", async () => {
    const path = somewhere(tmpdir());
    const prng = new Prng(7);
    let durable = 0;
    for (let round = 0; round < 8; round += 1) {
      const child = Bun.spawn([process.execPath, WRITER, path, String(durable + 1), "100000"], {
        stdout: "pipe",
        stderr: "inherit",
      });
      const enough = durable + prng.int(150);
      let told = "";
      const decoder = new TextDecoder();
      for await (const chunk of child.stdout) {
        told += decoder.decode(chunk);
        if (lastNumber(told) > enough) child.kill("SIGKILL");
      }
      await child.exited;
      const found = batchesIn(path);
      expect(found).toBeGreaterThanOrEqual(lastNumber(told));
      durable = found;
    }
    expect(durable).toBeGreaterThan(100);
  }, 30_000);
});

describe.skipIf(STRACE === null)("a process that is killed at a system call (skipped where there is no strace)", () => {
  /** Runs the writer up to its n-th writing call, which is not made; whether it came so far, and what it had told. */
  async function runTo(path: string, first: number, call: number): Promise<{ killed: boolean; told: number }> {
    const files = ["", "-wal", "-mark", "-new", "-new-wal"].flatMap((suffix) => ["-P", path + suffix]);
    const options = ["-f", "-qq", "-o", "/dev/null", ...files, "-e", `trace=${WRITES}`];
    const inject = ["-e", `inject=${WRITES}:signal=KILL:when=${call}`];
    const writer = [process.execPath, WRITER, path, String(first), "45"];
    const child = Bun.spawn([STRACE!, ...options, ...inject, ...writer], { stdout: "pipe", stderr: "pipe" });
    const [told] = await Promise.all([child.stdout.text(), child.stderr.text(), child.exited]);
    return { killed: child.signalCode !== null || child.exitCode !== 0, told: lastNumber(told) };
  }

  test("whichever: all that it acknowledged is there", async () => {
    let calls = 0;
    for (let call = 1; ; call += EVERY_CALL ? 1 : call < CREATION_CALLS ? 3 : 9) {
      const path = somewhere();
      const { killed, told } = await runTo(path, 1, call);
      const found = batchesIn(path);
      expect([call, found >= told]).toEqual([call, true]);
      // The process told of a batch before the next ones were written: so many were on their way.
      expect(found - told).toBeLessThanOrEqual(4);
      if (!killed) {
        expect(found).toBe(45);
        break;
      }
      calls = call;
    }
    if (EVERY_CALL) console.log(`killed at each of ${calls} calls`);
    expect(calls).toBeGreaterThan(100);
  }, 120_000);
});
