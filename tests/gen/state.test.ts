import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { GpuHealth, ModelState, ModelStatus, NodeState } from "../../src/gen/state.js";

const sample: NodeState.$Properties = {
  id: "node-a",
  incarnation: 2 ** 52 + 1,
  role: "gpu",
  version: "0.1.0",
  zone: "eu-1",
  ready: true,
  observedAtMs: 1_767_225_600_123,
  addresses: { serve: "10.0.0.1:8000", api: "10.0.0.1:50051" },
  vitals: { requestsInProgress: 3, cpuUsage: 0, failedResponses: 7, uptimeSeconds: 12.5 },
  models: [
    {
      labels: { model: "llama-3-8b", quant: "fp8", custom: { team: "search", "": "empty key" } },
      status: ModelStatus.MODEL_STATUS_READY,
      runningRequests: 4,
      queuedPrefillTokens: 0,
      kvCapacityTokens: 500_000,
      timeToFirstToken: [{ quantile: 0.5, seconds: 0.12 }],
    },
  ],
  gpus: [{ index: 0, name: "H100", memoryTotalBytes: 85_899_345_920, health: GpuHealth.GPU_HEALTH_HEALTHY }],
};

describe("state messages", () => {
  test("a full state survives the wire, with 64-bit numbers as plain numbers", () => {
    const decoded = NodeState.decode(NodeState.encode(sample).finish());
    expect(NodeState.toObject(decoded)).toEqual(NodeState.toObject(NodeState.fromObject(sample)));
    expect(decoded.incarnation).toBe(2 ** 52 + 1);
    expect(decoded.observedAtMs).toBe(1_767_225_600_123);
    expect(decoded.gpus[0]?.memoryTotalBytes).toBe(85_899_345_920);
  });

  test("an absent optional field is not zero", () => {
    const decoded = ModelState.decode(ModelState.encode({ kvUsage: 0 }).finish());
    expect(decoded.kvUsage).toBe(0);
    expect(decoded.queuedPrefillTokens ?? "absent").toBe("absent");
    expect(NodeState.decode(new Uint8Array(0)).models).toEqual([]);
  });

  test("the JSON form reads back", () => {
    const json = JSON.stringify(NodeState.toObject(NodeState.fromObject(sample), { enums: String }));
    expect(json).toContain('"status":"MODEL_STATUS_READY"');
    const back = NodeState.fromObject(JSON.parse(json));
    expect(NodeState.encode(back).finish()).toEqual(NodeState.encode(sample).finish());
  });

  test("garbage is refused or decoded, and never more than that", () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 200 }), (bytes) => {
        try {
          NodeState.decode(bytes);
        } catch (error) {
          expect(error).toBeInstanceOf(Error);
        }
      }),
    );
  });
});
