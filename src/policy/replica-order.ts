/**
 * Which nodes serve a model that only so many may serve: the same ones for everybody who knows the same nodes, another
 * order for each model, and one that comes or goes moves no others (rendezvous hashing).
 */

/** The targets in the order in which they are to serve: `preferred` first. */
export function ranked(model: string, ids: readonly string[], preferred: readonly string[]): string[] {
  const places = new Map(preferred.map((id, place) => [id, place]));
  return ids
    .map((id) => ({ id, place: places.get(id) ?? places.size, rank: rankOf(model, id) }))
    .toSorted((a, b) => a.place - b.place || a.rank - b.rank || (a.id < b.id ? -1 : 1))
    .map(({ id }) => id);
}

/** FNV-1a, and a finish that makes neighbours unlike (MurmurHash3's). */
function rankOf(model: string, id: string): number {
  let hash = 0x811c9dc5;
  for (const char of `${model}\n${id}`) hash = Math.imul(hash ^ (char.codePointAt(0) ?? 0), 0x01000193);
  hash = Math.imul(hash ^ (hash >>> 16), 0x85ebca6b);
  hash = Math.imul(hash ^ (hash >>> 13), 0xc2b2ae35);
  return (hash ^ (hash >>> 16)) >>> 0;
}
