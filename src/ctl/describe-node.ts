/** `infermesh ctl describe-node ID`: all that a router or an agent knows of one node. */
import { didYouMean } from "../base/nearest.ts";
import { escaped, printable } from "../base/printable.ts";
import { type Answer, EXIT, type JsonRecord, ask, failureOf, notOurs, recordOf, recordsIn } from "./client.ts";
import { EVENT_COLUMNS, type EventRow } from "./events.ts";
import { GPU_COLUMNS, type GpuRow } from "./gpu-rows.ts";
import type { MemberRow } from "./members.ts";
import { whyNotReady } from "../score/sample.ts";
import { call } from "./control-plane.ts";
import { type DecidedRow, decidedOf, spokenBy, type TargetRow } from "./nodes.ts";
import { columnsFor, type ModelDetail, RUNTIME_COLUMNS, type RuntimeDetail, servedBy } from "./served-facts.ts";
import { type Facts, formatAge, formatMs, renderFacts, renderFigures, renderRows } from "./render.ts";
import { enginesOf } from "./kv-cache.ts";
import { targetsAt } from "./node-targets.ts";
import type { CtlConfig } from "./settings.ts";
import { runtimeFacts } from "./runtime-facts.ts";
import type { Terminal } from "./terminal.ts";

const EVENTS_SHOWN = 10;

/** A member as `GET /members/:id` shows it. */
interface MemberDetail extends MemberRow {
  readonly self?: boolean;
  readonly labels?: Readonly<Record<string, string>>;
  readonly apiAddress?: string;
  readonly servingAddress?: string;
  readonly healthy?: boolean | null;
  readonly draining?: boolean | null;
  readonly cut?: boolean;
  readonly protocols?: readonly number[];
  readonly distanceMs?: number | null;
}

/** A target as `GET /nodes/:id` shows it. */
interface TargetDetail extends TargetRow {
  readonly labels?: Readonly<Record<string, string>>;
  readonly weight?: number;
  readonly inFlightTokens?: number;
  readonly registeredAgoMs?: number;
  readonly failuresInRow?: number;
  readonly lastError?: string;
  readonly sample?:
    | (NonNullable<TargetRow["sample"]> & {
        readonly ready?: boolean;
        readonly requestsInProgress?: number;
        readonly failedResponses?: number;
        readonly uptimeSeconds?: number;
        readonly runtimes?: readonly RuntimeDetail[];
        readonly models?: readonly ModelDetail[];
        readonly gpus?: readonly GpuRow[];
      })
    | null;
}

interface Known {
  readonly id: string;
  /** What an operator has decided about it. */
  readonly decision: { readonly is: string; readonly reason: string } | null;
  readonly member: MemberDetail | null;
  /** What a router sends requests to; null too where there are several. */
  readonly node: TargetDetail | null;
  /** Of a node with several endpoints. */
  readonly targets?: readonly TargetDetail[];
  /** What the node says of itself, if it is the one that is asked. */
  readonly status: object | null;
  /** The latest, oldest first. */
  readonly events: readonly EventRow[];
}

