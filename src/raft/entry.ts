/**
 * What the consensus keeps: entries of the log, the hard state beside it, configurations and snapshots.
 *
 * Names follow the Raft dissertation (Ongaro, 2014). Indexes and terms are whole numbers below 2^53; the first entry
 * has index 1, and index 0 with term 0 is the place before it.
 */

/** A member: a random whole number below 2^48, drawn once for the life of its store, so that none is ever used again. */
export type Member = number;
export const NOBODY: Member = 0;

/** What an entry holds: nothing (the first of a term), a command of the state machine, or a configuration. */
export const ENTRY_KINDS = ["noop", "command", "configuration"] as const;
export type EntryKind = (typeof ENTRY_KINDS)[number];

/** A place in the log. */
export interface Position {
  readonly index: number;
  readonly term: number;
}

export interface Entry extends Position {
  readonly kind: EntryKind;
  /** Opaque to the consensus, save for configurations (`encodeConfiguration`). */
  readonly data: Uint8Array;
}

/** What must be durable before any reply of that term leaves. */
export interface HardState {
  readonly term: number;
  /** Whom this member voted for in `term`; NOBODY for no one yet. */
  readonly votedFor: Member;
  /** A hint, so that a restart applies at once what was known to be committed; it may lag. */
  readonly commitIndex: number;
}

/** Who takes part. While `outgoing` has members the configuration is joint: both majorities are needed. */
export interface Configuration {
  readonly voters: readonly Member[];
  /** The voters before the change under way; empty when none is. */
  readonly outgoing: readonly Member[];
  /** They receive the log and have no vote. None of them is a voter, incoming or outgoing. */
  readonly learners: readonly Member[];
  /** Outgoing voters that become learners when the change ends. */
  readonly learnersNext: readonly Member[];
}

/** The state machine's state after the entry at `index`, and the configuration as of it. */
export interface Snapshot extends Position {
  readonly configuration: Configuration;
  readonly data: Uint8Array;
}

export const EMPTY_CONFIGURATION: Configuration = { voters: [], outgoing: [], learners: [], learnersNext: [] };

const encoder = new TextEncoder();
const decoder = new TextDecoder("utf-8", { fatal: true });
const MEMBERS_MAX = 64;
const MEMBER_LIMIT = 2 ** 48;

/** UTF-8 JSON, so that whoever looks into a store can read it. */
export function encodeConfiguration({ voters, outgoing, learners, learnersNext }: Configuration): Uint8Array {
  return encoder.encode(JSON.stringify({ voters, outgoing, learners, learnersNext }));
}

/** Undefined for bytes that are no configuration. */
export function decodeConfiguration(bytes: Uint8Array): Configuration | undefined {
  try {
    const value: unknown = JSON.parse(decoder.decode(bytes));
    if (typeof value !== "object" || value === null) return undefined;
    const { voters, outgoing, learners, learnersNext } = value as Record<keyof Configuration, unknown>;
    const lists = [voters, outgoing, learners, learnersNext].map(membersOf);
    if (lists.includes(undefined)) return undefined;
    const [first, second, third, fourth] = lists as [Member[], Member[], Member[], Member[]];
    return { voters: first, outgoing: second, learners: third, learnersNext: fourth };
  } catch {
    return undefined;
  }
}

function membersOf(list: unknown): Member[] | undefined {
  if (!Array.isArray(list) || list.length > MEMBERS_MAX || new Set(list).size !== list.length) return undefined;
  return list.every(isMember) ? list : undefined;
}

/** Whether a value can be a member's number. */
export function isMember(value: unknown): value is Member {
  return Number.isSafeInteger(value) && (value as number) > NOBODY && (value as number) < MEMBER_LIMIT;
}
