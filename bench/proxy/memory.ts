/**
 * `npm run bench -- memory [requests] [idle connections] [streams]`: what a router with one worker weighs by what it
 * holds, and whether it grows.
 *
 * Bytes for each idle keep-alive connection (10,000, each of which was answered once), bytes for each active event
 * stream (1,000), and resident memory over 1,000,000 requests. Each figure is the difference between two readings of
 * one process, after it was warmed up and left alone for a while; the engine gives memory back late, so the reading is
 * the least of several. The proportional share counts pages that other processes use too by their part, and is what a
 * connection costs; the resident set is what most tools show. What the kernel holds for a socket is in neither.
 */
import type { Socket } from "bun";
import { descriptors } from "../../tests/process/harness.ts";
import { memory } from "../../tests/process/proc.ts";
import { report } from "../report.ts";
import { compileC, freePort, infermesh, LOAD_CORE, MODEL, PROXY_CORE, Stage } from "./peers.ts";
import { rounded } from "./rounds.ts";
import { streamsCommand } from "./sse.ts";
import { load, writeScript } from "./wrk.ts";

const REQUESTS = Number(process.argv[2] ?? 1_000_000);
const IDLE = Number(process.argv[3] ?? 10_000);
const STREAMS = Number(process.argv[4] ?? 1000);
const KIB = 1024;
const IDLE_TARGET_KIB = 30;
const STREAM_TARGET_KIB = 60;

const OPEN_AT_ONCE = 100;
const SETTLE_MS = 3000;
const READINGS = 5;
const READING_EVERY_MS = 400;
/** An event of a fast model's stream: often enough that every stream is always at work. */
const STREAM_GAP_US = 50_000;
const STREAM_EVENTS = 1_000_000;
const STREAM_SECONDS = 12;
const STEPS = 10;
const STEP_SECONDS = 2;
const CONNECTIONS = 64;
/** Descriptors that are neither a client's nor an upstream's connection, generously. */
const SPARE_DESCRIPTORS = 500;
/** An answer that begins one request and ends before the next is read: enough for a connection to have lived. */
const BODY = `{"model":"${MODEL}","messages":[{"role":"user","content":"hello"}]}`;
const REQUEST = `POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ncontent-length: ${BODY.length}\r\n\r\n${BODY}`;

interface Weight {
  readonly resident: number;
  readonly share: number;
}

/** The least of several readings: what is freed a little later than it is let go is not counted. */
async function weigh(pid: number): Promise<Weight> {
  let least: Weight = { resident: Infinity, share: Infinity };
  for (let i = 0; i < READINGS; i++) {
    const { resident, proportional } = memory(pid);
    least = {
      resident: Math.min(least.resident, resident),
      share: Math.min(least.share, proportional ?? resident),
    };
    await Bun.sleep(READING_EVERY_MS);
  }
  return least;
}

/** Opens a connection that was answered once and stays; rejects when it was not. */
function visit(port: number): Promise<Socket> {
  const { promise, resolve, reject } = Promise.withResolvers<Socket>();
  let heard = "";
  const lost = (): void => reject(new Error(`a connection was not answered: ${heard.slice(0, 200)}`));
  Bun.connect({
    hostname: "127.0.0.1",
    port,
    socket: {
      open(socket) {
        socket.write(REQUEST);
      },
      data(socket, bytes) {
        heard += bytes.toString("latin1");
        const length = /content-length: *(\d+)/i.exec(heard)?.[1];
        const head = heard.indexOf("\r\n\r\n");
        if (length === undefined || head < 0 || heard.length < head + 4 + Number(length)) return;
        if (heard.startsWith("HTTP/1.1 200")) resolve(socket);
        else lost();
      },
      close: lost,
    },
  }).catch(reject);
  return promise;
}

async function visitMany(port: number, count: number): Promise<Socket[]> {
  const sockets: Socket[] = [];
  while (sockets.length < count) {
    const some = Math.min(OPEN_AT_ONCE, count - sockets.length);
    sockets.push(...(await Promise.all(Array.from({ length: some }, () => visit(port)))));
  }
  return sockets;
}

