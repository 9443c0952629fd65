import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { defaultsOf } from "../../src/base/settings-reading.ts";
import { apiAccess, apiSettings } from "../../src/wire/api-access.ts";
import { ApiPath } from "../../src/wire/api-path.ts";
import { FIXED_PATHS } from "../../src/wire/api-shapes.ts";
import { METHOD } from "../../src/wire/http1.ts";
import { placed } from "./pieces.ts";

const path = new ApiPath();
const decoder = new TextDecoder();

/** Reads `METHOD TARGET` in the middle of other bytes. */
function read(request: string, filler = 0x2f) {
  const [method = "", target = ""] = request.split(" ");
  const bytes = Buffer.from(target);
  const buffer = placed(bytes, bytes.length, 3, filler);
  const shape = path.read(buffer, 3, 3 + bytes.length, METHOD[method as keyof typeof METHOD]);
  const reason = path.modelStart < 0 ? "" : path.readModel(buffer);
  const model =
    path.modelStart < 0 || reason !== "" ? "" : decoder.decode(path.modelBytes.subarray(0, path.modelLength));
  return { shape, model, reason, name: shape.name, allow: path.allow, pathEnd: path.pathEnd - 3 };
}

describe("paths as they stand", () => {
  test("every row is found by its method and path, with and without a query", () => {
    const names = Object.entries(METHOD);
    for (const { method, path: target, shape } of FIXED_PATHS) {
      const word = names.find(([, code]) => code === method)?.[0] ?? "";
      expect(read(`${word} ${target}`).shape).toBe(shape);
      expect(read(`${word} ${target}?beta=true&x=1`).shape).toBe(shape);
      expect(read(`${word} ${target}?beta=true&x=1`).pathEnd).toBe(target.length);
      if (word === "GET") expect(read(`HEAD ${target}`).shape).toBe(shape);
    }
  });

  test("no method and path has two rows", () => {
    const keys = FIXED_PATHS.map(({ method, path: target }) => `${method} ${target}`);
    expect(new Set(keys).size).toBe(keys.length);
  });

  test.each([
    ["POST /v1/chat/completions", { model: "body", streams: "asked", format: "sse", repeatable: true, local: "" }],
    ["POST /v1/responses", { model: "body", streams: "asked", repeatable: false }],
    ["POST /v1/embeddings", { model: "body", streams: "never", format: "none", repeatable: true }],
    ["POST /v1/audio/transcriptions", { model: "form", streams: "asked", repeatable: true }],
    ["POST /v1/audio/speech", { model: "body", streams: "always", format: "bytes" }],
    ["POST /v1/images/edits", { model: "form" }],
    ["POST /v1/rerank", { model: "optional", repeatable: true }],
    ["POST /v1/messages", { family: "anthropic", model: "body", format: "sse", overridable: true }],
    ["POST /v1/messages/count_tokens", { family: "anthropic", streams: "never" }],
    ["POST /api/chat", { family: "ollama", streams: "unless-refused", format: "ndjson", repeatable: true }],
    ["POST /api/pull", { work: "management", repeatable: false }],
    ["GET /api/tags", { local: "ollama-tags", overridable: false }],
    ["POST /generate", { family: "tgi", model: "optional", streams: "asked" }],
    ["POST /generate_stream", { streams: "always", format: "sse" }],
    ["POST /", { family: "tgi", work: "inference" }],
    ["GET /", { local: "health" }],
    ["GET /v1/models", { local: "models", work: "read" }],
    ["GET /v2/health/ready", { local: "ready" }],
    ["POST /v2/repository/index", { local: "kserve-index", work: "read" }],
    ["POST /register", { local: "register" }],
    ["GET /v1/chat/completions", { work: "stored", repeatable: true }],
  ] as const)("%s", (request, facts) => {
    expect(read(request).shape).toMatchObject(facts);
  });
});

