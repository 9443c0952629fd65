/**
 * WebSocket clients through the compiled router (RFC 6455): what goes to and fro, how either side closes, a reader that
 * does not read, and that a session counts as in flight as long as it lasts. Client and upstream are Bun's own.
 */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { join } from "node:path";
import type { ServerWebSocket } from "bun";
import { Bench, inFlight, raw, until } from "./harness.ts";
import type { Started } from "./harness.ts";

const MODEL = "m";
const OTHER_MODEL = "n";
const MB = 1 << 20;
const FLOOD_MESSAGES = 256;
const FLOOD_BYTES = 256 * 1024;

interface Session {
  readonly path: string;
  readonly protocol: string;
  readonly headers: Headers;
  /** Messages of the flood that the upstream has written so far. */
  flooded: number;
}

const bench = new Bench();
const sessions: ServerWebSocket<Session>[] = [];
/** What the upstream was told as sessions ended. */
const closes: { code: number; reason: string }[] = [];
let upstream: ReturnType<typeof Bun.serve>;
let router: Started;
let address: string;

/** Writes until the socket takes no more; goes on as it drains. */
function flood(socket: ServerWebSocket<Session>): void {
  const message = new Uint8Array(FLOOD_BYTES).fill(socket.data.flooded & 255);
  while (socket.data.flooded > 0 && socket.data.flooded <= FLOOD_MESSAGES) {
    socket.data.flooded++;
    // -1: it was queued, and the queue is to drain first.
    if (socket.send(message) === -1) return;
  }
  if (socket.data.flooded > FLOOD_MESSAGES) {
    socket.data.flooded = 0;
    socket.send("flooded");
  }
}

beforeAll(async () => {
  upstream = Bun.serve<Session>({
    hostname: "127.0.0.1",
    port: 0,
    fetch(request, server) {
      const { pathname, search } = new URL(request.url);
      if (pathname === "/v1/refused") return new Response("no sessions here", { status: 403 });
      const [protocol = ""] = (request.headers.get("sec-websocket-protocol") ?? "").split(/, */);
      const headers = protocol === "" ? {} : { "sec-websocket-protocol": protocol };
      const data = { path: `${pathname}${search}`, protocol, headers: request.headers, flooded: 0 };
      if (server.upgrade(request, { data, headers })) return undefined;
      return new Response("an upgrade was expected", { status: 426 });
    },
    websocket: {
      maxPayloadLength: 64 * MB,
      backpressureLimit: MB,
      idleTimeout: 120,
      open(socket) {
        sessions.push(socket);
      },
      message(socket, message) {
        if (message === "close") socket.close(4001, "as you wish");
        else if (message === "terminate") socket.terminate();
        else if (message === "flood") {
          socket.data.flooded = 1;
          flood(socket);
        } else socket.send(message);
      },
      drain: flood,
      close(_socket, code, reason) {
        closes.push({ code, reason });
      },
    },
  });
  // Two models, so that a session has to name one.
  const upstreams = [MODEL, OTHER_MODEL].flatMap((model) => [
    "--upstream",
    `${model}=http://127.0.0.1:${upstream.port}`,
  ]);
  router = await bench.router("--workers", "1", ...upstreams);
  address = router.address("listen");
});

afterAll(async () => {
  await upstream.stop(true);
  await bench.end();
});

const URL_PATH = `/v1/realtime?model=${MODEL}`;

function open(protocols: string[] = [], path = URL_PATH): Promise<WebSocket> {
  const { promise, resolve, reject } = Promise.withResolvers<WebSocket>();
  const socket = new WebSocket(`ws://${address}${path}`, protocols);
  socket.binaryType = "arraybuffer";
  socket.addEventListener("open", () => resolve(socket), { once: true });
  socket.addEventListener("close", ({ code }) => reject(new Error(`closed with ${code}`)), { once: true });
  return promise;
}

function next(socket: WebSocket): Promise<string | ArrayBuffer> {
  const { promise, resolve, reject } = Promise.withResolvers<string | ArrayBuffer>();
  socket.addEventListener("message", ({ data }) => resolve(data as string | ArrayBuffer), { once: true });
  socket.addEventListener("close", ({ code }) => reject(new Error(`closed with ${code}`)), { once: true });
  return promise;
}

function closed(socket: WebSocket): Promise<{ code: number; reason: string }> {
  const { promise, resolve } = Promise.withResolvers<{ code: number; reason: string }>();
  socket.addEventListener("close", ({ code, reason }) => resolve({ code, reason }), { once: true });
  return promise;
}

/** Ends a session in order and waits until the router has forgotten it. */
async function end(socket: WebSocket): Promise<void> {
  const gone = closed(socket);
  socket.close(1000);
  await gone;
  await until(async () => (await inFlight(router)) === 0);
}

