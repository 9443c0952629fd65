/** What /proc and the record of a runtime tell, and whom signals reach. */
import { afterEach, describe, expect, test } from "bun:test";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import fc from "fast-check";
import { StateLock } from "../../src/keeper/lock.ts";
import { findProgram } from "../../src/keeper/program.ts";
import {
  isThere,
  oomKills,
  oomKillsOf,
  parseStat,
  placeOfNumbers,
  sessionOf,
  signalSession,
  statOf,
} from "../../src/keeper/proc.ts";
import { asRecord, readRecord, removeRecord, type RuntimeRecord, writeRecord } from "../../src/keeper/record.ts";
import { readSpec } from "../../src/keeper/spec.ts";
import { until } from "../process/harness.ts";

const made: string[] = [];
afterEach(() => {
  for (const one of made.splice(0)) rmSync(one, { recursive: true, force: true });
});

function folder(): string {
  const path = mkdtempSync(join(tmpdir(), "infermesh-keeper-proc-"));
  made.push(path);
  return path;
}

describe("/proc", () => {
  test("tells a process from one that has its number later", () => {
    const own = statOf(process.pid)!;
    expect(own.pid).toBe(process.pid);
    expect(isThere(own)).toBe(true);
    expect(isThere({ pid: own.pid, start: `${Number(own.start) + 1}` })).toBe(false);
    expect(statOf(2 ** 22 + 5)).toBeUndefined();
    expect(placeOfNumbers()).toMatch(/^[0-9a-f-]{36} pid:\[\d+\]$/);
  });

  test("tells where its numbers count, or that this is not known", () => {
    const texts: Record<string, string> = {
      "/proc/sys/kernel/random/boot_id": "0dd5-1\n",
      "/proc/self": "77",
      "/proc/self/ns/pid": "pid:[4026531836]",
    };
    const read = (path: string): string => {
      if (texts[path] === undefined) throw new Error("ENOENT");
      return texts[path];
    };
    expect(placeOfNumbers(77, read)).toBe("0dd5-1 pid:[4026531836]");
    // Another container's /proc, or the machine's, mounted here: its numbers are not those that signals go to.
    expect(placeOfNumbers(7, read)).toBe("");
    for (const name of Object.keys(texts)) {
      const text = texts[name]!;
      delete texts[name];
      expect(placeOfNumbers(77, read)).toBe("");
      texts[name] = "";
      expect(placeOfNumbers(77, read)).toBe("");
      texts[name] = text;
    }
  });

  test("is read whatever a process calls itself", () => {
    const rest = Array.from({ length: 40 }, (_, at) => String(at + 4)).join(" ");
    fc.assert(
      fc.property(fc.string(), (name) => {
        expect(parseStat(9, `9 (${name}) S ${rest}`)).toEqual({
          pid: 9,
          state: "S",
          threads: 20,
          parent: 4,
          group: 5,
          session: 6,
          start: "22",
        });
      }),
    );
    fc.assert(fc.property(fc.string(), (text) => void parseStat(9, text)));
    expect(parseStat(9, "")).toBeUndefined();
  });

  test("tells of processes that the kernel ended for lack of memory, by both versions of cgroups", () => {
    const files: Record<string, string> = {
      "/sys/fs/cgroup/a/b/memory.events": "low 0\nhigh 0\nmax 3\noom 2\noom_kill 2\noom_group_kill 0\n",
      "/sys/fs/cgroup/memory/c/memory.oom_control": "oom_kill_disable 0\nunder_oom 0\noom_kill 5\n",
    };
    const read = (path: string): string => {
      if (files[path] === undefined) throw new Error("ENOENT");
      return files[path];
    };
    expect(oomKills("0::/a/b\n", read)).toBe(2);
    expect(oomKills("5:cpu,cpuacct:/x\n4:memory:/c\n0::/\n", read)).toBe(5);
    expect(oomKills("0::/none\n", read)).toBeUndefined();
    expect(oomKills("", read)).toBeUndefined();
    const own = oomKillsOf("self");
    expect(own === undefined || own >= 0).toBe(true);
    expect(oomKillsOf(2 ** 22 + 5)).toBeUndefined();
  });

  test("knows a process whose first thread has ended, and others go on, from one that has ended", () => {
    const rest = (threads: number): string => {
      return Array.from({ length: 40 }, (_, at) => (at === 16 ? threads : at + 4)).join(" ");
    };
    expect(parseStat(9, `9 (engine) Z ${rest(2)}`)).toMatchObject({ state: "Z", threads: 2 });
    expect(parseStat(9, `9 (engine) Z ${rest(1)}`)).toMatchObject({ state: "Z", threads: 1 });
  });

  test("names a session, whose members get a signal also where they made a group of their own", async () => {
    const script = "set -m; sleep 50 & sleep 50 & echo ready; wait";
    const child = Bun.spawn(["bash", "-c", script], { detached: true, stdout: "pipe" });
    await child.stdout.getReader().read();
    const leader = statOf(child.pid)!;
    const members = sessionOf(child.pid);
    expect(members.length).toBe(3);
    expect(new Set(members.map(({ group }) => group)).size).toBe(3);
    // Another process's start: whoever has the number now is left alone.
    expect(signalSession({ pid: child.pid, start: "1" }, "SIGKILL")).toBe(false);
    expect(sessionOf(child.pid).length).toBe(3);
    expect(signalSession(leader, "SIGKILL")).toBe(true);
    await child.exited;
    await until(() => sessionOf(child.pid).length === 0);
    expect(signalSession(leader, "SIGKILL")).toBe(false);
    expect(signalSession({ pid: 1, start: "1" }, "SIGTERM")).toBe(false);
  });
});

