/**
 * Watches one kind of object at an API server of Kubernetes: lists them, page by page, then watches for changes from the
 * version of that list on, as the API describes it ("Efficient detection of changes"). It touches no socket and no clock:
 *
 *     const watch = new KubeWatch(question, read, prng, nowMs);
 *     const { request, cancel, changed, news, wakeAtMs } = watch.take();    // after each event, and after wake(nowMs)
 *     watch.answered(id, answer, nowMs);             // a page of a list, or a refusal of either
 *     watch.opened(id, nowMs);                       // a watch was taken: its events follow
 *     watch.event(id, event, nowMs);
 *     watch.ended(id, why, nowMs);                   // a watch has ended ("": in order), or a request came to nothing
 *
 * One request is under way at a time. What comes of a request that was cancelled, or has ended, changes nothing.
 *
 * Recovery: a watch that ends goes on from the last version that was heard of, bookmarks among them, so that nothing is
 * lost and nothing told twice. A version that the server does not know any more (410), a line that can't be understood and
 * the third failure in a row lead to a new list, which takes the place of all that was known in one step. Failures are
 * tried again at pauses that double from half a second to half a minute, by chance up to a half shorter, or when the server
 * says so (Retry-After). Meanwhile what was known stays. A page that is too large is asked for again in quarters.
 *
 * Watches end after a minute or two, by the server or, where that does not, by us: a connection that died without a word
 * is found out by then.
 *
 * Limits: `OBJECTS_MAX` objects, of more the first; 500 to a page.
 */
import { isRecord } from "../base/field.ts";
import type { Prng } from "../base/prng.ts";
import { textAt, valueAt, wordsAt } from "./endpoint.ts";
import type { KubeSource } from "./source.ts";

/** What is asked for. */
export type Question = Pick<KubeSource, "namespace" | "resource" | "selector">;

export interface KubeRequest {
  readonly id: number;
  readonly kind: "list" | "watch";
  /** With its query. */
  readonly path: string;
}

/** A whole answer, but for that of a watch that was taken. */
export interface KubeAnswer {
  readonly status: number;
  /** Undefined where it is no JSON. */
  readonly body: unknown;
  /** Undefined where the server does not say. */
  readonly retryAfterMs: number | undefined;
}

export type KubeNews =
  /** The first list since the start, or since it failed. */
  | { readonly kind: "synced"; readonly objects: number; readonly failedForMs: number }
  | { readonly kind: "failed"; readonly why: string; readonly status: number }
  /** Something to be told of that hinders nothing. */
  | { readonly kind: "odd"; readonly why: string };

export interface KubeTake {
  readonly request: KubeRequest | undefined;
  /** The request that is under way is to be called off, and not to be told of any more. */
  readonly cancel: boolean;
  /** The objects are others now. */
  readonly changed: boolean;
  readonly news: readonly KubeNews[];
  readonly wakeAtMs: number;
}

export interface KubeCounts {
  lists: number;
  watches: number;
  events: number;
  failures: number;
}

export const OBJECTS_MAX = 10_000;
export const PAGE_TOO_LARGE = "it is larger than what is read";
const PAGE_OBJECTS = 500;
const PAGES_MAX = 1000;
/** For a page, and for a watch to be taken. */
const ANSWER_MS = 15_000;
/** How long a watch is to last: by chance within these, or all routers would come back together. */
const WATCH_SECONDS = { min: 60, max: 120 };
/** A server that does not end a watch in time is gone. */
const WATCH_SLACK_MS = 10_000;
/** A watch that ends sooner than that was hardly one. */
const WATCH_SHORT_MS = 1000;
const BACKOFF_MS = { first: 500, max: 30_000 };
const RETRY_AFTER_MS_MAX = 300_000;
/** As many failures in a row, and what was heard of before is listed anew. */
const LIST_AFTER = 3;
const GONE = 410;

const PATHS = { endpointslices: "/apis/discovery.k8s.io/v1", pods: "/api/v1" } as const;

interface UnderWay {
  readonly request: KubeRequest;
  readonly startedAtMs: number;
  deadlineMs: number;
  isOpen: boolean;
}

