import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { multipartBoundary, MultipartField } from "../../src/wire/multipart-field.ts";
import { bytesOf, cutAt, cuts, placed } from "./pieces.ts";

const MODEL = 'Content-Disposition: form-data; name="model"\r\n\r\n';
const FILE = 'Content-Disposition: form-data; name="file"; filename="a.wav"\r\nContent-Type: audio/wav\r\n\r\n';

function read(pieces: readonly Uint8Array[], reader = new MultipartField("xyz")): Record<string, unknown> {
  reader.reset();
  for (const piece of pieces) reader.push(placed(piece, piece.length, 3, 13), 3, 3 + piece.length);
  const result = reader.finish();
  if (result === "bad") return { result, reason: reader.reason };
  const { model, hasModel, duplicateModel, isUnclear, modelHash, stream, promptBytes } = reader;
  return { result, model, hasModel, duplicateModel, isUnclear, modelHash, stream, promptBytes };
}

function readEverywhere(text: string): Record<string, unknown> {
  const bytes = bytesOf(text);
  const expected = read([bytes]);
  const reused = new MultipartField("xyz");
  for (let cut = 0; cut <= bytes.length; cut++) expect(read(cutAt(bytes, [cut]), reused)).toEqual(expected);
  expect(read(cutAt(bytes, Array.from(bytes.keys())), reused)).toEqual(expected);
  return expected;
}

describe("boundaries of content types", () => {
  test.each([
    ["multipart/form-data; boundary=xyz", "xyz"],
    ["Multipart/Form-Data ;\tBOUNDARY=xyz", "xyz"],
    ['multipart/form-data; boundary="a b:c"', "a b:c"],
    ['multipart/form-data; boundary="a\\b"', "ab"],
    ["multipart/form-data; charset=utf-8; boundary=----WebKitFormBoundary7MA4 ; x=y;", "----WebKitFormBoundary7MA4"],
    [`multipart/form-data; boundary=${"a".repeat(70)}`, "a".repeat(70)],
    [`multipart/form-data; boundary=${"a".repeat(71)}`, null],
    ["multipart/form-data", null],
    ["multipart/form-data; charset=utf-8", null],
    ["multipart/form-data; boundary=", null],
    ['multipart/form-data; boundary=""', null],
    ['multipart/form-data; boundary="a', null],
    ['multipart/form-data; boundary="a "', null],
    ['multipart/form-data; boundary="a\r\nb"', null],
    ["multipart/form-data; boundary=a; boundary=b", null],
    ["multipart/form-data; boundary=a b", null],
    ["multipart/mixed; boundary=a", null],
    ["multipart/form-dataset; boundary=a", null],
  ])("%s: %p", (type, boundary) => {
    expect(multipartBoundary(type)).toBe(boundary);
  });
});

test("that there is something before the first boundary is told", () => {
  const form = `--xyz\r\n${MODEL}m\r\n--xyz--\r\n`;
  const before = ["", "\r\n", "x\r\n", '{"model":"n"}\r\n', "-\r\n", "--xy\r\n", "\r\n\r\n"];
  const told = before.map((text) => readEverywhere(text + form)["isUnclear"]);
  expect(told).toEqual([false, false, true, true, true, true, true]);
});

describe("good forms", () => {
  test.each([
    ["only a model", `--xyz\r\n${MODEL}whisper-1\r\n--xyz--\r\n`],
    ["no line end after the last boundary", `--xyz\r\n${MODEL}whisper-1\r\n--xyz--`],
    ["blanks after a boundary", `--xyz \t\r\n${MODEL}whisper-1\r\n--xyz \r\n${FILE}\r\n--xyz--`],
    ["preamble and epilogue", `pre --xyz\r\nx\r\n--xyz\r\n${MODEL}whisper-1\r\n--xyz--\r\n--xyz\r\n${MODEL}other`],
    [
      "behind a file with near-boundaries",
      `--xyz\r\n${FILE}\r\n--xy\r\r\n-\r\n\n--xyz\r\r\n--xyz\r\n${MODEL}whisper-1\r\n--xyz--`,
    ],
    ["before a file", `--xyz\r\n${MODEL}whisper-1\r\n--xyz\r\n${FILE}\0\x01\xff\r\n--xyz--`],
    [
      "token, other letter case, more parameters",
      `--xyz\r\ncontent-disposition:form-data ;x=y; NAME=model\r\n\r\nwhisper-1\r\n--xyz--`,
    ],
    ["more header lines", `--xyz\r\nContent-Type: text/plain\r\n${MODEL}whisper-1\r\n--xyz--`],
    [
      "parts without a name",
      `--xyz\r\n\r\na\r\n--xyz\r\nContent-Disposition: form-data\r\n\r\nb\r\n--xyz\r\n${MODEL}whisper-1\r\n--xyz--`,
    ],
  ])("%s", (_name, text) => {
    const result = readEverywhere(text);
    expect(result["reason"]).toBeUndefined();
    expect(result["model"]).toBe("whisper-1");
    expect(result["duplicateModel"]).toBe(false);
  });

  test.each([
    ["no model", `--xyz\r\n${FILE}abc\r\n--xyz--`],
    ["no part", "--xyz--"],
    ["a name that is almost it", `--xyz\r\nContent-Disposition: form-data; name="model "\r\n\r\na\r\n--xyz--`],
    ["a name twice", `--xyz\r\nContent-Disposition: form-data; name=model; name=x\r\n\r\na\r\n--xyz--`],
    ["a model in a preamble", `${MODEL}a\r\n--xyz--`],
  ])("%s", (_name, text) => {
    expect(readEverywhere(text)).toMatchObject({ result: "done", hasModel: false, model: "" });
  });

  test("other fields that matter", () => {
    const field = (name: string, value: string): string =>
      `--xyz\r\nContent-Disposition: form-data; name="${name}"\r\n\r\n${value}\r\n`;
    const form = `${field("stream", "True")}${field("prompt", "hello\r\nthere")}${field("model", "m\u00c3\u00a9\r\r\n-")}--xyz--`;
    expect(readEverywhere(form)["reason"]).toContain("control");
    const good = `${field("stream", "True")}${field("prompt", "hello\r\nthere")}${field("model", "m\u00c3\u00a9")}--xyz--`;
    expect(readEverywhere(good)).toMatchObject({ model: "m\u00e9", stream: true, promptBytes: 12 });
    expect(readEverywhere(`${field("stream", "1")}--xyz--`)["stream"]).toBe(true);
    expect(readEverywhere(`${field("stream", "true or false")}--xyz--`)["stream"]).toBe(false);
    expect(readEverywhere(`${field("model", "a")}${field("model", "b")}--xyz--`)).toMatchObject({
      model: "a",
      duplicateModel: true,
    });
  });

  test("a model that came whole is told by its place", () => {
    const body = bytesOf(`--xyz\r\n${MODEL}whisper-1\r\n--xyz--`);
    const reader = new MultipartField("xyz");
    expect(reader.push(body, 0, body.length)).toBe("done");
    expect(body.toString("latin1", reader.modelStart, reader.modelEnd)).toBe("whisper-1");
    reader.reset();
    reader.push(body, 0, body.length - 12);
    reader.push(body, body.length - 12, body.length);
    expect([reader.modelStart, reader.model]).toEqual([-1, "whisper-1"]);
  });
});

