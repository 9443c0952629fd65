/**
 * GPUs by the kernel's own files: AMD's (amdgpu) and Intel's (i915, xe). Needs no library, so it works on every Linux, and
 * reads nothing that takes long or wakes a sleeping card.
 *
 * A card whose files are gone, or that mostly answers with errors, is left out and asks for a look at identities; that look
 * lists the cards anew. Where none is left there is a BackendError.
 *
 * Limits: 64 cards; the others' limits are in drm-clients.ts and kfd.ts. See DESIGN.md.
 */
import { existsSync } from "node:fs";
import type { GpuFault, GpuGroup, GpuProcess, GpuStack, GpuUpdate, GpuVendor } from "../health/reading.ts";
import { BackendError, type GpuBackend, OR_NONE } from "./backend.ts";
import { DrmClients } from "./drm-clients.ts";
import { kfdNodes, kfdProcesses, processesOn, type KfdNode } from "./kfd.ts";
import { ProcessOwners } from "./process-owner.ts";
import { SysfsAmd, amdProcesses } from "./sysfs-amd.ts";
import { type Card, isAsleep, listCards } from "./sysfs-cards.ts";
import { KernelFolder, LookCount } from "./sysfs-folder.ts";
import { SysfsIntel } from "./sysfs-intel.ts";

interface SysfsWhere {
  readonly vendors: readonly GpuVendor[];
  /** Stands before /sys and /proc. */
  readonly root?: string | undefined;
}

interface Reader {
  readonly reader: SysfsAmd | SysfsIntel;
  readonly count: LookCount;
}

interface Gpu extends Reader {
  readonly uuid: string;
  /** Among those of its vendor. */
  readonly index: number;
}

/** Throws a BackendError where it can't serve. */
export function openSysfs({ vendors, root = "" }: SysfsWhere): GpuBackend {
  return new SysfsBackend(vendors, root);
}

class SysfsBackend implements GpuBackend {
  readonly stack: GpuStack;
  readonly #vendors: readonly GpuVendor[];
  readonly #sys: string;
  readonly #clients: DrmClients;
  readonly #owners: ProcessOwners;
  #gpus: Gpu[] = [];
  #listed = "";
  #nodes: ReadonlyMap<string, KfdNode> = new Map();
  #isRollDue = false;

  constructor(vendors: readonly GpuVendor[], root: string) {
    this.#vendors = vendors;
    this.#sys = `${root}/sys`;
    this.#clients = new DrmClients(root);
    this.#owners = new ProcessOwners(root);
    this.#attach(listCards(this.#sys, vendors));
    const [first] = this.#gpus;
    if (first === undefined) throw this.#nothing();
    const driver = first.reader.card.driver;
    this.stack = {
      backend: "sysfs",
      source: `${this.#sys}/class/drm`,
      // Of a driver that came with the kernel there is the kernel's.
      driverVersion:
        new KernelFolder(`${this.#sys}/module/${driver}`).text("version") ??
        new KernelFolder(`${root}/proc/sys/kernel`).text("osrelease"),
    };
  }

  get isRollDue(): boolean {
    return this.#isRollDue;
  }

  read(groups: ReadonlySet<GpuGroup>, nowMs: number): GpuUpdate[] {
    if (groups.has("identity")) this.#roll();
    this.#owners.begin();
    // All processes are looked at for the traffic; for the load of Intel's it is enough to read those that are known.
    const isReckoned = groups.has("load") && this.#gpus.some(({ reader }) => reader instanceof SysfsIntel);
    if (groups.has("traffic")) this.#clients.scan(nowMs);
    else if (isReckoned) this.#clients.refresh(nowMs);
    const ofCompute = groups.has("traffic") && this.#nodes.size > 0 ? kfdProcesses(this.#sys) : undefined;
    const updates: GpuUpdate[] = [];
    for (const gpu of this.#gpus) {
      const update = this.#readGpu(gpu, groups, nowMs, ofCompute);
      if (update === undefined) this.#lose(gpu);
      else updates.push(update);
    }
    if (this.#gpus.length === 0) throw this.#nothing();
    return updates;
  }

  /** The kernel tells of none in its files. */
  faults(): GpuFault[] {
    return [];
  }

  close(): void {
    this.#gpus = [];
  }

  #roll(): void {
    this.#isRollDue = false;
    const cards = listCards(this.#sys, this.#vendors);
    if (keysOf(cards) !== this.#listed || cards.length !== this.#gpus.length) this.#attach(cards);
  }

  /** Those that are here already go on as they are, so that their counters do. */
  #attach(cards: readonly Card[]): void {
    this.#listed = keysOf(cards);
    this.#nodes = kfdNodes(this.#sys);
    const counts = new Map<GpuVendor, number>();
    const uuids = new Set<string>();
    const before = new Map(this.#gpus.map((gpu) => [keyOf(gpu.reader.card), gpu]));
    this.#gpus = cards.flatMap((card) => {
      const index = counts.get(card.vendor) ?? 0;
      counts.set(card.vendor, index + 1);
      const known = before.get(keyOf(card)) ?? firstLook(card);
      if (known === undefined) return [];
      // Two cards of one number can't be told apart by it.
      const own = known.reader.uuid();
      const uuid = uuids.has(own) ? `${card.vendor}-${card.pciAddress}` : own;
      uuids.add(uuid);
      return [{ ...known, uuid, index }];
    });
  }

