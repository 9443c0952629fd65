/** The metrics of an agent's GPUs: what each is read from. What is not known has no line, and what is not of now is not known. */
import { type GpuSlice, RECOVERY_ACTIONS, THROTTLE_REASONS_OF } from "../health/reading.ts";
import { SOURCE_STATES } from "../health/source-state.ts";
import { HEALTHS } from "../health/verdict.ts";
import { type GpuFigures, type GpuSourceFigures, type GpuView, viewOf } from "./gpu-figures.ts";
import { GPU_METRICS, GPU_SOURCE_METRICS } from "./gpu-metric-names.ts";
import { GPU_WEAR_METRICS } from "./gpu-wear-names.ts";
import { GpuPage, joined, label, type Put, unique } from "./gpu-page.ts";
import type { Metric } from "./exposition.ts";

/** Of one GPU. */
const PROCESSES_MAX = 32;

/** 1 for what is so, 0 for the rest. */
function states(put: Put, name: string, all: readonly string[], isSo: (state: string) => boolean): void {
  for (const state of all) put(isSo(state), label(name, state));
}

function hertz(mhz: number | undefined): number | undefined {
  return mhz === undefined ? undefined : mhz * 1e6;
}

function kinds(put: Put, corrected: number | undefined, uncorrected: number | undefined): void {
  put(corrected, label("kind", "corrected"));
  put(uncorrected, label("kind", "uncorrected"));
}

function activity(put: Put, parts: GpuSlice["activity"]): void {
  if (parts === undefined) return;
  put(parts.graphics, label("part", "graphics"));
  put(parts.sm, label("part", "sm"));
  put(parts.smOccupancy, label("part", "sm_occupancy"));
  put(parts.tensor, label("part", "tensor"));
  put(parts.dram, label("part", "dram"));
  put(parts.fp64, label("part", "fp64"));
  put(parts.fp32, label("part", "fp32"));
  put(parts.fp16, label("part", "fp16"));
}

function links(
  put: Put,
  { traffic }: GpuView,
  read: (link: NonNullable<GpuView["traffic"]["links"]>[number]) => number | boolean | undefined,
): void {
  for (const link of unique(traffic.links ?? [], ({ index }) => index)) put(read(link), label("link", link.index));
}

type Process = NonNullable<GpuView["traffic"]["processes"]>[number];

function processes(put: Put, { traffic }: GpuView, read: (process: Process) => number | undefined): void {
  const listed = unique(traffic.processes ?? [], ({ pid, gpuInstance = -1 }) => `${pid} ${gpuInstance}`);
  const most = [...listed].sort((a, b) => (b.memoryBytes ?? 0) - (a.memoryBytes ?? 0));
  for (const process of most.slice(0, PROCESSES_MAX)) {
    const { pid, gpuInstance, command } = process;
    put(read(process), joined(label("pid", pid), label("gpu_instance", gpuInstance), label("command", command)));
  }
}

const M = { ...GPU_METRICS, ...GPU_WEAR_METRICS };

