import { afterEach, describe, expect, test } from "bun:test";
import { gunzipSync } from "node:zlib";
import { defaultsOf, parseSection } from "../../src/base/settings-reading.ts";
import { version } from "../../src/base/version.ts";
import type { Log } from "../../src/obs/log.ts";
import { SpanExporter } from "../../src/obs/span-exporter.ts";
import { SPAN_EVENT, SpanRecorder } from "../../src/obs/spans.ts";
import type { Span } from "../../src/obs/spans.ts";
import { tracingSettings } from "../../src/obs/tracing-settings.ts";
import type { TracingConfig } from "../../src/obs/tracing-settings.ts";

type Json = Record<string, unknown>;

/** What a collector says to the nth request, counted from 0. */
type Answer = (nth: number) => Response | Promise<Response>;

class Collector {
  readonly requests: { readonly url: URL; readonly headers: Headers; readonly body: Buffer }[] = [];
  readonly #server: ReturnType<typeof Bun.serve>;

  constructor(answer: Answer = () => Response.json({})) {
    this.#server = Bun.serve({
      hostname: "127.0.0.1",
      port: 0,
      fetch: async (request) => {
        const body = Buffer.from(await request.arrayBuffer());
        this.requests.push({ url: new URL(request.url), headers: request.headers, body });
        return answer(this.requests.length - 1);
      },
    });
  }

  get endpoint(): string {
    return `http://127.0.0.1:${this.#server.port}/v1/traces`;
  }

  /** The spans of the nth request. */
  spans(nth = 0): Json[] {
    return spansOf(JSON.parse(this.requests[nth]?.body.toString() ?? "{}") as Json);
  }

  stop(): void {
    void this.#server.stop(true);
  }
}

function spansOf(body: Json): Json[] {
  const inner = (of: Json | undefined, key: string): Json[] => (of?.[key] ?? []) as Json[];
  const [resource] = inner(body, "resourceSpans");
  return inner(inner(resource, "scopeSpans")[0], "spans");
}

const opened: { stop(limitMs: number): unknown }[] = [];
afterEach(async () => {
  await Promise.all(opened.splice(0).map((one) => one.stop(0)));
});

function collector(answer?: Answer): Collector {
  const made = new Collector(answer);
  opened.push(made);
  return made;
}

function exporter(endpoint: string, config: Partial<TracingConfig> = {}) {
  const lines: string[] = [];
  const tell = (message: string, fields?: object): void => void lines.push(`${message} ${JSON.stringify(fields)}`);
  const log: Log = { debug: tell, info: tell, warn: tell, error: tell, with: () => log };
  const quick = { batchSpansMax: 2, intervalMs: 10, backoffMs: 1, retriesMax: 2 };
  const made = new SpanExporter({
    config: { ...defaultsOf(tracingSettings), ...quick, endpoint, ...config },
    instance: () => "router-1",
    log,
  });
  opened.push(made);
  return { exporter: made, lines };
}

/** A packed batch of `count` spans, each filled in by `fill`. */
function batch(
  count: number,
  fill: (span: Span, nth: number) => void = () => {},
  originMs = 1_800_000_000_000,
): Uint8Array {
  const recorder = new SpanRecorder({ spansMax: count, batchSpansMax: count });
  for (let i = 0; i < count; i++) {
    const span = recorder.begin(5.5);
    Object.assign(span, { trace0: 1, trace1: 2, trace2: 3, trace3: i, span0: 4, span1: i, flags: 1 });
    Object.assign(span, { method: "POST", path: "/v1/chat/completions", status: 200, requestId: "req" });
    fill(span, i);
    recorder.end(span, 9.000_001);
  }
  return recorder.take(originMs) ?? new Uint8Array();
}

async function until(condition: () => boolean): Promise<void> {
  const end = performance.now() + 5000;
  while (!condition()) {
    if (performance.now() > end) throw new Error(`not so within 5 s: ${condition.toString()}`);
    await Bun.sleep(2);
  }
}

