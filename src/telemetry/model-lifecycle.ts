/**
 * Models of a runtime as they come and go: loaded and unloaded by its own calls, warmed up before they are served, drained
 * before they go. What the runtime says of a model is one half of its state, what the agent does with it the other:
 *
 *     available --load--> loading --loaded--> warming --answers--> loaded --unload--> unloading --> available
 *
 * A model is served in `loaded` alone, or where the runtime loads by itself what it is asked for. Who unloads one is told
 * of before the runtime is: for a moment it is served though no longer named, so that routers hear of it; then its
 * requests may end, as far as the runtime's figures tell of them.
 */
import { MeshError } from "../base/errors.ts";
import type { ModelCall, Proof } from "../runtimes/adapter.ts";
import type { LoadTimeConfig } from "../runtimes/load-times.ts";
import type { ModelReading, RuntimeReading } from "../runtimes/reading.ts";
import type { ModelState } from "../base/runtime-terms.ts";
import { LoadWatch } from "./load-watch.ts";
import { LookWaiter, pause } from "./look-waiter.ts";
import { ModelWarming } from "./model-warming.ts";
import { type Asking, carryOut, expectPlan } from "./planned-call.ts";
import type { LoadHow, ModelChange } from "./runtime.ts";
import { warmupAsk } from "./warmup.ts";

export interface LifecycleOptions extends Asking {
  /** Whether models are asked for a token before they are served. */
  readonly warmup: boolean;
  readonly warmupTimeoutMs: number;
  /** What is assumed of loads before some were seen. */
  readonly loadTimes: LoadTimeConfig;
  readonly reading: () => RuntimeReading;
  /** "" where it serves, else why not. */
  readonly notServing: () => string;
  /** The models are likely to change now: they are to be looked at soon. */
  readonly hurry: () => void;
  /** An answer says what became of a model: it is so from now on. */
  readonly proved: (model: string, proof: Proof) => void;
  /** They were looked at since then. */
  readonly hasLooked: (sinceMs: number) => boolean;
  /** Another model is served, or its state is another one. */
  readonly changed: () => void;
  readonly tell: (event: ModelEvent) => void;
  /** Of what is unloaded: served though no longer named. */
  readonly goodbyeMs?: number | undefined;
}

export interface ModelEvent {
  readonly kind: "loading" | "progress" | "warming" | "unloading" | "failed";
  readonly model: string;
  readonly cause: string;
}

/** Not "." or "..", by which a path leads somewhere else. */
const NAME = /^(?!\.{1,2}$)[\x21-\x7e]{1,256}$/;
const GOODBYE_MS = 1000;
const POLL_MS = 250;
/** Between two looks at what is awaited. */
const HURRY_MS = 1000;
/** Until what was hurried has been looked at, at most. */
const LOOK_MS = 4000;
/** By then the runtime was asked what became of a model that had failed before. */
const STALE_MS = 5000;

export class ModelLifecycle {
  readonly #options: LifecycleOptions;
  readonly #doing = new Map<string, "loading" | "unloading">();
  readonly #warming: ModelWarming;
  readonly #loads: LoadWatch;
  readonly #stop = new AbortController();
  readonly #looks = new LookWaiter();

