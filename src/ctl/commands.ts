/**
 * `infermesh ctl`: what a router or an agent knows, for people and scripts. Data goes to standard output, messages to
 * standard error; the exit code tells the outcome (see EXIT).
 */
import { type Answer, EXIT, ask, errorMessage } from "./client.ts";
import { type Column, formatAge, formatPercent, renderFigures, renderRows } from "./render.ts";
import type { CtlConfig } from "./settings.ts";

/** Where a command writes; replaced in tests. */
export interface Terminal {
  out(text: string): void;
  err(text: string): void;
  readonly color: boolean;
}

/** A node as `GET /nodes` shows it; whatever is missing is shown as unknown. */
interface NodeRow {
  readonly id?: string;
  readonly state?: string;
  readonly source?: string;
  readonly address?: string;
  readonly models?: readonly string[];
  readonly inFlight?: number | null;
  readonly rttMs?: number | null;
  readonly sampledAgoMs?: number | null;
  readonly sample?: {
    readonly models?: readonly {
      readonly runningRequests?: number;
      readonly waitingRequests?: number;
      readonly kvUsage?: number | null;
    }[];
  } | null;
}

type ModelFigures = NonNullable<NonNullable<NodeRow["sample"]>["models"]>[number];

const STATE_COLORS: Readonly<Record<string, number>> = { healthy: 32, unhealthy: 31, draining: 33, unknown: 90 };

const sumOf = (row: NodeRow, figure: (model: ModelFigures) => number | undefined): string => {
  const models = row.sample?.models;
  return models === undefined ? "-" : String(models.reduce((sum, model) => sum + (figure(model) ?? 0), 0));
};

/** The fullest of the node's caches: the one that will hurt first. */
const kvOf = (row: NodeRow): number | undefined => {
  const known = (row.sample?.models ?? []).flatMap(({ kvUsage }) => (typeof kvUsage === "number" ? [kvUsage] : []));
  return known.length === 0 ? undefined : Math.max(...known);
};

function textColumn<Row>(title: string, value: (row: Row) => string, right = false): Column<Row> {
  return { title, cell: value, raw: value, right };
}

function rttColumn<Row extends { readonly rttMs?: number | null }>(): Column<Row> {
  return {
    title: "RTT",
    cell: ({ rttMs }) => (typeof rttMs === "number" ? `${rttMs.toFixed(1)}ms` : "-"),
    raw: ({ rttMs }) => String(rttMs ?? "-"),
    right: true,
  };
}

const NODE_COLUMNS: readonly Column<NodeRow>[] = [
  textColumn<NodeRow>("ID", (row) => row.id ?? "-"),
  { ...textColumn<NodeRow>("STATE", (row) => row.state ?? "-"), color: (row) => STATE_COLORS[row.state ?? ""] },
  textColumn<NodeRow>("SOURCE", (row) => row.source ?? "-"),
  textColumn<NodeRow>("ADDRESS", (row) => row.address ?? "-"),
  textColumn<NodeRow>("MODELS", (row) => (row.models ?? []).join(",") || "-"),
  textColumn<NodeRow>("RUNNING", (row) => sumOf(row, (model) => model.runningRequests), true),
  textColumn<NodeRow>("WAITING", (row) => sumOf(row, (model) => model.waitingRequests), true),
  { title: "KV", cell: (row) => formatPercent(kvOf(row)), raw: (row) => String(kvOf(row) ?? "-"), right: true },
  textColumn<NodeRow>("IN-FLIGHT", (row) => String(row.inFlight ?? "-"), true),
  rttColumn(),
  {
    title: "SEEN",
    cell: (row) => formatAge(row.sampledAgoMs),
    raw: (row) => String(row.sampledAgoMs ?? "-"),
    right: true,
  },
];

/** The router's targets; of an agent, itself. */
export async function listNodes(config: CtlConfig, terminal: Terminal): Promise<number> {
  const { endpoint, timeoutMs, output } = config;
  let answer = await ask(endpoint, "/nodes", timeoutMs);
  let body: unknown = answer.kind === "answer" ? answer.body : null;
  if (answer.kind === "answer" && answer.status === 404) {
    // An agent knows only itself.
    answer = await ask(answer.endpoint, "/status", timeoutMs);
    if (answer.kind === "answer" && answer.status === 200) body = { nodes: [nodeOfAgent(answer.body)] };
  }
  const failed = failureOf(answer, terminal);
  if (failed !== undefined) return failed;
  const nodes = (body as { nodes?: unknown } | null)?.nodes;
  if (!Array.isArray(nodes)) {
    terminal.err("infermesh ctl: the answer holds no nodes; is this an infermesh --api port?\n");
    return EXIT.failed;
  }
  const rows = nodes as NodeRow[];
  if (rows.length === 0 && output === "table") terminal.err("no nodes\n");
  else terminal.out(renderRows(output, rows, NODE_COLUMNS, { nodes: rows }, terminal.color));
  return EXIT.ok;
}

