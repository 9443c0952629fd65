import { afterEach, describe, expect, test } from "bun:test";
import { BunTransport } from "../../src/net/bun-streams.ts";
import { Dialer } from "../../src/net/dialer.ts";
import { HttpConnection, type HttpRequest, type HttpResult } from "../../src/telemetry/http-connection.ts";
import { until } from "./mock-server.ts";
import { answerOf, type Script, scriptedServer, type ScriptedServer } from "./scripted-server.ts";

const dialer = new Dialer(new BunTransport(), { verify: true });
const servers: ScriptedServer[] = [];
const connections: HttpConnection[] = [];

afterEach(async () => {
  for (const connection of connections.splice(0)) connection.close();
  await Promise.all(servers.splice(0).map((server) => server.stop()));
});

async function serving(script: Script, listen = {}): Promise<ScriptedServer> {
  const server = await scriptedServer(script, listen);
  servers.push(server);
  return server;
}

function connectionTo(port: number, host = "127.0.0.1") {
  const told: string[] = [];
  const connection = new HttpConnection({
    dialer: () => dialer,
    place: { host, port, tls: false },
    closed: () => told.push("closed"),
  });
  connections.push(connection);
  const ask = async (of: Partial<HttpRequest> = {}): Promise<string> => {
    const bytes = Buffer.from(`${of.method ?? "GET"} / HTTP/1.1\r\nhost: x\r\n\r\n`);
    return wordsOf(await connection.ask({ method: "GET", bytes, timeoutMs: 5000, bytesMax: 1 << 23, ...of }));
  };
  return { connection, told, ask };
}

function wordsOf(result: HttpResult): string {
  if (!result.ok) return `${result.kind}: ${result.message}`;
  return `${result.answer.status} ${Buffer.from(result.answer.body).toString("latin1")}`;
}

describe("a kept connection", () => {
  test("serves one request after the other, and tells of its end", async () => {
    const server = await serving((_, socket, count) => socket.write(answerOf(`page ${count}`)));
    const { ask, told, connection } = connectionTo(server.port);
    expect([await ask(), await ask(), await ask()]).toEqual(["200 page 1", "200 page 2", "200 page 3"]);
    expect([server.accepted(), told, await connection.connect(1000)]).toEqual([1, [], ""]);
    for (const socket of server.sockets) socket.destroy();
    await until(() => told.length > 0, "the end is told");
    expect(told).toEqual(["closed"]);
    expect(await connection.connect(5000)).toBe("");
    await until(() => server.accepted() === 2, "it is open again");
    expect(await ask()).toBe("200 page 4");
    expect([server.accepted(), told.length]).toEqual([2, 1]);
  });

  test("is made anew to see whether somebody listens where it has served nothing yet", async () => {
    const server = await serving((_, socket, count) => socket.write(answerOf(`page ${count}`)));
    const { ask, connection } = connectionTo(server.port);
    for (let number = 1; number <= 3; number += 1) {
      expect(await connection.connect(5000)).toBe("");
      await until(() => server.accepted() === number, "it was taken");
    }
    expect([await ask(), await connection.connect(5000), server.accepted()]).toEqual(["200 page 1", "", 3]);
  });

  test("that a server says it closes is no news, nor is its end", async () => {
    const server = await serving((_, socket, count) => socket.end(answerOf(`page ${count}`, "connection: close\r\n")));
    const { ask, told } = connectionTo(server.port);
    for (const page of [1, 2, 3]) expect(await ask()).toBe(`200 page ${page}`);
    await until(() => server.sockets.size === 0, "all are closed");
    expect(told).toEqual([]);
  });

  test("of a server of HTTP/1.0, which ends its answers by closing, is no news either", async () => {
    const server = await serving((_, socket, count) => socket.end(`HTTP/1.0 200 OK\r\n\r\npage ${count}`));
    const { ask, told } = connectionTo(server.port);
    for (const page of [1, 2]) expect(await ask()).toBe(`200 page ${page}`);
    expect(told).toEqual([]);
  });

  test("that ends just as it is used again is made anew, and the request sent again", async () => {
    const server = await serving((_, socket, count) => {
      if (count === 2) socket.destroy();
      else socket.write(answerOf(`page ${count}`));
    });
    const { ask, told } = connectionTo(server.port);
    expect([await ask(), await ask()]).toEqual(["200 page 1", "200 page 3"]);
    expect(told).toEqual(["closed"]);
  });

  test("that ends so under a request that may change something is not", async () => {
    const server = await serving((_, socket, count) => {
      if (count === 2) socket.destroy();
      else socket.write(answerOf(`page ${count}`));
    });
    const { ask } = connectionTo(server.port);
    expect([await ask(), await ask({ method: "POST" })]).toEqual([
      "200 page 1",
      "broken: it ended the connection unanswered",
    ]);
    expect(server.requests.length).toBe(2);
  });

  test("whose server is gone is refused", async () => {
    const server = await serving((_, socket) => socket.write(answerOf("page")));
    const { ask, told, connection } = connectionTo(server.port);
    await ask();
    await server.stop();
    await until(() => told.length > 0, "the end is told");
    expect(await connection.connect(5000)).toBe("connection refused");
    expect(await ask()).toBe("refused: connection refused");
  });

  test("with bytes that nobody asked for is closed", async () => {
    const server = await serving((_, socket) => {
      socket.write(answerOf("page"));
      setTimeout(() => socket.write("HTTP/1.1 200 OK\r\n"), 20);
    });
    const { ask, told } = connectionTo(server.port);
    await ask();
    await until(() => told.length > 0, "it is closed");
    expect(told).toEqual(["closed"]);
  });
});

