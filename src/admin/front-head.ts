/** Between bytes and the fetch API: a parsed request head as URL and headers, a response's head as bytes. */
import { STATUS_CODES } from "node:http";
import { MeshError, openAiBody } from "../base/errors.ts";
import type { RequestHead } from "../wire/http1.ts";

/** Headers that belong to a connection: the front writes its own. */
export const HOP_BY_HOP: ReadonlySet<string> = new Set([
  "connection",
  "content-length",
  "date",
  "keep-alive",
  "proxy-connection",
  "te",
  "trailer",
  "transfer-encoding",
  "upgrade",
]);

const HOST = /^[A-Za-z0-9._~!$&'()*+,;=:[\]%-]*$/;

/** What the head says about the exchange, kept after the parser went on. */
export interface Exchange {
  readonly method: string;
  readonly url: string;
  readonly headers: Headers;
  readonly minorVersion: number;
  keepAlive: boolean;
}

/** Reads a parsed head; throws a MeshError for what the fetch API can't express. */
export function readExchange(head: RequestHead, bytes: Buffer, authority: string): Exchange {
  const method = bytes.toString("latin1", head.methodStart, head.methodEnd);
  // The fetch standard forbids these; Bun's Request lets them pass.
  if (method === "TRACE" || method === "TRACK") throw new MeshError("not_supported", "the method is not served here");
  const headers = new Headers();
  for (let line = 0; line < head.lineCount; line++) {
    if (head.drop[line] === 1 && line !== head.requestIdLine) continue;
    const name = bytes.toString("latin1", head.lineStart[line], head.nameEnd[line]);
    headers.append(name, bytes.toString("latin1", head.valueStart[line], head.valueEnd[line]));
  }
  const target = bytes.toString("latin1", head.targetStart, head.targetEnd);
  const url = urlOf(target, headers.get("host") || authority);
  return { method, url, headers, minorVersion: head.minorVersion, keepAlive: head.keepAlive };
}

/** What is asked for, as the fetch API wants it; throws a MeshError for what it can't express. */
export function urlOf(target: string, host: string): string {
  if (!HOST.test(host)) throw new MeshError("bad_request", "the Host header is not a host");
  const absolute = /^https?:\/\//i.test(target);
  if (!absolute && !target.startsWith("/") && target !== "*") {
    throw new MeshError("bad_request", "the request target is neither a path nor an http URL");
  }
  // Concatenated, not resolved: a target of "//other/path" must stay a path.
  const text = absolute ? target : `http://${host}${target === "*" ? "/*" : target}`;
  const url = URL.parse(text);
  if (url === null) throw new MeshError("bad_request", "the request target is not a valid URL");
  return url.href;
}

/** How the body of a response is framed: its length, by chunks, until the connection closes, or not there at all. */
export type Framing = number | "chunked" | "close" | "none";

/** The head of a response, blank line included. */
export function responseHead(response: Response, exchange: Exchange, framing: Framing): Uint8Array {
  const { status } = response;
  let text = `HTTP/1.1 ${status} ${STATUS_CODES[status] ?? "Unknown"}\r\ndate: ${new Date().toUTCString()}\r\n`;
  for (const [name, value] of response.headers) {
    if (!HOP_BY_HOP.has(name)) text += `${name}: ${value}\r\n`;
  }
  if (typeof framing === "number") text += `content-length: ${framing}\r\n`;
  else if (framing === "chunked") text += "transfer-encoding: chunked\r\n";
  else if (framing === "none" && exchange.method === "HEAD" && response.headers.has("content-length")) {
    text += `content-length: ${response.headers.get("content-length")}\r\n`;
  }
  if (!exchange.keepAlive) text += "connection: close\r\n";
  else if (exchange.minorVersion === 0) text += "connection: keep-alive\r\n";
  return Buffer.from(`${text}\r\n`, "latin1");
}

/** A whole response for an error that ends the connection. */
export function errorBytes(error: MeshError, extra = ""): Uint8Array {
  const body = Buffer.from(openAiBody(error));
  const reason = STATUS_CODES[error.status] ?? "Unknown";
  const head =
    `HTTP/1.1 ${error.status} ${reason}\r\ndate: ${new Date().toUTCString()}\r\n` +
    `content-type: application/json\r\ncontent-length: ${body.length}\r\n${extra}connection: close\r\n\r\n`;
  return Buffer.concat([Buffer.from(head, "latin1"), body]);
}

/** A fetch response for an error. */
export function errorResponse(error: MeshError): Response {
  return new Response(openAiBody(error), { status: error.status, headers: { "content-type": "application/json" } });
}