  /** Undefined for one that is gone. */
  #readGpu(
    { uuid, index, reader, count }: Gpu,
    groups: ReadonlySet<GpuGroup>,
    nowMs: number,
    ofCompute: ReturnType<typeof kfdProcesses>,
  ): GpuUpdate | undefined {
    const { device, pciAddress } = reader.card;
    const update: { -readonly [K in keyof GpuUpdate]: GpuUpdate[K] } = { uuid };
    const isAwake = !isAsleep(device);
    const use = this.#clients.of(pciAddress);
    const whole = this.#clients.isWholeOf(pciAddress) ? use : undefined;
    if (reader instanceof SysfsAmd) {
      const node = this.#nodes.get(pciAddress);
      if (groups.has("identity")) update.identity = reader.identity(index, node, isAwake);
      if (groups.has("load")) update.load = isAwake ? counted(count, () => reader.load()) : {};
      if (groups.has("traffic")) {
        const pids = ofCompute === undefined ? undefined : processesOn(node?.gpuIds ?? [], ofCompute);
        const processes = pids === undefined && whole === undefined ? undefined : amdProcesses(pids, use.clients);
        update.traffic = { ...(isAwake ? reader.traffic(nowMs) : {}), processes: this.#named(processes, pids) };
      }
      if (groups.has("wear")) update.wear = isAwake ? reader.wear() : {};
    } else {
      if (groups.has("identity")) update.identity = reader.identity(index, isAwake);
      if (groups.has("load")) update.load = isAwake ? counted(count, () => reader.load(nowMs, whole)) : {};
      if (groups.has("traffic")) {
        update.traffic = { ...(isAwake ? reader.traffic() : {}), processes: this.#named(whole?.clients) };
      }
    }
    const isLost = update.load !== undefined && isAwake && count.isLost;
    return isLost || !existsSync(device) ? undefined : update;
  }

  /** `ofMachine` are those whose numbers are the compute driver's, which are the machine's. */
  #named(
    processes: readonly GpuProcess[] | undefined,
    ofMachine?: ReadonlyMap<number, unknown>,
  ): readonly GpuProcess[] | undefined {
    return processes?.map(({ pid, memoryBytes, utilization }) => ({
      pid,
      memoryBytes,
      utilization,
      ...(ofMachine?.has(pid) === true ? this.#owners.ofMachine(pid) : this.#owners.of(pid)),
    }));
  }

  /** Leaves one out: it is missing in the next look at identities. */
  #lose(gpu: Gpu): void {
    this.#gpus = this.#gpus.filter((other) => other !== gpu);
    this.#isRollDue = true;
  }

  #nothing(): BackendError {
    const whose = this.#vendors.join(" or ");
    if (this.#listed !== "") {
      return new BackendError(
        "lost",
        "no GPU is left that answers; look at dmesg, and reset it or restart the machine",
      );
    }
    return new BackendError(
      "absent",
      `${this.#sys}/class/drm has no GPU of ${whose}; look at lspci -k and dmesg${OR_NONE}`,
    );
  }
}

/** Undefined for one that does not answer, as after it fell off the bus: its files stay. One that sleeps is not asked. */
function firstLook(card: Card): Reader | undefined {
  if (isAsleep(card.device)) return readerOf(card);
  const { reader, count } = readerOf(card);
  counted(count, () => (reader instanceof SysfsAmd ? reader.load() : reader.load(0, undefined)));
  return count.isLost ? undefined : readerOf(card);
}

function readerOf(card: Card): Reader {
  const count = new LookCount();
  const device = new KernelFolder(card.device, count);
  const reader =
    card.vendor === "amd"
      ? new SysfsAmd(card, device)
      : new SysfsIntel(card, device, new KernelFolder(card.node, count));
  return { reader, count };
}

/** What changes from moment to moment comes of the card itself; names and the like are in the driver's memory. */
function counted<T>(count: LookCount, read: () => T): T {
  count.begin();
  return read();
}

function keyOf({ pciAddress, driver, node }: Card): string {
  return `${pciAddress} ${driver} ${node}`;
}

function keysOf(cards: readonly Card[]): string {
  return cards.map(keyOf).join();
}
