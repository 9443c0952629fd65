/**
 * Reads the pages of one server, one after the other. What a page has in common with the one before is followed line by
 * line (prometheus-lines.ts), and only its numbers are looked at: a tenth of the work. From the first line on that is
 * another one it is read as any page is (prometheus.ts), and remembered anew. What is told is the same either way.
 *
 *     const reader = new PageReader({ families, isOpenMetrics, sample, keep, again, forget });
 *     const { bad } = reader.read(page);
 *
 * Where pages are others each time (a server may have no order in what it tells), it stops remembering for a while.
 */
import { CR, HT, LF, SP } from "./octets.ts";
import {
  Followed,
  followLines,
  type FollowLines,
  LINE,
  type LineKind,
  LineTable,
  ODD_WORDS,
} from "./prometheus-lines.ts";
import { NumberReader } from "./prometheus-number.ts";
import { BODY_BYTES_MAX, type PrometheusEnd, type PrometheusOptions, PrometheusReader } from "./prometheus.ts";

export interface PageOptions extends Omit<PrometheusOptions, "described"> {
  /** Whether what the last sample came to can be done again for another value; then it is, under the next number from 0 on. */
  readonly keep: () => boolean;
  /** A sample that was kept is there again, with this value. */
  readonly again: (kept: number, value: number) => void;
  /** Of those that were kept only so many are left. */
  readonly forget: (kept: number) => void;
  /** C where it is there. */
  readonly follow?: FollowLines | undefined;
}

const HASH = 35;
const OPEN = 123;
const CLOSE = 125;
/** So many pages in a row of which less than half was as before; then so many are read without being remembered. */
const STRANGE_MAX = 4;
const STRANGE_PAGES = 64;

/** One for all: pages are read one at a time. */
const followed = new Followed();

export class PageReader {
  readonly #options: PageOptions;
  readonly #reader: PrometheusReader;
  readonly #follow: FollowLines;
  readonly #table = new LineTable();
  readonly #number = new NumberReader();
  #isFull = false;
  #isSampled = false;
  /** It has a time or an exemplar, too. */
  #isMore = false;
  #strange = 0;

  constructor(options: PageOptions) {
    this.#options = options;
    this.#follow = options.follow ?? followLines;
    this.#reader = new PrometheusReader({
      families: options.families,
      isOpenMetrics: options.isOpenMetrics,
      sample: (sample) => {
        this.#isSampled = true;
        this.#isMore = sample.timestampMs !== undefined || sample.exemplar !== undefined;
        options.sample(sample);
      },
    });
  }

  /** What was kept may not be done again. */
  forget(): void {
    this.#cut({ lines: 0, length: 0, figures: 0 });
  }

  read(page: Uint8Array): PrometheusEnd {
    this.#reader.reset();
    if (page.length > BODY_BYTES_MAX || this.#strange > STRANGE_MAX) return this.#readPlain(page);
    this.#follow(this.#table, page, page.length, followed);
    const { at, lines } = followed;
    const again = this.#doAgain(page);
    if (at < page.length || lines < this.#table.lines) {
      this.#cut(followed);
      this.#readOn(page, at);
      this.#strange = lines * 2 < this.#table.lines ? this.#strange + 1 : 0;
    }
    const end = this.#reader.finish();
    return { ...end, samples: end.samples + again };
  }

  #readPlain(page: Uint8Array): PrometheusEnd {
    if (this.#strange === STRANGE_MAX + 1) this.forget();
    this.#strange = this.#strange < STRANGE_MAX + STRANGE_PAGES ? this.#strange + 1 : 0;
    this.#reader.push(page);
    return this.#reader.finish();
  }

  /** What was followed, in its order; answers how many samples that were. */
  #doAgain(page: Uint8Array): number {
    const { again } = this.#options;
    const { values, odd, odds, figures } = followed;
    let samples = 0;
    let next = 0;
    for (let i = 0; i < odds * ODD_WORDS; i += ODD_WORDS) {
      const before = odd[i]!;
      samples += before - next;
      for (; next < before; next++) again(next, values[next]!);
      if (odd[i + 3]! >= 0) next++;
      if (this.#isNumber(page, odd[i + 3]!, odd[i + 2]!)) {
        again(before, this.#number.value);
        samples++;
      } else this.#reader.push(page, odd[i + 1], odd[i + 2]! + 1);
    }
    samples += figures - next;
    for (; next < figures; next++) again(next, values[next]!);
    return samples;
  }

  #isNumber(page: Uint8Array, start: number, line: number): boolean {
    return start >= 0 && this.#number.read(page, start, withoutReturn(page, start, line));
  }

  #readOn(page: Uint8Array, from: number): void {
    const reader = this.#reader;
    for (let at = from; at < page.length;) {
      const line = page.indexOf(LF, at);
      const faults = reader.faults;
      this.#isSampled = false;
      reader.push(page, at, line < 0 ? page.length : line + 1);
      if (line < 0) return;
      if (!this.#isFull) this.#remember(page, at, line, faults !== reader.faults);
      at = line + 1;
    }
  }

  #remember(page: Uint8Array, start: number, line: number, isFault: boolean): void {
    const isFigure = this.#isSampled && !this.#isMore;
    const end = isFault
      ? start
      : isFigure
        ? numberStart(page, start, line)
        : this.#isSampled
          ? start
          : named(page, start, line);
    this.#isFull = !this.#table.fits(end - start);
    if (this.#isFull) return;
    const isKept = end > start && (!isFigure || this.#options.keep());
    const kind: LineKind = !isKept ? LINE.read : isFigure ? LINE.figure : LINE.skip;
    this.#table.add(page, start, isKept ? end : start, kind);
  }

  #cut(to: Pick<Followed, "lines" | "length" | "figures">): void {
    this.#table.cut(to);
    this.#isFull = false;
    this.#options.forget(to.figures);
  }
}

function withoutReturn(page: Uint8Array, start: number, line: number): number {
  return line > start && page[line - 1] === CR ? line - 1 : line;
}

/** Where the last number of a line begins; `start` where that can't be told. */
function numberStart(page: Uint8Array, start: number, line: number): number {
  const end = withoutReturn(page, start, line);
  let at = end;
  while (at > start && !isBlank(page[at - 1]) && page[at - 1] !== CLOSE) at--;
  return at === end ? start : at;
}

/** Behind what tells that a line is nobody's: a name, or a comment's first word, and what ends it; `start` for neither. */
function named(page: Uint8Array, start: number, line: number): number {
  let at = start;
  while (at < line && isBlank(page[at])) at++;
  const isComment = page[at] === HASH;
  if (isComment) at++;
  while (isComment && at < line && isBlank(page[at])) at++;
  const wordAt = at;
  while (at < line && !isBlank(page[at]) && page[at] !== CR && (isComment || page[at] !== OPEN)) at++;
  return at === line || at === wordAt || page[at] === CR ? start : at + 1;
}

function isBlank(byte: number | undefined): boolean {
  return byte === SP || byte === HT;
}
