/**
 * An EndpointSlice (discovery.k8s.io/v1): addresses of pods with their conditions, zones and machines, and the ports that
 * they all have. What is not understood is left out, never guessed: an endpoint without an address is none.
 *
 * Conditions as Kubernetes has them: one that is not told counts as ready; one that terminates gets no new requests,
 * whether it still serves or not, and also where its Service publishes what is not ready.
 *
 * Limit: 1,000 endpoints, as many as a slice may have.
 */
import {
  type EndpointCondition,
  isHost,
  type KubeEndpoint,
  listAt,
  type ListedPort,
  type ObjectRead,
  portAt,
  textAt,
  valueAt,
  wantedPorts,
} from "./endpoint.ts";
import { type KubeSource, SERVICE_LABEL } from "./source.ts";

const ENDPOINTS_MAX = 1000;

export function readSlice(slice: unknown, source: KubeSource): ObjectRead {
  const ports = wantedPorts(portsOf(slice), source);
  const all = listAt(slice, "endpoints").slice(0, ENDPOINTS_MAX);
  if (typeof ports === "string") return { endpoints: [], fault: all.length === 0 ? "" : ports };
  const isOfNames = valueAt(slice, "addressType") === "FQDN";
  const namespace = textAt(slice, "metadata", "namespace");
  const service = textAt(slice, "metadata", "labels", SERVICE_LABEL);
  const endpoints = all.flatMap((endpoint): KubeEndpoint[] => {
    // All addresses of an endpoint are the same to whoever sends there: the first one is to be taken.
    const host = listAt(endpoint, "addresses")[0];
    if (typeof host !== "string" || !isHost(host, isOfNames)) return [];
    const isPod = valueAt(endpoint, "targetRef", "kind") === "Pod";
    return [
      {
        namespace: (isPod && textAt(endpoint, "targetRef", "namespace")) || namespace,
        pod: isPod ? textAt(endpoint, "targetRef", "name") : "",
        host,
        ports,
        condition: conditionOf(valueAt(endpoint, "conditions")),
        zone: textAt(endpoint, "zone"),
        machine: textAt(endpoint, "nodeName"),
        service,
      },
    ];
  });
  const unread = all.length - endpoints.length;
  return { endpoints, fault: unread === 0 ? "" : `${unread} of its endpoints have no address that can be used` };
}

function portsOf(slice: unknown): ListedPort[] {
  return listAt(slice, "ports").flatMap((port) => {
    const number = portAt(port, "port");
    const protocol = valueAt(port, "protocol") ?? "TCP";
    return number === undefined || protocol !== "TCP" ? [] : [{ name: textAt(port, "name"), number }];
  });
}

function conditionOf(conditions: unknown): EndpointCondition {
  if (valueAt(conditions, "terminating") === true) return "draining";
  return valueAt(conditions, "ready") === false ? "unready" : "ready";
}
