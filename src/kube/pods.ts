/**
 * A Pod (v1) as a place where a runtime takes requests: its address, the ports of its containers, whether it is ready, and
 * whether it is to end. One that has no address yet, or has ended, is none.
 *
 * Its zone is what its label topology.kubernetes.io/zone says, which Kubernetes gives to pods since 1.35 (1.33 with a
 * feature gate): machines are not asked for, so that no right to read them is needed.
 */
import {
  isHost,
  type EndpointCondition,
  listAt,
  type ListedPort,
  type ObjectRead,
  portAt,
  textAt,
  valueAt,
  wantedPorts,
} from "./endpoint.ts";
import type { KubeSource } from "./source.ts";

const ZONE_LABEL = "topology.kubernetes.io/zone";
const NONE: ObjectRead = { endpoints: [], fault: "" };

export function readPod(pod: unknown, source: KubeSource): ObjectRead {
  const host = valueAt(pod, "status", "podIP");
  const phase = valueAt(pod, "status", "phase");
  if (typeof host !== "string" || !isHost(host, false) || phase === "Succeeded" || phase === "Failed") return NONE;
  const ports = wantedPorts(portsOf(pod), source);
  if (typeof ports === "string") return { endpoints: [], fault: ports };
  return {
    endpoints: [
      {
        namespace: textAt(pod, "metadata", "namespace"),
        pod: textAt(pod, "metadata", "name"),
        host,
        ports,
        condition: conditionOf(pod),
        zone: textAt(pod, "metadata", "labels", ZONE_LABEL),
        machine: textAt(pod, "spec", "nodeName"),
        service: "",
      },
    ],
    fault: "",
  };
}

/** Of its containers, and of those that start before them and stay (sidecars). */
function portsOf(pod: unknown): ListedPort[] {
  const sidecars = listAt(pod, "spec", "initContainers").filter((one) => valueAt(one, "restartPolicy") === "Always");
  const containers = [...listAt(pod, "spec", "containers"), ...sidecars];
  return containers.flatMap((container) =>
    listAt(container, "ports").flatMap((port) => {
      const number = portAt(port, "containerPort");
      const protocol = valueAt(port, "protocol") ?? "TCP";
      return number === undefined || protocol !== "TCP" ? [] : [{ name: textAt(port, "name"), number }];
    }),
  );
}

function conditionOf(pod: unknown): EndpointCondition {
  const deleted = valueAt(pod, "metadata", "deletionTimestamp");
  if (deleted !== undefined && deleted !== null) return "draining";
  const ready = listAt(pod, "status", "conditions").find((one) => valueAt(one, "type") === "Ready");
  return valueAt(ready, "status") === "True" ? "ready" : "unready";
}
