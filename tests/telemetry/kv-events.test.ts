import { afterEach, describe, expect, test } from "bun:test";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Packr } from "msgpackr/pack";
import { Prng } from "../../src/base/prng.ts";
import { blockKey, ROOT } from "../../src/kv/block-key.ts";
import { IndexReceiver } from "../../src/kv/index-receiver.ts";
import type { Log } from "../../src/obs/log.ts";
import { KvEvents, type KvEventsOptions } from "../../src/telemetry/kv-events.ts";
import { endpointPlace } from "../../src/telemetry/zmq-endpoint.ts";
import { greetingOf, readyOf } from "../wire/zmtp-peer.ts";
import { ZmqEngine, type ZmqEngineOptions } from "./zmq-engine.ts";

const packr = new Packr({ useRecords: false });
const closers: (() => void)[] = [];
afterEach(() => {
  for (const close of closers.splice(0)) close();
});

/** A batch that stores one block of these tokens, with nothing before it. */
function stored(hash: number, tokens: readonly number[], rank = 0): Uint8Array {
  return packr.pack([1.5, [["BlockStored", [hash], null, tokens, tokens.length, null, "GPU"]], rank]);
}
const removed = (hash: number): Uint8Array => packr.pack([2.5, [["BlockRemoved", [hash], "GPU"]], 0]);

function engineOf(options: ZmqEngineOptions = {}): ZmqEngine {
  const engine = new ZmqEngine(options);
  closers.push(() => engine.stop());
  return engine;
}

interface Heard {
  readonly events: KvEvents;
  readonly lines: string[];
}

function hear(engine: ZmqEngine, options: Partial<KvEventsOptions> = {}): Heard {
  return hearAt({ endpoint: engine.endpoint, replayEndpoint: engine.replayEndpoint, ...options });
}

function hearAt(options: Partial<KvEventsOptions> & { endpoint: string }): Heard {
  const lines: string[] = [];
  const tell = (line: string): void => void lines.push(line);
  const log: Log = { debug: tell, info: tell, warn: tell, error: tell, with: () => log };
  const events = new KvEvents({ runtime: "m", seed: 1, ...options }, log);
  closers.push(() => events.stop());
  return { events, lines };
}

async function until(what: string, condition: () => boolean): Promise<void> {
  for (let left = 1000; left > 0; left -= 1) {
    if (condition()) return;
    await Bun.sleep(10);
  }
  throw new Error(`waited in vain until ${what}`);
}

const key = (tokens: readonly number[]): number => blockKey(ROOT, tokens, 0, tokens.length);
const holds = ({ events }: Heard, tokens: readonly number[], rank = 0): boolean =>
  events.engines[rank]!.feed.index.matched([key(tokens)]).blocks === 1;
const status = ({ events }: Heard, rank = 0) => events.status()[rank]!;

