import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { fieldOf } from "../../src/wire/header-field.ts";
import { FLAG, FRAME, H2_ERROR, PREFACE, SETTING } from "../../src/wire/http2-frames.ts";
import type { Http2Stream } from "../../src/wire/http2-stream.ts";
import {
  data,
  frame,
  framesOf,
  goAway,
  headers,
  Peer,
  POST,
  rst,
  settings,
  shown,
  windowUpdate,
} from "./http2-peer.ts";
import { cutAt } from "./pieces.ts";

const E = H2_ERROR;
const HEAD = fieldOf(":status", "200").encoded;
const LONG_HEAD = fieldOf("a", "b".repeat(40_000)).encoded;
const REQUEST = fieldOf(":method", "POST").encoded;
const ASK = Buffer.concat(POST.map(([name, value]) => fieldOf(name, value).encoded));
const TRAILER = fieldOf("grpc-status", "0").encoded;
const bytes = (length: number): Buffer => Buffer.alloc(length, 97);

/** A server with one request open. */
function serving(options = {}, ...sends: Uint8Array[]): { peer: Peer; stream: Http2Stream } {
  const peer = new Peer(true, options).give(headers(1, POST, true), ...sends);
  const stream = peer.streams.get(1)!;
  peer.take();
  return { peer, stream };
}

/** A client with one request sent. */
function asking(options = {}): { peer: Peer; stream: Http2Stream } {
  const peer = new Peer(false, options);
  const stream = peer.connection.open(peer, REQUEST, 0, REQUEST.length, true)!;
  peer.take();
  return { peer, stream };
}

