import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { Prng } from "../../src/base/prng.ts";
import { IndexFeed } from "../../src/kv/index-feed.ts";
import {
  ANSWER_BYTES_PER_SECOND,
  FOLLOWERS_MAX,
  IndexPublisher,
  LEASE_MS,
  LOG_BYTES_MAX,
  type PublisherLimits,
  STAND_MS,
} from "../../src/kv/index-publisher.ts";
import { IndexReceiver } from "../../src/kv/index-receiver.ts";
import { HELD, readAnswer, readAsk, readStanding, type Stand, writeStandings } from "../../src/kv/talk.ts";
import { MESSAGE, SLOTS_MAX } from "../../src/kv/wire.ts";
import { Engine, storedEvent } from "./engine.ts";

const LIMITS: PublisherLimits = { bytesPerSecond: 65_536, datagramBytesMax: 1200, answerBytesMax: 65_536 };
const feedOf = (seed: number, slot = 0): IndexFeed =>
  new IndexFeed({ slot, runtime: "vllm", engine: `rank ${slot}` }, new Prng(seed), 4096);

const chain = (name: string, blocks: number) =>
  storedEvent({
    hashes: Array.from({ length: blocks }, (_, at) => `${name}${at}`),
    tokens: Uint32Array.from({ length: blocks * 4 }, (_, at) => at + name.length * 1e6 + name.charCodeAt(0) * 1e4),
  });

function expectSame(receiver: IndexReceiver, feeds: readonly IndexFeed[]): void {
  const engines = receiver.engines("n");
  expect(engines.map(({ slot }) => slot).toSorted((a, b) => a - b)).toEqual(feeds.map(({ slot }) => slot));
  for (const feed of feeds) {
    const remote = engines.find(({ slot }) => slot === feed.slot)!;
    expect(remote).toMatchObject({ size: feed.index.size, isCurrent: true, isPartial: feed.index.isPartial });
    for (const { key, media } of feed.index.blocks()) expect(remote.media(key)).toBe(media);
  }
}

/** One node, a router or more, and a network that is told what becomes of each datagram and each ask. */
class World {
  readonly publisher: IndexPublisher;
  readonly routers = new Map<string, IndexReceiver>();
  nowMs = 1000;
  datagrams = 0;
  answers = 0;
  fate: () => "arrives" | "lost" | "twice" | "late" = () => "arrives";
  #late: (() => void)[] = [];

  constructor(limits: PublisherLimits = LIMITS) {
    this.publisher = new IndexPublisher(limits);
  }

  join(name: string): IndexReceiver {
    const receiver = new IndexReceiver();
    this.routers.set(name, receiver);
    this.publisher.present([...this.routers.keys()]);
    return receiver;
  }

  round(ms = 100): void {
    this.nowMs += ms;
    const late = this.#late.splice(0);
    for (const { to, packet } of this.publisher.take(this.nowMs)) {
      this.#send(() => this.routers.get(to)?.receive("n", packet, this.nowMs));
    }
    for (const arrive of late) arrive();
    for (const [name, receiver] of this.routers) {
      receiver.wake(this.nowMs);
      const { asks, follows } = receiver.take();
      for (const _ of follows) this.#send(() => this.publisher.followed(name, this.nowMs));
      for (const wanted of asks) this.#fetch(receiver, wanted);
    }
  }

  rounds(count: number): void {
    for (let left = count; left > 0; left -= 1) this.round();
  }

  #send(arrive: () => void): void {
    this.datagrams += 1;
    const fate = this.fate();
    if (fate === "late") this.#late.push(arrive);
    else if (fate !== "lost") arrive();
    if (fate === "twice") arrive();
  }

  #fetch(receiver: IndexReceiver, wanted: { to: string; slot: number }): void {
    for (let left = 1000; left > 0; left -= 1) {
      const ask = receiver.ask(wanted);
      if (ask === undefined || this.fate() === "lost") return;
      this.answers += 1;
      const answer = this.publisher.asked(readAsk(ask)!, this.nowMs);
      if (this.fate() === "lost" || !receiver.answered("n", answer, this.nowMs)) return;
    }
    throw new Error("a fetch without an end");
  }
}

