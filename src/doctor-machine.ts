/** What `infermesh doctor` looks at on the machine: the executable, limits, cgroups, buffers, the clock. */
import { existsSync, openSync, readSync, closeSync, readFileSync } from "node:fs";
import { availableParallelism } from "node:os";
import { join } from "node:path";
import { bytecode, commit, version } from "./base/version.ts";
import { cgroupIn, coresIn, limitIn, memoryIn, namesLoader, numberIn } from "./diagnosis/proc-text.ts";
import type { Finding } from "./diagnosis/finding.ts";
import {
  type ClockFacts,
  descriptorsWanted,
  judgeBacklog,
  judgeClock,
  judgeCore,
  judgeCpu,
  judgeDescriptors,
  judgeExecutable,
  judgeKernelFiles,
  judgeLocked,
  judgeMemory,
  judgeScorer,
  judgeUdp,
  type ShareFacts,
} from "./diagnosis/process-checks.ts";
import type { Subject } from "./doctor-subject.ts";
import { Udp } from "./mesh/udp.ts";
import { openPicker } from "./native.ts";
import { closeDescriptor, socketOption } from "./net/descriptor.ts";
import { openLibc } from "./net/libc.ts";
import { BACKLOG } from "./net/listen.ts";
import { isCompiled } from "./process.ts";
import { ScoreTable } from "./score/table.ts";

const SO_RCVBUF = 8;
const WATCHED_MS = 200;

export function executableFindings(): Finding[] {
  const compiled = isCompiled();
  const executable = judgeExecutable({
    version,
    commit,
    bun: Bun.version,
    isCompiled: compiled,
    namesLoader: beginningOf("/proc/self/exe") ?? beginningOf(process.execPath),
    bytecode,
  });
  const { picker, reason } = openPicker(ScoreTable.create({ targetsMax: 1, modelsMax: 1, workersMax: 1 }));
  const files = judgeKernelFiles({ proc: existsSync("/proc/self/stat"), sys: existsSync("/sys/class") });
  return [executable, judgeScorer({ kind: picker.kind, reason }), files];
}

function beginningOf(path: string): boolean | undefined {
  const bytes = new Uint8Array(4096);
  try {
    const fd = openSync(path, "r");
    try {
      return namesLoader(bytes.subarray(0, readSync(fd, bytes)));
    } finally {
      closeSync(fd);
    }
  } catch {
    return undefined;
  }
}

export function limitFindings({ role, workers, connectionsMax }: Subject, hasGpu: boolean): Finding[] {
  const limits = textOf("/proc/self/limits");
  const share = shareFacts(workers);
  const somaxconn = numberIn(textOf("/proc/sys/net/core/somaxconn"));
  return [
    judgeCpu(share),
    judgeMemory(share, role),
    judgeDescriptors(limitIn(limits, "Max open files"), descriptorsWanted(role, workers, connectionsMax)),
    judgeCore(limitIn(limits, "Max core file size")),
    judgeLocked(limitIn(limits, "Max locked memory"), hasGpu),
    ...(role === "agent" ? [] : [judgeBacklog(somaxconn, BACKLOG)]),
  ];
}

function shareFacts(workers: number): ShareFacts {
  const groups = groupFolders(cgroupIn(textOf("/proc/self/cgroup")));
  const least = (values: readonly (number | undefined)[]): number | undefined => {
    const told = values.filter((value) => value !== undefined);
    return told.length === 0 ? undefined : Math.min(...told);
  };
  return {
    coresMax: least([...groups.map((folder) => coresIn(textOf(join(folder, "cpu.max")))), coresOfFirstVersion()]),
    memoryBytesMax: least([
      ...groups.map((folder) => numberIn(textOf(join(folder, "memory.max")))),
      numberIn(textOf(join(CGROUPS, "memory/memory.limit_in_bytes"))),
    ]),
    memoryBytes: memoryIn(textOf("/proc/meminfo"), "MemTotal"),
    cores: availableParallelism(),
    workers,
  };
}

const CGROUPS = "/sys/fs/cgroup";
const DEPTH_MAX = 64;

/** The process's own and those above it, each of which may limit it. In a container its own is the root. */
function groupFolders(place: string | undefined): string[] {
  if (place === undefined) return [];
  const parts = place
    .split("/")
    .filter((part) => part !== "" && part !== "..")
    .slice(0, DEPTH_MAX);
  return [CGROUPS, ...parts.map((_, at) => join(CGROUPS, ...parts.slice(0, at + 1)))];
}

function coresOfFirstVersion(): number | undefined {
  const folder = join(CGROUPS, "cpu");
  const [quota, period] = ["cpu.cfs_quota_us", "cpu.cfs_period_us"].map((name) => numberIn(textOf(join(folder, name))));
  return quota === undefined || period === undefined || period === 0 ? undefined : quota / period;
}

/** What the kernel gives a socket that is opened as the node would open it. */
export async function udpFindings({ mesh }: Subject): Promise<Finding[]> {
  const wantedBytes = mesh.limits.receiveBufferBytes;
  const none = { onDatagram() {}, onDrain() {}, onUnreachable() {}, onFailure() {} };
  const udp = await Udp.open({ host: "127.0.0.1", port: 0 }, wantedBytes, none).catch(() => undefined);
  if (udp === undefined) return [judgeUdp({ obtainedBytes: undefined, wantedBytes })];
  try {
    const fd = udp.descriptor();
    const obtained = socketOption(fd, SO_RCVBUF);
    closeDescriptor(fd);
    return [judgeUdp({ obtainedBytes: obtained < 0 ? undefined : obtained, wantedBytes })];
  } finally {
    udp.close();
  }
}

export async function clockFindings(): Promise<Finding[]> {
  const [wallMs, steadyMs] = [Date.now(), performance.now()];
  await Bun.sleep(WATCHED_MS);
  const driftMs = Date.now() - wallMs - (performance.now() - steadyMs);
  return [judgeClock({ wallMs, shown: new Date(wallMs).toISOString(), driftMs, ...kernelClock() })];
}

const TIMEX_BYTES = 208;
const MAXERROR_AT = 24;
const STATUS_AT = 40;
const STA_UNSYNC = 0x40;

/** adjtimex(2) that changes nothing. */
function kernelClock(): Pick<ClockFacts, "isSynchronised" | "errorMsMax"> {
  const timex = new Uint8Array(new ArrayBuffer(TIMEX_BYTES));
  if ((openLibc()?.adjtimex(timex) ?? -1) < 0) return { isSynchronised: undefined, errorMsMax: undefined };
  const view = new DataView(timex.buffer);
  const isSynchronised = (view.getInt32(STATUS_AT, true) & STA_UNSYNC) === 0;
  return { isSynchronised, errorMsMax: Number(view.getBigInt64(MAXERROR_AT, true)) / 1000 };
}

function textOf(path: string): string {
  try {
    return readFileSync(path, "utf8");
  } catch {
    return "";
  }
}
