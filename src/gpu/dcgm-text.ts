/**
 * From one scrape of dcgm-exporter to updates of readings and to faults. All groups come with each scrape.
 *
 * With MIG a GPU's series come once for each GPU instance, all under the GPU's own UUID: memory and activity are the
 * instance's, the rest is the card's. The exporter does not tell the UUIDs of MIG devices, so slices are named by the
 * GPU's and the instance's number.
 */
import type { GpuFault, GpuStack, GpuUpdate } from "../health/reading.ts";
import { GPUS_MAX, takeFault, takeStack, takeUpdate } from "../health/shape.ts";
import { type PrometheusEnd, PrometheusReader, type PrometheusSample } from "../wire/prometheus.ts";
import type { LabelSet } from "../wire/prometheus-labels.ts";
import { DCGM_FIELDS, isBlank, wordOf, XID_COUNT_FAMILY, XID_FAMILIES } from "./dcgm-fields.ts";
import { DcgmXids } from "./dcgm-xids.ts";
import { pciAddressOf } from "./nvml-decode.ts";

const FAMILIES = [...DCGM_FIELDS.map(({ family }) => family), ...XID_FAMILIES, XID_COUNT_FAMILY];
const XID_AT = DCGM_FIELDS.length;
const XID_COUNT_AT = FAMILIES.length - 1;
const INSTANCES_MAX = 64;
const XIDS_MAX = 256;
const INDEX_MAX = 65_535;
const NAMELESS = "NVIDIA GPU";

/** One GPU, or one MIG instance of it, as its series tell. */
interface Seen {
  readonly values: Float64Array;
}

interface SeenInstance extends Seen {
  readonly profile: string;
}

interface SeenGpu extends Seen {
  readonly index: number;
  readonly name: string;
  readonly pciAddress: string | undefined;
  readonly serial: string | undefined;
  readonly instances: Map<number, SeenInstance>;
  readonly last: Map<string, number>;
  readonly counts: Map<number, number>;
}

export interface DcgmLook {
  readonly updates: readonly GpuUpdate[];
  readonly faults: readonly GpuFault[];
  readonly stack: GpuStack | undefined;
  readonly end: PrometheusEnd;
}

export class DcgmText {
  readonly #source: string;
  readonly #xids = new DcgmXids();
  /** Names of GPUs, those seen last first. */
  #seen = new Set<string>();
  #gpus = new Map<string, SeenGpu>();
  #kept: { readonly isOpenMetrics: boolean; readonly reader: PrometheusReader } | undefined;
  #driverVersion: string | undefined;
  #libraryVersion: string | undefined;

  /** `source` is where it comes from, as people are told. */
  constructor(source: string) {
    this.#source = source;
  }

  /** For one scrape, of which there is one at a time. Another one is made only where the exporter changes its format. */
  reader(isOpenMetrics: boolean): PrometheusReader {
    this.#gpus = new Map();
    if (this.#kept?.isOpenMetrics !== isOpenMetrics) {
      const options = { families: FAMILIES, isOpenMetrics, sample: (sample: PrometheusSample) => this.#sample(sample) };
      this.#kept = { isOpenMetrics, reader: new PrometheusReader(options) };
    }
    const { reader } = this.#kept;
    reader.reset();
    return reader;
  }

  /** What the scrape that was read tells; nothing where it is not whole. */
  finish(reader: PrometheusReader): DcgmLook {
    const end = reader.finish();
    const gpus = end.bad === "" ? this.#gpus : new Map<string, SeenGpu>();
    const updates = [...gpus].flatMap(([uuid, gpu]) => taken(uuid, gpu) ?? []);
    const faults = this.#xids.look(gpus).flatMap((fault) => takeFault(fault) ?? []);
    if (gpus.size > 0) this.#forget();
    const stack = takeStack({
      backend: "dcgm",
      source: this.#source,
      driverVersion: this.#driverVersion,
      libraryVersion: this.#libraryVersion,
    });
    return { updates, faults, stack, end };
  }

  #sample({ family, suffix, labels, value }: PrometheusSample): void {
    if (suffix !== "") return;
    const uuid = labels.get("UUID") ?? labels.get("uuid");
    // Those of single links and of switches have figures of their own.
    if (uuid === undefined || uuid === "" || labels.get("nvlink") !== undefined) return;
    const gpu = this.#gpus.get(uuid) ?? this.#newGpu(uuid, labels);
    if (gpu === undefined) return;
    if (family === XID_COUNT_AT) countXid(gpu, labels, value);
    else if (!isBlank(value)) keep(gpu, family, labels, value);
  }

  #newGpu(uuid: string, labels: LabelSet): SeenGpu | undefined {
    if (this.#gpus.size >= GPUS_MAX) return undefined;
    const index = Number(labels.get("gpu") ?? Number.NaN);
    const gpu: SeenGpu = {
      index: Number.isInteger(index) && index >= 0 && index <= INDEX_MAX ? index : this.#gpus.size,
      name: wordOf(labels.get("modelName")) ?? NAMELESS,
      pciAddress: pciAddressOf(wordOf(labels.get("pci_bus_id"))),
      serial: wordOf(labels.get("DCGM_FI_DEV_SERIAL")) ?? wordOf(labels.get("DCGM_FI_DEV_BOARD_SERIAL")),
      values: noValues(),
      instances: new Map(),
      last: new Map(),
      counts: new Map(),
    };
    this.#gpus.set(uuid, gpu);
    this.#driverVersion = wordOf(labels.get("DCGM_FI_DRIVER_VERSION")) ?? this.#driverVersion;
    this.#libraryVersion = wordOf(labels.get("DCGM_FI_NVML_VERSION")) ?? this.#libraryVersion;
    return gpu;
  }

