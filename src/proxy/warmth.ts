/**
 * Which rows are warm, and what is added to the cost of those that are not (slow start, flow/slow-start.ts): a target
 * that comes into use is dearer by a part of what their load costs the warm targets of its model. Where there are none,
 * as in a router that has just started, nothing is added: somebody has to serve.
 *
 * A row that goes out of use (unhealthy, draining, gone) begins anew when it comes back. The mean over a model's warm
 * rows is made anew at most every `MEAN_MS`, so that a thousand targets that start at once cost no more than one.
 */
import type { SlowStartConfig } from "../flow/settings.ts";
import { coldSeconds, shareOf } from "../flow/slow-start.ts";
import { loadSeconds } from "../score/load.ts";
import type { ScoreTable } from "../score/table.ts";

const MEAN_MS = 50;

interface ModelWarmth {
  /** Since when each row in use has been in use. */
  readonly since: Map<number, number>;
  meanSeconds: number;
  meanAtMs: number;
}

export class Warmth {
  readonly #table: ScoreTable;
  readonly #config: SlowStartConfig;
  readonly #models = new Map<number, ModelWarmth>();

  constructor(table: ScoreTable, config: SlowStartConfig) {
    this.#table = table;
    this.#config = config;
  }

  /** The row is about to be written: what to add to its cost, in seconds. */
  coldSeconds(model: number, row: number, inUse: boolean, nowMs: number): number {
    if (!inUse) {
      this.forget(model, row);
      return 0;
    }
    let entry = this.#models.get(model);
    if (entry === undefined) {
      entry = { since: new Map(), meanSeconds: 0, meanAtMs: -Infinity };
      this.#models.set(model, entry);
    }
    let sinceMs = entry.since.get(row);
    if (sinceMs === undefined) {
      sinceMs = nowMs;
      entry.since.set(row, nowMs);
    }
    const share = shareOf(sinceMs, nowMs, this.#config);
    return share < 1 ? coldSeconds(share, this.#meanSeconds(entry, nowMs)) : 0;
  }

  /** The row is out of use. */
  forget(model: number, row: number): void {
    const entry = this.#models.get(model);
    if (entry?.since.delete(row) === true && entry.since.size === 0) this.#models.delete(model);
  }

  /** What the load of a warm row costs, on average; 0 where there is none. */
  #meanSeconds(entry: ModelWarmth, nowMs: number): number {
    if (nowMs - entry.meanAtMs < MEAN_MS) return entry.meanSeconds;
    let sum = 0;
    let count = 0;
    for (const [row, sinceMs] of entry.since) {
      if (shareOf(sinceMs, nowMs, this.#config) < 1) continue;
      sum += loadSeconds(this.#table, row);
      count++;
    }
    entry.meanAtMs = nowMs;
    entry.meanSeconds = count === 0 ? 0 : sum / count;
    return entry.meanSeconds;
  }
}
