/** The watch of a runtime on a virtual clock: what it asks, when, and how it judges what comes of it. */
import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import type { Feed, LookRole } from "../../src/runtimes/adapter.ts";
import { provesLoaded } from "../../src/runtimes/proofs.ts";
import { broken, fine, hang, Life, looksOf, model, type Outcome, refuse, say } from "./life.ts";

function ready(looks?: ConstructorParameters<typeof Life>[0]): Life {
  const life = new Life(looks);
  life.pass(5000);
  expect(life.state).toBe("ready");
  return life;
}

const statesOf = (life: Life) => life.states.map(({ state }) => state);

describe("a start", () => {
  test("asks who it is, whether it serves and what, and then for its metrics", () => {
    const life = new Life();
    life.pass(100);
    expect(statesOf(life)).toEqual(["connecting", "starting", "ready"]);
    expect(life.rolesSince(0)).toEqual(["identity", "health", "models"]);
    life.pass(1000);
    expect(life.rolesSince(0).slice(0, 4)).toEqual(["identity", "health", "models", "metrics"]);
  });

  test("of a server that loads still waits for it", () => {
    const life = new Life();
    life.outcome = (role) => (role === "health" ? say("not_ready", "loading weights") : fine);
    life.pass(30_000);
    expect(life.state).toBe("starting");
    expect(life.watch.status.message).toBe("loading weights");
    expect(life.countSince(0, "metrics")).toBe(0);
    life.outcome = () => fine;
    life.pass(3000);
    expect(life.state).toBe("ready");
  });

  test("goes on without what this version does not have", () => {
    const life = new Life();
    life.outcome = (role) => (role === "models" || role === "detail" ? say("not_supported") : fine);
    life.pass(10_000);
    expect(life.state).toBe("ready");
    expect(life.countSince(0, "models")).toBe(1);
    life.pass(300_000);
    expect(life.countSince(0, "models")).toBe(2);
  });

  test("before the runtime's own is waited for twice a second, without a request", () => {
    const life = new Life();
    life.listens = false;
    life.outcome = () => refuse;
    life.pass(60_000);
    expect(life.state).toBe("down");
    expect(life.watch.status.message).toContain("ECONNREFUSED");
    expect(life.asked).toHaveLength(1);
    expect(life.connects).toBeGreaterThan(100);
    life.start();
    life.pass(600);
    expect(life.state).toBe("ready");
  });
});

