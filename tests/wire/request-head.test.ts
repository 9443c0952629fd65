import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { HEAD_LIMITS, METHOD, PARSE_BAD, PARSE_DONE, PARSE_MORE, RequestHead } from "../../src/wire/http1.ts";
import { bytesOf, cuts, placed } from "./pieces.ts";

const LIMITS = { headBytesMax: 1000, headersMax: 8, targetBytesMax: 100 };

function seen(head: RequestHead, result: number, bytes: Uint8Array, offset: number): object {
  if (result !== PARSE_DONE) return { result, bad: head.bad, reason: head.badReason };
  const text = (from: number, to: number) => Buffer.from(bytes.subarray(from - offset, to - offset)).toString("latin1");
  const lines = Array.from({ length: head.lineCount }, (_, i) => ({
    name: text(head.lineStart[i]!, head.nameEnd[i]!),
    value: text(head.valueStart[i]!, head.valueEnd[i]!),
    line: text(head.lineStart[i]!, head.lineEnd[i]!),
    drop: head.drop[i],
  }));
  const { method, minorVersion, contentLength, chunked, keepAlive, expectContinue, upgrade } = head;
  const { requestIdLine, contentTypeLine, authorizationLine, modelLine, acceptLine, hostLine } = head;
  const target = text(head.targetStart, head.targetEnd);
  const verb = text(head.methodStart, head.methodEnd);
  const end = head.headEnd - offset;
  const { traceparentLine, tracestateLine, traceparentTwice } = head;
  const index = {
    requestIdLine,
    contentTypeLine,
    authorizationLine,
    modelLine,
    acceptLine,
    hostLine,
    traceparentLine,
    tracestateLine,
    traceparentTwice,
  };
  const framing = { contentLength, chunked, keepAlive, expectContinue, upgrade };
  return { result, end, method, verb, target, minorVersion, ...framing, ...index, lines };
}

/** Parses in one go, then in two at every place, then byte by byte: the outcome must be the same, wherever it is cut. */
function parse(text: string, limits = LIMITS): RequestHead {
  const bytes = bytesOf(text);
  const whole = new RequestHead(limits);
  const expected = seen(whole, whole.parse(placed(bytes, bytes.length), 3, 3 + bytes.length), bytes, 3);
  const split = new RequestHead(limits);
  for (let cut = 0; cut <= bytes.length; cut++) {
    split.reset();
    let result = split.parse(placed(bytes, cut), 3, 3 + cut);
    if (result === PARSE_MORE) result = split.parse(placed(bytes, bytes.length), 3, 3 + bytes.length);
    expect(seen(split, result, bytes, 3)).toEqual(expected);
  }
  split.reset();
  let result = PARSE_MORE;
  for (let end = 0; end <= bytes.length && result === PARSE_MORE; end++) {
    result = split.parse(placed(bytes, end), 3, 3 + end);
  }
  expect(seen(split, result, bytes, 3)).toEqual(expected);
  return whole;
}

const HOST = "Host: mesh\r\n";

