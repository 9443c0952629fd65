/** Targets that are spoken to in TLS, by a unix socket, and by gRPC in TLS, behind the compiled router. */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { selfSigned } from "../net/certificates.ts";
import { Bench, EXECUTABLE, inFlight, until } from "./harness.ts";
import type { Started } from "./harness.ts";

const folder = mkdtempSync(join(tmpdir(), "infermesh-upstream-"));
const bench = new Bench();
const identity = selfSigned("localhost", "IP:127.0.0.1");
const client = selfSigned("router.test");
const file = (name: string, text: string): string => {
  const path = join(folder, name);
  writeFileSync(path, text);
  return path;
};
const ca = file("ca.pem", identity.cert);
const socketPath = join(folder, "llm.sock");
const servers: { stop(force?: boolean): unknown }[] = [];
let router: Started;
let strict: Started;
let securePort = 0;

function answer(kind: string): (request: Request) => Promise<Response> {
  return async (request) => {
    if (request.method !== "POST") return new Response("ok");
    const body = (await request.json()) as { stream?: boolean };
    if (body.stream !== true) return Response.json({ from: kind });
    const events = ["one", "two"].map((text) => `data: ${text}\n\n`);
    return new Response(new Blob(events).stream(), { headers: { "content-type": "text/event-stream" } });
  };
}

beforeAll(async () => {
  const tls = { cert: identity.cert, key: identity.key };
  const secure = Bun.serve({ hostname: "127.0.0.1", port: 0, tls, fetch: answer("tls") });
  const mutual = Bun.serve({
    hostname: "127.0.0.1",
    port: 0,
    tls: { ...tls, ca: client.cert, requestCert: true, rejectUnauthorized: true },
    fetch: answer("mutual"),
  });
  const local = Bun.serve({ unix: socketPath, fetch: answer("unix") });
  servers.push(secure, mutual, local);
  securePort = secure.port ?? 0;
  const upstreams = [
    ["tls", `https://127.0.0.1:${securePort}`],
    ["named", `https://localhost:${securePort}`],
    ["mutual", `https://127.0.0.1:${mutual.port}`],
    ["unix", `unix:${socketPath}`],
  ].flatMap(([model, url]) => ["--upstream", `${model}=${url}`]);
  const shown = ["--upstream-tls-cert", file("c.pem", client.cert), "--upstream-tls-key", file("c.key", client.key)];
  router = await bench.router("--workers", "1", ...upstreams, "--upstream-tls-ca", ca, ...shown);
  strict = await bench.router("--workers", "1", "--upstream", `tls=https://127.0.0.1:${securePort}`);
});

afterAll(async () => {
  for (const server of servers) await server.stop(true);
  await bench.end();
  rmSync(folder, { recursive: true, force: true });
});

function post(at: Started, model: string, more = {}): Promise<Response> {
  return fetch(`http://${at.address("listen")}/v1/chat/completions`, {
    method: "POST",
    body: JSON.stringify({ model, messages: [], ...more }),
  });
}

describe("a target", () => {
  test.each([
    ["tls", "tls"],
    ["named", "tls"],
    ["mutual", "mutual"],
    ["unix", "unix"],
  ])("%s answers, again and again on kept connections", async (model, kind) => {
    for (let i = 0; i < 5; i++) {
      const response = await post(router, model);
      expect(response.status).toBe(200);
      expect(await response.json()).toEqual({ from: kind });
    }
    await until(async () => (await inFlight(router)) === 0);
  });

  test.each(["tls", "unix"])("%s streams", async (model) => {
    const response = await post(router, model, { stream: true });
    expect(await response.text()).toBe("data: one\n\ndata: two\n\n");
  });

  test("whose certificate nobody here trusts is not spoken to", async () => {
    const response = await post(strict, "tls");
    expect(response.status).toBe(502);
    const { error } = (await response.json()) as { error: { code: string; message: string } };
    expect(error.code).toBe("upstream_failed");
    expect(error.message).toContain("certificate");
  });
});

const PORTS = ["listen", "api", "metrics", "gossip"].flatMap((port) => [`--${port}`, "127.0.0.1:0"]);

test.each([
  [["--tls-cert", "/nonexistent.pem"], "tls.cert: /nonexistent.pem: can't be read"],
  [["--tls-cert", ca], "tls.key: a file is needed"],
  [["--tls-key", ca], "tls.cert: a certificate's file is needed"],
  [["--upstream-tls-ca", join(folder, "nothing.pem")], "upstreamTls.ca"],
  [["--store", "etcds://127.0.0.1:1", "--store-ca", "/no.pem"], "control.storeCa (--store-ca): /no.pem: can't be read"],
  [["--store", "etcds://127.0.0.1:1", "--store-cert", ca], "control.storeKey (--store-key): a file is needed"],
  [["--store", "etcd://127.0.0.1:1", "--store-ca", ca], "control.storeCa (--store-ca) is for TLS"],
])("%p is refused with the file at fault", async (flags, expected) => {
  const failing = Bun.spawn([EXECUTABLE, "router", ...PORTS, ...flags], {
    stdout: "pipe",
    stderr: "pipe",
  });
  const [code, stderr] = await Promise.all([failing.exited, failing.stderr.text()]);
  expect(stderr).toContain(expected);
  expect(code).toBe(2);
});
