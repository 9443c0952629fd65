/** The commands about GPUs against a real mesh, and top on a real pseudo-terminal. */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { resolve } from "node:path";
import { Bench, EXECUTABLE, ownEnvironment, type Started, until } from "./harness.ts";

const bench = new Bench();
let router: Started;
let agents: Started[];
afterAll(() => bench.end());
beforeAll(async () => {
  router = await bench.router("--workers", "1", "--id", "router-1");
  const join = ["--join", String(router.ready["gossip"]), "--mock-profile", "h100-70b", "--mock-gpus", "2"];
  agents = [];
  for (const [at, id] of ["node1", "node2"].entries()) {
    const control = ["--control", at === 0 ? "bootstrap" : "join", "--control-listen", "127.0.0.1:0"];
    agents.push(await bench.agent(id, null, ...join, ...control, "--mock-seed", String(at + 1)));
  }
  await until(async () => (await ctl(router, "list-gpus", "-o", "text")).out.split("\n").length === 5);
  await until(async () => (await ctl(router, "control", "status")).code === 0);
}, 60_000);

interface Ran {
  readonly code: number;
  readonly out: string;
  readonly err: string;
}

async function ctl(at: Started, ...words: string[]): Promise<Ran> {
  const child = Bun.spawn([EXECUTABLE, "ctl", ...words, "--endpoint", `http://${at.address("api")}`], {
    env: { ...ownEnvironment(), INFERMESH_CTL_CONFIG: "/nonexistent/config.yaml" },
    stdin: "ignore",
    stdout: "pipe",
    stderr: "pipe",
  });
  const [code, out, err] = await Promise.all([child.exited, child.stdout.text(), child.stderr.text()]);
  return { code, out, err };
}

async function fault(agent: Started | undefined, body: object): Promise<void> {
  const init = { method: "POST", body: JSON.stringify(body) };
  expect((await fetch(`http://${agent?.address("api")}/mock/faults`, init)).status).toBe(200);
}

async function healthOf(gpu: string): Promise<string> {
  const { out } = await ctl(router, "list-gpus", "-o", "text");
  return (
    out
      .split("\n")
      .find((line) => line.startsWith(gpu.replace("@", "\t")))
      ?.split("\t")[3] ?? ""
  );
}

describe("in a mesh", () => {
  test("list-gpus tells of all GPUs at a router, of its own at an agent", async () => {
    const all = await ctl(router, "list-gpus");
    expect(all.code).toBe(0);
    expect(all.out.split("\n").map((line) => line.split(/ +/).slice(0, 2).join(" "))).toEqual([
      "NODE GPU",
      "node1 0",
      "node1 1",
      "node2 0",
      "node2 1",
      "",
    ]);
    const own = await ctl(agents[1]!, "list-gpus", "-o", "json");
    const { gpus } = JSON.parse(own.out) as { gpus: { node: string }[] };
    expect(gpus.map(({ node }) => node)).toEqual(["node2", "node2"]);
    expect(own.err).toContain("is an agent, which knows its own GPUs alone; a router knows those of node1 too");
    expect((await ctl(router, "list-gpus", "--node", "node1", "-o", "text")).out.split("\n")).toHaveLength(3);
    expect((await ctl(router, "list-gpus", "--node", "node3")).err).toContain("did you mean node");
  }, 30_000);

  test("describe-gpu tells the same wherever it is asked", async () => {
    const { out } = await ctl(agents[1]!, "list-gpus", "-o", "json");
    const { uuid = "" } = (JSON.parse(out) as { gpus: { uuid: string }[] }).gpus[1] ?? {};
    for (const at of [router, ...agents]) {
      for (const name of ["1@node2", uuid, uuid.toLowerCase().slice(0, 20)]) {
        const told = await ctl(at, "describe-gpu", name, "-o", "json");
        expect([told.code, told.err]).toEqual([0, ""]);
        expect(JSON.parse(told.out)).toMatchObject({
          uuid,
          node: "node2",
          index: 1,
          isFresh: true,
          source: { state: "ok", stack: { backend: "mock" } },
          wear: { eccUncorrected: 0 },
        });
      }
    }
    const people = await ctl(agents[0]!, "describe-gpu", "1@node2");
    expect(people.out).toStartWith("GPU 1 of node2: NVIDIA H100");
    expect((await ctl(agents[0]!, "describe-gpu", "7@node2")).err).toContain('there is no GPU "7" at node2');
  }, 60_000);

  test("names of GPUs are completed", async () => {
    const at = ["--endpoint", `http://${router.address("api")}`];
    const child = Bun.spawn([EXECUTABLE, "ctl", "complete", "--", "ctl", "describe-gpu", ...at, "1@"], {
      env: { ...ownEnvironment(), INFERMESH_CTL_CONFIG: "/nonexistent/config.yaml" },
      stdout: "pipe",
    });
    expect((await child.stdout.text()).split("\n")).toEqual(["1@node1\t", "1@node2\t", ""]);
  }, 30_000);

  test("uncordon ends a quarantine from anywhere, and is an event", async () => {
    await fault(agents[0], { gpu: 1, xid: 79 });
    await until(async () => (await healthOf("node1@1")) === "quarantined");
    const dry = await ctl(agents[1]!, "uncordon", "node1", "--gpu", "1", "--dry-run");
    expect([dry.code, dry.out]).toEqual([
      0,
      expect.stringMatching(
        /^GPU 1 of node1 \(\S+\) would be cleared \(dry run\): XID 79: the GPU has fallen off the bus\n$/,
      ),
    ]);
    expect(await healthOf("node1@1")).toBe("quarantined");
    const done = await ctl(agents[1]!, "uncordon", "node1");
    expect(done.out).toMatch(/^node node1 .*\nGPU 1 of node1 \(\S+\) cleared: XID 79: /);
    expect(done.code).toBe(0);
    await until(async () => (await healthOf("node1@1")) === "healthy");
    const events = await ctl(agents[0]!, "subscribe-events", "--once", "--type", "gpu", "-o", "json");
    expect(events.out).toContain('"gpu.cleared"');
  }, 60_000);

  test("uncordon tells what stays by what is read", async () => {
    await fault(agents[0], { gpu: 0, xid: 79, remap: "failed" });
    await until(async () => (await ctl(router, "describe-gpu", "0@node1")).out.includes("remap_failed"));
    const told = await ctl(router, "uncordon", "node1", "--gpu", "0");
    expect([told.code, told.out]).toEqual([
      1,
      expect.stringMatching(
        /^GPU 0 of node1 \(\S+\) cleared: XID 79: .*\nGPU 0 of node1 \(\S+\) stays quarantined: .+\n$/,
      ),
    ]);
    await fault(agents[0], { gpu: 0, remap: null });
  }, 60_000);
});