describe("while it serves", () => {
  test("metrics are looked at each interval, the rest seldom", () => {
    const life = ready();
    const fromMs = life.nowMs;
    life.pass(600_000);
    const atMs = life.asked.filter((ask) => ask.role === "metrics" && ask.atMs >= fromMs).map((ask) => ask.atMs);
    expect(Math.max(...atMs.slice(1).map((each, i) => each - atMs[i]!))).toBeLessThanOrEqual(1151);
    // As often as metrics leave something of a request a second.
    expect(life.countSince(fromMs, "models")).toBeWithin(35, 45);
    expect(life.countSince(fromMs, "health")).toBeWithin(9, 11);
    expect(life.countSince(fromMs, "detail")).toBeWithin(2, 4);
    expect(life.countSince(fromMs, "identity")).toBe(0);
    expect(statesOf(life).at(-1)).toBe("ready");
  });

  test("without metrics its models are looked at each interval", () => {
    const life = ready(looksOf("identity", "models"));
    life.pass(60_000);
    expect(life.countSince(5000, "models")).toBeGreaterThan(50);
  });

  test("by its metrics alone it is known by them", () => {
    const life = new Life(looksOf("metrics"));
    expect(life.state).toBe("connecting");
    life.pass(10);
    expect(life.state).toBe("ready");
  });

  test("one that takes its time to answer is asked less", () => {
    const life = ready();
    life.outcome = () => ({ ...fine, tookMs: 900 }) as Outcome;
    life.pass(20_000);
    const fromMs = life.nowMs;
    life.pass(60_000);
    expect(life.countSince(fromMs, "metrics")).toBeWithin(11, 15);
    expect(life.state).toBe("ready");
  });

  test("a hint lets its models be looked at, but not all the time", () => {
    const life = ready();
    const fromMs = life.nowMs;
    for (let i = 0; i < 60; i++) {
      life.marks.models++;
      life.marks.loads++;
      life.pass(500);
    }
    expect(life.countSince(fromMs, "models")).toBeWithin(8, 16);
    expect(life.countSince(fromMs, "metrics")).toBeGreaterThan(12);
  });

  test("hints that come to nothing make no metrics late from then on", () => {
    const life = ready();
    const hint = () => {
      life.marks.models++;
      life.pass(1150);
    };
    for (let i = 0; i < 10; i++) hint();
    const fromMs = life.nowMs;
    for (let i = 0; i < 100; i++) hint();
    expect(life.countSince(fromMs, "models")).toBeWithin(6, 12);
    expect(life.countSince(fromMs, "metrics")).toBeGreaterThanOrEqual(100);
    // One that is definite is followed at once.
    life.pass(13_000);
    hint();
    const definiteMs = life.nowMs;
    life.marks.models++;
    life.marks.loads++;
    life.pass(2300);
    expect(life.rolesSince(definiteMs)).toContain("models");
  });

  test("a page that can't be read any more lets its models be looked at", () => {
    const life = ready();
    life.pass(10_300);
    const fromMs = life.nowMs;
    life.outcome = (role) => (role === "metrics" ? say("unreadable") : fine);
    life.pass(4000);
    expect(life.countSince(fromMs, "models")).toBe(1);
    expect(life.state).toBe("ready");
  });

  test("another process is asked all anew, and so is one whose models we changed", () => {
    const life = ready();
    life.pass(60_000);
    life.marks.process++;
    const fromMs = life.nowMs;
    life.pass(6000);
    expect(new Set(life.rolesSince(fromMs))).toEqual(new Set(["identity", "health", "models", "metrics"]));
    life.pass(30_000);
    const hurriedMs = life.nowMs;
    life.happens((watch, nowMs) => watch.hurry(nowMs));
    life.pass(1100);
    expect(life.rolesSince(hurriedMs)).toContain("models");
  });

  test("what is asked may change with what was answered, and leaves it ready", () => {
    const life = ready();
    const pages = ["a", "b", "c"].map((name) => ({ ...looksOf("metrics")[0]!, name }));
    life.wanted.looks = [
      ...looksOf("identity", "health", "models"),
      ...pages,
      { ...looksOf("models")[0]!, name: "more" },
    ];
    const fromMs = life.nowMs;
    life.pass(60_000);
    expect(statesOf(life)).toEqual(["connecting", "starting", "ready"]);
    // Three pages share the interval, and the rest is not forgotten for them.
    expect(life.countSince(fromMs, "metrics")).toBeWithin(45, 54);
    expect(life.countSince(fromMs, "models")).toBeWithin(3, 8);
    expect(life.countSince(fromMs, "detail")).toBe(0);
    life.wanted.looks = looksOf("identity", "models");
    life.pass(5000);
    expect(life.rolesSince(life.nowMs - 3000)).toEqual(expect.arrayContaining(["models"]));
    expect(life.countSince(life.nowMs - 3000, "metrics")).toBe(0);
  });

  test("there is always a request left for what can't wait", () => {
    const life = ready(looksOf("identity", "health", "models", "metrics"));
    life.pass(60_000);
    for (let round = 0; round < 40; round++) {
      life.pass(20_000 + round * 173);
      const atMs = life.nowMs;
      life.happens((watch, nowMs) => watch.hurry(nowMs));
      // One that is under way ends first.
      life.pass(5);
      expect(life.rolesSince(atMs)).toContain("models");
      life.pass(1200);
      expect(life.countSince(atMs, "metrics")).toBeGreaterThan(0);
    }
  });

  test("several runtimes are asked together, whenever each of them came", () => {
    const lives = [0, 317, 650, 991].map((startMs) => {
      const life = new Life();
      life.listens = false;
      life.outcome = () => refuse;
      life.pass(startMs);
      life.start();
      life.pass(60_000 - startMs);
      return life;
    });
    for (const life of lives) life.pass(60_000);
    const beats = lives.map(
      (life) => new Set(life.asked.filter(({ atMs }) => atMs >= 60_000).map(({ atMs }) => atMs - (atMs % 50))),
    );
    for (const beat of beats) expect(beat).toEqual(beats[0]!);
  });

  test("models that are not told for once leave it ready; health decides", () => {
    const life = ready();
    life.outcome = (role) => (role === "models" ? say("not_ready", "one of them loads") : fine);
    const fromMs = life.nowMs;
    life.pass(30_000);
    expect(life.state).toBe("ready");
    expect(life.watch.status.message).toBe("one of them loads");
    expect(life.countSince(fromMs, "health")).toBeGreaterThan(0);
    life.outcome = (role) => (role === "models" || role === "health" ? say("not_ready", "all of them load") : fine);
    life.pass(30_000);
    expect(life.state).toBe("starting");
  });

  test("a change of models is told", () => {
    const life = ready();
    life.pass(60_000);
    const before = life.changes;
    life.pass(60_000);
    expect(life.changes).toBe(before);
    life.models = [model("a")];
    life.pass(1200);
    expect(life.changes).toBe(before + 1);
    life.models = [model("a", "unloading")];
    life.pass(1200);
    expect(life.changes).toBe(before + 2);
  });
});

