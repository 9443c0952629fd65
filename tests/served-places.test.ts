/** Where an agent's runtimes take requests, as routers are told and read it. */
import { describe, expect, test } from "bun:test";
import { isLoopback, isWildcard } from "../src/net/ip.ts";
import { partOf } from "../src/fleet/part.ts";
import { parseRegistration } from "../src/fleet/registration.ts";
import { targetsOf } from "../src/mesh/node-membership.ts";
import { announcedPlaces, placesOf, sampleOf, servedMeta } from "../src/served-places.ts";
import type { Member } from "../src/swim/event.ts";
import { bareMeta, encodeMeta } from "../src/swim/meta.ts";
import { META_BYTES_MAX } from "../src/swim/wire.ts";
import type { Runtime, RuntimeEndpoint } from "../src/telemetry/runtime.ts";
import { modelSample, nodeSample, targetOf } from "./fleet/samples.ts";

const HTTP: RuntimeEndpoint = { name: "http", host: "127.0.0.1", port: 8000, protocol: "http", tls: false };
const GRPC: RuntimeEndpoint = { ...HTTP, name: "grpc", port: 8001, protocol: "grpc" };

function runtime(name: string, endpoints: readonly RuntimeEndpoint[], more: Partial<Runtime> = {}): Runtime {
  const { models = ["m"], status = { state: "ready", message: "", sinceMs: 5 } } = more;
  return {
    name,
    kind: "vllm",
    version: "1",
    status,
    endpoints,
    models,
    reading: undefined,
    modelStates: [],
    watchFigures() {},
    asks: { failures: new Map(), metricsSeconds: undefined, metricsBytes: undefined },
    sample: () => ({
      ready: status.state === "ready",
      draining: false,
      models: models.map((model) => modelSample({ model })),
      requestsInProgress: 2,
      failedResponses: 1,
    }),
    load: async () => ({ changed: false, models }),
    unload: async () => ({ changed: false, models }),
    watch() {},
    stop: async () => {},
    ...more,
  };
}

/** The targets that a router makes of what the node at 10.0.0.7 tells the mesh. */
function targetsBy(runtimes: readonly Runtime[], advertise = "") {
  const own = { version: "1", controlAddress: "", isControlNode: false, apiAddress: "0.0.0.0:9090" };
  const meta = encodeMeta(
    { ...bareMeta("agent"), ...own, ...servedMeta(placesOf(runtimes), advertise) },
    META_BYTES_MAX,
  );
  const member = { id: "gpu-1", address: "10.0.0.7:7946", meta, incarnation: 3, status: "alive" } as unknown as Member;
  const { registrations, misfits } = targetsOf(member);
  expect(misfits).toEqual([]);
  return registrations.map(({ id, address, protocol, tls, models, condition }) => {
    return [id, `${tls === true ? "tls " : ""}${protocol ?? "http"} ${address}`, models.join(), condition] as const;
  });
}

describe("what routers are told", () => {
  test("of one plain endpoint is the node itself, as it always was", () => {
    expect(servedMeta(placesOf([runtime("vllm", [HTTP])]), "10.0.0.7")).toEqual({
      servingAddress: "10.0.0.7:8000",
      models: ["m"],
      endpoints: [],
    });
    expect(targetsBy([runtime("vllm", [HTTP])], "10.0.0.9")).toEqual([["gpu-1", "http 10.0.0.9:8000", "m", "ready"]]);
    expect(targetsBy([runtime("vllm", [{ ...HTTP, host: "::" }])])).toEqual([
      ["gpu-1", "http 10.0.0.7:8000", "m", "ready"],
    ]);
  });

  test("of one that speaks gRPC or TLS is the node too, spoken to in that way", () => {
    const secure = { ...HTTP, host: "0.0.0.0", tls: true };
    expect(targetsBy([runtime("vllm", [secure])])).toEqual([["gpu-1", "tls http 10.0.0.7:8000", "m", "ready"]]);
    expect(targetsBy([runtime("triton", [{ ...GRPC, host: "10.0.0.8" }])])).toEqual([
      ["gpu-1", "grpc 10.0.0.8:8001", "m", "ready"],
    ]);
    expect(targetsBy([runtime("triton", [GRPC])])).toEqual([["gpu-1", "grpc 127.0.0.1:8001", "m", "ready"]]);
  });

  test("of several is a target each: endpoints of one runtime have its models, one that is down is not ready", () => {
    const down = { state: "down", message: "refused", sinceMs: 9 } as const;
    const runtimes = [
      runtime("triton", [HTTP, GRPC], { models: ["bert", "resnet"] }),
      runtime("vllm", [{ ...HTTP, port: 8100 }], { models: ["bert"], status: down }),
      runtime("far", [{ ...HTTP, host: "10.0.0.44", port: 9000 }], { models: [] }),
    ];
    expect(targetsBy(runtimes, "gpu-1.example")).toEqual([
      ["gpu-1/triton-http", "http gpu-1.example:8000", "bert,resnet", "ready"],
      ["gpu-1/triton-grpc", "grpc gpu-1.example:8001", "bert,resnet", "ready"],
      ["gpu-1/vllm", "http gpu-1.example:8100", "bert", "unready"],
      ["gpu-1/far", "http 10.0.0.44:9000", "", "ready"],
    ]);
    expect(announcedPlaces("gpu-1", placesOf(runtimes), "").map(({ id, host, port }) => [id, host, port])).toEqual([
      ["gpu-1/triton-http", "127.0.0.1", 8000],
      ["gpu-1/triton-grpc", "127.0.0.1", 8001],
      ["gpu-1/vllm", "127.0.0.1", 8100],
      ["gpu-1/far", "10.0.0.44", 9000],
    ]);
  });

  test("is, for those who know one address of a node, an endpoint that is ready if there is such", () => {
    const down = { state: "down" as const, message: "", sinceMs: 5 };
    const places = placesOf([
      runtime("one", [HTTP], { status: down, models: ["a"] }),
      runtime("two", [{ ...HTTP, port: 8002 }], { models: ["b"] }),
    ]);
    expect(servedMeta(places, "10.0.0.7").servingAddress).toBe("10.0.0.7:8002");
    expect(servedMeta(places.slice(0, 1), "10.0.0.7").servingAddress).toBe("10.0.0.7:8000");
  });

  test("is nothing of a node that serves nowhere, and nothing of a unix socket", () => {
    expect(targetsBy([])).toEqual([]);
    expect(targetsBy([runtime("vllm", [{ ...HTTP, host: "/run/vllm.sock", port: 0 }])])).toEqual([]);
  });
});

