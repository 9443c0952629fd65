/** One contract for both transports: what the data plane relies on. */
import { afterEach, describe, expect, test } from "bun:test";
import { BunTransport } from "../../src/net/bun-streams.ts";
import { closeDescriptor } from "../../src/net/descriptor.ts";
import type { EpollStream } from "../../src/net/epoll-stream.ts";
import { EpollTransport } from "../../src/net/epoll.ts";
import { EPOLL } from "../../src/net/linux.ts";
import { Handshakes } from "../../src/net/handshakes.ts";
import { adoptTls, connectTls } from "../../src/net/tls-streams.ts";
import { selfSigned } from "./certificates.ts";
import { openListeners } from "../../src/net/listen.ts";
import type { Stream, StreamHandlers, Transport } from "../../src/net/stream.ts";
import { until } from "../proxy/harness.ts";

type Told = { name: string; heard: Buffer[]; events: string[]; stream: Stream<Told> | null; hasShut?: boolean };

const KINDS = ["epoll", "bun", "tls"] as const;

const identity = selfSigned("localhost", "IP:127.0.0.1");

/** TLS on both sides, as a transport. */
function overTls(): Transport {
  const server = { ...identity, sni: {}, alpn: ["http/1.1"] };
  return {
    kind: "bun",
    adopt(fd, handlers) {
      const listener = adoptTls(fd, server, new Handshakes({ hasRoom: () => true, timeoutMs: 10_000 }), handlers);
      return () => listener.stop();
    },
    connect: (place, data, handlers, settled) =>
      connectTls(place, place.host, { ca: identity.cert, verify: true }, data, handlers, settled),
    wakeAt() {},
    later: (tell) => void setImmediate(tell),
    breathe() {},
    destroy() {},
  };
}

function transportOf(kind: (typeof KINDS)[number]): Transport {
  if (kind === "bun") return new BunTransport();
  if (kind === "tls") return overTls();
  const lane = EpollTransport.open(undefined, 1);
  if ("reason" in lane) throw new Error(lane.reason);
  return lane;
}

const opened: (() => void)[] = [];
afterEach(() => {
  for (const close of opened.splice(0)) close();
});

/** Handlers that note everything; `onData` may answer. */
function noting(all: Told[], onData?: (stream: Stream<Told>, bytes: Buffer) => void): StreamHandlers<Told> {
  const of = (stream: Stream<Told>): Told => {
    const known = stream.data as Told | undefined;
    if (known !== undefined) return known;
    stream.data = { name: "accepted", heard: [], events: [], stream };
    all.push(stream.data);
    return stream.data;
  };
  return {
    open(stream) {
      const told = of(stream);
      told.stream = stream;
      told.events.push("open");
    },
    data(stream, buffer, start, end) {
      const bytes = Buffer.from(buffer.subarray(start, end));
      of(stream).heard.push(bytes);
      onData?.(stream, bytes);
    },
    drain: (stream) => of(stream).events.push("drain"),
    end: (stream) => of(stream).events.push("end"),
    close(stream, inOrder = false) {
      const { events } = of(stream);
      // That it is over on both sides may be told at once.
      if (inOrder && of(stream).hasShut && !events.includes("end")) events.push("end");
      events.push("close");
    },
    connectError: (stream, error) => of(stream).events.push(`error: ${error.message}`),
  };
}

class Bed {
  readonly transport: Transport;
  readonly accepted: Told[] = [];
  readonly port: number;
  readonly stopAccepting: () => void;

  constructor(kind: (typeof KINDS)[number], onData?: (stream: Stream<Told>, bytes: Buffer) => void) {
    this.transport = transportOf(kind);
    const listeners = openListeners({ host: "127.0.0.1", port: 0 }, 1);
    if (listeners === null) throw new Error("these tests need a Linux libc");
    this.port = listeners.port;
    this.stopAccepting = this.transport.adopt(listeners.duplicate(0), noting(this.accepted, onData));
    listeners.close();
    opened.push(() => {
      this.stopAccepting();
      this.transport.destroy();
    });
  }

