/**
 * Strict JSON schemas of Kubernetes' resources, for kubeconform: from the API's own description (swagger.json of the
 * module k8s.io/kubernetes) and from custom resource definitions. Strict: a field that is not described is a fault, as
 * it is to `kubectl apply` with server-side validation.
 */
import { assert } from "../../src/base/assert.ts";
import { isRecord } from "../../src/base/field.ts";

export interface NamedSchema {
  /** KIND_GROUP_VERSION.json in small letters; to kubeconform the core group is called by its version. */
  readonly file: string;
  readonly schema: Readonly<Record<string, unknown>>;
}

const REF = "#/definitions/";
const INT_OR_STRING = { oneOf: [{ type: "string" }, { type: "integer" }] };
const QUANTITY = "io.k8s.apimachinery.pkg.api.resource.Quantity";

export function fileOf(kind: string, group: string, version: string): string {
  return `${[kind, group || version, version].join("_").toLowerCase()}.json`;
}

/** One for each kind of the API; each holds all definitions that it needs. */
export function apiSchemas(swagger: unknown): NamedSchema[] {
  assert(isRecord(swagger) && isRecord(swagger["definitions"]), "swagger.json has no definitions");
  const { definitions } = swagger;
  return Object.entries(definitions).flatMap(([name, definition]) => {
    assert(isRecord(definition), `${name} is no schema`);
    const kinds = definition["x-kubernetes-group-version-kind"];
    // Options of requests belong to many groups, and are no resources.
    if (!Array.isArray(kinds) || kinds.length !== 1) return [];
    const { kind, group, version } = kinds[0] as { kind: string; group: string; version: string };
    const schema = { ...strict(definition), definitions: needed(definition, definitions) };
    return [{ file: fileOf(kind, group, version), schema: named(schema, kind, group, version) }];
  });
}

/** One for each version that a custom resource definition has. */
export function customSchemas(definition: unknown): NamedSchema[] {
  assert(isRecord(definition) && isRecord(definition["spec"]), "a custom resource definition has a spec");
  const { group, names, versions } = definition["spec"] as {
    group: string;
    names: { kind: string };
    versions: readonly { name: string; schema: { openAPIV3Schema: Record<string, unknown> } }[];
  };
  return versions.map(({ name, schema }) => {
    const { properties = {}, ...rest } = schema.openAPIV3Schema;
    // Such a definition leaves what all resources have to the server.
    const whole = { ...rest, properties: { ...(properties as object), metadata: { type: "object" } } };
    const file = fileOf(names.kind, group, name);
    return { file, schema: named(strict(whole), names.kind, group, name) };
  });
}

/** apiVersion and kind must be there, and be these. */
function named(schema: Record<string, unknown>, kind: string, group: string, version: string) {
  const { properties = {}, required = [] } = schema as { properties?: object; required?: readonly string[] };
  const apiVersion = group === "" ? version : `${group}/${version}`;
  return {
    ...schema,
    properties: { ...properties, apiVersion: { enum: [apiVersion] }, kind: { enum: [kind] } },
    required: [...new Set([...required, "apiVersion", "kind", "metadata"])],
  };
}

/** What a schema refers to, and what that refers to. */
function needed(from: unknown, definitions: Readonly<Record<string, unknown>>): Record<string, unknown> {
  const found = new Map<string, Record<string, unknown>>();
  const waiting: unknown[] = [from];
  for (let next = waiting.pop(); next !== undefined; next = waiting.pop()) {
    if (!Array.isArray(next) && !isRecord(next)) continue;
    waiting.push(...Object.values(next));
    const ref = isRecord(next) ? next["$ref"] : undefined;
    if (typeof ref !== "string") continue;
    assert(ref.startsWith(REF), `${ref} is no reference to a definition`);
    const name = ref.slice(REF.length);
    const definition = definitions[name];
    assert(isRecord(definition), `${name} is not defined`);
    if (found.has(name)) continue;
    found.set(name, name === QUANTITY ? { type: ["string", "number"] } : strict(definition));
    waiting.push(definition);
  }
  return Object.fromEntries(found);
}

/** Without words for people, and closed wherever an object's fields are described. */
export function strict(schema: Readonly<Record<string, unknown>>): Record<string, unknown> {
  if (schema["format"] === "int-or-string" || schema["x-kubernetes-int-or-string"] === true) return INT_OR_STRING;
  const { type, properties, items, additionalProperties } = schema;
  const kept = ["$ref", "type", "enum", "required", "pattern", "minimum", "maximum", "minItems", "minLength"];
  const result: Record<string, unknown> = {};
  for (const key of kept) if (schema[key] !== undefined) result[key] = schema[key];
  if (schema["nullable"] === true) result["type"] = [type, "null"];
  for (const key of ["oneOf", "anyOf", "allOf"]) {
    const parts = schema[key];
    if (Array.isArray(parts)) result[key] = parts.map((part) => open(part as Record<string, unknown>));
  }
  if (isRecord(items)) result["items"] = strict(items);
  if (isRecord(additionalProperties)) result["additionalProperties"] = strict(additionalProperties);
  if (isRecord(properties)) {
    result["properties"] = Object.fromEntries(
      Object.entries(properties).map(([name, of]) => [name, strict(of as Record<string, unknown>)]),
    );
    const isFree = schema["x-kubernetes-preserve-unknown-fields"] === true || additionalProperties !== undefined;
    if (!isFree) result["additionalProperties"] = false;
  }
  return result;
}

/** A part of a choice says only what it adds. */
function open(part: Readonly<Record<string, unknown>>): Record<string, unknown> {
  const { additionalProperties: _, ...rest } = strict(part);
  return rest;
}
