/**
 * Rules that change requests and answers on their way: which headers come and go, what a body's fields default to and
 * may be at most, and which system prompt stands in front. Declared like every other setting, one section a rule, so
 * that each fault is reported with its place; checked for what would break the relay (framing, routing, the router's
 * own headers).
 */
import { type Fault, type Field, type Making, isRecord, make, refuse } from "../base/field.ts";
import { didYouMean } from "../base/nearest.ts";
import { list, map } from "../base/settings-collections.ts";
import { outerKey, parseSection, writeSection } from "../base/settings-reading.ts";
import { choice, custom, number, section, text } from "../base/settings.ts";
import type { Complaint, Infer } from "../base/settings.ts";
import { ALL_SHAPES } from "./api-shapes.ts";

/** What `apis` may name. */
const API_NAMES: ReadonlySet<string> = new Set(ALL_SHAPES.flatMap(({ name, family }) => [name, family]));
const RULES_MAX = 256;
const JSON_NODES_MAX = 1000;
const JSON_LENGTH_MAX = 16_384;
const PROMPT_LENGTH_MAX = 16_384;
/** Header lines that all rules add to a head together. */
const ADDED_BYTES_MAX = 16_384;

/** Framing and routing of a hop, and what only the router says (RFC 9110 section 7.6.1). */
const RESERVED_HEADERS: ReadonlySet<string> = new Set([
  "connection",
  "content-length",
  "expect",
  "host",
  "http2-settings",
  "keep-alive",
  "proxy-authenticate",
  "proxy-authorization",
  "proxy-connection",
  "te",
  "trailer",
  "transfer-encoding",
  "upgrade",
  "x-request-id",
]);
/** Fields by which the router routes and frames; aliases change the model. */
const RESERVED_FIELDS: ReadonlySet<string> = new Set(["model", "stream"]);

/** Whether settings may write it. */
export function isFreeHeader(name: string): boolean {
  // Servers in the manner of CGI take `_` for `-`.
  const lower = name.toLowerCase().replaceAll("_", "-");
  return !RESERVED_HEADERS.has(lower) && !lower.startsWith("x-infermesh-");
}

const headerValue = text({
  pattern: /^(?:[!-~](?:[ -~]{0,1022}[!-~])?)?$/,
  expected: "a header's value: at most 1024 visible ASCII characters, blanks inside only",
});
const headerName = text({
  pattern: /^[A-Za-z_][A-Za-z0-9_.-]{0,63}$/,
  expected: "a header's name: at most 64 letters, digits, _, . or -",
});
const fieldName = text({ pattern: /^.{1,64}$/, expected: "the name of a field, of at most 64 characters" });
const limitValue = number({ min: -1e15, max: 1e15 });

/** Kept as JSON, since that is what is written into bodies. */
const jsonValue = custom<string>({
  kind: "json",
  placeholder: "JSON",
  expected: `a JSON value of at most ${JSON_NODES_MAX} parts and ${JSON_LENGTH_MAX} characters`,
  parse(raw) {
    const json = isSmall(raw) ? JSON.stringify(raw) : undefined;
    return json !== undefined && json.length <= JSON_LENGTH_MAX ? json : undefined;
  },
  write: (json) => JSON.parse(json) as unknown,
});

const promptText = custom<string>({
  kind: "prompt",
  placeholder: "TEXT",
  expected: `text of at most ${PROMPT_LENGTH_MAX} characters`,
  default: "",
  emptyMeans: "none",
  parse: (raw) => (typeof raw === "string" && raw.length <= PROMPT_LENGTH_MAX ? raw : undefined),
  write: (prompt) => prompt,
  doc: "System prompt for chats (messages), Anthropic's and Ollama's system, and instructions of responses.",
});

const ruleSettings = section(
  {
    models: list(text({ pattern: /^\S{1,256}$/, expected: "a model's name" }), {
      default: [],
      emptyMeans: "every model",
      doc: "Models that the rule is for, by their own names, not their aliases.",
    }),
    apis: list(text({ pattern: /^[a-z0-9]+(\.[a-z0-9-]+)?$/, expected: "an API, such as openai.chat or openai" }), {
      default: [],
      emptyMeans: "every API",
      doc: "APIs that the rule is for: one, such as openai.chat, or a family, such as anthropic.",
    }),
    requestHeaders: map(headerValue, {
      default: {},
      doc: "Headers that the target gets in place of the client's.",
    }),
    requestHeadersAdded: map(headerValue, { default: {}, doc: "Headers that the target gets besides the client's." }),
    requestHeadersRemoved: list(headerName, {
      default: [],
      doc: "Headers of the client that the target does not get.",
    }),
    responseHeaders: map(headerValue, {
      default: {},
      doc: "Headers that the client gets in place of the target's.",
    }),
    responseHeadersAdded: map(headerValue, { default: {}, doc: "Headers that the client gets besides the target's." }),
    responseHeadersRemoved: list(headerName, {
      default: [],
      doc: "Headers of the target that the client does not get, such as server.",
    }),
    defaults: map(jsonValue, {
      default: {},
      doc: "Fields of the body that get this value where they are absent or null.",
    }),
    fields: map(jsonValue, { default: {}, doc: "Fields of the body that get this value whatever the client says." }),
    atMost: map(limitValue, {
      default: {},
      doc: "Numbers in the body that may be no larger; give a default too where the target would use more.",
    }),
    atLeast: map(limitValue, { default: {}, doc: "Numbers in the body that may be no smaller." }),
    fieldsRemoved: list(fieldName, { default: [], doc: "Fields of the body that the target does not get." }),
    systemPrompt: promptText,
    systemPromptWhen: choice(["always", "absent"], {
      default: "always",
      doc: "Whether the system prompt stands in front of the client's own, or only where the client gives none.",
    }),
  },
  { check: complaintsOf },
);