describe("paths with a name in them", () => {
  test.each([
    ["POST /v2/models/resnet/infer", "kserve.infer", "resnet"],
    ["POST /v2/models/resnet/versions/3/infer", "kserve.infer", "resnet"],
    ["POST /v2/models/org%2Fresnet/infer", "kserve.infer", "org/resnet"],
    ["POST /v2/models/org/resnet/infer?x=/infer", "kserve.infer", "org/resnet"],
    ["POST /v2/models/infer/infer", "kserve.infer", "infer"],
    ["POST /v2/models/m/infer_stream", "kserve.infer-stream", "m"],
    ["POST /v2/models/m/generate", "kserve.generate", "m"],
    ["POST /v2/models/m/versions/v-1/generate_stream", "kserve.generate-stream", "m"],
    ["GET /v2/models/m/ready", "kserve.model-ready", "m"],
    ["HEAD /v2/models/m/ready", "kserve.model-ready", "m"],
    ["GET /v2/models/m", "kserve.metadata", "m"],
    ["GET /v2/models/m/versions/7", "kserve.metadata", "m"],
    ["GET /v2/models/ready", "kserve.metadata", "ready"],
    ["GET /v2/models/versions/7", "kserve.metadata", "versions/7"],
    ["GET /v2/models/m/config", "kserve.config", "m"],
    ["POST /v2/repository/models/a/b/load", "kserve.load", "a/b"],
    ["POST /v2/repository/models/m/unload", "kserve.unload", "m"],
    ["POST /v1/models/half_plus_two:predict", "tensorflow.predict", "half_plus_two"],
    ["POST /v1/models/m/versions/12:predict", "tensorflow.predict", "m"],
    ["POST /v1/models/m/labels/stable:classify", "tensorflow.classify", "m"],
    ["POST /v1/models/qwen:7b:regress", "tensorflow.regress", "qwen:7b"],
    ["GET /v1/models/m/metadata", "tensorflow.status", "m"],
    ["GET /v1/models/m/versions/2/metadata", "tensorflow.status", "m"],
    ["GET /v1/models/m/versions/2", "tensorflow.status", "m"],
    ["GET /v1/models/m", "openai.model", "m"],
    ["GET /v1/models/meta-llama%2FLlama-3.1-8B", "openai.model", "meta-llama/Llama-3.1-8B"],
    ["GET /v1/models/meta-llama/Llama-3.1-8B", "openai.model", "meta-llama/Llama-3.1-8B"],
    ["GET /v1/models/metadata", "openai.model", "metadata"],
    ["GET /v1/models/m:predict", "openai.model", "m:predict"],
    ["DELETE /v1/models/ft:m", "openai.model-delete", "ft:m"],
    ["POST /predictions/densenet", "torchserve.predict", "densenet"],
    ["PUT /predictions/densenet/2.0", "torchserve.predict", "densenet"],
    ["POST /explanations/a%20b?x", "torchserve.explain", "a b"],
    ["GET /v1/realtime?model=gpt-4o+realtime", "openai.realtime", "gpt-4o realtime"],
    ["GET /v1/realtime?intent=x&model=a%2Bb%2Fc&mode=d", "openai.realtime", "a+b/c"],
    ["GET /v1/realtime?mod%65l=a&models=b", "openai.realtime", "a"],
    ["GET /v1/realtime?&&model=a;b&", "openai.realtime", "a;b"],
    ["POST /v2/models/h%C3%A9/infer", "kserve.infer", "h\u00e9"],
    ["POST /predictions/a+b", "torchserve.predict", "a+b"],
  ])("%s", (request, name, model) => {
    for (const filler of [0x2f, 0x3a, 0x25, 0x3f, 0x61]) {
      expect(read(request, filler)).toMatchObject({ name, model, reason: "" });
    }
  });

  test.each([
    ["GET /v1/realtime", ""],
    ["GET /v1/realtime?mode=model=x", ""],
    ["GET /v1/realtime?Model=x", ""],
    ["GET /v1/realtime?a;model=x", ""],
    ["GET /v1/realtime?mod%6", ""],
    ["GET /v1/realtime?model%00=x", ""],
  ])("%s names none", (request, model) => {
    expect(read(request)).toMatchObject({ name: "openai.realtime", model });
    expect(path.modelStart).toBe(-1);
  });

  test.each([
    ["/predictions/a%2", "malformed escape"],
    ["/predictions/a%", "malformed escape"],
    ["/predictions/a%zz", "malformed escape"],
    ["/predictions/a%0a", "control character"],
    ["/predictions/a%7F", "control character"],
    ["/predictions/%C3", "not well-formed"],
    [`/predictions/${"x".repeat(513)}`, "longer than 512"],
  ])("%s: %s", (target, reason) => {
    // The byte behind the target would make a whole escape of the cut one.
    expect(read(`POST ${target}`, 0x61).reason).toContain(reason);
  });

  // Frameworks differ in which one counts, and some in what a name is.
  test.each([
    "model=a&model=b",
    "model=a&model=a",
    "model=a&x=1&mod%65l=b",
    "%6d%6F%64%65%6C=b&model=a",
    "model=a&Model=b",
    "model=a&model",
    "model&model=a",
    "model=a;model=b",
    "x=1;model=b&model=a",
  ])("a query of %s names its model twice", (query) => {
    expect(read(`GET /v1/realtime?${query}`).reason).toContain("twice");
    // The reader is used again.
    expect(read("GET /v1/realtime?model=c")).toMatchObject({ model: "c", reason: "" });
  });

  test("an empty name", () => {
    expect(read("GET /v1/realtime?model").reason).toContain("empty");
    expect(read("GET /v1/realtime?model=&x=1").reason).toContain("empty");
    expect(read("GET /v1/models/").reason).toContain("empty");
    expect(read("GET /v1/realtime?model=").reason).toContain("empty");
    for (const target of ["/predictions/", "/predictions//1", "/v2/models/", "/v2/repository/models//load"]) {
      expect(read(`POST ${target}`).name).toBe("unknown.path");
    }
    expect(read("GET /v2/models/").name).toBe("unknown.path");
  });

  test("the model's hash is the one that bodies have", () => {
    read("POST /predictions/a%62c");
    let hash = 0x811c9dc5;
    for (const byte of Buffer.from("abc")) hash = Math.imul(hash ^ byte, 0x01000193);
    expect(path.modelHash).toBe(hash >>> 0);
  });
});