describe("good request heads", () => {
  test("a chat request", () => {
    const text =
      "POST /v1/chat/completions?a=b HTTP/1.1\r\nHost: mesh:8080\r\nContent-Type:application/json\r\nAuthorization: Bearer x \t\r\n" +
      "Content-Length: 17\r\nX-Request-ID: abc\r\nx-infermesh-model: m\r\nAccept: */*\r\n\r\nbody";
    const head = parse(text);
    expect(head.bad).toBe("");
    expect(head.headEnd).toBe(text.length - 4 + 3);
    expect(head.method).toBe(METHOD.POST);
    expect(head.contentLength).toBe(17);
    expect([head.hostLine, head.contentTypeLine, head.authorizationLine]).toEqual([0, 1, 2]);
    expect([head.requestIdLine, head.modelLine, head.acceptLine]).toEqual([4, 5, 6]);
    expect([...head.drop.subarray(0, 7)]).toEqual([0, 0, 0, 0, 1, 0, 0]);
    expect(head.keepAlive).toBe(true);
    expect(head.valueEnd[2]! - head.valueStart[2]!).toBe("Bearer x".length);
  });

  test.each([
    ["GET", METHOD.GET],
    ["HEAD", METHOD.HEAD],
    ["POST", METHOD.POST],
    ["PUT", METHOD.PUT],
    ["DELETE", METHOD.DELETE],
    ["OPTIONS", METHOD.OPTIONS],
    ["PATCH", METHOD.PATCH],
    ["PROPFIND", METHOD.OTHER],
    ["get", METHOD.OTHER],
  ])("method %s", (verb, method) => {
    expect(parse(`${verb} / HTTP/1.1\r\n${HOST}\r\n`).method).toBe(method);
  });

  test.each([
    ["two empty lines before the request", `\r\n\r\nGET / HTTP/1.1\r\n${HOST}\r\n`],
    ["absolute form", "GET http://mesh:80/v1/models HTTP/1.1\r\nHost: mesh:80\r\n\r\n"],
    ["absolute form with https and no path", "GET HTTPS://mesh HTTP/1.1\r\nHost: mesh\r\n\r\n"],
    ["OPTIONS *", `OPTIONS * HTTP/1.1\r\n${HOST}\r\n`],
    ["an empty Host", "GET / HTTP/1.1\r\nHost:\r\n\r\n"],
    ["an IPv6 Host", "GET / HTTP/1.1\r\nHost: [::1]:80\r\n\r\n"],
    ["HTTP/1.0 without Host", "GET / HTTP/1.0\r\n\r\n"],
    ["bytes above 127 in a value", `GET / HTTP/1.1\r\n${HOST}x: \xe9\xff\r\n\r\n`],
    ["an empty value", `GET / HTTP/1.1\r\n${HOST}x: \t \r\n\r\n`],
    ["the largest length", `POST / HTTP/1.1\r\n${HOST}Content-Length: 9007199254740991\r\n\r\n`],
    ["as many headers as may be", `GET / HTTP/1.1\r\n${HOST}${"x: y\r\n".repeat(7)}\r\n`],
    ["as long a target as may be", `GET /${"a".repeat(99)} HTTP/1.1\r\n${HOST}\r\n`],
    ["as large a head as may be", `GET / HTTP/1.1\r\n${HOST}x:${"y".repeat(1000 - 16 - 12 - 6)}\r\n\r\n`],
    ["a name as long as the longest known one", `GET / HTTP/1.1\r\n${HOST}xroxy-authorization: y\r\n\r\n`],
    ["a name longer than any known one", `GET / HTTP/1.1\r\n${HOST}x-forwarded-client-certificate: y\r\n\r\n`],
  ])("%s", (_name, text) => {
    const head = parse(text);
    expect(head.badReason).toBe("");
    expect(head.headEnd).toBe(text.length + 3);
  });

  test("the lines of a trace, which are forwarded unless somebody drops them", () => {
    const once = parse(`GET / HTTP/1.1\r\n${HOST}TraceState: a=1\r\nTraceparent: 00-x\r\ntracestate: b=2\r\n\r\n`);
    expect([once.traceparentLine, once.tracestateLine, once.traceparentTwice]).toEqual([2, 1, false]);
    expect([...once.drop.subarray(0, 4)]).toEqual([0, 0, 0, 0]);
    const twice = parse(`GET / HTTP/1.1\r\n${HOST}traceparent: a\r\ntraceparent: a\r\n\r\n`);
    expect([twice.traceparentLine, twice.tracestateLine, twice.traceparentTwice]).toEqual([1, -1, true]);
    const none = parse(`GET / HTTP/1.1\r\n${HOST}traceparents: a\r\n\r\n`);
    expect([none.traceparentLine, none.tracestateLine, none.traceparentTwice]).toEqual([-1, -1, false]);
  });

  test("chunked in any letter case", () => {
    const head = parse(`POST / HTTP/1.1\r\n${HOST}Transfer-Encoding:  CHUNKED \r\n\r\n`);
    expect([head.chunked, head.contentLength, head.drop[1]]).toEqual([true, -1, 1]);
  });

  test.each([
    ["HTTP/1.1", "", true],
    ["HTTP/1.1", "close", false],
    ["HTTP/1.1", "Close , x", false],
    ["HTTP/1.1", "keep-alive, close", false],
    ["HTTP/1.0", "", false],
    ["HTTP/1.0", "Keep-Alive", true],
    ["HTTP/1.0", "keep-alive, close", false],
  ])("%s with Connection %p: keepAlive %p", (version, option, keepAlive) => {
    const line = option === "" ? "" : `Connection: ${option}\r\n`;
    expect(parse(`GET / ${version}\r\n${HOST}${line}\r\n`).keepAlive).toBe(keepAlive);
  });

  test("lines of this hop are dropped, nominated ones too, wherever they stand", () => {
    const lines = [
      "X-Private: 1",
      "Connection: ,x-private,, UPGRADE ,TE,",
      "TE: trailers",
      "Trailer: x",
      "Upgrade: h2c",
      "x-priv: 2",
    ];
    const head = parse(`GET / HTTP/1.1\r\n${HOST}${lines.join("\r\n")}\r\n\r\n`);
    expect([...head.drop.subarray(0, head.lineCount)]).toEqual([0, 1, 1, 1, 1, 1, 0]);
    expect(head.upgrade).toBe(true);
    const more = [
      "Keep-Alive: 5",
      "Proxy-Connection: x",
      "Proxy-Authorization: y",
      "Expect: 100-Continue",
      "Upgrade: x",
      "close: y",
    ];
    const second = parse(`GET / HTTP/1.1\r\n${HOST}${more.join("\r\n")}\r\n\r\n`);
    expect([...second.drop.subarray(0, second.lineCount)]).toEqual([0, 1, 1, 1, 1, 1, 0]);
    expect([second.expectContinue, second.upgrade]).toEqual([true, false]);
  });

  test("HTTP/1.0 can't expect a continuation", () => {
    expect(parse("GET / HTTP/1.0\r\nExpect: 100-continue\r\n\r\n").expectContinue).toBe(false);
    expect(parse(`GET / HTTP/1.1\r\n${HOST}Expect: something\r\n\r\n`).expectContinue).toBe(false);
  });

  test("after the end, parse repeats its answer until reset", () => {
    const bytes = bytesOf(`GET / HTTP/1.1\r\n${HOST}\r\n`);
    const head = new RequestHead(HEAD_LIMITS);
    expect(head.parse(bytes, 0, bytes.length)).toBe(PARSE_DONE);
    expect(head.parse(bytes, 0, bytes.length)).toBe(PARSE_DONE);
    head.reset();
    expect(head.parse(bytesOf("\n"), 0, 1)).toBe(PARSE_BAD);
    expect(head.parse(bytes, 0, bytes.length)).toBe(PARSE_BAD);
  });
});