  /** Names that come and go must not add up. */
  #forget(): void {
    this.#seen = new Set([...this.#gpus.keys(), ...this.#seen].slice(0, 2 * GPUS_MAX));
    this.#xids.keep(this.#seen);
  }
}

function keep(gpu: SeenGpu, family: number, labels: LabelSet, value: number): void {
  const instance = labels.get("GPU_I_ID") ?? "";
  if (family >= XID_AT) {
    if (gpu.last.size < INSTANCES_MAX) gpu.last.set(instance, value);
    return;
  }
  const seen = isOfInstance(family) && instance !== "" ? instanceOf(gpu, instance, labels) : gpu;
  // Shared GPUs have a series for each pod that uses them: one is as good as another.
  if (seen !== undefined && Number.isNaN(seen.values[family]!)) seen.values[family] = value;
}

function noValues(): Float64Array {
  return new Float64Array(DCGM_FIELDS.length).fill(Number.NaN);
}

function isOfInstance(family: number): boolean {
  const [group] = DCGM_FIELDS[family]!.place;
  return group === "memory" || group === "activity";
}

function instanceOf(gpu: SeenGpu, name: string, labels: LabelSet): SeenInstance | undefined {
  const id = Number(name);
  const known = gpu.instances.get(id);
  if (known !== undefined || !Number.isInteger(id) || gpu.instances.size >= INSTANCES_MAX) return known;
  const instance = { profile: wordOf(labels.get("GPU_I_PROFILE")) ?? "unknown", values: noValues() };
  gpu.instances.set(id, instance);
  return instance;
}

/** Instances of one GPU all tell the GPU's count. */
function countXid({ counts }: SeenGpu, labels: LabelSet, value: number): void {
  // Where there were none in the window, there is no label.
  const xid = Number(labels.get("xid") ?? 0);
  if (!Number.isInteger(xid) || !Number.isInteger(value) || counts.size >= XIDS_MAX) return;
  counts.set(xid, Math.max(value, counts.get(xid) ?? 0));
}

type Groups = Record<"identity" | "load" | "activity" | "traffic" | "wear" | "memory", Record<string, unknown>>;

function groupsOf(values: Float64Array): Groups {
  const groups: Groups = { identity: {}, load: {}, activity: {}, traffic: {}, wear: {}, memory: {} };
  for (const [i, { place, convert }] of DCGM_FIELDS.entries()) {
    const [group, key] = place;
    if (!Number.isNaN(values[i]!)) groups[group][key] ??= convert(values[i]!);
  }
  return groups;
}

/** A name that can't be shown must not cost the GPU. */
function taken(uuid: string, gpu: SeenGpu): GpuUpdate | undefined {
  const update = takeUpdate(updateOf(uuid, gpu));
  return update?.identity === undefined ? takeUpdate(updateOf(uuid, { ...gpu, name: NAMELESS })) : update;
}

function updateOf(uuid: string, seen: SeenGpu): object {
  const { index, name, pciAddress, serial, values, instances } = seen;
  const { identity, load, activity, traffic, wear, memory } = groupsOf(values);
  const slices = [...instances].map(([id, instance]) => sliceOf(uuid, id, instance));
  const isMig = instances.size > 0;
  return {
    uuid,
    identity: {
      index,
      vendor: "nvidia",
      name,
      serial,
      pciAddress,
      memoryTotalBytes: totalOf(memory),
      ...identity,
      migMode: isMig ? true : identity["migMode"],
      reportsXids: seen.last.size + seen.counts.size > 0,
    },
    load: {
      memoryUsedBytes: memory["used"],
      memoryFreeBytes: memory["free"],
      memoryReservedBytes: memory["reserved"],
      ...load,
      activity: isEmpty(activity) ? undefined : activity,
      slices: isMig ? slices : undefined,
    },
    traffic: isEmpty(traffic) ? undefined : traffic,
    wear: isEmpty(wear) ? undefined : wear,
  };
}

function sliceOf(uuid: string, gpuInstance: number, { profile, values }: SeenInstance): object {
  const { activity, memory } = groupsOf(values);
  return {
    uuid: `${uuid}/gi${gpuInstance}`,
    profile,
    gpuInstance,
    memoryTotalBytes: totalOf(memory),
    memoryUsedBytes: memory["used"],
    activity: isEmpty(activity) ? undefined : activity,
  };
}

/** Where it is not told itself, it is what its parts are; an exporter that leaves out what is reserved counts it as used. */
function totalOf({ total, used, free, reserved }: Record<string, unknown>): unknown {
  if (total !== undefined) return total;
  if (typeof used !== "number" || typeof free !== "number") return undefined;
  return used + free + (typeof reserved === "number" ? reserved : 0);
}

function isEmpty(group: Record<string, unknown>): boolean {
  return Object.keys(group).length === 0;
}
