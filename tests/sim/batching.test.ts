import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { Prng } from "../../src/base/prng.ts";
import { Batcher } from "../../src/sim/batching.ts";
import type { BatchingConfig, EndEvent, TokenEvent } from "../../src/sim/batching.ts";
import type { SimRequest } from "../../src/sim/sequence.ts";

const CONFIG: BatchingConfig = {
  prefillTokensPerSecond: 10_000,
  stepBaseMs: 5,
  stepPerSequenceMs: 0.1,
  stepPerContextTokenMs: 0.001,
  runningMax: 4,
  stepTokensMax: 64,
  blockTokens: 4,
  kvBlocks: 40,
};

function request(id: number, promptTokens: number, outputTokens: number, extra: Partial<SimRequest> = {}): SimRequest {
  return { id, promptTokens, outputTokens, hashes: [], stream: false, ...extra };
}

/** Wakes the engine whenever it asks until nothing is left to do. */
function run(batcher: Batcher, untilMs = Infinity): { tokens: TokenEvent[]; finished: EndEvent[] } {
  const tokens: TokenEvent[] = [];
  const finished: EndEvent[] = [];
  for (let rounds = 0; rounds < 100_000; rounds += 1) {
    const taken = batcher.take();
    tokens.push(...taken.tokens);
    finished.push(...taken.finished);
    if (taken.wakeAtMs > untilMs || taken.wakeAtMs === Infinity) return { tokens, finished };
    batcher.wake(taken.wakeAtMs);
  }
  throw new Error("the engine does not come to rest");
}

describe("one request", () => {
  test("takes one prefill step and one decode step for each further token", () => {
    const batcher = new Batcher(CONFIG);
    batcher.submit(request(1, 20, 3), 100);
    const { tokens, finished } = run(batcher);
    const prefillMs = 5 + 0.1 + 2;
    const decodeMs = (context: number) => 5 + 0.1 + 0.001 * context;
    expect(tokens).toEqual([{ id: 1, first: 0, count: 1, atMs: 100 + prefillMs }]);
    expect(finished).toHaveLength(1);
    const end = finished[0]!;
    expect(end).toMatchObject({ id: 1, end: "finished", promptTokens: 20, cachedTokens: 0, outputTokens: 3 });
    expect([end.submittedAtMs, end.admittedAtMs]).toEqual([100, 100]);
    expect(end.endedAtMs).toBeCloseTo(100 + prefillMs + decodeMs(21) + decodeMs(22), 9);
    const stats = batcher.stats(1_000);
    expect(stats).toMatchObject({ running: 0, waiting: 0, kvBlocksUsed: 0, queuedPrefillTokens: 0 });
    expect([stats.promptTokens, stats.generationTokens]).toEqual([20, 3]);
    expect(stats.busyMs).toBeCloseTo(end.endedAtMs - 100, 9);
    expect(stats.prefillTokensPerSecond).toBeCloseTo(10_000, 6);
  });

  test("is told of every token when it streams, and of the first when not", () => {
    const batcher = new Batcher(CONFIG);
    batcher.submit(request(1, 4, 5, { stream: true }), 0);
    batcher.submit(request(2, 4, 5), 0);
    const { tokens } = run(batcher);
    expect(tokens.filter(({ id }) => id === 1).map(({ first }) => first)).toEqual([0, 1, 2, 3, 4]);
    expect(tokens.filter(({ id }) => id === 2).map(({ first }) => first)).toEqual([0]);
  });

  test("without output ends with its prefill", () => {
    const batcher = new Batcher(CONFIG);
    batcher.submit(request(1, 10, 0), 0);
    batcher.submit(request(2, 10, 1), 0);
    const { tokens, finished } = run(batcher);
    expect(tokens.map(({ id }) => id)).toEqual([2]);
    expect(finished.map(({ id, outputTokens }) => [id, outputTokens])).toEqual([
      [1, 0],
      [2, 1],
    ]);
    expect(finished[0]!.endedAtMs).toBe(finished[1]!.endedAtMs);
    expect(batcher.stats(100)).toMatchObject({ queuedPrefillTokens: 0, kvBlocksUsed: 0 });
  });

  test("a long prompt is cut into chunks of the token budget", () => {
    const batcher = new Batcher(CONFIG);
    batcher.submit(request(1, 150, 1), 0);
    expect(batcher.stats(0).queuedPrefillTokens).toBe(150);
    batcher.wake(0);
    const firstMs = 5.1 + 6.4;
    expect(batcher.wakeAtMs).toBeCloseTo(firstMs, 9);
    batcher.wake(batcher.wakeAtMs);
    expect(batcher.stats(20)).toMatchObject({ queuedPrefillTokens: 86, running: 1 });
    const { finished } = run(batcher);
    expect(finished[0]!.endedAtMs).toBeCloseTo(2 * firstMs + 5.1 + 2.2, 9);
  });

  test("that can never fit is refused at once", () => {
    const batcher = new Batcher(CONFIG);
    batcher.submit(request(1, 161, 0), 7);
    batcher.submit(request(2, 150, 12), 7);
    batcher.submit(request(3, 150, 11), 7);
    const { finished } = run(batcher);
    expect(finished.map(({ id, end }) => [id, end])).toEqual([
      [1, "too_long"],
      [2, "too_long"],
      [3, "finished"],
    ]);
  });
});

