import { expect, test } from "bun:test";
import fc from "fast-check";
import {
  formatHostPort,
  parseHostPort,
  parseRegistration,
  REGISTRATION_LIMITS,
  registrationJson,
} from "../../src/fleet/registration.ts";

const good = { id: "gpu-7", address: "10.0.0.7:8000", metrics_port: 9090, models: ["meta-llama/Llama-3.1-8B"] };

function faults(json: unknown): string[] {
  const parsed = parseRegistration(json);
  return "faults" in parsed ? parsed.faults : [];
}

test("a full registration is read, and unknown fields are ignored", () => {
  const parsed = parseRegistration({
    ...good,
    weight: 0.5,
    zone: "eu",
    labels: { tier: "a" },
    incarnation: 12,
    later: 1,
  });
  expect(parsed).toEqual({
    registration: {
      id: "gpu-7",
      address: "10.0.0.7:8000",
      metricsPort: 9090,
      models: ["meta-llama/Llama-3.1-8B"],
      weight: 0.5,
      zone: "eu",
      labels: { tier: "a" },
      incarnation: 12,
    },
  });
  if ("registration" in parsed) expect(parseRegistration(registrationJson(parsed.registration))).toEqual(parsed);
});

test("optional fields may be null, models may be none and double", () => {
  expect(faults({ ...good, weight: null, zone: null, labels: null, incarnation: null, models: [] })).toEqual([]);
  const parsed = parseRegistration({ ...good, models: ["m", "m"] });
  expect("registration" in parsed && parsed.registration.models).toEqual(["m"]);
});

test("every fault is told, with what stood there", () => {
  const told = faults({
    id: "a b",
    address: "nowhere",
    metrics_port: 0,
    models: ["", 7, "ok"],
    weight: -1,
    zone: 4,
    labels: { "0x": "a", fine: 3 },
    incarnation: 1.5,
  });
  expect(told).toHaveLength(10);
  expect(told[0]).toContain('id is "a b"');
  expect(told.join("\n")).toContain("models[1] is 7");
  expect(told.join("\n")).toContain("labels.fine is 3");
  expect(faults({})).toHaveLength(4);
  expect(faults([])).toEqual(["the body is a list; expected a JSON object"]);
  expect(faults(null)).toHaveLength(1);
  expect(faults({ ...good, labels: [] })).toHaveLength(1);
});

test("limits hold at their edges", () => {
  const limits = REGISTRATION_LIMITS;
  const labels = (count: number) => Object.fromEntries(Array.from({ length: count }, (_, i) => [`l${i}`, "v"]));
  const models = (count: number) => Array.from({ length: count }, (_, i) => `m${i}`);
  const edges: [object, object][] = [
    [{ id: "i".repeat(limits.idLengthMax) }, { id: "i".repeat(limits.idLengthMax + 1) }],
    [{ models: models(limits.modelsMax) }, { models: models(limits.modelsMax + 1) }],
    [{ models: ["m".repeat(limits.modelLengthMax)] }, { models: ["m".repeat(limits.modelLengthMax + 1)] }],
    [{ labels: labels(limits.labelsMax) }, { labels: labels(limits.labelsMax + 1) }],
    [
      { labels: { a: "v".repeat(limits.labelValueLengthMax) } },
      { labels: { a: "v".repeat(limits.labelValueLengthMax + 1) } },
    ],
    [
      { labels: { ["n".repeat(limits.labelNameLengthMax)]: "" } },
      { labels: { ["n".repeat(limits.labelNameLengthMax + 1)]: "" } },
    ],
    [{ zone: "z".repeat(limits.zoneLengthMax) }, { zone: "z".repeat(limits.zoneLengthMax + 1) }],
    [{ weight: limits.weightMax }, { weight: limits.weightMax + 1 }],
    [{ metrics_port: 65535 }, { metrics_port: 65536 }],
  ];
  for (const [inside, outside] of edges) {
    expect(faults({ ...good, ...inside })).toEqual([]);
    expect(faults({ ...good, ...outside })).toHaveLength(1);
  }
});

test("text that would break log lines or headers is refused", () => {
  for (const text of ["a\nb", "a\u0000", "\u007f", "\ud800", "a\u2028b"]) {
    expect(faults({ ...good, models: [text] })).toHaveLength(1);
    expect(faults({ ...good, zone: text })).toHaveLength(1);
    expect(faults({ ...good, id: text })).toHaveLength(1);
  }
});

test("host and port", () => {
  const table: [string, { host: string; port: number } | null][] = [
    ["a:1", { host: "a", port: 1 }],
    ["node-1.example.com:65535", { host: "node-1.example.com", port: 65535 }],
    ["[::1]:80", { host: "::1", port: 80 }],
    ["[fe80::1%eth0]:80", { host: "fe80::1%eth0", port: 80 }],
    ["::1:80", null],
    ["[a]:80", null],
    [":80", null],
    ["a:", null],
    ["a:0", null],
    ["a:65536", null],
    ["a:8o", null],
    ["a/b:80", null],
    ["user@a:80", null],
    ["", null],
  ];
  for (const [text, parsed] of table) {
    expect(parseHostPort(text)).toEqual(parsed);
    if (parsed !== null) expect(formatHostPort(parsed.host, parsed.port)).toBe(text);
  }
});

test("any JSON gives a registration or faults, and what is accepted survives the round trip", () => {
  const field = fc.oneof(
    fc.jsonValue(),
    fc.string({ unit: "binary" }),
    fc.constantFrom<unknown>(...Object.values(good), undefined),
  );
  const body = fc.oneof(
    fc.jsonValue() as fc.Arbitrary<unknown>,
    fc.record(
      {
        id: field,
        address: field,
        metrics_port: field,
        models: field,
        weight: field,
        zone: field,
        labels: field,
        incarnation: field,
      },
      { requiredKeys: [] },
    ),
    fc.record({ ...mapConstants(good), labels: fc.dictionary(fc.string(), fc.string()), weight: fc.double() }),
  );
  fc.assert(
    fc.property(body, (json) => {
      const parsed = parseRegistration(json);
      if ("faults" in parsed) {
        expect(parsed.faults.length).toBeGreaterThan(0);
        return;
      }
      expect(parsed.registration.id).toMatch(/^[\x21-\x7e]{1,128}$/);
      expect(parseHostPort(parsed.registration.address)).not.toBeNull();
      expect(parseRegistration(JSON.parse(JSON.stringify(registrationJson(parsed.registration))))).toEqual(parsed);
    }),
    { numRuns: 2000 },
  );
});

function mapConstants<T extends object>(values: T): { [K in keyof T]: fc.Arbitrary<T[K]> } {
  return Object.fromEntries(Object.entries(values).map(([key, value]) => [key, fc.constant(value)])) as {
    [K in keyof T]: fc.Arbitrary<T[K]>;
  };
}
