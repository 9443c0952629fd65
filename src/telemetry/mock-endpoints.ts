/**
 * The inference endpoints of the mock runtime: parse, plan, run on the engine, answer. Every request under way is in
 * `active`, so that a stop can call it off; a client that disconnects calls off its own.
 */

import { MeshError } from "../base/errors.ts";
import { chainHash } from "../sim/kv-cache.ts";
import type { Profile } from "../sim/profile.ts";
import { PIECE_CHARS_MAX, Writer, saltOf, unitVector } from "../sim/text.ts";
import { StreamedAnswer, runJobs, wholeAnswer } from "./mock-answers.ts";
import type { AnswerHead } from "./mock-answers.ts";
import { planChoices, textOf } from "./mock-choices.ts";
import type { MockEngine } from "./mock-engine.ts";
import type { MockModels } from "./mock-models.ts";
import type { MockTransfers } from "./mock-transfers.ts";
import { modelOf, parseBody, parseChat, parseCompletion, parseEmbedding, parseInference } from "./mock-requests.ts";
import type { Fields, GenerationRequest } from "./mock-requests.ts";

export const EVENT_STREAM = "text/event-stream; charset=utf-8";

/** Whisper hears 30 s of sound as 1,500 frames; 16 kHz samples of two bytes are taken for granted. */
const SOUND_BYTES_PER_SECOND = 32_000;
const FRAMES_PER_SECOND = 50;
const TRANSCRIPT_FORMATS = ["json", "text", "verbose_json"];

export interface EndpointOptions {
  readonly engine: MockEngine;
  readonly models: MockModels;
  readonly seed: number;
  /** Null: it computes all of each request. */
  readonly transfers: MockTransfers | null;
  /** A streamed answer is over, whole or not. */
  readonly onStreamEnd: () => void;
}

type Parse = (fields: Fields, charsMax: number) => GenerationRequest;

export class Endpoints {
  /** Choices that ended, by reason. */
  readonly finished: Record<string, number> = {};
  readonly #engine: MockEngine;
  readonly #profile: Profile;
  readonly #models: MockModels;
  readonly #seed: number;
  readonly #transfers: MockTransfers | null;
  readonly #charsMax: number;
  readonly #onStreamEnd: () => void;
  /** How to call off what is under way, and whose model it is. */
  readonly #active = new Map<() => void, string>();

  constructor(options: EndpointOptions) {
    this.#engine = options.engine;
    this.#profile = options.engine.profile;
    this.#models = options.models;
    this.#seed = options.seed;
    this.#transfers = options.transfers;
    this.#charsMax = this.#profile.contextTokensMax * PIECE_CHARS_MAX;
    this.#onStreamEnd = options.onStreamEnd;
  }