describe("sending", () => {
  test("a head and a body, each frame at most 16 KiB", () => {
    const { peer, stream } = serving();
    peer.connection.sendHead(stream, HEAD, 0, HEAD.length, false);
    expect(peer.connection.sendBody(stream, bytes(20_000), 0, 20_000, true)).toBe(true);
    const [head, ...rest] = peer.take();
    // The first block of a connection begins with the size update to zero.
    expect([...(head?.payload ?? [])]).toEqual([0x20, 0x88]);
    expect(rest.map(shown)).toEqual(["data 1 16384", "data 1 3616 end"]);
    expect(peer.connection.streamCount).toBe(0);
  });

  test("a long head goes on in CONTINUATION", () => {
    const { peer, stream } = serving();
    peer.connection.sendHead(stream, LONG_HEAD, 0, LONG_HEAD.length, true);
    const frames = peer.take();
    expect(frames.map(({ type, flags, payload }) => [type, flags, payload.length])).toEqual([
      [FRAME.headers, FLAG.endStream, 16_384],
      [FRAME.continuation, 0, 16_384],
      [FRAME.continuation, FLAG.endHeaders, LONG_HEAD.length + 1 - 32_768],
    ]);
    expect(peer.fields(Buffer.concat(frames.map(({ payload }) => payload)))).toEqual([["a", "b".repeat(40_000)]]);
  });

  test("a window below zero lets a stream end, and nothing else through", () => {
    const { peer, stream } = serving({}, settings([SETTING.initialWindowSize, 10]));
    peer.connection.sendHead(stream, HEAD, 0, HEAD.length, false);
    peer.connection.sendBody(stream, bytes(8), 0, 8, false);
    peer.give(settings([SETTING.initialWindowSize, 0]));
    peer.connection.sendBody(stream, bytes(0), 0, 0, true);
    expect(peer.sent()).toEqual(["headers 1", "data 1 8", "settings ack", "data 1 0 end"]);
    expect(peer.connection.streamCount).toBe(0);
  });

  test("a closed window holds a body back, and trailers behind it", () => {
    const { peer, stream } = serving({}, settings([SETTING.initialWindowSize, 10]));
    peer.connection.sendHead(stream, HEAD, 0, HEAD.length, false);
    expect(peer.connection.sendBody(stream, bytes(25), 0, 25, false)).toBe(false);
    peer.connection.sendHead(stream, HEAD, 0, HEAD.length, true);
    expect(peer.sent()).toEqual(["headers 1", "data 1 10"]);
    peer.give(windowUpdate(1, 5));
    expect(peer.sent()).toEqual(["data 1 5"]);
    peer.give(settings([SETTING.initialWindowSize, 30]));
    expect(peer.sent()).toEqual(["settings ack", "data 1 10", "headers 1 end"]);
    expect(peer.connection.streamCount).toBe(0);
  });

  test("small pieces wait together, in order", () => {
    const { peer, stream } = serving({}, settings([SETTING.initialWindowSize, 0]));
    peer.connection.sendHead(stream, HEAD, 0, HEAD.length, false);
    const all = Buffer.from(Array.from({ length: 20_000 }, (_, i) => i % 251));
    for (let at = 0; at < all.length; at++) peer.connection.sendBody(stream, all, at, at + 1, false);
    peer.connection.sendBody(stream, all, 0, 0, true);
    expect(stream.queue!.length).toBeLessThan(10);
    peer.take();
    peer.give(windowUpdate(1, 7000));
    peer.give(windowUpdate(1, 7000));
    peer.give(windowUpdate(1, 6000));
    const frames = peer.take();
    expect(frames.every(({ type }) => type === FRAME.data)).toBe(true);
    expect(Buffer.concat(frames.map(({ payload }) => payload)).equals(all)).toBe(true);
    expect(frames.at(-1)?.flags).toBe(FLAG.endStream);
    expect(peer.connection.streamCount).toBe(0);
  });

  test("a window may be negative", () => {
    const { peer, stream } = serving({}, settings([SETTING.initialWindowSize, 10]));
    peer.connection.sendBody(stream, bytes(10), 0, 10, false);
    peer.give(settings([SETTING.initialWindowSize, 3]));
    expect(peer.connection.sendBody(stream, bytes(2), 0, 2, false)).toBe(false);
    peer.give(windowUpdate(1, 7));
    expect(peer.sent()).toEqual(["data 1 10", "settings ack"]);
    peer.give(windowUpdate(1, 1));
    expect(peer.sent()).toEqual(["data 1 1"]);
    peer.give(windowUpdate(1, 1));
    expect(peer.sent()).toEqual(["data 1 1"]);
    expect(peer.events.at(-1)).toBe("writable 1");
  });

  test("the connection's window is shared, in turns", () => {
    const peer = new Peer(true, {}).give(...[1, 3, 5].map((id) => headers(id, POST, true)));
    const [a, b, c] = [1, 3, 5].map((id) => peer.streams.get(id)!);
    peer.connection.sendBody(a!, bytes(65_535), 0, 65_535, false);
    for (const stream of [a, b, c]) peer.connection.sendBody(stream!, bytes(5), 0, 5, true);
    peer.take();
    peer.give(windowUpdate(1, 100), windowUpdate(0, 7));
    expect(peer.sent()).toEqual(["data 1 5 end", "data 3 2"]);
    peer.give(windowUpdate(0, 4));
    expect(peer.sent()).toEqual(["data 5 4"]);
    peer.give(windowUpdate(0, 100));
    expect(peer.sent().toSorted()).toEqual(["data 3 3 end", "data 5 1 end"]);
  });

  test("while output is full, bodies wait in their streams", () => {
    const { peer, stream } = serving({ outputBytesMax: 1000 }, windowUpdate(0, 1 << 20), windowUpdate(1, 1 << 20));
    expect(peer.connection.sendBody(stream, bytes(1000), 0, 1000, false)).toBe(true);
    expect(peer.connection.sendBody(stream, bytes(500), 0, 500, false)).toBe(false);
    expect(peer.connection.sendBody(stream, bytes(0), 0, 0, true)).toBe(false);
    expect(peer.events.at(-1)).toBe("request 1 /a end");
    expect(peer.sent()).toEqual(["data 1 1000"]);
    expect(peer.sent()).toEqual(["data 1 500 end"]);
    expect(peer.connection.streamCount).toBe(0);
  });

  test("a stream that is reset while it waits is quiet from then on", () => {
    const { peer, stream } = serving({}, settings([SETTING.initialWindowSize, 0]));
    peer.connection.sendBody(stream, bytes(10), 0, 10, false);
    peer.connection.reset(stream, E.internal);
    peer.connection.reset(stream, E.internal);
    expect(peer.connection.sendBody(stream, bytes(10), 0, 10, true)).toBe(true);
    peer.connection.sendHead(stream, HEAD, 0, HEAD.length, true);
    peer.give(windowUpdate(1, 100), windowUpdate(0, 100));
    expect(peer.sent()).toEqual(["resetStream 1 2"]);
  });
});

