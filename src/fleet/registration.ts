/**
 * What a node says when it announces itself: `POST /register` in JSON, checked field by field.
 *
 * Every fault is reported, not only the first. Unknown fields are ignored, so that a newer agent can register at an
 * older router. Every length has a limit, since these strings go into log lines, headers and metric labels.
 */
import { isRecord } from "../base/field.ts";
import { isPrintable } from "../base/printable.ts";
import type { Protocol } from "../base/settings-urls.ts";
import type { Condition } from "./target.ts";

/** A node that wants requests, as parsed. */
export interface Registration {
  /**
   * Unique in the mesh; goes into the `x-infermesh-node` header. Of a node that serves at one place it is the node's, of
   * one with several endpoints NODE/ENDPOINT.
   */
  readonly id: string;
  /** The node's id, where it is not the target's. */
  readonly node?: string;
  /** The name of the endpoint among the node's. */
  readonly endpoint?: string;
  /** HTTP by default. */
  readonly protocol?: Protocol;
  /** No by default. */
  readonly tls?: boolean;
  /** `host:port` where inference requests go. IPv6 hosts stand in brackets. */
  readonly address: string;
  /** The port of the same host that answers `GET /metrics` with vitals. */
  readonly metricsPort: number;
  readonly models: readonly string[];
  /** Relative capacity; 1 is usual. */
  readonly weight?: number;
  readonly zone?: string;
  readonly labels?: Readonly<Record<string, string>>;
  /** Grows with each start of the node: tells a restarted node from a stale one of the same id. */
  readonly incarnation?: number;
  /** Ready by default; the mesh knows more of its members. */
  readonly condition?: Condition;
  /** There was no room for all of its models: it tells the others with its samples. */
  readonly isCut?: boolean;
}

export const REGISTRATION_LIMITS = {
  idLengthMax: 128,
  endpointLengthMax: 64,
  modelsMax: 64,
  modelLengthMax: 256,
  hostLengthMax: 253,
  zoneLengthMax: 128,
  labelsMax: 32,
  labelNameLengthMax: 64,
  labelValueLengthMax: 256,
  weightMax: 1000,
} as const;

const ID = /^[A-Za-z0-9][A-Za-z0-9._:@-]*$/;
const ENDPOINT = /^[A-Za-z0-9][A-Za-z0-9._-]*$/;
const LABEL_NAME = /^[A-Za-z_][A-Za-z0-9_.-]*$/;
const HOST_NAME = /^[A-Za-z0-9]([A-Za-z0-9._-]*[A-Za-z0-9])?$/;
const IPV6 = /^[0-9A-Fa-f:.]+(%[A-Za-z0-9._-]+)?$/;

/** Splits `host:port`; null when it is not one. The host comes without brackets. */
export function parseHostPort(address: string): { host: string; port: number } | null {
  const colon = address.lastIndexOf(":");
  if (colon <= 0) return null;
  const portText = address.slice(colon + 1);
  if (!/^\d{1,5}$/.test(portText)) return null;
  const port = Number(portText);
  if (port < 1 || port > 65535) return null;
  const hostText = address.slice(0, colon);
  if (hostText.startsWith("[") && hostText.endsWith("]")) {
    const host = hostText.slice(1, -1);
    return host.includes(":") && IPV6.test(host) ? { host, port } : null;
  }
  if (hostText.length > REGISTRATION_LIMITS.hostLengthMax || !HOST_NAME.test(hostText)) return null;
  return { host: hostText, port };
}

/** The inverse of `parseHostPort`. */
export function formatHostPort(host: string, port: number): string {
  if (host.startsWith("/")) return `unix:${host}`;
  return host.includes(":") ? `[${host}]:${port}` : `${host}:${port}`;
}

/** Checks a decoded JSON body of `POST /register`. */
export function parseRegistration(json: unknown): { registration: Registration } | { faults: string[] } {
  if (!isRecord(json)) return { faults: [`the body is ${shown(json)}; expected a JSON object`] };
  const faults: string[] = [];
  const limits = REGISTRATION_LIMITS;

  const name = parseName(json, faults);
  const address = json["address"];
  if (typeof address !== "string" || parseHostPort(address) === null) {
    faults.push(`address is ${shown(address)}; expected "host:port" with a port from 1 to 65535`);
  }
  const metricsPort = json["metrics_port"];
  if (!isIntegerIn(metricsPort, 1, 65535)) {
    faults.push(`metrics_port is ${shown(metricsPort)}; expected an integer from 1 to 65535`);
  }
  const models = parseModels(json["models"], faults);
  const weight = json["weight"] ?? undefined;
  if (weight !== undefined && !(typeof weight === "number" && weight > 0 && weight <= limits.weightMax)) {
    faults.push(`weight is ${shown(weight)}; expected a number above 0 and up to ${limits.weightMax}`);
  }
  const zone = json["zone"] ?? undefined;
  if (zone !== undefined && !isText(zone, 0, limits.zoneLengthMax)) {
    faults.push(`zone is ${shown(zone)}; expected printable text of at most ${limits.zoneLengthMax} characters`);
  }
  const labels = parseLabels(json["labels"] ?? undefined, faults);
  const incarnation = json["incarnation"] ?? undefined;
  if (incarnation !== undefined && !isIntegerIn(incarnation, 0, Number.MAX_SAFE_INTEGER)) {
    faults.push(`incarnation is ${shown(incarnation)}; expected an integer of at least 0`);
  }
  if (faults.length > 0) return { faults };
  return {
    registration: {
      ...name,
      address: address as string,
      metricsPort: metricsPort as number,
      models,
      ...(weight === undefined ? {} : { weight: weight as number }),
      ...(zone === undefined ? {} : { zone: zone as string }),
      ...(labels === undefined ? {} : { labels }),
      ...(incarnation === undefined ? {} : { incarnation: incarnation as number }),
    },
  };
}

