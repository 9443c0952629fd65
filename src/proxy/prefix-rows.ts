/**
 * The main thread's side of the prefix index: what a row held is forgotten when it is given to another target, and how
 * much its target's cache holds is taken from what it tells.
 */
import type { Target } from "../fleet/target.ts";
import { PrefixIndex } from "../score/prefix-index.ts";
import type { PrefixConfig } from "../score/prefix-settings.ts";
import type { PlaceInUse } from "./places.ts";
import { sampleOf } from "./row-sample.ts";
import type { NumberedCounts } from "./served-models.ts";

export class PrefixRows {
  readonly index: PrefixIndex;
  /** As the workers need it. */
  readonly missWeight: number;
  readonly #capacityTokens: number;
  readonly #bytesPerToken: () => number;

  private constructor(config: PrefixConfig, rowsMax: number, bytesPerToken: () => number) {
    this.index = PrefixIndex.create(config.indexBytes, rowsMax);
    this.missWeight = config.missWeight;
    this.#capacityTokens = config.capacityTokens;
    this.#bytesPerToken = bytesPerToken;
  }

  /** Null where it is turned off. `rowsMax` as the score table has. */
  static create(config: PrefixConfig, rowsMax: number, bytesPerToken: () => number): PrefixRows | null {
    return config.enabled ? new PrefixRows(config, rowsMax, bytesPerToken) : null;
  }

  /** Counts that begin anew with a row, and with them what it holds. */
  with(counts: NumberedCounts): NumberedCounts {
    return {
      resetModel: (model) => counts.resetModel(model),
      resetRow: (row) => {
        counts.resetRow(row);
        this.index.reset(row, this.#capacityTokens, this.#bytesPerToken());
      },
    };
  }

  /** Takes capacities from the newest samples. */
  refresh(places: Iterable<PlaceInUse>, target: (id: string) => Target | undefined): void {
    for (const place of places) {
      const of = target(place.target);
      const told = of === undefined ? undefined : sampleOf(of, place.model)?.kvCapacityTokens;
      const tokens = told !== undefined && told > 0 ? told : this.#capacityTokens;
      this.index.setCapacity(place.row, tokens, this.#bytesPerToken());
    }
  }
}
