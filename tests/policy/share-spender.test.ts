import { describe, expect, test } from "bun:test";
import { Prng } from "../../src/base/prng.ts";
import { LEASE_MS } from "../../src/policy/ledger.ts";
import { RENEW_MS } from "../../src/policy/share-account.ts";
import { ShareSpender } from "../../src/policy/share-spender.ts";
import type { QuotaSpec } from "../../src/policy/spec.ts";
import type { Grant } from "../../src/policy/want.ts";
import { Told, put } from "./commands.ts";

const QUOTA = "acme/llama";
const QUOTAS = [QUOTA];

function spenderOf(spec: QuotaSpec, holders = 1): ShareSpender {
  const spender = new ShareSpender("r/1/0", holders);
  spender.put(QUOTA, spec);
  return spender;
}

function granted(amounts: Partial<Grant>, serial: number): Grant {
  return {
    holder: "r/1/0",
    quota: QUOTA,
    requests: null,
    tokens: null,
    concurrency: null,
    windowMs: LEASE_MS,
    serial,
    holders: 1,
    ...amounts,
  };
}

/** How many requests pass at once. */
function passed(spender: ShareSpender, nowMs: number, tokens = 0): number {
  let count = 0;
  while (count < 1000 && spender.spend(QUOTAS, tokens, nowMs) === 0) count += 1;
  return count;
}

