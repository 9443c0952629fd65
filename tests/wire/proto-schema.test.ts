/** Messages by a table: the binary form against protobuf.js, the JSON form by examples, both against nonsense. */
import { describe, expect, test } from "bun:test";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import fc from "fast-check";
import protobuf from "protobufjs";
import { SCHEMA } from "../../src/gen/services.js";
import { decodeMessage } from "../../src/wire/proto-reader.ts";
import { encodeMessage } from "../../src/wire/proto-writer.ts";
import { messageFromJson, messageToJson, toBase64 } from "../../src/wire/proto-json.ts";
import { type Message, type MessageType, ProtoTypes, type SchemaField } from "../../src/wire/proto-schema.ts";

const types = new ProtoTypes(SCHEMA);
const root = new protobuf.Root();
for (const file of ["state", "policy", "control_plane", "state_plane", "scoring"]) {
  protobuf.parse(readFileSync(join(import.meta.dir, `../../proto/${file}.proto`), "utf8"), root);
}
root.resolveAll();

const NAMES = [
  "infermesh.state.v1.NodeState",
  "infermesh.state.v1.ReportModelStateRequest",
  "infermesh.policy.v1.Policy",
  "infermesh.control.v1.ApplyPoliciesRequest",
  "infermesh.control.v1.SubscribeEventsResponse",
  "infermesh.control.v1.SaveSnapshotResponse",
];

/** Any message of the type: oneofs with one member at most. */
function anyMessage(type: MessageType, depth: number): fc.Arbitrary<Message> {
  return fc
    .tuple(
      fc.record(
        Object.fromEntries(
          type.fields
            .filter((field) => field.oneof === undefined && (field.message === null || depth > 0))
            .map((field) => [field.json, anyField(field, depth)]),
        ),
        { requiredKeys: [] },
      ),
      oneofOf(type, depth),
    )
    .map(([plain, one]) => ({ ...type.empty(), ...plain, ...one }));
}

function oneofOf(type: MessageType, depth: number): fc.Arbitrary<Message> {
  const members = type.fields.filter((field) => field.oneof !== undefined && (field.message === null || depth > 0));
  if (members.length === 0) return fc.constant({});
  return fc.constantFrom(...members).chain((field) => anyValue(field, depth).map((value) => ({ [field.json]: value })));
}

function anyField(field: SchemaField, depth: number): fc.Arbitrary<unknown> {
  const value = anyValue(field, depth);
  if (field.label === "repeated") return fc.array(value, { maxLength: 3 });
  if (field.label !== "map") return value;
  return fc.dictionary(
    fc.string().filter((key) => key !== "__proto__"),
    value,
    { maxKeys: 3 },
  );
}

function anyValue(field: SchemaField, depth: number): fc.Arbitrary<unknown> {
  switch (field.type) {
    case "message":
      return anyMessage(field.message!, depth - 1);
    case "enum":
      return fc.constantFrom(...field.enumeration!.byName.keys());
    case "bool":
      return fc.boolean();
    case "string":
      return fc.string({ unit: "grapheme" });
    case "bytes":
      return fc.uint8Array({ maxLength: 40 });
    case "double":
      return fc.double({ noNaN: true }).map((number) => number + 0);
    case "uint64":
      return fc.maxSafeNat();
    default:
      return fc.nat();
  }
}

