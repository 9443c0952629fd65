/**
 * Other names for models, and which models stand in for which. Both are written in the settings and settled when they
 * are read: chains of aliases are followed to their end, cycles and contradictions are refused, so that a request costs
 * one look-up in a map, or nothing where none is configured.
 *
 * An alias wins over a model of the same name: it was configured by somebody, and a model may appear anywhere at any
 * time. A fallback is tried when no target of the model exists, or when all are full; a fallback's own fallbacks are
 * not, since a list that is written out says what is meant.
 *
 * Limits: 1024 aliases, chains of 8, 1024 models with fallbacks, 8 fallbacks each.
 */
import { list } from "../base/settings-collections.ts";
import { custom, section } from "../base/settings.ts";
import type { Complaint, Infer } from "../base/settings.ts";

const CHAIN_MAX = 8;
const FALLBACKS_MAX = 8;

interface Alias {
  readonly alias: string;
  readonly model: string;
}

interface Fallbacks {
  readonly model: string;
  readonly others: readonly string[];
}

const alias = custom<Alias>({
  kind: "alias",
  placeholder: "ALIAS=MODEL",
  expected: "ALIAS=MODEL, each a name of at most 256 characters without spaces; the alias has no =",
  parse(raw) {
    const { alias: name, model } =
      (typeof raw === "string"
        ? /^(?<alias>[^\s=\p{Cc}]{1,256})=(?<model>[^\s\p{Cc}]{1,256})$/u.exec(raw.trim())
        : null
      )?.groups ?? {};
    return name === undefined || model === undefined ? undefined : Object.freeze({ alias: name, model });
  },
  write: ({ alias: name, model }) => `${name}=${model}`,
});

const fallback = custom<Fallbacks>({
  kind: "fallbacks",
  placeholder: "MODEL=OTHER,...",
  expected: `MODEL=OTHER or MODEL=OTHER,OTHER with at most ${FALLBACKS_MAX} others, names without spaces, = and commas`,
  parse(raw) {
    const match =
      typeof raw === "string"
        ? /^(?<model>[^\s=,\p{Cc}]{1,256})=(?<others>[^\s=\p{Cc}]{1,2048})$/u.exec(raw.trim())
        : null;
    const others = match?.groups?.["others"]?.split(",") ?? [];
    const isRight =
      others.length > 0 && others.length <= FALLBACKS_MAX && others.every((one) => /^.{1,256}$/.test(one));
    return isRight
      ? Object.freeze({ model: match?.groups?.["model"] ?? "", others: Object.freeze(others) })
      : undefined;
  },
  write: ({ model, others }) => `${model}=${others.join(",")}`,
});

export const aliasSettings = section(
  {
    aliases: list(alias, {
      default: [],
      flag: "alias",
      separator: " ",
      doc: "Other names for models: requests for ALIAS go to MODEL, and carry its name. An alias may lead to another one. The flag may be given several times.",
    }),
    fallbacks: list(fallback, {
      default: [],
      flag: "fallback",
      separator: " ",
      doc: "Models that stand in, in this order, when MODEL is not served by any healthy target, or all of its targets are full. Requests then carry the other model's name. The flag may be given several times.",
    }),
  },
  { check: complaintsOf },
);

export type AliasConfig = Infer<typeof aliasSettings>;

/** The settings of aliases and fallbacks, ready to be asked. */
export class Aliases {
  /** Alias to model, chains followed; for tables that are keyed otherwise than by text. */
  readonly models: ReadonlyMap<string, string>;
  readonly #fallbacks = new Map<string, readonly string[]>();

  constructor({ aliases, fallbacks }: AliasConfig) {
    const direct = new Map(aliases.map((one) => [one.alias, one.model]));
    this.models = new Map(aliases.map((one) => [one.alias, lastOf(one.alias, direct).model]));
    for (const { model, others } of fallbacks) {
      const meant = this.resolve(model);
      const resolved = new Set(others.map((other) => this.resolve(other)));
      resolved.delete(meant);
      this.#fallbacks.set(meant, Object.freeze([...resolved]));
    }
  }

  /** Nothing is configured: nobody need ask. */
  get isEmpty(): boolean {
    return this.models.size === 0 && this.#fallbacks.size === 0;
  }

  /** The model that a name means: itself, unless it is an alias. */
  resolve(name: string): string {
    return this.models.get(name) ?? name;
  }

  /** The models that have others to stand in for them. */
  get withFallbacks(): Iterable<string> {
    return this.#fallbacks.keys();
  }

  /** The models to try in place of `model`, which is no alias; resolved, without itself, each once. */
  fallbacks(model: string): readonly string[] {
    return this.#fallbacks.get(model) ?? NONE;
  }
}

const NONE: readonly string[] = Object.freeze([]);

/** Where a chain of aliases ends, and how long it is: longer than CHAIN_MAX where it has no end. */
function lastOf(name: string, direct: ReadonlyMap<string, string>): { readonly model: string; readonly steps: number } {
  let model = name;
  let steps = 0;
  for (let next = direct.get(model); next !== undefined && steps <= CHAIN_MAX; next = direct.get(model)) {
    model = next;
    steps++;
  }
  return { model, steps };
}

function complaintsOf({
  aliases,
  fallbacks,
}: {
  aliases: readonly Alias[];
  fallbacks: readonly Fallbacks[];
}): Complaint[] {
  const complaints: Complaint[] = [];
  const direct = new Map(aliases.map((one) => [one.alias, one.model]));
  const seen = new Set<string>();
  aliases.forEach((one, index) => {
    const path = `aliases[${index}]`;
    const found = alias.write(one);
    if (seen.has(one.alias)) complaints.push({ path, found, expected: "each alias once" });
    seen.add(one.alias);
    if (lastOf(one.alias, direct).steps > CHAIN_MAX) {
      complaints.push({ path, found, expected: `a chain of at most ${CHAIN_MAX} aliases that ends at a model` });
    }
  });
  if (complaints.length > 0) return complaints;
  const models = new Set<string>();
  fallbacks.forEach((one, index) => {
    const path = `fallbacks[${index}]`;
    const found = fallback.write(one);
    const { model } = lastOf(one.model, direct);
    if (models.has(model)) complaints.push({ path, found, expected: "each model once, also by its other names" });
    models.add(model);
    if (one.others.some((other) => lastOf(other, direct).model === model)) {
      complaints.push({ path, found, expected: "other models than the one that they stand in for" });
    }
  });
  return complaints;
}
