/**
 * Drives a simulated node by real time: one timer for the next moment at which something happens, `speed` simulated
 * milliseconds for every real one. Timers have a grain of a millisecond; a late one finds several steps due and
 * settles them together.
 */

import { Histogram } from "../base/histogram.ts";
import type { BatchingStats, EndEvent } from "../sim/batching.ts";
import type { Faults } from "../sim/faults.ts";
import type { GpuIncident } from "../sim/gpu-faults.ts";
import type { GpuState } from "../sim/gpu.ts";
import { SimNode } from "../sim/node.ts";
import type { Profile } from "../sim/profile.ts";
import type { SimRequest } from "../sim/sequence.ts";

/** One sequence of a request: what the engine shall do, and who is told. */
export interface Job {
  readonly request: Omit<SimRequest, "id">;
  /** `count` tokens from index `first` on are there. */
  onTokens?(first: number, count: number): void;
  onEnd(end: EndEvent): void;
}

// The bounds of vLLM's own histograms (vllm/v1/metrics/loggers.py).
const TTFT_BOUNDS = [
  0.001, 0.005, 0.01, 0.02, 0.04, 0.06, 0.08, 0.1, 0.25, 0.5, 0.75, 1, 2.5, 5, 7.5, 10, 20, 40, 80, 160, 640, 2560,
];
const TOKEN_BOUNDS = [0.01, 0.025, 0.05, 0.075, 0.1, 0.15, 0.2, 0.3, 0.4, 0.5, 0.75, 1, 2.5, 5, 7.5, 10, 20, 40, 80];
const REQUEST_BOUNDS = [0.3, 0.5, 0.8, 1, 1.5, 2, 2.5, 5, 10, 15, 20, 30, 40, 50, 60, 120, 240, 480, 960, 1920, 7680];

/** 1, 2, 5, 10, ... up to `max`. */
function bounds125(max: number): number[] {
  const bounds: number[] = [];
  for (let decade = 1; decade <= max; decade *= 10) {
    for (const digit of [1, 2, 5]) if (digit * decade <= max) bounds.push(digit * decade);
  }
  return bounds;
}

/** What vLLM counts of the requests that finished; seconds are real ones. */
export class RequestHistograms {
  readonly timeToFirstToken = new Histogram(TTFT_BOUNDS);
  readonly interToken = new Histogram(TOKEN_BOUNDS);
  readonly perOutputToken = new Histogram(TOKEN_BOUNDS);
  readonly endToEnd = new Histogram(REQUEST_BOUNDS);
  readonly queue = new Histogram(REQUEST_BOUNDS);
  readonly inference = new Histogram(REQUEST_BOUNDS);
  readonly prefill = new Histogram(REQUEST_BOUNDS);
  readonly decode = new Histogram(REQUEST_BOUNDS);
  readonly promptTokens: Histogram;
  readonly generationTokens: Histogram;
  readonly maxTokens: Histogram;
  readonly choices = new Histogram([1, 2, 5, 10, 20]);

  constructor(contextTokensMax: number) {
    this.promptTokens = new Histogram(bounds125(contextTokensMax));
    this.generationTokens = new Histogram(bounds125(contextTokensMax));
    this.maxTokens = new Histogram(bounds125(contextTokensMax));
  }

  observe(end: EndEvent, secondsPerMs: number): void {
    const { submittedAtMs, admittedAtMs, endedAtMs, outputTokens } = end;
    const firstTokenAtMs = end.firstTokenAtMs < 0 ? endedAtMs : end.firstTokenAtMs;
    this.promptTokens.observe(end.promptTokens);
    this.generationTokens.observe(outputTokens);
    this.endToEnd.observe((endedAtMs - submittedAtMs) * secondsPerMs);
    this.queue.observe((admittedAtMs - submittedAtMs) * secondsPerMs);
    this.inference.observe((endedAtMs - admittedAtMs) * secondsPerMs);
    this.prefill.observe((firstTokenAtMs - admittedAtMs) * secondsPerMs);
    this.decode.observe((endedAtMs - firstTokenAtMs) * secondsPerMs);
    if (outputTokens === 0) return;
    this.timeToFirstToken.observe((firstTokenAtMs - submittedAtMs) * secondsPerMs);
    if (outputTokens === 1) return;
    // The mean for each of them: single gaps are not kept for requests that nobody watches token by token.
    const gap = ((endedAtMs - firstTokenAtMs) * secondsPerMs) / (outputTokens - 1);
    this.interToken.observe(gap, outputTokens - 1);
    this.perOutputToken.observe(gap);
  }
}

