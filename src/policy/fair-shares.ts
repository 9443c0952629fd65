/**
 * Max-min fairness in whole numbers: nobody gets more than it claims, and nobody gets less so that another, who has as
 * much already, gets more.
 */

/** Units of `limit` for each claim. What can't be split evenly goes one by one, in the order of `ranks`, lowest first. */
export function fairShares(limit: number, claims: readonly number[], ranks: readonly number[]): number[] {
  const shares = claims.map(() => 0);
  const byClaim = [...claims.keys()].toSorted((a, b) => claims[a]! - claims[b]! || a - b);
  let left = limit;
  let level = Infinity;
  for (const [place, index] of byClaim.entries()) {
    const claim = claims[index]!;
    // From the first that can't have all it claims, everybody has the same.
    if (level === Infinity && claim * (claims.length - place) > left)
      level = Math.floor(left / (claims.length - place));
    shares[index] = Math.min(claim, level);
    left -= shares[index];
  }
  const unmet = [...claims.keys()].filter((index) => shares[index]! < claims[index]!);
  for (const index of unmet.toSorted((a, b) => ranks[a]! - ranks[b]! || a - b)) {
    if (left < 1) break;
    shares[index]! += 1;
    left -= 1;
  }
  return shares;
}