  async connect(port = this.port): Promise<Told> {
    const told: Told = { name: "connected", heard: [], events: [], stream: null };
    let isSettled = false;
    this.transport.connect({ host: "127.0.0.1", port }, told, noting([]), () => {
      isSettled = true;
    });
    await until(() => told.events.length > 0 && isSettled);
    return told;
  }
}

const textOf = (told: Told): string => Buffer.concat(told.heard).toString("latin1");

describe.each([...KINDS])("streams by %s", (kind) => {
  test("bytes go both ways, and an end is told", async () => {
    const bed = new Bed(kind, (stream, bytes) => stream.write(Buffer.from(bytes.toString().toUpperCase())));
    const client = await bed.connect();
    expect(client.events).toEqual(["open"]);
    client.stream!.write(Buffer.from("hello"));
    await until(() => textOf(client) === "HELLO");
    expect(bed.accepted[0]?.stream?.remoteAddress).toMatch(/127\.0\.0\.1$/);
    client.stream!.end();
    await until(() => bed.accepted[0]?.events.includes("end") === true);
    bed.accepted[0]?.stream?.end();
    await until(() => client.events.includes("close") && bed.accepted[0]?.events.includes("close") === true);
    expect(client.events.filter((event) => event === "close")).toHaveLength(1);
  });

  test("a part of a buffer is written, from its offset", async () => {
    const bed = new Bed(kind);
    const client = await bed.connect();
    expect(client.stream!.write(Buffer.from("0123456789"), 3, 4)).toBe(4);
    await until(() => bed.accepted[0] !== undefined && textOf(bed.accepted[0]) === "3456");
  });

  test("what was written before an end arrives, though the other side still writes", async () => {
    const last = Buffer.alloc(200_000, "z");
    const bed = new Bed(kind, (stream) => {
      if (stream.data.heard.length > 1) return;
      let at = 0;
      while (at < last.length) {
        const taken = stream.write(last, at, last.length - at);
        if (taken <= 0) break;
        at += taken;
      }
      stream.data.name = String(at);
      stream.end();
    });
    const client = await bed.connect();
    client.stream!.write(Buffer.from("go"));
    client.stream!.write(Buffer.alloc(1000, "more"));
    await until(() => client.events.includes("end"));
    expect(textOf(client)).toHaveLength(Number(bed.accepted[0]!.name));
    client.stream!.end();
    await until(() => client.events.includes("close"));
  });

  test("a half that ends leaves the other open", async () => {
    const bed = new Bed(kind);
    const client = await bed.connect();
    await until(() => bed.accepted.length === 1);
    bed.accepted[0]!.stream!.shutdown();
    client.stream!.write(Buffer.from("still here"));
    await until(() => textOf(bed.accepted[0]!) === "still here");
  });

  test("who was told of an end may go on writing, and ends by itself", async () => {
    const bed = new Bed(kind);
    const client = await bed.connect();
    await until(() => bed.accepted.length === 1);
    const accepted = bed.accepted[0]!;
    client.stream!.write(Buffer.from("last words"));
    client.hasShut = true;
    client.stream!.shutdown();
    await until(() => accepted.events.includes("end"));
    expect(textOf(accepted)).toBe("last words");
    for (const word of ["still", " here"]) {
      const before = textOf(client).length;
      expect(accepted.stream!.write(Buffer.from(word))).toBe(word.length);
      await until(() => textOf(client).length === before + word.length);
    }
    expect(accepted.events).not.toContain("close");
    accepted.stream!.end();
    await until(() => client.events.includes("end") && accepted.events.includes("close"));
    expect(textOf(client)).toBe("still here");
    client.stream!.end();
    await until(() => client.events.includes("close"));
  });

  test("the other direction: who connected is told of an end, and goes on", async () => {
    const bed = new Bed(kind);
    const client = await bed.connect();
    await until(() => bed.accepted.length === 1);
    const accepted = bed.accepted[0]!;
    accepted.hasShut = true;
    accepted.stream!.shutdown();
    await until(() => client.events.includes("end"));
    client.stream!.write(Buffer.from("still here"));
    await until(() => textOf(accepted) === "still here");
    expect(client.events).not.toContain("close");
    client.stream!.end();
    await until(() => accepted.events.includes("end"));
    accepted.stream!.end();
    await until(() => client.events.includes("close") && accepted.events.includes("close"));
  });

  test("a reset is told as no end, whichever halves were over", async () => {
    for (const whose of ["nobody", "mine", "yours"] as const) {
      const bed = new Bed(kind);
      const client = await bed.connect();
      await until(() => bed.accepted.length === 1);
      const accepted = bed.accepted[0]!;
      const first = whose === "mine" ? accepted : client;
      const second = whose === "mine" ? client : accepted;
      first.hasShut = whose !== "nobody";
      if (first.hasShut) {
        first.stream!.shutdown();
        await until(() => second.events.includes("end"));
      }
      client.stream!.terminate();
      await until(() => accepted.events.includes("close"));
      expect(accepted.events.includes("end")).toBe(whose === "yours");
    }
  });

  test("a reset is told to the other side as a close", async () => {
    const bed = new Bed(kind);
    const client = await bed.connect();
    await until(() => bed.accepted.length === 1);
    client.stream!.terminate();
    await until(() => client.events.includes("close") && bed.accepted[0]!.events.includes("close"));
    expect(bed.accepted[0]!.stream!.write(Buffer.from("x"))).toBeLessThanOrEqual(0);
  });

  test("a reader that pauses stops the writer, and a drain goes on", async () => {
    const bed = new Bed(kind);
    const client = await bed.connect();
    await until(() => bed.accepted.length === 1);
    const reader = bed.accepted[0]!;
    reader.stream!.pause();
    const piece = Buffer.alloc(65_536, "p");
    let sent = 0;
    for (let i = 0; i < 1000; i++) {
      const taken = client.stream!.write(piece, 0, piece.length);
      sent += Math.max(0, taken);
      if (taken < piece.length) break;
    }
    expect(sent).toBeLessThan(1000 * 65_536);
    await Bun.sleep(30);
    const before = reader.heard.reduce((sum, { length }) => sum + length, 0);
    expect(before).toBeLessThan(sent);
    reader.stream!.resume();
    await until(() => client.events.includes("drain"));
    await until(() => reader.heard.reduce((sum, { length }) => sum + length, 0) === sent);
  });

  test("a refused connection is told once, and settles", async () => {
    const bed = new Bed(kind);
    const listeners = openListeners({ host: "127.0.0.1", port: 0 }, 1)!;
    listeners.close();
    const client = await bed.connect(listeners.port);
    expect(client.events).toHaveLength(1);
    expect(client.events[0]).toStartWith("error: ");
  });

  test("nobody is accepted any more once that is stopped; who is in stays", async () => {
    const bed = new Bed(kind, (stream, bytes) => stream.write(bytes));
    const client = await bed.connect();
    await until(() => bed.accepted.length === 1);
    bed.stopAccepting();
    const late = await bed.connect();
    expect(late.events[0]).toStartWith("error: ");
    client.stream!.write(Buffer.from("echo"));
    await until(() => textOf(client) === "echo");
  });

  test("a hundred streams at once keep their bytes apart", async () => {
    const bed = new Bed(kind, (stream, bytes) => stream.write(bytes));
    const clients = await Promise.all(Array.from({ length: 100 }, () => bed.connect()));
    clients.forEach((client, i) => client.stream!.write(Buffer.from(`number ${i};`)));
    await until(() => clients.every((client, i) => textOf(client) === `number ${i};`));
    for (const client of clients) client.stream!.terminate();
    await until(() => bed.accepted.every(({ events }) => events.includes("close")));
  });
});

