/**
 * AMD's GPUs by librocm_smi64, called directly.
 *
 * Nothing is asked of the library but its count until it was initialised, and of no GPU beyond that count: it would crash.
 * Where it can't be initialised there is no GPU for it, and another backend may find one. What it prints on standard error
 * is its own. A GPU whose files are gone, or that mostly answers with errors, is left out and asks for a look at identities;
 * that look initialises the library anew where GPUs came or went, and for one that is lost with pauses of 1 to 10 minutes.
 *
 * Limits: 64 GPUs, 1,024 processes. See DESIGN.md.
 */
import { existsSync, readdirSync } from "node:fs";
import type { GpuFault, GpuGroup, GpuProcess, GpuStack, GpuUpdate } from "../health/reading.ts";
import { GPUS_MAX } from "../health/shape.ts";
import { BackendError, type GpuBackend, OR_NONE } from "./backend.ts";
import { addressOf } from "./kernel-text.ts";
import { type KfdNode, kfdNodes, kfdProcesses, processesOn } from "./kfd.ts";
import { openLibrary } from "./library.ts";
import { ProcessOwners } from "./process-owner.ts";
import { RSMI_OK, rsmiAnswered } from "./rocm-codes.ts";
import { RocmDevice, RocmSession } from "./rocm-device.ts";
import { RocmGpu, hexOf } from "./rocm-gpu.ts";
import { ROCM_NEEDS, ROCM_SYMBOLS } from "./rocm-symbols.ts";
import { amdUuid } from "./sysfs-amd.ts";
import { type Card, isAsleep, listCards } from "./sysfs-cards.ts";
import { LookCount } from "./sysfs-folder.ts";

const SONAME = /^librocm_smi64\.so(?:\.\d{1,3})?$/;
const FOLDERS = [
  `/usr/lib/${process.arch === "arm64" ? "aarch64" : "x86_64"}-linux-gnu`,
  "/usr/lib64",
  "/usr/lib",
  "/usr/local/lib",
];

const PAUSE_MIN_MS = 60_000;
const PAUSE_MAX_MS = 600_000;

interface RocmWhere {
  /** The one library to open, in place of the well-known paths. */
  readonly libraryPath?: string | undefined;
  /** Stands before /sys and /proc for what is read beside the library, which reads the machine's own. */
  readonly root?: string | undefined;
}

interface Gpu {
  readonly uuid: string;
  readonly gpu: RocmGpu;
  readonly count: LookCount;
}

/** Throws a BackendError where it can't serve. */
export function openRocm(where: RocmWhere = {}): GpuBackend {
  const root = where.root ?? "";
  if (listCards(`${root}/sys`, ["amd"]).length === 0) {
    throw new BackendError(
      "absent",
      `${root}/sys/class/drm has no GPU that the driver amdgpu serves; load it (modprobe amdgpu)${OR_NONE}`,
    );
  }
  const paths = where.libraryPath === undefined ? libraryPaths() : [where.libraryPath];
  const library = openLibrary(paths, ROCM_SYMBOLS, ROCM_NEEDS);
  if ("trouble" in library) {
    throw new BackendError(
      library.trouble,
      `librocm_smi64 can't be opened: ${library.message}; install rocm-smi-lib, set its path, or set --gpu sysfs`,
    );
  }
  return new RocmBackend(new RocmSession(library.path, library.calls), root);
}

class RocmBackend implements GpuBackend {
  readonly stack: GpuStack;
  readonly #session: RocmSession;
  readonly #root: string;
  readonly #owners: ProcessOwners;
  #gpus: Gpu[] = [];
  #nodes: ReadonlyMap<string, KfdNode> = new Map();
  #listed = "";
  /** One that was there does not answer. */
  #isOneLost = false;
  #isRollDue = false;
  #isOpen = false;
  /** When it was initialised anew last for one that is lost, and how long not again. */
  #triedAtMs = -Infinity;
  #pauseMs = 0;