const request = (lines: string): string => `POST / HTTP/1.1\r\n${HOST}${lines}\r\n`;
const nominations = Array.from({ length: 33 }, (_, i) => `x${i}`).join(",");

const BAD: readonly (readonly [string, string, string])[] = [
  ["bare LF after the request line", "bad_request", `GET / HTTP/1.1\n${HOST}\n`],
  ["nothing but bare LFs", "bad_request", "\n\n"],
  ["bare LF after a header", "bad_request", request("x: y\nz: 1\r\n")],
  ["bare LF instead of the blank line", "bad_request", `GET / HTTP/1.1\r\n${HOST}\n`],
  ["CR without LF in the request line", "bad_request", "GET / HTTP/1.1\rHost: a\r\n\r\n"],
  ["CR without LF in a value", "bad_request", request("x: a\rb\r\n")],
  ["CR CR LF", "bad_request", request("x: a\r\r\n")],
  ["CR without LF at the end", "bad_request", "GET / HTTP/1.1\r\nHost: a\r\n\rX"],
  ["CR without LF before the request", "bad_request", `\rGET / HTTP/1.1\r\n${HOST}\r\n`],
  ["three empty lines before the request", "bad_request", `\r\n\r\n\r\nGET / HTTP/1.1\r\n${HOST}\r\n`],
  ["NUL in a value", "bad_request", request("x: a\0b\r\n")],
  ["NUL in a name", "bad_request", request("x\0: a\r\n")],
  ["NUL in the target", "bad_request", "GET /\0 HTTP/1.1\r\n\r\n"],
  ["vertical tab around a value", "bad_request", request("Transfer-Encoding: \x0bchunked\r\n")],
  ["DEL in a value", "bad_request", request("x: \x7f\r\n")],
  ["a folded line", "bad_request", request("x: a\r\n b\r\n")],
  ["a folded line with a tab", "bad_request", request("x: a\r\n\tb\r\n")],
  ["a blank before the first header", "bad_request", "GET / HTTP/1.1\r\n Host: a\r\n\r\n"],
  ["a space before the colon", "bad_request", request("Content-Length : 5\r\n")],
  ["a tab before the colon", "bad_request", request("Transfer-Encoding\t: chunked\r\n")],
  ["an empty name", "bad_request", request(": a\r\n")],
  ["a line without a colon", "bad_request", request("abc\r\n")],
  ["a bare LF in a name", "bad_request", request("abc\n: d\r\n")],
  ["a name that is no token", "bad_request", request("a(b): c\r\n")],
  ["a name with a high byte", "bad_request", request("\xe9: c\r\n")],
  ["a method that is no token", "bad_request", "G(T / HTTP/1.1\r\n\r\n"],
  ["TLS", "bad_request", "\x16\x03\x01\x02\x00\x01"],
  ["an empty method", "bad_request", " / HTTP/1.1\r\n\r\n"],
  ["a method without end", "bad_request", "A".repeat(64)],
  ["HTTP/0.9", "bad_request", "GET /\r\n"],
  ["two spaces after the method", "bad_request", "GET  / HTTP/1.1\r\n\r\n"],
  ["two spaces after the target", "bad_request", "GET /  HTTP/1.1\r\n\r\n"],
  ["a space in the target", "bad_request", "GET /a b HTTP/1.1\r\n\r\n"],
  ["a space after the version", "bad_request", "GET / HTTP/1.1 \r\n\r\n"],
  ["a fragment", "bad_request", "GET /#a HTTP/1.1\r\n\r\n"],
  ["a high byte in the target", "bad_request", "GET /\xe9 HTTP/1.1\r\n\r\n"],
  ["a target without a slash", "bad_request", "GET v1 HTTP/1.1\r\n\r\n"],
  ["an asterisk with GET", "bad_request", "GET * HTTP/1.1\r\n\r\n"],
  ["another scheme", "bad_request", "GET ftp://mesh/ HTTP/1.1\r\n\r\n"],
  ["an address without a host", "bad_request", "GET http:///v1 HTTP/1.1\r\n\r\n"],
  ["an address that ends after its scheme", "bad_request", "GET https:// HTTP/1.1\r\n\r\n"],
  ["no HTTP", "bad_request", "GET / HTXP/1.1\r\n\r\n"],
  ["http in lower case", "bad_request", "GET / http/1.1\r\n\r\n"],
  ["a version that is no number", "bad_request", "GET / HTTP/x.1\r\n\r\n"],
  ["a version without a point", "bad_request", "GET / HTTP/1,1\r\n\r\n"],
  ["a version with two digits", "bad_request", "GET / HTTP/1.10\r\n\r\n"],
  ["HTTP/2.0", "version_not_supported", "GET / HTTP/2.0\r\n\r\n"],
  ["HTTP/1.2", "version_not_supported", "GET / HTTP/1.2\r\n\r\n"],
  ["CONNECT", "not_supported", "CONNECT mesh:443 HTTP/1.1\r\n\r\n"],
  ["two equal Content-Lengths", "bad_request", request("Content-Length: 5\r\nContent-Length: 5\r\n")],
  ["two differing Content-Lengths", "bad_request", request("Content-Length: 5\r\nContent-length: 6\r\n")],
  ["a list of lengths", "bad_request", request("Content-Length: 5, 5\r\n")],
  ["a signed length", "bad_request", request("Content-Length: +5\r\n")],
  ["a negative length", "bad_request", request("Content-Length: -5\r\n")],
  ["a hexadecimal length", "bad_request", request("Content-Length: 0x5\r\n")],
  ["a length with a space", "bad_request", request("Content-Length: 5 5\r\n")],
  ["an empty length", "bad_request", request("Content-Length: \r\n")],
  ["a length of 2^53", "bad_request", request("Content-Length: 9007199254740992\r\n")],
  ["a length of 17 digits", "bad_request", request("Content-Length: 00000000000000005\r\n")],
  ["length, then chunked", "bad_request", request("Content-Length: 5\r\nTransfer-Encoding: chunked\r\n")],
  ["chunked, then length", "bad_request", request("Transfer-Encoding: chunked\r\nContent-Length: 5\r\n")],
  ["chunked in HTTP/1.0", "bad_request", "POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n"],
  [
    "chunked twice on two lines",
    "bad_request",
    request("Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n"),
  ],
  ["chunked, then identity", "bad_request", request("Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n")],
  ["chunked twice on one line", "bad_request", request("Transfer-Encoding: chunked, chunked\r\n")],
  ["chunked, but not last", "bad_request", request("Transfer-Encoding: chunked, gzip\r\n")],
  ["chunked with a parameter", "bad_request", request("Transfer-Encoding: chunked;q=1\r\n")],
  ["chunked behind a comma", "bad_request", request("Transfer-Encoding: ,chunked\r\n")],
  ["chunked in quotes", "bad_request", request('Transfer-Encoding: "chunked"\r\n')],
  ["an empty coding", "bad_request", request("Transfer-Encoding:\r\n")],
  ["another coding", "not_supported", request("Transfer-Encoding: gzip\r\n")],
  ["another coding, then chunked", "not_supported", request("Transfer-Encoding: gzip , chunked\r\n")],
  ["an almost-chunked", "not_supported", request("Transfer-Encoding: xchunked\r\n")],
  ["no Host", "bad_request", "GET / HTTP/1.1\r\n\r\n"],
  ["two Hosts", "bad_request", `GET / HTTP/1.1\r\n${HOST}${HOST}\r\n`],
  ["a Host list", "bad_request", "GET / HTTP/1.1\r\nHost: a, b\r\n\r\n"],
  ["a Host with a path", "bad_request", "GET / HTTP/1.1\r\nHost: a/b\r\n\r\n"],
  ["a Host with a user", "bad_request", "GET / HTTP/1.1\r\nHost: a@b\r\n\r\n"],
  ["two Content-Types", "bad_request", request("Content-Type: a\r\nContent-Type: b\r\n")],
  ["two Authorizations", "bad_request", request("Authorization: a\r\nAuthorization: b\r\n")],
  ["two models", "bad_request", request("x-infermesh-model: a\r\nX-Infermesh-Model: a\r\n")],
  ["a malformed Connection", "bad_request", request("Connection: close;x\r\n")],
  ["a Connection without commas", "bad_request", request("Connection: close x\r\n")],
  ["Content-Length nominated", "bad_request", request("Content-Length: 5\r\nConnection: content-length\r\n")],
  ["a tenant nominated", "bad_request", request("X-Infermesh-Tenant: a\r\nConnection: x-infermesh-tenant\r\n")],
  ["Host nominated", "bad_request", request("Connection: close, host\r\n")],
  ["Transfer-Encoding nominated", "bad_request", request("Connection: transfer-encoding\r\n")],
  ["too many nominations", "bad_request", request(`Connection: ${nominations}\r\n`)],
  ["too many headers", "head_too_large", request("x: y\r\n".repeat(8))],
  ["too large a head", "head_too_large", request(`x: ${"y".repeat(1000)}\r\n`)],
  ["a head too large by one byte", "head_too_large", `GET / HTTP/1.1\r\n${HOST}x:${"y".repeat(967)}\r\n\r\n`],
  ["a head without end", "head_too_large", `GET / HTTP/1.1\r\n${HOST}x${"y".repeat(1200)}`],
  ["too long a target", "uri_too_long", `GET /${"a".repeat(100)} HTTP/1.1\r\n${HOST}\r\n`],
  ["a target without end", "uri_too_long", `GET /${"a".repeat(1200)}`],
];

