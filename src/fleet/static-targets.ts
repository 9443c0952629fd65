/** Targets from flags or the configuration file: entries grouped to targets. */
import type { Protocol } from "../base/settings-urls.ts";
import { formatHostPort } from "./registration.ts";
import { ROLE_LABEL } from "./role.ts";

/** One entry; entries of one address are one target with several models. */
export interface StaticUpstream {
  readonly model: string;
  readonly host: string;
  readonly port: number;
  readonly tls: boolean;
  readonly protocol: Protocol;
  readonly weight: number;
  /** What part of requests it computes (role.ts); "", or nothing: all of them. */
  readonly role?: string;
}

/**
 * Groups entries by address, those that speak gRPC by themselves. A target has one weight and one role: entries of one
 * address with others are targets of their own, named after their model too.
 */
export function staticTargets(
  upstreams: readonly StaticUpstream[],
): Map<string, { first: StaticUpstream; models: string[] }> {
  const targets = new Map<string, { first: StaticUpstream; models: string[] }>();
  for (const upstream of upstreams) {
    const place = formatHostPort(upstream.host, upstream.port);
    const scheme = `${upstream.protocol}${upstream.tls ? "s" : ""}`;
    // Plain HTTP is what nearly all speak, and needs no name.
    const address = scheme === "http" ? place : `${scheme}://${place}`;
    const same = targets.get(address);
    const isAlike = ({ weight, tls, role = "" }: StaticUpstream): boolean =>
      weight === upstream.weight && tls === upstream.tls && role === (upstream.role ?? "");
    const fits = same === undefined || isAlike(same.first);
    const id = fits ? address : `${address}/${upstream.model}`;
    const target = targets.get(id);
    if (target === undefined) targets.set(id, { first: upstream, models: [upstream.model] });
    else if (!target.models.includes(upstream.model)) target.models.push(upstream.model);
  }
  return targets;
}

/** The labels of such a target. */
export function staticLabels({ role = "" }: StaticUpstream): Readonly<Record<string, string>> {
  return role === "" ? {} : { [ROLE_LABEL]: role };
}
