/** Who uses a GPU, with how much memory and how busily: read every five seconds. */
import type { GpuProcess } from "../health/reading.ts";
import { RC } from "./nvml-codes.ts";
import { PROCESS_BYTES_MAX, PROCESS_FILL, longOf, processStride, shareOf, wordOf } from "./nvml-decode.ts";
import type { NvmlDevice } from "./nvml-device.ts";
import type { LIST_CALLS } from "./nvml-symbols.ts";
import type { ProcessOwners } from "./process-owner.ts";

const ENTRIES_MIN = 256;
const ENTRIES_MAX = 1024;
/** Each by the newest name that the library has. */
const LISTS: readonly (readonly ListCall[])[] = [
  ["nvmlDeviceGetComputeRunningProcesses_v3", "nvmlDeviceGetComputeRunningProcesses_v2"],
  ["nvmlDeviceGetGraphicsRunningProcesses_v3", "nvmlDeviceGetGraphicsRunningProcesses_v2"],
  ["nvmlDeviceGetMPSComputeRunningProcesses_v3", "nvmlDeviceGetMPSComputeRunningProcesses_v2"],
];
const SAMPLE_WORDS = 8;
const FILL_WORD = PROCESS_FILL * 0x0101_0101;
const UTILIZATION = "nvmlDeviceGetProcessUtilization";

type ListCall = keyof typeof LIST_CALLS;

interface Found {
  pid: number;
  gpuInstance: number | undefined;
  memoryBytes: number | undefined;
}

/** Room for a list, one for all GPUs; it grows to its limit where a driver asks for more. */
export class ProcessBuffer {
  readonly count = new Uint32Array(new ArrayBuffer(8));
  bytes: Uint8Array<ArrayBuffer> = new Uint8Array(new ArrayBuffer(ENTRIES_MIN * PROCESS_BYTES_MAX));
  words: Uint32Array<ArrayBuffer> = new Uint32Array(this.bytes.buffer);

  get entries(): number {
    return this.bytes.length / PROCESS_BYTES_MAX;
  }

  /** Whether there is more room than before. */
  grow(entries: number): boolean {
    if (this.entries >= ENTRIES_MAX || entries <= this.entries) return false;
    // Twice what is asked for: there may be more processes by the time that it is asked again.
    const buffer = new ArrayBuffer(Math.min(entries * 2, ENTRIES_MAX) * PROCESS_BYTES_MAX);
    this.bytes = new Uint8Array(buffer);
    this.words = new Uint32Array(buffer);
    return true;
  }
}

export class NvmlProcesses {
  readonly #device: NvmlDevice;
  readonly #buffer: ProcessBuffer;
  readonly #owners: ProcessOwners;
  /** Of the newest sample of utilisation, in the driver's microseconds. */
  #seenUs = 0;

  constructor(device: NvmlDevice, buffer: ProcessBuffer, owners: ProcessOwners) {
    this.#device = device;
    this.#buffer = buffer;
    this.#owners = owners;
  }

  /** Undefined where no list can be had. */
  read(): GpuProcess[] | undefined {
    const found = new Map<string, Found>();
    let isKnown = false;
    const { calls } = this.#device.session;
    for (const names of LISTS) {
      const list = names.find((name) => calls[name] !== undefined);
      if (list !== undefined) isKnown = this.#list(list, found) || isKnown;
    }
    if (!isKnown) return undefined;
    const shares = this.#utilization();
    return [...found.values()].map(({ pid, gpuInstance, memoryBytes }) => {
      const { command, container } = this.#owners.of(pid);
      return { pid, memoryBytes, utilization: shares.get(pid), gpuInstance, command, container };
    });
  }

  /** One that computes and draws stands in two lists, with the same memory. */
  #list(name: ListCall, found: Map<string, Found>): boolean {
    if (!this.#ask(name)) return false;
    const { bytes, words, entries } = this.#buffer;
    const count = Math.min(this.#buffer.count[0] as number, entries);
    const stride = processStride(bytes, count) / 4;
    for (let at = 0; at < count * stride; at += stride) {
      const pid = wordOf(words, at);
      // Of more entries than were written, the rest is our own fill.
      if (pid === undefined || pid === 0 || pid === FILL_WORD) continue;
      const gpuInstance = wordOf(words, at + 4);
      const memoryBytes = longOf(words, at + 2);
      const key = `${pid} ${gpuInstance}`;
      const known = found.get(key);
      if (known === undefined) found.set(key, { pid, gpuInstance, memoryBytes });
      else known.memoryBytes ??= memoryBytes;
    }
    return true;
  }

  #ask(name: ListCall): boolean {
    const device = this.#device;
    const call = device.session.calls[name];
    if (call === undefined || device.isQuiet(name)) return false;
    return this.#fill(name, PROCESS_FILL, ({ bytes, count }) => call(device.handle, count, bytes));
  }

  /** Asks again where there is more than there was room for. */
  #fill(name: string, byte: number, call: (buffer: ProcessBuffer) => number): boolean {
    const buffer = this.#buffer;
    for (;;) {
      buffer.bytes.fill(byte);
      buffer.count[0] = buffer.entries;
      const rc = call(buffer);
      if (rc === RC.smallBuffer && buffer.grow(buffer.count[0])) continue;
      return this.#device.heard(name, rc);
    }
  }

  /** Of the newest sample of each process since the last look; one without a sample was idle or is not told of. */
  #utilization(): Map<number, number> {
    const shares = new Map<number, number>();
    const device = this.#device;
    const call = device.session.calls[UTILIZATION];
    if (call === undefined || device.isQuiet(UTILIZATION)) return shares;
    const isThere = this.#fill(UTILIZATION, 0xff, ({ bytes, count }) =>
      call(device.handle, bytes, count, this.#seenUs),
    );
    if (!isThere) return shares;
    const { words, count, entries } = this.#buffer;
    const newest = new Map<number, number>();
    const end = Math.min(count[0] as number, entries) * SAMPLE_WORDS;
    for (let at = 0; at < end; at += SAMPLE_WORDS) {
      const pid = wordOf(words, at);
      const atUs = longOf(words, at + 2);
      const share = shareOf(wordOf(words, at + 4));
      if (pid === undefined || pid === 0 || atUs === undefined || atUs === 0 || share === undefined) continue;
      if (atUs < (newest.get(pid) ?? 0)) continue;
      newest.set(pid, atUs);
      shares.set(pid, share);
      if (atUs > this.#seenUs) this.#seenUs = atUs;
    }
    return shares;
  }
}
