/** Asking an admin API: one request, with a time limit and a size limit, and an answer for every way it can fail. */

/** Exit codes of the commands for people; stated in their help. */
export const EXIT = { ok: 0, failed: 1, usage: 2, unreachable: 3 } as const;

export type Answer =
  | { readonly kind: "answer"; readonly endpoint: string; readonly status: number; readonly body: unknown }
  | { readonly kind: "unreachable"; readonly why: string };

/** Where a router and an agent listen when nothing else is said. */
const DEFAULT_ENDPOINTS = ["http://127.0.0.1:50052", "http://127.0.0.1:50051"];
const BODY_BYTES_MAX = 64 * 2 ** 20;

/** `path` at the endpoint, with a JSON body if one is given; with no endpoint, at the first default one that can be reached. */
export async function ask(
  endpoint: string,
  path: string,
  timeoutMs: number,
  method: "GET" | "POST" = "GET",
  body?: object,
): Promise<Answer> {
  const posted = body === undefined ? {} : { body: JSON.stringify(body) };
  const endpoints = endpoint === "" ? DEFAULT_ENDPOINTS : [endpoint];
  const failures: string[] = [];
  for (const base of endpoints) {
    const answer = await askOne(base, path, timeoutMs, { method, ...posted });
    if (answer.kind === "answer") return answer;
    failures.push(answer.why);
  }
  return { kind: "unreachable", why: failures.join("; ") };
}

async function askOne(endpoint: string, path: string, timeoutMs: number, init: RequestInit): Promise<Answer> {
  const unreachable = (why: string): Answer => ({ kind: "unreachable", why: `${endpoint}: ${why}` });
  try {
    const response = await fetch(`${endpoint}${path}`, {
      ...init,
      headers: { accept: "application/json" },
      redirect: "manual",
      signal: AbortSignal.timeout(timeoutMs),
    });
    if (Number(response.headers.get("content-length") ?? 0) > BODY_BYTES_MAX)
      return unreachable("the answer is too long");
    const text = await response.text();
    try {
      return { kind: "answer", endpoint, status: response.status, body: JSON.parse(text) };
    } catch {
      return unreachable("the answer is not JSON; is this an infermesh --api port?");
    }
  } catch (error) {
    const { name, code, message } = error as { name?: string; code?: string; message?: string };
    if (name === "TimeoutError") return unreachable(`no answer within ${timeoutMs} ms`);
    if (code === "ConnectionRefused" || code === "ECONNREFUSED") return unreachable("nobody listens there");
    return unreachable(message ?? String(error));
  }
}

/** The message of an error body, or the status alone. */
export function errorMessage(status: number, body: unknown): string {
  const error = (body as { error?: { message?: unknown } } | null)?.error;
  return typeof error?.message === "string" ? `${error.message} (status ${status})` : `status ${status}`;
}
