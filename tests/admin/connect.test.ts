/** The same methods as JSON over HTTP/1.1: the Connect protocol's unary rules, as curl and fetch see them. */
import { afterEach, describe, expect, test } from "bun:test";
import { gzipSync } from "node:zlib";
import fc from "fast-check";
import { ConflictError } from "../../src/admin/call-error.ts";
import { MeshError } from "../../src/base/errors.ts";
import { decodeMessage } from "../../src/wire/proto-reader.ts";
import { encodeMessage } from "../../src/wire/proto-writer.ts";
import { type Bed, Beds, type Call, only, types } from "./api-bed.ts";
import { eventually } from "./raw-client.ts";

const CONTROL = "infermesh.control.v1.ControlPlane";
const PIN = `/${CONTROL}/PinModel`;
const GET_NODE = `/${CONTROL}/GetNode`;
const JSON_TYPE = "application/json";

const beds = new Beds();
afterEach(() => beds.close());

const open = (methods: Record<string, unknown>, readOnly = false): Bed =>
  beds.open({ implementations: { [CONTROL]: only(CONTROL, methods) }, readOnly });

interface Answer {
  readonly status: number;
  readonly json: { code?: string; message?: string; details?: { type: string; value: string; debug: object }[] };
  readonly headers: Headers;
}

async function post(
  bed: Bed,
  path: string,
  body: string | Uint8Array,
  headers: Record<string, string> = {},
): Promise<Answer> {
  const response = await fetch(bed.url(path), {
    method: "POST",
    headers: { "content-type": JSON_TYPE, ...headers },
    body: typeof body === "string" ? body : new Uint8Array(body),
  });
  const text = await response.text();
  return { status: response.status, json: text.startsWith("{") ? JSON.parse(text) : {}, headers: response.headers };
}

test("a call is answered in JSON, in the names of the protocol", async () => {
  const seen: unknown[] = [];
  const bed = open({
    pinModel: async (request: object) => {
      seen.push(request);
      return {
        revision: 12,
        changed: true,
        policies: [{ kind: "pin", name: "m", pin: { nodes: ["a"], minReplicas: 2 } }],
      };
    },
  });
  const answer = await post(bed, PIN, '{"model": "m", "nodes": ["a"], "min_replicas": 2}', {
    "connect-protocol-version": "1",
  });
  expect([answer.status, answer.headers.get("content-type")]).toEqual([200, JSON_TYPE]);
  expect(answer.json).toMatchObject({
    revision: "12",
    changed: true,
    dryRun: false,
    policies: [{ pin: { nodes: ["a"], minReplicas: 2 } }],
  });
  expect(seen).toMatchObject([{ model: "m", nodes: ["a"], minReplicas: 2, idempotencyKey: "" }]);
  // A call without arguments needs no body.
  expect((await post(bed, PIN, "")).status).toBe(200);
});

test("protobuf bodies are taken and given too", async () => {
  const bed = open({ getNode: async ({ id }: { id: string }) => ({ node: { id } }) });
  const response = await fetch(bed.url(GET_NODE), {
    method: "POST",
    headers: { "content-type": "application/proto" },
    body: encodeMessage(types.message("infermesh.control.v1.GetNodeRequest"), { id: "ä" }) as Uint8Array<ArrayBuffer>,
  });
  expect(response.headers.get("content-type")).toBe("application/proto");
  const bytes = new Uint8Array(await response.arrayBuffer());
  expect(decodeMessage(types.message("infermesh.control.v1.GetNodeResponse"), bytes)).toMatchObject({
    message: { node: { id: "ä" } },
  });
  const bad = await post(bed, GET_NODE, Uint8Array.of(0x0a, 9), { "content-type": "application/proto" });
  expect([bad.status, bad.json.code]).toEqual([400, "invalid_argument"]);
});

