/**
 * Text without a model: a tokeniser that is deterministic and cuts English into pieces of about four characters, and a
 * writer whose text follows from a seed alone. The two agree: the tokeniser cuts a written text into exactly the tokens
 * that the writer counted, so the next turn of a conversation finds the last answer in the prefix cache.
 */

import { Prng } from "../base/prng.ts";
import { chainHash } from "./kv-cache.ts";

/** No piece is longer, so a text of c characters has at least c / 8 tokens. */
export const PIECE_CHARS_MAX = 8;
const WORD_CHARS_MAX = 6;
const VOCABULARY_MASK = 0x1ffff;

const SPACE = 32;

function isWord(code: number): boolean {
  return (code >= 97 && code <= 122) || (code >= 65 && code <= 90) || (code >= 48 && code <= 57) || code >= 128;
}

function isBlank(code: number): boolean {
  return code === SPACE || code === 10 || code === 9 || code === 13;
}

/** Where the piece that begins at `start` ends: a word's part with the blank before it, blanks, or one other sign. */
function pieceEnd(text: string, start: number): number {
  const first = text.charCodeAt(start);
  let end = start + 1;
  const wordAhead = first === SPACE && end < text.length && isWord(text.charCodeAt(end));
  if (wordAhead || isWord(first)) {
    while (end < text.length && end - start < WORD_CHARS_MAX && isWord(text.charCodeAt(end))) end += 1;
    return end;
  }
  if (!isBlank(first)) return end;
  while (end < text.length && end - start < PIECE_CHARS_MAX && isBlank(text.charCodeAt(end))) {
    // The last blank before a word belongs to the word.
    if (text.charCodeAt(end) === SPACE && end + 1 < text.length && isWord(text.charCodeAt(end + 1))) break;
    end += 1;
  }
  return end;
}

function pieceId(text: string, start: number, end: number): number {
  let hash = 0x811c9dc5;
  for (let index = start; index < end; index += 1) hash = Math.imul(hash ^ text.charCodeAt(index), 0x01000193);
  return (hash ^ (hash >>> 17)) & VOCABULARY_MASK;
}

/** Token ids of a text. */
export function tokenize(text: string): number[] {
  const ids: number[] = [];
  for (let start = 0; start < text.length;) {
    const end = pieceEnd(text, start);
    ids.push(pieceId(text, start, end));
    start = end;
  }
  return ids;
}

/** A number that stands for a text and a seed, as the start of a hash chain. */
export function saltOf(seed: number, text: string): number {
  const tokens = tokenize(text);
  return chainHash(Math.abs(Math.trunc(seed)), tokens, 0, tokens.length);
}

const WORDS =
  `the a of and to in is that for with as on by this from at it an are be which or can each one all more when other
  has into its than so some they but most only over time first while two between many after both under work use same
  where long point through different number small part state system large line order place model light form water high
  right case often change group set old value second level early data field open rule less near given clear simple
  whole common above result kind short end real full later problem question answer reason process general possible
  available important structure language information example memory network machine temperature experiment history
  measure balance pattern signal surface energy morning river garden winter summer mountain window letter paper
  music story village harbour engine bridge forest island kitchen market season shadow silver thunder traveller weather
  carefully slowly usually rarely quickly together perhaps almost already beyond across without against toward during
  shows makes keeps takes gives finds holds turns moves grows needs means begins follows remains becomes explains
  suggests requires includes produces connects describes depends improves reaches carries returns answers`
    .split(/\s+/)
    .filter((word) => word.length > 0);

/** Texts and ids of the pieces of a word with what stands before it. */
function pieces(text: string): { texts: string[]; ids: number[] } {
  const texts: string[] = [];
  const ids: number[] = [];
  for (let start = 0; start < text.length;) {
    const end = pieceEnd(text, start);
    texts.push(text.slice(start, end));
    ids.push(pieceId(text, start, end));
    start = end;
  }
  return { texts, ids };
}

const INNER = WORDS.map((word) => pieces(` ${word}`));
const capital = (word: string) => word.charAt(0).toUpperCase() + word.slice(1);
const LEADING = WORDS.map((word) => pieces(` ${capital(word)}`));
const OPENING = WORDS.map((word) => pieces(capital(word)));
const COMMA = pieces(",");
const STOP = pieces(".");
const BREAK = pieces("\n\n");

const NATURAL_TOKENS_MIN = 16;
const NATURAL_TOKENS_MAX = 256;

/** An endless text, made as far as it is read. */
export class Writer {
  readonly #prng: Prng;
  readonly #texts: string[] = [];
  readonly #ids: number[] = [];
  #wordsLeft = 0;
  #sentencesLeft = 0;
  /** The next word begins the text or a paragraph. */
  #opening = true;
  /** The next word begins a sentence. */
  #leads = false;
  /** After how many tokens it ends of itself. */
  readonly naturalTokens: number;

  constructor(seed: number) {
    this.#prng = new Prng(seed);
    this.naturalTokens = NATURAL_TOKENS_MIN + this.#prng.int(NATURAL_TOKENS_MAX - NATURAL_TOKENS_MIN + 1);
    this.#startParagraph();
  }

  /** The text of the token of that index. */
  text(index: number): string {
    while (this.#texts.length <= index) this.#write();
    return this.#texts[index] as string;
  }

  /** The id that the tokeniser gives it. */
  id(index: number): number {
    while (this.#ids.length <= index) this.#write();
    return this.#ids[index] as number;
  }

  #startParagraph(): void {
    this.#sentencesLeft = 2 + this.#prng.int(4);
    this.#startSentence();
    this.#opening = true;
  }

  #startSentence(): void {
    this.#wordsLeft = 5 + this.#prng.int(11);
  }

  #write(): void {
    const word = this.#prng.int(WORDS.length);
    const from = this.#opening ? OPENING : this.#leads ? LEADING : INNER;
    this.#opening = false;
    this.#leads = false;
    this.#push(from[word] as { texts: string[]; ids: number[] });
    this.#wordsLeft -= 1;
    if (this.#wordsLeft > 0) {
      if (this.#wordsLeft > 1 && this.#prng.next() < 0.08) this.#push(COMMA);
      return;
    }
    this.#push(STOP);
    this.#leads = true;
    this.#sentencesLeft -= 1;
    if (this.#sentencesLeft > 0) this.#startSentence();
    else {
      this.#push(BREAK);
      this.#startParagraph();
    }
  }

  #push({ texts, ids }: { texts: string[]; ids: number[] }): void {
    for (const text of texts) this.#texts.push(text);
    for (const id of ids) this.#ids.push(id);
  }
}

/** A vector of length 1 that follows from a seed. */
export function unitVector(seed: number, dimensions: number): Float32Array {
  const prng = new Prng(seed);
  const vector = new Float32Array(dimensions);
  let squares = 0;
  for (let index = 0; index < dimensions; index += 1) {
    const value = prng.normal();
    vector[index] = value;
    squares += value * value;
  }
  const scale = 1 / Math.sqrt(squares);
  for (let index = 0; index < dimensions; index += 1) vector[index] = (vector[index] as number) * scale;
  return vector;
}
