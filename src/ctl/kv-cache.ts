/** What `describe-node` shows of the KV caches of a node's engines: by a router's word, or by the node's own. */
import { recordsIn } from "./client.ts";
import { whole } from "./gpu-rows.ts";
import { type Column, figureColumn, formatAge, textColumn } from "./render.ts";

/** An engine as GET /nodes/:id of a router shows it, or GET /status of an agent. */
export interface EngineRow {
  readonly engine?: string;
  readonly runtime?: string;
  readonly blocks?: number;
  readonly whole?: boolean;
  /** Of a router. */
  readonly blockTokens?: number;
  readonly current?: boolean;
  readonly heard?: boolean;
  readonly updatesBehind?: number;
  readonly behindMs?: number | null;
  /** Of an agent. */
  readonly subscribed?: boolean;
  readonly fault?: string;
  readonly began?: string;
}

const COLUMNS: readonly Column<EngineRow>[] = [
  textColumn("ENGINE", ({ engine }) => engine ?? "-"),
  textColumn("RUNTIME", ({ runtime }) => runtime || "-"),
  figureColumn("BLOCKS", ({ blocks }) => blocks, whole),
  textColumn("KNOWN", (row) => (row.whole === true ? "whole" : "in part")),
];
const BY_ROUTER: readonly Column<EngineRow>[] = [
  ...COLUMNS,
  figureColumn("TOKENS/BLOCK", ({ blockTokens }) => (blockTokens === 0 ? undefined : blockTokens), whole),
  textColumn("LAG", lag),
];
const BY_ITSELF: readonly Column<EngineRow>[] = [
  ...COLUMNS,
  textColumn("EVENTS", ({ subscribed, fault = "" }) => (subscribed === true ? "heard" : fault || "not heard yet")),
  textColumn("SINCE", ({ began = "" }) => began || "-"),
];

/** The engines of all targets, each once, and how to show them. */
export function enginesOf(
  targets: readonly object[],
  status: object | null,
): { readonly rows: readonly EngineRow[]; readonly columns: readonly Column<EngineRow>[] } {
  const own = rowsIn(status);
  if (own.length > 0) return { rows: own, columns: BY_ITSELF };
  const all = targets.flatMap(rowsIn);
  const rows = [...new Map(all.map((row) => [`${row.runtime} ${row.engine}`, row])).values()];
  return { rows, columns: BY_ROUTER };
}

function rowsIn(answer: object | null): readonly EngineRow[] {
  return answer === null ? [] : (recordsIn(answer, "kvCache") ?? []);
}

function lag({ current, heard, updatesBehind = 0, behindMs }: EngineRow): string {
  if (current === true) return heard === false ? "the node does not hear it" : "none";
  const since = typeof behindMs === "number" ? `for ${formatAge(behindMs)}` : "";
  const updates = updatesBehind > 0 ? `${updatesBehind} updates` : "behind";
  return `${updates} ${since}`.trim();
}
