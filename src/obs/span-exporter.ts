/**
 * Sends spans to a collector by OTLP over HTTP, on the main thread, one batch at a time.
 *
 * Batches of the workers wait in a bounded queue and are sent together, `batchSpansMax` spans or what has come within
 * `intervalMs`. A collector that answers 429, 502, 503 or 504, or can't be reached, is tried again after its
 * Retry-After or growing pauses, `retriesMax` times; then the batch is given up. Meanwhile new spans wait, and the
 * oldest are dropped when there is no room. One line of the log tells that an outage began, one that it is over.
 *
 * Redirects are not followed: the headers hold keys that are meant for this collector alone.
 */
import { promisify } from "node:util";
import { gzip } from "node:zlib";
import { version } from "../base/version.ts";
import type { Log } from "./log.ts";
import { exportRequest } from "./otlp.ts";
import { unpackSpans } from "./spans.ts";
import type { SpanBatch } from "./spans.ts";
import type { TracingConfig } from "./tracing-settings.ts";

/** Statuses after which the specification of OTLP allows to send the same batch again. */
const RETRYABLE: ReadonlySet<number> = new Set([429, 502, 503, 504]);
const RETRY_AFTER_MS_MAX = 60_000;
const BACKOFF_MS_MAX = 60_000;
/** Most of an answer that is read; what says more than that says nothing. */
const ANSWER_BYTES_MAX = 65_536;

const zip = promisify(gzip);

export interface SpanExporterOptions {
  readonly config: TracingConfig;
  /** This router's id, asked for each batch: it may depend on a port that is not open yet. */
  instance(): string;
  readonly log: Log;
}

/** What became of spans, since the start. */
export interface SpanFigures {
  readonly exported: number;
  /** No room was left for them, here or in a worker. */
  readonly dropped: number;
  /** Refused by the collector, or given up after the last try. */
  readonly failed: number;
  readonly waiting: number;
}

/** What a try came to: "" and how many spans were refused, or why it failed and after how long another one is due. */
interface Outcome {
  readonly failure: string;
  readonly refused: number;
  /** Undefined where trying again makes no sense; NaN: when it suits us. */
  readonly againMs?: number;
}

export class SpanExporter {
  readonly #options: SpanExporterOptions;
  #batches: SpanBatch[] = [];
  #waiting = 0;
  #exported = 0;
  #dropped = 0;
  #failed = 0;
  /** Spans lost in the present outage; undefined: there is none. */
  #lostInOutage: number | undefined = undefined;
  #timer: ReturnType<typeof setTimeout> | null = null;
  #sending: Promise<void> | null = null;
  #stopping = false;
  /** Ends the pause between two tries. */
  #hurry: (() => void) | null = null;
  /** Cuts off whatever is under way. */
  readonly #end = new AbortController();

  constructor(options: SpanExporterOptions) {
    this.#options = options;
  }

  /** Takes a batch that a worker packed. */
  take(packed: Uint8Array): void {
    const batch = unpackSpans(packed);
    this.#dropped += batch.dropped;
    if (batch.spans.length === 0) return;
    this.#batches.push(batch);
    this.#waiting += batch.spans.length;
    while (this.#waiting > this.#options.config.spansMax) {
      const oldest = this.#batches.shift()?.spans.length ?? 0;
      this.#waiting -= oldest;
      this.#dropped += oldest;
    }
    this.#wake();
  }

