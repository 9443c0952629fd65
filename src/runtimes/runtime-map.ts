/**
 * `--runtime generic --runtime-map FILE`: a server as its user describes it, read into the table that the adapters of this
 * room are. docs/runtimes.md shows one in full.
 *
 *     title: Acme Serve
 *     version: { path: /version, member: build.version }
 *     health: /healthz
 *     models: { path: /v1/models, list: data, name: id, context: max_model_len }
 *     metrics: { path: /metrics, figures: { runningRequests: acme_running } }
 *
 * Every fault is told with its path and what was expected. What is left out the server does not have.
 */
import type { Fault } from "../base/field.ts";
import type { Parsed } from "../base/settings-reading.ts";
import type { Answer, Ask, LookRole, ModelCall, Port, Proof } from "./adapter.ts";
import { readFigures, readLabels } from "./figure-reader.ts";
import { countAt, jsonOf, memberAt, nameAt, textAt } from "./json-answer.ts";
import type { MetricMap } from "./metric-map.ts";
import { isGood } from "./model-plans.ts";
import { provesAvailable, provesLoaded } from "./proofs.ts";
import type { ModelReading, RuntimeReading } from "./reading.ts";
import { CAPABILITIES, type Capability, type ModelState } from "../base/runtime-terms.ts";
import type { AdapterTable, ModelTold, Refusal, TableLook, Told } from "./table.ts";
import { YamlValue } from "./yaml-reader.ts";

const PORTS = ["api", "metrics", "management", "grpc"] as const;
const PATH = "a path such as /health";
const PATH_PATTERN = /^\/[\x21-\x7e]*$/;
const MEMBER = "names of members with points between them, such as build.version";
const MEMBER_PATTERN = /^[^.\s]+(\.[^.\s]+)*$/;
const PATIENCE_MS = 10 * 60_000;
const WINDOW_MS_MIN = 2000;
const WINDOW_MS_MAX = 5 * 60_000;

type Keys = "title" | "ports" | "version" | "health" | "models" | "metrics" | "capabilities" | "load" | "unload";

/** The table that a file's value describes; `source` names the file in faults. */
export function readRuntimeMap(raw: unknown, source: string): Parsed<AdapterTable> {
  const faults: Fault[] = [];
  const top = new YamlValue(raw, "", source, faults);
  const map = top.record<Keys>(
    [],
    ["title", "ports", "version", "health", "models", "metrics", "capabilities", "load", "unload"],
  );
  const capabilities = (map.capabilities?.list() ?? []).flatMap((item) => item.choice(CAPABILITIES) ?? []);
  const looks: TableLook[] = [];
  if (map.version !== undefined) looks.push(...readVersion(map.version));
  if (map.health !== undefined) looks.push(...readLook(map.health, "health", []).look);
  const fixed = map.models?.isList === true ? readNames(map.models) : [];
  if (map.models !== undefined && !map.models.isList) looks.push(...readModels(map.models, capabilities));
  const metrics = map.metrics === undefined ? undefined : readMetrics(map.metrics);
  if (metrics !== undefined) looks.push(...metrics.look);
  const title = map.title?.text("the server's name, on one line", /\S/) ?? "the server";
  const ports = map.ports === undefined ? {} : readPorts(map.ports);
  const load = map.load === undefined ? undefined : readCall(map.load, "loaded");
  const unload = map.unload === undefined ? undefined : readCall(map.unload, "gone");
  if (faults.length === 0) checkWhole(top, looks, fixed.length > 0 || (metrics?.map.modelLabels?.length ?? 0) > 0);
  if (faults.length > 0) return { faults };
  const table: AdapterTable = {
    kind: "generic",
    title,
    ports,
    sources: [source],
    looks,
    ...(metrics === undefined ? {} : { metrics: metrics.map }),
    ...(load === undefined ? {} : { load: (model, options) => load(model, options.source) }),
    ...(unload === undefined ? {} : { unload: (model) => unload(model, "") }),
    ...(fixed.length === 0 && capabilities.length === 0
      ? {}
      : { finish: (reading) => completed(reading, fixed, capabilities) }),
  };
  return { value: table };
}

/** What must be there for the server to be known, and for its models to have names. */
function checkWhole(top: YamlValue, looks: readonly TableLook[], hasNames: boolean): void {
  const has = (...roles: LookRole[]) => looks.some(({ role }) => roles.includes(role));
  if (!has("identity", "health", "models", "metrics")) {
    top.refuse("at least one of version, health, models and metrics: by one of them it is known that it is there");
  } else if (!has("models") && !hasNames) {
    top.refuse("models: a list of names, or the path where the server lists them; or metrics.modelLabels");
  }
}

