/** TorchServe, TensorFlow Serving and OpenVINO Model Server: models by descriptions, by statuses, by a configuration. */
import { describe, expect, test } from "bun:test";
import { OPENVINO } from "../../src/runtimes/openvino.ts";
import { TFSERVING, tfserving } from "../../src/runtimes/tfserving.ts";
import { TORCHSERVE } from "../../src/runtimes/torchserve.ts";
import { asked, faultOf, fixture, json, provenBy, Replay, text, twoPages } from "./replay.ts";

describe("TorchServe", () => {
  const T = "torchserve-0.12";
  const served = () =>
    new Replay(TORCHSERVE)
      .tell({
        "/api-description": fixture(`${T}.api-description.json`),
        "/ping": json({ status: "Healthy" }),
        models: fixture(`${T}.models.json`),
      })
      .tell({
        "description of noop": fixture(`${T}.noop.json`),
        "description of resnet18": fixture(`${T}.resnet18.json`),
        "description of starting": fixture(`${T}.starting.json`),
      });

  test("models are as their workers are, with the queues of their jobs", () => {
    const replay = served();
    expect(replay.reading.version).toBe("0.12.0");
    expect(replay.states).toEqual({ noop: "available", resnet18: "loaded", starting: "loading" });
    const resnet = replay.reading.models.find(({ model }) => model === "resnet18");
    expect(resnet?.figures).toMatchObject({ waitingRequests: 7, slots: 8 });
    expect(replay.reading.figures).toMatchObject({ waitingRequests: 7, slots: 8 });
    expect(replay.adapter.looks.find(({ name }) => name === "description of noop")?.ask).toEqual({
      method: "GET",
      port: "management",
      path: "/models/noop",
    });
  });

  test("a model that is gone is not described any more", () => {
    const replay = served().tell({ models: json({ models: [{ modelName: "noop" }] }) });
    expect(replay.names).not.toContain("description of resnet18");
    expect(replay.states).toEqual({ noop: "available" });
  });

  test("metrics have rates, under the names of before and of now", () => {
    const { figures } = twoPages(TORCHSERVE, "/metrics", T);
    expect(figures).toMatchObject({ requestsPerSecond: 2, failedResponses: 3 });
    expect(TORCHSERVE.ports).toEqual({ api: 8080, management: 8081, metrics: 8082 });
  });

  test("serves though one of its models lacks workers", () => {
    expect(new Replay(TORCHSERVE).read("/ping", json({ status: "Unhealthy" }, 500))).toEqual({ ok: true });
  });

  test("loading registers, or gives a worker to what is registered", () => {
    const replay = served();
    expect(asked(replay.load("noop"))).toEqual([
      "PUT management /models/noop?min_worker=1&max_worker=1&synchronous=true",
    ]);
    const load = replay.load("squeezenet", { source: "https://models.example/squeezenet1_1.mar" });
    expect(asked(load)).toEqual([
      "POST management /models?url=https%3A%2F%2Fmodels.example%2Fsqueezenet1_1.mar&model_name=squeezenet&initial_workers=1&synchronous=true",
    ]);
    expect(faultOf(load, json({ status: "Processing worker updates..." }, 202))).toBe("");
    expect(faultOf(load, fixture(`${T}.no-api.json`, 405))).toContain("--enable-model-api");
    expect(
      faultOf(
        load,
        json(
          {
            code: 409,
            type: "ConflictStatusException",
            message: "Model version 1.0 is already registered for model squeezenet",
          },
          409,
        ),
      ),
    ).toBe("");
    expect(
      faultOf(load, json({ code: 400, type: "InvalidKeyException", message: "Token Authorization failed." }, 400)),
    ).toContain("management key");
    expect(faultOf(load, json({ code: 404, message: "Model not found in model store" }, 404))).toContain(
      "squeezenet.mar",
    );
    expect(provenBy(replay, load, json({ status: "Workers scaled to 1" }))).toMatchObject({ squeezenet: "loaded" });
    expect(load.proves?.(json({}))?.toldBy).toEqual(["models", "description of squeezenet"]);
    expect(provenBy(replay, load, json({ status: "Processing worker updates..." }, 202))).toBeUndefined();
    // That it is registered says nothing of its workers.
    expect(provenBy(replay, load, json({ code: 409 }, 409))).toBeUndefined();
    expect(provenBy(replay, replay.unload("resnet18"), json({}))).toMatchObject({ resnet18: "available" });
    expect(asked(replay.unload("resnet18"))).toEqual([
      "PUT management /models/resnet18?min_worker=0&max_worker=0&synchronous=true",
    ]);
    expect(replay.unload("resnet18").settled(replay.reading)).toBe(false);
    expect(faultOf(replay.unload("x"), json({ message: "Model not found: x" }, 404))).toBe("");
  });
});