describe("a node that tells routers of its engines", () => {
  test("a router gets a snapshot, then what changes by datagrams", () => {
    const world = new World();
    const feed = feedOf(1);
    feed.index.restart(true);
    feed.index.apply(chain("a", 3000));
    world.publisher.add(feed);
    const receiver = world.join("r");
    world.rounds(2);
    expectSame(receiver, [feed]);
    const { answers } = world;
    for (let at = 0; at < 50; at += 1) {
      feed.index.apply(chain(`b${at}`, 3));
      world.round();
      expectSame(receiver, [feed]);
    }
    // All of it was pushed.
    expect(world.answers).toBe(answers);
    expect(receiver.stats).toMatchObject({ gaps: 0, malformed: 0, snapshots: 1 });
  });

  test("nothing is taken while nobody follows, and nothing is said where there is no engine", () => {
    const world = new World();
    world.publisher.present(["r"]);
    expect(world.publisher.take(1000)).toEqual([]);
    const feed = feedOf(1);
    world.publisher.add(feed);
    feed.index.apply(chain("a", 3));
    const sends = world.publisher.take(1100);
    expect(sends.map(({ to, packet }) => [to, packet[0]])).toEqual([["r", MESSAGE.standing]]);
    expect(feed.number).toBe(0);
    expect(world.publisher.take(1100 + STAND_MS - 1)).toEqual([]);
    expect(world.publisher.take(1100 + STAND_MS)).toHaveLength(1);
    world.publisher.followed("stranger", 7000);
    expect(world.publisher.followers(7000)).toBe(0);
    world.publisher.followed("r", 7000);
    expect(world.publisher.take(7100).map(({ packet }) => packet[0])).toEqual([MESSAGE.update]);
    // The lease is over.
    feed.index.apply(chain("b", 3));
    const later = world.publisher.take(7000 + LEASE_MS).map(({ packet }) => packet[0]);
    expect(later).toEqual([MESSAGE.standing]);
    expect(feed.number).toBe(1);
  });

  test("who follows learns of what another's snapshot passed over", () => {
    const world = new World();
    const feed = feedOf(1);
    feed.index.apply(chain("a", 10));
    world.publisher.add(feed);
    const first = world.join("r");
    world.rounds(2);
    expectSame(first, [feed]);
    feed.index.apply(chain("b", 3000));
    // It asks between two looks at what changed, when the snapshot before is old.
    const ask = { slot: 0, held: HELD.nothing, life: 0, number: 0, part: 0 } as const;
    expect(world.publisher.asked(ask, world.nowMs + 11_000).length).toBeGreaterThan(20_000);
    world.nowMs += 11_000;
    expect(first.engines("n")[0]!.size).toBe(10);
    world.rounds(2);
    expectSame(first, [feed]);
  });

  test("what is too much for datagrams is asked for, and the last of a row is not lost unnoticed", () => {
    const world = new World();
    const feed = feedOf(1);
    world.publisher.add(feed);
    const receiver = world.join("r");
    world.rounds(2);
    const { snapshots } = receiver.stats;
    feed.index.apply(chain("a", 4000));
    world.rounds(2);
    expectSame(receiver, [feed]);
    expect(receiver.stats.snapshots).toBe(snapshots);
    // One datagram is lost, and nothing comes after it.
    world.fate = () => "lost";
    feed.index.apply(chain("b", 2));
    world.round();
    world.fate = () => "arrives";
    expect(receiver.engines("n")[0]!.size).toBe(4000);
    world.rounds(5);
    expectSame(receiver, [feed]);
    expect(receiver.stats.snapshots).toBe(snapshots);
  });

  test("who missed more than is kept gets a snapshot; many who ask get the same", () => {
    const world = new World({ ...LIMITS, bytesPerSecond: 16 * 1024 * 1024 });
    const feed = new IndexFeed({ slot: 0, runtime: "", engine: "e" }, new Prng(3), 131_072);
    world.publisher.add(feed);
    const routers = Array.from({ length: 12 }, (_, at) => world.join(`r${at}`));
    world.rounds(2);
    world.fate = () => "lost";
    for (let at = 0; at < 30; at += 1) {
      feed.index.apply(chain(`x${"y".repeat(at)}`, 4000));
      world.round();
    }
    world.fate = () => "arrives";
    const before = world.publisher.stats.snapshots;
    world.rounds(60);
    for (const receiver of routers) expectSame(receiver, [feed]);
    expect(world.publisher.stats.snapshots - before).toBe(1);
    expect(LOG_BYTES_MAX).toBeLessThan(30 * 4000 * 7);
  });

  test("changes beyond the budget come later, in the sum", () => {
    const world = new World({ ...LIMITS, bytesPerSecond: 4096 });
    const feed = feedOf(2);
    world.publisher.add(feed);
    const receiver = world.join("r");
    world.rounds(2);
    const { bytes } = world.publisher.stats;
    let told = 0;
    for (let at = 0; at < 300; at += 1) {
      feed.index.apply(chain(`c${at}-`, 60));
      feed.index.apply({ kind: "removed", hashes: [`c${at}-1`], medium: 1, group: undefined });
      told += 60 * 7;
      world.round();
    }
    // 30 seconds, and two of a burst.
    const spent = world.publisher.stats.bytes - bytes;
    expect(spent).toBeLessThan(4096 * 34);
    expect(told).toBeGreaterThan(spent);
    world.rounds(100);
    expectSame(receiver, [feed]);
  });

  test("one engine that changes a lot does not silence the others", () => {
    const world = new World({ ...LIMITS, bytesPerSecond: 4096 });
    const feeds = [feedOf(1, 0), feedOf(2, 1), feedOf(3, 2)];
    for (const feed of feeds) world.publisher.add(feed);
    world.join("r");
    world.rounds(2);
    const before = feeds.map(({ number }) => number);
    for (let at = 0; at < 200; at += 1) {
      for (const feed of feeds) {
        const hashes = Array.from({ length: 100 }, (_, block) => `${at}-${block}`);
        feed.index.apply(
          storedEvent({ hashes, tokens: Uint32Array.from({ length: 400 }, (_, token) => at * 400 + token) }),
        );
      }
      world.round();
    }
    const told = feeds.map(({ number }, at) => number - before[at]!);
    expect(Math.min(...told) * 2).toBeGreaterThan(Math.max(...told));
  });

  test("answers have a budget for all routers together", () => {
    const publisher = new IndexPublisher({ ...LIMITS, answerBytesMax: 4 * 1024 * 1024 });
    const feed = new IndexFeed({ slot: 0, runtime: "", engine: "e" }, new Prng(3), 131_072);
    feed.index.apply(chain("a", 60_000));
    feed.index.apply(chain("b", 60_000));
    publisher.add(feed);
    const ask = { slot: 0, held: HELD.nothing, life: 0, number: 0, part: 0 } as const;
    let bytes = 0;
    for (let at = 0; at < 1000; at += 1) bytes += publisher.asked(ask, 0).length;
    expect(bytes).toBeLessThan(ANSWER_BYTES_PER_SECOND + 2 * 1024 * 1024);
    expect(publisher.stats).toMatchObject({ snapshots: 1, answers: 1000 });
    expect(publisher.stats.deferred).toBeGreaterThan(900);
    expect(publisher.asked(ask, 1000).length).toBeGreaterThan(800_000);
  });

  test("an engine that goes is forgotten, also where the word of it is lost once", () => {
    const world = new World();
    const feeds = [feedOf(1, 0), feedOf(2, 7)];
    for (const feed of feeds) {
      feed.index.apply(chain(`e${feed.slot}`, 10));
      world.publisher.add(feed);
    }
    const receiver = world.join("r");
    world.rounds(3);
    expectSame(receiver, feeds);
    world.fate = () => "lost";
    world.publisher.remove(feeds[0]!);
    world.round();
    world.fate = () => "arrives";
    world.rounds(STAND_MS / 100 + 1);
    expectSame(receiver, [feeds[1]!]);
    world.publisher.remove(feeds[1]!);
    world.round();
    expect(receiver.nodes()).toEqual([]);
    expect(receiver.size).toBe(0);
    // Another feed at the slot is another engine.
    const next = feedOf(9, 7);
    next.index.apply(chain("z", 4));
    world.publisher.add(next);
    world.rounds(2);
    expectSame(receiver, [next]);
  });

  test("tells so many routers at most, and those that go no more", () => {
    const publisher = new IndexPublisher(LIMITS);
    publisher.add(feedOf(1));
    publisher.present(Array.from({ length: FOLLOWERS_MAX + 5 }, (_, at) => `r${at}`));
    expect(publisher.take(1000)).toHaveLength(FOLLOWERS_MAX);
    publisher.present(["r1"]);
    expect(publisher.take(1000 + STAND_MS)).toHaveLength(1);
  });

  test("whatever is lost, doubled or late, all ends the same", () => {
    fc.assert(
      fc.property(fc.nat(), fc.constantFrom(600, 4096, 65_536), (seed, bytesPerSecond) => {
        const prng = new Prng(seed);
        let world = new World({ bytesPerSecond, datagramBytesMax: 120 + prng.int(1000), answerBytesMax: 40_000 });
        const engines = [new Engine(seed), new Engine(seed + 1)];
        let feeds = [feedOf(seed, 0), feedOf(seed + 1, 200)];
        for (const feed of feeds) world.publisher.add(feed);
        world.join("r");
        world.join("s");
        for (let round = 0; round < 150; round += 1) {
          const quality = [4, 20, 1000][Math.floor(round / 50)]!;
          world.fate = () => (["lost", "twice", "late"] as const)[prng.int(quality)] ?? "arrives";
          for (const [at, feed] of feeds.entries()) {
            for (let events = prng.int(8); events > 0; events -= 1) feed.index.apply(engines[at]!.next());
            if (prng.int(60) === 0) feed.index.restart(prng.int(2) === 0);
          }
          if (prng.int(70) === 0) {
            // The node starts anew, with what its engines replay.
            const { routers, nowMs } = world;
            world = new World({ bytesPerSecond, datagramBytesMax: 500, answerBytesMax: 40_000 });
            world.nowMs = nowMs;
            for (const [name, receiver] of routers) world.routers.set(name, receiver);
            world.publisher.present([...routers.keys()]);
            feeds = feeds.map(({ slot }, at) => feedOf(seed + round + at, slot));
            for (const feed of feeds) world.publisher.add(feed);
          }
          if (prng.int(50) === 0) world.routers.set("s", new IndexReceiver());
          world.round();
        }
        world.fate = () => "arrives";
        world.rounds(200);
        for (const receiver of world.routers.values()) {
          expectSame(receiver, feeds);
          expect(receiver.size).toBe(feeds.reduce((sum, feed) => sum + feed.index.size, 0));
          expect(receiver.stats.malformed).toBe(0);
        }
      }),
      { numRuns: 60 },
    );
  }, 30_000);
});