/** A path alone, or a record with the path, its port and more; what is more is for the caller. */
function readLook<K extends string>(
  value: YamlValue,
  role: LookRole,
  more: readonly K[],
): { readonly look: TableLook[]; readonly members: { readonly [key in K]?: YamlValue } } {
  const members = value.isText ? {} : value.record<K | "path" | "port">(["path"], ["port", ...more]);
  const at: { readonly path?: YamlValue; readonly port?: YamlValue } = members;
  const path = (value.isText ? value : at.path)?.text(PATH, PATH_PATTERN);
  const port = at.port?.choice(PORTS) ?? (role === "metrics" ? "metrics" : "api");
  if (path === undefined) return { look: [], members };
  return { look: [{ name: role, role, ask: { method: "GET", port, path } }], members };
}

function readVersion(value: YamlValue): TableLook[] {
  const { look, members } = readLook(value, "identity", ["member"]);
  const member = members.member?.text(MEMBER, MEMBER_PATTERN)?.split(".");
  return look.map((each) => ({ ...each, read: (answer) => versionOf(answer, member) }));
}

function versionOf(answer: Answer, member: readonly string[] | undefined): Told | Refusal {
  if (member === undefined) return {};
  const found = memberAt(jsonOf(answer), ...member);
  if (typeof found === "string" || typeof found === "number") return { version: String(found) };
  return { kind: "foreign", message: `there is no ${member.join(".")} in its answer` };
}

function readNames(value: YamlValue): string[] {
  return value.list().flatMap((item) => item.text("the name of a model", /\S/) ?? []);
}

type States = readonly (readonly [word: string, state: ModelState])[];

interface ModelMembers {
  readonly list: readonly string[];
  readonly name: readonly string[];
  readonly context: readonly string[] | undefined;
  readonly parent: readonly string[] | undefined;
  readonly state: readonly string[] | undefined;
  readonly states: States;
  /** Words of models that a request has loaded. */
  readonly onDemand: readonly string[];
}

function readModels(value: YamlValue, capabilities: readonly Capability[]): TableLook[] {
  const { look, members } = readLook(value, "models", ["list", "name", "context", "parent", "state"]);
  const memberOf = (member: YamlValue | undefined) => member?.text(MEMBER, MEMBER_PATTERN)?.split(".");
  const state = members.state?.record<"member" | "loaded" | "loading" | "failed" | "onDemand">(
    ["member", "loaded"],
    ["loading", "failed", "onDemand"],
  );
  const wordsOf = (name: "loaded" | "loading" | "failed" | "onDemand") =>
    (state?.[name]?.oneOrMore() ?? []).flatMap((word) => word.text("a word of the server's for a state") ?? []);
  const statesOf = (name: "loaded" | "loading" | "failed") => wordsOf(name).map((word) => [word, name] as const);
  const wanted: ModelMembers = {
    list: memberOf(members.list) ?? [],
    name: memberOf(members.name) ?? ["id"],
    context: memberOf(members.context),
    parent: memberOf(members.parent),
    state: memberOf(state?.member),
    states: [...statesOf("loaded"), ...statesOf("loading"), ...statesOf("failed")],
    onDemand: wordsOf("onDemand"),
  };
  return look.map((each) => ({ ...each, read: (answer) => modelsOf(answer, wanted, capabilities) }));
}

function modelsOf(answer: Answer, wanted: ModelMembers, capabilities: readonly Capability[]): Told | Refusal {
  const list = memberAt(jsonOf(answer), ...wanted.list);
  if (!Array.isArray(list)) {
    return { kind: "unreadable", message: `it has no list of models (${wanted.list.join(".") || "the whole answer"})` };
  }
  return { models: (list as unknown[]).flatMap((item) => modelOf(item, wanted, capabilities)) };
}

function modelOf(item: unknown, wanted: ModelMembers, capabilities: readonly Capability[]): ModelTold[] {
  const model = typeof item === "string" ? item : textAt(item, ...wanted.name);
  if (model === "") return [];
  const parent = (wanted.parent === undefined ? undefined : nameAt(item, ...wanted.parent)) ?? "";
  const contextTokensMax = wanted.context === undefined ? undefined : countAt(item, ...wanted.context);
  const word = wanted.state === undefined ? undefined : wordAt(item, wanted.state);
  const state = wanted.states.find(([written]) => written === word)?.[1];
  return [
    {
      model,
      capabilities,
      ...(parent === "" ? {} : { parent }),
      ...(contextTokensMax === undefined ? {} : { contextTokensMax }),
      ...(word === undefined ? {} : { state: state ?? "available" }),
      ...(word !== undefined && wanted.onDemand.includes(word) ? { loadsOnDemand: true } : {}),
      ...(state === "failed" ? { reason: `the server says ${word}` } : {}),
    },
  ];
}

