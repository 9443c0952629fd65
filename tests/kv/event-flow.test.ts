import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { Prng } from "../../src/base/prng.ts";
import { numberBytes } from "../../src/kv/batch-number.ts";
import { EventFlow, REPLAY_MS, STALL_MS, TRIES_MAX, WAITING_BATCHES_MAX } from "../../src/kv/event-flow.ts";

const NONE = new Uint8Array(0);
const END = new Uint8Array(8).fill(0xff);
const TOPIC = Buffer.from("kv@pod@model");
const payloadOf = (life: string, number: number): Uint8Array => Buffer.from(`${life}${number}`);

/** A flow, and what came out of it: batches as their texts, and a line for each new beginning. */
class Bench {
  readonly out: string[] = [];
  readonly flow: EventFlow;
  nowMs = 0;

  constructor(canReplay = true) {
    this.flow = new EventFlow(canReplay, {
      batch: (payload) => this.out.push(Buffer.from(payload).toString()),
      anew: (reason, isComplete) => this.out.push(`${isComplete ? "whole" : "anew"}: ${reason}`),
    });
  }

  hear(life: string, ...numbers: number[]): this {
    for (const number of numbers) this.flow.heard([TOPIC, numberBytes(number), payloadOf(life, number)], this.nowMs);
    return this;
  }

  replay(life: string, ...numbers: number[]): this {
    for (const number of numbers) this.flow.replied([NONE, numberBytes(number), payloadOf(life, number)], this.nowMs);
    return this;
  }

  end(): this {
    this.flow.replied([NONE, END, NONE], this.nowMs);
    return this;
  }

  subscribe(): this {
    this.flow.subscribed(this.nowMs);
    return this;
  }

  get ask(): number | undefined {
    return this.flow.take().ask;
  }

  /** What came out since the last look. */
  take(): string[] {
    return this.out.splice(0);
  }
}

const WHOLE = "whole: the engine's first batch";

describe("at first", () => {
  test("all is asked for, and what is heard meanwhile waits", () => {
    const bench = new Bench().subscribe();
    expect(bench.ask).toBe(0);
    expect(bench.ask).toBeUndefined();
    bench.hear("a", 3).replay("a", 0, 1, 2, 3);
    expect(bench.take()).toEqual([WHOLE, "a0", "a1", "a2", "a3"]);
    bench.end().hear("a", 4);
    expect(bench.take()).toEqual(["a4"]);
    expect(bench.flow.stats).toEqual({ batches: 5, gaps: 0, replayed: 4, lost: 0, restarts: 0, malformed: 0 });
  });

  test("an engine that told nothing yet is known from its first batch on", () => {
    expect(new Bench().subscribe().end().hear("a", 0, 1).take()).toEqual([WHOLE, "a0", "a1"]);
    expect(new Bench(false).subscribe().hear("a", 0, 1).take()).toEqual([WHOLE, "a0", "a1"]);
  });

  test("what was told between the replay and the subscription is asked for", () => {
    const bench = new Bench().subscribe();
    expect(bench.ask).toBe(0);
    bench.end().hear("a", 2);
    expect(bench.ask).toBe(0);
    expect(bench.replay("a", 0, 1, 2).end().take()).toEqual([WHOLE, "a0", "a1", "a2"]);
  });

  test("a replay that begins later, or none at all, is a beginning in the middle", () => {
    expect(new Bench().subscribe().replay("a", 7, 8).end().take()).toEqual(["anew: heard from batch 7 on", "a7", "a8"]);
    expect(new Bench(false).subscribe().hear("a", 7, 8).take()).toEqual(["anew: heard from batch 7 on", "a7", "a8"]);
  });
});

