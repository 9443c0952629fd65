/** The late desk with a clock and the crew's threads around it; what it decides is in late-desk.ts. */
import type { LateConfig } from "../flow/late-settings.ts";
import type { FlowConfig } from "../flow/settings.ts";
import type { PrefixIndex } from "../score/prefix-index.ts";
import { PrefixLookup } from "../score/prefix-lookup.ts";
import type { ScoreTable } from "../score/table.ts";
import { LateDesk } from "./late-desk.ts";
import type { LookUp } from "./late-model.ts";
import type { LateBound, LateNews } from "./late-news.ts";

/** Of the longest wait that the queue allows, after which whoever waits goes first: the rest is for being served in. */
const OVERDUE_PART = 2 / 3;

export class LateService {
  /** How many wait, by model, and last a count that goes on as long as the desk is at work: what workers look at. */
  readonly waiting: SharedArrayBuffer;
  readonly #waiting: Int32Array;
  readonly #desk: LateDesk;
  #timer: ReturnType<typeof setTimeout> | undefined;
  #timerAtMs = Infinity;

  /** `config` may change in place. */
  constructor(
    config: FlowConfig,
    table: ScoreTable,
    index: PrefixIndex | null,
    tell: (worker: number, bound: readonly LateBound[]) => void,
  ) {
    this.waiting = new SharedArrayBuffer((table.modelsMax + 1) * 4);
    this.#waiting = new Int32Array(this.waiting);
    this.#desk = new LateDesk(lateConfig(config), table, this.#waiting, () => Date.now(), lookUpIn(index), tell);
  }

  /** How many wait for the model. */
  held(model: number): number {
    return this.#waiting[model] ?? 0;
  }

  get desk(): LateDesk {
    return this.#desk;
  }

  heard(worker: number, news: LateNews): void {
    this.#desk.heard(worker, news, performance.now());
    this.#schedule();
  }

  /** The worker is gone, and what it had claimed was given back. */
  gone(worker: number): void {
    this.#desk.gone(worker, performance.now());
    this.#schedule();
  }

  /** Nothing is decided any more, until something is heard. */
  stop(): void {
    clearTimeout(this.#timer);
    this.#timerAtMs = Infinity;
  }

  #schedule(): void {
    const atMs = this.#desk.wakeAtMs;
    if (atMs === this.#timerAtMs) return;
    clearTimeout(this.#timer);
    this.#timerAtMs = atMs;
    if (atMs < Infinity) this.#timer = setTimeout(this.#wake, Math.max(0, atMs - performance.now()));
  }

  readonly #wake = (): void => {
    this.#timerAtMs = Infinity;
    this.#desk.wake(performance.now());
    this.#schedule();
  };
}

/** Who has a prompt cached, by the index that workers write; nobody, where there is none. */
function lookUpIn(index: PrefixIndex | null): LookUp {
  if (index === null) return () => [];
  const lookup = new PrefixLookup(index);
  return ({ chain, blocks, tokensPerBlock, tokensLess }) => {
    lookup.ask(chain, blocks, tokensPerBlock, tokensLess);
    lookup.match();
    lookup.clear();
    const homes = lookup.homes();
    lookup.askNothing();
    return homes;
  };
}

/** What holds for requests that are held, which the queue's bounds hold for too. */
export function lateConfig({ late, queue }: FlowConfig): LateConfig {
  return Object.create(late, {
    waitMsMax: { get: () => Math.min(late.waitMsMax, queue.waitMsMax * OVERDUE_PART) },
  }) as LateConfig;
}
