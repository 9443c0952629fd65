import { expect, test } from "bun:test";
import fc from "fast-check";
import { defaultsOf } from "../../src/base/settings-reading.ts";
import { RateLimit } from "../../src/flow/rate-limit.ts";
import { type LimitConfig, flowSettings } from "../../src/flow/settings.ts";

const config: LimitConfig = {
  requestsPerSecond: 2,
  requestsBurst: 5,
  tokensPerSecond: 100,
  tokensBurst: 1000,
  clientsMax: 3,
};

/** How many requests of so many tokens pass at once. */
function passed(limit: RateLimit, key: string, tokens: number, atMs: number): number {
  let count = 0;
  while (count < 100 && limit.allow(key, tokens, atMs) === 0) count++;
  return count;
}

test("by default nothing is limited, and nobody remembered", () => {
  const limit = new RateLimit(defaultsOf(flowSettings).limit);
  expect([limit.enabled, passed(limit, "a", 1e9, 0), limit.clients]).toEqual([false, 100, 0]);
});

test("requests pass up to the burst, then at the rate, each client for itself", () => {
  const limit = new RateLimit(config);
  expect([passed(limit, "a", 0, 0), passed(limit, "b", 0, 0)]).toEqual([5, 5]);
  expect(limit.allow("a", 0, 0)).toBe(500);
  expect([limit.allow("a", 0, 300), limit.allow("a", 0, 500), limit.allow("a", 0, 501)]).toEqual([200, 0, 499]);
  expect(passed(limit, "a", 0, 60_000)).toBe(5);
});

test("tokens are limited as well, and a request that is refused for them costs none of its requests", () => {
  const limit = new RateLimit(config);
  expect(limit.allow("a", 1000, 0)).toBe(0);
  for (let tries = 0; tries < 10; tries++) expect(limit.allow("a", 100, 0)).toBe(1000);
  expect(passed(limit, "a", 0, 0)).toBe(4);
});

test("either may be without a limit", () => {
  expect(passed(new RateLimit({ ...config, requestsPerSecond: 0 }), "a", 100, 0)).toBe(10);
  expect(passed(new RateLimit({ ...config, tokensPerSecond: 0 }), "a", 1e9, 0)).toBe(5);
});

test("a request that is larger than the burst passes when the bucket is full, and is waited off after", () => {
  const limit = new RateLimit(config);
  expect(limit.allow("a", 3000, 0)).toBe(0);
  expect(limit.allow("a", 1, 0)).toBe(20_010);
  expect(limit.allow("a", 3000, 0)).toBe(30_000);
  expect([limit.allow("a", 3000, 29_999), limit.allow("a", 3000, 30_000)]).toEqual([1, 0]);
});

test("the client that was silent longest is forgotten for a new one", () => {
  const limit = new RateLimit(config);
  for (const key of ["a", "b", "c"]) expect(passed(limit, key, 0, 0)).toBe(5);
  limit.allow("a", 0, 0);
  expect([passed(limit, "d", 0, 0), limit.clients]).toEqual([5, 3]);
  expect([passed(limit, "a", 0, 0), passed(limit, "c", 0, 0), passed(limit, "d", 0, 0)]).toEqual([0, 0, 0]);
  expect([passed(limit, "b", 0, 0), limit.clients]).toEqual([5, 3]);
  expect(passed(limit, "a", 0, 0)).toBe(5);
});

test("one client alone may be remembered", () => {
  const limit = new RateLimit({ ...config, clientsMax: 1 });
  expect(["a", "b", "a"].map((key) => passed(limit, key, 0, 0))).toEqual([5, 5, 5]);
  expect([passed(limit, "a", 0, 0), limit.clients]).toEqual([0, 1]);
});

test("a clock that steps back gives nothing away", () => {
  const limit = new RateLimit(config);
  expect([passed(limit, "a", 0, 1000), passed(limit, "a", 0, 0), passed(limit, "a", 0, 1000)]).toEqual([5, 0, 0]);
});

test("no client ever gets more than its burst and its rate, and what it is told to wait is enough and not too much", () => {
  const asks = fc.array(fc.record({ afterMs: fc.nat(3000), key: fc.constantFrom("a", "b"), tokens: fc.nat(800) }));
  fc.assert(
    fc.property(asks, (course) => {
      const limit = new RateLimit(config);
      const got = { a: { requests: 0, tokens: 0 }, b: { requests: 0, tokens: 0 } };
      let now = 0;
      for (const { afterMs, key, tokens } of course) {
        now += afterMs;
        const waitMs = limit.allow(key, tokens, now);
        if (waitMs > 1) {
          expect(limit.allow(key, tokens, now + waitMs - 2)).toBeGreaterThan(0);
          expect(limit.allow(key, tokens, now + waitMs)).toBe(0);
          now += waitMs;
        } else if (waitMs > 0) continue;
        const mine = got[key];
        mine.requests++;
        mine.tokens += tokens;
        expect(mine.requests).toBeLessThanOrEqual(
          config.requestsBurst + (config.requestsPerSecond * now) / 1000 + 1e-6,
        );
        expect(mine.tokens).toBeLessThanOrEqual(config.tokensBurst + (config.tokensPerSecond * now) / 1000 + 1e-6);
      }
    }),
    { seed: 4, numRuns: 300 },
  );
});

test("of any clients those that asked last are remembered", () => {
  const keys = fc.array(fc.constantFrom("a", "b", "c", "d", "e", "f", "g"));
  fc.assert(
    fc.property(keys, fc.integer({ min: 1, max: 5 }), (asked, clientsMax) => {
      const limit = new RateLimit({ ...config, clientsMax, requestsBurst: 1 });
      let recent: string[] = [];
      for (const key of asked) {
        expect(limit.allow(key, 0, 0) > 0).toBe(recent.includes(key));
        recent = [key, ...recent.filter((each) => each !== key)].slice(0, clientsMax);
        expect(limit.clients).toBe(recent.length);
      }
    }),
    { seed: 4, numRuns: 300 },
  );
});
