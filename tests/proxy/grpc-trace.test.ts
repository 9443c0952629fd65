/** The spans of gRPC calls, and their ids. */
import { describe, expect, test } from "bun:test";
import type { SpanFields } from "../../src/obs/spans.ts";
import { fieldOf } from "../../src/wire/header-field.ts";
import { H2_ERROR } from "../../src/wire/http2-frames.ts";
import { by, until } from "./harness.ts";
import {
  type Call,
  echo,
  type Fields,
  framed,
  GRPC_HEAD,
  grpcFixtures,
  type H2Client,
  proto,
  UNARY,
} from "./http2-bed.ts";
import { eventsOf, hex, only, PARENT, parentBy, TRACE, traceOf, tracing } from "./trace-bed.ts";

const { relay, target, client } = grpcFixtures();

const MODEL = { "x-infermesh-model": "m" };
const SAMPLED = { traceparent: `00-${TRACE}-${PARENT}-01` };
const STREAM = "/inference.GRPCInferenceService/ModelStreamInfer";
const ID = /^[0-9a-f]{16}$/;

type Script = (call: Call, nth: number) => void;

/** A relay that records, in front of targets with these scripts, and a client of it. */
async function bed(
  scripts: readonly Script[] = [echo],
  config: Parameters<typeof relay>[1] = {},
  options: ConstructorParameters<typeof H2Client>[1] = {},
) {
  const ups = scripts.map((script) => target(script, options));
  const recorded = tracing();
  const router = relay(
    ups.map(({ port }) => by("grpc", port)),
    config,
    1 << 20,
    recorded.tracer,
  );
  return { ups, router, one: await client(router.port), ...recorded };
}

const statuses = ({ grpcStatus, status, error }: SpanFields): [number, number, string] => [grpcStatus, status, error];

