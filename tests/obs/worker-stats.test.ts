import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { bucketOf, cumulative, quantile } from "../../src/obs/buckets.ts";
import { PICK_REASONS, UPSTREAM_ERROR_KINDS } from "../../src/obs/worker-counters.ts";
import { WorkerStats } from "../../src/obs/worker-stats.ts";

const LIMITS = { workersMax: 3, modelsMax: 4, targetsMax: 8 };

describe("counts of several workers", () => {
  test("add up, by model and status", () => {
    const stats = WorkerStats.create(LIMITS);
    const workers = [0, 1, 2].map((index) => WorkerStats.attach(stats.buffer).forWorker(index));
    for (const worker of workers) {
      worker.request(0, 200, 20);
      worker.request(3, 404, 1);
      worker.request(-1, 400, 1);
    }
    workers[1]?.request(0, 503, 1);
    expect(stats.requests(0)).toEqual(
      new Map([
        ["200", 3],
        ["503", 1],
      ]),
    );
    expect(stats.requests(3)).toEqual(new Map([["404", 3]]));
    expect(stats.requests(-1)).toEqual(new Map([["400", 3]]));
    expect(stats.requests(1)).toEqual(new Map());
    expect(stats.requestsByCode()).toEqual(
      new Map([
        ["200", 3],
        ["400", 3],
        ["404", 3],
        ["503", 1],
      ]),
    );
    expect(stats.durations(0).cumulative.at(-1)).toBe(4);
    expect(stats.durations(0).sum).toBeCloseTo(0.061);
  });

  test("of statuses without a place of their own go under their class", () => {
    const stats = WorkerStats.create(LIMITS);
    const worker = stats.forWorker(0);
    for (const status of [299, 418, 599, 103, 0, -1, 1000, Number.NaN, 200.5]) worker.request(0, status, 1);
    expect(stats.requests(0)).toEqual(
      new Map([
        ["200", 1],
        ["1xx", 1],
        ["2xx", 1],
        ["4xx", 1],
        ["5xx", 1],
        ["other", 4],
      ]),
    );
  });

  test("of picks, upstream errors, retries, connections and bytes", () => {
    const stats = WorkerStats.create(LIMITS);
    const [a, b] = [stats.forWorker(0), stats.forWorker(1)];
    for (const reason of PICK_REASONS) a.pick(7, reason);
    b.pick(7, "best");
    for (const kind of UPSTREAM_ERROR_KINDS) b.upstreamError(7, kind);
    a.upstreamError(0, "reset");
    a.retry();
    b.retry();
    a.connections(1);
    a.connections(1);
    b.connections(1);
    b.connections(-1);
    a.bytes(10, 20);
    b.bytes(1, 2);
    expect(stats.picks(7)).toEqual(
      new Map([
        ["best", 2],
        ["tie", 1],
        ["retry", 1],
        ["ejected-fallback", 1],
        ["late", 1],
        ["shadow", 1],
      ]),
    );
    expect(stats.upstreamErrors(7)).toEqual(
      new Map([
        ["connect", 1],
        ["timeout", 1],
        ["reset", 1],
        ["bad-response", 1],
        ["truncated", 1],
        ["exhausted", 1],
      ]),
    );
    expect(stats.upstreamErrors(0)).toEqual(new Map([["reset", 1]]));
    expect(stats.retries()).toBe(2);
    expect(stats.connectionsOpen()).toBe(2);
    expect(stats.connectionsTotal()).toBe(3);
    expect(stats.bytes()).toEqual({ in: 11, out: 22 });
  });

  test("go to none, and to no neighbour, for numbers beyond the limits", () => {
    const stats = WorkerStats.create(LIMITS);
    const worker = stats.forWorker(0);
    worker.request(4, 200, 1);
    worker.firstToken(99, 1);
    worker.pick(8, "best");
    worker.pick(-1, "best");
    worker.upstreamError(8, "reset");
    expect(stats.requests(-1)).toEqual(new Map([["200", 1]]));
    expect(stats.firstTokens(-1).cumulative.at(-1)).toBe(1);
    for (let row = 0; row < LIMITS.targetsMax; row += 1) expect(stats.picks(row).size).toBe(0);
    expect(stats.forWorker(1)).toBeDefined();
    expect(() => stats.forWorker(3)).toThrow("no place for worker 3");
  });
});

