/** What agents and routers tell the mesh of themselves, and read of each other, over the membership. */
import { MeshError } from "../base/errors.ts";
import { Prng } from "../base/prng.ts";
import { formatAddress, parseAddress, type Address } from "../base/units.ts";
import { version } from "../base/version.ts";
import { parseRegistration, type Registration } from "../fleet/registration.ts";
import type { Member, SwimEvent } from "../swim/event.ts";
import { decodeMeta, encodeMeta } from "../swim/meta.ts";
import type { NodeMeta } from "../swim/meta.ts";
import type { SwimConfig } from "../swim/settings.ts";
import { META_BYTES_MAX } from "../swim/wire.ts";
import type { AnnouncerLog } from "./announcer.ts";
import { MemberCalls } from "./calls.ts";
import { CHANNEL } from "./envelope.ts";
import type { Journal } from "./journal.ts";
import { openKeyring } from "./key-file.ts";
import type { Keyring } from "./keyring.ts";
import { firstLook } from "./discovery.ts";
import { MemberLog } from "./member-log.ts";
import { Membership } from "./membership.ts";
import { announcedHost } from "./own-address.ts";
import { Roster } from "./roster.ts";
import { MeshKeys } from "./mesh-keys.ts";
import type { GossipConfig } from "./settings.ts";
import type { SocketDescriptors } from "./sockets.ts";
import { openTransport, type Transport } from "./transport.ts";

const WILDCARDS = new Set(["", "0.0.0.0", "::"]);
/** For looking seeds up before the node announces an address that suits them. */
const FIRST_LOOK_MS = 2000;

export interface NodeOptions {
  readonly id: string;
  readonly identity: number;
  readonly incarnation: number;
  readonly gossip: Address;
  /** Sockets of a predecessor of this process, which was this node and is silent now. */
  readonly inherited?: SocketDescriptors | undefined;
  readonly advertise: string;
  /** Seeds, and a file of more ("" or left out for none). */
  readonly join: readonly string[];
  readonly joinFile?: string;
  /** Seeds of this machine to try when there are no others: in silence, and they decide nothing of the node's address. */
  readonly localJoin?: readonly string[];
  readonly mesh: GossipConfig;
  readonly swim: SwimConfig;
  readonly meta: Omit<NodeMeta, "cut" | "version" | "controlAddress" | "isControlNode">;
  readonly journal: Journal;
  readonly log: AnnouncerLog;
  onEvent(event: SwimEvent): void;
}

/** Where a node serves what. */
type Served = Pick<NodeMeta, "servingAddress" | "models" | "endpoints">;

/** This node in the mesh: who else is there, and the way to them. */
export interface MeshNode {
  readonly membership: Membership;
  readonly transport: Transport;
  readonly keyring: Keyring;
  readonly roster: Roster;
  /** Seeded by chance. */
  readonly prng: Prng;
  /** Tells the mesh what has changed: whether the node can take requests now, only finishes what it has, is a control node. */
  tell(news: Partial<Pick<NodeMeta, "healthy" | "draining" | "controlAddress" | "isControlNode"> & Served>): void;
  /** The keys of all members. */
  readonly keys: MeshKeys;
  /** Calls of the API from member to member. */
  readonly calls: MemberCalls;
  /** Says nothing any more, for a successor goes on as this node: no leave is taken, and nobody is to notice. */
  fallSilent(): void;
  /** Takes leave; resolves when the mesh has been told, or after `timeoutMs`. Nothing is sent any more then. */
  leave(timeoutMs: number): Promise<void>;
}

/** The node, for whoever asks before there is one. */
export function joined(node: MeshNode | null): MeshNode {
  if (node === null) throw new MeshError("starting", "this node has not joined the mesh yet; try again in a moment");
  return node;
}

/** Joins the mesh as this node; rejects with a MeshError when the gossip port can't be had or a key can't be read. */
export async function joinMesh(options: NodeOptions): Promise<MeshNode> {
  const { log, mesh, gossip } = options;
  const keyring = openKeyring(mesh);
  const prng = new Prng(crypto.getRandomValues(new Uint32Array(1))[0] ?? 1);
  const sources = { join: options.join, joinFile: options.joinFile ?? "" };
  const transport = await openTransport({
    host: gossip.host,
    port: gossip.port,
    inherited: options.inherited,
    cluster: mesh.cluster,
    keyring,
    limits: mesh.limits,
    onError: (error) => log.warn("gossip", { error: error.message }),
    onWarning: (message) => log.warn(message),
  });
  const host = await announcedHost(transport.host, transport.port, options.advertise, () =>
    firstLook(sources, prng, FIRST_LOOK_MS),
  ).catch((error: unknown) => {
    transport.stop();
    throw error;
  });
  const roster = new Roster();
  let meta = { ...options.meta, version, controlAddress: "", isControlNode: false };
  const lines = new MemberLog(log);
  const membership: Membership = new Membership(
    {
      host: transport.host,
      advertise: host,
      cluster: mesh.cluster,
      swim: options.swim,
      id: options.id,
      identity: options.identity,
      incarnation: options.incarnation,
      meta: encodeMeta(meta, META_BYTES_MAX),
      join: [...options.join, ...(options.localJoin ?? [])],
      joinFile: sources.joinFile,
      quiet: options.join.length === 0 && sources.joinFile === "",
      prng,
      onEvent(event) {
        lines.told(event);
        options.journal.append(event, Date.now());
        roster.told(event, membership.member(event.id));
        options.onEvent(event);
      },
      onWarning: (message) => log.warn(message, membership.size > 1 ? {} : keyHint(keyring)),
      onInfo: (message) => log.info(message),
    },
    transport,
  );
  const keys = new MeshKeys({
    id: options.id,
    address: membership.address,
    keyring,
    members: () => membership.members(),
    request: (to, bytes, timeoutMs) => transport.request(to, bytes, timeoutMs, CHANNEL.control),
    log,
    windowSeconds: Math.ceil(mesh.limits.replayWindowMs / 1000),
  });
  transport.listen(CHANNEL.control, { onRequest: (_from, bytes) => keys.answer(bytes) });
  const calls = new MemberCalls({
    address(id) {
      const member = membership.member(id);
      return member?.status === "alive" || member?.status === "suspect" ? member.address : undefined;
    },
    request: (to, bytes, timeoutMs) => transport.request(to, bytes, timeoutMs, CHANNEL.call),
  });
  transport.listen(CHANNEL.call, { onRequest: (_from, bytes) => calls.answer(bytes) });
  membership.start();
  return {
    membership,
    transport,
    keyring,
    roster,
    prng,
    tell(news) {
      meta = { ...meta, ...news };
      membership.setMeta(encodeMeta(meta, META_BYTES_MAX));
    },
    keys,
    calls,
    fallSilent() {
      membership.stop();
      transport.stop();
    },
    async leave(timeoutMs) {
      await membership.leave(timeoutMs);
      transport.stop();
    },
  };
}

