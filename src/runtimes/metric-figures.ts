/**
 * Makes figures of what the pages' slots hold: each figure of a map becomes a function once, and is called for the runtime
 * and for each of its models after every page.
 */
import { SUFFIXES, type Suffix } from "../wire/prometheus-families.ts";
import {
  type Across,
  type Family,
  type FamilySource,
  type Figure,
  type MetricMap,
  NUMBER_FIGURES,
  QUANTILE_FIGURES,
  type NumberFigure,
} from "./metric-map.ts";
import type { Cell } from "./metric-cell.ts";
import { COUNT, Slot, type SlotSpec, SUM } from "./metric-slot.ts";
import { quantile } from "./quantile.ts";
import { type EngineFigures, NO_FIGURES } from "./reading.ts";
import type { Quantiles } from "../base/runtime-terms.ts";

const HALF_LIFE_MS = 5 * 60_000;
/** Shares that are a little more than everything come of counters read one after the other. */
const ROUNDING = 1.05;

/** The runtime, or one of its models. */
export interface Group {
  cell(slot: Slot): Cell | undefined;
  /** What `best` and `held` remember, each at its own place. */
  readonly memory: (number | undefined)[];
}

/** The moment of evaluation. */
export interface Moment {
  /** Since the page before. */
  readonly passedMs: number;
  /** Of the page just read. */
  readonly page: number;
  /** Where the window begins, and how long it is; -1 on the first page. */
  readonly begin: number;
  readonly windowMs: number;
}

type Evaluated = (group: Group, moment: Moment) => number | undefined;
type Spread = (group: Group, moment: Moment) => Quantiles | undefined;
type Mutable<T> = { -readonly [K in keyof T]: T[K] };

/** A source as the first of its slots that is on the page. */
interface Source {
  readonly slots: readonly Slot[];
  readonly across: Across;
  readonly scale: number;
}

export class FigureMaker {
  /** All that pages must be read for. */
  readonly slots: Slot[] = [];
  readonly #byKey = new Map<string, Slot>();
  readonly #numbers: [NumberFigure, Evaluated][] = [];
  readonly #spreads: [(typeof QUANTILE_FIGURES)[number], Spread][] = [];
  readonly #notes: [string, Evaluated][] = [];
  #memories = 0;

  constructor({ figures, notes }: MetricMap) {
    for (const [name, figure] of Object.entries(notes ?? {})) this.#notes.push([name, this.#compile(figure)]);
    for (const name of Object.keys(NUMBER_FIGURES) as NumberFigure[]) {
      const figure = figures[name];
      if (figure !== undefined) this.#numbers.push([name, this.#compile(figure)]);
    }
    for (const name of QUANTILE_FIGURES) {
      const figure = figures[name];
      if (figure !== undefined) this.#spreads.push([name, this.#spread(figure.quantiles)]);
    }
  }

  /** The slot of a value that is wanted beside the map's figures. */
  valueSlot(family: string): Slot {
    return this.#slot({ kind: "value", family, suffix: "", label: "", where: [] });
  }

  /** Slots of a label's texts, of which only a change matters. */
  textSlots(label: string, of: FamilySource): readonly Slot[] {
    return this.#source(of, "text", label).slots;
  }

