/**
 * proto/grpc/*.proto -> the descriptors by which gRPC's server reflection tells what the router serves itself: the
 * files' FileDescriptorProto in base64, with the services and symbols that each declares.
 *
 * A file is named as gRPC's own tools know it, by its package and its stem (grpc/health/v1/health.proto); names of
 * types are written out in full, since readers differ in what they make of short ones.
 */

import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import protobuf from "protobufjs";
import descriptor from "protobufjs/ext/descriptor/index.js";

/** The parts of a FileDescriptorProto that are read or changed here. */
interface Descriptor {
  name?: string;
  package?: string;
  syntax?: string;
  messageType?: Message[];
  enumType?: { name: string }[];
  service?: { name: string; method?: { name: string; inputType: string; outputType: string }[] }[];
}

interface Message {
  name: string;
  field?: { typeName?: string }[];
  nestedType?: Message[];
  enumType?: { name: string }[];
}

interface Described {
  readonly file: string;
  readonly services: readonly string[];
  readonly symbols: readonly string[];
  readonly bytes: string;
}

export function protoTexts(folder: string): { name: string; text: string }[] {
  return readdirSync(folder)
    .filter((name) => name.endsWith(".proto"))
    .toSorted()
    .map((name) => ({ name, text: readFileSync(join(folder, name), "utf8") }));
}

/** The module's code and its declarations. */
export function descriptorModule(folder: string): { code: string; types: string } {
  const described = protoTexts(folder).map(({ name, text }) => describe(name, text));
  return {
    code: `export const DESCRIPTORS = ${JSON.stringify(described, null, 2)};\n`,
    types: [
      "export const DESCRIPTORS: readonly {",
      "  readonly file: string;",
      "  readonly services: readonly string[];",
      "  readonly symbols: readonly string[];",
      "  /** A FileDescriptorProto, in base64. */",
      "  readonly bytes: string;",
      "}[];",
      "",
    ].join("\n"),
  };
}

function describe(name: string, text: string): Described {
  const root = new protobuf.Root();
  protobuf.parse(text, root, { keepCase: true });
  root.resolveAll();
  const set = (root as unknown as { toDescriptor(edition: string): { file: Descriptor[] } }).toDescriptor("proto3");
  const file = set.file.find((one) => (one.service?.length ?? 0) > 0);
  const namespace = file?.package;
  if (file === undefined || namespace === undefined) throw new Error(`${name} declares no service in a package`);
  file.name = `${namespace.replaceAll(".", "/")}/${name.replace(/(-\w+)?\.proto$/, "")}.proto`;
  const symbols: string[] = [];
  const declare = (scope: string, message: Message): void => {
    const full = `${scope}.${message.name}`;
    symbols.push(full, ...(message.enumType ?? []).map((one) => `${full}.${one.name}`));
    for (const nested of message.nestedType ?? []) declare(full, nested);
  };
  for (const message of file.messageType ?? []) declare(namespace, message);
  for (const one of file.enumType ?? []) symbols.push(`${namespace}.${one.name}`);
  const inFull = (type: string, scope: string): string => {
    if (type.startsWith(".")) return type;
    for (let within = scope; ; within = within.slice(0, within.lastIndexOf("."))) {
      if (symbols.includes(`${within}.${type}`)) return `.${within}.${type}`;
      if (!within.includes(".")) throw new Error(`${name}: ${type} is nowhere declared`);
    }
  };
  const resolve = (scope: string, message: Message): void => {
    const full = `${scope}.${message.name}`;
    for (const field of message.field ?? []) if (field.typeName) field.typeName = inFull(field.typeName, full);
    for (const nested of message.nestedType ?? []) resolve(full, nested);
  };
  for (const message of file.messageType ?? []) resolve(namespace, message);
  const services: string[] = [];
  for (const service of file.service ?? []) {
    const full = `${namespace}.${service.name}`;
    services.push(full);
    symbols.push(full);
    for (const method of service.method ?? []) {
      symbols.push(`${full}.${method.name}`);
      method.inputType = inFull(method.inputType, namespace);
      method.outputType = inFull(method.outputType, namespace);
    }
  }
  const { FileDescriptorProto } = descriptor as unknown as { FileDescriptorProto: protobuf.Type };
  const bytes = FileDescriptorProto.encode(FileDescriptorProto.fromObject(file)).finish();
  return { file: file.name, services, symbols, bytes: Buffer.from(bytes).toString("base64") };
}