function nodeOfAgent(status: unknown): NodeRow {
  const { id, serve, models, health, vitals } = status as {
    id?: string;
    serve?: string;
    models?: string[];
    health?: { status?: string };
    vitals?: { requests_in_progress?: number };
  };
  const states: Readonly<Record<string, string>> = { ok: "healthy", degraded: "unhealthy", draining: "draining" };
  return {
    id: id ?? "-",
    state: states[health?.status ?? ""] ?? "unknown",
    source: "self",
    address: serve ?? "-",
    models: models ?? [],
    inFlight: vitals?.requests_in_progress ?? null,
    rttMs: null,
    sampledAgoMs: 0,
    sample: null,
  };
}

/** A member as `GET /members` shows it. */
interface MemberRow {
  readonly id?: string;
  readonly status?: string;
  readonly role?: string;
  readonly zone?: string;
  readonly address?: string;
  readonly incarnation?: number;
  readonly rttMs?: number | null;
  readonly sinceMs?: number;
}

const STATUS_COLORS: Readonly<Record<string, number>> = { alive: 32, suspect: 33, failed: 31, left: 90 };

const MEMBER_COLUMNS: readonly Column<MemberRow>[] = [
  textColumn("ID", ({ id }) => id ?? "-"),
  {
    ...textColumn<MemberRow>("STATUS", ({ status }) => status ?? "-"),
    color: ({ status }) => STATUS_COLORS[status ?? ""],
  },
  textColumn("ROLE", ({ role }) => role ?? "-"),
  textColumn("ZONE", ({ zone }) => zone || "-"),
  textColumn("ADDRESS", ({ address }) => address ?? "-"),
  textColumn("INCARNATION", ({ incarnation }) => String(incarnation ?? "-"), true),
  rttColumn(),
  {
    title: "SINCE",
    cell: ({ sinceMs }) => formatAge(sinceMs),
    raw: ({ sinceMs }) => String(sinceMs ?? "-"),
    right: true,
  },
];

/** The members of the mesh, as the one who is asked sees them. */
export async function listMembers({ endpoint, timeoutMs, output }: CtlConfig, terminal: Terminal): Promise<number> {
  const answer = await ask(endpoint, "/members", timeoutMs);
  const failed = failureOf(answer, terminal);
  if (failed !== undefined || answer.kind !== "answer") return failed ?? EXIT.failed;
  const { members } = answer.body as { members?: unknown };
  if (!Array.isArray(members)) {
    terminal.err("infermesh ctl: the answer holds no members; is this an infermesh --api port?\n");
    return EXIT.failed;
  }
  const rows = members as MemberRow[];
  terminal.out(renderRows(output, rows, MEMBER_COLUMNS, { members: rows }, terminal.color));
  return EXIT.ok;
}

/** A router's counts, or an agent's vitals. */
export async function showStats({ endpoint, timeoutMs, output }: CtlConfig, terminal: Terminal): Promise<number> {
  let answer = await ask(endpoint, "/stats", timeoutMs);
  if (answer.kind === "answer" && answer.status === 404)
    answer = await ask(answer.endpoint, "/metrics?format=json", timeoutMs);
  const failed = failureOf(answer, terminal);
  if (failed !== undefined || answer.kind !== "answer") return failed ?? EXIT.failed;
  terminal.out(renderFigures(output, answer.body));
  return EXIT.ok;
}

/** Whether it is well: exit code 0 for "ok", 1 for anything else it answers. */
export async function showHealth({ endpoint, timeoutMs, output }: CtlConfig, terminal: Terminal): Promise<number> {
  const answer = await ask(endpoint, "/health", timeoutMs);
  // A process that drains answers 503 and says so.
  const status = answer.kind === "answer" ? (answer.body as { status?: unknown } | null)?.status : undefined;
  const failed = typeof status === "string" ? undefined : failureOf(answer, terminal);
  if (failed !== undefined || answer.kind !== "answer") return failed ?? EXIT.failed;
  terminal.out(renderFigures(output, answer.body));
  return status === "ok" ? EXIT.ok : EXIT.failed;
}

export function failureOf(answer: Answer, terminal: Terminal): number | undefined {
  if (answer.kind === "unreachable") {
    terminal.err(`infermesh ctl: can't reach ${answer.why}\n`);
    return EXIT.unreachable;
  }
  if (answer.status === 200) return undefined;
  terminal.err(`infermesh ctl: ${answer.endpoint} answered: ${errorMessage(answer.status, answer.body)}\n`);
  return EXIT.failed;
}
