import { afterEach, describe, expect, test } from "bun:test";
import { ADMIN_LIMITS, serveApi, type App, type Front, type FrontOptions } from "../../src/admin/front.ts";
import { adminSettings } from "../../src/admin/settings.ts";
import { MeshError } from "../../src/base/errors.ts";
import { parseSection } from "../../src/base/settings-reading.ts";
import { eventually, RawClient } from "./raw-client.ts";

const fronts: Front[] = [];

afterEach(async () => {
  for (const front of fronts.splice(0)) await front.stop(0);
});

function serve(fetch: App["fetch"], options: Partial<FrontOptions> = {}): Front {
  const front = serveApi({ hostname: "127.0.0.1", port: 0, app: { fetch }, ...options });
  fronts.push(front);
  return front;
}

const echo: App["fetch"] = async (request) =>
  Response.json({
    method: request.method,
    path: new URL(request.url).pathname,
    host: request.headers.get("host"),
    body: await request.text(),
  });

const get = (path: string, more = ""): string => `GET ${path} HTTP/1.1\r\nHost: a\r\n${more}\r\n`;
const answers = (received: string): number => received.split("HTTP/1.1 ").length - 1;

test("the defaults are those of the settings", () => {
  const parsed = parseSection(adminSettings, {});
  expect("value" in parsed && parsed.value).toEqual(ADMIN_LIMITS);
});

test("the app is told the name that its port was configured by", async () => {
  const told: unknown[] = [];
  const front = serve(
    (_request, env) => {
      told.push(env);
      return new Response("");
    },
    { hostname: "localhost" },
  );
  await fetch(`http://localhost:${front.port}/`);
  expect(told).toMatchObject([
    { hostname: "localhost", remoteAddress: "127.0.0.1", bodyBytesMax: ADMIN_LIMITS.maxBodyBytes, isDuplex: false },
  ]);
});

