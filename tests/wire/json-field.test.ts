import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { BodyFields } from "../../src/wire/json-field.ts";
import { cutAt, cuts, placed } from "./pieces.ts";

const utf8 = (text: string): Buffer => Buffer.from(text);

function seen(fields: BodyFields): object {
  const { model, hasModel, duplicateModel, isUnclear, modelHash, modelLength, stream, promptBytes, reason } = fields;
  return { model, hasModel, duplicateModel, isUnclear, modelHash, modelLength, stream, promptBytes, reason };
}

function read(pieces: readonly Uint8Array[], fields = new BodyFields()): { result: string; [name: string]: unknown } {
  fields.reset();
  for (const piece of pieces) fields.push(placed(piece, piece.length, 3, 34), 3, 3 + piece.length);
  const result = fields.finish();
  return { result, ...(result === "bad" ? { reason: fields.reason } : seen(fields)) };
}

/** Reads whole, in two at every place, and byte by byte: all must agree. */
function readEverywhere(bytes: Uint8Array): { result: string; [name: string]: unknown } {
  const expected = read([bytes]);
  const reused = new BodyFields();
  for (let cut = 0; cut <= bytes.length; cut++) expect(read(cutAt(bytes, [cut]), reused)).toEqual(expected);
  expect(read(cutAt(bytes, Array.from(bytes.keys())), reused)).toEqual(expected);
  return expected;
}

function fnv(text: string): number {
  let hash = 0x811c9dc5;
  for (const byte of utf8(text)) hash = Math.imul(hash ^ byte, 0x01000193);
  return hash >>> 0;
}

describe("good bodies", () => {
  test.each([
    ['{"model":"m"}', "m"],
    [' \t\r\n{ "model" : "m" } \n', "m"],
    ["{}", ""],
    [" { } ", ""],
    ['{"a":{"model":"x"},"b":["model",{"model":"y"}]}', ""],
    ['{"messages":[{"role":"user","content":"\\"model\\":\\"x\\" } ] \\\\"}],"model":"m"}', "m"],
    ['{"mod\\u0065l":"m"}', "m"],
    ['{"\\u006D\\u006f\\u0064\\u0065\\u006c":"m"}', "m"],
    ['{"models":"x","mode":"y","Model":"z","model ":1}', ""],
    ['{"\\ud800model":"x","model\\udc00":"y","\\ud83d\\ude00":"z"}', ""],
    ['{"a\\"b\\\\":1,"model":"m"}', "m"],
    ['{"model":"org/name:7b-Q4_K.gguf"}', "org/name:7b-Q4_K.gguf"],
    ['{"model":"\\u0061\\/b\\\\c\\"d"}', 'a/b\\c"d'],
    ['{"model":"h\u00e9 \u4e2d \u{1f600}"}', "h\u00e9 \u4e2d \u{1f600}"],
    ['{"model":"\\u00e9\\u4e2d\\ud83d\\ude00"}', "\u00e9\u4e2d\u{1f600}"],
    [`{"model":"${"x".repeat(512)}"}`, "x".repeat(512)],
    ['{"a":0,"b":-0,"c":12,"d":-1.50,"e":1e5,"f":2E-10,"g":3.5e+1,"h":0.1,"model":"m"}', "m"],
    ['{"a":true,"b":false,"c":null,"d":"","e":[],"f":{},"model":"m"}', "m"],
    ['{"a":"\\\\","b":"\\\\\\"","c":"a\\\\\\\\","model":"m"}', "m"],
    [`{"a":${"[".repeat(512)}${"]".repeat(512)},"model":"m"}`, "m"],
    ['{"a long key, longer than any that matters":1,"model":"m"}', "m"],
    ['{"a":"a string that is longer than what is looked at byte by byte \\" and on it goes","model":"m"}', "m"],
  ])("%s", (text, model) => {
    const result = readEverywhere(utf8(text));
    expect(result["result"]).toBe("done");
    expect(result["model"]).toBe(model);
    expect(result["hasModel"]).toBe(model !== "");
    expect(result["modelHash"]).toBe(fnv(model));
    expect(result["duplicateModel"]).toBe(false);
    expect(JSON.parse(text)["model"] ?? "").toBe(model);
  });

  test.each([
    ['{"stream":true}', true],
    ['{"stream":false}', false],
    ['{"stream":null}', false],
    ['{"stream":"true"}', false],
    ['{"stream":true,"stream":false}', false],
    ['{"stream":false,"str\\u0065am":true}', true],
    ['{"a":{"stream":true}}', false],
  ])("%s: stream %p", (text, stream) => {
    expect(readEverywhere(utf8(text))["stream"]).toBe(stream);
  });

  test.each([
    ['{"prompt":"hello"}', 7],
    ['{"prompt":[1,2,3] ,"x":"y"}', 7],
    ['{"messages":[{"a":"b"}],"input":"h\u00e9"}', 11 + 5],
    ['{"input": 12 }', 2],
    ['{"x":"hello"}', 0],
  ])("%s: %d bytes of prompt", (text, promptBytes) => {
    expect(readEverywhere(utf8(text))["promptBytes"]).toBe(promptBytes);
  });

  test.each([
    '{"model":"a","model":"b"}',
    '{"model":"a","x":1,"m\\u006fdel":"b"}',
    '{"model":"a","model":5}',
    '{"model":"a","model":"a"}',
    // Go's parser takes them for the same, and the last one counts.
    '{"model":"a","Model":"b"}',
    '{"MODEL":"b","model":"a"}',
    '{"mod\\u0045l":"b","x":[{"model":1}],"model":"a"}',
  ])("%s names its model twice", (text) => {
    const result = readEverywhere(utf8(text));
    expect([result["model"], result["duplicateModel"]]).toEqual(["a", true]);
  });

  test.each(['{"model":"a","x":{"model":"b"}}', '{"model":"a","models":"b","mode":1,"nodel":2}', '{"Model":"a"}'])(
    "%s does not",
    (text) => {
      expect(readEverywhere(utf8(text))["duplicateModel"]).toBe(false);
    },
  );

  test("a model that only parsers find which don't mind letter case is told", () => {
    for (const [text, isUnclear] of [
      ['{"Model":"b"}', true],
      ['{"x":1,"MOD\\u0065L":5}', true],
      ['{"models":"b"}', false],
      ['{"x":{"Model":"b"}}', false],
      ['{"model":"b"}', false],
    ] as const) {
      expect([text, readEverywhere(utf8(text))["isUnclear"]]).toEqual([text, isUnclear]);
    }
    const fields = new BodyFields();
    read([utf8('{"MODEL":"b"}')], fields);
    fields.reset();
    expect(read([utf8('{"a":"b"}')], fields)["isUnclear"]).toBe(false);
  });

  test("a body of before means nothing to the next one", () => {
    const fields = new BodyFields();
    read([utf8('{"MODEL":"b"}')], fields);
    expect(read([utf8('{"model":"a"}')], fields)["duplicateModel"]).toBe(false);
  });

  test("a model that came whole is told by its place", () => {
    const fields = new BodyFields();
    const body = utf8('{"x":1,"model":"abc"}');
    fields.push(body, 0, body.length);
    expect(body.toString("utf8", fields.modelStart, fields.modelEnd)).toBe("abc");
    fields.reset();
    expect([fields.modelStart, fields.model, fields.modelLength]).toEqual([-1, "", 0]);
    fields.push(body, 0, 18);
    fields.push(body, 18, body.length);
    expect([fields.modelStart, fields.modelEnd, fields.model]).toEqual([-1, -1, "abc"]);
    expect(Buffer.from(fields.modelBytes.subarray(0, fields.modelLength)).toString()).toBe("abc");
  });

  test("push tells when the object is whole, and the model as soon as it is", () => {
    const fields = new BodyFields();
    const body = utf8('{"model":"abc","x":1} ');
    expect(fields.push(body, 0, 14)).toBe("more");
    expect(fields.hasModel).toBe(true);
    expect(fields.push(body, 14, 21)).toBe("done");
    expect(fields.push(body, 21, 22)).toBe("done");
    expect(fields.push(body, 0, 1)).toBe("bad");
    expect(fields.push(body, 21, 22)).toBe("bad");
    expect(fields.finish()).toBe("bad");
  });
});

