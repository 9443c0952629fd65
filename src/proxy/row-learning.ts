/**
 * What this router learns of its rows' rates (score/learnt-rates.ts), in its main thread: takes what workers noted of first
 * tokens from shared memory, says what rows are to be written by, and tells people of it.
 *
 * It is forgotten with the row's generation, when somebody asks for that, and when the target is not what it was: its
 * runtime has another version, or the model lies on more or fewer GPUs.
 */
import type { Target } from "../fleet/target.ts";
import { type CostConfig, priorPrefillRate, stepSecondsPerActive } from "../score/cost.ts";
import { FirstTokens } from "../score/first-tokens.ts";
import type { LearningConfig } from "../score/learning-settings.ts";
import type { Learnt } from "../score/learnt-line.ts";
import { confidenceOf, LearntRates, type UsedRate } from "../score/learnt-rates.ts";
import type { RowPriors, RowRates } from "../score/row-rates.ts";
import type { SideFigures } from "../score/row-sides.ts";
import type { ModelSample } from "../score/sample.ts";
import type { ScoreTable } from "../score/table.ts";
import type { Place } from "./places.ts";

/** From here on what streams tell of steps stands in for what the runtime does not tell. */
const CONFIDENT = 0.5;
/** A setting may say that a request adds nothing to a step; a line has some slope. */
const STEP_SECONDS_MIN = 1e-6;

/** What is known of a row's rates, for people. */
export interface RowRate extends UsedRate {
  /** Since a first token taught something; undefined: none did. */
  readonly seenAgoMs: number | undefined;
  /** What a step of decoding takes, and what each request adds to it. */
  readonly step: Learnt;
}

interface Row {
  readonly model: number;
  readonly generation: number;
  readonly rates: RowRates;
  /** What serves the model there: "" while nobody has told. */
  version: string;
  gpus: string;
}

export class RowLearning {
  /** What workers write to. */
  readonly firstTokens: FirstTokens;
  readonly #config: LearningConfig;
  readonly #cost: CostConfig;
  readonly #table: ScoreTable;
  /** By the model's number. */
  readonly #models = new Map<number, LearntRates>();
  readonly #rows = new Map<number, Row>();
  #renewedMs = 0;
  #lost = 0;
  #taken = 0;

  /** Both configurations may change in place. */
  constructor(config: LearningConfig, cost: CostConfig, table: ScoreTable) {
    this.#config = config;
    this.#cost = cost;
    this.#table = table;
    this.firstTokens = FirstTokens.create(table);
  }

