/** Clients that speak TLS, through the compiled router: curl, fetch and WebSocket, each with the certificate verified. */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { join } from "node:path";
import { selfSigned } from "../net/certificates.ts";
import { readEvents } from "./event-source.ts";
import { Bench, inFlight, raw, until } from "./harness.ts";
import type { Started } from "./harness.ts";

const MODEL = "m";
const CHAT = JSON.stringify({ model: MODEL, messages: [{ role: "user", content: "hello" }] });
const STREAM = JSON.stringify({ model: MODEL, messages: [], stream: true });
const LONG = JSON.stringify({ model: MODEL, prompt: "z".repeat(3 << 20) });
const JSON_TYPE = { "content-type": "application/json" };
const EVENTS = 50;

const bench = new Bench();
const plain = selfSigned("localhost", "IP:127.0.0.1");
const named = selfSigned("api.example.com");
let upstream: ReturnType<typeof Bun.serve>;
let router: Started;
let base: string;
let port: string;
/** What every router of these tests is started with. */
let common: string[];

beforeAll(async () => {
  upstream = Bun.serve({
    hostname: "127.0.0.1",
    port: 0,
    idleTimeout: 0,
    async fetch(request, server) {
      if (request.headers.has("upgrade") && server.upgrade(request, { data: undefined })) return undefined;
      const body = await request.text();
      if (!body.includes('"stream":true')) return Response.json({ length: body.length });
      const events = async function* (): AsyncGenerator<string> {
        for (let i = 0; i < EVENTS; i++) {
          yield `data: ${i}\n\n`;
          await Bun.sleep(1);
        }
      };
      return new Response(events(), { headers: { "content-type": "text/event-stream" } });
    },
    websocket: {
      maxPayloadLength: 1 << 26,
      message(socket, message) {
        socket.send(message);
      },
    },
  });
  const file = async (name: string, text: string): Promise<string> => {
    const path = join(bench.dataDir, name);
    await Bun.write(path, text);
    return path;
  };
  const tls = ["--tls-cert", await file("cert.pem", plain.cert), "--tls-key", await file("key.pem", plain.key)];
  const sni = `api.example.com=${await file("named.pem", named.cert)}:${await file("named.key", named.key)}`;
  const upstreams = ["--upstream", `${MODEL}=http://127.0.0.1:${upstream.port}`];
  common = [...tls, "--tls-sni", sni, ...upstreams];
  router = await bench.router("--workers", "2", ...common);
  port = portOf(router);
  base = `https://127.0.0.1:${port}`;
});

afterAll(async () => {
  await upstream.stop(true);
  await bench.end();
});

function portOf(started: Started): string {
  const listen = started.address("listen");
  return listen.slice(listen.lastIndexOf(":") + 1);
}

function missing(program: string): boolean {
  const absent = Bun.which(program) === null;
  if (absent) console.log(`skipped: ${program} is not installed (scripts/install-peers.sh)`);
  return absent;
}

const post = (body: string): Promise<Response> =>
  fetch(`${base}/v1/chat/completions`, { method: "POST", headers: JSON_TYPE, body, tls: { ca: plain.cert } });

describe("fetch", () => {
  test("is answered, short and long", async () => {
    for (const body of [CHAT, LONG]) expect(await (await post(body)).json()).toEqual({ length: body.length });
  });

  test("reads a stream to its end", async () => {
    const { events } = await readEvents(await post(STREAM));
    expect(events.map(({ data }) => data)).toEqual(Array.from({ length: EVENTS }, (_, i) => String(i)));
  });

  test("is served fifty times at once", async () => {
    const answers = await Promise.all(Array.from({ length: 50 }, () => post(CHAT).then(({ status }) => status)));
    expect(new Set(answers)).toEqual(new Set([200]));
  });

  test("that leaves in the middle of a stream leaves nothing in flight", async () => {
    const response = await post(STREAM);
    const reader = response.body?.getReader();
    await reader?.read();
    await reader?.cancel();
    await until(async () => (await inFlight(router)) === 0);
  });
});

