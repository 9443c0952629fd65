/** Nodes with several endpoints: their registrations, their targets, and what of a node's sample each of these has. */
import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { Prng } from "../../src/base/prng.ts";
import { defaultsOf } from "../../src/base/settings-reading.ts";
import { Fleet } from "../../src/fleet/fleet.ts";
import { partOf, wholeOf } from "../../src/fleet/part.ts";
import { parseRegistration, type Registration, registrationJson } from "../../src/fleet/registration.ts";
import { fleetSettings } from "../../src/fleet/settings.ts";
import { hasUnwellGpu, isRoutable, onePerNode } from "../../src/fleet/target.ts";
import { gpuSample, modelSample, nodeRuntime, nodeSample, targetOf } from "./samples.ts";

const base = { address: "10.0.0.7:8001", metrics_port: 9090, models: ["m"] };

function faults(json: object): string[] {
  const parsed = parseRegistration({ ...base, ...json });
  return "faults" in parsed ? parsed.faults : [];
}

const endpoint = (name: string, port: number, more: Partial<Registration> = {}): Registration => ({
  id: `gpu-1/${name}`,
  node: "gpu-1",
  endpoint: name,
  address: `10.0.0.1:${port}`,
  metricsPort: 9090,
  models: ["m"],
  ...more,
});

describe("a registration", () => {
  test("may be of one of a node's endpoints, and is read back", () => {
    const json = { ...base, id: "gpu-1/grpc", node: "gpu-1", endpoint: "grpc", protocol: "grpc", tls: true };
    const parsed = parseRegistration(json);
    expect(parsed).toMatchObject({
      registration: { id: "gpu-1/grpc", node: "gpu-1", endpoint: "grpc", protocol: "grpc", tls: true },
    });
    if ("registration" in parsed) expect(parseRegistration(registrationJson(parsed.registration))).toEqual(parsed);
    expect(faults({ id: "gpu-1", node: "gpu-1", endpoint: "vllm" })).toEqual([]);
  });

  test.each<[string, object, string]>([
    ["names another node than its id", { id: "gpu-1/a", node: "gpu-2", endpoint: "a" }, 'id is "gpu-1/a"'],
    ["names no endpoint", { id: "gpu-1/a", node: "gpu-1" }, 'id is "gpu-1/a"'],
    ["is of a node with another name", { id: "gpu-1", node: "gpu-2" }, 'node is "gpu-2"'],
    ["has a slash in its endpoint", { id: "gpu-1/a/b", node: "gpu-1", endpoint: "a/b" }, 'endpoint is "a/b"'],
    ["has too long an endpoint", { id: "gpu-1", endpoint: "a".repeat(65) }, "endpoint is"],
    ["speaks what we don't", { id: "a", protocol: "ftp" }, 'protocol is "ftp"; expected "http" or "grpc"'],
    ["says TLS in words", { id: "a", tls: "yes" }, 'tls is "yes"; expected true or false'],
  ])("that %s is refused with what stood there", (_, json, told) => {
    expect(faults(json).join("; ")).toContain(told);
  });

  test("of any fields is read or refused, and an id with a slash is always that of its node and endpoint", () => {
    const field = fc.oneof(fc.constantFrom("gpu-1", "gpu-1/a", "a", "", "b/c"), fc.jsonValue());
    fc.assert(
      fc.property(fc.record({ id: field, node: field, endpoint: field, protocol: field, tls: field }), (json) => {
        const parsed = parseRegistration({ ...base, ...json });
        if ("faults" in parsed) return;
        const { id, node, endpoint: name } = parsed.registration;
        if (id.includes("/")) expect(id).toBe(`${node}/${name}`);
      }),
      { numRuns: 1000 },
    );
  });
});

describe("the fleet", () => {
  const fleet = (...registrations: readonly Registration[]): Fleet => {
    const made = new Fleet({ ...defaultsOf(fleetSettings), targetsMax: 8 }, new Prng(1));
    for (const one of registrations) made.register(one, 0, "gossip");
    return made;
  };
  const ids = (of: Fleet): string[] => of.targets().map(({ id }) => id);

  test("has a target for each, which knows its node and how it is spoken to", () => {
    const both = fleet(endpoint("vllm", 8000), endpoint("grpc", 8001, { protocol: "grpc", tls: true }));
    expect(both.targetsOf("gpu-1").map(({ id, protocol, tls, endpoint: name }) => [id, protocol, tls, name])).toEqual([
      ["gpu-1/vllm", "http", false, "vllm"],
      ["gpu-1/grpc", "grpc", true, "grpc"],
    ]);
    expect(both.targetsOf("gpu-2")).toEqual([]);
  });

  test("loses all of a node that the mesh lost, and one that is served no more", () => {
    const both = fleet(endpoint("vllm", 8000), endpoint("triton", 8001), { ...endpoint("x", 1), id: "b", node: "b" });
    expect(both.deregister("gpu-1", 1, "gossip", "it serves elsewhere now", new Set(["gpu-1/vllm"]))).toBe(true);
    expect(ids(both)).toEqual(["gpu-1/vllm", "b"]);
    both.register(endpoint("triton", 8001), 2, "gossip");
    expect(both.deregister("gpu-1", 3, "gossip", "failed")).toBe(true);
    expect(ids(both)).toEqual(["b"]);
    expect(both.deregister("gpu-1", 4, "gossip", "failed")).toBe(false);
    expect(both.targetsOf("gpu-1")).toEqual([]);
  });

  test("takes leave of one endpoint or of all; what the node announced is not the mesh's to lose", () => {
    const own = fleet();
    own.register(endpoint("vllm", 8000), 0);
    own.register(endpoint("triton", 8001), 0);
    expect(own.deregister("gpu-1", 1, "gossip")).toBe(false);
    expect(own.deregister("gpu-1/vllm", 1)).toBe(true);
    expect(ids(own)).toEqual(["gpu-1/triton"]);
    expect(own.deregister("gpu-1", 2)).toBe(true);
    expect(ids(own)).toEqual([]);
  });

  test("begins anew with an endpoint that is spoken to in another way now", () => {
    const one = fleet(endpoint("vllm", 8000));
    one.take();
    one.register(endpoint("vllm", 8000, { protocol: "grpc" }), 1, "gossip");
    expect(one.take().events.map(({ kind }) => kind)).toEqual(["left", "joined"]);
    expect(one.target("gpu-1/vllm")).toMatchObject({ protocol: "grpc" });
  });
});

