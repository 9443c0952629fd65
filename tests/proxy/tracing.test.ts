import { describe, expect, test } from "bun:test";
import { defaultsOf } from "../../src/base/settings-reading.ts";
import { unpackSpans } from "../../src/obs/spans.ts";
import type { SpanBatch, SpanFields } from "../../src/obs/spans.ts";
import { WorkerStats } from "../../src/obs/worker-stats.ts";
import { Crew } from "../../src/proxy/crew.ts";
import { flowSettings } from "../../src/flow/settings.ts";
import { apiSettings } from "../../src/wire/api-access.ts";
import { proxySettings } from "../../src/proxy/settings.ts";
import { ScoreTable } from "../../src/score/table.ts";
import {
  CHAT,
  CLOSE,
  CONTENT,
  Client,
  SSE_HEAD,
  answer,
  ask,
  by,
  chunk,
  fixtures,
  ok,
  post,
  statusOf,
  until,
} from "./harness.ts";
import { http2Fixtures } from "./http2-bed.ts";
import { eventsOf, hex, only, PARENT, TRACE, traceOf, tracing } from "./trace-bed.ts";

const { upstream, relay } = fixtures();
const { client: http2Client } = http2Fixtures();

const SAMPLED_LINE = `traceparent: 00-${TRACE}-${PARENT}-01\r\n`;

/** The values of a field in a request's head. */
function values(request: string | undefined, name: string): string[] {
  const head = (request ?? "").split("\r\n\r\n")[0] ?? "";
  return [...head.matchAll(new RegExp(`^${name}: *(.*)$`, "gim"))].map((match) => match[1]?.trim() ?? "");
}