export type RewriteRule = Infer<typeof ruleSettings>;

export const rewriteSettings = section(
  {
    rules: rules({
      default: [],
      flag: "rewrite-rules",
      doc: `Rules that change requests and answers, each a map with any of ${ruleKeys()}. All rules that fit a request apply, in order. In a flag or variable they are one JSON list.`,
    }),
  },
  { check: ({ rules: all }) => longHeads(all) },
);

export type RewriteConfig = Infer<typeof rewriteSettings>;

/** All rules may fit one request, and heads have limits everywhere. */
function longHeads(all: readonly RewriteRule[]): Complaint[] {
  const sides = [
    ["request", all.map((rule) => [rule.requestHeaders, rule.requestHeadersAdded])],
    ["response", all.map((rule) => [rule.responseHeaders, rule.responseHeadersAdded])],
  ] as const;
  return sides.flatMap(([side, maps]) => {
    const lines = maps.flat().flatMap((values) => Object.entries(values));
    const length = lines.reduce((sum, [name, value]) => sum + name.length + value.length + 4, 0);
    if (length <= ADDED_BYTES_MAX) return [];
    return [{ path: "rules", found: length, expected: `at most ${ADDED_BYTES_MAX} bytes of ${side} headers in all` }];
  });
}

function ruleKeys(): string {
  return Object.entries(ruleSettings.fields)
    .map(([key, field]) => outerKey(key, field))
    .join(", ");
}

/** A list of rules from a file's tree, or from JSON text. */
function rules(options: {
  readonly default: readonly unknown[];
  readonly flag: string;
  readonly doc: string;
}): Field<readonly RewriteRule[]> {
  const expected = `a list of at most ${RULES_MAX} rules`;
  const making: Making<readonly RewriteRule[]> = {
    kind: "rules",
    placeholder: "JSON",
    expected,
    write: (all) => all.map((rule) => writeSection(ruleSettings, rule)),
    read(raw, at) {
      const given = at.fromText ? fromJson(raw) : raw;
      if (!Array.isArray(given) || given.length > RULES_MAX) return refuse(raw, at, expected);
      const faults: Fault[] = [];
      const all = given.flatMap((one: unknown, index): RewriteRule[] => {
        const path = `${at.path}[${index}]`;
        if (!isRecord(one)) {
          refuse(one, { ...at, path, faults }, "a rule: keys and values");
          return [];
        }
        const parsed = parseSection(ruleSettings, one, path);
        faults.push(...(parsed.faults ?? []));
        return parsed.value === undefined ? [] : [parsed.value];
      });
      at.faults.push(...faults.map((fault) => ({ ...fault, source: at.source })));
      return faults.length > 0 ? undefined : Object.freeze(all);
    },
  };
  return make(making, options.default, options);
}

function fromJson(raw: unknown): unknown {
  try {
    return typeof raw === "string" ? (JSON.parse(raw) as unknown) : undefined;
  } catch {
    return undefined;
  }
}

/** Whether a value is JSON, and small: a few lines of YAML can stand for an endless tree. */
function isSmall(raw: unknown): boolean {
  let left = JSON_NODES_MAX;
  const walk = (value: unknown): boolean => {
    if (--left < 0) return false;
    if (value === null || typeof value === "string" || typeof value === "boolean") return true;
    if (typeof value === "number") return Number.isFinite(value);
    if (Array.isArray(value)) return value.every(walk);
    return isRecord(value) && Object.values(value).every(walk);
  };
  return walk(raw);
}

/** What a rule may not touch; its type would be a circle through `check`. */
interface Checked {
  readonly [key: string]: unknown;
  readonly atMost: Readonly<Record<string, number>>;
  readonly atLeast: Readonly<Record<string, number>>;
  readonly apis: readonly string[];
}

const HEADER_KEYS = [
  "requestHeaders",
  "requestHeadersAdded",
  "requestHeadersRemoved",
  "responseHeaders",
  "responseHeadersAdded",
  "responseHeadersRemoved",
];
const FIELD_KEYS = ["defaults", "fields", "atMost", "atLeast", "fieldsRemoved"];

function complaintsOf(rule: Checked): Complaint[] {
  const complaints: Complaint[] = [];
  for (const key of HEADER_KEYS) {
    for (const name of namesIn(rule[key])) {
      if (isFreeHeader(name)) continue;
      complaints.push({
        path: key,
        found: name,
        expected: "a header that is not the router's own or its connection's",
      });
    }
  }
  for (const key of FIELD_KEYS) {
    for (const name of namesIn(rule[key])) {
      if (RESERVED_FIELDS.has(name)) {
        complaints.push({
          path: key,
          found: name,
          expected: "a field that routes and frames nothing; see aliases for models",
        });
      }
    }
  }
  for (const [name, least] of Object.entries(rule.atLeast)) {
    const most = rule.atMost[name];
    if (most !== undefined && most < least) {
      complaints.push({ path: `atLeast.${name}`, found: least, expected: `at most ${most}, as atMost.${name} says` });
    }
  }
  rule.apis.forEach((api, index) => {
    if (API_NAMES.has(api)) return;
    const near = didYouMean(api, [...API_NAMES]);
    const hint = near === "" ? "" : `; ${near}`;
    complaints.push({
      path: `apis[${index}]`,
      found: api,
      expected: `an API such as openai.chat, or a family such as openai${hint}`,
    });
  });
  return complaints;
}

function namesIn(value: unknown): readonly string[] {
  return Array.isArray(value) ? (value as string[]) : Object.keys(value ?? {});
}
