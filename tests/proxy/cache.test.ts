/** Answers that are kept, and answers that are shared, with real sockets on both sides. */
import { describe, expect, test } from "bun:test";
import type { Socket } from "bun";
import type { CacheConfig } from "../../src/flow/response-cache.ts";
import {
  CLOSE,
  CONTENT,
  Client,
  SSE_HEAD,
  answer,
  ask,
  by,
  chunk,
  fixtures,
  ok,
  post,
  statusOf,
  until,
} from "./harness.ts";
import type { Incoming, Relay, Script } from "./harness.ts";

const { upstream, relay } = fixtures();

const keeping = (change: Partial<CacheConfig> = {}) => ({
  content: { cache: { ...CONTENT.cache, enabled: true, ...change } },
});
const EMBEDDINGS = "/v1/embeddings";
const embed = (input: string, headers = "", more = ""): string =>
  post(`{"model":"m","input":"${input}"${more}}`, headers + CLOSE, EMBEDDINGS);
const cacheOf = (text: string): string | undefined => /\r\nx-infermesh-cache: (\w+)\r\n/.exec(text)?.[1];
const bodyOf = (text: string): string => text.slice(text.indexOf("\r\n\r\n") + 4);

/** An upstream that answers each request with its number. */
const numbered: Script = (socket, _request, nth) => socket.write(answer(`{"nth":${nth}}`, "x-own: 1\r\n"));

/** An upstream whose answers the test writes. */
function held() {
  const sockets: Socket<Incoming>[] = [];
  const up = upstream((socket) => void sockets.push(socket));
  return { up, sockets };
}

/** So many requests that are the same, of which one has gone out and the others wait. */
async function crowd(relayed: Relay, up: { requests: string[] }, count: number): Promise<Client[]> {
  const clients: Client[] = [];
  for (let i = 0; i < count; i++) {
    const client = await Client.open(relayed.port);
    clients.push(client.send(post('{"model":"m","input":"same"}', `x-request-id: r${i}\r\n`, EMBEDDINGS)));
    await until(() => up.requests.length >= 1);
  }
  // The last one's request has been read when a later one's has been answered.
  await ask(relayed.port, `GET /health HTTP/1.1\r\nhost: x\r\n${CLOSE}\r\n`);
  return clients;
}

async function allQuiet(relayed: Relay): Promise<void> {
  await until(
    () => relayed.inFlight === 0 && relayed.context.heldBytes === 0 && relayed.context.dispatch.waiting === 0,
  );
}