/** What a key of an object of the proto must be, by opentelemetry-proto's trace.proto, common.proto and resource.proto. */
const SHAPES: Readonly<Record<string, Readonly<Record<string, (value: unknown) => void>>>> = {
  request: { resourceSpans: (value) => each(value, "resourceSpans") },
  resourceSpans: { resource: (value) => check(value, "resource"), scopeSpans: (value) => each(value, "scopeSpans") },
  resource: { attributes: (value) => each(value, "keyValue") },
  scopeSpans: { scope: (value) => check(value, "scope"), spans: (value) => each(value, "span") },
  scope: { name: isString, version: isString },
  span: {
    traceId: (value) => expect(value).toMatch(/^[0-9a-f]{32}$/),
    spanId: (value) => expect(value).toMatch(/^[0-9a-f]{16}$/),
    traceState: isString,
    parentSpanId: (value) => expect(value).toMatch(/^[0-9a-f]{16}$/),
    flags: isInteger,
    name: isString,
    kind: isInteger,
    startTimeUnixNano: isNanos,
    endTimeUnixNano: isNanos,
    attributes: (value) => each(value, "keyValue"),
    events: (value) => each(value, "event"),
    droppedEventsCount: isInteger,
    status: (value) => check(value, "status"),
  },
  status: { code: isInteger, message: isString },
  event: { timeUnixNano: isNanos, name: isString, attributes: (value) => each(value, "keyValue") },
  keyValue: { key: isString, value: (value) => check(value, "anyValue") },
  anyValue: {
    stringValue: isString,
    intValue: (value) => expect(value).toMatch(/^-?\d+$/),
    doubleValue: (value) => expect(typeof value).toBe("number"),
    boolValue: (value) => expect(typeof value).toBe("boolean"),
  },
};

function isString(value: unknown): void {
  expect(typeof value).toBe("string");
}
function isInteger(value: unknown): void {
  expect(Number.isInteger(value)).toBe(true);
}
function isNanos(value: unknown): void {
  expect(value).toMatch(/^\d{19}$/);
}
function each(value: unknown, shape: string): void {
  expect(Array.isArray(value)).toBe(true);
  for (const item of value as unknown[]) check(item, shape);
}
function check(value: unknown, shape: string): void {
  for (const [key, item] of Object.entries(value as Json)) {
    const holds = SHAPES[shape]?.[key];
    expect([shape, key, holds === undefined]).toEqual([shape, key, false]);
    holds?.(item);
  }
}

function attributes(of: Json | undefined): Json {
  const pairs = (of?.["attributes"] ?? []) as { key: string; value: Json }[];
  return Object.fromEntries(pairs.map(({ key, value }) => [key, Object.values(value)[0]]));
}

