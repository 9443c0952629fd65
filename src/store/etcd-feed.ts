/**
 * All that etcd has under a prefix, and each change of it after that, in order and once: a range in pages as of one
 * revision, then a watch from the next one. A watch that breaks is resumed where it was, at another endpoint if need
 * be; when that place has been compacted away, or etcd's data was replaced, all is loaded anew.
 *
 * There is no giving up: while etcd can't be reached, what was loaded stays, and `failure` says why.
 */
import { status } from "@grpc/grpc-js";
import type { MeshError } from "../base/errors.ts";
import type { Event, KeyValue, WatchResponse } from "../gen/etcd.js";
import type { EtcdClient, WatchStream } from "./etcd-client.ts";
import { EtcdFailure, failureOf } from "./etcd-failure.ts";

export interface FeedHandlers {
  /** Everything, as of one revision. */
  loaded(kvs: readonly KeyValue.$Properties[]): void;
  /** Whole revisions. */
  changed(events: readonly Event.$Properties[]): void;
  /** What was wrong, or is: called when it changes. */
  failed(error: MeshError | null): void;
}

/** Of 64 KiB each they stay below the limit of a message. */
const PAGE_KEYS = 500;
const CALL_TIMEOUT_MS = 5000;
const BEGIN_TIMEOUT_MS = 2500;
const HURRY_MS_MIN = 3000;
const PAUSE_MS_MIN = 20;
const PAUSE_MS_MAX = 500;

type End = "reload" | "resume";

export class EtcdFeed {
  readonly #client: EtcdClient;
  readonly #prefix: Uint8Array;
  readonly #end: Uint8Array;
  readonly #handlers: FeedHandlers;
  /** The revision to watch from; 0: everything is to be loaded. */
  #nextRevision = 0;
  /** etcd has been seen to be at that revision. */
  #knownRevision = 0;
  #clusterId = 0;
  #watch: WatchStream | null = null;
  #pauseMs = 0;
  #hurriedAtMs = -Infinity;
  #isStopped = false;
  #wake: () => void = () => {};

  constructor(client: EtcdClient, prefix: string, handlers: FeedHandlers) {
    this.#client = client;
    this.#prefix = Buffer.from(prefix);
    this.#end = endOf(this.#prefix);
    this.#handlers = handlers;
  }

  /** What is told next may be everything, as of some time ago. */
  get isLoading(): boolean {
    return this.#nextRevision === 0;
  }

  get isStopped(): boolean {
    return this.#isStopped;
  }