describe("the batch", () => {
  test("holds at most runningMax; the rest waits in order of arrival", () => {
    const batcher = new Batcher(CONFIG);
    for (let id = 1; id <= 6; id += 1) batcher.submit(request(id, 8, 4), 0);
    batcher.wake(0);
    expect(batcher.stats(0)).toMatchObject({ running: 4, waiting: 2 });
    const { finished } = run(batcher);
    expect(finished.map(({ id }) => id)).toEqual([1, 2, 3, 4, 5, 6]);
    expect(finished[4]!.admittedAtMs).toBe(finished[3]!.endedAtMs);
  });

  test("decode and prefill share a step, so a long prompt slows the others' tokens", () => {
    const batcher = new Batcher(CONFIG);
    batcher.submit(request(1, 4, 40, { stream: true }), 0);
    const { tokens } = run(batcher, 20);
    batcher.submit(request(2, 100, 1), 20);
    tokens.push(...run(batcher).tokens);
    const times = tokens.filter(({ id }) => id === 1).map(({ atMs }) => atMs);
    const gaps = times.slice(1).map((atMs, index) => atMs - times[index]!);
    const slow = gaps.filter((gap) => gap > 7);
    expect(slow).toHaveLength(2);
    expect(slow[0]).toBeCloseTo(5.2 + 6.3, 1);
  });

  test("cancelling frees place and blocks at once, waiting or running", () => {
    const batcher = new Batcher(CONFIG);
    for (let id = 1; id <= 6; id += 1) batcher.submit(request(id, 8, 40), 0);
    batcher.wake(0);
    batcher.wake(31);
    const before = batcher.stats(31).kvBlocksUsed;
    expect(batcher.cancel(6, 31)).toBe(true);
    expect(batcher.stats(31)).toMatchObject({ waiting: 1, running: 4, kvBlocksUsed: before });
    expect(batcher.cancel(2, 31)).toBe(true);
    expect(batcher.stats(31).running).toBe(3);
    expect(batcher.stats(31).kvBlocksUsed).toBeLessThan(before);
    expect(batcher.cancel(2, 31)).toBe(false);
    for (const id of [1, 3, 4, 5]) batcher.cancel(id, 31);
    expect(batcher.stats(31)).toMatchObject({ running: 0, waiting: 0, kvBlocksUsed: 0, queuedPrefillTokens: 0 });
    const { finished } = run(batcher);
    expect(finished.every(({ end }) => end === "cancelled")).toBe(true);
    expect(batcher.wakeAtMs).toBe(Infinity);
    batcher.cache.check();
  });

  test("when the KV cache is full the newest is preempted and computed again, the oldest is not disturbed", () => {
    const batcher = new Batcher({ ...CONFIG, kvBlocks: 10 });
    batcher.submit(request(1, 12, 20), 0);
    batcher.submit(request(2, 12, 20), 0);
    const { finished } = run(batcher);
    expect(finished.map(({ id, preemptions }) => [id, preemptions > 0])).toEqual([
      [1, false],
      [2, true],
    ]);
    expect(finished.every(({ outputTokens }) => outputTokens === 20)).toBe(true);
    expect(batcher.stats(1_000)).toMatchObject({ kvBlocksUsed: 0, queuedPrefillTokens: 0, generationTokens: 40 });
  });

  test("a slower pace stretches every later step", () => {
    const times = [1, 3].map((pace) => {
      const batcher = new Batcher({ ...CONFIG, stepPerContextTokenMs: 0 });
      batcher.setPace(pace, 0);
      batcher.submit(request(1, 20, 10), 0);
      const end = run(batcher).finished[0]!;
      return { endedAtMs: end.endedAtMs, rate: batcher.stats(end.endedAtMs).prefillTokensPerSecond! };
    });
    expect(times[1]!.endedAtMs).toBeCloseTo(3 * times[0]!.endedAtMs, 9);
    expect(times[1]!.rate).toBeCloseTo(times[0]!.rate / 3, 6);
  });

  test("a stall freezes what runs and takes what comes; both go on afterwards", () => {
    const plain = new Batcher(CONFIG);
    plain.submit(request(1, 20, 10), 0);
    const expectedMs = run(plain).finished[0]!.endedAtMs;
    const batcher = new Batcher(CONFIG);
    batcher.submit(request(1, 20, 10), 0);
    batcher.wake(0);
    batcher.stall(true, 23);
    expect(batcher.wakeAtMs).toBe(Infinity);
    batcher.wake(5_000);
    expect(batcher.busyMs(5_000)).toBe(23);
    batcher.submit(request(2, 4, 1), 5_000);
    expect(batcher.take().finished).toEqual([]);
    batcher.stall(false, 10_023);
    const { finished } = run(batcher);
    expect(finished.map(({ id }) => id)).toEqual([2, 1]);
    expect(finished[1]!.endedAtMs).toBeGreaterThan(expectedMs + 10_000);
    const idle = new Batcher(CONFIG);
    idle.stall(true, 0);
    idle.submit(request(1, 4, 1), 5);
    idle.stall(false, 50);
    expect(run(idle).finished[0]!.admittedAtMs).toBe(50);
  });
});

