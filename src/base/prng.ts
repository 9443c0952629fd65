/**
 * The only source of randomness in the cores: sfc32 (Chris Doty-Humphrey's small fast counting generator, 128 bits of
 * state, passes PractRand), seeded from one number so that every run can be repeated from the seed it printed.
 * Not for secrets.
 */

import { assert, AssertionError } from "./assert.ts";

const TWO_POW_32 = 4294967296;

export class Prng {
  #a: number;
  #b: number;
  #c: number;
  #counter = 1;

  /** Any finite number; the low 64 bits of its integer part choose the stream. */
  constructor(seed: number) {
    assert(Number.isFinite(seed), `a seed must be a finite number, got ${seed}`);
    const whole = Math.trunc(seed);
    this.#a = 0x9e3779b9 | 0;
    this.#b = Math.floor(whole / TWO_POW_32) | 0;
    this.#c = whole | 0;
    // Seeds that differ in one bit must not give streams that start alike.
    for (let round = 0; round < 15; round += 1) this.nextU32();
  }

  /** An integer, uniform in [0, 2^32). */
  nextU32(): number {
    const sum = (((this.#a + this.#b) | 0) + this.#counter) | 0;
    this.#counter = (this.#counter + 1) | 0;
    this.#a = this.#b ^ (this.#b >>> 9);
    this.#b = (this.#c + (this.#c << 3)) | 0;
    this.#c = (((this.#c << 21) | (this.#c >>> 11)) + sum) | 0;
    return sum >>> 0;
  }

  /** Uniform in [0, 1), with 32 random bits. */
  next(): number {
    return this.nextU32() / TWO_POW_32;
  }

  /** An integer, uniform in [0, n). The bias of a plain multiplication is below n / 2^32. */
  int(n: number): number {
    // Here, not in assert(): its message would be made at each of the many calls.
    if (!(Number.isInteger(n) && n > 0 && n <= TWO_POW_32)) {
      throw new AssertionError(`int(n) needs an integer in 1..2^32, got ${n}`);
    }
    return Math.floor(this.next() * n);
  }

  /** True once in n times: what `int(n) === 0` says, by the same draw, for an n that needs no check. */
  isOneIn(n: number): boolean {
    return this.next() * n < 1;
  }

  /** As many draws, of which nobody asks what they were. */
  skip(draws: number): void {
    let [a, b, c, counter] = [this.#a, this.#b, this.#c, this.#counter];
    for (let draw = 0; draw < draws; draw += 1) {
      const sum = (((a + b) | 0) + counter) | 0;
      counter = (counter + 1) | 0;
      a = b ^ (b >>> 9);
      b = (c + (c << 3)) | 0;
      c = (((c << 21) | (c >>> 11)) + sum) | 0;
    }
    [this.#a, this.#b, this.#c, this.#counter] = [a, b, c, counter];
  }

  /** Exponentially distributed with the given mean: times between the events of a Poisson process. */
  exponential(mean: number): number {
    return -Math.log1p(-this.next()) * mean;
  }

  /** Standard normal (mean 0, deviation 1), by Box and Muller; the second value of the pair is let go. */
  normal(): number {
    const radius = Math.sqrt(-2 * Math.log1p(-this.next()));
    return radius * Math.cos(2 * Math.PI * this.next());
  }
}
