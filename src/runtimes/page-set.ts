/**
 * The metrics pages of one runtime: the runtime's own, or one of each of its models where every model is a process by
 * itself with a page of its own (llama.cpp's router). Figures of several pages make the runtime's together: work adds up,
 * shares are taken in the mean, and what can't be joined, such as quantiles, is that of the only page or nothing.
 */
import type { FollowLines } from "../wire/prometheus-lines.ts";
import type { MetricMap } from "./metric-map.ts";
import { MetricPages } from "./metric-pages.ts";
import { type EngineFigures, NO_FIGURES } from "./reading.ts";

/** The runtime's own page. */
const OWN = "";
const ADDED = [
  "runningRequests",
  "waitingRequests",
  "queuedPrefillTokens",
  "kvCapacityTokens",
  "prefillTokensPerSecond",
  "decodeTokensPerSecond",
  "slots",
  "preemptionsPerSecond",
  "requestsPerSecond",
  "failedResponses",
] as const;
const MEANS = ["kvUsage", "cacheHitRate"] as const;

export class PageSet {
  readonly #map: MetricMap;
  readonly #follow: FollowLines | undefined;
  readonly #pages = new Map<string, MetricPages>();
  /** Of pages that are gone. */
  #modelsMark = 0;
  #loadsMark = 0;
  #processMark = 0;

  /** `follow`: what goes along the lines of pages, in C. */
  constructor(map: MetricMap, follow?: FollowLines) {
    this.#map = map;
    this.#follow = follow;
  }

  get modelsMark(): number {
    let sum = this.#modelsMark;
    for (const { modelsMark } of this.#pages.values()) sum += modelsMark;
    return sum;
  }

  get loadsMark(): number {
    let sum = this.#loadsMark;
    for (const { loadsMark } of this.#pages.values()) sum += loadsMark;
    return sum;
  }

  get countsLoads(): boolean {
    return this.#pages.get(OWN)?.countsLoads ?? false;
  }

  get processMark(): number {
    let sum = this.#processMark;
    for (const { processMark } of this.#pages.values()) sum += processMark;
    return sum;
  }

  /** Of the page that was read longest ago; undefined before the first. */
  get readAtMs(): number | undefined {
    let oldest: number | undefined;
    for (const { readAtMs } of this.#pages.values()) {
      if (readAtMs !== undefined) oldest = Math.min(readAtMs, oldest ?? Infinity);
    }
    return oldest;
  }

  get figures(): EngineFigures {
    const own = this.#pages.get(OWN);
    if (own !== undefined && this.#pages.size === 1) return own.figures;
    const all = [...this.#pages.values()].map(({ figures }) => figures);
    return all.length === 1 ? all[0]! : all.length === 0 ? NO_FIGURES : together(all);
  }

  get notes(): Readonly<Record<string, number | undefined>> {
    return this.#pages.get(OWN)?.notes ?? {};
  }

  /** Reads the page of a model's process, or the runtime's where it is undefined. "" or why it can't be read. */
  read(model: string | undefined, body: Uint8Array, isOpenMetrics: boolean, nowMs: number): string {
    const name = model ?? OWN;
    let pages = this.#pages.get(name);
    if (pages === undefined) this.#pages.set(name, (pages = new MetricPages(this.#map, this.#follow)));
    return pages.read(body, isOpenMetrics, nowMs);
  }

  /** Samples of the last page of one that a figure is made of. */
  samples(model: string | undefined): number {
    return this.#pages.get(model ?? OWN)?.samples ?? 0;
  }

  /** The models that the runtime's page names. */
  models(): string[] {
    return this.#pages.get(OWN)?.models() ?? [];
  }

  figuresOf(model: string): EngineFigures | undefined {
    return model === OWN ? undefined : (this.#pages.get(model)?.figures ?? this.#pages.get(OWN)?.figuresOf(model));
  }

  /** Forgets the pages of all but these. */
  keep(models: ReadonlySet<string | undefined>): void {
    for (const [name, pages] of this.#pages) {
      if (models.has(name === OWN ? undefined : name)) continue;
      this.#modelsMark += pages.modelsMark;
      this.#loadsMark += pages.loadsMark;
      this.#processMark += pages.processMark;
      this.#pages.delete(name);
    }
  }

  clear(): void {
    for (const pages of this.#pages.values()) pages.clear();
  }
}

function together(all: readonly EngineFigures[]): EngineFigures {
  const made: Record<string, number> = {};
  for (const name of [...ADDED, ...MEANS]) {
    const told = all.flatMap((figures) => figures[name] ?? []);
    if (told.length === 0) continue;
    const sum = told.reduce((a, b) => a + b, 0);
    made[name] = (MEANS as readonly string[]).includes(name) ? sum / told.length : sum;
  }
  return { ...NO_FIGURES, ...made };
}
