/**
 * The MIG devices of a GPU: one for each compute instance. Their indices have gaps, and a handle may come to mean another
 * device once its own is destroyed: so they are counted anew every half a minute, and at the look after one that no
 * longer says which instance it is of.
 */
import type { Pointer } from "bun:ffi";
import type { GpuActivity, GpuSlice } from "../health/reading.ts";
import { RC } from "./nvml-codes.ts";
import { addressOf, longOf, profileOf, textOf, versionWord, wordOf } from "./nvml-decode.ts";
import { NvmlDevice } from "./nvml-device.ts";
import { type GpmBuffer, NvmlGpm } from "./nvml-gpm.ts";
import { readMemory } from "./nvml-memory.ts";

const SLICES_MAX = 64;
/** Greatest number of NVML_GPU_INSTANCE_PROFILE_, with room for some more. */
const PROFILES_MAX = 32;
const MIB = 2 ** 20;
const PROFILE = { bytes: 152, version: 2 } as const;

interface Slice {
  readonly device: NvmlDevice;
  readonly what: Omit<GpuSlice, "memoryUsedBytes" | "activity">;
}

export class NvmlMig {
  readonly #gpu: NvmlDevice;
  readonly #buffer: GpmBuffer;
  #slices: readonly Slice[] | undefined;
  #isStale = true;
  /** GPM of each GPU instance. */
  readonly #gpm = new Map<number, NvmlGpm>();
  /** Names of profiles by the number that an instance tells. */
  readonly #profiles = new Map<number, string>();

  constructor(gpu: NvmlDevice, buffer: GpmBuffer) {
    this.#gpu = gpu;
    this.#buffer = buffer;
  }

  /** The next look counts the devices anew. */
  recount(): void {
    this.#isStale = true;
  }

  /** Undefined without MIG. */
  read(nowMs: number): GpuSlice[] | undefined {
    if (this.#isStale) this.#count(nowMs);
    if (this.#slices === undefined) return undefined;
    const activities = new Map<number, GpuActivity | undefined>();
    for (const [instance, gpm] of this.#gpm) activities.set(instance, gpm.read(nowMs)?.activity);
    const slices: GpuSlice[] = [];
    for (const { device, what } of this.#slices) {
      device.begin(nowMs);
      if (device.word("nvmlDeviceGetGpuInstanceId") !== what.gpuInstance) {
        this.#isStale = true;
        continue;
      }
      const memory = readMemory(device);
      slices.push({
        ...what,
        memoryTotalBytes: memory?.totalBytes ?? what.memoryTotalBytes,
        memoryUsedBytes: memory?.usedBytes,
        activity: activities.get(what.gpuInstance),
      });
    }
    return slices;
  }

  free(): void {
    for (const gpm of this.#gpm.values()) gpm.free();
    this.#gpm.clear();
  }

  #count(nowMs: number): void {
    this.#isStale = false;
    const isOn = this.#gpu.pair("nvmlDeviceGetMigMode") === 1;
    this.#slices = isOn ? this.#found(nowMs) : undefined;
    const instances = new Set(this.#slices?.map(({ what }) => what.gpuInstance));
    for (const [instance, gpm] of this.#gpm) {
      if (instances.has(instance)) continue;
      gpm.free();
      this.#gpm.delete(instance);
    }
    for (const instance of instances) {
      if (!this.#gpm.has(instance)) this.#gpm.set(instance, new NvmlGpm(this.#gpu, instance, this.#buffer));
    }
  }

  #found(nowMs: number): Slice[] {
    const gpu = this.#gpu;
    const name = "nvmlDeviceGetMigDeviceHandleByIndex";
    const call = gpu.session.calls[name];
    if (call === undefined) return [];
    const count = Math.min(gpu.word("nvmlDeviceGetMaxMigDeviceCount") ?? 0, SLICES_MAX);
    const slices: Slice[] = [];
    for (let index = 0; index < count; index += 1) {
      const words = gpu.session.blank();
      // An index without a device is usual, so what it answers is kept from being quiet.
      const rc = call(gpu.handle, index, words);
      if (rc !== RC.notFound && rc !== RC.argument && !gpu.heard(name, rc, `${name} ${index}`)) continue;
      const handle = rc === RC.ok ? addressOf(words, 0) : undefined;
      const slice = handle === undefined ? undefined : this.#slice(new NvmlDevice(gpu.session, handle, nowMs));
      if (slice !== undefined) slices.push(slice);
    }
    return slices;
  }

  #slice(device: NvmlDevice): Slice | undefined {
    const uuid = device.text("nvmlDeviceGetUUID", 96);
    const gpuInstance = device.word("nvmlDeviceGetGpuInstanceId");
    if (uuid === undefined || gpuInstance === undefined) return undefined;
    const computeInstance = device.word("nvmlDeviceGetComputeInstanceId");
    const named = profileOf(device.text("nvmlDeviceGetName", 96)) ?? this.#profile(gpuInstance);
    const attributes = device.struct("nvmlDeviceGetAttributes_v2");
    const mib = attributes === undefined ? undefined : longOf(attributes, 8);
    const parts = attributes === undefined ? undefined : wordOf(attributes, 6);
    const what = {
      uuid,
      profile: named ?? (mib === undefined || parts === undefined ? "mig" : `${parts}g.${Math.ceil(mib / 1024)}gb`),
      gpuInstance,
      computeInstance,
      multiprocessors: attributes === undefined ? undefined : wordOf(attributes, 0),
      memoryTotalBytes: mib === undefined ? undefined : mib * MIB,
    };
    return { device, what };
  }

  /** The name of the profile of a GPU instance: asking for an instance takes a right that not everybody has. */
  #profile(instance: number): string | undefined {
    const gpu = this.#gpu;
    const { nvmlDeviceGetGpuInstanceById: byId, nvmlGpuInstanceGetInfo: info } = gpu.session.calls;
    const key = `nvmlDeviceGetGpuInstanceById ${instance}`;
    if (byId === undefined || info === undefined || gpu.isQuiet(key)) return undefined;
    const words = gpu.session.blank();
    const isThere = gpu.heard("nvmlDeviceGetGpuInstanceById", byId(gpu.handle, instance, words), key);
    const handle = isThere ? addressOf(words, 0) : undefined;
    if (handle === undefined) return undefined;
    const told = info(handle as Pointer, gpu.session.blank());
    if (!gpu.heard("nvmlGpuInstanceGetInfo", told, key)) return undefined;
    const profile = gpu.session.words[3] as number;
    if (this.#profiles.size === 0) this.#learnProfiles();
    return this.#profiles.get(profile);
  }

  #learnProfiles(): void {
    const gpu = this.#gpu;
    const call = gpu.session.calls.nvmlDeviceGetGpuInstanceProfileInfoV;
    for (let profile = 0; call !== undefined && profile < PROFILES_MAX; profile += 1) {
      const words = gpu.session.blank();
      words[0] = versionWord(PROFILE.bytes, PROFILE.version);
      if (call(gpu.handle, profile, words) !== RC.ok) continue;
      const name = profileOf(textOf(gpu.session.bytes, 56, 96));
      if (name !== undefined) this.#profiles.set(words[1] as number, name);
    }
  }
}
