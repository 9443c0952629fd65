/**
 * Calling the control plane: one method by the Connect protocol's unary JSON, `POST /PACKAGE.SERVICE/METHOD`.
 *
 * A write carries a random idempotency key, so that it is applied once however often it is sent. What may pass by itself
 * (no quorum, an answer that did not come, a connection that was cut) is tried again with the same key, up to three times
 * within the time limit. A process that nobody listens at is not waited for.
 */
import { randomBytes } from "node:crypto";
import { escaped } from "../base/printable.ts";
import { type Answer, ask, EXIT, failureOf, type JsonRecord, NOT_OURS, notOurs, recordOf } from "./client.ts";
import type { Terminal } from "./terminal.ts";

export interface Caller {
  readonly endpoint: string;
  readonly timeoutMs: number;
  /** Calls it off. */
  readonly signal?: AbortSignal;
}

/** What the control plane answered, or why not. */
export type Reply =
  | { readonly kind: "reply"; readonly endpoint: string; readonly body: JsonRecord }
  | Refusal
  | Exclude<Answer, { readonly kind: "answer" }>;

/** An error as Connect has it. */
export interface Refusal {
  readonly kind: "refusal";
  readonly endpoint: string;
  /** The mesh's own code, else Connect's: `conflict`, `no_quorum`; "" where the answer is no error of this protocol. */
  readonly code: string;
  readonly retryable: boolean;
  readonly message: string;
  readonly status: number;
  /** Of a conflict: which of the writes, counted from 0, and the revision that the policy has now, 0 for none. */
  readonly write?: number;
  readonly revision?: number;
}

const CONTROL = "infermesh.control.v1.ControlPlane";
const ATTEMPTS_MAX = 3;
/** Elections take up to a second. */
const PAUSES_MS = [250, 1000];
/** An attempt that is not the last leaves time for another one. */
const ATTEMPT_MS_MIN = 1000;
const PROGRESS_AFTER_MS = 800;

/** One method, once. */
export async function call(caller: Caller, method: string, request: object = {}, service = CONTROL): Promise<Reply> {
  const { endpoint, timeoutMs, signal } = caller;
  const headers = { "connect-protocol-version": "1", "connect-timeout-ms": String(Math.round(timeoutMs)) };
  // The server's word about a timeout tells more than ours.
  const answer = await ask(endpoint, `/${service}/${method}`, timeoutMs + 250, "POST", request, headers, signal);
  if (answer.kind !== "answer") return answer;
  const { status } = answer;
  const body = recordOf(answer.body);
  if (status === 200 && body !== undefined) return { kind: "reply", endpoint: answer.endpoint, body };
  const { code, message, error } = body ?? {};
  const told = typeof message === "string" ? message : recordOf(error)?.["message"];
  const words = typeof told === "string" && told !== "" ? told : `status ${status}`;
  return {
    kind: "refusal",
    endpoint: answer.endpoint,
    code: typeof code === "string" ? code : "",
    retryable: code === "unavailable",
    message: words,
    status,
    ...detailsOf(body?.["details"]),
  };
}

/** What an ErrorDetail (proto/control_plane.proto) tells, in JSON, beside Connect's code. */
function detailsOf(details: unknown): Partial<Refusal> {
  for (const detail of Array.isArray(details) ? details : []) {
    const told = recordOf(recordOf(detail)?.["debug"]);
    if (typeof told?.["code"] !== "string") continue;
    const write = wholeOf(told["write"]);
    const current = wholeOf(recordOf(told["current"])?.["revision"]) ?? 0;
    const code = told["code"];
    const retryable = told["retryable"] === true;
    return { code, retryable, ...(write === undefined ? {} : { write, revision: current }) };
  }
  return {};
}

/**
 * A method that changes something: applied once, tried again where that may help. `keyed` is false for methods that take
 * no key, since to say them twice does no harm.
 */
export async function change(
  caller: Caller,
  method: string,
  request: object,
  terminal: Terminal,
  keyed = true,
): Promise<Reply> {
  const key = keyed ? { idempotencyKey: randomBytes(16).toString("hex") } : {};
  const startedMs = performance.now();
  const leftMs = (): number => Math.max(1, caller.timeoutMs - (performance.now() - startedMs));
  for (let attempt = 1; ; attempt += 1) {
    const last = attempt === ATTEMPTS_MAX;
    const timeoutMs = last ? leftMs() : Math.min(leftMs(), Math.max(ATTEMPT_MS_MIN, leftMs() / 2));
    const reply = await waiting(terminal, method, call({ ...caller, timeoutMs }, method, { ...request, ...key }));
    const pauseMs = PAUSES_MS[attempt - 1] ?? 0;
    if (last || !mayPass(reply) || leftMs() <= pauseMs + 50) return reply;
    const why = reply.kind === "refusal" ? reply.message : reply.kind === "unreachable" ? reply.why : "";
    terminal.progress?.(`${escaped(why)}; trying again`);
    await Bun.sleep(pauseMs);
    terminal.progress?.("");
  }
}

