import { expect, test } from "bun:test";
import fc from "fast-check";
import { GenerateAnswer, generateRequest } from "../../src/load/fmaas.ts";

/** { 6: 100 }, { 2: 1, 4: "a" }, { 2: 200, 4: "b" }, each framed. */
const MESSAGES = [
  [6 << 3, 100],
  [2 << 3, 1, (4 << 3) | 2, 1, 97],
  [2 << 3, 0xc8, 1, (4 << 3) | 2, 1, 98],
];
const STREAM = Uint8Array.from(MESSAGES.flatMap((message) => [0, 0, 0, 0, message.length, ...message]));

function read(isStreamed: boolean, ...parts: readonly Uint8Array[]): GenerateAnswer {
  const answer = new GenerateAnswer(isStreamed);
  for (const part of parts) answer.push(part);
  return answer;
}

test("streams are read alike wherever they are split", () => {
  const wanted = { texts: 2, promptTokens: 100, outputTokens: 200, fault: "", isWhole: true };
  for (let at = 0; at <= STREAM.length; at += 1) {
    expect(read(true, STREAM.subarray(0, at), STREAM.subarray(at))).toMatchObject(wanted);
  }
  expect(read(true, STREAM.subarray(0, -1)).isWhole).toBe(false);
});

test("what can't be read is told", () => {
  expect(read(true, Uint8Array.of(1, 0, 0, 0, 0)).fault).toBe("a compressed message");
  expect(read(true, Uint8Array.of(0, 1, 0, 0, 0)).fault).toBe("a message of more than 4 MiB");
  expect(read(true, Uint8Array.of(0, 0, 0, 0, 2, 0x22, 9)).fault).toBe("a message that is no protobuf");
  expect(read(false, Uint8Array.of(0, 0, 0, 0, 4, 0x0a, 2, 0x22, 9)).fault).toBe("a message that is no protobuf");
  expect(read(false).isWhole).toBe(false);
  fc.assert(fc.property(fc.boolean(), fc.array(fc.uint8Array()), (streamed, parts) => void read(streamed, ...parts)));
});

test("a request has its length in front", () => {
  const bytes = generateRequest("m", " the".repeat(1000), 300, false);
  expect(new DataView(bytes.buffer).getUint32(1)).toBe(bytes.length - 5);
  expect(Array.from(bytes.slice(5, 8))).toEqual([0x0a, 1, 109]);
  expect(Array.from(bytes.slice(-7))).toEqual([0x52, 5, 0x1a, 3, 8, 0xac, 2]);
});
