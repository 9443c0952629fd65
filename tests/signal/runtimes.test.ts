/** A node's runtimes and how its models are, in descriptions that earlier versions read too. */
import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { Prng } from "../../src/base/prng.ts";
import { defaultsOf } from "../../src/base/settings-reading.ts";
import { RUNTIME_STATES } from "../../src/base/runtime-terms.ts";
import type { ModelSample, NodeSample } from "../../src/score/sample.ts";
import { describe as described, describeGpus } from "../../src/signal/description.ts";
import { Publisher } from "../../src/signal/publisher.ts";
import { runtimesIn, runtimeWords } from "../../src/signal/runtime-words.ts";
import { signalSettings } from "../../src/signal/settings.ts";
import { codesOf } from "../../src/signal/state.ts";
import { Subscriber } from "../../src/signal/subscriber.ts";
import { writeSnapshot } from "../../src/signal/wire.ts";
import { gpuSample, modelSample, nodeRuntime, nodeSample } from "../fleet/samples.ts";

const SELF = { id: "gpu-1", incarnation: 1 };
const SHARED = {
  cacheHitRate: 0.5,
  timeToFirstToken: { p50: 0.1, p95: 0.2, p99: 0.4 },
  interTokenLatency: { p50: 0.01, p95: 0.02, p99: 0.03 },
  preemptionsPerSecond: 1,
  workLeftSeconds: 2,
  figuresAgeMs: 640,
};

/** A node whose states a router hears. */
class Heard {
  readonly publisher = new Publisher(defaultsOf(signalSettings), SELF, new Prng(1), 68);
  readonly subscriber = new Subscriber();
  readonly sizes: number[] = [];

  constructor() {
    this.publisher.addRouter("r");
  }

  at(nowMs: number, sample: NodeSample): NodeSample | undefined {
    this.publisher.offer(sample, [], nowMs);
    return this.until(nowMs);
  }

  /** What the router knows then. */
  until(nowMs: number): NodeSample | undefined {
    for (const { packet } of this.publisher.take(nowMs).sends) {
      this.sizes.push(packet.length);
      this.subscriber.receive("a", packet, nowMs);
    }
    return this.subscriber.take().reports.at(-1)?.sample;
  }
}

describe("runtimes as words", () => {
  const text = fc.string({ maxLength: 80, unit: "binary" });
  const runtime = fc.record({
    name: fc.string({ minLength: 1, maxLength: 64, unit: "grapheme-ascii" }),
    kind: text,
    version: text,
    ready: fc.boolean(),
    draining: fc.boolean(),
    state: fc.constantFrom(...RUNTIME_STATES),
    message: text,
    sinceMs: fc.integer({ min: 1, max: 4_000_000_000 }).map((seconds) => seconds * 1000),
    endpoints: fc.array(
      fc.record({
        name: fc.string({ minLength: 1, maxLength: 64, unit: "grapheme-ascii" }),
        host: fc.constant<string>(""),
        port: fc.integer({ min: 1, max: 65_535 }),
        protocol: fc.constantFrom("http" as const, "grpc" as const),
        tls: fc.boolean(),
      }),
      { maxLength: 5 },
    ),
  });

  test("are read back, with the endpoints for which there is room", () => {
    fc.assert(
      fc.property(fc.array(runtime, { maxLength: 20 }), (runtimes) => {
        const back = runtimesIn(runtimeWords(runtimes));
        expect(back).toHaveLength(Math.min(16, runtimes.length));
        for (const [at, { name, ready, draining, state, sinceMs, endpoints }] of back.entries()) {
          expect(runtimes[at]).toMatchObject({ name, ready, draining, state, sinceMs });
          expect(runtimes[at]?.endpoints.slice(0, endpoints.length)).toEqual([...endpoints]);
        }
      }),
      { numRuns: 300 },
    );
  });

  test("that anybody could send throw nothing, and make only runtimes with a name", () => {
    const word = fc.oneof(
      text,
      text.map((rest) => `\u0001${rest}`),
      fc.array(text, { maxLength: 8 }).map((fields) => `\u0001${fields.join("\u001f")}`),
      text.map((rest) => `\u0002${rest}`),
    );
    fc.assert(
      fc.property(fc.array(word, { maxLength: 40 }), (words) => {
        for (const { name, sinceMs, endpoints } of runtimesIn(words)) {
          expect(name).not.toBe("");
          expect(Number.isSafeInteger(sinceMs)).toBe(true);
          for (const { port } of endpoints) expect(port >= 1 && port <= 65_535).toBe(true);
        }
      }),
      { numRuns: 500 },
    );
  });

  test("leave the words of GPUs in their places, within the limits of every version", () => {
    const runtimes = Array.from({ length: 16 }, (_, at) => nodeRuntime({ name: `r${at}`, message: "is well" }));
    const gpus = Array.from({ length: 100 }, (_, index) => gpuSample({ index, name: `G${index}` }));
    const models = Array.from({ length: 100 }, (_, at) => modelSample({ model: `m${at}`, parent: `p${at}` }));
    const ofGpus = describeGpus(gpus, []);
    const { words } = described(SELF, nodeSample({ runtimes, gpus, models }), ofGpus);
    expect(words).toHaveLength(64);
    expect(words.slice(0, 32)).toEqual(ofGpus.words.slice(0, 32));
    expect(runtimesIn(words).map(({ name }) => name)).toEqual(runtimes.map(({ name }) => name));
  });
});

