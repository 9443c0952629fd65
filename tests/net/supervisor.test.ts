import { afterEach, expect, test } from "bun:test";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { notifySupervisor } from "../../src/net/supervisor.ts";
import { NotifySocket } from "./notify-socket.ts";

const before = process.env["NOTIFY_SOCKET"];
const folder = mkdtempSync(join(tmpdir(), "infermesh-notify-"));

afterEach(() => {
  if (before === undefined) delete process.env["NOTIFY_SOCKET"];
  else process.env["NOTIFY_SOCKET"] = before;
});

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
  rmSync(folder, { recursive: true });
});

test("without one, or with one that is gone, nothing is told and nothing fails", () => {
  delete process.env["NOTIFY_SOCKET"];
  expect(notifySupervisor({ READY: 1 })).toBe(false);
  process.env["NOTIFY_SOCKET"] = "/no/such/socket";
  expect(notifySupervisor({ READY: 1 })).toBe(false);
  process.env["NOTIFY_SOCKET"] = "/".padEnd(200, "x");
  expect(notifySupervisor({ READY: 1 })).toBe(false);
});
