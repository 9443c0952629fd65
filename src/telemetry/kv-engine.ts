/**
 * The KV cache events of one engine: a subscription that is kept up, replays where they are needed, and the index of
 * what the engine holds (../kv/DESIGN.md).
 *
 * A lost connection is made again after `PAUSE_MS`, then twice as long each time up to `PAUSE_MS_MAX`, with some chance
 * in it so that the ranks of an engine that starts again are not all asked at once. A replay has a connection of its
 * own, for as long as it lasts: answers that come late to an earlier question go nowhere.
 */
import type { Prng } from "../base/prng.ts";
import { numberBytes } from "../kv/batch-number.ts";
import { EventFlow, type FlowStats } from "../kv/event-flow.ts";
import { readBatch } from "../kv/event-reader.ts";
import { type EngineName, IndexFeed } from "../kv/index-feed.ts";
import type { Log } from "../obs/log.ts";
import type { IpPlace } from "../net/stream.ts";
import { ZmqLink } from "./zmq-link.ts";

export const PAUSE_MS = 100;
export const PAUSE_MS_MAX = 10_000;
/** A connection that lasted so long was a good one: the next is made soon. */
const STEADY_MS = 10_000;
const ANEW_TOLD_EVERY_MS = 1000;
const NONE = new Uint8Array(0);

/** "heard" and "silent" follow each other; "anew": what was known of its cache is void. */
export interface KvEngineEvent {
  readonly kind: "heard" | "silent" | "anew";
  readonly cause: string;
}

export interface KvEngineOptions {
  readonly who: EngineName;
  readonly events: IpPlace;
  readonly replay: IpPlace | undefined;
  readonly topic: Uint8Array;
  readonly blocksMax?: number;
  tell(event: KvEngineEvent): void;
}

export interface KvEngineStatus extends Readonly<FlowStats> {
  readonly engine: string;
  readonly isSubscribed: boolean;
  /** Why the connection before was lost, or this one is not there. */
  readonly fault: string;
  readonly blocks: number;
  readonly isPartial: boolean;
  /** Why the index began as it did. */
  readonly began: string;
  /** Batches that could not be read. */
  readonly badBatches: number;
  /** Events of kinds that are not known. */
  readonly unknownEvents: number;
  /** The data-parallel rank that the engine tells. */
  readonly rank: number | undefined;
}

export class KvEngine {
  readonly feed: IndexFeed;
  readonly #options: KvEngineOptions;
  readonly #log: Log;
  readonly #prng: Prng;
  readonly #flow: EventFlow;
  #link: ZmqLink | undefined;
  #replayLink: ZmqLink | undefined;
  #flowTimer: ReturnType<typeof setTimeout> | undefined;
  #dialTimer: ReturnType<typeof setTimeout> | undefined;
  #pauseMs = PAUSE_MS;
  #dialledAtMs = 0;
  #isSubscribed = false;
  #fault = "";
  #replayFault = "";
  #began = "";
  #badBatches = 0;
  #unknownEvents = 0;
  #rank: number | undefined;
  #anewToldAtMs = -Infinity;
  #isStopped = false;

