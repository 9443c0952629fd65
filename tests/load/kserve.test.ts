import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { InferAnswer, inferRequest } from "../../src/load/kserve.ts";
import { decoded, element, encoded, inputsOf, uint32 } from "./kserve-proto.ts";

const ASKED = { model: "m", prompt: " the cat", tokens: 300, isStreamed: true, exactly: false, asksUsage: true };

const framed = (message: Uint8Array): Buffer => {
  const head = Buffer.alloc(5);
  head.writeUInt32BE(message.length, 1);
  return Buffer.concat([head, message]);
};

/** What Triton sends for one piece of text. */
const piece = (text: string, tokens: number) => ({
  modelName: "m",
  outputs: [
    { name: "num_input_tokens", datatype: "UINT32", shape: [1] },
    { name: "text_output", datatype: "BYTES", shape: [1] },
    { name: "num_output_tokens", datatype: "UINT32", shape: [1] },
  ],
  rawOutputContents: [uint32(100), element(text), uint32(tokens)],
});

/** The same with contents of types, as other servers write it. */
const typed = (text: string, tokens: number) => ({
  outputs: [
    { name: "text_output", datatype: "BYTES", shape: [1], contents: { bytesContents: [Buffer.from(text)] } },
    { name: "num_output_tokens", datatype: "UINT32", shape: [2], contents: { uintContents: [tokens, 0] } },
    { name: "num_input_tokens", datatype: "INT64", shape: [1], contents: { int64Contents: [100] } },
    { name: "logprobs", datatype: "FP32", shape: [1], contents: { fp32Contents: [0.5] } },
  ],
});

function read(isStreamed: boolean, ...parts: readonly Uint8Array[]): InferAnswer {
  const answer = new InferAnswer(isStreamed);
  for (const part of parts) answer.push(part);
  return answer;
}

describe("a request", () => {
  test("is the protocol's, with Triton's tensors", () => {
    fc.assert(
      fc.property(fc.string(), fc.string(), fc.nat(1_000_000), fc.boolean(), fc.boolean(), fc.boolean(), (...of) => {
        const [model, prompt, tokens, isStreamed, exactly, asksUsage] = of;
        const bytes = inferRequest({ model, prompt, tokens, isStreamed, exactly, asksUsage });
        expect(new DataView(bytes.buffer).getUint32(1)).toBe(bytes.length - 5);
        const request = decoded("ModelInferRequest", bytes.subarray(5));
        expect(request["modelName"]).toBe(new TextDecoder().decode(new TextEncoder().encode(model)));
        const { sampling_parameters: sampling, ...inputs } = inputsOf(request);
        expect(JSON.parse(String(sampling))).toEqual({ max_tokens: tokens, ...(exactly ? { ignore_eos: true } : {}) });
        expect(inputs).toEqual({
          text_input: new TextDecoder().decode(new TextEncoder().encode(prompt)),
          stream: isStreamed,
          exclude_input_in_output: true,
          ...(asksUsage ? { return_num_input_tokens: true, return_num_output_tokens: true } : {}),
        });
      }),
    );
  });

  test("names its model in the first field, where a router looks", () => {
    expect(Array.from(inferRequest(ASKED).subarray(5, 8))).toEqual([0x0a, 1, 109]);
  });
});

describe("an answer", () => {
  const stream = Buffer.concat(
    [piece("a", 1), piece("", 0), piece("bc", 2), { outputs: [] }, typed("d", 1)].map((inferResponse) =>
      framed(encoded("ModelStreamInferResponse", { inferResponse })),
    ),
  );
  const wanted = { texts: 3, promptTokens: 100, outputTokens: 4, fault: "", error: "", isWhole: true };

  test("is read alike wherever it is split", () => {
    for (let at = 0; at <= stream.length; at += 1) {
      expect(read(true, stream.subarray(0, at), stream.subarray(at))).toMatchObject(wanted);
    }
    expect(read(true, stream.subarray(0, -1)).isWhole).toBe(false);
    for (const whole of [piece("abc", 3), typed("abc", 3)]) {
      const answer = read(false, framed(encoded("ModelInferResponse", whole)));
      expect(answer).toMatchObject({ ...wanted, texts: 1, outputTokens: 3 });
    }
  });

  test("tells its error, and what can't be read", () => {
    const failed = encoded("ModelStreamInferResponse", { errorMessage: "out of blocks" });
    expect(read(true, framed(failed))).toMatchObject({ error: "out of blocks", fault: "", texts: 0 });
    expect(read(true, Uint8Array.of(1, 0, 0, 0, 0)).fault).toBe("a compressed message");
    for (const bad of [
      [0x12, 9],
      [0x12, 2, 0x2a, 9],
      [0x12, 4, 0x2a, 2, 0x2a, 9],
      [0x12, 6, 0x2a, 4, 0x2a, 2, 0x22, 9],
      [0x12, 7, 0x2a, 5, 0x2a, 3, 0x22, 1, 0x80],
    ]) {
      expect(read(true, framed(Uint8Array.from(bad))).fault).toBe("a message that is no protobuf");
    }
    const many = { outputs: Array.from({ length: 65 }, () => ({ name: "x" })) };
    expect(read(false, framed(encoded("ModelInferResponse", many))).fault).toBe("a message that is no protobuf");
  });

  test("of any bytes is a fault at most", () => {
    fc.assert(fc.property(fc.boolean(), fc.array(fc.uint8Array()), (streamed, parts) => void read(streamed, ...parts)));
    const response = fc.uint8Array({ maxLength: 60 });
    fc.assert(fc.property(fc.boolean(), response, (streamed, bytes) => void read(streamed, framed(bytes))));
  });
});
