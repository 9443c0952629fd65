/**
 * What libnvidia-ml's bytes mean: pure functions over buffers of ours, of 32-bit words in the machine's order (little
 * endian wherever there is such a driver). Whatever they hold, nothing here throws, and what says nothing is undefined.
 */

const ALL_ONES = 0xffff_ffff;
const utf8 = new TextDecoder("utf-8");

/** A u32; all ones are a driver's "not available". */
export function wordOf(words: Uint32Array, at: number): number | undefined {
  const word = words[at];
  return word === ALL_ONES ? undefined : word;
}

/** A u64 of two halves; exact up to 2^53, undefined beyond it, and so for "not available", which is all ones. */
export function longOf(words: Uint32Array, at: number): number | undefined {
  const high = words[at + 1];
  if (high === undefined || high >= 0x20_0000) return undefined;
  return high * 0x1_0000_0000 + (words[at] as number);
}

/** A pointer; undefined for none, and for what is no address. */
export function addressOf(words: Uint32Array, at: number): number | undefined {
  const address = longOf(words, at);
  return address === 0 ? undefined : address;
}

/** A text up to its NUL, or to the end where there is none; what is not UTF-8 becomes U+FFFD. */
export function textOf(bytes: Uint8Array, start = 0, lengthMax = bytes.length - start): string | undefined {
  const all = bytes.subarray(start, start + lengthMax);
  const end = all.indexOf(0);
  const text = utf8.decode(end < 0 ? all : all.subarray(0, end)).trim();
  return text === "" ? undefined : text;
}

/** The word that tells a versioned struct's size and version. */
export function versionWord(bytes: number, version: number): number {
  return ((version << 24) | bytes) >>> 0;
}

/** Words of one nvmlFieldValue_t: id 0, scope 1, time 2, latency 4, type 6, code 7, value 8. */
export const FIELD_WORDS = 10;

/** The value of the field whose words begin at `at`, by its type; its code is not looked at. */
export function fieldOf(words: Uint32Array, doubles: Float64Array, at: number): number | undefined {
  const low = words[at + 8] as number;
  switch (words[at + 6]) {
    case 0: {
      const value = doubles[(at + 8) / 2] as number;
      return Number.isFinite(value) ? value : undefined;
    }
    case 1:
      return low === ALL_ONES ? undefined : low;
    case 2:
    case 3:
      return longOf(words, at + 8);
    case 4: {
      const value = ((words[at + 9] as number) | 0) * 0x1_0000_0000 + low;
      return Number.isSafeInteger(value) ? value : undefined;
    }
    case 5:
      return low | 0;
    case 6:
      return low & 0xffff;
    default:
      return undefined;
  }
}

/** Per cent as a share; a little above a hundred, as rounding makes it, is all. */
export function shareOf(percent: number | undefined): number | undefined {
  if (percent === undefined || !(percent >= 0 && percent <= 101)) return undefined;
  return Math.min(1, percent / 100);
}

/** 12080: "12.8" */
export function cudaVersionOf(word: number): string {
  return `${Math.floor(word / 1000)}.${Math.floor((word % 1000) / 10)}`;
}

const ARCHITECTURES: Readonly<Record<number, string>> = {
  2: "kepler",
  3: "maxwell",
  4: "pascal",
  5: "volta",
  6: "turing",
  7: "ampere",
  8: "ada",
  9: "hopper",
  10: "blackwell",
  13: "rubin",
};

/** Undefined for one that is newer than this table. */
export function architectureOf(word: number | undefined): string | undefined {
  return word === undefined ? undefined : ARCHITECTURES[word];
}

/** By bit: the words of THROTTLE_REASONS. */
const REASONS = [
  [0x1, "idle"],
  [0x2, "app_clocks"],
  [0x4, "sw_power_cap"],
  [0x8, "hw_slowdown"],
  [0x10, "sync_boost"],
  [0x20, "sw_thermal"],
  [0x40, "hw_thermal"],
  [0x80, "power_brake"],
  [0x100, "display_clocks"],
] as const;

/** Bits that are not known are left out. */
export function throttleReasonsOf(bits: number): string[] {
  const reasons: string[] = [];
  for (const [bit, reason] of REASONS) if ((bits & bit) !== 0) reasons.push(reason);
  return reasons;
}

/** "00000000:3B:00.0" as sysfs writes it, "0000:3b:00.0". */
export function pciAddressOf(busId: string | undefined): string | undefined {
  const parts = /^([0-9a-f]{4,8}):([0-9a-f]{2}):([0-9a-f]{2})\.([0-7])$/i.exec(busId ?? "");
  if (parts === null) return undefined;
  const domain = Number.parseInt(parts[1] as string, 16).toString(16);
  return `${domain.padStart(4, "0")}:${parts[2]}:${parts[3]}.${parts[4]}`.toLowerCase();
}

/** "1g.10gb" of "NVIDIA A100-SXM4-40GB MIG 1g.10gb", with what follows it ("+me"); of a profile's name too. */
export function profileOf(name: string | undefined): string | undefined {
  return /(?:^|[\s(])((?:\d{1,2}c\.)?\d{1,2}g\.\d{1,4}gb(?:[+.-][a-z0-9+.-]{1,16})?)/i
    .exec(name ?? "")?.[1]
    ?.toLowerCase();
}

/** 16 bytes as "01234567-89ab-..."; undefined for sixteen zeros. */
export function clusterOf(bytes: Uint8Array): string | undefined {
  if (bytes.every((byte) => byte === 0)) return undefined;
  const hex = bytes.toHex();
  return [hex.slice(0, 8), hex.slice(8, 12), hex.slice(12, 16), hex.slice(16, 20), hex.slice(20)].join("-");
}

/** What a list of processes is filled with before it is asked for. */
export const PROCESS_FILL = 0xaa;
const PROCESS_BYTES = 24;
/** What each entry has where a library knows of protected memory. */
export const PROCESS_BYTES_MAX = 32;

/**
 * How far apart the entries of a list of processes are. Early libraries of R535 wrote 32 bytes an entry under the name
 * and number of the call that writes 24, so it is told by what was written: `count` entries of 32 bytes end where the
 * fill is still whole if they have 24.
 */
export function processStride(bytes: Uint8Array, count: number): number {
  const end = Math.min(count * PROCESS_BYTES_MAX, bytes.length);
  for (let at = count * PROCESS_BYTES; at < end; at += 1) {
    if (bytes[at] !== PROCESS_FILL) return PROCESS_BYTES_MAX;
  }
  return PROCESS_BYTES;
}
