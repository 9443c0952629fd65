/** Bytes between a port and a server on loopback: both ways, both ends, at the slower side's pace. */
import { afterEach, describe, expect, test } from "bun:test";
import { createHash, randomBytes } from "node:crypto";
import { mkdtempSync, rmSync } from "node:fs";
import { createConnection, createServer, type Server, type Socket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { answersAt, TcpRelay } from "../../src/net/relay.ts";
import { until } from "../proxy/harness.ts";

const ends: (() => unknown)[] = [];
afterEach(() => {
  for (const end of ends.splice(0)) end();
});

/** A server that does this to each connection, with a relay in front. */
async function relayed(
  serve: (socket: Socket) => void,
  how: { path?: string; isAllowed?: (address: string) => boolean } = {},
) {
  const server: Server = createServer({ allowHalfOpen: true }, serve);
  server.on("connection", (socket) => socket.on("error", () => {}));
  await new Promise<void>((resolve) => {
    if (how.path === undefined) server.listen(0, "127.0.0.1", resolve);
    else server.listen(how.path, resolve);
  });
  const bound = server.address();
  const to = typeof bound === "object" && bound !== null ? bound.port : 0;
  const refused: string[] = [];
  const relay = await TcpRelay.open({
    host: "127.0.0.1",
    port: 0,
    to: how.path === undefined ? { host: "127.0.0.1", port: to } : { host: how.path, port: 0 },
    isAllowed: how.isAllowed ?? (() => true),
    refused: (address) => refused.push(address),
  });
  ends.push(
    () => relay.stop(),
    () => server.close(),
  );
  return { relay, server, refused };
}

/** Sends this, ends its half, and answers all that comes until the other half ends. */
async function ask(port: number, bytes: Uint8Array): Promise<Buffer> {
  const { promise, resolve, reject } = Promise.withResolvers<Buffer>();
  const parts: Buffer[] = [];
  const socket = createConnection({ host: "127.0.0.1", port, allowHalfOpen: true });
  socket.on("data", (part: Buffer) => parts.push(part));
  socket.on("end", () => resolve(Buffer.concat(parts)));
  socket.on("error", reject);
  socket.on("close", () => resolve(Buffer.concat(parts)));
  socket.end(bytes);
  return promise;
}

const digest = (bytes: Uint8Array): string => createHash("sha256").update(bytes).digest("hex");

describe("a relay", () => {
  test("passes what is sent, and what is answered behind its end", async () => {
    const { relay } = await relayed((socket) => {
      const parts: Buffer[] = [];
      socket.on("data", (part: Buffer) => parts.push(part));
      // Only when the client's half has ended does it answer.
      socket.on("end", () => socket.end(digest(Buffer.concat(parts))));
    });
    const bytes = randomBytes(3_000_000);
    const answers = await Promise.all([ask(relay.port, bytes), ask(relay.port, Buffer.from("short"))]);
    expect(answers.map(String)).toEqual([digest(bytes), digest(Buffer.from("short"))]);
    await until(() => relay.connections === 0);
  });

  test("passes a long answer whole to a client that reads slowly, and holds the server back meanwhile", async () => {
    const bytes = randomBytes(16_000_000);
    let isFlushed = true;
    const { relay } = await relayed((socket) => {
      isFlushed = socket.write(bytes);
      socket.end();
    });
    const socket = createConnection({ host: "127.0.0.1", port: relay.port });
    const parts: Buffer[] = [];
    socket.pause();
    await until(() => !isFlushed);
    socket.on("data", (part: Buffer) => {
      parts.push(part);
      socket.pause();
      setImmediate(() => socket.resume());
    });
    const ended = new Promise((resolve) => socket.on("end", resolve));
    socket.resume();
    await ended;
    expect(digest(Buffer.concat(parts))).toBe(digest(bytes));
    socket.destroy();
  });

  test("reaches a unix socket", async () => {
    const folder = mkdtempSync(join(tmpdir(), "infermesh-relay-"));
    ends.push(() => rmSync(folder, { recursive: true, force: true }));
    const { relay } = await relayed((socket) => socket.end("from a path"), { path: join(folder, "s.sock") });
    expect(String(await ask(relay.port, Buffer.from("x")))).toBe("from a path");
  });

  test("breaks with either side", async () => {
    const seen: Socket[] = [];
    const { relay } = await relayed((socket) => {
      seen.push(socket);
      // A client that is gone without a word is one that says no more.
      socket.on("data", () => {}).on("end", () => socket.end());
    });
    const client = createConnection({ host: "127.0.0.1", port: relay.port });
    client.on("error", () => {});
    await until(() => seen.length === 1);
    seen[0]!.resetAndDestroy();
    await until(() => client.destroyed && relay.connections === 0);
    const other = createConnection({ host: "127.0.0.1", port: relay.port });
    other.on("error", () => {});
    await until(() => seen.length === 2);
    other.resetAndDestroy();
    await until(() => seen[1]!.destroyed && relay.connections === 0);
  });

  test("cuts off who may not come, and everybody while the server is away", async () => {
    const { relay, refused } = await relayed((socket) => socket.end("secret"), { isAllowed: () => false });
    expect(String(await ask(relay.port, Buffer.from("x")).catch(() => ""))).toBe("");
    expect(refused).toEqual(["127.0.0.1"]);
    const { relay: lonely, server } = await relayed((socket) => socket.end("yes"));
    await new Promise((resolve) => server.close(resolve));
    expect(String(await ask(lonely.port, Buffer.from("x")).catch(() => ""))).toBe("");
    await until(() => lonely.connections === 0);
  });

  test("says where it can't listen, and whether somebody listens", async () => {
    const { relay } = await relayed((socket) => socket.end());
    const again = { host: "127.0.0.1", port: relay.port, to: { host: "127.0.0.1", port: 1 }, isAllowed: () => true };
    expect(TcpRelay.open(again)).rejects.toThrow(/can't listen at 127\.0\.0\.1:\d+: EADDRINUSE/);
    expect(await answersAt({ host: "127.0.0.1", port: relay.port }, 1000)).toBe(true);
    relay.stop();
    await until(async () => !(await answersAt({ host: "127.0.0.1", port: relay.port }, 1000)));
  });
});