describe("a session", () => {
  test("of the ws package, in Node", async () => {
    const script = join(import.meta.dir, "ws-client.mjs");
    const client = Bun.spawn(["node", script, `ws://${address}${URL_PATH}`], { stdout: "pipe", stderr: "inherit" });
    const told: unknown = JSON.parse(await client.stdout.text());
    expect(told).toEqual({
      protocol: "chat.v2",
      extensions: "",
      messages: ["hello", "100000 bytes", "xxxxxxxxxxxxxxxxxxxx"],
      pong: "are you there",
      code: 4001,
      reason: "as you wish",
    });
    await until(async () => (await inFlight(router)) === 0);
  });

  test("carries text and binary messages both ways, as they were cut", async () => {
    const socket = await open();
    for (const text of ["hello", "", "\u00e4\u{1f600}", "x".repeat(70_000)]) {
      socket.send(text);
      expect(await next(socket)).toBe(text);
    }
    for (const size of [0, 1, 125, 126, 65_535, 65_536]) {
      const bytes = new Uint8Array(size).map((_, at) => at * 7);
      socket.send(bytes);
      expect(Buffer.from((await next(socket)) as ArrayBuffer).equals(Buffer.from(bytes))).toBe(true);
    }
    await end(socket);
  });

  test("carries a message of many megabytes", async () => {
    const socket = await open();
    const bytes = new Uint8Array(16 * MB).map((_, at) => at % 251);
    socket.send(bytes);
    expect(Buffer.from((await next(socket)) as ArrayBuffer).equals(Buffer.from(bytes))).toBe(true);
    await end(socket);
  });

  test("carries many messages in their order", async () => {
    const socket = await open();
    const heard: string[] = [];
    socket.addEventListener("message", ({ data }) => heard.push(String(data)));
    const sent = Array.from({ length: 2000 }, (_, i) => `message ${i}`);
    for (const text of sent) socket.send(text);
    await until(() => heard.length === sent.length);
    expect(heard).toEqual(sent);
    await end(socket);
  });

  test("takes its path, its fields and its sub-protocol to the upstream, and the choice back", async () => {
    const before = sessions.length;
    const socket = await open(["realtime", "openai-insecure-api-key.secret"]);
    expect(socket.protocol).toBe("realtime");
    const { data } = sessions[before] as ServerWebSocket<Session>;
    expect(data.path).toBe(URL_PATH);
    expect(data.headers.get("sec-websocket-protocol")).toBe("realtime, openai-insecure-api-key.secret");
    expect(data.headers.get("sec-websocket-version")).toBe("13");
    expect(data.headers.get("x-forwarded-for")).toBe("127.0.0.1");
    expect(data.headers.get("x-request-id")).toMatch(/^[0-9a-f]{16}$/);
    await end(socket);
  });

  test("finds its model in a field as well", async () => {
    const socket = new WebSocket(`ws://${address}/v1/anything`, { headers: { "x-infermesh-model": MODEL } });
    await new Promise((resolve) => socket.addEventListener("open", resolve, { once: true }));
    socket.send("here");
    expect(await next(socket)).toBe("here");
    await end(socket);
  });

  test("is in flight as long as it lasts, and no longer", async () => {
    const sockets = await Promise.all(Array.from({ length: 5 }, () => open()));
    await until(async () => (await inFlight(router)) >= 5);
    for (const socket of sockets) socket.close();
    await until(async () => (await inFlight(router)) === 0);
  });
});

describe("pings", () => {
  test("of the client are answered by the upstream, with their payload", async () => {
    const socket = await open();
    const { promise, resolve } = Promise.withResolvers<string>();
    socket.addEventListener("pong", ((event: MessageEvent) =>
      resolve(Buffer.from(event.data as ArrayBuffer).toString())) as never);
    (socket as unknown as { ping(data: string): void }).ping("are you there");
    expect(await promise).toBe("are you there");
    await end(socket);
  });

  test("of the upstream are answered by the client", async () => {
    const before = sessions.length;
    const socket = await open();
    const session = sessions[before] as ServerWebSocket<Session>;
    const { promise, resolve } = Promise.withResolvers<string>();
    socket.addEventListener("ping", ((event: MessageEvent) =>
      resolve(Buffer.from(event.data as ArrayBuffer).toString())) as never);
    session.ping("and you");
    expect(await promise).toBe("and you");
    await end(socket);
  });
});

describe("a session ends", () => {
  test.each([
    [1000, "done"],
    [1001, "leaving"],
    [3000, ""],
    [4999, "mine alone"],
  ])("by the client, with its code and reason: %p %p", async (code, reason) => {
    const socket = await open();
    const before = closes.length;
    const gone = closed(socket);
    socket.close(code, reason);
    expect((await gone).code).toBe(code);
    await until(() => closes.length > before);
    expect(closes[before]).toEqual({ code, reason });
    await until(async () => (await inFlight(router)) === 0);
  });

  test("by the upstream, with its code and reason", async () => {
    const socket = await open();
    const gone = closed(socket);
    socket.send("close");
    expect(await gone).toEqual({ code: 4001, reason: "as you wish" });
    await until(async () => (await inFlight(router)) === 0);
  });

  test("by an upstream that breaks off: the client is told, not left waiting", async () => {
    const socket = await open();
    const gone = closed(socket);
    socket.send("terminate");
    expect((await gone).code).toBeOneOf([1001, 1006, 1011, 1012, 1014]);
    await until(async () => (await inFlight(router)) === 0);
  });

  test("by a client that breaks off: so is the upstream", async () => {
    const socket = await open();
    const before = closes.length;
    (socket as unknown as { terminate(): void }).terminate();
    await until(() => closes.length > before);
    await until(async () => (await inFlight(router)) === 0);
  });
});

