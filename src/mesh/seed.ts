/**
 * A seed as people write it: `gpu-1:7946`, `10.0.0.5` (with the usual port), `[::1]:7946`, a DNS name of many nodes, or
 * `srv:NAME`, whose SRV records have hosts and ports; a name that begins with `_` is one as well.
 */
import { isIP } from "node:net";
import { formatAddress } from "../base/units.ts";

export type Seed =
  /** An IP address or a DNS name; all addresses of a name are meant. */
  | { readonly kind: "host"; readonly host: string; readonly port: number }
  | { readonly kind: "srv"; readonly name: string };

/** An agent's --gossip port, unless it is told another one. */
export const GOSSIP_PORT = 7946;
export const SEED_EXPECTED = "a member such as gpu-1:7946, 10.0.0.5, [::1]:7946 or srv:_gossip._tcp.NAME";

const LENGTH_MAX = 300;
const LABELS = /^[A-Za-z0-9_]([A-Za-z0-9_-]{0,62})(\.[A-Za-z0-9_]([A-Za-z0-9_-]{0,62}))*\.?$/;
const HOST_AND_PORT =
  /^(?:\[(?<ip>[0-9A-Fa-f:.]+(?:%[A-Za-z0-9._-]{1,32})?)\]|(?<host>[^:[\]]+))(?::(?<port>\d{1,5}))?$/;

/** Undefined for what is none. */
export function parseSeed(text: string): Seed | undefined {
  if (text.length > LENGTH_MAX) return undefined;
  if (text.startsWith("srv:") || text.startsWith("_")) {
    const name = text.replace(/^srv:/, "");
    return LABELS.test(name) && name.length <= 254 ? { kind: "srv", name } : undefined;
  }
  const { ip, host = "", port = String(GOSSIP_PORT) } = HOST_AND_PORT.exec(text)?.groups ?? {};
  const number = Number(port);
  if (number < 1 || number > 65_535) return undefined;
  if (ip !== undefined) return isIP(ip) === 6 ? { kind: "host", host: plainest(ip), port: number } : undefined;
  // "7946" and "10.0.5" are slips, though resolvers take them for addresses.
  if (/^[\d.]+$/.test(host) && isIP(host) !== 4) return undefined;
  return LABELS.test(host) && host.length <= 254 ? { kind: "host", host, port: number } : undefined;
}

/** `parseSeed` reads it back. */
export function formatSeed(seed: Seed): string {
  return seed.kind === "srv" ? `srv:${seed.name}` : formatAddress(seed);
}

/** What is likely wrong with a text that is no seed; "" where there is nothing to say. */
export function seedHint(text: string): string {
  if (text.includes("//")) return "leave the scheme out: it is no URL";
  if (isIP(text) === 6) return "put brackets around an IPv6 address";
  if (/^(srv:|_).*:\d+$/.test(text)) return "leave the port out: the SRV records have it";
  if (/^:\d+$/.test(text)) return "name a host";
  return "";
}

/** One of an address's many spellings, the one in which members announce it. */
function plainest(ip: string): string {
  const url = `http://[${ip}]`;
  // A zone (%eth0) is no part of a URL.
  return URL.canParse(url) ? new URL(url).hostname.slice(1, -1) : ip;
}
