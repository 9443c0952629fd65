/**
 * The answers to chat, completions and /v1/inference, in OpenAI's exact shapes: one JSON object, or a stream of
 * server-sent events – a chunk that names the role, one chunk for each token, one that tells why the text ended, the
 * usage when it was asked for, and [DONE].
 */

import { MeshError, openAiBody } from "../base/errors.ts";
import type { EndEvent } from "../sim/batching.ts";
import { textOf, wholeText } from "./mock-choices.ts";
import type { Choice } from "./mock-choices.ts";
import type { Job, MockEngine } from "./mock-engine.ts";
import type { GenerationRequest } from "./mock-requests.ts";

/** What all answers to one request have in common. */
export interface AnswerHead {
  readonly id: string;
  /** Unix seconds. */
  readonly created: number;
  readonly request: GenerationRequest;
  readonly choices: readonly Choice[];
}

interface Usage {
  readonly prompt_tokens: number;
  readonly completion_tokens: number;
  readonly total_tokens: number;
  readonly prompt_tokens_details: { readonly cached_tokens: number };
}

/** Prompts count once however many choices share them; what the first choice found in the cache is told. */
function usageOf(choices: readonly Choice[], ends: ReadonlyMap<number, EndEvent>, forks: number): Usage {
  let prompt = 0;
  let cached = 0;
  let completion = 0;
  for (const choice of choices) {
    completion += choice.tokens;
    if (choice.index % forks !== 0) continue;
    prompt += choice.prompt.tokens.length;
    cached += ends.get(choice.index)?.cachedTokens ?? 0;
  }
  return {
    prompt_tokens: prompt,
    completion_tokens: completion,
    total_tokens: prompt + completion,
    prompt_tokens_details: { cached_tokens: cached },
  };
}

/** The error that a job's end means to the client; undefined when it ended well. */
export function endError(end: EndEvent): MeshError | undefined {
  if (end.end === "finished") return undefined;
  if (end.end === "queue_full") return new MeshError("over_capacity", "too many requests are waiting");
  return new MeshError("bad_request", "the request does not fit the KV cache");
}

/** Runs jobs to their ends. Rejects with the first failure; `onStart` hands out how to call them off. */
export function runJobs(
  engine: MockEngine,
  jobs: readonly Job["request"][],
  onStart: (cancel: () => void) => void,
): Promise<Map<number, EndEvent>> {
  return new Promise((resolve, reject) => {
    const ends = new Map<number, EndEvent>();
    let ids: readonly number[] = [];
    const cancel = (): void => {
      engine.cancel(ids);
      reject(new MeshError("draining", "the request was called off"));
    };
    ids = engine.submit(
      jobs.map((request, index) => ({
        request,
        onEnd(end: EndEvent) {
          const error = endError(end);
          if (error !== undefined) reject(error);
          ends.set(index, end);
          if (ends.size === jobs.length) resolve(ends);
        },
      })),
    );
    onStart(cancel);
  });
}

/** The whole answer as one JSON object. */
export function wholeAnswer(head: AnswerHead, ends: ReadonlyMap<number, EndEvent>): object {
  const { id, created, request, choices } = head;
  const usage = usageOf(choices, ends, request.choices);
  const { model } = request;
  switch (request.kind) {
    case "chat":
      return {
        id,
        object: "chat.completion",
        created,
        model,
        choices: choices.map((choice) => ({
          index: choice.index,
          message: { role: "assistant", content: wholeText(choice), refusal: null },
          logprobs: null,
          finish_reason: choice.reason,
        })),
        usage,
        system_fingerprint: null,
      };
    case "completion":
      return {
        id,
        object: "text_completion",
        created,
        model,
        choices: choices.map((choice) => ({
          index: choice.index,
          text: `${request.echo ? choice.prompt.text : ""}${wholeText(choice)}`,
          logprobs: null,
          finish_reason: choice.reason,
        })),
        usage,
        system_fingerprint: null,
      };
    case "inference": {
      const choice = choices[0] as Choice;
      return {
        id,
        object: "inference",
        created,
        model,
        output: wholeText(choice),
        finish_reason: choice.reason,
        usage,
      };
    }
  }
}

const encoder = new TextEncoder();

