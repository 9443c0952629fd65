/** Plain requests over HTTP/2, which the machinery of HTTP/1.1 serves. */
import { describe, expect, test } from "bun:test";
import { Handshakes } from "../../src/net/handshakes.ts";
import { openListeners } from "../../src/net/listen.ts";
import { adoptTls } from "../../src/net/tls-streams.ts";
import { clientHandlers } from "../../src/proxy/client.ts";
import { Http2Front } from "../../src/proxy/http2-front.ts";
import { ChunkScanner } from "../../src/wire/chunks.ts";
import { H2_ERROR, PREFACE } from "../../src/wire/http2-frames.ts";
import { selfSigned } from "../net/certificates.ts";
import { answer, CHAT, chunk, Client, fixtures, ok, SSE_HEAD, until } from "./harness.ts";
import { type Call, type Fields, type H2Client, http2Fixtures } from "./http2-bed.ts";

const { upstream, relay } = fixtures();
const { client } = http2Fixtures();

const head = (method: string, path: string, extra: Fields = {}): Fields => ({
  ":method": method,
  ":scheme": "http",
  ":path": path,
  ":authority": "test",
  ...extra,
});

function post(one: H2Client, body: string, extra: Fields = {}, path = "/v1/chat/completions"): Call {
  const call = one.request(head("POST", path, { "content-type": "application/json", ...extra }));
  return call.send(Buffer.from(body), true);
}

describe("what reaches the target", () => {
  test("the request as HTTP/1.1, its length told or not", async () => {
    const up = upstream(ok);
    const one = await client(relay([up.port]).port);
    await post(one, CHAT, { "content-length": String(CHAT.length), "x-request-id": "r1", te: "trailers" }).over();
    await post(one, CHAT, { "x-request-id": "r2" }).over();
    const [known, unknown] = up.requests.map((request) => request.split("\r\n"));
    expect(known).toEqual([
      "POST /v1/chat/completions HTTP/1.1",
      "host: test",
      "content-type: application/json",
      `content-length: ${CHAT.length}`,
      "x-forwarded-for: 127.0.0.1",
      "x-request-id: r1",
      "",
      CHAT,
    ]);
    expect(unknown?.slice(3, 4)).toEqual(["transfer-encoding: chunked"]);
    expect(up.requests[1]).toEndWith(`\r\n\r\n${CHAT.length.toString(16)}\r\n${CHAT}\r\n0\r\n\r\n`);
  });

  test("cookies in crumbs are one again", async () => {
    const up = upstream(ok);
    const one = await client(relay([up.port]).port);
    const fields = { ...head("POST", "/v1/chat/completions"), cookie: "a=1" };
    const call = one.request(fields);
    call.send(Buffer.from(CHAT), true);
    await call.over();
    expect(up.requests[0]).toContain("cookie: a=1\r\n");
  });

  test("nothing that could make two requests of one", async () => {
    const up = upstream(ok);
    const one = await client(relay([up.port]).port);
    for (const [name, value] of [
      ["x", "1\r\ncontent-length: 0"],
      ["transfer-encoding", "chunked"],
      ["connection", "close"],
      ["x\r\ny", "1"],
    ] as const) {
      expect((await post(one, CHAT, { [name]: value }).over()).code).toBe(H2_ERROR.protocol);
    }
    for (const path of ["/v1/chat/completions HTTP/1.1\r\nx: y", "v1/x", "/a b"]) {
      expect((await post(one, CHAT, {}, path).over()).code).toBe(H2_ERROR.protocol);
    }
    expect(up.requests).toEqual([]);
    expect((await post(one, CHAT).over()).head[":status"]).toBe("200");
  });
});

