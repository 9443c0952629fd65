/**
 * The API's methods as JSON over HTTP: the unary half of the Connect protocol (connectrpc.com/docs/protocol), so that
 * `POST /infermesh.control.v1.ControlPlane/PinModel` with a body of JSON is all that a caller needs. Protobuf bodies are
 * taken too. Methods that stream are gRPC's; what happens is streamed by GET /events as well.
 */
import type { Context, Hono } from "hono";
import { MeshError } from "../base/errors.ts";
import { messageFromJson, messageToJson } from "../wire/proto-json.ts";
import type { Message, MessageType } from "../wire/proto-schema.ts";
import { encodeMessage } from "../wire/proto-writer.ts";
import { JSON_TYPE, type PortEnv } from "./app.ts";
import { connectError } from "./call-error.ts";
import { type Call, decodeRequest, type Method, type Services } from "./services.ts";

const PROTO_TYPE = "application/proto";
const TIMEOUT = /^\d{1,10}$/;
const TIMEOUT_MS_MAX = 2 ** 31 - 1;

export function connectRoutes(app: Hono, services: Services): void {
  for (const path of services.methods.map((method) => method.path)) {
    app.post(path, (c) => answer(c, services, path));
    app.all(path, (c) => {
      c.header("allow", "POST");
      return failure(c, services, new MeshError("not_supported", `${path} takes POST`), 405);
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
  const end = new AbortController();
  let timer: ReturnType<typeof setTimeout> | undefined;
  const onGone = (): void => end.abort(new MeshError("request_timeout", "the caller is gone"));
  const clientSignal = c.req.raw.signal;
  clientSignal.addEventListener("abort", onGone);
  try {
    const method = services.method(path);
    if (method.info.clientStreams === true || method.info.serverStreams === true) {
      throw new MeshError("not_supported", `${method.info.name} streams: call it by gRPC${hintOf(method)}`);
    }
    const isJson = readsJson(c);
    const timeoutMs = timeoutOf(c);
    if (timeoutMs !== undefined) {
      const why = new MeshError("request_timeout", `the deadline of ${timeoutMs} ms is over`);
      timer = setTimeout(() => end.abort(why), timeoutMs);
    }
    const bytes = new Uint8Array(await c.req.arrayBuffer());
    const request = isJson ? jsonRequest(method.input, bytes) : decodeRequest(method.input, bytes);
    const { remoteAddress = "" } = (c.env ?? {}) as Partial<PortEnv>;
    const deadlineMs = timeoutMs === undefined ? Infinity : performance.now() + timeoutMs;
    const call: Call = { signal: end.signal, deadlineMs, remoteAddress };
    const response = await services.unary(method, request, call);
    return isJson
      ? c.body(JSON.stringify(messageToJson(method.output, response)), 200, { "content-type": JSON_TYPE })
      : c.body(new Uint8Array(encodeMessage(method.output, response)), 200, { "content-type": PROTO_TYPE });
  } catch (error) {
    return failure(c, services, services.asMeshError(error, path), error instanceof WrongType ? 415 : undefined);
  } finally {
    clearTimeout(timer);
    clientSignal.removeEventListener("abort", onGone);
  }
}

/** Answered by 415, whatever its code is in the protocol. */
class WrongType extends MeshError {}

/** Whether the body is JSON, else protobuf; throws for anything else, and for what is not of this protocol's version. */
function readsJson(c: Context): boolean {
  const version = c.req.header("connect-protocol-version");
  if (version !== undefined && version !== "1") {
    throw new MeshError("bad_request", `connect-protocol-version is ${JSON.stringify(version)}; expected 1`);
  }
  const encoding = c.req.header("content-encoding") ?? "identity";
  if (encoding !== "identity") {
    throw new MeshError("not_supported", `content-encoding is ${JSON.stringify(encoding)}; only identity is read here`);
  }
  const given = c.req.header("content-type") ?? "";
  const [type = "", ...parameters] = given
    .toLowerCase()
    .split(";")
    .map((part) => part.trim());
  const isPlain = parameters.every((parameter) => /^charset="?utf-8"?$/.test(parameter));
  if (isPlain && type === JSON_TYPE) return true;
  if (isPlain && type === PROTO_TYPE) return false;
  throw new WrongType(
    "bad_request",
    `content-type is ${JSON.stringify(given.slice(0, 80))}; send ${JSON_TYPE} (curl -H 'content-type: ${JSON_TYPE}') or ${PROTO_TYPE}`,
  );
}

function timeoutOf(c: Context): number | undefined {
  const text = c.req.header("connect-timeout-ms");
  if (text === undefined) return undefined;
  if (!TIMEOUT.test(text)) {
    throw new MeshError("bad_request", `connect-timeout-ms is ${JSON.stringify(text)}; expected up to 10 digits`);
  }
  return Math.min(Number(text), TIMEOUT_MS_MAX);
}

function jsonRequest(type: MessageType, bytes: Uint8Array): Message {
  let json: unknown = {};
  // A call without arguments need not say so.
  if (bytes.length > 0) {
    try {
      json = JSON.parse(new TextDecoder("utf-8", { fatal: true }).decode(bytes));
    } catch (error) {
      throw new MeshError("bad_json", `the body is not JSON: ${(error as Error).message}`);
    }
  }
  const read = messageFromJson(type, json);
  if ("message" in read) return read.message;
  throw new MeshError("bad_request", read.faults.join("; "));
}

function hintOf({ info }: Method): string {
  return info.name === "SubscribeEvents" ? ", or read GET /events?watch=1" : "";
}

function failure(c: Context, services: Services, error: MeshError, status?: number): Response {
  const told = connectError(services.types, error);
  if (status === 415) c.header("accept-post", `${JSON_TYPE}, ${PROTO_TYPE}`);
  if (error.retryAfterSeconds !== undefined) c.header("retry-after", String(error.retryAfterSeconds));
  return c.body(told.body, (status ?? told.status) as 400, { "content-type": JSON_TYPE });
}
