import { describe, expect, test } from "bun:test";
import {
  answer,
  ask,
  CHAT,
  chunk,
  Client,
  CLOSE,
  fixtures,
  ok,
  post,
  SSE_HEAD,
  statusOf,
  until,
  FLOW,
} from "./harness.ts";
import type { Script } from "./harness.ts";

const { upstream, relay } = fixtures();

describe("what reaches the target", () => {
  test("the client's head without its hop's fields, with an id and the client's address", async () => {
    const up = upstream(ok);
    const relayed = relay([up.port]);
    await ask(
      relayed.port,
      post(
        CHAT,
        `${CLOSE}keep-alive: 5\r\nx-drop: 1\r\nte: trailers\r\nproxy-authorization: secret\r\nauthorization: Bearer k\r\nx-request-id: r1\r\n`,
      ).replace("connection: close", "connection: close, x-drop"),
    );
    const [head] = (up.requests[0] ?? "").split("\r\n\r\n");
    expect(head?.split("\r\n")).toEqual([
      "POST /v1/chat/completions HTTP/1.1",
      "host: x",
      "content-type: application/json",
      `content-length: ${CHAT.length}`,
      "authorization: Bearer k",
      "x-forwarded-for: 127.0.0.1",
      "x-request-id: r1",
    ]);
    expect(up.requests[0]?.endsWith(CHAT)).toBe(true);
  });

  test("an absolute target becomes a path, and HTTP/1.0 becomes 1.1 with a host", async () => {
    const up = upstream(ok);
    const relayed = relay([up.port]);
    await ask(relayed.port, post(CHAT, CLOSE, "http://elsewhere/v1/chat/completions?a=1"));
    await ask(relayed.port, `POST /v1/completions HTTP/1.0\r\ncontent-length: ${CHAT.length}\r\n\r\n${CHAT}`);
    expect(up.requests[0]).toStartWith("POST /v1/chat/completions?a=1 HTTP/1.1\r\n");
    expect(up.requests[1]).toStartWith("POST /v1/completions HTTP/1.1\r\n");
    expect(up.requests[1]).toContain("host: infermesh\r\n");
  });

  test("a long body is streamed on before it is whole", async () => {
    const up = upstream(ok);
    const relayed = relay([up.port], { replayBytes: 2048 });
    const body = JSON.stringify({ model: "m", prompt: "y".repeat(300_000) });
    const client = await Client.open(relayed.port);
    const bytes = post(body, CLOSE);
    client.send(bytes.slice(0, 10_000));
    await until(() => up.connections === 1);
    // The rest is larger than a socket takes at once, so it goes in pieces.
    for (let at = 10_000; at < bytes.length; at += 20_000) {
      client.send(bytes.slice(at, at + 20_000));
      await Bun.sleep(1);
    }
    expect(statusOf(await client.end())).toBe(200);
    expect(up.requests[0]?.endsWith(body)).toBe(true);
  });

  test("a long body that names its model twice never reaches a target whole", async () => {
    const up = upstream(ok);
    const relayed = relay([up.port], { replayBytes: 2048 });
    const body = `{"model":"m","prompt":"${"y".repeat(8000)}","mod\\u0065l":"z"}`;
    const chunked = `POST /v1/completions HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n${chunk(body)}0\r\n\r\n`;
    for (const bytes of [post(body), chunked]) {
      // Everywhere in its last part, which has the second name.
      for (let cut = bytes.length - 30; cut < bytes.length; cut++) {
        const connections = up.connections;
        const client = await Client.open(relayed.port);
        client.send(bytes.slice(0, cut));
        if (cut < bytes.length - 25) await until(() => up.connections > connections);
        const text = await client.send(bytes.slice(cut)).end();
        expect(statusOf(text)).toBe(400);
        expect(text).toContain("names its model twice");
      }
    }
    await until(() => up.open === 0);
    expect([up.requests, relayed.inFlight]).toEqual([[], 0]);
  });

  test("a chunked body keeps its framing", async () => {
    const up = upstream(ok);
    const relayed = relay([up.port]);
    const body = `${chunk(CHAT.slice(0, 20))}${chunk(CHAT.slice(20))}0\r\n\r\n`;
    await ask(
      relayed.port,
      `POST /v1/completions HTTP/1.1\r\nhost: x\r\n${CLOSE}transfer-encoding: chunked\r\n\r\n${body}`,
    );
    expect(up.requests[0]).toContain("transfer-encoding: chunked\r\n");
    expect(up.requests[0]?.endsWith(body)).toBe(true);
  });

  test("the model may stand in a header, a form, or behind escapes", async () => {
    const up = upstream(ok);
    const relayed = relay([up.port]);
    const form = '--b\r\ncontent-disposition: form-data; name="model"\r\n\r\nm\r\n--b--\r\n';
    const multipart = `POST /v1/audio/transcriptions HTTP/1.1\r\nhost: x\r\n${CLOSE}content-type: multipart/form-data; boundary=b\r\ncontent-length: ${form.length}\r\n\r\n${form}`;
    const escaped = '{"mod\\u0065l":"\\u006d"}';
    const header = `GET /v1/files HTTP/1.1\r\nhost: x\r\n${CLOSE}x-infermesh-model: m\r\n\r\n`;
    for (const bytes of [multipart, post(escaped, CLOSE), header])
      expect(statusOf(await ask(relayed.port, bytes))).toBe(200);
    expect(up.requests).toHaveLength(3);
  });

  test("connections to the target are kept and used again", async () => {
    const up = upstream(ok);
    const relayed = relay([up.port]);
    const client = await Client.open(relayed.port);
    for (let i = 1; i <= 5; i++) {
      client.send(post(CHAT));
      await client.until((text) => text.split('{"ok":true}').length === i + 1);
    }
    expect(up.connections).toBe(1);
    expect(relayed.inFlight).toBe(0);
  });

  test("an idle connection to the target is closed in time", async () => {
    const up = upstream(ok);
    const relayed = relay([up.port], { upstreamIdleMs: 100 });
    await ask(relayed.port, post(CHAT, CLOSE));
    await until(() => up.open === 0);
    expect(statusOf(await ask(relayed.port, post(CHAT, CLOSE)))).toBe(200);
  });
});

