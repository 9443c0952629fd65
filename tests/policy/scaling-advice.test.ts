import { describe, expect, test } from "bun:test";
import { DOWN_MS, type ModelLoad, ScalingAdvice, wantedReplicas } from "../../src/policy/scaling-advice.ts";
import type { ScalingMetric, ScalingSpec } from "../../src/policy/spec.ts";

const spec = (metric: ScalingMetric, value: number, minReplicas = 0, maxReplicas = 10): ScalingSpec => ({
  minReplicas,
  maxReplicas,
  target: { metric, value },
});
const load = (changes: Partial<ModelLoad>): ModelLoad => ({
  replicas: 2,
  queueSeconds: 0,
  kvUsage: 0,
  runningRequests: 0,
  ...changes,
});

test.each<[string, ScalingSpec, ModelLoad, number]>([
  ["at twice the target", spec("kv-usage", 0.4), load({ kvUsage: 0.8 }), 4],
  ["a little over it", spec("kv-usage", 0.8), load({ kvUsage: 0.87 }), 2],
  ["a bit more over it", spec("kv-usage", 0.8), load({ kvUsage: 0.9 }), 3],
  ["below it", spec("running-requests", 8), load({ replicas: 4, runningRequests: 8 }), 1],
  ["at nothing", spec("queue-seconds", 2), load({}), 0],
  ["at nothing, with a least", spec("queue-seconds", 2, 1), load({}), 1],
  ["far over it, with a most", spec("queue-seconds", 1, 0, 5), load({ queueSeconds: 30 }), 5],
  ["none there, somebody waits", spec("queue-seconds", 1), load({ replicas: 0, runningRequests: 3 }), 1],
  ["none there, nobody waits", spec("queue-seconds", 1), load({ replicas: 0 }), 0],
  ["none there, with a least", spec("queue-seconds", 1, 2), load({ replicas: 0, runningRequests: 3 }), 2],
  ["more than the most", spec("kv-usage", 0.5, 0, 1), load({ kvUsage: 0.5 }), 1],
])("%s", (_, of, is, expected) => {
  expect(wantedReplicas(of, is)).toBe(expected);
});

describe("over time", () => {
  const of = spec("running-requests", 10, 1, 8);
  const busy = load({ replicas: 4, runningRequests: 80 });
  const calm = load({ replicas: 4, runningRequests: 10 });

  test("more are wanted at once, fewer only after a while", () => {
    const advice = new ScalingAdvice();
    expect(advice.recommend("m", of, busy, 0)).toEqual({
      model: "m",
      replicas: 4,
      wanted: 8,
      why: "running-requests is 20 a replica, the target is 10",
    });
    const held = advice.recommend("m", of, calm, 60_000);
    expect([held.wanted, held.why]).toEqual([4, expect.stringContaining("more were needed within the last 5 minutes")]);
    for (let nowMs = 60_000; nowMs <= DOWN_MS + 30_000; nowMs += 15_000) advice.recommend("m", of, calm, nowMs);
    const after = advice.recommend("m", of, calm, DOWN_MS + 30_000);
    expect([after.wanted, after.why]).toEqual([1, expect.stringContaining("1 is the least")]);
  });

  test("what runs when the watch begins was wanted", () => {
    const advice = new ScalingAdvice();
    expect(advice.recommend("m", of, calm, 0).wanted).toBe(4);
    expect(advice.recommend("m", of, calm, DOWN_MS + 15_000).wanted).toBe(1);
    advice.keepOnly(new Set());
    expect(advice.recommend("m", of, calm, DOWN_MS + 30_000).wanted).toBe(4);
  });

  test("the reasons tell what people need", () => {
    const why = (is: ModelLoad, is_ = of): string => new ScalingAdvice().recommend("m", is_, is, 0).why;
    expect(why(load({ replicas: 0, runningRequests: 1 }))).toBe("requests wait and no replica serves");
    expect(why(load({ replicas: 0 }))).toBe("at least 1 are to run");
    expect(why(load({ replicas: 0 }), spec("kv-usage", 1))).toBe("nobody asks for it");
    expect(why(load({ replicas: 8, runningRequests: 400 }))).toContain("8 is the most there may be");
  });
});
