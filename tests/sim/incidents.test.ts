/** What befalls nodes and samples of a simulated mesh: nothing is lost silently, and all of it shows. */
import { describe, expect, test } from "bun:test";
import { defaultsOf } from "../../src/base/settings-reading.ts";
import { lateSettings } from "../../src/flow/late-settings.ts";
import { ARRIVAL_STRATEGIES } from "../../src/score/strategies.ts";
import type { Incident } from "../../src/sim/sim-node.ts";
import type { RouterSpec } from "../../src/sim/router-spec.ts";
import { bound, GPU, ONE_BY_ONE, sessions, world } from "./routed-mesh.ts";
import { seeded } from "./seeded.ts";

const LATE: RouterSpec["strategy"] = defaultsOf(lateSettings);
const MESH = { networkMs: 1, sampleEveryMs: 100, sampleDelayMs: 20 } as const;
const REQUEST = { atMs: 0, promptTokens: 1000, outputTokens: 1, hashes: [] };

/** Down for half of each second. */
function flapping(node: number, untilMs: number): Incident[] {
  const incidents: Incident[] = [];
  for (let atMs = 500; atMs < untilMs; atMs += 1000) {
    incidents.push({ node, atMs, kind: "down" }, { node, atMs: atMs + 500, kind: "up" });
  }
  return incidents;
}

describe("incidents", () => {
  for (const name of [...ARRIVAL_STRATEGIES, "late"] as const) {
    seeded(`by ${name}: with nodes that flap, slow ones and lost samples every request ends once`, (seed) => {
      const incidents: Incident[] = [...flapping(0, 20_000), { node: 1, atMs: 1000, kind: "slow", factor: 3 }];
      const strategy = name === "late" ? LATE : bound(name);
      const more = { ...MESH, routers: 3, router: { strategy, assumedRate: 2 }, sampleLoss: 0.2, incidents };
      const run = () => world(sessions(seed), 5, GPU, more).run();
      const outcome = run();
      expect(outcome.requests).toBe(600);
      expect(outcome.endsMs.length + outcome.lost).toBe(600);
      expect(outcome.lost).toBeGreaterThan(0);
      expect(run()).toEqual(outcome);
    });
  }

  test("what has no token yet when its node goes down is sent to another one", () => {
    const down = (node: number): Incident => ({ node, atMs: 400, kind: "down" });
    for (const strategy of [bound("round-robin"), LATE]) {
      const run = (incidents: Incident[]) => world([REQUEST], 2, ONE_BY_ONE, { router: { strategy }, incidents }).run();
      // It is at one of the two, and ends there or begins anew at the other one.
      const ends = [0, 1].map((node) => Math.round(run([down(node)]).endsMs[0]!));
      expect(ends.toSorted((a, b) => a - b)).toEqual([1000, 1400]);
      const both = run([down(0), down(1)]);
      expect([both.requests, both.lost, both.endsMs.length]).toEqual([1, 1, 0]);
    }
  });

  test("what has a token is not sent again", () => {
    const config = { ...ONE_BY_ONE, stepPerSequenceMs: 10 };
    const incidents: Incident[] = [0, 1].map((node) => ({ node, atMs: 1100, kind: "down" }));
    const outcome = world([{ ...REQUEST, outputTokens: 100 }], 2, config, { incidents }).run();
    expect(outcome.lost).toBe(1);
  });

  test("a node that comes again has lost its cache, and is sent to once a sample tells", () => {
    const hashes = Array.from({ length: 62 }, (_, block) => block);
    const again = [0, 2000, 6000, 8000].map((atMs) => ({ ...REQUEST, atMs, hashes }));
    const hits = (incidents: Incident[]) => world(again, 1, ONE_BY_ONE, { incidents }).run();
    expect(hits([]).hitRate).toBeCloseTo((3 * 62 * 16) / 4000, 6);
    const restarted = hits([
      { node: 0, atMs: 4000, kind: "down" },
      { node: 0, atMs: 4500, kind: "up" },
    ]);
    expect(restarted.hitRate).toBeCloseTo((2 * 62 * 16) / 4000, 6);
    expect(restarted.lost).toBe(0);
  });

  test("a request that waits for a node that never comes again is lost an hour later", () => {
    const incidents: Incident[] = [{ node: 0, atMs: 100, kind: "down" }];
    const outcome = world([REQUEST], 1, ONE_BY_ONE, { router: { strategy: LATE }, incidents }).run();
    expect([outcome.requests, outcome.lost]).toEqual([1, 1]);
    expect(outcome.endMs).toBeWithin(3_599_000, 3_600_001);
  });

  seeded(
    "routers that let one of them decide lose little beside one router; that decide each for itself, much",
    (seed) => {
      const run = (routers: number, deskMs: number | undefined) =>
        world(sessions(seed, 3000, 6), 5, GPU, {
          ...MESH,
          routers,
          router: { strategy: LATE },
          ...(deskMs === undefined ? {} : { deskMs }),
        }).run();
      const alone = run(1, undefined);
      const shared = run(4, 1);
      const apart = run(4, undefined);
      expect([shared.requests, shared.lost]).toEqual([3000, 0]);
      expect(shared.goodput).toBeGreaterThan(alone.goodput - 0.02);
      expect(shared.goodput).toBeGreaterThan(apart.goodput + 0.1);
      expect(shared.ttftMeanMs).toBeLessThan(apart.ttftMeanMs * 0.7);
      expect(run(4, 1)).toEqual(shared);
    },
  );

  seeded("with one that decides, nodes that flap and lost samples, every request ends once", (seed) => {
    const incidents: Incident[] = [...flapping(0, 20_000), { node: 1, atMs: 1000, kind: "slow", factor: 3 }];
    const more = { ...MESH, routers: 3, router: { strategy: LATE, assumedRate: 2 }, sampleLoss: 0.2, incidents };
    const outcome = world(sessions(seed), 5, GPU, { ...more, deskMs: 1 }).run();
    expect(outcome.requests).toBe(600);
    expect(outcome.endsMs.length + outcome.lost).toBe(600);
  });

  seeded("a request that meets an idle node goes out at once, however far the one that decides is", (seed) => {
    const near = { ...MESH, routers: 4, router: { strategy: LATE } };
    const few = sessions(seed, 60, 500);
    const far = world(few, 5, GPU, { ...near, deskMs: 1000 }).run();
    expect(far).toEqual({ ...world(few, 5, GPU, near).run(), endsMs: far.endsMs });
  });

  test("a slow node takes that many times as long, until it is itself again", () => {
    const at = (atMs: number) => ({ ...REQUEST, atMs });
    const incidents: Incident[] = [
      { node: 0, atMs: 0, kind: "slow", factor: 3 },
      { node: 0, atMs: 5000, kind: "slow", factor: 1 },
    ];
    const { endsMs } = world([at(10), at(6000)], 1, ONE_BY_ONE, { incidents }).run();
    expect(endsMs[0]).toBeCloseTo(3000, 3);
    expect(endsMs[1]).toBeCloseTo(1000, 3);
  });
});
