/**
 * One GPU as GetGpu tells it (the `gpus` of `GET /gpus` of its agent), in sections for people. What is not known is shown
 * as "-", never as a figure; whatever a field holds instead of what it should, nothing breaks.
 */
import { type JsonRecord, recordOf, recordsIn } from "./client.ts";
import { celsius, figure, gibibytes, HEALTH_COLORS, text, timeOf, watts, whole } from "./gpu-rows.ts";
import { type Column, type Facts, formatPercent, renderFacts, renderRows, textColumn, wordOf } from "./render.ts";
import { formatDuration } from "../base/units.ts";

type Cell = (value: number) => string;

/** A group of a reading. */
class Group {
  readonly #group: JsonRecord;

  constructor(group: unknown) {
    this.#group = recordOf(group) ?? {};
  }

  of(name: string, cell: Cell = whole): string {
    const known = figure(this.#group[name]);
    return known === undefined ? "-" : cell(known);
  }

  word(name: string): string {
    return text(this.#group[name]) ?? "-";
  }

  yes(name: string): string {
    const value = this.#group[name];
    return value === true ? "yes" : value === false ? "no" : "-";
  }

  on(name: string): string {
    const value = this.#group[name];
    return value === true ? "on" : value === false ? "off" : "-";
  }

  list(name: string, cell: (item: unknown) => string = wordOf): string {
    const value = this.#group[name];
    if (!Array.isArray(value)) return "-";
    return value.length === 0 ? "none" : value.map(cell).join(", ");
  }

  /** How much of how much. */
  out(of: string, all: string, cell: Cell, limits: Group = this): string {
    const [is, most] = [this.of(of, cell), limits.of(all, cell)];
    return is === "-" && most === "-" ? "-" : `${is} of ${most}`;
  }
}

const megahertz: Cell = (figures) => `${whole(figures)} MHz`;
const perSecond: Cell = (bytes) =>
  bytes >= 1e9 ? `${(bytes / 1e9).toFixed(1)} GB/s` : `${(bytes / 1e6).toFixed(1)} MB/s`;
const energy: Cell = (joules) => (joules >= 3.6e6 ? `${(joules / 3.6e6).toFixed(1)} kWh` : `${whole(joules)} J`);

/** All sections; `nowMs` is Unix time, for ages. */
export function gpuSections(gpu: JsonRecord, nowMs: number, color: boolean): string {
  const identity = new Group(gpu["identity"]);
  const load = new Group(gpu["load"]);
  const traffic = new Group(gpu["traffic"]);
  const own = new Group(gpu);
  const title = `GPU ${own.of("index", String)} of ${own.word("node")}: ${own.word("name")}`;
  return [
    renderFacts({ title, facts: identityFacts(own, identity) }),
    health(gpu, nowMs, color),
    renderFacts(loadFacts(load, identity)),
    renderFacts(activityFacts(new Group(recordOf(gpu["load"])?.["activity"]))),
    table("MIG slices", recordsIn(gpu["load"], "slices"), SLICE_COLUMNS),
    renderFacts(trafficFacts(traffic, identity)),
    table("Links", recordsIn(gpu["traffic"], "links"), LINK_COLUMNS),
    renderFacts(wearFacts(new Group(gpu["wear"]))),
    table("Processes", recordsIn(gpu["traffic"], "processes"), PROCESS_COLUMNS),
    renderFacts(sourceFacts(gpu, nowMs)),
  ].join("\n");
}

function identityFacts(own: Group, identity: Group): Facts["facts"] {
  return [
    ["UUID", own.word("uuid")],
    ["vendor", identity.word("vendor")],
    ["serial", identity.word("serial")],
    ["PCI address", identity.word("pciAddress")],
    ["architecture", identity.word("architecture")],
    ["compute", identity.word("computeCapability")],
    ["memory", identity.of("memoryTotalBytes", gibibytes)],
    ["fabric", identity.word("fabric")],
    [
      "modes",
      `persistence ${identity.on("persistenceMode")}, ECC ${identity.on("eccMode")}, MIG ${identity.on("migMode")}`,
    ],
    ["models", own.list("models")],
  ];
}

function health(gpu: JsonRecord, nowMs: number, color: boolean): string {
  const own = new Group(gpu);
  const is = own.word("health");
  const sinceMs = figure(gpu["healthSinceMs"]);
  const since = sinceMs === undefined ? "" : ` since ${timeOf(sinceMs)}${ago(sinceMs, nowMs)}`;
  const facts = renderFacts({ title: "Health", facts: [["is", `${is}${since}`]] });
  const reasons = recordsIn(gpu, "reasons") ?? [];
  const [node, index] = [own.word("node"), own.of("index", String)];
  const ends = ({ recovery }: JsonRecord): string =>
    recovery === "manual" ? `by hand: uncordon ${node} --gpu ${index}` : recovery === "auto" ? "by itself" : "-";
  const columns: readonly Column<JsonRecord>[] = [
    word("RULE", "rule"),
    { ...word("SEVERITY", "severity"), color: ({ severity }) => HEALTH_COLORS[text(severity) ?? ""] },
    textColumn("SINCE", (row) => timeOf(row["sinceMs"])),
    textColumn("ENDS", ends),
    word("WHY", "text"),
  ];
  return reasons.length === 0 ? facts : `${facts}${indented(renderRows("table", reasons, columns, {}, color))}`;
}

/** "" for what is yet to come by this clock. */
function ago(sinceMs: number, nowMs: number): string {
  const ms = Math.floor((nowMs - sinceMs) / 1000) * 1000;
  return ms >= 0 ? ` (for ${formatDuration(ms)})` : "";
}

function loadFacts(load: Group, identity: Group): Facts {
  const busy = (name: string): string => load.of(name, formatPercent);
  return {
    title: "Load",
    facts: [
      ["busy", `${busy("utilization")}, its memory ${busy("memoryUtilization")}`],
      [
        "codecs",
        `encoder ${busy("encoderUtilization")}, decoder ${busy("decoderUtilization")}, JPEG ${busy("jpegUtilization")}, OFA ${busy("ofaUtilization")}`,
      ],
      ["memory", load.out("memoryUsedBytes", "memoryTotalBytes", gibibytes, new TotalOf(load, identity))],
      ["memory free", load.of("memoryFreeBytes", gibibytes)],
      ["reserved", load.of("memoryReservedBytes", gibibytes)],
      ["of the host", load.of("hostMemoryUsedBytes", gibibytes)],
      ["temperature", load.of("temperatureCelsius", celsius)],
      ["hottest spot", load.of("hotspotCelsius", celsius)],
      ["of its memory", `${load.of("memoryCelsius", celsius)}, at most ${identity.of("memoryCelsiusMax", celsius)}`],
      [
        "slows down at",
        `${identity.of("slowdownCelsius", celsius)}, turns itself off at ${identity.of("shutdownCelsius", celsius)}`,
      ],
      [
        "power",
        `${load.of("powerWatts", watts)}, mean ${load.of("powerWattsMean", watts)}, limit ${load.of("powerLimitWatts", watts)}`,
      ],
      ["power limits", `${identity.of("powerLimitWattsMin", watts)} to ${identity.of("powerLimitWattsMax", watts)}`],
      ["energy", load.of("energyJoules", energy)],
      ["clock", load.out("graphicsClockMhz", "graphicsClockMhzMax", megahertz, identity)],
      ["SM clock", load.out("smClockMhz", "smClockMhzMax", megahertz, identity)],
      ["memory clock", load.out("memoryClockMhz", "memoryClockMhzMax", megahertz, identity)],
      ["video clock", load.out("videoClockMhz", "videoClockMhzMax", megahertz, identity)],
      ["throttled by", load.list("throttleReasons")],
      ["state", load.of("performanceState", (state) => `P${state}`)],
      ["fans", load.list("fans", (share) => formatPercent(figure(share)))],
      ["fan speed", load.of("fanRpm", (rpm) => `${whole(rpm)} rpm`)],
    ],
  };
}

/** A load without a total has its card's. */
class TotalOf extends Group {
  readonly #parts: readonly Group[];

  constructor(...parts: readonly Group[]) {
    super({});
    this.#parts = parts;
  }

  override of(name: string, cell?: Cell): string {
    return this.#parts.map((part) => part.of(name, cell)).find((known) => known !== "-") ?? "-";
  }
}

function activityFacts(activity: Group): Facts {
  const share = (name: string): string => activity.of(name, formatPercent);
  return {
    title: "Activity",
    facts: [
      ["graphics", share("graphics")],
      ["SMs", `${share("sm")}, occupancy ${share("smOccupancy")}`],
      ["tensor cores", share("tensor")],
      ["memory", share("dram")],
      ["pipes", `FP64 ${share("fp64")}, FP32 ${share("fp32")}, FP16 ${share("fp16")}`],
    ],
  };
}

function trafficFacts(traffic: Group, identity: Group): Facts {
  const lanes: Cell = (width) => `x${width}`;
  const link = `${traffic.of("pcieGeneration", String)} ${traffic.of("pcieWidth", lanes)}`;
  const most = `${identity.of("pcieGenerationMax", String)} ${identity.of("pcieWidthMax", lanes)}`;
  const rates = (tx: string, rx: string): string =>
    `${traffic.of(tx, perSecond)} sent, ${traffic.of(rx, perSecond)} received`;
  return {
    title: "PCIe and links",
    facts: [
      ["PCIe", `generation ${link}, at most ${most}`],
      ["traffic", rates("pcieTxBytesPerSecond", "pcieRxBytesPerSecond")],
      ["replays", traffic.of("pcieReplays")],
      ["link traffic", rates("linkTxBytesPerSecond", "linkRxBytesPerSecond")],
    ],
  };
}

function wearFacts(wear: Group): Facts {
  return {
    title: "Memory errors",
    facts: [
      ["ECC", `${wear.of("eccCorrected")} corrected, ${wear.of("eccUncorrected")} not`],
      ["over its life", `${wear.of("eccCorrectedLifetime")} corrected, ${wear.of("eccUncorrectedLifetime")} not`],
      [
        "retired pages",
        `${wear.of("retiredPagesCorrected")} for corrected errors, ${wear.of("retiredPagesUncorrected")} for others; pending: ${wear.yes("retiredPagesPending")}`,
      ],
      [
        "remapped rows",
        `${wear.of("remappedRowsCorrected")} for corrected errors, ${wear.of("remappedRowsUncorrected")} for others; pending: ${wear.yes("remapPending")}, failed: ${wear.yes("remapFailed")}`,
      ],
      ["driver asks for", wear.word("recoveryAction")],
    ],
  };
}

function sourceFacts(gpu: JsonRecord, nowMs: number): Facts {
  const source = new Group(gpu["source"]);
  const stack = new Group(recordOf(gpu["source"])?.["stack"]);
  const sinceMs = figure(recordOf(gpu["source"])?.["sinceMs"]);
  const since = sinceMs === undefined ? "" : ` since ${timeOf(sinceMs)}${ago(sinceMs, nowMs)}`;
  const isOld = gpu["isFresh"] === false;
  return {
    title: "Source",
    facts: [
      ["state", `${source.word("state")}${since}`],
      ["says", source.word("message")],
      ["figures", isOld ? "the last that came: they are not of now" : "of now"],
      ["read by", `${stack.word("backend")}, ${stack.word("source")}`],
      [
        "versions",
        `driver ${stack.word("driverVersion")}, library ${stack.word("libraryVersion")}, CUDA ${stack.word("cudaVersion")}`,
      ],
    ],
  };
}

function word(title: string, name: string): Column<JsonRecord> {
  return textColumn(title, (row) => new Group(row).word(name));
}

function column(title: string, name: string, cell: Cell = String): Column<JsonRecord> {
  return textColumn(title, (row) => new Group(row).of(name, cell), true);
}

function nested(title: string, name: string): Column<JsonRecord> {
  return textColumn(title, (row) => new Group(row["activity"]).of(name, formatPercent), true);
}

const SLICE_COLUMNS: readonly Column<JsonRecord>[] = [
  word("UUID", "uuid"),
  word("PROFILE", "profile"),
  column("INSTANCE", "gpuInstance"),
  column("COMPUTE", "computeInstance"),
  column("SMS", "multiprocessors"),
  column("MEMORY", "memoryUsedBytes", gibibytes),
  column("OF", "memoryTotalBytes", gibibytes),
  nested("GRAPHICS", "graphics"),
  nested("SM", "sm"),
  nested("DRAM", "dram"),
];
const LINK_COLUMNS: readonly Column<JsonRecord>[] = [
  column("LINK", "index"),
  textColumn("IS", ({ isActive }) => (isActive === true ? "up" : isActive === false ? "down" : "-")),
  column("CRC ERRORS", "crcErrors", whole),
  column("REPLAYS", "replayErrors", whole),
  column("RECOVERIES", "recoveryErrors", whole),
];
const PROCESS_COLUMNS: readonly Column<JsonRecord>[] = [
  column("PID", "pid"),
  word("COMMAND", "command"),
  column("MEMORY", "memoryBytes", gibibytes),
  column("BUSY", "utilization", formatPercent),
  column("MIG INSTANCE", "gpuInstance"),
  textColumn("CONTAINER", (row) => new Group(row).word("container").slice(0, 12)),
];

function table(title: string, rows: readonly JsonRecord[] | undefined, columns: readonly Column<JsonRecord>[]): string {
  if (rows === undefined) return `${title}\n  -\n`;
  return rows.length === 0 ? `${title}\n  none\n` : `${title}\n${indented(renderRows("table", rows, columns, {}))}`;
}

function indented(lines: string): string {
  return lines.replace(/^(?=.)/gm, "  ");
}
