/** The tables against servers that run: each is known for what it is, read, and changed by the plans. */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import type { Answer, Ask, ModelCall, Port, Proof } from "../../src/runtimes/adapter.ts";
import { Identification, type Identity } from "../../src/runtimes/identify.ts";
import { KSERVE } from "../../src/runtimes/kserve.ts";
import { LLAMACPP } from "../../src/runtimes/llamacpp.ts";
import { OLLAMA as OLLAMA_TABLE } from "../../src/runtimes/ollama.ts";
import { LOADED_MODEL, type RuntimeReading } from "../../src/runtimes/reading.ts";
import { TableAdapter } from "../../src/runtimes/table-adapter.ts";
import type { AdapterTable } from "../../src/runtimes/table.ts";
import { TRITON as TRITON_TABLE } from "../../src/runtimes/triton.ts";
import { SseData } from "../../src/wire/sse-data.ts";
import { LLAMA_ROUTER, LLAMA_SERVER, MODELS, startLlamaRouter, startLlamaServer } from "./llama-server.ts";
import { MLSERVER, startMlServer } from "./mlserver.ts";
import { OLLAMA, startOllama } from "./ollama.ts";
import { startTriton, TRITON } from "./triton.ts";

const TIMEOUT_MS = 90_000;
const PAUSE_MS = 50;
const TRIES = 600;

interface Running {
  readonly url: string;
  readonly metrics?: string;
  stop(): Promise<void>;
}

/** A server that runs, spoken to as an adapter wants it. */
class Peer {
  /** Changes that the answers by themselves have proved. */
  readonly proved: string[] = [];
  readonly #adapter: TableAdapter;
  readonly #running: Running;

  constructor(table: AdapterTable, running: Running) {
    this.#adapter = new TableAdapter(table);
    this.#running = running;
  }

  async ask({ method, port, path, body }: Ask): Promise<Answer> {
    const answer = await fetch(this.#base(port) + path, {
      method,
      // Connections that were kept may be gone by now.
      headers: { connection: "close", ...(body === undefined ? {} : { "content-type": "application/json" }) },
      ...(body === undefined ? {} : { body }),
    });
    return { status: answer.status, contentType: answer.headers.get("content-type") ?? "", body: await answer.bytes() };
  }

  #base(port: Port): string {
    const { url, metrics } = this.#running;
    return port === "metrics" && metrics !== undefined ? new URL(metrics).origin : url;
  }

  async identity(): Promise<Identity | undefined> {
    const search = new Identification();
    for (let ask = search.take(); ask !== undefined; ask = search.take()) search.answered(await this.ask(ask));
    return search.found;
  }

  /** All looks once, those that come of them too. */
  async look(): Promise<RuntimeReading> {
    const done = new Set<string>();
    for (let next = this.#next(done); next !== undefined; next = this.#next(done)) {
      done.add(next.name);
      const read = this.#adapter.answered(next, await this.ask(next.ask), performance.now());
      // The page of a model that goes at this moment is a fault of its own.
      const isFine = read.ok || read.kind === "not_supported" || next.role === "metrics";
      if (!isFine) throw new Error(`${next.name}: ${read.message}`);
    }
    return this.#adapter.reading(performance.now());
  }

  #next(done: ReadonlySet<string>) {
    return this.#adapter.looks.find(({ name }) => !done.has(name));
  }

  /** Reads its feed until it is done with: what that tells of models, in order, each thing once. */
  async follow(): Promise<{ told: string[]; done(): Promise<void> }> {
    const { feed } = this.#adapter;
    if (feed === undefined) throw new Error("it has no feed");
    const end = new AbortController();
    const told: string[] = [];
    const events = new SseData();
    const take = (data: string): void => {
      const news = feed.read(data);
      if (news === undefined || news === "other") return;
      const { model, proof } = news;
      const state = proof.models([{ model, ...LOADED_MODEL }])[0]?.state;
      if (told.at(-1) !== `${model} ${state}`) told.push(`${model} ${state}`);
    };
    const { body } = await fetch(this.#base(feed.ask.port) + feed.ask.path, { signal: end.signal });
    const reading = (async () => {
      for await (const piece of body ?? []) events.push(piece, take);
    })().catch(() => {});
    return {
      told,
      done: async () => {
        end.abort();
        await reading;
      },
    };
  }

  async change(verb: "load" | "unload", model: string): Promise<string> {
    const reading = this.#adapter.reading(performance.now());
    const call: ModelCall | undefined =
      verb === "load"
        ? this.#adapter.load(model, { source: "", parent: "" }, reading)
        : this.#adapter.unload(model, reading);
    if (call === undefined) return "no plan";
    let proof: Proof | undefined;
    for (const [index, ask] of call.asks.entries()) {
      const answer = await this.ask(ask);
      const fault = call.fault(answer, index);
      if (fault !== "") return fault;
      proof = call.proves?.(answer);
    }
    if (proof !== undefined) {
      this.proved.push(`${verb} ${model}`);
      if (!call.settled({ ...reading, models: proof.models(reading.models) })) return "it proves something else";
    }
    // What an answer proves is so when it is there.
    for (let tries = 0; tries < (proof === undefined ? TRIES : 1); tries++) {
      if (call.settled(await this.look())) return "";
      await Bun.sleep(PAUSE_MS);
    }
    return "it never came to that";
  }
}

const states = ({ models }: RuntimeReading) => Object.fromEntries(models.map(({ model, state }) => [model, state]));

