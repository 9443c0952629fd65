import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { Prng } from "../../src/base/prng.ts";
import {
  FRAMES_MAX,
  GREETING_BYTES,
  HANDSHAKE_MS,
  MESSAGE_BYTES_MAX,
  PING_AFTER_MS,
  SILENT_MS,
  ZmtpClient,
  type ZmtpOptions,
} from "../../src/wire/zmtp.ts";
import { COMMAND_BYTES_MAX, FRAME_BYTES_MAX, FrameReader } from "../../src/wire/zmtp-frames.ts";
import { cutAt, cuts, placed } from "./pieces.ts";
import { commandOf, frameOf, framesIn, greetingOf, latin, messageOf, readyOf } from "./zmtp-peer.ts";

const SUB: ZmtpOptions = { socket: "SUB", topics: [latin("kv@")] };
const DEALER: ZmtpOptions = { socket: "DEALER" };
const PUB_READY = readyOf({ "Socket-Type": "PUB" });
const ROUTER_READY = readyOf({ "Socket-Type": "ROUTER", Identity: "" });

interface Heard {
  readonly sent: Buffer;
  readonly messages: Uint8Array[][];
  readonly fault: string | undefined;
  readonly isReady: boolean;
}

/** A client that gets these pieces, one after the other. */
function hear(options: ZmtpOptions, pieces: readonly Uint8Array[]): Heard {
  const client = new ZmtpClient(options, 0);
  const sent: Uint8Array[] = [];
  const messages: Uint8Array[][] = [];
  let fault: string | undefined;
  const take = (): void => {
    const taken = client.take();
    sent.push(...taken.bytes);
    messages.push(...taken.messages.map((frames) => [...frames]));
    fault = taken.fault;
  };
  take();
  for (const piece of pieces) {
    client.push(placed(piece, piece.length), 3, 3 + piece.length, 1);
    take();
  }
  return { sent: Buffer.concat(sent), messages, fault, isReady: client.isReady };
}

const texts = (messages: readonly (readonly Uint8Array[])[]): string[][] =>
  messages.map((frames) => frames.map((frame) => Buffer.from(frame).toString("latin1")));

function ready(options: ZmtpOptions, minor = 1): ZmtpClient {
  const client = new ZmtpClient(options, 0);
  const bytes = Buffer.concat([greetingOf({ minor }), options.socket === "SUB" ? PUB_READY : ROUTER_READY]);
  client.push(bytes, 0, bytes.length, 0);
  client.take();
  expect(client.isReady).toBe(true);
  return client;
}

