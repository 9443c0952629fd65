import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { AnswerReader, type AnswerState } from "../../src/wire/http-answer.ts";

interface Told {
  readonly state: AnswerState;
  readonly status: number;
  readonly contentType: string;
  readonly body: string;
  readonly keepsAlive: boolean;
  readonly reason: string;
}

/** Reads an answer that comes in parts that end at the given places, and then the connection's end if it was not whole. */
function read(text: string, cuts: readonly number[] = [], bytesMax = 1 << 20): Told {
  const bytes = Buffer.from(text, "latin1");
  const reader = new AnswerReader();
  reader.begin({ method: "GET", bytesMax });
  let state: AnswerState = "more";
  let from = 0;
  for (const place of [...cuts, bytes.length]) {
    const cut = Math.min(place, bytes.length);
    if (state !== "more" || cut <= from) continue;
    // As a transport does it: the bytes lie somewhere in a buffer that is used again.
    const shared = Buffer.alloc(cut - from + 7, "#");
    bytes.copy(shared, 3, from, cut);
    state = reader.push(shared, 3, 3 + cut - from);
    shared.fill("!");
    from = cut;
  }
  if (state === "more") state = reader.ended();
  const { status, contentType, keepsAlive, reason } = reader;
  return { state, status, contentType, body: Buffer.from(reader.body).toString("latin1"), keepsAlive, reason };
}

const PAGE = "a".repeat(300);
const ANSWERS: readonly (readonly [what: string, text: string, body: string, keeps: boolean])[] = [
  ["a length", `HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 300\r\n\r\n${PAGE}`, PAGE, true],
  ["a length of nothing", "HTTP/1.1 200 OK\r\ncontent-type: text/plain\r\ncontent-length: 0\r\n\r\n", "", true],
  [
    "chunks with extensions and trailers",
    `HTTP/1.1 200 OK\r\ncontent-type: text/plain\r\ntransfer-encoding: chunked\r\n\r\n64;x=y\r\n${"a".repeat(100)}\r\nC8\r\n${"a".repeat(200)}\r\n0\r\nx-sum: 1\r\n\r\n`,
    PAGE,
    true,
  ],
  ["the connection's end", `HTTP/1.1 200 OK\r\ncontent-type: text/plain\r\n\r\n${PAGE}`, PAGE, false],
  ["HTTP/1.0", `HTTP/1.0 200 OK\r\ncontent-type: text/plain\r\ncontent-length: 300\r\n\r\n${PAGE}`, PAGE, false],
  [
    "a close",
    `HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-type: text/plain\r\ncontent-length: 300\r\n\r\n${PAGE}`,
    PAGE,
    false,
  ],
  [
    "interim answers first",
    `HTTP/1.1 103 Early Hints\r\nlink: </x>\r\n\r\nHTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\ncontent-type: text/plain\r\ncontent-length: 300\r\n\r\n${PAGE}`,
    PAGE,
    true,
  ],
];

describe("an answer", () => {
  for (const [what, text, body, keepsAlive] of ANSWERS) {
    test(`with ${what} is read, whole or byte by byte`, () => {
      const expected = { state: "done", status: 200, contentType: "text/plain", body, keepsAlive, reason: "" };
      expect(read(text)).toEqual(expected as Told);
      const everywhere = Array.from({ length: text.length }, (_, at) => at + 1);
      expect(read(text, everywhere)).toEqual(expected as Told);
    });
  }

  test("is the same wherever it is cut", () => {
    const cuts = fc.array(fc.nat(700), { maxLength: 8 }).map((places) => places.sort((a, b) => a - b));
    fc.assert(
      fc.property(fc.constantFrom(...ANSWERS), cuts, ([, text], places) => {
        expect(read(text, places)).toEqual(read(text));
      }),
    );
  });

  test("of any bytes comes to an end, and never throws", () => {
    const heads = fc.constantFrom(
      "",
      "HTTP/1.1 200 OK\r\n",
      "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n",
      "HTTP/1.1 200 OK\r\n\r\n",
    );
    fc.assert(
      fc.property(heads, fc.uint8Array({ maxLength: 400 }), (head, bytes) => {
        const { state, body } = read(head + Buffer.from(bytes).toString("latin1"), [], 200);
        expect(["done", "bad", "too_large"]).toContain(state);
        expect(body.length).toBeLessThanOrEqual(200);
      }),
      { numRuns: 2000 },
    );
  });

  test.each([
    ["more than the limit by its length", `HTTP/1.1 200 OK\r\ncontent-length: 1001\r\n\r\n`],
    [
      "more than the limit in chunks",
      `HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n3e9\r\n${"x".repeat(1001)}`,
    ],
    ["more than the limit until its end", `HTTP/1.1 200 OK\r\n\r\n${"x".repeat(1001)}`],
  ])("with %s is too large", (_what, text) => {
    expect(read(text, [], 1000)).toMatchObject({ state: "too_large", reason: "it answers with more than 1000 bytes" });
    expect(read(text.replace("1001", "1000").replace("3e9", "3e8").slice(0, -1), [], 1000).state).not.toBe("too_large");
  });

  test.each([
    ["no HTTP", "SSH-2.0-OpenSSH_9.6\r\n", /no HTTP answer/],
    [
      "a compressed body",
      "HTTP/1.1 200 OK\r\ncontent-encoding: gzip\r\ncontent-length: 1\r\n\r\nx",
      /answers in gzip, which was not asked/,
    ],
    ["half a body", "HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nxxx", /amid its answer/],
    ["half a chunk", "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\nxxx", /amid its answer/],
    ["bad chunks", "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nfive\r\n", /chunked framing/],
    ["nothing", "", /unanswered/],
    ["a huge head", `HTTP/1.1 200 OK\r\nx: ${"y".repeat(70_000)}\r\n\r\n`, /larger than 65536 bytes/],
    ["many headers", `HTTP/1.1 200 OK\r\n${"x: y\r\n".repeat(300)}\r\n`, /more than 256 header lines/],
    ["interim answers without end", "HTTP/1.1 100 Continue\r\n\r\n".repeat(4000), /interim/],
  ])("of %s is bad", (_what, text, why) => {
    const { state, reason } = read(text);
    expect(state).toBe("bad");
    expect(reason).toMatch(why);
  });

  test("is told of in pieces where that is wanted", () => {
    const reader = new AnswerReader();
    const pieces: string[] = [];
    reader.begin({ method: "POST", bytesMax: 100, piece: (bytes) => pieces.push(Buffer.from(bytes).toString()) });
    const bytes = Buffer.from("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n3\r\none\r\n3\r\ntwo\r\n0\r\n\r\n");
    expect(reader.push(bytes, 0, bytes.length)).toBe("done");
    expect(pieces).toEqual(["one", "two"]);
    expect(reader.body.length).toBe(0);
  });

  test("that a node of this mesh has served is known", () => {
    const reader = new AnswerReader();
    const bytes = Buffer.from("HTTP/1.1 200 OK\r\nx-infermesh-node: gpu-1\r\ncontent-length: 0\r\n\r\n");
    for (const part of [bytes, Buffer.from("HTTP/1.1 204 No Content\r\n\r\n")]) {
      reader.begin({ method: "GET", bytesMax: 100 });
      expect(reader.push(part, 0, part.length)).toBe("done");
      expect(reader.isFromMesh).toBe(part === bytes);
    }
  });

  test("with bytes behind its end ends its connection", () => {
    expect(read("HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nokHTTP/1.1")).toMatchObject({
      state: "done",
      body: "ok",
      keepsAlive: false,
    });
  });
});
