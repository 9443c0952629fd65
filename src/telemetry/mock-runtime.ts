/**
 * A stand-in for an LLM server: OpenAI's API over a simulated engine (sim/) that is driven by real time. All model
 * names that it serves share one engine, as adapters of one base model do: one batch, one queue, one KV cache.
 *
 * Faults: slow stretches every step, stall takes inference requests and answers nothing more (health, models and
 * metrics go on: the hardest case to notice), the error rate answers seeded 500s, crash ends the process.
 */

import { MeshError, toMeshError } from "../base/errors.ts";
import { version } from "../base/version.ts";
import type { SplitRole } from "../fleet/role.ts";
import type { RuntimeStatus } from "../runtimes/state.ts";
import { type ModelSample, PLAIN_MODEL } from "../score/sample.ts";
import type { BatchingStats } from "../sim/batching.ts";
import { PROFILES } from "../sim/profile.ts";
import type { Profile, ProfileName } from "../sim/profile.ts";
import { EVENT_STREAM, Endpoints } from "./mock-endpoints.ts";
import { createFaultControl } from "./mock-faults.ts";
import type { FaultControl } from "./mock-faults.ts";
import { MockEngine } from "./mock-engine.ts";
import { MockGpus } from "./mock-gpus.ts";
import { vllmMetrics } from "./mock-metrics.ts";
import { MockModels } from "./mock-models.ts";
import { decodeName, failure, json, modelCard, notAllowed } from "./mock-replies.ts";
import { type MockTransfers, transfersOf } from "./mock-transfers.ts";
import type { ModelChange, ModelStatus, Runtime, RuntimeEndpoint } from "./runtime.ts";
import type { RuntimeSample } from "./sampler.ts";

export interface MockRuntimeOptions {
  /** Default 127.0.0.1. */
  readonly hostname?: string;
  /** Default 0: any free one. */
  readonly port?: number;
  /** Default h100-8b. */
  readonly profile?: ProfileName | Profile;
  /** Names that the one simulated model answers to; default: the profile's own. */
  readonly models?: readonly string[];
  /** Decides texts, vectors and injected errors; default 1. */
  readonly seed?: number;
  /** The node's name, so that no two machines have a GPU of the same UUID; default: none. */
  readonly machine?: string;
  /** Simulated seconds per real second; default 1. */
  readonly speed?: number;
  /** GPUs that the node shows; default: as many as the profile uses. */
  readonly gpus?: number;
  /** What part of requests it computes (mock-transfers.ts); default: all of them. */
  readonly role?: SplitRole | null;
  /** How long a model that is unloaded is still served, while the word gets around; default 1 s. */
  readonly goodbyeMs?: number;
  /** What the crash fault does; default: the process exits with 137. */
  readonly onCrash?: () => void;
}

export interface MockRuntime extends Runtime {
  readonly hostname: string;
  readonly port: number;
  readonly faults: FaultControl;
  /** The GPUs, as what reads real ones would show them. */
  readonly gpus: MockGpus;
  stats(): BatchingStats;
  /** Refuses new requests, lets the running ones finish for up to `drainMs`, then closes everything. */
  stop(drainMs?: number): Promise<void>;
}

const BODY_BYTES_MAX = 64 * 1024 ** 2;
const REQUEST_ID_CHARS_MAX = 256;
const DRAIN_POLL_MS = 5;

type Answer = (request: Request, id: string) => Promise<Response>;

interface Route {
  readonly method: "GET" | "POST";
  readonly answer: Answer;
}

class SimulatedRuntime implements MockRuntime {
  readonly name = "mock";
  readonly kind = "mock";
  readonly version = version;
  readonly reading = undefined;
  readonly asks = { failures: new Map<string, number>(), metricsSeconds: undefined, metricsBytes: undefined };
  readonly #models: MockModels;
  readonly faults: FaultControl;
  readonly gpus: MockGpus;
  readonly #profile: Profile;
  readonly #engine: MockEngine;
  readonly #server: Bun.Server<undefined>;
  readonly #endpoints: Endpoints;
  readonly #transfers: MockTransfers | null;
  readonly #startedAtSeconds = Math.floor(Date.now() / 1_000);
  readonly #startedMs = performance.now();
  readonly #routes: ReadonlyMap<string, Route>;
  readonly #figureListeners = new Set<() => void>();
  #inProgress = 0;
  #failedResponses = 0;
  #draining = false;