describe("the binary form", () => {
  test.each(NAMES)("of %s is what protobuf.js writes and reads", (name) => {
    const type = types.message(name);
    const other = root.lookupType(name);
    fc.assert(
      fc.property(anyMessage(type, 3), (message) => {
        const bytes = encodeMessage(type, message);
        expect(decodeMessage(type, bytes)).toEqual({ message });
        // What the other library makes of it, and writes again, is the same message.
        const again = other.encode(other.decode(bytes)).finish();
        expect(decodeMessage(type, again)).toEqual({ message });
      }),
      { numRuns: 60 },
    );
  });

  test("of messages in messages is right for lengths of one byte and of more", () => {
    const type = types.message("infermesh.control.v1.GetNodeResponse");
    const other = root.lookupType("infermesh.control.v1.GetNodeResponse");
    const near = (length: number): number[] => Array.from({ length: 24 }, (_, at) => length - 16 + at);
    for (const length of [1, ...near(2 ** 7), ...near(2 ** 14), ...near(2 ** 21)]) {
      const node = { id: "x".repeat(length), labels: { rack: "7" } };
      const bytes = encodeMessage(type, { node });
      const expected = other.encode(other.fromObject({ node })).finish();
      expect(Buffer.compare(bytes, expected)).toBe(0);
    }
  });

  test("skips what it does not know, and puts together what comes in parts", () => {
    const type = types.message("infermesh.control.v1.GetNodeResponse");
    const inner = (id: string): Uint8Array => encodeMessage(types.message("infermesh.control.v1.Node"), { id });
    const part = (bytes: Uint8Array): number[] => [0x0a, bytes.length, ...bytes];
    const role = Uint8Array.of(0x12, 1, 0x61);
    const bytes = Uint8Array.of(
      ...part(inner("a")),
      0xf8,
      0x3f,
      0x81,
      0x01,
      0xf9,
      0x3f,
      ...role,
      1,
      2,
      3,
      4,
      5,
      ...part(role),
    );
    expect(decodeMessage(type, bytes)).toMatchObject({ message: { node: { id: "a", role: "a" } } });
  });

  test("of a oneof keeps the member that came last", () => {
    const type = types.message("infermesh.policy.v1.Policy");
    const one = encodeMessage(type, { pin: { revision: "x" } });
    const two = encodeMessage(type, { priority: { priority: 3 } });
    expect(decodeMessage(type, Uint8Array.of(...one, ...two))).toEqual({
      message: { ...type.empty(), priority: { priority: 3 } },
    });
  });

  test.each([
    ["a field that is longer than the message", [0x0a, 5, 0x61], "id is longer than the message"],
    ["half a field", [0x0a], "ends in the middle"],
    ["no UTF-8", [0x0a, 1, 0xff], "id is not UTF-8"],
    ["a field without a number", [0x00, 1], "a field without a number"],
    ["a group", [0x0b], "id is of another type"],
    ["a wire type that nobody knows", [0xfe, 0x3f], "wire type 6"],
    ["a number without an end", [0x18, ...Array<number>(11).fill(0xff)], "more than 10 bytes"],
    ["a number beyond 2^53", [0x18, ...Array<number>(7).fill(0xff), 0x7f], "if_revision is beyond 2^53"],
  ])("refuses %s", (_, bytes, why) => {
    const result = decodeMessage(types.message("infermesh.control.v1.ChangeNodeRequest"), Uint8Array.from(bytes));
    expect("bad" in result ? result.bad : "").toContain(why);
  });

  test("refuses what is nested without an end", () => {
    // No message of ours holds itself, so a table of the test's does.
    const own = new ProtoTypes({
      ...SCHEMA,
      messages: { Self: { fields: [{ name: "self", json: "self", number: 1, type: "message", of: "Self" }] } },
    });
    let bytes = new Uint8Array(0);
    for (let depth = 0; depth < 40; depth++) bytes = Uint8Array.of(0x0a, bytes.length, ...bytes);
    expect(decodeMessage(own.message("Self"), bytes)).toEqual({ bad: "Self: nested more than 32 levels deep" });
    let json: object = {};
    for (let depth = 0; depth < 40; depth++) json = { self: json };
    const read = messageFromJson(own.message("Self"), json);
    expect("faults" in read ? read.faults[0] : "").toEndWith("self.self is nested more than 32 levels deep");
  });

  test("never throws, whatever it reads", () => {
    fc.assert(
      fc.property(fc.constantFrom(...NAMES), fc.uint8Array({ maxLength: 200 }), (name, bytes) => {
        const result = decodeMessage(types.message(name), bytes);
        expect("bad" in result || "message" in result).toBe(true);
      }),
      { numRuns: 400 },
    );
  });
});