describe("a node's sample", () => {
  const grpc = { name: "triton-grpc", host: "", port: 8003, protocol: "grpc", tls: false } as const;
  const http = { name: "triton-http", host: "", port: 8002, protocol: "http", tls: false } as const;
  const runtimes = [nodeRuntime(), nodeRuntime({ name: "triton", kind: "triton", endpoints: [http, grpc] })];
  const sample = nodeSample({
    runtimes,
    models: [modelSample({ runtime: "vllm" }), modelSample({ model: "bert", runtime: "triton", runningRequests: 3 })],
  });
  const target = (name: string, port = 1) => targetOf(`gpu-1/${name}`, { node: "gpu-1", endpoint: name, port });
  const names = (of: { readonly models: readonly { readonly model: string }[] }) => of.models.map(({ model }) => model);

  test("has for each endpoint its runtime's models; two endpoints of one runtime share its figures", () => {
    expect(names(partOf(target("vllm"), sample))).toEqual(["m"]);
    expect(partOf(target("triton-http"), sample)).toEqual(partOf(target("triton-grpc"), sample));
    expect(partOf(target("triton-grpc"), sample).models[0]?.runningRequests).toBe(3);
  });

  test("takes only the targets of a runtime that is not ready out", () => {
    const down = { ...sample, runtimes: [runtimes[0]!, { ...runtimes[1]!, ready: false, state: "down" as const }] };
    const routable = (name: string) => isRoutable({ ...target(name), lastSample: partOf(target(name), down) });
    expect([routable("vllm"), routable("triton-http"), routable("triton-grpc")]).toEqual([true, false, false]);
    const draining = { ...sample, runtimes: [{ ...runtimes[0]!, draining: true }, runtimes[1]!] };
    expect(partOf(target("vllm"), draining).draining).toBe(true);
    expect(partOf(target("triton-http"), draining).draining).toBe(false);
    expect(partOf(target("vllm"), { ...sample, ready: false }).ready).toBe(false);
  });

  test("is all its own to the only target of a node with one runtime, and to one that is not told of", () => {
    const one = nodeSample({ runtimes: [nodeRuntime({ ready: false })], models: [modelSample({ runtime: "vllm" })] });
    expect(partOf(targetOf("gpu-1"), one).ready).toBe(false);
    expect(names(partOf(targetOf("gpu-1"), one))).toEqual(["m"]);
    expect(partOf(targetOf("gpu-1"), nodeSample())).toEqual(nodeSample());
    expect(partOf(target("later"), sample)).toBe(sample);
    // Of several, that which listens there.
    expect(names(partOf(targetOf("gpu-1", { port: 8002 }), sample))).toEqual(["bert"]);
  });

  test("is whole again when the parts are put together", () => {
    const parts = ["vllm", "triton-http", "triton-grpc"].map((name) => partOf(target(name), sample));
    expect(wholeOf(parts)).toEqual(sample);
    const down = { ...sample, runtimes: [runtimes[0]!, { ...runtimes[1]!, ready: false }] };
    expect(wholeOf(["vllm", "triton-http"].map((name) => partOf(target(name), down)))).toEqual(down);
    expect(wholeOf([])).toBeUndefined();
  });

  test("makes a target doubtful by the GPUs on which its models may be, not by others", () => {
    const ill = gpuSample({ health: "degraded", models: ["bert"] });
    const withGpus = { ...sample, gpus: [gpuSample({ models: ["m"] }), ill] };
    const unwell = (name: string, models: readonly string[]) =>
      hasUnwellGpu({ ...target(name), models, lastSample: partOf(target(name), withGpus) });
    expect([unwell("vllm", ["m"]), unwell("triton-http", ["bert"])]).toEqual([false, true]);
  });

  test("tells of its node once, by the target that can be sent to", () => {
    const told = [
      { ...target("vllm"), lastSample: partOf(target("vllm"), { ...sample, ready: false }) },
      { ...target("triton-http"), lastSample: partOf(target("triton-http"), sample) },
      targetOf("gpu-2"),
    ];
    expect(onePerNode(told).map(({ id }) => id)).toEqual(["gpu-1/triton-http", "gpu-2"]);
  });
});