const stage = new Stage();
try {
  const { folder } = stage;
  const script = writeScript(folder);
  const [plainPort, streamPort] = [freePort(), freePort()];
  const plain = [compileC("upstream.c", folder), String(plainPort)];
  const loader = compileC("sse-load.c", folder);
  const streaming = [
    compileC("sse-upstream.c", folder),
    String(streamPort),
    String(STREAM_GAP_US),
    String(STREAM_EVENTS),
  ];
  await stage.start(LOAD_CORE, plain, "upstream", plainPort);
  await stage.start(LOAD_CORE, streaming, "sse-upstream", streamPort);

  /** A fresh router in front of one of the upstreams, with as many descriptors as it may need. */
  const router = async (name: string, upstreamPort: number): Promise<{ port: number; pid: number }> => {
    // A target that tells nothing of itself is taken to hold 512 requests: this one holds all of them.
    const more = ["--proxy-idle-timeout", "1h", "--score-slots", String(STREAMS)];
    const { port, command } = infermesh(upstreamPort, "requests", 1, ...more);
    const wanted = Math.max(IDLE, STREAMS * 2) + SPARE_DESCRIPTORS;
    // The limit may be low where this runs; raising it is only allowed up to the hard one.
    const raised = ["sh", "-c", `ulimit -n ${wanted} 2>/dev/null; exec "$@"`, "sh", ...command];
    const { pid } = await stage.start(PROXY_CORE, raised, name, port);
    return { port, pid };
  };

  // ---- idle connections
  const quiet = await router("router-idle", plainPort);
  load(quiet.port, CONNECTIONS, STEP_SECONDS, script);
  // Bun's own pools for sockets are grown once, by connections that go again.
  for (const socket of await visitMany(quiet.port, OPEN_AT_ONCE)) socket.terminate();
  await Bun.sleep(SETTLE_MS);
  const empty = await weigh(quiet.pid);
  const idle = await visitMany(quiet.port, IDLE);
  await Bun.sleep(SETTLE_MS);
  const full = await weigh(quiet.pid);
  if (descriptors(quiet.pid) < IDLE) throw new Error(`it holds ${descriptors(quiet.pid)} descriptors, not ${IDLE}`);
  for (const socket of idle) socket.terminate();
  await Bun.sleep(SETTLE_MS);
  const emptied = await weigh(quiet.pid);

  const each = (more: Weight, less: Weight, count: number): { share: number; resident: number } => ({
    share: rounded((more.share - less.share) / count / KIB, 2),
    resident: rounded((more.resident - less.resident) / count / KIB, 2),
  });
  const idleEach = each(full, empty, IDLE);
  const rows: Record<string, number | string | boolean>[] = [
    {
      what: "idle keep-alive connection",
      count: IDLE,
      kibEachShare: idleEach.share,
      kibEachResident: idleEach.resident,
      targetKib: IDLE_TARGET_KIB,
      met: idleEach.share <= IDLE_TARGET_KIB,
    },
  ];
  console.log(`idle: ${JSON.stringify(rows[0])}`);

  // ---- active streams
  await Bun.sleep(SETTLE_MS);
  const busy = await router("router-streams", streamPort);
  Bun.spawnSync(streamsCommand(loader, busy.port, 16, STEP_SECONDS));
  await Bun.sleep(SETTLE_MS);
  const still = await weigh(busy.pid);
  const streams = Bun.spawn(streamsCommand(loader, busy.port, STREAMS, STREAM_SECONDS), { stdout: "pipe" });
  await Bun.sleep(SETTLE_MS);
  const streamed = await weigh(busy.pid);
  const counted = JSON.parse(await new Response(streams.stdout).text()) as { chunks: number; errors: number };
  if ((await streams.exited) !== 0 || counted.errors > 0) throw new Error(`${counted.errors} streams failed`);
  const streamEach = each(streamed, still, STREAMS);
  rows.push({
    what: "active event stream",
    count: STREAMS,
    kibEachShare: streamEach.share,
    kibEachResident: streamEach.resident,
    targetKib: STREAM_TARGET_KIB,
    met: streamEach.share <= STREAM_TARGET_KIB,
  });
  console.log(`streams: ${JSON.stringify(rows[1])}`);

  // ---- growth
  const grown = await router("router-growth", plainPort);
  const steps: { requests: number; residentMb: number; shareMb: number }[] = [];
  let served = 0;
  while (served < REQUESTS) {
    const goal = ((steps.length + 1) * REQUESTS) / STEPS;
    while (served < goal) {
      const { requests, errors } = load(grown.port, CONNECTIONS, STEP_SECONDS, script);
      if (errors > 0) throw new Error(`${errors} of ${requests} requests failed`);
      served += requests;
    }
    await Bun.sleep(SETTLE_MS / 2);
    const { resident, share } = await weigh(grown.pid);
    steps.push({ requests: served, residentMb: rounded(resident / 1e6, 2), shareMb: rounded(share / 1e6, 2) });
    console.log(`${served} requests: ${(resident / 1e6).toFixed(2)} MB resident`);
  }
  // The first step is warm-up: code is compiled and buffers find their size in it.
  const [first, last] = [steps[0], steps.at(-1)];
  const between = (last?.requests ?? 0) - (first?.requests ?? 0);
  const growth = ((last?.residentMb ?? 0) - (first?.residentMb ?? 0)) * 1e6;
  await report("memory", {
    emptyMb: rounded(empty.resident / 1e6, 2),
    afterConnectionsWentMb: rounded(emptied.resident / 1e6, 2),
    rows,
    growthBytesPerRequest: between > 0 ? rounded(growth / between, 3) : null,
    steps,
  });
} finally {
  await stage.end();
}
