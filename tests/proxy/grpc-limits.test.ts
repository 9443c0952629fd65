/** What holds the gRPC lane back: sizes, numbers, windows, rates, silence, and a router that drains. */
import { describe, expect, test } from "bun:test";
import { H2_ERROR } from "../../src/wire/http2-frames.ts";
import { by, FLOW, until } from "./harness.ts";
import { type Call, echo, framed, GRPC_HEAD, grpcFixtures, UNARY, whenWhole } from "./http2-bed.ts";

const { relay, target, client, bed } = grpcFixtures();

const STREAM = "/inference.GRPCInferenceService/ModelStreamInfer";

describe("limits", () => {
  test("a message that is too large, of the client", async () => {
    const { up, client: one } = await bed(echo, { grpcMessageBytesMax: 1000 });
    const call = await one.unary("x".repeat(1001));
    expect([call.status, call.message]).toEqual([8, expect.stringMatching(/1000 bytes/)]);
    await until(() => up.calls.every(({ code }) => code !== null));
    expect((await one.unary("x".repeat(1000))).status).toBe(0);
  });

  test("what was refused with its last frame leaves the connection's window as it was", async () => {
    const windows = { http2StreamBytes: 65_536, http2ConnectionBytes: 65_536 };
    const { client: one } = await bed(echo, { grpcMessageBytesMax: 20_000, ...windows });
    const lie = framed(Buffer.alloc(30_000));
    for (let i = 0; i < 12; i++) {
      const call = one.call(UNARY, { "x-infermesh-model": "m" }).send(lie.subarray(0, 16_000), true);
      expect((await call.over()).status).toBe(8);
    }
    expect((await one.unary("x".repeat(20_000))).status).toBe(0);
  });

  test("calls that begin, and then ask to be refused, are a flood", async () => {
    const { client: one } = await bed(() => {}, { grpcMessageBytesMax: 1000 });
    const lie = Buffer.concat([framed("hi"), Buffer.from([0, 255, 0, 0, 0])]);
    // Some are reset as well, or the client would have counted as many resets as the router by then. They are not enough.
    for (let round = 0; round < 30 && !one.isAway && !one.closed; round++) {
      for (let i = 0; i < 10; i++) one.call(UNARY, { "x-infermesh-model": "m" }).reset();
      const calls = Array.from({ length: 20 }, () => one.call(UNARY, { "x-infermesh-model": "m" }));
      for (const call of calls) call.send(lie.subarray(0, 7));
      for (const call of calls) call.send(lie.subarray(7));
      for (const call of calls) await call.over();
    }
    await until(() => one.closed);
  });

  test("a message that is too large, of the target", async () => {
    const { client: one } = await bed((call) => call.answer("x".repeat(1001)), { grpcMessageBytesMax: 1000 });
    const call = await one.unary("hi");
    expect([call.status, call.tail?.["grpc-status"]]).toEqual([8, "8"]);
  });

  test("metadata that is too large", async () => {
    const { client: one } = await bed(echo);
    const call = await one.unary("hi", {
      "x-a": "y".repeat(30_000),
      "x-b": "y".repeat(30_000),
      "x-c": "y".repeat(10_000),
    });
    expect(call.status).toBe(8);
    expect((await one.unary()).status).toBe(0);
  });

  test("metadata larger than the target takes", async () => {
    const { client: one } = await bed(echo, {}, { listBytesMax: 1000 });
    await one.unary();
    expect((await one.unary("hi", { "x-a": "y".repeat(2000) })).status).toBe(8);
  });

  test("as many connections as the target's limit of streams asks for", async () => {
    const { up, router, client: one } = await bed((call) => void call, {}, { streamsMax: 4 });
    const first = one.call(UNARY, { "x-infermesh-model": "m" });
    await until(() => up.calls.length === 1);
    const more = Array.from({ length: 10 }, () =>
      one.call(UNARY, { "x-infermesh-model": "m" }).send(framed("x"), true),
    );
    await until(() => up.calls.filter(({ code }) => code === null).length === 11);
    expect(up.ends.length).toBeGreaterThanOrEqual(3);
    first.send(framed("x"), true);
    for (const call of up.calls) whenWhole(call, () => call.answer("done"));
    for (const call of [first, ...more]) expect((await call.over()).status).toBe(0);
    expect(router.inFlight).toBe(0);
  });

  test("a connection that is not used is closed", async () => {
    const { up, client: one } = await bed(echo, { http2IdleMs: 50 });
    await one.unary();
    await until(() => up.ends[0]?.closed === true);
    expect(up.ends[0]?.isAway).toBe(true);
    expect((await one.unary()).status).toBe(0);
  });

  test("a target that is silent under calls is asked whether it is there, and left when it is not", async () => {
    const up = target((call) => void call);
    const well = target(echo);
    const router = relay([by("grpc", up.port), by("grpc", well.port)], { http2PingMs: 100, connectTimeoutMs: 500 });
    const one = await client(router.port);
    const slow = one.call(UNARY, { "x-infermesh-model": "m" }).send(framed("x"), true);
    const other = one.call(UNARY, { "x-infermesh-model": "m" }).send(framed("y"), true);
    await until(() => up.calls.length > 0);
    // It answers the PING: its work takes as long as it takes.
    await Bun.sleep(400);
    expect(up.calls.every(({ code }) => code === null)).toBe(true);
    up.ends[0]?.connection.ping();
    up.ends[0]?.flush();
    up.calls[0]?.respond(GRPC_HEAD);
    await Bun.sleep(20);
    up.ends[0]?.socket?.pause();
    await until(() => router.inFlight === 0);
    const calls = [await slow.over(), await other.over()];
    expect(calls.map(({ status }) => status).toSorted((a, b) => a - b)).toContain(14);
  });

  test("every target full: a call waits for a place, until its deadline", async () => {
    const { up, router, client: one } = await bed(() => {}, { upstreamConnectionsMax: 1 }, { streamsMax: 1 });
    const first = one.call(UNARY, { "x-infermesh-model": "m" });
    await until(() => up.ends[0]?.calls.length === 1 && up.ends[0].connection.isReady);
    await Bun.sleep(20);
    const second = one.call(UNARY, { "x-infermesh-model": "m" }).send(framed("two"), true);
    const third = one.call(UNARY, { "x-infermesh-model": "m", "grpc-timeout": "100m" }).send(framed("three"), true);
    expect((await third.over()).status).toBe(4);
    expect(up.calls).toHaveLength(1);
    first.reset();
    await until(() => up.calls.length === 2);
    up.calls[1]?.answer("done");
    expect((await second.over()).messages).toEqual(["done"]);
    expect(up.calls[1]?.messages).toEqual(["two"]);
    expect([router.inFlight, router.context.dispatch.waiting]).toEqual([0, 0]);
  });

  test("every target full, and the queue too: RESOURCE_EXHAUSTED, with a time to come again", async () => {
    const config = { upstreamConnectionsMax: 1, flow: { queue: { ...FLOW.queue, requestsMax: 0 } } };
    const { up, client: one } = await bed(() => {}, config, { streamsMax: 1 });
    one.call(UNARY, { "x-infermesh-model": "m" });
    await until(() => up.ends[0]?.calls.length === 1 && up.ends[0].connection.isReady);
    await Bun.sleep(20);
    const call = await one.unary();
    expect(call.status).toBe(8);
    expect(Number(call.head["grpc-retry-pushback-ms"])).toBeGreaterThan(0);
  });

  test("a client beyond its own limit", async () => {
    const limit = { ...FLOW.limit, requestsPerSecond: 0.1, requestsBurst: 1 };
    const { client: one } = await bed(echo, { flow: { limit } });
    expect((await one.unary("a", { authorization: "Bearer a" })).status).toBe(0);
    expect((await one.unary("a", { authorization: "Bearer a" })).status).toBe(8);
    expect((await one.unary("a", { authorization: "Bearer b" })).status).toBe(0);
  });

  test("what a client asks of the router: never twice, and nothing unknown", async () => {
    const { up, client: one } = await bed((call) => call.end.cut());
    expect((await one.unary("a", { "x-infermesh-retry": "never" })).status).toBe(14);
    expect(up.calls).toHaveLength(1);
    const call = await one.unary("a", { "x-infermesh-priority": "first" });
    expect([call.status, call.message]).toEqual([3, expect.stringMatching(/x-infermesh-priority/)]);
  });
});

