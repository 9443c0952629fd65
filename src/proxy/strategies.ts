/**
 * By which strategy each model's targets are chosen in one worker: what the model's policy says, else the setting. The
 * strategies are those that the simulator plays (score/strategies.ts), each model with an instance of its own; `ttft` is
 * the scorer's scan, which counts as theirs does, and `late` leaves the choice to the desk while targets are at work.
 *
 * What a model goes by is worked out once, until policies, settings or routes change; a strategy that stays the same keeps
 * what it remembers.
 */
import type { SessionHome } from "../flow/fair-order.ts";
import { type ArrivalStrategy, arrivalStrategy, strategyNamed } from "../score/strategies.ts";
import { type Choosing, ModelStrategy } from "../score/model-strategy.ts";
import { NO_TARGET, type Picker, type PickRequest } from "../score/pick.ts";
import { RowSides } from "../score/row-sides.ts";
import type { WorkerCounters } from "../obs/worker-counters.ts";
import type { BalanceSpec } from "../policy/spec.ts";
import type { ScoreTable } from "../score/table.ts";
import { nowMs, unixMs } from "./clock.ts";
import type { Enforcement } from "./enforcement.ts";
import type { PrefixNotes } from "./prefix-notes.ts";
import { openPrefixes, type Prefixes, type PrefixStart } from "./prefixes.ts";
import type { Routes } from "./routes.ts";
import { homeOfSession, rowOfSession, SLACK_MS } from "./sessions.ts";
import { drawRevision } from "./splits.ts";
import type { ProxyConfig } from "./settings.ts";
import { isModule } from "./strategy-module.ts";
import { UserStrategies } from "./user-strategies.ts";

/** How one model's targets are chosen. */
interface Way {
  readonly name: ArrivalStrategy | "late" | "module";
  readonly picker: Picker;
  /** Null: the scorer's. */
  readonly own: ModelStrategy | null;
  /** What the policy says beside the strategy; null: there is none. */
  policy: BalanceSpec | null;
}

export interface StrategiesOptions {
  readonly index: number;
  readonly table: ScoreTable;
  readonly routes: Routes;
  /** The scan. */
  readonly picker: Picker;
  readonly prefixes: Prefixes | null;
  /** May change in place. */
  readonly config: ProxyConfig;
  /** By when a first token is wanted of which nobody says so; may change. */
  readonly patienceMs: () => number;
  readonly counters: Pick<WorkerCounters, "module">;
  /** Tells people something. */
  readonly notice: (text: string) => void;
  readonly late: { readonly isDefault: boolean } | null;
  /** The policies; null: there are none. */
  readonly enforcement: () => Pick<Enforcement, "balanceOf"> | null;
}

/** By which strategy models are balanced of which no policy says so. */
export function defaultStrategy(
  { strategy }: Pick<ProxyConfig, "strategy">,
  isLateByDefault: boolean,
): ArrivalStrategy | "late" | "module" {
  if (isModule(strategy)) return "module";
  const name = strategyNamed(strategy);
  return name === "late" && !isLateByDefault ? "ttft" : name;
}

/** All that a worker chooses targets with. */
export function openChoosing(
  start: PrefixStart | null,
  notes: PrefixNotes,
  options: Omit<StrategiesOptions, "prefixes">,
) {
  const { pick, prefixes } = openPrefixes(start, options.config, notes);
  return { pick, prefixes, picker: options.picker, strategies: new Strategies({ ...options, prefixes }) };
}

export class Strategies {
  readonly #options: StrategiesOptions;
  readonly #sides: RowSides;
  readonly user: UserStrategies;
  readonly #weightOf = (row: number): number => this.#options.routes.target(row)?.weight ?? 1;
  readonly #match = (): void => this.#options.prefixes?.match();
  /** By model. */
  #ways: (Way | undefined)[] = [];
  /** What was in use when something changed, to be kept where it stays the same. */
  #before: (Way | undefined)[] = [];

  constructor(options: StrategiesOptions) {
    this.#options = options;
    this.#sides = new RowSides(options.table);
    const { table, config, counters, notice } = options;
    this.user = new UserStrategies({
      table,
      config,
      counters,
      notice,
      changed: () => {
        // Another module is another strategy, though it is called the same.
        this.changed();
        this.#before = this.#before.map((way) => (way?.name === "module" ? undefined : way));
      },
    });
  }

