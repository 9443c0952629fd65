/** States from a node to routers and back into samples: what arrives, what is asked for, what it costs. */
import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { Prng } from "../../src/base/prng.ts";
import { defaultsOf } from "../../src/base/settings-reading.ts";
import { CAPABILITIES, MODEL_STATES, RUNTIME_STATES } from "../../src/base/runtime-terms.ts";
import type { NodeSample } from "../../src/score/sample.ts";
import { decode, encode } from "../../src/signal/quantity.ts";
import { Publisher } from "../../src/signal/publisher.ts";
import { signalSettings } from "../../src/signal/settings.ts";
import { type Report, Subscriber } from "../../src/signal/subscriber.ts";
import { ASK, MESSAGE } from "../../src/signal/wire.ts";
import { modelSample, nodeRuntime, nodeSample } from "../fleet/samples.ts";

const CONFIG = defaultsOf(signalSettings);
const SEED = Number(process.env["SEED"] ?? 1);

function publisher(): Publisher {
  return new Publisher(CONFIG, { id: "gpu-1", incarnation: 1_790_000_000_000 }, new Prng(SEED), 68);
}

const GPU = {
  index: 0,
  uuid: "GPU-1",
  name: "H100",
  migProfile: undefined,
  utilization: 0.5,
  memoryUsedBytes: 2 ** 30,
  memoryTotalBytes: 80 * 2 ** 30,
  powerWatts: 300,
  powerLimitWatts: 700,
  temperatureCelsius: 60,
  throttleReasons: [],
  health: "healthy",
  healthReason: undefined,
  healthSinceMs: undefined,
  models: [],
} as const;

const SAMPLE = nodeSample({
  models: [modelSample({ model: "llama", runningRequests: 3, waitingRequests: 1, queuedPrefillTokens: 400, slots: 8 })],
  gpus: [GPU],
});

const PLACE = [1.5, -2, 0.25];

/** A node and one router without a network between them. */
class Pair {
  readonly publisher = publisher();
  readonly subscriber = new Subscriber();
  readonly packets: Uint8Array[] = [];
  nowMs = 1000;

  constructor() {
    this.publisher.addRouter("r");
  }

  /** What the node sends from now for so long; whatever `isLost` names by its place is not delivered. */
  run(ms: number, isLost: (place: number) => boolean = () => false): Report[] {
    const reports: Report[] = [];
    const endMs = this.nowMs + ms;
    for (;;) {
      const { sends, wakeAtMs } = this.publisher.take(this.nowMs);
      for (const { packet } of sends) {
        this.packets.push(packet);
        if (isLost(this.packets.length - 1)) continue;
        this.subscriber.receive("a", packet, this.nowMs);
        const taken = this.subscriber.take();
        reports.push(...taken.reports);
        for (const _ask of taken.asks) this.publisher.asked("r");
      }
      if (sends.length > 0) continue;
      if (wakeAtMs > endMs) break;
      this.nowMs = Math.max(this.nowMs, wakeAtMs);
    }
    this.nowMs = endMs;
    return reports;
  }

  offer(sample: NodeSample): void {
    this.publisher.offer(sample, PLACE, this.nowMs);
  }
}

describe("quantities", () => {
  test("sizes are exact below 256 and wrong by at most 0.4 % above; larger figures have larger codes", () => {
    let before = -1;
    for (let value = 0; value < 2 ** 41; value = value < 300 ? value + 1 : value * 1.0007) {
      const code = encode("size", value);
      const back = decode("size", code) ?? Number.NaN;
      expect(Math.abs(back - value)).toBeLessThanOrEqual(value < 256 ? 0 : value * 0.004);
      expect(code).toBeGreaterThanOrEqual(before);
      before = code;
    }
  });

  test("unknown is not zero, and what no figure has is unknown", () => {
    for (const quantity of ["count", "size", "share", "degrees"] as const) {
      expect(decode(quantity, encode(quantity, undefined))).toBeUndefined();
      expect(decode(quantity, encode(quantity, Number.NaN))).toBeUndefined();
      expect(decode(quantity, encode(quantity, 0))).toBe(0);
      expect(decode(quantity, 0xffff_ffff)).toBeUndefined();
      expect(decode(quantity, encode(quantity, Infinity))).toBeNumber();
      expect(decode(quantity, encode(quantity, -Infinity))).toBeNumber();
    }
    expect(decode("degrees", encode("degrees", -40))).toBe(-40);
  });
});

