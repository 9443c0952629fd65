/**
 * One runtime as people write it, in a flag or a file:
 *
 *     --runtime vllm=http://127.0.0.1:8000          --runtime vllm            (at its usual port on this machine)
 *     --runtime big:vllm=http://127.0.0.1:8001,api-key=file:/run/secrets/vllm
 *     --runtime auto                                --runtime none
 *
 *     runtimes:
 *       - { name: big, kind: vllm, url: http://127.0.0.1:8001, apiKey: file:/run/secrets/vllm }
 *
 * In a flag the options have dashes in their names, and their values no commas. What is refused is shown without secrets.
 */
import { type Field, isRecord, type Making, make, type Reading, refuse } from "../base/field.ts";
import { didYouMean } from "../base/nearest.ts";
import type { KvEventsPlace } from "./kv-events.ts";
import { KV_KEYS, kvEventsOf, writeKvEvents } from "./runtime-kv.ts";
import { RUNTIME_KINDS, type RuntimeKind } from "../runtimes/reading.ts";
import { type Secret, shownSecret } from "./runtime-secret.ts";
import { modelsOf, ROLE_KEYS, roleOfSpec, writeRole } from "./runtime-serving.ts";
import { headersOf, secretOf, TOKEN, within } from "./runtime-spec-secrets.ts";
import { formatRuntimeUrl, parseRuntimeUrl, type RuntimeUrl, URL_EXPECTED } from "./runtime-url.ts";

/** Kinds that the agent can be told to look after; `auto` finds what there is, `none` looks after nothing. */
const KINDS = ["auto", ...RUNTIME_KINDS.filter((kind) => kind !== "mock"), "none"] as const;
export type SpecKind = Exclude<RuntimeKind, "mock"> | "auto" | "none";

export interface RuntimeSpec {
  /** "": called after its kind. */
  readonly name: string;
  readonly kind: SpecKind;
  /** Undefined: where its kind usually is, on this machine. */
  readonly url: RuntimeUrl | undefined;
  /** Of its other ports, where they are not where they usually are. */
  readonly metricsUrl: RuntimeUrl | undefined;
  readonly managementUrl: RuntimeUrl | undefined;
  readonly grpcUrl: RuntimeUrl | undefined;
  /** Where it tells of its KV cache; undefined where that is not heard. */
  readonly kvEvents: KvEventsPlace | undefined;
  /** That are asked about, of one that does not list them. */
  readonly models: readonly string[];
  /** The part of requests that it computes, as labels have it (fleet/role.ts); "": all of them. */
  readonly role: string;
  /** Of a generic one: the file that says what its metrics mean. */
  readonly map: string;
  readonly apiKey: Secret | undefined;
  /** "": as a bearer token. */
  readonly apiKeyHeader: string;
  readonly bearer: Secret | undefined;
  readonly basic: Secret | undefined;
  /** In place of the others at these ports, as the API key is sent. */
  readonly metricsKey: Secret | undefined;
  readonly managementKey: Secret | undefined;
  readonly headers: Readonly<Record<string, Secret>>;
  /** PEM files. */
  readonly ca: string;
  readonly cert: string;
  readonly key: string;
  readonly verify: boolean;
}

/** An endpoint is called after its runtime, with a few letters more, and may have 64. */
const NAME = /^[A-Za-z0-9][A-Za-z0-9._-]{0,47}$/;
const NAME_EXPECTED = "1 to 48 letters, digits, ., _ or -";
const FILE_EXPECTED = "a file's path";
const HIDDEN = "(hidden)";
const EXPECTED = `KIND=URL, such as vllm=http://127.0.0.1:8000, or KIND alone, KIND being one of ${KINDS.join(", ")}`;

const URLS = ["url", "metricsUrl", "managementUrl", "grpcUrl"] as const;
const SECRETS = ["apiKey", "bearer", "basic", "metricsKey", "managementKey"] as const;
const FILES = ["map", "ca", "cert", "key"] as const;
const KEYS = [
  "name",
  "kind",
  ...URLS,
  "models",
  "map",
  ...SECRETS,
  "apiKeyHeader",
  "headers",
  "ca",
  "cert",
  "key",
  "verify",
  ...KV_KEYS,
  ...ROLE_KEYS,
];

/** The fields of the record form, whichever way they were written. */
type Written = Readonly<Record<string, unknown>>;

const MAKING: Making<RuntimeSpec> = {
  kind: "runtime",
  placeholder: "KIND=URL",
  expected: EXPECTED,
  write: writeSpec,
  read(raw, at) {
    const written =
      typeof raw === "string" ? writtenIn(raw.trim(), at) : isRecord(raw) ? raw : refuse(HIDDEN, at, EXPECTED);
    return written === undefined ? undefined : specOf(written, at);
  },
};

