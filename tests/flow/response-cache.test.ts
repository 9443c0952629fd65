import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { defaultsOf } from "../../src/base/settings-reading.ts";
import { ResponseCache, cacheKey, cacheSettings } from "../../src/flow/response-cache.ts";
import type { Begun, CacheConfig, Flight } from "../../src/flow/response-cache.ts";

const key = (...parts: string[]): Uint8Array => cacheKey(parts.map((part) => Buffer.from(part)));
const body = (length: number, fill = 7): Uint8Array => new Uint8Array(length).fill(fill);

function cacheOf(changes: Partial<CacheConfig> = {}): ResponseCache<string> {
  return new ResponseCache<string>({ ...defaultsOf(cacheSettings), enabled: true, ...changes }, 99);
}

function flightOf(begun: Begun<string>, kind: "lead" | "wait" = "lead"): Flight<string> {
  expect(begun.kind).toBe(kind);
  if (begun.kind !== "lead" && begun.kind !== "wait") throw new Error("no flight");
  return begun.flight;
}

/** 2^blocks keys with one hash: blocks in a row, each of which has two spellings that lead to the same state. */
function colliding(seed: number, blocks: number): Uint8Array[] {
  let keys: number[][] = [[]];
  let state = 0x811c9dc5 ^ seed;
  for (let block = 0; block < blocks; block++) {
    const seen = new Map<number, number[]>();
    for (let i = 1; i < 1_000_000; i++) {
      const words = [Math.imul(i, 0x9e3779b1), Math.imul(i ^ 0x5bd1e995, 0x85ebca6b)];
      const spelling = words.flatMap((word) => [word & 255, (word >> 8) & 255, (word >> 16) & 255, word >>> 24]);
      const next = spelling.reduce((hash, byte) => Math.imul(hash ^ byte, 0x01000193), state | 0);
      const other = seen.get(next);
      seen.set(next, spelling);
      if (other === undefined) continue;
      keys = keys.flatMap((one) => [
        [...one, ...other],
        [...one, ...spelling],
      ]);
      state = next;
      break;
    }
  }
  return keys.map((one) => Uint8Array.from(one));
}

/** Leads and settles at once. */
function store(cache: ResponseCache<string>, name: string, length: number, nowMs: number): void {
  cache.settle(flightOf(cache.begin(key(name), "leader", nowMs)), "application/json", body(length), nowMs);
}

const kindOf = (cache: ResponseCache<string>, name: string, nowMs: number) => {
  const begun = cache.begin(key(name), "w", nowMs);
  if (begun.kind === "lead") cache.fail(begun.flight);
  return begun.kind;
};

describe("keys", () => {
  test("parts don't run into each other", () => {
    const lists = [["a", "bc"], ["ab", "c"], ["abc"], ["abc", ""], ["", "abc"], []];
    const keys = lists.map((parts) => Buffer.from(key(...parts)).toString("hex"));
    expect(new Set(keys).size).toBe(lists.length);
  });
});

