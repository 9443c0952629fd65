/**
 * A router's standing in the mesh: its membership, and the states and loads that it hears of. It is taken up at the start
 * (of a predecessor, with its sockets, its name and the members that it knew), and ends by taking leave, or by silence
 * when a successor goes on as this node.
 *
 * A successor has the name and the identity of its predecessor and a higher incarnation: to the mesh it is the same node,
 * which tells of itself anew. It knows nobody at first but by addresses, asks those, and is told of all in one answer.
 */
import { isRecord } from "./base/field.ts";
import { MeshError } from "./base/errors.ts";
import type { RouterConfig } from "./config.ts";
import { DeskCarrier, type MeshMember } from "./mesh/desk-carrier.ts";
import { hostId } from "./mesh/host.ts";
import { type ControlPlane, controlNodes } from "./control-plane.ts";
import { BlockReceiver } from "./mesh/block-receiver.ts";
import { nodeIdentity } from "./mesh/identity.ts";
import type { Journal } from "./mesh/journal.ts";
import { joined, joinMesh, type MeshNode } from "./mesh/node-membership.ts";
import { PrefixSharing } from "./mesh/prefix-sharing.ts";
import type { SocketDescriptors } from "./mesh/sockets.ts";
import { RemoteIndexes } from "./remote-indexes.ts";
import { StateReceiver } from "./mesh/state-receiver.ts";
import { servedGpuCalls } from "./gpu-calls.ts";
import { servedModelCalls } from "./model-calls.ts";
import { serveNodeCalls } from "./node-calls.ts";
import type { Log } from "./obs/log.ts";
import type { Placement } from "./proxy/placement.ts";
import type { PrefixRows } from "./proxy/prefix-rows.ts";
import type { PeerFlights } from "./signal/flights.ts";
import { bareMeta, decodeMeta } from "./swim/meta.ts";
import type { PolicyStore } from "./store/policy-store.ts";
import { parseAddress } from "./base/units.ts";
import type { Targets } from "./targets.ts";

export interface StandingOptions {
  readonly config: RouterConfig;
  /** The data port, by which a router without a name is called. */
  readonly port: () => number;
  readonly targets: Targets;
  readonly placement: Placement;
  readonly flights: PeerFlights;
  /** Null: nothing is known of prompts. */
  readonly prefixes: PrefixRows | null;
  /** Where requests wait; null: nobody serves them yet. */
  readonly desk: () => MeshMember | null;
  readonly journal: Journal;
  readonly log: Log;
}

/** Who the node is, for its successor. */
export interface NodeEstate {
  readonly id: string;
  readonly identity: number;
  readonly incarnation: number;
  /** The host by which others know it. */
  readonly host: string;
  /** Addresses of members. */
  readonly members: readonly string[];
}

const MEMBERS_MAX = 64;

export class Standing {
  #controlPlane: ControlPlane | null = null;
  readonly #options: StandingOptions;
  #node: MeshNode | null = null;
  #states: StateReceiver | null = null;
  #blocks: BlockReceiver | null = null;
  #sharing: PrefixSharing | null = null;
  #carrier: DeskCarrier | null = null;
  /** Which blocks of KV cache the targets' engines hold, as far as nodes tell. */
  readonly remoteIndexes: RemoteIndexes;

  constructor(options: StandingOptions) {
    this.#options = options;
    const { targets } = options;
    const engines = (node: string) => this.#blocks?.engines(node) ?? [];
    this.remoteIndexes = new RemoteIndexes({ targets: () => targets.all(), engines });
  }

  /** null until the mesh is joined. */
  get node(): MeshNode | null {
    return this.#node;
  }

  get states(): StateReceiver | null {
    return this.#states;
  }

  /** What nodes tell of their KV caches; null before the mesh is joined, or where that is not wanted. */
  get blocks(): BlockReceiver | null {
    return this.#blocks;
  }

  /** What routers tell each other of prompts; null before the mesh is joined, or where that is not wanted. */
  get sharing(): PrefixSharing | null {
    return this.#sharing;
  }

  /** This node's id. */
  get id(): string {
    return this.#node?.membership.id ?? this.#idAfter(undefined);
  }

  /** Routers in the mesh, this one included. */
  get routers(): number {
    const members = this.#node?.membership.members() ?? [];
    const others = members.filter(({ id, status, meta }) => {
      return id !== this.id && status === "alive" && decodeMeta(meta)?.role === "router";
    });
    return 1 + others.length;
  }

  /** Whether the mesh knows of others who keep the policies. */
  get hasControlNodes(): boolean {
    return this.#node !== null && controlNodes(this.#node).length > 0;
  }