describe("a node with runtimes", () => {
  const runtimes = [nodeRuntime(), nodeRuntime({ name: "triton", kind: "triton" })];

  test("tells at once that one can't be sent to any more, soon after another change too", () => {
    const heard = new Heard();
    heard.at(0, nodeSample({ runtimes }));
    heard.at(1000, nodeSample({ runtimes, models: [modelSample()] }));
    const down = [runtimes[0]!, nodeRuntime({ name: "triton", ready: false, state: "down", message: "refused" })];
    const sample = nodeSample({ runtimes: down, models: [modelSample()] });
    const told = heard.at(1050, sample) ?? heard.until(1100) ?? heard.until(1150);
    expect(told?.runtimes.map(({ ready, state, message }) => [ready, state, message])).toEqual([
      [true, "ready", ""],
      [false, "down", "refused"],
    ]);
  });

  test("whose message changes all the time makes no description for each", () => {
    const heard = new Heard();
    for (let nowMs = 0; nowMs < 4000; nowMs += 100) {
      heard.at(nowMs, nodeSample({ runtimes: [nodeRuntime({ message: `late by ${nowMs} ms` })] }));
    }
    expect(heard.subscriber.stats.snapshots).toBe(1);
    let told: NodeSample | undefined;
    for (let nowMs = 4000; nowMs < 8000; nowMs += 100) {
      told = heard.at(nowMs, nodeSample({ runtimes: [nodeRuntime({ message: "on time again" })] })) ?? told;
    }
    expect(told?.runtimes[0]?.message).toBe("on time again");
    expect(heard.subscriber.stats.snapshots).toBe(2);
  });

  test("tells how old an engine's load is, and nothing where it is of the moment", () => {
    const heard = new Heard();
    const told = (nowMs: number, models: readonly ModelSample[]): (number | undefined)[] | undefined =>
      (heard.at(nowMs, nodeSample({ runtimes, models })) ?? heard.until(nowMs))?.models.map(
        ({ figuresAgeMs }) => figuresAgeMs,
      );
    const two = (figuresAgeMs: number | undefined): ModelSample[] => [
      modelSample({ model: "a", runtime: "vllm", figuresAgeMs }),
      modelSample({ model: "b", runtime: "vllm", figuresAgeMs }),
      modelSample({ model: "c", runtime: "triton" }),
    ];
    expect(told(0, two(333))).toEqual([340, 340, undefined]);
    // A regular state tells what it has grown to; the keyframe after it says that it is not told any more.
    let last: (number | undefined)[] | undefined;
    for (let nowMs = 100; nowMs <= 3000; nowMs += 100) last = told(nowMs, two(1100)) ?? last;
    expect(last).toEqual([1100, 1100, undefined]);
    for (let nowMs = 3100; nowMs <= 9000; nowMs += 100) last = told(nowMs, two(undefined)) ?? last;
    expect(last).toEqual([undefined, undefined, undefined]);
  });

  test("tells what an engine's adapters have in common once", () => {
    const adapters = (count: number): ModelSample[] => {
      const own = Array.from({ length: count }, (_, at) =>
        modelSample({ model: `a${at}`, runtime: "vllm", ...SHARED }),
      );
      return [...own, modelSample({ model: "other", runtime: "triton", ...SHARED, workLeftSeconds: 3 })];
    };
    const sizeWith = (models: readonly ModelSample[]): number => {
      const heard = new Heard();
      const told = heard.at(0, nodeSample({ runtimes, models })) ?? heard.until(0);
      expect(told?.models.map(({ workLeftSeconds = 0 }) => Math.round(workLeftSeconds))).toEqual(
        models.map(({ workLeftSeconds = 0 }) => workLeftSeconds),
      );
      return heard.sizes[0] ?? 0;
    };
    const plain = Array.from({ length: 50 }, (_, at) => modelSample({ model: `a${at}`, runtime: "vllm" }));
    expect(sizeWith(adapters(50))).toBeLessThan(sizeWith(plain) + 60);
  });

  test("of an earlier version, whose models have fewer figures, is read: each model is loaded", () => {
    const sample = nodeSample({ models: [modelSample({ runningRequests: 3 }), modelSample({ model: "n" })] });
    const description = described(SELF, sample, describeGpus([], []));
    const codes = codesOf(sample, description);
    const { nodeColumns, modelColumns } = description;
    const earlier = [0, 1].flatMap((at) => [...codes.subarray(nodeColumns + at * modelColumns).subarray(0, 6)]);
    const packet = writeSnapshot(
      { layout: 7, seq: 1, ageMs: 0 },
      { ...description, modelColumns: 6 },
      Uint32Array.from([...codes.subarray(0, nodeColumns), ...earlier]),
      [],
    );
    const subscriber = new Subscriber();
    subscriber.receive("a", packet, 0);
    const [report] = subscriber.take().reports;
    expect(report?.sample.models).toEqual([...sample.models]);
    expect(report?.sample.runtimes).toEqual([]);
  });
});

