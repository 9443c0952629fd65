/**
 * Reads a server's metrics page by a map, page after page, into figures of the runtime and of its models. A page counts
 * only when it is whole: of one that is cut off or no such text at all nothing is taken.
 *
 *     const pages = new MetricPages(map);
 *     const why = pages.read(body, isOpenMetrics, nowMs);      // "" or what is wrong with it
 *     pages.figures; pages.models;
 *
 * A process that began anew is known by its `process_start_time_seconds`, which clients of Prometheus tell by themselves.
 * Limits: 256 models, those beyond are counted with the runtime alone; text and labels as wire/prometheus.ts has them.
 */
import { shown } from "../base/shown.ts";
import { LF, SP, latin1 } from "../wire/octets.ts";
import type { LabelSet } from "../wire/prometheus-labels.ts";
import type { FollowLines } from "../wire/prometheus-lines.ts";
import { PageReader } from "../wire/prometheus-pages.ts";
import type { PrometheusEnd, PrometheusSample } from "../wire/prometheus.ts";
import { FigureMaker, type Group, type Moment } from "./metric-figures.ts";
import type { MetricMap } from "./metric-map.ts";
import { ModelHints } from "./model-hints.ts";
import { Cell } from "./metric-cell.ts";
import { type Kept, type Slot, takeAgain } from "./metric-slot.ts";
import { type EngineFigures, NO_FIGURES } from "./reading.ts";
import { SlidingWindow } from "./window.ts";

type Notes = Readonly<Record<string, number | undefined>>;
const NO_NOTES: Notes = {};

