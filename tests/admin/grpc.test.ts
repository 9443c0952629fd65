/** gRPC on an admin port, by a client that is not ours: every kind of call, and every way for one to end. */
import { afterEach, describe, expect, test } from "bun:test";
import { gzipSync } from "node:zlib";
import * as grpc from "@grpc/grpc-js";
import fc from "fast-check";
import { type ErrorCode, MeshError } from "../../src/base/errors.ts";
import { Beds, bidi, type Call, failureOf, only, serverStream, types, unary } from "./api-bed.ts";
import { enveloped, Http2Client } from "./connect-bed.ts";
import { eventually, RawClient } from "./raw-client.ts";
import { ConflictError } from "../../src/admin/call-error.ts";
import { decodeMessage } from "../../src/wire/proto-reader.ts";
import type { Message } from "../../src/wire/proto-schema.ts";
import { PREFACE } from "../../src/wire/http2-frames.ts";
import { data, headers, POST, settings, windowUpdate } from "../wire/http2-peer.ts";

const CONTROL = "infermesh.control.v1.ControlPlane";
const STATE = "infermesh.state.v1.StatePlane";
const GET_NODE = `/${CONTROL}/GetNode`;
const EVENTS = `/${CONTROL}/SubscribeEvents`;
const REPORT = `/${STATE}/ReportModelState`;
const HEALTH = "/grpc.health.v1.Health";

const beds = new Beds();
afterEach(() => beds.close());

const control = (methods: Record<string, unknown>) => ({ implementations: { [CONTROL]: only(CONTROL, methods) } });