  figures(): SpanFigures {
    return { exported: this.#exported, dropped: this.#dropped, failed: this.#failed, waiting: this.#waiting };
  }

  /** Sends what waits, for at most `limitMs`; what is left then is lost, and counted. */
  async stop(limitMs: number): Promise<void> {
    this.#stopping = true;
    const limit = setTimeout(() => this.#end.abort(new Error("the router ends")), limitMs);
    this.#hurry?.();
    this.#wake();
    while (this.#sending !== null) await this.#sending;
    clearTimeout(limit);
    this.#dropped += this.#waiting;
    this.#batches = [];
    this.#waiting = 0;
  }

  /** Sends at once where a batch is full or the end is near, else when the interval is over. */
  #wake(): void {
    if (this.#sending !== null || this.#waiting === 0) return;
    const { batchSpansMax, intervalMs } = this.#options.config;
    if (this.#stopping || this.#waiting >= batchSpansMax) this.#start();
    else this.#timer ??= setTimeout(() => this.#start(), intervalMs);
  }

  #start(): void {
    if (this.#timer !== null) clearTimeout(this.#timer);
    this.#timer = null;
    if (this.#sending !== null) return;
    this.#sending = this.#send().finally(() => {
      this.#sending = null;
      if (!this.#end.signal.aborted) this.#wake();
    });
  }

  async #send(): Promise<void> {
    const batches = this.#next();
    const count = batches.reduce((sum, { spans }) => sum + spans.length, 0);
    if (count === 0) return;
    const { config } = this.#options;
    const source = { service: config.service, instance: this.#options.instance(), version };
    const json = JSON.stringify(exportRequest(batches, source));
    const body = config.compression === "gzip" ? await zip(json) : json;
    for (let tries = 0; ; tries++) {
      const hurried = this.#stopping;
      const { failure, refused, againMs } = await this.#post(body, count);
      if (failure === "") {
        this.#exported += count - refused;
        this.#failed += refused;
        this.#delivered();
        return;
      }
      // The end is near: one last try, and no pause before it.
      if (againMs === undefined || tries === config.retriesMax || hurried) {
        this.#failed += count;
        this.#lost(count, failure);
        return;
      }
      await this.#pause(Number.isNaN(againMs) ? backoff(config.backoffMs, tries) : againMs);
    }
  }

  /** Batches for one request: the oldest, as many as fit together. */
  #next(): SpanBatch[] {
    const batches: SpanBatch[] = [];
    let room = this.#options.config.batchSpansMax;
    for (let oldest = this.#batches[0]; oldest !== undefined; oldest = this.#batches[0]) {
      const count = oldest.spans.length;
      if (batches.length > 0 && count > room) break;
      batches.push(oldest);
      this.#batches.shift();
      this.#waiting -= count;
      room -= count;
    }
    return batches;
  }

  async #post(body: string | Uint8Array<ArrayBuffer>, count: number): Promise<Outcome> {
    const { endpoint, headers, compression, timeoutMs } = this.#options.config;
    try {
      const fields = new Headers(headers);
      fields.set("content-type", "application/json");
      if (compression === "gzip") fields.set("content-encoding", "gzip");
      const signal = AbortSignal.any([AbortSignal.timeout(timeoutMs), this.#end.signal]);
      const response = await fetch(endpoint, { method: "POST", redirect: "manual", headers: fields, body, signal });
      const answer = await read(response);
      if (response.ok) return { failure: "", refused: refusedOf(answer, count) };
      const failure = `status ${response.status}`;
      if (!RETRYABLE.has(response.status)) return { failure, refused: 0 };
      return { failure, refused: 0, againMs: retryAfterMs(response.headers.get("retry-after")) };
    } catch (error) {
      const failure = error instanceof Error ? error.message : String(error);
      return this.#end.signal.aborted ? { failure, refused: 0 } : { failure, refused: 0, againMs: Number.NaN };
    }
  }

  async #pause(ms: number): Promise<void> {
    if (this.#stopping) return;
    await new Promise<void>((resolve) => {
      const timer = setTimeout(resolve, ms);
      this.#hurry = () => {
        clearTimeout(timer);
        resolve();
      };
    });
    this.#hurry = null;
  }

  #lost(count: number, failure: string): void {
    const { log, config } = this.#options;
    if (this.#lostInOutage === undefined) {
      log.warn("spans can't be delivered", { endpoint: withoutQuery(config.endpoint), error: failure });
    }
    this.#lostInOutage = (this.#lostInOutage ?? 0) + count;
  }

  #delivered(): void {
    if (this.#lostInOutage === undefined) return;
    this.#options.log.info("spans are delivered again", { lost: this.#lostInOutage });
    this.#lostInOutage = undefined;
  }
}

/** Doubled with each try, and up to a half shorter by chance, so that routers don't come back all at once. */
function backoff(firstMs: number, tries: number): number {
  return Math.min(BACKOFF_MS_MAX, firstMs * 2 ** tries) * (0.5 + Math.random() / 2);
}

/** RFC 9110 section 10.2.3: seconds or a date; NaN where it is neither. */
function retryAfterMs(value: string | null): number {
  if (value === null) return Number.NaN;
  const ms = /^\d{1,9}$/.test(value.trim()) ? Number(value) * 1000 : Date.parse(value) - Date.now();
  return Number.isNaN(ms) ? ms : Math.min(RETRY_AFTER_MS_MAX, Math.max(0, ms));
}

/** The answer's text, unless it is longer than it may be; reading it whole lets the connection serve again. */
async function read(response: Response): Promise<string> {
  const reader = response.body?.getReader();
  if (reader === undefined) return "";
  const pieces: Uint8Array[] = [];
  let length = 0;
  for (;;) {
    const { done, value } = await reader.read();
    if (done) return Buffer.concat(pieces).toString();
    length += value.length;
    if (length > ANSWER_BYTES_MAX) {
      await reader.cancel();
      return "";
    }
    pieces.push(value);
  }
}

/** How many spans the collector did not take of a batch that it took (ExportTracePartialSuccess). */
function refusedOf(answer: string, count: number): number {
  try {
    const parsed = JSON.parse(answer) as { partialSuccess?: { rejectedSpans?: unknown } } | null;
    const refused = Number(parsed?.partialSuccess?.rejectedSpans ?? 0);
    return refused > 0 && refused <= count ? Math.floor(refused) : 0;
  } catch {
    return 0;
  }
}

/** Some collectors take their key in the query. */
function withoutQuery(endpoint: string): string {
  return endpoint.replace(/\?.*$/s, "");
}
