/** Methods that stream, by the Connect protocol: envelopes, how a stream ends, and what is refused. */
import { afterEach, describe, expect, test } from "bun:test";
import { gzipSync } from "node:zlib";
import fc from "fast-check";
import { MeshError } from "../../src/base/errors.ts";
import { decodeMessage } from "../../src/wire/proto-reader.ts";
import { encodeMessage } from "../../src/wire/proto-writer.ts";
import { type Bed, Beds, type Call, only, types } from "./api-bed.ts";
import { type Envelope, enveloped, envelopesIn, Http2Client, STREAM, streamed } from "./connect-bed.ts";
import { eventually } from "./raw-client.ts";

const CONTROL = "infermesh.control.v1.ControlPlane";
const STATE = "infermesh.state.v1.StatePlane";
const EVENTS = `/${CONTROL}/SubscribeEvents`;
const REPORT = `/${STATE}/ReportModelState`;
const END_STREAM = 2;

const beds = new Beds();
const clients: Http2Client[] = [];
afterEach(async () => {
  for (const client of clients.splice(0)) client.close();
  await beds.close();
});

const open = (methods: Record<string, unknown>): Bed =>
  beds.open({ implementations: { [CONTROL]: only(CONTROL, methods) } });

function http2To(bed: Bed): Http2Client {
  const client = new Http2Client(bed.url(""));
  clients.push(client);
  return client;
}

/** Three messages that tell what was asked. */
const counting = {
  async *subscribeEvents({ since, types: wanted }: { since?: number; types: string[] }) {
    for (let next = 1; next <= 3; next++) yield { next: next + (since ?? 0), event: { type: wanted.join() } };
  },
};

