/** Where a ZeroMQ socket listens, as engines name it: `tcp://127.0.0.1:5557`, `tcp://*:5557`, `ipc:///run/kv.sock`. */
import { MeshError } from "../base/errors.ts";
import { formatAddress } from "../base/units.ts";
import type { IpPlace } from "../net/stream.ts";

/** What a unix socket's address has room for. */
const PATH_BYTES_MAX = 107;
/** An engine that listens on every address is spoken to by the nearest. */
const EVERYWHERE: Readonly<Record<string, string>> = { "*": "127.0.0.1", "0.0.0.0": "127.0.0.1", "::": "::1" };

/** Whether it is published on every address of a machine. */
export function isEverywhere(text: string): boolean {
  return /^tcp:\/\/(?:\*|0\.0\.0\.0|\[::\]):\d+$/.test(text);
}

/** The same at one host, where it is published on every address. */
export function placedAt(text: string, host: string): string {
  return `tcp://${formatAddress({ host, port: Number(text.slice(text.lastIndexOf(":") + 1)) })}`;
}

/**
 * The place of a data-parallel rank's socket: ranks listen on ports one after the other. Throws `config_invalid` where
 * the text is no endpoint, or has no room for the rank.
 */
export function endpointPlace(text: string, rank: number): IpPlace {
  const wrong = (why: string): MeshError =>
    new MeshError("config_invalid", `${JSON.stringify(text)} is no ZeroMQ endpoint: ${why}`);
  if (text.startsWith("ipc://")) {
    const host = text.slice(6);
    if (!host.startsWith("/")) throw wrong("the path of a unix socket begins with a slash, as in ipc:///run/kv.sock");
    if (Buffer.byteLength(host) > PATH_BYTES_MAX) throw wrong(`the path has more than ${PATH_BYTES_MAX} bytes`);
    if (rank > 0) throw wrong(`rank ${rank} has no port to be told by; ranks need tcp://host:port`);
    return { host, port: 0 };
  }
  const match = /^tcp:\/\/(?:\[([0-9A-Fa-f:.]+)\]|([^:/[\]]+)):(\d{1,5})$/.exec(text);
  if (match === null) throw wrong("expected tcp://host:port or ipc:///path");
  const host = match[1] ?? match[2]!;
  const port = Number(match[3]) + rank;
  if (port - rank < 1 || port > 65_535) throw wrong(`port ${port} is not between 1 and 65535`);
  return { host: EVERYWHERE[host] ?? host, port };
}
