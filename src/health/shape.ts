/**
 * What each field of a reading may hold. Whatever comes from a driver, a file or another exporter goes through here
 * once, whoever read it: a figure out of its range (a temperature of four billion, a NaN) becomes "not known", texts
 * lose what is not printable and what is too long, a list has a limit, what is not described is left out. So nothing
 * false becomes a figure, and what comes out can be shown and sent as it is.
 *
 * Limits: 64 GPUs, 64 slices, links and fans of one, 512 processes of one.
 */
import { GPU_VENDORS, RECOVERY_ACTIONS, THROTTLE_REASONS } from "./reading.ts";
import type { GpuFault, GpuStack, GpuUpdate } from "./reading.ts";

export const GPUS_MAX = 64;
const PARTS_MAX = 64;
const PROCESSES_MAX = 512;

/** Answers undefined for what it does not take. */
type Take = (value: unknown) => unknown;

function figure(min: number, max: number): Take {
  return (value) => (typeof value === "number" && value >= min && value <= max ? value : undefined);
}

function whole(min: number, max: number): Take {
  return (value) =>
    Number.isInteger(value) && (value as number) >= min && (value as number) <= max ? value : undefined;
}

const NOT_SHOWN = /[\p{Cc}\p{Cf}\p{Cs}\p{Zl}\p{Zp}\uFFFD]/gu;

/** Without what breaks lines, steers terminals, turns directions or is half a character; "" where nothing is left. */
export function shownText(value: string, charsMax: number): string {
  const kept = value.replaceAll(NOT_SHOWN, "").trim().slice(0, charsMax);
  // The cut may have gone through a character.
  return kept.replaceAll(NOT_SHOWN, "").trim();
}

function text(charsMax: number): Take {
  return (value) => {
    const kept = typeof value === "string" ? shownText(value, charsMax) : "";
    return kept === "" ? undefined : kept;
  };
}

function oneOf(words: readonly string[]): Take {
  return (value) => (words.includes(value as string) ? value : undefined);
}

function list(item: Take, lengthMax: number): Take {
  return (value) =>
    Array.isArray(value)
      ? value
          .slice(0, lengthMax)
          .map(item)
          .filter((kept) => kept !== undefined)
      : undefined;
}

/** An object of the described fields; undefined where one of `needs` is not known. */
function record(fields: Readonly<Record<string, Take>>, needs: readonly string[] = []): Take {
  const keys = Object.keys(fields);
  const takes = Object.values(fields);
  return (value) => {
    if (typeof value !== "object" || value === null) return undefined;
    const kept: Record<string, unknown> = {};
    for (let at = 0; at < keys.length; at += 1) {
      const key = keys[at] as string;
      // No object inherits a field of any of these names, so it is its own.
      const given = (value as Record<string, unknown>)[key];
      const taken = given === undefined ? undefined : (takes[at] as Take)(given);
      if (taken !== undefined) kept[key] = taken;
    }
    return needs.every((key) => key in kept) ? kept : undefined;
  };
}

const share = figure(0, 1);
const bytes = figure(0, 2 ** 50);
const celsius = figure(-60, 250);
const watts = figure(0, 10_000);
const mhz = figure(0, 20_000);
const rate = figure(0, 2 ** 50);
/** A driver's "not available" is all ones, in 64 or in 32 bits. */
const counter: Take = (value) =>
  typeof value === "number" && value >= 0 && value <= 2 ** 53 && value !== 2 ** 32 - 1 ? Math.floor(value) : undefined;
const flag: Take = (value) => (typeof value === "boolean" ? value : undefined);
const place = whole(0, 65_535);
const instance = whole(0, 255);

const activity = record({
  graphics: share,
  sm: share,
  smOccupancy: share,
  tensor: share,
  dram: share,
  fp64: share,
  fp32: share,
  fp16: share,
});

const slice = record(
  {
    uuid: text(96),
    profile: text(64),
    gpuInstance: instance,
    computeInstance: instance,
    multiprocessors: whole(0, 4096),
    memoryTotalBytes: bytes,
    memoryUsedBytes: bytes,
    activity,
  },
  ["uuid", "profile", "gpuInstance"],
);