describe("a call that is recorded", () => {
  test("is told to the target as the parent, in the client's trace", async () => {
    const { ups, one, spans } = await bed();
    const metadata = { ...SAMPLED, tracestate: "a=1,b=2", "x-request-id": "r-1", "x-a": "1" };
    const call = await one.unary("hello", metadata, `${UNARY}?secret`);
    expect(call.status).toBe(0);
    const span = only(spans());
    expect(traceOf(span)).toBe(TRACE);
    expect(hex(span.parent0, span.parent1)).toBe(PARENT);
    expect(hex(span.span0, span.span1)).not.toBe(PARENT);
    expect(ups[0]?.calls[0]?.head).toMatchObject({ traceparent: parentBy(span), tracestate: "a=1,b=2", "x-a": "1" });
    expect(span).toMatchObject({
      flags: 1,
      httpVersion: "2",
      traceState: "a=1,b=2",
      method: "POST",
      path: UNARY,
      requestId: "r-1",
      model: "m",
      node: "up1",
      status: 200,
      grpcStatus: 0,
      isKnownMethod: true,
      attempts: 1,
      error: "",
      eventTexts: ["up1", "up1", "new", ""],
    });
    expect(eventsOf(span)).toEqual(["picked", "connecting", "connected", "firstToken"]);
    const times = [span.startedMs, ...span.eventsMs, span.endedMs];
    expect(times).toEqual(times.toSorted((a, b) => a - b));
    expect(span.promptTokens).toBeGreaterThan(0);
    expect(span.requestBytes).toBeGreaterThan(10 + UNARY.length);
    expect(span.responseBytes).toBeGreaterThan(10);
  });

  test("begins a trace where there is none; heads that are alike differ in their spans and ids alone", async () => {
    const { ups, one, spans } = await bed();
    const calls: Call[] = [];
    for (let i = 0; i < 4; i++) calls.push(await one.unary());
    const heads = ups[0]?.calls.map(({ head }) => head) ?? [];
    const told = spans();
    expect(heads.map((head) => head["traceparent"])).toEqual(told.map((span) => parentBy(span)));
    for (const { parent0, parent1, flags } of told) expect([parent0, parent1, flags]).toEqual([0, 0, 3]);
    expect(new Set(told.map((span) => traceOf(span))).size).toBe(4);
    expect(eventsOf(told[1]!)).toEqual(["picked", "connected", "firstToken"]);
    expect(told[1]?.eventTexts).toEqual(["up1", "reused", ""]);
    const ids = heads.map((head) => head["x-request-id"]);
    expect(new Set(ids).size).toBe(4);
    expect(calls.map(({ head }) => head["x-request-id"])).toEqual(ids);
    expect(told.map(({ requestId }) => requestId)).toEqual(ids.map((id) => id ?? ""));
    const rest = heads.map(({ traceparent: _trace, "x-request-id": _id, ...others }) => others);
    expect(rest).toEqual(Array(4).fill(rest[0]));
  });

  /** [what, the bad target's script, the path, the reason] */
  const RETRIED: readonly (readonly [string, Script, string, string])[] = [
    ["refused the stream", (call) => void call.reset(H2_ERROR.refusedStream), "/acme.Thing/Do", "refused"],
    ["reset it", (call) => void call.reset(H2_ERROR.internal), UNARY, "reset"],
    ["said UNAVAILABLE", (call) => void call.respond({ ...GRPC_HEAD, "grpc-status": "14" }, true), UNARY, "status"],
  ];
  for (const [what, script, path, reason] of RETRIED) {
    test(`tells of a target that ${what}, and of the one that was tried instead`, async () => {
      const { ups, one, spans } = await bed([script, echo]);
      let retried: SpanFields | undefined;
      for (let tries = 0; retried === undefined && tries < 50; tries++) {
        expect((await one.unary("x", SAMPLED, path)).status).toBe(0);
        retried = spans().find((span) => eventsOf(span).includes("retry"));
      }
      expect(retried?.eventTexts[eventsOf(retried).indexOf("retry")]).toBe(reason);
      expect([retried?.node, ...statuses(retried!)]).toEqual(["up2", 0, 200, ""]);
      expect(ups[1]?.calls.map(({ head }) => head["traceparent"])).toContain(parentBy(retried!));
    });
  }

  test("tells of a target that is not there", async () => {
    const dead = target(echo);
    dead.stop();
    const { tracer, spans } = tracing();
    const { port } = relay([by("grpc", dead.port)], {}, 1 << 20, tracer);
    expect((await (await client(port)).unary("x", SAMPLED)).status).toBe(14);
    const span = only(spans());
    expect(eventsOf(span).slice(0, 3)).toEqual(["picked", "connecting", "retry"]);
    expect(span.eventTexts[2]).toBe("connect");
    expect(span.grpcStatus).toBe(14);
    expect(span.error).not.toBe("");
  });

  test("tells of the queue", async () => {
    const { ups, one, spans } = await bed([() => {}], { upstreamConnectionsMax: 1 }, { streamsMax: 1 });
    const first = one.call(UNARY, MODEL);
    await until(() => ups[0]?.ends[0]?.calls.length === 1 && ups[0].ends[0].connection.isReady);
    await Bun.sleep(20);
    const second = one.call(UNARY, MODEL).send(framed("two"), true);
    await Bun.sleep(20);
    first.reset();
    await until(() => ups[0]?.calls.length === 2);
    ups[0]?.calls[1]?.answer("done");
    await second.over();
    const [left, waited] = spans();
    expect([eventsOf(left!), ...statuses(left!)]).toEqual([["picked", "connecting", "connected"], 1, 499, ""]);
    expect(eventsOf(waited!)).toEqual(["queued", "picked", "connected", "firstToken"]);
  });

  test("tells of an answer that broke", async () => {
    const { ups, one, spans } = await bed([(call) => void call.respond(GRPC_HEAD).send(framed("a"))]);
    const call = one.call(STREAM, MODEL).send(framed("x"), true);
    await until(() => call.messages.length === 1);
    ups[0]?.calls[0]?.reset(H2_ERROR.internal);
    await call.over();
    const again = one.call(STREAM, MODEL).send(framed("x"), true);
    await until(() => again.messages.length === 1);
    ups[0]?.ends[0]?.cut();
    expect((await again.over()).status).toBe(14);
    const [reset, cut] = spans();
    expect(eventsOf(reset!).slice(-2)).toEqual(["firstToken", "broken"]);
    expect([reset?.eventTexts.at(-1), ...statuses(reset!)]).toEqual(["truncated", 14, 503, ""]);
    expect(eventsOf(cut!).slice(-2)).toEqual(["firstToken", "broken"]);
    expect([cut?.eventTexts.at(-1), ...statuses(cut!)]).toEqual(["truncated", 14, 503, "upstream_failed"]);
  });

  test("tells of a deadline that passed at a target", async () => {
    const { one, spans } = await bed([() => {}]);
    expect((await one.unary("x", { "grpc-timeout": "50m" })).status).toBe(4);
    const span = only(spans());
    expect([eventsOf(span).at(-1), span.eventTexts.at(-1)]).toEqual(["broken", "upstream_timeout"]);
    expect(statuses(span)).toEqual([4, 504, "upstream_timeout"]);
  });

  test("is called after its method where somebody serves that", async () => {
    const { one, spans } = await bed([
      (call) => {
        const path = call.head[":path"] ?? "";
        if (path.endsWith("Odd")) call.respond({ ":status": "404" }, true);
        else call.respond({ ...GRPC_HEAD, "grpc-status": path.endsWith("Nothing") ? "12" : "3" }, true);
      },
    ]);
    for (const path of ["/acme.Thing/Do", "/acme.Thing/Nothing", "/acme.Thing/Odd", UNARY]) {
      await one.unary("x", {}, path);
    }
    expect(spans().map(({ grpcStatus, status, isKnownMethod }) => [grpcStatus, status, isKnownMethod])).toEqual([
      [3, 400, true],
      [12, 501, false],
      [2, 404, false],
      [3, 400, true],
    ]);
  });
});