  constructor(options: MockRuntimeOptions) {
    const { profile = "h100-8b", seed = 1, speed = 1 } = options;
    this.#profile = typeof profile === "string" ? PROFILES[profile] : profile;
    const named = options.models ?? [];
    this.#models = new MockModels({
      models: named.length === 0 ? [this.#profile.model] : named,
      speed,
      cancel: (model) => this.#endpoints.cancelModel(model),
      goodbyeMs: options.goodbyeMs,
    });
    const gpus = options.gpus ?? this.#profile.gpuCount;
    const moved = (): void => {
      for (const listener of this.#figureListeners) listener();
    };
    this.#engine = new MockEngine({ profile: this.#profile, seed, speed, gpus, moved });
    this.#transfers = transfersOf(options.role, this);
    const endpoints = new Endpoints({
      transfers: this.#transfers,
      engine: this.#engine,
      models: this.#models,
      seed,
      onStreamEnd: () => void (this.#inProgress -= 1),
    });
    this.#endpoints = endpoints;
    this.gpus = new MockGpus(this.#engine, seed, options.machine ?? "");
    this.faults = createFaultControl(this.#engine, this.gpus, options.onCrash ?? (() => process.exit(137)));
    const inference = (answer: Answer) => ({ method: "POST", answer: this.#guarded(answer) }) satisfies Route;
    const plain = (answer: Answer) => ({ method: "GET", answer }) satisfies Route;
    this.#routes = new Map<string, Route>([
      ["/v1/chat/completions", inference((request, id) => endpoints.chat(request, id))],
      ["/v1/completions", inference((request, id) => endpoints.complete(request, id))],
      ["/v1/inference", inference((request, id) => endpoints.infer(request, id))],
      ["/v1/embeddings", inference((request) => endpoints.embed(request))],
      ["/v1/audio/transcriptions", inference((request) => endpoints.transcribe(request))],
      ["/v1/models", plain(async () => json({ object: "list", data: this.models.map((name) => this.#card(name)) }))],
      ["/health", plain(async () => new Response(null, { status: this.#draining ? 503 : 200 }))],
      ["/metrics", plain(async () => this.#metrics())],
    ]);
    this.#server = Bun.serve({
      hostname: options.hostname ?? "127.0.0.1",
      port: options.port ?? 0,
      // Answers may take longer than any idle timeout: a queue, a stall, a long pause between tokens.
      idleTimeout: 0,
      maxRequestBodySize: BODY_BYTES_MAX,
      fetch: (request) => this.#handle(request),
      error: (error) => failure(toMeshError(error), crypto.randomUUID()),
    });
  }

  get models(): readonly string[] {
    return this.#models.names;
  }

  load(model: string, signal: AbortSignal): Promise<ModelChange> {
    return this.#models.load(model, signal);
  }

  unload(model: string, drainMs: number, signal: AbortSignal): Promise<ModelChange> {
    return this.#models.unload(model, drainMs, signal);
  }

  watch(listener: () => void): void {
    this.#models.watch(listener);
  }

  watchFigures(listener: () => void): void {
    this.#figureListeners.add(listener);
  }

  get status(): RuntimeStatus {
    return { state: "ready", message: "", sinceMs: this.#startedMs };
  }

  get modelStates(): readonly ModelStatus[] {
    return this.models.map((model) => ({ model, state: "loaded", reason: "" }));
  }

  get endpoints(): readonly RuntimeEndpoint[] {
    return [{ name: "http", host: this.hostname, port: this.port, protocol: "http", tls: false }];
  }

  get hostname(): string {
    return this.#server.hostname ?? "127.0.0.1";
  }

  get port(): number {
    return this.#server.port ?? 0;
  }

  stats(): BatchingStats {
    return this.#engine.stats();
  }

  /** Rates are of real time, as the router's are: a node at ten times the speed is ten times as fast. */
  sample(): RuntimeSample {
    const stats = this.#engine.stats();
    const { speed, faults } = this.#engine;
    const profile = this.#profile;
    const prefillRate = stats.prefillTokensPerSecond ?? profile.prefillTokensPerSecond / faults.slow;
    const figures = {
      runningRequests: stats.running,
      waitingRequests: stats.waiting,
      queuedPrefillTokens: stats.queuedPrefillTokens,
      kvUsage: stats.kvBlocksUsed / stats.kvBlocks,
      kvCapacityTokens: stats.kvBlocks * profile.blockTokens,
      prefillTokensPerSecond: prefillRate * speed,
      decodeTokensPerSecond:
        stats.decodeTokensPerSecond === undefined ? undefined : stats.decodeTokensPerSecond * speed,
      slots: profile.runningMax,
    };
    return {
      ready: !this.#draining,
      draining: this.#draining,
      // One engine serves them all: what waits for one waits for each.
      models: this.models.map((model): ModelSample => ({ ...PLAIN_MODEL, model, ...figures })),
      requestsInProgress: this.#inProgress,
      failedResponses: this.#failedResponses,
    };
  }

  async stop(drainMs = 0): Promise<void> {
    this.#draining = true;
    const untilMs = performance.now() + drainMs;
    while (this.#inProgress > 0 && performance.now() < untilMs) await Bun.sleep(DRAIN_POLL_MS);
    this.#endpoints.cancelAll();
    await this.#server.stop(true);
    await this.gpus.stop();
    this.#engine.close();
  }

  // ---- HTTP
  async #handle(request: Request): Promise<Response> {
    const asked = request.headers.get("x-request-id") ?? "";
    const id = asked !== "" && asked.length <= REQUEST_ID_CHARS_MAX ? asked : crypto.randomUUID();
    try {
      const response = await this.#dispatch(request, id);
      response.headers.set("x-request-id", id);
      return response;
    } catch (error) {
      return failure(toMeshError(error), id);
    }
  }

  async #dispatch(request: Request, id: string): Promise<Response> {
    const { pathname } = new URL(request.url);
    const method = request.method === "HEAD" ? "GET" : request.method;
    const route = this.#routes.get(pathname);
    if (route !== undefined) {
      if (method === route.method) return route.answer(request, id);
      throw notAllowed(request.method, pathname, route.method);
    }
    if (pathname.startsWith("/v1/models/")) {
      if (method !== "GET") throw notAllowed(request.method, pathname, "GET");
      return json(this.#card(this.#endpoints.known(decodeName(pathname.slice("/v1/models/".length)))));
    }
    const handed = this.#transfers?.answer(pathname);
    if (handed) return handed;
    throw new MeshError("not_found", `there is nothing at ${pathname}`);
  }

  /** Counts an inference request while it is under way, and lets the faults have their say. */
  #guarded(answer: Answer): Answer {
    return async (request, id) => {
      if (this.#draining) throw new MeshError("draining", "the server is shutting down");
      this.#inProgress += 1;
      let streaming = false;
      try {
        if (this.#engine.drawError())
          throw new MeshError("internal", "injected fault: this request was chosen to fail");
        const response = await answer(request, id);
        streaming = response.body !== null && response.headers.get("content-type") === EVENT_STREAM;
        return response;
      } catch (error) {
        if (!request.signal.aborted && toMeshError(error).status >= 500) this.#failedResponses += 1;
        throw error;
      } finally {
        // A stream is under way until it closes.
        if (!streaming) this.#inProgress -= 1;
      }
    };
  }

  #metrics(): Response {
    const text = vllmMetrics({
      model: this.models[0] ?? this.#profile.model,
      profile: this.#profile,
      stats: this.#engine.stats(),
      histograms: this.#engine.histograms,
      finished: this.#endpoints.finished,
    });
    return new Response(text, { headers: { "content-type": "text/plain; version=0.0.4; charset=utf-8" } });
  }

  #card(id: string): object {
    return modelCard(id, this.#startedAtSeconds, this.#profile);
  }
}

/** Listens at once; throws where the port is taken. */
export function startMockRuntime(options: MockRuntimeOptions = {}): MockRuntime {
  return new SimulatedRuntime(options);
}