describe("what is refused", () => {
  const fail = async (): Promise<object> => {
    throw new MeshError("no_quorum", "no majority", { retryAfterSeconds: 1 });
  };
  test.each([
    [
      "a field that is not known",
      '{"modle": "m"}',
      {},
      400,
      "invalid_argument",
      "modle is not known; did you mean model?",
    ],
    ["what is no JSON", "{", {}, 400, "invalid_argument", "the body is not JSON"],
    ["what is no UTF-8", Uint8Array.of(0xff), {}, 400, "invalid_argument", "the body is not JSON"],
    [
      "a form, as curl sends",
      "a=b",
      { "content-type": "application/x-www-form-urlencoded" },
      415,
      "invalid_argument",
      "send application/json (curl -H",
    ],
    [
      "another charset",
      "{}",
      { "content-type": "application/json; charset=latin1" },
      415,
      "invalid_argument",
      "content-type is",
    ],
    [
      "a body in an encoding that is not read",
      "{}",
      { "content-encoding": "br" },
      501,
      "unimplemented",
      "identity,gzip",
    ],
    ["what is said to be gzip", "{}", { "content-encoding": "gzip" }, 400, "invalid_argument", "and is not"],
    [
      "another version of the protocol",
      "{}",
      { "connect-protocol-version": "2" },
      400,
      "invalid_argument",
      "expected 1",
    ],
    ["a timeout that is none", "{}", { "connect-timeout-ms": "1s" }, 400, "invalid_argument", "up to 10 digits"],
    ["what the method refuses", "{}", {}, 503, "unavailable", "no majority"],
  ])("%s", async (_, body, headers, status, code, words) => {
    const answer = await post(open({ pinModel: fail }), PIN, body, headers);
    expect([answer.status, answer.json.code]).toEqual([status, code]);
    expect(answer.json.message).toContain(words);
  });

  test("with details for programs, and when to come again", async () => {
    const answer = await post(open({ pinModel: fail }), PIN, "{}");
    expect(answer.headers.get("retry-after")).toBe("1");
    const [detail] = answer.json.details ?? [];
    expect(detail).toMatchObject({
      type: "infermesh.control.v1.ErrorDetail",
      debug: { code: "no_quorum", source: "mesh", retryable: true, retryAfterSeconds: 1 },
    });
    const bytes = Uint8Array.from(atob(detail?.value ?? ""), (char) => char.charCodeAt(0));
    expect(decodeMessage(types.message("infermesh.control.v1.ErrorDetail"), bytes)).toMatchObject({
      message: { code: "no_quorum" },
    });
    const conflict = open({
      pinModel: async () => {
        throw new ConflictError("it is newer", 0, { kind: "pin", name: "m", revision: 3 });
      },
    });
    expect((await post(conflict, PIN, "{}")).json).toMatchObject({
      code: "aborted",
      details: [{ debug: { current: { revision: "3" } } }],
    });
  });

  test("methods that there are not, that stream, that change something on a read-only port, and GET", async () => {
    const bed = open({}, true);
    expect(await post(bed, `/${CONTROL}/PinModle`, "{}")).toMatchObject({
      status: 501,
      json: { code: "unimplemented" },
    });
    expect(await post(bed, "/infermesh.scoring.v1.Scoring/Admit", "{}")).toMatchObject({ status: 501 });
    expect(await post(bed, PIN, "{}")).toMatchObject({ status: 403, json: { code: "permission_denied" } });
    expect((await post(bed, `/${CONTROL}/SubscribeEvents`, "{}")).json.message).toContain("read GET /events");
    const get = await fetch(bed.url(`/${CONTROL}/PinModel`));
    expect([get.status, get.headers.get("allow")]).toEqual([405, "POST"]);
    const put = await fetch(bed.url(GET_NODE), { method: "PUT", body: "{}" });
    expect([put.status, put.headers.get("allow")]).toEqual([405, "GET, HEAD, POST"]);
  });

  test("a web page from elsewhere", async () => {
    const answer = await post(open({}), PIN, "{}", { origin: "http://evil.example" });
    expect(answer.status).toBe(400);
  });
});

test("a body in gzip is read, up to the limit of one as it is", async () => {
  const bed = open({ getNode: async ({ id }: { id: string }) => ({ node: { zone: String(id.length) } }) });
  const gzip = { "content-encoding": "gzip" };
  const answer = await post(bed, GET_NODE, gzipSync(`{"id": "${"x".repeat(500_000)}"}`), gzip);
  expect([answer.status, answer.json]).toEqual([200, expect.objectContaining({ node: expect.anything() })]);
  const bomb = await post(bed, GET_NODE, gzipSync(`{"id": "${"x".repeat(60_000_000)}"}`), gzip);
  expect([bomb.status, bomb.json.code]).toEqual([429, "resource_exhausted"]);
  const refused = await post(bed, GET_NODE, "{}", { "content-encoding": "zstd" });
  expect([refused.status, refused.headers.get("accept-encoding")]).toEqual([501, "identity,gzip"]);
});