describe("a unary call", () => {
  test("is answered, with what the method says", async () => {
    const bed = beds.open(control({ getNode: async ({ id }: { id: string }) => ({ node: { id, models: ["m"] } }) }));
    const client = bed.client();
    const answers = await Promise.all(["a", "b", "ü"].map((id) => unary(client, GET_NODE, { id })));
    expect(answers.map(({ node }) => (node as Message)["id"])).toEqual(["a", "b", "ü"]);
  });

  test.each([
    ["not_found", 5, "there is no node ü (100 %)"],
    ["no_quorum", 14, "no majority of the control nodes can be reached"],
    ["forbidden", 7, "no"],
    ["", 13, "internal error"],
  ])("that fails with %p has its status and its words", async (name, code, words) => {
    const error = name === "" ? new Error("secret") : new MeshError(name as ErrorCode, words);
    const bed = beds.open(
      control({
        getNode: async () => {
          throw error;
        },
      }),
    );
    const failure = await failureOf(unary(bed.client(), GET_NODE, { id: "a" }));
    expect([failure.code, failure.details]).toEqual([code, expect.stringContaining(words)]);
    expect(failure.details).not.toContain("secret");
    expect(bed.errors).toHaveLength(code === 13 ? 1 : 0);
  });

  test.each(["x", "é", "漢", "👩"])(
    "has words of %p that a client's header list takes, however many they are",
    async (text) => {
      const bed = beds.open(
        control({
          getNode: async () => {
            throw new MeshError("bad_request", text.repeat(5000));
          },
        }),
      );
      const client = new Http2Client(bed.url(""));
      const { headers: head } = await client.ask(GET_NODE, { "content-type": "application/grpc" }, enveloped(""));
      client.close();
      const size = Object.entries(head).reduce(
        (sum, [name, value]) => sum + name.length + String(value).length + 32,
        0,
      );
      expect(size).toBeLessThan(8192);
      const words = decodeURIComponent(String(head["grpc-message"]));
      expect(words).toStartWith(text.repeat(100));
      expect(words).not.toContain("\ufffd");
    },
  );

  test("tells in its details what is beyond a code", async () => {
    const bed = beds.open(
      control({
        pinModel: async () => {
          throw new ConflictError("pin/m is at revision 7", 0, {
            kind: "pin",
            name: "m",
            revision: 7,
            pin: { nodes: ["a"] },
          });
        },
      }),
    );
    const failure = await failureOf(unary(bed.client(), `/${CONTROL}/PinModel`, { model: "m" }));
    expect(failure.code).toBe(grpc.status.ABORTED);
    const [status] = failure.metadata.get("grpc-status-details-bin") as Buffer[];
    const text = status!.toString("latin1");
    const name = "type.googleapis.com/infermesh.control.v1.ErrorDetail";
    expect(text).toContain(name);
    // The detail is the last field of what holds the name.
    const at = text.indexOf(name) + name.length + 1;
    const length = status![at]!;
    const detail = decodeMessage(
      types.message("infermesh.control.v1.ErrorDetail"),
      status!.subarray(at + 1, at + 1 + length),
    );
    expect(detail).toMatchObject({
      message: { code: "conflict", retryable: false, current: { revision: 7, pin: { nodes: ["a"] } } },
    });
  });

  test("of no method or service is UNIMPLEMENTED, with the reason of a service that is left out", async () => {
    const bed = beds.open(control({}));
    bed.services.leaveOut("infermesh.scoring.v1.Scoring", "an agent chooses no nodes; ask a router");
    const client = bed.client();
    const fails = async (path: string): Promise<[number, string]> => {
      const { code, details } = await failureOf(unary(client, path, {}));
      return [code, details];
    };
    expect(await fails(`/${CONTROL}/GetNod`)).toEqual([12, `${CONTROL} has no method GetNod`]);
    expect(await fails("/a.B/C")).toEqual([12, "there is no /a.B/C"]);
    expect(await fails("/infermesh.scoring.v1.Scoring/Admit")).toEqual([12, "an agent chooses no nodes; ask a router"]);
  });

  test("ends at its deadline, whatever the method does, which is told", async () => {
    let signal: AbortSignal | null = null;
    const bed = beds.open(
      control({
        getNode: async (_request: unknown, call: Call) => {
          ({ signal } = call);
          expect(call.deadlineMs - performance.now()).toBeLessThan(200);
          return new Promise(() => {});
        },
      }),
    );
    const failure = await failureOf(unary(bed.client(), GET_NODE, { id: "a" }, { deadline: Date.now() + 60 }));
    expect(failure.code).toBe(grpc.status.DEADLINE_EXCEEDED);
    await eventually(() => signal?.aborted === true);
  });

  test("that is cancelled is told to its method", async () => {
    const begun = Promise.withResolvers<AbortSignal>();
    const bed = beds.open(
      control({
        getNode: async (_request: unknown, { signal }: Call) => {
          begun.resolve(signal);
          return new Promise(() => {});
        },
      }),
    );
    const { promise, reject } = Promise.withResolvers<never>();
    const call = bed.client().makeUnaryRequest(
      GET_NODE,
      () => Buffer.alloc(0),
      () => ({}),
      {},
      (error) => reject(error),
    );
    const signal = await begun.promise;
    call.cancel();
    expect((await failureOf(promise)).code).toBe(grpc.status.CANCELLED);
    await eventually(() => signal.aborted);
  });

  test("longer than allowed is RESOURCE_EXHAUSTED; one just as long is taken, also beyond the window", async () => {
    const bed = beds.open({
      ...control({ getNode: async ({ id }: { id: string }) => ({ node: { zone: String(id.length) } }) }),
      limits: { maxBodyBytes: 1_000_000 },
    });
    const client = bed.client();
    const fits = "x".repeat(1_000_000 - 4);
    expect(await unary(client, GET_NODE, { id: fits })).toMatchObject({ node: { zone: String(fits.length) } });
    const failure = await failureOf(unary(client, GET_NODE, { id: `${fits}x` }));
    expect([failure.code, failure.details]).toEqual([8, "a message of 1000001 bytes; at most 1000000 are taken"]);
  });

  test("with bytes that are no request is INVALID_ARGUMENT", async () => {
    const bed = beds.open(control({}));
    const { promise, reject } = Promise.withResolvers<never>();
    bed.client().makeUnaryRequest(
      GET_NODE,
      () => Buffer.of(0x0a, 9),
      () => ({}),
      {},
      (error) => reject(error),
    );
    const failure = await failureOf(promise);
    expect([failure.code, failure.details]).toEqual([
      3,
      "the request can't be read: infermesh.control.v1.GetNodeRequest: id is longer than the message",
    ]);
  });

  test("in gzip is read, and announced as read", async () => {
    const bed = beds.open(
      control({ getNode: async ({ id }: { id: string }) => ({ node: { zone: String(id.length) } }) }),
    );
    const client = bed.client({ "grpc.default_compression_algorithm": grpc.compressionAlgorithms.gzip });
    expect(await unary(client, GET_NODE, { id: "x".repeat(90_000) })).toMatchObject({ node: { zone: "90000" } });
    const deflate = bed.client({ "grpc.default_compression_algorithm": grpc.compressionAlgorithms.deflate });
    const failure = await failureOf(unary(deflate, GET_NODE, { id: "a" }));
    expect([failure.code, failure.details]).toEqual([
      12,
      'messages in "deflate" are not read here; send identity,gzip',
    ]);
  });

  test.each([
    ["what inflates beyond the limit", gzipSync(Buffer.alloc(64 * 1024 * 1024)), 1, "gzip", 8, "inflates to more than"],
    ["what is not gzip", Buffer.from("nothing"), 1, "gzip", 3, "said to be gzip"],
    ["what is cut off", gzipSync("x".repeat(99)).subarray(0, 20), 1, "gzip", 3, "said to be gzip"],
    ["a mark without an encoding", gzipSync(""), 1, "identity", 13, "no grpc-encoding tells how"],
    ["a mark that means nothing", Buffer.alloc(0), 7, "gzip", 13, "begins with 7"],
  ])("with %s is refused", async (_, bytes, flags, encoding, code, words) => {
    const bed = beds.open(control({}));
    const client = new Http2Client(bed.url(""));
    const stream = client.open({
      ":path": GET_NODE,
      ":method": "POST",
      "content-type": "application/grpc",
      "grpc-encoding": encoding,
    });
    const head = new Promise<Record<string, unknown>>((resolve) => stream.once("response", resolve));
    stream.end(enveloped(bytes, flags));
    const { "grpc-status": status, "grpc-message": message } = await head;
    expect([status, decodeURIComponent(String(message))]).toEqual([String(code), expect.stringContaining(words)]);
    client.close();
    expect(bed.errors).toEqual([]);
  });

  test("that is empty is the same in gzip and as it is", async () => {
    const bed = beds.open(control({ getNode: async ({ id }: { id: string }) => ({ node: { zone: `<${id}>` } }) }));
    const client = new Http2Client(bed.url(""));
    const fields = { "content-type": "application/grpc+proto", "grpc-encoding": "gzip" };
    const { body, headers: head } = await client.ask(GET_NODE, fields, enveloped("", 1));
    expect(head["grpc-accept-encoding"]).toBe("identity,gzip");
    expect(body.toString()).toContain("<>");
    client.close();
  });

  test("whose deadline is over when it comes is not carried out", async () => {
    let calls = 0;
    const bed = beds.open(control({ pinModel: async () => ({ revision: ++calls }) }));
    const client = new Http2Client(bed.url(""));
    const fields = { "content-type": "application/grpc", "grpc-timeout": "0n" };
    const { headers: head } = await client.ask(`/${CONTROL}/PinModel`, fields, enveloped(""));
    expect([head["grpc-status"], calls]).toEqual(["4", 0]);
    client.close();
  });

  test("that changes something is refused on a read-only port", async () => {
    const bed = beds.open({ ...control({ getNode: async () => ({ node: { id: "a" } }) }), readOnly: true });
    const client = bed.client();
    expect(await unary(client, GET_NODE, {})).toMatchObject({ node: { id: "a" } });
    const failure = await failureOf(unary(client, `/${CONTROL}/PinModel`, {}));
    expect([failure.code, failure.details]).toEqual([7, "this port is read-only; call PinModel on the --api port"]);
  });

  test("of a web page from elsewhere is refused", async () => {
    const bed = beds.open(control({}));
    const metadata = new grpc.Metadata();
    metadata.set("origin", "http://evil.example");
    expect((await failureOf(unary(bed.client(), GET_NODE, {}, { metadata }))).code).toBe(grpc.status.PERMISSION_DENIED);
  });
});