describe.skipIf(LLAMA_SERVER === null)("llama-server", () => {
  let running: Running;
  beforeAll(async () => {
    const { url, runtime } = await startLlamaServer({ slots: 2 });
    running = { url, stop: () => runtime.stop() };
  }, TIMEOUT_MS);
  afterAll(() => running.stop());

  test("is known and read", async () => {
    const peer = new Peer(LLAMACPP, running);
    expect((await peer.identity())?.kind).toBe("llamacpp");
    const reading = await peer.look();
    expect(states(reading)).toEqual({ tiny: "loaded" });
    expect(reading.models[0]).toMatchObject({ contextTokensMax: 4096, capabilities: ["chat", "completions"] });
    expect(reading.figures).toMatchObject({ runningRequests: 0, waitingRequests: 0, slots: 2 });
    expect(await peer.change("load", "another")).toContain("--models-dir");
  });
});

describe.skipIf(LLAMA_ROUTER === null)("llama-server's router", () => {
  let running: Running;
  beforeAll(async () => {
    const { url, runtime } = await startLlamaRouter();
    running = { url, stop: () => runtime.stop() };
  }, TIMEOUT_MS);
  afterAll(() => running.stop());

  test(
    "is known, loads and lets go",
    async () => {
      const [one, two] = MODELS;
      const peer = new Peer(LLAMACPP, running);
      expect((await peer.identity())?.kind).toBe("llamacpp");
      expect(states(await peer.look())).toEqual({ [one]: "available", [two]: "available" });
      const feed = await peer.follow();
      expect(await peer.change("load", one)).toBe("");
      const reading = await peer.look();
      expect(states(reading)).toEqual({ [one]: "loaded", [two]: "available" });
      expect(reading.models[0]?.figures?.runningRequests).toBe(0);
      // What is so already is no fault.
      expect(await peer.change("load", one)).toBe("");
      expect(await peer.change("unload", one)).toBe("");
      expect(states(await peer.look())).toEqual({ [one]: "available", [two]: "available" });
      expect(await peer.change("load", "nothing")).toContain("nothing");
      await feed.done();
      expect(feed.told).toEqual([`${one} loading`, `${one} loaded`, `${one} available`]);
      // It answers as soon as it has begun.
      expect(peer.proved).toEqual([]);
    },
    TIMEOUT_MS,
  );
});

describe.skipIf(TRITON === null)("Triton", () => {
  let running: Running;
  beforeAll(async () => {
    const { url, metrics, runtime } = await startTriton();
    running = { url, metrics, stop: () => runtime.stop() };
  }, TIMEOUT_MS);
  afterAll(() => running.stop());

  test(
    "is known, loads and lets go",
    async () => {
      const peer = new Peer(TRITON_TABLE, running);
      const identity = await peer.identity();
      expect(identity?.kind).toBe("triton");
      const reading = await peer.look();
      expect(reading.version).toBe(identity!.version);
      expect(states(reading)).toEqual({ echo: "loaded", idle: "available", words: "loaded" });
      expect(reading.models.find(({ model }) => model === "echo")?.figures?.waitingRequests).toBe(0);
      expect(await peer.change("load", "idle")).toBe("");
      expect(await peer.change("unload", "idle")).toBe("");
      expect(await peer.change("load", "nothing")).toContain("--model-repository");
      expect(peer.proved).toEqual(["load idle"]);
    },
    TIMEOUT_MS,
  );
});

describe.skipIf(MLSERVER === null)("MLServer", () => {
  let running: Running;
  beforeAll(async () => {
    const { url, metrics, runtime } = await startMlServer();
    running = { url, metrics, stop: () => runtime.stop() };
  }, TIMEOUT_MS);
  afterAll(() => running.stop());

  test(
    "is known, loads and lets go",
    async () => {
      const peer = new Peer(KSERVE, running);
      expect((await peer.identity())?.kind).toBe("kserve");
      expect(states(await peer.look())).toEqual({ echo: "loaded" });
      expect(await peer.change("unload", "echo")).toBe("");
      expect(states(await peer.look())).toEqual({ echo: "available" });
      expect(await peer.change("load", "echo")).toBe("");
      expect(await peer.change("load", "nothing")).toContain("model repository");
      expect(peer.proved).toEqual(["load echo"]);
    },
    TIMEOUT_MS,
  );
});

describe.skipIf(OLLAMA === null)("Ollama", () => {
  let running: Running;
  beforeAll(async () => {
    const { url, runtime } = await startOllama();
    running = { url, stop: () => runtime.stop() };
  }, TIMEOUT_MS);
  afterAll(() => running.stop());

  test(
    "is known, loads and lets go",
    async () => {
      const peer = new Peer(OLLAMA_TABLE, running);
      expect((await peer.identity())?.kind).toBe("ollama");
      const reading = await peer.look();
      expect(reading.version).not.toBe("");
      expect(states(reading)).toEqual({ "tiny:latest": "available", tiny: "available" });
      expect(await peer.change("load", "tiny")).toBe("");
      const loaded = await peer.look();
      expect(states(loaded)).toEqual({ "tiny:latest": "loaded", tiny: "loaded" });
      expect(loaded.models[0]?.contextTokensMax).toBeGreaterThan(0);
      expect(await peer.change("unload", "tiny")).toBe("");
      expect(states(await peer.look())).toEqual({ "tiny:latest": "available", tiny: "available" });
      expect(await peer.change("unload", "nothing")).toBe("");
      expect(peer.proved).toEqual(["load tiny"]);
    },
    TIMEOUT_MS,
  );
});
