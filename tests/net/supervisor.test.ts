import { dlopen } from "bun:ffi";
import { afterEach, expect, test } from "bun:test";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { notifySupervisor } from "../../src/net/supervisor.ts";

const before = process.env["NOTIFY_SOCKET"];
const folder = mkdtempSync(join(tmpdir(), "infermesh-notify-"));

afterEach(() => {
  if (before === undefined) delete process.env["NOTIFY_SOCKET"];
  else process.env["NOTIFY_SOCKET"] = before;
});

const libc = dlopen("libc.so.6", {
  socket: { args: ["i32", "i32", "i32"], returns: "i32" },
  bind: { args: ["i32", "ptr", "u32"], returns: "i32" },
  recv: { args: ["i32", "ptr", "u64", "i32"], returns: "i64" },
  close: { args: ["i32"], returns: "i32" },
}).symbols;

/** A unix datagram socket as a supervisor has one; answers what came, if anything. */
function supervisor(name: Uint8Array): { heard(): string; close(): void } {
  const fd = libc.socket(1, 2 | 0x800, 0);
  const address = new Uint8Array(new ArrayBuffer(2 + name.length));
  new DataView(address.buffer).setUint16(0, 1, true);
  address.set(name, 2);
  expect(libc.bind(fd, address, address.length)).toBe(0);
  return {
    heard() {
      const bytes = new Uint8Array(new ArrayBuffer(1000));
      const length = Number(libc.recv(fd, bytes, 1000, 0));
      return length < 0 ? "" : new TextDecoder().decode(bytes.subarray(0, length));
    },
    close: () => void libc.close(fd),
  };
}

test("a supervisor is told by a socket in the file system, or by an abstract one", () => {
  const path = join(folder, "notify");
  const abstract = `infermesh-test-${process.pid}`;
  for (const [name, told] of [
    [new TextEncoder().encode(path), path],
    [new TextEncoder().encode(`\0${abstract}`), `@${abstract}`],
  ] as const) {
    const listening = supervisor(name);
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