describe("a kept answer", () => {
  test("is given to the same request, with its age and the request's own id", async () => {
    const up = upstream(numbered);
    const relayed = relay([up.port], keeping());
    const first = await ask(relayed.port, embed("a"));
    expect([statusOf(first), cacheOf(first), bodyOf(first)]).toEqual([200, "miss", '{"nth":1}']);
    expect(first).toContain("x-infermesh-node: up1");
    const second = await ask(relayed.port, embed("a", "x-request-id: mine\r\n"));
    expect(second).toBe(
      'HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 9\r\nage: 0\r\nx-request-id: mine\r\nconnection: close\r\nx-infermesh-cache: hit\r\n\r\n{"nth":1}',
    );
    const blanks = post('{ "model": "m", "input": "a" }', CLOSE, EMBEDDINGS);
    expect(cacheOf(await ask(relayed.port, blanks))).toBe("hit");
    expect(up.requests).toHaveLength(1);
    expect([relayed.stats.count("cacheHits"), relayed.stats.count("cacheMisses")]).toEqual([2, 1]);
    await allQuiet(relayed);
  });

  test("is another's for other bodies, paths, models and credentials", async () => {
    const up = upstream(numbered);
    const relayed = relay([up.port, by("http", up.port, "n")], keeping());
    const different = [
      embed("a"),
      embed("b"),
      embed("a", "", ',"dimensions":2'),
      embed("a", "authorization: Bearer a\r\n"),
      embed("a", "authorization: Bearer b\r\n"),
      embed("a", "x-auth-token: a\r\n"),
      embed("a", "cookie: lang=en\r\ncookie: user=a\r\n"),
      embed("a", "cookie: lang=en\r\ncookie: user=b\r\n"),
      embed("a", "x-api-key: a\r\n"),
      embed("a", "x-infermesh-tenant: a\r\n"),
      embed("a", "accept: text/plain\r\n"),
      embed("a", "x-infermesh-model: n\r\n"),
      post('{"model":"m","input":"a"}', CLOSE, "/embeddings"),
      post('{"model":"m","input":"a"}', CLOSE, "/v1/embeddings?x=1"),
      post('{"model":"n","input":"a"}', CLOSE, EMBEDDINGS),
    ];
    for (const request of different) expect(cacheOf(await ask(relayed.port, request))).toBe("miss");
    for (const request of different) expect(cacheOf(await ask(relayed.port, request))).toBe("hit");
    expect(up.requests).toHaveLength(different.length);
  });

  test("is another's for other values of the headers that are named, and may vary by them", async () => {
    const up = upstream((socket, _request, nth) => socket.write(answer(`{"n":${nth}}`, "vary: x-user\r\n")));
    const relayed = relay([up.port], keeping({ keyHeaders: ["x-user"] }));
    for (const user of ["a", "b"]) {
      expect(cacheOf(await ask(relayed.port, embed("a", `x-user: ${user}\r\n`)))).toBe("miss");
    }
    for (const user of ["a", "b"]) {
      expect(cacheOf(await ask(relayed.port, embed("a", `X-User: ${user}\r\n`)))).toBe("hit");
    }
    const without = relay([up.port], keeping());
    for (let i = 0; i < 2; i++) expect(cacheOf(await ask(without.port, embed("a", "x-user: a\r\n")))).toBe("miss");
  });

  test("is the body alone, however it came", async () => {
    const pieces = [
      SSE_HEAD.replace("text/event-stream", "application/json"),
      chunk('{"a":'),
      chunk("1}"),
      "0\r\nx: t\r\n\r\n",
    ];
    const up = upstream(async (socket) => {
      for (const piece of pieces) {
        socket.write(piece);
        await Bun.sleep(2);
      }
    });
    const relayed = relay([up.port], keeping());
    const sent = post('{"model":"m","input":"a"}', CLOSE, EMBEDDINGS).replace(
      /content-length: (\d+)/,
      "transfer-encoding: chunked",
    );
    const [head = "", body = ""] = sent.split("\r\n\r\n");
    const whole = `${head}\r\n\r\n${chunk(body)}0\r\n\r\n`;
    expect(bodyOf(await ask(relayed.port, whole))).toContain("0\r\nx: t\r\n\r\n");
    const text = await ask(relayed.port, embed("a"));
    expect([cacheOf(text), bodyOf(text)]).toEqual(["hit", '{"a":1}']);
    expect(cacheOf(await ask(relayed.port, whole))).toBe("hit");
  });

  test("is used as long as the settings say", async () => {
    const up = upstream(numbered);
    const relayed = relay([up.port], keeping({ ttlMs: 60 }));
    expect(cacheOf(await ask(relayed.port, embed("a")))).toBe("miss");
    await Bun.sleep(80);
    expect(cacheOf(await ask(relayed.port, embed("a")))).toBe("miss");
    expect(up.requests).toHaveLength(2);
  });

  test("serves pipelined requests in order", async () => {
    const relayed = relay([upstream(numbered).port], keeping());
    const client = await Client.open(relayed.port);
    const one = post('{"model":"m","input":"a"}', "", EMBEDDINGS);
    client.send(one + one + one + embed("a", "x-request-id: last\r\n"));
    const text = await client.end();
    expect(text.match(/x-infermesh-cache: \w+/g)).toEqual([
      "x-infermesh-cache: miss",
      ...Array.from({ length: 3 }, () => "x-infermesh-cache: hit"),
    ]);
    expect(text).toContain("x-request-id: last");
    await allQuiet(relayed);
  });
});