describe("what is exported", () => {
  test("is OTLP's JSON, field by field", async () => {
    const to = collector();
    const { exporter: out } = exporter(to.endpoint, { headers: { authorization: "Bearer k", "Content-Type": "x" } });
    out.take(
      batch(2, (span, nth) => {
        if (nth === 1) span.error = "over_capacity";
        if (nth === 1) return;
        Object.assign(span, { parent0: 7, parent1: 0xffff_ffff, traceState: "a=1", flags: 3, trace0: 0xfedc_ba98 });
        Object.assign(span, { model: "m", requestBytes: 10, responseBytes: 20, streamed: true, status: 502 });
        span.picked(6, "node-1", 0.25, 12);
        span.mark(SPAN_EVENT.connecting, 6.25, "node-1");
        span.mark(SPAN_EVENT.retry, 7, "connect");
        span.picked(7, "node-2", 0.5, 12);
        span.mark(SPAN_EVENT.connected, 7.5, "reused");
        span.mark(SPAN_EVENT.firstToken, 8);
        for (let i = 0; i < 60; i++) span.mark(SPAN_EVENT.broken, 9, "upstream_failed");
      }),
    );
    await until(() => out.figures().exported === 2);
    const [request] = to.requests;
    expect(request?.url.pathname).toBe("/v1/traces");
    expect(request?.headers.get("content-type")).toBe("application/json");
    expect(request?.headers.get("authorization")).toBe("Bearer k");
    const body = JSON.parse(request?.body.toString() ?? "") as Json;
    check(body, "request");
    const [resource] = body["resourceSpans"] as Json[];
    expect(attributes(resource?.["resource"] as Json)).toEqual({
      "service.name": "infermesh-router",
      "service.instance.id": "router-1",
      "service.version": version,
    });
    const [span, plain] = to.spans();
    expect(span).toMatchObject({
      traceId: "fedcba98000000020000000300000000",
      spanId: "0000000400000000",
      parentSpanId: "00000007ffffffff",
      traceState: "a=1",
      flags: 0x303,
      name: "POST /v1/chat/completions",
      kind: 2,
      startTimeUnixNano: "1800000000005500000",
      endTimeUnixNano: "1800000000009000001",
      status: { code: 2 },
      droppedEventsCount: 2,
    });
    expect(attributes(span)).toEqual({
      "http.request.method": "POST",
      "http.route": "/v1/chat/completions",
      "url.path": "/v1/chat/completions",
      "network.protocol.version": "1.1",
      "http.response.status_code": "502",
      "http.request.size": "10",
      "http.response.size": "20",
      "error.type": "502",
      "gen_ai.request.model": "m",
      "infermesh.request_id": "req",
      "infermesh.node": "node-2",
      "infermesh.attempts": "2",
      "infermesh.prompt_tokens_estimate": "12",
      "infermesh.stream": true,
    });
    const events = span?.["events"] as Json[];
    expect(events.slice(0, 7).map((event) => [event["name"], event["timeUnixNano"], attributes(event)])).toEqual([
      ["picked", "1800000000006000000", { "infermesh.node": "node-1", "infermesh.cost_seconds": 0.25 }],
      ["connecting", "1800000000006250000", { "infermesh.node": "node-1" }],
      ["retry", "1800000000007000000", { "infermesh.reason": "connect" }],
      ["picked", "1800000000007000000", { "infermesh.node": "node-2", "infermesh.cost_seconds": 0.5 }],
      ["connected", "1800000000007500000", { "infermesh.connection": "reused" }],
      ["first_token", "1800000000008000000", {}],
      ["broken", "1800000000009000000", { "infermesh.reason": "upstream_failed" }],
    ]);
    expect(plain).not.toHaveProperty("parentSpanId");
    expect(plain).not.toHaveProperty("traceState");
    expect(plain).not.toHaveProperty("droppedEventsCount");
    expect(plain).toMatchObject({ flags: 0x101, status: {} });
    expect(attributes(plain)["error.type"]).toBe("over_capacity");
  });

  test("names spans by routes that are known, and by the method alone otherwise", async () => {
    const to = collector();
    const paths = [
      "/v1/models/llama",
      "/v1/models/",
      "/v1/files/f-1/content",
      "/v1/secret-1",
      "/",
      "/v2/models/m/infer",
    ];
    const { exporter: out } = exporter(to.endpoint, { batchSpansMax: paths.length });
    out.take(batch(paths.length, (span, nth) => Object.assign(span, { path: paths[nth], method: "GET" })));
    await until(() => to.requests.length === 1);
    expect(to.spans().map(({ name }) => name)).toEqual([
      "GET /v1/models/{model}",
      "GET",
      "GET /v1/files/{file}/content",
      "GET",
      "GET",
      "GET /v2/models/{model}/infer",
    ]);
  });

  test("tells gRPC calls by their service, method and status", async () => {
    const to = collector();
    const calls = [
      { path: "/acme.Thing/Do", isKnownMethod: true, grpcStatus: 14, status: 503, node: "node-1" },
      { path: "/acme.Thing/Guess", grpcStatus: 5, status: 404, error: "model_not_found" },
      { path: "/nothing", grpcStatus: 0, status: 200 },
      // Its path is that of a known request, but it is none.
      { path: "/v1/completions", grpcStatus: 12, status: 501 },
    ];
    const { exporter: out } = exporter(to.endpoint, { batchSpansMax: calls.length });
    out.take(
      batch(calls.length, (span, nth) => Object.assign(span, { method: "POST", httpVersion: "2", ...calls[nth] })),
    );
    await until(() => to.requests.length === 1);
    check(JSON.parse(to.requests[0]?.body.toString() ?? "") as Json, "request");
    const spans = to.spans();
    expect(spans.map(({ name, status }) => [name, status])).toEqual([
      ["acme.Thing/Do", { code: 2 }],
      ["grpc", {}],
      ["grpc", {}],
      ["grpc", { code: 2 }],
    ]);
    expect(attributes(spans[0])).toEqual({
      "rpc.system": "grpc",
      "rpc.service": "acme.Thing",
      "rpc.method": "Do",
      "rpc.grpc.status_code": "14",
      "http.request.method": "POST",
      "http.response.status_code": "503",
      "url.path": "/acme.Thing/Do",
      "network.protocol.version": "2",
      "error.type": "503",
      "infermesh.request_id": "req",
      "infermesh.node": "node-1",
      "infermesh.attempts": "0",
    });
    expect(attributes(spans[1])).toMatchObject({ "rpc.method": "Guess", "error.type": "model_not_found" });
    expect(attributes(spans[2])).not.toHaveProperty("rpc.service");
    expect(attributes(spans[2])["rpc.grpc.status_code"]).toBe("0");
    expect(attributes(spans[3])).not.toHaveProperty("http.route");
  });

  test("keeps every nanosecond that the clock gave, also where the origin is no whole millisecond", async () => {
    const to = collector();
    const { exporter: out } = exporter(to.endpoint, { batchSpansMax: 1 });
    out.take(batch(1, (span) => (span.startedMs = 0.000_999), 1_799_999_999_999.75));
    await until(() => to.requests.length === 1);
    expect(to.spans()[0]?.["startTimeUnixNano"]).toBe("1799999999999750999");
  });

  test("is packed by gzip where that is wished", async () => {
    const to = collector();
    const { exporter: out } = exporter(to.endpoint, { compression: "gzip" });
    out.take(batch(2));
    await until(() => out.figures().exported === 2);
    expect(to.requests[0]?.headers.get("content-encoding")).toBe("gzip");
    const body = JSON.parse(gunzipSync(to.requests[0]?.body ?? "").toString()) as Json;
    expect(spansOf(body)).toHaveLength(2);
  });
});

