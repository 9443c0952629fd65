import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { Waiter } from "../../src/flow/fair-order.ts";
import { PRIORITIES, Queue } from "../../src/flow/queue.ts";
import type { QueueConfig } from "../../src/flow/settings.ts";

const config: QueueConfig = {
  requestsMax: 1000,
  bufferBytesMax: 1e6,
  waitMsMax: 10_000,
  rateWindowMs: 10_000,
  retryAfterMsMax: 60_000,
};

interface Wish {
  readonly tenant?: string;
  readonly weight?: number;
  readonly priority?: number;
  readonly tokens?: number;
  readonly bytes?: number;
  readonly deadlineMs?: number;
}

let made = 0;

function waiter(wish: Wish = {}): Waiter<string> {
  return Object.assign(new Waiter(`${wish.tenant ?? ""}${made++}`), wish);
}

/** Offers that all are taken in. */
function filled(wishes: readonly Wish[], settings = config, nowMs = 0) {
  const queue = new Queue<string>(settings);
  const waiters = wishes.map((wish) => waiter(wish));
  for (const each of waiters) expect(queue.offer(each, nowMs).refusal).toBeNull();
  return { queue, waiters };
}

/** Takes what comes next, up to so many. */
function taken(queue: Queue<string>, count = Infinity, nowMs = 0): Waiter<string>[] {
  const all: Waiter<string>[] = [];
  for (let next = queue.next(); next !== null && all.length < count; next = queue.next()) {
    queue.take(next, nowMs);
    all.push(next);
  }
  return all;
}

const many = (count: number, wish: Wish): Wish[] => Array.from({ length: count }, () => wish);

describe("the order", () => {
  test("priorities come strictly one after the other", () => {
    const { queue } = filled([3, 1, 2, 0, 1, 3].map((priority) => ({ priority, tenant: `p${priority}` })));
    expect(taken(queue).map(({ priority }) => priority)).toEqual([0, 1, 1, 2, 3, 3]);
    expect(queue.next()).toBeNull();
  });

  test("within a tenant the earliest deadline comes first, and without deadlines the first that came", () => {
    const { queue } = filled([{}, { deadlineMs: 9000 }, { deadlineMs: 500 }, { deadlineMs: 700 }]);
    queue.offer(waiter({ tokens: 7 }), 1);
    expect(taken(queue).map(({ deadlineMs, tokens }) => (deadlineMs === Infinity ? tokens : deadlineMs))).toEqual([
      500, 700, 9000, 1, 7,
    ]);
  });

  test("what is next stays there until it is taken", () => {
    const { queue, waiters } = filled([{ tenant: "a" }, { tenant: "a" }]);
    expect([queue.next(), queue.next()]).toEqual([waiters[0]!, waiters[0]!]);
    queue.take(waiters[0]!, 0);
    expect(waiters.map(({ waiting }) => waiting)).toEqual([false, true]);
  });

  test("tenants get tokens in the ratio of their weights", () => {
    const { queue } = filled([
      ...many(200, { tenant: "a", weight: 1, tokens: 10 }),
      ...many(200, { tenant: "b", weight: 3, tokens: 10 }),
    ]);
    const served = taken(queue, 100).map(({ tenant }) => tenant);
    expect(served.filter((tenant) => tenant === "b").length).toBe(75);
  });

  test("one with short requests is not behind one with long ones", () => {
    const { queue } = filled([...many(50, { tenant: "a", tokens: 1000 }), ...many(50, { tenant: "b", tokens: 10 })]);
    expect(taken(queue, 52).filter(({ tenant }) => tenant === "b").length).toBe(50);
  });

  test("one who comes late is served at once, and gains nothing for the time when it did not wait", () => {
    const { queue } = filled(many(300, { tenant: "a", tokens: 10 }));
    taken(queue, 100);
    for (const each of many(100, { tenant: "b", tokens: 10 })) queue.offer(waiter(each), 0);
    const served = taken(queue, 100).map(({ tenant }) => tenant);
    expect(served.slice(0, 2)).toContain("b");
    expect(served.filter((tenant) => tenant === "b").length).toBe(50);
  });

  test("one who leaves after being served and comes back at once has not gained by it", () => {
    const { queue } = filled(many(100, { tenant: "a", tokens: 10 }));
    let served = 0;
    for (let round = 0; round < 60; round++) {
      const returning = waiter({ tenant: "b", tokens: 10 });
      queue.offer(returning, 0);
      const [first] = taken(queue, 1);
      if (first === returning) served++;
      else queue.remove(returning, 0);
    }
    expect(served).toBe(30);
  });

  test("names that are used once don't fill the memory", () => {
    const { queue, waiters } = filled([{ tenant: "steady", tokens: 1e6 }, { tenant: "steady" }]);
    const order = waiters[0]!.flow!.order;
    for (let name = 0; name < 5000; name++) {
      queue.offer(waiter({ tenant: `once${name}`, tokens: 1000 }), 0);
      taken(queue, 1);
    }
    expect(order.tenants).toBeLessThan(1100);
    taken(queue);
    expect(order.tenants).toBe(0);
  });

  test("two tenants that always wait differ by no more than a request of each", () => {
    const tokens = fc.integer({ min: 1, max: 5000 });
    const weight = fc.integer({ min: 1, max: 8 });
    const sizes = fc.array(tokens, { minLength: 2, maxLength: 60 });
    fc.assert(
      fc.property(sizes, sizes, weight, weight, (a, b, weightA, weightB) => {
        const { queue } = filled([
          ...a.map((size) => ({ tenant: "a", weight: weightA, tokens: size })),
          ...b.map((size) => ({ tenant: "b", weight: weightB, tokens: size })),
        ]);
        const bound = Math.max(...a) / weightA + Math.max(...b) / weightB;
        const left = { a: a.length, b: b.length };
        const got = { a: 0, b: 0 };
        while (left.a > 0 && left.b > 0) {
          const [one] = taken(queue, 1);
          const tenant = one!.tenant as "a" | "b";
          got[tenant] += one!.tokens / (tenant === "a" ? weightA : weightB);
          left[tenant]--;
          expect(Math.abs(got.a - got.b)).toBeLessThanOrEqual(bound + 1e-6);
        }
      }),
      { seed: 4, numRuns: 300 },
    );
  });
});