/** The answer as server-sent events, each token an event of its own; tokens that came together go out in one write. */
export class StreamedAnswer {
  readonly stream: ReadableStream<Uint8Array>;
  readonly #head: AnswerHead;
  readonly #start: string;
  readonly #end: string;
  readonly #shown: number[];
  readonly #ends = new Map<number, EndEvent>();
  readonly #onClose: (whole: boolean) => void;
  #controller: ReadableStreamDefaultController<Uint8Array> | undefined;
  #ids: readonly number[] = [];
  readonly #engine: MockEngine;
  #closed = false;

  /** `onClose` is called exactly once, however the stream ends; `whole` when nothing is missing. */
  constructor(head: AnswerHead, engine: MockEngine, onClose: (whole: boolean) => void) {
    const { id, created, request } = head;
    this.#head = head;
    this.#engine = engine;
    this.#onClose = onClose;
    const object = request.kind === "chat" ? "chat.completion.chunk" : "text_completion";
    const common = JSON.stringify({ id, object, created, model: request.model, system_fingerprint: null });
    this.#start = `data: ${common.slice(0, -1)},"choices":`;
    this.#end = request.includeUsage ? ',"usage":null}\n\n' : "}\n\n";
    this.#shown = head.choices.map(() => 0);
    this.stream = new ReadableStream<Uint8Array>({
      start: (controller) => {
        this.#controller = controller;
      },
      cancel: () => this.cancel(),
    });
  }

  begin(): void {
    const jobs = this.#head.choices.map((choice) => ({
      request: choice.job,
      onTokens: (first: number, count: number) => this.#onTokens(choice, first, count),
      onEnd: (end: EndEvent) => this.#onEnd(choice, end),
    }));
    this.#ids = this.#engine.submit(jobs);
  }

  /** The client is gone: nothing more is computed for it. */
  cancel(): void {
    this.#close(false);
    this.#engine.cancel(this.#ids);
  }

  /** Breaks the stream off, so that the client sees that it is not whole. */
  abort(error: MeshError): void {
    if (this.#closed) return;
    this.#engine.cancel(this.#ids);
    this.#write(`data: ${openAiBody(error)}\n\n`);
    this.#controller?.close();
    this.#close(false);
  }

  #chunk(choice: Choice, text: string | undefined, reason: string | null): string {
    const { index } = choice;
    const said =
      this.#head.request.kind === "chat"
        ? `"delta":${text === undefined ? "{}" : `{"content":${JSON.stringify(text)}}`}`
        : `"text":${JSON.stringify(text ?? "")}`;
    const ended = reason === null ? "null" : `"${reason}"`;
    return `${this.#start}[{"index":${index},${said},"logprobs":null,"finish_reason":${ended}}]${this.#end}`;
  }

  #opening(choice: Choice): string {
    const { request } = this.#head;
    if (request.kind === "chat") {
      const delta = '"delta":{"role":"assistant","content":"","refusal":null}';
      return `${this.#start}[{"index":${choice.index},${delta},"logprobs":null,"finish_reason":null}]${this.#end}`;
    }
    return request.echo && choice.prompt.text !== "" ? this.#chunk(choice, choice.prompt.text, null) : "";
  }

  #onTokens(choice: Choice, first: number, count: number): void {
    let events = first === 0 ? this.#opening(choice) : "";
    const shown = this.#shown[choice.index] as number;
    let chars = shown;
    for (const text of textOf(choice, first, count, shown)) {
      if (text !== "") events += this.#chunk(choice, text, null);
      chars += text.length;
    }
    this.#shown[choice.index] = chars;
    if (events !== "") this.#write(events);
  }

  #onEnd(choice: Choice, end: EndEvent): void {
    const error = endError(end);
    if (error !== undefined) {
      this.abort(error);
      return;
    }
    this.#ends.set(choice.index, end);
    const { request, choices } = this.#head;
    let events = this.#chunk(choice, undefined, choice.reason);
    const last = this.#ends.size === choices.length;
    if (last) {
      if (request.includeUsage) {
        const usage = usageOf(choices, this.#ends, request.choices);
        events += `${this.#start}[],"usage":${JSON.stringify(usage)}}\n\n`;
      }
      events += "data: [DONE]\n\n";
    }
    this.#write(events);
    if (!last) return;
    this.#controller?.close();
    this.#close(true);
  }

  #write(events: string): void {
    if (!this.#closed) this.#controller?.enqueue(encoder.encode(events));
  }

  #close(whole: boolean): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#onClose(whole);
  }
}
