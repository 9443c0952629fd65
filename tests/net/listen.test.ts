import { describe, expect, test } from "bun:test";
import { openListeners } from "../../src/net/listen.ts";
import type { Listeners } from "../../src/net/listen.ts";

const LOOPBACK = { host: "127.0.0.1", port: 0 };

function open(address: { host: string; port: number }, count: number): Listeners {
  const listeners = openListeners(address, count);
  if (listeners === null) throw new Error("this platform has no libc to open");
  return listeners;
}

/** Adopts a duplicate and answers every connection with `name`. */
function adopt(listeners: Listeners, index: number, name: string): { stop(): void } {
  const options = {
    fd: listeners.duplicate(index),
    socket: {
      open(socket: Bun.Socket) {
        socket.end(name);
      },
      data() {},
    },
  };
  return Bun.listen(options as unknown as Parameters<typeof Bun.listen>[0]);
}

async function ask(port: number, hostname = "127.0.0.1"): Promise<string> {
  const { promise, resolve, reject } = Promise.withResolvers<string>();
  let text = "";
  await Bun.connect({
    hostname,
    port,
    socket: {
      data(_socket, data) {
        text += data.toString();
      },
      close: () => resolve(text),
      error: (_socket, error) => reject(error),
    },
  });
  return promise;
}

describe("openListeners", () => {
  test("several sockets share one free port, and all of them get connections", async () => {
    const listeners = open(LOOPBACK, 2);
    const adopted = [adopt(listeners, 0, "a"), adopt(listeners, 1, "b")];
    const answers = new Set(await Promise.all(Array.from({ length: 60 }, () => ask(listeners.port))));
    expect([...answers].toSorted()).toEqual(["a", "b"]);
    for (const one of adopted) one.stop();
    listeners.close();
  });

  test("connections that came while nobody accepted are served by a successor", async () => {
    const listeners = open(LOOPBACK, 1);
    adopt(listeners, 0, "first").stop();
    const waiting = Promise.all(Array.from({ length: 8 }, () => ask(listeners.port)));
    await Bun.sleep(20);
    const successor = adopt(listeners, 0, "second");
    expect(new Set(await waiting)).toEqual(new Set(["second"]));
    successor.stop();
    listeners.close();
  });

  test("a port in use is refused, also when its holder would share it", () => {
    const held = open(LOOPBACK, 2);
    expect(() => open({ host: "127.0.0.1", port: held.port }, 2)).toThrow(/in use/);
    held.close();
    const shared = { hostname: "127.0.0.1", port: 0, reusePort: true, socket: { data() {} } };
    const other = Bun.listen(shared as Bun.TCPSocketListenOptions);
    expect(() => open({ host: "127.0.0.1", port: other.port }, 1)).toThrow(/in use/);
    other.stop(true);
  });

  test("the empty host means every address, by IPv4 and where it exists by IPv6", async () => {
    const listeners = open({ host: "", port: 0 }, 1);
    const adopted = adopt(listeners, 0, "any");
    expect(await ask(listeners.port)).toBe("any");
    adopted.stop();
    listeners.close();
  });

  test("IPv6 addresses are understood", () => {
    const listeners = open({ host: "::1", port: 0 }, 1);
    expect(listeners.port).toBeGreaterThan(0);
    listeners.close();
  });

  test.each(["example.com", "1.2.3", "300.1.1.1", "1::2::3", "12345::", "g::1", "1:2:3:4:5:6:7:8:9"])(
    "%s is no address to listen on",
    (host) => {
      expect(() => openListeners({ host, port: 0 }, 1)).toThrow(/IP address/);
    },
  );

  test("an index beyond the sockets is a clear error", () => {
    const listeners = open(LOOPBACK, 1);
    expect(() => listeners.duplicate(1)).toThrow(/listening socket 1/);
    listeners.close();
  });
});
