/**
 * What targets say of their load in the heads of their answers (wire/orca.ts), on its way from a worker to the main
 * thread, which alone writes rows.
 *
 * With each report goes what this router had in flight at the target when it was read: a row's offset is what the target
 * says less that (score/DESIGN.md). The first report of a while goes at once; of those that follow within 50 ms only the
 * newest of each row, all of them in one message: twenty messages a second from a worker, however many answers it
 * relays. Nothing here is on the way of an answer that says nothing of load.
 */
import { LOAD_FIGURE, LOAD_FIGURES, OrcaReader } from "../wire/orca.ts";
import type { HeaderBlock } from "../wire/header-block.ts";
import { FIELD_KIND } from "../wire/header-field.ts";
import { KIND } from "../wire/fields.ts";
import type { ResponseHead } from "../wire/http1.ts";
import type { WorkerCounters } from "../obs/worker-counters.ts";
import type { ReportedFigures } from "../score/load-report.ts";
import type { ScoreTable } from "../score/table.ts";
import { nowMs, tick } from "./clock.ts";

const SEND_EVERY_MS = 50;
/** Rows whose reports wait at once; those of more are sent at once. */
const ROWS_MAX = 256;
// Of a packed report, before its figures.
const ROW = 0;
const GENERATION = 1;
const AT_MS = 2;
const REQUESTS = 3;
const TOKENS = 4;
const FIGURES = 5;
const PACKED = FIGURES + LOAD_FIGURES;

/** A report as the main thread has it. */
export interface RowReport {
  readonly row: number;
  /** Of the row when it was read: another one now, it is not of the target that has the row. */
  readonly generation: number;
  /** Since it was read. */
  readonly ageMs: number;
  /** What this router had in flight at the row then, and knew the target to reckon with. */
  readonly requests: number;
  readonly tokens: number;
  readonly figures: ReportedFigures;
}

export class LoadReports {
  readonly #table: ScoreTable;
  readonly #counters: WorkerCounters;
  readonly #wakeAt: (atMs: number) => void;
  readonly #send: (packed: Float64Array) => void;
  readonly #reader = new OrcaReader();
  /** The reports that wait, and where each row's is. */
  readonly #waiting = new Float64Array(ROWS_MAX * PACKED);
  readonly #places = new Map<number, number>();
  #sentMs = -Infinity;
  #timer: ReturnType<typeof setTimeout> | undefined;

  /** `wakeAt` is told when the timer is due, so that the transport wakes for it; what is sent is the receiver's. */
  constructor(
    table: ScoreTable,
    counters: WorkerCounters,
    wakeAt: (atMs: number) => void,
    send: (packed: Float64Array) => void,
  ) {
    this.#table = table;
    this.#counters = counters;
    this.#wakeAt = wakeAt;
    this.#send = send;
  }

  /**
   * The head of an answer of HTTP/1.1 that has a line of load. A request whose answer is whole when its head comes is over
   * for the target; a stream's has only begun.
   */
  head(head: ResponseHead, buffer: Buffer, row: number, tokens: number): void {
    const line = head.loadLine;
    const start = head.valueStart[line] ?? 0;
    const end = head.valueEnd[line] ?? 0;
    const isFine =
      head.loadLines === 1 &&
      (head.kind[line] === KIND.load
        ? this.#reader.read(buffer, start, end)
        : this.#reader.readBinary(buffer, start, end));
    const isOver = !head.eventStream || head.status >= 400;
    this.#take(isFine, row, isOver ? 1 : 0, isOver ? tokens : 0);
  }

  /** A head or trailers of HTTP/2 that have a field of load; `isOver`: the target has said all. */
  block(block: HeaderBlock, row: number, tokens: number, isOver: boolean): void {
    const { load } = block;
    if (load === null) return;
    const { source, valueStart } = load;
    const isFine =
      block.loadFields === 1 &&
      (load.kind === FIELD_KIND.load
        ? this.#reader.read(source, valueStart, source.length)
        : this.#reader.readBinary(source, valueStart, source.length));
    this.#take(isFine, row, isOver ? 1 : 0, isOver ? tokens : 0);
  }

  #take(isFine: boolean, row: number, ownRequests: number, ownTokens: number): void {
    if (!isFine || !this.#reader.tellsAny) {
      this.#counters.loadReport(isFine ? "unknown" : "malformed");
      return;
    }
    this.#counters.loadReport("used");
    const now = nowMs();
    if (this.#places.size === ROWS_MAX && !this.#places.has(row)) this.#flush(now);
    const place = this.#places.get(row) ?? this.#places.size;
    this.#places.set(row, place);
    const at = place * PACKED;
    const waiting = this.#waiting;
    waiting[at + ROW] = row;
    waiting[at + GENERATION] = this.#table.generation(row);
    waiting[at + AT_MS] = now;
    waiting[at + REQUESTS] = Math.max(0, this.#table.inFlight(row) - ownRequests);
    waiting[at + TOKENS] = Math.max(0, this.#table.inFlightTokens(row) - ownTokens);
    waiting.set(this.#reader.figures, at + FIGURES);
    if (now - this.#sentMs >= SEND_EVERY_MS) this.#flush(now);
    else if (this.#timer === undefined) this.#schedule(this.#sentMs + SEND_EVERY_MS);
  }

  #schedule(atMs: number): void {
    this.#wakeAt(atMs);
    this.#timer = setTimeout(() => this.#flush(tick()), Math.max(0, atMs - performance.now()));
  }

  #flush(now: number): void {
    if (this.#timer !== undefined) {
      clearTimeout(this.#timer);
      this.#timer = undefined;
      this.#wakeAt(Infinity);
    }
    this.#sentMs = now;
    const packed = this.#waiting.slice(0, this.#places.size * PACKED);
    this.#places.clear();
    // Clocks of threads begin at different times.
    for (let at = 0; at < packed.length; at += PACKED) packed[at + AT_MS] = now - (packed[at + AT_MS] ?? now);
    this.#send(packed);
  }
}

/** The reports of a message. */
export function* unpackReports(packed: Float64Array): Iterable<RowReport> {
  for (let at = 0; at + PACKED <= packed.length; at += PACKED) {
    const value = (place: number): number => packed[at + place] ?? 0;
    const figure = (place: number): number | undefined => {
      const told = value(FIGURES + place);
      return Number.isNaN(told) ? undefined : told;
    };
    yield {
      row: value(ROW),
      generation: value(GENERATION),
      ageMs: value(AT_MS),
      requests: value(REQUESTS),
      tokens: value(TOKENS),
      figures: {
        runningRequests: figure(LOAD_FIGURE.runningRequests),
        waitingRequests: figure(LOAD_FIGURE.waitingRequests),
        queuedPrefillTokens: figure(LOAD_FIGURE.queuedPrefillTokens),
        kvUsage: figure(LOAD_FIGURE.kvUsage),
        kvCapacityTokens: figure(LOAD_FIGURE.kvCapacityTokens),
        utilization: figure(LOAD_FIGURE.utilization),
      },
    };
  }
}