describe("a stream of answers", () => {
  test("comes in order, and ends", async () => {
    const bed = beds.open(
      control({
        async *subscribeEvents() {
          for (let next = 1; next <= 500; next++) yield { next, event: { subject: "x".repeat(1000) } };
        },
      }),
    );
    const numbers: unknown[] = [];
    for await (const message of serverStream(bed.client(), EVENTS, {})) numbers.push((message as Message)["next"]);
    expect(numbers).toEqual(Array.from({ length: 500 }, (_, at) => at + 1));
  });

  test("waits for the window of a client that does not read, and goes on when it does", async () => {
    let made = 0;
    const bed = beds.open(
      control({
        async *subscribeEvents() {
          for (; made < 100;) yield { next: ++made, event: { subject: "x".repeat(10_000) } };
        },
      }),
    );
    const client = await RawClient.connect(bed.front.port);
    const send = (bytes: Uint8Array): void => client.send(Buffer.from(bytes).toString("latin1"));
    send(Buffer.concat([PREFACE, settings()]));
    const fields = POST.map(([name, value]) => [name, name === ":path" ? EVENTS : value] as const);
    send(
      Buffer.concat([headers(1, [...fields, ["content-type", "application/grpc"]]), data(1, Buffer.alloc(5), true)]),
    );
    // The default window is 65,535 bytes: six messages and most of a seventh, which is the last that is asked for.
    await client.until((received) => received.length >= 65_535);
    expect(made).toBe(7);
    send(Buffer.concat([windowUpdate(0, 2_000_000), windowUpdate(1, 2_000_000)]));
    await client.until((received) => received.includes("grpc-status"));
    expect(made).toBe(100);
    client.reset();
  });

  test("that is cancelled, or whose client dies, ends its method", async () => {
    const signals: AbortSignal[] = [];
    let left = 0;
    const bed = beds.open(
      control({
        async *subscribeEvents(_request: unknown, { signal }: Call) {
          signals.push(signal);
          try {
            yield { next: 1 };
            await new Promise((resolve) => signal.addEventListener("abort", resolve));
          } finally {
            left++;
          }
        },
      }),
    );
    const client = bed.client();
    const stream = serverStream(client, EVENTS, {});
    await new Promise((resolve) => stream.once("data", resolve));
    stream.on("error", () => {});
    stream.cancel();
    await eventually(() => left === 1);
    const other = serverStream(client, EVENTS, {});
    other.on("error", () => {});
    await new Promise((resolve) => other.once("data", resolve));
    client.close();
    other.cancel();
    await eventually(() => left === 2 && signals.every((signal) => signal.aborted));
  });

  test("fails in the middle with its status", async () => {
    const bed = beds.open(
      control({
        async *subscribeEvents() {
          yield { next: 1 };
          throw new MeshError("over_capacity", "enough", { retryAfterSeconds: 2 });
        },
      }),
    );
    const stream = serverStream(bed.client(), EVENTS, {});
    const seen: unknown[] = [];
    const failure = await failureOf(
      (async () => {
        for await (const message of stream) seen.push(message);
      })(),
    );
    expect([failure.code, failure.details, seen.length]).toEqual([8, "enough", 1]);
    expect(failure.metadata.get("grpc-retry-pushback-ms")).toEqual(["2000"]);
  });
});

