/**
 * Clients as they are, through the compiled router: curl in its usual ways, load generators, a reader of event streams.
 * The upstream is this process's own, so that what reached it can be looked at. The official openai client has a file of
 * its own (openai.test.ts), as have HTTP/2 and WebSocket clients.
 */
import { afterAll, beforeAll, beforeEach, describe, expect, test } from "bun:test";
import { join } from "node:path";
import { Bench, inFlight, until } from "./harness.ts";
import type { Started } from "./harness.ts";
import { readEvents } from "./event-source.ts";

const MODEL = "m";
const CHAT = JSON.stringify({ model: MODEL, messages: [{ role: "user", content: "hello" }] });
const STREAM = JSON.stringify({ model: MODEL, messages: [], stream: true });
/** Longer than what curl sends without asking first (1 MiB), and than what the router holds for a second try. */
const LONG = JSON.stringify({ model: MODEL, prompt: "z".repeat(2 << 20) });
const EVENTS = [
  "\ufeff: a comment\n\n",
  "retry: 250\nevent: token\nid: 1\ndata: one\n\n",
  "event: token\r\nid: 2\r\ndata: two\r\ndata: lines\r\n\r\n",
  "data: thr",
  "ee\n",
  "\n",
  "data:\u00e4\u{1f600}\n\n",
  "data: [DONE]\n\n",
];

interface Seen {
  readonly path: string;
  readonly headers: Headers;
  readonly body: string;
}

const bench = new Bench();
const seen: Seen[] = [];
let upstream: ReturnType<typeof Bun.serve>;
let router: Started;
let base: string;

async function* eventStream(endless: boolean): AsyncGenerator<Uint8Array> {
  const encoder = new TextEncoder();
  for (const text of EVENTS) {
    yield encoder.encode(text);
    await Bun.sleep(2);
  }
  while (endless) {
    yield encoder.encode("data: more\n\n");
    await Bun.sleep(5);
  }
}

beforeAll(async () => {
  upstream = Bun.serve({
    hostname: "127.0.0.1",
    port: 0,
    idleTimeout: 0,
    async fetch(request) {
      const { pathname } = new URL(request.url);
      const body = await request.text();
      // The router's own looks at its target are no client's.
      if (pathname !== "/health") seen.push({ path: pathname, headers: request.headers, body });
      if (pathname === "/v1/endless" || body.includes('"stream":true') || request.method === "GET") {
        const events = eventStream(pathname === "/v1/endless");
        return new Response(events, { headers: { "content-type": "text/event-stream" } });
      }
      if (pathname === "/v1/packed") {
        const packed = Bun.gzipSync(Buffer.from(body));
        return new Response(packed, { headers: { "content-encoding": "gzip", "content-type": "application/json" } });
      }
      return Response.json({ length: body.length, encoding: request.headers.get("transfer-encoding") });
    },
  });
  router = await bench.router("--workers", "2", "--upstream", `${MODEL}=http://127.0.0.1:${upstream.port}`);
  base = `http://${router.address("listen")}`;
});

beforeEach(() => {
  seen.length = 0;
});

afterAll(async () => {
  await upstream.stop(true);
  await bench.end();
});

interface Run {
  readonly code: number;
  readonly out: string;
  readonly error: string;
}

/** Whether a program is not there; says so. */
function missing(program: string): boolean {
  const absent = Bun.which(program) === null;
  if (absent) console.log(`skipped: ${program} is not installed (scripts/install-peers.sh)`);
  return absent;
}

async function run(command: string[], input?: string): Promise<Run> {
  const child = Bun.spawn(command, {
    stdin: input === undefined ? "ignore" : Buffer.from(input),
    stdout: "pipe",
    stderr: "pipe",
  });
  // Not by text(), which would take a byte order mark away.
  const read = async (from: ReadableStream<Uint8Array>): Promise<string> =>
    Buffer.from(await new Response(from).arrayBuffer()).toString();
  const [out, error] = await Promise.all([read(child.stdout), read(child.stderr)]);
  return { code: await child.exited, out, error };
}

const JSON_TYPE = ["--header", "content-type: application/json"];
const curl = (args: string[], input?: string): Promise<Run> =>
  run(["curl", "--silent", "--show-error", "--max-time", "20", ...args], input);

