/** What to do about an API server that refuses or tells of nothing, in words for people. */
import type { Question } from "./watch.ts";

/** API groups of what is asked for. */
const GROUPS = { endpointslices: "discovery.k8s.io", pods: '""' } as const;

/** "" where there is nothing to be done but to wait. */
export function adviceFor(status: number, { resource, namespace }: Question): string {
  const where = namespace === "" ? "in all namespaces, by a ClusterRole" : `in the namespace ${namespace}, by a Role`;
  if (status === 401) {
    return "the API server does not know who asks: the token or certificate is wrong, or has expired";
  }
  if (status === 403) {
    return `allow the service account to list and watch ${resource} (apiGroups: [${GROUPS[resource]}]) ${where} (docs/kubernetes.md)`;
  }
  if (status === 404) return `the API server has no ${resource} at that path: EndpointSlices need Kubernetes 1.21`;
  return "";
}

/** Where nothing matches. */
export function emptyHint({ resource, selector }: Question): string {
  if (resource === "pods") return `no pod has the labels ${selector} yet`;
  return `no EndpointSlice has the labels ${selector} yet: theirs are those of their Service; pods=LABELS finds pods by their own`;
}
