/** Asking an admin API: one request, with a time limit and a size limit, and an answer for every way it can fail. */
import { escaped } from "../base/printable.ts";
import type { Terminal } from "./terminal.ts";

/** Exit codes of the commands for people; stated in their help. */
export const EXIT = { ok: 0, failed: 1, usage: 2, unreachable: 3, conflict: 4 } as const;

export interface Unreachable {
  readonly kind: "unreachable";
  readonly why: string;
  /** Nobody listens there. */
  readonly refused: boolean;
  /** Somebody answered, who is not one of ours. */
  readonly strange?: boolean;
}

export type Answer =
  | { readonly kind: "answer"; readonly endpoint: string; readonly status: number; readonly body: unknown }
  | Unreachable;

/** An answer without an end, as its bytes come. */
export interface Stream {
  readonly kind: "stream";
  readonly endpoint: string;
  readonly body: ReadableStream<Uint8Array>;
}

/** Where a router and an agent listen when nothing else is said. */
export const DEFAULT_ENDPOINTS: readonly string[] = ["http://127.0.0.1:50052", "http://127.0.0.1:50051"];
const BODY_BYTES_MAX = 64 * 2 ** 20;

/** What to do about a port that answers something else. */
export const NOT_OURS =
  "is it the --api port of a router or an agent? A port that clients send requests to takes no commands";
const NOBODY =
  "start a router or an agent there, or say whom to ask: --endpoint URL, INFERMESH_ENDPOINT, or --profile (`infermesh ctl profiles`)";

/** `path` at the endpoint, with a JSON body if one is given; with no endpoint, at the first default one that can be reached. */
export async function ask(
  endpoint: string,
  path: string,
  timeoutMs: number,
  method: "GET" | "POST" = "GET",
  body?: object,
  more: Readonly<Record<string, string>> = {},
  calledOff?: AbortSignal,
): Promise<Answer> {
  const posted = body === undefined ? {} : { body: JSON.stringify(body) };
  const type = body === undefined ? {} : { "content-type": "application/json" };
  return firstReached(endpoint, async (base) => {
    const headers = { accept: "application/json", ...type, ...more };
    const late = AbortSignal.timeout(timeoutMs);
    const signal = calledOff === undefined ? late : AbortSignal.any([late, calledOff]);
    const init = { method, headers, signal, ...posted };
    return reached(base, timeoutMs, async () => answerOf(base, await fetchFrom(base, path, init)));
  });
}

/** Opens a stream at `path`: what is not 200 is an answer. The time limit is for its head; `signal` ends it. */
export async function openStream(
  endpoint: string,
  path: string,
  timeoutMs: number,
  signal: AbortSignal,
): Promise<Stream | Answer> {
  return firstReached(endpoint, async (base) => {
    const late = new AbortController();
    const timer = setTimeout(() => late.abort(new DOMException("late", "TimeoutError")), timeoutMs);
    const open = async (): Promise<Stream | Answer> => {
      const response = await fetchFrom(base, path, { signal: AbortSignal.any([signal, late.signal]) });
      if (response.status !== 200 || response.body === null) return answerOf(base, response);
      return { kind: "stream", endpoint: base, body: response.body };
    };
    return reached(base, timeoutMs, open).finally(() => clearTimeout(timer));
  });
}

async function firstReached<A extends { readonly kind: string }>(
  endpoint: string,
  one: (base: string) => Promise<A | Unreachable>,
): Promise<A | Unreachable> {
  const failures: Unreachable[] = [];
  for (const base of endpoint === "" ? DEFAULT_ENDPOINTS : [endpoint]) {
    const answer = await one(base);
    if (answer.kind !== "unreachable") return answer;
    failures.push(answer as Unreachable);
  }
  const why = failures.map((failure) => failure.why).join("; ");
  const strange = failures.every((failure) => failure.strange === true);
  return { kind: "unreachable", why, refused: failures.every(({ refused }) => refused), strange };
}

/** This machine's own addresses are no proxy's to reach: where containers are given one, it would ask its own. */
const OWN_HOST = /^(?:localhost|127(?:\.\d+){3}|\[::1\])$/;

function fetchFrom(base: string, path: string, init: RequestInit): Promise<Response> {
  const direct = OWN_HOST.test(new URL(base).hostname) ? { proxy: false as const } : {};
  return fetch(`${base}${path}`, { redirect: "manual", ...direct, ...init });
}

