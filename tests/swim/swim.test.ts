import { describe, expect, test } from "bun:test";
import { Prng } from "../../src/base/prng.ts";
import { SWIM_PROFILES } from "../../src/swim/settings.ts";
import { Swim } from "../../src/swim/swim.ts";
import { Circle, DEFAULTS, selfOf, START_MS } from "./lone.ts";

describe("a small mesh", () => {
  test("gathers by joining one member, and agrees", () => {
    const circle = new Circle(8);
    circle.run(5_000);
    for (const swim of circle.swims.values()) {
      expect(swim.size).toBe(8);
      expect(swim.digest).toBe(circle.swim(0).digest);
    }
    expect(circle.swim(3).member("n5")).toMatchObject({
      address: "10.0.0.5:7946",
      status: "alive",
      incarnation: 100,
      versions: [1, 1],
      meta: new Uint8Array([5]),
    });
    expect(
      circle
        .swim(3)
        .members()
        .map((member) => member.id),
    ).toHaveLength(8);
    expect(circle.swim(3).member("nobody")).toBeUndefined();
    expect(circle.events.filter((event) => event.kind !== "joined")).toEqual([]);
  });

  test.each(["lan", "wan", "local"] as const)("notices a failure, and a return (%s)", (profile) => {
    const circle = new Circle(6, SWIM_PROFILES[profile]);
    circle.run(10_000);
    circle.silent.add("10.0.0.3:7946");
    circle.run(60_000);
    expect(circle.told("failed", "n3").sort()).toEqual([0, 1, 2, 4, 5].map((index) => `10.0.0.${index}:7946`));
    expect(circle.told("suspect", "n3").length).toBeGreaterThan(0);
    expect(circle.swim(0).size).toBe(5);
    circle.silent.clear();
    circle.run(60_000);
    expect(circle.told("alive-again", "n3").length).toBeGreaterThanOrEqual(5);
    for (const swim of circle.swims.values()) expect([swim.size, swim.digest]).toEqual([6, circle.swim(0).digest]);
    // Frozen, it held nobody for dead: its clock stood still.
    expect(circle.events.filter((event) => event.kind === "failed" && event.id !== "n3")).toEqual([]);
    expect(circle.swim(3).incarnation).toBeGreaterThan(100);
  });

  test("a member takes leave, and stays gone until it comes back by itself", () => {
    const circle = new Circle(5);
    circle.run(3_000);
    circle.swim(2).leave(circle.nowMs);
    circle.drain("10.0.0.2:7946");
    circle.run(30_000);
    expect(circle.told("left", "n2")).toHaveLength(5);
    expect(circle.told("failed", "n2")).toEqual([]);
    expect(circle.swim(0).status("n2")).toBe("left");
    circle.start(selfOf(2, { incarnation: 200 }), ["10.0.0.0:7946"]);
    circle.run(10_000);
    expect(circle.swim(4).status("n2")).toBe("alive");
  });

  test("metadata reaches everybody", () => {
    const circle = new Circle(6);
    circle.run(3_000);
    circle.swim(1).setProfile({ meta: new Uint8Array([7, 7]) }, circle.nowMs);
    circle.drain("10.0.0.1:7946");
    circle.run(3_000);
    expect(circle.told("updated", "n1")).toHaveLength(5);
    expect(circle.swim(5).member("n1")?.meta).toEqual(new Uint8Array([7, 7]));
  });

  test("a late profile of one that is gone is no news of it", () => {
    const circle = new Circle(5);
    circle.run(3_000);
    const [late, gone] = [circle.swim(4), selfOf(1)];
    circle.silent.add(selfOf(4).address);
    circle.swim(1).setProfile({ meta: new Uint8Array([9]) }, circle.nowMs);
    circle.drain(gone.address);
    circle.run(2_000);
    // What a push/pull answered while it lived, on its way for long.
    const stranger = new Swim(DEFAULTS, selfOf(40), new Prng(40), circle.nowMs);
    stranger.join([selfOf(0).address], circle.nowMs);
    const state = circle.swim(0).answer(stranger.take().streams[0]!.frame, circle.nowMs);
    circle.silent.add(gone.address);
    circle.silent.delete(selfOf(4).address);
    circle.run(30_000);
    expect(late.status("n1")).toBe("failed");
    const { length } = circle.events;
    late.join([selfOf(0).address], circle.nowMs);
    const [order] = late.take().streams;
    late.streamed(order!.id, state, circle.nowMs);
    circle.drain(selfOf(4).address);
    expect(late.status("n1")).toBe("failed");
    expect(circle.events.slice(length).filter(({ id }) => id === "n1")).toEqual([]);
  });

  test("round trips are measured", () => {
    const circle = new Circle(3);
    circle.run(20_000);
    const member = circle.swim(0).member("n1");
    expect(member?.rttMs).toBeDefined();
    expect(member?.answeredAtMs).toBeGreaterThan(START_MS);
  });

  test("failed members are forgotten in the end", () => {
    const circle = new Circle(4, { forgetAfterMs: 60_000 });
    circle.run(3_000);
    circle.silent.add("10.0.0.3:7946");
    circle.run(120_000);
    expect(circle.swim(0).status("n3")).toBe("none");
    expect(circle.swim(0).members()).toHaveLength(3);
  });
});