const WINDOW_MS = 10_000;
export const MODELS_MAX = 256;
/** A model that is on none of so many pages is forgotten. */
const PAGES_MAX = 64;
const FIRST_LINE_BYTES = 512;
const SAMPLE_LINE = /^(?:#|[a-zA-Z_:][\w:]*(?:\{.*|\s+[-+.\dINin].*)$|\{".*\}\s+[-+.\dINin])/;

class WholeGroup implements Group {
  memory: (number | undefined)[] = [];

  cell(slot: Slot): Cell {
    return slot.whole;
  }
}

class ModelGroup implements Group {
  memory: (number | undefined)[] = [];
  /** The page on which it was last. */
  page = -1;
  figures = NO_FIGURES;
  readonly #cells = new Map<Slot, Cell>();

  cell(slot: Slot): Cell | undefined {
    return this.#cells.get(slot);
  }

  cellFor(slot: Slot): Cell {
    let cell = this.#cells.get(slot);
    if (cell === undefined) this.#cells.set(slot, (cell = new Cell()));
    return cell;
  }

  isOn(page: number): boolean {
    for (const cell of this.#cells.values()) if (cell.page === page) return true;
    return false;
  }

  mark(moment: number): void {
    for (const cell of this.#cells.values()) cell.mark(moment);
  }
}

/** Pages of one format, of whose lines it is known what becomes of their numbers. */
class FormatReader {
  readonly #reader: PageReader;
  /** Of each line that is followed: what was made of it, by each slot that takes it. */
  readonly #kept: Kept[][] = [];
  #taken: (Kept | undefined)[] = [];

  constructor(
    families: readonly string[],
    isOpenMetrics: boolean,
    follow: FollowLines | undefined,
    to: { take(sample: PrometheusSample, taken: (Kept | undefined)[]): void; page(): number },
  ) {
    const kept = this.#kept;
    this.#reader = new PageReader({
      families,
      isOpenMetrics,
      follow,
      sample: (sample) => to.take(sample, (this.#taken = [])),
      keep: () => this.#keep(),
      again: (number, value) => {
        const page = to.page();
        for (const one of kept[number]!) takeAgain(one, value, page);
      },
      forget: (number) => void (kept.length = number),
    });
  }

  read(body: Uint8Array): PrometheusEnd {
    return this.#reader.read(body);
  }

  forget(): void {
    this.#reader.forget();
  }

  #keep(): boolean {
    const taken = this.#taken.filter((one) => one !== undefined);
    const isWhole = taken.length === this.#taken.length;
    if (isWhole) this.#kept.push(taken);
    return isWhole;
  }
}

export class MetricPages {
  /** Of the runtime, by the last page that was whole. */
  figures: EngineFigures = NO_FIGURES;
  /** The map's further numbers, by the same page. */
  notes: Notes = NO_NOTES;
  /** When that was; undefined before the first. */
  readAtMs: number | undefined;
  /** Grows whenever the models that the page names are others than before. */
  modelsMark = 0;
  /** Grows whenever the page is another process's than the one before. */
  processMark = 0;
  /** Samples of the last page that a figure is made of. */
  samples = 0;
  readonly #maker: FigureMaker;
  readonly #modelLabels: readonly string[];
  readonly #window: SlidingWindow;
  readonly #started: Slot;
  readonly #hints: ModelHints;
  readonly #byFamily: Slot[][];
  readonly #readers: readonly [plain: FormatReader, openMetrics: FormatReader];
  readonly #whole = new WholeGroup();
  readonly #models = new Map<string, ModelGroup>();
  /** The one that is read, or was last. */
  #page = 0;
  /** The last that counted. */
  #committed = 0;
  /** The one that counted before. */
  #before = 0;
  #startedAt: number | undefined;

  constructor(map: MetricMap, follow?: FollowLines) {
    this.#maker = new FigureMaker(map);
    this.#started = this.#maker.valueSlot("process_start_time_seconds");
    this.#hints = new ModelHints(map, this.#maker);
    this.#modelLabels = map.modelLabels ?? [];
    this.#window = new SlidingWindow(map.windowMs ?? WINDOW_MS);
    const families = [...new Set(this.#maker.slots.map((slot) => slot.spec.family))];
    this.#byFamily = families.map((family) => this.#maker.slots.filter((slot) => slot.spec.family === family));
    const reader = (isOpenMetrics: boolean) =>
      new FormatReader(families, isOpenMetrics, follow, {
        take: (sample, taken) => this.#take(sample, taken),
        page: () => this.#page,
      });
    this.#readers = [reader(false), reader(true)];
  }

  get loadsMark(): number {
    return this.#hints.loadsMark;
  }

  get countsLoads(): boolean {
    return this.#hints.countsLoads;
  }

  /** The models that the last page named. */
  models(): string[] {
    return [...this.#models].filter(([, group]) => group.page === this.#committed).map(([model]) => model);
  }

  /** Its own, by the last page; undefined where that did not name it. */
  figuresOf(model: string): EngineFigures | undefined {
    const group = this.#models.get(model);
    return group !== undefined && group.page === this.#committed ? group.figures : undefined;
  }

  /** Another process: what was counted says nothing of it. */
  clear(): void {
    for (const slot of this.#maker.slots) slot.clear();
    this.#forgetLines();
    this.#models.clear();
    this.#whole.memory = [];
    this.#window.clear();
    this.figures = NO_FIGURES;
    this.notes = NO_NOTES;
    this.readAtMs = undefined;
    this.#hints.clear();
    this.#startedAt = undefined;
  }

  /** "" or why the page can't be read; then all is as it was before. */
  read(body: Uint8Array, isOpenMetrics: boolean, nowMs: number): string {
    this.#page++;
    const { samples, malformed, bad } = this.#readers[isOpenMetrics ? 1 : 0].read(body);
    const why = (samples > 0 ? "" : strangeness(body, malformed)) || bad;
    if (why !== "") return why;
    this.samples = samples;
    this.#commit(nowMs);
    return "";
  }

  #take({ family, suffix, labels, value }: PrometheusSample, taken: (Kept | undefined)[]): void {
    for (const slot of this.#byFamily[family]!) {
      if (!slot.accepts(suffix, labels)) continue;
      taken.push(slot.take(suffix, labels, value, this.#page, () => this.#modelOf(labels)?.cellFor(slot)));
    }
  }

  /** What is kept of lines leads to series or models that are not there any more. */
  #forgetLines(): void {
    for (const reader of this.#readers) reader.forget();
  }

  #modelOf(labels: LabelSet): ModelGroup | undefined {
    for (const label of this.#modelLabels) {
      const model = labels.get(label);
      if (model === undefined || model === "") continue;
      let group = this.#models.get(model);
      if (group === undefined) {
        if (this.#models.size >= MODELS_MAX) return undefined;
        this.#models.set(model, (group = new ModelGroup()));
      }
      return group;
    }
    return undefined;
  }

  #commit(nowMs: number): void {
    const page = (this.#committed = this.#page);
    const startedAt = this.#started.whole.page === page ? this.#started.whole.max : undefined;
    if (startedAt !== undefined && this.#startedAt !== undefined && startedAt !== this.#startedAt) this.#renew();
    this.#startedAt = startedAt ?? this.#startedAt;
    const before = this.readAtMs;
    let isForgotten = false;
    for (const slot of this.#maker.slots) isForgotten = slot.commit(page, before !== undefined) || isForgotten;
    if (isForgotten) this.#forgetLines();
    const begin = this.#window.begin(nowMs);
    const moment: Moment = {
      passedMs: before === undefined ? 0 : Math.max(0, nowMs - before),
      page,
      begin,
      windowMs: begin < 0 ? 0 : nowMs - this.#window.atMs(begin),
    };
    this.figures = this.#maker.make(this.#whole, moment);
    this.notes = this.#maker.notes(this.#whole, moment);
    this.#makeModels(moment);
    this.#markMoment(nowMs);
    this.readAtMs = nowMs;
  }

  /** The page is of another process than the one before: its counters began at 0 since then. */
  #renew(): void {
    for (const slot of this.#maker.slots) slot.renew();
    this.#whole.memory = [];
    for (const group of this.#models.values()) group.memory = [];
    this.#window.clear();
    this.processMark++;
  }

  #makeModels(moment: Moment): void {
    const { page } = moment;
    let isOther = this.#hints.commit(page);
    for (const [model, group] of this.#models) {
      const wasOn = group.page === this.#before;
      const isOn = group.isOn(page);
      if (isOn !== wasOn) isOther = true;
      if (isOn) {
        group.page = page;
        group.figures = this.#maker.make(group, moment);
      } else if (page - group.page > PAGES_MAX) {
        this.#models.delete(model);
        this.#forgetLines();
      }
    }
    this.#before = page;
    if (isOther) this.modelsMark++;
  }

  #markMoment(nowMs: number): void {
    const moment = this.#window.record(nowMs);
    if (moment < 0) return;
    for (const slot of this.#maker.slots) slot.whole.mark(moment);
    for (const group of this.#models.values()) group.mark(moment);
  }
}

/** Why a page without one wanted sample is no page of metrics; "" where it may be one of a server that did nothing yet. */
function strangeness(body: Uint8Array, malformed: number): string {
  if (malformed > 0) return "none of its lines that matter can be read";
  let start = 0;
  while (start < body.length && body[start]! <= SP) start++;
  const newline = body.indexOf(LF, start);
  const end = Math.min(newline < 0 ? body.length : newline, start + FIRST_LINE_BYTES);
  const line = latin1(body, start, end);
  return line === "" || SAMPLE_LINE.test(line) ? "" : `it is no text of metrics: ${shown(line)}`;
}
