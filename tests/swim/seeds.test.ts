import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { Prng } from "../../src/base/prng.ts";
import type { JoinResult, SwimEvent, SwimEventKind } from "../../src/swim/event.ts";
import { Seeds, type SeedNews, SEEDS_MAX } from "../../src/swim/seeds.ts";
import { Circle, selfOf } from "./lone.ts";

const addressOf = (index: number): string => `10.0.${index >> 8}.${index & 255}:7946`;
const event = (kind: SwimEventKind, id: string, address: string): SwimEvent => ({
  kind,
  id,
  address,
  incarnation: 1,
  cause: "",
});

interface Answer {
  readonly result: JoinResult;
  readonly afterMs?: number;
}

/** A node with seeds, alone with its clock: `answer` says what becomes of each join, `dns` what a look finds. */
class Lone {
  nowMs = 0;
  readonly seeds: Seeds;
  readonly asked: { address: string; atMs: number }[] = [];
  readonly looksAtMs: number[] = [];
  readonly news: SeedNews[] = [];
  askingMax = 0;
  #asking = 0;
  /** Of the last look at it. */
  #wakeAtMs = 0;
  #later: { atMs: number; act: () => void }[] = [];
  dns: () => readonly string[];
  answer: (address: string) => Answer = () => ({ result: "unreachable" });

  constructor(dns: () => readonly string[], seed = 1) {
    this.dns = dns;
    this.seeds = new Seeds(new Prng(seed), 0);
  }

  meet(id: string, address: string): void {
    this.seeds.told(event("joined", id, address));
  }

