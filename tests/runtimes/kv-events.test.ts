import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { kvEventsIn } from "../../src/runtimes/kv-events.ts";
import { SGLANG } from "../../src/runtimes/sglang.ts";
import { TableAdapter } from "../../src/runtimes/table-adapter.ts";
import { VLLM } from "../../src/runtimes/vllm.ts";

const WHOLE = { endpoint: "tcp://*:5557", replayEndpoint: "tcp://*:5558", topic: "kv", ranks: 4 };
const CONFIG = { publisher: "zmq", endpoint: "tcp://*:5557", replay_endpoint: "tcp://*:5558", topic: "kv" };

describe("where KV cache events are, by a server's own word", () => {
  test("an object or its text; only where they are published", () => {
    expect(kvEventsIn(CONFIG, 4)).toEqual(WHOLE);
    expect(kvEventsIn(JSON.stringify(CONFIG), 4)).toEqual(WHOLE);
    const least = { endpoint: "tcp://*:5557", replayEndpoint: "", topic: "", ranks: 1 };
    expect(kvEventsIn({ publisher: "zmq" }, undefined)).toEqual(least);
    // Newer vLLM publishes by ZeroMQ where nothing else is said.
    expect(kvEventsIn({ enable_kv_cache_events: true, publisher: null }, 1)).toEqual(least);
    for (const off of [null, undefined, "", "{", "null", {}, { publisher: "null" }, { publisher: null }, [CONFIG], 5]) {
      expect(kvEventsIn(off, 1)).toBeUndefined();
    }
    expect(kvEventsIn(CONFIG, 1e9)?.ranks).toBe(64);
    expect(kvEventsIn(CONFIG, 0)?.ranks).toBe(1);
  });

  test("garbage is none, or has its limits, and never throws", () => {
    fc.assert(
      fc.property(
        fc.oneof(fc.anything(), fc.json(), fc.record({ publisher: fc.constant("zmq"), endpoint: fc.anything() })),
        (garbage) => {
          const found = kvEventsIn(garbage, 2);
          if (found !== undefined) expect(found.endpoint.length).toBeLessThanOrEqual(1024);
        },
      ),
    );
  });

  test.each([
    ["SGLang", SGLANG, "/server_info", { kv_events_config: JSON.stringify(CONFIG), dp_size: 4 }],
    [
      "vLLM in development mode",
      VLLM,
      "/server_info",
      { vllm_config: { kv_events_config: CONFIG, parallel_config: { data_parallel_size: 4 } } },
    ],
  ] as const)("is in the reading of %s", (_name, table, path, json) => {
    const adapter = new TableAdapter(table);
    const look = adapter.looks.find(({ ask }) => ask.path.startsWith(path))!;
    const answer = (told: object) => {
      const body = new TextEncoder().encode(JSON.stringify(told));
      return { status: 200, contentType: "application/json", body };
    };
    expect(adapter.reading(0).kvEvents).toBeUndefined();
    expect(adapter.answered(look, answer(json), 1)).toMatchObject({ ok: true });
    expect(adapter.reading(2).kvEvents).toEqual(WHOLE);
    adapter.restarted();
    expect(adapter.reading(3).kvEvents).toBeUndefined();
  });
});
