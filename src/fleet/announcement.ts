/** Between what is announced of a target and the target as the fleet knows it. */
import { formatHostPort, type Registration } from "./registration.ts";
import type { Condition, Target } from "./target.ts";

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

/** What must have been announced of a target. */
export function registrationOf(target: Target): Registration {
  const { id, models, weight, zone, labels, incarnation, condition } = target;
  const address = formatHostPort(target.host, target.port);
  return {
    id,
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
