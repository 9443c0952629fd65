import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { defaultsOf } from "../../src/base/settings-reading.ts";
import { type Home, LateRoom, type LateWaiter } from "../../src/flow/late-room.ts";
import { type LateConfig, lateSettings } from "../../src/flow/late-settings.ts";
import { TargetPace } from "../../src/flow/target-pace.ts";

const MS_PER_TOKEN = 0.05;

interface Request extends LateWaiter {
  readonly id: number;
  /** Where it may not go. */
  readonly shut?: readonly number[];
  readonly cached: readonly Home[];
}

/** Some targets, all alike, and a room before them. */
class Mesh {
  readonly paces: TargetPace[];
  readonly full = new Set<number>();
  readonly active: number[];
  readonly others: number[];
  othersMs = 0;
  readonly room: LateRoom<Request>;
  nowMs = 0;
  #id = 0;

  constructor(count: number, config: Partial<LateConfig> = {}) {
    this.active = Array.from({ length: count }, () => 0);
    this.others = Array.from({ length: count }, () => 0);
    this.paces = Array.from({ length: count }, () => new TargetPace(MS_PER_TOKEN));
    const targets = {
      count,
      pace: (target: number) => this.paces[target]!,
      hasRoom: (target: number) => !this.full.has(target),
      active: (target: number) => this.active[target]!,
      othersTokens: (target: number) => this.others[target]!,
      othersMs: () => this.othersMs,
      networkMs: () => 0,
    };
    const limits = {
      isPicky: ({ shut }: Request) => shut !== undefined,
      mayGo: ({ shut }: Request, target: number) => shut?.includes(target) !== true,
    };
    this.room = new LateRoom({ ...defaultsOf(lateSettings), ...config }, targets, ({ cached }) => cached, limits);
  }

  ask(promptTokens: number, more: Partial<Request> = {}): Request {
    this.#id += 1;
    const request: Request = {
      id: this.#id,
      promptTokens,
      priority: 1,
      cameMs: this.nowMs,
      wantedMs: Infinity,
      cached: [],
      homes: [],
      homesMs: 0,
      leastTokens: 0,
      slackMs: 0,
      ...more,
    };
    this.room.offer(request, this.nowMs);
    return request;
  }

  /** Binds all that may go now: their numbers, and where. */
  serve(): string[] {
    const bound: string[] = [];
    for (let next = this.room.next(this.nowMs); next !== null; next = this.room.next(this.nowMs)) {
      this.paces[next.target]!.sent({ tokens: next.freshTokens, sentMs: this.nowMs });
      bound.push(`${next.waiter.id} to ${next.target}: ${next.freshTokens}`);
    }
    return bound;
  }

  /** A prompt that keeps the target busy for that long. */
  occupy(target: number, ms: number): void {
    this.paces[target]!.sent({ tokens: ms / MS_PER_TOKEN, sentMs: this.nowMs });
  }
}

