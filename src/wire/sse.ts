/**
 * Server-sent events (WHATWG HTML section 9.2), only as far as a relay needs: when an event is whole. An event is one
 * or more field lines with at least one of `data`, ended by an empty line; comments and bare retries, which servers
 * send to keep a connection open, are no events.
 *
 * Lines end with LF or CRLF; a lone CR as a line end is allowed by the standard, unknown in the field and not seen
 * here. Nothing can be bad, and nothing is kept but three flags.
 */
import { CR, LF } from "./octets.ts";

const LOWER_D = 100;

export class SseScanner {
  /** Whole events since the reset. */
  events = 0;
  /** Whether the last push held the end of the first event. */
  firstEventAt = false;
  /** Whether nothing of an unfinished event or comment has been seen. */
  atEventBoundary = true;
  /** Bytes in the current line, a CR not counted; only 0 or not matters. */
  #lineBytes = 0;
  #hasData = false;
  #lastIsCr = false;

  reset(): void {
    this.events = 0;
    this.firstEventAt = false;
    this.atEventBoundary = true;
    this.#lineBytes = 0;
    this.#hasData = false;
    this.#lastIsCr = false;
  }

  push(buffer: Uint8Array, start: number, end: number): void {
    const before = this.events;
    let i = start;
    while (i < end) {
      if (this.#lineBytes === 0) {
        const byte = buffer[i]!;
        if (byte === LF) {
          this.#emptyLine();
          i++;
          continue;
        }
        if (byte === CR && !this.#lastIsCr) {
          this.#lastIsCr = true;
          i++;
          continue;
        }
        // Of the four field names only `data` begins with a d.
        if (byte === LOWER_D) this.#hasData = true;
        this.#lineBytes = 1;
        this.atEventBoundary = false;
      }
      const lineEnd = buffer.indexOf(LF, i);
      if (lineEnd < 0 || lineEnd >= end) break;
      this.#lineBytes = 0;
      this.#lastIsCr = false;
      i = lineEnd + 1;
    }
    this.firstEventAt = before === 0 && this.events > 0;
  }

  #emptyLine(): void {
    if (this.#hasData) this.events++;
    this.#hasData = false;
    this.#lastIsCr = false;
    this.atEventBoundary = true;
  }
}
