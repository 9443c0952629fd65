/**
 * Names as numbers below 2^48, for what routers say to each other of targets, models and tenants: a name may be long, and
 * each router numbers what it has in its own way. Two names of 100,000 share a key with a probability of 2e-5.
 */

export function keyOf(text: string): number {
  let a = 0x811c9dc5;
  let b = 0xcbf29ce4;
  for (let at = 0; at < text.length; at += 1) {
    const code = text.charCodeAt(at);
    a = Math.imul(a ^ code, 0x01000193);
    b = Math.imul(b + code, 0x9e3779b1) ^ (b >>> 15);
  }
  return (((b ^ (b >>> 16)) & 0xffff) >>> 0) * 2 ** 32 + (a >>> 0);
}
