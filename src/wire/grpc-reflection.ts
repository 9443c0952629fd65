/**
 * gRPC's server reflection, both versions (which differ in nothing but their package): which services a server has, and
 * the descriptors of their files. A file is told with those that it imports, each before whoever needs it.
 */
import { ByteWriter } from "../base/bytes.ts";
import { ProtoField } from "./proto-field.ts";
import type { ProtoFile } from "./proto-schema.ts";

export const REFLECTION_PATHS: ReadonlySet<string> = new Set(
  ["v1", "v1alpha"].map((version) => `/grpc.reflection.${version}.ServerReflection/ServerReflectionInfo`),
);

/** Numbers of a request's fields, and of an answer's. */
const REQUEST = { host: 1, fileName: 3, symbol: 4, extension: 5, extensionsOf: 6, services: 7 } as const;
const ANSWER = { host: 1, request: 2, files: 4, services: 6, error: 7 } as const;
const NOT_FOUND = 5;
const LENGTH_DELIMITED = 2;

const encoder = new TextEncoder();
const decoder = new TextDecoder();

interface File {
  readonly file: string;
  readonly dependencies: readonly string[];
  readonly services: readonly string[];
  readonly symbols: ReadonlySet<string>;
  readonly bytes: Uint8Array;
}

export class Reflection {
  readonly #files: readonly File[];

  constructor(files: readonly (Omit<ProtoFile, "dependencies"> & Partial<ProtoFile>)[]) {
    this.#files = files.map(({ file, dependencies = [], services, symbols, bytes }) => ({
      file,
      dependencies,
      services,
      symbols: new Set(symbols),
      bytes: Uint8Array.from(atob(bytes), (char) => char.charCodeAt(0)),
    }));
  }

  /** Answers one request; null when it is none. */
  answer(request: Uint8Array): Uint8Array | null {
    const out = new ByteWriter(256, true);
    const host = fieldIn(request, REQUEST.host);
    if (host !== null) field(out, ANSWER.host, host);
    field(out, ANSWER.request, request);
    const name = fieldIn(request, REQUEST.fileName);
    const symbol = fieldIn(request, REQUEST.symbol);
    if (name !== null) {
      this.#tell(out, (one) => one.file === text(name));
    } else if (symbol !== null) {
      this.#tell(out, (one) => one.symbols.has(text(symbol)));
    } else if (fieldIn(request, REQUEST.services) !== null) {
      const list = new ByteWriter(256, true);
      for (const service of this.#files.flatMap((one) => one.services)) {
        field(list, 1, message(1, encoder.encode(service)));
      }
      field(out, ANSWER.services, list.bytes());
    } else if (fieldIn(request, REQUEST.extension) !== null || fieldIn(request, REQUEST.extensionsOf) !== null) {
      refuse(out, "nothing here has extensions");
    } else {
      return null;
    }
    return out.bytes();
  }

  #tell(out: ByteWriter, isMeant: (file: File) => boolean): void {
    const found = this.#files.find(isMeant);
    if (found === undefined) {
      refuse(out, "no such file or symbol is this server's own");
      return;
    }
    const list = new ByteWriter(4096, true);
    for (const file of this.#withImports(found, new Set())) field(list, 1, file.bytes);
    field(out, ANSWER.files, list.bytes());
  }

  #withImports(file: File, told: Set<string>): File[] {
    if (told.has(file.file)) return [];
    told.add(file.file);
    const imported = file.dependencies.flatMap((name) => this.#files.find((one) => one.file === name) ?? []);
    return [...imported.flatMap((one) => this.#withImports(one, told)), file];
  }
}

function refuse(out: ByteWriter, why: string): void {
  const error = new ByteWriter(64, true);
  error.varint(1 << 3);
  error.varint(NOT_FOUND);
  field(error, 2, encoder.encode(why));
  field(out, ANSWER.error, error.bytes());
}

/** The bytes of a string or message field, or null. */
function fieldIn(bytes: Uint8Array, number: number): Uint8Array | null {
  const reader = new ProtoField(number, 0);
  if (reader.read(bytes, bytes.length, bytes.length) !== "found") return null;
  return bytes.subarray(reader.start, reader.end);
}

function text(bytes: Uint8Array): string {
  return decoder.decode(bytes);
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