describe("batches", () => {
  test("go when they are full, or when the interval is over", async () => {
    const to = collector();
    const { exporter: out } = exporter(to.endpoint, { batchSpansMax: 4, intervalMs: 20 });
    for (const count of [2, 1, 3, 1]) out.take(batch(count));
    await until(() => out.figures().exported === 7);
    expect(to.requests.map((_request, nth) => to.spans(nth).length)).toEqual([3, 4]);
    expect(out.figures()).toEqual({ exported: 7, dropped: 0, failed: 0, waiting: 0 });
  });

  test("wait in bounded memory while the collector is slow: the oldest are dropped, and counted", async () => {
    const { promise, resolve } = Promise.withResolvers<Response>();
    const to = collector((nth) => (nth === 0 ? promise : Response.json({})));
    const { exporter: out } = exporter(to.endpoint, { spansMax: 16, batchSpansMax: 2 });
    out.take(batch(2));
    await until(() => to.requests.length === 1);
    for (let i = 0; i < 30; i++) out.take(batch(2, (span) => (span.requestId = `r${i}`)));
    expect(out.figures()).toEqual({ exported: 0, dropped: 44, failed: 0, waiting: 16 });
    resolve(Response.json({}));
    await until(() => out.figures().exported === 18);
    expect(attributes(to.spans(1)[0])["infermesh.request_id"]).toBe("r22");
  });

  test("count what a worker dropped", () => {
    const recorder = new SpanRecorder({ spansMax: 1, batchSpansMax: 1 });
    for (let i = 0; i < 3; i++) recorder.end(recorder.begin(0), 1);
    const { exporter: out } = exporter("http://127.0.0.1:1/v1/traces");
    out.take(recorder.take(0) ?? new Uint8Array());
    expect(out.figures()).toEqual({ exported: 0, dropped: 2, failed: 0, waiting: 1 });
  });
});