describe("receiving", () => {
  test("windows follow what is consumed", () => {
    const peer = new Peer(true);
    peer.consumes = false;
    peer.give(headers(1), ...Array.from({ length: 4 }, () => data(1, bytes(16_384))));
    const stream = peer.streams.get(1)!;
    expect(peer.sent()).toEqual([]);
    peer.connection.consume(stream, 32_767);
    expect(peer.sent()).toEqual([]);
    peer.connection.consume(stream, 1);
    expect(peer.sent()).toEqual(["windowUpdate 1 32768"]);
    peer.connection.release(stream);
    expect(peer.sent()).toEqual(["windowUpdate 1 32768"]);
    peer.give(...Array.from({ length: 4 }, () => data(1, bytes(16_384))), data(1, "", true));
    peer.connection.consume(stream, 65_536);
    // Of a stream that has ended only the connection's window is of use.
    expect(peer.sent()).toEqual([`windowUpdate 0 131072`]);
  });

  test("what nobody will consume is granted anew when its stream is gone", () => {
    const peer = new Peer(true);
    peer.consumes = false;
    for (let id = 1; id < 20; id += 2) {
      peer.give(headers(id), data(id, bytes(16_384)), data(id, bytes(16_384)));
      peer.connection.reset(peer.streams.get(id)!, E.cancel);
      // Late ones, too.
      peer.give(data(id, bytes(10)));
    }
    expect(peer.connection.isClosed).toBe(false);
    expect(peer.sent().filter((text) => text.startsWith("windowUpdate"))).toHaveLength(2);
  });

  test("any part of a preface or a frame may come by itself", () => {
    const all = Buffer.concat([PREFACE, settings(), headers(1), data(1, "hello", true), headers(3, POST, true)]);
    const whole = new Peer(true, {}, false).give(all);
    for (let at = 1; at < all.length; at++) {
      const peer = new Peer(true, {}, false);
      for (const piece of cutAt(all, [at])) peer.give(piece);
      expect(peer.events).toEqual(whole.events);
      expect(peer.takeBytes().equals(whole.takeBytes()) || at > 1).toBe(true);
    }
  });
});