describe.skipIf(missing("curl"))("curl", () => {
  test("posts, and uses its connection for the next request", async () => {
    const request = [...JSON_TYPE, "--data", CHAT, "--write-out", " %{http_code} %{num_connects}\n"];
    const { out, code } = await curl([
      ...request,
      `${base}/v1/chat/completions`,
      "--next",
      ...request,
      `${base}/v1/completions`,
    ]);
    expect(code).toBe(0);
    const answer = `{"length":${CHAT.length},"encoding":null}`;
    expect(out.split("\n").slice(0, 2)).toEqual([`${answer} 200 1`, `${answer} 200 0`]);
    expect(seen.map(({ path }) => path)).toEqual(["/v1/chat/completions", "/v1/completions"]);
  });

  test("asks before it sends a long body, and sends all of it", async () => {
    const file = join(bench.dataDir, "long.json");
    await Bun.write(file, LONG);
    const { out, error } = await curl([
      "--verbose",
      ...JSON_TYPE,
      "--data-binary",
      `@${file}`,
      `${base}/v1/completions`,
    ]);
    expect(error).toMatch(/^> Expect: 100-continue/m);
    expect(error).toMatch(/^< HTTP\/1\.1 100 Continue/m);
    expect(JSON.parse(out)).toHaveProperty("length", LONG.length);
    expect(seen[0]?.body === LONG).toBe(true);
    expect(seen[0]?.headers.has("expect")).toBe(false);
  });

  test.each([
    ["short", CHAT],
    ["long", LONG],
  ])("sends a %s body in chunks", async (_name, body) => {
    const chunked = ["--header", "transfer-encoding: chunked", ...JSON_TYPE, "--data-binary", "@-"];
    const { out } = await curl([...chunked, `${base}/v1/completions`], body);
    expect(JSON.parse(out)).toHaveProperty("length", body.length);
    expect(seen[0]?.body === body).toBe(true);
  });

  test("sends a form with a file", async () => {
    const file = join(bench.dataDir, "speech.wav");
    await Bun.write(file, new Uint8Array(300_000).fill(7));
    const form = ["--form", `model=${MODEL}`, "--form", `file=@${file}`, `${base}/v1/audio/transcriptions`];
    expect((await curl([...form, "--write-out", "%{http_code}", "--output", "/dev/null"])).out).toBe("200");
    expect(seen[0]?.headers.get("content-type")).toStartWith("multipart/form-data");
    expect(seen[0]?.body.length).toBeGreaterThan(300_000);
  });

  test("reads a stream as it comes", async () => {
    const { out } = await curl(["--no-buffer", ...JSON_TYPE, "--data", STREAM, `${base}/v1/chat/completions`]);
    expect(out).toBe(EVENTS.join(""));
  });

  test("in HTTP/1.0 gets the same stream, without chunks", async () => {
    const { out, error } = await curl([
      "--http1.0",
      "--verbose",
      ...JSON_TYPE,
      "--data",
      STREAM,
      `${base}/v1/completions`,
    ]);
    expect(out).toBe(EVENTS.join(""));
    expect(error).not.toMatch(/^< transfer-encoding/im);
    expect(error).toMatch(/^< connection: close/im);
  });

  test("asks for a head alone", async () => {
    const { out, code } = await curl(["--head", `${base}/v1/models`]);
    expect(code).toBe(0);
    expect(out).toStartWith("HTTP/1.1 200 OK");
    expect(out.toLowerCase()).toContain("content-type: application/json");
  });

  test("unpacks what the upstream packed: codings of content are not the router's", async () => {
    const { out } = await curl(["--compressed", ...JSON_TYPE, "--data", CHAT, `${base}/v1/packed`]);
    expect(out).toBe(CHAT);
    expect(seen[0]?.headers.get("accept-encoding")).toContain("gzip");
  });

  test("offers HTTP/2 by an upgrade, and is content without", async () => {
    const { out, code } = await curl(["--http2", ...JSON_TYPE, "--data", CHAT, `${base}/v1/completions`]);
    expect(code).toBe(0);
    expect(JSON.parse(out)).toHaveProperty("length", CHAT.length);
    for (const name of ["upgrade", "http2-settings"]) expect(seen[0]?.headers.has(name)).toBe(false);
  });

  test("gives up in the middle of a stream: nothing stays in flight", async () => {
    const { code, out } = await curl(["--max-time", "1", ...JSON_TYPE, "--data", CHAT, `${base}/v1/endless`]);
    // Its code for a timeout.
    expect(code).toBe(28);
    expect(out).toContain("data: more");
    await until(async () => (await inFlight(router)) === 0);
  });

  test("sends fifty at once", async () => {
    const urls = `${base}/v1/completions?n=[1-50]`;
    const all = ["--parallel", "--parallel-max", "50", "--fail", ...JSON_TYPE, "--data", CHAT, urls];
    const { code } = await curl([...all, "--output", "/dev/null"]);
    expect(code).toBe(0);
    expect(seen).toHaveLength(50);
  });
});

