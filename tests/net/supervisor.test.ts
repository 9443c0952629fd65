import { afterAll, afterEach, expect, test } from "bun:test";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { notifySupervisor, Supervisor } from "../../src/net/supervisor.ts";
import { NotifySocket } from "./notify-socket.ts";

const NAMES = ["NOTIFY_SOCKET", "WATCHDOG_USEC", "INFERMESH_SUPERVISED"] as const;
const before = NAMES.map((name) => [name, process.env[name]] as const);
const folder = mkdtempSync(join(tmpdir(), "infermesh-notify-"));

afterEach(() => {
  for (const [name, value] of before) {
    if (value === undefined) delete process.env[name];
    else process.env[name] = value;
  }
});
afterAll(() => rmSync(folder, { recursive: true }));

/** A supervisor at a socket of its own. */
function aSupervisor(): NotifySocket {
  const path = join(folder, `notify-${Math.random()}`);
  process.env["NOTIFY_SOCKET"] = path;
  return new NotifySocket(path);
}

async function next(socket: NotifySocket): Promise<string> {
  for (;;) {
    const heard = socket.heard();
    if (heard !== "") return heard;
    await Bun.sleep(5);
  }
}

test("a supervisor is told by a socket in the file system, or by an abstract one", () => {
  const path = join(folder, "notify");
  const abstract = `infermesh-test-${process.pid}`;
  for (const [name, told] of [
    [path, path],
    [`\0${abstract}`, `@${abstract}`],
  ] as const) {
    const listening = new NotifySocket(name);
    process.env["NOTIFY_SOCKET"] = told;
    expect(notifySupervisor({ READY: 1, MAINPID: 42 })).toBe(true);
    expect(listening.heard()).toBe("READY=1\nMAINPID=42\n");
    listening.close();
  }
});

test("a role tells that it is ready, lives, and ends; with another main process it is silent", async () => {
  const socket = aSupervisor();
  const quiet = new Supervisor();
  quiet.ready();
  expect(await next(socket)).toBe(`READY=1\nMAINPID=${process.pid}\n`);
  process.env["WATCHDOG_USEC"] = "60000";
  const watched = new Supervisor();
  watched.ready();
  expect(await next(socket)).toBe(`READY=1\nMAINPID=${process.pid}\n`);
  for (let sign = 0; sign < 3; sign++) expect(await next(socket)).toBe("WATCHDOG=1\n");
  watched.retire();
  while (socket.heard() !== "") {
    // What was sent before.
  }
  watched.stopping(5000);
  expect(await next(socket)).toBe("STOPPING=1\nEXTEND_TIMEOUT_USEC=15000000\n");
  socket.close();
});

test("a process that another one looks after tells nothing", () => {
  const socket = aSupervisor();
  process.env["INFERMESH_SUPERVISED"] = "1";
  expect(notifySupervisor({ READY: 1 })).toBe(false);
  expect(socket.heard()).toBe("");
  socket.close();
});

test("without one, or with one that is gone, nothing is told and nothing fails", () => {
  delete process.env["NOTIFY_SOCKET"];
  expect(notifySupervisor({ READY: 1 })).toBe(false);
  process.env["NOTIFY_SOCKET"] = "/no/such/socket";
  expect(notifySupervisor({ READY: 1 })).toBe(false);
  process.env["NOTIFY_SOCKET"] = "/".padEnd(200, "x");
  expect(notifySupervisor({ READY: 1 })).toBe(false);
});
