/** GPUs as routers and agents know them from nodes' states: rows for tables, and where they come from. */
import { TIME_MS_MAX, localTime } from "./events.ts";
import type { JsonRecord } from "./client.ts";
import { recordOf, recordsIn } from "./client.ts";
import { type Column, figureColumn, formatPercent, textColumn } from "./render.ts";

/** A GPU, or a MIG slice of one. What is not known is missing. */
export interface GpuRow {
  readonly index?: number;
  readonly uuid?: string;
  readonly name?: string;
  readonly migProfile?: string;
  readonly health?: string;
  readonly healthReason?: string;
  readonly healthSinceMs?: number;
  readonly utilization?: number;
  readonly memoryUsedBytes?: number;
  readonly memoryTotalBytes?: number;
  readonly powerWatts?: number;
  readonly powerLimitWatts?: number;
  readonly temperatureCelsius?: number;
  readonly throttleReasons?: readonly string[];
  readonly models?: readonly string[];
}

/** With its node. */
export interface NodeGpuRow extends GpuRow {
  readonly node: string;
  /** Its figures are of now: its node is heard of. */
  readonly isHeard: boolean;
  readonly sampledAgoMs?: number;
}

/** A node in ListNodes or GetNode, as far as it is looked at here. */
export interface StatefulNode {
  readonly id: string;
  readonly self: boolean;
  readonly role: string;
  readonly isHeard: boolean;
  /** As list-nodes has it. */
  readonly state: string;
  readonly models: readonly NodeModel[];
  readonly gpus: readonly NodeGpuRow[];
}

export interface NodeModel {
  readonly model: string;
  readonly running: number;
  readonly waiting: number;
  readonly queuedTokens: number | undefined;
  readonly kvUsage: number | undefined;
}

/** A state that is older tells of the past. */
const HEARD_MS_MAX = 30_000;

export const HEALTH_COLORS: Readonly<Record<string, number>> = {
  healthy: 32,
  degraded: 33,
  quarantined: 31,
  unheard: 90,
};

export const whole = (amount: number): string => Math.round(amount).toLocaleString("en-US");
export const gibibytes = (bytes: number): string => `${(bytes / 2 ** 30).toFixed(1)}GiB`;
export const watts = (amount: number): string => `${whole(amount)}W`;
export const celsius = (amount: number): string => `${whole(amount)}C`;

/** By the clock on the wall; "-" for what is no time. */
export function timeOf(unixMs: unknown): string {
  const ms = Number(unixMs);
  return unixMs === undefined || unixMs === null || !(ms > 0 && ms <= TIME_MS_MAX)
    ? "-"
    : localTime(new Date(ms).toISOString());
}

const LOAD_COLUMNS: readonly Column<GpuRow>[] = [
  figureColumn("BUSY", ({ utilization }) => utilization, formatPercent),
  figureColumn("MEMORY", ({ memoryUsedBytes }) => memoryUsedBytes, gibibytes),
  figureColumn("OF", ({ memoryTotalBytes }) => memoryTotalBytes, gibibytes),
  figureColumn("POWER", ({ powerWatts }) => powerWatts, watts),
  figureColumn("TEMP", ({ temperatureCelsius }) => temperatureCelsius, celsius),
];
const INDEX: Column<GpuRow> = figureColumn("GPU", ({ index }) => index);
const HEALTH: Column<GpuRow> = {
  ...textColumn<GpuRow>("HEALTH", ({ health }) => health || "-"),
  color: ({ health }) => HEALTH_COLORS[health ?? ""],
};
const THROTTLE: Column<GpuRow> = textColumn("THROTTLED BY", ({ throttleReasons }) => listed(throttleReasons));
const SINCE: Column<GpuRow> = {
  title: "SINCE",
  cell: ({ healthSinceMs }) => timeOf(healthSinceMs),
  raw: ({ healthSinceMs }) => (healthSinceMs === undefined ? "-" : String(healthSinceMs)),
};
const WHY: Column<GpuRow> = textColumn("WHY", ({ healthReason }) => healthReason || "-");

/** Of one node's. */
export const GPU_COLUMNS: readonly Column<GpuRow>[] = [
  INDEX,
  textColumn("NAME", ({ name }) => name || "-"),
  HEALTH,
  ...LOAD_COLUMNS,
  THROTTLE,
  SINCE,
  WHY,
];

const wide = (column: Column<GpuRow>): Column<GpuRow> => ({ ...column, wide: true });

