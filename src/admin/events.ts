/**
 * GET /events: what happened among the members, at once as JSON or as it happens as lines of JSON (NDJSON).
 *
 * A stream is made when its connection asks for more: it holds a number in the journal and, while it waits, one
 * listener and one timer. So a watcher that does not read costs nothing, however much happens; once it falls behind the
 * journal's ring, a line of kind `gap` says how many events it missed.
 */
import type { Context, Hono } from "hono";
import { MeshError } from "../base/errors.ts";
import { allowOnly } from "./app.ts";

/** What the journal of the mesh gives (mesh/journal.ts). */
export interface EventJournal {
  /** The number of the first event of this life of the process. */
  readonly first: number;
  readonly last: number;
  readonly ended: boolean;
  after(
    seq: number,
    max?: number,
  ): { readonly events: readonly object[]; readonly missed: number; readonly next: number };
  watch(listener: () => void): () => void;
}

export const NDJSON_TYPE = "application/x-ndjson";

/** Shorter than the time after which proxies and firewalls take a connection for dead. */
const HEARTBEAT_MS = 10_000;
/** What one write holds; a watcher holds two such at most beside the socket's buffers. */
const STREAM_EVENTS_MAX = 64;
/** At one port. An idle watch lasts for ever, and many would take all of a port's connections, which others need too. */
const WATCHERS_MAX = 64;
const PARAMETERS = ["after", "watch"];

export function eventRoutes(app: Hono, journal: EventJournal): void {
  const watchers: Watchers = { count: 0 };
  app.get("/events", (c) => {
    const { after, watch } = parameters(c);
    if (!watch) return c.json({ ...journal.after(after ?? 0), first: journal.first });
    if (journal.ended) throw new MeshError("draining", "the process is stopping; nothing happens here any more");
    if (watchers.count >= WATCHERS_MAX) {
      throw new MeshError(
        "over_capacity",
        `${WATCHERS_MAX} watch the events here already; end one of them, or ask again without watch`,
      );
    }
    return c.body(eventStream(journal, after ?? journal.last, HEARTBEAT_MS, watchers), 200, {
      "content-type": NDJSON_TYPE,
      "cache-control": "no-store",
    });
  });
  allowOnly(app, { "/events": "GET, HEAD" });
}

/** Streams that are being read at one port. */
interface Watchers {
  count: number;
}

function parameters(c: Context): { after: number | undefined; watch: boolean } {
  const refuse = (param: string, message: string): MeshError => new MeshError("bad_request", message, { param });
  const given = c.req.queries();
  for (const [name, values] of Object.entries(given)) {
    const shownName = JSON.stringify(name.slice(0, 40));
    if (!PARAMETERS.includes(name)) throw refuse(name, `there is no parameter ${shownName}; expected after or watch`);
    if (values.length > 1) throw refuse(name, `${name} is given ${values.length} times; expected once`);
  }
  const [after] = given["after"] ?? [];
  const seq = after !== undefined && /^\d{1,16}$/.test(after) ? Number(after) : Number.NaN;
  if (after !== undefined && !Number.isSafeInteger(seq)) {
    const found = JSON.stringify(after.slice(0, 40));
    throw refuse("after", `after is ${found}; expected the number of an event, such as the "next" of the last answer`);
  }
  const [watch] = given["watch"] ?? [];
  if (watch !== undefined && watch !== "1" && watch !== "0") {
    throw refuse("watch", `watch is ${JSON.stringify(watch.slice(0, 40))}; expected 1, or 0 for an answer at once`);
  }
  return { after: after === undefined ? undefined : seq, watch: watch === "1" };
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
): ReadableStream<Uint8Array> {
  const encoder = new TextEncoder();
  let next = after;
  let begun = false;
  let gone = false;
  let wake = (): void => {};
  const somethingNew = async (): Promise<void> => {
    const { promise, resolve } = Promise.withResolvers<void>();
    wake = resolve;
    const unwatch = journal.watch(resolve);
    const timer = setTimeout(resolve, heartbeatMs);
    await promise;
    clearTimeout(timer);
    unwatch();
  };
  return new ReadableStream<Uint8Array>(
    {
      async pull(controller) {
        if (!begun) watchers.count += 1;
        let part = journal.after(next, STREAM_EVENTS_MAX);
        if (begun && part.events.length === 0 && !journal.ended) {
          await somethingNew();
          part = journal.after(next, STREAM_EVENTS_MAX);
        }
        if (gone) return;
        const lines: object[] = [];
        const before = part.next - part.events.length;
        if (!begun) lines.push({ kind: "heartbeat", next: before - part.missed, first: journal.first });
        begun = true;
        if (part.missed > 0) lines.push({ kind: "gap", missed: part.missed, next: before });
        lines.push(...part.events);
        next = part.next;
        if (lines.length === 0 && journal.ended) {
          watchers.count -= 1;
          controller.close();
          return;
        }
        if (lines.length === 0) lines.push({ kind: "heartbeat", next, first: journal.first });
        controller.enqueue(encoder.encode(lines.map((line) => `${JSON.stringify(line)}\n`).join("")));
      },
      cancel() {
        if (begun && !gone) watchers.count -= 1;
        gone = true;
        wake();
      },
    },
    // Nothing is made before it is asked for: an answer to HEAD, whose body nobody reads, holds nothing.
    { highWaterMark: 0 },
  );
}
