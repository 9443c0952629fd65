/** The official gRPC library for Node on both sides of the relay: every kind of call, as its users make them. */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import * as grpc from "@grpc/grpc-js";
import { by, Relay, until } from "./harness.ts";

const asIs = (bytes: Buffer): Buffer => bytes;
const method = (path: string, requestStream: boolean, responseStream: boolean) => ({
  path,
  requestStream,
  responseStream,
  requestSerialize: asIs,
  requestDeserialize: asIs,
  responseSerialize: asIs,
  responseDeserialize: asIs,
});
const SERVICE = {
  unary: method("/test.Echo/Unary", false, false),
  collect: method("/test.Echo/Collect", true, false),
  expand: method("/test.Echo/Expand", false, true),
  talk: method("/test.Echo/Talk", true, true),
  fail: method("/test.Echo/Fail", false, false),
  hang: method("/test.Echo/Hang", false, false),
};

type Unary = grpc.ServerUnaryCall<Buffer, Buffer>;
type Done = grpc.sendUnaryData<Buffer>;

let server: grpc.Server;
let relay: Relay;
let client: grpc.Client;
/** Calls that hang, as the server has them. */
let begun = 0;
let cancelled = 0;

const IMPLEMENTATION: grpc.UntypedServiceImplementation = {
  unary(call: Unary, done: Done) {
    const trailer = new grpc.Metadata();
    trailer.set("x-trailer", "t");
    const metadata = new grpc.Metadata();
    metadata.set("x-answer", String(call.metadata.get("x-ask")[0]));
    call.sendMetadata(metadata);
    done(null, call.request, trailer);
  },
  collect(call: grpc.ServerReadableStream<Buffer, Buffer>, done: Done) {
    const parts: Buffer[] = [];
    call.on("data", (part: Buffer) => parts.push(part));
    call.on("end", () => done(null, Buffer.concat(parts)));
  },
  expand(call: grpc.ServerWritableStream<Buffer, Buffer>) {
    for (const byte of call.request) call.write(Buffer.from([byte]));
    call.end();
  },
  talk(call: grpc.ServerDuplexStream<Buffer, Buffer>) {
    call.on("data", (part: Buffer) => call.write(Buffer.from(`re:${part.toString()}`)));
    call.on("end", () => call.end());
  },
  fail(_call: Unary, done: Done) {
    done({ code: grpc.status.FAILED_PRECONDITION, details: "no, 100 % not" });
  },
  hang(call: Unary) {
    begun++;
    call.on("cancelled", () => cancelled++);
  },
};

beforeAll(async () => {
  server = new grpc.Server({ "grpc.max_receive_message_length": -1 });
  server.addService(SERVICE, IMPLEMENTATION);
  const port = await new Promise<number>((resolve, reject) => {
    server.bindAsync("127.0.0.1:0", grpc.ServerCredentials.createInsecure(), (error, bound) =>
      error === null ? resolve(bound) : reject(error),
    );
  });
  relay = new Relay([by("grpc", port)]);
  client = new grpc.Client(`127.0.0.1:${relay.port}`, grpc.credentials.createInsecure(), {
    "grpc.max_receive_message_length": -1,
  });
});

afterAll(() => {
  client.close();
  server.forceShutdown();
  relay.stop();
});

interface Answer {
  readonly error: grpc.ServiceError | null;
  readonly value: Buffer | undefined;
  readonly metadata: grpc.Metadata | undefined;
  readonly status: grpc.StatusObject;
}

function unary(
  which: keyof typeof SERVICE,
  message: Buffer,
  metadata = new grpc.Metadata(),
  deadlineMs = 5000,
): Promise<Answer> {
  return new Promise((resolve) => {
    let error: grpc.ServiceError | null = null;
    let value: Buffer | undefined;
    let head: grpc.Metadata | undefined;
    const call = client.makeUnaryRequest(
      SERVICE[which].path,
      asIs,
      asIs,
      message,
      metadata,
      { deadline: Date.now() + deadlineMs },
      (failure, answer) => {
        error = failure;
        value = answer;
      },
    );
    call.on("metadata", (each: grpc.Metadata) => {
      head = each;
    });
    call.on("status", (status: grpc.StatusObject) =>
      queueMicrotask(() => resolve({ error, value, metadata: head, status })),
    );
  });
}

