/** All that is read of one GPU. */
import type { GpuGroup, GpuUpdate } from "../health/reading.ts";
import type { NvmlDevice } from "./nvml-device.ts";
import { type GpmBuffer, NvmlGpm } from "./nvml-gpm.ts";
import { NvmlIdentity } from "./nvml-identity.ts";
import { NvmlLoad } from "./nvml-load.ts";
import { NvmlMig } from "./nvml-mig.ts";
import { type ProcessBuffer, NvmlProcesses } from "./nvml-processes.ts";
import { NvmlTraffic } from "./nvml-traffic.ts";
import { NvmlWear } from "./nvml-wear.ts";
import type { ProcessOwners } from "./process-owner.ts";

/** What all GPUs of a library share. */
export interface Shared {
  readonly gpm: GpmBuffer;
  readonly processes: ProcessBuffer;
  readonly owners: ProcessOwners;
}

export class NvmlGpu {
  readonly index: number;
  readonly uuid: string;
  readonly device: NvmlDevice;
  readonly #identity: NvmlIdentity;
  readonly #load: NvmlLoad;
  readonly #traffic: NvmlTraffic;
  readonly #wear: NvmlWear;
  readonly #processes: NvmlProcesses;
  readonly #mig: NvmlMig;
  readonly #gpm: NvmlGpm;

  constructor(index: number, uuid: string, device: NvmlDevice, shared: Shared) {
    this.index = index;
    this.uuid = uuid;
    this.device = device;
    this.#identity = new NvmlIdentity(device);
    this.#load = new NvmlLoad(device);
    this.#traffic = new NvmlTraffic(device);
    this.#wear = new NvmlWear(device);
    this.#processes = new NvmlProcesses(device, shared.processes, shared.owners);
    this.#mig = new NvmlMig(device, shared.gpm);
    this.#gpm = new NvmlGpm(device, undefined, shared.gpm);
  }

  /** Throws a GpuGone where it is lost. */
  read(groups: ReadonlySet<GpuGroup>, nowMs: number): GpuUpdate {
    this.device.begin(nowMs);
    if (groups.has("identity") || groups.has("wear")) this.#mig.recount();
    const update = {
      uuid: this.uuid,
      identity: groups.has("identity") ? this.#identity.read(this.index) : undefined,
      load: groups.has("load") ? this.#load.read(this.#gpm.read(nowMs)?.activity, this.#mig.read(nowMs)) : undefined,
      traffic: groups.has("traffic") ? this.#readTraffic() : undefined,
      wear: groups.has("wear") ? this.#wear.read() : undefined,
    };
    this.device.end();
    // A group that was not read must not take the place of the one before.
    return Object.fromEntries(Object.entries(update).filter(([, group]) => group !== undefined)) as GpuUpdate;
  }

  /** Gives back what the library keeps for it; not after the library was shut down. */
  free(): void {
    this.#gpm.free();
    this.#mig.free();
  }

  #readTraffic(): GpuUpdate["traffic"] {
    return { ...this.#traffic.read(this.#gpm.last), processes: this.#processes.read() };
  }
}
