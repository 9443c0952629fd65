import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { Prng } from "../../src/base/prng.ts";
import { Acquaintances } from "../../src/swim/acquaintance.ts";
import { coordinateDistance, ERROR, freshCoordinate, Vivaldi } from "../../src/swim/coordinate.ts";
import { Lexicon, Names } from "../../src/swim/lexicon.ts";
import { Rumours } from "../../src/swim/rumours.ts";
import { Whereabouts } from "../../src/swim/whereabouts.ts";
import { MESSAGE } from "../../src/swim/wire.ts";

describe("the lexicon", () => {
  test("is a counted set of texts with dense handles, whatever is held and let go", () => {
    fc.assert(
      fc.property(fc.array(fc.tuple(fc.boolean(), fc.nat(60)), { maxLength: 400 }), (steps) => {
        const lexicon = new Lexicon();
        const holds = new Map<string, number>();
        for (const [isHold, which] of steps) {
          const text = `name-${which}`;
          const count = holds.get(text) ?? 0;
          if (isHold) {
            const handle = lexicon.holdText(text);
            expect(lexicon.text(handle)).toBe(text);
            holds.set(text, count + 1);
          } else if (count > 0) {
            lexicon.release(lexicon.findText(text));
            if (count === 1) holds.delete(text);
            else holds.set(text, count - 1);
          }
        }
        expect(lexicon.size).toBe(holds.size);
        expect(lexicon.handlesMax).toBeLessThanOrEqual(61);
        for (let which = 0; which <= 60; which += 1) {
          const bytes = new TextEncoder().encode(`name-${which}`);
          const isHeld = holds.has(`name-${which}`);
          expect(lexicon.find(bytes, 0, bytes.length) >= 0).toBe(isHeld);
          expect(lexicon.findText(`name-${which}`) >= 0).toBe(isHeld);
        }
      }),
    );
  });
});

describe("rumours", () => {
  test("go out least sent first, each so often, the newer in place of the older", () => {
    const rumours = new Rumours(4, 4);
    for (let member = 0; member < 3; member += 1) rumours.put(member, MESSAGE.again, 1, []);
    const told: number[] = [];
    const tell = (room: number): void => {
      let left = room;
      rumours.fill(({ member }) => {
        if (left === 0) return false;
        left -= 1;
        told.push(member);
        return true;
      }, 2);
    };
    tell(2);
    tell(2);
    expect(told).toEqual([0, 1, 2, 0]);
    rumours.put(1, MESSAGE.again, 2, []);
    expect(rumours.get(1)?.sent).toBe(0);
    tell(9);
    expect(told.slice(4)).toEqual([1, 2]);
    tell(9);
    expect(rumours.size).toBe(0);
  });

  test("beyond the limit the one sent most often goes", () => {
    const rumours = new Rumours(3, 4);
    for (let member = 0; member < 3; member += 1) rumours.put(member, MESSAGE.again, 1, []);
    rumours.fill(({ member }) => member === 1, 9);
    rumours.put(3, MESSAGE.again, 1, []);
    expect([0, 1, 2, 3].map((member) => rumours.get(member) !== undefined)).toEqual([true, false, true, true]);
  });
});

test("coordinates learn the round trips of a plane", () => {
  const prng = new Prng(5);
  const places = Array.from({ length: 25 }, () => [prng.next() * 40, prng.next() * 40, 1 + prng.next()] as const);
  const trip = (a: number, b: number): number => {
    const [ax, ay, ah] = places[a]!;
    const [bx, by, bh] = places[b]!;
    return Math.hypot(ax - bx, ay - by) + ah + bh;
  };
  const nodes = places.map((_, index) => new Vivaldi(new Prng(index)));
  for (let round = 0; round < 4_000; round += 1) {
    const a = prng.int(25);
    const b = (a + 1 + prng.int(24)) % 25;
    nodes[a]!.observe(nodes[b]!.own.slice(), trip(a, b));
  }
  const errors: number[] = [];
  for (let a = 0; a < 25; a += 1) {
    for (let b = 0; b < a; b += 1) {
      errors.push(Math.abs(coordinateDistance(nodes[a]!.own, nodes[b]!.own) / trip(a, b) - 1));
    }
  }
  errors.sort((x, y) => x - y);
  expect(errors[Math.floor(errors.length / 2)]).toBeLessThan(0.1);
  expect(nodes[0]!.own[ERROR]).toBeLessThan(0.3);
  // Nonsense starts it anew.
  nodes[0]!.observe(freshCoordinate().fill(Number.NaN), 5);
  expect(nodes[0]!.own[ERROR]).toBe(1.5);
});

test("any number of members may tell where they are before they have answered", () => {
  const acquaintances = new Acquaintances();
  const at = (x: number): Float32Array => Float32Array.from(freshCoordinate()).fill(x, 0, 1);
  for (let member = 1; member <= 100; member += 1) acquaintances.place(member, at(member));
  for (let member = 1; member <= 100; member += 1) expect(acquaintances.coordinate(member)?.[0]).toBe(member);
});

test("a distance is told when both ends are placed well, in milliseconds or in share of it", () => {
  const names = new Names();
  const [a, b, c] = ["a", "b", "c"].map((id) => names.ids.holdText(id)) as [number, number, number];
  const here = new Whereabouts(names, a, new Prng(1));
  const at = (x: number, error: number): Float32Array => {
    const coordinate = Float32Array.from(freshCoordinate());
    coordinate[0] = x;
    coordinate[ERROR] = error;
    return coordinate;
  };
  here.place("b", at(100, 0.2));
  here.place("c", at(60, 0.2));
  expect(here.distance("b", "c")).toBeCloseTo(40, 0);
  // Our own has not moved yet, and nobody knows d.
  expect([here.distance("a", "b"), here.distance("b", "d")]).toEqual([undefined, undefined]);
  here.place("c", at(60, 0.7));
  expect(here.distance("b", "c")).toBeUndefined();
  here.place("c", at(97, 0.7));
  expect(here.distance("b", "c")).toBeCloseTo(3, 0);
  for (const bad of [at(Number.NaN, 0.1), at(Infinity, 0.1), new Float32Array(3)]) here.place("c", bad);
  here.place("a", at(5, 0.1));
  expect(here.distance("b", "c")).toBeCloseTo(3, 0);
  expect(here.own[0]).toBe(0);
  expect([b, c].map((member) => here.acquaintances.rttMs(member))).toEqual([undefined, undefined]);
});
