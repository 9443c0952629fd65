/** `infermesh dev` as a person meets it: what it prints works, a node may die, and nothing outlives it. */
import { afterAll, describe, expect, test } from "bun:test";
import { Bench, EXECUTABLE, until } from "./harness.ts";
import type { Started } from "./harness.ts";
import { commandLine, descendants, isAlive } from "./proc.ts";
import type { ProcessId } from "./proc.ts";

const bench = new Bench();
const FREE_PORTS = ["--listen", "127.0.0.1:0", "--api", "127.0.0.1:0", "--metrics", "127.0.0.1:0"];
const CTRL_C = "\x03";
const SETSID = Bun.which("setsid");

/** Every process that a dev started: whatever becomes of the tests, none of them stays. */
const families: ProcessId[] = [];

function childrenOf(pid: number): ProcessId[] {
  const children = descendants(pid);
  families.push(...children);
  expect(children.map((child) => commandLine(child)[1])).toEqual(["router", "agent", "agent"]);
  return children;
}

afterAll(async () => {
  await bench.end();
  for (const one of families) if (isAlive(one)) process.kill(one.pid, "SIGKILL");
});

/** `infermesh dev` with two nodes at a terminal of its own. */
class AtTerminal {
  screen = "";
  readonly process: Bun.Subprocess;
  readonly #terminal: Bun.Terminal;

  constructor() {
    const decoder = new TextDecoder();
    this.#terminal = new Bun.Terminal({
      cols: 200,
      rows: 50,
      data: (_terminal, bytes) => {
        this.screen += decoder.decode(bytes, { stream: true });
      },
    });
    // The terminal turns Ctrl-C into a signal only for a session whose own it is: setsid makes one and becomes dev.
    const command = [EXECUTABLE, "dev", "--nodes", "2", "--mock-speed", "50", ...FREE_PORTS];
    this.process = Bun.spawn([...(SETSID === null ? [] : [SETSID, "--ctty"]), ...command], {
      terminal: this.#terminal,
      env: { PATH: process.env["PATH"], TERM: "xterm", HOME: bench.dataDir },
    });
  }

  async shows(what: RegExp): Promise<RegExpExecArray> {
    let found: RegExpExecArray | null = null;
    await until(() => {
      found = what.exec(this.screen);
      return found !== null || this.process.exitCode !== null;
    });
    if (found === null) throw new Error(`dev ended and never showed ${what}:\n${this.screen}`);
    return found;
  }

  type(keys: string): void {
    this.#terminal.write(keys);
  }

  async end(): Promise<void> {
    if (this.process.exitCode === null) this.process.kill("SIGKILL");
    await this.process.exited;
    this.#terminal.close();
  }
}

async function ask(base: string, model: string): Promise<number> {
  const response = await fetch(`${base}/chat/completions`, {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify({ model, messages: [{ role: "user", content: "still there?" }], max_tokens: 4 }),
  });
  await response.text();
  return response.status;
}

describe("at a terminal", () => {
  const dev = new AtTerminal();
  afterAll(() => dev.end());
  let base = "";
  let model = "";

  test("every URL that it prints answers", async () => {
    [, base = "", model = ""] = await dev.shows(/OpenAI API +(\S+) +\(model: (\S+);/);
    await dev.shows(/Ctrl-C ends all of it/);
    const control = (await dev.shows(/control +(\S+)/))[1] ?? "";
    const metrics = (await dev.shows(/metrics +(\S+)/))[1] ?? "";
    const faults = [...dev.screen.matchAll(/faults: (\S+)/g)].map(([, url = ""]) => url);
    const served = [...dev.screen.matchAll(/^ +node\d +(http\S+)/gm)].map(([, url = ""]) => `${url}/v1/models`);
    expect([faults.length, served.length]).toEqual([2, 2]);
    for (const url of [`${base}/models`, control, metrics, ...faults, ...served]) {
      expect([url, (await fetch(url)).status]).toEqual([url, 200]);
    }
  });

  test("the curl line that it prints works when a shell runs it", async () => {
    if (Bun.which("curl") === null) {
      console.log("skipped: curl is not installed");
      return;
    }
    const line = (await dev.shows(/^ +(curl -N .+)$/m))[1]?.trim() ?? "";
    const shell = Bun.spawn(["sh", "-c", line], { stdout: "pipe", stderr: "ignore", timeout: 20_000 });
    const answer = await shell.stdout.text();
    expect(answer).toStartWith("data: {");
    expect(answer).toEndWith("data: [DONE]\n\n");
    expect(await shell.exited).toBe(0);
  });

  test("a node that is killed is shown as ended, and the mesh goes on", async () => {
    await dev.shows(/node1 +healthy[^\r\n]*\r?\n[^\r\n]*node2 +healthy/);
    const node2 = childrenOf(dev.process.pid).find((child) => commandLine(child).includes("--id=node2"));
    process.kill(node2?.pid ?? 0, "SIGKILL");
    const statuses = [];
    for (let count = 0; count < 20; count++) statuses.push(await ask(base, model));
    expect(statuses.filter((status) => status !== 200)).toEqual([]);
    await dev.shows(/node2 +ended \(SIGKILL\)/);
    expect(await ask(base, model)).toBe(200);
    expect(dev.process.exitCode).toBeNull();
  });

  test("Ctrl-C ends all of it", async () => {
    const children = descendants(dev.process.pid);
    expect(children).toHaveLength(2);
    if (SETSID === null) dev.process.kill("SIGINT");
    else dev.type(CTRL_C);
    expect(await dev.process.exited).toBe(0);
    expect(children.filter(isAlive)).toEqual([]);
  });
});

describe("nothing is left", () => {
  const start = (detached: boolean): Promise<Started> =>
    bench.launch(["dev", "--nodes", "2", "--mock-speed", "50", ...FREE_PORTS], { detached });

  test.each(["SIGINT", "SIGTERM"] as const)("after %s to dev alone", async (signal) => {
    const dev = await start(true);
    const children = childrenOf(dev.process.pid);
    dev.process.kill(signal);
    expect(await dev.process.exited).toBe(0);
    expect(children.filter(isAlive)).toEqual([]);
  });

  test("after SIGINT to the whole process group", async () => {
    const dev = await start(true);
    const children = childrenOf(dev.process.pid);
    process.kill(-dev.process.pid, "SIGINT");
    expect(await dev.process.exited).toBe(0);
    expect(children.filter(isAlive)).toEqual([]);
  });

  test("after kill -9 of dev itself, with a stream under way", async () => {
    const dev = await start(true);
    const children = childrenOf(dev.process.pid);
    const model = String(dev.ready["model"]);
    const body = JSON.stringify({
      model,
      messages: [{ role: "user", content: "talk" }],
      max_tokens: 100_000,
      stream: true,
    });
    const answer = await fetch(`http://${dev.address("listen")}/v1/chat/completions`, { method: "POST", body });
    expect(answer.status).toBe(200);
    const reading = answer.text().catch(() => "");
    await dev.kill();
    await until(() => !children.some(isAlive));
    await reading;
  });
});