test("in any course of events the next tenant is the one that start-time fair queueing names", () => {
  const weights = { a: 1, b: 2, c: 0.25, d: 1 };
  const tenant = fc.constantFrom("a", "b", "c", "d");
  const step = fc.record({ take: fc.boolean(), gone: fc.boolean(), tenant, tokens: fc.integer({ min: 1, max: 999 }) });
  fc.assert(
    fc.property(fc.array(step, { maxLength: 200 }), (course) => {
      const queue = new Queue<string>(config);
      const inside: Waiter<string>[] = [];
      // The plain reading of it: a start for each tenant, and the virtual time.
      let starts: Record<string, number> = {};
      let virtual = 0;
      const waits = (name: string): boolean => inside.some((each) => each.tenant === name);
      const earliest = (): number => Math.min(...inside.map((each) => starts[each.tenant] ?? Number.NaN));
      for (const { take, gone, ...wish } of course) {
        const next = queue.next();
        if (take && next !== null) {
          virtual = Math.max(virtual, earliest());
          starts[next.tenant] = (starts[next.tenant] ?? 0) + next.tokens / next.weight;
          queue.take(next, 0);
          inside.splice(inside.indexOf(next), 1);
        } else if (take && gone && inside.length > 0) {
          queue.remove(inside.shift()!, 0);
        } else if (!take) {
          if (!waits(wish.tenant)) starts[wish.tenant] = Math.max(starts[wish.tenant] ?? 0, virtual);
          const newcomer = waiter({ ...wish, weight: weights[wish.tenant] });
          expect(queue.offer(newcomer, 0).refusal).toBeNull();
          inside.push(newcomer);
        }
        if (inside.length > 0) expect(starts[queue.next()!.tenant]).toBeCloseTo(earliest(), 6);
        else [starts, virtual] = [{}, 0];
      }
    }),
    { seed: 4, numRuns: 500 },
  );
});