describe("stored things", () => {
  test.each([
    ["GET /v1/files", { work: "stored", repeatable: true, model: "none" }],
    ["POST /v1/files", { work: "stored", repeatable: false, model: "optional" }],
    ["GET /v1/files/file-1/content", { work: "stored", repeatable: true }],
    ["DELETE /v1/files/file-1", { work: "stored", repeatable: false, model: "none" }],
    ["POST /v1/batches/b/cancel", { work: "stored", repeatable: false }],
    ["GET /v1/responses/resp_1?stream=true", { work: "stored", repeatable: true }],
    ["POST /v1/responses/resp_1/cancel", { work: "stored", repeatable: false }],
    ["DELETE /v1/chat/completions/c1", { work: "stored", repeatable: false }],
    ["GET /v1/filesystem", { work: "unlisted" }],
  ] as const)("%s", (request, facts) => {
    expect(read(request).shape).toMatchObject(facts);
  });
});

describe("what no row knows", () => {
  test.each([
    ["POST /v1/nothing", "unlisted", false],
    ["GET /v1/nothing", "unlisted", true],
    ["POST /v1/Chat/completions", "unlisted", false],
    ["POST /v1//chat/completions", "unlisted", false],
    ["POST /v1/chat/completions/", "stored", false],
    ["POST /v1/chat%2Fcompletions", "unlisted", false],
    ["GET /metrics", "unknown", true],
    ["POST /v2/models/m", "unknown", false],
    ["POST /v2/models/m/other", "unknown", false],
    ["POST /v2/repository/models/m", "unknown", false],
    ["POST /v2/repository/models/m/reload", "unknown", false],
    ["GET /v1", "unknown", true],
    ["OPTIONS *", "unknown", false],
    ["GET ", "unknown", true],
    ["GET ?x", "unknown", true],
  ] as const)("%s is %s", (request, work, repeatable) => {
    expect(read(request).shape).toMatchObject({ work, repeatable });
  });

  test.each([
    ["PUT /v1/chat/completions", "GET, HEAD, POST"],
    ["GET /v1/embeddings", "POST"],
    ["GET /v1/responses", "POST"],
    ["POST /v1/models", "GET, HEAD"],
    ["POST /api/delete", "DELETE"],
    ["OPTIONS /v1/completions?x", "POST"],
    ["POST /v1/models/m", "GET, HEAD, DELETE"],
    ["GET /v2/models/m/infer", "POST"],
    ["POST /v2/models/m/ready", "GET, HEAD"],
    ["GET /v2/repository/models/m/load", "POST"],
    ["OTHER /health", "GET, HEAD"],
  ])("%s: allowed are %s", (request, allow) => {
    expect(read(request)).toMatchObject({ name: "unknown.method", allow });
    expect(read("POST /v1/completions").allow).toBe("");
  });

  test("what may pass is a matter of settings", () => {
    const config = defaultsOf(apiSettings);
    const access = (request: string, changes = {}) => apiAccess(read(request).shape, { ...config, ...changes });
    expect(access("POST /v1/completions")).toBe("pass");
    expect(access("GET /v1/completions")).toBe("method");
    expect(access("POST /v1/nothing")).toBe("pass");
    expect(access("POST /v1/nothing", { unknownPaths: "refuse" })).toBe("not_found");
    expect(access("GET /metrics")).toBe("not_found");
    expect(access("GET /metrics", { unknownPaths: "v1" })).toBe("not_found");
    expect(access("GET /metrics", { unknownPaths: "pass" })).toBe("pass");
    expect(access("POST /api/pull")).toBe("not_found");
    expect(access("POST /v2/repository/models/m/unload")).toBe("not_found");
    expect(access("HEAD /api/blobs/sha256:0a")).toBe("not_found");
    expect(access("POST /v1/load_lora_adapter")).toBe("not_found");
    expect(access("POST /api/pull", { managementPaths: "pass" })).toBe("pass");
    expect(access("POST /register")).toBe("pass");
  });

  test("any bytes are some shape, and a name lies inside the target", () => {
    const part = fc.constantFrom(
      "/v1/",
      "/v2/",
      "models/",
      "repository/",
      "predictions/",
      "versions/",
      "infer",
      "load",
      ":predict",
      "?model=",
      "metadata",
      "/",
      "m",
      "%2F",
      "&",
    );
    const target = fc.array(fc.oneof(part, fc.string({ maxLength: 3 }))).map((parts) => `/${parts.join("")}`);
    fc.assert(
      fc.property(target, fc.nat(7), fc.nat(255), (text, method, filler) => {
        const bytes = Buffer.from(text);
        const buffer = placed(bytes, bytes.length, 3, filler);
        const shape = path.read(buffer, 3, 3 + bytes.length, method);
        expect(shape.name).not.toBe("");
        expect(shape.work === "method").toBe(path.allow !== "");
        if (shape.model === "path") expect(path.modelStart).toBeGreaterThan(3);
        if (path.modelStart >= 0) {
          expect(path.modelEnd).toBeGreaterThanOrEqual(path.modelStart);
          expect(path.modelEnd).toBeLessThanOrEqual(3 + bytes.length);
          path.readModel(buffer);
        }
      }),
      { numRuns: 2000, seed: 7 },
    );
  });
});