describe("a call that needs no target", () => {
  const HEALTH = "/grpc.health.v1.Health";

  test("of the router's own services", async () => {
    const { router, one, spans } = await bed();
    const own = (method: string, message: Buffer): Call => one.call(method, SAMPLED).send(message, true);
    await own(`${HEALTH}/Check`, framed("")).over();
    await own(`${HEALTH}/Check`, framed(proto({ 1: "zz" }))).over();
    await own(`${HEALTH}/List`, framed("")).over();
    const reflection = "/grpc.reflection.v1.ServerReflection/ServerReflectionInfo";
    await own(reflection, framed(proto({ 7: "" }))).over();
    const watch = own(`${HEALTH}/Watch`, framed(""));
    await until(() => watch.messages.length === 1);
    expect(spans()).toHaveLength(4);
    watch.reset();
    await until(() => router.stats.requests(-1).get("499") === 1);
    const told = spans();
    expect(told.map((span) => [span.path, span.isKnownMethod, ...statuses(span)])).toEqual([
      [`${HEALTH}/Check`, true, 0, 200, ""],
      [`${HEALTH}/Check`, true, 5, 404, "not_found"],
      [`${HEALTH}/List`, false, 12, 501, "not_supported"],
      [reflection, true, 0, 200, ""],
      [`${HEALTH}/Watch`, true, 1, 499, ""],
    ]);
    for (const span of told) expect([traceOf(span), span.attempts, span.node]).toEqual([TRACE, 0, ""]);
  });

  test("since it is refused", async () => {
    const { one, spans } = await bed();
    const calls = [
      await one.unary("x", { "x-infermesh-model": "zz" }),
      await one.unary("x", { "grpc-timeout": "5x" }),
      await one.unary("x", { "x-a": "y".repeat(33_000), "x-b": "y".repeat(33_000) }),
    ];
    const told = spans();
    expect(told.map((span) => statuses(span))).toEqual([
      [5, 404, "model_not_found"],
      [3, 400, "bad_request"],
      [8, 431, "head_too_large"],
    ]);
    expect(told.map(({ attempts }) => attempts)).toEqual([0, 0, 0]);
    expect(calls.map(({ status }) => status)).toEqual([5, 3, 8]);
    expect(calls.map(({ head }) => head["x-request-id"] ?? "")).toEqual(told.map(({ requestId }) => requestId));
  });
});

describe("a call that is not recorded passes as it is", () => {
  const given = { ...SAMPLED, tracestate: "a=1" };

  test("where tracing is off", async () => {
    const up = target(echo);
    const one = await client(relay([by("grpc", up.port)]).port);
    await one.unary("x", given);
    expect(up.calls[0]?.head).toMatchObject(given);
  });

  test.each([
    ["by the word of the client", 1, { traceparent: `00-${TRACE}-${PARENT}-00`, tracestate: "a=1" }],
    ["by chance", 0, { tracestate: "a=1" }],
    ["by chance, with a traceparent that is none", 0, { traceparent: "00-x" }],
  ] as [string, number, Fields][])("%s", async (_why, sample, fields) => {
    const up = target(echo);
    const { tracer, spans } = tracing(sample);
    const one = await client(relay([by("grpc", up.port)], {}, 1 << 20, tracer).port);
    for (let i = 0; i < 3; i++) expect((await one.unary("x", fields)).status).toBe(0);
    for (const { head } of up.calls) {
      expect(head).toMatchObject(fields);
      expect(head["traceparent"]).toBe(fields["traceparent"]);
    }
    expect(spans()).toEqual([]);
  });
});