describe("what calls tell of their target", () => {
  const breaker = { ...FLOW.breaker, failuresInRow: 3, openMs: 60_000 };

  for (const [what, script] of [
    ["fails behind its head", (call: Call) => call.respond(GRPC_HEAD).respond({ "grpc-status": "14" }, true)],
    ["never answers", () => {}],
  ] as const) {
    test(`one that ${what} is left alone after a while`, async () => {
      const { router, client: one } = await bed(script, { firstByteTimeoutMs: 50, flow: { breaker } });
      for (let i = 0; i < 3; i++) await one.unary();
      expect(router.stats.count("breakerOpenings")).toBe(1);
    });
  }

  test("one whose client takes nothing is not blamed for the end", async () => {
    const { router, client: one } = await bed(
      (call) => whenWhole(call, () => call.respond(GRPC_HEAD).send(framed(Buffer.alloc(500_000)))),
      { streamTimeoutMs: 100 },
    );
    const { dispatch } = router.context;
    const told: string[] = [];
    dispatch.observe = (_model, _row, outcome) => void told.push(outcome);
    const call = one.call(UNARY, { "x-infermesh-model": "m" });
    call.consumes = false;
    call.send(framed("hi"), true);
    await until(() => call.code !== null);
    expect([call.code, router.inFlight, told]).toEqual([H2_ERROR.cancel, 0, ["success"]]);
    expect(router.stats.upstreamErrors(router.rows[0]!).get("timeout") ?? 0).toBe(0);
  });

  test("one whose client cancels tells nothing, so that no probe is waited for", async () => {
    const { up, router, client: one } = await bed(() => {});
    const { dispatch } = router.context;
    const told: string[] = [];
    dispatch.observe = (_model, _row, outcome) => void told.push(outcome);
    const call = one.call(UNARY, { "x-infermesh-model": "m" }).send(framed("hi"), true);
    await until(() => up.calls.length === 1);
    call.reset();
    await until(() => router.inFlight === 0);
    expect(told).toEqual(["unknown"]);
  });
});

