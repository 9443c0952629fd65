import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import type { KubeEndpoint } from "../../src/kube/endpoint.ts";
import { placesOf } from "../../src/kube/places.ts";
import { readPod } from "../../src/kube/pods.ts";
import { readSlice } from "../../src/kube/slices.ts";
import { kubeSource, type KubeSource } from "../../src/kube/source.ts";
import { podOf, sliceOf } from "./model-api.ts";

function sourceOf(text: string): KubeSource {
  return kubeSource(["vllm"]).read(text, { path: "", source: "", fromText: true, faults: [] })!;
}

const SLICES = sourceOf("k8s://default?selector=app=vllm");
const PODS = sourceOf("k8s://default?pods=app=vllm");

describe("an EndpointSlice", () => {
  test("tells where each pod is, whether it may be sent to, its zone and machine", () => {
    const slice = sliceOf("vllm-x", [
      { pod: "a", address: "10.0.0.1", zone: "eu-1a" },
      { pod: "b", address: "10.0.0.2", ready: false },
      { pod: "c", address: "10.0.0.3", ready: false, serving: true, terminating: true },
      // Of a Service that publishes what is not ready.
      { pod: "d", address: "10.0.0.4", ready: true, terminating: true },
    ]);
    const { endpoints, fault } = readSlice(slice, SLICES);
    expect(fault).toBe("");
    expect(endpoints.map(({ pod, condition }) => [pod, condition])).toEqual([
      ["a", "ready"],
      ["b", "unready"],
      ["c", "draining"],
      ["d", "draining"],
    ]);
    expect(endpoints[0]).toEqual({
      namespace: "default",
      pod: "a",
      host: "10.0.0.1",
      ports: [{ name: "http", number: 8000 }],
      condition: "ready",
      zone: "eu-1a",
      machine: "machine-1",
      service: "vllm",
    });
  });

  test("conditions that are not told count as ready", () => {
    const slice = {
      ...sliceOf("s", []),
      endpoints: [{ addresses: ["10.0.0.1"] }, { addresses: ["10.0.0.2"], conditions: null }],
    };
    expect(readSlice(slice, SLICES).endpoints.map(({ condition, pod }) => [condition, pod])).toEqual([
      ["ready", ""],
      ["ready", ""],
    ]);
  });

  test("ports are chosen by name, by number, or as the only one or the one called http", () => {
    const ports = [
      { name: "grpc", port: 9000 },
      { name: "http", port: 8000, protocol: "TCP" },
      { name: "dns", port: 53, protocol: "UDP" },
    ];
    const slice = { ...sliceOf("s", [{ pod: "a", address: "10.0.0.1" }]), ports };
    const portsBy = (text: string) =>
      readSlice(slice, sourceOf(`k8s://default?selector=x${text}`)).endpoints.map((one) => one.ports);
    expect(portsBy("")).toEqual([[{ name: "http", number: 8000 }]]);
    expect(portsBy("&port=grpc")).toEqual([[{ name: "grpc", number: 9000 }]]);
    expect(portsBy("&port=http,8001")).toEqual([
      [
        { name: "http", number: 8000 },
        { name: "8001", number: 8001 },
      ],
    ]);
    expect(readSlice(slice, sourceOf("k8s://default?selector=x&port=dns"))).toEqual({
      endpoints: [],
      fault: "it has no port dns (it has grpc, http)",
    });
    expect(readSlice({ ...slice, ports: ports.slice(0, 1).concat({ name: "", port: 1 }) }, SLICES).fault).toBe(
      "it has several ports or none (grpc, 1): say which by port=",
    );
    // A slice without endpoints is nobody's concern.
    expect(readSlice({ ...slice, ports: [], endpoints: [] }, SLICES).fault).toBe("");
  });

  test("what has no address that can be used is left out and told of", () => {
    const addresses = [["10.0.0.1"], ["not an address"], [], ["a\nb"], ["10.0.0.2", "10.0.0.3"]];
    const slice = { ...sliceOf("s", []), endpoints: addresses.map((each) => ({ addresses: each })) };
    const { endpoints, fault } = readSlice(slice, SLICES);
    expect(endpoints.map(({ host }) => host)).toEqual(["10.0.0.1", "10.0.0.2"]);
    expect(fault).toBe("3 of its endpoints have no address that can be used");
    const named = { ...slice, addressType: "FQDN", endpoints: [{ addresses: ["llm.example.com"] }] };
    expect(readSlice(named, SLICES).endpoints[0]?.host).toBe("llm.example.com");
  });
});

