/**
 * Models and runtimes of a node as messages (proto/state.proto), both ways. On the way in everything is checked, as in
 * node-state.ts.
 *
 * A model's status tells people and other programs what is served now: one that is loaded reads LOADING while its node or
 * its runtime takes no requests, DRAINING while that finishes what it has, FAILED on a quarantined GPU. It is read back
 * as it was told; nothing is sent there in either case.
 */
import { formatAddress, parseAddress } from "../base/units.ts";
import { ModelStatus, type NodeState } from "../gen/state.js";
import type { ModelState, Quantiles } from "../base/runtime-terms.ts";
import type { EndpointSample, ModelSample, NodeRuntime, NodeSample } from "../score/sample.ts";
import { RUNTIME_STATES } from "../base/runtime-terms.ts";
import { amount, fraction, known, text, whole, wholeOrUnknown } from "./state-figures.ts";

type ModelMessage = NonNullable<NodeState.$Properties["models"]>[number];
type RuntimeMessage = NonNullable<NodeState.$Properties["runtimes"]>[number];

export const MODELS_MAX = 256;
export const RUNTIMES_MAX = 16;
const ENDPOINTS_MAX = 16;
const CAPABILITIES_MAX = 16;
const QUANTILES = { p50: 0.5, p95: 0.95, p99: 0.99 } as const;

const STATUS = {
  available: ModelStatus.MODEL_STATUS_AVAILABLE,
  loading: ModelStatus.MODEL_STATUS_LOADING,
  warming: ModelStatus.MODEL_STATUS_WARMING,
  loaded: ModelStatus.MODEL_STATUS_READY,
  failed: ModelStatus.MODEL_STATUS_FAILED,
  unloading: ModelStatus.MODEL_STATUS_UNLOADING,
} as const satisfies Record<ModelState, ModelStatus>;

const STATES = new Map<unknown, ModelState>([
  ...Object.entries(STATUS).map(([state, status]) => [status, state as ModelState] as const),
  [ModelStatus.MODEL_STATUS_DRAINING, "loaded"],
  // Who does not say how a model is serves it.
  ...[ModelStatus.MODEL_STATUS_UNSPECIFIED, undefined, null].map((status) => [status, "loaded"] as const),
]);

export function encodeModel(
  model: ModelSample,
  sample: NodeSample,
  node: { readonly id: string; readonly zone: string },
): ModelMessage {
  const kind = sample.runtimes.find(({ name }) => name === model.runtime)?.kind ?? "";
  return {
    labels: { model: model.model, runtime: kind, node: node.id, zone: node.zone },
    status: statusOf(model, sample),
    runningRequests: whole(model.runningRequests),
    waitingRequests: whole(model.waitingRequests),
    ...known({
      queuedPrefillTokens: wholeOrUnknown(model.queuedPrefillTokens),
      kvUsage: model.kvUsage,
      kvCapacityTokens: wholeOrUnknown(model.kvCapacityTokens),
      prefillTokensPerSecond: model.prefillTokensPerSecond,
      decodeTokensPerSecond: model.decodeTokensPerSecond,
      slots: wholeOrUnknown(model.slots),
      contextTokensMax: wholeOrUnknown(model.contextTokensMax),
      cacheHitRate: model.cacheHitRate,
      preemptionsPerSecond: model.preemptionsPerSecond,
      workLeftSeconds: model.workLeftSeconds,
      loadSeconds: model.loadSeconds,
      figuresAgeSeconds: model.figuresAgeMs === undefined ? undefined : model.figuresAgeMs / 1000,
    }),
    timeToFirstToken: encodeQuantiles(model.timeToFirstToken),
    interTokenLatency: encodeQuantiles(model.interTokenLatency),
    runtime: model.runtime,
    reason: model.reason,
    parent: model.parent ?? "",
    capabilities: [...model.capabilities],
  };
}

