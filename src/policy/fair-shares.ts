/**
 * Max-min fairness in whole numbers: nobody gets more than it claims, and nobody gets less so that another, who has as
 * much already, gets more.
 */

/** Units of `limit` for each claim. What can't be split evenly goes one by one, in the order of `ranks`, lowest first. */
export function fairShares(limit: number, claims: readonly number[], ranks: readonly number[]): number[] {
  const shares = claims.map(() => 0);
  const byClaim = [...claims.keys()].toSorted((a, b) => claims[a]! - claims[b]! || a - b);
  let left = limit;
  for (const [place, index] of byClaim.entries()) {
    const share = Math.min(claims[index]!, Math.floor(left / (claims.length - place)));
    shares[index] = share;
    left -= share;
  }
  // Whoever is not satisfied has the same share: fewer units are left than there are of them.
  const unmet = [...claims.keys()].filter((index) => shares[index]! < claims[index]!);
  for (const index of unmet.toSorted((a, b) => ranks[a]! - ranks[b]! || a - b)) {
    if (left < 1) break;
    shares[index]! += 1;
    left -= 1;
  }
  return shares;
}
