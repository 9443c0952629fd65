/**
 * Measures one GPU: bandwidth of its memory, a matrix product on tensor cores, FP32 multiply-adds. Every kernel computes a
 * small task first, whose result is compared; one that is wrong is not measured. Times are the card's own (events).
 *
 * A kernel runs for a while, until clocks have risen and caches are as they will be, then again and again; the median
 * counts. Arrays are far larger than the L2 cache, so that it is memory that is measured.
 */
import {
  CHAIN_CHECK,
  MEMORY_CHECK_BYTES,
  PRODUCT_CHECK,
  chainSums,
  differenceOf,
  memoryTask,
  productTask,
} from "./bench-check.ts";
import type { BenchFigures } from "./bench-figures.ts";
import { BLOCK_BYTES, BLOCK_THREADS, CHAINS, CHAIN_STEPS, PLAIN_PTX } from "./bench-kernels.ts";
import { PRODUCT_PTX, PRODUCT_THREADS, TILE } from "./bench-product.ts";
import type { Cuda, CudaKernel, CudaLaunch, CudaMemory, CudaParameter } from "./cuda.ts";

const GIB = 2 ** 30;
const ARRAY_BYTES_MAX = GIB;
/** Arrays of this many L2 caches at least, else what is measured is partly the cache. */
const CACHES_MIN = 2;
/** Of the memory that is free. */
const FREE_SHARE = 0.8;
const PRODUCT_SIZES = [8192, 4096, 2048];
/** Rows of tiles whose blocks run side by side. */
const GROUP = 8;
/** Compute capability from which cards have what the product uses. */
const TENSOR_FROM = 80;
const CHAIN_LOOPS = 2000;
const CHAIN_BLOCKS_EACH = 8;
/** By the card's clock. */
const WARM_MS = 150;
const MEASURE_MS = 250;
/** Between two looks at the time. */
const BURN_MS = 200;
const RUNS_MAX = 40;
const RUNS_MIN = 5;

/** Why a GPU was not measured: what happened and what to do, in one line. */
export class BenchError extends Error {
  constructor(message: string) {
    super(message);
    this.name = "BenchError";
  }
}

/** The card, the driver or the kernel is not right. */
function wrongResult(kernel: string, difference: string): BenchError {
  return new BenchError(
    `the kernel ${kernel} computes wrong results (${difference}); nothing was measured, and the card should compute nothing ` +
      "else before it was looked at: see dmesg and ECC errors",
  );
}

function noRoom(freeBytes: number, neededBytes: number): BenchError {
  const mib = (bytes: number): string => `${Math.floor(bytes / 2 ** 20)} MiB`;
  return new BenchError(
    `${mib(freeBytes)} of the GPU's memory are free, and ${mib(neededBytes)} are needed; end what uses it`,
  );
}

export interface Runs {
  readonly warmMs?: number;
  readonly measureMs?: number;
}

/** The context is on the GPU already. */
export function measure(cuda: Cuda, runs: Runs = {}): BenchFigures {
  const names = ["infermesh_copy", "infermesh_triad", "infermesh_chain", "infermesh_fill"];
  const [copy, triad, chain, fill] = cuda.load(PLAIN_PTX, names) as [CudaKernel, CudaKernel, CudaKernel, CudaKernel];
  const bench = new Bench(cuda, fill, runs);
  checkMemory(cuda, copy, triad);
  checkChain(cuda, chain);
  const memory = bench.memory(copy, triad);
  const fp32Flops = bench.chain(chain);
  const product = bench.product();
  return { ...memory, ...product, fp32Flops, cudaVersion: cuda.version };
}

/** Keeps the GPU at work for so long: by matrix products, or FP32 arithmetic where it has no tensor cores for them. */
export function burn(cuda: Cuda, ms: number): void {
  const endMs = performance.now() + ms;
  const [chain, fill] = cuda.load(PLAIN_PTX, ["infermesh_chain", "infermesh_fill"]) as [CudaKernel, CudaKernel];
  const bench = new Bench(cuda, fill, { warmMs: 0, measureMs: BURN_MS });
  while (performance.now() < endMs) if (bench.product().tensorFlops === undefined) bench.chain(chain);
}

const u64 = (value: number): CudaParameter => ({ u64: value });
const u32 = (value: number): CudaParameter => ({ u32: value });

