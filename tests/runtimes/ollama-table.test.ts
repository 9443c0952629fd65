/** Ollama: what it has and what is in memory, in two generations; loading, with a pull where it is wanted. */
import { describe, expect, test } from "bun:test";
import { OLLAMA } from "../../src/runtimes/ollama.ts";
import { asked, faultOf, fixture, json, provenBy, recorded, Replay, text } from "./replay.ts";

function ollama(version: string): Replay {
  return new Replay(OLLAMA).tell({
    "/api/version": json({ version: "0.5.1" }),
    "/": text("Ollama is running"),
    "/api/tags": fixture(`ollama-${version}.tags.json`),
    "/api/ps": fixture(`ollama-${version}.ps.json`),
  });
}

describe("models", () => {
  test("of 0.5, by their short names too", () => {
    const replay = ollama("0.5");
    expect(replay.reading.version).toBe("0.5.1");
    expect(replay.states).toEqual({
      "llama3.2:latest": "loaded",
      "llama3.2": "loaded",
      "nomic-embed-text:v1.5": "available",
    });
    expect(replay.reading.models.map(({ capabilities }) => capabilities)).toEqual([[], [], ["embeddings"]]);
    expect(replay.reading.figures.runningRequests).toBeUndefined();
  });

  test("of 0.33, with capabilities, and the context that a model has in memory", () => {
    const replay = ollama("0.33");
    expect(replay.states).toEqual({
      "qwen3:8b": "loaded",
      "embeddinggemma:latest": "available",
      embeddinggemma: "available",
    });
    const [qwen, gemma] = replay.reading.models;
    expect(qwen).toMatchObject({ contextTokensMax: 8192, capabilities: ["chat", "completions"] });
    expect(gemma).toMatchObject({ contextTokensMax: 2048, capabilities: ["embeddings"] });
    replay.tell({ "/api/ps": json({ models: [] }) });
    expect(replay.reading.models[0]).toMatchObject({ state: "available", contextTokensMax: 40_960 });
  });

  test("are loaded by requests for them, and tell their sizes", () => {
    const [qwen, gemma, short] = ollama("0.33").reading.models;
    expect(qwen).toMatchObject({ loadsOnDemand: true, sizeBytes: 5_225_388_164 });
    for (const one of [gemma, short]) expect(one).toMatchObject({ loadsOnDemand: true, sizeBytes: 621_875_917 });
  });

  test("of what is no Ollama are not believed", () => {
    const replay = new Replay(OLLAMA);
    expect(replay.read("/api/version", json({ error: "no" }, 404))).toMatchObject({ kind: "foreign" });
    expect(replay.read("/api/version", json({ server: "x" }))).toMatchObject({ kind: "foreign" });
    expect(replay.read("/api/tags", json({ data: [] }))).toMatchObject({ kind: "unreadable" });
  });
});

