/** Reads what Linux tells in files of /proc and of cgroups. What is not as it should be is as good as not told. */

/** How much of something a process may have; Infinity for no limit. */
export interface Limit {
  readonly soft: number;
  readonly hard: number;
}

/** A line of /proc/self/limits by its name, such as "Max open files". */
export function limitIn(limits: string, name: string): Limit | undefined {
  const line = limits.split("\n").find((one) => one.startsWith(`${name} `));
  const [, soft = "", hard = ""] =
    /^\s+(unlimited|\d{1,20})\s+(unlimited|\d{1,20})/.exec(line?.slice(name.length) ?? "") ?? [];
  if (soft === "" || hard === "") return undefined;
  const valueOf = (text: string): number => (text === "unlimited" ? Number.POSITIVE_INFINITY : Number(text));
  return { soft: valueOf(soft), hard: valueOf(hard) };
}

/** The process's place among the cgroups of version 2, from /proc/self/cgroup; undefined where there is none. */
export function cgroupIn(text: string): string | undefined {
  return /^0::(\/[^\n]*)$/m.exec(text)?.[1];
}

/** cpu.max: how many cores' time the group may take; Infinity for no limit. */
export function coresIn(cpuMax: string): number | undefined {
  const [, quota = "", period = ""] = /^(max|\d{1,15}) (\d{1,15})\s*$/.exec(cpuMax) ?? [];
  if (quota === "" || Number(period) === 0) return undefined;
  return quota === "max" ? Number.POSITIVE_INFINITY : Number(quota) / Number(period);
}

/** A file that holds one number, or `max`. */
export function numberIn(text: string): number | undefined {
  const written = text.trim();
  if (written === "max") return Number.POSITIVE_INFINITY;
  return /^\d{1,20}$/.test(written) ? Number(written) : undefined;
}

/** A line of /proc/meminfo, in bytes. */
export function memoryIn(meminfo: string, name: string): number | undefined {
  const line = meminfo.split("\n").find((one) => one.startsWith(`${name}:`));
  const [, kibibytes] = /:\s+(\d{1,15}) kB$/.exec(line ?? "") ?? [];
  return kibibytes === undefined ? undefined : Number(kibibytes) * 1024;
}

const LISTENING = "0A";

/** The sockets of /proc/net/tcp, tcp6, udp or udp6 that hold a local port: their inodes. Of TCP, those that listen. */
export function holdersIn(table: string, port: number, protocol: "tcp" | "udp"): string[] {
  const hex = port.toString(16).toUpperCase().padStart(4, "0");
  return table.split("\n").flatMap((line) => {
    const [, local = "", , state = "", , , , , , inode = ""] = line.trim().split(/\s+/, 10);
    const isIt = local.endsWith(`:${hex}`) && (protocol === "udp" || state === LISTENING);
    return isIt && /^[1-9]\d{0,19}$/.test(inode) ? [inode] : [];
  });
}

const ELF_MAGIC = [0x7f, 0x45, 0x4c, 0x46];
const PT_INTERP = 3;
const HEADERS_MAX = 64;

/** Whether an ELF file of 64 bits, little-endian, names a loader; by its beginning. Undefined for what is none. */
export function namesLoader(beginning: Uint8Array): boolean | undefined {
  if (beginning.length < 64 || ELF_MAGIC.some((byte, at) => beginning[at] !== byte)) return undefined;
  if (beginning[4] !== 2 || beginning[5] !== 1) return undefined;
  const view = new DataView(beginning.buffer, beginning.byteOffset, beginning.length);
  const start = Number(view.getBigUint64(32, true));
  const [size, count] = [view.getUint16(54, true), view.getUint16(56, true)];
  if (size < 4 || count > HEADERS_MAX || start + size * count > beginning.length) return undefined;
  return Array.from({ length: count }, (_, at) => view.getUint32(start + at * size, true)).includes(PT_INTERP);
}