function over(kernel: CudaKernel, bytes: number, parameters: readonly CudaParameter[]): CudaLaunch {
  return { kernel, grid: [bytes / BLOCK_BYTES, 1, 1], threads: BLOCK_THREADS, parameters };
}

interface ProductArrays {
  readonly a: CudaMemory;
  readonly b: CudaMemory;
  readonly c: CudaMemory;
}

function productLaunch(
  kernel: CudaKernel,
  { a, b, c }: ProductArrays,
  size: { readonly m: number; readonly n: number; readonly k: number },
): CudaLaunch {
  const tiles = size.m / TILE;
  const across = tiles % GROUP === 0 ? GROUP : tiles;
  return {
    kernel,
    grid: [across, size.n / TILE, tiles / across],
    threads: PRODUCT_THREADS,
    parameters: [u64(c), u64(a), u64(b), u32(size.n), u32(size.k)],
  };
}

function checkMemory(cuda: Cuda, copy: CudaKernel, triad: CudaKernel): void {
  const task = memoryTask();
  const bytes = MEMORY_CHECK_BYTES;
  const [to, b, c] = allocate(cuda, [bytes, bytes, bytes]) as [CudaMemory, CudaMemory, CudaMemory];
  cuda.write(b, task.b);
  cuda.write(c, task.c);
  const check = (name: string, launch: CudaLaunch, expected: Float32Array): void => {
    cuda.launch(launch);
    compare(cuda, name, to, expected);
  };
  check("copy", over(copy, bytes, [u64(to), u64(b)]), task.b);
  check("triad", over(triad, bytes, [u64(to), u64(b), u64(c)]), task.triad);
  for (const memory of [to, b, c]) cuda.free(memory);
}

function checkChain(cuda: Cuda, kernel: CudaKernel): void {
  const expected = chainSums(CHAIN_CHECK);
  const to = cuda.allocate(expected.byteLength);
  const parameters = [u64(to), u32(CHAIN_CHECK.loops)];
  cuda.launch({ kernel, grid: [CHAIN_CHECK.blocks, 1, 1], threads: BLOCK_THREADS, parameters });
  compare(cuda, "chain", to, expected, "chain");
  cuda.free(to);
}

/** On the card; also for who wants to know whether the product is right on it. */
export function checkProduct(cuda: Cuda, kernel: CudaKernel): void {
  const { a, b, expected } = productTask(PRODUCT_CHECK);
  const [atA, atB, atC] = allocate(cuda, [a.byteLength, b.byteLength, expected.byteLength]) as [
    CudaMemory,
    CudaMemory,
    CudaMemory,
  ];
  cuda.write(atA, a);
  cuda.write(atB, b);
  cuda.launch(productLaunch(kernel, { a: atA, b: atB, c: atC }, PRODUCT_CHECK));
  compare(cuda, "product", atC, expected);
  for (const memory of [atA, atB, atC]) cuda.free(memory);
}

function compare(cuda: Cuda, name: string, from: CudaMemory, expected: Float32Array, tolerance?: "chain"): void {
  const found = new Float32Array(new ArrayBuffer(expected.byteLength));
  cuda.read(found, from);
  const difference = differenceOf(found, expected, tolerance);
  if (difference !== undefined) throw wrongResult(name, difference);
}

function allocate(cuda: Cuda, sizes: readonly number[]): CudaMemory[] {
  return sizes.map((bytes) => cuda.allocate(bytes));
}

class Bench {
  readonly #cuda: Cuda;
  readonly #fill: CudaKernel;
  readonly #warmMs: number;
  readonly #measureMs: number;
  readonly #events;

  constructor(cuda: Cuda, fill: CudaKernel, { warmMs = WARM_MS, measureMs = MEASURE_MS }: Runs) {
    this.#cuda = cuda;
    this.#fill = fill;
    this.#warmMs = warmMs;
    this.#measureMs = measureMs;
    this.#events = [cuda.makeEvent(), cuda.makeEvent()] as const;
  }