describe("the runtimes on a GPU", () => {
  const two = [nodeRuntime({ name: "one" }), nodeRuntime({ name: "two" })];
  const gpus = [
    gpuSample({ uuid: "GPU-0", models: ["llama"], runtimes: ["one"] }),
    gpuSample({ uuid: "GPU-1", models: ["llama", "adapter"], runtimes: ["two"] }),
    gpuSample({ uuid: "GPU-2", models: ["llama", "adapter"], runtimes: ["one", "two"] }),
    gpuSample({ uuid: "GPU-3" }),
  ];

  test("are told by the places of their models, also of those of one name", () => {
    const models = [
      modelSample({ model: "llama", runtime: "one" }),
      modelSample({ model: "llama", runtime: "two" }),
      modelSample({ model: "adapter", runtime: "two" }),
    ];
    const told = new Heard().at(0, nodeSample({ runtimes: two, models, gpus }));
    expect(told?.gpus.map(({ models: on, runtimes }) => [on, runtimes])).toEqual([
      [["llama"], ["one"]],
      [["llama", "adapter"], ["two"]],
      [
        ["llama", "adapter"],
        ["one", "two"],
      ],
      [[], undefined],
    ]);
  });

  test("are not told of a node with one, whose models name none", () => {
    const only = [nodeRuntime({ name: "one" })];
    const told = new Heard().at(0, nodeSample({ runtimes: only, models: [modelSample({ model: "llama" })], gpus }));
    expect(told?.gpus.map(({ models, runtimes }) => [models, runtimes])).toEqual([
      [["llama"], undefined],
      [["llama"], undefined],
      [["llama"], undefined],
      [[], undefined],
    ]);
  });
});