describe("a state", () => {
  test("arrives as it was, within what its codes can tell", () => {
    const pair = new Pair();
    pair.offer(SAMPLE);
    const [report] = pair.run(10);
    expect(report).toMatchObject({ from: "a", id: "gpu-1", incarnation: 1_790_000_000_000 });
    expect(report?.sample.models).toEqual([{ ...SAMPLE.models[0]!, queuedPrefillTokens: 400 }]);
    expect(report?.sample.gpus).toEqual(SAMPLE.gpus.map((gpu) => ({ ...gpu, memoryUsedBytes: gpu.memoryUsedBytes! })));
    expect(report?.sample.gpuUsage).toBe(0.5);
    expect(report?.observedAtMs).toBe(1000);
    expect(report?.place).toEqual(Float32Array.from(PLACE));
    const later = pair.run(6000);
    // Keyframes tell where the node is, the states between do not.
    expect(later.filter(({ place }) => place !== undefined)).toHaveLength(1);
  });

  test("of any sample is read back: unknown stays unknown, counts are exact", () => {
    const maybe = <T>(arb: fc.Arbitrary<T>) => fc.option(arb, { nil: undefined });
    const share = fc.double({ min: 0, max: 1, noNaN: true });
    const quantiles = fc.record({ p50: share, p95: share, p99: share });
    const model = fc.record({
      model: fc.string({ minLength: 1, maxLength: 40, unit: "grapheme" }),
      runtime: fc.constantFrom("", "vllm", "triton"),
      state: fc.constantFrom(...MODEL_STATES),
      reason: fc.constantFrom("", "out of memory"),
      parent: maybe(fc.constantFrom("base", "H100")),
      contextTokensMax: maybe(fc.nat(1e7)),
      capabilities: fc.uniqueArray(fc.constantFrom(...CAPABILITIES)),
      cacheHitRate: maybe(fc.constantFrom(0, 0.5, 1)),
      timeToFirstToken: maybe(quantiles),
      interTokenLatency: maybe(quantiles),
      preemptionsPerSecond: maybe(fc.constantFrom(0, 2.5)),
      workLeftSeconds: maybe(fc.constantFrom(0, 0.2)),
      loadSeconds: maybe(fc.constantFrom(0, 0.5)),
      runningRequests: fc.nat(5000),
      waitingRequests: fc.nat(5000),
      queuedPrefillTokens: maybe(fc.nat(1e9)),
      kvUsage: maybe(share),
      kvCapacityTokens: maybe(fc.nat(1e9)),
      prefillTokensPerSecond: maybe(fc.double({ min: 0, max: 1e6, noNaN: true })),
      decodeTokensPerSecond: maybe(fc.double({ min: 0, max: 1e6, noNaN: true })),
      slots: maybe(fc.nat(5000)),
    });
    const gpu = fc.record({
      throttleReasons: fc.uniqueArray(fc.constantFrom("hw_thermal", "sw_power", "sync"), { maxLength: 3 }),
      health: maybe(fc.constantFrom("healthy" as const, "degraded" as const, "quarantined" as const)),
      migProfile: maybe(fc.constant("3g.40gb")),
      healthReason: maybe(fc.constantFrom("XID 79: GPU has fallen off the bus", "hot", "3g.40gb", "H100")),
      healthSinceMs: maybe(fc.integer({ min: 1_704_067_200, max: 3_800_000_000 }).map((seconds) => seconds * 1000)),
      isOn: fc.array(fc.boolean(), { minLength: 6, maxLength: 6 }),
      temperatureCelsius: maybe(fc.integer({ min: -50, max: 200 })),
    });
    const arbitrary = fc.record({
      ready: fc.boolean(),
      draining: fc.boolean(),
      runtimes: fc.uniqueArray(
        fc.record({
          name: fc.constantFrom("vllm", "triton"),
          state: fc.constantFrom(...RUNTIME_STATES),
          ready: fc.boolean(),
          draining: fc.boolean(),
          message: fc.string({ maxLength: 40 }),
        }),
        { maxLength: 2, selector: ({ name: one }) => one },
      ),
      models: fc.array(model, { maxLength: 6 }),
      gpus: fc.array(gpu, { maxLength: 9 }),
      cpuUsage: maybe(share),
    });
    fc.assert(
      fc.property(arbitrary, ({ gpus, runtimes, ...rest }) => {
        const sample = nodeSample({
          ...rest,
          runtimes: runtimes.map(nodeRuntime),
          gpus: gpus.map(({ isOn, ...some }, index) => ({
            ...GPU,
            ...some,
            index,
            models: [...new Set(rest.models.map(({ model: name }) => name).filter((_, at) => isOn[at]))],
          })),
        });
        const pair = new Pair();
        pair.offer(sample);
        const back = pair.run(1)[0]?.sample;
        // oxlint-disable-next-line no-control-regex
        const plain = (text: string): string => text.replace(/[\u0000-\u001f]/g, " ");
        expect(back?.runtimes).toEqual(sample.runtimes.map((one) => ({ ...one, message: plain(one.message) })));
        expect(back).toMatchObject({ ready: sample.ready, draining: sample.draining });
        for (const [at, sent] of sample.models.entries()) {
          const got = back?.models[at];
          const { model: name, runningRequests, waitingRequests, kvCapacityTokens, slots } = sent;
          expect(got).toMatchObject({ model: name, runningRequests, waitingRequests, kvCapacityTokens, slots });
          for (const key of ["queuedPrefillTokens", "kvUsage", "prefillTokensPerSecond"] as const) {
            expect(got?.[key] === undefined).toBe(sent[key] === undefined);
          }
          const { state, reason, parent, contextTokensMax, cacheHitRate, preemptionsPerSecond, workLeftSeconds } = sent;
          const { loadSeconds } = sent;
          expect(got).toMatchObject({ state, reason, contextTokensMax });
          expect(got).toMatchObject({ parent, cacheHitRate, preemptionsPerSecond, workLeftSeconds, loadSeconds });
          expect(new Set(got?.capabilities)).toEqual(new Set(sent.capabilities));
          const isTold = sample.runtimes.some(({ name: one }) => one === sent.runtime);
          expect(got?.runtime).toBe(isTold ? sent.runtime : "");
          for (const key of ["timeToFirstToken", "interTokenLatency"] as const) {
            expect(got?.[key] === undefined).toBe(sent[key] === undefined);
            for (const part of ["p50", "p95", "p99"] as const) {
              const [is, was] = [got?.[key]?.[part] ?? 0, sent[key]?.[part] ?? 0];
              expect(Math.abs(is - was)).toBeLessThanOrEqual(0.000_05 + 0.004 * was);
            }
          }
          expect(Math.abs((got?.queuedPrefillTokens ?? 0) - (sent.queuedPrefillTokens ?? 0))).toBeLessThanOrEqual(
            0.004 * (sent.queuedPrefillTokens ?? 0),
          );
        }
        for (const [at, sent] of sample.gpus.entries()) {
          const { health, healthReason, healthSinceMs, migProfile, temperatureCelsius } = sent;
          const known = { health, healthReason, healthSinceMs, migProfile, temperatureCelsius };
          expect(back?.gpus[at]).toMatchObject(known);
          expect(new Set(back?.gpus[at]?.models)).toEqual(new Set(sent.models));
          expect(new Set(back?.gpus[at]?.throttleReasons)).toEqual(new Set(sent.throttleReasons));
        }
      }),
      { seed: SEED, numRuns: 300 },
    );
  });

  test("that was lost costs only its own news: the next one is read without it", () => {
    const pair = new Pair();
    pair.offer(SAMPLE);
    pair.run(500);
    const { length } = pair.packets;
    pair.run(3000, (place) => place === length);
    expect(pair.packets.length).toBeGreaterThan(length + 1);
    expect(pair.subscriber.stats).toMatchObject({ gaps: 0, malformed: 0 });
  });

  test("whose keyframe was lost makes the router ask, and a snapshot makes it good", () => {
    const pair = new Pair();
    pair.offer(SAMPLE);
    const first = pair.run(1, () => true);
    expect(first).toEqual([]);
    const reports = pair.run(3000);
    expect(pair.subscriber.stats.gaps).toBe(1);
    expect(pair.subscriber.stats.snapshots).toBe(1);
    expect(reports.length).toBeGreaterThan(1);
  });

  test("tells small changes with the next regular one, large ones at once and again", () => {
    const pair = new Pair();
    pair.offer(SAMPLE);
    pair.run(400);
    const sentBefore = pair.packets.length;
    pair.offer({ ...SAMPLE, models: [{ ...SAMPLE.models[0]!, runningRequests: 4 }] });
    expect(pair.run(10)).toEqual([]);
    expect(pair.packets).toHaveLength(sentBefore);
    pair.offer({ ...SAMPLE, models: [{ ...SAMPLE.models[0]!, runningRequests: 40 }] });
    expect(pair.run(10).map(({ sample }) => sample.models[0]?.runningRequests)).toEqual([40]);
    expect(pair.run(200).map(({ sample }) => sample.models[0]?.runningRequests)).toEqual([40]);
    pair.offer({ ...SAMPLE, draining: true });
    expect(pair.run(200).map(({ sample }) => sample.draining)).toEqual([true, true, true]);
  });

  test("has a new layout when the models change, and goes on being read", () => {
    const pair = new Pair();
    pair.offer(SAMPLE);
    pair.run(10);
    pair.offer({ ...SAMPLE, models: [...SAMPLE.models, modelSample({ model: "other" })] });
    // Descriptions follow each other at half a second, whatever happens at the node.
    const models = pair
      .run(500)
      .at(-1)
      ?.sample.models.map(({ model }) => model);
    expect(models).toEqual(["llama", "other"]);
    pair.offer({ ...SAMPLE, gpus: [{ ...GPU, throttleReasons: ["hw_thermal"] }] });
    expect(pair.run(500).at(-1)?.sample.gpus[0]?.throttleReasons).toEqual(["hw_thermal"]);
    pair.offer(SAMPLE);
    const last = pair.run(1100).at(-1)?.sample;
    expect([last?.models.length, last?.gpus[0]?.throttleReasons]).toEqual([1, []]);
    expect(pair.subscriber.stats).toMatchObject({ gaps: 0, malformed: 0 });
  });

  test("tells at once that a GPU is quarantined, why, and what ran on it; many models are told by a mark for all", () => {
    const pair = new Pair();
    const models = Array.from({ length: 40 }, (_, at) => modelSample({ model: `m${at}` }));
    const names = models.map(({ model }) => model);
    const gpus = [
      { ...GPU, models: names },
      { ...GPU, uuid: "GPU-2", index: 1 },
    ];
    pair.offer({ ...SAMPLE, models, gpus });
    pair.run(2000);
    const healthReason = "XID 79: GPU has fallen off the bus";
    const ill = { health: "quarantined", healthReason, healthSinceMs: 1_790_000_123_000 } as const;
    pair.offer({
      ...SAMPLE,
      ready: false,
      models,
      gpus: [gpus[0]!, { ...gpus[1]!, ...ill, models: names.slice(3, 35) }],
    });
    const told = pair.run(60)[0]?.sample;
    expect(told?.ready).toBe(false);
    expect(told?.gpus[0]).toMatchObject({ health: "healthy", healthReason: undefined, models: names });
    // Of some among many, those behind the thirtieth are left out.
    expect(told?.gpus[1]).toMatchObject({ ...ill, models: names.slice(3, 29) });
  });

  test("tells since when a GPU is ill in whole seconds, none of them still to come", () => {
    const pair = new Pair();
    pair.offer({
      ...SAMPLE,
      gpus: [{ ...GPU, health: "degraded", healthReason: "hot", healthSinceMs: 1_790_000_123_857 }],
    });
    expect(pair.run(60)[0]?.sample.gpus[0]?.healthSinceMs).toBe(1_790_000_123_000);
  });

  test("with load that changes all the time stays within its budget", () => {
    const pair = new Pair();
    const prng = new Prng(SEED);
    for (let look = 0; look < 600; look += 1) {
      pair.offer({ ...SAMPLE, models: [{ ...SAMPLE.models[0]!, runningRequests: prng.int(200) }] });
      pair.run(100);
    }
    const bytes = pair.packets.reduce((sum, { length }) => sum + length + 68, 0);
    expect(bytes / 60).toBeLessThan(CONFIG.bytesPerSecond * 1.1);
    expect(bytes / 60).toBeGreaterThan(CONFIG.bytesPerSecond * 0.5);
  });

  test("goes to no router that left, and to a new one with all that it needs", () => {
    const pair = new Pair();
    pair.offer(SAMPLE);
    pair.run(2500);
    const late = new Subscriber();
    pair.publisher.addRouter("late");
    pair.publisher.removeRouter("r");
    const { sends } = pair.publisher.take(pair.nowMs);
    expect(new Set(sends.map(({ to }) => to))).toEqual(new Set(["late"]));
    for (const { packet } of sends) late.receive("a", packet, pair.nowMs);
    expect(late.take().reports.at(-1)?.sample.models[0]?.runningRequests).toBe(3);
  });

  test("is the same whether the GPUs are the objects that were offered before, or others like them", () => {
    const gpu = fc.record({
      utilization: fc.option(fc.double({ min: 0, max: 1, noNaN: true }), { nil: undefined }),
      throttleReasons: fc.subarray(["idle", "sw_power_cap", "hw_thermal"]),
      healthReason: fc.constantFrom(undefined, "XID 79", "too hot"),
      models: fc.subarray(["llama", "qwen"]),
    });
    const change = fc.record({
      gpus: fc.option(fc.array(gpu, { maxLength: 3 }), { nil: undefined }),
      models: fc.subarray(["llama", "qwen"]),
      running: fc.nat(20),
    });
    fc.assert(
      fc.property(fc.array(change, { minLength: 2, maxLength: 12 }), (changes) => {
        const [kept, copied] = [new Pair(), new Pair()];
        let gpus: NodeSample["gpus"] = [];
        for (const { gpus: news, models, running } of changes) {
          // Absent: nothing was read of them since the last look.
          if (news !== undefined) gpus = news.map((figures, index) => ({ ...GPU, index, ...figures }));
          const sample = nodeSample({
            models: models.map((model) => modelSample({ model, runningRequests: running })),
            gpus,
          });
          kept.offer(sample);
          copied.offer({ ...sample, gpus: gpus.map((one) => ({ ...one })) });
          kept.run(100);
          copied.run(100);
        }
        expect(kept.packets).toEqual(copied.packets);
      }),
      { numRuns: 300, seed: SEED },
    );
  });

  test("that comes late, doubled or from an earlier life does no harm", () => {
    const pair = new Pair();
    pair.offer(SAMPLE);
    pair.run(3000);
    const { subscriber } = pair;
    for (const packet of pair.packets) subscriber.receive("a", packet, pair.nowMs);
    expect(subscriber.take().reports).toEqual([]);
    const reborn = new Publisher(CONFIG, { id: "gpu-1", incarnation: 2e12 }, new Prng(99), 68);
    reborn.addRouter("r");
    reborn.offer(SAMPLE, PLACE, 0);
    for (const { packet } of reborn.take(0).sends) subscriber.receive("a", packet, pair.nowMs);
    expect(subscriber.take().reports.map(({ incarnation }) => incarnation)).toEqual([2e12]);
    // The former life's snapshot comes once more, on a detour.
    for (const packet of pair.packets.slice(0, 1)) subscriber.receive("a", packet, pair.nowMs + 50);
    expect(subscriber.take().reports).toEqual([]);
    // A clock that was set back does not shut a node out for long.
    subscriber.receive("a", pair.packets[0]!, pair.nowMs + 20_000);
    expect(subscriber.take().reports).toHaveLength(1);
  });
});