describe("the end of a wait", () => {
  test("comes with the deadline or the longest wait, whichever is first, and in that order", () => {
    const { queue, waiters } = filled([
      { tenant: "a" },
      { tenant: "b", deadlineMs: 300 },
      { priority: 3, deadlineMs: 100 },
    ]);
    expect([queue.wakeAtMs, queue.expire(99)]).toEqual([100, null]);
    expect(queue.expire(400)).toBe(waiters[2]!);
    expect([queue.wakeAtMs, queue.expire(400), queue.expire(400)]).toEqual([300, waiters[1]!, null]);
    expect([queue.wakeAtMs, queue.expire(10_000), queue.wakeAtMs]).toEqual([10_000, waiters[0]!, Infinity]);
  });

  test("a client that goes away is out at once, and only once", () => {
    const { queue, waiters } = filled([{ tenant: "a" }, { tenant: "a", bytes: 7 }, { tenant: "a" }]);
    expect([queue.remove(waiters[1]!, 0), queue.remove(waiters[1]!, 0)]).toEqual([true, false]);
    expect([queue.requests, queue.tokens, queue.bytes]).toEqual([2, 2, 0]);
    expect(taken(queue)).toEqual([waiters[0]!, waiters[2]!]);
  });

  test("a request can wait again, but not twice at once", () => {
    const { queue, waiters } = filled([{}]);
    expect(() => queue.offer(waiters[0]!, 0)).toThrow("waiting already");
    taken(queue);
    expect(() => queue.take(waiters[0]!, 0)).toThrow("does not wait here");
    expect(queue.offer(waiters[0]!, 0).refusal).toBeNull();
  });

  test("a priority that there is not is a bug", () => {
    expect(() => new Queue<string>(config).offer(waiter({ priority: 4 }), 0)).toThrow("no priority 4");
    expect(() => new Queue<string>(config).offer(waiter({ tokens: 0 }), 0)).toThrow("tokens");
  });
});

describe("a full room", () => {
  const small = { ...config, requestsMax: 4, bufferBytesMax: 100 };

  test("refuses one of the lowest priority that waits there", () => {
    const { queue } = filled(many(4, { priority: 2 }), small);
    expect(queue.offer(waiter({ priority: 2 }), 0)).toMatchObject({
      refusal: "full",
      retryAfterSeconds: 1,
      pushedOut: [],
    });
    expect(queue.offer(waiter({ priority: 3 }), 0).refusal).toBe("full");
    expect(queue.requests).toBe(4);
  });

  test("pushes the youngest of the lowest priority out for a higher one", () => {
    const { queue, waiters } = filled([{ priority: 3 }, { priority: 2 }, { priority: 3 }, { priority: 2 }], small);
    const first = queue.offer(waiter({ priority: 1 }), 0);
    expect([first.refusal, first.pushedOut]).toEqual([null, [waiters[2]!]]);
    expect(queue.offer(waiter({ priority: 1 }), 0).pushedOut).toEqual([waiters[0]!]);
    expect(queue.offer(waiter({ priority: 1 }), 0).pushedOut).toEqual([waiters[3]!]);
    expect([queue.requests, waiters.map(({ waiting }) => waiting)]).toEqual([4, [false, true, false, false]]);
  });

  test("makes place in bytes by as many as it takes, or by none", () => {
    const { queue, waiters } = filled(many(3, { priority: 3, bytes: 30 }), small);
    expect(queue.offer(waiter({ priority: 0, bytes: 101 }), 0)).toMatchObject({ refusal: "full", pushedOut: [] });
    expect(queue.offer(waiter({ priority: 0, bytes: 60 }), 0).pushedOut).toEqual([waiters[2]!, waiters[1]!]);
    expect([queue.requests, queue.bytes]).toEqual([2, 90]);
  });

  test("a tenant that has most waiting makes place for one that has less", () => {
    const { queue, waiters } = filled(many(4, { tenant: "flood", tokens: 10 }), small);
    expect(queue.offer(waiter({ tenant: "flood", tokens: 10 }), 0).refusal).toBe("full");
    expect(queue.offer(waiter({ tenant: "b", tokens: 10 }), 0).pushedOut).toEqual([waiters[3]!]);
    // With two each there is nobody who has more.
    expect(queue.offer(waiter({ tenant: "b", tokens: 10 }), 0).pushedOut).toEqual([waiters[2]!]);
    expect(queue.offer(waiter({ tenant: "b", tokens: 10 }), 0).refusal).toBe("full");
    expect(queue.offer(waiter({ tenant: "c", tokens: 10, bytes: 101 }), 0).refusal).toBe("full");
  });
});

