/**
 * Parts of a GPU by NVIDIA's MIG: a slice has sevenths of the multiprocessors and eighths of memory and bandwidth, as the
 * MIG user guide lists them for A100, H100 and H200 (3g and 4g both have half of the memory).
 */
import { ACTIVATION_BYTES, MEMORY_UTILIZATION, type Profile, SAMPLING_MS } from "./profile.ts";

export const SLICE_NAMES = ["whole", "1g", "2g", "3g", "4g", "7g"] as const;
export type SliceName = (typeof SLICE_NAMES)[number];

const SLICES: Readonly<Record<Exclude<SliceName, "whole">, { readonly compute: number; readonly memory: number }>> = {
  "1g": { compute: 1 / 7, memory: 1 / 8 },
  "2g": { compute: 2 / 7, memory: 1 / 4 },
  "3g": { compute: 3 / 7, memory: 1 / 2 },
  "4g": { compute: 4 / 7, memory: 1 / 2 },
  "7g": { compute: 1, memory: 1 },
};
const WITH_MIG = /A100|H100|H200/;
/** vLLM's defaults below 70 GiB. */
const SMALL = { stepTokensMax: 2_048, runningMax: 256 };
/** Of a step on one GPU, what isn't reading weights. */
const OVERHEAD_MS = 1;

/** The profile on that part of its GPU; null where there is no such part, or the model doesn't fit into it. */
export function sliced(profile: Profile, name: SliceName): Profile | null {
  if (name === "whole") return profile;
  const { gpu, gpuCount, weightBytes, kvBytesPerToken, blockTokens } = profile;
  if (gpuCount !== 1 || !WITH_MIG.test(gpu.name)) return null;
  const { compute, memory } = SLICES[name];
  const kvBytes = gpu.memoryBytes * memory * MEMORY_UTILIZATION - ACTIVATION_BYTES - weightBytes;
  const kvBlocks = Math.floor(kvBytes / (kvBytesPerToken * blockTokens));
  if (kvBlocks < 1) return null;
  const prefillTokensPerSecond = Math.round(profile.prefillTokensPerSecond * compute);
  return {
    ...profile,
    name: `${profile.name}-${name}`,
    prefillTokensPerSecond,
    stepBaseMs: (profile.stepBaseMs - OVERHEAD_MS) / memory + OVERHEAD_MS,
    stepPerSequenceMs: 1_000 / prefillTokensPerSecond + SAMPLING_MS,
    stepPerContextTokenMs: profile.stepPerContextTokenMs / memory,
    ...(name === "7g" ? {} : SMALL),
    kvBlocks,
  };
}
