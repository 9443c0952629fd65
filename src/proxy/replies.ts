/** Answers that the router gives by itself: errors in OpenAI's form, listings, health. */
import { openAiBody } from "../base/errors.ts";
import type { MeshError } from "../base/errors.ts";
import type { CachedAnswer } from "../flow/response-cache.ts";

const REASONS: Readonly<Record<number, string>> = {
  101: "Switching Protocols",
  200: "OK",
  201: "Created",
  202: "Accepted",
  204: "No Content",
  206: "Partial Content",
  301: "Moved Permanently",
  302: "Found",
  304: "Not Modified",
  307: "Temporary Redirect",
  400: "Bad Request",
  401: "Unauthorized",
  403: "Forbidden",
  404: "Not Found",
  405: "Method Not Allowed",
  408: "Request Timeout",
  409: "Conflict",
  411: "Length Required",
  413: "Content Too Large",
  414: "URI Too Long",
  415: "Unsupported Media Type",
  422: "Unprocessable Content",
  429: "Too Many Requests",
  431: "Request Header Fields Too Large",
  500: "Internal Server Error",
  501: "Not Implemented",
  502: "Bad Gateway",
  503: "Service Unavailable",
  504: "Gateway Timeout",
  505: "HTTP Version Not Supported",
};

const CRLF = Buffer.from("\r\n");
const lines = new Map<number, Buffer>();

/** `HTTP/1.1 STATUS REASON\r\n`, made once for each status. */
export function statusLine(status: number): Buffer {
  let line = lines.get(status);
  if (line === undefined) {
    line = Buffer.from(`HTTP/1.1 ${status} ${REASONS[status] ?? "Status"}\r\n`);
    lines.set(status, line);
  }
  return line;
}

/** Seconds after which a client that was turned away may try again. */
const RETRY_AFTER_SECONDS = 1;

export interface ReplyFields {
  readonly type?: string;
  readonly retryAfterSeconds?: number;
  /** Further lines of the head, each with its CRLF. */
  readonly fields?: string;
}

/** A whole response. `keepAlive` false announces that the connection closes. */
export function reply(
  status: number,
  body: string,
  requestId: string,
  keepAlive: boolean,
  withBody = true,
  { type = "application/json", retryAfterSeconds = RETRY_AFTER_SECONDS, fields = "" }: ReplyFields = {},
): Buffer {
  const retry = status === 429 || status === 503 ? `retry-after: ${retryAfterSeconds}\r\n` : "";
  const id = requestId === "" ? "" : `x-request-id: ${requestId}\r\n`;
  const connection = keepAlive ? "" : "connection: close\r\n";
  const head = `content-type: ${type}\r\ncontent-length: ${Buffer.byteLength(body)}\r\n${id}${retry}${fields}${connection}\r\n`;
  return Buffer.concat([statusLine(status), Buffer.from(withBody ? head + body : head)]);
}

/** A whole response of the cache's; `fields` are further lines of its head, each with its CRLF. */
export function keptReply(
  { contentType, body, storedMs }: CachedAnswer,
  nowMs: number,
  requestId: string,
  keepAlive: boolean,
  fields: Uint8Array,
): Buffer {
  const type = contentType === "" ? "" : `content-type: ${contentType}\r\n`;
  const ageSeconds = Math.max(0, Math.floor((nowMs - storedMs) / 1000));
  const connection = keepAlive ? "" : "connection: close\r\n";
  const head = `${type}content-length: ${body.length}\r\nage: ${ageSeconds}\r\nx-request-id: ${requestId}\r\n${connection}`;
  return Buffer.concat([statusLine(200), Buffer.from(head, "latin1"), fields, CRLF, body]);
}

/** A whole error response in OpenAI's form. */
export function errorReply(
  error: MeshError,
  requestId: string,
  keepAlive: boolean,
  withBody = true,
  fields = "",
): Buffer {
  const { retryAfterSeconds } = error;
  const more = retryAfterSeconds === undefined ? { fields } : { fields, retryAfterSeconds };
  return reply(error.status, openAiBody(error), requestId, keepAlive, withBody, more);
}

/**
 * The end of an event stream that broke: an error event as OpenAI's clients expect it, then the end of the chunked
 * body. `inEvent` first ends the event that was cut off.
 */
export function brokenStream(error: MeshError, inEvent: boolean): Buffer {
  const event = Buffer.from(`${inEvent ? "\n\n" : ""}data: ${openAiBody(error)}\n\n`);
  return Buffer.concat([Buffer.from(`${event.length.toString(16)}\r\n`), event, Buffer.from("\r\n0\r\n\r\n")]);
}
