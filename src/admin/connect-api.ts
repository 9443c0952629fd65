/**
 * The API's methods over HTTP without gRPC's framing: the Connect protocol (connectrpc.com/docs/protocol), so that
 * `POST /infermesh.control.v1.ControlPlane/PinModel` with a body of JSON is all that a caller needs. Protobuf bodies are
 * taken too, and either in gzip; what changes nothing may also be asked for by GET. Methods that stream are those of
 * connect-stream.ts.
 */
import type { Context, Hono } from "hono";
import { MeshError } from "../base/errors.ts";
import { JSON_TYPE } from "./app.ts";
import { connectError } from "./call-error.ts";
import {
  type Asked,
  askedInUrl,
  checkVersion,
  codecOf,
  inflationFor,
  isGzip,
  portOf,
  PROTO_TYPE,
  timeoutOf,
  WrongType,
} from "./connect-request.ts";
import { answerStream, isStream } from "./connect-stream.ts";
import { ENCODINGS } from "./inflation.ts";
import type { Call, Method, Services } from "./services.ts";

export function connectRoutes(app: Hono, services: Services): void {
  for (const method of services.methods) {
    const { path } = method;
    const isRead = method.info.reads === true && !isStream(method);
    app.post(path, (c) => answer(c, services, path));
    if (isRead) app.get(path, (c) => answer(c, services, path));
    app.all(path, (c) => {
      const allow = isRead ? "GET, HEAD, POST" : "POST";
      c.header("allow", allow);
      return failure(c, services, new MeshError("not_supported", `${path} takes ${allow}`), 405);
    });
  }
  for (const service of new Set(services.types.schema.services.map(({ name }) => name))) {
    app.all(`/${service}/*`, (c) => {
      try {
        services.method(c.req.path);
        throw new MeshError("not_supported", `there is no ${c.req.path}`);
      } catch (error) {
        return failure(c, services, error as MeshError);
      }
    });
  }
}

async function answer(c: Context, services: Services, path: string): Promise<Response> {
  try {
    const method = services.method(path);
    if (!isStream(method)) return await answerOnce(c, services, method);
    const codec = codecOf(c, true, `${method.info.name} streams${hintOf(method)}`);
    return await answerStream(c, services, method, codec);
  } catch (error) {
    return failure(c, services, services.asMeshError(error, path), error instanceof WrongType ? 415 : undefined);
  }
}

async function answerOnce(c: Context, services: Services, method: Method): Promise<Response> {
  const end = new AbortController();
  let timer: ReturnType<typeof setTimeout> | undefined;
  const onGone = (): void => end.abort(new MeshError("request_timeout", "the caller is gone"));
  const clientSignal = c.req.raw.signal;
  clientSignal.addEventListener("abort", onGone);
  const inflation = inflationFor(c);
  try {
    checkVersion(c.req.header("connect-protocol-version"));
    const timeoutMs = timeoutOf(c);
    const deadlineMs = timeoutMs === undefined ? Infinity : performance.now() + timeoutMs;
    if (timeoutMs !== undefined) {
      const why = new MeshError("request_timeout", `the deadline of ${timeoutMs} ms is over`);
      timer = setTimeout(() => end.abort(why), timeoutMs);
    }
    const isGet = c.req.method !== "POST";
    const { codec, bytes, isGzip: isPacked } = isGet ? askedInUrl(c) : await askedInBody(c);
    const plain = isPacked && inflation !== null ? await inflation.inflate(bytes) : bytes;
    const request = codec.read(method.input, plain);
    const call: Call = { signal: end.signal, deadlineMs, remoteAddress: portOf(c).remoteAddress ?? "" };
    const response = await services.unary(method, request, call);
    if (isGet) c.header("vary", "connect-protocol-version");
    return c.body(codec.write(method.output, response), 200, {
      "content-type": codec.isJson ? JSON_TYPE : PROTO_TYPE,
    });
  } finally {
    inflation?.end();
    clearTimeout(timer);
    clientSignal.removeEventListener("abort", onGone);
  }
}

async function askedInBody(c: Context): Promise<Asked> {
  const codec = codecOf(c, false, "");
  const packed = isGzip(c.req.header("content-encoding"), "content-encoding");
  return { codec, bytes: new Uint8Array(await c.req.arrayBuffer()), isGzip: packed };
}

function hintOf({ info }: Method): string {
  const events = info.name === "SubscribeEvents" ? ", or read GET /events?watch=1" : "";
  return `: call it by gRPC, or by Connect's streams (application/connect+json)${events}`;
}

function failure(c: Context, services: Services, error: MeshError, status?: number): Response {
  const told = connectError(services.types, error);
  if (error instanceof WrongType) c.header("accept-post", error.types);
  if (told.status === 501) c.header("accept-encoding", ENCODINGS);
  if (error.retryAfterSeconds !== undefined) c.header("retry-after", String(error.retryAfterSeconds));
  return c.body(told.body, (status ?? told.status) as 400, { "content-type": JSON_TYPE });
}