describe("loading", () => {
  test("what it has takes a request without a prompt, and keeps it", () => {
    const replay = ollama("0.33");
    const load = replay.load("qwen3:8b");
    expect(asked(load)).toEqual(['POST api /api/generate {"model":"qwen3:8b","stream":false,"keep_alive":-1}']);
    expect(faultOf(load, json({ model: "qwen3:8b", done: true, done_reason: "load" }))).toBe("");
    expect(faultOf(load, json({ error: "llama runner process has terminated" }, 500))).toContain(
      "llama runner process",
    );
    expect(load.settled(replay.reading)).toBe(true);
    const done = json({ done: true, done_reason: "load" });
    expect(provenBy(replay, load, done)).toMatchObject({ "qwen3:8b": "loaded" });
    // The other list says nothing of memory.
    expect(load.proves?.(done)?.toldBy).toEqual(["/api/ps"]);
    expect(provenBy(replay, replay.load("embeddinggemma"), done)).toMatchObject({
      "embeddinggemma:latest": "loaded",
      embeddinggemma: "loaded",
    });
    expect(asked(replay.load("embeddinggemma"))).toEqual([
      'POST api /api/embed {"model":"embeddinggemma:latest","input":[],"keep_alive":-1}',
    ]);
  });

  test("what it does not have is pulled first, with progress", () => {
    const replay = ollama("0.33");
    const load = replay.load("llama3.2");
    expect(asked(load)).toEqual([
      'POST api /api/pull {"model":"llama3.2:latest","stream":true}',
      'POST api /api/generate {"model":"llama3.2:latest","stream":false,"keep_alive":-1}',
    ]);
    // What is known of it then is in no list yet.
    expect(provenBy(replay, load, json({ done: true }))).toBeUndefined();
    expect(load.patienceMs).toBeGreaterThan(replay.load("qwen3:8b").patienceMs);
    const pulled = fixture("ollama.pull.ndjson");
    const lines = new TextDecoder().decode(pulled.body).trimEnd().split("\n");
    expect(lines.map((line) => load.progress?.(line))).toEqual([
      { text: "pulling manifest" },
      { text: "pulling dde5aa3fc5ff", fraction: 0 },
      { text: "pulling dde5aa3fc5ff", fraction: 0.25 },
      { text: "verifying sha256 digest" },
      { text: "writing manifest" },
      { text: "success" },
    ]);
    expect(faultOf(load, pulled)).toBe("");
  });

  test("a pull that fails says so, though its status is 200", () => {
    const load = ollama("0.33").load("nothing");
    const line = '{"status":"pulling manifest"}\n{"error":"pull model manifest: file does not exist"}\n';
    expect(faultOf(load, text(line))).toContain("file does not exist; see that this machine reaches the registry");
    expect(faultOf(load, json({ error: "connection refused" }, 500))).toContain("connection refused");
    expect(faultOf(load, text('{"status":"pulling dde5"}\n'))).toContain("it goes on where it stopped");
    expect(faultOf(load, text(""))).toContain("ask for it again");
    expect(faultOf(load, json({ error: '"nothing" does not support generate' }, 400), 1)).toContain("ask for it again");
  });

  test("names of registries keep their ports", () => {
    const load = ollama("0.5").load("localhost:5000/org/m");
    expect(asked(load)[0]).toContain('"model":"localhost:5000/org/m:latest"');
  });
});

test("unloading is a request too, and what is not there is not in memory", () => {
  const replay = ollama("0.5");
  const unload = replay.unload("llama3.2");
  expect(asked(unload)).toEqual(['POST api /api/generate {"model":"llama3.2:latest","stream":false,"keep_alive":0}']);
  expect(faultOf(unload, json({ error: "model 'llama3.2' not found" }, 404))).toBe("");
  expect(faultOf(unload, json({ error: "broken" }, 500))).toContain("broken");
  expect(unload.settled(replay.reading)).toBe(false);
  replay.tell({ "/api/ps": json({ models: [] }) });
  expect(unload.settled(replay.reading)).toBe(true);
});

test("a server that runs is read as it was recorded", () => {
  const O = "ollama-0.17.4";
  const replay = new Replay(OLLAMA).tell({
    "/api/version": recorded(`${O}.version.json`),
    "/": recorded(`${O}.root.txt`),
    "/api/tags": recorded(`${O}.tags.json`),
    "/api/ps": recorded(`${O}.unloaded.ps.json`),
  });
  expect(replay.reading.version).toBe("0.17.4");
  expect(new Set(Object.values(replay.states))).toEqual(new Set(["available"]));
  const load = replay.load("tiny");
  expect(load.asks).toHaveLength(1);
  expect(faultOf(load, recorded(`${O}.load.json`))).toBe("");
  expect(faultOf(load, recorded(`${O}.load-unknown.json`, 404))).toContain("not found");
  replay.tell({ "/api/ps": recorded(`${O}.loaded.ps.json`) });
  expect(load.settled(replay.reading)).toBe(true);
});