describe("a worker that is replaced", () => {
  test("leaves its counts to its successor, and its open connections to nobody", () => {
    const stats = WorkerStats.create(LIMITS);
    const first = WorkerStats.attach(stats.buffer).forWorker(1);
    first.request(2, 200, 5);
    first.connections(1);
    first.waiting(1);
    first.cacheHolds(1, 100);
    stats.forWorker(1).clearGauges();
    const second = WorkerStats.attach(stats.buffer).forWorker(1);
    second.request(2, 200, 5);
    expect(stats.requests(2)).toEqual(new Map([["200", 2]]));
    expect(stats.connectionsOpen()).toBe(0);
    expect([stats.count("waiting"), stats.count("cacheEntries"), stats.count("cacheBytes")]).toEqual([0, 0, 0]);
    expect(stats.count("queued")).toBe(1);
    expect(stats.connectionsTotal()).toBe(1);
  });

  test("counts in another thread are seen here", async () => {
    const stats = WorkerStats.create(LIMITS);
    const source = `
      import { WorkerStats } from ${JSON.stringify(new URL("../../src/obs/worker-stats.ts", import.meta.url).href)};
      self.onmessage = ({ data }) => {
        const counters = WorkerStats.attach(data).forWorker(2);
        for (let i = 0; i < 1000; i++) counters.request(1, 200, 1);
        self.postMessage("done");
      };
    `;
    const url = URL.createObjectURL(new Blob([source], { type: "text/javascript" }));
    const worker = new Worker(url);
    try {
      await new Promise<void>((resolve, reject) => {
        worker.addEventListener("message", () => resolve());
        worker.addEventListener("error", (event) => reject(new Error(event.message)));
        worker.postMessage(stats.buffer);
      });
    } finally {
      worker.terminate();
      URL.revokeObjectURL(url);
    }
    expect(stats.requests(1)).toEqual(new Map([["200", 1000]]));
  });
});

describe("a number given away", () => {
  test("starts from nothing, and the totals keep what was", () => {
    const stats = WorkerStats.create(LIMITS);
    for (const index of [0, 1]) {
      const worker = stats.forWorker(index);
      worker.request(1, 200, 10);
      worker.request(2, 200, 10);
      worker.firstToken(1, 10);
      worker.pick(3, "best");
      worker.pick(4, "best");
      worker.upstreamError(3, "connect");
    }
    stats.resetModel(1);
    stats.resetRow(3);
    expect(stats.requests(1).size).toBe(0);
    expect(stats.durations(1).cumulative.at(-1)).toBe(0);
    expect(stats.firstTokens(1).sum).toBe(0);
    expect(stats.requests(2)).toEqual(new Map([["200", 2]]));
    expect(stats.requestsByCode()).toEqual(new Map([["200", 4]]));
    expect(stats.picks(3).size).toBe(0);
    expect(stats.upstreamErrors(3).size).toBe(0);
    expect(stats.picks(4)).toEqual(new Map([["best", 2]]));
  });
});

describe("histograms", () => {
  test("put a value under the first bound that it does not exceed", () => {
    expect([0, 1, 1.5, 2, 3].map((value) => bucketOf([1, 2], value))).toEqual([0, 0, 1, 1, 2]);
  });

  test("count the time to the first token in seconds and decisions in microseconds", () => {
    const stats = WorkerStats.create(LIMITS);
    stats.forWorker(0).firstToken(0, 30);
    stats.forWorker(0).decision(1.2);
    stats.forWorker(2).decision(40_000);
    stats.forWorker(0).decision(Number.NaN);
    const first = stats.firstTokens(0);
    expect(first.cumulative[first.bounds.indexOf(0.02)]).toBe(0);
    expect(first.cumulative[first.bounds.indexOf(0.04)]).toBe(1);
    expect(first.sum).toBeCloseTo(0.03);
    expect(stats.decisions().cumulative.at(-1)).toBe(3);
    expect(stats.decisions().sum).toBeCloseTo(40_001.2);
  });

  test("tell quantiles to within their bucket", () => {
    const bounds = [1, 2, 4, 8];
    expect(quantile(cumulative(bounds, [0, 0, 0, 0, 0], 0), 0.5)).toBeNull();
    expect(quantile(cumulative(bounds, [0, 10, 0, 0, 0], 15), 0.5)).toBeCloseTo(1.5);
    expect(quantile(cumulative(bounds, [0, 0, 0, 0, 3], 99), 0.99)).toBe(8);
    expect(quantile(cumulative(bounds, [4, 0, 0, 4, 0], 9), 0.5)).toBe(1);
    fc.assert(
      fc.property(
        fc.array(fc.double({ min: 0, max: 8, noNaN: true }), { minLength: 1 }),
        fc.double({ min: 0.01, max: 1, noNaN: true }),
        (values, fraction) => {
          const counts = Array.from({ length: 5 }, () => 0);
          for (const value of values) counts[bucketOf(bounds, value)] = (counts[bucketOf(bounds, value)] ?? 0) + 1;
          const sorted = values.toSorted((a, b) => a - b);
          const exact = sorted[Math.min(values.length - 1, Math.ceil(fraction * values.length) - 1)] ?? 0;
          const told = quantile(cumulative(bounds, counts, 0), fraction) ?? -1;
          const bucket = bucketOf(bounds, exact);
          expect(told).toBeGreaterThanOrEqual(bounds[bucket - 1] ?? 0);
          expect(told).toBeLessThanOrEqual((bounds[bucket] ?? 0) + 1e-9);
        },
      ),
    );
  });
});

test("a buffer of something else is refused", () => {
  expect(() => WorkerStats.attach(new SharedArrayBuffer(1024))).toThrow("holds no worker statistics");
});
