/**
 * Reads the figures of a map that a user wrote: the same data as those of the adapters in this room (metric-map.ts), with
 * a name alone for what is most usual.
 *
 *     runningRequests: acme_running                      # { value: acme_running }
 *     timeToFirstToken: acme_ttft_seconds                # { quantiles: acme_ttft_seconds }
 *     kvUsage: { value: { names: [acme_kv_percent], scale: 0.01, across: mean } }
 */
import { isRecord } from "../base/field.ts";
import {
  ACROSS,
  type Distribution,
  type Family,
  type FamilySource,
  type Figure,
  type FigureMap,
  NUMBER_FIGURES,
  type NumberFigure,
  QUANTILE_FIGURES,
  type QuantileFigure,
} from "./metric-map.ts";
import type { YamlValue } from "./yaml-reader.ts";

const KINDS = [
  "value",
  "label",
  "series",
  "rate",
  "ratio",
  "mean",
  "number",
  "sum",
  "product",
  "difference",
  "quotient",
  "first",
  "best",
  "held",
] as const;
type Kind = (typeof KINDS)[number];

/** Keys beside the one that says what kind it is. */
const BESIDE: { readonly [K in Kind]?: readonly ("of" | "halfLife")[] } = { label: ["of"], best: ["halfLife"] };

const METRIC = "the name of a metric as its page has it, such as acme_requests_running";
const METRIC_PATTERN = /^[^\s{}"#]+$/;
const LABEL = "the name of a label";
const LABEL_PATTERN = /^[^\s{}"=,]+$/;
const MIN_MS = 1000;
const MAX_MS = 24 * 3_600_000;

export function readFigures(value: YamlValue): FigureMap {
  const names = [...(Object.keys(NUMBER_FIGURES) as NumberFigure[]), ...QUANTILE_FIGURES];
  const figures: Record<string, Figure | Distribution> = {};
  const members = value.record<NumberFigure | QuantileFigure>([], names);
  for (const name of names) {
    const member = members[name];
    if (member === undefined) continue;
    const isSpread = (QUANTILE_FIGURES as readonly string[]).includes(name);
    const figure = isSpread ? readDistribution(member) : readFigure(member);
    if (figure !== undefined) figures[name] = figure;
  }
  return figures;
}

function readDistribution(value: YamlValue): Distribution | undefined {
  const isSource = value.isText || value.isList;
  const source = isSource ? value : value.record(["quantiles"], []).quantiles;
  const quantiles = source === undefined ? undefined : readSource(source);
  return quantiles === undefined ? undefined : { quantiles };
}

function readFigure(value: YamlValue): Figure | undefined {
  if (value.isText || value.isList) {
    const source = readSource(value);
    return source === undefined ? undefined : { value: source };
  }
  const { raw } = value;
  const kinds = isRecord(raw) ? KINDS.filter((kind) => Object.hasOwn(raw, kind)) : [];
  const [kind] = kinds;
  if (kind === undefined || kinds.length > 1) {
    return value.refuse(`the name of a metric, or exactly one of ${KINDS.join(", ")}`);
  }
  const members = value.record<Kind | "of" | "halfLife">([kind], BESIDE[kind] ?? []);
  const inside = members[kind];
  return inside === undefined ? undefined : readKind(kind, inside, members.of, members.halfLife, value);
}

function readKind(
  kind: Kind,
  inside: YamlValue,
  of: YamlValue | undefined,
  halfLife: YamlValue | undefined,
  whole: YamlValue,
): Figure | undefined {
  switch (kind) {
    case "value":
    case "series":
    case "rate":
    case "mean": {
      const source = readSource(inside);
      return source === undefined ? undefined : ({ [kind]: source } as unknown as Figure);
    }
    case "label": {
      const label = inside.text(LABEL, LABEL_PATTERN);
      const source = of === undefined ? whole.refuse("of: the metric that has the label") : readSource(of);
      return label === undefined || source === undefined ? undefined : { label, of: source };
    }
    case "number": {
      const number = inside.number("a number from 0 on", 0, Number.MAX_SAFE_INTEGER);
      return number === undefined ? undefined : { number };
    }
    case "ratio": {
      const [a, b] = two(inside, readSource);
      return a === undefined || b === undefined ? undefined : { ratio: [a, b] };
    }
    case "difference":
    case "quotient": {
      const [a, b] = two(inside, readFigure);
      if (a === undefined || b === undefined) return undefined;
      return kind === "difference" ? { difference: [a, b] } : { quotient: [a, b] };
    }
    case "sum":
    case "product":
    case "first": {
      const parts = inside.list().map(readFigure);
      const good = parts.filter((part) => part !== undefined);
      return good.length < parts.length || good.length === 0 ? undefined : ({ [kind]: good } as unknown as Figure);
    }
    case "held": {
      const held = readFigure(inside);
      return held === undefined ? undefined : { held };
    }
    case "best": {
      const best = readFigure(inside);
      const halfLifeMs = halfLife?.durationMs(MIN_MS, MAX_MS);
      if (best === undefined) return undefined;
      return halfLifeMs === undefined ? { best } : { best, halfLifeMs };
    }
  }
}

function two<T>(value: YamlValue, read: (item: YamlValue) => T | undefined): readonly (T | undefined)[] {
  const items = value.list();
  if (items.length === 2) return items.map(read);
  if (items.length > 0) value.refuse("a list of two");
  return [];
}

/** A name, a list of names, or a record with names and what is to be said of them. */
export function readSource(value: YamlValue): FamilySource | undefined {
  if (value.isText || value.isList) return readNames(value);
  const members = value.record<"names" | "where" | "across" | "scale">(["names"], ["where", "across", "scale"]);
  const names = members.names === undefined ? undefined : readNames(members.names);
  const across = members.across?.choice(ACROSS);
  const scale = members.scale?.number("a number above 0, such as 0.01 for percent", Number.MIN_VALUE, 1e15);
  const where = members.where === undefined ? undefined : readWhere(members.where);
  if (names === undefined) return undefined;
  const family: Family = {
    names,
    ...(where === undefined ? {} : { where }),
    ...(across === undefined ? {} : { across }),
    ...(scale === undefined ? {} : { scale }),
  };
  return family;
}

function readNames(value: YamlValue): readonly string[] | undefined {
  const names = value.oneOrMore().map((item) => item.text(METRIC, METRIC_PATTERN));
  const good = names.filter((name) => name !== undefined);
  return good.length === names.length && good.length > 0 ? good : undefined;
}

export function readLabels(value: YamlValue): readonly string[] {
  return value
    .oneOrMore()
    .map((item) => item.text(LABEL, LABEL_PATTERN))
    .filter((label) => label !== undefined);
}

function readWhere(value: YamlValue): Record<string, string> {
  return Object.fromEntries(
    value.entries().map(([label, wanted]) => [label, wanted.text("the value of a label, as text", /^/) ?? ""]),
  );
}