describe("bad bodies", () => {
  test.each([
    ["", "empty"],
    ["  \n", "empty"],
    ["\ufeff{}", "byte order mark"],
    ["[]", "no JSON object"],
    ['"model"', "no JSON object"],
    ["null", "no JSON object"],
    ["{", "ends in the middle"],
    ['{"model"', "ends in the middle"],
    ['{"model":"m"', "ends in the middle"],
    ['{"model":"m', "ends in the middle"],
    ['{"a":"b\\', "ends in the middle"],
    ['{"a":[', "ends in the middle"],
    ['{"a":1', "ends in the middle"],
    ['{"a":tr', "ends in the middle"],
    ["{} x", "nothing after"],
    ["{}{}", "nothing after"],
    ["{}\0", "nothing after"],
    ["{,}", "a key"],
    ['{"a":1,}', "a key"],
    ["{a:1}", "a key"],
    ["{'a':1}", "a key"],
    ['{"a" 1}', "a colon"],
    ['{"a",1}', "a colon"],
    ['{"a"::1}', "a value"],
    ['{"a":}', "a value"],
    ['{"a":,}', "a value"],
    ['{"a":x}', "a value"],
    ['{"a":1 2}', "a comma"],
    ['{"a":1"b":2}', "a number"],
    ['{"a":"b" "c":2}', "a comma"],
    ['{"a":[] []}', "a comma"],
    ['{"a":truex}', "a comma"],
    ['{"a":tru}', "true, false or null"],
    ['{"a":nul}', "true, false or null"],
    ['{"a":01}', "a number"],
    ['{"a":-}', "a number"],
    ['{"a":1.}', "a number"],
    ['{"a":.5}', "a value"],
    ['{"a":1e}', "a number"],
    ['{"a":1e+}', "a number"],
    ['{"a":+1}', "a value"],
    ['{"a":1.5.5}', "a number"],
    ['{"a":1e5e5}', "a number"],
    ['{"a":0x10}', "a number"],
    ['{"a":NaN}', "a value"],
    ['{"a":[}', "don't match"],
    ['{"a":{]}', "don't match"],
    ['{"a":[1,{"b":2]}', "don't match"],
    ['{"a":[\0]}', "a value"],
    ['{"a":[\u00e9]}', "a value"],
    [`{"a":${"[".repeat(513)}`, "nested deeper"],
    ['{"model":1}', "must be a string"],
    ['{"model":null}', "must be a string"],
    ['{"model":["m"]}', "must be a string"],
    ['{"model":""}', "must not be empty"],
    [`{"model":"${"x".repeat(513)}"}`, "longer than 512"],
    [`{"model":"${"\\u4e2d".repeat(171)}"}`, "longer than 512"],
    ['{"model":"a\nb"}', "raw control"],
    ['{"model":"a\0b"}', "raw control"],
    ['{"model":"a\\nb"}', "control character"],
    ['{"model":"a\\u0000b"}', "control character"],
    ['{"model":"a\x7fb"}', "control character"],
    ['{"model":"a\\xb"}', "invalid escape"],
    ['{"model":"a\\u12g4"}', "invalid escape"],
    ['{"model":"\\ud800"}', "well-formed"],
    ['{"model":"\\ud800x"}', "well-formed"],
    ['{"model":"\\ud800\\n"}', "well-formed"],
    ['{"model":"\\ud800\\u0061"}', "well-formed"],
    ['{"model":"\\ud800\\ud800\\udc00"}', "well-formed"],
    ['{"model":"\\udc00\\ud800"}', "well-formed"],
    ['{"a\nb":1}', "raw control"],
    ['{"a\\q":1}', "invalid escape"],
  ])("%j", (text, why) => {
    const result = readEverywhere(utf8(text));
    expect(result["result"]).toBe("bad");
    expect(result["reason"]).toContain(why);
  });

  test.each([
    ["a lone continuation", [0x80]],
    ["an overlong form", [0xc0, 0xaf]],
    ["an overlong form of three", [0xe0, 0x80, 0xaf]],
    ["an overlong form of four", [0xf0, 0x80, 0x80, 0xaf]],
    ["a surrogate", [0xed, 0xa0, 0x80]],
    ["beyond the last code point", [0xf4, 0x90, 0x80, 0x80]],
    ["no lead byte", [0xff]],
    ["cut off", [0xe4, 0xb8]],
    ["a wrong third byte", [0xe4, 0xb8, 0x41]],
  ])("a model that is not UTF-8: %s", (_name, bytes) => {
    const body = Buffer.concat([utf8('{"model":"a'), Buffer.from(bytes), utf8('"}')]);
    expect(readEverywhere(body)["reason"]).toContain("well-formed");
  });
});

