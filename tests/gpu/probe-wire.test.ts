/** What the probe says is read back as it was said, and anything else is no message. */
import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { FakeBackend } from "./fake-backend.ts";
import { BackendError } from "../../src/gpu/backend.ts";
import { decodeProbeMessage, encodeProbeMessage, LINE_BYTES_MAX, type ProbeMessage } from "../../src/gpu/probe-wire.ts";
import { GPU_GROUPS } from "../../src/health/reading.ts";

const MESSAGES: readonly ProbeMessage[] = [
  { type: "open", stack: { backend: "nvml", source: "/usr/lib/libnvidia-ml.so.1", driverVersion: "575.1" } },
  { type: "trouble", trouble: "absent", message: new BackendError("absent", "no driver").message },
  {
    type: "reading",
    isRoll: true,
    tookMs: 1.5,
    gpus: [{ uuid: "a", identity: { index: 0, vendor: "amd", name: "MI300X" }, load: { utilization: 0.25 } }],
  },
  { type: "reading", isRoll: true, tookMs: 0, gpus: [], note: "1 of 2 GPUs can't be read" },
  { type: "faults", faults: [{ uuid: "a", xid: 79 }] },
  { type: "alive" },
];

describe("the probe's messages", () => {
  test("come back as they were", () => {
    for (const message of MESSAGES) {
      const line = encodeProbeMessage(message);
      expect(line.endsWith("\n")).toBe(true);
      expect(line.length).toBeLessThan(LINE_BYTES_MAX);
      expect(decodeProbeMessage(line)).toEqual(message);
    }
    expect(GPU_GROUPS).toContain("identity");
  });

  test("carry what a backend reads", () => {
    const backend = new FakeBackend();
    const identity = { index: 0, vendor: "intel", name: "Max 1550" } as const;
    backend.gpus = [{ uuid: "a", identity, load: { utilization: 0.5 }, traffic: { pcieReplays: 3 }, wear: {} }];
    const gpus = backend.read(new Set(["identity", "load"]));
    const line = encodeProbeMessage({ type: "reading", isRoll: true, tookMs: 0, gpus });
    expect(decodeProbeMessage(line)).toMatchObject({ gpus: [{ uuid: "a", identity, load: { utilization: 0.5 } }] });
  });

  test("are nothing else", () => {
    const wrong = [
      "",
      "nothing",
      "null",
      "[]",
      '{"type":"other"}',
      '{"type":"open"}',
      '{"type":"trouble","trouble":"odd","message":"x"}',
      '{"type":"trouble","trouble":"lost"}',
      '{"type":"reading","gpus":[]}',
      '{"type":"reading","isRoll":true,"tookMs":-1,"gpus":[]}',
      '{"type":"reading","isRoll":true,"tookMs":1,"gpus":{}}',
      '{"type":"faults","faults":1}',
    ];
    for (const line of wrong) expect(decodeProbeMessage(line)).toBeUndefined();
  });

  test("have nothing in their words that breaks a line or steers a terminal", () => {
    const message = "a\u001b[2J\u2028b\u202ec\ud83d";
    const line = encodeProbeMessage({ type: "trouble", trouble: "broken", message });
    expect(decodeProbeMessage(line)).toEqual({ type: "trouble", trouble: "broken", message: "a[2Jbc" });
  });

  test("never make the reader fail", () => {
    fc.assert(fc.property(fc.oneof(fc.string(), fc.json()), (line) => void decodeProbeMessage(line)));
    fc.assert(
      fc.property(fc.constantFrom(...MESSAGES), fc.nat(), fc.string({ maxLength: 3 }), (message, at, noise) => {
        const line = encodeProbeMessage(message);
        const from = at % line.length;
        decodeProbeMessage(line.slice(0, from) + noise + line.slice(from + noise.length));
      }),
    );
  });
});
