/**
 * A node's place in the control plane: its policies, by whichever engine, over the mesh that it is in. Who the control
 * nodes are is told by gossip; who may become one is not (store/policy-host.ts). Wiring only.
 */
import type { ControlConfig } from "./store/settings.ts";
import type { RaftConfig } from "./raft/settings.ts";
import { MeshError, toMeshError } from "./base/errors.ts";
import { parseAddress } from "./base/units.ts";
import type { MeshNode } from "./mesh/node-membership.ts";
import { clientOptions } from "./net/tls-settings.ts";
import { type Tell, tellPolicies } from "./news.ts";
import type { Log } from "./obs/log.ts";
import { parseEtcdAddress } from "./store/etcd-address.ts";
import { PolicyHost } from "./store/policy-host.ts";
import type { PolicyStore } from "./store/policy-store.ts";
import { EMBEDDED } from "./store/settings.ts";
import type { Member, SwimEvent } from "./swim/event.ts";
import { decodeMeta } from "./swim/meta.ts";

/** The files of etcd's TLS, as they are configured. */
const STORE_FILES = {
  ca: "control.storeCa (--store-ca)",
  cert: "control.storeCert (--store-cert)",
  key: "control.storeKey (--store-key)",
} as const;

/** For etcd to answer before the node goes on without it. */
const FIRST_MS = 2000;

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
  /** What happens to policies. */
  readonly tell: Tell;
  readonly log: Log;
}

export interface ControlPlane {
  readonly store: PolicyStore;
  /** Something happened to a member. */
  told(event: SwimEvent): void;
  /** Lets go of what only one process can have, for a successor that is this node; and takes it up again. */
  suspend(): Promise<void>;
  resume(): Promise<void>;
}

/** Rejects with a MeshError when the node's store or its port can't be had. */
export async function openControlPlane(options: ControlPlaneOptions): Promise<ControlPlane> {
  const controlPlane = await open(options);
  tellPolicies(controlPlane.store, options.tell);
  return controlPlane;
}

async function open(options: ControlPlaneOptions): Promise<ControlPlane> {
  const { control, raft, cluster, dataDir, node, isAlone, log } = options;
  if (control.store !== EMBEDDED) return inEtcd(options);
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
    whereIs: (id) => controlAddressOf(node().membership.member(id)),
    announce: (controlAddress, isControlNode) => node().tell({ controlAddress, isControlNode }),
    log,
  });
  return {
    store: host,
    told({ kind }) {
      if (kind === "joined" || kind === "updated" || kind === "alive-again") host.peersChanged();
    },
    suspend: () => host.suspend(),
    resume: () => host.resume(),
  };
}

/** Why a node that was told to keep the policies does not yet; "" where it does, or was not. */
export async function whyNoControl({ mode }: ControlConfig, plane: ControlPlane | null): Promise<string> {
  if (plane === null) return "it is starting";
  if (mode !== "bootstrap" && mode !== "join") return "";
  const { engine, leader } = await plane.store.status();
  if (engine === "follower") return "it is to be a control node, and none has taken it in yet";
  return engine === "embedded" && leader === "" ? "no control node leads" : "";
}

/** Its client is much code, which others need not load. */
async function inEtcd({ control, cluster, log }: ControlPlaneOptions): Promise<ControlPlane> {
  const { EtcdStore } = await import("./store/etcd-store.ts");
  const address = parseEtcdAddress(control.store);
  if (typeof address === "string") throw new MeshError("config_invalid", `--store: ${address}`);
  const files = { ca: control.storeCa, cert: control.storeCert, key: control.storeKey };
  const [unused] = (["ca", "cert", "key"] as const).filter((file) => !address.tls && files[file] !== "");
  if (unused !== undefined) {
    const why = "is for TLS, which --store speaks only as etcds://; nothing would be sealed";
    throw new MeshError("config_invalid", `${STORE_FILES[unused]} ${why}`);
  }
  const tls = clientOptions({ ...files, verify: true }, STORE_FILES);
  const store = new EtcdStore({ address, tls, cluster, log });
  // A fault that time won't mend ends the start; an etcd that can't be reached yet doesn't.
  await store.ready(FIRST_MS).catch((error: unknown) => {
    const { retryable, message } = toMeshError(error);
    if (!retryable) throw error;
    log.warn("etcd can't be reached yet; trying on", { why: message });
  });
  return { store, told() {}, suspend: () => Promise.resolve(), resume: () => Promise.resolve() };
}

/** "" for a member that is no control node. */
function controlAddressOf(member: Member | undefined): string {
  const meta = member === undefined ? undefined : decodeMeta(member.meta);
  return meta?.isControlNode === true ? meta.controlAddress : "";
}

/** Where other members take part in the control plane; the nearest first. */
export function controlNodes({ membership }: MeshNode): string[] {
  const near: { readonly address: string; readonly rttMs: number }[] = [];
  for (const member of membership.members()) {
    if (member.id === membership.id || member.status === "failed" || member.status === "left") continue;
    const address = controlAddressOf(member);
    if (address !== "") near.push({ address, rttMs: member.rttMs ?? Number.POSITIVE_INFINITY });
  }
  return near.toSorted((a, b) => a.rttMs - b.rttMs).map(({ address }) => address);
}
