import { describe, expect, test } from "bun:test";
import { PlaceKeys } from "../../src/proxy/place-keys.ts";
import { placeKey } from "../../src/signal/flights.ts";

const MODELS = [
  { id: 3, name: "m", protocol: "http" as const, created: 0 },
  { id: 4, name: "m", protocol: "grpc" as const, created: 0 },
  { id: 5, name: "m", protocol: "http" as const, created: 0, pool: "rev:2" },
];

function rowOf(row: number, model: number, node: string) {
  const at = { host: "127.0.0.1", port: 1, tls: false, protocol: "http" as const, weight: 1, tellsLoad: false };
  return { row, model, node, ...at };
}

describe("keys of places", () => {
  test("tell models of one name apart by protocol and pool, and lead back", () => {
    const keys = new PlaceKeys({ models: MODELS, rows: [rowOf(7, 3, "a"), rowOf(9, 3, "b"), rowOf(8, 5, "c")] });
    expect(new Set(MODELS.map(({ id }) => keys.modelKey(id))).size).toBe(3);
    for (const { id } of MODELS) expect(keys.model(keys.modelKey(id))).toBe(id);
    const [a, b, c] = [placeKey("a", "m"), placeKey("b", "m"), placeKey("c", "m")];
    expect([keys.key(7), keys.row(3, a), keys.row(3, c), keys.row(5, c)]).toEqual([a, 7, -1, 8]);
    expect([keys.digest(3), keys.digest(5), keys.digest(4)]).toEqual([(a + b) % 2 ** 48, c, -1]);
    expect([keys.key(1), keys.modelKey(9), keys.model(1)]).toEqual([-1, -1, -1]);
  });

  test("are the same whatever numbers a router gives, and others where it knows other targets", () => {
    const one = new PlaceKeys({ models: MODELS, rows: [rowOf(7, 3, "a"), rowOf(9, 3, "b")] });
    const models = [{ id: 0, name: "m", protocol: "http" as const, created: 9 }];
    const other = new PlaceKeys({ models, rows: [rowOf(0, 0, "b"), rowOf(1, 0, "a")] });
    expect([other.modelKey(0), other.digest(0), other.key(1)]).toEqual([one.modelKey(3), one.digest(3), one.key(7)]);
    other.routes = { models, rows: [rowOf(0, 0, "b")] };
    expect(other.digest(0)).not.toBe(one.digest(3));
    expect([other.row(0, one.key(7)), other.row(0, one.key(9))]).toEqual([-1, 0]);
  });
});