describe("prefix cache", () => {
  test("a repeated prompt is found, but its last token is computed", () => {
    const batcher = new Batcher(CONFIG);
    const hashes = [11, 12, 13];
    batcher.submit(request(1, 12, 1, { hashes }), 0);
    run(batcher);
    batcher.submit(request(2, 12, 1, { hashes }), 100);
    batcher.submit(request(3, 15, 1, { hashes }), 100);
    const { finished } = run(batcher);
    expect(finished.map(({ cachedTokens }) => cachedTokens)).toEqual([8, 12]);
    expect(batcher.stats(200)).toMatchObject({ prefixQueryTokens: 39, prefixHitTokens: 20 });
  });

  test("forks of one prompt share its blocks while they run", () => {
    const batcher = new Batcher(CONFIG);
    const hashes = [1, 2, 3, 4, 5];
    for (let id = 1; id <= 3; id += 1) batcher.submit(request(id, 21, 5, { hashes }), 0);
    batcher.wake(0);
    expect(batcher.stats(0)).toMatchObject({ running: 3, kvBlocksUsed: 5 + 3 });
    expect(run(batcher).finished.map(({ cachedTokens }) => cachedTokens)).toEqual([0, 20, 20]);
  });

  test("generated blocks that have a name are found by the next turn", () => {
    const batcher = new Batcher(CONFIG);
    batcher.submit(request(1, 6, 7, { hashes: [1], outputHash: (block) => 100 + block }), 0);
    run(batcher);
    batcher.submit(request(2, 20, 1, { hashes: [1, 101, 102, 103, 104] }), 100);
    // 6 + 7 tokens, of which the last never entered the cache: three full blocks.
    expect(run(batcher).finished[0]!.cachedTokens).toBe(12);
  });
});

/** A random workload on a small engine, with every invariant checked at each move. */
function workload(seed: number, lateMs: (prng: Prng) => number): { tokens: TokenEvent[]; finished: EndEvent[] } {
  const prng = new Prng(seed);
  const late = new Prng(seed + 1);
  const batcher = new Batcher({ ...CONFIG, kvBlocks: 24, stepTokensMax: 16 });
  const tokens: TokenEvent[] = [];
  const finished: EndEvent[] = [];
  const collect = () => {
    const taken = batcher.take();
    tokens.push(...taken.tokens);
    finished.push(...taken.finished);
    batcher.cache.check();
    const stats = batcher.stats(nowMs);
    expect(stats.running + stats.waiting).toBe(submitted - finished.length);
    expect(stats.queuedPrefillTokens >= 0 && stats.kvBlocksUsed <= stats.kvBlocks).toBe(true);
  };
  let nowMs = 0;
  let submitted = 0;
  const moves = Array.from({ length: 60 }, () => {
    const group = prng.int(4);
    const prompt = 1 + prng.int(40);
    return {
      afterMs: prng.exponential(12),
      cancels: prng.next() < 0.2 ? prng.int(60) + 1 : 0,
      request: request(0, prompt, prng.int(30), {
        stream: prng.next() < 0.5,
        hashes: Array.from({ length: Math.floor(prompt / 4) }, (_, block) => group * 1_000 + block),
      }),
    };
  });
  for (const [index, move] of moves.entries()) {
    const atMs = nowMs + move.afterMs;
    while (batcher.wakeAtMs + 0 < atMs) {
      nowMs = Math.min(atMs, Math.max(nowMs, batcher.wakeAtMs) + lateMs(late));
      batcher.wake(nowMs);
      collect();
    }
    nowMs = atMs;
    batcher.submit({ ...move.request, id: index + 1 }, nowMs);
    submitted += 1;
    collect();
    if (move.cancels > 0) batcher.cancel(move.cancels, nowMs);
    collect();
  }
  for (let rounds = 0; batcher.wakeAtMs < Infinity && rounds < 50_000; rounds += 1) {
    nowMs = Math.max(nowMs, batcher.wakeAtMs) + lateMs(late);
    batcher.wake(nowMs);
    collect();
  }
  expect(batcher.stats(nowMs)).toMatchObject({ running: 0, waiting: 0, kvBlocksUsed: 0, queuedPrefillTokens: 0 });
  expect(batcher.cache.anonymous).toBe(0);
  return { tokens, finished };
}

