/**
 * What `infermesh ctl top` shows: totals, a line for each GPU, a line for each model of a node. Pure: nodes, a size and a
 * moment in, lines out, none of them wider than the size.
 */
import { localTime } from "./events.ts";
import { type Column, fit, flowing, gap, sum, table, widest } from "./fitted-table.ts";
import { HEALTH_COLORS, type NodeGpuRow, type StatefulNode, whole } from "./gpu-rows.ts";
import { formatPercent } from "./render.ts";

export const SORTS = ["node", "busy", "memory", "power", "temperature", "health"] as const;
export type Sort = (typeof SORTS)[number];

export interface TopView {
  readonly nodes: readonly StatefulNode[];
  readonly atMs: number;
  readonly sort: Sort;
  /** Which part of the GPUs, from 0; one that is not there is the last. */
  readonly page: number;
  /** Why this is not of now, or not all; "" where it is. */
  readonly notice: string;
  /** What keys do, below; "" where there are none. */
  readonly keys: string;
}

export interface FrameSize {
  readonly columns: number;
  /** Infinity: all is shown. */
  readonly lines: number;
}

interface ModelLine {
  readonly node: string;
  readonly model: string;
  readonly running: number;
  readonly waiting: number;
  readonly queuedTokens: number | undefined;
  readonly kvUsage: number | undefined;
}

const COLUMNS_MIN = 20;
const BAR_MIN = 4;
const BAR_MAX = 30;
/** Of lines below the totals, for models where there is not room for all. */
const MODELS_SHARE = 1 / 3;
/** Below the totals, which give way; and for models to be shown too. */
const BODY_LINES_MIN = 4;
const BOTH_LINES_MIN = 9;
const HOT_CELSIUS = 85;

export function topFrame(view: TopView, size: FrameSize, color: boolean): readonly string[] {
  const { width, gpus, models, head, foot, gpuRoom, modelRoom } = layoutOf(view, size);
  const body = gpuLines(gpus, view, { width, lines: gpuRoom, color });
  const served = modelRoom <= 0 ? [] : modelLines(models, { width, lines: modelRoom, color });
  const lines = [...head, ...body, ...served];
  return [...lines.slice(0, Math.max(1, size.lines - foot.length)), ...foot];
}

/** How many pages of GPUs there are at this size. */
export function pagesOf(view: TopView, size: FrameSize): number {
  const { gpus, gpuRoom } = layoutOf(view, size);
  return Math.max(1, Math.ceil(gpus.length / eachOf(gpus.length, gpuRoom)));
}

interface Layout {
  readonly width: number;
  readonly gpus: readonly NodeGpuRow[];
  readonly models: readonly ModelLine[];
  readonly head: readonly string[];
  readonly foot: readonly string[];
  /** Lines below the titles of each table. */
  readonly gpuRoom: number;
  readonly modelRoom: number;
}

function layoutOf(view: TopView, size: FrameSize): Layout {
  const width = Math.max(COLUMNS_MIN, size.columns);
  const all = view.nodes.flatMap((node) => node.gpus);
  const models = view.nodes.flatMap(({ id, models: own }) => own.map((model) => ({ ...model, node: id })));
  const foot = view.keys === "" ? [] : [fit(view.keys, width).trimEnd()];
  const lines = size.lines - foot.length;
  const head = [...totals(view, all, models, width), ""].slice(0, Math.max(0, lines - BODY_LINES_MIN));
  // A table has a title, and the second one a line before it.
  const hasModels = models.length > 0 && lines - head.length >= BOTH_LINES_MIN;
  const room = Math.max(1, lines - head.length - (hasModels ? 3 : 1));
  const forModels = Math.min(models.length, Math.max(room - all.length, Math.floor(room * MODELS_SHARE)));
  const modelRoom = hasModels ? forModels : 0;
  return { width, gpus: sorted(all, view.sort), models, head, foot, gpuRoom: room - modelRoom, modelRoom };
}

/** How many GPUs a page has: where they are several pages, a line says so. */
function eachOf(count: number, room: number): number {
  return count <= room ? Math.max(1, count) : Math.max(1, room - 1);
}