describe("a spender", () => {
  test("lets everything pass that has no quota", () => {
    const spender = new ShareSpender("r/1/0", 1);
    expect([spender.spend([], 1e9, 0), spender.spend(QUOTAS, 1e9, 0), spender.wakeAtMs]).toEqual([0, 0, Infinity]);
  });

  test("that is alone spends all of the quota from the start; one of many its start", () => {
    expect(passed(spenderOf({ requestsPerSecond: 20 }), 0)).toBe(20);
    expect(passed(spenderOf({ requestsPerSecond: 160 }, 4), 0)).toBe(10);
    expect(passed(spenderOf({ requestsPerSecond: 2 }, 4), 0)).toBe(1);
    expect(passed(spenderOf({ requestsPerSecond: 20, concurrency: 3 }), 0)).toBe(3);
  });

  test("asks at its first request, then every second, with what it wants and used", () => {
    const spender = spenderOf({ requestsPerSecond: 160, tokensPerMinute: 1000 }, 4);
    expect(spender.wants(0)).toEqual([]);
    expect(passed(spender, 100, 3)).toBe(10);
    expect(spender.wakeAtMs).toBe(100);
    expect(spender.wants(100)).toEqual([
      {
        holder: "r/1/0",
        quota: QUOTA,
        requests: 14,
        tokens: 42,
        concurrency: 0,
        used: { requests: 10, tokens: 30, concurrency: 0 },
        holding: 0,
      },
    ]);
    expect([spender.wakeAtMs, spender.wants(200)]).toEqual([100 + RENEW_MS, []]);
    spender.granted([granted({ requests: 25, tokens: 500 }, 1), { ...granted({ requests: 1 }, 9), holder: "other" }]);
    expect(passed(spender, 300)).toBe(15);
    // More is wanted than it asked for: it asks sooner.
    expect(spender.wakeAtMs).toBe(350);
    expect(spender.wants(350)).toMatchObject([{ requests: 33, used: { requests: 25, tokens: 30 }, holding: 1 }]);
    expect(spender.spend(QUOTAS, 3, 400)).toBeGreaterThan(0);
    // The share does not do, and no more is wanted than was asked for.
    expect(spender.wakeAtMs).toBe(350 + RENEW_MS / 2);
  });

  test("asks for all quotas at once that are due soon", () => {
    const spender = spenderOf({ requestsPerSecond: 5 });
    spender.put("a/*", { concurrency: 9 });
    spender.put("b/*", { concurrency: 9 });
    expect([spender.spend(QUOTAS, 0, 0), spender.wants(0).length]).toEqual([0, 1]);
    expect([spender.spend(["a/*"], 0, 300), spender.wants(300).length]).toEqual([0, 1]);
    expect([spender.spend(["b/*"], 0, 600), spender.wants(600).length]).toEqual([0, 2]);
    expect([spender.wakeAtMs, spender.wants(1_299), spender.wants(1_300).length]).toEqual([1_300, [], 3]);
  });

  test("tells which of several quotas refuses", () => {
    const spender = spenderOf({ requestsPerSecond: 1 });
    spender.put("a/*", { requestsPerSecond: 0.1 });
    expect(spender.spend([...QUOTAS, "a/*"], 0, 0)).toBe(0);
    expect(spender.spend([...QUOTAS, "a/*"], 0, 10)).toBeGreaterThan(9_000);
    expect(spender.refusing).toBe("a/*");
    expect(spender.spend(QUOTAS, 0, 20)).toBeGreaterThan(0);
    expect(spender.refusing).toBe(QUOTAS[0]!);
  });

  test("tells when to come again, and counts in no quota what is refused by one", () => {
    const spender = spenderOf({ requestsPerSecond: 5 });
    spender.put("acme/*", { tokensPerMinute: 100 });
    const both = [QUOTA, "acme/*"];
    expect(spender.spend(both, 90, 1_000)).toBe(0);
    expect(spender.spend(both, 20, 1_000)).toBe(62_000);
    expect(passed(spender, 1_000)).toBe(4);
    expect(spender.spend(QUOTAS, 0, 1_500)).toBe(550);
    expect(spender.spend(["acme/*"], 10, 1_500)).toBe(0);
  });

  test("counts what is under way, and tokens that turn out to be more or fewer", () => {
    const spender = spenderOf({ concurrency: 2, tokensPerMinute: 100 });
    expect([1, 2, 3].map(() => spender.spend(QUOTAS, 10, 0))).toEqual([0, 0, RENEW_MS]);
    spender.end(QUOTAS);
    spender.settle(QUOTAS, 70, 0);
    expect(spender.spend(QUOTAS, 11, 0)).toBeGreaterThan(0);
    spender.settle(QUOTAS, -5, 0);
    expect(spender.spend(QUOTAS, 11, 0)).toBe(0);
    for (let times = 0; times < 5; times += 1) spender.end(QUOTAS);
    expect(spender.spend(QUOTAS, 1, 70_000)).toBe(0);
  });

  test("hears no answer that was overtaken", () => {
    const spender = spenderOf({ requestsPerSecond: 100 }, 2);
    spender.spend(QUOTAS, 0, 0);
    spender.wants(0);
    spender.granted([granted({ requests: 7 }, 5)]);
    spender.granted([granted({ requests: 70 }, 4)]);
    expect(passed(spender, 0)).toBe(6);
  });

  test("gives its share back when it is idle, and begins anew", () => {
    const spender = spenderOf({ requestsPerSecond: 100 }, 5);
    spender.spend(QUOTAS, 0, 0);
    spender.wants(0);
    spender.granted([granted({ requests: 50 }, 1)]);
    expect(spender.wants(RENEW_MS)).toMatchObject([{ requests: 2, holding: 1 }]);
    expect(spender.wants(2 * RENEW_MS)).toMatchObject([{ requests: 0, used: { requests: 0 } }]);
    expect(spender.wakeAtMs).toBe(Infinity);
    // The answer to what it asked before is no share any more.
    spender.granted([granted({ requests: 50 }, 2)]);
    expect(passed(spender, 10_000)).toBe(5);
  });

  test("keeps its share while anything is under way", () => {
    const spender = spenderOf({ concurrency: 8 }, 2);
    spender.spend(QUOTAS, 0, 0);
    for (let nowMs = 0; nowMs < 10_000; nowMs += RENEW_MS) {
      expect(spender.wants(nowMs)).toMatchObject([{ concurrency: 2, used: { concurrency: 1 } }]);
    }
    spender.end(QUOTAS);
    expect(spender.wants(10_000)).toMatchObject([{ concurrency: 0, used: { concurrency: 0 } }]);
  });

  test("goes on with its share while nobody answers; who has none takes an even part", () => {
    const spender = spenderOf({ requestsPerSecond: 100 }, 4);
    spender.spend(QUOTAS, 0, 0);
    spender.wants(0);
    spender.granted([granted({ requests: 60 }, 1)]);
    let nowMs = 0;
    for (; nowMs < 600_000; nowMs += 500) {
      expect(spender.spend(QUOTAS, 0, nowMs)).toBe(0);
      spender.wants(nowMs);
    }
    expect(passed(spender, nowMs + 2_000)).toBe(60);

    const fresh = spenderOf({ requestsPerSecond: 100 }, 4);
    expect(passed(fresh, 0)).toBe(6);
    fresh.wants(0);
    expect(passed(fresh, LEASE_MS)).toBe(6);
    expect(passed(fresh, LEASE_MS + 1_200)).toBe(25);
    fresh.granted([]);
    expect(passed(fresh, LEASE_MS + 2_400)).toBe(6);
  });

  test("follows a quota that changes or goes", () => {
    const spender = spenderOf({ requestsPerSecond: 100 }, 2);
    spender.spend(QUOTAS, 0, 0);
    spender.wants(0);
    spender.granted([granted({ requests: 50 }, 1)]);
    spender.put(QUOTA, { requestsPerSecond: 20, concurrency: 100 });
    expect(passed(spender, 2_000)).toBe(10);
    spender.put(QUOTA, { requestsPerSecond: 2.5, concurrency: 100 });
    // What was spent is not forgotten, though the quota is of two seconds now.
    expect(passed(spender, 3_900)).toBe(0);
    expect(spender.spend(QUOTAS, 0, 4_200)).toBe(0);
    spender.put(QUOTA, { concurrency: 200 });
    expect(passed(spender, 4_200)).toBe(25 - 12);
    spender.sync(
      new Map([
        [QUOTA, { concurrency: 208 }],
        ["acme/*", { concurrency: 500 }],
      ]),
    );
    expect([passed(spender, 4_200), spender.spend(["acme/*"], 0, 4_200)]).toEqual([1, 0]);
    spender.sync(new Map());
    expect(passed(spender, 2_000)).toBe(1000);
    spender.put(QUOTA, { requestsPerSecond: 1 });
    spender.delete(QUOTA);
    expect(passed(spender, 2_000)).toBe(1000);
    expect(spender.wants(10_000)).toEqual([]);
  });

  test("counts what was under way before its quota limited that, and what ends of it", () => {
    const spender = spenderOf({ requestsPerSecond: 1_000 });
    for (let times = 0; times < 4; times += 1) expect(spender.spend(QUOTAS, 0, 0)).toBe(0);
    spender.put(QUOTA, { concurrency: 5 });
    expect(passed(spender, 10)).toBe(1);
    for (let times = 0; times < 4; times += 1) spender.end(QUOTAS);
    expect(passed(spender, 20)).toBe(4);
    spender.put(QUOTA, { requestsPerSecond: 1_000 });
    spender.end(QUOTAS);
    spender.put(QUOTA, { concurrency: 5 });
    expect(passed(spender, 30)).toBe(1);
    expect(spender.wants(30)).toMatchObject([{ used: { concurrency: 5 } }]);
  });

  test("spends nothing while there are as many holders as there may be", () => {
    const spender = spenderOf({ requestsPerSecond: 100 }, 4);
    expect(passed(spender, 0)).toBe(6);
    spender.wants(0);
    spender.granted([granted({ requests: 0 }, 0)]);
    expect(passed(spender, 5_000)).toBe(0);
    spender.wants(5_000);
    spender.granted([granted({ requests: 10 }, 1)]);
    expect(passed(spender, 5_000)).toBe(10);
    // It was forgotten, and others have what it had.
    spender.wants(6_000);
    spender.granted([granted({ requests: 0 }, 0)]);
    expect(passed(spender, 7_500)).toBe(0);
  });
});