  #idAfter(estate: NodeEstate | undefined): string {
    const { config, port } = this.#options;
    return config.id !== "" ? config.id : (estate?.id ?? `router-${hostId()}-${port()}`);
  }

  /** Joins the mesh, as the node that `estate` tells of if there is one, on its sockets if those are given. */
  async enter(estate?: NodeEstate, inherited?: SocketDescriptors): Promise<MeshNode> {
    const { config, targets, placement, flights, prefixes, journal, log } = this.#options;
    const id = this.#idAfter(estate);
    // Any free port is another node each time, with nothing to keep.
    const isNew = config.id === "" && config.listen.port === 0;
    const identity = estate?.id === id ? estate.identity : isNew ? 0 : nodeIdentity(config.dataDir, id);
    const nowSeconds = Math.floor(Date.now() / 1000);
    const node = await joinMesh({
      id,
      identity,
      incarnation: Math.max(nowSeconds, (estate?.incarnation ?? 0) + 1),
      gossip: config.gossip,
      inherited,
      advertise: config.advertise === "" && inherited !== undefined ? (estate?.host ?? "") : config.advertise,
      join: config.join,
      joinFile: config.joinFile,
      localJoin: estate?.members ?? [],
      mesh: config.mesh,
      swim: config.swim,
      meta: bareMeta("router"),
      journal,
      log,
      onEvent: (event) => {
        targets.told(event);
        if (event.kind === "failed" || event.kind === "left") this.#blocks?.forget(event.id);
        this.#controlPlane?.told(event);
      },
    });
    this.#node = node;
    for (const member of node.membership.members().filter(({ status }) => status === "alive" || status === "suspect"))
      targets.told({ ...member, kind: "joined", cause: "known at the start" });
    this.#states = new StateReceiver({
      node,
      config: config.signal,
      flights,
      loads: () => placement.loads(),
      onReport: (report) => targets.reported(report),
      onLoads: (keys) => targets.loadsChanged(keys),
    });
    this.#states.start();
    if (prefixes !== null && config.prefix.share) this.#share(node, prefixes);
    const desk = this.#options.desk();
    if (desk !== null) this.#carrier = new DeskCarrier(node, desk, () => this.#states?.hasten());
    prefixes?.exact.begin((target) => this.remoteIndexes.of(target));
    if (config.kv.enabled) this.#blocks = new BlockReceiver({ node, config: config.kv, watcher: prefixes?.exact });
    const place = { id: () => this.id, node: () => this.#node };
    serveNodeCalls(node, [
      ...servedModelCalls({ ...place, runtime: null }),
      ...servedGpuCalls({ ...place, targets: () => targets.all() }),
    ]);
    await this.#controlPlane?.resume();
    return node;
  }

  #share(node: MeshNode, prefixes: PrefixRows): void {
    const sharing = new PrefixSharing({
      node,
      bytesPerSecond: this.#options.config.prefix.shareBytesPerSecond,
      heard: (prefix) => prefixes.heard(prefix),
      peers: (count) => (prefixes.index.peers = count),
    });
    prefixes.share((key, hashes, fresh) => sharing.tell(key, hashes, fresh));
    this.#sharing = sharing;
  }

  /** Who this node is, as far as a successor must know; undefined before the mesh is joined. */
  estate(): NodeEstate | undefined {
    const membership = this.#node?.membership;
    if (membership === undefined) return undefined;
    const others = membership.members().filter(({ id, status }) => id !== membership.id && status === "alive");
    return {
      id: membership.id,
      identity: membership.identity,
      incarnation: membership.figures().incarnation,
      host: parseAddress(membership.address)?.host ?? "",
      members: others.slice(0, MEMBERS_MAX).map(({ address }) => address),
    };
  }

  /** More descriptors of the gossip's sockets, for the caller to close. Throws a MeshError before the mesh is joined. */
  descriptors(): SocketDescriptors {
    return joined(this.#node).transport.descriptors();
  }

  /** The policies; null before this router has found them. */
  get policies(): PolicyStore | null {
    return this.#controlPlane?.store ?? null;
  }

  /** What happens to members is told there from now on; it is silent when this node is. */
  keep(controlPlane: ControlPlane): void {
    this.#controlPlane = controlPlane;
  }

  /** Says nothing any more; the mesh is not to notice. */
  fallSilent(): void {
    void this.#controlPlane?.suspend();
    this.#states?.stop();
    this.#blocks?.stop();
    this.#sharing?.stop();
    this.#carrier?.stop();
    this.#node?.fallSilent();
  }

  /** Takes leave of the mesh; resolves when it has been told, or after `timeoutMs`. */
  async leave(timeoutMs: number): Promise<void> {
    this.#states?.stop();
    this.#blocks?.stop();
    this.#sharing?.stop();
    this.#carrier?.stop();
    await this.#node?.leave(timeoutMs);
  }
}

/** A node's estate as a predecessor of a like version told it; throws a MeshError for anything else. */
export function nodeEstateOf(told: unknown): NodeEstate {
  if (isRecord(told)) {
    const { id, identity, incarnation, host, members } = told;
    const isList = Array.isArray(members) && members.every((member: unknown) => typeof member === "string");
    if (typeof id === "string" && typeof host === "string" && isList) {
      if (Number.isInteger(identity) && Number.isInteger(incarnation)) return told as unknown as NodeEstate;
    }
  }
  throw new MeshError("internal", "the predecessor's word of who this node is is not understood");
}
