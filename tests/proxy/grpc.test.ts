/** The gRPC lane between clients and targets that speak HTTP/2 by the project's own core. */
import { describe, expect, test } from "bun:test";
import { H2_ERROR } from "../../src/wire/http2-frames.ts";
import { by, ok, until } from "./harness.ts";
import { type Call, echo, framed, GRPC_HEAD, grpcFixtures, proto, UNARY, whenWhole } from "./http2-bed.ts";

const { relay, upstream, target, client, bed } = grpcFixtures();

const STREAM = "/inference.GRPCInferenceService/ModelStreamInfer";
const LOAD = "/inference.GRPCInferenceService/RepositoryModelLoad";
const model = (name: string): Buffer => framed(proto({ 1: name, 2: "1" }));
/** A message whose first name any reader finds, and whose last one runtimes take. */
const TWO_NAMES = framed(Buffer.concat([proto({ 1: "org/a", 2: "1" }), proto({ 1: "b" })]));

describe("calls of every kind", () => {
  test("unary: metadata, message, trailers, and the node that served", async () => {
    const { up, router, client: one } = await bed((call) => whenWhole(call, () => call.answer("yes", { "x-t": "3" })));
    const call = await one.unary("hello", { "x-a": "1", "x-b-bin": "AAE=", "x-infermesh-node": "forged" });
    expect(call.messages).toEqual(["yes"]);
    expect(call.status).toBe(0);
    expect(call.tail).toEqual({ "grpc-status": "0", "x-t": "3" });
    const id = expect.stringMatching(/^[0-9a-f]{16}$/);
    expect(call.head).toEqual({
      ":status": "200",
      "content-type": "application/grpc",
      "x-infermesh-node": "up1",
      "x-request-id": id,
    });
    const [seen] = up.calls;
    expect(seen?.messages).toEqual(["hello"]);
    expect(seen?.head).toEqual({
      ":method": "POST",
      ":scheme": "http",
      ":path": UNARY,
      ":authority": "test",
      te: "trailers",
      "content-type": "application/grpc",
      "x-infermesh-model": "m",
      "x-a": "1",
      "x-b-bin": "AAE=",
      "x-forwarded-for": "127.0.0.1",
      "x-request-id": call.head["x-request-id"] ?? "",
    });
    await until(() => router.inFlight === 0);
    expect([...router.stats.requests(0)]).toEqual([["200", 1]]);
  });

  test("a client that streams, and a target that answers once", async () => {
    const { client: one } = await bed(echo);
    const call = one.call(STREAM, { "x-infermesh-model": "m" });
    for (const part of ["a", "b", "c"]) {
      call.send(framed(part));
      await Bun.sleep(1);
    }
    call.send(new Uint8Array(0), true);
    expect((await call.over()).messages).toEqual(["a+b+c"]);
  });

  test("a target that streams: each message comes as it is sent", async () => {
    const { up, client: one } = await bed((call) => void call.respond(GRPC_HEAD));
    const call = one.call(STREAM, { "x-infermesh-model": "m" }).send(framed("go"), true);
    await until(() => call.head[":status"] === "200");
    for (const part of ["a", "b", "c"]) {
      up.calls[0]?.send(framed(part));
      await until(() => call.messages.at(-1) === part);
    }
    up.calls[0]?.respond({ "grpc-status": "0" }, true);
    expect((await call.over()).messages).toEqual(["a", "b", "c"]);
  });

  test("both stream at once", async () => {
    const { client: one } = await bed((call) => {
      call.respond(GRPC_HEAD);
      let seen = 0;
      call.onBody = () => {
        for (const message of call.messages.slice(seen)) call.send(framed(`re:${message}`));
        seen = call.messages.length;
        if (call.ended) call.respond({ "grpc-status": "0" }, true);
      };
    });
    const call = one.call(STREAM, { "x-infermesh-model": "m" });
    for (const part of ["a", "b"]) {
      call.send(framed(part));
      await until(() => call.messages.at(-1) === `re:${part}`);
    }
    call.send(new Uint8Array(0), true);
    expect((await call.over()).status).toBe(0);
  });

  test("many at once on one connection", async () => {
    const { up, router, client: one } = await bed(echo);
    const calls = await Promise.all(Array.from({ length: 80 }, (_, i) => one.unary(`n${i}`)));
    expect(calls.map(({ text }) => text.slice(5))).toEqual(Array.from({ length: 80 }, (_, i) => `n${i}`));
    expect(up.ends).toHaveLength(1);
    expect(router.inFlight).toBe(0);
  });

  test("an answer of nothing but trailers", async () => {
    const { client: one } = await bed((call) =>
      call.respond({ ...GRPC_HEAD, "grpc-status": "9", "grpc-message": "no%20way" }, true),
    );
    const call = await one.unary();
    expect([call.status, call.message, call.tail]).toEqual([9, "no way", null]);
  });

  test("a large message crosses small windows both ways, compressed flag and all", async () => {
    const { client: one } = await bed((call) =>
      whenWhole(call, () => call.respond(GRPC_HEAD).send(call.bytes).respond({ "grpc-status": "0" }, true)),
    );
    const big = framed(Buffer.alloc(1_000_000, "z"), 1);
    const call = one.call(UNARY, { "x-infermesh-model": "m" }).send(big, true);
    await call.over();
    expect(call.bytes.equals(big)).toBe(true);
  });
});