describe("the node's sample", () => {
  test("is split by routers into what each runtime says", () => {
    const down = { state: "down", message: "refused", sinceMs: 9 } as const;
    const runtimes = [runtime("triton", [HTTP, GRPC], { models: ["bert"] }), runtime("vllm", [HTTP], { status: down })];
    const told = sampleOf(runtimes, placesOf(runtimes));
    expect(told).toMatchObject({ ready: true, requestsInProgress: 4, failedResponses: 2 });
    const sample = nodeSample({ ...told, runtimes: told.runtimes ?? [] });
    const part = (endpoint: string) => partOf(targetOf(`gpu-1/${endpoint}`, { endpoint }), sample);
    expect(part("vllm")).toMatchObject({ ready: false, models: [{ model: "m", runtime: "vllm" }] });
    expect(part("triton-grpc")).toMatchObject({ ready: true, models: [{ model: "bert" }] });
    expect(part("vllm").runtimes[0]).toMatchObject({ state: "down", message: "refused" });
    // Not by the clock of now, or each look would tell another time.
    expect(sampleOf(runtimes, placesOf(runtimes)).runtimes).toEqual(told.runtimes);
  });

  test("of one runtime needs no name to tell its models by", () => {
    const one = [runtime("vllm", [HTTP])];
    expect(sampleOf(one, placesOf(one)).models.map(({ runtime: name }) => name)).toEqual([""]);
    expect(sampleOf([], [])).toMatchObject({ ready: false, draining: false, models: [] });
  });
});

test("hosts of this machine alone, and hosts that stand for every address", () => {
  for (const host of ["localhost", "127.0.0.1", "127.9.9.9", "::1", "[::1]", "0:0:0:0:0:0:0:1", "::ffff:127.0.0.1"]) {
    expect([host, isLoopback(host)]).toEqual([host, true]);
  }
  for (const host of ["10.0.0.1", "::2", "example.com", "", "0.0.0.0", "128.0.0.1"]) {
    expect([host, isLoopback(host)]).toEqual([host, false]);
  }
  expect(["", "0.0.0.0", "::", "*", "127.0.0.1"].map(isWildcard)).toEqual([true, true, true, true, false]);
});

describe("more models than routers take", () => {
  const many = Array.from({ length: 100 }, (_, at) => `${at}`);
  const odd = ["x".repeat(257), "line\nbreak", ...many];
  const isTaken = (place: ReturnType<typeof announcedPlaces>[number]): boolean =>
    "registration" in parseRegistration({ ...place, address: "10.0.0.7:8000", metrics_port: 9090 });

  test("are told of in part, and the rest of the node goes on", () => {
    const [place] = announcedPlaces("gpu-1", placesOf([runtime("vllm", [HTTP], { models: odd })]), "");
    expect(place?.models).toEqual(many.slice(0, 64));
    expect(place !== undefined && isTaken(place)).toBe(true);
    for (const endpoints of [[HTTP], [HTTP, GRPC]]) {
      const targets = targetsBy([runtime("vllm", endpoints, { models: odd })]);
      expect(targets).toHaveLength(endpoints.length);
      expect(targets[0]?.[2]).toStartWith("0,1,2,");
    }
  });

  test("do not hide one whose name has no room in the metadata", () => {
    const long = "ä".repeat(200);
    expect(targetsBy([runtime("vllm", [HTTP], { models: [long, "m"] })])[0]?.[2]).toBe("m");
  });
});