describe("a stream in both directions", () => {
  const echo = {
    implementations: {
      [STATE]: only(STATE, {
        async *reportModelState(requests: AsyncIterable<{ sequence: number }>) {
          for await (const { sequence } of requests) yield { sequence, applied: true };
        },
      }),
    },
  };

  test("answers each message, and ends when the client has said all", async () => {
    const call = bidi(beds.open(echo).client(), REPORT);
    const acks: unknown[] = [];
    call.on("data", ({ sequence }: Message) => acks.push(sequence));
    for (let sequence = 1; sequence <= 300; sequence++) call.write({ sequence, node: "n".repeat(2000) });
    call.end();
    await new Promise((resolve, reject) => call.on("end", resolve).on("error", reject));
    expect(acks).toEqual(Array.from({ length: 300 }, (_, at) => at + 1));
  });

  test("does not read on while its method takes nothing", async () => {
    const go = Promise.withResolvers<void>();
    const bed = beds.open({
      implementations: {
        [STATE]: only(STATE, {
          async *reportModelState(requests: AsyncIterable<{ sequence: number }>) {
            await go.promise;
            for await (const { sequence } of requests) yield { sequence };
          },
        }),
      },
    });
    const call = bidi(bed.client(), REPORT);
    let acks = 0;
    call.on("data", () => acks++);
    let written = 0;
    const sent = (async () => {
      for (let sequence = 1; sequence <= 200; sequence++) {
        await new Promise((resolve) => call.write({ sequence, node: "n".repeat(10_000) }, resolve));
        written = sequence;
      }
      call.end();
    })();
    let before = -1;
    await eventually(() => {
      const still = written > 0 && written === before;
      before = written;
      return still;
    }, 10_000);
    expect(written).toBeLessThan(200);
    go.resolve();
    await sent;
    await new Promise((resolve) => call.on("end", resolve));
    expect(acks).toBe(200);
  });
});

