/** Near misses: what someone who mistyped a name meant. */

/** `did you mean NAME?` for a near miss, else "". */
export function didYouMean(name: string, names: readonly string[]): string {
  const near = nearest(name, names);
  return near === undefined ? "" : `did you mean ${near}?`;
}

/** The name that is closest in spelling, if any is close enough to be meant. */
export function nearest(name: string, names: readonly string[]): string | undefined {
  if (name.length > 100) return undefined;
  const wanted = name.toLowerCase();
  let best: string | undefined;
  // A third of it may be wrong, but something must be right.
  let least = Math.min(name.length, Math.max(1, Math.floor(name.length / 3)) + 1);
  for (const candidate of names) {
    const lower = candidate.toLowerCase();
    // Their lengths alone are further apart.
    if (Math.abs(lower.length - wanted.length) >= least) continue;
    const distance = editDistance(wanted, lower);
    if (distance < least) [best, least] = [candidate, distance];
  }
  // Someone who writes only the end or the start of a long name means that name, if it is the only one.
  if (best !== undefined || name.length < 3) return best;
  const parts = names.filter((candidate) => candidate.toLowerCase().includes(wanted));
  return parts.length === 1 ? parts[0] : undefined;
}

/** Damerau and Levenshtein's distance, neighbours swapped counting once. */
function editDistance(a: string, b: string): number {
  let previous: number[] = [];
  let row = Array.from({ length: b.length + 1 }, (_, j) => j);
  for (let i = 1; i <= a.length; i += 1) {
    const next = [i];
    for (let j = 1; j <= b.length; j += 1) {
      const same = a[i - 1] === b[j - 1];
      let cost = Math.min((row[j] ?? 0) + 1, (next[j - 1] ?? 0) + 1, (row[j - 1] ?? 0) + (same ? 0 : 1));
      if (i > 1 && j > 1 && a[i - 1] === b[j - 2] && a[i - 2] === b[j - 1]) {
        cost = Math.min(cost, (previous[j - 2] ?? 0) + 1);
      }
      next.push(cost);
    }
    previous = row;
    row = next;
  }
  return row[b.length] ?? 0;
}
