/** Requests over TCP between live transports: answers, failures, and peers that mean no good. */
import { afterEach, describe, expect, test } from "bun:test";
import { randomBytes } from "node:crypto";
import { framed } from "../../src/mesh/frame.ts";
import { eventually, RawClient } from "../admin/raw-client.ts";
import { Envelope, KIND } from "../../src/mesh/envelope.ts";
import { ReplayTable } from "../../src/mesh/replay.ts";
import { Bed, bytesOf, type Node, TIMEOUT_MS } from "./transport-bed.ts";

const bed = new Bed();
afterEach(() => bed.close());

const failure = async (promise: Promise<unknown>): Promise<{ code: string; message: string; retryable: boolean }> => {
  const outcome = await promise.then(
    () => new Error("it succeeded"),
    (thrown: unknown) => thrown,
  );
  return outcome as { code: string; message: string; retryable: boolean };
};

/** A raw TCP client that sends bytes as they are. */
async function raw(port: number, ...pieces: Uint8Array[]): Promise<RawClient> {
  const client = await RawClient.connect(port);
  for (const piece of pieces) client.send(Buffer.from(piece).toString("latin1"));
  return client;
}

/** The packet of a request as that node would send it. */
function sealedRequest({ keyring }: Node, payload: Uint8Array): Uint8Array {
  const replays = new ReplayTable({ windowSeconds: 300, sessionsMax: 64 });
  const nowSeconds = (): number => Math.floor(Date.now() / 1000);
  const options = { cluster: "test", keyring, replays, windowSeconds: 300, bytesMax: 1 << 20, nowSeconds };
  return new Envelope(options).seal(KIND.request, payload);
}

describe("requests", () => {
  test("are answered, small and large, sealed and plain", async () => {
    for (const keys of [undefined, []]) {
      const options = { onRequest: async (_from: string, bytes: Uint8Array) => bytes, ...(keys ? { keys } : {}) };
      const [a, b] = [await bed.node(options), await bed.node(options)];
      for (const length of [0, 1, 5000, 4 << 20]) {
        const payload = randomBytes(length);
        const answer = await a.transport.request(b.at, payload, TIMEOUT_MS);
        expect(Buffer.compare(answer, payload)).toBe(0);
      }
      await eventually(() => b.transport.stats().connections === 0);
      expect(b.transport.stats()).toMatchObject({ requestsServed: 4, cut: { malformed: 0, slow: 0 } });
      expect((await failure(a.transport.request(b.at, new Uint8Array((4 << 20) + 1), 100))).code).toBe(
        "payload_too_large",
      );
    }
  });

  test("of who is gone before they are read are dropped", async () => {
    const [a, b] = [await bed.node(), await bed.node()];
    for (let round = 1; round <= 20; round++) {
      const client = await RawClient.connect(b.transport.port);
      await eventually(() => b.transport.stats().connections === 1);
      // In one turn of the event loop: what was sent is read after the reset, when the kernel knows no peer any more.
      client.send(Buffer.from(framed(sealedRequest(a, bytesOf("anyone?")))).toString("latin1"));
      client.reset();
      await eventually(() => b.transport.stats().connections === 0);
    }
    const { cut, requestsServed } = b.transport.stats();
    expect([cut.gone, requestsServed]).toEqual([20, 0]);
    expect(Buffer.from(await a.transport.request(b.at, bytesOf("you?"), TIMEOUT_MS)).toString()).toBe("re: you?");
  });

  test("many at once; more than allowed are refused at once", async () => {
    const gate = Promise.withResolvers<void>();
    const [a, b] = [
      await bed.node({ limits: { connectionsMax: 20 } }),
      await bed.node({
        async onRequest(_from, bytes) {
          await gate.promise;
          return bytes;
        },
      }),
    ];
    const asking = Array.from({ length: 30 }, (_, n) => a.transport.request(b.at, bytesOf(String(n)), TIMEOUT_MS));
    const refused = await Promise.all(asking.slice(20).map(failure));
    expect(new Set(refused.map(({ code }) => code))).toEqual(new Set(["over_capacity"]));
    gate.resolve();
    const answers = await Promise.all(asking.slice(0, 20));
    expect(answers.map((answer) => Buffer.from(answer).toString())).toEqual(
      Array.from({ length: 20 }, (_, n) => `${n}`),
    );
    expect(a.transport.stats()).toMatchObject({ requests: 30, requestsFailed: 10 });
  });

  test("fail with a reason", async () => {
    const never = Promise.withResolvers<undefined>();
    const a = await bed.node({ lookup: async () => [] });
    const silent = await bed.node({ onRequest: () => undefined });
    const stuck = await bed.node({ onRequest: () => never.promise });
    const broken = await bed.node({
      onRequest: () => {
        throw new Error("boom");
      },
    });
    const gone = await bed.node();
    gone.transport.stop();
    const ask = (to: string, timeoutMs = TIMEOUT_MS) => failure(a.transport.request(to, bytesOf("?"), timeoutMs));
    expect(await ask(silent.at)).toMatchObject({
      code: "upstream_failed",
      message: expect.stringContaining("closed without an answer"),
    });
    expect(await ask(stuck.at, 50)).toMatchObject({ code: "upstream_timeout", retryable: true });
    expect(await ask(broken.at)).toMatchObject({ code: "upstream_failed" });
    expect(broken.errors).toEqual(["internal: boom"]);
    expect(await ask(gone.at)).toMatchObject({ code: "upstream_failed", message: "connection refused" });
    expect(await ask("nowhere:1")).toMatchObject({ code: "upstream_failed" });
    expect(await ask("nonsense")).toMatchObject({ code: "upstream_failed" });
    const pending = ask(stuck.at);
    a.transport.stop();
    expect(await pending).toMatchObject({ code: "draining" });
    never.resolve(undefined);
  });

  test("other keys and other meshes get no answer, and not a byte", async () => {
    const a = await bed.node();
    for (const other of [
      await bed.node({ keys: [new Uint8Array(32).fill(1)] }),
      await bed.node({ cluster: "other" }),
      await bed.node({ keys: [] }),
    ]) {
      expect((await failure(other.transport.request(a.at, bytesOf("?"), TIMEOUT_MS))).code).toBe("upstream_failed");
    }
    expect(a.transport.stats()).toMatchObject({ requestsServed: 0, cut: { malformed: 3 } });
  });
});

