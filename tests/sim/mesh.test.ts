import { describe, expect, test } from "bun:test";
import { Prng } from "../../src/base/prng.ts";
import { detection, partitionHalf, plainRules, quantile, settled, slowMembers } from "./mesh-measure.ts";
import { MeshWorld, type Node } from "./mesh-world.ts";
import { SEED, seeded } from "./seeded.ts";

/** What must hold at every moment of every run. */
class Invariants {
  readonly faults: string[] = [];
  readonly #seen = new Map<string, number>();
  readonly #departed = new Map<string, number>();

  watch(world: MeshWorld): void {
    world.onEvent = (node, { kind, id, incarnation }) => {
      const key = `${node.id}/${node.life}/${id}`;
      const before = this.#seen.get(key) ?? 0;
      if (incarnation < before) this.faults.push(`${node.id} saw ${id} go from ${before} back to ${incarnation}`);
      this.#seen.set(key, incarnation);
      if (kind === "left") this.#departed.set(key, incarnation);
      const left = this.#departed.get(key);
      if (left !== undefined && kind !== "left" && incarnation <= left) {
        this.faults.push(`${node.id} saw ${id}, which had left at ${left}: ${kind} at ${incarnation}`);
      }
    };
  }
}

function expectAgreement(world: MeshWorld, gone: ReadonlySet<Node> = new Set()): void {
  const up = world.nodes.filter((node) => node.up && !gone.has(node));
  const sizes = up.filter((node) => node.swim.size !== up.length).map((node) => `${node.id}: ${node.swim.size}`);
  expect(sizes).toEqual([]);
  expect(new Set(up.map((node) => node.swim.digest)).size).toBe(1);
}

describe("a simulated mesh", () => {
  test("the same seed gives the same bytes, another seed others", () => {
    const run = (seed: number): number => {
      const world = new MeshWorld({ seed, nodes: 40, loss: 0.1, duplication: 0.05, jitterMs: 20 });
      world.acquaint();
      world.at(world.nowMs + 5_000, () => world.crash(world.nodes[3]!));
      world.stall(world.nodes[5]!, "io", world.nowMs + 4_000);
      world.runFor(20_000);
      return world.hash;
    };
    expect(run(SEED)).toBe(run(SEED));
    expect(run(SEED)).not.toBe(run(SEED + 1));
  });

  seeded("a crowd that starts at once gathers through one member", (seed) => {
    const world = new MeshWorld({ seed, nodes: 120, loss: 0.02 });
    for (const node of world.nodes.slice(1)) world.join(node, world.nodes[0]!);
    const failed: string[] = [];
    world.onEvent = (_node, event) => {
      if (event.kind === "failed") failed.push(event.id);
    };
    world.runFor(10_000);
    expectAgreement(world);
    expect(failed).toEqual([]);
  });

  seeded("who missed a newcomer finds out by its probes, long before everything is compared", (seed) => {
    // Each piece of news is sent so seldom that it misses some; members that have just started compare, but these have not.
    const config = { retransmitMult: 1, pushPullIntervalMs: 3_600_000 };
    const world = new MeshWorld({ seed, nodes: 150, config });
    world.acquaint();
    world.runFor(1_000);
    const newcomer = world.add();
    world.join(newcomer, world.nodes[0]!);
    world.runFor(3_000);
    expect(world.nodes.filter(({ swim }) => swim.status(newcomer.id) === "none").length).toBeGreaterThan(0);
    world.runFor(12_000);
    expectAgreement(world);
  });

  seeded("churn, loss, duplication, reordering, blocks: it agrees in the end", (seed) => {
    const world = new MeshWorld({ seed, nodes: 40, loss: 0.05, duplication: 0.05, jitterMs: 30 });
    const invariants = new Invariants();
    invariants.watch(world);
    world.acquaint();
    const prng = new Prng(seed + 1);
    const gone = new Set<Node>();
    for (let round = 0; round < 60; round += 1) {
      const node = world.nodes[1 + prng.int(world.nodes.length - 1)]!;
      const act = prng.int(6);
      if (gone.has(node)) {
        // Nobody comes back from a leave here.
      } else if (act === 0 && node.up) world.crash(node);
      else if (act === 1 && node.up) world.stall(node, prng.int(2) === 0 ? "io" : "process", world.nowMs + 3_000);
      else if (act === 2 && gone.size < 6 && node.up && node.stall === undefined) {
        world.leave(node);
        gone.add(node);
      } else if (act === 3) world.setMeta(world.nodes[0]!, new Uint8Array([round]));
      else if (act === 4) world.join(world.add(), world.nodes[0]!);
      else world.restart(node, world.nodes[0]!, act === 5 ? `10.9.${round}.1:7946` : node.address);
      world.runFor(500 + prng.int(2_000));
    }
    world.runFor(120_000);
    expect(invariants.faults).toEqual([]);
    expectAgreement(world, gone);
    for (const node of gone) expect(world.nodes[0]!.swim.status(node.id)).toBe("left");
  });

  seeded("a refutation reaches everybody in two seconds, time and again", (seed) => {
    const world = settled({ seed, nodes: 200 });
    const [sick] = world.nodes;
    const accused = new Set<string>();
    world.onEvent = (node, { kind, id }) => {
      if (kind === "suspect" && node !== sick && id !== sick!.id) accused.add(id);
    };
    for (let round = 0; round < 6; round += 1) {
      world.stall(sick!, "io", world.nowMs + 6_000);
      world.runFor(8_000);
      for (const id of accused) {
        const doubters = world.nodes.filter((node) => node.swim.status(id) === "suspect").map((node) => node.id);
        expect(doubters).toEqual([]);
      }
      world.runFor(1_000);
    }
    expect(accused.size).toBeGreaterThan(0);
  });

  seeded("a one-way cut does no lasting harm", (seed) => {
    const world = settled({ seed, nodes: 30 });
    world.partition((node) => (node.index < 3 ? 0 : 1), true);
    world.runFor(20_000);
    world.heal();
    world.runFor(30_000);
    expectAgreement(world);
  });
});