describe("a collector in trouble", () => {
  test.each([429, 502, 503, 504])("status %p: the batch is sent again, as it was", async (status) => {
    const to = collector((nth) => (nth < 2 ? new Response("", { status }) : Response.json({})));
    const { exporter: out, lines } = exporter(to.endpoint);
    out.take(batch(2));
    await until(() => out.figures().exported === 2);
    expect(to.requests.map(({ body }) => body.toString())).toEqual(
      Array.from({ length: 3 }, () => to.requests[0]?.body.toString() ?? ""),
    );
    expect(lines).toEqual([]);
  });

  test.each([400, 401, 404, 413, 500, 307])("status %p: the batch is given up at once", async (status) => {
    const to = collector(() => new Response("", { status, headers: { location: "/elsewhere" } }));
    const { exporter: out, lines } = exporter(to.endpoint);
    out.take(batch(2));
    await until(() => out.figures().failed === 2);
    expect(to.requests).toHaveLength(1);
    expect(lines).toEqual([`spans can't be delivered {"endpoint":"${to.endpoint}","error":"status ${status}"}`]);
  });

  test("is waited for as it asks, by seconds or by a date", async () => {
    const past = new Date(0).toUTCString();
    const to = collector((nth) =>
      nth < 2
        ? new Response("", { status: 503, headers: { "retry-after": nth === 0 ? "0" : past } })
        : Response.json({}),
    );
    // Pauses of our own choice would outlast the test.
    const { exporter: out } = exporter(to.endpoint, { backoffMs: 60_000 });
    out.take(batch(2));
    await until(() => out.figures().exported === 2);
    expect(to.requests).toHaveLength(3);
  });

  test("is told of once an outage, and once when it is over", async () => {
    let well = false;
    const to = collector(() => (well ? Response.json({}) : new Response("", { status: 503 })));
    const { exporter: out, lines } = exporter(`${to.endpoint}?key=k`);
    for (let i = 1; i <= 3; i++) {
      out.take(batch(2));
      await until(() => out.figures().failed === 2 * i);
    }
    // Two tries more for each.
    expect(to.requests).toHaveLength(9);
    well = true;
    out.take(batch(2));
    await until(() => out.figures().exported === 2);
    out.take(batch(2));
    await until(() => out.figures().exported === 4);
    expect(lines).toEqual([
      `spans can't be delivered {"endpoint":"${to.endpoint}","error":"status 503"}`,
      `spans are delivered again {"lost":6}`,
    ]);
  });

  test("that is not there, or does not answer in time, costs the batch and nothing else", async () => {
    const gone = collector();
    gone.stop();
    const { exporter: out } = exporter(gone.endpoint);
    out.take(batch(2));
    await until(() => out.figures().failed === 2);
    const silent = collector(() => new Promise<Response>(() => {}));
    const { exporter: other, lines } = exporter(silent.endpoint, { timeoutMs: 20, retriesMax: 1 });
    other.take(batch(2));
    await until(() => other.figures().failed === 2);
    expect(silent.requests).toHaveLength(2);
    expect(lines).toHaveLength(1);
  });

  test("may refuse some of the spans, and may say so in any words", async () => {
    const answers = [
      '{"partialSuccess":{"rejectedSpans":"1","errorMessage":"x"}}',
      "null",
      "no json",
      '{"partialSuccess":{"rejectedSpans":99}}',
      "x".repeat(100_000),
    ];
    const to = collector((nth) => new Response(answers[nth]));
    const { exporter: out } = exporter(to.endpoint);
    for (let i = 0; i < answers.length; i++) {
      out.take(batch(2));
      await until(() => out.figures().exported + out.figures().failed === 2 * (i + 1));
    }
    expect(out.figures()).toEqual({ exported: 9, dropped: 0, failed: 1, waiting: 0 });
  });
});

