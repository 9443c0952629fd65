/**
 * What the kernel says of one who has a GPU open, in /proc/PID/fdinfo/FD (its drm-usage-stats): pure functions over that
 * text. Keys that are not known are left out, and so is what is no number.
 */

/** One class of a GPU's engines, as far as one client used it. Counters that only grow. */
export interface EngineUse {
  readonly busyNs: number | undefined;
  /** xe tells cycles in place of nanoseconds, with those that went by in the same time. */
  readonly cycles: number | undefined;
  readonly cyclesOfAll: number | undefined;
  /** Engines in the class. */
  readonly capacity: number;
}

export interface DrmClient {
  readonly driver: string;
  readonly pciAddress: string;
  /** Names one that opened the GPU; descriptors may be copied and shared. */
  readonly id: string;
  readonly engines: ReadonlyMap<string, EngineUse>;
  /** Memory of the card's own that it has; undefined where the kernel does not tell. */
  readonly memoryBytes: number | undefined;
}

const UNITS: Readonly<Record<string, number>> = { "": 1, KiB: 1024, MiB: 1024 ** 2, GiB: 1024 ** 3 };
/** Memory on the card: amdgpu's and xe's, i915's. */
const ON_CARD = /^(?:vram|local)\d{0,2}$/;
/** What is there now, under its newer and its older name; then what was asked for. */
const MEMORY_KEYS = ["resident", "memory", "total"] as const;
const LINES_MAX = 256;

/** Undefined for a descriptor that is no client of a GPU on PCI. */
export function drmClientOf(text: string): DrmClient | undefined {
  const values = new Map<string, string>();
  for (const line of text.split("\n", LINES_MAX)) {
    const [, key, value] = /^drm-([a-z0-9-]{1,64}):\s*(\S.{0,63}?)\s*$/i.exec(line) ?? [];
    if (key !== undefined && value !== undefined) values.set(key, value);
  }
  const driver = values.get("driver");
  const id = values.get("client-id");
  const pciAddress = values.get("pdev")?.toLowerCase();
  if (driver === undefined || id === undefined || !/^\d{1,20}$/.test(id)) return undefined;
  if (pciAddress === undefined || !/^[0-9a-f]{4,8}:[0-9a-f]{2}:[0-9a-f]{2}\.[0-7]$/.test(pciAddress)) return undefined;
  return { driver, pciAddress, id, engines: enginesOf(values), memoryBytes: memoryOf(values) };
}

function enginesOf(values: ReadonlyMap<string, string>): Map<string, EngineUse> {
  const engines = new Map<string, EngineUse>();
  for (const key of values.keys()) {
    const name = /^(?:engine|cycles)-(?!capacity-)([a-z0-9-]+)$/.exec(key)?.[1];
    if (name === undefined || engines.has(name)) continue;
    const busyNs = amountOf(values.get(`engine-${name}`), { ns: 1 });
    const cycles = amountOf(values.get(`cycles-${name}`), { "": 1 });
    if (busyNs === undefined && cycles === undefined) continue;
    const capacity = amountOf(values.get(`engine-capacity-${name}`), { "": 1 }) ?? 1;
    const cyclesOfAll = amountOf(values.get(`total-cycles-${name}`), { "": 1 });
    engines.set(name, { busyNs, cycles, cyclesOfAll, capacity: Math.max(1, capacity) });
  }
  return engines;
}

function memoryOf(values: ReadonlyMap<string, string>): number | undefined {
  for (const kind of MEMORY_KEYS) {
    let bytes: number | undefined;
    for (const [key, value] of values) {
      if (!key.startsWith(`${kind}-`) || !ON_CARD.test(key.slice(kind.length + 1))) continue;
      const amount = amountOf(value, UNITS);
      if (amount !== undefined) bytes = (bytes ?? 0) + amount;
    }
    if (bytes !== undefined) return bytes;
  }
  return undefined;
}

function amountOf(text: string | undefined, units: Readonly<Record<string, number>>): number | undefined {
  const [, digits, unit] = /^(\d{1,16})(?:\s+([A-Za-z]+))?$/.exec(text ?? "") ?? [];
  const factor = digits === undefined ? undefined : Object.hasOwn(units, unit ?? "") ? units[unit ?? ""] : undefined;
  const amount = Number(digits) * (factor ?? Number.NaN);
  return Number.isSafeInteger(amount) ? amount : undefined;
}