  constructor(session: RocmSession, root: string) {
    this.#session = session;
    this.#root = root;
    this.#owners = new ProcessOwners(root);
    this.#attach();
    if (this.#gpus.length === 0) {
      this.close();
      throw new BackendError("absent", `${session.path} knows of no GPU; look at lspci and dmesg, or set --gpu sysfs`);
    }
    this.stack = {
      backend: "rocm",
      source: session.path,
      driverVersion: session.driverVersion(),
      libraryVersion: session.version(),
    };
  }

  get isRollDue(): boolean {
    return this.#isRollDue;
  }

  read(groups: ReadonlySet<GpuGroup>, nowMs: number): GpuUpdate[] {
    if (!this.#isOpen) throw new BackendError("broken", `${this.#session.path} was closed; open it anew`);
    if (groups.has("identity")) this.#roll(nowMs);
    this.#owners.begin();
    const ofCompute = groups.has("traffic") ? kfdProcesses(`${this.#root}/sys`) : undefined;
    const updates: GpuUpdate[] = [];
    for (const [index, one] of this.#gpus.entries()) {
      const update = this.#readGpu(one, index, groups, nowMs, ofCompute);
      if (update === undefined) this.#lose(one);
      else updates.push(update);
    }
    if (this.#gpus.length === 0) {
      this.close();
      throw new BackendError(
        "lost",
        "no AMD GPU is left that answers; look at dmesg, and reset it or restart the machine",
      );
    }
    return updates;
  }

  /** The library tells of none that is not in the counters of errors. */
  faults(): GpuFault[] {
    return [];
  }

  close(): void {
    if (!this.#isOpen) return;
    this.#isOpen = false;
    this.#gpus = [];
    this.#session.calls.rsmi_shut_down?.();
  }

  #roll(nowMs: number): void {
    this.#isRollDue = false;
    const isChanged = keysOf(this.#cards()) !== this.#listed;
    if (!isChanged && !(this.#isOneLost && this.#isTryDue(nowMs))) return;
    const before = this.#gpus;
    this.close();
    this.#attach(before);
  }

  /** To initialise it costs all GPUs: for one that stays lost, or is lost again and again, that is done ever seldomer. */
  #isTryDue(nowMs: number): boolean {
    const passedMs = nowMs - this.#triedAtMs;
    if (passedMs < this.#pauseMs) return false;
    const isCalm = passedMs > 2 * PAUSE_MAX_MS;
    this.#pauseMs = isCalm ? PAUSE_MIN_MS : Math.min(2 * this.#pauseMs, PAUSE_MAX_MS);
    this.#triedAtMs = nowMs;
    return true;
  }

  #cards(): Card[] {
    return listCards(`${this.#root}/sys`, ["amd"]);
  }

  /** Those of `before` that are here go on as they are, so that their counters do. */
  #attach(before: readonly Gpu[] = []): void {
    const { calls, path } = this.#session;
    const rc = calls.rsmi_init?.(0) ?? -1;
    if (rc !== RSMI_OK) {
      throw new BackendError("absent", `${path}: ${rsmiAnswered("rsmi_init", rc)}; set --gpu sysfs to do without it`);
    }
    this.#isOpen = true;
    const answer = this.#session.count();
    if ("rc" in answer) {
      this.close();
      throw new BackendError("broken", `${path}: ${rsmiAnswered("rsmi_num_monitor_devices", answer.rc)}`);
    }
    const cards = this.#cards();
    this.#listed = keysOf(cards);
    this.#nodes = kfdNodes(`${this.#root}/sys`);
    this.#isOneLost = false;
    const uuids = new Set<string>();
    this.#gpus = [];
    for (let index = 0; index < Math.min(answer.count, GPUS_MAX); index += 1) {
      const found = this.#made(index, cards, uuids);
      if (found === undefined) continue;
      const known = before.find(({ uuid, gpu }) => uuid === found.uuid && keyOf(gpu.card) === keyOf(found.gpu.card));
      known?.gpu.meet(index);
      const gpu = known ?? found;
      uuids.add(gpu.uuid);
      this.#gpus.push(gpu);
    }
  }

  /** Undefined for one that has no card, or does not answer. */
  #made(index: number, cards: readonly Card[], uuids: ReadonlySet<string>): Gpu | undefined {
    const count = new LookCount();
    const device = new RocmDevice(this.#session, index, count);
    const place = device.halves("rsmi_dev_pci_id_get");
    // Of the low half the upper bits are the partition's number, which may also stand for the function's.
    const addresses =
      place === undefined ? [] : [place[0] & 0xffff, place[0] & 0xfff8].map((low) => addressOf(place[1], low));
    const card = cards.find(({ pciAddress }) => addresses.includes(pciAddress));
    if (card === undefined) return undefined;
    count.begin();
    if (!isAsleep(card.device)) new RocmGpu(device, card).load();
    if (count.isLost) {
      this.#isOneLost = true;
      return undefined;
    }
    const own = amdUuid(hexOf(device.halves("rsmi_dev_unique_id_get")), card.pciAddress);
    // Partitions of one card have its number.
    const uuid = uuids.has(own) ? `${own}-${index}` : own;
    return { uuid, gpu: new RocmGpu(new RocmDevice(this.#session, index, count), card), count };
  }

  /** Undefined for one that is gone. */
  #readGpu(
    { uuid, gpu, count }: Gpu,
    index: number,
    groups: ReadonlySet<GpuGroup>,
    nowMs: number,
    ofCompute: ReturnType<typeof kfdProcesses>,
  ): GpuUpdate | undefined {
    if (!existsSync(gpu.card.device)) return undefined;
    const isAwake = gpu.begin(nowMs);
    const node = this.#nodes.get(gpu.card.pciAddress);
    const update: { -readonly [K in keyof GpuUpdate]: GpuUpdate[K] } = { uuid };
    if (groups.has("load")) {
      count.begin();
      update.load = isAwake ? gpu.load() : {};
      if (count.isLost) return undefined;
    }
    if (groups.has("identity")) update.identity = gpu.identity(index, node);
    if (groups.has("traffic")) {
      const processes = this.#processes(node, ofCompute);
      update.traffic = isAwake ? gpu.traffic(nowMs, processes) : { processes };
    }
    if (groups.has("wear")) update.wear = isAwake ? gpu.wear() : {};
    return update;
  }

  #processes(node: KfdNode | undefined, ofCompute: ReturnType<typeof kfdProcesses>): GpuProcess[] | undefined {
    if (ofCompute === undefined) return undefined;
    const found = [...processesOn(node?.gpuIds ?? [], ofCompute)];
    return found.map(([pid, memoryBytes]) => ({ pid, memoryBytes, ...this.#owners.ofMachine(pid) }));
  }

  /** Leaves one out: it is missing in the next look at identities. */
  #lose(one: Gpu): void {
    this.#gpus = this.#gpus.filter((other) => other !== one);
    this.#isOneLost = true;
    this.#isRollDue = true;
  }
}

function keyOf({ pciAddress, node }: Card): string {
  return `${pciAddress} ${node}`;
}

function keysOf(cards: readonly Card[]): string {
  return cards.map(keyOf).join();
}

/** Where ROCm's packages put it, the newest first, and then where distributions do. */
function libraryPaths(): string[] {
  const byNewest = (a: string, b: string): number => b.localeCompare(a, "en", { numeric: true });
  const own = namesIn("/opt")
    .filter((name) => /^rocm(?:-[\d.]+)?$/.test(name))
    .sort(byNewest)
    .flatMap((name) => [`/opt/${name}/lib`, `/opt/${name}/lib64`]);
  const paths = [...own, ...FOLDERS].flatMap((folder) =>
    namesIn(folder)
      .filter((name) => SONAME.test(name))
      .sort(byNewest)
      .map((name) => `${folder}/${name}`),
  );
  return paths.length > 0 ? paths : FOLDERS.map((folder) => `${folder}/librocm_smi64.so.1`);
}

function namesIn(folder: string): string[] {
  try {
    return readdirSync(folder);
  } catch {
    return [];
  }
}
