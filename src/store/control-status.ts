/** How the control plane is, as one of its members sees it. */
import { type Member, NOBODY } from "../raft/entry.ts";
import type { StoreMember, StoreStatus } from "./policy-store.ts";
import type { RaftNode } from "./raft-node.ts";

/** The member that looks. */
export interface Observer {
  readonly self: Member;
  readonly clusterId: string;
  /** Its own name and address are known before the log has them. */
  readonly name: string;
  readonly address: () => string;
}

export function statusOf(node: RaftNode, observer: Observer): StoreStatus {
  const { machine, raft, alarm, logBytes } = node;
  const { term, leader, commitIndex } = raft.status();
  const leaderless = "no leader: a majority of the control nodes can't be reached";
  return {
    engine: "embedded",
    cluster: observer.clusterId,
    writable: leader !== NOBODY && alarm === null,
    alarm: alarm?.message ?? (leader === NOBODY ? leaderless : ""),
    revision: machine.revision,
    items: machine.size,
    term,
    leader: nameOf(leader, node, observer),
    commitIndex,
    appliedIndex: machine.appliedIndex,
    logBytes,
    members: membersOf(node, observer),
    changing: raft.status().configuration.outgoing.length > 0,
  };
}

function nameOf(member: Member, { machine }: RaftNode, { self, name }: Observer): string {
  return machine.seats.get(member)?.node ?? (member === self ? name : "");
}

function membersOf(node: RaftNode, observer: Observer): StoreMember[] {
  const { configuration, leader, progress } = node.raft.status();
  const { voters, outgoing, learners } = configuration;
  return [...new Set([...voters, ...outgoing, ...learners])].map((member) => {
    const at = progress.find((one) => one.member === member);
    const own = member === observer.self ? observer.address() : "";
    return {
      member: member.toString(16),
      node: nameOf(member, node, observer),
      address: node.machine.seats.get(member)?.address ?? own,
      role: member === leader ? "leader" : learners.includes(member) ? "learner" : "follower",
      matchIndex: at?.matchIndex ?? null,
      active: at?.active ?? null,
    };
  });
}
