/**
 * NVIDIA's GPUs by libnvidia-ml, its management library, called directly.
 *
 * Opens the library by well-known paths, and only where the driver is there. A GPU that is lost, or must be reset, is
 * left out of what is read and asks for a look at identities; the others go on. Half a minute later and from then on, a
 * look at identities initialises the library anew, since a GPU that was reset answers only to handles made after that.
 * Where the last GPU is lost, or the library answers to nothing, everything is given up by a BackendError.
 *
 * Limits: 64 GPUs, 64 MIG devices, links and 16 fans of one, 1,024 processes of one, 256 faults a look. See DESIGN.md.
 */
import { readdirSync } from "node:fs";
import type { GpuFault, GpuGroup, GpuStack, GpuUpdate } from "../health/reading.ts";
import { GPUS_MAX } from "../health/shape.ts";
import { BackendError, type GpuBackend, OR_NONE } from "./backend.ts";
import { openLibrary } from "./library.ts";
import { hasNvidiaDriver, nvidiaPaths } from "./nvidia.ts";
import { GpuGone, RC, answered, meaningOf } from "./nvml-codes.ts";
import { addressOf, cudaVersionOf, wordOf } from "./nvml-decode.ts";
import { NvmlDevice, NvmlSession } from "./nvml-device.ts";
import { NvmlEvents } from "./nvml-events.ts";
import { GpmBuffer } from "./nvml-gpm.ts";
import { NvmlGpu, type Shared } from "./nvml-gpu.ts";
import { readUuid } from "./nvml-identity.ts";
import { readMemory } from "./nvml-memory.ts";
import { ProcessBuffer } from "./nvml-processes.ts";
import { NVML_NEEDS, NVML_SYMBOLS } from "./nvml-symbols.ts";
import { ProcessOwners } from "./process-owner.ts";

/** How long a lost GPU is left alone before the library is initialised anew for it. */
const LOST_REST_MS = 30_000;
/** GPUs that can't be read of which it is told why. */
const TOLD_MAX = 4;
const SONAME = "libnvidia-ml.so.1";
interface NvmlWhere {
  /** The one library to open, in place of the well-known paths. */
  readonly libraryPath?: string | undefined;
  /** Stands before /proc, /sys and /dev. */
  readonly root?: string | undefined;
}

/** Throws a BackendError where it can't serve. */
export function openNvml(where: NvmlWhere = {}): GpuBackend {
  const root = where.root ?? "";
  // Looked at first: initialising the library as root makes device files, also where there is no driver.
  if (!hasNvidiaDriver(root)) {
    throw new BackendError(
      "absent",
      `no NVIDIA driver is loaded: neither ${root}/proc/driver/nvidia/version nor ${root}/sys/module/nvidia is there; ` +
        `load the kernel module nvidia${OR_NONE}`,
    );
  }
  const paths = where.libraryPath === undefined ? nvidiaPaths(SONAME) : [where.libraryPath];
  const library = openLibrary(paths, NVML_SYMBOLS, NVML_NEEDS);
  if ("trouble" in library) {
    throw new BackendError(
      library.trouble,
      `libnvidia-ml can't be opened: ${library.message}; install the driver's libraries, or set their path`,
    );
  }
  const session = new NvmlSession(library.path, library.calls);
  return new NvmlBackend(session, root);
}

class NvmlBackend implements GpuBackend {
  readonly stack: GpuStack;
  readonly #session: NvmlSession;
  readonly #root: string;
  readonly #events: NvmlEvents;
  readonly #shared: Shared;
  #gpus: NvmlGpu[] = [];
  /** As the library and the driver told when it was initialised. */
  #count = 0;
  #listed = "";
  /** The last loss of a GPU; NaN: all are there. */
  #lostAtMs = Number.NaN;
  #loss: GpuGone | undefined;
  #isRollDue = false;
  /** By index, why one that there is is left out. */
  readonly #left = new Map<number, string>();
  #faults: GpuFault[] = [];
  /** The set of events was given up: the next look makes another, without the GPUs that it finds to be lost. */
  #isDeaf = false;
  #isOpen = false;

