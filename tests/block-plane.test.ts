import { afterEach, describe, expect, test } from "bun:test";
import { BlockPlane, type BlockPlaneOptions } from "../src/block-plane.ts";
import { defaultsOf } from "../src/base/settings-reading.ts";
import { blockSendingSettings } from "../src/kv/settings.ts";
import type { News } from "../src/mesh/journal.ts";
import type { Log } from "../src/obs/log.ts";
import { type KvEventsTold, NO_FIGURES } from "../src/runtimes/reading.ts";
import type { Runtime } from "../src/telemetry/runtime.ts";
import { until } from "./process/harness.ts";
import { ZmqEngine } from "./telemetry/zmq-engine.ts";

const ends: (() => void)[] = [];
afterEach(() => {
  for (const end of ends.splice(0)) end();
});

type Looked = Pick<Runtime, "name" | "reading" | "endpoints">;
interface Shown {
  readonly runtime: string;
  readonly engine: string;
  readonly subscribed: boolean;
}

function plane(runtimes: BlockPlaneOptions["runtimes"] = []) {
  const events: News[] = [];
  const lines: string[] = [];
  const tell = (line: string, fields?: object): void => void lines.push(`${line} ${JSON.stringify(fields ?? {})}`);
  const log: Log = { debug: tell, info: tell, warn: tell, error: tell, with: () => log };
  const config = defaultsOf(blockSendingSettings);
  const made = new BlockPlane({ node: "n", runtimes, config, tell: (news) => events.push(news), log });
  ends.push(() => made.stop());
  return { plane: made, events, lines, shown: () => made.shown() as Shown[] };
}

function told(kvEvents: KvEventsTold | undefined, host = "127.0.0.1", name = "sglang"): Looked {
  const reading = { version: "", models: [], figures: NO_FIGURES, figuresAtMs: undefined };
  return {
    name,
    reading: kvEvents === undefined ? reading : { ...reading, kvEvents },
    endpoints: [{ name: "http", host, port: 30_000, protocol: "http", tls: false }],
  };
}

const at = (endpoint: string, more: Partial<KvEventsTold> = {}): KvEventsTold => ({
  endpoint,
  replayEndpoint: "",
  topic: "",
  ranks: 1,
  ...more,
});

describe("an agent's view of KV caches", () => {
  test("hears runtimes that are said to publish, each rank an engine of its own", async () => {
    const engine = new ZmqEngine();
    ends.push(() => engine.stop());
    const { endpoint, replayEndpoint } = engine;
    const one = at(endpoint, { replayEndpoint });
    const {
      shown,
      events,
      plane: made,
    } = plane([
      { name: "vllm", kvEvents: one },
      { name: "two", kvEvents: at("tcp://127.0.0.1:9", { ranks: 3 }) },
    ]);
    await until(() => shown()[0]!.subscribed && events.some(({ type }) => type === "runtime.kv-heard"));
    await until(() => events.some(({ type, id }) => type === "runtime.kv-silent" && id === "two"));
    expect(shown().map(({ runtime, engine: name }) => `${runtime} ${name}`)).toEqual([
      `vllm ${endpoint.slice(6)}`,
      "two 127.0.0.1:9",
      "two 127.0.0.1:10",
      "two 127.0.0.1:11",
    ]);
    // What their API tells does not count.
    made.look([told(at("tcp://127.0.0.1:7"), "127.0.0.1", "vllm")]);
    expect(shown()[0]!.engine).toBe(endpoint.slice(6));
  });

  test("hears those whose API tells where, elsewhere when that changes, and no more when they are gone", async () => {
    const engine = new ZmqEngine();
    ends.push(() => engine.stop());
    const { plane: made, shown, lines } = plane();
    made.look([told(undefined)]);
    expect(shown()).toEqual([]);
    const everywhere = engine.endpoint.replace("127.0.0.1", "*");
    made.look([told(at(everywhere))]);
    made.look([told(at(everywhere))]);
    await until(() => shown()[0]?.subscribed === true);
    expect(lines.filter((line) => line.startsWith("a runtime tells"))).toHaveLength(1);
    // While it starts again it tells nothing; that is no reason to forget.
    made.look([told(undefined)]);
    expect(shown()).toHaveLength(1);
    made.look([told(at("tcp://*:9", { ranks: 2 }))]);
    expect(shown().map(({ engine: name }) => name)).toEqual(["127.0.0.1:9", "127.0.0.1:10"]);
    await until(() => engine.subscribers === 0);
    made.look([]);
    expect(shown()).toEqual([]);
  });

  test("on another machine is heard there, and nowhere else than beside the runtime", () => {
    const { plane: made, shown, lines } = plane();
    made.look([told(at("tcp://*:5557", { replayEndpoint: "tcp://0.0.0.0:5558" }), "192.0.2.7")]);
    expect(shown().map(({ engine }) => engine)).toEqual(["192.0.2.7:5557"]);
    for (const [endpoint, host] of [
      ["tcp://192.0.2.9:5557", "127.0.0.1"],
      ["tcp://127.0.0.1:5557", "192.0.2.7"],
      ["ipc:///run/kv.sock", "192.0.2.7"],
      ["inproc://kv", "127.0.0.1"],
      ["tcp://*:99999", "127.0.0.1"],
    ] as const) {
      lines.length = 0;
      made.look([told(at(endpoint), host)]);
      made.look([told(at(endpoint), host)]);
      expect([endpoint, shown()]).toEqual([endpoint, []]);
      expect(lines.filter((line) => line.startsWith("KV cache events can't be heard"))).toHaveLength(1);
    }
  });

  test("has room for so many ranks, and reuses it", () => {
    const many = at("tcp://127.0.0.1:9", { ranks: 64 });
    const names = ["a", "b", "c", "d"];
    expect(() => plane([...names, "e"].map((name) => ({ name, kvEvents: many })))).toThrow("a node has room for 256");
    const { plane: made, shown, lines } = plane(names.slice(1).map((name) => ({ name, kvEvents: many })));
    made.look([told(many)]);
    expect(shown()).toHaveLength(256);
    made.look([told(many), told(at("tcp://127.0.0.1:9"), "127.0.0.1", "more")]);
    expect(lines.some((line) => line.includes("a node has room for 256"))).toBe(true);
    made.look([told(at("tcp://127.0.0.1:9"), "127.0.0.1", "more")]);
    made.look([]);
    made.look([told(at("tcp://127.0.0.1:9"), "127.0.0.1", "again")]);
    expect(shown()).toHaveLength(193);
  });
});
