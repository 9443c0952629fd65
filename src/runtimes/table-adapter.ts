/**
 * An adapter of a table: keeps what each look told last and what the metrics count, and makes one reading of all.
 *
 * What the metrics tell of the load is believed for 10 s, what other looks tell of it for a minute; speeds and sizes stay,
 * since they belong to the machine. A reading is made when something was told, and is the same until then.
 */
import { shown } from "../base/shown.ts";
import type { FollowLines } from "../wire/prometheus-lines.ts";
import {
  type Adapter,
  type Answer,
  type Feed,
  type LoadOptions,
  type Look,
  type ModelCall,
  READ,
  type Read,
  type ReadFault,
} from "./adapter.ts";
import { complaint, isName, words } from "./json-answer.ts";
import { PageSet } from "./page-set.ts";
import { type EngineFigures, type KvEventsTold, LOADED_MODEL, type ModelReading, NO_FIGURES } from "./reading.ts";
import type { RuntimeKind, RuntimeReading } from "./reading.ts";
import { type AdapterTable, isRefusal, type Known, type ModelTold, type TableLook, type Told } from "./table.ts";

const METRICS_BELIEVED_MS = 10_000;
const TOLD_BELIEVED_MS = 60_000;
/** Of one runtime: more are not looked at, so that a broken list fills no memory. */
export const MODELS_MAX = 1024;

/** Figures that stay when nothing new is told of them. */
const LASTING = ["kvCapacityTokens", "prefillTokensPerSecond", "decodeTokensPerSecond", "slots"] as const;

const NOTHING_KNOWN: Known = { told: new Map(), notes: {}, named: [] };

export class TableAdapter implements Adapter {
  readonly table: AdapterTable;
  readonly #pages: PageSet | undefined;
  readonly #told = new Map<string, { readonly told: Told; readonly atMs: number }>();
  #made: RuntimeReading | undefined;
  #known: Known = NOTHING_KNOWN;
  #looks: readonly TableLook[];
  /** From then on some of what the reading tells is too old. */
  #untilMs = Infinity;

  constructor(table: AdapterTable, follow?: FollowLines) {
    this.table = table;
    this.#looks = table.looks;
    this.#pages = table.metrics === undefined ? undefined : new PageSet(table.metrics, follow);
  }

  get kind(): RuntimeKind {
    return this.table.kind;
  }

  get looks(): readonly TableLook[] {
    return this.#looks;
  }

  get modelsMark(): number {
    return this.#pages?.modelsMark ?? 0;
  }

  get loadsMark(): number {
    return this.#pages?.loadsMark ?? 0;
  }