/** In the order in which they are served. */
const OF_GPUS: readonly (readonly [Metric, (view: GpuView, put: Put) => void])[] = [
  [M.info, info],
  [M.fresh, ({ gpu }, put) => put(gpu.isFresh)],
  [M.health, ({ gpu }, put) => states(put, "state", HEALTHS, (state) => state === gpu.verdict.health)],
  [M.healthReasons, ({ gpu }, put) => put(gpu.verdict.reasons.length)],
  [
    M.xids,
    ({ gpu }, put) => {
      for (const [xid, count] of gpu.xids.counts) put(count, label("xid", xid));
    },
  ],
  [M.utilization, ({ load }, put) => put(load.utilization)],
  [M.memoryUtilization, ({ load }, put) => put(load.memoryUtilization)],
  [M.encoder, ({ load }, put) => put(load.encoderUtilization)],
  [M.decoder, ({ load }, put) => put(load.decoderUtilization)],
  [M.jpeg, ({ load }, put) => put(load.jpegUtilization)],
  [M.ofa, ({ load }, put) => put(load.ofaUtilization)],
  [M.memoryFree, ({ load }, put) => put(load.memoryFreeBytes)],
  [M.memoryReserved, ({ load }, put) => put(load.memoryReservedBytes)],
  [M.hostMemoryUsed, ({ load }, put) => put(load.hostMemoryUsedBytes)],
  [M.temperature, ({ load }, put) => put(load.temperatureCelsius)],
  [M.hotspot, ({ load }, put) => put(load.hotspotCelsius)],
  [M.memoryTemperature, ({ load }, put) => put(load.memoryCelsius)],
  [M.slowdown, ({ identity }, put) => put(identity.slowdownCelsius)],
  [M.shutdown, ({ identity }, put) => put(identity.shutdownCelsius)],
  [M.memoryTemperatureMax, ({ identity }, put) => put(identity.memoryCelsiusMax)],
  [M.power, ({ load }, put) => put(load.powerWatts)],
  [M.powerMean, ({ load }, put) => put(load.powerWattsMean)],
  [M.powerLimit, ({ load }, put) => put(load.powerLimitWatts)],
  [M.powerLimitMin, ({ identity }, put) => put(identity.powerLimitWattsMin)],
  [M.powerLimitMax, ({ identity }, put) => put(identity.powerLimitWattsMax)],
  [M.energy, ({ load }, put) => put(load.energyJoules)],
  [
    M.clock,
    ({ load }, put) => {
      put(hertz(load.graphicsClockMhz), label("clock", "graphics"));
      put(hertz(load.smClockMhz), label("clock", "sm"));
      put(hertz(load.memoryClockMhz), label("clock", "memory"));
      put(hertz(load.videoClockMhz), label("clock", "video"));
    },
  ],
  [
    M.clockMax,
    ({ identity }, put) => {
      put(hertz(identity.graphicsClockMhzMax), label("clock", "graphics"));
      put(hertz(identity.smClockMhzMax), label("clock", "sm"));
      put(hertz(identity.memoryClockMhzMax), label("clock", "memory"));
      put(hertz(identity.videoClockMhzMax), label("clock", "video"));
    },
  ],
  [
    M.fan,
    ({ load }, put) => {
      for (const [fan, speed] of (load.fans ?? []).entries()) put(speed, label("fan", fan));
    },
  ],
  [M.fanRpm, ({ load }, put) => put(load.fanRpm)],
  [M.performanceState, ({ load }, put) => put(load.performanceState)],
  [
    M.throttle,
    ({ load: { throttleReasons }, identity: { vendor } }, put) => {
      if (throttleReasons === undefined) return;
      const known = THROTTLE_REASONS_OF[vendor];
      states(put, "reason", known, (reason) => throttleReasons.includes(reason));
      for (const reason of throttleReasons) if (!known.some((one) => one === reason)) put(1, label("reason", reason));
    },
  ],
  [M.persistence, ({ identity }, put) => put(identity.persistenceMode)],
  [M.ecc, ({ identity }, put) => put(identity.eccMode)],
  [M.mig, ({ identity }, put) => put(identity.migMode)],
  [M.pcieGeneration, ({ traffic }, put) => put(traffic.pcieGeneration)],
  [M.pcieGenerationMax, ({ identity }, put) => put(identity.pcieGenerationMax)],
  [M.pcieWidth, ({ traffic }, put) => put(traffic.pcieWidth)],
  [M.pcieWidthMax, ({ identity }, put) => put(identity.pcieWidthMax)],
  [M.pcieTx, ({ traffic }, put) => put(traffic.pcieTxBytesPerSecond)],
  [M.pcieRx, ({ traffic }, put) => put(traffic.pcieRxBytesPerSecond)],
  [M.pcieReplays, ({ traffic }, put) => put(traffic.pcieReplays)],
  [M.linkTx, ({ traffic }, put) => put(traffic.linkTxBytesPerSecond)],
  [M.linkRx, ({ traffic }, put) => put(traffic.linkRxBytesPerSecond)],
  [M.linkActive, (view, put) => links(put, view, ({ isActive }) => isActive)],
  [M.linkCrc, (view, put) => links(put, view, ({ crcErrors }) => crcErrors)],
  [M.linkReplay, (view, put) => links(put, view, ({ replayErrors }) => replayErrors)],
  [M.linkRecovery, (view, put) => links(put, view, ({ recoveryErrors }) => recoveryErrors)],
  [M.processes, ({ traffic }, put) => put(traffic.processes?.length)],
  [M.processMemory, (view, put) => processes(put, view, ({ memoryBytes }) => memoryBytes)],
  [M.processUtilization, (view, put) => processes(put, view, ({ utilization }) => utilization)],
  [M.eccErrors, ({ wear }, put) => kinds(put, wear.eccCorrected, wear.eccUncorrected)],
  [M.eccLifetime, ({ wear }, put) => kinds(put, wear.eccCorrectedLifetime, wear.eccUncorrectedLifetime)],
  [M.retiredPages, ({ wear }, put) => kinds(put, wear.retiredPagesCorrected, wear.retiredPagesUncorrected)],
  [M.retiredPending, ({ wear }, put) => put(wear.retiredPagesPending)],
  [M.remappedRows, ({ wear }, put) => kinds(put, wear.remappedRowsCorrected, wear.remappedRowsUncorrected)],
  [M.remapPending, ({ wear }, put) => put(wear.remapPending)],
  [M.remapFailed, ({ wear }, put) => put(wear.remapFailed)],
  [
    M.recoveryAction,
    ({ wear: { recoveryAction } }, put) => {
      if (recoveryAction === undefined) return;
      states(put, "action", RECOVERY_ACTIONS, (action) => action === recoveryAction);
    },
  ],
];

