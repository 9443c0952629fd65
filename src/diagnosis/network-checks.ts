/** Ports, names, other members of the mesh, inference servers. */
import { formatAddress, formatDuration } from "../base/units.ts";
import { type Finding, fail, ok, warn } from "./finding.ts";

export interface PortFacts {
  /** What it is for, as its flag has it: `api`. */
  readonly name: string;
  /** As it is shown. */
  readonly label: string;
  readonly host: string;
  readonly port: number;
  readonly protocols: readonly ("tcp" | "udp")[];
  /** Another one is taken where it is in use. */
  readonly isMovable: boolean;
  readonly outcome:
    | { readonly kind: "free" }
    | {
        readonly kind: "in use";
        readonly protocol: "tcp" | "udp";
        /** Who holds it, as far as that can be seen. */
        readonly by: readonly { readonly pid: number; readonly program: string }[];
      }
    /** Not allowed, no such address, or anything else. */
    | { readonly kind: "refused"; readonly message: string };
}

const OWN_PROGRAM = "infermesh";

export function judgePort({ name, label, host, port, protocols, isMovable, outcome }: PortFacts): Finding {
  const check = `port-${label}`;
  const where = `${formatAddress({ host: host === "" ? "*" : host, port })} (${protocols.map((one) => one.toUpperCase()).join(" and ")})`;
  const flag = `--${name}`;
  if (outcome.kind === "free") return ok(check, port === 0 ? "any free port" : `${where} is free`);
  if (outcome.kind === "refused") {
    return fail(
      check,
      `${where} can't be had: ${outcome.message}`,
      "the start ends with that",
      `name another address by ${flag}`,
    );
  }
  const { by, protocol } = outcome;
  const holders = by.map(({ pid, program }) => `${program} (pid ${pid})`).join(", ");
  const found = `${where} is in use${protocols.length > 1 ? ` by ${protocol.toUpperCase()}` : ""}: ${holders === "" ? "by whom can't be seen by this user" : `held by ${holders}`}`;
  if (by.length > 0 && by.every(({ program }) => program === OWN_PROGRAM)) {
    return warn(
      check,
      found,
      "it runs already, and another one here would need other ports",
      `for a second one set ${flag}`,
    );
  }
  if (isMovable) return warn(check, found, "another free port is taken, which firewalls don't know", `set ${flag}`);
  return fail(check, found, "the start ends with that", `stop what holds it, or set ${flag}`);
}

export interface SeedFacts {
  /** As it is written. */
  readonly seed: string;
  readonly addresses: number;
  /** Why it brought none; "" where it did. */
  readonly fault: string;
}

export function judgeNames(seeds: readonly SeedFacts[]): Finding[] {
  return seeds.map(({ seed, addresses, fault }) => {
    if (fault === "") return ok("dns", `${seed} has ${addresses} ${addresses === 1 ? "address" : "addresses"}`);
    const why = "the node looks for the mesh there";
    return fail(
      "dns",
      `${seed}: ${fault}`,
      why,
      "look at the name, at /etc/resolv.conf and /etc/hosts, or give an IP address",
    );
  });
}

export function judgeJoinFile(path: string, fault: string, count: number): Finding {
  if (fault === "") return ok("join-file", `${path} names ${count} ${count === 1 ? "member" : "members"}`);
  return warn(
    "join-file",
    `${path}: ${fault}`,
    "the node looks for the mesh there, now and when it changes",
    "write it, or correct --join-file",
  );
}

/** How a member met whoever asked it. */
export type PeerAnswer =
  | {
      readonly kind: "answered";
      readonly id: string;
      readonly members: number;
      readonly tcpMs: number;
      /** Null where no datagram came back. */
      readonly udpMs: number | null;
      /** By how much its clock is ahead; null where packets don't tell. */
      readonly secondsAhead: number | null;
    }
  /** It leads to this very node. */
  | { readonly kind: "own" }
  /** It closes without a word, as members do with strangers. */
  | { readonly kind: "stranger" }
  /** It answers those without a key. */
  | { readonly kind: "plain" }
  | { readonly kind: "refused" }
  | { readonly kind: "silent"; readonly message: string };

export interface PeerFacts {
  readonly address: string;
  readonly answer: PeerAnswer;
}

const MS_DIGITS = 1;
/** Whole seconds are told, and one is on the way. */
const SECONDS_NEAR = 2;

export function judgePeers(peers: readonly PeerFacts[], replayWindowMs: number): Finding[] {
  const isMeshThere = peers.some(({ answer }) => answer.kind === "answered" || answer.kind === "own");
  return peers.map((peer) => judgePeer(peer, isMeshThere, replayWindowMs / 1000));
}