test("a call in which neither side goes on gives its place back", async () => {
  const { up, router, client: one } = await bed((call) => void call.respond(GRPC_HEAD), { tunnelIdleMs: 150 });
  const call = one.call(STREAM, { "x-infermesh-model": "m" });
  for (let i = 0; i < 4; i++) {
    await Bun.sleep(60);
    call.send(framed("still here"));
  }
  expect([router.inFlight > 0, call.isOver]).toEqual([true, false]);
  expect((await call.over()).status).toBe(4);
  await until(() => up.calls[0]?.code === H2_ERROR.cancel);
  expect(router.inFlight).toBe(0);
});

describe("backpressure", () => {
  test("a client that takes nothing stops its target", async () => {
    const { up, client: one } = await bed((call) => {
      call.respond(GRPC_HEAD);
      const piece = framed(Buffer.alloc(60_000, "p"));
      const push = (): void => {
        for (let i = 0; call.isWritable && i < 1000; i++) call.send(piece);
      };
      call.writable = () => {
        call.isWritable = true;
        push();
      };
      push();
    });
    const call = one.call(STREAM, { "x-infermesh-model": "m" });
    call.consumes = false;
    call.send(framed("go"), true);
    await until(() => call.bytes.length >= 60_000);
    await Bun.sleep(50);
    // The client's window, the router's towards the target, and what was under way.
    const held = up.calls[0]!;
    expect(held.isWritable).toBe(false);
    expect(call.bytes.length).toBe(65_535);
    call.consumes = true;
    call.consume(call.bytes.length);
    await until(() => call.bytes.length > 2_000_000);
    call.reset();
    await until(() => held.code === H2_ERROR.cancel);
  });

  test("a target that takes nothing stops its client", async () => {
    const { up, client: one } = await bed((call) => {
      call.consumes = false;
    });
    const call = one.call(STREAM, { "x-infermesh-model": "m" });
    const piece = framed(Buffer.alloc(60_000, "p"));
    for (let i = 0; call.isWritable && i < 100; i++) call.send(piece);
    await Bun.sleep(50);
    for (let i = 0; call.isWritable && i < 100; i++) call.send(piece);
    expect(call.isWritable).toBe(false);
    expect(up.calls[0]?.bytes.length).toBe(65_535);
    const first = up.calls[0]!;
    first.consumes = true;
    first.consume(65_535);
    await until(() => call.isWritable);
  });

  test("a slow client holds up nobody else on its target's connection", async () => {
    const {
      up,
      router,
      client: slow,
    } = await bed((call) => {
      if (call.head["x-slow"] === undefined) echo(call);
      else call.respond(GRPC_HEAD).send(framed(Buffer.alloc(400_000)));
    });
    const fast = await client(router.port);
    const held = slow.call(STREAM, { "x-infermesh-model": "m", "x-slow": "1" });
    held.consumes = false;
    held.send(framed("go"), true);
    await until(() => held.bytes.length === 65_535);
    for (let i = 0; i < 20; i++) expect((await fast.unary("f".repeat(40_000))).status).toBe(0);
    expect(up.ends).toHaveLength(1);
  });
});

test("however many slow clients hold up nobody else on their target's connection", async () => {
  const windows = { http2StreamBytes: 65_536, http2ConnectionBytes: 131_072 };
  const {
    up,
    router,
    client: slow,
  } = await bed((call) => {
    if (call.head["x-slow"] === undefined) echo(call);
    else call.respond(GRPC_HEAD).send(framed(Buffer.alloc(400_000)));
  }, windows);
  const held = Array.from({ length: 8 }, () => {
    const call = slow.call(STREAM, { "x-infermesh-model": "m", "x-slow": "1" });
    call.consumes = false;
    return call.send(framed("go"), true);
  });
  await until(() => held.every(({ bytes }) => bytes.length === 65_535) && up.calls.length === 8);
  await Bun.sleep(50);
  const fast = await client(router.port);
  for (let i = 0; i < 5; i++) expect((await fast.unary("f".repeat(40_000))).status).toBe(0);
  expect(up.ends).toHaveLength(1);
});

describe("draining", () => {
  test("calls end, new ones are refused, and the connection closes", async () => {
    const { up, router, client: one } = await bed(() => {});
    const call = one.call(UNARY, { "x-infermesh-model": "m" }).send(framed("x"), true);
    await until(() => up.calls.length === 1);
    router.context.draining = true;
    await until(() => one.isAway);
    await Bun.sleep(60);
    expect(one.closed).toBe(false);
    up.calls[0]?.answer("late");
    expect((await call.over()).messages).toEqual(["late"]);
    await until(() => one.closed);
  });
});
