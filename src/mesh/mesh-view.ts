/** What a node's admin API tells of the mesh: the members, one member whole, and what happened. */
import type { Member } from "../swim/event.ts";
import { decodeMeta } from "../swim/meta.ts";
import type { Journal } from "./journal.ts";
import type { Membership } from "./membership.ts";
import { memberView, memberViews, type MemberView } from "./node-membership.ts";

/** A member as `GET /members/:id` shows it. */
export interface MemberDetail extends MemberView {
  /** It is the node that is asked. */
  readonly self: boolean;
  readonly labels: Readonly<Record<string, string>>;
  /** "host:port"; "" for nowhere. */
  readonly apiAddress: string;
  readonly servingAddress: string;
  /** Where it takes the links of control nodes; "" where it takes none. */
  readonly controlAddress: string;
  readonly healthy: boolean | null;
  readonly draining: boolean | null;
  /** Some labels or models did not fit into the gossip. */
  readonly cut: boolean;
  /** The oldest and the newest protocol of gossip that it speaks. */
  readonly protocols: readonly [number, number];
  /** The round trip to expect by network coordinates; null while unknown. */
  readonly distanceMs: number | null;
}

export interface MeshView {
  members(): MemberView[];
  /** The members, each as `member` tells of one. */
  details(): MemberDetail[];
  member(id: string): MemberDetail | undefined;
  /** What policies may name, of all members: asked for each write. */
  named(): Pick<MemberDetail, "id" | "role" | "labels" | "models">[];
  readonly events: Journal;
}

/** `membership` gives null before the node has joined. */
export function meshView(membership: () => Membership | null, events: Journal): MeshView {
  return {
    members() {
      const mesh = membership();
      return mesh === null ? [] : memberViews(mesh, performance.now());
    },
    details() {
      const mesh = membership();
      const nowMs = performance.now();
      return mesh === null ? [] : mesh.members().map((member) => detailOf(mesh, member, nowMs));
    },
    member(id) {
      const mesh = membership();
      return mesh === null ? undefined : memberDetail(mesh, id, performance.now());
    },
    named() {
      return (membership()?.members() ?? []).map(({ id, meta }) => {
        const { role = "unknown", labels = {}, models = [] } = decodeMeta(meta) ?? {};
        return { id, role, labels, models };
      });
    },
    events,
  };
}

function memberDetail(membership: Membership, id: string, nowMs: number): MemberDetail | undefined {
  const member = membership.member(id);
  return member === undefined ? undefined : detailOf(membership, member, nowMs);
}

function detailOf(membership: Membership, member: Member, nowMs: number): MemberDetail {
  const { id } = member;
  const meta = decodeMeta(member.meta);
  const self = id === membership.id;
  return {
    ...memberView(member, nowMs),
    self,
    labels: meta?.labels ?? {},
    apiAddress: meta?.apiAddress ?? "",
    servingAddress: meta?.servingAddress ?? "",
    controlAddress: meta?.controlAddress ?? "",
    healthy: meta?.healthy ?? null,
    draining: meta?.draining ?? null,
    cut: meta?.cut ?? false,
    protocols: member.versions,
    distanceMs: self ? null : (membership.distance(membership.id, id) ?? null),
  };
}