describe("TensorFlow Serving", () => {
  const T = "tfserving-2.19";
  const PAGE = "/monitoring/prometheus/metrics";

  test("models that are named are asked about where no metrics tell of any", () => {
    const replay = new Replay(tfserving(["half", "gone"])).tell({
      "/v1/models": fixture(`${T}.malformed.json`, 400),
      "status of half": fixture(`${T}.status.json`),
      "status of gone": fixture(`${T}.unknown.json`, 404),
    });
    expect(replay.states).toEqual({ half: "loaded" });
    expect(replay.read("/monitoring/prometheus/metrics", text("", 404))).toMatchObject({ kind: "not_supported" });
    expect(replay.names).toContain("status of gone");
  });

  test("finds models in its metrics, and believes what it is told of each", () => {
    const replay = new Replay(TFSERVING).tell({
      "/v1/models": fixture(`${T}.malformed.json`, 400),
      health: fixture(`${T}.malformed.json`, 400),
      [PAGE]: fixture(`${T}.metrics.1.txt`),
      folders: fixture(`${T}.metrics.1.txt`),
    });
    expect(replay.names.filter((name) => name.startsWith("status of"))).toEqual([
      "status of half_plus_two",
      "status of gone",
    ]);
    expect(replay.states).toEqual({});
    replay.tell({
      "status of half_plus_two": fixture(`${T}.status.json`),
      "status of gone": fixture(`${T}.unknown.json`, 404),
    });
    expect(replay.states).toEqual({ half_plus_two: "loaded" });
    replay.tell({ "status of half_plus_two": fixture(`${T}.failed.json`) });
    expect(replay.states).toEqual({ half_plus_two: "failed: RESOURCE_EXHAUSTED: OOM when allocating tensor" });
  });

  test("has rates and times in the queue", () => {
    const { figures } = twoPages(TFSERVING, PAGE, T);
    expect(figures.requestsPerSecond).toBe(3);
    expect(figures.queueTime?.p50).toBeGreaterThan(0.0008);
    expect(figures.queueTime?.p99).toBeLessThan(0.0025);
  });

  test("says what it was started without, and is known by how it refuses", () => {
    const replay = new Replay(TFSERVING);
    expect(
      replay.read(PAGE, json({ error: "Malformed request: GET /monitoring/prometheus/metrics" }, 400)),
    ).toMatchObject({
      kind: "not_supported",
      message: expect.stringContaining("--monitoring_config_file"),
    });
    expect(replay.read("/v1/models", json({ object: "list", data: [] }))).toMatchObject({ kind: "foreign" });
    expect(replay.read("/v1/models", text("<html>", 404))).toMatchObject({ kind: "foreign" });
    expect(faultOf(replay.load("m"), text(""))).toContain("--model_config_file");
    expect(replay.unload("m").asks).toEqual([]);
  });
});

describe("OpenVINO Model Server", () => {
  test("has every model's state in its configuration's status", () => {
    const replay = new Replay(OPENVINO).tell({
      "/v2": fixture("openvino-2024.5.server.json"),
      "/v2/health/live": text(""),
      "/v1/config": fixture("openvino-2024.5.config.json"),
    });
    expect(replay.reading.version).toBe("2024.5.0.fd742507");
    expect(replay.states).toEqual({
      resnet: "loaded",
      coming: "loading",
      broken: "failed: FAILED_PRECONDITION: Cannot load model",
      old: "available",
      llm: "loaded",
    });
  });

  test.each(["2022.3", "2026.3"])("metrics of %s", (version) => {
    const { replay, figures } = twoPages(OPENVINO, "/metrics", `openvino-${version}`);
    replay.tell({ "/v1/config": fixture("openvino-2024.5.config.json") });
    const own = Object.fromEntries(replay.reading.models.map((model) => [model.model, model.figures]));
    expect(own["resnet"]).toMatchObject({ runningRequests: 5, slots: 8, requestsPerSecond: 3, failedResponses: 2 });
    expect(own["resnet"]?.queueTime?.p50).toBeCloseTo(105e-6, 5);
    const withGraphs = version === "2026.3";
    expect(figures.runningRequests).toBe(withGraphs ? 8 : 5);
    expect(own["llm"]?.runningRequests).toBe(withGraphs ? 3 : undefined);
    expect(own["llm"]?.requestsPerSecond).toBe(withGraphs ? 0.5 : undefined);
  });

  test("reads its configuration anew, and says what must stand there", () => {
    const replay = new Replay(OPENVINO).tell({ "/v1/config": fixture("openvino-2024.5.config.json") });
    const load = replay.load("new");
    expect(asked(load)).toEqual(["POST api /v1/config/reload {}"]);
    expect(faultOf(load, json({}, 201))).toBe("");
    expect(faultOf(load, json({ error: "Config file not found or cannot open." }, 412))).toContain("base_path");
    expect(load.settled(replay.reading)).toBe(false);
    expect(replay.unload("resnet").asks).toEqual([]);
    const status = (state: string) => json({ new: { model_version_status: [{ version: "1", state }] } }, 201);
    expect(provenBy(replay, load, status("AVAILABLE"))).toMatchObject({ new: "loaded", resnet: "loaded" });
    for (const answer of [status("LOADING"), json({}, 201), text("no status")]) {
      expect(provenBy(replay, load, answer)).toBeUndefined();
    }
    expect(replay.read("/v2", json({ name: "triton" }))).toMatchObject({ kind: "foreign" });
  });
});
