/**
 * Where runtimes are looked for in Kubernetes, as people write it:
 *
 *     k8s://NAMESPACE?selector=app=vllm      EndpointSlices by their labels, which are those of their Service
 *     k8s://NAMESPACE?service=vllm           EndpointSlices of one Service
 *     k8s://NAMESPACE?pods=app=vllm          pods by their own labels, without any Service
 *
 * `*` stands for all namespaces. Behind that, in any order, with & between them: port, scheme, runtime, model, role. A query is
 * written as in a URL: a blank in a selector is + or %20.
 *
 * Limits: 2,048 characters, 8 ports, 32 models.
 */
import { type Field, type Making, make, type Reading, refuse } from "../base/field.ts";
import { didYouMean } from "../base/nearest.ts";
import { isPrintable } from "../base/printable.ts";
import { isRole, type Protocol, ROLE_EXPECTED } from "../base/settings-urls.ts";
import { parseSelector, SELECTOR_EXPECTED } from "./selector.ts";

/** What the API server is asked for. */
export type Resource = "endpointslices" | "pods";

export interface KubeSource {
  /** As it was written: two that are written alike are one. */
  readonly text: string;
  /** "" for all of them. */
  readonly namespace: string;
  readonly resource: Resource;
  /** Of what is asked for. */
  readonly selector: string;
  /** Names or numbers, in order; none: the only one that there is, or the one called http. */
  readonly ports: readonly string[];
  readonly protocol: Protocol;
  readonly tls: boolean;
  /** Which server it is; "auto" where it is asked, "none" where nobody asks. */
  readonly runtime: string;
  /** That it serves, whatever it tells. */
  readonly models: readonly string[];
  /** Which part of requests it computes; "": all of each, unless it says otherwise. */
  readonly role: string;
}

export const SERVICE_LABEL = "kubernetes.io/service-name";

const TEXT_MAX = 2048;
const PORTS_MAX = 8;
const MODELS_MAX = 32;
const EXPECTED =
  "k8s://NAMESPACE?selector=LABELS, or with service=NAME or pods=LABELS in place of that, such as k8s://default?selector=app=vllm";
