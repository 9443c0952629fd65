import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { Prng } from "../../src/base/prng.ts";
import { MEDIUM } from "../../src/kv/event.ts";
import { CHANGES_MAX, IndexFeed } from "../../src/kv/index-feed.ts";
import { GONE_MS, IndexReceiver, SILENT_MS } from "../../src/kv/index-receiver.ts";
import type { RemoteIndex } from "../../src/kv/remote-index.ts";
import { HELD, readAsk, writeAnswer, writeAsk, writeStandings } from "../../src/kv/talk.ts";
import {
  FOLLOW,
  MESSAGE,
  MESSAGE_BYTES,
  open,
  readGone,
  readNumber,
  readRuns,
  writeUpdates,
} from "../../src/kv/wire.ts";
import { Engine, removedEvent, storedEvent } from "./engine.ts";

const WHO = { slot: 3, runtime: "llama", engine: "127.0.0.1:5557" };
const feedOf = (seed = 1, blocksMax?: number): IndexFeed => new IndexFeed(WHO, new Prng(seed), blocksMax);

/** What a router should know. */
function expectSame(remote: RemoteIndex | undefined, feed: IndexFeed): void {
  expect(remote).toBeDefined();
  expect(remote!.size).toBe(feed.index.size);
  for (const { key, media, depth } of feed.index.blocks()) {
    expect([remote!.media(key), remote!.depth(key)]).toEqual([media, depth]);
  }
  expect(remote).toMatchObject({ isCurrent: true, isPartial: feed.index.isPartial });
}

const chain = (name: string, blocks: number, first = 0) =>
  storedEvent({
    hashes: Array.from({ length: blocks }, (_, at) => `${name}${at}`),
    tokens: Uint32Array.from({ length: blocks * 4 }, (_, at) => first + at),
  });

/** A receiver that has a first snapshot. */
function follower(feed: IndexFeed): IndexReceiver {
  const receiver = new IndexReceiver();
  feed.take();
  for (const message of feed.snapshot()) receiver.receive("n", message, 0);
  receiver.take();
  return receiver;
}