  /** Notes of first tokens and streams that were taken, and those that found no room. */
  get counts(): { readonly taken: number; readonly lost: number } {
    return { taken: this.#taken, lost: this.#lost };
  }

  /** A row is about to be written by this sample: what a prompt token takes there. */
  secondsPerPrefillToken({ route: { model }, row }: Place, target: Target, sample: ModelSample | null): number {
    const priors = {
      secondsPerPrefillToken: 1 / priorPrefillRate(sample, this.#cost),
      secondsPerActive: Math.max(STEP_SECONDS_MIN, stepSecondsPerActive(sample, this.#cost)),
    };
    const learnt = this.#modelOf(model);
    const known = this.#rows.get(row);
    const generation = this.#table.generation(row);
    if (known?.generation !== generation || known.model !== model) this.#begin(row, model, generation, priors);
    else known.rates.assume(priors);
    this.#lookAtEngine(this.#rows.get(row)!, engineOf(target, sample));
    return learnt.secondsOf(row) ?? priors.secondsPerPrefillToken;
  }

  /** How far apart tokens are at the row with what it has now, as streams told; null: too few did. */
  step(row: number): Pick<SideFigures, "stepSeconds" | "running"> | null {
    const learnt = this.#rows.get(row)?.rates.step(this.#renewedMs);
    if (!this.#config.enabled || learnt === undefined || confidenceOf(learnt, this.#config) < CONFIDENT) return null;
    const running = Math.max(0, this.#table.active(row));
    return { stepSeconds: learnt.offset + learnt.slope * running, running };
  }

  #begin(row: number, model: number, generation: number, priors: RowPriors): void {
    this.drop(row);
    const rates = this.#modelOf(model).of(row, priors);
    this.#rows.set(row, { model, generation, rates, version: "", gpus: "" });
  }

  #lookAtEngine(row: Row, { version, gpus }: Engine): void {
    const isOther = isChange(row.version, version) || isChange(row.gpus, gpus);
    if (isOther) row.rates.forget();
    row.version = version || row.version;
    row.gpus = gpus || row.gpus;
  }

  #modelOf(model: number): LearntRates {
    let learnt = this.#models.get(model);
    if (learnt === undefined) this.#models.set(model, (learnt = new LearntRates(this.#config)));
    return learnt;
  }

  /** The row leads nowhere any more. */
  drop(row: number): void {
    const known = this.#rows.get(row);
    if (known === undefined) return;
    this.#rows.delete(row);
    const learnt = this.#models.get(known.model);
    learnt?.drop(row);
    if (learnt?.size === 0) this.#models.delete(known.model);
  }

  /** Takes what workers noted since. */
  take(): void {
    const notes = this.firstTokens.take();
    const { lost } = this.firstTokens;
    if (lost !== this.#lost) {
      this.#lost = lost;
      for (const { rates } of this.#rows.values()) rates.lost();
    }
    this.#taken += notes.length;
    for (const note of notes) {
      const known = this.#rows.get(note.row);
      if (known === undefined || known.generation !== note.generation) continue;
      if (note.kind === "first") known.rates.firstToken(note);
      else known.rates.streamEnded(note);
    }
  }

  /** Rows that are written from now on are written by what was taken; `unixMs` is now. */
  renew(unixMs: number): void {
    this.#renewedMs = unixMs;
    for (const learnt of this.#models.values()) learnt.renew(unixMs);
  }

  /** What is known of a row; undefined where nothing is written there. */
  of(row: number, unixMs: number): RowRate | undefined {
    const known = this.#rows.get(row);
    const used = known === undefined ? undefined : this.#models.get(known.model)?.used(row);
    if (known === undefined || used === undefined) return undefined;
    const { seenMs } = used;
    const seenAgoMs = seenMs === -Infinity ? undefined : Math.max(0, unixMs - seenMs);
    return { ...used, seenAgoMs, step: known.rates.step(unixMs) };
  }

  /** Forgets what was learnt of these rows; of how many there was something. */
  forget(rows: Iterable<number>, unixMs: number): number {
    let count = 0;
    for (const row of rows) {
      const known = this.#rows.get(row);
      if (known === undefined) continue;
      if (known.rates.seenMs > -Infinity || known.rates.step(unixMs).samples > 0) count += 1;
      known.rates.forget();
    }
    this.renew(unixMs);
    return count;
  }
}

/** As far as it is told: "" where it is not. */
type Engine = Pick<Row, "version" | "gpus">;

function isChange(before: string, now: string): boolean {
  return before !== "" && now !== "" && before !== now;
}

/** What serves the model at the target, as far as rates go by it. */
function engineOf({ lastSample }: Target, sample: ModelSample | null): Engine {
  const runtimes = lastSample?.runtimes ?? [];
  const runtime = runtimes.find(({ name }) => name === sample?.runtime) ?? runtimes[0];
  const version = runtime === undefined || runtime.version === "" ? "" : `${runtime.kind} ${runtime.version}`;
  // Which GPUs the model is on is found out by and by, and may not be known for a while.
  const gpus = (lastSample?.gpus ?? []).filter(({ models }) => sample !== null && models.includes(sample.model));
  return {
    version,
    gpus: gpus
      .map(({ name, migProfile }) => `${name} ${migProfile ?? ""}`)
      .toSorted()
      .join(),
  };
}