  /** Calls off everything that is under way. */
  cancelAll(): void {
    for (const cancel of this.#active.keys()) cancel();
  }

  /** Calls off everything of one model. */
  cancelModel(model: string): void {
    for (const [cancel, whose] of this.#active) if (whose === model) cancel();
  }

  /** The name, if it is served here. */
  known(model: string): string {
    if (this.#models.serves(model)) return model;
    throw new MeshError("model_not_found", `The model \`${model}\` does not exist.`, { param: "model" });
  }

  chat(request: Request, id: string): Promise<Response> {
    return this.#generate(request, `chatcmpl-${id}`, parseChat);
  }

  complete(request: Request, id: string): Promise<Response> {
    return this.#generate(request, `cmpl-${id}`, parseCompletion);
  }

  infer(request: Request, id: string): Promise<Response> {
    return this.#generate(request, `inf-${id}`, parseInference);
  }

  async #generate(httpRequest: Request, id: string, parse: Parse): Promise<Response> {
    const fields = parseBody(await httpRequest.text());
    const model = this.known(modelOf(fields));
    const request = parse(fields, this.#charsMax);
    const choices = planChoices(request, this.#profile, this.#seed);
    this.#engine.histograms.choices.observe(request.choices);
    if (request.tokensMax !== undefined) this.#engine.histograms.maxTokens.observe(request.tokensMax);
    const head = { id, created: Math.floor(Date.now() / 1_000), request, choices };
    const hashes = choices[0]?.job.hashes ?? [];
    const transfer = this.#transfers?.of(fields, httpRequest.signal) ?? null;
    if ((await transfer?.before()) === true) this.#engine.preload(hashes);
    // Of a prompt that another server goes on with nobody reads the answer.
    if (request.stream && transfer?.holds !== true) {
      return this.#stream(head, model, httpRequest.signal);
    }
    const ends = await this.#run(
      choices.map(({ job }) => job),
      model,
      httpRequest.signal,
    );
    for (const { reason } of choices) this.#count(reason);
    return Response.json({ ...wholeAnswer(head, ends), ...(await transfer?.after(hashes.length)) });
  }

  #stream(head: AnswerHead, model: string, signal: AbortSignal): Response {
    const answer = new StreamedAnswer(head, this.#engine, (whole) => {
      this.#over(cancel);
      this.#onStreamEnd();
      for (const { reason } of head.choices) this.#count(whole ? reason : "abort");
    });
    const cancel = (): void => answer.abort(new MeshError("draining", "the server is shutting down"));
    this.#begun(cancel, model);
    signal.addEventListener("abort", () => answer.cancel(), { once: true });
    answer.begin();
    return new Response(answer.stream, { headers: { "content-type": EVENT_STREAM, "cache-control": "no-cache" } });
  }

  /** Runs jobs until they end, the client goes, or the server stops. */
  async #run(
    jobs: Parameters<typeof runJobs>[1],
    model: string,
    signal: AbortSignal,
  ): Promise<Awaited<ReturnType<typeof runJobs>>> {
    let active: (() => void) | undefined;
    const onAbort = (): void => active?.();
    signal.addEventListener("abort", onAbort, { once: true });
    try {
      return await runJobs(this.#engine, jobs, (cancel) => {
        active = cancel;
        this.#begun(cancel, model);
        if (signal.aborted) cancel();
      });
    } catch (error) {
      if (signal.aborted) this.#count("abort");
      throw error;
    } finally {
      signal.removeEventListener("abort", onAbort);
      if (active !== undefined) this.#over(active);
    }
  }

  #begun(cancel: () => void, model: string): void {
    this.#active.set(cancel, model);
    this.#models.begin(model);
  }

  #over(cancel: () => void): void {
    const model = this.#active.get(cancel);
    if (model !== undefined && this.#active.delete(cancel)) this.#models.end(model);
  }

  async embed(httpRequest: Request): Promise<Response> {
    const fields = parseBody(await httpRequest.text());
    const model = this.known(modelOf(fields));
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
    await this.#run(jobs, model, httpRequest.signal);
    const data = request.inputs.map((input, index) => {
      const vector = unitVector(chainHash(salt, input.tokens, 0, input.tokens.length), request.dimensions);
      const embedding = request.base64 ? Buffer.from(vector.buffer).toString("base64") : Array.from(vector);
      return { object: "embedding", index, embedding };
    });
    return Response.json({ object: "list", data, model, usage: { prompt_tokens: tokens, total_tokens: tokens } });
  }

  async transcribe(httpRequest: Request): Promise<Response> {
    const { model, file, format } = await soundOf(httpRequest);
    this.known(model);
    const bytes = new Uint8Array(await file.arrayBuffer());
    const seconds = Math.max(1, Math.ceil(bytes.length / SOUND_BYTES_PER_SECOND));
    const writer = new Writer(chainHash(saltOf(this.#seed, model), bytes, 0, bytes.length));
    // People speak two to three words a second.
    const tokens = Math.min(seconds * 3, 4_096);
    const promptTokens = Math.min(seconds * FRAMES_PER_SECOND, this.#profile.contextTokensMax - tokens);
    await this.#run([{ promptTokens, outputTokens: tokens, hashes: [], stream: false }], model, httpRequest.signal);
    const choice = { writer, chars: Infinity };
    const text = textOf(choice, 0, tokens, 0).join("");
    this.#count("stop");
    if (format === "text")
      return new Response(`${text}\n`, { headers: { "content-type": "text/plain; charset=utf-8" } });
    const usage = { type: "duration", seconds };
    if (format === "json") return Response.json({ text, usage });
    return Response.json({ task: "transcribe", language: "english", duration: seconds, text, segments: [], usage });
  }

  #count(reason: string): void {
    this.finished[reason] = (this.finished[reason] ?? 0) + 1;
  }
}

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