describe("what comes back", () => {
  test("status, fields without those of the hop, and the body", async () => {
    const up = upstream((socket) =>
      socket.write(answer("body", "Connection: keep-alive\r\nX-Up: 1\r\nKeep-Alive: 5\r\n", "201 Created")),
    );
    const one = await client(relay([up.port]).port);
    const call = await post(one, CHAT, { "x-request-id": "r1" }).over();
    expect(call.head).toEqual({
      ":status": "201",
      "content-type": "application/json",
      "x-up": "1",
      "content-length": "4",
      "x-request-id": "r1",
      "x-infermesh-node": "up1",
    });
    expect(call.text).toBe("body");
  });

  test("chunks, events as they come, and a body that ends with its connection", async () => {
    const up = upstream((socket, _request, nth) => {
      if (nth === 1)
        socket.write(`HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n${chunk("ab")}${chunk("c")}0\r\n\r\n`);
      else if (nth === 2) {
        socket.write(SSE_HEAD + chunk("data: 1\n\n"));
        setTimeout(() => socket.write(`${chunk("data: 2\n\n")}0\r\n\r\n`), 40);
      } else {
        socket.write("HTTP/1.1 200 OK\r\n\r\nuntil the end");
        socket.end();
      }
    });
    const one = await client(relay([up.port]).port);
    expect((await post(one, CHAT).over()).text).toBe("abc");
    const events = post(one, CHAT);
    await until(() => events.text === "data: 1\n\n");
    expect(events.ended).toBe(false);
    expect((await events.over()).text).toBe("data: 1\n\ndata: 2\n\n");
    expect((await post(one, CHAT).over()).text).toBe("until the end");
  });

  test("HEAD, and answers without a body", async () => {
    const up = upstream((socket) => socket.write("HTTP/1.1 204 No Content\r\n\r\n"));
    const one = await client(relay([up.port]).port);
    const health = await one.request(head("HEAD", "/health"), true).over();
    expect([health.head[":status"], health.text]).toEqual(["200", ""]);
    expect((await post(one, CHAT).over()).head[":status"]).toBe("204");
  });

  test("errors in OpenAI's form, listings, and unknown paths", async () => {
    const one = await client(relay([1]).port);
    const unknown = await post(one, '{"model":"zz"}').over();
    expect([unknown.head[":status"], JSON.parse(unknown.text).error.code]).toEqual(["404", "model_not_found"]);
    const list = await one.request(head("GET", "/v1/models"), true).over();
    expect(JSON.parse(list.text).data[0].id).toBe("m");
    expect((await one.request(head("GET", "/nothing"), true).over()).head[":status"]).toBe("404");
    expect((await one.request({ ":method": "CONNECT", ":authority": "x:1" }, true).over()).head[":status"]).toBe("501");
    const refused = await post(one, CHAT).over();
    expect(refused.head[":status"]).toBe("502");
  });

  test("a head that is too large: 431", async () => {
    const one = await client(relay([1]).port);
    const large = await post(one, CHAT, { a: "x".repeat(40_000), b: "y".repeat(30_000) }).over();
    expect(large.head[":status"]).toBe("431");
    // Within the limit of HTTP/2 and beyond that of HTTP/1.1.
    expect((await post(one, CHAT, { a: "x".repeat(40_000) }).over()).head[":status"]).toBe("431");
  });

  test("a body that is too large: 413, and the connection goes on", async () => {
    const up = upstream(ok);
    const one = await client(relay([up.port], {}, 1000).port);
    const large = post(one, `{"model":"m","x":"${"y".repeat(2000)}"}`);
    expect((await large.over()).head[":status"]).toBe("413");
    expect((await post(one, CHAT).over()).head[":status"]).toBe("200");
  });

  test("a stream that breaks", async () => {
    const up = upstream((socket, _request, nth) => {
      if (nth === 1) socket.write(SSE_HEAD + chunk("data: 1\n\n"));
      else socket.write("HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\npart");
      setTimeout(() => socket.terminate(), 20);
    });
    const router = relay([up.port]);
    const one = await client(router.port);
    const events = await post(one, CHAT).over();
    expect([events.ended, events.text]).toEqual([true, expect.stringMatching(/^data: 1\n\ndata: \{"error"/)]);
    const cut = await post(one, CHAT).over();
    expect(cut.code).toBe(H2_ERROR.internal);
    expect(router.inFlight).toBe(0);
  });
});

describe("the client", () => {
  test("that resets its stream is gone: the target's work is cancelled", async () => {
    const up = upstream(() => {});
    const router = relay([up.port]);
    const one = await client(router.port);
    const call = post(one, CHAT);
    await until(() => up.requests.length === 1);
    call.reset();
    await until(() => up.open === 0 && router.inFlight === 0);
    expect([...router.stats.requests(0)]).toEqual([["499", 1]]);
  });

  test("whose connection goes", async () => {
    const up = upstream(() => {});
    const router = relay([up.port]);
    const one = await client(router.port);
    for (let i = 0; i < 5; i++) post(one, CHAT);
    await until(() => up.requests.length === 5);
    one.cut();
    await until(() => up.open === 0 && router.inFlight === 0);
  });

  test("many requests at once, in any order", async () => {
    const up = upstream((socket, request) => {
      const n = Number(/"n":(\d+)/.exec(request)?.[1]);
      setTimeout(() => socket.write(answer(String(n))), (7 * n) % 30);
    });
    const one = await client(relay([up.port]).port);
    const calls = await Promise.all(Array.from({ length: 60 }, (_, n) => post(one, `{"model":"m","n":${n}}`).over()));
    expect(calls.map(({ text }) => Number(text))).toEqual(Array.from({ length: 60 }, (_, n) => n));
  });

  test("a large body and a large answer pass through small windows", async () => {
    const up = upstream((socket, request) => socket.write(answer("z".repeat(request.length))));
    const one = await client(relay([up.port]).port);
    const body = `{"model":"m","x":"${"y".repeat(900_000)}"}`;
    const call = await post(one, body, { "content-length": String(body.length) }).over();
    expect(call.text.length).toBeGreaterThan(900_000);
  });

  test("a body in frames of one byte passes a target that reads slowly", async () => {
    const body = `{"model":"m","x":"${Buffer.alloc(20_000, "0123456789").toString()}"}`;
    const up = upstream((socket, request) => socket.write(answer(String(request.length))));
    const router = relay([up.port], { replayBytes: 1024 });
    const one = await client(router.port);
    const call = one.request(head("POST", "/v1/chat/completions", { "content-type": "application/json" }));
    const { connection } = one;
    const all = Buffer.from(body);
    for (let at = 0; at < all.length; at++) connection.sendBody(call.stream!, all, at, at + 1, false);
    call.send(Buffer.alloc(0), true);
    await call.over();
    const sent = Buffer.from(up.requests[0]!);
    const chunks = new ChunkScanner();
    chunks.push(sent, sent.indexOf("\r\n\r\n") + 4, sent.length);
    let arrived = "";
    for (let i = 0; i < chunks.spanCount; i++) {
      arrived += sent.toString("latin1", chunks.spans[i * 2], chunks.spans[i * 2 + 1]);
    }
    expect(arrived === body).toBe(true);
    expect(call.head[":status"]).toBe("200");
  });

  test("that takes nothing stops its target, and goes on where it stopped", async () => {
    const size = 8_000_000;
    let sent = 0;
    const up = upstream((socket) => {
      socket.write(`HTTP/1.1 200 OK\r\ncontent-length: ${size}\r\n\r\n`);
      const pump = (): void => {
        while (sent < size) {
          const taken = socket.write(Buffer.alloc(Math.min(65_536, size - sent), "p"));
          if (taken <= 0) break;
          sent += taken;
        }
        if (sent < size) setTimeout(pump, 5);
      };
      pump();
    });
    const one = await client(relay([up.port]).port);
    const call = post(one, CHAT);
    call.consumes = false;
    await until(() => call.bytes.length === 65_535);
    await Bun.sleep(100);
    expect(sent).toBeLessThan(size);
    call.consumes = true;
    call.consume(65_535);
    await call.over();
    expect(call.bytes.length).toBe(size);
  });

  test("a request that the target reads slowly is held back", async () => {
    const up = upstream((socket) => socket.pause(), true);
    const one = await client(relay([up.port], { replayBytes: 1024 }, 64 << 20).port);
    const call = one.request(head("POST", "/v1/chat/completions", { "content-type": "application/json" }));
    call.send(Buffer.from('{"model":"m","x":"'));
    for (let i = 0; call.isWritable && i < 200; i++) {
      call.send(Buffer.alloc(65_536, "y"));
      await Bun.sleep(1);
    }
    await Bun.sleep(50);
    expect(call.isWritable).toBe(false);
    call.reset();
  });
});

describe("an answer that waits for its client's window", () => {
  /** A request that is refused before its body came; its answer is longer than the window. */
  async function refused(consumes: boolean): Promise<Call> {
    const one = await client(relay([1], { streamTimeoutMs: 200 }).port, { streamWindowBytes: 50 });
    const call = one.request(head("POST", "/nothing", { "content-length": "1000" }));
    call.consumes = consumes;
    await until(() => call.bytes.length === 50);
    return call;
  }

  test("ends its stream once it is taken: the client need not go on", async () => {
    const call = await refused(false);
    call.consumes = true;
    call.consume(50);
    await until(() => call.code !== null);
    expect([call.code, call.head[":status"], call.ended]).toEqual([H2_ERROR.none, "404", true]);
    expect(call.bytes.length).toBe(Number(call.head["content-length"]));
  });

  test("is given up when it is not taken", async () => {
    const call = await refused(false);
    await until(() => call.code !== null);
    expect([call.code, call.ended]).toEqual([H2_ERROR.internal, false]);
  });

  test("is not waited for where its head was too large", async () => {
    const one = await client(relay([1]).port, { streamWindowBytes: 50 });
    const wide = Object.fromEntries(["a", "b", "c", "d"].map((name) => [`x-${name}`, "y".repeat(20_000)]));
    const call = one.request(head("GET", "/v1/models", wide), true);
    call.consumes = false;
    await until(() => call.code !== null);
    expect(call.head[":status"]).toBe("431");
  });
});

describe("the router's own answers", () => {
  const LARGE = Object.fromEntries(["a", "b", "c", "d"].map((name) => [`x-${name}`, "y".repeat(20_000)]));
  const ID = { "x-request-id": "my-id" };

  /** Fields of an answer over HTTP/1.1, in order; those of its hop are left out. */
  function fieldsOf(text: string): [string, string][] {
    const [start = "", ...lines] = text.slice(0, text.indexOf("\r\n\r\n")).split("\r\n");
    const fields = lines.map((line) => line.split(": ") as [string, string]);
    return [[":status", start.split(" ")[1] ?? ""], ...fields.filter(([name]) => name !== "connection")];
  }

  /** [what, method, path, fields, body, status] */
  const CASES: readonly (readonly [string, string, string, Fields, string, number])[] = [
    ["a head larger than HTTP/2 takes", "GET", "/v1/models", { ...ID, ...LARGE }, "", 431],
    ["a head larger than HTTP/1.1 takes", "GET", "/v1/models", { ...ID, "x-a": "y".repeat(40_000) }, "", 431],
    ["a path that leads elsewhere", "GET", "/v1/../x", ID, "", 400],
    ["a wish that is none", "POST", "/v1/chat/completions", { ...ID, "x-infermesh-priority": "9" }, CHAT, 400],
    ["a path that there is not", "GET", "/nothing", ID, "", 404],
    ["a method that there is not", "DELETE", "/v1/chat/completions", ID, "", 405],
    ["a body that is too large", "POST", "/v1/chat/completions", { ...ID, "content-length": "9999999" }, "", 413],
    ["a model that there is not", "POST", "/v1/chat/completions", ID, '{"model":"zz"}', 404],
    ["a listing", "GET", "/v1/models", ID, "", 200],
    ["a listing that is not to be sent", "HEAD", "/v1/models", { ...ID, ...LARGE }, "", 431],
  ];
  test.each(CASES)("%s: as over HTTP/1.1", async (_what, method, path, fields, body, status) => {
    const security = { headers: "strict", hstsMs: 0, hideServer: true } as const;
    const router = relay([1], { content: { security } });
    const one = await client(router.port);
    const call = one.request(head(method, path, fields), body === "" && fields["content-length"] === undefined);
    if (body !== "") call.send(Buffer.from(body), true);
    await call.over();
    const lines = Object.entries(fields).map(([name, value]) => `${name}: ${value}\r\n`);
    const length = body === "" ? "" : `content-length: ${body.length}\r\n`;
    const raw = await Client.open(router.port);
    raw.send(`${method} ${path} HTTP/1.1\r\nhost: test\r\nconnection: close\r\n${lines.join("")}${length}\r\n${body}`);
    const text = await raw.end();
    const expected = fieldsOf(text);
    // Whose words the limit is told in differs, as the limit does.
    const isSame = (name: string): boolean => fields["x-d"] === undefined || name !== "content-length";
    expect(Object.entries(call.head).filter(([name]) => isSame(name))).toEqual(
      expected.filter(([name]) => isSame(name)),
    );
    expect(call.head).toMatchObject({ ":status": String(status), "x-request-id": "my-id" });
    expect(call.head).toMatchObject({ "x-frame-options": "DENY", "x-content-type-options": "nosniff" });
    if (isSame("content-length")) expect(call.text).toBe(text.slice(text.indexOf("\r\n\r\n") + 4));
    expect(call.text === "").toBe(method === "HEAD");
  });

  test("one without an id of its client's gets one", async () => {
    const one = await client(relay([1]).port);
    const call = await one.request(head("GET", "/v1/models", LARGE), true).over();
    expect(call.head["x-request-id"]).toMatch(/^[0-9a-f]{16}$/);
  });
});

describe("the connection", () => {
  test("its first bytes may come one by one", async () => {
    const router = relay([1]);
    const raw = await Client.open(router.port);
    for (const byte of PREFACE) {
      raw.send(Uint8Array.of(byte));
      await Bun.sleep(0);
    }
    raw.send(Buffer.from("000000040000000000", "hex"));
    // Our settings, with their acknowledgement of the client's.
    await raw.until((text) => text.includes("\0\0\0\x04\x01\0\0\0\0"));
    raw.leave();
  });

  test("what only begins like it is HTTP/1.1", async () => {
    const router = relay([1]);
    for (const text of [
      "P",
      "PR",
      "POST /nothing HTTP/1.1\r\nhost: x\r\nconnection: close\r\ncontent-length: 0\r\n\r\n",
    ]) {
      const raw = await Client.open(router.port);
      raw.send(text);
      if (text.length > 2) expect(await raw.end()).toStartWith("HTTP/1.1 404");
      else raw.leave();
    }
    const raw = await Client.open(router.port);
    raw.send("PRI");
    await Bun.sleep(20);
    raw.send("NT / HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n");
    expect(await raw.end()).toStartWith("HTTP/1.1 405");
  });

  test("a client that says no more than its preface is closed, one without requests later", async () => {
    const router = relay([1], { headTimeoutMs: 100, idleTimeoutMs: 200 });
    const raw = await Client.open(router.port);
    raw.send(PREFACE);
    await raw.end();
    const one = await client(router.port);
    await until(() => one.closed);
    expect(one.isAway).toBe(true);
  });

  test("that drains ends its requests first", async () => {
    const up = upstream((socket) => setTimeout(() => socket.write(answer("late")), 100));
    const router = relay([up.port]);
    const one = await client(router.port);
    const call = post(one, CHAT);
    await until(() => up.requests.length === 1);
    router.context.draining = true;
    await until(() => one.isAway);
    expect((await call.over()).text).toBe("late");
    await until(() => one.closed);
    await until(() => router.connections.size === 0);
  });

  test("a broken protocol ends it with GOAWAY", async () => {
    const router = relay([1]);
    const raw = await Client.open(router.port);
    raw.send(Buffer.concat([PREFACE, Buffer.from("000000000000000000", "hex")]));
    await raw.end();
    expect(raw.text).toContain("the first frame is no SETTINGS");
  });
});

test("under TLS both sides agree on it, or on HTTP/1.1", async () => {
  const up = upstream(ok);
  const router = relay([up.port]);
  const identity = selfSigned("localhost", "IP:127.0.0.1");
  const listeners = openListeners({ host: "127.0.0.1", port: 0 }, 1)!;
  const handlers = clientHandlers(router.context, router.connections, (...of) => new Http2Front(router.context, ...of));
  const options = { ...identity, sni: {}, alpn: ["h2", "http/1.1"] };
  const handshakes = new Handshakes({ hasRoom: () => true, timeoutMs: 10_000 });
  const listener = adoptTls(listeners.duplicate(0), options, handshakes, handlers);
  listeners.close();
  for (const [flag, version] of [
    ["--http2", "HTTP/2 200"],
    ["--http1.1", "HTTP/1.1 200"],
  ] as const) {
    const url = `https://127.0.0.1:${listeners.port}/v1/chat/completions`;
    const curl = Bun.spawn(["curl", "-s", "-i", "-k", flag, "-d", CHAT, url], { stdout: "pipe" });
    const text = await new Response(curl.stdout).text();
    expect(text).toStartWith(version);
    expect(text).toEndWith('{"ok":true}');
  }
  listener.stop();
});

test("curl speaks to it", async () => {
  const up = upstream(ok);
  const router = relay([up.port]);
  const curl = Bun.spawn(
    ["curl", "-s", "-i", "--http2-prior-knowledge", "-d", CHAT, `http://127.0.0.1:${router.port}/v1/chat/completions`],
    { stdout: "pipe" },
  );
  const text = await new Response(curl.stdout).text();
  expect(text).toStartWith("HTTP/2 200");
  expect(text).toEndWith('{"ok":true}');
});
