/** The executable and what its system lets it have: limits, memory, processors, buffers, the clock. */
import { type Finding, fail, ok, sizeOf, warn } from "./finding.ts";
import type { Limit } from "./proc-text.ts";

export type Role = "agent" | "router";

const MEBI = 1024 ** 2;

export interface ExecutableFacts {
  readonly version: string;
  readonly commit: string;
  readonly bun: string;
  /** False when the sources are run. */
  readonly isCompiled: boolean;
  /** Whether it names a loader; undefined where that can't be read. */
  readonly namesLoader: boolean | undefined;
  /** Of which functions there is bytecode; "" for none. */
  readonly bytecode: string;
}

export function judgeExecutable(facts: ExecutableFacts): Finding {
  const { version, commit, bun, isCompiled, namesLoader, bytecode } = facts;
  const what = `infermesh ${version} (${commit}, bun ${bun})`;
  if (!isCompiled) {
    const advice = "for service build the executable: npm run build";
    return warn("executable", `${what}, run from its sources`, "it needs the checkout, and starts more slowly", advice);
  }
  const kind = namesLoader === undefined ? "executable" : namesLoader ? "linked to the system's libc" : "static";
  return ok("executable", `${what}, ${kind}, ${bytecode === "" ? "without bytecode" : `bytecode of ${bytecode}`}`);
}

export function judgeScorer({ kind, reason }: { readonly kind: string; readonly reason: string }): Finding {
  if (kind === "c") return ok("scorer", reason);
  const advice = "let it write to $TMPDIR, a folder where programs may be run, or mount /proc";
  return warn("scorer", reason, "picking a target takes more of a worker's time; the picks are the same", advice);
}

export function judgeKernelFiles({ proc, sys }: { readonly proc: boolean; readonly sys: boolean }): Finding {
  if (proc && sys) return ok("kernel-files", "/proc and /sys can be read");
  const lost = [...(proc ? [] : ["/proc"]), ...(sys ? [] : ["/sys"])].join(" and ");
  const why = "what uses a GPU, AMD's and Intel's GPUs, and what holds a port are told from there";
  return warn("kernel-files", `${lost} can't be read`, why, `mount ${lost} into the container`);
}

export interface ShareFacts {
  /** What the cgroups allow; Infinity for no limit, undefined where it is not told. */
  readonly coresMax: number | undefined;
  readonly memoryBytesMax: number | undefined;
  readonly memoryBytes: number | undefined;
  readonly cores: number;
  /** A router's; 0 for none. */
  readonly workers: number;
}

export function judgeCpu({ coresMax, cores, workers }: ShareFacts): Finding {
  const limit =
    coresMax === undefined || coresMax >= cores ? "" : `, of which the container may use ${round(coresMax)}`;
  const has = `${cores} ${cores === 1 ? "core" : "cores"}${limit}${workers === 0 ? "" : `, for ${workers} workers`}`;
  const usable = Math.min(coresMax ?? cores, cores);
  if (workers <= Math.ceil(usable)) return ok("cpu", has);
  const why = "workers beyond that take turns, and the kernel halts all of them when the quota is used up";
  return warn("cpu", has, why, `set --workers ${Math.max(1, Math.floor(usable))}, or raise the limit`);
}

/**
 * Idle, an agent takes 78 MB, and a router 82, 91 or 107 MB with 1, 2 or 4 workers. What is beyond that is for connections,
 * bodies and tables under load.
 */
export function memoryBytesWanted(role: Role | undefined, workers: number): number {
  return (role === "router" ? 160 + 48 * workers : 128) * MEBI;
}

export function judgeMemory(facts: ShareFacts, role: Role | undefined): Finding {
  const { memoryBytesMax, memoryBytes, workers } = facts;
  const limit = Math.min(memoryBytesMax ?? Number.POSITIVE_INFINITY, memoryBytes ?? Number.POSITIVE_INFINITY);
  if (limit === Number.POSITIVE_INFINITY) return ok("memory", "no limit is told");
  const isOwn = memoryBytesMax !== undefined && limit === memoryBytesMax;
  const found = `${sizeOf(limit)} ${isOwn ? "is the container's limit" : "in the machine"}`;
  const wanted = memoryBytesWanted(role, workers);
  if (limit >= wanted) return ok("memory", found);
  const why = `the kernel ends the process when it needs more; ${sizeOf(wanted)} is what it should have`;
  return warn("memory", found, why, workers > 1 ? "raise the limit, or use fewer --workers" : "raise the limit");
}

/** What is open besides connections: logs, stores, listeners, epolls of each thread. */
const DESCRIPTORS_BESIDE = 128;
const DESCRIPTORS_MIN = 256;
/** Of a router's worker: clients, and as many connections to targets; more are only needed when it is busier. */
const CONNECTIONS_PLANNED = 2000;

/** For a node of any role. */
export function descriptorsWanted(role: Role | undefined, workers: number, connectionsMax: number): number {
  if (role !== "router") return 1024;
  return DESCRIPTORS_BESIDE + workers * 2 * Math.min(connectionsMax, CONNECTIONS_PLANNED);
}

