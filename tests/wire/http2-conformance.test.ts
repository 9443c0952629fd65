/** What RFC 9113 demands of a server, case by case, in the order of its sections; each case also comes byte by byte. */
import { describe, expect, test } from "bun:test";
import { FLAG, FRAME, H2_ERROR, PREFACE, SETTING } from "../../src/wire/http2-frames.ts";
import type { Pair } from "./hpack-writer.ts";
import { data, frame, goAway, headers, Peer, POST, rst, settings, shown, windowUpdate, word } from "./http2-peer.ts";

interface Case {
  readonly section: string;
  readonly what: string;
  /** What the client sends after its preface and settings. */
  readonly sends: readonly Uint8Array[];
  /** The whole answer, without window updates of the connection. */
  readonly answers: readonly string[];
  /** What the streams' owner hears. */
  readonly hears?: readonly string[];
}

const { headers: HEADERS, continuation: CONTINUATION, priority: PRIORITY, ping: PING } = FRAME;
const E = H2_ERROR;
const end = FLAG.endStream;
const REQUEST = headers(1);
const block = (id: number, fields: readonly Pair[] = POST): Buffer => headers(id, fields).subarray(9);
const dies = (code: number, last = 0): string[] => [`goAway ${last} ${code}`];
const without = (name: string): Pair[] => POST.filter(([n]) => n !== name);
const plus = (...fields: Pair[]): Pair[] => [...POST, ...fields];
const ended = headers(1, POST, true);
const part = frame(HEADERS, 0, 1, block(1).subarray(0, 4));
const rest = (flags: number, id = 1): Buffer => frame(CONTINUATION, flags, id, block(1).subarray(4));
const padded = (type: number, flags: number, id: number, padding: number, payload: Uint8Array): Buffer =>
  frame(type, flags | FLAG.padded, id, [padding, ...payload, ...Buffer.alloc(padding)]);

function stream(section: string, what: string, sends: readonly Uint8Array[], id: number, code: number): Case {
  return { section, what, sends, answers: [`resetStream ${id} ${code}`] };
}

function connection(section: string, what: string, sends: readonly Uint8Array[], code: number, last = 0): Case {
  return { section, what, sends, answers: dies(code, last) };
}

function fine(
  section: string,
  what: string,
  sends: readonly Uint8Array[],
  hears: readonly string[],
  answers: readonly string[] = [],
): Case {
  return { section, what, sends, answers, hears };
}

/** A request that is malformed: its stream is reset and nobody hears of it. */
function malformed(section: string, what: string, fields: readonly Pair[], ...more: readonly Uint8Array[]): Case {
  return { section, what, sends: [headers(1, fields, more.length === 0), ...more], answers: ["resetStream 1 1"] };
}

