/**
 * Framing attacks made up at random: fields, line ends, blanks, chunks and trailers that have deceived somebody, in any
 * combination, sent in any pieces. Whatever comes of it, what reaches the upstream is well-formed, every reading finds
 * the same requests in it, and they are no more than the answers that the client was given.
 */
import { expect, test } from "bun:test";
import fc from "fast-check";
import { answer, CHAT, chunk, Client, Relay, until, useTransport } from "./harness.ts";
import { disagreements, StrictUpstream } from "./strict-upstream.ts";

const RUNS = 300;
/** Long enough for what was sent to be read; what comes later is not judged. */
const SETTLE_MS = 4;

const LINES = [
  "POST /v1/chat/completions HTTP/1.1\r\n",
  "POST /v1/chat/completions HTTP/1.0\r\n",
  "POST http://other/v1/completions HTTP/1.1\r\n",
  "GET /v1/files HTTP/1.1\r\nx-infermesh-model: m\r\n",
  "GET /v1/models HTTP/1.1\r\n",
  "\r\nPOST /v1/completions HTTP/1.1\r\n",
];
const FIELDS = [
  `content-length: ${CHAT.length}\r\n`,
  "Content-Length: 5\r\n",
  "content-length: 0\r\n",
  "content-length : 4\r\n",
  "content-length: 4\n",
  "content-length: +4\r\n",
  "transfer-encoding: chunked\r\n",
  "Transfer-Encoding:\tCHUNKED \r\n",
  "transfer-encoding: identity, chunked\r\n",
  'transfer-encoding: "chunked"\r\n',
  "transfer-encoding : chunked\r\n",
  "transfer-encoding: chunked\n",
  "transfer-encoding: \x0bchunked\r\n",
  "x: y\r\n",
  "x: y\n",
  "x: y\rtransfer-encoding: chunked\r\n",
  " folded: chunked\r\n",
  "x\0: y\r\n",
  "x: a\0b\r\n",
  "connection: keep-alive\r\n",
  "connection: close\r\n",
  "connection: content-length, transfer-encoding\r\n",
  "connection: upgrade\r\nupgrade: h2c\r\n",
  "expect: 100-continue\r\n",
  "te: trailers\r\n",
];
const BODIES = [
  CHAT,
  `${chunk(CHAT)}0\r\n\r\n`,
  chunk(CHAT),
  chunk(CHAT).replace("\r\n", ";a=b\r\n"),
  chunk(CHAT).replace("\r\n", "\n"),
  `0x${chunk(CHAT)}`,
  "0\r\n\r\n",
  "0\r\nx: y\r\n\r\n",
  "0\r\nx : y\r\n\r\n",
  "0\n\n",
  "-1\r\n",
  "fffffffffffffffff\r\n",
  "\r\n",
  `POST /v1/smuggled HTTP/1.1\r\nhost: x\r\ncontent-length: ${CHAT.length}\r\n\r\n${CHAT}`,
];

const message = fc
  .tuple(
    fc.constantFrom(...LINES),
    fc.array(fc.constantFrom(...FIELDS), { maxLength: 4 }),
    fc.array(fc.constantFrom(...BODIES), { maxLength: 3 }),
  )
  .map(([line, fields, bodies]) => `${line}host: x\r\n${fields.join("")}\r\n${bodies.join("")}`);

const attack = fc.array(message, { minLength: 1, maxLength: 3 }).chain((messages) => {
  const text = messages.join("");
  return fc.record({ text: fc.constant(text), cuts: fc.array(fc.nat(text.length), { maxLength: 5 }) });
});

async function withstand(text: string, cuts: readonly number[]): Promise<void> {
  const upstream = new StrictUpstream(() => answer('{"ok":true}'));
  const relay = new Relay([upstream.port]);
  try {
    const client = await Client.open(relay.port);
    let from = 0;
    for (const to of [...cuts.toSorted((a, b) => a - b), text.length]) {
      if (client.closed) break;
      client.send(Buffer.from(text.slice(from, to), "latin1"));
      await new Promise(setImmediate);
      from = to;
    }
    await Bun.sleep(SETTLE_MS);
    const served = (): number => client.text.match(/\{"ok":true\}/g)?.length ?? 0;
    await until(() => upstream.requests.length === served());
    client.leave();
    await until(() => relay.inFlight === 0);
    expect(upstream.faults).toEqual([]);
    for (const stream of upstream.streams) expect(disagreements(stream.text)).toEqual([]);
  } finally {
    relay.stop();
    upstream.stop();
  }
}

test.each(["bun", "epoll"] as const)("no combination smuggles a request, over streams of %s", async (kind) => {
  useTransport(kind);
  try {
    await fc.assert(
      fc.asyncProperty(attack, ({ text, cuts }) => withstand(text, cuts)),
      { numRuns: RUNS },
    );
  } finally {
    useTransport("epoll");
  }
});
