import { expect, test } from "bun:test";
import { TargetShares } from "../../src/proxy/target-shares.ts";

const placesOf = (model: number, count: number) =>
  Array.from({ length: count }, (_, at) => ({ route: { model }, key: at * 1000 + model }));

test("routers that know the same routers and places agree whose each place is", () => {
  const places = [...placesOf(1, 7), ...placesOf(5, 4)];
  const ids = ["x", "y", "z"];
  const shares = ids.map((self) => {
    const one = new TargetShares(() => places);
    one.setRouters(
      self,
      ids.filter((id) => id !== self),
    );
    return one;
  });
  for (const place of places) expect(shares.filter((one) => !one.isOthers(place))).toHaveLength(1);
  // Of each model each has some.
  for (const model of [1, 5]) {
    const own = shares.map(
      (one) => places.filter((place) => place.route.model === model && !one.isOthers(place)).length,
    );
    expect(Math.min(...own)).toBeGreaterThan(0);
  }
});

test("a router that is alone shares nothing; who leaves and what comes is taken into account", () => {
  const places = placesOf(1, 4);
  const one = new TargetShares(() => places);
  const others = (): number => places.filter((place) => one.isOthers(place)).length;
  expect(others()).toBe(0);
  one.setRouters("x", ["y"]);
  expect(others()).toBe(2);
  places.push(...placesOf(1, 8).slice(4));
  one.changed();
  expect(others()).toBe(4);
  one.setRouters("x", []);
  expect(others()).toBe(0);
});
