/** By which address others know this node, and which addresses are its own. */
import { lookup } from "node:dns/promises";
import { networkInterfaces } from "node:os";
import { isIP } from "node:net";
import { MeshError } from "../base/errors.ts";
import { parseAddress } from "../base/units.ts";

const EVERY = new Set(["", "::", "0.0.0.0"]);
/** Seeds to which the way is looked up. */
const TRIES_MAX = 4;

/**
 * The IP address to announce: that of `advertise`, or what is bound; where every address is bound, the one from which the
 * seeds are reached, and without seeds the machine's first. `seeds` are "host:port" and asked for only when they matter;
 * those that lead to this node itself say nothing. Rejects with a MeshError when `advertise` is a name that nobody knows:
 * packets come from addresses, and members are known by those.
 */
export async function announcedHost(
  bound: string,
  port: number,
  advertise: string,
  seeds: () => Promise<readonly string[]>,
): Promise<string> {
  if (advertise !== "") return ipOf(advertise, bound);
  if (!EVERY.has(bound)) return bound;
  const others = (await seeds()).filter((seed) => !isOwnAddress(seed, bound, port, ""));
  const hosts = others.map((seed) => parseAddress(seed)?.host ?? "").filter((host) => isIP(host) !== 0);
  const outward = hosts.filter((host) => !isLoopback(host));
  if (hosts.length > 0 && outward.length === 0) return "127.0.0.1";
  for (const host of outward.slice(0, TRIES_MAX)) {
    const source = await sourceTowards(host);
    if (source !== undefined) return source;
  }
  const foreign = interfaces().filter(({ internal }) => !internal);
  return (foreign.find(({ family }) => family === "IPv4") ?? foreign[0])?.address ?? "127.0.0.1";
}

async function ipOf(host: string, bound: string): Promise<string> {
  if (isIP(host) !== 0) return host;
  const found = await lookup(host, { all: true }).catch(() => []);
  const fits = found.filter(({ family }) => EVERY.has(bound) || family === isIP(bound));
  const address = (fits.find(({ family }) => family === 4) ?? fits[0])?.address;
  if (address !== undefined) return address;
  throw new MeshError(
    "config_invalid",
    `can't advertise "${host}": no such host${found.length > 0 ? " for the kind of address that --gossip is bound to" : ""}; give an IP address that others reach this node by`,
    { param: "advertise" },
  );
}

/** Whether "host:port" leads to this node, which is bound to that host and port and announces that address. */
export function isOwnAddress(address: string, bound: string, port: number, announced: string): boolean {
  if (address === announced) return true;
  const place = parseAddress(address);
  if (place === undefined || place.port !== port) return false;
  if (!EVERY.has(bound)) return place.host === bound;
  return isLoopback(place.host) || interfaces().some((own) => own.address === place.host);
}

/** The address of this machine from which packets to that host leave; undefined where there is no way. Sends nothing. */
async function sourceTowards(host: string): Promise<string | undefined> {
  try {
    const socket = await Bun.udpSocket({ connect: { hostname: host, port: 9 } });
    const { address } = socket.address;
    socket.close();
    return EVERY.has(address) ? undefined : address;
  } catch {
    return undefined;
  }
}

function interfaces() {
  return Object.values(networkInterfaces()).flatMap((addresses) => addresses ?? []);
}

function isLoopback(host: string): boolean {
  return host === "::1" || host.startsWith("127.");
}