describe("a request that is recorded", () => {
  test("tells the version of HTTP that its client speaks", async () => {
    const up = upstream(ok);
    const { tracer, spans } = tracing();
    const { port } = relay([up.port], {}, 1 << 20, tracer);
    const one = await http2Client(port);
    const head = { ":method": "POST", ":scheme": "http", ":path": "/v1/chat/completions", ":authority": "test" };
    const call = one.request(head).send(Buffer.from(CHAT), true);
    expect((await call.over()).head[":status"]).toBe("200");
    expect((await one.request({ ...head, ":path": "/nothing" }, true).over()).head[":status"]).toBe("404");
    await ask(port, post(CHAT, CLOSE));
    await ask(port, post(CHAT, CLOSE).replace("HTTP/1.1", "HTTP/1.0"));
    expect(spans().map(({ httpVersion }) => httpVersion)).toEqual(["2", "2", "1.1", "1.0"]);
    // What its target is told is the same in any.
    expect(up.requests.map((request) => request.split("\r\n")[0])).toEqual(
      Array<string>(3).fill("POST /v1/chat/completions HTTP/1.1"),
    );
  });

  test("is told to the target as the parent, in the client's trace", async () => {
    const up = upstream(ok);
    const { tracer, spans } = tracing();
    const { port } = relay([up.port], {}, 1 << 20, tracer);
    const headers = `${SAMPLED_LINE}tracestate: a=1\r\nTraceState: b=2\r\nx-request-id: r-1\r\n${CLOSE}`;
    expect(statusOf(await ask(port, post(CHAT, headers, "/v1/chat/completions?key=secret")))).toBe(200);
    const span = only(spans());
    expect(traceOf(span)).toBe(TRACE);
    expect(hex(span.parent0, span.parent1)).toBe(PARENT);
    const own = hex(span.span0, span.span1);
    expect(own).not.toBe(PARENT);
    expect(values(up.requests[0], "traceparent")).toEqual([`00-${TRACE}-${own}-01`]);
    expect(values(up.requests[0], "tracestate")).toEqual(["a=1", "b=2"]);
    expect(span).toMatchObject({
      flags: 1,
      traceState: "a=1,b=2",
      method: "POST",
      path: "/v1/chat/completions",
      requestId: "r-1",
      httpVersion: "1.1",
      model: "m",
      node: "up1",
      status: 200,
      attempts: 1,
      streamed: false,
      eventsLost: 0,
      eventTexts: ["up1", "up1", "new", ""],
    });
    expect(span.promptTokens).toBeGreaterThan(0);
    expect(span.requestBytes).toBeGreaterThan(CHAT.length);
    expect(span.responseBytes).toBeGreaterThan(100);
    expect(eventsOf(span)).toEqual(["picked", "connecting", "connected", "firstToken"]);
    const times = [span.startedMs, ...span.eventsMs, span.endedMs];
    expect(times).toEqual(times.toSorted((a, b) => a - b));
    expect(span.eventValues[0]).toBeGreaterThanOrEqual(0);
  });

  test("begins a trace where there is none, and each of a connection has a span of its own", async () => {
    const up = upstream(ok);
    const { tracer, spans } = tracing();
    const { port } = relay([up.port], {}, 1 << 20, tracer);
    const client = await Client.open(port);
    client.send(post(CHAT));
    await client.until((text) => text.includes("true"));
    await client.send(post(CHAT, CLOSE)).end();
    const [first, second] = spans();
    for (const [nth, span] of [first, second].entries()) {
      expect(values(up.requests[nth], "traceparent")).toEqual([
        `00-${traceOf(span!)}-${hex(span!.span0, span!.span1)}-03`,
      ]);
      expect([span?.parent0, span?.parent1]).toEqual([0, 0]);
    }
    expect(traceOf(first!)).not.toBe(traceOf(second!));
    expect(eventsOf(second!)).toEqual(["picked", "connected", "firstToken"]);
    expect(second?.eventTexts).toEqual(["up1", "reused", ""]);
  });

  test("tells of every target that was tried, all under one span", async () => {
    const dead = upstream(ok);
    dead.stop();
    const up = upstream(ok);
    const { tracer, spans } = tracing();
    const { port } = relay([dead.port, up.port], {}, 1 << 20, tracer);
    let retried: SpanFields | undefined;
    for (let tries = 0; retried === undefined && tries < 50; tries++) {
      expect(statusOf(await ask(port, post(CHAT, SAMPLED_LINE + CLOSE)))).toBe(200);
      retried = spans().find(({ attempts }) => attempts === 2);
    }
    // The second target's connection may be a kept one.
    const events = eventsOf(retried!).filter((name) => name !== "connecting");
    expect(events).toEqual(["picked", "retry", "picked", "connected", "firstToken"]);
    expect(retried?.eventTexts.slice(0, 3)).toEqual(["up1", "up1", "connect"]);
    expect([retried?.node, retried?.status]).toEqual(["up2", 200]);
    const own = `00-${TRACE}-${hex(retried!.span0, retried!.span1)}-01`;
    expect(up.requests.flatMap((request) => values(request, "traceparent"))).toContain(own);
  });

  test("tells of a model that stood in, and of the cache", async () => {
    const up = upstream(ok);
    const { tracer, spans } = tracing();
    const content = {
      aliases: { aliases: [], fallbacks: [{ model: "full", others: ["m"] }] },
      cache: { ...CONTENT.cache, enabled: true },
    };
    const dead = upstream(ok);
    dead.stop();
    const { port } = relay([up.port, by("http", dead.port, "full")], { content }, 1 << 20, tracer);
    const embed = (model: string): string =>
      post(`{"model":"${model}","input":"a"}`, SAMPLED_LINE + CLOSE, "/v1/embeddings");
    for (const model of ["m", "m", "full"]) expect(statusOf(await ask(port, embed(model)))).toBe(200);
    const [miss, hit, other] = spans();
    expect([miss?.eventTexts[0], eventsOf(miss!)[0]]).toEqual(["miss", "cache"]);
    expect([hit?.eventTexts, eventsOf(hit!), hit?.status, hit?.attempts]).toEqual([["hit"], ["cache"], 200, 0]);
    const at = eventsOf(other!).indexOf("fallback");
    expect([other?.eventTexts[at], other?.model, other?.node]).toEqual(["m", "m", "up1"]);
  });

  test("tells of a stream that broke", async () => {
    const up = upstream((socket) => {
      socket.write(SSE_HEAD + chunk("data: a\n\n"));
      setTimeout(() => socket.terminate(), 20);
    });
    const { tracer, spans } = tracing();
    const { port } = relay([up.port], {}, 1 << 20, tracer);
    const client = await Client.open(port);
    client.send(post(CHAT, SAMPLED_LINE));
    await client.until((text) => text.includes("0\r\n\r\n"));
    const span = only(spans());
    expect(eventsOf(span)).toEqual(["picked", "connecting", "connected", "firstToken", "broken"]);
    expect([span.eventTexts.at(-1), span.status, span.streamed]).toEqual(["upstream_failed", 502, true]);
    expect(span.error).toBe("upstream_failed");
    client.leave();
  });

  test("tells of a target that failed when nothing could be repeated, and of a client that left", async () => {
    const up = upstream((socket) => socket.terminate());
    const { tracer, spans } = tracing();
    const { port } = relay([up.port], {}, 1 << 20, tracer);
    expect(statusOf(await ask(port, post(CHAT, CLOSE, "/v1/files")))).toBe(502);
    const span = only(spans());
    expect(eventsOf(span).at(-1)).toBe("broken");
    expect([span.eventTexts.at(-1), span.error]).toEqual(["reset", "upstream_failed"]);

    const silent = upstream(() => {});
    const other = tracing();
    const client = await Client.open(relay([silent.port], {}, 1 << 20, other.tracer).port);
    client.send(post(CHAT));
    await until(() => silent.requests.length === 1);
    client.leave();
    await until(() => other.spans().length === 1);
    expect(only(other.spans()).status).toBe(499);
  });

  test("need not go to a target", async () => {
    const { tracer, spans } = tracing();
    const { port } = relay([], {}, 1 << 20, tracer);
    const get = (target: string, method = "GET"): Promise<string> =>
      ask(port, `${method} ${target} HTTP/1.1\r\nhost: x\r\n${CLOSE}\r\n`);
    await get("/v1/models");
    await get(`/${"x".repeat(400)}?secret`);
    await get("http://x?secret", "BREW");
    expect(spans().map(({ method, path, status, error }) => [method, path, status, error])).toEqual([
      ["GET", "/v1/models", 200, ""],
      ["GET", `/${"x".repeat(255)}`, 404, "not_found"],
      ["_OTHER", "/", 404, "not_found"],
    ]);
  });
});