describe("what reaches the client", () => {
  test("the target's answer without its hop's fields, with the id and the node", async () => {
    const up = upstream((socket) =>
      socket.write(answer("{}", "connection: keep-alive\r\nkeep-alive: 1\r\nx-own: 1\r\nx-request-id: theirs\r\n")),
    );
    const relayed = relay([up.port]);
    const text = await ask(relayed.port, post(CHAT, `${CLOSE}x-request-id: mine\r\n`));
    expect(text.split("\r\n")).toEqual([
      "HTTP/1.1 200 OK",
      "content-type: application/json",
      "x-own: 1",
      "content-length: 2",
      "connection: close",
      "x-request-id: mine",
      "x-infermesh-node: up1",
      "",
      "{}",
    ]);
  });

  test.each([
    ["byte by byte", 1],
    ["in pieces of 7", 7],
  ])("an answer that comes %s", async (_name, size) => {
    const bytes = `${SSE_HEAD}${chunk("data: a\n\n")}${chunk("data: [DONE]\n\n")}0\r\n\r\n`;
    const up = upstream(async (socket) => {
      for (let at = 0; at < bytes.length; at += size) {
        socket.write(bytes.slice(at, at + size));
        socket.flush();
        await Bun.sleep(0);
      }
    });
    const relayed = relay([up.port]);
    const text = await ask(relayed.port, post(CHAT, CLOSE));
    expect(text.slice(text.indexOf("\r\n\r\n") + 4)).toBe(bytes.slice(SSE_HEAD.length));
    expect(relayed.inFlight).toBe(0);
  });

  test("interim answers are not passed on", async () => {
    const up = upstream((socket) => socket.write(`HTTP/1.1 103 Early Hints\r\nlink: x\r\n\r\n${answer("{}")}`));
    expect(statusOf(await ask(relay([up.port]).port, post(CHAT, CLOSE)))).toBe(200);
  });

  test("an answer that ends with its connection", async () => {
    const up = upstream((socket) => socket.end("HTTP/1.1 200 OK\r\n\r\nall of it"));
    const text = await ask(relay([up.port]).port, post(CHAT));
    expect(text).toContain("connection: close\r\n");
    expect(text).toEndWith("\r\n\r\nall of it");
  });

  test.each(["204 No Content", "304 Not Modified"])("%s has no body", async (status) => {
    const up = upstream((socket) => socket.write(`HTTP/1.1 ${status}\r\ncontent-length: 5\r\n\r\n`));
    const text = await ask(relay([up.port]).port, post(CHAT, CLOSE));
    expect(text).toStartWith(`HTTP/1.1 ${status}`);
    expect(text).toEndWith("\r\n\r\n");
  });

  test("an early answer ends a request whose body is still to come", async () => {
    const up = upstream((socket) => socket.write(answer("{}", "", "413 Content Too Large")), true);
    const relayed = relay([up.port], { replayBytes: 1024 });
    const client = await Client.open(relayed.port);
    client.send(post(JSON.stringify({ model: "m", prompt: "z".repeat(500_000) })).slice(0, 3000));
    expect(statusOf(await client.end())).toBe(413);
    expect(relayed.inFlight).toBe(0);
  });

  test("a client that does not read slows its target down, and gets everything in the end", async () => {
    const total = 24 << 20;
    let sent = 0;
    const piece = Buffer.alloc(1 << 16, "q");
    const up = upstream((socket) => {
      socket.write(`HTTP/1.1 200 OK\r\ncontent-length: ${total}\r\n\r\n`);
      const timer = setInterval(() => {
        while (sent < total) {
          const taken = socket.write(piece.subarray(0, Math.min(piece.length, total - sent)));
          if (taken <= 0) return;
          sent += taken;
        }
        clearInterval(timer);
      }, 1);
    });
    const relayed = relay([up.port]);
    const client = await Client.open(relayed.port);
    client.pause();
    client.send(post(CHAT, CLOSE));
    await until(() => sent > 0);
    await Bun.sleep(300);
    expect(sent).toBeLessThan(total);
    client.resume();
    await until(() => client.closed, 20_000);
    expect(client.text.length).toBeGreaterThan(total);
    expect(relayed.inFlight).toBe(0);
  });
});

