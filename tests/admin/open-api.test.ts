/** The OpenAPI document: its structure, and that what it says is what the API takes and gives. */
import { expect, test } from "bun:test";
import { apiServices } from "../../src/admin/api.ts";
import { openApiDocument } from "../../src/admin/open-api.ts";
import { Journal } from "../../src/mesh/journal.ts";
import { messageToJson } from "../../src/wire/proto-json.ts";
import { types } from "./api-bed.ts";

type Json = Record<string, unknown>;

const services = apiServices({
  control: {
    members: () => [],
    named: () => [],
    state: () => undefined,
    policies: () => null,
    controlAddress: () => "",
    events: new Journal(1),
    models: { load: async () => ({}), unload: async () => ({}) },
    gpus: { get: async () => ({}), clear: async () => ({}) },
  },
  states: { states: () => [] },
  readOnly: false,
  isStopping: () => false,
  onError: () => {},
});
const document = JSON.parse(JSON.stringify(openApiDocument(services))) as {
  openapi: string;
  info: Json;
  paths: Record<string, { post: Json & { operationId: string } }>;
  components: { schemas: Record<string, Json & { properties?: Record<string, Json> }> };
};

/** Every object in the document. */
function* objects(value: unknown): Generator<Json> {
  if (typeof value !== "object" || value === null) return;
  if (!Array.isArray(value)) yield value as Json;
  for (const inner of Object.values(value)) yield* objects(inner);
}

test("is OpenAPI 3.1, and refers to nothing that is not there", () => {
  expect(document.openapi).toBe("3.1.0");
  expect(Object.keys(document.info)).toEqual(expect.arrayContaining(["title", "version"]));
  const known = Object.keys(document.components.schemas).map((name) => `#/components/schemas/${name}`);
  for (const one of objects(document)) if ("$ref" in one) expect(known).toContain(one["$ref"] as string);
  for (const name of Object.keys(document.components.schemas)) expect(name).toMatch(/^[a-zA-Z0-9._-]+$/);
  const used = JSON.stringify(document);
  for (const reference of known) expect(used).toContain(`"${reference}"`);
});

test("has every unary method that is served, once, and no other", () => {
  const unary = services.methods.filter(({ info, service }) => !info.serverStreams && service.startsWith("infermesh."));
  expect(Object.keys(document.paths).toSorted()).toEqual(unary.map(({ path }) => path).toSorted());
  const ids = Object.values(document.paths).map(({ post }) => post.operationId);
  expect(new Set(ids).size).toBe(ids.length);
  for (const { post } of Object.values(document.paths)) {
    expect(Object.keys(post)).toEqual(expect.arrayContaining(["summary", "requestBody", "responses", "operationId"]));
    expect(String(post["summary"]).length).toBeGreaterThan(0);
  }
});

test("every schema has the fields that the JSON form has, with types that it writes", () => {
  for (const [name, { properties, type }] of Object.entries(document.components.schemas)) {
    if (type !== "object" || name === "connect.Error") continue;
    const message = types.message(name);
    expect(Object.keys(properties ?? {})).toEqual(message.fields.map(({ json }) => json));
    for (const [field, value] of Object.entries(messageToJson(message, {}))) {
      const schema = properties?.[field] ?? {};
      if (schema["$ref"] !== undefined) continue;
      const kind = Array.isArray(value) ? "array" : Number.isInteger(value) ? ["integer", "number"] : typeof value;
      const allowed = [schema["type"]].flat();
      expect([kind].flat().some((one) => allowed.includes(one))).toBe(true);
    }
  }
});
