import { afterAll, describe, expect, test } from "bun:test";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { RuntimeClient, transport } from "../../src/telemetry/runtime-client.ts";
import { RuntimeCredentials, RuntimeDialers } from "../../src/telemetry/runtime-credentials.ts";
import { AUTO, type RuntimeSpec } from "../../src/telemetry/runtime-spec.ts";
import { selfSigned } from "../net/certificates.ts";
import { answerOf, scriptedServer } from "./scripted-server.ts";

const folder = mkdtempSync(join(tmpdir(), "infermesh-client-"));
const stops: (() => unknown)[] = [() => rmSync(folder, { recursive: true })];
afterAll(() => Promise.all(stops.map((stop) => stop())));

const LIMITS = { timeoutMs: 5000, bytesMax: 1 << 20 };

function clientOf(port: number, spec: Partial<RuntimeSpec> = {}, tls = false): RuntimeClient {
  const whole = { ...AUTO, ...spec };
  const client = new RuntimeClient({
    urls: { api: { protocol: "http", host: "127.0.0.1", port, tls, base: "" } },
    credentials: new RuntimeCredentials(whole),
    dialers: new RuntimeDialers(transport, whole, "test"),
  });
  stops.push(() => client.stop());
  return client;
}

function file(name: string, text: string): string {
  const path = join(folder, name);
  writeFileSync(path, text);
  return path;
}

test("each port is shown its own key, and the others theirs", async () => {
  const served = Bun.serve({
    hostname: "127.0.0.1",
    port: 0,
    fetch: (request) => new Response(request.headers.get("authorization")),
  });
  stops.push(() => served.stop(true));
  const spec = {
    ...AUTO,
    apiKey: { kind: "value", text: "api" },
    managementKey: { kind: "value", text: "own" },
  } as const;
  const url = { protocol: "http", host: "127.0.0.1", port: served.port ?? 0, tls: false, base: "" } as const;
  const client = new RuntimeClient({
    urls: { api: url, metrics: { ...url }, management: { ...url } },
    credentials: new RuntimeCredentials(spec),
    dialers: new RuntimeDialers(transport, spec, "test"),
  });
  stops.push(() => client.stop());
  const shown: Record<string, string> = {};
  for (const port of ["api", "metrics", "management"] as const) {
    const asked = await client.ask({ method: "GET", port, path: "/x" }, LIMITS);
    shown[port] = asked.ok ? Buffer.from(asked.answer.body).toString() : asked.message;
  }
  expect(shown).toEqual({ api: "Bearer api", metrics: "Bearer api", management: "Bearer own" });
});

describe("a client in TLS", () => {
  const server = selfSigned("localhost", "IP:127.0.0.1");
  const own = selfSigned("agent");
  const served = Bun.serve({
    hostname: "127.0.0.1",
    port: 0,
    tls: { ...server, ca: own.cert, requestCert: true, rejectUnauthorized: true },
    fetch: (request) => new Response(request.headers.get("authorization")),
  });
  stops.push(() => served.stop(true));
  const get = { method: "GET", port: "api", path: "/x" } as const;
  const ca = file("ca.pem", server.cert);
  const [cert, key] = [file("cert.pem", own.cert), file("key.pem", own.key)];

  test("shows its certificate and its key to a server that it trusts", async () => {
    const client = clientOf(served.port ?? 0, { ca, cert, key, bearer: { kind: "value", text: "t" } }, true);
    const asked = await client.ask(get, LIMITS);
    expect(asked.ok && Buffer.from(asked.answer.body).toString()).toBe("Bearer t");
  });

  test("asks nobody whom it does not trust, and is not let in without its own", async () => {
    const stranger = await clientOf(served.port ?? 0, { cert, key }, true).ask(get, LIMITS);
    expect(stranger).toMatchObject({ ok: false, kind: "unreachable" });
    const bare = await clientOf(served.port ?? 0, { ca }, true).ask(get, LIMITS);
    expect(bare.ok).toBe(false);
  });
});