async function answerOf(endpoint: string, response: Response): Promise<Answer> {
  const unreachable = (why: string): Answer => {
    return { kind: "unreachable", why: `${endpoint}: ${why}`, refused: false, strange: true };
  };
  if (Number(response.headers.get("content-length") ?? 0) > BODY_BYTES_MAX)
    return unreachable("the answer is too long");
  const text = await textOf(response);
  if (text === undefined) return unreachable("the answer is too long");
  try {
    return { kind: "answer", endpoint, status: response.status, body: JSON.parse(text) };
  } catch {
    return unreachable("the answer is not JSON; is this an infermesh --api port?");
  }
}

/** The body, or undefined when it is too long: a chunked one tells its length by its end only. */
async function textOf({ body }: Response): Promise<string | undefined> {
  const decoder = new TextDecoder();
  let [text, length] = ["", 0];
  const reader = (body as ReadableStream<Uint8Array> | null)?.getReader();
  for (let part = await reader?.read(); part?.done === false; part = await reader?.read()) {
    length += part.value.length;
    if (length > BODY_BYTES_MAX) {
      reader?.cancel().catch(() => {});
      return undefined;
    }
    text += decoder.decode(part.value, { stream: true });
  }
  return text + decoder.decode();
}

async function reached<A>(endpoint: string, timeoutMs: number, request: () => Promise<A>): Promise<A | Unreachable> {
  const unreachable = (why: string, refused = false): Unreachable => {
    return { kind: "unreachable", why: `${endpoint}: ${why}`, refused };
  };
  try {
    return await request();
  } catch (error) {
    const { name, code } = error as { name?: string; code?: string };
    if (name === "TimeoutError") return unreachable(`no answer within ${timeoutMs} ms`);
    if (code === "ConnectionRefused" || code === "ECONNREFUSED") return unreachable("nobody listens there", true);
    return unreachable(whyCut(error));
  }
}

/** In our words; the runtime's speak to programmers. */
export function whyCut(error: unknown): string {
  const { code, message } = error as { code?: string; message?: string };
  if (code === "ENOTFOUND" || code === "EAI_AGAIN") return "no such host is known";
  return code === "ECONNRESET" || code === "EPIPE" ? "the connection was cut" : (message ?? String(error));
}

export type JsonRecord = Readonly<Record<string, unknown>>;

/** A JSON object; undefined for anything else. */
export function recordOf(value: unknown): JsonRecord | undefined {
  return typeof value === "object" && value !== null && !Array.isArray(value) ? (value as JsonRecord) : undefined;
}

/** The objects that a body has in a list of that name; undefined where it has no such list, or other things in it. */
export function recordsIn(body: unknown, name: string): readonly JsonRecord[] | undefined {
  const list = recordOf(body)?.[name];
  if (!Array.isArray(list)) return undefined;
  return list.every((item) => recordOf(item) !== undefined) ? (list as JsonRecord[]) : undefined;
}

/** Says that the answer is not what is asked for here; the exit code. */
export function notOurs(what: string, terminal: Terminal): number {
  terminal.err(`infermesh ctl: the answer holds no ${what}; is this an infermesh --api port?\n`);
  return EXIT.failed;
}

/** The exit code for an answer that is none; it has been said why. undefined for a good one. */
export function failureOf(answer: Answer, terminal: Terminal): number | undefined {
  if (answer.kind === "unreachable") {
    terminal.err(`infermesh ctl: ${answer.strange === true ? "" : "can't reach "}${escaped(answer.why)}\n`);
    if (answer.refused) terminal.err(`infermesh ctl: ${NOBODY}\n`);
    return EXIT.unreachable;
  }
  if (answer.status >= 200 && answer.status < 300) return undefined;
  const message = errorMessage(answer.status, answer.body);
  terminal.err(`infermesh ctl: ${answer.endpoint} answered: ${escaped(message)}\n`);
  // Any other port of ours says that as well.
  if (answer.status === 404 && message.startsWith("there is nothing at")) terminal.err(`infermesh ctl: ${NOT_OURS}\n`);
  return EXIT.failed;
}

/** The message of an error body, or the status alone. */
export function errorMessage(status: number, body: unknown): string {
  const error = (body as { error?: { message?: unknown } } | null)?.error;
  return typeof error?.message === "string" ? `${error.message} (status ${status})` : `status ${status}`;
}