function totals(view: TopView, gpus: readonly NodeGpuRow[], models: readonly ModelLine[], width: number): string[] {
  // A slice's figures are in its GPU's.
  const cards = gpus.filter(({ migProfile = "" }) => migProfile === "");
  const sumOf = (figure: (gpu: NodeGpuRow) => number | undefined): number | undefined => {
    const known = cards.flatMap((gpu) => figure(gpu) ?? []);
    return known.length === 0 ? undefined : sum(known, (one) => one);
  };
  const busy = sumOf(({ utilization }) => utilization);
  const counted = cards.filter(({ utilization }) => utilization !== undefined).length;
  const used = sumOf(({ memoryUsedBytes }) => memoryUsedBytes);
  const total = sumOf(({ memoryTotalBytes }) => memoryTotalBytes);
  const power = sumOf(({ powerWatts }) => powerWatts);
  const queued = models.flatMap(({ queuedTokens }) => queuedTokens ?? []);
  const heard = view.nodes.filter(({ isHeard }) => isHeard).length;
  const parts = [
    `infermesh top at ${localTime(new Date(view.atMs).toISOString()).slice(11)}`,
    plural(heard, "node"),
    `${plural(cards.length, "GPU")}${healths(cards)}`,
    `busy ${busy === undefined ? "-" : formatPercent(busy / counted)}`,
    `memory ${used === undefined ? "-" : gib(used)}/${total === undefined ? "-" : gib(total)}`,
    `power ${power === undefined ? "-" : power >= 10_000 ? `${(power / 1000).toFixed(1)}kW` : `${whole(power)}W`}`,
    `requests ${whole(sum(models, ({ running }) => running))} running, ${whole(sum(models, ({ waiting }) => waiting))} waiting`,
    `queue ${queued.length === 0 ? "-" : whole(sum(queued, (one) => one))} tokens`,
  ];
  return [...flowing(parts, width), ...(view.notice === "" ? [] : [fit(view.notice, width).trimEnd()])];
}

function healths(cards: readonly NodeGpuRow[]): string {
  const counts = new Map<string, number>();
  for (const card of cards) counts.set(healthOf(card), (counts.get(healthOf(card)) ?? 0) + 1);
  const words = [...counts].toSorted(([a], [b]) => badness(a) - badness(b)).map(([word, count]) => `${count} ${word}`);
  return words.length === 0 ? "" : `: ${words.join(", ")}`;
}

function healthOf({ isHeard, health }: NodeGpuRow): string {
  return isHeard ? (health ?? "unknown") : "unheard";
}

function badness(health: string): number {
  return ["healthy", "unknown", "unheard", "degraded", "quarantined"].indexOf(health);
}

/** Those with most first; where that is alike or not known, by node and index. */
function sorted(gpus: readonly NodeGpuRow[], sort: Sort): readonly NodeGpuRow[] {
  const weights: Readonly<Record<Sort, (gpu: NodeGpuRow) => number | undefined>> = {
    node: () => 0,
    busy: ({ utilization }) => utilization,
    memory: ({ memoryUsedBytes, memoryTotalBytes }) =>
      memoryUsedBytes === undefined || !((memoryTotalBytes ?? 0) > 0)
        ? undefined
        : memoryUsedBytes / (memoryTotalBytes ?? 1),
    power: ({ powerWatts }) => powerWatts,
    temperature: ({ temperatureCelsius }) => temperatureCelsius,
    health: (gpu) => badness(healthOf(gpu)),
  };
  const weight = (gpu: NodeGpuRow): number => weights[sort](gpu) ?? -1e9;
  return gpus.toSorted((a, b) => weight(b) - weight(a));
}

interface Room {
  readonly width: number;
  readonly lines: number;
  readonly color: boolean;
}

function gpuLines(gpus: readonly NodeGpuRow[], { page, keys }: TopView, { width, lines, color }: Room): string[] {
  if (gpus.length === 0) return ["no GPUs"];
  const each = eachOf(gpus.length, lines);
  const first = Math.min(Math.max(0, page), Math.ceil(gpus.length / each) - 1) * each;
  const shown = gpus.slice(first, first + each);
  const columns = gpuColumns(gpus, width);
  const rest = gpus.length - shown.length;
  const next = keys === "" ? "" : ` (${first + 1} to ${first + shown.length} of ${gpus.length} are shown)`;
  const more = rest === 0 ? [] : [fit(`and ${rest} more${next}`, width).trimEnd()];
  return [...table(shown, columns, width, color), ...more];
}

function modelLines(models: readonly ModelLine[], { width, lines, color }: Room): string[] {
  const isAll = models.length <= lines;
  const shown = isAll ? models : models.slice(0, Math.max(0, lines - 1));
  const more = isAll ? [] : [`and ${models.length - shown.length} more`];
  return ["", ...table(shown, modelColumns(models, width), width, color), ...more];
}