/** Why a node may find nobody: members of another key do not even refuse it. */
function keyHint({ primary }: Keyring): Record<string, unknown> {
  if (primary === undefined) return {};
  const hint =
    "if members run there, their key is another one: compare `infermesh ctl keyring list` there and here, then `keyring add` and `keyring use` theirs here";
  return { key: primary.fingerprint, hint };
}

/** A member as `GET /members` shows it. */
export interface MemberView {
  readonly id: string;
  readonly status: string;
  readonly address: string;
  readonly role: string;
  readonly zone: string;
  readonly incarnation: number;
  readonly sinceMs: number;
  readonly rttMs: number | null;
  /** Since it last answered a probe of this node's. */
  readonly seenAgoMs: number | null;
  /** Of its software; "" where it does not say. */
  readonly version: string;
  readonly models: readonly string[];
}

/** The members, this node included; `nowMs` on the clock of performance.now(). */
export function memberViews(membership: Membership, nowMs: number): MemberView[] {
  return membership.members().map((member) => memberView(member, nowMs));
}

export function memberView(member: Member, nowMs: number): MemberView {
  const meta = decodeMeta(member.meta);
  const agoMs = (thenMs: number): number => Math.max(0, Math.round(nowMs - thenMs));
  return {
    id: member.id,
    status: member.status,
    address: member.address,
    role: meta?.role ?? "unknown",
    zone: meta?.zone ?? "",
    incarnation: member.incarnation,
    sinceMs: agoMs(member.sinceMs),
    rttMs: member.rttMs ?? null,
    seenAgoMs: member.answeredAtMs === undefined ? null : agoMs(member.answeredAtMs),
    version: meta?.version ?? "",
    models: meta?.models ?? [],
  };
}

/** What of a member can't be a target, and why, since its word breaks the limits that a registration has. */
export interface MisfitTarget {
  readonly id: string;
  readonly faults: readonly string[];
}

/**
 * The targets that a member is: none for one that serves nothing. What breaks the limits of a registration is told apart,
 * since it may come from anybody where gossip is plain.
 */
export function targetsOf(member: Member): {
  readonly registrations: readonly Registration[];
  readonly misfits: readonly MisfitTarget[];
} {
  const meta = decodeMeta(member.meta);
  const registrations: Registration[] = [];
  const misfits: MisfitTarget[] = [];
  for (const { json, ready } of meta?.role === "agent" ? placesOf(meta, member) : []) {
    const parsed = parseRegistration({
      ...json,
      node: member.id,
      metrics_port: parseAddress(meta?.apiAddress ?? "")?.port,
      zone: meta?.zone,
      labels: meta?.labels,
      incarnation: member.incarnation,
    });
    const condition = meta?.draining === true ? "draining" : meta?.healthy === true && ready ? "ready" : "unready";
    if ("faults" in parsed) misfits.push({ id: json.id, faults: parsed.faults });
    else registrations.push({ ...parsed.registration, condition, isCut: meta?.cut === true });
  }
  return { registrations, misfits };
}

/** One that serves at one place is the node; of several each has a name. */
function placesOf(meta: NodeMeta, member: Member) {
  const { endpoints, servingAddress, models } = meta;
  if (endpoints.length === 0) {
    if (servingAddress === "") return [];
    return [{ ready: true, json: { id: member.id, address: reachedBy(servingAddress, member.address), models } }];
  }
  const serving = parseAddress(servingAddress)?.host ?? "";
  return endpoints.map(({ name, host, port, protocol, tls, ready, models: served }) => {
    const address = reachedBy(formatAddress({ host: host === "" ? serving : host, port }), member.address);
    const id = endpoints.length === 1 ? member.id : `${member.id}/${name}`;
    return { ready, json: { id, endpoint: name, address, protocol, tls, models: served } };
  });
}

/** Where to reach what a member serves: a wildcard means the host that its gossip comes from. */
function reachedBy(serving: string, member: string): string {
  const place = parseAddress(serving);
  const from = parseAddress(member);
  if (place === undefined || from === undefined || !WILDCARDS.has(place.host)) return serving;
  return formatAddress({ host: from.host, port: place.port });
}