export function decodeModel(model: ModelMessage): ModelSample[] {
  const name = text(model.labels?.model);
  const ageSeconds = amount(model.figuresAgeSeconds);
  if (name === "") return [];
  return [
    {
      model: name,
      runtime: text(model.runtime),
      state: STATES.get(model.status) ?? "available",
      reason: text(model.reason),
      parent: text(model.parent) || undefined,
      contextTokensMax: amount(model.contextTokensMax),
      capabilities: texts(model.capabilities, CAPABILITIES_MAX),
      runningRequests: amount(model.runningRequests) ?? 0,
      waitingRequests: amount(model.waitingRequests) ?? 0,
      queuedPrefillTokens: amount(model.queuedPrefillTokens),
      kvUsage: fraction(model.kvUsage),
      kvCapacityTokens: amount(model.kvCapacityTokens),
      prefillTokensPerSecond: amount(model.prefillTokensPerSecond),
      decodeTokensPerSecond: amount(model.decodeTokensPerSecond),
      slots: amount(model.slots),
      cacheHitRate: fraction(model.cacheHitRate),
      timeToFirstToken: decodeQuantiles(model.timeToFirstToken),
      interTokenLatency: decodeQuantiles(model.interTokenLatency),
      preemptionsPerSecond: amount(model.preemptionsPerSecond),
      workLeftSeconds: amount(model.workLeftSeconds),
      loadSeconds: amount(model.loadSeconds),
      figuresAgeMs: ageSeconds === undefined ? undefined : ageSeconds * 1000,
    },
  ];
}

function statusOf(model: ModelSample, sample: NodeSample): ModelStatus {
  if (model.state !== "loaded") return STATUS[model.state];
  const { ready, draining } = sample.runtimes.find(({ name }) => name === model.runtime) ?? sample;
  // A node that is drained as well as quarantined says that it is drained: by that it is known to want nothing.
  if (draining || sample.draining) return ModelStatus.MODEL_STATUS_DRAINING;
  if (ready && sample.ready) return ModelStatus.MODEL_STATUS_READY;
  const isLost = sample.gpus.some(
    ({ health, models, runtimes }) =>
      health === "quarantined" &&
      models.includes(model.model) &&
      (model.runtime === "" || runtimes?.includes(model.runtime) !== false),
  );
  return isLost ? ModelStatus.MODEL_STATUS_FAILED : ModelStatus.MODEL_STATUS_LOADING;
}

export function encodeRuntime(runtime: NodeRuntime): RuntimeMessage {
  const { sinceMs, endpoints, ...rest } = runtime;
  return {
    ...rest,
    sinceMs: whole(sinceMs),
    endpoints: endpoints.map(({ name, host, port, protocol, tls }) => ({
      name,
      address: formatAddress({ host, port }),
      protocol,
      tls,
    })),
  };
}

/** Those without a name, or with one that came before, are left out. */
export function decodeRuntimes(messages: readonly RuntimeMessage[] | null | undefined): NodeRuntime[] {
  const runtimes = new Map<string, NodeRuntime>();
  for (const message of (messages ?? []).slice(0, RUNTIMES_MAX)) {
    const name = text(message.name);
    if (name === "" || runtimes.has(name)) continue;
    const state = RUNTIME_STATES.find((one) => one === message.state);
    runtimes.set(name, {
      name,
      kind: text(message.kind),
      version: text(message.version),
      ready: message.ready === true,
      draining: message.draining === true,
      // A word of a later version says no more than whether it is ready.
      state: state ?? (message.ready === true ? "ready" : "starting"),
      message: text(message.message),
      sinceMs: amount(message.sinceMs) ?? 0,
      endpoints: (message.endpoints ?? []).slice(0, ENDPOINTS_MAX).flatMap(decodeEndpoint),
    });
  }
  return [...runtimes.values()];
}

function decodeEndpoint(endpoint: NonNullable<RuntimeMessage["endpoints"]>[number]): EndpointSample[] {
  const { protocol } = endpoint;
  const address = parseAddress(text(endpoint.address));
  if (address === undefined || (protocol !== "http" && protocol !== "grpc")) return [];
  return [{ name: text(endpoint.name), ...address, protocol, tls: endpoint.tls === true }];
}

function encodeQuantiles(quantiles: Quantiles | undefined): { quantile: number; seconds: number }[] {
  if (quantiles === undefined) return [];
  const parts = Object.entries(QUANTILES) as [keyof Quantiles, number][];
  return parts.map(([name, quantile]) => ({ quantile, seconds: quantiles[name] }));
}

/** Undefined unless all three are there. */
function decodeQuantiles(
  told: readonly { readonly quantile?: number | null; readonly seconds?: number | null }[] | null | undefined,
): Quantiles | undefined {
  const of = (wanted: number): number | undefined =>
    amount(told?.find(({ quantile }) => Math.abs((quantile ?? 0) - wanted) < 1e-6)?.seconds);
  const [p50, p95, p99] = [of(QUANTILES.p50), of(QUANTILES.p95), of(QUANTILES.p99)];
  return p50 === undefined || p95 === undefined || p99 === undefined ? undefined : { p50, p95, p99 };
}

export function texts(list: readonly unknown[] | null | undefined, max: number): string[] {
  return (list ?? []).slice(0, max).flatMap((one) => text(one) || []);
}