describe("a connection without a request", () => {
  test("that ends before it served is no news: the next one would end as well", async () => {
    const server = await serving(() => {});
    const { told, connection } = connectionTo(server.port);
    expect(await connection.connect(5000)).toBe("");
    await until(() => server.sockets.size === 1, "it is taken");
    for (const socket of server.sockets) socket.destroy();
    await until(() => !connection.isOpen, "it is gone");
    expect(told).toEqual([]);
  });

  test("is called off with the request that waits for it", async () => {
    const server = await serving(() => {});
    const { connection, ask } = connectionTo(server.port);
    const [connected, asked] = [connection.connect(20_000), ask()];
    connection.close();
    expect([await connected, await asked]).toEqual(["it was called off", "broken: it was called off"]);
  });
});

describe("an ask", () => {
  test("that is not answered in time ends, and the next one is asked anew", async () => {
    const server = await serving((_, socket, count) => {
      if (count > 1) socket.write(answerOf("page"));
    });
    const { ask } = connectionTo(server.port);
    expect(await ask({ timeoutMs: 50 })).toBe("timeout: no answer within 50 ms");
    expect(await ask()).toBe("200 page");
    await until(() => server.sockets.size === 1, "the first connection is gone");
  });

  test("whose answer trickles in ends at its deadline", async () => {
    const server = await serving((_, socket) => {
      socket.write("HTTP/1.1 200 OK\r\ncontent-length: 1000\r\n\r\n");
      const timer = setInterval(() => socket.write("x"), 10);
      socket.on("close", () => clearInterval(timer));
    });
    const { ask } = connectionTo(server.port);
    expect(await ask({ timeoutMs: 200 })).toBe("timeout: no answer within 200 ms");
  });

  test("is answered with megabytes, or not, by its limit", async () => {
    const page = "x".repeat(5 * 1024 ** 2);
    const server = await serving((_, socket) => socket.write(answerOf(page)));
    const { ask } = connectionTo(server.port);
    expect((await ask()).length).toBe(page.length + 4);
    expect(await ask({ bytesMax: 1000 })).toBe("too_large: it answers with more than 1000 bytes");
    expect((await ask()).length).toBe(page.length + 4);
  });

  test("of what speaks no HTTP is broken", async () => {
    const server = await serving((_, socket) => socket.write("220 mail.example ESMTP\r\n"));
    expect(await connectionTo(server.port).ask()).toBe("broken: no HTTP answer");
  });

  test("that is called off ends", async () => {
    const server = await serving(() => {});
    const { ask, connection } = connectionTo(server.port);
    const asked = ask();
    await until(() => server.requests.length === 1, "it was asked");
    connection.close();
    expect(await asked).toBe("broken: it was called off");
    await until(() => server.sockets.size === 0, "the connection is gone");
  });

  test("goes over a unix socket too, and says when there is none", async () => {
    const path = `/tmp/rtshell-${process.pid}.sock`;
    await serving((_, socket) => socket.write(answerOf("page")), { path });
    expect(await connectionTo(0, path).ask()).toBe("200 page");
    expect(await connectionTo(0, `${path}.none`).ask()).toBe("refused: there is no such socket");
  });

  test("of an unknown host ends with the reason", async () => {
    expect(await connectionTo(80, "no-such-host.invalid").ask({ timeoutMs: 20_000 })).toMatch(
      /^(unreachable|timeout): /,
    );
  });
});

describe("who speaks something else than was expected", () => {
  test("is told of by what is wrong: no TLS, or no end of a connection being made", async () => {
    const plain = await serving((_, socket) => socket.write(answerOf("page")));
    plain.sockets.clear();
    const place = { host: "127.0.0.1", port: plain.port, tls: true };
    const connection = new HttpConnection({ dialer: () => dialer, place });
    connections.push(connection);
    expect(await connection.connect(50)).toBe("no connection within 50 ms");
    const asking = connection.ask({ method: "GET", bytes: Buffer.from(""), timeoutMs: 50, bytesMax: 10 });
    expect(wordsOf(await asking)).toBe("timeout: no connection within 50 ms");
    const greeting = Bun.listen({
      hostname: "127.0.0.1",
      port: 0,
      socket: { open: (socket) => void socket.write("HTTP/1.1 400 Bad Request\r\n\r\n"), data() {} },
    });
    const other = new HttpConnection({ dialer: () => dialer, place: { ...place, port: greeting.port } });
    connections.push(other);
    expect(await other.connect(5000)).toBe("it speaks no TLS at that port");
    greeting.stop(true);
  });
});