/** One line a token, so that events joined by a late wake compare equal. */
function timeline({ tokens }: { tokens: TokenEvent[] }): string[] {
  return tokens
    .flatMap(({ id, first, count }) => Array.from({ length: count }, (_, i) => `${id}:${first + i}`))
    .toSorted();
}

describe("any workload", () => {
  test("keeps its blocks, ends every request exactly once and streams every token once", () => {
    fc.assert(
      fc.property(fc.nat(1_000_000), (seed) => {
        const { tokens, finished } = workload(seed, () => 0);
        expect(finished.map(({ id }) => id).toSorted((a, b) => a - b)).toEqual(
          Array.from({ length: 60 }, (_, i) => i + 1),
        );
        const told = new Map<number, number>();
        for (const { id, first, count } of tokens) {
          expect(first).toBe(told.get(id) ?? 0);
          told.set(id, first + count);
        }
        for (const end of finished)
          if (end.end === "finished" && end.outputTokens > 0) expect(told.has(end.id)).toBe(true);
      }),
      { numRuns: 150 },
    );
  });

  test("content from elsewhere is found by who comes, and takes no more than is free", () => {
    const batcher = new Batcher(CONFIG);
    batcher.preload([11, 12, 13], 0);
    batcher.submit(request(1, 16, 2, { hashes: [11, 12, 13, 14] }), 0);
    batcher.submit(request(2, 16, 2, { hashes: [21, 22, 23, 24] }), 0);
    batcher.wake(0);
    // Amid a run, and more than there is room for.
    batcher.preload(
      Array.from({ length: 100 }, (_, at) => 100 + at),
      1,
    );
    batcher.cache.check();
    const { finished } = run(batcher);
    const cached = new Map(finished.map(({ id, end, cachedTokens }) => [id, `${end} ${cachedTokens}`]));
    expect(cached).toEqual(
      new Map([
        [1, "finished 12"],
        [2, "finished 0"],
      ]),
    );
    batcher.preload([11, 11, 12], 1_000);
    batcher.cache.check();
    expect(batcher.stats(1_000).kvBlocksUsed).toBe(0);
  });

  test("gives the same events for the same calls, and the same times however late it is woken", () => {
    fc.assert(
      fc.property(fc.nat(1_000_000), (seed) => {
        const punctual = workload(seed, () => 0);
        expect(workload(seed, () => 0)).toEqual(punctual);
        const tardy = workload(seed, (prng) => prng.exponential(20));
        expect(timeline(tardy)).toEqual(timeline(punctual));
        const ends = (events: EndEvent[]) => events.map((end) => `${end.id} ${end.end} ${end.endedAtMs.toFixed(6)}`);
        expect(ends(tardy.finished).toSorted()).toEqual(ends(punctual.finished).toSorted());
      }),
      { numRuns: 60 },
    );
  });

  test("admits in order of arrival: nobody starves", () => {
    fc.assert(
      fc.property(fc.nat(1_000_000), (seed) => {
        const admitted = workload(seed, () => 0)
          .finished.filter(({ admittedAtMs }) => admittedAtMs >= 0)
          .toSorted((a, b) => a.id - b.id);
        for (let index = 1; index < admitted.length; index += 1) {
          expect(admitted[index]!.admittedAtMs).toBeGreaterThanOrEqual(admitted[index - 1]!.admittedAtMs);
        }
      }),
      { numRuns: 60 },
    );
  });
});
