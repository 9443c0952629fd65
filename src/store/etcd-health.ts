/** How an etcd is: its members, its leader, its room, and in a sentence what is wrong. */
import type { EtcdClient } from "./etcd-client.ts";
import { EtcdFailure } from "./etcd-failure.ts";
import type { StoreStatus } from "./policy-store.ts";

const TIMEOUT_MS = 2000;
const ALARM = /\balarm:\s*(\w+)/;

/** What etcd says of itself. */
type EtcdHealth = Pick<
  StoreStatus,
  "writable" | "alarm" | "term" | "leader" | "commitIndex" | "appliedIndex" | "logBytes" | "members"
>;

/** Never throws: what can't be learned is said. */
export async function healthOf(client: EtcdClient): Promise<EtcdHealth> {
  const statuses = await client.status(TIMEOUT_MS);
  const heard = statuses.flatMap((status) => (status instanceof EtcdFailure ? [] : [status]));
  const members = heard.length === 0 ? [] : await client.members(TIMEOUT_MS).catch(() => []);
  const byMember = new Map(heard.map((status) => [status.member, status.message]));
  const led = heard.filter(({ leader }) => leader !== "0");
  const leading = led.toSorted((a, b) => b.message.raftTerm - a.message.raftTerm)[0];
  // Alarms are among them; asking for them by themselves would be an entry in etcd's log each time.
  const errors = heard.flatMap(({ message }) => message.errors);
  const failure = statuses.find((status) => status instanceof EtcdFailure);
  const newest = (of: (message: (typeof heard)[number]["message"]) => number): number =>
    Math.max(0, ...heard.map(({ message }) => of(message)));
  return {
    writable: leading !== undefined && !errors.some((error) => ALARM.test(error)),
    alarm: alarmOf(errors, heard.length > 0, leading !== undefined, failure?.error.message ?? ""),
    term: leading?.message.raftTerm ?? 0,
    leader: members.find(({ id }) => id === leading?.leader)?.name ?? "",
    commitIndex: newest(({ raftIndex }) => raftIndex),
    appliedIndex: newest(({ raftAppliedIndex }) => raftAppliedIndex),
    logBytes: newest(({ dbSize }) => dbSize),
    members: members.map(({ id, name, clientUrls, isLearner }) => ({
      member: id,
      node: name,
      address: clientUrls[0]?.replace(/^https?:\/\//, "") ?? "",
      role: id === leading?.leader ? "leader" : isLearner ? "learner" : byMember.has(id) ? "follower" : "unknown",
      matchIndex: byMember.get(id)?.raftIndex ?? null,
      // Not of the members that are no endpoint of ours, whose state nobody asked for.
      active: byMember.has(id) ? true : null,
    })),
  };
}

function alarmOf(errors: readonly string[], isHeard: boolean, hasLeader: boolean, failure: string): string {
  const alarms = new Set(errors.map((error) => ALARM.exec(error)?.[1]));
  if (alarms.has("NOSPACE")) {
    return "etcd is out of space and takes no writes: compact and defragment it, then run `etcdctl alarm disarm`";
  }
  if (alarms.has("CORRUPT")) return "a member of etcd says that its data is corrupt";
  if (!isHeard) return `no endpoint of etcd can be reached (${failure})`;
  return hasLeader ? "" : "etcd has no leader: a majority of its members can't be reached";
}