  memory(
    copy: CudaKernel,
    triad: CudaKernel,
  ): Pick<BenchFigures, "memoryBytesPerSecond" | "copyBytesPerSecond" | "triadBytesPerSecond" | "arrayBytes"> {
    const cuda = this.#cuda;
    const free = cuda.freeBytes;
    const least = CACHES_MIN * Math.max(cuda.attribute("l2Bytes"), BLOCK_BYTES);
    const bytes = Math.min(ARRAY_BYTES_MAX, Math.floor((free * FREE_SHARE) / 3 / BLOCK_BYTES) * BLOCK_BYTES);
    if (bytes < least) throw noRoom(free, Math.ceil((3 * least) / FREE_SHARE));
    const arrays = allocate(cuda, [bytes, bytes, bytes]) as [CudaMemory, CudaMemory, CudaMemory];
    const [to, b, c] = arrays;
    for (const [seed, array] of arrays.entries()) cuda.launch(over(this.#fill, bytes, [u64(array), u32(seed)]));
    const copyMs = this.#median(over(copy, bytes, [u64(to), u64(b)]));
    const triadMs = this.#median(over(triad, bytes, [u64(to), u64(b), u64(c)]));
    for (const array of arrays) cuda.free(array);
    const copyBytesPerSecond = (2 * bytes * 1000) / copyMs;
    const triadBytesPerSecond = (3 * bytes * 1000) / triadMs;
    const memoryBytesPerSecond = Math.max(copyBytesPerSecond, triadBytesPerSecond);
    return { memoryBytesPerSecond, copyBytesPerSecond, triadBytesPerSecond, arrayBytes: bytes };
  }

  chain(kernel: CudaKernel): number {
    const cuda = this.#cuda;
    const blocks = CHAIN_BLOCKS_EACH * Math.max(1, cuda.attribute("multiprocessors"));
    const to = cuda.allocate(blocks * BLOCK_THREADS * 4);
    const parameters = [u64(to), u32(CHAIN_LOOPS)];
    const ms = this.#median({ kernel, grid: [blocks, 1, 1], threads: BLOCK_THREADS, parameters });
    cuda.free(to);
    return (blocks * BLOCK_THREADS * CHAIN_LOOPS * CHAINS * CHAIN_STEPS * 2 * 1000) / ms;
  }

  product(): Pick<BenchFigures, "tensorFlops" | "productSize"> {
    const cuda = this.#cuda;
    const capability = cuda.attribute("computeMajor") * 10 + cuda.attribute("computeMinor");
    if (capability < TENSOR_FROM) return { tensorFlops: undefined, productSize: 0 };
    const [kernel] = cuda.load(PRODUCT_PTX, ["infermesh_product"]) as [CudaKernel];
    checkProduct(cuda, kernel);
    const free = cuda.freeBytes * FREE_SHARE;
    // Two of two bytes and one of four.
    const size = PRODUCT_SIZES.find((rows) => rows * rows * 8 <= free);
    if (size === undefined) throw noRoom(cuda.freeBytes, PRODUCT_SIZES.at(-1)! ** 2 * 10);
    const [a, b, c] = allocate(cuda, [size * size * 2, size * size * 2, size * size * 4]) as [
      CudaMemory,
      CudaMemory,
      CudaMemory,
    ];
    for (const array of [a, b]) cuda.launch(over(this.#fill, size * size * 2, [u64(array), u32(array === a ? 1 : 2)]));
    const ms = this.#median(productLaunch(kernel, { a, b, c }, { m: size, n: size, k: size }));
    for (const array of [a, b, c]) cuda.free(array);
    return { tensorFlops: (2 * size ** 3 * 1000) / ms, productSize: size };
  }

  /** Milliseconds of one run. */
  #median(launch: CudaLaunch): number {
    const run = (): number => this.#cuda.time(() => this.#cuda.launch(launch), this.#events);
    for (let [count, ms] = [0, 0]; count < RUNS_MIN || (ms < this.#warmMs && count < RUNS_MAX); count += 1) ms += run();
    const times: number[] = [];
    for (let ms = 0; times.length < RUNS_MIN || (ms < this.#measureMs && times.length < RUNS_MAX);) {
      const one = run();
      times.push(one);
      ms += one;
    }
    const median = times.toSorted((x, y) => x - y)[times.length >> 1]!;
    if (!(median > 0))
      throw new BenchError("the card's clock says that a kernel took no time; look at dmesg and nvidia-smi");
    return median;
  }
}
