/**
 * What a runtime tells of its models by itself, on a connection of its own, for as long as it goes on: one request for
 * what would be asked for again and again. It is begun when the watch says so, and its end is told.
 */
import type { Feed, FeedNews } from "../runtimes/adapter.ts";
import { SseData } from "../wire/sse-data.ts";
import type { RuntimeClient } from "./runtime-client.ts";

export interface ModelFeedOptions {
  readonly ask: RuntimeClient["askApart"];
  readonly told: (news: FeedNews) => void;
  /** It has ended, or never was: `isAbsent` where the server says that it does not have it. */
  readonly ended: (isAbsent: boolean) => void;
}

/** By then it is asked for anew: nobody knows of a connection on which nothing is told whether it is still there. */
const LASTS_MS = 3600_000;
const BYTES_MAX = 2 ** 40;
const STREAM = "text/event-stream";

export class ModelFeed {
  readonly #options: ModelFeedOptions;
  readonly #stop = new AbortController();

  constructor(options: ModelFeedOptions) {
    this.#options = options;
  }

  async read(feed: Feed): Promise<void> {
    const { ask, told, ended } = this.#options;
    const events = new SseData();
    const piece = (bytes: Uint8Array): void =>
      events.push(bytes, (data) => {
        const news = this.#stop.signal.aborted ? undefined : feed.read(data);
        if (news !== undefined) told(news);
      });
    const asked = await ask(feed.ask, { timeoutMs: LASTS_MS, bytesMax: BYTES_MAX, piece }, this.#stop.signal);
    if (this.#stop.signal.aborted) return;
    // What has answered with something else has no such path, whatever its status.
    ended(asked.ok && (asked.answer.status !== 200 || !asked.answer.contentType.startsWith(STREAM)));
  }

  stop(): void {
    this.#stop.abort();
  }
}
