/**
 * A member of the mesh and nothing else: no runtime, no HTTP, no metrics. For measuring what membership alone costs, and
 * for trying it with crowds of processes on one machine (bench/mesh/crowd.ts, tests/process/crowd.test.ts).
 *
 * SIGUSR2 makes it log its view: how many members it holds for alive, suspect, failed and left, and how many events of
 * each kind it has seen.
 */
import type { MemberConfig } from "./config.ts";
import { Journal } from "./mesh/journal.ts";
import { joinMesh } from "./mesh/node-membership.ts";
import { createLog } from "./obs/log.ts";
import { untilStopped } from "./process.ts";
import { bareMeta } from "./swim/meta.ts";

/** For telling the mesh that this node leaves. */
const LEAVE_MS = 1000;

export async function runMember(config: MemberConfig): Promise<void> {
  const log = createLog(config.log);
  const stopped = untilStopped();
  const events: Record<string, number> = {};
  const node = await joinMesh({
    id: config.id,
    identity: 0,
    incarnation: Math.floor(Date.now() / 1000),
    gossip: config.gossip,
    advertise: config.advertise,
    join: config.join,
    joinFile: config.joinFile,
    mesh: config.mesh,
    swim: config.swim,
    meta: bareMeta("client"),
    journal: new Journal(Date.now()),
    log,
    onEvent({ kind }) {
      events[kind] = (events[kind] ?? 0) + 1;
    },
  });
  process.on("SIGUSR2", () => {
    const members = { alive: 0, suspect: 0, failed: 0, left: 0 };
    for (const { status } of node.membership.members()) members[status]++;
    log.info("view", { ...members, events });
  });
  log.info("ready", { role: "member", id: config.id, gossip: node.membership.address, pid: process.pid });
  const signal = await stopped.promise.catch((error: unknown) => {
    log.error("the member can't go on", { error: String(error) });
    process.exit(1);
  });
  log.info("stopping", { signal });
  await node.leave(LEAVE_MS);
  process.exit(0);
}
