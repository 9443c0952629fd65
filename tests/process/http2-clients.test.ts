/**
 * HTTP/2 clients as they are, through the compiled router: curl by prior knowledge and by ALPN, nghttp, h2load, and Node's
 * own client; in front of an upstream that speaks HTTP/1.1, and, for gRPC, of one that speaks HTTP/2.
 */
import { afterAll, beforeAll, beforeEach, describe, expect, test } from "bun:test";
import { mkdirSync } from "node:fs";
import { connect, constants } from "node:http2";
import type { ClientHttp2Session, IncomingHttpHeaders } from "node:http2";
import { join } from "node:path";
import type { Subprocess } from "bun";
import { selfSigned } from "../net/certificates.ts";
import { freePort } from "../ports.ts";
import { Bench, inFlight, until } from "./harness.ts";
import type { Started } from "./harness.ts";

const MODEL = "m";
const CALLS = "calls";
const CHAT = JSON.stringify({ model: MODEL, messages: [{ role: "user", content: "hello" }] });
const STREAM = JSON.stringify({ model: MODEL, messages: [], stream: true });
const LONG = JSON.stringify({ model: MODEL, prompt: "z".repeat(3 << 20) });
const EVENTS = ["data: one\n\n", "data: two\n\n", "data: [DONE]\n\n"];
/** A message of 64 bytes behind gRPC's prefix. */
const MESSAGE = Buffer.concat([Buffer.from([0, 0, 0, 0, 64]), Buffer.alloc(64, "m")]);
const METHOD_PATH = "/t.Echo/Unary";

const bench = new Bench();
const seen: { path: string; headers: Headers; body: string }[] = [];
let upstream: ReturnType<typeof Bun.serve>;
let grpc: Subprocess | null = null;
let router: Started;
let base: string;

function missing(...programs: string[]): boolean {
  const absent = programs.filter((program) => Bun.which(program) === null);
  if (absent.length > 0) console.log(`skipped: ${absent.join(", ")} not installed (scripts/install-peers.sh)`);
  return absent.length > 0;
}

/** Whether this curl can't speak HTTP/2; says so. */
function curlLacksHttp2(): boolean {
  if (missing("curl")) return true;
  const lacks = !/^Features:.*\bHTTP2\b/m.test(Bun.spawnSync(["curl", "--version"]).stdout.toString());
  if (lacks) console.log("skipped: this curl was built without HTTP/2");
  return lacks;
}

beforeAll(async () => {
  upstream = Bun.serve({
    hostname: "127.0.0.1",
    port: 0,
    idleTimeout: 0,
    async fetch(request) {
      const { pathname } = new URL(request.url);
      const body = await request.text();
      // The router itself asks how it is.
      if (pathname !== "/health") seen.push({ path: pathname, headers: request.headers, body });
      const endless = pathname === "/v1/endless";
      if (!endless && !body.includes('"stream":true')) return Response.json({ length: body.length });
      const events = async function* (): AsyncGenerator<string> {
        yield* EVENTS;
        while (endless) {
          yield "data: more\n\n";
          await Bun.sleep(5);
        }
      };
      return new Response(events(), { headers: { "content-type": "text/event-stream" } });
    },
  });
  const upstreams = ["--upstream", `${MODEL}=http://127.0.0.1:${upstream.port}`];
  if (Bun.which("nghttpd") !== null) {
    const port = freePort();
    const documents = join(bench.dataDir, "documents");
    mkdirSync(join(documents, "t.Echo"), { recursive: true });
    await Bun.write(join(documents, METHOD_PATH), MESSAGE);
    await Bun.write(join(bench.dataDir, "message"), MESSAGE);
    const where = ["--no-tls", "--address", "127.0.0.1", "--htdocs", documents, String(port)];
    grpc = Bun.spawn(["nghttpd", "--trailer", "grpc-status: 0", ...where], { stdout: "ignore", stderr: "ignore" });
    upstreams.push("--upstream", `${CALLS}=grpc://127.0.0.1:${port}`);
  }
  router = await bench.router("--workers", "1", ...upstreams);
  base = `http://${router.address("listen")}`;
});

beforeEach(() => {
  seen.length = 0;
});

afterAll(async () => {
  grpc?.kill();
  await upstream.stop(true);
  await bench.end();
});