describe("bad input", () => {
  test(`300,000 mutated messages change nothing that they should not, and throw nothing (SEED=${SEED})`, () => {
    const prng = new Prng(SEED);
    const pair = new Pair();
    pair.offer(SAMPLE);
    pair.run(8000);
    const corpus = [...pair.packets, ASK];
    const { subscriber } = pair;
    for (let count = 0; count < 300_000; count += 1) {
      const source = corpus[prng.int(corpus.length)]!;
      const packet = source.slice(0, prng.int(4) === 0 ? prng.int(source.length + 1) : source.length);
      for (let changes = prng.int(4); changes > 0 && packet.length > 0; changes -= 1) {
        packet[prng.int(packet.length)] = prng.int(3) === 0 ? 255 : prng.int(256);
      }
      subscriber.receive("a", packet, pair.nowMs + count);
      for (const { sample } of subscriber.take().reports) {
        const figures = sample.models.flatMap(({ runningRequests, kvUsage = 0 }) => [runningRequests, kvUsage]);
        if (!figures.every((figure) => Number.isFinite(figure) && figure >= 0)) throw new Error(`SEED=${SEED}`);
        if (sample.models.length > 256 || sample.gpus.length > 256) throw new Error(`SEED=${SEED}`);
      }
    }
    expect(subscriber.size).toBe(1);
    expect(subscriber.stats.malformed).toBeGreaterThan(10_000);
    const fresh = pair.packets.find(([kind]) => kind === MESSAGE.snapshot)!;
    subscriber.forget("a");
    subscriber.receive("a", fresh, 1e9);
    expect(subscriber.take().reports).toHaveLength(1);
  });

  test("a router asks an unreadable sender seldomer and seldomer", () => {
    const pair = new Pair();
    pair.offer(SAMPLE);
    pair.run(3000);
    const state = pair.packets.find(([kind]) => kind === MESSAGE.state)!;
    const other = new Subscriber();
    let asks = 0;
    for (let ms = 0; ms < 60_000; ms += 10) {
      other.receive("a", state, ms);
      asks += other.take().asks.length;
    }
    expect(asks).toBeGreaterThan(5);
    expect(asks).toBeLessThan(20);
  });
});