describe("@grpc/grpc-js through the relay", () => {
  test("unary, with metadata and trailers", async () => {
    const metadata = new grpc.Metadata();
    metadata.set("x-ask", "a");
    metadata.set("x-binary-bin", Buffer.from([0, 255]));
    const { error, value, metadata: head, status } = await unary("unary", Buffer.from("hello"), metadata);
    expect([error, value?.toString()]).toEqual([null, "hello"]);
    expect(head?.get("x-answer")).toEqual(["a"]);
    expect(head?.get("x-infermesh-node")).toEqual(["up1"]);
    expect(status.metadata.get("x-trailer")).toEqual(["t"]);
  });

  test("300 KB, and 200 at once", async () => {
    const large = Buffer.alloc(300_000, "l");
    expect((await unary("unary", large)).value?.equals(large)).toBe(true);
    const all = await Promise.all(Array.from({ length: 200 }, (_, i) => unary("unary", Buffer.from(String(i)))));
    expect(all.map(({ value }) => Number(value))).toEqual(Array.from({ length: 200 }, (_, i) => i));
  });

  test("a client that streams 20 MB", async () => {
    const value = await new Promise<Buffer | undefined>((resolve, reject) => {
      const call = client.makeClientStreamRequest(SERVICE.collect.path, asIs, asIs, (error, answer) =>
        error ? reject(error) : resolve(answer),
      );
      for (let i = 0; i < 20; i++) call.write(Buffer.alloc(1 << 20, i));
      call.end();
    });
    expect(value?.length).toBe(20 << 20);
  });

  test("a server that streams, and both", async () => {
    const expanded = client.makeServerStreamRequest(SERVICE.expand.path, asIs, asIs, Buffer.from("abc"));
    const parts: string[] = [];
    for await (const part of expanded) parts.push(String(part));
    expect(parts).toEqual(["a", "b", "c"]);
    const talk = client.makeBidiStreamRequest(SERVICE.talk.path, asIs, asIs);
    const heard: string[] = [];
    talk.on("data", (part: Buffer) => heard.push(part.toString()));
    for (const word of ["x", "y"]) {
      talk.write(Buffer.from(word));
      await until(() => heard.at(-1) === `re:${word}`);
    }
    talk.end();
    await new Promise((resolve) => talk.on("status", resolve));
  });

  test("errors: of the server, of a method that there is not, and of the router", async () => {
    const { error } = await unary("fail", Buffer.from("x"));
    expect([error?.code, error?.details]).toEqual([grpc.status.FAILED_PRECONDITION, "no, 100 % not"]);
    const nowhere = await new Promise<grpc.ServiceError | null>((resolve) => {
      client.makeUnaryRequest("/test.Echo/Nothing", asIs, asIs, Buffer.from("x"), (failure) => resolve(failure));
    });
    expect(nowhere?.code).toBe(grpc.status.UNIMPLEMENTED);
    const metadata = new grpc.Metadata();
    metadata.set("x-infermesh-model", "zz");
    const unknown = await unary("unary", Buffer.from("x"), metadata);
    expect([unknown.error?.code, unknown.error?.details]).toEqual([
      grpc.status.NOT_FOUND,
      "the model `zz` does not exist",
    ]);
  });

  test("deadlines and cancellation reach the server", async () => {
    // Long enough for the call to reach the server, however busy the machine is.
    const { error } = await unary("hang", Buffer.from("x"), new grpc.Metadata(), 1000);
    expect(error?.code).toBe(grpc.status.DEADLINE_EXCEEDED);
    await until(() => cancelled === 1);
    const call = client.makeUnaryRequest(SERVICE.hang.path, asIs, asIs, Buffer.from("x"), () => {});
    // One that was on its way would be cancelled at the router alone.
    await until(() => begun === 2);
    call.cancel();
    await until(() => cancelled === 2 && relay.inFlight === 0);
  });
});