/** What there is room for; the bar takes what is left. */
function gpuColumns(gpus: readonly NodeGpuRow[], width: number): readonly Column<NodeGpuRow>[] {
  const isRoomy = width >= 100;
  const label = ({ node, index = 0, migProfile = "" }: NodeGpuRow): string =>
    `${node}/${index}${migProfile === "" ? "" : `:${migProfile}`}`;
  const name: Column<NodeGpuRow> = { title: "GPU", width: widest(gpus, label, 3, width < 80 ? 12 : 24), cell: label };
  const others: Column<NodeGpuRow>[] = [
    { title: "MEMORY", width: 8, right: true, cell: memoryOf },
    { title: "POWER", width: isRoomy ? 9 : 5, right: true, cell: (gpu) => powerOf(gpu, isRoomy) },
    {
      title: "TEMP",
      width: 4,
      right: true,
      cell: temperatureOf,
      color: ({ temperatureCelsius = 0 }) => (temperatureCelsius >= HOT_CELSIUS ? 33 : undefined),
    },
    { title: "HEALTH", width: 11, cell: healthOf, color: (gpu) => HEALTH_COLORS[healthOf(gpu)] },
  ];
  const spare = (columns: readonly Column<NodeGpuRow>[]): number =>
    width - sum(columns, (column) => column.width + gap(width));
  // Brackets and the figure behind it.
  const around = 2 + 5;
  const bar = Math.min(isRoomy ? 20 : BAR_MAX, spare([name, ...others]) - around);
  const busy: Column<NodeGpuRow> = {
    title: "BUSY",
    width: bar + around,
    cell: (gpu) => barOf(gpu, bar),
    color: ({ utilization }) => (utilization === undefined ? undefined : 36),
  };
  const columns = bar < BAR_MIN ? [name, ...others] : [name, busy, ...others];
  const left = spare(columns);
  const note: Column<NodeGpuRow> = {
    title: "MODELS, OR WHAT IS WRONG",
    width: left,
    cell: ({ health, healthReason, models = [] }) =>
      health !== "healthy" && healthReason !== undefined ? healthReason : models.join(", ") || "-",
  };
  return left >= 16 ? [...columns, note] : columns;
}

function memoryOf({ memoryUsedBytes, memoryTotalBytes }: NodeGpuRow): string {
  if (memoryUsedBytes === undefined && memoryTotalBytes === undefined) return "-";
  const short = (bytes: number | undefined): string =>
    bytes === undefined ? "-" : String(Math.round(bytes / 2 ** 30));
  return `${short(memoryUsedBytes)}/${short(memoryTotalBytes)}G`;
}

function powerOf({ powerWatts, powerLimitWatts }: NodeGpuRow, withLimit: boolean): string {
  if (powerWatts === undefined) return "-";
  const limit = withLimit && powerLimitWatts !== undefined ? `/${Math.round(powerLimitWatts)}` : "";
  return `${Math.round(powerWatts)}${limit}W`;
}

function temperatureOf({ temperatureCelsius }: NodeGpuRow): string {
  return temperatureCelsius === undefined ? "-" : `${Math.round(temperatureCelsius)}C`;
}

function barOf({ utilization }: NodeGpuRow, width: number): string {
  if (utilization === undefined) return `[${"?".padEnd(width)}]    -`;
  const full = Math.round(Math.min(1, Math.max(0, utilization)) * width);
  return `[${"#".repeat(full)}${".".repeat(width - full)}] ${formatPercent(utilization).padStart(4)}`;
}

function modelColumns(models: readonly ModelLine[], width: number): readonly Column<ModelLine>[] {
  const figures: Column<ModelLine>[] = [
    { title: "RUN", width: 5, right: true, cell: ({ running }) => whole(running) },
    {
      title: "WAIT",
      width: 5,
      right: true,
      cell: ({ waiting }) => whole(waiting),
      color: ({ waiting }) => (waiting > 0 ? 33 : undefined),
    },
    {
      title: "QUEUE",
      width: 9,
      right: true,
      cell: ({ queuedTokens }) => (queuedTokens === undefined ? "-" : whole(queuedTokens)),
    },
    { title: "KV", width: 4, right: true, cell: ({ kvUsage }) => formatPercent(kvUsage) },
  ];
  const node: Column<ModelLine> = {
    title: "NODE",
    width: widest(models, (line) => line.node, 4, width < 80 ? 12 : 24),
    cell: (line) => line.node,
  };
  const left = width - sum([node, ...figures], (column) => column.width + gap(width));
  const model = ({ model: name }: ModelLine): string => name;
  return [{ title: "MODEL", width: Math.min(left, widest(models, model, 5, 60)), cell: model }, node, ...figures];
}

function plural(count: number, word: string): string {
  return `${count} ${word}${count === 1 ? "" : "s"}`;
}

function gib(bytes: number): string {
  return `${whole(bytes / 2 ** 30)}GiB`;
}