const identity = record(
  {
    index: place,
    vendor: oneOf(GPU_VENDORS),
    name: text(96),
    serial: text(64),
    pciAddress: text(32),
    architecture: text(64),
    computeCapability: text(16),
    memoryTotalBytes: bytes,
    isIntegrated: flag,
    graphicsClockMhzMax: mhz,
    smClockMhzMax: mhz,
    memoryClockMhzMax: mhz,
    videoClockMhzMax: mhz,
    pcieGenerationMax: whole(1, 15),
    pcieWidthMax: whole(1, 64),
    slowdownCelsius: celsius,
    shutdownCelsius: celsius,
    memoryCelsiusMax: celsius,
    powerLimitWattsMin: watts,
    powerLimitWattsMax: watts,
    persistenceMode: flag,
    eccMode: flag,
    migMode: flag,
    reportsXids: flag,
    fabric: text(64),
  },
  ["index", "vendor", "name"],
);

const load = record({
  utilization: share,
  memoryUtilization: share,
  encoderUtilization: share,
  decoderUtilization: share,
  jpegUtilization: share,
  ofaUtilization: share,
  memoryUsedBytes: bytes,
  memoryFreeBytes: bytes,
  memoryReservedBytes: bytes,
  hostMemoryUsedBytes: bytes,
  temperatureCelsius: celsius,
  hotspotCelsius: celsius,
  memoryCelsius: celsius,
  powerWatts: watts,
  powerWattsMean: watts,
  powerLimitWatts: watts,
  energyJoules: figure(0, 2 ** 53),
  graphicsClockMhz: mhz,
  smClockMhz: mhz,
  memoryClockMhz: mhz,
  videoClockMhz: mhz,
  fans: list(share, PARTS_MAX),
  fanRpm: figure(0, 100_000),
  performanceState: whole(0, 15),
  throttleReasons: list(oneOf(THROTTLE_REASONS), THROTTLE_REASONS.length),
  activity,
  slices: list(slice, PARTS_MAX),
});

const link = record(
  { index: instance, isActive: flag, crcErrors: counter, replayErrors: counter, recoveryErrors: counter },
  ["index", "isActive"],
);

const gpuProcess = record(
  {
    pid: whole(1, 2 ** 31 - 1),
    memoryBytes: bytes,
    utilization: share,
    gpuInstance: instance,
    command: text(64),
    container: text(64),
  },
  ["pid"],
);

const traffic = record({
  pcieGeneration: whole(1, 15),
  pcieWidth: whole(1, 64),
  pcieTxBytesPerSecond: rate,
  pcieRxBytesPerSecond: rate,
  pcieReplays: counter,
  linkTxBytesPerSecond: rate,
  linkRxBytesPerSecond: rate,
  links: list(link, PARTS_MAX),
  processes: list(gpuProcess, PROCESSES_MAX),
});

const wear = record({
  eccCorrected: counter,
  eccUncorrected: counter,
  eccCorrectedLifetime: counter,
  eccUncorrectedLifetime: counter,
  retiredPagesCorrected: counter,
  retiredPagesUncorrected: counter,
  retiredPagesPending: flag,
  remappedRowsCorrected: counter,
  remappedRowsUncorrected: counter,
  remapPending: flag,
  remapFailed: flag,
  recoveryAction: oneOf(RECOVERY_ACTIONS),
});

const update = record({ uuid: text(96), identity, load, traffic, wear }, ["uuid"]);
const fault = record({ uuid: text(96), xid: whole(0, 65_535), gpuInstance: instance, computeInstance: instance }, [
  "uuid",
  "xid",
]);
const stack = record(
  {
    backend: text(32),
    source: text(512),
    driverVersion: text(80),
    libraryVersion: text(80),
    cudaVersion: text(16),
  },
  ["backend", "source"],
);

/** What of it is a look at one GPU; undefined without a name for the GPU. */
export function takeUpdate(value: unknown): GpuUpdate | undefined {
  return update(value) as GpuUpdate | undefined;
}

export function takeFault(value: unknown): GpuFault | undefined {
  return fault(value) as GpuFault | undefined;
}

export function takeStack(value: unknown): GpuStack | undefined {
  return stack(value) as GpuStack | undefined;
}
