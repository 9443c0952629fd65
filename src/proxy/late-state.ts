/** Whether a target has so little to do that a request may be bound to it at once; and what a router knows of that. */
import type { BindingKind } from "../flow/late-room.ts";
import type { LateConfig } from "../flow/late-settings.ts";
import { COLUMN, rowWord } from "../score/layout.ts";
import { isKvFull, isPaced } from "../score/row-marks.ts";
import type { ScoreTable } from "../score/table.ts";
import type { HeldFor } from "./late-news.ts";

const TURN: Readonly<Record<BindingKind, string>> = {
  overdue: "it had waited longest",
  inTime: "it was its turn, by work, age, priority and tenant,",
  late: "it could not be in time any more, and came behind those who could,",
};

/**
 * The row's target will have computed what it has within the horizon, or has nothing of ours; and its batch and cache
 * have room. One that does not tell how fast it computes counts as open. Some loads from shared memory, for every request.
 */
export function isOpen(config: LateConfig, table: ScoreTable, row: number): boolean {
  if (!config.untold && !isPaced(table, row)) return true;
  const { words, floats } = table;
  const word = table.blocksWord + rowWord(row);
  const queued = words[word + COLUMN.queuedTokens]!;
  const active = words[word + COLUMN.activeRequests]!;
  const isSoon =
    queued * (floats[word + COLUMN.secondsPerPrefillToken] ?? 0) * 1000 <= config.horizonMs ||
    queued <= words[word + COLUMN.tokenOffset]!;
  const hasRoom = active < (floats[word + COLUMN.slots] ?? 0) && !isKvFull(table, row);
  return isSoon && (hasRoom || table.inFlight(row) <= 0);
}

/** Why a request that was held went to the node when it did. */
export function heldText({ desk, waitedMs, waiting, aheadMs, workMs, kind }: HeldFor, node: string): string {
  const ms = (value: number): string => `${Math.round(value)} ms`;
  const among = waiting > 1 ? ` of ${waiting} that waited` : "";
  const ahead = aheadMs < 1 ? "had nothing left to compute" : `was to be free in ${ms(aheadMs)}`;
  const by = desk === "" ? "" : `, by the word of ${desk}, which decides for the model`;
  return `it was held for ${ms(waitedMs)}${by}, until ${node} ${ahead}; its own prompt takes ${ms(workMs)} there, and ${TURN[kind]}${among}`;
}

/** For explanations. */
export class LateState {
  readonly #table: ScoreTable;
  readonly #now: () => { readonly config: LateConfig; readonly desk: Desk | null };

  constructor(table: ScoreTable, now: () => { readonly config: LateConfig; readonly desk: Desk | null }) {
    this.#table = table;
    this.#now = now;
  }

  /** What a request would meet that the score gives the row to. */
  meets(model: number, row: number, node: string): string {
    const { config, desk } = this.#now();
    const waiting = desk?.heldFor(model) ?? 0;
    const decider = desk?.deciderOf(model) ?? "";
    const by = decider === "" ? "" : ` by the word of ${decider}, which decides for the model`;
    if (waiting > 0 && decider !== "") return `it would be held${by}, with others that wait already`;
    if (waiting > 0) return `it would be held, with ${waiting} that wait already`;
    if (isOpen(config, this.#table, row)) return `${node} has little enough to do to get it at once`;
    return `it would be held${by} until ${node} or another is about to be free`;
  }
}

interface Desk {
  /** How many wait for the model, as far as this router knows. */
  heldFor(model: number): number;
  /** The router whose desk decides for the model; "": this one. */
  deciderOf(model: number): string;
}