describe("the end", () => {
  test("sends what waits, without waiting for a batch to fill", async () => {
    const to = collector();
    const { exporter: out } = exporter(to.endpoint, { intervalMs: 60_000, batchSpansMax: 4 });
    for (const count of [3, 3, 1]) out.take(batch(count));
    await out.stop(5000);
    expect(out.figures()).toEqual({ exported: 7, dropped: 0, failed: 0, waiting: 0 });
  });

  test("cuts a pause short, tries once more and no longer", async () => {
    const to = collector(() => new Response("", { status: 503 }));
    const { exporter: out } = exporter(to.endpoint, { backoffMs: 60_000 });
    out.take(batch(2));
    await until(() => to.requests.length === 1);
    await Bun.sleep(20);
    await out.stop(5000);
    expect(to.requests).toHaveLength(2);
    expect(out.figures().failed).toBe(2);
  });

  test("comes in time, whatever the collector does", async () => {
    const to = collector(() => new Promise<Response>(() => {}));
    const { exporter: out } = exporter(to.endpoint);
    for (let i = 0; i < 3; i++) out.take(batch(2));
    await until(() => to.requests.length === 1);
    await out.stop(20);
    expect(out.figures()).toEqual({ exported: 0, dropped: 4, failed: 2, waiting: 0 });
  });
});

describe("the endpoint", () => {
  const read = (endpoint: unknown) => parseSection(tracingSettings, { endpoint }).value?.endpoint;

  test.each([
    ["http://127.0.0.1:4318", "http://127.0.0.1:4318/v1/traces"],
    ["http://127.0.0.1:4318/", "http://127.0.0.1:4318/v1/traces"],
    ["https://otel.example.com", "https://otel.example.com/v1/traces"],
    ["http://[::1]:4318?key=k", "http://[::1]:4318/v1/traces?key=k"],
    ["http://h/otlp/v1/traces", "http://h/otlp/v1/traces"],
    ["", ""],
  ])("%p is %p", (written, meant) => {
    expect(read(written)).toBe(meant);
  });

  test.each([
    "localhost:4318",
    "grpc://h:4317",
    "http://user:key@h",
    "http://h/#x",
    4318,
    `http://h/${"x".repeat(2000)}`,
  ])("%p is refused", (written) => {
    expect(read(written)).toBeUndefined();
  });

  test("headers are never shown, not even wrong ones", () => {
    const { faults = [] } = parseSection(tracingSettings, { headers: { authorization: "k\u00e9y\n" } });
    expect(faults.map(({ path, found }) => [path, found])).toEqual([["headers.authorization", "(hidden)"]]);
    expect(tracingSettings.fields.headers.secret).toBe(true);
    const given = parseSection(tracingSettings, { endpoint: "http://user:key@h" });
    expect(given.faults?.map(({ found }) => found)).toEqual(['"(hidden)"']);
  });

  test("there must be room for a whole batch", () => {
    const { faults = [] } = parseSection(tracingSettings, { batchSpansMax: 100, spansMax: 99, workerSpansMax: 100 });
    expect(faults.map(({ path, expected }) => `${path}: ${expected}`)).toEqual([
      "spansMax: at least batchSpansMax, which is 100",
    ]);
  });
});
