/** Runtimes as real processes under real keepers: every way to end, what they leave behind, and taking them over. */
import { afterAll, afterEach, describe, expect, setDefaultTimeout, test } from "bun:test";
import { existsSync, mkdtempSync, readdirSync, readFileSync, readlinkSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { defaultsOf } from "../../src/base/settings-reading.ts";
import type { RunEvent } from "../../src/exec/run.ts";
import { type ExecConfig, execSettings, readyCheck } from "../../src/exec/settings.ts";
import { findLeft } from "../../src/keeper/kept.ts";
import { isThere, statOf } from "../../src/keeper/proc.ts";
import { askReady } from "../../src/keeper/ready.ts";
import { readRecord, writeRecord } from "../../src/keeper/record.ts";
import { Runner } from "../../src/keeper/runner.ts";
import { until } from "../process/harness.ts";

setDefaultTimeout(120_000);
const WAIT_MS = 60_000;
const SELF = [process.execPath, resolve(import.meta.dir, "../../src/main.ts")];
const made: string[] = [];
const open: Runner[] = [];
afterEach(async () => {
  await Promise.all(open.splice(0).map((runner) => runner.stop()));
});
afterAll(() => {
  for (const one of made) rmSync(one, { recursive: true, force: true });
});

function folder(): string {
  const path = mkdtempSync(join(tmpdir(), "infermesh-runner-"));
  made.push(path);
  return path;
}

interface World {
  readonly runner: Runner;
  readonly told: RunEvent[];
  readonly directory: string;
  kinds(): string[];
  is(state: string): Promise<void>;
  log(): string;
}

interface Given {
  readonly directory?: string;
  readonly env?: Record<string, string>;
  readonly isReady?: () => Promise<string>;
}

async function run(words: readonly string[], config: Partial<ExecConfig> = {}, given: Given = {}): Promise<World> {
  const directory = given.directory ?? folder();
  const told: RunEvent[] = [];
  const whole = { ...defaultsOf(execSettings), pauseMinMs: 20, pauseMaxMs: 50, checkIntervalMs: 50, ...config };
  const runner = new Runner({
    config: whole,
    words,
    env: () => ({ PATH: process.env["PATH"] ?? "", ...given.env }),
    workingDirectory: "/tmp",
    stateDirectory: directory,
    self: SELF,
    askReady: given.isReady ?? (() => Promise.resolve("")),
    happened: (event) => told.push(event),
    changed() {},
    seed: 1,
  });
  open.push(runner);
  await runner.start();
  return {
    runner,
    told,
    directory,
    kinds: () => told.map(({ kind }) => kind),
    is: (state) => until(() => runner.status.state === state, WAIT_MS),
    log() {
      const path = join(directory, "runtime.log");
      return existsSync(path) ? readFileSync(path, "utf8") : "";
    },
  };
}

const sh = (script: string, config: Partial<ExecConfig> = {}, given: Given = {}): Promise<World> =>
  run(["sh", "-c", script], config, given);

/** Of each state, also those that have ended. */
function childrenOf(parent: number): number[] {
  const pids = readdirSync("/proc").filter((name) => /^\d+$/.test(name));
  return pids.map(Number).filter((pid) => statOf(pid)?.parent === parent);
}

const nameOf = (pid: number) => statOf(pid) ?? { pid, start: "0" };

describe("a runtime", () => {
  test("runs with its words, its environment, its directory, both outputs in order, and no signal held back", async () => {
    const script = `echo "$1|$A_B|$(pwd)"; echo err >&2; echo out; echo named > /dev/stderr; grep -E '^Sig(Ign|Blk)' /proc/self/status; exec sleep 100`;
    const world = await run(["sh", "-c", script, "name", "a b"], {}, { env: { A_B: "c d" } });
    await world.is("ready");
    await until(() => world.log().includes("SigBlk"), WAIT_MS);
    const lines = world.runner.detail.lastLines.filter((line) => !line.startsWith("[infermesh"));
    expect(lines).toEqual([
      "a b|c d|/tmp",
      "err",
      "out",
      "named",
      "SigBlk:\t0000000000000000".replace("\t", " "),
      "SigIgn:\t0000000000000000".replace("\t", " "),
    ]);
    const { pid } = world.runner.status;
    const { session, group } = statOf(pid!)!;
    expect([session, group]).toEqual([pid!, pid!]);
    await world.runner.stop();
    expect(world.runner.status).toMatchObject({
      state: "stopped",
      pid: null,
      message: "asked to stop: ended by SIGTERM",
    });
    expect(isThere(nameOf(pid!))).toBe(false);
    expect(world.kinds()).toEqual(["started", "ready", "exited", "stopped"]);
    expect(existsSync(join(world.directory, "runtime.json"))).toBe(false);
    expect(JSON.stringify([world.told, world.runner.status, world.log().split("a b|")[0]])).not.toContain('c d"');
  });

  test("that crashes comes again, with its last words told; and stays down when it does so again and again", async () => {
    const world = await sh("echo CUDA out of memory >&2; exit 3", { crashesMax: 3 });
    await world.is("crash-looping");
    expect(world.runner.status).toMatchObject({ restarts: 2, pid: null });
    expect(world.runner.detail.lastExit).toMatchObject({ how: "ended with code 3", lastLines: ["CUDA out of memory"] });
    expect(world.kinds().filter((kind) => kind === "exited")).toHaveLength(3);
    const [, , exited] = world.told;
    expect(world.told.find(({ kind }) => kind === "exited")!.cause).toContain("ended with code 3; started again after");
    expect(exited!.pid).toBeGreaterThan(1);
    world.runner.startAgain();
    await until(() => world.kinds().filter((kind) => kind === "crash-looping").length === 2, WAIT_MS);
  });

  test("that is killed from outside is told as such", async () => {
    const world = await sh("exec sleep 100", { restart: "never" });
    await world.is("ready");
    process.kill(world.runner.status.pid!, "SIGKILL");
    await world.is("stopped");
    expect(world.runner.status.lastExit!.how).toContain("ended by SIGKILL, which nobody here asked for");
    const other = await sh("kill -SEGV $$", { restart: "never" });
    await other.is("stopped");
    expect(other.runner.status.lastExit!.how).toBe("ended by SIGSEGV");
  });

  test("that is stopped while it is being started leaves nothing", async () => {
    for (const waitMs of [0, 20, 60]) {
      const world = await sh("exec sleep 100");
      await Bun.sleep(waitMs);
      await world.runner.stop();
      expect(world.runner.status).toMatchObject({ state: "stopped", pid: null });
      const record = readRecord(world.directory);
      expect(record === undefined || !isThere(record.keeper)).toBe(true);
      const [pid] = world.told.filter(({ kind }) => kind === "started").map((event) => event.pid);
      expect(pid === undefined || !isThere(nameOf(pid))).toBe(true);
    }
  });

  test("that ignores SIGTERM is killed after a while, and so are all of its children", async () => {
    const script = `trap '' TERM; sh -c 'trap "" TERM; echo child $$; while :; do sleep 1; done' & echo ready; while :; do sleep 1; done`;
    const world = await sh(script, { stopTimeoutMs: 300 });
    const isTold = (): boolean => world.runner.status.pid !== null;
    await until(() => isTold() && world.log().includes("child ") && world.log().includes("ready"), WAIT_MS);
    const child = Number(/child (\d+)/.exec(world.log())![1]);
    const [own, grandchild] = [nameOf(world.runner.status.pid!), nameOf(child)];
    await world.runner.stop();
    expect(world.runner.status.message).toBe("asked to stop: ended by SIGKILL");
    expect([isThere(own), isThere(grandchild)]).toEqual([false, false]);
  });

  test("leaves no grandchild behind when it crashes, also none that hears nothing and holds its pipe", async () => {
    const told = `(trap '' TERM HUP; echo child $(exec sh -c 'echo $PPID'); : > "$TOLD"; sleep 300) &`;
    const script = `${told} while [ ! -e "$TOLD" ]; do sleep 0.02; done; exit 4`;
    const world = await sh(script, { restart: "never" }, { env: { TOLD: join(folder(), "told") } });
    await world.is("stopped");
    const child = Number(/child (\d+)/.exec(world.log())![1]);
    expect(child).toBeGreaterThan(1);
    expect(statOf(child)?.state ?? "Z").toBe("Z");
    expect(world.runner.status.lastExit!.how).toBe("ended with code 4");
  });

  test("takes with it an engine whose first thread has ended while others go on", async () => {
    const program = `
      const { dlopen } = require("bun:ffi");
      new Worker("data:text/javascript,setInterval(() => {}, 1000)").addEventListener("open", () => {
        console.log("engine " + process.pid + " .");
        setTimeout(() => dlopen("libc.so.6", { pthread_exit: { args: ["i32"] } }).symbols.pthread_exit(0), 200);
      });`;
    const engine = join(folder(), "engine.js");
    writeFileSync(engine, program);
    const world = await sh(
      `setsid "$BUN" "$ENGINE" & sleep 300`,
      { restart: "never" },
      { env: { BUN: process.execPath, ENGINE: engine } },
    );
    await until(() => /engine \d+ \./.test(world.log()), WAIT_MS);
    const pid = Number(/engine (\d+) \./.exec(world.log())![1]);
    const name = nameOf(pid);
    await until(() => statOf(pid)?.state === "Z", WAIT_MS);
    expect(isThere(name)).toBe(true);
    await world.runner.stop();
    await world.is("stopped");
    expect(isThere(name)).toBe(false);
  });

  test.each([
    ["in order", `trap "echo polite > ended; exit" TERM`, 30_000, true],
    ["by SIGKILL where it hears nothing", `trap "" TERM`, 300, false],
  ])("takes with it what has made a session of its own, %s", async (_how, trap, stopTimeoutMs, isPolite) => {
    const engine = `(setsid sh -c '${trap}; echo engine $$ .; while :; do sleep 0.05; done' &)`;
    const script = `cd "$FOLDER"; ${engine}; trap 'exit 0' TERM; while :; do sleep 0.05; done`;
    for (const how of ["stop", "crash"]) {
      const ended = folder();
      const world = await sh(script, { stopTimeoutMs, restart: "never" }, { env: { FOLDER: ended } });
      // The keeper may tell of the process later than that writes.
      await until(() => /engine \d+ \./.test(world.log()) && world.runner.status.pid !== null, WAIT_MS);
      const pid = Number(/engine (\d+) \./.exec(world.log())![1]);
      const name = nameOf(pid);
      expect(isThere(name)).toBe(true);
      expect(statOf(pid)!.session).toBe(pid);
      if (how === "stop") await world.runner.stop();
      else process.kill(world.runner.status.pid!, "SIGKILL");
      await world.is("stopped");
      expect(isThere(name)).toBe(false);
      expect(existsSync(join(ended, "ended"))).toBe(isPolite);
    }
  });

  test("that hears nothing is killed with what has made a session of its own", async () => {
    const deaf = (name: string) => `trap "" TERM; echo ${name} $$ .; while :; do sleep 0.05; done`;
    const world = await sh(`setsid sh -c '${deaf("engine")}' & ${deaf("own")}`, { stopTimeoutMs: 200 });
    await until(() => /engine \d+ \./.test(world.log()) && /own \d+ \./.test(world.log()), WAIT_MS);
    const names = [...world.log().matchAll(/\w+ (\d+) \./g)].map(([, pid]) => nameOf(Number(pid)));
    await world.runner.stop();
    expect(world.runner.status.message).toBe("asked to stop: ended by SIGKILL");
    expect(names.map(isThere)).toEqual([false, false]);
  });

  test("leaves none unburied of what it has started and forgotten", async () => {
    const world = await sh(`for i in 1 2 3 4 5; do (setsid sh -c 'sleep 0.1; echo gone' &); done; exec sleep 100`);
    await until(() => world.log().split("gone").length === 6, WAIT_MS);
    const { keeper, runtime } = readRecord(world.directory)!;
    await until(() => childrenOf(keeper.pid).every((pid) => pid === runtime!.pid), WAIT_MS);
    expect(childrenOf(keeper.pid)).toEqual([runtime!.pid]);
  });

  test("that ends at once has all of its output kept, and its code", async () => {
    const world = await sh("seq 1 100000; exit 7", { restart: "never", logSizeBytesMax: 64 * 1024, logFilesMax: 100 });
    await world.is("stopped");
    expect(world.runner.status.lastExit).toMatchObject({ how: "ended with code 7" });
    expect(world.runner.detail.lastExit!.lastLines.slice(-2)).toEqual(["99999", "100000"]);
    const files = [...new Bun.Glob("runtime-*").scanSync(world.directory)].sort();
    const parts = files.map((name) => {
      const content = readFileSync(join(world.directory, name));
      return (name.endsWith(".zst") ? Buffer.from(Bun.zstdDecompressSync(content)) : content).toString("utf8");
    });
    const lines = parts.join("").split("\n");
    const numbers = lines.filter((line) => /^\d+$/.test(line));
    expect(numbers).toEqual(Array.from({ length: 100_000 }, (_, at) => String(at + 1)));
    expect(files.length).toBeGreaterThan(5);
  });

  test("that can't be run is told why: no program, no permission, no interpreter", async () => {
    const missing = await run(["no-such-program"], { crashesMax: 2 });
    await missing.is("crash-looping");
    expect(missing.runner.status.lastExit!.how).toContain(
      `it can't be started: no "no-such-program" in any folder of PATH`,
    );
    const directory = folder();
    writeFileSync(join(directory, "program"), "#!/no/such/interpreter\n", { mode: 0o755 });
    const broken = await run([join(directory, "program")], { restart: "never" });
    await broken.is("stopped");
    expect(broken.runner.status.lastExit!.how).toStartWith(`it can't be started: ${directory}/program can't be run: `);
    const nowhere = await sh("true", { restart: "never" }, { directory: "/proc/none" });
    await nowhere.is("stopped");
    expect(nowhere.runner.status.lastExit!.how).toContain("it can't be started: ");
  });

  test("is ready when it says so, failing when no more, and ended when it never does", async () => {
    const directory = folder();
    const port = join(directory, "port");
    const server = `const s = Bun.serve({ port: 0, hostname: "127.0.0.1", fetch: () => new Response("", { status: globalThis.ill ? 503 : 200 }) });
      process.on("SIGUSR2", () => { globalThis.ill = !globalThis.ill; }); require("node:fs").writeFileSync(${JSON.stringify(port)}, String(s.port));`;
    const isReady = () => {
      const at = existsSync(port) ? readFileSync(port, "utf8") : "1";
      const check = readyCheck(`http://127.0.0.1:${at || "1"}/health`);
      return check === undefined || check === "none" ? Promise.resolve("?") : askReady(check, 2000);
    };
    const world = await run([process.execPath, "-e", server], { failuresMax: 2, restart: "never" }, { isReady });
    expect(world.runner.isReady).toBe(false);
    await world.is("ready");
    process.kill(world.runner.status.pid!, "SIGUSR2");
    await world.is("failing");
    expect(world.runner.status.message).toContain("/health answered 503");
    process.kill(world.runner.status.pid!, "SIGUSR2");
    await world.is("ready");
    const tcp = readyCheck(`tcp://127.0.0.1:${readFileSync(port, "utf8")}`);
    if (tcp === undefined || tcp === "none") throw new Error("not understood");
    expect(await askReady(tcp, 2000)).toBe("");
    await world.runner.stop();
    expect(await askReady(tcp, 2000)).toContain("nothing listens there yet");
    const never = await sh(
      "exec sleep 100",
      { readyTimeoutMs: 200, restart: "never" },
      { isReady: () => Promise.reject(new Error("refused")) },
    );
    await never.is("stopped");
    expect(never.runner.status.lastExit!.how).toBe("it was not ready within 200ms: ended by SIGTERM");
  });

  test("ends when its keeper is killed, and comes again", async () => {
    const world = await sh("exec sleep 100");
    await world.is("ready");
    const { keeper, runtime } = readRecord(world.directory)!;
    process.kill(keeper.pid, "SIGKILL");
    await until(() => world.runner.status.restarts === 1 && world.runner.isReady, WAIT_MS);
    expect(isThere(runtime!)).toBe(false);
    expect(world.runner.status.lastExit!.how).toBe("ended, nobody saw how");
  });
});

describe("a runtime that was left", () => {
  test("by an agent is taken over by the next, which hears of its end", async () => {
    const first = await sh("echo hello; exec sleep 100", { detach: true });
    await first.is("ready");
    const { pid } = first.runner.status;
    first.runner.leave();
    open.splice(open.indexOf(first.runner), 1);
    const second = await sh("echo hello; exec sleep 100", { detach: true }, { directory: first.directory });
    await second.is("ready");
    expect(second.runner.status).toMatchObject({ pid, restarts: 0 });
    expect(second.kinds()).toEqual(["adopted", "ready"]);
    await until(() => second.runner.detail.lastLines.includes("hello"), WAIT_MS);
    process.kill(pid!, "SIGINT");
    await until(() => second.runner.status.restarts === 1 && second.runner.isReady, WAIT_MS);
    expect(second.runner.status.lastExit!.how).toBe("ended by SIGINT");
  });

  test("and runs with another command is ended first", async () => {
    const first = await sh("exec sleep 100", { detach: true });
    await first.is("ready");
    const old = nameOf(first.runner.status.pid!);
    first.runner.leave();
    open.splice(open.indexOf(first.runner), 1);
    const second = await sh("exec sleep 200", { detach: true }, { directory: first.directory });
    await until(() => second.runner.isReady && second.runner.status.pid !== old.pid, WAIT_MS);
    expect(isThere(old)).toBe(false);
    expect(second.told[1]).toMatchObject({
      kind: "exited",
      cause: "it runs with another command or environment than is wanted now: ended by SIGTERM; started again at once",
    });
  });

  test("and ended meanwhile is told, and started", async () => {
    const go = join(folder(), "go");
    const script = `echo bye; while [ ! -e "$GO" ]; do sleep 0.02; done; exit 9`;
    const first = await sh(script, { detach: true }, { env: { GO: go } });
    await first.is("ready");
    first.runner.leave();
    open.splice(open.indexOf(first.runner), 1);
    writeFileSync(go, "");
    await until(() => readRecord(first.directory)?.exit?.code === 9, WAIT_MS);
    await until(() => !isThere(readRecord(first.directory)!.keeper), WAIT_MS);
    const second = await sh("exec sleep 100", { detach: true }, { directory: first.directory });
    expect(second.told[0]).toMatchObject({ kind: "exited", cause: "while there was no agent: ended with code 9" });
    await second.is("ready");
  });

  test("is not one whose number is another process's by now", async () => {
    const stranger = Bun.spawn(["sleep", "100"], { detached: true });
    const directory = folder();
    const name = nameOf(stranger.pid);
    const base = { fingerprint: "f", isDetached: true, startedAtMs: 1, exit: null };
    const reused = { pid: stranger.pid, start: `${Number(name.start) - 1}` };
    const boot = readFileSync("/proc/sys/kernel/random/boot_id", "utf8").trim();
    const space = readlinkSync("/proc/self/ns/pid");
    const same = { ...base, keeper: name, runtime: name };
    for (const record of [
      { ...base, place: `${boot} ${space}`, keeper: reused, runtime: reused },
      // The same numbers and ticks, of another boot, of another container, of nobody knows where.
      { ...same, place: `0 ${space}` },
      { ...same, place: `${boot} pid:[1]` },
      { ...same, place: "" },
    ]) {
      writeRecord(directory, record);
      if (record.place === "") expect(await findLeft(directory, "")).toEqual({ kind: "nothing" });
      const world = await sh("exec sleep 100", { detach: true }, { directory });
      await world.is("ready");
      expect(world.kinds()).not.toContain("adopted");
      expect(world.runner.status.pid).not.toBe(stranger.pid);
      await world.runner.stop();
      expect(isThere(name)).toBe(true);
    }
    stranger.kill("SIGKILL");
    await stranger.exited;
  });
});
