/**
 * What a browser's EventSource does with a stream's bytes (the HTML standard, section 9.2.6), for want of one: events by
 * name, data of several lines, ids, comments, all three line ends, a byte order mark, pieces cut anywhere.
 */

export interface SseEvent {
  readonly event: string;
  readonly data: string;
  readonly lastEventId: string;
}

export class EventReader {
  readonly events: SseEvent[] = [];
  /** What it would say as it connects again. */
  lastEventId = "";
  /** How long it was told to wait before that; -1 when it was not. */
  retryMs = -1;
  readonly #decoder = new TextDecoder();
  #rest = "";
  #event = "";
  #data: string[] = [];

  push(bytes: Uint8Array): void {
    this.#rest += this.#decoder.decode(bytes, { stream: true });
    for (;;) {
      // A CR at the end may be the first half of a CRLF.
      const end = /\r\n|\n|\r(?!$)/.exec(this.#rest);
      if (end === null) return;
      this.#line(this.#rest.slice(0, end.index));
      this.#rest = this.#rest.slice(end.index + end[0].length);
    }
  }

  #line(line: string): void {
    if (line === "") {
      this.#dispatch();
      return;
    }
    const colon = line.indexOf(":");
    if (colon === 0) return;
    const field = colon < 0 ? line : line.slice(0, colon);
    const value = colon < 0 ? "" : line.slice(colon + 1).replace(/^ /, "");
    if (field === "event") this.#event = value;
    else if (field === "data") this.#data.push(value);
    else if (field === "id" && !value.includes("\0")) this.lastEventId = value;
    else if (field === "retry" && /^\d+$/.test(value)) this.retryMs = Number(value);
  }

  #dispatch(): void {
    const [event, data] = [this.#event || "message", this.#data];
    this.#event = "";
    this.#data = [];
    if (data.length > 0) this.events.push({ event, data: data.join("\n"), lastEventId: this.lastEventId });
  }
}

/** Reads a response's events to their end. */
export async function readEvents(response: Response): Promise<EventReader> {
  const reader = new EventReader();
  for await (const bytes of response.body ?? []) reader.push(bytes);
  return reader;
}