describe("what goes wrong", () => {
  test("a crash is down as soon as its connection ends", () => {
    const life = ready();
    life.pass(10_300);
    const diedMs = life.nowMs;
    life.die();
    life.pass(50);
    expect(life.state).toBe("down");
    expect(life.states.at(-1)!.atMs - diedMs).toBeLessThanOrEqual(10);
    expect(life.restarts).toBe(1);
  });

  test("a process that still takes a connection as it dies is down a moment later", () => {
    const life = ready();
    life.pass(10_300);
    const diedMs = life.nowMs;
    life.happens((watch, nowMs) => watch.closed(nowMs));
    life.pass(10);
    expect(life.state).toBe("ready");
    life.listens = false;
    life.pass(60);
    expect(life.state).toBe("down");
    expect(life.states.at(-1)!.atMs - diedMs).toBeLessThanOrEqual(50);
  });

  test("a connection that only ended is none", () => {
    const life = ready();
    for (let i = 0; i < 100; i++) {
      life.happens((watch, nowMs) => watch.closed(nowMs));
      life.pass(700);
    }
    expect(statesOf(life)).toEqual(["connecting", "starting", "ready"]);
    // Its server may be another one since then, though not each time.
    expect(life.countSince(10_000, "identity")).toBeWithin(3, 5);
    expect(life.countSince(10_000, "metrics")).toBeGreaterThan(40);
  });

  test("another server that is there before anybody has looked is known at once", () => {
    const life = ready();
    life.pass(10_300);
    life.outcome = (role) => (role === "identity" ? say("foreign") : fine);
    const fromMs = life.nowMs;
    life.happens((watch, nowMs) => watch.closed(nowMs));
    life.pass(1100);
    expect(life.rolesSince(fromMs)[0]).toBe("identity");
    expect(life.state).toBe("foreign");
    life.outcome = () => fine;
    life.pass(10_000);
    expect(life.state).toBe("ready");
    // And once more, a moment later.
    life.outcome = (role) => (role === "identity" ? say("foreign") : fine);
    life.happens((watch, nowMs) => watch.closed(nowMs));
    life.pass(20_000);
    expect(life.state).toBe("foreign");
  });

  test("a hung one is unresponsive within its bound, and back with its first answer", () => {
    const life = ready();
    life.pass(10_000);
    const stoppedMs = life.nowMs;
    life.outcome = () => hang;
    life.pass(20_000);
    expect(life.state).toBe("unresponsive");
    expect(life.watch.status.message).toMatch(/^it answers nothing: ./);
    const at = life.states.find(({ state }) => state === "unresponsive")!.atMs;
    expect(at - stoppedMs).toBeLessThanOrEqual(3000);
    life.outcome = () => fine;
    life.pass(2300);
    expect(life.state).toBe("ready");
    expect(life.restarts).toBe(0);
  });

  test("slow metrics are late, not down: it serves, and is asked for them less", () => {
    const life = ready();
    life.outcome = (role) => (role === "metrics" ? hang : fine);
    life.pass(60_000);
    expect(new Set(life.states.filter(({ atMs }) => atMs > 5000).map(({ state }) => state))).toEqual(new Set(["slow"]));
    expect(life.watch.isReady).toBe(true);
    expect(life.watch.status.message).toContain("metrics timeout");
    expect(life.countSince(20_000, "metrics")).toBeLessThan(8);
    life.outcome = () => fine;
    life.pass(11_000);
    expect(life.state).toBe("ready");
    expect(life.watch.status.message).toBe("");
  });

  test.each([
    ["garbage", say("unreadable", "no text of metrics")],
    ["a refusal", say("denied", "no text of metrics")],
    ["too much", { kind: "fail", why: "too_large", tookMs: 50 } as const],
  ])("%s in place of metrics leaves it ready, with a word", (_what, outcome) => {
    const life = ready();
    life.outcome = (role) => (role === "metrics" ? outcome : fine);
    life.pass(60_000);
    expect(statesOf(life)).toEqual(["connecting", "starting", "ready"]);
    expect(life.watch.status.message).not.toBe("");
    life.outcome = () => fine;
    life.pass(11_000);
    expect(life.watch.status.message).toBe("");
  });

  test.each([
    ["another server", "identity", say("foreign"), "foreign"],
    ["HTML in place of a version", "identity", say("unreadable"), "foreign"],
    ["something without HTTP", "identity", broken, "foreign"],
    ["none of its paths", "all", say("not_supported"), "foreign"],
    ["a missing key", "models", say("denied"), "denied"],
    ["a list that is garbage from the start", "models", say("unreadable"), "starting"],
    ["a list that is endless from the start", "models", { kind: "fail", why: "too_large", tookMs: 9 }, "starting"],
  ] as const)("%s is %s: %s", (_what, where, outcome, state) => {
    const life = new Life();
    life.outcome = (role) => (where === "all" || role === where ? outcome : fine);
    life.pass(30_000);
    expect(life.state).toBe(state);
    expect(life.watch.isReady).toBe(false);
    expect(life.watch.status.message).not.toBe("");
    expect(life.countSince(0, "metrics")).toBe(0);
    life.outcome = () => fine;
    life.pass(9000);
    expect(life.state).toBe("ready");
  });

  test("a list of models that breaks later leaves the one of before", () => {
    const life = ready();
    life.outcome = (role) => (role === "models" ? say("unreadable", "garbage") : fine);
    life.pass(60_000);
    expect(life.state).toBe("ready");
    expect(life.watch.status.message).toBe("garbage");
  });

  test("health that fails sends nothing more there", () => {
    const life = ready();
    life.outcome = (role) => (role === "health" ? say("not_ready", "the engine is dead") : fine);
    life.pass(75_000);
    expect(life.watch.status).toMatchObject({ state: "starting", message: "the engine is dead" });
  });

  test("answers that break off are those of somebody else only when they go on", () => {
    const life = ready();
    let breaks = 2;
    life.outcome = () => (breaks-- > 0 ? broken : fine);
    life.pass(10_000);
    expect(life.state).toBe("ready");
    life.outcome = () => broken;
    life.pass(10_000);
    expect(life.state).toBe("foreign");
    life.outcome = () => fine;
    life.pass(9000);
    expect(life.state).toBe("ready");
  });

  test("who answers late what was ended before is not heard twice", () => {
    const life = ready();
    const look = looksOf("models")[0]!;
    life.happens((watch, nowMs) => watch.failed(look, "timeout", "late", nowMs));
    life.happens((watch, nowMs) =>
      watch.answered(look, { status: 200, contentType: "", body: new Uint8Array(0) }, nowMs, 1),
    );
    expect(life.state).toBe("ready");
  });
});