describe("updates of an index", () => {
  test("a first snapshot, then what changed, in numbered messages", () => {
    const feed = feedOf();
    feed.index.restart(true);
    feed.index.apply(chain("a", 3));
    const receiver = follower(feed);
    const [remote] = receiver.engines("n");
    expect(remote).toMatchObject({ runtime: "llama", engine: "127.0.0.1:5557", slot: 3, blockTokens: 4 });
    expectSame(remote, feed);
    expect(feed.take()).toEqual([]);

    feed.index.apply(removedEvent(["a2"]));
    feed.index.apply(chain("b", 2, 500));
    const [update, ...more] = feed.take();
    expect(more).toEqual([]);
    receiver.receive("n", update!, 1);
    expectSame(receiver.engines("n")[0], feed);
    expect(receiver.take()).toEqual({ asks: [], follows: [], changed: ["n"] });
    // 7 bytes a block, and little more.
    expect(update!.length).toBeLessThan(60);
    // A doubled one says nothing new.
    receiver.receive("n", update!, 1);
    expect(receiver.take()).toMatchObject({ asks: [], follows: [] });
  });

  test("a block that came and went between two takes is no news; one that moved is", () => {
    const feed = feedOf();
    feed.index.apply(chain("a", 2));
    const receiver = follower(feed);
    feed.index.apply(chain("b", 2, 500));
    feed.index.apply(removedEvent(["b1", "b0"]));
    feed.index.apply(removedEvent(["a1"]));
    feed.index.apply(storedEvent({ hashes: ["a1"], parent: "a0", tokens: Uint32Array.of(4, 5, 6, 7) }));
    expect(feed.take()).toEqual([]);
    feed.index.apply(storedEvent({ hashes: ["a0"], tokens: new Uint32Array(0), blockTokens: 0, medium: MEDIUM.disk }));
    for (const message of feed.take()) receiver.receive("n", message, 1);
    expectSame(receiver.engines("n")[0], feed);
  });

  test("an index that starts anew needs no snapshot", () => {
    const feed = feedOf();
    feed.index.apply(chain("a", 100));
    const receiver = follower(feed);
    feed.index.apply({ kind: "cleared" });
    feed.index.apply(chain("b", 2, 500));
    for (const message of feed.take()) receiver.receive("n", message, 1);
    expectSame(receiver.engines("n")[0], feed);
    expect(receiver.take().asks).toEqual([]);
    expect(receiver.stats.gaps).toBe(0);
    feed.index.apply({ kind: "cleared" });
    for (const message of feed.take()) receiver.receive("n", message, 2);
    expect(receiver.engines("n")[0]).toMatchObject({ size: 0, isPartial: false, isCurrent: true });
    expect(receiver.size).toBe(0);
  });

  test("that it became partial is told, without a change of blocks", () => {
    const feed = feedOf();
    feed.index.restart(true);
    const receiver = follower(feed);
    expect(receiver.engines("n")[0]?.isPartial).toBe(false);
    feed.index.missed();
    for (const message of feed.take()) receiver.receive("n", message, 1);
    expect(receiver.engines("n")[0]?.isPartial).toBe(true);
  });

  test("that the engine is not heard is told, and that it is again", () => {
    const feed = feedOf();
    const receiver = follower(feed);
    expect(receiver.engines("n")[0]).toMatchObject({ isHeard: false, isCurrent: true });
    for (const isHeard of [true, false]) {
      feed.isHeard = isHeard;
      const [message, ...more] = feed.take();
      expect(more).toEqual([]);
      receiver.receive("n", message!, 1);
      expect(receiver.engines("n")[0]).toMatchObject({ isHeard, isCurrent: true });
      expect(feed.take()).toEqual([]);
    }
  });

  test("a lost update is noticed by the next one, asked for, and mended by a snapshot", () => {
    const feed = feedOf();
    feed.index.apply(chain("a", 2));
    const receiver = follower(feed);
    feed.index.apply(chain("b", 2, 500));
    expect(feed.take()).toHaveLength(1);
    feed.index.apply(chain("c", 2, 900));
    for (const message of feed.take()) receiver.receive("n", message, 1000);
    const { asks } = receiver.take();
    expect(asks).toEqual([{ to: "n", slot: 3 }]);
    const { life, number } = receiver.engines("n")[0]!;
    const ask = { slot: 3, held: HELD.update, life, number, part: 0 };
    expect(readAsk(receiver.ask(asks[0]!)!)).toEqual(ask);
    expect(receiver.engines("n")[0]).toMatchObject({ isCurrent: false, behind: 2, behindSinceMs: 1000, size: 2 });
    // What comes while the snapshot is on its way is not lost.
    const snapshot = feed.snapshot();
    feed.index.apply(chain("d", 1, 1300));
    for (const message of [...feed.take(), ...snapshot]) receiver.receive("n", message, 1001);
    expectSame(receiver.engines("n")[0], feed);
    expect(receiver.take().asks).toEqual([]);
  });

  test("asks come seldomer while no snapshot does, and end with it", () => {
    const feed = feedOf();
    feed.index.apply(chain("a", 1));
    const receiver = new IndexReceiver();
    for (const message of feed.take()) receiver.receive("n", message, 0);
    let asks = receiver.take().asks.length;
    for (let nowMs = 0; nowMs < 20_000; nowMs += 10) {
      receiver.wake(nowMs);
      asks += receiver.take().asks.length;
    }
    expect(asks).toBeGreaterThan(6);
    expect(asks).toBeLessThan(14);
    for (const message of feed.snapshot()) receiver.receive("n", message, 20_000);
    receiver.wake(1e6);
    expect(receiver.take().asks).toEqual([]);
  });

  test("more changes than are kept begin a new life, and a snapshot tells all", () => {
    const feed = feedOf(1, CHANGES_MAX * 2);
    feed.index.apply(chain("a", 1));
    const receiver = follower(feed);
    feed.index.apply(chain("b", CHANGES_MAX + 10, 500));
    const messages = feed.take();
    for (const message of messages) receiver.receive("n", message, 1000);
    expect(receiver.take().asks).toHaveLength(1);
    const parts = feed.snapshot();
    expect(parts.length).toBeGreaterThan(10);
    // Parts may come in any order, and a doubled one changes nothing.
    for (const message of [...parts.toReversed().slice(0, 3), ...parts]) receiver.receive("n", message, 1001);
    expectSame(receiver.engines("n")[0], feed);
    for (const message of parts) expect(message.length).toBeLessThan(MESSAGE_BYTES + 200);
    // 7 bytes a block.
    const bytes = parts.reduce((sum, { length }) => sum + length, 0);
    expect(bytes / feed.index.size).toBeLessThan(7.1);
  });

  test("a long update comes in several messages, each the next of the one before", () => {
    const feed = feedOf();
    for (let at = 0; at < 40; at += 1) feed.index.apply(chain(`a${at}-`, 300, at * 5000));
    const receiver = follower(feed);
    for (let at = 0; at < 40; at += 1) {
      feed.index.apply(removedEvent(Array.from({ length: 300 }, (_, block) => `a${at}-${block}`)));
      feed.index.apply(chain(`b${at}-`, 300, 1e6 + at * 5000));
    }
    const messages = feed.take();
    expect(messages.length).toBeGreaterThan(4);
    for (const message of messages) receiver.receive("n", message, 1);
    expectSame(receiver.engines("n")[0], feed);
    expect(receiver.take().asks).toEqual([]);
  });

  test("whatever is lost, doubled or late, all ends the same", () => {
    fc.assert(
      fc.property(fc.nat(), fc.integer({ min: 8, max: 400 }), (seed, blocksMax) => {
        const prng = new Prng(seed);
        const engine = new Engine(seed);
        const feed = feedOf(seed, blocksMax);
        const receiver = new IndexReceiver();
        let late: Uint8Array[] = [];
        let nowMs = 0;
        for (let round = 0; round < 120; round += 1) {
          nowMs += 100;
          for (let events = prng.int(6); events > 0; events -= 1) feed.index.apply(engine.next());
          if (prng.int(40) === 0) feed.index.restart(prng.int(2) === 0);
          const messages = feed.take();
          if (receiver.take().asks.length > 0) messages.push(...feed.snapshot());
          for (const message of [...late.splice(0), ...messages]) {
            const dice = prng.int(20);
            if (dice === 0) late.push(message);
            else if (dice !== 1) receiver.receive("n", message, nowMs);
            if (dice === 2) receiver.receive("n", message, nowMs);
          }
          receiver.wake(nowMs);
        }
        late = [];
        // From here on nothing is lost.
        for (let round = 0; round < 3; round += 1) {
          nowMs += 10_000;
          feed.index.missed();
          feed.index.apply(chain(`end${round}-`, 1, 1e6 + round * 100));
          for (const message of feed.take()) receiver.receive("n", message, nowMs);
          receiver.wake(nowMs);
          if (receiver.take().asks.length > 0)
            for (const message of feed.snapshot()) receiver.receive("n", message, nowMs);
        }
        expectSame(receiver.engines("n")[0], feed);
        expect(receiver.size).toBe(feed.index.size);
        expect(receiver.stats.malformed).toBe(0);
      }),
      { numRuns: 100 },
    );
  });
});

