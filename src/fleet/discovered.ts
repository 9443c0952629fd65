/**
 * Targets that a cluster's own register tells of (Kubernetes): all of them at a time, as they are now. They come and go
 * with the register alone, whatever polls say, and give way to whoever announces itself: where a target that is
 * configured, registered or of the mesh has the id or the place, the discovered one is held back for as long.
 */
import { formatHostPort } from "./registration.ts";
import type { Target } from "./target.ts";

/** One of them. */
export type Discovered = Pick<
  Target,
  "id" | "node" | "endpoint" | "host" | "port" | "tls" | "protocol" | "models" | "zone" | "labels" | "condition"
>;

/** Where requests go, whatever the target is called. */
export function placeKey({ host, port }: Pick<Target, "host" | "port">): string {
  return formatHostPort(host, port);
}

/** Those that there is a place for: no one else has their ids or their places. */
export function unclaimed(
  discovered: readonly Discovered[],
  members: Iterable<Pick<Target, "id" | "host" | "port" | "source">>,
): Discovered[] {
  const ids = new Set<string>();
  const places = new Set<string>();
  for (const member of members) {
    if (member.source === "k8s") continue;
    ids.add(member.id);
    places.add(placeKey(member));
  }
  return discovered.filter((one) => !ids.has(one.id) && !places.has(placeKey(one)));
}

/** What a predecessor of a like version told of its own: only the shape is looked at. */
export function isDiscovered(value: unknown): value is Discovered {
  if (typeof value !== "object" || value === null) return false;
  const { id, node, host, port, models, condition } = value as Partial<Record<keyof Discovered, unknown>>;
  const areTexts = [id, node, host, condition].every((text) => typeof text === "string");
  return areTexts && typeof port === "number" && Array.isArray(models);
}
