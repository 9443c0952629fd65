/** Maps that users write: the documented one works, faults are told with their path, and no value at all does harm. */
import { describe, expect, test } from "bun:test";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import fc from "fast-check";
import { formatFault } from "../../src/base/field.ts";
import type { Answer, Look } from "../../src/runtimes/adapter.ts";
import { readRuntimeMap } from "../../src/runtimes/runtime-map.ts";
import { TableAdapter } from "../../src/runtimes/table-adapter.ts";

const encoder = new TextEncoder();

function answer(body: unknown, status = 200): Answer {
  const text = typeof body === "string" ? body : JSON.stringify(body);
  return { status, contentType: "", body: encoder.encode(text) };
}

function faultsOf(map: unknown): string[] {
  return (readRuntimeMap(map, "map.yaml").faults ?? []).map(formatFault);
}

function adapterOf(map: unknown) {
  const { value, faults } = readRuntimeMap(map, "map.yaml");
  if (value === undefined) throw new Error(faults.map(formatFault).join("\n"));
  const adapter = new TableAdapter(value);
  const look = (name: string): Look => value.looks.find((each) => each.name === name)!;
  return { adapter, table: value, look };
}

describe("the example of docs/runtimes.md", () => {
  const docs = readFileSync(join(import.meta.dir, "../../docs/runtimes.md"), "utf8");
  const yaml = /```yaml\n(# acme\.yaml\n[^]*?)```/.exec(docs)?.[1] ?? "";
  const { adapter, table, look } = adapterOf(Bun.YAML.parse(yaml));

  test("is a table like any other", () => {
    expect(table.title).toBe("Acme Serve");
    expect(table.ports).toEqual({ metrics: 9001 });
    expect(table.looks.map(({ role, ask }) => `${role} ${ask.port} ${ask.path}`)).toEqual([
      "identity api /version",
      "health api /healthz",
      "models api /v1/models",
      "metrics metrics /metrics",
    ]);
  });

  test("reads a server's answers", () => {
    const page = (served: number, seconds: number) =>
      `acme_running{replica="0"} 3\nacme_running{replica="1"} 4\nacme_queue_depth 2\nacme_kv_percent 40\n` +
      `acme_tokens_total{kind="prompt"} ${served * 100}\nacme_prefill_ms_total ${served * 20}\n` +
      `acme_requests_total ${served}\nacme_ttft_seconds_bucket{le="1"} ${served}\n` +
      `acme_ttft_seconds_bucket{le="+Inf"} ${served}\nacme_decode_step_seconds_sum ${seconds}\n` +
      `acme_decode_step_seconds_count ${seconds * 50}\nacme_info{kv_tokens="65536",max_batch="64"} 1\n`;
    expect(adapter.answered(look("identity"), answer({ build: { version: "2.1" } }), 0).ok).toBe(true);
    expect(adapter.answered(look("health"), answer(""), 0).ok).toBe(true);
    const cards = [
      { id: "llama", limits: { context: 8192 }, status: "READY" },
      { id: "llama-sql", base: "llama", status: "PULLING" },
      { id: "old", status: "IDLE" },
      { id: "bad", status: "BROKEN" },
      { status: "READY" },
    ];
    expect(adapter.answered(look("models"), answer({ data: cards }), 0).ok).toBe(true);
    expect(adapter.answered(look("metrics"), answer(page(0, 0)), 0)).toEqual({ ok: true });
    expect(adapter.answered(look("metrics"), answer(page(100, 5)), 10_000)).toEqual({ ok: true });
    const { version, models, figures } = adapter.reading(10_000);
    expect(version).toBe("2.1");
    expect(
      models.map(({ model, state, parent, contextTokensMax }) => [model, state, parent, contextTokensMax]),
    ).toEqual([
      ["llama", "loaded", undefined, 8192],
      ["llama-sql", "loading", "llama", undefined],
      ["old", "available", undefined, undefined],
      ["bad", "failed", undefined, undefined],
    ]);
    expect(models[0]?.capabilities).toEqual(["chat", "completions"]);
    expect(models[3]?.reason).toContain("BROKEN");
    expect(models.map(({ loadsOnDemand }) => loadsOnDemand)).toEqual([false, false, true, false]);
    expect(figures).toMatchObject({
      runningRequests: 7,
      waitingRequests: 2,
      kvUsage: 0.4,
      kvCapacityTokens: 65_536,
      slots: 64,
      prefillTokensPerSecond: 5000,
      requestsPerSecond: 10,
      timeToFirstToken: { p50: 0.5, p95: 0.95, p99: 0.99 },
    });
    expect(figures.decodeTokensPerSecond).toBeCloseTo(350);
  });

  test("loads and lets go", () => {
    const load = adapter.load('a/"b"', { source: "/models/b", parent: "" }, adapter.reading(10_000));
    expect(load?.asks).toEqual([
      {
        method: "POST",
        port: "api",
        path: "/models/a%2F%22b%22/load",
        body: '{"name":"a/\\"b\\"","from":"/models/b"}',
      },
    ]);
    expect(load?.fault(answer("", 500), 0)).toContain("500");
    expect(load?.fault(answer("", 202), 0)).toBe("");
    expect(load?.settled(adapter.reading(10_000))).toBe(false);
    const unload = adapter.unload("llama", adapter.reading(10_000));
    expect(unload?.asks[0]?.method).toBe("DELETE");
    expect(unload?.settled(adapter.reading(10_000))).toBe(false);
    adapter.answered(look("models"), answer({ data: [] }), 10_001);
    expect(unload?.settled(adapter.reading(10_001))).toBe(true);
    expect(
      load
        ?.proves?.(answer(""))
        ?.models([])
        .map(({ model, state }) => [model, state]),
    ).toEqual([['a/"b"', "loaded"]]);
    expect(load?.proves?.(answer("", 500))).toBeUndefined();
    expect(unload?.proves).toBeUndefined();
  });

  test("tells a server that is another one, or answers garbage", () => {
    const kindOf = (name: string, body: unknown) => {
      const read = adapter.answered(look(name), answer(body), 0);
      return read.ok ? "ok" : read.kind;
    };
    expect(kindOf("identity", { version: "1" })).toBe("foreign");
    expect(kindOf("models", { models: [] })).toBe("unreadable");
    expect(kindOf("metrics", "<html>\n")).toBe("unreadable");
  });
});

