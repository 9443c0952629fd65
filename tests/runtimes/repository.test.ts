/** KServe v2: MLServer as it was recorded, KServe's own server, and what has no repository. */
import { describe, expect, test } from "bun:test";
import { KSERVE } from "../../src/runtimes/kserve.ts";
import { asked, faultOf, fixture, json, provenBy, recorded, Replay, text } from "./replay.ts";

const M = "mlserver-1.7.1";

describe("MLServer", () => {
  test("is read as it was recorded", () => {
    const replay = new Replay(KSERVE).tell({
      "/v2": recorded(`${M}.server.json`),
      "/v2/health/live": text(""),
      "/metrics": recorded(`${M}.metrics.txt`),
      index: recorded(`${M}.index.json`),
    });
    const { version, models, figures } = replay.reading;
    expect(version).toBe("1.7.1");
    expect(models).toMatchObject([{ model: "echo", state: "loaded", capabilities: ["infer"] }]);
    expect(figures).toMatchObject({ runningRequests: 0, failedResponses: 0 });
    expect(models[0]?.figures?.failedResponses).toBe(0);
    expect(figures.waitingRequests).toBeUndefined();
    expect(replay.names).not.toContain("/v2/models");
    replay.tell({ index: recorded(`${M}.unloaded.index.json`) });
    expect(replay.states).toEqual({ echo: "available" });
  });

  test("loads and unloads by name, and does not know some", () => {
    const replay = new Replay(KSERVE).tell({ index: recorded(`${M}.unloaded.index.json`) });
    const load = replay.load("echo");
    expect(asked(load)).toEqual(["POST api /v2/repository/models/echo/load {}"]);
    expect(load.settled(replay.reading)).toBe(false);
    expect(faultOf(load, recorded(`${M}.load-unknown.json`, 404))).toContain(
      "Model nothing not found; see that its model repository",
    );
    expect(replay.unload("echo").settled(replay.reading)).toBe(true);
    expect(provenBy(replay, load, text(""))).toEqual({ echo: "loaded" });
  });
});

describe("a server without a repository", () => {
  test("has a list of names, if it is KServe's", () => {
    const replay = new Replay(KSERVE).tell({ "/v2": fixture("kserve-0.15.server.json") });
    expect(replay.read("index", json({ detail: "Not Found" }, 404))).toMatchObject({ kind: "not_supported" });
    replay.tell({ "/v2/models": fixture("kserve-0.15.models.json") });
    expect(replay.reading.version).toBe("0.15.0");
    expect(replay.states).toEqual({ flowers: "loaded", digits: "loaded" });
  });

  test("says so when it is to load", () => {
    const load = new Replay(KSERVE).load("x");
    expect(faultOf(load, json({ error: "no" }, 501))).toContain("it has no repository API");
  });
});

test("what does not speak the protocol is foreign, and what demands a key is denied", () => {
  const replay = new Replay(KSERVE);
  expect(replay.read("/v2", json({ detail: "Not Found" }, 404))).toMatchObject({ kind: "foreign" });
  expect(replay.read("/v2", json({ schemaVersion: 2 }))).toMatchObject({ kind: "foreign" });
  expect(replay.read("/v2", text("", 401))).toMatchObject({ kind: "denied" });
  expect(replay.read("/v2/health/live", text("", 400))).toMatchObject({ kind: "not_ready" });
});