  get feed(): Feed | undefined {
    return this.table.feed?.(this.#known);
  }

  get countsLoads(): boolean {
    return this.#pages?.countsLoads ?? false;
  }

  get processMark(): number {
    return this.#pages?.processMark ?? 0;
  }

  answered(look: Look, answer: Answer, nowMs: number): Read {
    const own = this.looks.find((each) => each.name === look.name);
    if (own === undefined) return READ;
    const fault = faultOf(own, answer);
    if (fault !== undefined) {
      const said = refusalWords(own, answer);
      const message = fault === "foreign" ? `it does not answer as ${this.table.title} does: ${said}` : said;
      return { ok: false, kind: fault, message };
    }
    if (own.role === "metrics" && own.read === undefined) return this.#readMetrics(own, answer, nowMs);
    const told = own.read?.(answer) ?? {};
    if (isRefusal(told)) return { ok: false, kind: told.kind, message: `${own.ask.path}: ${told.message}` };
    this.#told.set(own.name, { told, atMs: nowMs });
    this.#isOther(nowMs);
    return READ;
  }

  reading(nowMs: number): RuntimeReading {
    if (this.#made === undefined || nowMs >= this.#untilMs) this.#made = this.#make(nowMs);
    return this.#made;
  }

  restarted(): void {
    this.#pages?.clear();
    this.#told.clear();
    this.#known = NOTHING_KNOWN;
    this.#made = undefined;
    this.#looks = this.table.looks;
  }

  load(model: string, options: LoadOptions, reading: RuntimeReading): ModelCall | undefined {
    return this.table.load?.(model, options, reading, this.#known);
  }

  unload(model: string, reading: RuntimeReading): ModelCall | undefined {
    return this.table.unload?.(model, reading, this.#known);
  }

  #readMetrics(look: TableLook, answer: Answer, nowMs: number): Read {
    const pages = this.#pages;
    if (pages === undefined) return READ;
    const why = pages.read(look.model, answer.body, answer.contentType.includes("openmetrics"), nowMs);
    if (why !== "") return { ok: false, kind: "unreadable", message: `${look.ask.path}: ${why}` };
    this.#isOther(nowMs);
    return pages.samples(look.model) > 0
      ? READ
      : {
          ok: true,
          note: `${look.ask.path} has none of the metrics of ${this.table.title} yet, so its load is not known`,
        };
  }

  /** Something was told: the reading is made anew when it is wanted, and what is asked may be other from now on. */
  #isOther(nowMs: number): void {
    this.#made = undefined;
    if (this.table.looksNow === undefined) return;
    const looks = this.table.looksNow(this.reading(nowMs), this.#known);
    if (areSame(looks, this.#looks)) return;
    this.#looks = looks;
    this.#pages?.keep(new Set(looks.filter(({ role }) => role === "metrics").map(({ model }) => model)));
    for (const name of this.#told.keys()) if (!looks.some((look) => look.name === name)) this.#told.delete(name);
    this.#made = undefined;
  }

  #make(nowMs: number): RuntimeReading {
    this.#untilMs = Infinity;
    let version = "";
    let extra: Partial<EngineFigures> | undefined;
    let kvEvents: KvEventsTold | undefined;
    const told = new Map<string, Told>();
    for (const look of this.looks) {
      const kept = this.#told.get(look.name);
      if (kept === undefined) continue;
      told.set(look.name, kept.told);
      version = version === "" ? (kept.told.version ?? "") : version;
      kvEvents ??= kept.told.kvEvents;
      if (kept.told.figures === undefined) continue;
      const isYoung = this.#isYoung(kept.atMs, TOLD_BELIEVED_MS, nowMs);
      extra = { ...extra, ...(isYoung ? kept.told.figures : lasting(kept.told.figures)) };
    }
    const pages = this.#pages;
    const isFresh = pages?.readAtMs !== undefined && this.#isYoung(pages.readAtMs, METRICS_BELIEVED_MS, nowMs);
    const believed = (figures: EngineFigures | undefined) =>
      figures === undefined || isFresh ? figures : { ...NO_FIGURES, ...lasting(figures) };
    const reading: RuntimeReading = {
      version: words(version),
      models: this.#models(told, (model) => believed(pages?.figuresOf(model))),
      figures: joined(believed(pages?.figures), extra),
      figuresAtMs: pages?.readAtMs,
      ...(kvEvents === undefined ? {} : { kvEvents }),
    };
    this.#known = { told, notes: isFresh ? pages.notes : {}, named: pages?.models().filter(isName) ?? [] };
    return this.table.finish?.(reading, this.#known) ?? reading;
  }

  /** Those that looks for models name; where there is no such look, those that the metrics name. */
  #models(told: ReadonlyMap<string, Told>, figuresOf: (model: string) => EngineFigures | undefined): ModelReading[] {
    const models = new Map<string, ModelTold>();
    const isNamed = this.looks.some(({ role }) => role === "models");
    if (!isNamed) for (const model of this.#pages?.models().filter(isName) ?? []) models.set(model, { model });
    for (const isNaming of [true, false]) {
      for (const { role, name } of this.looks) {
        if ((role === "models") !== isNaming) continue;
        for (const each of told.get(name)?.models ?? []) {
          const before = models.get(each.model);
          const isKnown = before !== undefined || (isNaming && models.size < MODELS_MAX && isName(each.model));
          if (isKnown) models.set(each.model, { ...before, ...each });
        }
      }
    }
    return [...models.values()].map(({ figures, ...model }) => {
      const own = figuresOf(model.model);
      return {
        ...LOADED_MODEL,
        ...model,
        figures: own === undefined && figures === undefined ? undefined : joined(own, figures),
      };
    });
  }

  #isYoung(atMs: number, believedMs: number, nowMs: number): boolean {
    const endMs = atMs + believedMs;
    if (nowMs >= endMs) return false;
    this.#untilMs = Math.min(this.#untilMs, endMs);
    return true;
  }
}

function isFine(status: number): boolean {
  return status >= 200 && status < 300;
}

/** What a status means for a look; undefined where the answer can be read. */
function faultOf({ role, statuses }: TableLook, { status }: Answer): ReadFault | undefined {
  const own = statuses?.[status];
  if (own !== undefined) return own === "ok" ? undefined : own;
  if (isFine(status)) return undefined;
  if (status === 401 || status === 403) return "denied";
  if (status === 404 || status === 405 || status === 501) return role === "identity" ? "foreign" : "not_supported";
  return status >= 500 && role === "health" ? "not_ready" : "unreadable";
}

function refusalWords({ ask, advice }: TableLook, answer: Answer): string {
  const { status } = answer;
  const said = complaint(answer);
  const told = said === `status ${status}` ? "" : `: ${shown(said)}`;
  const isElsewhere = status >= 300 && status < 400;
  const advised = advice?.[status] ?? (isElsewhere ? "it is not followed elsewhere" : undefined);
  return `${ask.path} answers ${status}${told}${advised === undefined ? "" : `; ${advised}`}`;
}

function areSame(a: readonly TableLook[], b: readonly TableLook[]): boolean {
  return a.length === b.length && a.every(({ name }, i) => name === b[i]!.name);
}

function lasting(figures: Partial<EngineFigures> | undefined): Partial<EngineFigures> {
  const kept: Record<string, number> = {};
  for (const name of LASTING) {
    const value = figures?.[name];
    if (value !== undefined) kept[name] = value;
  }
  return kept;
}

/** The metrics' figures, and where they tell none those of other looks. */
function joined(figures: EngineFigures | undefined, extra: Partial<EngineFigures> | undefined): EngineFigures {
  if (extra === undefined) return figures ?? NO_FIGURES;
  const all: Record<string, unknown> = { ...NO_FIGURES, ...extra };
  for (const [name, value] of Object.entries(figures ?? {})) if (value !== undefined) all[name] = value;
  return all as unknown as EngineFigures;
}