export class KubeWatch<T> {
  readonly counts: KubeCounts = { lists: 0, watches: 0, events: 0, failures: 0 };
  readonly #question: Question;
  readonly #read: (object: unknown) => T;
  readonly #prng: Prng;
  #objects = new Map<string, T>();
  /** Of the list that is under way. */
  #page: { objects: Map<string, T>; continued: string; pages: number } | undefined;
  #version = "";
  #pageObjects = PAGE_OBJECTS;
  #next: "list" | "watch" = "list";
  #nextAtMs: number;
  #underWay: UnderWay | undefined;
  #cancel = false;
  #changed = false;
  #hasSynced = false;
  #isTold = false;
  #failures = 0;
  /** Versions that were gone since one was heard of. */
  #gones = 0;
  #failure = "";
  #failedAtMs = 0;
  #heardAtMs: number;
  #isCrowded = false;
  #news: KubeNews[] = [];
  #id = 0;
  #nowMs: number;

  /** `read`: what is kept of an object. */
  constructor(question: Question, read: (object: unknown) => T, prng: Prng, nowMs: number) {
    this.#question = question;
    this.#read = read;
    this.#prng = prng;
    this.#nextAtMs = this.#heardAtMs = this.#nowMs = nowMs;
  }

  /** By namespace and name. */
  get objects(): ReadonlyMap<string, T> {
    return this.#objects;
  }

  /** They were listed once, at least. */
  get hasSynced(): boolean {
    return this.#hasSynced;
  }

  /** Why they may be others by now; "" while all is well. */
  get failure(): string {
    return this.#failure;
  }

  /** When it was known last that nothing is missing. */
  get heardAtMs(): number {
    return this.#failures === 0 && this.#underWay?.isOpen === true ? this.#nowMs : this.#heardAtMs;
  }

  answered(id: number, answer: KubeAnswer, nowMs: number): void {
    const ended = this.#end(id, nowMs);
    if (ended === undefined) return;
    const { status, body } = answer;
    if (status === 200 && ended.kind === "list") this.#listed(body);
    else if (status === GONE) this.#listAnew("the API server no longer knows the version that was asked for");
    else {
      const words = wordsAt(body, "message") || `it answers ${status}`;
      this.#fail(status === 200 ? "it answers a watch with something else" : words, status, answer.retryAfterMs);
    }
  }

  opened(id: number, nowMs: number): void {
    this.#now(nowMs);
    const underWay = this.#underWay;
    if (underWay?.request.id !== id || underWay.request.kind !== "watch" || underWay.isOpen) return;
    this.counts.watches += 1;
    underWay.isOpen = true;
    underWay.deadlineMs = underWay.startedAtMs + WATCH_SECONDS.max * 1000 + WATCH_SLACK_MS;
    this.#heard();
  }

