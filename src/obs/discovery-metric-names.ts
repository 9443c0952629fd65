/** The metrics of what a router has found in Kubernetes; docs/metrics.md lists the same. */

import { defineMetric as metric } from "./exposition.ts";

/** Of a router that looks for runtimes in Kubernetes: each source that it watches. */
export const DISCOVERY_METRICS = {
  targets: metric(
    "gauge",
    "infermesh_discovery_targets",
    ["source", "condition"],
    "",
    "What was found, by what Kubernetes says of it: ready, unready or draining.",
  ),
  heard: metric("gauge", "infermesh_discovery_watched", ["source"], "", "1 while changes are heard of, else 0."),
  age: metric(
    "gauge",
    "infermesh_discovery_age_seconds",
    ["source"],
    "seconds",
    "Since it was known that nothing is missing.",
  ),
  objects: metric("gauge", "infermesh_discovery_objects", ["source"], "", "EndpointSlices or pods that match."),
  lists: metric("counter", "infermesh_discovery_lists_total", ["source"], "", "Whole lists that were read."),
  watches: metric("counter", "infermesh_discovery_watches_total", ["source"], "", "Watches that were taken."),
  events: metric("counter", "infermesh_discovery_events_total", ["source"], "", "Changes that were told of."),
  failures: metric("counter", "infermesh_discovery_failures_total", ["source"], "", "Requests that came to nothing."),
} as const;