describe("a gap", () => {
  const known = (canReplay = true): Bench => {
    const bench = new Bench(canReplay).subscribe();
    if (canReplay) bench.end();
    bench.hear("a", 0, 1);
    bench.take();
    expect(bench.ask).toBe(canReplay ? 0 : undefined);
    return bench;
  };

  test("is filled by a replay, and what came meanwhile follows", () => {
    const bench = known().hear("a", 4, 5);
    expect(bench.take()).toEqual([]);
    expect(bench.ask).toBe(2);
    bench.replay("a", 2, 3, 4).hear("a", 6).end();
    expect(bench.take()).toEqual(["a2", "a3", "a4", "a5", "a6"]);
    expect(bench.flow.stats).toMatchObject({ gaps: 1, lost: 0, replayed: 3 });
  });

  test("that the buffer no longer holds begins anew", () => {
    const bench = known().hear("a", 9);
    bench.replay("a", 6, 7, 8, 9).end();
    expect(bench.take()).toEqual([
      "anew: the batches before 6 are no longer in the engine's replay buffer",
      "anew: heard from batch 6 on",
      "a6",
      "a7",
      "a8",
      "a9",
    ]);
    expect(bench.flow.stats.lost).toBe(1);
  });

  test("without a replay begins anew at once", () => {
    expect(known(false).hear("a", 4, 5).take()).toEqual([
      "anew: batches 2 to 3 are lost",
      "anew: heard from batch 4 on",
      "a4",
      "a5",
    ]);
  });

  test("that replays bring nothing of is lost after two", () => {
    const bench = known().hear("a", 4);
    expect(bench.ask).toBe(2);
    bench.end();
    expect(bench.ask).toBe(2);
    bench.end();
    expect(bench.ask).toBeUndefined();
    expect(bench.take()).toEqual(["anew: batches 2 to 3 are lost", "anew: heard from batch 4 on", "a4"]);
    // The next one is tried again.
    bench.hear("a", 7);
    expect(bench.ask).toBe(5);
  });

  test("in a replay is asked for again from there", () => {
    const bench = known().hear("a", 9);
    bench.replay("a", 2, 3, 6, 7).end();
    expect(bench.take()).toEqual(["a2", "a3"]);
    expect(bench.ask).toBe(4);
    bench.replay("a", 4, 5, 6, 7, 8, 9).end();
    expect(bench.take()).toEqual(["a4", "a5", "a6", "a7", "a8", "a9"]);
  });

  test("more than can wait is asked for afterwards", () => {
    const bench = known().hear("a", 4);
    for (let number = 5; number < WAITING_BATCHES_MAX + 10; number += 1) bench.hear("a", number);
    bench.replay("a", 2, 3).end();
    expect(bench.take()).toHaveLength(2 + WAITING_BATCHES_MAX);
    bench.hear("a", WAITING_BATCHES_MAX + 10);
    expect(bench.ask).toBe(WAITING_BATCHES_MAX + 4);
  });

  test("whose replay does not come is asked for three times in all", () => {
    const bench = known().hear("a", 4);
    for (let tries = 0; tries < TRIES_MAX; tries += 1) {
      expect(bench.flow.take()).toEqual({ ask: 2, wakeAtMs: bench.nowMs + REPLAY_MS });
      bench.nowMs += REPLAY_MS - 1;
      bench.flow.wake(bench.nowMs);
      expect(bench.ask).toBeUndefined();
      bench.nowMs += 1;
      bench.flow.wake(bench.nowMs);
    }
    expect(bench.flow.take()).toEqual({ ask: undefined, wakeAtMs: Infinity });
    expect(bench.take()).toEqual(["anew: batches 2 to 3 are lost", "anew: heard from batch 4 on", "a4"]);
  });

  test("a replay that brings something and lacks its end is asked for again, however often", () => {
    const bench = known().hear("a", 20);
    for (let number = 2; number < 20; number += 2) {
      expect(bench.ask).toBe(number);
      bench.replay("a", number, number + 1);
      expect(bench.flow.take().wakeAtMs).toBe(bench.nowMs + STALL_MS);
      bench.flow.wake((bench.nowMs += STALL_MS));
    }
    bench.replay("a", 20).end();
    expect(bench.take()).toEqual(Array.from({ length: 19 }, (_, at) => `a${at + 2}`));
    expect(bench.flow.stats).toMatchObject({ lost: 0, restarts: 0 });
  });

  test("a replay that stops halfway goes on from there, and a lost socket is not waited for", () => {
    const bench = known().hear("a", 6);
    expect(bench.ask).toBe(2);
    bench.replay("a", 2, 3);
    bench.flow.replayLost(bench.nowMs);
    const { wakeAtMs } = bench.flow.take();
    expect(wakeAtMs).toBeLessThan(bench.nowMs + REPLAY_MS);
    bench.nowMs = wakeAtMs;
    bench.flow.wake(wakeAtMs);
    expect(bench.ask).toBe(4);
    expect(bench.replay("a", 4, 5, 6).end().take()).toEqual(["a2", "a3", "a4", "a5", "a6"]);
  });
});

