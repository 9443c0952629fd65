import { describe, expect, test } from "bun:test";
import { apiSchemas, customSchemas, fileOf, strict } from "../../scripts/kube/schemas.ts";

const gvk = (group: string, version: string, kind: string) => ({
  "x-kubernetes-group-version-kind": [{ group, version, kind }],
});
const META = "io.k8s.apimachinery.pkg.apis.meta.v1.ObjectMeta";
const QUANTITY = "io.k8s.apimachinery.pkg.api.resource.Quantity";
const SWAGGER = {
  definitions: {
    "io.k8s.api.core.v1.Thing": {
      ...gvk("", "v1", "Thing"),
      type: "object",
      description: "for people",
      required: ["spec"],
      properties: {
        apiVersion: { type: "string" },
        kind: { type: "string" },
        metadata: { $ref: `#/definitions/${META}` },
        spec: { type: "object", additionalProperties: { $ref: `#/definitions/${QUANTITY}` } },
        port: { type: "string", format: "int-or-string" },
      },
    },
    [META]: { type: "object", properties: { owner: { $ref: `#/definitions/${META}` }, name: { type: "string" } } },
    [QUANTITY]: { type: "string" },
    "io.k8s.Options": {
      "x-kubernetes-group-version-kind": [
        { group: "a", version: "v1", kind: "O" },
        { group: "b", version: "v1", kind: "O" },
      ],
    },
    "io.k8s.Unneeded": { type: "object" },
  },
};

describe("schemas of the API", () => {
  test("are one for each kind, closed, with all that they refer to", () => {
    const all = apiSchemas(SWAGGER);
    expect(all.map(({ file }) => file)).toEqual(["thing_v1_v1.json"]);
    expect(all[0]?.schema).toEqual({
      type: "object",
      required: ["spec", "apiVersion", "kind", "metadata"],
      additionalProperties: false,
      properties: {
        apiVersion: { enum: ["v1"] },
        kind: { enum: ["Thing"] },
        metadata: { $ref: `#/definitions/${META}` },
        spec: { type: "object", additionalProperties: { $ref: `#/definitions/${QUANTITY}` } },
        port: { oneOf: [{ type: "string" }, { type: "integer" }] },
      },
      definitions: {
        [META]: {
          type: "object",
          additionalProperties: false,
          properties: { owner: { $ref: `#/definitions/${META}` }, name: { type: "string" } },
        },
        [QUANTITY]: { type: ["string", "number"] },
      },
    });
  });

  test("are not made of what is no description, or lacks a definition", () => {
    expect(() => apiSchemas({})).toThrow("no definitions");
    const lost = { definitions: { A: { ...gvk("apps", "v1", "A"), $ref: "#/definitions/B" } } };
    expect(() => apiSchemas(lost)).toThrow("B is not defined");
    const strange = { definitions: { A: { ...gvk("apps", "v1", "A"), $ref: "other.json" } } };
    expect(() => apiSchemas(strange)).toThrow("no reference");
  });
});

test("schemas of custom resources are one for each version, and let metadata be the server's", () => {
  const of = (name: string) => ({
    name,
    schema: { openAPIV3Schema: { type: "object", properties: { spec: { type: "object", properties: {} } } } },
  });
  const all = customSchemas({
    spec: { group: "example.com", names: { kind: "Thing" }, versions: [of("v1"), of("v2")] },
  });
  expect(all.map(({ file }) => file)).toEqual(["thing_example.com_v1.json", "thing_example.com_v2.json"]);
  expect(all[1]?.schema).toMatchObject({
    additionalProperties: false,
    properties: { apiVersion: { enum: ["example.com/v2"] }, metadata: { type: "object" } },
  });
  expect(() => customSchemas({})).toThrow("has a spec");
});

test("what is free stays free, what may be null may, and parts of a choice are not closed", () => {
  expect(strict({ properties: {}, "x-kubernetes-preserve-unknown-fields": true })).toEqual({ properties: {} });
  expect(strict({ type: "string", nullable: true })).toEqual({ type: ["string", "null"] });
  expect(strict({ anyOf: [{ properties: { a: {} }, required: ["a"] }] })).toEqual({
    anyOf: [{ properties: { a: {} }, required: ["a"] }],
  });
  expect(strict({ type: "array", items: { properties: { a: { type: "integer" } } } })).toEqual({
    type: "array",
    items: { properties: { a: { type: "integer" } }, additionalProperties: false },
  });
  expect(fileOf("Deployment", "apps", "v1")).toBe("deployment_apps_v1.json");
});
