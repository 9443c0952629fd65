/** Agents that run a process as their runtime: from the command line to the mesh, and over ends of the agent of every kind. */
import { afterAll, afterEach, describe, expect, setDefaultTimeout, test } from "bun:test";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { statOf } from "../../src/keeper/proc.ts";
import { readRecord } from "../../src/keeper/record.ts";
import { Bench, EXECUTABLE, ownEnvironment, type Started, until } from "./harness.ts";

setDefaultTimeout(120_000);
const WAIT_MS = 60_000;
const bench = new Bench();
const left: number[] = [];
afterEach(() => bench.clear());
afterAll(async () => {
  for (const pid of left) {
    try {
      process.kill(-pid, "SIGKILL");
    } catch {
      // It has ended, as it should.
    }
  }
  await bench.end();
});

const FAST = [
  "--exec-pause-min",
  "50ms",
  "--exec-pause-max",
  "100ms",
  "--exec-check-interval",
  "50ms",
  "--gpu",
  "none",
];

function agent(id: string, command: string, ...args: string[]): Promise<Started> {
  return bench.agent(id, null, "--register", "none", "--exec", command, ...FAST, ...args);
}

async function json(one: Started, path: string, init: RequestInit = {}): Promise<Record<string, unknown>> {
  const url = `http://${one.address("api")}${path}`;
  const response = await fetch(url, { ...init, signal: AbortSignal.timeout(5000) });
  return { ...((await response.json()) as object), code: response.status };
}

interface Runtime {
  readonly state: string;
  readonly pid: number | null;
  readonly restarts: number;
  readonly message: string;
  readonly lastLines: readonly string[];
  readonly lastExit: { readonly how: string; readonly lastLines: readonly string[] } | null;
}

async function runtimeOf(one: Started): Promise<Runtime> {
  return (await json(one, "/runtime")) as unknown as Runtime;
}

async function isIn(one: Started, state: string): Promise<Runtime> {
  await until(async () => (await runtimeOf(one)).state === state, WAIT_MS);
  return runtimeOf(one);
}

const isGone = (pid: number): boolean => (statOf(pid)?.state ?? "Z") === "Z";

async function eventTypes(one: Started): Promise<string[]> {
  const { events } = (await json(one, "/events?type=runtime")) as unknown as { events: { type: string }[] };
  return events.map(({ type }) => type);
}

async function ctl(...args: string[]): Promise<string> {
  const child = Bun.spawn([EXECUTABLE, "ctl", ...args], { stdout: "pipe", stderr: "pipe", env: ownEnvironment() });
  const [text] = await Promise.all([new Response(child.stdout).text(), child.exited]);
  return text;
}