/** "" for what is no word, such as a list, whose text might have no end. */
function wordAt(item: unknown, path: readonly string[]): string {
  const found = memberAt(item, ...path);
  return typeof found === "string" || typeof found === "number" || typeof found === "boolean" ? String(found) : "";
}

function readMetrics(value: YamlValue): { readonly look: TableLook[]; readonly map: MetricMap } {
  const { look, members } = readLook(value, "metrics", ["modelLabels", "window", "figures"]);
  const figures =
    members.figures === undefined
      ? (value.refuse("figures: what its metrics mean") ?? {})
      : readFigures(members.figures);
  const windowMs = members.window?.durationMs(WINDOW_MS_MIN, WINDOW_MS_MAX);
  return {
    look,
    map: {
      figures,
      ...(members.modelLabels === undefined ? {} : { modelLabels: readLabels(members.modelLabels) }),
      ...(windowMs === undefined ? {} : { windowMs }),
    },
  };
}

function readPorts(value: YamlValue): Partial<Record<Port, number>> {
  const ports: Partial<Record<Port, number>> = {};
  for (const [name, port] of Object.entries(value.record<Port>([], PORTS))) {
    const number = port?.number("a port from 1 to 65535", 1, 65_535);
    if (number !== undefined) ports[name as Port] = number;
  }
  return ports;
}

/** An ask with `{model}` and `{source}` in its path and body. */
function readCall(
  value: YamlValue,
  end: "loaded" | "gone",
): ((model: string, source: string) => ModelCall) | undefined {
  const members = value.record<"method" | "path" | "port" | "body" | "answers">(
    ["path"],
    ["method", "port", "body", "answers"],
  );
  const path = members.path?.text(PATH, PATH_PATTERN);
  const method = members.method?.choice(["POST", "GET", "DELETE"] as const) ?? "POST";
  const port = members.port?.choice(PORTS) ?? "api";
  const isDoneByAnswer = members.answers?.choice(["when-done", "when-begun"] as const) === "when-done";
  const body = members.body?.text('a body such as {"name":"{model}"}');
  if (path === undefined) return undefined;
  return (model, source) => {
    const filled = path
      .replaceAll("{model}", encodeURIComponent(model))
      .replaceAll("{source}", encodeURIComponent(source));
    const ask: Ask = {
      method,
      port,
      path: filled,
      ...(body === undefined ? {} : { body: filledJson(body, model, source) }),
    };
    return {
      asks: [ask],
      patienceMs: PATIENCE_MS,
      fault: ({ status }) =>
        status >= 200 && status < 300 ? "" : `the server answers ${status} to ${method} ${filled}`,
      ...(isDoneByAnswer ? { proves: (answer) => (isGood(answer) ? proofOf(model, end) : undefined) } : {}),
      settled: ({ models }) => (models.find((each) => each.model === model)?.state === "loaded") === (end === "loaded"),
    };
  };
}

/** What is let go may still be known, and not in memory. */
function proofOf(model: string, end: "loaded" | "gone"): Proof {
  return end === "loaded" ? provesLoaded([model]) : provesAvailable([model]);
}

/** Within strings of JSON. */
function filledJson(body: string, model: string, source: string): string {
  const inside = (text: string) => JSON.stringify(text).slice(1, -1);
  return body.replaceAll(/\{(model|source)\}/g, (_, name) => inside(name === "model" ? model : source));
}

/** Models that the server does not list itself, and what all of them can do. */
function completed(
  reading: RuntimeReading,
  fixed: readonly string[],
  capabilities: readonly Capability[],
): RuntimeReading {
  const named = fixed.map(
    (model): ModelReading =>
      reading.models.find((each) => each.model === model) ?? {
        model,
        state: "loaded",
        reason: "",
        parent: undefined,
        contextTokensMax: undefined,
        capabilities,
        loadsOnDemand: false,
        sizeBytes: undefined,
        figures: undefined,
      },
  );
  const models = fixed.length === 0 ? reading.models : named;
  return {
    ...reading,
    models: models.map((model) => (model.capabilities.length > 0 ? model : { ...model, capabilities })),
  };
}