const tops: Bun.Subprocess[] = [];
afterAll(() => {
  for (const child of tops) child.kill("SIGKILL");
});

/** `ctl top` on a terminal of its own; what it wrote so far is `text`. */
function topOn(cols: number, rows: number, more: Readonly<Record<string, string>> = {}, args: readonly string[] = []) {
  const decoder = new TextDecoder();
  const on = { text: "" };
  const terminal = new Bun.Terminal({
    cols,
    rows,
    data: (_terminal, bytes) => void (on.text += decoder.decode(bytes, { stream: true })),
  });
  const command = [
    EXECUTABLE,
    "ctl",
    "top",
    "--interval",
    "500ms",
    "--endpoint",
    `http://${router.address("api")}`,
    ...args,
  ];
  const env = { ...ownEnvironment(), TERM: "xterm", INFERMESH_CTL_CONFIG: "/nonexistent/config.yaml", ...more };
  const child = Bun.spawn(command, { terminal, env });
  tops.push(child);
  return { on, terminal, child };
}

interface JobReport {
  readonly out: string;
  readonly job: string;
  readonly modes: { readonly canonical: boolean; readonly echo: boolean; readonly isig: boolean };
}

/** `ctl top` as a foreground job of a terminal with job control; one report for each step. */
async function jobOf(...steps: readonly (readonly string[])[]): Promise<readonly JobReport[]> {
  const python = ["python3", resolve(import.meta.dir, "job-control.py"), JSON.stringify(steps)];
  const command = [EXECUTABLE, "ctl", "top", "--interval", "500ms", "--endpoint", `http://${router.address("api")}`];
  const env = { ...ownEnvironment(), TERM: "xterm", INFERMESH_CTL_CONFIG: "/nonexistent/config.yaml" };
  const child = Bun.spawn([...python, ...command], { env, stdin: "ignore", stdout: "pipe", stderr: "pipe" });
  const [out, err, code] = await Promise.all([child.stdout.text(), child.stderr.text(), child.exited]);
  expect([code, err]).toEqual([0, ""]);
  return JSON.parse(out) as JobReport[];
}

const OPENED = "\u001b[?1049h\u001b[?25l\u001b[?7l";
const CLOSED = "\u001b[?7h\u001b[?25h\u001b[?1049l";