describe("not kept", () => {
  test.each<[string, Script]>([
    ["a failure", (socket) => socket.write(answer("{}", "", "400 Bad Request"))],
    ["another success", (socket) => socket.write(answer("{}", "", "201 Created"))],
    ["an answer with a cookie", (socket) => socket.write(answer("{}", "set-cookie: a=b\r\n"))],
    [
      "one for nobody else",
      (socket) => socket.write(answer("{}", "cache-control: max-age=5\r\nCache-Control: private\r\n")),
    ],
    ["one that says no-store", (socket) => socket.write(answer("{}", "cache-control: no-store\r\n"))],
    ["one in another coding", (socket) => socket.write(answer("{}", "content-encoding: gzip\r\n"))],
    ["one of many kinds", (socket) => socket.write(answer("{}", "vary: Origin\r\nVary: accept, user-agent\r\n"))],
    ["one that is never the same", (socket) => socket.write(answer("{}", "vary: *\r\n"))],
    ["a stream", (socket) => socket.write(`${SSE_HEAD}${chunk("data: 1\n\n")}0\r\n\r\n`)],
    ["one whose end can't be told", (socket) => socket.end("HTTP/1.1 200 OK\r\n\r\n{}")],
    ["a long one", (socket) => socket.write(answer("x".repeat(5000)))],
  ])("%s", async (_name, script) => {
    const up = upstream(script);
    const relayed = relay([up.port], keeping({ entryBytesMax: 2048 }));
    for (let i = 0; i < 2; i++) expect(cacheOf(await ask(relayed.port, embed("a")))).toBe("miss");
    expect(up.requests).toHaveLength(2);
    expect(relayed.context.content.cache?.size).toBe(0);
    await allQuiet(relayed);
  });

  test("what is cut off in the middle", async () => {
    const up = upstream((socket) => socket.end(answer("x".repeat(50)).slice(0, -10)));
    const relayed = relay([up.port], keeping());
    for (let i = 0; i < 2; i++) await ask(relayed.port, embed("a"));
    expect(up.requests.length).toBe(2);
    expect(relayed.context.content.cache?.size).toBe(0);
    await allQuiet(relayed);
  });

  test.each<[string, string]>([
    ["a chat that is not greedy", post('{"model":"m","messages":[]}', CLOSE)],
    ["a stream that is asked for", post('{"model":"m","messages":[],"temperature":0,"stream":true}', CLOSE)],
    ["an API whose answers differ", post('{"model":"m","input":"a"}', CLOSE, "/v1/responses")],
    ["a client that wants its own", embed("a", "Cache-Control: max-age=0, no-cache\r\n")],
    ["a client that wants nothing kept", embed("a", "cache-control: no-store\r\n")],
  ])("for %s", async (_name, request) => {
    const up = upstream(ok);
    const relayed = relay([up.port], keeping());
    for (let i = 0; i < 2; i++) expect(cacheOf(await ask(relayed.port, request))).toBeUndefined();
    expect(up.requests).toHaveLength(2);
  });

  test("for pages of browsers, whose permission is the target's to give", async () => {
    const cors =
      "access-control-allow-origin: *\r\nvary: origin, access-control-request-method\r\nvary: Accept-Encoding\r\n";
    const up = upstream((socket) => socket.write(answer("{}", cors)));
    const relayed = relay([up.port], keeping());
    expect(cacheOf(await ask(relayed.port, embed("a")))).toBe("miss");
    const text = await ask(relayed.port, embed("a", "Origin: https://app.example\r\n"));
    expect(cacheOf(text)).toBeUndefined();
    expect(text).toContain(cors);
    expect(cacheOf(await ask(relayed.port, embed("a")))).toBe("hit");
  });

  test("unless it is switched on", async () => {
    const up = upstream(ok);
    const relayed = relay([up.port]);
    for (let i = 0; i < 2; i++) expect(cacheOf(await ask(relayed.port, embed("a")))).toBeUndefined();
    expect(up.requests).toHaveLength(2);
  });

  test("but a greedy chat is", async () => {
    const up = upstream(numbered);
    const relayed = relay([up.port], keeping());
    const request = post('{"model":"m","messages":[],"temperature":0.0}', CLOSE);
    expect([cacheOf(await ask(relayed.port, request)), cacheOf(await ask(relayed.port, request))]).toEqual([
      "miss",
      "hit",
    ]);
  });
});