/** RFC 1123, as namespaces and services are called. */
const DNS_LABEL = /^[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?$/;
/** RFC 6335, as ports are called. */
const PORT_NAME = /^(?=.*[a-z])[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?$/;
const SCHEMES: Readonly<Record<string, Pick<KubeSource, "protocol" | "tls">>> = {
  http: { protocol: "http", tls: false },
  https: { protocol: "http", tls: true },
  grpc: { protocol: "grpc", tls: false },
  grpcs: { protocol: "grpc", tls: true },
};
const SELECTING = ["selector", "service", "pods"] as const;
const KEYS = [...SELECTING, "port", "scheme", "runtime", "model", "role"];

/** `kinds`: servers that can be named. */
export function kubeSource(kinds: readonly string[]): Field<KubeSource> {
  const making: Making<KubeSource> = {
    kind: "k8s source",
    placeholder: "k8s://NAMESPACE?selector=LABELS",
    expected: EXPECTED,
    write: ({ text }) => text,
    read: (raw, at) => (typeof raw === "string" ? parse(raw.trim(), kinds, at) : refuse(raw, at, EXPECTED)),
  };
  return make(making, undefined, {});
}

function parse(text: string, kinds: readonly string[], at: Reading): KubeSource | undefined {
  const [, namespace = "", query = ""] = /^k8s:\/\/([^/?#\s]*)(?:\?([^#\s]*))?$/.exec(text) ?? [];
  if (namespace === "" || text.length > TEXT_MAX || !isPrintable(text)) return refuse(text, at, EXPECTED);
  if (namespace !== "*" && !DNS_LABEL.test(namespace)) {
    return refuse(namespace, at, "the name of a namespace, or * for all of them");
  }
  const given = queryOf(query, at);
  if (given === undefined) return undefined;
  const before = at.faults.length;
  const chosen = selectionOf(given, at);
  const ports = listOf(given.get("port"));
  const isPort = (port: string): boolean => PORT_NAME.test(port) || isPortNumber(port);
  if (ports.length > PORTS_MAX || !ports.every(isPort) || new Set(ports).size < ports.length) {
    refuse(
      given.get("port"),
      at,
      `port=NAME or port=NUMBER, up to ${PORTS_MAX} different ones with commas between them`,
    );
  }
  const word = given.get("scheme") ?? "http";
  const scheme = Object.hasOwn(SCHEMES, word) ? SCHEMES[word] : undefined;
  if (scheme === undefined) refuse(word, at, `scheme= one of ${Object.keys(SCHEMES).join(", ")}`);
  const models = listOf(given.get("model"));
  if (models.length > MODELS_MAX || models.some((model) => model.length > 256 || !isPrintable(model))) {
    refuse(given.get("model"), at, `model=NAME, up to ${MODELS_MAX} with commas between them`);
  }
  const role = given.get("role") ?? "";
  if (!isRole(role)) refuse(role, at, `role= one of ${ROLE_EXPECTED}`);
  else if (role !== "" && scheme?.protocol === "grpc") refuse(role, at, "role= with scheme=http or https alone");
  const runtime = runtimeOf(given, kinds, scheme?.protocol ?? "http", models, at);
  if (at.faults.length > before || chosen === undefined || scheme === undefined) return undefined;
  return Object.freeze({
    text,
    namespace: namespace === "*" ? "" : namespace,
    ...chosen,
    ports,
    ...scheme,
    runtime,
    models,
    role,
  });
}

/** The query's keys and values; a key may stand once. */
function queryOf(query: string, at: Reading): Map<string, string> | undefined {
  const given = new Map<string, string>();
  for (const part of query.split("&")) {
    if (part === "") continue;
    const equals = part.indexOf("=");
    const key = equals < 0 ? part : part.slice(0, equals);
    const value = equals < 0 ? undefined : decoded(part.slice(equals + 1));
    if (!KEYS.includes(key)) return refuse(key, at, `one of ${KEYS.join(", ")}`, didYouMean(key, KEYS));
    if (value === undefined || value === "" || given.has(key)) return refuse(part, at, `${key}=VALUE, once`);
    given.set(key, value);
  }
  return given;
}

function decoded(written: string): string | undefined {
  try {
    return decodeURIComponent(written.replaceAll("+", " "));
  } catch {
    return undefined;
  }
}

function selectionOf(
  given: ReadonlyMap<string, string>,
  at: Reading,
): Pick<KubeSource, "resource" | "selector"> | undefined {
  const keys = SELECTING.filter((key) => given.has(key));
  const [key] = keys;
  if (key === undefined || keys.length > 1) {
    return refuse(keys.join(" and "), at, `one of ${SELECTING.join(", ")}, to say which runtimes are meant`);
  }
  const written = given.get(key) ?? "";
  if (key === "service") {
    if (!DNS_LABEL.test(written)) return refuse(written, at, "service=NAME, the name of a Service");
    return { resource: "endpointslices", selector: `${SERVICE_LABEL}=${written}` };
  }
  const selector = parseSelector(written);
  if (selector === undefined) return refuse(written, at, `${key}= ${SELECTOR_EXPECTED}`);
  return { resource: key === "pods" ? "pods" : "endpointslices", selector };
}

/** Only servers that speak HTTP are asked who they are and what they serve. */
function runtimeOf(
  given: ReadonlyMap<string, string>,
  kinds: readonly string[],
  protocol: Protocol,
  models: readonly string[],
  at: Reading,
): string {
  const words = ["auto", ...kinds, "none"];
  const runtime = given.get("runtime") ?? (protocol === "grpc" ? "none" : "auto");
  if (!words.includes(runtime)) {
    refuse(runtime, at, `runtime= one of ${words.join(", ")}`, didYouMean(runtime, words));
  } else if (protocol === "grpc" && runtime !== "none") {
    refuse(runtime, at, "runtime=none with scheme=grpc: such a server is not asked what it serves");
  } else if (runtime === "none" && models.length === 0) {
    refuse(runtime, at, "model=NAME, since a server that is not asked does not tell what it serves");
  }
  return runtime;
}

function listOf(written = ""): string[] {
  return written === "" ? [] : written.split(",").map((item) => item.trim());
}

export function isPortNumber(text: string): boolean {
  return /^[1-9]\d{0,4}$/.test(text) && Number(text) <= 65_535;
}
