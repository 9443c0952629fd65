/** What a member and its shell tell each other. */
import type { Checksum } from "./wire.ts";

/** A datagram to send. */
export interface Send {
  /** "host:port". */
  readonly to: string;
  readonly packet: Uint8Array;
}

/**
 * An exchange to carry out over TCP: connect, send the frame, read one frame as the answer, close. The shell answers
 * each order once, by `Swim.streamed(id, answer | undefined)`.
 */
export interface StreamOrder {
  readonly id: number;
  readonly to: string;
  readonly frame: Uint8Array;
  readonly timeoutMs: number;
}

/** What a join, or a push/pull that the shell asked for, came to. */
export type JoinResult = "joined" | "unreachable" | "malformed" | "refused";

export const SWIM_EVENT_KINDS = [
  "joined",
  "left",
  "suspect",
  "failed",
  /** A suspect or failed member has refuted. */
  "alive-again",
  /** Its metadata or address changed. */
  "updated",
  /** Two nodes claim one id; `id` is that id, and the member that was there first stays. */
  "conflict",
  /** About this node: another process has taken its identity over, and this one is out of the mesh. */
  "replaced",
  /** About this node: nobody took it in. */
  "refused",
] as const;
export type SwimEventKind = (typeof SWIM_EVENT_KINDS)[number];

export interface SwimEvent {
  readonly kind: SwimEventKind;
  readonly id: string;
  readonly address: string;
  readonly incarnation: number;
  /** Why, in words fit for a log line. */
  readonly cause: string;
}

export interface SwimOutput {
  readonly sends: readonly Send[];
  readonly streams: readonly StreamOrder[];
  readonly events: readonly SwimEvent[];
  /** When `wake` is due next; Infinity when nothing is. */
  readonly wakeAtMs: number;
}

/** A member as others see it. */
export interface Member {
  readonly id: string;
  readonly address: string;
  readonly status: "alive" | "suspect" | "failed" | "left";
  readonly incarnation: number;
  /** Since when it has had that status, on the shell's clock. */
  readonly sinceMs: number;
  /** The oldest and newest protocol that it speaks. */
  readonly versions: readonly [number, number];
  readonly meta: Uint8Array;
  /** Median of the last round trips of probes; undefined before the first. */
  readonly rttMs: number | undefined;
  /** When it last answered a probe of ours; undefined before the first. */
  readonly answeredAtMs: number | undefined;
}

/** This node, as it starts. */
export interface SwimSelf {
  readonly cluster: string;
  readonly id: string;
  /** "host:port", as others see our packets come from. */
  readonly address: string;
  /** 32 bits that stay with the node; 0: it has none, and only its address tells it from others. */
  readonly identity: number;
  readonly incarnation: number;
  /** Up to 512 bytes. */
  readonly meta: Uint8Array;
  /** Where the shell has one that is faster in code that runs for the first times than the core's own. */
  readonly checksum?: Checksum;
}

/** Packets and frames that were dropped, by reason. */
export interface SwimDrops {
  malformed: number;
  otherCluster: number;
  otherVersion: number;
  /** Claims of senders that are no members. */
  strangers: number;
}