  /** Runs until `stop`. */
  async run(): Promise<void> {
    while (!this.#isStopped) {
      const isLoaded = this.#nextRevision > 0 || (await this.#load());
      if (isLoaded && !this.#isStopped && (await this.#follow()) === "reload") this.#nextRevision = 0;
      if (!this.#isStopped) await this.#pause();
    }
  }

  /** etcd has come as far as that revision, as a transaction of this node told. */
  seen(revision: number): void {
    this.#knownRevision = Math.max(this.#knownRevision, revision);
  }

  /** What there is is not what there was: everything is loaded anew. */
  reload(): void {
    this.#nextRevision = 0;
    this.#drop();
  }

  /** The watch is behind what others know: begins anew at the next endpoint. */
  hurry(): void {
    const nowMs = performance.now();
    if (this.#watch === null || nowMs - this.#hurriedAtMs < HURRY_MS_MIN) return;
    // One that has much to tell is given the time to.
    this.#hurriedAtMs = nowMs;
    this.#client.turnAway(this.#watch.endpoint);
    this.#drop();
  }

  stop(): void {
    this.#isStopped = true;
    this.#drop();
    this.#wake();
  }

  /** What a stream tells after this is not looked at. */
  #drop(): void {
    const watch = this.#watch;
    this.#watch = null;
    watch?.stream.cancel();
  }

  async #load(): Promise<boolean> {
    const all: KeyValue.$Properties[] = [];
    let key = this.#prefix;
    let revision = 0;
    let clusterId = 0;
    let limit = PAGE_KEYS;
    for (;;) {
      const page = await this.#client.range({ key, rangeEnd: this.#end, revision, limit }, CALL_TIMEOUT_MS);
      if (page instanceof EtcdFailure) {
        if (page.error.code === "payload_too_large" && limit > 1) {
          limit = Math.ceil(limit / 10);
          continue;
        }
        if (page.next !== "compacted" && !this.#isStopped) this.#handlers.failed(page.error);
        return false;
      }
      revision ||= page.header?.revision ?? 0;
      clusterId = page.header?.clusterId ?? 0;
      all.push(...page.kvs);
      const last = page.kvs.at(-1)?.key;
      if (!page.more || !last) break;
      key = Buffer.concat([last, new Uint8Array(1)]);
    }
    if (this.#isStopped) return false;
    this.#nextRevision = revision + 1;
    this.#knownRevision = revision;
    this.#clusterId = clusterId;
    this.#handlers.loaded(all);
    return true;
  }

  /** Watches until the stream ends; answers how to go on. */
  async #follow(): Promise<End> {
    const opened = await this.#client.openWatch(CALL_TIMEOUT_MS);
    if (opened instanceof EtcdFailure) {
      if (opened.next === "login") this.#client.logOut();
      if (!this.#isStopped) this.#handlers.failed(opened.error);
      return "resume";
    }
    const { stream, endpoint } = opened;
    this.#watch = opened;
    // One that does not even begin has no deadline of its own.
    const timer = setTimeout(() => {
      if (this.#watch === opened) this.#fail(failureOf({ code: status.DEADLINE_EXCEEDED, details: "" }, endpoint));
    }, BEGIN_TIMEOUT_MS);
    const how = await new Promise<End>((resolve) => {
      stream.on("data", (response: WatchResponse) => {
        if (response.created) clearTimeout(timer);
        const end = this.#watch === opened ? this.#received(response) : undefined;
        if (end === undefined) return;
        resolve(end);
        this.#drop();
      });
      stream.on("error", (error: Parameters<typeof failureOf>[0]) => {
        const failure = failureOf(error, endpoint);
        if (this.#watch === opened) this.#fail(failure);
        // More was told at once than a message may have: it is read in pages.
        resolve(failure.error.code === "payload_too_large" ? "reload" : "resume");
      });
      stream.on("end", () => {
        resolve("resume");
        stream.cancel();
      });
      stream.write({
        createRequest: { key: this.#prefix, rangeEnd: this.#end, startRevision: this.#nextRevision },
      });
    });
    clearTimeout(timer);
    this.#watch = null;
    return how;
  }

  #received(response: WatchResponse): End | undefined {
    if (response.canceled) return this.#cancelled(response);
    if (response.created) {
      if (response.header?.clusterId !== this.#clusterId) return "reload";
      this.#pauseMs = 0;
      this.#handlers.failed(null);
      // A member that lags, or data put back from a backup: the second would wait for its old future.
      if ((response.header.revision ?? 0) < this.#knownRevision) void this.#checkFuture();
      return undefined;
    }
    const last = response.events.at(-1)?.kv?.modRevision;
    if (last === undefined || last === null || last < this.#nextRevision) return undefined;
    this.#nextRevision = last + 1;
    this.seen(last);
    this.#handlers.changed(response.events);
    return undefined;
  }

  #cancelled({ compactRevision: compacted, cancelReason: reason }: WatchResponse): End {
    if (compacted > 0) return "reload";
    const details = reason || "the watch was cancelled";
    let code = status.UNAVAILABLE;
    if (/permission denied/.test(reason)) code = status.PERMISSION_DENIED;
    if (/auth token/.test(reason)) code = status.UNAUTHENTICATED;
    this.#fail(failureOf({ code, details }, this.#watch!.endpoint));
    return "resume";
  }

  async #checkFuture(): Promise<void> {
    const expected = this.#knownRevision;
    const now = await this.#client.range({ key: this.#prefix, countOnly: true }, CALL_TIMEOUT_MS);
    if (now instanceof EtcdFailure) this.#drop();
    else if ((now.header?.revision ?? 0) < expected) this.reload();
  }

  /** The watch under way is over. */
  #fail({ next, error }: EtcdFailure): void {
    if (next === "login") this.#client.logOut();
    else this.#client.turnAway(this.#watch!.endpoint);
    this.#drop();
    this.#handlers.failed(error);
  }

  #pause(): Promise<void> {
    const ms = this.#pauseMs;
    this.#pauseMs = Math.min(PAUSE_MS_MAX, Math.max(PAUSE_MS_MIN, ms * 2));
    return new Promise((resolve) => {
      const timer = setTimeout(resolve, ms);
      this.#wake = () => {
        clearTimeout(timer);
        resolve();
      };
    });
  }
}

/** The first key behind all that begin with the prefix; its last byte is below 255. */
export function endOf(prefix: Uint8Array): Uint8Array {
  const end = Uint8Array.from(prefix);
  end[end.length - 1]! += 1;
  return end;
}
