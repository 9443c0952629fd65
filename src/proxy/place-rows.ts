/** The figures of places' rows: what a place is expected to cost, of its sample and all else that is known of it. */
import type { Target } from "../fleet/target.ts";
import { type CostConfig, rowValues, UNROUTABLE } from "../score/cost.ts";
import type { TableWriter } from "../score/table-writer.ts";
import { ColdStarts } from "./cold-starts.ts";
import type { Eligibility } from "./eligibility.ts";
import type { PlaceLoads } from "./place-loads.ts";
import type { Place } from "./places.ts";
import { isServed, rowSample } from "./row-sample.ts";
import type { RowLearning } from "./row-learning.ts";
import type { TargetShares } from "./target-shares.ts";
import type { Warmth } from "./warmth.ts";

export class PlaceRows {
  readonly #writer: TableWriter;
  readonly #config: CostConfig;
  readonly #loads: PlaceLoads;
  readonly #eligibility: Eligibility;
  readonly #warmth: Warmth | null;
  readonly #learning: RowLearning | null;
  readonly #shares: TargetShares;
  readonly #coldStarts: ColdStarts;
  /** The newest snapshot that every worker routes by. */
  routed = -1;

  constructor(
    writer: TableWriter,
    config: CostConfig,
    loads: PlaceLoads,
    eligibility: Eligibility,
    warmth: Warmth | null,
    learning: RowLearning | null,
    shares: TargetShares,
  ) {
    this.#writer = writer;
    this.#config = config;
    this.#loads = loads;
    this.#eligibility = eligibility;
    this.#warmth = warmth;
    this.#learning = learning;
    this.#shares = shares;
    this.#coldStarts = new ColdStarts(config);
  }

  /** Whether requests may go there, whatever the policies say. */
  isReady(place: Place, target: Target): boolean {
    return isServed(place, target) && place.since <= this.routed;
  }

  write(place: Place, target: Target, nowMs: number): void {
    const away = this.#eligibility.away(place.model, target, this.#config.zone);
    const ready = this.isReady(place, target) && away !== "only" && this.#eligibility.allows(place.model, target);
    const coldSeconds = this.#warmth?.coldSeconds(place.route.model, place.row, ready, nowMs) ?? 0;
    const { sample, context, sides } = rowSample(place, target, this.#loads.others(place), nowMs, this.#config);
    const requests = (): number => this.#loads.all(place).requests;
    place.loadSeconds = this.#coldStarts.seconds({ place, target }, ready ? sample : null, requests, nowMs);
    const { loadSeconds } = place;
    const isAway = away === "prefer";
    const isOtherShare = this.#shares.isOthers(place);
    const learntSecondsPerPrefillToken = this.#learning?.secondsPerPrefillToken(place, target, sample);
    const known = { ...context, ready, isAway, isOtherShare, coldSeconds, loadSeconds, learntSecondsPerPrefillToken };
    const values = rowValues(sample, known, this.#config);
    const step = sides.stepSeconds === 0 ? this.#learning?.step(place.row) : null;
    const atOnceSeconds = coldSeconds + (isOtherShare ? this.#config.otherShareSeconds : 0);
    this.#writer.write(place.row, values, { ...sides, ...step, atOnceSeconds, isAway: isAway ? 1 : 0 });
    // That which is to be loaded next may be another one: no more than two rows, and none because of these.
    for (const moved of this.#coldStarts.moved()) this.write(moved.place, moved.target, nowMs);
  }

  /** Nothing is sent there any more. */
  close(place: Place): void {
    this.#warmth?.forget(place.route.model, place.row);
    this.#coldStarts.forget(place);
    this.#learning?.drop(place.row);
    this.#writer.write(place.row, rowValues(null, UNROUTABLE, this.#config));
  }
}