describe("a port that stops", () => {
  test("tells its clients, lets answers be given, and ends streams with UNAVAILABLE", async () => {
    const answer = Promise.withResolvers<object>();
    const begun = Promise.withResolvers<void>();
    const bed = beds.open(
      control({
        getNode: async () => {
          begun.resolve();
          return answer.promise;
        },
        async *subscribeEvents(_request: unknown, { signal }: Call) {
          yield { next: 1 };
          await new Promise((resolve) => signal.addEventListener("abort", resolve));
        },
      }),
    );
    const client = bed.client();
    const answered = unary(client, GET_NODE, {});
    const stream = serverStream(client, EVENTS, {});
    const failed = new Promise<grpc.ServiceError>((resolve) => stream.on("error", (error) => resolve(error as never)));
    await new Promise((resolve) => stream.once("data", resolve));
    await begun.promise;
    const stopped = bed.front.stop(5000);
    expect((await failed).code).toBe(grpc.status.UNAVAILABLE);
    answer.resolve({ node: { id: "last" } });
    expect(await answered).toMatchObject({ node: { id: "last" } });
    await stopped;
    expect(bed.front.connections).toBe(0);
  });
});

describe("health", () => {
  test("of the process, of its services, and of nobody", async () => {
    let isStopping = false;
    const bed = beds.open({ ...control({}), isStopping: () => isStopping });
    const client = bed.client();
    const check = async (service: string) => (await unary(client, `${HEALTH}/Check`, { service }))["status"];
    expect([await check(""), await check(CONTROL)]).toEqual(["SERVING", "SERVING"]);
    expect((await failureOf(check("zz"))).code).toBe(grpc.status.NOT_FOUND);
    const watch = serverStream(client, `${HEALTH}/Watch`, { service: "" });
    const unknown = serverStream(client, `${HEALTH}/Watch`, { service: "zz" });
    unknown.on("error", () => {});
    watch.on("error", () => {});
    const next = (): Promise<Message> => new Promise((resolve) => watch.once("data", resolve));
    expect(await next()).toEqual({ status: "SERVING" });
    expect(await new Promise((resolve) => unknown.once("data", resolve))).toEqual({ status: "SERVICE_UNKNOWN" });
    isStopping = true;
    expect(await next()).toEqual({ status: "NOT_SERVING" });
  });
});