/** Of several nodes'. */
export const NODE_GPU_COLUMNS: readonly Column<NodeGpuRow>[] = [
  textColumn<NodeGpuRow>("NODE", ({ node }) => node),
  INDEX,
  {
    title: "NAME",
    // A slice looks like its GPU in everything else.
    cell: ({ name, migProfile = "" }) => `${name || "-"}${migProfile === "" ? "" : ` ${migProfile}`}`,
    raw: ({ name }) => name || "-",
  },
  {
    ...HEALTH,
    cell: (row) => (isUnheard(row) ? "unheard" : row.health || "-"),
    color: (row) => (isUnheard(row) ? 90 : HEALTH_COLORS[row.health ?? ""]),
  },
  ...LOAD_COLUMNS,
  {
    title: "MODELS",
    cell: ({ models = [] }) => (models.length > 1 ? `${models[0]} +${models.length - 1}` : (models[0] ?? "-")),
    raw: ({ models }) => listed(models),
  },
  wide(textColumn("UUID", ({ uuid }) => uuid || "-")),
  wide(textColumn("MIG", ({ migProfile }) => migProfile || "-")),
  wide(THROTTLE),
  wide(SINCE),
  wide(WHY),
];

/** An answer from elsewhere may hold something else than a list. */
function listed(list: unknown): string {
  return (Array.isArray(list) ? list.map(String).join(",") : "") || "-";
}

function isUnheard(row: GpuRow): boolean {
  return "isHeard" in row && row.isHeard === false;
}

/** The nodes of an answer of ListNodes with states, in the order of their ids. */
export function statefulNodes(body: JsonRecord): readonly StatefulNode[] | undefined {
  const nodes = body["nodes"] === undefined ? [] : recordsIn(body, "nodes");
  return nodes?.map(statefulNode).toSorted((a, b) => (a.id < b.id ? -1 : 1));
}

export function statefulNode(node: JsonRecord): StatefulNode {
  const target = recordOf(node["target"]);
  const state = recordOf(node["state"]);
  const id = text(node["id"]) ?? "-";
  const status = text(node["status"]) ?? "unknown";
  const agoMs = figure(target?.["sampledAgoMs"]);
  const isHeard = state !== undefined && !["failed", "left"].includes(status) && (agoMs ?? 0) <= HEARD_MS_MAX;
  const gpus = (recordsIn(state, "gpus") ?? []).map((gpu): NodeGpuRow => {
    return { ...gpuRow(gpu, isHeard), node: id, isHeard, ...(agoMs === undefined ? {} : { sampledAgoMs: agoMs }) };
  });
  return {
    id,
    self: node["self"] === true,
    role: text(node["role"]) ?? "unknown",
    isHeard,
    state: ["suspect", "failed", "left"].includes(status) ? status : (text(target?.["state"]) ?? status),
    models: isHeard ? (recordsIn(state, "models") ?? []).flatMap(modelRow) : [],
    gpus: gpus.toSorted((a, b) => (a.index ?? 0) - (b.index ?? 0)),
  };
}

/** A GpuState as JSON; of one that is not heard of, only what it is. */
function gpuRow(gpu: JsonRecord, isHeard: boolean): GpuRow {
  const labels = recordOf(gpu["labels"]);
  const health = /^GPU_HEALTH_([A-Z]+)$/.exec(text(gpu["health"]) ?? "")?.[1]?.toLowerCase();
  const now = isHeard ? gpu : {};
  return known({
    index: figure(gpu["index"]),
    uuid: text(labels?.["gpuUuid"]),
    name: text(gpu["name"]),
    migProfile: text(labels?.["migProfile"]),
    health: health === "unspecified" ? undefined : health,
    healthReason: text(gpu["healthReason"]),
    healthSinceMs: figure(gpu["healthSinceMs"]),
    utilization: figure(now["utilization"]),
    memoryUsedBytes: figure(now["memoryUsedBytes"]),
    memoryTotalBytes: figure(gpu["memoryTotalBytes"]),
    powerWatts: figure(now["powerWatts"]),
    powerLimitWatts: figure(gpu["powerLimitWatts"]),
    temperatureCelsius: figure(now["temperatureCelsius"]),
    throttleReasons: texts(now["throttleReasons"]),
    models: texts(gpu["models"]),
  });
}

function modelRow(model: JsonRecord): NodeModel[] {
  const name = text(recordOf(model["labels"])?.["model"]);
  if (name === undefined) return [];
  return [
    {
      model: name,
      running: figure(model["runningRequests"]) ?? 0,
      waiting: figure(model["waitingRequests"]) ?? 0,
      queuedTokens: figure(model["queuedPrefillTokens"]),
      kvUsage: figure(model["kvUsage"]),
    },
  ];
}

function known<T extends object>(fields: T): { [K in keyof T]: NonNullable<T[K]> } {
  const entries = Object.entries(fields).filter(([, value]) => value !== undefined);
  return Object.fromEntries(entries) as { [K in keyof T]: NonNullable<T[K]> };
}

/** 64 bits come as text. */
export function figure(value: unknown): number | undefined {
  const number = typeof value === "string" && value !== "" ? Number(value) : value;
  return typeof number === "number" && Number.isFinite(number) ? number : undefined;
}

/** undefined for what is empty, too. */
export function text(value: unknown): string | undefined {
  return typeof value === "string" && value !== "" ? value : undefined;
}

function texts(value: unknown): string[] {
  return Array.isArray(value) ? value.filter((item) => typeof item === "string") : [];
}