  run(untilMs: number): void {
    for (let rounds = 0; rounds < 2_000_000; rounds += 1) {
      this.seeds.wake(this.nowMs);
      const { joins, lookUp, news, wakeAtMs } = this.seeds.take();
      this.news.push(...news);
      this.#wakeAtMs = wakeAtMs;
      if (lookUp) {
        this.looksAtMs.push(this.nowMs);
        this.seeds.replace(this.dns(), this.nowMs);
        this.seeds.looked(this.nowMs);
      }
      for (const address of joins) this.#ask(address);
      this.askingMax = Math.max(this.askingMax, this.#asking);
      this.#later.sort((a, b) => a.atMs - b.atMs);
      if (lookUp || joins.length > 0) continue;
      expect(wakeAtMs).toBeGreaterThan(this.nowMs);
      if (!this.#pass(untilMs)) return;
    }
    throw new Error("it never rests");
  }

  /** As `run`, but not woken before it is due. */
  rest(untilMs: number): void {
    if (this.#pass(untilMs)) this.run(untilMs);
  }

  /** Lets time pass until something is due; false when that is later than `untilMs`, which it is then. */
  #pass(untilMs: number): boolean {
    const nextMs = Math.min(this.#wakeAtMs, this.#later[0]?.atMs ?? Infinity);
    this.nowMs = Math.min(nextMs, untilMs);
    if (nextMs > untilMs) return false;
    while ((this.#later[0]?.atMs ?? Infinity) <= nextMs) this.#later.shift()?.act();
    return true;
  }

  times(address: string): number[] {
    return this.asked.filter((one) => one.address === address).map(({ atMs }) => atMs);
  }

  #ask(address: string): void {
    this.asked.push({ address, atMs: this.nowMs });
    this.#asking += 1;
    const { result, afterMs = 1 } = this.answer(address);
    const act = (): void => {
      this.#asking -= 1;
      this.seeds.ended(address, result, "connection refused", this.nowMs);
    };
    this.#later.push({ atMs: this.nowMs + afterMs, act });
  }
}

const gaps = (times: readonly number[]): number[] => times.slice(1).map((time, index) => time - times[index]!);

describe("a node that is alone", () => {
  test("asks a seed for ever, with pauses that grow from half a second to half a minute", () => {
    const lone = new Lone(() => [addressOf(1)]);
    lone.run(3_600_000);
    const pauses = gaps(lone.times(addressOf(1)));
    expect(pauses.slice(0, 3).every((pause) => pause < 3001)).toBe(true);
    expect(Math.max(...pauses)).toBeLessThan(45_100);
    expect(Math.min(...pauses)).toBeGreaterThan(250);
    expect(pauses.length).toBeGreaterThan(80);
    expect(pauses.length).toBeLessThan(250);
    // Names are looked up at such pauses too, the longest a minute.
    const looks = gaps(lone.looksAtMs);
    expect(looks[0]).toBeLessThan(751);
    expect(Math.max(...looks)).toBeLessThan(90_001);
    expect(looks.length).toBeGreaterThan(40);
    expect(looks.length).toBeLessThan(130);
  });

  test("asks three at once, and more while none answers, sixteen at most", () => {
    const many = Array.from({ length: 100 }, (_, index) => addressOf(index));
    const lone = new Lone(() => many);
    lone.answer = () => ({ result: "unreachable", afterMs: 10_000 });
    lone.run(1);
    expect(lone.asked).toHaveLength(3);
    lone.run(9000);
    expect(lone.asked).toHaveLength(16);
    lone.run(100_000);
    expect(lone.askingMax).toBe(16);
    expect(new Set(lone.asked.map(({ address }) => address)).size).toBe(100);
  });

  test("stops asking when one lets it in, and goes on with those that are no members", () => {
    const many = Array.from({ length: 50 }, (_, index) => addressOf(index));
    const lone = new Lone(() => many);
    lone.answer = (address) => {
      for (let index = 0; index < 49; index += 1) lone.meet(`n${index}`, addressOf(index));
      return { result: address === addressOf(49) ? "unreachable" : "joined" };
    };
    lone.run(1000);
    expect(lone.asked.length).toBeLessThanOrEqual(6);
    lone.run(600_000);
    const late = lone.asked.filter(({ atMs }) => atMs > 1000);
    expect(late.length).toBeGreaterThan(5);
    expect(new Set(late.map(({ address }) => address))).toEqual(new Set([addressOf(49)]));
  });

  test("that is all its seeds itself asks nobody, and goes on with a short pause when it asked itself", () => {
    const empty = new Lone(() => []);
    empty.run(100_000);
    expect(empty.asked).toEqual([]);
    // A load balancer may lead to the node itself, and to another one the next time.
    const balanced = new Lone(() => [addressOf(1)]);
    balanced.answer = () => ({ result: "joined" });
    balanced.run(10_000);
    expect(balanced.asked.length).toBeGreaterThan(3);
    expect(balanced.news).toMatchObject([{ kind: "lonely", unreached: [{ why: "answers, and is this node itself" }] }]);
  });

  test("says so after three seconds, every ten minutes, and when it is over", () => {
    const lone = new Lone(() => [addressOf(1), addressOf(2)]);
    lone.answer = (address) => ({ result: "unreachable", afterMs: address === addressOf(1) ? 1 : 100_000 });
    lone.run(2999);
    expect(lone.news).toEqual([]);
    lone.run(1_800_000);
    expect(lone.news.map(({ kind }) => kind)).toEqual(["lonely", "lonely", "lonely"]);
    const first = lone.news[0] as Extract<SeedNews, { kind: "lonely" }>;
    expect(first.forMs).toBe(3000);
    expect(first.unreached.toSorted((a, b) => a.address.localeCompare(b.address))).toEqual([
      { address: addressOf(1), why: "connection refused" },
      { address: addressOf(2), why: "" },
    ]);
    lone.meet("n1", addressOf(1));
    lone.run(1_800_001);
    expect(lone.news.at(-1)).toEqual({ kind: "found", afterMs: 1_800_000 });
    // Alone again, for less time than is worth a word.
    lone.seeds.told(event("left", "n1", addressOf(1)));
    lone.run(1_802_000);
    lone.meet("n1", addressOf(1));
    lone.run(3_600_000);
    expect(lone.news).toHaveLength(4);
  });

  test("begins anew with short pauses when it is left alone", () => {
    const lone = new Lone(() => [addressOf(1), addressOf(2)]);
    lone.meet("n1", addressOf(1));
    lone.meet("n2", addressOf(2));
    lone.run(1_000_000);
    expect(lone.asked).toEqual([]);
    lone.seeds.told(event("failed", "n1", addressOf(1)));
    lone.seeds.told(event("failed", "n2", addressOf(2)));
    lone.run(1_002_000);
    expect(lone.times(addressOf(1)).length).toBeGreaterThanOrEqual(2);
    expect(lone.looksAtMs.filter((atMs) => atMs > 1_000_000)).not.toEqual([]);
  });
});

describe("a member", () => {
  /** A member of a mesh of `size`, whose seeds are the other members and `lost` more. */
  function member(size: number, lost: number, seed = 1): Lone {
    const lone = new Lone(() => Array.from({ length: size - 1 + lost }, (_, index) => addressOf(index + 1)), seed);
    for (let index = 1; index < size; index += 1) lone.meet(`n${index}`, addressOf(index));
    return lone;
  }

  test("asks only seeds that are no present member's, by the address that the member has now", () => {
    const lone = member(5, 0);
    lone.dns = () => [addressOf(1), addressOf(2), addressOf(9)];
    lone.run(100_000);
    expect(new Set(lone.asked.map(({ address }) => address))).toEqual(new Set([addressOf(9)]));
    lone.seeds.told(event("suspect", "n1", addressOf(1)));
    lone.seeds.told(event("updated", "n2", addressOf(9)));
    lone.asked.length = 0;
    lone.run(300_000);
    expect(new Set(lone.asked.map(({ address }) => address))).toEqual(new Set([addressOf(2)]));
    // What is told of one that is gone does not bring it back.
    lone.seeds.told(event("failed", "n2", addressOf(9)));
    lone.seeds.told(event("updated", "n2", addressOf(2)));
    lone.asked.length = 0;
    lone.run(500_000);
    expect(new Set(lone.asked.map(({ address }) => address))).toEqual(new Set([addressOf(2), addressOf(9)]));
    lone.seeds.told(event("alive-again", "n2", addressOf(2)));
    lone.asked.length = 0;
    lone.run(700_000);
    expect(new Set(lone.asked.map(({ address }) => address))).toEqual(new Set([addressOf(9)]));
  });

  test("two ids at one address: it is a member's until both are gone", () => {
    const lone = new Lone(() => [addressOf(1)]);
    lone.meet("other", addressOf(2));
    lone.meet("old", addressOf(1));
    lone.meet("new", addressOf(1));
    lone.seeds.told(event("failed", "old", addressOf(1)));
    lone.run(200_000);
    expect(lone.asked).toEqual([]);
    lone.seeds.told(event("left", "new", addressOf(1)));
    lone.run(400_000);
    expect(lone.asked.length).toBeGreaterThan(2);
  });

  test("of a thousand asks a lost seed, and DNS, so seldom that all together do it about once a second", () => {
    let asks = 0;
    let looks = 0;
    for (let seed = 1; seed <= 40; seed += 1) {
      const lone = member(1000, 1, seed);
      lone.run(7200_000);
      asks += lone.asked.length;
      looks += lone.looksAtMs.length;
    }
    // 40 of 1,000 members in 7,200 s: once a second of all would be 288 times.
    expect(asks).toBeGreaterThan(200);
    expect(asks).toBeLessThan(600);
    expect(looks).toBeLessThan(500);
  });

  test("does not hurry after a seed that was a member", () => {
    const lone = member(10, 0);
    lone.run(10_000);
    lone.seeds.told(event("failed", "n3", addressOf(3)));
    lone.run(12_000);
    expect(lone.asked.length).toBeLessThanOrEqual(1);
    lone.run(72_000);
    expect(lone.asked.length).toBeGreaterThanOrEqual(1);
    expect(lone.asked.length).toBeLessThanOrEqual(5);
  });

  test("asks one of its aliases in five minutes", () => {
    const lone = new Lone(() => Array.from({ length: 20 }, (_, index) => addressOf(index)));
    lone.meet("n1", "[fd00::1]:7946");
    lone.answer = () => ({ result: "joined" });
    lone.run(100_000);
    expect(lone.asked).toHaveLength(20);
    lone.run(3_600_000);
    expect(lone.asked.length).toBeGreaterThan(25);
    expect(lone.asked.length).toBeLessThan(45);
    // One that lets nobody in any more is a seed like others.
    lone.answer = () => ({ result: "unreachable" });
    lone.asked.length = 0;
    lone.run(4_400_000);
    expect(Math.max(...[...Array(20).keys()].map((index) => lone.times(addressOf(index)).length))).toBeGreaterThan(3);
  });

  test("finds an address that DNS learns of later", () => {
    const names: string[] = [addressOf(1)];
    const lone = new Lone(() => names);
    lone.meet("n1", addressOf(1));
    lone.run(600_000);
    expect(lone.asked).toEqual([]);
    names.push(addressOf(2));
    lone.run(720_000);
    expect(lone.times(addressOf(2)).length).toBeGreaterThan(0);
    names.pop();
    lone.run(840_000);
    lone.asked.length = 0;
    lone.run(1_000_000);
    expect(lone.asked).toEqual([]);
  });
});

describe("whatever comes", () => {
  test("to wake it only when `told` says so changes nothing", () => {
    const step = fc.record({
      kind: fc.constantFrom<SwimEventKind>("joined", "failed", "left", "updated", "suspect", "alive-again"),
      id: fc.nat(6),
      where: fc.nat(8),
      afterMs: fc.nat(20_000),
    });
    fc.assert(
      fc.property(fc.array(step, { maxLength: 60 }), fc.integer(), (steps, seed) => {
        const dns = (): string[] => Array.from({ length: 4 }, (_, index) => addressOf(index));
        const [always, whenTold] = [new Lone(dns, seed), new Lone(dns, seed)];
        for (const lone of [always, whenTold]) lone.answer = () => ({ result: "unreachable", afterMs: 50 });
        for (const lone of [always, whenTold]) lone.run(0);
        for (const { kind, id, where, afterMs } of steps) {
          const atMs = always.nowMs + afterMs;
          for (const lone of [always, whenTold]) lone.rest(atMs);
          const one = event(kind, `n${id}`, addressOf(where));
          always.seeds.told(one);
          always.run(atMs);
          if (whenTold.seeds.told(one)) whenTold.run(atMs);
        }
        const endMs = always.nowMs + 100_000;
        for (const lone of [always, whenTold]) lone.rest(endMs);
        expect(whenTold.asked).toEqual(always.asked);
        expect(whenTold.looksAtMs).toEqual(always.looksAtMs);
        expect(whenTold.news).toEqual(always.news);
      }),
    );
  });

  test("of those who join, only a seed and the first are a reason to wake", () => {
    const lone = new Lone(() => [addressOf(1), addressOf(2)]);
    lone.run(1000);
    const wakes = (kind: SwimEventKind, id: string, address: string): boolean => {
      const isReason = lone.seeds.told(event(kind, id, address));
      lone.run(lone.nowMs + 1);
      return isReason;
    };
    expect([5, 6, 1, 7].map((index) => wakes("joined", `n${index}`, addressOf(index)))).toEqual([
      true,
      false,
      true,
      false,
    ]);
    expect([6, 1, 7, 5].map((index) => wakes("failed", `n${index}`, addressOf(index)))).toEqual([
      false,
      true,
      false,
      true,
    ]);
  });

  test("no more seeds than the limit, drawn by chance", () => {
    const many = Array.from({ length: 3000 }, (_, index) => addressOf(index));
    const lone = new Lone(() => many);
    lone.run(60_000);
    const drawn = new Set(lone.asked.map(({ address }) => address));
    expect(drawn.size).toBeGreaterThan(SEEDS_MAX);
    expect([...drawn].some((address) => many.indexOf(address) > 2000)).toBe(true);
    expect(lone.askingMax).toBe(16);
  });

  test("it rests, asks nobody twice at once, and nobody who is there", () => {
    const step = fc.record({
      kind: fc.constantFrom<SwimEventKind | "dns" | "run">(
        "joined",
        "failed",
        "left",
        "updated",
        "suspect",
        "dns",
        "run",
      ),
      id: fc.nat(6),
      where: fc.nat(8),
      result: fc.constantFrom<JoinResult>("joined", "unreachable", "refused", "malformed"),
    });
    fc.assert(
      fc.property(fc.array(step, { maxLength: 60 }), fc.integer(), (steps, seed) => {
        let known: string[] = [];
        const lone = new Lone(() => known, seed);
        const there = new Map<string, string>();
        const open = new Set<string>();
        for (const { kind, id, where, result } of steps) {
          if (kind === "dns") {
            known = Array.from({ length: where }, (_, index) => addressOf(index));
            lone.seeds.look(lone.nowMs);
          } else if (kind === "run") {
            lone.answer = (address) => {
              expect([...there.values()]).not.toContain(address);
              expect(open.has(address)).toBe(false);
              return { result, afterMs: 1 + where * 100 };
            };
            lone.run(lone.nowMs + 10_000 * where);
          } else {
            lone.seeds.told(event(kind, `n${id}`, addressOf(where)));
            if (kind === "joined" || (kind === "updated" && there.has(`n${id}`))) there.set(`n${id}`, addressOf(where));
            if (kind === "failed" || kind === "left") there.delete(`n${id}`);
          }
        }
      }),
    );
  });
});

test("a partition that outlasts the memory of both sides heals by the seeds", () => {
  const circle = new Circle(6, { forgetAfterMs: 60_000, gossipToTheDeadMs: 10_000, pushPullIntervalMs: 10_000 });
  const all = Array.from({ length: 6 }, (_, index) => selfOf(index).address);
  const sides = [all.slice(0, 3), all.slice(3)];
  const cores = all.map((_, index) => new Seeds(new Prng(index), circle.nowMs));
  for (const [index, core] of cores.entries()) core.replace(all.toSpliced(index, 1), circle.nowMs);
  let told = 0;
  const run = (ms: number, bySeeds = true): void => {
    for (const endMs = circle.nowMs + ms; circle.nowMs < endMs;) {
      circle.run(100);
      for (; told < circle.events.length; told += 1) {
        const { at, ...one } = circle.events[told]!;
        cores[all.indexOf(at)]!.told(one);
      }
      for (const [index, core] of cores.entries()) {
        const self = all[index]!;
        if (!bySeeds || circle.silent.has(self)) continue;
        core.wake(circle.nowMs);
        const { joins, lookUp } = core.take();
        if (lookUp) core.looked(circle.nowMs);
        for (const address of joins) {
          circle.swims.get(self)!.join([address], circle.nowMs);
          circle.drain(self);
          core.ended(address, circle.silent.has(address) ? "unreachable" : "joined", "", circle.nowMs);
        }
      }
    }
  };
  const sizes = (): number[] => all.map((_, index) => circle.swim(index).size);
  run(5000);
  expect(sizes()).toEqual([6, 6, 6, 6, 6, 6]);
  // Each side runs while the other is frozen, long enough to forget it.
  for (const side of sides) {
    for (const address of side) circle.silent.add(address);
    run(100_000);
    circle.silent.clear();
  }
  expect(sizes()).toEqual([3, 3, 3, 3, 3, 3]);
  expect([circle.swim(0).member("n5"), circle.swim(5).member("n0")]).toEqual([undefined, undefined]);
  run(60_000, false);
  expect(sizes()).toEqual([3, 3, 3, 3, 3, 3]);
  run(60_000);
  expect(sizes()).toEqual([6, 6, 6, 6, 6, 6]);
});
