/**
 * How many of one model's targets may be ejected at a time, as one worker sees it.
 *
 * Targets are ejected since others serve the model better. When most of them fail, that is no longer so: the fault lies
 * in what they share (the network, a store, the requests themselves), and each one that is taken out makes the rest
 * fail sooner. So a worker asks here before it marks a row in the shared table:
 *
 *   eject    the mark may be made: at most `maxEjectedShare` of the targets are out then, but of two or more always one.
 *   spare    as many are out as may be, or it is the only one: it stays in use, and its breaker is to be pardoned.
 *   pardon   every target of the model has failed by now. All marks are to be taken away and all breakers pardoned:
 *            nothing is ejected when everything fails.
 *
 * What other workers ejected is told by the caller, who counts the marked rows; that is done only when a target has
 * failed. Memory: one entry for each target that failed lately.
 */
import type { OutlierConfig } from "./settings.ts";

export type Ejection = "eject" | "spare" | "pardon";

export class Outliers {
  readonly #config: OutlierConfig;
  /** Until when each row would be out if it were alone in that, whether it was ejected or spared. */
  readonly #failing = new Map<number, number>();

  constructor(config: OutlierConfig) {
    this.#config = config;
  }

  /**
   * A row wants to be out until `untilMs`. `targets`: those that serve the model; `ejected`: those of them that are out
   * now, this one not counted.
   */
  judge(row: number, untilMs: number, targets: number, ejected: number, nowMs: number): Ejection {
    const failing = this.#failing;
    for (const [other, endsMs] of failing) if (endsMs <= nowMs) failing.delete(other);
    failing.set(row, untilMs);
    if (targets < 2) return "spare";
    if (failing.size >= targets) {
      failing.clear();
      return "pardon";
    }
    const { maxEjectedShare } = this.#config;
    const allowed = maxEjectedShare === 0 ? 0 : Math.max(1, Math.floor(targets * maxEjectedShare));
    // Never all of them, whatever the share: one must be left to serve.
    return ejected < Math.min(allowed, targets - 1) ? "eject" : "spare";
  }

  /** The row is well again, or belongs to another target from now on. */
  forget(row: number): void {
    this.#failing.delete(row);
  }
}