function judgePeer({ address, answer }: PeerFacts, isMeshThere: boolean, windowSeconds: number): Finding {
  const check = "peer";
  if (answer.kind === "own") return ok(check, `${address} is this node itself`);
  if (answer.kind === "stranger") {
    const why = "members are silent to those whose key, --cluster name or clock is another one";
    const advice = "compare --cluster, the keys (`infermesh ctl keyring list` there) and the clocks";
    return fail(check, `${address} listens and does not answer this node`, why, advice);
  }
  if (answer.kind === "plain") {
    const advice = "give it the key too, or start this node without one";
    return fail(
      check,
      `${address} answers without encryption alone`,
      "this node has a gossip key, and hears no plain packets",
      advice,
    );
  }
  if (answer.kind === "refused" || answer.kind === "silent") {
    const found =
      answer.kind === "refused" ? `nobody listens at ${address}` : `${address} does not answer: ${answer.message}`;
    const why = isMeshThere ? "another member answers, which is enough" : "no member of the mesh is reached";
    const advice =
      answer.kind === "refused"
        ? "start it, or correct --join"
        : "look at firewalls and routes, TCP and UDP, or correct --join";
    return (isMeshThere ? warn : fail)(check, found, why, advice);
  }
  const { id, members, tcpMs, udpMs, secondsAhead } = answer;
  const who = `${id} at ${address} of ${members} ${members === 1 ? "member" : "members"}, TCP ${tcpMs.toFixed(MS_DIGITS)} ms`;
  if (udpMs === null) {
    const why = "members watch each other by UDP: this node would be suspected again and again";
    return fail(check, `${who}, but no answer by UDP`, why, "let UDP pass on the gossip ports, both ways");
  }
  const found = `${who}, UDP ${udpMs.toFixed(MS_DIGITS)} ms${skewOf(secondsAhead)}`;
  if (secondsAhead === null || Math.abs(secondsAhead) <= Math.max(SECONDS_NEAR, windowSeconds / 10))
    return ok(check, found);
  const why = `packets are dropped once it is ${formatDuration(windowSeconds * 1000)}`;
  return warn(check, found, why, "set both clocks by NTP");
}

function skewOf(seconds: number | null): string {
  if (seconds === null) return "";
  if (Math.abs(seconds) < SECONDS_NEAR) return ", the same time";
  return `, its clock is ${Math.abs(seconds)} s ${seconds > 0 ? "ahead" : "behind"}`;
}

export function judgeLocalhost(addresses: readonly string[], fault: string): Finding {
  const own = addresses.filter((address) => address === "::1" || address.startsWith("127."));
  if (own.length > 0) return ok("localhost", `localhost is ${own.join(" and ")}`);
  const found = fault === "" ? `localhost is ${addresses.join(" and ")}` : `localhost has no address: ${fault}`;
  const why = "URLs of runtimes, routers and exporters with that name lead nowhere";
  return warn("localhost", found, why, "write 127.0.0.1 in them, or add `127.0.0.1 localhost` to /etc/hosts");
}

/** What an API server of Kubernetes tells of one source. */
export interface DiscoveryFacts {
  readonly source: string;
  /** "" where it is not known. */
  readonly server: string;
  /** Pods or slices that match. */
  readonly objects: number;
  /** Where requests could go. */
  readonly places: number;
  /** Of objects that come to none, or to fewer. */
  readonly faults: readonly string[];
  /** Why it does not tell; "" where it does. */
  readonly fault: string;
  /** What to do about that, or about there being nothing; "" for nothing in particular. */
  readonly advice: string;
}

export function judgeDiscovery({ source, server, objects, places, faults, fault, advice }: DiscoveryFacts): Finding {
  const check = "discovery";
  if (fault !== "") {
    const found = `${source}${server === "" ? "" : ` at ${server}`}: ${fault}`;
    return fail(
      check,
      found,
      "no runtime is found there",
      advice || "look at the way to the API server, and at its log",
    );
  }
  const found = `${source}: ${places} places for requests, as ${server} tells`;
  if (objects === 0) return warn(check, found, "there is nobody yet to send requests to", advice);
  const more = faults.length > 1 ? ` (and ${faults.length - 1} more)` : "";
  if (faults.length > 0)
    return warn(check, `${found}; ${faults[0]}${more}`, "it gets no requests", "correct the source");
  return ok(check, found);
}

export interface RuntimeFacts {
  /** As it is named, or by its port. */
  readonly name: string;
  readonly place: string;
  /** What it is; "" where that is not asked. */
  readonly kind: string;
  /** Why it can't be reached or used; "" where it can. */
  readonly fault: string;
}

/** Of an agent; `looked` when servers at the usual ports were looked for. */
export function judgeRuntimes(found: readonly RuntimeFacts[], looked: readonly number[] | undefined): Finding[] {
  const findings = found.map(({ name, place, kind, fault }) => {
    if (fault === "") return ok("runtime", `${name} at ${place}${kind === "" ? " listens" : ` is ${kind}`}`);
    const why = "it serves no requests until then; the agent keeps trying";
    return warn("runtime", `${name} at ${place}: ${fault}`, why, "start it, or correct --runtime");
  });
  if (findings.length > 0 || looked === undefined) return findings;
  const why = "the node serves nothing until one is there; the agent keeps looking";
  const advice = "start one, or name it by --runtime KIND=URL";
  return [warn("runtime", `no inference server at the usual ports (${looked.join(", ")})`, why, advice)];
}
