/**
 * The rules of rewrite-settings.ts, made ready: for each API and model the headers to drop and to write, and the edits
 * of the body, put together once when the pair is first seen. Without rules `isEmpty` says so and nothing else is done;
 * with rules a request costs two look-ups in maps, and only requests that a rule fits pay for it.
 *
 * Rules apply in their order: a later one's header or field takes the place of an earlier one's, limits add up to the
 * narrowest. Values of headers were checked when they were read, so that they can end no line.
 */
import type { ApiShape } from "./api-shapes.ts";
import { JsonEditor } from "./json-edit.ts";
import type { JsonEdit } from "./json-edit.ts";
import type { RewriteConfig, RewriteRule } from "./rewrite-settings.ts";
import { type ModelKeys, UpstreamKeys } from "./upstream-keys.ts";

/** Pairs of API and model that are remembered; more than any mesh serves, so names from outside can't fill memory. */
const PAIRS_MAX = 8192;
const encoder = new TextEncoder();

/** Which lines of a head are left out, and what is written in their place. */
export class HeaderRewrite {
  /** Whole lines, each with its CRLF, for the end of the field section. */
  readonly lines: Uint8Array;
  readonly #dropped: readonly Uint8Array[];

  constructor(dropped: Iterable<string>, lines: readonly (readonly [name: string, value: string])[]) {
    this.#dropped = [...dropped].map((name) => encoder.encode(name));
    this.lines = encoder.encode(lines.map(([name, value]) => `${name}: ${value}\r\n`).join(""));
  }

  /** Whether the line whose name is [start, end) is left out. */
  drops(buffer: Uint8Array, start: number, end: number): boolean {
    for (const name of this.#dropped) if (isName(buffer, start, end, name)) return true;
    return false;
  }
}

/** What is done to one request and its answer; null where nothing is. */
export interface Rewrite {
  readonly request: HeaderRewrite | null;
  readonly response: HeaderRewrite | null;
  /** For a JSON body; it can replace the model's name on the way. */
  readonly body: JsonEditor | null;
}

export class Rewrites {
  readonly isEmpty: boolean;
  readonly #rules: readonly RewriteRule[];
  readonly #keys: UpstreamKeys;
  readonly #found = new Map<string, Map<string, Rewrite | null>>();
  #pairs = 0;

  /** Keys for targets come last: no rule takes their place. */
  constructor({ rules }: RewriteConfig, keys = new UpstreamKeys([])) {
    this.#rules = rules;
    this.#keys = keys;
    this.isEmpty = rules.length === 0 && keys.isEmpty;
  }

  /** What is done to requests of this API for this model (its own name, no alias); null: nothing. */
  find(shape: ApiShape, model: string): Rewrite | null {
    if (this.isEmpty) return null;
    let ofShape = this.#found.get(shape.name);
    const found = ofShape?.get(model);
    if (found !== undefined) return found;
    if (this.#pairs++ >= PAIRS_MAX) {
      this.#found.clear();
      this.#pairs = 1;
      ofShape = undefined;
    }
    if (ofShape === undefined) {
      ofShape = new Map();
      this.#found.set(shape.name, ofShape);
    }
    const made = rewriteOf(
      this.#rules.filter((rule) => fits(rule, shape, model)),
      shape,
      this.#keys.of(model),
    );
    ofShape.set(model, made);
    return made;
  }
}

function fits({ models, apis }: RewriteRule, shape: ApiShape, model: string): boolean {
  if (models.length > 0 && !models.includes(model)) return false;
  return apis.length === 0 || apis.includes(shape.name) || apis.includes(shape.family);
}

function rewriteOf(rules: readonly RewriteRule[], shape: ApiShape, keys: ModelKeys | null): Rewrite | null {
  const request = headersOf([
    ...rules.map((rule) => [rule.requestHeadersRemoved, rule.requestHeaders, rule.requestHeadersAdded] as const),
    ...(keys === null ? [] : ([[[...keys.dropped], {}, Object.fromEntries(keys.lines)]] as const)),
  ]);
  const response = headersOf(
    rules.map((rule) => [rule.responseHeadersRemoved, rule.responseHeaders, rule.responseHeadersAdded]),
  );
  const edits = rules.flatMap((rule) => editsOf(rule, shape));
  if (request === null && response === null && edits.length === 0) return null;
  return { request, response, body: edits.length === 0 ? null : new JsonEditor(edits, true) };
}

type Values = Readonly<Record<string, string>>;

function headersOf(
  steps: readonly (readonly [removed: readonly string[], set: Values, added: Values])[],
): HeaderRewrite | null {
  const dropped = new Set<string>();
  let lines: (readonly [string, string])[] = [];
  const drop = (written: string): string => {
    const name = written.toLowerCase();
    dropped.add(name);
    lines = lines.filter(([other]) => other !== name);
    return name;
  };
  for (const [removed, set, added] of steps) {
    for (const name of removed) drop(name);
    for (const [name, value] of Object.entries(set)) {
      const lower = drop(name);
      lines.push([lower, value]);
    }
    for (const [name, value] of Object.entries(added)) lines.push([name.toLowerCase(), value]);
  }
  return dropped.size === 0 && lines.length === 0 ? null : new HeaderRewrite(dropped, lines);
}

function editsOf(rule: RewriteRule, shape: ApiShape): JsonEdit[] {
  const { defaults, fields, atMost, atLeast, fieldsRemoved, systemPrompt, systemPromptWhen: when } = rule;
  const edits: JsonEdit[] = [
    ...fieldsRemoved.map((field) => ({ edit: "remove", field }) as const),
    ...Object.entries(fields).map(([field, json]) => ({ edit: "set", field, json }) as const),
    ...Object.entries(defaults).map(([field, json]) => ({ edit: "default", field, json }) as const),
    ...Object.entries(atMost).map(([field, limit]) => ({ edit: "max", field, limit }) as const),
    ...Object.entries(atLeast).map(([field, limit]) => ({ edit: "min", field, limit }) as const),
  ];
  const place = PROMPT_PLACES.get(shape.name);
  if (systemPrompt !== "" && place !== undefined) edits.push({ ...place, text: systemPrompt, when });
  return edits;
}

/** Where each API has its system prompt. */
const PROMPT_PLACES: ReadonlyMap<string, { readonly edit: "message" | "prefix"; readonly field: string }> = new Map([
  ["openai.chat", { edit: "message", field: "messages" }],
  ["ollama.chat", { edit: "message", field: "messages" }],
  ["ollama.generate", { edit: "prefix", field: "system" }],
  ["anthropic.messages", { edit: "prefix", field: "system" }],
  ["anthropic.count-tokens", { edit: "prefix", field: "system" }],
  ["openai.responses", { edit: "prefix", field: "instructions" }],
]);

/** Whether [start, end) spells `lower`, letter case aside; names may hold any token's characters. */
function isName(buffer: Uint8Array, start: number, end: number, lower: Uint8Array): boolean {
  if (end - start !== lower.length) return false;
  for (let i = 0; i < lower.length; i++) {
    const byte = buffer[start + i]!;
    if ((byte >= 65 && byte <= 90 ? byte | 32 : byte) !== lower[i]) return false;
  }
  return true;
}
