/**
 * What a member waits for: answers to probes, and suspicions that run out. Both stand in one heap, by deadline.
 */
import type { HeapItem } from "../base/heap.ts";
import type { SwimConfig, SwimRules } from "./settings.ts";

export const PROBE = {
  /** The turn of the round. */
  own: 0,
  /** An accuser asked for it, or a claim is looked into. */
  witness: 1,
  /** On behalf of another member. */
  relay: 2,
  /** Whether a failed member is back. */
  reconnect: 3,
} as const;

/** A ping without an answer so far. */
export class Probe implements HeapItem {
  heapIndex = -1;
  heapKey = 0;
  readonly kind: number;
  readonly seq: number;
  readonly target: number;
  readonly sentAtMs: number;
  /** The direct answer's time is over; helpers and the stream were asked. */
  indirect = false;
  nacksExpected = 0;
  nacks = 0;
  /** Of a relay: whom to tell, under which number. */
  readonly origin: string;
  readonly originSeq: number;

  constructor(kind: number, seq: number, target: number, sentAtMs: number, origin = "", originSeq = 0) {
    this.kind = kind;
    this.seq = seq;
    this.target = target;
    this.sentAtMs = sentAtMs;
    this.origin = origin;
    this.originSeq = originSeq;
  }
}

/**
 * A suspicion (Lifeguard, section IV-B): it lasts `maxMs` while there is one accuser, and comes down to `minMs` with
 * `wanted` independent confirmations, fast at first: timeout = max - (max - min) * log(C + 1) / log(wanted + 1).
 */
export class Suspicion implements HeapItem {
  heapIndex = -1;
  heapKey = 0;
  readonly member: number;
  readonly startedAtMs: number;
  readonly minMs: number;
  readonly maxMs: number;
  readonly wanted: number;
  readonly accusers: number[] = [];

  constructor(member: number, startedAtMs: number, minMs: number, maxMs: number, wanted: number) {
    this.member = member;
    this.startedAtMs = startedAtMs;
    this.minMs = minMs;
    this.maxMs = maxMs;
    this.wanted = wanted;
  }

  /** False when it is known, or there are enough. */
  accuse(accuser: number): boolean {
    if (this.accusers.length > this.wanted || this.accusers.includes(accuser)) return false;
    this.accusers.push(accuser);
    return true;
  }

  get deadlineMs(): number {
    if (this.wanted < 1) return this.startedAtMs + this.minMs;
    const confirmations = Math.max(0, this.accusers.length - 1);
    const span = this.maxMs - this.minMs;
    const shorter = (span * Math.log(confirmations + 1)) / Math.log(this.wanted + 1);
    return this.startedAtMs + Math.max(this.minMs, this.maxMs - shorter);
  }
}

/** As long as the config and the mesh's size say; `wanted` confirmations make it shortest. */
export function newSuspicion(
  member: number,
  nowMs: number,
  size: number,
  wanted: number,
  config: SwimConfig,
  rules: SwimRules,
): Suspicion {
  const fixed = rules.fixedSuspicionMs;
  if (!rules.dynamicSuspicion) return new Suspicion(member, nowMs, fixed, fixed, 0);
  const minMs = config.suspicionMult * Math.max(2, Math.log10(size)) * config.probeIntervalMs;
  return new Suspicion(member, nowMs, minMs, minMs * config.suspicionMaxMult, wanted);
}

export type Timer = Probe | Suspicion;
