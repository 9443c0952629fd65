/** A router hands over to a new process under load, in the built executable: not one request may fail. */
import { afterAll, afterEach, beforeAll, describe, expect, test } from "bun:test";
import {
  chmodSync,
  copyFileSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  readlinkSync,
  renameSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { NotifySocket } from "../net/notify-socket.ts";
import { Bench, EXECUTABLE, nodes, ownEnvironment, type Started, until, rawChat } from "./harness.ts";
import { RawLoad } from "./raw-load.ts";

const bench = new Bench();
const successors: number[] = [];
const folder = mkdtempSync(join(tmpdir(), "infermesh-upgrade-"));

afterAll(async () => {
  for (const pid of successors) end(pid, "SIGKILL");
  await bench.end();
  rmSync(folder, { recursive: true, force: true });
});

function end(pid: number, signal: NodeJS.Signals): void {
  try {
    process.kill(pid, signal);
  } catch {
    // It has ended by itself.
  }
}

function isRunning(pid: number): boolean {
  return existsSync(`/proc/${pid}`) && !readFileSync(`/proc/${pid}/stat`, "latin1").includes(") Z ");
}

interface Outcome {
  readonly status: number;
  readonly body: { readonly pid?: number; readonly version?: string; readonly error?: { readonly message: string } };
}

async function upgrade(router: Started, body: object = {}): Promise<Outcome> {
  const url = `http://${router.address("api")}/upgrade`;
  const response = await fetch(url, { method: "POST", body: JSON.stringify(body), keepalive: false });
  const answer = (await response.json()) as Outcome["body"];
  if (answer.pid !== undefined) successors.push(answer.pid);
  return { status: response.status, body: answer };
}

function portOf(router: Started): number {
  return Number(router.address("listen").split(":").pop());
}

async function memberIncarnation(router: Started): Promise<number> {
  const response = await fetch(`http://${router.address("api")}/members`, { keepalive: false });
  const { members } = (await response.json()) as { members: { role: string; incarnation: number }[] };
  return members.find(({ role }) => role === "router")?.incarnation ?? 0;
}

async function eventsOf(agent: Started): Promise<string[]> {
  const response = await fetch(`http://${agent.address("api")}/events`);
  const { events } = (await response.json()) as { events: { kind: string; id: string }[] };
  return events.filter(({ id }) => id.startsWith("router")).map(({ kind }) => kind);
}

describe("an upgrade", () => {
  test("under load fails no request, and the mesh does not notice", async () => {
    const pidFile = join(folder, "router.pid");
    const socket = join(folder, "notify");
    const supervisor = new NotifySocket(socket);
    const ports = ["listen", "api", "metrics", "gossip"].flatMap((port) => [`--${port}`, "127.0.0.1:0"]);
    const router = await bench.launch(
      ["router", ...ports, "--workers", "2", "--pid-file", pidFile, "--fleet-poll-interval", "500ms"],
      { env: { ...ownEnvironment(), XDG_STATE_HOME: bench.dataDir, NOTIFY_SOCKET: socket } },
    );
    expect(supervisor.heard()).toBe(`READY=1\nMAINPID=${router.process.pid}\n`);
    const gossip = String(router.ready["gossip"]);
    // One that registers, and one that the mesh tells of.
    const agents = [
      await bench.agent("a", router, "--mock-speed", "50"),
      await bench.agent("b", null, "--mock-speed", "50", "--join", gossip),
    ];
    await until(async () => (await nodes(router)).filter(({ state }) => state === "healthy").length === 2);
    const port = portOf(router);
    const request = await rawChat(router);
    const loads = [
      new RawLoad({ port, clients: 4, request }),
      new RawLoad({ port, clients: 4, isShort: true }),
      new RawLoad({ port, clients: 8, request, pauseMs: 50 }),
    ];
    const goOn = (): Promise<unknown> => Promise.all(loads.map((load) => load.goOn(40)));
    await goOn();
    const before = await memberIncarnation(router);
    expect(readFileSync(pidFile, "utf8").trim()).toBe(String(router.process.pid));
    let last = router.process.pid;
    for (let turn = 0; turn < 3; turn++) {
      const { status, body } = await upgrade(router);
      expect(body.error?.message).toBeUndefined();
      expect(status).toBe(200);
      await goOn();
      // The old one ends when its connections are quiet; its successor outlives it.
      const old = last;
      await until(() => !isRunning(old));
      last = body.pid ?? 0;
      await goOn();
      expect(readFileSync(pidFile, "utf8").trim()).toBe(String(last));
      expect(supervisor.heard()).toBe(`READY=1\nMAINPID=${last}\n`);
    }
    for (const load of loads) expect(await load.end()).toEqual([]);
    expect(await memberIncarnation(router)).toBeGreaterThan(before);
    expect((await nodes(router)).map(({ state }) => state)).toEqual(["healthy", "healthy"]);
    expect((await nodes(router)).map(({ source }) => source).toSorted()).toEqual(["gossip", "registered"]);
    for (const agent of agents.slice(1)) {
      const kinds = await eventsOf(agent);
      expect(kinds).toContain("joined");
      expect(kinds).not.toContain("left");
      expect(kinds).not.toContain("failed");
      expect(kinds).not.toContain("conflict");
    }
    end(last, "SIGTERM");
    await until(() => !isRunning(last));
    expect(existsSync(pidFile)).toBe(false);
    // The old ones said nothing of their ends.
    expect([supervisor.heard(), supervisor.heard()]).toEqual(["STOPPING=1\nEXTEND_TIMEOUT_USEC=40000000\n", ""]);
    supervisor.close();
  }, 60_000);

  test("needs a pid file that can be written", async () => {
    const started = await bench.router("--pid-file", join(folder, "no", "such.pid")).catch(String);
    expect(started).toMatch(/ended with 2 .*can't write the pid file/);
  });

  test("lets a stream end at the old process, and SIGUSR1 asks for one", async () => {
    const { router } = await bench.mesh(1, [], ["--mock-speed", "2"]);
    const url = `http://${router.address("listen")}/v1/chat/completions`;
    const model = (await nodes(router))[0]?.models[0];
    const body = JSON.stringify({ model, stream: true, max_tokens: 150, messages: [{ role: "user", content: "hi" }] });
    const response = await fetch(url, { method: "POST", headers: { "content-type": "application/json" }, body });
    expect(response.status).toBe(200);
    router.process.kill("SIGUSR1");
    await until(() => readyLines(router).length === 2);
    const pid = Number(readyLines(router)[1]?.["pid"]);
    successors.push(pid);
    expect(isRunning(router.process.pid)).toBe(true);
    expect((await response.text()).trimEnd().endsWith("data: [DONE]")).toBe(true);
    expect(await router.process.exited).toBe(0);
    expect((await nodes(router)).map(({ inFlight }) => inFlight)).toEqual([0]);
  }, 30_000);

  test("a signal to the old process hastens its end", async () => {
    const { router } = await bench.mesh(1, ["--drain-timeout", "0s"], ["--mock-speed", "0.5"]);
    const url = `http://${router.address("listen")}/v1/chat/completions`;
    const model = (await nodes(router))[0]?.models[0];
    const body = JSON.stringify({ model, stream: true, max_tokens: 2000, messages: [{ role: "user", content: "hi" }] });
    const response = await fetch(url, { method: "POST", headers: { "content-type": "application/json" }, body });
    const text = response.text().catch(() => "cut");
    expect((await upgrade(router)).status).toBe(200);
    await until(() => router.lines.some(({ msg }) => msg === "stopping"));
    router.process.kill("SIGTERM");
    expect(await router.process.exited).toBe(0);
    expect(await text).not.toContain("[DONE]");
  }, 30_000);
});

function readyLines(router: Started): Record<string, unknown>[] {
  return router.lines.filter(({ msg }) => msg === "ready");
}

/** A program in the place of an executable. */
function script(name: string, text: string, mode = 0o755): string {
  const path = join(folder, name);
  mkdirSync(dirname(path), { recursive: true });
  if (dirname(path) !== folder) chmodSync(dirname(path), 0o777);
  writeFileSync(path, `#!/bin/sh\n${text}\n`);
  chmodSync(path, mode);
  return path;
}

describe("an upgrade that fails changes nothing", () => {
  const config = join(folder, "router.yaml");
  let router: Started;
  let agent: Started;
  let load: RawLoad;

  /** How long the router waits for a successor from now on: one that gets ready may need long for it on a busy machine. */
  async function wait(timeout: string): Promise<void> {
    writeFileSync(config, `upgradeTimeout: ${timeout}\nwatchConfig: false\n`);
    const response = await fetch(`http://${router.address("api")}/reload`, { method: "POST", keepalive: false });
    expect(response.status).toBe(200);
  }

  beforeAll(async () => {
    writeFileSync(config, "upgradeTimeout: 1m\nwatchConfig: false\n");
    router = await bench.router("--config", config, "--workers", "2");
    agent = await bench.agent("c", null, "--mock-speed", "50", "--join", String(router.ready["gossip"]));
    await until(async () => (await nodes(router)).some(({ state }) => state === "healthy"));
    load = new RawLoad({ port: portOf(router), clients: 4, request: await rawChat(router) });
  });

  afterEach(async () => {
    if (router.process.exitCode !== null) return;
    expect(isRunning(router.process.pid)).toBe(true);
    expect(load.failures).toEqual([]);
    await load.goOn(20);
    expect(readyLines(router).length).toBe(1);
  });

  const says = 'test "$1" = --version && { echo "infermesh 9.9.9 (test)"; exit 0; }';

  for (const [name, make, status, message] of [
    ["is not infermesh", () => script("other", "echo hello 1.0"), 400, /does not say that it is infermesh/],
    ["is not there", () => join(folder, "absent"), 400, /there is no such file/],
    ["is a folder", () => folder, 400, /there is no such file/],
    ["has no path from the root", () => "infermesh", 400, /give a path from the root/],
    ["can be written by others", () => script("open", says, 0o777), 400, /others may write to it/],
    ["lies where all may write", () => script("public/one", says), 400, /everybody may write to its folder/],
    ["can't be run", () => script("plain", says, 0o644), 400, /can't run/],
    ["ends", () => script("ends", `${says}\nexit 7`), 409, /exit code 7.* before it was ready/],
  ] as const) {
    test(`the executable ${name}`, async () => {
      const { status: answered, body } = await upgrade(router, { executable: make() });
      expect(body.error?.message).toMatch(message);
      expect(answered).toBe(status);
    }, 20_000);
  }

  test("the executable never gets ready", async () => {
    await wait("2s");
    const { status, body } = await upgrade(router, { executable: script("hangs", `${says}\nexec sleep 60`) });
    expect(body.error?.message).toMatch(/not ready within 2000 ms/);
    expect(status).toBe(409);
    await wait("1m");
  }, 20_000);

  test("the body names something else", async () => {
    expect((await upgrade(router, { path: EXECUTABLE })).status).toBe(400);
    expect((await upgrade(router, [])).status).toBe(400);
    expect((await upgrade(router, { executable: 7 })).status).toBe(400);
  });

  test("the configuration has a fault", async () => {
    writeFileSync(config, "upgradeTimeout: 1m\nworkersx: 3\n");
    const { status, body } = await upgrade(router);
    expect(status).toBe(409);
    expect(body.error?.message).toMatch(/exit code 2/);
    expect(router.lines.some(({ msg }) => String(msg).includes("workersx"))).toBe(true);
  });

  test("a port of the new configuration is taken, when the old process has fallen silent already", async () => {
    writeFileSync(config, "upgradeTimeout: 1m\nwatchConfig: false\n");
    const before = await memberIncarnation(router);
    const taken = script("taken", `${says}\nexec ${EXECUTABLE} "$@" --metrics ${agent.address("metrics")}`);
    const { status, body } = await upgrade(router, { executable: taken });
    expect(body.error?.message).toMatch(/exit code 2/);
    expect(status).toBe(409);
    // It came back into the mesh, which did not notice either.
    expect(await memberIncarnation(router)).toBeGreaterThan(before);
    await until(async () => (await nodes(router)).every(({ source }) => source === "gossip"));
    const kinds = await eventsOf(agent);
    expect(kinds).not.toContain("left");
    expect(kinds).not.toContain("failed");
  }, 20_000);

  test("and one that is right still takes over", async () => {
    const copy = join(folder, "infermesh");
    copyFileSync(EXECUTABLE, copy);
    chmodSync(copy, 0o755);
    const { status, body } = await upgrade(router, { executable: copy });
    expect(body.error?.message).toBeUndefined();
    expect(status).toBe(200);
    await until(() => !isRunning(router.process.pid));
    await load.goOn(20);
    expect(await load.end()).toEqual([]);
    expect((await nodes(router)).map(({ id, state }) => [id, state])).toEqual([["c", "healthy"]]);
    // It starts from where it is, and from what is there now.
    copyFileSync(EXECUTABLE, `${copy}.new`);
    renameSync(`${copy}.new`, copy);
    const again = await upgrade(router);
    expect(again.status).toBe(200);
    expect(readlinkSync(`/proc/${again.body.pid}/exe`)).toBe(copy);
  }, 30_000);
});