describe("the events of an engine", () => {
  test("what it told before is replayed, what it tells is heard, and a router learns of both", async () => {
    const engine = engineOf();
    engine.publish(stored(1, [1, 2, 3, 4]));
    const heard = hear(engine);
    await until("the replay is over", () => holds(heard, [1, 2, 3, 4]) && engine.subscribers === 1);
    expect(status(heard)).toMatchObject({ isSubscribed: true, isPartial: false, blocks: 1, rank: 0, fault: "" });

    const receiver = new IndexReceiver();
    const { feed } = heard.events.engines[0]!;
    for (const message of [...feed.take(), ...feed.snapshot()]) receiver.receive("node", message, 0);
    engine.publish(stored(2, [5, 6]));
    engine.publish(removed(1));
    await until("both are heard", () => status(heard).batches === 3);
    for (const message of feed.take()) receiver.receive("node", message, 1);
    const [remote] = receiver.engines("node");
    expect(remote).toMatchObject({ runtime: "m", engine: engine.endpoint.slice(6), size: 1, isPartial: false });
    expect(remote!.matched([key([5, 6])])).toEqual({ blocks: 1, tokens: 2 });
  });

  for (const minor of [0, 1]) {
    test(`over ZMTP 3.${minor}, with a topic`, async () => {
      const engine = engineOf({ minor, topic: "kv@pod@model" });
      const heard = hear(engine, { topic: "kv@" });
      await until("it subscribed", () => engine.subscribers === 1);
      engine.publish(stored(1, [1]));
      await until("it is heard", () => holds(heard, [1]));
    });
  }

  test("over unix sockets", async () => {
    const base = join(tmpdir(), `zmq-${process.pid}-${Date.now()}`);
    const engine = engineOf({ paths: [`${base}-a`, `${base}-b`] });
    engine.publish(stored(1, [1]));
    const heard = hear(engine);
    await until("it is heard", () => holds(heard, [1]));
    expect(status(heard).engine).toBe(`ipc://${base}-a`);
  });

  test("what was lost is replayed", async () => {
    const engine = engineOf();
    const heard = hear(engine);
    await until("it subscribed", () => engine.subscribers === 1 && engine.asked.length === 1);
    engine.publish(stored(1, [1]));
    await until("the first is heard", () => holds(heard, [1]));
    engine.publish(stored(2, [2]), true);
    engine.publish(stored(3, [3]));
    await until("all are heard", () => holds(heard, [2]) && holds(heard, [3]));
    expect(engine.asked.at(-1)).toBe(1);
    expect(status(heard)).toMatchObject({ gaps: 1, lost: 0, isPartial: false });
  });

  test("what the buffer no longer holds voids the index, which says so", async () => {
    const engine = engineOf({ bufferMax: 2 });
    const heard = hear(engine);
    await until("it subscribed", () => engine.subscribers === 1 && engine.asked.length === 1);
    engine.publish(stored(1, [1]));
    await until("the first is heard", () => holds(heard, [1]));
    for (const token of [2, 3, 4]) engine.publish(stored(token, [token]), true);
    engine.publish(stored(5, [5]));
    await until("the last is heard", () => holds(heard, [5]));
    expect(holds(heard, [1])).toBe(false);
    expect(status(heard)).toMatchObject({ isPartial: true, lost: 1, blocks: 2 });
    expect(heard.lines.some((line) => line.includes("no longer in the engine's replay buffer"))).toBe(true);
  });

  test("without a replay socket a gap voids it too", async () => {
    const engine = engineOf();
    const heard = hearAt({ endpoint: engine.endpoint });
    await until("it subscribed", () => engine.subscribers === 1);
    engine.publish(stored(1, [1]));
    engine.publish(stored(2, [2]), true);
    engine.publish(stored(3, [3]));
    await until("the last is heard", () => holds(heard, [3]));
    expect(status(heard)).toMatchObject({ blocks: 1, isPartial: true, began: "heard from batch 2 on" });
  });

  test("a lost connection is made again, and what was missed is replayed", async () => {
    const engine = engineOf();
    const heard = hear(engine);
    await until("it subscribed", () => engine.subscribers === 1);
    engine.publish(stored(1, [1]));
    await until("the first is heard", () => holds(heard, [1]));
    engine.cut();
    await until("it noticed", () => !status(heard).isSubscribed);
    engine.publish(stored(2, [2]));
    await until("the second is heard", () => holds(heard, [2]));
    expect(status(heard)).toMatchObject({ isPartial: false, restarts: 0, blocks: 2 });
  });

  test("an engine that started again meanwhile is another one", async () => {
    const engine = engineOf();
    const heard = hear(engine);
    await until("it subscribed", () => engine.subscribers === 1);
    engine.publish(stored(1, [1]));
    await until("the first is heard", () => holds(heard, [1]));
    engine.cut();
    engine.forget();
    engine.publish(stored(7, [7]));
    await until("the new life is heard", () => holds(heard, [7]));
    expect(holds(heard, [1])).toBe(false);
    expect(status(heard)).toMatchObject({ isPartial: false, restarts: 1, blocks: 1 });
  });

  test("one that is not there yet is waited for", async () => {
    const first = new ZmqEngine();
    const { ports } = first;
    first.stop();
    const heard = hearAt({ endpoint: `tcp://127.0.0.1:${ports[0]}`, replayEndpoint: `tcp://127.0.0.1:${ports[1]}` });
    await until("it failed", () => status(heard).fault !== "");
    expect(heard.lines.filter((line) => line.includes("can't connect"))).toHaveLength(1);
    const engine = engineOf({ ports });
    engine.publish(stored(1, [1]));
    await until("it is heard", () => holds(heard, [1]));
    expect(status(heard).fault).toBe("");
  });

  test("ranks listen on ports one after the other, and have an index each", async () => {
    let engines: ZmqEngine[] = [];
    for (let tries = 20; engines.length < 2 && tries > 0; tries -= 1) {
      const first = new ZmqEngine();
      try {
        engines = [first, new ZmqEngine({ ports: [first.ports[0] + 1, first.ports[1] + 1] })];
      } catch {
        first.stop();
      }
    }
    for (const engine of engines) closers.push(() => engine.stop());
    expect(engines).toHaveLength(2);
    const heard = hear(engines[0]!, { ranks: 2 });
    engines[0]!.publish(stored(1, [1], 0));
    engines[1]!.publish(stored(1, [9], 1));
    await until("both are heard", () => holds(heard, [1], 0) && holds(heard, [9], 1));
    expect([holds(heard, [9], 0), holds(heard, [1], 1)]).toEqual([false, false]);
    expect(heard.events.status().map(({ rank }) => rank)).toEqual([0, 1]);
  });

  test("bad batches are counted and skipped, and those behind them read", async () => {
    const engine = engineOf();
    const heard = hear(engine);
    await until("it subscribed", () => engine.subscribers === 1);
    const prng = new Prng(5);
    for (let at = 0; at < 50; at += 1)
      engine.publish(Uint8Array.from({ length: prng.int(60) + 1 }, () => prng.int(256)));
    engine.publish(stored(1, [1]));
    await until("the good one is heard", () => holds(heard, [1]));
    expect(status(heard)).toMatchObject({ badBatches: 50, isPartial: true, isSubscribed: true });
  });

  test("a large batch comes whole", async () => {
    const engine = engineOf();
    const heard = hear(engine);
    await until("it subscribed", () => engine.subscribers === 1 && engine.asked.length === 1);
    const tokens = Array.from({ length: 64_000 }, (_, at) => at + 1000);
    const hashes = Array.from({ length: 4000 }, (_, at) => at);
    engine.publish(packr.pack([1.5, [["BlockStored", hashes, null, tokens, 16, null, "GPU"]], 0]));
    await until("it is heard", () => status(heard).blocks === 4000);
  });

  test("a replay socket that is not there is given up, and what is heard goes on", async () => {
    const engine = engineOf();
    const heard = hear(engine, { replayEndpoint: "tcp://127.0.0.1:1" });
    await until("it subscribed", () => engine.subscribers === 1);
    engine.publish(stored(1, [1]));
    await until("it is heard", () => holds(heard, [1]));
    expect(heard.lines.some((line) => line.includes("can't be replayed"))).toBe(true);
  });
});

