/**
 * Who a process is that uses a GPU: its command and its container, of /proc/PID/comm and /proc/PID/cgroup.
 *
 * A driver tells processes by numbers of the machine, or of the asker's namespace where it is new enough. So in a pid
 * namespace of one's own a number may be of somebody else here: then a process counts only if it has a device of a GPU
 * open, which takes the right to look at its descriptors; else nothing is said of it.
 */
import { readFileSync, readdirSync, readlinkSync } from "node:fs";

export interface ProcessOwner {
  readonly command?: string | undefined;
  /** The 64 hexadecimal digits of the container's id. */
  readonly container?: string | undefined;
}

const NOBODY: ProcessOwner = {};
/** The number of the namespace that a machine's first process is in, the same in every Linux. */
const FIRST_NAMESPACE = "pid:[4026531836]";
const GPU_DEVICE = /^\/dev\/(?:nvidia|kfd|dri\/)/;
const FILE_BYTES_MAX = 64 * 1024;

/** Who the processes of one look are: a process that uses eight GPUs is looked up once. */
export class ProcessOwners {
  readonly #proc: string;
  readonly #isFirstNamespace: boolean;
  readonly #known = new Map<number, ProcessOwner>();

  constructor(root = "") {
    this.#proc = `${root}/proc`;
    this.#isFirstNamespace = isFirstNamespace(this.#proc);
  }

  /** Forgets what it knows: numbers of processes are used again. */
  begin(): void {
    this.#known.clear();
  }

  of(pid: number): ProcessOwner {
    const known = this.#known.get(pid);
    if (known !== undefined) return known;
    const owner = this.#look(pid);
    this.#known.set(pid, owner);
    return owner;
  }

  /** Of a number that is the machine's whoever asks: in another namespace it may be somebody else's. */
  ofMachine(pid: number): ProcessOwner {
    return this.#isFirstNamespace ? this.of(pid) : NOBODY;
  }

  #look(pid: number): ProcessOwner {
    if (!Number.isInteger(pid) || pid <= 0) return NOBODY;
    const folder = `${this.#proc}/${pid}`;
    if (!this.#isFirstNamespace && !hasGpuOpen(folder)) return NOBODY;
    const command = textOf(`${folder}/comm`)?.trim();
    const cgroups = textOf(`${folder}/cgroup`);
    return {
      command: command === "" ? undefined : command,
      container: cgroups === undefined ? undefined : containerOf(cgroups),
    };
  }
}

/** All processes of the machine are in `proc`, by their own numbers. */
export function isFirstNamespace(proc: string): boolean {
  return linkOf(`${proc}/self/ns/pid`) === FIRST_NAMESPACE;
}

/**
 * The container's id in /proc/PID/cgroup, whose last part is a name such as "docker-<id>.scope", "cri-containerd-<id>",
 * or the id itself. The innermost one counts: a container may run in another.
 */
export function containerOf(cgroups: string): string | undefined {
  return cgroups
    .slice(0, FILE_BYTES_MAX)
    .match(/(?<![0-9a-f])[0-9a-f]{64}(?![0-9a-f])/g)
    ?.at(-1);
}

function hasGpuOpen(folder: string): boolean {
  try {
    return readdirSync(`${folder}/fd`).some((fd) => GPU_DEVICE.test(linkOf(`${folder}/fd/${fd}`)));
  } catch {
    return false;
  }
}

function linkOf(path: string): string {
  try {
    return readlinkSync(path);
  } catch {
    return "";
  }
}

function textOf(path: string): string | undefined {
  try {
    return readFileSync(path, "utf8");
  } catch {
    return undefined;
  }
}
