import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { Prng } from "../../src/base/prng.ts";
import { advance } from "../../src/policy/clock.ts";
import { fairShares } from "../../src/policy/fair-shares.ts";
import { HOLDERS_MAX, LEASE_MS, type Ledger, grant, remaining, rescaled } from "../../src/policy/ledger.ts";
import { measuresOf } from "../../src/policy/quota.ts";
import type { QuotaSpec } from "../../src/policy/spec.ts";
import type { Grant, Want } from "../../src/policy/want.ts";
import { Told, put } from "./commands.ts";

const NONE = { requests: 0, tokens: 0, concurrency: 0 };
const want = (holder: string, amounts: Partial<Want>): Want => ({
  holder,
  quota: "acme/llama",
  ...NONE,
  used: NONE,
  holding: 0,
  ...amounts,
});

/** A ledger of one quota, and a clock. */
class Book {
  ledger: Ledger = [];
  nowMs = 1_000_000;
  readonly #serials = new Map<string, number>();
  readonly #measures;

  constructor(spec: QuotaSpec) {
    this.#measures = measuresOf(spec);
  }

  /** All answers arrive. */
  ask(...wants: Want[]): Grant[] {
    const asked = wants.map((each) => ({ ...each, holding: this.#serials.get(each.holder) ?? 0 }));
    const { ledger, grants } = grant(this.ledger, this.#measures, asked, this.nowMs);
    this.ledger = ledger;
    for (const { holder, serial } of grants) this.#serials.set(holder, serial);
    return [...grants];
  }
}

describe("measures", () => {
  test.each<[number, number, number]>([
    [10, 10, 1000],
    [2.5, 5, 2000],
    [0.1, 1, 10_000],
    [0.3, 3, 10_000],
    [0.01, 1, 100_000],
    [1 / 3, 1, 3000],
    [7.77, 77, 10_000],
    [0.05, 1, 20_000],
    [1e9, 1e9, 1000],
  ])("%p requests a second are %p in %p ms", (requestsPerSecond, limit, periodMs) => {
    expect(measuresOf({ requestsPerSecond }).requests).toEqual({ limit, periodMs });
  });
});

describe("fair shares", () => {
  test("give all what they claim while there is enough, else even parts, and the rest by rank", () => {
    expect(fairShares(10, [2, 3, 4], [0, 0, 0])).toEqual([2, 3, 4]);
    expect(fairShares(10, [1, 9, 9], [0, 0, 0])).toEqual([1, 5, 4]);
    expect(fairShares(10, [1, 9, 9], [0, 5, 3])).toEqual([1, 4, 5]);
    expect(fairShares(1, [1, 1], [7, 3])).toEqual([0, 1]);
    expect(fairShares(0, [1, 1], [0, 0])).toEqual([0, 0]);
    expect(fairShares(5, [], [])).toEqual([]);
  });

  test("are max-min fair, whatever is claimed", () => {
    const claims = fc.array(fc.tuple(fc.nat(50), fc.nat(3)), { maxLength: 12 });
    fc.assert(
      fc.property(fc.nat(200), claims, (limit, pairs) => {
        const wanted = pairs.map(([claim]) => claim);
        const shares = fairShares(
          limit,
          wanted,
          pairs.map(([, rank]) => rank),
        );
        const total = wanted.reduce((sum, each) => sum + each, 0);
        expect(shares.reduce((sum, each) => sum + each, 0)).toBe(Math.min(limit, total));
        for (const [index, share] of shares.entries()) {
          expect(share).toBeLessThanOrEqual(wanted[index]!);
          // Who wants more has at most one less than anybody.
          if (share < wanted[index]!) expect(share).toBeGreaterThanOrEqual(Math.max(...shares) - 1);
        }
      }),
    );
  });
});

describe("a ledger", () => {
  test("gives who is alone what it wants and half as much again, up to the limit", () => {
    const book = new Book({ requestsPerSecond: 100, concurrency: 4 });
    expect(book.ask(want("a", { requests: 20, concurrency: 1 }))).toEqual([
      {
        holder: "a",
        quota: "acme/llama",
        requests: 55,
        tokens: null,
        concurrency: 3,
        windowMs: LEASE_MS,
        serial: 1,
        holders: 1,
      },
    ]);
    expect(book.ask(want("a", { requests: 500 }))[0]?.requests).toBe(100);
  });

  test("moves shares to a newcomer as soon as who had them has surely heard of it", () => {
    const book = new Book({ requestsPerSecond: 100 });
    const full = { requests: 100, used: { ...NONE, requests: 100 } };
    expect(book.ask(want("a", full))[0]?.requests).toBe(100);
    expect(book.ask(want("b", { requests: 100 }))[0]?.requests).toBe(0);
    book.nowMs += 1000;
    expect(book.ask(want("a", full))[0]?.requests).toBe(50);
    expect(book.ask(want("b", { requests: 100 }))[0]?.requests).toBe(0);
    book.nowMs += 1000;
    // What it spent within the last period is still taken.
    expect(book.ask(want("a", { requests: 100, used: { ...NONE, requests: 60 } }))[0]?.requests).toBe(50);
    expect(book.ask(want("b", { requests: 100 }))[0]?.requests).toBe(40);
    book.nowMs += 1000;
    expect(book.ask(want("a", { requests: 100, used: { ...NONE, requests: 50 } }))[0]?.requests).toBe(50);
    expect(book.ask(want("b", { requests: 100 }))[0]?.requests).toBe(50);
  });

  test("takes back at once what is given back, but for what was spent", () => {
    const book = new Book({ tokensPerMinute: 1000 });
    expect(book.ask(want("a", { tokens: 1000 }))[0]?.tokens).toBe(1000);
    book.nowMs += 5_000;
    book.ask(want("a", { used: { ...NONE, tokens: 300 } }));
    expect(book.ask(want("b", { tokens: 1000 }))[0]?.tokens).toBe(700);
    book.nowMs += 60_000;
    expect(book.ask(want("b", { tokens: 1000, used: { ...NONE, tokens: 700 } }))[0]?.tokens).toBe(1000);
    expect(book.ledger.map(({ holder }) => holder)).toEqual(["b"]);
  });

  test("gets the share of one that died back after its lease and a period", () => {
    const book = new Book({ requestsPerSecond: 10 });
    book.ask(want("dead", { requests: 10 }));
    book.nowMs += LEASE_MS + 999;
    expect(book.ask(want("b", { requests: 10 }))[0]?.requests).toBe(0);
    book.nowMs += 1;
    expect(book.ask(want("b", { requests: 10 }))[0]?.requests).toBe(10);
  });

  test("gives what can't be split to one after the other", () => {
    const book = new Book({ concurrency: 1 });
    const had = new Map([
      ["a", 0],
      ["b", 0],
      ["c", 0],
    ]);
    for (let round = 0; round < 60; round += 1) {
      for (const holder of had.keys()) {
        const share = book.ask(want(holder, { concurrency: 1 }))[0]?.concurrency ?? 0;
        had.set(holder, had.get(holder)! + share);
      }
      book.nowMs += 1000;
    }
    for (const times of had.values()) expect(times).toBeGreaterThanOrEqual(8);
  });

  test("keeps for who is under way what it uses", () => {
    const book = new Book({ concurrency: 2 });
    const busy = { concurrency: 2, used: { ...NONE, concurrency: 2 } };
    book.ask(want("a", busy));
    for (let round = 0; round < 5; round += 1) {
      book.nowMs += 1000;
      book.ask(want("a", busy));
      expect(book.ask(want("b", { concurrency: 2 }))[0]?.concurrency).toBe(0);
    }
    book.nowMs += 1000;
    book.ask(want("a", { concurrency: 1, used: { ...NONE, concurrency: 1 } }));
    expect(book.ask(want("b", { concurrency: 2 }))[0]?.concurrency).toBe(1);
  });

  test("has room for so many holders, and forgets those that are over", () => {
    const book = new Book({ requestsPerSecond: 5000 });
    const crowd = Array.from({ length: HOLDERS_MAX + 1 }, (_, index) => want(`h${index}`, { requests: 1 }));
    const grants = book.ask(...crowd);
    expect(grants.filter(({ serial }) => serial === 0)).toMatchObject([{ holder: `h${HOLDERS_MAX}`, requests: 0 }]);
    expect(grants[0]).toMatchObject({ requests: 4, holders: HOLDERS_MAX });
    book.nowMs += LEASE_MS + 1000;
    expect(remaining(book.ledger, measuresOf({ requestsPerSecond: 5000 }), book.nowMs)).toEqual([]);
    expect(book.ask(want("new", { requests: 1 }))[0]?.serial).toBe(1);
  });

  test("of a quota that became smaller has smaller shares, of one that became larger the same", () => {
    const book = new Book({ requestsPerSecond: 100 });
    const used = { ...NONE, requests: 30 };
    book.ask(want("a", { requests: 60, used }), want("b", { requests: 40 }));
    const [large, small] = [measuresOf({ requestsPerSecond: 100 }), measuresOf({ requestsPerSecond: 10 })];
    const shares = (ledger: Ledger): number[] => ledger.map(({ requests }) => requests.share);
    expect(shares(book.ledger)).toEqual([60, 40]);
    expect(shares(rescaled(book.ledger, large, small))).toEqual([6, 4]);
    expect(shares(rescaled(book.ledger, small, large))).toEqual([60, 40]);
  });
});

/** A holder that spends all that it may, at once: the worst there is within the rules. */
class Greedy {
  readonly name: string;
  /** Past spendings, within the period. */
  spent: { atMs: number; amount: number }[] = [];
  share = 0;
  serial = 0;
  untilMs = 0;

  constructor(name: string) {
    this.name = name;
  }

  used(periodMs: number, nowMs: number): number {
    this.spent = this.spent.filter(({ atMs }) => atMs > nowMs - periodMs);
    return this.spent.reduce((sum, { amount }) => sum + amount, 0);
  }
}

test("whoever asks for what and when, whatever is late or lost: within no period more is spent than the limit", () => {
  const run = (seed: number): void => {
    const prng = new Prng(seed);
    const limit = 1 + prng.int(prng.int(2) === 0 ? 5 : 1000);
    const periodMs = prng.int(2) === 0 ? 1000 : 60_000;
    const measure = periodMs === 1000 ? "requests" : "tokens";
    const measures = measuresOf(measure === "requests" ? { requestsPerSecond: limit } : { tokensPerMinute: limit });
    const holders = Array.from({ length: 1 + prng.int(5) }, (_, index) => new Greedy(`h${index}`));
    let ledger: Ledger = [];
    const mail: { atMs: number; run: (nowMs: number) => void }[] = [];
    const all: { atMs: number; amount: number }[] = [];
    const late = (): number => (prng.int(8) === 0 ? prng.int(3000) : prng.int(50));
    let nowMs = 100_000;
    for (let step = 0; step < 400; step += 1) {
      nowMs += prng.int(4) === 0 ? prng.int(1500) : prng.int(100);
      for (const due of mail.filter(({ atMs }) => atMs <= nowMs).toSorted((a, b) => a.atMs - b.atMs)) {
        mail.splice(mail.indexOf(due), 1);
        due.run(nowMs);
      }
      const holder = holders[prng.int(holders.length)]!;
      if (prng.int(3) === 0) {
        const askedMs = nowMs;
        const givesBack = prng.int(6) === 0;
        const used = { ...NONE, [measure]: holder.used(periodMs, nowMs) };
        const amount = givesBack ? 0 : prng.int(2 * limit) + 1;
        const asked = want(holder.name, { [measure]: amount, used, holding: holder.serial });
        if (givesBack) holder.share = 0;
        const deliver = (atMs: number): void => {
          const answer = grant(ledger, measures, [asked], atMs);
          ({ ledger } = answer);
          const [given] = answer.grants;
          // Requests may be repeated, and answers lost.
          if (given === undefined || prng.int(6) === 0) return;
          const hear = (): void => {
            if (given.serial <= holder.serial) return;
            holder.serial = given.serial;
            holder.share = given[measure] ?? 0;
            holder.untilMs = askedMs + LEASE_MS;
          };
          mail.push({ atMs: atMs + late(), run: hear });
        };
        if (prng.int(8) > 0) mail.push({ atMs: nowMs + late(), run: deliver });
        if (prng.int(8) === 0) mail.push({ atMs: nowMs + late(), run: deliver });
      }
      for (const each of holders) {
        const amount = nowMs < each.untilMs ? each.share - each.used(periodMs, nowMs) : 0;
        if (amount <= 0 || prng.int(3) === 0) continue;
        each.spent.push({ atMs: nowMs, amount });
        all.push({ atMs: nowMs, amount });
      }
      const inPeriod = all.reduce((sum, { atMs, amount }) => (atMs > nowMs - periodMs ? sum + amount : sum), 0);
      expect([seed, inPeriod <= limit, inPeriod, limit]).toEqual([seed, true, inPeriod, limit]);
    }
  };
  for (let seed = 1; seed <= 150; seed += 1) run(seed);
});

test("no lease is larger than is said", () => {
  const amount = fc.nat(300);
  const ask = fc.tuple(fc.nat(4), amount, amount, fc.nat(3000));
  fc.assert(
    fc.property(fc.integer({ min: 1, max: 200 }), fc.array(ask, { maxLength: 30 }), (limit, asks) => {
      const book = new Book({ requestsPerSecond: limit });
      for (const [holder, requests, used, laterMs] of asks) {
        book.nowMs += laterMs;
        const [given] = book.ask(want(`h${holder}`, { requests, used: { ...NONE, requests: used } }));
        const wanting = Math.max(1, given!.holders);
        const most = Math.max(Math.ceil(limit / wanting), 2 * used + Math.ceil(limit / (4 * wanting)));
        // Used may also be of an ask that was not answered.
        const lease = book.ledger.find((each) => each.holder === `h${holder}`);
        expect(given!.requests).toBeLessThanOrEqual(Math.max(most, 2 * (lease?.requests.used ?? 0) + limit));
        expect(given!.requests).toBeLessThanOrEqual(
          Math.min(limit, requests + Math.ceil(requests / 2) + Math.ceil(limit / 4)),
        );
      }
    }),
  );
});

describe("time", () => {
  test("never goes back, and catches up with a clock that is a little behind", () => {
    let clock = { nowMs: 50_000, shownMs: 100_000 };
    const told: number[] = [];
    for (const atMs of [100_500, 98_000, 100_400, 100_600, 100_700]) told.push((clock = advance(clock, atMs)).nowMs);
    expect(told).toEqual([50_500, 50_500, 50_500, 50_600, 50_700]);
  });

  test("goes on by another clock when the one before was far ahead", () => {
    let clock = { nowMs: 0, shownMs: 3_700_000 };
    const told: number[] = [];
    for (const atMs of [100_000, 100_500, 101_000]) told.push((clock = advance(clock, atMs)).nowMs);
    expect(told).toEqual([0, 500, 1000]);
  });

  test("of the machine stands still while a new leader's clock is behind, and leases with it", () => {
    const told = new Told();
    told.write([put("quota", "acme/llama", { requestsPerSecond: 10 })], { atMs: 10_000 });
    const ask = (holder: string, atMs: number): number | null | undefined =>
      told.lease([want(holder, { requests: 10 })], atMs).grants[0]?.requests;
    expect(ask("a", 10_000)).toBe(10);
    expect(ask("b", 8_000)).toBe(0);
    expect(ask("b", 12_999)).toBe(0);
    expect(ask("b", 13_000)).toBe(10);
  });
});

describe("leases of the machine", () => {
  test("are of quotas that are there, end with them, and are answered in the order of the wants", () => {
    const told = new Told();
    told.write([put("quota", "acme/llama", { concurrency: 4 }), put("quota", "b/*", { concurrency: 1 })]);
    const wants = [
      want("h", { quota: "b/*", concurrency: 1 }),
      want("h", { quota: "other/m", concurrency: 1 }),
      want("h", { concurrency: 1 }),
      want("i", { quota: "b/*", concurrency: 1 }),
    ];
    const { outcome, grants, changes } = told.lease(wants, 2_000);
    expect([outcome, changes]).toMatchObject([{ ok: true, changed: false }, []]);
    expect(grants.map(({ holder, quota, concurrency }) => [holder, quota, concurrency])).toEqual([
      ["h", "b/*", 1],
      ["h", "acme/llama", 3],
      ["i", "b/*", 0],
    ]);
    const ledgers = (): string[] =>
      (JSON.parse(new TextDecoder().decode(told.machine.snapshot())) as { ledgers: { quota: string }[] }).ledgers.map(
        ({ quota }) => quota,
      );
    expect(ledgers()).toEqual(["acme/llama", "b/*"]);
    told.write([{ delete: { kind: "quota", name: "b/*" } }]);
    expect(ledgers()).toEqual(["acme/llama"]);
    // And those that nobody asks about any more are swept out.
    told.write([put("node", "n", { cordoned: true })], { atMs: 200_000 });
    expect(ledgers()).toEqual([]);
  });
});