  constructor(options: KvEngineOptions, prng: Prng, log: Log) {
    this.#options = options;
    this.#prng = prng;
    this.#log = log.with({ engine: options.who.engine });
    this.feed = new IndexFeed(options.who, prng, options.blocksMax);
    this.#flow = new EventFlow(options.replay !== undefined, {
      batch: (payload) => this.#batch(payload),
      anew: (reason, isComplete) => this.#anew(reason, isComplete),
    });
    this.#dial();
  }

  stop(): void {
    this.#isStopped = true;
    clearTimeout(this.#dialTimer);
    clearTimeout(this.#flowTimer);
    this.#link?.close();
    this.#replayLink?.close();
  }

  status(): KvEngineStatus {
    const { index } = this.feed;
    return {
      ...this.#flow.stats,
      engine: this.#options.who.engine,
      isSubscribed: this.#isSubscribed,
      fault: this.#fault,
      blocks: index.size,
      isPartial: index.isPartial,
      began: this.#began,
      badBatches: this.#badBatches,
      unknownEvents: this.#unknownEvents,
      rank: this.#rank,
    };
  }

  #dial(): void {
    this.#dialledAtMs = performance.now();
    const { events, topic } = this.#options;
    this.#link = new ZmqLink(
      events,
      { socket: "SUB", topics: [topic] },
      {
        ready: () => this.#subscribed(),
        message: (frames) => {
          this.#flow.heard(frames, performance.now());
          this.#step();
        },
        closed: (reason) => this.#lost(reason),
      },
    );
  }

  #subscribed(): void {
    this.#isSubscribed = true;
    this.feed.isHeard = true;
    this.#fault = "";
    this.#log.info("KV cache events are heard");
    this.#options.tell({ kind: "heard", cause: "subscribed" });
    this.#flow.subscribed(performance.now());
    this.#step();
  }

  #lost(reason: string): void {
    if (this.#isSubscribed || reason !== this.#fault) {
      this.#log.warn(`KV cache events are not heard: ${reason}`);
      this.#options.tell({ kind: "silent", cause: reason });
    }
    this.#isSubscribed = false;
    this.feed.isHeard = false;
    this.#fault = reason;
    this.#flow.lost();
    this.#step();
    if (performance.now() - this.#dialledAtMs >= STEADY_MS) this.#pauseMs = PAUSE_MS;
    const pauseMs = this.#pauseMs * (0.75 + 0.5 * this.#prng.next());
    this.#pauseMs = Math.min(PAUSE_MS_MAX, this.#pauseMs * 2);
    this.#dialTimer = setTimeout(() => this.#dial(), pauseMs);
    this.#dialTimer.unref();
  }

  /** Does what the flow wants done. */
  #step(): void {
    if (this.#isStopped) return;
    const { ask, wakeAtMs } = this.#flow.take();
    if (ask !== undefined || !this.#flow.isReplaying) {
      this.#replayLink?.close();
      this.#replayLink = undefined;
    }
    if (ask !== undefined) this.#askFrom(ask);
    clearTimeout(this.#flowTimer);
    if (wakeAtMs === Infinity) return;
    const wake = (): void => {
      this.#flow.wake(performance.now());
      this.#step();
    };
    this.#flowTimer = setTimeout(wake, Math.max(1, wakeAtMs - performance.now()));
    this.#flowTimer.unref();
  }

  #askFrom(number: number): void {
    const { replay } = this.#options;
    if (replay === undefined) return;
    const link = new ZmqLink(
      replay,
      { socket: "DEALER" },
      {
        ready: () => {
          this.#replayFault = "";
          link.send([NONE, numberBytes(number)]);
        },
        message: (frames) => {
          this.#flow.replied(frames, performance.now());
          this.#step();
        },
        closed: (reason) => {
          if (reason !== this.#replayFault) this.#log.warn(`KV cache events can't be replayed: ${reason}`);
          this.#replayFault = reason;
          this.#flow.replayLost(performance.now());
          this.#step();
        },
      },
    );
    this.#replayLink = link;
  }

  #batch(payload: Uint8Array): void {
    const batch = readBatch(payload);
    if (batch === undefined) {
      this.#badBatches += 1;
      this.feed.index.missed();
      if (this.#badBatches === 1) this.#log.warn("a batch of KV cache events can't be read; the index is partial");
      return;
    }
    this.#unknownEvents += batch.unknown;
    this.#rank = batch.rank ?? this.#rank;
    for (const event of batch.events) this.feed.index.apply(event);
  }

  #anew(reason: string, isComplete: boolean): void {
    this.#began = reason;
    this.feed.index.restart(isComplete);
    // An engine that loses batches all the time has one line a second.
    const nowMs = performance.now();
    if (!isComplete && nowMs - this.#anewToldAtMs < ANEW_TOLD_EVERY_MS) return;
    if (!isComplete) this.#anewToldAtMs = nowMs;
    this.#log.info(`the index of KV cache blocks starts anew: ${reason}`, { complete: isComplete });
    this.#options.tell({ kind: "anew", cause: reason });
  }
}
