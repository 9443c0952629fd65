/**
 * What the simulated node is made of: a GPU, how many of them, and the model that they serve, reduced to the handful of
 * rates that the batching model needs.
 *
 * The figures are derived, not measured by us. GPU: the makers' data sheets (dense BF16 rate, memory bandwidth, memory,
 * board power). Model: Llama 3.1's published shapes in BF16. From these, with the efficiencies stated below:
 *
 *   prefill tokens/s  = TP * peak FLOP/s * computeEfficiency / (2 * parameters)          prefill is compute-bound
 *   step base ms      = weight bytes / (TP * bandwidth * memoryEfficiency) + overhead    every step reads all weights
 *   per context token = KV bytes per token / (TP * bandwidth * memoryEfficiency)         decode reads all of the cache
 *   per sequence      = 1 / prefill rate + sampling                                      one token's arithmetic
 *   KV blocks         = TP * (memory * 0.9 - weights / TP - 4 GB activations) / (block * KV bytes per token)
 *
 * The efficiencies are round numbers that bring the results near to what is reported for vLLM (8B on one H100: 25-30k
 * prefill tokens/s, 7 ms between tokens alone, some 430k tokens of cache). They are good to perhaps 20 %, which is
 * enough to compare policies and too little to size a purchase.
 */

export const PROFILE_NAMES = ["h100-8b", "h100-70b", "h200-8b", "a100-8b", "l40s-8b", "mi300x-8b"] as const;
export type ProfileName = (typeof PROFILE_NAMES)[number];

/** One kind of GPU. */
export interface GpuProfile {
  readonly name: string;
  readonly memoryBytes: number;
  /** Dense BF16 rate of the data sheet. */
  readonly peakFlops: number;
  readonly bandwidthBytesPerSecond: number;
  readonly powerIdleWatts: number;
  readonly powerLimitWatts: number;
  /** Where the maker's thermal slowdown begins, and where it ends again. */
  readonly throttleAtCelsius: number;
  readonly throttleUntilCelsius: number;
  readonly vendor: "nvidia" | "amd";
  readonly clockMhzMax: number;
  readonly memoryClockMhzMax: number;
  /** NVLink or Infinity Fabric links to other GPUs. */
  readonly links: number;
  readonly pcieGeneration: number;
  /** Share of the peak that prefill reaches. */
  readonly computeEfficiency: number;
  /** Share of the bandwidth that decode reaches. */
  readonly memoryEfficiency: number;
}

/** One simulated server: the numbers that the batching and the GPU model run on. */
export interface Profile {
  readonly name: string;
  /** The model name that is served when none is given. */
  readonly model: string;
  readonly gpu: GpuProfile;
  /** GPUs that serve one copy of the model together (tensor parallelism). */
  readonly gpuCount: number;
  readonly weightBytes: number;
  readonly kvBytesPerToken: number;
  readonly contextTokensMax: number;
  readonly prefillTokensPerSecond: number;
  readonly stepBaseMs: number;
  readonly stepPerSequenceMs: number;
  readonly stepPerContextTokenMs: number;
  /** Most sequences in the running batch (vLLM: max_num_seqs). */
  readonly runningMax: number;
  /** Most tokens in one step (vLLM: max_num_batched_tokens); longer prefills are cut into chunks. */
  readonly stepTokensMax: number;
  readonly blockTokens: number;
  readonly kvBlocks: number;
}

const GIB = 1024 ** 3;
export const ACTIVATION_BYTES = 4e9;
export const MEMORY_UTILIZATION = 0.9;
export const SAMPLING_MS = 0.015;
const BLOCK_TOKENS = 16;

const H100: GpuProfile = {
  name: "NVIDIA H100 80GB HBM3",
  memoryBytes: 80 * GIB,
  peakFlops: 989e12,
  bandwidthBytesPerSecond: 3.35e12,
  powerIdleWatts: 70,
  powerLimitWatts: 700,
  throttleAtCelsius: 87,
  throttleUntilCelsius: 82,
  vendor: "nvidia",
  clockMhzMax: 1980,
  memoryClockMhzMax: 2619,
  links: 18,
  pcieGeneration: 5,
  computeEfficiency: 0.45,
  memoryEfficiency: 0.8,
};
const H200: GpuProfile = {
  ...H100,
  name: "NVIDIA H200",
  memoryBytes: 141e9,
  bandwidthBytesPerSecond: 4.8e12,
  powerIdleWatts: 75,
  memoryClockMhzMax: 3201,
};
const A100: GpuProfile = {
  ...H100,
  name: "NVIDIA A100-SXM4-80GB",
  peakFlops: 312e12,
  bandwidthBytesPerSecond: 2.039e12,
  powerIdleWatts: 55,
  powerLimitWatts: 400,
  clockMhzMax: 1410,
  memoryClockMhzMax: 1593,
  links: 12,
  pcieGeneration: 4,
  computeEfficiency: 0.55,
};
const L40S: GpuProfile = {
  ...H100,
  name: "NVIDIA L40S",
  memoryBytes: 48e9,
  peakFlops: 362e12,
  bandwidthBytesPerSecond: 0.864e12,
  powerIdleWatts: 35,
  powerLimitWatts: 350,
  clockMhzMax: 2520,
  memoryClockMhzMax: 9001,
  links: 0,
  pcieGeneration: 4,
};
const MI300X: GpuProfile = {
  ...H100,
  name: "AMD Instinct MI300X",
  memoryBytes: 192e9,
  peakFlops: 1307e12,
  bandwidthBytesPerSecond: 5.3e12,
  powerIdleWatts: 140,
  powerLimitWatts: 750,
  throttleAtCelsius: 95,
  throttleUntilCelsius: 90,
  vendor: "amd",
  clockMhzMax: 2100,
  memoryClockMhzMax: 1300,
  links: 7,
  // Reported prefill rates on ROCm stand further below the peak than on CUDA.
  computeEfficiency: 0.35,
  memoryEfficiency: 0.7,
};

