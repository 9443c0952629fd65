/** What a GPU is: read once a minute, so nothing here is sparing. */
import type { GpuIdentity } from "../health/reading.ts";
import { architectureOf, clusterOf, pciAddressOf, textOf } from "./nvml-decode.ts";
import type { NvmlDevice } from "./nvml-device.ts";
import { FIELD, NvmlFields, ofDevice } from "./nvml-fields.ts";
import { readMemory } from "./nvml-memory.ts";

const CLOCK = { graphics: 0, sm: 1, memory: 2, video: 3 } as const;
const THRESHOLD = { shutdown: 0, slowdown: 1, memoryMax: 2 } as const;
const FABRIC_COMPLETED = 3;

/** Its name for good: its own, or one made of its place on the bus where it has none. */
export function readUuid(device: NvmlDevice): string | undefined {
  const uuid = device.text("nvmlDeviceGetUUID", 96);
  if (uuid !== undefined) return uuid;
  const address = readPciAddress(device);
  return address === undefined ? undefined : `pci-${address}`;
}

export function readPciAddress(device: NvmlDevice): string | undefined {
  if (device.struct("nvmlDeviceGetPciInfo_v3") === undefined) return undefined;
  return pciAddressOf(textOf(device.session.bytes, 36, 32)) ?? pciAddressOf(textOf(device.session.bytes, 0, 16));
}

export class NvmlIdentity {
  readonly #device: NvmlDevice;
  readonly #limits: NvmlFields;

  constructor(device: NvmlDevice) {
    this.#device = device;
    this.#limits = new NvmlFields(device, ofDevice(FIELD.shutdownMargin, FIELD.slowdownMargin, FIELD.memoryMargin));
  }

  read(index: number): GpuIdentity {
    const device = this.#device;
    const computeMajor = device.pair("nvmlDeviceGetCudaComputeCapability");
    const computeMinor = device.second;
    const limitMin = device.pair("nvmlDeviceGetPowerManagementLimitConstraints");
    const limitMax = device.second;
    return {
      index,
      vendor: "nvidia",
      name: device.text("nvmlDeviceGetName", 96) ?? "NVIDIA GPU",
      serial: device.text("nvmlDeviceGetSerial", 30),
      pciAddress: readPciAddress(device),
      architecture: architectureOf(device.word("nvmlDeviceGetArchitecture")),
      computeCapability:
        computeMajor === undefined || computeMinor === undefined ? undefined : `${computeMajor}.${computeMinor}`,
      memoryTotalBytes: readMemory(device)?.totalBytes,
      graphicsClockMhzMax: device.choice("nvmlDeviceGetMaxClockInfo", CLOCK.graphics),
      smClockMhzMax: device.choice("nvmlDeviceGetMaxClockInfo", CLOCK.sm),
      memoryClockMhzMax: device.choice("nvmlDeviceGetMaxClockInfo", CLOCK.memory),
      videoClockMhzMax: device.choice("nvmlDeviceGetMaxClockInfo", CLOCK.video),
      pcieGenerationMax: device.word("nvmlDeviceGetMaxPcieLinkGeneration"),
      pcieWidthMax: device.word("nvmlDeviceGetMaxPcieLinkWidth"),
      ...this.#thresholds(),
      powerLimitWattsMin: wattsOf(limitMin),
      powerLimitWattsMax: wattsOf(limitMax),
      persistenceMode: flagOf(device.word("nvmlDeviceGetPersistenceMode")),
      eccMode: flagOf(device.pair("nvmlDeviceGetEccMode")),
      migMode: flagOf(device.pair("nvmlDeviceGetMigMode")),
      fabric: readFabric(device),
    };
  }

  /**
   * Temperatures at which it slows down and turns itself off. Where they are told as distances only (from Ada on, once
   * drivers stop answering to the thresholds), they are reckoned from the temperature and the distance of this moment,
   * which are both in whole degrees: they may be off by one.
   */
  #thresholds(): Pick<GpuIdentity, "shutdownCelsius" | "slowdownCelsius" | "memoryCelsiusMax"> {
    const device = this.#device;
    const [shutdownMargin, slowdownMargin] = this.#limits.look();
    let shutdown = celsiusOf(device.choice("nvmlDeviceGetTemperatureThreshold", THRESHOLD.shutdown));
    let slowdown = celsiusOf(device.choice("nvmlDeviceGetTemperatureThreshold", THRESHOLD.slowdown));
    const memory = celsiusOf(device.choice("nvmlDeviceGetTemperatureThreshold", THRESHOLD.memoryMax));
    if (shutdown === undefined || slowdown === undefined) {
      const marginWords = device.struct("nvmlDeviceGetMarginTemperature", { bytes: 8, version: 1 });
      const margin = marginWords === undefined ? undefined : (marginWords[1] as number) | 0;
      const now = margin === undefined ? undefined : readTemperature(device);
      if (now !== undefined && margin !== undefined) {
        if (shutdownMargin !== undefined) shutdown ??= now + margin - shutdownMargin;
        if (slowdownMargin !== undefined) slowdown ??= now + margin - slowdownMargin;
      }
    }
    return { shutdownCelsius: shutdown, slowdownCelsius: slowdown, memoryCelsiusMax: memory };
  }
}

/** The newer of the calls where the library has it; the older one is deprecated. */
export function readTemperature(device: NvmlDevice): number | undefined {
  const words = device.struct("nvmlDeviceGetTemperatureV", { bytes: 12, version: 1 }, 0);
  if (words !== undefined) {
    const celsius = (words[2] as number) | 0;
    return celsius === -1 && words[2] === 0xffff_ffff ? undefined : celsius;
  }
  const word = device.choice("nvmlDeviceGetTemperature", 0);
  return word === undefined ? undefined : word | 0;
}

/** Zero is what drivers say of a threshold that a card has not. */
function celsiusOf(word: number | undefined): number | undefined {
  return word === undefined || word === 0 ? undefined : word | 0;
}

export function wattsOf(milliwatts: number | undefined): number | undefined {
  return milliwatts === undefined ? undefined : milliwatts / 1000;
}

export function flagOf(word: number | undefined): boolean | undefined {
  return word === 0 ? false : word === 1 ? true : undefined;
}

/** The NVLink domain and the clique in it; undefined while the fabric is not up, and on a machine by itself. */
function readFabric(device: NvmlDevice): string | undefined {
  const words =
    device.struct("nvmlDeviceGetGpuFabricInfoV", { bytes: 40, version: 3 }) ??
    device.struct("nvmlDeviceGetGpuFabricInfoV", { bytes: 36, version: 2 });
  const bytes = device.session.bytes;
  if (words === undefined || bytes[28] !== FABRIC_COMPLETED || words[5] !== 0) return undefined;
  const cluster = clusterOf(bytes.subarray(4, 20));
  return cluster === undefined ? undefined : `${cluster}.${words[6]}`;
}
