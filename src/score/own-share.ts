/**
 * Which targets of a model a router prefers to others that are as good. What routers have just sent is known to others
 * tenths of a second later; until then several send to the same target, the one that looks best to all of them. So each has a
 * share: targets go to routers by turns, in the order of their keys, which is the same at all of them. While a router's
 * own targets have room, nobody else sends there, and what it knows of them is what is so. Those of others are dearer by
 * `otherShareSeconds`, less than a prompt usually takes: they are used when its own are at work, when a prompt is cached
 * there, or when they are faster.
 *
 * Nothing is lost where routers do not agree for a moment who is there: each sends anywhere all the same.
 */

/** Those of these keys that are in the share of the router at that place of all of them. */
export function ownShare(keys: readonly number[], router: number, routers: number): Set<number> {
  return new Set(keys.toSorted((a, b) => a - b).filter((_, at) => at % routers === router));
}
