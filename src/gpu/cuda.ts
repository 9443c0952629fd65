/**
 * The CUDA driver's library, called directly: devices, memory, kernels from PTX, and the card's own clock. For a process of
 * its own (bench-process.ts): its calls block, and may hang or crash. What a card refuses is a CudaError.
 *
 * A context is made on one device and stays until the process ends, and with it all that was allocated in it.
 */
import { CString, type Pointer, ptr } from "bun:ffi";
import { BackendError } from "./backend.ts";
import { CUDA_NEEDS, CUDA_SYMBOLS, type CudaCall } from "./cuda-symbols.ts";
import { type OpenLibrary, openLibrary } from "./library.ts";
import { hasNvidiaDriver, nvidiaPaths } from "./nvidia.ts";
import { addressOf, cudaVersionOf, longOf, wordOf } from "./nvml-decode.ts";

/** An address in a card's memory. */
export type CudaMemory = number & { readonly memory: unique symbol };
export type CudaKernel = Pointer & { readonly kernel: unique symbol };
type CudaEvent = Pointer & { readonly event: unique symbol };

export type CudaParameter = { readonly u64: number } | { readonly u32: number };

export interface CudaLaunch {
  readonly kernel: CudaKernel;
  readonly grid: readonly [number, number, number];
  readonly threads: number;
  readonly parameters: readonly CudaParameter[];
}

export const ATTRIBUTE = {
  l2Bytes: 38,
  multiprocessors: 16,
  computeMajor: 75,
  computeMinor: 76,
} as const;

const SONAME = "libcuda.so.1";
/** CUjit_option: where the compiler writes what is wrong, and how much fits. */
const JIT_ERROR_LOG = 5;
const JIT_ERROR_LOG_BYTES = 6;
const LOG_BYTES = 4096;
const WORDS_CHARS_MAX = 100;
const DEVICES_MAX = 256;
const PARAMETERS_MAX = 8;
const OUT_OF_MEMORY = 2;
const NO_DEVICE = 100;

/** A call that the driver answered with a code. */
export class CudaError extends Error {
  readonly code: number;

  constructor(code: number, message: string) {
    super(message);
    this.name = "CudaError";
    this.code = code;
  }

  get isOutOfMemory(): boolean {
    return this.code === OUT_OF_MEMORY;
  }
}

export interface CudaWhere {
  /** The one library to open, in place of the well-known paths. */
  readonly libraryPath?: string | undefined;
  /** Stands before /proc, /sys and /dev. */
  readonly root?: string | undefined;
}

/** Throws a BackendError where there is no driver, or none that can be used. */
export function openCuda({ libraryPath, root = "" }: CudaWhere = {}): Cuda {
  if (!hasNvidiaDriver(root)) {
    throw new BackendError("absent", "no NVIDIA driver is loaded; load the kernel module nvidia (modprobe nvidia)");
  }
  const paths = libraryPath === undefined ? nvidiaPaths(SONAME) : [libraryPath];
  const library = openLibrary(paths, CUDA_SYMBOLS, CUDA_NEEDS);
  if ("trouble" in library) {
    const advice = "install the driver's compute libraries (libcuda1, nvidia-driver-cuda), or set their path";
    throw new BackendError(library.trouble, `libcuda can't be opened: ${library.message}; ${advice}`);
  }
  return new Cuda(library);
}

export class Cuda {
  readonly #library: OpenLibrary<typeof CUDA_SYMBOLS>;
  /** The first words of what a call writes. */
  readonly #words = new Uint32Array(new ArrayBuffer(16));
  readonly #more = new Uint32Array(new ArrayBuffer(16));
  readonly #values = new DataView(new ArrayBuffer(8 * PARAMETERS_MAX));
  readonly #pointers = new BigUint64Array(new ArrayBuffer(8 * PARAMETERS_MAX));
  #device = 0;

  constructor(library: OpenLibrary<typeof CUDA_SYMBOLS>) {
    this.#library = library;
    const code = this.#try("cuInit", 0);
    if (code === 0) return;
    const trouble = code === NO_DEVICE ? "absent" : "broken";
    const advice =
      code === NO_DEVICE ? "look at nvidia-smi and at CUDA_VISIBLE_DEVICES" : "look at dmesg and nvidia-smi";
    throw new BackendError(trouble, `${library.path}: ${this.#told("cuInit", code)}; ${advice}`);
  }

