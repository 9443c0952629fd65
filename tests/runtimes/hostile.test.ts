/** What servers tell goes on to logs, terminals, metrics and other nodes: nothing of it may be long or steer a terminal. */
import { describe, expect, test } from "bun:test";
import { isPrintable } from "../../src/base/printable.ts";
import type { Answer, LookRole } from "../../src/runtimes/adapter.ts";
import { readRuntimeMap } from "../../src/runtimes/runtime-map.ts";
import { TableAdapter } from "../../src/runtimes/table-adapter.ts";
import type { AdapterTable } from "../../src/runtimes/table.ts";
import { TABLES } from "../../src/runtimes/tables.ts";

const STEERS = "\u001b[2Jx\u202e\ny";
const LONG = "v".repeat(100_000);

function answerOf(body: unknown, status = 200): Answer {
  const text = typeof body === "string" ? body : JSON.stringify(body);
  return { status, contentType: "application/json", body: Buffer.from(text) };
}

function generic(map: object): AdapterTable {
  const parsed = readRuntimeMap(map, "map.yaml");
  if (parsed.faults !== undefined) throw new Error(JSON.stringify(parsed.faults));
  return parsed.value;
}

/** Answers each look of a role alike. */
function told(table: AdapterTable, answers: Partial<Record<LookRole, unknown>>): TableAdapter {
  const adapter = new TableAdapter(table);
  for (const look of table.looks) {
    const body = answers[look.role];
    if (body !== undefined) adapter.answered(look, answerOf(body), 1);
  }
  return adapter;
}

describe("of what a server tells", () => {
  const map = {
    version: { path: "/version", member: "v" },
    models: { path: "/models", list: "data", parent: "base", context: "context" },
    unload: { path: "/models/{model}" },
  };

  test("versions are short and printable", () => {
    for (const v of [STEERS, LONG]) {
      const { version } = told(TABLES.vllm, { identity: { version: v } }).reading(1);
      expect([isPrintable(version), version.length > 0 && version.length <= 256]).toEqual([true, true]);
      const own = told(generic(map), { identity: { v } }).reading(1).version;
      expect([isPrintable(own), own.length > 0 && own.length <= 256]).toEqual([true, true]);
    }
  });

  test("models have names that can be shown and repeated, and sizes that are sizes", () => {
    const data = [STEERS, LONG, "\ud800", " m", "m"].map((id) => ({ id, base: STEERS, context: 1e300 }));
    const { models } = told(generic(map), { identity: { v: 1 }, models: { data } }).reading(1);
    expect(models.map(({ model, parent, contextTokensMax }) => [model, parent, contextTokensMax])).toEqual([
      ["m", undefined, undefined],
    ]);
  });

  test("answers of any depth are read or refused", () => {
    const depth = 5000;
    const deep = `${"[".repeat(depth)}${"]".repeat(depth)}`;
    const state = { member: "state", loaded: "up" };
    const table = generic({ ...map, models: { path: "/models", list: "data", state } });
    const adapter = told(table, { identity: { v: 1 }, models: `{"data":[{"id":"m","state":${deep}},{"id":${deep}}]}` });
    expect(adapter.reading(1).models.map(({ model, state: is }) => [model, is])).toEqual([["m", "available"]]);
    for (const each of Object.values(TABLES)) {
      const own = new TableAdapter(each);
      for (const look of own.looks) {
        for (const body of [deep, `{"data":${deep},"models":${deep},"version":${deep}}`]) {
          for (const status of [200, 400, 503]) own.answered(look, answerOf(body, status), 1);
        }
      }
      expect(own.reading(1).models).toEqual([]);
    }
  });

  test("labels of metrics are no names where they could not be names", () => {
    const page = `acme_running{model="\u001b[2J"} 1\nacme_running{model="a\\nb"} 1\nacme_running{model="m"} 1\n`;
    const table = generic({
      metrics: { path: "/metrics", modelLabels: ["model"], figures: { runningRequests: "acme_running" } },
    });
    const { models } = told(table, { metrics: page }).reading(1);
    expect(models.map(({ model }) => model)).toEqual(["m"]);
    const serving = new TableAdapter(TABLES.tfserving);
    const metrics = serving.looks.find(({ role }) => role === "metrics")!;
    const counted = `:tensorflow:serving:request_count{model_name="\u001b[2J"} 1\n:tensorflow:serving:request_count{model_name="m"} 1\n`;
    expect(serving.answered(metrics, answerOf(counted), 1)).toMatchObject({ ok: true });
    expect(serving.looks.map(({ name }) => name).filter((name) => name.startsWith("status"))).toEqual(["status of m"]);
  });

  test("refusals are short and printable", () => {
    const adapter = told(TABLES.vllm, {
      identity: { version: "1" },
      models: { data: [{ id: "m" }, { id: "lora", parent: "m" }] },
    });
    const call = adapter.unload("lora", adapter.reading(1))!;
    for (const message of [STEERS, LONG]) {
      for (const body of [{ error: { message } }, { message }, message]) {
        const fault = call.fault(answerOf(body, 400), 0);
        expect([isPrintable(fault), fault.length > 0 && fault.length < 600]).toEqual([true, true]);
      }
    }
  });
});

describe("a model called . or ..", () => {
  test("is not asked for by a path that means another one", () => {
    for (const name of [".", ".."]) {
      const described = new TableAdapter(TABLES.torchserve);
      const list = described.looks.find((look) => look.role === "models")!;
      described.answered(list, answerOf({ models: [{ modelName: name }, { modelName: "m" }] }), 1);
      const paths = described.looks.map(({ ask }) => ask.path);
      expect(paths).toContain("/models/m");
      expect(paths.filter((path) => path.split(/[/?]/).includes(name))).toEqual([]);
    }
  });
});
