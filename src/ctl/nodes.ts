/** `infermesh ctl list-nodes`: a router's targets and the other members of its mesh; of an agent, itself and the mesh. */
import { type Answer, EXIT, type JsonRecord, ask, failureOf, notOurs, recordOf, recordsIn } from "./client.ts";
import { call } from "./control-plane.ts";
import { type MemberRow, STATUS_COLORS } from "./members.ts";
import {
  type Column,
  figureColumn,
  formatAge,
  formatMs,
  formatPercent,
  isWhole,
  renderRows,
  textColumn,
} from "./render.ts";
import type { CtlConfig } from "./settings.ts";
import type { Terminal } from "./terminal.ts";

/** A target as `GET /nodes` shows it; whatever is missing is shown as unknown. */
export interface TargetRow {
  readonly id?: string;
  /** The node's id, where it has several targets; versions before endpoints do not tell it. */
  readonly node?: string;
  readonly endpoint?: string;
  readonly protocol?: string;
  readonly tls?: boolean;
  readonly state?: string;
  /** Whether it gets requests, but for what was decided about it. */
  readonly routable?: boolean;
  readonly source?: string;
  readonly address?: string;
  readonly models?: readonly string[];
  readonly zone?: string;
  readonly incarnation?: number;
  readonly inFlight?: number | null;
  readonly rttMs?: number | null;
  readonly sampledAgoMs?: number | null;
  readonly labels?: Readonly<Record<string, string>>;
  readonly sample?: {
    readonly version?: string;
    readonly models?: readonly {
      readonly runningRequests?: number;
      readonly waitingRequests?: number;
      readonly kvUsage?: number | null;
    }[];
  } | null;
}

/** A target with what the mesh knows of it, or a member that is no target. */
interface NodeRow extends TargetRow {
  readonly role: string;
  /** Its status in the mesh; null for what is no member. */
  readonly status: string | null;
  readonly version: string;
  /** Since it last answered a poll or a probe. */
  readonly seenAgoMs: number | null;
  /** What an operator has decided; "" for nothing. */
  readonly decided: string;
  /** Why, in the operator's words. */
  readonly reason: string;
}

/** What ListNodes and GetNode tell of an operator's decision. */
export interface DecidedRow {
  readonly id?: string;
  readonly cordoned?: boolean;
  readonly draining?: boolean;
  readonly reason?: string;
  readonly labels?: Readonly<Record<string, string>>;
}

type ModelFigures = NonNullable<NonNullable<TargetRow["sample"]>["models"]>[number];

const STATE_COLORS: Readonly<Record<string, number>> = {
  ...STATUS_COLORS,
  healthy: 32,
  unhealthy: 31,
  draining: 33,
  cordoned: 33,
  unready: 31,
  unknown: 90,
};

const sumOf = (row: NodeRow, figure: (model: ModelFigures) => number | undefined): number | undefined =>
  row.sample?.models?.reduce((sum, model) => sum + (figure(model) ?? 0), 0);

/** The fullest of the node's caches: the one that will hurt first. */
const kvOf = (row: NodeRow): number | undefined => {
  const known = (row.sample?.models ?? []).flatMap(({ kvUsage }) => (typeof kvUsage === "number" ? [kvUsage] : []));
  return known.length === 0 ? undefined : Math.max(...known);
};

/**
 * What the mesh says goes first where it is bad news: it hears of a death before the next poll. A node that answers well and
 * gets no requests is "unready": it says itself that it can't serve.
 */
const stateOf = ({ status, state, decided, routable }: NodeRow): string => {
  if (status !== null && status !== "alive") return status;
  if (state !== "healthy" && state !== "alive") return state ?? "-";
  return decided !== "" ? decided : routable === false ? "unready" : state;
};

/** "draining" is the stronger of the two. */
export function decidedOf({ cordoned = false, draining = false }: DecidedRow): string {
  return draining ? "draining" : cordoned ? "cordoned" : "";
}

