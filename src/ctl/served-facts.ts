/** What `describe-node` shows of a node's runtimes and models. */
import { type GpuRow, whole } from "./gpu-rows.ts";
import { type Column, figureColumn, formatAge, formatPercent, textColumn } from "./render.ts";

export interface ModelDetail {
  readonly model?: string;
  readonly runtime?: string;
  readonly state?: string;
  readonly reason?: string;
  readonly parent?: string;
  readonly contextTokensMax?: number;
  readonly cacheHitRate?: number;
  readonly timeToFirstToken?: { readonly p50?: number; readonly p99?: number };
  readonly interTokenLatency?: { readonly p50?: number; readonly p99?: number };
  readonly runningRequests?: number;
  readonly waitingRequests?: number;
  readonly queuedPrefillTokens?: number;
  readonly kvUsage?: number | null;
  readonly kvCapacityTokens?: number;
  readonly prefillTokensPerSecond?: number;
  readonly decodeTokensPerSecond?: number;
  readonly slots?: number;
}

export interface RuntimeDetail {
  readonly name?: string;
  readonly kind?: string;
  readonly version?: string;
  readonly state?: string;
  readonly ready?: boolean;
  readonly message?: string;
  readonly sinceMs?: number;
  readonly endpoints?: readonly { readonly name?: string; readonly port?: number; readonly protocol?: string }[];
}

const MODEL_COLUMNS: readonly Column<ModelDetail>[] = [
  textColumn("MODEL", ({ model }) => model ?? "-"),
  figureColumn("RUNNING", ({ runningRequests }) => runningRequests),
  figureColumn("WAITING", ({ waitingRequests }) => waitingRequests),
  figureColumn("SLOTS", ({ slots }) => slots),
  figureColumn("PREFILL QUEUE", ({ queuedPrefillTokens }) => queuedPrefillTokens, whole),
  figureColumn("KV", ({ kvUsage }) => kvUsage, formatPercent),
  figureColumn("KV TOKENS", ({ kvCapacityTokens }) => kvCapacityTokens, whole),
  figureColumn("PREFILL/S", ({ prefillTokensPerSecond }) => prefillTokensPerSecond, whole),
  figureColumn("DECODE/S", ({ decodeTokensPerSecond }) => decodeTokensPerSecond, whole),
];

/** Only where some model has it: most nodes tell less. */
const TOLD_COLUMNS: readonly Column<ModelDetail>[] = [
  textColumn("RUNTIME", ({ runtime }) => runtime || "-"),
  textColumn("STATE", ({ state, reason = "" }) => (reason === "" ? (state ?? "-") : `${state ?? "-"}: ${reason}`)),
  textColumn("ADAPTS", ({ parent }) => parent ?? "-"),
  figureColumn("CONTEXT", ({ contextTokensMax }) => contextTokensMax, whole),
  figureColumn("CACHE HITS", ({ cacheHitRate }) => cacheHitRate, formatPercent),
  quantileColumn("FIRST TOKEN", ({ timeToFirstToken }) => timeToFirstToken),
  quantileColumn("BETWEEN TOKENS", ({ interTokenLatency }) => interTokenLatency),
];

function quantileColumn(
  title: string,
  of: (model: ModelDetail) => { readonly p50?: number; readonly p99?: number } | undefined,
): Column<ModelDetail> {
  const ms = (seconds: number | undefined): string =>
    seconds === undefined ? "-" : `${Number((seconds * 1000).toPrecision(3))}`;
  return textColumn(title, (model) => {
    const quantiles = of(model);
    return quantiles === undefined ? "-" : `${ms(quantiles.p50)}/${ms(quantiles.p99)}ms`;
  });
}

/** Of quantiles the median and the 99th percentile are shown. */
export function columnsFor(models: readonly ModelDetail[]): readonly Column<ModelDetail>[] {
  const isPlain = ({ title, cell }: Column<ModelDetail>): boolean =>
    models.every((model) => ["-", title === "STATE" ? "loaded" : "-"].includes(cell(model)));
  return [...MODEL_COLUMNS, ...TOLD_COLUMNS.filter((column) => !isPlain(column))];
}

export const RUNTIME_COLUMNS: readonly Column<RuntimeDetail>[] = [
  textColumn("RUNTIME", ({ name }) => name ?? "-"),
  textColumn("KIND", ({ kind }) => kind || "-"),
  textColumn("VERSION", ({ version }) => version || "-"),
  {
    ...textColumn<RuntimeDetail>("STATE", ({ state }) => state ?? "-"),
    color: ({ ready }) => (ready === true ? 32 : 31),
  },
  textColumn("FOR", ({ sinceMs = 0 }) => (sinceMs > 0 ? formatAge(Math.max(0, Date.now() - sinceMs)) : "-")),
  textColumn(
    "ENDPOINTS",
    ({ endpoints = [] }) =>
      endpoints.map(({ name, port, protocol }) => `${name ?? "-"} (${protocol ?? "-"} ${port ?? "-"})`).join(", ") ||
      "-",
  ),
  textColumn("MESSAGE", ({ message }) => message || "-"),
];

/** What a router or an agent tells of a node in its sample. */
interface Sampled {
  readonly sample?:
    | {
        readonly runtimes?: readonly RuntimeDetail[];
        readonly models?: readonly ModelDetail[];
        readonly gpus?: readonly GpuRow[];
      }
    | null
    | undefined;
}

/** Of all of a node's targets, each once. */
export function servedBy(targets: readonly Sampled[]): {
  readonly runtimes: readonly RuntimeDetail[];
  readonly models: readonly ModelDetail[];
  readonly gpus: readonly GpuRow[];
} {
  const samples = targets.flatMap(({ sample }) => sample ?? []);
  const once = <T>(rows: readonly T[], key: (row: T) => string): T[] => [
    ...new Map(rows.map((row) => [key(row), row])).values(),
  ];
  return {
    runtimes: once(
      samples.flatMap(({ runtimes = [] }) => runtimes),
      ({ name = "" }) => name,
    ),
    models: once(
      samples.flatMap(({ models = [] }) => models),
      ({ runtime = "", model = "" }) => `${runtime}\n${model}`,
    ),
    // Each target tells of all GPUs of its node.
    gpus: samples[0]?.gpus ?? [],
  };
}
