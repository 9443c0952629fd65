/** A node's endpoints in its metadata: what comes back, what older readers see, what is cut. */
import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { bareMeta, decodeMeta, encodeMeta, type NodeMeta } from "../../src/swim/meta.ts";
import { type MetaEndpoint, readEndpoints, writeEndpoints } from "../../src/swim/meta-endpoints.ts";
import { META_BYTES_MAX } from "../../src/swim/wire.ts";

const HTTP: MetaEndpoint = {
  name: "vllm",
  host: "",
  port: 8000,
  protocol: "http",
  tls: false,
  ready: true,
  models: ["llama"],
};
const GRPC: MetaEndpoint = { ...HTTP, name: "triton-grpc", port: 8001, protocol: "grpc", models: ["resnet", "bert"] };

function metaWith(endpoints: readonly MetaEndpoint[], more: Partial<NodeMeta> = {}): Omit<NodeMeta, "cut"> {
  const models = [...new Set(endpoints.flatMap((one) => one.models))];
  const own = { version: "1.2.3", controlAddress: "10.0.0.1:7950", isControlNode: false };
  return { ...bareMeta("agent"), ...own, servingAddress: "10.0.0.1:8000", models, endpoints, ...more };
}

const through = (meta: Omit<NodeMeta, "cut">): NodeMeta => decodeMeta(encodeMeta(meta, META_BYTES_MAX))!;

describe("endpoints", () => {
  const model = fc.string({ minLength: 1, maxLength: 12, unit: "grapheme-ascii" });
  const endpoint: fc.Arbitrary<MetaEndpoint> = fc.record({
    name: fc.string({ minLength: 1, maxLength: 12, unit: "grapheme-ascii" }),
    host: fc.constantFrom("", "gpu-1.example"),
    port: fc.integer({ min: 1, max: 65_535 }),
    protocol: fc.constantFrom("http" as const, "grpc" as const),
    tls: fc.boolean(),
    ready: fc.boolean(),
    models: fc.uniqueArray(model, { maxLength: 9 }),
  });

  test("come back with their models, or say that they were cut; what fits does so within 240 bytes", () => {
    fc.assert(
      fc.property(fc.array(endpoint, { minLength: 1, maxLength: 12 }), fc.uniqueArray(model), (endpoints, first) => {
        const { bytes, isCut } = writeEndpoints(endpoints, first);
        expect(bytes.length).toBeLessThanOrEqual(240);
        const read = readEndpoints(bytes, first)!;
        const sorted = (list: readonly string[]): string[] => list.toSorted();
        for (const [at, one] of read.entries()) {
          const sent = endpoints[at]!;
          expect({ ...one, models: [] }).toEqual({ ...sent, models: [] });
          if (isCut) expect(new Set(one.models).isSubsetOf(new Set(sent.models))).toBe(true);
          else expect(sorted(one.models)).toEqual(sorted(sent.models));
        }
        if (!isCut) expect(read).toHaveLength(endpoints.length);
      }),
      { numRuns: 300 },
    );
  });

  test("of any bytes are none or some, and never an error", () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 80 }), (bytes) => {
        for (const one of readEndpoints(bytes, ["m"]) ?? []) expect(one.port).toBeLessThanOrEqual(65_535);
      }),
      { numRuns: 2000 },
    );
  });

  test("that are cut short at any byte are none", () => {
    const { bytes } = writeEndpoints([HTTP, GRPC], HTTP.models);
    for (let end = 1; end < bytes.length; end += 1) expect(readEndpoints(bytes.subarray(0, end), [])).toBeUndefined();
  });
});

describe("a node with several", () => {
  test("tells of them with all their models", () => {
    const read = through(metaWith([HTTP, GRPC]));
    expect(read).toEqual({ ...metaWith([HTTP, GRPC]), cut: false });
    const shared = { ...HTTP, name: "vllm-2", port: 8002, ready: false };
    expect(through(metaWith([HTTP, shared])).endpoints).toEqual([HTTP, shared]);
  });

  test("is to older readers a node that serves the first plain HTTP endpoint's models alone", () => {
    const bytes = encodeMeta(metaWith([GRPC, HTTP]), META_BYTES_MAX);
    const tail = writeEndpoints([GRPC, HTTP], HTTP.models).bytes.length;
    // What they skip.
    const older = decodeMeta(bytes.slice(0, bytes.length - tail))!;
    expect(older).toMatchObject({ servingAddress: "10.0.0.1:8000", models: ["llama"], endpoints: [] });
    // One that is not ready would get requests from them all the same, so that another one stands first.
    const other = { ...HTTP, name: "ollama", port: 8002, models: ["phi"] };
    const down = [{ ...HTTP, ready: false }, other];
    const later = encodeMeta(metaWith(down, { servingAddress: "10.0.0.1:8002" }), META_BYTES_MAX);
    expect(decodeMeta(later)!.endpoints).toEqual(down);
    const end = writeEndpoints(down, other.models).bytes.length;
    expect(decodeMeta(later.slice(0, later.length - end))!.models).toEqual(["phi"]);
    const none = encodeMeta(metaWith([GRPC], { servingAddress: "" }), META_BYTES_MAX);
    const only = writeEndpoints([GRPC], []).bytes.length;
    expect(decodeMeta(none.slice(0, none.length - only))).toMatchObject({ servingAddress: "", models: [] });
  });

  test("and with hundreds of models and labels keeps its endpoints, its version and its first models", () => {
    const models = Array.from({ length: 200 }, (_, at) => `a-model-with-a-long-name-${at}`);
    const labels = Object.fromEntries(Array.from({ length: 30 }, (_, at) => [`label-${at}`, "v".repeat(20)]));
    const read = through(metaWith([HTTP, { ...GRPC, models }], { labels }));
    expect(read.endpoints.map(({ name, port }) => [name, port])).toEqual([
      ["vllm", 8000],
      ["triton-grpc", 8001],
    ]);
    expect(read.endpoints[1]!.models.length).toBeGreaterThan(4);
    expect(read).toMatchObject({ cut: true, version: "1.2.3", controlAddress: "10.0.0.1:7950" });
    expect(read.endpoints[0]!.models).toEqual(["llama"]);
  });
});