test("a client that does not read holds the upstream back, and hears everything in the end", async () => {
  const before = sessions.length;
  const { promise: opened, resolve } = Promise.withResolvers<undefined>();
  // A raw client, since it is to read nothing for a while.
  let heard = 0;
  let tail = "";
  const colon = address.lastIndexOf(":");
  const client = await Bun.connect({
    hostname: address.slice(0, colon),
    port: Number(address.slice(colon + 1)),
    socket: {
      data(_socket, bytes) {
        heard += bytes.length;
        tail = (tail + bytes.toString("latin1")).slice(-64);
        resolve(undefined);
      },
    },
  });
  const key = Buffer.from("0123456789abcdef").toString("base64");
  const fields = `connection: Upgrade\r\nupgrade: websocket\r\nsec-websocket-version: 13\r\nsec-websocket-key: ${key}\r\n`;
  client.write(`GET ${URL_PATH} HTTP/1.1\r\nhost: x\r\n${fields}\r\n`);
  await opened;
  client.pause();
  // A masked text frame with a key of zeroes.
  client.write(Buffer.concat([Buffer.from([0x81, 0x80 | 5, 0, 0, 0, 0]), Buffer.from("flood")]));
  const session = sessions[before] as ServerWebSocket<Session>;
  await until(() => session.data.flooded > 1);
  await Bun.sleep(500);
  // What stands between them is bounded: the kernel's buffers and the router's queue, not all of the flood.
  expect(session.data.flooded).toBeGreaterThan(0);
  expect(session.data.flooded).toBeLessThan(FLOOD_MESSAGES);
  client.resume();
  await until(() => tail.endsWith("flooded"), 30_000);
  expect(heard).toBeGreaterThan(FLOOD_MESSAGES * FLOOD_BYTES);
  client.terminate();
  await until(async () => (await inFlight(router)) === 0);
});

describe("a handshake", () => {
  const fields =
    "connection: Upgrade\r\nupgrade: websocket\r\nsec-websocket-version: 13\r\nsec-websocket-key: MDEyMzQ1Njc4OWFiY2RlZg==\r\n";
  const shake = (path: string, lines = fields): Promise<string> =>
    raw(address, [`GET ${path} HTTP/1.1\r\nhost: x\r\n${lines}\r\n`], 500);

  test("is answered with the key's digest", async () => {
    const answer = await shake(URL_PATH);
    expect(answer).toStartWith("HTTP/1.1 101 ");
    expect(answer.toLowerCase()).toContain("upgrade: websocket\r\n");
    const digest = new Bun.CryptoHasher("sha1").update("MDEyMzQ1Njc4OWFiY2RlZg==258EAFA5-E914-47DA-95CA-C5AB0DC85B11");
    expect(answer).toContain(digest.digest("base64"));
    await until(async () => (await inFlight(router)) === 0);
  });

  test("that the upstream refuses is an answer like any other", async () => {
    const answer = await shake(`/v1/refused?model=${MODEL}`, `${fields}x-infermesh-model: ${MODEL}\r\n`);
    expect(answer).toStartWith("HTTP/1.1 403 ");
    expect(answer).toContain("no sessions here");
    await until(async () => (await inFlight(router)) === 0);
  });

  test("for a model that nobody serves is 404, without a model 400", async () => {
    expect(await shake("/v1/realtime?model=nobody")).toStartWith("HTTP/1.1 404 ");
    expect(await shake("/v1/realtime")).toStartWith("HTTP/1.1 400 ");
  });

  test("in pieces is a handshake all the same, and frames behind it are not lost", async () => {
    const frame = Buffer.concat([Buffer.from([0x81, 0x80 | 2, 0, 0, 0, 0]), Buffer.from("hi")]);
    const head = `GET ${URL_PATH} HTTP/1.1\r\nhost: x\r\n${fields}\r\n`;
    const answer = await raw(address, [...head.split(/(?<=\n)/), frame], 500);
    expect(answer).toStartWith("HTTP/1.1 101 ");
    expect(answer).toEndWith("\x81\x02hi");
  });
});

// The last test of this file: it judges what all others left behind.
test("no worker died of it", () => {
  expect(router.lines.filter(({ msg }) => String(msg).includes("worker died"))).toEqual([]);
});
