/** What a reading of a GPU is in JSON, as schemas: a line for each field, which the compiler holds against the readings. */
import {
  GPU_VENDORS,
  type GpuActivity,
  type GpuIdentity,
  type GpuLink,
  type GpuLoad,
  type GpuProcess,
  type GpuSlice,
  type GpuTraffic,
  type GpuWear,
  RECOVERY_ACTIONS,
  THROTTLE_REASONS,
} from "../health/reading.ts";

export type Json = Record<string, unknown>;
/** A schema for each field. */
export type Fields<T> = Readonly<Record<keyof T, Json>>;

export const NUMBER = { type: "number" };
export const INTEGER = { type: "integer" };
export const TEXT = { type: "string" };
export const FLAG = { type: "boolean" };
export const SHARE = { type: "number", minimum: 0, maximum: 1 };

const ACTIVITY: Fields<GpuActivity> = {
  graphics: SHARE,
  sm: SHARE,
  smOccupancy: SHARE,
  tensor: SHARE,
  dram: SHARE,
  fp64: SHARE,
  fp32: SHARE,
  fp16: SHARE,
};

const IDENTITY: Fields<GpuIdentity> = {
  index: INTEGER,
  vendor: { type: "string", enum: GPU_VENDORS },
  name: TEXT,
  serial: TEXT,
  pciAddress: TEXT,
  architecture: TEXT,
  computeCapability: TEXT,
  memoryTotalBytes: NUMBER,
  isIntegrated: FLAG,
  graphicsClockMhzMax: NUMBER,
  smClockMhzMax: NUMBER,
  memoryClockMhzMax: NUMBER,
  videoClockMhzMax: NUMBER,
  pcieGenerationMax: INTEGER,
  pcieWidthMax: INTEGER,
  slowdownCelsius: NUMBER,
  shutdownCelsius: NUMBER,
  memoryCelsiusMax: NUMBER,
  powerLimitWattsMin: NUMBER,
  powerLimitWattsMax: NUMBER,
  persistenceMode: FLAG,
  eccMode: FLAG,
  migMode: FLAG,
  reportsXids: FLAG,
  fabric: TEXT,
};

const SLICE: Fields<GpuSlice> = {
  uuid: TEXT,
  profile: TEXT,
  gpuInstance: INTEGER,
  computeInstance: INTEGER,
  multiprocessors: INTEGER,
  memoryTotalBytes: NUMBER,
  memoryUsedBytes: NUMBER,
  activity: object(ACTIVITY),
};

const LOAD: Fields<GpuLoad> = {
  utilization: SHARE,
  memoryUtilization: SHARE,
  encoderUtilization: SHARE,
  decoderUtilization: SHARE,
  jpegUtilization: SHARE,
  ofaUtilization: SHARE,
  memoryUsedBytes: NUMBER,
  memoryFreeBytes: NUMBER,
  memoryReservedBytes: NUMBER,
  hostMemoryUsedBytes: NUMBER,
  temperatureCelsius: NUMBER,
  hotspotCelsius: NUMBER,
  memoryCelsius: NUMBER,
  powerWatts: NUMBER,
  powerWattsMean: NUMBER,
  powerLimitWatts: NUMBER,
  energyJoules: NUMBER,
  graphicsClockMhz: NUMBER,
  smClockMhz: NUMBER,
  memoryClockMhz: NUMBER,
  videoClockMhz: NUMBER,
  fans: { type: "array", items: SHARE },
  fanRpm: NUMBER,
  performanceState: INTEGER,
  throttleReasons: { type: "array", items: { type: "string", enum: THROTTLE_REASONS } },
  activity: object(ACTIVITY),
  slices: { type: "array", items: object(SLICE, ["uuid", "profile", "gpuInstance"]) },
};

const LINK: Fields<GpuLink> = {
  index: INTEGER,
  isActive: FLAG,
  crcErrors: INTEGER,
  replayErrors: INTEGER,
  recoveryErrors: INTEGER,
};

const PROCESS: Fields<GpuProcess> = {
  pid: INTEGER,
  memoryBytes: NUMBER,
  utilization: SHARE,
  gpuInstance: INTEGER,
  command: TEXT,
  container: TEXT,
};

const TRAFFIC: Fields<GpuTraffic> = {
  pcieGeneration: INTEGER,
  pcieWidth: INTEGER,
  pcieTxBytesPerSecond: NUMBER,
  pcieRxBytesPerSecond: NUMBER,
  pcieReplays: INTEGER,
  linkTxBytesPerSecond: NUMBER,
  linkRxBytesPerSecond: NUMBER,
  links: { type: "array", items: object(LINK, ["index", "isActive"]) },
  processes: { type: "array", items: object(PROCESS, ["pid"]) },
};

const WEAR: Fields<GpuWear> = {
  eccCorrected: INTEGER,
  eccUncorrected: INTEGER,
  eccCorrectedLifetime: INTEGER,
  eccUncorrectedLifetime: INTEGER,
  retiredPagesCorrected: INTEGER,
  retiredPagesUncorrected: INTEGER,
  retiredPagesPending: FLAG,
  remappedRowsCorrected: INTEGER,
  remappedRowsUncorrected: INTEGER,
  remapPending: FLAG,
  remapFailed: FLAG,
  recoveryAction: { type: "string", enum: RECOVERY_ACTIONS },
};

/** The groups of a reading, by their names. */
export const READING_SCHEMAS = {
  identity: object(IDENTITY, ["index", "vendor", "name"]),
  load: object(LOAD),
  traffic: object(TRAFFIC),
  wear: object(WEAR),
};

export function object(properties: Json, required: readonly string[] = []): Json {
  return { type: "object", additionalProperties: false, properties, ...(required.length === 0 ? {} : { required }) };
}
