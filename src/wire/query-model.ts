/**
 * Finds the parameter `model` of a query; its name is decoded as readers of queries do. Of several, frameworks take this
 * one or that (Starlette the last, Go and Flask the first), so a second one is told (`isTwice`), never chosen from: also
 * in another letter case, and behind a semicolon, which some readers take for an ampersand.
 */
import { ascii, hexDigit, SEMICOLON } from "./octets.ts";

const AMPERSAND = 38;
const EQUALS = 61;
const PERCENT = 37;
const MODEL = ascii("model");

/** What a parameter's name is to us: `model`, the same in another letter case, or anything else. */
const NAME = { other: 0, likeModel: 1, model: 2 } as const;

export class QueryModel {
  /** The value lies in [start, end), still escaped; -1: there is none. */
  start = -1;
  end = -1;
  isTwice = false;

  /** Reads the query [from, to), without its question mark. */
  read(buffer: Uint8Array, from: number, to: number): void {
    this.start = -1;
    this.end = -1;
    let names = 0;
    let at = from;
    let isParameter = true;
    while (at < to) {
      let stop = at;
      while (stop < to && buffer[stop] !== AMPERSAND && buffer[stop] !== SEMICOLON) stop++;
      const name = nameIn(buffer, at, stop);
      if (name !== NAME.other) names++;
      if (name === NAME.model && isParameter && this.start < 0) {
        while (at < stop && buffer[at] !== EQUALS) at++;
        this.start = Math.min(at + 1, stop);
        this.end = stop;
        while (this.end < to && buffer[this.end] !== AMPERSAND) this.end++;
      }
      isParameter = buffer[stop] === AMPERSAND;
      at = stop + 1;
    }
    this.isTwice = names > 1;
  }
}

function nameIn(buffer: Uint8Array, start: number, end: number): number {
  let at = start;
  let isExact = true;
  for (const letter of MODEL) {
    let byte = at < end ? buffer[at++]! : 0;
    if (byte === PERCENT && at + 2 <= end) {
      byte = hexDigit(buffer[at]!) * 16 + hexDigit(buffer[at + 1]!);
      at += 2;
    }
    if ((byte | 32) !== letter) return NAME.other;
    if (byte !== letter) isExact = false;
  }
  if (at < end && buffer[at] !== EQUALS) return NAME.other;
  return isExact ? NAME.model : NAME.likeModel;
}
