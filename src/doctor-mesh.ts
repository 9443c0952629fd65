/** Names and members that a node would find its mesh by, and localhost. */
import { lookup } from "node:dns/promises";
import { Prng } from "./base/prng.ts";
import type { Finding } from "./diagnosis/finding.ts";
import { judgeJoinFile, judgeLocalhost, judgeNames, judgePeers, type PeerFacts } from "./diagnosis/network-checks.ts";
import type { Subject } from "./doctor-subject.ts";
import { openKeyring } from "./mesh/key-file.ts";
import { isOwnAddress } from "./mesh/own-address.ts";
import { probePeer } from "./mesh/peer-probe.ts";
import { formatSeed, parseSeed, type Seed } from "./mesh/seed.ts";
import { SeedFile } from "./mesh/seed-file.ts";
import { SeedNames, systemResolver } from "./mesh/seed-names.ts";
import { codeOf } from "./net/crash.ts";

/** More are not asked: a name may have thousands. */
const PEERS_MAX = 16;

/** Looks the names up, then asks the members, all within `limitMs`. */
export async function meshFindings(subject: Subject, limitMs: number): Promise<Finding[]> {
  const { join, joinFile, mesh } = subject;
  const findings: Finding[] = [];
  const seeds = join.map(parseSeed).filter((seed) => seed !== undefined);
  if (joinFile !== "") {
    const warnings: string[] = [];
    const file = new SeedFile({ path: joinFile, onChange() {}, onWarning: (message) => void warnings.push(message) });
    await file.look();
    const fault = file.fault === "" ? (warnings[0] ?? "") : file.fault;
    findings.push(judgeJoinFile(joinFile, fault, file.seeds.length));
    seeds.push(...file.seeds);
  }
  const names = new SeedNames(systemResolver, new Prng(crypto.getRandomValues(new Uint32Array(1))[0] ?? 1));
  await names.look(seeds, limitMs / 3);
  findings.push(...judgeNames(seeds.filter(isNamed).map((seed) => namedFacts(names, seed))));
  const addresses = names.found(seeds).addresses.slice(0, PEERS_MAX);
  const peers = await Promise.all(addresses.map((address) => ask(address, subject, limitMs / 6)));
  return [...findings, ...judgePeers(peers, mesh.limits.replayWindowMs)];
}

function isNamed(seed: Seed): boolean {
  return seed.kind === "srv" || !/^[\d.]+$|:/.test(seed.host);
}

function namedFacts(names: SeedNames, seed: Seed) {
  const { addresses, failures } = names.found([seed]);
  return { seed: formatSeed(seed), addresses: addresses.length, fault: failures[0]?.why ?? "" };
}

async function ask(address: string, { mesh, gossip }: Subject, timeoutMs: number): Promise<PeerFacts> {
  if (isOwnAddress(address, gossip.host, gossip.port, "")) return { address, answer: { kind: "own" } };
  try {
    return { address, answer: await probePeer(address, { mesh, keyring: openKeyring(mesh), timeoutMs }) };
  } catch {
    // What is wrong with the key is told by the check of the keys.
    return { address, answer: { kind: "silent", message: "it was not asked, since this node's key can't be read" } };
  }
}

/** Without name servers and /etc/hosts a lookup may go on for half a minute. */
export async function localhostFindings(limitMs: number): Promise<Finding[]> {
  const late = Bun.sleep(limitMs).then(() => judgeLocalhost([], "the lookup takes long, as no name server answers"));
  const asked = lookup("localhost", { all: true }).then(
    (found) =>
      judgeLocalhost(
        found.map(({ address }) => address),
        "",
      ),
    (error: unknown) => judgeLocalhost([], codeOf(error) || String(error)),
  );
  return [await Promise.race([asked, late])];
}
