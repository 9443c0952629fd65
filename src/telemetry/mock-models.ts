/**
 * The model names that a mock runtime serves, as they come and go. All share one engine, as adapters of one base model
 * do: loading one takes the time of reading an adapter, and unloading one lets its requests finish first.
 *
 * Who unloads a model is told of before it is refused: for a moment it is served though no longer named, so that
 * routers hear of it and no request is lost.
 */
import { MeshError } from "../base/errors.ts";
import type { ModelChange } from "./runtime.ts";

/** Simulated milliseconds for an adapter of some hundred megabytes from a local disk. */
const LOAD_MS = 250;
/** Real milliseconds for the word to get around. */
const GOODBYE_MS = 1000;
const POLL_MS = 5;
/** As many as a registration may name. */
const MODELS_MAX = 64;
const NAME_CHARS_MAX = 256;
const NAME = /^[\x21-\x7e]+$/;

export interface MockModelsOptions {
  readonly models: readonly string[];
  /** Simulated milliseconds for each real one. */
  readonly speed: number;
  /** Calls off what is under way for a model. */
  cancel(model: string): void;
  /** Default 1 s. */
  readonly goodbyeMs?: number | undefined;
}

export class MockModels {
  readonly #options: MockModelsOptions;
  /** What is named, in the order of its loading. */
  #named: readonly string[];
  /** On their way out: served until the word is around. */
  readonly #leaving = new Set<string>();
  readonly #changing = new Map<string, "loading" | "unloading">();
  readonly #active = new Map<string, number>();
  readonly #listeners = new Set<() => void>();

  constructor(options: MockModelsOptions) {
    this.#options = options;
    this.#named = options.models;
  }

  get names(): readonly string[] {
    return this.#named;
  }

  serves(model: string): boolean {
    return this.#named.includes(model) || this.#leaving.has(model);
  }

  /** Calls back when other models are served than before. */
  watch(listener: () => void): void {
    this.#listeners.add(listener);
  }

  begin(model: string): void {
    this.#active.set(model, (this.#active.get(model) ?? 0) + 1);
  }

  end(model: string): void {
    const left = (this.#active.get(model) ?? 0) - 1;
    if (left > 0) this.#active.set(model, left);
    else this.#active.delete(model);
  }

  /** Resolves when the model is served. */
  async load(model: string, signal: AbortSignal): Promise<ModelChange> {
    if (!NAME.test(model) || model.length > NAME_CHARS_MAX) {
      const why = `model is ${JSON.stringify(model.slice(0, 60))}; expected 1 to ${NAME_CHARS_MAX} printable characters`;
      throw new MeshError("bad_request", why, { param: "model" });
    }
    if (this.#named.includes(model)) return { changed: false, models: this.#named };
    if (this.#named.length >= MODELS_MAX) {
      throw new MeshError("over_capacity", `this runtime serves ${MODELS_MAX} models already; unload one first`);
    }
    await this.#exclusively(model, "loading", () => sleep(LOAD_MS / this.#options.speed, signal));
    if (!this.#named.includes(model)) this.#tell([...this.#named, model]);
    return { changed: true, models: this.#named };
  }

  /** Resolves when the model is served no more; `drainMs`: then what is left of its requests is called off. */
  async unload(model: string, drainMs: number, signal: AbortSignal): Promise<ModelChange> {
    if (!this.#named.includes(model)) return { changed: false, models: this.#named };
    await this.#exclusively(model, "unloading", async () => {
      this.#leaving.add(model);
      this.#tell(this.#named.filter((name) => name !== model));
      const { goodbyeMs = GOODBYE_MS } = this.#options;
      await sleep(Math.min(goodbyeMs, drainMs), signal).catch((error: unknown) => this.#comeBack(model, error));
      this.#leaving.delete(model);
      const untilMs = performance.now() + drainMs;
      while (this.#active.has(model) && performance.now() < untilMs && !signal.aborted) await Bun.sleep(POLL_MS);
      this.#options.cancel(model);
    });
    return { changed: true, models: this.#named };
  }

  /** Whoever asked for it has changed his mind before anything was refused. */
  #comeBack(model: string, error: unknown): never {
    this.#leaving.delete(model);
    this.#tell([...this.#named, model]);
    throw error;
  }

  async #exclusively(model: string, what: "loading" | "unloading", run: () => Promise<void>): Promise<void> {
    const before = this.#changing.get(model);
    if (before !== undefined) throw new MeshError("conflict", `${model} is ${before} already; try again in a moment`);
    this.#changing.set(model, what);
    try {
      await run();
    } finally {
      this.#changing.delete(model);
    }
  }

  #tell(named: readonly string[]): void {
    this.#named = named;
    for (const listener of this.#listeners) listener();
  }
}

/** Rejects with the signal's reason when that comes first. */
async function sleep(ms: number, signal: AbortSignal): Promise<void> {
  const { promise, resolve, reject } = Promise.withResolvers<void>();
  const onAbort = (): void => reject(signal.reason instanceof Error ? signal.reason : new Error("called off"));
  const timer = setTimeout(resolve, ms);
  signal.addEventListener("abort", onAbort);
  if (signal.aborted) onAbort();
  try {
    await promise;
  } finally {
    clearTimeout(timer);
    signal.removeEventListener("abort", onAbort);
  }
}
