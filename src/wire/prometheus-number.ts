/**
 * Numbers as Prometheus' texts write them, which is as Go's ParseFloat reads them: decimals with or without exponent,
 * hexadecimals with one, Inf, Infinity and NaN in any letter case.
 *
 * Up to fifteen digits and powers of ten up to 22 are exact in a double, so one multiplication or division rounds them
 * as the best reader would, and makes no text of them (Clinger 1990). Others go through the platform's reader.
 */
import { hexDigit, latin1 } from "./octets.ts";

const DIGITS_MAX = 15;
const POWERS = Array.from({ length: 23 }, (_, power) => 10 ** power);
/** Beyond this every double is 0 or infinite; more digits of an exponent change nothing. */
const EXPONENT_MAX = 100_000;

const PLUS = 43;
const MINUS = 45;
const POINT = 46;
const ZERO = 48;
const LOWER_E = 101;
const LOWER_P = 112;
const LOWER_X = 120;
const WORD_BYTES_MAX = 9;

export class NumberReader {
  /** Of the last read that took what it was given. */
  value = 0;
  #exponent = 0;

  /** Whether the bytes [start, end) are a number and nothing else. */
  read(source: Uint8Array, start: number, end: number): boolean {
    const first = source[start];
    const isNegative = first === MINUS;
    let i = isNegative || first === PLUS ? start + 1 : start;
    let mantissa = 0;
    let digits = 0;
    let fraction = 0;
    let isDigit = false;
    let isFraction = false;
    for (; i < end; i++) {
      const digit = source[i]! - ZERO;
      if (digit >= 0 && digit <= 9) {
        isDigit = true;
        if (digits > 0 || digit > 0) digits++;
        mantissa = mantissa * 10 + digit;
        if (isFraction) fraction++;
      } else if (source[i] === POINT && !isFraction) isFraction = true;
      else break;
    }
    if (!isDigit) return this.#word(source, start, end);
    if (i < end && (source[i]! | 32) === LOWER_X) return this.#hexadecimal(source, start, end);
    this.#exponent = 0;
    if (i < end && ((source[i]! | 32) !== LOWER_E || !this.#readExponent(source, i + 1, end))) return false;
    const power = this.#exponent - fraction;
    if (digits > DIGITS_MAX || power < -22 || power > 22) {
      this.value = Number(latin1(source, start, end));
      return true;
    }
    const size = power < 0 ? mantissa / POWERS[-power]! : mantissa * POWERS[power]!;
    this.value = isNegative ? -size : size;
    return true;
  }

  #readExponent(source: Uint8Array, start: number, end: number): boolean {
    const isNegative = source[start] === MINUS;
    let i = isNegative || source[start] === PLUS ? start + 1 : start;
    if (i >= end) return false;
    let exponent = 0;
    for (; i < end; i++) {
      const digit = source[i]! - ZERO;
      if (digit < 0 || digit > 9) return false;
      exponent = Math.min(EXPONENT_MAX, exponent * 10 + digit);
    }
    this.#exponent = isNegative ? -exponent : exponent;
    return true;
  }

  #word(source: Uint8Array, start: number, end: number): boolean {
    if (end - start > WORD_BYTES_MAX) return false;
    const word = latin1(source, start, end).toLowerCase();
    if (word === "nan") this.value = Number.NaN;
    else if (/^\+?inf(inity)?$/.test(word)) this.value = Infinity;
    else if (/^-inf(inity)?$/.test(word)) this.value = -Infinity;
    else return false;
    return true;
  }

  /** 0x1.8p-3: digits with a point among them, then a power of two, which must be there. */
  #hexadecimal(source: Uint8Array, start: number, end: number): boolean {
    const isNegative = source[start] === MINUS;
    let i = isNegative || source[start] === PLUS ? start + 1 : start;
    if (source[i] !== ZERO || (source[i + 1]! | 32) !== LOWER_X) return false;
    let mantissa = 0;
    let isDigit = false;
    let pointAt = -1;
    for (i += 2; i < end; i++) {
      const digit = hexDigit(source[i]!);
      if (digit >= 0) {
        isDigit = true;
        mantissa = mantissa * 16 + digit;
      } else if (source[i] === POINT && pointAt < 0) pointAt = i;
      else break;
    }
    if (!isDigit || i >= end || (source[i]! | 32) !== LOWER_P) return false;
    const fraction = pointAt < 0 ? 0 : i - pointAt - 1;
    if (!this.#readExponent(source, i + 1, end)) return false;
    const size = mantissa * 2 ** (this.#exponent - fraction * 4);
    this.value = isNegative ? -size : size;
    return !Number.isNaN(size);
  }
}
