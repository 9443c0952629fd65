/** What a seed stands for: how many members, how bad the network, the disks and the clocks, which faults happen. */
import type { Prng } from "../../src/base/prng.ts";
import { defaultsOf } from "../../src/base/settings-reading.ts";
import { type RaftConfig, raftSettings } from "../../src/raft/settings.ts";

export interface Scenario {
  readonly voters: number;
  readonly config: RaftConfig;
  /** Time with faults; then all is healed. */
  readonly faultsMs: number;
  readonly delayMs: number;
  readonly loss: number;
  readonly duplication: number;
  /** Share of messages that are much later than others, and so overtaken. */
  readonly straggling: number;
  readonly diskMs: number;
  /** Until a killed member is started again, on average. */
  readonly downMs: number;
  /** Clocks run up to this share faster or slower than the true one. */
  readonly skew: number;
  readonly opEveryMs: number;
  /** Share of operations that are reads. */
  readonly reads: number;
  readonly faultEveryMs: number;
  /** Weights of the faults that happen. */
  readonly faults: Readonly<Record<Fault, number>>;
  /** Share of batches right after which the member is killed. */
  readonly killAtWrite: number;
  readonly compactEvery: number;
  /** Messages pass through the codec. */
  readonly encoded: boolean;
}

export const FAULTS = [
  "crash",
  "partition",
  "heal",
  "transfer",
  "members",
  "stall",
  "lose",
  "pause",
  "unreachable",
] as const;
export type Fault = (typeof FAULTS)[number];

const DEFAULTS = defaultsOf(raftSettings);

/** Half of the kinds of trouble are absent from a run, so that the rest is met in every mixture. */
export function scenarioOf(prng: Prng): Scenario {
  const chance = (share: number): boolean => prng.next() < share;
  const between = (low: number, high: number): number => low + prng.next() * (high - low);
  const leaseReads = chance(0.2);
  const election = between(100, 160);
  const draw = prng.next();
  return {
    voters: draw < 0.04 ? 1 : draw < 0.65 ? 3 : 5,
    config: {
      ...DEFAULTS,
      heartbeatIntervalMs: election / 3,
      electionTimeoutMinMs: election,
      electionTimeoutMaxMs: election * between(1.6, 2.4),
      commitNoticeDelayMs: election > 130 ? 0 : 5,
      leaseReads,
      appendBytesMax: chance(0.5) ? 64 : 4096,
      inflightMessagesMax: chance(0.5) ? 2 : 64,
      inflightBytesMax: chance(0.3) ? 128 : 1 << 20,
      uncommittedBytesMax: chance(0.3) ? 512 : 1 << 20,
      snapshotChunkBytes: chance(0.5) ? 16 : 64,
      snapshotWindowBytes: chance(0.5) ? 64 : 256,
      trailingEntriesMax: chance(0.5) ? 0 : prng.int(20),
    },
    faultsMs: between(1200, 2400),
    delayMs: between(0.5, 8),
    loss: chance(0.5) ? between(0, 0.15) : 0,
    duplication: chance(0.5) ? between(0, 0.1) : 0,
    straggling: chance(0.5) ? between(0, 0.15) : 0,
    diskMs: chance(0.3) ? 0.1 : between(0.5, chance(0.3) ? 40 : 10),
    downMs: chance(0.5) ? 250 : 20,
    skew: leaseReads ? 0.08 : chance(0.5) ? 0.25 : 0,
    opEveryMs: between(5, 30),
    reads: chance(0.6) ? 0.3 : 0.8,
    faultEveryMs: between(40, 160),
    faults: {
      crash: chance(0.7) ? 3 : 0,
      partition: chance(0.7) ? 3 : 0,
      heal: 2,
      transfer: chance(0.4) ? 1 : 0,
      members: chance(0.5) ? (chance(0.4) ? 12 : 4) : 0,
      stall: chance(0.3) ? 1 : 0,
      lose: chance(0.2) ? 0.5 : 0,
      pause: chance(0.3) ? 1 : 0,
      unreachable: chance(0.5) ? 1 : 0,
    },
    killAtWrite: chance(0.4) ? 0.005 : 0,
    compactEvery: chance(0.7) ? 2 + prng.int(chance(0.5) ? 4 : 30) : Infinity,
    encoded: chance(0.1),
  };
}
