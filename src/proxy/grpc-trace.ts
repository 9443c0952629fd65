/**
 * The spans of gRPC calls: which calls are recorded, and what of their metadata goes on where one is. The rules are
 * those of requests over HTTP/1.1 (tracing.ts): a call's only traceparent is its parent if it can be read, and the
 * target gets the span's own in its place; tracestate passes with a parent alone, as a list of no more members than it
 * may have. Of a call that is not recorded everything passes as it is.
 */
import type { Span } from "../obs/spans.ts";
import type { HeaderBlock } from "../wire/header-block.ts";
import { FIELD_KIND, FieldName, type HeaderField, writeLiteral } from "../wire/header-field.ts";
import { ascii } from "../wire/octets.ts";
import { stateMembers, TRACEPARENT_BYTES, TRACESTATE_MEMBERS_MAX, writeTraceparent } from "../wire/trace-context.ts";
import { type CallId, idText } from "./grpc-id.ts";
import { hasParent, SPAN_PATH_BYTES_MAX, STATE_CHARACTERS_MAX, type Tracer } from "./tracing.ts";

const TRACEPARENT = new FieldName(ascii("traceparent"));
const NOTHING = new Uint8Array(0);

/** The span of the call that this head begins, or null when it is not recorded. */
export function beginSpan(tracer: Tracer, head: HeaderBlock): Span | null {
  const parent = onlyParent(head);
  const span =
    parent === null ? tracer.open(NOTHING, 0, 0) : tracer.open(parent.source, parent.valueStart, parent.source.length);
  if (span === null) return null;
  if (passesState(head, span)) span.traceState = stateOf(head);
  span.httpVersion = "2";
  span.method = head.method?.text ?? "";
  span.path = (head.path?.text ?? "").slice(0, SPAN_PATH_BYTES_MAX).split("?", 1)[0] ?? "";
  return span;
}

/** The traceparent, if there is one and no other; each call is asked for it, so it costs no array. */
function onlyParent({ fields }: HeaderBlock): HeaderField | null {
  let parent: HeaderField | null = null;
  for (const field of fields) {
    if (field.kind !== FIELD_KIND.traceparent) continue;
    if (parent !== null) return null;
    parent = field;
  }
  return parent;
}

/** What the span tells of tracestate: all of it where it is as short as is usual, else nothing. */
function stateOf(head: HeaderBlock): string {
  const lists = fieldsOf(head, FIELD_KIND.tracestate).map(({ text }) => text);
  const state = lists.join();
  return state.length <= STATE_CHARACTERS_MAX ? state : "";
}

/** The call has ended with these statuses, gRPC's and the one under which it is counted. */
export function endSpan(tracer: Tracer | null, span: Span, id: CallId, grpcStatus: number, status: number): void {
  span.requestId = idText(id);
  span.grpcStatus = grpcStatus;
  span.status = status;
  tracer?.end(span);
}

/** Whether a head has fields that tell of a trace. */
export function isTraced({ fields }: HeaderBlock): boolean {
  return fields.some(({ kind }) => kind === FIELD_KIND.traceparent || kind === FIELD_KIND.tracestate);
}

/** Whether the tracestate of a recorded call goes on. */
export function passesState(head: HeaderBlock, span: Span): boolean {
  if (!hasParent(span)) return false;
  let members = 0;
  for (const { source, valueStart } of fieldsOf(head, FIELD_KIND.tracestate)) {
    members += stateMembers(source, valueStart, source.length);
  }
  return members <= TRACESTATE_MEMBERS_MAX;
}

/** Writes the field that names the span to the target; answers the position behind it. */
export function writeTrace(span: Span, target: Uint8Array, at: number): number {
  return writeTraceparent(span, target, writeLiteral(target, at, TRACEPARENT, TRACEPARENT_BYTES));
}

function fieldsOf({ fields }: HeaderBlock, kind: number): readonly HeaderField[] {
  return fields.filter((field) => field.kind === kind);
}