/** In which way a target is spoken to. */
export function spokenBy({ protocol, tls = false }: TargetRow): string {
  return protocol === undefined ? "-" : `${protocol}${tls ? " in TLS" : ""}`;
}

const modelsOf = ({ models = [] }: NodeRow): string =>
  models.length > 1 ? `${models[0]} +${models.length - 1}` : (models[0] ?? "-");

const NODE_COLUMNS: readonly Column<NodeRow>[] = [
  textColumn("ID", ({ id }) => id ?? "-"),
  { ...textColumn("STATE", stateOf), color: (row) => STATE_COLORS[stateOf(row)] },
  textColumn("ROLE", ({ role }) => role),
  textColumn("ZONE", ({ zone }) => zone || "-"),
  { title: "MODELS", cell: modelsOf, raw: ({ models = [] }) => models.join(",") || "-" },
  figureColumn("RUN", (row) => sumOf(row, (model) => model.runningRequests)),
  figureColumn("WAIT", (row) => sumOf(row, (model) => model.waitingRequests)),
  figureColumn("KV", kvOf, formatPercent),
  figureColumn("IN-FLIGHT", ({ inFlight }) => inFlight),
  figureColumn("RTT", ({ rttMs }) => rttMs, formatMs),
  figureColumn("SEEN", ({ seenAgoMs }) => seenAgoMs, formatAge),
  textColumn("ADDRESS", ({ address }) => address ?? "-"),
  { ...textColumn<NodeRow>("VERSION", ({ version }) => version || "-"), wide: true },
  { ...figureColumn<NodeRow>("INCARNATION", ({ incarnation }) => incarnation || undefined), wide: true },
  { ...textColumn<NodeRow>("SOURCE", ({ source }) => source ?? "-"), wide: true },
  { ...textColumn<NodeRow>("DECIDED", ({ decided }) => decided || "-"), wide: true },
  { ...textColumn<NodeRow>("REASON", ({ reason }) => reason || "-"), wide: true },
  {
    ...textColumn<NodeRow>("LABELS", ({ labels = {} }) => {
      const words = Object.entries(labels).map(([name, value]) => `${name}=${value}`);
      return words.join(",") || "-";
    }),
    wide: true,
  },
  { ...textColumn<NodeRow>("SPEAKS", (row) => spokenBy(row)), wide: true },
];

export async function listNodes(config: CtlConfig, terminal: Terminal): Promise<number> {
  const { endpoint, timeoutMs, output } = config;
  const answer = await askTargets(endpoint, timeoutMs);
  const failed = failureOf(answer, terminal);
  if (failed !== undefined || answer.kind !== "answer") return failed ?? EXIT.failed;
  const targets = recordsIn(answer.body, "nodes");
  if (targets === undefined) return notOurs("nodes", terminal);
  const [mesh, decisions] = await Promise.all([
    ask(answer.endpoint, "/members", timeoutMs),
    call({ endpoint: answer.endpoint, timeoutMs }, "ListNodes"),
  ]);
  const members = mesh.kind === "answer" ? (recordsIn(mesh.body, "members") ?? []) : [];
  // A process without policies has none to tell.
  const decided: readonly DecidedRow[] = decisions.kind === "reply" ? (recordsIn(decisions.body, "nodes") ?? []) : [];
  const byId = new Map(decided.map((row) => [row.id, row]));
  const nodes = nodeRows(targets, members).map((row): NodeRow => {
    const decision = byId.get(row.node ?? row.id) ?? {};
    const labels = row.labels ?? decision.labels;
    const known = { ...row, decided: decidedOf(decision), reason: decision.reason ?? "" };
    return labels === undefined ? known : { ...known, labels };
  });
  if (nodes.length === 0 && !isWhole(output) && output !== "text") terminal.err("no nodes\n");
  else terminal.out(renderRows(output, nodes, NODE_COLUMNS, { nodes }, terminal.color));
  return EXIT.ok;
}

