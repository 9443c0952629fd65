import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { KnownHead, KnownHeads } from "../../src/proxy/known-heads.ts";
import { HEAD_LIMITS, PARSE_DONE, RequestHead } from "../../src/wire/http1.ts";
import { Client, fixtures, ok, statusOf, until } from "./harness.ts";

const { upstream, relay } = fixtures();

const HEAD =
  "POST /v1/chat/completions?x=1 HTTP/1.1\r\nhost: x\r\nauthorization: Bearer a\r\nx-infermesh-priority: 2\r\n" +
  "content-type: application/json\r\ncontent-length: 00123\r\nconnection: keep-alive, x-hop\r\nx-hop: 1\r\n\r\n";

function parsed(bytes: Uint8Array): RequestHead | null {
  const head = new RequestHead(HEAD_LIMITS);
  return head.parse(bytes, 0, bytes.length) === PARSE_DONE ? head : null;
}

/** All that a relay reads of a head. */
function meaning(head: RequestHead): unknown {
  const { lineCount: lines } = head;
  const { method, methodStart, methodEnd, targetStart, targetEnd, hostLine, modelLine, contentTypeLine } = head;
  const { headEnd, start, minorVersion, contentLength, chunked, keepAlive, expectContinue, upgrade, hasWishes } = head;
  const { requestIdLine, contentLengthLine, traceparentLine, authorizationLine, acceptLine } = head;
  const each = [head.lineStart, head.nameEnd, head.valueStart, head.valueEnd, head.lineEnd, head.drop, head.kind];
  return [
    [method, methodStart, methodEnd, targetStart, targetEnd, hostLine, modelLine, contentTypeLine],
    [headEnd, start, minorVersion, contentLength, chunked, keepAlive, expectContinue, upgrade, hasWishes],
    [requestIdLine, contentLengthLine, traceparentLine, authorizationLine, acceptLine, lines],
    each.map((array) => Array.from(array).slice(0, lines)),
  ];
}

function learnt(text: string): KnownHead {
  const bytes = Buffer.from(text);
  const known = new KnownHead();
  known.learn(bytes, parsed(bytes)!);
  return known;
}

describe("a head that is known", () => {
  test("means what parsing it anew means, whatever bytes are changed", () => {
    const change = fc.record({ at: fc.nat(HEAD.length - 1), byte: fc.nat(255) });
    const known = learnt(HEAD);
    fc.assert(
      fc.property(fc.array(change, { maxLength: 3 }), fc.boolean(), (changes, inDigits) => {
        const bytes = Buffer.from(`${HEAD}body`);
        const digits = HEAD.indexOf("00123");
        for (const { at, byte } of changes)
          bytes[inDigits ? digits + (at % 5) : at] = inDigits ? 45 + (byte % 14) : byte;
        if (!known.fits(bytes, bytes.length)) return;
        const fresh = parsed(bytes);
        expect(fresh).not.toBeNull();
        expect(meaning(known.head)).toEqual(meaning(fresh!));
      }),
      { numRuns: 3000 },
    );
  });

  test("is known with other digits of its length, and with nothing else", () => {
    const known = learnt(HEAD);
    const other = Buffer.from(HEAD.replace("00123", "98765"));
    expect(known.fits(other, other.length)).toBe(true);
    expect(known.head.contentLength).toBe(98_765);
    for (const [from, to] of [
      ["00123", "+0123"],
      ["00123", "0012 "],
      ["host: x", "host: y"],
      ["keep-alive", "close     "],
      ["POST", "PUT "],
    ] as const) {
      const bytes = Buffer.from(HEAD.replace(from, to));
      expect(known.fits(bytes, bytes.length)).toBe(false);
    }
    expect(known.fits(Buffer.from(HEAD), HEAD.length - 1)).toBe(false);
  });

  test("forgets what was marked by who handled it", () => {
    const known = learnt(HEAD);
    const bytes = Buffer.from(HEAD);
    known.fits(bytes, bytes.length);
    known.head.drop.fill(1);
    known.fits(bytes, bytes.length);
    expect(meaning(known.head)).toEqual(meaning(parsed(bytes)!));
  });

  test("a length beyond all numbers is not known", () => {
    const text = HEAD.replace("00123", "9007199254740991");
    const known = learnt(text);
    const beyond = Buffer.from(text.replace("9007199254740991", "9007199254740993"));
    expect(known.fits(beyond, beyond.length)).toBe(false);
  });
});

test("the same head is learnt once, and there are few of them", () => {
  const heads = new KnownHeads();
  const of = (text: string) => heads.of(Buffer.from(text), parsed(Buffer.from(text))!);
  const first = of(HEAD);
  expect(of(HEAD.replace("00123", "00456"))).toBe(first);
  for (let i = 0; i < 64; i++) of(HEAD.replace("Bearer a", `Bearer ${i}`));
  expect(first!.fits(Buffer.from(HEAD), HEAD.length)).toBe(false);
  expect(of(`GET /v1/models HTTP/1.1\r\nhost: x\r\nx: ${"y".repeat(5000)}\r\n\r\n`)).toBeNull();
});

test("requests of one connection, alike and not, reach the target as they are", async () => {
  const up = upstream(ok);
  const relayed = relay([up.port]);
  const client = await Client.open(relayed.port);
  const sent: string[] = [];
  for (let i = 0; i < 40; i++) {
    const body = JSON.stringify({ model: "m", n: "x".repeat((i * 7) % 30) });
    const extra = i % 9 === 8 ? `x-other: ${i}\r\n` : "";
    sent.push(body);
    client.send(`POST /v1/completions HTTP/1.1\r\nhost: x\r\n${extra}content-length: ${body.length}\r\n\r\n${body}`);
    await until(() => client.text.split('{"ok":true}').length === i + 2);
  }
  expect(up.requests.map((request) => request.slice(request.indexOf("\r\n\r\n") + 4))).toEqual(sent);
  expect(up.requests.filter((request) => request.includes("x-other"))).toHaveLength(4);
  client.send("POST /v1/completions HTTP/1.1\r\nhost: x\r\ncontent-length: -5\r\n\r\n{}");
  expect(statusOf((await client.end()).split('{"ok":true}').at(-1)!)).toBe(400);
});
