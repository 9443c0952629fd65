/** Routers that let one of them decide for a model. */
import { describe, expect, test } from "bun:test";
import { deskOwner } from "../../src/flow/desk-owner.ts";
import { seeded, SEED } from "../sim/seeded.ts";
import { type Ask, DeskWorld, type Router, SILENCE_MS } from "./desk-world.ts";

const IDS = ["a", "b", "c"];

/** Three routers that know each other, and more than the places can take at each. */
function crowded(places = 2, each = 10): { world: DeskWorld; owner: Router; others: Router[] } {
  const world = new DeskWorld(SEED, places);
  world.join(...IDS);
  world.run(20);
  const model = world.models[0]!;
  for (let count = 0; count < each; count += 1) for (const id of IDS) world.at(id).send(model);
  world.run(10);
  const owner = world.owner();
  return { world, owner, others: world.others(owner) };
}

/** Each was bound, once, and nothing is left anywhere. */
function expectAllDone(world: DeskWorld): void {
  for (const ask of world.asks()) expect(ask.boundMs).toBeGreaterThanOrEqual(ask.cameMs);
  for (const { waiting, given, desk, isDead, id } of world.routers.values()) {
    if (isDead) continue;
    expect([id, waiting.size, [...given.values()].filter((count) => count !== 0)]).toEqual([id, 0, []]);
    expect(desk.figures()).toMatchObject({ asked: 0, guests: 0 });
  }
}

/** The name of one that would decide for the model beside those that there are. */
function betterOne(world: DeskWorld): string {
  const ids = [...world.routers.keys()];
  const names = Array.from({ length: 100 }, (_, at) => `better${at}`);
  return names.find((name) => deskOwner([...ids, name], world.models[0]!) === name)!;
}

const by = (router: Router): Set<string> => new Set(router.asked.map((ask: Ask) => ask.by));

describe("one desk for a model", () => {
  test("one router decides for all that are there, and nothing is left when all is done", () => {
    const { world, owner, others } = crowded();
    world.run(2000);
    expectAllDone(world);
    for (const router of IDS.map((id) => world.at(id))) expect([...by(router)]).toEqual([owner.id]);
    expect(owner.desk.figures()).toMatchObject({ routers: 2, boundHere: 20, broken: 0, declined: 0, malformed: 0 });
    for (const { desk } of others) expect(desk.figures()).toMatchObject({ routers: 2, boundThere: 10, boundHere: 0 });
    // One order, in which they came: what waits longest went first, whoever it had come to.
    const all = [...world.asks()];
    expect(Math.max(...all.map(({ boundMs }) => boundMs))).toBeLessThan(30 * 20);
  });

  test("others know that somebody waits there, until nobody does", () => {
    const { world, owner, others } = crowded();
    const model = world.models[0]!;
    for (const { desk } of others) expect(desk.isCrowdedElsewhere(model, world.nowMs)).toBe(true);
    expect(owner.desk.isCrowdedElsewhere(model, world.nowMs)).toBe(false);
    // Whoever comes hears of it, too.
    world.join("d");
    world.run(20);
    const late = world.at("d");
    if (world.owner() === owner) expect(late.desk.isCrowdedElsewhere(model, world.nowMs)).toBe(true);
    world.run(2000);
    for (const { desk } of world.routers.values()) expect(desk.isCrowdedElsewhere(model, world.nowMs)).toBe(false);
    expectAllDone(world);
  });

  test("models are decided by several", () => {
    const world = new DeskWorld(SEED, 2, 24);
    world.join(...IDS);
    world.run(20);
    for (const model of world.models) world.at("a").send(model);
    world.run(5);
    expect(new Set(world.models.map((model) => world.at("a").desk.deciderOf(model, world.nowMs))).size).toBe(3);
    world.run(3000);
    expectAllDone(world);
  });

  test("a client that leaves, waiting or bound, is forgotten there as well", () => {
    const { world, others } = crowded();
    const [one] = others;
    const waits = one!.asked.find(({ boundMs }) => boundMs < 0)!;
    one!.leave(waits);
    world.run(5);
    const bound = one!.asked.find(({ boundMs, doneMs }) => boundMs >= 0 && doneMs > world.nowMs && doneMs < Infinity);
    if (bound !== undefined) one!.leave(bound);
    world.run(2000);
    expect(waits.boundMs).toBe(-1);
    expectAllDone(world);
  });

  test("where a prompt is cached is told when it changes", () => {
    const { world, owner, others } = crowded(1);
    const ask = [...others[0]!.waiting].at(-1)!;
    ask.homes = [{ place: 1, tokens: 5 }];
    world.run(120);
    expect([...owner.waiting].filter(({ isGuest, homes }) => isGuest && homes.length > 0).length).toBe(1);
  });
});