export async function describeNode(config: CtlConfig, terminal: Terminal, id: string): Promise<number> {
  const { timeoutMs, output } = config;
  const path = encodeURIComponent(id);
  const first = await ask(config.endpoint, `/members/${path}`, timeoutMs);
  if (first.kind === "unreachable") return failureOf(first, terminal) ?? EXIT.failed;
  const { endpoint } = first;
  const [decision, target, own, log, runtime] = await Promise.all([
    call({ endpoint, timeoutMs }, "GetNode", { id }),
    targetsAt(endpoint, id, timeoutMs),
    ask(endpoint, "/status", timeoutMs),
    ask(endpoint, "/events", timeoutMs),
    ask(endpoint, "/runtime", timeoutMs),
  ]);
  for (const answer of [first, target.answer, own, log]) {
    const failed = answer.kind === "answer" && answer.status === 404 ? undefined : failureOf(answer, terminal);
    if (failed !== undefined) return failed;
  }
  for (const answer of [first, target.answer, own, log]) {
    if (answer.kind === "answer" && answer.status === 200 && found(answer) === null) return notOurs("node", terminal);
  }
  const status = found(own);
  const events = ((recordsIn(found(log), "events") ?? []) as readonly EventRow[]).filter((event) => event.id === id);
  const decided = decision.kind === "reply" ? (recordOf(decision.body["node"]) as DecidedRow | undefined) : undefined;
  const known: Known = {
    id,
    decision:
      decided === undefined || decidedOf(decided) === "" ? null : { is: bothOf(decided), reason: decided.reason ?? "" },
    member: found(first),
    node: found(target.answer),
    ...(target.several.length === 0 ? {} : { targets: target.several }),
    // With the lines that it writes, which only the control port tells.
    status: status?.["id"] === id ? { ...status, ...runtimeOf(found(runtime)) } : null,
    events,
  };
  const isKnown = known.member !== null || known.node !== null || known.status !== null;
  if (!isKnown && known.targets === undefined) {
    const hint = didYouMean(id, await idsAt(endpoint, timeoutMs));
    const text = `${endpoint} knows no node ${JSON.stringify(id.slice(0, 128))}${hint === "" ? "" : `; ${hint}`}`;
    terminal.err(`infermesh ctl: ${escaped(text)}\n`);
    return EXIT.failed;
  }
  terminal.out(
    output === "table" || output === "wide" ? sections(known, terminal.color) : renderFigures(output, known),
  );
  return EXIT.ok;
}

/** Each is taken back by itself. */
function bothOf({ cordoned = false, draining = false }: DecidedRow): string {
  return [draining ? "draining" : "", cordoned ? "cordoned" : ""].filter((word) => word !== "").join(" and ");
}

function runtimeOf(runtime: JsonRecord | null): { runtime?: JsonRecord } {
  return runtime === null ? {} : { runtime };
}

function found(answer: Answer): JsonRecord | null {
  return answer.kind === "answer" && answer.status === 200 ? (recordOf(answer.body) ?? null) : null;
}

/** Every id that is known there. */
async function idsAt(endpoint: string, timeoutMs: number): Promise<string[]> {
  const [nodes, members] = await Promise.all([
    ask(endpoint, "/nodes", timeoutMs),
    ask(endpoint, "/members", timeoutMs),
  ]);
  const rows = [...(recordsIn(found(nodes), "nodes") ?? []), ...(recordsIn(found(members), "members") ?? [])];
  return [...new Set(rows.flatMap(({ id }) => (typeof id === "string" ? [id] : [])))];
}

function sections({ id, decision, member, node, targets: several, status, events }: Known, color: boolean): string {
  const parts = [`${printable(id)}\n`];
  if (decision !== null) {
    const facts = [["decided", decision.is] as const, ["reason", decision.reason || "-"] as const];
    parts.push(renderFacts({ title: "Operator", facts }));
  }
  if (member !== null) parts.push(renderFacts(membershipFacts(member)));
  const targets = several ?? (node === null ? [] : [node]);
  for (const target of targets) parts.push(renderFacts(targetFacts(target, targets.length > 1)));
  const { runtimes, models, gpus } = servedBy(targets);
  if (runtimes.length > 0)
    parts.push(`Runtimes\n${indented(renderRows("table", runtimes, RUNTIME_COLUMNS, {}, color))}`);
  if (models.length > 0) parts.push(`Models\n${indented(renderRows("table", models, columnsFor(models), {}))}`);
  const { rows: engines, columns: engineColumns } = enginesOf(targets, status);
  if (engines.length > 0) parts.push(`KV cache\n${indented(renderRows("table", engines, engineColumns, {}))}`);
  if (gpus.length > 0) parts.push(`GPUs\n${indented(renderRows("table", gpus, GPU_COLUMNS, {}))}`);
  const runtime = runtimeFacts(status as JsonRecord | null);
  if (runtime !== undefined) parts.push(renderFacts(runtime));
  if (status !== null) {
    const { runtime: _shown, kvCache: _told, ...rest } = status as JsonRecord;
    parts.push(`What it says of itself\n${indented(renderFigures("table", rest))}`);
  }
  const latest = events.slice(-EVENTS_SHOWN);
  const title = events.length > latest.length ? `Latest ${latest.length} of ${events.length} events` : "Events";
  const columns = EVENT_COLUMNS.filter((column) => column.title !== "ID");
  parts.push(
    latest.length === 0 ? "No events\n" : `${title}\n${indented(renderRows("table", latest, columns, {}, color))}`,
  );
  return parts.join("\n");
}

