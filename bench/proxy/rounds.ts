/**
 * Interleaved rounds: A B C, B C A, ... since a shared machine drifts, and whoever comes first finds it otherwise than
 * whoever comes last. What is told of two peers is the median of the ratios within each round, not the ratio of their
 * medians: neighbours in time are what can be compared.
 */

export function median(values: readonly number[]): number {
  const sorted = values.toSorted((a, b) => a - b);
  const middle = sorted.length >> 1;
  const upper = sorted[middle] ?? Number.NaN;
  return sorted.length % 2 === 1 ? upper : (upper + (sorted[middle - 1] ?? Number.NaN)) / 2;
}

export function rounded(value: number, digits = 3): number {
  return Number(value.toFixed(digits));
}

/** Those that take part, in this round's order. */
export function inTurn<T>(all: readonly T[], round: number): T[] {
  const first = all.length === 0 ? 0 : round % all.length;
  return [...all.slice(first), ...all.slice(0, first)];
}

/** What was measured, by name, one entry a round. */
export class Rounds<Figures> {
  readonly #all = new Map<string, Figures[]>();

  add(name: string, figures: Figures): void {
    const known = this.#all.get(name);
    if (known === undefined) this.#all.set(name, [figures]);
    else known.push(figures);
  }

  of(name: string): readonly Figures[] {
    return this.#all.get(name) ?? [];
  }

  median(name: string, value: (figures: Figures) => number): number {
    return median(this.of(name).map(value));
  }

  sum(name: string, value: (figures: Figures) => number): number {
    return this.of(name).reduce((sum, figures) => sum + value(figures), 0);
  }

  /** The median of what `combine` makes of both within each round; null when the other took no part. */
  against(
    name: string,
    other: string,
    value: (figures: Figures) => number,
    combine: (mine: number, theirs: number) => number = (mine, theirs) => mine / theirs,
  ): number | null {
    const theirs = this.of(other);
    const pairs = this.of(name).flatMap((figures, round) => {
      const their = theirs[round];
      return their === undefined ? [] : [combine(value(figures), value(their))];
    });
    return pairs.length === 0 ? null : rounded(median(pairs));
  }
}