describe("a request that is not recorded passes as it is", () => {
  const lines = `Traceparent:  00-${TRACE}-${PARENT}-01\r\ntracestate: a=1\r\n`;

  test("where tracing is off", async () => {
    const up = upstream(ok);
    await ask(relay([up.port]).port, post(CHAT, lines + CLOSE));
    expect(up.requests[0]).toContain(lines);
  });

  test.each([
    ["by the word of the client", 1, `traceparent: 00-${TRACE}-${PARENT}-00\r\ntracestate: a=1\r\n`],
    ["by chance", 0, "tracestate: a=1\r\n"],
    ["by chance, with a traceparent that is none", 0, "traceparent: 00-x\r\n"],
  ])("%s", async (_why, sample, given) => {
    const up = upstream(ok);
    const { tracer, spans } = tracing(sample);
    await ask(relay([up.port], {}, 1 << 20, tracer).port, post(CHAT, given + CLOSE));
    expect(up.requests[0]).toContain(given);
    expect(values(up.requests[0], "traceparent")).toEqual(values(given, "traceparent"));
    expect(spans()).toEqual([]);
  });
});

describe("what the client says of its trace", () => {
  test.each([
    ["nothing that can be read", `traceparent: 00-${TRACE}-${PARENT}\r\n`],
    ["two things at once", SAMPLED_LINE + SAMPLED_LINE],
    ["only a state", ""],
  ])("%s: a new trace begins, without the state", async (_what, given) => {
    const up = upstream(ok);
    const { tracer, spans } = tracing();
    const { port } = relay([up.port], {}, 1 << 20, tracer);
    await ask(port, post(CHAT, `tracestate: a=1\r\n${given}tracestate: b=2\r\n${CLOSE}`));
    const span = only(spans());
    expect(values(up.requests[0], "tracestate")).toEqual([]);
    expect(values(up.requests[0], "traceparent")).toEqual([`00-${traceOf(span)}-${hex(span.span0, span.span1)}-03`]);
    expect(traceOf(span)).not.toBe(TRACE);
    expect([span.parent0, span.parent1, span.traceState]).toEqual([0, 0, ""]);
  });

  test("a state that is too long a list is not passed on; one of many bytes is, but not told", async () => {
    const up = upstream(ok);
    const { tracer, spans } = tracing();
    const { port } = relay([up.port], {}, 1 << 20, tracer);
    const list = (members: number): string => Array.from({ length: members }, (_, i) => `k${i}=v`).join(",");
    const long = `k=${"v".repeat(600)}`;
    for (const state of [list(32), list(33), long]) {
      await ask(port, post(CHAT, `${SAMPLED_LINE}tracestate: ${state}\r\n${CLOSE}`));
    }
    expect(up.requests.map((request) => values(request, "tracestate"))).toEqual([[list(32)], [], [long]]);
    expect(spans().map(({ traceState }) => traceState)).toEqual([list(32), "", ""]);
  });
});