describe("answers", () => {
  test("real clients, over one connection", async () => {
    const front = serve(echo);
    const base = `http://127.0.0.1:${front.port}`;
    const first = await fetch(`${base}/x?y=1`, { method: "POST", body: "hello" });
    expect(first.status).toBe(200);
    expect(first.headers.get("content-length")).not.toBeNull();
    expect(await first.json()).toMatchObject({ method: "POST", path: "/x", body: "hello" });
    const second = await fetch(`${base}/y`);
    expect(await second.json()).toMatchObject({ method: "GET", path: "/y", body: "" });
    expect(front.connections).toBe(1);
  });

  test("a body in chunks, split anywhere", async () => {
    const front = serve(echo);
    const request =
      "POST /c HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n4;x=y\r\ndefg\r\n0\r\n\r\n";
    const client = await RawClient.connect(front.port);
    for (let i = 0; i < request.length; i += 5) {
      client.send(request.slice(i, i + 5));
      await Bun.sleep(1);
    }
    expect(await client.until((text) => text.endsWith("}"))).toContain('"body":"abcdefg"');
    client.reset();
  });

  test("pipelined requests in order, the slow one first", async () => {
    const front = serve(async (request) => {
      const { pathname } = new URL(request.url);
      if (pathname === "/0") await Bun.sleep(30);
      return new Response(`[${pathname}]`);
    });
    const client = await RawClient.connect(front.port);
    client.send(Array.from({ length: 50 }, (_, i) => get(`/${i}`)).join(""));
    const received = await client.until((text) => text.includes("[/49]"));
    expect([...received.matchAll(/\[\/(\d+)\]/g)].map((match) => Number(match[1]))).toEqual(
      Array.from({ length: 50 }, (_, i) => i),
    );
    client.reset();
  });

  test("more pipelined requests than are buffered, by and by", async () => {
    const front = serve(async (request) => {
      await Bun.sleep(0);
      return new Response(`[${new URL(request.url).pathname}]`);
    });
    const client = await RawClient.connect(front.port);
    const padding = `X-Padding: ${"p".repeat(4000)}\r\n`;
    const requests = Array.from({ length: 60 }, (_, i) => get(`/${i}`, padding)).join("");
    for (let i = 0; i < requests.length; i += 20_000) {
      client.send(requests.slice(i, i + 20_000));
      await Bun.sleep(1);
    }
    const received = await client.until((text) => text.includes("[/59]"));
    expect(answers(received)).toBe(60);
    client.reset();
  });

  test("HEAD without a body, 204 without a length", async () => {
    const front = serve((request) =>
      request.url.endsWith("/none")
        ? new Response(null, { status: 204 })
        : new Response("four", { headers: { "content-length": "4" } }),
    );
    const client = await RawClient.connect(front.port);
    client.send("HEAD / HTTP/1.1\r\nHost: a\r\n\r\n" + get("/none"));
    const received = await client.until((text) => answers(text) === 2 && text.endsWith("\r\n\r\n"));
    expect(received).toContain("content-length: 4\r\n");
    expect(received).not.toContain("four");
    expect(received.slice(received.indexOf("204"))).not.toContain("content-length");
    client.reset();
  });

  test("100 Continue before the body, and none when it is too long", async () => {
    const front = serve(echo, { limits: { maxBodyBytes: 10 } });
    const client = await RawClient.connect(front.port);
    client.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\nExpect: 100-continue\r\n\r\n");
    expect(await client.until((text) => text.length > 0)).toBe("HTTP/1.1 100 Continue\r\n\r\n");
    client.send("abc");
    await client.until((text) => text.includes('"body":"abc"'));
    client.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 11\r\nExpect: 100-continue\r\n\r\n");
    const received = await client.untilEnded();
    expect(received).toContain("HTTP/1.1 413 ");
    expect(answers(received)).toBe(3);
    client.reset();
  });

  test("a stream in chunks on HTTP/1.1, until the end on 1.0", async () => {
    const front = serve(() => {
      let parts = 3;
      const stream = new ReadableStream<Uint8Array>({
        async pull(controller) {
          await Bun.sleep(5);
          if (parts-- === 0) controller.close();
          else controller.enqueue(Buffer.from(`part${parts}`));
        },
      });
      return new Response(stream);
    });
    const client = await RawClient.connect(front.port);
    client.send(get("/"));
    const chunked = await client.until((text) => text.endsWith("0\r\n\r\n"));
    expect(chunked).toContain("transfer-encoding: chunked\r\n");
    expect(chunked).toEndWith("5\r\npart2\r\n5\r\npart1\r\n5\r\npart0\r\n0\r\n\r\n");
    client.send(get("/"));
    await client.until((text) => answers(text) === 2 && text.endsWith("0\r\n\r\n"));
    client.reset();

    const old = await RawClient.connect(front.port);
    old.send("GET / HTTP/1.0\r\n\r\n");
    const closed = await old.untilEnded();
    expect(closed).toContain("connection: close\r\n");
    expect(closed).not.toContain("chunked");
    expect(closed).toEndWith("\r\n\r\npart2part1part0");
    old.end();
  });

  test("HTTP/1.0 keeps alive only when asked", async () => {
    const front = serve(() => new Response("ok"));
    const client = await RawClient.connect(front.port);
    client.send("GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n");
    expect(await client.until((text) => text.endsWith("ok"))).toContain("connection: keep-alive");
    client.send("GET / HTTP/1.0\r\n\r\n");
    expect(answers(await client.untilEnded())).toBe(2);
    client.end();
    await eventually(() => front.connections === 0);
  });

  test("a client that half-closes after its requests gets every answer", async () => {
    const front = serve(async () => {
      await Bun.sleep(10);
      return new Response("ok");
    });
    const client = await RawClient.connect(front.port);
    client.send(get("/") + get("/"));
    client.end();
    expect(answers(await client.untilEnded())).toBe(2);
    await eventually(() => front.connections === 0);
  });

  test("large answers with backpressure, whole", async () => {
    const part = Buffer.alloc(256 * 1024, "x");
    let pulled = 0;
    const front = serve(
      () =>
        new Response(
          new ReadableStream<Uint8Array>(
            {
              pull(controller) {
                if (++pulled > 100) controller.close();
                else controller.enqueue(part);
              },
            },
            { highWaterMark: 0 },
          ),
        ),
    );
    const client = await RawClient.connect(front.port);
    client.pause();
    client.send(get("/"));
    await Bun.sleep(100);
    const pulledWhilePaused = pulled;
    expect(pulledWhilePaused).toBeLessThan(80);
    client.resume();
    const received = await client.until((text) => text.endsWith("0\r\n\r\n"), 20_000);
    expect(received.split("x").length - 1).toBe(100 * part.length);
    client.reset();
  });
});

