/**
 * The strategy of a user in one worker: chooses for models whose policy says nothing else, or is asked beside whatever
 * chooses, and its answers only compared (its shadow). Until a module is loaded, and where it fails, `ttft` chooses.
 */
import type { WorkerCounters } from "../obs/worker-counters.ts";
import { type FaultKind, GuardedStrategy } from "../score/guarded-strategy.ts";
import { type Choosing, ModelStrategy } from "../score/model-strategy.ts";
import type { PickRequest } from "../score/pick.ts";
import { arrivalStrategy } from "../score/strategies.ts";
import type { ScoreTable } from "../score/table.ts";
import { nowMs } from "./clock.ts";
import type { ProxyConfig } from "./settings.ts";
import { isModule, loadStrategy, type MakeStrategy } from "./strategy-module.ts";

export interface UserStrategiesOptions {
  readonly table: ScoreTable;
  /** May change in place. */
  readonly config: ProxyConfig;
  readonly counters: Pick<WorkerCounters, "module">;
  /** Something that people should know. */
  notice(text: string): void;
  /** A module came, or another one is to be used. */
  changed(): void;
}

const COUNTS = { threw: "moduleThrew", slow: "moduleSlow", invalid: "moduleInvalid" } as const satisfies Record<
  FaultKind,
  string
>;

export class UserStrategies {
  readonly #options: UserStrategiesOptions;
  #path = "";
  #shadowPath = "";
  #make: MakeStrategy | null = null;
  #makeShadow: MakeStrategy | null = null;
  /** By model. */
  #shadows: (ModelStrategy | undefined)[] = [];

  constructor(options: UserStrategiesOptions) {
    this.#options = options;
  }

  /** Whether a module chooses. */
  get isThere(): boolean {
    return this.#make !== null;
  }

  /** Loads what the settings name now. */
  async follow(): Promise<void> {
    const { strategy, strategyShadow } = this.#options.config;
    const [path, shadowPath] = [isModule(strategy) ? strategy : "", strategyShadow];
    const isSame = path === this.#path && shadowPath === this.#shadowPath;
    this.#path = path;
    this.#shadowPath = shadowPath;
    if (isSame) return;
    const [make, makeShadow] = [await this.#load(path), await this.#load(shadowPath)];
    // Other settings may have come meanwhile.
    if (path !== this.#path || shadowPath !== this.#shadowPath) return;
    this.#make = make;
    this.#makeShadow = makeShadow;
    this.#shadows = [];
    this.#options.changed();
  }

  async #load(path: string): Promise<MakeStrategy | null> {
    if (path === "") return null;
    try {
      return await loadStrategy(path);
    } catch (error) {
      this.#options.notice(error instanceof Error ? error.message : String(error));
      return null;
    }
  }

  /** One for a model. */
  strategy(seed: number): GuardedStrategy {
    return this.#guarded(this.#make!, seed, "models go by ttft now");
  }

  #guarded(make: MakeStrategy, seed: number, rest: string): GuardedStrategy {
    const { config, counters } = this.#options;
    const user = make(seed);
    return new GuardedStrategy(
      user,
      arrivalStrategy("ttft", seed),
      { budgetMs: config.strategyBudgetMs, faultsMax: config.strategyFaultsMax },
      {
        fault: (kind) => counters.module(COUNTS[kind]),
        disabled: (why) =>
          this.#options.notice(`the strategy ${user.name} is asked no more in this worker, ${why}; ${rest}`),
      },
      () => performance.now(),
    );
  }

  /** Asks the shadow, if there is one, and compares; `pick` stays as it is. */
  compare(pick: PickRequest, row: number, choosing: Choosing): void {
    if (this.#makeShadow === null) return;
    const shadow = (this.#shadows[pick.model] ??= this.#newShadow(this.#makeShadow));
    const { cost, ties, torn, cachedTokens } = pick;
    const other = shadow.pick(pick, choosing, nowMs());
    pick.answer(cost, ties, torn);
    pick.cachedTokens = cachedTokens;
    if (other >= 0) this.#options.counters.module(other === row ? "moduleAgreed" : "moduleDiffered");
  }

  #newShadow(make: MakeStrategy): ModelStrategy {
    const guarded = this.#guarded(make, 1, "it chose for nobody");
    return new ModelStrategy(
      {
        name: guarded.name,
        needsPrefixes: true,
        needsFigures: true,
        choose: (view, wanted, atMs) => guarded.ask(view, wanted, atMs),
        observe: (target, ttftMs, atMs) => guarded.observe(target, ttftMs, atMs),
        forget: (target) => guarded.forget(target),
      },
      this.#options.table,
    );
  }

  observe(model: number, row: number, ttftMs: number): void {
    this.#shadows[model]?.observe(row, ttftMs, nowMs());
  }

  /** The model's number means another one from now on. */
  forget(model: number): void {
    this.#shadows[model] = undefined;
  }
}