  event(id: number, event: unknown, nowMs: number): void {
    this.#now(nowMs);
    if (this.#underWay?.request.id !== id || !this.#underWay.isOpen) return;
    const kind = valueAt(event, "type");
    const object = valueAt(event, "object");
    const key = keyOf(object);
    const version = textAt(object, "metadata", "resourceVersion");
    if (kind === "ERROR") this.#refused(object);
    else if (kind === "BOOKMARK" && version !== "") this.#told(version);
    else if ((kind === "ADDED" || kind === "MODIFIED" || kind === "DELETED") && key !== "" && version !== "") {
      this.counts.events += 1;
      this.#told(version);
      if (kind !== "DELETED") this.#keep(this.#objects, key, object);
      else this.#objects.delete(key);
      this.#changed = true;
    } else this.#misread("a line of it is no event");
  }

  /** `why` is "" where a watch has ended in order. */
  ended(id: number, why: string, nowMs: number): void {
    const open = this.#underWay?.isOpen === true;
    const startedAtMs = this.#underWay?.startedAtMs ?? 0;
    const ended = this.#end(id, nowMs);
    if (ended === undefined) return;
    if (open) this.#heardAtMs = this.#nowMs;
    const isShort = this.#nowMs - startedAtMs < WATCH_SHORT_MS;
    if (why === PAGE_TOO_LARGE && ended.kind === "list" && this.#pageObjects > 1) this.#quarter();
    else if (why === PAGE_TOO_LARGE && ended.kind === "watch") this.#misread(why);
    else if (!open || (why !== "" && isShort)) this.#fail(why || "the connection ended unanswered", 0, undefined);
    // Servers and what stands before them restart; that is nobody's fault as long as the next watch is taken.
    else if (why !== "" || isShort) this.#pause(this.#backoffMs(1));
    else this.#nextAtMs = this.#nowMs;
  }

  /** At or after wakeAtMs. */
  wake(nowMs: number): void {
    this.#now(nowMs);
    const underWay = this.#underWay;
    if (underWay === undefined || this.#nowMs < underWay.deadlineMs) return;
    const { isOpen, request } = underWay;
    this.#cancelled();
    // One that was open has told all there was to tell: it is only looked whether the server is there still.
    if (isOpen) this.#nextAtMs = this.#nowMs;
    else this.#fail(`no answer to a ${request.kind} within ${ANSWER_MS / 1000} s`, 0, undefined);
  }

  take(): KubeTake {
    const request = this.#begin();
    const taken = {
      request,
      cancel: this.#cancel,
      changed: this.#changed,
      news: this.#news,
      wakeAtMs: this.#underWay?.deadlineMs ?? this.#nextAtMs,
    };
    this.#cancel = this.#changed = false;
    this.#news = [];
    return taken;
  }

  #begin(): KubeRequest | undefined {
    if (this.#underWay !== undefined || this.#nowMs < this.#nextAtMs) return undefined;
    const kind = this.#next;
    const request = { id: ++this.#id, kind, path: this.#path(kind) };
    this.#underWay = { request, startedAtMs: this.#nowMs, deadlineMs: this.#nowMs + ANSWER_MS, isOpen: false };
    return request;
  }

  #path(kind: "list" | "watch"): string {
    const { namespace, resource, selector } = this.#question;
    const within = namespace === "" ? "" : `/namespaces/${namespace}`;
    const query = [`labelSelector=${encodeURIComponent(selector)}`];
    if (kind === "list") {
      query.push(`limit=${this.#pageObjects}`);
      const continued = this.#page?.continued ?? "";
      if (continued !== "") query.push(`continue=${encodeURIComponent(continued)}`);
    } else {
      const { min, max } = WATCH_SECONDS;
      const seconds = min + Math.floor(this.#prng.next() * (max - min + 1));
      query.push("watch=1", "allowWatchBookmarks=true", `resourceVersion=${encodeURIComponent(this.#version)}`);
      query.push(`timeoutSeconds=${seconds}`);
    }
    return `${PATHS[resource]}${within}/${resource}?${query.join("&")}`;
  }

  #listed(body: unknown): void {
    const items = valueAt(body, "items");
    const version = textAt(body, "metadata", "resourceVersion");
    // An empty list may come as null.
    if (!(Array.isArray(items) || items === null) || version === "") {
      this.#page = undefined;
      this.#fail("its answer is no list of objects", 200, undefined);
      return;
    }
    this.#page ??= { objects: new Map(), continued: "", pages: 0 };
    this.#page.pages += 1;
    for (const item of items ?? []) {
      const key = keyOf(item);
      if (key !== "") this.#keep(this.#page.objects, key, item);
    }
    const continued = valueAt(body, "metadata", "continue");
    this.#page.continued = typeof continued === "string" ? continued : "";
    if (this.#page.continued !== "" && this.#page.pages < PAGES_MAX) {
      this.#nextAtMs = this.#nowMs;
      return;
    }
    this.#objects = this.#page.objects;
    this.#page = undefined;
    this.#version = version;
    this.#pageObjects = PAGE_OBJECTS;
    this.#next = "watch";
    this.#nextAtMs = this.#nowMs;
    this.#changed = this.#hasSynced = true;
    this.#heardAtMs = this.#nowMs;
    this.counts.lists += 1;
  }

  #told(version: string): void {
    this.#version = version;
    this.#gones = 0;
  }

  /** A watch was taken: all is well. */
  #heard(): void {
    this.#heardAtMs = this.#nowMs;
    if (this.#failures > 0 || !this.#isTold) {
      const failedForMs = this.#failures > 0 ? this.#nowMs - this.#failedAtMs : 0;
      this.#news.push({ kind: "synced", objects: this.#objects.size, failedForMs });
    }
    this.#isTold = true;
    this.#failures = 0;
    this.#failure = "";
  }

  #keep(objects: Map<string, T>, key: string, object: unknown): void {
    if (objects.size < OBJECTS_MAX || objects.has(key)) objects.set(key, this.#read(object));
    else if (!this.#isCrowded) {
      this.#isCrowded = true;
      this.#news.push({ kind: "odd", why: `more than ${OBJECTS_MAX} objects match; the others are left out` });
    }
  }

  /** An event of a watch that is a Status. */
  #refused(status: unknown): void {
    this.#cancelled();
    const code = valueAt(status, "code");
    const words = wordsAt(status, "message") || "it ended the watch with an error";
    if (code === GONE) this.#listAnew(words);
    else this.#fail(words, typeof code === "number" ? code : 0, undefined);
  }