  make(group: Group, moment: Moment): EngineFigures {
    const made: Mutable<EngineFigures> = { ...NO_FIGURES };
    for (const [name, evaluate] of this.#numbers) made[name] = sensible(evaluate(group, moment), NUMBER_FIGURES[name]);
    for (const [name, evaluate] of this.#spreads) made[name] = evaluate(group, moment);
    return made;
  }

  notes(group: Group, moment: Moment): Record<string, number | undefined> {
    return Object.fromEntries(this.#notes.map(([name, evaluate]) => [name, evaluate(group, moment)]));
  }

  #compile(figure: Figure): Evaluated {
    if ("value" in figure) return this.#value(this.#source(figure.value, "value"));
    if ("label" in figure) return this.#value(this.#source(figure.of, "label", figure.label));
    if ("series" in figure) {
      const source = this.#source(figure.series, "value");
      return (group, { page }) => present(source, group, page)?.cell.series;
    }
    if ("rate" in figure) {
      const source = this.#source(figure.rate, "counter");
      return (group, moment) => {
        const growth = grown(source, SUM, group, moment);
        return growth === undefined || moment.windowMs <= 0 ? undefined : growth / (moment.windowMs / 1000);
      };
    }
    if ("ratio" in figure) {
      const [of, by] = figure.ratio.map((source) => this.#source(source, "counter")) as [Source, Source];
      return (group, moment) => over(grown(of, SUM, group, moment), grown(by, SUM, group, moment));
    }
    if ("mean" in figure) {
      const source = this.#source(figure.mean, "histogram");
      return (group, moment) => over(grown(source, SUM, group, moment), grown(source, COUNT, group, moment));
    }
    if ("number" in figure) return () => figure.number;
    return this.#combine(figure);
  }

  #combine(figure: Figure): Evaluated {
    if ("sum" in figure) return this.#fold(figure.sum, (a, b) => a + b);
    if ("product" in figure) return this.#fold(figure.product, (a, b) => a * b);
    if ("difference" in figure) return this.#fold(figure.difference, (a, b) => Math.max(0, a - b));
    if ("quotient" in figure) {
      const [of, by] = figure.quotient.map((part) => this.#compile(part)) as [Evaluated, Evaluated];
      return (group, moment) => over(of(group, moment), by(group, moment));
    }
    if ("first" in figure) {
      const parts = figure.first.map((part) => this.#compile(part));
      return (group, moment) => {
        for (const part of parts) {
          const value = part(group, moment);
          if (value !== undefined) return value;
        }
        return undefined;
      };
    }
    const place = this.#memories++;
    if ("held" in figure) {
      const of = this.#compile(figure.held);
      return (group, moment) => (group.memory[place] = positive(of(group, moment)) ?? group.memory[place]);
    }
    if (!("best" in figure)) return () => undefined;
    const of = this.#compile(figure.best);
    const halfLifeMs = figure.halfLifeMs ?? HALF_LIFE_MS;
    return (group, moment) => {
      const before = group.memory[place];
      const value = positive(of(group, moment));
      if (value === undefined) return before;
      const kept = before === undefined ? 0 : (before - value) * 0.5 ** (moment.passedMs / halfLifeMs);
      return (group.memory[place] = value + Math.max(0, kept));
    };
  }

  /** Undefined where one of them is. */
  #fold(figures: readonly Figure[], join: (a: number, b: number) => number): Evaluated {
    const parts = figures.map((part) => this.#compile(part));
    return (group, moment) => {
      let made: number | undefined;
      for (const part of parts) {
        const value = part(group, moment);
        if (value === undefined) return undefined;
        made = made === undefined ? value : join(made, value);
      }
      return made;
    };
  }

  #value(source: Source): Evaluated {
    return (group, { page }) => {
      const found = present(source, group, page);
      if (found === undefined) return undefined;
      const { sum, series, max, min } = found.cell;
      const { across } = source;
      return source.scale * (across === "sum" ? sum : across === "mean" ? sum / series : across === "max" ? max : min);
    };
  }

  #spread(of: FamilySource): Spread {
    const source = this.#source(of, "histogram");
    const family = familyOf(of);
    const summaryAt = (...shares: readonly string[]) =>
      shares.map((share) =>
        this.#value({
          slots: family.names.map((name) => this.#summarySlot(name, share, family)),
          across: "max",
          scale: source.scale,
        }),
      );
    const summary = [summaryAt("0.5"), summaryAt("0.95", "0.9"), summaryAt("0.99", "0.95", "0.9")];
    return (group, moment) => {
      const buckets = ofBuckets(source, group, moment);
      if (buckets !== undefined) return buckets;
      const [p50, p95, p99] = summary.map((tries) =>
        tries.map((each) => each(group, moment)).find((value) => value !== undefined),
      );
      return p50 === undefined || p95 === undefined || p99 === undefined ? undefined : { p50, p95, p99 };
    };
  }

  #summarySlot(name: string, share: string, family: Family): Slot {
    const where = [...Object.entries(family.where ?? {}), ["quantile", share] as const];
    return this.#slot({ kind: "value", family: name, suffix: "", label: "", where });
  }