describe("bad forms", () => {
  test.each([
    ["empty", "", "no part"],
    ["no boundary", "abc", "no part"],
    ["another boundary", `--abc\r\n${MODEL}a\r\n--abc--`, "no part"],
    ["cut off in data", `--xyz\r\n${MODEL}a`, "before its last boundary"],
    ["cut off in a boundary", `--xyz\r\n${MODEL}a\r\n--xyz-`, "before its last boundary"],
    ["cut off in a header", `--xyz\r\nContent-Disp`, "before its last boundary"],
    ["bytes after a boundary", `--xyzz\r\n${MODEL}a\r\n--xyz--`, "after a boundary"],
    ["one dash after a boundary", "--xyz-\r\n", "after a boundary"],
    ["dashes behind a blank", "--xyz --\r\n", "after a boundary"],
    ["a bare LF after a boundary", `--xyz\n${MODEL}a`, "after a boundary"],
    ["CR without LF after a boundary", "--xyz\rx", "CR without its LF"],
    ["a bare LF in a header", "--xyz\r\na: b\n\r\n", "control byte"],
    ["CR without LF in a header", "--xyz\r\na: b\rc\r\n", "CR without its LF"],
    ["NUL in a header", "--xyz\r\na: \0\r\n", "control byte"],
    [
      "a folded header",
      "--xyz\r\nContent-Disposition: form-data;\r\n name=model\r\n\r\na\r\n--xyz--",
      "malformed header",
    ],
    ["a header without a colon", "--xyz\r\nabc\r\n\r\n", "malformed header"],
    ["a header without a name", "--xyz\r\n: abc\r\n\r\n", "malformed header"],
    ["two dispositions", `--xyz\r\nContent-Disposition: form-data; name=x\r\n${MODEL}a\r\n--xyz--`, "more than one"],
    ["a boundary right behind the header", `--xyz\r\n${FILE}--xyz\r\n${MODEL}a\r\n--xyz--`, "without data"],
    ["an empty model", `--xyz\r\n${MODEL}\r\n--xyz--`, "must not be empty"],
    ["a model that is not UTF-8", `--xyz\r\n${MODEL}\xff\r\n--xyz--`, "well-formed"],
    ["a model with a line end", `--xyz\r\n${MODEL}a\r\nb\r\n--xyz--`, "control character"],
    ["too long a model", `--xyz\r\n${MODEL}${"a".repeat(513)}\r\n--xyz--`, "longer than 512"],
    ["too long a model without end", `--xyz\r\n${MODEL}${"\r\n--xy".repeat(100)}`, "longer than 512"],
  ])("%s", (_name, text, why) => {
    const result = readEverywhere(text);
    expect(result["result"]).toBe("bad");
    expect(result["reason"]).toContain(why);
  });

  test("limits", () => {
    expect(read([bytesOf(`--xyz\r\na: ${"b".repeat(8192)}\r\n`)])["reason"]).toContain("8192 bytes of header");
    expect(read([bytesOf("--xyz\r\n\r\na\r\n".repeat(1001))])["reason"]).toContain("1000 parts");
    const reader = new MultipartField("xyz");
    expect(reader.push(bytesOf("--xyz?"), 0, 6)).toBe("bad");
    expect(reader.push(bytesOf("--xyz"), 0, 5)).toBe("bad");
    expect(reader.finish()).toBe("bad");
  });
});

test("any file in any pieces leaves the model to be found", () => {
  const noise = fc.array(fc.constantFrom("\r", "\n", "-", "--xyz", "\r\n--xy", "a", "\0"), { maxLength: 20 });
  fc.assert(
    fc.property(noise, cuts(400), (file, places) => {
      const data = file.join("");
      fc.pre(!`\r\n${data}`.includes("\r\n--xyz"));
      const bytes = bytesOf(`--xyz\r\n${FILE}${data}\r\n--xyz\r\n${MODEL}m\r\n--xyz--`);
      const pieces = cutAt(
        bytes,
        places.map((place) => place % (bytes.length + 1)),
      );
      expect(read(pieces)).toMatchObject({ result: "done", model: "m", duplicateModel: false });
    }),
    { numRuns: 500 },
  );
});
