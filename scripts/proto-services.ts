/**
 * proto/*.proto -> src/gen/services.js and .d.ts: the messages, enums and services of the mesh's own API as one table,
 * which its codecs, reflection, the JSON mapping and the OpenAPI document read; and their TypeScript types. gRPC's own
 * health protocol stands in it too, since the API serves it.
 *
 * Types: scalars of proto3 without presence are always there; what has presence (`optional`, messages, members of a
 * oneof) is there or undefined; enums are their names, or the number of a name that is not known; 64-bit integers are
 * plain numbers.
 */

import { readFileSync } from "node:fs";
import { basename, join } from "node:path";
import protobuf from "protobufjs";
import descriptor from "protobufjs/ext/descriptor/index.js";
import { protoTexts } from "./proto-descriptors.ts";

const NUMBER = "number";
const SCALARS: Readonly<Record<string, { ts: string; descriptor: number }>> = {
  double: { ts: NUMBER, descriptor: 1 },
  float: { ts: NUMBER, descriptor: 2 },
  int64: { ts: NUMBER, descriptor: 3 },
  uint64: { ts: NUMBER, descriptor: 4 },
  int32: { ts: NUMBER, descriptor: 5 },
  bool: { ts: "boolean", descriptor: 8 },
  string: { ts: "string", descriptor: 9 },
  bytes: { ts: "Uint8Array", descriptor: 12 },
  uint32: { ts: NUMBER, descriptor: 13 },
};
const MESSAGE = 11;
const ENUM = 14;
const REPEATED = 3;
const SINGLE = 1;
const NO_SIDE_EFFECTS = "NO_SIDE_EFFECTS";

interface Field {
  readonly name: string;
  readonly json: string;
  readonly number: number;
  readonly type: string;
  readonly of?: string;
  readonly label?: "repeated" | "map" | "optional";
  readonly key?: string;
  readonly oneof?: string;
  readonly doc?: string;
}

const camel = (name: string): string => name.replace(/_+([a-z0-9])/g, (_, letter: string) => letter.toUpperCase());
const full = (object: protobuf.ReflectionObject): string => object.fullName.replace(/^\./, "");
const docOf = (comment: string | null): { doc?: string } =>
  comment === null || comment === "" ? {} : { doc: comment.replaceAll("\n", " ") };

export function servicesText(folder: string, described: string): string {
  const own = protoTexts(folder).map(({ name, text }) => `${name}\n${text}`);
  return [...own, readFileSync(join(described, "health.proto"), "utf8")].join("\n");
}

/** The module's code and its declarations. */
export function servicesModule(folder: string, described: string): { code: string; types: string } {
  const texts = [
    ...protoTexts(folder),
    { name: "health.proto", text: readFileSync(join(described, "health.proto"), "utf8") },
  ];
  const root = new protobuf.Root();
  const imports = new Map<string, readonly string[]>();
  const parse = protobuf.parse as typeof protobuf.parse & { filename: string | null };
  for (const { name, text } of texts) {
    parse.filename = name;
    const parsed = protobuf.parse(text, root, { keepCase: true, alternateCommentMode: true });
    imports.set(name, parsed.imports ?? []);
  }
  parse.filename = null;
  root.resolveAll();
  const types: protobuf.Type[] = [];
  const enums: protobuf.Enum[] = [];
  const services: protobuf.Service[] = [];
  const collect = (one: protobuf.ReflectionObject): void => {
    if (one instanceof protobuf.Type) types.push(one);
    if (one instanceof protobuf.Enum) enums.push(one);
    if (one instanceof protobuf.Service) services.push(one);
    if (one instanceof protobuf.Namespace) for (const nested of one.nestedArray) collect(nested);
  };
  collect(root);
  const table = {
    messages: Object.fromEntries(types.map((type) => [full(type), { ...docOf(type.comment), fields: fieldsOf(type) }])),
    enums: Object.fromEntries(enums.map((one) => [full(one), { ...docOf(one.comment), values: one.values }])),
    services: services.map((service) => ({
      name: full(service),
      ...docOf(service.comment),
      methods: service.methodsArray.map((method) => ({
        name: method.name,
        ...docOf(method.comment),
        input: full(method.resolvedRequestType as protobuf.Type),
        output: full(method.resolvedResponseType as protobuf.Type),
        ...(method.requestStream === true ? { clientStreams: true } : {}),
        ...(method.responseStream === true ? { serverStreams: true } : {}),
        ...(method.options?.["idempotency_level"] === NO_SIDE_EFFECTS ? { reads: true } : {}),
      })),
    })),
    files: texts.map(({ name }) => fileOf(name, imports.get(name) ?? [], types, enums, services)),
  };
  return {
    code: `export const SCHEMA = ${JSON.stringify(table, null, 1)};\n`,
    types: declarations(types, enums, services),
  };
}