  constructor(session: NvmlSession, root: string) {
    this.#session = session;
    this.#root = root;
    this.#events = new NvmlEvents(session);
    this.#shared = { gpm: new GpmBuffer(), processes: new ProcessBuffer(), owners: new ProcessOwners(root) };
    this.#initialise();
    try {
      this.stack = this.#readStack();
      this.#attach(0);
      if (this.#count === 0)
        throw new BackendError("absent", `${session.path} knows of no GPU; look at lspci and dmesg`);
    } catch (error) {
      this.close();
      throw error;
    }
  }

  get isRollDue(): boolean {
    return this.#isRollDue;
  }

  get note(): string {
    if (this.#left.size === 0) return "";
    const some = [...this.#left].slice(0, TOLD_MAX).map(([index, why]) => `GPU ${index}: ${why}`);
    return `${this.#left.size} of ${this.#count} GPUs can't be read (${some.join("; ")}); look at dmesg`;
  }

  read(groups: ReadonlySet<GpuGroup>, nowMs: number): GpuUpdate[] {
    if (!this.#isOpen) throw new BackendError("broken", `${this.#session.path} was closed; open it anew`);
    try {
      if (groups.has("identity")) this.#roll(nowMs);
      this.#shared.owners.begin();
      const updates: GpuUpdate[] = [];
      for (const gpu of this.#gpus) {
        try {
          updates.push(this.#withEvents(gpu, gpu.read(groups, nowMs)));
        } catch (error) {
          if (!(error instanceof GpuGone)) throw error;
          this.#lose(gpu, error, nowMs);
        }
      }
      if (this.#isDeaf || (groups.has("identity") && !this.#events.isWhole)) this.#watch();
      if (this.#gpus.length === 0 && this.#loss !== undefined)
        throw this.#session.trouble("no GPU is left: the last one", this.#loss.rc);
      return updates;
    } catch (error) {
      this.close();
      throw error;
    }
  }

  #withEvents(gpu: NvmlGpu, update: GpuUpdate): GpuUpdate {
    const { identity } = update;
    if (identity === undefined) return update;
    return { ...update, identity: { ...identity, reportsXids: this.#events.sees(gpu.device.handle) } };
  }

  faults(): GpuFault[] {
    const faults = this.#faults.splice(0);
    if (!this.#isOpen) return faults;
    const { faults: news, isBroken } = this.#events.take();
    if (isBroken) this.#events.free();
    this.#isDeaf ||= isBroken;
    return faults.concat(news);
  }

  close(): void {
    if (!this.#isOpen) return;
    this.#isOpen = false;
    this.#detach();
    this.#session.calls.nvmlShutdown?.();
  }

  #initialise(): void {
    const rc = this.#session.calls.nvmlInit_v2?.() ?? RC.noFunction;
    if (rc !== RC.ok) throw this.#session.trouble("nvmlInit_v2", rc);
    this.#isOpen = true;
  }

  #readStack(): GpuStack {
    const { calls, path } = this.#session;
    const words = this.#session.blank();
    const cuda = calls.nvmlSystemGetCudaDriverVersion_v2?.(words) === RC.ok ? wordOf(words, 0) : undefined;
    return {
      backend: "nvml",
      source: path,
      driverVersion: this.#session.text((bytes) => calls.nvmlSystemGetDriverVersion?.(bytes, 80) ?? RC.noFunction),
      libraryVersion: this.#session.text((bytes) => calls.nvmlSystemGetNVMLVersion?.(bytes, 80) ?? RC.noFunction),
      cudaVersion: cuda === undefined ? undefined : cudaVersionOf(cuda),
    };
  }

  /** Begins anew where GPUs came or went, or where one was lost a while ago. */
  #roll(nowMs: number): void {
    this.#isRollDue = false;
    // Lost at the opening, which knows no time.
    if (this.#lostAtMs === 0) this.#lostAtMs = nowMs;
    const isRested = nowMs - this.#lostAtMs >= LOST_REST_MS;
    if (!isRested && this.#countGpus() === this.#count && this.#listGpus() === this.#listed) return;
    this.#faults = this.#faults.concat(this.#events.take().faults);
    this.#detach();
    this.#session.calls.nvmlShutdown?.();
    this.#isOpen = false;
    this.#initialise();
    this.#attach(nowMs);
  }

  #detach(): void {
    this.#events.free();
    for (const gpu of this.#gpus) gpu.free();
    this.#gpus = [];
  }

  /** Handles of all GPUs that answer. Throws where there are some and none does. */
  #attach(nowMs: number): void {
    this.#count = this.#countGpus();
    this.#listed = this.#listGpus();
    this.#lostAtMs = Number.NaN;
    this.#loss = undefined;
    this.#left.clear();
    let refused: number | undefined;
    for (let index = 0; index < this.#count; index += 1) {
      const words = this.#session.blank();
      const name = "nvmlDeviceGetHandleByIndex_v2";
      const rc = this.#session.calls[name]?.(index, words) ?? RC.noFunction;
      const handle = rc === RC.ok ? addressOf(words, 0) : undefined;
      if (meaningOf(rc) === "over") throw this.#session.trouble(name, rc);
      if (handle === undefined) {
        refused = rc === RC.ok ? RC.unknown : rc;
        this.#left.set(index, answered(name, refused));
        if (meaningOf(rc) !== "none") this.#remember(new GpuGone(name, refused), nowMs);
        continue;
      }
      try {
        this.#gpus.push(this.#made(index, handle, nowMs));
      } catch (error) {
        if (!(error instanceof GpuGone)) throw error;
        refused = error.rc;
        this.#left.set(index, error.message);
        this.#remember(error, nowMs);
      }
    }
    if (this.#gpus.length === 0 && refused !== undefined)
      throw this.#session.trouble("no GPU can be read: one", refused);
    this.#watch();
  }

  #made(index: number, handle: number, nowMs: number): NvmlGpu {
    const device = new NvmlDevice(this.#session, handle, nowMs);
    // Names come of the library's own memory; this tells whether the GPU answers.
    readMemory(device);
    device.end();
    return new NvmlGpu(index, readUuid(device) ?? `nvidia-${index}`, device, this.#shared);
  }

  #remember(loss: GpuGone, nowMs: number): void {
    this.#loss = loss;
    this.#lostAtMs = nowMs;
  }

  /** Leaves one out: it is missing in the next look at identities. */
  #lose(gpu: NvmlGpu, loss: GpuGone, nowMs: number): void {
    gpu.free();
    this.#gpus = this.#gpus.filter((other) => other !== gpu);
    this.#left.set(gpu.index, loss.message);
    this.#remember(loss, nowMs);
    this.#isRollDue = true;
    this.#watch();
  }

  #watch(): void {
    this.#isDeaf = false;
    const left = this.#events.watch(this.#gpus.map(({ uuid, device }) => ({ uuid, handle: device.handle })));
    this.#faults = this.#faults.concat(left);
  }

  #countGpus(): number {
    const name = "nvmlDeviceGetCount_v2";
    const words = this.#session.blank();
    const rc = this.#session.calls[name]?.(words) ?? RC.noFunction;
    if (rc !== RC.ok) throw this.#session.trouble(name, rc);
    const count = wordOf(words, 0);
    if (count === undefined)
      throw new BackendError("broken", `${this.#session.path}: ${answered(name, rc)} and no count`);
    return Math.min(count, GPUS_MAX);
  }

  /** GPUs that the driver lists, of which the library learns when it is initialised. */
  #listGpus(): string {
    try {
      return readdirSync(`${this.#root}/proc/driver/nvidia/gpus`).sort().join();
    } catch {
      return "";
    }
  }
}
