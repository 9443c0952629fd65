import { expect, test } from "bun:test";
import fc from "fast-check";
import { Prng } from "../../src/base/prng.ts";
import { Batcher } from "../../src/sim/batching.ts";
import type { BatchingConfig } from "../../src/sim/batching.ts";

/**
 * The scheduler again, one step and one sequence at a time, without prefix sharing: what the engine computes in closed
 * form must come out the same.
 */
interface Naive {
  id: number;
  prompt: number;
  output: number;
  atMs: number;
  computed: number;
  generated: number;
  decoding: boolean;
}

function naiveEnds(config: BatchingConfig, requests: readonly Naive[]): Map<number, number> {
  const ends = new Map<number, number>();
  const arrivals = [...requests];
  const waiting: Naive[] = [];
  let running: Naive[] = [];
  const blocks = (tokens: number) => Math.ceil(tokens / config.blockTokens);
  const free = () =>
    config.kvBlocks - running.reduce((sum, each) => sum + blocks(each.computed + (planned.get(each) ?? 0)), 0);
  let planned = new Map<Naive, number>();
  let nowMs = 0;
  while (arrivals.length + waiting.length + running.length > 0) {
    if (waiting.length + running.length === 0) nowMs = Math.max(nowMs, arrivals[0]!.atMs);
    while (arrivals.length > 0 && arrivals[0]!.atMs <= nowMs) waiting.push(arrivals.shift()!);
    planned = new Map();
    let budget = config.stepTokensMax;
    let preempted = false;
    for (let index = 0; index < running.length; index += 1) {
      const each = running[index]!;
      const tokens = Math.min(each.prompt + each.generated - each.computed, budget);
      while (running.includes(each) && blocks(each.computed + tokens) - blocks(each.computed) > free()) {
        const victim = running.pop()!;
        budget += planned.get(victim) ?? 0;
        planned.delete(victim);
        victim.computed = 0;
        victim.decoding = false;
        waiting.unshift(victim);
        preempted = true;
      }
      if (!running.includes(each)) break;
      planned.set(each, tokens);
      budget -= tokens;
    }
    while (!preempted && waiting.length > 0 && running.length < config.runningMax && budget > 0) {
      const each = waiting[0]!;
      const tokens = Math.min(each.prompt + each.generated, budget);
      if (blocks(each.prompt + each.generated) > free()) break;
      running.push(waiting.shift()!);
      planned.set(each, tokens);
      budget -= tokens;
    }
    let prefill = 0;
    let context = 0;
    for (const [each, tokens] of planned) {
      if (each.decoding) context += each.computed + 1;
      else prefill += tokens;
    }
    nowMs +=
      config.stepBaseMs +
      (prefill * 1_000) / config.prefillTokensPerSecond +
      config.stepPerSequenceMs * planned.size +
      config.stepPerContextTokenMs * context;
    for (const [each, tokens] of planned) {
      each.computed += tokens;
      if (each.computed === each.prompt + each.generated) {
        each.generated += 1;
        each.decoding = true;
      }
      if (each.generated === each.output) ends.set(each.id, nowMs);
    }
    running = running.filter(({ generated, output }) => generated < output);
  }
  return ends;
}

test("ends of all requests are those of the naive scheduler", () => {
  fc.assert(
    fc.property(fc.nat(1_000_000), (seed) => {
      const prng = new Prng(seed);
      const config: BatchingConfig = {
        prefillTokensPerSecond: 10_000,
        stepBaseMs: 5,
        stepPerSequenceMs: 0.1,
        stepPerContextTokenMs: 0.01,
        runningMax: 2 + prng.int(6),
        stepTokensMax: 8 + prng.int(40),
        blockTokens: 4,
        kvBlocks: 24 + prng.int(24),
      };
      let atMs = 0;
      const requests = Array.from({ length: 30 }, (_, id): Naive => {
        atMs += prng.exponential(40);
        return {
          id,
          prompt: 1 + prng.int(50),
          output: 1 + prng.int(40),
          atMs,
          computed: 0,
          generated: 0,
          decoding: false,
        };
      });
      const batcher = new Batcher(config);
      const ends = new Map<number, number>();
      const collect = () => {
        for (const { id, endedAtMs } of batcher.take().finished) ends.set(id, endedAtMs);
      };
      for (const { id, prompt, output, atMs: arrivesMs } of requests) {
        while (batcher.wakeAtMs < arrivesMs) batcher.wake(batcher.wakeAtMs);
        batcher.submit({ id, promptTokens: prompt, outputTokens: output, hashes: [], stream: false }, arrivesMs);
        collect();
      }
      while (batcher.wakeAtMs < Infinity) batcher.wake(batcher.wakeAtMs);
      collect();
      const expected = naiveEnds(config, requests);
      expect([...ends.keys()].toSorted((a, b) => a - b)).toEqual([...expected.keys()].toSorted((a, b) => a - b));
      for (const [id, endedAtMs] of expected) expect(ends.get(id)).toBeCloseTo(endedAtMs, 6);
    }),
    { numRuns: 200 },
  );
});