describe.each(["HTTP/1.1", "HTTP/2"])("over %s", (version) => {
  const call = async (bed: Bed, body: Uint8Array, headers: Record<string, string> = {}) => {
    if (version === "HTTP/1.1") return streamed(bed.url(EVENTS), body, headers);
    const { status, headers: got, body: bytes } = await http2To(bed).ask(EVENTS, { ...STREAM, ...headers }, body);
    return { status, type: got["content-type"] ?? null, envelopes: envelopesIn(bytes) };
  };
  const errorOf = ({ json }: Envelope): { code?: string; message?: string } => json["error"] as object;

  test("messages come in envelopes, and one tells that it is over", async () => {
    const bed = open(counting);
    const { status, type, envelopes } = await call(bed, enveloped('{"since": "7", "types": ["a", "b"]}'));
    expect([status, type]).toEqual([200, "application/connect+json"]);
    expect(envelopes.map(({ flags }) => flags)).toEqual([0, 0, 0, END_STREAM]);
    expect(envelopes.map(({ json }) => json["next"])).toEqual(["8", "9", "10", undefined]);
    expect(envelopes[0]?.json).toMatchObject({ event: { type: "a,b" } });
    expect(envelopes[3]?.json).toEqual({});
    expect(bed.services.streams.size).toBe(0);
  });

  test("protobuf is spoken too, in gzip", async () => {
    const bed = open(counting);
    const request = encodeMessage(types.message(`infermesh.control.v1.SubscribeEventsRequest`), { since: 40 });
    const headers = { "content-type": "application/connect+proto", "connect-content-encoding": "gzip" };
    const body = enveloped(gzipSync(request), 1);
    const bytes =
      version === "HTTP/1.1"
        ? Buffer.from(
            await (await fetch(bed.url(EVENTS), { method: "POST", headers, body: new Uint8Array(body) })).arrayBuffer(),
          )
        : (await http2To(bed).ask(EVENTS, headers, body)).body;
    const length = bytes.readUInt32BE(1);
    const type = types.message("infermesh.control.v1.SubscribeEventsResponse");
    expect(decodeMessage(type, bytes.subarray(5, 5 + length))).toMatchObject({ message: { next: 41 } });
    expect(bytes.subarray(-7).toString("latin1")).toBe("\x02\0\0\0\x02{}");
  });

  test("an error after some messages is told at the end, with its details", async () => {
    const bed = open({
      async *subscribeEvents() {
        yield { next: 1 };
        throw new MeshError("over_capacity", "enough", { retryAfterSeconds: 2 });
      },
    });
    const { status, envelopes } = await call(bed, enveloped("{}"));
    expect([status, envelopes.length]).toEqual([200, 2]);
    expect(envelopes[1]?.json).toMatchObject({
      error: { code: "resource_exhausted", message: "enough", details: [{ debug: { code: "over_capacity" } }] },
    });
    expect(bed.errors).toEqual([]);
  });

  test("a fault of ours is told without its words, and logged", async () => {
    const bed = open({
      // oxlint-disable-next-line require-yield -- it fails before
      async *subscribeEvents() {
        throw new Error("secret");
      },
    });
    const { envelopes } = await call(bed, enveloped("{}"));
    expect(errorOf(envelopes[0]!).code).toBe("internal");
    expect(JSON.stringify(envelopes)).not.toContain("secret");
    expect(bed.errors).toHaveLength(1);
  });

  test.each([
    ["no message", Buffer.alloc(0), {}, "invalid_argument", "the call has no request"],
    [
      "two messages",
      Buffer.concat([enveloped("{}"), enveloped("{}")]),
      {},
      "invalid_argument",
      "more than one request",
    ],
    ["part of a message", enveloped("{}").subarray(0, 6), {}, "invalid_argument", "in the middle of a message"],
    ["no JSON", enveloped("{"), {}, "invalid_argument", "the body is not JSON"],
    ["unknown fields", enveloped('{"typs": []}'), {}, "invalid_argument", "did you mean types?"],
    ["flags of an end", enveloped("{}", 2), {}, "internal", "an envelope begins with 2"],
    ["compression that nobody told", enveloped(gzipSync("{}"), 1), {}, "internal", "no connect-content-encoding"],
    ["what is not gzip", enveloped("{}", 1), { "connect-content-encoding": "gzip" }, "invalid_argument", "and is not"],
    [
      "an encoding that is not read",
      enveloped("{}"),
      { "connect-content-encoding": "br" },
      "unimplemented",
      "identity,gzip",
    ],
    ["a wrong version", enveloped("{}"), { "connect-protocol-version": "2" }, "invalid_argument", "expected 1"],
    ["a wrong timeout", enveloped("{}"), { "connect-timeout-ms": "1s" }, "invalid_argument", "up to 10 digits"],
  ])("%s is refused at the end of an empty stream", async (_, body, headers, code, words) => {
    const bed = open(counting);
    const { status, envelopes } = await call(bed, body, headers);
    expect([status, envelopes.length, envelopes[0]?.flags]).toEqual([200, 1, END_STREAM]);
    expect(errorOf(envelopes[0]!)).toMatchObject({ code, message: expect.stringContaining(words) });
    expect(bed.services.streams.size).toBe(0);
  });

  test("a bomb is refused", async () => {
    const bomb = gzipSync(Buffer.alloc(8 * 1024 * 1024, " "));
    const { envelopes } = await call(open(counting), enveloped(bomb, 1), { "connect-content-encoding": "gzip" });
    expect(errorOf(envelopes[0]!)).toMatchObject({ code: "resource_exhausted" });
  });

  test("its deadline ends it, and so does the end of the process", async () => {
    const signals: AbortSignal[] = [];
    const bed = open({
      async *subscribeEvents(_request: unknown, { signal }: Call) {
        signals.push(signal);
        yield { next: 1 };
        // A method that looks at no signal.
        await new Promise(() => {});
      },
    });
    const late = await call(bed, enveloped("{}"), { "connect-timeout-ms": "50" });
    expect(errorOf(late.envelopes[1]!)).toMatchObject({
      code: "deadline_exceeded",
      message: "the deadline of 50 ms is over",
    });
    const stopped = call(bed, enveloped("{}"));
    await eventually(() => signals.length === 2);
    const stopping = bed.front.stop(5000);
    expect(errorOf((await stopped).envelopes.at(-1)!)).toMatchObject({ code: "unavailable" });
    clients.splice(0).forEach((client) => client.close());
    await stopping;
    expect(signals.every(({ aborted }) => aborted)).toBe(true);
  });

  test("whatever the body is, the end of the stream says what is wrong", async () => {
    const bed = open(counting);
    await fc.assert(
      fc.asyncProperty(fc.uint8Array({ maxLength: 40 }), async (body) => {
        const { status, envelopes } = await call(bed, body);
        expect([status, envelopes.at(-1)?.flags]).toEqual([200, END_STREAM]);
      }),
      { numRuns: 60 },
    );
    expect(bed.errors).toEqual([]);
    expect(bed.services.streams.size).toBe(0);
  });

  test("another content type is answered 415, and told which one is right", async () => {
    const bed = open(counting);
    const headers = { "content-type": "application/json" };
    if (version === "HTTP/2") {
      const answer = await http2To(bed).ask(EVENTS, headers, "{}");
      expect([answer.status, answer.headers["accept-post"]]).toEqual([
        415,
        "application/connect+json, application/connect+proto",
      ]);
      return;
    }
    const answer = await fetch(bed.url(EVENTS), { method: "POST", headers, body: "{}" });
    expect([answer.status, answer.headers.get("accept-post")]).toEqual([
      415,
      "application/connect+json, application/connect+proto",
    ]);
    expect(await answer.json()).toMatchObject({ message: expect.stringContaining("read GET /events?watch=1") });
    const unary = await fetch(bed.url(`/${CONTROL}/GetNode`), { method: "POST", headers: STREAM, body: "{}" });
    expect([unary.status, unary.headers.get("accept-post")]).toEqual([415, "application/json, application/proto"]);
  });
});

