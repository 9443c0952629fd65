/**
 * A stand-in for an LLM server: OpenAI's API over a simulated engine (sim/) that is driven by real time. All model
 * names that it serves share one engine, as adapters of one base model do: one batch, one queue, one KV cache.
 *
 * Faults: slow stretches every step, stall takes inference requests and answers nothing more (health, models and
 * metrics go on: the hardest case to notice), the error rate answers seeded 500s, crash ends the process.
 */

import { MeshError, openAiBody, toMeshError } from "../base/errors.ts";
import type { ModelSample } from "../score/sample.ts";
import type { BatchingStats } from "../sim/batching.ts";
import { NO_FAULTS, changeFaults } from "../sim/faults.ts";
import type { Faults } from "../sim/faults.ts";
import { chainHash } from "../sim/kv-cache.ts";
import { PROFILES } from "../sim/profile.ts";
import type { Profile, ProfileName } from "../sim/profile.ts";
import { PIECE_CHARS_MAX, Writer, saltOf, unitVector } from "../sim/text.ts";
import { StreamedAnswer, runJobs, wholeAnswer } from "./mock-answers.ts";
import { planChoices, textOf } from "./mock-choices.ts";
import { MockEngine } from "./mock-engine.ts";
import { vllmMetrics } from "./mock-metrics.ts";
import { modelOf, parseBody, parseChat, parseCompletion, parseEmbedding, parseInference } from "./mock-requests.ts";
import type { Fields, GenerationRequest } from "./mock-requests.ts";
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
  /** Simulated seconds per real second; default 1. */
  readonly speed?: number;
  /** GPUs that the node shows; default: as many as the profile uses. */
  readonly gpus?: number;
  /** What the crash fault does; default: the process exits with 137. */
  readonly onCrash?: () => void;
}

export interface FaultControl {
  get(): Faults;
  /** Applies the JSON value of an admin request, or says what is wrong with it. */
  set(json: unknown): { readonly faults: Faults } | { readonly error: MeshError };
  clear(): Faults;
}

export interface MockRuntime {
  readonly hostname: string;
  readonly port: number;
  readonly models: readonly string[];
  readonly faults: FaultControl;
  stats(): BatchingStats;
  sample(): RuntimeSample;
  /** Refuses new requests, lets the running ones finish for up to `drainMs`, then closes everything. */
  stop(drainMs?: number): Promise<void>;
}

const BODY_BYTES_MAX = 64 * 1024 ** 2;
const REQUEST_ID_CHARS_MAX = 256;
const DRAIN_POLL_MS = 5;
/** Whisper hears 30 s of sound as 1,500 frames; 16 kHz samples of two bytes are taken for granted. */
const SOUND_BYTES_PER_SECOND = 32_000;
const FRAMES_PER_SECOND = 50;

/** A request under way, to be called off when its client goes or the node stops. */
interface Active {
  cancel(): void;
}

type Answer = (request: Request, id: string) => Promise<Response>;

interface Route {
  readonly method: "GET" | "POST";
  readonly answer: Answer;
}

class Runtime implements MockRuntime {
  readonly models: readonly string[];
  readonly faults: FaultControl;
  readonly #profile: Profile;
  readonly #seed: number;
  readonly #engine: MockEngine;
  readonly #server: Bun.Server<undefined>;
  readonly #active = new Set<Active>();
  readonly #charsMax: number;
  readonly #startedAtSeconds = Math.floor(Date.now() / 1_000);
  readonly #finished: Record<string, number> = {};
  readonly #routes: ReadonlyMap<string, Route>;
  #inProgress = 0;
  #failedResponses = 0;
  #draining = false;