describe("against JSON.parse", () => {
  const object = fc.dictionary(
    fc.oneof(fc.constantFrom("model", "stream", "prompt", "messages", "x"), fc.string({ unit: "grapheme" })),
    fc.jsonValue({ maxDepth: 3 }),
  );

  test("any object in any pieces", () => {
    const name = fc.string({ unit: "grapheme", minLength: 1, maxLength: 20 });
    fc.assert(
      fc.property(
        object,
        fc.option(name),
        fc.boolean(),
        cuts(400),
        fc.nat(2),
        (value, model, ascii, places, indent) => {
          const whole: Record<string, unknown> = { ...value };
          delete whole["model"];
          if (model !== null) whole["model"] = model;
          let text = JSON.stringify(whole, null, indent);
          if (ascii) text = text.replace(/[^ -~\n]/g, (c) => `\\u${c.charCodeAt(0).toString(16).padStart(4, "0")}`);
          const bytes = utf8(text);
          const pieces = cutAt(
            bytes,
            places.map((place) => place % (bytes.length + 1)),
          );
          const result = read(pieces);
          expect(result).toEqual(read([bytes]));
          if (model !== null && utf8(model).some((byte) => byte < 32 || byte === 127)) {
            expect(result.result).toBe("bad");
            return;
          }
          expect(result.result).toBe("done");
          expect(result["model"]).toBe(model ?? "");
          expect(result["stream"]).toBe(whole["stream"] === true);
        },
      ),
      { numRuns: 1000 },
    );
  });

  test("what JSON.parse takes is never refused for its structure, and what ends early is never taken", () => {
    fc.assert(
      fc.property(object, fc.nat(), (value, place) => {
        delete value["model"];
        const bytes = utf8(JSON.stringify(value));
        expect(read([bytes]).result).toBe("done");
        expect(read([bytes.subarray(0, place % bytes.length)]).result).toBe("bad");
      }),
      { numRuns: 1000 },
    );
  });
});