// ---- several of them, and the store -----------------------------------------------------------------------------------

interface Setting {
  readonly spec: QuotaSpec;
  readonly workers: number;
  /** Requests a second that come to each worker. */
  readonly load: (worker: number, nowMs: number) => number;
  readonly tokens?: number;
  readonly lastsMs?: number;
  readonly isCutOff?: (worker: number, nowMs: number) => boolean;
}

/** Everything that passed, by time and worker, in `seconds` of virtual time. */
function simulate(seed: number, seconds: number, setting: Setting): { atMs: number; worker: number; endMs: number }[] {
  const { spec, workers, load, tokens = 0, lastsMs = 0, isCutOff = () => false } = setting;
  const prng = new Prng(seed);
  const told = new Told();
  told.write([put("quota", QUOTA, spec)], { atMs: 0 });
  const spenders = Array.from({ length: workers }, (_, index) => {
    const spender = new ShareSpender(`r/1/${index}`, workers);
    spender.put(QUOTA, spec);
    return spender;
  });
  const passes: { atMs: number; worker: number; endMs: number }[] = [];
  const ends: { atMs: number; worker: number }[] = [];
  const answers: { atMs: number; worker: number; grants: readonly Grant[] }[] = [];
  for (let nowMs = 10_000; nowMs < 10_000 + seconds * 1000; nowMs += 5) {
    for (
      let due = ends.findIndex(({ atMs }) => atMs <= nowMs);
      due >= 0;
      due = ends.findIndex(({ atMs }) => atMs <= nowMs)
    ) {
      spenders[ends.splice(due, 1)[0]!.worker]!.end(QUOTAS);
    }
    while ((answers[0]?.atMs ?? Infinity) <= nowMs) {
      const { worker, grants } = answers.shift()!;
      spenders[worker]!.granted(grants);
    }
    for (const [worker, spender] of spenders.entries()) {
      if (nowMs >= spender.wakeAtMs) {
        const wants = spender.wants(nowMs);
        if (wants.length > 0 && !isCutOff(worker, nowMs)) {
          answers.push({ atMs: nowMs + 5 + 5 * prng.int(4), worker, grants: told.lease(wants, nowMs).grants });
          answers.sort((a, b) => a.atMs - b.atMs);
        }
      }
      for (let left = load(worker, nowMs) / 200; left > 0; left -= 1) {
        if (prng.next() >= left) continue;
        if (spender.spend(QUOTAS, tokens, nowMs) > 0) continue;
        const endMs = nowMs + lastsMs * (0.5 + prng.next());
        passes.push({ atMs: nowMs, worker, endMs });
        if (spec.concurrency !== undefined) ends.push({ atMs: endMs, worker });
      }
    }
  }
  return passes;
}

