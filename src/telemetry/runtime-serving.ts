/**
 * What a runtime serves, as people write it beside the runtime: the models that are asked about, of one that does not list
 * them, and the part of requests that it computes where prefill and decode are disaggregated.
 *
 *     --runtime vllm=http://127.0.0.1:8000,role=prefill
 *     --runtime sglang=http://127.0.0.1:30000,role=prefill,bootstrap-port=8998
 */
import { type Reading, refuse } from "../base/field.ts";
import { BOOTSTRAP_PORT, KV_TRANSFERS, ROLE_LABEL } from "../fleet/role.ts";

export const ROLE_KEYS = ["role", "bootstrapPort"] as const;
/** As many as are asked about (runtimes/tfserving.ts). */
const MODELS_MAX = 32;
const MODEL = /^[\x21-\x7e]{1,256}$/;

export function modelsOf(value: unknown, at: Reading): readonly string[] {
  const names = Array.isArray(value) ? (value as readonly unknown[]) : value === undefined ? [] : [value];
  const good = names.filter((name): name is string => typeof name === "string" && MODEL.test(name));
  if (good.length < names.length || names.length > MODELS_MAX)
    refuse(value, at, `at most ${MODELS_MAX} names of models, without blanks`);
  return Object.freeze(good);
}

/** As a label has it (fleet/role.ts); "": it computes all of each request. */
export function roleOfSpec(kind: string, written: Readonly<Record<string, unknown>>, at: Reading): string {
  const within = (key: string): Reading => ({ ...at, path: `${at.path}.${key}` });
  const role = written["role"] ?? "both";
  const bootstrap = written["bootstrapPort"];
  if (role !== "prefill" && role !== "decode" && role !== "both") {
    return refuse(role, within("role"), "prefill, decode or both") ?? "";
  }
  const isKnown = KV_TRANSFERS.some((transfer) => transfer === kind);
  if (role !== "both" && !isKnown) {
    return refuse(role, within("role"), `none: of these only ${KV_TRANSFERS.join(", ")} pass KV caches on`) ?? "";
  }
  const port = Number(bootstrap ?? BOOTSTRAP_PORT);
  const isPort = typeof bootstrap !== "object" && Number.isInteger(port) && port >= 1 && port <= 65_535;
  if (bootstrap !== undefined && (kind !== "sglang" || role !== "prefill" || !isPort)) {
    return refuse(bootstrap, within("bootstrapPort"), "a port, of sglang with the role prefill") ?? "";
  }
  if (role === "both") return "";
  return `${kind}.${role}${bootstrap === undefined ? "" : `.${port}`}`;
}

/** As a file holds it. */
export function writeRole(label: string): Record<string, unknown> {
  const [, role, port] = label.split(".");
  if (role === undefined) return {};
  return { role, ...(port === undefined ? {} : { bootstrapPort: Number(port) }) };
}

interface Served {
  readonly name: string;
  readonly kind: string;
  readonly role: string;
}

/** What routers are told of the roles of a node's runtimes: each by its name, and the only one's as the node's. */
export function roleLabels(runtimes: readonly Served[]): Readonly<Record<string, string>> {
  const told = runtimes.filter(({ role }) => role !== "");
  if (runtimes.length === 1) return Object.fromEntries(told.map(({ role }) => [ROLE_LABEL, role]));
  return Object.fromEntries(told.map(({ name, kind, role }) => [`${ROLE_LABEL}.${name || kind}`, role]));
}

/** The name of one that has a role, and shares it with another: "" where there is none. */
export function unclearRole(runtimes: readonly Served[]): string {
  const names = runtimes.map(({ name, kind }) => name || kind);
  const one = runtimes.findIndex(
    ({ role }, at) => role !== "" && names.indexOf(names[at]!) !== names.lastIndexOf(names[at]!),
  );
  return names[one] ?? "";
}