describe("targets that fail", () => {
  const dead = 9;
  const reset: Script = (socket) => socket.terminate();

  test("a refused connection costs the client nothing", async () => {
    const up = upstream(ok);
    const relayed = relay([dead, up.port]);
    for (let i = 0; i < 6; i++) expect(statusOf(await ask(relayed.port, post(CHAT, CLOSE)))).toBe(200);
    expect(relayed.inFlight).toBe(0);
  });

  test("a connection that breaks before the answer is tried elsewhere, in full", async () => {
    const bad = upstream(reset);
    const good = upstream(ok);
    const relayed = relay([bad.port, good.port]);
    // Which of the two is asked first is chance.
    while (bad.requests.length === 0) expect(statusOf(await ask(relayed.port, post(CHAT, CLOSE)))).toBe(200);
    for (const request of good.requests) expect(request.endsWith(CHAT)).toBe(true);
    expect(relayed.inFlight).toBe(0);
  });

  test("a stateful path is not sent twice", async () => {
    const bad = upstream(reset);
    const relayed = relay([bad.port, bad.port]);
    expect(statusOf(await ask(relayed.port, post(CHAT, CLOSE, "/v1/files")))).toBe(502);
    expect(bad.requests).toHaveLength(1);
  });

  test("when all fail the client is told so", async () => {
    const bad = upstream(reset);
    const relayed = relay([bad.port, bad.port, bad.port, bad.port]);
    const text = await ask(relayed.port, post(CHAT, CLOSE));
    expect(statusOf(text)).toBe(502);
    expect(text).toContain('"code":"upstream_failed"');
    expect(bad.requests).toHaveLength(3);
    expect(relayed.inFlight).toBe(0);
  });

  test("an answer that is no HTTP is 502", async () => {
    const up = upstream((socket) => socket.write("220 smtp ready\r\n\r\n"));
    const relayed = relay([up.port], { attemptsMax: 1 });
    expect(statusOf(await ask(relayed.port, post(CHAT, CLOSE)))).toBe(502);
    await until(() => up.open === 0);
  });

  test("a kept connection that closed meanwhile costs the client nothing", async () => {
    const up = upstream((socket, _request, nth) => {
      socket.write(answer("{}"));
      if (nth === 1) setTimeout(() => socket.terminate(), 5);
    });
    const relayed = relay([up.port]);
    const client = await Client.open(relayed.port);
    client.send(post(CHAT));
    await client.until((text) => text.endsWith("{}"));
    await Bun.sleep(4);
    client.send(post(CHAT, CLOSE));
    expect((await client.end()).match(/HTTP\/1\.1 200/g)).toHaveLength(2);
  });

  test("a stream that breaks between events ends with an error event", async () => {
    const up = upstream((socket) => {
      socket.write(`${SSE_HEAD}${chunk("data: one\n\n")}`);
      setTimeout(() => socket.terminate(), 20);
    });
    const relayed = relay([up.port, up.port]);
    const text = await ask(relayed.port, post(CHAT, CLOSE));
    expect(text).toMatch(/data: one\n\n\r\n[0-9a-f]+\r\ndata: \{"error":\{"message":"the stream broke/);
    expect(text).toEndWith("\r\n0\r\n\r\n");
    expect(up.requests).toHaveLength(1);
    expect(relayed.inFlight).toBe(0);
  });

  test("a stream that breaks inside a chunk ends whole: the half chunk was kept back", async () => {
    const up = upstream((socket) => {
      socket.write(`${SSE_HEAD}${chunk("data: one\n\n")}20\r\ndata: tw`);
      setTimeout(() => socket.terminate(), 20);
    });
    const text = await ask(relay([up.port]).port, post(CHAT, CLOSE));
    expect(text).not.toContain("data: tw");
    expect(text).toEndWith("\r\n0\r\n\r\n");
  });

  test("a broken answer with a length is cut, not padded", async () => {
    const up = upstream((socket) => {
      socket.write("HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\nhalf");
      setTimeout(() => socket.terminate(), 20);
    });
    const relayed = relay([up.port]);
    const text = await ask(relayed.port, post(CHAT));
    expect(text).toEndWith("half");
    expect(relayed.inFlight).toBe(0);
  });

  test("a target that never answers is 504", async () => {
    const up = upstream(() => {});
    const relayed = relay([up.port], { firstByteTimeoutMs: 100 });
    expect(statusOf(await ask(relayed.port, post(CHAT, CLOSE)))).toBe(504);
    await until(() => up.open === 0);
    expect(relayed.inFlight).toBe(0);
  });

  test("a stream that stalls is ended with an error event", async () => {
    const up = upstream((socket) => socket.write(`${SSE_HEAD}${chunk("data: one\n\n")}`));
    const text = await ask(relay([up.port], { streamTimeoutMs: 100 }).port, post(CHAT, CLOSE));
    expect(text).toContain('"code":"upstream_timeout"');
  });

  test("bytes after the end of an answer end its connection, not the next request", async () => {
    const up = upstream((socket) => socket.write(`${answer("{}")}HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\nevil`));
    const relayed = relay([up.port]);
    const client = await Client.open(relayed.port);
    client.send(post(CHAT));
    await client.until((text) => text.endsWith("{}"));
    client.send(post(CHAT, CLOSE));
    const text = await client.end();
    expect(text.match(/HTTP\/1\.1 200/g)).toHaveLength(2);
    expect(text).not.toContain("evil");
    expect(up.connections).toBe(2);
  });
});

describe("clients that leave", () => {
  test("before the answer: the target's connection is closed at once", async () => {
    const up = upstream(() => {});
    const relayed = relay([up.port]);
    const client = await Client.open(relayed.port);
    client.send(post(CHAT));
    await until(() => up.requests.length === 1);
    expect(relayed.inFlight).toBeGreaterThan(0);
    client.leave();
    await until(() => up.open === 0 && relayed.inFlight === 0 && relayed.connections.size === 0);
  });

  test("in mid-stream", async () => {
    const up = upstream((socket) => {
      socket.write(SSE_HEAD);
      const timer = setInterval(() => {
        if (socket.write(chunk("data: x\n\n")) < 0) clearInterval(timer);
      }, 2);
    });
    const relayed = relay([up.port]);
    const client = await Client.open(relayed.port);
    client.send(post(CHAT));
    await client.until((text) => text.includes("data: x"));
    client.leave();
    await until(() => up.open === 0 && relayed.inFlight === 0);
  });

  test("in the middle of a body that is being streamed on", async () => {
    const up = upstream(() => {});
    const relayed = relay([up.port], { replayBytes: 1024 });
    const client = await Client.open(relayed.port);
    client.send(post(JSON.stringify({ model: "m", prompt: "z".repeat(100_000) })).slice(0, 5000));
    await until(() => up.open === 1);
    client.leave();
    await until(() => up.open === 0 && relayed.inFlight === 0);
  });
});

describe("limits", () => {
  test("a full target is passed over, and when all are full the client is told to come back", async () => {
    const up = upstream(() => {});
    const relayed = relay([up.port], { upstreamConnectionsMax: 1, flow: { queue: { ...FLOW.queue, waitMsMax: 50 } } });
    const first = await Client.open(relayed.port);
    first.send(post(CHAT));
    await until(() => up.requests.length === 1);
    const text = await ask(relayed.port, post(CHAT, CLOSE));
    expect(statusOf(text)).toBe(429);
    expect(text).toContain("retry-after: 1\r\n");
    first.leave();
    await until(() => relayed.inFlight === 0);
  });

  test("connections beyond the limit are turned away", async () => {
    const up = upstream(ok);
    const relayed = relay([up.port], { connectionsMax: 1 });
    const first = await Client.open(relayed.port);
    await until(() => relayed.connections.size === 1);
    const second = await Client.open(relayed.port);
    expect(statusOf(await second.end())).toBe(429);
    first.leave();
  });

  test("held requests have a budget", async () => {
    const up = upstream(ok);
    const relayed = relay([up.port], { bufferBytesMax: 16_384, replayBytes: 1 << 20 });
    const text = await ask(relayed.port, post(JSON.stringify({ prompt: "z".repeat(60_000), model: "m" }), CLOSE));
    expect(statusOf(text)).toBe(429);
    await until(() => relayed.context.heldBytes === 0);
  });

  test("one more request is served while a successor takes over, and quiet connections close", async () => {
    const { port } = upstream(ok);
    const relayed = relay([port]);
    const idle = await Client.open(relayed.port);
    const busy = await Client.open(relayed.port);
    busy.send(post(CHAT));
    await busy.until((text) => text.includes('{"ok":true}'));
    relayed.context.draining = true;
    relayed.context.quietMs = 300;
    await Bun.sleep(50);
    expect(busy.closed).toBe(false);
    busy.send(post(CHAT));
    const [, , last = ""] = (await busy.end()).split("HTTP/1.1 200 ");
    expect(last).toMatch(/\r\nconnection: close\r\n[^]*{"ok":true}$/);
    await idle.end();
  });

  test("no new requests while draining, and idle connections close", async () => {
    const up = upstream(ok);
    const relayed = relay([up.port]);
    const idle = await Client.open(relayed.port);
    const busy = await Client.open(relayed.port);
    await until(() => relayed.connections.size === 2);
    relayed.context.draining = true;
    relayed.context.refuses = true;
    busy.send(post(CHAT));
    expect(statusOf(await busy.end())).toBe(503);
    await idle.end();
    await until(() => relayed.connections.size === 0);
  });
});
