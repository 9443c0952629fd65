/** What whoever reaches the control port can make a node do: nothing that ends it, fills it, or weakens its links. */
import { afterEach, describe, expect, test } from "bun:test";
import { createHash, createSecretKey, randomBytes } from "node:crypto";
import fc from "fast-check";
import { MeshError } from "../../src/base/errors.ts";
import type { CallHandlers } from "../../src/store/calls.ts";
import { Door } from "../../src/store/door.ts";
import { framed, FrameReader } from "../../src/store/frames.ts";
import type { LinkIdentity } from "../../src/store/link.ts";
import type { SealKey } from "../../src/store/sealing.ts";
import { Ways } from "../../src/store/ways.ts";

const ends: (() => void)[] = [];
afterEach(() => {
  for (const end of ends.splice(0)) end();
});

const encoder = new TextEncoder();
const echo: CallHandlers = { message() {}, call: async ({ body }) => body };

function key(): SealKey {
  const bytes = randomBytes(32);
  return { cipher: createSecretKey(bytes), fingerprint: createHash("sha256").update(bytes).digest("hex").slice(0, 16) };
}

function identity(node: string, keys: readonly SealKey[] = []): LinkIdentity {
  return { cluster: "mesh", node, storeId: () => "", keys: () => keys };
}

function door(more: Partial<ConstructorParameters<typeof Door>[0]> = {}): { port: number; refused: string[] } {
  const refused: string[] = [];
  const opened = new Door({
    address: { host: "127.0.0.1", port: 0 },
    identity: identity("b"),
    handlers: echo,
    onRefused: (why) => void refused.push(why),
    ...more,
  });
  ends.push(() => opened.stop());
  return { port: opened.port, refused };
}

function ways(who = identity("a")): Ways {
  const made = new Ways({ identity: who, handlers: echo, onBroken() {} });
  ends.push(() => made.stop());
  return made;
}

/** Somebody who sends what it likes. */
class Stranger {
  readonly frames: Uint8Array[] = [];
  readonly closed: Promise<void>;
  #told: (() => void)[] = [];
  #socket: Bun.Socket | null = null;