describe("the client's role", () => {
  test("greets with the preface, and switches pushes off", () => {
    const peer = new Peer(false, {}, false);
    const sent = peer.takeBytes();
    expect(sent.subarray(0, PREFACE.length).equals(Buffer.from(PREFACE))).toBe(true);
    const [first] = framesOf(sent.subarray(PREFACE.length));
    expect(first?.payload.toString("hex")).toStartWith("000200000000");
  });

  test("an answer, its body and its trailers", () => {
    const { peer } = asking();
    peer.give(headers(1, [[":status", "200"]]), data(1, "ab"), headers(1, [["grpc-status", "0"]], true));
    expect(peer.events).toEqual(["answer 1 200", "trailers 1 1"]);
    expect(peer.bodies.get(1)).toBe("ab");
    expect(peer.connection.streamCount).toBe(0);
  });

  test("informational answers are passed over", () => {
    const { peer } = asking();
    peer.give(headers(1, [[":status", "103"]]), headers(1, [[":status", "204"]], true));
    expect(peer.events).toEqual(["answer 1 204 end"]);
  });

  /** [what, frames, events] */
  const FAULTS: readonly (readonly [string, readonly Uint8Array[], readonly string[]])[] = [
    ["a body before its head", [data(1, "a")], ["lost 1 1"]],
    ["an answer without a status", [headers(1, [["a", "b"]])], ["lost 1 1"]],
    ["a status of two digits", [headers(1, [[":status", "20"]])], ["lost 1 1"]],
    [
      "two statuses",
      [
        headers(1, [
          [":status", "200"],
          [":status", "200"],
        ]),
      ],
      ["lost 1 1"],
    ],
    [
      "a request's field",
      [
        headers(1, [
          [":status", "200"],
          [":path", "/"],
        ]),
      ],
      ["lost 1 1"],
    ],
    ["an informational answer that ends", [headers(1, [[":status", "100"]], true)], ["lost 1 1"]],
    ["a switch of protocols", [headers(1, [[":status", "101"]])], ["lost 1 1"]],
    [
      "a list that is too long",
      [
        headers(1, [
          [":status", "200"],
          ["a", "x".repeat(15_000)],
          ["b", "x".repeat(1000)],
        ]),
      ],
      ["lost 1 1"],
    ],
    ["a refused stream", [rst(1, E.refusedStream)], ["lost 1 7 untouched"]],
    ["a stream that is reset", [rst(1, E.cancel)], ["lost 1 8"]],
    ["GOAWAY before the stream", [goAway(0, 0)], ["lost 1 7 untouched", "going away"]],
    ["a pushed stream", [headers(2, [[":status", "200"]])], ["lost 1 1", "failed 1"]],
    ["a promise", [frame(FRAME.pushPromise, 4, 1, [0, 0, 0, 2])], ["lost 1 1", "failed 1"]],
    ["pushes allowed by a server", [settings([SETTING.enablePush, 1])], ["lost 1 1", "failed 1"]],
    ["an answer that was not asked for", [headers(3, [[":status", "200"]])], ["lost 1 1", "failed 1"]],
  ];
  for (const [what, sends, events] of FAULTS) {
    test(what, () => {
      const { peer } = asking({ listBytesMax: 15_900 });
      peer.give(...sends);
      expect(peer.events).toEqual([...events]);
    });
  }

  test("the rest of a frame that comes after the end says nothing any more", () => {
    const peer = new Peer(false);
    const away = goAway(0, 0);
    peer.give(away.subarray(0, 12));
    peer.connection.end(E.none, "idle");
    peer.give(away.subarray(12));
    expect(peer.events).toEqual(["failed 0"]);
  });

  test("GOAWAY behind a stream lets it end, and no other begins", () => {
    const { peer } = asking();
    peer.give(goAway(1, 0));
    expect(peer.connection.capacity).toBe(0);
    expect(peer.connection.open(peer, REQUEST, 0, REQUEST.length, true)).toBeNull();
    peer.give(headers(1, [[":status", "200"]], true));
    expect(peer.events).toEqual(["going away", "answer 1 200 end"]);
  });

  test("no more streams than the server takes", () => {
    const { peer } = asking();
    expect(peer.connection.capacity).toBe(99);
    peer.give(settings([SETTING.maxConcurrentStreams, 2]));
    expect(peer.connection.open(peer, REQUEST, 0, REQUEST.length, true)?.id).toBe(3);
    expect(peer.connection.open(peer, REQUEST, 0, REQUEST.length, true)).toBeNull();
    peer.give(headers(1, [[":status", "200"]], true));
    expect(peer.connection.open(peer, REQUEST, 0, REQUEST.length, true)?.id).toBe(5);
  });

  test("what comes late on streams that were reset is no flood, and keeps no window", () => {
    const peer = new Peer(false);
    const other = peer.connection.open(peer, REQUEST, 0, REQUEST.length, true)!;
    const gone = peer.connection.open(peer, REQUEST, 0, REQUEST.length, true)!;
    peer.give(headers(gone.id, [[":status", "200"]]));
    peer.connection.reset(gone, E.cancel);
    for (let i = 0; i < 40; i++) peer.give(...Array.from({ length: 100 }, () => data(gone.id, bytes(100))));
    expect(peer.connection.isClosed).toBe(false);
    expect(peer.take().filter(({ type, id }) => type === FRAME.windowUpdate && id === 0).length).toBeGreaterThan(1);
    peer.give(headers(other.id, [[":status", "200"]], true));
    expect(peer.events.at(-1)).toBe(`answer ${other.id} 200 end`);
  });

  test("what is not answered when the socket goes is lost; untouched if it never was open", () => {
    for (const untouched of [false, true]) {
      const { peer } = asking();
      peer.connection.lose(untouched);
      peer.connection.lose(untouched);
      expect(peer.events).toEqual([untouched ? "lost 1 2 untouched" : "lost 1 2"]);
      expect(peer.connection.output.pending).toBe(0);
    }
  });
});

