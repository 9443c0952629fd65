/**
 * The OpenAPI 3.1 document of the API's methods in JSON, made from the same table as everything else. Each unary method
 * is a POST; schemas are those of the messages in protobuf's JSON form. Streaming methods are named in the description:
 * their messages come in envelopes, which OpenAPI has no words for.
 */
import { version } from "../base/version.ts";
import type { FieldInfo, MethodInfo, ProtoSchema } from "../wire/proto-schema.ts";
import type { ApiPart } from "./gpu-schema.ts";
import type { Services } from "./services.ts";

type Json = Record<string, unknown>;

/** By protobuf's types, as they are in JSON. */
const SCALARS: Readonly<Record<string, Json>> = {
  double: { type: "number" },
  float: { type: "number" },
  int32: { type: "integer", format: "int32" },
  uint32: { type: "integer", minimum: 0, maximum: 4_294_967_295 },
  int64: { type: ["string", "integer"], format: "int64", pattern: "^-?[0-9]+$" },
  uint64: { type: ["string", "integer"], format: "uint64", pattern: "^[0-9]+$" },
  bool: { type: "boolean" },
  string: { type: "string" },
  bytes: { type: "string", contentEncoding: "base64" },
};

const ERROR_CODES = [
  "canceled",
  "unknown",
  "invalid_argument",
  "deadline_exceeded",
  "not_found",
  "already_exists",
  "permission_denied",
  "resource_exhausted",
  "failed_precondition",
  "aborted",
  "out_of_range",
  "unimplemented",
  "internal",
  "unavailable",
  "data_loss",
  "unauthenticated",
];

const ERROR_DETAIL = "infermesh.control.v1.ErrorDetail";
const ERROR = "connect.Error";

/** `more` is what else the port serves in JSON. */
export function openApiDocument(services: Services, more: ApiPart = { paths: {}, schemas: {} }): Json {
  const { schema } = services.types;
  const served = services.methods.filter(({ service }) => service.startsWith("infermesh."));
  const unary = served.filter(({ info }) => info.clientStreams !== true && info.serverStreams !== true);
  const streaming = served.filter((method) => !unary.includes(method));
  const paths = Object.fromEntries(
    unary.map(({ path, service, info }) => [path, { post: operation(service, info) }] as const),
  );
  const roots = [...unary.flatMap(({ info }) => [info.input, info.output]), ERROR_DETAIL];
  return {
    openapi: "3.1.0",
    info: {
      title: "infermesh",
      version,
      license: { name: "Apache-2.0", identifier: "Apache-2.0" },
      description: `The control API of one infermesh process, as JSON (the Connect protocol's unary rules). The same methods are gRPC's on the same port. Those that stream are called by gRPC, or as Connect's streams (application/connect+json): ${streaming.map(({ info }) => info.name).join(", ")}.`,
    },
    servers: [{ url: "/" }],
    tags: [...new Set(unary.map(({ service }) => service))].map((name) => ({
      name,
      ...docOf(schema.services.find((service) => service.name === name)?.doc),
    })),
    paths: { ...paths, ...more.paths },
    components: { schemas: { ...schemasOf(schema, roots), [ERROR]: errorSchema(), ...more.schemas } },
  };
}

function operation(service: string, { name, doc, input, output, reads }: MethodInfo): Json {
  return {
    tags: [service],
    operationId: `${service}.${name}`,
    summary: doc ?? name,
    ...(reads === true ? { "x-idempotency-level": "NO_SIDE_EFFECTS" } : {}),
    parameters: [
      { name: "Connect-Protocol-Version", in: "header", required: false, schema: { type: "string", const: "1" } },
      {
        name: "Connect-Timeout-Ms",
        in: "header",
        required: false,
        description: "How long the caller waits, in milliseconds.",
        schema: { type: "string", pattern: "^[0-9]{1,10}$" },
      },
    ],
    requestBody: { required: true, content: { "application/json": { schema: reference(input) } } },
    responses: {
      "200": { description: "It was done.", content: { "application/json": { schema: reference(output) } } },
      default: { description: "It failed.", content: { "application/json": { schema: reference(ERROR) } } },
    },
  };
}

/** Of the messages and enums that these need. */
function schemasOf(schema: ProtoSchema, roots: readonly string[]): Json {
  const schemas: Record<string, Json> = {};
  const add = (name: string): void => {
    if (Object.hasOwn(schemas, name)) return;
    const enumeration = schema.enums[name];
    if (enumeration !== undefined) {
      schemas[name] = { type: "string", enum: Object.keys(enumeration.values), ...docOf(enumeration.doc) };
      return;
    }
    const message = schema.messages[name];
    if (message === undefined) return;
    schemas[name] = messageSchema(message.fields, message.doc);
    for (const { of } of message.fields) if (of !== undefined) add(of);
  };
  for (const name of roots) add(name);
  return Object.fromEntries(Object.entries(schemas).toSorted(([a], [b]) => (a < b ? -1 : 1)));
}

function messageSchema(fields: readonly FieldInfo[], doc: string | undefined): Json {
  const oneofs = [...new Set(fields.flatMap(({ oneof }) => oneof ?? []))].map(
    (name) =>
      `at most one of ${fields
        .filter(({ oneof }) => oneof === name)
        .map(({ json }) => json)
        .join(", ")}`,
  );
  const description = [doc, ...oneofs].filter((part) => part !== undefined).join(" ");
  return {
    type: "object",
    additionalProperties: false,
    ...docOf(description),
    properties: Object.fromEntries(fields.map((field) => [field.json, { ...fieldSchema(field), ...docOf(field.doc) }])),
  };
}

function fieldSchema({ type, of, label }: FieldInfo): Json {
  const value = of === undefined ? { ...SCALARS[type] } : reference(of);
  if (label === "repeated") return { type: "array", items: value };
  if (label === "map") return { type: "object", additionalProperties: value };
  return value;
}

function errorSchema(): Json {
  return {
    type: "object",
    properties: {
      code: { type: "string", enum: ERROR_CODES },
      message: { type: "string" },
      details: {
        type: "array",
        items: {
          type: "object",
          properties: {
            type: { type: "string" },
            value: { type: "string", contentEncoding: "base64" },
            debug: reference(ERROR_DETAIL),
          },
          required: ["type", "value"],
        },
      },
    },
    required: ["code"],
  };
}

function reference(name: string): Json {
  return { $ref: `#/components/schemas/${name}` };
}

function docOf(doc: string | undefined): Json {
  return doc === undefined || doc === "" ? {} : { description: doc };
}