describe("a room of requests that are bound late", () => {
  test("sends at once while targets are idle, each to another", () => {
    const mesh = new Mesh(2);
    mesh.ask(4000);
    mesh.ask(4000);
    expect(
      mesh
        .serve()
        .map((each) => each.slice(0, 6))
        .toSorted(),
    ).toEqual(["1 to 0", "2 to 1"]);
    mesh.ask(4000);
    expect(mesh.serve()).toEqual([]);
    expect(mesh.room.waiting).toBe(1);
  });

  test("opens a target shortly before it is done, and tells when", () => {
    const mesh = new Mesh(1, { horizonMs: 60 });
    mesh.occupy(0, 200);
    mesh.ask(100);
    expect(mesh.serve()).toEqual([]);
    expect(mesh.room.wakeAtMs).toBe(140);
    mesh.nowMs = 140;
    expect(mesh.serve()).toEqual(["1 to 0: 100"]);
    expect(mesh.room.wakeAtMs).toBe(Infinity);
  });

  test("gives a target the least work first", () => {
    const mesh = new Mesh(1);
    mesh.occupy(0, 500);
    for (const tokens of [9000, 300, 5000]) mesh.ask(tokens);
    mesh.nowMs = 500;
    expect(mesh.serve()).toEqual(["2 to 0: 300", "3 to 0: 5000"]);
  });

  test("gives who may not go everywhere the best that is left, and others go on meanwhile", () => {
    const mesh = new Mesh(3);
    mesh.occupy(2, 500);
    mesh.ask(900, { shut: [0, 1] });
    mesh.ask(500, { shut: [0] });
    mesh.ask(4000);
    // The first of them waits, however long it has, and keeps nobody back.
    expect(mesh.serve()).toEqual(["2 to 1: 500", "3 to 0: 4000"]);
    mesh.nowMs = 60_000;
    mesh.ask(100);
    expect(mesh.serve().toSorted()).toEqual(["1 to 2: 900", expect.stringMatching(/^4 to [01]: 100$/) as string]);
  });

  test("gives such a one its home, where it may go there", () => {
    const mesh = new Mesh(3);
    const cached = [
      { target: 1, tokens: 5000 },
      { target: 2, tokens: 3000 },
    ];
    mesh.ask(6000, { cached, shut: [1] });
    expect(mesh.serve()).toEqual(["1 to 2: 3000"]);
  });

  test("lets age count", () => {
    const mesh = new Mesh(1, { ageWeight: 1.5 });
    mesh.occupy(0, 500);
    mesh.ask(9000);
    mesh.nowMs = 400;
    mesh.ask(300);
    // 450 ms of work, 500 of age against 15 and 100.
    mesh.nowMs = 500;
    expect(mesh.serve()).toEqual(["1 to 0: 9000"]);
  });

  test("counts what others have at a target, as told last and computed since", () => {
    const mesh = new Mesh(1, { horizonMs: 60 });
    mesh.nowMs = 1000;
    mesh.othersMs = 950;
    mesh.others[0] = 4000;
    mesh.ask(100);
    expect(mesh.serve()).toEqual([]);
    expect(mesh.room.wakeAtMs).toBe(1090);
    // Its own come behind what others have, or before it: both are to be computed.
    mesh.occupy(0, 100);
    mesh.serve();
    expect(mesh.room.wakeAtMs).toBe(1240);
    mesh.nowMs = 1240;
    expect(mesh.serve()).toEqual(["1 to 0: 100"]);
  });

  test("spreads over targets that are equal otherwise", () => {
    const mesh = new Mesh(3, { loadMs: 1 });
    mesh.active.splice(0, 3, 20, 4, 9);
    mesh.ask(100);
    expect(mesh.serve()).toEqual(["1 to 1: 100"]);
    const homes = [0, 2].map((target) => ({ target, tokens: 1000 }));
    mesh.ask(2000, { cached: homes });
    expect(mesh.serve()).toEqual(["2 to 2: 1000"]);
  });

  test("counts requests at a target for more where prompts are long", () => {
    const begun = (tokens: number) => {
      const mesh = new Mesh(2, { loadMs: 1, usualTokens: 1000 });
      for (let before = 0; before < 400; before += 1) mesh.room.remove(mesh.ask(tokens));
      mesh.active[0] = 30;
      mesh.ask(2000, { cached: [{ target: 0, tokens: 1000 }] });
      return mesh.serve();
    };
    expect(begun(1000)).toEqual(["401 to 0: 1000"]);
    expect(begun(10_000)).toEqual(["401 to 1: 2000"]);
  });

  test("prefers the target whose cache has the prefix", () => {
    const mesh = new Mesh(3);
    mesh.ask(8000, { cached: [{ target: 2, tokens: 6000 }] });
    expect(mesh.serve()).toEqual(["1 to 2: 2000"]);
  });

  test("has a request wait for its prefix's home while that is sooner, and others go first", () => {
    const mesh = new Mesh(2);
    mesh.occupy(1, 150);
    mesh.ask(8000, { cached: [{ target: 1, tokens: 7000 }] });
    mesh.ask(6000);
    expect(mesh.serve()).toEqual(["2 to 0: 6000"]);
    mesh.nowMs = 100;
    expect(mesh.serve()).toEqual(["1 to 1: 1000"]);
  });

  test("does not wait for a home that would take longer", () => {
    const mesh = new Mesh(2);
    mesh.occupy(1, 500);
    mesh.ask(8000, { cached: [{ target: 1, tokens: 7000 }] });
    expect(mesh.serve()).toEqual(["1 to 0: 8000"]);
  });

  test("counts others than a session's home as farther away, by its slack", () => {
    const mesh = new Mesh(3);
    const session = (slackMs: number) => ({ cached: [{ target: 2, tokens: 0, slackMs }] });
    mesh.ask(100, session(10));
    expect(mesh.serve()).toEqual(["1 to 2: 100"]);
    mesh.paces[2]!.sent({ tokens: 10_000, sentMs: mesh.nowMs });
    mesh.ask(100, session(10_000 * MS_PER_TOKEN));
    expect(mesh.serve().map((text) => text.includes("to 2"))).toEqual([false]);
    mesh.ask(100, session(10_500 * MS_PER_TOKEN));
    mesh.ask(100);
    expect(mesh.serve()).toHaveLength(1);
    expect(mesh.room.waiting).toBe(1);
    mesh.nowMs += 10_000 * MS_PER_TOKEN;
    expect(mesh.serve()).toEqual(["3 to 2: 100"]);
  });

  test("prices what a miss costs those who wait", () => {
    // 400 ms of work here, or 320 and 90 at its home: 10 ms for itself, and 310 ms of work that others wait for.
    const mesh = new Mesh(2, { missWeight: 0, ageWeight: 0 });
    mesh.occupy(1, 320);
    mesh.ask(8000, { cached: [{ target: 1, tokens: 6200 }] });
    expect(mesh.serve()).toEqual(["1 to 0: 8000"]);
    const priced = new Mesh(2, { missWeight: 0.3, ageWeight: 0 });
    priced.occupy(1, 320);
    priced.ask(8000, { cached: [{ target: 1, tokens: 6200 }] });
    expect(priced.serve()).toEqual([]);
  });

  test("keeps a request for a home that is in time, where another one goes in its place", () => {
    // 450 ms here, 700 at its home, where it is 350 ms less work.
    const begun = (others: number, config: Partial<LateConfig> = {}, more: Partial<Request> = {}) => {
      const mesh = new Mesh(2, config);
      mesh.occupy(0, 500);
      mesh.occupy(1, 1100);
      mesh.ask(8000, { cached: [{ target: 1, tokens: 7000 }] });
      mesh.nowMs = 450;
      for (let other = 0; other < others; other += 1) mesh.ask(3000, more);
      return mesh.serve();
    };
    expect(begun(2)).toEqual(["2 to 0: 3000"]);
    expect(begun(2, { homeWeight: 0 })).toEqual(["1 to 0: 8000"]);
    // Its home would be in time, but for no more than a little.
    expect(begun(2, { patienceMs: 1500 })).toEqual(["1 to 0: 8000"]);
    expect(begun(2, { homeShare: 0.5 })).toEqual(["1 to 0: 8000"]);
    expect(begun(0)).toEqual(["1 to 0: 8000"]);
    // The others are kept for it, too, and nobody is left for target 0: then one goes there whose home would save little.
    const alike = { cached: [{ target: 1, tokens: 2900 }] };
    expect(begun(2, {}, alike)).toEqual(["2 to 0: 3000"]);
    expect(begun(2, { spareWeight: 0.5 }, alike)).toEqual(["1 to 0: 8000"]);
  });

  test("serves those that can still be in time before those that can't", () => {
    const mesh = new Mesh(1, { patienceMs: 1000, ageWeight: 10 });
    mesh.occupy(0, 900);
    mesh.ask(4000);
    mesh.nowMs = 880;
    mesh.ask(10_000);
    expect(mesh.serve()).toEqual(["2 to 0: 10000"]);
  });

  test("knows of moments by which answers are wanted", () => {
    const mesh = new Mesh(1, { ageWeight: 0 });
    mesh.occupy(0, 400);
    mesh.ask(100, { wantedMs: 300 });
    mesh.ask(2000);
    mesh.nowMs = 400;
    expect(mesh.serve()).toEqual(["2 to 0: 2000"]);
  });

  test("keeps targets free of long work that is late anyway", () => {
    const mesh = new Mesh(4, { patienceMs: 1000, lateShare: 0.5, lateWorkMs: 2999 });
    for (let count = 0; count < 4; count += 1) mesh.ask(60_000);
    expect(mesh.serve()).toHaveLength(2);
    mesh.ask(1000);
    expect(mesh.serve()).toHaveLength(1);
    expect(mesh.room.waiting).toBe(2);
  });

  test("keeps the more targets free the longer that work is", () => {
    for (const [tokens, begin] of [
      [30_000, 6],
      [60_000, 3],
      [120_000, 2],
      [400_000, 1],
    ] as const) {
      const mesh = new Mesh(8, { patienceMs: 1000, lateShare: 0.75, lateWorkMs: 1499 });
      for (let count = 0; count < 8; count += 1) mesh.ask(tokens);
      expect(mesh.serve()).toHaveLength(begin);
    }
  });

  test("lets nobody wait longer than the longest wait, if a target is open", () => {
    const mesh = new Mesh(2, { patienceMs: 1000, lateShare: 0, waitMsMax: 5000 });
    mesh.ask(60_000);
    mesh.ask(80_000);
    expect(mesh.serve()).toHaveLength(1);
    mesh.nowMs = 5000;
    mesh.ask(10);
    expect(mesh.serve()[0]).toStartWith("2 to");
  });

  test("lets those who waited longest go before others of their priority, and before no other", () => {
    const mesh = new Mesh(1, { waitMsMax: 5000 });
    mesh.occupy(0, 5500);
    mesh.ask(100, { priority: 2 });
    mesh.nowMs = 5400;
    mesh.ask(90, { priority: 2 });
    mesh.ask(3000, { priority: 1 });
    mesh.nowMs = 5500;
    expect(mesh.serve()).toEqual(["3 to 0: 3000"]);
    mesh.nowMs = 5650;
    expect(mesh.serve().slice(0, 2)).toEqual(["1 to 0: 100", "2 to 0: 90"]);
  });

  test("an overload has those served in time who still can be, whoever waits too long", () => {
    // Twice as much as the target can do, for a minute.
    const goodOf = (overdueShare: number): { readonly inTime: number; readonly overdue: number } => {
      const mesh = new Mesh(1, { waitMsMax: 5000, overdueShare });
      let [inTime, overdue] = [0, 0];
      const waiting: Request[] = [];
      for (let atMs = 0; atMs < 60_000; atMs += 25) {
        mesh.nowMs = atMs;
        waiting.push(mesh.ask(1000));
        // A queue's bound: it is refused.
        while (atMs - waiting[0]!.cameMs >= 7500) mesh.room.remove(waiting.shift()!);
        for (let next = mesh.room.next(atMs); next !== null; next = mesh.room.next(atMs)) {
          mesh.paces[0]!.sent({ tokens: next.freshTokens, sentMs: atMs });
          const waitedMs = atMs - next.waiter.cameMs;
          if (waitedMs <= 2000) inTime += 1;
          else if (waitedMs >= 5000) overdue += 1;
        }
      }
      return { inTime, overdue };
    };
    const shared = goodOf(0.25);
    // Of five units of work, one is for those who waited too long; all the others are in time.
    expect(shared.inTime).toBeGreaterThan(850);
    expect(shared.overdue).toBeGreaterThan(150);
    // Without a share, nobody is after the first seconds.
    expect(goodOf(1000).inTime).toBeLessThan(200);
  });

  test("lets nobody wait for half as long again, whatever the others need", () => {
    const mesh = new Mesh(1, { waitMsMax: 2000, overdueShare: 0, patienceMs: 1000 });
    mesh.occupy(0, 2500);
    for (const tokens of [9000, 9500]) mesh.ask(tokens);
    mesh.nowMs = 2500;
    mesh.ask(500);
    // One had its turn for having waited, and has used up what there was for such.
    expect(mesh.serve().map((each) => each.split(" ")[0])).toEqual(["1"]);
    mesh.nowMs = 2870;
    expect(mesh.serve().map((each) => each.split(" ")[0])).toEqual(["3"]);
    mesh.ask(500);
    mesh.nowMs = 3000;
    expect(mesh.serve()[0]).toBe("2 to 0: 9500");
  });

  test("a tenant that is ahead of others does not go before them for having waited long", () => {
    const mesh = new Mesh(1, { waitMsMax: 5000, horizonMs: 1, overdueShare: 1000 });
    mesh.occupy(0, 6000);
    for (let count = 0; count < 6; count += 1) mesh.ask(1000, { tenant: "much" });
    mesh.nowMs = 5900;
    for (let count = 0; count < 3; count += 1) mesh.ask(1000, { tenant: "little" });
    const order: string[] = [];
    while (mesh.room.waiting > 0) {
      mesh.nowMs = Math.max(mesh.nowMs, mesh.paces[0]!.busyUntilMs);
      order.push(...mesh.serve().map((each) => (Number(each.split(" ")[0]) > 6 ? "little" : "much")));
    }
    expect(order.slice(0, 6).filter((each) => each === "little")).toHaveLength(3);
  });

  test("serves higher priorities first", () => {
    const mesh = new Mesh(1);
    mesh.occupy(0, 100);
    mesh.ask(100, { priority: 2 });
    mesh.ask(9000, { priority: 0 });
    mesh.ask(50, { priority: 1 });
    mesh.nowMs = 100;
    expect(mesh.serve()).toEqual(["2 to 0: 9000"]);
  });

  test("sends nothing to a target without room", () => {
    const mesh = new Mesh(2);
    mesh.full.add(0);
    mesh.ask(100, { cached: [{ target: 0, tokens: 90 }] });
    expect(mesh.serve()).toEqual(["1 to 1: 100"]);
    mesh.full.add(1);
    mesh.ask(100);
    expect(mesh.serve()).toEqual([]);
    expect(mesh.room.wakeAtMs).toBe(Infinity);
  });

  test("looks for homes anew when what it knows is old", () => {
    const mesh = new Mesh(2, { refreshMs: 100 });
    for (const target of [0, 1]) mesh.occupy(target, 300);
    const cached: Home[] = [];
    mesh.ask(4000, { cached });
    cached.push({ target: 1, tokens: 3000 });
    mesh.nowMs = 300;
    expect(mesh.serve()).toEqual(["1 to 1: 1000"]);
  });

  test("forgets who went away", () => {
    const mesh = new Mesh(1);
    mesh.occupy(0, 100);
    const gone = mesh.ask(100);
    expect([mesh.room.remove(gone), mesh.room.remove(gone), mesh.room.waiting]).toEqual([true, false, 0]);
  });

  test("everyone is served once, within the longest wait and what lies before it", () => {
    const request = fc.record({
      afterMs: fc.nat(400),
      tokens: fc.integer({ min: 1, max: 30_000 }),
      home: fc.nat(3),
      cached: fc.double({ min: 0, max: 1, noNaN: true }),
      priority: fc.nat(3),
    });
    fc.assert(
      fc.property(fc.array(request, { maxLength: 60 }), (requests) => {
        const waitMsMax = 3000;
        const mesh = new Mesh(3, { waitMsMax });
        const ends: { target: number; prompt: { tokens: number; sentMs: number }; atMs: number }[] = [];
        const freeMs = [0, 0, 0];
        const waited: number[] = [];
        let coming = 0;
        const serve = (): void => {
          for (let next = mesh.room.next(mesh.nowMs); next !== null; next = mesh.room.next(mesh.nowMs)) {
            const prompt = { tokens: next.freshTokens, sentMs: mesh.nowMs };
            mesh.paces[next.target]!.sent(prompt);
            freeMs[next.target] = Math.max(freeMs[next.target]!, mesh.nowMs) + prompt.tokens * MS_PER_TOKEN;
            ends.push({ target: next.target, prompt, atMs: freeMs[next.target]! });
            waited.push(mesh.nowMs - next.waiter.cameMs);
          }
        };
        let askedMs = requests[0]?.afterMs ?? 0;
        for (let steps = 0; steps < 10_000; steps += 1) {
          const end = ends.toSorted((a, b) => a.atMs - b.atMs)[0];
          const atMs = Math.min(
            coming < requests.length ? askedMs : Infinity,
            end?.atMs ?? Infinity,
            Math.max(mesh.nowMs, mesh.room.wakeAtMs),
          );
          if (atMs === Infinity) break;
          mesh.nowMs = atMs;
          if (end?.atMs === atMs) {
            ends.splice(ends.indexOf(end), 1);
            mesh.paces[end.target]!.answered(end.prompt, atMs);
          } else if (coming < requests.length && askedMs === atMs) {
            const { tokens, home, cached, priority } = requests[coming]!;
            const homes = home < 3 ? [{ target: home, tokens: Math.floor(tokens * cached) }] : [];
            mesh.ask(tokens, { cached: homes, priority });
            coming += 1;
            askedMs = atMs + (requests[coming]?.afterMs ?? 0);
          }
          serve();
        }
        expect(mesh.room.waiting).toBe(0);
        expect(waited).toHaveLength(requests.length);
        // The overdue of higher priority and the prompts before them at the targets: all of the work at most.
        const work = requests.reduce((sum, { tokens }) => sum + tokens * MS_PER_TOKEN, 0);
        for (const ms of waited) expect(ms).toBeLessThanOrEqual(waitMsMax + work);
      }),
    );
  });

  test("lets tenants share, whatever one of them has waiting", () => {
    const mesh = new Mesh(1, { horizonMs: 1 });
    mesh.occupy(0, 100);
    for (let count = 0; count < 6; count += 1) mesh.ask(2000, { tenant: "much" });
    mesh.nowMs = 50;
    for (let count = 0; count < 3; count += 1) mesh.ask(2000, { tenant: "little" });
    const order: string[] = [];
    while (mesh.room.waiting > 0) {
      mesh.nowMs = Math.max(mesh.nowMs, mesh.paces[0]!.busyUntilMs);
      order.push(...mesh.serve().map((each) => (Number(each.split(" ")[0]) > 6 ? "little" : "much")));
    }
    // The one that came first goes first; then in turns.
    expect(order.slice(0, 6).filter((each) => each === "little")).toHaveLength(3);
  });

  test("a target that is slow for other reasons is open, and waited for no longer than others are", () => {
    const delays = [400, 0];
    const paces = [new TargetPace(MS_PER_TOKEN), new TargetPace(MS_PER_TOKEN)];
    let count = 2;
    const targets = {
      get count() {
        return count;
      },
      pace: (target: number) => paces[target]!,
      hasRoom: () => true,
      active: () => 0,
      networkMs: () => 0,
      othersTokens: () => 0,
      othersMs: () => 0,
      delayMs: (target: number) => delays[target]!,
    };
    const room = new LateRoom<Request>({ ...defaultsOf(lateSettings), horizonMs: 60 }, targets, () => []);
    const ask = (id: number): void =>
      room.offer(
        {
          id,
          promptTokens: 3000,
          priority: 1,
          cameMs: 0,
          wantedMs: Infinity,
          cached: [],
          homes: [],
          homesMs: 0,
          leastTokens: 0,
          slackMs: 0,
        },
        0,
      );
    for (const id of [1, 2, 3]) ask(id);
    expect(room.next(0)?.target).toBe(1);
    paces[1]!.sent({ tokens: 3000, sentMs: 0 });
    // Sooner behind ours at the second one than at the first.
    expect([room.next(0), room.wakeAtMs]).toEqual([null, 90]);
    count = 1;
    expect(room.next(0)?.target).toBe(0);
  });
});
