import { afterAll, afterEach, describe, expect, test } from "bun:test";
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { showAgentStatus, stopAgent } from "../../src/ctl/agent-control.ts";
import { isRunning, readAgentFile, removeAgentFile, runningAgents, writeAgentFile } from "../../src/ctl/agent-file.ts";

const root = mkdtempSync(join(tmpdir(), "infermesh-agents-"));
afterAll(() => rmSync(root, { recursive: true, force: true }));

let count = 0;
const freshDirectory = () => join(root, String((count += 1)));

const spawned: Bun.Subprocess[] = [];
afterEach(async () => {
  for (const child of spawned.splice(0)) {
    child.kill("SIGKILL");
    await child.exited;
  }
});

/** A process that stands for an agent; `deaf` ignores SIGTERM. */
async function fakeAgent(dataDir: string, id: string, { deaf = false, api = "127.0.0.1:1" } = {}) {
  const trap = deaf ? "trap '' TERM;" : "";
  const child = Bun.spawn(["sh", "-c", `${trap} echo ready; while :; do sleep 0.05; done`], {
    stdout: "pipe",
    stderr: "ignore",
  });
  spawned.push(child);
  await child.stdout.getReader().read();
  const file = {
    id,
    pid: child.pid,
    api,
    metrics: "",
    serve: "",
    startedAt: "2026-01-02T03:04:05.000Z",
    version: "1.2.3",
  };
  await writeAgentFile(dataDir, file);
  return { child, file };
}

function terminal() {
  const seen = { out: "", err: "" };
  return {
    seen,
    terminal: {
      out: (text: string) => void (seen.out += text),
      err: (text: string) => void (seen.err += text),
      color: false,
    },
  };
}

const STOP = { id: "", timeoutMs: 2000, force: false };

describe("an agent's file", () => {
  test("is written whole, read, and removed", async () => {
    const dataDir = freshDirectory();
    const { file } = await fakeAgent(dataDir, "gpu-1");
    const read = await readAgentFile(dataDir, "gpu-1");
    expect(read).toMatchObject(file);
    expect((await runningAgents(dataDir)).map(({ id }) => id)).toEqual(["gpu-1"]);
    await removeAgentFile(dataDir, "gpu-1", file.pid);
    expect(await readAgentFile(dataDir, "gpu-1")).toBeUndefined();
    expect(await runningAgents(join(dataDir, "none"))).toEqual([]);
  });

  test("that another process wrote anew is left alone", async () => {
    const dataDir = freshDirectory();
    await fakeAgent(dataDir, "gpu-1");
    await removeAgentFile(dataDir, "gpu-1", 2);
    expect(await readAgentFile(dataDir, "gpu-1")).toBeDefined();
  });

  test("of a number that went to another process is not believed", async () => {
    const dataDir = freshDirectory();
    const { file } = await fakeAgent(dataDir, "gpu-1");
    const path = join(dataDir, "gpu-1", "agent.json");
    writeFileSync(path, readFileSync(path, "utf8").replace(/"processStart": "\d+"/, '"processStart": "1"'));
    expect(isRunning((await readAgentFile(dataDir, "gpu-1")) ?? file)).toBe(false);
    const { seen, terminal: to } = terminal();
    expect(await stopAgent({ ...STOP, dataDir }, to)).toBe(3);
    expect(seen.err).toBe(`infermesh agent: no agent is running (looked in ${dataDir})\n`);
  });

  test.each([
    "",
    "{",
    "null",
    "[]",
    '{"pid": 1}',
    '{"id":"gpu-1","pid":"7","api":""}',
    '{"id":"other","pid":7,"api":""}',
    '{"id":"gpu-1","pid":-7,"api":""}',
  ])("that holds %j is no agent", async (text) => {
    const dataDir = freshDirectory();
    mkdirSync(join(dataDir, "gpu-1"), { recursive: true });
    writeFileSync(join(dataDir, "gpu-1", "agent.json"), text);
    expect(await readAgentFile(dataDir, "gpu-1")).toBeUndefined();
    expect(await runningAgents(dataDir)).toEqual([]);
  });

  test("that can't be written is an error with the directory's name", () => {
    const path = join(root, "a-file");
    writeFileSync(path, "");
    const file = { id: "x", pid: process.pid, api: "", metrics: "", serve: "", startedAt: "", version: "" };
    expect(writeAgentFile(path, file)).rejects.toThrow(`can't write to the data directory ${path}/x`);
  });
});

