/** Between what is announced of a target and the target as the fleet knows it. */
import { MeshError } from "../base/errors.ts";
import { isRecord } from "../base/field.ts";
import { type NodeSample, takesRequests } from "../score/sample.ts";
import { formatHostPort, parseHostPort, registrableModels, type Registration } from "./registration.ts";
import type { Condition, Target } from "./target.ts";

export type Place = Pick<Target, "id" | "host" | "port" | "tls" | "protocol" | "metricsPort">;

/** What a registration says beyond its place. */
export interface Traits {
  models: readonly string[];
  weight: number;
  zone: string;
  labels: Readonly<Record<string, string>>;
  incarnation: number;
  condition: Condition;
}

export function traitsOf(registration: Registration, incarnation: number): Traits {
  return {
    models: [...registration.models],
    weight: registration.weight ?? 1,
    zone: registration.zone ?? "",
    labels: { ...registration.labels },
    incarnation,
    condition: registration.condition ?? "ready",
  };
}

/** The models of a target that was told of in part: those, and what its sample names beside them. */
export function withServed(told: readonly string[], sample: NodeSample | undefined): readonly string[] {
  const served = (sample?.models ?? []).filter(takesRequests).map(({ model }) => model);
  return served.every((model) => told.includes(model)) ? told : registrableModels([...told, ...served]);
}

/** How a target that is announced is spoken to; undefined where the address is none. */
export function placeOf(registration: Registration): Omit<Place, "id"> | undefined {
  const { address, metricsPort, protocol = "http", tls = false } = registration;
  const place = parseHostPort(address);
  return place === null ? undefined : { ...place, protocol, tls, metricsPort };
}

/** What must have been announced of a target. */
export function registrationOf(target: Target): Registration {
  const { id, node, endpoint, protocol, tls, models, weight, zone, labels, incarnation, condition } = target;
  const address = formatHostPort(target.host, target.port);
  return {
    id,
    ...(node === id ? {} : { node }),
    ...(endpoint === "" ? {} : { endpoint }),
    protocol,
    tls,
    address,
    metricsPort: target.metricsPort ?? target.port,
    models,
    weight,
    zone,
    labels,
    incarnation,
    condition,
  };
}

/** How a target will read differently, in words; "" when it won't. */
export function changesOf(target: Target, next: Partial<Traits>): string {
  const changes: string[] = [];
  for (const key of ["models", "weight", "zone", "labels", "condition"] as const) {
    const value = next[key];
    if (value === undefined || JSON.stringify(value) === JSON.stringify(target[key])) continue;
    changes.push(`${key}: ${described(value)}`);
  }
  return changes.join("; ");
}

function described(value: Traits[keyof Traits]): string {
  if (Array.isArray(value)) return value.length === 0 ? "none" : value.join(", ");
  return typeof value === "object" ? JSON.stringify(value) : String(value);
}

/** What a predecessor of a like version told of its targets; throws a MeshError for anything else. */
export function registrationsOf(told: unknown): readonly Registration[] {
  const isOne = (one: unknown): boolean =>
    isRecord(one) &&
    typeof one["id"] === "string" &&
    typeof one["address"] === "string" &&
    Array.isArray(one["models"]);
  if (Array.isArray(told) && told.every(isOne)) return told as Registration[];
  throw new MeshError("internal", "the predecessor's word of its targets is not understood");
}