describe("what is no publisher", () => {
  const refused: readonly (readonly [string, Uint8Array, string])[] = [
    ["an HTTP server", Buffer.from("HTTP/1.1 400 Bad Request\r\n\r\n"), "no ZeroMQ peer"],
    ["a CURVE server", greetingOf({ mechanism: "CURVE" }), "only NULL is spoken"],
    ["a PULL socket", Buffer.concat([greetingOf(), readyOf({ "Socket-Type": "PULL" })]), "PUB or XPUB is wanted"],
  ];
  for (const [what, bytes, reason] of refused) {
    test(`${what} is told apart, once, and tried again`, async () => {
      let connections = 0;
      const open = (socket: { write(bytes: Uint8Array): number }): void => {
        connections += 1;
        socket.write(bytes);
      };
      const server = Bun.listen({ hostname: "127.0.0.1", port: 0, socket: { open, data: () => {} } });
      closers.push(() => server.stop(true));
      const heard = hearAt({ endpoint: `tcp://127.0.0.1:${server.port}` });
      await until("it was tried again", () => connections >= 3);
      expect(status(heard).fault).toContain(reason);
      expect(heard.lines.filter((line) => line.includes(reason))).toHaveLength(1);
    });
  }
});

describe("endpoints", () => {
  test("as engines name them", () => {
    expect(endpointPlace("tcp://*:5557", 0)).toEqual({ host: "127.0.0.1", port: 5557 });
    expect(endpointPlace("tcp://0.0.0.0:5557", 3)).toEqual({ host: "127.0.0.1", port: 5560 });
    expect(endpointPlace("tcp://[::]:1", 0)).toEqual({ host: "::1", port: 1 });
    expect(endpointPlace("tcp://gpu-7.local:65535", 0)).toEqual({ host: "gpu-7.local", port: 65_535 });
    expect(endpointPlace("ipc:///run/kv.sock", 0)).toEqual({ host: "/run/kv.sock", port: 0 });
  });

  test("others are refused, with what is wrong", () => {
    const refused = [
      ["inproc://kv", /expected tcp/],
      ["tcp://host", /expected tcp/],
      ["tcp://host:0", /port 0 is not/],
      ["tcp://host:70000", /port 70000/],
      ["tcp://a/b:1", /expected tcp/],
      ["ipc://relative", /begins with a slash/],
      [`ipc:///${"x".repeat(107)}`, /more than 107 bytes/],
    ] as const;
    for (const [text, reason] of refused) expect(() => endpointPlace(text, 0)).toThrow(reason);
    expect(() => endpointPlace("ipc:///run/kv.sock", 1)).toThrow(/rank 1 has no port/);
    expect(() => endpointPlace("tcp://host:65535", 1)).toThrow(/port 65536/);
  });

  test("nothing is started where one of them is none", () => {
    expect(() => hearAt({ endpoint: "tcp://127.0.0.1:65535", ranks: 2 })).toThrow(/port 65536/);
    expect(() => hearAt({ endpoint: "tcp://127.0.0.1:5557", ranks: 0 })).toThrow(/0 ranks/);
    expect(() => hearAt({ endpoint: "tcp://127.0.0.1:5557", ranks: 2, slot: 255 })).toThrow(/room for 256/);
    expect(() => hearAt({ endpoint: "tcp://127.0.0.1:5557", topic: "x".repeat(1025) })).toThrow(/1025 bytes/);
  });
});
