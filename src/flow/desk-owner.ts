/**
 * Which router decides for a model, of those that take part: each ranks all of them by a hash of router and model, and the
 * highest has it (rendezvous hashing; Thaler, Ravishankar 1998). All that know the same routers agree without a word, models
 * are spread evenly, and who joins or leaves moves only the models that it gets or had.
 */
import { keyOf } from "../base/key.ts";

/** How high a router stands for a model; both by their keys. */
function rank(router: number, model: number): number {
  let a = Math.imul((router ^ model) >>> 0, 0x85ebca6b);
  let b = Math.imul(Math.floor(router / 2 ** 32) ^ Math.floor(model / 2 ** 32) ^ (a >>> 13), 0xc2b2ae35);
  a = Math.imul(a ^ (b >>> 16), 0x27d4eb2f);
  b ^= Math.imul(a ^ (a >>> 15), 0x165667b1);
  return (b ^ (b >>> 13)) >>> 0;
}

/** The one of these that decides for the model of that key; "" where there is none. */
export function deskOwner(routers: Iterable<string>, model: number): string {
  let owner = "";
  let highest = -1;
  for (const router of routers) {
    const own = rank(keyOf(router), model);
    if (own < highest || (own === highest && router >= owner)) continue;
    highest = own;
    owner = router;
  }
  return owner;
}