/** `GET /nodes` of a router; an agent has no targets but is a node itself. */
async function askTargets(endpoint: string, timeoutMs: number): Promise<Answer> {
  const answer = await ask(endpoint, "/nodes", timeoutMs);
  if (answer.kind !== "answer" || answer.status !== 404) return answer;
  const [own, vitals] = await Promise.all([
    ask(answer.endpoint, "/status", timeoutMs),
    ask(answer.endpoint, "/metrics?format=json", timeoutMs),
  ]);
  if (own.kind !== "answer" || own.status !== 200) return own;
  const status = recordOf(own.body);
  const state =
    vitals.kind === "answer" && vitals.status === 200 ? recordOf(recordOf(vitals.body)?.["state"]) : undefined;
  const models = (recordsIn(state, "models") ?? []) as readonly ModelFigures[];
  return status === undefined ? own : { ...own, body: { nodes: [targetOfAgent(status, models)] } };
}

/** Targets with what the mesh knows of them, then the members that are none, without those that left. */
function nodeRows(targets: readonly TargetRow[], members: readonly MemberRow[]): NodeRow[] {
  const byId = new Map(members.map((member) => [member.id, member]));
  const nodeOf = ({ node, id }: TargetRow): string | undefined => node ?? id;
  const rows = targets.map((target) => nodeOfTarget(target, byId.get(nodeOf(target))));
  const served = new Set(targets.map(nodeOf));
  const others = members.filter(({ id, status }) => status !== "left" && !served.has(id));
  const order = (member: MemberRow): string => `${member.role} ${member.id}`;
  return [
    ...rows.toSorted((a, b) => ((a.id ?? "") < (b.id ?? "") ? -1 : 1)),
    ...others.toSorted((a, b) => (order(a) < order(b) ? -1 : 1)).map(nodeOfMember),
  ];
}

/** Of targets that are no members, by how they are known. */
const ROLES: Readonly<Record<string, string>> = { static: "upstream", k8s: "pod" };

function nodeOfTarget(target: TargetRow, member: MemberRow | undefined): NodeRow {
  const ages = [target.sampledAgoMs, member?.seenAgoMs].filter((age) => typeof age === "number");
  return {
    ...target,
    role: member?.role ?? ROLES[target.source ?? ""] ?? "agent",
    status: member?.status ?? null,
    zone: target.zone || member?.zone || "",
    incarnation: member?.incarnation ?? target.incarnation ?? 0,
    version: member?.version || target.sample?.version || "",
    seenAgoMs: ages.length === 0 ? null : Math.min(...ages),
    decided: "",
    reason: "",
  };
}

function nodeOfMember(member: MemberRow): NodeRow {
  return {
    id: member.id ?? "-",
    state: member.status ?? "unknown",
    source: "gossip",
    address: member.address ?? "-",
    models: member.models ?? [],
    zone: member.zone ?? "",
    incarnation: member.incarnation ?? 0,
    inFlight: null,
    rttMs: member.rttMs ?? null,
    sampledAgoMs: null,
    sample: null,
    role: member.role ?? "unknown",
    status: member.status ?? null,
    version: member.version ?? "",
    seenAgoMs: member.seenAgoMs ?? null,
    decided: "",
    reason: "",
  };
}

function targetOfAgent(status: JsonRecord, figures: readonly ModelFigures[]): TargetRow {
  const { id, serve, models, health, vitals, zone, incarnation, version } = status as {
    id?: string;
    serve?: string;
    models?: string[];
    health?: { status?: string };
    vitals?: { requests_in_progress?: number };
    zone?: string;
    incarnation?: number;
    version?: string;
  };
  const states: Readonly<Record<string, string>> = { ok: "healthy", degraded: "unhealthy", draining: "draining" };
  return {
    id: id ?? "-",
    state: states[health?.status ?? ""] ?? "unknown",
    source: "self",
    address: serve ?? "-",
    models: models ?? [],
    zone: zone ?? "",
    incarnation: incarnation ?? 0,
    inFlight: vitals?.requests_in_progress ?? null,
    rttMs: null,
    sampledAgoMs: 0,
    sample: version === undefined ? null : { version, ...(figures.length === 0 ? {} : { models: figures }) },
  };
}