  /** Policies, settings or routes are others now. */
  changed(): void {
    for (const [model, way] of this.#ways.entries()) if (way !== undefined) this.#before[model] = way;
    this.#ways = [];
  }

  /** The model's number means another one from now on. */
  forget(model: number): void {
    this.#ways[model] = undefined;
    this.#before[model] = undefined;
    this.user.forget(model);
  }

  nameOf(model: number): string {
    return this.#wayOf(model).name;
  }

  pickerOf(model: number): Picker {
    return this.#wayOf(model).picker;
  }

  /** The field of a head that names the session of the model's requests; null: sessions play no part. */
  sessionField(model: number): string | null {
    return this.#wayOf(model).policy?.session?.field ?? null;
  }

  /** The row that the request's session has, where that is not behind the picked one by much; else that one. */
  rowOfSession(pick: PickRequest, picked: number): number {
    const { session } = this.#wayOf(pick.model).policy ?? {};
    if (session === undefined) return picked;
    return rowOfSession(this.#options.table, this.#options.routes, pick, picked, session);
  }

  /** Where a request that is held would rather go, for its session; null: it is of none. */
  homeOfSession(pick: PickRequest): SessionHome | null {
    const { session } = this.#wayOf(pick.model).policy ?? {};
    if (session === undefined || pick.session === 0) return null;
    const row = homeOfSession(this.#options.table, this.#options.routes, pick, NO_TARGET);
    return row === NO_TARGET ? null : { row, slackMs: session.slackMs ?? SLACK_MS };
  }

  /** The number under which the request's targets are: the model's own, or that of a revision that was drawn for it. */
  revisionOf(model: number): number {
    const { split } = this.#wayOf(model).policy ?? {};
    if (split === undefined) return model;
    const { table, routes } = this.#options;
    return drawRevision(table, routes, model, split, table.nowDeciseconds(unixMs()), Math.random());
  }

  /** Where what can't be served by a revision goes; -1: the number is no revision's. */
  wholeOf(model: number): number {
    const { routes } = this.#options;
    const whole = routes.wholeOf(model);
    return whole === model ? -1 : whole;
  }

  /** Which revision gets copies of the model's requests, and of which part; null: none. */
  shadowOf(model: number): { readonly model: number; readonly share: number } | null {
    const { shadow } = this.#wayOf(model).policy ?? {};
    if (shadow === undefined) return null;
    const { routes } = this.#options;
    const id = routes.revisions(routes.wholeOf(model)).get(shadow.revision);
    return id === undefined || id === model ? null : { model: id, share: shadow.share };
  }

  /** A row was picked for a first attempt: the strategy in the shadow is asked too. */
  compare(pick: PickRequest, row: number): void {
    if (this.#options.config.strategyShadow !== "") this.user.compare(pick, row, this.#choosing(pick.model));
  }

  /** Whether the desk has a say in where the model's requests go. */
  isBoundLate(model: number): boolean {
    return this.#wayOf(model).name === "late";
  }

  /** Whether its requests are sent a second time where a first token is late, though they are of no class. */
  isHedged(model: number): boolean {
    return this.#wayOf(model).name === "hedged";
  }

  /** A first token came from the row, so long after it was sent. */
  observe(model: number, row: number, ttftMs: number): void {
    this.#wayOf(model).own?.observe(row, ttftMs, nowMs());
    this.user.observe(model, row, ttftMs);
  }

  /** A request was bound to the row; answers the tokens that `left` is to be told of. */
  came(model: number, row: number, tokens: number): number {
    if (this.#wayOf(model).own?.strategy.needsContexts !== true) return 0;
    this.#sides.addContext(this.#options.index, row, tokens);
    return tokens;
  }

  left(row: number, tokens: number): void {
    if (tokens > 0) this.#sides.addContext(this.#options.index, row, -tokens);
  }

  #wayOf(model: number): Way {
    return (this.#ways[model] ??= this.#resolve(model));
  }

  #resolve(model: number): Way {
    const { routes, config, late, enforcement } = this.#options;
    const said = enforcement()?.balanceOf(routes.modelName(model));
    const byDefault = defaultStrategy(config, late?.isDefault === true);
    const wanted = said === undefined ? byDefault : strategyNamed(said.strategy);
    const name = wanted === "module" && !this.user.isThere ? "ttft" : wanted;
    const before = this.#before[model];
    const way = before?.name === name ? before : this.#newWay(name);
    way.policy = said ?? null;
    return way;
  }

  #newWay(name: Way["name"]): Way {
    const { picker } = this.#options;
    if (name === "late" || name === "ttft" || name === "hedged") {
      return { name, picker, own: null, policy: null };
    }
    const { table } = this.#options;
    const seed = crypto.getRandomValues(new Uint32Array(1))[0] ?? 0;
    const own = new ModelStrategy(name === "module" ? this.user.strategy(seed) : arrivalStrategy(name, seed), table);
    const pick = (request: PickRequest): number => own.pick(request, this.#choosing(request.model), nowMs());
    return { name, own, policy: null, picker: { kind: "typescript", pick } };
  }

  #choosing(model: number): Choosing {
    const { routes, patienceMs, config } = this.#options;
    return {
      rows: routes.rowsOf(model),
      weightOf: this.#weightOf,
      match: this.#match,
      patienceMs: patienceMs(),
      gapMs: config.tokenGapMs,
    };
  }
}
