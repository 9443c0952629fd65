/**
 * What a runtime may reach with a model on GPUs whose rates were measured, by the formulas of profile.ts: for runtimes
 * that tell no rates themselves. Prefill is bound by arithmetic, a step of the batch by reading the weights, and then by each
 * sequence's own arithmetic:
 *
 *   prefill tokens/s  = GPUs * matrix FLOP/s * MATRIX_SHARE / (2 * active parameters)
 *   step seconds      = weight bytes / (GPUs * memory bytes/s * MEMORY_SHARE) + overhead + sequences / prefill rate
 *   decode tokens/s   = sequences / step seconds, with SEQUENCES of them
 *
 * Assumed: the model lies on all of these GPUs together; weights of 16 bits, or as many as the name says; matrix products
 * as fast as bench-product.ts's are, of which a server reaches a share, since its products are smaller and not all is
 * products. What the KV cache costs to read is left out: a name tells nothing of its size. So these are guesses, though
 * better ones than one guess for all cards and models.
 */

/** Of a large product by mma.sync. It brings an H100 at 600 TFLOP/s to some 26,000 tokens a second of an 8B model. */
const MATRIX_SHARE = 0.7;
/** Of a copy: decoding reads weights as a copy reads its source. */
const MEMORY_SHARE = 0.85;
const OVERHEAD_SECONDS = 0.001;
const SEQUENCES = 256;
const PARAMETERS_MIN = 1e7;
const PARAMETERS_MAX = 1e14;

export interface ModelSize {
  readonly parameters: number;
  /** Of these, what one token uses: fewer in a mixture of experts. */
  readonly activeParameters: number;
  readonly bytesPerParameter: number;
}

/** Summed over the GPUs that serve the model together. */
export interface MeasuredRates {
  readonly matrixFlops: number;
  readonly memoryBytesPerSecond: number;
}

export interface EstimatedRates {
  readonly prefillTokensPerSecond: number;
  readonly decodeTokensPerSecond: number;
}

/** "8b", "0.5b", "405B", "500m", set off from what stands around it. */
const SIZE = /(?<![A-Za-z0-9.])(\d{1,4}(?:\.\d{1,3})?)([bm])(?![A-Za-z0-9])/gi;
/** "a3b": what is active of a mixture. */
const ACTIVE = /(?<![A-Za-z0-9])a(\d{1,4}(?:\.\d{1,3})?)b(?![A-Za-z0-9])/i;
/** "8x7b": experts share layers, so that neither size is a product of these. */
const EXPERTS = /\d+x\d+(?:\.\d+)?b/i;
const NAME_CHARS_MAX = 256;
const BITS: readonly (readonly [RegExp, number])[] = [
  [/(?:^|[^a-z0-9])(?:awq|gptq|int4|4bit|w4a16|nf4|mxfp4|nvfp4|fp4|q4)(?![a-z0-9])/i, 0.5],
  [/(?:^|[^a-z0-9])(?:fp8|int8|8bit|w8a8|q8)(?![a-z0-9])/i, 1],
];

/** Of a name such as "meta-llama/Llama-3.1-8B-Instruct"; undefined where it does not say, or says two things. */
export function sizeOfModel(name: string): ModelSize | undefined {
  // Of a path, the last part: the folder may be of a family.
  const last = name.slice(0, NAME_CHARS_MAX).split("/").at(-1) ?? "";
  if (EXPERTS.test(last)) return undefined;
  const sizes = [...last.matchAll(SIZE)].map(
    ([, count, unit]) => Number(count) * (unit!.toLowerCase() === "b" ? 1e9 : 1e6),
  );
  const [parameters] = sizes;
  if (parameters === undefined || sizes.some((size) => size !== parameters)) return undefined;
  if (!(parameters >= PARAMETERS_MIN && parameters <= PARAMETERS_MAX)) return undefined;
  const active = Number(ACTIVE.exec(last)?.[1] ?? Number.NaN) * 1e9;
  const activeParameters = active >= PARAMETERS_MIN && active <= parameters ? active : parameters;
  const bytesPerParameter = BITS.find(([pattern]) => pattern.test(last))?.[1] ?? 2;
  return { parameters, activeParameters, bytesPerParameter };
}

export function estimatedRates(size: ModelSize, measured: MeasuredRates): EstimatedRates {
  const prefill = (measured.matrixFlops * MATRIX_SHARE) / (2 * size.activeParameters);
  const weightBytes = size.parameters * size.bytesPerParameter;
  const stepSeconds =
    weightBytes / (measured.memoryBytesPerSecond * MEMORY_SHARE) + OVERHEAD_SECONDS + SEQUENCES / prefill;
  return { prefillTokensPerSecond: prefill, decodeTokensPerSecond: SEQUENCES / stepSeconds };
}