describe("identity", () => {
  test("a restart at the same address is the same node, even with a lower incarnation", () => {
    const circle = new Circle(4);
    circle.run(3_000);
    circle.start(selfOf(3, { incarnation: 50 }), ["10.0.0.0:7946"]);
    circle.run(5_000);
    expect(circle.swim(3).incarnation).toBeGreaterThan(100);
    expect(circle.events.some((event) => event.kind === "conflict" || event.kind === "failed")).toBe(false);
    expect(circle.swim(1).status("n3")).toBe("alive");
  });

  test("a restart elsewhere moves the member", () => {
    const circle = new Circle(5);
    circle.run(3_000);
    circle.silent.add("10.0.0.3:7946");
    circle.run(500);
    circle.start(selfOf(3, { incarnation: 200, address: "10.0.9.3:7946" }), ["10.0.0.0:7946"]);
    circle.run(5_000);
    for (const index of [0, 1, 2, 4]) {
      expect(circle.swim(index).member("n3")).toMatchObject({ address: "10.0.9.3:7946", status: "alive" });
    }
    expect(circle.told("failed", "n3")).toEqual([]);
  });

  test("a successor takes the identity over, and the predecessor goes", () => {
    const circle = new Circle(5);
    circle.run(3_000);
    circle.start(selfOf(3, { incarnation: 300, address: "10.0.9.3:7946" }), ["10.0.0.0:7946"]);
    circle.run(10_000);
    expect(circle.told("replaced", "n3")).toEqual(["10.0.0.3:7946"]);
    expect(circle.told("conflict", "n3")).toEqual([]);
    expect(circle.swim(1).member("n3")?.address).toBe("10.0.9.3:7946");
  });

  test("another node with the id is refused while the first answers, and let in when it is gone", () => {
    const circle = new Circle(5);
    circle.run(3_000);
    const thief = { identity: 999, incarnation: 900, address: "10.0.9.3:7946" };
    const newcomer = circle.start(selfOf(3, thief), ["10.0.0.0:7946"]);
    expect(circle.told("refused", "n3")).toEqual(["10.0.9.3:7946"]);
    expect(circle.events.find((event) => event.kind === "refused")?.cause).toContain("10.0.0.3:7946");
    expect(circle.told("conflict", "n3")).toEqual(["10.0.0.0:7946"]);
    circle.run(5_000);
    expect(circle.swim(1).member("n3")?.address).toBe("10.0.0.3:7946");
    expect(newcomer.size).toBe(1);
    // It asks the namesake itself, too.
    newcomer.join(["10.0.0.3:7946"], circle.nowMs);
    circle.drain("10.0.9.3:7946");
    expect(circle.told("refused", "n3")).toHaveLength(2);
    circle.silent.add("10.0.0.3:7946");
    circle.run(15_000);
    newcomer.join(["10.0.0.0:7946"], circle.nowMs);
    circle.drain("10.0.9.3:7946");
    circle.run(5_000);
    expect(circle.swim(1).member("n3")).toMatchObject({ address: "10.0.9.3:7946", status: "alive" });
  });
});

describe("limits", () => {
  test("a full mesh lets nobody in", () => {
    const circle = new Circle(4, { membersMax: 4 });
    circle.start(selfOf(9), ["10.0.0.0:7946"]);
    expect(circle.events.find((event) => event.kind === "refused")?.cause).toContain("4 members");
    circle.run(3_000);
    expect(circle.swim(0).size).toBe(4);
  });

  test("another cluster's packets and frames are dropped", () => {
    const circle = new Circle(2);
    const other = new Swim(DEFAULTS, selfOf(7, { cluster: "other" }), new Prng(1), START_MS);
    other.join(["10.0.0.0:7946"], START_MS);
    const { streams } = other.take();
    expect(circle.swim(0).answer(streams[0]!.frame, START_MS)).toBeUndefined();
    expect(circle.swim(0).drops.otherCluster).toBe(1);
    expect(other.streamed(streams[0]!.id, undefined, START_MS)).toBe("unreachable");
    expect(other.streamed(streams[0]!.id, undefined, START_MS)).toBeUndefined();
  });

  test("a member alone wakes now and then, and sends nothing", () => {
    const alone = new Swim(DEFAULTS, selfOf(1), new Prng(1), START_MS);
    let { wakeAtMs } = alone.take();
    for (let round = 0; round < 100; round += 1) {
      alone.wake(wakeAtMs);
      const taken = alone.take();
      expect([taken.sends.length, taken.streams.length, taken.events.length]).toEqual([0, 0, 0]);
      expect(taken.wakeAtMs).toBeGreaterThan(wakeAtMs);
      ({ wakeAtMs } = taken);
    }
  });
});