  constructor(port: number) {
    const { promise, resolve } = Promise.withResolvers<void>();
    this.closed = promise;
    const reader = new FrameReader((frame) => {
      this.frames.push(frame.slice());
      for (const told of this.#told.splice(0)) told();
    });
    this.ready = Bun.connect({
      hostname: "127.0.0.1",
      port,
      socket: { data: (_socket, bytes) => void reader.push(bytes), close: () => resolve() },
    }).then((socket) => {
      this.#socket = socket;
      ends.push(() => socket.terminate());
    });
  }

  readonly ready: Promise<void>;

  send(bytes: Uint8Array): void {
    this.#socket?.write(bytes);
  }

  async frame(): Promise<Uint8Array> {
    if (this.frames.length === 0) await new Promise<void>((resolve) => this.#told.push(resolve));
    return this.frames.shift()!;
  }

  /** Introduces itself, in the clear. */
  async enter(): Promise<void> {
    await this.ready;
    this.send(framed(hello()));
    await this.frame();
    await this.frame();
    this.send(framed(new Uint8Array([0])));
  }
}

function hello(more: Readonly<Record<string, unknown>> = {}): Uint8Array {
  return encoder.encode(JSON.stringify({ v: 1, cluster: "mesh", node: "x", store: "", key: "", nonce: "n", ...more }));
}

/** A server that answers the first frame by what `answer` makes of it. */
function impostor(answer: (hello: Uint8Array) => Uint8Array): string {
  const listener = Bun.listen({
    hostname: "127.0.0.1",
    port: 0,
    socket: {
      data(socket, bytes) {
        const reader = new FrameReader((frame) => void socket.write(framed(answer(frame))));
        reader.push(bytes);
      },
    },
  });
  ends.push(() => listener.stop(true));
  return `127.0.0.1:${listener.port}`;
}

const why = (asked: Promise<unknown>): Promise<string> =>
  asked.then(
    () => "answered",
    (error: unknown) => (error as MeshError).message,
  );

describe("before the introduction", () => {
  test("whatever comes costs a short frame at most, and others are let in as before", async () => {
    const { port, refused } = door();
    const field = fc.oneof(fc.string(), fc.integer(), fc.constant(null), fc.constant([]));
    const json = fc.record({ v: field, cluster: field, node: field, store: field, key: field, nonce: field });
    const said = fc.oneof(
      fc.uint8Array({ minLength: 1, maxLength: 200 }),
      fc.uint8Array({ minLength: 1, maxLength: 200 }).map((bytes) => framed(bytes)),
      json.map((value) => framed(encoder.encode(JSON.stringify(value)))),
      fc.json().map((text) => framed(encoder.encode(text))),
    );
    await fc.assert(
      fc.asyncProperty(said, async (bytes) => {
        const stranger = new Stranger(port);
        await stranger.ready;
        stranger.send(bytes);
        // By the second frame at the latest: one that is empty ends every stream.
        stranger.send(new Uint8Array(300));
        await stranger.closed;
      }),
      { numRuns: 100 },
    );
    expect(refused.length).toBeGreaterThan(50);
    expect(await ways().ask(`127.0.0.1:${port}`, "m", "still here")).toBe("still here");
  });

  test("a long frame is refused when it is announced, not when it has come", async () => {
    const { port, refused } = door();
    const stranger = new Stranger(port);
    await stranger.ready;
    stranger.send(new Uint8Array([0, 0, 32, 0, 1]));
    await stranger.closed;
    expect(refused).toEqual(["a frame of it is empty or too long"]);
  });

  test("who says nothing gives way to who comes after", async () => {
    const { port, refused } = door({ linksMax: 2 });
    const silent = [new Stranger(port), new Stranger(port)];
    await Promise.all(silent.map(({ ready }) => ready));
    const way = ways();
    expect(await way.ask(`127.0.0.1:${port}`, "m", 1)).toBe(1);
    expect(await ways(identity("c")).ask(`127.0.0.1:${port}`, "m", 2)).toBe(2);
    await Promise.all(silent.map(({ closed }) => closed));
    expect(refused).toEqual(["others wait for its place", "others wait for its place"]);
    // Those that have introduced themselves stay.
    expect(await why(ways(identity("d")).ask(`127.0.0.1:${port}`, "m", 3))).toContain("clos");
    expect(await way.ask(`127.0.0.1:${port}`, "m", 4)).toBe(4);
  });

  test("a node with a key takes no link without it, whatever the welcome says", async () => {
    const plain = impostor(() => hello({ node: "b" }));
    expect(await why(ways(identity("a", [key()])).ask(plain, "m", 1))).toContain("does not speak this protocol");
    const foreign = impostor(() => hello({ node: "b", cluster: "other" }));
    expect(await why(ways().ask(foreign, "m", 1))).toContain("of the mesh other");
  });

  test("its own hello, sent back, opens nothing", async () => {
    const mirror = impostor((frame) => frame.slice());
    expect(await why(ways(identity("a", [key()])).ask(mirror, "m", 1))).toContain("says that it is a");
    const { port, refused } = door();
    const stranger = new Stranger(port);
    await stranger.ready;
    stranger.send(framed(hello({ node: "b" })));
    await stranger.closed;
    expect(refused).toEqual(["refused: this node is called b itself"]);
  });

  test("what was recorded of another link opens nothing", async () => {
    const keys = [key()];
    const { port, refused } = door({ identity: identity("b", keys) });
    const sent: Uint8Array[] = [];
    const relay = Bun.listen<{ up: Bun.Socket | null }>({
      hostname: "127.0.0.1",
      port: 0,
      socket: {
        async open(client) {
          client.data = { up: null };
          client.data.up = await Bun.connect({
            hostname: "127.0.0.1",
            port,
            socket: { data: (_up, bytes) => void client.write(bytes) },
          });
          // What came before the way on was open.
          for (const bytes of sent.slice()) client.data.up.write(bytes);
        },
        data(client, bytes) {
          sent.push(Buffer.from(bytes));
          client.data.up?.write(bytes);
        },
        close: ({ data }) => void data.up?.end(),
      },
    });
    ends.push(() => relay.stop(true));
    expect(await ways(identity("a", keys)).ask(`127.0.0.1:${relay.port}`, "m", 1)).toBe(1);
    const stranger = new Stranger(port);
    await stranger.ready;
    stranger.send(Buffer.concat(sent));
    await stranger.closed;
    expect(refused).toEqual(["what it sent can't be opened, or was damaged; is its key another?"]);
  });
});

describe("over an open link", () => {
  test("no frame, of whatever kind, ends the node", async () => {
    const { port } = door();
    const body = fc.oneof(
      fc.json(),
      fc.constantFrom(
        '{"error":null}',
        '{"error":7}',
        '{"error":{}}',
        "[]",
        "null",
        '{"method":null}',
        '{"method":{"toString":1}}',
        '{"method":"m","body":null}',
      ),
    );
    const frame = fc.tuple(fc.integer({ min: 0, max: 7 }), fc.integer({ min: 0, max: 3 }), body);
    await fc.assert(
      fc.asyncProperty(fc.array(frame, { minLength: 1, maxLength: 6 }), async (frames) => {
        const stranger = new Stranger(port);
        await stranger.enter();
        for (const [type, id, text] of frames) {
          stranger.send(framed(new Uint8Array([type, 0, 0, 0, id]), encoder.encode(text)));
        }
        stranger.send(new Uint8Array(4));
        await stranger.closed;
      }),
      { numRuns: 60 },
    );
    expect(await ways().ask(`127.0.0.1:${port}`, "m", "still here")).toBe("still here");
  });

  test("whether a retry makes sense is told to the caller", async () => {
    const error = new MeshError("request_timeout", "may be done", { retryable: true });
    const { port } = door({ handlers: { message() {}, call: () => Promise.reject(error) } });
    const told = await ways()
      .ask(`127.0.0.1:${port}`, "m", 1)
      .catch((thrown: unknown) => thrown);
    expect(told).toMatchObject({ code: "request_timeout", retryable: true, message: "may be done" });
  });

  test("who gives up is waited for no more, on either side", async () => {
    const { promise: begun, resolve: begin } = Promise.withResolvers<void>();
    const { promise: gone, resolve: go } = Promise.withResolvers<boolean>();
    const handlers: CallHandlers = {
      message() {},
      call: (incoming) => {
        incoming.onGone = () => go(incoming.isGone);
        begin();
        return new Promise(() => {});
      },
    };
    const { port } = door({ handlers });
    const end = new AbortController();
    const asked = why(ways().ask(`127.0.0.1:${port}`, "m", 1, { signal: end.signal }));
    await begun;
    end.abort();
    expect(await asked).toBe("it is not waited for any more");
    expect(await gone).toBe(true);
  });

  test("a link that was being introduced is closed as well when this node is another one", async () => {
    const { promise: met, resolve } = Promise.withResolvers<void>();
    const mute = Bun.listen({ hostname: "127.0.0.1", port: 0, socket: { data: () => resolve() } });
    ends.push(() => mute.stop(true));
    const way = ways();
    const asked = why(way.ask(`127.0.0.1:${mute.port}`, "m", 1));
    await met;
    way.renew("this node has a store now");
    expect(await asked).toContain("this node has a store now");
  });
});
