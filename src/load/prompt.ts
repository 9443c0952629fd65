/**
 * Texts of so many tokens. A token is a blank and a short common word: one token to the tokenisers in use, and to the one of
 * the mock runtime.
 *
 * A block that others share (a hash of a trace) has a text that follows from its id and the seed alone, wherever it comes:
 * what had one prefix when it was recorded has one prefix of text here, and a server's cache finds it. What is shared with
 * nobody follows from the request's number. A chat template stands before all of it, the same for all.
 *
 * Limits: texts of shared blocks are kept, up to KEPT_CHARACTERS_MAX; those used longest ago are made anew.
 */
import { Prng } from "../base/prng.ts";
import { chainHash } from "../sim/kv-cache.ts";

const KEPT_CHARACTERS_MAX = 33_554_432;
const SHARED = 1;
const ALONE = 2;

/** 256: a byte of randomness a word. None is longer than 5 letters, which the mock runtime's tokeniser would cut. */
const WORDS =
  `the of and to in is you that it he was for on are as with his they at be this have from or one had by word but
  not what all were we when your can said there use an each which she do how their if will up other about out many
  then them these so some her would make like him into time has look two more write go see no way could my than
  first been call who oil its now find long down day did get come made may part over new sound take only work know
  place year live me back give most very after thing our just name good man think say great where help much too
  line right old any same tell boy came want show also form three small set put end does big even such turn here
  why ask went men read need land home us move try kind hand sky play spell air away page point still learn plant
  cover food sun four state keep eye never last let city tree cross farm hard start might story saw far sea draw
  left late run while press close night real life few north book carry took room fish stop once base hear horse
  cut sure watch color face wood main open seem next white begin got walk ease paper group music those both mark
  often until mile river car feet care plain girl usual young ready above ever red list feel talk bird soon body
  dog`
    .split(/\s+/)
    .map((word) => ` ${word}`);

export class PromptWriter {
  readonly #seed: number;
  readonly #blockTokens: number;
  readonly #kept = new Map<number, string>();
  #keptCharacters = 0;

  constructor(seed: number, blockTokens: number) {
    this.#seed = seed;
    this.#blockTokens = blockTokens;
  }

  /** The prompt of the request with that number. It begins with a blank, and needs no escape in JSON. */
  text(hashes: readonly number[], tokens: number, number: number): string {
    let text = "";
    for (const id of hashes) text += this.#block(id);
    const left = tokens - hashes.length * this.#blockTokens;
    return left > 0 ? text + words(seedOf(this.#seed, number, ALONE), left) : text;
  }

  #block(id: number): string {
    const kept = this.#kept.get(id);
    if (kept !== undefined) {
      this.#kept.delete(id);
      this.#kept.set(id, kept);
      return kept;
    }
    const text = words(seedOf(this.#seed, id, SHARED), this.#blockTokens);
    this.#kept.set(id, text);
    this.#keptCharacters += text.length;
    for (const [oldest, its] of this.#kept) {
      if (this.#keptCharacters <= KEPT_CHARACTERS_MAX) break;
      this.#kept.delete(oldest);
      this.#keptCharacters -= its.length;
    }
    return text;
  }
}

function seedOf(seed: number, number: number, kind: number): number {
  return chainHash(Math.abs(seed), [kind, number | 0, Math.floor(number / 2 ** 32)], 0, 3);
}

function words(seed: number, count: number): string {
  const prng = new Prng(seed);
  let text = "";
  let bits = 0;
  for (let at = 0; at < count; at += 1) {
    if (at % 4 === 0) bits = prng.nextU32();
    text += WORDS[bits & 255]!;
    bits >>>= 8;
  }
  return text;
}
