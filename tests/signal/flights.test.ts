/** What routers tell each other of their requests in flight. */
import { expect, test } from "bun:test";
import { Prng } from "../../src/base/prng.ts";
import { FlightTeller, NO_LOAD, PeerFlights, placeKey } from "../../src/signal/flights.ts";

const SEED = Number(process.env["SEED"] ?? 1);
const KEY = placeKey("gpu-1", "llama");
let lives = 0;

test("keys of 100,000 places differ", () => {
  const keys = new Set<number>();
  for (let at = 0; at < 100_000; at += 1) keys.add(placeKey(`gpu-${at % 25_000}.eu`, `model-${at % 4}/x`));
  for (let at = 0; at < 25_000; at += 1)
    for (let m = 0; m < 4; m += 1) keys.add(placeKey(`gpu-${at}.eu`, `model-${m}/x`));
  expect(keys.size).toBe(100_000);
  for (const key of keys) expect(key).toBeLessThan(2 ** 48);
});

test("a load is heard, changes, and ends; without news nothing is sent but a refresh each second", () => {
  const teller = new FlightTeller(1300, new Prng(SEED + lives++));
  const peers = new PeerFlights();
  const round = (load: { requests: number; tokens: number }, nowMs: number): number => {
    const packets = teller.tell([[KEY, load]], nowMs);
    for (const packet of packets) peers.receive("r2", packet, nowMs);
    return packets.length;
  };
  expect(round({ requests: 2, tokens: 1000 }, 0)).toBe(1);
  expect(peers.load(KEY).requests).toBe(2);
  expect(Math.abs(peers.load(KEY).tokens - 1000)).toBeLessThan(5);
  expect(round({ requests: 2, tokens: 1010 }, 200)).toBe(0);
  expect(round({ requests: 2, tokens: 2000 }, 400)).toBe(1);
  expect(round({ requests: 2, tokens: 2000 }, 600)).toBe(0);
  expect(round({ requests: 2, tokens: 2000 }, 1000)).toBe(1);
  expect([round(NO_LOAD, 1200), round(NO_LOAD, 1400), round(NO_LOAD, 1600), round(NO_LOAD, 1800)]).toEqual([
    1, 1, 1, 0,
  ]);
  expect(peers.load(KEY)).toEqual(NO_LOAD);
});

test("sums of many routers, through loss, are right in the end; one that dies is forgotten", () => {
  const prng = new Prng(SEED);
  const keys = Array.from({ length: 300 }, (_, at) => placeKey(`gpu-${at}`, "m"));
  const routers = Array.from({ length: 4 }, () => ({
    teller: new FlightTeller(1300, new Prng(SEED + lives++)),
    loads: new Map(keys.map((key) => [key, { requests: 0, tokens: 0 }])),
  }));
  const peers = new PeerFlights();
  const touched = new Set<number>();
  let nowMs = 0;
  const step = (loss: number, alive = routers): void => {
    nowMs += 200;
    for (const [index, { teller, loads }] of alive.entries()) {
      for (const packet of teller.tell(loads, nowMs)) {
        expect(packet.length).toBeLessThanOrEqual(1300);
        if (prng.next() < loss) continue;
        for (const key of peers.receive(`r${index}`, packet, nowMs)) touched.add(key);
      }
    }
    for (const key of peers.expire(nowMs)) touched.add(key);
  };
  for (let round = 0; round < 100; round += 1) {
    for (const { loads } of routers) {
      for (let change = 0; change < 30; change += 1) {
        const requests = prng.int(3) === 0 ? 0 : prng.int(50);
        loads.set(keys[prng.int(keys.length)]!, { requests, tokens: requests * 100 });
      }
    }
    step(0.2);
  }
  for (let calm = 0; calm < 25; calm += 1) step(0);
  for (const key of keys) {
    const requests = routers.reduce((sum, { loads }) => sum + loads.get(key)!.requests, 0);
    if (peers.load(key).requests !== requests)
      throw new Error(`${peers.load(key).requests} for ${requests}: SEED=${SEED}`);
    expect(touched.has(key)).toBe(true);
  }
  for (let silent = 0; silent < 25; silent += 1) step(0, routers.slice(0, 1));
  expect(peers.peers).toBe(1);
  peers.forget("r0");
  expect(keys.every((key) => peers.load(key).requests === 0 && peers.load(key).tokens === 0)).toBe(true);
});

test(`mutated messages are refused whole or read (SEED=${SEED})`, () => {
  const prng = new Prng(SEED);
  const loads = Array.from(
    { length: 200 },
    (_, at) => [placeKey(`g${at}`, "m"), { requests: at, tokens: at * 9 }] as const,
  );
  const packets = new FlightTeller(1300, new Prng(SEED + lives++)).tell(loads, 0);
  const peers = new PeerFlights();
  for (let count = 0; count < 100_000; count += 1) {
    const packet = packets[prng.int(packets.length)]!.slice();
    for (let changes = 1 + prng.int(3); changes > 0; changes -= 1) packet[prng.int(packet.length)] = prng.int(256);
    peers.receive("r", packet.subarray(0, prng.int(8) === 0 ? prng.int(packet.length) : packet.length), count / 100);
    if (count % 1000 === 0) peers.forget("r");
  }
  expect(peers.malformed).toBeGreaterThan(1000);
  peers.forget("r");
  for (const [key] of loads) expect(peers.load(key)).toEqual(NO_LOAD);
});

test("an older message is dropped, a new life ends the former, and a place that is no more is told empty", () => {
  const teller = new FlightTeller(1300, new Prng(SEED));
  const peers = new PeerFlights();
  const [busy] = teller.tell([[KEY, { requests: 40, tokens: 4000 }]], 0);
  const [idle] = teller.tell([[KEY, NO_LOAD]], 200);
  peers.receive("r", idle!, 300);
  expect(peers.receive("r", busy!, 301)).toEqual([]);
  expect(peers.load(KEY)).toEqual(NO_LOAD);
  const other = placeKey("gpu-2", "llama");
  for (const packet of teller.tell([[other, { requests: 1, tokens: 10 }]], 400)) peers.receive("r", packet, 400);
  expect(peers.load(other).requests).toBe(1);
  for (const packet of teller.tell([], 1600)) peers.receive("r", packet, 1600);
  expect(peers.load(other)).toEqual(NO_LOAD);
  for (const packet of teller.tell([[KEY, { requests: 5, tokens: 0 }]], 1800)) peers.receive("r", packet, 1800);
  const reborn = new FlightTeller(1300, new Prng(SEED + 1));
  const [first] = reborn.tell([[other, { requests: 2, tokens: 0 }]], 0);
  expect(new Set(peers.receive("r", first!, 1900))).toEqual(new Set([KEY, other]));
  expect([peers.load(KEY).requests, peers.load(other).requests, peers.peers]).toEqual([0, 2, 1]);
});