export const runtimeField: Field<RuntimeSpec> = make(MAKING, undefined, {});

/** Looks for what there is. */
export const AUTO: RuntimeSpec = Object.freeze({
  name: "",
  kind: "auto",
  url: undefined,
  metricsUrl: undefined,
  managementUrl: undefined,
  grpcUrl: undefined,
  kvEvents: undefined,
  models: [],
  role: "",
  map: "",
  apiKey: undefined,
  apiKeyHeader: "",
  bearer: undefined,
  basic: undefined,
  metricsKey: undefined,
  managementKey: undefined,
  headers: {},
  ca: "",
  cert: "",
  key: "",
  verify: true,
});

/** The record form of the text form: `[NAME:]KIND[=URL][,option=value]...`. */
function writtenIn(text: string, at: Reading): Written | undefined {
  const [first = "", ...options] = text.split(",");
  const [, name, kind = "", url] = /^(?:([^:=]*):)?([^:=]*)(?:=(.*))?$/s.exec(first) ?? [];
  if (kind === "") return refuse(first.slice(0, 100), at, EXPECTED);
  const written: Record<string, unknown> = { kind };
  if (name !== undefined) written["name"] = name;
  if (url !== undefined) written["url"] = url;
  const headers: Record<string, unknown> = {};
  const models: unknown[] = [];
  const before = at.faults.length;
  for (const option of options) {
    const equals = option.indexOf("=");
    const word = equals < 0 ? option : option.slice(0, equals);
    const value = equals < 0 ? undefined : option.slice(equals + 1);
    const key = word.replace(/-([a-z])/g, (_, letter: string) => letter.toUpperCase());
    if (word === "model") models.push(value);
    else if (word === "header") {
      const colon = (value ?? "").indexOf(":");
      if (colon < 1) refuse(HIDDEN, within(at, "header"), "header=NAME:VALUE");
      else headers[value?.slice(0, colon) ?? ""] = value?.slice(colon + 1);
    } else if (
      !KEYS.includes(key) ||
      key === "headers" ||
      key === "models" ||
      key === "kind" ||
      Object.hasOwn(written, key)
    ) {
      refuse(word.slice(0, 64), at, "an option once, and one that there is", didYouMean(word, optionNames()));
    } else if (value === undefined) refuse(word, at, `${word}=VALUE`);
    else written[key] = key === "verify" ? value === "true" || (value === "false" ? false : value) : value;
  }
  if (Object.keys(headers).length > 0) written["headers"] = headers;
  if (models.length > 0) written["models"] = models;
  return at.faults.length > before ? undefined : written;
}

