/** What all tables promise: names that are unique, questions that cost nothing, answers of any kind that harm nothing. */
import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import type { Answer } from "../../src/runtimes/adapter.ts";
import { NUMBER_FIGURES, QUANTILE_FIGURES } from "../../src/runtimes/metric-map.ts";
import type { EngineFigures, RuntimeReading } from "../../src/runtimes/reading.ts";
import { TableAdapter } from "../../src/runtimes/table-adapter.ts";
import { TABLES } from "../../src/runtimes/tables.ts";

const encoder = new TextEncoder();
const ALL = Object.values(TABLES);

describe.each(ALL)("$title", (table) => {
  test("has an identity, a health and models, and says where it is from", () => {
    const roles = table.looks.map(({ role }) => role);
    expect(roles).toContain("identity");
    expect(roles).toContain("health");
    // TensorFlow Serving has no list: its models are found otherwise.
    if (table.kind !== "tfserving") expect(roles).toContain("models");
    expect(table.sources.length).toBeGreaterThan(0);
    const names = table.looks.map(({ name }) => name);
    expect(new Set(names).size).toBe(names.length);
  });

  test("asks nothing that changes anything", () => {
    for (const { ask } of table.looks) {
      // The index of a model repository is a POST by its specification.
      if (ask.path !== "/v2/repository/index") expect(ask.method).toBe("GET");
    }
  });

  test("makes sense of any answers, or nothing", () => {
    fc.assert(
      fc.property(fc.array(fc.tuple(fc.nat(), anyAnswer), { maxLength: 24 }), (steps) => {
        const adapter = new TableAdapter(table);
        let nowMs = 0;
        for (const [pick, answer] of steps) {
          const look = adapter.looks[pick % adapter.looks.length]!;
          const read = adapter.answered(look, answer, (nowMs += 700));
          if (!read.ok) expect(read.message).not.toBe("");
          makesSense(adapter.reading(nowMs));
          expect(adapter.looks.length).toBeLessThan(80);
        }
      }),
      { numRuns: 150 },
    );
  });

  test("plans are questions and words, whatever the name and the answer", () => {
    fc.assert(
      fc.property(name, anyAnswer, (model, answer) => {
        const adapter = new TableAdapter(table);
        const calls = [
          adapter.load(model, { source: "", parent: "" }, adapter.reading(0)),
          adapter.unload(model, adapter.reading(0)),
        ];
        for (const call of calls) {
          if (call === undefined) continue;
          for (const { path, body } of call.asks) {
            expect(path).toMatch(/^\/[!-~]*$/);
            if (body !== undefined) JSON.parse(body);
          }
          for (const index of call.asks.keys()) expect(typeof call.fault(answer, index)).toBe("string");
          if (call.asks.length === 0) expect(call.fault(answer, 0)).not.toBe("");
          call.progress?.(new TextDecoder().decode(answer.body));
          call.settled(adapter.reading(0));
        }
      }),
      { numRuns: 100 },
    );
  });
});

const name = fc.string({ minLength: 1, maxLength: 40, unit: "grapheme" }).filter((text) => text.isWellFormed());

/** Keys and words that servers use, so that what is made up comes near to what they tell. */
const key = fc.constantFrom(
  "data",
  "models",
  "id",
  "name",
  "model",
  "status",
  "value",
  "state",
  "reason",
  "version",
  "workers",
  "jobQueueStatus",
  "pendingRequests",
  "batchSize",
  "modelName",
  "total_slots",
  "n_ctx",
  "default_generation_settings",
  "build_info",
  "role",
  "model_path",
  "is_generation",
  "internal_states",
  "model_version_status",
  "error",
  "info",
  "title",
  "max_total_tokens",
  "model_id",
  "owned_by",
  "capabilities",
  "aliases",
  "parent",
  "details",
  "minWorkers",
  "is_processing",
  "meta",
  "__proto__",
);
const word = fc.constantFrom(
  "READY",
  "loaded",
  "AVAILABLE",
  "END",
  "router",
  "triton",
  "vllm",
  "lmdeploy",
  "TorchServe",
  "a/b",
  "x:latest",
  "",
  "m",
);
const leaf = fc.oneof(word, name, fc.double(), fc.integer(), fc.boolean(), fc.constant(null));
const { tree } = fc.letrec((tie) => ({
  tree: fc.oneof(
    { maxDepth: 4 },
    leaf,
    fc.array(tie("tree"), { maxLength: 4 }),
    fc.array(fc.tuple(key, tie("tree")), { maxLength: 5 }).map((members) => Object.fromEntries(members)),
  ),
}));
const pageLine = fc.constantFrom(
  'sglang:num_running_reqs{pp_rank="0"} 3',
  'nv_trt_llm_request_metrics{model="m",request_type="waiting"} 4',
  "llamacpp:requests_processing 1",
  "llamacpp:requests_processing NaN",
  'tgi_batch_inference_duration_sum{method="prefill"} +Inf',
  'ovms_current_requests{name="m"} -4',
  ':tensorflow:serving:request_count{model_name="half"} 7',
  ':tensorflow:cc:saved_model:load_attempt_count{model_path="/models/half/1"} 1',
  'ts_inference_requests_total{model_name="m",} 1e308',
  'model_infer_request_failure_total{model="m"} 2',
  "# TYPE x gauge",
  "{{{",
);
const body = fc.oneof(
  fc.uint8Array({ maxLength: 100 }),
  tree.map((each) => encoder.encode(JSON.stringify(each))),
  fc.array(pageLine, { maxLength: 8 }).map((lines) => encoder.encode(lines.join("\n") + "\n")),
);
const anyAnswer: fc.Arbitrary<Answer> = fc.record({
  status: fc.constantFrom(200, 200, 200, 200, 201, 204, 400, 401, 403, 404, 405, 409, 500, 501, 503),
  contentType: fc.constantFrom("application/json", "text/plain", "", "application/openmetrics-text; version=1.0.0"),
  body,
});

function makesSense({ models, figures, version }: RuntimeReading): void {
  expect(version.length).toBeLessThanOrEqual(512);
  expect(models.length).toBeLessThanOrEqual(2048);
  figuresMakeSense(figures);
  for (const model of models) {
    expect(model.model).not.toBe("");
    expect(model.reason.length).toBeLessThan(600);
    if (model.contextTokensMax !== undefined) expect(model.contextTokensMax).toBeGreaterThan(0);
    if (model.figures !== undefined) figuresMakeSense(model.figures);
  }
}

function figuresMakeSense(figures: EngineFigures): void {
  for (const [figure, max] of Object.entries(NUMBER_FIGURES)) {
    const value = figures[figure as keyof typeof NUMBER_FIGURES];
    if (value === undefined) continue;
    expect(value).toBeGreaterThanOrEqual(0);
    // Shares are shares; sums of many processes may be more than one of them can have.
    expect(value).toBeLessThanOrEqual(max === 1 ? 1 : max * 32);
  }
  for (const figure of QUANTILE_FIGURES) {
    const spread = figures[figure];
    if (spread !== undefined) expect(spread.p50).toBeLessThanOrEqual(spread.p99);
  }
}