const TIMER_MS_MAX = 2 ** 31 - 1;

export class MockEngine {
  readonly profile: Profile;
  readonly speed: number;
  readonly histograms: RequestHistograms;
  readonly #node: SimNode;
  readonly #jobs = new Map<number, Job>();
  readonly #startedAtMs = performance.now();
  #nextId = 1;
  #timer: ReturnType<typeof setTimeout> | undefined;
  #pumping = false;
  #closed = false;
  readonly #moved: () => void;

  /** `moved`: its figures may be others than before. */
  constructor(options: { profile: Profile; seed: number; speed: number; gpus: number; moved?: () => void }) {
    this.#moved = options.moved ?? (() => {});
    this.profile = options.profile;
    this.speed = options.speed;
    this.histograms = new RequestHistograms(options.profile.contextTokensMax);
    this.#node = new SimNode(options, 0);
  }

  /** Simulated milliseconds since the start. */
  get #nowMs(): number {
    return (performance.now() - this.#startedAtMs) * this.speed;
  }

  /** All of them arrive at the same instant; returns the ids to cancel them by. */
  submit(jobs: readonly Job[]): number[] {
    const nowMs = this.#nowMs;
    const ids = jobs.map((job) => {
      const id = this.#nextId;
      this.#nextId += 1;
      this.#jobs.set(id, job);
      this.#node.submit({ ...job.request, id }, nowMs);
      return id;
    });
    this.#pump();
    this.#moved();
    return ids;
  }

  /** Blocks that came from another engine. */
  preload(hashes: readonly number[]): void {
    this.#node.preload(hashes, this.#nowMs);
    this.#pump();
    this.#moved();
  }

  /** Frees their places and blocks at once; nobody is told of anything more. */
  cancel(ids: readonly number[]): void {
    const nowMs = this.#nowMs;
    let found = false;
    for (const id of ids) {
      if (!this.#jobs.delete(id)) continue;
      this.#node.cancel(id, nowMs);
      found = true;
    }
    if (!found) return;
    this.#pump();
    this.#moved();
  }

  get faults(): Faults {
    return this.#node.faults;
  }

  setFaults(faults: Faults): void {
    this.#node.setFaults(faults, this.#nowMs);
    this.#pump();
    this.#moved();
  }

  happen(incident: GpuIncident): void {
    this.#node.happen(incident, this.#nowMs);
  }

  drawError(): boolean {
    return this.#node.drawError();
  }

  stats(): BatchingStats {
    this.#pump();
    return this.#node.stats(this.#nowMs);
  }

  gpus(): { states: readonly GpuState[]; memoryUsedBytes: (index: number) => number } {
    const states = this.#node.gpus(this.#nowMs);
    return { states, memoryUsedBytes: (index) => this.#node.gpuMemoryUsedBytes(index) };
  }

  close(): void {
    this.#closed = true;
    clearTimeout(this.#timer);
    this.#jobs.clear();
  }

  /** Settles what is due, tells of it, and sets the timer. Those who are told may submit and cancel. */
  #pump(): void {
    if (this.#pumping || this.#closed) return;
    this.#pumping = true;
    clearTimeout(this.#timer);
    this.#node.wake(this.#nowMs);
    for (;;) {
      const { tokens, finished } = this.#node.take();
      if (tokens.length === 0 && finished.length === 0) break;
      for (const { id, first, count } of tokens) this.#jobs.get(id)?.onTokens?.(first, count);
      for (const end of finished) {
        const job = this.#jobs.get(end.id);
        if (job === undefined) continue;
        this.#jobs.delete(end.id);
        if (end.end === "finished") this.histograms.observe(end, 0.001 / this.speed);
        job.onEnd(end);
      }
    }
    this.#pumping = false;
    const { wakeAtMs } = this.#node;
    if (wakeAtMs === Infinity || this.#closed) return;
    const delayMs = Math.min(TIMER_MS_MAX, Math.max(0, Math.ceil((wakeAtMs - this.#nowMs) / this.speed)));
    const wake = (): void => {
      this.#pump();
      this.#moved();
    };
    this.#timer = setTimeout(wake, delayMs);
  }
}
