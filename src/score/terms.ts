/**
 * A row's cost in its terms, for people: the same figures and the same formula as the scorers (pick.ts), one row at a
 * time and with a name for each part. For explanations, not for choices: a row that the main thread is changing may be
 * read half old and half new.
 */
import { COLUMN, COST_COLUMNS, rowWord } from "./layout.ts";
import type { ScoreTable } from "./table.ts";

/** Columns that a cost is made of, in the order in which they are kept. */
export const FIGURES = ["capacity", "activeRequests", "queuedTokens", "ejectedUntil", ...COST_COLUMNS] as const;
type Figure = (typeof FIGURES)[number];

export type RowFigures = Readonly<Record<Figure, number>>;

export const TERM_NAMES = ["prefill", "active", "queue", "kv", "load", "penalty"] as const;
export type TermName = (typeof TERM_NAMES)[number];

export interface RowCost {
  /** Why it may not be chosen; "" where it may. */
  readonly obstacle: "" | "unroutable" | "full" | "ejected";
  /** Expected time to the first token: the sum of the terms. */
  readonly seconds: number;
  readonly terms: Readonly<Record<TermName, number>>;
  readonly activeRequests: number;
  readonly queuedTokens: number;
}

const INTEGERS: ReadonlySet<Figure> = new Set(["activeRequests", "queuedTokens", "ejectedUntil"]);

/** The figures of a row as they are now. */
export function figuresOf({ words, floats, blocksWord }: ScoreTable, row: number): RowFigures {
  const at = blocksWord + rowWord(row);
  const read = (figure: Figure): number =>
    (INTEGERS.has(figure) ? Atomics.load(words, at + COLUMN[figure]) : floats[at + COLUMN[figure]]) ?? 0;
  return Object.fromEntries(FIGURES.map((figure) => [figure, read(figure)])) as Record<Figure, number>;
}

/** The figures that were kept as the bits of the table's words, in the order of FIGURES. */
export function figuresIn(bits: readonly number[]): RowFigures {
  const words = Int32Array.from(bits);
  const floats = new Float32Array(words.buffer);
  return Object.fromEntries(
    FIGURES.map((figure, at) => [figure, (INTEGERS.has(figure) ? words : floats)[at] ?? 0]),
  ) as Record<Figure, number>;
}

/** What a row has of a prompt, and how much dearer the rest gets with its load. */
export interface Cached {
  readonly cachedTokens: number;
  readonly missWeight: number;
}

/** Of a prompt that nobody has told. */
const NOTHING_CACHED: Cached = { cachedTokens: 0, missWeight: 0 };

/** `loadSeconds`: what of the penalty is the time that loading the model takes, where that is known. */
export function costOf(
  figures: RowFigures,
  promptTokens: number,
  nowDeciseconds: number,
  loadSeconds = 0,
  { cachedTokens, missWeight }: Cached = NOTHING_CACHED,
): RowCost {
  const active = Math.max(0, figures.activeRequests);
  const before = Math.max(0, figures.queuedTokens);
  const fresh = Math.max(0, promptTokens - cachedTokens);
  const queued = before + fresh;
  const price = 1 + missWeight * Math.min(1, before * figures.secondsPerPrefillToken);
  const excess = Math.max(0, figures.kvOffset + queued * figures.kvPerToken);
  const load = Math.min(loadSeconds, figures.penaltySeconds);
  const terms = {
    prefill: (before + fresh * price) * figures.secondsPerPrefillToken,
    active: active * figures.secondsPerActive,
    queue: Math.max(0, active + 1 - figures.slots) * figures.secondsPerQueuedRequest,
    kv: excess * excess,
    load,
    penalty: figures.penaltySeconds - load,
  };
  const { capacity, ejectedUntil } = figures;
  let obstacle: RowCost["obstacle"] = "";
  if (!(capacity > 0)) obstacle = "unroutable";
  else if (!(capacity > active)) obstacle = "full";
  else if (ejectedUntil > nowDeciseconds) obstacle = "ejected";
  const seconds = terms.prefill + terms.active + terms.queue + terms.kv + terms.load + terms.penalty;
  return { obstacle, seconds, terms, activeRequests: active, queuedTokens: before };
}

/** What a term is made of, in words. */
export function termDetail(
  name: TermName,
  figures: RowFigures,
  promptTokens: number,
  { cachedTokens }: Cached = NOTHING_CACHED,
): string {
  const active = Math.max(0, figures.activeRequests);
  const before = Math.round(Math.max(0, figures.queuedTokens));
  switch (name) {
    case "prefill":
      return `${before} tokens wait and ${promptTokens} come with the request${
        cachedTokens > 0
          ? `, ${Math.min(promptTokens, Math.trunc(cachedTokens))} of which it is believed to have cached`
          : ""
      }, ${rate(figures.secondsPerPrefillToken)} tokens a second`;
    case "active":
      return `${active} requests are in its batch`;
    case "queue":
      return active + 1 > figures.slots
        ? `${active + 1 - figures.slots} requests wait for one of ${figures.slots} slots`
        : `${figures.slots - active} of ${figures.slots} slots are free`;
    case "kv":
      return figures.kvOffset + (before + promptTokens) * figures.kvPerToken > 0
        ? "its KV cache is fuller than is good for it"
        : "its KV cache has room";
    case "load":
      return "the model must be loaded there first, where it is not";
    case "penalty":
      return "the way to it, doubt about it, its being in another router's share, the age of what is known of it, its being new, and a load of the model that is not told apart";
  }
}

function rate(secondsPerToken: number): string {
  return secondsPerToken > 0 ? String(Math.round(1 / secondsPerToken)) : "any number of";
}