describe("which model", () => {
  const two = async () => {
    const [a, b] = [target(echo), target(echo)];
    const router = relay([by("grpc", a.port, "org/a"), by("grpc", b.port, "b")]);
    return { a, b, router, one: await client(router.port) };
  };

  test("by the first message of known services", async () => {
    const { a, b, one } = await two();
    for (const [name, path] of [
      ["org/a", UNARY],
      ["b", STREAM],
      ["b", "/inference.GRPCInferenceService/ModelReady"],
      ["org/a", "/fmaas.GenerationService/Generate"],
    ] as const) {
      const call = await one.call(path).send(model(name), true).over();
      expect(call.status).toBe(0);
    }
    expect([a.calls.length, b.calls.length]).toEqual([2, 2]);
    await one
      .call(LOAD)
      .send(framed(proto({ 1: "repo", 2: "b" })), true)
      .over();
    expect(b.calls).toHaveLength(3);
  });

  test("by a first message in small pieces, behind other fields", async () => {
    const { a, one } = await two();
    const whole = framed(Buffer.concat([Buffer.from([0x18, 0x80, 0x01]), proto({ 7: "x", 1: "org/a" })]));
    const call = one.call(UNARY);
    for (const byte of whole) {
      call.send(Uint8Array.of(byte));
      await Bun.sleep(0);
    }
    call.send(new Uint8Array(0), true);
    expect((await call.over()).status).toBe(0);
    expect(a.calls[0]?.bytes.equals(whole)).toBe(true);
  });

  test("metadata decides before the message", async () => {
    const { b, one } = await two();
    await one.call(UNARY, { "x-infermesh-model": "b" }).send(model("org/a"), true).over();
    expect(b.calls).toHaveLength(1);
  });

  /** [what, path, metadata, message, status, words] */
  const REFUSED: readonly (readonly [string, string, Record<string, string>, Buffer, number, RegExp])[] = [
    ["an unknown model in the message", UNARY, {}, model("zz"), 5, /`zz` does not exist/],
    ["an unknown model in the metadata", UNARY, { "x-infermesh-model": "zz" }, model("b"), 5, /`zz`/],
    ["no model in the message", UNARY, {}, framed(proto({ 3: "id" })), 3, /x-infermesh-model/],
    ["no message", UNARY, {}, Buffer.alloc(0), 3, /x-infermesh-model/],
    ["a message that is no protobuf", UNARY, {}, framed("\x07\x07\x07"), 3, /can't be routed/],
    ["a message that names two", UNARY, {}, TWO_NAMES, 3, /names its model twice/],
    ["a name too long", UNARY, {}, framed(Buffer.concat([Buffer.from([10, 129, 4]), Buffer.alloc(513)])), 3, /512/],
    ["a compressed message", UNARY, {}, framed(proto({ 1: "b" }), 1), 3, /x-infermesh-model/],
    ["a service that nobody knows", "/acme.Thing/Do", {}, model("b"), 3, /x-infermesh-model/],
    ["a deadline that is none", UNARY, { "grpc-timeout": "5x" }, model("b"), 3, /grpc-timeout/],
  ];
  for (const [what, path, metadata, message, status, words] of REFUSED) {
    test(`refused: ${what}`, async () => {
      const { router, one } = await two();
      const call = await one.call(path, metadata).send(message, true).over();
      expect(call.status).toBe(status);
      expect(call.message).toMatch(words);
      expect(call.head["content-type"]).toBe("application/grpc");
      expect(router.inFlight).toBe(0);
    });
  }

  test("a message that names two never reaches a target whole, in whatever pieces it comes", async () => {
    const { a, b, one } = await two();
    for (let cut = 1; cut < TWO_NAMES.length; cut++) {
      // With the first name the call is bound, and with the second one's length it is refused.
      const isBound = cut >= 12 && cut < 17;
      const before = a.calls.length;
      const call = one.call(UNARY).send(TWO_NAMES.subarray(0, cut));
      if (isBound) await until(() => a.calls.length > before && a.calls.at(-1)!.bytes.length === cut);
      call.send(TWO_NAMES.subarray(cut), true);
      expect([(await call.over()).status, call.message]).toEqual([3, expect.stringContaining("twice")]);
      expect(a.calls.length).toBe(isBound ? before + 1 : before);
    }
    await until(() => a.calls.every(({ code }) => code !== null));
    expect(a.calls.map(({ bytes }) => bytes.length)).toEqual([12, 13, 14, 15, 16]);
    expect(b.calls).toEqual([]);
  });

  test("a name behind more of a message than is looked at is none, unless it is the only model's", async () => {
    const { up, client: one } = await bed(echo, { replayBytes: 4096 });
    const filler = Buffer.concat([Buffer.from([0x3a, 0xe8, 0x20]), Buffer.alloc(4200)]);
    for (const [name, status] of [
      ["m", 0],
      ["other", 5],
    ] as const) {
      const bytes = framed(Buffer.concat([filler, proto({ 1: name })]));
      const before = up.calls.length;
      const call = one.call(UNARY).send(bytes.subarray(0, 4096));
      await until(() => up.calls.length > before);
      call.send(bytes.subarray(4096), true);
      expect((await call.over()).status).toBe(status);
    }
    expect(up.calls.flatMap(({ messages }) => messages)).toHaveLength(1);
  });

  test("the only one there is, for services that name none", async () => {
    const { up, client: one } = await bed(echo);
    for (const path of [
      "/vllm.grpc.engine.VllmEngine/Generate",
      "/acme.Thing/Do",
      "/generate.v3.TextGenerationService/Info",
    ]) {
      expect((await one.call(path).send(framed("x"), true).over()).status).toBe(0);
    }
    expect(up.calls).toHaveLength(3);
  });

  test("targets of HTTP and of gRPC never mix, though their model has one name", async () => {
    const grpc = target(echo);
    const http = upstream(ok);
    const router = relay([by("grpc", grpc.port), http.port]);
    const one = await client(router.port);
    for (let i = 0; i < 4; i++) expect((await one.unary()).status).toBe(0);
    const answer = await fetch(`http://127.0.0.1:${router.port}/v1/completions`, {
      method: "POST",
      body: '{"model":"m"}',
    });
    expect(answer.status).toBe(200);
    expect([grpc.calls.length, http.requests.length]).toEqual([4, 1]);
  });

  test("a model that only HTTP targets serve is unknown to gRPC", async () => {
    const http = upstream(ok);
    const router = relay([http.port]);
    expect((await (await client(router.port)).unary()).status).toBe(5);
  });
});

describe("deadlines", () => {
  test("what is left goes to the target, and no more", async () => {
    const { up, client: one } = await bed(echo);
    await one.unary("x", { "grpc-timeout": "2S" });
    const text = up.calls[0]?.head["grpc-timeout"] ?? "";
    expect(text).toMatch(/^\d{1,8}u$/);
    expect(Number(text.slice(0, -1))).toBeLessThanOrEqual(2_000_000);
    expect(Number(text.slice(0, -1))).toBeGreaterThan(500_000);
  });

  test("the router ends a call whose time has passed, and tells its target", async () => {
    const { up, router, client: one } = await bed(() => {});
    const call = await one.unary("x", { "grpc-timeout": "40m" });
    expect([call.status, call.head["grpc-status"]]).toEqual([4, "4"]);
    await until(() => up.calls[0]?.code === H2_ERROR.cancel);
    expect(router.inFlight).toBe(0);
    expect([...router.stats.requests(0)]).toEqual([["504", 1]]);
  });

  test("one that has begun to be answered ends with trailers", async () => {
    const { client: one } = await bed((call) => void call.respond(GRPC_HEAD).send(framed("part")));
    const call = await one.unary("x", { "grpc-timeout": "60m" });
    expect([call.messages, call.status, call.tail?.["grpc-status"]]).toEqual([["part"], 4, "4"]);
  });

  test("one that comes with no time left reaches nobody", async () => {
    const { up, client: one } = await bed(echo);
    expect((await one.unary("x", { "grpc-timeout": "0n" })).status).toBe(4);
    expect(up.calls).toHaveLength(0);
  });
});

describe("cancellation", () => {
  test("by the client", async () => {
    const { up, router, client: one } = await bed(() => {});
    const call = one.call(UNARY, { "x-infermesh-model": "m" }).send(framed("x"), true);
    await until(() => up.calls.length === 1);
    call.reset();
    await until(() => up.calls[0]?.code === H2_ERROR.cancel);
    expect(router.inFlight).toBe(0);
    expect([...router.stats.requests(0)]).toEqual([["499", 1]]);
  });

  test("tells a breaker that its trial has shown nothing", async () => {
    const { up, router, client: one } = await bed(() => {});
    const told: string[] = [];
    router.context.dispatch.observe = (_model, _row, outcome) => void told.push(outcome);
    const call = one.call(UNARY, { "x-infermesh-model": "m" }).send(framed("x"), true);
    await until(() => up.calls.length === 1);
    expect(told).toEqual([]);
    call.reset();
    await until(() => router.inFlight === 0);
    expect(told).toEqual(["unknown"]);
  });

  test("by a client whose connection goes", async () => {
    const { up, router, client: one } = await bed(() => {});
    for (let i = 0; i < 5; i++) one.call(UNARY, { "x-infermesh-model": "m" }).send(framed("x"));
    await until(() => up.calls.length === 5);
    one.cut();
    await until(() => up.calls.every(({ code }) => code === H2_ERROR.cancel));
    expect(router.inFlight).toBe(0);
  });

  test("by a target that resets a stream that has begun: the client sees the code", async () => {
    const { router, client: one } = await bed((call) => {
      call.respond(GRPC_HEAD).send(framed("part"));
      call.reset(H2_ERROR.enhanceYourCalm);
    });
    const call = await one.unary();
    expect(call.code).toBe(H2_ERROR.enhanceYourCalm);
    expect(router.inFlight).toBe(0);
  });

  test("a client that is answered before it has sent all need not go on", async () => {
    const { client: one } = await bed((call) => call.respond({ ...GRPC_HEAD, "grpc-status": "3" }, true));
    const call = one.call(STREAM, { "x-infermesh-model": "m" }).send(framed("x"));
    await until(() => call.code === H2_ERROR.none);
    expect(call.status).toBe(3);
  });
});

describe("failures", () => {
  /** A relay in front of one bad target and one good one; calls until the bad one was met. */
  async function met(bad: (call: Call, nth: number) => void, path = UNARY, calls = 12) {
    const [ill, well] = [target(bad), target(echo)];
    const router = relay([by("grpc", ill.port), by("grpc", well.port)]);
    const one = await client(router.port);
    const done: Call[] = [];
    for (let i = 0; i < calls; i++) done.push(await one.unary("x", {}, path));
    await until(() => router.inFlight === 0);
    return { ill, well, router, done };
  }

  test("refused streams are tried elsewhere, whatever they are", async () => {
    const { ill, done, router } = await met((call) => void call.reset(H2_ERROR.refusedStream), "/acme.Thing/Do");
    expect(done.map(({ status }) => status)).toEqual(Array(12).fill(0));
    expect(ill.calls.length).toBeGreaterThan(0);
    expect(router.stats.retries()).toBeGreaterThan(0);
  });

  test("GOAWAY before a stream: the same target by another connection, or another one", async () => {
    let left = false;
    const up = target((call) => {
      if (left) echo(call);
      else {
        left = true;
        call.end.connection.output.goAway(0, H2_ERROR.none, "");
        call.flushed();
      }
    });
    const router = relay([by("grpc", up.port)]);
    const one = await client(router.port);
    expect((await one.unary("x", {}, "/acme.Thing/Do")).status).toBe(0);
    expect(up.ends).toHaveLength(2);
    await until(() => up.ends[0]?.closed === true);
  });

  test("a broken connection is tried elsewhere for inference", async () => {
    const { done } = await met((call) => call.end.cut());
    expect(done.map(({ status }) => status)).toEqual(Array(12).fill(0));
  });

  test("nothing but UNAVAILABLE, too; where there is no other target the client gets it as it was", async () => {
    const busy = (call: Call): void =>
      void call.respond({ ...GRPC_HEAD, "grpc-status": "14", "grpc-message": "busy" }, true);
    const { done } = await met(busy);
    expect(done.map(({ status }) => status)).toEqual(Array(12).fill(0));
    const { client: one } = await bed(busy);
    const call = await one.unary();
    expect([call.status, call.message]).toEqual([14, "busy"]);
  });

  test("but not for a method that may not run twice", async () => {
    const { done, well } = await met((call) => call.end.cut(), LOAD, 20);
    const statuses = done.map(({ status }) => status);
    expect(new Set(statuses)).toEqual(new Set([0, 14]));
    expect(well.calls).toHaveLength(statuses.filter((status) => status === 0).length);
  });

  test("a target that can't be reached", async () => {
    const gone = target(echo);
    gone.stop();
    const well = target(echo);
    const router = relay([by("grpc", gone.port), by("grpc", well.port)]);
    const one = await client(router.port);
    for (let i = 0; i < 10; i++) expect((await one.unary("x", {}, "/acme.Thing/Do")).status).toBe(0);
    const alone = relay([by("grpc", gone.port)]);
    const call = await (await client(alone.port)).unary();
    expect([call.status, alone.inFlight]).toEqual([14, 0]);
  });

  test("a target that breaks off what it has begun", async () => {
    const { router, client: one } = await bed((call) => {
      call.respond(GRPC_HEAD).send(framed("part"));
      setTimeout(() => call.end.cut(), 20);
    });
    const call = await one.unary();
    expect([call.messages, call.status]).toEqual([["part"], 14]);
    expect(router.inFlight).toBe(0);
  });

  test("a target that ends without a status", async () => {
    const { client: one } = await bed((call) => void call.respond(GRPC_HEAD).send(framed("part"), true));
    const call = await one.unary();
    expect([call.messages, call.status]).toEqual([["part"], 13]);
  });

  test("a target that is no gRPC", async () => {
    const { client: one } = await bed(
      (call) => void call.respond({ ":status": "404", "content-type": "text/plain" }, true),
    );
    const call = await one.unary();
    expect(call.head[":status"]).toBe("404");
  });

  test("a target that speaks HTTP/1.1", async () => {
    const http = upstream((socket) => socket.write("HTTP/1.1 400 Bad Request\r\n\r\n"), true);
    const router = relay([by("grpc", http.port)]);
    expect((await (await client(router.port)).unary()).status).toBe(14);
  });

  test("a target that never answers, or pauses for too long", async () => {
    const { client: one } = await bed(() => {}, { firstByteTimeoutMs: 100 });
    expect((await one.unary()).status).toBe(4);
    const { client: two, up } = await bed((call) => void call.respond(GRPC_HEAD).send(framed("a")), {
      streamTimeoutMs: 100,
    });
    const call = await two.unary();
    expect([call.messages, call.status]).toEqual([["a"], 4]);
    await until(() => up.calls[0]?.code === H2_ERROR.cancel);
  });

  test("a call that goes on for too long", async () => {
    const { client: one, up } = await bed(
      (call) => {
        call.respond(GRPC_HEAD);
        const timer = setInterval(() => call.send(framed("a")), 20);
        setTimeout(() => clearInterval(timer), 2000);
      },
      { requestTimeoutMs: 200 },
    );
    const call = await one.unary();
    expect(call.status).toBe(4);
    expect(call.messages.length).toBeGreaterThan(1);
    await until(() => up.calls[0]?.code === H2_ERROR.cancel);
  });

  test("a client that sends no message", async () => {
    const [a, b] = [target(echo), target(echo)];
    const router = relay([by("grpc", a.port, "a"), by("grpc", b.port, "b")], { bodyTimeoutMs: 100 });
    expect((await (await client(router.port)).call(UNARY).over()).status).toBe(4);
  });
});