function optionNames(): string[] {
  const kebab = (key: string): string => key.replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`);
  return [...KEYS.filter((key) => !["kind", "headers", "models"].includes(key)).map(kebab), "header", "model"];
}

function specOf(written: Written, at: Reading): RuntimeSpec | undefined {
  const before = at.faults.length;
  for (const key of Object.keys(written)) {
    if (!KEYS.includes(key)) refuse(key.slice(0, 64), at, "no such key", didYouMean(key, KEYS));
  }
  const kind = KINDS.find((word) => word === written["kind"]);
  if (kind === undefined) {
    const found = typeof written["kind"] === "string" ? written["kind"] : "";
    refuse(written["kind"], within(at, "kind"), `one of ${KINDS.join(", ")}`, didYouMean(found, KINDS));
  }
  const text = (key: string, pattern: RegExp, expected: string): string => {
    const value = written[key] ?? "";
    if (value === "" || (typeof value === "string" && pattern.test(value))) return value;
    return refuse(value, within(at, key), expected) ?? "";
  };
  const [url, metricsUrl, managementUrl, grpcUrl] = URLS.map((key) => urlOf(written, key, at));
  const [apiKey, bearer, basic, metricsKey, managementKey] = SECRETS.map((key) =>
    secretOf(written[key], within(at, key)),
  );
  const [map = "", ca = "", cert = "", key = ""] = FILES.map((name) =>
    text(name, /^[^\0\n\r]{1,4096}$/, FILE_EXPECTED),
  );
  const verify = written["verify"] ?? true;
  if (typeof verify !== "boolean") refuse(verify, within(at, "verify"), "true or false");
  const spec: RuntimeSpec = {
    name: text("name", NAME, NAME_EXPECTED),
    kind: kind ?? "none",
    url,
    metricsUrl,
    managementUrl,
    grpcUrl,
    kvEvents: kvEventsOf(kind ?? "none", written, at),
    models: modelsOf(written["models"], within(at, "models")),
    role: roleOfSpec(kind ?? "none", written, at),
    map,
    apiKey,
    apiKeyHeader: text("apiKeyHeader", TOKEN, "a header's name"),
    bearer,
    basic,
    metricsKey,
    managementKey,
    headers: headersOf(written["headers"], within(at, "headers")),
    ca,
    cert,
    key,
    verify: verify === true,
  };
  if (at.faults.length === before) complain(spec, written, at);
  return at.faults.length > before ? undefined : Object.freeze(spec);
}

/** What does not go together. */
function complain(spec: RuntimeSpec, written: Written, at: Reading): void {
  const { kind, apiKey, apiKeyHeader, bearer, basic, metricsKey, managementKey, headers, models, map, cert, key } =
    spec;
  if (kind === "auto" || kind === "none") {
    const more = Object.keys(written).filter((name) => name !== "kind");
    const why = kind === "auto" ? "name a runtime that needs more than its kind" : "";
    if (more.length > 0) refuse(more.join(", "), at, `${kind} alone`, why);
    return;
  }
  const takesHeader = apiKey !== undefined && apiKeyHeader.toLowerCase() !== "authorization" && apiKeyHeader !== "";
  const inHeaders = Object.keys(headers).some((name) => name.toLowerCase() === "authorization");
  const ways = [apiKey !== undefined && !takesHeader, bearer !== undefined, basic !== undefined, inHeaders];
  if (ways.filter(Boolean).length > 1) {
    refuse(
      "several of them",
      at,
      "one of apiKey, bearer, basic and a header authorization: a request has one of these",
    );
  }
  if (apiKeyHeader !== "" && [apiKey, metricsKey, managementKey].every((secret) => secret === undefined))
    refuse(apiKeyHeader, within(at, "apiKeyHeader"), "an apiKey to be sent in it");
  if (models.length > 0 && kind !== "tfserving")
    refuse(models.join(", "), within(at, "models"), "models with the kind tfserving only: others tell theirs");
  if (map !== "" && kind !== "generic") refuse(map, within(at, "map"), "a map with the kind generic only");
  if ((cert === "") !== (key === ""))
    refuse(cert || key, within(at, cert === "" ? "cert" : "key"), "both cert and key, or none");
}

function urlOf(written: Written, key: (typeof URLS)[number], at: Reading): RuntimeUrl | undefined {
  const value = written[key];
  if (value === undefined) return undefined;
  const isGrpc = key === "grpcUrl";
  const url = typeof value === "string" ? parseRuntimeUrl(value) : undefined;
  if (url !== undefined && (url.protocol === "grpc") === isGrpc) {
    // As clients of OpenAI's API write it.
    if (key !== "url" || url.base === "" || url.base === "/v1") return key === "url" ? { ...url, base: "" } : url;
    return refuse(value, within(at, key), "no path behind it, since requests are sent on with their own");
  }
  const hasUser = typeof value === "string" && /\/\/[^/]*@/.test(value);
  const expected = isGrpc ? "grpc://HOST:PORT, or by grpcs" : URL_EXPECTED;
  return refuse(
    hasUser ? HIDDEN : value,
    within(at, key),
    expected,
    hasUser ? "write user and password as basic: USER:PASSWORD" : "",
  );
}

/** As a file holds it, without the secrets themselves. */
function writeSpec(spec: RuntimeSpec): unknown {
  const out: Record<string, unknown> = {};
  if (spec.name !== "") out["name"] = spec.name;
  out["kind"] = spec.kind;
  for (const key of URLS) {
    const url = spec[key];
    if (url !== undefined) out[key] = formatRuntimeUrl(url);
  }
  if (spec.kvEvents !== undefined) Object.assign(out, writeKvEvents(spec.kvEvents));
  Object.assign(out, writeRole(spec.role));
  for (const key of SECRETS) {
    const secret = spec[key];
    if (secret !== undefined) out[key] = shownSecret(secret);
  }
  for (const key of ["apiKeyHeader", ...FILES] as const) if (spec[key] !== "") out[key] = spec[key];
  if (spec.models.length > 0) out["models"] = spec.models;
  const headers = Object.entries(spec.headers);
  if (headers.length > 0)
    out["headers"] = Object.fromEntries(headers.map(([name, secret]) => [name, shownSecret(secret)]));
  if (!spec.verify) out["verify"] = false;
  return out;
}
