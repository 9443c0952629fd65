/** Figures of several rows, added up. */
import type { Labels } from "./exposition.ts";

/** Counts of several rows that belong to one name, added up. */
export function sumsOf<A extends string, B extends string>(
  outer: A,
  inner: B,
  rows: readonly (readonly [name: string, counts: ReadonlyMap<string, number>])[],
): (readonly [Labels<A | B>, number])[] {
  const sums = new Map<string, Map<string, number>>();
  for (const [name, counts] of rows) {
    const own = sums.get(name) ?? new Map<string, number>();
    sums.set(name, own);
    for (const [key, count] of counts) own.set(key, (own.get(key) ?? 0) + count);
  }
  return [...sums].flatMap(([name, counts]) =>
    [...counts].map(([key, count]) => [{ [outer]: name, [inner]: key } as Labels<A | B>, count] as const),
  );
}

export function sum(values: Iterable<number>): number {
  let total = 0;
  for (const value of values) total += value;
  return total;
}