  /** The newest CUDA that the driver runs: "12.8". */
  get version(): string {
    this.#call("cuDriverGetVersion", this.#words);
    return cudaVersionOf(wordOf(this.#words, 0) ?? 0);
  }

  /** Makes a context on the GPU of this name; false where the driver knows of none. */
  use(uuid: string): boolean {
    this.#call("cuDeviceGetCount", this.#words);
    const count = Math.min(this.#words[0]!, DEVICES_MAX);
    for (let ordinal = 0; ordinal < count; ordinal += 1) {
      this.#call("cuDeviceGet", this.#words, ordinal);
      const device = this.#words[0]! | 0;
      if (this.#uuidOf(device) !== uuid) continue;
      this.#device = device;
      this.#call("cuDevicePrimaryCtxRetain", this.#words, device);
      this.#call("cuCtxSetCurrent", this.#pointer("cuDevicePrimaryCtxRetain"));
      return true;
    }
    return false;
  }

  attribute(which: keyof typeof ATTRIBUTE): number {
    this.#call("cuDeviceGetAttribute", this.#words, ATTRIBUTE[which], this.#device);
    return this.#words[0]! | 0;
  }

  get freeBytes(): number {
    this.#call("cuMemGetInfo_v2", this.#words, this.#more);
    return longOf(this.#words, 0) ?? 0;
  }

  allocate(bytes: number): CudaMemory {
    this.#call("cuMemAlloc_v2", this.#words, bytes);
    return this.#pointer("cuMemAlloc_v2") as number as CudaMemory;
  }

  free(memory: CudaMemory): void {
    this.#call("cuMemFree_v2", memory);
  }

  write(to: CudaMemory, from: Uint16Array | Float32Array): void {
    this.#call("cuMemcpyHtoD_v2", to, from, from.byteLength);
  }

  /** Waits for what was asked before. */
  read(to: Float32Array, from: CudaMemory): void {
    this.#call("cuMemcpyDtoH_v2", to, from, to.byteLength);
  }

  /** Has the driver compile PTX for the card; answers its kernels by name. */
  load(ptx: string, names: readonly string[]): CudaKernel[] {
    const image = new TextEncoder().encode(`${ptx}\0`);
    const log = new Uint8Array(new ArrayBuffer(LOG_BYTES));
    const options = new Int32Array([JIT_ERROR_LOG, JIT_ERROR_LOG_BYTES]);
    const values = new BigUint64Array([BigInt(ptr(log)), BigInt(LOG_BYTES)]);
    const code = this.#try("cuModuleLoadDataEx", this.#words, image, options.length, options, values);
    if (code !== 0) {
      const written = new TextDecoder().decode(log.subarray(0, Math.max(0, log.indexOf(0)))).trim();
      const first = written === "" ? "" : `: ${written.split("\n")[0]!.slice(0, 200)}`;
      throw new CudaError(code, this.#told("cuModuleLoadDataEx", code) + first);
    }
    const module = this.#pointer("cuModuleLoadDataEx");
    return names.map((name) => {
      this.#call("cuModuleGetFunction", this.#words, module, new TextEncoder().encode(`${name}\0`));
      return this.#pointer("cuModuleGetFunction") as CudaKernel;
    });
  }

  /** Asks for it; it runs when what was asked before has. */
  launch({ kernel, grid, threads, parameters }: CudaLaunch): void {
    const at = ptr(this.#values.buffer);
    for (const [index, parameter] of parameters.entries()) {
      if ("u64" in parameter) this.#values.setBigUint64(index * 8, BigInt(parameter.u64), true);
      else this.#values.setUint32(index * 8, parameter.u32, true);
      this.#pointers[index] = BigInt(at + index * 8);
    }
    const [x, y, z] = grid;
    this.#call("cuLaunchKernel", kernel, x, y, z, threads, 1, 1, 0, null, this.#pointers, null);
  }

  /** Waits until the card has done all; what failed there is told here. */
  finish(): void {
    this.#call("cuCtxSynchronize");
  }

  makeEvent(): CudaEvent {
    this.#call("cuEventCreate", this.#words, 0);
    return this.#pointer("cuEventCreate") as CudaEvent;
  }

  /** Milliseconds by the card's clock of what `work` asks for; waits for it. */
  time(work: () => void, [from, to]: readonly [CudaEvent, CudaEvent]): number {
    this.#call("cuEventRecord", from, null);
    work();
    this.#call("cuEventRecord", to, null);
    this.#call("cuEventSynchronize", to);
    this.#call("cuEventElapsedTime", this.#words, from, to);
    return new Float32Array(this.#words.buffer, 0, 1)[0]!;
  }

  #uuidOf(device: number): string {
    const bytes = new Uint8Array(new ArrayBuffer(16));
    const name = this.#library.missing.includes("cuDeviceGetUuid_v2") ? "cuDeviceGetUuid" : "cuDeviceGetUuid_v2";
    this.#call(name, bytes, device);
    return `GPU-${bytes.toHex().replace(/^(.{8})(.{4})(.{4})(.{4})(.{12})$/, "$1-$2-$3-$4-$5")}`;
  }

  #call(name: CudaCall, ...args: readonly unknown[]): void {
    const code = this.#try(name, ...args);
    if (code !== 0) throw new CudaError(code, this.#told(name, code));
  }

  #try(name: CudaCall, ...args: readonly unknown[]): number {
    const call = this.#library.calls[name] as ((...all: readonly unknown[]) => number) | undefined;
    if (call === undefined)
      throw new BackendError("broken", `${this.#library.path} has no ${name}; upgrade the driver`);
    return call(...args);
  }

  #pointer(from: CudaCall): Pointer {
    const address = addressOf(this.#words, 0);
    if (address === undefined)
      throw new BackendError("broken", `${this.#library.path}: ${from} answered 0 and nothing else`);
    return address as Pointer;
  }

  /** "cuMemAlloc_v2 answered 2, CUDA_ERROR_OUT_OF_MEMORY (out of memory)" */
  #told(name: CudaCall, code: number): string {
    const words = ["cuGetErrorName", "cuGetErrorString"] as const;
    const [symbol, text] = words.map((which) => {
      const isTold = this.#library.calls[which]?.(code, this.#more) === 0;
      const at = isTold ? addressOf(this.#more, 0) : undefined;
      // A text of the library's own, which stays.
      return at === undefined ? "" : new CString(at).slice(0, WORDS_CHARS_MAX);
    });
    return `${name} answered ${code}${symbol ? `, ${symbol}` : ""}${text ? ` (${text})` : ""}`;
  }
}