describe("when something is wrong", () => {
  test("the one that decides dies: others bind what they had asked about, and then another one decides", () => {
    const { world, owner, others } = crowded();
    owner.isDead = true;
    const boundBefore = others.flatMap(({ asked }) => asked).filter(({ boundMs }) => boundMs >= 0).length;
    // Nobody has told them of it.
    world.run(SILENCE_MS + 60);
    for (const { desk } of others) expect(desk.figures().broken).toBe(1);
    expect(others.flatMap(({ asked }) => asked).filter(({ boundMs }) => boundMs >= 0).length).toBeGreaterThan(
      boundBefore,
    );
    world.run(2000);
    expectAllDone(world);
    world.gossip();
    const next = world.owner();
    const model = world.models[0]!;
    for (let count = 0; count < 10; count += 1) for (const { id } of others) world.at(id).send(model);
    world.run(2000);
    expectAllDone(world);
    for (const { asked } of others) expect(new Set(asked.slice(10).map((ask) => ask.by))).toEqual(new Set([next.id]));
  });

  test("the one that decides stands still for a while: nothing is bound twice when it goes on", () => {
    const { world, owner, others } = crowded();
    owner.isHung = true;
    world.run(1000);
    for (const { waiting } of others) expect(waiting.size).toBe(0);
    owner.isHung = false;
    world.run(3000);
    expectAllDone(world);
    // It is one of them again.
    for (const { desk } of others) expect(desk.figures().routers).toBe(2);
    expect(owner.desk.figures().guests).toBe(0);
  });

  test("several die at once: nobody waits for one after the other", () => {
    const world = new DeskWorld(SEED, 2);
    world.join("a", "b", "c", "d", "e");
    world.run(20);
    const model = world.models[0]!;
    const owner = world.owner();
    for (let count = 0; count < 6; count += 1) for (const { id } of world.routers.values()) world.at(id).send(model);
    world.run(10);
    const left = world.others(owner).slice(0, 2);
    for (const router of world.routers.values()) router.isDead = !left.includes(router);
    world.run(SILENCE_MS + 60);
    for (const { desk, given } of left) {
      expect(desk.isElsewhere(model)).toBe(false);
      expect([...given.values()].some((count) => count > 0)).toBe(true);
    }
    world.run(2000);
    expectAllDone(world);
  });

  test("routers that don't all hear each other: one that is asked and thinks that another decides declines", () => {
    const { world, owner, others } = crowded(2, 0);
    const [one, other] = others;
    const model = world.models[0]!;
    // The one that would decide without it hears of it, and the third does not.
    world.cut.push([owner.id, one!.id]);
    world.run(4000);
    for (let count = 0; count < 10; count += 1) for (const { id } of world.routers.values()) world.at(id).send(model);
    world.run(200);
    expect(other!.desk.deciderOf(model, world.nowMs)).toBe(owner.id);
    expect(other!.desk.figures().guests).toBe(0);
    world.run(2000);
    expectAllDone(world);
    expect(one!.asked.every((ask) => ask.by === one!.id || ask.by === other!.id)).toBe(true);
  });

  test("one that hears of a better one takes back what it has asked the one before", () => {
    const { world, owner, others } = crowded(1);
    const better = betterOne(world);
    world.cut.push([owner.id, better]);
    world.join(better);
    world.run(60);
    const model = world.models[0]!;
    for (const { desk } of others) expect(desk.deciderOf(model, world.nowMs)).toBe(better);
    expect(owner.desk.isElsewhere(model)).toBe(false);
    world.run(10);
    expect(owner.desk.figures().guests).toBe(0);
    world.run(4000);
    expectAllDone(world);
  });

  test("one that decides and hears of a better one declines what others have asked it, who don't hear that one", () => {
    const { world, owner, others } = crowded(1);
    const better = betterOne(world);
    for (const { id } of others) world.cut.push([id, better]);
    world.join(better);
    world.run(60);
    const model = world.models[0]!;
    expect(owner.desk.deciderOf(model, world.nowMs)).toBe(better);
    expect([...owner.waiting].filter(({ isGuest }) => isGuest)).toEqual([]);
    for (const { desk } of others) expect([desk.isElsewhere(model), desk.figures().declined]).toEqual([false, 1]);
    world.run(4000);
    expectAllDone(world);
  });

  test("one that asks dies: what it had asked about is forgotten", () => {
    const { world, owner, others } = crowded();
    others[0]!.isDead = true;
    world.run(2500);
    expectAllDone(world);
    expect(owner.desk.figures().broken).toBe(1);
  });

  test("a router that is parted from the others decides for itself, and asks again when it is back", () => {
    const { world, others } = crowded();
    const [one] = others;
    world.parted.add(one!.id);
    world.run(1000);
    expect(one!.waiting.size).toBe(0);
    world.parted.clear();
    world.run(5000);
    const model = world.models[0]!;
    const before = one!.asked.length;
    for (let count = 0; count < 10; count += 1) one!.send(model);
    world.run(2000);
    expect(new Set(one!.asked.slice(before).map((ask) => ask.by))).toEqual(new Set([world.owner().id]));
    expectAllDone(world);
  });

  test("one that is about to end decides no more: what was asked of it goes to the next one at once", () => {
    const { world, owner, others } = crowded();
    owner.desk.offer(false, world.nowMs);
    world.run(60);
    const next = world.owner();
    expect(next).not.toBe(owner);
    world.run(2000);
    expectAllDone(world);
    for (const { desk } of world.routers.values()) expect(desk.figures().broken).toBe(0);
    // All that were left went to that one.
    expect(others.flatMap(({ asked }) => asked).some(({ by: decided }) => decided === next.id)).toBe(true);
  });

  test("a process that takes a router's place begins anew, and nothing of before counts", () => {
    const { world, owner } = crowded();
    const before = owner.asked.length;
    expect(before).toBe(10);
    world.join(owner.id);
    world.run(3000);
    expectAllDone(world);
  });

  test("routers whose places differ decide each for itself, and ask again when they are the same", () => {
    const world = new DeskWorld(SEED, 2);
    world.join(...IDS);
    world.run(20);
    const model = world.models[0]!;
    world.at("a").send(model);
    world.run(100);
    const owner = world.owner();
    const [one] = world.others(owner);
    one!.places = [1];
    const before = one!.asked.length;
    for (let count = 0; count < 8; count += 1) one!.send(model);
    world.run(800);
    expect(new Set(one!.asked.slice(before).map((ask) => ask.by))).toEqual(new Set([one!.id]));
    expect(one!.desk.figures().declined).toBeGreaterThan(0);
    one!.places = world.places;
    world.run(3000);
    const again = one!.asked.length;
    for (let count = 0; count < 8; count += 1) one!.send(model);
    world.run(800);
    expect(new Set(one!.asked.slice(again).map((ask) => ask.by))).toEqual(new Set([owner.id]));
    expectAllDone(world);
  });

  test("a place that one router can't reach is passed over for that one, and used by the others", () => {
    const { world, owner, others } = crowded();
    const [one, other] = others;
    one!.unreachable.add(1);
    world.run(3000);
    expectAllDone(world);
    const late = one!.asked.filter(({ boundMs }) => boundMs > 10);
    expect(new Set(late.map(({ place }) => place))).toEqual(new Set([2]));
    for (const router of [owner, other!]) expect(router.asked.some(({ place }) => place === 1)).toBe(true);
  });

  test("strangers are not heard, and a router that speaks another protocol is no part of it", () => {
    const { world, owner } = crowded();
    const before = owner.desk.figures();
    owner.desk.receive("nobody", Uint8Array.of(0x62, 1, 1), world.nowMs);
    expect(owner.desk.figures()).toEqual(before);
    world.join("old");
    world.at("old").isDead = true;
    owner.desk.present([...IDS, "old"], world.nowMs);
    owner.desk.receive("old", Uint8Array.of(0x62, 9, 1, 1, 1, 1, 1), world.nowMs);
    expect(owner.desk.figures()).toMatchObject({ routers: 2, malformed: 1 });
    world.run(3000);
    expectAllDone(world);
  });
});

