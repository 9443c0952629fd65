/** Members and targets as the API shows them. */
import { formatHostPort } from "../fleet/registration.ts";
import { isRoutable, type Target } from "../fleet/target.ts";
import type { Init, ModelNode, Node, Target as TargetMessage } from "../gen/services.js";

/** What GET /members/:id shows (mesh/mesh-view.ts). */
export interface MemberFacts {
  readonly id: string;
  readonly status: string;
  readonly address: string;
  readonly role: string;
  readonly zone: string;
  readonly incarnation: number;
  readonly sinceMs: number;
  readonly rttMs: number | null;
  readonly seenAgoMs: number | null;
  readonly version: string;
  readonly models: readonly string[];
  readonly self: boolean;
  readonly labels: Readonly<Record<string, string>>;
  readonly apiAddress: string;
  readonly servingAddress: string;
  readonly healthy: boolean | null;
  readonly draining: boolean | null;
}

export interface FleetFacts {
  targets(): readonly Target[];
  load(id: string): { readonly inFlight: number; readonly inFlightTokens: number; readonly othersInFlight: number };
  /** On the clock of the targets' times. */
  nowMs(): number;
}

export function memberNode(member: MemberFacts): Init<Node> {
  const { id, role, status, self, zone, labels, version, incarnation, models, sinceMs } = member;
  return {
    id,
    role,
    status,
    self,
    zone,
    labels,
    version,
    incarnation,
    models,
    gossipAddress: member.address,
    apiAddress: member.apiAddress,
    servingAddress: member.servingAddress,
    healthy: member.healthy ?? undefined,
    leaving: member.draining ?? undefined,
    rttMs: member.rttMs ?? undefined,
    sinceMs,
    seenAgoMs: member.seenAgoMs ?? undefined,
  };
}

/** A node that only its targets tell of. */
export function targetNode({ node: id, zone, labels, incarnation, models, host, port }: Target): Init<Node> {
  const servingAddress = formatHostPort(host, port);
  return { id, role: "unknown", status: "target", zone, labels, incarnation, models, servingAddress };
}

/** Targets by their nodes. */
export function byNode(targets: readonly Target[]): Map<string, Target[]> {
  const nodes = new Map<string, Target[]>();
  for (const target of targets) {
    const siblings = nodes.get(target.node);
    if (siblings === undefined) nodes.set(target.node, [target]);
    else siblings.push(target);
  }
  return nodes;
}

/** What a node serves at all of its endpoints. */
export function modelsOf(targets: readonly Target[]): string[] {
  return [...new Set(targets.flatMap(({ models }) => models))];
}

export function targetMessage(target: Target, fleet: FleetFacts): Init<TargetMessage> {
  const { sampledAtMs, rttMs, state, source, weight, failuresInRow, lastError } = target;
  const { id, endpoint, protocol, tls, models } = target;
  return {
    id,
    endpoint,
    protocol,
    tls,
    models,
    state,
    routable: isRoutable(target),
    source,
    address: formatHostPort(target.host, target.port),
    weight,
    ...fleet.load(target.id),
    rttMs,
    sampledAgoMs: sampledAtMs === undefined ? undefined : Math.max(0, Math.round(fleet.nowMs() - sampledAtMs)),
    failuresInRow,
    lastError,
  };
}

/** What a list shows of a model's state: much less than there is, since there are many. */
export function briefly(state: Init<ModelNode>["modelState"]): Init<ModelNode>["modelState"] {
  if (state === undefined) return undefined;
  const { status, runningRequests, waitingRequests, kvUsage } = state;
  return { status, runningRequests, waitingRequests, kvUsage };
}
