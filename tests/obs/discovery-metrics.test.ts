import { expect, test } from "bun:test";
import { addDiscoveryMetrics } from "../../src/obs/discovery-metrics.ts";
import { Exposition } from "../../src/obs/exposition.ts";

test("what is found in Kubernetes is told by source", async () => {
  const source = "k8s://default?selector=app=vllm";
  const out = new Exposition();
  addDiscoveryMetrics(out, () => [
    {
      source,
      isHeard: false,
      failure: "connection refused",
      objects: 2,
      targets: { ready: 3, unready: 0, draining: 1 },
      ageSeconds: 12.5,
      lists: 4,
      watches: 5,
      events: 6,
      failures: 7,
    },
  ]);
  const lines = (await out.text()).split("\n").filter((line) => line !== "" && !line.startsWith("#"));
  const of = `source="${source}"`;
  expect(lines).toEqual([
    `infermesh_discovery_targets{${of},condition="ready"} 3`,
    `infermesh_discovery_targets{${of},condition="unready"} 0`,
    `infermesh_discovery_targets{${of},condition="draining"} 1`,
    `infermesh_discovery_watched{${of}} 0`,
    `infermesh_discovery_age_seconds{${of}} 12.5`,
    `infermesh_discovery_objects{${of}} 2`,
    `infermesh_discovery_lists_total{${of}} 4`,
    `infermesh_discovery_watches_total{${of}} 5`,
    `infermesh_discovery_events_total{${of}} 6`,
    `infermesh_discovery_failures_total{${of}} 7`,
  ]);
});