describe("peers that mean no good", () => {
  test("garbage is cut without a byte in return", async () => {
    const a = await bed.node({ limits: { requestTimeoutMs: 60_000 } });
    const { port } = a.transport;
    const clients = [
      await raw(port, Buffer.from("GET / HTTP/1.1\r\nHost: a\r\n\r\n")),
      await raw(port, framed(new Uint8Array(7))),
      await raw(port, framed(randomBytes(100))),
      await raw(port, Buffer.from([0xff, 0xff, 0xff, 0xff])),
      // A frame that announces much is looked at when its header is there.
      await raw(port, Buffer.from([0, 0x30, 0, 0]), randomBytes(100)),
    ];
    for (const client of clients) expect(await client.untilEnded()).toBe("");
    expect(a.transport.stats().cut).toEqual({ malformed: 5, slow: 0, crowded: 0, gone: 0 });
  });

  test("a recorded request is answered once", async () => {
    const a = await bed.node();
    const b = await bed.node();
    // What a transport sends is caught by a listener that stands in for its peer.
    const caught = Promise.withResolvers<Uint8Array>();
    const tap = Bun.listen({
      hostname: "127.0.0.1",
      port: 0,
      socket: { data: (socket, bytes) => (caught.resolve(new Uint8Array(bytes)), void socket.end()) },
    });
    await failure(b.transport.request(`127.0.0.1:${tap.port}`, bytesOf("secret question"), TIMEOUT_MS));
    tap.stop(true);
    const bytes = await caught.promise;
    const first = await raw(a.transport.port, bytes);
    await first.untilEnded();
    expect(first.received.length).toBeGreaterThan(0);
    const second = await raw(a.transport.port, bytes);
    expect(await second.untilEnded()).toBe("");
    expect(a.transport.stats()).toMatchObject({ requestsServed: 1, dropped: { replayed: 1 } });
  });

  test("slow ones are cut in time, and a peer that goes away is let go", async () => {
    const a = await bed.node({ limits: { requestTimeoutMs: 60 } });
    const slow = await raw(a.transport.port, Buffer.from([0, 0]));
    const idle = await raw(a.transport.port);
    await slow.untilEnded();
    await idle.untilEnded();
    expect(a.transport.stats().cut.slow).toBe(2);
    const leaving = await raw(a.transport.port, Buffer.from([0]));
    leaving.end();
    await leaving.untilEnded();
    await eventually(() => a.transport.stats().connections === 0);
    expect(a.transport.stats().cut.slow).toBeLessThanOrEqual(3);
  });

  test("a crowd of idlers can't keep members out", async () => {
    const a = await bed.node({ limits: { connectionsMax: 8, requestTimeoutMs: 60_000 } });
    const b = await bed.node();
    const idlers: RawClient[] = [];
    for (let n = 0; n < 20; n++) idlers.push(await raw(a.transport.port, Buffer.from([0, 0])));
    const answer = await b.transport.request(a.at, bytesOf("room for one?"), TIMEOUT_MS);
    expect(Buffer.from(answer).toString()).toBe("re: room for one?");
    expect(a.transport.stats().connections).toBeLessThanOrEqual(8);
    expect(a.transport.stats().cut.crowded).toBeGreaterThanOrEqual(12);
    for (const idler of idlers) idler.reset();
  });

  test("requests that don't end can't fill the memory", async () => {
    const a = await bed.node({ keys: [], limits: { frameBytesMax: 65_536, requestTimeoutMs: 60_000 } });
    const peers = await Promise.all(Array.from({ length: 20 }, () => RawClient.connect(a.transport.port)));
    // The header of a plain request of this cluster, as anybody could have seen it, and all but the last byte.
    const caught = Promise.withResolvers<Uint8Array>();
    const tap = Bun.listen({
      hostname: "127.0.0.1",
      port: 0,
      socket: { data: (socket, bytes) => (caught.resolve(new Uint8Array(bytes)), void socket.end()) },
    });
    await failure(a.transport.request(`127.0.0.1:${tap.port}`, bytesOf("x"), TIMEOUT_MS));
    tap.stop(true);
    const header = (await caught.promise).subarray(4, 12);
    const bytes = framed(Buffer.concat([header, randomBytes(65_000)])).subarray(0, -1);
    for (const peer of peers) peer.send(Buffer.from(bytes).toString("latin1"));
    await eventually(() => a.transport.stats().cut.crowded >= 11);
    expect(a.transport.stats().connections).toBeLessThanOrEqual(9);
    for (const peer of peers) peer.reset();
  });
});