function fieldsOf(type: protobuf.Type): Field[] {
  return type.fieldsArray.map((field): Field => {
    const { resolvedType } = field;
    if (resolvedType === null && !(field.type in SCALARS))
      throw new Error(`${field.fullName}: ${field.type} is not known`);
    const oneof = field.partOf?.name;
    const label = field.map ? "map" : field.repeated ? "repeated" : isOptional(field) ? "optional" : undefined;
    return {
      name: field.name,
      json: camel(field.name),
      number: field.id,
      type: resolvedType === null ? field.type : resolvedType instanceof protobuf.Enum ? "enum" : "message",
      ...(resolvedType === null ? {} : { of: full(resolvedType) }),
      ...(label === undefined ? {} : { label }),
      ...(field instanceof protobuf.MapField ? { key: field.keyType } : {}),
      ...(oneof === undefined || isOptional(field) ? {} : { oneof }),
      ...docOf(field.comment),
    };
  });
}

function isOptional(field: protobuf.Field): boolean {
  return field.options?.["proto3_optional"] === true;
}

// ---- types

function declarations(
  types: readonly protobuf.Type[],
  enums: readonly protobuf.Enum[],
  services: readonly protobuf.Service[],
): string {
  const names = new Set<string>();
  /** Unique without its package, for all but gRPC's own. */
  const shortName = (object: protobuf.ReflectionObject): string => {
    const name = full(object);
    const [, short = ""] = /^[a-z0-9_.]*\.([A-Z].*)$/.exec(name) ?? [];
    return (name.startsWith("grpc.") ? "Grpc" : "") + short.replaceAll(".", "");
  };
  const declare = (object: protobuf.ReflectionObject): string => {
    const name = shortName(object);
    if (names.has(name)) throw new Error(`two messages are called ${name}`);
    names.add(name);
    return name;
  };
  const valueType = (field: protobuf.Field): string =>
    field.resolvedType === null ? (SCALARS[field.type]?.ts ?? "") : shortName(field.resolvedType);
  const property = (field: protobuf.Field): string => {
    const name = camel(field.name);
    const value = valueType(field);
    const doc = field.comment === null ? "" : `  /** ${field.comment.replaceAll("\n", " ")} */\n`;
    if (field.map) return `${doc}  readonly ${name}: { readonly [key: string]: ${value} };`;
    if (field.repeated) return `${doc}  readonly ${name}: readonly ${value.includes("|") ? `(${value})` : value}[];`;
    const hasPresence = isOptional(field) || field.partOf !== null || field.resolvedType instanceof protobuf.Type;
    return `${doc}  readonly ${name}${hasPresence ? "?" : ""}: ${value}${hasPresence ? " | undefined" : ""};`;
  };
  const comment = (object: { comment: string | null }): string =>
    object.comment === null ? "" : `/** ${object.comment.replaceAll("\n", " ")} */\n`;
  const out: string[] = [
    'import type { ProtoSchema } from "../wire/proto-schema.ts";',
    "",
    "export const SCHEMA: ProtoSchema;",
    "",
    "/** What a message is made from: any part of it. */",
    "export type Init<T> = T extends Uint8Array",
    "  ? T",
    "  : T extends readonly (infer U)[]",
    "    ? readonly Init<U>[]",
    "    : T extends object",
    "      ? { readonly [K in keyof T]?: Init<T[K]> | undefined }",
    "      : T;",
    "",
  ];
  for (const one of enums) {
    out.push(`${comment(one)}export type ${declare(one)} =`);
    out.push(...Object.keys(one.values).map((value) => `  | ${JSON.stringify(value)}`), "  | number;", "");
  }
  for (const type of types) {
    out.push(`${comment(type)}export interface ${declare(type)} {`, ...type.fieldsArray.map(property), "}", "");
  }
  for (const service of services) {
    out.push(`${comment(service)}export interface ${declare(service)}<Call> {`);
    for (const method of service.methodsArray) {
      const input = shortName(method.resolvedRequestType as protobuf.Type);
      const output = `Init<${shortName(method.resolvedResponseType as protobuf.Type)}>`;
      const takes = method.requestStream === true ? `requests: AsyncIterable<${input}>` : `request: ${input}`;
      const gives = method.responseStream === true ? `AsyncIterable<${output}>` : `Promise<${output}>`;
      if (method.comment !== null) out.push(`  /** ${method.comment.replaceAll("\n", " ")} */`);
      out.push(
        `  ${camel(method.name.charAt(0).toLowerCase() + method.name.slice(1))}(${takes}, call: Call): ${gives};`,
      );
    }
    out.push("}", "");
  }
  return out.join("\n");
}

