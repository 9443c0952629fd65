/** Holds what our backend read against what nvidia-smi says of the same GPU. What moves was read before and after it. */
import type { GpuReading } from "../src/health/reading.ts";
import type { SmiFigures, SmiValue } from "./smi-figures.ts";

export interface Difference {
  readonly uuid: string;
  readonly figure: string;
  readonly ours: string;
  readonly smi: string;
}

export interface Comparison {
  readonly compared: number;
  /** Another value, or none of ours where nvidia-smi has one. */
  readonly mismatches: readonly Difference[];
  /** A value of ours where nvidia-smi has none: to be looked at, and no fault by itself. */
  readonly onlyOurs: readonly Difference[];
}

/** By how much it may differ from what lies between our readings: as much, or this share of it. */
interface Margin {
  readonly absolute: number;
  readonly relative?: number;
}

const MIB = 2 ** 20;
const EXACT: Margin = { absolute: 1e-6 };
/** nvidia-smi writes MiB and hundredths of a watt; asking a card that is idle wakes it. */
const MARGINS: readonly (readonly [RegExp, Margin])[] = [
  [/^identity\.memoryTotalBytes$/, { absolute: MIB }],
  [/^identity\..*Celsius/, { absolute: 1 }],
  [/Watts(?:Min|Max)$|^load\.powerLimitWatts$/, { absolute: 0.02 }],
  [/^load\.power/, { absolute: 15, relative: 0.15 }],
  [/^load\.memoryReservedBytes$/, { absolute: 2 * MIB }],
  [/^load\.memory.*Bytes$/, { absolute: 64 * MIB }],
  [/^load\.memoryCelsius$|^load\.temperatureCelsius$/, { absolute: 3 }],
  [/tilization$/, { absolute: 0.15 }],
  [/^load\.fans$/, { absolute: 0.05 }],
  [/^load\..*ClockMhz$/, { absolute: 60, relative: 0.1 }],
  [/^traffic\.pcieReplays$/, { absolute: 2 }],
  [/^traffic\.processes\./, { absolute: 64 * MIB }],
];

export function compare(uuid: string, readings: readonly GpuReading[], smi: SmiFigures): Comparison {
  const mismatches: Difference[] = [];
  const onlyOurs: Difference[] = [];
  let compared = 0;
  for (const [figure, theirs] of smi) {
    const ours = readings.map((reading) => valueOf(reading, figure)).filter((value) => value !== undefined);
    compared += 1;
    if (ours.length > 0 && isLike(figure, ours, theirs)) continue;
    mismatches.push({ uuid, figure, ours: ours.length === 0 ? "no value" : shown(ours), smi: String(theirs) });
  }
  for (const figure of FIGURES) {
    const ours = readings.map((reading) => valueOf(reading, figure)).filter((value) => value !== undefined);
    if (!smi.has(figure) && ours.length > 0) onlyOurs.push({ uuid, figure, ours: shown(ours), smi: "N/A" });
  }
  return { compared, mismatches, onlyOurs };
}

/** Those that nvidia-smi may tell as well. */
const FIGURES = [
  ...["fans", "memoryCelsius", "powerWattsMean", "jpegUtilization", "ofaUtilization"].map((name) => `load.${name}`),
  ...["eccMode", "migMode", "slowdownCelsius", "shutdownCelsius", "memoryCelsiusMax", "serial"].map(
    (n) => `identity.${n}`,
  ),
  ...["eccCorrected", "eccUncorrected", "retiredPagesCorrected", "remappedRowsCorrected"].map((name) => `wear.${name}`),
];

/** In the terms of smi-figures.ts. */
function valueOf(reading: GpuReading, figure: string): SmiValue | undefined {
  const [group = "", name = "", process] = figure.split(".");
  const of = reading[group as "identity" | "load" | "traffic" | "wear"] as
    | Readonly<Record<string, unknown>>
    | undefined;
  const value = of?.[name];
  if (figure === "traffic.processes") {
    const processes = reading.traffic?.processes;
    return processes && [...new Set(processes.map(({ pid }) => String(pid)))].toSorted();
  }
  if (process !== undefined) return reading.traffic?.processes?.find((one) => String(one.pid) === process)?.memoryBytes;
  if (figure === "load.slices") {
    return reading.load?.slices?.map((one) => `${one.gpuInstance}/${one.computeInstance ?? ""}`).toSorted();
  }
  // nvidia-smi tells of one fan.
  if (figure === "load.fans") return reading.load?.fans?.[0];
  if (figure === "load.throttleReasons") return reading.load?.throttleReasons?.toSorted();
  return value as SmiValue | undefined;
}

function isLike(figure: string, ours: readonly SmiValue[], theirs: SmiValue): boolean {
  if (figure === "identity.architecture") return ours.some((one) => String(theirs) === String(one).split(" ")[0]);
  if (typeof theirs !== "number") return ours.some((one) => String(one) === String(theirs));
  const numbers = ours.map(Number);
  const { absolute, relative = 0 } = MARGINS.find(([pattern]) => pattern.test(figure))?.[1] ?? EXACT;
  const margin = Math.max(absolute, relative * theirs);
  return theirs >= Math.min(...numbers) - margin && theirs <= Math.max(...numbers) + margin;
}

function shown(values: readonly SmiValue[]): string {
  const words = [...new Set(values.map(String))];
  return words.length > 3 ? `${words[0]} ... ${words.at(-1)}` : words.join(", ");
}