describe("answers", () => {
  test("one is used until it is too old, and then replaced", () => {
    const cache = cacheOf({ ttlMs: 1000 });
    const flight = flightOf(cache.begin(key("a"), "one", 0));
    const { answer, waiters } = cache.settle(flight, "application/json", body(3), 10);
    expect(waiters).toEqual([]);
    expect(answer).toEqual({ contentType: "application/json", body: body(3), storedMs: 10 });
    expect(cache.begin(key("a"), "two", 1009)).toEqual({ kind: "hit", answer });
    expect(cache.size).toBe(1);
    flightOf(cache.begin(key("a"), "three", 1010));
    expect([cache.size, cache.bytes]).toEqual([0, 0]);
  });

  test("an answer to another key is never given, though its hash be the same", () => {
    const keys = colliding(99, 4);
    const cache = cacheOf({ bytesMax: 1 << 30 });
    for (const one of keys) cache.settle(flightOf(cache.begin(one, "w", 0)), "t", one, 0);
    // A chain is bounded: the first eight made room for the last eight.
    expect(cache.size).toBe(8);
    keys.forEach((one, index) => {
      const begun = cache.begin(one, "w", 1);
      expect(begun.kind === "hit").toBe(index >= 8);
      if (begun.kind === "hit") expect(begun.answer.body).toBe(one);
    });
  });

  test("as many flights as a chain may hold, and no more", () => {
    const keys = colliding(99, 4);
    const cache = cacheOf();
    const begun = keys.map((one) => cache.begin(one, "w", 0));
    expect(begun.map(({ kind }) => kind as string)).toEqual(keys.map((_, index) => (index < 8 ? "lead" : "pass")));
    for (const one of begun.slice(0, 8)) cache.fail(flightOf(one));
    flightOf(cache.begin(keys[15] as Uint8Array, "w", 1));
  });

  test("the one used longest ago makes room", () => {
    const cache = cacheOf({ bytesMax: 3 * 1400 });
    for (const name of ["a", "b", "c"]) store(cache, name, 1000, 0);
    expect(cache.size).toBe(3);
    expect(kindOf(cache, "a", 1)).toBe("hit");
    store(cache, "d", 1000, 2);
    expect(["a", "b", "c", "d"].map((name) => kindOf(cache, name, 3))).toEqual(["hit", "lead", "hit", "hit"]);
    store(cache, "e", 3500, 4);
    expect(cache.size).toBe(1);
    expect(kindOf(cache, "e", 5)).toBe("hit");
  });

  test("what is too long is given to those that wait, but not kept", () => {
    const cache = cacheOf({ entryBytesMax: 1024 });
    const flight = flightOf(cache.begin(key("a"), "one", 0));
    flightOf(cache.begin(key("a"), "two", 0), "wait");
    expect(cache.settle(flight, "t", body(2000), 1).waiters).toEqual(["two"]);
    expect([cache.size, kindOf(cache, "a", 2)]).toEqual([0, "lead"]);
    expect(kindOf(cache, "x".repeat(1024), 3)).toBe("pass");
  });

  test("all are forgotten at once", () => {
    const cache = cacheOf();
    const flight = flightOf(cache.begin(key("f"), "w", 0));
    store(cache, "a", 10, 0);
    cache.clear();
    expect([cache.size, cache.bytes, kindOf(cache, "a", 1)]).toEqual([0, 0, "lead"]);
    cache.settle(flight, "t", body(1), 2);
    expect(kindOf(cache, "f", 3)).toBe("hit");
  });
});

describe("single flight", () => {
  test("one leads, the others wait and are told", () => {
    const cache = cacheOf();
    const flight = flightOf(cache.begin(key("a"), "one", 0));
    expect(flightOf(cache.begin(key("a"), "two", 1), "wait")).toBe(flight);
    flightOf(cache.begin(key("a"), "three", 2), "wait");
    flightOf(cache.begin(key("b"), "other", 2));
    expect(cache.settle(flight, "t", body(5), 3).waiters).toEqual(["two", "three"]);
    expect(kindOf(cache, "a", 4)).toBe("hit");
    expect(() => cache.settle(flight, "t", body(5), 5)).toThrow("ended twice");
    expect(() => cache.fail(flight)).toThrow("ended twice");
  });

  test("a leader that fails lets the others go, and the next one leads", () => {
    const cache = cacheOf();
    const flight = flightOf(cache.begin(key("a"), "one", 0));
    flightOf(cache.begin(key("a"), "two", 1), "wait");
    expect(cache.fail(flight)).toEqual(["two"]);
    expect(cache.size).toBe(0);
    flightOf(cache.begin(key("a"), "four", 2));
  });

  test("one that waits may leave", () => {
    const cache = cacheOf();
    const flight = flightOf(cache.begin(key("a"), "one", 0));
    flightOf(cache.begin(key("a"), "two", 1), "wait");
    expect(cache.leave(flight, "two")).toBe(true);
    expect(cache.leave(flight, "two")).toBe(false);
    expect(cache.fail(flight)).toEqual([]);
  });

  test("nobody waits too long, nor for a leader that already took too long", () => {
    const cache = cacheOf({ waitMs: 100 });
    const flight = flightOf(cache.begin(key("a"), "one", 0));
    flightOf(cache.begin(key("a"), "two", 50), "wait");
    expect(cache.expire(99)).toEqual([]);
    expect(cache.expire(100)).toEqual(["two"]);
    expect(cache.expire(101)).toEqual([]);
    expect(cache.begin(key("a"), "three", 102).kind).toBe("pass");
    expect(cache.settle(flight, "t", body(1), 103).waiters).toEqual([]);
    expect(kindOf(cache, "a", 104)).toBe("hit");
  });

  test("waiters are bounded", () => {
    const cache = cacheOf();
    flightOf(cache.begin(key("a"), "one", 0));
    for (let i = 0; i < 4096; i++) expect(cache.begin(key("a"), "w", 1).kind).toBe("wait");
    expect(cache.begin(key("a"), "w", 1).kind).toBe("pass");
  });
});