/** A GPU, or a MIG device of one. */
interface Part {
  readonly labels: string;
  readonly memoryTotalBytes?: number | undefined;
  readonly memoryUsedBytes?: number | undefined;
  readonly multiprocessors?: number | undefined;
  readonly activity?: GpuSlice["activity"];
}

const OF_PARTS: readonly (readonly [Metric, (part: Part, put: Put) => void])[] = [
  [M.activity, (part, put) => activity(put, part.activity)],
  [M.memoryTotal, (part, put) => put(part.memoryTotalBytes)],
  [M.memoryUsed, (part, put) => put(part.memoryUsedBytes)],
  [M.multiprocessors, (part, put) => put(part.multiprocessors)],
];

/** Prometheus' text of these GPUs and of what reads them. */
export function gpuText(node: string, gpus: readonly GpuFigures[], sources: readonly GpuSourceFigures[]): string {
  const page = new GpuPage();
  const views = unique(gpus, ({ reading }) => reading.uuid).map(viewOf);
  const labels = new Map(views.map((view) => [view, gpuLabels(node, view.gpu, view.gpu.reading.uuid)]));
  for (const [metric, write] of OF_GPUS) page.family(metric, views, (view) => labels.get(view) ?? "", write);
  const parts = unique(
    views.flatMap((view) => partsOf(node, view)),
    (part) => part.labels,
  );
  for (const [metric, write] of OF_PARTS) page.family(metric, parts, (part) => part.labels, write);
  addSources(page, node, sources);
  return page.text;
}

/** Of each line the same ones, so that all can be put together on them; a card that is not cut up has no profile. */
function gpuLabels(node: string, { reading: { identity } }: GpuFigures, uuid: string, profile = ""): string {
  return joined(
    label("node", node),
    label("gpu_uuid", uuid),
    label("index", identity.index),
    label("mig_profile", profile) || 'mig_profile=""',
    label("name", identity.name),
  );
}

function partsOf(node: string, { gpu, identity, load }: GpuView): Part[] {
  const labels = gpuLabels(node, gpu, gpu.reading.uuid);
  const { memoryTotalBytes } = identity;
  const whole: Part = { labels, memoryTotalBytes, memoryUsedBytes: load.memoryUsedBytes, activity: load.activity };
  const slices = (load.slices ?? []).map((slice) => ({
    ...slice,
    labels: gpuLabels(node, gpu, slice.uuid, slice.profile),
  }));
  return [whole, ...slices];
}

function info({ gpu: { source }, identity }: GpuView, put: Put): void {
  put(
    1,
    joined(
      label("vendor", identity.vendor),
      label("serial", identity.serial),
      label("pci_address", identity.pciAddress),
      label("architecture", identity.architecture),
      label("compute_capability", identity.computeCapability),
      label("fabric", identity.fabric),
      label("backend", source.stack?.backend),
      label("driver", source.stack?.driverVersion),
    ),
  );
}

function addSources(page: GpuPage, node: string, given: readonly GpuSourceFigures[]): void {
  const labels = ({ state, figures }: GpuSourceFigures): string =>
    joined(label("node", node), label("source", figures?.name ?? state.stack?.backend ?? "other"));
  const sources = unique(given, labels);
  page.family(GPU_SOURCE_METRICS.state, sources, labels, ({ state: { state } }, put) =>
    states(put, "state", SOURCE_STATES, (one) => one === state),
  );
  page.family(GPU_SOURCE_METRICS.restarts, sources, labels, ({ figures }, put) => put(figures?.restarts));
  page.family(GPU_SOURCE_METRICS.look, sources, labels, ({ figures }, put) => put(figures?.lookSeconds));
}