describe("a receiver", () => {
  test("keeps engines and nodes apart, and forgets those that are gone", () => {
    const receiver = new IndexReceiver();
    const feeds = [0, 1].map((slot) => new IndexFeed({ ...WHO, slot, engine: `rank ${slot}` }, new Prng(slot)));
    feeds[0]!.index.apply(chain("a", 2));
    feeds[1]!.index.apply(chain("b", 3, 70));
    for (const feed of feeds) {
      feed.take();
      for (const node of ["n", "m"]) for (const message of feed.snapshot()) receiver.receive(node, message, 0);
    }
    expect(receiver.engines("n").map(({ engine, size }) => [engine, size])).toEqual([
      ["rank 0", 2],
      ["rank 1", 3],
    ]);
    expect(receiver.size).toBe(10);
    receiver.forget("n");
    expect(receiver.engines("n")).toEqual([]);
    expect(receiver.size).toBe(5);
    // A standing of a range of slots says nothing of the others.
    const [only] = writeStandings([{ slot: 1, life: feeds[1]!.life, number: feeds[1]!.number }], 256, 1000);
    receiver.receive("m", Uint8Array.from([only![0]!, 1, 255, ...only!.subarray(3)]), 0);
    expect(receiver.engines("m")).toHaveLength(2);
    receiver.receive("m", only!, 0);
    expect(receiver.engines("m").map(({ engine }) => engine)).toEqual(["rank 1"]);
    expect(receiver.size).toBe(3);
    receiver.forget("stranger");
  });

  test("takes no more blocks than there is room for, and says that it is partial", () => {
    const feed = feedOf();
    feed.index.restart(true);
    feed.index.apply(chain("a", 20));
    feed.take();
    for (const limits of [
      { blocksMax: 8, blocksTotalMax: 100 },
      { blocksMax: 100, blocksTotalMax: 8 },
    ]) {
      const receiver = new IndexReceiver(limits);
      for (const message of feed.snapshot()) receiver.receive("n", message, 0);
      expect(receiver.size).toBe(8);
      expect(receiver.stats.refused).toBe(12);
      const [remote] = receiver.engines("n");
      expect(remote).toMatchObject({ isPartial: true, isCurrent: true });
      const keys = Array.from(feed.index.blocks(), ({ key }) => key);
      expect(remote!.matched(keys)).toEqual({ blocks: 8, tokens: 32 });
      expect(remote!.matched(keys, MEDIUM.cpu)).toEqual({ blocks: 0, tokens: 0 });
      receiver.forget("n");
      expect(receiver.size).toBe(0);
    }
  });

  test("a first update of the life before that comes late does not begin that life again", () => {
    const feed = feedOf();
    feed.index.apply(chain("a", 2));
    const receiver = follower(feed);
    feed.index.apply({ kind: "cleared" });
    const [late] = feed.take();
    feed.index.apply({ kind: "cleared" });
    feed.index.apply(chain("b", 3));
    for (const message of feed.take()) receiver.receive("n", message, 1);
    receiver.receive("n", late!, 2);
    expect(receiver.engines("n")[0]).toMatchObject({ size: 3, life: feed.life });
    // It can't be told from one of a life to come: the node is asked.
    expect(receiver.take().asks).toHaveLength(1);
    const { slot, life, number } = feed;
    receiver.answered("n", writeAnswer({ slot, isKnown: true, life, number, more: false, messages: [] }), 3);
    expectSame(receiver.engines("n")[0], feed);
  });

  test("a node that is silent is behind, and in the end gone", () => {
    const feed = feedOf();
    feed.index.apply(chain("a", 2));
    const receiver = follower(feed);
    receiver.wake(SILENT_MS);
    expect(receiver.engines("n")[0]?.isCurrent).toBe(true);
    receiver.wake(SILENT_MS + 1);
    expect(receiver.engines("n")[0]).toMatchObject({ isCurrent: false, behind: 0, behindSinceMs: SILENT_MS + 1 });
    expect(receiver.take().asks).toHaveLength(1);
    receiver.wake(GONE_MS + 1);
    expect(receiver.nodes()).toEqual([]);
    expect(receiver.size).toBe(0);
  });

  test("asks again where a message is malformed, and never throws", () => {
    const prng = new Prng(Number(Bun.env["SEED"] ?? 9));
    const feed = feedOf();
    const engine = new Engine(4);
    for (let at = 0; at < 200; at += 1) feed.index.apply(engine.next());
    feed.take();
    const samples = [...feed.snapshot(), ...writeStandings([feed], 256, 1000), FOLLOW];
    feed.index.apply(chain("z", 3, 90_000));
    feed.index.apply(removedEvent([...engine.held.keys()].slice(0, 20)));
    samples.push(...feed.take());
    let malformed = 0;
    for (let round = 0; round < 20_000; round += 1) {
      const receiver = new IndexReceiver({ blocksMax: 1000, blocksTotalMax: 1000 });
      for (const message of samples.slice(0, 1 + prng.int(samples.length))) {
        const bytes = Uint8Array.from(message);
        if (prng.int(2) === 0) bytes[prng.int(bytes.length)] = prng.int(256);
        receiver.receive("n", prng.int(4) === 0 ? bytes.subarray(0, prng.int(bytes.length + 1)) : bytes, round);
      }
      malformed += receiver.stats.malformed;
      expect(receiver.size).toBeLessThanOrEqual(1000);
      receiver.forget("n");
      expect(receiver.size).toBe(0);
    }
    expect(malformed).toBeGreaterThan(5000);
  });

  test("a cut update leaves it behind, and it asks", () => {
    const feed = feedOf();
    feed.index.apply(chain("a", 2));
    const receiver = follower(feed);
    feed.index.apply(chain("b", 2, 50));
    const [update] = feed.take();
    receiver.receive("n", update!.subarray(0, update!.length - 1), 1000);
    expect(receiver.engines("n")[0]?.isCurrent).toBe(false);
    expect(receiver.take().asks).toHaveLength(1);
    for (const message of feed.snapshot()) receiver.receive("n", message, 1001);
    expectSame(receiver.engines("n")[0], feed);
  });
});

