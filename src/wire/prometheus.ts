/**
 * Prometheus' text format 0.0.4 and OpenMetrics 1.0, read where they lie, in pieces or whole. Who reads names the
 * families that are wanted; lines of others are found by their name and skipped without being looked at further.
 *
 *     const reader = new PrometheusReader({ families: ["up"], isOpenMetrics: false, sample: (sample) => ... });
 *     for (...) if (!reader.push(bytes)) break;
 *     const { bad } = reader.finish();
 *
 * A sample is valid during the call that gives it. A line that is malformed is left out and counted, as is one that is
 * too long. A text that ends in mid-line, or in OpenMetrics without `# EOF`, is not whole: its last number may be half of
 * one, so it is not given, and finish() says so. Names in quotes (Prometheus 3), exemplars and timestamps are read in
 * both formats; blanks are taken where 0.0.4 takes them, lines may end with CRLF.
 *
 * Limits: 8 MiB of text, 64 KiB a line, 64 labels a sample. Nothing grows with the text; what is kept between calls is
 * the piece of a line.
 */
import { CR, FNV_BASIS, FNV_PRIME, HT, LF, QUOTE, SP, copyBytes, latin1 } from "./octets.ts";
import { FamilyIndex, hashOf, type Suffix } from "./prometheus-families.ts";
import { blanks, LabelSet, quoteEnd, unquoted } from "./prometheus-labels.ts";
import { NumberReader } from "./prometheus-number.ts";

export const BODY_BYTES_MAX = 8 * 2 ** 20;
export const LINE_BYTES_MAX = 64 * 1024;

const HASH = 35;
const OPEN = 123;
const HELD_BYTES_MIN = 1024;
const TYPES = /^(?:counter|gauge|histogram|gaugehistogram|summary|stateset|info|unknown|untyped)$/;
const WORD_BYTES_MAX = 64;

/** One sample. What it holds is valid until the next one. */
export interface PrometheusSample {
  /** The place of its family among those that are wanted. */
  readonly family: number;
  /** Which part of the family. */
  readonly suffix: Suffix;
  readonly labels: LabelSet;
  readonly value: number;
  /** Undefined where it has none. */
  readonly timestampMs: number | undefined;
  readonly exemplar: PrometheusExemplar | undefined;
}

export interface PrometheusExemplar {
  readonly labels: LabelSet;
  readonly value: number;
  readonly timestampMs: number | undefined;
}

export type Described = "type" | "help" | "unit";

export interface PrometheusOptions {
  readonly families: readonly string[];
  /** By the answer's content type. Timestamps are in seconds then, and the text has an end of its own. */
  readonly isOpenMetrics: boolean;
  readonly sample: (sample: PrometheusSample) => void;
  /** What a comment says of a wanted family. */
  readonly described?: (family: number, what: Described, text: string) => void;
}

export interface PrometheusEnd {
  /** Samples of wanted families. */
  readonly samples: number;
  /** Lines of wanted families that could not be read. */
  readonly malformed: number;
  /** Lines over the limit, whosever they are. */
  readonly tooLong: number;
  /** Why the text is not whole; "" where it is. */
  readonly bad: string;
}