describe("TLS", () => {
  const names = { "b.test": selfSigned("b.test"), "*.c.test": selfSigned("*.c.test") };

  function server({ timeoutMs = 10_000, connectionsMax = 1000 } = {}) {
    const listeners = openListeners({ host: "127.0.0.1", port: 0 }, 1)!;
    const told: Told[] = [];
    const options = { ...identity, sni: names, alpn: ["http/1.1"] };
    const handlers = noting(told, (stream, bytes) => stream.write(bytes));
    const openNow = (): number => told.filter(({ events }) => !events.includes("close")).length;
    const handshakes: Handshakes = new Handshakes({
      hasRoom: () => openNow() + handshakes.size < connectionsMax,
      timeoutMs,
    });
    const listener = adoptTls(listeners.duplicate(0), options, handshakes, handlers);
    const sweep = setInterval(() => handshakes.expire(performance.now()), 10);
    opened.push(() => {
      clearInterval(sweep);
      listener.stop();
    });
    listeners.close();
    return { port: listeners.port, told, listener, handshakes };
  }

  async function dial(port: number, name: string, ca: string | undefined, verify = true): Promise<Told> {
    const told: Told = { name, heard: [], events: [], stream: null };
    connectTls({ host: "127.0.0.1", port }, name, { ca, verify }, told, noting([]), () => {});
    await until(() => told.events.length > 0);
    return told;
  }

  test("the certificate is chosen by the name that is asked for", async () => {
    const { port } = server();
    expect((await dial(port, "b.test", names["b.test"].cert)).events).toEqual(["open"]);
    expect((await dial(port, "x.c.test", names["*.c.test"].cert)).events).toEqual(["open"]);
    expect((await dial(port, "localhost", identity.cert)).events).toEqual(["open"]);
    expect((await dial(port, "127.0.0.1", identity.cert)).events).toEqual(["open"]);
  });

  test("a certificate of a stranger, or for another name, is refused", async () => {
    const { port } = server();
    for (const [name, ca] of [
      ["b.test", identity.cert],
      ["localhost", undefined],
      ["other.test", identity.cert],
    ] as const) {
      const { events } = await dial(port, name, ca);
      expect(events).toHaveLength(1);
      expect(events[0]).toStartWith("error: ");
    }
    expect((await dial(port, "other.test", undefined, false)).events).toEqual(["open"]);
  });

  test("renewed certificates are shown from the next handshake on, and who is in stays", async () => {
    const { port, listener } = server();
    const before = await dial(port, "localhost", identity.cert);
    const renewed = selfSigned("localhost");
    listener.show({ ...renewed, sni: {} });
    expect((await dial(port, "localhost", renewed.cert)).events).toEqual(["open"]);
    expect((await dial(port, "localhost", identity.cert)).events[0]).toStartWith("error: ");
    before.stream!.write(Buffer.from("still here"));
    await until(() => textOf(before) === "still here");
  });

  /** A client that does not begin a handshake, unless it sends one. */
  async function plainClient(port: number): Promise<Told> {
    const plain: Told = { name: "plain", heard: [], events: [], stream: null };
    new BunTransport().connect({ host: "127.0.0.1", port }, plain, noting([]), () => {});
    await until(() => plain.events.includes("open"));
    return plain;
  }
  const isGone = ({ events }: Told): boolean => events.includes("close") || events.includes("end");

  test("a client that does not speak TLS opens nothing", async () => {
    const { port, told, handshakes } = server();
    const plain = await plainClient(port);
    plain.stream!.write(Buffer.from("GET / HTTP/1.1\r\nhost: x\r\n\r\n"));
    await until(() => isGone(plain) && handshakes.size === 0);
    expect(told).toHaveLength(0);
  });

  test("clients that leave in the midst of a handshake are no longer in one", async () => {
    const { port, told, handshakes } = server();
    const [first, second] = [await plainClient(port), await plainClient(port)];
    await until(() => handshakes.size === 2);
    first.stream!.terminate();
    second.stream!.end();
    await until(() => handshakes.size === 0);
    expect(told).toHaveLength(0);
  });

  test("a handshake has its time in all, whether its client is silent or dribbles", async () => {
    const { port, told, handshakes } = server({ timeoutMs: 150 });
    const [silent, dribbling] = [await plainClient(port), await plainClient(port)];
    await until(() => handshakes.size === 2);
    // The head of a handshake's record, and of a ClientHello; the rest comes byte by byte, for longer than is waited.
    dribbling.stream!.write(Buffer.from("16030101f4010001f00303", "hex"));
    for (let i = 0; i < 400 && !isGone(dribbling); i++) {
      dribbling.stream!.write(Uint8Array.of(0));
      await Bun.sleep(5);
    }
    await until(() => isGone(silent) && isGone(dribbling));
    expect([told.length, handshakes.size]).toEqual([0, 0]);
    expect((await dial(port, "localhost", identity.cert)).events).toEqual(["open"]);
    await until(() => told.length === 1 && handshakes.size === 0);
  });

  test("connections in a handshake count, and one too many is closed at once", async () => {
    const { port, told, handshakes } = server({ connectionsMax: 3 });
    const inside = await dial(port, "localhost", identity.cert);
    const waiting = [await plainClient(port), await plainClient(port)];
    await until(() => handshakes.size === 2 && told.length === 1);
    const refused = await plainClient(port);
    await until(() => isGone(refused));
    expect((await dial(port, "localhost", identity.cert)).events[0]).toStartWith("error: ");
    expect([waiting.some(isGone), handshakes.size, told.length]).toEqual([false, 2, 1]);
    // A place that is left may be taken, from a handshake or by one that was through.
    waiting[0]!.stream!.terminate();
    await until(() => handshakes.size === 1);
    const second = await dial(port, "localhost", identity.cert);
    expect(second.events).toEqual(["open"]);
    inside.stream!.terminate();
    await until(() => told[0]!.events.includes("close"));
    expect((await dial(port, "localhost", identity.cert)).events).toEqual(["open"]);
  });
});