// ---- descriptors, for server reflection

function pathOf(name: string, types: readonly protobuf.Type[]): string {
  const type = types.find((one) => one.filename === name);
  if (type === undefined) throw new Error(`${name} declares no message`);
  return `${packageOf(type).replaceAll(".", "/")}/${basename(name)}`;
}

function packageOf(object: protobuf.ReflectionObject): string {
  return full(object).replace(/\.[A-Z].*$/, "");
}

function fileOf(
  name: string,
  imports: readonly string[],
  types: readonly protobuf.Type[],
  enums: readonly protobuf.Enum[],
  services: readonly protobuf.Service[],
): { file: string; dependencies: string[]; services: string[]; symbols: string[]; bytes: string } {
  const isHere = (object: protobuf.ReflectionObject): boolean => object.filename === name;
  const isTop = (object: protobuf.ReflectionObject): boolean =>
    isHere(object) && !(object.parent instanceof protobuf.Type);
  const file = pathOf(name, types);
  const dependencies = imports.map((one) => pathOf(one, types));
  const [first] = types.filter(isHere);
  const own = services.filter(isHere);
  const described = {
    name: file,
    package: first === undefined ? "" : packageOf(first),
    dependency: dependencies,
    messageType: types.filter(isTop).map(messageOf),
    enumType: enums.filter(isTop).map(enumOf),
    service: own.map((service) => ({
      name: service.name,
      method: service.methodsArray.map((method) => ({
        name: method.name,
        inputType: `.${full(method.resolvedRequestType as protobuf.Type)}`,
        outputType: `.${full(method.resolvedResponseType as protobuf.Type)}`,
        clientStreaming: method.requestStream === true,
        serverStreaming: method.responseStream === true,
        ...(method.options?.["idempotency_level"] === NO_SIDE_EFFECTS ? { options: { idempotencyLevel: 1 } } : {}),
      })),
    })),
    syntax: "proto3",
  };
  const { FileDescriptorProto } = descriptor as unknown as { FileDescriptorProto: protobuf.Type };
  const bytes = FileDescriptorProto.encode(FileDescriptorProto.fromObject(described)).finish();
  return {
    file,
    dependencies,
    services: own.map(full),
    symbols: [
      ...[...types, ...enums, ...services].filter(isHere).map(full),
      ...own.flatMap((service) => service.methodsArray.map(full)),
    ],
    bytes: Buffer.from(bytes).toString("base64"),
  };
}

function messageOf(type: protobuf.Type): object {
  const oneofs = [
    ...type.oneofsArray.filter((one) => !one.fieldsArray.every(isOptional)),
    ...type.oneofsArray.filter((one) => one.fieldsArray.every(isOptional)),
  ];
  const entries: object[] = [];
  const field = type.fieldsArray.map((one) => {
    const what = typeOf(one);
    const common = { name: one.name, number: one.id, jsonName: camel(one.name) };
    if (one instanceof protobuf.MapField) {
      const entry = `${camel(one.name).replace(/^./, (letter) => letter.toUpperCase())}Entry`;
      entries.push({
        name: entry,
        field: [
          { name: "key", number: 1, label: SINGLE, type: SCALARS[one.keyType]?.descriptor, jsonName: "key" },
          { name: "value", number: 2, label: SINGLE, ...what, jsonName: "value" },
        ],
        options: { mapEntry: true },
      });
      return { ...common, label: REPEATED, type: MESSAGE, typeName: `.${full(type)}.${entry}` };
    }
    const place = one.partOf === null ? {} : { oneofIndex: oneofs.indexOf(one.partOf) };
    const optional = isOptional(one) ? { proto3Optional: true } : {};
    return { ...common, label: one.repeated ? REPEATED : SINGLE, ...what, ...place, ...optional };
  });
  const nested = type.nestedArray.filter((one) => one instanceof protobuf.Type);
  return {
    name: type.name,
    field,
    nestedType: [...nested.map(messageOf), ...entries],
    enumType: type.nestedArray.filter((one) => one instanceof protobuf.Enum).map(enumOf),
    oneofDecl: oneofs.map(({ name }) => ({ name })),
  };
}

function typeOf(field: protobuf.Field): object {
  const { resolvedType } = field;
  if (resolvedType === null) return { type: SCALARS[field.type]?.descriptor };
  return { type: resolvedType instanceof protobuf.Enum ? ENUM : MESSAGE, typeName: `.${full(resolvedType)}` };
}

function enumOf(one: protobuf.Enum): object {
  return { name: one.name, value: Object.entries(one.values).map(([name, number]) => ({ name, number })) };
}
