/**
 * Warm-up of models: each that has come is asked for a token, and is warm when it has answered. A refusal is an answer too:
 * it may be asked for something else alone. One that does not answer is asked again after a pause that grows. Two are
 * asked at a time: of adapters there may be hundreds, and the runtime serves others meanwhile.
 */
import type { AskLimits, Asked } from "./runtime-client.ts";

export interface WarmingOptions {
  /** False: all are warm as they come. */
  readonly isWanted: boolean;
  readonly limits: AskLimits;
  /** Undefined for a model that can't be asked. */
  readonly ask: (model: string, limits: AskLimits, signal: AbortSignal) => Promise<Asked | undefined>;
  readonly began: (model: string) => void;
  /** Told once for each that does not answer at first. */
  readonly failed: (model: string, why: string) => void;
  /** One is warm now, or why it is not is another reason. */
  readonly changed: () => void;
}

const PAUSE_MS = 1000;
const PAUSE_MAX_MS = 30_000;
const ASKED_MAX = 2;
const QUEUED = "it waits for its first request";
const ASKED = "it answers its first request";

interface Warming {
  readonly abort: AbortController;
  tries: number;
  timer: ReturnType<typeof setTimeout> | undefined;
  why: string;
}

export class ModelWarming {
  readonly #options: WarmingOptions;
  readonly #warm = new Set<string>();
  readonly #warming = new Map<string, Warming>();
  /** Those that are to be asked next, in order. */
  readonly #queue = new Map<string, Warming>();
  #asked = 0;
  #isStopped = false;

  constructor(options: WarmingOptions) {
    this.#options = options;
  }

  has(model: string): boolean {
    return this.#warming.has(model);
  }

  /** Why it is not warm yet; "" where it is. */
  why(model: string): string {
    return this.#warming.get(model)?.why ?? "";
  }

  /** These are loaded, by a runtime that serves. */
  look(loaded: ReadonlySet<string>): void {
    for (const model of this.#warm) if (!loaded.has(model)) this.#warm.delete(model);
    for (const model of this.#warming.keys()) if (!loaded.has(model)) this.#end(model);
    if (!this.#options.isWanted || this.#isStopped) return;
    for (const model of loaded) if (!this.#warm.has(model) && !this.#warming.has(model)) this.#begin(model);
  }

  stop(): void {
    this.#isStopped = true;
    for (const model of this.#warming.keys()) this.#end(model);
  }

  #begin(model: string): void {
    const warming: Warming = { abort: new AbortController(), tries: 0, timer: undefined, why: QUEUED };
    this.#warming.set(model, warming);
    this.#enqueue(model, warming);
    this.#options.changed();
  }

  #enqueue(model: string, warming: Warming): void {
    this.#queue.set(model, warming);
    this.#askNext();
  }

  #askNext(): void {
    for (const [model, warming] of this.#queue) {
      if (this.#asked >= ASKED_MAX) return;
      this.#queue.delete(model);
      this.#asked += 1;
      void this.#try(model, warming);
    }
  }

  async #try(model: string, warming: Warming): Promise<void> {
    const { ask, limits, began, changed, failed } = this.#options;
    warming.tries += 1;
    if (warming.tries === 1) {
      warming.why = ASKED;
      began(model);
    }
    const asked = await ask(model, limits, warming.abort.signal);
    this.#asked -= 1;
    this.#askNext();
    if (this.#warming.get(model) !== warming) return;
    if (asked === undefined || (asked.ok && asked.answer.status < 500)) {
      this.#warming.delete(model);
      this.#warm.add(model);
      changed();
      return;
    }
    warming.why = `it does not answer its first request: ${asked.ok ? `status ${asked.answer.status}` : asked.message}`;
    if (warming.tries === 1) failed(model, warming.why);
    const pauseMs = Math.min(PAUSE_MAX_MS, PAUSE_MS * 2 ** Math.min(10, warming.tries - 1));
    warming.timer = setTimeout(() => this.#enqueue(model, warming), pauseMs);
    changed();
  }

  #end(model: string): void {
    const warming = this.#warming.get(model);
    this.#warming.delete(model);
    this.#queue.delete(model);
    clearTimeout(warming?.timer);
    warming?.abort.abort();
  }
}
