/** What the benchmark of a GPU answers with, from its process to the file and to people. */

export interface BenchFigures {
  /** Read and written, a second, by the faster of a copy and a triad. */
  readonly memoryBytesPerSecond: number;
  readonly copyBytesPerSecond: number;
  readonly triadBytesPerSecond: number;
  /** Multiplications and additions a second of a product of float16 matrices, by mma.sync; undefined before Ampere. */
  readonly tensorFlops: number | undefined;
  /** The same of FP32 multiply-adds in registers. */
  readonly fp32Flops: number;
  /** Rows and columns of the matrices; 0 for none. */
  readonly productSize: number;
  /** Of each array that was copied. */
  readonly arrayBytes: number;
  /** The newest that the driver runs. */
  readonly cudaVersion: string;
}

/** Rates of any card that there is or will be for a while; what is beyond them is no measurement. */
const RATE_MAX = 1e18;

function isRate(value: unknown): value is number {
  return typeof value === "number" && value > 0 && value < RATE_MAX;
}

/** Figures that came as JSON; undefined for what are none. */
export function takeFigures(given: unknown): BenchFigures | undefined {
  if (typeof given !== "object" || given === null) return undefined;
  const of = given as Partial<Record<keyof BenchFigures, unknown>>;
  const { memoryBytesPerSecond, copyBytesPerSecond, triadBytesPerSecond, tensorFlops, fp32Flops } = of;
  if (!isRate(memoryBytesPerSecond) || !isRate(copyBytesPerSecond) || !isRate(triadBytesPerSecond)) return undefined;
  if (!isRate(fp32Flops) || (tensorFlops !== undefined && tensorFlops !== null && !isRate(tensorFlops)))
    return undefined;
  return {
    memoryBytesPerSecond,
    copyBytesPerSecond,
    triadBytesPerSecond,
    tensorFlops: isRate(tensorFlops) ? tensorFlops : undefined,
    fp32Flops,
    productSize: isSize(of.productSize) ? of.productSize : 0,
    arrayBytes: isSize(of.arrayBytes) ? of.arrayBytes : 0,
    cudaVersion: typeof of.cudaVersion === "string" && /^\d+\.\d+$/.test(of.cudaVersion) ? of.cudaVersion : "",
  };
}

function isSize(value: unknown): value is number {
  return Number.isSafeInteger(value) && (value as number) >= 0;
}

/** One line of the process: how it went. */
export type BenchAnswer =
  | { readonly type: "figures"; readonly figures: BenchFigures }
  /** `absent`: there is no such driver or GPU. */
  | { readonly type: "trouble"; readonly isAbsent: boolean; readonly message: string };

const MESSAGE_CHARS_MAX = 500;

/** Undefined for what is no such line. */
export function readAnswer(line: string): BenchAnswer | undefined {
  let given: Readonly<Record<string, unknown>> | null;
  try {
    const parsed: unknown = JSON.parse(line);
    given = typeof parsed === "object" ? (parsed as Readonly<Record<string, unknown>> | null) : null;
  } catch {
    return undefined;
  }
  const figures = given?.["type"] === "figures" ? takeFigures(given["figures"]) : undefined;
  if (figures !== undefined) return { type: "figures", figures };
  const message = given?.["message"];
  if (given?.["type"] !== "trouble" || typeof message !== "string") return undefined;
  return { type: "trouble", isAbsent: given["isAbsent"] === true, message: message.slice(0, MESSAGE_CHARS_MAX) };
}
