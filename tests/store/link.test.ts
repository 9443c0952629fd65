/** Links between control nodes over real sockets: who is let in, what is sealed, and calls over them. */
import { afterEach, describe, expect, test } from "bun:test";
import { createHash, createSecretKey, randomBytes } from "node:crypto";
import { MeshError } from "../../src/base/errors.ts";
import type { CallHandlers, Incoming } from "../../src/store/calls.ts";
import { Door } from "../../src/store/door.ts";
import type { LinkIdentity } from "../../src/store/link.ts";
import type { SealKey } from "../../src/store/sealing.ts";
import { Ways } from "../../src/store/ways.ts";

const ends: (() => void)[] = [];
afterEach(() => {
  for (const end of ends.splice(0)) end();
});

function key(): SealKey {
  const bytes = randomBytes(32);
  return { cipher: createSecretKey(bytes), fingerprint: createHash("sha256").update(bytes).digest("hex").slice(0, 16) };
}

function identity(node: string, keys: readonly SealKey[] = [], more: Partial<LinkIdentity> = {}): LinkIdentity {
  return { cluster: "mesh", node, storeId: () => "", keys: () => keys, ...more };
}

const deaf: CallHandlers = { message() {}, call: () => Promise.reject(new MeshError("not_supported", "nothing here")) };

function door(who: LinkIdentity, handlers: CallHandlers = deaf, onRefused = (_why: string): void => {}): string {
  const opened = new Door({ address: { host: "127.0.0.1", port: 0 }, identity: who, handlers, onRefused });
  ends.push(() => opened.stop());
  return `127.0.0.1:${opened.port}`;
}

function ways(who: LinkIdentity, onBroken = (_address: string, _why: string): void => {}): Ways {
  const made = new Ways({ identity: who, handlers: deaf, onBroken });
  ends.push(() => made.stop());
  return made;
}

const echo: CallHandlers = { message() {}, call: async ({ body, node }) => ({ body, node }) };

/** The message of what it rejects with. */
function why(asked: Promise<unknown>): Promise<string> {
  return asked.then(
    () => "answered",
    (error: unknown) => `${(error as MeshError).code}: ${(error as MeshError).message}`,
  );
}

describe("a link", () => {
  test("carries calls, plain and sealed, and tells who asks", async () => {
    for (const keys of [[], [key()]]) {
      const to = door(identity("b", keys), echo);
      expect(await ways(identity("a", keys)).ask(to, "m", { x: [1, "ü"] })).toEqual({
        body: { x: [1, "ü"] },
        node: "a",
      });
    }
  });

  test("is sealed with the opener's primary key, which need not be the other's", async () => {
    const [old, young] = [key(), key()];
    const to = door(identity("b", [old, young]), echo);
    expect(await ways(identity("a", [young, old])).ask(to, "m", 1)).toMatchObject({ body: 1 });
    expect(await ways(identity("c", [old])).ask(to, "m", 2)).toMatchObject({ body: 2 });
  });

  test("ends with the key it is sealed by, and a plain one when there is a key", async () => {
    const [old, young] = [key(), key()];
    let keys = [old];
    const changing = (node: string): LinkIdentity => ({ ...identity(node), keys: () => keys });
    const { promise: broken, resolve } = Promise.withResolvers<string>();
    const to = door(changing("b"), echo);
    const way = ways(changing("a"), (_address, cause) => resolve(cause));
    expect(await way.ask(to, "m", 1)).toMatchObject({ body: 1 });
    keys = [young, old];
    expect(await way.ask(to, "m", 2)).toMatchObject({ body: 2 });
    keys = [young];
    expect(await broken).toMatch(/keys of the mesh have changed|closed|cut/);
    let plain: SealKey[] = [];
    const { promise: gone, resolve: went } = Promise.withResolvers<string>();
    const plainTo = door({ ...identity("c"), keys: () => plain }, echo);
    const open = ways({ ...identity("d"), keys: () => plain }, (_address, cause) => went(cause));
    expect(await open.ask(plainTo, "m", 3)).toMatchObject({ body: 3 });
    plain = [young];
    expect(await gone).toMatch(/keys of the mesh have changed|closed|cut/);
  });

  test("is refused to strangers, who are told why", async () => {
    const ours = key();
    const sealed = door(identity("b", [ours]), echo);
    expect(await why(ways(identity("a", [key()])).ask(sealed, "m", 1))).toContain("no key of that fingerprint is here");
    expect(await why(ways(identity("a")).ask(sealed, "m", 1))).toContain("sealed by a key");
    expect(await why(ways(identity("a", [ours], { cluster: "other" })).ask(sealed, "m", 1))).toContain(
      "belongs to the mesh mesh, not other",
    );
    const plain = door(identity("b"), echo);
    expect(await why(ways(identity("a", [ours])).ask(plain, "m", 1))).toContain("has no gossip key");
  });

  test("between stores of two control clusters is refused; one without a store is let in", async () => {
    const to = door(identity("b", [], { storeId: () => "aa" }), echo);
    const foreign = ways(identity("a", [], { storeId: () => "bb" }));
    expect(await why(foreign.ask(to, "m", 1))).toContain("of the control cluster aa, not bb");
    expect(await ways(identity("c")).ask(to, "m", 1)).toMatchObject({ body: 1 });
    expect(await ways(identity("d", [], { storeId: () => "aa" })).ask(to, "m", 1)).toMatchObject({ body: 1 });
  });

  test.each([
    ["sealed", [key()]],
    ["plain", []],
  ])("whose bytes were changed on the way is cut, and nothing of it is believed: %s", async (_how, keys) => {
    const calls: Incoming[] = [];
    const to = door(identity("b", keys), {
      message() {},
      call: async (incoming) => (calls.push(incoming), {}),
    });
    // A relay that flips a bit of the first sealed frame of the opener, which follows its hello.
    let sent = 0;
    const relay = Bun.listen<{ up: Bun.Socket | null; early: Uint8Array[] }>({
      hostname: "127.0.0.1",
      port: 0,
      socket: {
        open(client) {
          client.data = { up: null, early: [] };
          void Bun.connect({
            hostname: "127.0.0.1",
            port: Number(to.split(":")[1]),
            socket: {
              open(up) {
                client.data.up = up;
                for (const bytes of client.data.early) up.write(bytes);
              },
              data: (_up, bytes) => void client.write(bytes),
              close: () => void client.end(),
            },
          });
        },
        data(client, bytes) {
          const copy = Buffer.from(bytes);
          sent += 1;
          if (sent > 1) copy[copy.length - 1]! ^= 1;
          if (client.data.up === null) client.data.early.push(copy);
          else client.data.up.write(copy);
        },
        close: (client) => void client.data.up?.end(),
      },
    });
    ends.push(() => relay.stop(true));
    const asked = ways(identity("a", keys)).ask(`127.0.0.1:${relay.port}`, "m", 1, { timeoutMs: 2000 });
    expect(await why(asked)).toContain("the answer did not come");
    expect(calls).toEqual([]);
  });

  test("of somebody who speaks something else is cut", async () => {
    const { promise, resolve } = Promise.withResolvers<string>();
    const to = door(identity("b"), deaf, resolve);
    const socket = await Bun.connect({
      hostname: "127.0.0.1",
      port: Number(to.split(":")[1]),
      socket: { data() {}, open: (opened) => void opened.write("GET / HTTP/1.1\r\n\r\n") },
    });
    ends.push(() => socket.terminate());
    expect(await promise).toContain("too long");
  });
});

