/**
 * A node's place in the control plane: its policies, by whichever engine, over the mesh that it is in. Who the control
 * nodes are is told by gossip; who may become one is not (store/policy-host.ts). Wiring only.
 */
import type { ControlConfig } from "./store/settings.ts";
import type { RaftConfig } from "./raft/settings.ts";
import { parseAddress } from "./base/units.ts";
import type { MeshNode } from "./mesh/node-membership.ts";
import type { Log } from "./obs/log.ts";
import { PolicyHost } from "./store/policy-host.ts";
import type { SwimEvent } from "./swim/event.ts";
import { decodeMeta } from "./swim/meta.ts";

export interface ControlPlaneOptions {
  readonly control: ControlConfig;
  readonly raft: RaftConfig;
  /** The mesh's name. */
  readonly cluster: string;
  readonly dataDir: string;
  /** The node in the mesh, as it is now. */
  readonly node: () => MeshNode;
  /** Whether it joins nobody: it may begin a control plane of its own then. */
  readonly isAlone: boolean;
  readonly log: Log;
}

export interface ControlPlane {
  readonly host: PolicyHost;
  /** Something happened to a member. */
  told(event: SwimEvent): void;
}

/** Rejects with a MeshError when the node's store or its port can't be had. */
export async function openControlPlane(options: ControlPlaneOptions): Promise<ControlPlane> {
  const { control, raft, cluster, dataDir, node, isAlone, log } = options;
  const host = await PolicyHost.open({
    config: control,
    raft,
    logEntry: new URL("./store/log-worker.ts", import.meta.url),
    cluster,
    node: node().membership.id,
    dataDir,
    keys: () => node().keyring.keys,
    host: () => parseAddress(node().membership.address)?.host ?? "127.0.0.1",
    isAlone,
    peers: () => controlNodes(node()),
    announce: (controlAddress) => node().tell({ controlAddress }),
    log,
  });
  return {
    host,
    told({ kind }) {
      if (kind === "joined" || kind === "updated" || kind === "alive-again") host.peersChanged();
    },
  };
}

/** Where other members take part in the control plane; the nearest first. */
function controlNodes({ membership }: MeshNode): string[] {
  const near: { readonly address: string; readonly rttMs: number }[] = [];
  for (const member of membership.members()) {
    if (member.id === membership.id || member.status === "failed" || member.status === "left") continue;
    const address = decodeMeta(member.meta)?.controlAddress ?? "";
    if (address !== "") near.push({ address, rttMs: member.rttMs ?? Number.POSITIVE_INFINITY });
  }
  return near.toSorted((a, b) => a.rttMs - b.rttMs).map(({ address }) => address);
}
