/**
 * A node's sample as the message that travels (proto/state.proto, infermesh.state.v1.NodeState), both ways.
 *
 * What the sample does not know stays absent in the message. On the way in everything is checked: a node may be of
 * another version, or broken, and a NaN or a negative count must not reach the score table.
 */
import { GpuHealth, ModelStatus, NodeState } from "../gen/state.js";
import { type GpuSample, type NodeSample, PLAIN_MODEL } from "../score/sample.ts";
import {
  decodeModel,
  decodeRuntimes,
  encodeModel,
  encodeRuntime,
  MODELS_MAX,
  RUNTIMES_MAX,
  texts,
} from "./model-state.ts";
import { amount, finite, fraction, known, text, whole, wholeOrUnknown } from "./state-figures.ts";

/** Who the node is, beside what it measures. */
export interface NodeIdentity {
  readonly id: string;
  /** Grows with each start of the node. */
  readonly incarnation: number;
  readonly role: string;
  readonly zone: string;
  readonly labels: Readonly<Record<string, string>>;
  /** "host:port" each; empty where the node does not serve it. */
  readonly addresses: {
    readonly serve: string;
    readonly api: string;
    readonly metrics: string;
    readonly gossip: string;
  };
}

const GPUS_MAX = 256;
const THROTTLE_REASONS_MAX = 16;

/** The labels that the protocol names; the rest go under `custom`. */
const NAMED_LABELS = {
  model: "model",
  revision: "revision",
  quant: "quant",
  runtime: "runtime",
  node: "node",
  gpu_uuid: "gpuUuid",
  mig_profile: "migProfile",
  tenant: "tenant",
  zone: "zone",
} as const;

const GPU_HEALTH = {
  healthy: GpuHealth.GPU_HEALTH_HEALTHY,
  degraded: GpuHealth.GPU_HEALTH_DEGRADED,
  quarantined: GpuHealth.GPU_HEALTH_QUARANTINED,
} as const;

/** The message for a sample. `observedAtMs` is the node's own Unix clock. */
export function encodeNodeState(sample: NodeSample, identity: NodeIdentity, observedAtMs: number): NodeState {
  return NodeState.create({
    id: identity.id,
    incarnation: identity.incarnation,
    role: identity.role,
    version: sample.version,
    zone: identity.zone,
    ready: sample.ready,
    observedAtMs: Math.round(observedAtMs),
    addresses: { ...identity.addresses },
    vitals: {
      requestsInProgress: whole(sample.requestsInProgress),
      ...known({ cpuUsage: sample.cpuUsage, memoryUsage: sample.memoryUsage, gpuUsage: sample.gpuUsage }),
      failedResponses: whole(sample.failedResponses),
      connectedPeers: whole(sample.connectedPeers),
      backoffRequests: whole(sample.backoffRequests),
      uptimeSeconds: sample.uptimeSeconds,
    },
    draining: sample.draining,
    runtimes: sample.runtimes.map(encodeRuntime),
    models: sample.models.map((model) => encodeModel(model, sample, identity)),
    gpus: sample.gpus.map((gpu) => ({
      labels: { node: identity.id, zone: identity.zone, gpuUuid: gpu.uuid, migProfile: gpu.migProfile ?? "" },
      index: gpu.index,
      name: gpu.name,
      ...known({
        memoryTotalBytes: wholeOrUnknown(gpu.memoryTotalBytes),
        memoryUsedBytes: wholeOrUnknown(gpu.memoryUsedBytes),
        utilization: gpu.utilization,
        powerWatts: gpu.powerWatts,
        powerLimitWatts: gpu.powerLimitWatts,
        temperatureCelsius: gpu.temperatureCelsius,
      }),
      throttleReasons: [...gpu.throttleReasons],
      health: gpu.health === undefined ? GpuHealth.GPU_HEALTH_UNSPECIFIED : GPU_HEALTH[gpu.health],
      ...(gpu.healthReason === undefined ? {} : { healthReason: gpu.healthReason }),
      ...known({ healthSinceMs: wholeOrUnknown(gpu.healthSinceMs) }),
      models: [...gpu.models],
      runtimes: [...(gpu.runtimes ?? [])],
    })),
    labels: encodeLabels(identity),
  });
}