export function judgeDescriptors(limit: Limit | undefined, wanted: number): Finding {
  if (limit === undefined) return ok("nofile", "the limit of open files is not told");
  const found = `${countOf(limit.soft)} open files allowed${limit.hard > limit.soft ? ` (${countOf(limit.hard)} at most)` : ""}`;
  if (limit.soft >= wanted) return ok("nofile", found);
  const why = "each connection takes one; beyond the limit new ones are refused";
  const advice = `allow ${wanted}: LimitNOFILE=${wanted} of systemd, --ulimit nofile=${wanted}:${wanted} of a container, ulimit -n ${wanted}`;
  return (limit.soft < DESCRIPTORS_MIN ? fail : warn)("nofile", found, why, advice);
}

export function judgeCore(limit: Limit | undefined): Finding {
  if (limit === undefined) return ok("core", "the limit of core dumps is not told");
  return ok(
    "core",
    limit.soft === 0 ? "a crash leaves no core dump" : `a crash leaves a core dump of up to ${sizeOf(limit.soft)}`,
  );
}

/** What pinned buffers of a GPU's own tools take at least. */
const LOCKED_BYTES_MIN = 64 * 1024;

export function judgeLocked(limit: Limit | undefined, hasGpu: boolean): Finding {
  if (limit === undefined) return ok("memlock", "the limit of locked memory is not told");
  const found = `${sizeOf(limit.soft)} of memory may be locked`;
  if (!hasGpu || limit.soft >= LOCKED_BYTES_MIN) return ok("memlock", found);
  const why = "runtimes that this agent starts inherit it, and pin memory for their GPUs";
  return warn("memlock", found, why, "LimitMEMLOCK=infinity of systemd, --ulimit memlock=-1 of a container");
}

export function judgeBacklog(somaxconn: number | undefined, wanted: number): Finding {
  if (somaxconn === undefined) return ok("backlog", "net.core.somaxconn is not told");
  const found = `net.core.somaxconn is ${somaxconn}`;
  if (somaxconn >= wanted) return ok("backlog", found);
  const why = `more connections at once than that wait for the client's next try, 1 s later; ${wanted} are asked for`;
  return warn("backlog", found, why, `sysctl -w net.core.somaxconn=${wanted}`);
}

export interface UdpFacts {
  /** As the kernel tells it: twice what may be used. Undefined where it can't be asked. */
  readonly obtainedBytes: number | undefined;
  readonly wantedBytes: number;
}

export function judgeUdp({ obtainedBytes, wantedBytes }: UdpFacts): Finding {
  if (obtainedBytes === undefined) return ok("udp-buffer", "the kernel does not tell what it gives");
  const got = obtainedBytes / 2;
  const found = `${sizeOf(got)} for datagrams that wait, ${sizeOf(wantedBytes)} wanted`;
  if (got >= wantedBytes) return ok("udp-buffer", found);
  const why = "in a large mesh news of members is lost in bursts, and nodes are suspected for nothing";
  return warn("udp-buffer", found, why, `sysctl -w net.core.rmem_max=${wantedBytes}`);
}

export interface ClockFacts {
  /** Since 1970, and as it is written. */
  readonly wallMs: number;
  readonly shown: string;
  /** By how much the wall clock went on differently from the steady one, while both were watched. */
  readonly driftMs: number;
  /** Whether the kernel holds it for synchronised; undefined where it does not say. */
  readonly isSynchronised: boolean | undefined;
  /** What the kernel gives as the greatest error. */
  readonly errorMsMax: number | undefined;
}

/** No release is older. */
const WALL_MS_MIN = Date.UTC(2025, 0, 1);
const DRIFT_MS_MAX = 50;

export function judgeClock({ wallMs, shown, driftMs, isSynchronised, errorMsMax }: ClockFacts): Finding {
  const advice = "run a time service: chrony, ntpd or systemd-timesyncd (on the host, for containers)";
  if (wallMs < WALL_MS_MIN) {
    return fail(
      "clock",
      `it is ${shown}, which can't be`,
      "certificates seem not yet valid, and sealed packets are dropped",
      advice,
    );
  }
  if (Math.abs(driftMs) > DRIFT_MS_MAX) {
    const why = "quotas and deadlines that are told by the hour are wrong for a while";
    return warn("clock", `it was set by ${Math.round(driftMs)} ms while it was watched`, why, advice);
  }
  if (isSynchronised === false) {
    const why = "members drop each other's sealed packets once their clocks differ by --mesh-limits-replay-window";
    return warn("clock", `${shown}, not synchronised`, why, advice);
  }
  const error = errorMsMax === undefined ? "" : `, right within ${Math.ceil(errorMsMax)} ms`;
  return ok(
    "clock",
    isSynchronised === true ? `${shown}, synchronised${error}` : `${shown}; whether it is synchronised is not told`,
  );
}

function round(cores: number): string {
  return String(Math.round(cores * 100) / 100);
}

function countOf(limit: number): string {
  return limit === Number.POSITIVE_INFINITY ? "any number of" : String(limit);
}
