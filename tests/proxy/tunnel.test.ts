/** How a connection that was switched to another protocol ends: each half in its order, or all of it by a reset. */
import { afterEach, beforeEach, describe, expect, test } from "bun:test";
import type { Socket } from "bun";
import { Handshakes } from "../../src/net/handshakes.ts";
import { openListeners } from "../../src/net/listen.ts";
import { adoptTls } from "../../src/net/tls-streams.ts";
import { clientHandlers } from "../../src/proxy/client.ts";
import { Http2Front } from "../../src/proxy/http2-front.ts";
import { selfSigned } from "../net/certificates.ts";
import { by, fixtures, type RelayConfig, until, useTransport } from "./harness.ts";

const { relay } = fixtures();
const identity = selfSigned("localhost", "IP:127.0.0.1");
const opened: (() => void)[] = [];
afterEach(() => {
  for (const close of opened.splice(0)) close();
  useTransport("epoll");
});

const ASK = "GET /v1/custom HTTP/1.1\r\nhost: x\r\nx-infermesh-model: m\r\nconnection: upgrade\r\nupgrade: foo\r\n\r\n";
const SWITCHED = "HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: foo\r\n\r\n";

/** One end of the tunnel: what it heard, and how the other side left. */
class Side {
  socket: Socket | null = null;
  heard = 0;
  text = "";
  /** `end`: in order; else the error's code. */
  readonly events: string[] = [];
  #unsent: Buffer = Buffer.alloc(0);
  #isEnding = false;

  handlers() {
    return {
      open: (socket: Socket): void => void (this.socket = socket),
      data: (_socket: Socket, bytes: Buffer): void => {
        this.heard += bytes.length;
        if (this.text.length < 1000) this.text += bytes.toString("latin1");
      },
      drain: (): void => this.#flush(),
      end: (): void => void this.events.push("end"),
      close: (_socket: Socket, error?: Error): void => {
        this.events.push(error === undefined ? "close" : String((error as { code?: string }).code));
      },
    };
  }

  get isOver(): boolean {
    return this.events.some((event) => event !== "end");
  }

  send(bytes: string | Buffer): this {
    this.#unsent = Buffer.concat([this.#unsent, Buffer.from(bytes)]);
    this.#flush();
    return this;
  }

  /** Ends its half behind what it has to send. */
  shutdown(): this {
    this.#isEnding = true;
    this.#flush();
    return this;
  }

  #flush(): void {
    const taken = this.#unsent.length > 0 ? (this.socket?.write(this.#unsent) ?? 0) : 0;
    this.#unsent = this.#unsent.subarray(Math.max(0, taken));
    if (this.#isEnding && this.#unsent.length === 0) this.socket?.shutdown();
  }
}

/** A port of the relay's that speaks TLS. */
function tlsPort(router: ReturnType<typeof relay>): number {
  const listeners = openListeners({ host: "127.0.0.1", port: 0 }, 1)!;
  const handlers = clientHandlers(router.context, router.connections, (...of) => new Http2Front(router.context, ...of));
  const handshakes = new Handshakes({ hasRoom: () => true, timeoutMs: 10_000 });
  const options = { ...identity, sni: {}, alpn: ["http/1.1"] };
  const listener = adoptTls(listeners.duplicate(0), options, handshakes, handlers);
  listeners.close();
  opened.push(() => listener.stop());
  return listeners.port;
}

/** A tunnel through a relay, once both sides are switched. */
async function tunnel(config: RelayConfig = {}, isTls = false) {
  const target = new Side();
  const base = target.handlers();
  const listener = Bun.listen({
    hostname: "127.0.0.1",
    port: 0,
    allowHalfOpen: true,
    socket: {
      ...base,
      data(socket, bytes) {
        if (target.text.includes("\r\n\r\n")) {
          base.data(socket, bytes);
          return;
        }
        target.text += bytes.toString("latin1");
        if (!target.text.endsWith("\r\n\r\n")) return;
        socket.write(SWITCHED);
      },
    },
  });
  opened.push(() => listener.stop(true));
  const router = relay([by("http", listener.port)], config);
  const client = new Side();
  const port = isTls ? tlsPort(router) : router.port;
  await Bun.connect({
    hostname: "127.0.0.1",
    port,
    allowHalfOpen: true,
    socket: client.handlers(),
    ...(isTls ? { tls: { ca: identity.cert } } : {}),
  });
  opened.push(() => client.socket?.terminate());
  client.send(ASK);
  await until(() => client.text.endsWith("\r\n\r\n"));
  expect(client.text).toStartWith("HTTP/1.1 101 ");
  client.text = "";
  client.heard = 0;
  return { router, client, target, told: (): string => target.text.slice(target.text.indexOf("\r\n\r\n") + 4) };
}

const LARGE = Buffer.alloc(6 << 20, "z");