describe("a pod", () => {
  test("is ready, unready or about to end", () => {
    const conditionOf = (more: object) => readPod(podOf("a", "10.0.0.1", more), PODS).endpoints[0]?.condition;
    expect(conditionOf({})).toBe("ready");
    expect(conditionOf({ ready: false })).toBe("unready");
    expect(conditionOf({ deleted: true })).toBe("draining");
  });

  test("without an address, or ended, it is none", () => {
    const pod = podOf("a", "10.0.0.1");
    for (const status of [
      { phase: "Pending" },
      { phase: "Failed", podIP: "10.0.0.1" },
      { phase: "Succeeded", podIP: "10.0.0.1" },
    ]) {
      expect(readPod({ ...pod, status }, PODS)).toEqual({ endpoints: [], fault: "" });
    }
  });

  test("ports of sidecars count, those of other first containers don't; its zone is its label", () => {
    const pod = podOf("a", "10.0.0.1");
    const spec = {
      nodeName: "m",
      containers: [{ ports: [{ containerPort: 8200 }] }],
      initContainers: [
        { restartPolicy: "Always", ports: [{ name: "http", containerPort: 8000 }] },
        { ports: [{ name: "setup", containerPort: 1 }] },
      ],
    };
    const labels = { "topology.kubernetes.io/zone": "eu-1b" };
    const { endpoints } = readPod({ ...pod, metadata: { ...pod.metadata, labels }, spec }, PODS);
    expect(endpoints[0]).toMatchObject({ ports: [{ name: "http", number: 8000 }], zone: "eu-1b", machine: "m" });
    expect(readPod({ ...pod, spec: {} }, PODS).fault).toContain("say which by port=");
  });
});

test("objects of any kind are read without a throw, and what comes of them has a place", () => {
  const key = fc.constantFrom(
    "metadata",
    "name",
    "namespace",
    "labels",
    "status",
    "podIP",
    "spec",
    "containers",
    "ports",
    "endpoints",
    "addresses",
    "conditions",
    "__proto__",
  );
  const value = fc.letrec((tie) => ({
    any: fc.oneof(
      { maxDepth: 6 },
      fc.jsonValue({ maxDepth: 1 }),
      fc.constantFrom("10.0.0.1", "fd00::1", "Pod", "http", 8000, true),
      fc.dictionary(key, tie("any"), { maxKeys: 6 }),
      fc.array(tie("any"), { maxLength: 3 }),
    ),
  })).any;
  const port = fc.oneof(value, fc.constant([{ name: "http", port: 8000 }]));
  const slice = fc.record({
    metadata: value,
    ports: port,
    endpoints: fc.array(
      fc.oneof(
        value,
        fc.record({
          addresses: fc.array(fc.oneof(fc.constantFrom("10.0.0.1", "::1"), fc.string())),
          conditions: value,
          targetRef: value,
          zone: value,
        }),
      ),
    ),
  });
  fc.assert(
    fc.property(fc.oneof(value, slice), (object) => {
      const endpoints = [...readSlice(object, SLICES).endpoints, ...readPod(object, PODS).endpoints];
      for (const { id, port: number, host } of placesOf([{ source: SLICES, endpoints }]).places) {
        expect(id).toMatch(/^[\x21-\x7e\x80-\uffff]/);
        expect(number).toBeWithin(1, 65_536);
        expect(host).not.toBe("");
      }
    }),
    { numRuns: 1000 },
  );
});

