/**
 * Reads the bodies that OpenAI's clients send, strictly: a wrong type or value is answered with status 400 and the
 * name of the field, as OpenAI and vLLM do. Fields that a stand-in has no use for (temperature, tools, ...) are let be.
 */

import { MeshError } from "../base/errors.ts";
import { tokenize } from "../sim/text.ts";

export interface Prompt {
  readonly tokens: readonly number[];
  /** "" when the prompt came as token ids. */
  readonly text: string;
}

export interface GenerationRequest {
  readonly kind: "chat" | "completion" | "inference";
  readonly model: string;
  readonly prompts: readonly Prompt[];
  /** Choices for each prompt. */
  readonly choices: number;
  readonly tokensMax: number | undefined;
  readonly tokensMin: number;
  /** vLLM's extension. Said to be false, the text may also end of itself before `tokensMax`. */
  readonly ignoreEnd: boolean | undefined;
  readonly stop: readonly string[];
  readonly stream: boolean;
  readonly includeUsage: boolean;
  readonly echo: boolean;
  readonly seed: number | undefined;
}

export interface EmbeddingRequest {
  readonly model: string;
  readonly inputs: readonly Prompt[];
  readonly base64: boolean;
  readonly dimensions: number;
}

export type Fields = Readonly<Record<string, unknown>>;

const CHOICES_MAX = 128;
const PROMPTS_MAX = 2_048;
const STOPS_MAX = 16;
const STOP_CHARS_MAX = 256;
const TOKEN_MAX = 2 ** 31 - 1;
const DIMENSIONS_DEFAULT = 1_024;
const DIMENSIONS_MAX = 8_192;
/** An image counts as one tile of a common vision encoder: 24 x 24 patches. */
const IMAGE_TOKENS = 576;
const ROLES = ["system", "developer", "user", "assistant", "tool", "function"];

function bad(param: string, message: string): MeshError {
  return new MeshError("bad_request", message, { param });
}

function kindOf(value: unknown): string {
  if (value === null) return "null";
  return Array.isArray(value) ? "an array" : typeof value === "object" ? "an object" : `a ${typeof value}`;
}

/** The body as an object. */
export function parseBody(text: string): Fields {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (error) {
    throw new MeshError("bad_json", `the body is not valid JSON: ${(error as Error).message}`, { cause: error });
  }
  if (typeof value !== "object" || value === null || Array.isArray(value)) {
    throw new MeshError("bad_json", `the body must be a JSON object, not ${kindOf(value)}`);
  }
  return value as Fields;
}

/** Absent and null mean the same, as for OpenAI. */
function optional(fields: Fields, name: string): unknown {
  return Object.hasOwn(fields, name) ? (fields[name] ?? undefined) : undefined;
}

function integer(fields: Fields, name: string, min: number, max: number): number | undefined {
  const value = optional(fields, name);
  if (value === undefined) return undefined;
  if (typeof value !== "number" || !Number.isInteger(value)) {
    throw bad(name, `${name} must be an integer, not ${kindOf(value)}`);
  }
  if (value < min || value > max) throw bad(name, `${name} must be from ${min} to ${max}, got ${value}`);
  return value;
}

function flag(fields: Fields, name: string): boolean | undefined {
  const value = optional(fields, name);
  if (value === undefined || typeof value === "boolean") return value;
  throw bad(name, `${name} must be true or false, not ${kindOf(value)}`);
}

export function modelOf(fields: Fields): string {
  const value = optional(fields, "model");
  if (value === undefined || value === "") {
    throw new MeshError("model_required", "you must provide a model parameter", { param: "model" });
  }
  if (typeof value !== "string") throw bad("model", `model must be a string, not ${kindOf(value)}`);
  return value;
}