describe("after a lost connection", () => {
  const known = (canReplay = true): Bench => {
    const bench = new Bench(canReplay).subscribe();
    if (canReplay) bench.end();
    bench.hear("a", 0, 1, 2);
    bench.take();
    bench.flow.take();
    bench.flow.lost();
    return bench.subscribe();
  };

  test("the same engine goes on where it was", () => {
    const bench = known();
    expect(bench.ask).toBe(2);
    bench.hear("a", 5).replay("a", 2, 3, 4, 5).end();
    expect(bench.take()).toEqual(["a3", "a4", "a5"]);
    expect(bench.flow.stats.restarts).toBe(0);
  });

  test("one that told nothing meanwhile too", () => {
    const bench = known().replay("a", 2).end().hear("a", 3);
    expect(bench.take()).toEqual(["a3"]);
  });

  test("another life is known by its batch of the same number, and all of it is asked for", () => {
    const bench = known();
    expect(bench.ask).toBe(2);
    bench.hear("b", 4).replay("b", 2, 3, 4);
    expect(bench.take()).toEqual(["anew: the engine started again while it was not heard"]);
    bench.end();
    expect(bench.ask).toBe(0);
    expect(bench.replay("b", 0, 1, 2, 3, 4).end().take()).toEqual([WHOLE, "b0", "b1", "b2", "b3", "b4"]);
    expect(bench.flow.stats.restarts).toBe(1);
  });

  test("another life with fewer batches is known by their want", () => {
    const bench = known().end();
    expect(bench.take()).toEqual(["anew: the engine started again: it does not know its last batch"]);
    expect(bench.ask).toBe(0);
    expect(bench.replay("b", 0).end().take()).toEqual([WHOLE, "b0"]);
  });

  test("where the buffer begins later, nobody can tell: anew", () => {
    expect(known().replay("a", 5, 6).end().take()).toEqual([
      "anew: the batches before 5 are no longer in the engine's replay buffer",
      "anew: heard from batch 5 on",
      "a5",
      "a6",
    ]);
  });

  test("where the replay does not answer, nobody can tell either", () => {
    const bench = known().hear("a", 3);
    for (let tries = 0; tries < TRIES_MAX; tries += 1) bench.flow.wake((bench.nowMs += REPLAY_MS));
    expect(bench.take()).toEqual([
      "anew: no replay tells whether it is the same engine as before",
      "anew: heard from batch 3 on",
      "a3",
    ]);
  });

  test("without a replay: anew", () => {
    const bench = known(false);
    expect(bench.take()).toEqual(["anew: the connection was lost, and there is no replay socket to ask"]);
    expect(bench.hear("a", 3).take()).toEqual(["anew: heard from batch 3 on", "a3"]);
  });
});

