/**
 * The kernel's killing for lack of memory, by the kernel: a keeper in a cgroup of its own, with a limit. Where no cgroup may
 * be made (no root, or a container without them), this is skipped; `proc.test.ts` reads recorded files of both versions.
 */
import { afterAll, expect, setDefaultTimeout, test } from "bun:test";
import { existsSync, mkdirSync, mkdtempSync, rmdirSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { exitWords, type RuntimeExit } from "../../src/exec/exit.ts";
import type { KeeperSpec } from "../../src/keeper/spec.ts";

setDefaultTimeout(60_000);
const MIB = 1024 * 1024;
const LIMIT = 400 * MIB;
const ROOTS = [
  ["/sys/fs/cgroup/memory", "memory.limit_in_bytes"],
  ["/sys/fs/cgroup", "memory.max"],
] as const;

function limitedCgroup(): string | undefined {
  for (const [root, limit] of ROOTS) {
    const path = join(root, `infermesh-oom-${process.pid}`);
    if (!existsSync(root)) continue;
    try {
      mkdirSync(path);
      if (existsSync(join(path, limit))) {
        writeFileSync(join(path, limit), String(LIMIT));
        return path;
      }
      rmdirSync(path);
    } catch {
      // Not ours to make, or to limit.
    }
  }
  return undefined;
}

const cgroup = process.platform === "linux" ? limitedCgroup() : undefined;
const directory = mkdtempSync(join(tmpdir(), "infermesh-oom-"));
afterAll(async () => {
  rmSync(directory, { recursive: true, force: true });
  for (let tries = 0; cgroup !== undefined && existsSync(cgroup) && tries < 100; tries += 1) {
    try {
      rmdirSync(cgroup);
    } catch {
      await Bun.sleep(20);
    }
  }
});

/** How a program ends under a keeper within the cgroup. */
async function exitOf(script: string): Promise<RuntimeExit> {
  const self = [process.execPath, resolve(import.meta.dir, "../../src/main.ts")];
  const spec: KeeperSpec = {
    words: [process.execPath, "-e", script],
    env: { PATH: process.env["PATH"] ?? "" },
    workingDirectory: directory,
    stateDirectory: directory,
    fingerprint: "f",
    isDetached: false,
    stopTimeoutMs: 1000,
    logSizeBytesMax: MIB,
    logFilesMax: 2,
    self,
  };
  const inside = `echo $$ > ${cgroup}/cgroup.procs && exec "$0" "$@"`;
  const keeper = Bun.spawn(["sh", "-c", inside, ...self, "exec-runtime"], { stdin: "pipe", stdout: "pipe" });
  await keeper.stdin.write(`${JSON.stringify(spec)}\n`);
  await keeper.stdin.flush();
  const messages = (await new Response(keeper.stdout).text()).trim().split("\n");
  await keeper.exited;
  const last = JSON.parse(messages.at(-1)!) as { type: string; exit: RuntimeExit };
  expect(last.type).toBe("exited");
  return last.exit;
}

const HOG = `const all = []; for (let at = 0; at < 40; at += 1) all.push(Buffer.alloc(${20 * MIB}, 1)); console.log(all.length);`;

test.skipIf(cgroup === undefined)("a runtime that is killed for lack of memory is told as such", async () => {
  const exit = await exitOf(HOG);
  expect(exit).toMatchObject({ code: null, signal: "SIGKILL", oomKills: 1 });
  expect(exitWords(exit, false)).toBe("killed by the kernel for lack of memory (SIGKILL, oom_kill)");
});

test.skipIf(cgroup === undefined)("and so is one whose child was", async () => {
  const child = `const done = Bun.spawnSync([process.execPath, "-e", ${JSON.stringify(HOG)}]); process.exit(done.success ? 0 : 5);`;
  const exit = await exitOf(child);
  expect(exit).toMatchObject({ code: 5, signal: null, oomKills: 1 });
  expect(exitWords(exit, false)).toContain("ended with code 5, after the kernel had killed a process of it");
});