describe("reflection", () => {
  /** A request with one text field, by hand, and what its answer holds. */
  const ask = async (client: grpc.Client, version: string, number: number, text: string): Promise<string> => {
    const path = `/grpc.reflection.${version}.ServerReflection/ServerReflectionInfo`;
    const call = client.makeBidiStreamRequest(
      path,
      (bytes: Buffer) => bytes,
      (bytes: Buffer) => bytes,
    );
    call.write(Buffer.from([number * 8 + 2, text.length, ...Buffer.from(text)]));
    const answer = await new Promise<Buffer>((resolve, reject) => call.once("data", resolve).once("error", reject));
    call.end();
    return answer.toString("latin1");
  };

  test.each(["v1", "v1alpha"])("%s lists services, and gives files with what they import", async (version) => {
    const bed = beds.open(control({}));
    const client = bed.client();
    const list = await ask(client, version, 7, "*");
    for (const name of [CONTROL, "grpc.health.v1.Health", "grpc.reflection.v1.ServerReflection"])
      expect(list).toContain(name);
    expect(list).not.toContain("StatePlane");
    const file = await ask(client, version, 4, `${CONTROL}.PinModel`);
    for (const name of [
      "infermesh/control/v1/control_plane.proto",
      "infermesh/policy/v1/policy.proto",
      "infermesh/state/v1/state.proto",
    ]) {
      expect(file).toContain(name);
    }
    expect(await ask(client, version, 4, "a.B")).toContain("no such file or symbol");
  });
});

describe("whoever speaks no gRPC", () => {
  test.each(["application/grpc+json", "application/grpc-web", "text/plain"])(
    "%s is answered 415 over HTTP/2, and the connection goes on",
    async (type) => {
      const client = new Http2Client(beds.open(control({})).url(""));
      const { status, body } = await client.ask(GET_NODE, { "content-type": type }, Buffer.alloc(5));
      expect([status, JSON.parse(body.toString())]).toEqual([
        415,
        expect.objectContaining({ code: "invalid_argument" }),
      ]);
      expect((await client.ask("/nothing")).status).toBe(404);
      client.close();
    },
  );

  test("and sends no settings is disconnected; nonsense ends the connection", async () => {
    const bed = beds.open({ ...control({}), limits: { headTimeoutMs: 40 } });
    const silent = await RawClient.connect(bed.front.port);
    silent.send("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n");
    await silent.untilEnded();
    const wrong = await RawClient.connect(bed.front.port);
    wrong.send("PRI * HTTP/2.0\r\n\r\nXX\r\n\r\n");
    await wrong.untilEnded();
    silent.reset();
    wrong.reset();
    expect(bed.notices.join()).toContain("no HTTP/2 preface");
  });
});

test("whatever comes behind the preface, the port goes on", async () => {
  const bed = beds.open({
    implementations: {
      [STATE]: only(STATE, {
        async *reportModelState(requests: AsyncIterable<object>) {
          for await (const _ of requests) yield {};
        },
      }),
    },
  });
  const request = POST.map(([name, value]) => [name, name === ":path" ? REPORT : value] as const);
  const head = headers(1, [...request, ["content-type", "application/grpc"]]);
  await fc.assert(
    fc.asyncProperty(fc.uint8Array({ maxLength: 300 }), fc.constantFrom(0, 1, 2), async (bytes, kind) => {
      const client = await RawClient.connect(bed.front.port);
      const rest = [
        Buffer.from(bytes),
        data(1, bytes, true),
        data(1, Uint8Array.of(0, 0, 0, 0, bytes.length, ...bytes), true),
      ];
      const all = Buffer.concat([PREFACE, settings(), ...(kind === 0 ? [] : [head]), rest[kind]!]);
      client.send(all.toString("latin1"));
      if (kind > 0) await client.until((received) => received.includes("grpc-status"));
      else client.end();
      await client.until((received) => received.length > 0);
      client.reset();
    }),
    { numRuns: 60 },
  );
  expect(bed.errors).toEqual([]);
  expect(await unary(bed.client(), `${HEALTH}/Check`, { service: "" })).toEqual({ status: "SERVING" });
});
