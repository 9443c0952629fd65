import { describe, expect, test } from "bun:test";
import { METHOD, PARSE_DONE, PARSE_MORE, ResponseHead } from "../../src/wire/http1.ts";
import { bytesOf, placed } from "./pieces.ts";

const LIMITS = { headBytesMax: 400, headersMax: 4, targetBytesMax: 0 };

function seen(head: ResponseHead, result: number): object {
  const { bad, badReason, status, minorVersion, contentLength, chunked, keepAlive, eventStream, lineCount } = head;
  if (result !== PARSE_DONE) return { result, bad, badReason };
  const drop = [...head.drop.subarray(0, lineCount)];
  return { result, status, minorVersion, contentLength, chunked, keepAlive, eventStream, drop, end: head.headEnd };
}

/** Parses whole, in two at every place, and dripped: all must agree. */
function parse(text: string): ResponseHead {
  const bytes = bytesOf(text);
  const whole = new ResponseHead(LIMITS);
  const expected = seen(whole, whole.parse(placed(bytes, bytes.length), 3, 3 + bytes.length));
  const split = new ResponseHead(LIMITS);
  for (let cut = 0; cut <= bytes.length; cut++) {
    split.reset();
    let result = split.parse(placed(bytes, cut), 3, 3 + cut);
    if (result === PARSE_MORE) result = split.parse(placed(bytes, bytes.length), 3, 3 + bytes.length);
    expect(seen(split, result)).toEqual(expected);
  }
  split.reset();
  let result = PARSE_MORE;
  for (let end = 0; end <= bytes.length && result === PARSE_MORE; end++) {
    result = split.parse(placed(bytes, end), 3, 3 + end);
  }
  expect(seen(split, result)).toEqual(expected);
  return whole;
}

describe("good response heads", () => {
  test("an event stream", () => {
    const text =
      "HTTP/1.1 200 OK\r\nContent-Type: Text/Event-Stream; charset=utf-8\r\nTransfer-Encoding: chunked\r\n\r\n";
    const head = parse(text);
    expect([head.status, head.chunked, head.eventStream, head.keepAlive]).toEqual([200, true, true, true]);
    expect(head.headEnd).toBe(text.length + 3);
    expect([...head.drop.subarray(0, 2)]).toEqual([0, 1]);
  });

  test.each([
    ["HTTP/1.1 200 OK\r\n\r\n", 200],
    ["HTTP/1.1 200 \r\n\r\n", 200],
    ["HTTP/1.1 204\r\n\r\n", 204],
    ["HTTP/1.0 404 Not \xe9 Found\r\n\r\n", 404],
    ["HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\n\r\n", 100],
    ["HTTP/1.1 599 ?\r\nContent-Type: a\r\nContent-Type: b\r\n\r\n", 599],
  ])("%j", (text, status) => {
    const head = parse(text);
    expect(head.badReason).toBe("");
    expect(head.status).toBe(status);
  });

  test.each([
    ["text/event-stream", true],
    ["text/event-stream ; x=y", true],
    ["TEXT/event-stream\t;", true],
    ["text/event-streams", false],
    ["text/event", false],
    ["application/json", false],
  ])("content type %j: event stream %p", (type, eventStream) => {
    expect(parse(`HTTP/1.1 200 OK\r\nContent-Type: ${type}\r\n\r\n`).eventStream).toBe(eventStream);
  });

  test("HTTP/1.0 keeps a connection only when it says so", () => {
    expect(parse("HTTP/1.0 200 OK\r\n\r\n").keepAlive).toBe(false);
    expect(parse("HTTP/1.0 200 OK\r\nConnection: keep-alive\r\n\r\n").keepAlive).toBe(true);
    expect(parse("HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n").keepAlive).toBe(false);
  });

  test("what this mesh says itself is not forwarded", () => {
    const head = parse(
      "HTTP/1.1 200 OK\r\nx-request-id: a\r\nX-Infermesh-Node: b\r\nServer: c\r\nKeep-Alive: d\r\n\r\n",
    );
    expect([...head.drop.subarray(0, 4)]).toEqual([1, 1, 0, 1]);
  });

  test("no length goes with an answer that can have no body", () => {
    expect(parse("HTTP/1.1 204 No\r\nContent-Length: 5\r\n\r\n").drop[0]).toBe(1);
    expect(parse("HTTP/1.1 103 Hints\r\nA: b\r\nContent-Length: 5\r\n\r\n").drop[1]).toBe(1);
    expect(parse("HTTP/1.1 304 Not\r\nContent-Length: 5\r\n\r\n").drop[0]).toBe(0);
  });

  test.each([
    ["200 OK", METHOD.HEAD, true],
    ["200 OK", METHOD.POST, false],
    ["101 Switching", METHOD.GET, true],
    ["204 No Content", METHOD.GET, true],
    ["304 Not Modified", METHOD.GET, true],
    ["404 Not Found", METHOD.GET, false],
  ])("%s to method %p: bodyless %p", (status, method, bodyless) => {
    expect(parse(`HTTP/1.1 ${status}\r\n\r\n`).bodyless(method)).toBe(bodyless);
  });
});

describe("bad response heads are the upstream's fault", () => {
  test.each([
    ["no HTTP", "SSH-2.0-OpenSSH\r\n"],
    ["HTTP/2", "HTTP/2.0 200 OK\r\n\r\n"],
    ["a version without a point", "HTTP/1_1 200 OK\r\n\r\n"],
    ["HTTP/1.2", "HTTP/1.2 200 OK\r\n\r\n"],
    ["two spaces before the status", "HTTP/1.1  200 OK\r\n\r\n"],
    ["a tab before the status", "HTTP/1.1\t200 OK\r\n\r\n"],
    ["a status of two digits", "HTTP/1.1 20 OK\r\n\r\n"],
    ["a status of four digits", "HTTP/1.1 2000 OK\r\n\r\n"],
    ["a status below 100", "HTTP/1.1 099 OK\r\n\r\n"],
    ["a status above 599", "HTTP/1.1 600 OK\r\n\r\n"],
    ["a bare LF", "HTTP/1.1 200 OK\n\n"],
    ["a bare LF without a reason", "HTTP/1.1 200\n\n"],
    ["a CR without LF", "HTTP/1.1 200 OK\rX"],
    ["NUL in the reason", "HTTP/1.1 200 O\0K\r\n\r\n"],
    ["two lengths", "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 5\r\n\r\n"],
    ["length and chunked", "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n"],
    ["another coding", "HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n"],
    ["chunked in HTTP/1.0", "HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"],
    ["a folded line", "HTTP/1.1 200 OK\r\nA: b\r\n c\r\n\r\n"],
    ["too many headers", `HTTP/1.1 200 OK\r\n${"a: b\r\n".repeat(5)}\r\n`],
    ["too large a head", `HTTP/1.1 200 ${"O".repeat(500)}\r\n\r\n`],
  ])("%s", (_name, text) => {
    const head = parse(text);
    expect(head.bad).toBe("upstream_failed");
    expect(head.badReason).not.toBe("");
  });
});