test("what is asked is a whole request, with its body, and with no line that its path could add", async () => {
  const server = await scriptedServer((_, socket) => socket.write(answerOf("ok")));
  stops.push(() => server.stop());
  const client = clientOf(server.port, { headers: { "x-tenant": { kind: "value", text: "a" } } });
  await client.ask({ method: "POST", port: "api", path: "/v1/x?y=1", body: '{"é":1}' }, LIMITS);
  const [head = "", body] = (server.requests[0] ?? "").split("\r\n\r\n");
  expect(head.split("\r\n")).toEqual([
    "POST /v1/x?y=1 HTTP/1.1",
    `host: 127.0.0.1:${server.port}`,
    expect.stringMatching(/^user-agent: infermesh-agent\//),
    "accept: */*",
    "accept-encoding: identity",
    "content-length: 8",
    "content-type: application/json",
    "x-tenant: a",
  ]);
  expect(Buffer.from(body ?? "", "latin1").toString()).toBe('{"é":1}');
  for (const path of ["/a b", "/a\r\nx: y", "a", "/é"]) {
    expect(await client.ask({ method: "GET", port: "api", path }, LIMITS)).toMatchObject({ ok: false, kind: "broken" });
  }
  expect(server.requests.length).toBe(1);
  expect(await client.ask({ method: "GET", port: "grpc", path: "/" }, LIMITS)).toMatchObject({ kind: "unreachable" });
});

test("a long call beside the looks ends early when it is called off", async () => {
  const server = await scriptedServer((request, socket) => {
    if (request.startsWith("GET")) socket.write(answerOf("ok"));
  });
  stops.push(() => server.stop());
  const client = clientOf(server.port);
  const abort = new AbortController();
  const load = client.askApart(
    { method: "POST", port: "api", path: "/load" },
    { ...LIMITS, timeoutMs: 60_000 },
    abort.signal,
  );
  expect(await client.ask({ method: "GET", port: "api", path: "/" }, LIMITS)).toMatchObject({ ok: true });
  while (server.requests.length < 2) await Bun.sleep(5);
  abort.abort();
  expect(await load).toMatchObject({ ok: false, message: "it was called off" });
});

describe("what a server says of the key that it was shown", () => {
  const key = { kind: "value", text: "sk-very-secret-0123456789" } as const;
  const login = { kind: "value", text: "ann:pass-word" } as const;
  const get = { method: "GET", port: "api", path: "/x" } as const;

  /** The body that the adapter gets of a server which repeats its request's head. */
  async function echoed(spec: Partial<RuntimeSpec>, status: string, body?: string): Promise<string> {
    const server = await scriptedServer((request, socket) => {
      const text = body ?? request;
      socket.write(`HTTP/1.1 ${status}\r\ncontent-length: ${Buffer.byteLength(text)}\r\n\r\n${text}`);
    });
    stops.push(() => server.stop());
    const asked = await clientOf(server.port, spec).ask(get, LIMITS);
    return asked.ok ? Buffer.from(asked.answer.body).toString() : asked.message;
  }

  test("is told on without the key, be it sent as it is or encoded", async () => {
    const denied = await echoed({ bearer: key }, "401 Unauthorized");
    expect(denied).toContain("authorization: (hidden)");
    expect(denied).not.toContain(key.text);
    const basic = await echoed({ basic: login }, "403 Forbidden");
    expect(basic).not.toContain(Buffer.from(login.text).toString("base64"));
    expect(await echoed({ basic: login }, "403 Forbidden", "no user ann:pass-word here")).toBe("no user (hidden) here");
    expect(await echoed({ headers: { "x-key": key } }, "500 Oops", `bad key ${key.text}.`)).toBe("bad key (hidden).");
  });

  test("stays as it is where it is fine, or says nothing of it", async () => {
    expect(await echoed({ bearer: key }, "200 OK", "all is well")).toBe("all is well");
    expect(await echoed({ bearer: key }, "404 Not Found", "no \u{1F5DD} here")).toBe("no \u{1F5DD} here");
  });
});
