/**
 * Finds the `model` part in a multipart/form-data body (RFC 7578 on RFC 2046 section 5.1), as audio uploads have it.
 * Pushed in any pieces; the data of other parts is skipped by native search for CR, which begins every delimiter.
 *
 * A delimiter is CRLF, two dashes and the boundary; blanks may follow it, nothing else. The preamble and the epilogue
 * are ignored; that there is a preamble is told (`isUnclear`), since readers that pass over the content type may find
 * JSON in it. Limits: 8192 bytes of header lines a part, 1000 parts, 512 bytes of model. A bad body stays bad.
 */
import { BodyReader, MODEL_BYTES_MAX } from "./body-reader.ts";
import type { BodyResult } from "./body-reader.ts";
import { COLON, CR, DASH, FIELD, HT, LF, SP } from "./octets.ts";

const HEADER_BYTES_MAX = 8192;
const PARTS_MAX = 1000;
/** How far a CR is looked for byte by byte before the native search is called. */
const NEAR_BYTES = 16;
const BOUNDARY_BYTES_MAX = 70;

// Where the scan stands.
const DATA = 0;
const AFTER_BOUNDARY = 1;
const BOUNDARY_LF = 2;
const SECOND_DASH = 3;
const HEADER = 4;
const HEADER_LF = 5;
const EPILOGUE = 6;
const BAD = 7;

// What the current part is.
const PART_OTHER = 0;
const PART_MODEL = 1;
const PART_STREAM = 2;
const PART_PROMPT = 3;

const STREAM_BYTES_MAX = 8;