async function run(command: string[]): Promise<{ code: number; out: string; error: string }> {
  const child = Bun.spawn(command, { stdin: "ignore", stdout: "pipe", stderr: "pipe" });
  const [out, error] = await Promise.all([new Response(child.stdout).text(), new Response(child.stderr).text()]);
  return { code: await child.exited, out, error };
}

const JSON_TYPE = ["--header", "content-type: application/json"];

describe.skipIf(curlLacksHttp2())("curl by prior knowledge", () => {
  const curl = (...args: string[]) =>
    run(["curl", "--http2-prior-knowledge", "--silent", "--show-error", "--max-time", "20", ...args]);

  test("lists models", async () => {
    const { out } = await curl("--write-out", " %{http_code} %{http_version}", `${base}/v1/models`);
    expect(out).toContain(`"id":"${MODEL}"`);
    expect(out).toEndWith(" 200 2");
  });

  test("posts, and is answered by an upstream of HTTP/1.1", async () => {
    const { out } = await curl(
      ...JSON_TYPE,
      "--data",
      CHAT,
      "--write-out",
      " %{http_version}",
      `${base}/v1/completions`,
    );
    expect(out).toBe(`{"length":${CHAT.length}} 2`);
    expect(seen[0]?.path).toBe("/v1/completions");
    expect(seen[0]?.headers.get("x-forwarded-for")).toBe("127.0.0.1");
    expect(seen[0]?.body).toBe(CHAT);
  });

  test("sends megabytes, as far as the windows let it", async () => {
    const file = join(bench.dataDir, "long.json");
    await Bun.write(file, LONG);
    const { out } = await curl(...JSON_TYPE, "--data-binary", `@${file}`, `${base}/v1/completions`);
    expect(JSON.parse(out)).toEqual({ length: LONG.length });
    expect(seen[0]?.body === LONG).toBe(true);
  });

  test("reads a stream", async () => {
    const { out } = await curl("--no-buffer", ...JSON_TYPE, "--data", STREAM, `${base}/v1/chat/completions`);
    expect(out).toBe(EVENTS.join(""));
  });

  test("asks for a head alone", async () => {
    const { out, code } = await curl("--head", `${base}/v1/models`);
    expect(code).toBe(0);
    expect(out).toStartWith("HTTP/2 200");
  });

  test("is told of an unknown model", async () => {
    const body = JSON.stringify({ model: "nobody" });
    const { out } = await curl(...JSON_TYPE, "--data", body, "--write-out", " %{http_code}", `${base}/v1/completions`);
    expect(out).toContain('"model_not_found"');
    expect(out).toEndWith(" 404");
  });

  test("gives up in the middle of a stream: nothing stays in flight", async () => {
    const { code, out } = await curl("--max-time", "1", ...JSON_TYPE, "--data", CHAT, `${base}/v1/endless`);
    expect(code).toBe(28);
    expect(out).toContain("data: more");
    await until(async () => (await inFlight(router)) === 0);
  });
});

describe.skipIf(curlLacksHttp2())("curl by ALPN", () => {
  let secure: Started;

  beforeAll(async () => {
    const [certificate, key] = [join(bench.dataDir, "cert.pem"), join(bench.dataDir, "key.pem")];
    const made = selfSigned("localhost", "IP:127.0.0.1");
    await Bun.write(certificate, made.cert);
    await Bun.write(key, made.key);
    const tls = ["--tls-cert", certificate, "--tls-key", key];
    secure = await bench.router("--workers", "1", ...tls, "--upstream", `${MODEL}=http://127.0.0.1:${upstream.port}`);
  });

  test.each([
    ["--http2", "2"],
    ["--http1.1", "1.1"],
  ])("%s is spoken by those who offer it: HTTP/%s", async (offer, version) => {
    const url = `https://${secure.address("listen")}/v1/completions`;
    const request = ["--insecure", "--silent", "--show-error", offer, ...JSON_TYPE, "--data", CHAT];
    const { out, error } = await run(["curl", ...request, "--write-out", " %{http_version}", url]);
    expect(error).toBe("");
    expect(out).toBe(`{"length":${CHAT.length}} ${version}`);
  });
});