describe("refuses", () => {
  const bad: [string, string, number][] = [
    ["garbage", "\u0001\u0002garbage\r\n\r\n", 400],
    ["a TLS hello", "\u0016\u0003\u0001\u0002\u0000\u0001\r\n\r\n", 400],
    ["bare line feeds", "GET / HTTP/1.1\nHost: a\n\n", 400],
    ["no Host", "GET / HTTP/1.1\r\n\r\n", 400],
    ["two Hosts", "GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n", 400],
    ["a NUL byte", "GET / HTTP/1.1\r\nHost: a\r\nX: \u0000\r\n\r\n", 400],
    ["two lengths", "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab", 400],
    [
      "length and chunks",
      "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
      400,
    ],
    ["another coding", "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: gzip\r\n\r\n", 501],
    ["a broken chunk", "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n", 400],
    ["a long head", `GET / HTTP/1.1\r\nHost: a\r\nX: ${"x".repeat(40_000)}\r\n\r\n`, 431],
    ["a long target", `GET /${"x".repeat(9000)} HTTP/1.1\r\nHost: a\r\n\r\n`, 414],
    ["a long body", "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 9999\r\n\r\n", 413],
    [
      "a long chunked body",
      `POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\nfff\r\n${"x".repeat(4095)}`,
      413,
    ],
    ["CONNECT", "CONNECT a:80 HTTP/1.1\r\nHost: a\r\n\r\n", 501],
    ["TRACE", "TRACE / HTTP/1.1\r\nHost: a\r\n\r\n", 501],
    ["a Host that is none", "GET / HTTP/1.1\r\nHost: a/b@c\r\n\r\n", 400],
    ["HTTP/2", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\u0000\u0000\u0000\u0004", 505],
  ];
  for (const [name, request, status] of bad) {
    test(name, async () => {
      let called = false;
      const notices: string[] = [];
      const front = serve(
        () => {
          called = true;
          return new Response("no");
        },
        { limits: { maxBodyBytes: 1000 }, onNotice: (message) => notices.push(message) },
      );
      const client = await RawClient.connect(front.port);
      client.send(request);
      const received = await client.untilEnded();
      expect(received).toStartWith(`HTTP/1.1 ${status} `);
      expect(received).toContain("connection: close\r\n");
      expect(JSON.parse(received.slice(received.indexOf("\r\n\r\n") + 4)).error.message).not.toBe("");
      expect(called).toBe(false);
      expect(notices).toHaveLength(1);
      client.end();
      await eventually(() => front.connections === 0);
    });
  }

  test("a preface that comes byte by byte, but not a POST", async () => {
    const front = serve(echo);
    const client = await RawClient.connect(front.port);
    for (const byte of "PRI * HTTP/2.0") {
      client.send(byte);
      await Bun.sleep(1);
    }
    expect(await client.untilEnded()).toContain("HTTP/1.1 505 ");
    client.reset();
    const post = await RawClient.connect(front.port);
    for (const byte of "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\n\r\nb") {
      post.send(byte);
      await Bun.sleep(0);
    }
    await post.until((text) => text.includes('"body":"b"'));
    post.reset();
  });

  test("slow heads and bodies by 408, idle connections by closing", async () => {
    const front = serve(echo, { limits: { headTimeoutMs: 40, bodyTimeoutMs: 60, idleTimeoutMs: 80 } });
    const head = await RawClient.connect(front.port);
    head.send("GET / HT");
    const body = await RawClient.connect(front.port);
    body.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nab");
    const idle = await RawClient.connect(front.port);
    expect(await head.untilEnded()).toContain("HTTP/1.1 408 ");
    expect(await body.untilEnded()).toContain("HTTP/1.1 408 ");
    expect(await idle.untilEnded()).toBe("");
    for (const client of [head, body, idle]) client.end();
    await eventually(() => front.connections === 0);
  });

  test("a client that drips its head can't hold the connection", async () => {
    const front = serve(echo, { limits: { headTimeoutMs: 60 } });
    const client = await RawClient.connect(front.port);
    client.send("GET / HTTP/1.1\r\nHost: a\r\n");
    for (let i = 0; i < 100 && !client.ended; i++) {
      client.send("X: y\r\n");
      await Bun.sleep(5);
    }
    expect(client.received).toContain("HTTP/1.1 408 ");
    // It never ends its side: the front does not wait for that for long.
    await eventually(() => front.connections === 0);
  });

  test("a client that does not read its answer", async () => {
    let cancelled = false;
    const stream = (): ReadableStream<Uint8Array> =>
      new ReadableStream({
        pull: (controller) => controller.enqueue(Buffer.alloc(1024 * 1024)),
        cancel() {
          cancelled = true;
        },
      });
    const front = serve(() => new Response(stream()), { limits: { writeTimeoutMs: 50 } });
    const client = await RawClient.connect(front.port);
    client.pause();
    client.send(get("/"));
    await eventually(() => front.connections === 1);
    await eventually(() => front.connections === 0);
    await eventually(() => cancelled);
    client.reset();
  });

  test("connections beyond the limit", async () => {
    const front = serve(echo, { limits: { maxConnections: 2 } });
    const held = [await RawClient.connect(front.port), await RawClient.connect(front.port)];
    await eventually(() => front.connections === 2);
    const refused = await RawClient.connect(front.port);
    expect(await refused.untilEnded()).toContain("HTTP/1.1 429 ");
    held[0]!.reset();
    await eventually(() => front.connections === 1);
    const client = await RawClient.connect(front.port);
    client.send(get("/"));
    await client.until((text) => text.includes("200 OK"));
    for (const each of [...held, client]) each.reset();
  });

  test("a port in use", () => {
    const front = serve(echo);
    expect(() => serve(echo, { port: front.port })).toThrow(MeshError);
  });
});

describe("apps that fail", () => {
  test("by throwing: 500 without details, which are told to the callback", async () => {
    const errors: string[] = [];
    const front = serve(
      () => {
        throw new Error("the secret cause");
      },
      { onError: (error, request) => errors.push(`${request}: ${(error as Error).message}`) },
    );
    const client = await RawClient.connect(front.port);
    client.send(get("/a") + get("/b"));
    const received = await client.until((text) => answers(text) === 2 && text.endsWith("}}"));
    expect(received).toContain("HTTP/1.1 500 ");
    expect(received).not.toContain("secret");
    expect(errors).toEqual(["GET /a: the secret cause", "GET /b: the secret cause"]);
    client.reset();
  });

  test("in mid-stream: the connection is cut, without a last chunk", async () => {
    let parts = 0;
    const errors: unknown[] = [];
    const front = serve(
      () =>
        new Response(
          new ReadableStream<Uint8Array>({
            async pull(controller) {
              await Bun.sleep(5);
              if (parts++ === 2) throw new Error("broke");
              controller.enqueue(Buffer.from("part"));
            },
          }),
        ),
      { onError: (error) => errors.push(error) },
    );
    const client = await RawClient.connect(front.port);
    client.send(get("/"));
    const received = await client.untilEnded();
    expect(received).toContain("part");
    expect(received).not.toContain("0\r\n\r\n");
    expect(errors).toHaveLength(1);
  });
});

describe("clients that go away", () => {
  for (const how of ["reset", "end"] as const) {
    test(`while the app works, by ${how}: the signal aborts`, async () => {
      let aborted = false;
      const front = serve(async (request) => {
        await new Promise<void>((resolve) => request.signal.addEventListener("abort", () => resolve()));
        aborted = true;
        return new Response("late");
      });
      const client = await RawClient.connect(front.port);
      client.send(get("/"));
      await Bun.sleep(20);
      client[how]();
      await eventually(() => aborted);
      await eventually(() => front.connections === 0);
    });

    test(`in mid-stream, by ${how}: the stream is cancelled`, async () => {
      let cancelled = false;
      const front = serve(
        () =>
          new Response(
            new ReadableStream<Uint8Array>({
              start: (controller) => controller.enqueue(Buffer.from("first")),
              cancel() {
                cancelled = true;
              },
            }),
          ),
      );
      const client = await RawClient.connect(front.port);
      client.send(get("/"));
      await client.until((text) => text.includes("first"));
      client[how]();
      await eventually(() => cancelled);
      await eventually(() => front.connections === 0);
    });
  }

  test("in mid-request, a hundred times: nothing is left", async () => {
    const front = serve(echo);
    const requests = [
      "",
      "G",
      "GET / HTTP/1.1\r\nHo",
      "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n\r\nabc",
      get("/"),
    ];
    for (let i = 0; i < 100; i++) {
      const client = await RawClient.connect(front.port);
      client.send(requests[i % requests.length]!);
      if (i % 2 === 0) client.reset();
      else client.end();
    }
    await eventually(() => front.connections === 0);
  });
});

describe("stop", () => {
  test("closes idle connections, lets answers finish, then refuses", async () => {
    const front = serve(async () => {
      await Bun.sleep(60);
      return new Response("done");
    });
    const idle = await RawClient.connect(front.port);
    const busy = await RawClient.connect(front.port);
    busy.send(get("/"));
    await Bun.sleep(20);
    const stopped = front.stop(2000);
    expect(await idle.untilEnded()).toBe("");
    idle.end();
    const received = await busy.untilEnded();
    expect(received).toContain("connection: close\r\n");
    expect(received).toEndWith("done");
    busy.end();
    await stopped;
    expect(front.connections).toBe(0);
    expect(RawClient.connect(front.port)).rejects.toThrow();
  });

  test("cuts what is left after the grace", async () => {
    const front = serve(() => new Promise<Response>(() => {}));
    const client = await RawClient.connect(front.port);
    client.send(get("/"));
    await Bun.sleep(20);
    await front.stop(20);
    await client.untilEnded();
    await eventually(() => front.connections === 0);
  });
});

test("a successor adopts the listening socket, with the connections that wait there", async () => {
  const first = serve(echo);
  const fd = first.descriptor();
  const { port } = first;
  await first.stop(0);
  const waiting = await RawClient.connect(port);
  waiting.send(get("/waited"));
  const second = serve(echo, { fd });
  expect([second.port, second.hostname]).toEqual([port, "127.0.0.1"]);
  await eventually(() => waiting.received.includes("/waited"));
});

test("new limits hold for connections that are open already", async () => {
  const front = serve(echo, { limits: { idleTimeoutMs: 60_000 } });
  const client = await RawClient.connect(front.port);
  client.send(`POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc`);
  await eventually(() => client.received.includes("abc"));
  front.setLimits({ ...ADMIN_LIMITS, maxBodyBytes: 2, idleTimeoutMs: 50 });
  client.send(`POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc`);
  await eventually(() => client.received.includes("HTTP/1.1 413"));
  const idle = await RawClient.connect(front.port);
  await eventually(() => idle.ended);
});