describe("the epoll lane", () => {
  test("shares its thread with timers, promises and Bun's own sockets", async () => {
    const bed = new Bed("epoll", (stream, bytes) => stream.write(bytes));
    const server = Bun.serve({ hostname: "127.0.0.1", port: 0, fetch: () => new Response("bun") });
    opened.push(() => void server.stop(true));
    const client = await bed.connect();
    for (let i = 0; i < 20; i++) {
      client.stream!.write(Buffer.from("ping"));
      const [response] = await Promise.all([fetch(server.url), Bun.sleep(1)]);
      expect(await response.text()).toBe("bun");
    }
    await until(() => textOf(client) === "ping".repeat(20));
  });

  test("a connection that fails at once is told of as one that never opened, whoever asked for it", async () => {
    const bed = new Bed("epoll");
    const told: Told = { name: "", heard: [], events: [], stream: null };
    let settled = 0;
    // By a timer of Bun's: not from within a turn of the lane.
    await Bun.sleep(5);
    const count = (): void => void settled++;
    bed.transport.connect({ host: "/tmp/infermesh-nobody-listens", port: 0 }, told, noting([]), count);
    expect(told.events).toEqual([]);
    await until(() => told.events.length > 0);
    await Bun.sleep(5);
    expect(told.events).toEqual(["error: no connection: there is no such socket"]);
    expect(settled).toBe(1);
    const other: Told = { name: "", heard: [], events: [], stream: null };
    bed.transport.connect({ host: "/tmp/infermesh-nobody-listens", port: 0 }, other, noting([]), count)();
    expect(settled).toBe(2);
    await Bun.sleep(5);
    expect(other.events).toEqual([]);
    expect(settled).toBe(2);
  });

  test("a reset that a write met first is no orderly end", async () => {
    const bed = new Bed("epoll");
    const client = await Bun.connect({ hostname: "127.0.0.1", port: bed.port, socket: { data() {} } });
    await until(() => bed.accepted.length === 1);
    const accepted = bed.accepted[0]!;
    client.terminate();
    expect(accepted.stream!.write(Buffer.from("x"))).toBe(0);
    await until(() => accepted.events.includes("close"));
    expect(accepted.events).toEqual(["open", "close"]);
  });

  test("what a handler of Bun's leaves to an immediate does not wait until the lane has slept", async () => {
    const lane = EpollTransport.open(undefined, 10_000);
    if ("reason" in lane) throw new Error(lane.reason);
    opened.push(() => lane.destroy());
    lane.wakeAt(0);
    await Bun.sleep(5);
    const done = Promise.withResolvers<void>();
    const began = performance.now();
    lane.wakeAt(Number.POSITIVE_INFINITY);
    lane.breathe();
    setImmediate(() => {
      lane.wakeAt(0);
      done.resolve();
    });
    await done.promise;
    expect(performance.now() - began).toBeLessThan(5000);
  });

  test("a stream that is paused by another's event of the same turn still hears of room", async () => {
    const listeners = openListeners({ host: "127.0.0.1", port: 0 }, 1)!;
    const lane = EpollTransport.open(undefined, 1) as EpollTransport;
    opened.push(() => lane.destroy());
    const accepted: Told[] = [];
    let isHeld = true;
    opened.push(
      lane.adopt(listeners.duplicate(0), {
        ...noting(accepted),
        drain(stream) {
          stream.data.events.push("drain");
          if (isHeld) stream.write(Buffer.alloc(1 << 26));
        },
      }),
    );
    const peer = await Bun.connect({ hostname: "127.0.0.1", port: listeners.port, socket: { data() {} } });
    listeners.close();
    await until(() => accepted.length === 1);
    const told = accepted[0]!;
    const stream = told.stream as EpollStream<Told>;
    peer.pause();
    expect(stream.write(Buffer.alloc(1 << 26))).toBeLessThan(1 << 26);
    stream.pause();
    // As the kernel had told it before the pause: bytes are here, and there is room.
    stream.ready(EPOLL.IN | EPOLL.OUT);
    expect(told.events).toEqual(["open", "drain"]);
    isHeld = false;
    peer.resume();
    await until(() => told.events.length === 3);
    expect(told.events).toEqual(["open", "drain", "drain"]);
    peer.terminate();
  });

  test("closes all when it is destroyed", async () => {
    const bed = new Bed("epoll");
    const other = new Bed("bun");
    const told: Told = { name: "", heard: [], events: [], stream: null };
    other.transport.connect({ host: "127.0.0.1", port: bed.port }, told, noting([]), () => {});
    await until(() => bed.accepted.length === 1);
    bed.transport.destroy();
    await until(() => told.events.includes("close"));
  });

  test("closes nothing that it gave back, for its number may be another thread's by then", async () => {
    const bed = new Bed("epoll");
    const clients = await Promise.all(Array.from({ length: 8 }, () => bed.connect()));
    for (const { stream } of clients) stream!.terminate();
    await until(() => bed.accepted.length === 8 && bed.accepted.every(({ events }) => events.includes("close")));
    // The numbers are free, and these sockets take them.
    const server = Bun.serve({ hostname: "127.0.0.1", port: 0, fetch: () => new Response("there") });
    opened.push(() => void server.stop(true));
    const others = Array.from({ length: 8 }, () => openListeners({ host: "127.0.0.1", port: 0 }, 2)!);
    bed.transport.destroy();
    for (const one of others) closeDescriptor(one.duplicate(0));
    expect(await (await fetch(server.url)).text()).toBe("there");
    for (const one of others) one.close();
  });

  test("stopping what a destroyed lane accepted on closes nothing of anybody else's", async () => {
    const lane = EpollTransport.open(undefined, 1) as EpollTransport;
    const first = openListeners({ host: "127.0.0.1", port: 0 }, 1)!;
    const stop = lane.adopt(first.duplicate(0), noting([]));
    lane.destroy();
    // The number is free, and these sockets take it.
    const others = Array.from({ length: 4 }, () => openListeners({ host: "127.0.0.1", port: 0 }, 1)!);
    stop();
    for (const one of others) closeDescriptor(one.duplicate(0));
    for (const one of [first, ...others]) one.close();
  });

  test("closes what rests too", async () => {
    const bed = new Bed("epoll");
    const other = new Bed("bun");
    const told: Told = { name: "", heard: [], events: [], stream: null };
    other.transport.connect({ host: "127.0.0.1", port: bed.port }, told, noting([]), () => {});
    await until(() => bed.accepted.length === 1);
    bed.accepted[0]!.stream!.pause();
    told.stream?.write(Buffer.from("unread"));
    bed.accepted[0]!.stream!.shutdown();
    told.stream?.shutdown();
    await Bun.sleep(20);
    bed.transport.destroy();
    await until(() => told.events.includes("close"));
  });
});
