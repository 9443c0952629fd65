/** Which server answers: each by what only it says, and none by what others say too. */
import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import type { Answer } from "../../src/runtimes/adapter.ts";
import { Identification, type Identity, USUAL_PORTS } from "../../src/runtimes/identify.ts";
import { TABLES } from "../../src/runtimes/tables.ts";
import { fixture, json, recorded, text } from "./replay.ts";

const NOT_FOUND = json({ detail: "Not Found" }, 404);

interface Search {
  readonly found: Identity | undefined;
  readonly isDenied: boolean;
  readonly asks: number;
}

/** A server that has these paths and no others. */
function searched(paths: Readonly<Record<string, Answer>>, otherwise: Answer | undefined = NOT_FOUND): Search {
  const search = new Identification();
  let asks = 0;
  for (let ask = search.take(); ask !== undefined; ask = search.take()) {
    expect(ask.method).toBe("GET");
    asks++;
    search.answered(paths[ask.path] ?? otherwise);
  }
  return { found: search.found, isDenied: search.isDenied, asks };
}

const models = (...owners: string[]) =>
  json({ object: "list", data: owners.map((owned_by, i) => ({ id: `m${i}`, owned_by })) });

describe("a server is known", () => {
  test.each<[string, Record<string, Answer>, Identity]>([
    ["vLLM", { "/v1/models": models("vllm", "vllm") }, { kind: "vllm", version: "" }],
    ["SGLang", { "/v1/models": fixture("sglang-0.5.models.json") }, { kind: "sglang", version: "" }],
    [
      "SGLang without that owner",
      { "/v1/models": models("me"), "/get_model_info": fixture("sglang-0.5.model-info.json") },
      { kind: "sglang", version: "" },
    ],
    [
      "TGI 3",
      { "/v1/models": fixture("tgi-3.3.models.json"), "/info": fixture("tgi-3.3.info.json") },
      { kind: "tgi", version: "3.3.7" },
    ],
    ["TGI 1", { "/info": fixture("tgi-1.4.info.json") }, { kind: "tgi", version: "1.4.5" }],
    ["llama.cpp", { "/v1/models": recorded("llamacpp-b11549.models.json") }, { kind: "llamacpp", version: "" }],
    [
      "llama.cpp that is old",
      { "/props": json({ default_generation_settings: {}, total_slots: 1 }) },
      { kind: "llamacpp", version: "" },
    ],
    [
      "llama.cpp's router",
      { "/v1/models": models(), "/props": fixture("llamacpp-router.props.json") },
      { kind: "llamacpp", version: "b10380-0b1bad14f" },
    ],
    [
      "Ollama",
      { "/v1/models": fixture("ollama.models.json"), "/": text("Ollama is running") },
      { kind: "ollama", version: "" },
    ],
    ["LMDeploy", { "/v1/models": fixture("lmdeploy.models.json") }, { kind: "lmdeploy", version: "" }],
    ["Triton", { "/v2": fixture("triton-2.71.server.json") }, { kind: "triton", version: "2.71.0" }],
    ["MLServer", { "/v2": recorded("mlserver-1.7.1.server.json") }, { kind: "kserve", version: "1.7.1" }],
    ["KServe", { "/v2": fixture("kserve-0.15.server.json") }, { kind: "kserve", version: "0.15.0" }],
    [
      "OpenVINO Model Server",
      { "/v2": fixture("openvino-2024.5.server.json") },
      { kind: "openvino", version: "2024.5.0.fd742507" },
    ],
    [
      "OpenVINO Model Server with language models",
      { "/v1/models": fixture("openvino-2026.3.models.json") },
      { kind: "openvino", version: "" },
    ],
    [
      "TorchServe",
      { "/api-description": fixture("torchserve-0.12.api-description.json") },
      { kind: "torchserve", version: "0.12.0" },
    ],
    [
      "TensorFlow Serving",
      { "/v1/models": fixture("tfserving-2.19.malformed.json", 400) },
      { kind: "tfserving", version: "" },
    ],
    ["an infermesh, which is no runtime", { "/v1/models": models("infermesh") }, { kind: "mock", version: "" }],
    ["another server of OpenAI's API", { "/v1/models": models("somebody") }, { kind: "generic", version: "" }],
  ])("%s", (_, paths, identity) => {
    expect(searched(paths).found).toEqual(identity);
  });
});

describe("nobody is taken for another", () => {
  test.each<[string, Record<string, Answer>]>([
    ["the server for embeddings of TGI's makers", { "/info": fixture("tei.info.json") }],
    ["a page", { "/": text("<html>Welcome to nginx!</html>"), "/v1/models": text("<html>", 200) }],
    ["a version", { "/version": json({ version: "1.2.3" }), "/api/version": json({ version: "0.5.1" }) }],
    ["a registry", { "/v2": json({}) }],
    ["a list that is none", { "/v1/models": json({ models: ["a"] }) }],
    ["words like Ollama's", { "/": text("ollama is not running") }],
  ])("%s", (_, paths) => {
    expect(searched(paths).found).toBeUndefined();
  });

  test("a gateway to several servers is a server of OpenAI's API", () => {
    expect(searched({ "/v1/models": models("vllm", "sglang") }).found?.kind).toBe("generic");
  });
});

test("a demand for a key is told, and where nobody answers nothing is known", () => {
  expect(searched({}, json({ error: "Unauthorized" }, 401))).toMatchObject({ found: undefined, isDenied: true });
  expect(searched({}, undefined)).toMatchObject({ found: undefined, isDenied: false });
});

test("most are known by the first question, and nobody is asked more than eight", () => {
  expect(searched({ "/v1/models": models("vllm") }).asks).toBe(1);
  expect(searched({}).asks).toBeLessThanOrEqual(8);
});

test("answers of any kind harm nothing", () => {
  const body = fc.oneof(
    fc.uint8Array({ maxLength: 200 }),
    fc.json({ maxDepth: 4 }).map((each) => new TextEncoder().encode(each)),
  );
  const answer = fc.record({
    status: fc.constantFrom(200, 204, 301, 400, 401, 404, 500),
    contentType: fc.string(),
    body,
  });
  fc.assert(
    fc.property(fc.array(fc.option(answer, { nil: undefined }), { minLength: 8, maxLength: 8 }), (answers) => {
      const search = new Identification();
      for (const each of answers) {
        if (search.take() === undefined) break;
        search.answered(each);
      }
      expect(search.take()).toBeUndefined();
    }),
  );
});

test("each kind's own port is among the usual ones", () => {
  for (const { kind, ports } of Object.values(TABLES)) {
    expect(USUAL_PORTS.find(({ port }) => port === ports.api)?.kinds).toContain(kind);
  }
});