describe("a short map", () => {
  test("names its models itself", () => {
    const { adapter, look } = adapterOf({
      models: ["a", "b"],
      capabilities: ["embeddings"],
      metrics: { path: "/metrics", modelLabels: "model", figures: { runningRequests: "r" } },
    });
    adapter.answered(look("metrics"), answer('r{model="a"} 2\nr{model="c"} 3\n'), 0);
    const { models, figures } = adapter.reading(0);
    expect(models.map(({ model, state, figures: own }) => [model, state, own?.runningRequests])).toEqual([
      ["a", "loaded", 2],
      ["b", "loaded", undefined],
    ]);
    expect(models[1]?.capabilities).toEqual(["embeddings"]);
    expect(figures.runningRequests).toBe(5);
  });

  test("has models by the labels of its metrics", () => {
    const map = { metrics: { path: "/metrics", modelLabels: ["m"], figures: { waitingRequests: ["w", "v"] } } };
    const { adapter, look } = adapterOf(map);
    adapter.answered(look("metrics"), answer('v{m="a"} 2\n'), 0);
    expect(adapter.reading(0).models.map(({ model, figures }) => [model, figures?.waitingRequests])).toEqual([
      ["a", 2],
    ]);
  });

  test("is enough with a health path and names", () => {
    const { adapter, look } = adapterOf({ health: "/", models: ["a"] });
    expect(adapter.answered(look("health"), answer("", 503), 0)).toMatchObject({ ok: false, kind: "not_ready" });
    expect(adapter.reading(0).models).toHaveLength(1);
  });
});

