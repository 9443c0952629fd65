/**
 * Carries out one request of a watch (kube/watch.ts) at the API server, and tells the watch what comes of it, once: a
 * whole answer, or a stream of events and its end. Memory is bounded whatever the server sends.
 *
 * No proxy of the environment is asked: an API server is of the same cluster, or named in a file that names none.
 */
import { version } from "../base/version.ts";
import { type KubeRequest, type KubeWatch, PAGE_TOO_LARGE } from "../kube/watch.ts";
import { WatchLines } from "../kube/watch-lines.ts";
import type { KubeAccess } from "./kube-access.ts";

/** A page of a list. */
const ANSWER_BYTES_MAX = 32 * 1024 * 1024;
/** Of a refusal: it is read for its words. */
const REFUSAL_BYTES_MAX = 64 * 1024;

type Inputs = Pick<KubeWatch<unknown>, "answered" | "opened" | "event" | "ended">;

export interface KubeClientOptions {
  readonly access: Pick<KubeAccess, "current">;
  /** Another limit in tests. */
  readonly answerBytesMax?: number;
}

export class KubeClient {
  readonly #options: KubeClientOptions;

  constructor(options: KubeClientOptions) {
    this.#options = options;
  }

  /** Resolves when nothing more comes of it; never rejects. Once the signal has fired, nothing is told any more. */
  async send(request: KubeRequest, signal: AbortSignal, to: Inputs): Promise<void> {
    const { id } = request;
    const now = (): number => performance.now();
    const ended = (why: string): void => {
      if (!signal.aborted) to.ended(id, why, now());
    };
    const access = await this.#options.access.current();
    if (typeof access === "string") {
      ended(access);
      return;
    }
    try {
      const response = await fetch(`${access.server}${request.path}`, {
        headers: {
          accept: "application/json",
          "accept-encoding": "identity",
          "user-agent": `infermesh/${version}`,
          ...(access.token === "" ? {} : { authorization: `Bearer ${access.token}` }),
        },
        redirect: "manual",
        proxy: false,
        signal,
        ...(access.server.startsWith("https:") ? { tls: access.tls } : {}),
      });
      if (signal.aborted) return;
      if (request.kind === "watch" && response.status === 200) await this.#follow(id, response, signal, to);
      else await this.#read(id, response, signal, to);
    } catch (error) {
      ended(reasonOf(error));
    }
  }

  async #follow(id: number, response: Response, signal: AbortSignal, to: Inputs): Promise<void> {
    to.opened(id, performance.now());
    const lines = new WatchLines();
    const reader = readerOf(response);
    for (;;) {
      const { done, value } = await reader.read();
      if (signal.aborted) return;
      if (done) {
        to.ended(id, "", performance.now());
        return;
      }
      const events = lines.push(value);
      if (events === "too_long") {
        to.ended(id, PAGE_TOO_LARGE, performance.now());
        await reader.cancel();
        return;
      }
      for (const event of events) to.event(id, event, performance.now());
    }
  }

  async #read(id: number, response: Response, signal: AbortSignal, to: Inputs): Promise<void> {
    const { status } = response;
    const { answerBytesMax = ANSWER_BYTES_MAX } = this.#options;
    const text = await textOf(response, status === 200 ? answerBytesMax : REFUSAL_BYTES_MAX);
    if (signal.aborted) return;
    if (text === null && status === 200) to.ended(id, PAGE_TOO_LARGE, performance.now());
    else {
      const retryAfterMs = retryAfterOf(response.headers.get("retry-after"));
      to.answered(id, { status, body: parsed(text ?? ""), retryAfterMs }, performance.now());
    }
  }
}

function readerOf(response: Response) {
  return ((response.body ?? new Blob([]).stream()) as ReadableStream<Uint8Array>).getReader();
}

/** null where it is longer than it may be. */
async function textOf(response: Response, bytesMax: number): Promise<string | null> {
  const reader = readerOf(response);
  const parts: Uint8Array[] = [];
  let length = 0;
  for (;;) {
    const { done, value } = await reader.read();
    if (done) return Buffer.concat(parts).toString();
    length += value.length;
    if (length > bytesMax) {
      await reader.cancel();
      return null;
    }
    parts.push(value);
  }
}

function parsed(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

/** RFC 9110 section 10.2.3; an API server says seconds. */
function retryAfterOf(value: string | null): number | undefined {
  const written = value?.trim() ?? "";
  return /^\d{1,6}$/.test(written) ? Number(written) * 1000 : undefined;
}

function reasonOf(error: unknown): string {
  const { code, message } = error as { readonly code?: unknown; readonly message?: unknown };
  if (code === "ConnectionRefused" || code === "ECONNREFUSED") return "connection refused";
  if (code === "ECONNRESET") return "the connection was broken off";
  const words = typeof message === "string" && message !== "" ? message : String(error);
  return typeof code === "string" && !words.includes(code) ? `${words} (${code})` : words;
}