test("against a plain model: bounds hold, hits are right, everyone is told once", () => {
  const step = fc.record({
    name: fc.constantFrom("a", "b", "c", "d", "e"),
    action: fc.constantFrom("begin", "settle", "fail", "leave", "expire"),
    length: fc.nat(1500),
    ms: fc.nat(300),
  });
  fc.assert(
    fc.property(fc.array(step, { maxLength: 60 }), (steps) => {
      const config = { ttlMs: 1000, waitMs: 500, bytesMax: 3000, entryBytesMax: 1400 };
      const cache = cacheOf(config);
      const flights = new Map<string, Flight<string>>();
      const waiting = new Map<string, Flight<string>>();
      const latest = new Map<string, { value: Uint8Array; at: number }>();
      let nowMs = 0;
      let count = 0;
      const told = (names: string[]) => {
        for (const name of names) expect(waiting.delete(name)).toBe(true);
      };
      for (const { name, action, length, ms } of steps) {
        nowMs += ms;
        const flight = flights.get(name);
        if (action === "begin") {
          const waiter = `w${count++}`;
          const begun = cache.begin(key(name), waiter, nowMs);
          if (begun.kind === "hit") {
            const last = latest.get(name);
            expect(begun.answer.body).toBe(last?.value as Uint8Array);
            expect(nowMs - (last?.at ?? -Infinity)).toBeLessThan(config.ttlMs);
          } else if (begun.kind === "lead") {
            expect(flight).toBeUndefined();
            flights.set(name, begun.flight);
          } else if (begun.kind === "wait") {
            expect(begun.flight).toBe(flight as Flight<string>);
            waiting.set(waiter, begun.flight);
          }
        } else if (action === "settle" && flight !== undefined) {
          flights.delete(name);
          const value = body(length, count++);
          latest.set(name, { value, at: nowMs });
          told(cache.settle(flight, "t", value, nowMs).waiters);
        } else if (action === "fail" && flight !== undefined) {
          flights.delete(name);
          told(cache.fail(flight));
        } else if (action === "leave") {
          const [one] = waiting;
          if (one !== undefined) expect(cache.leave(one[1], one[0])).toBe(waiting.delete(one[0]));
        } else if (action === "expire") {
          told(cache.expire(nowMs));
        }
        expect(cache.bytes).toBeLessThanOrEqual(config.bytesMax);
        expect(cache.bytes === 0).toBe(cache.size === 0);
      }
      for (const flight of flights.values()) told(cache.fail(flight));
      expect(waiting.size).toBe(0);
    }),
    { numRuns: 1000, seed: 5 },
  );
});