describe("top on a terminal", () => {
  test.each(["q", "\u0003"])(
    "draws until %p, and puts the terminal back",
    async (key) => {
      const { on, terminal, child } = topOn(80, 24);
      await until(async () => on.text.includes("node2/1"));
      expect(on.text).toStartWith(OPENED);
      expect(on.text).not.toContain(CLOSED);
      terminal.write(key);
      expect(await child.exited).toBe(0);
      await until(async () => on.text.endsWith(CLOSED));
      terminal.close();
    },
    30_000,
  );

  test.each(["SIGTERM", "SIGINT"] as const)(
    "ends by %s with the terminal as it was",
    async (signal) => {
      const { on, terminal, child } = topOn(80, 24);
      await until(async () => on.text.includes("node2/1"));
      child.kill(signal);
      expect(await child.exited).toBe(0);
      await until(async () => on.text.endsWith(CLOSED));
      terminal.close();
    },
    30_000,
  );

  test.skipIf(Bun.which("python3") === null).each(["SIGHUP", "SIGQUIT", "SIGTERM", "\u001c"])(
    "ends by %p as a foreground job with the terminal as it was",
    async (how) => {
      const end = how.startsWith("SIG") ? ["signal", how] : ["key", how];
      const [drawn, , ended] = await jobOf(["until", "node2/1"], end, ["ended"]);
      expect(drawn).toMatchObject({ modes: { canonical: false, echo: false, isig: false } });
      expect(ended?.job).toBe("ended 0");
      expect(ended?.out).toEndWith(CLOSED);
      expect(ended?.modes).toEqual({ canonical: true, echo: true, isig: true });
    },
    60_000,
  );

  test.skipIf(Bun.which("python3") === null).each(["SIGTSTP", "\u001a"])(
    "gives the terminal back while it is stopped by %p, and takes it again in the foreground",
    async (how) => {
      const stop = how.startsWith("SIG") ? ["signal", how] : ["key", how];
      const steps = [["until", "node2/1"], stop, ["stopped"], ["fg"], ["until", "node2/1"]];
      const told = await jobOf(...steps, ...steps.slice(1), ["key", "q"], ["ended"]);
      for (const at of [2, 6]) {
        // 20 is SIGTSTP; the 1, that a line is a line again, and not by the shell's doing.
        expect(told[at]?.job).toBe("stopped 20 1");
        expect(told[at]?.out).toEndWith(CLOSED);
        expect(told[at + 2]?.out).toContain(OPENED);
        expect(told[at + 2]?.out).toContain("q ends");
        expect(told[at + 2]?.modes).toEqual({ canonical: false, echo: false, isig: false });
      }
      expect(told.at(-1)).toMatchObject({ job: "ended 0", modes: { canonical: true, echo: true, isig: true } });
      expect(told.at(-1)?.out).toEndWith(CLOSED);
    },
    60_000,
  );

  test.skipIf(Bun.which("python3") === null)(
    "draws anew after SIGSTOP, which asks nobody, with keys as they are pressed",
    async () => {
      const stopped = [["signal", "SIGSTOP"], ["stopped"], ["fg"], ["until", "node2/1"]];
      const told = await jobOf(["until", "node2/1"], ...stopped, ["key", "q"], ["ended"]);
      expect(told[2]?.job).toStartWith("stopped 19");
      expect(told[4]?.modes).toEqual({ canonical: false, echo: false, isig: false });
      expect(told.at(-1)).toMatchObject({ job: "ended 0", modes: { canonical: true, echo: true, isig: true } });
    },
    60_000,
  );

  test("ends when the terminal hangs up", async () => {
    const { on, terminal, child } = topOn(80, 24);
    await until(async () => on.text.includes("node2/1"));
    terminal.close();
    await child.exited;
  }, 30_000);

  test("is as large as the terminal, also when that changes", async () => {
    const { on, terminal, child } = topOn(80, 24);
    await until(async () => on.text.includes("node2/1"));
    expect(on.text).not.toContain("/700W");
    const before = on.text.length;
    terminal.resize(140, 30);
    // What the kernel sends to those whose controlling terminal it is; this one is nobody's.
    child.kill("SIGWINCH");
    await until(async () => on.text.slice(before).includes("/700W"));
    expect(on.text.slice(before)).toContain("q ends");
    terminal.write("q");
    expect(await child.exited).toBe(0);
    terminal.close();
  }, 30_000);

  test("has no colours with NO_COLOR, and is one frame where the terminal can't be drawn on, or with --once", async () => {
    const plain = topOn(80, 24, { NO_COLOR: "1" });
    await until(async () => plain.on.text.includes("node2/1"));
    // oxlint-disable-next-line no-control-regex
    expect(plain.on.text).not.toMatch(/\u001b\[\d+m/);
    plain.terminal.write("q");
    expect(await plain.child.exited).toBe(0);
    plain.terminal.close();
    for (const one of [topOn(80, 24, { TERM: "dumb" }), topOn(80, 24, { NO_COLOR: "1" }, ["--once"])]) {
      expect(await one.child.exited).toBe(0);
      await until(async () => one.on.text.includes("node2/1"));
      expect(one.on.text).not.toContain("\u001b");
      one.terminal.close();
    }
  }, 30_000);

  test("without a terminal is one frame", async () => {
    const { code, out } = await ctl(router, "top");
    expect(code).toBe(0);
    expect(out).toStartWith("infermesh top at ");
    expect(out).not.toContain("\u001b");
  }, 30_000);
});