describe("calls", () => {
  test("answer errors by code, and unknown codes as internal ones", async () => {
    const to = door(identity("b"), {
      message() {},
      call({ method }) {
        if (method === "bug") throw new TypeError("a bug");
        return Promise.reject(new MeshError("no_quorum", "none"));
      },
    });
    const way = ways(identity("a"));
    expect(await why(way.ask(to, "m", 1))).toBe("no_quorum: none");
    expect(await why(way.ask(to, "bug", 1))).toBe("internal: a bug");
  });

  test("stream pieces before the answer, and end when the caller gives up or is gone", async () => {
    const gone: string[] = [];
    const to = door(identity("b"), {
      message() {},
      call: (incoming) => {
        const { promise, resolve } = Promise.withResolvers<unknown>();
        for (const piece of [1, 2, 3]) incoming.piece(piece);
        if (incoming.body === "answer") resolve("done");
        incoming.onGone = () => gone.push(String(incoming.body));
        return promise;
      },
    });
    const way = ways(identity("a"));
    const pieces: unknown[] = [];
    expect(await way.ask(to, "m", "answer", { onPiece: (piece) => pieces.push(piece) })).toBe("done");
    expect(pieces).toEqual([1, 2, 3]);
    expect(await why(way.ask(to, "m", "late", { timeoutMs: 30 }))).toContain("request_timeout");
    // A call after it over the same link: by its answer the other side has read the word that the caller gave up.
    await way.ask(to, "m", "answer");
    expect(gone).toEqual(["late"]);
  });

  test("to a node that is not there fail at once, and again without a new attempt for a moment", async () => {
    const to = door(identity("b"));
    ends.pop()?.();
    const broken: string[] = [];
    const way = ways(identity("a"), (address) => broken.push(address));
    expect(await why(way.ask(to, "m", 1))).toContain("connection refused");
    expect(await why(way.ask(to, "m", 1))).toContain("connection refused");
    expect(broken).toEqual([to]);
    expect(await why(way.ask("nowhere", "m", 1))).toContain("no address");
  });

  test("under way when the link breaks are rejected", async () => {
    const { promise: arrived, resolve } = Promise.withResolvers<void>();
    const opened = new Door({
      address: { host: "127.0.0.1", port: 0 },
      identity: identity("b"),
      handlers: { message() {}, call: () => (resolve(), new Promise(() => {})) },
      onRefused() {},
    });
    const asked = why(ways(identity("a")).ask(`127.0.0.1:${opened.port}`, "m", 1));
    await arrived;
    opened.stop();
    expect(await asked).toStartWith("request_timeout: the answer did not come");
  });
});