describe("the JSON form", () => {
  test.each(NAMES)("of %s can be read again", (name) => {
    const type = types.message(name);
    fc.assert(
      fc.property(anyMessage(type, 3), (message) => {
        const text = JSON.stringify(messageToJson(type, message));
        expect(messageFromJson(type, JSON.parse(text))).toEqual({ message });
      }),
      { numRuns: 60 },
    );
  });

  const pin = types.message("infermesh.control.v1.PinModelRequest");
  test("takes both names, numbers as text, and null for nothing", () => {
    const json = {
      model: "m",
      min_replicas: "2",
      maxReplicas: 3,
      if_revision: null,
      nodes: ["a"],
      selector: { a: "b" },
    };
    expect(messageFromJson(pin, json)).toEqual({
      message: { ...pin.empty(), model: "m", minReplicas: 2, maxReplicas: 3, nodes: ["a"], selector: { a: "b" } },
    });
  });

  test("writes 64 bits as text, bytes in base64, and what was not said as nothing said", () => {
    const type = types.message("infermesh.control.v1.SaveSnapshotResponse");
    expect(messageToJson(type, { snapshot: Uint8Array.of(0xff, 0xfe), revision: 7 })).toEqual({
      snapshot: "//4=",
      revision: "7",
    });
    expect(messageToJson(type, {})).toEqual({ snapshot: "", revision: "0" });
    const read = (snapshot: string) => messageFromJson(type, { snapshot, revision: "7" });
    const message = { snapshot: Uint8Array.of(0xff, 0xfe), revision: 7 };
    expect([read("//4="), read("//4"), read("__4")]).toEqual([{ message }, { message }, { message }]);
    const long = new Uint8Array(20_000).map((_, at) => at);
    expect(toBase64(long)).toBe(Buffer.from(long).toString("base64"));
  });

  test.each([
    [{ modle: "m" }, "modle is not known; did you mean model?"],
    [{ zzzzzzz: 1 }, "zzzzzzz is not known; expected model, revision"],
    [{ model: 5 }, "model is 5; expected text"],
    [{ minReplicas: -1 }, "minReplicas is -1; expected a whole number from 0 to 4294967295"],
    [{ minReplicas: 1.5 }, "minReplicas is 1.5; expected a whole number"],
    [{ minReplicas: 2 ** 32 }, "minReplicas is 4294967296"],
    [
      { ifRevision: "99999999999999999999" },
      'ifRevision is "99999999999999999999"; expected a whole number from 0 to 2^53',
    ],
    [{ minReplicas: 1, min_replicas: 1 }, "min_replicas is given twice"],
    [{ nodes: "a" }, 'nodes is "a"; expected a list'],
    [{ nodes: ["a", 1] }, "nodes[1] is 1; expected text"],
    [{ nodes: [null] }, "nodes[0] is null; expected text"],
    [{ selector: ["a"] }, 'selector is ["a"]; expected an object'],
    [{ selector: { a: 1 } }, 'selector["a"] is 1; expected text'],
    [{ dryRun: "true" }, 'dryRun is "true"; expected true or false'],
    [[], "the body is []; expected an object"],
    [null, "the body is null; expected an object"],
  ])("refuses %j", (json, why) => {
    const result = messageFromJson(pin, json);
    expect("faults" in result ? result.faults[0] : "").toContain(why);
  });

  test("tells all faults at once, and which member of a oneof is one too many", () => {
    const policy = types.message("infermesh.policy.v1.Policy");
    expect(messageFromJson(policy, { pin: { nodez: [] }, quota: {}, revision: true })).toEqual({
      faults: [
        "pin.nodez is not known; did you mean nodes?",
        "quota and pin are both given; only one of them may be",
        "revision is true; expected a whole number from 0 to 2^53",
      ],
    });
    const gpu = types.message("infermesh.state.v1.GpuState");
    expect(messageFromJson(gpu, { health: "GPU_HEALTH_HEALTHIER" })).toMatchObject({
      faults: ['health is "GPU_HEALTH_HEALTHIER"; expected a known name, such as GPU_HEALTH_HEALTHY'],
    });
    expect(messageFromJson(gpu, { health: 1, utilization: "0.5" })).toMatchObject({
      message: { health: "GPU_HEALTH_HEALTHY", utilization: 0.5 },
    });
  });

  test("never throws, whatever it reads", () => {
    fc.assert(
      fc.property(fc.constantFrom(...NAMES), fc.json(), (name, text) => {
        const result = messageFromJson(types.message(name), JSON.parse(text));
        expect("faults" in result || "message" in result).toBe(true);
      }),
      { numRuns: 300 },
    );
  });
});
