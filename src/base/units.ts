/**
 * Durations, byte counts and addresses as people write them: `1m30s`, `32MiB`, `127.0.0.1:8080`. Each is read and
 * written here only, so that a flag, a file and a table mean the same by the same text. `undefined` means that the
 * text is not one; nothing throws.
 */

/** Where to listen or connect; an empty host means every interface, port 0 any free one. IPv6 hosts are unbracketed. */
export interface Address {
  readonly host: string;
  readonly port: number;
}

/** Largest first: a duration names its units in this order, each at most once. */
const DURATION_UNITS = [
  ["d", 86_400_000],
  ["h", 3_600_000],
  ["m", 60_000],
  ["s", 1000],
  ["ms", 1],
] as const;

const BYTE_UNITS = [
  ["TiB", 2 ** 40],
  ["GiB", 2 ** 30],
  ["MiB", 2 ** 20],
  ["KiB", 2 ** 10],
] as const;

/** Suffixes in lower case. A lone letter is binary, as nginx and HAProxy mean it; kB, MB, GB are decimal. */
const BYTE_SUFFIXES: Readonly<Record<string, number>> = {
  "": 1,
  b: 1,
  k: 2 ** 10,
  kib: 2 ** 10,
  kb: 1e3,
  m: 2 ** 20,
  mib: 2 ** 20,
  mb: 1e6,
  g: 2 ** 30,
  gib: 2 ** 30,
  gb: 1e9,
  t: 2 ** 40,
  tib: 2 ** 40,
  tb: 1e12,
};

/** Nothing that means a duration, a size or an address is longer; keeps the expressions below from long inputs. */
const TEXT_LENGTH_MAX = 300;
const HOST_NAME = /^[A-Za-z0-9]([A-Za-z0-9._-]{0,251}[A-Za-z0-9])?$/;
const IPV6 = /^[0-9A-Fa-f:.]{2,45}(%[A-Za-z0-9._-]{1,32})?$/;

/** `500ms`, `5s`, `1m30s`, `1.5h` in milliseconds. Only 0 needs no unit: what a bare 30 means, people disagree about. */
export function parseDuration(text: string): number | undefined {
  if (text.length > TEXT_LENGTH_MAX) return undefined;
  if (text === "0") return 0;
  if (!/^(\d+(\.\d+)?(ms|[dhms]))+$/.test(text)) return undefined;
  let sum = 0;
  let rank = -1;
  for (const [, amount, unit] of text.matchAll(/(\d+(?:\.\d+)?)(ms|[dhms])/g)) {
    const at = DURATION_UNITS.findIndex(([name]) => name === unit);
    // "30s1m" and "5s5s" are slips, not durations.
    if (at <= rank) return undefined;
    rank = at;
    sum += Number(amount) * (DURATION_UNITS[at]?.[1] ?? 0);
  }
  return finite(sum);
}

/** The shortest text that `parseDuration` reads back as the same number; `0s` for nothing. */
export function formatDuration(ms: number): string {
  if (!(ms > 0) || !Number.isFinite(ms)) return ms === 0 ? "0s" : String(ms);
  // A fraction of a millisecond, or more digits than a double has: one unit keeps it exact.
  if (!Number.isSafeInteger(ms)) return `${ms}ms`;
  let left = ms;
  let text = "";
  for (const [unit, size] of DURATION_UNITS) {
    const count = Math.floor(left / size);
    if (count === 0) continue;
    text += `${count}${unit}`;
    left -= count * size;
  }
  return text;
}

/** `32MiB`, `64k`, `1.5GiB`, `10MB`, or a bare number of bytes. */
export function parseBytes(text: string): number | undefined {
  if (text.length > TEXT_LENGTH_MAX) return undefined;
  const match = /^(\d+(?:\.\d+)?) ?([A-Za-z]{0,3})$/.exec(text);
  const suffix = (match?.[2] ?? "").toLowerCase();
  if (match === null || !Object.hasOwn(BYTE_SUFFIXES, suffix)) return undefined;
  const bytes = Number(match[1]) * (BYTE_SUFFIXES[suffix] ?? 1);
  return Number.isSafeInteger(bytes) ? bytes : undefined;
}

/** In the largest binary unit that leaves no fraction; reads back as the same number. */
export function formatBytes(bytes: number): string {
  for (const [unit, size] of BYTE_UNITS) {
    if (bytes >= size && bytes % size === 0) return `${bytes / size}${unit}`;
  }
  return String(bytes);
}

/** `host:port`, `:port` (every interface) or `[::1]:port`. */
export function parseAddress(text: string): Address | undefined {
  if (text.length > TEXT_LENGTH_MAX) return undefined;
  const match = /^(?:\[([^\]]+)\]|([^:[\]]*)):(\d{1,5})$/.exec(text);
  if (match === null) return undefined;
  const port = Number(match[3]);
  if (port > 65_535) return undefined;
  const bracketed = match[1];
  if (bracketed !== undefined) {
    return bracketed.includes(":") && IPV6.test(bracketed) ? { host: bracketed, port } : undefined;
  }
  const host = match[2] ?? "";
  return host === "" || HOST_NAME.test(host) ? { host, port } : undefined;
}

/** The inverse of `parseAddress`. */
export function formatAddress({ host, port }: Address): string {
  return host.includes(":") ? `[${host}]:${port}` : `${host}:${port}`;
}

/** An address that can be connected to, as text: a wildcard is reached by loopback. */
export function dialable(address: string): string {
  return address.replace(/^(0\.0\.0\.0|\[::\]|):/, "127.0.0.1:");
}

function finite(value: number): number | undefined {
  return Number.isFinite(value) ? value : undefined;
}