describe("a runtime of an agent", () => {
  test("is started, told of, started again when it crashes, and ends with its agent", async () => {
    const secret = "s3cret-value";
    const script = `sh -c 'echo "I have $TOKEN" | tr a-z A-Z; echo up; exec sleep 1000' --api-key k3y-argument`;
    const one = await agent("exec1", script, "--exec-env", `TOKEN=${secret}`, "--exec-env", "LIST=a,b=c");
    const first = await isIn(one, "ready");
    left.push(first.pid!);
    const environ = readFileSync(`/proc/${first.pid}/environ`, "utf8").split("\0");
    expect(environ).toContain(`TOKEN=${secret}`);
    expect(environ).toContain("LIST=a,b=c");
    expect(environ.filter((line) => /^(INFERMESH|BUN|MIMALLOC|XDG_STATE)/.test(line))).toEqual([
      `XDG_STATE_HOME=${bench.dataDir}`,
    ]);
    expect(await json(one, "/health")).toMatchObject({ code: 200, ready: true });
    await until(async () => (await runtimeOf(one)).lastLines.includes("up"), WAIT_MS);
    process.kill(first.pid!, "SIGSEGV");
    await until(async () => (await runtimeOf(one)).restarts === 1, WAIT_MS);
    const second = await isIn(one, "ready");
    left.push(second.pid!);
    expect(second.pid).not.toBe(first.pid);
    expect(second.lastExit).toMatchObject({ how: "ended by SIGSEGV", lastLines: ["I HAVE S3CRET-VALUE", "up"] });
    expect(await eventTypes(one)).toEqual([
      "runtime.started",
      "runtime.ready",
      "runtime.exited",
      "runtime.started",
      "runtime.ready",
    ]);
    const described = await ctl("describe-node", "exec1", "--endpoint", `http://${one.address("api")}`);
    expect(described).toContain("Runtime\n");
    expect(described).toMatch(/state +ready\n/);
    expect(described).toContain(`${second.pid}`);
    expect(described).toContain("ended by SIGSEGV");
    // Neither the log of the agent nor what it tells holds what only the runtime is to know.
    const shown = JSON.stringify([await json(one, "/status"), await json(one, "/events")]);
    const all = shown + JSON.stringify(one.lines);
    expect(all).not.toContain(secret);
    expect(all).not.toContain("k3y-argument");
    // What the program itself writes is for the control port and the log.
    expect(shown).not.toContain("S3CRET-VALUE");
    expect(shown).toContain(`"state":"ready"`);
    expect(all).toContain("S3CRET-VALUE");
    expect(described).toContain("S3CRET-VALUE");
    expect(await one.stop()).toBe(0);
    expect(isGone(second.pid!)).toBe(true);
  });

  test("is started and stopped by hand, and makes its node ready or not", async () => {
    const one = await agent("exec2", "sleep 1000", "--exec-stop-timeout", "2s");
    await isIn(one, "ready");
    expect(await json(one, "/runtime/stop", { method: "POST" })).toMatchObject({ code: 202 });
    await isIn(one, "stopped");
    expect(await json(one, "/health")).toMatchObject({ ready: false, code: 200 });
    expect(await json(one, "/runtime/start", { method: "POST" })).toMatchObject({ code: 202 });
    const { pid } = await isIn(one, "ready");
    await json(one, "/runtime/restart", { method: "POST" });
    await until(async () => (await runtimeOf(one)).restarts === 2, WAIT_MS);
    left.push((await isIn(one, "ready")).pid!);
    expect(isGone(pid!)).toBe(true);
    expect(await json(one, "/runtime")).toMatchObject({ state: "ready", program: "sleep", code: 200 });
    expect(await json(one, "/runtime/start")).toMatchObject({ code: 405 });
    const open = await fetch(`http://${one.address("metrics")}/runtime/stop`, { method: "POST" });
    expect(open.status).toBe(404);
    await one.stop();
  });

  test("is not started any more while its agent stops", async () => {
    const script = `sh -c 'trap "" TERM; echo up; while :; do sleep 0.05; done'`;
    const one = await agent("exec7", script, "--exec-stop-timeout", "3s");
    const { pid } = await isIn(one, "ready");
    left.push(pid!);
    await until(async () => (await runtimeOf(one)).lastLines.includes("up"), WAIT_MS);
    const stopped = one.stop();
    await isIn(one, "stopping");
    for (const action of ["start", "restart"]) {
      const answer = await json(one, `/runtime/${action}`, { method: "POST" });
      expect(answer).toMatchObject({ code: 503, error: { code: "draining" } });
      expect(JSON.stringify(answer)).toContain("starts no runtime any more");
    }
    expect(await stopped).toBe(0);
    expect(isGone(pid!)).toBe(true);
    expect(readRecord(join(bench.dataDir, "exec7", "exec"))).toBeUndefined();
  });

  test("ends with an agent that is killed, with all that it has started", async () => {
    const one = await agent("exec3", `sh -c 'sleep 1001 & echo child $!; wait'`);
    await isIn(one, "ready");
    await until(async () => (await runtimeOf(one)).lastLines.some((line) => line.startsWith("child ")), WAIT_MS);
    const { pid, lastLines } = await runtimeOf(one);
    const child = Number(lastLines.find((line) => line.startsWith("child "))!.slice(6));
    left.push(pid!);
    expect(isGone(child)).toBe(false);
    await one.kill();
    await until(() => isGone(pid!) && isGone(child), WAIT_MS);
  });

  test("ends when its keeper is killed, also while the agent can do nothing", async () => {
    for (const more of [[], ["--exec-detach"]]) {
      const one = await agent("exec6", "sleep 1002", ...more);
      const { pid } = await isIn(one, "ready");
      left.push(pid!);
      const { keeper } = readRecord(join(bench.dataDir, "exec6", "exec"))!;
      one.process.kill("SIGSTOP");
      process.kill(keeper.pid, "SIGKILL");
      await until(() => isGone(pid!), WAIT_MS);
      one.process.kill("SIGCONT");
      await until(async () => (await runtimeOf(one)).restarts === 1, WAIT_MS);
      left.push((await isIn(one, "ready")).pid!);
      await json(one, "/runtime/stop", { method: "POST" });
      await isIn(one, "stopped");
      await one.stop();
    }
  });

  test("that is detached lives on when its agent is killed or stopped, and the next one has it", async () => {
    const command = `sh -c 'n=0; while :; do n=$((n+1)); echo tick $n; sleep 0.1; done'`;
    const first = await agent("exec4", command, "--exec-detach");
    const { pid } = await isIn(first, "ready");
    left.push(pid!);
    await first.kill();
    const ticks = (text: string): number => text.split("\n").filter((line) => line.startsWith("tick ")).length;
    const log = join(bench.dataDir, "exec4", "exec", "runtime.log");
    const before = ticks(readFileSync(log, "utf8"));
    // It goes on to write, and to be heard.
    await until(() => ticks(readFileSync(log, "utf8")) > before + 3, WAIT_MS);
    const second = await agent("exec4", command, "--exec-detach");
    expect(await isIn(second, "ready")).toMatchObject({ pid, restarts: 0 });
    expect(await eventTypes(second)).toEqual(["runtime.adopted", "runtime.ready"]);
    // Two agents don't look after one runtime.
    const twice = await agent("exec4", command, "--exec-detach").then(
      () => "started",
      (error: Error) => error.message,
    );
    expect(twice).toContain("another agent looks after the runtime");
    expect(await second.stop()).toBe(0);
    expect(isGone(pid!)).toBe(false);
    const third = await agent("exec4", command, "--exec-detach");
    expect(await isIn(third, "ready")).toMatchObject({ pid });
    const lines = readFileSync(log, "utf8")
      .split("\n")
      .filter((line) => line.startsWith("tick "));
    expect(lines).toEqual(lines.map((_, at) => `tick ${at + 1}`));
    process.kill(pid!, "SIGKILL");
    await until(async () => (await runtimeOf(third)).restarts === 1, WAIT_MS);
    expect((await runtimeOf(third)).lastExit!.how).toContain("ended by SIGKILL, which nobody here asked for");
    left.push((await isIn(third, "ready")).pid!);
    await json(third, "/runtime/stop", { method: "POST" });
    await isIn(third, "stopped");
    await third.stop();
  });

  test("that can't be run is refused, with what to do", async () => {
    const failure = (...args: string[]): Promise<string> =>
      bench.agent("exec5", null, ...args).then(
        () => "started",
        (error: Error) => error.message,
      );
    expect(await failure("--exec", "no-such-program --flag")).toMatch(
      /--exec: no "no-such-program" in any folder of PATH .*; install it, or name the program by its path/,
    );
    expect(await failure("--exec", "vllm serve | tee log")).toContain("means a pipe, which needs a shell");
    expect(await failure("--exec", "vllm 'serve")).toContain("the ' at character 6 is never closed");
    expect(await failure("--exec", "true", "--exec-directory", "/none")).toContain(
      "--exec-directory /none is not there",
    );
    expect(await failure("--exec", "true", "--exec-gpus", "0,x")).toContain("expected all, none, indices such as 0,1");
  });
});