describe("the handshake", () => {
  test("greets with 3.1 and NULL, tells its socket, and subscribes by a command", () => {
    const { sent, fault, isReady } = hear(SUB, [greetingOf(), PUB_READY]);
    expect(fault).toBeUndefined();
    expect(isReady).toBe(true);
    const expected = "ff00000000000000007f0301" + Buffer.from("NULL").toString("hex").padEnd(40, "0") + "00".repeat(32);
    expect(sent.subarray(0, GREETING_BYTES).toString("hex")).toBe(expected);
    const { frames, rest } = framesIn(sent.subarray(GREETING_BYTES));
    expect(rest).toHaveLength(0);
    expect(frames.map(({ flags, body }) => [flags, body.toString("latin1")])).toEqual([
      [4, "\x05READY\x0bSocket-Type\0\0\0\x03SUB"],
      [4, "\x09SUBSCRIBEkv@"],
    ]);
  });

  test("subscribes by a message to a peer of 3.0, and to every topic that is wanted", () => {
    const { sent } = hear({ socket: "SUB", topics: [latin("a"), latin("")] }, [greetingOf({ minor: 0 }), PUB_READY]);
    const { frames } = framesIn(sent.subarray(GREETING_BYTES));
    expect(frames.slice(1).map(({ flags, body }) => [flags, body.toString("latin1")])).toEqual([
      [0, "\x01a"],
      [0, "\x01"],
    ]);
  });

  test("a later version is a peer too, and is spoken to in 3.1", () => {
    for (const [major, minor] of [
      [3, 2],
      [4, 0],
    ] as const) {
      expect(hear(SUB, [greetingOf({ major, minor }), PUB_READY])).toMatchObject({ isReady: true, fault: undefined });
    }
    expect(ready(SUB, 0).version).toBe("3.0");
    expect(ready(SUB, 2).version).toBe("3.1");
  });

  test("the name of the property may be in any letter case, and an XPUB is a publisher", () => {
    expect(hear(SUB, [greetingOf(), readyOf({ X: "y", "SOCKET-TYPE": "XPUB" })]).isReady).toBe(true);
  });

  test("a DEALER tells an empty identity, and sends nothing before it is ready", () => {
    const client = new ZmtpClient(DEALER, 0);
    expect(client.send([latin("early")])).toBe(false);
    const { sent, isReady } = hear(DEALER, [greetingOf(), ROUTER_READY]);
    expect(isReady).toBe(true);
    const [command] = framesIn(sent.subarray(GREETING_BYTES)).frames;
    expect(command?.body.toString("latin1")).toBe("\x05READY\x0bSocket-Type\0\0\0\x06DEALER\x08Identity\0\0\0\0");
  });

  const refused: readonly (readonly [string, ZmtpOptions, Uint8Array[], RegExp])[] = [
    ["an HTTP server", SUB, [latin("HTTP/1.1 400 Bad Request\r\n")], /no ZeroMQ peer/],
    ["a signature that ends otherwise", SUB, [Uint8Array.of(0xff, 0, 0, 0, 0, 0, 0, 0, 0, 0x7e)], /signature/],
    ["ZMTP 2", SUB, [Uint8Array.of(0xff, 0, 0, 0, 0, 0, 0, 0, 0, 0x7f, 1)], /ZMTP 1 is not spoken/],
    ["CURVE", SUB, [greetingOf({ mechanism: "CURVE" })], /mechanism "CURVE"; only NULL/],
    ["bytes for a mechanism", SUB, [greetingOf({ mechanism: "N\x01\0L" })], /mechanism "N\?\?L"/],
    ["a PULL for a SUB", SUB, [greetingOf(), readyOf({ "Socket-Type": "PULL" })], /a "PULL" socket; PUB or XPUB/],
    ["a PUB for a DEALER", DEALER, [greetingOf(), PUB_READY], /a "PUB" socket; ROUTER/],
    ["no type", SUB, [greetingOf(), readyOf({})], /without a type/],
    ["a value that is cut", SUB, [greetingOf(), commandOf("READY", latin("\x01a\0\0\0\x09b"))], /malformed/],
    ["a property without a name", SUB, [greetingOf(), commandOf("READY", latin("\0\0\0\0\0"))], /malformed/],
    ["ERROR", SUB, [greetingOf(), commandOf("ERROR", latin("\x0bInvalid \x07id"))], /refuses: "Invalid \?id"/],
    ["ERROR without a reason", SUB, [greetingOf(), commandOf("ERROR")], /no reason given/],
    ["another command", SUB, [greetingOf(), commandOf("HELLO")], /"HELLO" before the handshake/],
    ["a message at once", SUB, [greetingOf(), messageOf(latin("x"))], /message before the handshake/],
    ["a second READY", SUB, [greetingOf(), PUB_READY, PUB_READY], /second READY/],
    ["no name", SUB, [greetingOf(), frameOf(latin(""), 4)], /without a name/],
    ["a name that is cut", SUB, [greetingOf(), frameOf(latin("\x06READY"), 4)], /without a name/],
    ["reserved flags", SUB, [greetingOf(), PUB_READY, frameOf(latin("x"), 0x40)], /flags 0x40/],
    ["a command in parts", SUB, [greetingOf(), PUB_READY, frameOf(latin("\x04PING"), 5)], /command in several/],
  ];
  for (const [what, options, pieces, reason] of refused) {
    test(`refuses ${what}, and says so`, () => {
      const heard = hear(options, [...pieces, messageOf(latin("late"))]);
      expect(heard.fault).toMatch(reason);
      expect(heard).toMatchObject({ isReady: false, messages: [] });
    });
  }

  test("65 properties are too many", () => {
    const many = Object.fromEntries(Array.from({ length: 65 }, (_, at) => [`p${at}`, ""]));
    expect(hear(SUB, [greetingOf(), readyOf(many)]).fault).toMatch(/malformed/);
  });

  test("one that does not come to an end is given up", () => {
    const client = new ZmtpClient(SUB, 1000);
    client.push(greetingOf(), 0, 64, 2000);
    expect(client.take()).toMatchObject({ fault: undefined, wakeAtMs: 1000 + HANDSHAKE_MS });
    client.wake(999 + HANDSHAKE_MS);
    expect(client.take().fault).toBeUndefined();
    client.wake(1000 + HANDSHAKE_MS);
    expect(client.take()).toMatchObject({ fault: "no handshake within 10 s", wakeAtMs: Infinity });
  });
});