  constructor(options: MockRuntimeOptions) {
    const { profile = "h100-8b", seed = 1, speed = 1 } = options;
    this.#profile = typeof profile === "string" ? PROFILES[profile] : profile;
    this.#seed = seed;
    this.models = options.models === undefined || options.models.length === 0 ? [this.#profile.model] : options.models;
    this.#charsMax = this.#profile.contextTokensMax * PIECE_CHARS_MAX;
    const gpus = options.gpus ?? this.#profile.gpuCount;
    this.#engine = new MockEngine({ profile: this.#profile, seed, speed, gpus });
    this.faults = this.#faultControl(options.onCrash ?? (() => process.exit(137)));
    const inference = (answer: Answer) => ({ method: "POST", answer: this.#guarded(answer) }) satisfies Route;
    const plain = (answer: Answer) => ({ method: "GET", answer }) satisfies Route;
    this.#routes = new Map<string, Route>([
      ["/v1/chat/completions", inference((request, id) => this.#generate(request, `chatcmpl-${id}`, parseChat))],
      ["/v1/completions", inference((request, id) => this.#generate(request, `cmpl-${id}`, parseCompletion))],
      ["/v1/inference", inference((request, id) => this.#generate(request, `inf-${id}`, parseInference))],
      ["/v1/embeddings", inference((request) => this.#embed(request))],
      ["/v1/audio/transcriptions", inference((request) => this.#transcribe(request))],
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
    const { speed } = this.#engine;
    const profile = this.#profile;
    const pace = this.#engine.faults.slow;
    const prefillRate = stats.prefillTokensPerSecond ?? profile.prefillTokensPerSecond / pace;
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
    const { states, memoryUsedBytes } = this.#engine.gpus();
    return {
      ready: !this.#draining,
      draining: this.#draining,
      // One engine serves them all: what waits for one waits for each.
      models: this.models.map((model): ModelSample => ({ model, ...figures })),
      gpus: states.map((state, index) => ({
        index,
        uuid: gpuUuid(this.#seed, index),
        name: profile.gpu.name,
        migProfile: undefined,
        utilization: state.utilization,
        memoryUsedBytes: memoryUsedBytes(index),
        memoryTotalBytes: profile.gpu.memoryBytes,
        powerWatts: state.powerWatts,
        powerLimitWatts: profile.gpu.powerLimitWatts,
        temperatureCelsius: state.temperatureCelsius,
        throttleReasons: state.throttled ? ["hw_thermal"] : [],
        health: state.throttled ? "degraded" : "ok",
      })),
      requestsInProgress: this.#inProgress,
      failedResponses: this.#failedResponses,
    };
  }

  async stop(drainMs = 0): Promise<void> {
    this.#draining = true;
    const untilMs = performance.now() + drainMs;
    while (this.#inProgress > 0 && performance.now() < untilMs) await Bun.sleep(DRAIN_POLL_MS);
    for (const active of this.#active) active.cancel();
    await this.#server.stop(true);
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
      return json(this.#card(this.#known(decodeName(pathname.slice("/v1/models/".length)))));
    }
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

  async #generate(
    httpRequest: Request,
    id: string,
    parse: (fields: Fields, charsMax: number) => GenerationRequest,
  ): Promise<Response> {
    const fields = parseBody(await httpRequest.text());
    this.#known(modelOf(fields));
    const request = parse(fields, this.#charsMax);
    const choices = planChoices(request, this.#profile, this.#seed);
    this.#engine.histograms.choices.observe(request.choices);
    if (request.tokensMax !== undefined) this.#engine.histograms.maxTokens.observe(request.tokensMax);
    const head = { id, created: Math.floor(Date.now() / 1_000), request, choices };
    if (request.stream) {
      return this.#stream(head, httpRequest.signal);
    }
    const ends = await this.#run(
      choices.map(({ job }) => job),
      httpRequest.signal,
    );
    for (const { reason } of choices) this.#count(reason);
    return json(wholeAnswer(head, ends));
  }

  #stream(head: ConstructorParameters<typeof StreamedAnswer>[0], signal: AbortSignal): Response {
    const answer = new StreamedAnswer(head, this.#engine, (whole) => {
      this.#inProgress -= 1;
      this.#active.delete(active);
      for (const { reason } of head.choices) this.#count(whole ? reason : "abort");
    });
    const active: Active = {
      cancel: () => answer.abort(new MeshError("draining", "the server is shutting down")),
    };
    this.#active.add(active);
    signal.addEventListener("abort", () => answer.cancel(), { once: true });
    answer.begin();
    return new Response(answer.stream, { headers: { "content-type": EVENT_STREAM, "cache-control": "no-cache" } });
  }

  /** Runs jobs until they end, the client goes, or the server stops. */
  async #run(jobs: Parameters<typeof runJobs>[1], signal: AbortSignal): Promise<Awaited<ReturnType<typeof runJobs>>> {
    let active: Active | undefined;
    const onAbort = (): void => active?.cancel();
    signal.addEventListener("abort", onAbort, { once: true });
    try {
      return await runJobs(this.#engine, jobs, (cancel) => {
        active = { cancel };
        this.#active.add(active);
        if (signal.aborted) cancel();
      });
    } catch (error) {
      if (signal.aborted) this.#count("abort");
      throw error;
    } finally {
      signal.removeEventListener("abort", onAbort);
      if (active !== undefined) this.#active.delete(active);
    }
  }

  async #embed(httpRequest: Request): Promise<Response> {
    const fields = parseBody(await httpRequest.text());
    const model = this.#known(modelOf(fields));
    const request = parseEmbedding(fields, this.#charsMax);
    const salt = saltOf(this.#seed, model);
    let tokens = 0;
    for (const input of request.inputs) {
      tokens += input.tokens.length;
      if (input.tokens.length <= this.#profile.contextTokensMax) continue;
      throw new MeshError("bad_request", `an input exceeds ${this.#profile.contextTokensMax} tokens`, {
        param: "input",
      });
    }
    const jobs = request.inputs.map((input) => ({
      promptTokens: input.tokens.length,
      outputTokens: 0,
      hashes: [],
      stream: false,
    }));
    await this.#run(jobs, httpRequest.signal);
    const data = request.inputs.map((input, index) => {
      const vector = unitVector(chainHash(salt, input.tokens, 0, input.tokens.length), request.dimensions);
      const embedding = request.base64 ? Buffer.from(vector.buffer).toString("base64") : Array.from(vector);
      return { object: "embedding", index, embedding };
    });
    return json({ object: "list", data, model, usage: { prompt_tokens: tokens, total_tokens: tokens } });
  }

  async #transcribe(httpRequest: Request): Promise<Response> {
    const { model, file, format } = await soundOf(httpRequest);
    this.#known(model);
    const bytes = new Uint8Array(await file.arrayBuffer());
    const seconds = Math.max(1, Math.ceil(bytes.length / SOUND_BYTES_PER_SECOND));
    const writer = new Writer(chainHash(saltOf(this.#seed, model), bytes, 0, bytes.length));
    // People speak two to three words a second.
    const tokens = Math.min(seconds * 3, 4_096);
    const promptTokens = Math.min(seconds * FRAMES_PER_SECOND, this.#profile.contextTokensMax - tokens);
    await this.#run([{ promptTokens, outputTokens: tokens, hashes: [], stream: false }], httpRequest.signal);
    const choice = { writer, chars: Infinity };
    const text = textOf(choice, 0, tokens, 0).join("");
    this.#count("stop");
    if (format === "text")
      return new Response(`${text}\n`, { headers: { "content-type": "text/plain; charset=utf-8" } });
    const usage = { type: "duration", seconds };
    if (format === "json") return json({ text, usage });
    return json({ task: "transcribe", language: "english", duration: seconds, text, segments: [], usage });
  }

  #metrics(): Response {
    const text = vllmMetrics({
      model: this.models[0] as string,
      profile: this.#profile,
      stats: this.#engine.stats(),
      histograms: this.#engine.histograms,
      finished: this.#finished,
    });
    return new Response(text, { headers: { "content-type": "text/plain; version=0.0.4; charset=utf-8" } });
  }

  #count(reason: string): void {
    this.#finished[reason] = (this.#finished[reason] ?? 0) + 1;
  }

  #known(model: string): string {
    if (this.models.includes(model)) return model;
    throw new MeshError("model_not_found", `The model \`${model}\` does not exist.`, { param: "model" });
  }

  #card(id: string): object {
    return {
      id,
      object: "model",
      created: this.#startedAtSeconds,
      owned_by: "infermesh",
      root: this.models[0],
      parent: null,
      max_model_len: this.#profile.contextTokensMax,
    };
  }

  #faultControl(onCrash: () => void): FaultControl {
    return {
      get: () => this.#engine.faults,
      set: (value) => {
        const change = changeFaults(this.#engine.faults, value);
        if ("error" in change) return change;
        this.#engine.setFaults(change.faults);
        if (change.crash) onCrash();
        return { faults: change.faults };
      },
      clear: () => {
        this.#engine.setFaults(NO_FAULTS);
        return NO_FAULTS;
      },
    };
  }
}

const EVENT_STREAM = "text/event-stream; charset=utf-8";
const TRANSCRIPT_FORMATS = ["json", "text", "verbose_json"];

async function soundOf(request: Request): Promise<{ model: string; file: Blob; format: string }> {
  if (!(request.headers.get("content-type") ?? "").toLowerCase().startsWith("multipart/form-data")) {
    throw new MeshError("bad_request", "the body must be multipart/form-data", { param: "file" });
  }
  let form: FormData;
  try {
    form = (await request.formData()) as FormData;
  } catch (error) {
    throw new MeshError("bad_request", "the multipart body cannot be read", { cause: error });
  }
  const model = form.get("model");
  if (typeof model !== "string" || model === "") {
    throw new MeshError("model_required", "you must provide a model parameter", { param: "model" });
  }
  const file = form.get("file");
  if (!(file instanceof Blob)) throw new MeshError("bad_request", "file must be an uploaded file", { param: "file" });
  const format = form.get("response_format") ?? "json";
  if (typeof format !== "string" || !TRANSCRIPT_FORMATS.includes(format)) {
    const known = TRANSCRIPT_FORMATS.join(", ");
    throw new MeshError("bad_request", `response_format must be one of ${known}`, { param: "response_format" });
  }
  return { model, file, format };
}

function json(value: object): Response {
  return Response.json(value);
}

function failure(error: MeshError, id: string): Response {
  const headers: Record<string, string> = { "content-type": "application/json", "x-request-id": id };
  if (error.code === "method_not_allowed" && error.param !== undefined) headers["allow"] = error.param;
  return new Response(openAiBody(error), { status: error.status, headers });
}

/** The allowed method travels as the parameter at fault: it becomes the Allow header. */
function notAllowed(method: string, path: string, allowed: string): MeshError {
  return new MeshError("method_not_allowed", `${method} is not allowed at ${path}, use ${allowed}`, { param: allowed });
}

function decodeName(name: string): string {
  try {
    return decodeURIComponent(name);
  } catch {
    return name;
  }
}

/** Looks like NVML's, and stays the same for the same seed. */
function gpuUuid(seed: number, index: number): string {
  const hex = (part: number) => saltOf(seed, `gpu ${index} ${part}`).toString(16).padStart(14, "0");
  const digits = hex(0) + hex(1) + hex(2);
  return `GPU-${digits.slice(0, 8)}-${digits.slice(8, 12)}-${digits.slice(12, 16)}-${digits.slice(16, 20)}-${digits.slice(20, 32)}`;
}

/** Listens at once; throws where the port is taken. */
export function startMockRuntime(options: MockRuntimeOptions = {}): MockRuntime {
  return new Runtime(options);
}