/** The sample in a message. */
export function decodeNodeState(state: NodeState): NodeSample {
  const models = state.models.slice(0, MODELS_MAX);
  const { vitals } = state;
  return {
    ready: state.ready,
    // Versions that do not tell it of the node tell it of its models.
    draining: state.draining ?? models.some((model) => model.status === ModelStatus.MODEL_STATUS_DRAINING),
    runtimes: decodeRuntimes(state.runtimes),
    models: models.flatMap(decodeModel),
    gpus: state.gpus.slice(0, GPUS_MAX).map((gpu): GpuSample => {
      const memoryTotalBytes = amount(gpu.memoryTotalBytes);
      return {
        index: amount(gpu.index) ?? 0,
        uuid: text(gpu.labels?.gpuUuid),
        name: text(gpu.name),
        migProfile: text(gpu.labels?.migProfile) || undefined,
        utilization: fraction(gpu.utilization),
        memoryUsedBytes: amount(gpu.memoryUsedBytes),
        memoryTotalBytes,
        powerWatts: amount(gpu.powerWatts),
        powerLimitWatts: amount(gpu.powerLimitWatts),
        temperatureCelsius: finite(gpu.temperatureCelsius),
        throttleReasons: (gpu.throttleReasons ?? []).slice(0, THROTTLE_REASONS_MAX).map(text),
        health: decodeHealth(gpu.health),
        healthReason: text(gpu.healthReason) || undefined,
        healthSinceMs: amount(gpu.healthSinceMs),
        models: (gpu.models ?? []).slice(0, MODELS_MAX).map(text),
        // None is what earlier versions tell.
        ...((gpu.runtimes ?? []).length === 0 ? {} : { runtimes: texts(gpu.runtimes, RUNTIMES_MAX) }),
      };
    }),
    requestsInProgress: amount(vitals?.requestsInProgress) ?? 0,
    failedResponses: amount(vitals?.failedResponses) ?? 0,
    connectedPeers: amount(vitals?.connectedPeers) ?? 0,
    backoffRequests: amount(vitals?.backoffRequests) ?? 0,
    cpuUsage: fraction(vitals?.cpuUsage),
    memoryUsage: fraction(vitals?.memoryUsage),
    gpuUsage: fraction(vitals?.gpuUsage),
    uptimeSeconds: amount(vitals?.uptimeSeconds) ?? 0,
    version: text(state.version),
  };
}

/**
 * The sample in JSON vitals (docs/api.md). With the node's state under `state` it is complete; without, the requests
 * in progress stand for every one of `models`, which share them. Null when it is no vitals at all.
 */
export function decodeVitalsJson(json: unknown, models: readonly string[]): NodeSample | null {
  if (typeof json !== "object" || json === null || Array.isArray(json)) return null;
  const vitals = json as Record<string, unknown>;
  if (typeof vitals["ready"] !== "boolean") return null;
  if (typeof vitals["state"] === "object" && vitals["state"] !== null) {
    try {
      return decodeNodeState(NodeState.fromObject(vitals["state"]));
    } catch {
      return null;
    }
  }
  const requestsInProgress = amount(vitals["requests_in_progress"]) ?? 0;
  return {
    ready: vitals["ready"],
    draining: vitals["draining"] === true,
    runtimes: [],
    models: models.map((model) => ({
      ...PLAIN_MODEL,
      model,
      runningRequests: requestsInProgress,
      waitingRequests: 0,
    })),
    gpus: [],
    requestsInProgress,
    failedResponses: amount(vitals["failed_responses"]) ?? 0,
    connectedPeers: amount(vitals["connected_peers"]) ?? 0,
    backoffRequests: amount(vitals["backoff_requests"]) ?? 0,
    cpuUsage: fraction(vitals["cpu_usage"]),
    memoryUsage: fraction(vitals["memory_usage"]),
    gpuUsage: fraction(vitals["gpu_usage"]),
    uptimeSeconds: amount(vitals["uptime_seconds"]) ?? 0,
    version: text(vitals["version"]),
  };
}

function encodeLabels(identity: NodeIdentity): NonNullable<NodeState.$Properties["labels"]> {
  const named: Partial<Record<(typeof NAMED_LABELS)[keyof typeof NAMED_LABELS], string>> = {};
  const custom: Record<string, string> = {};
  for (const [name, value] of Object.entries(identity.labels)) {
    if (Object.hasOwn(NAMED_LABELS, name)) named[NAMED_LABELS[name as keyof typeof NAMED_LABELS]] = value;
    else custom[name] = value;
  }
  return { ...named, node: identity.id, zone: identity.zone, custom };
}

function decodeHealth(health: unknown): GpuSample["health"] {
  for (const name of ["healthy", "degraded", "quarantined"] as const) if (GPU_HEALTH[name] === health) return name;
  return undefined;
}
