/** The subscriber against libzmq itself (Debian's python3-zmq); skipped, with the reason, where that is not installed. */
import { afterEach, describe, expect, test } from "bun:test";
import { rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Packr } from "msgpackr/pack";
import { blockKey, ROOT } from "../../src/kv/block-key.ts";
import type { Log } from "../../src/obs/log.ts";
import { KvEvents } from "../../src/telemetry/kv-events.ts";
import { bytesOf } from "../kv/event-bytes.ts";
import { isZmqMissing, LibzmqEngine } from "./libzmq-engine.ts";

const silent: Log = { debug() {}, info() {}, warn() {}, error() {}, with: () => silent };
const packr = new Packr({ useRecords: false });
const closers: (() => void)[] = [];
afterEach(() => {
  for (const close of closers.splice(0)) close();
});

async function start(keep?: number, at?: readonly [string, string]): Promise<LibzmqEngine> {
  const engine = await LibzmqEngine.start("kv@pod@model", keep, at);
  closers.push(() => void engine.kill());
  return engine;
}

function hear({ endpoints: [endpoint, replayEndpoint] }: LibzmqEngine): KvEvents {
  const events = new KvEvents({ runtime: "m", seed: 1, topic: "kv@", endpoint, replayEndpoint }, silent);
  closers.push(() => events.stop());
  return events;
}

async function until(what: string, condition: () => boolean): Promise<void> {
  for (let left = 1500; left > 0; left -= 1) {
    if (condition()) return;
    await Bun.sleep(10);
  }
  throw new Error(`waited in vain until ${what}`);
}

const stored = (hash: number, token: number): Uint8Array =>
  packr.pack([1.5, [["BlockStored", [hash], null, [token], 1, null, "GPU"]], 0]);
const holds = (events: KvEvents, token: number): boolean =>
  events.engines[0]!.feed.index.matched([blockKey(ROOT, [token], 0, 1)]).blocks === 1;

/** Until libzmq took the subscription, what is published is lost, and found missing by the next one. */
async function untilHeard(engine: LibzmqEngine, events: KvEvents): Promise<void> {
  const first = 100_000;
  for (let token = first; !holds(events, first); token += 1) {
    engine.do("publish", stored(token, token));
    await Bun.sleep(20);
    expect(token).toBeLessThan(first + 500);
  }
}

describe.skipIf(isZmqMissing())("libzmq", () => {
  test("is heard, replays what was before and what was lost", async () => {
    const engine = await start();
    engine.do("publish", stored(1, 1));
    engine.do("publish", stored(2, 2));
    const events = hear(engine);
    await until("the replay is over", () => holds(events, 1) && holds(events, 2));
    await untilHeard(engine, events);
    const { batches } = events.status()[0]!;
    engine.do("lose", stored(1001, 1001));
    engine.do("publish", stored(1002, 1002));
    await until("the lost one too", () => holds(events, 1001) && holds(events, 1002));
    const status = events.status()[0]!;
    expect(status).toMatchObject({ isPartial: false, isSubscribed: true, lost: 0, malformed: 0, badBatches: 0 });
    expect(status.batches).toBeGreaterThanOrEqual(batches + 2);
    expect(status.blocks).toBe(status.batches);
    expect(engine.asked[0]).toBe(0);
  });

  test("passes on every encoding, and a batch of a thousand blocks", async () => {
    const engine = await start();
    const events = hear(engine);
    await until("it subscribed", () => events.status()[0]!.isSubscribed);
    for (const name of ["first", "array", "map", "mixed", "sglang", "offloaded"] as const)
      engine.do("publish", bytesOf(name));
    const tokens = Array.from({ length: 16_000 }, (_, at) => at);
    const hashes = Array.from({ length: 1000 }, (_, at) => at + 100);
    engine.do("publish", packr.pack([1.5, [["BlockStored", hashes, null, tokens, 16, null, "GPU"]], 0]));
    await untilHeard(engine, events);
    expect(events.status()[0]).toMatchObject({ badBatches: 0, malformed: 0, lost: 0 });
    expect(events.status()[0]!.blocks).toBeGreaterThan(1000);
  });

  test("killed and started again it is another life", async () => {
    const engine = await start();
    engine.do("publish", stored(1, 1));
    const events = hear(engine);
    await until("the first is heard", () => holds(events, 1));
    await engine.kill();
    await until("it noticed", () => !events.status()[0]!.isSubscribed);
    const next = await start(10_000, engine.endpoints);
    next.do("publish", stored(7, 7));
    await until("the new life is heard", () => holds(events, 7));
    expect(holds(events, 1)).toBe(false);
    expect(events.status()[0]).toMatchObject({ isPartial: false, restarts: 1, blocks: 1 });
  });

  test("a replay of ten thousand batches comes whole, over unix sockets", async () => {
    const base = join(tmpdir(), `libzmq-${process.pid}-${Date.now()}`);
    closers.push(() => {
      for (const end of ["a", "b"]) rmSync(`${base}-${end}`, { force: true });
    });
    const engine = await start(20_000, [`ipc://${base}-a`, `ipc://${base}-b`]);
    for (let at = 0; at < 10_000; at += 1) engine.do("lose", stored(at + 1, at));
    const events = hear(engine);
    await untilHeard(engine, events);
    // What a ROUTER drops, when its peer is slow, is asked for again.
    await until("all are here", () => events.status()[0]!.blocks > 10_000);
    const status = events.status()[0]!;
    expect(status).toMatchObject({ lost: 0, malformed: 0, isPartial: false });
    expect(status.blocks).toBe(status.batches);
  }, 30_000);
});