/** A million bytes in all: far more than sockets hold. */
const long = (made: { count: number }) => ({
  async *subscribeEvents() {
    for (; made.count < 1000;) yield { next: ++made.count, event: { subject: "x".repeat(100_000) } };
  },
});

test("a client that does not read stops its method, over HTTP/2", async () => {
  const made = { count: 0 };
  const bed = open(long(made));
  const stream = http2To(bed).open({ ":path": EVENTS, ":method": "POST", ...STREAM });
  stream.pause();
  stream.end(enveloped("{}"));
  await eventually(() => made.count > 0);
  let before = -1;
  await eventually(() => {
    const isStill = made.count === before;
    before = made.count;
    return isStill;
  });
  expect(made.count).toBeLessThan(100);
  stream.destroy();
  await eventually(() => bed.services.streams.size === 0);
});

test("who reads nothing at all is left after the time to write", async () => {
  const made = { count: 0 };
  const bed = beds.open({
    implementations: { [CONTROL]: only(CONTROL, long(made)) },
    limits: { writeTimeoutMs: 50 },
  });
  const client = http2To(bed);
  const stream = client.open({ ":path": EVENTS, ":method": "POST", ...STREAM });
  stream.pause();
  stream.end(enveloped("{}"));
  await eventually(() => made.count > 0);
  await eventually(() => bed.services.streams.size === 0, 10_000);
});

test("who leaves ends the method, over both", async () => {
  const signals: AbortSignal[] = [];
  const bed = open({
    async *subscribeEvents(_request: unknown, { signal }: Call) {
      signals.push(signal);
      yield { next: 1 };
      await new Promise((resolve) => signal.addEventListener("abort", resolve));
    },
  });
  const leaving = new AbortController();
  const response = await fetch(bed.url(EVENTS), {
    method: "POST",
    headers: STREAM,
    body: new Uint8Array(enveloped("{}")),
    signal: leaving.signal,
  });
  const reader = response.body!.getReader();
  expect(envelopesIn((await reader.read()).value)).toHaveLength(1);
  leaving.abort();
  await eventually(() => signals[0]?.aborted === true);
  const stream = http2To(bed).open({ ":path": EVENTS, ":method": "POST", ...STREAM });
  stream.end(enveloped("{}"));
  await new Promise((resolve) => stream.once("data", resolve));
  stream.destroy();
  await eventually(() => signals[1]?.aborted === true && bed.services.streams.size === 0);
});

describe("a stream both ways", () => {
  const echo = {
    implementations: {
      [STATE]: only(STATE, {
        async *reportModelState(requests: AsyncIterable<{ sequence: number }>) {
          for await (const { sequence } of requests) yield { sequence, applied: true };
        },
      }),
    },
  };

  test("answers each message over HTTP/2 before the next is sent", async () => {
    const stream = http2To(beds.open(echo)).open({ ":path": REPORT, ":method": "POST", ...STREAM });
    const parts: Buffer[] = [];
    stream.on("data", (part: Buffer) => parts.push(part));
    for (let sequence = 1; sequence <= 5; sequence++) {
      stream.write(enveloped(`{"sequence": "${sequence}", "node": "${"n".repeat(5000)}"}`));
      await eventually(() => envelopesIn(Buffer.concat(parts)).length === sequence);
    }
    const ended = new Promise((resolve) => stream.once("end", resolve));
    stream.end();
    await ended;
    const envelopes = envelopesIn(Buffer.concat(parts));
    expect(envelopes.map(({ json }) => json["sequence"])).toEqual(["1", "2", "3", "4", "5", undefined]);
    expect(envelopes.at(-1)).toEqual({ flags: END_STREAM, json: {} });
  });

  test("is told over HTTP/1.1 what to do instead", async () => {
    const { envelopes } = await streamed(beds.open(echo).url(REPORT), enveloped("{}"));
    expect(envelopes).toMatchObject([
      {
        flags: END_STREAM,
        json: { error: { code: "unimplemented", message: expect.stringContaining("call it over HTTP/2") } },
      },
    ]);
  });

  test("takes no message that is longer than allowed", async () => {
    const bed = beds.open({ ...echo, limits: { maxBodyBytes: 2000 } });
    const { body } = await http2To(bed).ask(REPORT, STREAM, enveloped(`{"node": "${"n".repeat(3000)}"}`));
    expect(envelopesIn(body)[0]?.json).toMatchObject({ error: { code: "resource_exhausted" } });
  });
});