const CASES: readonly Case[] = [
  // 4.1: frame format
  fine("4.1", "a frame of an unknown type", [frame(22, 0, 0, [1, 2, 3]), REQUEST], ["request 1 /a"]),
  fine("4.1", "undefined flags", [frame(PING, 0xfe, 0, Buffer.alloc(8))], [], ["ping ack 0000000000000000"]),
  fine(
    "4.1",
    "the reserved bit of a stream's id",
    [frame(PING, 0, 0x8000_0000, Buffer.alloc(8))],
    [],
    ["ping ack 0000000000000000"],
  ),
  // 4.2: frame size
  fine("4.2", "a frame of 2^14 bytes", [REQUEST, data(1, Buffer.alloc(16_384), true)], ["request 1 /a", "body 1 end"]),
  connection("4.2", "a larger DATA", [REQUEST, data(1, Buffer.alloc(16_385))], E.frameSize, 1),
  connection("4.2", "a larger HEADERS", [frame(HEADERS, 4, 1, Buffer.alloc(16_385))], E.frameSize),
  connection("4.2", "a larger frame of an unknown type", [frame(22, 0, 0, Buffer.alloc(16_385))], E.frameSize),
  // 4.3: field blocks
  connection("4.3", "a block that can't be decoded", [frame(HEADERS, 5, 1, [0xff, 0xff, 0xff])], E.compression),
  connection("4.3", "PRIORITY inside a block", [part, frame(PRIORITY, 0, 1, Buffer.alloc(5)), rest(4)], E.protocol),
  connection("4.3", "HEADERS of another stream inside a block", [part, headers(3), rest(4)], E.protocol),
  {
    section: "4.3",
    what: "a fault in a block after a stream that was refused",
    sends: [headers(1, without(":path"), true), frame(HEADERS, 5, 3, [0x80])],
    answers: [`resetStream 1 ${E.protocol}`, ...dies(E.compression, 1)],
  },
  // 5.1: stream states
  connection("5.1", "DATA on an idle stream", [data(1, "a")], E.protocol),
  connection("5.1", "RST_STREAM on an idle stream", [rst(1, 8)], E.protocol),
  connection("5.1", "WINDOW_UPDATE on an idle stream", [windowUpdate(1, 5)], E.protocol),
  connection("5.1", "CONTINUATION on an idle stream", [rest(4)], E.protocol),
  stream("5.1", "DATA on a half-closed stream", [ended, data(1, "a")], 1, E.streamClosed),
  stream("5.1", "HEADERS on a half-closed stream", [ended, headers(1, [["a", "b"]], true)], 1, E.streamClosed),
  stream("5.1", "DATA after a reset by the client", [REQUEST, rst(1, 8), data(1, "a")], 1, E.streamClosed),
  connection(
    "5.1",
    "HEADERS after a reset by the client",
    [REQUEST, rst(1, 8), headers(1, [["a", "b"]], true)],
    E.streamClosed,
    1,
  ),
  fine(
    "5.1",
    "frames after a reset by us",
    [headers(1, without(":path")), data(1, "a"), headers(1, [["a", "b"]], true), windowUpdate(1, 5), rst(1, 8)],
    [],
    ["resetStream 1 1"],
  ),
  fine(
    "5.1",
    "WINDOW_UPDATE, RST_STREAM and PRIORITY on a half-closed stream",
    [ended, windowUpdate(1, 5), frame(PRIORITY, 0, 1, Buffer.alloc(5)), rst(1, 8), windowUpdate(1, 5), rst(1, 8)],
    ["request 1 /a end", "lost 1 8"],
  ),
  fine("5.1", "PRIORITY on an idle stream", [frame(PRIORITY, 0, 7, Buffer.alloc(5)), REQUEST], ["request 1 /a"]),
  // 5.1.1: identifiers
  connection("5.1.1", "an even id", [headers(2)], E.protocol),
  connection("5.1.1", "a smaller id than before", [headers(5), headers(3)], E.protocol, 5),
  fine("5.1.1", "ids with gaps", [headers(5), headers(11)], ["request 5 /a", "request 11 /a"]),
  // 5.1.2: concurrency
  {
    section: "5.1.2",
    what: "more streams than announced",
    sends: [1, 3, 5, 7, 9, 11, 13, 15, 17].map((id) => headers(id)),
    answers: [`resetStream 17 ${E.refusedStream}`],
  },
  // 5.2: flow control
  connection(
    "5.2",
    "more than the connection's window",
    [1, 3, 5, 7, 9].flatMap((id) => [headers(id), ...Array.from({ length: 4 }, () => data(id, Buffer.alloc(16_384)))]),
    E.flowControl,
    9,
  ),
  stream(
    "5.2",
    "more than the stream's window",
    [REQUEST, ...Array.from({ length: 4 }, () => data(1, Buffer.alloc(16_384))), data(1, "a")],
    1,
    E.flowControl,
  ),
  // 5.3: priorities are ignored
  fine(
    "5.3",
    "a request with a priority",
    [frame(HEADERS, 4 | 1 | FLAG.priority, 1, [...word(3), 15, ...block(1)])],
    ["request 1 /a end"],
  ),
  connection(
    "5.3",
    "HEADERS that depend on themselves",
    [frame(HEADERS, 5 | FLAG.priority, 1, [...word(1), 15, ...block(1)])],
    E.protocol,
  ),
  connection("5.3", "PRIORITY that depends on itself", [frame(PRIORITY, 0, 1, [...word(1), 15])], E.protocol),
  // 5.5: extensions
  connection("5.5", "a frame of an unknown type inside a block", [part, frame(22, 0, 1), rest(4)], E.protocol),
  // 6.1: DATA
  connection("6.1", "without a stream", [data(0, "a")], E.protocol),
  connection(
    "6.1",
    "more padding than payload",
    [REQUEST, frame(FRAME.data, FLAG.padded, 1, [5, 1, 2, 3])],
    E.protocol,
    1,
  ),
  connection(
    "6.1",
    "padding as long as the payload",
    [REQUEST, frame(FRAME.data, FLAG.padded, 1, [4, 1, 2, 3])],
    E.protocol,
    1,
  ),
  connection("6.1", "padding without its length", [REQUEST, frame(FRAME.data, FLAG.padded, 1)], E.protocol, 1),
  fine(
    "6.1",
    "padding",
    [REQUEST, padded(FRAME.data, end, 1, 200, Buffer.from("abc"))],
    ["request 1 /a", "body 1 end"],
  ),
  fine(
    "6.1",
    "nothing but padding",
    [REQUEST, padded(FRAME.data, end, 1, 255, Buffer.alloc(0))],
    ["request 1 /a", "body 1 end"],
  ),
  // 6.2: HEADERS
  connection("6.2", "without a stream", [headers(0)], E.protocol),
  connection("6.2", "more padding than payload", [frame(HEADERS, 5 | FLAG.padded, 1, [200, ...block(1)])], E.protocol),
  connection("6.2", "padding without its length", [frame(HEADERS, 5 | FLAG.padded, 1)], E.protocol),
  connection("6.2", "a priority that is cut off", [frame(HEADERS, 5 | FLAG.priority, 1, [1, 2])], E.protocol),
  fine("6.2", "padding", [padded(HEADERS, 5, 1, 100, block(1))], ["request 1 /a end"]),
  // 6.3: PRIORITY
  connection("6.3", "without a stream", [frame(PRIORITY, 0, 0, Buffer.alloc(5))], E.protocol),
  connection("6.3", "of a wrong length", [REQUEST, frame(PRIORITY, 0, 1, Buffer.alloc(4))], E.frameSize, 1),
  // 6.4: RST_STREAM
  connection("6.4", "without a stream", [rst(0, 8)], E.protocol),
  connection("6.4", "of a wrong length", [REQUEST, frame(FRAME.resetStream, 0, 1, Buffer.alloc(3))], E.frameSize, 1),
  fine("6.4", "a stream is cancelled", [REQUEST, rst(1, 8)], ["request 1 /a", "lost 1 8"]),
  // 6.5: SETTINGS
  connection("6.5", "an acknowledgement with a payload", [frame(FRAME.settings, 1, 0, Buffer.alloc(6))], E.frameSize),
  connection("6.5", "on a stream", [frame(FRAME.settings, 0, 1)], E.protocol),
  connection("6.5", "of a wrong length", [frame(FRAME.settings, 0, 0, Buffer.alloc(5))], E.frameSize),
  fine("6.5", "an acknowledgement", [frame(FRAME.settings, 1, 0)], []),
  // 6.5.2: their values
  connection("6.5.2", "ENABLE_PUSH of 2", [settings([SETTING.enablePush, 2])], E.protocol),
  connection(
    "6.5.2",
    "INITIAL_WINDOW_SIZE beyond 2^31 - 1",
    [settings([SETTING.initialWindowSize, 0x8000_0000])],
    E.flowControl,
  ),
  connection("6.5.2", "MAX_FRAME_SIZE below 2^14", [settings([SETTING.maxFrameSize, 16_383])], E.protocol),
  connection("6.5.2", "MAX_FRAME_SIZE beyond 2^24 - 1", [settings([SETTING.maxFrameSize, 0x100_0000])], E.protocol),
  fine(
    "6.5.2",
    "an unknown setting, and every known one",
    [settings([99, 1], [1, 0], [2, 0], [3, 0], [4, 0], [5, 16_384], [6, 0])],
    [],
    ["settings ack"],
  ),
  // 6.5.3: synchronisation
  fine(
    "6.5.3",
    "two settings of one kind: the last one counts",
    [settings([5, 16_384], [5, 20_000])],
    [],
    ["settings ack"],
  ),
  // 6.6: PUSH_PROMISE
  connection(
    "6.6",
    "from a client",
    [REQUEST, frame(FRAME.pushPromise, 4, 1, [...word(2), ...block(2)])],
    E.protocol,
    1,
  ),
  // 6.7: PING
  fine(
    "6.7",
    "is answered with its payload",
    [frame(PING, 0, 0, [1, 2, 3, 4, 5, 6, 7, 8])],
    [],
    ["ping ack 0102030405060708"],
  ),
  fine("6.7", "an answer is not answered", [frame(PING, 1, 0, Buffer.alloc(8))], []),
  connection("6.7", "on a stream", [frame(PING, 0, 1, Buffer.alloc(8))], E.protocol),
  connection("6.7", "of a wrong length", [frame(PING, 0, 0, Buffer.alloc(6))], E.frameSize),
  connection("6.7", "of a wrong length, and on a stream", [frame(PING, 0, 1, Buffer.alloc(6))], E.frameSize),
  // 6.8: GOAWAY
  connection("6.8", "on a stream", [frame(FRAME.goAway, 0, 1, Buffer.alloc(8))], E.protocol),
  connection("6.8", "of a wrong length", [frame(FRAME.goAway, 0, 0, Buffer.alloc(7))], E.frameSize),
  fine(
    "6.8",
    "a client that leaves; its streams go on",
    [REQUEST, goAway(0, 0), data(1, "a", true)],
    ["request 1 /a", "going away", "body 1 end"],
  ),
  // 6.9: WINDOW_UPDATE
  connection("6.9", "of nothing", [windowUpdate(0, 0)], E.protocol),
  stream("6.9", "of nothing, on a stream", [REQUEST, windowUpdate(1, 0)], 1, E.protocol),
  connection("6.9", "of a wrong length", [frame(FRAME.windowUpdate, 0, 0, Buffer.alloc(3))], E.frameSize),
  // 6.9.1: windows beyond 2^31 - 1
  connection("6.9.1", "the connection's", [windowUpdate(0, 0x7fff_ffff), windowUpdate(0, 0x7fff_ffff)], E.flowControl),
  stream("6.9.1", "a stream's", [REQUEST, windowUpdate(1, 0x7fff_ffff)], 1, E.flowControl),
  connection(
    "6.9.2",
    "a stream's, by a setting",
    [REQUEST, windowUpdate(1, 100), settings([SETTING.initialWindowSize, 0x7fff_ffff])],
    E.flowControl,
    1,
  ),
  // 6.10: CONTINUATION
  fine(
    "6.10",
    "of a block in three parts",
    [part, frame(CONTINUATION, 0, 1, block(1).subarray(4, 6)), frame(CONTINUATION, 4, 1, block(1).subarray(6))],
    ["request 1 /a"],
  ),
  fine(
    "6.10",
    "END_STREAM stands in HEADERS",
    [frame(HEADERS, 1, 1, block(1).subarray(0, 4)), rest(4)],
    ["request 1 /a end"],
  ),
  connection("6.10", "without a stream", [part, rest(4, 0)], E.protocol),
  connection("6.10", "of another stream", [part, rest(4, 3)], E.protocol),
  connection("6.10", "after the block's end", [REQUEST, rest(4)], E.protocol, 1),
  connection("6.10", "after DATA", [REQUEST, data(1, "a"), rest(4)], E.protocol, 1),
  connection(
    "6.10",
    "without end (CVE-2024-27983)",
    [part, ...Array.from({ length: 20 }, () => frame(CONTINUATION, 0, 1, [0]))],
    E.enhanceYourCalm,
  ),
  connection(
    "6.10",
    "too large together",
    [part, ...Array.from({ length: 4 }, () => frame(CONTINUATION, 0, 1, Buffer.alloc(16_384)))],
    E.enhanceYourCalm,
  ),
  // 7: error codes
  fine("7", "unknown ones", [REQUEST, rst(1, 0xff), goAway(0, 0xff)], ["request 1 /a", "lost 1 255", "going away"]),
  // 8.1: messages
  malformed("8.1", "a second head that ends nothing", POST, headers(1, [["a", "b"]])),
  fine("8.1", "trailers", [REQUEST, data(1, "a"), headers(1, [["a", "b"]], true)], ["request 1 /a", "trailers 1 1"]),
  malformed("8.1", "a pseudo-header field in trailers", POST, headers(1, [[":path", "/"]], true)),
  malformed("8.1", "a Content-Length in trailers", POST, headers(1, [["content-length", "0"]], true)),
  // 8.2.1: field names and values
  malformed("8.2.1", "an upper-case name", plus(["X-A", "b"])),
  malformed("8.2.1", "a name with a blank", plus(["x a", "b"])),
  malformed("8.2.1", "an empty name", plus(["", "b"])),
  malformed("8.2.1", "a name with a colon inside", plus(["x:a", "b"])),
  malformed("8.2.1", "a line break in a value", plus(["a", "b\r\nc: d"])),
  malformed("8.2.1", "a zero byte in a value", plus(["a", "b\0"])),
  malformed("8.2.1", "a blank before a value", plus(["a", " b"])),
  malformed("8.2.1", "a tab after a value", plus(["a", "b\t"])),
  // 8.2.2: fields of one connection
  ...["connection", "proxy-connection", "keep-alive", "transfer-encoding", "upgrade"].map((name) =>
    malformed("8.2.2", name, plus([name, "x"])),
  ),
  malformed("8.2.2", "a TE other than trailers", plus(["te", "trailers, deflate"])),
  fine("8.2.2", "TE: trailers", [headers(1, plus(["te", "trailers"]))], ["request 1 /a"]),
  // 8.3: pseudo-header fields
  malformed("8.3", "an unknown one", plus([":test", "x"])),
  malformed("8.3", "an answer's", [[":status", "200"], ...POST]),
  malformed("8.3", "after a regular field", [...without(":path"), ["a", "b"], [":path", "/"]]),
  // 8.3.1: of requests
  malformed("8.3.1", "no :method", without(":method")),
  malformed("8.3.1", "no :scheme", without(":scheme")),
  malformed("8.3.1", "no :path", without(":path")),
  fine("8.3.1", "no :authority", [headers(1, without(":authority"))], ["request 1 /a"]),
  malformed("8.3.1", "an empty :path", [...without(":path"), [":path", ""]]),
  malformed("8.3.1", "a :path that is no path", [...without(":path"), [":path", "a"]]),
  malformed("8.3.1", "a blank in :path", [...without(":path"), [":path", "/a HTTP/1.1"]]),
  malformed("8.3.1", "a blank in :method", [...without(":method"), [":method", "GET /"]].toReversed() as Pair[]),
  malformed("8.3.1", "a user in :authority", [...without(":authority"), [":authority", "u@x"]]),
  ...POST.map((pair) => malformed("8.3.1", `two ${pair[0]}`, [pair, ...POST])),
  malformed("8.3.1", "a Host other than :authority", plus(["host", "y"])),
  fine("8.3.1", "the same Host", [headers(1, plus(["host", "x"]))], ["request 1 /a"]),
  fine(
    "8.3.1",
    "OPTIONS of everything",
    [
      headers(1, [
        [":method", "OPTIONS"],
        [":scheme", "http"],
        [":path", "*"],
      ]),
    ],
    ["request 1 *"],
  ),
  // 8.1.1: content lengths
  malformed("8.1.1", "a body longer than its length", plus(["content-length", "1"]), data(1, "ab")),
  malformed("8.1.1", "a body shorter than its length", plus(["content-length", "3"]), data(1, "ab", true)),
  malformed(
    "8.1.1",
    "several DATA shorter than their length",
    plus(["content-length", "3"]),
    data(1, "a"),
    data(1, "b", true),
  ),
  malformed("8.1.1", "a length without a body", plus(["content-length", "3"])),
  malformed(
    "8.1.1",
    "trailers before the body's end",
    plus(["content-length", "3"]),
    data(1, "ab"),
    headers(1, [["a", "b"]], true),
  ),
  malformed("8.1.1", "two lengths", plus(["content-length", "1"], ["content-length", "1"]), data(1, "a", true)),
  ...["-1", "+1", "1,1", "0x1", "", "99999999999999999"].map((length) =>
    malformed("8.1.1", `the length ${JSON.stringify(length)}`, plus(["content-length", length]), data(1, "a", true)),
  ),
  fine(
    "8.1.1",
    "a length that is kept",
    [headers(1, plus(["content-length", "2"])), data(1, "a"), data(1, "b", true)],
    ["request 1 /a", "body 1 end"],
  ),
  // 8.5: CONNECT
  fine(
    "8.5",
    "CONNECT",
    [
      headers(1, [
        [":method", "CONNECT"],
        [":authority", "x:1"],
      ]),
    ],
    ["request 1 ?"],
  ),
  malformed("8.5", "CONNECT with a path", [
    [":method", "CONNECT"],
    [":authority", "x:1"],
    [":path", "/"],
  ]),
  malformed("8.5", "CONNECT without an authority", [[":method", "CONNECT"]]),
];

