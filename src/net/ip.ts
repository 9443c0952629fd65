/** IP addresses as bytes: 4 or 16 of them, in network order. */

/** Null for what is no dotted IPv4 address; `localhost` is 127.0.0.1. */
export function parseIpv4(host: string): Uint8Array | null {
  const text = host === "localhost" ? "127.0.0.1" : host;
  const parts = text.split(".");
  if (parts.length !== 4 || !parts.every((part) => /^\d{1,3}$/.test(part) && Number(part) <= 255)) return null;
  return Uint8Array.from(parts, Number);
}

/** Null for what is no IPv6 address; brackets may stand around it, a zone behind it may not. */
export function parseIpv6(host: string): Uint8Array | null {
  const text = host.replace(/^\[|\]$/g, "");
  if (!/^[0-9a-fA-F:]+$/.test(text)) return null;
  const halves = text.split("::");
  if (halves.length > 2) return null;
  const groups = (half: string | undefined): string[] => (half === undefined || half === "" ? [] : half.split(":"));
  const head = groups(halves[0]);
  const tail = groups(halves[1]);
  const gap = 8 - head.length - tail.length;
  if (halves.length === 1 ? gap !== 0 : gap < 1) return null;
  const all = [...head, ...Array.from({ length: gap }, () => "0"), ...tail];
  if (!all.every((group) => /^[0-9a-fA-F]{1,4}$/.test(group))) return null;
  const bytes = new Uint8Array(16);
  all.forEach((group, index) => {
    const value = Number.parseInt(group, 16);
    bytes[index * 2] = value >> 8;
    bytes[index * 2 + 1] = value & 255;
  });
  return bytes;
}

/** How an address is written; one of IPv4 that came in by an IPv6 socket (`::ffff:1.2.3.4`) as IPv4. */
export function formatIp(bytes: Uint8Array): string {
  if (bytes.length === 4) return bytes.join(".");
  const isMapped = bytes.subarray(0, 10).every((byte) => byte === 0) && bytes[10] === 255 && bytes[11] === 255;
  if (isMapped) return bytes.subarray(12).join(".");
  const groups = Array.from({ length: 8 }, (_, i) =>
    ((bytes[i * 2] ?? 0) * 256 + (bytes[i * 2 + 1] ?? 0)).toString(16),
  );
  const text = groups.join(":");
  // RFC 5952: the longest run of two or more zero groups, the first among equals, becomes `::`.
  let run = "";
  let at = 0;
  for (const { 0: zeros, index } of text.matchAll(/\b0(?::0)+\b/g)) {
    if (zeros.length <= run.length) continue;
    run = zeros;
    at = index;
  }
  if (run === "") return text;
  return `${text.slice(0, at).replace(/:$/, "")}::${text.slice(at + run.length).replace(/^:/, "")}`;
}

const WILDCARDS = new Set(["", "*", "0.0.0.0", "::", "[::]"]);

/** Whether who listens there listens on every address. */
export function isWildcard(host: string): boolean {
  return WILDCARDS.has(host);
}

/** Whether it is of this machine alone: "localhost", 127.0.0.0/8, ::1. */
export function isLoopback(host: string): boolean {
  const four = parseIpv4(host.replace(/^::ffff:/i, ""));
  if (four !== null) return four[0] === 127;
  const six = parseIpv6(host);
  return six !== null && six.every((byte, at) => byte === (at === 15 ? 1 : 0));
}