describe("random lives", () => {
  const outcome: fc.Arbitrary<Outcome> = fc.oneof(
    { weight: 6, arbitrary: fc.integer({ min: 0, max: 999 }).map((tookMs) => ({ ...fine, tookMs }) as Outcome) },
    fc.constantFrom<Outcome>(
      hang,
      broken,
      refuse,
      say("not_ready"),
      say("foreign"),
      say("denied"),
      say("unreadable"),
      say("not_supported"),
      { kind: "fail", why: "too_large", tookMs: 30 },
    ),
  );
  const roles = fc.subarray<LookRole>(["identity", "health", "models", "metrics", "detail"], { minLength: 1 });
  const EVENTS = [
    "none",
    "close",
    "die",
    "start",
    "hurry",
    "hint",
    "process",
    "models",
    "prove",
    "fed",
    "unfed",
    "absent",
  ];
  const part = fc.record({
    ms: fc.integer({ min: 0, max: 20_000 }),
    outcomes: fc.array(outcome, { minLength: 1, maxLength: 5 }),
    event: fc.constantFrom(...EVENTS),
  });

  const FEED: Feed = { ask: { method: "GET", port: "api", path: "/feed" }, read: () => undefined };

  const happens = (life: Life, event: string) => {
    if (event === "close") life.happens((watch, nowMs) => watch.closed(nowMs));
    else if (event === "hurry") life.happens((watch, nowMs) => watch.hurry(nowMs));
    else if (event === "die") life.die();
    else if (event === "start") life.start();
    else if (event === "hint") life.marks.models++;
    else if (event === "process") life.marks.process++;
    else if (event === "prove") life.happens((watch, nowMs) => watch.proved("p", provesLoaded(["p"]), nowMs));
    else if (event === "fed" && life.isFed) {
      life.happens((watch, nowMs) => watch.fed({ model: "m0", proof: provesLoaded(["m0"]) }, nowMs));
    } else if ((event === "unfed" || event === "absent") && life.isFed) {
      life.isFed = false;
      life.happens((watch, nowMs) => watch.feedEnded(event === "absent", nowMs));
    } else if (event === "models") life.models = [...life.models, model(`m${life.models.length}`)];
  };

  test("never have two asks under way, cost a request a second at most, and end well", () => {
    fc.assert(
      fc.property(
        roles.filter((some) => some.some((role) => role !== "detail")),
        fc.array(part, { maxLength: 12 }),
        fc.boolean(),
        (some, parts, hasFeed) => {
          const life = new Life(looksOf(...some));
          if (hasFeed) life.wanted.feed = FEED;
          for (const { ms, outcomes, event } of parts) {
            let next = 0;
            life.outcome = () => outcomes[next++ % outcomes.length]!;
            happens(life, event);
            life.pass(ms);
            expect(life.watch.isReady).toBe(["ready", "slow"].includes(life.state));
          }
          life.start();
          life.happens((watch, nowMs) => watch.wake(nowMs));
          life.pass(20_000);
          expect(life.state).toBe("ready");
          const times = life.asked.map(({ atMs }) => atMs);
          for (let i = 60; i < times.length; i++) expect(times[i]! - times[i - 60]!).toBeGreaterThanOrEqual(60_000);
        },
      ),
      { numRuns: 300 },
    );
  });

  test("tell of a crash at once and of a hang within its bound, whatever was before", () => {
    fc.assert(
      fc.property(fc.array(part, { maxLength: 6 }), fc.integer({ min: 0, max: 3000 }), (parts, ms) => {
        const life = new Life();
        for (const each of parts) {
          let next = 0;
          life.outcome = () => each.outcomes[next++ % each.outcomes.length]!;
          happens(life, each.event);
          life.pass(each.ms);
        }
        life.start();
        life.pass(20_000 + ms);
        life.outcome = () => hang;
        life.pass(3000 + 1000 + 5);
        expect(life.state).toBe("unresponsive");
        life.start();
        life.pass(20_000);
        expect(life.state).toBe("ready");
        life.die();
        life.pass(10);
        expect(life.state).toBe("down");
      }),
      { numRuns: 200 },
    );
  });
});