describe("messages", () => {
  const block = fc.record({
    hash: fc.constant(""),
    key: fc.integer({ min: 1, max: 2 ** 53 - 1 }),
    parent: fc.maxSafeNat(),
    depth: fc.nat(1000),
    tokens: fc.integer({ min: 1, max: 65_535 }),
    media: fc.integer({ min: 1, max: 15 }),
  });

  test("hold what was written, in few bytes", () => {
    fc.assert(
      fc.property(fc.array(block, { maxLength: 30 }), fc.array(fc.maxSafeNat(), { maxLength: 30 }), (blocks, gone) => {
        const head = { slot: 255, life: 0xffffffff, number: 1, isPartial: false, isHeard: false, isFresh: true };
        const [message, ...more] = writeUpdates(head, gone, blocks);
        expect(more).toEqual([]);
        expect(open(message!)).toEqual({ kind: MESSAGE.update, slot: 255, life: 0xffffffff });
        expect(readNumber()).toEqual({ number: 1, isPartial: false, isHeard: false, isFresh: true });
        const keys: number[] = [];
        readGone((key) => keys.push(key));
        expect(keys).toEqual(gone);
        const read: object[] = [];
        expect(
          readRuns((key, parent, depth, tokens, media) => read.push({ hash: "", key, parent, depth, tokens, media })),
        ).toBe(true);
        // A run's blocks are each one deeper than the one before, as those of an index are.
        expect(read).toEqual(blocks);
        for (let end = 0; end < 6; end += 1) expect(open(message!.subarray(0, end))).toBeUndefined();
      }),
    );
  });

  test("of unknown kinds, empty, or with something behind the end are none", () => {
    expect(open(new Uint8Array(0))).toBeUndefined();
    expect(open(Uint8Array.of(9, 0, 0, 0, 0, 0))).toBeUndefined();
    const ask = writeAsk({ slot: 3, held: HELD.parts, life: 0xffffffff, number: 70_000, part: 12 });
    expect(readAsk(ask)).toEqual({ slot: 3, held: HELD.parts, life: 0xffffffff, number: 70_000, part: 12 });
    for (let end = 0; end < ask.length; end += 1) expect(readAsk(ask.subarray(0, end))).toBeUndefined();
    expect(readAsk(Uint8Array.from([...ask, 0]))).toBeUndefined();
    expect(readAsk(ask.with(2, 3))).toBeUndefined();
  });
});