/** RFC 9110 section 5.6.6: `; name=value`, the value a token or a quoted string. */
const PARAMETER =
  /;[ \t]*(?:([!#$%&'*+.^_`|~0-9A-Za-z-]+)=(?:([!#$%&'*+.^_`|~0-9A-Za-z-]+)|"((?:[^"\\]|\\.)*)")[ \t]*)?/y;

/** A parameter's value; null when there is none, more than one, or the parameters are malformed. */
function parameter(text: string, from: number, name: string): string | null {
  let value: string | null = null;
  PARAMETER.lastIndex = from;
  while (PARAMETER.lastIndex < text.length) {
    const match = PARAMETER.exec(text);
    if (match === null) return null;
    if (match[1]?.toLowerCase() !== name) continue;
    if (value !== null) return null;
    value = match[2] ?? (match[3] ?? "").replace(/\\(.)/g, "$1");
  }
  return value;
}

/** The boundary that a content type gives, or null when it is no multipart/form-data or gives no usable one. */
export function multipartBoundary(contentType: string): string | null {
  const type = /^multipart\/form-data[ \t]*(?=;)/i.exec(contentType);
  if (type === null) return null;
  const boundary = parameter(contentType, type[0].length, "boundary");
  if (boundary === null || boundary.length > BOUNDARY_BYTES_MAX) return null;
  return /^[0-9A-Za-z'()+_,\-./:=? ]*[0-9A-Za-z'()+_,\-./:=?]$/.test(boundary) ? boundary : null;
}

/** `promptBytes` are those of the part "prompt". */
export class MultipartField extends BodyReader {
  readonly #delimiter: Uint8Array;
  #state = DATA;
  /** How much of the delimiter has been seen. A body begins as if behind a line's end. */
  #matched = 2;
  /** What was matched began with a line end that belongs to what came before. */
  #lineShared = true;
  #part = PART_OTHER;
  #parts = 0;
  /** Value bytes of the current part, as far as it is one that matters. */
  #length = 0;
  /** Where the model's value begins in the current push, or -1. */
  #from = -1;
  readonly #stream = new Uint8Array(STREAM_BYTES_MAX);

  readonly #line = new Uint8Array(HEADER_BYTES_MAX);
  #lineBytes = 0;
  #headerBytes = 0;
  #disposition: string | null = null;

  /** The boundary as `multipartBoundary` gives it. */
  constructor(boundary: string) {
    super();
    const delimiter = new Uint8Array(boundary.length + 4);
    delimiter.set([CR, LF, DASH, DASH]);
    for (let i = 0; i < boundary.length; i++) delimiter[i + 4] = boundary.charCodeAt(i);
    this.#delimiter = delimiter;
  }

  override reset(): void {
    super.reset();
    this.#state = DATA;
    this.#matched = 2;
    this.#lineShared = true;
    this.#part = PART_OTHER;
    this.#parts = 0;
    this.#length = 0;
  }

  override finish(): BodyResult {
    if (this.#state === EPILOGUE) return "done";
    if (this.#state === BAD) return "bad";
    return this.#bad(this.#parts === 0 ? "the body has no part" : "the body ends before its last boundary");
  }

  override push(buffer: Uint8Array, start: number, end: number): BodyResult {
    this.#from = -1;
    let i = start;
    while (i < end && this.#state < EPILOGUE) {
      if (this.#state === DATA) i = this.#data(buffer, i, end);
      else this.#structure(buffer[i++]!, i);
    }
    if (this.#state === BAD) return "bad";
    return this.#state === EPILOGUE ? "done" : "more";
  }

  #bad(reason: string): "bad" {
    this.#state = BAD;
    this.reason = reason;
    return "bad";
  }

  /** Data of a part (or the preamble), up to and with the next delimiter. */
  #data(buffer: Uint8Array, start: number, end: number): number {
    const delimiter = this.#delimiter;
    let i = start;
    while (i < end) {
      if (this.#matched === 0) {
        const stop = this.#nextCr(buffer, i, end);
        this.#keep(buffer, i, stop);
        i = stop;
        if (i === end) return i;
      }
      while (i < end && this.#matched < delimiter.length && buffer[i] === delimiter[this.#matched]) {
        this.#matched++;
        i++;
      }
      if (this.#matched === delimiter.length) {
        if (this.#lineShared && this.#parts > 0) this.#bad("a part without data");
        else this.#endPart(i);
        return i;
      }
      // A delimiter holds no CR but its first byte, so nothing of what matched can begin another.
      if (i < end) {
        this.#keep(delimiter, this.#lineShared ? 2 : 0, this.#matched);
        this.#matched = 0;
        this.#lineShared = false;
      }
    }
    return i;
  }

  /** Where the next CR is, or `end`: nearby by looking, farther by native search. */
  #nextCr(buffer: Uint8Array, start: number, end: number): number {
    const near = start + NEAR_BYTES < end ? start + NEAR_BYTES : end;
    let i = start;
    while (i < near && buffer[i] !== CR) i++;
    if (i < near || i === end) return i;
    const found = buffer.indexOf(CR, i);
    return found < 0 || found > end ? end : found;
  }

  #keep(bytes: Uint8Array, start: number, end: number): void {
    if (this.#parts === 0 && end > start) this.isUnclear = true;
    const out = this.#part === PART_MODEL ? this.modelBytes : this.#stream;
    if (this.#part === PART_MODEL || this.#part === PART_STREAM) {
      const last = Math.min(end, start + out.length - this.#length);
      for (let i = start, at = this.#length; i < last; i++) out[at++] = bytes[i]!;
    }
    this.#length += end - start;
    if (this.#part === PART_MODEL && this.#length > MODEL_BYTES_MAX) {
      this.#bad(`model is longer than ${MODEL_BYTES_MAX} bytes`);
    }
  }

  /** The part's data has ended with the delimiter before `at`. */
  #endPart(at: number): void {
    if (this.#state === BAD) return;
    this.#state = AFTER_BOUNDARY;
    if (this.#part === PART_PROMPT) this.promptBytes += this.#length;
    if (this.#part === PART_STREAM) this.stream = this.#isTrue();
    if (this.#part !== PART_MODEL) return;
    const reason = this.takeModel(this.#length);
    if (reason !== "") this.#bad(reason);
    if (this.#from < 0) return;
    this.modelStart = this.#from;
    this.modelEnd = at - this.#delimiter.length;
  }

  #isTrue(): boolean {
    const text = String.fromCharCode(...this.#stream.subarray(0, this.#length)).toLowerCase();
    return text === "true" || text === "1";
  }

  /** A byte outside data; the next one is at `next`. */
  #structure(byte: number, next: number): void {
    switch (this.#state) {
      case AFTER_BOUNDARY:
        if (byte === DASH && this.#matched > 0) this.#state = SECOND_DASH;
        else if (byte === CR) this.#state = BOUNDARY_LF;
        else if (byte === SP || byte === HT) this.#matched = 0;
        else this.#bad("bytes after a boundary");
        break;
      case SECOND_DASH:
        if (byte === DASH) this.#state = EPILOGUE;
        else this.#bad("bytes after a boundary");
        break;
      case BOUNDARY_LF:
        if (byte !== LF) this.#bad("a CR without its LF after a boundary");
        else if (++this.#parts > PARTS_MAX) this.#bad(`more than ${PARTS_MAX} parts`);
        else this.#beginHeader();
        break;
      case HEADER:
        if (++this.#headerBytes > HEADER_BYTES_MAX)
          this.#bad(`a part with more than ${HEADER_BYTES_MAX} bytes of header`);
        else if (byte === CR) this.#state = HEADER_LF;
        else if (FIELD[byte] === 1) this.#line[this.#lineBytes++] = byte;
        else this.#bad("a control byte in a part's header");
        break;
      default:
        if (byte !== LF) this.#bad("a CR without its LF in a part's header");
        else if (this.#lineBytes > 0) this.#headerLine();
        else this.#beginData(next);
        break;
    }
  }

  #beginHeader(): void {
    this.#state = HEADER;
    this.#lineBytes = 0;
    this.#headerBytes = 0;
    this.#disposition = null;
  }

  #headerLine(): void {
    this.#state = HEADER;
    const line = this.#line.subarray(0, this.#lineBytes);
    this.#lineBytes = 0;
    const colon = line.indexOf(COLON);
    if (colon <= 0 || line[0] === SP || line[0] === HT) {
      this.#bad("a malformed header line in a part");
      return;
    }
    const text = String.fromCharCode(...line);
    if (text.slice(0, colon).toLowerCase() !== "content-disposition") return;
    if (this.#disposition === null) this.#disposition = text.slice(colon + 1);
    else this.#bad("a part with more than one Content-Disposition");
  }

  #beginData(at: number): void {
    this.#state = DATA;
    // The empty line may serve as the delimiter's line end too (RFC 2046 section 5.1.1), but not every reader takes it
    // so: what one would call data and another one a part is refused.
    this.#matched = 2;
    this.#lineShared = true;
    this.#length = 0;
    this.#part = PART_OTHER;
    const semicolon = this.#disposition?.indexOf(";") ?? -1;
    if (this.#disposition === null || semicolon < 0) return;
    const name = parameter(this.#disposition, semicolon, "name");
    if (name === "stream") this.#part = PART_STREAM;
    else if (name === "prompt") this.#part = PART_PROMPT;
    else if (name === "model" && this.hasModel) this.duplicateModel = true;
    else if (name === "model") {
      this.#part = PART_MODEL;
      this.#from = at;
    }
  }
}