describe("messages", () => {
  const body = fc.oneof(
    fc.uint8Array({ maxLength: 8 }),
    fc.constantFrom(0, 1, 254, 255, 256, 300, 70_000).map((length) => new Uint8Array(length).fill(7)),
  );
  const message = fc.array(body, { minLength: 1, maxLength: 4 });

  test("come whole, wherever the bytes are cut", () => {
    fc.assert(
      fc.property(fc.array(message, { maxLength: 4 }), fc.array(fc.nat()), (list, places) => {
        const bytes = Buffer.concat([greetingOf(), PUB_READY, ...list.map((frames) => messageOf(...frames))]);
        const { messages, fault } = hear(
          SUB,
          cutAt(
            bytes,
            places.map((place) => place % (bytes.length + 1)),
          ),
        );
        expect(fault).toBeUndefined();
        expect(texts(messages)).toEqual(texts(list));
      }),
      { numRuns: 150 },
    );
  });

  test("every cut of a whole conversation gives the same, and so do single bytes", () => {
    const bytes = Buffer.concat([
      greetingOf(),
      PUB_READY,
      messageOf(latin("topic"), new Uint8Array(8), new Uint8Array(300).fill(1)),
      commandOf("PING", latin("\0\x0actx")),
      messageOf(latin("")),
      frameOf(latin("short body in a long frame"), 0, true),
    ]);
    const whole = hear(SUB, [bytes]);
    expect(whole.messages).toHaveLength(3);
    for (let at = 0; at <= bytes.length; at += 1) expect(hear(SUB, cutAt(bytes, [at]))).toEqual(whole);
    const single = Array.from(bytes, (byte) => Uint8Array.of(byte));
    expect(hear(SUB, single)).toEqual(whole);
  });

  test("of several frames are sent as they are read", () => {
    const client = ready(DEALER);
    const frames = [latin(""), latin("12345678"), new Uint8Array(256).fill(9)];
    expect(client.send(frames)).toBe(true);
    const bytes = Buffer.concat(client.take().bytes);
    expect(bytes.equals(messageOf(...frames))).toBe(true);
  });

  test("too many frames, too large a frame, too large a message, too large a command", () => {
    const empty = latin("");
    const most = hear(SUB, [greetingOf(), PUB_READY, messageOf(...Array(FRAMES_MAX).fill(empty))]);
    expect(most.messages[0]).toHaveLength(FRAMES_MAX);
    const more = hear(SUB, [greetingOf(), PUB_READY, messageOf(...Array(FRAMES_MAX + 1).fill(empty))]);
    expect(more.fault).toMatch(/more than 16 frames/);

    const head = Buffer.alloc(9);
    head[0] = 2;
    head.writeBigUInt64BE(BigInt(FRAME_BYTES_MAX + 1), 1);
    expect(hear(SUB, [greetingOf(), PUB_READY, head]).fault).toMatch(/a frame of 16777217 bytes; at most 16777216/);
    head.fill(0xff, 1);
    expect(hear(SUB, [greetingOf(), PUB_READY, head]).fault).toMatch(/a frame of 18446744073709552000 bytes/);
    const command = frameOf(new Uint8Array(COMMAND_BYTES_MAX + 1), 4);
    expect(hear(SUB, [greetingOf(), PUB_READY, command]).fault).toMatch(/a command of 4097 bytes/);

    const large = new Uint8Array(FRAME_BYTES_MAX);
    const client = ready(SUB);
    for (let sent = 0; sent <= MESSAGE_BYTES_MAX; sent += FRAME_BYTES_MAX) {
      const bytes = frameOf(large, 1);
      client.push(bytes, 0, bytes.length, 0);
    }
    expect(client.take().fault).toMatch(/a message of more than 33554432 bytes/);
  });

  test("a length that is only announced takes no room", () => {
    const reader = new FrameReader({ frame: () => {}, command: () => {}, fault: () => {} });
    const head = Buffer.alloc(10);
    head[0] = 2;
    head.writeBigUInt64BE(BigInt(FRAME_BYTES_MAX), 1);
    reader.push(head, 0, 10);
    expect(reader.heldBytes).toBeLessThanOrEqual(64 * 1024);
  });

  test("what is handed out does not lie in the buffer that it came in", () => {
    const bytes = Buffer.concat([greetingOf(), PUB_READY, messageOf(latin("abc"))]);
    const client = new ZmtpClient(SUB, 0);
    client.push(bytes, 0, bytes.length, 0);
    bytes.fill(0);
    expect(texts(client.take().messages)).toEqual([["abc"]]);
  });
});

