/**
 * gRPC's server reflection, both versions (which differ in nothing but their package): which services the router
 * answers itself, and the descriptors of their files. What is behind it is for its targets to tell.
 */
import { ByteWriter } from "../base/bytes.ts";
import { DESCRIPTORS } from "../gen/descriptors.js";
import { ProtoField } from "../wire/proto-field.ts";

export const REFLECTION_PATHS: ReadonlySet<string> = new Set(
  ["v1", "v1alpha"].map((version) => `/grpc.reflection.${version}.ServerReflection/ServerReflectionInfo`),
);

/** Numbers of a request's fields, and of an answer's. */
const REQUEST = { host: 1, fileName: 3, symbol: 4, extension: 5, extensionsOf: 6, services: 7 } as const;
const ANSWER = { host: 1, request: 2, files: 4, services: 6, error: 7 } as const;
const NOT_FOUND = 5;
const LENGTH_DELIMITED = 2;

const FILES = DESCRIPTORS.map(({ file, services, symbols, bytes }) => ({
  file,
  services,
  symbols: new Set(symbols),
  bytes: Buffer.from(bytes, "base64"),
}));

/** Answers one request; null when it is none. */
export function reflect(request: Uint8Array): Uint8Array | null {
  const out = new ByteWriter(256, true);
  const host = fieldIn(request, REQUEST.host);
  if (host !== null) field(out, ANSWER.host, host);
  field(out, ANSWER.request, request);
  const name = fieldIn(request, REQUEST.fileName);
  const symbol = fieldIn(request, REQUEST.symbol);
  if (name !== null) {
    files(out, (one) => one.file === text(name));
  } else if (symbol !== null) {
    files(out, (one) => one.symbols.has(text(symbol)));
  } else if (fieldIn(request, REQUEST.services) !== null) {
    const list = new ByteWriter(256, true);
    for (const service of FILES.flatMap((one) => one.services)) field(list, 1, message(1, Buffer.from(service)));
    field(out, ANSWER.services, list.bytes());
  } else if (fieldIn(request, REQUEST.extension) !== null || fieldIn(request, REQUEST.extensionsOf) !== null) {
    refuse(out, "nothing here has extensions");
  } else {
    return null;
  }
  return out.bytes();
}

type File = (typeof FILES)[number];

function files(out: ByteWriter, isMeant: (file: File) => boolean): void {
  const found = FILES.find(isMeant);
  if (found === undefined) refuse(out, "no such file or symbol is the router's own");
  else field(out, ANSWER.files, message(1, found.bytes));
}

function refuse(out: ByteWriter, why: string): void {
  const error = new ByteWriter(64, true);
  error.varint(1 << 3);
  error.varint(NOT_FOUND);
  field(error, 2, Buffer.from(why));
  field(out, ANSWER.error, error.bytes());
}

/** The bytes of a string or message field, or null. */
function fieldIn(bytes: Uint8Array, number: number): Uint8Array | null {
  const reader = new ProtoField(number, 0);
  if (reader.read(bytes, bytes.length, bytes.length) !== "found") return null;
  return bytes.subarray(reader.start, reader.end);
}

function text(bytes: Uint8Array): string {
  return Buffer.from(bytes).toString();
}

/** A message of one field. */
function message(number: number, bytes: Uint8Array): Uint8Array {
  const out = new ByteWriter(bytes.length + 16, true);
  field(out, number, bytes);
  return out.bytes();
}

function field(out: ByteWriter, number: number, bytes: Uint8Array): void {
  out.reserve(bytes.length + 16);
  out.varint((number << 3) | LENGTH_DELIMITED);
  out.blob(bytes);
}