function stopOf(fields: Fields): string[] {
  const value = optional(fields, "stop");
  if (value === undefined) return [];
  const stops: unknown[] = Array.isArray(value) ? value : [value];
  if (stops.length > STOPS_MAX) throw bad("stop", `stop may hold at most ${STOPS_MAX} sequences`);
  return stops.map((stop) => {
    if (typeof stop !== "string") throw bad("stop", `stop must be a string or an array of strings`);
    if (stop.length === 0 || stop.length > STOP_CHARS_MAX) {
      throw bad("stop", `a stop sequence must have from 1 to ${STOP_CHARS_MAX} characters`);
    }
    return stop;
  });
}

function includeUsageOf(fields: Fields, stream: boolean): boolean {
  const value = optional(fields, "stream_options");
  if (value === undefined) return false;
  if (typeof value !== "object" || Array.isArray(value))
    throw bad("stream_options", "stream_options must be an object");
  if (!stream) throw bad("stream_options", "stream_options is only allowed when stream is true");
  return flag(value as Fields, "include_usage") ?? false;
}

function sampling(fields: Fields): Omit<GenerationRequest, "kind" | "model" | "prompts" | "echo"> {
  for (const [name, min, max] of [
    ["temperature", 0, 2],
    ["top_p", 0, 1],
    ["presence_penalty", -2, 2],
    ["frequency_penalty", -2, 2],
  ] as const) {
    const value = optional(fields, name);
    if (value === undefined) continue;
    if (typeof value !== "number") throw bad(name, `${name} must be a number, not ${kindOf(value)}`);
    if (!(value >= min && value <= max)) throw bad(name, `${name} must be from ${min} to ${max}, got ${value}`);
  }
  const stream = flag(fields, "stream") ?? false;
  return {
    choices: integer(fields, "n", 1, CHOICES_MAX) ?? 1,
    tokensMax: integer(fields, "max_completion_tokens", 1, TOKEN_MAX) ?? integer(fields, "max_tokens", 1, TOKEN_MAX),
    tokensMin: integer(fields, "min_tokens", 0, TOKEN_MAX) ?? 0,
    ignoreEnd: flag(fields, "ignore_eos"),
    stop: stopOf(fields),
    stream,
    includeUsage: includeUsageOf(fields, stream),
    seed: integer(fields, "seed", Number.MIN_SAFE_INTEGER, Number.MAX_SAFE_INTEGER),
  };
}

/** A text, refused before it is cut into tokens when it is too long for any context. */
function textPrompt(text: string, param: string, charsMax: number): Prompt {
  if (text.length > charsMax) throw bad(param, `${param} is longer than this model's context`);
  return { tokens: tokenize(text), text };
}

/** One message's text; parts that are no text count as tokens by a mark of their own. */
function contentText(content: unknown, at: string): string {
  if (typeof content === "string") return content;
  if (!Array.isArray(content)) throw bad(at, `${at} must be a string or an array of parts, not ${kindOf(content)}`);
  return content
    .map((part: unknown, index): string => {
      const where = `${at}[${index}]`;
      if (typeof part !== "object" || part === null) throw bad(where, `${where} must be an object`);
      const fields = part as Fields;
      switch (fields["type"]) {
        case "text":
          if (typeof fields["text"] !== "string") throw bad(where, `${where}.text must be a string`);
          return fields["text"];
        case "image_url":
        case "input_audio":
        case "file":
          return "<|media|>".repeat(Math.ceil(IMAGE_TOKENS / 6));
        default:
          throw bad(where, `${where}.type must be text, image_url, input_audio or file`);
      }
    })
    .join("");
}

export function parseChat(fields: Fields, charsMax: number): GenerationRequest {
  const model = modelOf(fields);
  const messages = optional(fields, "messages");
  if (messages === undefined) throw bad("messages", "you must provide a messages parameter");
  if (!Array.isArray(messages)) throw bad("messages", `messages must be an array, not ${kindOf(messages)}`);
  if (messages.length === 0) throw bad("messages", "messages must hold at least one message");
  const parts: string[] = [];
  for (const [index, message] of messages.entries()) {
    const at = `messages[${index}]`;
    if (typeof message !== "object" || message === null || Array.isArray(message)) {
      throw bad(at, `${at} must be an object, not ${kindOf(message)}`);
    }
    const { role, content } = message as { role?: unknown; content?: unknown };
    if (typeof role !== "string" || !ROLES.includes(role)) {
      throw bad(`${at}.role`, `${at}.role must be one of ${ROLES.join(", ")}`);
    }
    // An assistant that called a tool has said nothing.
    const silent = (content === null || content === undefined) && role === "assistant";
    parts.push(`<|${role}|>\n${silent ? "" : contentText(content, `${at}.content`)}<|end|>\n`);
  }
  parts.push("<|assistant|>\n");
  const prompt = textPrompt(parts.join(""), "messages", charsMax);
  return { kind: "chat", model, prompts: [prompt], echo: false, ...sampling(fields) };
}

