/** Whether one that announces itself, or that the mesh tells of, may have the id and a place; and why not. */
import { placeOf } from "./announcement.ts";
import { formatHostPort, type Registration } from "./registration.ts";
import type { Target, TargetSource } from "./target.ts";

/** Who announces a target: the node itself, or the mesh. */
export type Announcer = Exclude<TargetSource, "static" | "k8s">;

export interface Refusal {
  readonly code: "bad_request" | "conflict" | "over_capacity";
  readonly message: string;
}

/** `known` has the id now; `targetsMax` is given when the fleet is full. */
export function refusalOf(
  registration: Registration,
  source: Announcer,
  known: Target | undefined,
  targetsMax: number | undefined,
): Refusal | undefined {
  const { id, address, incarnation = 0 } = registration;
  const place = placeOf(registration);
  if (place === undefined) return { code: "bad_request", message: `address "${address}" is not host:port` };
  if (known === undefined) {
    if (targetsMax === undefined) return undefined;
    return { code: "over_capacity", message: `the fleet holds ${targetsMax} targets already` };
  }
  if (known.source === "static") {
    return { code: "conflict", message: `"${id}" is the id of a configured target; choose another` };
  }
  // Who announces itself knows more of itself than others do.
  if (known.source === "k8s") return undefined;
  // Of the mesh's own words the newer one holds, and one that does not answer makes way.
  const yields = known.state === "unhealthy" || (source === "gossip" && known.source === "gossip");
  if (isAt(known, place) || yields || incarnation > known.incarnation) return undefined;
  const standing = formatHostPort(known.host, known.port);
  return {
    code: "conflict",
    message: `"${id}" is in use by the node at ${standing}, which answers; choose another id, or wait until it is gone`,
  };
}

/** Whether it is spoken to there, and in that way. */
export function isAt(target: Target, place: Pick<Target, "host" | "port" | "tls" | "protocol">): boolean {
  const { host, port, tls, protocol } = target;
  return host === place.host && port === place.port && tls === place.tls && protocol === place.protocol;
}