describe("an engine that starts again within a connection", () => {
  test("is known by its numbers", () => {
    const bench = new Bench().subscribe().end().hear("a", 0, 1, 2);
    bench.take();
    bench.hear("b", 1);
    expect(bench.take()).toEqual(["anew: the engine started again: batch 1 comes after 2"]);
    expect(bench.ask).toBe(0);
    expect(bench.replay("b", 0, 1).end().take()).toEqual([WHOLE, "b0", "b1"]);
  });

  test("and, with SGLang, by the life that its topic names", () => {
    const bench = new Bench(false).subscribe();
    const hear = (topic: string, number: number): void =>
      bench.flow.heard([Buffer.from(topic), numberBytes(number), payloadOf("x", number)], 0);
    hear("t\0sgl-kv-epoch=one", 0);
    hear("t\0sgl-kv-epoch=one\0sgl-kv-snapshot=s", 1);
    expect(bench.take()).toEqual([WHOLE, "x0", "x1"]);
    hear("t\0sgl-kv-epoch=two", 2);
    expect(bench.take()).toEqual([
      "anew: the engine started again, as its topic tells",
      "anew: heard from batch 2 on",
      "x2",
    ]);
  });
});

describe("messages that are none", () => {
  test("are counted and change nothing", () => {
    const bench = new Bench().subscribe();
    const eight = numberBytes(1);
    for (const frames of [[], [TOPIC, eight], [TOPIC, eight, NONE, NONE], [TOPIC, NONE, NONE], [TOPIC, END, NONE]]) {
      bench.flow.heard(frames, 0);
    }
    bench.flow.heard([TOPIC, Uint8Array.of(0, 0x20, 0, 0, 0, 0, 0, 0), NONE], 0);
    for (const frames of [[], [NONE], [NONE, NONE, NONE, NONE], [NONE, NONE, eight], [TOPIC, eight, NONE]]) {
      bench.flow.replied(frames, 0);
    }
    expect(bench.flow.stats.malformed).toBe(11);
    expect(bench.take()).toEqual([]);
    expect(bench.flow.isReplaying).toBe(true);
  });

  test("a reply that nobody asked for is not looked at", () => {
    const bench = new Bench().subscribe().end();
    expect(bench.replay("a", 0).end().take()).toEqual([]);
  });
});

describe("whatever is dropped", () => {
  test("what comes out is each life's batches in order, and says where it is not", () => {
    fc.assert(
      fc.property(fc.nat(), fc.boolean(), (seed, canReplay) => {
        const prng = new Prng(seed);
        const bench = new Bench(canReplay).subscribe();
        let life = "a";
        let buffer: number[] = [];
        let next = 0;
        const serve = (): void => {
          const { ask } = bench.flow.take();
          if (ask === undefined || prng.int(6) === 0) return;
          for (const number of buffer) if (number >= ask && prng.int(30) !== 0) bench.replay(life, number);
          if (prng.int(10) !== 0) bench.end();
        };
        for (let round = 0; round < 300; round += 1) {
          const dice = prng.int(60);
          bench.nowMs += 300;
          if (dice === 0) {
            life = String.fromCharCode(life.charCodeAt(0) + 1);
            buffer = [];
            next = 0;
            bench.flow.lost();
            bench.subscribe();
          } else if (dice === 1) {
            bench.flow.lost();
            bench.subscribe();
          }
          buffer.push(next);
          if (buffer.length > 20) buffer.shift();
          if (prng.int(8) !== 0) bench.hear(life, next);
          next += 1;
          serve();
          bench.flow.wake(bench.nowMs);
        }
        // In the end the newest batch is out, once the last gap is dealt with.
        for (let round = 0; round < 12; round += 1) {
          bench.hear(life, next);
          buffer.push(next++);
          const { ask } = bench.flow.take();
          if (ask !== undefined) bench.replay(life, ...buffer.filter((number) => number >= ask)).end();
          bench.flow.wake((bench.nowMs += REPLAY_MS));
        }
        let before: string | undefined;
        for (const line of bench.out) {
          if (line.includes(":")) before = line.startsWith("whole") ? "whole" : "anew";
          else {
            if (before === "whole") expect(line.slice(1)).toBe("0");
            else if (before !== undefined && before !== "anew") {
              expect(line).toBe(`${before[0]}${Number(before.slice(1)) + 1}`);
            }
            before = line;
          }
        }
        expect(before).toBe(`${life}${next - 1}`);
      }),
      { numRuns: 300 },
    );
  });
});