describe("a method that changes nothing is asked for by GET too", () => {
  const get = async (bed: Bed, query: string, method = "GET"): Promise<[number, unknown]> => {
    const response = await fetch(bed.url(`${GET_NODE}?${query}`), { method });
    const text = await response.text();
    return [response.status, text === "" ? "" : JSON.parse(text)];
  };
  const asked = { getNode: async ({ id }: { id: string }) => ({ node: { id } }) };
  const node = (id: string): [number, unknown] => [200, { node: expect.objectContaining({ id }) }];
  const base64 = (bytes: Uint8Array | string): string => Buffer.from(bytes as string).toString("base64url");

  test("as JSON, in base64, in gzip", async () => {
    const bed = open(asked);
    const json = '{"id": "ä/b"}';
    expect(await get(bed, `connect=v1&encoding=json&message=${encodeURIComponent(json)}`)).toEqual(node("ä/b"));
    expect(await get(bed, "")).toEqual(node(""));
    expect(await get(bed, `base64=1&encoding=json&message=${base64(json)}`)).toEqual(node("ä/b"));
    expect(await get(bed, `base64=1&compression=gzip&message=${base64(gzipSync(json))}`)).toEqual(node("ä/b"));
    expect(await get(bed, "message=%7B%7D", "HEAD")).toEqual([200, ""]);
  });

  test("as protobuf", async () => {
    const type = types.message("infermesh.control.v1.GetNodeRequest");
    const query = `encoding=proto&base64=1&message=${base64(encodeMessage(type, { id: "n" }))}`;
    const response = await fetch(open(asked).url(`${GET_NODE}?${query}`));
    expect(response.headers.get("content-type")).toBe("application/proto");
    const answer = decodeMessage(
      types.message("infermesh.control.v1.GetNodeResponse"),
      new Uint8Array(await response.arrayBuffer()),
    );
    expect(answer).toMatchObject({ message: { node: { id: "n" } } });
  });

  test.each([
    ["connect=v2", 400, "expected v1"],
    ["encoding=xml", 415, "expected json or proto"],
    ["message=%7B", 400, "the body is not JSON"],
    ["base64=1&message=%21", 400, "not base64"],
    ["compression=br&message=%7B%7D", 501, "identity,gzip"],
  ])("%s is refused", async (query, status, words) => {
    expect(await get(open(asked), query)).toEqual([
      status,
      expect.objectContaining({ message: expect.stringContaining(words) }),
    ]);
  });
});

test("a call whose deadline is over when it comes is not carried out", async () => {
  let calls = 0;
  const bed = open({ pinModel: async () => ({ revision: ++calls }) });
  const answer = await post(bed, PIN, "{}", { "connect-timeout-ms": "0" });
  expect([answer.status, answer.json.code, calls]).toEqual([504, "deadline_exceeded", 0]);
});

test("a call ends at its deadline, and is told when its caller goes", async () => {
  const signals: AbortSignal[] = [];
  const bed = open({
    getNode: async (_request: unknown, { signal }: Call) => {
      signals.push(signal);
      return new Promise(() => {});
    },
  });
  const answer = await post(bed, GET_NODE, "{}", { "connect-timeout-ms": "30" });
  expect([answer.status, answer.json.code, answer.json.message]).toEqual([
    504,
    "deadline_exceeded",
    "the deadline of 30 ms is over",
  ]);
  const leaving = new AbortController();
  const left = fetch(bed.url(GET_NODE), {
    method: "POST",
    headers: { "content-type": JSON_TYPE },
    body: "{}",
    signal: leaving.signal,
  });
  left.catch(() => {});
  await eventually(() => signals.length === 2);
  leaving.abort();
  await eventually(() => signals.every((signal) => signal.aborted));
});

test("whatever the body is, the answer is the protocol's", async () => {
  const bed = open({});
  await fc.assert(
    fc.asyncProperty(
      fc.oneof(fc.json(), fc.string()),
      fc.constantFrom(JSON_TYPE, "application/proto"),
      async (body, type) => {
        const answer = await post(bed, PIN, body, { "content-type": type });
        expect(answer.status === 200 || answer.json.code === "invalid_argument").toBe(true);
      },
    ),
    { numRuns: 100 },
  );
  expect(bed.errors).toEqual([]);
});
