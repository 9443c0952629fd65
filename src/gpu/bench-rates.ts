/** From figures that were measured of GPUs to the rates of models on them, for runtimes that tell none. */
import type { ModelSample } from "../score/sample.ts";
import { type EstimatedRates, estimatedRates, sizeOfModel } from "../sim/rates.ts";
import type { BenchFigures } from "./bench-figures.ts";

/** The GPUs of a model, as far as they are known. */
export interface ModelGpu {
  readonly uuid: string;
  readonly models: readonly string[];
  /** The node's runtimes on it; undefined: not told. */
  readonly runtimes?: readonly string[] | undefined;
}

export class BenchRates {
  readonly #figures: ReadonlyMap<string, BenchFigures>;
  /** By model and GPUs: asked several times a second, of what hardly ever changes. */
  readonly #known = new Map<string, EstimatedRates | undefined>();

  constructor(figures: ReadonlyMap<string, BenchFigures>) {
    this.#figures = figures;
  }

  /** The sample with rates where it has none; as it is where nothing was measured, or the model's size is not known. */
  rated(sample: ModelSample, gpus: readonly ModelGpu[]): ModelSample {
    if (this.#figures.size === 0) return sample;
    const { prefillTokensPerSecond, decodeTokensPerSecond } = sample;
    if (prefillTokensPerSecond !== undefined && decodeTokensPerSecond !== undefined) return sample;
    const rates = this.#ratesOf(sample, gpus);
    if (rates === undefined) return sample;
    return {
      ...sample,
      prefillTokensPerSecond: prefillTokensPerSecond ?? rates.prefillTokensPerSecond,
      decodeTokensPerSecond: decodeTokensPerSecond ?? rates.decodeTokensPerSecond,
    };
  }

  #ratesOf({ model, runtime }: ModelSample, gpus: readonly ModelGpu[]): EstimatedRates | undefined {
    // Another runtime may serve a model of the same name, on other GPUs.
    const isOn = ({ models, runtimes }: ModelGpu): boolean =>
      models.includes(model) && (runtime === "" || runtimes === undefined || runtimes.includes(runtime));
    const own = gpus.filter(isOn).map(({ uuid }) => uuid);
    const key = [model, ...own].join("\n");
    if (!this.#known.has(key)) {
      if (this.#known.size >= KNOWN_MAX) this.#known.clear();
      this.#known.set(key, this.#estimate(model, own));
    }
    return this.#known.get(key);
  }

  #estimate(model: string, uuids: readonly string[]): EstimatedRates | undefined {
    const size = sizeOfModel(model);
    const figures = uuids.flatMap((uuid) => this.#figures.get(uuid) ?? []);
    // One that was not measured may be another kind of card.
    if (size === undefined || figures.length === 0 || figures.length < uuids.length) return undefined;
    return estimatedRates(size, {
      matrixFlops: figures.reduce((sum, { tensorFlops, fp32Flops }) => sum + (tensorFlops ?? fp32Flops), 0),
      memoryBytesPerSecond: figures.reduce((sum, { memoryBytesPerSecond }) => sum + memoryBytesPerSecond, 0),
    });
  }
}

const KNOWN_MAX = 256;