describe.skipIf(missing("curl"))("curl", () => {
  const curl = async (...args: string[]): Promise<{ code: number; out: string; error: string }> => {
    const child = Bun.spawn(["curl", "--http1.1", "--silent", "--show-error", "--max-time", "20", ...args], {
      stdin: "ignore",
      stdout: "pipe",
      stderr: "pipe",
    });
    const [out, error] = await Promise.all([new Response(child.stdout).text(), new Response(child.stderr).text()]);
    return { code: await child.exited, out, error };
  };
  const authority = (name: string): string[] => ["--cacert", join(bench.dataDir, name)];
  const chat = ["--header", "content-type: application/json", "--data", CHAT];

  test("verifies the certificate, and posts", async () => {
    const { out, error } = await curl(...authority("cert.pem"), ...chat, `${base}/v1/completions`);
    expect(error).toBe("");
    expect(JSON.parse(out)).toEqual({ length: CHAT.length });
  });

  test("is shown the certificate of the name that it asks for", async () => {
    const where = ["--resolve", `api.example.com:${port}:127.0.0.1`];
    const url = `https://api.example.com:${port}/v1/completions`;
    expect((await curl(...where, ...authority("named.pem"), ...chat, url)).code).toBe(0);
    // The other's authority does not vouch for it: 60 is curl's code for that.
    expect((await curl(...where, ...authority("cert.pem"), ...chat, url)).code).toBe(60);
  });

  test("uses its connection for the next request", async () => {
    const request = [...chat, "--output", "/dev/null", "--write-out", "%{http_code} %{num_connects}\n"];
    const url = `${base}/v1/completions`;
    const { out } = await curl(
      ...authority("cert.pem"),
      ...request,
      url,
      "--next",
      ...authority("cert.pem"),
      ...request,
      url,
    );
    expect(out).toBe("200 1\n200 0\n");
  });
});

describe("WebSocket", () => {
  test("carries messages, small and large", async () => {
    const url = `wss://127.0.0.1:${port}/v1/realtime?model=${MODEL}`;
    const socket = new WebSocket(url, { tls: { ca: plain.cert } });
    const { promise: opened, resolve, reject } = Promise.withResolvers<unknown>();
    socket.addEventListener("open", resolve, { once: true });
    socket.addEventListener("close", ({ code }) => reject(new Error(`closed with ${code}`)), { once: true });
    await opened;
    for (const size of [5, 70_000, 4 << 20]) {
      const { promise: heard, resolve: hears } = Promise.withResolvers<unknown>();
      socket.addEventListener("message", ({ data }) => hears(data), { once: true });
      const text = "w".repeat(size);
      socket.send(text);
      expect((await heard) === text).toBe(true);
    }
    socket.close();
    await until(async () => (await inFlight(router)) === 0);
  });
});

test("who speaks plain HTTP to the port is not served, and harms nobody", async () => {
  const answer = await raw(
    `127.0.0.1:${port}`,
    ["GET /v1/models HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n"],
    500,
  );
  expect(answer).not.toContain("200 OK");
  expect((await post(CHAT)).status).toBe(200);
  expect(router.lines.filter(({ msg }) => String(msg).includes("worker died"))).toEqual([]);
});

test("connections that begin no handshake take no more than the places that there are, and not for long", async () => {
  const limits = ["--proxy-connections-max", "16", "--proxy-handshake-timeout", "2s"];
  const small = await bench.router("--workers", "1", ...common, ...limits);
  const hostname = "127.0.0.1";
  let closed = 0;
  const socket = { data() {}, close: () => void closed++ };
  for (let i = 0; i < 20; i++) await Bun.connect({ hostname, port: Number(portOf(small)), socket });
  // Four find no place, and sixteen are given up.
  await until(() => closed >= 4);
  await until(() => closed === 20);
  const response = await fetch(`https://${hostname}:${portOf(small)}/v1/models`, { tls: { ca: plain.cert } });
  expect(response.status).toBe(200);
  await small.stop();
});