function tokenPrompt(ids: readonly unknown[], param: string): Prompt {
  for (const id of ids) {
    if (typeof id !== "number" || !Number.isInteger(id) || id < 0 || id > TOKEN_MAX) {
      throw bad(param, `${param}: token ids must be integers from 0 to ${TOKEN_MAX}`);
    }
  }
  return { tokens: ids as number[], text: "" };
}

/** A string, an array of strings, an array of token ids, or an array of such arrays. */
function promptsOf(fields: Fields, param: string, charsMax: number): Prompt[] {
  const value = optional(fields, param);
  if (value === undefined) throw bad(param, `you must provide a ${param} parameter`);
  const shape = `${param} must be a string, an array of strings, or an array of token ids`;
  let prompts: Prompt[];
  if (typeof value === "string") prompts = [textPrompt(value, param, charsMax)];
  else if (!Array.isArray(value)) throw bad(param, `${shape}, not ${kindOf(value)}`);
  else if (typeof value[0] === "number") prompts = [tokenPrompt(value, param)];
  else {
    if (value.length > PROMPTS_MAX) throw bad(param, `${param} may hold at most ${PROMPTS_MAX} entries`);
    prompts = value.map((entry: unknown) => {
      if (typeof entry === "string") return textPrompt(entry, param, charsMax);
      if (Array.isArray(entry)) return tokenPrompt(entry, param);
      throw bad(param, shape);
    });
  }
  if (prompts.length === 0 || prompts.some(({ tokens }) => tokens.length === 0)) {
    throw bad(param, `${param} must not be empty`);
  }
  return prompts;
}

export function parseCompletion(fields: Fields, charsMax: number): GenerationRequest {
  const model = modelOf(fields);
  const prompts = promptsOf(fields, "prompt", charsMax);
  const settings = sampling(fields);
  if (prompts.length * settings.choices > PROMPTS_MAX) {
    throw bad("n", `a request may ask for at most ${PROMPTS_MAX} choices`);
  }
  // OpenAI's own default for this endpoint.
  const tokensMax = settings.tokensMax ?? 16;
  return { kind: "completion", model, prompts, echo: flag(fields, "echo") ?? false, ...settings, tokensMax };
}

export function parseInference(fields: Fields, charsMax: number): GenerationRequest {
  const model = modelOf(fields);
  const prompt = optional(fields, "prompt");
  if (prompt !== undefined && typeof prompt !== "string") {
    throw bad("prompt", `prompt must be a string, not ${kindOf(prompt)}`);
  }
  const prompts = promptsOf(fields, "prompt", charsMax);
  const settings = sampling(fields);
  return {
    kind: "inference",
    model,
    prompts,
    echo: false,
    ...settings,
    choices: 1,
    stream: false,
    includeUsage: false,
  };
}

export function parseEmbedding(fields: Fields, charsMax: number): EmbeddingRequest {
  const model = modelOf(fields);
  const inputs = promptsOf(fields, "input", charsMax);
  const format = optional(fields, "encoding_format") ?? "float";
  if (format !== "float" && format !== "base64") {
    throw bad("encoding_format", "encoding_format must be float or base64");
  }
  const dimensions = integer(fields, "dimensions", 1, DIMENSIONS_MAX) ?? DIMENSIONS_DEFAULT;
  return { model, inputs, base64: format === "base64", dimensions };
}
