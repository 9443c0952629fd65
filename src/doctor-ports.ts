/** The ports that a node would bind: whether they can be had, and by whom they are held where they can't. */
import { readdir, readFile, readlink } from "node:fs/promises";
import type { Address } from "./base/units.ts";
import type { PortFacts } from "./diagnosis/network-checks.ts";
import { holdersIn } from "./diagnosis/proc-text.ts";
import { codeOf } from "./net/crash.ts";

export interface WantedPort extends Address {
  readonly name: string;
  /** As it is shown, where that is not its name. */
  readonly label?: string;
  readonly protocols: readonly ("tcp" | "udp")[];
  readonly isMovable: boolean;
}

type Ports = "serve" | "listen" | "api" | "metrics" | "gossip";
interface Addresses extends Partial<Readonly<Record<Ports, Address>>> {
  readonly control: { readonly mode: string; readonly listen: Address };
}

/** Of a configuration, those of these names, and the control plane's. */
export function portsWanted(config: Addresses, names: readonly Ports[]): WantedPort[] {
  const ports = names.flatMap((name): WantedPort[] => {
    const address = config[name];
    const protocols = name === "gossip" ? (["tcp", "udp"] as const) : (["tcp"] as const);
    return address === undefined ? [] : [{ ...address, name, protocols, isMovable: false }];
  });
  const { mode, listen } = config.control;
  if (mode === "off") return ports;
  return [...ports, { ...listen, name: "control-listen", protocols: ["tcp"], isMovable: mode === "auto" }];
}

/** Binds it for a moment. */
export async function tryPort(wanted: WantedPort): Promise<PortFacts> {
  const { name, label, host, port, protocols, isMovable } = wanted;
  const facts = { name, label: label ?? name, host, port, protocols, isMovable };
  for (const protocol of protocols) {
    const code = await bindFault(protocol, host, port);
    if (code === "EADDRINUSE")
      return { ...facts, outcome: { kind: "in use", protocol, by: await holdersOf(protocol, port) } };
    if (code !== "") return { ...facts, outcome: { kind: "refused", message: REASONS[code] ?? code } };
  }
  return { ...facts, outcome: { kind: "free" } };
}

const REASONS: Readonly<Record<string, string>> = {
  EACCES: "not allowed to this user (ports below 1024 are root's)",
  EADDRNOTAVAIL: "this machine has no such address",
  EAFNOSUPPORT: "this machine has no addresses of that kind",
};

/** The code of what went wrong; "" for nothing. Where IPv6 is switched off, every address is every IPv4 address. */
async function bindFault(protocol: "tcp" | "udp", host: string, port: number): Promise<string> {
  const plain = host.replace(/^\[|\]$/g, "");
  const hosts = plain === "" || plain === "*" ? ["::", "0.0.0.0"] : [plain];
  let code = "";
  for (const hostname of hosts) {
    try {
      if (protocol === "tcp") Bun.listen({ hostname, port, socket: { data() {} } }).stop(true);
      else (await Bun.udpSocket({ hostname, port })).close();
      return "";
    } catch (error) {
      code = codeOf(error) || String(error);
      if (code === "EADDRINUSE" || code === "EACCES") return code;
    }
  }
  return code;
}

const PROCESSES_MAX = 20_000;

/** Whose sockets hold it, as far as this user may see; that needs Linux's /proc. */
async function holdersOf(protocol: "tcp" | "udp", port: number): Promise<{ pid: number; program: string }[]> {
  const tables = await Promise.all(
    [`/proc/net/${protocol}`, `/proc/net/${protocol}6`].map((path) => readFile(path, "utf8").catch(() => "")),
  );
  const sockets = new Set(
    tables.flatMap((table) => holdersIn(table, port, protocol)).map((inode) => `socket:[${inode}]`),
  );
  if (sockets.size === 0) return [];
  const processes = (await readdir("/proc").catch(() => [])).filter((name) => /^\d+$/.test(name));
  const found: { pid: number; program: string }[] = [];
  for (const pid of processes.slice(0, PROCESSES_MAX)) {
    if (await hasOneOf(sockets, pid)) found.push({ pid: Number(pid), program: await programOf(pid) });
  }
  return found;
}

async function hasOneOf(sockets: ReadonlySet<string>, pid: string): Promise<boolean> {
  const folder = `/proc/${pid}/fd`;
  const names = await readdir(folder).catch(() => []);
  const links = await Promise.all(names.map((name) => readlink(`${folder}/${name}`).catch(() => "")));
  return links.some((link) => sockets.has(link));
}

/** The kernel's name of it may be its main thread's; what it was started as says more. */
async function programOf(pid: string): Promise<string> {
  const words = (await readFile(`/proc/${pid}/cmdline`, "utf8").catch(() => "")).split("\0");
  const name = (words[0] ?? "").split("/").at(-1) ?? "";
  return name === "" ? (await readFile(`/proc/${pid}/comm`, "utf8").catch(() => "?")).trim() : name;
}