  #source(of: FamilySource, kind: SlotSpec["kind"], label = ""): Source {
    const family = familyOf(of);
    const where = Object.entries(family.where ?? {});
    const slots = family.names.flatMap((name) =>
      partsOf(name, kind).map((part) => this.#slot({ ...part, kind, label, where })),
    );
    return { slots, across: family.across ?? "sum", scale: family.scale ?? 1 };
  }

  #slot(spec: SlotSpec): Slot {
    const key = JSON.stringify([spec.kind, spec.family, spec.suffix, spec.label, spec.where]);
    let slot = this.#byKey.get(key);
    if (slot === undefined) {
      slot = new Slot(spec);
      this.#byKey.set(key, slot);
      this.slots.push(slot);
    }
    return slot;
  }
}

function familyOf(of: FamilySource): Family {
  if (typeof of === "string") return { names: [of] };
  return "names" in of ? of : { names: of };
}

/**
 * A written name as family and suffix. Counters have `_total` in some versions of a server and not in others, so both are
 * looked for; a part of a histogram may be a counter or value by itself.
 */
function partsOf(name: string, kind: SlotSpec["kind"]): { family: string; suffix: Suffix }[] {
  if (kind === "histogram") return [{ family: name, suffix: "" }];
  const suffix = SUFFIXES.find((each) => each !== "" && name.length > each.length && name.endsWith(each)) ?? "";
  const family = name.slice(0, name.length - suffix.length);
  const written = { family, suffix };
  if (kind === "label" || kind === "text") return [written];
  if (suffix === "_total") return [written, { family, suffix: "" }];
  return suffix === "" ? [written, { family, suffix: "_total" }] : [written];
}

function present({ slots }: Source, group: Group, page: number): { slot: Slot; cell: Cell } | undefined {
  for (const slot of slots) {
    const cell = group.cell(slot);
    if (cell !== undefined && cell.page === page) return { slot, cell };
  }
  return undefined;
}

function grown(source: Source, place: number, group: Group, { page, begin }: Moment): number | undefined {
  const found = begin < 0 ? undefined : present(source, group, page);
  return found === undefined ? undefined : found.cell.since(begin, place) * source.scale;
}

function ofBuckets(source: Source, group: Group, moment: Moment): Quantiles | undefined {
  const found = moment.begin < 0 ? undefined : present(source, group, moment.page);
  if (found === undefined) return undefined;
  const { slot, cell } = found;
  const counts = slot.places.map((place) => cell.since(moment.begin, place));
  const total = slot.bounds.at(-1) === Infinity ? counts.at(-1)! : cell.since(moment.begin, COUNT);
  const at = (q: number) => quantile(q, slot.bounds, counts, total);
  const [p50, p95, p99] = [at(0.5), at(0.95), at(0.99)];
  if (p50 === undefined || p95 === undefined || p99 === undefined) return undefined;
  return { p50: p50 * source.scale, p95: p95 * source.scale, p99: p99 * source.scale };
}

function over(of: number | undefined, by: number | undefined): number | undefined {
  return of === undefined || by === undefined || by <= 0 ? undefined : of / by;
}

function positive(value: number | undefined): number | undefined {
  return value !== undefined && value > 0 && Number.isFinite(value) ? value : undefined;
}

/** Undefined for what can't be: a share of 55 is a percentage whose scale nobody told. */
function sensible(value: number | undefined, max: number): number | undefined {
  if (value === undefined || !(value >= 0)) return undefined;
  return value <= max ? value : value <= max * ROUNDING ? max : undefined;
}