  /** What follows in this watch can't be trusted. */
  #misread(why: string): void {
    if (this.#underWay !== undefined) this.#cancelled();
    this.#next = "list";
    this.#fail(why, 0, undefined);
  }

  /** Nothing is wrong: so it is meant to be. Not at once, since it may be so at all routers. */
  #listAnew(why: string): void {
    const wasListing = this.#page !== undefined || this.#next === "list";
    this.#page = undefined;
    this.#next = "list";
    this.#gones += 1;
    if (wasListing) this.#fail(why, GONE, undefined);
    else this.#pause(this.#backoffMs(this.#gones));
  }

  #quarter(): void {
    this.#page = undefined;
    this.#pageObjects = Math.max(1, Math.floor(this.#pageObjects / 4));
    this.#nextAtMs = this.#nowMs;
  }

  #fail(why: string, status: number, retryAfterMs: number | undefined): void {
    this.counts.failures += 1;
    if (this.#failures === 0) this.#failedAtMs = this.#nowMs;
    this.#failures += 1;
    this.#page = undefined;
    if (this.#failures >= LIST_AFTER) this.#next = "list";
    const isNew = why !== this.#failure;
    this.#failure = why;
    if (isNew) this.#news.push({ kind: "failed", why, status });
    const backoffMs = this.#backoffMs(this.#failures);
    this.#pause(retryAfterMs === undefined ? backoffMs : Math.min(RETRY_AFTER_MS_MAX, retryAfterMs) + backoffMs);
  }

  #backoffMs(failures: number): number {
    const wholeMs = Math.min(BACKOFF_MS.max, BACKOFF_MS.first * 2 ** Math.min(failures - 1, 10));
    return wholeMs * (1 - this.#prng.next() / 2);
  }

  #pause(ms: number): void {
    this.#nextAtMs = this.#nowMs + ms;
  }

  #cancelled(): void {
    if (this.#underWay?.isOpen === true) this.#heardAtMs = this.#nowMs;
    this.#underWay = undefined;
    this.#cancel = true;
  }

  /** The request of that id, which is over now; undefined where it is not under way. */
  #end(id: number, nowMs: number): KubeRequest | undefined {
    this.#now(nowMs);
    const request = this.#underWay?.request;
    if (request?.id !== id) return undefined;
    this.#underWay = undefined;
    return request;
  }

  /** Late inputs never turn the clock back. */
  #now(nowMs: number): void {
    this.#nowMs = Math.max(this.#nowMs, nowMs);
  }
}

/** "" of what has no name. */
function keyOf(object: unknown): string {
  if (!isRecord(object)) return "";
  const name = textAt(object, "metadata", "name");
  return name === "" ? "" : `${textAt(object, "metadata", "namespace")}/${name}`;
}
