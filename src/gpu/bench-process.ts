/**
 * The benchmark's own process, of one GPU: `infermesh gpu-bench SPEC`, started by bench-run.ts. It writes one line to
 * standard output and ends; a driver that hangs or crashes does so here.
 */
import { writeSync } from "node:fs";
import { BackendError } from "./backend.ts";
import type { BenchAnswer } from "./bench-figures.ts";
import { BenchError, type Runs, measure } from "./bench-measure.ts";
import { CudaError, openCuda } from "./cuda.ts";
import { dieWithParent } from "./probe-process.ts";

export interface BenchSpec extends Runs {
  readonly uuid: string;
  /** "" for the usual places. */
  readonly cudaLibrary: string;
  readonly root: string;
}

const STDOUT = 1;
const EXIT_USAGE = 2;

export function benchProcess(args: readonly string[]): never {
  const spec = args.length === 1 ? readSpec(args[0]!) : undefined;
  if (spec === undefined) {
    process.stderr.write("infermesh gpu-bench: `infermesh agent bench-gpu` starts it by itself\n");
    process.exit(EXIT_USAGE);
  }
  dieWithParent();
  writeSync(STDOUT, `${JSON.stringify(answer(spec))}\n`);
  process.exit(0);
}

function readSpec(written: string): BenchSpec | undefined {
  try {
    const spec = JSON.parse(written) as Partial<BenchSpec> | null;
    const isOne = [spec?.uuid, spec?.cudaLibrary, spec?.root].every((text) => typeof text === "string");
    return isOne ? (spec as BenchSpec) : undefined;
  } catch {
    return undefined;
  }
}

function answer(spec: BenchSpec): BenchAnswer {
  const { uuid, cudaLibrary, root } = spec;
  try {
    const cuda = openCuda({ libraryPath: cudaLibrary || undefined, root: root === "/" ? "" : root });
    if (!cuda.use(uuid)) {
      const message = `CUDA knows of no GPU ${uuid}; look at its compute mode, at MIG and at the container's devices`;
      return { type: "trouble", isAbsent: false, message };
    }
    return { type: "figures", figures: measure(cuda, spec) };
  } catch (error) {
    if (error instanceof BackendError)
      return { type: "trouble", isAbsent: error.trouble === "absent", message: error.message };
    if (error instanceof CudaError) return { type: "trouble", isAbsent: false, message: wordsOf(error) };
    if (error instanceof BenchError) return { type: "trouble", isAbsent: false, message: error.message };
    throw error;
  }
}

function wordsOf(error: CudaError): string {
  const advice = error.isOutOfMemory ? "end what uses the GPU's memory" : "look at dmesg and nvidia-smi";
  return `${error.message}; ${advice}`;
}
