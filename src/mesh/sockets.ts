/**
 * UDP and TCP on one port number. TCP is bound first; where any port will do and UDP finds TCP's choice taken, both
 * try another. An empty host is every address, IPv6 and IPv4 in one socket, or IPv4 alone where there is no IPv6.
 */
import { lookup } from "node:dns/promises";
import { isIP } from "node:net";
import { MeshError } from "../base/errors.ts";
import { formatAddress } from "../base/units.ts";
import { boundAddress, expectSocket } from "../net/descriptor.ts";
import type { Families } from "./addresses.ts";
import { TcpServer, type TcpServerOptions } from "./tcp-server.ts";
import { codeOf } from "../net/crash.ts";
import { Udp, type UdpHandlers } from "./udp.ts";

export interface SocketsOptions {
  readonly udp: { readonly receiveBufferBytes: number; readonly handlers: UdpHandlers };
  readonly tcp: Omit<TcpServerOptions, "host" | "port">;
}

export interface Sockets {
  readonly udp: Udp;
  readonly tcp: TcpServer;
  /** What the UDP socket can reach. */
  readonly families: Families;
}

/** Sockets of a predecessor of this process, by their descriptors. */
export interface SocketDescriptors {
  readonly udp: number;
  readonly tcp: number;
}

const TRIES_MAX = 16;
const EVERY = new Set(["", "*"]);

/** Takes both sockets as a predecessor bound them, with all that waits in their queues. */
export async function adoptBoth({ udp, tcp }: SocketDescriptors, options: SocketsOptions): Promise<Sockets> {
  expectSocket(tcp, "listening");
  expectSocket(udp, "datagram");
  const { host, port } = boundAddress(udp);
  const server = new TcpServer({ ...options.tcp, host, port, fd: tcp });
  try {
    const socket = await Udp.open({ fd: udp }, options.udp.receiveBufferBytes, options.udp.handlers);
    return { udp: socket, tcp: server, families: familiesOf(host) };
  } catch (error) {
    server.stop();
    throw error;
  }
}

export async function bindBoth(host: string, port: number, options: SocketsOptions): Promise<Sockets> {
  const hosts = EVERY.has(host) ? ["::", "0.0.0.0"] : [await ipOf(host)];
  let fault: unknown;
  for (const ip of hosts) {
    for (let tries = port === 0 ? TRIES_MAX : 1; tries > 0; tries--) {
      let tcp: TcpServer | undefined;
      try {
        tcp = new TcpServer({ ...options.tcp, host: ip, port });
        const udp = await Udp.open({ host: ip, port: tcp.port }, options.udp.receiveBufferBytes, options.udp.handlers);
        return { udp, tcp, families: familiesOf(ip) };
      } catch (error) {
        tcp?.stop();
        fault = error;
        if (codeOf(error) !== "EADDRINUSE") break;
      }
    }
    // A port that is in use is not to be had in another way.
    if (codeOf(fault) === "EADDRINUSE") break;
  }
  const why = codeOf(fault) === "EADDRINUSE" ? "the port is in use" : codeOf(fault) || String(fault);
  throw new MeshError(
    "config_invalid",
    `can't listen for gossip on ${formatAddress({ host, port })}: ${why}; choose another address, or port 0 for any free port`,
    { cause: fault },
  );
}

function familiesOf(ip: string): Families {
  return ip === "::" ? "both" : isIP(ip) === 4 ? "ipv4" : "ipv6";
}

async function ipOf(host: string): Promise<string> {
  const bare = host.replace(/^\[|\]$/g, "");
  if (isIP(bare) !== 0) return bare;
  try {
    const found = await lookup(bare, { all: true });
    // The name of this machine usually has both; IPv4 is what its peers most likely use.
    return (found.find(({ family }) => family === 4) ?? found[0])!.address;
  } catch (cause) {
    throw new MeshError("config_invalid", `can't listen for gossip on "${host}": no such host`, { cause });
  }
}