describe("faults", () => {
  test.each([
    [null, /^\(top level\): found null .*keys and values/],
    ["text", /^\(top level\): found "text"/],
    [{}, /^\(top level\): .*at least one of version, health/],
    [{ health: "/h" }, /models: a list of names/],
    [{ helth: "/h" }, /^helth: found "\/h" \(map.yaml\); no such key; did you mean "?health/],
    [{ health: "h", models: ["a"] }, /^health: found "h" .*a path such as/],
    [{ health: { path: "/h", port: "admin" }, models: ["a"] }, /^health\.port: .*one of api, metrics/],
    [{ health: {}, models: ["a"] }, /^health\.path: .*needed/],
    [{ models: [] }, /^models: .*a list of at least one/],
    [{ models: ["a", 3] }, /^models\[1\]: found 3/],
    [{ models: { path: "/m", name: "a..b" } }, /^models\.name: .*points between/],
    [{ models: { path: "/m", state: { member: "s" } } }, /^models\.state\.loaded: .*needed/],
    [{ version: { path: "/v", member: 3 } }, /^version\.member: found 3/],
    [{ ports: { api: 0 } }, /^ports\.api: found 0 .*1 to 65535/],
    [{ capabilities: ["chta"] }, /^capabilities\[0\]: .*did you mean "?chat/],
    [{ metrics: { path: "/m" } }, /^metrics: .*figures/],
    [{ metrics: { path: "/m", window: "1s", figures: {} } }, /^metrics\.window: .*a duration from 2s/],
    [
      { metrics: { path: "/m", figures: { runningRequest: "r" } } },
      /^metrics\.figures\.runningRequest: .*did you mean "?runningRequests/,
    ],
    [
      { metrics: { path: "/m", figures: { slots: { valu: "r" } } } },
      /^metrics\.figures\.slots: .*exactly one of value/,
    ],
    [{ metrics: { path: "/m", figures: { slots: { value: "r", rate: "c" } } } }, /slots: .*exactly one of/],
    [
      { metrics: { path: "/m", figures: { slots: { value: "a{b}" } } } },
      /slots\.value: found "a\{b\}".*name of a metric/,
    ],
    [{ metrics: { path: "/m", figures: { slots: { ratio: ["a"] } } } }, /slots\.ratio: .*a list of two/],
    [{ metrics: { path: "/m", figures: { slots: { label: "x" } } } }, /slots: .*of: the metric/],
    [{ metrics: { path: "/m", figures: { slots: { value: { names: "a", scale: 0 } } } } }, /value\.scale: found 0/],
    [
      { metrics: { path: "/m", figures: { slots: { value: { names: "a", across: "avg" } } } } },
      /value\.across: .*mean/,
    ],
    [{ metrics: { path: "/m", figures: { slots: { value: { names: "a", where: ["x"] } } } } }, /value\.where: /],
    [{ metrics: { path: "/m", figures: { slots: { best: "r", halfLife: 3 } } } }, /slots\.halfLife: found 3/],
    [{ metrics: { path: "/m", figures: { slots: { number: -1 } } } }, /slots\.number: found -1/],
    [{ metrics: { path: "/m", figures: { queueTime: { value: "h" } } } }, /queueTime\.value: .*no such key/],
    [{ load: { path: "/l", method: "PUT" } }, /^load\.method: .*POST/],
    [{ title: "" }, /^title: /],
  ])("%j", (map, fault) => {
    expect(faultsOf(map).join("\n")).toMatch(fault);
  });

  test("are all told at once", () => {
    const faults = faultsOf({
      title: 3,
      health: 4,
      models: { path: "m" },
      metrics: { path: "/m", figures: { slots: 5 } },
    });
    expect(faults.map((fault) => fault.split(":")[0])).toEqual([
      "health",
      "models.path",
      "metrics.figures.slots",
      "title",
    ]);
  });

  test("of endless and of deep values end", () => {
    let deep: unknown = "r";
    for (let i = 0; i < 10_000; i++) deep = { held: deep };
    expect(faultsOf({ metrics: { path: "/m", figures: { slots: deep } } }).join()).toContain("levels");
    const many = Array.from({ length: 300 }, (_, i) => `m${i}`);
    expect(faultsOf({ models: many }).join()).toContain("at most 256");
    const loop: Record<string, unknown> = {};
    loop["first"] = [loop];
    expect(faultsOf({ metrics: { path: "/m", figures: { slots: loop } } }).join()).toContain("levels");
  });

  test("are all that comes of any value, and a table that comes of one works", () => {
    const word = fc.constantFrom("r", "/p", "", "a b", "path", "x.y", "POST", "sum", "10s", "chat");
    const leaf = fc.oneof(word, fc.integer(), fc.constantFrom(null, true, 0.5, Number.NaN));
    const key = fc.constantFrom(
      ..."title ports version health models metrics capabilities load unload path port member list name context".split(
        " ",
      ),
      ..."parent state loaded onDemand figures modelLabels window runningRequests kvUsage queueTime value label of series".split(
        " ",
      ),
      ..."rate ratio mean number sum product difference quotient first best held halfLife names where across".split(
        " ",
      ),
      "__proto__",
      "constructor",
    );
    const { tree } = fc.letrec((tie) => ({
      tree: fc.oneof(
        { maxDepth: 5, withCrossShrink: true },
        leaf,
        fc.array(tie("tree"), { maxLength: 3 }),
        fc.dictionary(key, tie("tree"), { maxKeys: 5 }),
      ),
    }));
    const page = answer("r 1\nc_total 5\n");
    fc.assert(
      fc.property(fc.oneof(tree, fc.anything()), (map) => {
        const { value, faults } = readRuntimeMap(map, "map.yaml");
        if (value === undefined) {
          expect(faults.length).toBeGreaterThan(0);
          return;
        }
        const adapter = new TableAdapter(value);
        for (const look of value.looks) adapter.answered(look, page, 0);
        expect(adapter.reading(0).figures).toBeDefined();
      }),
      { numRuns: 2000 },
    );
  });
});
