/** As many clients as a machine of two cores is to hold: 10,000 idle connections, and 1,000 streams at once. */
import { afterAll, beforeAll, expect, test } from "bun:test";
import { readFileSync } from "node:fs";
import type { Socket } from "bun";
import { Bench, descriptors, inFlight, raw, until } from "./harness.ts";
import type { Started } from "./harness.ts";

const MODEL = "m";
const IDLE = 10_000;
const STREAMS = 1000;
/** Connections that are opened at once: more would find the queue of those to be accepted full. */
const AT_ONCE = 200;
const EVENTS = 20;
const LIMIT_MS = 60_000;

const bench = new Bench();
let upstream: ReturnType<typeof Bun.serve>;
let router: Started;
let port: number;
/** Lets the streams, which have all begun, go on to their end. */
const release = Promise.withResolvers<undefined>();

beforeAll(async () => {
  upstream = Bun.serve({
    hostname: "127.0.0.1",
    port: 0,
    idleTimeout: 0,
    fetch() {
      const events = async function* (): AsyncGenerator<string> {
        yield "data: first\n\n";
        await release.promise;
        for (let i = 0; i < EVENTS; i++) yield `data: ${i}\n\n`;
        yield "data: [DONE]\n\n";
      };
      return new Response(events(), { headers: { "content-type": "text/event-stream" } });
    },
  });
  const room = ["--workers", "1", "--proxy-idle-timeout", "10m", "--score-slots", String(STREAMS)];
  router = await bench.router(...room, "--upstream", `${MODEL}=http://127.0.0.1:${upstream.port}`);
  const listen = router.address("listen");
  port = Number(listen.slice(listen.lastIndexOf(":") + 1));
});

afterAll(async () => {
  release.resolve(undefined);
  await upstream.stop(true);
  await bench.end();
});

/** How many descriptors a process may have. */
function descriptorsMax(pid: number): number {
  const told = /^Max open files\s+(\d+)/m.exec(readFileSync(`/proc/${pid}/limits`, "utf8"))?.[1];
  return told === undefined ? Infinity : Number(told);
}

function hasRoomFor(count: number): boolean {
  const max = Math.min(descriptorsMax(router.process.pid), descriptorsMax(process.pid));
  if (max >= count + 500) return true;
  console.log(`skipped: ${count} connections need more than the ${max} descriptors that a process may have here`);
  return false;
}

async function connectionsOpen(): Promise<number> {
  const text = await fetch(`http://${router.address("metrics")}/telemetry`).then((response) => response.text());
  return Number(/^infermesh_router_connections_open (\d+)$/m.exec(text)?.[1]);
}

class Listening {
  readonly socket: Socket;
  readonly heard: { text: string; closed: boolean };

  private constructor(socket: Socket, heard: { text: string; closed: boolean }) {
    this.socket = socket;
    this.heard = heard;
  }

  static async open(): Promise<Listening> {
    const heard = { text: "", closed: false };
    const socket = await Bun.connect({
      hostname: "127.0.0.1",
      port,
      socket: {
        data(_socket, bytes) {
          heard.text += bytes.toString("latin1");
        },
        close() {
          heard.closed = true;
        },
      },
    });
    return new Listening(socket, heard);
  }
}

async function openMany(count: number): Promise<Listening[]> {
  const all: Listening[] = [];
  while (all.length < count) {
    const some = Math.min(AT_ONCE, count - all.length);
    all.push(...(await Promise.all(Array.from({ length: some }, () => Listening.open()))));
  }
  return all;
}

test("10,000 idle connections are held, and cost no request its answer", async () => {
  if (!hasRoomFor(IDLE)) return;
  const { pid } = router.process;
  const before = descriptors(pid);
  const idle = await openMany(IDLE);
  // Not by what it has more than before: it may have had some then that were about to be closed.
  await until(async () => (await connectionsOpen()) === IDLE, LIMIT_MS);
  expect(descriptors(pid)).toBeGreaterThan(IDLE);
  const health = "GET /health HTTP/1.1\r\nhost: x\r\n\r\n";
  // The first, the last, and some in between are still good for a request.
  const some = idle.filter((_, at) => at % 997 === 0 || at === IDLE - 1);
  for (const { socket } of some) socket.write(health);
  await until(() => some.every(({ heard }) => heard.text.endsWith('{"status":"ok"}')), LIMIT_MS);
  expect(await raw(`127.0.0.1:${port}`, ["GET /v1/models HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n"])).toContain(
    `"id":"${MODEL}"`,
  );
  expect(idle.filter(({ heard }) => heard.closed)).toEqual([]);
  for (const { socket } of idle) socket.terminate();
  await until(() => descriptors(pid) <= before + 20, LIMIT_MS);
});

test("1,000 streams at once all begin, and all end", async () => {
  if (!hasRoomFor(STREAMS * 2)) return;
  const body = JSON.stringify({ model: MODEL, messages: [], stream: true });
  const head = `POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\n`;
  const streams = await openMany(STREAMS);
  for (const { socket } of streams) socket.write(`${head}content-length: ${body.length}\r\n\r\n${body}`);
  await until(() => streams.every(({ heard }) => heard.text.includes("data: first\n\n")), LIMIT_MS);
  expect(await inFlight(router)).toBeGreaterThanOrEqual(STREAMS);
  release.resolve(undefined);
  await until(() => streams.every(({ heard }) => heard.text.endsWith("\r\n0\r\n\r\n")), LIMIT_MS);
  for (const { heard } of streams) {
    expect(heard.text).toContain("data: [DONE]\n\n");
    expect(heard.text.match(/^data: \d+$/gm)).toHaveLength(EVENTS);
  }
  for (const { socket } of streams) socket.terminate();
  await until(async () => (await inFlight(router)) === 0, LIMIT_MS);
});