describe("what the client says of its trace", () => {
  /** Fields that may come twice. */
  function send(one: H2Client, fields: readonly (readonly [string, string])[]): Promise<Call> {
    const head = { ":method": "POST", ":scheme": "http", ":path": UNARY, ":authority": "test", te: "trailers" };
    const all = [...Object.entries({ ...head, "content-type": "application/grpc", ...MODEL }), ...fields];
    const bytes = Buffer.concat(all.map(([name, value]) => fieldOf(name, value).encoded));
    return one.requestBytes(bytes).send(framed("x"), true).over();
  }

  test.each([
    ["nothing that can be read", [["traceparent", `00-${TRACE}-${PARENT}`]]],
    [
      "two things at once",
      [
        ["traceparent", SAMPLED.traceparent],
        ["traceparent", SAMPLED.traceparent],
      ],
    ],
    ["only a state", []],
  ] as [string, [string, string][]][])("%s: a new trace begins, without the state", async (_what, fields) => {
    const { ups, one, spans } = await bed();
    await send(one, [["tracestate", "a=1"], ...fields]);
    const span = only(spans());
    const head = ups[0]?.calls[0]?.head;
    expect(head).not.toHaveProperty("tracestate");
    expect(head?.["traceparent"]).toBe(parentBy(span));
    expect(traceOf(span)).not.toBe(TRACE);
    expect([span.parent0, span.parent1, span.traceState]).toEqual([0, 0, ""]);
  });

  test("a state that is too long a list is not passed on; one of many bytes is, but not told", async () => {
    const { ups, one, spans } = await bed();
    const list = (members: number): string => Array.from({ length: members }, (_, i) => `k${i}=v`).join(",");
    const long = `k=${"v".repeat(600)}`;
    for (const tracestate of [list(32), list(33), long]) await one.unary("x", { ...SAMPLED, tracestate });
    expect(ups[0]?.calls.map(({ head }) => head["tracestate"])).toEqual([list(32), undefined, long]);
    expect(spans().map(({ traceState }) => traceState)).toEqual([list(32), "", ""]);
    await send(one, [...Object.entries(SAMPLED), ["tracestate", "a=1"], ["tracestate", "b=2"]]);
    expect(spans().at(-1)?.traceState).toBe("a=1,b=2");
  });
});

describe("a call's id", () => {
  async function plain(script: Script = echo) {
    const up = target(script);
    return { up, one: await client(relay([by("grpc", up.port)]).port) };
  }

  test("is the client's own, towards both sides", async () => {
    const { up, one } = await plain((call) => void call.answer("x", { "x-request-id": "theirs" }));
    for (const id of ["mine", "mine", "mine", "i".repeat(128)]) {
      const call = await one.unary("x", { "x-request-id": id });
      expect([call.head["x-request-id"], up.calls.at(-1)?.head["x-request-id"]]).toEqual([id, id]);
      expect(call.tail).toEqual({ "grpc-status": "0" });
    }
  });

  test.each([
    ["too long", "i".repeat(129)],
    ["not one word", "a b"],
    ["beyond ASCII", "ä"],
    ["empty", ""],
  ])("is a new one where the client's is %s", async (_what, id) => {
    const { up, one } = await plain();
    const call = await one.unary("x", { "x-request-id": id });
    expect(call.head["x-request-id"]).toMatch(ID);
    expect(up.calls[0]?.head["x-request-id"]).toBe(call.head["x-request-id"]);
  });

  test("takes the place of the target's, also in an answer of nothing but trailers", async () => {
    const { one } = await plain(
      (call) => void call.respond({ ...GRPC_HEAD, "grpc-status": "9", "x-request-id": "theirs" }, true),
    );
    expect((await one.unary("x", { "x-request-id": "mine" })).head["x-request-id"]).toBe("mine");
    expect((await one.unary()).head["x-request-id"]).toMatch(ID);
  });

  test("is in answers of the router's own", async () => {
    const { one } = await plain();
    const check = one.call("/grpc.health.v1.Health/Check", { "x-request-id": "mine" }).send(framed(""), true);
    expect([(await check.over()).head["x-request-id"], check.tail]).toEqual(["mine", { "grpc-status": "0" }]);
    const none = await one.call("/grpc.health.v1.Health/List").send(framed(""), true).over();
    expect(none.head["x-request-id"]).toMatch(ID);
    expect((await one.unary("x", { "x-infermesh-model": "zz" })).head["x-request-id"]).toMatch(ID);
  });

  test("stays with the call when it is sent again", async () => {
    const { up, one } = await plain((call, nth) => {
      if (nth === 1) call.reset(H2_ERROR.refusedStream);
      else echo(call);
    });
    expect((await one.unary()).status).toBe(0);
    const [first, second] = up.calls.map(({ head }) => head["x-request-id"]);
    expect(first).toMatch(ID);
    expect(second).toBe(first);
  });
});