describe("leaving", () => {
  test("first announced, then with the last stream's id; later streams are refused", () => {
    const { peer } = serving();
    peer.connection.drain();
    expect(peer.sent()).toEqual(["goAway 2147483647 0"]);
    peer.give(headers(3, POST, true));
    peer.connection.drain();
    expect(peer.sent()).toEqual(["goAway 3 0"]);
    peer.give(headers(5, POST, true));
    expect(peer.sent()).toEqual([`resetStream 5 ${E.refusedStream}`]);
    peer.connection.drain();
    peer.connection.end(E.none, "idle");
    expect(peer.sent()).toEqual(["goAway 3 0"]);
    expect(peer.connection.isClosed).toBe(true);
  });
});

describe("floods", () => {
  const times = (n: number, make: (nth: number) => Uint8Array): Uint8Array[] =>
    Array.from({ length: n }, (_, i) => make(i));
  /** [what, frames] of 2,000: each ends its connection. */
  const FLOODS: readonly (readonly [string, (nth: number) => Uint8Array])[] = [
    ["PING", () => frame(FRAME.ping, 0, 0, Buffer.alloc(8))],
    ["SETTINGS", () => settings()],
    ["acknowledgements", () => frame(FRAME.settings, 1, 0)],
    ["WINDOW_UPDATE", () => windowUpdate(0, 1)],
    ["PRIORITY", () => frame(FRAME.priority, 0, 5, Buffer.alloc(5))],
    ["frames of no known type", () => frame(77, 0, 0)],
    ["empty DATA", () => data(1, "")],
    ["GOAWAY", () => goAway(0, 0)],
    ["rapid resets (CVE-2023-44487)", (i) => Buffer.concat([headers(3 + 2 * i), rst(3 + 2 * i, 8)])],
    ["malformed requests", (i) => headers(3 + 2 * i, [[":method", "GET"]], true)],
    ["streams beyond the limit", (i) => headers(3 + 2 * i)],
    ["resets asked for by faults", (i) => Buffer.concat([headers(3 + 2 * i), windowUpdate(3 + 2 * i, 0)])],
  ];
  for (const [what, make] of FLOODS) {
    test(what, () => {
      const peer = new Peer(true).give(headers(1), ...times(2000, make));
      expect(peer.connection.isClosed).toBe(true);
      expect(peer.events.at(-1)).toBe(`failed ${E.enhanceYourCalm}`);
    });
  }

  test("answers that are not read end a connection before they fill the memory", () => {
    const peer = new Peer(true, { outputBytesMax: 1000 });
    for (let second = 0; !peer.connection.isClosed && second < 10_000; second++) {
      const pings = Buffer.concat(times(90, () => frame(FRAME.ping, 0, 0, Buffer.alloc(8))));
      peer.connection.receive(pings, 0, pings.length, second * 1000);
    }
    expect(peer.connection.isClosed).toBe(true);
    expect(peer.connection.output.pending).toBeLessThan(1_100_000);
  });

  test("an honest peer's cancellations and pings are no flood", () => {
    const peer = new Peer(true);
    for (let i = 0; i < 2000; i++) {
      const id = 1 + 4 * i;
      peer.give(headers(id, POST, true), headers(id + 2), rst(id + 2, 8));
      peer.connection.sendHead(peer.streams.get(id)!, HEAD, 0, HEAD.length, true);
      peer.streams.clear();
      peer.take();
    }
    for (let second = 0; second < 3000; second++) {
      const ping = frame(FRAME.ping, 0, 0, Buffer.alloc(8));
      peer.connection.receive(ping, 0, ping.length, second * 1000);
    }
    expect(peer.connection.isClosed).toBe(false);
  });
});