describe.each(["epoll", "bun"] as const)("a tunnel over streams by %s", (kind) => {
  beforeEach(() => useTransport(kind));

  const isDone = async (router: { readonly inFlight: number; readonly connections: { readonly size: number } }) =>
    await until(() => router.inFlight === 0 && router.connections.size === 0);

  test("whose client ends its half: the target is told in order, and may go on", async () => {
    const { router, client, target, told } = await tunnel();
    client.send("last words").shutdown();
    await until(() => target.events.includes("end"));
    expect([told(), target.isOver]).toEqual(["last words", false]);
    target.send("still here");
    await until(() => client.text === "still here");
    target.send(", and gone").shutdown();
    await until(() => client.isOver && target.isOver);
    expect([client.text, client.events.at(-1), target.events.at(-1)]).toEqual([
      "still here, and gone",
      "close",
      "close",
    ]);
    await isDone(router);
  });

  test("whose target ends its half: the client is told in order, and may go on", async () => {
    const { router, client, target, told } = await tunnel();
    target.send("last words").shutdown();
    await until(() => client.events.includes("end"));
    expect([client.text, client.isOver]).toEqual(["last words", false]);
    client.send("still here");
    await until(() => told() === "still here");
    client.send(", and gone").shutdown();
    await until(() => client.isOver && target.isOver);
    expect([told(), client.events.at(-1), target.events.at(-1)]).toEqual(["still here, and gone", "close", "close"]);
    await isDone(router);
  });

  test("what is under way to a slow target gets there before the end", async () => {
    const { router, client, target } = await tunnel();
    target.socket!.pause();
    client.send(LARGE).shutdown();
    await until(() => [...router.connections].length === 1);
    target.socket!.resume();
    await until(() => target.events.includes("end"));
    expect(target.heard).toBe(LARGE.length);
    target.socket!.end();
    await until(() => client.isOver);
    expect([client.events.at(-1), target.events.at(-1)]).toEqual(["close", "close"]);
    await isDone(router);
  });

  test("what is under way to a slow client gets there before the end", async () => {
    const { router, client, target } = await tunnel();
    client.socket!.pause();
    target.send(LARGE).shutdown();
    client.socket!.resume();
    await until(() => client.events.includes("end"));
    expect(client.heard).toBe(LARGE.length);
    client.socket!.end();
    await until(() => target.isOver);
    expect(target.events.at(-1)).toBe("close");
    await isDone(router);
  });

  test("that is over on both sides still brings a slow target the rest", async () => {
    const { router, client, target } = await tunnel();
    target.socket!.pause();
    // More than the kernel holds on the way.
    client.send(LARGE);
    target.shutdown();
    await until(() => client.events.includes("end"));
    client.shutdown();
    target.socket!.resume();
    await until(() => target.isOver);
    expect([target.heard, target.events.at(-1)]).toEqual([LARGE.length, "close"]);
    await isDone(router);
  });

  test("whose client resets it is reset at the target", async () => {
    const { router, client, target } = await tunnel();
    client.socket!.terminate();
    await until(() => target.isOver);
    expect(target.events).toEqual(["ECONNRESET"]);
    await isDone(router);
  });

  test("whose client resets it when its half was over is reset too", async () => {
    const { router, client, target } = await tunnel();
    client.shutdown();
    await until(() => target.events.includes("end"));
    client.socket!.terminate();
    await until(() => target.isOver);
    // What the kernel calls a reset of one that has been told of an end.
    expect(target.events).toEqual(["end", expect.stringMatching(/ECONNRESET|EPIPE/)]);
    await isDone(router);
  });

  test("whose target resets it is reset at the client, in the midst of what it said", async () => {
    const { router, client, target } = await tunnel();
    // As a frame it would be a longer one.
    target.send(Buffer.from([0x82, 125, 1, 2]));
    await until(() => client.heard === 4);
    target.socket!.terminate();
    await until(() => client.isOver);
    expect(client.events).toEqual(["ECONNRESET"]);
    await isDone(router);
  });

  test("whose one half is over is not waited for as long as a whole one", async () => {
    for (const which of ["client", "target"] as const) {
      const { router, ...sides } = await tunnel({ streamTimeoutMs: 150 });
      const other = which === "client" ? sides.target : sides.client;
      sides[which].shutdown();
      await until(() => other.events.includes("end"));
      await until(() => other.isOver && sides[which].isOver);
      await isDone(router);
    }
  });

  test("that ends while the router drains", async () => {
    const { router, client, target } = await tunnel();
    client.shutdown();
    await until(() => target.events.includes("end"));
    router.context.draining = true;
    target.send("bye").shutdown();
    await until(() => client.isOver);
    expect([client.text, client.events.at(-1)]).toEqual(["bye", "close"]);
    await isDone(router);
  });
});

describe("a tunnel of a client in TLS", () => {
  test("that ends its half: the target is told in order, and may go on", async () => {
    const { router, client, target, told } = await tunnel({}, true);
    client.send("last words").shutdown();
    await until(() => target.events.includes("end"));
    expect([told(), target.isOver]).toEqual(["last words", false]);
    target.send("still here").shutdown();
    await until(() => client.isOver && target.isOver);
    expect([client.text, target.events.at(-1)]).toEqual(["still here", "close"]);
    await until(() => router.inFlight === 0 && router.connections.size === 0);
  });

  test("whose target ends its half: what it sends on gets there", async () => {
    const { router, client, target, told } = await tunnel({}, true);
    target.send("last words").shutdown();
    await until(() => client.events.includes("end"));
    expect(client.text).toBe("last words");
    client.send("still here").shutdown();
    await until(() => target.isOver);
    expect([told(), target.events.at(-1)]).toEqual(["still here", "close"]);
    await until(() => router.inFlight === 0 && router.connections.size === 0);
  });
});