describe.skipIf(missing("h2load"))("h2load", () => {
  test.each([
    ["4 connections of 32 streams", "4", "32"],
    ["32 connections of one", "32", "1"],
  ])("sees every request succeed: %s", async (_name, connections, streams) => {
    const file = join(bench.dataDir, "chat.json");
    await Bun.write(file, CHAT);
    const load = ["h2load", "-n", "2000", "-c", connections, "-m", streams, "-d", file, ...JSON_TYPE];
    const { out } = await run([...load, `${base}/v1/completions`]);
    expect(out).toMatch(/2000 succeeded, 0 failed, 0 errored, 0 timeout/);
    await until(async () => (await inFlight(router)) === 0);
  });
});

describe.skipIf(missing("h2load", "nghttp", "nghttpd"))("gRPC, with nghttpd behind the router", () => {
  const fields = ["content-type: application/grpc", "te: trailers", `x-infermesh-model: ${CALLS}`];
  const headers = fields.flatMap((field) => ["--header", field]);

  test("a call ends with its trailers", async () => {
    const message = join(bench.dataDir, "message");
    const { out } = await run([
      "nghttp",
      "--verbose",
      "--null-out",
      ...headers,
      "--data",
      message,
      `${base}${METHOD_PATH}`,
    ]);
    expect(out).toContain(":status: 200");
    expect(out).toContain("grpc-status: 0");
  });

  test.each([
    ["4 connections of 32 streams", "4", "32"],
    ["32 connections of one", "32", "1"],
  ])("every call of a load succeeds: %s", async (_name, connections, streams) => {
    const message = join(bench.dataDir, "message");
    const load = ["h2load", "-n", "2000", "-c", connections, "-m", streams, "-d", message, ...headers];
    const { out } = await run([...load, `${base}${METHOD_PATH}`]);
    expect(out).toMatch(/2000 succeeded, 0 failed, 0 errored, 0 timeout/);
    await until(async () => (await inFlight(router)) === 0);
  });
});

describe("Node's own client", () => {
  let session: ClientHttp2Session;

  beforeEach(() => {
    session = connect(base);
    session.on("error", () => {});
  });

  /** One request; its answer's head and body. */
  function ask(path: string, body: string): Promise<{ headers: IncomingHttpHeaders; text: string }> {
    const { promise, resolve, reject } = Promise.withResolvers<{ headers: IncomingHttpHeaders; text: string }>();
    const stream = session.request({ ":method": "POST", ":path": path, "content-type": "application/json" });
    let headers: IncomingHttpHeaders = {};
    let text = "";
    stream.setEncoding("utf8");
    stream.on("response", (head) => {
      headers = head;
    });
    stream.on("data", (piece: string) => {
      text += piece;
    });
    stream.on("end", () => resolve({ headers, text }));
    stream.on("error", reject);
    stream.end(body);
    return promise;
  }

  test("interleaves requests of one connection", async () => {
    const answers = await Promise.all([
      ask("/v1/chat/completions", STREAM),
      ask("/v1/completions", CHAT),
      ask("/v1/completions", LONG),
      ask("/v1/chat/completions", STREAM),
    ]);
    expect(answers.map(({ headers }) => headers[":status"] as unknown)).toEqual([200, 200, 200, 200]);
    expect(answers.map(({ text }) => text)).toEqual([
      EVENTS.join(""),
      `{"length":${CHAT.length}}`,
      `{"length":${LONG.length}}`,
      EVENTS.join(""),
    ]);
    for (const { headers } of answers) expect(headers).not.toHaveProperty("connection");
    session.close();
  });

  test("cancels one stream, and the others go on", async () => {
    const endless = session.request({ ":method": "POST", ":path": "/v1/endless", "content-type": "application/json" });
    endless.end(CHAT);
    endless.on("error", () => {});
    await new Promise((resolve) => endless.once("data", resolve));
    endless.close(constants.NGHTTP2_CANCEL);
    await until(async () => (await inFlight(router)) === 0);
    expect((await ask("/v1/completions", CHAT)).text).toBe(`{"length":${CHAT.length}}`);
    session.close();
  });
});

// The last test of this file: it judges what all others left behind.
test("no worker died of it", () => {
  expect(router.lines.filter(({ msg }) => String(msg).includes("worker died"))).toEqual([]);
});
