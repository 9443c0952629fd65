/** How a Connect call is asked for: its codec, its compression, its deadline, and its message. */
import type { Context } from "hono";
import { MeshError } from "../base/errors.ts";
import { messageFromJson, messageToJson } from "../wire/proto-json.ts";
import type { Message, MessageType } from "../wire/proto-schema.ts";
import { encodeMessage } from "../wire/proto-writer.ts";
import { JSON_TYPE, type PortEnv } from "./app.ts";
import { ENCODINGS, GZIP, Inflation } from "./inflation.ts";
import { decodeRequest } from "./services.ts";

export const PROTO_TYPE = "application/proto";
export const STREAM_JSON_TYPE = "application/connect+json";
export const STREAM_PROTO_TYPE = "application/connect+proto";
const UNARY_TYPES = `${JSON_TYPE}, ${PROTO_TYPE}`;
const STREAM_TYPES = `${STREAM_JSON_TYPE}, ${STREAM_PROTO_TYPE}`;

const TIMEOUT = /^\d{1,10}$/;
const TIMEOUT_MS_MAX = 2 ** 31 - 1;
const BASE64URL = /^[A-Za-z0-9_-]*={0,2}$/;

/** Answered by 415, whatever its code is in the protocol. */
export class WrongType extends MeshError {
  /** What would have been right. */
  readonly types: string;

  constructor(message: string, types: string) {
    super("bad_request", message);
    this.types = types;
  }
}

/** How messages are written. */
export interface Codec {
  readonly isJson: boolean;
  read(type: MessageType, bytes: Uint8Array): Message;
  write(type: MessageType, message: object): Uint8Array<ArrayBuffer>;
}

const JSON_CODEC: Codec = {
  isJson: true,
  read: jsonRequest,
  write: (type, message) => Buffer.from(JSON.stringify(messageToJson(type, message))),
};
const PROTO_CODEC: Codec = {
  isJson: false,
  read: decodeRequest,
  write: (type, message) => new Uint8Array(encodeMessage(type, message)),
};

/** What an app may know of a request that came by no port, as tests make them. */
export function portOf(c: Context): Partial<PortEnv> {
  return (c.env ?? {}) as Partial<PortEnv>;
}

export function checkVersion(version: string | undefined): void {
  if (version === undefined || version === "1") return;
  throw new MeshError("bad_request", `connect-protocol-version is ${JSON.stringify(version.slice(0, 40))}; expected 1`);
}

/** The codec that a content type asks for; throws for any other. */
export function codecOf(c: Context, streams: boolean, hint: string): Codec {
  const given = c.req.header("content-type") ?? "";
  const [type = "", ...parameters] = given
    .toLowerCase()
    .split(";")
    .map((part) => part.trim());
  const isPlain = parameters.every((parameter) => /^charset="?utf-8"?$/.test(parameter));
  if (isPlain && type === (streams ? STREAM_JSON_TYPE : JSON_TYPE)) return JSON_CODEC;
  if (isPlain && type === (streams ? STREAM_PROTO_TYPE : PROTO_TYPE)) return PROTO_CODEC;
  const shown = JSON.stringify(given.slice(0, 80));
  if (streams) throw new WrongType(`content-type is ${shown}; ${hint}`, STREAM_TYPES);
  throw new WrongType(
    `content-type is ${shown}; send ${JSON_TYPE} (curl -H 'content-type: ${JSON_TYPE}') or ${PROTO_TYPE}`,
    UNARY_TYPES,
  );
}

/** Whether messages come in gzip; throws for what is not read. */
export function isGzip(encoding: string | undefined, field: string): boolean {
  if (encoding === GZIP) return true;
  if (encoding === undefined || encoding === "" || encoding === "identity") return false;
  throw new MeshError(
    "not_supported",
    `${field} is ${JSON.stringify(encoding.slice(0, 40))}; ${ENCODINGS} are read here`,
  );
}

export function inflationFor(c: Context): Inflation | null {
  const { budget, bodyBytesMax } = portOf(c);
  return budget === undefined || bodyBytesMax === undefined ? null : new Inflation(budget, bodyBytesMax);
}

export function timeoutOf(c: Context): number | undefined {
  const text = c.req.header("connect-timeout-ms");
  if (text === undefined) return undefined;
  if (TIMEOUT.test(text)) return Math.min(Number(text), TIMEOUT_MS_MAX);
  throw new MeshError(
    "bad_request",
    `connect-timeout-ms is ${JSON.stringify(text.slice(0, 40))}; expected up to 10 digits`,
  );
}

/** A request that is all in its URL, as methods that change nothing may be asked for by GET. */
export interface Asked {
  readonly codec: Codec;
  readonly bytes: Uint8Array;
  readonly isGzip: boolean;
}

export function askedInUrl(c: Context): Asked {
  const { connect, encoding = "json", message = "", base64 = "0", compression } = c.req.query();
  if (connect !== undefined && connect !== "v1") {
    throw new MeshError("bad_request", `connect is ${JSON.stringify(connect.slice(0, 40))}; expected v1`);
  }
  if (encoding !== "json" && encoding !== "proto") {
    throw new WrongType(`encoding is ${JSON.stringify(encoding.slice(0, 40))}; expected json or proto`, UNARY_TYPES);
  }
  const codec = encoding === "json" ? JSON_CODEC : PROTO_CODEC;
  return {
    codec,
    bytes: base64 === "1" ? fromBase64Url(message) : Buffer.from(message),
    isGzip: isGzip(compression, "compression"),
  };
}

function fromBase64Url(text: string): Uint8Array {
  if (BASE64URL.test(text)) return Buffer.from(text, "base64url");
  throw new MeshError("bad_request", "message is not base64 in the alphabet of URLs");
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