export class PrometheusReader {
  readonly #options: PrometheusOptions;
  readonly #families: FamilyIndex;
  readonly #sample = {
    family: 0,
    suffix: "" as Suffix,
    labels: new LabelSet(),
    value: 0,
    timestampMs: undefined as number | undefined,
    exemplar: undefined as PrometheusExemplar | undefined,
  };
  readonly #exemplar = { labels: new LabelSet(), value: 0, timestampMs: undefined as number | undefined };
  readonly #number = new NumberReader();
  /** Where the last figure that was read ends. */
  #behind = 0;
  #held: Uint8Array = new Uint8Array(0);
  #heldBytes = 0;
  /** The line is too long: what comes of it is dropped. */
  #isDropping = false;
  #isEnded = false;
  #bytes = 0;
  #samples = 0;
  #malformed = 0;
  #tooLong = 0;
  #bad = "";

  constructor(options: PrometheusOptions) {
    this.#options = options;
    this.#families = new FamilyIndex(options.families);
  }

  /** Lines that could not be read, whyever, up to now. */
  get faults(): number {
    return this.#malformed + this.#tooLong;
  }

  /** For another text. */
  reset(): void {
    this.#heldBytes = this.#bytes = this.#samples = this.#malformed = this.#tooLong = 0;
    this.#isDropping = this.#isEnded = false;
    this.#bad = "";
  }

  /** Takes bytes [start, end); false once more is in vain. */
  push(source: Uint8Array, start = 0, end = source.length): boolean {
    if (this.#bad !== "") return false;
    this.#bytes += end - start;
    if (this.#bytes > BODY_BYTES_MAX) {
      this.#bad = `the text is longer than ${BODY_BYTES_MAX / 2 ** 20} MiB`;
      return false;
    }
    let at = start;
    while (at < end) {
      const found = source.indexOf(LF, at);
      const lineEnd = found < 0 || found >= end ? end : found;
      if (lineEnd === end) this.#hold(source, at, end);
      else if (this.#heldBytes > 0 || this.#isDropping) this.#endHeld(source, at, lineEnd);
      else if (lineEnd - at > LINE_BYTES_MAX) this.#tooLong++;
      else this.#line(source, at, lineEnd);
      at = lineEnd + 1;
    }
    return true;
  }

  /** No more comes. */
  finish(): PrometheusEnd {
    if (this.#bad === "" && (this.#heldBytes > 0 || this.#isDropping)) this.#bad = "the text ends within a line";
    if (this.#bad === "" && this.#options.isOpenMetrics && !this.#isEnded) this.#bad = "the text ends without # EOF";
    return { samples: this.#samples, malformed: this.#malformed, tooLong: this.#tooLong, bad: this.#bad };
  }

  #hold(source: Uint8Array, start: number, end: number): void {
    if (this.#isDropping) return;
    const length = this.#heldBytes + end - start;
    if (length > LINE_BYTES_MAX) {
      this.#heldBytes = 0;
      this.#isDropping = true;
      this.#tooLong++;
      return;
    }
    if (length > this.#held.length) {
      const longer = new Uint8Array(Math.min(LINE_BYTES_MAX, Math.max(HELD_BYTES_MIN, length * 2)));
      longer.set(this.#held.subarray(0, this.#heldBytes));
      this.#held = longer;
    }
    this.#heldBytes = copyBytes(source, start, end, this.#held, this.#heldBytes);
  }

  #endHeld(source: Uint8Array, start: number, end: number): void {
    this.#hold(source, start, end);
    if (!this.#isDropping) this.#line(this.#held, 0, this.#heldBytes);
    this.#heldBytes = 0;
    this.#isDropping = false;
  }

  #line(source: Uint8Array, start: number, lineEnd: number): void {
    const end = lineEnd > start && source[lineEnd - 1] === CR ? lineEnd - 1 : lineEnd;
    const at = blanks(source, start, end);
    if (at === end) return;
    if (this.#isEnded) this.#malformed++;
    else if (source[at] === HASH) this.#comment(source, at + 1, end);
    else if (source[at] === OPEN) this.#quotedName(source, at, end);
    else this.#plainName(source, at, end);
  }

  #plainName(source: Uint8Array, start: number, end: number): void {
    let hash = FNV_BASIS;
    let i = start;
    for (; i < end; i++) {
      const byte = source[i]!;
      if (byte === OPEN || byte === SP || byte === HT) break;
      hash = Math.imul(hash ^ byte, FNV_PRIME);
    }
    const entry = this.#families.find(source, start, i, hash);
    if (entry < 0) return;
    let at = blanks(source, i, end);
    const { labels } = this.#sample;
    if (at < end && source[at] === OPEN) at = labels.read(source, at, end, false);
    else labels.clear();
    if (at < 0) this.#malformed++;
    else this.#rest(entry, source, at, end);
  }

  /** `{"a.name", label="value"} 1` */
  #quotedName(source: Uint8Array, start: number, end: number): void {
    const { labels } = this.#sample;
    const at = labels.read(source, start, end, true);
    if (at < 0 || labels.nameEnd <= labels.nameStart) {
      this.#malformed++;
      return;
    }
    const entry = this.#families.findText(unquoted(source, labels.nameStart, labels.nameEnd));
    if (entry >= 0) this.#rest(entry, source, at, end);
  }

  /** Value, timestamp and exemplar. */
  #rest(entry: number, source: Uint8Array, start: number, end: number): void {
    const sample = this.#sample;
    sample.exemplar = undefined;
    if (!this.#figures(sample, source, start, end, this.#options.isOpenMetrics)) {
      this.#malformed++;
      return;
    }
    const at = this.#behind;
    if (at < end) {
      const open = blanks(source, at + 1, end);
      const close = source[at] === HASH ? this.#exemplar.labels.read(source, open, end, false) : -1;
      if (close < 0 || !this.#figures(this.#exemplar, source, close, end, true) || this.#behind < end) {
        this.#malformed++;
        return;
      }
      sample.exemplar = this.#exemplar;
    }
    sample.family = this.#families.familyOf(entry);
    sample.suffix = this.#families.suffixOf(entry);
    this.#samples++;
    this.#options.sample(sample);
  }

  /** A value and perhaps a time; what comes behind them begins at `#behind`. */
  #figures(
    into: { value: number; timestampMs: number | undefined },
    source: Uint8Array,
    start: number,
    end: number,
    isSeconds: boolean,
  ): boolean {
    const valueAt = blanks(source, start, end);
    const valueEnd = tokenEnd(source, valueAt, end);
    if (valueEnd === valueAt || !this.#number.read(source, valueAt, valueEnd)) return false;
    into.value = this.#number.value;
    into.timestampMs = undefined;
    const timeAt = blanks(source, valueEnd, end);
    this.#behind = timeAt;
    if (timeAt === end || source[timeAt] === HASH) return true;
    const timeEnd = tokenEnd(source, timeAt, end);
    if (!this.#number.read(source, timeAt, timeEnd) || !Number.isFinite(this.#number.value)) return false;
    if (!isSeconds && !Number.isInteger(this.#number.value)) return false;
    into.timestampMs = isSeconds ? this.#number.value * 1000 : this.#number.value;
    this.#behind = blanks(source, timeEnd, end);
    return this.#behind === end || source[this.#behind] === HASH;
  }

  /** Behind the `#`. What is neither HELP, TYPE, UNIT nor EOF is for people. */
  #comment(source: Uint8Array, start: number, end: number): void {
    const wordAt = blanks(source, start, end);
    const wordEnd = tokenEnd(source, wordAt, end);
    const { described, isOpenMetrics } = this.#options;
    const isEnd = isOpenMetrics && wordEnd === end && wordEnd - wordAt === 3;
    if (wordEnd - wordAt !== 4 && !isEnd) return;
    if (described === undefined && !isEnd) return;
    const word = latin1(source, wordAt, wordEnd);
    if (word === "EOF") this.#isEnded = true;
    if (word !== "HELP" && word !== "TYPE" && word !== "UNIT") return;
    const nameAt = blanks(source, wordEnd, end);
    const isQuoted = source[nameAt] === QUOTE;
    const nameEnd = isQuoted ? quoteEnd(source, nameAt, end) : tokenEnd(source, nameAt, end);
    if (nameEnd < 0 || nameEnd === nameAt) {
      this.#malformed++;
      return;
    }
    const entry = isQuoted
      ? this.#families.findText(unquoted(source, nameAt + 1, nameEnd))
      : this.#families.find(source, nameAt, nameEnd, hashOf(source, nameAt, nameEnd));
    if (entry < 0) return;
    // In 0.0.4 the family of a counter has its suffix.
    const suffix = this.#families.suffixOf(entry);
    if (suffix !== "" && suffix !== "_total") return;
    const textAt = blanks(source, isQuoted ? nameEnd + 1 : nameEnd, end);
    const text = word === "HELP" ? unquoted(source, textAt, end) : shortWord(source, textAt, end);
    if (word === "TYPE" && !TYPES.test(text)) this.#malformed++;
    else described?.(this.#families.familyOf(entry), word.toLowerCase() as Described, text);
  }
}

/** The first blank, or the end. */
function tokenEnd(source: Uint8Array, start: number, end: number): number {
  let i = start;
  while (i < end && source[i] !== SP && source[i] !== HT) i++;
  return i;
}

function shortWord(source: Uint8Array, start: number, end: number): string {
  return latin1(source, start, Math.min(end, start + WORD_BYTES_MAX)).trimEnd();
}
