/**
 * GET /events: what happened, at once as JSON, or as it happens as lines of JSON (NDJSON) or server-sent events.
 *
 * A stream is made when its connection asks for more: it holds a number in the journal and, while it waits, one
 * listener and one timer. So a watcher that does not read costs nothing, however much happens; once it falls behind the
 * journal's ring, a line of kind `gap` (an event called `missed`) says how many events it missed.
 */
import type { Hono } from "hono";
import { MeshError } from "../base/errors.ts";
import { allowOnly } from "./app.ts";
import { acceptance } from "./event-filter.ts";
import { eventParameters } from "./event-parameters.ts";

/** An event as the journal gives it. */
export interface EventEntry {
  readonly seq?: number;
  readonly time?: string;
  readonly type?: string;
  readonly id?: string;
  readonly cause?: string;
  readonly labels?: Readonly<Record<string, string>>;
}

/** What the journal of the mesh gives (mesh/journal.ts). */
export interface EventJournal {
  /** The number of the first event of this life of the process. */
  readonly first: number;
  readonly last: number;
  readonly ended: boolean;
  after(
    seq: number,
    max?: number,
    accepts?: (entry: EventEntry) => boolean,
  ): { readonly events: readonly EventEntry[]; readonly missed: number; readonly next: number };
  watch(listener: () => void): () => void;
}

export const NDJSON_TYPE = "application/x-ndjson";
const SSE_TYPE = "text/event-stream";

/** Shorter than the time after which proxies and firewalls take a connection for dead. */
export const HEARTBEAT_MS = 10_000;
/** What one write holds; a watcher holds two such at most beside the socket's buffers. */
export const STREAM_EVENTS_MAX = 64;
/** At one port. An idle watch lasts for ever, and many would take all of a port's connections, which others need too. */
const WATCHERS_MAX = 64;

export function eventRoutes(app: Hono, journal: EventJournal, watchers: Watchers = { count: 0 }): void {
  app.get("/events", (c) => {
    const { after, watch, filter, sse } = eventParameters(c);
    const accepts = acceptance(filter);
    if (!watch) return c.json({ ...journal.after(after ?? 0, undefined, accepts), first: journal.first });
    admitWatcher(journal, watchers);
    const from = after ?? journal.last;
    const headers = { "content-type": sse ? SSE_TYPE : NDJSON_TYPE, "cache-control": "no-store" };
    // Nobody reads the body of an answer to HEAD, nor ends it.
    if (c.req.method === "HEAD") return c.body(null, 200, headers);
    const how = { accepts, render: sse ? sseLine : line };
    return c.body(eventStream(journal, from, HEARTBEAT_MS, watchers, how), 200, headers);
  });
  allowOnly(app, { "/events": "GET, HEAD" });
}

/** Throws a MeshError where no more may watch. */
export function admitWatcher(journal: EventJournal, watchers: Watchers): void {
  if (journal.ended) throw new MeshError("draining", "the process is stopping; nothing happens here any more");
  if (watchers.count < WATCHERS_MAX) return;
  throw new MeshError(
    "over_capacity",
    `${WATCHERS_MAX} watch the events here already; end one of them, or ask again without watch`,
  );
}

/** Streams that are being read at one port. */
export interface Watchers {
  count: number;
}

/**
 * The events after that number, as lines, until the journal ends or the reader goes. The first line is a heartbeat, and
 * so is one after each `heartbeatMs` without an event; its `next` is the number to go on after, and its
 * `first` the journal's beginning.
 */
export function eventStream(
  journal: EventJournal,
  after: number,
  heartbeatMs: number,
  watchers: Watchers = { count: 0 },
  {
    accepts,
    render = line,
  }: { readonly accepts?: (entry: EventEntry) => boolean; readonly render?: (entry: StreamLine) => string } = {},
): ReadableStream<Uint8Array> {
  const encoder = new TextEncoder();
  let next = after;
  let begun = false;
  let gone = false;
  // From the moment of its admission, or many who ask in one moment would all be admitted.
  watchers.count += 1;
  let wake = (): void => {};
  /** Waits for an event or the end; false when the time for a heartbeat has come first. */
  const somethingNew = async (untilMs: number): Promise<boolean> => {
    const { promise, resolve } = Promise.withResolvers<boolean>();
    wake = () => resolve(true);
    const unwatch = journal.watch(wake);
    const timer = setTimeout(() => resolve(false), Math.max(0, untilMs - performance.now()));
    const isNew = await promise;
    clearTimeout(timer);
    unwatch();
    return isNew;
  };
  return new ReadableStream<Uint8Array>(
    {
      async pull(controller) {
        const untilMs = performance.now() + heartbeatMs;
        let part = journal.after(next, STREAM_EVENTS_MAX, accepts);
        // What is not wanted is passed over in silence.
        while (begun && part.events.length === 0 && part.missed === 0 && !journal.ended && !gone) {
          next = part.next;
          if (!(await somethingNew(untilMs))) break;
          part = journal.after(next, STREAM_EVENTS_MAX, accepts);
        }
        if (gone) return;
        const lines: StreamLine[] = [];
        // A number that is none of the journal's means its beginning.
        const from = next < journal.first || next > journal.last ? journal.first - 1 : next;
        if (!begun) lines.push({ kind: "heartbeat", next: from, first: journal.first });
        begun = true;
        if (part.missed > 0) lines.push({ kind: "gap", missed: part.missed, next: from + part.missed });
        lines.push(...part.events);
        next = part.next;
        if (lines.length === 0 && journal.ended) {
          watchers.count -= 1;
          gone = true;
          controller.close();
          return;
        }
        if (lines.length === 0) lines.push({ kind: "heartbeat", next, first: journal.first });
        controller.enqueue(encoder.encode(lines.map(render).join("")));
      },
      cancel() {
        if (!gone) watchers.count -= 1;
        gone = true;
        wake();
      },
    },
    // Nothing is made before it is asked for.
    { highWaterMark: 0 },
  );
}

/** An event, or what a stream tells of itself. */
type StreamLine = EventEntry & {
  readonly kind?: string;
  readonly next?: number;
  readonly first?: number;
  readonly missed?: number;
};

function line(entry: StreamLine): string {
  return `${JSON.stringify(entry)}\n`;
}

/** The id is what Last-Event-ID brings back: the number to go on after. */
function sseLine(entry: StreamLine): string {
  const { kind, missed, next, first } = entry;
  if (kind === "heartbeat") return `id: ${next}\nevent: position\ndata: ${JSON.stringify({ next, first })}\n\n`;
  if (kind === "gap") return `id: ${next}\nevent: missed\ndata: ${JSON.stringify({ missed, next })}\n\n`;
  return `id: ${entry.seq}\nevent: ${entry.type ?? kind}\ndata: ${JSON.stringify(entry)}\n\n`;
}
