/**
 * What answers of OpenAI's APIs tell a load generator: when text came, how many tokens there were, and what went wrong. Whole
 * answers are JSON; streams are server-sent events (WHATWG HTML section 9.2), each of JSON, the last `[DONE]`.
 *
 * Bytes go in as they come, split anywhere. Nothing throws: `fault` says what was malformed, after which nothing more is
 * read. Limits: 4 MiB of one event, 64 MiB of a whole answer.
 */

const EVENT_CHARACTERS_MAX = 4_194_304;
const WHOLE_CHARACTERS_MAX = 67_108_864;
const WORDS_MAX = 200;
const DATA = "data:";

export interface TokenCounts {
  /** -1: not told. */
  promptTokens: number;
  outputTokens: number;
  cachedTokens: number;
}

export class EventAnswer implements TokenCounts {
  /** Events with text so far. */
  texts = 0;
  promptTokens = -1;
  outputTokens = -1;
  cachedTokens = -1;
  /** Its end was told. */
  isDone = false;
  /** An error that an event holds, in words. */
  error = "";
  fault = "";
  readonly #decoder = new TextDecoder();
  #rest = "";
  #data = "";
  #hasData = false;

  /** Answers how many events with text were in it. */
  push(bytes: Uint8Array): number {
    if (this.fault !== "") return 0;
    const before = this.texts;
    const all = this.#rest + this.#decoder.decode(bytes, { stream: true });
    let from = 0;
    for (let end = all.indexOf("\n"); end >= 0; end = all.indexOf("\n", from)) {
      this.#line(all.slice(from, end > from && all[end - 1] === "\r" ? end - 1 : end));
      from = end + 1;
    }
    this.#rest = all.slice(from);
    if (this.#rest.length + this.#data.length > EVENT_CHARACTERS_MAX) this.#bad("an event without an end");
    return this.texts - before;
  }

  #line(line: string): void {
    if (line === "") {
      if (this.#hasData && this.fault === "") this.#event(this.#data);
      this.#data = "";
      this.#hasData = false;
      return;
    }
    // Comments, and fields that say nothing of the answer.
    if (!line.startsWith(DATA)) {
      if (!/^(?::|(?:event|id|retry)(?::|$)|data$)/.test(line)) this.#bad(`a line that is no event's: ${line}`);
      return;
    }
    const value = line.slice(line[DATA.length] === " " ? DATA.length + 1 : DATA.length);
    this.#data = this.#hasData ? `${this.#data}\n${value}` : value;
    this.#hasData = true;
  }

  #event(data: string): void {
    if (data === "[DONE]") {
      this.isDone = true;
      return;
    }
    const value = parsed(data);
    if (value === undefined) {
      this.#bad(`an event that is no JSON object: ${data}`);
      return;
    }
    const error = errorIn(value);
    if (error !== "") {
      this.error ||= error;
      return;
    }
    if (hasText(value)) this.texts += 1;
    readUsage(value["usage"], this);
  }

  #bad(what: string): void {
    if (this.fault === "") this.fault = what.slice(0, WORDS_MAX);
  }
}

/** A whole answer, piece by piece. */
export class WholeAnswer implements TokenCounts {
  promptTokens = -1;
  outputTokens = -1;
  cachedTokens = -1;
  error = "";
  fault = "";
  readonly #decoder = new TextDecoder();
  #text = "";

  push(bytes: Uint8Array): void {
    if (this.#text.length > WHOLE_CHARACTERS_MAX) this.fault = "more than 64 MiB";
    else this.#text += this.#decoder.decode(bytes, { stream: true });
  }

  /** All of it is here. */
  end(): void {
    if (this.fault !== "") return;
    const value = parsed(this.#text);
    if (value === undefined) {
      this.fault = `an answer that is no JSON object: ${this.#text.slice(0, WORDS_MAX)}`;
      return;
    }
    this.error = errorIn(value);
    readUsage(value["usage"], this);
  }

  /** What an answer with an error's status says, in words. */
  get words(): string {
    const value = parsed(this.#text);
    return (value === undefined ? "" : errorIn(value)) || this.#text.trim().slice(0, WORDS_MAX);
  }
}

type Json = Readonly<Record<string, unknown>>;

function parsed(text: string): Json | undefined {
  try {
    const value: unknown = JSON.parse(text);
    return isRecord(value) ? value : undefined;
  } catch {
    return undefined;
  }
}

function isRecord(value: unknown): value is Json {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

/** The words of an error as OpenAI, vLLM and FastAPI write it; "": it is none. */
function errorIn(value: Json): string {
  const { error, detail, object, message } = value;
  const found = error ?? detail ?? (object === "error" ? (message ?? "an error") : undefined);
  if (found === undefined || found === null) return "";
  const words = isRecord(found) && typeof found["message"] === "string" ? found["message"] : found;
  return (typeof words === "string" ? words : JSON.stringify(words)).slice(0, WORDS_MAX) || "an error";
}

/** Whether a chunk has something that was generated: not the role, not the reason of the end, not the usage. */
function hasText(value: Json): boolean {
  const { choices } = value;
  return Array.isArray(choices) && choices.some((choice: unknown) => isRecord(choice) && hasGenerated(choice));
}

function hasGenerated({ delta, text }: Json): boolean {
  if (typeof text === "string") return text !== "";
  if (!isRecord(delta)) return false;
  const { content, reasoning_content: reasoning, reasoning: thought, tool_calls: calls } = delta;
  const isText = (part: unknown) => typeof part === "string" && part !== "";
  return isText(content) || isText(reasoning) || isText(thought) || (Array.isArray(calls) && calls.length > 0);
}

function readUsage(usage: unknown, into: TokenCounts): void {
  if (!isRecord(usage)) return;
  into.promptTokens = countOf(usage["prompt_tokens"]);
  into.outputTokens = countOf(usage["completion_tokens"]);
  const details = usage["prompt_tokens_details"];
  into.cachedTokens = isRecord(details) ? countOf(details["cached_tokens"]) : -1;
}

function countOf(value: unknown): number {
  return typeof value === "number" && Number.isSafeInteger(value) && value >= 0 ? value : -1;
}