describe("heartbeats", () => {
  test("a PING is answered with its context; a malformed one is a fault", () => {
    const client = ready(SUB);
    const ping = commandOf("PING", latin("\0\x64context"));
    client.push(ping, 0, ping.length, 1);
    expect(Buffer.concat(client.take().bytes).equals(commandOf("PONG", latin("context")))).toBe(true);
    for (const data of ["\0", `\0\0${"x".repeat(17)}`]) {
      const other = ready(SUB);
      const bytes = commandOf("PING", latin(data));
      other.push(bytes, 0, bytes.length, 1);
      expect(other.take().fault).toBe("a malformed PING");
    }
  });

  test("a silent peer is pinged, and given up when it stays silent", () => {
    const client = ready(SUB);
    expect(client.take().wakeAtMs).toBe(PING_AFTER_MS);
    client.wake(PING_AFTER_MS);
    // 30 s, in tenths.
    expect(Buffer.concat(client.take().bytes).equals(commandOf("PING", latin("\x01\x2c")))).toBe(true);
    const pong = commandOf("PONG");
    client.push(pong, 0, pong.length, PING_AFTER_MS + 5);
    expect(client.take().wakeAtMs).toBe(2 * PING_AFTER_MS + 5);
    client.wake(PING_AFTER_MS + 5 + SILENT_MS);
    expect(client.take().fault).toBe("silent for 30 s, pings included");
  });

  test("3.0 has none: silence says nothing", () => {
    const client = ready(SUB, 0);
    expect(client.take().wakeAtMs).toBe(Infinity);
    client.wake(1e9);
    expect(client.take()).toMatchObject({ bytes: [], fault: undefined });
  });
});

describe("mutated conversations", () => {
  test("throw nothing, and give the same however they are cut", () => {
    const prng = new Prng(Number(Bun.env["SEED"] ?? 37));
    const good = Buffer.concat([
      greetingOf(),
      PUB_READY,
      messageOf(latin("t"), latin("12345678"), latin("payload")),
      commandOf("PING", latin("\0\x64c")),
      messageOf(latin("last")),
    ]);
    let faults = 0;
    for (let round = 0; round < 5000; round += 1) {
      const bytes = Buffer.from(good);
      for (let edits = 1 + prng.int(3); edits > 0; edits -= 1) bytes[prng.int(bytes.length)] = prng.int(256);
      const whole = hear(SUB, [bytes]);
      if (whole.fault !== undefined) faults += 1;
      const places = Array.from({ length: 1 + prng.int(6) }, () => prng.int(bytes.length));
      expect(hear(SUB, cutAt(bytes, places))).toEqual(whole);
    }
    expect(faults).toBeGreaterThan(1000);
  });

  test("noise is refused or waited for", () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 200 }), cuts(200), (noise, places) => {
        const pieces = cutAt(
          noise,
          places.map((place) => Math.min(place, noise.length)),
        );
        expect(hear(SUB, [greetingOf(), PUB_READY, ...pieces])).toEqual(hear(SUB, [greetingOf(), PUB_READY, noise]));
      }),
    );
  });
});