test("an answer's own traceparent is none of the router's business", async () => {
  const up = upstream((socket) => socket.write(answer("{}", "traceparent: 00-x\r\n")));
  const { tracer } = tracing();
  const text = await ask(relay([up.port], {}, 1 << 20, tracer).port, post(CHAT, CLOSE));
  expect(values(text, "traceparent")).toEqual(["00-x"]);
});

test("workers post their spans while they run, and the last ones before they are drained", async () => {
  const batches: SpanBatch[] = [];
  const sizes = { targetsMax: 64, modelsMax: 2, workersMax: 2 };
  const crew = await Crew.start(
    {
      entry: new URL("../../src/proxy/worker.ts", import.meta.url),
      listen: { host: "127.0.0.1", port: 0 },
      workers: 2,
      settings: {
        maxBodyBytes: 1024,
        allowRegister: false,
        proxy: defaultsOf(proxySettings),
        flow: defaultsOf(flowSettings),
        paths: defaultsOf(apiSettings),
        ...CONTENT,
      },
      tls: null,
      upstreamTls: { verify: true },
      table: ScoreTable.create(sizes),
      stats: WorkerStats.create(sizes),
      tracing: {
        sample: 1,
        batchSpansMax: 4,
        workerSpansMax: 64,
        take: (packed) => void batches.push(unpackSpans(packed)),
      },
      control: () => Promise.resolve({ status: 500, body: "{}" }),
      routed() {},
      restarted() {},
      failed(error) {
        throw error;
      },
    },
    { version: 0, models: [], rows: [] },
  );
  const before = Date.now();
  const health = (): Promise<string> =>
    ask(crew.port, `GET /health HTTP/1.1\r\nhost: x\r\n${SAMPLED_LINE}${CLOSE}\r\n`);
  const count = (): number => batches.reduce((sum, { spans }) => sum + spans.length, 0);
  // More than the main thread would ever owe answers for.
  for (let i = 1; i <= 40; i++) expect(statusOf(await health())).toBe(200);
  await until(() => count() === 40);
  const last = health();
  expect(statusOf(await last)).toBe(200);
  expect(await crew.drain(5000)).toBe(true);
  expect(count()).toBe(41);
  for (const { originMs, spans } of batches) {
    for (const span of spans) {
      expect([traceOf(span), span.path, span.status]).toEqual([TRACE, "/health", 200]);
      expect(originMs + span.startedMs).toBeGreaterThan(before - 1000);
      expect(originMs + span.endedMs).toBeLessThan(Date.now() + 1000);
    }
  }
});
