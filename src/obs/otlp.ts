/**
 * Spans as OTLP's JSON (opentelemetry-proto's trace/v1, in the JSON form of the OTLP specification): ids in lower-case
 * hexadecimal rather than base64, 64-bit numbers and times as decimal strings, enums as numbers, field names in
 * lowerCamelCase.
 *
 * Attributes follow OpenTelemetry's conventions for HTTP servers, generative AI and RPC (1.37, whose names for gRPC are
 * the ones that back ends know) where these have a name for a fact; what is the mesh's own stands under `infermesh.`. A
 * span is called after its method and route, or after its gRPC method. Only paths and methods that are known count:
 * others are made by clients, and back ends expect few names.
 */
import { SPAN_EVENT } from "./spans.ts";
import type { SpanBatch, SpanFields } from "./spans.ts";

/** An AnyValue of the proto, in the kinds that are used here. */
type Value =
  | { readonly stringValue: string }
  | { readonly intValue: string }
  | { readonly doubleValue: number }
  | { readonly boolValue: boolean };

interface KeyValue {
  readonly key: string;
  readonly value: Value;
}

interface OtlpEvent {
  readonly timeUnixNano: string;
  readonly name: string;
  readonly attributes: readonly KeyValue[];
}

interface OtlpSpan {
  readonly traceId: string;
  readonly spanId: string;
  readonly traceState?: string;
  readonly parentSpanId?: string;
  readonly flags: number;
  readonly name: string;
  readonly kind: number;
  readonly startTimeUnixNano: string;
  readonly endTimeUnixNano: string;
  readonly attributes: readonly KeyValue[];
  readonly events: readonly OtlpEvent[];
  readonly droppedEventsCount?: number;
  readonly status: { readonly code?: number };
}

/** Who sends the spans. */
export interface SpanSource {
  readonly service: string;
  /** This router's id. */
  readonly instance: string;
  readonly version: string;
}

/** The body of a POST to a collector. */
export interface ExportRequest {
  readonly resourceSpans: readonly {
    readonly resource: { readonly attributes: readonly KeyValue[] };
    readonly scopeSpans: readonly {
      readonly scope: { readonly name: string; readonly version: string };
      readonly spans: readonly OtlpSpan[];
    }[];
  }[];
}

const KIND_SERVER = 2;
const STATUS_ERROR = 2;
const RPC_SYSTEM = "grpc";
/** Bits of Span.flags: the parent is known to be remote or not, and it is. */
const HAS_IS_REMOTE = 0x100;
const IS_REMOTE = 0x200;

/** By SPAN_EVENT: the event's name, and what its text and its number are. */
const EVENTS: readonly { readonly name: string; readonly textKey: string; readonly valueKey: string }[] = (() => {
  const named: Record<keyof typeof SPAN_EVENT, readonly [name: string, textKey: string, valueKey: string]> = {
    queued: ["queued", "infermesh.queue", "infermesh.queue_length"],
    picked: ["picked", "infermesh.node", "infermesh.cost_seconds"],
    connecting: ["connecting", "infermesh.node", ""],
    connected: ["connected", "infermesh.connection", ""],
    firstToken: ["first_token", "", ""],
    retry: ["retry", "infermesh.reason", ""],
    hedge: ["hedge", "infermesh.node", "infermesh.cost_seconds"],
    broken: ["broken", "infermesh.reason", ""],
    fallback: ["fallback", "infermesh.model", ""],
    cache: ["cache", "infermesh.cache", ""],
    refused: ["refused", "infermesh.policy", ""],
  };
  const events: { name: string; textKey: string; valueKey: string }[] = [];
  for (const key of Object.keys(SPAN_EVENT) as (keyof typeof SPAN_EVENT)[]) {
    const [name, textKey, valueKey] = named[key];
    events[SPAN_EVENT[key]] = { name, textKey, valueKey };
  }
  return events;
})();

/** Paths as templates; a part in braces is any one segment. */
const ROUTES: readonly (readonly string[])[] = [
  "/health",
  "/register",
  "/deregister",
  "/v1/chat/completions",
  "/v1/completions",
  "/v1/responses",
  "/v1/responses/{response}",
  "/v1/embeddings",
  "/v1/inference",
  "/v1/rerank",
  "/v1/score",
  "/v1/classify",
  "/v1/pooling",
  "/v1/moderations",
  "/v1/messages",
  "/v1/messages/count_tokens",
  "/v1/audio/speech",
  "/v1/audio/transcriptions",
  "/v1/audio/translations",
  "/v1/images/generations",
  "/v1/images/edits",
  "/v1/images/variations",
  "/v1/realtime",
  "/v1/models",
  "/v1/models/{model}",
  "/v1/files",
  "/v1/files/{file}",
  "/v1/files/{file}/content",
  "/v1/batches",
  "/v1/batches/{batch}",
  "/v2/models/{model}/infer",
  "/v2/models/{model}/infer_stream",
  "/v2/models/{model}/generate",
  "/v2/models/{model}/generate_stream",
  "/api/chat",
  "/api/generate",
  "/api/embed",
  "/api/embeddings",
  "/generate",
  "/generate_stream",
  "/rerank",
  "/predictions/{model}",
].map((route) => route.split("/"));

/** The template of a known path, or "". */
function routeOf(path: string): string {
  const parts = path.split("/");
  const found = ROUTES.find(
    (route) =>
      route.length === parts.length &&
      route.every((part, i) => (part.startsWith("{") ? parts[i] !== "" : part === parts[i])),
  );
  return found?.join("/") ?? "";
}

