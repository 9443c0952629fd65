/** What a page says of models that come and go, beside those that it names. */
import type { FigureMaker } from "./metric-figures.ts";
import type { MetricMap, ModelHint } from "./metric-map.ts";
import type { Slot } from "./metric-slot.ts";

export class ModelHints {
  /** Grows whenever more loads, or models let go, are counted than before. */
  loadsMark = 0;
  /** The last page would have told of models that somebody else loaded or let go. */
  countsLoads = false;
  readonly #texts: readonly Slot[];
  readonly #counts: readonly Slot[];
  readonly #shown: readonly Slot[];
  #text = 0;
  #count = 0;

  constructor({ modelHints = [], hintsShownBy }: MetricMap, maker: FigureMaker) {
    const slotsOf = (hints: readonly ModelHint[]) => hints.flatMap((hint) => maker.hintSlots(hint));
    this.#texts = slotsOf(modelHints.filter((hint) => !("counted" in hint)));
    this.#counts = slotsOf(modelHints.filter((hint) => "counted" in hint));
    this.#shown = hintsShownBy === undefined ? [] : slotsOf([{ counted: hintsShownBy }]);
  }

  /** The page counts: whether it hints at other models than the one before. */
  commit(page: number): boolean {
    const [text, count] = [sumOn(this.#texts, page), sumOn(this.#counts, page)];
    const isOther = text !== this.#text || count !== this.#count;
    if (count !== this.#count) this.loadsMark++;
    this.#text = text;
    this.#count = count;
    this.countsLoads = this.#shown.some((slot) => slot.whole.page === page);
    return isOther;
  }

  clear(): void {
    this.countsLoads = false;
  }
}

function sumOn(slots: readonly Slot[], page: number): number {
  let sum = 0;
  for (const slot of slots) if (slot.whole.page === page) sum += slot.whole.sum;
  return sum;
}
