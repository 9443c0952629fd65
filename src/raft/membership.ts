/**
 * How configurations follow one another (dissertation, 4.3). Voters change through a joint configuration, in which
 * both the old and the new majority are needed, whatever the change: the shortcut for a single voter has had a safety
 * bug of its own, and saves one entry. Learners come and go in one step.
 */
import { type Configuration, isMember, type Member } from "./entry.ts";

/** A voter becomes a learner by being added as one, and a learner a voter. */
export type MemberChange = { readonly add: Member; readonly as: "voter" | "learner" } | { readonly remove: Member };

/** An even number of voters survives no more failures than one fewer, and each voter costs each write a message. */
export const VOTERS_MAX = 7;
export const LEARNERS_MAX = 32;

export function isVoter({ voters, outgoing }: Configuration, member: Member): boolean {
  return voters.includes(member) || outgoing.includes(member);
}

export function isJoint({ outgoing }: Configuration): boolean {
  return outgoing.length > 0;
}

/** Each once. */
export function membersOf({ voters, outgoing, learners, learnersNext }: Configuration): Set<Member> {
  return new Set([...voters, ...outgoing, ...learners, ...learnersNext]);
}

const without = (members: readonly Member[], member: Member): Member[] => members.filter((one) => one !== member);

/** The configuration to go to, or why there is none. Not for a joint one, whose way is set. */
export function changed(from: Configuration, changes: readonly MemberChange[]): Configuration | string {
  let { voters, learners } = from;
  const named = new Set<Member>();
  for (const change of changes) {
    const member = "add" in change ? change.add : change.remove;
    if (!isMember(member)) return `${String(member)} is no member's number`;
    if (named.has(member)) return `member ${member} is named twice`;
    named.add(member);
    const isKnown = voters.includes(member) || learners.includes(member);
    if ("remove" in change && !isKnown) return `member ${member} does not take part`;
    const before = voters.includes(member) ? "voter" : learners.includes(member) ? "learner" : undefined;
    if ("as" in change && before === change.as) return `member ${member} is a ${change.as} already`;
    voters = without(voters, member);
    learners = without(learners, member);
    if ("as" in change && change.as === "voter") voters = [...voters, member];
    if ("as" in change && change.as === "learner") learners = [...learners, member];
  }
  if (named.size === 0) return "no change is named";
  if (voters.length === 0) return "no voter would be left";
  if (voters.length > VOTERS_MAX) return `there would be ${voters.length} voters, at most ${VOTERS_MAX} are possible`;
  if (learners.length > LEARNERS_MAX) {
    return `there would be ${learners.length} learners, at most ${LEARNERS_MAX} are possible`;
  }
  const isSame = voters.length === from.voters.length && voters.every((member) => from.voters.includes(member));
  if (isSame) return { voters, outgoing: [], learners, learnersNext: [] };
  const isOutgoing = (member: Member): boolean => from.voters.includes(member);
  return {
    voters,
    outgoing: from.voters,
    learners: learners.filter((member) => !isOutgoing(member)),
    learnersNext: learners.filter(isOutgoing),
  };
}

/** What follows a joint configuration. */
export function left({ voters, learners, learnersNext }: Configuration): Configuration {
  return { voters, outgoing: [], learners: [...learners, ...learnersNext], learnersNext: [] };
}