/** The most within any period. */
function mostWithin(passes: readonly { atMs: number }[], periodMs: number): number {
  let most = 0;
  for (let first = 0, last = 0; last < passes.length; last += 1) {
    while (passes[first]!.atMs <= passes[last]!.atMs - periodMs) first += 1;
    most = Math.max(most, last - first + 1);
  }
  return most;
}

describe("several spenders of one quota", () => {
  test("together use it up, and exceed it only by what they begin with", () => {
    const passes = simulate(1, 30, { spec: { requestsPerSecond: 100 }, workers: 4, load: () => 80 });
    expect(mostWithin(passes, 1000)).toBeLessThanOrEqual(100 + 4 * 6);
    const settled = passes.filter(({ atMs }) => atMs > 16_000);
    expect(mostWithin(settled, 1000)).toBeLessThanOrEqual(100);
    expect(settled.length).toBeGreaterThan(24 * 100 * 0.9);
    const each = [0, 1, 2, 3].map((worker) => settled.filter((pass) => pass.worker === worker).length);
    expect(Math.min(...each)).toBeGreaterThan(Math.max(...each) * 0.9);
  });

  test("share by need: what one does not use the others have", () => {
    const load = (worker: number): number => (worker === 0 ? 10 : 200);
    const passes = simulate(2, 30, { spec: { requestsPerSecond: 90 }, workers: 3, load }).filter(
      ({ atMs }) => atMs > 20_000,
    );
    const each = [0, 1, 2].map((worker) => passes.filter((pass) => pass.worker === worker).length / 20);
    expect(each[0]).toBeGreaterThan(8);
    expect(each[1]).toBeGreaterThan(32);
    expect(each[2]).toBeGreaterThan(32);
    expect(mostWithin(passes, 1000)).toBeLessThanOrEqual(90);
  });

  test("follow the load from one to the other", () => {
    const load = (worker: number, nowMs: number): number => (Math.floor(nowMs / 10_000) % 2 === worker ? 100 : 0);
    const passes = simulate(3, 40, { spec: { requestsPerSecond: 50 }, workers: 2, load });
    expect(mostWithin(passes, 1000)).toBeLessThanOrEqual(50 + 2 * 6);
    expect(passes.length).toBeGreaterThan(40 * 50 * 0.8);
  });

  test("keep tokens a minute", () => {
    const spec = { tokensPerMinute: 60_000 };
    const passes = simulate(4, 180, { spec, workers: 3, load: () => 20, tokens: 100 });
    // In units of one request of 100 tokens.
    expect(mostWithin(passes, 60_000)).toBeLessThanOrEqual(600 + 3 * 50);
    expect(passes.length).toBeGreaterThan(3 * 600 * 0.8);
  });

  test("keep how many are under way", () => {
    const spec = { concurrency: 12 };
    const passes = simulate(5, 40, { spec, workers: 3, load: () => 20, lastsMs: 800 });
    const atOnce = (nowMs: number): number => passes.filter(({ atMs, endMs }) => atMs <= nowMs && nowMs < endMs).length;
    const counts = Array.from({ length: 35 * 20 }, (_, index) => atOnce(15_000 + index * 50));
    expect(Math.max(...counts)).toBeLessThanOrEqual(12);
    expect(counts.reduce((sum, each) => sum + each, 0) / counts.length).toBeGreaterThan(12 * 0.75);
  });

  test("whoever is cut off adds at most its last share, and all cut off together nothing", () => {
    const spec = { requestsPerSecond: 60 };
    const isCutOff = (worker: number, nowMs: number): boolean => worker === 0 && nowMs > 20_000;
    const one = simulate(6, 30, { spec, workers: 3, load: () => 60, isCutOff }).filter(({ atMs }) => atMs > 16_000);
    expect(mostWithin(one, 1000)).toBeLessThanOrEqual(60 + 25);
    expect(one.filter(({ worker, atMs }) => worker === 0 && atMs > 30_000).length).toBeGreaterThan(10 * 20 * 0.8);
    const isDown = (_: number, nowMs: number): boolean => nowMs > 20_000;
    const all = simulate(7, 60, { spec, workers: 3, load: () => 60, isCutOff: isDown }).filter(
      ({ atMs }) => atMs > 16_000,
    );
    expect(mostWithin(all, 1000)).toBeLessThanOrEqual(60);
    expect(all.length).toBeGreaterThan(54 * 60 * 0.85);
  });

  test("whatever the loads, they exceed it at most by what newcomers begin with", () => {
    for (let seed = 0; seed < 25; seed += 1) {
      const prng = new Prng(seed);
      const workers = 1 + prng.int(5);
      const limit = 1 + prng.int(40);
      const phases = Array.from({ length: 8 * workers }, () => (prng.int(3) === 0 ? 0 : prng.int(60)));
      const load = (worker: number, nowMs: number): number =>
        phases[(worker * 8 + Math.floor(nowMs / 2_500)) % phases.length]!;
      const passes = simulate(seed, 20, { spec: { requestsPerSecond: limit }, workers, load });
      const begin = workers === 1 ? 0 : workers * Math.max(1, Math.floor(limit / (4 * workers)));
      expect([seed, mostWithin(passes, 1000) <= limit + begin]).toEqual([seed, true]);
    }
  });
});