describe("the predicted wait", () => {
  /** A queue that serves 100 tokens each 100 ms, and has that many tokens waiting of each tenant. */
  function steady(backlog: number, tenants: readonly string[], settings = config) {
    const { queue } = filled(many(20, { tenant: "x", tokens: 100, priority: 0 }), settings);
    for (let now = 100; now <= 2000; now += 100) taken(queue, 1, now);
    expect(queue.requests).toBe(0);
    for (const tenant of tenants)
      for (const each of many(backlog / 100, { tenant, tokens: 100 })) queue.offer(waiter(each), 2000);
    return queue;
  }

  test("is what is ahead, at the rate at which the queue is served", () => {
    const queue = steady(3000, ["a"]);
    expect(queue.predictedWaitMs(waiter({ tenant: "a", tokens: 100 }), 2000)).toBeCloseTo(3000, 6);
    // A new tenant shares with the other: it waits for about as much as it brings.
    expect(queue.predictedWaitMs(waiter({ tenant: "b", tokens: 100 }), 2000)).toBeCloseTo(100, 6);
    expect(queue.predictedWaitMs(waiter({ tenant: "b", tokens: 1e6 }), 2000)).toBeCloseTo(3000, 6);
    // A higher priority waits for nobody, a lower one for all.
    expect(queue.predictedWaitMs(waiter({ tenant: "b", priority: 0 }), 2000)).toBe(0);
    expect(queue.predictedWaitMs(waiter({ tenant: "b", priority: 2 }), 2000)).toBeCloseTo(3000, 6);
  });

  test("beyond the longest wait, or one's own deadline, is a refusal with the time after which to come again", () => {
    const queue = steady(10_000, ["a"]);
    expect(queue.offer(waiter({ tenant: "a", tokens: 100 }), 2000).refusal).toBeNull();
    const refused = queue.offer(waiter({ tenant: "a", tokens: 100 }), 2000);
    expect(refused).toMatchObject({ refusal: "wait", retryAfterSeconds: 11 });
    expect(refused.waitMs).toBeCloseTo(10_100, 6);
    expect(queue.offer(waiter({ tenant: "a", deadlineMs: 7000 }), 2000)).toMatchObject({ refusal: "deadline" });
    expect(queue.offer(waiter({ tenant: "b", deadlineMs: 7000 }), 2000).refusal).toBeNull();
    expect(queue.retryAfterSeconds(waiter({ tenant: "a", tokens: 100 }), 2000)).toBe(11);
  });

  test("is 0 while nothing waits, whatever was, and one whose deadline is over is refused all the same", () => {
    const queue = steady(0, []);
    expect(queue.offer(waiter({ deadlineMs: 1e9 }), 1e8)).toMatchObject({ refusal: null, waitMs: 0 });
    expect(queue.offer(waiter({ deadlineMs: 1e8 }), 1e8).refusal).toBe("deadline");
  });

  test("grows while nothing is served, and what was known is forgotten when all had to leave unserved", () => {
    const queue = steady(1000, ["a"]);
    const later = queue.predictedWaitMs(waiter({ tenant: "a" }), 9000);
    expect(later).toBeGreaterThan(4000);
    expect(later).toBeLessThan(6000);
    while (queue.expire(12_000) !== null);
    expect(queue.requests).toBe(0);
    for (const each of many(900, { tenant: "a", tokens: 1000 }))
      expect(queue.offer(waiter(each), 12_000)).toMatchObject({ refusal: null, waitMs: 0 });
  });

  test("follows a change of the rate", () => {
    const queue = steady(0, []);
    for (const each of many(900, { tenant: "a", tokens: 1 })) queue.offer(waiter(each), 2000);
    for (let now = 2100; now <= 62_000; now += 100) {
      while (queue.expire(now) !== null);
      queue.offer(waiter({ tenant: "a", tokens: 10, deadlineMs: 1e9 }), now);
      taken(queue, 1, now);
    }
    for (const each of many(50, { tenant: "a", tokens: 10 })) queue.offer(waiter(each), 62_000);
    const wait = queue.predictedWaitMs(waiter({ tenant: "a" }), 62_000);
    expect(wait).toBeGreaterThan((queue.tokens / 110) * 1000);
  });

  test("of a rate that is hardly known is 0", () => {
    const { queue } = filled(many(20, { tenant: "a", tokens: 100 }));
    taken(queue, 7, 5000);
    expect(queue.predictedWaitMs(waiter({ tenant: "a" }), 5000)).toBe(0);
    taken(queue, 1, 5000);
    expect(queue.predictedWaitMs(waiter({ tenant: "a" }), 5000)).toBeGreaterThan(0);
  });
});

