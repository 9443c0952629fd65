/**
 * Names: `localhost`, which the machine knows by a file; a name server of our own, asked by the lookups that find the
 * mesh; and the C library's lookup, by which connections find their hosts, where its name server can be ours.
 */
import { readFileSync } from "node:fs";
import { Resolver, lookup } from "node:dns/promises";
import { type NameServer, type Records, nameServer } from "./name-server.ts";
import { LeftOut, type Part, must, mustEqual, refusalOf } from "./part.ts";

const RESOLV_CONF = "/etc/resolv.conf";
/** More than a datagram holds, and no more than C libraries take. */
const MANY = 40;
const FEW_NAME = "few.self-test.invalid";
const MANY_NAME = "many.self-test.invalid";
const SERVICE_NAME = "_gossip._tcp.self-test.invalid";
const ABSENT_NAME = "absent.self-test.invalid";
const serials = Array.from({ length: MANY }, (_, index) => index + 1);
const many = serials.map((serial) => `10.0.0.${serial}`);
const RECORDS: Records = {
  [FEW_NAME]: ["10.0.0.1", "fd00::1"],
  [MANY_NAME]: many,
  [SERVICE_NAME]: serials.map((serial) => `node-${serial}.self-test.invalid:${7000 + serial}`),
};

async function localhost(): Promise<string> {
  const found = await lookup("localhost", { all: true });
  const addresses = found.map(({ address }) => address);
  must(addresses.length > 0, "localhost has no address");
  const foreign = addresses.find((address) => address !== "::1" && !address.startsWith("127."));
  must(foreign === undefined, `localhost is ${foreign}, which is not this machine`);
  return `localhost is ${addresses.join(", ")}`;
}

async function nameService(): Promise<string> {
  const known = await localhost();
  const server = await nameServer(RECORDS);
  try {
    const resolver = new Resolver({ timeout: 3000, tries: 3 });
    resolver.setServers([server.at]);
    mustEqual("an IPv4 address", await resolver.resolve4(FEW_NAME), ["10.0.0.1"]);
    mustEqual("an IPv6 address", await resolver.resolve6(FEW_NAME), ["fd00::1"]);
    mustEqual("questions by TCP so far", server.asked.tcp, 0);
    const services = await resolver.resolveSrv(SERVICE_NAME);
    mustEqual("the ports of a service", services.map(({ port }) => port).toSorted(byValue), serials.map(portOf));
    must(server.asked.tcp > 0, "an answer that was cut short was not asked for by TCP");
    const absent = await refusalOf("a name that is not there", () => resolver.resolve4(ABSENT_NAME));
    mustEqual("how a name that is not there is refused", absent, "ENOTFOUND");
  } finally {
    server.stop();
  }
  return `${known}; addresses and services of a name server, long answers by TCP`;
}

const byValue = (a: number, b: number): number => a - b;
const portOf = (serial: number): number => 7000 + serial;

/** The name server that the C library asks, if that is an address of loopback. */
export function ownNameServer(resolvConf: string): string {
  const servers = [...resolvConf.matchAll(/^nameserver[ \t]+(\S+)/gm)].map((match) => match[1] ?? "");
  const [first = ""] = servers;
  return servers.length === 1 && /^127(?:\.\d{1,3}){3}$/.test(first) ? first : "";
}

async function serveAsSystem(): Promise<NameServer> {
  let text = "";
  try {
    text = readFileSync(RESOLV_CONF, "utf8");
  } catch {
    throw new LeftOut(`there is no ${RESOLV_CONF}`);
  }
  const address = ownNameServer(text);
  if (address === "") throw new LeftOut(`${RESOLV_CONF} names no server at a single address of loopback`);
  try {
    return await nameServer(RECORDS, address, 53);
  } catch (error) {
    throw new LeftOut(`port 53 of ${address}, which ${RESOLV_CONF} names, can't be had: ${(error as Error).message}`);
  }
}

async function systemLookup(): Promise<string> {
  const server = await serveAsSystem();
  try {
    const addresses = async (name: string): Promise<string[]> =>
      (await Bun.dns.lookup(name, { backend: "system" })).map(({ address }) => address);
    mustEqual("the C library's answer", (await addresses(FEW_NAME)).toSorted(), ["10.0.0.1", "fd00::1"]);
    const before = server.asked.tcp;
    const found = await addresses(MANY_NAME);
    mustEqual("how many addresses the C library found", new Set(found).size, MANY);
    must(server.asked.tcp > before, "the C library did not ask by TCP for an answer that was cut short");
  } finally {
    server.stop();
  }
  return `${MANY} addresses by the C library, of an answer that was cut short and came by TCP`;
}

export const NAME_PARTS: readonly Part[] = [
  { name: "dns", run: nameService },
  { name: "getaddrinfo", run: systemLookup },
];