for (let offset = 0; offset < 12; offset += 1) {
  seeded(`whatever happens, all are bound, and once (+${offset})`, (seed) => {
    const world = new DeskWorld(seed + offset, 3, 3);
    const { prng } = world;
    world.loss = 0.1;
    world.join("a", "b", "c", "d");
    world.run(50);
    for (let step = 0; step < 60; step += 1) {
      const alive = [...world.routers.values()].filter(({ isDead }) => !isDead);
      const one = alive[prng.int(alive.length)]!;
      for (let count = prng.int(6); count > 0; count -= 1) one.send(world.models[prng.int(3)]!);
      switch (prng.int(12)) {
        case 0:
          if (alive.length > 2) one.isDead = true;
          break;
        case 1:
          one.isHung = !one.isHung;
          break;
        case 2:
          if (world.parted.has(one.id)) world.parted.delete(one.id);
          else world.parted.add(one.id);
          break;
        case 3:
          world.gossip();
          break;
        case 4:
          world.join(`new${step}`);
          break;
        case 5: {
          const ask = one.asked[prng.int(Math.max(1, one.asked.length))];
          if (ask !== undefined && ask.boundMs < 0 && !ask.hasLeft && !one.isHung) one.leave(ask);
          break;
        }
        case 6:
          one.desk.offer(prng.int(2) === 0, world.nowMs);
          break;
        default:
      }
      world.run(prng.int(120));
    }
    for (const router of world.routers.values()) router.isHung = false;
    world.parted.clear();
    world.loss = 0;
    world.run(6000);
    for (const ask of world.asks()) expect(ask.boundMs).toBeGreaterThanOrEqual(ask.cameMs);
    for (const { waiting, desk, isDead } of world.routers.values()) {
      if (!isDead) expect([waiting.size, desk.figures().asked, desk.figures().guests]).toEqual([0, 0, 0]);
    }
  });
}