/** Cases whose DATA is not to be consumed. */
const HOLDS = new Set(["5.2"]);

function run({ section, sends }: Case, byBytes: boolean): Peer {
  const peer = new Peer(true);
  peer.consumes = !HOLDS.has(section);
  if (byBytes) peer.giveBytes(...sends);
  else peer.give(...sends);
  return peer;
}

describe("conformance", () => {
  for (const one of CASES) {
    test(`${one.section} ${one.what}`, () => {
      for (const byBytes of [false, true]) {
        const peer = run(one, byBytes);
        const sent = peer.take().map(shown);
        expect(sent.filter((text) => !text.startsWith("windowUpdate"))).toEqual([...one.answers]);
        if (one.hears !== undefined) expect(peer.events).toEqual([...one.hears]);
        const died = one.answers.some((text) => text.startsWith("goAway"));
        expect(peer.connection.isClosed).toBe(died);
        if (died) expect(peer.connection.streamCount).toBe(0);
      }
    });
  }
});

describe("3.4 the preface", () => {
  const first = (...sends: Uint8Array[]): Peer => new Peer(true, {}, false).give(...sends);

  test("any other beginning ends the connection", () => {
    expect(first(Buffer.from("GET / HTTP/1.1\r\n\r\n")).events).toEqual([`failed ${E.protocol}`]);
    expect(first(PREFACE, REQUEST).events).toEqual([`failed ${E.protocol}`]);
    expect(first(PREFACE, frame(FRAME.settings, 1, 0)).events).toEqual([`failed ${E.protocol}`]);
  });

  test("our settings come first, without waiting for the peer's", () => {
    const [ours, window] = first().take();
    expect(ours?.payload.toString("hex")).toBe(
      ["0003 00000008", "0004 00010000", "0006 00008000"].join("").replace(/ /g, ""),
    );
    expect(window && shown(window)).toBe(`windowUpdate 0 ${262_144 - 65_535}`);
  });
});
