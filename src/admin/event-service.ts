/**
 * SubscribeEvents: the journal as a stream of messages. It holds a number in the journal and nothing else; a subscriber
 * that does not read is asked for nothing, and is told what it missed when it goes on.
 */
import type { Init, SubscribeEventsRequest, SubscribeEventsResponse } from "../gen/services.js";
import { acceptance, checkFilter } from "./event-filter.ts";
import {
  admitWatcher,
  type EventEntry,
  type EventJournal,
  HEARTBEAT_MS,
  STREAM_EVENTS_MAX,
  type Watchers,
} from "./events.ts";
import type { Call } from "./services.ts";

export class EventService {
  readonly #journal: EventJournal;
  readonly #watchers: Watchers;

  /** `watchers`: those of the port, whatever they speak. */
  constructor(journal: EventJournal, watchers: Watchers) {
    this.#journal = journal;
    this.#watchers = watchers;
  }

  async *subscribeEvents(
    request: SubscribeEventsRequest,
    { signal }: Call,
  ): AsyncGenerator<Init<SubscribeEventsResponse>> {
    const journal = this.#journal;
    const watchers = this.#watchers;
    checkFilter(request);
    admitWatcher(journal, watchers);
    watchers.count += 1;
    try {
      const accepts = acceptance(request);
      const { first } = journal;
      const asked = request.since ?? journal.last;
      let next = asked < first || asked > journal.last ? first - 1 : asked;
      yield { position: { first }, next };
      while (!signal.aborted) {
        const part = journal.after(next, STREAM_EVENTS_MAX, accepts);
        if (part.missed > 0) yield { missed: { count: part.missed }, next: next + part.missed };
        for (const entry of part.events) yield { event: eventMessage(entry), next: entry.seq ?? part.next };
        const isMore = part.next > next;
        next = part.next;
        if (isMore) continue;
        if (journal.ended) return;
        if (!(await news(journal, signal))) yield { position: { first }, next };
      }
    } finally {
      watchers.count -= 1;
    }
  }
}

/** Waits for an event, the journal's end or the caller's; false after the time of a heartbeat. */
async function news(journal: EventJournal, signal: AbortSignal): Promise<boolean> {
  const { promise, resolve } = Promise.withResolvers<boolean>();
  const onNews = (): void => resolve(true);
  const unwatch = journal.watch(onNews);
  signal.addEventListener("abort", onNews);
  if (signal.aborted) onNews();
  const timer = setTimeout(() => resolve(false), HEARTBEAT_MS);
  const isNews = await promise;
  clearTimeout(timer);
  signal.removeEventListener("abort", onNews);
  unwatch();
  return isNews;
}

function eventMessage({ seq, time, type, id, cause, labels }: EventEntry): Init<SubscribeEventsResponse>["event"] {
  return { number: seq, atMs: time === undefined ? 0 : Date.parse(time), type, subject: id, message: cause, labels };
}
