/** What majorities say. A joint configuration needs a majority of its voters and one of its outgoing voters. */
import type { Configuration, Member } from "./entry.ts";

const scratch: number[] = [];

/** The highest value that a majority has reached; no members at all hinder nothing. */
function majorityValue(members: readonly Member[], valueOf: (member: Member) => number): number {
  const count = members.length;
  if (count === 0) return Infinity;
  scratch.length = 0;
  // Insertion into a sorted list: there are a handful of members.
  for (const member of members) {
    const value = valueOf(member);
    let at = scratch.length;
    while (at > 0 && scratch[at - 1]! > value) at -= 1;
    scratch.splice(at, 0, value);
  }
  return scratch[count - Math.floor(count / 2) - 1]!;
}

/** The highest value that the quorum has reached, -Infinity where there is no voter to ask. */
export function quorumValue({ voters, outgoing }: Configuration, valueOf: (member: Member) => number): number {
  if (voters.length === 0) return -Infinity;
  return Math.min(majorityValue(voters, valueOf), majorityValue(outgoing, valueOf));
}

export function hasQuorum(configuration: Configuration, holds: (member: Member) => boolean): boolean {
  return quorumValue(configuration, (member) => (holds(member) ? 1 : 0)) === 1;
}

export type Tally = "won" | "lost" | "open";

/** How an election stands; whoever is not in `votes` has not answered. */
export function tally(configuration: Configuration, votes: ReadonlyMap<Member, boolean>): Tally {
  if (hasQuorum(configuration, (member) => votes.get(member) === true)) return "won";
  return hasQuorum(configuration, (member) => votes.get(member) !== false) ? "open" : "lost";
}
