import { expect, test } from "bun:test";
import { serveApi } from "../../src/admin/front.ts";
import { Prng } from "../../src/base/prng.ts";
import { eventually, RawClient } from "./raw-client.ts";

const GOOD = [
  "GET /a HTTP/1.1\r\nHost: a\r\n\r\n",
  "POST /b HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello",
  "POST /c HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
  "PUT /d HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\nExpect: 100-continue\r\n\r\nhi",
  "HEAD /stream HTTP/1.1\r\nHost: a\r\n\r\n",
  "GET /stream HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n",
];

/** Some requests, with some bytes changed, dropped, doubled or moved. */
function mutated(prng: Prng): string {
  let text = "";
  for (let i = 0; i <= prng.int(4); i++) text += GOOD[prng.int(GOOD.length)]!;
  for (let i = 0; i < prng.int(4); i++) {
    const at = prng.int(text.length);
    const length = 1 + prng.int(12);
    const part = text.slice(at, at + length);
    const changes = [
      String.fromCharCode(prng.int(256)) + part.slice(1),
      "",
      part + part,
      "\r\n",
      "\u0000",
      `Content-Length: ${prng.int(100)}\r\n`,
    ];
    text = text.slice(0, at) + changes[prng.int(changes.length)]! + text.slice(at + length);
  }
  return text;
}

test("whatever comes in, the front answers or closes, and nothing is left", async () => {
  const seed = Number(process.env["SEED"] ?? Date.now());
  const prng = new Prng(seed);
  const unexpected: unknown[] = [];
  const front = serveApi({
    hostname: "127.0.0.1",
    port: 0,
    app: {
      async fetch(request) {
        const body = await request.text();
        if (!request.url.endsWith("/stream")) return new Response(body);
        return new Response(
          new ReadableStream({
            async pull(controller) {
              await Bun.sleep(1);
              controller.enqueue(Buffer.from("part"));
              controller.close();
            },
          }),
        );
      },
    },
    limits: { headTimeoutMs: 100, bodyTimeoutMs: 100, idleTimeoutMs: 100 },
    onError: (error) => unexpected.push(error),
  });
  try {
    const one = async (): Promise<void> => {
      const client = await RawClient.connect(front.port);
      const text = mutated(prng);
      const split = prng.int(text.length + 1);
      client.send(text.slice(0, split));
      if (prng.int(2) === 0) await Bun.sleep(1);
      client.send(text.slice(split));
      const how = prng.int(4);
      if (how === 0) return client.reset();
      if (how === 1) client.end();
      const received = await client.untilEnded(10_000);
      // What came back is nothing, or begins as a response does.
      if (received !== "" && !received.startsWith("HTTP/1.1 ")) throw new Error(`answered ${JSON.stringify(received)}`);
      client.end();
    };
    for (let round = 0; round < 20; round++) await Promise.all(Array.from({ length: 25 }, one));
    await eventually(() => front.connections === 0, 10_000);
    expect(unexpected).toEqual([]);
  } catch (error) {
    throw new Error(`SEED=${seed}: ${(error as Error).message}`, { cause: error });
  } finally {
    await front.stop(0);
  }
});

test("hundreds of idle connections leave room for a request", async () => {
  const front = serveApi({ hostname: "127.0.0.1", port: 0, app: { fetch: () => new Response("ok") } });
  const idle = await Promise.all(Array.from({ length: 400 }, () => RawClient.connect(front.port)));
  await eventually(() => front.connections === 400);
  const client = await RawClient.connect(front.port);
  client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
  await client.until((text) => text.endsWith("ok"));
  for (const each of [...idle, client]) each.reset();
  await eventually(() => front.connections === 0);
  await front.stop(0);
});
