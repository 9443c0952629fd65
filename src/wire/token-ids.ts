/**
 * A prompt of token ids in a JSON body: `[1, 2, 3]`, or one of those in a list, `[[1, 2, 3]]`, as OpenAI's completions
 * take it. Anything else, several prompts in a list among it, is none: text has no ids here.
 */
import { BLANK } from "./json-scan.ts";

const OPEN = 91;
const CLOSE = 93;
const COMMA = 44;
const ZERO = 48;
const ID_MAX = 0xffff_ffff;

/** The ids of bytes [from, to), written to `ids` as far as they fit; answers how many there are in all, -1: it is none. */
export function readTokenIds(bytes: Uint8Array, from: number, to: number, ids: Uint32Array): number {
  let at = skip(bytes, from, to);
  if (at >= to || bytes[at] !== OPEN) return -1;
  at = skip(bytes, at + 1, to);
  const isNested = at < to && bytes[at] === OPEN;
  if (isNested) at = skip(bytes, at + 1, to);
  let count = 0;
  for (;;) {
    let id = 0;
    const begin = at;
    for (; at < to; at += 1) {
      const digit = bytes[at]! - ZERO;
      if (digit < 0 || digit > 9) break;
      id = id * 10 + digit;
    }
    if (at === begin || id > ID_MAX) return -1;
    if (count < ids.length) ids[count] = id;
    count += 1;
    at = skip(bytes, at, to);
    if (at >= to || bytes[at] !== COMMA) break;
    at = skip(bytes, at + 1, to);
  }
  if (bytes[at] !== CLOSE || at >= to) return -1;
  at = skip(bytes, at + 1, to);
  if (isNested) {
    if (at >= to || bytes[at] !== CLOSE) return -1;
    at = skip(bytes, at + 1, to);
  }
  return at === to ? count : -1;
}

function skip(bytes: Uint8Array, from: number, to: number): number {
  let at = from;
  while (at < to && BLANK[bytes[at]!] === 1) at += 1;
  return at;
}
