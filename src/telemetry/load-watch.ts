/**
 * How long the models of a runtime take to load, by its own clock: loads that the agent asks for are timed from the ask
 * to the end, others from when they are seen to when they are over. While one is seen the list of models is looked at as
 * often as may be: it is looked at seldom otherwise, and would tell late that the model is there.
 */
import { type LoadTimeConfig, LoadTimes } from "../runtimes/load-times.ts";
import type { ModelReading, RuntimeReading } from "../runtimes/reading.ts";
import type { ModelState } from "../base/runtime-terms.ts";

interface LoadWatchOptions {
  readonly reading: () => RuntimeReading;
  /** The models are to be looked at soon. */
  readonly hurry: () => void;
}

/** Between two looks at a load. */
const HURRY_MS = 1000;
/** That a first request of ours takes still. */
const WARMING_SECONDS = 1;

export class LoadWatch {
  readonly #times: LoadTimes;
  readonly #options: LoadWatchOptions;
  #timer: ReturnType<typeof setTimeout> | undefined;
  #isStopped = false;

  constructor(config: LoadTimeConfig, options: LoadWatchOptions) {
    this.#times = new LoadTimes(config);
    this.#options = options;
  }

  /** The agent has it loaded; `look` tells what became of that. */
  began(model: ModelReading): void {
    this.#times.began(model, performance.now());
  }

  /** A model that the agent does nothing with, as it is now: a request has it loaded, or somebody else. */
  look(reading: ModelReading): void {
    if (reading.state === "loading") {
      this.began(reading);
      this.#lookAgain();
    } else if (reading.state === "loaded") this.#times.ended(reading, performance.now());
    else this.#times.abandoned(reading.model);
  }

  /** Until a model in this state is loaded, from a request on. */
  seconds(reading: ModelReading, state: ModelState): number {
    switch (state) {
      case "loading":
        return this.#times.left(reading, performance.now());
      case "warming":
        return WARMING_SECONDS;
      case "failed":
        return this.#times.afterFailure(reading);
      default:
        return this.#times.expected(reading);
    }
  }

  stop(): void {
    this.#isStopped = true;
    clearTimeout(this.#timer);
  }

  #lookAgain(): void {
    if (this.#timer !== undefined || this.#isStopped) return;
    this.#timer = setTimeout(() => {
      this.#timer = undefined;
      const { reading, hurry } = this.#options;
      if (!reading().models.some(({ state }) => state === "loading")) return;
      hurry();
      this.#lookAgain();
    }, HURRY_MS);
  }
}