describe("a record", () => {
  const record: RuntimeRecord = {
    place: placeOfNumbers(),
    keeper: { pid: 10, start: "100" },
    runtime: { pid: 11, start: "101" },
    fingerprint: "f",
    isDetached: true,
    startedAtMs: 5,
    exit: null,
  };

  test("is read as it was written, and removed by its own keeper alone", () => {
    const directory = folder();
    expect(readRecord(directory)).toBeUndefined();
    writeRecord(directory, record);
    expect(readRecord(directory)).toEqual(record);
    const exit = { code: 1, signal: null, oomKills: 0, lastLines: ["x"] };
    writeRecord(directory, { ...record, exit });
    expect(readRecord(directory)).toEqual({ ...record, exit });
    removeRecord(directory, { pid: 10, start: "99" });
    expect(readRecord(directory)).toBeDefined();
    // The same numbers in another container or boot, or nobody knows where.
    for (const place of ["b pid:[1]", ""]) {
      writeRecord(directory, { ...record, place });
      removeRecord(directory, record.keeper);
      expect(readRecord(directory)).toBeDefined();
    }
    writeRecord(directory, record);
    removeRecord(directory, record.keeper);
    expect(readRecord(directory)).toBeUndefined();
    expect(() => writeRecord("/proc/none", record)).toThrow();
  });

  test("that is none is nothing", () => {
    const directory = folder();
    for (const text of ["", "{", "null", "[]", "{}", `{"place":1}`]) {
      writeFileSync(join(directory, "runtime.json"), text);
      expect(readRecord(directory)).toBeUndefined();
    }
    for (const wrong of [
      { keeper: { pid: 1, start: "1" } },
      { keeper: { pid: "10", start: "1" } },
      { runtime: { pid: -5, start: "1" } },
      { runtime: { pid: 5, start: "x" } },
      { exit: { code: "1", signal: null, lastLines: [] } },
      { exit: { code: 1, signal: null, lastLines: [1] } },
      { startedAtMs: 1e300 },
      { isDetached: 1 },
      { place: undefined },
      { place: 1 },
    ]) {
      expect(asRecord({ ...record, ...wrong })).toBeUndefined();
    }
    fc.assert(
      fc.property(fc.anything(), (value) => expect(asRecord({ ...record, exit: value ?? {} })).toBeUndefined()),
    );
    fc.assert(fc.property(fc.json(), (text) => void readSpec(text)));
    expect(readSpec("{")).toBeUndefined();
  });
});

describe("a program", () => {
  test("is found as a shell finds it, or it is said why not", () => {
    const directory = folder();
    writeFileSync(join(directory, "run"), "#!/bin/sh\n", { mode: 0o755 });
    writeFileSync(join(directory, "text"), "", { mode: 0o644 });
    const env = { PATH: `/none:${directory}` };
    expect(findProgram("run", env, "/")).toEqual({ path: join(directory, "run") });
    expect(findProgram("./run", {}, directory)).toEqual({ path: join(directory, "run") });
    expect(findProgram("run", { PATH: "." }, directory)).toEqual({ path: join(directory, "run") });
    expect(findProgram("vllm", env, "/")).toEqual({ fault: `no "vllm" in any folder of PATH (/none:${directory})` });
    expect(findProgram("vllm", {}, "/")).toMatchObject({ fault: expect.stringContaining("not set") });
    expect(findProgram("/none/x", env, "/")).toEqual({ fault: "there is no /none/x" });
    expect(findProgram("./x", env, directory)).toEqual({ fault: `there is no ${directory}/x` });
    expect(findProgram(directory, env, "/")).toEqual({ fault: `${directory} is no file` });
    expect(findProgram("text", env, "/")).toEqual({ fault: `${directory}/text may not be run by this user` });
  });
});

describe("a lock", () => {
  test("is one agent's at a time", () => {
    const directory = folder();
    const first = new StateLock(directory);
    expect(() => new StateLock(directory)).toThrow(/another agent looks after the runtime/);
    first.release();
    new StateLock(directory).release();
    expect(() => new StateLock("/proc/none")).toThrow(/can't keep the runtime's record/);
  });
});