describe("agent stop", () => {
  test("ends the agent and waits for it", async () => {
    const dataDir = freshDirectory();
    const { child } = await fakeAgent(dataDir, "gpu-1");
    const { seen, terminal: to } = terminal();
    expect(await stopAgent({ ...STOP, dataDir }, to)).toBe(0);
    expect(seen.out).toMatch(/^stopped agent gpu-1 \(pid \d+\) in \d\.\d s\n$/);
    await child.exited;
    expect(child.signalCode).toBe("SIGTERM");
    expect(await stopAgent({ ...STOP, dataDir }, to)).toBe(3);
  });

  test("tells when the agent outlasts the wait, and kills it only by --force", async () => {
    const dataDir = freshDirectory();
    const { child } = await fakeAgent(dataDir, "gpu-1", { deaf: true });
    const { seen, terminal: to } = terminal();
    expect(await stopAgent({ ...STOP, dataDir, timeoutMs: 100 }, to)).toBe(1);
    expect(seen.err).toMatch(/is still there after 100ms; it may be finishing requests\n$/);
    expect(await stopAgent({ ...STOP, dataDir, timeoutMs: 100, force: true }, to)).toBe(0);
    await child.exited;
    expect(child.signalCode).toBe("SIGKILL");
    expect(await readAgentFile(dataDir, "gpu-1")).toBeUndefined();
  });

  test("wants to know which of several, and says what there is", async () => {
    const dataDir = freshDirectory();
    await fakeAgent(dataDir, "gpu-1");
    await fakeAgent(dataDir, "gpu-2");
    const { seen, terminal: to } = terminal();
    expect(await stopAgent({ ...STOP, dataDir }, to)).toBe(2);
    expect(await stopAgent({ ...STOP, dataDir, id: "gpu-3" }, to)).toBe(3);
    expect(seen.err).toBe(
      `infermesh agent: several agents run here; say which by --id: gpu-1, gpu-2\ninfermesh agent: no agent gpu-3 is running (looked in ${dataDir}); there are gpu-1, gpu-2\n`,
    );
    expect(await stopAgent({ ...STOP, dataDir, id: "gpu-2" }, to)).toBe(0);
    expect((await runningAgents(dataDir)).map(({ id }) => id)).toEqual(["gpu-1"]);
  });
});

describe("agent status", () => {
  const status = (dataDir: string, to: ReturnType<typeof terminal>["terminal"]) =>
    showAgentStatus({ id: "", dataDir, output: "text", timeoutMs: 1000 }, to);

  test("shows what the agent says of itself", async () => {
    const dataDir = freshDirectory();
    let health = "ok";
    const server = Bun.serve({
      hostname: "127.0.0.1",
      port: 0,
      fetch: () => Response.json({ zone: "z", health: { status: health } }),
    });
    try {
      const { file } = await fakeAgent(dataDir, "gpu-1", { api: `0.0.0.0:${server.port}` });
      const { seen, terminal: to } = terminal();
      expect(await status(dataDir, to)).toBe(0);
      expect(seen.out).toBe(
        `id\tgpu-1\nstate\trunning\npid\t${file.pid}\nstartedAt\t2026-01-02T03:04:05.000Z\nzone\tz\nhealth.status\tok\n`,
      );
      health = "draining";
      expect(await status(dataDir, to)).toBe(1);
    } finally {
      await server.stop(true);
    }
  });

  test("tells an agent that does not answer from one that does not run", async () => {
    const dataDir = freshDirectory();
    const { seen, terminal: to } = terminal();
    expect(await status(dataDir, to)).toBe(3);
    await fakeAgent(dataDir, "gpu-1");
    expect(await status(dataDir, to)).toBe(1);
    expect(seen.err).toContain("runs but can't be asked: http://127.0.0.1:1: nobody listens there");
  });
});
