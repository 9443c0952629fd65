/** Trailers of requests over HTTP/2: where they go, and which go nowhere. */
import { afterEach, describe, expect, test } from "bun:test";
import { H2_ERROR } from "../../src/wire/http2-frames.ts";
import { answer, CHAT, fixtures, until } from "./harness.ts";
import { type Call, echo, encoded, type Fields, framed, grpcFixtures, type H2Client, UNARY } from "./http2-bed.ts";
import { disagreements, StrictUpstream } from "./strict-upstream.ts";

const { relay } = fixtures();
const { client, bed: grpcBed } = grpcFixtures();
const strict: StrictUpstream[] = [];

afterEach(() => {
  for (const up of strict.splice(0)) {
    expect([up.faults, ...up.streams.map(({ text }) => disagreements(text))].flat()).toEqual([]);
    up.stop();
  }
});

async function bed(config: Parameters<typeof relay>[1] = {}) {
  const up = new StrictUpstream(() => answer("{}"));
  strict.push(up);
  const router = relay([up.port], config);
  return { up, router, one: await client(router.port) };
}

function begin(one: H2Client, extra: Fields = {}): Call {
  return one.request({
    ":method": "POST",
    ":scheme": "http",
    ":path": "/v1/chat/completions",
    ":authority": "test",
    "content-type": "application/json",
    ...extra,
  });
}

const chunked = (body: string, trailers: string): string =>
  `${body.length.toString(16)}\r\n${body}\r\n0\r\n${trailers}\r\n`;

describe("to a target of HTTP/1.1", () => {
  test("they stand behind the last chunk", async () => {
    const { up, one } = await bed();
    const call = begin(one).send(Buffer.from(CHAT)).respond({ "x-digest": "sha-256=:abc=:", "x-empty": "" }, true);
    expect((await call.over()).head[":status"]).toBe("200");
    expect(up.requests[0]?.body).toBe(chunked(CHAT, "x-digest: sha-256=:abc=:\r\nx-empty: \r\n"));
  });

  test("with nothing before them", async () => {
    const { up, one } = await bed();
    const call = begin(one, { "x-infermesh-model": "m", ":path": "/v1/other" }).respond({ "x-a": "1" }, true);
    expect((await call.over()).head[":status"]).toBe("200");
    expect(up.requests[0]?.body).toBe("0\r\nx-a: 1\r\n\r\n");
  });

  test("a body of a length that was told is chunked where they are announced", async () => {
    const { up, one } = await bed();
    const told = { "content-length": String(CHAT.length), trailer: "x-a" };
    const call = begin(one, told).send(Buffer.from(CHAT)).respond({ "x-a": "1" }, true);
    expect((await call.over()).head[":status"]).toBe("200");
    expect(up.requests[0]?.body).toBe(chunked(CHAT, "x-a: 1\r\n"));
    expect(up.requests[0]?.fields.has("content-length")).toBe(false);
    // Announced, but they never come.
    const none = begin(one, told).send(Buffer.from(CHAT), true);
    expect((await none.over()).head[":status"]).toBe("200");
    expect(up.requests[1]?.body).toBe(chunked(CHAT, ""));
  });

  test("a body of a length that was told goes on without them where they are not", async () => {
    const { up, one } = await bed();
    const call = begin(one, { "content-length": String(CHAT.length) })
      .send(Buffer.from(CHAT))
      .respond({ "x-a": "1" }, true);
    expect((await call.over()).head[":status"]).toBe("200");
    expect([up.requests[0]?.body, up.requests[0]?.fields.get("content-length")]).toEqual([CHAT, String(CHAT.length)]);
  });

  test("they wait behind a body that waits", async () => {
    const { up, one } = await bed({ replayBytes: 1024 });
    const call = begin(one);
    const body = `{"model":"m","messages":[{"role":"user","content":"${"y".repeat(9000)}"}]}`;
    // All of it comes while the connection to the target is still being opened.
    for (let at = 0; at < body.length; at += 1500) call.send(Buffer.from(body.slice(at, at + 1500)));
    call.respond({ "x-a": "1" }, true);
    expect((await call.over()).head[":status"]).toBe("200");
    expect(up.requests[0]?.body).toEndWith("\r\n0\r\nx-a: 1\r\n\r\n");
  });

  test.each([
    [":path", "/"],
    [":made-up", "1"],
    ["connection", "x"],
    ["transfer-encoding", "chunked"],
    ["content-length", "5"],
    ["x", "1\r\ncontent-length: 0"],
    ["X-Upper", "1"],
  ])("%p is no trailer of HTTP/2", async (name, value) => {
    const { up, one } = await bed();
    const call = begin(one)
      .send(Buffer.from(CHAT))
      .respond({ [name]: value }, true);
    expect((await call.over()).code).toBe(H2_ERROR.protocol);
    expect(up.requests).toEqual([]);
  });

  test.each([
    "host",
    "te",
    "trailer",
    "authorization",
    "cookie",
    "content-type",
    "content_length",
    "transfer_encoding",
    "x-forwarded-for",
    "x-real-ip",
    "forwarded",
    "x-infermesh-model",
    "x-infermesh-tenant",
  ])("%p belongs into a head (RFC 9110 section 6.5.1)", async (name) => {
    const { up, one } = await bed();
    const call = begin(one)
      .send(Buffer.from(CHAT))
      .respond({ "x-fine": "1", [name]: "trailers" }, true);
    expect((await call.over()).head[":status"]).toBe("400");
    expect(up.requests).toEqual([]);
  });

  test("more of them than a trailer section may have", async () => {
    const { up, one } = await bed();
    const call = begin(one)
      .send(Buffer.from(CHAT))
      .respond({ "x-a": "y".repeat(9000) }, true);
    expect((await call.over()).head[":status"]).toBe("400");
    expect(up.requests).toEqual([]);
  });
});

describe("to a target of gRPC", () => {
  const call = (one: H2Client): Call => one.call(UNARY, { "x-infermesh-model": "m" }).send(framed("hi"));

  test("they are HEADERS behind the messages, also where the call is sent again", async () => {
    const { up, client: one } = await grpcBed((there, nth) => {
      if (nth === 1) there.onBody = () => there.ended && there.reset(H2_ERROR.refusedStream);
      else echo(there);
    });
    const over = await call(one).respond({ "x-a": "1" }, true).over();
    expect([over.status, over.messages]).toEqual([0, ["hi"]]);
    expect(up.calls.map(({ tail }) => tail)).toEqual([{ "x-a": "1" }, { "x-a": "1" }]);
  });

  test.each(["host", "authorization", "x-infermesh-model", "te", "content-type"])("%p is refused", async (name) => {
    const { up, router, client: one } = await grpcBed(echo);
    const over = await call(one)
      .respond({ [name]: "trailers" }, true)
      .over();
    expect([over.status, over.message]).toEqual([3, expect.stringContaining("trailers")]);
    await until(() => up.calls.every(({ code }) => code !== null));
    expect(up.calls.every(({ tail }) => tail === null)).toBe(true);
    expect(router.inFlight).toBe(0);
  });

  test("a length is no trailer", async () => {
    const { client: one } = await grpcBed(echo);
    const bytes = encoded({ "content-length": "5" });
    const there = call(one);
    one.connection.sendHead(there.stream!, bytes, 0, bytes.length, true);
    one.flush();
    expect((await there.over()).code).toBe(H2_ERROR.protocol);
  });
});