describe("bad request heads", () => {
  test.each(BAD)("%s: %s", (_name, code, text) => {
    const head = parse(text);
    expect(head.bad as string).toBe(code);
    expect(head.badReason).not.toBe("");
  });

  test("a start line larger than the whole head may be", () => {
    const head = parse("GET /aaaaaaaaaaaaaaaaaaaaaaaaa HTTP/1.1\r\n", {
      headBytesMax: 20,
      headersMax: 8,
      targetBytesMax: 100,
    });
    expect(head.bad).toBe("head_too_large");
  });

  test.each([
    ["a bare LF", "GET / HTTP/1.1\n"],
    ["a bad method", "\x16"],
    ["a bad name", `GET / HTTP/1.1\r\n${HOST}a `],
  ])("%s is found as soon as it is there", (_name, text) => {
    const bytes = bytesOf(text);
    const head = new RequestHead(HEAD_LIMITS);
    expect(head.parse(bytes, 0, bytes.length - 1)).toBe(PARSE_MORE);
    expect(head.parse(bytes, 0, bytes.length)).toBe(PARSE_BAD);
  });
});

describe("cost and limits", () => {
  test("a dripped head is read once, not once a drip", () => {
    const bytes = bytesOf(
      `POST /${"a".repeat(4000)} HTTP/1.1\r\n${HOST}x: ${"y".repeat(8000)}\r\n${"n".repeat(8000)}: 1\r\n\r\n`,
    );
    let reads = 0;
    const counted = new Proxy(bytes, {
      get(target, key) {
        reads++;
        return Reflect.get(target, key, target);
      },
    });
    const head = new RequestHead(HEAD_LIMITS);
    let result = PARSE_MORE;
    for (let end = 1; end <= bytes.length; end++) result = head.parse(counted, 0, end);
    expect(result).toBe(PARSE_DONE);
    expect(reads).toBeLessThan(bytes.length * 3);
  });

  test("random cuts give what one piece gives", () => {
    const texts = [...BAD.map(([, , text]) => text), request("x: y\r\nConnection: x, close\r\nContent-Length: 10\r\n")];
    const arbitrary = fc.constantFrom(...texts).chain((text) => fc.tuple(fc.constant(text), cuts(text.length)));
    fc.assert(
      fc.property(arbitrary, ([text, places]) => {
        const bytes = bytesOf(text);
        const whole = new RequestHead(LIMITS);
        const expected = seen(whole, whole.parse(bytes, 0, bytes.length), bytes, 0);
        const split = new RequestHead(LIMITS);
        let result = PARSE_MORE;
        for (const end of [...places.toSorted((a, b) => a - b), bytes.length]) {
          if (result === PARSE_MORE) result = split.parse(placed(bytes, end, 0), 0, end);
        }
        expect(seen(split, result, bytes, 0)).toEqual(expected);
      }),
      { numRuns: 500 },
    );
  });
});