describe("requests that are the same at one time", () => {
  test("share one answer", async () => {
    const { up, sockets } = held();
    const relayed = relay([up.port], keeping());
    const clients = await crowd(relayed, up, 5);
    expect(up.requests).toHaveLength(1);
    sockets[0]!.write(answer('{"x":1}'));
    for (const [index, client] of clients.entries()) {
      const text = await client.until((all) => all.includes('{"x":1}'));
      expect(text).toContain(`x-request-id: r${index}`);
      expect(cacheOf(text)).toBe(index === 0 ? "miss" : "hit");
    }
    expect(up.requests).toHaveLength(1);
    expect(relayed.stats.count("cacheShares")).toBe(4);
    // Their connections go on.
    clients[3]!.send(embed("same"));
    expect((await clients[3]!.end()).match(/x-infermesh-cache: hit/g)).toHaveLength(2);
    await allQuiet(relayed);
  });

  test.each<[string, (socket: Socket<Incoming>) => unknown]>([
    ["is refused", (socket) => socket.write(answer("{}", "", "422 Unprocessable"))],
    ["breaks off", (socket) => socket.end("HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\n12")],
    ["fails for good", (socket) => socket.end(answer("{}", "", "500 Oops"))],
  ])("go on by themselves when the first %s", async (_name, fail) => {
    const { up, sockets } = held();
    const relayed = relay([up.port], { ...keeping(), attemptsMax: 1 });
    const clients = await crowd(relayed, up, 4);
    fail(sockets[0]!);
    await until(() => sockets.length === 4);
    for (const socket of sockets.slice(1)) socket.write(answer('{"own":1}'));
    for (const client of clients.slice(1))
      expect(cacheOf(await client.until((all) => all.includes("own")))).toBe("miss");
    await allQuiet(relayed);
  });

  test("go on by themselves when the first one's client leaves", async () => {
    const { up, sockets } = held();
    const relayed = relay([up.port], keeping());
    const clients = await crowd(relayed, up, 3);
    clients[0]!.leave();
    await until(() => sockets.length === 3);
    for (const socket of sockets.slice(1)) socket.write(answer('{"own":1}'));
    for (const client of clients.slice(1)) await client.until((all) => all.includes("own"));
    await allQuiet(relayed);
  });

  test("are begun anew when the only one's client has left", async () => {
    const { up, sockets } = held();
    const relayed = relay([up.port], keeping());
    const [first] = await crowd(relayed, up, 1);
    first!.leave();
    await allQuiet(relayed);
    const second = ask(relayed.port, embed("same"));
    await until(() => sockets.length === 2);
    sockets[1]!.write(answer('{"x":1}'));
    expect(cacheOf(await second)).toBe("miss");
  });

  test("go on by themselves when the first one's answer is too long, or memory is short", async () => {
    for (const change of [{ entryBytesMax: 2000 }, {}]) {
      const { up, sockets } = held();
      const relayed = relay([up.port], { ...keeping(change), bufferBytesMax: 2500 });
      const clients = await crowd(relayed, up, 2);
      const long = answer("x".repeat(3000));
      sockets[0]!.write(long.slice(0, 2800));
      await until(() => sockets.length === 2);
      sockets[0]!.write(long.slice(2800));
      sockets[1]!.write(long);
      for (const client of clients) await client.until((all) => all.endsWith("x".repeat(3000)));
      await allQuiet(relayed);
    }
  });

  test("may leave while they wait", async () => {
    const { up, sockets } = held();
    const relayed = relay([up.port], keeping());
    const clients = await crowd(relayed, up, 4);
    clients[1]!.leave();
    clients[3]!.leave();
    await until(() => relayed.connections.size === 2);
    sockets[0]!.write(answer('{"x":1}'));
    for (const index of [0, 2]) await clients[index]!.until((all) => all.includes('{"x":1}'));
    expect(relayed.stats.count("cacheShares")).toBe(1);
    expect(up.requests).toHaveLength(1);
    for (const client of clients) client.leave();
    await until(() => relayed.connections.size === 0);
    await allQuiet(relayed);
  });

  test("wait for so long and no longer", async () => {
    const { up, sockets } = held();
    const relayed = relay([up.port], keeping({ waitMs: 40 }));
    const clients = await crowd(relayed, up, 3);
    await until(() => sockets.length === 3);
    for (const socket of sockets) socket.write(answer('{"x":1}'));
    for (const client of clients) expect(cacheOf(await client.until((all) => all.includes('{"x":1}')))).toBe("miss");
    await allQuiet(relayed);
  });

  test("wait no longer than they may take in all", async () => {
    const { up, sockets } = held();
    const relayed = relay([up.port], keeping());
    const clients = await crowd(relayed, up, 1);
    expect(statusOf(await ask(relayed.port, embed("same", "x-infermesh-timeout: 50ms\r\n")))).toBe(504);
    sockets[0]!.write(answer('{"x":1}'));
    await clients[0]!.until((all) => all.includes('{"x":1}'));
    await allQuiet(relayed);
  });

  test("are refused when nobody serves their model any more", async () => {
    const { up, sockets } = held();
    const relayed = relay([up.port], keeping());
    const clients = await crowd(relayed, up, 2);
    const { routes, config } = relayed.context;
    routes.apply({ version: 2, models: [{ id: 0, name: "another", protocol: "http", created: 1 }], rows: [] }, config);
    relayed.context.content.sweep(Infinity);
    expect(statusOf(await clients[1]!.until((all) => all.includes("\r\n\r\n")))).toBe(503);
    sockets[0]!.write(answer('{"x":1}'));
    await clients[0]!.until((all) => all.includes('{"x":1}'));
    await allQuiet(relayed);
  });

  test("go on when their cache is given up", async () => {
    const { up, sockets } = held();
    const relayed = relay([up.port], keeping());
    const clients = await crowd(relayed, up, 2);
    relayed.context.content.sweep(Infinity);
    await until(() => sockets.length === 2);
    for (const socket of sockets) socket.write(answer('{"x":1}'));
    for (const client of clients) await client.until((all) => all.includes('{"x":1}'));
    await allQuiet(relayed);
  });
});