/** Who it is, and how it is spoken to. */
function parseName(
  json: Readonly<Record<string, unknown>>,
  faults: string[],
): Pick<Registration, "id" | "node" | "endpoint" | "protocol" | "tls"> {
  const { idLengthMax, endpointLengthMax } = REGISTRATION_LIMITS;
  const [id, node, endpoint, protocol, tls] = ["id", "node", "endpoint", "protocol", "tls"].map(
    (field) => json[field] ?? undefined,
  );
  const named = `letters, digits, ".", "_"`;
  const isId = (value: unknown): value is string =>
    typeof value === "string" && value.length <= idLengthMax && ID.test(value);
  const isWhole = typeof node === "string" && typeof endpoint === "string" && id === `${node}/${endpoint}`;
  if (!isId(id) && !isWhole) {
    const expected = `1 to ${idLengthMax} ${named}, ":", "@" or "-", starting with a letter or digit`;
    const slash = typeof id === "string" && id.includes("/");
    faults.push(
      `id is ${shown(id)}; expected ${slash ? `"NODE/ENDPOINT" of the fields node and endpoint, or ` : ""}${expected}`,
    );
  }
  if (node !== undefined && (!isId(node) || (isId(id) && node !== id))) {
    faults.push(
      `node is ${shown(node)}; expected the node's id, which is that of the target or its part before the "/"`,
    );
  }
  const isEndpoint = typeof endpoint === "string" && endpoint.length <= endpointLengthMax && ENDPOINT.test(endpoint);
  if (endpoint !== undefined && !isEndpoint) {
    const expected = `1 to ${endpointLengthMax} ${named} or "-", starting with a letter or digit`;
    faults.push(`endpoint is ${shown(endpoint)}; expected ${expected}`);
  }
  if (protocol !== undefined && protocol !== "http" && protocol !== "grpc") {
    faults.push(`protocol is ${shown(protocol)}; expected "http" or "grpc"`);
  }
  if (tls !== undefined && typeof tls !== "boolean") faults.push(`tls is ${shown(tls)}; expected true or false`);
  return {
    id: id as string,
    ...(isWhole ? { node } : {}),
    ...(isEndpoint ? { endpoint } : {}),
    ...(protocol === undefined ? {} : { protocol: protocol as Protocol }),
    ...(tls === undefined ? {} : { tls: tls as boolean }),
  };
}

/** Those that routers may be told of: of more than there may be the first. */
export function registrableModels(models: readonly string[]): string[] {
  const { modelsMax, modelLengthMax } = REGISTRATION_LIMITS;
  return [...new Set(models)].filter((model) => isText(model, 1, modelLengthMax)).slice(0, modelsMax);
}

/** The body of `POST /register` for a registration: what `parseRegistration` reads. */
export function registrationJson(registration: Registration): Record<string, unknown> {
  const { metricsPort, ...rest } = registration;
  return { ...rest, metrics_port: metricsPort };
}

function parseModels(value: unknown, faults: string[]): string[] {
  const limits = REGISTRATION_LIMITS;
  if (!Array.isArray(value)) {
    faults.push(`models is ${shown(value)}; expected a list of model names`);
    return [];
  }
  if (value.length > limits.modelsMax) {
    faults.push(`models has ${value.length} entries; expected at most ${limits.modelsMax}`);
    return [];
  }
  const models = new Set<string>();
  value.forEach((model: unknown, index) => {
    if (isText(model, 1, limits.modelLengthMax)) models.add(model);
    else
      faults.push(
        `models[${index}] is ${shown(model)}; expected printable text of 1 to ${limits.modelLengthMax} characters`,
      );
  });
  return [...models];
}

function parseLabels(value: unknown, faults: string[]): Record<string, string> | undefined {
  if (value === undefined) return undefined;
  const limits = REGISTRATION_LIMITS;
  if (!isRecord(value)) {
    faults.push(`labels is ${shown(value)}; expected an object of names and text values`);
    return undefined;
  }
  const entries = Object.entries(value);
  if (entries.length > limits.labelsMax) {
    faults.push(`labels has ${entries.length} entries; expected at most ${limits.labelsMax}`);
    return undefined;
  }
  for (const [name, text] of entries) {
    // The pattern also keeps "__proto__" out of reach: fromEntries defines, it never assigns.
    if (name.length > limits.labelNameLengthMax || !LABEL_NAME.test(name)) {
      faults.push(
        `label name ${shown(name)} is not allowed; expected 1 to ${limits.labelNameLengthMax} letters, digits, "_", "." or "-", starting with a letter or "_"`,
      );
    } else if (!isText(text, 0, limits.labelValueLengthMax)) {
      faults.push(
        `labels.${name} is ${shown(text)}; expected printable text of at most ${limits.labelValueLengthMax} characters`,
      );
    }
  }
  return Object.fromEntries(entries) as Record<string, string>;
}

function isText(value: unknown, lengthMin: number, lengthMax: number): value is string {
  return (
    typeof value === "string" &&
    value.length >= lengthMin &&
    value.length <= lengthMax &&
    value.isWellFormed() &&
    isPrintable(value)
  );
}

function isIntegerIn(value: unknown, min: number, max: number): value is number {
  return Number.isSafeInteger(value) && (value as number) >= min && (value as number) <= max;
}

/** A value as it stood in the body, cut short. */
function shown(value: unknown): string {
  if (value === undefined) return "missing";
  if (Array.isArray(value)) return "a list";
  if (typeof value === "object" && value !== null) return "an object";
  const text = JSON.stringify(value) ?? typeof value;
  return text.length > 80 ? `${text.slice(0, 77)}...` : text;
}
