/** Second tries in the simulated mesh. */
import { expect, test } from "bun:test";
import type { Incident } from "../../src/sim/sim-node.ts";
import { bound, GPU, sessions, world } from "./routed-mesh.ts";

const COUNT = 1500;
/** A node that stands still again and again for longer than prompts take. */
const stalls: Incident[] = Array.from({ length: 8 }, (_, at) => [
  { node: 1, atMs: 4000 + at * 3000, kind: "slow" as const, factor: 200 },
  { node: 1, atMs: 4400 + at * 3000, kind: "slow" as const, factor: 1 },
]).flat();
const flaps: Incident[] = Array.from({ length: 8 }, (_, at) => [
  { node: 2, atMs: 5000 + at * 3000, kind: "down" as const },
  { node: 2, atMs: 5600 + at * 3000, kind: "up" as const },
]).flat();

function played(strategy: "ttft" | "hedged", incidents: readonly Incident[]) {
  const mesh = { networkMs: 0.5, sampleEveryMs: 100, sampleDelayMs: 5, ttftMs: 500, incidents };
  return world(sessions(3, COUNT, 20), 4, GPU, { ...mesh, router: { strategy: bound(strategy) } }).play();
}

test("overtake a node that stands still, and what was sent in vain is counted", () => {
  const plain = played("ttft", stalls);
  const hedged = played("hedged", stalls);
  expect([plain.hedges, plain.hedgeWasteTokens]).toEqual([0, 0]);
  expect(hedged.hedges).toBeGreaterThan(10);
  // A twentieth of the requests at most, and what a pause saves up.
  expect(hedged.hedges).toBeLessThan(COUNT * 0.05 + 10);
  expect(hedged.hedgeWasteTokens).toBeGreaterThanOrEqual(hedged.hedges);
  expect(hedged.ttftsMs.length + hedged.lost + hedged.refused).toBe(COUNT);
  const above = (ttftsMs: Float64Array): number => ttftsMs.filter((ms) => ms > 400).length;
  expect(above(hedged.ttftsMs)).toBeLessThan(above(plain.ttftsMs));
});

test("come to one end each, whatever fails meanwhile", () => {
  const incidents = [...stalls, ...flaps].toSorted((a, b) => a.atMs - b.atMs);
  const first = played("hedged", incidents);
  expect(first.hedges).toBeGreaterThan(0);
  expect(first.ttftsMs.length + first.lost + first.refused).toBe(COUNT);
  expect(played("hedged", incidents)).toEqual(first);
});