describe("any course of events", () => {
  const wish = fc.record({
    tenant: fc.constantFrom("a", "b", "c", "d"),
    priority: fc.nat(PRIORITIES - 1),
    tokens: fc.integer({ min: 1, max: 500 }),
    bytes: fc.nat(60),
    weight: fc.constantFrom(1, 1, 0.5, 3),
    forMs: fc.constantFrom(50, 500, 5000, Infinity),
  });
  const step = fc.record({
    afterMs: fc.nat(200),
    what: fc.constantFrom("offer", "offer", "offer", "take", "remove", "expire"),
    which: fc.nat(20),
    wish,
  });

  test("bounds hold, the order holds, and every request leaves exactly once", () => {
    const settings = { ...config, requestsMax: 12, bufferBytesMax: 400, waitMsMax: 1500 };
    fc.assert(
      fc.property(fc.array(step, { maxLength: 150 }), (course) => {
        const queue = new Queue<string>(settings);
        const inside = new Set<Waiter<string>>();
        let now = 0;
        const sum = (of: (each: Waiter<string>) => number) => [...inside].reduce((total, each) => total + of(each), 0);
        const check = () => {
          expect([queue.requests, queue.tokens, queue.bytes]).toEqual([
            inside.size,
            sum(({ tokens }) => tokens),
            sum(({ bytes }) => bytes),
          ]);
          expect(inside.size).toBeLessThanOrEqual(settings.requestsMax);
          expect(queue.bytes).toBeLessThanOrEqual(settings.bufferBytesMax);
          expect(queue.wakeAtMs).toBe(Math.min(Infinity, ...[...inside].map(({ heapKey }) => heapKey)));
          for (const each of inside) expect(each.waiting).toBe(true);
          const next = queue.next();
          expect(next === null).toBe(inside.size === 0);
          if (next === null) return;
          for (const each of inside) {
            expect(each.priority).toBeGreaterThanOrEqual(next.priority);
            if (each.priority === next.priority && each.tenant === next.tenant)
              expect(each.heapKey).toBeGreaterThanOrEqual(next.heapKey);
          }
        };
        for (const {
          afterMs,
          what,
          which,
          wish: { forMs, ...rest },
        } of course) {
          now += afterMs;
          if (what === "offer") {
            const newcomer = waiter({ ...rest, deadlineMs: now + forMs });
            const { refusal, waitMs, retryAfterSeconds, pushedOut } = queue.offer(newcomer, now);
            for (const out of pushedOut) {
              expect([inside.delete(out), out.waiting]).toEqual([true, false]);
              expect(out.priority).toBeGreaterThanOrEqual(newcomer.priority);
            }
            if (refusal === null) {
              inside.add(newcomer);
              expect(waitMs).toBeLessThanOrEqual(settings.waitMsMax);
            } else expect([newcomer.waiting, pushedOut.length]).toEqual([false, 0]);
            expect(retryAfterSeconds).toBeGreaterThanOrEqual(1);
            expect(retryAfterSeconds).toBeLessThanOrEqual(60);
          } else if (what === "take") {
            const next = queue.next();
            if (next !== null) {
              queue.take(next, now);
              inside.delete(next);
            }
          } else if (what === "remove") {
            const gone = [...inside][which % Math.max(1, inside.size)];
            if (gone !== undefined) {
              expect(queue.remove(gone, now)).toBe(true);
              inside.delete(gone);
            }
          } else {
            for (let over = queue.expire(now); over !== null; over = queue.expire(now)) {
              expect(over.heapKey).toBeLessThanOrEqual(now);
              expect(inside.delete(over)).toBe(true);
            }
            for (const each of inside) expect(each.heapKey).toBeGreaterThan(now);
          }
          check();
        }
        now += settings.waitMsMax;
        while (queue.expire(now) !== null);
        expect([queue.requests, queue.tokens, queue.bytes, queue.wakeAtMs]).toEqual([0, 0, 0, Infinity]);
      }),
      { seed: 4, numRuns: 400 },
    );
  });
});
