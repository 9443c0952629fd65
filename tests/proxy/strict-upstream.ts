/**
 * An upstream that counts what it is sent as strictly as RFC 9112 allows, and keeps every byte, so that what reached it
 * can be read again as laxer servers would: a request that any of them takes for two was smuggled.
 */
import type { Socket } from "bun";

export interface SeenRequest {
  readonly line: string;
  readonly fields: ReadonlyMap<string, string>;
  readonly body: string;
}

/** How a server reads a stream of requests. */
interface Reading {
  readonly name: string;
  /** What ends a line. */
  readonly lineEnd: RegExp;
  readonly nameOf: (raw: string) => string;
  readonly isChunked: (coding: string) => boolean;
  /** What counts when both framing fields are there. */
  readonly prefers: "chunked" | "length";
  /** Which of several lengths counts. */
  readonly length: "first" | "last";
}

const PLAIN: Reading = {
  name: "as most servers do",
  lineEnd: /\r\n/,
  nameOf: (raw) => raw.toLowerCase(),
  isChunked: (coding) => coding.trim().toLowerCase() === "chunked",
  prefers: "chunked",
  length: "first",
};

/** Servers that have been met: each reads something that another does not. */
const READINGS: readonly Reading[] = [
  PLAIN,
  { ...PLAIN, name: "by the length", prefers: "length" },
  { ...PLAIN, name: "by the last length", prefers: "length", length: "last" },
  { ...PLAIN, name: "with bare line feeds", lineEnd: /\r?\n/ },
  { ...PLAIN, name: "with bare returns", lineEnd: /\r?\n|\r(?!\n)/ },
  { ...PLAIN, name: "with blanks around names", nameOf: (raw) => raw.trim().toLowerCase() },
  { ...PLAIN, name: "without odd bytes in names", nameOf: (raw) => raw.toLowerCase().replaceAll(/[^a-z0-9_-]/g, "") },
  { ...PLAIN, name: "with any coding that mentions chunked", isChunked: (coding) => /chunked/i.test(coding) },
  { ...PLAIN, name: "with codings in quotes", isChunked: (coding) => /^["']?chunked["']?$/i.test(coding.trim()) },
];

/** The readings that find other requests in a stream than most servers do: none, unless something was smuggled. */
export function disagreements(text: string): string[] {
  const found = READINGS.map((reading) => ({ name: reading.name, lines: requestLines(text, reading).join("\n") }));
  return found.filter(({ lines }) => lines !== found[0]?.lines).map(({ name, lines }) => `${name}: ${lines}`);
}

/** The request lines that a server which reads so finds in `text`; an unfinished request is not among them. */
function requestLines(text: string, reading: Reading): string[] {
  const lines: string[] = [];
  let rest = text;
  for (;;) {
    const ends = reading.lineEnd.source;
    rest = rest.replace(new RegExp(`^(?:${ends})+`), "");
    const blank = new RegExp(`(?:${ends})(?:${ends})`).exec(rest);
    if (blank === null) return lines;
    const [line = "", ...fields] = rest.slice(0, blank.index).split(new RegExp(ends));
    const end = bodyEnd(rest, blank.index + blank[0].length, fields, reading);
    if (end < 0) return lines;
    lines.push(line);
    rest = rest.slice(end);
  }
}

function bodyEnd(text: string, start: number, fields: readonly string[], reading: Reading): number {
  const named = fields.map((field) => {
    const colon = field.indexOf(":");
    return [reading.nameOf(field.slice(0, colon)), field.slice(colon + 1).trim()] as const;
  });
  const chunked = named.some(([name, value]) => name === "transfer-encoding" && reading.isChunked(value));
  const lengths = named.filter(([name]) => name === "content-length").map(([, value]) => Number.parseInt(value, 10));
  const length = lengths.at(reading.length === "first" ? 0 : -1);
  if (chunked && (length === undefined || reading.prefers === "chunked"))
    return chunksEnd(text, start, reading.lineEnd);
  const end = start + (length ?? 0);
  return end <= text.length ? end : -1;
}

function chunksEnd(text: string, start: number, lineEnd: RegExp): number {
  let at = start;
  for (;;) {
    const end = new RegExp(lineEnd.source).exec(text.slice(at));
    if (end === null) return -1;
    const size = Number.parseInt(text.slice(at, at + end.index), 16);
    at += end.index + end[0].length;
    if (!Number.isFinite(size)) return -1;
    if (size > 0) {
      at += size + 2;
      continue;
    }
    // The trailer section, up to its empty line.
    for (;;) {
      const trailer = new RegExp(lineEnd.source).exec(text.slice(at));
      if (trailer === null) return -1;
      at += trailer.index + trailer[0].length;
      if (trailer.index === 0) return at;
    }
  }
}

/** What is left of a request that has begun, or that is none. */
class Stream {
  text = "";
  at = 0;
}

export class StrictUpstream {
  /** Whole requests, in the order in which they came. */
  readonly requests: SeenRequest[] = [];
  /** What no strict server would take. */
  readonly faults: string[] = [];
  /** All bytes of each connection. */
  readonly streams: { readonly text: string }[] = [];
  readonly port: number;
  readonly #listener: { stop(force?: boolean): void; port: number };

  /** `answer` is what each whole request is sent. */
  constructor(answer: (request: SeenRequest, nth: number) => string) {
    this.#listener = Bun.listen<Stream>({
      hostname: "127.0.0.1",
      port: 0,
      socket: {
        open: (socket) => {
          socket.data = new Stream();
          this.streams.push(socket.data);
        },
        data: (socket, bytes) => this.#read(socket, bytes.toString("latin1"), answer),
      },
    });
    this.port = this.#listener.port;
  }

  stop(): void {
    this.#listener.stop(true);
  }

  #read(socket: Socket<Stream>, bytes: string, answer: (request: SeenRequest, nth: number) => string): void {
    const stream = socket.data;
    stream.text += bytes;
    for (;;) {
      const taken = this.#take(stream);
      if (taken === null) return;
      this.requests.push(taken);
      socket.write(answer(taken, this.requests.length));
    }
  }

  #take(stream: Stream): SeenRequest | null {
    const text = stream.text.slice(stream.at);
    const head = /^([A-Z]+ \/[!-~]* HTTP\/1\.1)\r\n((?:[!#$%&'*+.^_`|~0-9A-Za-z-]+:[\t -~\x80-\xff]*\r\n)*)\r\n/.exec(
      text,
    );
    if (head === null) {
      if (text.includes("\r\n\r\n")) this.faults.push(`no request: ${JSON.stringify(text.slice(0, 80))}`);
      return null;
    }
    const [whole, line = "", section = ""] = head;
    const fields = new Map<string, string>();
    for (const field of section.split("\r\n").slice(0, -1)) {
      const name = field.slice(0, field.indexOf(":")).toLowerCase();
      const framing = name === "content-length" || name === "transfer-encoding" || name === "host";
      if (framing && fields.has(name)) this.faults.push(`${name} twice`);
      fields.set(name, field.slice(field.indexOf(":") + 1).trim());
    }
    const length = fields.get("content-length");
    const coding = fields.get("transfer-encoding");
    if (length !== undefined && coding !== undefined) this.faults.push("a length and a coding");
    if (length !== undefined && !/^\d+$/.test(length)) this.faults.push(`a length of ${length}`);
    if (coding !== undefined && coding !== "chunked") this.faults.push(`a coding of ${coding}`);
    if (!fields.has("host")) this.faults.push("no host");
    const start = whole.length;
    const end = coding === undefined ? start + Number(length ?? 0) : strictChunksEnd(text, start);
    if (end < 0 || end > text.length) return null;
    stream.at += end;
    return { line, fields, body: text.slice(start, end) };
  }
}

function strictChunksEnd(text: string, start: number): number {
  let at = start;
  for (;;) {
    const line = /^([0-9a-fA-F]+)(?:;[\t -~\x80-\xff]*)?\r\n/.exec(text.slice(at));
    if (line === null) return -1;
    at += line[0].length;
    const size = Number.parseInt(line[1] ?? "", 16);
    if (size === 0) {
      const trailers = /^(?:[!-9;-~]+:[\t -~\x80-\xff]*\r\n)*\r\n/.exec(text.slice(at));
      return trailers === null ? -1 : at + trailers[0].length;
    }
    if (text.length < at + size + 2) return -1;
    if (text.slice(at + size, at + size + 2) !== "\r\n") return -1;
    at += size + 2;
  }
}