interface ModelShape {
  readonly model: string;
  readonly parameters: number;
  readonly layers: number;
  readonly kvHeads: number;
  readonly headSize: number;
  readonly contextTokensMax: number;
}

const LLAMA_8B: ModelShape = {
  model: "llama-3.1-8b-instruct",
  parameters: 8.03e9,
  layers: 32,
  kvHeads: 8,
  headSize: 128,
  contextTokensMax: 131_072,
};
const LLAMA_70B: ModelShape = { ...LLAMA_8B, model: "llama-3.1-70b-instruct", parameters: 70.6e9, layers: 80 };

/** BF16: two bytes a value; keys and values: two tensors a layer. */
function kvBytesPerToken(shape: ModelShape): number {
  return shape.layers * shape.kvHeads * shape.headSize * 2 * 2;
}

interface Deployment {
  readonly gpuCount: number;
  /** Scheduler, kernel launches and, with several GPUs, the all-reduces of every layer. */
  readonly overheadMs: number;
  readonly stepTokensMax: number;
  readonly runningMax: number;
}

function derive(name: ProfileName, gpu: GpuProfile, shape: ModelShape, deployment: Deployment): Profile {
  const { gpuCount } = deployment;
  const weightBytes = shape.parameters * 2;
  const kvBytes = kvBytesPerToken(shape);
  const bytesPerMs = (gpuCount * gpu.bandwidthBytesPerSecond * gpu.memoryEfficiency) / 1_000;
  const prefillTokensPerSecond = Math.round(
    (gpuCount * gpu.peakFlops * gpu.computeEfficiency) / (2 * shape.parameters),
  );
  const kvBytesTotal = gpuCount * (gpu.memoryBytes * MEMORY_UTILIZATION - ACTIVATION_BYTES) - weightBytes;
  return {
    name,
    model: shape.model,
    gpu,
    gpuCount,
    weightBytes,
    kvBytesPerToken: kvBytes,
    contextTokensMax: shape.contextTokensMax,
    prefillTokensPerSecond,
    stepBaseMs: weightBytes / bytesPerMs + deployment.overheadMs,
    stepPerSequenceMs: 1_000 / prefillTokensPerSecond + SAMPLING_MS,
    stepPerContextTokenMs: kvBytes / bytesPerMs,
    runningMax: deployment.runningMax,
    stepTokensMax: deployment.stepTokensMax,
    blockTokens: BLOCK_TOKENS,
    kvBlocks: Math.floor(kvBytesTotal / (kvBytes * BLOCK_TOKENS)),
  };
}

// vLLM's server takes 8,192 tokens and 1,024 sequences a step on GPUs of 70 GiB and more, except the A100, and 2,048
// and 256 elsewhere (EngineArgs.get_batch_defaults).
const ONE_LARGE: Deployment = { gpuCount: 1, overheadMs: 1, stepTokensMax: 8_192, runningMax: 1_024 };
const ONE_SMALL: Deployment = { gpuCount: 1, overheadMs: 1, stepTokensMax: 2_048, runningMax: 256 };
const FOUR_LARGE: Deployment = { gpuCount: 4, overheadMs: 3, stepTokensMax: 8_192, runningMax: 1_024 };

export const PROFILES: Readonly<Record<ProfileName, Profile>> = {
  "h100-8b": derive("h100-8b", H100, LLAMA_8B, ONE_LARGE),
  "h100-70b": derive("h100-70b", H100, LLAMA_70B, FOUR_LARGE),
  "h200-8b": derive("h200-8b", H200, LLAMA_8B, ONE_LARGE),
  "a100-8b": derive("a100-8b", A100, LLAMA_8B, ONE_SMALL),
  "l40s-8b": derive("l40s-8b", L40S, LLAMA_8B, ONE_SMALL),
  "mi300x-8b": derive("mi300x-8b", MI300X, LLAMA_8B, ONE_LARGE),
};

/** The profile of that name, or undefined. */
export function profileNamed(name: string): Profile | undefined {
  return Object.hasOwn(PROFILES, name) ? PROFILES[name as ProfileName] : undefined;
}