function mayPass(reply: Reply): boolean {
  if (reply.kind === "unreachable") return !reply.refused;
  return reply.kind === "refusal" && (reply.retryable || isTimeout(reply));
}

/** It may have been done all the same; to say it again with the same key does no harm. */
function isTimeout({ code }: Refusal): boolean {
  return code === "request_timeout" || code === "deadline_exceeded";
}

/** Shows, to whoever looks on, that something takes long. */
export async function waiting<T>(terminal: Terminal, what: string, work: Promise<T>): Promise<T> {
  if (terminal.progress === undefined) return work;
  const sinceMs = performance.now();
  const show = (): void => terminal.progress?.(`${what}: ${Math.round((performance.now() - sinceMs) / 1000)} s`);
  let ticking: ReturnType<typeof setInterval> | undefined;
  const timer = setTimeout(() => {
    show();
    ticking = setInterval(show, 1000);
  }, PROGRESS_AFTER_MS);
  try {
    return await work;
  } finally {
    clearTimeout(timer);
    clearInterval(ticking);
    terminal.progress("");
  }
}

/** What to do about a refusal, by its code, where a command knows better than all commands together. */
export type NextSteps = Readonly<Record<string, string>>;

/** Of commands that can do without the control nodes. */
export const LOCALLY: NextSteps = { no_quorum: "with --local it is answered from what is known there" };

/** What to do about a refusal; "" where its words say all. */
function nextStep(refusal: Refusal, steps: NextSteps): string {
  const { code, status, revision, retryable, message } = refusal;
  const known = steps[isConflict(refusal) ? "conflict" : code];
  if (known !== undefined) return known;
  if (code === "" && status === 404) return NOT_OURS;
  if (isConflict(refusal)) {
    if (revision === undefined) return "";
    return revision === 0
      ? "there is no such policy now: --if-revision 0 makes it"
      : `it has revision ${revision} now: look at it, and try again with --if-revision ${revision}`;
  }
  if (isTimeout(refusal))
    return "it may have been done all the same; to say it again is safe, and --timeout gives it more time";
  if (code === "store_full") return "`infermesh ctl control status` tells more";
  // Some refusals say so themselves.
  const isTold = message.includes("infermesh ctl control status");
  return retryable && !isTold
    ? "nothing is wrong with what you asked; try again, and see `infermesh ctl control status`"
    : "";
}

function isConflict({ code }: Refusal): boolean {
  return code === "conflict" || code === "aborted";
}

/** The body of a good reply, or the exit code of any other after saying why, and what to do. */
export function bodyOf(reply: Reply, terminal: Terminal, steps: NextSteps = {}): JsonRecord | number {
  if (reply.kind === "reply") {
    const { warnings } = reply.body;
    // One is often true of several policies of a file.
    for (const warning of new Set(Array.isArray(warnings) ? warnings.map(String) : [])) {
      terminal.err(`infermesh ctl: warning: ${escaped(warning)}\n`);
    }
    return reply.body;
  }
  if (reply.kind === "unreachable") return failureOf(reply, terminal) ?? EXIT.failed;
  const { endpoint, code, message, status } = reply;
  const kind = code === "" ? `status ${status}` : code;
  terminal.err(`infermesh ctl: ${endpoint} answered: ${escaped(message)} (${kind})\n`);
  const next = nextStep(reply, steps);
  if (next !== "") terminal.err(`infermesh ctl: ${next}\n`);
  return isConflict(reply) ? EXIT.conflict : EXIT.failed;
}

/** The objects in a list of the body; proto3's JSON leaves out what is empty. */
export function listIn(body: JsonRecord, name: string, terminal: Terminal): readonly JsonRecord[] | number {
  const list: unknown = body[name] ?? [];
  if (Array.isArray(list) && list.every((item) => recordOf(item) !== undefined)) return list as JsonRecord[];
  return notOurs(name, terminal);
}

/** A whole number: 64 bits come as text. */
export function wholeOf(value: unknown): number | undefined {
  const number = typeof value === "string" && value !== "" ? Number(value) : value;
  return typeof number === "number" && Number.isSafeInteger(number) ? number : undefined;
}