  constructor(options: LifecycleOptions) {
    this.#options = options;
    this.#loads = new LoadWatch(options.loadTimes, options);
    const { name, adapter, ask, bytesMax, warmup, warmupTimeoutMs } = options;
    this.#warming = new ModelWarming({
      isWanted: warmup,
      limits: { timeoutMs: warmupTimeoutMs, bytesMax },
      ask: async (model, limits, signal) => {
        const request = warmupAsk(adapter.kind, this.#find(model));
        return request === undefined ? undefined : ask(request, limits, signal);
      },
      began: (model) => this.#tell("warming", model, `${name} answers a first request`),
      failed: (model, why) => this.#tell("failed", model, why),
      changed: () => {
        options.changed();
        this.#looks.wake();
      },
    });
  }

  /** As others are to see it. */
  stateOf({ model, state }: ModelReading): ModelState {
    const doing = this.#doing.get(model);
    if (doing === "unloading" && state !== "available") return doing;
    if (state === "loaded" && this.#warming.has(model)) return "warming";
    if (doing === "loading" && state !== "loaded") return doing;
    return state;
  }

  /** Why it is as it is; "" where there is nothing to say. */
  reasonOf({ model, reason }: ModelReading): string {
    return reason || this.#warming.why(model);
  }

  /** Whether requests may be sent to it. */
  serves(reading: ModelReading): boolean {
    if (this.#doing.get(reading.model) === "unloading") return false;
    return this.stateOf(reading) === "loaded" || (reading.loadsOnDemand && reading.state !== "unloading");
  }

  /** Of one that is served though it is not loaded: seconds until it is, from a request on; else undefined. */
  loadSecondsOf(reading: ModelReading): number | undefined {
    const state = this.stateOf(reading);
    return state === "loaded" || !this.serves(reading) ? undefined : this.#loads.seconds(reading, state);
  }

  /** The reading, or whether the runtime serves, may be another one. */
  looked(): void {
    const loaded = new Set<string>();
    // One that was gone is cold when it is there again.
    if (this.#options.notServing() === "") {
      for (const reading of this.#options.reading().models) {
        if (reading.state === "loaded") loaded.add(reading.model);
        if (!this.#doing.has(reading.model)) this.#loads.look(reading);
      }
    }
    this.#warming.look(loaded);
    this.#looks.wake();
  }

  stop(): void {
    this.#loads.stop();
    this.#stop.abort(new MeshError("draining", "the agent is stopping"));
    this.#warming.stop();
    this.#looks.wake();
  }

  /** Resolves when the model is served. */
  async load(model: string, signal: AbortSignal, how: LoadHow = {}): Promise<ModelChange> {
    if (!NAME.test(model)) {
      const why = `model is ${JSON.stringify(model.slice(0, 60))}; expected 1 to 256 printable characters`;
      throw new MeshError("bad_request", why, { param: "model" });
    }
    const isLoaded = (): boolean => {
      const found = this.#find(model);
      return found?.state === "loaded" && this.serves(found);
    };
    if (isLoaded() && (await this.#isSoStill(isLoaded, signal))) return { changed: false, models: this.#served() };
    const { adapter, name } = this.#options;
    this.#expectServing();
    const call = expectPlan(
      this.#options,
      adapter.load?.(model, { source: how.source ?? "", parent: how.parent ?? "" }, this.#options.reading()),
      `load ${model}`,
    );
    const before = this.#find(model);
    const former = before?.state === "failed" ? before.reason : undefined;
    await this.#exclusively(
      model,
      "loading",
      async (both) => {
        this.#tell("loading", model, `${name} loads it`);
        // What is fetched from afar first says nothing of the next load.
        if (before !== undefined) this.#loads.began(before);
        await this.#carryOut(model, call, both);
        const untilMs = performance.now() + call.patienceMs;
        await this.#until(model, untilMs, both, () => call.settled(this.#options.reading()), former);
        // Warming has no end of its own: it is the caller's to lose patience.
        await this.#until(model, Infinity, both, () => !this.#warming.has(model));
      },
      signal,
    );
    return { changed: true, models: this.#served() };
  }

  /** Resolves when it is served no more; its requests may go on for up to `drainMs` before that. */
  async unload(model: string, drainMs: number, signal: AbortSignal): Promise<ModelChange> {
    const isNotThere = (): boolean => (this.#find(model)?.state ?? "available") === "available";
    if (isNotThere() && (await this.#isSoStill(isNotThere, signal))) return { changed: false, models: this.#served() };
    const { adapter, name, goodbyeMs = GOODBYE_MS } = this.#options;
    this.#expectServing();
    const call = expectPlan(this.#options, adapter.unload?.(model, this.#options.reading()), `unload ${model}`);
    await this.#exclusively(
      model,
      "unloading",
      async (both) => {
        this.#tell("unloading", model, `${name} lets its requests end, then unloads it`);
        const untilMs = performance.now() + drainMs;
        await pause(Math.min(goodbyeMs, drainMs), both);
        while (this.#isBusy(model) && performance.now() < untilMs) await pause(POLL_MS, both);
        await this.#carryOut(model, call, both);
        const patientMs = performance.now() + call.patienceMs;
        // Of a runtime that is down no models are known: that is no end.
        const isGone = (): boolean => this.#options.notServing() === "" && call.settled(this.#options.reading());
        await this.#until(model, patientMs, both, isGone);
      },
      signal,
    );
    return { changed: true, models: this.#served() };
  }

  /** Some servers answer when it is done, and need not be asked whether it is; others are looked at until it is. */
  async #carryOut(model: string, call: ModelCall, signal: AbortSignal): Promise<void> {
    const answer = await carryOut(this.#options, call, (text) => this.#tell("progress", model, text), signal);
    const proof = answer === undefined ? undefined : call.proves?.(answer);
    if (proof !== undefined && this.#options.notServing() === "") this.#options.proved(model, proof);
  }

  /** What was seen last may be other since then: nothing is left undone for it before another look. */
  async #isSoStill(holds: () => boolean, signal: AbortSignal): Promise<boolean> {
    const { hurry, hasLooked, notServing } = this.#options;
    const sinceMs = performance.now();
    hurry();
    while (holds() && notServing() === "" && !hasLooked(sinceMs) && performance.now() - sinceMs < LOOK_MS) {
      await this.#looks.next(POLL_MS, signal);
    }
    return holds();
  }

  #expectServing(): void {
    const why = this.#options.notServing();
    if (why !== "") throw new MeshError("upstream_failed", `${this.#options.name} serves nothing now: ${why}`);
  }

  #find(model: string): ModelReading | undefined {
    return this.#options.reading().models.find((reading) => reading.model === model);
  }

  #served(): readonly string[] {
    return this.#options
      .reading()
      .models.filter((one) => this.serves(one))
      .map(({ model }) => model);
  }

  /** By its own figures, or by the runtime's where it shares them. */
  #isBusy(model: string): boolean {
    const { figures: shared } = this.#options.reading();
    const { runningRequests, waitingRequests } = this.#find(model)?.figures ?? shared;
    return (runningRequests ?? 0) + (waitingRequests ?? 0) > 0;
  }

  async #exclusively(
    model: string,
    what: "loading" | "unloading",
    run: (signal: AbortSignal) => Promise<void>,
    signal: AbortSignal,
  ): Promise<void> {
    const before = this.#doing.get(model);
    if (before !== undefined) throw new MeshError("conflict", `${model} is ${before} already; try again in a moment`);
    this.#doing.set(model, what);
    this.#options.changed();
    try {
      await run(AbortSignal.any([signal, this.#stop.signal]));
    } catch (error) {
      if (!this.#stop.signal.aborted) this.#tell("failed", model, `${what} it: ${(error as Error).message}`);
      throw error;
    } finally {
      this.#doing.delete(model);
      this.#options.changed();
    }
  }

  /** Waits for what the looks bring; a model that failed meanwhile ends it. `former`: why it had failed before. */
  async #until(
    model: string,
    untilMs: number,
    signal: AbortSignal,
    holds: () => boolean,
    former?: string,
  ): Promise<void> {
    const { name, hurry } = this.#options;
    const staleUntilMs = former === undefined ? 0 : performance.now() + STALE_MS;
    for (let looks = 0; ; looks += 1) {
      signal.throwIfAborted();
      if (holds()) return;
      const found = this.#find(model);
      const isStale = found?.reason === former && performance.now() < staleUntilMs;
      if (found?.state === "failed" && looks > 0 && !isStale) {
        throw new MeshError("upstream_failed", `${name} failed to load it: ${found.reason || "it does not say why"}`);
      }
      this.#expectServing();
      if (performance.now() >= untilMs) throw new MeshError("upstream_timeout", `${name} did not get it done in time`);
      hurry();
      await this.#looks.next(HURRY_MS, signal);
    }
  }

  #tell(kind: ModelEvent["kind"], model: string, cause: string): void {
    this.#options.tell({ kind, model, cause });
  }
}