function indented(text: string): string {
  return text.replace(/^(?=.)/gm, "  ");
}

function membershipFacts(member: MemberDetail): Facts {
  const { self = false, rttMs, distanceMs, seenAgoMs, protocols = [] } = member;
  const estimate = typeof distanceMs === "number" ? `, ${formatMs(distanceMs)} by network coordinates` : "";
  const says = member.draining === true ? ", draining" : member.healthy === false ? ", says that it is not well" : "";
  return {
    title: "Membership",
    facts: [
      ["status", `${member.status ?? "unknown"} for ${formatAge(member.sinceMs)}${says}${self ? " (asked here)" : ""}`],
      ["role", member.role ?? "-"],
      ["zone", member.zone || "-"],
      ["labels", labelsText(member.labels)],
      ["incarnation", String(member.incarnation ?? "-")],
      ["gossip", member.address ?? "-"],
      ["vitals", member.apiAddress || "-"],
      ["serving", member.servingAddress || "-"],
      ["models", `${(member.models ?? []).join(", ") || "-"}${member.cut === true ? " and more" : ""}`],
      ["version", `${member.version || "-"}, gossip protocol ${[...new Set(protocols)].join(" to ") || "-"}`],
      ["RTT", self ? "-" : `${typeof rttMs === "number" ? formatMs(rttMs) : "not measured yet"}${estimate}`],
      ["last seen", self || typeof seenAgoMs !== "number" ? "-" : `${formatAge(seenAgoMs)} ago`],
    ],
  };
}

function requestsOf({ routable, sample }: TargetDetail): string {
  if (routable === true) return "gets requests";
  const why = sample?.ready === false ? whyNotReady(sample) : "";
  return why === "" ? "gets no requests" : `gets no requests: ${why}`;
}

function targetFacts(target: TargetDetail, isOneOfSeveral: boolean): Facts {
  const { sample, failuresInRow = 0, lastError = "" } = target;
  const ago = (ms: number | null | undefined): string => (typeof ms === "number" ? `${formatAge(ms)} ago` : "not yet");
  // A pod without an agent does not tell since when it runs.
  const { uptimeSeconds = 0 } = sample ?? {};
  const atAge = uptimeSeconds === 0 ? "" : `, ${formatAge(uptimeSeconds * 1000)} after its start`;
  const failures = failuresInRow === 0 ? "" : `${failuresInRow} polls failed in a row: `;
  return {
    title: isOneOfSeveral ? `Target ${target.id ?? "-"}` : "Target",
    facts: [
      ["state", `${target.state ?? "unknown"}, ${requestsOf(target)}`],
      ["source", target.source ?? "-"],
      ["address", `${target.address ?? "-"}${target.protocol === undefined ? "" : `, ${spokenBy(target)}`}`],
      ["models", (target.models ?? []).join(", ") || "-"],
      ["weight", String(target.weight ?? "-")],
      ["zone", target.zone || "-"],
      ["labels", labelsText(target.labels)],
      [
        "in flight",
        `${target.inFlight ?? "-"} requests, ${target.inFlightTokens ?? "-"} prompt tokens not computed yet`,
      ],
      ["in progress", sample === null ? "-" : `${sample?.requestsInProgress ?? "-"} requests, of all routers`],
      ["failed", sample === null ? "-" : `${sample?.failedResponses ?? "-"} responses`],
      ["sampled", `${ago(target.sampledAgoMs)}${atAge}`],
      ["announced", ago(target.registeredAgoMs)],
      ["last error", failures + lastError || "-"],
    ],
  };
}

function labelsText(labels: Readonly<Record<string, string>> = {}): string {
  return (
    Object.entries(labels)
      .map(([name, value]) => `${name}=${value}`)
      .join(", ") || "-"
  );
}