describe("properties", () => {
  /** Carries bytes between two connections until both are quiet, in pieces of any size. */
  function exchange(a: Peer, b: Peer, sizes: () => number): void {
    for (;;) {
      const [fromA, fromB] = [a.takeBytes(), b.takeBytes()];
      if (fromA.length + fromB.length === 0) return;
      for (const [to, all] of [
        [b, fromA],
        [a, fromB],
      ] as const) {
        for (let at = 0; at < all.length;) {
          const end = Math.min(all.length, at + sizes());
          to.give(all.subarray(at, end));
          at = end;
        }
      }
    }
  }

  test("bodies of any size arrive whole, both ways, through any windows and any pieces", () => {
    const run = fc.record({
      requests: fc.array(fc.nat(30_000), { minLength: 1, maxLength: 6 }),
      pieces: fc.array(fc.integer({ min: 50, max: 50_000 }), { minLength: 1, maxLength: 8 }),
      window: fc.integer({ min: 300, max: 70_000 }),
    });
    fc.assert(
      fc.property(run, ({ requests, pieces, window }) => {
        let turn = 0;
        const sizes = (): number => pieces[turn++ % pieces.length]!;
        const client = new Peer(false, { streamWindowBytes: window }, false);
        const server = new Peer(true, { streamWindowBytes: window }, false);
        exchange(client, server, sizes);
        const lengthOf = (id: number): number => requests[(id - 1) / 2]!;
        server.onRequest = (stream) => {
          const length = lengthOf(stream.id);
          server.connection.sendHead(stream, HEAD, 0, HEAD.length, false);
          server.connection.sendBody(stream, bytes(length), 0, length, false);
          server.connection.sendHead(stream, TRAILER, 0, TRAILER.length, true);
        };
        for (const length of requests) {
          const stream = client.connection.open(client, ASK, 0, ASK.length, false)!;
          for (let at = 0; at < length;) {
            const end = Math.min(length, at + sizes());
            client.connection.sendBody(stream, bytes(end), at, end, false);
            at = end;
          }
          client.connection.sendBody(stream, bytes(0), 0, 0, true);
        }
        exchange(client, server, sizes);
        for (const [index, length] of requests.entries()) {
          const id = 1 + 2 * index;
          expect(server.bodies.get(id)?.length).toBe(length);
          expect(client.bodies.get(id)?.length ?? 0).toBe(length);
          expect(client.events).toContain(`trailers ${id} 1`);
        }
        expect([client.connection.streamCount, server.connection.streamCount]).toEqual([0, 0]);
      }),
      { seed: 9113, numRuns: 60 },
    );
  });

  test("damaged bytes never throw, and nothing outgrows its limit", () => {
    const good = Buffer.concat([
      settings([SETTING.initialWindowSize, 1000], [SETTING.maxFrameSize, 20_000]),
      headers(1),
      data(1, bytes(500)),
      headers(3, POST, true),
      windowUpdate(0, 100),
      frame(FRAME.ping, 0, 0, Buffer.alloc(8)),
      headers(1, [["a", "b"]], true),
      rst(3, 8),
      headers(5, POST, true),
      goAway(0, 0),
    ]);
    const damage = fc.array(fc.tuple(fc.nat(good.length - 1), fc.nat(255)), { maxLength: 6 });
    fc.assert(
      fc.property(damage, fc.boolean(), fc.array(fc.nat(good.length), { maxLength: 6 }), (damages, isServer, cuts) => {
        const damaged = Buffer.from(good);
        for (const [at, byte] of damages) damaged[at] = byte;
        const peer = new Peer(isServer);
        peer.onRequest = (stream, ended) => {
          peer.connection.sendHead(stream, HEAD, 0, HEAD.length, false);
          peer.connection.sendBody(stream, bytes(3000), 0, 3000, ended);
        };
        for (const piece of cutAt(damaged, cuts)) peer.give(piece);
        expect(peer.connection.output.pending).toBeLessThan(100_000);
        expect(peer.connection.streamCount).toBeLessThanOrEqual(8);
        framesOf(peer.takeBytes());
        peer.connection.lose(false);
        expect(peer.connection.streamCount).toBe(0);
      }),
      { seed: 9113, numRuns: 2000 },
    );
  });
});
