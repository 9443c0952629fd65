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

export function targetNode({ id, zone, labels, incarnation, models, host, port }: Target): Init<Node> {
  const servingAddress = formatHostPort(host, port);
  return { id, role: "unknown", status: "target", zone, labels, incarnation, models, servingAddress };
}

export function targetMessage(target: Target, fleet: FleetFacts): Init<TargetMessage> {
  const { sampledAtMs, rttMs, state, source, weight, failuresInRow, lastError } = target;
  return {
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