describe("standings and answers", () => {
  test("hold every slot once, in as many messages as are needed", () => {
    const slots = fc.uniqueArray(fc.integer({ min: 0, max: SLOTS_MAX - 1 }));
    fc.assert(
      fc.property(slots, fc.integer({ min: 13, max: 400 }), (some, bytesMax) => {
        const stands: Stand[] = some
          .toSorted((a, b) => a - b)
          .map((slot) => ({ slot, life: 0xffffffff - slot, number: slot * 1e6 }));
        const messages = writeStandings(stands, SLOTS_MAX, bytesMax);
        const read = messages.map((message) => readStanding(message)!);
        expect(read.flatMap((one) => one.stands)).toEqual(stands);
        let next = 0;
        for (const { fromSlot, toSlot } of read) {
          expect(fromSlot).toBe(next);
          next = toSlot + 1;
        }
        expect(next).toBe(SLOTS_MAX);
        for (const message of messages) expect(message.length).toBeLessThanOrEqual(bytesMax);
      }),
    );
  });

  test("garbage is none, and never throws", () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 60 }), fc.constantFrom(0x43, 0x44, 0x46), (bytes, kind) => {
        const message = Uint8Array.from([kind, ...bytes]);
        const standing = readStanding(message);
        if (standing !== undefined) expect(standing.fromSlot).toBeLessThanOrEqual(standing.toSlot);
        const ask = readAsk(message);
        if (ask !== undefined) expect([HELD.nothing, HELD.update, HELD.parts]).toContain(ask.held);
        const answer = readAnswer(message);
        const length = answer?.messages.reduce((sum, one) => sum + one.length, 0) ?? 0;
        expect(length).toBeLessThanOrEqual(bytes.length);
        const receiver = new IndexReceiver();
        receiver.receive("n", message, 0);
        receiver.answered("n", message, 0);
        const feed = feedOf(1);
        const publisher = new IndexPublisher(LIMITS);
        publisher.add(feed);
        if (ask !== undefined) expect(readAnswer(publisher.asked(ask, 0))?.slot).toBe(ask.slot);
      }),
      { numRuns: 3000 },
    );
  });
});