describe("with names and rules", () => {
  test("an alias shares its model's answers, and says whose they are", async () => {
    const up = upstream(numbered);
    const aliases = { aliases: [{ alias: "e5", model: "m" }], fallbacks: [] };
    const relayed = relay([up.port], { content: { ...keeping().content, aliases } });
    expect(cacheOf(await ask(relayed.port, embed("a")))).toBe("miss");
    const text = await ask(relayed.port, post('{"model":"e5","input":"a"}', CLOSE, EMBEDDINGS));
    expect(cacheOf(text)).toBe("hit");
    expect(text).toContain("x-infermesh-model: m\r\n");
    expect(up.requests).toHaveLength(1);
  });

  test("the answer of a model that stands in is not kept for the other", async () => {
    const [m, n] = [upstream((socket) => socket.terminate()), upstream(numbered)];
    const aliases = { aliases: [], fallbacks: [{ model: "m", others: ["n"] }] };
    const relayed = relay([m.port, by("http", n.port, "n")], {
      content: { ...keeping().content, aliases },
      ejectForMs: 0,
    });
    for (let i = 0; i < 2; i++) {
      const text = await ask(relayed.port, embed("a"));
      expect(cacheOf(text)).toBe("miss");
      expect(text).toContain("x-infermesh-model: n\r\n");
    }
    expect(n.requests).toHaveLength(2);
    await allQuiet(relayed);
  });
});
