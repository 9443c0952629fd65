/** Agents and members run themselves again with an environment that makes their engine thrifty; others do not. */
import { afterAll, expect, test } from "bun:test";
import { readFileSync, readlinkSync } from "node:fs";
import { Double, HAS_COMPILER, removeDoubles } from "../gpu/double.ts";
import { Bench, EXECUTABLE, ownEnvironment, until } from "./harness.ts";
import { commandLine, descendants } from "./proc.ts";

const bench = new Bench();
afterAll(async () => {
  await bench.end();
  removeDoubles();
});

const COMPILER = "BUN_JSC_thresholdForOptimizeAfterWarmUp";
const ALLOCATOR = "MIMALLOC_PURGE_DELAY";

/** As the kernel has it, at `path` of /proc/PID. */
const texts = (pid: number, path: string): string[] => readFileSync(`/proc/${pid}/${path}`, "utf8").split("\0");
const variable = (pid: number, name: string): string | undefined =>
  texts(pid, "environ")
    .find((one) => one.startsWith(`${name}=`))
    ?.slice(name.length + 1);

const MEMBER = ["member", "--id", "m1", "--gossip", "127.0.0.1:0"];

test("a member keeps its process, its command line and its files", async () => {
  const member = await bench.launch(MEMBER);
  const { pid } = member.process;
  expect(member.ready["pid"]).toBe(pid);
  expect(variable(pid, COMPILER)).toBe("20000");
  expect(variable(pid, ALLOCATOR)).toBe("-1");
  expect(texts(pid, "cmdline").slice(1, -1)).toEqual([...MEMBER, "--log-format", "json"]);
  expect(readlinkSync(`/proc/${pid}/exe`)).toBe(EXECUTABLE);
  expect(await member.stop()).toBe(0);
});

test("neither the engine, of a name that it does not know, nor the runtime, of a call that is new, has anything to say", async () => {
  const member = Bun.spawn([EXECUTABLE, ...MEMBER, "--log-format", "json"], {
    stdout: "pipe",
    stderr: "pipe",
    env: ownEnvironment(),
  });
  for await (const chunk of member.stdout) if (Buffer.from(chunk).includes('"ready"')) member.kill("SIGTERM");
  expect(await member.exited).toBe(0);
  expect(await member.stderr.text()).toBe("");
});

test("what the user has set stays, and a start with all of it set is not repeated", async () => {
  const env = { ...ownEnvironment(), XDG_STATE_HOME: bench.dataDir, [COMPILER]: "3000" };
  const member = await bench.launch(MEMBER, { env });
  expect(variable(member.process.pid, COMPILER)).toBe("3000");
  expect(variable(member.process.pid, ALLOCATOR)).toBe("-1");
});

test("with options for Bun itself nothing is run again", async () => {
  const env = { ...ownEnvironment(), XDG_STATE_HOME: bench.dataDir, BUN_OPTIONS: "--smol" };
  const member = await bench.launch(MEMBER, { env });
  expect(variable(member.process.pid, COMPILER)).toBeUndefined();
});

test("an agent that is told to be a control node does not", async () => {
  const agent = await bench.agent("a2", null, "--control", "bootstrap", "--control-listen", "127.0.0.1:0");
  expect(variable(agent.process.pid, COMPILER)).toBeUndefined();
});

test("agents do so too; routers, whose speed is wanted, and commands that end do not", async () => {
  const agent = await bench.agent("a1", null);
  expect(variable(agent.process.pid, COMPILER)).toBe("20000");
  const router = await bench.router();
  expect(variable(router.process.pid, COMPILER)).toBeUndefined();
  const help = Bun.spawnSync([EXECUTABLE, "agent", "--help"], { env: ownEnvironment() });
  expect(help.exitCode).toBe(0);
  expect(help.stdout.toString()).toContain("infermesh agent");
});

test.skipIf(!HAS_COMPILER)(
  "a probe has its code compiled early and simply, but for what the user has set",
  async () => {
    const double = new Double();
    double.play("h100");
    const ports = ["--serve", "--api", "--metrics", "--gossip"].flatMap((name) => [name, "127.0.0.1:0"]);
    const gpu = ["--gpu", "nvml", "--gpu-nvml-library", double.path, "--gpu-root", double.root];
    const probeOf = async (id: string, env: Record<string, string>): Promise<number> => {
      const own = { ...ownEnvironment(), XDG_STATE_HOME: bench.dataDir, ...env };
      const agent = await bench.launch(["agent", "--mock", "--id", id, ...ports, ...gpu], { env: own });
      const found = (): number | undefined =>
        descendants(agent.process.pid).find((child) => commandLine(child).includes("gpu-probe"))?.pid;
      await until(async () => found() !== undefined);
      return found()!;
    };
    const [usual, told] = await Promise.all([probeOf("g1", {}), probeOf("g2", { [COMPILER]: "3000" })]);
    expect(variable(usual, COMPILER)).toBe("200000");
    expect(variable(usual, ALLOCATOR)).toBe("-1");
    expect(variable(told, COMPILER)).toBe("3000");
    expect(variable(told, ALLOCATOR)).toBe("-1");
  },
);