describe.skipIf(missing("wrk"))("wrk", () => {
  test("counts no error", async () => {
    const script = join(bench.dataDir, "post.lua");
    const lines = ['wrk.method = "POST"', `wrk.body = '${CHAT}'`, 'wrk.headers["Content-Type"] = "application/json"'];
    await Bun.write(script, lines.join("\n"));
    const { out, code } = await run(["wrk", "-t1", "-c16", "-d1s", "-s", script, `${base}/v1/chat/completions`]);
    expect(code).toBe(0);
    expect(Number(/(\d+) requests in/.exec(out)?.[1])).toBeGreaterThan(0);
    expect(out).not.toMatch(/Socket errors|Non-2xx/);
    await until(async () => (await inFlight(router)) === 0);
  });
});

describe.skipIf(missing("h2load"))("h2load in HTTP/1.1", () => {
  test("sees every request succeed, pipelined and not", async () => {
    const file = join(bench.dataDir, "chat.json");
    await Bun.write(file, CHAT);
    for (const pipelined of ["1", "4"]) {
      const load = ["h2load", "--h1", "-n", "500", "-c", "10", "-m", pipelined, "-d", file, ...JSON_TYPE];
      const { out } = await run([...load, `${base}/v1/completions`]);
      expect(out).toMatch(/500 succeeded, 0 failed, 0 errored, 0 timeout/);
    }
  });
});

describe("a reader of event streams", () => {
  const expected = [
    { event: "token", data: "one", lastEventId: "1" },
    { event: "token", data: "two\nlines", lastEventId: "2" },
    { event: "message", data: "three", lastEventId: "2" },
    { event: "message", data: "\u00e4\u{1f600}", lastEventId: "2" },
    { event: "message", data: "[DONE]", lastEventId: "2" },
  ];

  test("hears what the upstream said, by POST", async () => {
    const headers = { "content-type": "application/json" };
    const response = await fetch(`${base}/v1/chat/completions`, { method: "POST", headers, body: STREAM });
    const reader = await readEvents(response);
    expect(reader.events).toEqual(expected);
    expect(reader.retryMs).toBe(250);
  });

  test("and by GET, as a browser's EventSource asks, with its last id as it comes again", async () => {
    const headers = { accept: "text/event-stream", "cache-control": "no-cache", "x-infermesh-model": MODEL };
    const first = await readEvents(await fetch(`${base}/v1/responses/r1`, { headers }));
    expect(first.events).toEqual(expected);
    const again = { ...headers, "last-event-id": first.lastEventId };
    await readEvents(await fetch(`${base}/v1/responses/r1`, { headers: again }));
    expect(seen.map((request) => request.headers.get("last-event-id"))).toEqual([null, "2"]);
    expect(seen[0]?.headers.get("accept")).toBe("text/event-stream");
  });

  test("hears the first event before the last is written", async () => {
    const body = JSON.stringify({ model: MODEL, messages: [] });
    const headers = { "content-type": "application/json" };
    const response = await fetch(`${base}/v1/endless`, { method: "POST", headers, body });
    const reader = response.body?.getReader();
    const heard = await reader?.read();
    expect(heard?.value?.length).toBeGreaterThan(0);
    await reader?.cancel();
    await until(async () => (await inFlight(router)) === 0);
  });
});