describe("what the benchmark measures, in small", () => {
  seeded("a failure is known to all soon", (seed) => {
    const { allMs, falsePositives, packets } = detection({ seed, nodes: 200 }, 12, 1_500);
    expect(quantile(allMs, 0)).toBeGreaterThan(0);
    expect(quantile(allMs, 0.5)).toBeLessThan(6_000);
    expect(quantile(allMs, 1)).toBeLessThan(10_000);
    expect(falsePositives).toBe(0);
    const plain = detection({ seed, nodes: 200, rules: plainRules(2_000) }, 12, 1_500);
    expect(packets / plain.packets).toBeLessThan(1.15);
  });

  seeded("lost packets make nobody fail", (seed) => {
    const world = settled({ seed, nodes: 200, loss: 0.05 });
    let failed = 0;
    world.onEvent = (_node, { kind }) => {
      if (kind === "failed") failed += 1;
    };
    world.runFor(60_000);
    expect(failed).toBe(0);
  });

  seeded("slow members take few healthy ones with them", (seed) => {
    const anomalies = { slow: 8, stall: "io", blockedMs: 8_000, runningMs: 1_000, lastMs: 40_000 } as const;
    const full = slowMembers({ seed, nodes: 100 }, anomalies);
    const plain = slowMembers({ seed, nodes: 100, rules: plainRules(2_000) }, anomalies);
    expect(plain.all).toBeGreaterThan(1_000);
    expect(full.all / plain.all).toBeLessThan(0.02);
    expect(full.packets / plain.packets).toBeLessThan(1.15);
  });

  seeded("a partition of half the mesh heals", (seed) => {
    const { healedMs, apart } = partitionHalf({ seed, nodes: 80 }, 60_000, 30_000);
    expect(apart).toBeGreaterThan(0.99);
    expect(healedMs).toBeGreaterThan(0);
  });
});
