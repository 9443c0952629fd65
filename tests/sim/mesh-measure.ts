/** Experiments with simulated meshes, and what they measure; the benchmark runs them large, the tests small. */
import { Prng } from "../../src/base/prng.ts";
import type { SwimConfig, SwimRules } from "../../src/swim/settings.ts";
import { FULL_RULES } from "../../src/swim/settings.ts";
import { MeshWorld, type Node, type Stall } from "./mesh-world.ts";

export interface Experiment {
  readonly seed: number;
  readonly nodes: number;
  readonly config?: Partial<SwimConfig>;
  readonly rules?: SwimRules;
  readonly loss?: number;
}

/** Plain SWIM with the same probes and gossip: a fixed suspicion, and nothing of Lifeguard or our own. */
export function plainRules(fixedSuspicionMs: number): SwimRules {
  return {
    ...FULL_RULES,
    localHealth: false,
    dynamicSuspicion: false,
    fixedSuspicionMs,
    buddy: false,
    evidence: false,
    selfDoubt: false,
    damping: false,
  };
}

/** After the meeting, whatever was on its way has been told. */
const SETTLE_MS = 3_000;

export function settled(experiment: Experiment): MeshWorld {
  const world = new MeshWorld(experiment);
  world.acquaint();
  world.runFor(SETTLE_MS);
  return world;
}

export interface Detection {
  /** From each crash to the first member that holds it for failed, and to the last; -1 where somebody never does. */
  readonly firstMs: number[];
  readonly allMs: number[];
  readonly packets: number;
  readonly bytes: number;
  /** Failures reported of members that had not crashed. */
  readonly falsePositives: number;
  readonly seconds: number;
}

/** Members crash one after the other, `spacingMs` apart. */
export function detection(experiment: Experiment, crashes: number, spacingMs: number): Detection {
  const world = settled(experiment);
  const prng = new Prng(experiment.seed + 1);
  const crashedAtMs = new Map<string, number>();
  const firstMs = new Map<string, number>();
  const lastMs = new Map<string, number>();
  const known = new Map<string, number>();
  let falsePositives = 0;
  world.onEvent = (_node, { kind, id }) => {
    if (kind !== "failed") return;
    const atMs = crashedAtMs.get(id);
    if (atMs === undefined) {
      falsePositives += 1;
      return;
    }
    if (!firstMs.has(id)) firstMs.set(id, world.nowMs - atMs);
    lastMs.set(id, world.nowMs - atMs);
    known.set(id, (known.get(id) ?? 0) + 1);
  };
  const startMs = world.nowMs;
  const { packets, bytes } = world;
  for (let count = 0; count < crashes; count += 1) {
    world.runFor(spacingMs);
    const up = world.nodes.filter((node) => node.up);
    const victim = up[prng.int(up.length)]!;
    crashedAtMs.set(victim.id, world.nowMs);
    world.crash(victim);
  }
  world.runFor(30_000);
  const survivors = world.nodes.filter((node) => node.up);
  const allMs = [...crashedAtMs.keys()].map((id) => {
    const isKnown = survivors.every((node) => node.swim.status(id) === "failed");
    return isKnown ? (lastMs.get(id) ?? -1) : -1;
  });
  return {
    firstMs: [...crashedAtMs.keys()].map((id) => firstMs.get(id) ?? -1),
    allMs,
    packets: world.packets - packets,
    bytes: world.bytes - bytes,
    falsePositives,
    seconds: (world.nowMs - startMs) / 1000,
  };
}

export interface Anomalies {
  readonly slow: number;
  readonly stall: Stall;
  /** Blocked for so long, then running for so long, again and again. */
  readonly blockedMs: number;
  readonly runningMs: number;
  readonly lastMs: number;
}

export interface FalsePositives {
  /** Failures reported of members that were neither down nor slow. */
  readonly all: number;
  /** Those of them that members reported that were not slow themselves. */
  readonly atHealthy: number;
  readonly packets: number;
  readonly bytes: number;
}

/** Lifeguard's experiment: some members are blocked time and again; who is declared failed that is not? */
export function slowMembers(experiment: Experiment, anomalies: Anomalies): FalsePositives {
  const world = settled(experiment);
  const prng = new Prng(experiment.seed + 2);
  const slow = new Set<string>();
  while (slow.size < anomalies.slow) slow.add(world.nodes[prng.int(world.nodes.length)]!.id);
  let all = 0;
  let atHealthy = 0;
  world.onEvent = (node, { kind, id }) => {
    if (kind !== "failed" || slow.has(id)) return;
    all += 1;
    if (!slow.has(node.id)) atHealthy += 1;
  };
  const { packets, bytes } = world;
  const endMs = world.nowMs + anomalies.lastMs;
  const block = (node: Node): void => {
    if (world.nowMs >= endMs) return;
    world.stall(node, anomalies.stall, world.nowMs + anomalies.blockedMs);
    world.at(world.nowMs + anomalies.blockedMs + anomalies.runningMs, () => block(node));
  };
  // As in the paper, all of them at once.
  for (const node of world.nodes) if (slow.has(node.id)) block(node);
  world.runFor(anomalies.lastMs + 15_000);
  return { all, atHealthy, packets: world.packets - packets, bytes: world.bytes - bytes };
}

export interface Healing {
  /** From the end of the partition until everybody held everybody for alive; -1: not within the time given. */
  readonly healedMs: number;
  /** How many pairs of members of different sides held each other for failed at its end, of all. */
  readonly apart: number;
  readonly packets: number;
  readonly bytes: number;
}

/** Half of the mesh is cut off from the other half, and comes back. */
export function partitionHalf(experiment: Experiment, cutMs: number, healMs: number): Healing {
  const world = settled(experiment);
  const half = world.nodes.length / 2;
  world.partition((node) => (node.index < half ? 0 : 1));
  world.runFor(cutMs);
  let apart = 0;
  for (const node of world.nodes) apart += world.nodes.length - node.swim.size;
  const { packets, bytes } = world;
  world.heal();
  const healedAtMs = world.nowMs;
  const end = (healed: number): Healing => {
    const pairs = world.nodes.length * world.nodes.length * 0.5;
    return { healedMs: healed, apart: apart / pairs, packets: world.packets - packets, bytes: world.bytes - bytes };
  };
  while (world.nowMs - healedAtMs < healMs) {
    world.runFor(250);
    if (world.nodes.every((node) => node.swim.size === world.nodes.length)) return end(world.nowMs - healedAtMs);
  }
  return end(-1);
}

export function quantile(values: readonly number[], q: number): number {
  const sorted = [...values].sort((a, b) => a - b);
  return sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * q))] ?? Number.NaN;
}