/** The export of these batches together. */
export function exportRequest(
  batches: readonly SpanBatch[],
  { service, instance, version }: SpanSource,
): ExportRequest {
  const attributes = [
    text("service.name", service),
    text("service.instance.id", instance),
    text("service.version", version),
  ];
  const spans = batches.flatMap(({ originMs, spans: fields }) => fields.map((span) => otlpSpan(span, originMs)));
  const scope = { name: "infermesh", version };
  return { resourceSpans: [{ resource: { attributes }, scopeSpans: [{ scope, spans }] }] };
}

function nameOf(span: SpanFields, route: string): string {
  if (isCall(span)) return span.isKnownMethod ? span.path.slice(1) : RPC_SYSTEM;
  return route === "" ? span.method : `${span.method} ${route}`;
}

function isCall({ grpcStatus }: SpanFields): boolean {
  return grpcStatus >= 0;
}

function otlpSpan(span: SpanFields, originMs: number): OtlpSpan {
  const route = isCall(span) ? "" : routeOf(span.path);
  const hasParent = span.parent0 !== 0 || span.parent1 !== 0;
  return {
    traceId: hex(span.trace0) + hex(span.trace1) + hex(span.trace2) + hex(span.trace3),
    spanId: hex(span.span0) + hex(span.span1),
    ...(span.traceState === "" ? {} : { traceState: span.traceState }),
    ...(hasParent ? { parentSpanId: hex(span.parent0) + hex(span.parent1) } : {}),
    flags: span.flags | HAS_IS_REMOTE | (hasParent ? IS_REMOTE : 0),
    name: nameOf(span, route),
    kind: KIND_SERVER,
    startTimeUnixNano: nanoseconds(originMs, span.startedMs),
    endTimeUnixNano: nanoseconds(originMs, span.endedMs),
    attributes: attributesOf(span, route),
    events: span.eventKinds.map((kind, i) => otlpEvent(span, kind, i, originMs)),
    ...(span.eventsLost === 0 ? {} : { droppedEventsCount: span.eventsLost }),
    // What a client did wrong, or gave up, is no error of a server. The gRPC statuses that count as 5xx are those which
    // the conventions call a server's errors.
    status: span.status >= 500 ? { code: STATUS_ERROR } : {},
  };
}

function attributesOf(span: SpanFields, route: string): KeyValue[] {
  const attributes = [
    text("http.request.method", span.method),
    text("url.path", span.path),
    text("network.protocol.version", span.httpVersion),
    int("http.response.status_code", span.status),
    text("infermesh.request_id", span.requestId),
    int("infermesh.attempts", span.attempts),
  ];
  if (isCall(span)) attributes.push(...callAttributes(span));
  else attributes.push({ key: "infermesh.stream", value: { boolValue: span.streamed } });
  if (span.requestBytes > 0) attributes.push(int("http.request.size", span.requestBytes));
  // The router's own answers are not counted.
  if (span.responseBytes > 0) attributes.push(int("http.response.size", span.responseBytes));
  if (route !== "") attributes.push(text("http.route", route));
  if (span.model !== "") attributes.push(text("gen_ai.request.model", span.model));
  if (span.node !== "") attributes.push(text("infermesh.node", span.node));
  if (span.promptTokens > 0) attributes.push(int("infermesh.prompt_tokens_estimate", span.promptTokens));
  if (span.inputTokens > 0) attributes.push(int("gen_ai.usage.input_tokens", span.inputTokens));
  if (span.outputTokens > 0) attributes.push(int("gen_ai.usage.output_tokens", span.outputTokens));
  if (span.error !== "") attributes.push(text("error.type", span.error));
  else if (span.status >= 500) attributes.push(text("error.type", String(span.status)));
  return attributes;
}

/** A path is `/SERVICE/METHOD`; what is none tells of neither. */
function callAttributes({ path, grpcStatus }: SpanFields): KeyValue[] {
  const slash = path.lastIndexOf("/");
  return [
    text("rpc.system", RPC_SYSTEM),
    ...(slash > 0 ? [text("rpc.service", path.slice(1, slash)), text("rpc.method", path.slice(slash + 1))] : []),
    int("rpc.grpc.status_code", grpcStatus),
  ];
}

function otlpEvent(span: SpanFields, kind: number, at: number, originMs: number): OtlpEvent {
  const event = EVENTS[kind];
  const own = span.eventTexts[at] ?? "";
  const value = span.eventValues[at] ?? Number.NaN;
  const attributes: KeyValue[] = [];
  if (event !== undefined && event.textKey !== "" && own !== "") attributes.push(text(event.textKey, own));
  if (event !== undefined && event.valueKey !== "" && Number.isFinite(value)) {
    attributes.push({ key: event.valueKey, value: { doubleValue: value } });
  }
  return { timeUnixNano: nanoseconds(originMs, span.eventsMs[at] ?? 0), name: event?.name ?? "", attributes };
}

function text(key: string, stringValue: string): KeyValue {
  return { key, value: { stringValue } };
}

function int(key: string, value: number): KeyValue {
  return { key, value: { intValue: String(value) } };
}

function hex(word: number): string {
  return (word >>> 0).toString(16).padStart(8, "0");
}

/** Unix nanoseconds as a decimal string: more digits than a number holds. */
function nanoseconds(originMs: number, ms: number): string {
  const whole = Math.floor(originMs);
  const nanos = Math.round((originMs - whole + ms) * 1e6);
  return String(BigInt(whole) * 1_000_000n + BigInt(nanos));
}