describe("targets of what was found", () => {
  const endpoint = (change: Partial<KubeEndpoint> = {}): KubeEndpoint => ({
    namespace: "default",
    pod: "a",
    host: "10.0.0.1",
    ports: [{ name: "http", number: 8000 }],
    condition: "ready",
    zone: "",
    machine: "",
    service: "",
    ...change,
  });
  const ids = (...found: Parameters<typeof placesOf>[0]) => placesOf(found).places.map(({ id }) => id);

  test("are called after their pods, and by their addresses where there is none", () => {
    expect(ids({ source: SLICES, endpoints: [endpoint()] })).toEqual(["a.default"]);
    expect(ids({ source: SLICES, endpoints: [endpoint({ pod: "" })] })).toEqual(["10.0.0.1:8000"]);
    expect(ids({ source: SLICES, endpoints: [endpoint({ pod: "", host: "fd00::1" })] })).toEqual(["[fd00::1]:8000"]);
    expect(ids({ source: SLICES, endpoints: [endpoint({ pod: "p".repeat(120) })] })).toEqual(["10.0.0.1:8000"]);
  });

  test("several ports are targets of one node", () => {
    const ports = [
      { name: "8000", number: 8000 },
      { name: "8001", number: 8001 },
    ];
    const source = sourceOf("k8s://default?pods=x&port=8000,8001");
    const { places } = placesOf([{ source, endpoints: [endpoint({ ports })] }]);
    expect(places.map(({ id, node, endpoint: name, port }) => [id, node, name, port])).toEqual([
      ["a.default/8000", "a.default", "8000", 8000],
      ["a.default/8001", "a.default", "8001", 8001],
    ]);
  });

  test("a pod that is found twice is one: by IPv4, in the better condition", () => {
    const all = [endpoint({ host: "fd00::1" }), endpoint({ condition: "draining" }), endpoint({ condition: "ready" })];
    const { places } = placesOf([{ source: SLICES, endpoints: all }]);
    expect(places.map(({ host, condition }) => [host, condition])).toEqual([["10.0.0.1", "ready"]]);
  });

  test("of two pods at one address the better one counts", () => {
    const all = [
      endpoint({ pod: "old", condition: "draining" }),
      endpoint({ pod: "new" }),
      endpoint({ pod: "other", host: "10.0.0.2" }),
    ];
    expect(ids({ source: SLICES, endpoints: all })).toEqual(["new.default", "other.default"]);
  });

  test("of two sources the first counts, and different ports are told of", () => {
    const other = endpoint({ ports: [{ name: "http", number: 9000 }] });
    const { places, faults } = placesOf([
      { source: SLICES, endpoints: [endpoint()] },
      { source: PODS, endpoints: [other] },
    ]);
    expect(places.map(({ port, source }) => [port, source])).toEqual([[8000, SLICES]]);
    expect(faults).toEqual([
      `a.default is found at port 8000 by ${SLICES.text} and at port 9000 by ${PODS.text}; the first counts: name both ports in one source, port=A,B`,
    ]);
  });

  test("do not depend on the order in which endpoints were told", () => {
    const any = fc.record({
      pod: fc.constantFrom("a", "b", ""),
      host: fc.constantFrom("10.0.0.1", "10.0.0.2", "fd00::1", "x.example.com"),
      condition: fc.constantFrom("ready", "unready", "draining"),
      zone: fc.constantFrom("", "z"),
      machine: fc.constantFrom("m", "n"),
    });
    fc.assert(
      fc.property(fc.array(any, { maxLength: 12 }), fc.integer(), (changes, seed) => {
        const all = changes.map((change) => endpoint(change as Partial<KubeEndpoint>));
        const turned = all.toSorted((a, b) => order(a, seed) - order(b, seed));
        expect(placesOf([{ source: SLICES, endpoints: turned }])).toEqual(
          placesOf([{ source: SLICES, endpoints: all }]),
        );
      }),
    );
  });
});

function order(one: KubeEndpoint, seed: number): number {
  return Bun.hash.crc32(JSON.stringify(one), seed);
}
